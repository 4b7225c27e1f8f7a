/*
 * after_story.h: the words for stories about tasks that wait for others.
 */
#ifndef TESTS_BROKER_AFTER_STORY_H
#define TESTS_BROKER_AFTER_STORY_H

#include "restore_story.h"

enum { PARENTS_MAX = 64 };

static inline struct drv_after after_of(uint32_t number, uint32_t index, uint32_t when)
{
    return (struct drv_after){.id = id_of(number), .index = index, .when = when};
}

/* Submits one task that waits; the reply is for the caller. */
static inline void submit_after(struct bench *bench, uint32_t peer, uint32_t number,
                                const struct drv_after *after, size_t count)
{
    struct drv_spec spec = spec_of("work");
    spec.after = after;
    spec.after_count = count;
    submit(bench, peer, &spec, number);
    bench_turn(bench);
}

/* The same with one parent that must succeed. */
static inline void submit_child(struct bench *bench, uint32_t peer, uint32_t number,
                                uint32_t parent)
{
    struct drv_after after = after_of(parent, DROVER_INDEX_NONE, 1);
    submit_after(bench, peer, number, &after, 1);
    expect_ok(bench, peer);
}

static inline const struct drv_reply *fetch(struct bench *bench, uint32_t peer, uint32_t number,
                                            uint32_t index)
{
    struct drv_message message = request(bench, peer, DRV_FETCH);
    message.fetch = (struct drv_fetch){id_of(number), index};
    speak(bench, peer, &message);
    bench_tick(bench);
    return reply(bench, peer);
}

/* 0: there is no such task. */
static inline uint32_t state_of(struct bench *bench, uint32_t peer, uint32_t number)
{
    const struct drv_reply *answer = fetch(bench, peer, number, DROVER_INDEX_NONE);
    return answer->code == DROVER_UNKNOWN ? 0 : (uint32_t)answer->number;
}

static inline void expect_state(struct bench *bench, uint32_t peer, uint32_t number,
                                uint32_t state)
{
    uint32_t found = state_of(bench, peer, number);
    if (found != state) {
        fail_msg("task %u is %s", number,
                 found == 0 ? "not there" : drover_state_name((enum drover_state)found));
    }
}

static inline void await(struct bench *bench, uint32_t peer, struct drv_ref ref,
                         const uint32_t *numbers, size_t count)
{
    drover_id children[16];
    assert_true(count <= 16);
    for (size_t i = 0; i < count; i++) {
        children[i] = id_of(numbers[i]);
    }
    struct drv_message message = {.kind = DRV_AWAIT, .await = {ref, children, count, 0}};
    speak(bench, peer, &message);
    bench_turn(bench);
}

/* The entry of the next lease, which must be alone in its message. */
static inline const struct drv_lease_entry *lease_entry(struct bench *bench, uint32_t peer)
{
    const struct drv_message *message = expect(bench, peer, DRV_LEASE);
    assert_int_equal(message->lease.group_count, 1);
    assert_int_equal(message->lease.groups[0].entry_count, 1);
    return &message->lease.groups[0].entries[0];
}

static inline void done(struct bench *bench, uint32_t peer, struct drv_ref ref)
{
    report_done(bench, peer, ref, "done");
    bench_turn(bench);
}

#endif
