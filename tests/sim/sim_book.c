/*
 * sim_book.c: what a worker does with its leases.
 */
#include "sim_book.h"

#include <string.h>

#include "check.h"
#include "sim_deps.h"
#include "sim_range.h"
#include "sim_world.h"

enum { LONG_RUN_US = 1000 };

/* ---- the book -------------------------------------------------------------------------------
 */

static bool ref_is(const struct drv_ref *a, const struct drv_ref *b)
{
    return a->index == b->index && a->attempt == b->attempt && drover_id_equal(&a->id, &b->id);
}

/* 0 is that of an element that came in a range. */
static bool handle_fits(const struct drv_ref *a, const struct drv_ref *b)
{
    return a->handle == b->handle || a->handle == 0 || b->handle == 0;
}

/* The youngest: what is void may still wind down when its like comes anew. */
struct sim_lease *sim_book_find(struct sim_worker *worker, const struct drv_ref *ref)
{
    for (uint32_t i = worker->book_count; i-- > 0;) {
        if (ref_is(&worker->book[i].ref, ref)) {
            return &worker->book[i];
        }
    }
    return NULL;
}

struct sim_lease *sim_book_at(struct sim_worker *worker, uint64_t serial)
{
    for (uint32_t i = 0; i < worker->book_count; i++) {
        if (worker->book[i].serial == serial) {
            return &worker->book[i];
        }
    }
    return NULL;
}

void sim_book_remember(struct sim_worker *worker, const struct drv_ref *ref, uint64_t epoch)
{
    worker->gone[worker->gone_next++ % SIM_GONE_MAX] = (struct sim_gone){.ref = *ref,
                                                                         .epoch = epoch};
}

static bool book_is_gone(const struct sim_worker *worker, const struct drv_ref *ref,
                         uint64_t epoch)
{
    uint32_t count = worker->gone_next < SIM_GONE_MAX ? worker->gone_next : SIM_GONE_MAX;
    for (uint32_t i = 0; i < count; i++) {
        const struct sim_gone *gone = &worker->gone[i];
        if (gone->epoch == epoch && handle_fits(&gone->ref, ref) && ref_is(&gone->ref, ref)) {
            return true;
        }
    }
    return false;
}

/* The same LEASE for the second time; another lease of the same name has another handle. */
static bool book_has(struct sim_worker *worker, const struct drv_ref *ref, uint64_t epoch)
{
    const struct sim_lease *lease = sim_book_find(worker, ref);
    return lease != NULL && lease->wire == epoch && handle_fits(&lease->ref, ref);
}

/* Keeps the order of arrival. */
void sim_book_remove(struct sim_worker *worker, struct sim_lease *lease)
{
    size_t at = (size_t)(lease - worker->book);
    DRV_ASSERT(at < worker->book_count);
    worker->book_count--;
    memmove(lease, lease + 1, (worker->book_count - at) * sizeof *lease);
}

uint32_t sim_worker_held(const struct sim_worker *worker)
{
    uint32_t held = 0;
    for (uint32_t i = 0; i < worker->book_count; i++) {
        const struct sim_lease *lease = &worker->book[i];
        held += lease->state != SIM_ZOMBIE && (lease->state != SIM_DONE || lease->token == 0);
    }
    return held;
}

static bool state_has_slot(enum sim_lease_state state)
{
    return state == SIM_ASKING || state == SIM_RUNNING || state == SIM_ZOMBIE;
}

/* Out of the book unstarted; the caller has told the broker or need not. */
static void book_drop(struct sim *sim, struct sim_peer *peer, struct sim_lease *lease)
{
    struct sim_worker *worker = peer->worker;
    worker->running -= state_has_slot(lease->state);
    sim_book_remember(worker, &lease->ref, lease->wire);
    sim_book_remove(worker, lease);
    (void)sim;
}

void sim_book_return_all(struct sim *sim, struct sim_peer *peer, enum drv_return_reason reason,
                         bool told)
{
    struct sim_worker *worker = peer->worker;
    for (uint32_t i = worker->book_count; i-- > 0;) {
        struct sim_lease *lease = &worker->book[i];
        if (lease->state != SIM_UNSTARTED && (told || lease->state != SIM_ASKING)) {
            continue;
        }
        if (told) {
            sim_report_returned(sim, peer, &lease->ref, reason);
        }
        book_drop(sim, peer, lease);
    }
}

bool sim_book_break_off(struct sim *sim, struct sim_peer *peer, enum drv_return_reason reason)
{
    struct sim_worker *worker = peer->worker;
    bool any = false;
    for (uint32_t i = worker->book_count; i-- > 0 && !(any && reason == DRV_RETURN_LOST);) {
        struct sim_lease *lease = &worker->book[i];
        if (lease->state == SIM_RUNNING && !lease->aborted) {
            sim_trace(sim, "fault.executor", peer->number, lease->payload, reason);
            sim_report_returned(sim, peer, &lease->ref, reason);
            book_drop(sim, peer, lease);
            any = true;
        }
    }
    if (any) {
        sim_book_start(sim, peer);
    }
    return any;
}

/* ---- intake ---------------------------------------------------------------------------------
 */

static bool worker_has_shared(const struct sim_worker *worker, const drover_id *id)
{
    for (uint32_t i = 0; i < worker->shared_count; i++) {
        if (drover_id_equal(&worker->shared[i], id)) {
            return true;
        }
    }
    return false;
}

static unsigned type_of(const struct drv_str *name)
{
    for (unsigned type = 0; type < SIM_TYPE_COUNT; type++) {
        const char *text = sim_type_name(type);
        if (name->len == strlen(text) && memcmp(name->ptr, text, name->len) == 0) {
            return type;
        }
    }
    return SIM_TYPE_COUNT;
}

static void book_note_parents(struct sim *sim, struct sim_lease *lease,
                              const struct drv_lease_entry *entry)
{
    for (size_t i = 0; i < entry->parent_count; i++) {
        uint32_t parent = sim_model_find(&sim->model, &entry->parents[i].id,
                                         entry->parents[i].index);
        if (parent != SIM_NO_TASK && lease->parent_count < DRV_ARRAY_LEN(lease->parents)) {
            lease->parents[lease->parent_count++] = parent;
        }
    }
}

static void book_add(struct sim *sim, struct sim_peer *peer,
                     const struct drv_lease_group *group, const struct drv_lease_entry *entry)
{
    struct sim_worker *worker = peer->worker;
    unsigned type = type_of(&group->type);
    if (type == SIM_TYPE_COUNT || (worker->types & 1u << type) == 0) {
        sim_fail(sim, "worker %u got a lease of a type that it does not offer", peer->number);
        return;
    }
    if (worker->book_count == SIM_BOOK_MAX) {
        sim_fail(sim, "worker %u got leases without end", peer->number);
        return;
    }
    if ((group->flags & DRV_LEASE_SHARED) != 0 && !worker_has_shared(worker, &entry->ref.id)) {
        sim_fail(sim, "worker %u got an element before its shared value", peer->number);
        return;
    }
    struct sim_lease *lease = &worker->book[worker->book_count++];
    uint32_t payload = sim_payload_read(entry->val.bytes, entry->val.len);
    *lease = (struct sim_lease){
        .serial = ++worker->next_serial,
        .ref = entry->ref,
        .epoch = peer->epoch,
        .wire = peer->wire,
        .state = SIM_UNSTARTED,
        .type = type,
        .payload = payload,
        .confirm = (group->flags & DRV_LEASE_CONFIRM) != 0,
        .timeout_ms = group->timeout_ms,
        .term_ms = group->term_ms,
        .kill_ms = group->kill_ms,
        .plan = sim_plan_of(sim->config.seed, payload, type, entry->ref.attempt),
    };
    book_note_parents(sim, lease, entry);
    sim_checker_on_lease(sim, peer, &entry->ref, payload, lease->confirm);
    sim_deps_on_parents(sim, peer, entry);
}

static void book_take(struct sim *sim, struct sim_peer *peer,
                      const struct drv_lease_group *group, const struct drv_lease_entry *entry)
{
    struct sim_worker *worker = peer->worker;
    const struct drv_ref *ref = &entry->ref;
    if (book_has(worker, ref, peer->wire) || book_is_gone(worker, ref, peer->wire)) {
        return; /* delivered twice, or recalled before it came */
    }
    if (worker->drained || worker->leaving) {
        sim_book_remember(worker, ref, peer->wire);
        sim_report_returned(sim, peer, ref, DRV_RETURN_DRAINING);
        return;
    }
    book_add(sim, peer, group, entry);
}

static void book_take_entry(struct sim *sim, struct sim_peer *peer,
                            const struct drv_lease_group *group,
                            const struct drv_lease_entry *from)
{
    struct drv_lease_entry entry = *from;
    struct sim_range range = sim_range_of(&entry.range, &entry.val);
    if (range.left > 0 && (!sim->profile.ranges || group->flags & DRV_LEASE_CONFIRM)) {
        sim_fail(sim, "worker %u got a range that it should not", peer->number);
    }
    do {
        sim_count_if(sim, range.left > 0, SIM_RANGE_LEASED_SEEN);
        book_take(sim, peer, group, &entry);
        entry.ref.handle = 0; /* of the others it is not known */
    } while (!sim->failed && sim_range_next(&range, &entry.ref.index, &entry.val));
}

void sim_book_take(struct sim *sim, struct sim_peer *peer, const struct drv_lease *message)
{
    for (size_t g = 0; g < message->group_count && !sim->failed; g++) {
        const struct drv_lease_group *group = &message->groups[g];
        for (size_t i = 0; i < group->entry_count && !sim->failed; i++) {
            book_take_entry(sim, peer, group, &group->entries[i]);
        }
    }
    sim_book_start(sim, peer);
}

/* ---- running
 * ---------------------------------------------------------------------------------- */

static void lease_schedule_end(struct sim *sim, const struct sim_peer *peer,
                               const struct sim_lease *lease)
{
    sim_peer_timer(sim, peer, SIM_EVENT_FINISH, lease->ends_at_us - sim->now_us, lease->serial);
}

static void lease_begin(struct sim *sim, struct sim_peer *peer, struct sim_lease *lease)
{
    int64_t run_us = lease->plan.run_us;
    int64_t timeout_us = (int64_t)lease->timeout_ms * 1000;
    lease->times_out = timeout_us > 0 && run_us > timeout_us;
    lease->state = SIM_RUNNING;
    lease->began_us = sim->now_us;
    lease->natural_end_us = sim->now_us + (lease->times_out ? timeout_us : run_us);
    lease->ends_at_us = lease->natural_end_us;
    sim_checker_on_start(sim, peer, lease);
    if (!lease->confirm) {
        sim_report_started(sim, peer, &lease->ref);
        sim_report_flush_soon(sim, peer, run_us > LONG_RUN_US ? 0 : 1000);
    }
    lease_schedule_end(sim, peer, lease);
    sim_deps_fetch(sim, peer, lease);
}

static bool worker_may_start(const struct sim *sim, const struct sim_peer *peer)
{
    return peer->lease_us > 0 && sim->now_us - peer->last_contact_us <= peer->lease_us;
}

void sim_book_start(struct sim *sim, struct sim_peer *peer)
{
    struct sim_worker *worker = peer->worker;
    if (!worker_may_start(sim, peer)) {
        return;
    }
    for (uint32_t i = 0; i < worker->book_count && worker->running < worker->slots; i++) {
        struct sim_lease *lease = &worker->book[i];
        if (lease->state != SIM_UNSTARTED) {
            continue;
        }
        worker->running++;
        if (lease->confirm) {
            lease->state = SIM_ASKING;
            sim_count(sim, SIM_CONFIRMED_SEEN);
            sim_report_started(sim, peer, &lease->ref);
            sim_report_flush_soon(sim, peer, 0);
        } else {
            lease_begin(sim, peer, lease);
        }
    }
}

void sim_book_go(struct sim *sim, struct sim_peer *peer, const struct drv_leases *leases)
{
    for (size_t i = 0; i < leases->lease_count; i++) {
        struct sim_lease *lease = sim_book_find(peer->worker, &leases->leases[i]);
        if (lease != NULL && lease->state == SIM_ASKING) {
            lease_begin(sim, peer, lease);
        }
    }
}

static bool has_children(struct sim *sim, const struct sim_lease *lease)
{
    uint32_t serial = sim_model_find(&sim->model, &lease->ref.id, lease->ref.index);
    return serial != SIM_NO_TASK && sim_model_task(&sim->model, serial)->child_count > 0;
}

static void lease_decide_outcome(struct sim *sim, struct sim_lease *lease)
{
    lease->outcome = DRV_OUTCOME_FAILED;
    if (lease->aborted && sim->now_us < lease->natural_end_us) {
        lease->outcome = DRV_OUTCOME_CANCELLED;
        lease->error_kind = DROVER_ERROR_CANCELLED;
        sim_count_if(sim, !lease->plan.obeys_cancel, SIM_KILLED_SEEN);
    } else if (lease->times_out) {
        lease->error_kind = DROVER_ERROR_TIMEOUT;
        sim_count(sim, SIM_TIMED_OUT_SEEN);
    } else if (lease->plan.behaviour == SIM_SUCCEEDS) {
        lease->outcome = DRV_OUTCOME_SUCCEEDED;
        lease->awaits = lease->plan.awaits && has_children(sim, lease);
    } else if (lease->plan.behaviour == SIM_CRASHES) {
        lease->error_kind = DROVER_ERROR_CRASH;
        sim_count(sim, SIM_HANDLER_CRASHED_SEEN);
    } else {
        lease->error_kind = DROVER_ERROR_HANDLER;
        lease->permanent = lease->plan.behaviour == SIM_FAILS_FOR_GOOD;
        sim_count(sim, SIM_HANDLER_FAILED_SEEN);
    }
}

void sim_book_finish(struct sim *sim, struct sim_peer *peer, uint64_t serial)
{
    struct sim_worker *worker = peer->worker;
    struct sim_lease *lease = sim_book_at(worker, serial);
    if (lease == NULL || sim->now_us < lease->ends_at_us ||
        (lease->state != SIM_RUNNING && lease->state != SIM_ZOMBIE)) {
        return;
    }
    if (lease->state == SIM_ZOMBIE) {
        book_drop(sim, peer, lease);
    } else {
        worker->running--;
        lease->state = SIM_DONE;
        lease_decide_outcome(sim, lease);
        sim_trace(sim, "worker.done", peer->number, lease->payload, lease->outcome);
        sim_report_flush_soon(sim, peer, sim_between(sim, 0, 500));
    }
    sim_book_start(sim, peer);
}

/* ---- taking back
 * ----------------------------------------------------------------------------- */

/* It was asked for before it came: it must not start when it comes. */
static void book_refuse_early(struct sim *sim, struct sim_peer *peer, const struct drv_ref *ref,
                              enum drv_return_reason reason)
{
    if (book_is_gone(peer->worker, ref, peer->wire)) {
        return; /* its result or return is on the way or was taken */
    }
    sim_book_remember(peer->worker, ref, peer->wire);
    sim_report_returned(sim, peer, ref, reason);
}

void sim_book_recall(struct sim *sim, struct sim_peer *peer, const struct drv_leases *leases)
{
    for (size_t i = 0; i < leases->lease_count; i++) {
        const struct drv_ref *ref = &leases->leases[i];
        struct sim_lease *lease = sim_book_find(peer->worker, ref);
        if (lease == NULL) {
            book_refuse_early(sim, peer, ref, DRV_RETURN_RECALLED);
        } else if (lease->state == SIM_UNSTARTED) {
            sim_count(sim, SIM_RECALL_RETURNED_SEEN);
            sim_report_returned(sim, peer, &lease->ref, DRV_RETURN_RECALLED);
            book_drop(sim, peer, lease);
        } else if (lease->state != SIM_ZOMBIE) {
            sim_count(sim, SIM_RECALL_STARTED_SEEN);
            sim_report_started(sim, peer, &lease->ref);
        }
    }
    sim_report_flush_soon(sim, peer, 0);
}

static void lease_abort_running(struct sim *sim, struct sim_peer *peer, struct sim_lease *lease)
{
    if (lease->aborted) {
        return;
    }
    lease->aborted = true;
    sim_count(sim, SIM_ABORT_CANCELLED_SEEN);
    int64_t patience_us = lease->plan.obeys_cancel
                              ? sim_between(sim, 100, 5000)
                              : (int64_t)(lease->term_ms + lease->kill_ms) * 1000;
    if (sim->now_us + patience_us < lease->ends_at_us) {
        lease->ends_at_us = sim->now_us + patience_us;
        lease_schedule_end(sim, peer, lease);
    }
}

static void lease_abort_stale(struct sim *sim, struct sim_peer *peer, struct sim_lease *lease)
{
    sim_count(sim, SIM_ABORT_STALE_SEEN);
    if (lease->state == SIM_RUNNING) {
        lease->state = SIM_ZOMBIE; /* reports nothing, but its processes take a moment to end */
        lease->ends_at_us = sim->now_us + sim_between(sim, 100, 20000);
        lease_schedule_end(sim, peer, lease);
    } else if (lease->state != SIM_ZOMBIE) {
        book_drop(sim, peer, lease);
    }
}

static void book_abort(struct sim *sim, struct sim_peer *peer, const struct drv_ref *ref,
                       bool stale)
{
    struct sim_lease *lease = sim_book_find(peer->worker, ref);
    if (lease == NULL && stale) {
        sim_book_remember(peer->worker, ref, peer->wire);
    } else if (lease == NULL) {
        book_refuse_early(sim, peer, ref, DRV_RETURN_ABORTED);
    } else if (stale) {
        lease_abort_stale(sim, peer, lease);
    } else if (lease->state == SIM_UNSTARTED || lease->state == SIM_ASKING) {
        sim_report_returned(sim, peer, &lease->ref, DRV_RETURN_ABORTED);
        book_drop(sim, peer, lease);
    } else if (lease->state == SIM_RUNNING) {
        lease_abort_running(sim, peer, lease);
    }
}

void sim_book_abort(struct sim *sim, struct sim_peer *peer, const struct drv_abort *abort)
{
    for (size_t i = 0; i < abort->lease_count; i++) {
        const struct drv_abort_entry *entry = &abort->leases[i];
        struct drv_ref ref = entry->ref;
        book_abort(sim, peer, &ref, entry->code == DROVER_STALE);
        for (uint32_t more = entry->more; more > 0; more--) {
            sim_count(sim, SIM_RANGE_ABORTED_SEEN);
            ref.handle = 0;
            ref.index++;
            book_abort(sim, peer, &ref, entry->code == DROVER_STALE);
        }
    }
    sim_report_flush_soon(sim, peer, 0);
    sim_book_start(sim, peer);
}
