/*
 * on_report.c: what workers say about their leases.
 *
 * A result counts only when it comes from the session that holds the lease, with the attempt of
 * that lease. Everything else changes nothing and is answered with a note.
 */
#include "array.h"
#include "broker.h"
#include "hand.h"
#include "handlers.h"
#include "range.h"

struct lease *report_lease(const struct core *core, const struct peer *peer,
                           const struct drv_ref *ref)
{
    struct lease *lease = lease_find(core, ref);
    return lease != NULL && lease->worker == peer->session->worker ? lease : NULL;
}

static void report_started(struct core *core, struct peer *peer, const struct drv_ref *ref)
{
    struct lease *lease = report_lease(core, peer, ref);
    if (lease != NULL && lease->flags & LEASE_STARTED) {
        lease_start_again(core, lease);
        return;
    }
    if (lease != NULL) {
        lease_start(core, lease);
        return;
    }
    struct parked *parked = park_find(core, &ref->id, ref->index);
    if (parked != NULL && parked->worker == peer->session->worker) {
        parked->is_started = true;
    }
}

/* What its worker could not see through, though it had started. */
static void report_broken_off(struct core *core, struct lease *lease,
                              enum drv_return_reason reason)
{
    if (reason == DRV_RETURN_INTERRUPTED) {
        lease_interrupt(core, lease);
    } else {
        lease_start(core, lease);
        lease_lose(core, lease);
    }
}

static void report_returned(struct core *core, struct peer *peer,
                            const struct drv_returned *returned)
{
    struct lease *lease = report_lease(core, peer, &returned->ref);
    if (lease != NULL && returned->reason >= DRV_RETURN_INTERRUPTED) {
        report_broken_off(core, lease, (enum drv_return_reason)returned->reason);
        return;
    }
    /* What waits for GO has been reported as started and did not run. */
    if (lease != NULL && (lease->flags & (LEASE_STARTED | LEASE_CONFIRM)) != LEASE_STARTED) {
        lease_return(core, lease);
        return;
    }
    struct parked *parked = park_find(core, &returned->ref.id, returned->ref.index);
    if (lease == NULL && parked != NULL && parked->worker == peer->session->worker) {
        park_lose(core, parked);
    }
}

/* The last first: each then goes to the front of what came back before it. */
static void report_all_returned(struct core *core, struct peer *peer,
                                const struct drv_returned *returned)
{
    struct drv_returned one = *returned;
    one.ref.handle = returned->more > 0 ? 0 : one.ref.handle;
    one.ref.index += returned->more;
    for (uint32_t left = returned->more;; left--) {
        report_returned(core, peer, &one);
        if (left == 0) {
            break;
        }
        one.ref.index--;
    }
}

static void report_progress(struct core *core, struct peer *peer,
                            const struct drv_progress *progress)
{
    struct lease *lease = report_lease(core, peer, &progress->ref);
    if (lease != NULL) {
        struct item item = lease_item(lease);
        progress_set(core, lease->unit, progress->permille, progress->text);
        event_item(core, DRV_EVENT_TASK_PROGRESS, &item);
    } else if (item_is_superseded(core, &progress->ref)) {
        core->counters.stale_progress++;
    }
}

void report_settles(struct peer *peer, enum drover_durability level)
{
    peer->settle_level = level > peer->settle_level ? level : peer->settle_level;
}

drover_status report_verdict(struct core *core, struct peer *peer, const struct drv_ref *ref)
{
    struct item item;
    struct parked *parked = park_find(core, &ref->id, ref->index);
    if (parked != NULL && parked->worker == peer->session->worker) {
        park_lose(core, parked);
    }
    if (!item_find(core, &ref->id, ref->index, &item)) {
        core->counters.unknown_results++;
        report_settles(peer, save_level_max(core));
        return DROVER_UNKNOWN;
    }
    report_settles(peer, save_level_of(core, item.task));
    if (item.unit->attempt == ref->attempt && item.unit->flags & UNIT_REPORTED) {
        core->counters.duplicate_results++;
        return DROVER_OK;
    }
    core->counters.stale_results++;
    struct lease *lease = unit_lease(item.unit);
    bool is_forged = lease != NULL && lease->worker != NULL &&
                     item.unit->attempt == ref->attempt;
    return is_forged ? DROVER_DENIED : DROVER_STALE;
}

/* Defects that take a result which does not count. True: taken. */
static bool take_by_defect(struct core *core, const struct drv_result *result)
{
    struct item item;
    if (!item_find(core, &result->ref.id, result->ref.index, &item)) {
        return false;
    }
    if (core->config.defects.accept_stale_result && !unit_is_terminal(item.unit) &&
        item.unit->lease != NULL && item.unit->lease->worker != NULL) {
        /* defect: an earlier attempt decides */
        struct lease *lease = item.unit->lease;
        struct who *who = lease->worker->who;
        struct body *val = NULL;
        item.unit->attempt = result->ref.attempt;
        lease_take(core, lease);
        if (body_new(core, &result->val, &val) == DROVER_OK) {
            item_result(core, &item, result, &val, who);
        }
        body_release(core, &val);
        return true;
    }
    if (core->config.defects.result_changes && unit_is_terminal(item.unit) &&
        item.index == DROVER_INDEX_NONE) {
        /* defect: a result that comes later overwrites the state */
        enum drover_state state = result->outcome == DRV_OUTCOME_SUCCEEDED
                                      ? DROVER_STATE_SUCCEEDED
                                      : DROVER_STATE_FAILED;
        item_overwrite_state(core, &item, state);
        effects_record_item(core, CORE_RECORD_ENDED, &item, NULL);
        return true;
    }
    return false;
}

/* The wait of a first attempt, but for the delay that was asked for. */
static int64_t waited_us(const struct item *item, const struct lease *lease)
{
    const struct more *more = item->unit->more;
    if (more != NULL && more->history_count > 0) {
        return -1;
    }
    int64_t wait_us = lease->since_us - item->task->submitted_us -
                      item->task->spec->numbers.delay_us;
    return wait_us < 0 ? 0 : wait_us;
}

static void measure(struct core *core, const struct item *item, const struct lease *lease,
                    const struct drv_result *result, uint32_t count)
{
    const struct line *line = item->task->spec->line;
    type_measure(line->type, result->run_us);
    history_measure(core, &line->queue->times, &line->type->times, waited_us(item, lease),
                    result->run_us, count);
}

/* measured: how many attempts its times stand for; 0: they were counted. False: out of memory;
 * the worker keeps it and sends it again. */
static bool report_result(struct core *core, struct peer *peer, struct lease *lease,
                          const struct drv_result *result, uint32_t measured,
                          drover_status *out_verdict)
{
    if (lease == NULL) {
        drover_status verdict = take_by_defect(core, result)
                                    ? DROVER_OK
                                    : report_verdict(core, peer, &result->ref);
        *out_verdict = verdict != DROVER_OK ? verdict : *out_verdict;
        return true;
    }
    struct body *val = NULL;
    if (result->outcome != DRV_OUTCOME_CANCELLED && body_new(core, &result->val, &val)) {
        return false;
    }
    struct item item = lease_item(lease);
    struct worker *worker = lease->worker;
    struct who *who = worker->who;
    hand_take(core, &item.task->id, item.index);
    report_settles(peer, save_level_of(core, item.task));
    lease_start_and_end(core, lease);
    if (measured > 0) {
        measure(core, &item, lease, result, measured);
    }
    worker->tasks_done++;
    output_result(core, lease, &result->tail);
    lease_take(core, lease);
    core->reporter = who;
    item_result(core, &item, result, &val, who);
    core->reporter = NULL;
    body_release(core, &val);
    return true;
}

/* The array of the lease, unless it may be gone when this element has ended. */
static struct task *task_that_stays(const struct lease *lease)
{
    struct task *task = lease->task;
    const struct array *array = task_is_array(task) ? task->array : NULL;
    return array != NULL && (!array->is_sealed || array->ended + 1 < array->seal) ? task : NULL;
}

/* As report_lease, when the array is known. */
static struct lease *element_lease(const struct task *task, const struct peer *peer,
                                   const struct drv_ref *ref)
{
    struct element *element = array_element(task->array, ref->index);
    struct lease *lease = element == NULL ? NULL : unit_lease(&element->unit);
    return lease != NULL && lease->worker != NULL && lease->worker == peer->session->worker &&
                   element->unit.attempt == ref->attempt
               ? lease
               : NULL;
}

static bool report_range(struct core *core, struct peer *peer, const struct drv_result *range,
                         drover_status *out_verdict)
{
    struct range_walk walk = range_walk(range);
    const struct drv_ref *ref = &walk.result.ref;
    struct task *task = NULL;
    uint32_t measured = range->range.count; /* with the first that counts */
    bool is_taken = true;
    while (is_taken && range_next(&walk)) {
        struct lease *lease = task == NULL ? report_lease(core, peer, ref)
                                           : element_lease(task, peer, ref);
        task = lease == NULL ? NULL : task_that_stays(lease);
        is_taken = report_result(core, peer, lease, &walk.result, measured, out_verdict);
        measured = lease == NULL ? measured : 0;
    }
    return is_taken;
}

/* One entry, whatever number of elements it speaks of; what does not count is noted once. */
static bool report_results(struct core *core, struct peer *peer,
                           const struct drv_message *message, size_t position)
{
    const struct drv_result *result = &message->report.results[position];
    drover_status verdict = DROVER_OK;
    bool is_taken;
    if (result->range.count > 0) {
        is_taken = report_range(core, peer, result, &verdict);
    } else {
        struct lease *lease = report_lease(core, peer, &result->ref);
        is_taken = report_result(core, peer, lease, result, 1, &verdict);
    }
    if (verdict) {
        peer_note(core, peer, message->seq, (uint32_t)position, verdict);
    }
    return is_taken;
}

/* Results name leases all over the memory: what the next ones need is asked for in time, the
 * slot first, then the lease, then its task. */
static void fetch_ahead(const struct core *core, const struct drv_report *report, size_t at)
{
    enum { SLOT_AHEAD = 12, LEASE_AHEAD = 8, TASK_AHEAD = 4 };
    if (at + SLOT_AHEAD < report->result_count) {
        lease_prefetch_slot(core, report->results[at + SLOT_AHEAD].ref.handle);
    }
    if (at + LEASE_AHEAD < report->result_count) {
        const struct lease *lease = lease_by_slot(core,
                                                  report->results[at + LEASE_AHEAD].ref.handle);
        __builtin_prefetch(lease);
        __builtin_prefetch((const char *)lease + 64);
    }
    if (at + TASK_AHEAD < report->result_count) {
        const struct lease *lease = lease_by_slot(core,
                                                  report->results[at + TASK_AHEAD].ref.handle);
        const struct task *task = lease == NULL ? NULL : lease->task;
        __builtin_prefetch(task);
        __builtin_prefetch((const char *)task + 64);
    }
}

void on_report(struct core *core, struct peer *peer, const struct drv_message *message)
{
    const struct drv_report *report = &message->report;
    if (peer->session->worker == NULL) {
        return;
    }
    for (size_t i = 0; i < report->started_count; i++) {
        report_started(core, peer, &report->started[i]);
    }
    for (size_t i = 0; i < report->result_count; i++) {
        fetch_ahead(core, report, i);
        if (!report_results(core, peer, message, i)) {
            peer->seq--; /* not settled: it comes again over the next connection */
            peer_refuse(core, peer, DROVER_NOMEM, "out of memory");
            return;
        }
    }
    for (size_t i = 0; i < report->returned_count; i++) {
        report_all_returned(core, peer, &report->returned[i]);
    }
    for (size_t i = 0; i < report->progress_count; i++) {
        report_progress(core, peer, &report->progress[i]);
    }
}
