/* document.c: writing documents; see document.h. */
#include "document.h"

#include "broker.h"
#include "check.h"

static struct drv_view view_of(struct drv_str text)
{
    return drv_view_of(text.ptr, text.len);
}

void document_begin(struct document *document, struct core *core)
{
    document->core = core;
    document->depth = 0;
    drv_buffer_clear(&core->scratch);
    drv_pack_init(&document->pack, &core->scratch);
}

drover_status document_finish(struct document *document, struct drv_str *out_bytes)
{
    DRV_ASSERT(document->depth == 0);
    drover_status status = drv_pack_status(&document->pack);
    const struct drv_buffer *scratch = &document->core->scratch;
    if (status == DROVER_OK && scratch->len > DRV_BLOB_MAX) {
        status = DROVER_TOO_BIG;
    }
    if (status == DROVER_OK) {
        *out_bytes = str_of((const char *)scratch->bytes, scratch->len);
    }
    return status;
}

bool document_is_full(const struct document *document)
{
    return document->pack.failed || document->core->scratch.len >= DOCUMENT_BYTES;
}

static void begin_item(struct document *document, const char *key)
{
    if (document->depth > 0) {
        document->count[document->depth - 1]++;
    }
    if (key != NULL) {
        drv_pack_key(&document->pack, key);
    }
}

/* The count is filled in by document_end; the five-byte forms leave room for it. */
static void open_container(struct document *document, const char *key, uint8_t form)
{
    const uint8_t header[5] = {form};
    DRV_ASSERT(document->depth < DOCUMENT_DEPTH);
    begin_item(document, key);
    document->position[document->depth] = document->core->scratch.len;
    document->count[document->depth] = 0;
    document->depth++;
    drv_pack_raw(&document->pack, header, sizeof(header));
}

void document_map(struct document *document, const char *key)
{
    open_container(document, key, 0xdf);
}

void document_array(struct document *document, const char *key)
{
    open_container(document, key, 0xdd);
}

void document_end(struct document *document)
{
    DRV_ASSERT(document->depth > 0);
    document->depth--;
    if (document->pack.failed) {
        return;
    }
    uint8_t *header = document->core->scratch.bytes + document->position[document->depth];
    uint32_t count = document->count[document->depth];
    for (unsigned i = 4; i >= 1; i--) {
        header[i] = (uint8_t)(count & 0xff);
        count >>= 8U;
    }
}

void document_uint(struct document *document, const char *key, uint64_t number)
{
    begin_item(document, key);
    drv_pack_uint(&document->pack, number);
}

void document_int(struct document *document, const char *key, int64_t number)
{
    begin_item(document, key);
    drv_pack_int(&document->pack, number);
}

void document_double(struct document *document, const char *key, double number)
{
    begin_item(document, key);
    drv_pack_double(&document->pack, number);
}

void document_nil(struct document *document, const char *key)
{
    begin_item(document, key);
    drv_pack_nil(&document->pack);
}

void document_bool(struct document *document, const char *key, bool flag)
{
    begin_item(document, key);
    drv_pack_bool(&document->pack, flag);
}

void document_text(struct document *document, const char *key, const char *text)
{
    begin_item(document, key);
    drv_pack_text(&document->pack, text);
}

void document_str(struct document *document, const char *key, struct drv_str text)
{
    begin_item(document, key);
    drv_pack_view(&document->pack, view_of(text));
}

void document_raw(struct document *document, const char *key, struct drv_str bytes)
{
    begin_item(document, key);
    drv_pack_raw(&document->pack, bytes.ptr, bytes.len);
}

void document_bin(struct document *document, const char *key, struct drv_str bytes)
{
    begin_item(document, key);
    drv_pack_bin(&document->pack, bytes.ptr, bytes.len);
}

void document_entry(struct document *document, struct drv_str key, struct drv_str text)
{
    drv_pack_view(&document->pack, view_of(key));
    document_str(document, NULL, text);
}

void document_id(struct document *document, const char *key, const drover_id *id)
{
    char text[DROVER_ID_TEXT_LEN + 1];
    drover_id_format(id, text);
    document_text(document, key, text);
}

void document_age(struct document *document, const char *key, int64_t at_us)
{
    document_uint(document, key, ms_of_us(document->core->now_us - at_us));
}
