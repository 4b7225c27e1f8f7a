/*
 * message_codec.h: what the codec's own files share; everyone else includes message.h.
 *
 *   message_info.c        the table of kinds, limits of one message
 *   message_decode.c      head and prefix, then the shared types of PROTOCOL.md (val, spec,
 * ...) message_encode.c      the same in the other direction message_connection.c  kinds 1 to
 * 10      one decode and one encode function per kind, message_request.c     kinds 16 to 25
 * both named in one row of the table message_question.c    kinds 32 to 37 message_stream.c
 * kinds 38 to 41, 69 and 73; message_work.c the rest of 64 to 72
 *
 * Reading: `left` counts the fields of the array being read that have not been read. A getter
 * takes one, or gives the default when there are none; drv_get_close steps over the rest. The
 * first failure sticks and everything read after it is zero, so that only the end is checked.
 *
 * Writing: putters append; the first failure sticks and nothing is appended after it.
 */
#ifndef DRV_MESSAGE_CODEC_H
#define DRV_MESSAGE_CODEC_H

#include "arena.h"
#include "buffer.h"
#include "message.h"
#include "pack.h"
#include "reader.h"

#include <string.h>

/* The array header and four numbers of up to nine bytes: what comes before drv_encode_fields.
 */
#define DRV_HEAD_PREFIX_MAX ((size_t)40)

/* ---- kinds ------------------------------------------------------------------------------- */

struct drv_decode;
struct drv_encode;

/* What stands between the four common fields and those of the kind. */
enum drv_prefix {
    DRV_PREFIX_NONE,
    DRV_PREFIX_QUESTION, /* req */
    DRV_PREFIX_REQUEST,  /* req, floor, budget_ms */
};

struct drv_kind_row {
    const char *name;
    enum drv_prefix prefix;
    uint8_t fields;  /* after the prefix, as version 1 writes them */
    bool is_charged; /* blob counts against the byte window */
    bool is_ordered; /* keeps its place among the others of this sort, see link.h */
    void (*decode)(struct drv_decode *decode, struct drv_message *out_message);
    void (*encode)(struct drv_encode *encode, const struct drv_message *message);
    /* both NULL: the number is reserved */
};

/* The row of a kind; NULL when the number means nothing in version 1. */
const struct drv_kind_row *drv_kind_row(uint64_t kind);

/* ---- decoding ---------------------------------------------------------------------------- */

struct drv_decode {
    struct drv_cursor cursor;
    uint32_t left; /* fields to come in the array being read */
    const uint8_t *blob;
    size_t blob_len;
    size_t blob_at;     /* where the slice that ARRAY_ITEMS read last has ended */
    size_t batch_count; /* entries of batches so far */
    size_t further;     /* elements beside the first of their entry */
    size_t note_count;  /* notes so far */
    const struct drv_transfers *transfers; /* may be NULL */
    struct drv_arena *arena;
    drover_status status; /* the first failure that is not a mere type mismatch */
    const char *reason;
};

/*
 * Validates head and sizes and reads the four common fields; then drv_decode_fields does the
 * rest. They are apart so that the link can look at epoch and seq in between.
 */
DROVER_MUST_USE drover_status drv_decode_head(struct drv_decode *decode, const uint8_t *head,
                                              size_t head_len, const uint8_t *blob,
                                              size_t blob_len, struct drv_message *out_message,
                                              const char **out_reason);
DROVER_MUST_USE drover_status drv_decode_fields(struct drv_decode *decode,
                                                const struct drv_transfers *transfers,
                                                struct drv_arena *arena,
                                                struct drv_message *out_message,
                                                const char **out_reason);

/* Notes a failure, the first only; `reason` is static text. */
void drv_decode_fail(struct drv_decode *decode, drover_status status, const char *reason);

static inline bool drv_get_more(struct drv_decode *decode)
{
    if (decode->left == 0) {
        return false;
    }
    decode->left--;
    return true;
}

/* Enters an array that is the next field (a missing one reads as empty); returns what
 * drv_get_close wants. */
static inline uint32_t drv_get_open(struct drv_decode *decode)
{
    if (decode->left == 0) {
        return 0;
    }
    uint32_t outer = decode->left - 1;
    decode->left = drv_cursor_array(&decode->cursor);
    return outer;
}

/* The same for T?: false, and nothing to close, when the field is nil or missing. */
bool drv_get_open_optional(struct drv_decode *decode, uint32_t *out_outer);

/* Leaves an array; fields that version 1 does not know are stepped over. */
static inline void drv_get_close(struct drv_decode *decode, uint32_t outer)
{
    if (decode->left != 0) {
        drv_cursor_skip_many(&decode->cursor, decode->left);
    }
    decode->left = outer;
}

static inline uint64_t drv_get_u64(struct drv_decode *decode)
{
    return drv_get_more(decode) ? drv_cursor_uint(&decode->cursor) : 0;
}

static inline uint32_t drv_get_u32(struct drv_decode *decode)
{
    return drv_get_more(decode) ? drv_cursor_u32(&decode->cursor) : 0;
}

static inline bool drv_get_bool(struct drv_decode *decode)
{
    return drv_get_more(decode) ? drv_cursor_bool(&decode->cursor) : false;
}

static inline double drv_get_double(struct drv_decode *decode)
{
    return drv_get_more(decode) ? drv_cursor_double(&decode->cursor) : 0;
}

/* An integer from min to max; `missing` when there is no such field. */
static inline int64_t drv_get_int(struct drv_decode *decode, int64_t min, int64_t max,
                                  int64_t missing)
{
    return drv_get_more(decode) ? drv_cursor_int_range(&decode->cursor, min, max) : missing;
}

/* A number out of a registry: min to max, also when it is missing and so 0. */
uint32_t drv_get_enum(struct drv_decode *decode, uint32_t min, uint32_t max,
                      const char *reason);

/* id: never missing. */
void drv_get_id(struct drv_decode *decode, drover_id *out_id);

/* index: missing is -1. */
uint32_t drv_get_index(struct drv_decode *decode);

/* name: never missing; the other form takes nil, too. */
struct drv_str drv_get_name(struct drv_decode *decode);
struct drv_str drv_get_name_optional(struct drv_decode *decode);

/* s, s?, x, x?, of at most max bytes. */
struct drv_str drv_get_text(struct drv_decode *decode, size_t max);
struct drv_str drv_get_text_optional(struct drv_decode *decode, size_t max);
struct drv_str drv_get_binary(struct drv_decode *decode, size_t max);
struct drv_str drv_get_binary_optional(struct drv_decode *decode, size_t max);

/* A list being read: close with drv_get_close(decode, items.outer). */
struct drv_items {
    uint32_t outer;
    size_t count;
};

/*
 * Opens a list (nil and missing are empty) of at most max items and allocates them zeroed. The
 * batch form counts them against batch_max of the message.
 */
void *drv_get_items(struct drv_decode *decode, size_t max, size_t size,
                    struct drv_items *out_items);
void *drv_get_batch(struct drv_decode *decode, size_t size, struct drv_items *out_items);
/* The same, not zeroed: the caller fills in every field of what it reads. */
void *drv_get_raw_batch(struct drv_decode *decode, size_t size, struct drv_items *out_items);

struct drv_val drv_get_val(struct drv_decode *decode);
/* An item of ARRAY_ITEMS: a val, or the length of the slice behind the last one. */
struct drv_val drv_get_next_val(struct drv_decode *decode);

void drv_get_ref(struct drv_decode *decode, struct drv_ref *out_ref); /* its four fields */
const struct drv_ref *drv_get_refs(struct drv_decode *decode, size_t *out_count);
const struct drv_str *drv_get_texts(struct drv_decode *decode, size_t max, size_t *out_count);
const struct drv_pair *drv_get_pairs(struct drv_decode *decode, size_t *out_count);
const struct drv_count *drv_get_counts(struct drv_decode *decode, size_t *out_count);
/* A tag that is wanted; the name is nil when there is none. */
void drv_get_tag(struct drv_decode *decode, struct drv_str *out_name,
                 struct drv_str *out_value);
/* Notes of a REPLY (with text) or of an ACK (with seq). */
const struct drv_note *drv_get_notes(struct drv_decode *decode, bool is_ack, size_t *out_count);
void drv_get_error(struct drv_decode *decode, struct drv_error *out_error); /* error? */
/* What a task waits for: [[id, index, when]]. */
const struct drv_after *drv_get_after(struct drv_decode *decode, size_t *out_count);
struct drv_bounds drv_get_bounds(struct drv_decode *decode);
void drv_get_spec(struct drv_decode *decode, struct drv_spec *out_spec);
bool drv_get_id_optional(struct drv_decode *decode, drover_id *out_id); /* false: nil */
void drv_get_tail(struct drv_decode *decode, struct drv_tail *out_tail);
/* The last field of an entry that may speak of several elements: index is that of the first,
 * val what lies in all of them. */
void drv_get_range(struct drv_decode *decode, uint32_t index, const struct drv_val *val,
                   struct drv_range *out_range);
uint32_t drv_get_further(struct drv_decode *decode, uint32_t index);

/* ---- encoding ---------------------------------------------------------------------------- */

struct drv_encode {
    struct drv_pack pack;                  /* the head */
    struct drv_buffer *blob;               /* borrowed */
    const struct drv_transfers *transfers; /* may be NULL */
    size_t batch_count;
    size_t further;
    size_t note_count;
    drover_status status; /* first failure */
};

/* Writes the array header and the four common fields. */
void drv_encode_head(struct drv_pack *pack, const struct drv_kind_row *row,
                     const struct drv_message *message);

/* Appends what follows the four common fields, and the blob. As drv_message_encode. */
DROVER_MUST_USE drover_status drv_encode_fields(const struct drv_message *message,
                                                const struct drv_transfers *transfers,
                                                struct drv_buffer *head,
                                                struct drv_buffer *blob);

void drv_encode_fail(struct drv_encode *encode, drover_status status);

void drv_put_array(struct drv_encode *encode, size_t count);
void drv_put_nil(struct drv_encode *encode);
void drv_put_uint(struct drv_encode *encode, uint64_t number);
void drv_put_int(struct drv_encode *encode, int64_t number);
void drv_put_bool(struct drv_encode *encode, bool flag);
void drv_put_double(struct drv_encode *encode, double number);
void drv_put_enum(struct drv_encode *encode, uint32_t number, uint32_t min, uint32_t max);
void drv_put_int_range(struct drv_encode *encode, int64_t number, int64_t min, int64_t max);
void drv_put_id(struct drv_encode *encode, const drover_id *id);
void drv_put_index(struct drv_encode *encode, uint32_t index);
void drv_put_name(struct drv_encode *encode, struct drv_str name);
void drv_put_name_optional(struct drv_encode *encode, struct drv_str name);
void drv_put_text(struct drv_encode *encode, struct drv_str text, size_t max);
void drv_put_text_optional(struct drv_encode *encode, struct drv_str text, size_t max);
void drv_put_binary(struct drv_encode *encode, struct drv_str bytes, size_t max);
void drv_put_binary_optional(struct drv_encode *encode, struct drv_str bytes, size_t max);
/* The header of a list; counts against batch_max. */
void drv_put_batch(struct drv_encode *encode, size_t count);
/* The header of a list of at most max items. */
void drv_put_items(struct drv_encode *encode, size_t count, size_t max);
void drv_put_val(struct drv_encode *encode, const struct drv_val *val);
void drv_put_next_val(struct drv_encode *encode, const struct drv_val *val);
void drv_put_blob(struct drv_encode *encode, struct drv_str bytes, size_t max);
void drv_put_ref(struct drv_encode *encode, const struct drv_ref *ref); /* its four fields */
void drv_put_refs(struct drv_encode *encode, const struct drv_ref *refs, size_t count);
void drv_put_texts(struct drv_encode *encode, const struct drv_str *texts, size_t count,
                   size_t max);
void drv_put_pairs(struct drv_encode *encode, const struct drv_pair *pairs, size_t count);
void drv_put_counts(struct drv_encode *encode, const struct drv_count *counts, size_t count);
void drv_put_notes(struct drv_encode *encode, const struct drv_note *notes, size_t count,
                   bool is_ack);
/* A tag that is wanted: [name, s], or nil. */
void drv_put_tag(struct drv_encode *encode, struct drv_str name, struct drv_str value);
void drv_put_error(struct drv_encode *encode, const struct drv_error *error);
void drv_put_after(struct drv_encode *encode, const struct drv_after *after, size_t count);
void drv_put_bounds(struct drv_encode *encode, const struct drv_bounds *limits);
void drv_put_spec(struct drv_encode *encode, const struct drv_spec *spec);
void drv_put_id_optional(struct drv_encode *encode, bool has_id, const drover_id *id);
void drv_put_tail(struct drv_encode *encode, const struct drv_tail *tail);
/* Checked as they are when read; nothing is written for what is no range. */
void drv_put_range(struct drv_encode *encode, uint32_t index, const struct drv_val *val,
                   const struct drv_range *range);
void drv_put_further(struct drv_encode *encode, uint32_t index, uint32_t more);

/* ---- the kinds --------------------------------------------------------------------------- */

#define DRV_CODEC_FUNCTIONS(name)                                                       \
    void drv_decode_##name(struct drv_decode *decode, struct drv_message *out_message); \
    void drv_encode_##name(struct drv_encode *encode, const struct drv_message *message)

DRV_CODEC_FUNCTIONS(hello);
DRV_CODEC_FUNCTIONS(welcome);
DRV_CODEC_FUNCTIONS(goodbye);
DRV_CODEC_FUNCTIONS(failure);
DRV_CODEC_FUNCTIONS(credit);
DRV_CODEC_FUNCTIONS(chunk);
DRV_CODEC_FUNCTIONS(ack);
DRV_CODEC_FUNCTIONS(heartbeat);
DRV_CODEC_FUNCTIONS(attach);
DRV_CODEC_FUNCTIONS(moved);
DRV_CODEC_FUNCTIONS(submit);
DRV_CODEC_FUNCTIONS(array_open);
DRV_CODEC_FUNCTIONS(array_items);
DRV_CODEC_FUNCTIONS(array_seal);
DRV_CODEC_FUNCTIONS(cancel);
DRV_CODEC_FUNCTIONS(retry);
DRV_CODEC_FUNCTIONS(kv);
DRV_CODEC_FUNCTIONS(queue);
DRV_CODEC_FUNCTIONS(worker);
DRV_CODEC_FUNCTIONS(schedule);
DRV_CODEC_FUNCTIONS(alert);
DRV_CODEC_FUNCTIONS(forget); /* also UNWATCH: a list of targets */
DRV_CODEC_FUNCTIONS(watch);
DRV_CODEC_FUNCTIONS(query);
DRV_CODEC_FUNCTIONS(fetch);
DRV_CODEC_FUNCTIONS(document);
DRV_CODEC_FUNCTIONS(reply);
DRV_CODEC_FUNCTIONS(results);
DRV_CODEC_FUNCTIONS(lease);
DRV_CODEC_FUNCTIONS(report);
DRV_CODEC_FUNCTIONS(refs); /* RECALL, GO */
DRV_CODEC_FUNCTIONS(abort);
DRV_CODEC_FUNCTIONS(log);
DRV_CODEC_FUNCTIONS(await);
DRV_CODEC_FUNCTIONS(shared);
DRV_CODEC_FUNCTIONS(drain);
DRV_CODEC_FUNCTIONS(subscribe);
DRV_CODEC_FUNCTIONS(logs);
DRV_CODEC_FUNCTIONS(events);
DRV_CODEC_FUNCTIONS(taken);
DRV_CODEC_FUNCTIONS(follow);

#undef DRV_CODEC_FUNCTIONS

#endif
