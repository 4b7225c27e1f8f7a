#include "group.h"

#include "stat/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    TEXT_MAX = 64 * 1024, /* of a list of processes that is read */
    VALUE_MAX = 4096,     /* of any other file */
    REMOVE_TRIES = 100,
    REMOVE_PAUSE_MS = 5,
};

#define PREFIX "drover-"
#define CONTROLLERS "+memory +pids"
#define NO_CONTROLLERS "-memory -pids"

/* ---- files ----------------------------------------------------------------------------------
 */

static bool join_path(char out_path[PATH_MAX], const char *dir, const char *name)
{
    int len = snprintf(out_path, PATH_MAX, "%s/%s", dir, name);
    return len > 0 && len < PATH_MAX;
}

static bool name_group(char out_path[PATH_MAX], const char *dir, uint32_t number,
                       const char *file)
{
    int len = snprintf(out_path, PATH_MAX, "%s/" PREFIX "%" PRIu32 "%s%s", dir, number,
                       *file == '\0' ? "" : "/", file);
    return len > 0 && len < PATH_MAX;
}

static bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_TRUNC);
    if (fd < 0) {
        return false;
    }
    ssize_t done = write(fd, text, strlen(text));
    int why = errno;
    (void)close(fd);
    errno = why;
    return done == (ssize_t)strlen(text);
}

static bool write_in(const char *dir, const char *name, const char *text)
{
    char path[PATH_MAX];
    return join_path(path, dir, name) && write_file(path, text);
}

static bool write_group(const char *dir, uint32_t number, const char *file, const char *text)
{
    char path[PATH_MAX];
    return name_group(path, dir, number, file) && write_file(path, text);
}

static bool write_number(const char *dir, uint32_t number, const char *file, uint64_t value)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%" PRIu64, value);
    return write_group(dir, number, file, text);
}

static bool read_in(const char *dir, const char *name, char *out_text, size_t size)
{
    char path[PATH_MAX];
    return join_path(path, dir, name) && stat_text_read("", path, out_text, size) == DROVER_OK;
}

static bool read_group(const char *dir, uint32_t number, const char *file, char *out_text,
                       size_t size)
{
    char path[PATH_MAX];
    return name_group(path, dir, number, file) &&
           stat_text_read("", path, out_text, size) == DROVER_OK;
}

/* Of a list of names between blanks. */
static bool has_word(const char *list, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = list; *at != '\0'; at += strspn(at, " \n")) {
        size_t word_len = strcspn(at, " \n");
        if (word_len == len && memcmp(at, word, len) == 0) {
            return true;
        }
        at += word_len;
    }
    return false;
}

/* ---- one group ------------------------------------------------------------------------------
 */

bool group_remove(const char *dir, uint32_t number)
{
    char path[PATH_MAX];
    return name_group(path, dir, number, "") && (rmdir(path) == 0 || errno == ENOENT);
}

void group_kill(const char *dir, uint32_t number)
{
    (void)write_group(dir, number, "cgroup.kill", "1");
}

/* What was killed is gone a little later. */
static bool end_group(const char *dir, uint32_t number)
{
    group_kill(dir, number);
    for (int i = 0; i < REMOVE_TRIES; i++) {
        if (group_remove(dir, number)) {
            return true;
        }
        (void)poll(NULL, 0, REMOVE_PAUSE_MS);
    }
    return false;
}

bool group_make(const char *dir, uint32_t number)
{
    char path[PATH_MAX];
    if (!name_group(path, dir, number, "")) {
        return false;
    }
    if (mkdir(path, 0700) == 0) {
        return true;
    }
    return errno == EEXIST && end_group(dir, number) && mkdir(path, 0700) == 0;
}

bool group_join(const char *dir, uint32_t number)
{
    return write_group(dir, number, "cgroup.procs", "0");
}

int group_open(const char *dir, uint32_t number)
{
    char path[PATH_MAX];
    return name_group(path, dir, number, "") ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC)
                                             : -1;
}

bool group_limit(const char *dir, uint32_t number, const struct drv_bounds *limits)
{
    bool is_done = true;
    if (limits->memory_bytes != 0) {
        is_done = write_number(dir, number, "memory.max", limits->memory_bytes) &&
                  write_group(dir, number, "memory.oom.group", "1");
        /* Without swap there is nothing to limit, and no such file. */
        is_done = is_done &&
                  (write_group(dir, number, "memory.swap.max", "0") || errno == ENOENT);
    }
    if (limits->processes != 0) {
        uint64_t each = GROUP_THREADS_EACH;
        uint64_t count = limits->processes < UINT32_MAX ? limits->processes : UINT32_MAX;
        is_done = is_done && write_number(dir, number, "pids.max", count * each);
    }
    return is_done;
}

static uint64_t count_lines(const char *text)
{
    uint64_t count = 0;
    for (const char *at = strchr(text, '\n'); at != NULL; at = strchr(at + 1, '\n')) {
        count++;
    }
    return count;
}

bool group_read(const char *dir, uint32_t number, struct group_use *out_use)
{
    char text[TEXT_MAX];
    *out_use = (struct group_use){0};
    if (!read_group(dir, number, "cgroup.procs", text, sizeof text)) {
        return false;
    }
    out_use->processes = count_lines(text);
    if (read_group(dir, number, "cpu.stat", text, VALUE_MAX)) {
        (void)stat_text_find(text, "usage_usec", &out_use->cpu_us);
        (void)stat_text_find(text, "user_usec", &out_use->user_us);
        (void)stat_text_find(text, "system_usec", &out_use->system_us);
    }
    if (read_group(dir, number, "memory.events", text, VALUE_MAX)) {
        (void)stat_text_find(text, "oom_kill ", &out_use->oom_kills);
    }
    return true;
}

/* ---- finding the own one --------------------------------------------------------------------
 */

static drover_status without(struct drv_problem *why, const char *text)
{
    return drv_problem_set(why, DROVER_UNSUPPORTED, "%s", text);
}

/* "0::PATH" of /proc/self/cgroup. */
static bool own_path(const char *root, char *out_path, size_t size)
{
    char text[VALUE_MAX * 4];
    if (stat_text_read(root, "/proc/self/cgroup", text, sizeof text) != DROVER_OK) {
        return false;
    }
    for (const char *line = text; line != NULL; line = stat_text_next_line(line)) {
        size_t len = strcspn(line, "\n");
        if (strncmp(line, "0::/", 4) == 0 && len - 3 < size) {
            memcpy(out_path, line + 3, len - 3);
            out_path[len - 3] = '\0';
            return true;
        }
    }
    return false;
}

static bool find_dir(struct group_tree *tree, const char *root, const char *path)
{
    static const char *const mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    char controllers[PATH_MAX];
    for (size_t i = 0; i < sizeof mounts / sizeof *mounts; i++) {
        int len = snprintf(tree->dir, sizeof tree->dir, "%s%s%s", root, mounts[i],
                           strcmp(path, "/") == 0 ? "" : path);
        if (len > 0 && (size_t)len < sizeof tree->dir &&
            join_path(controllers, tree->dir, "cgroup.controllers") &&
            access(controllers, R_OK) == 0) {
            return true;
        }
    }
    return false;
}

/* The root of all has no type. It is nobody's to divide. */
static bool is_root_of_all(const struct group_tree *tree)
{
    char path[PATH_MAX];
    return join_path(path, tree->dir, "cgroup.type") && access(path, F_OK) != 0;
}

static drover_status check_controllers(const struct group_tree *tree, struct drv_problem *why)
{
    char text[VALUE_MAX] = "";
    (void)read_in(tree->dir, "cgroup.controllers", text, sizeof text);
    bool has_memory = has_word(text, "memory");
    bool has_pids = has_word(text, "pids");
    if (has_memory && has_pids) {
        return DROVER_OK;
    }
    return drv_problem_set(
        why, DROVER_UNSUPPORTED, "its control group has no controller %s%s%s",
        has_memory ? "" : "memory", has_memory || has_pids ? "" : ", ", has_pids ? "" : "pids");
}

static drover_status check_writable(const struct group_tree *tree, struct drv_problem *why)
{
    static const char *const names[] = {"", "cgroup.procs", "cgroup.subtree_control"};
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!join_path(path, tree->dir, names[i]) || access(path, W_OK) != 0) {
            return without(why, "its control group is not its own to divide (Delegate=yes)");
        }
    }
    return DROVER_OK;
}

/* Whoever else is in the group would have to leave it, too. */
static drover_status check_alone(const struct group_tree *tree, pid_t self,
                                 struct drv_problem *why)
{
    char text[TEXT_MAX] = "";
    (void)read_in(tree->dir, "cgroup.procs", text, sizeof text);
    for (const char *line = text; line != NULL && *line != '\0';
         line = stat_text_next_line(line)) {
        long pid = strtol(line, NULL, 10);
        if (pid != (long)self) {
            return drv_problem_set(why, DROVER_UNSUPPORTED,
                                   "its control group has other processes in it (%ld)", pid);
        }
    }
    return DROVER_OK;
}

/* ---- taking it ------------------------------------------------------------------------------
 */

/* The number of a group of ours; false: it is something else. */
static bool is_group_name(const char *name, uint32_t *out_number)
{
    char *end = NULL;
    size_t len = strlen(PREFIX);
    if (strncmp(name, PREFIX, len) != 0 || name[len] < '0' || name[len] > '9') {
        return false;
    }
    unsigned long number = strtoul(name + len, &end, 10);
    *out_number = (uint32_t)number;
    return *end == '\0' && number <= UINT32_MAX;
}

static bool end_groups(const struct group_tree *tree)
{
    bool is_clear = true;
    uint32_t number;
    DIR *listing = opendir(tree->dir);
    if (listing == NULL) {
        return false;
    }
    for (const struct dirent *entry = readdir(listing); entry != NULL;
         entry = readdir(listing)) {
        if (is_group_name(entry->d_name, &number)) {
            is_clear = end_group(tree->dir, number) && is_clear;
        }
    }
    (void)closedir(listing);
    return is_clear;
}

static bool make_leaf(const struct group_tree *tree)
{
    char path[PATH_MAX];
    char text[VALUE_MAX] = "";
    if (!join_path(path, tree->dir, GROUP_AGENT) ||
        (mkdir(path, 0700) != 0 && errno != EEXIST)) {
        return false;
    }
    /* Another worker's, which could not be if it had taken the whole group as we do. */
    return read_in(path, "cgroup.procs", text, sizeof text) && *text == '\0';
}

static void leave(const struct group_tree *tree)
{
    char path[PATH_MAX];
    (void)write_in(tree->dir, "cgroup.procs", "0");
    if (join_path(path, tree->dir, GROUP_AGENT)) {
        (void)rmdir(path);
    }
}

/* One group is made, has all its files, and goes away again. */
static bool try_out(const struct group_tree *tree)
{
    static const char *const names[] = {"memory.max", "memory.oom.group", "memory.events",
                                        "pids.max", "cgroup.kill"};
    char path[PATH_MAX];
    bool has_all = group_make(tree->dir, 0);
    for (size_t i = 0; has_all && i < sizeof names / sizeof *names; i++) {
        has_all = name_group(path, tree->dir, 0, names[i]) && access(path, W_OK) == 0;
        /* Events are read. */
        has_all = has_all || (i == 2 && access(path, R_OK) == 0);
    }
    return group_remove(tree->dir, 0) && has_all;
}

static drover_status take(struct group_tree *tree, struct drv_problem *why)
{
    if (!make_leaf(tree)) {
        return without(why, "no leaf can be made in its control group");
    }
    if (!write_in(tree->dir, GROUP_AGENT "/cgroup.procs", "0")) {
        leave(tree);
        return without(why, "it cannot move within its control group");
    }
    if (!end_groups(tree)) {
        leave(tree);
        return without(why, "what an earlier life has left in its control group does not end");
    }
    if (!write_in(tree->dir, "cgroup.subtree_control", CONTROLLERS)) {
        leave(tree);
        return without(why, "the controllers of its control group cannot be handed down");
    }
    tree->has_control = true;
    if (!try_out(tree)) {
        struct group_tree gone = *tree;
        group_tree_close(&gone);
        return without(why, "the kernel's control groups lack something (5.14 has all)");
    }
    return DROVER_OK;
}

drover_status group_tree_open(struct group_tree *tree, const char *root, pid_t self,
                              struct drv_problem *why)
{
    char path[GROUP_DIR_MAX];
    drover_status status = DROVER_OK;
    *tree = (struct group_tree){.dir = ""};
    if (!own_path(root, path, sizeof path)) {
        status = without(why, "there are no control groups of version 2");
    } else if (!find_dir(tree, root, path)) {
        status = without(why, "its control group is not to be seen here");
    } else if (is_root_of_all(tree)) {
        status = without(why, "it is in the root of all control groups");
    }
    status = status ? status : check_controllers(tree, why);
    status = status ? status : check_writable(tree, why);
    status = status ? status : check_alone(tree, self, why);
    status = status ? status : take(tree, why);
    if (status) {
        *tree = (struct group_tree){.dir = ""};
    }
    return status;
}

void group_tree_close(struct group_tree *tree)
{
    if (tree->dir[0] == '\0') {
        return;
    }
    (void)end_groups(tree);
    /* Where controllers are handed down no process may be. */
    if (tree->has_control) {
        (void)write_in(tree->dir, "cgroup.subtree_control", NO_CONTROLLERS);
    }
    leave(tree);
    *tree = (struct group_tree){.dir = ""};
}
