#include "broker.h"
#include "hand.h"

#include "check.h"
#include "guard.h"
#include "handlers.h"
#include "restore.h"

#include <stdlib.h>

/* --- configuration ----------------------------------------------------------------------- */

void core_config_init(struct core_config *config)
{
    const int64_t second = 1000 * 1000;
    *config = (struct core_config){
        .epoch = 1,
        .salt = 1,
        .software = "",
        .store_name = "memory",
        .durability_max = DROVER_DURABILITY_MEMORY,
        .heartbeat_us = second,
        .lease_us = 10 * second,
        .reconnect_grace_us = 3 * second,
        .reattach_us = 15 * second,
        .session_us = 3600 * second,
        .keep_us = 3600 * second,
        .keep_failed_us = 7 * 24 * 3600 * second,
        .keep_bytes_max = (uint64_t)1 << 30,
        .keep_count_max = 1000000,
        .cancel_term_us = 2 * second,
        .cancel_kill_us = 5 * second,
        .memory_max = (uint64_t)4 << 30,
        .queue_count_max = 10000000,
        .queue_bytes_max = (uint64_t)2 << 30,
        .client_tasks_max = UINT64_MAX,
        .client_bytes_max = (uint64_t)1 << 30,
        .client_rate = UINT64_MAX,
        .client_results_max = 1000000,
        .client_keys_max = UINT64_MAX,
        .kv_count_max = 100000,
        .kv_bytes_max = (uint64_t)256 << 20,
        .details_bytes_max = (uint64_t)64 << 20,
        .stream_bytes_max = (uint64_t)256 << 20,
        .output_bytes_max = (uint64_t)64 << 20,
        .keys_max = 1000000,
        .sessions_max = 100000,
        .credit_bytes = (uint64_t)16 << 20,
        .memory_mark_percent = 95,
        .prefetch_max = 4096,
        .prefetch_run_us = 10 * 1000,
        .prefetch_work_us = 2000,
        .range_run_us = 200,
        .range_work_us = 1000,
    };
}

/* --- life -------------------------------------------------------------------------------- */

static void core_init_lists(struct core *core)
{
    struct drv_list *lists[] = {
        &core->sweeps,       &core->classes,       &core->workers,
        &core->tombs_by_age, &core->dirty_classes, &core->loaded,
        &core->kept,         &core->dirty_workers, &core->dirty_clients,
        &core->dead_peers,   &core->sessions.away, &core->event_readers,
        &core->kv_readers,   &core->tails,         &core->touched_workers,
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(lists); i++) {
        drv_list_init(lists[i]);
    }
}

static void core_init_parts(struct core *core)
{
    core_init_lists(core);
    drv_rng_init(&core->rng, core->config.seed);
    drv_buffer_init(&core->scratch);
    effects_init(&core->effects);
    save_init(core);
    history_init(core);
    timers_init(&core->timers);
    task_table_init(core);
    spec_table_init(core);
    queue_tables_init(core);
    session_table_init(core);
    roster_table_init(core);
    kv_table_init(core);
    schedules_init(core);
    key_table_init(core);
    group_table_init(core);
    account_table_init(core);
    core->scope = ACCESS_ALL;
    park_tables_init(core);
    deps_init(core);
    drv_pages_init(&core->pages);
    drv_slab_init(&core->task_slab, &core->pages, sizeof(struct task));
    drv_slab_init(&core->more_slab, &core->pages, sizeof(struct more));
    drv_slab_init(&core->lease_slab, &core->pages, sizeof(struct lease));
    drv_slab_init(&core->watch_slab, &core->pages, sizeof(struct watch));
    bodies_init(core);
}

drover_status core_new(const struct core_config *config, int64_t now_us, struct core **out_core)
{
    struct core *core = calloc(1, sizeof *core);
    if (core == NULL) {
        return DROVER_NOMEM;
    }
    core->config = *config;
    core->now_us = now_us;
    core->started_us = now_us;
    core_init_parts(core);
    if (!timer_init(core, &core->reattach_timer, TIMER_REATTACH) || !shelves_init(core) ||
        !alerts_init(core) || !recent_init(core)) {
        core_destroy(&core);
        return DROVER_NOMEM;
    }
    core->is_reattach_open = true;
    timer_arm(core, &core->reattach_timer, now_us + config->reattach_us);
    *out_core = core;
    return DROVER_OK;
}

static void core_free_tasks(struct core *core)
{
    struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
    struct task *task;
    while ((task = drv_table_next(&core->tasks, &cursor)) != NULL) {
        watch_drop_task(core, task);
        task_unretain(core, task);
        task_free(core, task);
    }
    while (sweeps_run(core)) {
    }
}

static void core_free_queues(struct core *core)
{
    struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
    struct queue *queue;
    while ((queue = drv_table_next(&core->queues, &cursor)) != NULL) {
        queue_keep(core, queue, false);
    }
}

void core_destroy(struct core **core_owned)
{
    struct core *core = *core_owned;
    *core_owned = NULL;
    if (core == NULL) {
        return;
    }
    peers_fini(core);
    sessions_fini(core);
    core_free_tasks(core);
    restore_free(core);
    schedules_fini(core);
    alerts_fini(core);
    core_free_queues(core);
    kv_fini(core);
    keys_fini(core);
    park_fini(core);
    leases_fini(core);
    shelves_fini(core);
    accounts_fini(core);
    timer_fini(core, &core->reattach_timer);
    timers_fini(&core->timers);
    core_effects_clear(core);
    effects_fini(&core->effects);
    save_fini(core);
    recent_fini(core);
    history_fini(core);
    DRV_ASSERT(drv_list_is_empty(&core->classes));
    struct drv_table *tables[] = {&core->tasks,           &core->specs, &core->queues,
                                  &core->types,           &core->lines, &core->sessions_by_id,
                                  &core->workers_by_name, &core->keys,  &core->groups,
                                  &core->tenants};
    for (size_t i = 0; i < DRV_ARRAY_LEN(tables); i++) {
        DRV_ASSERT(drv_table_count(tables[i]) == 0);
        drv_table_fini(tables[i]);
    }
    drv_slab_fini(&core->task_slab);
    drv_slab_fini(&core->more_slab);
    drv_slab_fini(&core->lease_slab);
    drv_slab_fini(&core->watch_slab);
    bodies_fini(core);
    drv_pages_fini(&core->pages);
    drv_buffer_fini(&core->scratch);
    DRV_ASSERT(drv_list_is_empty(&core->event_readers) && core->tail_bytes == 0);
    DRV_ASSERT(core->memory_bytes == 0);
    free(core);
}

uint64_t core_stable_hash(const struct core *core, const void *bytes, size_t len)
{
    const struct drv_table salted = {.seed = core->config.salt};
    return drv_table_hash(&salted, bytes, len);
}

void *core_alloc(struct core *core, size_t size)
{
    void *block = calloc(1, size > 0 ? size : 1);
    if (block != NULL) {
        core->memory_bytes += size;
    }
    return block;
}

void core_free(struct core *core, void *block, size_t size)
{
    if (block != NULL) {
        core->memory_bytes -= size;
        free(block);
    }
}

/* --- timers ------------------------------------------------------------------------------ */

static void kv_due(struct core *core, struct timer *timer)
{
    kv_expire(core, DRV_CONTAINER_OF(timer, struct kv_entry, timer));
}

void timer_fire(struct core *core, struct timer *timer)
{
    switch (timer_kind_of(timer)) {
    case TIMER_TASK:
        task_due(core, DRV_CONTAINER_OF(timer, struct task, timer));
        break;
    case TIMER_LEASE:
        lease_due(core, DRV_CONTAINER_OF(timer, struct lease, timer));
        break;
    case TIMER_RUN:
        run_due(core, DRV_CONTAINER_OF(timer, struct run, timer));
        break;
    case TIMER_SESSION:
        session_due(core, DRV_CONTAINER_OF(timer, struct session, timer));
        break;
    case TIMER_WORKER:
        worker_due(core, DRV_CONTAINER_OF(timer, struct worker, timer));
        break;
    case TIMER_REPLY:
        reply_due(core, DRV_CONTAINER_OF(timer, struct reply, timer));
        break;
    case TIMER_KV:
        kv_due(core, timer);
        break;
    case TIMER_ALERT:
        alerts_due(core);
        break;
    case TIMER_SCHEDULE:
        schedule_due(core, DRV_CONTAINER_OF(timer, struct schedule, timer));
        break;
    case TIMER_KEY:
        key_due(core, DRV_CONTAINER_OF(timer, struct key, timer));
        break;
    case TIMER_SHELF:
        shelf_due(core, DRV_CONTAINER_OF(timer, struct shelf, timer));
        break;
    case TIMER_THROTTLE:
        throttle_due(core, DRV_CONTAINER_OF(timer, struct throttle, timer));
        break;
    case TIMER_REATTACH:
        park_close(core);
        break;
    case TIMER_KINDS:
        DRV_UNREACHABLE();
    }
}

/* --- messages ---------------------------------------------------------------------------- */

typedef void (*handle_fn)(struct core *core, struct peer *peer,
                          const struct drv_message *message);
typedef void (*request_fn)(struct core *core, struct peer *peer,
                           const struct drv_message *message, struct reply *reply);

enum { CLIENTS = 1, WORKERS = 2, ANYONE = 3, EARLY = 4 };

struct handler {
    uint8_t who;     /* roles that may send it; EARLY: before WELCOME */
    handle_fn plain; /* one of the two */
    request_fn request;
};

static void on_nothing(struct core *core, struct peer *peer, const struct drv_message *message)
{
    (void)core;
    (void)peer;
    (void)message;
}

static const struct handler HANDLERS[] = {
    [DRV_HELLO] = {ANYONE | EARLY, on_hello, NULL},
    [DRV_GOODBYE] = {ANYONE | EARLY, on_goodbye, NULL},
    [DRV_ERROR] = {ANYONE | EARLY, on_error, NULL},
    [DRV_CREDIT] = {ANYONE, on_credit, NULL},
    [DRV_ACK] = {ANYONE, on_nothing, NULL},
    [DRV_HEARTBEAT] = {ANYONE, on_heartbeat, NULL},
    [DRV_ATTACH] = {WORKERS | EARLY, on_attach, NULL},
    [DRV_SUBMIT] = {ANYONE, NULL, on_submit},
    [DRV_ARRAY_OPEN] = {ANYONE, NULL, on_array_open},
    [DRV_ARRAY_ITEMS] = {ANYONE, NULL, on_array_items},
    [DRV_ARRAY_SEAL] = {ANYONE, NULL, on_array_seal},
    [DRV_CANCEL] = {ANYONE, NULL, on_cancel},
    [DRV_RETRY] = {ANYONE, NULL, on_retry},
    [DRV_KV] = {ANYONE, NULL, on_kv},
    [DRV_QUEUE] = {ANYONE, NULL, on_queue},
    [DRV_WORKER] = {ANYONE, NULL, on_worker},
    [DRV_FORGET] = {ANYONE, NULL, on_forget},
    [DRV_GRAPH] = {ANYONE, NULL, on_graph},
    [DRV_SCHEDULE] = {ANYONE, NULL, on_schedule},
    [DRV_ALERT] = {ANYONE, NULL, on_alert},
    [DRV_WATCH] = {ANYONE, on_watch, NULL},
    [DRV_UNWATCH] = {ANYONE, on_unwatch, NULL},
    [DRV_QUERY] = {ANYONE, on_query, NULL},
    [DRV_FETCH] = {ANYONE, on_fetch, NULL},
    [DRV_SUBSCRIBE] = {CLIENTS, on_subscribe, NULL},
    [DRV_TAKEN] = {CLIENTS, on_taken, NULL},
    [DRV_REPORT] = {WORKERS, on_report, NULL},
    [DRV_LOG] = {WORKERS, on_log, NULL},
    [DRV_AWAIT] = {WORKERS, on_await, NULL},
};

static const struct handler *handler_of(enum drv_kind kind)
{
    if ((size_t)kind >= DRV_ARRAY_LEN(HANDLERS)) {
        return NULL;
    }
    const struct handler *handler = &HANDLERS[kind];
    return handler->plain == NULL && handler->request == NULL ? NULL : handler;
}

enum handler_sort handler_sort(enum drv_kind kind)
{
    const struct handler *handler = handler_of(kind);
    if (kind == DRV_QUERY) {
        return HANDLER_QUERY;
    }
    if (kind == DRV_WATCH || kind == DRV_UNWATCH || kind == DRV_FETCH ||
        kind == DRV_SUBSCRIBE) {
        return HANDLER_QUESTION;
    }
    return handler != NULL && handler->request != NULL ? HANDLER_REQUEST : HANDLER_PLAIN;
}

static void peer_complain(struct core *core, struct peer *peer, const struct drv_message *about,
                          drover_status code, const char *text)
{
    struct drv_message *message = effects_message(core, DRV_ERROR);
    if (message != NULL) {
        message->failure = (struct drv_failure){.code = (uint32_t)code,
                                                .text = drv_str_of(text),
                                                .about_kind = (uint32_t)about->kind,
                                                .about_seq = about->seq};
    }
    effects_send(core, peer, message, 0);
}

/* Whether the peer may send this now; it is told when not. */
static bool message_is_in_turn(struct core *core, struct peer *peer,
                               const struct drv_message *message, const struct handler *handler)
{
    bool is_open = peer->state == PEER_OPEN;
    if (!is_open && (handler == NULL || !(handler->who & EARLY))) {
        peer_refuse(core, peer, DROVER_PROTOCOL, "HELLO comes first");
        return false;
    }
    if (is_open && message->epoch != core->config.epoch && message->kind != DRV_HELLO) {
        return false; /* meant for another life of the broker */
    }
    if (handler == NULL) {
        peer_complain(core, peer, message, DROVER_UNSUPPORTED,
                      "this broker does not take messages of this kind");
        return false;
    }
    if (is_open && !(handler->who & (1u << (peer->session->role - 1)))) {
        peer_complain(core, peer, message, DROVER_DENIED, "not for peers of this role");
        return false;
    }
    return true;
}

static void step_message(struct core *core, const struct core_event *event)
{
    const struct drv_message *message = event->message;
    struct peer *peer = peer_ensure(core, event->peer, event->port);
    if (peer == NULL || peer->state == PEER_DEAD) {
        return;
    }
    guard_identify(core, peer, event);
    peer->seq = message->seq > peer->seq ? message->seq : peer->seq;
    peer_touch(core, peer);
    const struct handler *handler = handler_of(message->kind);
    if (!message_is_in_turn(core, peer, message, handler)) {
        return;
    }
    if (peer->session != NULL) {
        peer->session->heard_us = core->now_us;
        if (peer->session->worker != NULL) {
            worker_heard(core, peer->session->worker);
        }
    }
    if (core->access != NULL && !guard_admits(core, peer, message)) {
        return;
    }
    if (handler->plain != NULL) {
        handler->plain(core, peer, message);
    } else {
        struct reply *reply = request_begin(core, peer, message);
        if (reply != NULL) {
            handler->request(core, peer, message, reply);
        }
    }
    guard_leave(core);
}

static void step_unblocked(struct core *core, struct peer *peer)
{
    peer->is_blocked = false;
    peer_touch(core, peer);
    if (peer->session != NULL && peer->session->worker != NULL) {
        worker_update(core, peer->session->worker);
    }
}

static void step_blocked(struct core *core, struct peer *peer)
{
    peer->is_blocked = true;
    if (peer->session != NULL && peer->session->worker != NULL) {
        worker_update(core, peer->session->worker);
    }
}

static void step_event(struct core *core, const struct core_event *event)
{
    if (event->kind == CORE_EVENT_MESSAGE) {
        step_message(core, event);
        return;
    }
    if (event->kind == CORE_EVENT_ACCESS) {
        guard_replace(core, event->access);
        return;
    }
    if (event->kind == CORE_EVENT_SELF) {
        core->self = event->self;
        history_sample(core);
        return;
    }
    struct peer *peer = peer_find(core, event->peer);
    if (peer == NULL) {
        return;
    }
    switch (event->kind) {
    case CORE_EVENT_GONE:
        peer_gone(core, peer);
        break;
    case CORE_EVENT_SETTLED:
        peer_settled(core, peer, event->token);
        break;
    case CORE_EVENT_BLOCKED:
        step_blocked(core, peer);
        break;
    case CORE_EVENT_UNBLOCKED:
        step_unblocked(core, peer);
        break;
    case CORE_EVENT_MESSAGE:
    case CORE_EVENT_SELF:
    case CORE_EVENT_ACCESS:
        break;
    }
}

void core_step(struct core *core, const struct core_event *event, int64_t now_us)
{
    core->now_us = now_us > core->now_us ? now_us : core->now_us;
    step_event(core, event);
    workers_settle(core);
    hand_put_down(core);
}

/* How long to wait before memory is asked for again. */
#define STARVED_US ((int64_t)10 * 1000)

/* --- ticks ------------------------------------------------------------------------------- */

int64_t core_tick(struct core *core, int64_t now_us)
{
    core->now_us = now_us > core->now_us ? now_us : core->now_us;
    core->wants_tick = timers_run(core);
    core->wants_tick |= sweeps_run(core);
    workers_settle(core);
    sched_dispatch(core);
    int64_t recall_at_us = sched_recall(core);
    retention_enforce(core);
    save_flush(core);
    peers_flush(core);
    hand_put_down(core);
    if (core->wants_tick) {
        return core->now_us;
    }
    int64_t deadline_us = timers_deadline_us(core);
    if (core->is_starved && deadline_us > core->now_us + STARVED_US) {
        deadline_us = core->now_us + STARVED_US;
    }
    if (core->is_draining && deadline_us > core->now_us + core->config.heartbeat_us) {
        deadline_us = core->now_us + core->config.heartbeat_us; /* who is still there? */
    }
    return recall_at_us < deadline_us ? recall_at_us : deadline_us;
}

/* --- small questions --------------------------------------------------------------------- */

void core_counters_get(const struct core *core, struct core_counters *out_counters)
{
    *out_counters = core->counters;
}

void core_count_malformed(struct core *core)
{
    core->counters.malformed++;
}

void core_count_denied(struct core *core, uint64_t count)
{
    core->counters.denied += count;
}

void core_count_late(struct core *core)
{
    core->counters.late++;
}

bool core_is_idle(const struct core *core)
{
    return core->leases.count == 0;
}

uint64_t core_memory_bytes(const struct core *core)
{
    return core->memory_bytes;
}

void core_trim(struct core *core)
{
    drv_pages_trim(&core->pages);
}
