/*
 * check.h: assertions for our own bugs, and two idioms.
 *
 * DRV_ASSERT stays on in every build. It is never used on anything that a peer, a file or a
 * user can influence.
 */
#ifndef DRV_CHECK_H
#define DRV_CHECK_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define DRV_ASSERT(condition) \
    ((condition) ? (void)0 : drv_assert_failed(#condition, __FILE__, __LINE__, __func__))

/* Marks a place that cannot be reached unless a caller broke its contract. */
#define DRV_UNREACHABLE() drv_assert_failed("unreachable", __FILE__, __LINE__, __func__)

#define DRV_ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

/* The struct of the given type whose member `pointer` points to. */
#define DRV_CONTAINER_OF(pointer, type, member) \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

_Noreturn static inline void drv_assert_failed(const char *condition, const char *file,
                                               int line, const char *function)
{
    (void)fprintf(stderr, "%s:%d: %s: assertion failed: %s\n", file, line, function, condition);
    abort();
}

#endif
