/* doc.c: see doc.h. */
#include "doc.h"

#include "escape.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Doubles up to here are counted exactly. */
#define NUMBER_MAX 9007199254740992.0

drover_value *doc_get(const drover_value *map, const char *key)
{
    drover_value *item = NULL;
    return drover_value_map_get(map, key, &item) == DROVER_OK ? item : NULL;
}

bool doc_has(const drover_value *map, const char *key)
{
    drover_value *item = doc_get(map, key);
    bool has = item != NULL && drover_value_get_type(item) != DROVER_VALUE_NIL;
    drover_value_destroy(&item);
    return has;
}

int64_t doc_int(const drover_value *map, const char *key)
{
    int64_t number = 0;
    drover_value *item = doc_get(map, key);
    double real = 0;
    if (item != NULL && drover_value_get_int(item, &number) != DROVER_OK &&
        drover_value_get_double(item, &real) == DROVER_OK && fabs(real) < NUMBER_MAX) {
        number = (int64_t)real;
    }
    drover_value_destroy(&item);
    return number;
}

double doc_double(const drover_value *map, const char *key)
{
    double number = 0;
    drover_value *item = doc_get(map, key);
    if (item == NULL || drover_value_get_double(item, &number) != DROVER_OK) {
        number = 0;
    }
    drover_value_destroy(&item);
    return number;
}

bool doc_bool(const drover_value *map, const char *key)
{
    bool flag = false;
    drover_value *item = doc_get(map, key);
    if (item == NULL || drover_value_get_bool(item, &flag) != DROVER_OK) {
        flag = false;
    }
    drover_value_destroy(&item);
    return flag;
}

/* Writes a scalar as text. */
static void scalar(const drover_value *item, char *out_text, size_t size)
{
    const char *text = NULL;
    const void *bytes = NULL;
    size_t len = 0;
    int64_t number = 0;
    out_text[0] = '\0';
    if (drover_value_get_string(item, &text, &len) == DROVER_OK) {
        (void)drv_escape(drv_view_of(text, len), out_text, size);
    } else if (drover_value_get_binary(item, &bytes, &len) == DROVER_OK) {
        (void)drv_escape(drv_view_of(bytes, len), out_text, size);
    } else if (drover_value_get_int(item, &number) == DROVER_OK) {
        (void)snprintf(out_text, size, "%" PRId64, number);
    } else {
        /* no scalar that documents use */
    }
}

struct drv_view doc_bytes(const drover_value *value)
{
    const char *text = NULL;
    const void *bytes = NULL;
    size_t len = 0;
    if (value == NULL) {
        return drv_view_of(NULL, 0);
    }
    if (drover_value_get_string(value, &text, &len) == DROVER_OK) {
        return drv_view_of(text, len);
    }
    return drover_value_get_binary(value, &bytes, &len) == DROVER_OK ? drv_view_of(bytes, len)
                                                                     : drv_view_of(NULL, 0);
}

char *doc_text(const drover_value *map, const char *key, char *out_text, size_t size)
{
    drover_value *item = doc_get(map, key);
    out_text[0] = '\0';
    if (item != NULL) {
        scalar(item, out_text, size);
    }
    drover_value_destroy(&item);
    return out_text;
}

char *doc_join(const drover_value *map, const char *key, char *out_text, size_t size)
{
    char name[DOC_TEXT_MAX];
    char text[DOC_TEXT_MAX];
    drover_value *list = doc_get(map, key);
    drover_value *item_key = NULL;
    drover_value *item = NULL;
    drover_value_iter iter;
    size_t len = 0;
    out_text[0] = '\0';
    if (list == NULL) {
        return out_text;
    }
    drover_value_iter_init(&iter, list);
    while (len < size && drover_value_iter_next(&iter, &item_key, &item) == DROVER_OK) {
        name[0] = '\0';
        if (item_key != NULL) {
            scalar(item_key, name, sizeof(name));
        }
        scalar(item, text, sizeof(text));
        len += (size_t)snprintf(out_text + len, size - len, "%s%s%s%s", len > 0 ? ", " : "",
                                name, item_key != NULL ? "=" : "", text);
        drover_value_destroy(&item_key);
        drover_value_destroy(&item);
    }
    drover_value_destroy(&list);
    return out_text;
}

bool doc_is_news(const drover_value *alert)
{
    char state[DOC_TEXT_MAX];
    return strcmp(doc_text(alert, "state", state, sizeof(state)), "firing") == 0 &&
           !doc_bool(alert, "acknowledged") && !doc_bool(alert, "silenced");
}

bool doc_task(const drover_value *map, drover_task_ref *out_task)
{
    char id[DROVER_ID_TEXT_LEN + 2];
    (void)doc_text(map, "id", id, sizeof(id));
    int64_t index = doc_has(map, "index") ? doc_int(map, "index") : -1;
    out_task->index = index >= 0 && index < UINT32_MAX ? (uint32_t)index : DROVER_INDEX_NONE;
    return drover_id_parse(id, &out_task->id) == DROVER_OK;
}
