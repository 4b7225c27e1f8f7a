/*
 * sim_reply.c: what a client makes of an answer.
 */
#include "check.h"
#include "sim_client.h"
#include "sim_deps.h"
#include "sim_world.h"

enum { RETRY_MIN_US = 30000, RETRY_MAX_US = 400000 };

/* The code for each target: that of the reply, or of its note. */
static drover_status code_of(const struct drv_reply *reply, uint32_t position)
{
    if (reply->code != DROVER_OK) {
        return (drover_status)reply->code;
    }
    for (size_t i = 0; i < reply->note_count; i++) {
        if (reply->notes[i].position == position) {
            return (drover_status)reply->notes[i].code;
        }
    }
    return DROVER_OK;
}

/* Whether it was refused because the client has as much as it may. */
static bool is_for_client(const struct drv_reply *reply, uint32_t position)
{
    static const char MARK[] = "(--max-client-";
    for (size_t i = 0; i < reply->note_count; i++) {
        const struct drv_note *note = &reply->notes[i];
        if (note->position == position && note->text.len > 0 &&
            memmem(note->text.ptr, note->text.len, MARK, sizeof MARK - 1) != NULL) {
            return true;
        }
    }
    return false;
}

static void reply_surprise(struct sim *sim, const struct sim_request *request,
                           uint32_t position, drover_status code)
{
    sim_fail(sim, "%s %llu: target %u (task %u) was answered %s", drv_kind_name(request->kind),
             (unsigned long long)request->req, position,
             position < request->count ? request->targets[position] : SIM_NO_TASK,
             drover_status_name(code));
}

/* ---- submits
 * ---------------------------------------------------------------------------------- */

static void try_later(struct sim *sim, struct sim_peer *peer, uint32_t serial)
{
    sim_model_task(&sim->model, serial)->submit = SIM_SUBMIT_NEW;
    sim_model_task(&sim->model, serial)->graph = SIM_NO_TASK;
    sim_schedule(sim, SIM_EVENT_RESUBMIT, sim_between(sim, RETRY_MIN_US, RETRY_MAX_US),
                 peer->number, serial);
}

static void task_refused(struct sim *sim, const struct sim_request *request, uint32_t position,
                         drover_status code)
{
    struct sim_task *task = sim_model_task(&sim->model, request->targets[position]);
    bool level = task->spec.durability > DROVER_DURABILITY_MEMORY;
    bool strict = (task->spec.flags & DRV_SPEC_STRICT) != 0;
    if (code == DROVER_DEPENDENCY && sim_deps_may_be_refused(sim, task, request->made_us)) {
        sim_count(sim, SIM_REFUSED_PARENT_SEEN);
        task->submit = SIM_SUBMIT_REFUSED;
        return;
    }
    if (code != DROVER_REFUSED || !(level || strict)) {
        reply_surprise(sim, request, position, code);
        return;
    }
    sim_count(sim, level ? SIM_REFUSED_LEVEL_SEEN : SIM_REFUSED_TYPE_SEEN);
    task->submit = SIM_SUBMIT_REFUSED;
}

static void task_acked(struct sim *sim, struct sim_peer *peer, struct sim_task *task,
                       uint32_t level)
{
    task->submit = SIM_SUBMIT_ACKED;
    task->acked_epoch = peer->epoch;
    task->level = level;
    if ((task->spec.flags & DRV_SPEC_WATCH) != 0) {
        task->watched_by = peer->session_number;
    }
    sim_checker_on_promise(sim, task);
}

/* Another task has the key: it must have, as far as anybody knows. */
static void task_attached(struct sim *sim, const struct sim_request *request, uint32_t position,
                          const struct drv_reply *reply)
{
    struct sim_task *task = sim_model_task(&sim->model, request->targets[position]);
    const struct drv_note *note = NULL;
    for (size_t i = 0; i < reply->note_count; i++) {
        if (reply->notes[i].position == position) {
            note = &reply->notes[i];
        }
    }
    uint32_t serial = note == NULL || !note->has_id
                          ? SIM_NO_TASK
                          : sim_model_find(&sim->model, &note->id, DROVER_INDEX_NONE);
    const struct sim_task *first = serial == SIM_NO_TASK ? NULL
                                                         : sim_model_task(&sim->model, serial);
    if (task->spec.key == 0 || first == NULL || first->spec.key != task->spec.key ||
        first->spec.queue != task->spec.queue) {
        sim_fail(sim, "task %u was attached to task %u, which has another key",
                 request->targets[position], serial);
        return;
    }
    sim_count(sim, SIM_KEY_ATTACHED_SEEN);
    task->submit = SIM_SUBMIT_REFUSED;
}

static void submit_answered(struct sim *sim, struct sim_peer *peer,
                            const struct sim_request *request, uint32_t position,
                            const struct drv_reply *reply, drover_status code)
{
    uint32_t serial = request->targets[position];
    uint32_t level = (uint32_t)reply->number;
    struct sim_task *task = sim_model_task(&sim->model, serial);
    bool watches = (task->spec.flags & DRV_SPEC_WATCH) != 0;
    if (code == DROVER_UNKNOWN && task->forgotten && watches && sim->profile.durable) {
        task->submit = SIM_SUBMIT_REFUSED; /* sent again when it had come and gone */
    } else if (code == DROVER_ATTACHED && !request->again) {
        task_attached(sim, request, position, reply);
    } else if (request->again) {
        bool right = request->other_content ? code == DROVER_CONFLICT : code == DROVER_OK;
        if (!right && code != DROVER_DRAINING) {
            reply_surprise(sim, request, position, code);
        }
        sim_count_if(sim, code == DROVER_CONFLICT, SIM_CONFLICT_SEEN);
    } else if (code == DROVER_OK) {
        task_acked(sim, peer, task, level);
    } else if (code == DROVER_BUSY || code == DROVER_DRAINING) {
        sim_count(sim, code == DROVER_BUSY ? SIM_BUSY_SEEN : SIM_DRAINING_SEEN);
        sim_count_if(sim, is_for_client(reply, position), SIM_CLIENT_LIMIT_SEEN);
        try_later(sim, peer, serial);
    } else {
        task_refused(sim, request, position, code);
    }
}

/* All or none. What was refused for load alone is tried again, one by one. */
static void graph_answered(struct sim *sim, struct sim_peer *peer,
                           const struct sim_request *request, const struct drv_reply *reply)
{
    bool is_taken = reply->code == DROVER_OK && reply->note_count == 0;
    for (uint32_t i = 0; i < request->count && !sim->failed; i++) {
        drover_status code = code_of(reply, i);
        struct sim_task *task = sim_model_task(&sim->model, request->targets[i]);
        if (is_taken) {
            task_acked(sim, peer, task, (uint32_t)reply->number);
            task->sealed_acked = task->elements > 0;
        } else if (code == DROVER_OK || code == DROVER_BUSY || code == DROVER_DRAINING) {
            task->submit = SIM_SUBMIT_REFUSED;
        } else {
            task_refused(sim, request, i, code);
        }
    }
    sim_count(sim, is_taken ? SIM_GRAPH_TAKEN_SEEN : SIM_GRAPH_REFUSED_SEEN);
}

static void array_open_answered(struct sim *sim, struct sim_peer *peer, uint32_t array,
                                const struct sim_request *request,
                                const struct drv_reply *reply)
{
    submit_answered(sim, peer, request, 0, reply, code_of(reply, 0));
    struct sim_task *whole = sim_model_task(&sim->model, array);
    if (whole->submit == SIM_SUBMIT_REFUSED) {
        for (uint32_t i = 0; i < whole->elements; i++) {
            sim_model_task(&sim->model, array + 1 + i)->submit = SIM_SUBMIT_REFUSED;
        }
    }
    if (whole->submit == SIM_SUBMIT_ACKED) { /* else it is tried again later */
        sim_deed_grow(sim, peer, array);
    }
}

/* The whole array pauses: one message about all that was refused is enough. */
static void items_later(struct sim *sim, struct sim_peer *peer, struct sim_task *element)
{
    struct sim_task *whole = sim_model_task(&sim->model, element->array);
    element->submit = SIM_SUBMIT_NEW;
    if (whole->busy_until_us <= sim->now_us) {
        int64_t pause_us = sim_between(sim, RETRY_MIN_US, RETRY_MAX_US);
        whole->busy_until_us = sim->now_us + pause_us;
        sim_schedule(sim, SIM_EVENT_RESUBMIT, pause_us, peer->number, element->array);
    }
}

/* Whether somebody has cancelled or forgotten the array, cancelled what awaits it, or purged
 * its queue. */
static bool array_may_be_over(const struct sim *sim, const struct sim_task *whole)
{
    return whole->cancel_asked || whole->cascade_asked || whole->forget_asked ||
           sim->checker.purged[whole->spec.queue];
}

/* An array that was cancelled meanwhile takes no more elements. */
static void item_answered(struct sim *sim, struct sim_peer *peer,
                          const struct sim_request *request, uint32_t position,
                          drover_status code)
{
    uint32_t serial = request->targets[position];
    struct sim_task *element = sim_model_task(&sim->model, serial);
    const struct sim_task *whole = sim_model_task(&sim->model, element->array);
    if (code == DROVER_OK) {
        task_acked(sim, peer, element, whole->level);
    } else if (code == DROVER_BUSY || code == DROVER_DRAINING) {
        sim_count(sim, code == DROVER_BUSY ? SIM_BUSY_SEEN : SIM_DRAINING_SEEN);
        items_later(sim, peer, element);
    } else if (array_may_be_over(sim, whole)) {
        element->submit = SIM_SUBMIT_REFUSED;
    } else {
        reply_surprise(sim, request, position, code);
    }
}

static void seal_answered(struct sim *sim, struct sim_peer *peer,
                          const struct sim_request *request, drover_status code)
{
    struct sim_task *whole = sim_model_task(&sim->model, request->targets[0]);
    if (code == DROVER_OK) {
        whole->sealed_acked = true;
        sim_count(sim, SIM_ARRAY_SEALED_SEEN);
    } else if (code == DROVER_BUSY || code == DROVER_DRAINING) {
        whole->seal_asked = false;
    } else if (!array_may_be_over(sim, whole)) {
        reply_surprise(sim, request, 0, code);
    }
    (void)peer;
}

/* ---- requests about tasks
 * ------------------------------------------------------------------------ */

/* A task that had been promised under this epoch and was not forgotten is known. */
static bool task_may_be_unknown(struct sim *sim, const struct sim_peer *peer,
                                const struct sim_request *request, uint32_t position)
{
    const struct sim_task *task = sim_model_task(&sim->model, request->targets[position]);
    bool promised = task->submit == SIM_SUBMIT_ACKED && task->acked_epoch == peer->epoch;
    bool element_gone = task->array != SIM_NO_TASK &&
                        sim_model_task(&sim->model, task->array)->forgotten;
    return !promised || task->forgotten || element_gone || !task->known ||
           task->submitted_us >= request->made_us;
}

static void watch_answered(struct sim *sim, struct sim_peer *peer,
                           const struct sim_request *request, uint32_t position,
                           drover_status code)
{
    uint32_t serial = request->targets[position];
    struct sim_task *task = sim_model_task(&sim->model, serial);
    bool lost = task->submit == SIM_SUBMIT_ACKED && task->acked_epoch < peer->epoch;
    if (code == DROVER_OK) {
        return;
    }
    if (code == DROVER_BUSY || code == DROVER_DRAINING) {
        task->watched_by = 0;
        return;
    }
    if (code != DROVER_UNKNOWN || lost || !task_may_be_unknown(sim, peer, request, position)) {
        reply_surprise(sim, request, position, code);
        return;
    }
    task->resolved = true;
    for (uint32_t i = 0; i < task->elements; i++) {
        sim_model_task(&sim->model, serial + 1 + i)->resolved = true;
    }
}

static void cancel_answered(struct sim *sim, struct sim_peer *peer,
                            const struct sim_request *request, uint32_t position,
                            drover_status code)
{
    if (code == DROVER_OK) {
        sim_count(sim, SIM_CANCEL_ANSWERED_SEEN);
    } else if (code == DROVER_TIMEOUT) {
        sim_count_if(sim, position == 0, SIM_REQUEST_TIMEOUT_SEEN);
        if (request->budget_ms == 0) {
            reply_surprise(sim, request, position, code);
        }
    } else if (code != DROVER_UNKNOWN || !task_may_be_unknown(sim, peer, request, position)) {
        reply_surprise(sim, request, position, code);
    }
}

static void retry_answered(struct sim *sim, struct sim_peer *peer,
                           const struct sim_request *request, uint32_t position,
                           drover_status code, uint32_t level)
{
    struct sim_task *task = sim_model_task(&sim->model, request->first_new + position);
    if (code == DROVER_OK) {
        sim_count(sim, SIM_RETRY_SEEN);
        /* The reply to a retry names no level: it is that of the origin. */
        uint32_t implied = sim->profile.durable ? DROVER_DURABILITY_DEFAULT
                                                : DROVER_DURABILITY_MEMORY;
        task_acked(sim, peer, task, level != 0 ? level : implied);
        task->watched_by = 0;
        return;
    }
    task->submit = SIM_SUBMIT_REFUSED;
    sim_count_if(sim, code == DROVER_DEPENDENCY, SIM_RETRY_REFUSED_SEEN);
    bool has_key = task->spec.key != 0; /* another task may have it by then */
    bool fair = code == DROVER_BUSY || code == DROVER_DRAINING ||
                (code == DROVER_CONFLICT && has_key) ||
                (code == DROVER_DEPENDENCY && sim_deps_retry_may_be_refused(sim, task)) ||
                (code == DROVER_UNKNOWN && task_may_be_unknown(sim, peer, request, position));
    if (!fair) {
        reply_surprise(sim, request, position, code);
    }
}

static void forget_answered(struct sim *sim, struct sim_peer *peer,
                            const struct sim_request *request, uint32_t position,
                            drover_status code)
{
    if (code == DROVER_OK) {
        sim_count(sim, SIM_FORGET_SEEN);
    } else if (code != DROVER_UNKNOWN || !task_may_be_unknown(sim, peer, request, position)) {
        reply_surprise(sim, request, position, code);
    }
}

static void targets_answered(struct sim *sim, struct sim_peer *peer,
                             const struct sim_request *request, const struct drv_reply *reply)
{
    for (uint32_t i = 0; i < request->count && !sim->failed; i++) {
        drover_status code = code_of(reply, i);
        switch ((unsigned)request->kind) {
        case DRV_SUBMIT:
            submit_answered(sim, peer, request, i, reply, code);
            break;
        case DRV_ARRAY_ITEMS:
            item_answered(sim, peer, request, i, code);
            break;
        case DRV_WATCH:
            watch_answered(sim, peer, request, i, code);
            break;
        case DRV_CANCEL:
            cancel_answered(sim, peer, request, i, code);
            break;
        case DRV_RETRY:
            retry_answered(sim, peer, request, i, code, (uint32_t)reply->number);
            break;
        case DRV_FORGET:
            forget_answered(sim, peer, request, i, code);
            break;
        default:
            break; /* UNWATCH */
        }
    }
}

/* ---- the rest
 * -------------------------------------------------------------------------------------- */

static void kv_answered(struct sim *sim, struct sim_peer *peer,
                        const struct sim_request *request, const struct drv_reply *reply)
{
    struct sim_client *client = peer->client;
    if (request->op == DRV_KV_INCREMENT && reply->code == DROVER_OK) {
        sim_count(sim, SIM_KV_INCREMENT_SEEN);
        sim_checker_on_increment(sim, peer, request->key, request->number, reply->number);
    } else if (request->op == DRV_KV_CAS && reply->code == DROVER_OK) {
        sim_count(sim, SIM_KV_SWAPPED_SEEN);
        sim_checker_on_swap(sim, peer, (uint64_t)request->number);
        client->swap_version = (uint64_t)reply->number;
    } else if (request->op == DRV_KV_CAS && reply->code == DROVER_CONFLICT) {
        sim_count(sim, SIM_KV_CONFLICT_SEEN);
        client->swap_version = (uint64_t)reply->number;
    } else if (reply->code == DROVER_BUSY) {
        sim_count(sim, SIM_BUSY_SEEN);
    } else if (request->op != DRV_KV_DELETE ||
               (reply->code != DROVER_OK && reply->code != DROVER_UNKNOWN)) {
        reply_surprise(sim, request, 0, (drover_status)reply->code);
    }
}

static void control_answered(struct sim *sim, const struct sim_request *request,
                             const struct drv_reply *reply)
{
    bool fine = reply->code == DROVER_OK ||
                (request->kind == DRV_WORKER && reply->code == DROVER_UNKNOWN) ||
                (request->kind == DRV_QUEUE && request->op != DRV_QUEUE_RESUME &&
                 reply->code == DROVER_BUSY);
    if (!fine) {
        reply_surprise(sim, request, 0, (drover_status)reply->code);
    }
    if (request->kind == DRV_QUEUE && reply->code == DROVER_OK) {
        sim_count_if(sim, request->op == DRV_QUEUE_PAUSE, SIM_PAUSED_SEEN);
        sim_count_if(sim, request->op == DRV_QUEUE_PURGE && reply->number > 0, SIM_PURGED_SEEN);
    }
}

void sim_reply_take(struct sim *sim, struct sim_peer *peer, const struct drv_reply *reply)
{
    struct sim_request *open = sim_request_find(peer->client, reply->req);
    sim_trace(sim, "client.reply", peer->number, reply->req, reply->code);
    for (size_t i = 0; i < reply->note_count; i++) {
        sim_trace(sim, "client.note", reply->req, reply->notes[i].position,
                  reply->notes[i].code);
    }
    sim_stream_on_reply(sim, peer, reply);
    if (open == NULL) {
        return; /* answered before */
    }
    struct sim_request request = *open;
    sim_request_remove(peer->client, open);
    switch ((unsigned)request.kind) {
    case DRV_GRAPH:
        graph_answered(sim, peer, &request, reply);
        break;
    case DRV_SCHEDULE:
        sim_clock_answered(sim, peer, &request, reply);
        break;
    case DRV_ARRAY_OPEN:
        array_open_answered(sim, peer, request.targets[0], &request, reply);
        break;
    case DRV_ARRAY_SEAL:
        seal_answered(sim, peer, &request, code_of(reply, 0));
        break;
    case DRV_KV:
        kv_answered(sim, peer, &request, reply);
        break;
    case DRV_QUEUE:
    case DRV_WORKER:
        control_answered(sim, &request, reply);
        break;
    default:
        targets_answered(sim, peer, &request, reply);
        if (request.kind == DRV_ARRAY_ITEMS) {
            sim_deed_grow(sim, peer, sim_model_task(&sim->model, request.targets[0])->array);
        }
        break;
    }
}
