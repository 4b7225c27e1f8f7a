/* rate.c: see rate.h. */
#include "rate.h"

#include "units.h"

#include <string.h>

enum { NUMBER_DIGITS_MAX = 15, HOUR_S = 3600, MINUTE_S = 60 };

bool rate_parse(const char *text, int64_t *out_per_1000_s)
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
    uint64_t seconds = strcmp(unit, "/s") == 0   ? 1
                       : strcmp(unit, "/m") == 0 ? MINUTE_S
                       : strcmp(unit, "/h") == 0 ? HOUR_S
                                                 : 0;
    if (unit[0] == '\0' && number == 0) {
        *out_per_1000_s = 0;
        return true;
    }
    if (seconds == 0 || number > UINT64_C(1000000000) * seconds) {
        return false;
    }
    uint64_t rate = (number * 1000 + seconds / 2) / seconds;
    *out_per_1000_s = (int64_t)(rate == 0 && number > 0 ? 1 : rate);
    return true;
}
