/*
 * child.h: one program of a private pool, seen from its keeper: its process, the line that says
 * that it is ready, and what it writes to stderr.
 *
 * Until it is ready, what it writes is held back: if it fails, its last line is the reason and
 * goes to the caller, who has asked. Later it goes to stderr as it comes, with backpressure.
 */
#ifndef CHILD_H
#define CHILD_H

#include "keeper.h"

#include <drover/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { CHILD_HELD_MAX = 8192 };

struct child {
    const char *name; /* for messages, borrowed */
    pid_t pid;        /* 0: none */
    int out;          /* owned; its stdout; -1: none, or at its end */
    int err;          /* owned; its stderr; the same */
    bool is_ready;
    char line[KEEPER_TEXT_MAX]; /* its first line so far; NUL-terminated once it is ready */
    size_t line_len;
    char held[CHILD_HELD_MAX]; /* of its stderr, not shown yet */
    size_t held_len;
};

void child_init(struct child *child, const char *name);
void child_fini(struct child *child); /* closes; the process is the keeper's to end */

/*
 * Starts the program at path; it dies with this process. mark: an environment variable to be
 * set to 1 for it; NULL: none. What exec says is on its stderr. OK or LIMIT.
 */
DROVER_MUST_USE drover_status child_start(struct child *child, const char *path,
                                          char *const *arguments, const char *mark);

/* Reads what is there of stdout; is_ready when its first line was one of readiness. */
void child_read_out(struct child *child);

/* The value of a word KEY=VALUE in that line; "" when it has none. */
void child_ready_value(const struct child *child, const char *key, char *out_text, size_t size);

/* Whether there is room to read its stderr, and whether some waits to be shown. */
bool child_wants_err(const struct child *child);
bool child_has_words(const struct child *child);

/* Reads what is there of stderr. */
void child_read_err(struct child *child);

/* Writes some of what waits to stderr, which must be writable. */
void child_show(struct child *child);

/* Why it has ended, in words, from its exit status and its last line. Takes what it wrote from
 * what is to be shown if that was all about it. OK never; INVALID for wrong usage. */
drover_status child_explain(struct child *child, int wait_status, char *out_text, size_t size);

#endif
