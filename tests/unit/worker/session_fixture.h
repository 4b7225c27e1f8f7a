/*
 * session_fixture.h: a worker's session on virtual time, with a broker and a pool that a test
 * plays itself.
 *
 * fixture_turn runs one tick and copies what came out of it into `seen`, which holds the
 * effects of the last turn only. The books are checked after every turn.
 */
#ifndef TESTS_SESSION_FIXTURE_H
#define TESTS_SESSION_FIXTURE_H

#include "session.h"
#include "test.h"

enum { SEEN_MAX = 2048, SEEN_LOGS_MAX = 512 };

static const int64_t SECOND = 1000 * 1000;
static const int64_t MS = 1000;

struct seen_task {
    uint64_t key;
    struct drv_ref ref;
    uint32_t count; /* elements of a range; 0: none */
    size_t needs_len, parent_count;
    uint64_t timeout_ms;
    char type[32], payload[64], meta[32], shared[32];
};

struct seen_result {
    struct drv_ref ref;
    uint32_t count; /* elements of a range; 0: none */
    uint32_t outcome, error_kind;
    char value[64], text[64], stderr_tail[64];
    size_t len;
    char tail[64]; /* "1:0 abc; 2:0 x" when it fits */
    size_t tail_len, tail_pieces;
};

struct seen_log {
    struct drv_ref ref;
    uint32_t stream, flags;
    uint64_t offset, token;
    size_t len, order; /* order: number of the effect */
    char text[64];     /* when it fits */
};

struct seen_question {
    struct drv_request request;
    struct drv_kv kv;
    char key[64], value[64];
};

struct seen {
    size_t awaits, await_count, submits, fetches;
    uint32_t await_flags;
    struct drv_ref await_ref;
    drover_id await_first, submit_id;
    uint64_t submit_req, fetch_req;
    struct drv_fetch fetch;
    char submit_type[32];
    int connects, disconnects, flushes, hellos, goodbyes, welcomes, losses, stops, complaints;
    int heartbeats, reports;
    char endpoint[64], text[128];
    struct drv_hello hello;
    struct drv_attached attached[SEEN_MAX];
    size_t attached_count, attaches;
    struct seen_task runs[SEEN_MAX];
    size_t run_count;
    uint64_t revoked[SEEN_MAX], cancelled[SEEN_MAX];
    uint32_t revoked_from[SEEN_MAX]; /* index */
    uint64_t term_ms, kill_ms;
    size_t revoke_count, cancel_count;
    struct drv_ref started[SEEN_MAX];
    struct seen_result results[SEEN_MAX];
    struct drv_returned returned[SEEN_MAX];
    struct drv_progress progress[SEEN_MAX];
    char progress_text[64];
    size_t started_count, result_count, returned_count, progress_count;
    uint64_t token; /* of the last REPORT */
    size_t entries_max;
    struct seen_question questions[8];
    size_t question_count;
    struct worker_answer answers[8];
    uint64_t answer_keys[8];
    char answer_value[64];
    size_t answer_count;
    struct seen_log logs[SEEN_LOGS_MAX];
    size_t log_count, log_bytes;
    size_t effects, report_order; /* numbers of effects */
    struct drv_running running[SEEN_MAX];
    size_t running_count;
    bool has_host;
    size_t details_len; /* of the last heartbeat */
    struct drv_host host;
    int credits;
    uint64_t credit, settled, retry_ms;
    drover_status status;
    bool resumed;
};

struct fixture {
    bool knows_no_await; /* the broker */
    struct worker_session_config config;
    struct worker_session *session;
    struct seen seen;
    int64_t now, next;
    uint64_t window; /* of the broker, told in WELCOME */
    uint64_t seq;    /* of the broker's messages on this connection */
};

static inline void fixture_text(char *out, size_t size, const void *bytes, size_t len)
{
    assert_true(len < size);
    if (len > 0) {
        memcpy(out, bytes, len);
    }
    out[len] = '\0';
}

static inline void fixture_see_tail(struct seen_result *copy, const struct drv_tail *tail)
{
    size_t len = 0;
    const char *text = tail->text.ptr;
    copy->tail_len = tail->text.len;
    copy->tail_pieces = tail->piece_count;
    for (size_t i = 0; i < tail->piece_count && len < sizeof copy->tail; i++) {
        const struct drv_piece *piece = &tail->pieces[i];
        len += (size_t)snprintf(copy->tail + len, sizeof copy->tail - len, "%s%d:%d %.*s",
                                i > 0 ? "; " : "", (int)piece->stream, (int)piece->offset,
                                (int)piece->len, text);
        text += piece->len;
    }
}

static inline void fixture_see_log(struct seen *seen, const struct worker_effect *effect)
{
    const struct drv_log_chunk *log = &effect->message->log;
    struct seen_log *copy = &seen->logs[seen->log_count++];
    *copy = (struct seen_log){.ref = log->ref,
                              .stream = log->stream,
                              .flags = log->flags,
                              .offset = log->offset,
                              .token = effect->token,
                              .len = log->text.len,
                              .order = seen->effects};
    seen->log_bytes += log->text.len;
    if (log->text.len < sizeof copy->text) {
        fixture_text(copy->text, sizeof copy->text, log->text.ptr, log->text.len);
    }
}

static inline void fixture_see_report(struct seen *seen, const struct drv_report *report)
{
    size_t entries = report->started_count + report->result_count + report->returned_count +
                     report->progress_count;
    seen->entries_max = entries > seen->entries_max ? entries : seen->entries_max;
    for (size_t i = 0; i < report->started_count; i++) {
        seen->started[seen->started_count++] = report->started[i];
    }
    for (size_t i = 0; i < report->returned_count; i++) {
        seen->returned[seen->returned_count++] = report->returned[i];
    }
    for (size_t i = 0; i < report->progress_count; i++) {
        const struct drv_str *text = &report->progress[i].text;
        fixture_text(seen->progress_text, sizeof seen->progress_text, text->ptr, text->len);
        seen->progress[seen->progress_count++] = report->progress[i];
    }
    for (size_t i = 0; i < report->result_count; i++) {
        const struct drv_result *result = &report->results[i];
        struct seen_result *copy = &seen->results[seen->result_count++];
        *copy = (struct seen_result){.ref = result->ref,
                                     .count = result->range.count,
                                     .outcome = result->outcome,
                                     .error_kind = result->error.kind,
                                     .len = result->val.len};
        if (result->val.len < sizeof copy->value) {
            fixture_text(copy->value, sizeof copy->value, result->val.bytes, result->val.len);
        }
        fixture_text(copy->text, sizeof copy->text, result->error.text.ptr,
                     result->error.text.len);
        fixture_text(copy->stderr_tail, sizeof copy->stderr_tail, result->error.stderr_tail.ptr,
                     result->error.stderr_tail.len);
        fixture_see_tail(copy, &result->tail);
    }
}

static inline void fixture_see_question(struct seen *seen, const struct drv_message *message)
{
    struct seen_question *question = &seen->questions[seen->question_count++];
    question->request = message->request;
    question->kv = message->kv;
    fixture_text(question->key, sizeof question->key, message->kv.key.ptr, message->kv.key.len);
    fixture_text(question->value, sizeof question->value, message->kv.val.bytes,
                 message->kv.val.len);
}

static inline void fixture_see_message(struct seen *seen, const struct worker_effect *effect)
{
    const struct drv_message *message = effect->message;
    if (message->kind == DRV_HELLO) {
        seen->hellos++;
        seen->hello = message->hello;
    } else if (message->kind == DRV_ATTACH) {
        seen->attaches++;
        for (size_t i = 0; i < message->attach.lease_count; i++) {
            seen->attached[seen->attached_count++] = message->attach.leases[i];
        }
    } else if (message->kind == DRV_REPORT) {
        seen->reports++;
        seen->report_order = seen->effects;
        seen->token = effect->token;
        fixture_see_report(seen, &message->report);
    } else if (message->kind == DRV_HEARTBEAT) {
        seen->heartbeats++;
        seen->has_host = message->heartbeat.has_host;
        seen->host = message->heartbeat.host;
        seen->details_len = message->heartbeat.details.len;
        for (size_t i = 0; i < message->heartbeat.running_count; i++) {
            seen->running[seen->running_count++] = message->heartbeat.running[i];
        }
    } else if (message->kind == DRV_CREDIT) {
        seen->credits++;
        seen->credit = message->credit.items;
    } else if (message->kind == DRV_KV) {
        fixture_see_question(seen, message);
    } else if (message->kind == DRV_AWAIT) {
        seen->awaits++;
        seen->await_ref = message->await.ref;
        seen->await_count = message->await.child_count;
        seen->await_flags = message->await.flags;
        seen->await_first = message->await.children[0];
        seen->token = effect->token;
    } else if (message->kind == DRV_SUBMIT) {
        const struct drv_submit_group *group = &message->submit.groups[0];
        seen->submits++;
        seen->submit_req = message->request.req;
        seen->submit_id = group->entries[0].id;
        fixture_text(seen->submit_type, sizeof seen->submit_type, group->spec.type.ptr,
                     group->spec.type.len);
    } else if (message->kind == DRV_FETCH) {
        seen->fetches++;
        seen->fetch_req = message->request.req;
        seen->fetch = message->fetch;
    } else if (message->kind == DRV_LOG) {
        fixture_see_log(seen, effect);
    } else if (message->kind == DRV_GOODBYE) {
        seen->goodbyes++;
    } else {
        fail_msg("a worker does not send kind %d", (int)message->kind);
    }
}

static inline void fixture_see_run(struct seen *seen, const struct worker_task *task)
{
    struct seen_task *run = &seen->runs[seen->run_count++];
    *run = (struct seen_task){.key = task->key,
                              .ref = task->ref,
                              .count = task->range.count,
                              .needs_len = task->needs.len,
                              .parent_count = task->parent_count,
                              .timeout_ms = task->timeout_ms};
    fixture_text(run->type, sizeof run->type, task->type.ptr, task->type.len);
    fixture_text(run->payload, sizeof run->payload, task->val.bytes, task->val.len);
    fixture_text(run->meta, sizeof run->meta, task->meta.ptr, task->meta.len);
    fixture_text(run->shared, sizeof run->shared, task->shared.bytes, task->shared.len);
}

static inline void fixture_see(struct seen *seen, const struct worker_effect *effect)
{
    seen->effects++;
    switch (effect->kind) {
    case WORKER_CONNECT:
        seen->connects++;
        fixture_text(seen->endpoint, sizeof seen->endpoint, effect->text.ptr, effect->text.len);
        break;
    case WORKER_DISCONNECT:
        seen->disconnects++;
        seen->flushes += effect->number == 1 ? 1 : 0;
        break;
    case WORKER_SEND:
        fixture_see_message(seen, effect);
        break;
    case WORKER_SETTLE:
        seen->settled = effect->number;
        break;
    case WORKER_RUN:
        assert_int_equal(effect->key, effect->task->key);
        fixture_see_run(seen, effect->task);
        break;
    case WORKER_REVOKE:
        seen->revoked_from[seen->revoke_count] = (uint32_t)effect->number;
        seen->revoked[seen->revoke_count++] = effect->key;
        break;
    case WORKER_CANCEL:
        seen->cancelled[seen->cancel_count++] = effect->key;
        seen->term_ms = effect->term_ms;
        seen->kill_ms = effect->kill_ms;
        break;
    case WORKER_ANSWER:
        fixture_text(seen->answer_value, sizeof seen->answer_value, effect->answer->val.bytes,
                     effect->answer->val.len);
        seen->answer_keys[seen->answer_count] = effect->key;
        seen->answers[seen->answer_count++] = *effect->answer;
        break;
    case WORKER_WELCOMED:
        seen->welcomes++;
        seen->resumed = effect->number == 1;
        fixture_text(seen->text, sizeof seen->text, effect->text.ptr, effect->text.len);
        break;
    case WORKER_LOST:
        seen->losses++;
        seen->retry_ms = effect->number;
        fixture_text(seen->text, sizeof seen->text, effect->text.ptr, effect->text.len);
        break;
    case WORKER_COMPLAINT:
        seen->complaints++;
        break;
    case WORKER_STOPPED:
        seen->stops++;
        seen->status = effect->status;
        fixture_text(seen->text, sizeof seen->text, effect->text.ptr, effect->text.len);
        break;
    }
}

static inline void fixture_turn(struct fixture *f)
{
    size_t count = 0;
    f->next = worker_session_tick(f->session, f->now);
    memset(&f->seen, 0, sizeof f->seen);
    const struct worker_effect *effects = worker_session_effects(f->session, &count);
    for (size_t i = 0; i < count; i++) {
        fixture_see(&f->seen, &effects[i]);
    }
    worker_session_effects_clear(f->session);
    if (f->seen.connects > 0) {
        f->seq = 0;
    }
    assert_false(worker_session_is_broke(f->session));
    const char *broken = worker_session_check(f->session);
    if (broken != NULL) {
        fail_msg("%s", broken);
    }
}

/* Later, with the broker's answers to heartbeats on the way. */
static inline void fixture_pass(struct fixture *f, int64_t us)
{
    int64_t until = f->now + us;
    while (f->now < until) {
        int64_t step = until - f->now < SECOND ? until - f->now : SECOND;
        f->now += step;
        worker_session_heard(f->session, f->now);
        fixture_turn(f);
    }
}

/* ---- the broker ---- */

static inline void fixture_receive(struct fixture *f, struct drv_message *message)
{
    message->seq = ++f->seq;
    worker_session_message(f->session, message, f->now);
}

static inline void fixture_welcome_as(struct fixture *f, bool resumed)
{
    static const struct drv_str capabilities[] = {{"after", 5}, {"await", 5}};
    struct drv_message message = {
        .kind = DRV_WELCOME,
        .epoch = 7,
        .welcome = {.version = 1,
                    .resumed = resumed,
                    .capabilities = capabilities,
                    .capability_count = f->knows_no_await ? 1 : 2,
                    .credit_bytes = f->window,
                    .heartbeat_ms = 1000,
                    .lease_ms = 10000,
                    .name = drv_str_of("w1"),
                    .limits = {.requests_max = 4}},
    };
    fixture_receive(f, &message);
}

static inline struct drv_ref fixture_ref(uint8_t task, uint32_t attempt)
{
    struct drv_ref ref = {
        .handle = 100u + task, .index = DROVER_INDEX_NONE, .attempt = attempt};
    ref.id.bytes[15] = task;
    return ref;
}

static inline void fixture_lease_group(struct fixture *f, struct drv_lease_group group,
                                       const struct drv_lease_entry *entries, size_t count)
{
    group.entries = entries;
    group.entry_count = count;
    struct drv_message message = {.kind = DRV_LEASE,
                                  .lease = {.groups = &group, .group_count = 1}};
    fixture_receive(f, &message);
}

static inline struct drv_lease_entry fixture_entry(uint8_t task, uint32_t attempt,
                                                   const char *payload)
{
    return (struct drv_lease_entry){
        .ref = fixture_ref(task, attempt),
        .val = {.bytes = (const uint8_t *)payload, .len = strlen(payload)}};
}

static inline struct drv_lease_group fixture_group(const char *type, uint32_t flags)
{
    return (struct drv_lease_group){.type = drv_str_of(type),
                                    .queue = drv_str_of("default"),
                                    .timeout_ms = 5000,
                                    .term_ms = 2000,
                                    .kill_ms = 5000,
                                    .flags = flags};
}

/* A lease of attempt 1 of that task, type "echo". */
static inline void fixture_lease(struct fixture *f, uint8_t task, uint32_t flags)
{
    struct drv_lease_entry entry = fixture_entry(task, 1, "payload");
    fixture_lease_group(f, fixture_group("echo", flags), &entry, 1);
}

static inline void fixture_name_leases(struct fixture *f, enum drv_kind kind, uint8_t task)
{
    struct drv_ref ref = fixture_ref(task, 1);
    struct drv_message message = {.kind = kind, .leases = {.leases = &ref, .lease_count = 1}};
    fixture_receive(f, &message);
}

static inline void fixture_follow(struct fixture *f, uint8_t task, uint32_t streams)
{
    struct drv_follow_entry entry = {.ref = fixture_ref(task, 1), .streams = streams};
    struct drv_message message = {.kind = DRV_FOLLOW,
                                  .follow = {.leases = &entry, .lease_count = 1}};
    fixture_receive(f, &message);
}

static inline void fixture_abort(struct fixture *f, uint8_t task, drover_status code)
{
    struct drv_abort_entry entry = {.ref = fixture_ref(task, 1), .code = (uint32_t)code};
    struct drv_message message = {.kind = DRV_ABORT,
                                  .abort = {.leases = &entry, .lease_count = 1}};
    fixture_receive(f, &message);
}

static inline void fixture_error(struct fixture *f, drover_status code, const char *text)
{
    struct drv_message message = {
        .kind = DRV_ERROR, .failure = {.code = (uint32_t)code, .text = drv_str_of(text)}};
    fixture_receive(f, &message);
}

/* ---- the pool ---- */

static inline void fixture_finish(struct fixture *f, uint64_t key, const char *value)
{
    struct drv_result result = {.outcome = DRV_OUTCOME_SUCCEEDED,
                                .val = {.bytes = (const uint8_t *)value, .len = strlen(value)}};
    worker_session_task_finished(f->session, key, &result, f->now);
}

static inline void fixture_fail(struct fixture *f, uint64_t key, uint32_t outcome,
                                uint32_t kind)
{
    struct drv_result result = {.outcome = outcome,
                                .val = {.is_nil = true},
                                .error = {.kind = kind,
                                          .text = drv_str_of("why"),
                                          .stderr_tail = drv_str_of("tail"),
                                          .exit_code = -1}};
    worker_session_task_finished(f->session, key, &result, f->now);
}

static inline void fixture_print(struct fixture *f, uint64_t key, enum drv_output stream,
                                 const char *text)
{
    worker_session_task_output(f->session, key, stream, 0, drv_str_of(text));
}

/* ---- life ---- */

static inline struct fixture *fixture_new(void)
{
    static const struct drv_offer types[] = {{.name = {"square", 6}, .model = 1},
                                             {.name = {"echo", 4}, .model = 1},
                                             {.name = {"sleep", 5}, .model = 1}};
    static const struct drv_str endpoints[] = {{"tcp://a:1", 9}, {"tcp://b:2", 9}};
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    worker_session_config_init(&f->config);
    f->config.seed = 42;
    f->config.session.bytes[0] = 9;
    f->config.name = drv_str_of("w");
    f->config.slots = 2;
    f->config.run_max = 2;
    f->config.prefetch = 4;
    f->config.types = types;
    f->config.type_count = 3;
    f->config.endpoints = endpoints;
    f->config.endpoint_count = 2;
    f->now = 1000 * SECOND;
    f->window = 4 * 1024 * 1024;
    return f;
}

/* Made, with the config as the test has changed it; HELLO is in `seen`. */
static inline void fixture_start(struct fixture *f)
{
    assert_ok(worker_session_new(&f->config, &f->session));
    worker_session_start(f->session, f->now);
    fixture_turn(f);
}

static inline struct fixture *fixture_serving(void)
{
    struct fixture *f = fixture_new();
    fixture_start(f);
    fixture_welcome_as(f, false);
    fixture_turn(f);
    return f;
}

/* Loses the connection and gets the next one; WELCOME is not yet there. */
static inline void fixture_reconnect(struct fixture *f)
{
    worker_session_broken(f->session, "cut", f->now);
    fixture_turn(f);
    f->now = f->next;
    fixture_turn(f);
    assert_int_equal(f->seen.connects, 1);
}

/* One lease that runs in the pool; its key. */
static inline uint64_t fixture_run(struct fixture *f, uint8_t task)
{
    fixture_lease(f, task, 0);
    fixture_turn(f);
    assert_int_equal(f->seen.run_count, 1);
    uint64_t key = f->seen.runs[0].key;
    worker_session_task_started(f->session, key, f->now);
    return key;
}

static inline void fixture_destroy(struct fixture *f)
{
    worker_session_destroy(&f->session);
    free(f);
}

#endif
