/* zone.c: see zone.h. */
#include "zone.h"

#include "civil.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OFFSET_MAX = 26 * 3600, RULE_TIME_MAX = 167 * 3600 }; /* RFC 8536 */

enum rule_kind {
    RULE_WEEK,    /* M3.5.0: the fifth Sunday of March, 5: the last */
    RULE_JULIAN,  /* J60: always the first of March */
    RULE_ORDINAL, /* 59: counted from 0, with the 29th of February */
};

struct rule_day {
    enum rule_kind kind;
    int32_t month, week, day;
    int32_t time_s; /* of the local clock before the change */
};

struct rule { /* what goes on for ever */
    int32_t offset;
    bool has_summer;
    int32_t summer_offset;
    struct rule_day begin, end; /* of summer */
};

struct change { /* from here on */
    int64_t at;
    int32_t offset;
};

struct drv_zone {
    int32_t first_offset; /* before all changes */
    bool has_rule;
    struct rule rule; /* from the last change on */
    size_t count;
    struct change changes[];
};

/* ---- the rule of the last line ----------------------------------------------------------- */

struct rule_text {
    const char *at, *end;
};

static bool take(struct rule_text *text, char wanted)
{
    bool is_there = text->at < text->end && *text->at == wanted;
    text->at += is_there;
    return is_there;
}

static bool is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool read_name(struct rule_text *text)
{
    const char *begin = text->at;
    if (take(text, '<')) {
        while (text->at < text->end && *text->at != '>') {
            text->at++;
        }
        return take(text, '>');
    }
    while (text->at < text->end && is_letter(*text->at)) {
        text->at++;
    }
    return text->at - begin >= 3;
}

static bool read_number(struct rule_text *text, int32_t max, int32_t *out_number)
{
    int32_t number = 0;
    const char *begin = text->at;
    while (text->at < text->end && is_digit(*text->at) && number <= max) {
        number = number * 10 + (*text->at++ - '0');
    }
    *out_number = number;
    return text->at > begin && number <= max;
}

/* [+-]hh[:mm[:ss]] */
static bool read_time(struct rule_text *text, int32_t *out_s)
{
    int32_t hours, minutes = 0, seconds = 0;
    bool is_negative = take(text, '-');
    if (!is_negative) {
        (void)take(text, '+');
    }
    if (!read_number(text, RULE_TIME_MAX / 3600, &hours) ||
        (take(text, ':') && (!read_number(text, 59, &minutes) ||
                             (take(text, ':') && !read_number(text, 59, &seconds))))) {
        return false;
    }
    *out_s = hours * 3600 + minutes * 60 + seconds;
    *out_s = is_negative ? -*out_s : *out_s;
    return true;
}

static bool read_offset(struct rule_text *text, int32_t *out_offset)
{
    int32_t west;
    if (!read_time(text, &west) || west > OFFSET_MAX || west < -OFFSET_MAX) {
        return false;
    }
    *out_offset = -west;
    return true;
}

static bool read_day(struct rule_text *text, struct rule_day *out_day)
{
    struct rule_day day = {.kind = RULE_ORDINAL, .time_s = 2 * 3600};
    bool is_fine;
    if (take(text, 'M')) {
        day.kind = RULE_WEEK;
        is_fine = read_number(text, 12, &day.month) && day.month >= 1 && take(text, '.') &&
                  read_number(text, 5, &day.week) && day.week >= 1 && take(text, '.') &&
                  read_number(text, 6, &day.day);
    } else if (take(text, 'J')) {
        day.kind = RULE_JULIAN;
        is_fine = read_number(text, 365, &day.day) && day.day >= 1;
    } else {
        is_fine = read_number(text, 365, &day.day);
    }
    is_fine = is_fine && (!take(text, '/') || read_time(text, &day.time_s));
    *out_day = day;
    return is_fine;
}

static bool read_rule(const char *bytes, size_t len, struct rule *out_rule)
{
    struct rule_text text = {bytes, bytes + len};
    struct rule rule = {.has_summer = false};
    if (!read_name(&text) || !read_offset(&text, &rule.offset)) {
        return false;
    }
    if (text.at < text.end) {
        rule.has_summer = true;
        rule.summer_offset = rule.offset + 3600;
        if (!read_name(&text) ||
            (text.at < text.end && *text.at != ',' &&
             !read_offset(&text, &rule.summer_offset)) ||
            !take(&text, ',') || !read_day(&text, &rule.begin) || !take(&text, ',') ||
            !read_day(&text, &rule.end)) {
            return false;
        }
    }
    *out_rule = rule;
    return text.at == text.end;
}

/* The day of a year, in days since 1970. */
static int64_t rule_days(const struct rule_day *day, int32_t year)
{
    if (day->kind == RULE_WEEK) {
        int64_t first = drv_civil_days(year, day->month, 1);
        int32_t to_weekday = (day->day - drv_civil_weekday(first) + 7) % 7;
        int32_t in_month = 1 + to_weekday + (day->week - 1) * 7;
        while (in_month > drv_civil_days_in(year, day->month)) {
            in_month -= 7;
        }
        return first + in_month - 1;
    }
    int64_t first = drv_civil_days(year, 1, 1);
    if (day->kind == RULE_ORDINAL) {
        return first + day->day;
    }
    bool is_leap = drv_civil_days_in(year, 2) == 29;
    return first + day->day - 1 + (is_leap && day->day >= 60 ? 1 : 0);
}

enum { RULE_YEARS = 3, RULE_CHANGES = 2 * RULE_YEARS };

/* The changes of the year before, this one and the next, in order; gives their number. */
static size_t rule_changes(const struct rule *rule, int32_t year,
                           struct change out_changes[RULE_CHANGES])
{
    size_t count = 0;
    for (int32_t y = year - 1; y <= year + 1; y++) {
        struct change begin = {rule_days(&rule->begin, y) * DRV_DAY_S + rule->begin.time_s -
                                   rule->offset,
                               rule->summer_offset};
        struct change end = {rule_days(&rule->end, y) * DRV_DAY_S + rule->end.time_s -
                                 rule->summer_offset,
                             rule->offset};
        struct change pair[] = {begin.at < end.at ? begin : end,
                                begin.at < end.at ? end : begin};
        for (size_t i = 0; i < 2; i++) {
            if (count > 0 && out_changes[count - 1].at == pair[i].at) {
                count--; /* summer for ever: it ends in the moment in which it begins */
            } else {
                out_changes[count++] = pair[i];
            }
        }
    }
    return count;
}

/* ---- periods ----------------------------------------------------------------------------- */

/* Takes in a change at `at`; at most one of them is the latest before the instant. */
static void period_meet(struct drv_zone_period *period, int64_t at_s,
                        const struct change *change)
{
    if (change->at > at_s) {
        period->until = change->at < period->until ? change->at : period->until;
    } else if (change->offset != period->offset) {
        period->from = change->at;
        period->before = period->offset;
        period->offset = change->offset;
    }
}

static void period_by_rule(const struct drv_zone *zone, int64_t at_s,
                           struct drv_zone_period *period)
{
    int64_t last = zone->count > 0 ? zone->changes[zone->count - 1].at : INT64_MIN;
    struct change changes[RULE_CHANGES];
    size_t count = rule_changes(&zone->rule, drv_civil_of(at_s).year, changes);
    for (size_t i = 0; i < count; i++) {
        if (changes[i].at > last) {
            period_meet(period, at_s, &changes[i]);
        }
    }
}

struct drv_zone_period drv_zone_at(const struct drv_zone *zone, int64_t at_s)
{
    struct drv_zone_period period = {.from = INT64_MIN, .until = INT64_MAX};
    if (zone == NULL) {
        return period;
    }
    size_t low = 0, high = zone->count; /* changes before low have come */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (zone->changes[middle].at <= at_s) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    period.offset = low > 0 ? zone->changes[low - 1].offset : zone->first_offset;
    period.before = low > 1 ? zone->changes[low - 2].offset : zone->first_offset;
    period.from = low > 0 ? zone->changes[low - 1].at : INT64_MIN;
    period.until = low < zone->count ? zone->changes[low].at : INT64_MAX;
    period.before = low > 0 ? period.before : period.offset;
    if (low == zone->count && zone->has_rule && zone->rule.has_summer) {
        period_by_rule(zone, at_s, &period);
    }
    return period;
}

void drv_zone_format(const struct drv_zone *zone, int64_t at_s,
                     char out_text[DRV_ZONE_TEXT_MAX])
{
    int32_t offset = drv_zone_at(zone, at_s).offset;
    struct drv_civil civil = drv_civil_of(at_s + offset);
    int32_t size = offset < 0 ? -offset : offset;
    int len = snprintf(out_text, DRV_ZONE_TEXT_MAX, "%04d-%02d-%02dT%02d:%02d:%02d", civil.year,
                       civil.month, civil.day, civil.hour, civil.minute, civil.second);
    (void)snprintf(out_text + len, DRV_ZONE_TEXT_MAX - (size_t)len,
                   zone == NULL ? "Z" : "%c%02d:%02d", offset < 0 ? '-' : '+', size / 3600,
                   size / 60 % 60);
}

bool drv_zone_name_is_valid(const char *name, size_t len)
{
    bool is_begin = true; /* of a part */
    if (len == 0 || len > DRV_ZONE_NAME_MAX) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool is_part = is_letter(c) || is_digit(c) || c == '_' || c == '+' || c == '-';
        if (!is_part && (c != '/' || is_begin)) {
            return false;
        }
        is_begin = c == '/';
    }
    return !is_begin;
}

/* ---- the file ---------------------------------------------------------------------------- */

enum { HEADER_LEN = 44, TYPE_LEN = 6 };

struct header { /* counts of one block */
    uint32_t utc, standard, leaps, times, types, chars;
    size_t time_len; /* bytes of an instant */
};

static uint64_t read_big(const uint8_t *bytes, size_t len)
{
    uint64_t number = 0;
    for (size_t i = 0; i < len; i++) {
        number = number << 8U | bytes[i];
    }
    return number;
}

static bool read_header(const uint8_t *bytes, size_t len, size_t time_len,
                        struct header *out_header)
{
    if (len < HEADER_LEN || memcmp(bytes, "TZif", 4) != 0) {
        return false;
    }
    uint32_t counts[6];
    for (size_t i = 0; i < 6; i++) {
        counts[i] = (uint32_t)read_big(bytes + 20 + 4 * i, 4);
        if (counts[i] > DRV_ZONE_BYTES_MAX) {
            return false;
        }
    }
    *out_header = (struct header){counts[0], counts[1], counts[2], counts[3],
                                  counts[4], counts[5], time_len};
    return true;
}

static size_t block_len(const struct header *header)
{
    return header->times * (header->time_len + 1) + (size_t)header->types * TYPE_LEN +
           header->chars + header->leaps * (header->time_len + 4) + header->standard +
           header->utc;
}

/* The offset of a type; false when there is no such type, or it is no offset. */
static bool read_type(const struct header *header, const uint8_t *types, uint32_t type,
                      int32_t *out_offset)
{
    if (type >= header->types) {
        return false;
    }
    int32_t offset = (int32_t)(uint32_t)read_big(types + (size_t)type * TYPE_LEN, 4);
    *out_offset = offset;
    return offset >= -OFFSET_MAX && offset <= OFFSET_MAX;
}

/* Changes that change nothing (the name, or whether it is summer) are left out. */
static bool read_changes(const struct header *header, const uint8_t *block,
                         struct drv_zone *zone)
{
    const uint8_t *indexes = block + header->times * header->time_len;
    const uint8_t *types = indexes + header->times;
    int64_t last = INT64_MIN;
    if (!read_type(header, types, 0, &zone->first_offset)) {
        return false;
    }
    int32_t offset = zone->first_offset;
    for (uint32_t i = 0; i < header->times; i++) {
        uint64_t raw = read_big(block + i * header->time_len, header->time_len);
        struct change change = {
            header->time_len == 4 ? (int64_t)(int32_t)(uint32_t)raw : (int64_t)raw, 0};
        if (!read_type(header, types, indexes[i], &change.offset) ||
            (i > 0 && change.at <= last)) {
            return false;
        }
        last = change.at;
        if (change.offset != offset) {
            zone->changes[zone->count++] = change;
        }
        offset = change.offset;
    }
    return true;
}

/* Between two line ends behind the second block; an empty one is no rule. */
static bool read_footer(const uint8_t *bytes, size_t len, struct drv_zone *zone)
{
    const uint8_t *end = len >= 2 && bytes[0] == '\n' ? memchr(bytes + 1, '\n', len - 1) : NULL;
    if (end == NULL) {
        return false;
    }
    size_t text_len = (size_t)(end - bytes) - 1;
    zone->has_rule = text_len > 0;
    return text_len == 0 || read_rule((const char *)bytes + 1, text_len, &zone->rule);
}

drover_status drv_zone_new(const void *bytes, size_t len, struct drv_zone **out_zone)
{
    const uint8_t *at = bytes;
    struct header header;
    if (len > DRV_ZONE_BYTES_MAX || !read_header(at, len, 4, &header)) {
        return DROVER_MALFORMED;
    }
    bool has_second = at[4] >= '2';
    size_t left = len - HEADER_LEN;
    at += HEADER_LEN;
    if (has_second) { /* the same once more, with 64 bits */
        if (block_len(&header) > left ||
            !read_header(at + block_len(&header), left - block_len(&header), 8, &header)) {
            return DROVER_MALFORMED;
        }
        /* header is the second one now: where it ends follows from the first */
        struct header first;
        (void)read_header(bytes, len, 4, &first);
        at += block_len(&first) + HEADER_LEN;
        left -= block_len(&first) + HEADER_LEN;
    }
    if (block_len(&header) > left) {
        return DROVER_MALFORMED;
    }
    if (header.leaps > 0) {
        return DROVER_UNSUPPORTED;
    }
    struct drv_zone *zone = calloc(1, sizeof *zone + header.times * sizeof *zone->changes);
    if (zone == NULL) {
        return DROVER_NOMEM;
    }
    size_t block = block_len(&header);
    if (!read_changes(&header, at, zone) ||
        (has_second && !read_footer(at + block, left - block, zone))) {
        drv_zone_destroy(&zone);
        return DROVER_MALFORMED;
    }
    *out_zone = zone;
    return DROVER_OK;
}

void drv_zone_destroy(struct drv_zone **zone)
{
    free(*zone);
    *zone = NULL;
}

size_t drv_zone_size(const struct drv_zone *zone)
{
    return sizeof *zone + zone->count * sizeof *zone->changes;
}
