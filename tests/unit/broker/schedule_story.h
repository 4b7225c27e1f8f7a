/*
 * schedule_story.h: schedules of a core under test.
 *
 * The story begins on 1970-01-12, a Monday, at 14:03:20 UTC.
 */
#ifndef TESTS_BROKER_SCHEDULE_STORY_H
#define TESTS_BROKER_SCHEDULE_STORY_H

#include "restore_story.h"
#include "stream_story.h"

#define HOUR (3600 * SECOND)

static inline const struct drv_reply *schedule_ask(struct bench *bench, uint32_t op,
                                                   const char *name,
                                                   const struct drv_plan *plan, uint32_t task)
{
    struct drv_message message = request(bench, 1, DRV_SCHEDULE);
    message.schedule = (struct drv_schedule_request){
        .op = op, .name = text(name), .has_plan = plan != NULL, .has_id = task != 0};
    if (plan != NULL) {
        message.schedule.plan = *plan;
    }
    if (task != 0) {
        message.schedule.id = id_of(task);
    }
    speak(bench, 1, &message);
    bench_turn(bench);
    return reply(bench, 1);
}

static inline struct drv_plan plan_every(uint64_t ms)
{
    return (struct drv_plan){.every_ms = ms, .spec = spec_of("work"), .val = val_of("payload")};
}

static inline struct drv_plan plan_cron(const char *cron)
{
    return (struct drv_plan){
        .cron = text(cron), .spec = spec_of("work"), .val = val_of("payload")};
}

static inline void schedule_add(struct bench *bench, const char *name,
                                const struct drv_plan *plan)
{
    const struct drv_reply *answer = schedule_ask(bench, DRV_SCHEDULE_ADD, name, plan, 0);
    if (answer->code != DROVER_OK) {
        fail_msg("%.*s", (int)answer->text.len, answer->text.ptr);
    }
}

/* Time passes, and the worker is heard of. */
static inline void live(struct bench *bench, int64_t us)
{
    int64_t until = bench->now + us;
    while (bench->now < until) {
        int64_t step = until - bench->now < SECOND ? until - bench->now : SECOND;
        bench_pass(bench, step);
        if (bench->boxes[2].epoch != 0) {
            heartbeat(bench, 2);
        }
    }
    bench_turn(bench);
}

/* The document of all schedules. */
static inline struct drv_str schedules_told(struct bench *bench)
{
    struct drv_message message = request(bench, 1, DRV_QUERY);
    message.query = (struct drv_query){.topic = DRV_TOPIC_SCHEDULES,
                                       .index = DROVER_INDEX_NONE};
    speak(bench, 1, &message);
    bench_turn(bench);
    return expect(bench, 1, DRV_DOCUMENT)->document.body;
}

/* The broker was killed and started again; the client is another one. */
static inline void come_back(struct bench *bench)
{
    reborn(bench);
    hello_client(bench, 1, 9100 + (uint32_t)bench->config.epoch, false);
    (void)welcomed(bench, 1);
    bench_turn(bench);
}

#endif
