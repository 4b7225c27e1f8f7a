/* cron.h, zone.h, civil.h */
#include "test.h"

#include "check.h"
#include "civil.h"
#include "cron.h"
#include "zone_file.h"

static struct drv_zone *zone_read(const char *name)
{
    struct drv_buffer bytes;
    struct drv_zone *zone = NULL;
    drv_buffer_init(&bytes);
    assert_ok(drv_zone_file_read(name, &bytes));
    assert_ok(drv_zone_new(bytes.bytes, bytes.len, &zone));
    drv_buffer_fini(&bytes);
    return zone;
}

/* "2026-03-29T01:00:00" or a part of it, as UTC. */
static int64_t utc(const char *text)
{
    int parts[6] = {1970, 1, 1, 0, 0, 0};
    for (size_t i = 0; i < sizeof parts / sizeof *parts && *text != '\0'; i++) {
        char *end;
        parts[i] = (int)strtol(text, &end, 10);
        text = *end == '\0' ? end : end + 1;
    }
    struct drv_civil civil = {parts[0], parts[1], parts[2], parts[3], parts[4], parts[5]};
    return drv_civil_seconds(&civil);
}

struct story { /* in a zone, after an instant, the next ones as the clock shows them */
    const char *zone, *after, *text;
    const char *due[4];
};

static void tell(const struct story *story)
{
    struct drv_zone *zone = story->zone == NULL ? NULL : zone_read(story->zone);
    struct drv_problem problem = {""};
    struct drv_cron cron;
    int64_t at = utc(story->after);
    assert_ok(drv_cron_parse(story->text, strlen(story->text), &cron, &problem));
    for (size_t i = 0; i < 4 && story->due[i] != NULL; i++) {
        char shown[DRV_ZONE_TEXT_MAX];
        at = drv_cron_next(&cron, zone, at);
        drv_zone_format(zone, at, shown);
        assert_string_equal(shown, story->due[i]);
    }
    drv_zone_destroy(&zone);
}

/* Days and seconds go there and back, over leap years and centuries, before 1970 too. */
static void test_civil_goes_there_and_back(void **state)
{
    for (int64_t days = -800000; days < 800000; days += 17) {
        int64_t at = days * DRV_DAY_S + (days & 0xffff);
        struct drv_civil civil = drv_civil_of(at);
        assert_true(drv_civil_seconds(&civil) == at);
        assert_in_range(civil.day, 1, drv_civil_days_in(civil.year, civil.month));
    }
    assert_int_equal(drv_civil_weekday(drv_civil_days(2026, 11, 27)), 5);
    assert_int_equal(drv_civil_days_in(2100, 2), 28);
    assert_int_equal(drv_civil_days_in(2000, 2), 29);
    assert_int_equal(drv_civil_of(INT64_MAX).year, DRV_YEAR_MAX);
    assert_int_equal(drv_civil_of(INT64_MIN).year, DRV_YEAR_MIN);
}

/* Fields, names, steps, lists, seconds and words with @. */
static void test_cron_expressions_are_due_as_they_say(void **state)
{
    static const struct story stories[] = {
        {NULL, "2026-01-01", "*/15 * * * *", {"2026-01-01T00:15:00Z", "2026-01-01T00:30:00Z"}},
        {NULL, "2026-01-01", "5/20 * * * *", {"2026-01-01T00:05:00Z", "2026-01-01T00:25:00Z"}},
        {NULL,
         "2026-01-01",
         "0 9-17/4 * * MON-fri",
         {"2026-01-01T09:00:00Z", "2026-01-01T13:00:00Z", "2026-01-01T17:00:00Z",
          "2026-01-02T09:00:00Z"}},
        {NULL,
         "2026-01-01",
         "0 0 1,15 jan,Jul *",
         {"2026-01-15T00:00:00Z", "2026-07-01T00:00:00Z", "2026-07-15T00:00:00Z"}},
        {NULL,
         "2026-01-01",
         "0 0 L * *",
         {"2026-01-31T00:00:00Z", "2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z"}},
        {NULL, "2026-01-01", "0 12 * * 7", {"2026-01-04T12:00:00Z", "2026-01-11T12:00:00Z"}},
        {NULL,
         "2026-01-01",
         "0 12 * * 5-7",
         {"2026-01-02T12:00:00Z", "2026-01-03T12:00:00Z", "2026-01-04T12:00:00Z",
          "2026-01-09T12:00:00Z"}},
        {NULL,
         "2026-01-01",
         "*/20 30 6 * * *",
         {"2026-01-01T06:30:00Z", "2026-01-01T06:30:20Z", "2026-01-01T06:30:40Z",
          "2026-01-02T06:30:00Z"}},
        {NULL, "2026-01-01", "@weekly", {"2026-01-04T00:00:00Z"}},
        {NULL, "2026-01-01", "@Yearly", {"2027-01-01T00:00:00Z"}},
        {NULL, "2026-01-01", "0 0 29 2 *", {"2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"}},
        {NULL, "2097-01-01", "0 0 29 2 *", {"2104-02-29T00:00:00Z"}},
        {NULL, "2026-12-31T23:59:59", "\t0  0 1 1 * ", {"2027-01-01T00:00:00Z"}},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(stories); i++) {
        tell(&stories[i]);
    }
}

/* Two restricted day fields: one of them is enough; a star in front: both must fit. */
static void test_cron_day_fields_are_joined_as_in_vixie_cron(void **state)
{
    static const struct story stories[] = {
        {NULL,
         "2026-01-01",
         "0 0 13 * fri",
         {"2026-01-02T00:00:00Z", "2026-01-09T00:00:00Z", "2026-01-13T00:00:00Z",
          "2026-01-16T00:00:00Z"}},
        {NULL,
         "2026-01-01",
         "0 0 */10 * sun",
         {"2026-01-11T00:00:00Z", "2026-02-01T00:00:00Z"}},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(stories); i++) {
        tell(&stories[i]);
    }
}

/* A time that is missing is due at the end of the gap, one that comes twice the first time;
 * what has a star for minutes or hours goes by the clock. */
static void test_cron_follows_changes_of_the_clock(void **state)
{
    static const struct story stories[] = {
        {"Europe/Berlin",
         "2026-03-28T12:00:00",
         "30 2 * * *",
         {"2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"}},
        {"Europe/Berlin",
         "2026-03-28T12:00:00",
         "0,30 2,3 * * *",
         {"2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00",
          "2026-03-30T02:00:00+02:00"}},
        {"Europe/Berlin",
         "2026-03-29T00:00:00",
         "30 * * * *",
         {"2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00"}},
        {"Europe/Berlin",
         "2026-10-24T12:00:00",
         "30 2 * * *",
         {"2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"}},
        {"Europe/Berlin", "2026-10-25T00:35:00", "30 2 * * *", {"2026-10-26T02:30:00+01:00"}},
        {"Europe/Berlin",
         "2026-10-25T00:00:00",
         "30 * * * *",
         {"2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00",
          "2026-10-25T03:30:00+01:00"}},
        {"Europe/Berlin",
         "2045-03-25T12:00:00",
         "30 2 * * *",
         {"2045-03-26T03:00:00+02:00", "2045-03-27T02:30:00+02:00"}},
        {"America/New_York",
         "2026-03-07T12:00:00",
         "15 2 * * *",
         {"2026-03-08T03:00:00-04:00", "2026-03-09T02:15:00-04:00"}},
        {"America/New_York",
         "2026-10-31T12:00:00",
         "30 1 * * *",
         {"2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00"}},
        {"America/New_York",
         "2026-11-01T04:30:00",
         "*/30 1 * * *",
         {"2026-11-01T01:00:00-04:00", "2026-11-01T01:30:00-04:00", "2026-11-01T01:00:00-05:00",
          "2026-11-01T01:30:00-05:00"}},
        {"Australia/Lord_Howe",
         "2026-10-03T12:00:00",
         "15 2 * * *",
         {"2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"}},
        {"Australia/Lord_Howe",
         "2026-04-04T12:00:00",
         "45 1 * * *",
         {"2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"}},
        {"Asia/Kathmandu",
         "2026-01-01",
         "0 0 * * *",
         {"2026-01-02T00:00:00+05:45", "2026-01-03T00:00:00+05:45"}},
        {"Pacific/Apia",
         "2011-12-29T20:00:00",
         "0 6 * * *", /* a day was left out */
         {"2011-12-31T00:00:00+14:00", "2011-12-31T06:00:00+14:00"}},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(stories); i++) {
        tell(&stories[i]);
    }
}

/* What is wrong is told with its field and place. */
static void test_cron_errors_name_field_and_position(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"0 24 * * *", "hour, position 3: not from 0 to 23"},
        {"0 0 0 * *", "day of month, position 5: not from 1 to 31"},
        {"60 * * * *", "minute, position 1: not from 0 to 59"},
        {"* * * foo *", "month, position 7: neither a number nor a name"},
        {"* * * * 8", "day of week, position 9: not from 0 to 7"},
        {"5-1 * * * *", "minute, position 1: a range that runs backwards"},
        {"*/0 * * * *",
         "minute, position 3: a step that is not between 1 and the end of the field"},
        {"*/90 * * * *",
         "minute, position 3: a step that is not between 1 and the end of the field"},
        {"1,,2 * * * *", "minute, position 3: something is missing"},
        {"1- * * * *", "minute, position 3: something is missing"},
        {"1x * * * *", "minute, position 2: what is this?"},
        {"L * * * *", "minute, position 1: not a number"},
        {"0 0 30 2 *", "day of month: no month that is asked for has such a day"},
        {"* * * *", "4 fields, not 5 (minute, hour, day of month, month, day of week), or 6 "
                    "with seconds before them"},
        {"@reboot", "position 1: the words with @ are @yearly, @monthly, @weekly, @daily and "
                    "@hourly; an interval is --every TIME"},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(cases); i++) {
        struct drv_problem problem = {""};
        struct drv_cron cron;
        assert_int_equal(drv_cron_parse(cases[i].text, strlen(cases[i].text), &cron, &problem),
                         DROVER_INVALID);
        assert_string_equal(problem.text, cases[i].why);
    }
}

/* Whatever the bytes of an expression are: an answer, and soon. */
static void test_cron_takes_any_bytes(void **state)
{
    static const char letters[] = "0123456789*/,-LlaejnfmsuotwhiB@ \t\x01\xff";
    uint64_t seed = test_seed();
    for (int round = 0; round < 20000; round++) {
        char text[24];
        struct drv_cron cron;
        size_t len = 0;
        for (; len < sizeof text && seed % 31 != 0; len++) {
            seed = seed * 6364136223846793005U + 1442695040888963407U;
            text[len] = letters[(seed >> 33U) % (sizeof letters - 1)];
        }
        seed = seed * 6364136223846793005U + 1442695040888963407U;
        if (drv_cron_parse(text, len, &cron, NULL) == DROVER_OK) {
            assert_true(drv_cron_next(&cron, NULL, 1000) > 1000);
        }
    }
}

/* Names of zones stay below their directory. */
static void test_zone_names_lead_nowhere_else(void **state)
{
    static const char *const wrong[] = {"",   "/etc/passwd", "../x", "Europe/../x", "a//b",
                                        "a/", ".",           "a b",  "Europe/Ber.", "\xc3\xa4"};
    struct drv_buffer bytes;
    drv_buffer_init(&bytes);
    for (size_t i = 0; i < DRV_ARRAY_LEN(wrong); i++) {
        assert_false(drv_zone_name_is_valid(wrong[i], strlen(wrong[i])));
        assert_int_equal(drv_zone_file_read(wrong[i], &bytes), DROVER_INVALID);
    }
    assert_int_equal(drv_zone_file_read("Europe", &bytes), DROVER_UNKNOWN);
    assert_int_equal(drv_zone_file_read("Europe/Atlantis", &bytes), DROVER_UNKNOWN);
    assert_true(drv_zone_name_is_valid("Etc/GMT+3", 9));
    drv_buffer_fini(&bytes);
}

/* A file that is cut or changed anywhere is refused, or read as another zone: never worse. */
static void test_zone_believes_no_bytes(void **state)
{
    struct drv_buffer bytes;
    drv_buffer_init(&bytes);
    assert_ok(drv_zone_file_read("Europe/Berlin", &bytes));
    for (size_t i = 0; i < bytes.len; i++) {
        struct drv_zone *zone = NULL;
        uint8_t *copy = malloc(i + 1); /* to its end: the sanitizer sees what goes beyond */
        assert_non_null(copy);
        memcpy(copy, bytes.bytes, i);
        assert_int_not_equal(drv_zone_new(copy, i, &zone), DROVER_OK);
        free(copy);
        bytes.bytes[i] ^= 0xff;
        if (drv_zone_new(bytes.bytes, bytes.len, &zone) == DROVER_OK) {
            struct drv_zone_period period = drv_zone_at(zone, 1800000000);
            assert_true(period.from <= 1800000000 && period.until > 1800000000);
            drv_zone_destroy(&zone);
        }
        bytes.bytes[i] ^= 0xff;
    }
    drv_buffer_fini(&bytes);
}

/* Periods follow each other without a gap, into the time of the rule, on both halves of the
 * earth, and where summer is kept for ever. */
static void test_zone_periods_follow_each_other(void **state)
{
    static const char *const names[] = {"Europe/Berlin",
                                        "America/New_York",
                                        "Asia/Kathmandu",
                                        "America/Santiago",
                                        "Africa/Casablanca",
                                        "Europe/Dublin",
                                        "UTC"};
    for (size_t i = 0; i < DRV_ARRAY_LEN(names); i++) {
        struct drv_zone *zone = zone_read(names[i]);
        struct drv_zone_period period = drv_zone_at(zone, utc("1800-01-01"));
        assert_true(period.from == INT64_MIN);
        while (period.until != INT64_MAX && period.until < utc("2100-01-01")) {
            struct drv_zone_period next = drv_zone_at(zone, period.until);
            struct drv_zone_period same = drv_zone_at(zone, period.until - 1);
            assert_true(same.from == period.from && same.until == period.until);
            assert_true(next.from == period.until && next.until > next.from);
            assert_int_equal(next.before, period.offset);
            period = next;
        }
        drv_zone_destroy(&zone);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_civil_goes_there_and_back),
        cmocka_unit_test(test_cron_expressions_are_due_as_they_say),
        cmocka_unit_test(test_cron_day_fields_are_joined_as_in_vixie_cron),
        cmocka_unit_test(test_cron_follows_changes_of_the_clock),
        cmocka_unit_test(test_cron_errors_name_field_and_position),
        cmocka_unit_test(test_cron_takes_any_bytes),
        cmocka_unit_test(test_zone_names_lead_nowhere_else),
        cmocka_unit_test(test_zone_believes_no_bytes),
        cmocka_unit_test(test_zone_periods_follow_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
