/*
 * pool_proc.c: executor processes: how many there are, how they start and how they end.
 */
#include "conceal.h"
#include "pool_private.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define POOL_STAMP_US (INT64_C(1000) * 1000) /* between looks at the folders of the key */

/* An executor that ends sooner than this after its start, having done nothing, failed to start.
 */
#define POOL_SETTLED_US (INT64_C(1000) * 1000)

static const struct drv_backoff RESTART = {.base_ms = 50, .max_ms = 5000};

/* ---- life ---------------------------------------------------------------------------------
 */

static void init_seat(struct seat *seat, struct proc *proc, uint32_t number)
{
    *seat = (struct seat){.number = number, .proc = proc};
    seat->lane = (struct lane){.wake_fd = -1, .call_fd = -1, .values_fd = -1};
    drv_list_init(&seat->placed);
    drv_list_init(&seat->idle);
    drv_list_init(&seat->watch);
}

void pool_proc_init(struct proc *proc, uint32_t number, struct crew *crew, struct seat *seats,
                    uint32_t first_seat)
{
    *proc = (struct proc){
        .number = number, .crew = crew, .seats = seats, .state = POOL_EXECUTOR_DOWN};
    drv_list_init(&proc->spare);
    pool_output_init(&proc->output);
    for (size_t i = 0; i < crew->threads; i++) {
        init_seat(&seats[i], proc, first_seat + (uint32_t)i);
    }
}

static void close_lanes(struct proc *proc)
{
    for (size_t i = 0; i < proc->crew->threads; i++) {
        lane_close(&proc->seats[i].lane);
    }
}

static void clear_seat(struct seat *seat)
{
    seat->answer.is_set = false;
    drv_data_unref(&seat->answer.value.data);
    drv_list_remove(&seat->idle);
    drv_list_remove(&seat->watch);
    seat->has_shared = seat->is_asking = false;
}

static void set_state(struct proc *proc, enum pool_executor_state state)
{
    static const bool is_up[] = {[POOL_EXECUTOR_STARTING] = true,
                                 [POOL_EXECUTOR_IDLE] = true,
                                 [POOL_EXECUTOR_BUSY] = true,
                                 [POOL_EXECUTOR_STOPPING] = false,
                                 [POOL_EXECUTOR_DOWN] = false};
    struct crew *crew = proc->crew;
    crew->up += is_up[state] ? 1 : 0;
    crew->up -= is_up[proc->state] ? 1 : 0;
    crew->starting += state == POOL_EXECUTOR_STARTING ? 1 : 0;
    crew->starting -= proc->state == POOL_EXECUTOR_STARTING ? 1 : 0;
    proc->state = state;
}

/* Everything that belonged to the process. */
static void clear_proc(struct pool *pool, struct proc *proc)
{
    pool_output_close(pool, proc);
    close_lanes(proc);
    for (size_t i = 0; i < proc->crew->threads; i++) {
        clear_seat(&proc->seats[i]);
    }
    drv_list_remove(&proc->spare);
    set_state(proc, POOL_EXECUTOR_DOWN);
    proc->pid = 0;
    proc->generation++;
    proc->is_doomed = proc->is_spent = proc->is_clean = proc->must_kill = false;
    proc->user_us = proc->system_us = proc->done_here = proc->given = 0;
}

void pool_proc_fini(struct pool *pool, struct proc *proc)
{
    clear_proc(pool, proc);
    pool_output_fini(&proc->output);
}

/* ---- idle, busy, done with ------------------------------------------------------------------
 */

static void settle_seat(struct proc *proc, struct seat *seat, bool is_open)
{
    bool is_idle = is_open && seat->placed_count == 0;
    if (!is_idle) {
        drv_list_remove(&seat->idle);
    } else if (!drv_list_is_linked(&seat->idle)) {
        drv_list_push_front(&proc->crew->idle, &seat->idle);
    }
}

void pool_proc_settle(struct pool *pool, struct proc *proc, int64_t now_us)
{
    bool is_open = proc_is_open(proc);
    if (!proc_is_up(proc)) {
        drv_list_remove(&proc->spare);
    } else if (proc->busy_seats > 0) {
        set_state(proc, POOL_EXECUTOR_BUSY);
        drv_list_remove(&proc->spare);
    } else {
        set_state(proc, POOL_EXECUTOR_IDLE);
        if (is_open && !drv_list_is_linked(&proc->spare)) {
            proc->spare_at_us = now_us;
            drv_list_push_back(&proc->crew->spare, &proc->spare);
        }
    }
    for (size_t i = 0; i < proc->crew->threads; i++) {
        settle_seat(proc, &proc->seats[i], is_open);
    }
    if (proc->state == POOL_EXECUTOR_IDLE && !is_open) {
        pool_kill(pool, proc);
    }
}

/* ---- starting -----------------------------------------------------------------------------
 */

static drover_status request_start(struct pool *pool, struct proc *proc)
{
    struct lane_ends ends[POOL_THREADS_MAX];
    int output_fds[LANE_PIPES];
    size_t opened = 0;
    drover_status status = pool_output_open(pool, proc, output_fds);
    while (!status && opened < proc->crew->threads) {
        status = lane_open(&proc->seats[opened].lane, pool->call_fd, &ends[opened]);
        opened += status ? 0 : 1;
    }
    if (!status) {
        status = zygote_spawn(&pool->zygote, proc->number, proc->crew->model->id, ends, opened,
                              output_fds);
    }
    while (opened > 0) {
        lane_ends_close(&ends[--opened]);
    }
    for (size_t i = 0; i < LANE_PIPES; i++) {
        if (output_fds[i] >= 0) {
            (void)close(output_fds[i]);
        }
    }
    if (status) {
        pool_output_close(pool, proc);
        close_lanes(proc);
    }
    return status;
}

/* It is not tried again at once. */
static void put_off(struct pool *pool, struct proc *proc, int64_t now_us)
{
    proc->start_at_us = now_us +
                        (int64_t)drv_backoff_delay_ms(&RESTART, proc->failures++, &pool->rng) *
                            1000;
}

static void start_proc(struct pool *pool, struct proc *proc, int64_t now_us)
{
    drover_status status = request_start(pool, proc);
    if (status) {
        put_off(pool, proc, now_us);
        if (status != DROVER_BUSY && status != DROVER_CLOSED) {
            drv_log_warn(pool->log, "cannot start an executor",
                         drv_log_status("status", status), drv_log_str("why", strerror(errno)));
        }
        return;
    }
    set_state(proc, POOL_EXECUTOR_STARTING);
    proc->started_at_us = now_us;
}

/* How many procs there should be: as many as are kept anyway, and enough for what is pending.
 */
static size_t wanted(const struct pool *pool, const struct crew *crew)
{
    size_t free_slots = pool->slots > pool->busy_count ? pool->slots - pool->busy_count : 0;
    size_t missing = crew->pending_count < free_slots ? crew->pending_count : free_slots;
    size_t coming = crew->starting * crew->threads;
    missing = missing > coming ? missing - coming : 0;
    size_t count = crew->up + (missing + crew->threads - 1) / crew->threads;
    return count > crew->min ? count : crew->min;
}

static void start_crew(struct pool *pool, struct crew *crew, int64_t now_us)
{
    size_t count = crew->up < crew->proc_count ? wanted(pool, crew) : 0;
    for (size_t i = 0; crew->up < count && i < crew->proc_count; i++) {
        struct proc *proc = &crew->procs[i];
        if (proc->state != POOL_EXECUTOR_DOWN) {
            continue;
        }
        if (proc->start_at_us <= now_us) {
            start_proc(pool, proc, now_us);
        }
        if (proc->state == POOL_EXECUTOR_DOWN && proc->start_at_us < pool->start_at_us) {
            pool->start_at_us = proc->start_at_us;
        }
    }
}

void pool_start_procs(struct pool *pool, int64_t now_us)
{
    pool->start_at_us = INT64_MAX;
    for (size_t i = 0; i < POOL_MODELS; i++) {
        start_crew(pool, &pool->crews[i], now_us);
    }
}

static void on_spawned(struct pool *pool, struct proc *proc, const struct zygote_reply *reply,
                       int64_t now_us)
{
    if (proc->state != POOL_EXECUTOR_STARTING) {
        return;
    }
    if (reply->pid <= 0) {
        drv_log_warn(pool->log, "cannot fork an executor",
                     drv_log_str("why", strerror(reply->wait_status)));
        clear_proc(pool, proc);
        put_off(pool, proc, now_us);
        return;
    }
    proc->pid = reply->pid;
    set_state(proc, POOL_EXECUTOR_IDLE);
    pool_proc_settle(pool, proc, now_us);
}

/* ---- ending -------------------------------------------------------------------------------
 */

void pool_kill(struct pool *pool, struct proc *proc)
{
    if (proc->pid == 0) {
        return;
    }
    set_state(proc, POOL_EXECUTOR_STOPPING);
    proc->is_doomed = true;
    drv_list_remove(&proc->spare);
    for (size_t i = 0; i < proc->crew->threads; i++) {
        drv_list_remove(&proc->seats[i].idle);
    }
    drover_status status = proc->is_clean && proc->busy_seats == 0
                               ? zygote_end(&pool->zygote, proc->number, proc->pid)
                               : zygote_signal(&pool->zygote, proc->number, proc->pid, SIGKILL);
    proc->must_kill = status == DROVER_BUSY;
    if (proc->must_kill) {
        pool->retry_at_us = 0;
    }
}

/* The one that has been idle for longest, if there are more than are kept. */
static struct proc *surplus(const struct crew *crew)
{
    const struct drv_list *link = drv_list_first(&crew->spare);
    if (link == NULL || crew->up <= crew->min) {
        return NULL;
    }
    return DRV_LIST_ITEM((struct drv_list *)(uintptr_t)link, struct proc, spare);
}

void pool_shrink(struct pool *pool, int64_t now_us)
{
    for (size_t i = 0; pool->idle_us != INT64_MAX && i < POOL_MODELS; i++) {
        struct crew *crew = &pool->crews[i];
        for (struct proc *proc = surplus(crew);
             proc != NULL && proc->spare_at_us + pool->idle_us <= now_us;
             proc = surplus(crew)) {
            drv_log_debug(pool->log, "idle executor ended", drv_log_int("pid", proc->pid),
                          drv_log_str("model", crew->model->name));
            pool_kill(pool, proc);
        }
    }
}

int64_t pool_shrink_at_us(const struct pool *pool)
{
    int64_t due_us = INT64_MAX;
    for (size_t i = 0; pool->idle_us != INT64_MAX && i < POOL_MODELS; i++) {
        const struct proc *proc = surplus(&pool->crews[i]);
        if (proc != NULL && proc->spare_at_us + pool->idle_us < due_us) {
            due_us = proc->spare_at_us + pool->idle_us;
        }
    }
    return due_us;
}

static void renew_crew(struct pool *pool, struct crew *crew, int64_t now_us)
{
    for (size_t i = 0; i < crew->proc_count; i++) {
        struct proc *proc = &crew->procs[i];
        if (proc_is_up(proc)) {
            pool_retire(pool, proc, "executor is outdated and ends", now_us);
        } else if (proc->state == POOL_EXECUTOR_STARTING) {
            proc->is_spent = true;
        }
    }
}

/* Folders that change all the time are looked at less often. */
static int64_t next_wait(int64_t wait_us, bool has_changed)
{
    if (!has_changed || wait_us < POOL_STAMP_US) {
        return POOL_STAMP_US;
    }
    int64_t max_us = (int64_t)CONCEAL_RENEW_MS * 1000;
    return wait_us < max_us / 2 ? wait_us * 2 : max_us;
}

void pool_renew(struct pool *pool, int64_t now_us)
{
    if (now_us < pool->stamp_at_us) {
        return;
    }
    uint64_t stamp = conceal_stamp(pool->concealed);
    bool is_outdated = stamp != pool->stamp;
    pool->stamp = stamp;
    pool->stamp_wait_us = next_wait(pool->stamp_wait_us, is_outdated);
    pool->stamp_at_us = now_us + pool->stamp_wait_us;
    for (size_t i = 0; is_outdated && i < POOL_MODELS; i++) {
        if (pool->crews[i].model->id != POOL_MODEL_EXEC) {
            renew_crew(pool, &pool->crews[i], now_us);
        }
    }
}

/* What a process said before it died. The rings hold no more than these reads take. */
static void read_last_words(struct pool *pool, struct proc *proc, const struct pool_sink *sink,
                            int64_t now_us)
{
    for (size_t i = 0; i < proc->crew->threads; i++) {
        struct seat *seat = &proc->seats[i];
        for (size_t turn = 0; turn < LANE_RING_BYTES / 8 / POOL_RECORDS_MAX; turn++) {
            pool_read_seat(pool, seat, sink, now_us);
        }
        struct run *run = pool_running(seat);
        if (run != NULL && run->is_range) {
            pool_range_bury(pool, seat, run, sink, now_us);
        }
    }
    pool_output_drain(pool, proc, sink, now_us);
}

/* ---- who is charged -----------------------------------------------------------------------
 *
 * Of what ran in a process that has died: what was told to stop has stopped. Where several
 * threads ran, the one that has crashed is charged; if that is nobody, and nobody had to be
 * stopped by force either, it could have been each of them, and all are given back: the broker
 * takes them for suspects, which are run alone. What ran alone is charged.
 */

struct ended {
    struct drv_list runs; /* that were taken */
    size_t count;
    bool is_explained; /* it is known why the process died */
};

static bool is_to_blame(const struct run *run)
{
    return atomic_load(&run->seat->lane.shared->blame) == run->serial;
}

/* Gathers the runs that were taken; the others go back to pending. */
static void collect(struct pool *pool, struct proc *proc, struct ended *ended,
                    const struct pool_sink *sink, int64_t now_us)
{
    pool_take_back_all(pool, proc, now_us);
    for (size_t i = 0; i < proc->crew->threads; i++) {
        struct seat *seat = &proc->seats[i];
        for (struct drv_list *link = drv_list_first(&seat->placed); link != NULL;
             link = drv_list_first(&seat->placed)) {
            struct run *run = DRV_LIST_ITEM(link, struct run, link);
            if (run_is_many(run)) { /* whose claim was made unreadable */
                pool_range_bury(pool, seat, run, sink, now_us);
                continue;
            }
            run->is_blamed = is_to_blame(run);
            ended->is_explained = ended->is_explained || run->is_blamed ||
                                  run->stop != STOP_NONE;
            ended->count++;
            seat->done++;
            pool_unseat(pool, run, now_us);
            drv_list_push_back(&ended->runs, &run->link);
        }
    }
}

static void settle_runs(struct pool *pool, struct proc *proc, const struct zygote_reply *gone,
                        const struct pool_sink *sink, int64_t now_us)
{
    struct ended ended = {.count = 0};
    drv_list_init(&ended.runs);
    collect(pool, proc, &ended, sink, now_us);
    bool is_alone = ended.count == 1 && !ended.is_explained;
    for (struct drv_list *link = drv_list_pop_front(&ended.runs); link != NULL;
         link = drv_list_pop_front(&ended.runs)) {
        struct run *run = DRV_LIST_ITEM(link, struct run, link);
        if (run->is_blamed || run->stop != STOP_NONE || is_alone ||
            !proc->crew->model->has_threads) {
            pool_report_crash(pool, run, gone, sink, now_us);
        } else {
            pool_report_returned(pool, run, POOL_RETURN_INTERRUPTED, sink);
        }
    }
}

static void on_gone(struct pool *pool, struct proc *proc, const struct zygote_reply *reply,
                    const struct pool_sink *sink, int64_t now_us)
{
    if (proc->pid == 0 || proc->pid != reply->pid) {
        return;
    }
    bool has_failed = proc->done_here == 0 && proc->busy_seats == 0 && !proc->is_doomed &&
                      now_us - proc->started_at_us < POOL_SETTLED_US;
    bool was_ours = proc->is_doomed;
    read_last_words(pool, proc, sink, now_us);
    proc->is_doomed = true; /* takes nothing that a callback submits */
    set_state(proc, POOL_EXECUTOR_STOPPING);
    settle_runs(pool, proc, reply, sink, now_us);
    if (!was_ours) {
        proc->crashes++;
        drv_log_warn(pool->log, "executor died", drv_log_int("pid", reply->pid),
                     drv_log_int("wait_status", reply->wait_status));
    }
    clear_proc(pool, proc);
    proc->start_at_us = now_us;
    if (has_failed) {
        put_off(pool, proc, now_us);
    } else {
        proc->failures = 0;
    }
}

drover_status pool_read_zygote(struct pool *pool, const struct pool_sink *sink, int64_t now_us)
{
    struct zygote_reply reply;
    drover_status status = zygote_receive(&pool->zygote, 0, &reply);
    for (; !status; status = zygote_receive(&pool->zygote, 0, &reply)) {
        if (reply.slot >= pool->proc_count) {
            continue;
        }
        struct proc *proc = &pool->procs[reply.slot];
        if (reply.kind == ZYGOTE_SPAWNED) {
            on_spawned(pool, proc, &reply, now_us);
        } else if (reply.kind == ZYGOTE_GONE) {
            on_gone(pool, proc, &reply, sink, now_us);
        }
    }
    return status == DROVER_NOT_READY ? DROVER_OK : status;
}

/* ---- the end of all -------------------------------------------------------------------------
 */

/* What stands in the seats of a process that is gone: `ran` and `waited` by whether it was
 * taken. */
static void sort_out(struct pool *pool, struct proc *proc, struct drv_list *ran,
                     struct drv_list *waited)
{
    for (size_t i = 0; i < proc->crew->threads; i++) {
        struct seat *seat = &proc->seats[i];
        for (struct drv_list *link = drv_list_pop_front(&seat->placed); link != NULL;
             link = drv_list_pop_front(&seat->placed)) {
            struct run *run = DRV_LIST_ITEM(link, struct run, link);
            bool was_taken = lane_is_taken(&seat->lane, run->claim, run->serial);
            run->seat = NULL;
            drv_list_push_back(was_taken ? ran : waited, link);
        }
        seat->placed_count = 0;
        memset(seat->claims, 0, sizeof(seat->claims));
    }
    proc->busy_seats = 0;
    clear_proc(pool, proc);
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
    for (size_t i = 0; i < pool->proc_count; i++) {
        read_last_words(pool, &pool->procs[i], sink, now_us);
    }
    for (size_t i = 0; i < pool->proc_count; i++) {
        sort_out(pool, &pool->procs[i], &ran, &waited);
    }
    pool->busy_count = 0;
    for (size_t i = 0; i < POOL_MODELS; i++) {
        drv_list_splice_back(&waited, &pool->crews[i].pending);
        pool->crews[i].pending_count = 0;
    }
    for (size_t i = 0; i < pool->type_count; i++) {
        drv_list_splice_back(&waited, &pool->types[i].waiting);
        pool->types[i].concurrency = 0; /* nobody comes after those that are given back */
    }
    pool_report_dropped(pool, sink);
    give_back_all(pool, &ran, POOL_RETURN_LOST, sink);
    give_back_all(pool, &waited, POOL_RETURN_UNSTARTED, sink);
}
