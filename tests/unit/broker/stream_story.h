/*
 * stream_story.h: subscribers of a core under test.
 */
#ifndef TESTS_BROKER_STREAM_STORY_H
#define TESTS_BROKER_STREAM_STORY_H

#include "fixture.h"

static inline const struct drv_reply *subscribe(struct bench *bench, uint32_t peer,
                                                const struct drv_subscribe *wanted)
{
    struct drv_message message = request(bench, peer, DRV_SUBSCRIBE);
    message.subscribe = *wanted;
    speak(bench, peer, &message);
    bench_turn(bench);
    return reply(bench, peer);
}

/* A subscription to events of these kinds. */
static inline void subscribe_events(struct bench *bench, uint32_t peer, uint64_t number,
                                    uint64_t mask)
{
    struct drv_subscribe wanted = {.subscription = number,
                                   .stream = DRV_STREAM_EVENTS,
                                   .mask = mask,
                                   .index = DROVER_INDEX_NONE};
    assert_ok(subscribe(bench, peer, &wanted)->code);
}

static inline void subscribe_logs(struct bench *bench, uint32_t peer, uint64_t number,
                                  uint32_t task, uint32_t index, uint32_t flags)
{
    struct drv_subscribe wanted = {.subscription = number,
                                   .stream = DRV_STREAM_LOGS,
                                   .flags = flags,
                                   .has_id = true,
                                   .id = id_of(task),
                                   .index = index};
    assert_ok(subscribe(bench, peer, &wanted)->code);
}

static inline void taken(struct bench *bench, uint32_t peer, uint64_t number, uint64_t upto)
{
    struct drv_taken_entry entry = {number, upto};
    struct drv_message message = {.kind = DRV_TAKEN, .taken = {&entry, 1}};
    speak(bench, peer, &message);
}

/* Whether entry `position` of the message is the event of this name. */
static inline bool event_is(const struct drv_events *events, size_t position, const char *name)
{
    size_t at = 0;
    assert_true(position < events->entry_count);
    for (size_t i = 0; i < position; i++) {
        at += events->entries[i].len;
    }
    /* Every map begins with its header of five bytes, then the key "event". */
    const char *map = events->maps.ptr + at + 5;
    size_t len = strlen(name);
    return memcmp(map,
                  "\xa5"
                  "event",
                  6) == 0 &&
           (unsigned char)map[6] == (0xa0 | len) && memcmp(map + 7, name, len) == 0;
}

/* The bytes of entry `position`. */
static inline struct drv_str event_map(const struct drv_events *events, size_t position)
{
    size_t at = 0;
    for (size_t i = 0; i < position; i++) {
        at += events->entries[i].len;
    }
    return (struct drv_str){events->maps.ptr + at, events->entries[position].len};
}

/* Whether the map contains these bytes: a key with its value as msgpack, say. */
static inline bool map_has(struct drv_str map, const char *bytes)
{
    return memmem(map.ptr, map.len, bytes, strlen(bytes)) != NULL;
}

/* The next message of events consists of just these. */
static inline const struct drv_events *expect_events(struct bench *bench, uint32_t peer,
                                                     const char *const *names)
{
    const struct drv_events *events = &expect(bench, peer, DRV_EVENTS)->events;
    size_t count = 0;
    for (; names[count] != NULL; count++) {
        if (count >= events->entry_count || !event_is(events, count, names[count])) {
            fail_msg("event %zu is not %s", count, names[count]);
        }
    }
    assert_int_equal(events->entry_count, count);
    return events;
}

#define EXPECT_EVENTS(bench, peer, ...) \
    expect_events(bench, peer, (const char *const[]){__VA_ARGS__, NULL})

/* --- output ------------------------------------------------------------------------------ */

/* A worker that knows FOLLOW. */
static inline void logging_worker(struct bench *bench, uint32_t peer, const char *type,
                                  uint32_t slots, uint32_t lease_count)
{
    static const struct drv_str capability = {"logs", 4};
    struct drv_offer offer = {.name = text(type)};
    bench->boxes[peer].port = CORE_PORT_WORKER;
    struct drv_message message = {.kind = DRV_HELLO};
    message.hello = (struct drv_hello){.version_min = 1,
                                       .version_max = 1,
                                       .role = DRV_ROLE_WORKER,
                                       .session = id_of(8000 + peer),
                                       .resume = lease_count > 0,
                                       .name = text("worker"),
                                       .capabilities = &capability,
                                       .capability_count = 1,
                                       .credit_items = slots,
                                       .credit_bytes = 1 << 20,
                                       .has_worker = true,
                                       .worker = {.slots = slots,
                                                  .host = text("host"),
                                                  .types = &offer,
                                                  .type_count = 1,
                                                  .lease_count = lease_count,
                                                  .model = DRV_MODEL_PREFORK}};
    speak(bench, peer, &message);
    bench_turn(bench);
}

static inline void say(struct bench *bench, uint32_t peer, struct drv_ref ref, uint32_t stream,
                       uint64_t offset, const char *what, uint32_t flags)
{
    struct drv_message message = {.kind = DRV_LOG,
                                  .log = {.ref = ref,
                                          .stream = stream,
                                          .offset = offset,
                                          .flags = flags,
                                          .text = text(what)}};
    speak(bench, peer, &message);
    bench_turn(bench);
}

/* The worker is asked for just one lease; returns the streams. */
static inline uint32_t followed(struct bench *bench, uint32_t peer, struct drv_ref ref)
{
    const struct drv_follow *follow = &expect(bench, peer, DRV_FOLLOW)->follow;
    assert_int_equal(follow->lease_count, 1);
    assert_true(drover_id_equal(&follow->leases[0].ref.id, &ref.id));
    assert_int_equal(follow->leases[0].ref.index, ref.index);
    assert_int_equal(follow->leases[0].ref.attempt, ref.attempt);
    return follow->leases[0].streams;
}

/* The next LOGS has this text and state. */
static inline const struct drv_logs *expect_logs(struct bench *bench, uint32_t peer,
                                                 const char *what, uint32_t state)
{
    const struct drv_logs *logs = &expect(bench, peer, DRV_LOGS)->logs;
    if (!str_is(logs->text, what)) {
        fail_msg("output is \"%.*s\", not \"%s\"", (int)logs->text.len, logs->text.ptr, what);
    }
    assert_int_equal(logs->state, state);
    return logs;
}

/* A result that brings one piece of output along. */
static inline void report_done_with(struct bench *bench, uint32_t peer, struct drv_ref ref,
                                    uint64_t offset, const char *what)
{
    struct drv_piece piece = {
        .stream = DRV_OUTPUT_STDOUT, .offset = offset, .len = (uint32_t)strlen(what)};
    struct drv_result done = {.ref = ref,
                              .outcome = DRV_OUTCOME_SUCCEEDED,
                              .val = val_of("x"),
                              .error = {.exit_code = -1},
                              .run_us = 50,
                              .tail = {&piece, 1, text(what)}};
    report(bench, peer, &done);
    bench_turn(bench);
}

#endif
