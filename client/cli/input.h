/*
 * input.h: payloads and records from operands, files and stdin.
 */
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include "cli.h"

#include "buffer.h"

/* Bytes in a payload and in one record. */
#define INPUT_BYTES_MAX DROVER_VALUE_BYTES_MAX

/* --file and --raw, which go with input_payload. */
#define INPUT_PAYLOAD_OPTIONS                                               \
    {.name = "file",                                                        \
     .kind = DRV_OPTION_STRING,                                             \
     .argument = "FILE",                                                    \
     .help = "the payload is the JSON in FILE"},                            \
    {                                                                       \
        .name = "raw", .kind = DRV_OPTION_STRING, .argument = "FILE",       \
        .help = "the payload is the bytes of FILE as they are, - for stdin" \
    }

/*
 * The payload of submit or kv set: operand (JSON text, or - for JSON on stdin), --file, --raw;
 * nothing: nil. CLI_OK, or says what is wrong and returns the exit code.
 */
int input_payload(const struct cli *cli, const char *operand, drover_value **out_value);

/* One JSON text; `where` begins the message. CLI_OK, or says what is wrong. */
int input_json(const char *text, size_t len, const char *where, drover_value **out_value);

/* Reads a whole file, "-" for stdin, up to max bytes. CLI_OK, or says what is wrong. */
int input_read_all(const char *path, size_t max, struct drv_buffer *out);

/* Records of a file, separated by a byte; the last need not be ended. */
struct input_records {
    int fd;
    const char *name; /* for messages; borrowed */
    char separator;
    bool at_end;     /* of the file */
    bool is_file;    /* reading never waits */
    uint64_t number; /* of the last record, from 1 */
    size_t begin;    /* of what was not handed out, in buffer */
    size_t scanned;  /* no separator before */
    struct drv_buffer buffer;
};

enum input_next {
    INPUT_RECORD,
    INPUT_NOT_READY, /* none can be had without waiting */
    INPUT_END,
    INPUT_FAILED, /* said why; out_code is the exit code */
};

/* path "-" or NULL: stdin. CLI_OK, or says what is wrong and returns CLI_IO. */
int input_records_open(struct input_records *records, const char *path, char separator);

/*
 * The next record without its separator, NUL-terminated, borrowed until the next call. Never
 * waits for a pipe or terminal when wait is false.
 */
enum input_next input_records_next(struct input_records *records, bool wait,
                                   const char **out_record, size_t *out_len, int *out_code);

void input_records_close(struct input_records *records);

#endif
