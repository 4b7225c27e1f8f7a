/* cron.c: see cron.h. */
#include "cron.h"

#include "check.h"
#include "civil.h"

#include <stdio.h>
#include <string.h>

/* ---- reading ----------------------------------------------------------------------------- */

enum field_kind {
    FIELD_SECOND,
    FIELD_MINUTE,
    FIELD_HOUR,
    FIELD_DAY,
    FIELD_MONTH,
    FIELD_WEEKDAY,
    FIELDS
};

struct field {
    const char *name;
    unsigned min, max;
    const char *names; /* of three letters each, the first for min */
};

static const struct field fields[FIELDS] = {
    [FIELD_SECOND] = {"second", 0, 59, NULL},
    [FIELD_MINUTE] = {"minute", 0, 59, NULL},
    [FIELD_HOUR] = {"hour", 0, 23, NULL},
    [FIELD_DAY] = {"day of month", 1, 31, NULL},
    [FIELD_MONTH] = {"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"},
    [FIELD_WEEKDAY] = {"day of week", 0, 7, "sunmontuewedthufrisat"},
};

struct parse {
    const char *text;
    size_t len, at;
    const struct field *field;
    struct drv_problem *problem;
    uint64_t bits; /* of the field at hand */
    bool has_last;
};

/* Always false. Positions of people begin with 1. */
static bool wrong(const struct parse *parse, size_t at, const char *what)
{
    (void)drv_problem_set(parse->problem, DROVER_INVALID, "%s, position %zu: %s",
                          parse->field->name, at + 1, what);
    return false;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static char peek(const struct parse *parse)
{
    return parse->at < parse->len ? parse->text[parse->at] : '\0';
}

static bool take(struct parse *parse, char c)
{
    bool is_there = parse->at < parse->len && parse->text[parse->at] == c;
    parse->at += is_there;
    return is_there;
}

static bool read_number(struct parse *parse, unsigned max, unsigned *out_number)
{
    size_t begin = parse->at;
    unsigned number = 0;
    while (peek(parse) >= '0' && peek(parse) <= '9' && number <= 1000) {
        number = number * 10 + (unsigned)(parse->text[parse->at++] - '0');
    }
    *out_number = number;
    return parse->at > begin && number <= max;
}

/* The name that stands here. */
static bool read_name(struct parse *parse, unsigned *out_value)
{
    const char *names = parse->field->names;
    for (size_t i = 0; names != NULL && i < strlen(names); i += 3) {
        size_t same = 0;
        while (same < 3 && parse->at + same < parse->len &&
               lower(parse->text[parse->at + same]) == names[i + same]) {
            same++;
        }
        if (same == 3) {
            parse->at += 3;
            *out_value = parse->field->min + (unsigned)(i / 3);
            return true;
        }
    }
    return false;
}

static bool read_value(struct parse *parse, unsigned *out_value)
{
    const struct field *field = parse->field;
    size_t begin = parse->at;
    char c = peek(parse);
    if (c >= '0' && c <= '9') {
        if (!read_number(parse, field->max, out_value) || *out_value < field->min) {
            char text[64];
            (void)snprintf(text, sizeof text, "not from %u to %u", field->min, field->max);
            return wrong(parse, begin, text);
        }
        return true;
    }
    if (read_name(parse, out_value)) {
        return true;
    }
    return wrong(parse, begin,
                 c == '\0' || is_blank(c) || c == ',' ? "something is missing"
                 : field->names != NULL               ? "neither a number nor a name"
                                                      : "not a number");
}

/* What follows the slash; 1 without one. */
static bool read_step(struct parse *parse, unsigned *out_step, bool *out_has_step)
{
    *out_step = 1;
    *out_has_step = take(parse, '/');
    size_t begin = parse->at;
    if (!*out_has_step) {
        return true;
    }
    if (!read_number(parse, parse->field->max, out_step) || *out_step == 0) {
        return wrong(parse, begin, "a step that is not between 1 and the end of the field");
    }
    return true;
}

static bool read_item(struct parse *parse)
{
    const struct field *field = parse->field;
    unsigned low = field->min, high = field->max, step;
    bool has_step;
    size_t begin = parse->at;
    if (field == &fields[FIELD_DAY] && (take(parse, 'L') || take(parse, 'l'))) {
        parse->has_last = true;
        return true;
    }
    bool is_any = take(parse, '*');
    bool is_range = false;
    if (!is_any) {
        if (!read_value(parse, &low)) {
            return false;
        }
        is_range = take(parse, '-');
        high = low;
        if (is_range && !read_value(parse, &high)) {
            return false;
        }
        if (high < low) {
            return wrong(parse, begin, "a range that runs backwards");
        }
    } else if (field == &fields[FIELD_WEEKDAY]) {
        high = 6; /* Sunday once */
    }
    if (!read_step(parse, &step, &has_step)) {
        return false;
    }
    if (has_step && !is_any && !is_range) {
        high = field == &fields[FIELD_WEEKDAY] && low < 7 ? 6 : field->max;
    }
    for (unsigned value = low; value <= high; value += step) {
        parse->bits |= (uint64_t)1 << value;
    }
    return true;
}

static bool read_field(struct parse *parse)
{
    parse->bits = 0;
    do {
        if (!read_item(parse)) {
            return false;
        }
    } while (take(parse, ','));
    return peek(parse) == '\0' || is_blank(peek(parse)) ||
           wrong(parse, parse->at, "what is this?");
}

static void skip_blanks(struct parse *parse)
{
    while (is_blank(peek(parse))) {
        parse->at++;
    }
}

static size_t count_fields(const struct parse *parse)
{
    size_t count = 0;
    for (size_t i = 0; i < parse->len; i++) {
        count += !is_blank(parse->text[i]) && (i == 0 || is_blank(parse->text[i - 1]));
    }
    return count;
}

static void put_field(struct drv_cron *cron, const struct parse *parse, bool begins_with_star)
{
    switch ((enum field_kind)(parse->field - fields)) {
    case FIELD_SECOND:
        cron->seconds = parse->bits;
        break;
    case FIELD_MINUTE:
        cron->minutes = parse->bits;
        cron->is_wild = cron->is_wild || begins_with_star;
        break;
    case FIELD_HOUR:
        cron->hours = (uint32_t)parse->bits;
        cron->is_wild = cron->is_wild || begins_with_star;
        break;
    case FIELD_DAY:
        cron->days = (uint32_t)parse->bits;
        cron->has_last_day = parse->has_last;
        cron->is_any_day = begins_with_star;
        break;
    case FIELD_MONTH:
        cron->months = (uint32_t)parse->bits;
        break;
    case FIELD_WEEKDAY:
        cron->weekdays = (uint32_t)(parse->bits | parse->bits >> 7U) & 0x7fU;
        cron->is_any_weekday = begins_with_star;
        break;
    case FIELDS:
        DRV_UNREACHABLE();
    }
}

static bool text_is(const struct parse *parse, const char *name)
{
    size_t len = strlen(name);
    if (parse->len != len) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (lower(parse->text[i]) != name[i]) {
            return false;
        }
    }
    return true;
}

/* What a word with @ stands for. */
static drover_status expand(struct parse *parse)
{
    static const struct {
        const char *name, *text;
    } words[] = {
        {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"},
        {"@weekly", "0 0 * * 0"}, {"@daily", "0 0 * * *"},    {"@midnight", "0 0 * * *"},
        {"@hourly", "0 * * * *"},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(words); i++) {
        if (text_is(parse, words[i].name)) {
            parse->text = words[i].text;
            parse->len = strlen(words[i].text);
            return DROVER_OK;
        }
    }
    return drv_problem_set(parse->problem, DROVER_INVALID,
                           "position 1: the words with @ are @yearly, @monthly, @weekly, "
                           "@daily and @hourly; an interval is --every TIME");
}

drover_status drv_cron_parse(const char *text, size_t len, struct drv_cron *out_cron,
                             struct drv_problem *problem)
{
    struct parse parse = {.text = text, .len = len, .problem = problem};
    struct drv_cron cron = {.seconds = 1};
    if (len > DRV_CRON_TEXT_MAX) {
        return drv_problem_set(problem, DROVER_INVALID, "longer than %d bytes",
                               DRV_CRON_TEXT_MAX);
    }
    if (len > 0 && text[0] == '@' && expand(&parse) != DROVER_OK) {
        return DROVER_INVALID;
    }
    size_t count = count_fields(&parse);
    if (count != FIELDS && count != FIELDS - 1) {
        return drv_problem_set(problem, DROVER_INVALID,
                               "%zu fields, not 5 (minute, hour, day of month, month, day of "
                               "week), or 6 with seconds before them",
                               count);
    }
    for (size_t i = FIELDS - count; i < FIELDS; i++) {
        skip_blanks(&parse);
        parse.field = &fields[i];
        bool begins_with_star = peek(&parse) == '*';
        if (!read_field(&parse)) {
            return DROVER_INVALID;
        }
        put_field(&cron, &parse, begins_with_star);
    }
    if (drv_cron_next(&cron, NULL, 0) == INT64_MAX) {
        return drv_problem_set(problem, DROVER_INVALID,
                               "day of month: no month that is asked for has such a day");
    }
    *out_cron = cron;
    return DROVER_OK;
}

/* ---- civil times ------------------------------------------------------------------------- */

static bool day_fits(const struct drv_cron *cron, const struct drv_civil *civil)
{
    int64_t days = drv_civil_days(civil->year, civil->month, civil->day);
    bool is_weekday = (cron->weekdays >> drv_civil_weekday(days) & 1U) != 0;
    bool is_day = (cron->days >> civil->day & 1U) != 0 ||
                  (cron->has_last_day &&
                   civil->day == drv_civil_days_in(civil->year, civil->month));
    bool is_either = !cron->is_any_day && !cron->is_any_weekday;
    return is_either ? is_day || is_weekday : is_day && is_weekday;
}

/* The lowest bit from `from` on, 64: there is none. */
static int32_t next_bit(uint64_t bits, int32_t from)
{
    uint64_t rest = from > 63 ? 0 : bits >> from << from;
    return rest == 0 ? 64 : (int32_t)__builtin_ctzll(rest);
}

static void begin_month(struct drv_civil *civil)
{
    civil->month++;
    civil->day = 1;
    civil->hour = civil->minute = civil->second = 0;
    if (civil->month > 12) {
        civil->month = 1;
        civil->year++;
    }
}

static void begin_day(struct drv_civil *civil)
{
    civil->hour = civil->minute = civil->second = 0;
    if (++civil->day > drv_civil_days_in(civil->year, civil->month)) {
        begin_month(civil);
    }
}

/* The first time of the day from the one at hand on; false: none is left. */
static bool fit_time(const struct drv_cron *cron, struct drv_civil *civil)
{
    int32_t hour = next_bit(cron->hours, civil->hour);
    bool is_later = hour != civil->hour;
    int32_t minute = next_bit(cron->minutes, is_later ? 0 : civil->minute);
    int32_t second = next_bit(cron->seconds,
                              is_later || minute != civil->minute ? 0 : civil->second);
    if (second == 64) {
        minute = next_bit(cron->minutes, minute + 1);
        second = next_bit(cron->seconds, 0);
    }
    if (minute == 64) {
        hour = next_bit(cron->hours, hour + 1);
        minute = next_bit(cron->minutes, 0);
        second = next_bit(cron->seconds, 0);
    }
    civil->hour = hour;
    civil->minute = minute;
    civil->second = second;
    return hour < 24;
}

/* The first civil time from this one on that fits, both as seconds. INT64_MAX: none. */
static int64_t next_civil(const struct drv_cron *cron, int64_t from)
{
    struct drv_civil civil = drv_civil_of(from);
    int32_t last_year = civil.year + DRV_CRON_YEARS;
    while (civil.year <= last_year) {
        if ((cron->months >> civil.month & 1U) == 0) {
            begin_month(&civil);
        } else if (!day_fits(cron, &civil)) {
            begin_day(&civil);
        } else if (fit_time(cron, &civil)) {
            return drv_civil_seconds(&civil);
        } else {
            begin_day(&civil);
        }
    }
    return INT64_MAX;
}

/* ---- instants ---------------------------------------------------------------------------- */

/* Whether the period begins with a gap in which one of the times would have been. */
static bool gap_has(const struct drv_cron *cron, const struct drv_zone_period *period)
{
    return period->offset > period->before &&
           next_civil(cron, period->from + period->before) < period->from + period->offset;
}

int64_t drv_cron_next(const struct drv_cron *cron, const struct drv_zone *zone, int64_t after_s)
{
    const int64_t far_s = (int64_t)DRV_CRON_YEARS * 366 * DRV_DAY_S;
    for (int64_t at = after_s + 1; at - after_s <= far_s;) {
        struct drv_zone_period period = drv_zone_at(zone, at);
        if (!cron->is_wild && at == period.from && gap_has(cron, &period)) {
            return at;
        }
        int64_t civil = next_civil(cron, at + period.offset);
        if (civil == INT64_MAX) {
            return INT64_MAX;
        }
        int64_t due = civil - period.offset;
        bool is_repeated = period.from != INT64_MIN && civil < period.from + period.before;
        if (due >= period.until) {
            at = period.until;
        } else if (is_repeated && !cron->is_wild) {
            at = period.from + period.before - period.offset;
        } else {
            return due;
        }
    }
    return INT64_MAX;
}
