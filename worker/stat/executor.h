/*
 * executor.h: the executors of this worker, as its agent knows them and as the host sees them.
 *
 *     agent ──roll (who they are, what they run)──> sampler ──cpu, memory──> details
 */
#ifndef WORKER_STAT_EXECUTOR_H
#define WORKER_STAT_EXECUTOR_H

#include "message.h"
#include "stat/details.h"
#include "stat/procfile.h"

#include <drover/task.h>

enum { STAT_EXECUTORS_MAX = 1024 };

struct stat_executor {
    int32_t pid;       /* 0: there is none now */
    unsigned thread;   /* of the process, from 0, with which its use is told */
    const char *state; /* static, as model */
    const char *model;
    uint64_t done, crashes, uptime_ms;
    bool has_task; /* what follows is known */
    char type[DRV_NAME_MAX + 1];
    drover_id id;
    uint32_t index, attempt;
    uint64_t task_ms; /* how long it has run */
};

/* One per question, from malloc(). */
struct stat_roll {
    size_t count;
    struct stat_executor list[];
};

struct stat_executor_mark {
    int32_t pid;
    uint64_t started, ticks;
};

struct stat_executors {
    const char *root;                                    /* borrowed */
    struct stat_executor_mark marks[STAT_EXECUTORS_MAX]; /* of the last writing */
    size_t mark_count;
    int64_t at_us;
};

void stat_executors_init(struct stat_executors *executors, const char *root);

/*
 * The map `executors` of a heartbeat's details. What an executor uses is what it and everything
 * below it uses, a command that it runs included; processor shares are of one processor, since
 * the last writing. roll: at most STAT_EXECUTORS_MAX of them count.
 */
void stat_executors_write(struct stat_executors *executors, const struct stat_roll *roll,
                          int64_t now_us, struct stat_details *details);

#endif
