#include "marked.h"

#include "test.h"
#include "tmpdir.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#define GONE_MS 20000
#define LOOK_MS 5

void marked_init(struct marked *marked)
{
    uint64_t seed = 0;
    assert_int_equal(getrandom(&seed, sizeof(seed), 0), sizeof(seed));
    (void)snprintf(marked->mark, sizeof(marked->mark), "DROVER_TEST_MARK=%016" PRIx64, seed);
    (void)snprintf(marked->directory, sizeof(marked->directory), "/tmp/drover-test-XXXXXX");
    assert_non_null(mkdtemp(marked->directory));
    assert_int_equal(setenv("DROVER_TEST_MARK", strchr(marked->mark, '=') + 1, 1), 0);
    assert_int_equal(setenv("TMPDIR", marked->directory, 1), 0);
}

void marked_fini(struct marked *marked)
{
    (void)!drv_tmpdir_remove(marked->directory);
}

static size_t read_file(const char *process, const char *name, char *text, size_t size)
{
    char path[320];
    size_t len = 0;
    (void)snprintf(path, sizeof(path), "/proc/%.20s/%s", process, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = 0;
    while (fd >= 0 && len < size - 1 && (got = read(fd, text + len, size - 1 - len)) > 0) {
        len += (size_t)got;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    text[len] = '\0';
    return len;
}

/* The environment is the one that the program was started with: that of a zombie is empty, and
 * this process and what it forked have none of it. */
static bool is_marked(const struct marked *marked, const char *process)
{
    static char text[256 * 1024];
    size_t len = read_file(process, "environ", text, sizeof(text));
    for (const char *at = text; at < text + len; at += strlen(at) + 1) {
        if (strcmp(at, marked->mark) == 0) {
            return true;
        }
    }
    return false;
}

static size_t look(const struct marked *marked, const char *name, pid_t *out_pid)
{
    char comm[64];
    size_t count = 0;
    DIR *processes = opendir("/proc");
    assert_non_null(processes);
    for (struct dirent *entry = readdir(processes); entry != NULL; entry = readdir(processes)) {
        if (isdigit((unsigned char)entry->d_name[0]) == 0 ||
            !is_marked(marked, entry->d_name)) {
            continue;
        }
        (void)read_file(entry->d_name, "comm", comm, sizeof(comm));
        comm[strcspn(comm, "\n")] = '\0';
        if (name == NULL || strcmp(comm, name) == 0) {
            count++;
            *out_pid = (pid_t)strtol(entry->d_name, NULL, 10);
        }
    }
    (void)closedir(processes);
    return count;
}

size_t marked_count(const struct marked *marked)
{
    pid_t pid = 0;
    return look(marked, NULL, &pid);
}

pid_t marked_find(const struct marked *marked, const char *name)
{
    pid_t pid = 0;
    (void)look(marked, name, &pid);
    return pid;
}

static bool is_empty(const char *path)
{
    size_t count = 0;
    DIR *directory = opendir(path);
    assert_non_null(directory);
    while (readdir(directory) != NULL) {
        count++;
    }
    (void)closedir(directory);
    return count == 2; /* . and .. */
}

static int64_t now_ms(void)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    return (int64_t)at.tv_sec * 1000 + at.tv_nsec / 1000000;
}

bool marked_until_gone(const struct marked *marked)
{
    int64_t until_ms = now_ms() + test_deadline_ms(GONE_MS);
    while (marked_count(marked) > 0 || !is_empty(marked->directory)) {
        if (now_ms() > until_ms) {
            return false;
        }
        (void)poll(NULL, 0, LOOK_MS);
    }
    return true;
}
