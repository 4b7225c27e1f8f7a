/*
 * Requests of a session: numbers, the floor, sending again, answers.
 *
 *   ask ──> unsent ──flush──> sent ──REPLY, DOCUMENT──> on_answer
 *              ^                │
 *              └──connection────┘ with the same number; a fresh session ends requests with
 *                 lost            OUTCOME_UNKNOWN and asks questions again under new numbers
 *
 * Invariants: sent is in the order of numbers; unsent has numbered ones first, in order; the
 * numbers outstanding span less than DRV_REQUESTS_MAX, so that by_req has a place for each.
 */
#include "session_state.h"

#include "check.h"

#include <string.h>

static bool is_question(const struct drv_pending *pending)
{
    return pending->message.kind >= DRV_WATCH;
}

static struct drv_pending *pending_of(struct drv_list *link)
{
    return DRV_LIST_ITEM(link, struct drv_pending, link);
}

static void forget(struct drv_session *session, struct drv_pending *pending)
{
    drv_list_remove(&pending->link);
    if (pending->req != 0) {
        session->by_req[pending->req % DRV_REQUESTS_MAX] = NULL;
    }
    pending->is_sent = false;
}

static void answer(struct drv_session *session, struct drv_pending *pending,
                   const struct drv_answer *given)
{
    forget(session, pending);
    pending->on_answer(pending, given);
}

static void answer_status(struct drv_session *session, struct drv_pending *pending,
                          drover_status status)
{
    struct drv_answer given = {.status = status};
    answer(session, pending, &given);
}

void drv_pending_init(struct drv_pending *pending, enum drv_kind kind,
                      void (*on_answer)(struct drv_pending *pending,
                                        const struct drv_answer *answer))
{
    memset(pending, 0, sizeof(*pending));
    drv_list_init(&pending->link);
    pending->deadline_us = INT64_MAX;
    pending->message.kind = kind;
    pending->on_answer = on_answer;
}

void drv_session_ask(struct drv_session *session, struct drv_pending *pending)
{
    pending->req = 0;
    pending->is_sent = false;
    pending->order = session->next_order++;
    drv_list_push_back(&session->unsent, &pending->link);
}

void session_ask_before(struct drv_session *session, struct drv_pending *pending,
                        uint64_t order)
{
    drv_session_ask(session, pending);
    pending->order = order;
    struct drv_list *where = pending->link.prev;
    while (where != &session->unsent && pending_of(where)->req == 0 &&
           pending_of(where)->order > order) {
        where = where->prev;
    }
    drv_list_remove(&pending->link);
    drv_list_insert_after(where, &pending->link);
}

void drv_session_withdraw(struct drv_session *session, struct drv_pending *pending)
{
    if (drv_list_is_linked(&pending->link)) {
        forget(session, pending);
    }
}

/* The lowest number that is not answered. */
static uint64_t floor_of(const struct drv_session *session)
{
    uint64_t floor = session->next_req;
    const struct drv_list *heads[] = {&session->sent, &session->unsent};
    for (size_t i = 0; i < DRV_ARRAY_LEN(heads); i++) {
        struct drv_list *first = drv_list_first(heads[i]);
        if (first != NULL && pending_of(first)->req != 0 && pending_of(first)->req < floor) {
            floor = pending_of(first)->req;
        }
    }
    return floor;
}

static uint64_t window_of(const struct drv_session *session)
{
    uint64_t max = session->limits.requests_max;
    if (max > DRV_REQUESTS_MAX) {
        max = DRV_REQUESTS_MAX;
    }
    return max > 0 ? max : 1;
}

/* Gives it a number; false when too many are outstanding. */
static bool number(struct drv_session *session, struct drv_pending *pending, uint64_t floor)
{
    if (pending->req != 0) {
        return true;
    }
    if (session->next_req - floor >= window_of(session)) {
        return false;
    }
    pending->req = session->next_req++;
    session->by_req[pending->req % DRV_REQUESTS_MAX] = pending;
    return true;
}

/* False when nothing more can be sent now. */
static bool send(struct drv_session *session, struct drv_pending *pending, int64_t now_us)
{
    uint64_t floor = floor_of(session);
    bool was_numbered = pending->req != 0;
    if (!number(session, pending, floor)) {
        return false;
    }
    pending->message.request = (struct drv_request){
        .req = pending->req,
        .floor = floor,
        .budget_ms = session_ms_left(pending->deadline_us, now_us),
    };
    drover_status status = drv_link_send(session->link, &pending->message, 0);
    if (status == DROVER_BUSY) {
        if (!was_numbered) {
            session->by_req[pending->req % DRV_REQUESTS_MAX] = NULL;
            pending->req = 0;
            session->next_req--;
        }
        return false;
    }
    drv_list_remove(&pending->link);
    drv_list_push_back(&session->sent, &pending->link);
    pending->is_sent = true;
    if (status != DROVER_OK) {
        answer_status(session, pending, status);
    }
    return true;
}

void session_flush_requests(struct drv_session *session, int64_t now_us)
{
    struct drv_list *link;
    while ((link = drv_list_first(&session->unsent)) != NULL) {
        if (!send(session, pending_of(link), now_us)) {
            return;
        }
    }
}

void session_requests_rewind(struct drv_session *session)
{
    DRV_LIST_EACH(link, &session->sent)
    {
        pending_of(link)->is_sent = false;
    }
    drv_list_splice_back(&session->sent, &session->unsent);
    drv_list_splice_back(&session->unsent, &session->sent);
}

void session_requests_expire(struct drv_session *session)
{
    struct drv_list numbered;
    struct drv_list questions;
    drv_list_init(&numbered);
    drv_list_init(&questions);
    session_requests_rewind(session);
    DRV_LIST_EACH_SAFE(link, &session->unsent)
    {
        struct drv_pending *pending = pending_of(link);
        if (pending->req == 0) {
            break;
        }
        forget(session, pending);
        pending->req = 0;
        drv_list_push_back(is_question(pending) ? &questions : &numbered, &pending->link);
    }
    drv_list_splice_back(&questions, &session->unsent);
    drv_list_splice_back(&session->unsent, &questions);
    struct drv_list *first;
    while ((first = drv_list_first(&numbered)) != NULL) {
        answer_status(session, pending_of(first), DROVER_OUTCOME_UNKNOWN);
    }
}

void session_requests_end(struct drv_session *session, drover_status status)
{
    session_requests_rewind(session);
    struct drv_list *link;
    while ((link = drv_list_first(&session->unsent)) != NULL) {
        answer_status(session, pending_of(link), status);
    }
}

static struct drv_pending *find(struct drv_session *session, uint64_t req)
{
    struct drv_pending *pending = session->by_req[req % DRV_REQUESTS_MAX];
    return pending != NULL && pending->req == req && pending->is_sent ? pending : NULL;
}

void session_on_reply(struct drv_session *session, const struct drv_replies *replies)
{
    for (size_t i = 0; i < replies->reply_count; i++) {
        const struct drv_reply *reply = &replies->replies[i];
        struct drv_pending *pending = find(session, reply->req);
        if (pending == NULL || pending->message.kind == DRV_QUERY) {
            continue; /* withdrawn, or answered twice */
        }
        struct drv_answer given = {
            .status = (drover_status)reply->code,
            .reply = reply,
            .text = reply->text,
            .retry_after_ms = reply->retry_after_ms,
        };
        answer(session, pending, &given);
    }
}

void session_on_document(struct drv_session *session, const struct drv_document *document)
{
    struct drv_pending *pending = find(session, document->req);
    if (pending == NULL || pending->message.kind != DRV_QUERY) {
        return;
    }
    struct drv_answer given = {
        .status = (drover_status)document->code,
        .document = document,
        .text = document->text,
    };
    answer(session, pending, &given);
}

bool session_refuse_kind(struct drv_session *session, uint32_t kind, drover_status status,
                         struct drv_str text)
{
    DRV_LIST_EACH(link, &session->sent)
    {
        struct drv_pending *pending = pending_of(link);
        if ((uint32_t)pending->message.kind == kind) {
            struct drv_answer given = {.status = status, .text = text};
            answer(session, pending, &given);
            return true;
        }
    }
    return false;
}
