/*
 * What the broker says: one handler per kind of message.
 */
#include "buffer.h"
#include "pack.h"
#include "session_state.h"

#include <string.h>

/* ---- WELCOME, ERROR, GOODBYE, MOVED ---------------------------------------------------------
 */

static int64_t interval_us(uint64_t told_ms, int64_t fallback_us)
{
    enum { INTERVAL_MIN_MS = 10, INTERVAL_MAX_MS = 3600 * 1000 };
    if (told_ms == 0) {
        return fallback_us;
    }
    if (told_ms < INTERVAL_MIN_MS) {
        told_ms = INTERVAL_MIN_MS;
    }
    return (int64_t)(told_ms > INTERVAL_MAX_MS ? INTERVAL_MAX_MS : told_ms) * 1000;
}

/* The outcome of what a lost session was asked is unknown; what changes nothing is asked
 * again. */
static void doubt_questions(struct worker_session *session)
{
    DRV_LIST_EACH_SAFE(link, &session->questions.open)
    {
        struct worker_question *question = DRV_LIST_ITEM(link, struct worker_question, link);
        if (question->is_sent && question->kv.has_fence) {
            worker_session_answer(session, question,
                                  &(struct worker_answer){.code = DROVER_OUTCOME_UNKNOWN,
                                                          .val = {.is_nil = true}});
            worker_questions_remove(&session->questions, &question);
        }
    }
}

static void on_welcome(struct worker_session *session, const struct drv_message *message,
                       int64_t now_us)
{
    const struct drv_welcome *welcome = &message->welcome;
    if (!worker_session_welcome(session)) {
        worker_session_break(session, drv_str_of("a second WELCOME"), 0, now_us);
        return;
    }
    session->heartbeat_us = interval_us(welcome->heartbeat_ms, session->config.heartbeat_us);
    session->lease_us = interval_us(welcome->lease_ms, session->config.lease_us);
    session->silence_us = 0;
    session->requests_max = welcome->limits.requests_max > 0 ? welcome->limits.requests_max
                                                             : DRV_REQUESTS_MAX;
    session->window = welcome->credit_bytes;
    session->welcomed_at_us = now_us;
    session->heartbeat_at_us = now_us;
    session->details_due = session->details.len > 0; /* a broker that started anew has none */
    session->is_broker_draining = false;
    session->has_await = false;
    for (size_t i = 0; i < welcome->capability_count; i++) {
        const struct drv_str *capability = &welcome->capabilities[i];
        session->has_await |= capability->len == strlen("await") &&
                              memcmp(capability->ptr, "await", capability->len) == 0;
    }
    worker_session_set_told(session, welcome->worker_endpoints, welcome->worker_endpoint_count);
    if (session->was_welcomed && !welcome->resumed) {
        doubt_questions(session);
    }
    session->was_welcomed = true;
    worker_effects_add(
        &session->effects,
        &(struct worker_effect){.kind = WORKER_WELCOMED,
                                .number = welcome->resumed ? 1 : 0,
                                .id = welcome->broker,
                                .text = worker_effects_text(&session->effects, welcome->name)});
}

/* Errors that no further attempt can cure. A worker that was welcomed before has work to keep,
 * and a broker that may come back to its senses. */
static bool is_fatal(const struct worker_session *session, uint32_t code)
{
    if (session->state != WORKER_SESSION_GREETING || session->was_welcomed) {
        return false;
    }
    return code == DROVER_WRONG_ENDPOINT || code == DROVER_VERSION || code == DROVER_DENIED;
}

/* "text; connect to endpoint", for as long as the effects live. */
static struct drv_str refusal(struct worker_session *session, const struct drv_failure *failure)
{
    static const char before[] = "; connect to ";
    size_t len = failure->text.len + sizeof before - 1 + failure->endpoint.len;
    char *text = failure->endpoint.len == 0 ? NULL
                                            : worker_effects_alloc(&session->effects, len, 1);
    if (text == NULL) {
        return failure->text;
    }
    if (failure->text.len > 0) {
        memcpy(text, failure->text.ptr, failure->text.len);
    }
    memcpy(text + failure->text.len, before, sizeof before - 1);
    memcpy(text + len - failure->endpoint.len, failure->endpoint.ptr, failure->endpoint.len);
    return (struct drv_str){text, len};
}

/* Errors after which the connection is of no use. */
static bool is_breaking(uint32_t code)
{
    return code == DROVER_CLOSED || code == DROVER_PROTOCOL || code == DROVER_EPOCH ||
           code == DROVER_MALFORMED || code == DROVER_SESSION_EXPIRED || code == DROVER_MOVED ||
           code == DROVER_DRAINING;
}

static void on_error(struct worker_session *session, const struct drv_message *message,
                     int64_t now_us)
{
    const struct drv_failure *failure = &message->failure;
    if (failure->code == DROVER_SESSION_EXPIRED) {
        session->was_welcomed = false;
        doubt_questions(session);
    }
    if (is_fatal(session, failure->code)) {
        worker_session_stop(session, (drover_status)failure->code, refusal(session, failure));
    } else if (session->state == WORKER_SESSION_GREETING || is_breaking(failure->code)) {
        worker_session_break(session, failure->text, failure->retry_after_ms, now_us);
    } else {
        worker_effects_add(&session->effects,
                           &(struct worker_effect){
                               .kind = WORKER_COMPLAINT,
                               .status = (drover_status)failure->code,
                               .number = failure->about_kind,
                               .text = worker_effects_text(&session->effects, failure->text)});
    }
}

static void on_goodbye(struct worker_session *session, const struct drv_message *message,
                       int64_t now_us)
{
    struct drv_str text = message->goodbye.text;
    worker_session_break(session, text.len > 0 ? text : drv_str_of("the broker said goodbye"),
                         0, now_us);
}

static void on_moved(struct worker_session *session, const struct drv_message *message,
                     int64_t now_us)
{
    const struct drv_moved *moved = &message->moved;
    worker_session_set_told(session, moved->worker_endpoints, moved->worker_endpoint_count);
    worker_session_break(session, drv_str_of("the broker has moved"), 0, now_us);
    if (session->told_count > 0) {
        session->endpoint = session->config.endpoint_count;
    }
}

/* ---- LEASE, SHARED --------------------------------------------------------------------------
 */

/* Position in config.types, or type_count when the type is not offered. */
static size_t find_type(const struct worker_session *session, struct drv_str name)
{
    const struct drv_offer *types = session->config.types;
    size_t low = 0;
    size_t high = session->config.type_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = worker_session_compare_names(types[session->types_sorted[middle]].name,
                                                 name);
        if (order == 0) {
            return session->types_sorted[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return session->config.type_count;
}

/* False: what the lease needs to share was never sent, or is gone. */
static bool take_entry(struct worker_session *session, const struct drv_lease_group *group,
                       const struct drv_lease_entry *entry, size_t type, int64_t now_us)
{
    struct worker_shared *shared = NULL;
    uint32_t count = entry->range.count == 0 ? 1 : entry->range.count;
    if (type == session->config.type_count) {
        worker_session_add_returned(session, &entry->ref, count, DRV_RETURN_NO_HANDLER);
        return true;
    }
    if (worker_session_is_draining(session)) {
        worker_session_add_returned(session, &entry->ref, count, DRV_RETURN_DRAINING);
        return true;
    }
    if ((group->flags & DRV_LEASE_SHARED) != 0) {
        shared = worker_shelf_take(&session->shelf, &entry->ref.id);
        if (shared == NULL) {
            return false;
        }
    }
    worker_session_take(session, group, entry, (uint32_t)type, shared, now_us);
    worker_shared_unref(&shared);
    return true;
}

static void on_lease(struct worker_session *session, const struct drv_message *message,
                     int64_t now_us)
{
    int64_t soon_us = now_us + session->heartbeat_us;
    if (session->heartbeat_at_us > soon_us) { /* it was told that an idle one may be silent */
        session->heartbeat_at_us = soon_us;
    }
    session->silence_us = 0;
    for (size_t i = 0; i < message->lease.group_count; i++) {
        const struct drv_lease_group *group = &message->lease.groups[i];
        size_t type = find_type(session, group->type);
        for (size_t j = 0; j < group->entry_count; j++) {
            if (!take_entry(session, group, &group->entries[j], type, now_us)) {
                /* A new connection makes the broker send the value again; what was not taken
                 * is missing in ATTACH and goes back free of charge. */
                worker_session_break(session, drv_str_of("a shared value is missing"), 0,
                                     now_us);
                return;
            }
        }
    }
}

static void on_shared(struct worker_session *session, const struct drv_message *message,
                      int64_t now_us)
{
    (void)now_us;
    if (worker_shelf_put(&session->shelf, &message->shared.id, &message->shared.val) !=
        DROVER_OK) {
        worker_session_go_broke(session);
    }
}

/* ---- RECALL, ABORT, GO, DRAIN ---------------------------------------------------------------
 */

static void recall_part(struct worker_session *session, struct worker_lease *lease,
                        const struct worker_saying *saying)
{
    switch (lease->state) {
    case WORKER_LEASE_QUEUED:
    case WORKER_LEASE_CONFIRMING:
        worker_session_return(session, lease, DRV_RETURN_RECALLED);
        return;
    case WORKER_LEASE_GIVEN:
        worker_session_revoke(session, lease, lease->ref.index, WORKER_REVOKE_RECALLED);
        return;
    case WORKER_LEASE_RUNNING:
        worker_session_mark_started(session, lease, saying->now_us);
        return;
    case WORKER_LEASE_FINISHED:
    case WORKER_LEASE_REPORTED:
        return; /* its result is the answer */
    }
}

/* Of a range it asks back all that is behind it in the lease of the broker, too, whatever parts
 * that has here. Returns how many elements that are. */
static uint32_t recall(struct worker_session *session, const struct drv_ref *ref,
                       int64_t now_us)
{
    const struct worker_lease *lease = worker_book_find(&session->book, ref);
    if (lease == NULL || lease->is_void) {
        /* It crossed a result or a return; whatever the broker makes of it, it is not here. */
        worker_session_add_returned(session, ref, 1, DRV_RETURN_RECALLED);
        return 1;
    }
    const struct worker_saying saying = {.ref = *ref,
                                         .count = lease->end - ref->index,
                                         .on_part = recall_part,
                                         .revoke = WORKER_REVOKE_RECALLED,
                                         .now_us = now_us};
    worker_session_say(session, &saying);
    return saying.count;
}

/* Whether it is one of so many elements from another on. */
static bool is_among(const struct drv_ref *ref, const struct drv_ref *first, uint32_t count)
{
    return ref->attempt == first->attempt && ref->index - first->index < count &&
           drover_id_equal(&ref->id, &first->id);
}

static void on_recall(struct worker_session *session, const struct drv_message *message,
                      int64_t now_us)
{
    struct drv_ref last = {.attempt = 0};
    uint32_t count = 0; /* elements from the last one on that were recalled with it */
    for (size_t i = 0; i < message->leases.lease_count; i++) {
        struct drv_ref ref = message->leases.leases[i];
        if (!is_among(&ref, &last, count)) {
            count = recall(session, &ref, now_us);
            last = ref;
        }
    }
}

static void abort_none(struct worker_session *session, const struct drv_ref *ref,
                       uint32_t count)
{
    worker_session_add_returned(session, ref, count, DRV_RETURN_ABORTED);
}

void worker_session_abort(struct worker_session *session, struct worker_lease *lease,
                          const struct worker_saying *saying)
{
    (void)saying;
    switch (lease->state) {
    case WORKER_LEASE_QUEUED:
    case WORKER_LEASE_CONFIRMING:
        worker_session_return(session, lease, DRV_RETURN_ABORTED);
        return;
    case WORKER_LEASE_GIVEN:
        worker_session_revoke(session, lease, lease->ref.index, WORKER_REVOKE_ABORTED);
        return;
    case WORKER_LEASE_RUNNING:
        lease->goes_back = false;
        worker_session_cancel(session, lease);
        return;
    case WORKER_LEASE_FINISHED:
    case WORKER_LEASE_REPORTED:
        return; /* it ended first */
    }
}

void worker_session_abort_stale(struct worker_session *session, struct worker_lease *lease,
                                const struct worker_saying *saying)
{
    (void)saying;
    session->stale_total += lease->count;
    if (lease->state != WORKER_LEASE_GIVEN && lease->state != WORKER_LEASE_RUNNING) {
        worker_questions_forget(&session->questions, lease->key);
        worker_book_remove(&session->book, &lease);
        return;
    }
    lease->is_void = true;
    lease->start_due = false;
    lease->progress_due = false;
    lease->followed = 0;
    drv_list_remove(&lease->unsent);
    drv_list_remove(&lease->notice);
    if (lease->state == WORKER_LEASE_GIVEN) {
        worker_session_revoke(session, lease, lease->ref.index, WORKER_REVOKE_ABORTED);
    } else {
        worker_session_cancel(session, lease);
    }
}

static void on_abort(struct worker_session *session, const struct drv_message *message,
                     int64_t now_us)
{
    (void)now_us;
    for (size_t i = 0; i < message->abort.lease_count; i++) {
        const struct drv_abort_entry *entry = &message->abort.leases[i];
        bool is_stale = entry->code == DROVER_STALE;
        const struct worker_saying saying = {
            .ref = entry->ref,
            .count = entry->more + 1,
            .on_part = is_stale ? worker_session_abort_stale : worker_session_abort,
            .revoke = WORKER_REVOKE_HOLD, /* those behind them stay */
            .mark = is_stale ? WORKER_MARK_VOID : WORKER_MARK_ABORTED,
            .on_none = is_stale ? NULL : abort_none};
        worker_session_say(session, &saying);
    }
}

static void on_go(struct worker_session *session, const struct drv_message *message,
                  int64_t now_us)
{
    (void)now_us;
    for (size_t i = 0; i < message->leases.lease_count; i++) {
        struct worker_lease *lease = worker_book_find(&session->book,
                                                      &message->leases.leases[i]);
        if (lease != NULL && lease->state == WORKER_LEASE_CONFIRMING) {
            lease->is_confirmed = true;
            worker_book_move_back(&session->book, lease, WORKER_LEASE_QUEUED);
        }
    }
}

static void on_drain(struct worker_session *session, const struct drv_message *message,
                     int64_t now_us)
{
    (void)now_us;
    session->is_broker_draining = message->drain.on;
    if (message->drain.on) {
        worker_session_return_unstarted(session, DRV_RETURN_DRAINING);
    }
}

/* ---- ACK, REPLY -----------------------------------------------------------------------------
 */

static void on_ack(struct worker_session *session, const struct drv_message *message,
                   int64_t now_us)
{
    (void)now_us;
    for (size_t i = 0; i < message->ack_notes.note_count; i++) {
        uint32_t code = message->ack_notes.notes[i].code;
        session->stale_total += code == DROVER_STALE || code == DROVER_UNKNOWN ? 1 : 0;
    }
}

static void put_pair(struct drv_pack *pack, const char *name, struct drv_str text)
{
    drv_pack_str(pack, name, strlen(name));
    drv_pack_str(pack, text.ptr, text.len);
}

/* What a handler sees of a task that did not succeed and left no value: a map. */
static struct drv_val error_value(struct worker_session *session, const struct drv_error *error)
{
    struct drv_buffer bytes;
    struct drv_pack pack;
    drv_buffer_init(&bytes);
    drv_pack_init(&pack, &bytes);
    size_t more = (error->exit_code >= 0 ? 1U : 0U) + (error->signal > 0 ? 1U : 0U);
    drv_pack_map(&pack, 3 + more);
    put_pair(&pack, "kind",
             drv_str_of(drover_error_kind_name((enum drover_error_kind)error->kind)));
    put_pair(&pack, "code", error->code);
    put_pair(&pack, "text", error->text);
    if (error->exit_code >= 0) {
        drv_pack_str(&pack, "exit_code", strlen("exit_code"));
        drv_pack_int(&pack, error->exit_code);
    }
    if (error->signal > 0) {
        drv_pack_str(&pack, "signal", strlen("signal"));
        drv_pack_uint(&pack, error->signal);
    }
    struct drv_val val = {.is_nil = true};
    if (drv_pack_status(&pack) == DROVER_OK) {
        struct drv_str copy = worker_effects_text(
            &session->effects, (struct drv_str){(const char *)bytes.bytes, bytes.len});
        val = (struct drv_val){.bytes = (const uint8_t *)copy.ptr, .len = copy.len};
    } else {
        worker_session_go_broke(session);
    }
    drv_buffer_fini(&bytes);
    return val;
}

/* The answer to a submit of one task says in a note why it was not taken. */
static uint32_t code_of(const struct drv_reply *reply)
{
    return reply->code == DROVER_OK && reply->note_count > 0 ? reply->notes[0].code
                                                             : reply->code;
}

static void on_reply(struct worker_session *session, const struct drv_message *message,
                     int64_t now_us)
{
    (void)now_us;
    for (size_t i = 0; i < message->reply.reply_count; i++) {
        const struct drv_reply *reply = &message->reply.replies[i];
        struct worker_question *question = worker_questions_find(&session->questions,
                                                                 reply->req);
        if (question == NULL) {
            continue; /* nobody waits for it any more */
        }
        bool is_error = reply->val.is_nil && reply->error.kind != DROVER_ERROR_NONE;
        worker_session_answer(
            session, question,
            &(struct worker_answer){.code = code_of(reply),
                                    .number = reply->number,
                                    .text = reply->text,
                                    .val = is_error ? error_value(session, &reply->error)
                                                    : reply->val});
        worker_questions_remove(&session->questions, &question);
    }
}

/* Bounded by the lease, whatever the broker says. An answer is what is heard next, so that who
 * holds nothing, and may speak seldom, has to bear as much silence. */
static void on_heartbeat(struct worker_session *session, const struct drv_message *message,
                         int64_t now_us)
{
    bool is_idle = worker_book_count(&session->book) == 0;
    uint64_t lease_us = (uint64_t)session->lease_us;
    uint64_t longest_us = is_idle ? lease_us + lease_us / 8 : lease_us / 2;
    uint64_t next_us = message->heartbeat.next_us;
    if (next_us > 0) {
        next_us = next_us < longest_us ? next_us : longest_us;
        session->heartbeat_at_us = now_us + (int64_t)next_us;
        session->silence_us = is_idle ? 2 * (int64_t)next_us : 0;
    }
}

/* ---- dispatch -------------------------------------------------------------------------------
 */

typedef void (*handler_fn)(struct worker_session *session, const struct drv_message *message,
                           int64_t now_us);

/* Kinds that are missing here need no more than to have been heard. */
static const struct {
    enum drv_kind kind;
    bool before_welcome;
    handler_fn handle;
} handlers[] = {
    {DRV_WELCOME, true, on_welcome}, {DRV_ERROR, true, on_error},
    {DRV_GOODBYE, true, on_goodbye}, {DRV_HEARTBEAT, false, on_heartbeat},
    {DRV_MOVED, true, on_moved},     {DRV_LEASE, false, on_lease},
    {DRV_ACK, false, on_ack},        {DRV_RECALL, false, on_recall},
    {DRV_ABORT, false, on_abort},    {DRV_GO, false, on_go},
    {DRV_SHARED, false, on_shared},  {DRV_DRAIN, false, on_drain},
    {DRV_REPLY, false, on_reply},    {DRV_FOLLOW, false, worker_session_on_follow},
};

void worker_session_on_message(struct worker_session *session,
                               const struct drv_message *message, int64_t now_us)
{
    for (size_t i = 0; i < sizeof handlers / sizeof handlers[0]; i++) {
        if (handlers[i].kind != message->kind) {
            continue;
        }
        if (session->state == WORKER_SESSION_SERVING || handlers[i].before_welcome) {
            handlers[i].handle(session, message, now_us);
        }
        return;
    }
}
