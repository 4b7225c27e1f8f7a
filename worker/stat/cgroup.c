#include "stat/cgroup.h"

#include "group.h"
#include "stat/rate.h"
#include "stat/text.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

enum {
    CGROUP_TEXT_MAX = 16 * 1024,
    CGROUP_PATH_MAX = PATH_MAX / 2,
};

/* v1 writes "no limit" as the largest number of whole pages. */
#define V1_NO_LIMIT (1ULL << 60)

#define V2 "/sys/fs/cgroup", "/sys/fs/cgroup/unified"

/* ---- files of a group -----------------------------------------------------------------------
 */

static bool read_file(const char *root, const char *directory, const char *file, char *out_text,
                      size_t size)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof path, "%s/%s", directory, file);
    return len > 0 && (size_t)len < sizeof path &&
           stat_text_read(root, path, out_text, size) == DROVER_OK;
}

static bool read_number(const char *root, const char *directory, const char *file,
                        uint64_t *out_number)
{
    char text[64];
    const char *at = text;
    return read_file(root, directory, file, text, sizeof text) &&
           stat_text_number(&at, out_number);
}

/* ---- from the own group up to where it is mounted -------------------------------------------
 */

/* Looks at one group; groups come from the own one upwards. */
typedef void (*level_fn)(const char *root, const char *directory, void *context);

static void walk_up(const char *root, const char *mount, const char *group, level_fn look,
                    void *context)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof path, "%s%s", mount, strcmp(group, "/") == 0 ? "" : group);
    if (len < 0 || (size_t)len >= sizeof path) {
        return;
    }
    size_t mount_len = strlen(mount);
    while (true) {
        look(root, path, context);
        if (strlen(path) <= mount_len) {
            return;
        }
        *strrchr(path, '/') = '\0';
    }
}

static bool has_controller(const char *list, const char *name)
{
    size_t name_len = strlen(name);
    while (*list != '\0') {
        size_t len = strcspn(list, ",");
        if (len == name_len && memcmp(list, name, len) == 0) {
            return true;
        }
        list += len + (list[len] == ',' ? 1 : 0);
    }
    return false;
}

/* Where the group of a controller may be mounted; controller "": the unified hierarchy. */
struct place {
    const char *controller;
    const char *mounts[2];
};

/* The agent's own leaf says nothing of what runs the tasks: the group above is the worker's. */
static void cut_leaf(char *group)
{
    char *last = strrchr(group, '/');
    if (last != NULL && strcmp(last + 1, GROUP_AGENT) == 0) {
        last[last == group ? 1 : 0] = '\0';
    }
}

/* One line "N:controllers:path" of /proc/self/cgroup. True when it is about this controller. */
static bool walk_line(const char *root, char *line, const struct place *place, level_fn look,
                      void *context)
{
    char *controllers = strchr(line, ':');
    char *group = controllers == NULL ? NULL : strchr(controllers + 1, ':');
    if (group == NULL || strlen(group + 1) >= CGROUP_PATH_MAX || group[1] != '/') {
        return false;
    }
    *group++ = '\0';
    controllers++;
    cut_leaf(group);
    bool is_wanted = *place->controller == '\0'
                         ? *controllers == '\0'
                         : has_controller(controllers, place->controller);
    for (size_t i = 0; is_wanted && i < 2 && place->mounts[i] != NULL; i++) {
        walk_up(root, place->mounts[i], group, look, context);
    }
    return is_wanted;
}

static bool walk(const char *root, const struct place *place, level_fn look, void *context)
{
    char text[CGROUP_TEXT_MAX];
    bool found = false;
    if (stat_text_read(root, "/proc/self/cgroup", text, sizeof text) != DROVER_OK) {
        return false;
    }
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        found = walk_line(root, line, place, look, context) || found;
    }
    return found;
}

/* ---- processors -----------------------------------------------------------------------------
 */

/* Keeps the least; nonsense and no quota are none. */
static void take_quota(double *cpus, uint64_t quota, uint64_t period)
{
    double here = quota == 0 || period == 0 ? 0 : (double)quota / (double)period;
    if (here > 0 && (*cpus <= 0 || here < *cpus)) {
        *cpus = here;
    }
}

/* "QUOTA PERIOD" or "max PERIOD". */
static void quota_v2(const char *root, const char *directory, void *context)
{
    char text[128];
    const char *at = text;
    uint64_t quota = 0;
    uint64_t period = 0;
    if (read_file(root, directory, "cpu.max", text, sizeof text) &&
        stat_text_number(&at, &quota) && stat_text_number(&at, &period)) {
        take_quota(context, quota, period);
    }
}

/* The same in two files; a quota of -1 is none. */
static void quota_v1(const char *root, const char *directory, void *context)
{
    uint64_t quota = 0;
    uint64_t period = 0;
    if (read_number(root, directory, "cpu.cfs_quota_us", &quota) &&
        read_number(root, directory, "cpu.cfs_period_us", &period)) {
        take_quota(context, quota, period);
    }
}

static const struct place UNIFIED = {"", {V2}};
static const struct place CPU = {"cpu", {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"}};
static const struct place CPUACCT = {"cpuacct",
                                     {"/sys/fs/cgroup/cpuacct", "/sys/fs/cgroup/cpu,cpuacct"}};
static const struct place MEMORY = {"memory", {"/sys/fs/cgroup/memory", NULL}};
static const struct place PIDS = {"pids", {"/sys/fs/cgroup/pids", NULL}};

double stat_cgroup_cpus(const char *root)
{
    double cpus = 0;
    (void)walk(root, &UNIFIED, quota_v2, &cpus);
    (void)walk(root, &CPU, quota_v1, &cpus);
    return cpus;
}

/* The own group's, or of the nearest that has some. */
static void cpu_use_v2(const char *root, const char *directory, void *context)
{
    struct stat_cgroup *group = context;
    char text[4096];
    if (!group->has_cpu && read_file(root, directory, "cpu.stat", text, sizeof text) &&
        stat_text_find(text, "usage_usec", &group->cpu_us)) {
        group->has_cpu = true;
        (void)stat_text_find(text, "nr_throttled", &group->throttled);
        (void)stat_text_find(text, "throttled_usec", &group->throttled_us);
    }
}

static void cpu_use_v1(const char *root, const char *directory, void *context)
{
    struct stat_cgroup *group = context;
    uint64_t ns = 0;
    if (!group->has_cpu && read_number(root, directory, "cpuacct.usage", &ns)) {
        group->has_cpu = true;
        group->cpu_us = ns / 1000;
    }
}

static void throttled_v1(const char *root, const char *directory, void *context)
{
    struct stat_cgroup *group = context;
    char text[4096];
    uint64_t ns = 0;
    if (group->throttled == 0 && read_file(root, directory, "cpu.stat", text, sizeof text) &&
        stat_text_find(text, "nr_throttled", &group->throttled) &&
        stat_text_find(text, "throttled_time", &ns)) {
        group->throttled_us = ns / 1000;
    }
}

/* ---- limits and their use -------------------------------------------------------------------
 */

struct bound_walk {
    struct stat_bound bound;
    const char *limit_file, *used_file;
};

/* "max" is no number, and no limit. */
static void bound_level(const char *root, const char *directory, void *context)
{
    struct bound_walk *walk = context;
    uint64_t used = 0;
    uint64_t limit = STAT_NO_LIMIT;
    if (!read_number(root, directory, walk->used_file, &used)) {
        return; /* the root of v2 has none */
    }
    if (!read_number(root, directory, walk->limit_file, &limit) || limit >= V1_NO_LIMIT) {
        limit = STAT_NO_LIMIT;
    }
    if (!walk->bound.is_known || limit < walk->bound.limit) {
        walk->bound = (struct stat_bound){.is_known = true, .limit = limit, .used = used};
    }
}

static struct stat_bound read_bound(const char *root, const struct place *place,
                                    const char *limit_file, const char *used_file)
{
    struct bound_walk bound = {
        .bound = {.limit = STAT_NO_LIMIT}, .limit_file = limit_file, .used_file = used_file};
    (void)walk(root, place, bound_level, &bound);
    return bound.bound;
}

static void look_at_nothing(const char *root, const char *directory, void *context)
{
    (void)root;
    (void)directory;
    (void)context;
}

static void read_v2(struct stat_cgroup *group)
{
    const char *root = group->root;
    group->version = walk(root, &UNIFIED, cpu_use_v2, group) ? 2 : 0;
    group->memory = read_bound(root, &UNIFIED, "memory.max", "memory.current");
    group->swap = read_bound(root, &UNIFIED, "memory.swap.max", "memory.swap.current");
    group->pids = read_bound(root, &UNIFIED, "pids.max", "pids.current");
}

/* What v2 did not say. */
static void read_v1(struct stat_cgroup *group)
{
    const char *root = group->root;
    if (!walk(root, &CPUACCT, look_at_nothing, NULL) &&
        !walk(root, &MEMORY, look_at_nothing, NULL)) {
        return;
    }
    group->version = 1;
    (void)walk(root, &CPUACCT, cpu_use_v1, group);
    (void)walk(root, &CPU, throttled_v1, group);
    if (!group->memory.is_known) {
        group->memory = read_bound(root, &MEMORY, "memory.limit_in_bytes",
                                   "memory.usage_in_bytes");
    }
    if (!group->pids.is_known) {
        group->pids = read_bound(root, &PIDS, "pids.max", "pids.current");
    }
}

void stat_cgroup_init(struct stat_cgroup *group, const char *root)
{
    *group = (struct stat_cgroup){.root = root, .cpu_percent = STAT_UNKNOWN};
}

void stat_cgroup_read(struct stat_cgroup *group, int64_t now_us)
{
    uint64_t before_us = group->cpu_us;
    int64_t elapsed_us = group->has_sample ? now_us - group->at_us : 0;
    group->has_cpu = false;
    group->throttled = group->throttled_us = 0;
    read_v2(group);
    read_v1(group);
    group->cpus = stat_cgroup_cpus(group->root);
    double rate = stat_rate(before_us, group->cpu_us, elapsed_us); /* us per second */
    group->cpu_percent = group->has_cpu && stat_is_known(rate) ? rate / 1e4 : STAT_UNKNOWN;
    group->has_sample = group->has_cpu;
    group->at_us = now_us;
}

/* ---- writing --------------------------------------------------------------------------------
 */

static void write_bound(struct stat_details *details, const char *key,
                        const struct stat_bound *bound)
{
    if (!bound->is_known) {
        return;
    }
    stat_details_map(details, key);
    stat_details_uint(details, "used", bound->used);
    if (bound->limit != STAT_NO_LIMIT) {
        stat_details_uint(details, "limit", bound->limit);
        stat_details_real(details, "percent", stat_percent(bound->used, bound->limit));
    }
    stat_details_end(details);
}

void stat_cgroup_write(const struct stat_cgroup *group, struct stat_details *details)
{
    stat_details_map(details, "cgroup");
    stat_details_uint(details, "version", group->version);
    if (group->cpus > 0) {
        stat_details_real(details, "cpus", group->cpus);
    }
    if (group->has_cpu) {
        stat_details_real(details, "cpu_percent", group->cpu_percent);
        stat_details_uint(details, "cpu_us", group->cpu_us);
        stat_details_uint(details, "throttled", group->throttled);
        stat_details_uint(details, "throttled_us", group->throttled_us);
    }
    write_bound(details, "memory", &group->memory);
    write_bound(details, "swap", &group->swap);
    write_bound(details, "pids", &group->pids);
    stat_details_end(details);
}
