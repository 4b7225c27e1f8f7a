/*
 * sim_deeds.c: what clients do while there is work and there are faults.
 */
#include "check.h"
#include "sim_client.h"
#include "sim_plan.h"
#include "sim_worker.h"
#include "sim_world.h"

enum {
    BATCH_MAX = 12,
    ELEMENTS_MAX = 24,
    ITEMS_MAX = 8, /* elements per ITEMS message */
    PICK_TRIES = 12,
    LARGE_PAYLOAD = 70000,
};

static bool chance(struct sim *sim, unsigned percent)
{
    return drv_rng_below(&sim->rng, 100) < percent;
}

/* ---- specs and new tasks
 * ---------------------------------------------------------------------- */

static unsigned type_random(struct sim *sim)
{
    unsigned dice = (unsigned)drv_rng_below(&sim->rng, 100);
    if (dice >= 96 && sim->profile.fancy_specs) {
        return SIM_NOBODY;
    }
    return dice < 45 ? SIM_ALPHA : dice < 78 ? SIM_BETA : SIM_GAMMA;
}

static void spec_fancy(struct sim *sim, struct sim_task_spec *spec)
{
    spec->delay_ms = chance(sim, 12) ? (uint64_t)sim_between(sim, 1, 800) : 0;
    spec->expire_ms = chance(sim, 10) ? (uint64_t)sim_between(sim, 20, 2000) : 0;
    spec->expire_ms += spec->expire_ms > 0 ? spec->delay_ms : 0;
    spec->timeout_ms = chance(sim, 12) ? (uint64_t)sim_between(sim, 1, 120) : 0;
    spec->retries = chance(sim, 40) ? (uint32_t)sim_between(sim, 1, 3) : 0;
    spec->loss_budget = chance(sim, 25) ? (int32_t)sim_between(sim, 0, 1) : 3;
    spec->durability = chance(sim, 3)    ? DROVER_DURABILITY_SYNCED
                       : chance(sim, 15) ? DROVER_DURABILITY_MEMORY
                                         : DROVER_DURABILITY_DEFAULT;
    if (sim->profile.durable && spec->durability == DROVER_DURABILITY_MEMORY) {
        spec->durability = DROVER_DURABILITY_WRITTEN;
    }
    spec->flags |= chance(sim, 6) ? DRV_SPEC_CANCEL_WITH_SESSION : 0u;
    spec->flags |= chance(sim, 4) ? DRV_SPEC_STRICT : 0u;
    spec->group = chance(sim, 20) ? (unsigned)sim_between(sim, 1, SIM_GROUP_COUNT - 1) : 0;
    if (chance(sim, 8)) {
        spec->key = (unsigned)sim_between(sim, 1, SIM_KEY_COUNT - 1);
        spec->key_window_ms = chance(sim, 50) ? (uint64_t)sim_between(sim, 1, 1500) : 0;
    }
}

static size_t payload_random(struct sim *sim)
{
    if (sim->profile.large_payloads && sim_once_in(sim, 40)) {
        return LARGE_PAYLOAD + (size_t)sim_between(sim, 0, 200000);
    }
    return (size_t)(sim_once_in(sim, 20) ? sim_between(sim, 1000, 6000)
                                         : sim_between(sim, 8, 60));
}

struct sim_task_spec sim_deed_spec(struct sim *sim)
{
    static const int32_t priorities[] = {-5, 7, 100};
    struct sim_task_spec spec = {
        .type = type_random(sim),
        .queue = chance(sim, 60)   ? SIM_DEFAULT
                 : chance(sim, 40) ? SIM_SIDE
                 : chance(sim, 50) ? SIM_LIMITED
                                   : SIM_TIGHT,
        .priority = chance(sim, 75) ? 0 : priorities[drv_rng_below(&sim->rng, 3)],
        .backoff_ms = (uint64_t)sim_between(sim, 5, 200),
        .loss_budget = 3,
        .keep_ms = -1,
        .tenant = chance(sim, 50) ? 0 : (unsigned)drv_rng_below(&sim->rng, SIM_TENANTS),
        .needs_gpu = chance(sim, 10),
        .zone = chance(sim, 10) ? (unsigned)sim_between(sim, 1, SIM_ZONES - 1) : 0,
        .payload_len = payload_random(sim),
    };
    if (sim->config.seed % 4 == 0 || !sim->profile.has_tenants) {
        spec.tenant = 0; /* without keys it is always known whose turn it is */
    }
    if (sim->profile.ages && !sim_once_in(sim, 4)) {
        spec.queue = SIM_LIMITED;
        spec.priority = sim_once_in(sim, 3) ? 0 : priorities[drv_rng_below(&sim->rng, 3)];
        spec.needs_gpu = false;
        spec.zone = 0;
    }
    if (sim->profile.fancy_specs) {
        spec_fancy(sim, &spec);
    }
    if (chance(sim, 75)) {
        spec.flags |= DRV_SPEC_WATCH;
        spec.flags |= chance(sim, 12) ? DRV_SPEC_RELEASE : 0u;
        spec.flags |= chance(sim, 10) ? DRV_SPEC_WATCH_STATES : 0u;
    }
    if (spec.key != 0) {
        spec.flags &= ~(uint32_t)DRV_SPEC_RELEASE; /* does not count then */
    }
    return spec;
}

uint32_t sim_deed_task(struct sim *sim, const struct sim_peer *peer,
                       const struct sim_task_spec *spec)
{
    drover_id id;
    sim_new_id(sim, &id);
    uint32_t serial = sim_model_add(&sim->model, &id, DROVER_INDEX_NONE);
    struct sim_task *task = sim_model_task(&sim->model, serial);
    task->owner = peer->number;
    task->spec = *spec;
    task->states_watched = (spec->flags & DRV_SPEC_WATCH_STATES) != 0;
    return serial;
}

static void do_submit(struct sim *sim, struct sim_peer *peer)
{
    struct sim_client *client = peer->client;
    struct sim_request *request = sim_request_new(sim, peer, DRV_SUBMIT);
    if (request == NULL) {
        return;
    }
    uint32_t count = (uint32_t)sim_between(sim, 1, BATCH_MAX);
    count = count < client->quota ? count : client->quota;
    struct sim_task_spec spec = sim_deed_spec(sim);
    uint32_t first = sim->model.count;
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0 && sim_once_in(sim, 4)) {
            spec = sim_deed_spec(sim);
        }
        spec.payload_len = payload_random(sim);
        uint32_t serial = sim_deed_task(sim, peer, &spec);
        if (sim->profile.families && chance(sim, 15)) {
            sim_deed_parents(sim, peer, serial, first);
        }
        if (sim->profile.families && chance(sim, 15)) {
            sim_deed_children(sim, peer, serial, first);
        }
        sim_model_task(&sim->model, serial)->submit = SIM_SUBMIT_SENT;
        request->targets[request->count++] = serial;
    }
    client->quota -= count;
    sim->stats.tasks += count;
    sim_request_send(sim, peer, request);
}

void sim_deed_resubmit(struct sim *sim, struct sim_peer *peer, uint32_t serial)
{
    struct sim_task *task = sim_model_task(&sim->model, serial);
    if (task->array != SIM_NO_TASK || task->elements > 0) {
        sim_deed_grow(sim, peer, task->array != SIM_NO_TASK ? task->array : serial);
        return;
    }
    if (task->submit != SIM_SUBMIT_NEW) {
        return;
    }
    struct sim_request *request = sim_request_new(sim, peer, DRV_SUBMIT);
    if (request == NULL) {
        sim_schedule(sim, SIM_EVENT_RESUBMIT, 20000, peer->number, serial);
        return;
    }
    request->targets[request->count++] = serial;
    task->submit = SIM_SUBMIT_SENT;
    sim_request_send(sim, peer, request);
}

/* ---- arrays
 * ------------------------------------------------------------------------------------- */

static void do_array(struct sim *sim, struct sim_peer *peer)
{
    struct sim_client *client = peer->client;
    struct sim_task_spec spec = sim_deed_spec(sim);
    spec.payload_len = sim_once_in(sim, 2) ? payload_random(sim) : 0;
    uint32_t count = (uint32_t)sim_between(sim, 1, ELEMENTS_MAX);
    count = count < client->quota ? count : client->quota;
    uint32_t array = sim_deed_task(sim, peer, &spec);
    drover_id id = sim_model_task(&sim->model, array)->id;
    if (sim->profile.families && chance(sim, 25)) {
        sim_deed_parents(sim, peer, array, array);
        spec = sim_model_task(&sim->model, array)->spec; /* its elements wait as it does */
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t serial = sim_model_add(&sim->model, &id, i);
        struct sim_task *element = sim_model_task(&sim->model, serial);
        element->owner = peer->number;
        element->array = array;
        element->spec = spec;
        element->spec.payload_len = payload_random(sim);
        element->states_watched = (spec.flags & DRV_SPEC_WATCH_STATES) != 0;
        if (sim->profile.families && chance(sim, 4)) {
            sim_deed_children(sim, peer, serial, array);
        }
    }
    struct sim_task *whole = sim_model_task(&sim->model, array);
    whole->elements = count;
    whole->abandoned = sim_once_in(sim, 12);
    sim_count_if(sim, whole->abandoned, SIM_ARRAY_ABANDONED_SEEN);
    client->quota -= count;
    sim->stats.tasks += count;
    sim_deed_grow(sim, peer, array);
}

static void array_send(struct sim *sim, struct sim_peer *peer, uint32_t serial,
                       enum drv_kind kind)
{
    struct sim_request *request = sim_request_new(sim, peer, kind);
    if (request == NULL) {
        sim_schedule(sim, SIM_EVENT_RESUBMIT, 20000, peer->number, serial);
        return;
    }
    request->targets[request->count++] = serial;
    if (kind == DRV_ARRAY_OPEN) {
        sim_model_task(&sim->model, serial)->submit = SIM_SUBMIT_SENT;
    }
    sim_request_send(sim, peer, request);
}

/* One run of elements that have not been sent, at a random place. */
static void array_send_items(struct sim *sim, struct sim_peer *peer, uint32_t array)
{
    struct sim_task *whole = sim_model_task(&sim->model, array);
    uint32_t from = (uint32_t)drv_rng_below(&sim->rng, whole->elements);
    uint32_t at = 0;
    for (; at < whole->elements; at++) {
        uint32_t serial = array + 1 + (from + at) % whole->elements;
        if (sim_model_task(&sim->model, serial)->submit == SIM_SUBMIT_NEW) {
            break;
        }
    }
    uint32_t first = array + 1 + (from + at) % whole->elements;
    struct sim_request *request = sim_request_new(sim, peer, DRV_ARRAY_ITEMS);
    if (request == NULL) {
        sim_schedule(sim, SIM_EVENT_RESUBMIT, 20000, peer->number, first);
        return;
    }
    uint32_t wanted = (uint32_t)sim_between(sim, 1, ITEMS_MAX);
    for (uint32_t serial = first; serial <= array + whole->elements && request->count < wanted;
         serial++) {
        struct sim_task *element = sim_model_task(&sim->model, serial);
        if (element->submit != SIM_SUBMIT_NEW) {
            break;
        }
        element->submit = SIM_SUBMIT_SENT;
        request->targets[request->count++] = serial;
    }
    sim_request_send(sim, peer, request);
}

static uint32_t elements_in(struct sim *sim, uint32_t array, enum sim_submit submit)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < sim_model_task(&sim->model, array)->elements; i++) {
        count += sim_model_task(&sim->model, array + 1 + i)->submit == submit;
    }
    return count;
}

/* What has not been sent never will be; what was sent and not answered is not known. */
static void array_stop(struct sim *sim, uint32_t array, bool session_lost)
{
    struct sim_task *whole = sim_model_task(&sim->model, array);
    for (uint32_t i = 0; i <= whole->elements; i++) {
        struct sim_task *task = sim_model_task(&sim->model, array + i);
        if (task->submit == SIM_SUBMIT_NEW) {
            task->submit = SIM_SUBMIT_REFUSED;
        } else if (task->submit == SIM_SUBMIT_SENT && session_lost) {
            task->submit = SIM_SUBMIT_UNKNOWN;
        }
    }
    if (!whole->sealed_acked) {
        whole->abandoned = true;
    }
}

void sim_deed_grow(struct sim *sim, struct sim_peer *peer, uint32_t array)
{
    struct sim_task *whole = sim_model_task(&sim->model, array);
    if (whole->submit == SIM_SUBMIT_NEW) {
        array_send(sim, peer, array, DRV_ARRAY_OPEN);
        return;
    }
    if (whole->submit != SIM_SUBMIT_ACKED || whole->acked_epoch != peer->epoch) {
        return;
    }
    if (whole->cancel_asked || whole->forget_asked) {
        array_stop(sim, array, false);
        return;
    }
    if (sim->now_us < whole->busy_until_us) {
        return; /* comes again by then */
    }
    if (elements_in(sim, array, SIM_SUBMIT_NEW) > 0) {
        array_send_items(sim, peer, array);
        return;
    }
    bool all = elements_in(sim, array, SIM_SUBMIT_ACKED) == whole->elements;
    if (all && !whole->seal_asked && !whole->abandoned) {
        whole->seal_asked = true;
        array_send(sim, peer, array, DRV_ARRAY_SEAL);
    }
}

void sim_deed_abandon_arrays(struct sim *sim, struct sim_peer *peer)
{
    for (uint32_t i = 0; i < sim->model.count; i++) {
        const struct sim_task *task = sim_model_task(&sim->model, i);
        if (task->owner == peer->number && task->elements > 0 && !task->sealed_acked) {
            array_stop(sim, i, true);
        }
    }
}

/* ---- about tasks of its own
 * ------------------------------------------------------------------------ */

typedef bool (*wanted_fn)(struct sim *sim, const struct sim_peer *peer,
                          const struct sim_task *task);

static uint32_t pick(struct sim *sim, const struct sim_peer *peer, wanted_fn wanted)
{
    for (unsigned i = 0; i < PICK_TRIES && sim->model.count > 0; i++) {
        uint32_t serial = (uint32_t)drv_rng_below(&sim->rng, sim->model.count);
        const struct sim_task *task = sim_model_task(&sim->model, serial);
        if (task->owner == peer->number && wanted(sim, peer, task)) {
            return serial;
        }
    }
    return SIM_NO_TASK;
}

/* A request about up to `max` tasks of one sort; NULL when there are none. */
static struct sim_request *request_about(struct sim *sim, struct sim_peer *peer,
                                         enum drv_kind kind, uint32_t max, wanted_fn wanted)
{
    struct sim_request *request = sim_request_new(sim, peer, kind);
    if (request == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < max; i++) {
        uint32_t serial = pick(sim, peer, wanted);
        bool doubled = false;
        for (uint32_t j = 0; j < request->count; j++) {
            doubled = doubled || request->targets[j] == serial;
        }
        if (serial != SIM_NO_TASK && !doubled) {
            request->targets[request->count++] = serial;
        }
    }
    if (request->count == 0) {
        sim_request_remove(peer->client, request);
        peer->client->next_req--;
        return NULL;
    }
    return request;
}

static bool is_sent(struct sim *sim, const struct sim_peer *peer, const struct sim_task *task)
{
    (void)sim;
    (void)peer;
    return task->submit == SIM_SUBMIT_ACKED || task->submit == SIM_SUBMIT_SENT;
}

static void do_cancel(struct sim *sim, struct sim_peer *peer)
{
    struct sim_request *request = request_about(sim, peer, DRV_CANCEL, 6, is_sent);
    if (request == NULL) {
        return;
    }
    request->op = sim_once_in(sim, 2) ? DRV_CANCEL_AWAITED : 0;
    for (uint32_t i = 0; i < request->count; i++) {
        uint32_t elements = sim_model_task(&sim->model, request->targets[i])->elements;
        for (uint32_t j = 0; j <= elements; j++) {
            sim_model_task(&sim->model, request->targets[i] + j)->cancel_asked = true;
        }
        if (request->op != 0) {
            sim_deed_cascade(sim, request->targets[i]);
        }
    }
    sim_request_send(sim, peer, request);
}

static bool is_retryable(struct sim *sim, const struct sim_peer *peer,
                         const struct sim_task *task)
{
    return task->index == DROVER_INDEX_NONE && task->elements == 0 && task->seen &&
           task->seen_epoch == peer->epoch && task->acked_epoch == peer->epoch &&
           !task->retry_asked && !task->forget_asked &&
           (task->outcome.state == DROVER_STATE_FAILED ||
            task->outcome.state == DROVER_STATE_CANCELLED ||
            task->outcome.state == DROVER_STATE_EXPIRED) &&
           sim->phase == SIM_ACTIVE;
}

static void do_retry(struct sim *sim, struct sim_peer *peer)
{
    struct sim_request *request = request_about(sim, peer, DRV_RETRY, 3, is_retryable);
    if (request == NULL) {
        return;
    }
    request->first_new = sim->model.count;
    request->op = sim_once_in(sim, 4) ? DRV_RETRY_ALONE : 0;
    for (uint32_t i = 0; i < request->count; i++) {
        struct sim_task *old = sim_model_task(&sim->model, request->targets[i]);
        struct sim_task_spec spec = old->spec;
        uint32_t payload = old->payload;
        old->retry_asked = true;
        spec.flags = 0;
        spec.after_count = 0; /* which ones is known when the broker has taken it */
        uint32_t serial = sim_deed_task(sim, peer, &spec);
        struct sim_task *task = sim_model_task(&sim->model, serial);
        task->payload = payload;
        task->submit = SIM_SUBMIT_SENT;
        task->is_retry = true;
        task->is_alone = request->op == DRV_RETRY_ALONE;
        task->origin = request->targets[i];
        sim_model_task(&sim->model, request->targets[i])->retried_as = serial;
    }
    sim_request_send(sim, peer, request);
}

static bool is_done_with(struct sim *sim, const struct sim_peer *peer,
                         const struct sim_task *task)
{
    (void)sim;
    return task->index == DROVER_INDEX_NONE && task->resolved && task->seen &&
           task->seen_epoch == peer->epoch && task->submit == SIM_SUBMIT_ACKED &&
           !task->forget_asked && !task->retry_asked;
}

static void do_forget(struct sim *sim, struct sim_peer *peer)
{
    struct sim_request *request = request_about(sim, peer, DRV_FORGET, 8, is_done_with);
    if (request == NULL) {
        return;
    }
    for (uint32_t i = 0; i < request->count; i++) {
        uint32_t elements = sim_model_task(&sim->model, request->targets[i])->elements;
        for (uint32_t j = 0; j <= elements; j++) {
            sim_model_task(&sim->model, request->targets[i] + j)->forget_asked = true;
        }
    }
    sim_request_send(sim, peer, request);
}

static bool is_promised(struct sim *sim, const struct sim_peer *peer,
                        const struct sim_task *task)
{
    (void)sim;
    (void)peer;
    return task->submit == SIM_SUBMIT_ACKED && !task->forget_asked;
}

static void do_watch(struct sim *sim, struct sim_peer *peer)
{
    bool stop = sim_once_in(sim, 4);
    struct sim_request *request = request_about(sim, peer, stop ? DRV_UNWATCH : DRV_WATCH, 6,
                                                is_promised);
    if (request == NULL) {
        return;
    }
    request->op = stop ? 0 : (uint32_t)sim_between(sim, 0, 1);
    for (uint32_t i = 0; i < request->count; i++) {
        struct sim_task *task = sim_model_task(&sim->model, request->targets[i]);
        task->watched_by = stop ? 0 : peer->session_number;
        for (uint32_t j = 0; j <= task->elements; j++) {
            task[j].states_watched = task[j].states_watched || request->op != 0;
        }
    }
    sim_request_send(sim, peer, request);
}

/* Known for certain until the request arrives, whatever happens in between. */
static bool is_steady(struct sim *sim, const struct sim_peer *peer, const struct sim_task *task)
{
    return peer->state == SIM_READY && task->submit == SIM_SUBMIT_ACKED &&
           task->acked_epoch == peer->epoch && task->index == DROVER_INDEX_NONE &&
           task->elements == 0 && !task->forget_asked &&
           task->payload == (uint32_t)(task - sim->model.tasks) &&
           (task->spec.flags & (DRV_SPEC_RELEASE | DRV_SPEC_STRICT)) == 0 &&
           !sim->profile.short_keep && !sim->profile.tight;
}

static void do_conflict(struct sim *sim, struct sim_peer *peer)
{
    struct sim_request *request = request_about(sim, peer, DRV_SUBMIT, 3, is_steady);
    if (request == NULL) {
        return;
    }
    request->again = true;
    request->other_content = sim_once_in(sim, 2);
    for (uint32_t i = 0; i < request->count; i++) {
        /* A forget that overtakes it would make it a new task. */
        sim_model_task(&sim->model, request->targets[i])->retry_asked = true;
    }
    sim_request_send(sim, peer, request);
}

/* ---- the rest
 * ---------------------------------------------------------------------------------------- */

static void do_query(struct sim *sim, struct sim_peer *peer)
{
    struct sim_request *request = sim_request_new(sim, peer, DRV_QUERY);
    if (request == NULL) {
        return;
    }
    request->op = (uint32_t)sim_between(sim, DRV_TOPIC_STATUS, DRV_TOPIC_GROUPS);
    uint32_t serial = pick(sim, peer, is_sent);
    if (request->op == DRV_TOPIC_TASK || request->op == DRV_TOPIC_WHY) {
        if (serial == SIM_NO_TASK) {
            request->op = DRV_TOPIC_STATUS;
        } else {
            request->targets[request->count++] = serial;
        }
    }
    sim_request_send(sim, peer, request);
}

static void do_kv(struct sim *sim, struct sim_peer *peer, enum drv_kv_op op)
{
    struct sim_request *request = sim_request_new(sim, peer, DRV_KV);
    if (request == NULL) {
        return;
    }
    request->op = op;
    request->key = op == DRV_KV_INCREMENT ? (unsigned)drv_rng_below(&sim->rng, SIM_COUNTERS)
                                          : 0;
    request->number = op == DRV_KV_INCREMENT ? sim_between(sim, 1, 1000)
                                             : (int64_t)peer->client->swap_version;
    sim_request_send(sim, peer, request);
}

/* Early, in a world where much depends on it. */
static void do_limit(struct sim *sim, struct sim_peer *peer)
{
    struct sim_request *request = sim_request_new(sim, peer, DRV_QUEUE);
    if (request != NULL) {
        request->op = DRV_QUEUE_SET;
        request->queue = SIM_LIMITED;
        request->number = sim_between(sim, 4, 20);
        sim_request_send(sim, peer, request);
    }
}

static void do_queue(struct sim *sim, struct sim_peer *peer, bool purge)
{
    struct sim_request *request = sim_request_new(sim, peer, DRV_QUEUE);
    if (request == NULL) {
        return;
    }
    request->queue = (unsigned)drv_rng_below(&sim->rng, SIM_QUEUE_COUNT);
    request->op = purge                 ? DRV_QUEUE_PURGE
                  : sim_once_in(sim, 3) ? DRV_QUEUE_PAUSE
                                        : DRV_QUEUE_RESUME;
    if (!purge && sim_once_in(sim, 4)) {
        request->op = DRV_QUEUE_SET;
        request->queue = sim_once_in(sim, 2) ? SIM_TIGHT : SIM_LIMITED;
        request->number = sim_between(sim, 4, 20);
    }
    sim_request_send(sim, peer, request);
}

static void do_worker(struct sim *sim, struct sim_peer *peer)
{
    struct sim_request *request = sim_request_new(sim, peer, DRV_WORKER);
    if (request == NULL) {
        return;
    }
    uint32_t number = (uint32_t)drv_rng_below(&sim->rng, sim->worker_count);
    request->op = sim_once_in(sim, 3) ? DRV_WORKER_DRAIN : DRV_WORKER_RESUME;
    request->worker = sim_worker_at(sim, number)->session;
    sim_request_send(sim, peer, request);
}

static void do_credit(struct sim *sim, struct sim_peer *peer)
{
    struct sim_client *client = peer->client;
    if (sim_once_in(sim, 2)) {
        uint32_t number = (uint32_t)drv_rng_below(&sim->rng, sim->worker_count);
        struct sim_peer *worker = sim_worker_at(sim, number);
        sim_worker_set_credit(sim, worker,
                              worker->worker->slots + (uint64_t)sim_between(sim, 0, 8));
        return;
    }
    client->credit_items = (uint64_t)sim_between(sim, 1, 40);
    if (client->credit_items > client->credit_high) {
        client->credit_high = client->credit_items;
    }
    struct drv_message message = {
        .kind = DRV_CREDIT,
        .credit = {.items = client->credit_items, .bytes = client->credit_bytes}};
    (void)sim_peer_send(sim, peer, &message, 0);
}

static enum sim_deed deed_random(struct sim *sim)
{
    const uint32_t *weights = sim->profile.weights;
    uint64_t sum = 0;
    for (unsigned i = 0; i < SIM_DEED_COUNT; i++) {
        sum += weights[i];
    }
    uint64_t dice = drv_rng_below(&sim->rng, sum);
    unsigned deed = 0;
    while (dice >= weights[deed]) {
        dice -= weights[deed++];
    }
    return (enum sim_deed)deed;
}

static void deed_do(struct sim *sim, struct sim_peer *peer, enum sim_deed deed)
{
    bool hungry = peer->client->quota > 0;
    switch (deed) {
    case SIM_DO_SUBMIT:
        if (hungry) {
            do_submit(sim, peer);
        }
        break;
    case SIM_DO_ARRAY:
        if (hungry) {
            do_array(sim, peer);
        }
        break;
    case SIM_DO_GRAPH:
        if (hungry && sim->profile.families) {
            sim_deed_graph(sim, peer);
        }
        break;
    case SIM_DO_SCHEDULE:
        if (sim->profile.has_schedule) {
            sim_deed_schedule(sim, peer);
        }
        break;
    case SIM_DO_CANCEL:
        do_cancel(sim, peer);
        break;
    case SIM_DO_RETRY:
        do_retry(sim, peer);
        break;
    case SIM_DO_FORGET:
        do_forget(sim, peer);
        break;
    case SIM_DO_WATCH:
        do_watch(sim, peer);
        break;
    case SIM_DO_QUERY:
        do_query(sim, peer);
        break;
    case SIM_DO_INCREMENT:
        do_kv(sim, peer, DRV_KV_INCREMENT);
        break;
    case SIM_DO_SWAP:
        do_kv(sim, peer, DRV_KV_CAS);
        break;
    case SIM_DO_PAUSE:
        do_queue(sim, peer, false);
        break;
    case SIM_DO_PURGE:
        do_queue(sim, peer, true);
        break;
    case SIM_DO_WORKER:
        do_worker(sim, peer);
        break;
    case SIM_DO_CONFLICT:
        do_conflict(sim, peer);
        break;
    case SIM_DO_CREDIT:
        do_credit(sim, peer);
        break;
    case SIM_DEED_COUNT:
        DRV_UNREACHABLE();
    }
}

void sim_deed_next(struct sim *sim, struct sim_peer *peer)
{
    if (sim->phase != SIM_ACTIVE) {
        sim_end_next(sim, peer);
        return;
    }
    /* What is asked for before the first WELCOME waits for it, like anything while it is away.
     */
    if (sim->profile.ages && !sim->checker.limits_heard && sim_once_in(sim, 3)) {
        do_limit(sim, peer);
        return;
    }
    deed_do(sim, peer, deed_random(sim));
}
