/*
 * problem.h: one line for a person about what went wrong, beside a drover_status.
 */
#ifndef DRV_PROBLEM_H
#define DRV_PROBLEM_H

#include <drover/status.h>

#define DRV_PROBLEM_TEXT_MAX 512

struct drv_problem {
    char text[DRV_PROBLEM_TEXT_MAX]; /* NUL-terminated, escaped, no newline; "" for none */
};

/*
 * Sets the text, printf-like, cut to fit and escaped for a terminal; returns status, so that
 * one can write `return drv_problem_set(problem, DROVER_INVALID, ...)`. problem may be NULL.
 */
drover_status drv_problem_set(struct drv_problem *problem, drover_status status,
                              const char *format, ...) DROVER_PRINTF(3, 4);

/* Puts a prefix, treated likewise, before the text that is there; the end may be cut. */
void drv_problem_prefix(struct drv_problem *problem, const char *format, ...)
    DROVER_PRINTF(2, 3);

#endif
