#include "module.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTRY_SYMBOL "drover_module_entry"
#define EXEC_PREFIX "exec:"

void module_set_fini(struct module_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        free(set->handlers[i].type);
    }
    free(set->handlers);
    *set = (struct module_set){0};
}

static struct module_handler *find(const struct module_set *set, const char *type)
{
    for (size_t i = 0; i < set->count; i++) {
        if (strcmp(set->handlers[i].type, type) == 0) {
            return &set->handlers[i];
        }
    }
    return NULL;
}

const struct module_handler *module_set_find(const struct module_set *set, const char *type)
{
    return find(set, type);
}

static drover_status add_handler(struct module_set *set, const struct module_handler *handler,
                                 struct drv_problem *problem)
{
    if (!drover_name_is_valid(handler->type)) {
        return drv_problem_set(problem, DROVER_INVALID, "'%s' is no valid task type",
                               handler->type != NULL ? handler->type : "");
    }
    if (set->count == MODULE_HANDLERS_MAX) {
        return drv_problem_set(problem, DROVER_LIMIT, "more than %d task types",
                               MODULE_HANDLERS_MAX);
    }
    if (set->count == set->capacity) {
        size_t capacity = set->capacity == 0 ? 16 : set->capacity * 2;
        struct module_handler *handlers = realloc(set->handlers,
                                                  capacity * sizeof(*set->handlers));
        if (handlers == NULL) {
            return drv_problem_set(problem, DROVER_NOMEM, "out of memory");
        }
        set->handlers = handlers;
        set->capacity = capacity;
    }
    char *type = strdup(handler->type);
    if (type == NULL) {
        return drv_problem_set(problem, DROVER_NOMEM, "out of memory");
    }
    set->handlers[set->count] = *handler;
    set->handlers[set->count].type = type;
    set->count++;
    return DROVER_OK;
}

/* ---- modules ------------------------------------------------------------------------------
 */

static drover_status check_entry(const drover_module *entry, const char *path,
                                 struct drv_problem *problem)
{
    if (entry == NULL) {
        return drv_problem_set(problem, DROVER_INVALID,
                               "module %s: no DROVER_MODULE in it (symbol %s)", path,
                               ENTRY_SYMBOL);
    }
    if (entry->abi != DROVER_MODULE_ABI || entry->handler_size != sizeof(drover_handler)) {
        return drv_problem_set(problem, DROVER_VERSION,
                               "module %s: built for ABI %u, this worker has ABI %u", path,
                               (unsigned)entry->abi, DROVER_MODULE_ABI);
    }
    if (entry->handler_count > MODULE_HANDLERS_MAX || entry->handlers == NULL) {
        return drv_problem_set(problem, DROVER_INVALID, "module %s: no usable handlers", path);
    }
    return DROVER_OK;
}

/* The handlers of one module; name is the one for messages. */
static drover_status add_entry(struct module_set *set, const drover_module *entry,
                               const char *name, struct drv_problem *problem)
{
    drover_status status = check_entry(entry, name, problem);
    for (size_t i = 0; !status && i < entry->handler_count; i++) {
        const drover_handler *source = &entry->handlers[i];
        if (source->function == NULL) {
            return drv_problem_set(problem, DROVER_INVALID, "module %s: handler %zu is NULL",
                                   name, i);
        }
        struct module_handler handler = {.kind = MODULE_FUNCTION,
                                         .type = (char *)(uintptr_t)source->name,
                                         .function = source->function,
                                         .flags = source->flags};
        status = add_handler(set, &handler, problem);
    }
    return status;
}

static drover_status add_module(struct module_set *set, const char *path,
                                struct drv_problem *problem)
{
    /* Without a slash dlopen would search the library path, but a file is meant. */
    char file[4096];
    int len = snprintf(file, sizeof(file), "%s%s", strchr(path, '/') == NULL ? "./" : "", path);
    if (len < 0 || (size_t)len >= sizeof(file)) {
        return drv_problem_set(problem, DROVER_INVALID, "module %s: name too long", path);
    }
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        const char *text = dlerror();
        return drv_problem_set(problem, DROVER_IO, "module %s: %s", path,
                               text != NULL ? text : "cannot be loaded");
    }
    return add_entry(set, dlsym(library, ENTRY_SYMBOL), path, problem);
}

/* ---- commands -----------------------------------------------------------------------------
 */

static drover_status add_command(struct module_set *set, const struct pool_command *command,
                                 struct drv_problem *problem)
{
    if (command->argc == 0 || command->argv[0][0] == '\0') {
        return drv_problem_set(problem, DROVER_INVALID, "command %s: no program",
                               command->type);
    }
    if (command->content_type != NULL &&
        strlen(command->content_type) > DROVER_CONTENT_TYPE_MAX) {
        return drv_problem_set(problem, DROVER_INVALID, "command %s: content type too long",
                               command->type);
    }
    struct module_handler handler = {.kind = command->persist ? MODULE_PERSIST : MODULE_COMMAND,
                                     .type = (char *)(uintptr_t)command->type,
                                     .command = command,
                                     .confine = &command->confine};
    return add_handler(set, &handler, problem);
}

static drover_status add_exec(struct module_set *set, const char *program,
                              struct drv_problem *problem)
{
    char type[DROVER_NAME_MAX + 2];
    int len = snprintf(type, sizeof(type), EXEC_PREFIX "%s", program);
    for (char *at = type; *at != '\0'; at++) {
        if (*at == '/') {
            *at = ':';
        }
    }
    if (len < 0 || (size_t)len >= sizeof(type) || !drover_name_is_valid(type) ||
        program[0] == '\0') {
        return drv_problem_set(problem, DROVER_INVALID,
                               "allow-exec %s: only A-Z a-z 0-9 . _ : - / and at most %zu "
                               "characters",
                               program, (size_t)DROVER_NAME_MAX - sizeof(EXEC_PREFIX) + 1);
    }
    struct module_handler handler = {.kind = MODULE_EXEC, .type = type, .program = program};
    return add_handler(set, &handler, problem);
}

/* ---- how they are run ---------------------------------------------------------------------
 */

static enum pool_model usual_model(const struct module_handler *handler,
                                   const struct pool_config *config)
{
    enum pool_model model = config->model != 0 ? config->model : POOL_MODEL_PREFORK;
    if (handler->kind != MODULE_FUNCTION) {
        return POOL_MODEL_EXEC;
    }
    bool is_safe = (handler->flags & DROVER_THREAD_SAFE) != 0;
    return model == POOL_MODEL_THREAD && !is_safe ? POOL_MODEL_PREFORK : model;
}

static drover_status obey_rule(struct module_handler *handler, const struct pool_rule *rule,
                               struct drv_problem *problem)
{
    bool is_command = handler->kind != MODULE_FUNCTION;
    if (rule->model != 0 && is_command != (rule->model == POOL_MODEL_EXEC)) {
        return drv_problem_set(problem, DROVER_INVALID, "type %s: %s cannot run as %s",
                               rule->type, is_command ? "a command" : "a function",
                               pool_model_name(rule->model));
    }
    if (rule->model == POOL_MODEL_THREAD && (handler->flags & DROVER_THREAD_SAFE) == 0) {
        return drv_problem_set(problem, DROVER_INVALID,
                               "type %s: its module does not say that it is DROVER_THREAD_SAFE",
                               rule->type);
    }
    if (confine_is_set(&rule->confine)) {
        if (handler->command != NULL) {
            return drv_problem_set(problem, DROVER_INVALID,
                                   "type %s: what a command is kept to stands in [handler.%s]",
                                   rule->type, rule->type);
        }
        if (rule->model == POOL_MODEL_PREFORK || rule->model == POOL_MODEL_THREAD) {
            return drv_problem_set(problem, DROVER_INVALID,
                                   "type %s: what is kept to something runs as fork, not %s",
                                   rule->type, pool_model_name(rule->model));
        }
        handler->confine = &rule->confine;
        handler->model = is_command ? handler->model : POOL_MODEL_FORK;
    }
    handler->model = rule->model != 0 ? rule->model : handler->model;
    handler->concurrency = rule->concurrency;
    return DROVER_OK;
}

static drover_status settle_models(struct module_set *set, const struct pool_config *config,
                                   struct drv_problem *problem)
{
    drover_status status = DROVER_OK;
    for (size_t i = 0; i < set->count; i++) {
        set->handlers[i].model = usual_model(&set->handlers[i], config);
    }
    for (size_t i = 0; !status && i < config->rule_count; i++) {
        const struct pool_rule *rule = &config->rules[i];
        struct module_handler *handler = find(set, rule->type);
        status = handler != NULL
                     ? obey_rule(handler, rule, problem)
                     : drv_problem_set(problem, DROVER_INVALID,
                                       "type %s: there is no such handler", rule->type);
    }
    return status;
}

/* ---- all of it ----------------------------------------------------------------------------
 */

static int compare_types(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static drover_status refuse_duplicates(const struct module_set *set,
                                       struct drv_problem *problem)
{
    if (set->count == 0) {
        return DROVER_OK;
    }
    char **types = malloc(set->count * sizeof(*types));
    if (types == NULL) {
        return drv_problem_set(problem, DROVER_NOMEM, "out of memory");
    }
    for (size_t i = 0; i < set->count; i++) {
        types[i] = set->handlers[i].type;
    }
    qsort(types, set->count, sizeof(*types), compare_types);
    drover_status status = DROVER_OK;
    for (size_t i = 1; !status && i < set->count; i++) {
        if (strcmp(types[i - 1], types[i]) == 0) {
            status = drv_problem_set(problem, DROVER_CONFLICT,
                                     "task type %s is offered by two handlers", types[i]);
        }
    }
    free(types);
    return status;
}

drover_status module_set_load(struct module_set *set, const struct pool_config *config,
                              struct drv_problem *problem)
{
    *set = (struct module_set){0};
    drover_status status = DROVER_OK;
    if (config->own != NULL) {
        status = add_entry(set, config->own,
                           config->own->name != NULL ? config->own->name : "(own)", problem);
    }
    for (size_t i = 0; !status && i < config->module_count; i++) {
        status = add_module(set, config->modules[i], problem);
    }
    for (size_t i = 0; !status && i < config->command_count; i++) {
        status = add_command(set, &config->commands[i], problem);
    }
    for (size_t i = 0; !status && i < config->allow_exec_count; i++) {
        status = add_exec(set, config->allow_exec[i], problem);
    }
    if (!status) {
        status = refuse_duplicates(set, problem);
    }
    if (!status) {
        status = settle_models(set, config, problem);
    }
    if (status) {
        module_set_fini(set);
    }
    return status;
}
