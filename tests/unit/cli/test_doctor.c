/* What `drover doctor` makes of what it sees. */
#include "test.h"

#include "doctor.h"

#define MIB (1024ULL * 1024)
#define SOME_DAY_MS 1770000000000LL

static const struct finding *last(const struct diagnosis *diagnosis)
{
    assert_true(diagnosis->count > 0);
    return &diagnosis->findings[diagnosis->count - 1];
}

/* The last finding is in this state, and says what to do exactly when it is not ok. */
static void expect(const struct diagnosis *diagnosis, enum finding_state state)
{
    const struct finding *finding = last(diagnosis);
    assert_string_equal(finding_state_name(finding->state), finding_state_name(state));
    assert_true(finding->text[0] != '\0');
    assert_int_equal(finding->advice[0] != '\0', state != FINDING_OK);
}

/* Few descriptors are few connections. */
static void test_descriptors_are_judged_by_their_number(void **state)
{
    struct diagnosis diagnosis = {.count = 0};
    judge_descriptors(&diagnosis, 1048576, 1048576);
    expect(&diagnosis, FINDING_OK);
    judge_descriptors(&diagnosis, 1024, 4096);
    expect(&diagnosis, FINDING_WARN);
    assert_non_null(strstr(last(&diagnosis)->advice, "960 connections"));
    assert_non_null(strstr(last(&diagnosis)->advice, "4096"));
    judge_descriptors(&diagnosis, 32, 32);
    expect(&diagnosis, FINDING_FAIL);
}

/* Little memory is told. */
static void test_memory_is_judged_by_its_share(void **state)
{
    struct diagnosis diagnosis = {.count = 0};
    judge_memory(&diagnosis, 4096 * MIB, 8192 * MIB);
    expect(&diagnosis, FINDING_OK);
    judge_memory(&diagnosis, 100 * MIB, 8192 * MIB);
    expect(&diagnosis, FINDING_WARN);
}

/* A clock of 1970 is none; one that nobody sets is told; who cannot be asked is not blamed. */
static void test_clock_is_judged(void **state)
{
    struct diagnosis diagnosis = {.count = 0};
    judge_clock(&diagnosis, SOME_DAY_MS, 1, true);
    expect(&diagnosis, FINDING_OK);
    judge_clock(&diagnosis, SOME_DAY_MS, -1, true);
    expect(&diagnosis, FINDING_OK);
    judge_clock(&diagnosis, SOME_DAY_MS, 0, true);
    expect(&diagnosis, FINDING_WARN);
    judge_clock(&diagnosis, 12345, 1, true);
    expect(&diagnosis, FINDING_FAIL);
    judge_clock(&diagnosis, SOME_DAY_MS, 1, false);
    expect(&diagnosis, FINDING_FAIL);
    assert_non_null(strstr(last(&diagnosis)->text, "monotonic"));
}

/* Core dumps are a matter of taste, and a hint. */
static void test_dumps_are_no_failure(void **state)
{
    struct diagnosis diagnosis = {.count = 0};
    judge_dumps(&diagnosis, 0, "core");
    assert_int_equal(last(&diagnosis)->state, FINDING_OK);
    assert_non_null(strstr(last(&diagnosis)->advice, "ulimit -c"));
    judge_dumps(&diagnosis, UINT64_MAX, "core.%p");
    expect(&diagnosis, FINDING_OK);
    judge_dumps(&diagnosis, 0, "|/usr/lib/systemd/systemd-coredump");
    expect(&diagnosis, FINDING_OK);
    assert_non_null(strstr(last(&diagnosis)->text, "handed to"));
}

/* A full disk, and data in memory. */
static void test_directories_are_judged_by_room_and_kind(void **state)
{
    struct diagnosis diagnosis = {.count = 0};
    judge_directory(&diagnosis, "data", "/d", 4096 * MIB, false);
    expect(&diagnosis, FINDING_OK);
    judge_directory(&diagnosis, "data", "/d", 10 * MIB, false);
    expect(&diagnosis, FINDING_WARN);
    judge_directory(&diagnosis, "data", "/d", 4096 * MIB, true);
    expect(&diagnosis, FINDING_WARN);
    judge_directory(&diagnosis, "temporary", "/d", 4096 * MIB, true);
    expect(&diagnosis, FINDING_OK);
}

/* A directory that cannot be written, and one that is still to be made. */
static void test_data_directory_is_tried(void **state)
{
    struct diagnosis diagnosis = {.count = 0};
    doctor_data(&diagnosis, "/proc/nothing");
    expect(&diagnosis, FINDING_FAIL);
    doctor_data(&diagnosis, "/tmp/drover-doctor-not-there/below");
    assert_true(last(&diagnosis)->state != FINDING_FAIL);
    assert_non_null(strstr(last(&diagnosis)->text, "/tmp can be written"));
    doctor_data(&diagnosis, "not-there/below");
    assert_non_null(strstr(last(&diagnosis)->text, ". can be written"));
    doctor_data(&diagnosis, "");
    assert_int_equal(last(&diagnosis)->state, FINDING_FAIL);
}

static drover_value *document(const char *json)
{
    drover_value *value = NULL;
    assert_ok(drover_value_from_json(json, strlen(json), &value, NULL, 0));
    return value;
}

/* A broker of another version, and one that is going down. */
static void test_broker_is_judged_by_its_document(void **state)
{
    struct diagnosis diagnosis = {.count = 0};
    drover_value *same = document("{\"broker\":{\"version\":\"drover " DROVER_VERSION_STRING
                                  "\"}}");
    drover_value *other = document("{\"broker\":{\"version\":\"drover 99.0\\u001b[31m\"}}");
    drover_value *ending = document("{\"broker\":{\"version\":\"drover " DROVER_VERSION_STRING
                                    "\",\"draining\":true}}");
    judge_broker(&diagnosis, same);
    expect(&diagnosis, FINDING_OK);
    judge_broker(&diagnosis, other);
    expect(&diagnosis, FINDING_WARN);
    assert_null(strchr(last(&diagnosis)->text, '\033'));
    judge_broker(&diagnosis, ending);
    expect(&diagnosis, FINDING_WARN);
    assert_string_equal(last(&diagnosis)->name, "draining");
    drover_value_destroy(&same);
    drover_value_destroy(&other);
    drover_value_destroy(&ending);
}

/* No worker, some, one that is silent. */
static void test_workers_are_counted(void **state)
{
    struct diagnosis diagnosis = {.count = 0};
    drover_value *none = document("{\"workers\":[]}");
    drover_value *two = document(
        "{\"workers\":[{\"state\":\"connected\",\"slots\":4,\"heartbeat_age_ms\":3},"
        "{\"state\":\"draining\",\"slots\":8}]}");
    drover_value *silent = document(
        "{\"workers\":[{\"state\":\"connected\",\"slots\":4,\"heartbeat_age_ms\":9000}]}");
    judge_workers(&diagnosis, none);
    expect(&diagnosis, FINDING_WARN);
    judge_workers(&diagnosis, two);
    expect(&diagnosis, FINDING_OK);
    assert_non_null(strstr(last(&diagnosis)->text, "1 connected with 4 slots, 1 away"));
    judge_workers(&diagnosis, silent);
    expect(&diagnosis, FINDING_WARN);
    drover_value_destroy(&none);
    drover_value_destroy(&two);
    drover_value_destroy(&silent);
}

/* Keys that handlers can read are told with one of their workers; none are no finding. */
static void test_worker_keys_that_handlers_can_read_are_told(void **state)
{
    struct diagnosis diagnosis = {.count = 0};
    drover_value *none = document("{\"workers\":[{\"name\":\"a\"},{\"name\":\"b\",\"details\":{"
                                  "\"sandbox\":{\"key\":\"none\"}}}]}");
    drover_value *hidden = document(
        "{\"workers\":[{\"name\":\"a\",\"details\":{\"sandbox\":{\"key\":\"landlock\"}}}]}");
    drover_value *shown = document(
        "{\"workers\":[{\"name\":\"a\",\"details\":{\"sandbox\":{\"key\":\"landlock\"}}},"
        "{\"name\":\"b\",\"details\":{\"sandbox\":{\"key\":\"readable\",\"key_why\":\"old\"}}}]"
        "}");
    judge_worker_keys(&diagnosis, none);
    assert_int_equal(diagnosis.count, 0);
    judge_worker_keys(&diagnosis, hidden);
    expect(&diagnosis, FINDING_OK);
    judge_worker_keys(&diagnosis, shown);
    expect(&diagnosis, FINDING_WARN);
    assert_non_null(strstr(last(&diagnosis)->text, "1 of 2 workers can read"));
    assert_non_null(strstr(last(&diagnosis)->text, "b (old)"));
    drover_value_destroy(&none);
    drover_value_destroy(&hidden);
    drover_value_destroy(&shown);
}

/* The worst counts; what is too much is not kept, and nothing breaks. */
static void test_diagnosis_is_bounded(void **state)
{
    struct diagnosis diagnosis = {.count = 0};
    for (size_t i = 0; i < DIAGNOSIS_MAX + 5; i++) {
        (void)diagnosis_add(&diagnosis, "thing", FINDING_OK, "%zu", i);
    }
    assert_int_equal(diagnosis.count, DIAGNOSIS_MAX);
    assert_int_equal(diagnosis_worst(&diagnosis), FINDING_OK);
    (void)diagnosis_add(&diagnosis, "thing", FINDING_FAIL, "broken");
    assert_int_equal(diagnosis_worst(&diagnosis), FINDING_FAIL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_descriptors_are_judged_by_their_number),
        cmocka_unit_test(test_memory_is_judged_by_its_share),
        cmocka_unit_test(test_clock_is_judged),
        cmocka_unit_test(test_dumps_are_no_failure),
        cmocka_unit_test(test_directories_are_judged_by_room_and_kind),
        cmocka_unit_test(test_data_directory_is_tried),
        cmocka_unit_test(test_broker_is_judged_by_its_document),
        cmocka_unit_test(test_workers_are_counted),
        cmocka_unit_test(test_worker_keys_that_handlers_can_read_are_told),
        cmocka_unit_test(test_diagnosis_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
