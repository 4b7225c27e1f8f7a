#include "need.h"

#include "buffer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

drover_status need_pack(const struct drv_count *needs, size_t count,
                        struct drv_data **out_bytes)
{
    struct drv_buffer buffer;
    drover_status status = DROVER_OK;
    *out_bytes = NULL;
    if (count == 0) {
        return DROVER_OK;
    }
    drv_buffer_init(&buffer);
    for (size_t i = 0; !status && i < count; i++) {
        char digits[24];
        int len = snprintf(digits, sizeof digits, "%" PRIu64, needs[i].count);
        status = drv_buffer_append(&buffer, needs[i].name.ptr, needs[i].name.len);
        if (!status) {
            status = drv_buffer_append_byte(&buffer, 0);
        }
        if (!status) {
            status = drv_buffer_append(&buffer, digits, (size_t)len + 1);
        }
    }
    if (!status) {
        status = drv_data_copy(buffer.bytes, buffer.len, out_bytes);
    }
    drv_buffer_fini(&buffer);
    return status;
}

/* The text at the front, which ends with a zero; NULL: there is none. */
static const char *take_text(struct drv_view *bytes)
{
    const char *text = (const char *)bytes->bytes;
    const uint8_t *zero = bytes->len == 0 ? NULL : memchr(bytes->bytes, 0, bytes->len);
    if (zero == NULL) {
        return NULL;
    }
    size_t len = (size_t)(zero - bytes->bytes) + 1;
    *bytes = drv_view_of(bytes->bytes + len, bytes->len - len);
    return text;
}

bool need_take(struct drv_view *bytes, const char **out_name, uint64_t *out_count)
{
    const char *name = take_text(bytes);
    const char *digits = name == NULL ? NULL : take_text(bytes);
    if (digits == NULL) {
        return false;
    }
    *out_name = name;
    *out_count = strtoull(digits, NULL, 10);
    return true;
}

void need_variable(const char *name, char out_text[NEED_VARIABLE_MAX])
{
    size_t at = (size_t)snprintf(out_text, NEED_VARIABLE_MAX, "DROVER_NEED_");
    for (; *name != '\0' && at < NEED_VARIABLE_MAX - 1; name++) {
        bool is_small = *name >= 'a' && *name <= 'z';
        bool is_kept = (*name >= 'A' && *name <= 'Z') || (*name >= '0' && *name <= '9');
        out_text[at++] = is_small ? (char)(*name - 'a' + 'A') : is_kept ? *name : '_';
    }
    out_text[at] = '\0';
}
