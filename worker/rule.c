#include "rule.h"

#include "name.h"
#include "problem.h"
#include "units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void worker_rules_init(struct worker_rules *rules)
{
    memset(rules, 0, sizeof *rules);
    drv_arena_init(&rules->arena, 0);
}

void worker_rules_fini(struct worker_rules *rules)
{
    drv_arena_fini(&rules->arena);
    free(rules->items);
    memset(rules, 0, sizeof *rules);
}

static bool is_name(const char *text, size_t len)
{
    return drv_name_is_valid(drv_view_of(text, len));
}

static struct pool_rule *find(struct worker_rules *rules, const char *type, size_t len)
{
    for (size_t i = 0; i < rules->count; i++) {
        const char *name = rules->items[i].type;
        if (strncmp(name, type, len) == 0 && name[len] == '\0') {
            return &rules->items[i];
        }
    }
    return NULL;
}

static bool make_room(struct worker_rules *rules)
{
    if (rules->count < rules->capacity) {
        return true;
    }
    size_t capacity = rules->capacity == 0 ? 16 : rules->capacity * 2;
    struct pool_rule *items = realloc(rules->items, capacity * sizeof *items);
    if (items == NULL) {
        return false;
    }
    rules->items = items;
    rules->capacity = capacity;
    return true;
}

static drover_status ensure(struct worker_rules *rules, const char *type, size_t len,
                            struct pool_rule **out_rule, struct drv_problem *problem)
{
    if (!is_name(type, len)) {
        return drv_problem_set(problem, DROVER_INVALID, "'%.*s' is no name for a task type",
                               (int)len, type);
    }
    *out_rule = find(rules, type, len);
    if (*out_rule != NULL) {
        return DROVER_OK;
    }
    if (rules->count == WORKER_RULES_MAX) {
        return drv_problem_set(problem, DROVER_INVALID, "rules for more than %d types",
                               WORKER_RULES_MAX);
    }
    char *name = drv_arena_alloc(&rules->arena, len + 1, 1);
    if (name == NULL || !make_room(rules)) {
        return drv_problem_set(problem, DROVER_NOMEM, "out of memory");
    }
    memcpy(name, type, len);
    name[len] = '\0';
    rules->items[rules->count] = (struct pool_rule){.type = name};
    *out_rule = &rules->items[rules->count++];
    return DROVER_OK;
}

/* ---- keys -----------------------------------------------------------------------------------
 */

static drover_status set_model(struct pool_rule *rule, const char *value, size_t len,
                               struct drv_problem *problem)
{
    for (unsigned model = POOL_MODEL_PREFORK; model <= POOL_MODEL_EXEC; model++) {
        const char *name = pool_model_name((enum pool_model)model);
        if (strlen(name) == len && strncmp(name, value, len) == 0) {
            rule->model = (enum pool_model)model;
            return DROVER_OK;
        }
    }
    return drv_problem_set(problem, DROVER_INVALID,
                           "model is prefork, thread, fork or exec, not '%.*s'", (int)len,
                           value);
}

static drover_status set_concurrency(struct pool_rule *rule, const char *value, size_t len,
                                     struct drv_problem *problem)
{
    char text[32] = "";
    uint64_t number = 0;
    if (len < sizeof text) {
        memcpy(text, value, len);
    }
    if (drv_uint_parse(text, &number) != DROVER_OK || number == 0 || number > POOL_SLOTS_MAX) {
        return drv_problem_set(problem, DROVER_INVALID,
                               "concurrency is a number from 1 to %d, not '%.*s'",
                               POOL_SLOTS_MAX, (int)len, value);
    }
    rule->concurrency = (uint32_t)number;
    return DROVER_OK;
}

/* What is kept to: keys and values there end with the text. */
static drover_status set_confine(struct worker_rules *rules, struct pool_rule *rule,
                                 const char *key, size_t key_len, const char *value, size_t len,
                                 struct drv_problem *problem)
{
    char *copy = drv_arena_alloc(&rules->arena, key_len + len + 2, 1);
    if (copy == NULL) {
        return drv_problem_set(problem, DROVER_NOMEM, "out of memory");
    }
    char *value_copy = copy + key_len + 1;
    memcpy(copy, key, key_len);
    copy[key_len] = '\0';
    memcpy(value_copy, value, len);
    value_copy[len] = '\0';
    return confine_key_is_known(copy)
               ? confine_key_set(&rules->arena, &rule->confine, copy, value_copy, problem)
               : drv_problem_set(problem, DROVER_INVALID, "unknown key '%s'", copy);
}

static drover_status set(struct worker_rules *rules, struct pool_rule *rule, const char *key,
                         size_t key_len, const char *value, size_t len,
                         struct drv_problem *problem)
{
    static const struct {
        const char *name;
        drover_status (*set)(struct pool_rule *rule, const char *value, size_t len,
                             struct drv_problem *problem);
    } keys[] = {{"model", set_model}, {"concurrency", set_concurrency}};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (strlen(keys[i].name) == key_len && strncmp(keys[i].name, key, key_len) == 0) {
            return keys[i].set(rule, value, len, problem);
        }
    }
    return set_confine(rules, rule, key, key_len, value, len, problem);
}

/* ---- where they come from -------------------------------------------------------------------
 */

drover_status worker_rules_entry(void *context, const struct drv_config_entry *entry,
                                 struct drv_problem *problem)
{
    struct worker_rules *rules = context;
    struct pool_rule *rule = NULL;
    const char *type = strchr(entry->section, '.') + 1;
    drover_status status = ensure(rules, type, strlen(type), &rule, problem);
    if (status != DROVER_OK || rule == NULL) {
        return status;
    }
    return set(rules, rule, entry->key, strlen(entry->key), entry->value, strlen(entry->value),
               problem);
}

static drover_status bad_option(const char *text, struct drv_problem *problem)
{
    return drv_problem_set(problem, DROVER_INVALID,
                           "--type %s: expected NAME:KEY=VALUE, and more of them after commas",
                           text);
}

drover_status worker_rules_option(struct worker_rules *rules, const char *text,
                                  struct drv_problem *problem)
{
    /* Names have colons too, but what follows the last one is the rule. */
    const char *colon = strrchr(text, ':');
    struct pool_rule *rule = NULL;
    if (colon == NULL || strchr(text, '=') < colon) {
        return bad_option(text, problem);
    }
    drover_status status = ensure(rules, text, (size_t)(colon - text), &rule, problem);
    const char *at = colon + 1;
    for (bool is_last = false; status == DROVER_OK && rule != NULL && !is_last;) {
        size_t len = strcspn(at, ",");
        const char *equals = memchr(at, '=', len);
        if (equals == NULL) {
            return bad_option(text, problem);
        }
        size_t key_len = (size_t)(equals - at);
        status = set(rules, rule, at, key_len, equals + 1, len - key_len - 1, problem);
        is_last = at[len] == '\0';
        at += len + 1;
    }
    return status;
}

drover_status worker_rules_check(struct worker_rules *rules, struct confine_programs *programs,
                                 struct drv_problem *problem)
{
    drover_status status = DROVER_OK;
    for (size_t i = 0; !status && i < rules->count; i++) {
        char section[DROVER_NAME_MAX + 8];
        (void)snprintf(section, sizeof section, "type.%s", rules->items[i].type);
        status = confine_key_check(&rules->items[i].confine, programs, section, problem);
    }
    return status;
}
