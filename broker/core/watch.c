#include "watch.h"

#include "broker.h"
#include "check.h"

/* --- the owner's watch ------------------------------------------------------------------- */

void watch_own(struct core *core, struct task *task, struct session *session, uint32_t flags)
{
    task->owner = session->handle;
    if (flags & DRV_SPEC_RELEASE) {
        task->flags |= TASK_RELEASE;
    }
    if (!(flags & DRV_SPEC_WATCH)) {
        return;
    }
    task->flags |= TASK_WATCHED;
    if (flags & DRV_SPEC_WATCH_STATES) {
        task->flags |= TASK_STATES;
    }
    (void)core;
}

static void own_ended(struct core *core, struct task *task)
{
    if (!(task->flags & TASK_WATCHED)) {
        return;
    }
    struct session *session = session_by_handle(core, task->owner);
    if (session == NULL) {
        task->flags &= (uint8_t)~TASK_WATCHED;
        return;
    }
    DRV_ASSERT(!place_is_in(&task->place));
    task->flags |= TASK_READY;
    drv_list_init(&task->place.link);
    drv_list_push_back(&session->ready_tasks, &task->place.link);
    session->unread++;
    session_touch(core, session);
}

void watch_restore(struct core *core, struct task *task)
{
    own_ended(core, task);
}

static void own_drop(struct core *core, struct task *task)
{
    if (task->flags & TASK_READY) {
        drv_list_remove(&task->place.link);
        session_by_handle(core, task->owner)->unread--;
    }
    task->flags &= (uint8_t) ~(TASK_WATCHED | TASK_READY);
}

/* --- watch objects ----------------------------------------------------------------------- */

static bool watch_is_on_array(const struct watch *watch)
{
    return watch->index == DROVER_INDEX_NONE && task_is_array(watch->task);
}

/* How many results the watch holds back. */
static uint64_t watch_unread(const struct watch *watch)
{
    if (!watch_is_on_array(watch)) {
        return watch->is_ready;
    }
    return (uint64_t)(watch->task->array->ended - watch->settled) +
           unit_is_terminal(&watch->task->unit);
}

static void watch_make_ready(struct core *core, struct watch *watch)
{
    if (!watch->is_ready) {
        watch->is_ready = true;
        drv_list_push_back(&watch->session->ready_watches, &watch->in_session);
    }
    session_touch(core, watch->session);
}

void watch_free(struct core *core, struct watch *watch)
{
    watch->session->unread -= watch_unread(watch);
    drv_list_remove(&watch->in_unit);
    drv_list_remove(&watch->all);
    drv_list_remove(&watch->in_session);
    drv_slab_free(&core->watch_slab, watch);
    core->memory_bytes -= sizeof *watch;
}

/* The list of watches of a target; NULL when out of memory. */
static struct drv_list *watch_list(struct core *core, const struct item *item)
{
    if (item->index == DROVER_INDEX_NONE && task_is_array(item->task)) {
        return &item->task->array->watches;
    }
    struct more *more = unit_more(core, item->unit);
    return more == NULL ? NULL : &more->watches;
}

static struct watch *watch_find(const struct session *session, const struct item *item)
{
    struct drv_list *list;
    if (item->index == DROVER_INDEX_NONE && task_is_array(item->task)) {
        list = &item->task->array->watches;
    } else if (item->unit->more != NULL) {
        list = &item->unit->more->watches;
    } else {
        return NULL;
    }
    DRV_LIST_EACH(link, list)
    {
        struct watch *watch = DRV_LIST_ITEM(link, struct watch, in_unit);
        if (watch->session == session) {
            return watch;
        }
    }
    return NULL;
}

/* Whether the session gets the result anyhow, as the owner. */
static bool watch_is_own(const struct session *session, const struct item *item)
{
    return item->index == DROVER_INDEX_NONE && (item->task->flags & TASK_WATCHED) &&
           item->task->owner.generation == session->handle.generation;
}

drover_status watch_add(struct core *core, struct session *session, const struct item *item,
                        uint8_t flags)
{
    if (watch_is_own(session, item)) {
        item->task->flags |= flags & WATCH_RELEASE ? TASK_RELEASE : 0;
        save_item(core, item);
        return DROVER_OK;
    }
    struct watch *watch = watch_find(session, item);
    if (watch != NULL) {
        watch->flags |= flags & WATCH_RELEASE;
        return DROVER_OK;
    }
    if (item->unit->flags & UNIT_DROPPED) {
        return DROVER_UNKNOWN; /* an element whose result is not kept any more */
    }
    struct item own = *item;
    struct drv_list *list = item_own(core, &own) ? watch_list(core, &own) : NULL;
    watch = list == NULL ? NULL : drv_slab_alloc(&core->watch_slab);
    if (watch == NULL) {
        return DROVER_NOMEM;
    }
    core->memory_bytes += sizeof *watch;
    watch->serial = ++core->watch_serial;
    watch->session = session;
    watch->task = item->task;
    watch->index = item->index;
    watch->flags = flags;
    drv_list_init(&watch->in_session);
    drv_list_push_back(list, &watch->in_unit);
    drv_list_push_back(&session->watches, &watch->all);
    bool is_array = watch_is_on_array(watch);
    if (unit_is_terminal(item->unit) || (is_array && item->task->array->ended > 0)) {
        watch_make_ready(core, watch);
    }
    session->unread += watch_unread(watch);
    return DROVER_OK;
}

drover_status watch_add_lost(struct core *core, struct session *session,
                             const struct drv_target *target)
{
    struct loss *loss = core_alloc(core, sizeof *loss);
    if (loss == NULL) {
        return DROVER_NOMEM;
    }
    loss->id = target->id;
    loss->index = target->index;
    loss->level = target->level;
    drv_list_push_back(&session->ready_losses, &loss->link);
    session->unread++;
    session_touch(core, session);
    return DROVER_OK;
}

/* A watcher has it, or is gone: forget the task if that was asked for and nobody else waits. */
static void task_release_if_done(struct core *core, struct task *task, bool release)
{
    release = release || (task->flags & TASK_DISCARD) != 0;
    if (release && task_is_pinned(task)) {
        task_discard_later(core, task);
        return;
    }
    if (release && unit_is_terminal(&task->unit) && !watch_is_pending(task)) {
        task_forget(core, task);
    }
}

void watch_remove(struct core *core, struct session *session, const struct item *item)
{
    if (watch_is_own(session, item)) {
        own_drop(core, item->task);
        save_item(core, item);
    }
    struct watch *watch = watch_find(session, item);
    if (watch != NULL) {
        watch_free(core, watch);
    }
    task_release_if_done(core, item->task, false);
}

/* --- when things end --------------------------------------------------------------------- */

void watch_ended(struct core *core, const struct item *item)
{
    bool is_array = item->index == DROVER_INDEX_NONE && task_is_array(item->task);
    if (item->index == DROVER_INDEX_NONE && !is_array) {
        own_ended(core, item->task);
    }
    struct drv_list *list = is_array                   ? &item->task->array->watches
                            : item->unit->more == NULL ? NULL
                                                       : &item->unit->more->watches;
    if (list == NULL) {
        return;
    }
    DRV_LIST_EACH(link, list)
    {
        struct watch *watch = DRV_LIST_ITEM(link, struct watch, in_unit);
        watch->session->unread++;
        watch_make_ready(core, watch);
    }
}

void watch_array(struct core *core, struct array *array, uint32_t count)
{
    DRV_LIST_EACH(link, &array->watches)
    {
        struct watch *watch = DRV_LIST_ITEM(link, struct watch, in_unit);
        watch->session->unread += count;
        watch_make_ready(core, watch);
    }
}

static void watches_free(struct core *core, struct drv_list *list)
{
    struct drv_list *link;
    while ((link = drv_list_first(list)) != NULL) {
        watch_free(core, DRV_LIST_ITEM(link, struct watch, in_unit));
    }
}

void watch_drop_unit(struct core *core, struct unit *unit)
{
    if (unit->more != NULL) {
        watches_free(core, &unit->more->watches);
    }
}

void watch_drop_task(struct core *core, struct task *task)
{
    own_drop(core, task);
    watch_drop_unit(core, &task->unit);
    if (task_is_array(task)) {
        watches_free(core, &task->array->watches);
    }
}

bool watch_is_pending(const struct task *task)
{
    if (task->flags & TASK_READY || task_is_pinned(task)) {
        return true;
    }
    if (task_is_array(task) && !drv_list_is_empty(&task->array->watches)) {
        return true;
    }
    return task->unit.more != NULL && !drv_list_is_empty(&task->unit.more->watches);
}

void watch_end_session(struct core *core, struct session *session)
{
    struct drv_list *link;
    while ((link = drv_list_first(&session->ready_tasks)) != NULL) {
        struct task *task = DRV_CONTAINER_OF(link, struct task, place.link);
        own_drop(core, task);
        task_release_if_done(core, task, false);
    }
    while ((link = drv_list_first(&session->watches)) != NULL) {
        struct watch *watch = DRV_LIST_ITEM(link, struct watch, all);
        struct task *task = watch->task;
        watch_free(core, watch);
        task_release_if_done(core, task, false);
    }
    while ((link = drv_list_pop_front(&session->ready_losses)) != NULL) {
        session->unread--;
        core_free(core, DRV_LIST_ITEM(link, struct loss, link), sizeof(struct loss));
    }
    DRV_ASSERT(session->unread == 0);
}

/* --- settlement -------------------------------------------------------------------------- */

/* Whether what was settled goes with that. Of what has failed its retention says when, unless
 * none was asked for: it can be looked at, and done again. */
static bool is_released(const struct task *task, uint8_t flags)
{
    bool is_asked = (flags & WATCH_RELEASE) || (task->flags & TASK_RELEASE);
    bool has_failed = task->unit.state == DROVER_STATE_FAILED;
    return is_asked && (!has_failed || task->spec->numbers.keep_us == 0);
}

/* What did not succeed stays as long as its array. */
static void element_settled(struct core *core, struct array *array, uint32_t index)
{
    if (array_item(array, index).unit->state == DROVER_STATE_SUCCEEDED) {
        element_drop_result(core, array, index);
    }
}

static void settle_tasks(struct core *core, struct session *session, struct flight *flight)
{
    struct drv_list *link;
    while ((link = drv_list_pop_front(&flight->sent)) != NULL) {
        struct task *task = DRV_CONTAINER_OF(link, struct task, place.link);
        task->flags &= (uint8_t) ~(TASK_READY | TASK_WATCHED);
        session->unread--;
        struct item item = item_of_task(task);
        save_item(core, &item);
        task_release_if_done(core, task, is_released(task, 0));
    }
}

static void settle_watches(struct core *core, struct flight *flight)
{
    struct drv_list *link;
    while ((link = drv_list_first(&flight->watches)) != NULL) {
        struct watch *watch = DRV_LIST_ITEM(link, struct watch, in_session);
        struct task *task = watch->task;
        uint32_t index = watch->index;
        uint8_t flags = watch->flags;
        watch_free(core, watch);
        if (index == DROVER_INDEX_NONE) {
            task_release_if_done(core, task, is_released(task, flags));
        } else if (is_released(task, flags)) {
            element_settled(core, task->array, index);
        }
    }
}

/* The watch that a part was sent for; NULL when it is gone, though there may be another one on
 * the same array. */
static struct watch *piece_watch(const struct core *core, const struct session *session,
                                 const struct piece *piece)
{
    struct task *task = task_find(core, &piece->id);
    if (task == NULL || !task_is_array(task)) {
        return NULL;
    }
    struct item item = item_of_task(task);
    struct watch *watch = watch_find(session, &item);
    return watch != NULL && watch->serial == piece->serial ? watch : NULL;
}

static void settle_piece(struct core *core, struct session *session, const struct piece *piece)
{
    struct watch *watch = piece_watch(core, session, piece);
    if (watch == NULL) {
        return;
    }
    struct task *task = watch->task;
    bool is_only = task->array->watches.next->next == &task->array->watches;
    bool release = is_released(task, watch->flags);
    for (; watch->settled < piece->upto; watch->settled++) {
        session->unread--;
        if (release && is_only) {
            element_settled(core, task->array, array_ended_at(task->array, watch->settled));
        }
    }
    if (piece->has_last) {
        watch_free(core, watch);
        task_release_if_done(core, task, release);
    } else if (watch->sent < task->array->ended || unit_is_terminal(&task->unit)) {
        watch_make_ready(core, watch);
    }
}

static void flight_drop_losses(struct core *core, struct session *session,
                               struct flight *flight)
{
    struct drv_list *link;
    while ((link = drv_list_pop_front(&flight->losses)) != NULL) {
        session->unread--;
        core_free(core, DRV_LIST_ITEM(link, struct loss, link), sizeof(struct loss));
    }
}

void watch_settle(struct core *core, struct session *session, struct flight *flight)
{
    session->items_in_flight -= flight->items;
    settle_tasks(core, session, flight);
    settle_watches(core, flight);
    flight_drop_losses(core, session, flight);
    struct drv_list *link;
    while ((link = drv_list_pop_front(&flight->pieces)) != NULL) {
        struct piece *piece = DRV_LIST_ITEM(link, struct piece, link);
        settle_piece(core, session, piece);
        core_free(core, piece, sizeof *piece);
    }
}

/* Everything in `from` to the front of `to`, in order. */
static void splice_front(struct drv_list *to, struct drv_list *from)
{
    drv_list_splice_back(from, to);
    drv_list_splice_back(to, from);
}

void watch_revert(struct core *core, struct session *session, struct flight *flight)
{
    session->items_in_flight -= flight->items;
    splice_front(&session->ready_tasks, &flight->sent);
    splice_front(&session->ready_watches, &flight->watches);
    splice_front(&session->ready_losses, &flight->losses);
    struct drv_list *link;
    while ((link = drv_list_pop_front(&flight->pieces)) != NULL) {
        struct piece *piece = DRV_LIST_ITEM(link, struct piece, link);
        struct watch *watch = piece_watch(core, session, piece);
        if (watch != NULL) {
            watch->sent = watch->settled;
            watch->last_sent = false;
            watch_make_ready(core, watch);
        }
        core_free(core, piece, sizeof *piece);
    }
}
