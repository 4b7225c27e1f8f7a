#include "pool_private.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* An executor that ends sooner than this after its start, having done nothing, failed to start.
 */
#define POOL_SETTLED_US (INT64_C(1000) * 1000)

static const struct drv_backoff RESTART = {.base_ms = 50, .max_ms = 5000};

/* ---- life
 * ------------------------------------------------------------------------------------ */

void pool_seat_init(struct seat *seat, uint32_t number, enum pool_model model)
{
    *seat = (struct seat){.number = number,
                          .model = model,
                          .state = POOL_EXECUTOR_DOWN,
                          .is_wanted = model == POOL_MODEL_PREFORK};
    seat->lane = (struct lane){.memory_fd = -1, .wake_fd = -1, .call_fd = -1, .values_fd = -1};
    drv_list_init(&seat->placed);
    drv_list_init(&seat->idle);
    drv_list_init(&seat->watch);
    pool_output_init(&seat->output);
}

static void drop_answer(struct seat *seat)
{
    seat->answer.is_set = false;
    drv_data_unref(&seat->answer.value.data);
}

/* Everything that belonged to the process. */
static void clear_seat(struct pool *pool, struct seat *seat)
{
    pool_output_close(pool, seat);
    lane_close(&seat->lane);
    drop_answer(seat);
    drv_list_remove(&seat->idle);
    drv_list_remove(&seat->watch);
    seat->state = POOL_EXECUTOR_DOWN;
    seat->pid = 0;
    seat->generation++;
    seat->is_doomed = seat->must_kill = seat->has_shared = seat->is_asking = false;
    seat->user_us = seat->system_us = seat->done_here = 0;
}

void pool_seat_fini(struct pool *pool, struct seat *seat)
{
    clear_seat(pool, seat);
    pool_output_fini(&seat->output);
}

void pool_arm(struct pool *pool, struct seat *seat)
{
    if (!ring_reader_sleep(&seat->lane.in)) {
        pool->has_work = true;
    }
}

/* ---- starting -----------------------------------------------------------------------------
 */

static drover_status request_start(struct pool *pool, struct seat *seat)
{
    struct lane_ends ends;
    int output_fds[LANE_PIPES];
    drover_status status = lane_open(&seat->lane, pool->call_fd, &ends);
    if (status) {
        return status;
    }
    status = pool_output_open(pool, seat, output_fds);
    if (!status) {
        status = zygote_spawn(&pool->zygote, seat->number, seat->model, &ends, output_fds);
    }
    lane_ends_close(&ends);
    for (size_t i = 0; i < LANE_PIPES; i++) {
        if (output_fds[i] >= 0) {
            (void)close(output_fds[i]);
        }
    }
    if (status) {
        pool_output_close(pool, seat);
        lane_close(&seat->lane);
    }
    return status;
}

static void start_seat(struct pool *pool, struct seat *seat, int64_t now_us)
{
    drover_status status = request_start(pool, seat);
    if (status) {
        seat->start_at_us = now_us + (int64_t)drv_backoff_delay_ms(&RESTART, seat->failures++,
                                                                   &pool->rng) *
                                         1000;
        if (status != DROVER_BUSY && status != DROVER_CLOSED) {
            drv_log_warn(pool->log, "cannot start an executor",
                         drv_log_status("status", status), drv_log_str("why", strerror(errno)));
        }
        return;
    }
    seat->state = POOL_EXECUTOR_STARTING;
    seat->started_at_us = now_us;
}

/* Commands get executors as they are needed. */
static void want_seats(struct pool *pool)
{
    size_t missing = pool->pending_count[1];
    for (size_t i = 0; missing > 0 && i < pool->seat_count; i++) {
        struct seat *seat = &pool->seats[i];
        if (seat->model != POOL_MODEL_EXEC) {
            continue;
        }
        if (seat->state == POOL_EXECUTOR_DOWN || seat->state == POOL_EXECUTOR_STARTING) {
            seat->is_wanted = true;
            missing--;
        }
    }
}

void pool_start_seats(struct pool *pool, int64_t now_us)
{
    if (pool->pending_count[1] > 0) {
        want_seats(pool);
    }
    for (size_t i = 0; i < pool->seat_count; i++) {
        struct seat *seat = &pool->seats[i];
        if (seat->state == POOL_EXECUTOR_DOWN && seat->is_wanted &&
            seat->start_at_us <= now_us) {
            start_seat(pool, seat, now_us);
        }
    }
}

static void on_spawned(struct pool *pool, struct seat *seat, const struct zygote_reply *reply,
                       int64_t now_us)
{
    if (seat->state != POOL_EXECUTOR_STARTING) {
        return;
    }
    if (reply->pid <= 0) {
        drv_log_warn(pool->log, "cannot fork an executor",
                     drv_log_str("why", strerror(reply->wait_status)));
        clear_seat(pool, seat);
        seat->start_at_us = now_us + (int64_t)drv_backoff_delay_ms(&RESTART, seat->failures++,
                                                                   &pool->rng) *
                                         1000;
        return;
    }
    seat->pid = reply->pid;
    seat->state = POOL_EXECUTOR_IDLE;
    drv_list_push_back(&pool->idle[pool_class(seat->model)], &seat->idle);
}

/* ---- ending -------------------------------------------------------------------------------
 */

void pool_kill(struct pool *pool, struct seat *seat)
{
    drv_list_remove(&seat->idle);
    if (seat->pid == 0) {
        return;
    }
    seat->state = POOL_EXECUTOR_STOPPING;
    seat->is_doomed = true;
    seat->must_kill = zygote_signal(&pool->zygote, seat->number, seat->pid, SIGKILL) ==
                      DROVER_BUSY;
    if (seat->must_kill) {
        pool->retry_at_us = 0;
    }
}

/* Saves what was not taken; the rest, which is one run unless the executor wrote nonsense into
 * its claims, has ended with it. */
static void settle_runs(struct pool *pool, struct seat *seat, const struct zygote_reply *gone,
                        const struct pool_sink *sink, int64_t now_us)
{
    struct drv_list charged;
    drv_list_init(&charged);
    seat->state = POOL_EXECUTOR_STOPPING; /* takes nothing that a callback submits */
    pool_take_back(pool, seat, now_us);
    for (struct drv_list *link = drv_list_first(&seat->placed); link != NULL;
         link = drv_list_first(&seat->placed)) {
        struct run *run = DRV_LIST_ITEM(link, struct run, link);
        pool_unseat(pool, run, now_us);
        drv_list_push_back(&charged, &run->link);
    }
    for (struct drv_list *link = drv_list_pop_front(&charged); link != NULL;
         link = drv_list_pop_front(&charged)) {
        seat->done++;
        pool_report_crash(pool, DRV_LIST_ITEM(link, struct run, link), gone, sink, now_us);
    }
}

/* What a process said before it died. The ring holds no more than these reads take. */
static void read_last_words(struct pool *pool, struct seat *seat, const struct pool_sink *sink,
                            int64_t now_us)
{
    for (size_t i = 0; i < LANE_RING_BYTES / 8 / POOL_RECORDS_MAX; i++) {
        pool_read_seat(pool, seat, sink, now_us);
    }
    pool_output_drain(pool, seat, sink, now_us);
}

static void on_gone(struct pool *pool, struct seat *seat, const struct zygote_reply *reply,
                    const struct pool_sink *sink, int64_t now_us)
{
    if (seat->pid == 0 || seat->pid != reply->pid) {
        return;
    }
    bool has_failed = seat->done_here == 0 && seat->placed_count == 0 && !seat->is_doomed &&
                      now_us - seat->started_at_us < POOL_SETTLED_US;
    bool was_ours = seat->is_doomed;
    read_last_words(pool, seat, sink, now_us);
    settle_runs(pool, seat, reply, sink, now_us);
    if (!was_ours) {
        seat->crashes++;
        drv_log_warn(pool->log, "executor died", drv_log_int("pid", reply->pid),
                     drv_log_int("wait_status", reply->wait_status));
    }
    clear_seat(pool, seat);
    seat->failures = has_failed ? seat->failures + 1 : 0;
    seat->start_at_us = now_us;
    if (has_failed) {
        seat->start_at_us += (int64_t)drv_backoff_delay_ms(&RESTART, seat->failures - 1,
                                                           &pool->rng) *
                             1000;
    }
}

drover_status pool_read_zygote(struct pool *pool, const struct pool_sink *sink, int64_t now_us)
{
    struct zygote_reply reply;
    drover_status status = zygote_receive(&pool->zygote, 0, &reply);
    for (; !status; status = zygote_receive(&pool->zygote, 0, &reply)) {
        if (reply.slot >= pool->seat_count) {
            continue;
        }
        struct seat *seat = &pool->seats[reply.slot];
        if (reply.kind == ZYGOTE_SPAWNED) {
            on_spawned(pool, seat, &reply, now_us);
        } else if (reply.kind == ZYGOTE_GONE) {
            on_gone(pool, seat, &reply, sink, now_us);
        }
    }
    return status == DROVER_NOT_READY ? DROVER_OK : status;
}

/* What stands in a seat whose process is gone: `ran` and `waited` by whether it was taken. */
static void sort_out_seat(struct pool *pool, struct seat *seat, struct drv_list *ran,
                          struct drv_list *waited)
{
    for (struct drv_list *link = drv_list_pop_front(&seat->placed); link != NULL;
         link = drv_list_pop_front(&seat->placed)) {
        struct run *run = DRV_LIST_ITEM(link, struct run, link);
        bool was_taken = lane_is_taken(&seat->lane, run->claim, run->serial);
        run->seat = NULL;
        drv_list_push_back(was_taken ? ran : waited, link);
    }
    seat->placed_count = 0;
    memset(seat->claims, 0, sizeof(seat->claims));
    seat->is_wanted = false;
    clear_seat(pool, seat);
}

static void give_back_all(struct pool *pool, struct drv_list *runs, enum pool_return how,
                          const struct pool_sink *sink)
{
    for (struct drv_list *link = drv_list_pop_front(runs); link != NULL;
         link = drv_list_pop_front(runs)) {
        pool_report_returned(pool, DRV_LIST_ITEM(link, struct run, link), how, sink);
    }
}

void pool_give_up(struct pool *pool, const struct pool_sink *sink, int64_t now_us)
{
    struct drv_list ran;
    struct drv_list waited;
    drv_list_init(&ran);
    drv_list_init(&waited);
    pool->is_broken = true;
    for (size_t i = 0; i < pool->seat_count; i++) {
        read_last_words(pool, &pool->seats[i], sink, now_us);
    }
    for (size_t i = 0; i < pool->seat_count; i++) {
        sort_out_seat(pool, &pool->seats[i], &ran, &waited);
    }
    for (size_t class = 0; class < POOL_CLASSES; class ++) {
        drv_list_splice_back(&waited, &pool->pending[class]);
        pool->pending_count[class] = 0;
    }
    pool->busy_count = 0;
    pool_report_dropped(pool, sink);
    give_back_all(pool, &ran, POOL_RETURN_LOST, sink);
    give_back_all(pool, &waited, POOL_RETURN_UNSTARTED, sink);
}
