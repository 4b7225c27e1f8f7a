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

static const uint32_t *find_type(const struct pool *pool, struct drv_view name)
{
    size_t low = 0;
    size_t high = pool->type_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const char *other = pool->types[pool->sorted[middle]].name;
        size_t other_len = strlen(other);
        size_t len = name.len < other_len ? name.len : other_len;
        int order = len == 0 ? 0 : memcmp(name.bytes, other, len);
        if (order == 0 && name.len == other_len) {
            return &pool->sorted[middle];
        }
        if (order < 0 || (order == 0 && name.len < other_len)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

static uint64_t token_hash(const struct pool *pool, uint64_t token)
{
    return drv_table_hash(&pool->runs, &token, sizeof(token));
}

static struct run *find_run(const struct pool *pool, uint64_t token)
{
    return drv_table_find(&pool->runs, token_hash(pool, token), &token);
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
    if (attempt->token == 0) {
        return DROVER_INVALID;
    }
    if (attempt->meta.len > META_MAX) {
        return DROVER_TOO_BIG;
    }
    if (find_run(pool, attempt->token) != NULL) {
        return DROVER_CONFLICT;
    }
    drover_status status = check_value(&attempt->payload);
    return status ? status : check_value(&attempt->shared);
}

void pool_run_free(struct pool *pool, struct run *run)
{
    drv_table_remove_entry(&pool->runs, token_hash(pool, run->token), run);
    drv_heap_remove(&pool->timers, &run->timer);
    drv_data_unref(&run->meta);
    drv_data_unref(&run->payload.data);
    drv_data_unref(&run->shared.data);
    free(run);
}

static drover_status new_run(struct pool *pool, const struct pool_attempt *attempt,
                             uint32_t handler, struct run **out_run)
{
    struct run *run = calloc(1, sizeof(*run));
    if (run == NULL) {
        return DROVER_NOMEM;
    }
    drv_list_init(&run->link);
    drv_heap_node_init(&run->timer);
    run->token = attempt->token;
    drover_status status = DROVER_OK;
    if (attempt->meta.len > 0) {
        status = drv_data_copy(attempt->meta.bytes, attempt->meta.len, &run->meta);
    }
    if (!status) { /* so that setting a timer cannot fail later */
        status = drv_heap_reserve(&pool->timers, drv_table_count(&pool->runs) + 1);
    }
    if (!status) {
        status = drv_table_insert(&pool->runs, token_hash(pool, run->token), run);
    }
    if (status) {
        drv_data_unref(&run->meta);
        free(run);
        return status;
    }
    run->id = attempt->id;
    run->index = attempt->index;
    run->attempt = attempt->attempt;
    run->handler = handler;
    run->timeout_ms = attempt->timeout_ms;
    run->term_ms = attempt->term_ms;
    run->kill_ms = attempt->kill_ms;
    run->due_us = run->kill_at_us = INT64_MAX;
    take_value(&run->payload, &attempt->payload, run->payload_type);
    take_value(&run->shared, &attempt->shared, run->shared_type);
    *out_run = run;
    return DROVER_OK;
}

static size_t class_of(const struct pool *pool, const struct run *run)
{
    return pool_class(pool->types[run->handler].model);
}

static void leave_pending(struct pool *pool, struct run *run)
{
    drv_list_remove(&run->link);
    pool->pending_count[class_of(pool, run)]--;
}

/* Back to the front of the pending ones. */
static void requeue(struct pool *pool, struct run *run)
{
    run->state = RUN_PENDING;
    run->seat = NULL;
    drv_list_push_front(&pool->pending[class_of(pool, run)], &run->link);
    pool->pending_count[class_of(pool, run)]++;
}

/* ---- timers of a run ------------------------------------------------------------------------
 */

static void set_timer(struct pool *pool, struct run *run, enum run_step step, int64_t due_us)
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

/* ---- placing ------------------------------------------------------------------------------
 */

static uint64_t expected_us(const struct pool *pool, const struct run *run)
{
    double mean_us = pool->types[run->handler].mean_us;
    if (mean_us <= 0 || mean_us > POOL_BACKLOG_US) {
        return POOL_BACKLOG_US; /* unknown or long: alone */
    }
    return mean_us < 1 ? 1 : (uint64_t)mean_us;
}

static struct run *head_of(const struct seat *seat)
{
    struct drv_list *link = drv_list_first(&seat->placed);
    return link == NULL ? NULL : DRV_LIST_ITEM(link, struct run, link);
}

/* Whether a busy executor takes one more without making it wait noticeably. */
static bool takes_more(const struct pool *pool, const struct seat *seat, const struct run *run)
{
    const struct run *head = head_of(seat);
    return pool_class(seat->model) == class_of(pool, run) &&
           seat->state == POOL_EXECUTOR_BUSY && !seat->is_doomed && head != NULL &&
           head->state != RUN_STARTED && seat->placed_count < POOL_DEPTH_MAX &&
           seat->backlog_us + expected_us(pool, run) <= POOL_BACKLOG_US;
}

static struct seat *pick_seat(struct pool *pool, const struct run *run)
{
    struct drv_list *idle = drv_list_first(&pool->idle[class_of(pool, run)]);
    if (idle != NULL && pool->busy_count < pool->slots) {
        return DRV_LIST_ITEM(idle, struct seat, idle);
    }
    if (expected_us(pool, run) >= POOL_BACKLOG_US) {
        return NULL;
    }
    DRV_ASSERT(pool->seat_count > 0); /* or the run had no type */
    size_t looks = pool->seat_count < POOL_LOOKS_MAX ? pool->seat_count : POOL_LOOKS_MAX;
    for (size_t i = 0; i < looks; i++) {
        struct seat *seat = &pool->seats[(pool->next_look + i) % pool->seat_count];
        if (takes_more(pool, seat, run)) {
            pool->next_look = (size_t)seat->number; /* fill one before the next is woken */
            return seat;
        }
    }
    pool->next_look = (pool->next_look + looks) % pool->seat_count;
    return NULL;
}

static drover_status send_shared(struct seat *seat, const struct run *run)
{
    if (run->shared.data == NULL ||
        (seat->has_shared && drover_id_equal(&seat->shared_id, &run->id))) {
        return DROVER_OK;
    }
    struct record_shared head = {.kind = RECORD_SHARED};
    struct lane_value value = {.bytes = run->shared.view,
                               .content_type = run->shared.content_type};
    struct lane_record record = {
        .head = &head, .head_len = sizeof(head), .slot = &head.value, .value = &value};
    drover_status status = lane_send(&seat->lane, &record);
    if (!status) {
        seat->has_shared = true;
        seat->shared_id = run->id;
    }
    return status;
}

static drover_status send_task(struct seat *seat, const struct run *run)
{
    struct drv_view meta = drv_data_view(run->meta);
    struct record_task head = {.kind = RECORD_TASK,
                               .claim = run->claim,
                               .serial = run->serial,
                               .id = run->id,
                               .index = run->index,
                               .attempt = run->attempt,
                               .handler = run->handler,
                               .has_shared = run->shared.data != NULL ? 1 : 0,
                               .timeout_ms = run->timeout_ms,
                               .kill_ms = run->kill_ms,
                               .meta_len = (uint32_t)meta.len};
    struct lane_value value = {.bytes = run->payload.view,
                               .content_type = run->payload.content_type,
                               .is_nil = run->payload.data == NULL};
    struct lane_record record = {.head = &head,
                                 .head_len = sizeof(head),
                                 .parts = &meta,
                                 .count = 1,
                                 .slot = &head.payload,
                                 .value = &value};
    return lane_send(&seat->lane, &record);
}

static uint32_t free_claim(const struct seat *seat)
{
    uint32_t claim = 0;
    while (seat->claims[claim] != NULL) { /* placed_count < POOL_DEPTH_MAX */
        claim++;
    }
    return claim;
}

static drover_status send_run(struct pool *pool, struct seat *seat, struct run *run)
{
    run->claim = free_claim(seat);
    run->serial = ++pool->serial;
    lane_place(&seat->lane, run->claim, run->serial);
    drover_status status = send_shared(seat, run);
    if (!status) {
        status = send_task(seat, run);
    }
    if (status) {
        (void)lane_claim(&seat->lane, run->claim, run->serial, LANE_REVOKED);
    } else if (ring_writer_must_wake(&seat->lane.out)) {
        lane_signal(seat->lane.wake_fd);
    }
    return status;
}

static void watch(struct pool *pool, struct seat *seat, int64_t now_us)
{
    drv_list_remove(&seat->watch);
    seat->watch_at_us = now_us + POOL_WATCH_US;
    drv_list_push_back(&pool->watched, &seat->watch);
}

static void sit_down(struct pool *pool, struct seat *seat, struct run *run, int64_t now_us)
{
    leave_pending(pool, run);
    run->state = RUN_PLACED;
    run->seat = seat;
    run->expected_us = expected_us(pool, run);
    run->started_us = now_us;
    seat->claims[run->claim] = run;
    seat->backlog_us += run->expected_us;
    drv_list_push_back(&seat->placed, &run->link);
    if (seat->placed_count++ == 0) {
        seat->state = POOL_EXECUTOR_BUSY;
        drv_list_remove(&seat->idle);
        pool->busy_count++;
        watch(pool, seat, now_us);
    }
    pool_arm(pool, seat);
}

/* One step for the first pending run of a class; false when it has to wait. */
static bool place_first(struct pool *pool, size_t class, int64_t now_us)
{
    struct drv_list *link = drv_list_first(&pool->pending[class]);
    if (link == NULL) {
        return false;
    }
    struct run *run = DRV_LIST_ITEM(link, struct run, link);
    struct seat *seat = pick_seat(pool, run);
    if (seat == NULL) {
        return false;
    }
    drover_status status = send_run(pool, seat, run);
    if (!status) {
        sit_down(pool, seat, run, now_us);
        return true;
    }
    if (status == DROVER_MALFORMED) {
        drv_log_warn(pool->log, "executor broke its ring", drv_log_int("pid", seat->pid));
        pool_kill(pool, seat);
        return true;
    }
    /* Full, or out of descriptors or memory for now: it stays the first. */
    if (status != DROVER_BUSY) {
        drv_log_warn(pool->log, "cannot hand a task to an executor",
                     drv_log_status("status", status));
    }
    pool->retry_at_us = now_us + POOL_RETRY_US;
    return false;
}

void pool_place(struct pool *pool, int64_t now_us)
{
    for (size_t class = 0; class < POOL_CLASSES; class ++) {
        while (place_first(pool, class, now_us)) {
        }
    }
    pool_start_seats(pool, now_us);
}

void pool_unseat(struct pool *pool, struct run *run, int64_t now_us)
{
    struct seat *seat = run->seat;
    bool was_head = head_of(seat) == run;
    drv_list_remove(&run->link);
    drv_heap_remove(&pool->timers, &run->timer);
    seat->claims[run->claim] = NULL;
    seat->backlog_us -= run->expected_us;
    seat->placed_count--;
    run->seat = NULL;
    if (seat->placed_count > 0) {
        if (was_head) {
            head_of(seat)->started_us = now_us;
            watch(pool, seat, now_us);
        }
        return;
    }
    drv_list_remove(&seat->watch);
    pool->busy_count--;
    if (seat->state == POOL_EXECUTOR_BUSY) {
        seat->state = POOL_EXECUTOR_IDLE;
        drv_list_push_front(&pool->idle[pool_class(seat->model)], &seat->idle);
        if (seat->is_doomed) {
            pool_kill(pool, seat);
        }
    }
}

void pool_take_back(struct pool *pool, struct seat *seat, int64_t now_us)
{
    struct drv_list *link = seat->placed.prev;
    while (link != &seat->placed) { /* from the last, so that the order stays */
        struct run *run = DRV_LIST_ITEM(link, struct run, link);
        link = link->prev;
        if (run->state == RUN_PLACED &&
            lane_claim(&seat->lane, run->claim, run->serial, LANE_REVOKED)) {
            pool_unseat(pool, run, now_us);
            requeue(pool, run);
        }
    }
}

/* ---- stopping -----------------------------------------------------------------------------
 */

static void start_stop(struct pool *pool, struct run *run, enum run_stop why, uint64_t term_ms,
                       uint64_t kill_ms, int64_t now_us)
{
    struct seat *seat = run->seat;
    bool is_exec = seat->model == POOL_MODEL_EXEC;
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
        set_timer(pool, run, is_exec ? STEP_KILL : STEP_TERM,
                  is_exec ? run->kill_at_us : term_at_us);
    } else if (run->step == STEP_TERM && term_at_us < run->due_us) {
        set_timer(pool, run, STEP_TERM, term_at_us);
    } else if (run->step == STEP_KILL) {
        set_timer(pool, run, STEP_KILL, run->kill_at_us);
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
        leave_pending(pool, run);
        return true;
    }
    if (run->state == RUN_PLACED &&
        lane_claim(&run->seat->lane, run->claim, run->serial, LANE_REVOKED)) {
        pool_unseat(pool, run, now_us);
        return true;
    }
    return false;
}

static drover_status submit(struct pool *pool, const struct pool_attempt *attempt,
                            int64_t now_us)
{
    drover_status status = check_attempt(pool, attempt);
    const uint32_t *handler = find_type(pool, attempt->type);
    struct run *run = NULL;
    if (!status && handler == NULL) {
        status = DROVER_UNKNOWN;
    }
    if (!status) {
        status = new_run(pool, attempt, *handler, &run);
    }
    if (status) {
        return status;
    }
    size_t class = class_of(pool, run);
    drv_list_push_back(&pool->pending[class], &run->link);
    pool->pending_count[class]++;
    pool_place(pool, now_us);
    return DROVER_OK;
}

drover_status pool_submit(struct pool *pool, const struct pool_attempt *attempt, int64_t now_us)
{
    return pool->is_broken ? DROVER_CLOSED : submit(pool, attempt, now_us);
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
        if (run->state == RUN_PLACED) { /* do not let STARTED wait */
            drv_list_remove(&run->seat->watch);
            run->seat->watch_at_us = now_us;
            drv_list_push_front(&pool->watched, &run->seat->watch);
            pool->has_work = true;
        }
        return DROVER_BUSY;
    }
    pool_run_free(pool, run);
    pool_place(pool, now_us);
    return DROVER_OK;
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
    if (reclaim(pool, run, now_us)) {
        drop(pool, run);
        pool_place(pool, now_us);
    } else {
        start_stop(pool, run, STOP_CANCEL, term_ms, kill_ms, now_us);
    }
    return DROVER_OK;
}

/* ---- what time brings -----------------------------------------------------------------------
 */

static void on_started(struct pool *pool, struct seat *seat, struct run *run,
                       const struct pool_sink *sink, int64_t now_us)
{
    /* The executor knows best, as far as it can be believed. */
    int64_t taken_at_us = atomic_load(&seat->lane.shared->taken_at_us);
    if (taken_at_us > run->started_us && taken_at_us <= now_us) {
        run->started_us = taken_at_us;
    }
    run->state = RUN_STARTED;
    drv_list_remove(&seat->watch);
    pool_take_back(pool, seat, now_us);
    if (run->timeout_ms != 0 && run->stop == STOP_NONE) {
        set_timer(pool, run, STEP_TIMEOUT,
                  run->started_us + (int64_t)clamped_us(run->timeout_ms));
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
        struct run *run = head_of(seat);
        if (run != NULL && lane_is_taken(&seat->lane, run->claim, run->serial)) {
            on_started(pool, seat, run, sink, now_us);
        } else {
            watch(pool, seat, now_us);
        }
    }
}

static void take_step(struct pool *pool, struct run *run, int64_t now_us)
{
    struct seat *seat = run->seat;
    switch (run->step) {
    case STEP_TIMEOUT:
        start_stop(pool, run, STOP_TIMEOUT, run->term_ms, run->kill_ms, now_us);
        return;
    case STEP_TERM:
        /* From here on the executor may die at any moment, finished or not. */
        seat->is_doomed = true;
        if (zygote_signal(&pool->zygote, seat->number, seat->pid, SIGTERM) == DROVER_BUSY) {
            set_timer(pool, run, STEP_TERM, now_us + POOL_RETRY_US);
        } else {
            set_timer(pool, run, STEP_KILL, run->kill_at_us);
        }
        return;
    case STEP_KILL:
        drv_heap_remove(&pool->timers, &run->timer);
        pool_kill(pool, seat);
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
