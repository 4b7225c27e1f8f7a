/*
 * Peers that do not follow the rules: an error to them, and nothing else.
 */
#include "fixture.h"

static uint32_t error_code(struct bench *bench, uint32_t peer)
{
    return expect(bench, peer, DRV_ERROR)->failure.code;
}

/* Any message before HELLO ends the connection. */
static void test_first_message_must_be_hello(void **state)
{
    struct bench *bench = *state;
    bench->boxes[1].port = CORE_PORT_CLIENT;
    heartbeat(bench, 1);
    bench_turn(bench);
    assert_int_equal(error_code(bench, 1), DROVER_PROTOCOL);
    assert_true(bench->boxes[1].is_closed);
}

/* HELLO comes once. */
static void test_second_hello_is_refused(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    hello_client(bench, 1, 9001, false);
    assert_int_equal(error_code(bench, 1), DROVER_PROTOCOL);
}

/* After the connection was refused nothing from it counts, in the same turn. */
static void test_closed_peer_is_not_heard(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_message second = {.kind = DRV_HELLO};
    second.hello = (struct drv_hello){.version_min = 1,
                                      .version_max = 1,
                                      .role = DRV_ROLE_CLIENT,
                                      .session = id_of(1),
                                      .name = text("x")};
    speak(bench, 1, &second);
    struct drv_spec spec = spec_of("work");
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    assert_int_equal(counters(bench).submitted, 0);
}

static void hello_raw(struct bench *bench, uint32_t peer, enum core_port port,
                      struct drv_hello hello)
{
    bench->boxes[peer].port = port;
    struct drv_message message = {.kind = DRV_HELLO, .hello = hello};
    speak(bench, peer, &message);
    bench_turn(bench);
}

static struct drv_hello good_hello(void)
{
    return (struct drv_hello){.version_min = 1,
                              .version_max = 1,
                              .role = DRV_ROLE_CLIENT,
                              .session = id_of(9001),
                              .name = text("x"),
                              .credit_items = 1,
                              .credit_bytes = 1};
}

/* A version that is not served is refused by name. */
static void test_foreign_version_is_refused(void **state)
{
    struct bench *bench = *state;
    struct drv_hello hello = good_hello();
    hello.version_min = 2;
    hello.version_max = 9;
    hello_raw(bench, 1, CORE_PORT_CLIENT, hello);
    assert_int_equal(error_code(bench, 1), DROVER_VERSION);
    hello.version_min = 1; /* a range that contains ours is fine */
    hello_raw(bench, 2, CORE_PORT_CLIENT, hello);
    assert_int_equal(welcomed(bench, 2)->version, 1);
}

/* The wrong port names the right one. */
static void test_wrong_port_names_the_right_one(void **state)
{
    struct bench *bench = *state;
    hello_raw(bench, 1, CORE_PORT_WORKER, good_hello());
    const struct drv_failure *failure = &expect(bench, 1, DRV_ERROR)->failure;
    assert_int_equal(failure->code, DROVER_WRONG_ENDPOINT);
    assert_true(str_is(failure->endpoint, "tcp://127.0.0.1:7710"));
    assert_true(bench->boxes[1].is_closed);
}

/* A session without an id, a worker that does not describe itself, too many slots or leases. */
static void test_senseless_hello_is_refused(void **state)
{
    struct bench *bench = *state;
    struct drv_hello hello = good_hello();
    memset(&hello.session, 0, sizeof hello.session);
    hello_raw(bench, 1, CORE_PORT_CLIENT, hello);
    assert_int_equal(error_code(bench, 1), DROVER_INVALID);
    hello = good_hello();
    hello.role = DRV_ROLE_WORKER;
    hello_raw(bench, 2, CORE_PORT_WORKER, hello);
    assert_int_equal(error_code(bench, 2), DROVER_INVALID);
    hello.has_worker = true;
    hello.worker.model = DRV_MODEL_PREFORK;
    hello.worker.slots = 1000 * 1000;
    hello_raw(bench, 3, CORE_PORT_WORKER, hello);
    assert_int_equal(error_code(bench, 3), DROVER_LIMIT);
    hello.worker.slots = 1;
    hello.worker.lease_count = 1000 * 1000;
    hello_raw(bench, 4, CORE_PORT_WORKER, hello);
    assert_int_equal(error_code(bench, 4), DROVER_LIMIT);
}

/* A session keeps its role. */
static void test_session_of_other_role_is_denied(void **state)
{
    struct bench *bench = *state;
    hello_client(bench, 1, 9001, false);
    (void)welcomed(bench, 1);
    struct worker_options options = {.types = {"work"}, .slots = 1};
    hello_worker(bench, 2, 9001, &options);
    assert_int_equal(error_code(bench, 2), DROVER_DENIED);
}

/* A message for the other role is denied; the connection goes on. */
static void test_message_of_other_role_is_denied(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_ref ref = {.id = id_of(1), .index = DROVER_INDEX_NONE, .attempt = 1};
    report_done(bench, 1, ref, "");
    bench_turn(bench);
    assert_int_equal(error_code(bench, 1), DROVER_DENIED);
    heartbeat(bench, 1);
    bench_turn(bench);
    (void)expect(bench, 1, DRV_HEARTBEAT);
}

/* Kinds that only brokers send, and kinds that nobody knows, are not served. */
static void test_kinds_not_taken_are_unsupported(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_message message = {.kind = DRV_DRAIN};
    speak(bench, 1, &message);
    bench_turn(bench);
    assert_int_equal(error_code(bench, 1), DROVER_UNSUPPORTED);
    struct drv_message unknown = {
        .kind = (enum drv_kind)9999, .epoch = bench->boxes[1].epoch, .seq = 77};
    bench->boxes[1].seq = 77;
    struct core_event event = {
        .kind = CORE_EVENT_MESSAGE, .peer = 1, .port = CORE_PORT_CLIENT, .message = &unknown};
    bench_event(bench, &event);
    bench_turn(bench);
    const struct drv_failure *failure = &expect(bench, 1, DRV_ERROR)->failure;
    assert_int_equal(failure->code, DROVER_UNSUPPORTED);
    assert_int_equal(failure->about_seq, 77);
}

/* Reserved requests are answered, not ignored. */
static void test_reserved_request_is_answered(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_message message = {.kind = DRV_ALERT,
                                  .epoch = bench->boxes[1].epoch,
                                  .seq = ++bench->boxes[1].seq,
                                  .request = {.req = ++bench->boxes[1].req}};
    struct core_event event = {
        .kind = CORE_EVENT_MESSAGE, .peer = 1, .port = CORE_PORT_CLIENT, .message = &message};
    bench_event(bench, &event);
    bench_turn(bench);
    assert_int_equal(reply(bench, 1)->code, DROVER_UNSUPPORTED);
}

/* What was meant for an earlier life of the broker is dropped. */
static void test_other_epoch_is_dropped(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    bench->boxes[1].epoch = 4;
    struct drv_spec spec = spec_of("work");
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    expect_none(bench, 1, DRV_REPLY);
    assert_int_equal(counters(bench).submitted, 0);
}

/* Requests are numbered from 1. */
static void test_request_zero_breaks_the_protocol(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_message message = {
        .kind = DRV_ARRAY_SEAL, .epoch = bench->boxes[1].epoch, .seq = ++bench->boxes[1].seq};
    struct core_event event = {
        .kind = CORE_EVENT_MESSAGE, .peer = 1, .port = CORE_PORT_CLIENT, .message = &message};
    bench_event(bench, &event);
    bench_turn(bench);
    assert_int_equal(error_code(bench, 1), DROVER_PROTOCOL);
}

/* ATTACH out of turn. */
static void test_attach_out_of_turn(void **state)
{
    struct bench *bench = *state;
    worker(bench, 2, "work", 1);
    struct drv_message message = {.kind = DRV_ATTACH};
    speak(bench, 2, &message);
    bench_turn(bench);
    assert_int_equal(error_code(bench, 2), DROVER_PROTOCOL);
}

/* Events for peers that are not there, tokens that were never given. */
static void test_events_out_of_nowhere(void **state)
{
    struct bench *bench = *state;
    const enum core_event_kind kinds[] = {CORE_EVENT_GONE, CORE_EVENT_SETTLED,
                                          CORE_EVENT_BLOCKED, CORE_EVENT_UNBLOCKED};
    client(bench, 1);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct core_event event = {.kind = kinds[i], .peer = 63, .token = 1000};
        bench_event(bench, &event);
    }
    struct core_event event = {.kind = CORE_EVENT_SETTLED, .peer = 1, .token = UINT64_MAX};
    bench_event(bench, &event);
    gone(bench, 1);
    gone(bench, 1);
    bench_turn(bench);
}

/* Who asks on and on without reading loses its connection; nothing grows without end. */
static void test_questions_without_reading_are_bounded(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    blocked(bench, 1, true);
    struct drv_target target = {.id = id_of(1), .index = DROVER_INDEX_NONE};
    for (int i = 0; i < 2 * DRV_REQUESTS_MAX && !bench->boxes[1].is_closed; i++) {
        struct drv_message message = request(bench, 1, DRV_UNWATCH);
        message.targets.targets = &target;
        message.targets.target_count = 1;
        speak(bench, 1, &message);
        bench_turn(bench);
    }
    assert_true(bench->boxes[1].is_closed);
    assert_int_equal(bench->boxes[1].req, DRV_REQUESTS_MAX + 1);
}

/* Hundreds of queues, each with one task: every one of them has its turn. */
static void test_hundreds_of_queues(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 1);
    char name[16];
    for (uint32_t i = 0; i < 500; i++) {
        (void)snprintf(name, sizeof name, "q%u", i);
        struct drv_spec spec = spec_of("work");
        spec.queue = text(name);
        submit(bench, 1, &spec, 100 + i);
        drop_all(bench, 1);
        if (i % 100 == 0) {
            bench_turn(bench);
        }
    }
    bench_turn(bench);
    drop_all(bench, 1);
    for (uint32_t i = 0; i < 50; i++) {
        struct drv_ref ref = leased(bench, 2);
        assert_int_equal(number_of(ref.id), 100 + i);
        report_done(bench, 2, ref, "");
        bench_turn(bench);
    }
}

/* A worker that claims types by the thousand and one that claims none. */
static void test_worker_with_many_types_or_none(void **state)
{
    struct bench *bench = *state;
    struct worker_options options = {.types = {NULL}, .slots = 0};
    worker_with(bench, 2, &options);
    static char names[3000][8];
    static struct drv_offer offers[3000];
    for (int i = 0; i < 3000; i++) {
        (void)snprintf(names[i], sizeof names[i], "t%d", i % 2500);
        offers[i] = (struct drv_offer){.name = text(names[i])};
    }
    struct drv_hello hello = good_hello();
    hello.role = DRV_ROLE_WORKER;
    hello.session = id_of(8003);
    hello.credit_items = 10;
    hello.has_worker = true;
    hello.worker = (struct drv_worker_hello){
        .slots = 2, .types = offers, .type_count = 3000, .model = DRV_MODEL_EXEC};
    hello_raw(bench, 3, CORE_PORT_WORKER, hello);
    (void)welcomed(bench, 3);
    client(bench, 1);
    struct drv_spec spec = spec_of("t2499");
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    (void)leased(bench, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_first_message_must_be_hello),
        BENCH_TEST(test_second_hello_is_refused),
        BENCH_TEST(test_closed_peer_is_not_heard),
        BENCH_TEST(test_foreign_version_is_refused),
        BENCH_TEST(test_wrong_port_names_the_right_one),
        BENCH_TEST(test_senseless_hello_is_refused),
        BENCH_TEST(test_session_of_other_role_is_denied),
        BENCH_TEST(test_message_of_other_role_is_denied),
        BENCH_TEST(test_kinds_not_taken_are_unsupported),
        BENCH_TEST(test_reserved_request_is_answered),
        BENCH_TEST(test_other_epoch_is_dropped),
        BENCH_TEST(test_request_zero_breaks_the_protocol),
        BENCH_TEST(test_attach_out_of_turn),
        BENCH_TEST(test_events_out_of_nowhere),
        BENCH_TEST(test_questions_without_reading_are_bounded),
        BENCH_TEST(test_hundreds_of_queues),
        BENCH_TEST(test_worker_with_many_types_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
