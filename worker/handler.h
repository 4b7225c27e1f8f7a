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
 * raw), content-type, cwd, environment (names, between spaces), max-output (a size), and those
 * of confine_key.h. What they mean stands in pool.h and confine.h.
 */
#ifndef WORKER_HANDLER_H
#define WORKER_HANDLER_H

#include "arena.h"
#include "config.h"
#include "confine_key.h"
#include "pool.h"

#include <stddef.h>

enum { WORKER_HANDLERS_MAX = 1024 };

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

/* After the last entry: whether every section is complete, and can be kept to. OK, INVALID,
 * NOMEM. */
DROVER_MUST_USE drover_status worker_handlers_check(struct worker_handlers *handlers,
                                                    struct confine_programs *programs,
                                                    struct drv_problem *problem);

#endif
