#include "model/argv.h"

#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void argv_fini(struct argv *argv)
{
    for (size_t i = 0; i < argv->count; i++) {
        free(argv->items[i]);
    }
    free(argv->items);
    *argv = (struct argv){0};
}

drover_status argv_reserve(struct argv *argv, size_t count)
{
    argv->items = calloc(count + 1, sizeof(*argv->items));
    return argv->items != NULL ? DROVER_OK : DROVER_NOMEM;
}

drover_status argv_plain_text(const drover_value *value, struct drv_buffer *out)
{
    const void *bytes = NULL;
    size_t len = 0;
    const char *text;
    switch (drover_value_get_type(value)) {
    case DROVER_VALUE_NIL:
        return DROVER_OK;
    case DROVER_VALUE_STRING:
        if (drover_value_get_string(value, &text, &len)) {
            return DROVER_INTERNAL;
        }
        return drv_buffer_append(out, text, len);
    case DROVER_VALUE_RAW:
    case DROVER_VALUE_BINARY:
        if (drover_value_get_binary(value, &bytes, &len)) {
            return DROVER_INTERNAL;
        }
        return drv_buffer_append(out, bytes, len);
    case DROVER_VALUE_BOOL:
    case DROVER_VALUE_INT:
    case DROVER_VALUE_DOUBLE:
    case DROVER_VALUE_ARRAY:
    case DROVER_VALUE_MAP:
        break;
    }
    char *json;
    drover_status status = drover_value_to_json(value, DROVER_JSON_COMPACT, &json);
    if (!status) {
        status = drv_buffer_append_text(out, json);
        free(json);
    }
    return status;
}

struct placeholder {
    const char *name; /* with its braces */
    const char *text;
};

static drover_status expand(const char *pattern, const struct placeholder *placeholders,
                            size_t count, char **out_text)
{
    struct drv_buffer text;
    drv_buffer_init(&text);
    drover_status status = DROVER_OK;
    while (!status && *pattern != '\0') {
        size_t found = count;
        for (size_t i = 0; i < count && found == count; i++) {
            if (strncmp(pattern, placeholders[i].name, strlen(placeholders[i].name)) == 0) {
                found = i;
            }
        }
        if (found < count) {
            status = drv_buffer_append_text(&text, placeholders[found].text);
            pattern += strlen(placeholders[found].name);
        } else {
            status = drv_buffer_append_byte(&text, (uint8_t)*pattern++);
        }
    }
    if (!status) {
        status = drv_buffer_detach(&text, (uint8_t **)out_text, NULL);
    }
    drv_buffer_fini(&text);
    return status;
}

drover_status argv_expand(struct argv *argv, const struct pool_command *command,
                          const struct drover_job *job, const drover_value *payload)
{
    char id[DROVER_ID_TEXT_LEN + 1];
    char index[16] = "";
    char attempt[16];
    struct drv_buffer text;
    drv_buffer_init(&text);
    *argv = (struct argv){0};
    drover_id_format(&job->task.id, id);
    (void)snprintf(attempt, sizeof(attempt), "%u", job->task.attempt);
    if (job->task.index != DROVER_INDEX_NONE) {
        (void)snprintf(index, sizeof(index), "%u", job->task.index);
    }
    drover_status status = argv_plain_text(payload, &text);
    if (!status && text.len > 0 && memchr(text.bytes, '\0', text.len) != NULL) {
        status = DROVER_INVALID;
    }
    const struct placeholder placeholders[] = {
        {"{}", text.len > 0 ? (const char *)text.bytes : ""},
        {"{id}", id},
        {"{index}", index},
        {"{attempt}", attempt},
        {"{type}", job->type},
    };
    if (!status) {
        status = argv_reserve(argv, command->argc);
    }
    for (size_t i = 0; !status && i < command->argc; i++) {
        size_t usable = i == 0 ? 0 : DRV_ARRAY_LEN(placeholders);
        status = expand(command->argv[i], placeholders, usable, &argv->items[i]);
        argv->count += status ? 0 : 1;
    }
    drv_buffer_fini(&text);
    return status;
}
