/*
 * cgroup.h: what the control group of this process leaves it, and how much of it is used.
 *
 * Knows the unified hierarchy (v2), the older one (v1) and both at once. Every ancestor's limit
 * counts: the least is in force, and the use that is told beside it is that of the group which
 * has this limit. Without a limit it is the use of the own group. Inside a container the path
 * in /proc/self/cgroup may lead outside of what is mounted; then the mounted root is looked at.
 * All paths begin with `root`, so that tests bring their own tree ("": the real one).
 */
#ifndef WORKER_STAT_CGROUP_H
#define WORKER_STAT_CGROUP_H

#include "stat/details.h"

#include <stdint.h>

/* CPUs (a fraction is usual) or 0 when there is no quota. */
double stat_cgroup_cpus(const char *root);

#define STAT_NO_LIMIT UINT64_MAX

/* A limit and its use; both are unknown when `is_known` is false. */
struct stat_bound {
    bool is_known;
    uint64_t limit; /* STAT_NO_LIMIT */
    uint64_t used;
};

struct stat_cgroup {
    const char *root; /* borrowed */
    unsigned version; /* 2: all is v2; 1: something is v1; 0: no control groups */
    double cpus;      /* quota; 0: none */
    struct stat_bound memory, swap, pids;
    bool has_cpu;                     /* the following are known */
    uint64_t cpu_us;                  /* used since the group was made */
    uint64_t throttled, throttled_us; /* times and time it was held up by its quota */
    double cpu_percent;               /* of one processor, since the reading before */
    bool has_sample;
    int64_t at_us;
};

void stat_cgroup_init(struct stat_cgroup *group, const char *root);

/* now_us: monotonic. */
void stat_cgroup_read(struct stat_cgroup *group, int64_t now_us);

/* The map `cgroup` of a heartbeat's details. */
void stat_cgroup_write(const struct stat_cgroup *group, struct stat_details *details);

#endif
