#include "sandbox.h"

#include "confine.h"

#include <string.h>
#include <unistd.h>

enum { TYPES_SHARE = 25 }; /* percent of the room for rows that they may take */

typedef bool (*each_fn)(const char *type, const struct confine *confine, void *context);

/* Every type that is kept to something, until one says that it is enough. */
static bool each_type(const struct worker_settings *settings, each_fn fn, void *context)
{
    bool more = true;
    for (size_t i = 0; more && i < settings->handlers.count; i++) {
        const struct pool_command *command = &settings->handlers.commands[i];
        if (confine_is_set(&command->confine)) {
            more = fn(command->type, &command->confine, context);
        }
    }
    for (size_t i = 0; more && i < settings->rules.count; i++) {
        const struct pool_rule *rule = &settings->rules.items[i];
        if (confine_is_set(&rule->confine)) {
            more = fn(rule->type, &rule->confine, context);
        }
    }
    return more;
}

/* ---- statistics -----------------------------------------------------------------------------
 */

static void write_paths(struct stat_details *details, const char *key, const char *const *paths,
                        size_t count)
{
    if (count == 0) {
        return;
    }
    stat_details_list(details, key);
    for (size_t i = 0; i < count; i++) {
        stat_details_text(details, NULL, paths[i]);
    }
    stat_details_end(details);
}

static void write_limit(struct stat_details *details, const char *key, uint64_t limit)
{
    if (limit != 0) {
        stat_details_uint(details, key, limit);
    }
}

static bool write_type(const char *type, const struct confine *confine, void *context)
{
    struct stat_details *details = context;
    stat_details_row(details);
    stat_details_text(details, "type", type);
    if (confine->profile != PROFILE_NONE) {
        stat_details_text(details, "seccomp", profile_name(confine->profile));
    }
    if (confine->user != NULL) {
        stat_details_text(details, "user", confine->user);
    }
    write_paths(details, "read", confine->read, confine->read_count);
    write_paths(details, "write", confine->write, confine->write_count);
    write_limit(details, "limit_memory", confine->memory_max);
    write_limit(details, "limit_cpu_s", confine->cpu_s_max);
    write_limit(details, "limit_files", confine->files_max);
    write_limit(details, "limit_file_size", confine->file_size_max);
    return stat_details_keep(details);
}

void sandbox_write(const void *context, struct stat_details *details)
{
    const struct sandbox *sandbox = context;
    bool is_grouped = sandbox->groups->dir[0] != '\0';
    stat_details_map(details, "sandbox");
    stat_details_bool(details, "no_new_privs", true); /* an executor ends without them */
    stat_details_bool(details, "process_groups", true);
    stat_details_bool(details, "landlock", confine_can_paths());
    stat_details_bool(details, "seccomp", profile_is_possible());
    stat_details_uint(details, "uid", geteuid());
    stat_details_text(details, "key", sandbox->conceal->how);
    if (sandbox->conceal->why.text[0] != '\0') {
        stat_details_text(details, "key_why", sandbox->conceal->why.text);
    }
    stat_details_text(details, "limits", is_grouped ? "cgroup" : "rlimit");
    if (sandbox->why[0] != '\0') {
        stat_details_text(details, "limits_why", sandbox->why);
    }
    size_t row_max = stat_details_narrow(details, TYPES_SHARE);
    stat_details_list(details, "types");
    bool is_whole = each_type(sandbox->settings, write_type, details);
    stat_details_end(details);
    stat_details_widen(details, row_max);
    stat_details_bool(details, "truncated", !is_whole);
    stat_details_end(details);
}

/* ---- log ------------------------------------------------------------------------------------
 */

static bool log_type(const char *type, const struct confine *confine, void *context)
{
    const struct drv_log *log = context;
    drv_log_info(log, "handler confined", drv_log_str("type", type),
                 drv_log_uint("read", confine->read_count),
                 drv_log_uint("write", confine->write_count),
                 drv_log_uint("limit_memory", confine->memory_max),
                 drv_log_uint("limit_cpu_s", confine->cpu_s_max),
                 drv_log_uint("limit_files", confine->files_max),
                 drv_log_uint("limit_file_size", confine->file_size_max),
                 drv_log_str("seccomp", profile_name(confine->profile)),
                 drv_log_str("user", confine->user != NULL ? confine->user : ""));
    return true;
}

static void log_key(const struct conceal *conceal, const struct drv_log *log)
{
    if (conceal->why.text[0] != '\0') {
        drv_log_warn(log, "handlers can read the key of this worker",
                     drv_log_str("why", conceal->why.text));
    } else if (strcmp(conceal->how, "none") != 0) {
        drv_log_info(log, "handlers cannot read the key of this worker",
                     drv_log_str("by", conceal->how));
    }
}

void sandbox_log(const struct sandbox *sandbox, const struct drv_log *log)
{
    log_key(sandbox->conceal, log);
    (void)each_type(sandbox->settings, log_type, (void *)(uintptr_t)log);
}
