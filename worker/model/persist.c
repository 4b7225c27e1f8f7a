#include "model/persist.h"

#include "clock.h"
#include "conceal.h"
#include "model/command.h"
#include "model/exec.h"
#include "pack.h"
#include "reader.h"
#include "tmpdir.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PREFIX = 4, /* bytes of a frame's length */
    READ_MAX = 64 * 1024,
    FRAME_EXTRA = 8192, /* a frame beyond its result: keys, texts */
};

struct program {
    const struct pool_command *command; /* borrowed; NULL: free entry */
    pid_t pid;
    int in, out; /* owned, not blocking */
    int pidfd;   /* owned */
    uint64_t used;
    uint64_t stamp; /* of the folders on the way to the key, before its start (conceal.h) */
    int64_t renewed_at_us;      /* what was here before, because of its stamp; 0: never */
    struct drv_buffer received; /* not a whole frame yet */
    char directory[DRV_TMPDIR_PATH_MAX];
};

struct persist_table {
    struct program programs[PERSIST_MAX];
    uint64_t uses;
};

drover_status persist_table_new(struct persist_table **out_table)
{
    struct persist_table *table = calloc(1, sizeof(*table));
    if (table == NULL) {
        return DROVER_NOMEM;
    }
    *out_table = table;
    return DROVER_OK;
}

bool persist_has(const struct persist_table *table, pid_t pid)
{
    for (size_t i = 0; i < PERSIST_MAX; i++) {
        if (table->programs[i].command != NULL && table->programs[i].pid == pid) {
            return true;
        }
    }
    return false;
}

/* ---- life of a program --------------------------------------------------------------------
 */

/* Ends it and everything below it, whether it is still there or not; returns how it ended. */
static int finish(struct program *program, struct executor *executor)
{
    int wait_status = 0;
    (void)kill(-program->pid, SIGKILL);
    (void)kill(program->pid, SIGKILL);
    while (waitpid(program->pid, &wait_status, 0) < 0 && errno == EINTR) {
    }
    (void)close(program->in);
    (void)close(program->out);
    (void)close(program->pidfd);
    drv_buffer_fini(&program->received);
    program->command = NULL; /* no longer spared */
    exec_end_children(executor);
    if (program->directory[0] != '\0') {
        (void)!drv_tmpdir_remove(program->directory);
    }
    return wait_status;
}

static drover_status make_argv(const struct pool_command *command, char ***out_argv)
{
    char **argv = calloc(command->argc + 1, sizeof(*argv));
    if (argv == NULL) {
        return DROVER_NOMEM;
    }
    for (size_t i = 0; i < command->argc; i++) {
        argv[i] = (char *)(uintptr_t)command->argv[i];
    }
    *out_argv = argv;
    return DROVER_OK;
}

static drover_status launch(struct program *program, const struct command *start,
                            int *out_errno)
{
    int in[2] = {-1, -1};
    int out[2] = {-1, -1};
    drover_status status = DROVER_IO;
    if (pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0 &&
        fcntl(in[1], F_SETFL, O_NONBLOCK) == 0 && fcntl(out[0], F_SETFL, O_NONBLOCK) == 0) {
        status = command_start(start, in[0], out[1], -1, &program->pid, out_errno);
    } else {
        *out_errno = errno;
    }
    if (!status) {
        program->in = in[1];
        program->out = out[0];
        in[1] = out[0] = -1;
        program->pidfd = pidfd_open(program->pid, 0);
    }
    for (size_t i = 0; i < 2; i++) {
        if (in[i] >= 0) {
            (void)close(in[i]);
        }
        if (out[i] >= 0) {
            (void)close(out[i]);
        }
    }
    return status;
}

static drover_status start_program(struct program *program, struct executor *executor,
                                   const struct pool_command *command, int *out_errno)
{
    struct command_environment environment = {.count = 0};
    char **argv = NULL;
    *out_errno = ENOMEM;
    *program = (struct program){
        .in = -1, .out = -1, .pidfd = -1, .renewed_at_us = program->renewed_at_us};
    drover_status status = command_environment_inherit(
        &environment, executor_pool_config(executor), command->environment,
        command->environment_count);
    if (!status) {
        status = make_argv(command, &argv);
    }
    if (!status && command->cwd == NULL) {
        status = drv_tmpdir_new(exec_tmp(executor), "stay-", program->directory);
        *out_errno = errno;
    }
    if (!status) {
        status = command_become_user(&environment, &command->confine, program->directory);
    }
    if (!status) {
        struct command start = {.argv = argv,
                                .environment = &environment,
                                .cwd = command->cwd != NULL ? command->cwd : program->directory,
                                .confine = &command->confine,
                                .scratch = command->cwd != NULL ? NULL : program->directory,
                                .concealed = executor_pool_config(executor)->concealed};
        program->stamp = start.concealed != NULL ? conceal_stamp(start.concealed) : 0;
        status = launch(program, &start, out_errno);
    }
    if (!status) {
        program->command = command;
        drv_buffer_init(&program->received);
    } else if (program->directory[0] != '\0') {
        (void)!drv_tmpdir_remove(program->directory);
    }
    command_environment_fini(&environment);
    free(argv);
    return status;
}

static bool has_ended(const struct program *program)
{
    siginfo_t info = {.si_pid = 0};
    return waitid(P_PID, (id_t)program->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
           info.si_pid != 0;
}

/* Has said something since its last answer: that would be taken for the next one. */
static bool has_spoken(const struct program *program)
{
    struct pollfd fd = {.fd = program->out, .events = POLLIN};
    return poll(&fd, 1, 0) != 0;
}

/* It cannot read what has come since beside the way to the key. */
static bool is_outdated(struct program *program, const struct executor *executor)
{
    const struct concealed *key = executor_pool_config(executor)->concealed;
    if (key == NULL) {
        return false;
    }
    int64_t now_us = (int64_t)drv_clock_now_us();
    if ((program->renewed_at_us != 0 &&
         now_us - program->renewed_at_us < (int64_t)CONCEAL_RENEW_MS * 1000) ||
        conceal_stamp(key) == program->stamp) {
        return false;
    }
    program->renewed_at_us = now_us;
    return true;
}

/* The running program of a command: found, or started in a place that is or is made free. */
static drover_status ensure(struct persist_table *table, struct executor *executor,
                            const struct pool_command *command, struct program **out_program,
                            int *out_errno)
{
    struct program *place = &table->programs[0];
    for (size_t i = 0; i < PERSIST_MAX; i++) {
        struct program *program = &table->programs[i];
        if (program->command == command) {
            place = program;
            break;
        }
        if (place->command != NULL &&
            (program->command == NULL || program->used < place->used)) {
            place = program;
        }
    }
    if (place->command != NULL && (place->command != command || has_ended(place) ||
                                   has_spoken(place) || is_outdated(place, executor))) {
        (void)finish(place, executor);
    }
    if (place->command == NULL) {
        drover_status status = start_program(place, executor, command, out_errno);
        if (status) {
            return status;
        }
    }
    place->used = ++table->uses;
    *out_program = place;
    return DROVER_OK;
}

/* ---- frames -------------------------------------------------------------------------------
 */

static uint32_t need_count(const struct drover_job *job)
{
    const char *name;
    uint64_t amount;
    uint32_t count = 0;
    while (drover_job_need_at(job, count, &name, &amount)) {
        count++;
    }
    return count;
}

static void pack_needs(struct drv_pack *pack, const struct drover_job *job, uint32_t count)
{
    const char *name;
    uint64_t amount;
    drv_pack_key(pack, "needs");
    drv_pack_map(pack, count);
    for (size_t i = 0; drover_job_need_at(job, i, &name, &amount); i++) {
        drv_pack_key(pack, name);
        drv_pack_uint(pack, amount);
    }
}

static drover_status make_request(const struct drover_job *job, const drover_value *payload,
                                  struct drv_buffer *frame)
{
    struct drv_pack pack;
    char id[DROVER_ID_TEXT_LEN + 1];
    const void *bytes;
    size_t len;
    bool is_raw = drover_value_get_type(payload) == DROVER_VALUE_RAW;
    drover_id_format(&job->task.id, id);
    drover_value_bytes(payload, &bytes, &len);
    uint8_t prefix[PREFIX] = {0};
    drover_status status = drv_buffer_append(frame, prefix, sizeof(prefix));
    if (status) {
        return status;
    }
    drv_pack_init(&pack, frame);
    uint32_t needs = need_count(job);
    drv_pack_map(&pack, 5U + (is_raw ? 1 : 0) + (needs > 0 ? 1 : 0));
    drv_pack_key(&pack, "id");
    drv_pack_text(&pack, id);
    drv_pack_key(&pack, "index");
    if (job->task.index == DROVER_INDEX_NONE) {
        drv_pack_nil(&pack);
    } else {
        drv_pack_uint(&pack, job->task.index);
    }
    drv_pack_key(&pack, "attempt");
    drv_pack_uint(&pack, job->task.attempt);
    drv_pack_key(&pack, "type");
    drv_pack_text(&pack, job->type);
    if (needs > 0) {
        pack_needs(&pack, job, needs);
    }
    drv_pack_key(&pack, "payload");
    if (is_raw) {
        drv_pack_bin(&pack, bytes, len);
        drv_pack_key(&pack, "content_type");
        drv_pack_text(&pack, drover_value_content_type(payload));
    } else {
        drv_pack_raw(&pack, bytes, len);
    }
    status = drv_pack_status(&pack);
    if (!status) {
        uint32_t body = (uint32_t)(frame->len - PREFIX);
        for (size_t i = 0; i < PREFIX; i++) {
            frame->bytes[i] = (uint8_t)(body >> (8 * (PREFIX - 1 - i)));
        }
    }
    return status;
}

struct reply { /* one frame of the program */
    struct drv_view result;
    bool has_result, has_error, has_progress, is_permanent;
    struct drv_view code, text; /* of an error; text of progress too */
    uint64_t permille;
    struct drv_view log, emitted;
};

static void read_error(struct drv_cursor *cursor, struct reply *reply)
{
    uint32_t count = drv_cursor_map(cursor);
    for (uint32_t i = 0; i < count && drv_cursor_is_ok(cursor); i++) {
        struct drv_view key = drv_cursor_str(cursor);
        if (drv_view_is_text(key, "code")) {
            reply->code = drv_cursor_str(cursor);
        } else if (drv_view_is_text(key, "text")) {
            reply->text = drv_cursor_str(cursor);
        } else if (drv_view_is_text(key, "permanent")) {
            reply->is_permanent = drv_cursor_bool(cursor);
        } else {
            drv_cursor_skip(cursor);
        }
    }
}

static bool read_reply(struct drv_view frame, struct reply *out_reply)
{
    struct drv_cursor cursor;
    *out_reply = (struct reply){0};
    if (drv_validate(frame.bytes, frame.len, &DRV_VALIDATE_VALUE) != DROVER_OK) {
        return false;
    }
    drv_cursor_init(&cursor, frame.bytes, frame.len);
    uint32_t count = drv_cursor_map(&cursor);
    for (uint32_t i = 0; i < count && drv_cursor_is_ok(&cursor); i++) {
        struct drv_view key = drv_cursor_str(&cursor);
        if (drv_view_is_text(key, "result")) {
            out_reply->has_result = true;
            out_reply->result = drv_cursor_value(&cursor);
        } else if (drv_view_is_text(key, "error")) {
            out_reply->has_error = true;
            read_error(&cursor, out_reply);
        } else if (drv_view_is_text(key, "progress")) {
            out_reply->has_progress = true;
            out_reply->permille = drv_cursor_uint(&cursor);
        } else if (drv_view_is_text(key, "text")) {
            out_reply->text = drv_cursor_str(&cursor);
        } else if (drv_view_is_text(key, "log")) {
            out_reply->log = drv_cursor_str(&cursor);
        } else if (drv_view_is_text(key, "emit")) {
            out_reply->emitted = drv_cursor_value(&cursor);
        } else {
            drv_cursor_skip(&cursor);
        }
    }
    return drv_cursor_is_ok(&cursor);
}

/* ---- one attempt --------------------------------------------------------------------------
 */

enum { FD_WAKE, FD_IN, FD_OUT, FD_PID, FD_COUNT };

enum talk_end { TALK_GOES_ON, TALK_ANSWERED, TALK_ENDED, TALK_BROKEN, TALK_TOO_LONG };

struct talk {
    struct program *program;
    struct drover_job *job;
    struct job_outcome *outcome;
    struct drv_view request; /* not written yet */
    size_t frame_max;
    bool was_stopped;
    int64_t kill_at_us;
    struct pollfd fds[FD_COUNT];
};

static int clip(struct drv_view text)
{
    return text.len < DROVER_JOB_TEXT_MAX ? (int)text.len : DROVER_JOB_TEXT_MAX;
}

/* What is too long or comes too fast is dropped, as worker.h says. */
static void emit(const struct talk *talk, struct drv_view bytes)
{
    drover_value *value = NULL;
    if (drover_value_from_msgpack(bytes.bytes, bytes.len, &value) == DROVER_OK) {
        (void)drover_job_emit(talk->job, value);
        drover_value_destroy(&value);
    }
}

static enum talk_end on_reply(struct talk *talk, const struct reply *reply)
{
    char text[DROVER_JOB_TEXT_MAX + 1];
    if (reply->has_error) {
        char code[DROVER_JOB_CODE_MAX + 1];
        (void)snprintf(code, sizeof(code), "%.*s", clip(reply->code),
                       reply->code.len > 0 ? (const char *)reply->code.bytes : "");
        job_outcome_fail(talk->outcome, DROVER_ERROR_HANDLER, code, "%.*s", clip(reply->text),
                         reply->text.len > 0 ? (const char *)reply->text.bytes : "");
        talk->outcome->is_permanent = reply->is_permanent;
        return TALK_ANSWERED;
    }
    if (reply->has_result) {
        drover_status status = drover_value_from_msgpack(reply->result.bytes, reply->result.len,
                                                         &talk->outcome->value);
        return status ? TALK_BROKEN : TALK_ANSWERED;
    }
    if (reply->log.len > 0) {
        drover_job_log(talk->job, "%.*s", clip(reply->log), (const char *)reply->log.bytes);
    }
    if (reply->emitted.len > 0) {
        emit(talk, reply->emitted);
    }
    if (reply->has_progress) {
        (void)snprintf(text, sizeof(text), "%.*s", clip(reply->text),
                       reply->text.len > 0 ? (const char *)reply->text.bytes : "");
        drover_job_progress(talk->job,
                            reply->permille < 1000 ? (unsigned)reply->permille : 1000, text);
    }
    return TALK_GOES_ON;
}

/* Takes whole frames off the front of what was received. */
static enum talk_end take_frames(struct talk *talk)
{
    struct drv_buffer *received = &talk->program->received;
    enum talk_end end = TALK_GOES_ON;
    size_t at = 0;
    while (end == TALK_GOES_ON && received->len - at >= PREFIX) {
        const uint8_t *head = received->bytes + at;
        size_t len = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 |
                     (size_t)head[3];
        if (len > talk->frame_max) {
            return TALK_TOO_LONG;
        }
        if (received->len - at - PREFIX < len) {
            break;
        }
        struct reply reply;
        end = read_reply(drv_view_of(head + PREFIX, len), &reply) ? on_reply(talk, &reply)
                                                                  : TALK_BROKEN;
        at += PREFIX + len;
    }
    if (at > 0) {
        memmove(received->bytes, received->bytes + at, received->len - at);
        received->len -= at;
    }
    return end;
}

static enum talk_end read_frames(struct talk *talk)
{
    uint8_t bytes[READ_MAX];
    ssize_t got;
    do {
        got = read(talk->program->out, bytes, sizeof(bytes));
    } while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EAGAIN) {
        return TALK_GOES_ON;
    }
    if (got <= 0) {
        return TALK_ENDED;
    }
    if (drv_buffer_append(&talk->program->received, bytes, (size_t)got) != DROVER_OK) {
        return TALK_TOO_LONG;
    }
    return take_frames(talk);
}

static void write_request(struct talk *talk)
{
    while (talk->request.len > 0) {
        ssize_t done = write(talk->program->in, talk->request.bytes, talk->request.len);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0) { /* full, or broken: then its end is reported by the pidfd */
            if (errno != EAGAIN) {
                talk->request.len = 0;
            }
            break;
        }
        talk->request = drv_view_of(talk->request.bytes + done,
                                    talk->request.len - (size_t)done);
    }
    talk->fds[FD_IN].fd = talk->request.len > 0 ? talk->program->in : -1;
}

static void obey_cancel(struct talk *talk)
{
    int64_t now_us = (int64_t)drv_clock_now_us();
    if (!talk->was_stopped && drover_job_is_cancelled(talk->job)) {
        talk->was_stopped = true;
        command_terminate(talk->program->pid);
        uint64_t kill_ms = executor_kill_ms(talk->job->executor);
        talk->kill_at_us = kill_ms < (uint64_t)(INT64_MAX - now_us) / 1000U
                               ? now_us + (int64_t)kill_ms * 1000
                               : INT64_MAX;
    }
    if (now_us >= talk->kill_at_us) {
        (void)kill(-talk->program->pid, SIGKILL);
        (void)kill(talk->program->pid, SIGKILL);
        talk->kill_at_us = INT64_MAX;
    }
}

static enum talk_end converse(struct talk *talk)
{
    struct program *program = talk->program;
    talk->fds[FD_IN] = (struct pollfd){.fd = program->in, .events = POLLOUT};
    talk->fds[FD_OUT] = (struct pollfd){.fd = program->out, .events = POLLIN};
    talk->fds[FD_PID] = (struct pollfd){.fd = program->pidfd, .events = POLLIN};
    for (;;) {
        executor_wait(talk->job->executor, talk->was_stopped ? 0 : talk->job->task.serial,
                      talk->fds, FD_COUNT, talk->kill_at_us);
        obey_cancel(talk);
        if (talk->fds[FD_IN].revents != 0) {
            write_request(talk);
        }
        enum talk_end end = TALK_GOES_ON;
        if (talk->fds[FD_OUT].revents != 0) {
            end = read_frames(talk);
        } else if (talk->fds[FD_PID].revents != 0) {
            end = TALK_ENDED; /* and what it said before was read */
        }
        if (end != TALK_GOES_ON) {
            return end;
        }
    }
}

static void fail_by_end(struct talk *talk, int wait_status)
{
    struct job_outcome *outcome = talk->outcome;
    exec_fail_by_status(outcome, wait_status);
    outcome->kind = DROVER_ERROR_CRASH;
    if (talk->was_stopped) {
        outcome->outcome = RECORD_STOPPED;
    }
}

static bool is_over_memory(const struct program *program, const struct executor *executor)
{
    uint64_t memory_max = executor_pool_config(executor)->memory_max;
    return memory_max != 0 && executor_resident_bytes(program->pid) > memory_max;
}

/* Whether what was asked and answered ends here: nothing of it can be taken for what comes
 * next. */
static bool is_settled(const struct talk *talk)
{
    return talk->request.len == 0 && talk->program->received.len == 0;
}

static void conclude(struct talk *talk, enum talk_end end)
{
    struct executor *executor = talk->job->executor;
    switch (end) {
    case TALK_GOES_ON:
    case TALK_ANSWERED:
        /* The answer counts, but it has been told to go, or must not stay. */
        if (talk->was_stopped || !is_settled(talk) || is_over_memory(talk->program, executor)) {
            (void)finish(talk->program, executor);
        }
        break;
    case TALK_ENDED:
        fail_by_end(talk, finish(talk->program, executor));
        break;
    case TALK_BROKEN:
        (void)finish(talk->program, executor);
        job_outcome_fail(talk->outcome, DROVER_ERROR_HANDLER, "bad-frame",
                         "the command sent a frame that is no answer");
        break;
    case TALK_TOO_LONG:
        (void)finish(talk->program, executor);
        job_outcome_fail(talk->outcome, DROVER_ERROR_LIMIT, "output",
                         "the command announced a frame of more than %zu bytes",
                         talk->frame_max);
        break;
    }
}

void persist_run(struct persist_table *table, struct drover_job *job,
                 const struct pool_command *command, const drover_value *payload,
                 struct job_outcome *outcome)
{
    struct drv_buffer frame;
    int start_errno = 0;
    size_t output_max = command->output_max != 0 ? command->output_max : POOL_OUTPUT_MAX;
    struct talk talk = {.job = job,
                        .outcome = outcome,
                        .frame_max = output_max + FRAME_EXTRA,
                        .kill_at_us = INT64_MAX};
    drv_buffer_init(&frame);
    if (make_request(job, payload, &frame) != DROVER_OK) {
        job_outcome_fail(outcome, DROVER_ERROR_HANDLER, "nomem", "out of memory");
    } else if (ensure(table, job->executor, command, &talk.program, &start_errno) !=
               DROVER_OK) {
        exec_fail_to_start(outcome, command->argv[0], start_errno);
    } else {
        talk.request = drv_buffer_view(&frame);
        outcome->has_usage = false;
        conclude(&talk, converse(&talk));
    }
    drv_buffer_fini(&frame);
}
