#include "handler.h"

#include "check.h"
#include "problem.h"
#include "units.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* ---- lists of words -------------------------------------------------------------------------
 */

/* Appends to a list that lives in the arena: a new, longer copy, since an arena cannot grow one
 * in place. Lists are short. */
static drover_status append_word(struct worker_handlers *handlers, const char *const **list,
                                 size_t *count, const char *word, struct drv_problem *problem)
{
    if (*count == WORKER_ARGUMENTS_MAX) {
        return drv_problem_set(problem, DROVER_INVALID, "more than %d words",
                               WORKER_ARGUMENTS_MAX);
    }
    const char **longer = drv_arena_alloc(&handlers->arena, *count + 1, sizeof *longer);
    if (longer == NULL || word == NULL) {
        return out_of_memory(problem);
    }
    for (size_t i = 0; i < *count; i++) {
        longer[i] = (*list)[i];
    }
    longer[(*count)++] = word;
    *list = longer;
    return DROVER_OK;
}

/* Reads one word into `out`, which is as long as the text; moves *at behind it. False: a quote
 * or a backslash is left open. */
static bool take_word(const char **at, char *out)
{
    char quote = '\0';
    size_t len = 0;
    const char *text = *at;
    for (; *text != '\0' && (quote != '\0' || *text != ' '); text++) {
        if (*text == quote) {
            quote = '\0';
        } else if (quote == '\0' && (*text == '"' || *text == '\'')) {
            quote = *text;
        } else if (*text == '\\' && quote != '\'') {
            if (*++text == '\0') {
                return false;
            }
            out[len++] = *text;
        } else {
            out[len++] = *text;
        }
    }
    out[len] = '\0';
    *at = text;
    return quote == '\0';
}

static drover_status append_words(struct worker_handlers *handlers, const char *const **list,
                                  size_t *count, const char *text, struct drv_problem *problem)
{
    drover_status status = DROVER_OK;
    while (status == DROVER_OK) {
        text += strspn(text, " ");
        if (*text == '\0') {
            break;
        }
        char *word = drv_arena_alloc(&handlers->arena, strlen(text) + 1, 1);
        if (word == NULL) {
            return out_of_memory(problem);
        }
        if (!take_word(&text, word)) {
            return drv_problem_set(problem, DROVER_INVALID,
                                   "a quote or a backslash is left open");
        }
        status = append_word(handlers, list, count, word, problem);
    }
    return status;
}

/* ---- keys -----------------------------------------------------------------------------------
 */

typedef drover_status (*key_fn)(struct worker_handlers *handlers, struct pool_command *command,
                                const char *value, struct drv_problem *problem);

static drover_status set_command(struct worker_handlers *handlers, struct pool_command *command,
                                 const char *value, struct drv_problem *problem)
{
    return append_words(handlers, &command->argv, &command->argc, value, problem);
}

static drover_status set_argument(struct worker_handlers *handlers,
                                  struct pool_command *command, const char *value,
                                  struct drv_problem *problem)
{
    if (command->argc == 0) {
        return drv_problem_set(problem, DROVER_INVALID, "argument comes after command");
    }
    return append_word(handlers, &command->argv, &command->argc, copy_text(handlers, value),
                       problem);
}

static drover_status set_environment(struct worker_handlers *handlers,
                                     struct pool_command *command, const char *value,
                                     struct drv_problem *problem)
{
    return append_words(handlers, &command->environment, &command->environment_count, value,
                        problem);
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

/* ---- what it is kept to ---------------------------------------------------------------------
 */

static drover_status set_read(struct worker_handlers *handlers, struct pool_command *command,
                              const char *value, struct drv_problem *problem)
{
    return append_words(handlers, &command->confine.read, &command->confine.read_count, value,
                        problem);
}

static drover_status set_write(struct worker_handlers *handlers, struct pool_command *command,
                               const char *value, struct drv_problem *problem)
{
    return append_words(handlers, &command->confine.write, &command->confine.write_count, value,
                        problem);
}

static drover_status set_size(const char *key, const char *value, uint64_t *out_size,
                              struct drv_problem *problem)
{
    if (drv_size_parse(value, out_size) != DROVER_OK || *out_size == 0) {
        return drv_problem_set(problem, DROVER_INVALID, "%s is a size, not '%s'", key, value);
    }
    return DROVER_OK;
}

static drover_status set_limit_memory(struct worker_handlers *handlers,
                                      struct pool_command *command, const char *value,
                                      struct drv_problem *problem)
{
    (void)handlers;
    return set_size("limit-memory", value, &command->confine.memory_max, problem);
}

static drover_status set_limit_file_size(struct worker_handlers *handlers,
                                         struct pool_command *command, const char *value,
                                         struct drv_problem *problem)
{
    (void)handlers;
    return set_size("limit-file-size", value, &command->confine.file_size_max, problem);
}

static drover_status set_limit_files(struct worker_handlers *handlers,
                                     struct pool_command *command, const char *value,
                                     struct drv_problem *problem)
{
    int64_t count = 0;
    (void)handlers;
    if (drv_int_parse(value, &count) != DROVER_OK || count < CONFINE_FILES_MIN) {
        return drv_problem_set(problem, DROVER_INVALID,
                               "limit-files is a number from %d, not '%s'", CONFINE_FILES_MIN,
                               value);
    }
    command->confine.files_max = (uint64_t)count;
    return DROVER_OK;
}

static drover_status set_limit_cpu(struct worker_handlers *handlers,
                                   struct pool_command *command, const char *value,
                                   struct drv_problem *problem)
{
    uint64_t ms = 0;
    (void)handlers;
    if (drv_duration_parse(value, &ms) != DROVER_OK || ms == 0) {
        return drv_problem_set(problem, DROVER_INVALID, "limit-cpu is a time, not '%s'", value);
    }
    command->confine.cpu_s_max = ms / 1000 + (ms % 1000 != 0);
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
    {"read", set_read},
    {"write", set_write},
    {"limit-memory", set_limit_memory},
    {"limit-cpu", set_limit_cpu},
    {"limit-files", set_limit_files},
    {"limit-file-size", set_limit_file_size},
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
    return drv_problem_set(problem, DROVER_INVALID, "unknown key '%s'", entry->key);
}

static drover_status check_paths(const struct pool_command *command, const char *key,
                                 const char *const *paths, size_t count,
                                 struct drv_problem *problem)
{
    for (size_t i = 0; i < count; i++) {
        if (paths[i][0] != '/' || access(paths[i], F_OK) != 0) {
            return drv_problem_set(problem, DROVER_INVALID,
                                   "[handler.%s]: %s = %s is no absolute path that is there",
                                   command->type, key, paths[i]);
        }
    }
    return DROVER_OK;
}

/* A path that cannot be kept to must not look as if it were. */
static drover_status check_confine(const struct pool_command *command,
                                   struct drv_problem *problem)
{
    const struct confine *confine = &command->confine;
    if (confine_has_paths(confine) && !confine_can_paths()) {
        return drv_problem_set(problem, DROVER_INVALID,
                               "[handler.%s]: this kernel has no Landlock, which read and "
                               "write need",
                               command->type);
    }
    drover_status status = check_paths(command, "read", confine->read, confine->read_count,
                                       problem);
    return status
               ? status
               : check_paths(command, "write", confine->write, confine->write_count, problem);
}

drover_status worker_handlers_check(const struct worker_handlers *handlers,
                                    struct drv_problem *problem)
{
    for (size_t i = 0; i < handlers->count; i++) {
        const struct pool_command *command = &handlers->commands[i];
        if (command->argc == 0 || command->argv[0][0] == '\0') {
            return drv_problem_set(problem, DROVER_INVALID, "[handler.%s] has no command",
                                   command->type);
        }
        if (command->content_type != NULL && command->stdout_mode != POOL_STDOUT_RAW) {
            return drv_problem_set(problem, DROVER_INVALID,
                                   "[handler.%s]: content-type is for stdout = raw",
                                   command->type);
        }
        drover_status status = check_confine(command, problem);
        if (status != DROVER_OK) {
            return status;
        }
    }
    return DROVER_OK;
}
