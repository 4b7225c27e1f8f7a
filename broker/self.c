/* self.c: see self.h. */
#include "self.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

static uint64_t resident_bytes(void)
{
    char text[128];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    ssize_t len = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    if (len <= 0) {
        return 0;
    }
    text[len] = '\0';
    const char *second = strchr(text, ' ');
    long page = sysconf(_SC_PAGESIZE);
    return second == NULL || page <= 0 ? 0 : strtoull(second, NULL, 10) * (uint64_t)page;
}

void self_turned(struct self_meter *meter, int64_t us)
{
    meter->loop_us = us > meter->loop_us ? us : meter->loop_us;
}

void self_stored(struct self_meter *meter, uint64_t last, uint64_t synced, int64_t now_us)
{
    int64_t wait_us = now_us - meter->probe_since_us;
    if (meter->probe_lsn != 0) {
        meter->journal_us = wait_us > meter->journal_us ? wait_us : meter->journal_us;
        if (synced >= meter->probe_lsn) {
            meter->probe_lsn = 0;
        }
    } else if (last > synced) {
        meter->probe_lsn = last;
        meter->probe_since_us = now_us;
    }
}

void self_open(struct self_meter *meter, const char *directory)
{
    meter->data_fd = directory == NULL ? -1
                                       : open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

void self_close(struct self_meter *meter)
{
    if (meter->data_fd >= 0) {
        (void)close(meter->data_fd);
    }
    meter->data_fd = -1;
}

/* What the superuser alone may use counts neither as free nor as there. */
static double disk_percent(const struct self_meter *meter)
{
    struct statvfs disk;
    if (meter->data_fd < 0 || fstatvfs(meter->data_fd, &disk) != 0) {
        return 0;
    }
    double used = (double)(disk.f_blocks - disk.f_bfree);
    double all = used + (double)disk.f_bavail;
    return all > 0 ? 100.0 * used / all : 0;
}

struct core_self self_read(struct self_meter *meter, int64_t now_us)
{
    struct core_self self = {.rss_bytes = resident_bytes(),
                             .loop_us = (uint64_t)meter->loop_us,
                             .journal_us = (uint64_t)meter->journal_us,
                             .disk_percent = disk_percent(meter)};
    meter->loop_us = 0;
    meter->journal_us = 0;
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0) {
        return self;
    }
    uint64_t cpu_us = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000U +
                      (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    if (meter->at_us != 0 && now_us > meter->at_us) {
        self.cpu_percent = 100.0 * (double)(cpu_us - meter->cpu_us) /
                           (double)(now_us - meter->at_us);
    }
    meter->cpu_us = cpu_us;
    meter->at_us = now_us;
    return self;
}
