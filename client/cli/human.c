/* human.c: see human.h. */
#include "human.h"

#include "check.h"

#include <inttypes.h>
#include <stdio.h>

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR };

static char *two_units(int64_t ms, int64_t large, const char *large_name, int64_t small,
                       const char *small_name, char *out_text)
{
    (void)snprintf(out_text, HUMAN_TEXT_MAX, "%" PRId64 "%s %" PRId64 "%s", ms / large,
                   large_name, ms % large / small, small_name);
    return out_text;
}

char *human_age(int64_t ms, char out_text[HUMAN_TEXT_MAX])
{
    out_text[0] = '\0';
    if (ms < 0) {
        return out_text;
    }
    if (ms >= DAY) {
        return two_units(ms, DAY, "d", HOUR, "h", out_text);
    }
    if (ms >= HOUR) {
        return two_units(ms, HOUR, "h", MINUTE, "m", out_text);
    }
    if (ms >= MINUTE) {
        return two_units(ms, MINUTE, "m", SECOND, "s", out_text);
    }
    if (ms >= SECOND) {
        (void)snprintf(out_text, HUMAN_TEXT_MAX, "%" PRId64 ".%" PRId64 " s", ms / SECOND,
                       ms % SECOND / 100);
    } else {
        (void)snprintf(out_text, HUMAN_TEXT_MAX, "%" PRId64 " ms", ms);
    }
    return out_text;
}

char *human_bytes(int64_t bytes, char out_text[HUMAN_TEXT_MAX])
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    out_text[0] = '\0';
    if (bytes < 0) {
        return out_text;
    }
    if (bytes < 1024) {
        (void)snprintf(out_text, HUMAN_TEXT_MAX, "%" PRId64 " B", bytes);
        return out_text;
    }
    double number = (double)bytes / 1024;
    size_t unit = 0;
    while (number >= 1023.95 && unit + 1 < DRV_ARRAY_LEN(units)) {
        number /= 1024;
        unit++;
    }
    (void)snprintf(out_text, HUMAN_TEXT_MAX, "%.1f %s", number, units[unit]);
    return out_text;
}
