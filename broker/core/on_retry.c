/*
 * on_retry.c: a new task that does again what an ended one did not do.
 *
 * A task or an element becomes a new task with the same spec and payload; an array becomes an
 * array of its elements that did not succeed, but for those that were retried by themselves,
 * numbered from 0 in the order of their indexes, and one of a graph an array of all its
 * elements, since others read them by their numbers. An element that shares a value with others
 * becomes an array of one, since only an array can. It waits for what it is told to, else for
 * what the old one was submitted with.
 */
#include "admit.h"
#include "broker.h"
#include "copy.h"
#include "guard.h"
#include "handlers.h"
#include "submit.h"

#include <stdio.h>

enum { RETRY_HOPS_MAX = 64 }; /* retries of retries that are followed */

static bool remember_origin(struct core *core, struct task *task, const struct item *origin)
{
    struct more *more = unit_more(core, &task->unit);
    if (more == NULL) {
        return false;
    }
    more->has_retry_of = true;
    more->retry_of = origin->task->id;
    more->retry_of_index = origin->index;
    return true;
}

/* For those who ask for the old one and want the latest result. */
static void remember_retry(struct core *core, const struct item *origin,
                           const drover_id *new_id)
{
    const struct more *whole = origin->task->unit.more;
    struct more *more = unit_more(core, origin->unit);
    if (more != NULL) {
        if (origin->index == DROVER_INDEX_NONE) {
            bool counts = task_is_array(origin->task) && more->rounds < UINT8_MAX;
            more->rounds = (uint8_t)(more->rounds + counts);
        } else if (!more->has_retried_as) {
            more->rounds = whole == NULL ? 0 : whole->rounds;
        }
        item_set_retried(origin, more, true);
        more->retried_as = *new_id;
        save_retried(core, origin);
    }
}

static bool is_retry_of(const struct task *task, const struct item *origin)
{
    const struct more *more = task->unit.more;
    return more != NULL && more->has_retry_of && more->retry_of_index == origin->index &&
           drover_id_equal(&more->retry_of, &origin->task->id);
}

/* The new one gets the key of the old one; a part of an array does not. False: out of memory.
 */
static bool inherit_key(struct core *core, struct task *task, const struct item *origin)
{
    const struct claim *claim = task_claim(origin->task);
    return claim == NULL || origin->index != DROVER_INDEX_NONE ||
           key_claim(core, task, key_word(claim->key), claim->window_us) == DROVER_OK;
}

/* Whether nobody else has the key that the new one would get. */
static bool key_is_free(const struct core *core, const struct item *origin)
{
    const struct claim *claim = task_claim(origin->task);
    return claim == NULL || origin->index != DROVER_INDEX_NONE ||
           claim->key->task == origin->task || !key_is_taken(core, claim->key);
}

static drover_status retry_single(struct core *core, struct session *session,
                                  const struct item *origin, const drover_id *new_id,
                                  const struct parents *parents)
{
    struct drv_val val = item_payload(origin);
    struct body *payload = NULL;
    if (!task_is_array(origin->task)) {
        payload = body_ref(origin->task->payload);
        if (payload == NULL && origin->task->payload != NULL) {
            return DROVER_NOMEM;
        }
    } else if (body_new(core, &val, &payload)) {
        return DROVER_NOMEM;
    }
    struct task *task = task_new(core, new_id, origin->task->spec);
    if (task == NULL) {
        body_release(core, &payload);
        return DROVER_NOMEM;
    }
    task->payload = payload;
    task->payload_len = (uint32_t)body_len(payload);
    task->owner = session->handle;
    if (!remember_origin(core, task, origin) || !inherit_key(core, task, origin)) {
        task_free(core, task);
        return DROVER_NOMEM;
    }
    struct item item = item_of_task(task);
    if (parents->count > 0 && !deps_set(core, &item, parents)) {
        task_free(core, task);
        return DROVER_NOMEM;
    }
    task_begin(core, task, session);
    return DROVER_OK;
}

/* A new array with the spec, the origin and the shared value of another; NULL: out of memory.
 */
static struct array *array_like(struct core *core, struct session *session,
                                const struct item *origin, const drover_id *new_id,
                                const struct parents *parents)
{
    struct task *task = task_new(core, new_id, origin->task->spec);
    if (task == NULL) {
        return NULL;
    }
    struct drv_val with = body_val(origin->task->array->with);
    task->owner = session->handle;
    if (!remember_origin(core, task, origin) || array_open(core, task, &with) ||
        !inherit_key(core, task, origin)) {
        task_free(core, task);
        return NULL;
    }
    struct item item = item_of_task(task);
    if (parents->count > 0 && !deps_set(core, &item, parents)) {
        task_free(core, task);
        return NULL;
    }
    drv_list_push_back(&session->arrays, &task->array->open_link);
    task_begin(core, task, session);
    return task->array;
}

static drover_status retry_element(struct core *core, struct session *session,
                                   const struct item *origin, const drover_id *new_id,
                                   const struct parents *parents)
{
    if (origin->task->array->with == NULL) {
        return retry_single(core, session, origin, new_id, parents);
    }
    struct array *array = array_like(core, session, origin, new_id, parents);
    struct drv_val val = item_payload(origin);
    if (array == NULL) {
        return DROVER_NOMEM;
    }
    if (array_add(core, array, 0, &val, 1)) {
        task_free(core, array->task);
        return DROVER_NOMEM;
    }
    array_seal(core, array, 1);
    return DROVER_OK;
}

static drover_status retry_array(struct core *core, struct reply *reply, size_t position,
                                 const struct item *origin, const drover_id *new_id,
                                 const struct parents *parents)
{
    struct array *array = array_like(core, reply->session, origin, new_id, parents);
    if (array == NULL) {
        return DROVER_NOMEM;
    }
    array->keeps_payloads = origin->task->array->keeps_payloads;
    if (copy_start(core, origin->task->array, array, reply, position)) {
        task_free(core, array->task);
        return DROVER_NOMEM;
    }
    return DROVER_OK;
}

/* Whether a retry makes sense; *out_is_done when the same was asked before. */
static drover_status retry_verdict(const struct core *core, const struct item *item,
                                   const drover_id *new_id, bool *out_is_done,
                                   const char **out_text)
{
    struct task *known = task_find(core, new_id);
    *out_is_done = known != NULL && is_retry_of(known, item);
    if (!unit_is_terminal(item->unit)) {
        *out_text = "the task has not ended";
        return DROVER_NOT_READY;
    }
    if (item->unit->state == DROVER_STATE_SUCCEEDED) {
        *out_text = "the task has succeeded";
        return DROVER_CONFLICT;
    }
    bool is_whole = task_is_array(item->task) && item->index == DROVER_INDEX_NONE;
    if (!*out_is_done && is_whole && copy_count(item->task->array) == 0) {
        *out_text = "every element that did not succeed was retried by itself";
        return DROVER_CONFLICT;
    }
    if (!*out_is_done && !is_whole && task_is_array(item->task) &&
        copy_goes_on(core, item->task->array)) {
        *out_text = "its array is being retried";
        return DROVER_BUSY;
    }
    if (!*out_is_done && !key_is_free(core, item)) {
        *out_text = "another task has its key";
        return DROVER_CONFLICT;
    }
    if ((known != NULL && !*out_is_done) || drover_id_is_zero(new_id)) {
        *out_text = "the new id is taken";
        return DROVER_CONFLICT;
    }
    return DROVER_OK;
}

/* Limits as for a submit, but that all elements of an array must find room together. */
static drover_status retry_admit(struct core *core, struct session *session,
                                 const struct item *item, const char **out_text)
{
    struct admission admission = {.is_again = true, .account = item->task->spec->account};
    const struct line *line = item->task->spec->line;
    bool is_array = task_is_array(item->task) && item->index == DROVER_INDEX_NONE;
    if (is_array) {
        admission.share_count = copy_count(item->task->array);
    }
    uint64_t bytes = is_array ? 0 : item_payload_len(item);
    drover_status status = admit(core, &admission, session, line, bytes, out_text);
    if (status == DROVER_OK && is_array && !core->config.defects.grow_unbounded &&
        copy_count(item->task->array) > line->queue->max_count - queue_count(line->queue)) {
        *out_text = "the queue has no room for so many elements";
        status = DROVER_BUSY;
    }
    return status;
}

/* Whether the array's elements have other numbers in its retry. */
static bool is_retried_in_part(const struct core *core, const struct item *item)
{
    const struct array *array = task_is_array(item->task) ? item->task->array : NULL;
    if (array == NULL || array->keeps_payloads) {
        return false;
    }
    const struct task *next = task_find(core, &item->task->unit.more->retried_as);
    bool is_known = next != NULL && task_is_array(next) && next->array->is_sealed;
    uint32_t count = is_known ? next->array->count : copy_count(array);
    return count < array->count;
}

/*
 * Where to read what *after named, now: one that did not succeed and was retried is its last
 * retry. DEPENDENCY with a text: it was retried in part, so that nobody knows by which number.
 */
static drover_status latest_of(struct core *core, struct drv_after *after,
                               char out_text[DEPS_TEXT_MAX])
{
    struct item item;
    char name[DROVER_ID_TEXT_LEN + 1];
    for (unsigned hops = 0; hops < RETRY_HOPS_MAX; hops++) {
        if (!item_find(core, &after->id, after->index, &item) || !unit_is_terminal(item.unit) ||
            item.unit->state == DROVER_STATE_SUCCEEDED) {
            break;
        }
        const struct more *own = item.unit->more, *whole = item.task->unit.more;
        bool is_element = item.index != DROVER_INDEX_NONE;
        if (own != NULL && own->has_retried_as && is_element) {
            const struct task *next = task_find(core, &own->retried_as);
            after->id = own->retried_as; /* of its own, or as the only one of an array */
            after->index = next != NULL && task_is_array(next) ? 0 : DROVER_INDEX_NONE;
        } else if (whole == NULL || !whole->has_retried_as) {
            break;
        } else if (is_retried_in_part(core, &item)) {
            drover_id_format(&item.task->id, name);
            (void)snprintf(out_text, DEPS_TEXT_MAX,
                           "array %s was retried in part, and has other numbers there", name);
            return DROVER_DEPENDENCY;
        } else {
            after->id = whole->retried_as;
        }
    }
    return DROVER_OK;
}

/* What the old one was submitted with. One that has failed would only fail it again. */
static drover_status old_parents(struct core *core, const struct item *item,
                                 struct parents *parents, char out_text[DEPS_TEXT_MAX])
{
    struct drv_after after;
    drover_status status = DROVER_OK;
    char name[DROVER_ID_TEXT_LEN + 1];
    for (size_t i = 0; status == DROVER_OK && deps_origin(&item->task->unit, i, &after); i++) {
        status = latest_of(core, &after, out_text);
        if (status == DROVER_OK) {
            status = deps_look_up(core, &after.id, after.index, (uint8_t)after.when,
                                  item->task->spec->numbers.level, parents, out_text);
        }
        const struct unit *unit = status ? NULL : parents->items[parents->count - 1].unit;
        if (unit != NULL && after.when == DEPS_SUCCEEDED && unit_is_terminal(unit) &&
            unit->state != DROVER_STATE_SUCCEEDED) {
            drover_id_format(&after.id, name);
            (void)snprintf(out_text, DEPS_TEXT_MAX, "task %s, which it waits for, is %s", name,
                           drover_state_name((enum drover_state)unit->state));
            status = DROVER_DEPENDENCY;
        }
    }
    return status;
}

/* What the new task or array waits for. */
static drover_status retry_parents(struct core *core, const struct item *item,
                                   const struct drv_target *target, struct parents *parents,
                                   char text_room[DEPS_TEXT_MAX], const char **out_text)
{
    drover_status status = DROVER_OK;
    parents->count = 0;
    if (target->after_count == 0 && !(target->flags & DRV_RETRY_ALONE)) {
        status = old_parents(core, item, parents, text_room);
        *out_text = text_room;
    }
    for (size_t i = 0; status == DROVER_OK && i < target->after_count; i++) {
        const struct drv_after *after = &target->after[i];
        status = deps_look_up(core, &after->id, after->index, (uint8_t)after->when,
                              item->task->spec->numbers.level, parents, text_room);
        *out_text = text_room;
    }
    return status;
}

static drover_status retry_target(struct core *core, struct reply *reply, size_t position,
                                  const struct drv_target *target,
                                  char text_room[DEPS_TEXT_MAX], const char **out_text)
{
    struct item item;
    struct parents parents;
    bool is_done;
    if (!item_find(core, &target->id, target->index, &item)) {
        *out_text = "no such task";
        return DROVER_UNKNOWN;
    }
    if (!guard_admits_task(core, item.task)) {
        *out_text = GUARD_FOREIGN;
        return DROVER_DENIED;
    }
    drover_status status = retry_verdict(core, &item, &target->new_id, &is_done, out_text);
    if (status) {
        return status;
    }
    reply_reaches(reply, item.task->spec->numbers.level);
    if (is_done) {
        return DROVER_OK;
    }
    status = item_own(core, &item) ? retry_admit(core, reply->session, &item, out_text)
                                   : DROVER_NOMEM;
    if (status == DROVER_OK) {
        status = retry_parents(core, &item, target, &parents, text_room, out_text);
    }
    if (status) {
        return status;
    }
    if (!task_is_array(item.task)) {
        status = retry_single(core, reply->session, &item, &target->new_id, &parents);
    } else if (item.index == DROVER_INDEX_NONE) {
        status = retry_array(core, reply, position, &item, &target->new_id, &parents);
    } else {
        status = retry_element(core, reply->session, &item, &target->new_id, &parents);
    }
    if (status == DROVER_OK) {
        remember_retry(core, &item, &target->new_id);
    }
    return status;
}

void on_retry(struct core *core, struct peer *peer, const struct drv_message *message,
              struct reply *reply)
{
    (void)peer;
    const struct drv_targets *targets = &message->targets;
    for (size_t i = 0; i < targets->target_count; i++) {
        char text_room[DEPS_TEXT_MAX];
        const char *text = NULL;
        drover_status status = retry_target(core, reply, i, &targets->targets[i], text_room,
                                            &text);
        if (status) {
            submit_refuse(core, reply, i, status, text);
        }
    }
    reply_answer(core, reply);
}
