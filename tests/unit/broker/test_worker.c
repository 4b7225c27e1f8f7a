/*
 * Workers: names, loss, coming back, draining, leaving.
 */
#include "fixture.h"

static void attach(struct bench *bench, uint32_t peer, struct drv_ref ref, uint32_t held_as)
{
    struct drv_attached attached = {
        .id = ref.id, .index = ref.index, .attempt = ref.attempt, .state = held_as};
    struct drv_message message = {.kind = DRV_ATTACH};
    message.attach.leases = &attached;
    message.attach.lease_count = 1;
    speak(bench, peer, &message);
    bench_turn(bench);
}

static struct drv_ref begin(struct bench *bench, uint32_t peer, uint32_t number)
{
    struct drv_spec spec = watched("work");
    submit(bench, 1, &spec, number);
    bench_turn(bench);
    drop_all(bench, 1);
    return leased(bench, peer);
}

/* The session 8002 of worker 2 comes back over connection `peer` with so many leases. */
static void come_back(struct bench *bench, uint32_t peer, uint32_t lease_count)
{
    struct worker_options options = {.types = {"work"}, .slots = 2, .lease_count = lease_count};
    hello_worker(bench, peer, 8002, &options);
}

/* Names are unique among connected workers. */
static void test_names_are_made_unique(void **state)
{
    struct bench *bench = *state;
    struct worker_options options = {.name = "w", .types = {"work"}, .slots = 1};
    const char *const names[] = {"w", "w-2", "w-3"};
    for (uint32_t i = 0; i < 3; i++) {
        hello_worker(bench, 2 + i, 8002 + i, &options);
        assert_true(str_is(welcomed(bench, 2 + i)->name, names[i]));
    }
}

/* WELCOME tells what a peer must know. */
static void test_welcome_tells_limits_and_intervals(void **state)
{
    struct bench *bench = *state;
    struct worker_options options = {.types = {"work"}, .slots = 1};
    hello_worker(bench, 2, 8002, &options);
    const struct drv_welcome *welcome = welcomed(bench, 2);
    assert_int_equal(bench->boxes[2].epoch, 5);
    assert_int_equal(welcome->version, 1);
    assert_false(welcome->resumed);
    assert_int_equal(welcome->heartbeat_ms, 1000);
    assert_int_equal(welcome->lease_ms, 10000);
    assert_int_equal(welcome->limits.payload_max, DRV_PAYLOAD_MAX);
    assert_int_equal(welcome->durability_max, DROVER_DURABILITY_MEMORY);
    assert_int_equal(welcome->client_endpoint_count, 1);
    assert_true(str_is(welcome->worker_endpoints[0], "tcp://127.0.0.1:7711"));
}

/* A silent worker is lost after its lease time: what ran is charged and runs elsewhere. */
static void test_silent_worker_is_lost(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 1);
    struct drv_ref ref = begin(bench, 2, 100);
    report_started(bench, 2, ref);
    bench_pass(bench, 9 * SECOND);
    worker(bench, 3, "work", 1);
    expect_none(bench, 3, DRV_LEASE);
    bench_pass(bench, 1 * SECOND);
    struct drv_ref again = leased(bench, 3);
    assert_int_equal(number_of(again.id), 100);
    assert_int_equal(again.attempt, 2);
    assert_int_equal(counters(bench).charged, 1);
    assert_true(bench->boxes[2].is_closed);
}

/* Heartbeats keep it, and are answered. */
static void test_heartbeats_keep_a_worker(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 1);
    (void)begin(bench, 2, 100);
    for (int i = 0; i < 30; i++) {
        heartbeat(bench, 2);
        bench_pass(bench, SECOND);
        (void)expect(bench, 2, DRV_HEARTBEAT);
    }
    assert_int_equal(counters(bench).charged, 0);
    assert_false(bench->boxes[2].is_closed);
}

/* A worker whose connection is gone has three seconds; what it had not started goes back free.
 */
static void test_gone_worker_is_lost_after_grace(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 1);
    (void)begin(bench, 2, 100);
    gone(bench, 2);
    bench_pass(bench, 0);
    assert_string_equal(bench->notice, "worker away");
    worker(bench, 3, "work", 1);
    assert_string_equal(bench->notice, "worker connected");
    bench_pass(bench, 2900 * MS);
    expect_none(bench, 3, DRV_LEASE);
    heartbeat(bench, 3);
    bench_pass(bench, 100 * MS);
    assert_string_equal(bench->notice, "worker lost");
    assert_int_equal(bench->notice_leases, 1);
    const struct drv_message *message = expect(bench, 3, DRV_LEASE);
    assert_int_equal(message->lease.groups[0].entries[0].ref.attempt, 2);
    assert_int_equal(counters(bench).charged, 0);
    assert_int_equal(counters(bench).requeued_free, 1);
}

/* Nobody is lost for silence while the broker itself stood still, neither who is connected nor
 * who came to be away; whoever stays silent afterwards is. */
static void test_silence_while_the_broker_stood_still_costs_nothing(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 1);
    report_started(bench, 2, begin(bench, 2, 100));
    worker(bench, 3, "work", 1);
    report_started(bench, 3, begin(bench, 3, 101));
    gone(bench, 3);
    bench_turn(bench);
    bench->now += 60 * SECOND;
    core_stood_still(bench->core, bench->now);
    bench_pass(bench, 2900 * MS);
    assert_int_equal(counters(bench).running, 2);
    bench_pass(bench, 200 * MS);
    assert_int_equal(counters(bench).running, 1);
    bench_pass(bench, 6800 * MS);
    assert_int_equal(counters(bench).running, 1);
    bench_pass(bench, 200 * MS);
    assert_int_equal(counters(bench).running, 0);
    assert_int_equal(counters(bench).charged, 2);
}

/* A task that came back from a lost worker asks before it runs, until one attempt has ended. */
static void test_suspect_asks_before_it_runs(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 1);
    struct drv_spec spec = spec_of("work");
    spec.retries = 1;
    spec.backoff_ms = 10;
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    gone(bench, 2);
    bench_pass(bench, 3 * SECOND);
    worker(bench, 3, "work", 1);
    bench_turn(bench);
    const struct drv_message *message = expect(bench, 3, DRV_LEASE);
    assert_true(message->lease.groups[0].flags & DRV_LEASE_CONFIRM);
    struct drv_ref ref = message->lease.groups[0].entries[0].ref;
    expect_none(bench, 3, DRV_GO);
    report_started(bench, 3, ref);
    bench_turn(bench);
    message = expect(bench, 3, DRV_GO);
    assert_int_equal(message->leases.leases[0].attempt, ref.attempt);
    report_failed(bench, 3, ref, 0);
    bench_pass(bench, 20 * MS);
    message = expect(bench, 3, DRV_LEASE);
    assert_false(message->lease.groups[0].flags & DRV_LEASE_CONFIRM);
}

/* What waits for GO may be given back; a question that is asked again is answered again. */
static void test_suspect_may_be_returned_or_ask_again(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 1);
    (void)begin(bench, 2, 100);
    gone(bench, 2);
    bench_pass(bench, 3 * SECOND);
    worker(bench, 3, "work", 1);
    bench_turn(bench);
    struct drv_ref ref = leased(bench, 3);
    report_started(bench, 3, ref);
    bench_turn(bench);
    (void)expect(bench, 3, DRV_GO);
    report_started(bench, 3, ref);
    bench_turn(bench);
    (void)expect(bench, 3, DRV_GO);
    report_returned(bench, 3, ref);
    bench_turn(bench);
    assert_int_equal(leased(bench, 3).attempt, ref.attempt + 1);
    assert_int_equal(counters(bench).queued, 1);
}

/* A cancel that comes before GO stops it. */
static void test_suspect_cancelled_before_go_never_runs(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 1);
    (void)begin(bench, 2, 100);
    gone(bench, 2);
    bench_pass(bench, 3 * SECOND);
    worker(bench, 3, "work", 1);
    bench_turn(bench);
    struct drv_ref ref = leased(bench, 3);
    cancel(bench, 1, 100);
    report_started(bench, 3, ref);
    bench_turn(bench);
    expect_none(bench, 3, DRV_GO);
    report_cancelled(bench, 3, ref);
    bench_turn(bench);
    assert_int_equal(counters(bench).cancelled, 1);
}

/* Losses beyond the budget end the task with its history. */
static void test_loss_budget_runs_out(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = watched("work");
    spec.loss_budget = 1;
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    drop_all(bench, 1);
    for (uint32_t i = 0; i < 2; i++) {
        worker(bench, 2 + i, "work", 1);
        bench_turn(bench);
        report_started(bench, 2 + i, leased(bench, 2 + i));
        gone(bench, 2 + i);
        bench_pass(bench, 3 * SECOND);
    }
    const struct drv_outcome *outcome = result(bench, 1);
    assert_int_equal(outcome->state, DROVER_STATE_FAILED);
    assert_int_equal(outcome->error.kind, DROVER_ERROR_LOST);
    assert_int_equal(outcome->attempt, 2);
    assert_int_equal(counters(bench).charged, 2);
}

/* What was ended by another's fault runs again, as a suspect, and costs nothing. */
static void test_interrupted_attempt_is_free(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 1);
    struct drv_ref ref = begin(bench, 2, 100);
    report_started(bench, 2, ref);
    report_returned_as(bench, 2, ref, DRV_RETURN_INTERRUPTED);
    bench_turn(bench);
    const struct drv_message *message = expect(bench, 2, DRV_LEASE);
    assert_int_equal(message->lease.groups[0].entries[0].ref.attempt, 2);
    assert_true(message->lease.groups[0].flags & DRV_LEASE_CONFIRM);
    assert_int_equal(counters(bench).charged, 0);
    assert_int_equal(counters(bench).requeued_free, 1);
}

/* Its cancel is confirmed: nothing of it is left. */
static void test_interrupted_attempt_that_was_to_be_cancelled_is(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 1);
    struct drv_ref ref = begin(bench, 2, 100);
    report_started(bench, 2, ref);
    cancel(bench, 1, 100);
    bench_turn(bench);
    report_returned_as(bench, 2, ref, DRV_RETURN_INTERRUPTED);
    bench_turn(bench);
    const struct drv_outcome *outcome = result(bench, 1);
    assert_int_equal(outcome->state, DROVER_STATE_CANCELLED);
    assert_false(outcome->error.flags & DRV_ERROR_UNCONFIRMED);
    expect_none(bench, 2, DRV_LEASE);
}

/* A worker whose processes are gone says which attempts it has lost: they cost losses, no
 * retries. */
static void test_attempt_reported_lost_costs_the_loss_budget(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 1);
    struct drv_spec spec = watched("work");
    spec.loss_budget = 1;
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    drop_all(bench, 1);
    for (uint32_t i = 0; i < 2; i++) { /* the first says that it started, the second need not */
        struct drv_ref ref = leased(bench, 2);
        assert_int_equal(ref.attempt, i + 1);
        if (i == 0) {
            report_started(bench, 2, ref);
        }
        report_returned_as(bench, 2, ref, DRV_RETURN_LOST);
        bench_turn(bench);
    }
    const struct drv_outcome *outcome = result(bench, 1);
    assert_int_equal(outcome->state, DROVER_STATE_FAILED);
    assert_int_equal(outcome->error.kind, DROVER_ERROR_LOST);
    assert_int_equal(counters(bench).charged, 2);
    assert_int_equal(counters(bench).retried, 0);
}

/* What a worker still runs when it comes back is its own. */
static void test_reattached_lease_is_kept(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 2);
    struct drv_ref ref = begin(bench, 2, 100);
    report_started(bench, 2, ref);
    gone(bench, 2);
    come_back(bench, 3, 1);
    expect_none(bench, 3, DRV_WELCOME); /* not before all leases are listed */
    attach(bench, 3, ref, 2);
    assert_true(welcomed(bench, 3)->resumed);
    expect_none(bench, 3, DRV_ABORT);
    ref.handle = 0;
    report_done(bench, 3, ref, "1");
    bench_turn(bench);
    assert_int_equal(counters(bench).succeeded, 1);
    assert_int_equal(counters(bench).charged, 0);
}

/* What it does not list was never delivered: back into line, free, and not suspect. */
static void test_unlisted_lease_goes_back(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 2);
    (void)begin(bench, 2, 100);
    gone(bench, 2);
    come_back(bench, 3, 0);
    (void)welcomed(bench, 3);
    bench_turn(bench);
    const struct drv_message *message = expect(bench, 3, DRV_LEASE);
    assert_int_equal(message->lease.groups[0].entries[0].ref.attempt, 2);
    assert_false(message->lease.groups[0].flags & DRV_LEASE_CONFIRM);
    assert_int_equal(counters(bench).charged, 0);
}

/* A lease that somebody else has by now is aborted as stale. */
static void test_listed_foreign_lease_is_aborted(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 1);
    struct drv_ref ref = begin(bench, 2, 100);
    report_started(bench, 2, ref);
    gone(bench, 2);
    bench_pass(bench, 4 * SECOND);
    worker(bench, 4, "work", 1);
    bench_turn(bench);
    (void)leased(bench, 4);
    come_back(bench, 3, 1);
    attach(bench, 3, ref, 2);
    (void)welcomed(bench, 3);
    const struct drv_message *message = expect(bench, 3, DRV_ABORT);
    assert_int_equal(message->abort.leases[0].code, DROVER_STALE);
    assert_int_equal(message->abort.leases[0].ref.attempt, 1);
}

/* After a restart a task that is submitted again gives out no attempt that a worker may hold.
 */
static void test_attempts_go_on_after_a_restart(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 1);
    struct drv_ref ref = begin(bench, 2, 100);
    report_started(bench, 2, ref);
    bench_restart(bench);
    come_back(bench, 2, 1);
    attach(bench, 2, ref, 2);
    (void)welcomed(bench, 2);
    for (int i = 0; i < 16; i++) {
        heartbeat(bench, 2);
        bench_pass(bench, SECOND); /* the window closes */
    }
    assert_int_equal(expect(bench, 2, DRV_ABORT)->abort.leases[0].code, DROVER_STALE);
    assert_int_equal(counters(bench).lost_at_restart, 1);
    client(bench, 1);
    struct drv_ref again = begin(bench, 2, 100);
    assert_int_equal(again.attempt, 2);
}

/* The same when the task was submitted again before the worker came back. */
static void test_attempts_pass_what_a_worker_lists_late(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 1);
    struct drv_ref ref = begin(bench, 2, 100);
    report_started(bench, 2, ref);
    bench_restart(bench);
    client(bench, 1);
    bench_pass(bench, 16 * SECOND); /* the window is over */
    struct drv_spec spec = watched("work");
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    come_back(bench, 2, 1);
    attach(bench, 2, ref, 2);
    (void)welcomed(bench, 2);
    assert_int_equal(expect(bench, 2, DRV_ABORT)->abort.leases[0].ref.attempt, 1);
    assert_int_equal(leased(bench, 2).attempt, 2);
}

/* A lease that was never delivered is not taken for listed because an earlier one was. */
static void test_lease_of_next_attempt_must_be_listed_anew(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 2);
    struct drv_ref ref = begin(bench, 2, 100);
    gone(bench, 2);
    come_back(bench, 3, 1);
    attach(bench, 3, ref, 1);
    (void)welcomed(bench, 3);
    report_returned(bench, 3, ref);
    bench_turn(bench); /* leased again, and lost on the way */
    gone(bench, 3);
    come_back(bench, 4, 0);
    (void)welcomed(bench, 4);
    bench_turn(bench);
    const struct drv_message *message = expect(bench, 4, DRV_LEASE);
    assert_int_equal(message->lease.groups[0].entries[0].ref.attempt, 3);
}

/* A cancel that came while the worker was away reaches it when it is back. */
static void test_cancel_reaches_worker_that_was_away(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 1);
    struct drv_ref ref = begin(bench, 2, 100);
    report_started(bench, 2, ref);
    gone(bench, 2);
    cancel(bench, 1, 100);
    bench_turn(bench);
    come_back(bench, 3, 1);
    attach(bench, 3, ref, 2);
    (void)welcomed(bench, 3);
    assert_int_equal(expect(bench, 3, DRV_ABORT)->abort.leases[0].code, DROVER_CANCELLED);
}

/* A new connection of the same session takes over from the old one. */
static void test_takeover_closes_the_old_connection(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 2);
    struct drv_ref ref = begin(bench, 2, 100);
    come_back(bench, 3, 1);
    attach(bench, 3, ref, 1);
    (void)welcomed(bench, 3);
    assert_int_equal(expect(bench, 2, DRV_ERROR)->failure.code, DROVER_CLOSED);
    assert_true(bench->boxes[2].is_closed);
    report_done(bench, 3, ref, "");
    bench_turn(bench);
    assert_int_equal(counters(bench).succeeded, 1);
}

/* A draining worker gets nothing new; resuming it ends that. */
static void test_drained_worker_gets_nothing(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 1);
    struct drv_message message = request(bench, 1, DRV_WORKER);
    message.worker = (struct drv_worker_request){DRV_WORKER_DRAIN, text("worker")};
    speak(bench, 1, &message);
    bench_turn(bench);
    expect_ok(bench, 1);
    assert_true(expect(bench, 2, DRV_DRAIN)->drain.on);
    struct drv_spec spec = spec_of("work");
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    expect_none(bench, 2, DRV_LEASE);
    message = request(bench, 1, DRV_WORKER);
    message.worker = (struct drv_worker_request){DRV_WORKER_RESUME, text("worker")};
    speak(bench, 1, &message);
    bench_turn(bench);
    assert_false(expect(bench, 2, DRV_DRAIN)->drain.on);
    (void)leased(bench, 2);
}

/* A worker that says goodbye gives back at once what it had not started. */
static void test_goodbye_returns_what_has_not_started(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 1);
    (void)begin(bench, 2, 100);
    worker(bench, 3, "work", 1);
    struct drv_message goodbye = {.kind = DRV_GOODBYE};
    speak(bench, 2, &goodbye);
    bench_turn(bench);
    const struct drv_message *message = expect(bench, 3, DRV_LEASE);
    assert_false(message->lease.groups[0].flags & DRV_LEASE_CONFIRM);
    assert_int_equal(counters(bench).charged, 0);
}

/* A broker that goes down hands out nothing, asks back what has not started, and waits for what
 * runs. */
static void test_broker_drains(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 2);
    struct drv_spec spec = watched("work");
    submit_many(bench, 1, &spec, 100, 3, "x");
    bench_turn(bench);
    drop_all(bench, 1);
    struct drv_ref refs[3];
    assert_int_equal(leases(bench, 2, refs, 3), 2);
    report_started(bench, 2, refs[0]);
    core_drain(bench->core, bench->now);
    bench_turn(bench);
    const struct drv_message *message = expect(bench, 2, DRV_RECALL);
    assert_int_equal(message->leases.lease_count, 1);
    report_returned(bench, 2, refs[1]);
    bench_turn(bench);
    assert_false(core_is_drained(bench->core));
    submit(bench, 1, &spec, 200);
    bench_turn(bench);
    assert_int_equal(reply(bench, 1)->notes[0].code, DROVER_DRAINING);
    report_done(bench, 2, refs[0], "");
    bench_turn(bench);
    expect_none(bench, 2, DRV_LEASE);
    assert_int_equal(result(bench, 1)->state, DROVER_STATE_SUCCEEDED);
    assert_true(core_is_drained(bench->core));
}

/* What was asked back over a connection that is gone is asked back again: the worker may never
 * have heard of it, and what waits there behind something long would wait for ever. */
static void test_recall_outlives_its_connection(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 2);
    struct drv_ref ref = begin(bench, 2, 100);
    core_drain(bench->core, bench->now);
    bench_turn(bench);
    (void)expect(bench, 2, DRV_RECALL);
    gone(bench, 2);
    come_back(bench, 3, 1);
    attach(bench, 3, ref, 1);
    (void)welcomed(bench, 3);
    const struct drv_message *message = expect(bench, 3, DRV_RECALL);
    assert_int_equal(message->leases.lease_count, 1);
    ref.handle = 0;
    report_returned(bench, 3, ref);
    bench_turn(bench);
    assert_int_equal(counters(bench).queued, 1);
    expect_none(bench, 3, DRV_LEASE); /* the broker goes down */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_recall_outlives_its_connection),
        BENCH_TEST(test_names_are_made_unique),
        BENCH_TEST(test_welcome_tells_limits_and_intervals),
        BENCH_TEST(test_silent_worker_is_lost),
        BENCH_TEST(test_heartbeats_keep_a_worker),
        BENCH_TEST(test_gone_worker_is_lost_after_grace),
        BENCH_TEST(test_silence_while_the_broker_stood_still_costs_nothing),
        BENCH_TEST(test_suspect_asks_before_it_runs),
        BENCH_TEST(test_suspect_may_be_returned_or_ask_again),
        BENCH_TEST(test_suspect_cancelled_before_go_never_runs),
        BENCH_TEST(test_loss_budget_runs_out),
        BENCH_TEST(test_interrupted_attempt_is_free),
        BENCH_TEST(test_interrupted_attempt_that_was_to_be_cancelled_is),
        BENCH_TEST(test_attempt_reported_lost_costs_the_loss_budget),
        BENCH_TEST(test_reattached_lease_is_kept),
        BENCH_TEST(test_unlisted_lease_goes_back),
        BENCH_TEST(test_listed_foreign_lease_is_aborted),
        BENCH_TEST(test_attempts_go_on_after_a_restart),
        BENCH_TEST(test_attempts_pass_what_a_worker_lists_late),
        BENCH_TEST(test_lease_of_next_attempt_must_be_listed_anew),
        BENCH_TEST(test_cancel_reaches_worker_that_was_away),
        BENCH_TEST(test_takeover_closes_the_old_connection),
        BENCH_TEST(test_drained_worker_gets_nothing),
        BENCH_TEST(test_goodbye_returns_what_has_not_started),
        BENCH_TEST(test_broker_drains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
