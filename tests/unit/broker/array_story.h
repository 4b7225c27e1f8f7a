/*
 * array_story.h: the words for stories about arrays.
 */
#ifndef TESTS_BROKER_ARRAY_STORY_H
#define TESTS_BROKER_ARRAY_STORY_H

#include "fixture.h"

enum { ARRAY_ITEMS_MAX = 1024 };

static inline void array_open_with(struct bench *bench, uint32_t peer,
                                   const struct drv_spec *spec, uint32_t number,
                                   struct drv_val with)
{
    struct drv_message message = request(bench, peer, DRV_ARRAY_OPEN);
    message.array_open = (struct drv_array_open){
        .id = id_of(number), .spec = *spec, .with = with};
    speak(bench, peer, &message);
    bench_tick(bench);
}

static inline void array_opened(struct bench *bench, uint32_t peer, const struct drv_spec *spec,
                                uint32_t number)
{
    array_open_with(bench, peer, spec, number, val_nil());
    expect_ok(bench, peer);
}

static inline void array_vals(struct bench *bench, uint32_t peer, uint32_t number,
                              uint32_t first, const struct drv_val *vals, uint32_t count)
{
    struct drv_message message = request(bench, peer, DRV_ARRAY_ITEMS);
    message.array_items = (struct drv_array_items){
        .id = id_of(number), .first = first, .items = vals, .item_count = count};
    speak(bench, peer, &message);
    bench_tick(bench);
}

/* The same value `count` times. */
static inline void array_items(struct bench *bench, uint32_t peer, uint32_t number,
                               uint32_t first, uint32_t count, const char *value)
{
    struct drv_val vals[ARRAY_ITEMS_MAX];
    assert_true(count <= ARRAY_ITEMS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        vals[i] = val_of(value);
    }
    array_vals(bench, peer, number, first, vals, count);
}

static inline void array_filled(struct bench *bench, uint32_t peer, uint32_t number,
                                uint32_t first, uint32_t count)
{
    array_items(bench, peer, number, first, count, "item");
    expect_ok(bench, peer);
}

static inline void array_seal_as(struct bench *bench, uint32_t peer, uint32_t number,
                                 uint32_t count)
{
    struct drv_message message = request(bench, peer, DRV_ARRAY_SEAL);
    message.array_seal = (struct drv_array_seal){.id = id_of(number), .count = count};
    speak(bench, peer, &message);
    bench_tick(bench);
}

static inline void array_sealed(struct bench *bench, uint32_t peer, uint32_t number,
                                uint32_t count)
{
    array_seal_as(bench, peer, number, count);
    expect_ok(bench, peer);
}

/* A whole array of equal items, opened, filled and sealed. */
static inline void array_of(struct bench *bench, uint32_t peer, const struct drv_spec *spec,
                            uint32_t number, uint32_t count)
{
    array_opened(bench, peer, spec, number);
    for (uint32_t first = 0; first < count; first += ARRAY_ITEMS_MAX) {
        uint32_t left = count - first;
        array_filled(bench, peer, number, first,
                     left < ARRAY_ITEMS_MAX ? left : ARRAY_ITEMS_MAX);
    }
    array_sealed(bench, peer, number, count);
}

/* The one note of the reply to the last request. */
static inline void expect_note(struct bench *bench, uint32_t peer, uint32_t position,
                               drover_status code)
{
    const struct drv_reply *answer = reply(bench, peer);
    assert_ok(answer->code);
    assert_int_equal(answer->note_count, 1);
    assert_int_equal(answer->notes[0].position, position);
    assert_int_equal(answer->notes[0].code, code);
}

static inline void expect_refused(struct bench *bench, uint32_t peer, drover_status code)
{
    assert_int_equal(reply(bench, peer)->code, code);
}

/* Everything that waits in the inbox as results, one after the other. */
static inline size_t outcomes(struct bench *bench, uint32_t peer, struct drv_outcome *out,
                              size_t max)
{
    size_t count = 0;
    const struct drv_message *message;
    while ((message = find(bench, peer, DRV_RESULTS)) != NULL) {
        for (size_t i = 0; i < message->results.entry_count; i++) {
            assert_true(count < max);
            out[count++] = message->results.entries[i];
        }
    }
    return count;
}

/* Client 1, and worker 2 that offers "work". */
static inline void setup_peers(struct bench *bench, uint32_t slots)
{
    client(bench, 1);
    worker(bench, 2, "work", slots);
}

#endif
