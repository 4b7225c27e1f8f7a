/*
 * slab.h: many objects of one size.
 *
 * Objects live in aligned pages; a page that becomes empty is given back (one is kept), so that
 * memory follows the load down again. Under the address sanitizer every object is a block of
 * its own, so that a use after free is seen.
 */
#ifndef DRV_SLAB_H
#define DRV_SLAB_H

#include "list.h"
#include "pages.h"

#include <stddef.h>
#include <stdint.h>

struct drv_slab {
    struct drv_pages *pages; /* borrowed: where they come from */
    size_t size;             /* bytes of an object, rounded up */
    size_t per_page;         /* objects in a page */
    struct drv_list partial; /* pages with room */
    struct drv_list full;
    size_t spare_count; /* empty pages among the partial ones: 0 or 1 */
};

void drv_slab_init(struct drv_slab *slab, struct drv_pages *pages, size_t size);

/* All objects must have been freed. */
void drv_slab_fini(struct drv_slab *slab);

/* A zeroed object, or NULL when out of memory. */
void *drv_slab_alloc(struct drv_slab *slab);

/* The same, of undefined contents. */
void *drv_slab_take(struct drv_slab *slab);

void drv_slab_free(struct drv_slab *slab, void *object);
/* The same, to whatever slab it came from. */
void drv_slab_give(void *object);

#endif
