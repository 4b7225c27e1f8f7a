/*
 * value_build.c: arrays and maps that grow; see value.h, and value_private.h for the inside.
 */
#include "value_private.h"

#include "pack.h"
#include "utf8.h"

#include <string.h>

drover_status drover_value_array_new(drover_value **out_value)
{
    return drv_value_new_encoded("\x90", 1, out_value);
}

drover_status drover_value_map_new(drover_value **out_value)
{
    return drv_value_new_encoded("\x80", 1, out_value);
}

/* Whether item may go into a container: msgpack, and not nested too deep then. */
static drover_status check_item(const drover_value *item)
{
    static const struct drv_validate_limits inside = {.depth = DROVER_VALUE_DEPTH_MAX - 1,
                                                      .nodes = DROVER_VALUE_BYTES_MAX};
    if (item == NULL || value_is_raw(item)) {
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
    value->start = (uint32_t)(body_start - len);
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
    if (bytes.len + value_view(array).len + VALUE_HEADROOM > DROVER_VALUE_BYTES_MAX) {
        status = DROVER_TOO_BIG;
        goto out;
    }
    status = drv_value_open(array);
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
        bytes.len + name.len + value_view(map).len + 2 * VALUE_HEADROOM >
            DROVER_VALUE_BYTES_MAX) {
        status = DROVER_TOO_BIG;
        goto out;
    }
    status = drv_value_open(map);
    if (status) {
        goto out;
    }
    struct drv_cursor cursor = value_cursor(map);
    size_t count = drv_cursor_map(&cursor);
    if (drv_value_find_key(&cursor, count, name)) {
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
