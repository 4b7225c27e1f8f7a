/*
 * detached.h: starts a program that the host program never notices.
 *
 *     calling thread ──clone──> step ──clone──> exec of the program
 *         waits, reaps           ends at once    belongs to init from now on
 *
 * Why not posix_spawn: its child is one of the host program, which gets SIGCHLD for it and may
 * reap it in a wait() of its own. Here the child that lives is no child of ours, and the one
 * in between has no exit signal: no handler runs, no wait() but the one here sees it. As with
 * posix_spawn nothing of the host's memory is copied, and nothing runs in between but system
 * calls, so that it may be called from any thread at any time.
 *
 * A host that is a subreaper, or process 1, adopts what has lost its parent, and so the
 * program: it then gets SIGCHLD when that ends, as for every other orphan.
 */
#ifndef DRV_CLIENT_DETACHED_H
#define DRV_CLIENT_DETACHED_H

#include <drover/status.h>

#include <stddef.h>

/*
 * Starts the program at path in a session of its own, with the caller's environment and working
 * directory. It inherits the standard streams, the descriptors that are not close-on-exec, and
 * those of `keep`, whatever they are; all signals are blocked in it. Whether exec worked is not
 * told: it is seen by the end of a kept descriptor. Blocks for the length of an exec.
 * OK or LIMIT (no more processes or memory).
 */
DROVER_MUST_USE drover_status drv_detached_start(const char *path, char *const *arguments,
                                                 const int *keep, size_t keep_count);

#endif
