/*
 * value.c: making values and reading them; see value.h, and value_private.h for the inside.
 */
#include "value_private.h"

#include "check.h"
#include "data.h"
#include "json.h"
#include "pack.h"
#include "pack_bytes.h"
#include "problem.h"
#include "utf8.h"
#include "value_place.h"
#include "value_share.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_LEN 5
#define NUMBER_LEN 9
/* The NUL, and what the packer wants free whatever it writes. */
#define SLACK (1 + DRV_PACK_HEAD_MAX)
/* From here on bytes are shared. Their header as a msgpack bin is the longest. */
#define SHARED_MIN ((size_t)UINT16_MAX + 1)

/* ---- making ------------------------------------------------------------------------------ */

/* An empty value in `memory`, with room for `len` encoded bytes. */
static drover_value *value_lay_out(void *memory, size_t len)
{
    drover_value *value = memory;
    value->start = VALUE_HEADROOM;
    value->store = STORE_ROOM;
    value->content_type = NULL;
    value->buffer = (struct drv_buffer){
        .bytes = value->room, .len = VALUE_HEADROOM, .capacity = VALUE_HEADROOM + len + SLACK};
    memset(value->room, 0, VALUE_HEADROOM);
    return value;
}

size_t drv_value_place_size(size_t len)
{
    return sizeof(drover_value) + VALUE_HEADROOM + len + SLACK;
}

drover_value *drv_value_place(void *memory, const void *bytes, size_t len)
{
    drover_value *value = value_lay_out(memory, len);
    uint8_t *at = value->buffer.bytes + VALUE_HEADROOM;
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

static struct drv_data *value_data(const drover_value *value)
{
    return DRV_CONTAINER_OF(value->buffer.bytes, struct drv_data, bytes);
}

/* Gives the bytes up. */
static void value_drop(drover_value *value)
{
    if (value->store == STORE_OWN) {
        drv_buffer_fini(&value->buffer);
    } else if (value->store == STORE_SHARED) {
        struct drv_data *data = value_data(value);
        drv_data_unref(&data);
    } else {
        /* they are not its own */
    }
}

drover_status drv_value_open(drover_value *value)
{
    static const uint8_t unused[VALUE_HEADROOM];
    if (value->store == STORE_OWN) {
        return DROVER_OK;
    }
    struct drv_view view = value_view(value);
    struct drv_buffer grown;
    drv_buffer_init(&grown);
    drover_status status = drv_buffer_append(&grown, unused, VALUE_HEADROOM);
    if (status == DROVER_OK) {
        status = drv_buffer_append(&grown, view.bytes, view.len);
    }
    if (status != DROVER_OK) {
        drv_buffer_fini(&grown);
        return status;
    }
    value_drop(value);
    value->buffer = grown;
    value->start = VALUE_HEADROOM;
    value->store = STORE_OWN;
    return DROVER_OK;
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

/* A value of bytes that are somewhere else. OK or NOMEM. */
static drover_status value_new_elsewhere(const uint8_t *bytes, size_t len,
                                         enum value_store store, drover_value **out_value)
{
    drover_value *value = malloc(sizeof *value);
    if (value == NULL) {
        return DROVER_NOMEM;
    }
    *value = (drover_value){
        .buffer = {.bytes = (uint8_t *)(uintptr_t)bytes, .len = len, .capacity = len},
        .store = store};
    *out_value = value;
    return DROVER_OK;
}

/* The same of shared ones: takes *data, on failure too. */
static drover_status value_new_shared(struct drv_data **data, drover_value **out_value)
{
    drover_status status = value_new_elsewhere((*data)->bytes, (*data)->len, STORE_SHARED,
                                               out_value);
    if (status == DROVER_OK) {
        *data = NULL;
    }
    drv_data_unref(data);
    return status;
}

/* Bytes of a value, header and body, that are to be shared. */
static drover_status value_new_long(struct drv_view header, struct drv_view body,
                                    drover_value **out_value)
{
    struct drv_data *data = NULL;
    drover_status status = drv_data_new(header.len + body.len, &data);
    if (status != DROVER_OK) {
        return status;
    }
    if (header.len > 0) {
        memcpy(data->bytes, header.bytes, header.len);
    }
    memcpy(data->bytes + header.len, body.bytes, body.len);
    return value_new_shared(&data, out_value);
}

drover_status drv_value_new_encoded(const void *bytes, size_t len, drover_value **out_value)
{
    if (len > DROVER_VALUE_BYTES_MAX) {
        return DROVER_TOO_BIG;
    }
    if (len >= SHARED_MIN) {
        return value_new_long(drv_view_of(NULL, 0), drv_view_of(bytes, len), out_value);
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
    return drv_value_new_encoded("\xc0", 1, out_value);
}

drover_status drover_value_new_bool(bool flag, drover_value **out_value)
{
    return drv_value_new_encoded(flag ? "\xc3" : "\xc2", 1, out_value);
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
    if (len >= SHARED_MIN) {
        uint8_t header[HEADER_LEN];
        size_t header_len = drv_put_len_bytes(header, 0xc4, len);
        if (header_len + len > DROVER_VALUE_BYTES_MAX) {
            return DROVER_TOO_BIG;
        }
        return value_new_long(drv_view_of(header, header_len), drv_view_of(bytes, len),
                              out_value);
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

/* Hands a value over as one of a content type, or destroys it. */
static drover_status value_set_type(drover_value **value, const char *content_type,
                                    drover_value **out_value)
{
    (*value)->content_type = strdup(content_type);
    if ((*value)->content_type == NULL) {
        drover_value_destroy(value);
        return DROVER_NOMEM;
    }
    *out_value = *value;
    *value = NULL;
    return DROVER_OK;
}

drover_status drover_value_new_raw(const void *bytes, size_t len, const char *content_type,
                                   drover_value **out_value)
{
    if (!content_type_is_valid(content_type)) {
        return DROVER_INVALID;
    }
    drover_value *value = NULL;
    drover_status status = drv_value_new_encoded(bytes, len, &value);
    return status ? status : value_set_type(&value, content_type, out_value);
}

drover_status drover_value_from_msgpack(const void *bytes, size_t len, drover_value **out_value)
{
    if (len > DROVER_VALUE_BYTES_MAX) {
        return DROVER_TOO_BIG;
    }
    drover_status status = drv_validate((const uint8_t *)bytes, len, &DRV_VALIDATE_VALUE);
    return status ? status : drv_value_new_encoded(bytes, len, out_value);
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
        status = drv_value_open(value);
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

/* A value that was made of bytes elsewhere, with its type; NULL: msgpack. Destroys it on
 * failure.
 */
static drover_status value_finish_elsewhere(drover_value **value, const char *content_type,
                                            drover_value **out_value)
{
    if (content_type != NULL) {
        return value_set_type(value, content_type, out_value);
    }
    *out_value = *value;
    *value = NULL;
    return DROVER_OK;
}

/* Whether such bytes may be a value of this type; NULL: msgpack. */
static drover_status check_elsewhere(const uint8_t *bytes, size_t len, const char *content_type)
{
    if (len > DROVER_VALUE_BYTES_MAX) {
        return DROVER_TOO_BIG;
    }
    if (content_type != NULL) {
        return content_type_is_valid(content_type) ? DROVER_OK : DROVER_INVALID;
    }
    return drv_validate(bytes, len, &DRV_VALIDATE_VALUE);
}

/* A value of data that is known to be one; takes *data, on failure too. */
static drover_status value_share(struct drv_data **data, const char *content_type,
                                 drover_value **out_value)
{
    drover_value *value = NULL;
    drover_status status = value_new_shared(data, &value);
    return status ? status : value_finish_elsewhere(&value, content_type, out_value);
}

drover_status drv_value_from_data(struct drv_data *data, const char *content_type,
                                  drover_value **out_value)
{
    drover_status status = check_elsewhere(data->bytes, data->len, content_type);
    if (status) {
        return status;
    }
    struct drv_data *reference = drv_data_ref(data);
    return value_share(&reference, content_type, out_value);
}

drover_status drv_value_lend(const uint8_t *bytes, size_t len, const char *content_type,
                             drover_value **out_value)
{
    drover_value *value = NULL;
    drover_status status = check_elsewhere(bytes, len, content_type);
    if (status) {
        return status;
    }
    status = value_new_elsewhere(bytes, len, STORE_LENT, &value);
    return status ? status : value_finish_elsewhere(&value, content_type, out_value);
}

struct drv_data *drv_value_data(const drover_value *value)
{
    return value->store == STORE_SHARED ? value_data(value) : NULL;
}

drover_status drover_value_copy(const drover_value *value, drover_value **out_value)
{
    struct drv_view view = value_view(value);
    if (value->store == STORE_SHARED) {
        struct drv_data *data = drv_data_ref(value_data(value));
        return value_share(&data, value->content_type, out_value);
    }
    if (value_is_raw(value)) {
        return drover_value_new_raw(view.bytes, view.len, value->content_type, out_value);
    }
    return drv_value_new_encoded(view.bytes, view.len, out_value);
}

void drover_value_destroy(drover_value **value)
{
    if (value == NULL || *value == NULL) {
        return;
    }
    value_drop(*value);
    free((*value)->content_type);
    free(*value);
    *value = NULL;
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
    if (value_is_raw(value)) {
        return DROVER_VALUE_RAW;
    }
    struct drv_cursor cursor = value_cursor(value);
    return types[drv_cursor_peek(&cursor)];
}

/* A cursor on a msgpack value; a raw one gives a cursor that fails. */
static struct drv_cursor scalar_cursor(const drover_value *value)
{
    struct drv_cursor cursor = value_cursor(value);
    if (value_is_raw(value)) {
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
    if (!value_is_raw(value)) {
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
        status = out_key == NULL ? DROVER_OK
                                 : drv_value_new_encoded(view.bytes, view.len, &key);
    }
    if (!status) {
        struct drv_view view = drv_cursor_value(&cursor);
        status = drv_value_new_encoded(view.bytes, view.len, out_item);
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
    return drv_value_new_encoded(item.bytes, item.len, out_item);
}

bool drv_value_find_key(struct drv_cursor *cursor, size_t count, struct drv_view key)
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

drover_status drover_value_map_get(const drover_value *map, const char *key,
                                   drover_value **out_item)
{
    if (drover_value_get_type(map) != DROVER_VALUE_MAP) {
        return DROVER_INVALID;
    }
    struct drv_cursor cursor = value_cursor(map);
    size_t count = drv_cursor_map(&cursor);
    if (!drv_value_find_key(&cursor, count, drv_view_text(key))) {
        return DROVER_UNKNOWN;
    }
    struct drv_view item = drv_cursor_value(&cursor);
    return drv_value_new_encoded(item.bytes, item.len, out_item);
}

void drover_value_bytes(const drover_value *value, const void **out_bytes, size_t *out_len)
{
    struct drv_view view = value_view(value);
    *out_bytes = view.bytes;
    *out_len = view.len;
}

const char *drover_value_content_type(const drover_value *value)
{
    return value_is_raw(value) ? value->content_type : "";
}
