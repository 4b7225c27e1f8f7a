#include "pool.h"

#include "clock.h"
#include "conceal.h"
#include "job.h"
#include "model/function.h"
#include "module.h"
#include "pool_private.h"
#include "problem.h"
#include "proctree.h"
#include "tmpdir.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

enum {
    LOAD_MS = 60 * 1000, /* for all modules together */
    EPOLL_BATCH = 64,
    TAG_CALL = UINT16_MAX, /* epoll: executors call */
    TAG_ZYGOTE,            /* epoll: the zygote says something; other tags are seats */
};

/* ---- starting -----------------------------------------------------------------------------
 */

static bool is_due_before(const struct drv_heap_node *a, const struct drv_heap_node *b)
{
    const struct run *first = DRV_CONTAINER_OF((struct drv_heap_node *)(uintptr_t)a, struct run,
                                               timer);
    const struct run *second = DRV_CONTAINER_OF((struct drv_heap_node *)(uintptr_t)b,
                                                struct run, timer);
    return first->due_us < second->due_us;
}

static drover_status add_type(struct pool *pool, const struct zygote_reply *reply)
{
    if (pool->type_count == pool->type_capacity) {
        size_t capacity = pool->type_capacity == 0 ? 16 : pool->type_capacity * 2;
        struct pool_type_entry *types = realloc(pool->types, capacity * sizeof(*types));
        if (types == NULL) {
            return DROVER_NOMEM;
        }
        pool->types = types;
        pool->type_capacity = capacity;
    }
    char *name = strdup(reply->text);
    if (name == NULL) {
        return DROVER_NOMEM;
    }
    pool->types[pool->type_count++] = (struct pool_type_entry){
        .name = name,
        .name_len = strlen(name),
        .model = (enum pool_model)reply->model,
        .flags = reply->flags,
        .concurrency = reply->concurrency};
    return DROVER_OK;
}

static int compare_types(const void *a, const void *b, void *context)
{
    const struct pool_type_entry *types = context;
    return strcmp(types[*(const uint32_t *)a].name, types[*(const uint32_t *)b].name);
}

static drover_status sort_types(struct pool *pool)
{
    pool->sorted = calloc(pool->type_count + 1, sizeof(*pool->sorted));
    if (pool->sorted == NULL) {
        return DROVER_NOMEM;
    }
    for (size_t i = 0; i < pool->type_count; i++) {
        pool->sorted[i] = (uint32_t)i;
        drv_list_init(&pool->types[i].waiting); /* they move no more */
    }
    qsort_r(pool->sorted, pool->type_count, sizeof(*pool->sorted), compare_types, pool->types);
    return DROVER_OK;
}

/* Waits until the zygote has loaded everything and said what there is. */
static drover_status learn_types(struct pool *pool, struct drv_problem *problem)
{
    struct zygote_reply reply;
    uint64_t until_ms = drv_clock_now_ms() + LOAD_MS;
    for (;;) {
        uint64_t now_ms = drv_clock_now_ms();
        drover_status status = DROVER_NOT_READY;
        if (now_ms < until_ms) {
            status = zygote_receive(&pool->zygote, (int)(until_ms - now_ms), &reply);
        }
        if (status == DROVER_NOT_READY) {
            return drv_problem_set(problem, DROVER_TIMEOUT,
                                   "loading the modules took longer than %d s", LOAD_MS / 1000);
        }
        if (status) {
            return drv_problem_set(problem, DROVER_IO,
                                   "the process that loads the modules died");
        }
        if (reply.kind == ZYGOTE_FAILED) {
            return drv_problem_set(problem, (drover_status)reply.status, "%s", reply.text);
        }
        if (reply.kind == ZYGOTE_READY) {
            memcpy(pool->tmp_base, reply.text, sizeof(pool->tmp_base));
            return sort_types(pool);
        }
        status = add_type(pool, &reply);
        if (status) {
            return drv_problem_set(problem, status, "out of memory");
        }
    }
}

static drover_status listen_to(struct pool *pool, int fd, uint32_t tag)
{
    struct epoll_event interest = {.events = EPOLLIN, .data.u32 = tag};
    return epoll_ctl(pool->epoll_fd, EPOLL_CTL_ADD, fd, &interest) == 0 ? DROVER_OK : DROVER_IO;
}

static drover_status open_fds(struct pool *pool)
{
    pool->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    pool->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (pool->epoll_fd < 0 || pool->call_fd < 0) {
        return DROVER_IO;
    }
    drover_status status = listen_to(pool, pool->call_fd, TAG_CALL);
    return status ? status : listen_to(pool, pool->zygote.control, TAG_ZYGOTE);
}

/* ---- crews --------------------------------------------------------------------------------
 */

static bool has_model(const struct pool *pool, enum pool_model model)
{
    for (size_t i = 0; i < pool->type_count; i++) {
        if (pool->types[i].model == model) {
            return true;
        }
    }
    return false;
}

static void plan_crew(struct pool *pool, const struct pool_config *config,
                      const struct model *model)
{
    struct crew *crew = pool_crew(pool, model->id);
    bool has_types = has_model(pool, model->id);
    /* Suspects of model thread run alone: in a process of their own. */
    /* So do functions with limits. */
    bool has_suspects = model->id == POOL_MODEL_FORK && (has_model(pool, POOL_MODEL_THREAD) ||
                                                         has_model(pool, POOL_MODEL_PREFORK));
    crew->is_standby = !has_types;
    size_t threads = config->threads != 0 ? config->threads : POOL_THREADS_DEFAULT;
    crew->threads = !model->has_threads ? 1 : threads < pool->slots ? threads : pool->slots;
    crew->proc_count = has_types || has_suspects
                           ? (pool->slots + crew->threads - 1) / crew->threads
                           : 0;
    crew->seat_count = crew->proc_count * crew->threads;
    crew->tasks_max = model->tasks_max != 0 ? model->tasks_max : config->tasks_max;
    crew->min = model->is_on_demand || !has_types ? 0 : config->executors_min;
    crew->min = crew->min < crew->proc_count ? crew->min : crew->proc_count;
    pool->proc_count += crew->proc_count;
    pool->seat_count += crew->seat_count;
}

static drover_status make_crews(struct pool *pool, const struct pool_config *config)
{
    for (size_t i = 0; i < POOL_MODELS; i++) {
        plan_crew(pool, config, pool->crews[i].model);
    }
    pool->procs = calloc(pool->proc_count + 1, sizeof(*pool->procs));
    pool->seats = calloc(pool->seat_count + 1, sizeof(*pool->seats));
    size_t proc_count = pool->proc_count;
    pool->proc_count = 0; /* made so far, should there be no memory for the rest */
    if (pool->procs == NULL || pool->seats == NULL) {
        return DROVER_NOMEM;
    }
    uint32_t seat = 0;
    for (size_t i = 0; i < POOL_MODELS; i++) {
        struct crew *crew = &pool->crews[i];
        crew->procs = &pool->procs[pool->proc_count];
        crew->seats = &pool->seats[seat];
        for (size_t n = 0; n < crew->proc_count; n++) {
            pool_proc_init(&crew->procs[n], (uint32_t)pool->proc_count++, crew,
                           &pool->seats[seat], seat);
            seat += (uint32_t)crew->threads;
        }
    }
    DRV_ASSERT(pool->proc_count == proc_count && seat == pool->seat_count);
    return DROVER_OK;
}

/* What was asked for as threads and cannot have them. */
static void log_models(const struct pool *pool, const struct pool_config *config)
{
    for (size_t i = 0; i < pool->type_count; i++) {
        const struct pool_type_entry *type = &pool->types[i];
        bool is_unsafe = (type->flags & DROVER_THREAD_SAFE) == 0;
        if (config->model == POOL_MODEL_THREAD && type->model == POOL_MODEL_PREFORK &&
            is_unsafe) {
            drv_log_info(pool->log, "type is not thread-safe and gets processes",
                         drv_log_str("type", type->name));
        }
    }
}

/* ---- the whole ----------------------------------------------------------------------------
 */

/* Children that were here before are not ours to end. */
static drover_status remember_strangers(struct pool *pool)
{
    pool->strangers = calloc(DRV_PROCTREE_CHILDREN_MAX, sizeof(*pool->strangers));
    if (pool->strangers == NULL) {
        return DROVER_NOMEM;
    }
    int count = drv_proctree_children(pool->strangers, DRV_PROCTREE_CHILDREN_MAX);
    pool->stranger_count = count > 0 ? (size_t)count : 0;
    return DROVER_OK;
}

static drover_status start(struct pool *pool, const struct pool_config *config,
                           struct drv_problem *problem)
{
    drover_status status = remember_strangers(pool);
    if (!status && prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) {
        status = DROVER_IO;
    }
    if (!status) {
        status = zygote_start(&pool->zygote, config, pool->slots * POOL_MODELS);
    }
    if (status) {
        return drv_problem_set(problem, status, "cannot start the zygote: %s", strerror(errno));
    }
    status = learn_types(pool, problem);
    if (status) {
        return status;
    }
    if (pool->concealed != NULL) { /* the zygote has made its directory */
        pool->stamp = conceal_stamp(pool->concealed);
    }
    status = open_fds(pool);
    if (!status && config->group_dir != NULL && config->group_dir[0] != '\0') {
        pool->group_dir = strdup(config->group_dir);
        status = pool->group_dir == NULL ? DROVER_NOMEM : DROVER_OK;
    }
    if (!status) {
        status = make_crews(pool, config);
    }
    if (status) {
        return drv_problem_set(problem, status, "cannot set up the pool: %s", strerror(errno));
    }
    log_models(pool, config);
    return DROVER_OK;
}

static void init(struct pool *pool, const struct pool_config *config)
{
    pool->log = config->log;
    pool->drops_output = config->drops_output;
    pool->slots = config->slots;
    pool->epoll_fd = pool->call_fd = pool->zygote.control = -1;
    pool->retry_at_us = pool->look_at_us = pool->start_at_us = INT64_MAX;
    pool->trim_at_us = pool->stamp_at_us = INT64_MAX;
    if (config->concealed != NULL) {
        pool->concealed = config->concealed;
        pool->stamp_at_us = 0;
    }
    pool->idle_us = INT64_MAX;
    if (config->idle_ms != 0 && config->idle_ms < (uint64_t)INT64_MAX / 4000U) {
        pool->idle_us = (int64_t)config->idle_ms * 1000;
    }
    drv_rng_init(&pool->rng, drv_clock_now_us() ^ (uint64_t)getpid() << 32);
    drv_pages_init(&pool->pages);
    drv_slab_init(&pool->run_slab, &pool->pages, sizeof(struct run));
    drv_heap_init(&pool->timers, is_due_before);
    drv_list_init(&pool->limited);
    pool->sample_at_us = INT64_MAX;
    pool->proc_fd = -1;
    drv_buffer_init(&pool->record);
    drv_list_init(&pool->watched);
    drv_list_init(&pool->dropped);
    for (size_t i = 0; i < POOL_MODELS; i++) {
        struct crew *crew = &pool->crews[i];
        crew->model = model_of((enum pool_model)(POOL_MODEL_PREFORK + i));
        drv_list_init(&crew->idle);
        drv_list_init(&crew->spare);
        drv_list_init(&crew->pending);
    }
}

static drover_status check_config(const struct pool_config *config, struct drv_problem *problem)
{
    if (config->slots == 0 || config->slots > POOL_SLOTS_MAX) {
        return drv_problem_set(problem, DROVER_INVALID, "slots must be from 1 to %d",
                               POOL_SLOTS_MAX);
    }
    if (config->threads > POOL_THREADS_MAX) {
        return drv_problem_set(problem, DROVER_INVALID, "threads must be from 1 to %d",
                               POOL_THREADS_MAX);
    }
    if (config->model == POOL_MODEL_EXEC) {
        return drv_problem_set(problem, DROVER_INVALID, "functions cannot run as exec");
    }
    return DROVER_OK;
}

drover_status pool_new(const struct pool_config *config, struct drv_problem *problem,
                       struct pool **out_pool)
{
    drover_status status = check_config(config, problem);
    if (status) {
        return status;
    }
    struct pool *pool = calloc(1, sizeof(*pool));
    if (pool == NULL) {
        return drv_problem_set(problem, DROVER_NOMEM, "out of memory");
    }
    init(pool, config);
    status = start(pool, config, problem);
    if (status) {
        pool_close(&pool);
        return status;
    }
    pool_start_procs(pool, (int64_t)drv_clock_now_us());
    *out_pool = pool;
    return DROVER_OK;
}

/* ---- ending -------------------------------------------------------------------------------
 */

static bool is_stranger(void *context, pid_t pid)
{
    const struct pool *pool = context;
    for (size_t i = 0; i < pool->stranger_count; i++) {
        if (pool->strangers[i] == pid) {
            return true;
        }
    }
    return false;
}

/* What falls to this process when the zygote is gone. */
static void end_processes(struct pool *pool)
{
    zygote_stop(&pool->zygote);
    drv_proctree_end_children(is_stranger, pool);
    if (pool->tmp_base[0] != '\0' && drv_tmpdir_remove(pool->tmp_base) != DROVER_OK) {
        drv_log_warn(pool->log, "cannot remove a temporary directory",
                     drv_log_str("path", pool->tmp_base));
    }
    pool->tmp_base[0] = '\0';
}

static void free_runs(struct pool *pool)
{
    for (size_t i = 0; i < pool->type_count; i++) {
        pool->types[i].concurrency = 0; /* nobody takes the place of those that go */
    }
    for (size_t i = 0; i < pool->runs_capacity; i++) {
        if (pool->runs[i] != NULL) {
            pool_run_free(pool, pool->runs[i]);
        }
    }
}

void pool_close(struct pool **pool_pointer)
{
    struct pool *pool = *pool_pointer;
    if (pool == NULL) {
        return;
    }
    *pool_pointer = NULL;
    if (pool->zygote.pid > 0) {
        end_processes(pool);
    }
    free_runs(pool);
    for (size_t i = 0; i < pool->proc_count; i++) {
        pool_proc_fini(pool, &pool->procs[i]);
    }
    for (size_t i = 0; i < pool->type_count; i++) {
        free(pool->types[i].name);
    }
    if (pool->epoll_fd >= 0) {
        (void)close(pool->epoll_fd);
    }
    if (pool->call_fd >= 0) {
        (void)close(pool->call_fd);
    }
    free(pool->runs);
    drv_slab_fini(&pool->run_slab);
    drv_pages_fini(&pool->pages);
    drv_heap_fini(&pool->timers);
    pool_limit_end(pool);
    drv_buffer_fini(&pool->record);
    free(pool->types);
    free(pool->sorted);
    free(pool->procs);
    free(pool->seats);
    free(pool->strangers);
    free(pool->group_dir);
    free(pool);
}

/* ---- one turn -----------------------------------------------------------------------------
 */

int pool_fd(const struct pool *pool)
{
    return pool->epoll_fd;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t pool_deadline_us(const struct pool *pool)
{
    if (pool->is_broken) {
        return INT64_MAX;
    }
    if (pool->has_work || pool->must_place) {
        return 0;
    }
    int64_t due_us = earlier(pool->retry_at_us, pool->look_at_us);
    due_us = earlier(due_us, earlier(pool->start_at_us, pool->trim_at_us));
    due_us = earlier(due_us, earlier(pool->sample_at_us, pool->stamp_at_us));
    due_us = earlier(due_us, pool_shrink_at_us(pool));
    const struct drv_heap_node *node = drv_heap_min(&pool->timers);
    if (node != NULL) {
        const struct run *run = DRV_CONTAINER_OF((struct drv_heap_node *)(uintptr_t)node,
                                                 struct run, timer);
        due_us = earlier(due_us, run->due_us);
    }
    const struct drv_list *link = drv_list_first(&pool->watched);
    if (link != NULL) {
        const struct seat *seat = DRV_LIST_ITEM((struct drv_list *)(uintptr_t)link, struct seat,
                                                watch);
        due_us = earlier(due_us, seat->watch_at_us);
    }
    return due_us;
}

/* Who has called; whether the zygote spoke is returned. */
static bool hear(struct pool *pool)
{
    struct epoll_event events[EPOLL_BATCH];
    int count = epoll_wait(pool->epoll_fd, events, EPOLL_BATCH, 0);
    bool has_zygote = false;
    for (int i = 0; i < count; i++) {
        uint32_t tag = events[i].data.u32;
        if (tag == TAG_CALL) {
            lane_clear(pool->call_fd);
        } else if (tag == TAG_ZYGOTE) {
            has_zygote = true;
        } else if (tag < pool->proc_count) {
            pool_output_note(&pool->procs[tag], (events[i].events & EPOLLHUP) != 0);
        }
    }
    return has_zygote;
}

static void read_seats(struct pool *pool, const struct pool_sink *sink, int64_t now_us)
{
    for (size_t i = 0; i < pool->seat_count; i++) {
        if (pool->seats[i].placed_count > 0) {
            pool_read_seat(pool, &pool->seats[i], sink, now_us);
        }
    }
}

static void read_outputs(struct pool *pool, const struct pool_sink *sink, int64_t now_us)
{
    for (size_t i = 0; i < pool->proc_count; i++) {
        pool_output_read(pool, &pool->procs[i], sink, now_us);
    }
}

static void trim_lanes(struct pool *pool, int64_t now_us)
{
    if (pool->trim_at_us == INT64_MAX && pool->has_spare) {
        pool->trim_at_us = now_us + POOL_TRIM_US;
    }
    if (pool->trim_at_us > now_us) {
        return;
    }
    pool->has_spare = false;
    for (size_t i = 0; i < pool->seat_count; i++) {
        struct lane *lane = &pool->seats[i].lane; /* open once its process was started */
        pool->has_spare = (lane->is_agent && lane_trim(lane)) || pool->has_spare;
    }
    pool->trim_at_us = pool->has_spare ? now_us + POOL_TRIM_US : INT64_MAX;
}

static void retry(struct pool *pool, int64_t now_us)
{
    if (pool->retry_at_us > now_us) {
        return;
    }
    pool->retry_at_us = INT64_MAX;
    for (size_t i = 0; i < pool->proc_count; i++) {
        if (pool->procs[i].must_kill) {
            pool_kill(pool, &pool->procs[i]);
        }
    }
    for (size_t i = 0; i < pool->seat_count; i++) {
        struct seat *seat = &pool->seats[i];
        if (seat->answer.is_set) {
            pool_send_answer(pool, seat, now_us);
        }
    }
}

static void arm_seats(struct pool *pool)
{
    for (size_t i = 0; i < pool->seat_count; i++) {
        struct seat *seat = &pool->seats[i];
        if (seat->placed_count > 0 && !seat->lane.is_broken) {
            pool_arm(pool, seat);
        }
    }
}

void pool_commit(struct pool *pool, int64_t now_us)
{
    if (pool->must_place && !pool->is_broken) {
        pool_place(pool, now_us);
        arm_seats(pool);
    }
}

drover_status pool_poll(struct pool *pool, int64_t now_us, pool_event_fn on_event,
                        void *context)
{
    const struct pool_sink sink = {.on_event = on_event, .context = context};
    if (pool->is_broken) {
        return DROVER_CLOSED;
    }
    pool->has_work = false;
    bool has_zygote = hear(pool);
    read_seats(pool, &sink, now_us);
    read_outputs(pool, &sink, now_us);
    if (has_zygote && pool_read_zygote(pool, &sink, now_us) != DROVER_OK) {
        drv_log_error(pool->log, "the zygote is gone");
        end_processes(pool);
        pool_give_up(pool, &sink, now_us);
        return DROVER_CLOSED;
    }
    pool_report_dropped(pool, &sink);
    pool_run_timers(pool, &sink, now_us);
    pool_limit_sample(pool, now_us);
    retry(pool, now_us);
    trim_lanes(pool, now_us);
    pool_shrink(pool, now_us);
    pool_renew(pool, now_us);
    pool_place(pool, now_us);
    arm_seats(pool);
    pool->look_at_us = pool->busy_count > 0 ? now_us + POOL_LOOK_US : INT64_MAX;
    return DROVER_OK;
}

/* ---- what is known ------------------------------------------------------------------------
 */

size_t pool_type_count(const struct pool *pool)
{
    return pool->type_count;
}

struct pool_type pool_type_at(const struct pool *pool, size_t position)
{
    DRV_ASSERT(position < pool->type_count);
    const struct pool_type_entry *type = &pool->types[position];
    return (struct pool_type){.name = type->name,
                              .model = type->model,
                              .concurrency = type->concurrency,
                              .flags = type->flags,
                              .takes_ranges = type->model == POOL_MODEL_PREFORK &&
                                              pool->crews[0].tasks_max == 0};
}

size_t pool_attempt_count(const struct pool *pool)
{
    return pool->run_count;
}

size_t pool_waiting_count(const struct pool *pool)
{
    return pool_attempt_count(pool) - pool->busy_count;
}

size_t pool_idle_count(const struct pool *pool)
{
    size_t taken = pool->busy_count;
    for (size_t i = 0; i < POOL_MODELS; i++) {
        taken += pool->crews[i].pending_count;
    }
    return pool->is_broken || taken > pool->slots ? 0 : pool->slots - taken;
}

pid_t pool_zygote_pid(const struct pool *pool)
{
    return pool->zygote.pid;
}

const char *pool_model_name(enum pool_model model)
{
    bool is_known = model >= POOL_MODEL_PREFORK && model <= POOL_MODEL_EXEC;
    return is_known ? model_of(model)->name : "model";
}

const char *pool_executor_state_name(enum pool_executor_state state)
{
    switch (state) {
    case POOL_EXECUTOR_STARTING:
        return "starting";
    case POOL_EXECUTOR_IDLE:
        return "idle";
    case POOL_EXECUTOR_BUSY:
        return "busy";
    case POOL_EXECUTOR_STOPPING:
        return "stopping";
    case POOL_EXECUTOR_DOWN:
        return "down";
    }
    return "state";
}

/* ---- one call, for debuggers ----------------------------------------------------------------
 */

static drover_status call_handler(const struct module_handler *handler,
                                  const drover_value *payload, struct drv_problem *problem,
                                  drover_value **out_result)
{
    struct drover_job job;
    struct job_outcome outcome;
    struct record_task task = {.index = DROVER_INDEX_NONE, .attempt = 1};
    drover_status status = drover_id_new(&task.id);
    if (status) {
        return drv_problem_set(problem, status, "no random numbers");
    }
    job_init(&job, NULL, &task, handler->type, (int64_t)drv_clock_now_us());
    job_outcome_init(&outcome);
    function_run(&job, handler, payload, &outcome);
    if (outcome.outcome != RECORD_SUCCEEDED) {
        status = drv_problem_set(problem, DROVER_FAILED, "%s: %s", outcome.code, outcome.text);
    } else if (outcome.value == NULL) {
        status = drover_value_new_nil(out_result);
    } else {
        *out_result = outcome.value;
        outcome.value = NULL;
    }
    job_outcome_fini(&outcome);
    return status;
}

drover_status pool_call(const struct pool_config *config, const char *type,
                        const drover_value *payload, struct drv_problem *problem,
                        drover_value **out_result)
{
    struct module_set set;
    drover_status status = module_set_load(&set, config, problem);
    if (status) {
        return status;
    }
    const struct module_handler *handler = module_set_find(&set, type);
    if (handler == NULL) {
        status = drv_problem_set(problem, DROVER_UNKNOWN, "no handler for type %s", type);
    } else if (handler->kind != MODULE_FUNCTION) {
        status = drv_problem_set(problem, DROVER_UNSUPPORTED,
                                 "%s is a command, which can be called without drover", type);
    } else {
        status = call_handler(handler, payload, problem, out_result);
    }
    module_set_fini(&set);
    return status;
}
