#include "handler.h"

#include "check.h"
#include "problem.h"
#include "units.h"
#include "words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HANDLERS_ARENA_KEEP = 0 };

void worker_handlers_init(struct worker_handlers *handlers)
{
    memset(handlers, 0, sizeof *handlers);
    drv_arena_init(&handlers->arena, HANDLERS_ARENA_KEEP);
}

void worker_handlers_fini(struct worker_handlers *handlers)
{
    drv_arena_fini(&handlers->arena);
    free(handlers->commands);
    memset(handlers, 0, sizeof *handlers);
}

static drover_status out_of_memory(struct drv_problem *problem)
{
    return drv_problem_set(problem, DROVER_NOMEM, "out of memory");
}

static char *copy_text(struct worker_handlers *handlers, const char *text)
{
    return drv_arena_copy(&handlers->arena, text, strlen(text) + 1);
}

/* ---- keys -----------------------------------------------------------------------------------
 */

typedef drover_status (*key_fn)(struct worker_handlers *handlers, struct pool_command *command,
                                const char *value, struct drv_problem *problem);

static drover_status set_command(struct worker_handlers *handlers, struct pool_command *command,
                                 const char *value, struct drv_problem *problem)
{
    return words_append(&handlers->arena, &command->argv, &command->argc, value, problem);
}

static drover_status set_argument(struct worker_handlers *handlers,
                                  struct pool_command *command, const char *value,
                                  struct drv_problem *problem)
{
    if (command->argc == 0) {
        return drv_problem_set(problem, DROVER_INVALID, "argument comes after command");
    }
    return words_append_one(&handlers->arena, &command->argv, &command->argc, value, problem);
}

static drover_status set_environment(struct worker_handlers *handlers,
                                     struct pool_command *command, const char *value,
                                     struct drv_problem *problem)
{
    return words_append(&handlers->arena, &command->environment, &command->environment_count,
                        value, problem);
}

static drover_status set_persist(struct worker_handlers *handlers, struct pool_command *command,
                                 const char *value, struct drv_problem *problem)
{
    (void)handlers;
    if (drv_bool_parse(value, &command->persist) != DROVER_OK) {
        return drv_problem_set(problem, DROVER_INVALID, "persist is yes or no, not '%s'",
                               value);
    }
    return DROVER_OK;
}

static int find_word(const char *const *words, const char *value)
{
    for (int i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], value) == 0) {
            return i;
        }
    }
    return -1;
}

static drover_status set_stdin(struct worker_handlers *handlers, struct pool_command *command,
                               const char *value, struct drv_problem *problem)
{
    static const char *const words[] = {[POOL_STDIN_JSON] = "json",
                                        [POOL_STDIN_TEXT] = "text",
                                        [POOL_STDIN_MSGPACK] = "msgpack",
                                        [POOL_STDIN_NONE] = "none",
                                        NULL};
    int mode = find_word(words, value);
    (void)handlers;
    if (mode < 0) {
        return drv_problem_set(problem, DROVER_INVALID,
                               "stdin is json, text, msgpack or none, not '%s'", value);
    }
    command->stdin_mode = (enum pool_stdin)mode;
    return DROVER_OK;
}

static drover_status set_stdout(struct worker_handlers *handlers, struct pool_command *command,
                                const char *value, struct drv_problem *problem)
{
    static const char *const words[] = {[POOL_STDOUT_AUTO] = "auto",
                                        [POOL_STDOUT_TEXT] = "text",
                                        [POOL_STDOUT_JSON] = "json",
                                        [POOL_STDOUT_RAW] = "raw",
                                        NULL};
    int mode = find_word(words, value);
    (void)handlers;
    if (mode < 0) {
        return drv_problem_set(problem, DROVER_INVALID,
                               "stdout is auto, text, json or raw, not '%s'", value);
    }
    command->stdout_mode = (enum pool_stdout)mode;
    return DROVER_OK;
}

static drover_status set_content_type(struct worker_handlers *handlers,
                                      struct pool_command *command, const char *value,
                                      struct drv_problem *problem)
{
    size_t len = strlen(value);
    for (size_t i = 0; i < len; i++) {
        if (value[i] <= ' ' || value[i] > '~') {
            len = 0;
        }
    }
    if (len == 0 || len > DROVER_CONTENT_TYPE_MAX) {
        return drv_problem_set(problem, DROVER_INVALID, "'%s' is no content type", value);
    }
    command->content_type = copy_text(handlers, value);
    return command->content_type == NULL ? out_of_memory(problem) : DROVER_OK;
}

static drover_status set_cwd(struct worker_handlers *handlers, struct pool_command *command,
                             const char *value, struct drv_problem *problem)
{
    if (*value != '/') {
        return drv_problem_set(problem, DROVER_INVALID, "cwd is an absolute path, not '%s'",
                               value);
    }
    command->cwd = copy_text(handlers, value);
    return command->cwd == NULL ? out_of_memory(problem) : DROVER_OK;
}

static drover_status set_max_output(struct worker_handlers *handlers,
                                    struct pool_command *command, const char *value,
                                    struct drv_problem *problem)
{
    uint64_t bytes = 0;
    (void)handlers;
    if (drv_size_parse(value, &bytes) != DROVER_OK || bytes == 0 || bytes > POOL_VALUE_MAX) {
        return drv_problem_set(problem, DROVER_INVALID,
                               "max-output is a size from 1 to 64M, not '%s'", value);
    }
    command->output_max = (size_t)bytes;
    return DROVER_OK;
}

static const struct {
    const char *name;
    key_fn set;
} keys[] = {
    {"command", set_command},
    {"argument", set_argument},
    {"persist", set_persist},
    {"stdin", set_stdin},
    {"stdout", set_stdout},
    {"content-type", set_content_type},
    {"cwd", set_cwd},
    {"environment", set_environment},
    {"max-output", set_max_output},
};

/* ---- sections -------------------------------------------------------------------------------
 */

static drover_status ensure_command(struct worker_handlers *handlers, const char *type,
                                    struct pool_command **out_command,
                                    struct drv_problem *problem)
{
    for (size_t i = 0; i < handlers->count; i++) {
        if (strcmp(handlers->commands[i].type, type) == 0) {
            *out_command = &handlers->commands[i];
            return DROVER_OK;
        }
    }
    if (!drover_name_is_valid(type)) {
        return drv_problem_set(problem, DROVER_INVALID, "'%s' is no name for a task type",
                               type);
    }
    if (handlers->count == WORKER_HANDLERS_MAX) {
        return drv_problem_set(problem, DROVER_INVALID, "more than %d handlers",
                               WORKER_HANDLERS_MAX);
    }
    struct pool_command *commands = realloc(handlers->commands,
                                            (handlers->count + 1) * sizeof *commands);
    if (commands == NULL) {
        return out_of_memory(problem);
    }
    handlers->commands = commands;
    struct pool_command *command = &commands[handlers->count];
    memset(command, 0, sizeof *command);
    command->type = copy_text(handlers, type);
    if (command->type == NULL) {
        return out_of_memory(problem);
    }
    handlers->count++;
    *out_command = command;
    return DROVER_OK;
}

drover_status worker_handlers_entry(void *context, const struct drv_config_entry *entry,
                                    struct drv_problem *problem)
{
    struct worker_handlers *handlers = context;
    struct pool_command *command = NULL;
    const char *type = strchr(entry->section, '.') + 1;
    drover_status status = ensure_command(handlers, type, &command, problem);
    if (status != DROVER_OK) {
        return status;
    }
    for (size_t i = 0; i < DRV_ARRAY_LEN(keys); i++) {
        if (strcmp(keys[i].name, entry->key) == 0) {
            return keys[i].set(handlers, command, entry->value, problem);
        }
    }
    return confine_key_is_known(entry->key)
               ? confine_key_set(&handlers->arena, &command->confine, entry->key, entry->value,
                                 problem)
               : drv_problem_set(problem, DROVER_INVALID, "unknown key '%s'", entry->key);
}

drover_status worker_handlers_check(struct worker_handlers *handlers,
                                    struct confine_programs *programs,
                                    struct drv_problem *problem)
{
    for (size_t i = 0; i < handlers->count; i++) {
        struct pool_command *command = &handlers->commands[i];
        char section[DROVER_NAME_MAX + 16];
        if (command->argc == 0 || command->argv[0][0] == '\0') {
            return drv_problem_set(problem, DROVER_INVALID, "[handler.%s] has no command",
                                   command->type);
        }
        if (command->content_type != NULL && command->stdout_mode != POOL_STDOUT_RAW) {
            return drv_problem_set(problem, DROVER_INVALID,
                                   "[handler.%s]: content-type is for stdout = raw",
                                   command->type);
        }
        (void)snprintf(section, sizeof section, "handler.%s", command->type);
        drover_status status = confine_key_check(&command->confine, programs, section, problem);
        if (status != DROVER_OK) {
            return status;
        }
    }
    return DROVER_OK;
}
