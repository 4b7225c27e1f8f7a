/*
 * pool_range.c: ranges: one run for many attempts, which becomes less from both ends.
 *
 *   told by PART | running, to be run | given back by REST
 *   0 ........ told ............... count ............... n
 *
 * What the executor says of a range, and what the agent reads of it in shared memory, is
 * checked against these books alone.
 */
#include "lengths.h"
#include "pool_private.h"

enum {
    SHARE_US = 500, /* what would take longer than this is shared with idle executors */
};

/* ---- telling --------------------------------------------------------------------------------
 */

/* The elements from `keep` on are the caller's again. */
static void tell_rest(struct run *run, uint32_t keep, const struct pool_sink *sink)
{
    if (keep >= run->count) {
        return;
    }
    struct pool_event event = {.kind = POOL_REST, .token = run->token};
    event.rest.index = run->index + keep;
    event.rest.count = run->count - keep;
    run->count = keep;
    sink->on_event(sink->context, &event);
}

/* The results of the elements up to before `to`, which are given up. `head`: what else was said
 * of them; NULL: nothing. run_us: of all up to there. */
static void tell_part(struct run *run, uint32_t to, bool is_last, uint64_t run_us,
                      const struct record_range *head, struct lane_range_results *results,
                      const struct pool_sink *sink)
{
    struct pool_event event = {.kind = POOL_PART, .token = run->token};
    event.part.count = to - run->told;
    event.part.is_last = is_last;
    event.part.lengths = results->lengths;
    event.part.bytes = results->bytes;
    event.part.data = results->data;
    event.part.run_us = run_us > run->told_run_us ? run_us - run->told_run_us : 0;
    run->told_run_us += event.part.run_us;
    if (head != NULL) {
        event.part.usage = (struct pool_usage){.user_us = head->user_us,
                                               .system_us = head->system_us,
                                               .peak_rss_bytes = head->peak_rss_bytes,
                                               .pid = head->pid};
    }
    run->told = to;
    if (event.part.count > 0) {
        sink->on_event(sink->context, &event);
    }
    drv_data_unref(&results->data);
}

void pool_range_end(struct run *run, const struct pool_sink *sink)
{
    tell_rest(run, run->told + 1, sink);
    run->is_single = true;
}

/* How long it has run until it was seen to be at this element, `ago_us` ago. */
static uint64_t run_time(const struct seat *seat, const struct run *run, int64_t ago_us,
                         int64_t now_us)
{
    int64_t taken_at_us = atomic_load(&seat->lane.shared->taken_at_us);
    int64_t began_us = taken_at_us > run->started_us ? taken_at_us : run->started_us;
    int64_t until_us = now_us - ago_us;
    return until_us > began_us ? (uint64_t)(until_us - began_us) : 0;
}

/* ---- looking at one -------------------------------------------------------------------------
 */

static drover_status look(const struct seat *seat, const struct run *run,
                          struct lane_range_place *out_place)
{
    return lane_range_look(&seat->lane.shared->range, run->serial, run->count, out_place);
}

/* ago_us: when the element was in progress at the latest. */
static bool isolate(struct pool *pool, struct seat *seat, struct run *run, int64_t ago_us,
                    const struct pool_sink *sink, int64_t now_us)
{
    struct lane_range *range = &seat->lane.shared->range;
    struct lane_range_results results;
    struct lane_range_place place;
    uint32_t kept;
    if (look(seat, run, &place) != DROVER_OK || place.next <= run->told ||
        lane_range_cut(range, run->serial, run->count, place.next, &kept) != DROVER_OK) {
        return false;
    }
    tell_rest(run, kept, sink);
    /* It is the last one now. If it has ended there is a record about it. */
    if (look(seat, run, &place) != DROVER_OK || place.next != kept || place.done != kept - 1 ||
        lane_range_read(range, run->serial, run->told, kept - 1, &results) != DROVER_OK) {
        return false;
    }
    tell_part(run, kept - 1, false, run_time(seat, run, ago_us, now_us), NULL, &results, sink);
    run->is_single = true;
    run->started_us = now_us - ago_us;
    pool_run_started(pool, seat, run, sink, now_us);
    return true;
}

bool pool_range_isolate(struct pool *pool, struct seat *seat, struct run *run,
                        const struct pool_sink *sink, int64_t now_us)
{
    return isolate(pool, seat, run, 0, sink, now_us);
}

/* Whether an executor of this model has nothing to do, and nothing is there for it. */
static bool has_idle(const struct pool *pool, const struct crew *crew)
{
    return !drv_list_is_empty(&crew->idle) && pool->busy_count < pool->slots &&
           crew->pending_count == 0;
}

/* Half of what has not started is given back when others could run it meanwhile. */
static void share(struct pool *pool, struct seat *seat, struct run *run,
                  const struct lane_range_place *place, const struct pool_sink *sink)
{
    uint32_t kept;
    uint32_t left = place->limit - place->next;
    double left_us = pool->types[run->handler].mean_us * left;
    if (left < 2 || left_us < SHARE_US || !has_idle(pool, run->crew)) {
        return;
    }
    if (lane_range_cut(&seat->lane.shared->range, run->serial, run->count,
                       place->next + (left + 1) / 2, &kept) == DROVER_OK) {
        tell_rest(run, kept, sink);
    }
}

/* Whether the element in progress has been that for as long as one that is told. */
static bool is_long(const struct seat *seat, const struct run *run,
                    const struct lane_range_place *place, int64_t now_us)
{
    if (place->done == place->next) {
        return false;
    }
    if (place->next == 1) { /* it began with the range */
        int64_t taken_at_us = atomic_load(&seat->lane.shared->taken_at_us);
        return taken_at_us <= now_us - POOL_WATCH_US || run->looked == 1;
    }
    return run->looked == place->next;
}

void pool_range_look(struct pool *pool, struct seat *seat, struct run *run,
                     const struct pool_sink *sink, int64_t now_us)
{
    struct lane_range_place place;
    drover_status status = look(seat, run, &place);
    if (status == DROVER_MALFORMED) {
        drv_log_warn(pool->log, "executor broke the rules of a range",
                     drv_log_int("pid", seat->proc->pid));
        pool_kill(pool, seat->proc);
    }
    bool is_told = false;
    if (!status) {
        bool takes_long = is_long(seat, run, &place, now_us);
        run->looked = place.next;
        if (takes_long || run->is_hurried) {
            is_told = isolate(pool, seat, run, takes_long ? POOL_WATCH_US : 0, sink, now_us);
        } else {
            share(pool, seat, run, &place, sink);
        }
    }
    if (!is_told) {
        pool_watch(pool, seat, now_us);
    }
}

/* ---- records --------------------------------------------------------------------------------
 */

static bool parse(struct drv_view rest, struct record_range *out_head,
                  struct drv_view *out_lengths, struct drv_view *out_bytes)
{
    return lane_take_head(&rest, out_head, sizeof(*out_head)) &&
           lane_take_bytes(&rest, out_head->lengths_len, out_lengths) &&
           lane_take_bytes(&rest, out_head->bytes_len, out_bytes);
}

static bool is_possible(const struct run *run, const struct record_range *head)
{
    bool is_last = (head->flags & RECORD_RANGE_IS_LAST) != 0;
    return run != NULL && run->is_range && head->done >= run->told &&
           head->done <= run->count &&
           (is_last ? head->done > run->told : head->done < run->count);
}

static void note_part(struct pool *pool, struct seat *seat, const struct run *run,
                      const struct record_range *head)
{
    struct proc *proc = seat->proc;
    uint32_t count = head->done - run->told;
    proc->user_us += head->user_us;
    proc->system_us += head->system_us;
    proc->failures = 0;
    proc->done_here += count;
    seat->done += count;
    if (count > 0) {
        pool_learn_run_time(&pool->types[run->handler], head->run_us, head->done);
    }
}

bool pool_range_on_record(struct pool *pool, struct seat *seat, struct drv_view record,
                          const struct pool_sink *sink, int64_t now_us)
{
    struct record_range head;
    struct drv_view lengths;
    struct drv_view bytes;
    struct lane_range_results results;
    if (!parse(record, &head, &lengths, &bytes)) {
        return false;
    }
    struct run *run = pool_run_of(seat, head.claim, head.serial);
    if (!is_possible(run, &head) ||
        lane_range_pick(lengths, bytes, run->told, head.done, &results) != DROVER_OK) {
        return false;
    }
    bool is_last = (head.flags & RECORD_RANGE_IS_LAST) != 0;
    bool is_single = (head.flags & RECORD_RANGE_IS_SINGLE) != 0;
    note_part(pool, seat, run, &head);
    if (is_last || is_single) {
        tell_rest(run, head.done + (is_last ? 0 : 1), sink);
    }
    pool_output_settle(pool, seat, run, head.printed, sink, now_us);
    if (!is_last) {
        tell_part(run, head.done, false, head.run_us, &head, &results, sink);
        if (is_single && !run->is_single) {
            run->is_single = true;
            run->started_us = now_us;
            pool_run_started(pool, seat, run, sink, now_us);
        }
        return true;
    }
    struct run gone = *run; /* its token is free for the callback */
    seat->is_asking = false;
    pool_unseat(pool, run, now_us);
    if ((head.flags & RECORD_RANGE_IS_SPENT) != 0) {
        pool_retire(pool, seat->proc, "executor is too big and ends", now_us);
    }
    pool_run_free(pool, run);
    tell_part(&gone, head.done, true, head.run_us, &head, &results, sink);
    return true;
}

/* ---- its process is gone --------------------------------------------------------------------
 */

/* How far it has come, as far as that can be believed; else what was told counts, and what
 * comes next was running: as with a single attempt, who has taken it has begun. */
static struct lane_range_place last_place(const struct seat *seat, const struct run *run)
{
    struct lane_range_place place;
    if (look(seat, run, &place) != DROVER_OK || place.done < run->told) {
        return (struct lane_range_place){.done = run->told, .next = run->told + 1};
    }
    return place;
}

/* Nothing of it was running. */
static void end_run(struct pool *pool, struct run *run, uint32_t done,
                    struct lane_range_results *results, const struct pool_sink *sink,
                    int64_t now_us)
{
    uint64_t run_us = run_time(run->seat, run, 0, now_us);
    struct run gone = *run;
    pool_unseat(pool, run, now_us);
    pool_run_free(pool, run);
    if (done > gone.told) {
        tell_part(&gone, done, true, run_us, NULL, results, sink);
    } else {
        struct pool_event event = {.kind = POOL_RETURNED, .token = gone.token};
        event.returned.how = POOL_RETURN_UNSTARTED;
        drv_data_unref(&results->data);
        sink->on_event(sink->context, &event);
    }
}

void pool_range_bury(struct pool *pool, struct seat *seat, struct run *run,
                     const struct pool_sink *sink, int64_t now_us)
{
    struct lane_range_results results = {.data = NULL};
    struct lane_range_place place = last_place(seat, run);
    if (lane_range_read(&seat->lane.shared->range, run->serial, run->told, place.done,
                        &results) != DROVER_OK) {
        place.done = run->told; /* and what ran after it, if anything did, has not ended */
        place.next = place.next > place.done ? place.done + 1 : place.done;
    }
    bool is_over = place.next == place.done;
    if (is_over && place.done == run->told) {
        end_run(pool, run, place.done, &results, sink, now_us);
        return;
    }
    tell_rest(run, place.done + (is_over ? 0 : 1), sink);
    if (is_over) {
        end_run(pool, run, place.done, &results, sink, now_us);
        return;
    }
    run->is_single = true;
    if (results.data != NULL) {
        tell_part(run, place.done, false, 0, NULL, &results, sink);
    }
}

/* ---- before it is placed --------------------------------------------------------------------
 */

void pool_range_shorten(struct run *run, uint32_t keep)
{
    const struct drv_str lengths = {(const char *)run->lengths.bytes, run->lengths.len};
    struct drv_view *payload = &run->payload.view;
    struct drv_lengths walk = drv_lengths_of(lengths, payload->bytes, payload->len);
    struct drv_val val;
    for (uint32_t i = 0; i < keep && drv_lengths_next(&walk, &val); i++) {
    }
    run->count = keep;
    run->lengths.len = (size_t)(walk.at - run->lengths.bytes);
    payload->len -= walk.left;
}
