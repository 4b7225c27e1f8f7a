/*
 * bench.h: a core on virtual time, and the letters between it and its peers.
 *
 * Every message that the core sends is encoded and decoded again by the real codec, which gives
 * a deep copy and proves that it can be sent. After every step and tick the invariants are
 * checked. Messages to a peer wait in its inbox until the test takes them.
 */
#ifndef TESTS_BROKER_BENCH_H
#define TESTS_BROKER_BENCH_H

#include "test.h"

#include "arena.h"
#include "buffer.h"
#include "core.h"
#include "data.h"
#include "message.h"

enum { BENCH_PEERS = 64, BENCH_INBOX = 512, BENCH_BIG = 256, BENCH_RECORDS = 4096 };

#define MS ((int64_t)1000)
#define SECOND (1000 * MS)
/* The wall clock minus that of the bench. */
#define BENCH_WALL (1000000 * SECOND)

struct letter { /* a message that the core sent */
    struct drv_message message;
    struct drv_buffer head, blob;
    struct drv_arena arena;
    uint64_t token;
};

struct box { /* one peer's side of its connection */
    struct letter *letters[BENCH_INBOX];
    size_t first, count;
    uint64_t seq;      /* of the last message sent to the core */
    uint64_t epoch;    /* once welcome */
    uint64_t req;      /* last request number */
    uint64_t settled;  /* last SETTLE */
    bool is_closed;    /* the core asked to forget it */
    bool holds_tokens; /* do not settle on receipt */
    uint64_t last_token;
    enum core_port port;
    const uint8_t *key; /* that it has proved to have; NULL: none */
    bool is_inside;
};

struct bench_log {              /* what the store was given */
    struct core_saved *records; /* bodies are owned */
    size_t count, capacity;
    uint64_t lsn;
};

struct bench {
    struct core_config config;
    struct bench_log log;
    struct core *core;
    int64_t now;
    int64_t wall_set; /* what somebody has set the wall clock forwards */
    int64_t wants;    /* what the last tick asked for */
    struct box boxes[BENCH_PEERS];
    struct drv_data *big[BENCH_BIG]; /* values that travelled as chunks */
    uint64_t big_count;
    struct core_record records[BENCH_RECORDS];
    size_t record_count;
    unsigned alert_count;   /* that actions were asked for */
    const char *notice;     /* the last one */
    uint32_t notice_leases; /* that it told of */
};

/* How the wall clock stands. */
static inline int64_t bench_wall(const struct bench *bench)
{
    return bench->now + BENCH_WALL + bench->wall_set;
}

/* --- the core ---------------------------------------------------------------------------- */

static inline void bench_check(struct bench *bench)
{
    const char *broken = core_check(bench->core);
    if (broken != NULL) {
        fail_msg("invariant broken: %s", broken);
    }
}

static inline drover_status bench_put(void *context, const struct drv_val *val,
                                      uint64_t *out_transfer)
{
    struct bench *bench = context;
    assert_true(bench->big_count < BENCH_BIG);
    struct drv_data *data;
    assert_ok(drv_data_copy(val->bytes, val->len, &data));
    bench->big[bench->big_count++] = data;
    *out_transfer = bench->big_count;
    return DROVER_OK;
}

static inline drover_status bench_take(void *context, uint64_t transfer, uint64_t total,
                                       struct drv_data **out_data)
{
    struct bench *bench = context;
    assert_true(transfer >= 1 && transfer <= bench->big_count);
    assert_int_equal(bench->big[transfer - 1]->len, total);
    *out_data = bench->big[transfer - 1];
    return DROVER_OK;
}

static inline struct letter *letter_new(struct bench *bench, const struct drv_message *message)
{
    struct letter *letter = calloc(1, sizeof *letter);
    assert_non_null(letter);
    drv_buffer_init(&letter->head);
    drv_buffer_init(&letter->blob);
    drv_arena_init(&letter->arena, 0);
    const struct drv_transfers transfers = {
        .take = bench_take, .put = bench_put, .context = bench};
    drover_status status = drv_message_encode(message, &transfers, &letter->head,
                                              &letter->blob);
    if (status) {
        fail_msg("a %s cannot be encoded: %s", drv_kind_name(message->kind),
                 drover_status_name(status));
    }
    const char *reason = NULL;
    status = drv_message_decode(letter->head.bytes, letter->head.len, letter->blob.bytes,
                                letter->blob.len, &transfers, &letter->arena, &letter->message,
                                &reason);
    if (status) {
        fail_msg("a %s cannot be decoded: %s", drv_kind_name(message->kind), reason);
    }
    return letter;
}

static inline void letter_free(struct letter *letter)
{
    if (letter != NULL) {
        drv_buffer_fini(&letter->head);
        drv_buffer_fini(&letter->blob);
        drv_arena_fini(&letter->arena);
        free(letter);
    }
}

static inline void bench_event(struct bench *bench, const struct core_event *event)
{
    core_step(bench->core, event, bench->now);
    bench_check(bench);
}

static inline void bench_settle(struct bench *bench, uint32_t peer)
{
    struct box *box = &bench->boxes[peer];
    if (box->last_token > 0) {
        struct core_event event = {
            .kind = CORE_EVENT_SETTLED, .peer = peer, .token = box->last_token};
        bench_event(bench, &event);
    }
}

static inline void bench_deliver(struct bench *bench, const struct core_effect *effect)
{
    struct box *box = &bench->boxes[effect->peer];
    switch (effect->kind) {
    case CORE_SEND: {
        assert_true(box->count < BENCH_INBOX);
        struct letter *letter = letter_new(bench, effect->message);
        letter->token = effect->token;
        if (effect->token > 0) {
            box->last_token = effect->token;
        }
        box->letters[(box->first + box->count++) % BENCH_INBOX] = letter;
        break;
    }
    case CORE_CLOSE:
        box->is_closed = true;
        break;
    case CORE_SETTLE:
        assert_true(effect->seq <= box->seq);
        assert_true(effect->seq >= box->settled);
        box->settled = effect->seq;
        break;
    case CORE_RECORD:
        if (bench->record_count < BENCH_RECORDS) {
            bench->records[bench->record_count++] = effect->record;
        }
        break;
    case CORE_ALERT:
        assert_true(effect->alert.rule.len > 0 && effect->alert.state != NULL);
        bench->alert_count++;
        break;
    case CORE_NOTICE:
        assert_non_null(effect->notice.text);
        bench->notice = effect->notice.text;
        bench->notice_leases = effect->notice.leases;
        break;
    }
}

static inline void log_add(struct bench_log *log, const struct core_save *save)
{
    if (log->count == log->capacity) {
        log->capacity = log->capacity == 0 ? 256 : log->capacity * 2;
        log->records = realloc(log->records, log->capacity * sizeof *log->records);
        assert_non_null(log->records);
    }
    uint8_t *body = malloc(save->head_len + save->tail_len);
    assert_non_null(body);
    memcpy(body, save->head, save->head_len);
    if (save->tail_len > 0) {
        memcpy(body + save->head_len, save->tail, save->tail_len);
    }
    log->records[log->count++] = (struct core_saved){.lsn = ++log->lsn,
                                                     .kind = save->kind,
                                                     .index = save->index,
                                                     .id = save->id,
                                                     .body = body,
                                                     .len = save->head_len + save->tail_len};
}

static inline void log_take(struct bench_log *log, const struct core *core)
{
    size_t count;
    const struct core_save *saves = core_saves(core, &count);
    for (size_t i = 0; i < count; i++) {
        log_add(log, &saves[i]);
    }
    assert_false(core_has_failed(core));
}

/* Without `count` records from number `first` on. */
static inline void log_drop(struct bench_log *log, size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++) {
        free((void *)log->records[i].body);
    }
    log->count -= count;
    for (size_t i = first; i < log->count; i++) {
        log->records[i] = log->records[i + count];
    }
}

static inline void log_clear(struct bench_log *log)
{
    log_drop(log, 0, log->count);
}

static inline void log_fini(struct bench_log *log)
{
    log_clear(log);
    free(log->records);
}

/* One tick, and everything it asks for. */
static inline void bench_tick(struct bench *bench)
{
    core_set_wall(bench->core, bench->now, bench_wall(bench));
    bench->wants = core_tick(bench->core, bench->now);
    bench_check(bench);
    log_take(&bench->log, bench->core);
    size_t count;
    const struct core_effect *effects = core_effects(bench->core, &count);
    for (size_t i = 0; i < count; i++) {
        bench_deliver(bench, &effects[i]);
    }
    core_effects_clear(bench->core);
    bench_check(bench);
}

/* Ticks until the core has nothing to do at this instant. Peers settle what they got. */
static inline void bench_turn(struct bench *bench)
{
    for (int i = 0; i < 1000; i++) {
        uint64_t tokens[BENCH_PEERS];
        for (uint32_t peer = 0; peer < BENCH_PEERS; peer++) {
            tokens[peer] = bench->boxes[peer].last_token;
        }
        bench_tick(bench);
        bool is_idle = bench->wants > bench->now;
        for (uint32_t peer = 0; peer < BENCH_PEERS; peer++) {
            struct box *box = &bench->boxes[peer];
            if (box->last_token != tokens[peer] && !box->holds_tokens) {
                bench_settle(bench, peer);
                is_idle = false;
            }
        }
        if (is_idle) {
            return;
        }
    }
    fail_msg("the core never comes to rest");
}

/* Time passes, in the steps that the core asks for. */
static inline void bench_pass(struct bench *bench, int64_t us)
{
    int64_t until = bench->now + us;
    bench_turn(bench);
    while (bench->wants <= until) {
        bench->now = bench->wants > bench->now ? bench->wants : bench->now;
        bench_turn(bench);
    }
    bench->now = until;
    bench_turn(bench);
}

static inline void bench_start(struct bench *bench)
{
    assert_ok(core_new(&bench->config, bench->now, &bench->core));
    bench_check(bench);
}

static inline struct bench *bench_new(void)
{
    struct bench *bench = calloc(1, sizeof *bench);
    assert_non_null(bench);
    core_config_init(&bench->config);
    bench->config.seed = 42;
    bench->config.tells_records = true;
    bench->config.broker_id.bytes[0] = 7;
    bench->config.epoch = 5;
    bench->config.software = "test";
    static const char *const clients[] = {"tcp://127.0.0.1:7710"};
    static const char *const workers[] = {"tcp://127.0.0.1:7711"};
    bench->config.client_endpoints = clients;
    bench->config.client_endpoint_count = 1;
    bench->config.worker_endpoints = workers;
    bench->config.worker_endpoint_count = 1;
    bench->now = 1000 * SECOND;
    return bench;
}

static inline void box_clear(struct box *box)
{
    while (box->count > 0) {
        letter_free(box->letters[box->first]);
        box->first = (box->first + 1) % BENCH_INBOX;
        box->count--;
    }
}

static inline void bench_free(struct bench *bench)
{
    core_destroy(&bench->core);
    log_fini(&bench->log);
    for (size_t i = 0; i < BENCH_PEERS; i++) {
        box_clear(&bench->boxes[i]);
    }
    for (uint64_t i = 0; i < bench->big_count; i++) {
        drv_data_unref(&bench->big[i]);
    }
    free(bench);
}

/* The broker dies and another one starts with the next epoch; connections are gone. */
static inline void bench_restart(struct bench *bench)
{
    core_destroy(&bench->core);
    for (size_t i = 0; i < BENCH_PEERS; i++) {
        box_clear(&bench->boxes[i]);
        memset(&bench->boxes[i], 0, sizeof bench->boxes[i]);
    }
    bench->config.epoch++;
    bench_start(bench);
}

static inline int bench_setup(void **state)
{
    *state = bench_new();
    bench_start(*state);
    return 0;
}

static inline int bench_teardown(void **state)
{
    bench_free(*state);
    return 0;
}

#define BENCH_TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)

/* --- sending ----------------------------------------------------------------------------- */

/* A message from a peer, as it comes off the wire; no tick. */
static inline void speak(struct bench *bench, uint32_t peer, struct drv_message *message)
{
    struct box *box = &bench->boxes[peer];
    message->epoch = box->epoch;
    message->seq = ++box->seq;
    struct letter *letter = letter_new(bench, message);
    struct core_event event = {.kind = CORE_EVENT_MESSAGE,
                               .peer = peer,
                               .port = box->port,
                               .message = &letter->message,
                               .key = box->key,
                               .is_inside = box->is_inside};
    bench_event(bench, &event);
    letter_free(letter);
}

static inline void gone(struct bench *bench, uint32_t peer)
{
    struct core_event event = {.kind = CORE_EVENT_GONE, .peer = peer};
    bench_event(bench, &event);
    box_clear(&bench->boxes[peer]);
    memset(&bench->boxes[peer], 0, sizeof bench->boxes[peer]);
}

static inline void blocked(struct bench *bench, uint32_t peer, bool is_blocked)
{
    struct core_event event = {.kind = is_blocked ? CORE_EVENT_BLOCKED : CORE_EVENT_UNBLOCKED,
                               .peer = peer};
    bench_event(bench, &event);
}

/* The next message to a peer, or NULL; borrowed until the inbox is read again 64 times. */
static inline const struct drv_message *next(struct bench *bench, uint32_t peer)
{
    static struct letter *read[64];
    static size_t turn;
    struct box *box = &bench->boxes[peer];
    if (box->count == 0) {
        return NULL;
    }
    letter_free(read[turn % 64]);
    struct letter *letter = box->letters[box->first];
    read[turn++ % 64] = letter;
    box->first = (box->first + 1) % BENCH_INBOX;
    box->count--;
    return &letter->message;
}

/* The next message of this kind; others before it are dropped. NULL: none. */
static inline const struct drv_message *find(struct bench *bench, uint32_t peer,
                                             enum drv_kind kind)
{
    const struct drv_message *message;
    while ((message = next(bench, peer)) != NULL) {
        if (message->kind == kind) {
            return message;
        }
    }
    return NULL;
}

static inline const struct drv_message *expect(struct bench *bench, uint32_t peer,
                                               enum drv_kind kind)
{
    const struct drv_message *message = find(bench, peer, kind);
    if (message == NULL) {
        fail_msg("no %s for peer %u", drv_kind_name(kind), peer);
    }
    return message;
}

static inline void expect_none(struct bench *bench, uint32_t peer, enum drv_kind kind)
{
    if (find(bench, peer, kind) != NULL) {
        fail_msg("a %s for peer %u", drv_kind_name(kind), peer);
    }
}

static inline void drop_all(struct bench *bench, uint32_t peer)
{
    box_clear(&bench->boxes[peer]);
}

#endif
