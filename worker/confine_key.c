#include "confine_key.h"

#include "check.h"
#include "units.h"
#include "words.h"

#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

static drover_status out_of_memory(struct drv_problem *problem)
{
    return drv_problem_set(problem, DROVER_NOMEM, "out of memory");
}

/* ---- paths and limits -----------------------------------------------------------------------
 */

static drover_status set_read(struct drv_arena *arena, struct confine *confine,
                              const char *value, struct drv_problem *problem)
{
    return words_append(arena, &confine->read, &confine->read_count, value, problem);
}

static drover_status set_write(struct drv_arena *arena, struct confine *confine,
                               const char *value, struct drv_problem *problem)
{
    return words_append(arena, &confine->write, &confine->write_count, value, problem);
}

static drover_status set_size(const char *key, const char *value, uint64_t *out_size,
                              struct drv_problem *problem)
{
    if (drv_size_parse(value, out_size) != DROVER_OK || *out_size == 0) {
        return drv_problem_set(problem, DROVER_INVALID, "%s is a size, not '%s'", key, value);
    }
    return DROVER_OK;
}

static drover_status set_limit_memory(struct drv_arena *arena, struct confine *confine,
                                      const char *value, struct drv_problem *problem)
{
    (void)arena;
    return set_size("limit-memory", value, &confine->memory_max, problem);
}

static drover_status set_limit_file_size(struct drv_arena *arena, struct confine *confine,
                                         const char *value, struct drv_problem *problem)
{
    (void)arena;
    return set_size("limit-file-size", value, &confine->file_size_max, problem);
}

static drover_status set_limit_files(struct drv_arena *arena, struct confine *confine,
                                     const char *value, struct drv_problem *problem)
{
    int64_t count = 0;
    (void)arena;
    if (drv_int_parse(value, &count) != DROVER_OK || count < CONFINE_FILES_MIN) {
        return drv_problem_set(problem, DROVER_INVALID,
                               "limit-files is a number from %d, not '%s'", CONFINE_FILES_MIN,
                               value);
    }
    confine->files_max = (uint64_t)count;
    return DROVER_OK;
}

static drover_status set_limit_cpu(struct drv_arena *arena, struct confine *confine,
                                   const char *value, struct drv_problem *problem)
{
    uint64_t ms = 0;
    (void)arena;
    if (drv_duration_parse(value, &ms) != DROVER_OK || ms == 0) {
        return drv_problem_set(problem, DROVER_INVALID, "limit-cpu is a time, not '%s'", value);
    }
    confine->cpu_s_max = ms / 1000 + (ms % 1000 != 0);
    return DROVER_OK;
}

static drover_status set_seccomp(struct drv_arena *arena, struct confine *confine,
                                 const char *value, struct drv_problem *problem)
{
    (void)arena;
    if (!profile_find(value, &confine->profile)) {
        return drv_problem_set(problem, DROVER_INVALID,
                               "seccomp is none, network-less or strict, not '%s'", value);
    }
    return DROVER_OK;
}

/* ---- users ----------------------------------------------------------------------------------
 */

/* A number that is no name; the highest one means "no change" to the system. */
static bool is_number(const char *text, uint32_t *out_number)
{
    uint64_t number = 0;
    if (drv_uint_parse(text, &number) != DROVER_OK || number >= UINT32_MAX) {
        return false;
    }
    *out_number = (uint32_t)number;
    return true;
}

static drover_status keep_text(struct drv_arena *arena, const char *text, const char **out_text)
{
    *out_text = drv_arena_copy(arena, text, strlen(text) + 1);
    return *out_text == NULL ? DROVER_NOMEM : DROVER_OK;
}

static drover_status find_user(struct drv_arena *arena, struct confine *confine,
                               const char *name)
{
    bool is_id = is_number(name, &confine->uid);
    const struct passwd *entry = is_id ? getpwuid(confine->uid) : getpwnam(name);
    if (entry == NULL) {
        confine->gid = confine->uid;
        return is_id ? DROVER_OK : DROVER_UNKNOWN;
    }
    confine->uid = entry->pw_uid;
    confine->gid = entry->pw_gid;
    drover_status status = keep_text(arena, entry->pw_name, &confine->user_name);
    return status ? status : keep_text(arena, entry->pw_dir, &confine->home);
}

static bool find_group(struct confine *confine, const char *name)
{
    const struct group *entry = getgrnam(name);
    if (entry != NULL) {
        confine->gid = entry->gr_gid;
    }
    return entry != NULL || is_number(name, &confine->gid);
}

static drover_status set_user(struct drv_arena *arena, struct confine *confine,
                              const char *value, struct drv_problem *problem)
{
    const char *colon = strchr(value, ':');
    size_t len = colon == NULL ? strlen(value) : (size_t)(colon - value);
    char *name = drv_arena_alloc(arena, len + 1, 1);
    if (name == NULL || keep_text(arena, value, &confine->user) != DROVER_OK) {
        return out_of_memory(problem);
    }
    memcpy(name, value, len);
    name[len] = '\0';
    confine->user_name = confine->home = NULL;
    drover_status status = find_user(arena, confine, name);
    if (status == DROVER_NOMEM) {
        return out_of_memory(problem);
    }
    if (status || (colon != NULL && !find_group(confine, colon + 1))) {
        return drv_problem_set(problem, DROVER_INVALID,
                               "user is USER or USER:GROUP, and '%s' is not known", value);
    }
    return DROVER_OK;
}

/* ---- keys -----------------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    drover_status (*set)(struct drv_arena *arena, struct confine *confine, const char *value,
                         struct drv_problem *problem);
} keys[] = {
    {"read", set_read},
    {"write", set_write},
    {"limit-memory", set_limit_memory},
    {"limit-cpu", set_limit_cpu},
    {"limit-files", set_limit_files},
    {"limit-file-size", set_limit_file_size},
    {"seccomp", set_seccomp},
    {"user", set_user},
};

bool confine_key_is_known(const char *key)
{
    for (size_t i = 0; i < DRV_ARRAY_LEN(keys); i++) {
        if (strcmp(keys[i].name, key) == 0) {
            return true;
        }
    }
    return false;
}

drover_status confine_key_set(struct drv_arena *arena, struct confine *confine, const char *key,
                              const char *value, struct drv_problem *problem)
{
    for (size_t i = 0; i < DRV_ARRAY_LEN(keys); i++) {
        if (strcmp(keys[i].name, key) == 0) {
            return keys[i].set(arena, confine, value, problem);
        }
    }
    DRV_UNREACHABLE();
}

/* ---- whether it can be done
 * -------------------------------------------------------------------
 */

void confine_programs_fini(struct confine_programs *programs)
{
    for (size_t i = 0; i < PROFILES; i++) {
        profile_free(&programs->items[i]);
    }
}

static drover_status check_paths(const char *section, const char *key, const char *const *paths,
                                 size_t count, struct drv_problem *problem)
{
    for (size_t i = 0; i < count; i++) {
        if (paths[i][0] != '/' || access(paths[i], F_OK) != 0) {
            return drv_problem_set(problem, DROVER_INVALID,
                                   "[%s]: %s = %s is no absolute path that is there", section,
                                   key, paths[i]);
        }
    }
    return DROVER_OK;
}

static drover_status find_program(struct confine *confine, struct confine_programs *programs,
                                  const char *section, struct drv_problem *problem)
{
    const char *name = profile_name(confine->profile);
    struct sock_fprog **program = &programs->items[confine->profile];
    drover_status status = DROVER_OK;
    if (confine->profile == PROFILE_NONE) {
        confine->program = NULL;
        return DROVER_OK;
    }
    if (*program == NULL) {
        status = profile_compile(confine->profile, program);
    }
    confine->program = *program;
    if (status == DROVER_UNSUPPORTED) {
        return drv_problem_set(problem, DROVER_INVALID,
                               "[%s]: seccomp = %s: this worker was built without libseccomp",
                               section, name);
    }
    if (status || !profile_is_possible()) {
        return drv_problem_set(problem, status == DROVER_NOMEM ? status : DROVER_INVALID,
                               "[%s]: seccomp = %s: cannot be had here", section, name);
    }
    return DROVER_OK;
}

drover_status confine_key_check(struct confine *confine, struct confine_programs *programs,
                                const char *section, struct drv_problem *problem)
{
    if (confine_has_paths(confine) && !confine_can_paths()) {
        return drv_problem_set(problem, DROVER_INVALID,
                               "[%s]: this kernel has no Landlock, which read and write need",
                               section);
    }
    if (confine->user != NULL && geteuid() != 0) {
        return drv_problem_set(problem, DROVER_INVALID,
                               "[%s]: user = %s needs a worker that is root", section,
                               confine->user);
    }
    drover_status status = check_paths(section, "read", confine->read, confine->read_count,
                                       problem);
    if (!status) {
        status = check_paths(section, "write", confine->write, confine->write_count, problem);
    }
    return status ? status : find_program(confine, programs, section, problem);
}
