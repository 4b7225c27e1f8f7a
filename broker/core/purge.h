/*
 * purge.h: cancels all that waits in a queue, or all that has not ended in a group, in slices.
 *
 * A purge of a queue:
 * What runs goes on. What a worker holds and has not reported as started is asked back; who
 * waits for the purge waits for these answers, too. What comes into the queue after the purge
 * was asked for stays.
 */
#ifndef CORE_PURGE_H
#define CORE_PURGE_H

#include "queue.h"

struct group;
struct reply;

/* Purges of one queue that may go on at the same time. */
enum { PURGES_MAX = 8 };

/* Begin. The reply is answered at the end with the number of tasks; `busy` when too many go on.
 */
void queue_purge(struct core *core, struct queue *queue, struct reply *reply);

/* The same for a group; what runs is stopped, too, and arrays take no more elements. The reply
 * is answered when nothing of it can start any more. */
void group_cancel(struct core *core, struct group *group, struct drv_str reason,
                  struct reply *reply);

#endif
