#include "name.h"

#include <drover/drover.h>

static bool is_name_byte(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '.' || byte == '_' || byte == ':' ||
           byte == '-';
}

bool drv_name_is_valid(struct drv_view name)
{
    if (name.len == 0 || name.len > DROVER_NAME_MAX) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        if (!is_name_byte(name.bytes[i])) {
            return false;
        }
    }
    return true;
}

bool drover_name_is_valid(const char *name)
{
    return name != NULL &&
           drv_name_is_valid(drv_view_of(name, strnlen(name, DROVER_NAME_MAX + 1)));
}
