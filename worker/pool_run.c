/*
 * pool_run.c: attempts: taken, given back, stopped, and what time brings.
 */
#include "bound.h"
#include "lengths.h"
#include "need.h"
#include "pieces.h"
#include "pool_private.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { META_MAX = 1024 };

static uint64_t clamped_us(uint64_t ms)
{
    return ms < (uint64_t)INT64_MAX / 4000U ? ms * 1000U : (uint64_t)INT64_MAX / 4U;
}

/* ---- making and forgetting ------------------------------------------------------------------
 */

static bool has_name(const struct pool_type_entry *type, struct drv_view name)
{
    return name.len == type->name_len && name.len > 0 &&
           memcmp(name.bytes, type->name, name.len) == 0;
}

/* Its number in *out_type; often it is the one of the last time. */
static bool find_type(struct pool *pool, struct drv_view name, uint32_t *out_type)
{
    *out_type = pool->last_type;
    if (pool->last_type < pool->type_count && has_name(&pool->types[*out_type], name)) {
        return true;
    }
    size_t low = 0;
    size_t high = pool->type_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const char *other = pool->types[pool->sorted[middle]].name;
        size_t other_len = pool->types[pool->sorted[middle]].name_len;
        size_t len = name.len < other_len ? name.len : other_len;
        int order = len == 0 ? 0 : memcmp(name.bytes, other, len);
        if (order == 0 && name.len == other_len) {
            *out_type = pool->last_type = pool->sorted[middle];
            return true;
        }
        if (order < 0 || (order == 0 && name.len < other_len)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return false;
}

/* What has its place in the books; it may be another's. */
static struct run *run_in_place(const struct pool *pool, uint64_t token)
{
    uint32_t place = (uint32_t)token;
    return place < pool->runs_capacity ? pool->runs[place] : NULL;
}

static struct run *find_run(const struct pool *pool, uint64_t token)
{
    struct run *run = run_in_place(pool, token);
    return run != NULL && run->token == token ? run : NULL;
}

static drover_status reserve_place(struct pool *pool, uint64_t token)
{
    size_t place = (uint32_t)token;
    size_t capacity = pool->runs_capacity == 0 ? 64 : pool->runs_capacity;
    if (place < pool->runs_capacity) {
        return DROVER_OK;
    }
    while (capacity <= place) {
        capacity *= 2;
    }
    struct run **runs = realloc(pool->runs, capacity * sizeof(*runs));
    if (runs == NULL) {
        return DROVER_NOMEM;
    }
    memset(runs + pool->runs_capacity, 0, (capacity - pool->runs_capacity) * sizeof(*runs));
    pool->runs = runs;
    pool->runs_capacity = capacity;
    return DROVER_OK;
}

static void take_value(struct pool_value *target, const struct pool_value *source,
                       char content_type[DROVER_CONTENT_TYPE_MAX + 1])
{
    *target = *source;
    target->data = drv_data_ref(source->data);
    if (source->content_type.len > 0) {
        memcpy(content_type, source->content_type.bytes, source->content_type.len);
    }
    content_type[source->content_type.len] = '\0';
    target->content_type = drv_view_of(content_type, source->content_type.len);
}

static drover_status check_value(const struct pool_value *value)
{
    if (value->view.len > POOL_VALUE_MAX) {
        return DROVER_TOO_BIG;
    }
    bool is_bad = value->content_type.len > DROVER_CONTENT_TYPE_MAX ||
                  (value->data == NULL && value->view.len > 0);
    return is_bad ? DROVER_INVALID : DROVER_OK;
}

static drover_status check_attempt(const struct pool *pool, const struct pool_attempt *attempt)
{
    if (attempt->token == 0 || (uint32_t)attempt->token >= POOL_PLACES_MAX) {
        return DROVER_INVALID;
    }
    if (attempt->meta.len > META_MAX || attempt->parent_count > POOL_PARENTS_MAX ||
        attempt->needs.len > NEED_BYTES_MAX) {
        return DROVER_TOO_BIG;
    }
    if (run_in_place(pool, attempt->token) != NULL) {
        return DROVER_CONFLICT;
    }
    if (drv_data_is_pieces(attempt->shared.data)) {
        return DROVER_INVALID;
    }
    drover_status status = check_value(&attempt->payload);
    return status ? status : check_value(&attempt->shared);
}

/* What a range is made of is known to add up when it comes from the codec; an executor would
 * end its process over one that does not. */
static drover_status check_range(const struct pool *pool, const struct pool_attempt *attempt,
                                 uint32_t handler)
{
    struct drv_str lengths = {(const char *)attempt->lengths.view.bytes,
                              attempt->lengths.view.len};
    if (attempt->count == 0) {
        return DROVER_OK;
    }
    if (!pool_type_at(pool, handler).takes_ranges) {
        return DROVER_UNSUPPORTED;
    }
    bool is_plain = attempt->meta.len == 0 && attempt->parent_count == 0 &&
                    attempt->timeout_ms == 0 && drv_bounds_are_none(&attempt->limits) &&
                    !attempt->is_alone && attempt->payload.content_type.len == 0 &&
                    !drv_data_is_pieces(attempt->payload.data);
    bool adds_up = attempt->count >= 2 && attempt->count <= LANE_RANGE_MAX &&
                   attempt->lengths.data != NULL &&
                   attempt->index <= DROVER_INDEX_NONE - attempt->count &&
                   drv_lengths_count(lengths, attempt->payload.view.len) == attempt->count;
    return is_plain && adds_up ? DROVER_OK : DROVER_INVALID;
}

/* ---- the limit of a type --------------------------------------------------------------------
 */

static void push_pending(struct run *run)
{
    drv_list_push_back(&run->crew->pending, &run->link);
    run->crew->pending_count++;
}

/* As many runs of a type are pending, placed or started as it may have; the others wait. */
static void admit(struct pool *pool, struct run *run)
{
    struct pool_type_entry *type = &pool->types[run->handler];
    if (type->concurrency != 0 && type->admitted >= type->concurrency) {
        drv_list_push_back(&type->waiting, &run->link);
        return;
    }
    type->admitted++;
    run->is_admitted = true;
    push_pending(run);
}

/* One of them is gone: the next one may come. */
static void admit_next(struct pool *pool, struct run *gone)
{
    struct pool_type_entry *type = &pool->types[gone->handler];
    if (!gone->is_admitted) {
        return;
    }
    gone->is_admitted = false;
    type->admitted--;
    struct drv_list *link = type->admitted < type->concurrency
                                ? drv_list_pop_front(&type->waiting)
                                : NULL;
    if (link != NULL) {
        struct run *run = DRV_LIST_ITEM(link, struct run, link);
        type->admitted++;
        run->is_admitted = true;
        push_pending(run);
    }
}

void pool_run_leave(struct pool *pool, struct run *run)
{
    (void)pool;
    drv_list_remove(&run->link);
    run->crew->pending_count -= run->is_admitted ? 1 : 0;
}

void pool_run_free(struct pool *pool, struct run *run)
{
    admit_next(pool, run);
    pool->runs[(uint32_t)run->token] = NULL;
    pool->run_count--;
    drv_list_remove(&run->limited);
    drv_heap_remove(&pool->timers, &run->timer);
    drv_data_unref(&run->meta);
    drv_data_unref(&run->parents);
    drv_data_unref(&run->needs);
    drv_data_unref(&run->payload.data);
    drv_data_unref(&run->shared.data);
    drv_data_unref(&run->lengths_data);
    drv_slab_free(&pool->run_slab, run);
}

/* What must run alone has no neighbours in its process. */
static struct crew *crew_of(struct pool *pool, const struct pool_attempt *attempt,
                            uint32_t handler)
{
    enum pool_model model = pool->types[handler].model;
    bool has_neighbours = pool_crew(pool, model)->threads > 1;
    bool needs_process = model != POOL_MODEL_EXEC && bound_needs_process(&attempt->limits);
    bool is_alone = (attempt->is_alone && has_neighbours) || needs_process;
    return pool_crew(pool, is_alone ? POOL_MODEL_FORK : model);
}

static drover_status new_run(struct pool *pool, const struct pool_attempt *attempt,
                             uint32_t handler, struct run **out_run)
{
    struct run *run = drv_slab_alloc(&pool->run_slab);
    if (run == NULL) {
        return DROVER_NOMEM;
    }
    drv_list_init(&run->link);
    drv_list_init(&run->limited);
    drv_heap_node_init(&run->timer);
    run->token = attempt->token;
    drover_status status = DROVER_OK;
    if (attempt->meta.len > 0) {
        status = drv_data_copy(attempt->meta.bytes, attempt->meta.len, &run->meta);
    }
    if (!status && attempt->parent_count > 0) {
        status = drv_data_copy((const uint8_t *)attempt->parents,
                               attempt->parent_count * sizeof(*attempt->parents),
                               &run->parents);
    }
    if (!status && attempt->needs.len > 0) {
        status = drv_data_copy(attempt->needs.bytes, attempt->needs.len, &run->needs);
    }
    if (!status) { /* so that setting a timer cannot fail later */
        status = drv_heap_reserve(&pool->timers, pool->run_count + 1);
    }
    if (!status) {
        status = reserve_place(pool, run->token);
    }
    if (status) {
        drv_data_unref(&run->meta);
        drv_data_unref(&run->parents);
        drv_data_unref(&run->needs);
        drv_slab_free(&pool->run_slab, run);
        return status;
    }
    pool->runs[(uint32_t)run->token] = run;
    pool->run_count++;
    run->id = attempt->id;
    run->index = attempt->index;
    run->attempt = attempt->attempt;
    run->handler = handler;
    run->crew = crew_of(pool, attempt, handler);
    run->timeout_ms = attempt->timeout_ms;
    run->term_ms = attempt->term_ms;
    run->kill_ms = attempt->kill_ms;
    run->limits = attempt->limits;
    run->due_us = run->kill_at_us = INT64_MAX;
    run->count = 1;
    if (attempt->count > 0) {
        run->is_range = true;
        run->count = attempt->count;
        run->lengths_data = drv_data_ref(attempt->lengths.data);
        run->lengths = attempt->lengths.view;
    }
    take_value(&run->payload, &attempt->payload, run->payload_type);
    take_value(&run->shared, &attempt->shared, run->shared_type);
    *out_run = run;
    return DROVER_OK;
}

/* ---- timers of a run ------------------------------------------------------------------------
 */

void pool_run_set_timer(struct pool *pool, struct run *run, enum run_step step, int64_t due_us)
{
    run->step = step;
    run->due_us = due_us;
    if (drv_heap_node_is_in(&run->timer)) {
        drv_heap_update(&pool->timers, &run->timer);
    } else if (due_us != INT64_MAX) {
        drover_status status = drv_heap_insert(&pool->timers, &run->timer);
        DRV_ASSERT(status == DROVER_OK); /* room was reserved */
    }
}

/* ---- stopping -----------------------------------------------------------------------------
 */

void pool_run_stop(struct pool *pool, struct run *run, enum run_stop why, uint64_t term_ms,
                   uint64_t kill_ms, int64_t now_us)
{
    struct seat *seat = run->seat;
    bool is_exec = seat->proc->crew->model->ends_itself;
    bool is_first = run->stop == STOP_NONE;
    int64_t term_at_us = now_us + (int64_t)clamped_us(term_ms);
    int64_t kill_at_us = is_exec ? now_us + (int64_t)clamped_us(kill_ms) +
                                       POOL_BACKSTOP_MS * INT64_C(1000)
                                 : term_at_us + (int64_t)clamped_us(kill_ms);
    run->stop = why;
    if (kill_at_us < run->kill_at_us) {
        run->kill_at_us = kill_at_us;
        atomic_store(&seat->lane.shared->cancel_kill_ms, kill_ms);
    }
    if (is_first) {
        atomic_store(&seat->lane.shared->cancel, run->serial);
        lane_signal(seat->lane.wake_fd);
        pool_take_back(pool, seat, now_us);
        pool_run_set_timer(pool, run, is_exec ? STEP_KILL : STEP_TERM,
                           is_exec ? run->kill_at_us : term_at_us);
    } else if (run->step == STEP_TERM && term_at_us < run->due_us) {
        pool_run_set_timer(pool, run, STEP_TERM, term_at_us);
    } else if (run->step == STEP_KILL) {
        pool_run_set_timer(pool, run, STEP_KILL, run->kill_at_us);
    }
}

static void drop(struct pool *pool, struct run *run)
{
    run->state = RUN_DROPPED;
    drv_list_push_back(&pool->dropped, &run->link);
    pool->has_work = true;
}

/* Gets a run back that nobody has taken: true, and it is in no list. */
static bool reclaim(struct pool *pool, struct run *run, int64_t now_us)
{
    if (run->state == RUN_PENDING) {
        pool_run_leave(pool, run);
        return true;
    }
    return run->seat != NULL && pool_revoke(pool, run, now_us);
}

drover_status pool_submit(struct pool *pool, const struct pool_attempt *attempt)
{
    drover_status status = pool->is_broken ? DROVER_CLOSED : check_attempt(pool, attempt);
    uint32_t handler;
    struct run *run = NULL;
    if (!status && !find_type(pool, attempt->type, &handler)) {
        status = DROVER_UNKNOWN;
    }
    if (!status) {
        status = check_range(pool, attempt, handler);
    }
    if (!status) {
        status = new_run(pool, attempt, handler, &run);
    }
    if (status) {
        return status;
    }
    admit(pool, run);
    pool->must_place = true;
    return DROVER_OK;
}

/* Does not let STARTED wait. */
static void hurry(struct pool *pool, struct run *run, int64_t now_us)
{
    if (run->state == RUN_PLACED) {
        run->is_hurried = true;
        drv_list_remove(&run->seat->watch);
        run->seat->watch_at_us = now_us;
        drv_list_push_front(&pool->watched, &run->seat->watch);
        pool->has_work = true;
    }
}

drover_status pool_recall(struct pool *pool, uint64_t token, int64_t now_us)
{
    struct run *run = find_run(pool, token);
    if (run == NULL) {
        return DROVER_UNKNOWN;
    }
    if (run->state == RUN_DROPPED) {
        drv_list_remove(&run->link);
    } else if (!reclaim(pool, run, now_us)) {
        hurry(pool, run, now_us);
        return DROVER_BUSY;
    }
    pool_run_free(pool, run);
    pool->must_place = true;
    return DROVER_OK;
}

/* Back to the front of those that wait, without those that are recalled. */
static void wait_again(struct pool *pool, struct run *run, uint32_t keep)
{
    pool_range_shorten(run, keep);
    run->state = RUN_PENDING;
    if (run->is_admitted) {
        drv_list_push_front(&run->crew->pending, &run->link);
        run->crew->pending_count++;
    } else {
        drv_list_push_front(&pool->types[run->handler].waiting, &run->link);
    }
    pool->must_place = true;
}

drover_status pool_recall_range(struct pool *pool, uint64_t token, uint32_t index,
                                int64_t now_us, uint32_t *out_index)
{
    struct run *run = find_run(pool, token);
    if (run == NULL) {
        return DROVER_UNKNOWN;
    }
    uint32_t keep = index > run->index ? index - run->index : 0;
    if (!run_is_many(run) || keep == 0) {
        uint32_t first = run->index;
        drover_status status = keep == 0 ? pool_recall(pool, token, now_us) : DROVER_BUSY;
        if (status != DROVER_BUSY || !run_is_many(run)) {
            *out_index = first;
            return status;
        }
    } else if (keep < run->count && reclaim(pool, run, now_us)) {
        wait_again(pool, run, keep);
        *out_index = index;
        return DROVER_OK;
    }
    /* It runs: all that was not claimed, but for one that may be between two of them. */
    uint32_t kept = run->count;
    keep = keep > run->told + 1 ? keep : run->told + 1;
    if (keep < run->count && lane_range_cut(&run->seat->lane.shared->range, run->serial,
                                            run->count, keep, &kept) != DROVER_OK) {
        kept = run->count;
    }
    if (run->index + kept > index) { /* some of them have started */
        hurry(pool, run, now_us);
    }
    bool is_less = kept < run->count;
    run->count = kept;
    *out_index = run->index + kept;
    return is_less ? DROVER_OK : DROVER_BUSY;
}

drover_status pool_abort(struct pool *pool, uint64_t token, uint64_t term_ms, uint64_t kill_ms,
                         int64_t now_us)
{
    struct run *run = find_run(pool, token);
    if (run == NULL) {
        return DROVER_UNKNOWN;
    }
    if (run->state == RUN_DROPPED) {
        return DROVER_OK;
    }
    if (run_is_many(run)) {
        return DROVER_NOT_READY;
    }
    if (reclaim(pool, run, now_us)) {
        drop(pool, run);
        pool->must_place = true;
    } else {
        pool_run_stop(pool, run, STOP_CANCEL, term_ms, kill_ms, now_us);
    }
    return DROVER_OK;
}

/* ---- what time brings -----------------------------------------------------------------------
 */

void pool_run_started(struct pool *pool, struct seat *seat, struct run *run,
                      const struct pool_sink *sink, int64_t now_us)
{
    /* The executor knows best, as far as it can be believed: it may have begun in this turn. */
    int64_t taken_at_us = atomic_load(&seat->lane.shared->taken_at_us);
    if (taken_at_us > run->started_us && !run->is_range) {
        run->started_us = taken_at_us < now_us ? taken_at_us : now_us;
    }
    run->state = RUN_STARTED;
    drv_list_remove(&seat->watch);
    pool_take_back(pool, seat, now_us);
    if (run->timeout_ms != 0 && run->stop == STOP_NONE) {
        pool_run_set_timer(pool, run, STEP_TIMEOUT,
                           run->started_us + (int64_t)clamped_us(run->timeout_ms));
    }
    if (!drv_bounds_are_none(&run->limits)) {
        pool_limit_begin(pool, run, now_us);
    }
    struct pool_event event = {.kind = POOL_STARTED, .token = run->token};
    sink->on_event(sink->context, &event);
}

static void look_at_watched(struct pool *pool, const struct pool_sink *sink, int64_t now_us)
{
    for (struct drv_list *link = drv_list_first(&pool->watched); link != NULL;
         link = drv_list_first(&pool->watched)) {
        struct seat *seat = DRV_LIST_ITEM(link, struct seat, watch);
        if (seat->watch_at_us > now_us) {
            return;
        }
        struct run *run = pool_head(seat);
        if (run != NULL && lane_is_taken(&seat->lane, run->claim, run->serial)) {
            if (run->is_range) {
                pool_range_look(pool, seat, run, sink, now_us);
            } else {
                pool_run_started(pool, seat, run, sink, now_us);
            }
        } else {
            pool_watch(pool, seat, now_us);
        }
    }
}

/* From here on the process may die at any moment, finished or not. */
static void terminate(struct pool *pool, struct run *run, int64_t now_us)
{
    struct proc *proc = run->seat->proc;
    proc->is_doomed = true;
    pool_take_back_all(pool, proc, now_us);
    pool_proc_settle(pool, proc, now_us);
    if (zygote_signal(&pool->zygote, proc->number, proc->pid, SIGTERM) == DROVER_BUSY) {
        pool_run_set_timer(pool, run, STEP_TERM, now_us + POOL_RETRY_US);
    } else {
        pool_run_set_timer(pool, run, STEP_KILL, run->kill_at_us);
    }
}

static void take_step(struct pool *pool, struct run *run, int64_t now_us)
{
    switch (run->step) {
    case STEP_TIMEOUT:
        pool_run_stop(pool, run, STOP_TIMEOUT, run->term_ms, run->kill_ms, now_us);
        return;
    case STEP_TERM:
        terminate(pool, run, now_us);
        return;
    case STEP_KILL:
        drv_heap_remove(&pool->timers, &run->timer);
        pool_kill(pool, run->seat->proc);
        return;
    }
}

void pool_run_timers(struct pool *pool, const struct pool_sink *sink, int64_t now_us)
{
    look_at_watched(pool, sink, now_us);
    for (struct drv_heap_node *node = drv_heap_min(&pool->timers); node != NULL;
         node = drv_heap_min(&pool->timers)) {
        struct run *run = DRV_CONTAINER_OF(node, struct run, timer);
        if (run->due_us > now_us) {
            return;
        }
        take_step(pool, run, now_us);
    }
}

void pool_report_dropped(struct pool *pool, const struct pool_sink *sink)
{
    for (struct drv_list *link = drv_list_pop_front(&pool->dropped); link != NULL;
         link = drv_list_pop_front(&pool->dropped)) {
        struct run *run = DRV_LIST_ITEM(link, struct run, link);
        struct pool_event event = {.kind = POOL_FINISHED, .token = run->token};
        event.finished.outcome = POOL_CANCELLED;
        event.finished.error_kind = DROVER_ERROR_CANCELLED;
        event.finished.text = drv_view_text("cancelled before it started");
        event.finished.exit_code = -1;
        pool_run_free(pool, run); /* its token is free for the callback */
        sink->on_event(sink->context, &event);
    }
}
