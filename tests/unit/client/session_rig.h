/*
 * session_rig.h: a client's session and the broker's end of its connection, on virtual time.
 *
 *     drv_session <── frames ──> drv_link of the broker ──> log of what was received
 *
 * Nothing is answered unless the test says so.
 */
#ifndef SESSION_RIG_H
#define SESSION_RIG_H

#include "session.h"
#include "test.h"

#include "arena.h"
#include "check.h"
#include "link.h"
#include "rng.h"

#define RIG_LOG_MAX 2048
#define RIG_IDS_MAX 300
#define RIG_SECOND 1000000

struct rig_seen { /* one message that the broker received */
    enum drv_kind kind;
    uint64_t epoch;
    struct drv_request request;
    size_t count;       /* entries, targets */
    size_t group_count; /* SUBMIT */
    drover_id id;       /* of the first entry or target; session of HELLO */
    drover_id last_id;
    drover_id ids[RIG_IDS_MAX]; /* of SUBMIT and WATCH */
    uint64_t connection;
    uint64_t target_epoch;
    uint32_t target_level;
    uint32_t flags; /* of the first spec, or of WATCH */
    bool resume;
    size_t value_len;   /* of the first entry */
    uint8_t value_last; /* its last byte */
    uint32_t code;      /* ERROR, GOODBYE */
};

struct rig {
    struct drv_session *session;
    int64_t now_us;
    int64_t next_us; /* when the session wants the next tick */
    struct drv_link *link;
    uint64_t connection;
    struct drv_arena arena;
    struct rig_seen *seen; /* owned; RIG_LOG_MAX */
    size_t seen_count;
    size_t connections;
    uint64_t epoch;
    uint64_t retry_after_ms; /* for the next ERROR */
};

static drover_status rig_random_id(drover_id *out_id)
{
    static uint8_t counter;
    memset(out_id, 0x5e, sizeof(*out_id));
    out_id->bytes[0] = ++counter;
    return DROVER_OK;
}

static inline drover_id rig_id(unsigned number)
{
    drover_id id = {{1}};
    id.bytes[14] = (uint8_t)(number >> 8);
    id.bytes[15] = (uint8_t)number;
    return id;
}

static inline void rig_open(struct rig *rig)
{
    memset(rig, 0, sizeof(*rig));
    struct drv_session_config config = {
        .seed = 7,
        .endpoint = "tcp://here:1",
        .name = "test",
        .unread_bytes_max = 1000,
        .random_id = rig_random_id,
    };
    rig->now_us = 5 * RIG_SECOND;
    rig->epoch = 3;
    rig->seen = calloc(RIG_LOG_MAX, sizeof(*rig->seen));
    assert_non_null(rig->seen);
    drv_arena_init(&rig->arena, 4096);
    assert_ok(drv_session_new(&config, &rig->session));
}

static inline void rig_close(struct rig *rig)
{
    drv_session_end(rig->session, DROVER_CLOSED, rig->now_us);
    drv_session_destroy(&rig->session);
    drv_link_destroy(&rig->link);
    drv_arena_fini(&rig->arena);
    free(rig->seen);
}

static inline void rig_note_submit(struct rig_seen *seen, const struct drv_submit *submit)
{
    seen->group_count = submit->group_count;
    seen->id = submit->groups[0].entries[0].id;
    seen->flags = submit->groups[0].spec.flags;
    const struct drv_val *val = &submit->groups[0].entries[0].val;
    seen->value_len = val->len;
    seen->value_last = val->len > 0 ? val->bytes[val->len - 1] : 0;
    for (size_t i = 0; i < submit->group_count; i++) {
        const struct drv_submit_group *group = &submit->groups[i];
        for (size_t k = 0; k < group->entry_count && seen->count + k < RIG_IDS_MAX; k++) {
            seen->ids[seen->count + k] = group->entries[k].id;
        }
        seen->count += group->entry_count;
        seen->last_id = group->entries[group->entry_count - 1].id;
    }
}

static inline void rig_log(struct rig *rig, const struct drv_message *message)
{
    assert_true(rig->seen_count < RIG_LOG_MAX);
    struct rig_seen *seen = &rig->seen[rig->seen_count++];
    memset(seen, 0, sizeof(*seen));
    seen->kind = message->kind;
    seen->connection = rig->connection;
    seen->epoch = message->epoch;
    seen->request = message->request;
    if (message->kind == DRV_HELLO) {
        seen->id = message->hello.session;
        seen->resume = message->hello.resume;
    } else if (message->kind == DRV_SUBMIT) {
        rig_note_submit(seen, &message->submit);
    } else if (message->kind == DRV_WATCH || message->kind == DRV_UNWATCH ||
               message->kind == DRV_CANCEL) {
        seen->count = message->targets.target_count;
        for (size_t i = 0; i < seen->count && i < RIG_IDS_MAX; i++) {
            seen->ids[i] = message->targets.targets[i].id;
        }
        seen->id = message->targets.targets[0].id;
        seen->target_epoch = message->targets.targets[0].epoch;
        seen->target_level = message->targets.targets[0].level;
        seen->flags = message->targets.flags;
    } else if (message->kind == DRV_ERROR) {
        seen->code = message->failure.code;
    } else if (message->kind == DRV_GOODBYE) {
        seen->code = message->goodbye.code;
    }
}

static inline void rig_new_connection(struct rig *rig)
{
    struct drv_link_config config = {
        .epoch = rig->epoch,
        .window_out = 1 << 24,
        .window_in = 1 << 24,
        .ack_delay_us = 1000,
    };
    drv_link_destroy(&rig->link);
    rig->connection = drv_session_connection(rig->session);
    if (rig->connection != 0) {
        rig->connections++;
        assert_ok(drv_link_new(&config, &rig->link));
    }
}

/* What the session has to say reaches the broker. */
static inline void rig_pump(struct rig *rig)
{
    struct drv_frames frames;
    if (rig->connection != drv_session_connection(rig->session)) {
        rig_new_connection(rig);
    }
    while (rig->link != NULL && drv_session_next(rig->session, &frames)) {
        struct drv_message message;
        memset(&message, 0, sizeof(message));
        struct drv_data *blob = NULL;
        if (frames.blob_len > 0) {
            assert_ok(
                drv_data_copy(frames.blob->bytes + frames.blob_offset, frames.blob_len, &blob));
        }
        drv_arena_reset(&rig->arena);
        assert_ok(drv_link_receive(rig->link, frames.head->bytes, frames.head->len, blob,
                                   frames.blob_len, rig->now_us, &rig->arena, &message, NULL));
        if (message.kind != 0) {
            rig_log(rig, &message);
            drv_link_settle(rig->link, message.seq, rig->now_us);
        }
        drv_data_unref(&blob);
        drv_data_unref(&frames.head);
        drv_data_unref(&frames.blob);
    }
}

/* Time passes, then the session is driven. */
static inline void rig_step(struct rig *rig, int64_t us)
{
    size_t before;
    rig->now_us += us;
    do {
        before = rig->seen_count;
        rig->next_us = drv_session_tick(rig->session, rig->now_us);
        rig_pump(rig);
    } while (rig->seen_count >= before + 64);
}

/* As rig_step, but the session is driven whenever it asks for it. */
static inline void rig_run(struct rig *rig, int64_t us)
{
    int64_t end_us = rig->now_us + us;
    while (rig->next_us <= end_us) {
        int64_t step_us = rig->next_us - rig->now_us;
        rig_step(rig, step_us > 0 ? step_us : 1);
    }
    rig_step(rig, end_us > rig->now_us ? end_us - rig->now_us : 0);
}

/* Everything queued at the broker reaches the session. */
static inline void rig_deliver(struct rig *rig)
{
    struct drv_frames frames;
    while (rig->link != NULL && drv_link_next(rig->link, &frames)) {
        struct drv_data *blob = NULL;
        if (frames.blob_len > 0) {
            assert_ok(
                drv_data_copy(frames.blob->bytes + frames.blob_offset, frames.blob_len, &blob));
        }
        drv_session_receive(rig->session, frames.head->bytes, frames.head->len,
                            drv_data_view(blob).bytes, frames.blob_len, rig->now_us);
        drv_data_unref(&blob);
        drv_data_unref(&frames.head);
        drv_data_unref(&frames.blob);
    }
    rig_step(rig, 0);
}

static inline void rig_send(struct rig *rig, const struct drv_message *message)
{
    assert_ok(drv_link_send(rig->link, message, 0));
    rig_deliver(rig);
}

static inline void rig_welcome(struct rig *rig, bool resumed)
{
    struct drv_str capability = drv_str_of("keys");
    struct drv_message message = {.kind = DRV_WELCOME};
    message.welcome = (struct drv_welcome){
        .version = 1,
        .broker = rig_id(1000),
        .software = drv_str_of("rig"),
        .resumed = resumed,
        .capabilities = &capability,
        .capability_count = 1,
        .credit_bytes = 1 << 24,
        .limits = {DRV_HEAD_MAX, DRV_BLOB_MAX, DRV_BATCH_MAX, DRV_INLINE_MAX, DRV_PAYLOAD_MAX,
                   DRV_REQUESTS_MAX, DRV_ARRAY_MAX, DRV_META_MAX},
        .heartbeat_ms = 1000,
        .lease_ms = 10000,
        .reattach_ms = 15000,
        .ack_ms = 1,
        .session_ms = 3600000,
        .durability_max = 1,
        .name = drv_str_of("test"),
    };
    rig_send(rig, &message);
}

/* A session that is up, its log empty. */
static inline void rig_up(struct rig *rig)
{
    rig_open(rig);
    rig_step(rig, 0);
    rig_welcome(rig, false);
    assert_true(drv_session_is_up(rig->session));
    rig->seen_count = 0;
}

static inline void rig_error(struct rig *rig, drover_status code, const char *text,
                             const char *endpoint, enum drv_kind about)
{
    struct drv_message message = {.kind = DRV_ERROR};
    message.failure = (struct drv_failure){.code = (uint32_t)code,
                                           .text = drv_str_of(text),
                                           .retry_after_ms = rig->retry_after_ms,
                                           .about_kind = (uint32_t)about,
                                           .endpoint = drv_str_of(endpoint)};
    rig_send(rig, &message);
}

static inline void rig_reply_notes(struct rig *rig, uint64_t req, drover_status code,
                                   int64_t number, const struct drv_note *notes, size_t count)
{
    struct drv_reply reply = {.req = req,
                              .code = (uint32_t)code,
                              .number = number,
                              .retry_after_ms = 200,
                              .notes = notes,
                              .note_count = count,
                              .val = {.is_nil = true}};
    struct drv_message message = {.kind = DRV_REPLY};
    message.reply = (struct drv_replies){&reply, 1};
    rig_send(rig, &message);
}

static inline void rig_reply(struct rig *rig, uint64_t req, drover_status code)
{
    rig_reply_notes(rig, req, code, 1, NULL, 0);
}

/* One entry of RESULTS, its value a small integer (nil when negative). */
static inline void rig_result(struct rig *rig, drover_id id, uint32_t index, drover_state state,
                              int value)
{
    uint8_t byte = (uint8_t)(value & 0x7f);
    struct drv_outcome entry = {.id = id, .index = index, .state = state, .attempt = 1};
    entry.val.is_nil = value < 0;
    entry.error.exit_code = -1;
    if (value >= 0) {
        entry.val.bytes = &byte;
        entry.val.len = 1;
    }
    if (state == DROVER_STATE_FAILED) {
        entry.error.kind = DROVER_ERROR_HANDLER;
        entry.error.code = drv_str_of("bad");
        entry.error.text = drv_str_of("no good");
    }
    struct drv_message message = {.kind = DRV_RESULTS};
    message.results = (struct drv_results){&entry, 1};
    rig_send(rig, &message);
}

/* How many messages of a kind the broker has received. */
static inline size_t rig_count(const struct rig *rig, enum drv_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < rig->seen_count; i++) {
        count += rig->seen[i].kind == kind;
    }
    return count;
}

/* The last message of a kind; there must be one. */
static inline const struct rig_seen *rig_last(const struct rig *rig, enum drv_kind kind)
{
    for (size_t i = rig->seen_count; i > 0; i--) {
        if (rig->seen[i - 1].kind == kind) {
            return &rig->seen[i - 1];
        }
    }
    fail_msg("no %s was received", drv_kind_name(kind));
    return NULL;
}

/* The connection breaks and a new one resumes the session. */
static inline void rig_reconnect(struct rig *rig, bool resumed)
{
    drv_session_lost(rig->session, rig->connection, "cut", rig->now_us);
    rig->next_us = 0;
    rig_run(rig, 100000);
    assert_int_equal(rig_last(rig, DRV_HELLO)->resume, true);
    rig_welcome(rig, resumed);
    assert_true(drv_session_is_up(rig->session));
}

/* ---- things to ask and to submit --------------------------------------------------------- */

struct rig_ask {
    struct drv_pending pending;
    int answers;
    drover_status status;
    struct drv_target target;
};

static inline void rig_on_answer(struct drv_pending *pending, const struct drv_answer *answer)
{
    struct rig_ask *ask = DRV_CONTAINER_OF(pending, struct rig_ask, pending);
    ask->answers++;
    ask->status = answer->status;
}

static inline void rig_ask_init(struct rig_ask *ask, enum drv_kind kind, drover_id id)
{
    memset(ask, 0, sizeof(*ask));
    drv_pending_init(&ask->pending, kind, rig_on_answer);
    if (kind == DRV_QUERY) {
        ask->pending.message.query = (struct drv_query){.topic = DRV_TOPIC_STATUS,
                                                        .index = DROVER_INDEX_NONE};
        return;
    }
    ask->target = (struct drv_target){.id = id, .index = DROVER_INDEX_NONE};
    ask->pending.message.targets = (struct drv_targets){.targets = &ask->target,
                                                        .target_count = 1};
}

struct rig_task {
    struct drv_submission submission;
    struct drv_watcher watcher;
    int taken; /* calls of on_taken */
    drover_status taken_status;
    drover_durability level;
    int ended; /* calls of on_end */
    drover_status end_status;
    drover_outcome *outcome; /* owned */
    int elements;
};

static inline void rig_on_taken(struct drv_submission *submission, drover_status status,
                                drover_durability level, struct drv_str text)
{
    struct rig_task *task = DRV_CONTAINER_OF(submission, struct rig_task, submission);
    task->taken++;
    task->taken_status = status;
    task->level = level;
}

static inline void rig_on_end(struct drv_watcher *watcher, drover_status status,
                              drover_outcome *outcome)
{
    struct rig_task *task = DRV_CONTAINER_OF(watcher, struct rig_task, watcher);
    task->ended++;
    task->end_status = status;
    drover_outcome_destroy(&task->outcome);
    task->outcome = drv_outcome_ref(outcome);
}

static inline void rig_on_element(struct drv_watcher *watcher, drover_outcome *outcome)
{
    DRV_CONTAINER_OF(watcher, struct rig_task, watcher)->elements++;
}

static inline void rig_watcher_init(struct rig_task *task, bool wants_value)
{
    memset(task, 0, sizeof(*task));
    drv_watcher_init(&task->watcher);
    task->watcher.wants_value = wants_value;
    task->watcher.on_end = rig_on_end;
}

static inline void rig_task_fini(struct rig_task *task)
{
    drover_outcome_destroy(&task->outcome);
    drv_payload_fini(&task->submission.payload);
    drv_task_spec_unref(&task->submission.spec);
}

static inline struct drv_task_spec *rig_spec(const char *type, int64_t wait_ms, uint32_t flags)
{
    drover_submit_options options = DROVER_SUBMIT_OPTIONS_INIT;
    struct drv_task_spec *spec = NULL;
    options.wait_ms = wait_ms;
    assert_ok(drv_task_spec_ensure(NULL, type, &options, flags, &spec));
    return spec;
}

/* Submits a task with the number as its id and payload; watched if the spec says so. */
static inline void rig_submit(struct rig *rig, struct rig_task *task, unsigned number,
                              struct drv_task_spec *spec)
{
    drover_value *value = NULL;
    drover_id id = rig_id(number);
    rig_watcher_init(task, true);
    task->submission.id = id;
    task->submission.spec = drv_task_spec_ref(spec);
    task->submission.on_taken = rig_on_taken;
    drv_list_init(&task->submission.link);
    assert_ok(drover_value_new_int((int64_t)number, &value));
    assert_ok(drv_payload_init(&task->submission.payload, value));
    drover_value_destroy(&value);
    if ((spec->spec.flags & DRV_SPEC_WATCH) != 0) {
        assert_ok(drv_session_watch_new(rig->session, &task->watcher, &id, true));
        task->submission.watcher = &task->watcher;
    }
    drv_session_submit(rig->session, &task->submission, rig->now_us);
}

#endif
