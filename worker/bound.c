#include "bound.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define SPARE_BYTES (UINT64_C(64) << 20)
enum { SPARE_SECONDS = 1, STANDARD_FILES = 3 };
enum { STATM_DATA = 5 }; /* fields of /proc/self/statm before that of data */

static void set(int which, uint64_t value)
{
    struct rlimit now;
    rlim_t limit = value < (uint64_t)RLIM_INFINITY ? (rlim_t)value : RLIM_INFINITY;
    if (getrlimit((__rlimit_resource_t)which, &now) == 0 && limit < now.rlim_cur) {
        struct rlimit wanted = {.rlim_cur = limit, .rlim_max = now.rlim_max};
        (void)setrlimit((__rlimit_resource_t)which, &wanted);
    }
}

static uint64_t sum(uint64_t a, uint64_t b)
{
    return a + b < a ? UINT64_MAX : a + b;
}

/* Bytes that count for RLIMIT_DATA by now. */
static uint64_t data_bytes(void)
{
    char text[128];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0) {
        (void)close(fd);
    }
    if (len <= 0) {
        return 0;
    }
    text[len] = '\0';
    /* size resident shared text lib data */
    const char *field = text;
    for (int i = 0; i < STATM_DATA && field != NULL; i++) {
        field = strchr(field + 1, ' ');
    }
    return field == NULL ? 0 : strtoull(field, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t used_seconds(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0
               ? (uint64_t)usage.ru_utime.tv_sec + (uint64_t)usage.ru_stime.tv_sec
               : 0;
}

/* The lowest number that is free is about how many are open. */
static uint64_t open_files(void)
{
    int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) {
        return STANDARD_FILES;
    }
    (void)close(fd);
    return (uint64_t)fd;
}

bool bound_needs_process(const struct drv_bounds *limits)
{
    return limits->memory_bytes != 0 || limits->cpu_ms != 0 || limits->processes != 0 ||
           limits->files != 0;
}

void bound_self(const struct drv_bounds *limits, bool is_fresh)
{
    if (limits->memory_bytes != 0) {
        uint64_t before = is_fresh ? 0 : data_bytes();
        set(RLIMIT_DATA, sum(sum(before, limits->memory_bytes), SPARE_BYTES));
    }
    if (limits->cpu_ms != 0) {
        uint64_t before = is_fresh ? 0 : used_seconds();
        set(RLIMIT_CPU, sum(before, limits->cpu_ms / 1000 + 1) + SPARE_SECONDS);
    }
    if (limits->files != 0) {
        set(RLIMIT_NOFILE, sum(is_fresh ? STANDARD_FILES : open_files(), limits->files));
    }
}
