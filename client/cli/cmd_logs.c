/* cmd_logs.c: logs. */
#include "command.h"

#include "check.h"
#include "event.h"
#include "json_out.h"
#include "print.h"
#include "target.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

static const struct drv_option options[] = {
    {.name = "follow",
     .letter = 'f',
     .kind = DRV_OPTION_FLAG,
     .help = "until the task has ended; one that waits is waited for"},
    {.name = "data",
     .kind = DRV_OPTION_FLAG,
     .help = "the partial data that it hands over, a value on each line, and nothing else"},
    TARGET_QUEUE_OPTION,
};

/* What goes to one of our streams. */
struct sink {
    FILE *file;
    bool is_terminal;
    bool is_in_line; /* the last byte was not the end of a line */
    uint32_t index;  /* of the element that wrote it */
};

struct reader {
    const struct cli *cli;
    drover_task_ref task;
    struct sink out, err;
};

static struct sink *sink_of(struct reader *reader, drover_output output)
{
    return output == DROVER_OUTPUT_STDOUT ? &reader->out : &reader->err;
}

/* Text from elsewhere must not move the cursor of a terminal. */
static bool is_safe(unsigned char byte)
{
    return byte >= 0x20 ? byte != 0x7f : byte == '\n' || byte == '\t' || byte == '\r';
}

static bool write_bytes(struct sink *sink, const char *bytes, size_t len)
{
    if (!sink->is_terminal) {
        return fwrite(bytes, 1, len, sink->file) == len;
    }
    for (size_t i = 0; i < len; i++) {
        if (putc(is_safe((unsigned char)bytes[i]) ? bytes[i] : '?', sink->file) == EOF) {
            return false;
        }
    }
    return true;
}

/* Lines of elements begin with their number. */
static bool write_lines(struct sink *sink, uint32_t index, const char *bytes, size_t len)
{
    bool is_written = true;
    if (sink->is_in_line && sink->index != index) {
        is_written = write_bytes(sink, "\n", 1);
        sink->is_in_line = false;
    }
    sink->index = index;
    for (size_t at = 0; is_written && at < len;) {
        const char *end = memchr(bytes + at, '\n', len - at);
        size_t part = end == NULL ? len - at : (size_t)(end - bytes) - at + 1;
        if (!sink->is_in_line && index != DROVER_INDEX_NONE) {
            (void)fprintf(sink->file, "%" PRIu32 ": ", index);
        }
        is_written = write_bytes(sink, bytes + at, part);
        sink->is_in_line = end == NULL;
        at += part;
    }
    return is_written;
}

static int print_data(const drover_stream_item *item)
{
    drover_value *value = NULL;
    if (drover_value_from_msgpack(item->bytes, item->len, &value) != DROVER_OK) {
        int code = print_bytes(item->bytes, item->len);
        return code;
    }
    int code = print_value(value, false);
    drover_value_destroy(&value);
    return code;
}

static int print_output_json(const struct reader *reader, const drover_stream_item *item)
{
    static const char *const names[] = {"", "stdout", "stderr", "log", "data"};
    char task[TARGET_TEXT_MAX];
    struct json_out json;
    target_format(&reader->task.id, item->index, task);
    json_begin(&json);
    json_key_text(&json, "task", task);
    json_key_uint(&json, "attempt", item->attempt);
    json_key_text(&json, "stream",
                  (unsigned)item->output < DRV_ARRAY_LEN(names) ? names[item->output] : "");
    json_key_uint(&json, "offset", item->offset);
    drover_value *value = NULL;
    if (item->output == DROVER_OUTPUT_DATA &&
        drover_value_from_msgpack(item->bytes, item->len, &value) == DROVER_OK) {
        json_key_value(&json, "value", value);
        drover_value_destroy(&value);
    } else {
        json_key_bytes(&json, "text", item->bytes, item->len);
    }
    return json_print(&json);
}

static int print_output(struct reader *reader, const drover_stream_item *item)
{
    if (reader->cli->json) {
        return print_output_json(reader, item);
    }
    if (item->output == DROVER_OUTPUT_DATA) {
        return print_data(item);
    }
    uint32_t index = item->index == reader->task.index ? DROVER_INDEX_NONE : item->index;
    struct sink *sink = sink_of(reader, item->output);
    bool is_written = write_lines(sink, index, item->bytes, item->len);
    return is_written && fflush(sink->file) == 0 ? CLI_OK : cli_write_failed();
}

static int print_end(const struct reader *reader, const drover_stream_item *item)
{
    char task[TARGET_TEXT_MAX];
    struct json_out json;
    if (!reader->cli->json) {
        return CLI_OK;
    }
    target_format(&reader->task.id, reader->task.index, task);
    json_begin(&json);
    json_key_text(&json, "task", task);
    json_key_text(&json, "state", drover_state_name(item->state));
    return json_print(&json);
}

static int print_gap(const struct reader *reader, const drover_stream_item *item)
{
    if (reader->cli->json) {
        return event_print(reader->cli, item);
    }
    return cli_say(CLI_OK, "some output is missing here");
}

static int print_item(struct reader *reader, const drover_stream_item *item)
{
    switch (item->kind) {
    case DROVER_ITEM_OUTPUT:
        return print_output(reader, item);
    case DROVER_ITEM_GAP:
        return print_gap(reader, item);
    case DROVER_ITEM_END:
        return print_end(reader, item);
    case DROVER_ITEM_EVENT:
        break;
    }
    return CLI_OK;
}

static int read_all(struct reader *reader, drover_stream *stream, const char *operand)
{
    drover_stream_item item = {.kind = DROVER_ITEM_GAP};
    while (item.kind != DROVER_ITEM_END) {
        drover_status status = drover_stream_next(stream, DROVER_FOREVER, &item);
        if (status == DROVER_UNKNOWN) {
            return cli_say_status(CLI_FAILED, DROVER_UNKNOWN,
                                  "%s: no such task, or it is forgotten", operand);
        }
        if (status != DROVER_OK) {
            return cli_failed(reader->cli, status, operand);
        }
        int code = print_item(reader, &item);
        if (code != CLI_OK) {
            return code;
        }
        if (reader->cli->json && fflush(stdout) != 0) {
            return cli_write_failed();
        }
    }
    return CLI_OK;
}

static int run(struct cli *cli)
{
    struct reader reader = {.cli = cli,
                            .out = {.file = stdout, .is_terminal = isatty(STDOUT_FILENO) != 0},
                            .err = {.file = stderr, .is_terminal = isatty(STDERR_FILENO) != 0}};
    drover_logs_options wanted = DROVER_LOGS_OPTIONS_INIT;
    drover_stream *stream = NULL;
    int code = target_find(cli, cli_operand(cli, 0), &reader.task);
    if (code == CLI_OK) {
        code = cli_connect(cli);
    }
    if (code != CLI_OK) {
        return code;
    }
    wanted.once = !drv_options_flag(cli->options, "follow");
    wanted.outputs = drv_options_flag(cli->options, "data") ? 1u << DROVER_OUTPUT_DATA
                     : cli->json                            ? 0
                                 : 1u << DROVER_OUTPUT_STDOUT | 1u << DROVER_OUTPUT_STDERR |
                                       1u << DROVER_OUTPUT_LOG;
    drover_status status = drover_logs_open(cli->client, &reader.task.id, reader.task.index,
                                            &wanted, &stream);
    code = status == DROVER_OK ? read_all(&reader, stream, cli_operand(cli, 0))
                               : cli_failed(cli, status, "logs");
    drover_stream_close(&stream);
    return code;
}

const struct cli_command cmd_logs = {
    .name = "logs",
    .summary = "print what a task prints, or has printed",
    .usage = "[-f] ID|ID.N|key:NAME [--data]",
    .about =
        "stdout goes to stdout; stderr, and what the handler logs, to stderr. Of a task\n"
        "that has ended the last of it is kept; of one that runs, what its worker has.\n"
        "Of an array, all elements, their lines with the number before them. With --json a\n"
        "line for each piece; what is missing is told on stderr, with --json as a line.",
    .options = options,
    .option_count = DRV_ARRAY_LEN(options),
    .operand_min = 1,
    .operand_max = 1,
    .run = run,
};
