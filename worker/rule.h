/*
 * Rules: how single task types are run, from the sections [type.NAME] of the configuration file
 * and from --type NAME:KEY=VALUE[,KEY=VALUE]...
 *
 *     [type.resize]
 *     model = thread
 *     concurrency = 2
 *
 * Keys: model (prefork, thread, fork, exec), concurrency (1 to the most slots of a worker), and
 * for what is no configured command those of confine_key.h. What they mean stands in pool.h. A
 * key that comes again replaces what was said before, so options, which are read last, win.
 */
#ifndef WORKER_RULE_H
#define WORKER_RULE_H

#include "arena.h"
#include "config.h"
#include "confine_key.h"
#include "pool.h"

#include <stddef.h>

enum { WORKER_RULES_MAX = 16384 };

struct worker_rules {
    struct drv_arena arena;  /* the names */
    struct pool_rule *items; /* owned */
    size_t count, capacity;
};

void worker_rules_init(struct worker_rules *rules);
void worker_rules_fini(struct worker_rules *rules);

/* For struct drv_option_section; context is the struct worker_rules. */
drover_status worker_rules_entry(void *context, const struct drv_config_entry *entry,
                                 struct drv_problem *problem);

/* One value of --type. OK, INVALID, NOMEM. */
DROVER_MUST_USE drover_status worker_rules_option(struct worker_rules *rules, const char *text,
                                                  struct drv_problem *problem);

/* After the last: whether what they keep types to can be done. OK, INVALID, NOMEM. */
DROVER_MUST_USE drover_status worker_rules_check(struct worker_rules *rules,
                                                 struct confine_programs *programs,
                                                 struct drv_problem *problem);

#endif
