/*
 * cgroup.h: how many CPUs the control group of this process leaves it.
 *
 * Knows the unified hierarchy (v2: cpu.max), the older one (v1: cpu.cfs_quota_us) and both at
 * once. Every ancestor's quota counts: the least is in force. Inside a container the path in
 * /proc/self/cgroup may lead outside of what is mounted; then the mounted root is looked at.
 * All paths begin with `root`, so that tests bring their own tree.
 */
#ifndef WORKER_STAT_CGROUP_H
#define WORKER_STAT_CGROUP_H

/* CPUs (a fraction is usual) or 0 when there is no quota. root: "" for the real tree. */
double stat_cgroup_cpus(const char *root);

#endif
