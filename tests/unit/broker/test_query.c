/*
 * Questions: every document is msgpack as an independent reader sees it, with the keys that
 * PROTOCOL.md promises; why gives the reason for every place a task can be in.
 */
#include "answer.h"
#include "check.h"
#include "fixture.h"

#include <msgpack.h>

static const msgpack_object *item(const msgpack_object *array, uint32_t index)
{
    assert_int_equal(array->type, MSGPACK_OBJECT_ARRAY);
    assert_true(index < array->via.array.size);
    return &array->via.array.ptr[index];
}

static bool is_text(const msgpack_object *object, const char *wanted)
{
    return object->type == MSGPACK_OBJECT_STR && object->via.str.size == strlen(wanted) &&
           memcmp(object->via.str.ptr, wanted, object->via.str.size) == 0;
}

static uint64_t number(const msgpack_object *object)
{
    assert_int_equal(object->type, MSGPACK_OBJECT_POSITIVE_INTEGER);
    return object->via.u64;
}

static void expect_keys(const msgpack_object *map, const char *const *keys)
{
    for (; *keys != NULL; keys++) {
        (void)at(map, *keys);
    }
}

static struct drv_query about(uint32_t topic, uint32_t task)
{
    return (struct drv_query){
        .topic = topic, .has_id = true, .id = id_of(task), .index = DROVER_INDEX_NONE};
}

static void submit_plain(struct bench *bench, uint32_t task)
{
    struct drv_spec spec = spec_of("work");
    submit(bench, 1, &spec, task);
    bench_turn(bench);
}

static bool has_key(const msgpack_object *map, const char *key)
{
    for (uint32_t i = 0; i < map->via.map.size; i++) {
        if (is_text(&map->via.map.ptr[i].key, key)) {
            return true;
        }
    }
    return false;
}

static void expect_why(struct bench *bench, uint32_t task, const char *reason)
{
    struct drv_query query = about(DRV_TOPIC_WHY, task);
    struct answer answer = ask(bench, &query);
    assert_ok(answer.document.code);
    const msgpack_object *found = at(&answer.unpacked.data, "reason");
    if (!is_text(found, reason)) {
        fail_msg("why is %.*s, not %s", (int)found->via.str.size, found->via.str.ptr, reason);
    }
    assert_true(at(&answer.unpacked.data, "text")->via.str.size > 0);
    /* What is offered matters where nobody offers what is wanted, and nowhere else. */
    assert_int_equal(has_key(&answer.unpacked.data, "offered"), strcmp(reason, "no_type") == 0);
    answer_free(&answer);
}

/* A worker that has gone may come back: until when, and not that its heartbeat is late. */
static void test_why_tells_that_the_worker_is_away(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 1);
    submit_plain(bench, 100);
    report_started(bench, 2, leased(bench, 2));
    gone(bench, 2);
    bench_pass(bench, 1000 * MS);
    struct drv_query query = about(DRV_TOPIC_WHY, 100);
    struct answer answer = ask(bench, &query);
    const msgpack_object *found = at(&answer.unpacked.data, "text");
    char told[256];
    (void)snprintf(told, sizeof told, "%.*s", (int)found->via.str.size, found->via.str.ptr);
    assert_non_null(strstr(told, "away: last heard of 1.0 s ago, lost in 2.0 s"));
    answer_free(&answer);
}

static void expect_why_text(struct bench *bench, uint32_t task, const char *words)
{
    struct drv_query query = about(DRV_TOPIC_WHY, task);
    struct answer answer = ask(bench, &query);
    const msgpack_object *found = at(&answer.unpacked.data, "text");
    char told[640];
    (void)snprintf(told, sizeof told, "%.*s", (int)found->via.str.size, found->via.str.ptr);
    if (strstr(told, words) == NULL) {
        fail_msg("'%s' does not say '%s'", told, words);
    }
    answer_free(&answer);
}

/* The labels that no worker has are named. */
static void test_why_names_the_labels_that_are_missing(void **state)
{
    struct bench *bench = *state;
    const struct drv_pair wanted[] = {{text("gpu"), text("2")}, {text("zone"), text("eu")}};
    struct drv_spec spec = spec_of("work");
    spec.require = wanted;
    spec.require_count = 2;
    client(bench, 1);
    worker(bench, 2, "work", 1);
    submit(bench, 1, &spec, 100);
    expect_why(bench, 100, "no_worker");
    expect_why_text(bench, 100, "none of them serves queue default and has gpu=2, zone=eu");
}

/* Workers that take nothing new are not called busy; one that is there is. */
static void test_why_tells_that_all_workers_are_draining(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 1);
    struct drv_message message = request(bench, 1, DRV_WORKER);
    message.worker = (struct drv_worker_request){DRV_WORKER_DRAIN, text("worker")};
    speak(bench, 1, &message);
    bench_turn(bench);
    expect_ok(bench, 1);
    submit_plain(bench, 100);
    expect_why(bench, 100, "draining");
    worker(bench, 3, "work", 1);
    bench_turn(bench);
    submit_plain(bench, 101);
    bench_turn(bench);
    expect_why(bench, 101, "no_slot");
    expect_why_text(bench, 101, "the 1 worker(s) for type work are busy");
}

/* Ahead is also what has a higher priority in the queue; what cannot go on whatever is before
 * it says so first; a type that may run no oftener is not said to want for slots. */
static void test_why_looks_beyond_its_own_line(void **state)
{
    struct bench *bench = *state;
    struct worker_options options = {
        .name = "w", .types = {"work"}, .slots = 4, .credit = 4, .concurrency = 1};
    struct drv_spec spec = spec_of("work");
    client(bench, 1);
    hello_worker(bench, 2, 8002, &options);
    submit_plain(bench, 100);
    bench_turn(bench);
    (void)leased(bench, 2);
    submit_plain(bench, 101);
    bench_turn(bench);
    expect_why(bench, 101, "type_full");
    expect_why_text(bench, 101, "the 1 worker(s) for type work run as many of this type");
    spec.priority = 5;
    submit(bench, 1, &spec, 102);
    submit(bench, 1, &spec, 103);
    bench_turn(bench);
    expect_why(bench, 101, "ahead");
    expect_why_text(bench, 101, "2 ahead of it");
    expect_why(bench, 102, "type_full");
    struct drv_message message = request(bench, 1, DRV_WORKER);
    message.worker = (struct drv_worker_request){DRV_WORKER_DRAIN, text("w")};
    speak(bench, 1, &message);
    bench_turn(bench);
    expect_ok(bench, 1);
    expect_why(bench, 103, "draining");
}

/* What waits for others says for whom, and how many more; what awaits says so, too. */
static void test_why_names_what_is_waited_for(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 1);
    submit_plain(bench, 100);
    submit_plain(bench, 101);
    const struct drv_after after[] = {{id_of(100), DROVER_INDEX_NONE, 1},
                                      {id_of(101), DROVER_INDEX_NONE, 2}};
    struct drv_spec spec = spec_of("work");
    spec.after = after;
    spec.after_count = 2;
    submit(bench, 1, &spec, 102);
    bench_turn(bench);
    struct drv_ref ref = leased(bench, 2);
    report_started(bench, 2, ref);
    bench_turn(bench);
    char name[DROVER_ID_TEXT_LEN + 1], words[128];
    drover_id_format(&after[0].id, name);
    (void)snprintf(words, sizeof words,
                   "waits for task %s to succeed, which is running, and for 1 more of 2", name);
    expect_why(bench, 102, "waiting");
    expect_why_text(bench, 102, words);
    drover_id child = id_of(101);
    struct drv_message message = {.kind = DRV_AWAIT, .await = {ref, &child, 1, 0}};
    speak(bench, 2, &message);
    bench_turn(bench);
    drover_id_format(&child, name);
    (void)snprintf(words, sizeof words, "waits for task %s to end, which is queued", name);
    expect_why(bench, 100, "waiting");
    expect_why_text(bench, 100, words);
}

/* A broker that is on its way down starts nothing, and says that this is why. */
static void test_why_tells_that_the_broker_is_going_down(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 1);
    submit_plain(bench, 100);
    submit_plain(bench, 101);
    (void)leased(bench, 2);
    core_drain(bench->core, bench->now);
    bench_turn(bench);
    expect_why(bench, 101, "broker_draining");
}

/* The types that are offered come in the order of their names. */
static void test_why_sorts_what_is_offered(void **state)
{
    struct bench *bench = *state;
    static const char *const sorted[] = {"a", "ab", "b", "c"};
    client(bench, 1);
    struct worker_options options = {.types = {"c", "ab", "a", "b"}, .slots = 1};
    worker_with(bench, 2, &options);
    submit_plain(bench, 100);
    struct drv_query query = about(DRV_TOPIC_WHY, 100);
    struct answer answer = ask(bench, &query);
    const msgpack_object *offered = at(&answer.unpacked.data, "offered");
    assert_int_equal(offered->via.array.size, 4);
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(is_text(&offered->via.array.ptr[i], sorted[i]));
    }
    answer_free(&answer);
}

/* Every reason in turn. */
static void test_why_gives_every_reason(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = spec_of("work");
    spec.retries = 1;
    struct drv_spec later = spec_of("work");
    later.delay_ms = 1000;
    submit(bench, 1, &spec, 100);
    submit(bench, 1, &later, 101);
    expect_why(bench, 100, "no_type");
    expect_why(bench, 101, "delayed");
    worker(bench, 2, "work", 1);
    bench_turn(bench);
    struct drv_ref ref = leased(bench, 2);
    expect_why(bench, 100, "assigned");
    submit(bench, 1, &spec, 102);
    submit(bench, 1, &spec, 103);
    bench_turn(bench);
    expect_why(bench, 102, "no_slot");
    expect_why(bench, 103, "ahead");
    blocked(bench, 2, true);
    expect_why(bench, 100, "blocked");
    blocked(bench, 2, false);
    report_started(bench, 2, ref);
    expect_why(bench, 100, "running");
    report_failed(bench, 2, ref, 0);
    bench_turn(bench);
    expect_why(bench, 100, "retry");
    ref = leased(bench, 2);
    report_started(bench, 2, ref);
    cancel(bench, 1, 102);
    bench_turn(bench);
    expect_why(bench, 102, "cancelling");
    report_cancelled(bench, 2, ref);
    bench_turn(bench);
    expect_why(bench, 102, "ended");
    struct drv_message pause = request(bench, 1, DRV_QUEUE);
    pause.queue = (struct drv_queue_request){.op = DRV_QUEUE_PAUSE, .queue = text("default")};
    speak(bench, 1, &pause);
    bench_turn(bench);
    submit(bench, 1, &spec, 104);
    bench_turn(bench);
    expect_why(bench, 104, "paused");
}

/* A recalled task says so; an open array, too. */
static void test_why_recalling_and_open(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct worker_options options = {.types = {"work"}, .slots = 1, .credit = 10};
    worker_with(bench, 2, &options);
    struct drv_spec spec = spec_of("work");
    submit(bench, 1, &spec, 99);
    bench_turn(bench);
    report_done(bench, 2, leased(bench, 2), ""); /* 50 us: short */
    submit_many(bench, 1, &spec, 100, 2, "x");
    bench_turn(bench);
    worker(bench, 3, "work", 1);
    bench_pass(bench, 3 * MS);
    expect_why(bench, 101, "recalling");
    struct drv_message open = request(bench, 1, DRV_ARRAY_OPEN);
    open.array_open = (struct drv_array_open){
        .id = id_of(500), .spec = spec_of("work"), .with = val_nil()};
    speak(bench, 1, &open);
    expect_why(bench, 500, "open");
}

/* The status has the keys that people and programs rely on. */
static void test_status_has_its_keys(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 3);
    struct drv_spec spec = spec_of("work");
    submit(bench, 1, &spec, 100);
    struct drv_message beat = {.kind = DRV_HEARTBEAT};
    beat.heartbeat.has_host = true;
    beat.heartbeat.host = (struct drv_host){.cpu_percent = 12.5, .process_count = 77};
    speak(bench, 2, &beat);
    struct core_event self = {.kind = CORE_EVENT_SELF,
                              .self = {.rss_bytes = 123456, .cpu_percent = 1.5}};
    bench_event(bench, &self);
    bench_turn(bench);
    struct drv_query query = {.topic = DRV_TOPIC_STATUS};
    struct answer answer = ask(bench, &query);
    const msgpack_object *status = &answer.unpacked.data;
    const char *const broker[] = {"id",        "version", "epoch",      "uptime_ms",
                                  "rss_bytes", "store",   "durability", "cpu_percent",
                                  "sessions",  "clients", "endpoint",   "worker_endpoint",
                                  NULL};
    const char *const tasks[] = {
        "submitted",    "waiting",        "delayed",          "queued",
        "running",      "succeeded",      "failed",           "cancelled",
        "expired",      "retried",        "lost_at_restart",  "stale_results",
        "stale_writes", "stale_progress", "stale_heartbeats", NULL};
    const char *const queue[] = {"name",          "depth",  "running", "delayed",
                                 "oldest_age_ms", "paused", NULL};
    const char *const workers[] = {"id",
                                   "name",
                                   "host",
                                   "pid",
                                   "state",
                                   "slots",
                                   "running",
                                   "assigned",
                                   "model",
                                   "types",
                                   "queues",
                                   "labels",
                                   "heartbeat_age_ms",
                                   "tasks_done",
                                   "stats",
                                   NULL};
    const char *const stats[] = {
        "cpu_percent", "memory_percent", "disk_percent", "process_count", "load1",
        "bytes_sent",  "bytes_recv",     "packets_sent", "packets_recv",  NULL};
    expect_keys(at(status, "broker"), broker);
    expect_keys(at(status, "tasks"), tasks);
    expect_keys(item(at(status, "queues"), 0), queue);
    const msgpack_object *one = item(at(status, "workers"), 0);
    expect_keys(one, workers);
    expect_keys(at(one, "stats"), stats);
    assert_int_equal(number(at(at(status, "broker"), "rss_bytes")), 123456);
    assert_int_equal(number(at(at(status, "tasks"), "queued")), 1);
    assert_int_equal(number(at(one, "assigned")), 1);
    assert_true(is_text(at(one, "state"), "connected"));
    assert_int_equal(number(at(at(one, "stats"), "process_count")), 77);
    (void)item(at(status, "types"), 0);
    answer_free(&answer);
}

/* A failed task carries its death certificate. */
static void test_task_has_its_certificate(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 1);
    struct drv_spec spec = spec_of("work");
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    struct drv_result crash = {.ref = leased(bench, 2),
                               .outcome = DRV_OUTCOME_FAILED,
                               .val = val_nil(),
                               .error = {.kind = DROVER_ERROR_CRASH,
                                         .text = text("killed by a signal"),
                                         .exit_code = -1,
                                         .signal = 11,
                                         .stderr_tail = {"last words", 10}},
                               .run_us = 1234,
                               .has_usage = true,
                               .usage = {.user_us = 10,
                                         .system_us = 20,
                                         .peak_rss_bytes = 4096,
                                         .pid = 99,
                                         .kept = DRV_KEPT_CGROUP}};
    report(bench, 2, &crash);
    bench_turn(bench);
    struct drv_query query = about(DRV_TOPIC_TASK, 100);
    struct answer answer = ask(bench, &query);
    const msgpack_object *task = &answer.unpacked.data;
    const char *const keys[] = {
        "id",           "index",   "state",         "type",         "queue",
        "priority",     "attempt", "retries_left",  "losses_left",  "submitted_age_ms",
        "ended_age_ms", "level",   "payload_bytes", "result_bytes", "why",
        "attempts",     NULL};
    expect_keys(task, keys);
    assert_true(is_text(at(task, "state"), "failed"));
    assert_true(is_text(at(at(task, "error"), "kind"), "crash"));
    assert_int_equal(number(at(at(task, "error"), "signal")), 11);
    const msgpack_object *attempt = item(at(task, "attempts"), 0);
    assert_true(is_text(at(attempt, "worker"), "worker"));
    assert_true(is_text(at(attempt, "host"), "host"));
    assert_int_equal(number(at(attempt, "signal")), 11);
    assert_int_equal(number(at(attempt, "run_us")), 1234);
    assert_int_equal(number(at(attempt, "peak_rss_bytes")), 4096);
    assert_true(is_text(at(attempt, "limits_kept_by"), "cgroup"));
    answer_free(&answer);
}

static void expect_times(const msgpack_object *map, int64_t queued, int64_t transfer,
                         int64_t run, int64_t back)
{
    assert_int_equal(number(at(map, "queued_us")), queued);
    assert_int_equal(number(at(map, "transfer_us")), transfer);
    assert_int_equal(number(at(map, "run_us")), run);
    assert_int_equal(number(at(map, "return_us")), back);
}

/* What was said when it was submitted is told, and what is usual is not. */
static void test_task_has_its_options(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    submit_plain(bench, 99);
    const struct drv_count needs[] = {{text("gpu"), 2}, {text("cpus"), 1}};
    const struct drv_pair require[] = {{text("zone"), text("eu")}};
    struct drv_spec spec = spec_of("work");
    spec.fairness = text("tenant");
    spec.needs = needs;
    spec.need_count = DRV_ARRAY_LEN(needs);
    spec.require = require;
    spec.require_count = DRV_ARRAY_LEN(require);
    spec.limit_cpu_ms = 30000;
    spec.limit_files = 7;
    spec.backoff_ms = 5;
    spec.backoff_max_ms = 6;
    spec.keep_ms = 0;
    spec.expire_ms = 2000;
    submit(bench, 1, &spec, 100);
    bench_pass(bench, SECOND);
    struct drv_query query = about(DRV_TOPIC_TASK, 100);
    struct answer answer = ask(bench, &query);
    const msgpack_object *task = &answer.unpacked.data;
    assert_true(is_text(at(task, "fairness"), "tenant"));
    assert_int_equal(number(at(at(task, "needs"), "gpu")), 2);
    assert_int_equal(number(at(at(task, "needs"), "cpus")), 1);
    assert_true(is_text(at(at(task, "require"), "zone"), "eu"));
    assert_int_equal(at(task, "limits")->via.map.size, 2);
    assert_int_equal(number(at(at(task, "limits"), "cpu_ms")), 30000);
    assert_int_equal(number(at(at(task, "limits"), "files")), 7);
    assert_int_equal(number(at(task, "backoff_ms")), 5);
    assert_int_equal(number(at(task, "backoff_max_ms")), 6);
    assert_int_equal(number(at(task, "keep_ms")), 0);
    assert_int_equal(number(at(task, "expire_ms")), 2000);
    assert_in_range(number(at(task, "expires_in_ms")), 1, 1000);
    answer_free(&answer);
    static const char *const unusual[] = {"fairness",       "needs",      "require",
                                          "limits",         "backoff_ms", "keep_ms",
                                          "backoff_max_ms", "expire_ms"};
    query = about(DRV_TOPIC_TASK, 99);
    answer = ask(bench, &query);
    for (size_t i = 0; i < DRV_ARRAY_LEN(unusual); i++) {
        assert_false(has_key(&answer.unpacked.data, unusual[i]));
    }
    answer_free(&answer);
}

/* The time of an attempt is told in parts, which come to the whole; what was spent on the way
 * is halved. A worker that claims more than there was is not believed. */
static void test_task_has_its_timeline(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = spec_of("work");
    spec.retries = 1;
    spec.backoff_ms = spec.backoff_max_ms = 10;
    submit(bench, 1, &spec, 100);
    bench_turn(bench);
    bench->now += 5000;
    worker(bench, 2, "work", 1);
    bench_turn(bench);
    struct drv_ref ref = leased(bench, 2);
    struct drv_query query = about(DRV_TOPIC_TASK, 100);
    bench->now += 4000;
    struct answer answer = ask(bench, &query);
    const msgpack_object *timeline = at(&answer.unpacked.data, "timeline");
    assert_int_equal(number(at(timeline, "queued_us")), 5000);
    assert_int_equal(number(at(timeline, "transfer_us")), 4000);
    answer_free(&answer);
    bench->now += 6000;
    struct drv_result done = {.ref = ref,
                              .outcome = DRV_OUTCOME_FAILED,
                              .val = val_nil(),
                              .error = {.kind = DROVER_ERROR_HANDLER, .exit_code = -1},
                              .run_us = 4000,
                              .wait_us = 2000,
                              .hold_us = 1000};
    report(bench, 2, &done);
    bench_pass(bench, SECOND);
    done.ref = leased(bench, 2);
    done.run_us = INT64_MAX;
    done.wait_us = done.hold_us = UINT64_MAX - 1;
    report(bench, 2, &done);
    bench_turn(bench);
    answer = ask(bench, &query);
    const msgpack_object *attempts = at(&answer.unpacked.data, "attempts");
    expect_times(item(attempts, 0), 5000, 3500, 4000, 2500);
    assert_int_equal(number(at(item(attempts, 1), "transfer_us")), 0);
    assert_int_equal(number(at(item(attempts, 1), "return_us")), 0);
    assert_int_equal(number(at(at(&answer.unpacked.data, "timeline"), "attempt")), 2);
    answer_free(&answer);
}

/* Lists come in pages; walking them all sees every task once. */
static void test_tasks_are_paged(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = spec_of("work");
    submit_many(bench, 1, &spec, 100, 50, "x");
    bench_turn(bench);
    drop_all(bench, 1);
    size_t seen = 0, pages = 0;
    char cursor[64];
    struct drv_query query = {.topic = DRV_TOPIC_TASKS, .limit = 7};
    for (;;) {
        struct answer answer = ask(bench, &query);
        assert_ok(answer.document.code);
        const msgpack_object *tasks = at(&answer.unpacked.data, "tasks");
        assert_true(tasks->via.array.size <= 7);
        seen += tasks->via.array.size;
        pages++;
        struct drv_str next_page = answer.document.cursor;
        assert_true(next_page.len <= sizeof cursor);
        if (next_page.len > 0) {
            memcpy(cursor, next_page.ptr, next_page.len);
        }
        answer_free(&answer);
        if (next_page.len == 0) {
            break;
        }
        query.cursor = (struct drv_str){cursor, next_page.len};
    }
    assert_int_equal(seen, 50);
    assert_true(pages >= 8);
}

/* Filters by queue, type and state. */
static void test_tasks_are_filtered(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    struct drv_spec spec = spec_of("work");
    submit(bench, 1, &spec, 100);
    spec.queue = text("side");
    submit(bench, 1, &spec, 101);
    spec = spec_of("other");
    spec.delay_ms = 1000;
    submit(bench, 1, &spec, 102);
    bench_turn(bench);
    drop_all(bench, 1);
    const struct drv_query queries[] = {
        {.topic = DRV_TOPIC_TASKS, .name = text("side")},
        {.topic = DRV_TOPIC_TASKS, .text = text("other")},
        {.topic = DRV_TOPIC_TASKS, .states = 1u << DROVER_STATE_DELAYED},
    };
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        struct answer answer = ask(bench, &queries[i]);
        assert_int_equal(at(&answer.unpacked.data, "tasks")->via.array.size, 1);
        answer_free(&answer);
    }
}

/* Queues, workers and one worker with its leases. */
static void test_queues_and_workers(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    worker(bench, 2, "work", 1);
    struct drv_spec spec = spec_of("work");
    submit(bench, 1, &spec, 100);
    struct drv_message beat = {.kind = DRV_HEARTBEAT};
    beat.heartbeat.details = (struct drv_str){"\x81\xa4load\x07", 7};
    speak(bench, 2, &beat);
    bench_turn(bench);
    drop_all(bench, 1);
    struct drv_query query = {.topic = DRV_TOPIC_QUEUES};
    struct answer answer = ask(bench, &query);
    const char *const queue[] = {"weight", "max_count", "max_bytes", "depth", NULL};
    expect_keys(item(at(&answer.unpacked.data, "queues"), 0), queue);
    answer_free(&answer);
    query = (struct drv_query){.topic = DRV_TOPIC_WORKERS};
    answer = ask(bench, &query);
    assert_true(is_text(at(item(at(&answer.unpacked.data, "workers"), 0), "name"), "worker"));
    answer_free(&answer);
    query = (struct drv_query){.topic = DRV_TOPIC_WORKER, .name = text("worker")};
    answer = ask(bench, &query);
    const char *const lease[] = {"id", "index", "attempt", "type", "started", "age_ms", NULL};
    expect_keys(item(at(&answer.unpacked.data, "leases"), 0), lease);
    assert_int_equal(number(at(at(&answer.unpacked.data, "details"), "load")), 7);
    answer_free(&answer);
    query.name = text("nobody");
    answer = ask(bench, &query);
    assert_int_equal(answer.document.code, DROVER_UNKNOWN);
    answer_free(&answer);
}

/* Shared data by prefix. */
static void test_shared_data_by_prefix(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    const char *const keys[] = {"a.1", "a.2", "b.1"};
    for (int i = 0; i < 3; i++) {
        struct drv_message message = request(bench, 1, DRV_KV);
        message.kv = (struct drv_kv){
            .op = DRV_KV_SET, .key = text(keys[i]), .val = val_of("123")};
        speak(bench, 1, &message);
    }
    bench_turn(bench);
    drop_all(bench, 1);
    struct drv_query query = {.topic = DRV_TOPIC_KV, .text = text("a.")};
    struct answer answer = ask(bench, &query);
    const msgpack_object *entries = at(&answer.unpacked.data, "entries");
    assert_int_equal(entries->via.array.size, 2);
    assert_int_equal(number(at(item(entries, 0), "bytes")), 3);
    answer_free(&answer);
}

/* A topic that is not served, an unknown task, a question without an id, a strange cursor. */
static void test_senseless_questions(void **state)
{
    struct bench *bench = *state;
    client(bench, 1);
    const struct {
        struct drv_query query;
        drover_status status;
    } rows[] = {
        {{.topic = 99}, DROVER_UNSUPPORTED},
        {about(DRV_TOPIC_TASK, 1), DROVER_UNKNOWN},
        {about(DRV_TOPIC_WHY, 1), DROVER_UNKNOWN},
        {{.topic = DRV_TOPIC_TASK, .index = DROVER_INDEX_NONE}, DROVER_INVALID},
        {{.topic = DRV_TOPIC_TASKS, .cursor = {"abc", 3}}, DROVER_INVALID},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct answer answer = ask(bench, &rows[i].query);
        assert_int_equal(answer.document.code, rows[i].status);
        answer_free(&answer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_why_gives_every_reason),
        BENCH_TEST(test_why_tells_that_the_worker_is_away),
        BENCH_TEST(test_why_sorts_what_is_offered),
        BENCH_TEST(test_why_names_what_is_waited_for),
        BENCH_TEST(test_why_tells_that_the_broker_is_going_down),
        BENCH_TEST(test_why_names_the_labels_that_are_missing),
        BENCH_TEST(test_why_tells_that_all_workers_are_draining),
        BENCH_TEST(test_why_looks_beyond_its_own_line),
        BENCH_TEST(test_why_recalling_and_open),
        BENCH_TEST(test_status_has_its_keys),
        BENCH_TEST(test_task_has_its_certificate),
        BENCH_TEST(test_task_has_its_options),
        BENCH_TEST(test_task_has_its_timeline),
        BENCH_TEST(test_tasks_are_paged),
        BENCH_TEST(test_tasks_are_filtered),
        BENCH_TEST(test_queues_and_workers),
        BENCH_TEST(test_shared_data_by_prefix),
        BENCH_TEST(test_senseless_questions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
