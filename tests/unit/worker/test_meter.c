/*
 * The meter: what it was not asked for is not lost, and it asks when it matters.
 */
#include "meter.h"

#include "test.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { HANDLERS = 3, START_US = 1000000 };

struct stage {
    struct lane lane;
    struct lane_ends ends;
    int call_fd;
    int in[LANE_PIPES], out[LANE_PIPES]; /* ends of the pipes: to read, to write */
    struct meter meter;
    int64_t now_us;
};

static void stage_open(struct stage *stage)
{
    stage->call_fd = eventfd(0, EFD_CLOEXEC);
    assert_true(stage->call_fd >= 0);
    assert_ok(lane_open(&stage->lane, stage->call_fd, &stage->ends));
    for (size_t i = 0; i < LANE_PIPES; i++) {
        int ends[2];
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        stage->in[i] = ends[0];
        stage->out[i] = ends[1];
    }
    stage->now_us = START_US;
    meter_init(&stage->meter, &stage->lane, stage->out, RUSAGE_SELF, HANDLERS, stage->now_us);
}

static void stage_close(struct stage *stage)
{
    free(stage->meter.silent);
    for (size_t i = 0; i < LANE_PIPES; i++) {
        (void)close(stage->in[i]);
        (void)close(stage->out[i]);
    }
    lane_ends_close(&stage->ends);
    lane_close(&stage->lane);
    (void)close(stage->call_fd);
}

/* An attempt of a microsecond that prints so many bytes; what is said to be printed in all. */
static uint64_t attempt(struct stage *stage, uint32_t handler, size_t bytes, bool is_last)
{
    static const char TEXT[64];
    struct record_finished head = {.kind = RECORD_FINISHED};
    assert_true(bytes <= sizeof(TEXT));
    if (bytes > 0) {
        assert_int_equal(write(stage->out[1], TEXT, bytes), bytes);
    }
    stage->now_us++;
    meter_read_printed(&stage->meter, handler, is_last, stage->now_us, &head);
    assert_int_equal(head.printed[0], 0);
    return head.printed[1];
}

/* So often silent that it is not looked at any more. */
static void make_silent(struct stage *stage, uint32_t handler)
{
    uint64_t printed = stage->meter.printed[1];
    for (int i = 0; i < METER_SILENT; i++) {
        assert_int_equal(attempt(stage, handler, 0, false), printed);
    }
    (void)attempt(stage, handler, 0, true); /* looks, now */
}

static void test_meter_sees_each_attempt_that_prints(void **state)
{
    struct stage stage;
    stage_open(&stage);
    assert_int_equal(attempt(&stage, 0, 10, false), 10);
    assert_int_equal(attempt(&stage, 0, 5, false), 15);
    assert_int_equal(attempt(&stage, 1, 1, false), 16);
    stage_close(&stage);
}

static void test_meter_looks_at_silent_handlers_now_and_then(void **state)
{
    struct stage stage;
    stage_open(&stage);
    make_silent(&stage, 0);
    assert_int_equal(attempt(&stage, 0, 7, false), 0); /* not noticed yet */
    stage.now_us += METER_LOOK_US;
    assert_int_equal(attempt(&stage, 0, 0, false), 7);  /* but soon */
    assert_int_equal(attempt(&stage, 0, 3, false), 10); /* and then at once */
    stage_close(&stage);
}

static void test_meter_looks_before_it_rests(void **state)
{
    struct stage stage;
    stage_open(&stage);
    make_silent(&stage, 0);
    assert_int_equal(attempt(&stage, 0, 7, true), 7);
    stage_close(&stage);
}

static void test_meter_keeps_handlers_apart(void **state)
{
    struct stage stage;
    stage_open(&stage);
    make_silent(&stage, 0);
    assert_int_equal(attempt(&stage, 1, 7, false), 7);
    /* That was the other one, but before the look it might have been any. */
    assert_int_equal(attempt(&stage, 0, 2, false), 9);
    stage_close(&stage);
}

static void test_meter_knows_nothing_of_shared_pipes(void **state)
{
    struct stage stage;
    stage_open(&stage);
    stage.meter.output_fds = NULL;
    assert_int_equal(attempt(&stage, 0, 7, true), 0);
    stage_close(&stage);
}

static uint64_t used_us(struct stage *stage, int64_t later_us)
{
    struct record_finished head = {.kind = RECORD_FINISHED};
    stage->now_us += later_us;
    meter_read_usage(&stage->meter, stage->now_us, &head);
    assert_int_equal(head.pid, getpid());
    assert_true(head.peak_rss_bytes > 0);
    return head.user_us + head.system_us;
}

static void burn(uint64_t us)
{
    struct timespec begin;
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin), 0);
    do {
        assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), 0);
    } while ((uint64_t)(now.tv_sec - begin.tv_sec) * 1000000U + (uint64_t)(now.tv_nsec / 1000) -
                 (uint64_t)(begin.tv_nsec / 1000) <
             us);
}

static void test_meter_charges_what_short_attempts_used_to_a_later_one(void **state)
{
    struct stage stage;
    stage_open(&stage);
    burn(20000);
    assert_int_equal(used_us(&stage, METER_USAGE_US - 1), 0);
    assert_true(used_us(&stage, 1) >= 15000);
    assert_int_equal(used_us(&stage, METER_USAGE_US - 1), 0);
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_meter_sees_each_attempt_that_prints),
        cmocka_unit_test(test_meter_looks_at_silent_handlers_now_and_then),
        cmocka_unit_test(test_meter_looks_before_it_rests),
        cmocka_unit_test(test_meter_keeps_handlers_apart),
        cmocka_unit_test(test_meter_knows_nothing_of_shared_pipes),
        cmocka_unit_test(test_meter_charges_what_short_attempts_used_to_a_later_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
