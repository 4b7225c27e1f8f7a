/*
 * sim_model.c: the table of tasks.
 */
#include "sim_model.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "sim_plan.h"

void sim_model_init(struct sim_model *model)
{
    *model = (struct sim_model){.tasks = NULL};
}

void sim_model_fini(struct sim_model *model)
{
    free(model->tasks);
    free(model->slots);
    sim_model_init(model);
}

uint32_t sim_name_hash(const drover_id *id, uint32_t index)
{
    uint64_t words[2];
    memcpy(words, id->bytes, sizeof words);
    return (uint32_t)sim_mix(words[0] ^ index, words[1]);
}

static void model_place(struct sim_model *model, uint32_t serial)
{
    const struct sim_task *task = &model->tasks[serial];
    size_t at = sim_name_hash(&task->id, task->index) & (model->slot_count - 1);
    while (model->slots[at] != 0) {
        at = (at + 1) & (model->slot_count - 1);
    }
    model->slots[at] = serial + 1;
}

static void model_grow(struct sim_model *model)
{
    uint32_t capacity = model->capacity == 0 ? 256 : model->capacity * 2;
    struct sim_task *tasks = realloc(model->tasks, capacity * sizeof *tasks);
    uint32_t *slots = calloc((size_t)capacity * 4, sizeof *slots);
    DRV_ASSERT(tasks != NULL && slots != NULL);
    free(model->slots);
    model->tasks = tasks;
    model->capacity = capacity;
    model->slots = slots;
    model->slot_count = (size_t)capacity * 4;
    for (uint32_t i = 0; i < model->count; i++) {
        model_place(model, i);
    }
}

uint32_t sim_model_add(struct sim_model *model, const drover_id *id, uint32_t index)
{
    if (model->count == model->capacity) {
        model_grow(model);
    }
    uint32_t serial = model->count++;
    model->tasks[serial] = (struct sim_task){.id = *id,
                                             .index = index,
                                             .payload = serial,
                                             .array = SIM_NO_TASK,
                                             .graph = SIM_NO_TASK,
                                             .next_waiting = SIM_NO_TASK,
                                             .prev_waiting = SIM_NO_TASK};
    model_place(model, serial);
    return serial;
}

void sim_model_begin(struct sim_task *task, uint64_t epoch)
{
    task->known = true;
    task->epoch = epoch;
    task->state = 0;
    task->attempt = 0;
    task->hold = SIM_HOLD_NONE;
    task->started = task->ever_started = false;
    task->failures = task->losses = 0;
    task->cancel_acked = task->forgotten = false;
    task->started_attempt = task->reported_attempt = 0;
    task->returned_attempt = task->told_attempt = task->broken_attempt = 0;
    task->await_attempt = 0;
    task->awaits = task->failed_by_parent = false;
    task->suspect = false;
    task->in_line = task->seal_heard = task->voided = false;
}

uint32_t sim_model_find(const struct sim_model *model, const drover_id *id, uint32_t index)
{
    if (model->slot_count == 0) {
        return SIM_NO_TASK;
    }
    size_t at = sim_name_hash(id, index) & (model->slot_count - 1);
    for (; model->slots[at] != 0; at = (at + 1) & (model->slot_count - 1)) {
        const struct sim_task *task = &model->tasks[model->slots[at] - 1];
        if (task->index == index && drover_id_equal(&task->id, id)) {
            return model->slots[at] - 1;
        }
    }
    return SIM_NO_TASK;
}

static const char *const key_names[SIM_KEY_COUNT] = {NULL, "red", "green", "blue"};
static const char *const group_names[SIM_GROUP_COUNT] = {NULL, "even", "odd"};

struct drv_pair sim_zone_label(unsigned zone)
{
    static const char *const names[SIM_ZONES] = {"", "zone-a", "zone-b"};
    return (struct drv_pair){drv_str_of(names[zone]), drv_str_of("yes")};
}

void sim_spec_build(const struct sim_task_spec *from, struct drv_spec *out_spec)
{
    drv_spec_init(out_spec, drv_str_of(sim_type_name(from->type)));
    out_spec->queue = drv_str_of(sim_queue_name(from->queue));
    out_spec->priority = from->priority;
    out_spec->delay_ms = from->delay_ms;
    out_spec->expire_ms = from->expire_ms;
    out_spec->timeout_ms = from->timeout_ms;
    out_spec->retries = from->retries;
    out_spec->backoff_ms = from->backoff_ms;
    out_spec->backoff_max_ms = from->backoff_ms * 4;
    out_spec->loss_budget = from->loss_budget;
    out_spec->durability = from->durability;
    out_spec->keep_ms = from->keep_ms;
    out_spec->flags = from->flags;
    out_spec->key = drv_str_of(key_names[from->key]);
    out_spec->key_window_ms = from->key_window_ms;
    out_spec->group = drv_str_of(group_names[from->group]);
    if (from->group != 0) {
        static const struct drv_pair tag = {{"colour", 6}, {"red", 3}};
        out_spec->tags = &tag;
        out_spec->tag_count = 1;
    }
    static const char *const tenants[SIM_TENANTS] = {NULL, "tenant-1", "tenant-2"};
    static const struct drv_count gpu = {{"gpu", 3}, 1};
    out_spec->fairness = drv_str_of(tenants[from->tenant]);
    out_spec->needs = &gpu;
    out_spec->need_count = from->needs_gpu;
    if (from->zone != 0) {
        static struct drv_pair labels[SIM_ZONES];
        labels[from->zone] = sim_zone_label(from->zone);
        out_spec->require = &labels[from->zone];
        out_spec->require_count = 1;
    }
}
