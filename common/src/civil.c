/* civil.c: see civil.h. */
#include "civil.h"

#include <stdbool.h>

/* Years are counted from March on, in eras of 400: leap days come last in both. */
enum { ERA_YEARS = 400, ERA_DAYS = 146097, EPOCH_DAYS = 719468 };

int64_t drv_civil_days(int32_t year, int32_t month, int32_t day)
{
    int64_t y = (int64_t)year - (month <= 2 ? 1 : 0);
    int64_t era = (y >= 0 ? y : y - (ERA_YEARS - 1)) / ERA_YEARS;
    int64_t year_of_era = y - era * ERA_YEARS;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * ERA_DAYS + day_of_era - EPOCH_DAYS;
}

int64_t drv_civil_seconds(const struct drv_civil *civil)
{
    return drv_civil_days(civil->year, civil->month, civil->day) * DRV_DAY_S +
           (int64_t)civil->hour * 3600 + (int64_t)civil->minute * 60 + civil->second;
}

static int64_t floor_div(int64_t number, int64_t by)
{
    return number / by - (number % by < 0 ? 1 : 0);
}

struct drv_civil drv_civil_of(int64_t seconds)
{
    const int64_t least = drv_civil_days(DRV_YEAR_MIN, 1, 1) * DRV_DAY_S;
    const int64_t most = drv_civil_days(DRV_YEAR_MAX + 1, 1, 1) * DRV_DAY_S - 1;
    seconds = seconds < least ? least : seconds > most ? most : seconds;
    int64_t days = floor_div(seconds, DRV_DAY_S);
    int32_t rest = (int32_t)(seconds - days * DRV_DAY_S);
    days += EPOCH_DAYS;
    int64_t era = floor_div(days, ERA_DAYS);
    int64_t day_of_era = days - era * ERA_DAYS;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 -
                           day_of_era / 146096) /
                          365;
    int64_t day_of_year = day_of_era -
                          (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int32_t month = (int32_t)((5 * day_of_year + 2) / 153);
    struct drv_civil civil = {
        .day = (int32_t)(day_of_year - (153 * month + 2) / 5 + 1),
        .month = month < 10 ? month + 3 : month - 9,
        .hour = rest / 3600,
        .minute = rest / 60 % 60,
        .second = rest % 60,
    };
    civil.year = (int32_t)(year_of_era + era * ERA_YEARS + (civil.month <= 2 ? 1 : 0));
    return civil;
}

int32_t drv_civil_weekday(int64_t days)
{
    int64_t weekday = (days + 4) % 7; /* it was a Thursday */
    return (int32_t)(weekday < 0 ? weekday + 7 : weekday);
}

int32_t drv_civil_days_in(int32_t year, int32_t month)
{
    static const int32_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && is_leap ? 1 : 0);
}
