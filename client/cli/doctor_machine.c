/* doctor_machine.c: this machine, see doctor.h. */
#include "doctor.h"

#include "clock.h"
#include "human.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#ifndef TMPFS_MAGIC
#define TMPFS_MAGIC 0x01021994
#endif

/* Descriptors for one connection of the broker, and besides connections. */
#define FD_SPARE 64
#define FD_FEW 4096
#define FD_TOO_FEW 128
#define MEMORY_FEW_PERCENT 10
#define DISK_FEW (1ULL << 30)
#define WALL_MIN_MS 1700000000000LL /* November 2023: before this program was written */
#define WALL_MAX_MS 4102444800000LL /* 2100 */

/* ---- descriptors ------------------------------------------------------------------------- */

void judge_descriptors(struct diagnosis *diagnosis, uint64_t soft, uint64_t hard)
{
    enum finding_state state = soft < FD_TOO_FEW ? FINDING_FAIL
                               : soft < FD_FEW   ? FINDING_WARN
                                                 : FINDING_OK;
    struct finding *finding = diagnosis_add(diagnosis, "descriptors", state,
                                            "a process may open %" PRIu64 " files and sockets",
                                            soft);
    if (state != FINDING_OK) {
        diagnosis_advise(finding,
                         "a broker started here has room for some %" PRIu64
                         " connections: raise `ulimit -n` (up to %" PRIu64
                         "), or LimitNOFILE= of its service",
                         soft > FD_SPARE ? soft - FD_SPARE : 0, hard);
    }
}

void doctor_descriptors(struct diagnosis *diagnosis)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        judge_descriptors(diagnosis, limit.rlim_cur, limit.rlim_max);
    }
}

/* ---- memory ------------------------------------------------------------------------------ */

void judge_memory(struct diagnosis *diagnosis, uint64_t available_bytes, uint64_t total_bytes)
{
    char available[HUMAN_TEXT_MAX];
    char total[HUMAN_TEXT_MAX];
    bool is_low = available_bytes < total_bytes / 100 * MEMORY_FEW_PERCENT;
    struct finding *finding = diagnosis_add(
        diagnosis, "memory", is_low ? FINDING_WARN : FINDING_OK, "%s of %s available",
        human_bytes((int64_t)available_bytes, available),
        human_bytes((int64_t)total_bytes, total));
    if (is_low) {
        diagnosis_advise(finding, "the kernel may soon kill processes: end something, or bound "
                                  "broker and workers by their --max-memory");
    }
}

static uint64_t read_kib(const char *text, const char *key)
{
    const char *line = strstr(text, key);
    return line != NULL ? strtoull(line + strlen(key), NULL, 10) * 1024 : 0;
}

static bool read_text(const char *path, char *out_text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd >= 0 ? read(fd, out_text, size - 1) : -1;
    if (fd >= 0) {
        (void)close(fd);
    }
    out_text[len > 0 ? len : 0] = '\0';
    return len > 0;
}

void doctor_memory(struct diagnosis *diagnosis)
{
    char text[4096];
    if (read_text("/proc/meminfo", text, sizeof(text))) {
        judge_memory(diagnosis, read_kib(text, "MemAvailable:"), read_kib(text, "MemTotal:"));
    }
}

/* ---- clock ------------------------------------------------------------------------------- */

void judge_clock(struct diagnosis *diagnosis, int64_t wall_ms, int is_synchronised,
                 bool is_monotonic)
{
    char text[64] = "";
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm date;
    if (gmtime_r(&seconds, &date) != NULL) {
        (void)strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &date);
    }
    bool is_sane = wall_ms >= WALL_MIN_MS && wall_ms < WALL_MAX_MS;
    enum finding_state state = !is_sane || !is_monotonic ? FINDING_FAIL
                               : is_synchronised == 0    ? FINDING_WARN
                                                         : FINDING_OK;
    struct finding *finding = diagnosis_add(
        diagnosis, "clock", state, "it is %s%s%s", text,
        is_synchronised == 0   ? ", set by nobody"
        : is_synchronised == 1 ? ", synchronised"
                               : "",
        is_monotonic ? "" : "; the monotonic clock has gone backwards");
    if (!is_sane) {
        diagnosis_advise(finding, "set the clock: ids of tasks begin with the time, and "
                                  "schedules go by it");
    } else if (!is_monotonic) {
        diagnosis_advise(finding, "leases and timeouts cannot work: look at the clock source "
                                  "in /sys/devices/system/clocksource");
    } else if (is_synchronised == 0) {
        diagnosis_advise(finding, "leases do not care, schedules do: install chrony or "
                                  "systemd-timesyncd");
    } else {
        /* nothing to do */
    }
}

void doctor_clock(struct diagnosis *diagnosis)
{
    struct timex timex = {.modes = 0};
    int state = adjtimex(&timex);
    int is_synchronised = state < 0 ? -1 : state != TIME_ERROR && !(timex.status & STA_UNSYNC);
    uint64_t first_us = drv_clock_now_us();
    uint64_t second_us = drv_clock_now_us();
    judge_clock(diagnosis, (int64_t)drv_clock_wall_ms(), is_synchronised,
                first_us > 0 && second_us >= first_us);
}

/* ---- core dumps -------------------------------------------------------------------------- */

void judge_dumps(struct diagnosis *diagnosis, uint64_t limit, const char *pattern)
{
    bool is_handled = pattern[0] == '|'; /* a program gets them, whatever the limit */
    if (limit == 0 && !is_handled) {
        struct finding *finding = diagnosis_add(
            diagnosis, "core dumps", FINDING_OK,
            "off: a handler that crashes leaves its certificate only");
        diagnosis_advise(finding, "to debug one: `ulimit -c unlimited` where the worker is "
                                  "started, or `drover-worker --call` under gdb");
        return;
    }
    (void)diagnosis_add(diagnosis, "core dumps", FINDING_OK, "on, %s %s",
                        is_handled ? "handed to" : "written as", pattern);
}

void doctor_dumps(struct diagnosis *diagnosis)
{
    char pattern[256];
    struct rlimit limit;
    if (getrlimit(RLIMIT_CORE, &limit) == 0 &&
        read_text("/proc/sys/kernel/core_pattern", pattern, sizeof(pattern))) {
        pattern[strcspn(pattern, "\n")] = '\0';
        judge_dumps(diagnosis, limit.rlim_cur, pattern);
    }
}

/* ---- directories ------------------------------------------------------------------------- */

void judge_directory(struct diagnosis *diagnosis, const char *name, const char *path,
                     uint64_t free_bytes, bool is_memory)
{
    char text[HUMAN_TEXT_MAX];
    bool is_full = free_bytes < DISK_FEW;
    bool is_lost = is_memory && strcmp(name, "data") == 0;
    struct finding *finding = diagnosis_add(
        diagnosis, name, is_full || is_lost ? FINDING_WARN : FINDING_OK,
        "%s can be written, %s free%s", path, human_bytes((int64_t)free_bytes, text),
        is_memory ? ", in memory" : "");
    if (is_lost) {
        diagnosis_advise(finding, "what is kept there does not survive a restart of the "
                                  "machine: choose a directory on a disk");
    } else if (is_full) {
        diagnosis_advise(finding, "make room: under 1 GiB is little for a fleet");
    } else {
        /* nothing to do */
    }
}

/* Whether a file can be made, written, synced and removed there; else errno. */
static bool try_file(const char *path)
{
    char name[4096];
    int len = snprintf(name, sizeof(name), "%s/.drover-doctor-XXXXXX", path);
    if (len < 0 || (size_t)len >= sizeof(name)) {
        errno = ENAMETOOLONG;
        return false;
    }
    int fd = mkstemp(name);
    if (fd < 0) {
        return false;
    }
    bool works = write(fd, name, 1) == 1 && fsync(fd) == 0;
    int error = errno;
    (void)close(fd);
    (void)unlink(name);
    errno = error;
    return works;
}

static void look_at_directory(struct diagnosis *diagnosis, const char *name, const char *path)
{
    struct statfs info;
    if (!try_file(path) || statfs(path, &info) != 0) {
        struct finding *finding = diagnosis_add(diagnosis, name, FINDING_FAIL, "%s: %s", path,
                                                strerror(errno));
        diagnosis_advise(finding, "make the directory, writable for the user that runs drover");
        return;
    }
    judge_directory(diagnosis, name, path, (uint64_t)info.f_bavail * (uint64_t)info.f_bsize,
                    (unsigned long)info.f_type == TMPFS_MAGIC);
}

void doctor_temporary(struct diagnosis *diagnosis)
{
    const char *path = getenv("TMPDIR");
    look_at_directory(diagnosis, "temporary", path != NULL && path[0] == '/' ? path : "/tmp");
}

/* Cuts a path that has room for two bytes back to its deepest part that is there, which is
 * where the rest would be made. */
static void to_existing(char *path)
{
    struct stat info;
    while (stat(path, &info) != 0 && errno == ENOENT) {
        char *slash = strrchr(path, '/');
        if (slash == NULL) {
            path[0] = '.'; /* it was not empty */
            path[1] = '\0';
            return;
        }
        slash[slash == path ? 1 : 0] = '\0';
        if (slash == path) {
            return;
        }
    }
}

void doctor_data(struct diagnosis *diagnosis, const char *path)
{
    char existing[4096];
    if (path[0] == '\0' || strlen(path) >= sizeof(existing)) {
        struct finding *finding = diagnosis_add(diagnosis, "data", FINDING_FAIL,
                                                "'%.40s' is no path", path);
        diagnosis_advise(finding, "name a directory");
        return;
    }
    (void)snprintf(existing, sizeof(existing), "%s", path);
    to_existing(existing);
    look_at_directory(diagnosis, "data", existing);
}
