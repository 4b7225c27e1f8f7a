#include "allocator.h"

#include <stdlib.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

/* Larger blocks are mapped alone: the most that glibc allows. */
#define ALLOCATOR_ALONE_BYTES (32 * 1024 * 1024)
/* Free memory at the end of the heap that is kept. */
#define ALLOCATOR_SPARE_BYTES (64 * 1024 * 1024)

void drv_allocator_tune(void)
{
#ifdef __GLIBC__
    (void)mallopt(M_MMAP_THRESHOLD, ALLOCATOR_ALONE_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, ALLOCATOR_SPARE_BYTES);
#endif
}

void drv_allocator_trim(void)
{
#ifdef __GLIBC__
    (void)malloc_trim(0);
#endif
}
