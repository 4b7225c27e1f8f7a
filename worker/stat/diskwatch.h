/*
 * diskwatch.h: asks file systems in a thread of its own, which may hang without anybody
 * waiting.
 *
 *     sampler ──ask──> (thread: stat_disk_read) ──latest──> sampler
 *
 * A file system that does not answer holds up this thread only: the numbers become stale, and
 * say so, until it answers. Even the end does not wait for it: a thread that hangs is left
 * behind and gives its memory back should it ever return. One asking thread.
 */
#ifndef WORKER_STAT_DISKWATCH_H
#define WORKER_STAT_DISKWATCH_H

#include "stat/disk.h"

#include <drover/status.h>

enum { STAT_DISK_PATIENCE_MS = 50 }; /* how long an answer is waited for */

struct stat_diskwatch;

/* root: copied. Starts the thread. OK, NOMEM, IO. */
DROVER_MUST_USE drover_status stat_diskwatch_new(const char *root, stat_disk_ask_fn ask,
                                                 struct stat_diskwatch **out_watch);
void stat_diskwatch_destroy(struct stat_diskwatch **watch);

/*
 * Asks anew and waits for STAT_DISK_PATIENCE_MS at most, not at all while an earlier question
 * has no answer. Returns the latest numbers, NULL before the first, borrowed until the next
 * call; *out_is_stale: they are not this question's.
 */
const struct stat_disk *stat_diskwatch_ask(struct stat_diskwatch *watch, bool *out_is_stale);

#endif
