/*
 * executor_range.c: running a range: element after element, without a record or a system call
 * for each.
 *
 *   claim ──> handler ──> result into the lane ──> claim ... ──> RANGE, the last of it
 *                └── failed, printed, spoke, no room ──> RANGE (those before it), FINISHED
 *
 * An element about which there is more to say than its result is spoken of as a single attempt,
 * and ends the range: the agent gives those behind it to somebody else.
 */
#include "executor_private.h"

#include "clock.h"
#include "lengths.h"
#include "model/model.h"
#include "reader.h"
#include "value_place.h"

#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>

enum {
    STRIDE_MAX = 16,        /* elements between two looks at the clock */
    STRIDE_US = 20,         /* or about so long */
    PLACE_KEEP = 64 * 1024, /* bytes kept for the payload of the next element */
};

struct executor_range {
    const struct executor_entry *entry;
    struct lane_range_writer results;
    struct drv_lengths payloads;
    uint32_t number, left; /* of the element that runs; how many follow it */
    bool is_single;        /* the agent was told of those before it */
    bool is_spent;
    uint32_t stride, skip; /* elements between two looks at the clock; until the next one */
    int64_t began_us, now_us;
    struct record_finished used;  /* by those that have ended */
    uint64_t printed[LANE_PIPES]; /* before it, and by what is kept: who prints ends it */
};

/* ---- telling --------------------------------------------------------------------------------
 */

static struct record_range head_of(const struct executor *executor,
                                   const struct executor_range *range, uint32_t flags)
{
    struct record_range head = {.kind = RECORD_RANGE,
                                .claim = range->entry->task.claim,
                                .serial = range->entry->task.serial,
                                .done = range->results.done,
                                .flags = flags,
                                .lengths_len = (uint32_t)range->results.lengths_len,
                                .bytes_len = (uint32_t)range->results.bytes_len,
                                .run_us = (uint64_t)(range->now_us - range->began_us),
                                .user_us = range->used.user_us,
                                .system_us = range->used.system_us,
                                .peak_rss_bytes = meter_peak_bytes(&executor->meter),
                                .pid = executor->meter.pid};
    memcpy(head.printed, range->printed, sizeof(head.printed));
    return head;
}

static drover_status send_range(struct executor *executor, const struct executor_range *range,
                                uint32_t flags, bool may_block)
{
    struct record_range head = head_of(executor, range, flags);
    const struct lane_range *shared = &executor->lane.shared->range;
    struct drv_view parts[] = {drv_view_of(shared->lengths, range->results.lengths_len),
                               drv_view_of(shared->bytes, range->results.bytes_len)};
    struct lane_record record = {
        .head = &head, .head_len = sizeof(head), .parts = parts, .count = 2};
    return may_block ? executor_send(executor, &record) : lane_send(&executor->lane, &record);
}

bool executor_single_out(struct executor *executor, bool may_block)
{
    struct executor_range *range = executor->range;
    if (range == NULL || range->is_single) {
        return true;
    }
    range->is_single = send_range(executor, range, RECORD_RANGE_IS_SINGLE, may_block) ==
                       DROVER_OK;
    return range->is_single;
}

/* ---- time -----------------------------------------------------------------------------------
 */

static void read_clock(struct executor *executor, struct executor_range *range)
{
    int64_t now_us = (int64_t)drv_clock_now_us();
    struct record_finished head = {.user_us = 0};
    if (now_us - range->now_us < STRIDE_US) {
        range->stride = range->stride < STRIDE_MAX ? range->stride * 2 : STRIDE_MAX;
    } else {
        range->stride = range->stride > 1 ? range->stride / 2 : 1;
    }
    range->now_us = now_us;
    range->skip = range->stride;
    if (now_us - executor->meter.usage_at_us >= METER_USAGE_US) {
        meter_read_usage(&executor->meter, now_us, &head);
        range->used.user_us += head.user_us;
        range->used.system_us += head.system_us;
        range->is_spent = executor_is_spent(executor);
    }
}

/* ---- an element -----------------------------------------------------------------------------
 */

/* Its payload, in memory that is used again and again. */
static drover_status next_payload(struct executor *executor, struct executor_range *range,
                                  const drover_value **out_payload)
{
    struct drv_val val;
    if (!drv_lengths_next(&range->payloads, &val)) {
        executor_die("a range without payloads");
    }
    size_t len = val.is_nil ? 1 : val.len;
    const void *bytes = val.is_nil ? (const void *)"\xc0" : val.bytes;
    drover_status status = val.is_nil ? DROVER_OK
                                      : drv_validate(val.bytes, len, &DRV_VALIDATE_VALUE);
    drv_buffer_clear(&executor->place);
    if (!status) {
        status = drv_buffer_reserve(&executor->place, drv_value_place_size(len));
    }
    if (!status) {
        *out_payload = drv_value_place(executor->place.bytes, bytes, len);
    }
    return status;
}

static void begin_job(const struct executor_range *range, struct drover_job *job)
{
    job->task.index = range->entry->task.index + range->number;
    job->has_failed = false;
    job->is_permanent = false;
    job->code[0] = '\0';
    job->text[0] = '\0';
}

static void run_handler(struct executor *executor, struct executor_range *range,
                        struct drover_job *job, struct job_outcome *outcome)
{
    const drover_value *payload = NULL;
    const struct module_handler *handler =
        &executor->config->set->handlers[range->entry->task.handler];
    drover_status status = next_payload(executor, range, &payload);
    if (status) {
        job_outcome_fail(outcome, DROVER_ERROR_HANDLER, "bad-payload",
                         "the payload is no value: %s", drover_status_text(status));
        outcome->is_permanent = status != DROVER_NOMEM;
        return;
    }
    executor->config->model->run(job, handler, payload, outcome);
    if (executor->place.capacity > PLACE_KEEP) {
        drv_buffer_fini(&executor->place);
    }
}

static bool has_printed(struct executor *executor, const struct executor_range *range)
{
    if (__fpending(stdout) > 0) {
        (void)fflush(stdout); /* into the pipe, where it is counted */
    }
    bool is_last = range->left == 0 && !executor_has_more(executor);
    return meter_look(&executor->meter, range->entry->task.handler, is_last, range->now_us);
}

/* Whether nothing is to be said of it but its result, which is kept then. */
static bool keep_result(struct executor *executor, struct executor_range *range,
                        const struct drover_job *job, const struct job_outcome *outcome)
{
    if (has_printed(executor, range) || outcome->outcome != RECORD_SUCCEEDED ||
        range->is_single || job->log.missed + job->data.missed > 0) {
        return false;
    }
    struct lane_value value = executor_lane_value(outcome->value);
    return value.content_type.len == 0 &&
           lane_range_put(&range->results, value.bytes, value.is_nil);
}

/* It ends the range. */
static void report_single(struct executor *executor, struct executor_range *range,
                          struct drover_job *job, struct job_outcome *outcome)
{
    int64_t began_us = range->now_us; /* at most so much too early */
    executor->ended_at_us = (int64_t)drv_clock_now_us();
    if (job->log.missed + job->data.missed > 0) {
        (void)executor_single_out(executor, true);
    }
    job_end(job);
    if (!range->is_single && range->number > 0) {
        (void)!send_range(executor, range, 0, true);
    }
    executor_report(executor, &job->task, executor->ended_at_us - began_us, outcome);
}

/* False: it has ended the range. */
static bool run_element(struct executor *executor, struct executor_range *range,
                        struct drover_job *job)
{
    struct job_outcome outcome;
    job_outcome_init(&outcome);
    begin_job(range, job);
    run_handler(executor, range, job, &outcome);
    int64_t began_us = range->now_us;
    if (--range->skip == 0) {
        read_clock(executor, range);
    }
    bool is_kept = keep_result(executor, range, job, &outcome);
    if (is_kept) {
        drover_value_destroy(&job->awaited);
    } else {
        range->now_us = began_us;
        report_single(executor, range, job, &outcome);
    }
    job_outcome_fini(&outcome);
    range->number++;
    return is_kept && !range->is_spent;
}

void executor_run_range(struct executor *executor, const struct executor_entry *entry,
                        int64_t started_us)
{
    const struct drv_str lengths = {(const char *)entry->lengths.bytes, entry->lengths.len};
    struct executor_range range = {
        .entry = entry,
        .payloads = drv_lengths_of(lengths, entry->payload.bytes, entry->payload.len),
        .stride = 1,
        .skip = 1,
        .began_us = started_us,
        .now_us = started_us};
    struct drover_job job;
    size_t count = drv_lengths_count(lengths, entry->payload.len);
    if (count == 0 || count > LANE_RANGE_MAX) {
        executor_die("cannot take a range");
    }
    job_init(&job, executor, &entry->task,
             executor->config->set->handlers[entry->task.handler].type, started_us);
    job.needs = entry->needs;
    job.shared = entry->shared != NULL ? entry->shared->value : NULL;
    lane_range_begin(&executor->lane.shared->range, entry->task.serial, (uint32_t)count,
                     &range.results);
    memcpy(range.printed, executor->meter.printed, sizeof(range.printed));
    executor->range = &range;
    bool is_whole = true;
    while (is_whole && lane_range_claim(&range.results, &range.left)) {
        is_whole = run_element(executor, &range, &job);
    }
    executor->range = NULL;
    if (range.results.done == range.number) { /* no other record was the last one */
        executor->ended_at_us = range.now_us = (int64_t)drv_clock_now_us();
        uint32_t flags = RECORD_RANGE_IS_LAST | (range.is_spent ? RECORD_RANGE_IS_SPENT : 0);
        if (send_range(executor, &range, flags, true) != DROVER_OK) {
            executor_die("cannot report a range");
        }
    }
}
