#include "units.h"

#include "check.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* Largest first, for the formatters. */
static const struct unit durations[] = {
    {"d", UINT64_C(86400000)}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1},
};
static const struct unit sizes[] = {
    {"T", UINT64_C(1) << 40}, {"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"", 1},
};

/* Reads digits; returns what follows, or NULL without digits or on overflow. */
static const char *read_digits(const char *text, uint64_t *out_number)
{
    uint64_t number = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        unsigned digit = (unsigned)(*at - '0');
        if (number > (UINT64_MAX - digit) / 10) {
            return NULL;
        }
        number = number * 10 + digit;
    }
    *out_number = number;
    return at == text ? NULL : at;
}

static drover_status parse(const char *text, const struct unit *units, size_t count,
                           uint64_t *out_number)
{
    uint64_t number;
    const char *rest = read_digits(text, &number);
    if (rest == NULL) {
        return DROVER_INVALID;
    }
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rest, units[i].name) == 0) {
            if (number > UINT64_MAX / units[i].factor) {
                return DROVER_INVALID;
            }
            *out_number = number * units[i].factor;
            return DROVER_OK;
        }
    }
    return DROVER_INVALID;
}

static void format(uint64_t number, const struct unit *units, const char *zero,
                   char out_text[DRV_UNITS_TEXT_MAX])
{
    const struct unit *unit = units;
    while (number % unit->factor != 0) {
        unit++;
    }
    if (number == 0) {
        (void)snprintf(out_text, DRV_UNITS_TEXT_MAX, "%s", zero);
    } else {
        (void)snprintf(out_text, DRV_UNITS_TEXT_MAX, "%" PRIu64 "%s", number / unit->factor,
                       unit->name);
    }
}

drover_status drv_duration_parse(const char *text, uint64_t *out_ms)
{
    if (strcmp(text, "0") == 0) {
        *out_ms = 0;
        return DROVER_OK;
    }
    return parse(text, durations, DRV_ARRAY_LEN(durations), out_ms);
}

void drv_duration_format(uint64_t ms, char out_text[DRV_UNITS_TEXT_MAX])
{
    format(ms, durations, "0ms", out_text);
}

drover_status drv_size_parse(const char *text, uint64_t *out_bytes)
{
    return parse(text, sizes, DRV_ARRAY_LEN(sizes), out_bytes);
}

void drv_size_format(uint64_t bytes, char out_text[DRV_UNITS_TEXT_MAX])
{
    format(bytes, sizes, "0", out_text);
}

drover_status drv_uint_parse(const char *text, uint64_t *out_number)
{
    uint64_t number;
    const char *rest = read_digits(text, &number);
    if (rest == NULL || *rest != '\0') {
        return DROVER_INVALID;
    }
    *out_number = number;
    return DROVER_OK;
}

drover_status drv_int_parse(const char *text, int64_t *out_number)
{
    bool negative = text[0] == '-';
    uint64_t magnitude;
    drover_status status = drv_uint_parse(text + negative, &magnitude);
    if (status || magnitude > (uint64_t)INT64_MAX + negative) {
        return DROVER_INVALID;
    }
    *out_number = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return DROVER_OK;
}

drover_status drv_bool_parse(const char *text, bool *out_flag)
{
    static const char *const words[][2] = {
        {"0", "1"}, {"false", "true"}, {"no", "yes"}, {"off", "on"}};
    for (size_t i = 0; i < DRV_ARRAY_LEN(words); i++) {
        for (size_t value = 0; value < 2; value++) {
            if (strcmp(text, words[i][value]) == 0) {
                *out_flag = value == 1;
                return DROVER_OK;
            }
        }
    }
    return DROVER_INVALID;
}
