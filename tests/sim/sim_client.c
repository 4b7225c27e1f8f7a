/*
 * sim_client.c: the life of a client: greeting, results, sessions.
 */
#include "sim_client.h"

#include "sim_range.h"

#include <stdlib.h>

#include "check.h"
#include "sim_world.h"

enum { SMALL_WINDOW = 4096, SLOW_READ_US = 150000, SETTLE_ENTRIES_BITS = 16 };

struct sim_client *sim_client_new(struct sim *sim, uint32_t quota)
{
    struct sim_client *client = calloc(1, sizeof *client);
    DRV_ASSERT(client != NULL);
    client->quota = quota;
    client->credit_items = (uint64_t)sim_between(sim, 1, 40);
    client->credit_high = client->credit_items;
    client->credit_bytes = sim->profile.small_window ? SMALL_WINDOW : 1u << 20;
    client->reader.is_reader = sim_once_in(sim, 3);
    return client;
}

void sim_client_destroy(struct sim_client **client)
{
    free(*client);
    *client = NULL;
}

/* ---- sessions
 * -------------------------------------------------------------------------------- */

void sim_client_greet(struct sim *sim, struct sim_peer *peer)
{
    struct sim_client *client = peer->client;
    struct drv_message message = {.kind = DRV_HELLO,
                                  .hello = {.version_min = 1,
                                            .version_max = 1,
                                            .role = DRV_ROLE_CLIENT,
                                            .session = peer->session,
                                            .resume = peer->resume,
                                            .name = drv_str_of("client"),
                                            .software = drv_str_of("sim"),
                                            .credit_items = client->credit_items,
                                            .credit_bytes = client->credit_bytes}};
    const struct drv_str ranges = drv_str_of("ranges");
    message.hello.capabilities = &ranges;
    message.hello.capability_count = sim->profile.ranges;
    client->credit_high = client->credit_items;
    (void)sim_peer_send(sim, peer, &message, 0);
}

void sim_client_on_welcome(struct sim *sim, struct sim_peer *peer, bool resumed)
{
    struct sim_client *client = peer->client;
    if (peer->resume && !resumed) {
        sim_fail(sim, "client %u: the session was neither resumed nor refused", peer->number);
        return;
    }
    sim_count_if(sim, resumed, SIM_RESUMED_CLIENT_SEEN);
    for (uint32_t i = 0; i < client->request_count; i++) {
        sim_request_send(sim, peer, &client->requests[i]);
    }
    sim_stream_on_welcome(sim, peer);
}

void sim_client_watch_anew(struct sim *sim, struct sim_peer *peer)
{
    for (uint32_t i = 0; i < sim->model.count; i++) {
        struct sim_task *task = sim_model_task(&sim->model, i);
        if (task->owner == peer->number && task->watched_by == peer->session_number) {
            task->watched_by = 0;
        }
    }
}

void sim_client_on_disconnect(struct sim *sim, struct sim_peer *peer)
{
    peer->client->unsettled = 0;
    peer->client->settles_pending = 0;
    sim_stream_on_disconnect(peer);
    (void)sim;
}

/* What becomes of the things that a lost request was about. */
static void request_lose(struct sim *sim, struct sim_peer *peer,
                         const struct sim_request *request)
{
    struct sim_model *model = &sim->model;
    bool insist = sim_once_in(sim, 2);
    for (uint32_t i = 0; i < request->count && request->kind == DRV_GRAPH; i++) {
        insist = insist && sim_model_task(model, request->targets[i])->array == SIM_NO_TASK;
    }
    if ((request->kind == DRV_SUBMIT || request->kind == DRV_GRAPH) && !request->again) {
        for (uint32_t i = 0; i < request->count; i++) {
            struct sim_task *task = sim_model_task(model, request->targets[i]);
            task->submit = insist ? SIM_SUBMIT_NEW : SIM_SUBMIT_UNKNOWN;
            task->graph = insist ? SIM_NO_TASK : task->graph; /* on their own from now on */
            if (insist) {
                sim_count(sim, SIM_REQUEST_RESUBMITTED_SEEN);
                sim_schedule(sim, SIM_EVENT_RESUBMIT, sim_between(sim, 1000, 100000),
                             peer->number, request->targets[i]);
            }
        }
    } else if (request->kind == DRV_RETRY) {
        for (uint32_t i = 0; i < request->count; i++) {
            sim_model_task(model, request->first_new + i)->submit = SIM_SUBMIT_UNKNOWN;
        }
    } else if (request->kind == DRV_SCHEDULE) {
        sim_clock_on_lost(sim);
    } else if (request->kind == DRV_KV && request->op == DRV_KV_INCREMENT) {
        sim_checker_on_increment_unknown(sim, peer, request->key, request->number);
    }
}

/* Some submit anew what was promised and may be gone: a worker may still have it. */
static void submit_anew(struct sim *sim, struct sim_peer *peer)
{
    for (uint32_t i = 0; i < sim->model.count; i++) {
        struct sim_task *task = sim_model_task(&sim->model, i);
        if (task->owner != peer->number || task->submit != SIM_SUBMIT_ACKED || task->resolved ||
            task->elements > 0 || task->array != SIM_NO_TASK) {
            continue;
        }
        task->submit = SIM_SUBMIT_NEW;
        task->graph = SIM_NO_TASK;
        sim_count(sim, SIM_REQUEST_RESUBMITTED_SEEN);
        sim_schedule(sim, SIM_EVENT_RESUBMIT, sim_between(sim, 1000, 300000), peer->number, i);
    }
}

void sim_client_on_session_lost(struct sim *sim, struct sim_peer *peer)
{
    struct sim_client *client = peer->client;
    if (sim_once_in(sim, 2)) {
        submit_anew(sim, peer);
    }
    for (uint32_t i = 0; i < client->request_count; i++) {
        request_lose(sim, peer, &client->requests[i]);
    }
    client->request_count = 0;
    client->next_req = 0;
    client->swap_version = 0;
    client->step = 0;
    sim_stream_on_session_lost(peer);
    sim_deed_abandon_arrays(sim, peer);
    sim_count_if(sim, peer->resume, SIM_SESSION_EXPIRED_SEEN);
}

void sim_client_restart(struct sim *sim, struct sim_peer *peer, bool goodbye)
{
    if (goodbye) {
        sim_peer_goodbye(sim, peer);
    }
    sim_peer_disconnect(sim, peer, !goodbye && sim_once_in(sim, 2));
    peer->resume = false;
    sim_client_on_session_lost(sim, peer);
    sim_peer_new_session(sim, peer);
    sim_peer_connect_later(sim, peer, sim_between(sim, 1000, 300000));
}

/* ---- results
 * ---------------------------------------------------------------------------------- */

/* Every element that was promised has been told by the time the array is. */
static void array_told(struct sim *sim, struct sim_peer *peer, uint32_t array, uint32_t state)
{
    struct sim_task *whole = sim_model_task(&sim->model, array);
    sim_count_if(sim, state != DROVER_STATE_LOST, SIM_ARRAY_ENDED_SEEN);
    for (uint32_t i = 0; i < whole->elements; i++) {
        struct sim_task *element = sim_model_task(&sim->model, array + 1 + i);
        bool owed = element->submit == SIM_SUBMIT_ACKED && !element->resolved;
        if (owed && state != DROVER_STATE_LOST && whole->acked_epoch == peer->epoch) {
            sim_fail(sim, "array %u ended for its client before element %u did", array, i);
        }
        element->resolved = true;
    }
}

static void client_on_result(struct sim *sim, struct sim_peer *peer,
                             const struct drv_outcome *entry)
{
    uint32_t serial = sim_model_find(&sim->model, &entry->id, entry->index);
    if (serial == SIM_NO_TASK) {
        sim_fail(sim, "client %u was told of a task that nobody submitted", peer->number);
        return;
    }
    sim_trace(sim, "client.result", peer->number, serial, entry->state);
    sim_checker_on_outcome(sim, peer, serial, entry);
    struct sim_task *task = sim_model_task(&sim->model, serial);
    if (task->elements > 0) {
        array_told(sim, peer, serial, entry->state);
    }
    task->resolved = true;
}

static void client_on_results(struct sim *sim, struct sim_peer *peer,
                              const struct drv_results *results)
{
    for (size_t i = 0; i < results->entry_count && !sim->failed; i++) {
        struct drv_outcome entry = results->entries[i];
        struct sim_range range = sim_range_of(&entry.range, &entry.val);
        if (range.left > 0 && !sim->profile.ranges) {
            sim_fail(sim, "client %u was told of a range that it does not know", peer->number);
        }
        do {
            sim_count_if(sim, range.left > 0, SIM_RANGE_TOLD_SEEN);
            client_on_result(sim, peer, &entry);
        } while (!sim->failed && sim_range_next(&range, &entry.index, &entry.val));
    }
}

/* Results are taken over at once, or in their own time by a slow reader. */
static void client_settle(struct sim *sim, struct sim_peer *peer, uint64_t seq,
                          uint32_t entries)
{
    struct sim_client *client = peer->client;
    struct sim_conn *conn = sim_peer_conn(sim, peer);
    if (conn == NULL) {
        return;
    }
    bool slow = entries > 0 && sim->profile.slow_reader;
    if (!slow && client->settles_pending == 0) {
        sim_net_settle(sim, conn, SIM_PEER_SIDE, seq);
        return;
    }
    int64_t at = sim->now_us + (slow ? sim_between(sim, 0, SLOW_READ_US) : 0);
    client->settle_at_us = at > client->settle_at_us ? at : client->settle_at_us;
    client->settles_pending++;
    client->unsettled += entries;
    if (client->unsettled > client->credit_high) {
        sim_fail(sim, "client %u holds %u unsettled results, its credit is %llu", peer->number,
                 client->unsettled, (unsigned long long)client->credit_high);
    }
    sim_peer_timer(sim, peer, SIM_EVENT_SETTLE, client->settle_at_us - sim->now_us,
                   seq << SETTLE_ENTRIES_BITS | entries);
}

static void client_on_settle(struct sim *sim, struct sim_peer *peer, uint64_t arg)
{
    struct sim_client *client = peer->client;
    struct sim_conn *conn = sim_peer_conn(sim, peer);
    client->settles_pending--;
    client->unsettled -= (uint32_t)(arg & ((1u << SETTLE_ENTRIES_BITS) - 1));
    if (conn != NULL) {
        sim_net_settle(sim, conn, SIM_PEER_SIDE, arg >> SETTLE_ENTRIES_BITS);
    }
}

/* ---- messages and timers
 * ----------------------------------------------------------------------- */

static void client_on_document(struct sim *sim, struct sim_peer *peer,
                               const struct drv_document *document)
{
    struct sim_request *request = sim_request_find(peer->client, document->req);
    if (request == NULL) {
        return;
    }
    if (document->code != DROVER_OK && document->code != DROVER_UNKNOWN) {
        sim_fail(sim, "client %u: question about topic %u was answered %s", peer->number,
                 request->op, drover_status_name((drover_status)document->code));
    }
    sim_count(sim, SIM_QUERY_SEEN);
    sim_request_remove(peer->client, request);
}

void sim_client_on_message(struct sim *sim, struct sim_peer *peer,
                           const struct drv_message *message)
{
    uint32_t entries = 0;
    switch ((unsigned)message->kind) {
    case DRV_REPLY:
        for (size_t i = 0; i < message->reply.reply_count && !sim->failed; i++) {
            sim_reply_take(sim, peer, &message->reply.replies[i]);
        }
        break;
    case DRV_RESULTS:
        entries = peer->repeated ? 0 : (uint32_t)sim_range_count(&message->results);
        client_on_results(sim, peer, &message->results);
        break;
    case DRV_DOCUMENT:
        client_on_document(sim, peer, &message->document);
        break;
    case DRV_EVENTS:
        sim_stream_on_events(sim, peer, &message->events);
        break;
    case DRV_ACK:
    case DRV_HEARTBEAT:
        break;
    default:
        sim_fail(sim, "client %u got %s", peer->number, drv_kind_name(message->kind));
        break;
    }
    client_settle(sim, peer, message->seq, entries);
}

void sim_client_on_event(struct sim *sim, struct sim_peer *peer, const struct sim_event *event)
{
    if (event->kind == SIM_EVENT_ACTION) {
        sim_deed_next(sim, peer);
        int64_t gap = sim_between(sim, 1, 2 * sim->profile.think_us);
        if (sim->phase < SIM_LEAVING) {
            sim_schedule(sim, SIM_EVENT_ACTION, gap, peer->number, 0);
        }
    } else if (event->kind == SIM_EVENT_RESUBMIT) {
        sim_deed_resubmit(sim, peer, (uint32_t)event->arg);
    } else if (event->kind == SIM_EVENT_SETTLE) {
        client_on_settle(sim, peer, event->arg);
    }
}

/* ---- what it waits for
 * -------------------------------------------------------------------------- */

uint32_t sim_client_waits_for(struct sim *sim, const struct sim_peer *peer)
{
    for (uint32_t i = 0; i < sim->model.count; i++) {
        const struct sim_task *task = sim_model_task(&sim->model, i);
        if (task->owner == peer->number && task->submit != SIM_SUBMIT_REFUSED &&
            !task->resolved) {
            return i;
        }
    }
    return SIM_NO_TASK;
}

bool sim_client_is_content(struct sim *sim, const struct sim_peer *peer)
{
    return peer->client->quota == 0 && peer->client->request_count == 0 &&
           sim_client_waits_for(sim, peer) == SIM_NO_TASK;
}
