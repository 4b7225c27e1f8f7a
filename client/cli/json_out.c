/* json_out.c: see json_out.h. */
#include "json_out.h"

#include "b64.h"
#include "json.h"
#include "utf8.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void check(struct json_out *json, drover_status status)
{
    json->failed = json->failed || status != DROVER_OK;
}

static void put(struct json_out *json, const char *text)
{
    check(json, drv_buffer_append_text(&json->buffer, text));
}

static void put_key(struct json_out *json, const char *key)
{
    if (json->comma) {
        put(json, ",");
    }
    check(json, drv_json_write_string(drv_view_text(key), &json->buffer));
    put(json, ":");
    json->comma = true;
}

void json_begin(struct json_out *json)
{
    memset(json, 0, sizeof(*json));
    drv_buffer_init(&json->buffer);
    put(json, "{");
}

void json_key_text(struct json_out *json, const char *key, const char *text)
{
    put_key(json, key);
    check(json, drv_json_write_string(drv_view_text(text), &json->buffer));
}

void json_key_int(struct json_out *json, const char *key, int64_t number)
{
    put_key(json, key);
    check(json, drv_buffer_printf(&json->buffer, "%" PRId64, number));
}

void json_key_uint(struct json_out *json, const char *key, uint64_t number)
{
    put_key(json, key);
    check(json, drv_buffer_printf(&json->buffer, "%" PRIu64, number));
}

void json_key_bool(struct json_out *json, const char *key, bool flag)
{
    put_key(json, key);
    put(json, flag ? "true" : "false");
}

void json_key_value(struct json_out *json, const char *key, const drover_value *value)
{
    char *text = NULL;
    put_key(json, key);
    if (value == NULL) {
        put(json, "null");
        return;
    }
    drover_status status = drover_value_to_json(value, DROVER_JSON_COMPACT, &text);
    check(json, status);
    if (status == DROVER_OK) {
        put(json, text);
        free(text);
    }
}

void json_key_bytes(struct json_out *json, const char *key, const void *bytes, size_t len)
{
    char base64[64];
    if (len == 0 || drv_utf8_is_valid(bytes, len)) {
        put_key(json, key);
        check(json, drv_json_write_string(drv_view_of(bytes, len), &json->buffer));
        return;
    }
    (void)snprintf(base64, sizeof(base64), "%s_base64", key);
    put_key(json, base64);
    put(json, "\"");
    check(json, drv_b64_encode(drv_view_of(bytes, len), &json->buffer));
    put(json, "\"");
}

void json_key_object(struct json_out *json, const char *key)
{
    put_key(json, key);
    put(json, "{");
    json->comma = false;
}

void json_end_object(struct json_out *json)
{
    put(json, "}");
    json->comma = true;
}

int json_print(struct json_out *json)
{
    put(json, "}\n");
    int code = CLI_OK;
    if (json->failed) {
        code = cli_no_memory();
    } else if (fwrite(json->buffer.bytes, 1, json->buffer.len, stdout) != json->buffer.len) {
        code = cli_write_failed();
    }
    drv_buffer_fini(&json->buffer);
    return code;
}
