/*
 * pages.c: see pages.h.
 */
#include "pages.h"

#include "check.h"

#include <stdint.h>
#include <sys/mman.h>

#define REGION_BYTES ((size_t)4 * 1024 * 1024)

enum { REGION_PAGES = 64 };

struct region { /* lies in its own first page, which is never handed out */
    struct drv_list link;
    uint64_t free;     /* one bit per page */
    uint64_t resident; /* of those: touched since they came from the system */
};

/* All but the first. */
#define REGION_ALL (~UINT64_C(1))

void drv_pages_init(struct drv_pages *pages)
{
    *pages = (struct drv_pages){.count = 0};
    drv_list_init(&pages->regions);
    drv_list_init(&pages->full);
}

static void region_unmap(struct drv_pages *pages, struct region *region)
{
    pages->resident -= (size_t)__builtin_popcountll(region->resident);
    pages->count--;
    drv_list_remove(&region->link);
    (void)munmap(region, REGION_BYTES);
}

void drv_pages_fini(struct drv_pages *pages)
{
    DRV_ASSERT(drv_list_is_empty(&pages->full));
    DRV_LIST_EACH_SAFE(link, &pages->regions)
    {
        struct region *region = DRV_LIST_ITEM(link, struct region, link);
        DRV_ASSERT(region->free == REGION_ALL);
        region_unmap(pages, region);
    }
}

/* Twice the size holds an aligned one; the rest goes back at once. */
static void *map_aligned(void)
{
    void *mapped = mmap(NULL, 2 * REGION_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) {
        return NULL;
    }
    uint8_t *start = mapped;
    size_t before = (REGION_BYTES - (uintptr_t)start % REGION_BYTES) % REGION_BYTES;
    if (before > 0) {
        (void)munmap(start, before);
    }
    (void)munmap(start + before + REGION_BYTES, REGION_BYTES - before);
    return start + before;
}

static struct region *region_with_room(struct drv_pages *pages)
{
    if (!drv_list_is_empty(&pages->regions)) {
        return DRV_LIST_ITEM(pages->regions.next, struct region, link);
    }
    struct region *region = map_aligned();
    if (region == NULL) {
        return NULL;
    }
    region->free = REGION_ALL;
    region->resident = 0;
    pages->count++;
    drv_list_push_front(&pages->regions, &region->link);
    return region;
}

void *drv_pages_take(struct drv_pages *pages)
{
    struct region *region = region_with_room(pages);
    if (region == NULL) {
        return NULL;
    }
    uint64_t choice = region->resident != 0 ? region->resident : region->free;
    unsigned number = (unsigned)__builtin_ctzll(choice);
    uint64_t bit = UINT64_C(1) << number;
    pages->resident -= (region->resident & bit) != 0;
    region->resident &= ~bit;
    region->free &= ~bit;
    if (region->free == 0) {
        drv_list_remove(&region->link);
        drv_list_push_front(&pages->full, &region->link);
    }
    return (uint8_t *)region + number * DRV_PAGE_BYTES;
}

void drv_pages_give(struct drv_pages *pages, void *page)
{
    uintptr_t at = (uintptr_t)page;
    struct region *region = (struct region *)(at & ~(uintptr_t)(REGION_BYTES - 1));
    unsigned number = (unsigned)((at - (uintptr_t)region) / DRV_PAGE_BYTES);
    uint64_t bit = UINT64_C(1) << number;
    DRV_ASSERT(number > 0 && number < REGION_PAGES && (region->free & bit) == 0);
    if (region->free == 0) {
        drv_list_remove(&region->link);
        drv_list_push_front(&pages->regions, &region->link);
    }
    region->free |= bit;
    if (region->free == REGION_ALL && pages->count > 1) {
        region_unmap(pages, region);
    } else if (pages->resident < DRV_PAGES_SPARE) {
        region->resident |= bit;
        pages->resident++;
    } else {
        /* Purely advice: without it the memory goes back with the whole region. */
        (void)madvise(page, DRV_PAGE_BYTES, MADV_DONTNEED);
    }
}

void drv_pages_trim(struct drv_pages *pages)
{
    DRV_LIST_EACH(link, &pages->regions)
    {
        struct region *region = DRV_LIST_ITEM(link, struct region, link);
        for (; region->resident != 0; region->resident &= region->resident - 1) {
            size_t number = (size_t)__builtin_ctzll(region->resident);
            (void)madvise((uint8_t *)region + number * DRV_PAGE_BYTES, DRV_PAGE_BYTES,
                          MADV_DONTNEED);
            pages->resident--;
        }
    }
}
