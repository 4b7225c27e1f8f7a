/* bench_depth.c: many tasks in a queue, then none; see bench.h. */
#include "bench.h"

#include "clock.h"
#include "doc.h"
#include "interrupt.h"
#include "meter.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    CHUNK = 1024,   /* tasks per call while the queue is filled */
    LOOK_MS = 5,    /* how often it is looked at while it is drained */
    SELF_MS = 1100, /* after which the broker's memory is told as it is now */
};

struct depth {
    struct cli *cli;
    const struct bench_load *load;
    struct bench_depth_outcome *outcome;
    drover_submit_options options;
    char queue[32];
    drover_value *items[CHUNK]; /* all the same, owned once */
    drover_receipt receipts[CHUNK];
    struct meter meter;
    struct interrupt interrupt;
};

/* The broker reads its own memory once a second. */
static drover_status broker_rss(struct depth *depth, int64_t *out_bytes)
{
    drover_value *document = NULL;
    if (interrupt_wait(&depth->interrupt, SELF_MS)) {
        return DROVER_CANCELLED;
    }
    drover_status status = drover_status_get(depth->cli->client, CLI_ASK_MS, &document);
    if (status == DROVER_OK) {
        drover_value *broker = doc_get(document, "broker");
        *out_bytes = broker == NULL ? 0 : doc_int(broker, "rss_bytes");
        drover_value_destroy(&broker);
    }
    drover_value_destroy(&document);
    return status;
}

/* Tasks that stand or run in the queue; 0 when there is no such queue any more. */
static drover_status queue_left(struct depth *depth, uint64_t *out_left)
{
    drover_value *document = NULL;
    char name[DOC_TEXT_MAX];
    drover_status status = drover_queue_list(depth->cli->client, CLI_ASK_MS, &document);
    drover_value *rows = status == DROVER_OK ? doc_get(document, "queues") : NULL;
    *out_left = 0;
    for (size_t i = 0; rows != NULL && i < drover_value_count(rows); i++) {
        drover_value *row = NULL;
        if (drover_value_array_get(rows, i, &row) == DROVER_OK &&
            strcmp(doc_text(row, "name", name, sizeof name), depth->queue) == 0) {
            *out_left = (uint64_t)(doc_int(row, "depth") + doc_int(row, "running"));
        }
        drover_value_destroy(&row);
    }
    drover_value_destroy(&rows);
    drover_value_destroy(&document);
    return status;
}

static void show_depth(struct depth *depth, uint64_t done)
{
    drover_map_progress progress = {
        .submitted = done, .ended = done, .total = depth->load->tasks};
    meter_update(&depth->meter, &progress);
}

static drover_status fill(struct depth *depth)
{
    uint64_t total = depth->load->tasks;
    drover_status status = DROVER_OK;
    uint64_t begin_us = drv_clock_now_us();
    for (uint64_t sent = 0; sent < total && status == DROVER_OK; sent += CHUNK) {
        size_t count = total - sent < CHUNK ? (size_t)(total - sent) : CHUNK;
        status = drover_submit_all(depth->cli->client, depth->load->type,
                                   (const drover_value *const *)depth->items, count,
                                   &depth->options, depth->receipts);
        show_depth(depth, sent + count);
        if (interrupt_has_come(&depth->interrupt)) {
            return DROVER_CANCELLED;
        }
    }
    depth->outcome->submit_seconds = (double)(drv_clock_now_us() - begin_us) / 1e6;
    return status;
}

static drover_status drain(struct depth *depth)
{
    uint64_t begin_us = drv_clock_now_us();
    uint64_t left = depth->load->tasks;
    drover_status status = drover_queue_resume(depth->cli->client, depth->queue, CLI_ASK_MS);
    while (status == DROVER_OK && left > 0) {
        if (interrupt_wait(&depth->interrupt, LOOK_MS)) {
            return DROVER_CANCELLED;
        }
        status = queue_left(depth, &left);
        show_depth(depth, depth->load->tasks - left);
    }
    depth->outcome->drain_seconds = (double)(drv_clock_now_us() - begin_us) / 1e6;
    return status;
}

static drover_status depth_run(struct depth *depth)
{
    struct bench_depth_outcome *outcome = depth->outcome;
    drover_client *client = depth->cli->client;
    drover_status status = broker_rss(depth, &outcome->rss_before_bytes);
    if (status == DROVER_OK) {
        status = drover_queue_pause(client, depth->queue, CLI_ASK_MS);
    }
    if (status == DROVER_OK) {
        status = fill(depth);
    }
    if (status == DROVER_OK) {
        status = broker_rss(depth, &outcome->rss_full_bytes);
    }
    if (status == DROVER_OK) {
        status = drain(depth);
    }
    if (status == DROVER_OK) {
        status = broker_rss(depth, &outcome->rss_after_bytes);
    } else { /* nothing of it shall stay */
        (void)!drover_queue_purge(client, depth->queue, CLI_ASK_MS, NULL);
        (void)!drover_queue_resume(client, depth->queue, CLI_ASK_MS);
    }
    return status;
}

static drover_status depth_init(struct depth *depth)
{
    void *bytes = calloc(1, depth->load->payload);
    drover_status status = bytes == NULL ? DROVER_NOMEM
                                         : drover_value_new_binary(bytes, depth->load->payload,
                                                                   &depth->items[0]);
    free(bytes);
    for (size_t i = 1; i < CHUNK; i++) {
        depth->items[i] = depth->items[0];
    }
    (void)snprintf(depth->queue, sizeof depth->queue, "bench-%ld", (long)getpid());
    depth->options = *depth->load->submit;
    depth->options.queue = depth->queue;
    depth->options.keep_ms = 0;
    return status;
}

int bench_depth(struct cli *cli, const struct bench_load *load,
                struct bench_depth_outcome *outcome)
{
    memset(outcome, 0, sizeof *outcome);
    struct depth *depth = calloc(1, sizeof *depth);
    if (depth == NULL) {
        return cli_no_memory();
    }
    depth->cli = cli;
    depth->load = load;
    depth->outcome = outcome;
    meter_open(&depth->meter);
    interrupt_open(&depth->interrupt);
    drover_status status = depth_init(depth);
    if (status == DROVER_OK) {
        status = depth_run(depth);
    }
    meter_hide(&depth->meter);
    int code = interrupt_has_come(&depth->interrupt) ? interrupt_exit_code(&depth->interrupt)
               : status == DROVER_OK                 ? CLI_OK
                                                     : cli_failed(cli, status, "bench");
    interrupt_close(&depth->interrupt);
    drover_value_destroy(&depth->items[0]);
    free(depth);
    return code;
}
