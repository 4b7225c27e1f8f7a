/*
 * pool_place.c: which attempt goes into which seat, and how it leaves it.
 */
#include "pieces.h"
#include "pool_private.h"

enum { PLACE_CALL = 32 }; /* an executor is called after so many, and after the last */

/* ---- which seat -----------------------------------------------------------------------------
 */

static uint64_t expected_us(const struct pool *pool, const struct run *run)
{
    double mean_us = pool->types[run->handler].mean_us * run->count;
    if (mean_us <= 0 || mean_us > POOL_BACKLOG_US) {
        return POOL_BACKLOG_US; /* unknown or long: alone */
    }
    return mean_us < 1 ? 1 : (uint64_t)mean_us;
}

struct run *pool_head(const struct seat *seat)
{
    struct drv_list *link = drv_list_first(&seat->placed);
    return link == NULL ? NULL : DRV_LIST_ITEM(link, struct run, link);
}

/* Whether a busy seat takes one more without making it wait noticeably. */
static bool takes_more(const struct pool *pool, const struct seat *seat, const struct run *run)
{
    const struct run *head = pool_head(seat);
    return head != NULL && head->state != RUN_STARTED && proc_is_open(seat->proc) &&
           seat->placed_count < POOL_DEPTH_MAX &&
           seat->backlog_us + expected_us(pool, run) <= POOL_BACKLOG_US;
}

static struct seat *pick_seat(struct pool *pool, const struct run *run)
{
    struct crew *crew = run->crew;
    struct drv_list *idle = drv_list_first(&crew->idle);
    if (idle != NULL && pool->busy_count < pool->slots) {
        return DRV_LIST_ITEM(idle, struct seat, idle);
    }
    if (expected_us(pool, run) >= POOL_BACKLOG_US) {
        return NULL;
    }
    DRV_ASSERT(crew->seat_count > 0); /* or the run had no type */
    size_t looks = crew->seat_count < POOL_LOOKS_MAX ? crew->seat_count : POOL_LOOKS_MAX;
    for (size_t i = 0; i < looks; i++) {
        size_t number = (crew->next_look + i) % crew->seat_count;
        if (takes_more(pool, &crew->seats[number], run)) {
            crew->next_look = number; /* fill one before the next is woken */
            return &crew->seats[number];
        }
    }
    crew->next_look = (crew->next_look + looks) % crew->seat_count;
    return NULL;
}

/* ---- into it ------------------------------------------------------------------------------
 */

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
    bool has_limits = !drv_bounds_are_none(&run->limits);
    struct drv_view limits = drv_view_of(&run->limits, has_limits ? sizeof(run->limits) : 0);
    struct drv_view parts[] = {drv_data_view(run->meta), drv_data_view(run->parents), limits,
                               run->lengths, drv_data_view(run->needs)};
    struct record_task head = {
        .kind = RECORD_TASK,
        .claim = run->claim,
        .serial = run->serial,
        .id = run->id,
        .index = run->index,
        .attempt = run->attempt,
        .handler = run->handler,
        .has_shared = run->shared.data != NULL ? 1 : 0,
        .timeout_ms = run->timeout_ms,
        .kill_ms = run->kill_ms,
        .meta_len = (uint32_t)parts[0].len,
        .parent_count = (uint32_t)(parts[1].len / sizeof(struct record_parent)),
        .limits_len = (uint16_t)limits.len,
        .needs_len = (uint16_t)parts[4].len,
        .lengths_len = (uint32_t)run->lengths.len};
    struct lane_value value = {
        .bytes = run->payload.view,
        .pieces = drv_data_is_pieces(run->payload.data) ? run->payload.data : NULL,
        .content_type = run->payload.content_type,
        .is_nil = run->payload.data == NULL};
    struct lane_record record = {.head = &head,
                                 .head_len = sizeof(head),
                                 .parts = parts,
                                 .count = run->needs != NULL ? 5
                                          : run->is_range    ? 4
                                          : has_limits       ? 3
                                                             : 2,
                                 .slot = &head.payload,
                                 .value = &value};
    return lane_send(&seat->lane, &record);
}

/* In turn: what was given long ago is free. */
static uint32_t free_claim(struct seat *seat)
{
    while (seat->claims[seat->next_claim] != NULL) { /* placed_count < POOL_DEPTH_MAX */
        seat->next_claim = (seat->next_claim + 1) % POOL_DEPTH_MAX;
    }
    return seat->next_claim;
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
    pool->has_spare = pool->has_spare || seat->lane.has_spare;
    if (status) {
        (void)lane_claim(&seat->lane, run->claim, run->serial, LANE_REVOKED);
    } else {
        seat->owes_call = true;
    }
    return status;
}

/* Tells the executor that there is something in its ring. */
static void pay_call(struct seat *seat)
{
    seat->owes_call = false;
    if (ring_writer_must_wake(&seat->lane.out)) {
        lane_signal(seat->lane.wake_fd);
    }
}

void pool_watch(struct pool *pool, struct seat *seat, int64_t now_us)
{
    drv_list_remove(&seat->watch);
    seat->watch_at_us = now_us + POOL_WATCH_US;
    drv_list_push_back(&pool->watched, &seat->watch);
}

static void sit_down(struct pool *pool, struct seat *seat, struct run *run, int64_t now_us)
{
    struct proc *proc = seat->proc;
    pool_run_leave(pool, run);
    run->state = RUN_PLACED;
    run->seat = seat;
    run->expected_us = expected_us(pool, run);
    run->started_us = now_us;
    seat->claims[run->claim] = run;
    seat->next_claim = (run->claim + 1) % POOL_DEPTH_MAX;
    seat->backlog_us += run->expected_us;
    drv_list_push_back(&seat->placed, &run->link);
    proc->given += run->count;
    if (seat->placed_count++ == 0) {
        pool->busy_count++;
        proc->busy_seats++;
        pool_watch(pool, seat, now_us);
        pool_proc_settle(pool, proc, now_us);
    } else if (!proc_is_open(proc)) { /* that was the last one it takes */
        pool_proc_settle(pool, proc, now_us);
    }
    if (seat->placed_count % PLACE_CALL == 1) { /* it may begin while others follow */
        pay_call(seat);
    }
}

/* One step for the first pending run of a crew; false when it has to wait. */
static bool place_first(struct pool *pool, struct crew *crew, int64_t now_us)
{
    struct drv_list *link = drv_list_first(&crew->pending);
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
        drv_log_warn(pool->log, "executor broke its ring", drv_log_int("pid", seat->proc->pid));
        pool_kill(pool, seat->proc);
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
    pool->must_place = false;
    /* In turn, so that no crew that always has work takes every slot that becomes free. */
    size_t first = pool->next_crew++;
    for (size_t i = 0; i < POOL_MODELS; i++) {
        while (place_first(pool, &pool->crews[(first + i) % POOL_MODELS], now_us)) {
        }
    }
    for (size_t i = 0; i < pool->seat_count; i++) {
        if (pool->seats[i].owes_call) {
            pay_call(&pool->seats[i]);
        }
    }
    pool_start_procs(pool, now_us);
}

/* ---- out of it ------------------------------------------------------------------------------
 */

void pool_unseat(struct pool *pool, struct run *run, int64_t now_us)
{
    struct seat *seat = run->seat;
    struct proc *proc = seat->proc;
    bool was_head = pool_head(seat) == run;
    drv_list_remove(&run->link);
    drv_heap_remove(&pool->timers, &run->timer);
    seat->claims[run->claim] = NULL;
    seat->backlog_us -= run->expected_us;
    seat->placed_count--;
    run->seat = NULL;
    if (seat->placed_count > 0) {
        if (was_head) {
            pool_head(seat)->started_us = now_us;
            pool_watch(pool, seat, now_us);
        }
    } else {
        drv_list_remove(&seat->watch);
        pool->busy_count--;
        proc->busy_seats--;
        pool_proc_settle(pool, proc, now_us);
    }
}

bool pool_revoke(struct pool *pool, struct run *run, int64_t now_us)
{
    struct seat *seat = run->seat;
    if (run->state != RUN_PLACED ||
        !lane_claim(&seat->lane, run->claim, run->serial, LANE_REVOKED)) {
        return false;
    }
    seat->proc->given -= run->count;
    pool_unseat(pool, run, now_us);
    if (seat->placed_count > 0) { /* it may be open again */
        pool_proc_settle(pool, seat->proc, now_us);
    }
    return true;
}

/* Back to the front of the pending ones. */
static void requeue(struct run *run)
{
    run->state = RUN_PENDING;
    drv_list_push_front(&run->crew->pending, &run->link);
    run->crew->pending_count++;
}

void pool_take_back(struct pool *pool, struct seat *seat, int64_t now_us)
{
    struct drv_list *link = seat->placed.prev;
    while (link != &seat->placed) { /* from the last, so that the order stays */
        struct run *run = DRV_LIST_ITEM(link, struct run, link);
        link = link->prev;
        if (pool_revoke(pool, run, now_us)) {
            requeue(run);
        }
    }
}

void pool_take_back_all(struct pool *pool, struct proc *proc, int64_t now_us)
{
    for (size_t i = 0; i < proc->crew->threads; i++) {
        pool_take_back(pool, &proc->seats[i], now_us);
    }
}
