/* live.c: see live.h. */
#include "live.h"

#include "print.h"

#include <stdio.h>
#include <string.h>

void live_open(struct live *live, drover_client *client, const drover_id *id)
{
    drover_logs_options options = DROVER_LOGS_OPTIONS_INIT;
    options.outputs = 1u << DROVER_OUTPUT_STDOUT | 1u << DROVER_OUTPUT_STDERR;
    *live = (struct live){.stream = NULL};
    if (drover_logs_open(client, id, DROVER_INDEX_NONE, &options, &live->stream) != DROVER_OK) {
        live->stream = NULL;
    }
}

void live_close(struct live *live)
{
    drover_stream_close(&live->stream);
}

/* Bytes of the piece that follow on what was printed; 0: none, or something is missing. */
static size_t new_bytes(struct live *live, int which, const drover_stream_item *item)
{
    uint64_t printed = live->printed[which];
    live->has_gap[which] = live->has_gap[which] || item->offset > printed;
    if (live->has_gap[which] || item->offset + item->len <= printed) {
        return 0;
    }
    return (size_t)(item->offset + item->len - printed);
}

static int print_piece(struct live *live, const drover_stream_item *item)
{
    int which = item->output == DROVER_OUTPUT_STDOUT ? LIVE_OUT : LIVE_ERR;
    FILE *file = which == LIVE_OUT ? stdout : stderr;
    if (item->attempt != live->attempt) {
        *live = (struct live){.stream = live->stream, .attempt = item->attempt};
    }
    size_t len = new_bytes(live, which, item);
    if (len == 0) {
        return CLI_OK;
    }
    live->printed[which] += len;
    const char *bytes = (const char *)item->bytes + item->len - len;
    bool is_written = fwrite(bytes, 1, len, file) == len && fflush(file) == 0;
    return is_written || file == stderr ? CLI_OK : cli_write_failed();
}

int live_next(struct live *live, int64_t timeout_ms)
{
    drover_stream_item item;
    drover_status status = drover_stream_next(live->stream, timeout_ms, &item);
    if (status == DROVER_TIMEOUT) {
        return CLI_OK;
    }
    /* A gap between entries shows in the offsets of those that follow. */
    if (status != DROVER_OK || item.kind == DROVER_ITEM_END) {
        live_close(live);
    } else if (item.kind == DROVER_ITEM_OUTPUT) {
        return print_piece(live, &item);
    }
    return CLI_OK;
}

uint64_t live_printed(const struct live *live, int which, uint32_t attempt)
{
    return live->attempt == attempt ? live->printed[which] : 0;
}
