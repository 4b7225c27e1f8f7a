/*
 * proctree.h: finding and ending the descendants of this process.
 *
 * A process that is a subreaper (PR_SET_CHILD_SUBREAPER) becomes the parent of every descendant
 * whose own parent has died. So a whole tree can be ended without ever naming a process that is
 * not our child: kill the children, reap them, and look again, until there are none. A pid of a
 * child cannot be reused before we reap it, so no stranger is ever hit.
 *
 * A process that forks faster than it is found and killed would escape for as long as it keeps
 * doing that; nothing short of a cgroup prevents it.
 */
#ifndef DRV_PROCTREE_H
#define DRV_PROCTREE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum {
    DRV_PROCTREE_CHILDREN_MAX = 4096, /* children found by one look */
};

/*
 * Whether a child may live. Must be quick.
 */
typedef bool (*drv_proctree_keep_fn)(void *context, pid_t child);

/*
 * Sends SIGKILL to every child of this process that `keep` does not want (NULL: all of them).
 * Returns how many there are, zombies included; -1 when /proc cannot be read.
 */
int drv_proctree_kill_children(drv_proctree_keep_fn keep, void *context);

/*
 * Kills and reaps until no child is left but those that `keep` wants. Blocks until they are
 * dead: for long only if one is stuck in the kernel.
 */
void drv_proctree_end_children(drv_proctree_keep_fn keep, void *context);

/* Whether this process has no children, ended ones included. Much cheaper than to look for
 * them. */
bool drv_proctree_has_no_children(void);

/* The children of this process, in no order, up to `max`. Returns the count, -1 without /proc.
 */
int drv_proctree_children(pid_t *out_children, size_t max);

#endif
