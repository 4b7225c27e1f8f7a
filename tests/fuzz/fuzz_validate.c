/*
 * fuzz_validate.c: msgpack from strangers.
 *
 * Whatever the validator accepts must be read by the cursor to the last byte, unpacked by
 * msgpack-c to the same length, and written as JSON that is read again. Whatever it refuses
 * must not lead a cursor outside of the bytes.
 */
#include "check.h"
#include "json.h"
#include "reader.h"

#include <drover/value.h>

#include <msgpack.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_unvalidated(const uint8_t *data, size_t size)
{
    struct drv_cursor cursor;
    drv_cursor_init(&cursor, data, size);
    while (drv_cursor_is_ok(&cursor) && !drv_cursor_is_at_end(&cursor)) {
        struct drv_view view = drv_cursor_value(&cursor);
        DRV_ASSERT(view.len <= size);
    }
    drv_cursor_init(&cursor, data, size);
    for (uint32_t count = drv_cursor_array(&cursor); count > 0; count--) {
        (void)drv_cursor_str(&cursor);
        if (!drv_cursor_is_ok(&cursor)) {
            break;
        }
    }
    DRV_ASSERT(cursor.at >= data && cursor.at <= data + size);
}

static void unpack_with_oracle(const uint8_t *data, size_t size)
{
    msgpack_unpacked unpacked;
    size_t offset = 0;
    msgpack_unpacked_init(&unpacked);
    msgpack_unpack_return result = msgpack_unpack_next(&unpacked, (const char *)data, size,
                                                       &offset);
    DRV_ASSERT(result == MSGPACK_UNPACK_SUCCESS && offset == size);
    msgpack_unpacked_destroy(&unpacked);
}

static void round_trip_as_json(const uint8_t *data, size_t size)
{
    struct drv_buffer text;
    struct drv_buffer again;
    drv_buffer_init(&text);
    drv_buffer_init(&again);
    drover_status status = drv_json_write(drv_view_of(data, size), false, &text);
    DRV_ASSERT(status == DROVER_OK);
    /* Keys that differ in msgpack may be equal in JSON, which refuses duplicates. */
    status = drv_json_read(drv_buffer_view(&text), &again, NULL);
    DRV_ASSERT(status == DROVER_OK || status == DROVER_MALFORMED);
    if (status == DROVER_OK) {
        status = drv_validate(again.bytes, again.len, &DRV_VALIDATE_VALUE);
        DRV_ASSERT(status == DROVER_OK);
    }
    drv_buffer_fini(&text);
    drv_buffer_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct drv_validate_limits limits = {.depth = 16, .nodes = 4096};
    read_unvalidated(data, size);
    if (drv_validate(data, size, &limits) == DROVER_OK) {
        struct drv_cursor cursor;
        drv_cursor_init(&cursor, data, size);
        drv_cursor_skip(&cursor);
        DRV_ASSERT(drv_cursor_is_ok(&cursor) && drv_cursor_is_at_end(&cursor));
        unpack_with_oracle(data, size);
        round_trip_as_json(data, size);
    }
    return 0;
}
