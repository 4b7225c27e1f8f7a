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

/* Quota of one group in CPUs; 0: none. Reads either version's files. */
static double quota_v2(const char *root, const char *directory)
{
    char path[PATH_MAX];
    char text[128];
    long long quota = 0;
    long long period = 0;
    int len = snprintf(path, sizeof path, "%s/cpu.max", directory);
    if (len < 0 || (size_t)len >= sizeof path ||
        stat_text_read(root, path, text, sizeof text) != DROVER_OK ||
        sscanf(text, "%lld %lld", &quota, &period) != 2 || quota <= 0 || period <= 0) {
        return 0;
    }
    return (double)quota / (double)period;
}

static bool read_number(const char *root, const char *directory, const char *file,
                        long long *out_number)
{
    char path[PATH_MAX];
    char text[64];
    int len = snprintf(path, sizeof path, "%s/%s", directory, file);
    return len > 0 && (size_t)len < sizeof path &&
           stat_text_read(root, path, text, sizeof text) == DROVER_OK &&
           sscanf(text, "%lld", out_number) == 1;
}

static double quota_v1(const char *root, const char *directory)
{
    long long quota = 0;
    long long period = 0;
    if (!read_number(root, directory, "cpu.cfs_quota_us", &quota) ||
        !read_number(root, directory, "cpu.cfs_period_us", &period) || quota <= 0 ||
        period <= 0) {
        return 0;
    }
    return (double)quota / (double)period;
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
