#include "stat/bell.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

drover_status stat_bell_open(int *out_fd)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) {
        return DROVER_IO;
    }
    *out_fd = fd;
    return DROVER_OK;
}

void stat_bell_close(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

void stat_bell_ring(int fd)
{
    const uint64_t one = 1;
    ssize_t written = write(fd, &one, sizeof one);
    (void)written; /* EAGAIN: it has been rung often enough */
}

bool stat_bell_wait(int fd, int timeout_ms)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};
    uint64_t rings = 0;
    int ready = poll(&item, 1, timeout_ms);
    while (ready < 0 && errno == EINTR) {
        ready = poll(&item, 1, timeout_ms);
    }
    return ready > 0 && read(fd, &rings, sizeof rings) == (ssize_t)sizeof rings;
}
