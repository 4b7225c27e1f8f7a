/*
 * group.h: control groups (v2) for what runs tasks.
 *
 *   the worker's own group           was given to it: Delegate= of systemd, a container
 *    ├── drover-agent                the agent and the zygote, and executors of commands
 *    ├── drover-0                    an executor, or the command of one: by slot at the zygote
 *    ├── drover-1
 *    ...
 *
 * A group holds an executor with all that descends from it, or what an executor of commands has
 * started, and nothing else. So the kernel keeps its limits on memory and tasks exactly, counts
 * its processor time with that of descendants nobody has waited for, and ends all of it at once
 * (cgroup.kill), faster than it can fork.
 *
 * Nothing is assumed: group_tree_open looks whether all that is needed is there, by using it,
 * and leaves everything as it was when it is not. A process with the worker's user can change
 * what is written here: the groups are for tasks that go wrong, not for those that mean harm
 * (who wants that names a user, confine.h).
 *
 * All paths begin with the root that was given, so that tests bring their own folder.
 */
#ifndef WORKER_GROUP_H
#define WORKER_GROUP_H

#include "message.h"
#include "problem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    GROUP_DIR_MAX = 2048,
    /* The kernel counts threads where a limit on processes counts processes, which are looked
     * at (pool_limit.c). So this many for each of them: enough for programs with threads, and a
     * bound for those that fork without end between two looks. */
    GROUP_THREADS_EACH = 64,
};

struct group_tree {
    char dir[GROUP_DIR_MAX]; /* of the worker's own group; "": there are no groups */
    bool has_control;        /* controllers were switched on for those below it */
};

/*
 * Finds the group of this process (`self`), moves it into a leaf below, clears away what an
 * earlier life has left there, and switches the controllers on. root: "" for the real tree.
 * To be called by a process that is alone in its group and has forked nothing yet.
 * OK; UNSUPPORTED with the reason in *why, and nothing has changed.
 */
DROVER_MUST_USE drover_status group_tree_open(struct group_tree *tree, const char *root,
                                              pid_t self, struct drv_problem *why);

/* Ends what is left in the groups, removes them, and moves this process back to where it was.
 */
void group_tree_close(struct group_tree *tree);

/* ---- one group: all take the directory of the tree and the number of the group --------------
 */

/* Makes it, empty and without limits. What has its name is ended and removed first. */
bool group_make(const char *dir, uint32_t number);

/* Moves the calling process into it. May take some milliseconds, in which nothing in the system
 * can fork. Async-signal-safe but for stdio's formatting. */
bool group_join(const char *dir, uint32_t number);

/* Its directory, for CLONE_INTO_CGROUP; -1. */
int group_open(const char *dir, uint32_t number);

/* Writes the limits that are set, on memory and processes. */
bool group_limit(const char *dir, uint32_t number, const struct drv_bounds *limits);

struct group_use {
    uint64_t cpu_us, user_us, system_us; /* of all that ever was in it */
    uint64_t processes;                  /* now */
    uint64_t oom_kills; /* processes that the kernel ended for want of memory */
};

/* False: there is no such group. */
bool group_read(const char *dir, uint32_t number, struct group_use *out_use);

/* SIGKILL for all that is in it, at once. Nothing when there is no such group. */
void group_kill(const char *dir, uint32_t number);

/* Removes it; false when something still lives in it. True when there is none. */
bool group_remove(const char *dir, uint32_t number);

/* The name of the leaf that the agent is in. */
#define GROUP_AGENT "drover-agent"

#endif
