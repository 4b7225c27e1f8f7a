#include "stat/text.h"

#include "utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { READ_STEP = 16 * 1024 };

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

static drover_status open_below(const char *root, const char *path, int *out_fd)
{
    char name[PATH_MAX];
    int len = snprintf(name, sizeof name, "%s%s", root, path);
    if (len < 0 || (size_t)len >= sizeof name) {
        return DROVER_TOO_BIG;
    }
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return errno == ENOENT || errno == ENOTDIR ? DROVER_UNKNOWN : DROVER_IO;
    }
    *out_fd = fd;
    return DROVER_OK;
}

drover_status stat_text_read(const char *root, const char *path, char *out_text, size_t size)
{
    int fd = -1;
    drover_status status = open_below(root, path, &fd);
    if (status == DROVER_OK) {
        status = read_all(fd, out_text, size);
        (void)close(fd);
    }
    return status;
}

static drover_status load_all(int fd, struct drv_buffer *out_text)
{
    drv_buffer_clear(out_text);
    for (;;) {
        if (drv_buffer_reserve(out_text, READ_STEP + 1) != DROVER_OK) {
            return DROVER_NOMEM;
        }
        ssize_t got = read(fd, out_text->bytes + out_text->len, READ_STEP);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return DROVER_IO;
        }
        out_text->len += (size_t)got;
        out_text->bytes[out_text->len] = '\0';
        if (got == 0 || out_text->len >= STAT_TEXT_MAX) {
            return DROVER_OK;
        }
    }
}

drover_status stat_text_load(const char *root, const char *path, struct drv_buffer *out_text)
{
    int fd = -1;
    drover_status status = open_below(root, path, &fd);
    if (status == DROVER_OK) {
        status = load_all(fd, out_text);
        (void)close(fd);
    }
    return status;
}

const char *stat_text_next_line(const char *at)
{
    const char *end = strchr(at, '\n');
    return end == NULL || end[1] == '\0' ? NULL : end + 1;
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

bool stat_text_real(const char **at, double *out_number)
{
    const char *text = *at;
    uint64_t whole = 0;
    if (!stat_text_number(&text, &whole)) {
        return false;
    }
    double number = (double)whole;
    double scale = 0.1;
    if (*text == '.') {
        for (text++; *text >= '0' && *text <= '9'; text++) {
            number += scale * (*text - '0');
            scale /= 10;
        }
    }
    *at = text;
    *out_number = number;
    return true;
}

bool stat_text_find(const char *text, const char *key, uint64_t *out_number)
{
    size_t len = strlen(key);
    for (const char *line = text; line != NULL; line = stat_text_next_line(line)) {
        if (strncmp(line, key, len) == 0) {
            const char *at = line + len;
            return stat_text_number(&at, out_number);
        }
    }
    return false;
}

char *stat_text_utf8(const char *bytes, size_t len, char *out_text, size_t size)
{
    static const char replacement[] = "\xef\xbf\xbd";
    const uint8_t *at = (const uint8_t *)bytes;
    size_t used = 0;
    while (len > 0 && *at != '\0') {
        uint32_t code = 0;
        size_t taken = drv_utf8_decode(at, len, &code);
        const char *from = taken == 0 ? replacement : (const char *)at;
        size_t width = taken == 0 ? sizeof replacement - 1 : taken;
        if (used + width >= size) {
            break;
        }
        memcpy(out_text + used, from, width);
        used += width;
        at += taken == 0 ? 1 : taken;
        len -= taken == 0 ? 1 : taken;
    }
    out_text[used] = '\0';
    return out_text;
}
