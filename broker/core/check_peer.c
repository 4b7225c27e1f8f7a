/*
 * check_peer.c: connections, sessions, and what is between us and them: replies and results.
 */
#include "check_core.h"

/* --- connections ------------------------------------------------------------------------- */

static void check_flights(struct check *check, const struct peer *peer)
{
    uint64_t bytes = 0, items = 0, token = 0;
    DRV_LIST_EACH(link, &peer->flights)
    {
        const struct flight *flight = DRV_LIST_ITEM(link, struct flight, link);
        expect(check, flight->token > token && flight->token <= peer->last_token,
               "messages are settled out of order");
        token = flight->token;
        bytes += flight->bytes;
        items += flight->items;
    }
    expect(check, bytes == peer->flight_bytes, "the bytes in flight are miscounted");
    if (peer->session != NULL) {
        expect(check, items == peer->session->items_in_flight,
               "the results in flight are miscounted");
    } else {
        expect(check, token == 0, "something is in flight to nobody");
    }
}

static void check_peer(struct check *check, const struct peer *peer)
{
    bool has_session = peer->state == PEER_ATTACHING || peer->state == PEER_OPEN;
    expect(check, has_session == (peer->session != NULL), "a connection is in a wrong state");
    expect(check, peer->session == NULL || peer->session->peer == peer,
           "a session goes over another connection");
    expect(check, peer->settled <= peer->seq, "a message was settled before it came");
    expect(check, peer->is_dirty == drv_list_is_linked(&peer->link),
           "a connection is to be flushed and is not, or the other way round");
    check_flights(check, peer);
}

void check_peers(struct check *check)
{
    const struct peers *peers = &check->core->peers;
    for (size_t i = 0; i < peers->count; i++) {
        if (peers->slots[i] != NULL) {
            expect(check, peers->slots[i]->number == i, "a connection has another's number");
            check_peer(check, peers->slots[i]);
        }
    }
}

/* --- replies ----------------------------------------------------------------------------- */

static void check_reply(struct check *check, const struct session *session,
                        const struct reply *reply)
{
    size_t waiting = 0;
    DRV_LIST_EACH(link, &reply->waiting)
    {
        const struct waiter *waiter = DRV_LIST_ITEM(link, struct waiter, in_reply);
        expect(check, waiter->reply == reply, "a request waits for another");
        expect(check, drv_list_is_linked(&waiter->in_cause), "a request waits for nothing");
        waiting++;
    }
    expect(check, reply->session == session, "a reply is for another session");
    expect(check, reply->waiting_count == waiting, "what a request waits for is miscounted");
    expect(check, reply->is_open == (waiting > 0), "a request is never answered");
    expect(check, !reply->is_open || !timer_is_armed(&reply->timer) || reply->is_kept,
           "a question has a budget");
    expect(check,
           reply->is_open || !timer_is_armed(&reply->timer) || drv_list_is_linked(&reply->due),
           "an answered request still has a budget");
    check_timer(check, &reply->timer, TIMER_REPLY);
}

static void check_replies(struct check *check, const struct session *session)
{
    uint64_t req = 0, bytes = 0;
    uint32_t count = 0;
    DRV_LIST_EACH(link, &session->replies)
    {
        const struct reply *reply = DRV_LIST_ITEM(link, struct reply, link);
        expect(check, reply->is_kept, "a reply is kept that should not be");
        expect(check, reply->req > req && reply->req >= session->floor,
               "replies are out of order or below the floor");
        check_reply(check, session, reply);
        req = reply->req;
        bytes += reply->is_open ? 0 : reply->cost;
        count++;
    }
    DRV_LIST_EACH(link, &session->due)
    {
        const struct reply *reply = DRV_LIST_ITEM(link, struct reply, due);
        expect(check, !reply->is_open, "an open request is answered");
        if (!reply->is_kept) {
            check_reply(check, session, reply);
        }
    }
    expect(check, session->reply_count == count, "replies are miscounted");
    expect(check, session->reply_bytes == bytes, "the bytes of replies are miscounted");
    expect(check, count <= DRV_REQUESTS_MAX, "a session has too many requests");
}

/* --- results ----------------------------------------------------------------------------- */

/* Ended tasks that the session submitted and has not got. */
static uint64_t check_ready_tasks(struct check *check, const struct session *session,
                                  const struct drv_list *list)
{
    uint64_t count = 0;
    DRV_LIST_EACH(link, list)
    {
        const struct task *task = DRV_CONTAINER_OF(link, struct task, place.link);
        expect(check, task->flags & TASK_READY && unit_is_terminal(&task->unit),
               "a task is handed out that has not ended");
        expect(check, session_by_handle(check->core, task->owner) == session,
               "a result is handed out to another session");
        count++;
    }
    return count;
}

static uint64_t check_watch(struct check *check, const struct session *session,
                            const struct watch *watch)
{
    bool is_linked = drv_list_is_linked(&watch->in_session);
    expect(check, watch->session == session, "a watch is of another session");
    expect(check, watch->is_ready == is_linked, "a watch is ready in no list");
    if (watch->index != DROVER_INDEX_NONE || !task_is_array(watch->task)) {
        return watch->is_ready;
    }
    return (uint64_t)(watch->task->array->ended - watch->settled) +
           unit_is_terminal(&watch->task->unit);
}

static void check_results(struct check *check, const struct session *session)
{
    uint64_t unread = check_ready_tasks(check, session, &session->ready_tasks) +
                      check_list_count(&session->ready_losses);
    DRV_LIST_EACH(link, &session->watches)
    {
        unread += check_watch(check, session, DRV_LIST_ITEM(link, struct watch, all));
    }
    const struct peer *peer = session->peer;
    for (const struct drv_list *link = peer == NULL ? NULL : peer->flights.next;
         link != NULL && link != &peer->flights; link = link->next) {
        const struct flight *flight = DRV_LIST_ITEM(link, struct flight, link);
        unread += check_ready_tasks(check, session, &flight->sent) +
                  check_list_count(&flight->losses);
    }
    expect(check, session->unread == unread, "unread results are miscounted");
    expect(check, peer != NULL || session->items_in_flight == 0,
           "results are in flight to a session that is away");
}

/* --- sessions ---------------------------------------------------------------------------- */

static void check_session(struct check *check, const struct session *session)
{
    const struct core *core = check->core;
    const struct tally *tally = tally_of(check, &check->sessions, session);
    expect(check, session_find(core, &session->id) == session,
           "a session is not found by its id");
    expect(check, session->peer == NULL || session->peer->session == session,
           "a connection is of another session");
    expect(check, session->peer != NULL || timer_is_armed(&session->timer),
           "a session that is away never ends");
    expect(check, drv_list_is_linked(&session->away) == (session->peer == NULL),
           "a session is away and not among those that are, or the reverse");
    expect(check, session->unfinished_tasks == tally->queued,
           "the unfinished tasks of a client are miscounted");
    expect(check, session->keys == tally->held, "the keys of a client are miscounted");
    expect(check, session->unfinished_bytes == tally->bytes,
           "the unfinished bytes of a client are miscounted");
    expect(check, session->worker == NULL || session->role == DRV_ROLE_WORKER,
           "a client is a worker");
    check_timer(check, &session->timer, TIMER_SESSION);
    check_replies(check, session);
    check_results(check, session);
    check_streams(check, session);
    DRV_LIST_EACH(link, &session->arrays)
    {
        const struct array *array = DRV_LIST_ITEM(link, struct array, open_link);
        expect(check, !array->is_sealed, "a sealed array counts as open");
    }
}

void check_sessions(struct check *check)
{
    const struct sessions *sessions = &check->core->sessions;
    size_t count = 0;
    for (uint32_t slot = 0; slot < sessions->slot_count; slot++) {
        const struct session *session = sessions->slots[slot];
        if (session != NULL) {
            expect(check, session->handle.slot == slot, "a session is in another's slot");
            check_session(check, session);
            count++;
        }
    }
    expect(check, count == check->sessions.count, "sessions are miscounted");
    expect(check, count + sessions->free_count == sessions->slot_count,
           "slots of sessions are lost");
    expect(check, count <= check->core->config.sessions_max, "too many sessions");
}
