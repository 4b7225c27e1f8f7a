/* rate.c: see rate.h. */
#include "rate.h"

#include "units.h"

#include <string.h>

enum { NUMBER_DIGITS_MAX = 15, HOUR_S = 3600, HOUR_M = 60 };

bool rate_parse(const char *text, int64_t *out_per_hour)
{
    char digits[NUMBER_DIGITS_MAX + 1];
    uint64_t number = 0;
    size_t len = strcspn(text, "/");
    if (len >= sizeof(digits)) {
        return false;
    }
    memcpy(digits, text, len);
    digits[len] = '\0';
    if (drv_uint_parse(digits, &number) != DROVER_OK) {
        return false;
    }
    const char *unit = text + len;
    uint64_t in_an_hour = strcmp(unit, "/s") == 0   ? HOUR_S
                          : strcmp(unit, "/m") == 0 ? HOUR_M
                          : strcmp(unit, "/h") == 0 ? 1
                                                    : 0;
    if (unit[0] == '\0' && number == 0) {
        *out_per_hour = 0;
        return true;
    }
    if (in_an_hour == 0 || number > RATE_MAX_PER_S * HOUR_S / in_an_hour) {
        return false;
    }
    *out_per_hour = (int64_t)(number * in_an_hour);
    return true;
}
