/*
 * generation.c: see generation.h.
 *
 * A page that the kernel gives to a child filled with zeros (MADV_WIPEONFORK, Linux 4.14)
 * tells a child that it is one; a counter beside it, which children inherit, tells how far down
 * the line. Where the kernel cannot do that the process number must do.
 */
#include "generation.h"

#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE_LEN sizeof(atomic_uint_least64_t)

/* What all processes of the line have counted; never below what any page of it holds. */
static atomic_uint_least64_t counted;
/* The page, once there is one. */
static _Atomic(atomic_uint_least64_t *) page;

/* A page that children find empty; NULL when the kernel has none. */
static atomic_uint_least64_t *page_new(void)
{
    void *fresh = mmap(NULL, PAGE_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                       0);
    if (fresh == MAP_FAILED) {
        return NULL;
    }
    /* Emulators that accept every advice do not follow this one either. */
    if (madvise(fresh, PAGE_LEN, -1) == 0 || madvise(fresh, PAGE_LEN, MADV_WIPEONFORK) != 0) {
        (void)munmap(fresh, PAGE_LEN);
        return NULL;
    }
    return fresh;
}

static atomic_uint_least64_t *page_ensure(void)
{
    atomic_uint_least64_t *known = atomic_load_explicit(&page, memory_order_acquire);
    if (known != NULL) {
        return known;
    }
    atomic_uint_least64_t *fresh = page_new();
    if (fresh != NULL && !atomic_compare_exchange_strong(&page, &known, fresh)) {
        (void)munmap(fresh, PAGE_LEN); /* another thread was faster */
        return known;
    }
    return fresh;
}

uint64_t drv_generation(void)
{
    atomic_uint_least64_t *mine = page_ensure();
    if (mine == NULL) {
        return (uint64_t)getpid();
    }
    uint64_t number = atomic_load_explicit(mine, memory_order_relaxed);
    if (number == 0) {
        uint64_t none = 0;
        number = atomic_fetch_add(&counted, 1) + 1;
        if (!atomic_compare_exchange_strong(mine, &none, number)) {
            number = none; /* another thread was faster */
        }
    }
    return number;
}
