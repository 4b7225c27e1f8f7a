/*
 * link_pair.c: see link_pair.h.
 */
#include "test.h"

#include "link_pair.h"

struct drv_link *link_make(uint64_t epoch, uint64_t window)
{
    const struct drv_link_config config = {
        .epoch = epoch, .window_out = window, .window_in = window, .ack_delay_us = 1000};
    struct drv_link *link = NULL;
    assert_ok(drv_link_new(&config, &link));
    return link;
}

int link_pair_setup(void **state)
{
    struct link_pair *pair = calloc(1, sizeof *pair);
    assert_non_null(pair);
    drv_arena_init(&pair->arena, MIB);
    pair->broker = link_make(LINK_EPOCH, MIB);
    pair->peer = link_make(LINK_EPOCH, MIB);
    pair->now_us = 1000000;
    *state = pair;
    return 0;
}

int link_pair_teardown(void **state)
{
    struct link_pair *pair = *state;
    drv_link_destroy(&pair->broker);
    drv_link_destroy(&pair->peer);
    drv_data_unref(&pair->blob);
    drv_arena_fini(&pair->arena);
    free(pair);
    return 0;
}

void link_drop(struct drv_frames *frames)
{
    drv_data_unref(&frames->head);
    drv_data_unref(&frames->blob);
}

drover_status link_receive(struct link_pair *pair, struct drv_link *to,
                           const struct drv_frames *frames)
{
    drv_data_unref(&pair->blob);
    if (frames->blob_len > 0) {
        assert_ok(drv_data_copy(frames->blob->bytes + frames->blob_offset, frames->blob_len,
                                &pair->blob));
    }
    uint8_t *head = drv_arena_copy(&pair->arena, frames->head->bytes, frames->head->len);
    assert_non_null(head);
    pair->reason = NULL;
    drover_status status = drv_link_receive(to, head, frames->head->len, pair->blob,
                                            frames->blob_len, pair->now_us, &pair->arena,
                                            &pair->message, &pair->reason);
    assert_true(status == DROVER_OK || pair->reason != NULL);
    return status;
}

struct drv_frames link_next(struct drv_link *link)
{
    struct drv_frames frames = {0};
    assert_true(drv_link_next(link, &frames));
    assert_non_null(frames.head);
    return frames;
}

unsigned link_deliver(struct link_pair *pair, struct drv_link *from, struct drv_link *to)
{
    struct drv_frames frames = link_next(from);
    unsigned kind = frames.kind;
    assert_ok(link_receive(pair, to, &frames));
    link_drop(&frames);
    return kind;
}

void link_expect_silence(struct drv_link *link)
{
    struct drv_frames frames;
    assert_false(drv_link_next(link, &frames));
}

void link_send_drain(struct drv_link *link, uint64_t token)
{
    const struct drv_message message = {.kind = DRV_DRAIN, .drain = {.on = true}};
    assert_ok(drv_link_send(link, &message, token));
}

drover_id link_id(unsigned number)
{
    drover_id id = {{0}};
    id.bytes[15] = (uint8_t)number;
    id.bytes[14] = (uint8_t)(number >> 8);
    return id;
}

struct drv_data *link_content(size_t len, unsigned seed)
{
    struct drv_data *data = NULL;
    assert_ok(drv_data_new(len, &data));
    for (size_t i = 0; i < len; i++) {
        data->bytes[i] = (uint8_t)(i * 31 + (i >> 8) + seed);
    }
    return data;
}

bool link_is_content(const struct drv_val *val, size_t len, unsigned seed)
{
    if (val->is_nil || val->len != len) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (val->bytes[i] != (uint8_t)(i * 31 + (i >> 8) + seed)) {
            return false;
        }
    }
    return true;
}

drover_status link_try_report(struct drv_link *link, unsigned number, size_t len,
                              uint64_t token)
{
    struct drv_data *data = link_content(len, number);
    const struct drv_result result = {
        .ref = {.id = link_id(number), .index = DROVER_INDEX_NONE, .attempt = 1},
        .outcome = DRV_OUTCOME_SUCCEEDED,
        .val = {.bytes = data->bytes, .len = len, .data = data}};
    const struct drv_message message = {.kind = DRV_REPORT,
                                        .report = {.results = &result, .result_count = 1}};
    drover_status status = drv_link_send(link, &message, token);
    drv_data_unref(&data);
    return status;
}

void link_send_report(struct drv_link *link, unsigned number, size_t len, uint64_t token)
{
    assert_ok(link_try_report(link, number, len, token));
}

void link_send_lease(struct drv_link *link, unsigned number, size_t len)
{
    struct drv_data *data = link_content(len, number);
    const struct drv_lease_entry entry = {
        .ref = {.handle = number, .id = link_id(number), .index = 3, .attempt = 1},
        .val = {.bytes = data->bytes, .len = len, .data = data}};
    const struct drv_lease_group group = {
        .type = drv_str_of("t"), .queue = drv_str_of("q"), .entries = &entry, .entry_count = 1};
    const struct drv_message message = {.kind = DRV_LEASE, .lease = {&group, 1}};
    assert_ok(drv_link_send(link, &message, 0));
    drv_data_unref(&data);
}

void link_send_refs(struct drv_link *link, enum drv_kind kind, unsigned number)
{
    const struct drv_ref ref = {
        .handle = number, .id = link_id(number), .index = 3, .attempt = 1};
    const struct drv_message message = {.kind = kind, .leases = {&ref, 1}};
    assert_ok(drv_link_send(link, &message, 0));
}

struct drv_frames link_forge(const struct drv_message *message,
                             const struct drv_transfers *transfers)
{
    struct drv_frames frames = {.kind = message->kind};
    struct drv_buffer head, blob;
    drv_buffer_init(&head);
    drv_buffer_init(&blob);
    assert_ok(drv_message_encode(message, transfers, &head, &blob));
    assert_ok(drv_data_copy(head.bytes, head.len, &frames.head));
    if (blob.len > 0) {
        assert_ok(drv_data_copy(blob.bytes, blob.len, &frames.blob));
        frames.blob_len = blob.len;
    }
    drv_buffer_fini(&head);
    drv_buffer_fini(&blob);
    return frames;
}

drover_status link_receive_forged(struct link_pair *pair, struct drv_link *to,
                                  const struct drv_message *message)
{
    struct drv_frames frames = link_forge(message, NULL);
    drover_status status = link_receive(pair, to, &frames);
    link_drop(&frames);
    return status;
}

void link_expect_token(struct drv_link *link, uint64_t expected)
{
    uint64_t token = 0;
    assert_true(drv_link_settled(link, &token));
    assert_int_equal(token, expected);
}

void link_expect_no_token(struct drv_link *link)
{
    uint64_t token = 0;
    assert_false(drv_link_settled(link, &token));
}

uint64_t link_fill_window(struct link_pair *pair, struct drv_link *from, struct drv_link *to)
{
    uint64_t charged = 0;
    for (struct drv_frames frames; drv_link_next(from, &frames);) {
        charged += drv_kind_is_charged(frames.kind) ? frames.blob_len : 0;
        assert_ok(link_receive(pair, to, &frames));
        link_drop(&frames);
    }
    drv_arena_reset(&pair->arena);
    return charged;
}

void link_acknowledge(struct link_pair *pair, struct drv_link *from, struct drv_link *to)
{
    pair->now_us += 1000;
    drv_link_tick(from, pair->now_us);
    assert_int_equal(link_deliver(pair, from, to), DRV_ACK);
}
