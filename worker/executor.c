#include "executor_private.h"

#include "allocator.h"
#include "bound.h"
#include "check.h"
#include "clock.h"
#include "conceal.h"
#include "group.h"
#include "job.h"
#include "model/model.h"
#include "proctree.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum {
    CALL_LATER_US = 50,   /* results of short attempts wait so long for company */
    SPARE_KEEP_MS = 1000, /* so long after a large value there may come another one */
};

_Noreturn void executor_die(const char *why)
{
    (void)fprintf(stderr, "executor: %s\n", why);
    _exit(70);
}

/* ---- becoming an executor -------------------------------------------------------------------
 */

static void protect(const struct executor_config *config)
{
    sigset_t none;
    (void)sigemptyset(&none);
    (void)setpgid(0, 0);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != config->zygote) {
        _exit(71);
    }
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) { /* it is told that they have none */
        _exit(71);
    }
    (void)prctl(PR_SET_NAME, "drover-executor");
    for (int number = 1; number < NSIG; number++) {
        (void)signal(number, SIG_DFL);
    }
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* When memory is short, what runs tasks goes before what looks after them. */
static void offer_to_oom_killer(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)!write(fd, "500", 3);
        (void)close(fd);
    }
}

/* The pipes stay open beside stdout and stderr, which a handler may point elsewhere. */
static void redirect(const int output_fds[LANE_PIPES])
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(output_fds[0], STDOUT_FILENO) < 0 ||
        dup2(output_fds[1], STDERR_FILENO) < 0) {
        _exit(72);
    }
    (void)close(null);
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
}

/* ---- running an attempt -------------------------------------------------------------------
 */

static void fill_usage(struct executor *executor, const struct job_outcome *outcome,
                       int64_t now_us, struct record_finished *head)
{
    if (outcome->has_usage) {
        head->user_us = outcome->user_us;
        head->system_us = outcome->system_us;
        head->peak_rss_bytes = outcome->peak_rss_bytes;
        head->pid = outcome->pid;
    } else {
        meter_read_usage(&executor->meter, now_us, head);
    }
}

/* Costs nothing before it has been too big once. */
bool executor_is_spent(struct executor *executor)
{
    uint64_t memory_max = executor->config->pool->memory_max;
    bool is_over = memory_max != 0 && meter_peak_bytes(&executor->meter) > memory_max &&
                   executor_resident_bytes(0) > memory_max;
    if (is_over) {
        atomic_store(&executor->process->is_spent, true);
    }
    return is_over;
}

static drover_status send_finished(struct executor *executor, struct record_finished *head,
                                   const struct job_outcome *outcome)
{
    struct lane_value value = executor_lane_value(outcome->value);
    struct drv_view parts[] = {drv_view_text(outcome->code), drv_view_text(outcome->text),
                               drv_buffer_view(&outcome->stderr_tail)};
    struct lane_record record = {.head = head,
                                 .head_len = sizeof(*head),
                                 .parts = parts,
                                 .count = DRV_ARRAY_LEN(parts),
                                 .slot = &head->value,
                                 .value = &value};
    head->outcome = (uint32_t)outcome->outcome;
    head->error_kind = (uint32_t)outcome->kind;
    head->is_grouped = executor->is_grouped || outcome->is_grouped ? 1 : 0;
    head->exit_code = outcome->exit_code;
    head->signal = (uint32_t)outcome->signal;
    head->permanent = outcome->is_permanent ? 1 : 0;
    head->code_len = (uint32_t)parts[0].len;
    head->text_len = (uint32_t)parts[1].len;
    head->stderr_len = (uint32_t)parts[2].len;
    executor->has_spare = executor->has_spare || value.bytes.len > RECORD_INLINE_MAX;
    return executor_send(executor, &record);
}

bool executor_has_more(const struct executor *executor)
{
    return !drv_list_is_empty(&executor->queue) || ring_reader_has_record(&executor->lane.in);
}

void executor_report(struct executor *executor, const struct record_task *task, int64_t run_us,
                     struct job_outcome *outcome)
{
    int64_t now_us = executor->ended_at_us;
    struct record_finished head = {.kind = RECORD_FINISHED,
                                   .claim = task->claim,
                                   .serial = task->serial,
                                   .run_us = run_us > 0 ? (uint64_t)run_us : 0};
    (void)fflush(stdout); /* into the pipe, where it is counted */
    meter_read_printed(&executor->meter, task->handler, !executor_has_more(executor), now_us,
                       &head);
    fill_usage(executor, outcome, now_us, &head);
    head.is_spent = executor_is_spent(executor) ? 1 : 0;
    head.is_clean = executor->config->model->tasks_max == 1 && drv_proctree_has_no_children()
                        ? 1
                        : 0;
    drover_status status = send_finished(executor, &head, outcome);
    if (status) {
        job_outcome_fail(outcome, DROVER_ERROR_LIMIT, "result", "the result cannot be sent: %s",
                         drover_status_text(status));
        drover_value_destroy(&outcome->value);
        if (send_finished(executor, &head, outcome) != DROVER_OK) {
            executor_die("cannot report a result");
        }
    }
}

/* A result that is longer than it may be is none. */
static void bound_output(const struct drv_bounds *limits, struct job_outcome *outcome)
{
    const void *bytes;
    size_t len = 0;
    if (limits->output_bytes == 0 || outcome->value == NULL ||
        outcome->outcome != RECORD_SUCCEEDED) {
        return;
    }
    drover_value_bytes(outcome->value, &bytes, &len);
    if (len > limits->output_bytes) {
        job_outcome_fail(outcome, DROVER_ERROR_LIMIT, "output",
                         "the result has %zu bytes, its limit is %" PRIu64, len,
                         limits->output_bytes);
        drover_value_destroy(&outcome->value);
    }
}

/* What the handler is kept to, for the rest of this process; commands have it set when they
 * start. False: it could not, and the attempt has failed. */
static bool confine_self(const struct executor *executor, const struct module_handler *handler,
                         struct job_outcome *outcome)
{
    if (handler->confine == NULL || handler->kind != MODULE_FUNCTION) {
        return true;
    }
    DRV_ASSERT(executor->config->model->tasks_max == 1);
    if (!confine_enter(handler->confine, NULL, executor->config->zygote)) {
        job_outcome_fail(outcome, DROVER_ERROR_HANDLER, "start",
                         "cannot be kept to what is configured: %s", strerror(errno));
        return false;
    }
    return true;
}

bool executor_has_groups(const struct executor_config *config)
{
    return config->pool->group_dir != NULL && config->pool->group_dir[0] != '\0';
}

/* Into a group of its own. That takes the kernel some milliseconds, so it is done once for each
 * process, and by one that runs a single attempt only when that has limits. Without the group
 * limits are kept as where there are none. */
static bool join_group(const struct executor_config *config)
{
    const char *dir = config->pool->group_dir;
    bool is_in = executor_has_groups(config) && group_make(dir, config->slot) &&
                 group_join(dir, config->slot);
    if (executor_has_groups(config) && !is_in) {
        (void)fprintf(stderr, "executor: no control group: %s\n", strerror(errno));
    }
    return is_in;
}

/* Limits of the one attempt of this process, as far as the kernel keeps them. */
static void bound_process(struct executor *executor, const struct executor_entry *entry)
{
    const struct executor_config *config = executor->config;
    bound_self(&entry->limits, false); /* it stays so: not for processes that run several */
    executor->is_grouped = executor_has_groups(config) && bound_needs_process(&entry->limits) &&
                           join_group(config) &&
                           group_limit(config->pool->group_dir, config->slot, &entry->limits);
}

static void run(struct executor *executor, const struct executor_entry *entry,
                int64_t started_us)
{
    DRV_ASSERT(entry->task.handler < executor->config->set->count);
    const struct module_handler *handler =
        &executor->config->set->handlers[entry->task.handler];
    struct drover_job job;
    struct job_outcome outcome;
    drover_value *payload = NULL;
    job_outcome_init(&outcome);
    job_init(&job, executor, &entry->task, handler->type, started_us);
    job.meta = entry->meta;
    job.parents = entry->parents;
    job.limits = entry->limits;
    job.needs = entry->needs;
    job.shared = entry->shared != NULL ? entry->shared->value : NULL;
    drover_status status = executor_payload_of(entry, &payload);
    if (status) {
        job_outcome_fail(&outcome, DROVER_ERROR_HANDLER, "bad-payload",
                         "the payload is no value: %s", drover_status_text(status));
        outcome.is_permanent = status != DROVER_NOMEM;
    } else {
        if (executor->config->model->tasks_max == 1) {
            bound_process(executor, entry);
        }
        if (confine_self(executor, handler, &outcome)) {
            executor->config->model->run(&job, handler, payload, &outcome);
            bound_output(&entry->limits, &outcome);
        }
    }
    drover_value_destroy(&payload);
    executor->ended_at_us = (int64_t)drv_clock_now_us();
    job_end(&job);
    executor_report(executor, &entry->task, executor->ended_at_us - started_us, &outcome);
    job_outcome_fini(&outcome);
}

static void take(struct executor *executor, const struct executor_entry *entry)
{
    if (atomic_load_explicit(&executor->process->is_spent, memory_order_relaxed)) {
        return; /* the agent takes it back */
    }
    /* The end of the last one, when this one follows at once. */
    int64_t now_us = executor->ended_at_us;
    if (now_us == 0) {
        now_us = executor->told_at_us = (int64_t)drv_clock_now_us();
    }
    atomic_store_explicit(&executor->lane.shared->taken_at_us, now_us, memory_order_relaxed);
    executor->serial = entry->task.serial;
    if (lane_claim(&executor->lane, entry->task.claim, entry->task.serial, LANE_TAKEN)) {
        if (entry->lengths.len == 0) {
            run(executor, entry, now_us);
        } else {
            executor_run_range(executor, entry, now_us);
        }
    }
    executor->serial = 0;
}

/* After an attempt. The results of short ones wait for company while there is more to run; one
 * that turns out to be long then is noticed by the agent, which looks at what has taken long.
 */
static void consider_call(struct executor *executor)
{
    if (!executor_has_more(executor) ||
        executor->ended_at_us - executor->told_at_us >= CALL_LATER_US) {
        executor_pay_call(executor);
    }
}

/* Runs the next attempt, in place if it was not read before; false: there is none. */
static bool run_next(struct executor *executor)
{
    struct drv_list *link = drv_list_pop_front(&executor->queue);
    if (link != NULL) {
        struct executor_ahead *ahead = DRV_LIST_ITEM(link, struct executor_ahead, link);
        take(executor, &ahead->entry);
        executor_entry_fini(executor, &ahead->entry);
        free(ahead->record);
        free(ahead);
        consider_call(executor);
        return true;
    }
    bool is_task = false;
    while (executor_read_record(executor, &is_task)) {
    }
    if (!is_task) {
        return false;
    }
    /* What it runs may read the ring, so the buffer is its own meanwhile. */
    struct executor_entry entry;
    struct drv_buffer record = executor->record;
    drv_buffer_init(&executor->record);
    executor_parse_task(executor, drv_buffer_view(&record), &entry);
    take(executor, &entry);
    executor_entry_fini(executor, &entry);
    drv_buffer_fini(&executor->record);
    executor->record = record;
    consider_call(executor);
    return true;
}

static _Noreturn void loop(struct executor *executor)
{
    struct pollfd fd = {.fd = executor->lane.wake_fd, .events = POLLIN};
    const struct model *model = executor->config->model;
    for (;;) {
        if (run_next(executor)) {
            continue;
        }
        executor_pay_call(executor);
        if (model->rest != NULL) {
            model->rest(executor);
        }
        if (ring_reader_sleep(&executor->lane.in)) {
            if (poll(&fd, 1, executor->has_spare ? SPARE_KEEP_MS : -1) == 0) {
                drv_allocator_trim();
                executor->has_spare = false;
            }
            ring_reader_wake(&executor->lane.in);
            lane_clear(executor->lane.wake_fd);
        }
        executor->ended_at_us = 0;
    }
}

/* ---- serving ------------------------------------------------------------------------------
 */

void executor_process_init(struct executor_process *process,
                           const struct executor_config *config)
{
    process->config = config;
    atomic_init(&process->is_spent, false);
}

_Noreturn void executor_serve(struct executor_process *process, size_t lane, void *state,
                              struct executor **out_executor)
{
    const struct executor_config *config = process->config;
    struct executor executor = {.process = process, .config = config, .state = state};
    if (lane_join(&executor.lane, &config->ends[lane]) != DROVER_OK) {
        executor_die("cannot map the ring");
    }
    drv_list_init(&executor.queue);
    drv_buffer_init(&executor.record);
    drv_buffer_init(&executor.place);
    meter_init(&executor.meter, &executor.lane,
               config->lane_count == 1 ? config->output_fds : NULL, config->model->usage_who,
               config->set->count, (int64_t)drv_clock_now_us());
    if (config->model->tasks_max == 1) {
        executor.meter.usage_at_us = 0; /* there is no next time */
    }
    if (out_executor != NULL) {
        *out_executor = &executor;
    }
    loop(&executor);
}

void executor_serve_alone(const struct executor_config *config)
{
    struct executor_process process;
    executor_process_init(&process, config);
    executor_serve(&process, 0, NULL, NULL);
}

/* Commands are kept to it one by one: what is there when they start they can read. */
static void conceal(const struct executor_config *config)
{
    if (config->pool->concealed == NULL || config->model->id == POOL_MODEL_EXEC) {
        return;
    }
    if (config->rules < 0 || !conceal_keep_to(config->rules)) {
        executor_die("cannot be kept from the worker's key");
    }
    (void)close(config->rules);
}

_Noreturn void executor_main(const struct executor_config *config)
{
    protect(config);
    redirect(config->output_fds);
    offer_to_oom_killer();
    conceal(config);
    /* An executor of commands gives groups to what it starts. */
    if (!config->model->ends_itself && config->model->tasks_max != 1) {
        (void)join_group(config);
    }
    config->model->serve(config);
    executor_die("served no more");
}

/* ---- what the models ask for --------------------------------------------------------------
 */

void executor_blame(struct executor *executor)
{
    atomic_store(&executor->lane.shared->blame, executor->serial);
}

const struct pool_config *executor_pool_config(const struct executor *executor)
{
    return executor->config->pool;
}

bool executor_group(const struct executor *executor, uint32_t *out_number)
{
    *out_number = executor->config->slot;
    return executor_has_groups(executor->config);
}

void *executor_state(const struct executor *executor)
{
    return executor->state;
}

uint64_t executor_resident_bytes(pid_t pid)
{
    char path[64] = "/proc/self/statm";
    char text[128] = "";
    if (pid != 0) {
        (void)snprintf(path, sizeof(path), "/proc/%ld/statm", (long)pid);
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)!read(fd, text, sizeof(text) - 1);
        (void)close(fd);
    }
    const char *second = strchr(text, ' '); /* SIZE RESIDENT ... in pages */
    uint64_t pages = second == NULL ? 0 : strtoull(second, NULL, 10);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}
