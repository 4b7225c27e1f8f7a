/*
 * words.h: lists of words from the configuration file, split as a command line is but without a
 * shell: at spaces, which "..." and '...' keep, as a backslash keeps the next character.
 */
#ifndef WORKER_WORDS_H
#define WORKER_WORDS_H

#include "arena.h"
#include "problem.h"

#include <drover/drover.h>

#include <stddef.h>

enum { WORDS_MAX = 256 };

/* Appends the words of a text to a list that lives in the arena. OK; INVALID: a quote is left
 * open, there are too many; NOMEM. */
DROVER_MUST_USE drover_status words_append(struct drv_arena *arena, const char *const **list,
                                           size_t *count, const char *text,
                                           struct drv_problem *problem);

/* Appends the text as one word. */
DROVER_MUST_USE drover_status words_append_one(struct drv_arena *arena,
                                               const char *const **list, size_t *count,
                                               const char *word, struct drv_problem *problem);

#endif
