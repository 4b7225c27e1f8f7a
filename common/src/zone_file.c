/* zone_file.c: see zone_file.h. */
#include "zone_file.h"

#include "zone.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_LEN_MAX = 4096 };

static drover_status open_zone(const char *name, int *out_fd)
{
    const char *directory = getenv("TZDIR");
    char path[PATH_LEN_MAX];
    if (directory == NULL || directory[0] == '\0') {
        directory = "/usr/share/zoneinfo";
    }
    int len = snprintf(path, sizeof path, "%s/%s", directory, name);
    if (len < 0 || (size_t)len >= sizeof path) {
        return DROVER_INVALID;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return errno == ENOENT || errno == ENOTDIR ? DROVER_UNKNOWN : DROVER_IO;
    }
    struct stat stat;
    if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode)) {
        (void)close(fd);
        return DROVER_UNKNOWN;
    }
    *out_fd = fd;
    return DROVER_OK;
}

drover_status drv_zone_file_read(const char *name, struct drv_buffer *buffer)
{
    int fd = -1;
    if (!drv_zone_name_is_valid(name, strlen(name))) {
        return DROVER_INVALID;
    }
    drover_status status = open_zone(name, &fd);
    size_t begin = buffer->len;
    while (status == DROVER_OK) {
        if (buffer->len - begin > DRV_ZONE_BYTES_MAX) {
            status = DROVER_TOO_BIG;
            break;
        }
        status = drv_buffer_reserve(buffer, 4096);
        if (status != DROVER_OK) {
            break;
        }
        ssize_t got = read(fd, buffer->bytes + buffer->len, 4096);
        if (got > 0) {
            buffer->len += (size_t)got;
        } else if (got == 0) {
            break;
        } else if (errno != EINTR) {
            status = DROVER_IO;
        }
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return status;
}
