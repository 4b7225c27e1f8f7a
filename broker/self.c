/* self.c: see self.h. */
#include "self.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
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

struct core_self self_read(struct self_meter *meter, int64_t now_us)
{
    struct core_self self = {.rss_bytes = resident_bytes()};
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
