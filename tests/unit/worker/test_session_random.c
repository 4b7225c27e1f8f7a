/*
 * A worker's session between a broker and a pool that do what they like, within their
 * contracts, over connections that break at any moment. After every turn the books must be
 * sound, and in the end every lease must have come to exactly one thing.
 */
#include "rng.h"
#include "session.h"
#include "test.h"

enum { LEASES_MAX = 400, STEPS = 600, SEEDS = 200, WIRE_MAX = 4096 };

static const int64_t MS = 1000;

enum fate {
    FATE_OUT,  /* the broker counts it as the worker's */
    FATE_DONE, /* its result has come */
    FATE_BACK, /* returned, or missing in ATTACH */
    FATE_VOID, /* aborted as stale */
};

enum place { NOWHERE, IN_POOL, RUNS, ENDED };

struct model_lease {
    enum fate fate;
    enum place place; /* in the pool */
    uint64_t key;
    bool is_confirm, was_started, go_sent, is_asked_back, is_cancelled;
};

/* What a REPORT said, on its way to the broker. */
struct parcel {
    enum { PARCEL_STARTED, PARCEL_RESULT, PARCEL_RETURNED, PARCEL_END } kind;
    uint32_t lease;
    uint64_t token;
};

struct model {
    struct drv_rng rng;
    struct worker_session *session;
    struct model_lease leases[LEASES_MAX];
    uint32_t lease_count;
    struct parcel wire[WIRE_MAX];
    size_t wire_count;
    uint64_t seq;
    int64_t now, next, lost_at;
    bool is_connected, is_serving, is_stopped, said_goodbye;
    bool is_listed[LEASES_MAX];
    uint64_t drained_status;
    uint32_t held, credit;
    int breaks, starts, results, returns, voids;
};

static bool chance(struct model *m, uint64_t percent)
{
    return drv_rng_below(&m->rng, 100) < percent;
}

static struct drv_ref ref_of(uint32_t lease)
{
    struct drv_ref ref = {.handle = lease + 1, .index = DROVER_INDEX_NONE, .attempt = 1};
    memcpy(ref.id.bytes, &lease, sizeof lease);
    return ref;
}

static uint32_t lease_of(const drover_id *id)
{
    uint32_t lease;
    memcpy(&lease, id->bytes, sizeof lease);
    assert_true(lease < LEASES_MAX);
    return lease;
}

static void put(struct model *m, struct parcel parcel)
{
    assert_true(m->wire_count < WIRE_MAX);
    m->wire[m->wire_count++] = parcel;
}

/* ---- the session's wishes -------------------------------------------------------------------
 */

static void on_attach(struct model *m, const struct drv_attach *attach)
{
    for (size_t i = 0; i < attach->lease_count; i++) {
        uint32_t lease = lease_of(&attach->leases[i].id);
        const struct model_lease *one = &m->leases[lease];
        assert_false(m->is_listed[lease]);
        m->is_listed[lease] = true;
        if (attach->leases[i].state == 2) {
            assert_true(one->place == RUNS);
        } else if (attach->leases[i].state == 3) {
            assert_true(one->place == ENDED);
        } else {
            assert_true(one->place == NOWHERE || one->place == IN_POOL);
        }
    }
}

static void on_report(struct model *m, const struct drv_report *report, uint64_t token)
{
    for (size_t i = 0; i < report->started_count; i++) {
        put(m, (struct parcel){PARCEL_STARTED, lease_of(&report->started[i].id), 0});
    }
    for (size_t i = 0; i < report->returned_count; i++) {
        uint32_t lease = lease_of(&report->returned[i].ref.id);
        assert_true(m->leases[lease].place == NOWHERE);
        put(m, (struct parcel){PARCEL_RETURNED, lease, 0});
    }
    for (size_t i = 0; i < report->result_count; i++) {
        uint32_t lease = lease_of(&report->results[i].ref.id);
        assert_true(m->leases[lease].place == ENDED);
        assert_true(m->leases[lease].fate != FATE_VOID);
        put(m, (struct parcel){PARCEL_RESULT, lease, 0});
    }
    put(m, (struct parcel){PARCEL_END, 0, token});
}

static void on_run(struct model *m, const struct worker_task *task)
{
    uint32_t lease = lease_of(&task->ref.id);
    struct model_lease *one = &m->leases[lease];
    assert_true(one->place == NOWHERE);
    assert_true(one->fate == FATE_OUT);
    assert_true(m->is_serving || m->now - m->lost_at < 1000 * MS);
    assert_true(!one->is_confirm || one->go_sent);
    assert_int_equal(task->val.len, sizeof lease);
    assert_memory_equal(task->val.bytes, &lease, sizeof lease);
    one->place = IN_POOL;
    one->key = task->key;
    one->is_asked_back = false;
}

static struct model_lease *by_key(struct model *m, uint64_t key)
{
    for (uint32_t i = 0; i < m->lease_count; i++) {
        if (m->leases[i].key == key && m->leases[i].place != NOWHERE) {
            return &m->leases[i];
        }
    }
    return NULL; /* it has ended since the session wished it */
}

static void on_message(struct model *m, const struct worker_effect *effect)
{
    const struct drv_message *message = effect->message;
    if (message->kind == DRV_HELLO) {
        memset(m->is_listed, 0, sizeof m->is_listed);
    } else if (message->kind == DRV_ATTACH) {
        on_attach(m, &message->attach);
    } else if (message->kind == DRV_REPORT) {
        assert_true(m->is_serving);
        on_report(m, &message->report, effect->token);
    } else if (message->kind == DRV_GOODBYE) {
        assert_true(m->wire_count == 0);
        m->said_goodbye = true;
    }
}

static void on_effect(struct model *m, const struct worker_effect *effect)
{
    if (effect->kind == WORKER_CONNECT) {
        m->is_connected = true;
        m->seq = 0;
    } else if (effect->kind == WORKER_DISCONNECT) {
        m->lost_at = m->is_serving ? m->now : m->lost_at;
        m->is_connected = m->is_serving = false;
        m->wire_count = 0; /* what was on its way is lost */
        m->breaks++;
    } else if (effect->kind == WORKER_SEND) {
        on_message(m, effect);
    } else if (effect->kind == WORKER_RUN) {
        on_run(m, effect->task);
    } else if (effect->kind == WORKER_REVOKE) {
        struct model_lease *one = by_key(m, effect->key);
        assert_true(one == NULL || !one->is_asked_back);
        if (one != NULL) {
            one->is_asked_back = true; /* of no effect when it has started since */
        }
    } else if (effect->kind == WORKER_CANCEL) {
        struct model_lease *one = by_key(m, effect->key);
        assert_true(one == NULL || (one->place != IN_POOL && !one->is_cancelled));
        if (one != NULL) {
            one->is_cancelled = true;
        }
    } else if (effect->kind == WORKER_STOPPED) {
        m->is_stopped = true;
    }
}

static void turn(struct model *m)
{
    size_t count = 0;
    m->next = worker_session_tick(m->session, m->now);
    const struct worker_effect *effects = worker_session_effects(m->session, &count);
    for (size_t i = 0; i < count; i++) {
        on_effect(m, &effects[i]);
    }
    worker_session_effects_clear(m->session);
    const char *broken = worker_session_check(m->session);
    if (broken != NULL) {
        fail_msg("%s", broken);
    }
}

/* ---- the pool -------------------------------------------------------------------------------
 */

static void pool_step(struct model *m, uint32_t lease)
{
    struct model_lease *one = &m->leases[lease];
    if (one->place == IN_POOL && one->is_asked_back && chance(m, 60)) {
        one->place = NOWHERE;
        worker_session_task_returned(m->session, one->key, m->now);
    } else if (one->place == IN_POOL && chance(m, 50)) {
        one->place = RUNS;
        one->was_started = true;
        m->starts++;
        worker_session_task_started(m->session, one->key, m->now);
    } else if (one->place == RUNS && chance(m, one->is_cancelled ? 60 : 20)) {
        bool is_cancelled = one->is_cancelled && chance(m, 80);
        const struct drv_result result = {.outcome = is_cancelled ? DRV_OUTCOME_CANCELLED
                                                                  : DRV_OUTCOME_SUCCEEDED,
                                          .val = {.is_nil = true}};
        one->place = ENDED;
        struct worker_session_numbers before, after;
        worker_session_get_numbers(m->session, &before);
        worker_session_task_finished(m->session, one->key, &result, m->now);
        worker_session_get_numbers(m->session, &after);
        if (after.held == before.held && one->fate != FATE_VOID) {
            one->place = NOWHERE; /* a drain gives back what it has cancelled */
        }
    } else if (one->place == RUNS && chance(m, 20)) {
        worker_session_task_progress(m->session, one->key, 500, drv_str_of("half"), m->now);
    }
}

/* ---- the broker -----------------------------------------------------------------------------
 */

static void receive(struct model *m, struct drv_message *message)
{
    message->seq = ++m->seq;
    worker_session_message(m->session, message, m->now);
}

static void say_lease(struct model *m, uint32_t flags)
{
    uint32_t lease = m->lease_count;
    if (lease == LEASES_MAX) {
        return;
    }
    m->lease_count++;
    m->leases[lease] = (struct model_lease){.is_confirm = (flags & DRV_LEASE_CONFIRM) != 0};
    struct drv_lease_entry entry = {
        .ref = ref_of(lease), .val = {.bytes = (const uint8_t *)&lease, .len = sizeof lease}};
    struct drv_lease_group group = {.type = drv_str_of("work"),
                                    .term_ms = 10,
                                    .kill_ms = 10,
                                    .flags = flags,
                                    .entries = &entry,
                                    .entry_count = 1};
    struct drv_message message = {.kind = DRV_LEASE,
                                  .lease = {.groups = &group, .group_count = 1}};
    receive(m, &message);
}

static void say_of(struct model *m, enum drv_kind kind, uint32_t lease)
{
    struct drv_ref ref = ref_of(lease);
    struct drv_message message = {.kind = kind, .leases = {.leases = &ref, .lease_count = 1}};
    receive(m, &message);
}

static void say_abort(struct model *m, uint32_t lease, drover_status code)
{
    struct drv_abort_entry entry = {.ref = ref_of(lease), .code = (uint32_t)code};
    struct drv_message message = {.kind = DRV_ABORT,
                                  .abort = {.leases = &entry, .lease_count = 1}};
    if (code == DROVER_STALE && m->leases[lease].fate == FATE_OUT) {
        m->leases[lease].fate = FATE_VOID;
        m->voids++;
    }
    receive(m, &message);
}

static void welcome(struct model *m)
{
    struct drv_message message = {
        .kind = DRV_WELCOME,
        .welcome = {.resumed = true, .heartbeat_ms = 1000, .lease_ms = 10000}};
    m->is_serving = true;
    for (uint32_t i = 0; i < m->lease_count; i++) {
        struct model_lease *one = &m->leases[i];
        if (one->fate == FATE_OUT && !m->is_listed[i]) {
            assert_true(one->place == NOWHERE || one->place == ENDED);
            one->fate = FATE_BACK;
        }
    }
    receive(m, &message);
}

/* One parcel arrives. */
static void broker_take(struct model *m)
{
    struct parcel parcel = m->wire[0];
    m->wire_count--;
    memmove(m->wire, m->wire + 1, m->wire_count * sizeof m->wire[0]);
    if (parcel.kind == PARCEL_END) {
        worker_session_settled(m->session, parcel.token);
        return;
    }
    struct model_lease *one = &m->leases[parcel.lease];
    if (parcel.kind == PARCEL_STARTED) {
        if (one->is_confirm && one->fate == FATE_OUT && chance(m, 90)) {
            one->go_sent = true;
            say_of(m, DRV_GO, parcel.lease);
        }
    } else if (one->fate == FATE_OUT && parcel.kind == PARCEL_RESULT) {
        one->fate = FATE_DONE;
        m->results++;
    } else if (one->fate == FATE_OUT) {
        one->fate = FATE_BACK;
        m->returns++;
    }
}

static void broker_step(struct model *m)
{
    uint32_t some = (uint32_t)drv_rng_below(&m->rng, m->lease_count + 1);
    if (!m->is_connected) {
        return;
    }
    if (!m->is_serving) {
        if (chance(m, 70)) {
            welcome(m);
        }
        return;
    }
    worker_session_heard(m->session, m->now);
    while (m->wire_count > 0 && chance(m, 70)) {
        broker_take(m);
    }
    if (chance(m, 60)) {
        say_lease(m, chance(m, 20) ? DRV_LEASE_CONFIRM : 0);
    }
    if (some < m->lease_count && m->leases[some].fate == FATE_OUT) {
        if (chance(m, 10)) {
            say_of(m, DRV_RECALL, some);
        } else if (chance(m, 10)) {
            say_abort(m, some, chance(m, 50) ? DROVER_STALE : DROVER_CANCELLED);
        }
    }
    if (chance(m, 2)) {
        struct drv_message message = {.kind = DRV_DRAIN, .drain = {.on = chance(m, 50)}};
        receive(m, &message);
    }
}

/* ---- stories --------------------------------------------------------------------------------
 */

static void pass_time(struct model *m)
{
    int64_t step = (int64_t)drv_rng_between(&m->rng, 0, chance(m, 5) ? 4000 : 30) * MS;
    m->now += step;
}

static void some_of_everything(struct model *m)
{
    if (m->is_connected && chance(m, 3)) {
        worker_session_broken(m->session, "cut", m->now);
        turn(m);
    }
    broker_step(m);
    for (uint32_t i = 0; i < m->lease_count; i++) {
        if (chance(m, 30)) {
            pool_step(m, i);
        }
    }
    if (chance(m, 3)) {
        worker_session_set_blocked(m->session, chance(m, 50));
    }
    pass_time(m);
    turn(m);
}

/* The connection holds, the pool works everything off, the worker drains. */
static void come_to_the_end(struct model *m)
{
    worker_session_set_blocked(m->session, false);
    worker_session_drain(m->session, m->now);
    for (int i = 0; i < 20000 && !m->is_stopped; i++) {
        if (m->is_connected && !m->is_serving) {
            welcome(m);
        }
        if (m->is_serving) {
            worker_session_heard(m->session, m->now);
        }
        while (m->is_serving && m->wire_count > 0) {
            broker_take(m);
        }
        for (uint32_t lease = 0; lease < m->lease_count; lease++) {
            pool_step(m, lease);
        }
        m->now += 10 * MS;
        turn(m);
    }
    assert_true(m->is_stopped);
}

static void run_story(struct model *m, uint64_t seed)
{
    static const struct drv_offer types[] = {{.name = {"work", 4}, .model = 1}};
    static const struct drv_str endpoints[] = {{"tcp://a:1", 9}};
    struct worker_session_config config;
    struct worker_session_numbers numbers;
    memset(m, 0, sizeof *m);
    drv_rng_init(&m->rng, seed);
    worker_session_config_init(&config);
    config.seed = seed;
    config.slots = (uint32_t)drv_rng_between(&m->rng, 1, 4);
    config.run_max = config.slots + (uint32_t)drv_rng_between(&m->rng, 0, 4);
    config.prefetch = 8;
    config.types = types;
    config.type_count = 1;
    config.endpoints = endpoints;
    config.endpoint_count = 1;
    m->now = 1000 * MS;
    assert_ok(worker_session_new(&config, &m->session));
    worker_session_start(m->session, m->now);
    turn(m);
    for (int step = 0; step < STEPS; step++) {
        some_of_everything(m);
    }
    come_to_the_end(m);
    worker_session_get_numbers(m->session, &numbers);
    assert_int_equal(numbers.queued + numbers.given + numbers.running + numbers.held, 0);
    assert_int_equal(numbers.payload_bytes + numbers.held_bytes, 0);
    for (uint32_t i = 0; i < m->lease_count; i++) {
        const struct model_lease *one = &m->leases[i];
        assert_true(one->place == NOWHERE || one->place == ENDED);
        /* Without GOODBYE the broker finds out by itself, and no result is among them. */
        assert_true(one->fate != FATE_OUT || (!m->said_goodbye && one->place == NOWHERE));
        assert_true(one->fate != FATE_DONE || one->was_started);
    }
    worker_session_destroy(&m->session);
}

/* Whatever happens, every lease comes to exactly one end and none is forgotten. */
static void test_session_survives_random_stories(void **state)
{
    static struct model model;
    uint64_t seed = test_seed();
    int breaks = 0, starts = 0, results = 0, returns = 0, voids = 0;
    for (uint64_t i = 0; i < SEEDS; i++) {
        run_story(&model, seed + i);
        breaks += model.breaks;
        starts += model.starts;
        results += model.results;
        returns += model.returns;
        voids += model.voids;
    }
    fprintf(stderr, "breaks=%d starts=%d results=%d returns=%d voids=%d\n", breaks, starts,
            results, returns, voids);
    assert_true(breaks > 0 && starts > 0 && results > 0 && returns > 0 && voids > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_session_survives_random_stories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
