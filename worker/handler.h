/*
 * Handlers that are commands, from the sections [handler.TYPE] of the configuration file.
 *
 *     [handler.thumbnail]
 *     command = /usr/bin/convert - -resize 100x100 png:-
 *     stdin = text
 *     stdout = raw
 *     content-type = image/png
 *
 * `command` is split at spaces; "..." and '...' keep spaces, a backslash keeps the next
 * character; there is no shell. `argument`, any number of them, adds one whole argument. The
 * other keys: persist (yes or no), stdin (json, text, msgpack, none), stdout (auto, text, json,
 * raw), content-type, cwd, environment (names, between spaces), max-output (a size); read and
 * write (absolute paths, between spaces, also several times), limit-memory, limit-file-size
 * (sizes), limit-cpu (a time), limit-files (a number). What they mean stands in pool.h and
 * confine.h.
 */
#ifndef WORKER_HANDLER_H
#define WORKER_HANDLER_H

#include "arena.h"
#include "config.h"
#include "pool.h"

#include <stddef.h>

enum {
    WORKER_HANDLERS_MAX = 1024,
    WORKER_ARGUMENTS_MAX = 256,
};

struct worker_handlers {
    struct drv_arena arena;        /* texts, argument vectors */
    struct pool_command *commands; /* owned */
    size_t count;
};

void worker_handlers_init(struct worker_handlers *handlers);
void worker_handlers_fini(struct worker_handlers *handlers);

/* For struct drv_option_section; context is the struct worker_handlers. */
drover_status worker_handlers_entry(void *context, const struct drv_config_entry *entry,
                                    struct drv_problem *problem);

/* After the last entry: whether every section is complete. OK or INVALID. */
DROVER_MUST_USE drover_status worker_handlers_check(const struct worker_handlers *handlers,
                                                    struct drv_problem *problem);

#endif
