/*
 * sandbox.h: what this worker keeps its handlers to, told in its log and its statistics.
 *
 * What holds for all of them (process groups, no new privileges) is told beside what the kernel
 * and this build could do, and the types that are kept to more, each with its settings.
 */
#ifndef WORKER_SANDBOX_H
#define WORKER_SANDBOX_H

#include "conceal.h"
#include "group.h"
#include "log.h"
#include "settings.h"
#include "stat/details.h"

/* What is told: all borrowed, and not changed while it is. */
struct sandbox {
    const struct worker_settings *settings;
    const struct group_tree *groups;
    const char *why; /* there are no control groups; "" when there are */
    const struct conceal *conceal;
};

/* The map `sandbox` of a heartbeat's details. context: const struct sandbox. */
void sandbox_write(const void *context, struct stat_details *details);

/* A line for each type that is kept to something, and one about the key if there is one. */
void sandbox_log(const struct sandbox *sandbox, const struct drv_log *log);

#endif
