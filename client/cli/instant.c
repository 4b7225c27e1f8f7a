/* instant.c: see instant.h. */
#include "instant.h"

#include <stddef.h>

/* Exactly `digits` of them, from least to most. */
static bool number(const char **at, int digits, int least, int most, int *out)
{
    int value = 0;
    for (int i = 0; i < digits; i++, (*at)++) {
        if (**at < '0' || **at > '9') {
            return false;
        }
        value = value * 10 + (**at - '0');
    }
    *out = value;
    return value >= least && value <= most;
}

static bool one_of(const char **at, const char *characters)
{
    for (; *characters != '\0'; characters++) {
        if (**at == *characters) {
            (*at)++;
            return true;
        }
    }
    return false;
}

static int days_in(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && is_leap ? 29 : days[month - 1];
}

/* Days since 1970-01-01; Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms". */
static int64_t days_from(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = y / 400;
    int64_t of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool date(const char **at, int64_t *out_days)
{
    int year, month, day;
    if (!number(at, 4, 1, 9999, &year) || !one_of(at, "-") || !number(at, 2, 1, 12, &month) ||
        !one_of(at, "-") || !number(at, 2, 1, days_in(year, month), &day)) {
        return false;
    }
    *out_days = days_from(year, month, day);
    return true;
}

static int64_t fraction_ms(const char **at)
{
    int64_t ms = 0;
    for (int scale = 100; **at >= '0' && **at <= '9'; (*at)++, scale /= 10) {
        ms += (**at - '0') * scale;
    }
    return ms;
}

static bool time_of_day(const char **at, int64_t *out_ms)
{
    int hour, minute, second = 0;
    int64_t ms = 0;
    if (!number(at, 2, 0, 23, &hour) || !one_of(at, ":") || !number(at, 2, 0, 59, &minute)) {
        return false;
    }
    if (one_of(at, ":")) {
        if (!number(at, 2, 0, 60, &second)) {
            return false;
        }
        if (one_of(at, ".,")) {
            if (**at < '0' || **at > '9') {
                return false;
            }
            ms = fraction_ms(at);
        }
    }
    *out_ms = ((int64_t)hour * 3600 + (int64_t)minute * 60 + second) * 1000 + ms;
    return true;
}

/* Minutes east of Greenwich. */
static bool offset(const char **at, int64_t *out_minutes)
{
    int hour, minute;
    *out_minutes = 0;
    if (one_of(at, "Zz")) {
        return true;
    }
    bool is_west = **at == '-';
    if (!one_of(at, "+-") || !number(at, 2, 0, 23, &hour) || !one_of(at, ":") ||
        !number(at, 2, 0, 59, &minute)) {
        return false;
    }
    *out_minutes = (is_west ? -1 : 1) * ((int64_t)hour * 60 + minute);
    return true;
}

bool instant_parse(const char *text, int64_t *out_ms)
{
    const char *at = text;
    int64_t days, ms, east;
    if (!date(&at, &days) || !one_of(&at, "Tt ") || !time_of_day(&at, &ms) ||
        !offset(&at, &east) || *at != '\0') {
        return false;
    }
    *out_ms = days * 86400000 + ms - east * 60000;
    return true;
}
