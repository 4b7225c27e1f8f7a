/* history.c: see history.h. */
#include "history.h"

#include "broker.h"
#include "history_queue.h"

#include <math.h>
#include <stdlib.h>

enum { PERCENT_UNKNOWN = UINT8_MAX, BUSY_MAX = 250 };

/* ---- forms ------------------------------------------------------------------------------- */

float history_float(uint16_t half)
{
    uint32_t bits = (uint32_t)half << 16U;
    float number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

uint16_t history_half(float number)
{
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    if (isfinite(number)) { /* to the nearest; the largest become infinite, as they should */
        bits += 0x7fffU + (bits >> 16U & 1U);
    }
    return (uint16_t)(bits >> 16U);
}

float history_percent(uint8_t halves)
{
    return halves == PERCENT_UNKNOWN ? NAN : (float)halves / 2;
}

static uint8_t halves_of(double percent)
{
    if (!(percent >= 0)) {
        return PERCENT_UNKNOWN;
    }
    return percent >= 100 ? 200 : (uint8_t)lround(percent * 2);
}

/* ---- workers ----------------------------------------------------------------------------- */

static const struct history_host NOTHING = {PERCENT_UNKNOWN, PERCENT_UNKNOWN, PERCENT_UNKNOWN,
                                            PERCENT_UNKNOWN, 0x7fc0,          0x7fc0};

static void begin(struct core *core, struct worker *worker)
{
    struct history *history = &core->history;
    worker->history = calloc(1, sizeof *worker->history);
    if (worker->history != NULL) {
        history->worker_count++;
        worker->history->since[HISTORY_HOUR] = history->rings[HISTORY_HOUR].number + 1;
        worker->history->since[HISTORY_DAY] = history->rings[HISTORY_DAY].number + 1;
    }
}

static float rate_of(uint64_t before, uint64_t now, int64_t us)
{
    return now < before ? NAN : (float)((double)(now - before) * 1e6 / (double)us);
}

static void measure_net(struct core *core, const struct worker *worker)
{
    struct worker_history *history = worker->history;
    int64_t us = core->now_us - history->at_us;
    if (history->at_us != 0 && us > 0) {
        history->sent_per_s = rate_of(history->sent, worker->host.bytes_sent, us);
        history->received_per_s = rate_of(history->received, worker->host.bytes_recv, us);
    } else {
        history->sent_per_s = history->received_per_s = NAN;
    }
    history->sent = worker->host.bytes_sent;
    history->received = worker->host.bytes_recv;
    history->at_us = core->now_us;
}

static bool is_here(const struct worker *worker)
{
    return worker->session != NULL && worker->session->peer != NULL;
}

static struct history_host row_of(const struct worker *worker)
{
    if (!is_here(worker)) {
        return NOTHING;
    }
    struct history_host row = NOTHING;
    uint32_t busy = worker->slots == 0
                        ? 0
                        : (uint32_t)((uint64_t)worker->started * BUSY_MAX / worker->slots);
    row.busy = (uint8_t)(busy > BUSY_MAX ? BUSY_MAX : busy);
    if (worker->has_host) {
        row.cpu = halves_of(worker->host.cpu_percent);
        row.memory = halves_of(worker->host.memory_percent);
        row.disk = halves_of(worker->host.disk_percent);
        row.sent = history_half(worker->history->sent_per_s);
        row.received = history_half(worker->history->received_per_s);
    }
    return row;
}

static void put_workers(struct core *core, enum history_span span, uint64_t number, bool known)
{
    DRV_LIST_EACH(link, &core->workers)
    {
        struct worker *worker = DRV_LIST_ITEM(link, struct worker, link);
        struct worker_history *history = worker->history;
        if (history == NULL || number < history->since[span]) {
            continue;
        }
        if (span == HISTORY_HOUR && known && worker->has_host) {
            measure_net(core, worker);
        }
        struct history_host *rows = span == HISTORY_HOUR ? history->hour : history->day;
        rows[number % history_rows(span)] = known ? row_of(worker) : NOTHING;
    }
}

void history_forget(struct core *core, struct worker *worker)
{
    if (worker->history != NULL) {
        free(worker->history);
        worker->history = NULL;
        core->history.worker_count--;
    }
}

/* ---- rows -------------------------------------------------------------------------------- */

static bool is_mean(enum history_series series)
{
    return series == HISTORY_CPU;
}

static bool is_sum(enum history_series series)
{
    return series <= HISTORY_FAILED;
}

static bool is_maximum(enum history_series series)
{
    return series == HISTORY_LOOP_MS || series == HISTORY_JOURNAL_MS;
}

static void gather(struct history_sum *sum, const double value[HISTORY_SERIES])
{
    for (enum history_series i = 0; i < HISTORY_SERIES; i++) {
        if (is_sum(i) || is_mean(i)) {
            sum->value[i] += value[i];
        } else if (!is_maximum(i) || value[i] > sum->value[i]) {
            sum->value[i] = value[i];
        } else {
            /* the longest stays */
        }
    }
    sum->seconds++;
}

static void put_row(struct core *core, enum history_span span, bool known)
{
    struct history_ring *ring = &core->history.rings[span];
    float *row = ring->rows[++ring->number % history_rows(span)];
    for (enum history_series i = 0; i < HISTORY_SERIES; i++) {
        double value = is_mean(i) ? ring->sum.value[i] / ring->sum.seconds : ring->sum.value[i];
        row[i] = known ? (float)value : NAN;
    }
    put_workers(core, span, ring->number, known);
    queue_history_put(core, span, ring->number, known);
}

/* A step ends with the first look behind it; steps without a look are rows of nothing. */
static void advance(struct core *core, enum history_span span,
                    const double value[HISTORY_SERIES])
{
    struct history_ring *ring = &core->history.rings[span];
    int64_t step_us = history_step_us(span);
    if (ring->rows == NULL) {
        ring->rows = calloc(history_rows(span), sizeof *ring->rows);
        if (ring->rows == NULL) {
            return;
        }
    }
    if (ring->due_us == 0) {
        ring->due_us = core->now_us + step_us;
    }
    gather(&ring->sum, value);
    if (core->now_us < ring->due_us) {
        return;
    }
    put_row(core, span, true);
    memset(&ring->sum, 0, sizeof ring->sum);
    ring->due_us += step_us;
    int64_t missed = core->now_us < ring->due_us ? 0
                                                 : (core->now_us - ring->due_us) / step_us + 1;
    ring->due_us += missed * step_us;
    missed = missed > history_rows(span) ? history_rows(span) : missed;
    for (; missed > 0; missed--) {
        put_row(core, span, false);
    }
}

/* ---- looks ------------------------------------------------------------------------------- */

static void count_workers(struct core *core)
{
    struct history *history = &core->history;
    uint32_t begun = 0;
    history->slots = history->busy = history->workers = 0;
    DRV_LIST_EACH(link, &core->workers)
    {
        struct worker *worker = DRV_LIST_ITEM(link, struct worker, link);
        if (worker->history == NULL && history->worker_count < HISTORY_WORKERS_MAX &&
            begun < HISTORY_NEW_MAX) {
            begin(core, worker);
            begun++;
        }
        if (is_here(worker)) {
            history->workers++;
            history->slots += worker->slots;
            history->busy += worker->started;
        }
    }
}

static void take_rate(struct core *core)
{
    struct history *history = &core->history;
    history->rates[history->rate_count++ % HISTORY_RATE_SAMPLES] = (struct history_rate){
        .at_us = core->now_us,
        .submitted = core->counters.submitted,
        .succeeded = core->counters.succeeded,
        .failed = core->counters.failed,
    };
}

struct history_rates history_rates(const struct core *core)
{
    const struct history *history = &core->history;
    struct history_rates rates = {0, 0, 0};
    if (history->rate_count < 2) {
        return rates;
    }
    uint32_t last = history->rate_count - 1;
    uint32_t first = last >= HISTORY_RATE_SAMPLES - 1 ? last - (HISTORY_RATE_SAMPLES - 1) : 0;
    const struct history_rate *from = &history->rates[first % HISTORY_RATE_SAMPLES];
    const struct history_rate *to = &history->rates[last % HISTORY_RATE_SAMPLES];
    if (to->at_us > from->at_us) {
        double seconds = (double)(to->at_us - from->at_us) / 1e6;
        rates.submitted = (double)(to->submitted - from->submitted) / seconds;
        rates.succeeded = (double)(to->succeeded - from->succeeded) / seconds;
        rates.failed = (double)(to->failed - from->failed) / seconds;
    }
    return rates;
}

/* What a counter has grown by since the last look. */
static double grown(uint64_t *before, uint64_t now)
{
    double by = (double)(now - *before);
    *before = now;
    return by;
}

void history_sample(struct core *core)
{
    struct history *history = &core->history;
    const struct core_counters *counters = &core->counters;
    if (history->rate_count == 0) { /* counted in an earlier life */
        history->counted[0] = counters->submitted;
        history->counted[1] = counters->succeeded;
        history->counted[2] = counters->failed;
    }
    count_workers(core);
    take_rate(core);
    times_turn(&history->times, core->now_us);
    history->oldest_us = queue_history_look(core);
    const double value[HISTORY_SERIES] = {
        [HISTORY_SUBMITTED] = grown(&history->counted[0], counters->submitted),
        [HISTORY_SUCCEEDED] = grown(&history->counted[1], counters->succeeded),
        [HISTORY_FAILED] = grown(&history->counted[2], counters->failed),
        [HISTORY_WAITING] = (double)(counters->waiting + counters->delayed),
        [HISTORY_QUEUED] = (double)counters->queued,
        [HISTORY_RUNNING] = (double)counters->running,
        [HISTORY_WORKERS] = (double)history->workers,
        [HISTORY_SLOTS] = (double)history->slots,
        [HISTORY_BUSY] = (double)history->busy,
        [HISTORY_OLDEST_MS] = history->oldest_us == 0
                                  ? 0
                                  : (double)(core->now_us - history->oldest_us) / 1000,
        [HISTORY_CPU] = core->self.cpu_percent,
        [HISTORY_RSS] = (double)core->self.rss_bytes,
        [HISTORY_LOOP_MS] = (double)core->self.loop_us / 1000,
        [HISTORY_JOURNAL_MS] = (double)core->self.journal_us / 1000,
    };
    advance(core, HISTORY_HOUR, value);
    advance(core, HISTORY_DAY, value);
}

void history_measure(struct core *core, struct times **queue, struct times **type,
                     int64_t wait_us, uint64_t run_us, uint32_t count)
{
    struct times_registry *times = &core->history.times;
    struct times **all[] = {queue, type, &core->history.all};
    unsigned wait = times_bucket(wait_us < 0 ? 0 : (uint64_t)wait_us);
    unsigned run = times_bucket(run_us);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (wait_us >= 0) {
            times_record(times, all[i], TIMES_WAIT, wait, count);
            times_add(*all[i], TIMES_WAIT, (uint64_t)wait_us, count);
        }
        times_record(times, all[i], TIMES_RUN, run, count);
        times_add(*all[i], TIMES_RUN, run_us, count);
    }
}

/* ---- life -------------------------------------------------------------------------------- */

void history_init(struct core *core)
{
    memset(&core->history, 0, sizeof core->history);
    times_registry_init(&core->history.times);
}

void history_fini(struct core *core)
{
    DRV_LIST_EACH(link, &core->workers)
    {
        history_forget(core, DRV_LIST_ITEM(link, struct worker, link));
    }
    queue_history_fini(core);
    times_registry_fini(&core->history.times);
    for (int span = 0; span < HISTORY_SPANS; span++) {
        free(core->history.rings[span].rows);
        core->history.rings[span].rows = NULL;
    }
}
