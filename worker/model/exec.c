/*
 * exec.c: a process starts a command for every attempt, and looks after it.
 */
#include "model/exec.h"

#include "check.h"
#include "model/argv.h"
#include "model/command.h"
#include "model/model.h"
#include "model/persist.h"
#include "need.h"
#include "proctree.h"
#include "tmpdir.h"
#include "utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum {
    ARGUMENTS_MAX = 65536,
};

/* ---- how it ended -------------------------------------------------------------------------
 */

void exec_fail_by_status(struct job_outcome *outcome, int wait_status)
{
    if (WIFSIGNALED(wait_status)) {
        int number = WTERMSIG(wait_status);
        const char *name = sigabbrev_np(number);
        job_outcome_fail(outcome, DROVER_ERROR_CRASH, "signal",
                         "the command was ended by signal %d (SIG%s)", number,
                         name != NULL ? name : "?");
        outcome->signal = number;
    } else {
        job_outcome_fail(outcome, DROVER_ERROR_HANDLER, "exit",
                         "the command ended with exit code %d", WEXITSTATUS(wait_status));
        outcome->exit_code = WEXITSTATUS(wait_status);
    }
}

void exec_fail_to_start(struct job_outcome *outcome, const char *program, int start_errno)
{
    job_outcome_fail(outcome, DROVER_ERROR_HANDLER, "start", "%s cannot be started: %s",
                     program, strerror(start_errno));
    outcome->exit_code = start_errno == ENOENT ? 127 : 126; /* as shells say it */
}

static void fail_by_our_fault(struct job_outcome *outcome, drover_status status)
{
    job_outcome_fail(outcome, DROVER_ERROR_HANDLER, drover_status_name(status),
                     "the worker could not run the command: %s", drover_status_text(status));
}

/* What is common to both kinds. True when it exited with 0 and its output counts. */
static bool judge(const struct command_run *run, const struct drover_job *job,
                  const char *program, struct job_outcome *outcome)
{
    uint64_t memory_max = job->limits.memory_bytes;
    if (run->pid == 0) {
        exec_fail_to_start(outcome, program, run->start_errno);
        return false;
    }
    outcome->has_usage = true;
    outcome->user_us = (uint64_t)run->usage.ru_utime.tv_sec * 1000000U +
                       (uint64_t)run->usage.ru_utime.tv_usec;
    outcome->system_us = (uint64_t)run->usage.ru_stime.tv_sec * 1000000U +
                         (uint64_t)run->usage.ru_stime.tv_usec;
    outcome->peak_rss_bytes = (uint64_t)run->usage.ru_maxrss * 1024U;
    outcome->pid = (uint32_t)run->pid;
    outcome->is_grouped = run->is_grouped;
    bool is_success = WIFEXITED(run->wait_status) && WEXITSTATUS(run->wait_status) == 0;
    if (run->was_stopped) { /* many programs exit with 0 after a SIGTERM; it is no success */
        exec_fail_by_status(outcome, run->wait_status);
        outcome->outcome = RECORD_STOPPED;
        return false;
    }
    if (run->is_over_limit) {
        job_outcome_fail(outcome, DROVER_ERROR_LIMIT, "output",
                         "the command printed more than %zu bytes", run->output_max);
        return false;
    }
    if (!is_success && run->oom_kills > 0 && memory_max != 0) {
        job_outcome_fail(outcome, DROVER_ERROR_LIMIT, "memory",
                         "used more memory than its limit of %" PRIu64
                         " bytes, and the kernel ended it (cgroup)",
                         memory_max);
        outcome->signal = WIFSIGNALED(run->wait_status) ? WTERMSIG(run->wait_status) : 0;
        return false;
    }
    if (!is_success) {
        exec_fail_by_status(outcome, run->wait_status);
        return false;
    }
    return true;
}

static void keep_tail(const struct command_run *run, struct job_outcome *outcome)
{
    struct drv_view tail = command_tail(&run->err.bytes);
    (void)!drv_buffer_append(&outcome->stderr_tail, tail.bytes, tail.len);
}

/* DROVER_PARENTS and DROVER_PARENT_STATES: what it has waited for, in order, one blank between
 * two: `drover result ID` gives what came of it. */
static drover_status add_parents(struct command_environment *environment,
                                 const struct drover_job *job)
{
    struct drv_buffer ids, states;
    drv_buffer_init(&ids);
    drv_buffer_init(&states);
    drover_status status = DROVER_OK;
    drover_parent parent;
    for (size_t i = 0; !status && drover_job_parent(job, i, &parent); i++) {
        char id[DROVER_ID_TEXT_LEN + 1], name[DROVER_ID_TEXT_LEN + 16];
        drover_id_format(&parent.id, id);
        const char *blank = i == 0 ? "" : " ";
        int len = parent.index == DROVER_INDEX_NONE
                      ? snprintf(name, sizeof(name), "%s%s", blank, id)
                      : snprintf(name, sizeof(name), "%s%s.%u", blank, id, parent.index);
        const char *state = drover_state_name(parent.state);
        status = drv_buffer_append(&ids, name, (size_t)len);
        if (!status) {
            status = drv_buffer_append(&states, blank, strlen(blank));
        }
        if (!status) {
            status = drv_buffer_append(&states, state, strlen(state));
        }
    }
    if (!status && ids.len > 0) {
        status = drv_buffer_append(&ids, "", 1) || drv_buffer_append(&states, "", 1)
                     ? DROVER_NOMEM
                     : command_environment_set(environment, "DROVER_PARENTS",
                                               (const char *)ids.bytes);
    }
    if (!status && ids.len > 0) {
        status = command_environment_set(environment, "DROVER_PARENT_STATES",
                                         (const char *)states.bytes);
    }
    drv_buffer_fini(&ids);
    drv_buffer_fini(&states);
    return status;
}

/* DROVER_NEED_GPU=1 and the like. */
static drover_status add_needs(struct command_environment *environment,
                               const struct drover_job *job)
{
    drover_status status = DROVER_OK;
    const char *name;
    uint64_t count;
    for (size_t i = 0; !status && drover_job_need_at(job, i, &name, &count); i++) {
        char variable[NEED_VARIABLE_MAX];
        char number[24];
        need_variable(name, variable);
        (void)snprintf(number, sizeof(number), "%" PRIu64, count);
        status = command_environment_set(environment, variable, number);
    }
    return status;
}

/* Id and attempt for programs that want them, as the last word. */
static drover_status add_task_variables(struct command_environment *environment,
                                        const struct drover_job *job)
{
    char id[DROVER_ID_TEXT_LEN + 1];
    char number[16];
    drover_id_format(&job->task.id, id);
    drover_status status = command_environment_set(environment, "DROVER_TASK_ID", id);
    (void)snprintf(number, sizeof(number), "%u", job->task.attempt);
    if (!status) {
        status = command_environment_set(environment, "DROVER_ATTEMPT", number);
    }
    if (!status && job->task.index != DROVER_INDEX_NONE) {
        (void)snprintf(number, sizeof(number), "%u", job->task.index);
        status = command_environment_set(environment, "DROVER_INDEX", number);
    }
    if (!status) {
        status = add_needs(environment, job);
    }
    return status ? status : add_parents(environment, job);
}

/* ---- configured commands ------------------------------------------------------------------
 */

static drover_status make_input(const struct pool_command *command, const drover_value *payload,
                                struct drv_buffer *input)
{
    drover_value_type type = drover_value_get_type(payload);
    const void *bytes;
    size_t len;
    if (command->stdin_mode == POOL_STDIN_NONE || type == DROVER_VALUE_NIL) {
        return DROVER_OK;
    }
    if (type == DROVER_VALUE_RAW || command->stdin_mode == POOL_STDIN_MSGPACK) {
        drover_value_bytes(payload, &bytes, &len);
        return drv_buffer_append(input, bytes, len);
    }
    if (command->stdin_mode == POOL_STDIN_TEXT) {
        return argv_plain_text(payload, input);
    }
    char *json;
    drover_status status = drover_value_to_json(payload, DROVER_JSON_COMPACT, &json);
    if (!status) {
        status = drv_buffer_append_text(input, json);
        free(json);
    }
    return status ? status : drv_buffer_append_byte(input, '\n');
}

static drover_status output_as_text(const struct drv_buffer *out, drover_value **out_value)
{
    size_t len = out->len;
    if (len > 0 && out->bytes[len - 1] == '\n') {
        len--;
    }
    return drover_value_new_string(len > 0 ? (const char *)out->bytes : "", len, out_value);
}

static drover_status output_as_any(const struct drv_buffer *out, drover_value **out_value)
{
    const char *bytes = out->len > 0 ? (const char *)out->bytes : "";
    if (drv_utf8_is_valid((const uint8_t *)bytes, out->len)) {
        return drover_value_new_string(bytes, out->len, out_value);
    }
    return drover_value_new_binary(bytes, out->len, out_value);
}

static void read_output(const struct pool_command *command, const struct drv_buffer *out,
                        struct job_outcome *outcome)
{
    char why[256] = "";
    const char *content_type = command->content_type;
    drover_status status = DROVER_OK;
    switch (command->stdout_mode) {
    case POOL_STDOUT_AUTO:
        status = output_as_any(out, &outcome->value);
        break;
    case POOL_STDOUT_TEXT:
        status = output_as_text(out, &outcome->value);
        break;
    case POOL_STDOUT_JSON:
        status = drover_value_from_json(out->len > 0 ? (const char *)out->bytes : "", out->len,
                                        &outcome->value, why, sizeof(why));
        break;
    case POOL_STDOUT_RAW:
        status = drover_value_new_raw(
            out->bytes, out->len,
            content_type != NULL ? content_type : "application/octet-stream", &outcome->value);
        break;
    }
    if (status) {
        job_outcome_fail(outcome, DROVER_ERROR_HANDLER, "bad-output",
                         "the output is not what the configuration says: %s",
                         why[0] != '\0' ? why : drover_status_text(status));
    }
}

struct configured { /* everything that is made for one attempt */
    struct argv argv;
    struct command_environment environment;
    struct drv_buffer input;
    char directory[DRV_TMPDIR_PATH_MAX]; /* "" when none was made */
};

static drover_status prepare(struct configured *made, const struct drover_job *job,
                             const struct pool_command *command, const drover_value *payload)
{
    drover_status status = argv_expand(&made->argv, command, job, payload);
    if (!status) {
        status = command_environment_inherit(&made->environment,
                                             executor_pool_config(job->executor),
                                             command->environment, command->environment_count);
    }
    if (!status) {
        status = add_task_variables(&made->environment, job);
    }
    if (!status) {
        status = make_input(command, payload, &made->input);
    }
    if (!status && command->cwd == NULL) {
        status = drv_tmpdir_new(exec_tmp(job->executor), "task-", made->directory);
    }
    return status ? status
                  : command_become_user(&made->environment, &command->confine, made->directory);
}

static size_t least_output(const struct drover_job *job, size_t output_max)
{
    uint64_t limit = job->limits.output_bytes;
    return limit != 0 && limit < output_max ? (size_t)limit : output_max;
}

static void run_command(struct drover_job *job, const struct pool_command *command,
                        const drover_value *payload, struct job_outcome *outcome)
{
    struct configured made = {.directory = ""};
    drv_buffer_init(&made.input);
    size_t output_max = command->output_max != 0 ? command->output_max : POOL_OUTPUT_MAX;
    struct command_run run = {.output_max = least_output(job, output_max),
                              .serial = job->task.serial};
    drover_status status = prepare(&made, job, command, payload);
    if (!status) {
        struct command start = {.argv = made.argv.items,
                                .environment = &made.environment,
                                .cwd = command->cwd != NULL ? command->cwd : made.directory,
                                .confine = &command->confine,
                                .scratch = command->cwd != NULL ? NULL : made.directory,
                                .concealed = executor_pool_config(job->executor)->concealed,
                                .limits = &job->limits};
        run.input = drv_buffer_view(&made.input);
        status = command_run(job->executor, &start, &run);
    }
    if (status == DROVER_INVALID) {
        job_outcome_fail(outcome, DROVER_ERROR_HANDLER, "bad-arg",
                         "the payload has a NUL and cannot be an argument");
        outcome->is_permanent = true;
    } else if (status) {
        fail_by_our_fault(outcome, status);
    } else if (judge(&run, job, command->argv[0], outcome)) {
        read_output(command, &run.out.bytes, outcome);
    }
    if (outcome->outcome != RECORD_SUCCEEDED) {
        keep_tail(&run, outcome);
    }
    command_run_fini(&run);
    if (made.directory[0] != '\0') {
        (void)!drv_tmpdir_remove(made.directory);
    }
    drv_buffer_fini(&made.input);
    command_environment_fini(&made.environment);
    argv_fini(&made.argv);
}

/* ---- programs named by tasks ----------------------------------------------------------------
 */

struct named { /* what a payload asks for */
    struct argv argv;
    struct command_environment environment;
    drover_value *input; /* owned; NULL: none */
};

/* A word of a command line: a string, or a binary, since file names need not be UTF-8. NULL:
 * none. */
static char *copy_word(const drover_value *value)
{
    const char *text = NULL;
    const void *bytes = NULL;
    size_t len = 0;
    if (drover_value_get_string(value, &text, &len) == DROVER_OK) {
        bytes = text;
    } else if (drover_value_get_binary(value, &bytes, &len) != DROVER_OK) {
        return NULL;
    }
    return memchr(bytes, '\0', len) == NULL ? strndup(bytes, len) : NULL;
}

static bool get_plain_text(const drover_value *value, const char **out_text)
{
    size_t len;
    return drover_value_get_string(value, out_text, &len) == DROVER_OK &&
           strlen(*out_text) == len;
}

static drover_status read_argv(struct named *named, const drover_value *payload)
{
    drover_value *list = NULL;
    size_t count = 0;
    drover_status status = drover_value_map_get(payload, "argv", &list);
    if (!status) {
        status = drover_value_array_len(list, &count);
    }
    if (!status && (count == 0 || count > ARGUMENTS_MAX)) {
        status = DROVER_INVALID;
    }
    if (!status) {
        status = argv_reserve(&named->argv, count);
    }
    drover_value_iter iter;
    if (!status) {
        drover_value_iter_init(&iter, list);
    }
    for (size_t i = 0; !status && i < count; i++) {
        drover_value *item = NULL;
        status = drover_value_iter_next(&iter, NULL, &item);
        if (!status) {
            named->argv.items[i] = copy_word(item);
            status = named->argv.items[i] != NULL ? DROVER_OK : DROVER_INVALID;
            named->argv.count += status ? 0 : 1;
        }
        drover_value_destroy(&item);
    }
    drover_value_destroy(&list);
    return status;
}

/* Only names that the worker's list has: PATH or LD_PRELOAD would undo --allow-exec. */
static drover_status read_environment(struct named *named, const struct pool_config *config,
                                      const drover_value *payload)
{
    drover_value *map = NULL;
    drover_status status = drover_value_map_get(payload, "env", &map);
    if (status) {
        return status == DROVER_UNKNOWN ? DROVER_OK : status;
    }
    if (drover_value_get_type(map) != DROVER_VALUE_MAP) {
        status = DROVER_INVALID;
    }
    drover_value_iter iter;
    drover_value_iter_init(&iter, map);
    while (!status) {
        drover_value *name = NULL;
        drover_value *value = NULL;
        const char *name_text;
        const char *value_text;
        status = drover_value_iter_next(&iter, &name, &value);
        if (status == DROVER_UNKNOWN) {
            status = DROVER_OK;
            break;
        }
        if (!status &&
            (!get_plain_text(name, &name_text) || !get_plain_text(value, &value_text))) {
            status = DROVER_INVALID;
        }
        if (!status && !command_environment_allows(config, name_text)) {
            status = DROVER_DENIED;
        }
        if (!status) {
            status = command_environment_set(&named->environment, name_text, value_text);
        }
        drover_value_destroy(&name);
        drover_value_destroy(&value);
    }
    drover_value_destroy(&map);
    return status;
}

static drover_status read_request(struct named *named, const struct drover_job *job,
                                  const char *program, const drover_value *payload)
{
    const struct pool_config *config = executor_pool_config(job->executor);
    if (drover_value_get_type(payload) != DROVER_VALUE_MAP) {
        return DROVER_INVALID;
    }
    drover_status status = read_argv(named, payload);
    if (!status && strcmp(named->argv.items[0], program) != 0) {
        status = DROVER_DENIED;
    }
    if (!status) {
        status = command_environment_inherit(&named->environment, config, NULL, 0);
    }
    if (!status) {
        status = read_environment(named, config, payload);
    }
    if (!status) {
        status = add_task_variables(&named->environment, job);
    }
    if (!status) {
        status = drover_value_map_get(payload, "stdin", &named->input);
        status = status == DROVER_UNKNOWN ? DROVER_OK : status;
    }
    return status;
}

static drover_status set_item(drover_value *map, const char *key, drover_status made,
                              drover_value *item)
{
    if (made) {
        return made;
    }
    return drover_value_map_set(map, key, &item);
}

static drover_status describe(const struct command_run *run, drover_value **out_value)
{
    drover_value *map = NULL;
    drover_value *item = NULL;
    bool has_exited = WIFEXITED(run->wait_status);
    bool has_signal = WIFSIGNALED(run->wait_status);
    drover_status status = drover_value_map_new(&map);
    if (!status) {
        status = drover_value_new_int(has_exited ? WEXITSTATUS(run->wait_status) : -1, &item);
        status = set_item(map, "exit", status, item);
    }
    if (!status) {
        status = drover_value_new_int(has_signal ? WTERMSIG(run->wait_status) : 0, &item);
        status = set_item(map, "signal", status, item);
    }
    if (!status) {
        status = drover_value_new_binary(run->out.bytes.bytes, run->out.bytes.len, &item);
        status = set_item(map, "stdout", status, item);
    }
    if (!status) {
        status = drover_value_new_binary(run->err.bytes.bytes, run->err.bytes.len, &item);
        status = set_item(map, "stderr", status, item);
    }
    if (status) {
        drover_value_destroy(&map);
        return status;
    }
    *out_value = map;
    return DROVER_OK;
}

static void explain_refusal(struct job_outcome *outcome, drover_status status,
                            const char *program)
{
    if (status == DROVER_DENIED) {
        job_outcome_fail(outcome, DROVER_ERROR_REFUSED, "denied",
                         "only argv[0] \"%s\" is allowed here, and in env only the names "
                         "that the worker's configuration lists",
                         program);
        outcome->is_permanent = true;
    } else if (status == DROVER_INVALID || status == DROVER_UNKNOWN) {
        job_outcome_fail(outcome, DROVER_ERROR_HANDLER, "bad-arg",
                         "wanted: {\"argv\": [text...], \"stdin\": bytes or text, "
                         "\"env\": {name: text}}");
        outcome->is_permanent = true;
    } else {
        fail_by_our_fault(outcome, status);
    }
}

/* payload: a map {"argv": [str...], "stdin"?: bin or str, "env"?: {str: str}}; argv[0] must be
 * the handler's program. The value, also of a failure: {"exit", "signal", "stdout", "stderr"}.
 */
static void run_program(struct drover_job *job, const struct module_handler *handler,
                        const drover_value *payload, struct job_outcome *outcome)
{
    const char *program = handler->program;
    struct named named = {.input = NULL};
    struct command_run run = {.output_max = least_output(job, POOL_OUTPUT_MAX),
                              .keeps_stderr = true,
                              .serial = job->task.serial};
    struct drv_buffer input;
    char directory[DRV_TMPDIR_PATH_MAX] = "";
    drv_buffer_init(&input);
    drover_status status = read_request(&named, job, program, payload);
    if (!status && named.input != NULL) {
        status = argv_plain_text(named.input, &input);
    }
    const char *cwd = executor_pool_config(job->executor)->exec_dir;
    if (!status && cwd == NULL) {
        status = drv_tmpdir_new(exec_tmp(job->executor), "task-", directory);
    }
    if (!status) {
        status = command_become_user(&named.environment, handler->confine, directory);
    }
    if (!status) {
        struct command start = {.argv = named.argv.items,
                                .environment = &named.environment,
                                .cwd = cwd != NULL ? cwd : directory,
                                .confine = handler->confine,
                                .scratch = cwd != NULL ? NULL : directory,
                                .concealed = executor_pool_config(job->executor)->concealed,
                                .limits = &job->limits};
        run.input = drv_buffer_view(&input);
        status = command_run(job->executor, &start, &run);
    }
    if (status) {
        explain_refusal(outcome, status, program);
    } else {
        (void)judge(&run, job, program, outcome);
        if (run.pid != 0 && outcome->outcome != RECORD_STOPPED &&
            describe(&run, &outcome->value) != DROVER_OK) {
            fail_by_our_fault(outcome, DROVER_NOMEM);
        }
    }
    if (outcome->outcome != RECORD_SUCCEEDED) {
        keep_tail(&run, outcome);
    }
    command_run_fini(&run);
    if (directory[0] != '\0') {
        (void)!drv_tmpdir_remove(directory);
    }
    drv_buffer_fini(&input);
    drover_value_destroy(&named.input);
    command_environment_fini(&named.environment);
    argv_fini(&named.argv);
}

/* ---- the model ----------------------------------------------------------------------------
 */

struct kit { /* of an executor */
    struct persist_table *persist;
    char tmp[DRV_TMPDIR_PATH_MAX];
};

const char *exec_tmp(const struct executor *executor)
{
    const struct kit *kit = executor_state(executor);
    return kit->tmp;
}

static bool is_persistent(void *context, pid_t pid)
{
    const struct kit *kit = context;
    return persist_has(kit->persist, pid);
}

void exec_end_children(struct executor *executor)
{
    drv_proctree_end_children(is_persistent, executor_state(executor));
}

static void make_tmp(struct kit *kit, const struct executor_config *config)
{
    int len = snprintf(kit->tmp, sizeof(kit->tmp), "%s/%u", config->tmp_base, config->slot);
    if (len < 0 || (size_t)len >= sizeof(kit->tmp)) {
        executor_die("path of the temporary directory is too long");
    }
    /* A predecessor that was killed could not clean up. */
    (void)!drv_tmpdir_remove(kit->tmp);
    /* Those who run as other users must reach what is theirs below it. */
    if (mkdir(kit->tmp, 0700) != 0 || chmod(kit->tmp, 0711) != 0) {
        executor_die("cannot make a temporary directory");
    }
}

static void serve(const struct executor_config *config)
{
    struct executor_process process;
    struct kit kit = {.persist = NULL};
    (void)signal(SIGPIPE, SIG_IGN); /* commands need not read their stdin */
    make_tmp(&kit, config);
    if (persist_table_new(&kit.persist) != DROVER_OK) {
        executor_die("out of memory");
    }
    executor_process_init(&process, config);
    executor_serve(&process, 0, &kit, NULL);
}

static void run(struct drover_job *job, const struct module_handler *handler,
                const drover_value *payload, struct job_outcome *outcome)
{
    const struct kit *kit = executor_state(job->executor);
    switch (handler->kind) {
    case MODULE_COMMAND:
        run_command(job, handler->command, payload, outcome);
        break;
    case MODULE_EXEC:
        run_program(job, handler, payload, outcome);
        break;
    case MODULE_PERSIST:
        persist_run(kit->persist, job, handler->command, payload, outcome);
        break;
    case MODULE_FUNCTION:
        DRV_UNREACHABLE();
    }
}

const struct model MODEL_EXEC = {
    .id = POOL_MODEL_EXEC,
    .name = "exec",
    .is_on_demand = true,
    .ends_itself = true,
    .serve = serve,
    .run = run,
    .usage_who = RUSAGE_SELF,
};
