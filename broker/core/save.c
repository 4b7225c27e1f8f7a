#include "save.h"

#include "broker.h"
#include "check.h"

#include <stdlib.h>

const char *core_save_kind_name(uint16_t kind)
{
    static const char *const names[CORE_SAVE_KINDS] = {
        [CORE_SAVE_BROKER] = "broker",
        [CORE_SAVE_TASK] = "task",
        [CORE_SAVE_UNIT] = "unit",
        [CORE_SAVE_RUN] = "run",
        [CORE_SAVE_RUN_DUE] = "run_due",
        [CORE_SAVE_RETRIED] = "retried",
        [CORE_SAVE_FORGET] = "forget",
        [CORE_SAVE_SESSION] = "session",
        [CORE_SAVE_REPLIES] = "replies",
        [CORE_SAVE_SESSION_END] = "session_end",
        [CORE_SAVE_KV] = "kv",
        [CORE_SAVE_KV_DELETE] = "kv_delete",
        [CORE_SAVE_QUEUE] = "queue",
        [CORE_SAVE_SCHEDULE] = "schedule",
        [CORE_SAVE_SCHEDULE_RUN] = "schedule_run",
        [CORE_SAVE_SCHEDULE_END] = "schedule_end",
        [CORE_SAVE_AFTER] = "after",
        [CORE_SAVE_KEY] = "key",
        [CORE_SAVE_KEY_END] = "key_end",
        [CORE_SAVE_GROUP] = "group",
        [CORE_SAVE_ALERT_RULE] = "alert_rule",
        [CORE_SAVE_ALERT_SILENCE] = "alert_silence",
        [CORE_SAVE_ALERT] = "alert",
        [CORE_SAVE_RUN_END] = "run_end",
    };
    return kind < CORE_SAVE_KINDS ? names[kind] : NULL;
}

/* Bytes of heads and entries that survive a turn. */
enum { SAVE_BYTES_KEEP = 1024 * 1024, SAVE_ITEMS_KEEP = 8192 };

void save_init(struct core *core)
{
    struct save *save = &core->save;
    save->is_on = core->config.durability_max > DROVER_DURABILITY_MEMORY;
    save->is_first = true;
    save->is_broker_dirty = true;
    drv_buffer_init(&save->bytes);
    drv_list_init(&save->sessions);
    drv_list_init(&save->groups);
}

void save_fini(struct core *core)
{
    struct save *save = &core->save;
    drv_buffer_fini(&save->bytes);
    free(save->items);
    free(save->dirty);
}

bool save_wants(const struct core *core, const struct task *task)
{
    return core->save.is_on && task->spec->numbers.level > DROVER_DURABILITY_MEMORY;
}

enum drover_durability save_level_of(const struct core *core, const struct task *task)
{
    return save_wants(core, task) ? (enum drover_durability)task->spec->numbers.level
                                  : DROVER_DURABILITY_MEMORY;
}

enum drover_durability save_level_max(const struct core *core)
{
    return core->save.is_on ? core->config.durability_max : DROVER_DURABILITY_MEMORY;
}

uint16_t save_mark(const struct core *core)
{
    return (uint16_t)((core->save.lsn + 1) >> SAVE_MARK_BITS);
}

bool save_is_old(uint16_t mark, uint64_t lsn)
{
    return (int16_t)(uint16_t)(mark - (uint16_t)(lsn >> SAVE_MARK_BITS)) <= 0;
}

int64_t save_wall(const struct core *core, int64_t at_us)
{
    return at_us + core->wall_offset_us;
}

/* --- one record -------------------------------------------------------------------------- */

struct record_writer save_begin(struct core *core, enum core_save_kind kind,
                                const drover_id *id, uint32_t index)
{
    struct save *save = &core->save;
    struct record_writer writer = {.buffer = &save->bytes};
    if (save->count == save->capacity) {
        size_t capacity = save->capacity == 0 ? 256 : save->capacity * 2;
        struct core_save *items = realloc(save->items, capacity * sizeof *items);
        if (items == NULL) {
            writer.failed = true;
            return writer;
        }
        save->items = items;
        save->capacity = capacity;
    }
    save->items[save->count] = (struct core_save){
        .kind = kind,
        .id = *id,
        .index = index,
        .head_at = save->bytes.len,
        .is_copy = save->is_copying,
    };
    record_put_u8(&writer, RECORD_VERSION);
    return writer;
}

void save_end(struct core *core, const struct record_writer *writer, const struct drv_val *tail)
{
    struct save *save = &core->save;
    if (writer->failed) {
        save->has_failed = true;
        return;
    }
    struct core_save *item = &save->items[save->count++];
    item->head_len = save->bytes.len - item->head_at;
    if (tail != NULL && !tail->is_nil && tail->len > 0) {
        item->tail = tail->bytes;
        item->tail_len = tail->len;
        item->tail_data = tail->data;
    }
}

/* --- what changed ------------------------------------------------------------------------ */

static bool is_implied_by_run(const struct item *item)
{
    if (item->index == DROVER_INDEX_NONE) {
        return false;
    }
    const struct element *element = array_element(item->task->array, item->index);
    return element == NULL || (!(element->flags & ELEMENT_TAKEN) &&
                               !unit_is_terminal(item->unit) && item->unit->attempt == 0);
}

static bool dirty_add(struct save *save, struct task *task, uint32_t index)
{
    if (save->dirty_count == save->dirty_capacity) {
        size_t capacity = save->dirty_capacity == 0 ? 256 : save->dirty_capacity * 2;
        struct dirty *dirty = realloc(save->dirty, capacity * sizeof *dirty);
        if (dirty == NULL) {
            save->has_failed = true;
            return false;
        }
        save->dirty = dirty;
        save->dirty_capacity = capacity;
    }
    save->dirty[save->dirty_count++] = (struct dirty){task, index, save->is_copying};
    return true;
}

void save_item(struct core *core, const struct item *item)
{
    struct save *save = &core->save;
    if (!save->is_on || item->unit->flags & UNIT_DIRTY || !save_wants(core, item->task) ||
        is_implied_by_run(item) || !dirty_add(save, item->task, item->index)) {
        return;
    }
    item->unit->flags |= UNIT_DIRTY;
    if (item->index == DROVER_INDEX_NONE) {
        item->task->dirty_at = (uint32_t)(save->dirty_count - 1);
    } else {
        item->task->array->dirty_count++;
    }
}

void save_drop(struct core *core, struct task *task)
{
    struct save *save = &core->save;
    if (task->unit.flags & UNIT_DIRTY) {
        save->dirty[task->dirty_at].task = NULL;
    }
    if (!task_is_array(task) || task->array->dirty_count == 0) {
        return;
    }
    for (size_t i = 0; i < save->dirty_count; i++) {
        if (save->dirty[i].task == task) {
            save->dirty[i].task = NULL;
        }
    }
}

static void session_link(struct core *core, struct session *session)
{
    if (core->save.is_on && !drv_list_is_linked(&session->unsaved)) {
        drv_list_push_back(&core->save.sessions, &session->unsaved);
    }
}

void save_session(struct core *core, struct session *session)
{
    session->is_saved = false;
    session_link(core, session);
}

void save_session_change(struct core *core, struct session *session)
{
    session_link(core, session);
}

void save_reply(struct core *core, struct reply *reply)
{
    if (core->save.is_on && !core->config.defects.forget_reply) { /* defect: it is not kept */
        drv_list_push_back(&reply->session->unsaved_replies, &reply->unsaved);
        session_link(core, reply->session);
    }
}

/* --- the end of the turn ----------------------------------------------------------------- */

static void flush_dirty(struct core *core, const struct dirty *dirty)
{
    struct task *task = dirty->task;
    if (task == NULL) {
        return;
    }
    struct item item = dirty->index == DROVER_INDEX_NONE
                           ? item_of_task(task)
                           : array_item(task->array, dirty->index);
    item.unit->flags &= (uint8_t)~UNIT_DIRTY;
    core->save.is_copying = dirty->is_copy;
    if (dirty->index != DROVER_INDEX_NONE) {
        task->array->dirty_count--;
        save_put_unit(core, &item);
    } else if (task->flags & TASK_SAVED) {
        save_put_unit(core, &item);
    } else {
        save_put_task(core, task);
    }
}

static void other_counters(const struct core *core, uint64_t out_others[SAVE_OTHERS])
{
    const struct core_counters *counters = &core->counters;
    const uint64_t others[SAVE_OTHERS] = {counters->retried,
                                          counters->stale_results,
                                          counters->duplicate_results,
                                          counters->unknown_results,
                                          counters->malformed,
                                          counters->refused,
                                          counters->charged,
                                          counters->requeued_free,
                                          counters->stale_writes,
                                          counters->stale_progress,
                                          counters->stale_heartbeats,
                                          counters->attached,
                                          counters->late};
    memcpy(out_others, others, sizeof others);
}

/* They ride along with other records: what only counts is not worth a write. */
static bool counters_are_old(const struct core *core)
{
    uint64_t others[SAVE_OTHERS];
    other_counters(core, others);
    return core->save.count > 0 && memcmp(others, core->save.others, sizeof others) != 0;
}

/* gone: what ended and was forgotten, by state. The rest is seen in what lives. */
static void put_broker(struct core *core)
{
    static const drover_id nobody = {{0}};
    uint64_t *others = core->save.others;
    other_counters(core, others);
    struct record_writer writer = save_begin(core, CORE_SAVE_BROKER, &nobody, 0);
    for (unsigned state = DROVER_STATE_SUCCEEDED; state <= DROVER_STATE_LOST; state++) {
        record_put_uint(&writer, core->gone[state]);
    }
    record_put_uint(&writer, core->kv_version);
    record_put_uint(&writer, core->arrival);
    record_put_uint(&writer, core->sessions.generation);
    record_put_uint(&writer, core->config.epoch);
    for (size_t i = 0; i < SAVE_OTHERS; i++) {
        record_put_uint(&writer, others[i]);
    }
    save_end(core, &writer, NULL);
    core->save.broker_mark = save_mark(core);
    core->save.is_broker_dirty = false;
}

/* Offsets become pointers, and the records of the turn one group. */
static void save_complete(struct save *save)
{
    for (size_t i = 0; i < save->count; i++) {
        struct core_save *item = &save->items[i];
        uint8_t *head = save->bytes.bytes + item->head_at;
        head[0] |= i + 1 < save->count ? RECORD_MORE : 0;
        head[0] |= i == 0 && save->is_first ? RECORD_FIRST : 0;
        item->head = head;
    }
    save->is_first = save->is_first && save->count == 0;
}

void save_flush(struct core *core)
{
    struct save *save = &core->save;
    if (!save->is_on) {
        return;
    }
    for (size_t i = 0; i < save->dirty_count; i++) {
        flush_dirty(core, &save->dirty[i]);
    }
    save->dirty_count = 0;
    save->is_copying = false;
    save_flush_deps(core);
    struct drv_list *link;
    while ((link = drv_list_pop_front(&save->sessions)) != NULL) {
        save_put_session(core, DRV_LIST_ITEM(link, struct session, unsaved));
    }
    while ((link = drv_list_pop_front(&save->groups)) != NULL) {
        save_put_group(core, DRV_LIST_ITEM(link, struct group, unsaved));
    }
    if (save->is_broker_dirty || counters_are_old(core)) {
        put_broker(core);
    }
    save_complete(save);
}

void save_clear(struct core *core)
{
    struct save *save = &core->save;
    save->lsn += save->count;
    save->count = 0;
    drv_buffer_clear(&save->bytes);
    if (save->bytes.capacity > SAVE_BYTES_KEEP) {
        drv_buffer_fini(&save->bytes);
        drv_buffer_init(&save->bytes);
    }
    if (save->capacity > SAVE_ITEMS_KEEP) {
        free(save->items);
        save->items = NULL;
        save->capacity = 0;
    }
}

const struct core_save *core_saves(const struct core *core, size_t *out_count)
{
    *out_count = core->save.count;
    return core->save.items;
}

bool core_has_failed(const struct core *core)
{
    return core->save.has_failed;
}

void core_set_epoch(struct core *core, uint64_t epoch)
{
    core->config.epoch = epoch;
}

void core_set_full(struct core *core, bool is_full)
{
    core->is_full = is_full;
}

/* What the wall clock may drift against ours before it counts as set. */
#define CLOCK_MOVED_US ((int64_t)10 * 1000)
/* And back so far that something may be due that was passed over. */
#define CLOCK_WENT_BACK_US ((int64_t)1000 * 1000)

void core_set_wall(struct core *core, int64_t now_us, int64_t wall_us)
{
    int64_t offset_us = wall_us - now_us;
    int64_t moved_us = offset_us - core->clock_offset_us;
    core->wall_offset_us = offset_us;
    if (moved_us < -CLOCK_MOVED_US || moved_us > CLOCK_MOVED_US) {
        core->now_us = now_us > core->now_us ? now_us : core->now_us;
        core->clock_offset_us = offset_us;
        schedules_clock_set(core, moved_us < -CLOCK_WENT_BACK_US);
    }
}

/* --- compaction -------------------------------------------------------------------------- */

static void task_rewrite(struct core *core, const drover_id *id, uint32_t index, uint64_t lsn)
{
    struct item item;
    if (!item_find(core, id, index, &item) || !save_wants(core, item.task) ||
        unit_is_shared(item.unit) || !save_is_old(item.unit->mark, lsn)) {
        return; /* told by its run */
    }
    item.unit->flags &= (uint8_t)~UNIT_SAVED;
    if (index == DROVER_INDEX_NONE) {
        item.task->flags &= (uint8_t)~TASK_SAVED;
    }
    save_item(core, &item);
}

static void run_rewrite(struct core *core, const drover_id *id, uint32_t index, uint64_t lsn)
{
    struct item item;
    if (index == DROVER_INDEX_NONE || !item_find(core, id, index, &item) ||
        !save_wants(core, item.task)) {
        return;
    }
    struct run *run = array_run(item.task->array, index);
    if (run->first == index && save_is_old(run->mark, lsn)) {
        save_run(core, run);
    }
}

static void deps_rewrite(struct core *core, const drover_id *id, uint32_t index, uint64_t lsn)
{
    struct item item;
    if (item_find(core, id, index, &item) && item.unit->more != NULL &&
        item.unit->more->deps != NULL && save_is_old(item.unit->more->deps->mark, lsn)) {
        save_deps(core, item.unit->more->deps);
    }
}

static void session_rewrite(struct core *core, const drover_id *id, uint64_t lsn)
{
    struct session *session = session_find(core, id);
    if (session != NULL && save_is_old(session->mark, lsn)) {
        save_session(core, session);
    }
}

static void queues_rewrite(struct core *core, uint64_t lsn)
{
    struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
    struct queue *queue;
    while ((queue = drv_table_next(&core->queues, &cursor)) != NULL) {
        if (queue->has_settings && save_is_old(queue->mark, lsn)) {
            save_queue(core, queue);
        }
    }
}

static void schedule_rewrite(struct core *core, const drover_id *id, uint64_t lsn)
{
    struct schedule *schedule = schedule_find_saved(core, id);
    if (schedule != NULL && schedule->plan != NULL && save_is_old(schedule->mark, lsn)) {
        save_schedule(core, schedule);
    }
}

static void kv_rewrite(struct core *core, const drover_id *id, uint64_t lsn)
{
    struct kv_entry *entry = kv_find_saved(core, id);
    if (entry != NULL && save_is_old(entry->mark, lsn)) {
        save_kv(core, entry);
    }
}

static void key_rewrite(struct core *core, const drover_id *id, uint64_t lsn)
{
    struct key *key = key_find_saved(core, id);
    if (key != NULL && key->is_saved && save_is_old(key->mark, lsn)) {
        save_key(core, key);
    }
}

static void group_rewrite(struct core *core, const drover_id *id, uint64_t lsn)
{
    struct group *group = group_find_saved(core, id);
    if (group != NULL && group->is_saved && save_is_old(group->mark, lsn)) {
        save_put_group(core, group);
    }
}

void core_rewrite(struct core *core, uint16_t kind, const drover_id *id, uint32_t index,
                  uint64_t lsn)
{
    if (!core->save.is_on) {
        return;
    }
    core->save.is_broker_dirty |= save_is_old(core->save.broker_mark, lsn);
    core->save.is_copying = true;
    switch ((enum core_save_kind)kind) {
    case CORE_SAVE_TASK:
    case CORE_SAVE_UNIT:
    case CORE_SAVE_RETRIED:
        task_rewrite(core, id, index, lsn);
        break;
    case CORE_SAVE_RUN:
    case CORE_SAVE_RUN_DUE:
    case CORE_SAVE_RUN_END:
        run_rewrite(core, id, index, lsn);
        break;
    case CORE_SAVE_SESSION:
    case CORE_SAVE_REPLIES:
        session_rewrite(core, id, lsn);
        break;
    case CORE_SAVE_KV:
        kv_rewrite(core, id, lsn);
        break;
    case CORE_SAVE_QUEUE:
        queues_rewrite(core, lsn);
        break;
    case CORE_SAVE_KEY:
        key_rewrite(core, id, lsn);
        break;
    case CORE_SAVE_GROUP:
        group_rewrite(core, id, lsn);
        break;
    case CORE_SAVE_SCHEDULE:
    case CORE_SAVE_SCHEDULE_RUN:
        schedule_rewrite(core, id, lsn);
        break;
    case CORE_SAVE_AFTER:
        deps_rewrite(core, id, index, lsn);
        break;
    case CORE_SAVE_ALERT_RULE:
    case CORE_SAVE_ALERT_SILENCE:
    case CORE_SAVE_ALERT:
        alerts_rewrite(core, lsn);
        break;
    case CORE_SAVE_SCHEDULE_END:
    case CORE_SAVE_BROKER:
    case CORE_SAVE_FORGET:
    case CORE_SAVE_SESSION_END:
    case CORE_SAVE_KV_DELETE:
    case CORE_SAVE_KEY_END:
    case CORE_SAVE_KINDS:
        break; /* what came before is gone already */
    }
    core->save.is_copying = false;
}

static void save_deps_of(struct core *core, const struct item *item)
{
    struct deps *deps = item->unit->more == NULL ? NULL : item->unit->more->deps;
    if (deps != NULL && (deps->edges != NULL || deps->is_cascade)) { /* not just a parent */
        save_deps(core, deps);
    }
}

static void array_save_all(struct core *core, struct array *array)
{
    for (uint32_t i = 0; i < array->run_count; i++) {
        save_run(core, array->runs[i]);
    }
    for (uint32_t index = 0; index < array->index_end; index++) {
        struct element *element = array_element(array, index);
        if (element != NULL) {
            struct item item = array_item(array, index);
            element->unit.flags &= (uint8_t)~UNIT_SAVED;
            save_item(core, &item);
            save_deps_of(core, &item);
        }
    }
}

static void names_save_all(struct core *core)
{
    struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
    struct group *group;
    struct key *key;
    while ((key = drv_table_next(&core->keys, &cursor)) != NULL) {
        if (key->is_saved) {
            save_key(core, key);
        }
    }
    cursor = DRV_TABLE_CURSOR_INIT;
    while ((group = drv_table_next(&core->groups, &cursor)) != NULL) {
        if (group->is_saved) {
            save_put_group(core, group);
        }
    }
}

void core_save_all(struct core *core)
{
    struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
    struct task *task;
    if (!core->save.is_on) {
        return;
    }
    while ((task = drv_table_next(&core->tasks, &cursor)) != NULL) {
        if (!save_wants(core, task)) {
            continue;
        }
        struct item item = item_of_task(task);
        task->unit.flags &= (uint8_t)~UNIT_SAVED;
        task->flags &= (uint8_t)~TASK_SAVED;
        save_item(core, &item);
        save_deps_of(core, &item);
        if (task_is_array(task)) {
            array_save_all(core, task->array);
        }
    }
    for (uint32_t slot = 0; slot < core->sessions.slot_count; slot++) {
        if (core->sessions.slots[slot] != NULL) {
            save_session(core, core->sessions.slots[slot]);
        }
    }
    struct kv_entry *entry;
    cursor = DRV_TABLE_CURSOR_INIT;
    while ((entry = drv_table_next(&core->kv, &cursor)) != NULL) {
        save_kv(core, entry);
    }
    struct schedule *schedule;
    cursor = DRV_TABLE_CURSOR_INIT;
    while ((schedule = drv_table_next(&core->schedules, &cursor)) != NULL) {
        if (schedule->plan != NULL) {
            save_schedule(core, schedule);
        }
    }
    names_save_all(core);
    queues_rewrite(core, core->save.lsn + 1);
    alerts_rewrite(core, core->save.lsn + 1);
    core->save.is_broker_dirty = true;
}
