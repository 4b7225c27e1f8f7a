#include "stat/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

static drover_status read_all(int fd, char *out_text, size_t size)
{
    size_t len = 0;
    while (len < size - 1) {
        ssize_t got = read(fd, out_text + len, size - 1 - len);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return DROVER_IO;
        }
        if (got == 0) {
            break;
        }
        len += (size_t)got;
    }
    out_text[len] = '\0';
    return DROVER_OK;
}

drover_status stat_text_read(const char *root, const char *path, char *out_text, size_t size)
{
    char name[PATH_MAX];
    int len = snprintf(name, sizeof name, "%s%s", root, path);
    if (len < 0 || (size_t)len >= sizeof name) {
        return DROVER_TOO_BIG;
    }
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT || errno == ENOTDIR ? DROVER_UNKNOWN : DROVER_IO;
    }
    drover_status status = read_all(fd, out_text, size);
    (void)close(fd);
    return status;
}

bool stat_text_number(const char **at, uint64_t *out_number)
{
    const char *text = *at;
    uint64_t number = 0;
    while (*text == ' ' || *text == '\t') {
        text++;
    }
    if (*text < '0' || *text > '9') {
        return false;
    }
    for (; *text >= '0' && *text <= '9'; text++) {
        uint64_t digit = (uint64_t)(*text - '0');
        if (number > (UINT64_MAX - digit) / 10) {
            return false;
        }
        number = number * 10 + digit;
    }
    *at = text;
    *out_number = number;
    return true;
}
