#include "request.h"

#include "broker.h"
#include "check.h"
#include "handlers.h"

#include <stdlib.h>
#include <string.h>

/* How long a reply that nobody waits for may wait for something else to go with. */
enum { REPLY_WAIT_US = 1000 };

/* Bounds of one REPLY message beside those of the protocol. */
enum { REPLY_HEAD_BYTES = 48, NOTE_HEAD_BYTES = 64, ERROR_HEAD_BYTES = 48 };

/* --- replies ----------------------------------------------------------------------------- */

static struct reply *reply_new(struct core *core, struct session *session, uint64_t req)
{
    struct reply *reply = core_alloc(core, sizeof *reply);
    if (reply == NULL) {
        return NULL;
    }
    if (!timer_init(core, &reply->timer, TIMER_REPLY)) {
        core_free(core, reply, sizeof *reply);
        return NULL;
    }
    reply->session = session;
    reply->req = req;
    reply->is_open = true;
    reply->level = DROVER_DURABILITY_MEMORY;
    drv_list_init(&reply->link);
    drv_list_init(&reply->due);
    drv_list_init(&reply->waiting);
    drv_list_init(&reply->unsaved);
    return reply;
}

static void waiter_free(struct core *core, struct waiter *waiter)
{
    drv_list_remove(&waiter->in_reply);
    drv_list_remove(&waiter->in_cause);
    core_free(core, waiter, sizeof *waiter);
}

static void reply_drop_waiters(struct core *core, struct reply *reply)
{
    struct drv_list *link;
    while ((link = drv_list_first(&reply->waiting)) != NULL) {
        waiter_free(core, DRV_LIST_ITEM(link, struct waiter, in_reply));
    }
    reply->waiting_count = 0;
}

static void notes_free(struct reply *reply)
{
    for (size_t i = 0; i < reply->note_count; i++) {
        if (reply->notes[i].owns_text) {
            free((void *)(uintptr_t)reply->notes[i].text);
        }
    }
    free(reply->notes);
}

void reply_free(struct core *core, struct reply *reply)
{
    struct session *session = reply->session;
    reply_drop_waiters(core, reply);
    timer_fini(core, &reply->timer);
    drv_list_remove(&reply->due);
    drv_list_remove(&reply->link);
    drv_list_remove(&reply->unsaved);
    if (reply->is_kept) {
        session->reply_count--;
        session->reply_bytes -= reply->cost;
    } else {
        session->unkept_count--;
    }
    body_release(core, &reply->val);
    body_release(core, &reply->texts);
    failure_free(core, &reply->error);
    notes_free(reply);
    core->memory_bytes -= reply->cost;
    core_free(core, reply, sizeof *reply);
}

void reply_reaches(struct reply *reply, uint32_t level)
{
    if (reply->number == 0 || (int64_t)level < reply->number) {
        reply->number = level;
    }
}

void reply_note(struct reply *reply, size_t position, drover_status code, const char *text,
                uint64_t retry_after_ms)
{
    if (reply->note_count == reply->note_capacity) {
        size_t capacity = reply->note_capacity == 0 ? 8 : reply->note_capacity * 2;
        struct reply_note *notes = realloc(reply->notes, capacity * sizeof *notes);
        if (notes == NULL) {
            reply->code = DROVER_NOMEM;
            return;
        }
        reply->notes = notes;
        reply->note_capacity = capacity;
    }
    reply->notes[reply->note_count++] = (struct reply_note){
        .position = (uint32_t)position,
        .code = (uint32_t)code,
        .retry_after_ms = (uint32_t)retry_after_ms,
        .text = text,
    };
}

void reply_note_copy(struct reply *reply, size_t position, drover_status code, const char *text,
                     uint64_t retry_after_ms)
{
    size_t before = reply->note_count;
    char *copy = strdup(text);
    if (copy == NULL) {
        reply->code = DROVER_NOMEM;
        return;
    }
    reply_note(reply, position, code, copy, retry_after_ms);
    if (reply->note_count > before) {
        reply->notes[before].owns_text = true;
    } else {
        free(copy);
    }
}

/* What its notes take. */
static size_t notes_cost(const struct reply *reply)
{
    size_t cost = reply->note_capacity * sizeof *reply->notes;
    for (size_t i = 0; i < reply->note_count; i++) {
        cost += reply->notes[i].owns_text ? strlen(reply->notes[i].text) + 1 : 0;
    }
    return cost;
}

void reply_attached(struct core *core, struct reply *reply, size_t position,
                    const struct key *key)
{
    const struct task *task = key->task;
    uint32_t level = task != NULL ? (uint32_t)save_level_of(core, task)
                                  : (uint32_t)save_level_max(core);
    core->counters.attached++;
    reply_note(reply, position, DROVER_ATTACHED, "another task has this key", 0);
    if (reply->code != DROVER_NOMEM) {
        struct reply_note *note = &reply->notes[reply->note_count - 1];
        note->has_id = true;
        note->id = key->id;
    }
    reply_reaches(reply, task != NULL ? task->spec->numbers.level : level);
    if ((uint32_t)reply->level < level) {
        reply->level = (enum drover_durability)level;
    }
}

/* The answer is complete: into the books of the session, and out. */
static void reply_finish(struct core *core, struct reply *reply)
{
    struct session *session = reply->session;
    reply->is_open = false;
    timer_disarm(core, &reply->timer);
    reply->cost = notes_cost(reply) + body_len(reply->val);
    core->memory_bytes += reply->cost;
    if (reply->is_kept) {
        session->reply_bytes += reply->cost;
        struct core_record record = {
            .kind = CORE_RECORD_REPLY, .session = session->id, .req = reply->req};
        effects_record(core, &record);
        save_reply(core, reply);
    }
    if (session->peer == NULL) {
        if (!reply->is_kept) {
            reply_free(core, reply);
        }
        return;
    }
    drv_list_push_back(&session->due, &reply->due);
    if (reply->may_wait && reply->code == DROVER_OK && reply->note_count == 0) {
        timer_arm(core, &reply->timer, core->now_us + REPLY_WAIT_US);
    } else {
        session_touch(core, session);
    }
}

void reply_answer(struct core *core, struct reply *reply)
{
    if (reply->waiting_count == 0) {
        reply_finish(core, reply);
    }
}

void reply_fail(struct core *core, struct reply *reply, drover_status code, const char *text)
{
    reply->code = (uint32_t)code;
    reply->text = text;
    reply_answer(core, reply);
}

void reply_explain(struct core *core, struct reply *reply, drover_status code, const char *text)
{
    size_t size = strlen(text) + 1;
    struct body *copy = body_new_room(core, size);
    if (copy != NULL) {
        memcpy(copy->bytes, text, size);
        body_release(core, &reply->texts);
        reply->texts = copy;
    }
    reply_fail(core, reply, code, copy == NULL ? NULL : (const char *)copy->bytes);
}

bool reply_wait(struct core *core, struct reply *reply, struct drv_list *cause)
{
    struct waiter *waiter = core_alloc(core, sizeof *waiter);
    if (waiter == NULL) {
        return false;
    }
    waiter->reply = reply;
    drv_list_push_back(&reply->waiting, &waiter->in_reply);
    drv_list_push_back(cause, &waiter->in_cause);
    reply->waiting_count++;
    return true;
}

void waiters_wake(struct core *core, struct drv_list *cause)
{
    struct drv_list *link;
    while ((link = drv_list_first(cause)) != NULL) {
        struct waiter *waiter = DRV_LIST_ITEM(link, struct waiter, in_cause);
        struct reply *reply = waiter->reply;
        waiter_free(core, waiter);
        if (--reply->waiting_count == 0 && !reply->is_gathering) {
            reply_finish(core, reply);
        }
    }
}

void reply_due(struct core *core, struct reply *reply)
{
    if (!reply->is_open) {
        session_touch(core, reply->session);
        return;
    }
    reply_drop_waiters(core, reply);
    reply->code = DROVER_TIMEOUT;
    reply->text = "the time for the request was used up";
    reply_finish(core, reply);
}

/* --- requests ---------------------------------------------------------------------------- */

void replies_release_below(struct core *core, struct session *session, uint64_t floor)
{
    session->floor = floor;
    save_session_change(core, session);
    struct drv_list *link;
    while ((link = drv_list_first(&session->replies)) != NULL) {
        struct reply *reply = DRV_LIST_ITEM(link, struct reply, link);
        if (reply->req >= floor) {
            break;
        }
        reply_free(core, reply);
    }
}

/* Where the reply to `req` is, or behind which it belongs. */
static struct drv_list *reply_before(const struct session *session, uint64_t req)
{
    struct drv_list *link = session->replies.prev;
    while (link != &session->replies && DRV_LIST_ITEM(link, struct reply, link)->req > req) {
        link = link->prev;
    }
    return link;
}

struct reply *reply_restore(struct core *core, struct session *session, uint64_t req)
{
    struct drv_list *before = reply_before(session, req);
    if (before != &session->replies && DRV_LIST_ITEM(before, struct reply, link)->req == req) {
        struct drv_list *known = before;
        before = before->prev;
        reply_free(core, DRV_LIST_ITEM(known, struct reply, link));
    }
    struct reply *reply = reply_new(core, session, req);
    if (reply != NULL) {
        reply->is_kept = true;
        session->reply_count++;
        drv_list_insert_after(before, &reply->link);
    }
    return reply;
}

void reply_restored(struct core *core, struct reply *reply)
{
    reply->is_open = false;
    reply->is_restored = true;
    reply->cost = notes_cost(reply) + body_len(reply->val);
    reply->session->reply_bytes += reply->cost;
    core->memory_bytes += reply->cost;
}

/* An answer that is not kept; NULL when the peer was closed: it asks and does not read, or
 * there is no memory. */
static struct reply *reply_unkept(struct core *core, struct session *session, uint64_t req)
{
    if (session->unkept_count >= DRV_REQUESTS_MAX) {
        peer_refuse(core, session->peer, DROVER_BUSY,
                    "too many questions wait for their answer");
        return NULL;
    }
    struct reply *reply = reply_new(core, session, req);
    if (reply == NULL) {
        session->peer->is_broken = true;
        peer_touch(core, session->peer);
        return NULL;
    }
    session->unkept_count++;
    return reply;
}

static void reply_busy(struct core *core, struct session *session, uint64_t req)
{
    struct reply *reply = reply_unkept(core, session, req);
    if (reply == NULL) {
        return;
    }
    reply->code = DROVER_BUSY;
    reply->text = "too many requests of this session are not released";
    reply->retry_after_ms = RETRY_AFTER_MS;
    reply_finish(core, reply);
}

static struct reply *request_open(struct core *core, struct session *session,
                                  const struct drv_request *request, struct drv_list *before)
{
    if (session->reply_count >= DRV_REQUESTS_MAX || session->reply_bytes > REPLY_BYTES_MAX) {
        reply_busy(core, session, request->req);
        return NULL;
    }
    struct reply *reply = reply_new(core, session, request->req);
    if (reply == NULL) {
        session->peer->is_broken = true;
        peer_touch(core, session->peer);
        return NULL;
    }
    reply->is_kept = true;
    reply->level = save_level_max(core);
    session->reply_count++;
    drv_list_insert_after(before, &reply->link);
    if (request->budget_ms > 0) {
        timer_arm(core, &reply->timer, core->now_us + us_of_ms(request->budget_ms));
    }
    return reply;
}

/* The change is kept over a restart, watches are not. */
static void watch_again(struct core *core, struct reply *reply,
                        const struct drv_message *message)
{
    if (message->kind == DRV_SUBMIT || message->kind == DRV_GRAPH) {
        submit_watch_again(core, reply, &message->submit, message->kind == DRV_SUBMIT);
    } else if (message->kind == DRV_ARRAY_OPEN && reply->code == DROVER_OK) {
        array_watch_again(core, reply, &message->array_open);
    }
}

struct reply *request_begin(struct core *core, struct peer *peer,
                            const struct drv_message *message)
{
    struct session *session = peer->session;
    const struct drv_request *request = &message->request;
    if (request->req == 0) {
        peer_refuse(core, peer, DROVER_PROTOCOL, "requests are numbered from 1");
        return NULL;
    }
    if (request->floor > session->floor) {
        replies_release_below(core, session, request->floor);
    }
    if (request->req < session->floor) {
        return NULL;
    }
    struct drv_list *before = reply_before(session, request->req);
    if (before == &session->replies ||
        DRV_LIST_ITEM(before, struct reply, link)->req != request->req) {
        return request_open(core, session, request, before);
    }
    struct reply *known = DRV_LIST_ITEM(before, struct reply, link);
    if (core->config.defects.repeat_request && !known->is_open) {
        before = before->prev;
        reply_free(core, known); /* defect: takes effect again */
        return request_open(core, session, request, before);
    }
    if (known->is_restored) {
        watch_again(core, known, message);
        known->is_restored = false;
    }
    if (!known->is_open && !drv_list_is_linked(&known->due)) {
        drv_list_push_back(&session->due, &known->due);
        peer_touch(core, peer);
    }
    return NULL;
}

struct reply *request_ask(struct core *core, struct peer *peer, uint64_t req)
{
    return reply_unkept(core, peer->session, req);
}

void replies_drop_unkept(struct core *core, struct session *session)
{
    struct drv_list *link;
    while ((link = drv_list_pop_front(&session->due)) != NULL) {
        struct reply *reply = DRV_LIST_ITEM(link, struct reply, due);
        timer_disarm(core, &reply->timer);
        if (!reply->is_kept) {
            reply_free(core, reply);
        }
    }
}

/* --- sending ----------------------------------------------------------------------------- */

static bool reply_copy_error(struct core *core, const struct failure *failure,
                             struct drv_error *out_error)
{
    *out_error = failure_view(failure);
    struct drv_str *parts[] = {&out_error->code, &out_error->text, &out_error->stderr_tail};
    for (size_t i = 0; i < DRV_ARRAY_LEN(parts); i++) {
        struct drv_str copy = effects_text(core, *parts[i]);
        if (copy.ptr == NULL && parts[i]->len > 0) {
            return false;
        }
        *parts[i] = copy;
    }
    return true;
}

/* Copied, because the reply may be released before the message is encoded. */
static bool reply_copy(struct core *core, const struct reply *reply,
                       struct drv_reply *out_reply)
{
    *out_reply = (struct drv_reply){
        .req = reply->req,
        .code = reply->code,
        .number = reply->number,
        .text = drv_str_of(reply->text),
        .retry_after_ms = reply->retry_after_ms,
        .note_count = reply->note_count,
        .val = body_val(reply->val),
    };
    if (reply->error != NULL && !reply_copy_error(core, reply->error, &out_reply->error)) {
        return false;
    }
    struct drv_note *notes = effects_alloc(core, reply->note_count, sizeof *notes);
    if (notes == NULL) {
        return false;
    }
    for (size_t i = 0; i < reply->note_count; i++) {
        const struct reply_note *note = &reply->notes[i];
        struct drv_str text = drv_str_of(note->text);
        notes[i] = (struct drv_note){
            .position = note->position,
            .code = note->code,
            .text = note->owns_text ? effects_text(core, text) : text,
            .retry_after_ms = note->retry_after_ms,
            .has_id = note->has_id,
            .id = note->id,
        };
    }
    out_reply->notes = notes;
    return true;
}

static size_t notes_head_bytes(const struct reply *reply)
{
    size_t bytes = reply->note_count * NOTE_HEAD_BYTES;
    for (size_t i = 0; i < reply->note_count; i++) {
        bytes += reply->notes[i].owns_text ? strlen(reply->notes[i].text) : 0;
    }
    return bytes;
}

static size_t failure_bytes(const struct failure *failure)
{
    return (size_t)ERROR_HEAD_BYTES + failure->code_len + failure->text_len +
           failure->stderr_len;
}

static bool reply_fits(const struct reply *reply, struct drv_meter *meter, size_t *note_count)
{
    struct drv_val val = body_val(reply->val);
    size_t head_bytes = REPLY_HEAD_BYTES + notes_head_bytes(reply) +
                        (reply->error == NULL ? 0 : failure_bytes(reply->error));
    if (*note_count > 0 && *note_count + reply->note_count > DRV_BATCH_MAX) {
        return false;
    }
    *note_count += reply->note_count;
    return drv_meter_fits(meter, head_bytes, &val);
}

/* One message of what is due. */
static void replies_send(struct core *core, struct session *session)
{
    struct drv_meter meter;
    drv_meter_reset(&meter);
    size_t count = 0, note_count = 0;
    enum drover_durability level = DROVER_DURABILITY_MEMORY;
    DRV_LIST_EACH(link, &session->due)
    {
        const struct reply *reply = DRV_LIST_ITEM(link, struct reply, due);
        level = count == 0 ? reply->level : level;
        if (count == DRV_BATCH_MAX || reply->level != level ||
            !reply_fits(reply, &meter, &note_count)) {
            break;
        }
        count++;
    }
    struct drv_message *message = effects_message(core, DRV_REPLY);
    struct drv_reply *replies = effects_alloc(core, count, sizeof *replies);
    bool failed = message == NULL || replies == NULL;
    for (size_t i = 0; i < count; i++) {
        struct reply *reply = DRV_LIST_ITEM(drv_list_pop_front(&session->due), struct reply,
                                            due);
        timer_disarm(core, &reply->timer);
        failed = failed || !reply_copy(core, reply, &replies[i]);
        if (!reply->is_kept) {
            reply_free(core, reply);
        }
    }
    if (failed) {
        effects_send(core, session->peer, NULL, 0);
        return;
    }
    message->reply.replies = replies;
    message->reply.reply_count = count;
    bool is_early = core->config.defects.early_ack; /* defect: before it is safe */
    effects_send_at(core, session->peer, message, 0,
                    is_early ? DROVER_DURABILITY_MEMORY : level);
}

/* Whether all of them may wait, and nothing else is about to go out. */
static bool replies_may_wait(const struct session *session)
{
    if (session->unread > session->items_in_flight ||
        !drv_list_is_empty(&session->ready_streams)) {
        return false;
    }
    DRV_LIST_EACH(link, &session->due)
    {
        if (!timer_is_armed(&DRV_LIST_ITEM(link, struct reply, due)->timer)) {
            return false;
        }
    }
    return true;
}

void replies_flush(struct core *core, struct session *session)
{
    if (replies_may_wait(session)) {
        return;
    }
    while (!drv_list_is_empty(&session->due)) {
        replies_send(core, session);
    }
}
