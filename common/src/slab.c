#include "slab.h"

#include "check.h"

#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define SLAB_IS_PLAIN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLAB_IS_PLAIN 1
#endif
#endif
#ifndef SLAB_IS_PLAIN
#define SLAB_IS_PLAIN 0
#endif

struct slab_free_object {
    struct slab_free_object *next;
};

struct slab_page {
    struct drv_slab *slab;         /* borrowed */
    struct drv_list link;          /* in partial or full */
    struct slab_free_object *free; /* objects that were used and given back */
    size_t used;                   /* objects handed out */
    size_t fresh;                  /* objects from here on were never handed out */
};

/* Objects begin here: aligned for numbers of eight bytes and pointers. */
#define SLAB_ALIGN sizeof(uint64_t)
#define SLAB_HEADER ((sizeof(struct slab_page) + SLAB_ALIGN - 1) / SLAB_ALIGN * SLAB_ALIGN)

void drv_slab_init(struct drv_slab *slab, struct drv_pages *pages, size_t size)
{
    slab->pages = pages;
    slab->size = (size + SLAB_ALIGN - 1) / SLAB_ALIGN * SLAB_ALIGN;
    slab->per_page = (DRV_PAGE_BYTES - SLAB_HEADER) / slab->size;
    slab->spare_count = 0;
    DRV_ASSERT(slab->per_page > 0);
    drv_list_init(&slab->partial);
    drv_list_init(&slab->full);
}

void drv_slab_fini(struct drv_slab *slab)
{
    DRV_ASSERT(drv_list_is_empty(&slab->full));
    DRV_LIST_EACH_SAFE(link, &slab->partial)
    {
        struct slab_page *page = DRV_LIST_ITEM(link, struct slab_page, link);
        DRV_ASSERT(page->used == 0);
        drv_pages_give(slab->pages, page);
    }
}

static struct slab_page *slab_page_of(const void *object)
{
    uintptr_t at = (uintptr_t)object & ~(uintptr_t)(DRV_PAGE_BYTES - 1);
    return (struct slab_page *)at;
}

static struct slab_page *slab_page_with_room(struct drv_slab *slab)
{
    if (!drv_list_is_empty(&slab->partial)) {
        return DRV_LIST_ITEM(slab->partial.next, struct slab_page, link);
    }
    struct slab_page *page = drv_pages_take(slab->pages);
    if (page == NULL) {
        return NULL;
    }
    page->slab = slab;
    page->free = NULL;
    page->used = 0;
    page->fresh = 0;
    drv_list_push_front(&slab->partial, &page->link);
    slab->spare_count++;
    return page;
}

static void *page_take(struct drv_slab *slab, struct slab_page *page)
{
    void *object;
    if (page->free != NULL) {
        object = page->free;
        page->free = page->free->next;
    } else {
        object = (char *)page + SLAB_HEADER + page->fresh * slab->size;
        page->fresh++;
    }
    return object;
}

void *drv_slab_take(struct drv_slab *slab)
{
    if (SLAB_IS_PLAIN) {
        return malloc(slab->size);
    }
    struct slab_page *page = slab_page_with_room(slab);
    if (page == NULL) {
        return NULL;
    }
    void *object = page_take(slab, page);
    if (page->used++ == 0) {
        slab->spare_count--;
    }
    if (page->used == slab->per_page) {
        drv_list_remove(&page->link);
        drv_list_push_front(&slab->full, &page->link);
    }
    return object;
}

void *drv_slab_alloc(struct drv_slab *slab)
{
    void *object = drv_slab_take(slab);
    return object == NULL ? NULL : memset(object, 0, slab->size);
}

void drv_slab_free(struct drv_slab *slab, void *object)
{
    if (object == NULL) {
        return;
    }
    if (SLAB_IS_PLAIN) {
        free(object);
        return;
    }
    struct slab_page *page = slab_page_of(object);
    struct slab_free_object *freed = object;
    freed->next = page->free;
    page->free = freed;
    if (page->used-- == slab->per_page) {
        drv_list_remove(&page->link);
        drv_list_push_front(&slab->partial, &page->link);
    }
    if (page->used > 0) {
        return;
    }
    if (slab->spare_count > 0) {
        drv_list_remove(&page->link);
        drv_pages_give(slab->pages, page);
        return;
    }
    slab->spare_count++;
    drv_list_remove(&page->link);
    drv_list_push_back(&slab->partial, &page->link);
}

void drv_slab_give(void *object)
{
    if (SLAB_IS_PLAIN) {
        free(object);
    } else {
        drv_slab_free(slab_page_of(object)->slab, object);
    }
}
