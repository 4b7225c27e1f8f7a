/*
 * config.c: see config.h.
 *
 * libinih asks for lines one by one and reports entries in between, so that the line handed
 * out last is the one an entry stands on. The feeder refuses what libinih would change in
 * silence, and strips leading spaces, which libinih takes for a continuation.
 */
#include "config.h"

#include "buffer.h"
#include "check.h"
#include "utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(DRV_CONFIG_LINE_MAX + 2 <= INI_MAX_LINE, "libinih would cut lines");

struct feeder {
    struct drv_view rest; /* what was not handed out yet */
    const char *file;
    unsigned line; /* number of the line handed out last */
    drv_config_fn callback;
    void *context;
    struct drv_problem *problem;
    drover_status status; /* sticky; after a failure no more lines are handed out */
};

static void refuse(struct feeder *feeder, const char *why)
{
    if (!feeder->status) {
        feeder->status = drv_problem_set(feeder->problem, DROVER_INVALID, "%s:%u: %s",
                                         feeder->file, feeder->line, why);
    }
}

/* Takes the next line without its newline and the spaces around it. */
static struct drv_view take_line(struct feeder *feeder)
{
    const uint8_t *bytes = feeder->rest.bytes;
    const uint8_t *newline = memchr(bytes, '\n', feeder->rest.len);
    size_t len = newline == NULL ? feeder->rest.len : (size_t)(newline - bytes);
    size_t taken = newline == NULL ? len : len + 1;
    feeder->rest = drv_view_of(bytes + taken, feeder->rest.len - taken);
    feeder->line++;
    while (len > 0 && memchr(" \t\r", bytes[len - 1], 3) != NULL) {
        len--;
    }
    while (len > 0 && (bytes[0] == ' ' || bytes[0] == '\t')) {
        bytes++;
        len--;
    }
    return drv_view_of(bytes, len);
}

static bool is_comment(struct drv_view line)
{
    return line.len == 0 || line.bytes[0] == ';' || line.bytes[0] == '#';
}

/* libinih ends values at such a semicolon; a command that holds one would be cut. */
static bool has_comment_behind(struct drv_view line)
{
    for (size_t i = 1; i < line.len; i++) {
        if (line.bytes[i] == ';' && (line.bytes[i - 1] == ' ' || line.bytes[i - 1] == '\t')) {
            return true;
        }
    }
    return false;
}

static size_t index_of_any(struct drv_view line, const char *set)
{
    size_t at = 0;
    while (at < line.len && strchr(set, line.bytes[at]) == NULL) {
        at++;
    }
    return at;
}

/* Why a line that is no comment cannot be handed to libinih, or NULL. */
static const char *line_fault(struct drv_view line)
{
    if (line.len > DRV_CONFIG_LINE_MAX) {
        return "the line is too long";
    }
    if (memchr(line.bytes, '\0', line.len) != NULL ||
        !drv_utf8_is_valid(line.bytes, line.len)) {
        return "the line is not text";
    }
    if (has_comment_behind(line)) {
        return "' ;' would begin a comment: write the comment on a line of its own";
    }
    if (line.bytes[0] == '[') {
        size_t end = index_of_any(line, "]");
        if (end + 1 != line.len) {
            return "a section is written [name], alone on its line";
        }
        return end - 1 > DRV_CONFIG_SECTION_MAX ? "the section name is too long" : NULL;
    }
    size_t key_len = index_of_any(line, "=:");
    if (key_len == 0 || key_len == line.len) {
        return "expected key = value or [section]";
    }
    return key_len > DRV_CONFIG_KEY_MAX ? "the key is too long" : NULL;
}

/* The reader for libinih, like fgets. */
static char *feed(char *out, int size, void *context)
{
    struct feeder *feeder = (struct feeder *)context;
    if (feeder->status || feeder->rest.len == 0) {
        return NULL;
    }
    struct drv_view line = take_line(feeder);
    if (is_comment(line)) {
        line.len = 0;
    } else {
        const char *fault = line_fault(line);
        if (fault != NULL) {
            refuse(feeder, fault);
            return NULL;
        }
    }
    DRV_ASSERT(size > 0 && line.len + 2 <= (size_t)size);
    memcpy(out, line.bytes, line.len);
    out[line.len] = '\n';
    out[line.len + 1] = '\0';
    return out;
}

static int handle(void *context, const char *section, const char *key, const char *value)
{
    struct feeder *feeder = (struct feeder *)context;
    if (feeder->status) {
        return 0;
    }
    const struct drv_config_entry entry = {.section = section,
                                           .key = key,
                                           .value = value,
                                           .file = feeder->file,
                                           .line = feeder->line};
    feeder->status = feeder->callback(feeder->context, &entry, feeder->problem);
    if (feeder->status) {
        drv_problem_prefix(feeder->problem, "%s:%u: ", feeder->file, feeder->line);
    }
    return feeder->status == DROVER_OK;
}

drover_status drv_config_parse(struct drv_view text, const char *file, drv_config_fn callback,
                               void *context, struct drv_problem *problem)
{
    static const uint8_t mark[] = {0xef, 0xbb, 0xbf};
    if (text.len >= sizeof mark && memcmp(text.bytes, mark, sizeof mark) == 0) {
        text = drv_view_of(text.bytes + sizeof mark, text.len - sizeof mark);
    }
    struct feeder feeder = {.rest = text,
                            .file = file,
                            .callback = callback,
                            .context = context,
                            .problem = problem};
    int result = ini_parse_stream(feed, &feeder, handle, &feeder);
    if (result == -2) {
        return drv_problem_set(problem, DROVER_NOMEM, "%s: out of memory", file);
    }
    if (result != 0) {
        refuse(&feeder, "expected key = value or [section]");
    }
    return feeder.status;
}

static drover_status read_all(int fd, struct drv_buffer *out)
{
    for (;;) {
        drover_status status = drv_buffer_reserve(out, 4096);
        if (status) {
            return status;
        }
        ssize_t got = read(fd, out->bytes + out->len, 4096);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return DROVER_IO;
        }
        if (got == 0) {
            return DROVER_OK;
        }
        out->len += (size_t)got;
        if (out->len > DRV_CONFIG_FILE_MAX) {
            return DROVER_TOO_BIG;
        }
    }
}

drover_status drv_config_load(const char *path, drv_config_fn callback, void *context,
                              struct drv_problem *problem)
{
    struct drv_buffer text;
    drv_buffer_init(&text);
    drover_status status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        status = drv_problem_set(problem, DROVER_IO, "%s: %s", path, strerror(errno));
        goto out;
    }
    status = read_all(fd, &text);
    if (status == DROVER_IO) {
        (void)drv_problem_set(problem, status, "%s: %s", path, strerror(errno));
        goto out;
    }
    if (status) {
        (void)drv_problem_set(problem, status, "%s: %s", path, drover_status_text(status));
        goto out;
    }
    status = drv_config_parse(drv_buffer_view(&text), path, callback, context, problem);
out:
    if (fd >= 0) {
        (void)close(fd);
    }
    drv_buffer_fini(&text);
    return status;
}
