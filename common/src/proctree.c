#include "proctree.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEXT_MAX = 32 * 1024 };

struct found {
    pid_t *pids; /* borrowed */
    size_t count;
    size_t max;
};

static void add(struct found *found, long pid)
{
    if (found->count < found->max && pid > 0) {
        found->pids[found->count++] = (pid_t)pid;
    }
}

static size_t read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    while (fd >= 0 && len < size - 1) {
        ssize_t got = read(fd, text + len, size - 1 - len);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            break;
        }
        len += (size_t)got;
    }
    text[len] = '\0';
    if (fd >= 0) {
        (void)close(fd);
    }
    return len;
}

/* "12 13 14 " as in /proc/PID/task/TID/children. */
static void add_list(struct found *found, const char *text)
{
    char *end;
    for (long pid = strtol(text, &end, 10); end != text; pid = strtol(text, &end, 10)) {
        add(found, pid);
        text = end;
    }
}

static bool is_number(const char *name)
{
    return isdigit((unsigned char)name[0]) != 0;
}

/* By the lists that the kernel keeps per thread; false when it was built without. */
static bool find_by_list(struct found *found)
{
    char path[64];
    char text[TEXT_MAX];
    (void)snprintf(path, sizeof(path), "/proc/self/task/%ld/children", (long)getpid());
    if (access(path, R_OK) != 0) {
        return false;
    }
    DIR *threads = opendir("/proc/self/task");
    if (threads == NULL) {
        return false;
    }
    for (struct dirent *entry = readdir(threads); entry != NULL; entry = readdir(threads)) {
        if (is_number(entry->d_name)) {
            (void)snprintf(path, sizeof(path), "/proc/self/task/%.20s/children", entry->d_name);
            (void)read_text(path, text, sizeof(text));
            add_list(found, text);
        }
    }
    (void)closedir(threads);
    return true;
}

static long parent_of(const char *pid)
{
    char path[64];
    char text[1024];
    (void)snprintf(path, sizeof(path), "/proc/%.20s/stat",
                   pid); /* "PID (NAME) STATE PARENT ..." */
    (void)read_text(path, text, sizeof(text));
    const char *after_name = strrchr(text, ')'); /* the name may hold anything */
    return after_name == NULL || strlen(after_name) < 4 ? 0 : strtol(after_name + 3, NULL, 10);
}

static bool find_by_parent(struct found *found)
{
    DIR *processes = opendir("/proc");
    if (processes == NULL) {
        return false;
    }
    long self = (long)getpid();
    for (struct dirent *entry = readdir(processes); entry != NULL; entry = readdir(processes)) {
        if (is_number(entry->d_name) && parent_of(entry->d_name) == self) {
            add(found, strtol(entry->d_name, NULL, 10));
        }
    }
    (void)closedir(processes);
    return true;
}

int drv_proctree_children(pid_t *out_children, size_t max)
{
    struct found found = {.max = max};
    found.pids = out_children;
    if (find_by_list(&found)) {
        return (int)found.count;
    }
    found.count = 0;
    return find_by_parent(&found) ? (int)found.count : -1;
}

int drv_proctree_kill_children(drv_proctree_keep_fn keep, void *context)
{
    pid_t children[DRV_PROCTREE_CHILDREN_MAX];
    int count = drv_proctree_children(children, DRV_PROCTREE_CHILDREN_MAX);
    int unwanted = count < 0 ? -1 : 0;
    for (int i = 0; i < count; i++) {
        if (keep == NULL || !keep(context, children[i])) {
            (void)kill(children[i], SIGKILL);
            unwanted++;
        }
    }
    return unwanted;
}

bool drv_proctree_has_no_children(void)
{
    siginfo_t info;
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD;
}

void drv_proctree_end_children(drv_proctree_keep_fn keep, void *context)
{
    pid_t children[DRV_PROCTREE_CHILDREN_MAX];
    if (drv_proctree_has_no_children()) { /* the rule, and cheaper than a look into /proc */
        return;
    }
    for (;;) {
        int count = drv_proctree_children(children, DRV_PROCTREE_CHILDREN_MAX);
        int unwanted = 0;
        for (int i = 0; i < count; i++) {
            if (keep != NULL && keep(context, children[i])) {
                children[i] = 0;
                continue;
            }
            (void)kill(children[i], SIGKILL);
            unwanted++;
        }
        if (unwanted == 0) {
            return;
        }
        for (int i = 0; i < count; i++) {
            while (children[i] != 0 && waitpid(children[i], NULL, 0) < 0 && errno == EINTR) {
            }
        }
    }
}
