/*
 * fuzz_message.c: the codec and the link against bytes from strangers.
 *
 * The input is a sequence of messages: the length of the head and of the blob, two bytes each,
 * big endian, then head and blob; what is left at the end is the last blob. Each message is
 * decoded for itself, and received by a link as the next of its connection.
 *
 * What must hold: nothing is read outside the bytes; what was decoded can be encoded, and
 * decodes to the same bytes again; the link holds no more memory than its bounds say.
 */
#include "arena.h"
#include "buffer.h"
#include "check.h"
#include "data.h"
#include "link_private.h"
#include "message.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LINK_EPOCH 7
#define TRANSFER_MAX ((uint64_t)256 * 1024) /* larger ones are refused, to keep this quick */

/* ---- transfers that are always complete -------------------------------------------------- */

struct transfers {
    struct drv_data *taken[DRV_BATCH_MAX];
    uint64_t numbers[DRV_BATCH_MAX];
    size_t count;
};

static drover_status take(void *context, uint64_t transfer, uint64_t total,
                          struct drv_data **out_data)
{
    struct transfers *transfers = context;
    if (total > TRANSFER_MAX || transfers->count == DRV_TRANSFERS_MAX) {
        return DROVER_PROTOCOL;
    }
    DRV_ASSERT(drv_data_new((size_t)total, &transfers->taken[transfers->count]) == DROVER_OK);
    memset(transfers->taken[transfers->count]->bytes, 0, (size_t)total);
    transfers->numbers[transfers->count] = transfer;
    *out_data = transfers->taken[transfers->count++];
    return DROVER_OK;
}

/* Values go out under the number that they came in under. */
static drover_status put(void *context, const struct drv_val *val, uint64_t *out_transfer)
{
    struct transfers *transfers = context;
    for (size_t i = 0; i < transfers->count; i++) {
        if (transfers->taken[i] == val->data) {
            *out_transfer = transfers->numbers[i];
            return DROVER_OK;
        }
    }
    DRV_UNREACHABLE();
}

static void transfers_fini(struct transfers *transfers)
{
    for (size_t i = 0; i < transfers->count; i++) {
        drv_data_unref(&transfers->taken[i]);
    }
}

/* ---- the codec --------------------------------------------------------------------------- */

struct coded {
    struct transfers transfers;
    struct drv_transfers hooks;
    struct drv_arena arena;
    struct drv_message message;
    struct drv_buffer head, blob;
};

/* Decodes, and encodes what was read; false when the bytes are refused. */
static bool decode_and_encode(struct coded *coded, const struct drv_buffer *head,
                              const struct drv_buffer *blob)
{
    const char *reason = NULL;
    *coded = (struct coded){.hooks = {.take = take, .put = put}};
    coded->hooks.context = &coded->transfers;
    drv_arena_init(&coded->arena, 0);
    drover_status status = drv_message_decode(head->bytes, head->len, blob->bytes, blob->len,
                                              &coded->hooks, &coded->arena, &coded->message,
                                              &reason);
    if (status) {
        DRV_ASSERT(reason != NULL);
        return false;
    }
    status = drv_message_encode(&coded->message, &coded->hooks, &coded->head, &coded->blob);
    /* Overlapping slices and wide numbers take more or less room than they came in. */
    DRV_ASSERT(status == DROVER_OK || status == DROVER_TOO_BIG);
    return status == DROVER_OK;
}

static void coded_fini(struct coded *coded)
{
    transfers_fini(&coded->transfers);
    drv_arena_fini(&coded->arena);
    drv_buffer_fini(&coded->head);
    drv_buffer_fini(&coded->blob);
}

static void try_codec(const struct drv_buffer *head, const struct drv_buffer *blob)
{
    struct coded *first = malloc(sizeof *first);
    struct coded *second = malloc(sizeof *second);
    DRV_ASSERT(first != NULL && second != NULL);
    if (decode_and_encode(first, head, blob)) {
        DRV_ASSERT(decode_and_encode(second, &first->head, &first->blob));
        DRV_ASSERT(first->head.len == second->head.len &&
                   memcmp(first->head.bytes, second->head.bytes, first->head.len) == 0);
        DRV_ASSERT(first->blob.len == second->blob.len);
        coded_fini(second);
    }
    coded_fini(first);
    free(first);
    free(second);
}

/* ---- the link ---------------------------------------------------------------------------- */

static void check_bounds(const struct drv_link *link)
{
    for (size_t i = 0; i < DRV_TRANSFERS_MAX; i++) {
        const struct link_incoming *incoming = &link->incoming[i];
        DRV_ASSERT(incoming->data == NULL ||
                   incoming->data->len <= LINK_TRANSFER_AHEAD * incoming->received);
    }
    DRV_ASSERT(link->incoming_bytes <= (uint64_t)2 * DRV_PAYLOAD_MAX);
    DRV_ASSERT(link->inbound_bytes <= link->config.window_in * 4 + DRV_BLOB_MAX);
}

/* False when the connection is broken. */
static bool try_link(struct drv_link *link, struct drv_arena *arena,
                     const struct drv_buffer *head, const struct drv_buffer *blob)
{
    struct drv_data *bytes = NULL;
    struct drv_message message;
    const char *reason = NULL;
    DRV_ASSERT(drv_data_copy(blob->bytes, blob->len, &bytes) == DROVER_OK);
    drover_status status = drv_link_receive(link, head->bytes, head->len, bytes, blob->len, 0,
                                            arena, &message, &reason);
    drv_data_unref(&bytes);
    check_bounds(link);
    drv_arena_reset(arena);
    if (status == DROVER_OK && (unsigned)message.kind % 2 == 0) {
        drv_link_settle(link, link->seq_in, 0);
    }
    return status == DROVER_OK || status == DROVER_UNSUPPORTED || status == DROVER_EPOCH;
}

/* ---- input ------------------------------------------------------------------------------- */

struct input {
    const uint8_t *at;
    size_t left;
};

static size_t take_length(struct input *input)
{
    if (input->left < 2) {
        input->left = 0;
        return 0;
    }
    size_t length = (size_t)input->at[0] << 8 | input->at[1];
    input->at += 2;
    input->left -= 2;
    return length;
}

/* Into an allocation of exactly that size. */
static void take_bytes(struct input *input, size_t len, struct drv_buffer *out_bytes)
{
    len = len < input->left ? len : input->left;
    *out_bytes = (struct drv_buffer){.bytes = malloc(len == 0 ? 1 : len), .len = len};
    DRV_ASSERT(out_bytes->bytes != NULL);
    memcpy(out_bytes->bytes, input->at, len);
    input->at += len;
    input->left -= len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct drv_link_config config = {
        .epoch = LINK_EPOCH, .window_out = 65536, .window_in = 65536};
    struct input input = {data, size};
    struct drv_link *link = NULL;
    struct drv_arena arena;
    drv_arena_init(&arena, 65536);
    DRV_ASSERT(drv_link_new(&config, &link) == DROVER_OK);
    bool is_alive = true;
    while (input.left > 0) {
        struct drv_buffer head, blob;
        size_t head_len = take_length(&input);
        size_t blob_len = take_length(&input);
        take_bytes(&input, head_len, &head);
        take_bytes(&input, blob_len, &blob);
        try_codec(&head, &blob);
        is_alive = is_alive && try_link(link, &arena, &head, &blob);
        free(head.bytes);
        free(blob.bytes);
    }
    drv_link_destroy(&link);
    drv_arena_fini(&arena);
    return 0;
}
