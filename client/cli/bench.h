/*
 * bench.h: load for a broker, and what came of it. The tasks are `echo` of the demo module;
 * each payload begins with the instant at which it was sent (or was due), so that the result
 * tells the round trip by itself.
 */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include "cli.h"
#include "histogram.h"

#include <stdint.h>

enum { BENCH_PAYLOAD_MIN = 8 };

struct bench_load {
    const char *type;
    uint64_t tasks;
    uint64_t window;     /* tasks in flight, at most */
    size_t payload;      /* bytes, BENCH_PAYLOAD_MIN at least */
    uint64_t rate_per_s; /* tasks are due at this rate, whatever comes back; 0: as the window
                            allows. Round trips count from the due instant, so that a stall is
                            not hidden by what it kept from being sent */
    const drover_submit_options *submit;
};

struct bench_outcome {
    double seconds; /* first submit to last result */
    uint64_t done, failed;
    struct drv_histogram times_us; /* round trips */
};

/* Runs it, with progress on a terminal. CLI_OK; or says why not. Ctrl-C ends it early with what
 * was done so far, and the exit code. */
int bench_run(struct cli *cli, const struct bench_load *load, struct bench_outcome *outcome);

struct bench_depth_outcome {
    double submit_seconds, drain_seconds;
    int64_t rss_before_bytes, rss_full_bytes, rss_after_bytes; /* of the broker */
};

/* load->tasks tasks are gathered in a queue that is paused, then drained. Their results are
 * not kept. As bench_run. */
int bench_depth(struct cli *cli, const struct bench_load *load,
                struct bench_depth_outcome *outcome);

#endif
