#include "stat/cgroup.h"

#include "stat/text.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
    CGROUP_TEXT_MAX = 16 * 1024,
    CGROUP_PATH_MAX = PATH_MAX / 2,
};

static double least(double a, double b)
{
    if (a <= 0) {
        return b;
    }
    return b > 0 && b < a ? b : a;
}

static bool read_file(const char *root, const char *directory, const char *file, char *out_text,
                      size_t size)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof path, "%s/%s", directory, file);
    return len > 0 && (size_t)len < sizeof path &&
           stat_text_read(root, path, out_text, size) == DROVER_OK;
}

/* CPUs, or 0 for nonsense and for no quota. */
static double ratio(uint64_t quota, uint64_t period)
{
    return quota == 0 || period == 0 ? 0 : (double)quota / (double)period;
}

/* Quota of one group: "QUOTA PERIOD" or "max PERIOD". */
static double quota_v2(const char *root, const char *directory)
{
    char text[128];
    const char *at = text;
    uint64_t quota = 0;
    uint64_t period = 0;
    if (!read_file(root, directory, "cpu.max", text, sizeof text) ||
        !stat_text_number(&at, &quota) || !stat_text_number(&at, &period)) {
        return 0;
    }
    return ratio(quota, period);
}

static uint64_t read_number(const char *root, const char *directory, const char *file)
{
    char text[64];
    const char *at = text;
    uint64_t number = 0;
    return read_file(root, directory, file, text, sizeof text) && stat_text_number(&at, &number)
               ? number
               : 0;
}

/* The same in two files; a quota of -1 is none. */
static double quota_v1(const char *root, const char *directory)
{
    return ratio(read_number(root, directory, "cpu.cfs_quota_us"),
                 read_number(root, directory, "cpu.cfs_period_us"));
}

typedef double (*quota_fn)(const char *root, const char *directory);

/* The least quota of the group and its ancestors below the mount point. */
static double walk_up(const char *root, const char *mount, const char *group, quota_fn quota)
{
    char path[PATH_MAX];
    double cpus = 0;
    int len = snprintf(path, sizeof path, "%s%s", mount, strcmp(group, "/") == 0 ? "" : group);
    if (len < 0 || (size_t)len >= sizeof path) {
        return 0;
    }
    size_t mount_len = strlen(mount);
    while (true) {
        cpus = least(cpus, quota(root, path));
        if (strlen(path) <= mount_len) {
            return cpus;
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

/* One line "N:controllers:path" of /proc/self/cgroup. */
static double line_cpus(const char *root, char *line)
{
    char *controllers = strchr(line, ':');
    char *group = controllers == NULL ? NULL : strchr(controllers + 1, ':');
    if (group == NULL || strlen(group + 1) >= CGROUP_PATH_MAX || group[1] != '/') {
        return 0;
    }
    *group++ = '\0';
    controllers++;
    if (*controllers == '\0') {
        return least(walk_up(root, "/sys/fs/cgroup", group, quota_v2),
                     walk_up(root, "/sys/fs/cgroup/unified", group, quota_v2));
    }
    if (!has_controller(controllers, "cpu")) {
        return 0;
    }
    return least(walk_up(root, "/sys/fs/cgroup/cpu", group, quota_v1),
                 walk_up(root, "/sys/fs/cgroup/cpu,cpuacct", group, quota_v1));
}

double stat_cgroup_cpus(const char *root)
{
    char text[CGROUP_TEXT_MAX];
    double cpus = 0;
    if (stat_text_read(root, "/proc/self/cgroup", text, sizeof text) != DROVER_OK) {
        return 0;
    }
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        cpus = least(cpus, line_cpus(root, line));
    }
    return cpus;
}
