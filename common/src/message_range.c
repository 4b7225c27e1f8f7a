/*
 * message_range.c: fields by which one entry speaks of several elements (PROTOCOL.md section 5,
 * "Ranges").
 */
#include "lengths.h"
#include "message_codec.h"

/* Whether there can be so many elements behind this one. */
static bool has_room(uint32_t index, uint64_t more)
{
    return more < DRV_RANGE_MAX && (more == 0 || index <= DROVER_INDEX_NONE - 1 - more);
}

static bool is_valid(uint32_t index, const struct drv_val *val, struct drv_str lengths,
                     size_t count)
{
    return count >= 2 && has_room(index, count - 1) && val->content_type.ptr == NULL &&
           drv_lengths_count(lengths, val->is_nil ? 0 : val->len) == count;
}

void drv_get_range(struct drv_decode *decode, uint32_t index, const struct drv_val *val,
                   struct drv_range *out_range)
{
    *out_range = (struct drv_range){0};
    if (decode->left == 0) {
        return;
    }
    struct drv_str lengths = drv_get_binary_optional(decode,
                                                     DRV_RANGE_MAX * DRV_LENGTH_BYTES_MAX);
    if (lengths.ptr == NULL) {
        return;
    }
    size_t count = drv_lengths_count(lengths, val->is_nil ? 0 : val->len);
    if (!is_valid(index, val, lengths, count)) {
        drv_decode_fail(decode, DROVER_MALFORMED, "lengths of a range do not add up");
        return;
    }
    *out_range = (struct drv_range){.count = (uint32_t)count, .lengths = lengths};
}

void drv_put_range(struct drv_encode *encode, uint32_t index, const struct drv_val *val,
                   const struct drv_range *range)
{
    if (range->count == 0) {
        return;
    }
    if (!is_valid(index, val, range->lengths, range->count)) {
        drv_encode_fail(encode, DROVER_INVALID);
        return;
    }
    drv_put_binary(encode, range->lengths, DRV_RANGE_MAX * DRV_LENGTH_BYTES_MAX);
}

uint32_t drv_get_further(struct drv_decode *decode, uint32_t index)
{
    uint64_t more = decode->left == 0 ? 0 : drv_get_u64(decode);
    if (!has_room(index, more)) {
        drv_decode_fail(decode, DROVER_MALFORMED, "more elements than a range has");
        return 0;
    }
    decode->further += more;
    if (decode->further > DRV_FURTHER_MAX) {
        drv_decode_fail(decode, DROVER_LIMIT, "more elements than a message may name");
        return 0;
    }
    return (uint32_t)more;
}

void drv_put_further(struct drv_encode *encode, uint32_t index, uint32_t more)
{
    if (more == 0) {
        return;
    }
    encode->further += more;
    if (!has_room(index, more) || encode->further > DRV_FURTHER_MAX) {
        drv_encode_fail(encode, has_room(index, more) ? DROVER_LIMIT : DROVER_INVALID);
        return;
    }
    drv_put_uint(encode, more);
}
