/*
 * value_json.c: values as text; see value.h.
 */
#include <drover/value.h>

#include "buffer.h"
#include "json.h"
#include "pack.h"

static drover_status raw_to_json(struct drv_view bytes, struct drv_buffer *out)
{
    struct drv_buffer packed;
    struct drv_pack pack;
    drv_buffer_init(&packed);
    drv_pack_init(&pack, &packed);
    drv_pack_bin(&pack, bytes.bytes, bytes.len);
    drover_status status = drv_pack_status(&pack);
    if (!status) {
        status = drv_json_write(drv_buffer_view(&packed), false, out);
    }
    drv_buffer_fini(&packed);
    return status;
}

drover_status drover_value_to_json(const drover_value *value, unsigned flags, char **out_text)
{
    if (flags > DROVER_JSON_PRETTY) {
        return DROVER_INVALID;
    }
    struct drv_buffer out;
    drv_buffer_init(&out);
    const void *bytes;
    size_t len;
    drover_value_bytes(value, &bytes, &len);
    struct drv_view view = drv_view_of(bytes, len);
    drover_status status = drover_value_get_type(value) == DROVER_VALUE_RAW
                               ? raw_to_json(view, &out)
                               : drv_json_write(view, flags == DROVER_JSON_PRETTY, &out);
    uint8_t *text;
    if (!status) {
        status = drv_buffer_detach(&out, &text, NULL);
    }
    if (!status) {
        *out_text = (char *)text;
    }
    drv_buffer_fini(&out);
    return status;
}
