/*
 * on_array.c: ARRAY_OPEN, ARRAY_ITEMS, ARRAY_SEAL.
 */
#include "admit.h"
#include "broker.h"
#include "handlers.h"
#include "submit.h"

/* Others may come for the results of what has a key. */
static uint32_t open_flags(const struct drv_array_open *open)
{
    bool has_key = open->spec.key.ptr != NULL;
    return open->spec.flags & ~(has_key ? (uint32_t)DRV_SPEC_RELEASE : 0);
}

static drover_status open_new(struct core *core, struct session *session,
                              const struct drv_array_open *open, struct spec *spec,
                              const struct parents *parents)
{
    struct task *task = task_new(core, &open->id, spec);
    if (task == NULL) {
        return DROVER_NOMEM;
    }
    if (array_open(core, task, &open->with)) {
        task_free(core, task);
        return DROVER_NOMEM;
    }
    watch_own(core, task, session, open_flags(open) & ~(uint32_t)DRV_SPEC_WATCH);
    struct item item = item_of_task(task);
    if (parents->count > 0 && !deps_set(core, &item, parents)) {
        task_free(core, task);
        return DROVER_NOMEM;
    }
    bool is_tied = open->spec.flags & DRV_SPEC_CANCEL_WITH_SESSION;
    bool has_key = open->spec.key.ptr != NULL;
    if ((is_tied && !unit_tie(core, task, session)) ||
        (has_key &&
         key_claim(core, task, open->spec.key, us_of_ms(open->spec.key_window_ms)))) {
        task_free(core, task);
        return DROVER_NOMEM;
    }
    drv_list_push_back(&session->arrays, &task->array->open_link);
    task_begin(core, task, session);
    return DROVER_OK;
}

static drover_status open_watch(struct core *core, struct session *session,
                                const struct drv_array_open *open)
{
    uint32_t flags = open_flags(open);
    if (!(flags & DRV_SPEC_WATCH)) {
        return DROVER_OK;
    }
    struct item item = item_of_task(task_find(core, &open->id));
    uint32_t watch = (flags & DRV_SPEC_WATCH_STATES ? (uint32_t)WATCH_STATES : 0) |
                     (flags & DRV_SPEC_RELEASE ? (uint32_t)WATCH_RELEASE : 0);
    return watch_add(core, session, &item, (uint8_t)watch);
}

void array_watch_again(struct core *core, struct reply *reply,
                       const struct drv_array_open *open)
{
    struct task *task = task_find(core, &open->id);
    if (task == NULL && open_flags(open) & DRV_SPEC_WATCH) {
        reply->code = DROVER_UNKNOWN; /* it has been forgotten since: nothing comes of it */
    } else if (task != NULL && task_is_array(task) && open_watch(core, reply->session, open)) {
        reply->session->peer->is_broken = true; /* out of memory: it comes once more */
    } else {
        /* watched, or nobody waits */
    }
}

/* What it has waited for is no longer known once it has ended. */
static bool array_is_same(const struct task *task, const struct drv_array_open *open,
                          const struct spec *spec)
{
    return task_is_array(task) && task->spec == spec && task_has_key(task, open->spec.key) &&
           (unit_is_terminal(&task->unit) ||
            deps_are(&task->unit, open->spec.after, open->spec.after_count)) &&
           body_equals(task->array->with, &open->with);
}

static drover_status open_parents(struct core *core, const struct drv_array_open *open,
                                  const struct spec *spec, struct parents *parents,
                                  char text[DEPS_TEXT_MAX])
{
    drover_status status = DROVER_OK;
    parents->count = 0;
    for (size_t i = 0; status == DROVER_OK && i < open->spec.after_count; i++) {
        const struct drv_after *after = &open->spec.after[i];
        status = deps_look_up(core, &after->id, after->index, (uint8_t)after->when,
                              spec->numbers.level, parents, text);
    }
    return status;
}

static drover_status open_checked(struct core *core, struct reply *reply,
                                  const struct drv_array_open *open, struct spec *spec,
                                  char text_room[DEPS_TEXT_MAX], const char **out_text)
{
    struct session *session = reply->session;
    struct task *task = task_find(core, &open->id);
    if (task != NULL) {
        if (!array_is_same(task, open, spec)) {
            *out_text = "there is another task with this id";
            return DROVER_CONFLICT;
        }
        return open_watch(core, session, open);
    }
    if (open->spec.flags & DRV_SPEC_STRICT && !line_is_offered(spec->line)) {
        *out_text = "no connected worker offers this type";
        return DROVER_REFUSED;
    }
    struct admission admission = {.key = open->spec.key};
    const struct key *taken = admit_taken(core, &admission, spec->line);
    if (taken != NULL) {
        reply_attached(core, reply, 0, taken);
        return DROVER_ATTACHED;
    }
    drover_status status = admit(core, &admission, session, spec->line, open->with.len,
                                 out_text);
    if (status == DROVER_OK) {
        status = admit_key(core, &admission, session, spec->line, out_text);
    }
    struct parents parents;
    if (status == DROVER_OK) {
        status = open_parents(core, open, spec, &parents, text_room);
        *out_text = status == DROVER_DEPENDENCY ? text_room : NULL;
    }
    if (status == DROVER_OK) {
        status = open_new(core, session, open, spec, &parents);
    }
    return status ? status : open_watch(core, session, open);
}

void on_array_open(struct core *core, struct peer *peer, const struct drv_message *message,
                   struct reply *reply)
{
    const struct drv_array_open *open = &message->array_open;
    (void)peer;
    struct spec *spec = NULL;
    char text_room[DEPS_TEXT_MAX];
    const char *text = NULL;
    drover_status status = spec_check(core, &open->spec, &text);
    if (status == DROVER_OK && drover_id_is_zero(&open->id)) {
        status = DROVER_INVALID;
        text = "the array has no id";
    }
    if (status == DROVER_OK) {
        status = spec_ensure(core, &open->spec, &spec);
    }
    if (status == DROVER_OK) {
        reply->number = spec->numbers.level;
        reply->level = spec->numbers.level;
        status = open_checked(core, reply, open, spec, text_room, &text);
    }
    if (status && status != DROVER_ATTACHED) {
        core->counters.refused++;
        reply->retry_after_ms = drover_status_is_retryable(status) ? RETRY_AFTER_MS : 0;
    }
    spec_release(core, &spec);
    if (status == DROVER_DEPENDENCY) {
        reply_explain(core, reply, status, text); /* it names the task */
    } else {
        reply_fail(core, reply, status, text);
    }
}

/* --- whole arrays of a graph ------------------------------------------------------------- */

static struct drv_array_open opening_of(const struct drv_submit_group *group)
{
    return (struct drv_array_open){
        .id = group->entries[0].id, .spec = group->spec, .with = group->entries[0].val};
}

bool submit_array_is_same(const struct core *core, const struct task *task,
                          const struct drv_submit_group *group, const struct spec *spec)
{
    struct drv_array_open open = opening_of(group);
    uint32_t count = (uint32_t)(group->entry_count - 1);
    if (!array_is_same(task, &open, spec) || !task->array->is_sealed ||
        task->array->seal != count) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!array_has(task->array, i) ||
            !array_has_same(core, task->array, i, &group->entries[i + 1].val)) {
            return false;
        }
    }
    return true;
}

drover_status submit_array(struct core *core, struct session *session,
                           const struct drv_submit_group *group, struct spec *spec,
                           const struct parents *parents)
{
    struct drv_array_open open = opening_of(group);
    uint32_t count = (uint32_t)(group->entry_count - 1);
    struct drv_val *items = effects_take(core, count, sizeof *items);
    if (items == NULL || open_new(core, session, &open, spec, parents) ||
        open_watch(core, session, &open)) {
        return DROVER_NOMEM;
    }
    struct array *array = task_find(core, &open.id)->array;
    array->keeps_payloads = true; /* a retry is one of the whole node */
    for (uint32_t i = 0; i < count; i++) {
        items[i] = group->entries[i + 1].val;
    }
    if (count > 0 && array_add(core, array, 0, items, count)) {
        return DROVER_NOMEM;
    }
    array_seal(core, array, count);
    return DROVER_OK;
}

/* --- items ------------------------------------------------------------------------------- */

/* The array that a request names; the reply is answered when there is none. */
static struct array *named_array(struct core *core, struct reply *reply, const drover_id *id)
{
    struct task *task = task_find(core, id);
    if (task == NULL || !task_is_array(task)) {
        reply_fail(core, reply, DROVER_UNKNOWN, "no such array");
        return NULL;
    }
    reply->level = save_level_of(core, task);
    return task->array;
}

static drover_status item_verdict(struct core *core, struct admission *admission,
                                  struct session *session, const struct array *array,
                                  uint32_t index, bool is_new, const struct drv_val *val,
                                  const char **out_text)
{
    *out_text = NULL;
    if (index >= DRV_ARRAY_MAX) {
        *out_text = "the array would be too large";
        return DROVER_LIMIT;
    }
    if (!is_new) {
        bool is_same = array_has_same(core, array, index, val);
        *out_text = is_same ? NULL : "this element has another value";
        return is_same ? DROVER_OK : DROVER_CONFLICT;
    }
    if (array->is_cancelled) {
        *out_text = "the array was cancelled";
        return DROVER_CANCELLED;
    }
    if (array->is_sealed) {
        *out_text = "the array is sealed";
        return DROVER_CONFLICT;
    }
    return admit(core, admission, session, array->task->spec->line, val->len, out_text);
}

/* Adds items[begin..end) where `take` says so, in as few runs as there are stretches. */
static drover_status add_stretches(struct core *core, struct array *array,
                                   const struct drv_array_items *items, const bool *take)
{
    size_t at = 0;
    while (at < items->item_count) {
        size_t end = at;
        while (end < items->item_count && take[end]) {
            end++;
        }
        if (end > at && array_add(core, array, items->first + (uint32_t)at, items->items + at,
                                  (uint32_t)(end - at))) {
            return DROVER_NOMEM;
        }
        at = end + 1;
    }
    return DROVER_OK;
}

static void add_items(struct core *core, struct reply *reply, struct array *array,
                      const struct drv_array_items *items)
{
    bool *take = effects_alloc(core, items->item_count, sizeof *take);
    struct admission admission = {0};
    if (take == NULL) {
        reply_fail(core, reply, DROVER_NOMEM, NULL);
        return;
    }
    for (size_t i = 0; i < items->item_count; i++) {
        const char *text;
        uint32_t index = items->first + (uint32_t)i;
        bool is_new = index < DRV_ARRAY_MAX && !array_has(array, index);
        drover_status status = item_verdict(core, &admission, reply->session, array, index,
                                            is_new, &items->items[i], &text);
        take[i] = is_new && status == DROVER_OK;
        admission.pending_count += take[i];
        admission.pending_bytes += take[i] ? items->items[i].len : 0;
        if (status) {
            core->counters.refused++;
            reply_note(reply, i, status, text,
                       drover_status_is_retryable(status) ? RETRY_AFTER_MS : 0);
        }
    }
    drover_status status = add_stretches(core, array, items, take);
    reply_fail(core, reply, status, NULL);
}

void on_array_items(struct core *core, struct peer *peer, const struct drv_message *message,
                    struct reply *reply)
{
    (void)peer;
    const struct drv_array_items *items = &message->array_items;
    struct array *array = named_array(core, reply, &items->id);
    if (array == NULL) {
        return;
    }
    if (items->first >= DRV_ARRAY_MAX) {
        reply_fail(core, reply, DROVER_LIMIT, "the array would be too large");
        return;
    }
    add_items(core, reply, array, items);
}

/* --- seal -------------------------------------------------------------------------------- */

void on_array_seal(struct core *core, struct peer *peer, const struct drv_message *message,
                   struct reply *reply)
{
    (void)peer;
    const struct drv_array_seal *seal = &message->array_seal;
    struct array *array = named_array(core, reply, &seal->id);
    if (array == NULL) {
        return;
    }
    if (array->is_cancelled) {
        reply_answer(core, reply);
    } else if (array->is_sealed) {
        bool is_same = array->seal == seal->count;
        reply_fail(core, reply, is_same ? DROVER_OK : DROVER_CONFLICT,
                   is_same ? NULL : "sealed with another count");
    } else if (array->count != seal->count || array->index_end != seal->count) {
        reply_fail(core, reply, DROVER_INVALID, "elements are missing, or beyond the count");
    } else {
        array_seal(core, array, seal->count);
        reply_answer(core, reply);
    }
}
