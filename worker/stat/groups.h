/*
 * groups.h: which statistics a worker tells: --stats.
 */
#ifndef WORKER_STAT_GROUPS_H
#define WORKER_STAT_GROUPS_H

#include "problem.h"

#include <stdbool.h>
#include <stddef.h>

enum { STAT_GROUPS_TOP_MAX = 1000 }; /* processes:N */

struct stat_groups {
    bool host, net, disk, cgroup, executors;
    size_t processes; /* how many of the busiest and of the largest: 0 none, SIZE_MAX all */
};

/*
 * "host,net,disk,cgroup,processes:20,executors"; `all` is each of them (processes:10), `none`
 * nothing, and alone. What comes later counts. OK, or INVALID with one line in *problem.
 */
DROVER_MUST_USE drover_status stat_groups_parse(const char *text,
                                                struct stat_groups *out_groups,
                                                struct drv_problem *problem);

bool stat_groups_is_none(const struct stat_groups *groups);

#endif
