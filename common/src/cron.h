/*
 * cron.h: cron expressions, and when they are due next.
 *
 *   [second] minute hour day-of-month month day-of-week
 *
 *   field   = item{,item}
 *   item    = * | value | value-value, each with an optional /step; value/step goes on to the
 *             end of the field
 *   value   = number, or the name of a month (jan) or weekday (mon), in any case;
 *             0 and 7 are Sunday; L as day of the month is the last one
 *   @yearly @annually @monthly @weekly @daily @midnight @hourly stand for what they say
 *
 * As in Vixie's cron: when neither day field begins with *, a day that fits one of them is
 * enough. And for changes of the clock, as crontab(5) and cron(8) there have it: an expression
 * whose minute or hour field begins with * is due whenever the clock shows one of its times, so
 * twice in an hour that comes twice and not in one that is missing. All others are due once a
 * time: one that is missing at the end of the gap, one that comes twice the first time.
 */
#ifndef DRV_CRON_H
#define DRV_CRON_H

#include "problem.h"
#include "zone.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DRV_CRON_TEXT_MAX = 256 };

/* Nothing is searched further ahead: no day of the calendar is rarer (a 29th of February that
 * is a Sunday may take 40 years). */
enum { DRV_CRON_YEARS = 48 };

struct drv_cron {
    uint64_t seconds, minutes; /* bit n: n */
    uint32_t hours, days, months, weekdays;
    bool has_last_day;   /* L */
    bool is_any_day;     /* the field begins with * */
    bool is_any_weekday; /* the same */
    bool is_wild;        /* the minute or hour field begins with * */
};

/* OK; INVALID with a problem that names the field and the position, counted from 1. An
 * expression that no date fits is INVALID, too. */
DROVER_MUST_USE drover_status drv_cron_parse(const char *text, size_t len,
                                             struct drv_cron *out_cron,
                                             struct drv_problem *problem);

/* The first instant after `after_s` (seconds since 1970) at which it is due; zone NULL: UTC.
 * INT64_MAX: there is none within DRV_CRON_YEARS. */
int64_t drv_cron_next(const struct drv_cron *cron, const struct drv_zone *zone,
                      int64_t after_s);

#endif
