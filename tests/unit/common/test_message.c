/* message.h: the codec, beyond the vectors: random messages, limits, hostile bytes. */
#include "test.h"

#include "arena.h"
#include "buffer.h"
#include "data.h"
#include "message.h"
#include "pack.h"
#include "random_message.h"

/* ---- a codec with everything it needs ---------------------------------------------------- */

/* Values that travel as chunks wait here between encoding and decoding. */
struct bench {
    struct drv_rng rng;
    struct drv_arena arena, decoded_arena;
    struct random_source source;
    struct drv_transfers hooks;
    struct drv_data *transfers[DRV_TRANSFERS_MAX];
    size_t transfer_count;
    struct drv_buffer head, blob, head_again, blob_again;
    struct drv_message message, decoded;
};

static drover_status put(void *context, const struct drv_val *val, uint64_t *out_transfer)
{
    struct bench *bench = context;
    if (bench->transfer_count == DRV_TRANSFERS_MAX) {
        return DROVER_TOO_BIG;
    }
    assert_ok(drv_data_copy(val->bytes, val->len, &bench->transfers[bench->transfer_count]));
    *out_transfer = ++bench->transfer_count;
    return DROVER_OK;
}

static drover_status take(void *context, uint64_t transfer, uint64_t total,
                          struct drv_data **out_data)
{
    struct bench *bench = context;
    if (transfer > bench->transfer_count || bench->transfers[transfer - 1]->len != total) {
        return DROVER_PROTOCOL;
    }
    *out_data = bench->transfers[transfer - 1];
    return DROVER_OK;
}

/* The second encoding gives the same numbers again. */
static drover_status put_again(void *context, const struct drv_val *val, uint64_t *out_transfer)
{
    struct bench *bench = context;
    for (size_t i = 0; i < bench->transfer_count; i++) {
        if (val->data == bench->transfers[i]) {
            *out_transfer = i + 1;
            return DROVER_OK;
        }
    }
    return DROVER_INTERNAL;
}

static int setup(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);
    assert_non_null(bench);
    drv_rng_init(&bench->rng, test_seed());
    drv_arena_init(&bench->arena, 1024 * 1024);
    drv_arena_init(&bench->decoded_arena, 1024 * 1024);
    bench->source = (struct random_source){
        .rng = &bench->rng, .arena = &bench->arena, .entries_max = 40, .value_max = 3000};
    bench->hooks = (struct drv_transfers){.put = put, .take = take, .context = bench};
    *state = bench;
    return 0;
}

static void clear(struct bench *bench)
{
    drv_arena_reset(&bench->arena);
    drv_arena_reset(&bench->decoded_arena);
    while (bench->transfer_count > 0) {
        drv_data_unref(&bench->transfers[--bench->transfer_count]);
    }
    drv_buffer_clear(&bench->head);
    drv_buffer_clear(&bench->blob);
    drv_buffer_clear(&bench->head_again);
    drv_buffer_clear(&bench->blob_again);
}

static int teardown(void **state)
{
    struct bench *bench = *state;
    clear(bench);
    drv_arena_fini(&bench->arena);
    drv_arena_fini(&bench->decoded_arena);
    drv_buffer_fini(&bench->head);
    drv_buffer_fini(&bench->blob);
    drv_buffer_fini(&bench->head_again);
    drv_buffer_fini(&bench->blob_again);
    free(bench);
    return 0;
}

static drover_status encode(struct bench *bench)
{
    drv_buffer_clear(&bench->head);
    drv_buffer_clear(&bench->blob);
    return drv_message_encode(&bench->message, &bench->hooks, &bench->head, &bench->blob);
}

/* From allocations of their own, so that the address sanitizer sees every byte read too far. */
static drover_status decode_bytes(struct bench *bench, const uint8_t *head, size_t head_len,
                                  const uint8_t *blob, size_t blob_len)
{
    const char *reason = NULL;
    uint8_t *head_copy = malloc(head_len == 0 ? 1 : head_len);
    uint8_t *blob_copy = malloc(blob_len == 0 ? 1 : blob_len);
    assert_non_null(head_copy);
    assert_non_null(blob_copy);
    if (head_len > 0) {
        memcpy(head_copy, head, head_len);
    }
    if (blob_len > 0) {
        memcpy(blob_copy, blob, blob_len);
    }
    drv_arena_reset(&bench->decoded_arena);
    drover_status status = drv_message_decode(head_copy, head_len, blob_copy, blob_len,
                                              &bench->hooks, &bench->decoded_arena,
                                              &bench->decoded, &reason);
    assert_true(status == DROVER_OK || reason != NULL);
    if (status == DROVER_OK) {
        /* What was decoded can be encoded, and reading all of it is in bounds. */
        struct drv_transfers hooks = {
            .put = put_again, .context = bench, .takes_rows = bench->hooks.takes_rows};
        drv_buffer_clear(&bench->head_again);
        drv_buffer_clear(&bench->blob_again);
        drover_status again = drv_message_encode(&bench->decoded, &hooks, &bench->head_again,
                                                 &bench->blob_again);
        assert_true(again == DROVER_OK || again == DROVER_TOO_BIG);
    }
    free(head_copy);
    free(blob_copy);
    return status;
}

static drover_status decode(struct bench *bench)
{
    return decode_bytes(bench, bench->head.bytes, bench->head.len, bench->blob.bytes,
                        bench->blob.len);
}

static void assert_same(const struct drv_buffer *one, const struct drv_buffer *other)
{
    assert_int_equal(one->len, other->len);
    if (one->len > 0) {
        assert_memory_equal(one->bytes, other->bytes, one->len);
    }
}

/* ---- what goes in comes out -------------------------------------------------------------- */

/* Random messages of every kind: encoding, decoding and encoding again gives the same bytes. */
static void test_message_of_every_kind_survives_the_round_trip(void **state)
{
    struct bench *bench = *state;
    for (size_t round = 0; round < 100; round++) {
        for (size_t i = 0; i < random_kind_count(); i++) {
            random_message(&bench->source, random_kinds[i], &bench->message);
            assert_ok(encode(bench));
            assert_ok(decode(bench));
            assert_int_equal(bench->decoded.kind, random_kinds[i]);
            assert_int_equal(bench->decoded.epoch, bench->message.epoch);
            assert_int_equal(bench->decoded.seq, bench->message.seq);
            assert_int_equal(bench->decoded.ack, bench->message.ack);
            assert_int_equal(bench->decoded.request.req, bench->message.request.req);
            assert_same(&bench->head_again, &bench->head);
            assert_same(&bench->blob_again, &bench->blob);
            clear(bench);
        }
    }
}

/* Of the kinds with batches, written as entries and as rows: both are decoded to the same,
 * which encoding again shows. */
static void test_message_is_the_same_as_rows(void **state)
{
    static const unsigned kinds[] = {DRV_SUBMIT, DRV_RESULTS, DRV_LEASE, DRV_REPORT};
    struct bench *bench = *state;
    size_t shorter = 0;
    bench->source.is_plain = true;
    for (size_t round = 0; round < 2000; round++) {
        random_message(&bench->source, kinds[round % 4], &bench->message);
        assert_ok(encode(bench));
        size_t len = bench->head.len;
        bench->hooks.takes_rows = true;
        assert_ok(encode(bench));
        assert_ok(decode(bench)); /* as rows again */
        assert_same(&bench->head_again, &bench->head);
        bench->hooks.takes_rows = false;
        assert_ok(decode(bench)); /* as entries */
        assert_int_equal(bench->head_again.len, len);
        shorter += bench->head.len != len;
        assert_ok(encode(bench));
        assert_same(&bench->head_again, &bench->head);
        assert_same(&bench->blob_again, &bench->blob);
        clear(bench);
    }
    assert_in_range(shorter, 1000, 2000);
}

/* The same with values beyond inline_max, which go through the transfers. */
static void test_message_with_large_values_survives_the_round_trip(void **state)
{
    static const unsigned kinds[] = {DRV_SUBMIT, DRV_ARRAY_OPEN, DRV_ARRAY_ITEMS,
                                     DRV_KV,     DRV_REPLY,      DRV_RESULTS,
                                     DRV_LEASE,  DRV_REPORT,     DRV_SHARED};
    struct bench *bench = *state;
    size_t chunked = 0;
    bench->source.entries_max = 3;
    bench->source.value_max = 400000;
    for (size_t round = 0; round < 5000 && chunked < 20; round++) {
        random_message(&bench->source, kinds[round % 9], &bench->message);
        drover_status status = encode(bench);
        if (status == DROVER_OK) {
            assert_ok(decode(bench));
            assert_same(&bench->head_again, &bench->head);
            assert_same(&bench->blob_again, &bench->blob);
            chunked += bench->transfer_count;
        } else {
            assert_int_equal(status, DROVER_TOO_BIG);
        }
        clear(bench);
    }
    assert_true(chunked >= 20);
}

/* ---- what cannot be encoded -------------------------------------------------------------- */

static const drover_id ID = {{1, 2, 3}};

/* A batch of 1,024 passes, one of 1,025 does not; also when two lists share the bound. */
static void test_message_batches_are_bounded_together(void **state)
{
    struct bench *bench = *state;
    static struct drv_ref refs[DRV_BATCH_MAX + 1];
    bench->message = (struct drv_message){
        .kind = DRV_GO, .leases = {.leases = refs, .lease_count = DRV_BATCH_MAX}};
    assert_ok(encode(bench));
    assert_ok(decode(bench));
    bench->message.leases.lease_count++;
    assert_int_equal(encode(bench), DROVER_LIMIT);

    static struct drv_returned returned[DRV_BATCH_MAX / 2 + 1];
    for (size_t i = 0; i < sizeof returned / sizeof returned[0]; i++) {
        returned[i].reason = 1;
    }
    bench->message = (struct drv_message){.kind = DRV_REPORT,
                                          .report = {.started = refs,
                                                     .started_count = DRV_BATCH_MAX / 2,
                                                     .returned = returned,
                                                     .returned_count = DRV_BATCH_MAX / 2}};
    assert_ok(encode(bench));
    assert_ok(decode(bench));
    bench->message.report.returned_count++;
    assert_int_equal(encode(bench), DROVER_LIMIT);
}

/* The same bounds hold for what comes in: a hand-made batch that is one entry too long. */
static void test_message_with_an_oversized_batch_is_refused(void **state)
{
    struct bench *bench = *state;
    struct drv_pack pack;
    drv_pack_init(&pack, &bench->head);
    drv_pack_array(&pack, 8);
    for (uint64_t i = 0; i < 7; i++) {
        drv_pack_uint(&pack, i == 0 ? DRV_FORGET : 1);
    }
    drv_pack_array(&pack, DRV_BATCH_MAX + 1);
    for (size_t i = 0; i <= DRV_BATCH_MAX; i++) {
        drv_pack_array(&pack, 1);
        drv_pack_bin(&pack, ID.bytes, sizeof ID.bytes);
    }
    assert_ok(drv_pack_status(&pack));
    assert_int_equal(decode(bench), DROVER_LIMIT);
}

static struct drv_str filled(struct bench *bench, size_t len)
{
    char *bytes = drv_arena_alloc(&bench->arena, len, 1);
    assert_non_null(bytes);
    memset(bytes, 'x', len);
    return (struct drv_str){bytes, len};
}

/* Texts, names and values at their limit pass; one byte more does not. */
static void test_message_lengths_are_bounded(void **state)
{
    struct bench *bench = *state;
    bench->message = (struct drv_message){.kind = DRV_GOODBYE,
                                          .goodbye = {.text = filled(bench, DRV_TEXT_MAX)}};
    assert_ok(encode(bench));
    assert_ok(decode(bench));
    bench->message.goodbye.text = filled(bench, DRV_TEXT_MAX + 1);
    assert_int_equal(encode(bench), DROVER_TOO_BIG);

    bench->message = (struct drv_message){
        .kind = DRV_QUEUE, .request = {.req = 1}, .queue = {.queue = filled(bench, 128)}};
    assert_ok(encode(bench));
    assert_ok(decode(bench));
    bench->message.queue.queue = filled(bench, 129);
    assert_int_equal(encode(bench), DROVER_INVALID);

    struct drv_str value = filled(bench, DRV_INLINE_MAX + 1);
    bench->message = (struct drv_message){
        .kind = DRV_SHARED,
        .shared = {ID, {.bytes = (const uint8_t *)value.ptr, .len = DRV_INLINE_MAX}}};
    assert_ok(encode(bench));
    assert_int_equal(bench->blob.len, DRV_INLINE_MAX);
    assert_ok(decode(bench));
    bench->message.shared.val.len++;
    assert_ok(encode(bench));
    assert_int_equal(bench->blob.len, 0);
    assert_int_equal(bench->transfer_count, 1);
    assert_ok(decode(bench));
    assert_int_equal(bench->decoded.shared.val.len, DRV_INLINE_MAX + 1);

    /* Nobody to carry chunks: the value cannot be sent. */
    assert_int_equal(
        drv_message_encode(&bench->message, NULL, &bench->head_again, &bench->blob_again),
        DROVER_TOO_BIG);
}

/* Five values of 60 KiB do not fit into one blob, four do. */
static void test_message_blob_is_bounded(void **state)
{
    struct bench *bench = *state;
    struct drv_val items[5];
    struct drv_str value = filled(bench, 60000);
    for (size_t i = 0; i < 5; i++) {
        items[i] = (struct drv_val){.bytes = (const uint8_t *)value.ptr, .len = value.len};
    }
    bench->message = (struct drv_message){
        .kind = DRV_ARRAY_ITEMS,
        .request = {.req = 1},
        .array_items = {.id = ID, .items = items, .item_count = 4}};
    assert_ok(encode(bench));
    assert_ok(decode(bench));
    bench->message.array_items.item_count = 5;
    assert_int_equal(encode(bench), DROVER_TOO_BIG);
}

/* Names and texts that a receiver would refuse are refused by the sender. */
static void test_message_with_invalid_fields_is_not_encoded(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec;
    drv_spec_init(&spec, drv_str_of("not a name"));
    struct drv_entry entry = {.id = ID, .val = {.is_nil = true}};
    struct drv_submit_group group = {.spec = spec, .entries = &entry, .entry_count = 1};
    bench->message = (struct drv_message){
        .kind = DRV_SUBMIT, .request = {.req = 1}, .submit = {&group, 1}};
    assert_int_equal(encode(bench), DROVER_INVALID);
    group.spec.type = drv_str_of("a-name");
    assert_ok(encode(bench));
    group.spec.priority = 128;
    assert_int_equal(encode(bench), DROVER_INVALID);
    group.spec.priority = 127;
    group.entry_count = 0;
    assert_int_equal(encode(bench), DROVER_INVALID);
    group.entry_count = 1;
    bench->message.request.req = 0;
    assert_int_equal(encode(bench), DROVER_INVALID);

    bench->message = (struct drv_message){.kind = DRV_GOODBYE,
                                          .goodbye = {.text = drv_str_of("\xff")}};
    assert_int_equal(encode(bench), DROVER_INVALID);
    bench->message = (struct drv_message){.kind = DRV_HEARTBEAT,
                                          .heartbeat = {.details = drv_str_of("\x01")}};
    assert_int_equal(encode(bench), DROVER_INVALID);
    bench->message = (struct drv_message){.kind = (enum drv_kind)99};
    assert_int_equal(encode(bench), DROVER_INVALID);
}

/* ---- hostile bytes ----------------------------------------------------------------------- */

/* A random message of the kind, encoded. */
static void make(struct bench *bench, unsigned kind)
{
    random_message(&bench->source, kind, &bench->message);
    assert_ok(encode(bench));
}

/* Every proper beginning of a head is refused. */
static void test_message_cut_anywhere_is_refused(void **state)
{
    struct bench *bench = *state;
    bench->source.entries_max = 3;
    bench->source.value_max = 40;
    for (size_t i = 0; i < random_kind_count(); i++) {
        make(bench, random_kinds[i]);
        size_t step = bench->head.len / 200 + 1;
        for (size_t len = 0; len < bench->head.len; len += step) {
            assert_int_equal(
                decode_bytes(bench, bench->head.bytes, len, bench->blob.bytes, bench->blob.len),
                DROVER_MALFORMED);
        }
        clear(bench);
    }
}

/* A head with fewer fields is the defaults or malformed; with more it is the same message. */
static void test_message_with_other_field_counts_is_never_misread(void **state)
{
    struct bench *bench = *state;
    bench->source.entries_max = 3;
    for (size_t i = 0; i < random_kind_count(); i++) {
        make(bench, random_kinds[i]);
        struct drv_buffer more;
        drv_buffer_init(&more);
        bool is_wide = bench->head.bytes[0] == 0xdc;
        size_t fields = is_wide ? bench->head.bytes[2] : bench->head.bytes[0] & 0x0fU;
        const uint8_t header[] = {0xdc, 0, (uint8_t)(fields + 2)};
        const uint8_t extra[] = {0x92, 0x01, 0x81, 0xa1, 'k', 0xc0, 0x2a};
        assert_ok(drv_buffer_append(&more, header, sizeof header));
        size_t skip = is_wide ? 3 : 1;
        assert_ok(drv_buffer_append(&more, bench->head.bytes + skip, bench->head.len - skip));
        assert_ok(drv_buffer_append(&more, extra, sizeof extra));
        assert_ok(
            decode_bytes(bench, more.bytes, more.len, bench->blob.bytes, bench->blob.len));
        assert_same(&bench->head_again, &bench->head);
        drv_buffer_fini(&more);
        clear(bench);
    }
}

/* Random changes of bytes: an outcome, whatever it is, never more than that. */
static void test_message_mutated_is_decoded_or_refused(void **state)
{
    struct bench *bench = *state;
    size_t accepted = 0;
    size_t refused = 0;
    bench->source.entries_max = 4;
    bench->source.value_max = 100;
    for (size_t round = 0; round < 3000; round++) {
        make(bench, random_kinds[round % random_kind_count()]);
        size_t changes = (size_t)drv_rng_between(&bench->rng, 1, 4);
        for (size_t i = 0; i < changes; i++) {
            size_t at = (size_t)drv_rng_below(&bench->rng, bench->head.len);
            bench->head.bytes[at] = (uint8_t)drv_rng_next(&bench->rng);
        }
        if (decode(bench) == DROVER_OK) {
            accepted++;
        } else {
            refused++;
        }
        clear(bench);
    }
    assert_true(accepted > 0 && refused > 0);
}

/* Bytes that never were a message. */
static void test_message_of_random_bytes_is_refused(void **state)
{
    struct bench *bench = *state;
    for (size_t round = 0; round < 20000; round++) {
        uint8_t bytes[64];
        size_t len = (size_t)drv_rng_below(&bench->rng, sizeof bytes);
        for (size_t i = 0; i < len; i++) {
            bytes[i] = (uint8_t)drv_rng_next(&bench->rng);
        }
        if (len > 4) {
            bytes[0] = 0x98; /* the rest would nearly always end here */
            bytes[1] &= 0x7f;
        }
        (void)decode_bytes(bench, bytes, len, NULL, 0);
    }
}

/* A head that names every slice beyond the blob is refused at every length of the blob. */
static void test_message_with_slices_beyond_its_blob_is_refused(void **state)
{
    struct bench *bench = *state;
    struct drv_val items[3];
    for (size_t i = 0; i < 3; i++) {
        items[i] = (struct drv_val){.bytes = (const uint8_t *)"0123456789", .len = 10};
    }
    bench->message = (struct drv_message){
        .kind = DRV_ARRAY_ITEMS,
        .request = {.req = 1},
        .array_items = {.id = ID, .items = items, .item_count = 3}};
    assert_ok(encode(bench));
    for (size_t len = 0; len < 30; len++) {
        assert_int_equal(
            decode_bytes(bench, bench->head.bytes, bench->head.len, bench->blob.bytes, len),
            DROVER_MALFORMED);
    }
    assert_ok(decode(bench));
}

/* A transfer that is unknown, or of another length, is misuse. */
static void test_message_with_a_wrong_transfer_is_refused(void **state)
{
    struct bench *bench = *state;
    struct drv_str value = filled(bench, 70000);
    bench->message = (struct drv_message){
        .kind = DRV_SHARED,
        .shared = {ID, {.bytes = (const uint8_t *)value.ptr, .len = value.len}}};
    assert_ok(encode(bench));
    assert_ok(decode(bench));
    bench->head.bytes[bench->head.len - 1] = 2; /* the transfer number is the last byte */
    assert_int_equal(decode(bench), DROVER_PROTOCOL);
    bench->head.bytes[bench->head.len - 1] = 1;
    bench->hooks.take = NULL;
    assert_int_equal(decode(bench), DROVER_PROTOCOL);
    bench->hooks.take = take;
}

/* Frames beyond head_max and blob_max are not even looked at. */
static void test_message_frames_beyond_their_limits_are_refused(void **state)
{
    struct bench *bench = *state;
    struct drv_str large = filled(bench, DRV_BLOB_MAX + 1);
    bench->message = (struct drv_message){.kind = DRV_DRAIN};
    assert_ok(encode(bench));
    assert_int_equal(decode_bytes(bench, (const uint8_t *)large.ptr, DRV_HEAD_MAX + 1, NULL, 0),
                     DROVER_TOO_BIG);
    assert_int_equal(decode_bytes(bench, bench->head.bytes, bench->head.len,
                                  (const uint8_t *)large.ptr, DRV_BLOB_MAX + 1),
                     DROVER_TOO_BIG);
    assert_ok(decode_bytes(bench, bench->head.bytes, bench->head.len,
                           (const uint8_t *)large.ptr, DRV_BLOB_MAX));
}

/* ---- helpers ----------------------------------------------------------------------------- */

/* Names of kinds and of no kind; what is charged against the window. */
static void test_kind_names_and_charges(void **state)
{
    static const unsigned charged[] = {DRV_CHUNK, DRV_SUBMIT, DRV_ARRAY_ITEMS, DRV_RESULTS,
                                       DRV_LEASE, DRV_REPORT, DRV_LOG,         DRV_GRAPH};
    assert_string_equal(drv_kind_name(DRV_HELLO), "HELLO");
    assert_string_equal(drv_kind_name(DRV_ARRAY_ITEMS), "ARRAY_ITEMS");
    assert_string_equal(drv_kind_name(DRV_DRAIN), "DRAIN");
    assert_string_equal(drv_kind_name(0), "?");
    assert_string_equal(drv_kind_name(11), "?");
    assert_string_equal(drv_kind_name(UINT32_MAX), "?");
    size_t count = 0;
    for (unsigned kind = 0; kind < 300; kind++) {
        count += drv_kind_is_charged(kind);
    }
    assert_int_equal(count, sizeof charged / sizeof charged[0]);
    for (size_t i = 0; i < count; i++) {
        assert_true(drv_kind_is_charged(charged[i]));
    }
}

/* Cutting a text keeps whole characters and stops at what is none. */
static void test_str_fit_keeps_whole_characters(void **state)
{
    assert_int_equal(drv_str_fit(drv_str_of("abc"), 10).len, 3);
    assert_int_equal(drv_str_fit(drv_str_of("abc"), 2).len, 2);
    assert_int_equal(drv_str_fit(drv_str_of("a\342\202\254"), 3).len, 1);
    assert_int_equal(drv_str_fit(drv_str_of("a\342\202\254"), 4).len, 4);
    assert_int_equal(drv_str_fit(drv_str_of("ab\xff"
                                            "c"),
                                 10)
                         .len,
                     2);
    assert_int_equal(drv_str_fit((struct drv_str){NULL, 0}, 10).len, 0);
}

/* Whatever the meter lets in can be encoded as one message, and it stops in time. */
static void test_meter_lets_in_what_fits_into_one_message(void **state)
{
    struct bench *bench = *state;
    for (size_t round = 0; round < 40; round++) {
        struct drv_meter meter;
        struct drv_val *items = drv_arena_alloc(&bench->arena, 2000, sizeof *items);
        size_t limit = round % 4 == 0 ? 200000 : (size_t)1 << (round % 16);
        size_t count = 0;
        drv_meter_reset(&meter);
        for (; count < 2000; count++) {
            struct drv_str value = filled(bench, (size_t)drv_rng_below(&bench->rng, limit + 1));
            items[count] = (struct drv_val){.bytes = (const uint8_t *)value.ptr,
                                            .len = value.len};
            if (!drv_meter_fits(&meter, 20, &items[count])) {
                break;
            }
        }
        assert_true(count > 0 && count <= DRV_BATCH_MAX);
        bench->message = (struct drv_message){.kind = DRV_ARRAY_ITEMS,
                                              .request = {.req = 1},
                                              .array_items = {ID, 0, items, count}};
        assert_ok(encode(bench));
        assert_ok(decode(bench));
        clear(bench);
    }
}

/* Short values are counted as bytes of the blob, long ones as transfers, up to the last of
 * each.
 */
static void test_meter_counts_values_by_the_way_they_travel(void **state)
{
    struct drv_meter meter;
    struct drv_val brief = {.len = DRV_INLINE_MAX};
    struct drv_val lengthy = {.len = DRV_INLINE_MAX + 1};
    drv_meter_reset(&meter);
    for (size_t i = 0; i < DRV_TRANSFERS_MAX; i++) {
        assert_true(drv_meter_fits(&meter, 20, &lengthy));
    }
    assert_false(drv_meter_fits(&meter, 20, &lengthy));
    for (size_t i = 0; i < DRV_BLOB_MAX / DRV_INLINE_MAX; i++) {
        assert_true(drv_meter_fits(&meter, 20, &brief));
    }
    assert_false(drv_meter_fits(&meter, 20, &(struct drv_val){.len = 1}));
    assert_true(drv_meter_fits(&meter, 20, NULL));
}

/* The tail of a result counts with it: as many pieces and bytes as a message holds, no more. */
static void test_meter_counts_the_tails_of_results(void **state)
{
    struct bench *bench = *state;
    struct drv_str text = filled(bench, DRV_TAIL_MAX);
    struct drv_piece *pieces = drv_arena_alloc(&bench->arena, DRV_TAIL_PIECES_MAX,
                                               sizeof *pieces);
    for (size_t i = 0; i < DRV_TAIL_PIECES_MAX; i++) {
        pieces[i] = (struct drv_piece){.stream = DRV_OUTPUT_LOG,
                                       .offset = UINT64_MAX,
                                       .len = DRV_TAIL_MAX / DRV_TAIL_PIECES_MAX};
    }
    struct drv_result *results = drv_arena_alloc(&bench->arena, DRV_BATCH_MAX, sizeof *results);
    struct drv_meter meter;
    size_t count = 0;
    drv_meter_reset(&meter);
    for (; count < DRV_BATCH_MAX; count++) {
        results[count] = (struct drv_result){
            .ref = {.id = ID, .index = DROVER_INDEX_NONE, .attempt = 1},
            .outcome = DRV_OUTCOME_SUCCEEDED,
            .val = {.is_nil = true},
            .tail = {pieces, DRV_TAIL_PIECES_MAX, text}};
        if (!drv_meter_fits_tail(&meter, 60, NULL, &results[count].tail)) {
            break;
        }
    }
    assert_int_equal(count, DRV_BLOB_MAX / DRV_TAIL_MAX);
    bench->message = (struct drv_message){
        .kind = DRV_REPORT, .report = {.results = results, .result_count = count}};
    assert_ok(encode(bench));
    assert_ok(decode(bench));
    assert_int_equal(bench->decoded.report.results[count - 1].tail.text.len, DRV_TAIL_MAX);
}

/* A tail that is too long, or whose pieces are not its text, is not sent. */
static void test_message_with_a_wrong_tail_is_not_encoded(void **state)
{
    struct bench *bench = *state;
    struct drv_piece piece = {.stream = DRV_OUTPUT_STDOUT, .len = DRV_TAIL_MAX + 1};
    struct drv_result result = {.ref = {.id = ID, .index = DROVER_INDEX_NONE, .attempt = 1},
                                .outcome = DRV_OUTCOME_SUCCEEDED,
                                .val = {.is_nil = true},
                                .tail = {&piece, 1, filled(bench, DRV_TAIL_MAX + 1)}};
    bench->message = (struct drv_message){.kind = DRV_REPORT,
                                          .report = {.results = &result, .result_count = 1}};
    assert_int_equal(encode(bench), DROVER_TOO_BIG);
    piece.len = 2;
    result.tail.text = filled(bench, 3);
    assert_int_equal(encode(bench), DROVER_INVALID);
    piece.len = 3;
    piece.stream = DRV_OUTPUT_DATA + 1;
    assert_int_equal(encode(bench), DROVER_INVALID);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_message_of_every_kind_survives_the_round_trip),
        TEST(test_message_is_the_same_as_rows),
        TEST(test_message_with_large_values_survives_the_round_trip),
        TEST(test_message_batches_are_bounded_together),
        TEST(test_message_with_an_oversized_batch_is_refused),
        TEST(test_message_lengths_are_bounded),
        TEST(test_message_blob_is_bounded),
        TEST(test_message_with_invalid_fields_is_not_encoded),
        TEST(test_message_cut_anywhere_is_refused),
        TEST(test_message_with_other_field_counts_is_never_misread),
        TEST(test_message_mutated_is_decoded_or_refused),
        TEST(test_message_of_random_bytes_is_refused),
        TEST(test_message_with_slices_beyond_its_blob_is_refused),
        TEST(test_message_with_a_wrong_transfer_is_refused),
        TEST(test_message_frames_beyond_their_limits_are_refused),
        TEST(test_kind_names_and_charges),
        TEST(test_str_fit_keeps_whole_characters),
        TEST(test_meter_lets_in_what_fits_into_one_message),
        TEST(test_meter_counts_values_by_the_way_they_travel),
        TEST(test_meter_counts_the_tails_of_results),
        TEST(test_message_with_a_wrong_tail_is_not_encoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
