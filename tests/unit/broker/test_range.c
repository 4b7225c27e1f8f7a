/*
 * Ranges: elements that travel in one entry; what becomes of each is decided for it alone.
 */
#include "array_story.h"

#include "lengths.h"

enum { ITEMS = 100 };

/* --- words ------------------------------------------------------------------------------- */

static void hello_ranges(struct bench *bench, uint32_t peer, bool is_worker)
{
    static const struct drv_str RANGES[] = {{"ranges", 6}};
    struct drv_offer offer = {.name = text("work")};
    struct drv_message message = {.kind = DRV_HELLO};
    bench->boxes[peer].port = is_worker ? CORE_PORT_WORKER : CORE_PORT_CLIENT;
    message.hello = (struct drv_hello){.version_min = 1,
                                       .version_max = 1,
                                       .role = is_worker ? DRV_ROLE_WORKER : DRV_ROLE_CLIENT,
                                       .session = id_of(8000 + peer),
                                       .name = text("peer"),
                                       .capabilities = RANGES,
                                       .capability_count = 1,
                                       .credit_items = CREDIT_PLENTY,
                                       .credit_bytes = 1 << 20,
                                       .has_worker = is_worker,
                                       .worker = {.slots = 1,
                                                  .pid = 4711,
                                                  .host = text("host"),
                                                  .types = &offer,
                                                  .type_count = 1,
                                                  .model = DRV_MODEL_PREFORK}};
    speak(bench, peer, &message);
    bench_turn(bench);
    (void)welcomed(bench, peer);
}

/* The task that is leased succeeds after so long. */
static void first_takes(struct bench *bench, uint64_t run_us)
{
    struct drv_result done = {.ref = leased(bench, 2),
                              .outcome = DRV_OUTCOME_SUCCEEDED,
                              .val = val_of("first"),
                              .run_us = run_us};
    report(bench, 2, &done);
    bench_turn(bench);
}

/* Client 1 and worker 2 take ranges; the type is known to be short. */
static void setup_short(struct bench *bench, const struct drv_spec *spec)
{
    hello_ranges(bench, 1, false);
    hello_ranges(bench, 2, true);
    submit(bench, 1, spec, 1);
    expect_ok(bench, 1);
    first_takes(bench, 10);
    drop_all(bench, 1);
}

/* The entry of the only LEASE; the message stays valid until the next one is looked for. */
static struct drv_lease_entry lease_range(struct bench *bench)
{
    const struct drv_message *message = expect(bench, 2, DRV_LEASE);
    assert_int_equal(message->lease.group_count, 1);
    return message->lease.groups[0].entries[0];
}

/* An array of ITEMS elements "0" to "99", and its ranges of up to 50. */
static void array_numbers(struct bench *bench, const struct drv_spec *spec)
{
    static char digits[ITEMS][4];
    struct drv_val vals[ITEMS];
    for (uint32_t i = 0; i < ITEMS; i++) {
        (void)snprintf(digits[i], sizeof digits[i], "%u", i);
        vals[i] = val_of(digits[i]);
    }
    vals[7] = val_nil();
    array_opened(bench, 1, spec, 100);
    array_vals(bench, 1, 100, 0, vals, ITEMS);
    expect_ok(bench, 1);
    array_sealed(bench, 1, 100, ITEMS);
}

/* A result of `count` elements from `ref` on: each is "x", every third nil. */
static void report_range(struct bench *bench, struct drv_ref ref, uint32_t count)
{
    uint8_t lengths[ITEMS * DRV_LENGTH_BYTES_MAX], bytes[ITEMS];
    size_t used = 0, len = 0;
    for (uint32_t i = 0; i < count; i++) {
        bool is_nil = (ref.index + i) % 3 == 0;
        used += drv_lengths_put(lengths + used, is_nil, is_nil ? 0 : 1);
        len += is_nil ? 0 : 1;
    }
    memset(bytes, 'x', sizeof bytes);
    struct drv_result done = {
        .ref = ref,
        .outcome = DRV_OUTCOME_SUCCEEDED,
        .val = {.bytes = bytes, .len = len},
        .run_us = count,
        .range = {.count = count, .lengths = {(const char *)lengths, used}}};
    report(bench, 2, &done);
}

static void report_back(struct bench *bench, struct drv_ref ref, uint32_t more)
{
    struct drv_returned returned = {.ref = ref, .reason = DRV_RETURN_RECALLED, .more = more};
    struct drv_message message = {.kind = DRV_REPORT};
    message.report = (struct drv_report){.returned = &returned, .returned_count = 1};
    speak(bench, 2, &message);
}

static struct drv_ref element(struct drv_ref ref, uint32_t index)
{
    ref.handle = 0;
    ref.index = index;
    return ref;
}

/* --- leases and results ------------------------------------------------------------------ */

static void test_short_elements_travel_together(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = watched("work");
    setup_short(bench, &spec);
    array_numbers(bench, &spec);
    const struct drv_message *message = expect(bench, 2, DRV_LEASE);
    const struct drv_lease_group *group = &message->lease.groups[0];
    uint32_t index = 0;
    for (size_t i = 0; i < group->entry_count; i++) {
        const struct drv_lease_entry *entry = &group->entries[i];
        assert_true(entry->range.count > 1);
        assert_int_equal(entry->ref.index, index);
        struct drv_lengths walk = drv_lengths_of(entry->range.lengths, entry->val.bytes,
                                                 entry->val.len);
        struct drv_val val;
        while (drv_lengths_next(&walk, &val)) {
            char expected[4];
            (void)snprintf(expected, sizeof expected, "%u", index);
            assert_true(index == 7 ? val.is_nil : val_is(&val, expected));
            index++;
        }
    }
    assert_int_equal(index, ITEMS);
    /* One slot, two ranges: when the last has ended, all have. */
    assert_int_equal(group->entry_count, 2);
}

static void test_results_of_a_range_are_those_of_its_elements(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = watched("work");
    setup_short(bench, &spec);
    array_numbers(bench, &spec);
    struct drv_ref ref = lease_range(bench).ref;
    report_range(bench, ref, 40);
    bench_turn(bench);
    assert_int_equal(counters(bench).succeeded, 41);
    const struct drv_message *message = expect(bench, 1, DRV_RESULTS);
    assert_int_equal(message->results.entry_count, 1);
    const struct drv_outcome *entry = &message->results.entries[0];
    assert_int_equal(entry->range.count, 40);
    assert_int_equal(entry->index, 0);
    struct drv_lengths walk = drv_lengths_of(entry->range.lengths, entry->val.bytes,
                                             entry->val.len);
    struct drv_val val = {.is_nil = true};
    for (uint32_t i = 0; i < 40; i++) {
        assert_true(drv_lengths_next(&walk, &val));
        assert_true(i % 3 == 0 ? val.is_nil : val_is(&val, "x"));
    }
    report_range(bench, element(ref, 40), ITEMS - 40);
    bench_turn(bench);
    assert_int_equal(counters(bench).succeeded, ITEMS + 1);
    message = expect(bench, 1, DRV_RESULTS);
    assert_int_equal(message->results.entry_count, 2);
    assert_int_equal(message->results.entries[1].index, DROVER_INDEX_NONE);
    assert_int_equal(message->results.entries[1].state, DROVER_STATE_SUCCEEDED);
}

/* Each counts or not for itself, and what did not is noted once. */
static void test_a_range_reported_twice_counts_once(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = watched("work");
    setup_short(bench, &spec);
    array_numbers(bench, &spec);
    struct drv_ref ref = lease_range(bench).ref;
    report_range(bench, ref, 10);
    report_range(bench, ref, 20);
    bench_turn(bench);
    assert_int_equal(counters(bench).succeeded, 21);
    assert_int_equal(counters(bench).duplicate_results, 10);
    struct drv_ref stale = element(ref, 20);
    stale.attempt = 7;
    report_range(bench, stale, 30);
    bench_turn(bench);
    assert_int_equal(counters(bench).succeeded, 21);
    assert_int_equal(counters(bench).stale_results, 30);
    const struct drv_message *message = expect(bench, 2, DRV_ACK);
    assert_int_equal(message->ack_notes.note_count, 1);
    assert_int_equal(message->ack_notes.notes[0].code, DROVER_STALE);
}

/* What was refused of a range is noted, whatever became of the elements behind it. */
static void test_a_refused_element_is_noted_before_a_repeated_one(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = watched("work");
    setup_short(bench, &spec);
    array_numbers(bench, &spec);
    struct drv_ref ref = lease_range(bench).ref;
    report_back(bench, element(ref, 0), 0);
    report_range(bench, element(ref, 1), 9);
    bench_turn(bench);
    drop_all(bench, 2);
    report_range(bench, ref, 10);
    bench_turn(bench);
    assert_int_equal(counters(bench).stale_results, 1);
    assert_int_equal(counters(bench).duplicate_results, 9);
    const struct drv_message *message = expect(bench, 2, DRV_ACK);
    assert_int_equal(message->ack_notes.note_count, 1);
    assert_int_equal(message->ack_notes.notes[0].code, DROVER_STALE);
}

/* A range that goes on behind the array is nobody's there. */
static void test_a_range_beyond_the_array(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = watched("work");
    setup_short(bench, &spec);
    array_numbers(bench, &spec);
    struct drv_ref ref = lease_range(bench).ref;
    report_range(bench, ref, ITEMS - 1);
    report_range(bench, element(ref, ITEMS - 1), 50);
    bench_turn(bench);
    assert_int_equal(counters(bench).succeeded, ITEMS + 1);
    assert_int_equal(counters(bench).unknown_results, 49);
}

static void test_an_element_that_fails_is_alone(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = watched("work");
    setup_short(bench, &spec);
    array_numbers(bench, &spec);
    struct drv_ref ref = lease_range(bench).ref;
    report_range(bench, ref, 5);
    report_failed(bench, 2, element(ref, 5), 0);
    report_range(bench, element(ref, 6), 4);
    bench_turn(bench);
    assert_int_equal(counters(bench).succeeded, 10);
    assert_int_equal(counters(bench).failed, 1);
    struct drv_outcome ends[8];
    assert_int_equal(outcomes(bench, 1, ends, 8), 3);
    assert_int_equal(ends[0].range.count, 5);
    assert_int_equal(ends[1].index, 5);
    assert_int_equal(ends[1].range.count, 0);
    assert_int_equal(ends[1].state, DROVER_STATE_FAILED);
    assert_int_equal(ends[2].range.count, 4);
}

/* --- coming back ------------------------------------------------------------------------- */

static void test_what_comes_back_keeps_its_place(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = watched("work");
    setup_short(bench, &spec);
    array_numbers(bench, &spec);
    struct drv_ref ref = lease_range(bench).ref;
    report_range(bench, ref, 10);
    report_back(bench, element(ref, 10), 39);
    bench_turn(bench);
    assert_int_equal(counters(bench).requeued_free, 40);
    struct drv_lease_entry again = lease_range(bench);
    assert_int_equal(again.ref.index, 10);
    assert_int_equal(again.ref.attempt, 2);
    assert_true(again.range.count > 1);
}

/* Of a lost worker's elements only the one that ran is charged. */
static void test_only_what_ran_is_charged(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = watched("work");
    setup_short(bench, &spec);
    array_numbers(bench, &spec);
    struct drv_ref ref = lease_range(bench).ref;
    report_range(bench, ref, 10);
    report_started(bench, 2, element(ref, 10));
    bench_turn(bench);
    assert_int_equal(counters(bench).running, 1);
    gone(bench, 2);
    bench_pass(bench, 4000000);
    assert_int_equal(counters(bench).charged, 1);
    assert_int_equal(counters(bench).requeued_free, 89);
}

/* Suspects run one by one, and ask first. */
static void test_suspects_travel_alone(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = watched("work");
    setup_short(bench, &spec);
    array_numbers(bench, &spec);
    struct drv_ref ref = lease_range(bench).ref;
    report_range(bench, ref, 10);
    bench_turn(bench);
    gone(bench, 2);
    bench_pass(bench, 4000000);
    hello_ranges(bench, 3, true);
    const struct drv_message *message = expect(bench, 3, DRV_LEASE);
    const struct drv_lease_group *group = &message->lease.groups[0];
    assert_int_equal(group->flags & DRV_LEASE_CONFIRM, DRV_LEASE_CONFIRM);
    assert_int_equal(group->entries[0].range.count, 0);
}

/* --- what forbids them ------------------------------------------------------------------- */

static void assert_alone(struct bench *bench)
{
    const struct drv_message *message = expect(bench, 2, DRV_LEASE);
    for (size_t i = 0; i < message->lease.groups[0].entry_count; i++) {
        assert_int_equal(message->lease.groups[0].entries[i].range.count, 0);
    }
}

static void test_elements_with_a_time_limit_travel_alone(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = watched("work");
    setup_short(bench, &spec);
    spec.timeout_ms = 1000;
    array_numbers(bench, &spec);
    assert_alone(bench);
}

static void test_elements_with_limits_travel_alone(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = watched("work");
    setup_short(bench, &spec);
    spec.limit_memory_bytes = 1 << 20;
    array_numbers(bench, &spec);
    assert_alone(bench);
}

/* Of a type that nobody knows, or that takes long. */
static void test_elements_that_are_long_travel_alone(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = watched("work");
    hello_ranges(bench, 1, false);
    hello_ranges(bench, 2, true);
    submit(bench, 1, &spec, 1);
    expect_ok(bench, 1);
    first_takes(bench, 1000);
    array_numbers(bench, &spec);
    assert_alone(bench);
}

/* --- cancel ------------------------------------------------------------------------------ */

/* A cancelled array is told with few words; each element ends cancelled. */
static void test_a_cancel_names_ranges(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = watched("work");
    setup_short(bench, &spec);
    array_numbers(bench, &spec);
    struct drv_ref ref = lease_range(bench).ref;
    cancel(bench, 1, 100);
    bench_turn(bench);
    const struct drv_message *message = expect(bench, 2, DRV_ABORT);
    assert_int_equal(message->abort.lease_count, 1);
    assert_int_equal(message->abort.leases[0].ref.index, 0);
    assert_int_equal(message->abort.leases[0].more, ITEMS - 1);
    report_back(bench, element(ref, 0), ITEMS - 1);
    bench_turn(bench);
    assert_int_equal(counters(bench).cancelled, ITEMS);
}

/* --- reconnecting ------------------------------------------------------------------------ */

static void test_ranges_are_attached(void **state)
{
    struct bench *bench = *state;
    struct drv_spec spec = watched("work");
    setup_short(bench, &spec);
    array_numbers(bench, &spec);
    struct drv_ref ref = lease_range(bench).ref;
    gone(bench, 2);
    struct worker_options options = {
        .types = {"work"}, .slots = 1, .credit = 1000, .lease_count = 2};
    hello_worker(bench, 3, 8002, &options);
    struct drv_attached attached[] = {{ref.id, 0, 1, 2, 0}, {ref.id, 1, 1, 1, 48}};
    struct drv_message message = {.kind = DRV_ATTACH};
    message.attach = (struct drv_attach){attached, 2};
    speak(bench, 3, &message);
    bench_turn(bench);
    (void)welcomed(bench, 3);
    assert_int_equal(counters(bench).running, 1);
    /* Those that it did not list come back. */
    assert_int_equal(counters(bench).requeued_free, ITEMS - 50);
}

/* What a worker claims to hold is bounded, and answered with few words. */
static void test_a_worker_lists_no_more_than_it_may_hold(void **state)
{
    enum { ENTRIES = 64 };
    struct bench *bench = *state;
    struct drv_attached attached[ENTRIES];
    for (uint32_t i = 0; i < ENTRIES; i++) {
        attached[i] = (struct drv_attached){id_of(700 + i), 0, 1, 3, DRV_RANGE_MAX - 2};
    }
    struct worker_options options = {
        .types = {"work"}, .slots = 1, .credit = 1000, .lease_count = 3 * ENTRIES};
    hello_worker(bench, 3, 8002, &options);
    struct drv_message message = {.kind = DRV_ATTACH};
    message.attach = (struct drv_attach){attached, ENTRIES};
    speak(bench, 3, &message);
    bench_turn(bench);
    expect_none(bench, 3, DRV_ERROR);
    speak(bench, 3, &message);
    bench_turn(bench);
    assert_int_equal(expect(bench, 3, DRV_ERROR)->failure.code, DROVER_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_short_elements_travel_together),
        BENCH_TEST(test_results_of_a_range_are_those_of_its_elements),
        BENCH_TEST(test_a_range_reported_twice_counts_once),
        BENCH_TEST(test_a_refused_element_is_noted_before_a_repeated_one),
        BENCH_TEST(test_a_range_beyond_the_array),
        BENCH_TEST(test_an_element_that_fails_is_alone),
        BENCH_TEST(test_what_comes_back_keeps_its_place),
        BENCH_TEST(test_only_what_ran_is_charged),
        BENCH_TEST(test_suspects_travel_alone),
        BENCH_TEST(test_elements_with_a_time_limit_travel_alone),
        BENCH_TEST(test_elements_with_limits_travel_alone),
        BENCH_TEST(test_elements_that_are_long_travel_alone),
        BENCH_TEST(test_a_cancel_names_ranges),
        BENCH_TEST(test_ranges_are_attached),
        BENCH_TEST(test_a_worker_lists_no_more_than_it_may_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
