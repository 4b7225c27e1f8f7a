/*
 * civil.h: dates and times of day of the proleptic Gregorian calendar, as seconds.
 *
 * Seconds count from 1970-01-01 00:00:00 without leap seconds and without a time zone: they are
 * UTC when the civil time is, and local time otherwise (zone.h). Nothing here asks the system.
 *
 * The formulas are those of Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
 */
#ifndef DRV_CIVIL_H
#define DRV_CIVIL_H

#include <stdint.h>

struct drv_civil {
    int32_t year;
    int32_t month;                /* 1 to 12 */
    int32_t day;                  /* 1 to 31 */
    int32_t hour, minute, second; /* 0 to 23, 59, 59 */
};

enum { DRV_DAY_S = 24 * 60 * 60 };

/* Years that all of this is exact for; beyond them seconds are brought down to them. */
enum { DRV_YEAR_MIN = -9999, DRV_YEAR_MAX = 9999 };

/* Days since 1970-01-01; day may be beyond the end of its month. */
int64_t drv_civil_days(int32_t year, int32_t month, int32_t day);
int64_t drv_civil_seconds(const struct drv_civil *civil);
struct drv_civil drv_civil_of(int64_t seconds);

/* 0: Sunday, to 6. */
int32_t drv_civil_weekday(int64_t days);
int32_t drv_civil_days_in(int32_t year, int32_t month);

#endif
