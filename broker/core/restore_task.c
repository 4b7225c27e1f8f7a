/*
 * restore_task.c: reads the records of tasks and of what stands in units; see save_task.c.
 */
#include "broker.h"
#include "check.h"
#include "restore.h"
#include "save_parts.h"

enum {
    UNIT_READ = UNIT_SUSPECT | UNIT_CANCELLING | UNIT_STARTED | UNIT_REPORTED | UNIT_DROPPED,
    TASK_READ = TASK_WATCHED | TASK_STATES | TASK_RELEASE | TASK_DISCARD | TASK_TIED
};

/* --- options ----------------------------------------------------------------------------- */

/* name\0value\0 and so on. */
static bool pairs_are_fine(const char *at, size_t len, uint32_t *out_count)
{
    uint32_t ends = 0;
    for (size_t i = 0; i < len; i++) {
        ends += at[i] == '\0';
    }
    *out_count = ends / 2;
    return len == 0 || (at[len - 1] == '\0' && ends % 2 == 0);
}

/* What stands with the options in the record of a task. */
struct options {
    struct spec_numbers numbers;
    struct drv_str key; /* borrowed; nil: none */
    struct claim claim; /* without the key */
    uint32_t key_len;
};

static bool spec_is_fine(const struct spec_numbers *numbers, const char *tail,
                         uint32_t *out_tag_count)
{
    uint32_t require_count;
    const char *require = tail + numbers->type_len + numbers->queue_len;
    const char *needs = require + numbers->require_len;
    const char *tags = needs + numbers->needs_len + numbers->fairness_len;
    return numbers->type_len >= 1 && numbers->type_len <= DRV_NAME_MAX &&
           numbers->queue_len >= 1 && numbers->queue_len <= DRV_NAME_MAX &&
           numbers->meta_len <= DRV_META_MAX && numbers->group_len <= DRV_NAME_MAX &&
           numbers->level >= DROVER_DURABILITY_MEMORY &&
           numbers->level <= DROVER_DURABILITY_SYNCED &&
           pairs_are_fine(require, numbers->require_len, &require_count) &&
           needs_are_fine(needs, numbers->needs_len) &&
           pairs_are_fine(tags, numbers->tags_len, out_tag_count) &&
           require_count <= DRV_LABELS_MAX && *out_tag_count <= DRV_LABELS_MAX &&
           numbers->schedule_len <= DRV_NAME_MAX &&
           (numbers->owner_len == 0 ||
            access_name_is_fine(str_of(tags + numbers->tags_len, numbers->owner_len)));
}

static uint64_t number_if(struct record_reader *reader, unsigned mask, unsigned bit,
                          uint64_t max)
{
    return mask & bit ? record_uint_max(reader, max) : 0;
}

static void read_numbers(struct record_reader *reader, struct options *options)
{
    struct spec_numbers *numbers = &options->numbers;
    const uint64_t long_us = (uint64_t)us_of_ms(UINT64_MAX);
    unsigned mask = record_u32(reader);
    numbers->level = record_u8(reader);
    numbers->type_len = record_u32(reader);
    numbers->queue_len = record_u32(reader);
    numbers->delay_us = (int64_t)number_if(reader, mask, SPEC_DELAY, long_us);
    numbers->expire_us = (int64_t)number_if(reader, mask, SPEC_EXPIRE, long_us);
    numbers->timeout_ms = number_if(reader, mask, SPEC_TIMEOUT, UINT64_MAX);
    numbers->backoff_ms = number_if(reader, mask, SPEC_BACKOFF, UINT64_MAX);
    numbers->backoff_max_ms = number_if(reader, mask, SPEC_BACKOFF_MAX, UINT64_MAX);
    numbers->keep_us = (int64_t)number_if(reader, mask, SPEC_KEEP, long_us + 1) - 1;
    numbers->retries = (uint32_t)number_if(reader, mask, SPEC_RETRIES, UINT32_MAX);
    numbers->loss_budget = (int32_t)number_if(reader, mask, SPEC_LOSSES, INT32_MAX);
    uint8_t priority = (uint8_t)number_if(reader, mask, SPEC_PRIORITY, UINT8_MAX);
    numbers->priority = (int32_t)(priority ^ 128) - 128;
    numbers->require_len = (uint32_t)number_if(reader, mask, SPEC_REQUIRE, UINT32_MAX);
    numbers->tags_len = (uint32_t)number_if(reader, mask, SPEC_TAGS, UINT32_MAX);
    numbers->meta_len = (uint32_t)number_if(reader, mask, SPEC_META, UINT32_MAX);
    numbers->needs_len = (uint32_t)number_if(reader, mask, SPEC_NEEDS, UINT32_MAX);
    numbers->fairness_len = (uint32_t)number_if(reader, mask, SPEC_FAIRNESS, DRV_TEXT_MAX);
    static const unsigned limits[SPEC_LIMITS] = {SPEC_MEMORY, SPEC_CPU, SPEC_OUTPUT,
                                                 SPEC_PROCESSES, SPEC_FILES};
    for (size_t i = 0; i < SPEC_LIMITS; i++) {
        numbers->limits[i] = number_if(reader, mask, limits[i], UINT64_MAX);
    }
    numbers->schedule_len = (uint32_t)number_if(reader, mask, SPEC_SCHEDULE, UINT32_MAX);
    numbers->group_len = (uint32_t)number_if(reader, mask, SPEC_GROUP, DRV_NAME_MAX);
    options->key_len = (uint32_t)number_if(reader, mask, SPEC_KEY, DRV_TEXT_MAX);
    options->claim.window_us = (int64_t)number_if(reader, mask, SPEC_KEY_WINDOW, long_us);
    options->claim.serial = number_if(reader, mask, SPEC_KEY_SERIAL, UINT64_MAX);
    numbers->owner_len = (uint32_t)number_if(reader, mask, SPEC_OWNER, ACCESS_NAME_MAX);
}

/* Behind the options. */
static bool read_key(struct restore *restore, struct record_reader *reader,
                     struct options *options)
{
    const uint8_t *text = options->key_len == 0 ? NULL : record_raw(reader, options->key_len);
    options->key = str_of((const char *)text, text == NULL ? 0 : options->key_len);
    if (reader->failed || (text == NULL) != (options->claim.serial == 0)) {
        return restore_wrong(restore, "the key of a task is no key");
    }
    return true;
}

/* With a reference; NULL: wrong, or out of memory. */
static struct spec *read_spec(struct restore *restore, struct record_reader *reader,
                              struct options *options)
{
    struct spec_numbers numbers;
    struct spec *spec = NULL;
    read_numbers(reader, options);
    numbers = options->numbers;
    uint64_t tail_len = (uint64_t)numbers.type_len + numbers.queue_len + numbers.require_len +
                        numbers.needs_len + numbers.fairness_len + numbers.tags_len +
                        numbers.owner_len + numbers.group_len + numbers.schedule_len +
                        numbers.meta_len;
    const char *tail = tail_len > record_left(reader)
                           ? NULL
                           : (const char *)record_raw(reader, (size_t)tail_len);
    if (tail == NULL || !spec_is_fine(&numbers, tail, &numbers.tag_count)) {
        (void)restore_wrong(restore, "the options of a task are no options");
        return NULL;
    }
    if (!read_key(restore, reader, options)) {
        return NULL;
    }
    return spec_intern(restore->core, &numbers, tail, (size_t)tail_len, &spec) ? NULL : spec;
}

struct spec *restore_spec(struct restore *restore, struct record_reader *reader)
{
    struct options options = {0};
    struct spec *spec = read_spec(restore, reader, &options);
    if (spec != NULL && options.key.ptr != NULL) {
        spec_release(restore->core, &spec);
        (void)restore_wrong(restore, "a key of what is no task");
    }
    return spec;
}

/* --- what most have not ------------------------------------------------------------------ */

struct failure *restore_failure(struct restore *restore, struct record_reader *reader)
{
    struct drv_error error = {
        .kind = (uint32_t)record_uint_max(reader, DROVER_ERROR_EXPIRED),
        .flags = record_u32(reader),
    };
    error.exit_code = (int32_t)record_int(reader);
    error.signal = record_u32(reader);
    error.code = record_str(reader, DRV_TEXT_MAX);
    error.text = record_str(reader, DRV_ERROR_TEXT_MAX);
    error.stderr_tail = record_str(reader, DRV_STDERR_MAX);
    if (error.kind == 0 || reader->failed) {
        (void)restore_wrong(restore, "an error of no kind");
        return NULL;
    }
    return failure_new(restore->core, &error);
}

/* Most attempts were made by whom the last one was made. */
static struct who *read_who(struct restore *restore, struct record_reader *reader)
{
    static const drover_id nobody = {{0}};
    struct drv_str name = record_str(reader, DRV_NAME_MAX);
    struct drv_str host = record_str(reader, UINT8_MAX);
    struct who *who = restore->who;
    if (who == NULL || !str_equals(str_of(who->text, who->name_len), name) ||
        !str_equals(str_of(who->text + who->name_len, who->host_len), host)) {
        who_release(restore->core, &restore->who);
        restore->who = who = who_new(restore->core, &nobody, name, host);
    }
    return who;
}

static bool read_attempt(struct restore *restore, struct record_reader *reader,
                         struct unit *unit, int64_t base_us)
{
    struct attempt attempt = {.attempt = record_u32(reader), .outcome = record_u8(reader)};
    uint8_t bits = record_u8(reader);
    attempt.was_started = (bits & ATTEMPT_STARTED) != 0;
    attempt.has_usage = (bits & ATTEMPT_USAGE) != 0;
    attempt.kept = (uint8_t)(bits >> ATTEMPT_KEPT_SHIFT & ATTEMPT_KEPT_MASK);
    if (attempt.kept > DRV_KEPT_CGROUP) {
        return false;
    }
    attempt.queued_us = record_uint(reader);
    attempt.transfer_us = record_uint(reader);
    attempt.run_us = record_uint(reader);
    attempt.return_us = record_uint(reader);
    attempt.exit_code = (int32_t)record_int(reader);
    attempt.signal = record_u32(reader);
    if (__builtin_sub_overflow(base_us, record_int(reader), &attempt.ended_us)) {
        attempt.ended_us = base_us;
    }
    if (attempt.has_usage) {
        attempt.user_us = record_uint(reader);
        attempt.system_us = record_uint(reader);
        attempt.peak_rss_bytes = record_uint(reader);
    }
    if (bits & ATTEMPT_WHO) {
        attempt.who = read_who(restore, reader);
        if (attempt.who == NULL) {
            return false;
        }
    }
    uint8_t before = unit->more->history_count;
    history_add(restore->core, unit, &attempt);
    return unit->more->history_count > before;
}

static void more_clear(struct core *core, struct more *more)
{
    history_clear(core, more);
    failure_free(core, &more->error);
}

static bool read_more(struct restore *restore, struct record_reader *reader,
                      const struct item *item)
{
    struct unit *unit = item->unit;
    struct more *more = unit_more(restore->core, unit);
    if (more == NULL) {
        return false;
    }
    more_clear(restore->core, more);
    uint8_t bits = record_u8(reader);
    int64_t base_us = restore_instant(restore, record_fixed(reader));
    more->ended_us = unit_is_terminal(unit) ? base_us : 0;
    if (bits & MORE_ERROR && !unit_is_terminal(unit)) {
        return restore_wrong(restore, "the error of a task that has not ended");
    }
    if (bits & MORE_ERROR && (more->error = restore_failure(restore, reader)) == NULL) {
        return false;
    }
    unsigned count = bits & MORE_HISTORY ? record_u8(reader) : 0;
    if (count > HISTORY_MAX) {
        return restore_wrong(restore, "more attempts than are kept");
    }
    for (unsigned i = 0; i < count; i++) {
        if (!read_attempt(restore, reader, unit, base_us)) {
            return false;
        }
    }
    more->has_retry_of = (bits & MORE_RETRY_OF) != 0;
    if (more->has_retry_of) {
        more->retry_of = record_id(reader);
        more->retry_of_index = record_u32(reader);
    }
    item_set_retried(item, more, (bits & MORE_RETRIED) != 0);
    if (more->has_retried_as) {
        more->retried_as = record_id(reader);
    }
    more->rounds = bits & MORE_ROUNDS ? record_u8(reader) : 0;
    return true;
}

/* --- units ------------------------------------------------------------------------------- */

/* Nobody holds it, nothing is due: what the record says follows. */
static void unit_rest(struct core *core, const struct item *item)
{
    struct unit *unit = item->unit;
    struct lease *lease = unit_lease(unit);
    if (lease != NULL) {
        lease_free(core, lease);
    }
    if (item->index == DROVER_INDEX_NONE) {
        timer_disarm(core, &item->task->timer);
    }
}

static bool read_lease(struct restore *restore, struct record_reader *reader, uint8_t parts,
                       const struct item *item)
{
    if (!(parts & (PART_LEASE | PART_POSITION))) {
        return true;
    }
    struct lease *lease = lease_new(restore->core, item);
    if (lease == NULL) {
        return false;
    }
    if (!(parts & PART_LEASE)) {
        return true;
    }
    lease->attached = record_u32(reader); /* the number of its session, until the end */
    lease->flags = record_u8(reader) & (LEASE_STARTED | LEASE_CONFIRM);
    lease->since_us = restore_instant(restore, record_fixed(reader));
    if (lease->flags & LEASE_STARTED) {
        int64_t after_us = record_int(reader);
        bool is_odd = after_us < 0 ||
                      __builtin_add_overflow(lease->since_us, after_us, &lease->started_us);
        lease->started_us = is_odd ? lease->since_us : lease->started_us;
    }
    return true;
}

static bool read_place(struct restore *restore, struct record_reader *reader, uint8_t parts,
                       const struct item *item)
{
    struct core *core = restore->core;
    struct lease *lease = unit_lease(item->unit);
    bool is_task = item->index == DROVER_INDEX_NONE;
    if (parts & (PART_ARRIVAL | PART_TIMER) && !is_task && lease == NULL) {
        return restore_wrong(restore, "a place in line for nothing");
    }
    if (parts & PART_ARRIVAL) {
        uint64_t arrival = record_uint_max(reader, PLACE_ARRIVAL_MAX);
        place_arrive(is_task ? &item->task->place : &lease->place, arrival);
        core->arrival = arrival > core->arrival ? arrival : core->arrival;
    }
    if (parts & PART_TIMER) {
        int64_t wall_us = record_fixed(reader);
        uint64_t left_us = record_uint(reader);
        timer_arm(core, is_task ? &item->task->timer : &lease->timer,
                  restore_due(restore, wall_us, left_us));
    }
    return true;
}

static bool read_array(struct restore *restore, struct record_reader *reader,
                       const struct item *item)
{
    if (!task_is_array(item->task)) {
        return restore_wrong(restore, "elements of a task that is no array");
    }
    struct array *array = item->task->array;
    uint8_t bits = record_u8(reader);
    array->is_sealed = (bits & ARRAY_PART_SEALED) != 0;
    array->is_cancelled = (bits & ARRAY_PART_CANCELLED) != 0;
    array->keeps_payloads = (bits & ARRAY_PART_KEEPS) != 0;
    array->seal = (uint32_t)record_uint_max(reader, DRV_ARRAY_MAX);
    return true;
}

/* What only a task or an element has, an array has not as a whole. */
enum { PARTS_OF_WORK = PART_LEASE | PART_POSITION | PART_ARRIVAL | PART_TIMER | PART_RESULT };

static bool state_is_fine(const struct item *item, uint8_t state, uint8_t parts)
{
    const struct unit *unit = item->unit;
    if (item->index == DROVER_INDEX_NONE && task_is_array(item->task) &&
        parts & PARTS_OF_WORK) {
        return false;
    }
    bool ends = state >= DROVER_STATE_SUCCEEDED;
    if (state < DROVER_STATE_WAITING || state > DROVER_STATE_EXPIRED) {
        return false;
    }
    if (state == DROVER_STATE_WAITING && parts & (PART_LEASE | PART_TIMER)) {
        return false;
    }
    if (unit_is_terminal(unit) && state != unit->state) {
        return false; /* what has ended stays so */
    }
    return ends ? !(parts & (PART_LEASE | PART_POSITION | PART_ARRIVAL | PART_TIMER))
                : !(parts & PART_RESULT);
}

static bool read_result(struct restore *restore, struct record_reader *reader,
                        const struct item *item)
{
    struct drv_val val = record_val(reader);
    body_release(restore->core, &item->unit->result);
    return body_new(restore->core, &val, &item->unit->result) == DROVER_OK;
}

static bool read_unit(struct restore *restore, struct record_reader *reader,
                      const struct item *item)
{
    struct unit *unit = item->unit;
    uint8_t parts = record_u8(reader);
    uint8_t state = record_u8(reader);
    if (!state_is_fine(item, state, parts)) {
        return restore_wrong(restore, "a task in an impossible state");
    }
    bool is_new_end = state >= DROVER_STATE_SUCCEEDED && !unit_is_terminal(unit);
    unit_rest(restore->core, item);
    unit->state = state;
    unit->flags = record_u8(reader) & UNIT_READ;
    unit->flags &= (uint8_t)(state >= DROVER_STATE_SUCCEEDED ? ~UNIT_CANCELLING : ~0);
    unit->attempt = record_u32(reader);
    unit->failures = (uint16_t)record_uint_max(reader, UINT16_MAX);
    unit->losses = (uint16_t)record_uint_max(reader, UINT16_MAX);
    unit->run_us = record_u32(reader);
    unit->mark = restore->mark;
    if (parts & PART_FLAGS) {
        item->task->flags &= (uint8_t)~TASK_READ;
        item->task->flags |= record_u8(reader) & TASK_READ;
    }
    if ((parts & PART_ARRAY && !read_array(restore, reader, item)) ||
        !read_lease(restore, reader, parts, item) ||
        !read_place(restore, reader, parts, item) ||
        (parts & PART_MORE && !read_more(restore, reader, item)) ||
        (parts & PART_RESULT && !read_result(restore, reader, item))) {
        return false;
    }
    if (unit->flags & UNIT_DROPPED && unit_is_terminal(unit)) {
        body_release(restore->core, &unit->result);
    }
    if (is_new_end && item->index != DROVER_INDEX_NONE) {
        return array_restore_end(restore->core, item->task->array, item->index);
    }
    return true;
}

bool restore_unit(struct restore *restore, const struct core_saved *saved,
                  struct record_reader *reader)
{
    struct item item;
    if (saved->index != DROVER_INDEX_NONE) {
        return restore_element(restore, &saved->id, saved->index, &item) &&
               read_unit(restore, reader, &item);
    }
    struct task *task = task_find(restore->core, &saved->id);
    if (task == NULL || task->spec == restore->nobody) {
        return true; /* a younger copy of the whole follows, or it is forgotten */
    }
    uint16_t mark = task->unit.mark;
    item = item_of_task(task);
    bool was_over = task->unit.state == DROVER_STATE_SUCCEEDED;
    if (!read_unit(restore, reader, &item)) {
        return false;
    }
    task->unit.mark = mark; /* of the whole */
    if (!task_is_array(task) && !was_over && task->unit.state == DROVER_STATE_SUCCEEDED) {
        task_give_up_payload(restore->core, task);
    }
    return true;
}

/* --- tasks ------------------------------------------------------------------------------- */

static struct task *task_make(struct restore *restore, const drover_id *id, struct spec *spec)
{
    struct task *task = task_new(restore->core, id, spec);
    if (task != NULL) {
        drv_list_push_back(&restore->order, &task->place.link);
    }
    return task;
}

static bool array_make(struct restore *restore, struct task *task)
{
    const struct drv_val nil = {.is_nil = true};
    if (array_open(restore->core, task, &nil)) {
        return false;
    }
    task->unit.state = 0; /* its record will say */
    drv_list_push_back(&restore->arrays, &task->array->open_link);
    return true;
}

struct array *restore_array(struct restore *restore, const drover_id *id)
{
    struct task *task = task_find(restore->core, id);
    if (task != NULL && !task_is_array(task)) {
        (void)restore_wrong(restore, "elements of a task that is no array");
        return NULL;
    }
    if (task == NULL) {
        task = task_make(restore, id, restore->nobody);
        if (task != NULL && !array_make(restore, task)) {
            drv_list_remove(&task->place.link);
            task_free(restore->core, task);
            task = NULL;
        }
    }
    return task == NULL ? NULL : task->array;
}

/* False when out of memory. */
static bool task_adopt_spec(struct core *core, struct task *task, struct spec **spec)
{
    if (task->spec->group != (*spec)->group) {
        if ((*spec)->group != NULL && !group_add(core, (*spec)->group, task)) {
            return false;
        }
        if (task->spec->group != NULL) {
            group_remove(core, task->spec->group, task);
        }
    }
    key_leave(core, task); /* of the queue of the old options */
    spec_release(core, &task->spec);
    task->spec = *spec;
    *spec = NULL;
    return true;
}

/* Payload or shared value, the last of the record. */
static bool read_payload(struct restore *restore, struct record_reader *reader,
                         struct task *task)
{
    struct body **place = task_is_array(task) ? &task->array->with : &task->payload;
    struct drv_val val = record_val(reader);
    body_release(restore->core, place);
    return body_new(restore->core, &val, place) == DROVER_OK;
}

static bool is_array_record(const struct record_reader *reader)
{
    return record_left(reader) > 0 && *reader->at & PART_ARRAY;
}

/* The task of the record, made when it is new; *spec is taken. */
static struct task *task_of_record(struct restore *restore, const struct core_saved *saved,
                                   struct spec **spec, bool is_array)
{
    struct task *task = task_find(restore->core, &saved->id);
    if (task != NULL && task_is_array(task) != is_array) {
        (void)restore_wrong(restore, "an array and a task with one id");
        return NULL;
    }
    if (task != NULL) {
        return task_adopt_spec(restore->core, task, spec) ? task : NULL;
    }
    task = task_make(restore, &saved->id, *spec);
    if (task != NULL && is_array && !array_make(restore, task)) {
        return NULL;
    }
    return task;
}

static bool read_task(struct restore *restore, const struct core_saved *saved,
                      struct record_reader *reader, struct spec **spec,
                      const struct options *options)
{
    uint32_t owner = record_u32(reader);
    int64_t submitted_us = restore_instant(restore, record_fixed(reader));
    uint32_t payload_len = record_u32(reader);
    uint32_t payload_hash = record_u32(reader);
    struct task *task = task_of_record(restore, saved, spec, is_array_record(reader));
    if (task == NULL) {
        return false;
    }
    struct item item = item_of_task(task);
    task->owner = (struct handle){.slot = UINT32_MAX, .generation = owner};
    task->submitted_us = submitted_us;
    recent_restore(restore->core, task);
    task->payload_len = payload_len;
    task->payload_hash = payload_hash;
    task->flags |= TASK_SAVED;
    if (options->key.ptr != NULL &&
        !key_restore_claim(restore->core, task, options->key, &options->claim)) {
        return false;
    }
    if (!read_unit(restore, reader, &item) || !read_payload(restore, reader, task)) {
        return false;
    }
    bool has_payload = !task_is_array(task) && task->payload != NULL;
    if (has_payload && task->unit.state == DROVER_STATE_SUCCEEDED) {
        return restore_wrong(restore, "a payload that nobody needs");
    }
    if (has_payload && body_len(task->payload) != payload_len) {
        return restore_wrong(restore, "a payload of another length");
    }
    return true;
}

bool restore_task(struct restore *restore, const struct core_saved *saved,
                  struct record_reader *reader)
{
    struct options options = {0};
    struct spec *spec = read_spec(restore, reader, &options);
    if (spec == NULL) {
        return false;
    }
    bool is_fine = !drover_id_is_zero(&saved->id) &&
                   read_task(restore, saved, reader, &spec, &options);
    spec_release(restore->core, &spec);
    return is_fine;
}

bool restore_retried(struct restore *restore, const struct core_saved *saved,
                     struct record_reader *reader)
{
    struct item item;
    if (!item_find(restore->core, &saved->id, saved->index, &item)) {
        return true;
    }
    if (unit_is_shared(item.unit)) {
        return true; /* the record of the element follows, and knows it */
    }
    struct more *more = unit_more(restore->core, item.unit);
    if (more == NULL) {
        return false;
    }
    item_set_retried(&item, more, true);
    more->retried_as = record_id(reader);
    more->rounds = record_u8(reader);
    return true;
}

bool restore_forget(struct restore *restore, const struct core_saved *saved,
                    struct record_reader *reader)
{
    struct core *core = restore->core;
    uint8_t state = record_u8(reader);
    if (state > DROVER_STATE_LOST) {
        return restore_wrong(restore, "a task in an impossible state");
    }
    if (state != 0) {
        core->gone[state]++;
    }
    for (unsigned at = DROVER_STATE_SUCCEEDED; at <= DROVER_STATE_LOST; at++) {
        core->gone[at] += record_uint(reader);
    }
    restore_deps_forget(restore, &saved->id);
    struct task *task = task_find(core, &saved->id);
    if (task == NULL) {
        return true;
    }
    if (task_is_array(task)) {
        for (uint32_t i = 0; i < task->array->run_count; i++) {
            drv_list_remove(&task->array->runs[i]->place.link);
        }
    }
    drv_list_remove(&task->place.link);
    task_free(core, task);
    return true;
}
