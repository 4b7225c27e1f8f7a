/*
 * pages.h: pages of 64 KiB for allocators above, straight from the system.
 *
 *   region (4 MiB, aligned) = head, page, page, ... page      in use | free, resident | free
 *
 * A region whose pages are all free goes back to the system, and so does the memory of free
 * pages beyond DRV_PAGES_SPARE, so that what a process takes follows the load down again. The
 * last region is kept. One thread at a time.
 */
#ifndef DRV_PAGES_H
#define DRV_PAGES_H

#include "list.h"

#include <stddef.h>

#define DRV_PAGE_BYTES ((size_t)64 * 1024)
#define DRV_PAGES_SPARE 64 /* free pages whose memory is kept */

struct drv_pages {
    struct drv_list regions; /* with a free page */
    struct drv_list full;
    size_t count;    /* regions */
    size_t resident; /* free pages whose memory is kept */
};

void drv_pages_init(struct drv_pages *pages);

/* All pages must have been given back. */
void drv_pages_fini(struct drv_pages *pages);

/* A page, aligned to its size, of undefined contents; NULL when out of memory. */
void *drv_pages_take(struct drv_pages *pages);

void drv_pages_give(struct drv_pages *pages, void *page);

/* Gives the memory of all free pages back to the system. */
void drv_pages_trim(struct drv_pages *pages);

#endif
