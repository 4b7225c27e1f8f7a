/* stream.c: see stream.h. */
#include "stream.h"

#include "clock.h"
#include "interrupt.h"
#include "meter.h"
#include "target.h"
#include "task_options.h"

enum {
    FIRST_WAIT_MS = 20, /* then what was printed is flushed */
    WAIT_MS = 200,
    WARN_AFTER_MS = 1000,
    CHECK_EVERY = 64, /* outcomes between looks at the clock and at signals */
    CANCEL_MS = 2000,
    IN_ORDER_MS = 200, /* so long what has failed may take to be told in its turn */
};

struct run {
    struct cli *cli;
    const struct stream *stream;
    drover_map *map;
    struct interrupt interrupt;
    struct meter meter;
    uint64_t begin_ms;
    bool is_mine; /* submitted here: to be cancelled when it ends early */
    bool warned;
    uint64_t printed;
    uint64_t failed_ms; /* when it was seen that something has failed, 0: nothing has */
};

enum { STREAM_GOES_ON = -1 };

static void cancel(struct run *run, const char *reason)
{
    if (run->is_mine) {
        drover_id id = drover_map_id(run->map);
        drover_status status = drover_cancel_request(run->cli->client, &id, DROVER_INDEX_NONE,
                                                     reason, CANCEL_MS);
        if (status != DROVER_OK && status != DROVER_UNKNOWN) {
            (void)cli_failed(run->cli, status, "cancel");
        }
    }
}

static int end_early(struct run *run, int code, const char *reason)
{
    char id[TARGET_TEXT_MAX];
    drover_id array = drover_map_id(run->map);
    target_format(&array, DROVER_INDEX_NONE, id);
    meter_hide(&run->meter);
    cancel(run, reason);
    return cli_say(code, "%s: %s; array %s %s", run->stream->what, reason, id,
                   run->is_mine ? "was cancelled" : "goes on");
}

/* Whether a signal or the deadline ends it. */
static int check(struct run *run)
{
    uint64_t elapsed_ms = drv_clock_now_ms() - run->begin_ms;
    if (interrupt_has_come(&run->interrupt)) {
        return end_early(run, interrupt_exit_code(&run->interrupt), "interrupted");
    }
    if (run->stream->timeout_ms >= 0 && elapsed_ms >= (uint64_t)run->stream->timeout_ms) {
        return end_early(run, CLI_TIMEOUT, "the time is over");
    }
    if (run->is_mine && !run->warned && run->printed == 0 && elapsed_ms >= WARN_AFTER_MS) {
        drover_id id = drover_map_id(run->map);
        run->warned = true;
        meter_hide(&run->meter);
        task_warn_unoffered(run->cli, &id, run->stream->type);
    }
    return STREAM_GOES_ON;
}

static int on_outcome(struct run *run, drover_outcome **outcome)
{
    if (run->meter.shares_line) {
        meter_hide(&run->meter);
    }
    const char *stop_reason = run->stream->stop_reason;
    if (stop_reason != NULL && drover_outcome_status(*outcome) == DROVER_CANCELLED) {
        drover_outcome_destroy(outcome); /* not the one that failed: it comes later */
        return end_early(run, CLI_FAILED, stop_reason);
    }
    int code = run->stream->emit(run->stream->context, *outcome);
    drover_outcome_destroy(outcome);
    run->printed++;
    if (code != CLI_OK) {
        cancel(run, stop_reason != NULL ? stop_reason : "its reader has failed");
        return code;
    }
    return run->printed % CHECK_EVERY == 0 ? check(run) : STREAM_GOES_ON;
}

static int on_failure(struct run *run, drover_status status)
{
    meter_hide(&run->meter);
    if (run->is_mine && *run->stream->source_code != CLI_OK) {
        return *run->stream->source_code;
    }
    return cli_failed(run->cli, status, run->stream->what);
}

/* Whether something has failed whose turn is not near: what stops on errors does not wait. */
static bool must_stop(struct run *run, const drover_map_progress *progress)
{
    if (run->stream->stop_reason == NULL || progress->failed == 0) {
        return false;
    }
    uint64_t now_ms = drv_clock_now_ms();
    run->failed_ms = run->failed_ms == 0 ? now_ms : run->failed_ms;
    return now_ms - run->failed_ms >= IN_ORDER_MS;
}

static int turn(struct run *run, int64_t *wait_ms)
{
    drover_outcome *outcome = NULL;
    drover_map_progress progress;
    const struct stream *stream = run->stream;
    drover_status status = stream->next != NULL
                               ? stream->next(stream->context, run->map, *wait_ms, &outcome)
                               : drover_map_next(run->map, *wait_ms, &outcome);
    drover_map_get_progress(run->map, &progress);
    if (status == DROVER_OK) {
        *wait_ms = FIRST_WAIT_MS;
        int code = on_outcome(run, &outcome);
        meter_update(&run->meter, &progress);
        if (code == STREAM_GOES_ON && ferror(stdout) != 0) { /* nobody reads on */
            status = drover_map_cancel(run->map);
            return status == DROVER_OK ? CLI_IO : on_failure(run, status);
        }
        return code == STREAM_GOES_ON && must_stop(run, &progress)
                   ? end_early(run, CLI_FAILED, stream->stop_reason)
                   : code;
    }
    if (status == DROVER_TIMEOUT) {
        *wait_ms = WAIT_MS;
        (void)fflush(stdout);
        meter_update(&run->meter, &progress);
        return must_stop(run, &progress) ? end_early(run, CLI_FAILED, stream->stop_reason)
                                         : check(run);
    }
    return status == DROVER_UNKNOWN ? CLI_OK : on_failure(run, status);
}

static int loop(struct run *run)
{
    int64_t wait_ms = FIRST_WAIT_MS;
    int code = STREAM_GOES_ON;
    run->begin_ms = drv_clock_now_ms();
    meter_open(&run->meter);
    while (code == STREAM_GOES_ON) {
        code = turn(run, &wait_ms);
    }
    meter_hide(&run->meter);
    return code;
}

int stream_run(struct cli *cli, const struct stream *stream)
{
    struct run run = {.cli = cli, .stream = stream, .is_mine = true};
    interrupt_open(&run.interrupt);
    drover_status status = drover_map_open(cli->client, stream->type, stream->source,
                                           stream->context, stream->options, &run.map);
    int code = status == DROVER_OK ? loop(&run) : cli_failed(cli, status, stream->what);
    drover_map_close(&run.map);
    interrupt_close(&run.interrupt);
    return code;
}

int stream_read(struct cli *cli, const struct stream *stream, drover_map **map)
{
    struct run run = {.cli = cli, .stream = stream, .map = *map};
    *map = NULL;
    interrupt_open(&run.interrupt);
    int code = loop(&run);
    drover_map_close(&run.map);
    interrupt_close(&run.interrupt);
    return code;
}
