#include "roll.h"

#include <stdio.h>
#include <stdlib.h>

static void add_task(const struct worker_session *session, int64_t now_us,
                     const struct pool_executor_info *info, struct stat_executor *executor)
{
    struct drv_ref ref;
    int64_t run_us = 0;
    executor->has_task = info->token != 0 && info->type != NULL &&
                         worker_session_find_task(session, info->token, now_us, &ref, &run_us);
    if (executor->has_task) {
        (void)snprintf(executor->type, sizeof executor->type, "%s", info->type);
        executor->id = ref.id;
        executor->index = ref.index;
        executor->attempt = ref.attempt;
        executor->task_ms = (uint64_t)run_us / 1000;
    }
}

struct stat_roll *worker_roll_new(const struct pool *pool, const struct worker_session *session,
                                  int64_t now_us)
{
    size_t count = pool_executor_count(pool);
    struct stat_roll *roll = calloc(1, sizeof *roll + count * sizeof roll->list[0]);
    if (roll == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        struct pool_executor_info info;
        pool_executor_at(pool, i, &info);
        if (info.state == POOL_EXECUTOR_DOWN) {
            continue; /* nothing to show: it waits for its first command, or to be started */
        }
        struct stat_executor *executor = &roll->list[roll->count++];
        executor->pid = info.pid;
        executor->thread = info.thread;
        executor->state = pool_executor_state_name(info.state);
        executor->model = pool_model_name(info.model);
        executor->done = info.done;
        executor->crashes = info.crashes;
        executor->uptime_ms = info.pid != 0 && now_us > info.started_at_us
                                  ? (uint64_t)(now_us - info.started_at_us) / 1000
                                  : 0;
        add_task(session, now_us, &info, executor);
    }
    return roll;
}
