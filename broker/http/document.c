/* document.c: documents of the broker as JSON. */
#include "http_private.h"

#include "json.h"
#include "reader.h"

static drover_status put_cursor(struct drv_str cursor, struct drv_buffer *out)
{
    if (cursor.len == 0 || out->len < 2) {
        return DROVER_OK;
    }
    bool is_empty = out->bytes[out->len - 2] == '{';
    out->len--; /* the brace */
    drover_status status = drv_buffer_append_text(out, is_empty ? "\"cursor\":\""
                                                                : ",\"cursor\":\"");
    for (size_t i = 0; status == DROVER_OK && i < cursor.len; i++) {
        status = drv_buffer_printf(out, "%02x", (unsigned)(uint8_t)cursor.ptr[i]);
    }
    return status != DROVER_OK ? status : drv_buffer_append_text(out, "\"}");
}

drover_status document_json(const struct drv_document *document, struct drv_buffer *out)
{
    struct drv_view body = drv_view_of(document->body.ptr, document->body.len);
    drover_status status = drv_validate((const uint8_t *)body.bytes, body.len,
                                        &DRV_VALIDATE_VALUE);
    if (status == DROVER_OK) {
        status = drv_json_write(body, false, out);
    }
    return status != DROVER_OK ? status : put_cursor(document->cursor, out);
}
