/*
 * The task in hand: known after a crash, set aside after the second one.
 */
#include "fixture.h"

#include "hand_page.h"
#include "tmpdir.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static struct hand_page *page_of(const char *directory, struct core_hand *out_crashed)
{
    struct hand_page *page = NULL;
    struct drv_problem problem = {""};
    assert_ok(hand_open(directory, &page, out_crashed, &problem));
    return page;
}

/* Two tasks in one message; the payload of the second lies where nothing can be read. */
static void submit_and_crash(struct bench *bench, uint32_t number)
{
    void *nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct drv_entry entries[2] = {{.id = id_of(1), .val = val_of("payload")},
                                   {.id = id_of(number)}};
    entries[1].val = (struct drv_val){.bytes = nowhere, .len = 64};
    struct drv_submit_group group = {
        .spec = spec_of("work"), .entries = entries, .entry_count = 2};
    struct drv_message message = request(bench, 1, DRV_SUBMIT);
    message.submit.groups = &group;
    message.submit.group_count = 1;
    message.epoch = bench->boxes[1].epoch;
    message.seq = ++bench->boxes[1].seq;
    struct core_event event = {.kind = CORE_EVENT_MESSAGE,
                               .peer = 1,
                               .port = bench->boxes[1].port,
                               .message = &message};
    core_step(bench->core, &event, bench->now);
}

/* A broker in a process of its own which does not survive the task with that number. */
static void crash(const char *directory, uint32_t number)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct core_hand crashed;
        (void)signal(SIGSEGV, SIG_DFL); /* cmocka would go on with the next test */
        struct bench *bench = bench_new();
        bench->config.hand = &page_of(directory, &crashed)->task;
        bench_start(bench);
        client(bench, 1);
        if (freopen("/dev/null", "w", stderr) != NULL) {
            submit_and_crash(bench, number);
        }
        _exit(EXIT_SUCCESS);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS);
}

/* After a crash the page names the task that was being handled, not the one before it in the
 * same message; after the second crash it has been in hand twice. */
static void test_crash_names_the_task_in_hand(void **state)
{
    const char *directory = *state;
    struct core_hand crashed;
    for (uint32_t times = 1; times <= 2; times++) {
        crash(directory, 77);
        struct hand_page *page = page_of(directory, &crashed);
        assert_int_equal(crashed.is_held, 1);
        assert_int_equal(number_of(crashed.id), 77);
        assert_int_equal(number_of(page->suspects[0].id), 77);
        assert_int_equal(page->suspects[0].crashes, times);
        hand_close(&page, false);
    }
}

/* Two different tasks are two suspects; an end in order acquits who crashed it once. */
static void test_end_in_order_acquits(void **state)
{
    const char *directory = *state;
    struct core_hand crashed;
    crash(directory, 77);
    crash(directory, 77);
    crash(directory, 78);
    struct hand_page *page = page_of(directory, &crashed);
    assert_int_equal(page->suspects[0].crashes, 2);
    assert_int_equal(page->suspects[1].crashes, 1);
    hand_close(&page, true);
    page = page_of(directory, &crashed);
    assert_int_equal(crashed.is_held, 0);
    assert_int_equal(page->suspects[0].crashes, 2);
    assert_int_equal(page->suspects[1].crashes, 0);
    hand_close(&page, true);
}

/* Between steps, and when a tick is over, nothing is in hand: who kills a broker that rests
 * blames nobody. */
static void test_nothing_is_in_hand_between_steps(void **state)
{
    struct core_hand crashed;
    struct hand_page *page = page_of(*state, &crashed);
    struct bench *bench = bench_new();
    bench->config.hand = &page->task;
    bench_start(bench);
    client(bench, 1);
    worker(bench, 2, "work", 1);
    struct drv_spec spec = watched("work");
    submit(bench, 1, &spec, 5);
    assert_int_equal(page->task.is_held, 0);
    assert_int_equal(number_of(page->task.id), 5);
    bench_turn(bench);
    assert_int_equal(page->task.is_held, 0);
    report_done(bench, 2, leased(bench, 2), "1");
    bench_turn(bench);
    assert_int_equal(page->task.is_held, 0);
    bench_free(bench);
    hand_close(&page, true);
}

/* What was set aside ends as failed wherever it is, and is refused when it comes again; others
 * go on. */
static void test_task_set_aside_fails_and_others_go_on(void **state)
{
    struct bench *bench = bench_new();
    bench_start(bench);
    client(bench, 1);
    worker(bench, 2, "work", 1);
    struct drv_spec spec = watched("work");
    submit_many(bench, 1, &spec, 1, 3, "payload");
    bench_turn(bench);
    drop_all(bench, 1);
    struct drv_ref held = leased(bench, 2);
    report_started(bench, 2, held);
    const drover_id ids[] = {held.id, id_of(3), id_of(9)};
    for (size_t i = 0; i < 3; i++) {
        core_set_aside(bench->core, &ids[i], DROVER_INDEX_NONE, bench->now);
        bench_turn(bench);
    }
    assert_int_equal(counters(bench).failed, 2);
    assert_int_equal(result(bench, 1)->error.kind, DROVER_ERROR_REFUSED);
    drop_all(bench, 1);
    submit(bench, 1, &spec, 9);
    bench_turn(bench);
    assert_int_equal(reply(bench, 1)->notes[0].code, DROVER_REFUSED);
    report_done(bench, 2, leased(bench, 2), "1");
    bench_turn(bench);
    assert_int_equal(counters(bench).succeeded, 1);
    bench_free(bench);
}

static int setup(void **state)
{
    char *directory = calloc(1, DRV_TMPDIR_PATH_MAX);
    *state = directory;
    return directory == NULL || drv_tmpdir_new("/tmp", "drover-test-", directory) != DROVER_OK;
}

static int teardown(void **state)
{
    drover_status status = drv_tmpdir_remove(*state);
    free(*state);
    return status != DROVER_OK;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_crash_names_the_task_in_hand, setup, teardown),
        cmocka_unit_test_setup_teardown(test_end_in_order_acquits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_is_in_hand_between_steps, setup, teardown),
        cmocka_unit_test(test_task_set_aside_fails_and_others_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
