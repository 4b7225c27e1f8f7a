/* bench.c: see bench.h. */
#include "bench.h"

#include "clock.h"
#include "interrupt.h"
#include "meter.h"

#include <stdlib.h>
#include <string.h>

enum {
    SILENCE_MS = 60000, /* then something is broken */
    EVERY = 256,        /* completions between two looks at the terminal and at signals */
};

struct bench {
    struct cli *cli;
    const struct bench_load *load;
    struct bench_outcome *outcome;
    drover_completions *completions;
    uint8_t *payload; /* owned */
    uint64_t sent;
    uint64_t begin_us;
    struct meter meter;
    struct interrupt interrupt;
};

/* The instant at which task number `n` is due; now, when there is no rate. */
static uint64_t due_us(const struct bench *bench, uint64_t n, uint64_t now_us)
{
    uint64_t rate = bench->load->rate_per_s;
    return rate == 0 ? now_us : bench->begin_us + n * 1000000 / rate;
}

static drover_status send_one(struct bench *bench, uint64_t at_us)
{
    drover_value *in = NULL;
    memcpy(bench->payload, &at_us, sizeof at_us);
    drover_status status = drover_value_new_binary(bench->payload, bench->load->payload, &in);
    if (status == DROVER_OK) {
        status = drover_completions_submit(bench->completions, bench->load->type, in,
                                           bench->load->submit, NULL);
    }
    drover_value_destroy(&in);
    bench->sent += status == DROVER_OK;
    return status;
}

/* As many as are due and the window allows. */
static drover_status send_due(struct bench *bench)
{
    const struct bench_load *load = bench->load;
    drover_status status = DROVER_OK;
    while (status == DROVER_OK && bench->sent < load->tasks &&
           bench->sent - bench->outcome->done < load->window) {
        uint64_t now_us = drv_clock_now_us();
        uint64_t at_us = due_us(bench, bench->sent, now_us);
        if (at_us > now_us) {
            return DROVER_OK;
        }
        status = send_one(bench, at_us);
    }
    return status;
}

static void take_outcome(struct bench *bench, drover_outcome **outcome)
{
    const void *bytes = NULL;
    size_t len = 0;
    uint64_t at_us;
    const drover_value *value = drover_outcome_value(*outcome);
    bench->outcome->done++;
    if (drover_outcome_status(*outcome) != DROVER_OK || value == NULL ||
        drover_value_get_binary(value, &bytes, &len) != DROVER_OK ||
        len != bench->load->payload) {
        bench->outcome->failed++;
    } else {
        memcpy(&at_us, bytes, sizeof at_us);
        drv_histogram_record(&bench->outcome->times_us, drv_clock_now_us() - at_us);
    }
    drover_outcome_destroy(outcome);
}

/* How long to wait for a completion: until the next task is due. */
static int64_t patience_ms(const struct bench *bench)
{
    const struct bench_load *load = bench->load;
    if (load->rate_per_s == 0 || bench->sent >= load->tasks ||
        bench->sent - bench->outcome->done >= load->window) {
        return SILENCE_MS;
    }
    uint64_t now_us = drv_clock_now_us();
    uint64_t at_us = due_us(bench, bench->sent, now_us);
    return at_us <= now_us ? 0 : (int64_t)((at_us - now_us) / 1000);
}

/* Waits for one and takes what has come with it. */
static drover_status take_some(struct bench *bench)
{
    drover_outcome *outcome = NULL;
    int64_t wait_ms = patience_ms(bench);
    drover_status status = drover_completions_next(bench->completions, wait_ms, &outcome);
    while (status == DROVER_OK) {
        take_outcome(bench, &outcome);
        if (bench->outcome->done % EVERY == 0) {
            return DROVER_OK;
        }
        status = drover_completions_next(bench->completions, 0, &outcome);
    }
    bool is_early = wait_ms < SILENCE_MS;
    return status == DROVER_UNKNOWN || (status == DROVER_TIMEOUT && is_early) ? DROVER_OK
                                                                              : status;
}

static void show_progress(struct bench *bench)
{
    drover_map_progress progress = {.submitted = bench->sent,
                                    .ended = bench->outcome->done,
                                    .failed = bench->outcome->failed,
                                    .total = bench->load->tasks};
    meter_update(&bench->meter, &progress);
}

static int run_loop(struct bench *bench)
{
    drover_status status = DROVER_OK;
    bench->begin_us = drv_clock_now_us();
    while (status == DROVER_OK && bench->outcome->done < bench->load->tasks) {
        status = send_due(bench);
        if (status == DROVER_OK && bench->outcome->done < bench->sent) {
            uint64_t before = bench->outcome->done;
            status = take_some(bench);
            if (status == DROVER_TIMEOUT && bench->outcome->done > before) {
                status = DROVER_OK;
            }
        } else if (status == DROVER_OK) { /* nothing in flight: until the next is due */
            (void)interrupt_wait(&bench->interrupt, (int)patience_ms(bench));
        } else {
            break;
        }
        if (bench->outcome->done % EVERY == 0) {
            show_progress(bench);
            if (interrupt_has_come(&bench->interrupt)) {
                break;
            }
        }
    }
    bench->outcome->seconds = (double)(drv_clock_now_us() - bench->begin_us) / 1e6;
    return status == DROVER_OK ? CLI_OK : cli_failed(bench->cli, status, "bench");
}

int bench_run(struct cli *cli, const struct bench_load *load, struct bench_outcome *outcome)
{
    struct bench bench = {.cli = cli, .load = load, .outcome = outcome};
    memset(outcome, 0, sizeof *outcome);
    bench.payload = calloc(1, load->payload);
    if (bench.payload == NULL) {
        return cli_no_memory();
    }
    drover_status status = drover_completions_new(cli->client, DROVER_COMPLETIONS_VALUES,
                                                  &bench.completions);
    if (status != DROVER_OK) {
        free(bench.payload);
        return cli_failed(cli, status, "bench");
    }
    meter_open(&bench.meter);
    interrupt_open(&bench.interrupt);
    int code = run_loop(&bench);
    meter_hide(&bench.meter);
    if (code == CLI_OK && interrupt_has_come(&bench.interrupt)) {
        code = interrupt_exit_code(&bench.interrupt);
    }
    interrupt_close(&bench.interrupt);
    drover_completions_destroy(&bench.completions);
    free(bench.payload);
    return code;
}
