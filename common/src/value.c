/*
 * value.c: see value.h.
 *
 * The encoded bytes are always complete, so that readers need no preparation and change
 * nothing. They begin at `start`, never before HEADROOM, and the header of an array or map
 * lies right before its body: when the count grows, a longer header fits in front and the body
 * stays where it is.
 *
 * A value of known length is one piece of memory; it moves into a buffer of its own when it
 * grows.
 */
#include <drover/value.h>

#include "buffer.h"
#include "json.h"
#include "pack.h"
#include "pack_bytes.h"
#include "problem.h"
#include "reader.h"
#include "utf8.h"
#include "value_place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The longest header has five bytes, the shortest one. */
#define HEADROOM 4
#define HEADER_LEN 5
#define NUMBER_LEN 9
/* The NUL, and what the packer wants free whatever it writes. */
#define SLACK (1 + DRV_PACK_HEAD_MAX)

struct drover_value {
    struct drv_buffer buffer; /* HEADROOM unused bytes, the encoded value, a NUL; owned, or in
                                 `room` */
    size_t start;             /* of the encoded value in it */
    char *content_type;       /* owned; NULL: msgpack */
    uint8_t room[];           /* what was known when it was made; nothing ever grows here */
};

static struct drv_view value_view(const drover_value *value)
{
    return drv_view_of(value->buffer.bytes + value->start, value->buffer.len - value->start);
}

static struct drv_cursor value_cursor(const drover_value *value)
{
    struct drv_view view = value_view(value);
    struct drv_cursor cursor;
    drv_cursor_init(&cursor, view.bytes, view.len);
    return cursor;
}

static bool is_raw(const drover_value *value)
{
    return value->content_type != NULL;
}

/* ---- making ------------------------------------------------------------------------------ */

/* An empty value in `memory`, with room for `len` encoded bytes. */
static drover_value *value_lay_out(void *memory, size_t len)
{
    drover_value *value = memory;
    value->start = HEADROOM;
    value->content_type = NULL;
    value->buffer = (struct drv_buffer){
        .bytes = value->room, .len = HEADROOM, .capacity = HEADROOM + len + SLACK};
    memset(value->room, 0, HEADROOM);
    return value;
}

size_t drv_value_place_size(size_t len)
{
    return sizeof(drover_value) + HEADROOM + len + SLACK;
}

drover_value *drv_value_place(void *memory, const void *bytes, size_t len)
{
    drover_value *value = value_lay_out(memory, len);
    uint8_t *at = value->buffer.bytes + HEADROOM;
    if (len > 0) {
        memcpy(at, bytes, len);
    }
    at[len] = '\0';
    value->buffer.len += len;
    return value;
}

/* A value without bytes yet, to be filled through *out_pack with no more than `len` bytes, and
 * finished by value_finish. */
static drover_status value_begin(size_t len, drover_value **out_value,
                                 struct drv_pack *out_pack)
{
    void *memory = malloc(drv_value_place_size(len));
    if (memory == NULL) {
        return DROVER_NOMEM;
    }
    *out_value = value_lay_out(memory, len);
    drv_pack_init(out_pack, &(*out_value)->buffer);
    return DROVER_OK;
}

static bool is_in_room(const drover_value *value)
{
    return value->buffer.bytes == value->room;
}

/* Moves the bytes to where they can grow. OK or NOMEM. */
static drover_status value_open(drover_value *value)
{
    if (!is_in_room(value)) {
        return DROVER_OK;
    }
    struct drv_buffer grown;
    drv_buffer_init(&grown);
    drover_status status = drv_buffer_append(&grown, value->buffer.bytes, value->buffer.len);
    if (status == DROVER_OK) {
        value->buffer = grown;
    }
    return status;
}

/* Hands *value over, or destroys it when it could not be filled or is too big. */
static drover_status value_finish(drover_value **value, const struct drv_pack *pack,
                                  drover_value **out_value)
{
    drover_status status = drv_pack_status(pack);
    if (!status && value_view(*value).len > DROVER_VALUE_BYTES_MAX) {
        status = DROVER_TOO_BIG;
    }
    if (status) {
        drover_value_destroy(value);
        return status;
    }
    *out_value = *value;
    *value = NULL;
    return DROVER_OK;
}

/* A value of bytes that are known to be one msgpack value, or anything if it is to be raw. */
static drover_status value_new_encoded(const void *bytes, size_t len, drover_value **out_value)
{
    if (len > DROVER_VALUE_BYTES_MAX) {
        return DROVER_TOO_BIG;
    }
    void *memory = malloc(drv_value_place_size(len));
    if (memory == NULL) {
        return DROVER_NOMEM;
    }
    *out_value = drv_value_place(memory, bytes, len);
    return DROVER_OK;
}

drover_status drover_value_new_nil(drover_value **out_value)
{
    return value_new_encoded("\xc0", 1, out_value);
}

drover_status drover_value_new_bool(bool flag, drover_value **out_value)
{
    return value_new_encoded(flag ? "\xc3" : "\xc2", 1, out_value);
}

drover_status drover_value_new_int(int64_t number, drover_value **out_value)
{
    drover_value *value;
    struct drv_pack pack;
    drover_status status = value_begin(NUMBER_LEN, &value, &pack);
    if (status) {
        return status;
    }
    drv_pack_int(&pack, number);
    return value_finish(&value, &pack, out_value);
}

drover_status drover_value_new_uint(uint64_t number, drover_value **out_value)
{
    drover_value *value;
    struct drv_pack pack;
    drover_status status = value_begin(NUMBER_LEN, &value, &pack);
    if (status) {
        return status;
    }
    drv_pack_uint(&pack, number);
    return value_finish(&value, &pack, out_value);
}

drover_status drover_value_new_double(double number, drover_value **out_value)
{
    drover_value *value;
    struct drv_pack pack;
    drover_status status = value_begin(NUMBER_LEN, &value, &pack);
    if (status) {
        return status;
    }
    drv_pack_double(&pack, number);
    return value_finish(&value, &pack, out_value);
}

drover_status drover_value_new_string(const char *text, size_t len, drover_value **out_value)
{
    if (len > DROVER_VALUE_BYTES_MAX) {
        return DROVER_TOO_BIG;
    }
    if (!drv_utf8_is_valid((const uint8_t *)text, len)) {
        return DROVER_INVALID;
    }
    drover_value *value;
    struct drv_pack pack;
    drover_status status = value_begin(HEADER_LEN + len, &value, &pack);
    if (status) {
        return status;
    }
    drv_pack_str(&pack, text, len);
    return value_finish(&value, &pack, out_value);
}

drover_status drover_value_new_text(const char *text, drover_value **out_value)
{
    return drover_value_new_string(text, strlen(text), out_value);
}

drover_status drover_value_new_binary(const void *bytes, size_t len, drover_value **out_value)
{
    if (len > DROVER_VALUE_BYTES_MAX) {
        return DROVER_TOO_BIG;
    }
    drover_value *value;
    struct drv_pack pack;
    drover_status status = value_begin(HEADER_LEN + len, &value, &pack);
    if (status) {
        return status;
    }
    drv_pack_bin(&pack, bytes, len);
    return value_finish(&value, &pack, out_value);
}

static bool content_type_is_valid(const char *content_type)
{
    size_t len = strnlen(content_type, DROVER_CONTENT_TYPE_MAX + 1);
    for (size_t i = 0; i < len; i++) {
        if (content_type[i] < 0x20 || content_type[i] > 0x7e) {
            return false;
        }
    }
    return len > 0 && len <= DROVER_CONTENT_TYPE_MAX;
}

drover_status drover_value_new_raw(const void *bytes, size_t len, const char *content_type,
                                   drover_value **out_value)
{
    if (!content_type_is_valid(content_type)) {
        return DROVER_INVALID;
    }
    drover_value *value;
    drover_status status = value_new_encoded(bytes, len, &value);
    if (status) {
        return status;
    }
    value->content_type = strdup(content_type);
    if (value->content_type == NULL) {
        drover_value_destroy(&value);
        return DROVER_NOMEM;
    }
    *out_value = value;
    return DROVER_OK;
}

drover_status drover_value_from_msgpack(const void *bytes, size_t len, drover_value **out_value)
{
    if (len > DROVER_VALUE_BYTES_MAX) {
        return DROVER_TOO_BIG;
    }
    drover_status status = drv_validate((const uint8_t *)bytes, len, &DRV_VALIDATE_VALUE);
    return status ? status : value_new_encoded(bytes, len, out_value);
}

drover_status drover_value_from_json(const char *text, size_t len, drover_value **out_value,
                                     char *error, size_t error_size)
{
    struct drv_problem problem = {.text = ""};
    drover_value *value = NULL;
    struct drv_pack pack;
    drover_status status;
    if (len > DROVER_VALUE_BYTES_MAX) {
        status = drv_problem_set(&problem, DROVER_TOO_BIG, "more than %u bytes",
                                 DROVER_VALUE_BYTES_MAX);
        goto out;
    }
    status = value_begin(0, &value, &pack);
    if (status == DROVER_OK) {
        status = value_open(value);
    }
    if (status) {
        goto out;
    }
    status = drv_json_read(drv_view_of(text, len), &value->buffer, &problem);
    if (status) {
        goto out;
    }
    status = value_finish(&value, &pack, out_value);
out:
    if (status && error_size > 0) {
        const char *why = problem.text[0] != '\0' ? problem.text : drover_status_text(status);
        (void)snprintf(error, error_size, "%s", why);
    }
    drover_value_destroy(&value);
    return status;
}

drover_status drover_value_copy(const drover_value *value, drover_value **out_value)
{
    struct drv_view view = value_view(value);
    if (is_raw(value)) {
        return drover_value_new_raw(view.bytes, view.len, value->content_type, out_value);
    }
    return value_new_encoded(view.bytes, view.len, out_value);
}

void drover_value_destroy(drover_value **value)
{
    if (value == NULL || *value == NULL) {
        return;
    }
    if (!is_in_room(*value)) {
        drv_buffer_fini(&(*value)->buffer);
    }
    free((*value)->content_type);
    free(*value);
    *value = NULL;
}

/* ---- building ---------------------------------------------------------------------------- */

drover_status drover_value_array_new(drover_value **out_value)
{
    return value_new_encoded("\x90", 1, out_value);
}

drover_status drover_value_map_new(drover_value **out_value)
{
    return value_new_encoded("\x80", 1, out_value);
}

/* Whether item may go into a container: msgpack, and not nested too deep then. */
static drover_status check_item(const drover_value *item)
{
    static const struct drv_validate_limits inside = {.depth = DROVER_VALUE_DEPTH_MAX - 1,
                                                      .nodes = DROVER_VALUE_BYTES_MAX};
    if (item == NULL || is_raw(item)) {
        return DROVER_INVALID;
    }
    struct drv_view view = value_view(item);
    return drv_validate(view.bytes, view.len, &inside);
}

/* Writes the header of a container again, right before its body. */
static void set_header(drover_value *value, size_t body_start, bool is_map, size_t count)
{
    uint8_t header[5];
    size_t len;
    if (count < 16) {
        header[0] = (uint8_t)((is_map ? 0x80 : 0x90) | count);
        len = 1;
    } else {
        bool is_long = count > UINT16_MAX;
        len = is_long ? 5 : 3;
        header[0] = (uint8_t)((is_map ? 0xde : 0xdc) + is_long);
        for (size_t i = len - 1; i >= 1; i--) {
            header[i] = (uint8_t)count;
            count >>= 8;
        }
    }
    value->start = body_start - len;
    memcpy(value->buffer.bytes + value->start, header, len);
}

/* Where the cursor stands, as a position in the buffer of the value it reads. */
static size_t position_of(const drover_value *value, const struct drv_cursor *cursor)
{
    return (size_t)(cursor->at - value->buffer.bytes);
}

drover_status drover_value_array_append(drover_value *array, drover_value **item)
{
    drover_status status = DROVER_INVALID;
    if (drover_value_get_type(array) != DROVER_VALUE_ARRAY || *item == array) {
        goto out;
    }
    status = check_item(*item);
    if (status) {
        goto out;
    }
    struct drv_view bytes = value_view(*item);
    if (bytes.len + value_view(array).len + HEADROOM > DROVER_VALUE_BYTES_MAX) {
        status = DROVER_TOO_BIG;
        goto out;
    }
    status = value_open(array);
    if (status) {
        goto out;
    }
    struct drv_cursor cursor = value_cursor(array);
    size_t count = drv_cursor_array(&cursor);
    size_t body_start = position_of(array, &cursor);
    status = drv_buffer_append(&array->buffer, bytes.bytes, bytes.len);
    if (!status) {
        set_header(array, body_start, false, count + 1);
    }
out:
    if (*item != array) {
        drover_value_destroy(item);
    }
    return status;
}

/* Steps a cursor behind a map's header to the item under key; false and at the end if none. */
static bool find_key(struct drv_cursor *cursor, size_t count, struct drv_view key)
{
    for (size_t i = 0; i < count; i++) {
        if (drv_cursor_peek(cursor) == DRV_TYPE_STR) {
            if (drv_view_equal(drv_cursor_str(cursor), key)) {
                return true;
            }
        } else {
            drv_cursor_skip(cursor);
        }
        drv_cursor_skip(cursor);
    }
    return false;
}

/* Adds a pair at the end; nothing is changed unless it succeeds. */
static drover_status map_add(drover_value *map, struct drv_view key, struct drv_view item)
{
    struct drv_cursor cursor = value_cursor(map);
    size_t count = drv_cursor_map(&cursor);
    size_t body_start = position_of(map, &cursor);
    size_t before = map->buffer.len;
    struct drv_pack pack;
    drv_pack_init(&pack, &map->buffer);
    drv_pack_view(&pack, key);
    drv_pack_raw(&pack, item.bytes, item.len);
    drover_status status = drv_pack_status(&pack);
    if (status) {
        map->buffer.len = before;
        return status;
    }
    set_header(map, body_start, true, count + 1);
    return DROVER_OK;
}

drover_status drover_value_map_set(drover_value *map, const char *key, drover_value **item)
{
    struct drv_view name = drv_view_text(key);
    drover_status status = DROVER_INVALID;
    if (drover_value_get_type(map) != DROVER_VALUE_MAP || *item == map ||
        !drv_utf8_is_valid(name.bytes, name.len)) {
        goto out;
    }
    status = check_item(*item);
    if (status) {
        goto out;
    }
    struct drv_view bytes = value_view(*item);
    if (bytes.len > DROVER_VALUE_BYTES_MAX || name.len > DROVER_VALUE_BYTES_MAX ||
        bytes.len + name.len + value_view(map).len + 2 * HEADROOM > DROVER_VALUE_BYTES_MAX) {
        status = DROVER_TOO_BIG;
        goto out;
    }
    status = value_open(map);
    if (status) {
        goto out;
    }
    struct drv_cursor cursor = value_cursor(map);
    size_t count = drv_cursor_map(&cursor);
    if (find_key(&cursor, count, name)) {
        size_t offset = position_of(map, &cursor);
        drv_cursor_skip(&cursor);
        status = drv_buffer_splice(&map->buffer, offset, position_of(map, &cursor) - offset,
                                   bytes.bytes, bytes.len);
    } else {
        status = map_add(map, name, bytes);
    }
out:
    if (*item != map) {
        drover_value_destroy(item);
    }
    return status;
}

/* ---- reading ----------------------------------------------------------------------------- */

drover_value_type drover_value_get_type(const drover_value *value)
{
    static const drover_value_type types[] = {
        [DRV_TYPE_END] = DROVER_VALUE_RAW,       [DRV_TYPE_NIL] = DROVER_VALUE_NIL,
        [DRV_TYPE_BOOL] = DROVER_VALUE_BOOL,     [DRV_TYPE_INT] = DROVER_VALUE_INT,
        [DRV_TYPE_DOUBLE] = DROVER_VALUE_DOUBLE, [DRV_TYPE_STR] = DROVER_VALUE_STRING,
        [DRV_TYPE_BIN] = DROVER_VALUE_BINARY,    [DRV_TYPE_ARRAY] = DROVER_VALUE_ARRAY,
        [DRV_TYPE_MAP] = DROVER_VALUE_MAP,       [DRV_TYPE_BAD] = DROVER_VALUE_RAW,
    };
    if (is_raw(value)) {
        return DROVER_VALUE_RAW;
    }
    struct drv_cursor cursor = value_cursor(value);
    return types[drv_cursor_peek(&cursor)];
}

/* A cursor on a msgpack value; a raw one gives a cursor that fails. */
static struct drv_cursor scalar_cursor(const drover_value *value)
{
    struct drv_cursor cursor = value_cursor(value);
    if (is_raw(value)) {
        drv_cursor_fail(&cursor);
    }
    return cursor;
}

drover_status drover_value_get_bool(const drover_value *value, bool *out_flag)
{
    struct drv_cursor cursor = scalar_cursor(value);
    bool flag = drv_cursor_bool(&cursor);
    if (!drv_cursor_is_ok(&cursor)) {
        return DROVER_INVALID;
    }
    *out_flag = flag;
    return DROVER_OK;
}

drover_status drover_value_get_int(const drover_value *value, int64_t *out_number)
{
    struct drv_cursor cursor = scalar_cursor(value);
    int64_t number = drv_cursor_int(&cursor);
    if (!drv_cursor_is_ok(&cursor)) {
        return DROVER_INVALID;
    }
    *out_number = number;
    return DROVER_OK;
}

drover_status drover_value_get_uint(const drover_value *value, uint64_t *out_number)
{
    struct drv_cursor cursor = scalar_cursor(value);
    uint64_t number = drv_cursor_uint(&cursor);
    if (!drv_cursor_is_ok(&cursor)) {
        return DROVER_INVALID;
    }
    *out_number = number;
    return DROVER_OK;
}

drover_status drover_value_get_double(const drover_value *value, double *out_number)
{
    struct drv_cursor cursor = scalar_cursor(value);
    double number = drv_cursor_double(&cursor);
    if (!drv_cursor_is_ok(&cursor)) {
        return DROVER_INVALID;
    }
    *out_number = number;
    return DROVER_OK;
}

drover_status drover_value_get_string(const drover_value *value, const char **out_text,
                                      size_t *out_len)
{
    struct drv_cursor cursor = scalar_cursor(value);
    struct drv_view text = drv_cursor_str(&cursor);
    if (!drv_cursor_is_ok(&cursor)) {
        return DROVER_INVALID;
    }
    *out_text = (const char *)text.bytes; /* ends where the buffer has its NUL */
    if (out_len != NULL) {
        *out_len = text.len;
    }
    return DROVER_OK;
}

drover_status drover_value_get_binary(const drover_value *value, const void **out_bytes,
                                      size_t *out_len)
{
    struct drv_view bytes = value_view(value);
    if (!is_raw(value)) {
        struct drv_cursor cursor = value_cursor(value);
        bytes = drv_cursor_bin(&cursor);
        if (!drv_cursor_is_ok(&cursor)) {
            return DROVER_INVALID;
        }
    }
    *out_bytes = bytes.bytes;
    *out_len = bytes.len;
    return DROVER_OK;
}

void drover_value_iter_init(drover_value_iter *iter, const drover_value *value)
{
    drover_value_type type = drover_value_get_type(value);
    struct drv_cursor cursor = value_cursor(value);
    *iter = (drover_value_iter){.is_map = type == DROVER_VALUE_MAP};
    if (type == DROVER_VALUE_ARRAY) {
        iter->left = drv_cursor_array(&cursor);
    } else if (type == DROVER_VALUE_MAP) {
        iter->left = drv_cursor_map(&cursor);
    }
    iter->at = cursor.at;
    iter->end = cursor.end;
}

size_t drover_value_count(const drover_value *value)
{
    drover_value_iter iter;
    drover_value_iter_init(&iter, value);
    return iter.left;
}

drover_status drover_value_iter_next(drover_value_iter *iter, drover_value **out_key,
                                     drover_value **out_item)
{
    if (iter->left == 0) {
        return DROVER_UNKNOWN;
    }
    struct drv_cursor cursor;
    drover_value *key = NULL;
    drv_cursor_init(&cursor, iter->at, (size_t)(iter->end - iter->at));
    drover_status status = DROVER_OK;
    if (iter->is_map) {
        struct drv_view view = drv_cursor_value(&cursor);
        status = out_key == NULL ? DROVER_OK : value_new_encoded(view.bytes, view.len, &key);
    }
    if (!status) {
        struct drv_view view = drv_cursor_value(&cursor);
        status = value_new_encoded(view.bytes, view.len, out_item);
    }
    if (status) {
        drover_value_destroy(&key);
        return status;
    }
    if (out_key != NULL) {
        *out_key = key;
    }
    iter->at = cursor.at;
    iter->left--;
    return DROVER_OK;
}

drover_status drover_value_array_len(const drover_value *array, size_t *out_len)
{
    if (drover_value_get_type(array) != DROVER_VALUE_ARRAY) {
        return DROVER_INVALID;
    }
    *out_len = drover_value_count(array);
    return DROVER_OK;
}

drover_status drover_value_array_get(const drover_value *array, size_t index,
                                     drover_value **out_item)
{
    if (drover_value_get_type(array) != DROVER_VALUE_ARRAY) {
        return DROVER_INVALID;
    }
    struct drv_cursor cursor = value_cursor(array);
    if (index >= drv_cursor_array(&cursor)) {
        return DROVER_UNKNOWN;
    }
    drv_cursor_skip_many(&cursor, index);
    struct drv_view item = drv_cursor_value(&cursor);
    return value_new_encoded(item.bytes, item.len, out_item);
}

drover_status drover_value_map_get(const drover_value *map, const char *key,
                                   drover_value **out_item)
{
    if (drover_value_get_type(map) != DROVER_VALUE_MAP) {
        return DROVER_INVALID;
    }
    struct drv_cursor cursor = value_cursor(map);
    size_t count = drv_cursor_map(&cursor);
    if (!find_key(&cursor, count, drv_view_text(key))) {
        return DROVER_UNKNOWN;
    }
    struct drv_view item = drv_cursor_value(&cursor);
    return value_new_encoded(item.bytes, item.len, out_item);
}

void drover_value_bytes(const drover_value *value, const void **out_bytes, size_t *out_len)
{
    struct drv_view view = value_view(value);
    *out_bytes = view.bytes;
    *out_len = view.len;
}

const char *drover_value_content_type(const drover_value *value)
{
    return is_raw(value) ? value->content_type : "";
}
