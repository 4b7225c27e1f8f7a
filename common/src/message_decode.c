/*
 * message_decode.c: from bytes to typed messages: the head, its common fields, and the types of
 * PROTOCOL.md sections 2 and 5 that several kinds share.
 */
#include "message_codec.h"

#include "data.h"
#include "name.h"

void drv_decode_fail(struct drv_decode *decode, drover_status status, const char *reason)
{
    if (!decode->cursor.failed) {
        decode->status = status;
        decode->reason = reason;
        drv_cursor_fail(&decode->cursor);
    }
}

/* ---- messages ---------------------------------------------------------------------------- */

static drover_status refuse(drover_status status, const char *reason, const char **out_reason)
{
    if (out_reason != NULL) {
        *out_reason = reason;
    }
    return status;
}

/* What the cursor and the getters found, as a status. */
static drover_status outcome(const struct drv_decode *decode, const char **out_reason)
{
    if (!decode->cursor.failed) {
        return DROVER_OK;
    }
    if (decode->status == DROVER_OK) {
        return refuse(DROVER_MALFORMED, "field of a wrong type or out of range", out_reason);
    }
    return refuse(decode->status, decode->reason, out_reason);
}

drover_status drv_decode_head(struct drv_decode *decode, const uint8_t *head, size_t head_len,
                              const uint8_t *blob, size_t blob_len,
                              struct drv_message *out_message, const char **out_reason)
{
    if (head_len > DRV_HEAD_MAX) {
        return refuse(DROVER_TOO_BIG, "head longer than head_max", out_reason);
    }
    if (blob_len > DRV_BLOB_MAX) {
        return refuse(DROVER_TOO_BIG, "blob longer than blob_max", out_reason);
    }
    const struct drv_validate_limits limits = {.depth = DRV_HEAD_DEPTH_MAX,
                                               .nodes = DRV_HEAD_NODES_MAX};
    drover_status status = drv_validate(head, head_len, &limits);
    if (status) {
        return refuse(status, "head is not one bounded msgpack value", out_reason);
    }
    *decode = (struct drv_decode){.blob = blob, .blob_len = blob_len};
    drv_cursor_init(&decode->cursor, head, head_len);
    decode->left = drv_cursor_array(&decode->cursor);
    uint32_t kind = drv_get_u32(decode);
    memset(out_message, 0, offsetof(struct drv_message, hello));
    out_message->epoch = drv_get_u64(decode);
    out_message->seq = drv_get_u64(decode);
    out_message->ack = drv_get_u64(decode);
    if (decode->cursor.failed || kind == 0) {
        return refuse(DROVER_MALFORMED, "head does not begin with kind, epoch, seq, ack",
                      out_reason);
    }
    out_message->kind = (enum drv_kind)kind;
    return DROVER_OK;
}

/* The number of a request; a reserved kind has one too, so that it can be answered. */
static void get_prefix(struct drv_decode *decode, enum drv_prefix prefix,
                       struct drv_request *out_request)
{
    if (prefix == DRV_PREFIX_NONE) {
        return;
    }
    out_request->req = drv_get_u64(decode);
    if (out_request->req == 0) {
        drv_decode_fail(decode, DROVER_MALFORMED, "request number 0");
    }
    if (prefix == DRV_PREFIX_REQUEST) {
        out_request->floor = drv_get_u64(decode);
        out_request->budget_ms = drv_get_u64(decode);
    }
}

drover_status drv_decode_fields(struct drv_decode *decode,
                                const struct drv_transfers *transfers, struct drv_arena *arena,
                                struct drv_message *out_message, const char **out_reason)
{
    const struct drv_kind_row *row = drv_kind_row(out_message->kind);
    if (row == NULL) {
        return refuse(DROVER_UNSUPPORTED, "unknown kind", out_reason);
    }
    decode->transfers = transfers;
    decode->arena = arena;
    get_prefix(decode, row->prefix, &out_message->request);
    if (row->decode == NULL) {
        return refuse(DROVER_UNSUPPORTED, "reserved kind", out_reason);
    }
    row->decode(decode, out_message);
    return outcome(decode, out_reason);
}

drover_status drv_message_decode(const uint8_t *head, size_t head_len, const uint8_t *blob,
                                 size_t blob_len, const struct drv_transfers *transfers,
                                 struct drv_arena *arena, struct drv_message *out_message,
                                 const char **out_reason)
{
    struct drv_decode decode;
    drover_status status = drv_decode_head(&decode, head, head_len, blob, blob_len, out_message,
                                           out_reason);
    if (status) {
        return status;
    }
    return drv_decode_fields(&decode, transfers, arena, out_message, out_reason);
}

/* ---- arrays ------------------------------------------------------------------------------ */

bool drv_get_open_optional(struct drv_decode *decode, uint32_t *out_outer)
{
    if (decode->left == 0) {
        return false;
    }
    if (drv_cursor_take_nil(&decode->cursor)) {
        decode->left--;
        return false;
    }
    *out_outer = drv_get_open(decode);
    return true;
}

/* Room for a list whose items are filled in one by one (is_raw) or zeroed. */
static void *get_list(struct drv_decode *decode, size_t max, size_t size, bool is_raw,
                      struct drv_items *out_items)
{
    *out_items = (struct drv_items){.outer = decode->left};
    if (!drv_get_open_optional(decode, &out_items->outer)) {
        /* Nil or missing: an empty list, closed like any other. */
        out_items->outer = decode->left;
        decode->left = 0;
        return NULL;
    }
    size_t count = decode->left;
    if (count > max) {
        drv_decode_fail(decode, DROVER_LIMIT, "too many entries in a list");
        return NULL;
    }
    void *items = is_raw ? drv_arena_take(decode->arena, count, size)
                         : drv_arena_alloc(decode->arena, count, size);
    if (items == NULL) {
        drv_decode_fail(decode, DROVER_NOMEM, "out of memory");
        return NULL;
    }
    out_items->count = count;
    return items;
}

void *drv_get_items(struct drv_decode *decode, size_t max, size_t size,
                    struct drv_items *out_items)
{
    return get_list(decode, max, size, false, out_items);
}

void *drv_get_batch(struct drv_decode *decode, size_t size, struct drv_items *out_items)
{
    void *items = drv_get_items(decode, DRV_BATCH_MAX - decode->batch_count, size, out_items);
    decode->batch_count += out_items->count;
    return items;
}

void *drv_get_raw_batch(struct drv_decode *decode, size_t size, struct drv_items *out_items)
{
    void *items = get_list(decode, DRV_BATCH_MAX - decode->batch_count, size, true, out_items);
    decode->batch_count += out_items->count;
    return items;
}

/* ---- simple types ------------------------------------------------------------------------ */

uint32_t drv_get_enum(struct drv_decode *decode, uint32_t min, uint32_t max, const char *reason)
{
    uint32_t number = drv_get_u32(decode);
    if (number < min || number > max) {
        drv_decode_fail(decode, DROVER_MALFORMED, reason);
    }
    return number;
}

void drv_get_id(struct drv_decode *decode, drover_id *out_id)
{
    const uint8_t *at = decode->cursor.at;
    if (decode->left == 0) {
        drv_decode_fail(decode, DROVER_MALFORMED, "id missing");
        return;
    }
    decode->left--;
    if (decode->cursor.end - at >= 18 && at[0] == 0xc4 && at[1] == sizeof out_id->bytes) {
        memcpy(out_id->bytes, at + 2, sizeof out_id->bytes);
        decode->cursor.at = at + 2 + sizeof out_id->bytes;
    } else {
        drv_cursor_bin_exact(&decode->cursor, out_id->bytes, sizeof out_id->bytes);
    }
}

uint32_t drv_get_index(struct drv_decode *decode)
{
    /* The task itself, which is what most messages speak of: one byte. */
    if (decode->left != 0 && decode->cursor.at != decode->cursor.end &&
        *decode->cursor.at == 0xff) {
        decode->left--;
        decode->cursor.at++;
        return DROVER_INDEX_NONE;
    }
    int64_t index = drv_get_int(decode, -1, DRV_ARRAY_MAX - 1, -1);
    return index < 0 ? DROVER_INDEX_NONE : (uint32_t)index;
}

static struct drv_str str_of(struct drv_view view)
{
    return (struct drv_str){(const char *)view.bytes, view.len};
}

static const struct drv_str EMPTY = {"", 0};
static const struct drv_str NIL = {NULL, 0};

/* A str or bin of at most max bytes that is neither nil nor missing. */
static struct drv_str bounded(struct drv_decode *decode, bool is_text, size_t max)
{
    struct drv_str bytes = str_of(is_text ? drv_cursor_str(&decode->cursor)
                                          : drv_cursor_bin(&decode->cursor));
    if (bytes.len > max) {
        drv_decode_fail(decode, DROVER_TOO_BIG, "text or bytes longer than their limit");
        return EMPTY;
    }
    return decode->cursor.failed ? EMPTY : bytes;
}

static struct drv_str bounded_optional(struct drv_decode *decode, bool is_text, size_t max)
{
    if (!drv_get_more(decode) || drv_cursor_take_nil(&decode->cursor)) {
        return NIL;
    }
    return bounded(decode, is_text, max);
}

struct drv_str drv_get_text(struct drv_decode *decode, size_t max)
{
    return drv_get_more(decode) ? bounded(decode, true, max) : EMPTY;
}

struct drv_str drv_get_text_optional(struct drv_decode *decode, size_t max)
{
    return bounded_optional(decode, true, max);
}

struct drv_str drv_get_binary(struct drv_decode *decode, size_t max)
{
    return drv_get_more(decode) ? bounded(decode, false, max) : EMPTY;
}

struct drv_str drv_get_binary_optional(struct drv_decode *decode, size_t max)
{
    return bounded_optional(decode, false, max);
}

static struct drv_str checked_name(struct drv_decode *decode, struct drv_str name)
{
    if (!drv_name_is_valid(drv_view_of(name.ptr, name.len))) {
        drv_decode_fail(decode, DROVER_MALFORMED, "not a name");
    }
    return name;
}

struct drv_str drv_get_name(struct drv_decode *decode)
{
    return checked_name(decode, drv_get_text(decode, DRV_NAME_MAX));
}

struct drv_str drv_get_name_optional(struct drv_decode *decode)
{
    struct drv_str name = drv_get_text_optional(decode, DRV_NAME_MAX);
    return name.ptr == NULL ? name : checked_name(decode, name);
}

/* ---- values ------------------------------------------------------------------------------ */

static void get_slice(struct drv_decode *decode, uint64_t offset, uint64_t len,
                      struct drv_val *val)
{
    if (len > DRV_INLINE_MAX) {
        drv_decode_fail(decode, DROVER_TOO_BIG, "value longer than inline_max in the blob");
        return;
    }
    if (offset > decode->blob_len || len > decode->blob_len - offset) {
        drv_decode_fail(decode, DROVER_MALFORMED, "slice outside the blob");
        return;
    }
    val->bytes = decode->blob == NULL ? NULL : decode->blob + offset;
    val->len = (size_t)len;
    decode->blob_at = (size_t)(offset + len);
}

static void get_transfer(struct drv_decode *decode, uint64_t offset, uint64_t total,
                         uint64_t transfer, struct drv_val *val)
{
    if (offset != 0 || total <= DRV_INLINE_MAX) {
        drv_decode_fail(decode, DROVER_PROTOCOL, "chunks for a value that fits into the blob");
        return;
    }
    if (total > DRV_PAYLOAD_MAX) {
        drv_decode_fail(decode, DROVER_TOO_BIG, "value longer than payload_max");
        return;
    }
    const struct drv_transfers *transfers = decode->transfers;
    struct drv_data *data = NULL;
    drover_status status = DROVER_PROTOCOL;
    if (transfers != NULL && transfers->take != NULL) {
        status = transfers->take(transfers->context, transfer, total, &data);
    }
    if (status) {
        drv_decode_fail(decode, status, "no such complete transfer");
        return;
    }
    val->bytes = data->pieces == NULL ? data->bytes : NULL;
    val->len = data->len;
    val->data = data;
}

/* The array form of a val. */
static struct drv_val get_placed_val(struct drv_decode *decode)
{
    struct drv_val val = {.is_nil = false};
    uint32_t outer = drv_get_open(decode);
    uint64_t offset = drv_get_u64(decode);
    uint64_t len = drv_get_u64(decode);
    val.content_type = drv_get_text_optional(decode, DRV_CONTENT_TYPE_MAX);
    uint64_t transfer = drv_get_u64(decode);
    drv_get_close(decode, outer);
    if (decode->cursor.failed) {
        return val;
    }
    if (transfer == 0) {
        get_slice(decode, offset, len, &val);
    } else {
        get_transfer(decode, offset, len, transfer, &val);
    }
    return val;
}

/* A slice of the blob without a content type, which is what nearly all values are. False: it is
 * something else, still unread. */
static inline bool get_plain_val(struct drv_decode *decode, struct drv_val *val)
{
    struct drv_cursor *cursor = &decode->cursor;
    if (decode->left == 0 || cursor->at == cursor->end || *cursor->at != 0x92) {
        return false;
    }
    decode->left--;
    cursor->at++;
    uint64_t offset = drv_cursor_uint(cursor);
    uint64_t len = drv_cursor_uint(cursor);
    if (!cursor->failed) {
        get_slice(decode, offset, len, val);
    }
    return true;
}

struct drv_val drv_get_val(struct drv_decode *decode)
{
    struct drv_val val = {.is_nil = false};
    if (get_plain_val(decode, &val)) {
        return val;
    }
    if (decode->left == 0) {
        return (struct drv_val){.is_nil = true};
    }
    if (drv_cursor_take_nil(&decode->cursor)) {
        decode->left--;
        return (struct drv_val){.is_nil = true};
    }
    return get_placed_val(decode);
}

struct drv_val drv_get_next_val(struct drv_decode *decode)
{
    if (drv_cursor_peek(&decode->cursor) != DRV_TYPE_INT) {
        return drv_get_val(decode);
    }
    struct drv_val val = {.is_nil = false};
    uint64_t len = drv_get_u64(decode);
    if (!decode->cursor.failed) {
        get_slice(decode, decode->blob_at, len, &val);
    }
    return val;
}

bool drv_get_id_optional(struct drv_decode *decode, drover_id *out_id)
{
    *out_id = (drover_id){{0}};
    if (decode->left == 0) {
        return false;
    }
    if (drv_cursor_take_nil(&decode->cursor)) {
        decode->left--;
        return false;
    }
    drv_get_id(decode, out_id);
    return true;
}

/* ---- lists and records ------------------------------------------------------------------- */

void drv_get_ref(struct drv_decode *decode, struct drv_ref *out_ref)
{
    out_ref->handle = drv_get_u64(decode);
    drv_get_id(decode, &out_ref->id);
    out_ref->index = drv_get_index(decode);
    out_ref->attempt = drv_get_u32(decode);
}

const struct drv_ref *drv_get_refs(struct drv_decode *decode, size_t *out_count)
{
    struct drv_items items;
    struct drv_ref *refs = drv_get_batch(decode, sizeof *refs, &items);
    for (size_t i = 0; i < items.count; i++) {
        uint32_t outer = drv_get_open(decode);
        drv_get_ref(decode, &refs[i]);
        drv_get_close(decode, outer);
    }
    drv_get_close(decode, items.outer);
    *out_count = items.count;
    return refs;
}

const struct drv_str *drv_get_texts(struct drv_decode *decode, size_t max, size_t *out_count)
{
    struct drv_items items;
    struct drv_str *texts = drv_get_items(decode, max, sizeof *texts, &items);
    for (size_t i = 0; i < items.count; i++) {
        texts[i] = drv_get_text(decode, DRV_TEXT_MAX);
    }
    drv_get_close(decode, items.outer);
    *out_count = items.count;
    return texts;
}

/* A NUL ends it where it is kept. */
static struct drv_str get_label_value(struct drv_decode *decode)
{
    struct drv_str value = drv_get_text(decode, DRV_LABEL_VALUE_MAX);
    if (value.len > 0 && memchr(value.ptr, '\0', value.len) != NULL) {
        drv_decode_fail(decode, DROVER_MALFORMED, "a label or tag with a NUL");
    }
    return value;
}

const struct drv_pair *drv_get_pairs(struct drv_decode *decode, size_t *out_count)
{
    struct drv_items items;
    struct drv_pair *pairs = drv_get_items(decode, DRV_LABELS_MAX, sizeof *pairs, &items);
    for (size_t i = 0; i < items.count; i++) {
        uint32_t outer = drv_get_open(decode);
        pairs[i].name = drv_get_name(decode);
        pairs[i].value = get_label_value(decode);
        drv_get_close(decode, outer);
    }
    drv_get_close(decode, items.outer);
    *out_count = items.count;
    return pairs;
}

const struct drv_count *drv_get_counts(struct drv_decode *decode, size_t *out_count)
{
    struct drv_items items;
    struct drv_count *counts = drv_get_items(decode, DRV_LABELS_MAX, sizeof *counts, &items);
    for (size_t i = 0; i < items.count; i++) {
        uint32_t outer = drv_get_open(decode);
        counts[i].name = drv_get_name(decode);
        counts[i].count = drv_get_u64(decode);
        drv_get_close(decode, outer);
    }
    drv_get_close(decode, items.outer);
    *out_count = items.count;
    return counts;
}

const struct drv_note *drv_get_notes(struct drv_decode *decode, bool is_ack, size_t *out_count)
{
    struct drv_items items;
    struct drv_note *notes = drv_get_items(decode, DRV_BATCH_MAX - decode->note_count,
                                           sizeof *notes, &items);
    for (size_t i = 0; i < items.count; i++) {
        uint32_t outer = drv_get_open(decode);
        if (is_ack) {
            notes[i].seq = drv_get_u64(decode);
        }
        notes[i].position = drv_get_u32(decode);
        notes[i].code = drv_get_u32(decode);
        if (!is_ack) {
            notes[i].text = drv_get_text_optional(decode, DRV_TEXT_MAX);
            notes[i].retry_after_ms = drv_get_u64(decode);
            notes[i].has_id = drv_get_id_optional(decode, &notes[i].id);
        }
        drv_get_close(decode, outer);
    }
    drv_get_close(decode, items.outer);
    decode->note_count += items.count;
    *out_count = items.count;
    return notes;
}

void drv_get_tag(struct drv_decode *decode, struct drv_str *out_name, struct drv_str *out_value)
{
    uint32_t outer;
    *out_name = (struct drv_str){NULL, 0};
    *out_value = (struct drv_str){NULL, 0};
    if (drv_get_open_optional(decode, &outer)) {
        *out_name = drv_get_name(decode);
        *out_value = drv_get_text(decode, DRV_LABEL_VALUE_MAX);
        drv_get_close(decode, outer);
    }
}

void drv_get_error(struct drv_decode *decode, struct drv_error *out_error)
{
    uint32_t outer;
    *out_error = (struct drv_error){.kind = DROVER_ERROR_NONE, .exit_code = -1};
    if (!drv_get_open_optional(decode, &outer)) {
        return;
    }
    out_error->kind = drv_get_enum(decode, DROVER_ERROR_HANDLER, DROVER_ERROR_EXPIRED,
                                   "unknown error kind");
    out_error->code = drv_get_text(decode, DRV_TEXT_MAX);
    out_error->text = drv_get_text(decode, DRV_ERROR_TEXT_MAX);
    out_error->exit_code = (int32_t)drv_get_int(decode, INT32_MIN, INT32_MAX, -1);
    out_error->signal = drv_get_u32(decode);
    out_error->flags = drv_get_u32(decode);
    out_error->stderr_tail = drv_get_binary(decode, DRV_STDERR_MAX);
    drv_get_close(decode, outer);
}

/* ---- spec -------------------------------------------------------------------------------- */

const struct drv_after *drv_get_after(struct drv_decode *decode, size_t *out_count)
{
    struct drv_items items;
    struct drv_after *after = drv_get_items(decode, DRV_AFTER_MAX, sizeof *after, &items);
    for (size_t i = 0; i < items.count; i++) {
        uint32_t outer = drv_get_open(decode);
        drv_get_id(decode, &after[i].id);
        after[i].index = drv_get_index(decode);
        after[i].when = drv_get_enum(decode, 1, 2, "after: when is 1 or 2");
        drv_get_close(decode, outer);
    }
    drv_get_close(decode, items.outer);
    *out_count = items.count;
    return after;
}

struct drv_bounds drv_get_bounds(struct drv_decode *decode)
{
    struct drv_bounds limits = {0};
    uint32_t outer;
    if (drv_get_open_optional(decode, &outer)) {
        limits.memory_bytes = drv_get_u64(decode);
        limits.cpu_ms = drv_get_u64(decode);
        limits.output_bytes = drv_get_u64(decode);
        limits.processes = drv_get_u64(decode);
        limits.files = drv_get_u64(decode);
        drv_get_close(decode, outer);
    }
    return limits;
}

static void get_limits(struct drv_decode *decode, struct drv_spec *out_spec)
{
    struct drv_bounds limits = drv_get_bounds(decode);
    out_spec->limit_memory_bytes = limits.memory_bytes;
    out_spec->limit_cpu_ms = limits.cpu_ms;
    out_spec->limit_output_bytes = limits.output_bytes;
    out_spec->limit_processes = limits.processes;
    out_spec->limit_files = limits.files;
}

static void get_retry_of(struct drv_decode *decode, struct drv_spec *out_spec)
{
    uint32_t outer;
    out_spec->has_retry_of = drv_get_open_optional(decode, &outer);
    if (!out_spec->has_retry_of) {
        return;
    }
    drv_get_id(decode, &out_spec->retry_of.id);
    out_spec->retry_of.index = drv_get_index(decode);
    drv_get_close(decode, outer);
}

/* Positions 2 to 14: the numbers and the key. */
static void get_spec_numbers(struct drv_decode *decode, struct drv_spec *out_spec)
{
    out_spec->priority = (int32_t)drv_get_int(decode, INT8_MIN, INT8_MAX, 0);
    out_spec->delay_ms = drv_get_u64(decode);
    out_spec->expire_ms = drv_get_u64(decode);
    out_spec->timeout_ms = drv_get_u64(decode);
    out_spec->retries = drv_get_u32(decode);
    if (decode->left != 0) {
        out_spec->backoff_ms = drv_get_u64(decode);
    }
    if (decode->left != 0) {
        out_spec->backoff_max_ms = drv_get_u64(decode);
    }
    out_spec->loss_budget = (int32_t)drv_get_int(decode, INT32_MIN, INT32_MAX,
                                                 out_spec->loss_budget);
    out_spec->durability = drv_get_enum(decode, 0, DROVER_DURABILITY_SYNCED,
                                        "unknown durability level");
    out_spec->keep_ms = drv_get_int(decode, -1, INT64_MAX, out_spec->keep_ms);
    out_spec->flags = drv_get_u32(decode);
    out_spec->key = drv_get_text_optional(decode, DRV_TEXT_MAX);
    out_spec->key_window_ms = drv_get_u64(decode);
}

void drv_get_spec(struct drv_decode *decode, struct drv_spec *out_spec)
{
    uint32_t outer = drv_get_open(decode);
    drv_spec_init(out_spec, drv_get_name(decode));
    out_spec->queue = drv_get_name_optional(decode);
    get_spec_numbers(decode, out_spec);
    out_spec->after = drv_get_after(decode, &out_spec->after_count);
    out_spec->group = drv_get_name_optional(decode);
    out_spec->tags = drv_get_pairs(decode, &out_spec->tag_count);
    out_spec->fairness = drv_get_text_optional(decode, DRV_TEXT_MAX);
    out_spec->needs = drv_get_counts(decode, &out_spec->need_count);
    out_spec->require = drv_get_pairs(decode, &out_spec->require_count);
    get_limits(decode, out_spec);
    out_spec->meta = drv_get_binary_optional(decode, DRV_META_MAX);
    get_retry_of(decode, out_spec);
    drv_get_close(decode, outer);
}
