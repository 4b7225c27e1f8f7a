/*
 * sim_request.c: requests as messages. A request is kept as what it is about, and its message
 * is made anew each time it is sent; both times it is the same, byte for byte.
 */
#include <stdio.h>
#include <string.h>

#include "buffer.h"
#include "check.h"
#include "sim_client.h"
#include "sim_plan.h"
#include "sim_world.h"

enum {
    UNRELEASED_MAX = DRV_REQUESTS_MAX - 2, /* replies above the oldest open request are kept */
    KEY_TEXT_MAX = 16,
    WORKER_TEXT_MAX = DROVER_ID_TEXT_LEN + 1
};

struct draft { /* what a message being built points to */
    struct drv_buffer bytes;
    size_t offsets[SIM_TARGETS_MAX], lens[SIM_TARGETS_MAX];
    struct drv_entry entries[SIM_TARGETS_MAX];
    struct drv_submit_group groups[SIM_TARGETS_MAX];
    struct drv_val vals[SIM_TARGETS_MAX];
    struct drv_target targets[SIM_TARGETS_MAX];
    struct drv_after after[SIM_TARGETS_MAX][SIM_AFTER_MAX];
    char key[KEY_TEXT_MAX];
    char worker[WORKER_TEXT_MAX];
};

struct sim_request *sim_request_find(struct sim_client *client, uint64_t req)
{
    for (uint32_t i = 0; i < client->request_count; i++) {
        if (client->requests[i].req == req) {
            return &client->requests[i];
        }
    }
    return NULL;
}

void sim_request_remove(struct sim_client *client, struct sim_request *request)
{
    size_t at = (size_t)(request - client->requests);
    DRV_ASSERT(at < client->request_count);
    client->request_count--;
    memmove(request, request + 1, (client->request_count - at) * sizeof *request);
}

struct sim_request *sim_request_new(struct sim *sim, struct sim_peer *peer, enum drv_kind kind)
{
    struct sim_client *client = peer->client;
    if (client->request_count == SIM_REQUESTS_OPEN ||
        (client->request_count > 0 &&
         client->next_req - client->requests[0].req >= UNRELEASED_MAX)) {
        return NULL;
    }
    struct sim_request *request = &client->requests[client->request_count++];
    *request = (struct sim_request){
        .req = ++client->next_req, .kind = kind, .made_us = sim->now_us};
    if (kind == DRV_CANCEL && sim_once_in(sim, 4)) {
        request->budget_ms = (uint64_t)sim_between(sim, 1, 500);
    }
    return request;
}

/* ---- values
 * ------------------------------------------------------------------------------------ */

static size_t payload_len(const struct sim_request *request, const struct sim_task *task)
{
    return task->spec.payload_len + (request->other_content ? 1 : 0);
}

static void draft_payloads(struct sim *sim, const struct sim_request *request,
                           struct draft *draft)
{
    for (uint32_t i = 0; i < request->count; i++) {
        const struct sim_task *task = sim_model_task(&sim->model, request->targets[i]);
        draft->offsets[i] = draft->bytes.len;
        sim_payload_write(&draft->bytes, task->payload, payload_len(request, task));
        draft->lens[i] = draft->bytes.len - draft->offsets[i];
    }
    for (uint32_t i = 0; i < request->count; i++) { /* the buffer moves no more */
        draft->vals[i] = (struct drv_val){.len = draft->lens[i], .is_nil = draft->lens[i] == 0};
        if (draft->lens[i] > 0) { /* without any there may be no buffer */
            draft->vals[i].bytes = draft->bytes.bytes + draft->offsets[i];
        }
    }
}

static bool spec_same(const struct sim_task_spec *a, const struct sim_task_spec *b)
{
    return a->type == b->type && a->queue == b->queue && a->priority == b->priority &&
           a->delay_ms == b->delay_ms && a->expire_ms == b->expire_ms &&
           a->timeout_ms == b->timeout_ms && a->backoff_ms == b->backoff_ms &&
           a->retries == b->retries && a->loss_budget == b->loss_budget &&
           a->durability == b->durability && a->flags == b->flags && a->keep_ms == b->keep_ms &&
           a->key == 0 && b->key == 0 && a->group == b->group && a->tenant == b->tenant &&
           a->needs_gpu == b->needs_gpu && a->zone == b->zone && a->after_count == 0 &&
           b->after_count == 0;
}

static void draft_after(struct sim *sim, const struct sim_task_spec *spec,
                        struct drv_after *after, struct drv_spec *out_spec)
{
    for (uint32_t i = 0; i < spec->after_count; i++) {
        const struct sim_task *parent = sim_model_task(&sim->model, spec->after[i].parent);
        after[i] = (struct drv_after){
            .id = parent->id, .index = parent->index, .when = spec->after[i].when};
    }
    out_spec->after = after;
    out_spec->after_count = spec->after_count;
}

/* ---- the kinds
 * ----------------------------------------------------------------------------------- */

static void build_submit(struct sim *sim, const struct sim_request *request,
                         struct draft *draft, struct drv_message *message)
{
    const struct sim_task_spec *last = NULL;
    size_t groups = 0;
    draft_payloads(sim, request, draft);
    for (uint32_t i = 0; i < request->count; i++) {
        const struct sim_task *task = sim_model_task(&sim->model, request->targets[i]);
        draft->entries[i] = (struct drv_entry){.id = task->id, .val = draft->vals[i]};
        if (task->array != SIM_NO_TASK) { /* of an array of a graph, which stands before it */
            memset(&draft->entries[i].id, 0, sizeof draft->entries[i].id);
            draft->groups[groups - 1].entry_count++;
            last = NULL;
            continue;
        }
        if (last == NULL || task->elements > 0 || !spec_same(last, &task->spec)) {
            draft->groups[groups].entries = &draft->entries[i];
            draft->groups[groups].entry_count = 0;
            sim_spec_build(&task->spec, &draft->groups[groups].spec);
            draft_after(sim, &task->spec, draft->after[groups], &draft->groups[groups].spec);
            draft->groups[groups].spec.flags |= task->elements > 0 ? DRV_SPEC_ARRAY : 0u;
            groups++;
        }
        draft->groups[groups - 1].entry_count++;
        last = &task->spec;
    }
    message->submit = (struct drv_submit){.groups = draft->groups, .group_count = groups};
}

static void build_array(struct sim *sim, const struct sim_request *request, struct draft *draft,
                        struct drv_message *message)
{
    const struct sim_task *task = sim_model_task(&sim->model, request->targets[0]);
    switch ((unsigned)request->kind) {
    case DRV_ARRAY_OPEN:
        draft_payloads(sim, request, draft);
        message->array_open.id = task->id;
        message->array_open.with = draft->vals[0];
        sim_spec_build(&task->spec, &message->array_open.spec);
        draft_after(sim, &task->spec, draft->after[0], &message->array_open.spec);
        break;
    case DRV_ARRAY_ITEMS:
        draft_payloads(sim, request, draft);
        message->array_items = (struct drv_array_items){.id = task->id,
                                                        .first = task->index,
                                                        .items = draft->vals,
                                                        .item_count = request->count};
        break;
    default:
        message->array_seal = (struct drv_array_seal){.id = task->id, .count = task->elements};
        break;
    }
}

static void build_targets(struct sim *sim, const struct sim_peer *peer,
                          const struct sim_request *request, struct draft *draft,
                          struct drv_message *message)
{
    for (uint32_t i = 0; i < request->count; i++) {
        const struct sim_task *task = sim_model_task(&sim->model, request->targets[i]);
        struct drv_target *target = &draft->targets[i];
        *target = (struct drv_target){.id = task->id, .index = task->index};
        if (request->kind == DRV_RETRY) {
            target->new_id = sim_model_task(&sim->model, request->first_new + i)->id;
            target->flags = request->op;
        } else if (request->kind == DRV_WATCH && task->submit == SIM_SUBMIT_ACKED) {
            target->epoch = task->acked_epoch;
            target->level = task->level;
        }
    }
    message->targets = (struct drv_targets){.targets = draft->targets,
                                            .target_count = request->count,
                                            .text = drv_str_of("because"),
                                            .flags = request->op};
    (void)peer;
}

static void build_kv(const struct sim_request *request, struct draft *draft,
                     struct drv_message *message)
{
    bool counter = request->op == DRV_KV_INCREMENT ||
                   (request->op == DRV_KV_DELETE && !request->deletes_swap);
    (void)snprintf(draft->key, sizeof draft->key, counter ? "counter-%u" : "swap-%u",
                   request->key);
    uint64_t noise = sim_mix(request->req, (uint64_t)request->number);
    drover_status status = drv_buffer_append(&draft->bytes, &noise, sizeof noise);
    DRV_ASSERT(status == DROVER_OK);
    message->kv = (struct drv_kv){.op = request->op,
                                  .key = drv_str_of(draft->key),
                                  .val = {.is_nil = true},
                                  .number = request->number};
    if (request->op == DRV_KV_CAS || request->op == DRV_KV_SET) {
        message->kv.val = (struct drv_val){.bytes = draft->bytes.bytes,
                                           .len = draft->bytes.len};
    }
}

static void build_queue(const struct sim_request *request, struct drv_message *message)
{
    bool is_limited = request->queue == SIM_LIMITED;
    message->queue = (struct drv_queue_request){
        .op = request->op,
        .queue = drv_str_of(sim_queue_name(request->queue)),
        .has_settings = request->op == DRV_QUEUE_SET,
        .settings = {.weight = -1,
                     .max_count = is_limited ? -1 : request->number,
                     .max_bytes = -1,
                     .rate = is_limited ? SIM_LIMIT_RATE * 3600 : -1,
                     .concurrency = is_limited ? SIM_LIMIT_CONCURRENCY : -1,
                     .per_key = is_limited ? SIM_LIMIT_PER_KEY : -1,
                     .durability = -1,
                     .aging_ms = is_limited ? SIM_LIMIT_AGING_MS : -1,
                     .placement = is_limited ? request->number % 3 : -1},
    };
}

static void build_rest(const struct sim_request *request, struct sim *sim, struct draft *draft,
                       struct drv_message *message)
{
    if (request->kind == DRV_QUEUE) {
        build_queue(request, message);
    } else if (request->kind == DRV_WORKER) {
        drover_id_format(&request->worker, draft->worker);
        message->worker = (struct drv_worker_request){.op = request->op,
                                                      .worker = drv_str_of(draft->worker)};
    } else {
        DRV_ASSERT(request->kind == DRV_QUERY);
        message->query = (struct drv_query){.topic = request->op, .limit = 50};
        if (request->count > 0) {
            const struct sim_task *task = sim_model_task(&sim->model, request->targets[0]);
            message->query.has_id = true;
            message->query.id = task->id;
            message->query.index = task->index;
        }
        if (request->op == DRV_TOPIC_WORKER) {
            message->query.name = drv_str_of("worker");
        }
        if (request->op == DRV_TOPIC_KEY) {
            message->query.text = drv_str_of("red");
        }
        if (request->op == DRV_TOPIC_TASKS && request->req % 2 == 0) {
            message->query.group = drv_str_of("even");
        }
    }
}

static void build(struct sim *sim, const struct sim_peer *peer,
                  const struct sim_request *request, struct draft *draft,
                  struct drv_message *message)
{
    switch ((unsigned)request->kind) {
    case DRV_SCHEDULE:
        draft_payloads(sim, request, draft);
        sim_clock_build(sim, request, draft->vals[0], message);
        break;
    case DRV_SUBMIT:
    case DRV_GRAPH:
        build_submit(sim, request, draft, message);
        break;
    case DRV_ARRAY_OPEN:
    case DRV_ARRAY_ITEMS:
    case DRV_ARRAY_SEAL:
        build_array(sim, request, draft, message);
        break;
    case DRV_KV:
        build_kv(request, draft, message);
        break;
    case DRV_QUEUE:
    case DRV_WORKER:
    case DRV_QUERY:
        build_rest(request, sim, draft, message);
        break;
    default:
        build_targets(sim, peer, request, draft, message);
        break;
    }
}

void sim_request_send(struct sim *sim, struct sim_peer *peer, struct sim_request *request)
{
    if (peer->state != SIM_READY) {
        return; /* WELCOME sends what is open */
    }
    struct draft draft;
    struct drv_message message = {.kind = request->kind};
    drv_buffer_init(&draft.bytes);
    build(sim, peer, request, &draft, &message);
    message.request.req = request->req;
    message.request.floor = peer->client->requests[0].req;
    message.request.budget_ms = request->budget_ms;
    sim_count_if(sim, request->times_sent > 0, SIM_REQUEST_RESENT_SEEN);
    request->times_sent++;
    sim_trace(sim, "client.request", peer->number, request->req, request->kind);
    for (uint32_t i = 0; i < request->count; i++) {
        sim_trace(sim, "client.target", peer->number, request->req, request->targets[i]);
    }
    (void)sim_peer_send(sim, peer, &message, 0);
    drv_buffer_fini(&draft.bytes);
}
