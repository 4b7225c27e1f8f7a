#include "executor.h"

#include "check.h"
#include "clock.h"
#include "job.h"
#include "list.h"
#include "model/model.h"
#include "proctree.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
    CALL_PAUSE_US = 50 * 1000, /* between calls to the agent for what may be dropped */
    SEND_WAIT_MS = 100,        /* longest wait for space before looking again */
};

struct shared_value { /* of an array; used by attempts that were read ahead */
    size_t references;
    drover_value *value;
};

struct entry { /* an attempt that was read and not claimed yet */
    struct drv_list link;
    struct record_task task;
    struct drv_view meta;         /* in record */
    struct drv_view content_type; /* in record */
    uint8_t *record;              /* owned */
    struct drv_data *payload;     /* owned; NULL: nil */
    struct shared_value *shared;  /* owned reference; NULL: none */
};

struct executor {
    struct executor_process *process;
    const struct executor_config *config; /* the process's */
    void *state;                          /* the model's */
    struct lane lane;
    struct drv_list queue;       /* entries, in order */
    struct shared_value *shared; /* the last that came; owned reference */
    uint64_t serial;             /* of the attempt that runs; 0: none */
    uint64_t sequence;           /* of requests */
    bool is_asking;              /* for an answer to `sequence` */
    bool has_answer;
    struct executor_answer answer;
    int64_t called_at_us; /* last call for what may be dropped */
    struct rusage usage;  /* at the end of the last attempt */
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
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
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

/* ---- reading the ring -----------------------------------------------------------------------
 */

static void shared_release(struct shared_value *shared)
{
    if (shared != NULL && --shared->references == 0) {
        drover_value_destroy(&shared->value);
        free(shared);
    }
}

static void entry_free(struct entry *entry)
{
    drv_data_unref(&entry->payload);
    shared_release(entry->shared);
    free(entry->record);
    free(entry);
}

static drover_status value_from(const struct drv_data *data, struct drv_view content_type,
                                drover_value **out_value)
{
    struct drv_view bytes = drv_data_view(data);
    if (data == NULL) {
        return drover_value_new_nil(out_value);
    }
    if (content_type.len == 0) {
        return drover_value_from_msgpack(bytes.bytes, bytes.len, out_value);
    }
    char type[DROVER_CONTENT_TYPE_MAX + 1];
    memcpy(type, content_type.bytes, content_type.len);
    type[content_type.len] = '\0';
    return drover_value_new_raw(bytes.bytes, bytes.len, type, out_value);
}

static void on_task(struct executor *executor, struct drv_view rest, struct drv_buffer *record)
{
    struct entry *entry = calloc(1, sizeof(*entry));
    if (entry == NULL || !lane_take_head(&rest, &entry->task, sizeof(entry->task)) ||
        !lane_take_bytes(&rest, entry->task.meta_len, &entry->meta) ||
        lane_take_value(&executor->lane, &entry->task.payload, true, &rest, &entry->payload,
                        &entry->content_type) != DROVER_OK ||
        drv_buffer_detach(record, &entry->record, NULL) != DROVER_OK) {
        executor_die("cannot take a task");
    }
    if (entry->task.has_shared != 0 && executor->shared != NULL) {
        entry->shared = executor->shared;
        entry->shared->references++;
    }
    drv_list_push_back(&executor->queue, &entry->link);
}

static void on_shared(struct executor *executor, struct drv_view rest)
{
    struct record_shared head;
    struct drv_data *data = NULL;
    struct drv_view content_type;
    struct shared_value *shared = calloc(1, sizeof(*shared));
    if (shared == NULL || !lane_take_head(&rest, &head, sizeof(head)) ||
        lane_take_value(&executor->lane, &head.value, true, &rest, &data, &content_type) !=
            DROVER_OK) {
        executor_die("cannot take a shared value");
    }
    shared->references = 1;
    /* What is no value is no value for the handlers either; they see NULL. */
    (void)!value_from(data, content_type, &shared->value);
    drv_data_unref(&data);
    shared_release(executor->shared);
    executor->shared = shared;
}

static void on_kv_reply(struct executor *executor, struct drv_view rest)
{
    struct record_kv_reply head;
    struct drv_data *data = NULL;
    struct drv_view content_type;
    if (!lane_take_head(&rest, &head, sizeof(head)) ||
        lane_take_value(&executor->lane, &head.value, true, &rest, &data, &content_type) !=
            DROVER_OK) {
        executor_die("cannot take an answer");
    }
    if (executor->is_asking && head.sequence == executor->sequence) {
        executor->is_asking = false;
        executor->has_answer = true;
        executor->answer = (struct executor_answer){.status = (drover_status)head.status,
                                                    .number = head.number};
        if (data != NULL) {
            drover_status status = value_from(data, content_type, &executor->answer.value);
            if (status) {
                executor->answer.status = status;
            }
        }
    }
    drv_data_unref(&data);
}

static void on_record(struct executor *executor, struct drv_buffer *record)
{
    uint32_t kind;
    struct drv_view rest = drv_buffer_view(record);
    if (rest.len < sizeof(kind)) {
        executor_die("short record");
    }
    memcpy(&kind, rest.bytes, sizeof(kind));
    switch (kind) {
    case RECORD_TASK:
        on_task(executor, rest, record);
        break;
    case RECORD_SHARED:
        on_shared(executor, rest);
        break;
    case RECORD_KV_REPLY:
        on_kv_reply(executor, rest);
        break;
    default:
        executor_die("unknown record");
    }
}

static void read_ring(struct executor *executor)
{
    struct drv_buffer record;
    drv_buffer_init(&record);
    drover_status status = ring_read(&executor->lane.in, &record);
    bool has_read = !status;
    for (; !status; status = ring_read(&executor->lane.in, &record)) {
        on_record(executor, &record);
    }
    drv_buffer_fini(&record);
    if (status != DROVER_NOT_READY) {
        executor_die("cannot read the ring");
    }
    if (has_read && ring_reader_must_wake(&executor->lane.in)) {
        lane_signal(executor->lane.call_fd);
    }
}

/* ---- waiting ------------------------------------------------------------------------------
 */

bool executor_is_cancelled(const struct executor *executor, uint64_t serial)
{
    return serial != 0 &&
           atomic_load_explicit(&executor->lane.shared->cancel, memory_order_acquire) == serial;
}

uint64_t executor_kill_ms(const struct executor *executor)
{
    return atomic_load(&executor->lane.shared->cancel_kill_ms);
}

static void poll_until(struct pollfd *fds, size_t count, int64_t until_us)
{
    if (until_us == INT64_MAX) {
        (void)poll(fds, (nfds_t)count, -1);
        return;
    }
    int64_t left_us = until_us - (int64_t)drv_clock_now_us();
    if (left_us < 0) {
        left_us = 0;
    }
    struct timespec left = {.tv_sec = (time_t)(left_us / 1000000),
                            .tv_nsec = (long)(left_us % 1000000) * 1000};
    (void)ppoll(fds, (nfds_t)count, &left, NULL);
}

void executor_wait(struct executor *executor, uint64_t serial, struct pollfd *fds, size_t count,
                   int64_t until_us)
{
    fds[0] = (struct pollfd){.fd = executor->lane.wake_fd, .events = POLLIN};
    for (;;) {
        for (size_t i = 0; i < count; i++) {
            fds[i].revents = 0;
        }
        read_ring(executor);
        if (executor->has_answer || executor_is_cancelled(executor, serial)) {
            return;
        }
        if (!ring_reader_sleep(&executor->lane.in)) {
            continue;
        }
        poll_until(fds, count, until_us);
        ring_reader_wake(&executor->lane.in);
        if (fds[0].revents != 0) {
            lane_clear(executor->lane.wake_fd);
        }
        bool is_ready = false;
        for (size_t i = 1; i < count; i++) {
            is_ready = is_ready || fds[i].revents != 0;
        }
        if (is_ready || (int64_t)drv_clock_now_us() >= until_us) {
            return;
        }
    }
}

/* ---- sending ------------------------------------------------------------------------------
 */

static void call_agent(struct executor *executor)
{
    if (ring_writer_must_wake(&executor->lane.out)) {
        lane_signal(executor->lane.call_fd);
    }
}

bool executor_tell(struct executor *executor, const struct lane_record *record)
{
    size_t used = ring_writer_used(&executor->lane.out);
    if (used > LANE_RING_BYTES / 2 || lane_send(&executor->lane, record) != DROVER_OK) {
        return false;
    }
    int64_t now_us = (int64_t)drv_clock_now_us();
    if (used > LANE_RING_BYTES / 4 || now_us - executor->called_at_us >= CALL_PAUSE_US) {
        executor->called_at_us = now_us;
        call_agent(executor);
    }
    return true;
}

/* Blocks until the record is sent, or cannot ever be. */
static drover_status send_record(struct executor *executor, const struct lane_record *record)
{
    for (;;) {
        drover_status status = lane_send(&executor->lane, record);
        if (status != DROVER_BUSY) {
            call_agent(executor);
            return status;
        }
        call_agent(executor);
        struct pollfd fd = {.fd = executor->lane.wake_fd, .events = POLLIN};
        if (ring_writer_wait(&executor->lane.out, lane_record_len(record))) {
            (void)poll(&fd, 1, SEND_WAIT_MS);
            lane_clear(executor->lane.wake_fd);
        } else { /* the ring has room, so it is the socket that is full */
            struct pollfd values = {.fd = executor->lane.values_fd, .events = POLLOUT};
            (void)poll(&values, 1, SEND_WAIT_MS);
        }
    }
}

static struct record_output output_head(const struct executor_stream *stream,
                                        struct drv_view bytes)
{
    return (struct record_output){.kind = RECORD_OUTPUT,
                                  .stream = (uint32_t)stream->stream,
                                  .serial = stream->serial,
                                  .missed = stream->missed,
                                  .len = (uint32_t)bytes.len};
}

bool executor_print(struct executor *executor, struct executor_stream *stream,
                    struct drv_view bytes)
{
    struct record_output head = output_head(stream, bytes);
    struct lane_record record = {
        .head = &head, .head_len = sizeof(head), .parts = &bytes, .count = 1};
    if (!executor_tell(executor, &record)) {
        return false;
    }
    stream->missed = 0;
    return true;
}

void executor_print_last(struct executor *executor, struct executor_stream *stream,
                         struct drv_view bytes)
{
    struct record_output head = output_head(stream, bytes);
    struct lane_record record = {
        .head = &head, .head_len = sizeof(head), .parts = &bytes, .count = 1};
    if (bytes.len + stream->missed > 0 && send_record(executor, &record) == DROVER_OK) {
        stream->missed = 0;
    }
}

static struct lane_value lane_value_of(const drover_value *value)
{
    if (value == NULL || drover_value_get_type(value) == DROVER_VALUE_NIL) {
        return (struct lane_value){.is_nil = true};
    }
    const void *bytes;
    size_t len;
    drover_value_bytes(value, &bytes, &len);
    return (struct lane_value){.bytes = drv_view_of(bytes, len),
                               .content_type = drv_view_text(drover_value_content_type(value))};
}

drover_status executor_ask(struct executor *executor, struct record_kv *request,
                           struct drv_view key, const drover_value *value,
                           struct executor_answer *out_answer)
{
    struct lane_value sent = lane_value_of(value);
    struct lane_record record = {.head = request,
                                 .head_len = sizeof(*request),
                                 .parts = &key,
                                 .count = 1,
                                 .slot = &request->value,
                                 .value = &sent};
    request->sequence = ++executor->sequence;
    request->key_len = (uint32_t)key.len;
    executor->is_asking = true;
    executor->has_answer = false;
    int64_t until_us = INT64_MAX;
    int64_t now_us = (int64_t)drv_clock_now_us();
    if (request->timeout_ms < (uint64_t)(INT64_MAX - now_us) / 1000U) {
        until_us = now_us + (int64_t)request->timeout_ms * 1000;
    }
    drover_status status = send_record(executor, &record);
    while (!status && !executor->has_answer) {
        struct pollfd fd;
        executor_wait(executor, request->serial, &fd, 1, until_us);
        if (executor->has_answer) {
            break;
        }
        if (executor_is_cancelled(executor, request->serial)) {
            status = DROVER_CANCELLED;
        } else if ((int64_t)drv_clock_now_us() >= until_us) {
            status = DROVER_TIMEOUT;
        }
    }
    executor->is_asking = false;
    executor->has_answer = false;
    if (!status) {
        *out_answer = executor->answer;
    }
    executor->answer = (struct executor_answer){.value = NULL};
    return status;
}

/* ---- running an attempt -------------------------------------------------------------------
 */

static uint64_t micros(struct timeval time)
{
    return (uint64_t)time.tv_sec * 1000000U + (uint64_t)time.tv_usec;
}

static void fill_usage(struct executor *executor, const struct job_outcome *outcome,
                       struct record_finished *head)
{
    struct rusage before = executor->usage;
    (void)getrusage(executor->config->model->usage_who, &executor->usage);
    if (outcome->has_usage) {
        head->user_us = outcome->user_us;
        head->system_us = outcome->system_us;
        head->peak_rss_bytes = outcome->peak_rss_bytes;
        head->pid = outcome->pid;
        return;
    }
    head->user_us = micros(executor->usage.ru_utime) - micros(before.ru_utime);
    head->system_us = micros(executor->usage.ru_stime) - micros(before.ru_stime);
    head->peak_rss_bytes = (uint64_t)executor->usage.ru_maxrss * 1024U;
    head->pid = (uint32_t)getpid();
}

/* Whether the process is too big to go on. Costs nothing before it has been so once. */
static bool is_over_memory(const struct executor *executor)
{
    uint64_t memory_max = executor->config->pool->memory_max;
    return memory_max != 0 && (uint64_t)executor->usage.ru_maxrss * 1024U > memory_max &&
           executor_resident_bytes(0) > memory_max;
}

static drover_status send_finished(struct executor *executor, struct record_finished *head,
                                   const struct job_outcome *outcome)
{
    struct lane_value value = lane_value_of(outcome->value);
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
    head->exit_code = outcome->exit_code;
    head->signal = (uint32_t)outcome->signal;
    head->permanent = outcome->is_permanent ? 1 : 0;
    head->code_len = (uint32_t)parts[0].len;
    head->text_len = (uint32_t)parts[1].len;
    head->stderr_len = (uint32_t)parts[2].len;
    return send_record(executor, &record);
}

/* What the attempt has printed is in the pipes, and it is known how far that reaches. */
static void fill_printed(const struct executor *executor, struct record_finished *head)
{
    (void)fflush(stdout);
    for (size_t i = 0; executor->config->lane_count == 1 && i < LANE_PIPES; i++) {
        head->printed[i] = lane_printed(&executor->lane, i, executor->config->output_fds[i]);
    }
}

static void report(struct executor *executor, const struct record_task *task, int64_t run_us,
                   struct job_outcome *outcome)
{
    struct record_finished head = {.kind = RECORD_FINISHED,
                                   .claim = task->claim,
                                   .serial = task->serial,
                                   .run_us = run_us > 0 ? (uint64_t)run_us : 0};
    fill_printed(executor, &head);
    fill_usage(executor, outcome, &head);
    if (is_over_memory(executor)) {
        atomic_store(&executor->process->is_spent, true);
        head.is_spent = 1;
    }
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

static void run(struct executor *executor, const struct entry *entry, int64_t started_us)
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
    job.shared = entry->shared != NULL ? entry->shared->value : NULL;
    drover_status status = value_from(entry->payload, entry->content_type, &payload);
    if (status) {
        job_outcome_fail(&outcome, DROVER_ERROR_HANDLER, "bad-payload",
                         "the payload is no value: %s", drover_status_text(status));
        outcome.is_permanent = status != DROVER_NOMEM;
    } else {
        executor->config->model->run(&job, handler, payload, &outcome);
    }
    drover_value_destroy(&payload);
    int64_t run_us = (int64_t)drv_clock_now_us() - started_us;
    job_end(&job);
    report(executor, &entry->task, run_us, &outcome);
    job_outcome_fini(&outcome);
}

static void take(struct executor *executor, const struct entry *entry)
{
    int64_t now_us = (int64_t)drv_clock_now_us();
    if (atomic_load_explicit(&executor->process->is_spent, memory_order_relaxed)) {
        return; /* the agent takes it back */
    }
    atomic_store(&executor->lane.shared->taken_at_us, now_us);
    executor->serial = entry->task.serial;
    if (lane_claim(&executor->lane, entry->task.claim, entry->task.serial, LANE_TAKEN)) {
        run(executor, entry, now_us);
    }
    executor->serial = 0;
}

static _Noreturn void loop(struct executor *executor)
{
    struct pollfd fd = {.fd = executor->lane.wake_fd, .events = POLLIN};
    const struct model *model = executor->config->model;
    for (;;) {
        read_ring(executor);
        struct drv_list *link = drv_list_pop_front(&executor->queue);
        if (link != NULL) {
            struct entry *entry = DRV_LIST_ITEM(link, struct entry, link);
            take(executor, entry);
            entry_free(entry);
            continue;
        }
        if (model->rest != NULL) {
            model->rest(executor);
        }
        if (ring_reader_sleep(&executor->lane.in)) {
            (void)poll(&fd, 1, -1);
            ring_reader_wake(&executor->lane.in);
            lane_clear(executor->lane.wake_fd);
        }
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
    (void)getrusage(config->model->usage_who, &executor.usage);
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

_Noreturn void executor_main(const struct executor_config *config)
{
    protect(config);
    redirect(config->output_fds);
    offer_to_oom_killer();
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
