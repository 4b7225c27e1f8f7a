/*
 * Ranges between a broker and a pool that do what they like, within their contracts, over
 * connections that break at any moment. Every element carries its own number there and back,
 * and comes to exactly one end.
 */
#include "lengths.h"
#include "rng.h"
#include "session.h"
#include "test.h"

enum {
    ELEMENTS_MAX = 3000,
    TOKENS_MAX = 512,
    STEPS = 400,
    SEEDS = 15,
    WIRE_MAX = 16384,
    RANGE_MAX = 40
};

static const int64_t MS = 1000;

enum fate { FATE_OUT, FATE_DONE, FATE_BACK, FATE_VOID };
enum place { NOWHERE, IN_POOL, ENDED };

struct element {
    enum fate fate;
    enum place place;
    bool runs, has_failed, was_aborted;
};

/* What the pool knows by a key: some elements, the first of which may run. */
struct token {
    uint64_t key; /* 0: free */
    uint32_t first, count;
    bool runs, is_asked, is_cancelled;
    uint32_t asked_from;
};

struct parcel {
    enum { PARCEL_RESULT, PARCEL_RETURNED, PARCEL_END } kind;
    uint32_t element;
    uint64_t token;
};

struct model {
    struct drv_rng rng;
    struct worker_session *session;
    struct element elements[ELEMENTS_MAX];
    uint32_t count;
    struct token tokens[TOKENS_MAX];
    struct parcel wire[WIRE_MAX];
    size_t wire_count;
    uint64_t seq;
    int64_t now, lost_at;
    bool is_connected, is_serving, is_stopped;
    bool is_listed[ELEMENTS_MAX];
    int ranges, parts, splits, results, returns, voids, breaks;
};

static bool chance(struct model *m, uint64_t percent)
{
    return drv_rng_below(&m->rng, 100) < percent;
}

static uint32_t below(struct model *m, uint32_t count)
{
    return (uint32_t)drv_rng_below(&m->rng, count);
}

/* All elements are of one array: its index says which. */
static struct drv_ref ref_of(uint32_t element)
{
    struct drv_ref ref = {.handle = 5, .index = element, .attempt = 1};
    ref.id.bytes[0] = 1;
    return ref;
}

static void put(struct model *m, struct parcel parcel)
{
    assert_true(m->wire_count < WIRE_MAX);
    m->wire[m->wire_count++] = parcel;
}

/* What an element carries: one in eight nothing, the others their number. */
static bool has_value(uint32_t element)
{
    return element % 8 != 3;
}

static void pack(uint32_t first, uint32_t count, uint8_t *lengths, uint8_t *bytes,
                 struct drv_val *out_val, struct drv_range *out_range)
{
    size_t lengths_len = 0;
    size_t len = 0;
    for (uint32_t i = first; i < first + count; i++) {
        size_t size = has_value(i) ? sizeof i : 0;
        lengths_len += drv_lengths_put(lengths + lengths_len, size == 0, size);
        memcpy(bytes + len, &i, size);
        len += size;
    }
    *out_val = (struct drv_val){.bytes = bytes, .len = len, .is_nil = len == 0};
    *out_range = (struct drv_range){count, {(const char *)lengths, lengths_len}};
}

static void check_value(uint32_t element, const struct drv_val *val)
{
    assert_int_equal(val->is_nil, !has_value(element));
    if (has_value(element)) {
        assert_int_equal(val->len, sizeof element);
        assert_memory_equal(val->bytes, &element, sizeof element);
    }
}

static void check_values(uint32_t first, const struct drv_val *val,
                         const struct drv_range *range)
{
    struct drv_lengths walk = drv_lengths_of(range->lengths, val->bytes,
                                             val->is_nil ? 0 : val->len);
    struct drv_val one;
    if (range->count == 0) {
        check_value(first, val);
        return;
    }
    assert_true(range->count > 1);
    assert_int_equal(drv_lengths_count(range->lengths, walk.left), range->count);
    for (uint32_t i = 0; i < range->count; i++) {
        assert_true(drv_lengths_next(&walk, &one));
        check_value(first + i, &one);
    }
}

/* ---- the session's wishes -------------------------------------------------------------------
 */

static void on_attach(struct model *m, const struct drv_attach *attach)
{
    for (size_t i = 0; i < attach->lease_count; i++) {
        for (uint32_t more = 0; more <= attach->leases[i].more; more++) {
            uint32_t number = attach->leases[i].index + more;
            const struct element *element = &m->elements[number];
            assert_false(m->is_listed[number]);
            m->is_listed[number] = true;
            assert_int_equal(attach->leases[i].state == 3, element->place == ENDED);
            assert_int_equal(attach->leases[i].state == 2, element->runs);
        }
    }
}

static void on_report(struct model *m, const struct drv_report *report, uint64_t token)
{
    for (size_t i = 0; i < report->started_count; i++) {
        assert_true(m->elements[report->started[i].index].place != NOWHERE);
    }
    for (size_t i = 0; i < report->returned_count; i++) {
        for (uint32_t more = 0; more <= report->returned[i].more; more++) {
            uint32_t number = report->returned[i].ref.index + more;
            assert_int_equal(m->elements[number].place, NOWHERE);
            put(m, (struct parcel){PARCEL_RETURNED, number, 0});
        }
    }
    for (size_t i = 0; i < report->result_count; i++) {
        const struct drv_result *result = &report->results[i];
        uint32_t count = result->range.count == 0 ? 1 : result->range.count;
        bool has_failed = result->outcome != DRV_OUTCOME_SUCCEEDED;
        if (!has_failed) {
            check_values(result->ref.index, &result->val, &result->range);
        }
        for (uint32_t more = 0; more < count; more++) {
            const struct element *element = &m->elements[result->ref.index + more];
            assert_int_equal(element->place, ENDED);
            assert_int_equal(element->has_failed, has_failed);
            put(m, (struct parcel){PARCEL_RESULT, result->ref.index + more, 0});
        }
    }
    put(m, (struct parcel){PARCEL_END, 0, token});
}

static struct token *find_token(struct model *m, uint64_t key)
{
    for (size_t i = 0; i < TOKENS_MAX; i++) {
        if (m->tokens[i].key == key) {
            return &m->tokens[i];
        }
    }
    return NULL;
}

static void on_run(struct model *m, const struct worker_task *task)
{
    struct token *token = find_token(m, 0);
    uint32_t count = task->range.count == 0 ? 1 : task->range.count;
    assert_non_null(token);
    check_values(task->ref.index, &task->val, &task->range);
    *token = (struct token){.key = task->key, .first = task->ref.index, .count = count};
    for (uint32_t i = 0; i < count; i++) {
        struct element *element = &m->elements[task->ref.index + i];
        assert_int_equal(element->place, NOWHERE);
        assert_int_equal(element->fate, FATE_OUT);
        element->place = IN_POOL;
    }
}

static void on_effect(struct model *m, const struct worker_effect *effect)
{
    struct token *token = effect->key == 0 ? NULL : find_token(m, effect->key);
    if (effect->kind == WORKER_CONNECT) {
        m->is_connected = true;
        m->seq = 0;
    } else if (effect->kind == WORKER_DISCONNECT) {
        m->lost_at = m->is_serving ? m->now : m->lost_at;
        m->is_connected = m->is_serving = false;
        m->wire_count = 0;
        m->breaks++;
    } else if (effect->kind == WORKER_SEND && effect->message->kind == DRV_HELLO) {
        memset(m->is_listed, 0, sizeof m->is_listed);
    } else if (effect->kind == WORKER_SEND && effect->message->kind == DRV_ATTACH) {
        on_attach(m, &effect->message->attach);
    } else if (effect->kind == WORKER_SEND && effect->message->kind == DRV_REPORT) {
        on_report(m, &effect->message->report, effect->token);
    } else if (effect->kind == WORKER_RUN) {
        on_run(m, effect->task);
    } else if (effect->kind == WORKER_REVOKE && token != NULL) {
        uint32_t from = (uint32_t)effect->number;
        token->asked_from = token->is_asked && token->asked_from < from ? token->asked_from
                                                                        : from;
        token->is_asked = true;
    } else if (effect->kind == WORKER_CANCEL && token != NULL) {
        assert_true(token->runs && !token->is_cancelled);
        token->is_cancelled = true;
    } else if (effect->kind == WORKER_STOPPED) {
        m->is_stopped = true;
    }
}

static void turn(struct model *m)
{
    size_t count = 0;
    (void)worker_session_tick(m->session, m->now);
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

/* The last ones are given back: all but the first `keep`. */
static void give_back(struct model *m, struct token *token, uint32_t keep)
{
    uint64_t key = token->key;
    for (uint32_t i = keep; i < token->count; i++) {
        m->elements[token->first + i].place = NOWHERE;
    }
    uint32_t index = token->first + keep;
    bool has_some = keep < token->count;
    token->count = keep;
    if (keep == 0) {
        *token = (struct token){.key = 0};
    }
    if (has_some) {
        m->splits += keep > 0 ? 1 : 0;
        worker_session_task_rest(m->session, key, index, m->now);
    }
}

/* The first ones have succeeded. */
static void tell_part(struct model *m, struct token *token, uint32_t count)
{
    uint8_t lengths[RANGE_MAX * DRV_LENGTH_BYTES_MAX];
    uint8_t bytes[RANGE_MAX * sizeof(uint32_t)];
    struct drv_result result = {.outcome = DRV_OUTCOME_SUCCEEDED, .run_us = 10};
    uint64_t key = token->key;
    if (count == 0) {
        return;
    }
    pack(token->first, count, lengths, bytes, &result.val, &result.range);
    for (uint32_t i = 0; i < count; i++) {
        struct element *element = &m->elements[token->first + i];
        element->place = ENDED;
        element->runs = false;
    }
    token->first += count;
    token->count -= count;
    if (token->count == 0) {
        *token = (struct token){.key = 0};
    }
    m->parts++;
    worker_session_task_part(m->session, key, &result, m->now);
}

static void tell_failed(struct model *m, struct token *token)
{
    struct element *element = &m->elements[token->first];
    uint64_t key = token->key;
    const struct drv_result result = {.outcome = token->is_cancelled ? DRV_OUTCOME_CANCELLED
                                                                     : DRV_OUTCOME_FAILED,
                                      .val = {.is_nil = true},
                                      .error = {.kind = DROVER_ERROR_HANDLER, .exit_code = -1}};
    struct worker_session_numbers before;
    struct worker_session_numbers after;
    element->place = ENDED;
    element->has_failed = true;
    element->runs = false;
    *token = (struct token){.key = 0};
    worker_session_get_numbers(m->session, &before);
    worker_session_task_finished(m->session, key, &result, m->now);
    worker_session_get_numbers(m->session, &after);
    if (after.held == before.held && element->fate != FATE_VOID) {
        element->place = NOWHERE; /* a drain gives back what it has cancelled */
        element->has_failed = false;
    }
}

static void answer_recall(struct model *m, struct token *token, bool has_begun)
{
    uint32_t keep = token->asked_from > token->first ? token->asked_from - token->first : 0;
    token->is_asked = false;
    keep = keep > 0 || !has_begun ? keep : 1;
    if (keep < token->count) {
        give_back(m, token, keep);
    }
}

static void pool_step(struct model *m, struct token *token)
{
    uint32_t prefix = below(m, token->count);
    if (token->runs) {
        if (!token->is_cancelled && chance(m, 70)) {
            tell_part(m, token, 1);
        } else {
            tell_failed(m, token);
        }
    } else if (token->is_asked && chance(m, 70)) {
        answer_recall(m, token, chance(m, 50));
    } else if (chance(m, 30)) {
        tell_part(m, token, token->count);
    } else if (chance(m, 30)) { /* one of them takes long */
        give_back(m, token, prefix + 1);
        tell_part(m, token, prefix);
        token->runs = true;
        m->elements[token->first].runs = true;
        worker_session_task_started(m->session, token->key, m->now);
    } else if (chance(m, 30)) { /* one of them fails */
        give_back(m, token, prefix + 1);
        tell_part(m, token, prefix);
        tell_failed(m, token);
    } else if (chance(m, 30)) { /* others are idle */
        give_back(m, token, prefix + 1);
    }
}

/* ---- the broker -----------------------------------------------------------------------------
 */

static void receive(struct model *m, struct drv_message *message)
{
    message->seq = ++m->seq;
    worker_session_message(m->session, message, m->now);
}

static void say_lease(struct model *m)
{
    uint8_t lengths[RANGE_MAX * DRV_LENGTH_BYTES_MAX];
    uint8_t bytes[RANGE_MAX * sizeof(uint32_t)];
    uint32_t count = 1 + below(m, RANGE_MAX);
    struct drv_lease_entry entry = {.ref = ref_of(m->count)};
    struct drv_lease_group group = {.type = drv_str_of(chance(m, 90) ? "work" : "command"),
                                    .term_ms = 10,
                                    .kill_ms = 10,
                                    .entries = &entry,
                                    .entry_count = 1};
    struct drv_message message = {.kind = DRV_LEASE,
                                  .lease = {.groups = &group, .group_count = 1}};
    if (m->count + count > ELEMENTS_MAX) {
        return;
    }
    pack(m->count, count, lengths, bytes, &entry.val, &entry.range);
    if (count == 1) {
        entry.range = (struct drv_range){0};
    }
    m->count += count;
    m->ranges++;
    receive(m, &message);
    if (chance(m, 10)) { /* twice */
        receive(m, &message);
    }
}

static void say_recall(struct model *m, uint32_t element)
{
    struct drv_ref ref = ref_of(element);
    struct drv_message message = {.kind = DRV_RECALL,
                                  .leases = {.leases = &ref, .lease_count = 1}};
    receive(m, &message);
}

static void say_follow(struct model *m, uint32_t element)
{
    struct drv_follow_entry entry = {.ref = ref_of(element), .streams = chance(m, 50) ? 6 : 0};
    struct drv_message message = {.kind = DRV_FOLLOW,
                                  .follow = {.leases = &entry, .lease_count = 1}};
    receive(m, &message);
}

static void say_abort(struct model *m, uint32_t first)
{
    struct drv_abort_entry entry = {
        .ref = ref_of(first),
        .code = (uint32_t)(chance(m, 50) ? DROVER_STALE : DROVER_CANCELLED)};
    struct drv_message message = {.kind = DRV_ABORT,
                                  .abort = {.leases = &entry, .lease_count = 1}};
    uint32_t count = 1 + below(m, 20);
    while (entry.more + 1 < count && first + entry.more + 1 < m->count &&
           m->elements[first + entry.more + 1].fate == FATE_OUT) {
        entry.more++;
    }
    for (uint32_t i = first; i <= first + entry.more; i++) {
        m->elements[i].was_aborted = true;
        if (entry.code == DROVER_STALE) {
            m->elements[i].fate = FATE_VOID;
            m->voids++;
        }
    }
    receive(m, &message);
}

static void welcome(struct model *m)
{
    struct drv_message message = {
        .kind = DRV_WELCOME,
        .welcome = {.resumed = true, .heartbeat_ms = 1000, .lease_ms = 10000}};
    m->is_serving = true;
    for (uint32_t i = 0; i < m->count; i++) {
        if (m->elements[i].fate == FATE_OUT && !m->is_listed[i]) {
            assert_true(m->elements[i].place == NOWHERE);
            m->elements[i].fate = FATE_BACK;
        }
    }
    receive(m, &message);
}

static void broker_take(struct model *m, size_t count)
{
    size_t taken = 0;
    for (; taken < count; taken++) {
        const struct parcel *parcel = &m->wire[taken];
        struct element *element = &m->elements[parcel->element];
        if (parcel->kind == PARCEL_END) {
            worker_session_settled(m->session, parcel->token);
        } else if (element->fate == FATE_OUT) {
            bool is_result = parcel->kind == PARCEL_RESULT;
            element->fate = is_result ? FATE_DONE : FATE_BACK;
            m->results += is_result ? 1 : 0;
            m->returns += is_result ? 0 : 1;
        } else {
            /* Results come again after a break, returns cross recalls; what was returned never
             * has a result. */
            assert_true(parcel->kind == PARCEL_RETURNED || element->fate != FATE_BACK);
        }
    }
    m->wire_count -= taken;
    memmove(m->wire, m->wire + taken, m->wire_count * sizeof m->wire[0]);
}

static void broker_step(struct model *m)
{
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
    broker_take(m, m->wire_count == 0 ? 0 : below(m, (uint32_t)m->wire_count + 1));
    if (chance(m, 50)) {
        say_lease(m);
    }
    for (int i = 0; i < 3 && m->count > 0; i++) {
        uint32_t some = below(m, m->count);
        if (m->elements[some].fate != FATE_OUT) {
            continue;
        }
        if (chance(m, 10)) {
            say_recall(m, some);
        } else if (chance(m, 10)) {
            say_abort(m, some);
        } else if (chance(m, 10)) {
            say_follow(m, some);
        }
    }
}

/* ---- stories --------------------------------------------------------------------------------
 */

static void pool_steps(struct model *m, uint64_t percent)
{
    for (size_t i = 0; i < TOKENS_MAX; i++) {
        if (m->tokens[i].key != 0 && chance(m, percent)) {
            pool_step(m, &m->tokens[i]);
        }
    }
}

static void come_to_the_end(struct model *m)
{
    worker_session_drain(m->session, m->now);
    for (int i = 0; i < 5000 && !m->is_stopped; i++) {
        if (m->is_connected && !m->is_serving) {
            welcome(m);
        }
        if (m->is_serving) {
            worker_session_heard(m->session, m->now);
            broker_take(m, m->wire_count);
        }
        pool_steps(m, 100);
        m->now += 10 * MS;
        turn(m);
    }
    assert_true(m->is_stopped);
}

static void run_story(struct model *m, uint64_t seed)
{
    static const struct drv_offer types[] = {{.name = {"work", 4}, .model = 1},
                                             {.name = {"command", 7}, .model = 4}};
    static const bool takes_ranges[] = {true, false};
    static const struct drv_str endpoints[] = {{"tcp://a:1", 9}};
    struct worker_session_config config;
    struct worker_session_numbers numbers;
    memset(m, 0, sizeof *m);
    drv_rng_init(&m->rng, seed);
    worker_session_config_init(&config);
    config.seed = seed;
    config.slots = 2;
    config.run_max = 2 + below(m, 8);
    config.prefetch = 8;
    config.types = types;
    config.takes_ranges = takes_ranges;
    config.type_count = 2;
    config.endpoints = endpoints;
    config.endpoint_count = 1;
    m->now = 1000 * MS;
    assert_ok(worker_session_new(&config, &m->session));
    worker_session_start(m->session, m->now);
    turn(m);
    for (int step = 0; step < STEPS; step++) {
        if (m->is_connected && chance(m, 2)) {
            worker_session_broken(m->session, "cut", m->now);
            turn(m);
        }
        broker_step(m);
        pool_steps(m, 30);
        if (chance(m, 50)) {
            m->now += (int64_t)drv_rng_between(&m->rng, 0, chance(m, 5) ? 4000 : 30) * MS;
        }
        turn(m);
    }
    come_to_the_end(m);
    worker_session_get_numbers(m->session, &numbers);
    assert_int_equal(numbers.queued + numbers.given + numbers.running + numbers.held, 0);
    assert_int_equal(numbers.payload_bytes + numbers.held_bytes, 0);
    for (uint32_t i = 0; i < m->count; i++) {
        assert_true(m->elements[i].place == NOWHERE || m->elements[i].place == ENDED);
        assert_true(m->elements[i].fate != FATE_OUT);
    }
    worker_session_destroy(&m->session);
}

/* Whatever happens to a range, each of its elements comes to one end, with its own value. */
static void test_session_ranges_survive_random_stories(void **state)
{
    static struct model model;
    uint64_t seed = test_seed();
    int sums[7] = {0};
    for (uint64_t i = 0; i < SEEDS; i++) {
        run_story(&model, seed + i);
        const int numbers[7] = {model.ranges,  model.parts, model.splits, model.results,
                                model.returns, model.voids, model.breaks};
        for (size_t n = 0; n < 7; n++) {
            sums[n] += numbers[n];
        }
    }
    fprintf(stderr, "ranges=%d parts=%d splits=%d results=%d returns=%d voids=%d breaks=%d\n",
            sums[0], sums[1], sums[2], sums[3], sums[4], sums[5], sums[6]);
    for (size_t n = 0; n < 7; n++) {
        assert_true(sums[n] > 0);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_session_ranges_survive_random_stories),
};

TEST_MAIN(tests)
