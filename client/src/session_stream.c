/*
 * Streams of a session: subscriptions, what came of them, how far it was taken.
 *
 *   subscribe ──flush: SUBSCRIBE──> asked ──EVENTS, LOGS──> on_arrival
 *                 ^                   │ TAKEN, a quarter of the window at a time
 *                 └─ connection lost ─┘ with the number of the last entry that came
 *
 * Numbers that were passed over are entries that the broker dropped. When it has forgotten the
 * subscription (REPLY 0 to one that it had), they begin anew.
 */
#include "session_state.h"

#include "check.h"

#include <stdlib.h>
#include <string.h>

/* A good part of a window, in entries and bytes: then TAKEN is worth a message. */
#define PART_OF(window) ((window) / 4)

static struct drv_subscription *subscription_of(struct drv_list *link)
{
    return DRV_LIST_ITEM(link, struct drv_subscription, link);
}

static struct drv_subscription *find(const struct drv_session *session, uint64_t number)
{
    DRV_LIST_EACH(link, &session->subscriptions)
    {
        if (subscription_of(link)->wanted.subscription == number) {
            return subscription_of(link);
        }
    }
    return NULL;
}

static void end(struct drv_subscription *subscription, drover_status status,
                struct drv_str text)
{
    drv_session_withdraw(subscription->session, &subscription->pending);
    drv_list_remove(&subscription->link);
    subscription->on_end(subscription, status, text);
}

/* ---- asking ------------------------------------------------------------------------------ */

/* The broker knows nothing of it any more. */
static void begin_anew(struct drv_subscription *subscription)
{
    const struct drv_arrival arrival = {.is_anew = true};
    bool is_loss = subscription->was_asked;
    subscription->received = 0;
    subscription->taken = 0;
    subscription->told_taken = 0;
    subscription->taken_bytes = 0;
    if (is_loss) {
        subscription->on_arrival(subscription, &arrival);
    }
}

static void on_answer(struct drv_pending *pending, const struct drv_answer *answer)
{
    struct drv_subscription *subscription = DRV_CONTAINER_OF(pending, struct drv_subscription,
                                                             pending);
    if (answer->status != DROVER_OK) {
        end(subscription, answer->status, answer->text);
        return;
    }
    if (answer->reply == NULL || answer->reply->number == 0) {
        begin_anew(subscription);
    }
    subscription->is_asked = true;
    subscription->was_asked = true;
}

void drv_session_subscribe(struct drv_session *session, struct drv_subscription *subscription)
{
    drv_list_init(&subscription->link);
    drv_pending_init(&subscription->pending, DRV_SUBSCRIBE, on_answer);
    subscription->session = session;
    subscription->wanted.subscription = ++session->next_subscription;
    drv_list_push_back(&session->subscriptions, &subscription->link);
}

static void ask(struct drv_session *session, struct drv_subscription *subscription)
{
    subscription->wanted.taken = subscription->received;
    subscription->pending.message.subscribe = subscription->wanted;
    drv_session_ask(session, &subscription->pending);
}

struct farewell { /* the end of a subscription, whose answer nobody waits for */
    struct drv_pending pending;
};

static void on_farewell(struct drv_pending *pending, const struct drv_answer *answer)
{
    (void)answer;
    free(DRV_CONTAINER_OF(pending, struct farewell, pending));
}

void drv_session_unsubscribe(struct drv_session *session, struct drv_subscription *subscription)
{
    bool is_there = drv_list_is_linked(&subscription->link) && subscription->was_asked;
    drv_session_withdraw(session, &subscription->pending);
    drv_list_remove(&subscription->link);
    if (!is_there || session->state != SESSION_UP) {
        return; /* without a connection it ends with its session */
    }
    struct farewell *farewell = calloc(1, sizeof(*farewell));
    if (farewell != NULL) {
        drv_pending_init(&farewell->pending, DRV_SUBSCRIBE, on_farewell);
        farewell->pending.message.subscribe = (struct drv_subscribe){
            .subscription = subscription->wanted.subscription, .index = DROVER_INDEX_NONE};
        drv_session_ask(session, &farewell->pending);
    }
}

void session_streams_rewind(struct drv_session *session)
{
    DRV_LIST_EACH(link, &session->subscriptions)
    {
        subscription_of(link)->is_asked = false;
    }
}

void session_streams_anew(struct drv_session *session)
{
    DRV_LIST_EACH_SAFE(link, &session->subscriptions)
    {
        struct drv_subscription *subscription = subscription_of(link);
        begin_anew(subscription);
        subscription->was_asked = false; /* told already */
        subscription->wanted.taken = 0;
        subscription->pending.message.subscribe.taken = 0;
    }
}

void session_streams_end(struct drv_session *session, drover_status status)
{
    struct drv_list *link;
    while ((link = drv_list_first(&session->subscriptions)) != NULL) {
        end(subscription_of(link), status, (struct drv_str){NULL, 0});
    }
}

/* ---- taking ------------------------------------------------------------------------------ */

void drv_session_take(struct drv_subscription *subscription, uint64_t entries, size_t bytes)
{
    subscription->taken += entries;
    subscription->taken_bytes += bytes + entries * DRV_STREAM_ENTRY_BYTES;
}

static bool is_worth_telling(const struct drv_subscription *subscription)
{
    uint64_t items = subscription->wanted.items;
    uint64_t bytes = subscription->wanted.bytes;
    items = items == 0 ? DRV_STREAM_ITEMS : items;
    bytes = bytes == 0 ? DRV_STREAM_BYTES : bytes;
    uint64_t untold = subscription->taken - subscription->told_taken;
    return untold > 0 && (untold >= PART_OF(items) || subscription->has_ended ||
                          subscription->taken_bytes >= PART_OF(bytes));
}

static void tell_taken(struct drv_session *session, struct drv_subscription *subscription)
{
    struct drv_taken_entry entry = {subscription->wanted.subscription, subscription->taken};
    const struct drv_message message = {.kind = DRV_TAKEN, .taken = {&entry, 1}};
    if (drv_link_send(session->link, &message, 0) == DROVER_OK) {
        subscription->told_taken = subscription->taken;
        subscription->taken_bytes = 0;
    }
}

void session_flush_streams(struct drv_session *session)
{
    DRV_LIST_EACH(link, &session->subscriptions)
    {
        struct drv_subscription *subscription = subscription_of(link);
        bool is_asking = drv_list_is_linked(&subscription->pending.link);
        if (!subscription->is_asked && !is_asking && !subscription->has_ended) {
            ask(session, subscription);
        } else if (subscription->is_asked && is_worth_telling(subscription)) {
            tell_taken(session, subscription);
        }
    }
}

/* ---- what comes -------------------------------------------------------------------------- */

void session_on_stream(struct drv_session *session, const struct drv_message *message)
{
    bool is_output = message->kind == DRV_LOGS;
    uint64_t first = is_output ? message->logs.first : message->events.first;
    uint64_t number = is_output ? message->logs.subscription : message->events.subscription;
    size_t count = is_output ? message->logs.piece_count : message->events.entry_count;
    bool is_end = is_output && message->logs.state != 0;
    struct drv_subscription *subscription = find(session, number);
    if (subscription == NULL || !subscription->is_asked || subscription->has_ended ||
        is_output != (subscription->wanted.stream == DRV_STREAM_LOGS) || first == 0 ||
        first > UINT64_MAX - count - 1) {
        return; /* under way when it ended */
    }
    uint64_t next = subscription->received + 1;
    struct drv_arrival arrival = {.message = message,
                                  .missed = first > next ? first - next : 0,
                                  .skip = first < next ? (size_t)(next - first) : 0};
    uint64_t last = first + count + (is_end ? 1 : 0) - 1;
    arrival.skip = arrival.skip < count ? arrival.skip : count;
    subscription->received = last > subscription->received ? last : subscription->received;
    subscription->has_ended = is_end;
    subscription->on_arrival(subscription, &arrival);
}
