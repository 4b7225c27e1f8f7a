/* input.c: see input.h. */
#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_SIZE = 65536 };

/* ---- payloads ---------------------------------------------------------------------------- */

int input_json(const char *text, size_t len, const char *where, drover_value **out_value)
{
    char why[256] = "";
    drover_status status = drover_value_from_json(text, len, out_value, why, sizeof(why));
    if (status == DROVER_OK) {
        return CLI_OK;
    }
    return cli_say(status == DROVER_NOMEM ? CLI_SOFTWARE : CLI_USAGE, "%s: bad JSON: %s", where,
                   why[0] != '\0' ? why : drover_status_text(status));
}

static int open_input(const char *path, const char **out_name, int *out_fd)
{
    if (path == NULL || strcmp(path, "-") == 0) {
        *out_name = "stdin";
        *out_fd = STDIN_FILENO;
        return CLI_OK;
    }
    *out_name = path;
    *out_fd = open(path, O_RDONLY | O_CLOEXEC);
    return *out_fd < 0 ? cli_say(CLI_IO, "%s: %s", path, strerror(errno)) : CLI_OK;
}

static void close_input(int fd)
{
    if (fd > STDIN_FILENO) {
        (void)close(fd);
    }
}

/* Appends what one read gives; *out_len 0 at the end. */
static int read_some(int fd, const char *name, struct drv_buffer *buffer, size_t *out_len)
{
    if (drv_buffer_reserve(buffer, READ_SIZE) != DROVER_OK) {
        return cli_no_memory();
    }
    ssize_t got;
    do {
        got = read(fd, buffer->bytes + buffer->len, READ_SIZE);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return cli_say(CLI_IO, "%s: %s", name, strerror(errno));
    }
    buffer->len += (size_t)got;
    buffer->bytes[buffer->len] = '\0';
    *out_len = (size_t)got;
    return CLI_OK;
}

int input_read_all(const char *path, size_t max, struct drv_buffer *out)
{
    const char *name = NULL;
    int fd = -1;
    int code = open_input(path, &name, &fd);
    size_t got = 1;
    while (code == CLI_OK && got > 0) {
        code = read_some(fd, name, out, &got);
        if (code == CLI_OK && out->len > max) {
            code = cli_say(CLI_USAGE, "%s: more than %zu MiB", name, max >> 20U);
        }
    }
    close_input(fd);
    return code;
}

static int payload_from_file(const char *path, bool raw, drover_value **out_value)
{
    struct drv_buffer buffer;
    drv_buffer_init(&buffer);
    int code = input_read_all(path, INPUT_BYTES_MAX, &buffer);
    const char *bytes = buffer.bytes != NULL ? (const char *)buffer.bytes : "";
    if (code == CLI_OK && raw) {
        drover_status status = drover_value_new_raw(bytes, buffer.len,
                                                    "application/octet-stream", out_value);
        if (status != DROVER_OK) {
            code = cli_say_status(cli_exit_code(status), status, "%s: %s", path,
                                  drover_status_text(status));
        }
    } else if (code == CLI_OK) {
        code = input_json(bytes, buffer.len, strcmp(path, "-") == 0 ? "stdin" : path,
                          out_value);
    }
    drv_buffer_fini(&buffer);
    return code;
}

int input_payload(const struct cli *cli, const char *operand, drover_value **out_value)
{
    const char *file = drv_options_string(cli->options, "file");
    const char *raw = drv_options_string(cli->options, "raw");
    int sources = (operand != NULL) + (file != NULL) + (raw != NULL);
    if (sources > 1) {
        return cli_say(CLI_USAGE, "say the payload once: as an operand, with --file or --raw");
    }
    if (file != NULL || raw != NULL) {
        return payload_from_file(file != NULL ? file : raw, raw != NULL, out_value);
    }
    if (operand == NULL) {
        return drover_value_new_nil(out_value) == DROVER_OK ? CLI_OK : cli_no_memory();
    }
    if (strcmp(operand, "-") == 0) {
        return payload_from_file("-", false, out_value);
    }
    return input_json(operand, strlen(operand), "payload", out_value);
}

/* ---- records ----------------------------------------------------------------------------- */

int input_records_open(struct input_records *records, const char *path, char separator)
{
    struct stat info;
    memset(records, 0, sizeof(*records));
    drv_buffer_init(&records->buffer);
    records->separator = separator;
    int code = open_input(path, &records->name, &records->fd);
    if (code == CLI_OK) {
        records->is_file = fstat(records->fd, &info) == 0 && S_ISREG(info.st_mode);
    }
    return code;
}

static bool has_input(const struct input_records *records)
{
    struct pollfd item = {.fd = records->fd, .events = POLLIN};
    return records->is_file || poll(&item, 1, 0) != 0;
}

/* Hands out what lies before `end`, which is a separator or the end of the file. */
static enum input_next hand_out(struct input_records *records, size_t end,
                                const char **out_record, size_t *out_len)
{
    records->buffer.bytes[end] = '\0';
    *out_record = (const char *)records->buffer.bytes + records->begin;
    *out_len = end - records->begin;
    records->begin = end < records->buffer.len ? end + 1 : end;
    records->scanned = records->begin;
    records->number++;
    return INPUT_RECORD;
}

static bool find_separator(struct input_records *records, size_t *out_end)
{
    struct drv_buffer *buffer = &records->buffer;
    if (buffer->bytes == NULL) {
        return false;
    }
    const uint8_t *found = memchr(buffer->bytes + records->scanned, records->separator,
                                  buffer->len - records->scanned);
    if (found == NULL) {
        records->scanned = buffer->len;
        return false;
    }
    *out_end = (size_t)(found - buffer->bytes);
    return true;
}

/* Moves what was not handed out to the front, so that memory stays within one record. */
static void drop_handed_out(struct input_records *records)
{
    struct drv_buffer *buffer = &records->buffer;
    if (records->begin > 0) {
        buffer->len -= records->begin;
        memmove(buffer->bytes, buffer->bytes + records->begin, buffer->len);
        records->scanned -= records->begin;
        records->begin = 0;
    }
}

static int read_more(struct input_records *records)
{
    size_t got = 0;
    drop_handed_out(records);
    if (records->buffer.len > INPUT_BYTES_MAX) {
        return cli_say(CLI_USAGE, "%s:%llu: longer than %u MiB", records->name,
                       (unsigned long long)records->number + 1, INPUT_BYTES_MAX >> 20U);
    }
    int code = read_some(records->fd, records->name, &records->buffer, &got);
    records->at_end = got == 0;
    return code;
}

enum input_next input_records_next(struct input_records *records, bool wait,
                                   const char **out_record, size_t *out_len, int *out_code)
{
    size_t end = 0;
    while (!find_separator(records, &end)) {
        if (records->at_end) {
            return records->begin < records->buffer.len
                       ? hand_out(records, records->buffer.len, out_record, out_len)
                       : INPUT_END;
        }
        if (!wait && !has_input(records)) {
            return INPUT_NOT_READY;
        }
        *out_code = read_more(records);
        if (*out_code != CLI_OK) {
            return INPUT_FAILED;
        }
    }
    return hand_out(records, end, out_record, out_len);
}

void input_records_close(struct input_records *records)
{
    close_input(records->fd);
    drv_buffer_fini(&records->buffer);
    records->fd = -1;
}
