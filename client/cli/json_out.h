/*
 * json_out.h: JSON lines written piece by piece.
 *
 *     struct json_out json;
 *     json_begin(&json);
 *     json_key_text(&json, "id", id);
 *     code = json_print(&json);        {"id":"01..."} and a newline
 *
 * Running out of memory is remembered and told by json_print.
 */
#ifndef CLI_JSON_OUT_H
#define CLI_JSON_OUT_H

#include "cli.h"

#include "buffer.h"

struct json_out {
    struct drv_buffer buffer;
    bool comma; /* the next item needs one before it */
    bool failed;
};

/* Starts an object. */
void json_begin(struct json_out *json);

void json_key_text(struct json_out *json, const char *key, const char *text);
void json_key_int(struct json_out *json, const char *key, int64_t number);
void json_key_uint(struct json_out *json, const char *key, uint64_t number);
void json_key_bool(struct json_out *json, const char *key, bool flag);
void json_key_value(struct json_out *json, const char *key, const drover_value *value);

/* Bytes as text under key when they are UTF-8, else in base64 under key_base64. */
void json_key_bytes(struct json_out *json, const char *key, const void *bytes, size_t len);

/* A nested object: everything until the matching end belongs to it. */
void json_key_object(struct json_out *json, const char *key);
void json_end_object(struct json_out *json);

/* Ends the object, prints it in one line and releases everything. CLI_OK, or says why not. */
int json_print(struct json_out *json);

#endif
