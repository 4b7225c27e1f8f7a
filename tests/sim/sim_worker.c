/*
 * sim_worker.c: the life of a worker: greeting, messages, crash, leave.
 */
#include "sim_worker.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "sim_book.h"
#include "sim_deps.h"
#include "sim_range.h"
#include "sim_world.h"

enum {
    ATTACH_BATCH = 5, /* leases per ATTACH: several messages now and then */
    REVIVE_MIN_US = 200000,
    REVIVE_MAX_US = 1500000,
    SMALL_WINDOW = 4096,
    HEAVY_US = 500000,
};

struct sim_worker *sim_worker_new(struct sim *sim, bool offers_all)
{
    struct sim_worker *worker = calloc(1, sizeof *worker);
    DRV_ASSERT(worker != NULL);
    worker->slots = (uint32_t)sim_between(sim, 1, 4);
    worker->types = offers_all ? 7 : (uint32_t)sim_between(sim, 1, 7);
    worker->queues = !offers_all && sim_once_in(sim, 3) ? (uint32_t)sim_between(sim, 1, 15) : 0;
    worker->has_gpu = offers_all || sim_once_in(sim, 2);
    worker->zones = offers_all ? (1u << SIM_ZONES) - 1
                               : (uint32_t)sim_between(sim, 0, (1 << SIM_ZONES) - 1);
    worker->is_light = offers_all;
    /* Ranges need something to be made of. */
    worker->credit_items = worker->slots +
                           (uint64_t)sim_between(sim, 0, sim->profile.ranges ? 40 : 8);
    worker->credit_high = worker->credit_items;
    worker->credit_bytes = sim->profile.small_window ? SMALL_WINDOW : 1u << 20;
    return worker;
}

void sim_worker_destroy(struct sim_worker **worker)
{
    free(*worker);
    *worker = NULL;
}

/* ---- greeting ------------------------------------------------------------------------------
 */

static uint32_t lease_wire_state(const struct sim_lease *lease)
{
    return lease->state == SIM_DONE ? 3 : lease->state == SIM_RUNNING ? 2 : 1;
}

/* What it holds, as it is listed; returns how many entries. */
static size_t worker_list(struct sim *sim, const struct sim_worker *worker,
                          struct drv_attached list[SIM_BOOK_MAX])
{
    size_t count = 0;
    for (uint32_t i = 0; i < worker->book_count; i++) {
        const struct sim_lease *lease = &worker->book[i];
        if (lease->state != SIM_ZOMBIE) {
            list[count++] = (struct drv_attached){.id = lease->ref.id,
                                                  .index = lease->ref.index,
                                                  .attempt = lease->ref.attempt,
                                                  .state = lease_wire_state(lease)};
        }
    }
    size_t joined = sim->profile.ranges ? sim_range_join_attached(list, count) : count;
    sim_count_if(sim, joined < count, SIM_RANGE_ATTACHED_SEEN);
    return joined;
}

static void worker_attach(struct sim *sim, struct sim_peer *peer,
                          const struct drv_attached *list, size_t count)
{
    struct sim_worker *worker = peer->worker;
    for (uint32_t i = 0; i < worker->book_count; i++) {
        const struct sim_lease *lease = &worker->book[i];
        if (lease->state != SIM_ZOMBIE) {
            sim_count(sim, SIM_ATTACHED_SEEN);
            sim_checker_on_attach(sim, peer, &lease->ref, lease_wire_state(lease));
        }
    }
    for (size_t at = 0; at < count; at += ATTACH_BATCH) {
        size_t left = count - at;
        struct drv_message message = {
            .kind = DRV_ATTACH,
            .attach = {.leases = list + at,
                       .lease_count = left < ATTACH_BATCH ? left : ATTACH_BATCH}};
        (void)sim_peer_send(sim, peer, &message, 0);
    }
}

static void worker_drop_without_contact(struct sim *sim, struct sim_peer *peer)
{
    bool out = peer->lease_us > 0 && sim->now_us - peer->last_contact_us > peer->lease_us;
    if (out && peer->worker->book_count > 0) {
        sim_count(sim, SIM_NO_CONTACT_SEEN);
        sim_book_return_all(sim, peer, DRV_RETURN_NO_CONTACT, false);
    }
}

static size_t names_of(uint32_t bits, unsigned count, const char *(*name)(unsigned),
                       struct drv_str *out_names)
{
    size_t named = 0;
    for (unsigned i = 0; i < count; i++) {
        if ((bits & 1u << i) != 0) {
            out_names[named++] = drv_str_of(name(i));
        }
    }
    return named;
}

void sim_worker_greet(struct sim *sim, struct sim_peer *peer)
{
    struct sim_worker *worker = peer->worker;
    worker_drop_without_contact(sim, peer);
    struct drv_attached list[SIM_BOOK_MAX];
    size_t listed = worker_list(sim, worker, list);
    const struct drv_str ranges = drv_str_of("ranges");
    struct drv_str type_names[SIM_TYPE_COUNT], queues[SIM_QUEUE_COUNT];
    struct drv_offer types[SIM_TYPE_COUNT] = {{.model = 0}};
    size_t type_count = names_of(worker->types, SIM_TYPE_COUNT, sim_type_name, type_names);
    for (size_t i = 0; i < type_count; i++) {
        types[i].name = type_names[i];
    }
    size_t queue_count = names_of(worker->queues, SIM_QUEUE_COUNT, sim_queue_name, queues);
    const struct drv_count gpu = {drv_str_of("gpu"), 1};
    struct drv_pair labels[SIM_ZONES];
    size_t label_count = 0;
    for (unsigned zone = 1; zone < SIM_ZONES; zone++) {
        if ((worker->zones & 1u << zone) != 0) {
            labels[label_count++] = sim_zone_label(zone);
        }
    }
    struct drv_message message = {
        .kind = DRV_HELLO,
        .hello = {.version_min = 1,
                  .version_max = 1,
                  .role = DRV_ROLE_WORKER,
                  .session = peer->session,
                  .resume = peer->resume,
                  .name = drv_str_of("worker"),
                  .software = drv_str_of("sim"),
                  .capabilities = &ranges,
                  .capability_count = sim->profile.ranges,
                  .credit_items = worker->leaving ? 0 : worker->credit_items,
                  .credit_bytes = worker->credit_bytes,
                  .has_worker = true,
                  .worker = {.slots = worker->slots,
                             .pid = 100 + peer->number,
                             .host = drv_str_of("host"),
                             .types = types,
                             .type_count = type_count,
                             .queues = queues,
                             .queue_count = queue_count,
                             .resources = &gpu,
                             .resource_count = worker->has_gpu,
                             .labels = labels,
                             .label_count = label_count,
                             .lease_count = (uint32_t)listed,
                             .model = DRV_MODEL_PREFORK}},
    };
    worker->credit_high = worker->credit_items;
    (void)sim_peer_send(sim, peer, &message, 0);
    worker_attach(sim, peer, list, listed);
}

void sim_worker_on_welcome(struct sim *sim, struct sim_peer *peer, bool resumed)
{
    struct sim_worker *worker = peer->worker;
    worker->drained = false; /* the broker says so again if it still is */
    if (!resumed) {
        worker->shared_count = 0;
    } else {
        sim_count(sim, SIM_RESUMED_WORKER_SEEN);
    }
    for (uint32_t i = 0; i < worker->book_count; i++) {
        struct sim_lease *lease = &worker->book[i];
        lease->token = 0;
        sim_count_if(sim, resumed && lease->state != SIM_ZOMBIE, SIM_KEPT_SEEN);
        if (lease->state == SIM_ASKING) {
            sim_report_started(sim, peer, &lease->ref); /* its GO may have been lost */
        }
    }
    sim_report_flush_soon(sim, peer, 0);
    sim_book_start(sim, peer);
}

void sim_worker_on_disconnect(struct sim *sim, struct sim_peer *peer)
{
    struct sim_worker *worker = peer->worker;
    for (uint32_t i = 0; i < worker->book_count; i++) {
        struct sim_lease *lease = &worker->book[i];
        lease->sent_before = lease->sent_before || lease->token != 0;
        lease->token = 0;
    }
    worker->started_count = 0;
    worker->returned_count = 0;
    (void)sim;
}

/* ---- leaving -------------------------------------------------------------------------------
 */

static void worker_reset(struct sim_worker *worker)
{
    worker->book_count = 0;
    worker->running = 0;
    worker->drained = false;
    worker->leaving = false;
    worker->doomed = false;
    worker->started_count = 0;
    worker->returned_count = 0;
    worker->shared_count = 0;
    worker->gone_next = 0;
    worker->next_req = 0;
    worker->question.req = 0;
}

static void worker_die(struct sim *sim, struct sim_peer *peer, bool told)
{
    sim_peer_disconnect(sim, peer, told);
    peer->state = SIM_DEAD;
    peer->lease_us = 0;
    worker_reset(peer->worker);
    sim_schedule(sim, SIM_EVENT_REVIVE, sim_between(sim, REVIVE_MIN_US, REVIVE_MAX_US),
                 peer->number, 0);
}

void sim_worker_crash(struct sim *sim, struct sim_peer *peer, bool told)
{
    struct sim_worker *worker = peer->worker;
    bool started = false, unstarted = false;
    for (uint32_t i = 0; i < worker->book_count; i++) {
        started = started || worker->book[i].state == SIM_RUNNING;
        unstarted = unstarted || worker->book[i].state == SIM_UNSTARTED;
    }
    sim_count(sim, SIM_FAULT_WORKER_CRASH_SEEN);
    sim_count_if(sim, started, SIM_FAULT_WORKER_CRASH_STARTED_SEEN);
    sim_count_if(sim, unstarted, SIM_FAULT_WORKER_CRASH_UNSTARTED_SEEN);
    sim_trace(sim, "worker.crash", peer->number, started, unstarted);
    worker_die(sim, peer, told);
}

static void worker_leave_if_done(struct sim *sim, struct sim_peer *peer)
{
    struct sim_worker *worker = peer->worker;
    if (!worker->leaving || worker->book_count > 0 || peer->state != SIM_READY ||
        !sim_report_is_empty(worker)) {
        return;
    }
    sim_trace(sim, "worker.bye", peer->number, 0, 0);
    sim_peer_goodbye(sim, peer);
    if (sim->phase >= SIM_LEAVING) {
        sim_peer_disconnect(sim, peer, false);
        peer->state = SIM_FINISHED;
    } else {
        worker_die(sim, peer, false);
    }
}

static void worker_send_credit(struct sim *sim, struct sim_peer *peer, uint64_t items)
{
    struct drv_message message = {
        .kind = DRV_CREDIT, .credit = {.items = items, .bytes = peer->worker->credit_bytes}};
    (void)sim_peer_send(sim, peer, &message, 0);
}

void sim_worker_leave(struct sim *sim, struct sim_peer *peer)
{
    if (peer->worker->leaving || peer->state == SIM_DEAD) {
        return;
    }
    peer->worker->leaving = true;
    sim_book_return_all(sim, peer, DRV_RETURN_DRAINING, true);
    worker_send_credit(sim, peer, 0);
    worker_leave_if_done(sim, peer);
}

void sim_worker_set_credit(struct sim *sim, struct sim_peer *peer, uint64_t items)
{
    struct sim_worker *worker = peer->worker;
    if (peer->state != SIM_READY || worker->leaving) {
        return;
    }
    worker->credit_items = items;
    if (items > worker->credit_high) {
        worker->credit_high = items; /* what was on its way under the old level may come */
    }
    sim_count(sim, SIM_CREDIT_CHANGED_SEEN);
    worker_send_credit(sim, peer, items);
}

void sim_worker_forge(struct sim *sim, struct sim_peer *peer)
{
    struct drv_ref ref;
    if (peer->state != SIM_READY || !sim_checker_pick_foreign_lease(sim, peer, &ref)) {
        return;
    }
    sim_count(sim, SIM_FAULT_FORGED_SEEN);
    sim_trace(sim, "worker.forge", peer->number, ref.attempt, 0);
    struct drv_result result = {.ref = ref,
                                .outcome = DRV_OUTCOME_SUCCEEDED,
                                .val = {.bytes = (const uint8_t *)"false", .len = 5}};
    struct drv_message message = {.kind = DRV_REPORT,
                                  .report = {.results = &result, .result_count = 1}};
    (void)sim_peer_send(sim, peer, &message, 0);
}

/* Some die at the worst moment: with leases in hand that have not started. */
static void worker_meet_doom(struct sim *sim, struct sim_peer *peer)
{
    const struct sim_worker *worker = peer->worker;
    for (uint32_t i = 0; worker->doomed && i < worker->book_count; i++) {
        if (worker->book[i].state == SIM_UNSTARTED) {
            sim_worker_crash(sim, peer, sim_once_in(sim, 2));
            return;
        }
    }
}

/* ---- messages and timers --------------------------------------------------------------------
 */

static void worker_on_notes(struct sim *sim, const struct drv_ack *ack)
{
    for (size_t i = 0; i < ack->note_count; i++) {
        uint32_t code = ack->notes[i].code;
        sim_count_if(sim, code == DROVER_STALE, SIM_RESULT_STALE_SEEN);
        sim_count_if(sim, code == DROVER_UNKNOWN, SIM_RESULT_UNKNOWN_SEEN);
        sim_count_if(sim, code == DROVER_DENIED, SIM_RESULT_DENIED_SEEN);
    }
}

static void worker_on_shared(struct sim *sim, struct sim_peer *peer,
                             const struct drv_shared *shared)
{
    struct sim_worker *worker = peer->worker;
    uint32_t at = 0;
    while (at < worker->shared_count && !drover_id_equal(&worker->shared[at], &shared->id)) {
        at++;
    }
    if (shared->val.is_nil) {
        if (at < worker->shared_count) {
            worker->shared[at] = worker->shared[--worker->shared_count];
        }
        return;
    }
    sim_checker_on_shared(sim, shared);
    sim_count(sim, SIM_SHARED_SEEN);
    if (at == worker->shared_count && at < SIM_OUT_MAX) {
        worker->shared[worker->shared_count++] = shared->id;
    }
}

static void worker_on_drain(struct sim *sim, struct sim_peer *peer, bool on)
{
    peer->worker->drained = on;
    if (on) {
        sim_count(sim, SIM_WORKER_DRAINED_SEEN);
        sim_book_return_all(sim, peer, DRV_RETURN_DRAINING, true);
    }
}

void sim_worker_on_message(struct sim *sim, struct sim_peer *peer,
                           const struct drv_message *message)
{
    switch ((unsigned)message->kind) {
    case DRV_LEASE:
        sim_book_take(sim, peer, &message->lease);
        worker_meet_doom(sim, peer);
        break;
    case DRV_RECALL:
        sim_book_recall(sim, peer, &message->leases);
        break;
    case DRV_ABORT:
        sim_book_abort(sim, peer, &message->abort);
        break;
    case DRV_GO:
        sim_book_go(sim, peer, &message->leases);
        break;
    case DRV_SHARED:
        worker_on_shared(sim, peer, &message->shared);
        break;
    case DRV_DRAIN:
        worker_on_drain(sim, peer, message->drain.on);
        break;
    case DRV_ACK:
        worker_on_notes(sim, &message->ack_notes);
        break;
    case DRV_REPLY:
        for (size_t i = 0; i < message->reply.reply_count && !sim->failed; i++) {
            sim_deps_on_fetched(sim, peer, &message->reply.replies[i]);
        }
        break;
    case DRV_HEARTBEAT:
        sim_peer_beat_in(sim, peer, (int64_t)message->heartbeat.next_us);
        break;
    default:
        sim_fail(sim, "worker %u got %s", peer->number, drv_kind_name(message->kind));
        break;
    }
    worker_leave_if_done(sim, peer);
}

void sim_worker_on_settled(struct sim *sim, struct sim_peer *peer, uint64_t token)
{
    struct sim_worker *worker = peer->worker;
    for (uint32_t i = worker->book_count; i-- > 0;) {
        struct sim_lease *lease = &worker->book[i];
        if (lease->state == SIM_DONE && lease->token == token && token != 0) {
            sim_book_remember(worker, &lease->ref, lease->wire);
            sim_book_remove(worker, lease);
        }
    }
    worker_leave_if_done(sim, peer);
}

void sim_worker_on_event(struct sim *sim, struct sim_peer *peer, const struct sim_event *event)
{
    if (event->kind == SIM_EVENT_FLUSH) {
        sim_report_flush(sim, peer);
    } else if (event->kind == SIM_EVENT_FINISH) {
        sim_book_finish(sim, peer, event->arg);
    }
    worker_leave_if_done(sim, peer);
}

/* While the world is bad, hosts have too little memory now and then, for half a second; not the
 * first one, so that something can always go on. */
static bool is_heavy(const struct sim *sim, const struct sim_peer *peer)
{
    uint64_t moment = (uint64_t)(sim->now_us / HEAVY_US);
    return sim->phase == SIM_ACTIVE && !peer->worker->is_light &&
           sim_mix(sim_mix(sim->config.seed, peer->number), moment) % 4 == 0;
}

void sim_worker_heartbeat(struct sim *sim, struct sim_peer *peer)
{
    struct sim_worker *worker = peer->worker;
    struct drv_running running[SIM_BOOK_MAX];
    size_t count = 0;
    for (uint32_t i = 0; i < worker->book_count; i++) {
        const struct sim_lease *lease = &worker->book[i];
        if (lease->state == SIM_RUNNING) {
            uint64_t elapsed_ms = (uint64_t)(sim->now_us - lease->began_us) / 1000;
            running[count++] = (struct drv_running){.ref = lease->ref,
                                                    .elapsed_ms = elapsed_ms};
        }
    }
    struct drv_message message = {
        .kind = DRV_HEARTBEAT,
        .heartbeat = {.running = running,
                      .running_count = count,
                      .has_host = true,
                      .host = {.cpu_percent = 12.5,
                               .memory_percent = is_heavy(sim, peer) ? 97 : 40,
                               .cpu_count = 4}}};
    (void)sim_peer_send(sim, peer, &message, 0);
    sim_book_start(sim, peer);
}
