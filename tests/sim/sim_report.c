/*
 * sim_report.c: what a worker tells: started, returned, results.
 */
#include "buffer.h"
#include "check.h"
#include "sim_book.h"
#include "sim_deps.h"
#include "sim_range.h"
#include "sim_world.h"

#include <string.h>

enum { RESULTS_PER_REPORT = 12, RETRY_US = 5000 };

void sim_report_flush_soon(struct sim *sim, struct sim_peer *peer, int64_t delay_us)
{
    if (peer->state != SIM_READY) {
        return; /* WELCOME will */
    }
    /* An earlier flush may be scheduled; what comes too late finds nothing to send. */
    sim_peer_timer(sim, peer, SIM_EVENT_FLUSH, delay_us, 0);
}

void sim_report_started(struct sim *sim, struct sim_peer *peer, const struct drv_ref *ref)
{
    struct sim_worker *worker = peer->worker;
    if (peer->state == SIM_READY && worker->started_count < SIM_OUT_MAX) {
        worker->started[worker->started_count++] = *ref;
    }
    (void)sim;
}

void sim_report_returned(struct sim *sim, struct sim_peer *peer, const struct drv_ref *ref,
                         enum drv_return_reason reason)
{
    struct sim_worker *worker = peer->worker;
    if (peer->state != SIM_READY) {
        return; /* not listed in ATTACH: the same */
    }
    DRV_ASSERT(worker->returned_count < DRV_ARRAY_LEN(worker->returned));
    worker->returned[worker->returned_count++] = (struct drv_returned){.ref = *ref,
                                                                       .reason = reason};
    sim_report_flush_soon(sim, peer, sim_between(sim, 0, 300));
}

bool sim_report_is_empty(const struct sim_worker *worker)
{
    return worker->started_count == 0 && worker->returned_count == 0;
}

static void result_fill(struct sim *sim, struct sim_peer *peer, const struct sim_lease *lease,
                        struct drv_buffer *bytes, struct drv_result *out_result)
{
    *out_result = (struct drv_result){
        .ref = lease->ref,
        .outcome = lease->outcome,
        .val = {.is_nil = true},
        .run_us = (uint64_t)(sim->now_us - lease->began_us),
        .has_usage = true,
        .usage = {.user_us = 5,
                  .system_us = 1,
                  .peak_rss_bytes = 4096,
                  .pid = 77,
                  .kept = lease->ref.attempt % 3},
    };
    if (lease->outcome == DRV_OUTCOME_SUCCEEDED) {
        uint32_t name = sim_name_hash(&lease->ref.id, lease->ref.index);
        sim_result_write(bytes, name, lease->ref.attempt);
        out_result->val = (struct drv_val){.bytes = bytes->bytes, .len = bytes->len};
        return;
    }
    out_result->error = (struct drv_error){
        .kind = lease->error_kind,
        .code = drv_str_of("code"),
        .text = drv_str_of("the handler said no"),
        .exit_code = -1,
        .signal = lease->error_kind == DROVER_ERROR_CRASH ? 11 : 0,
        .flags = lease->permanent ? DRV_ERROR_PERMANENT : 0,
    };
    (void)peer;
}

struct draft { /* one report being put together */
    struct drv_result results[RESULTS_PER_REPORT];
    struct drv_buffer bytes[RESULTS_PER_REPORT];
    struct sim_lease *leases[RESULTS_PER_REPORT];
    size_t count;
};

static void draft_collect(struct sim *sim, struct sim_peer *peer, struct draft *draft)
{
    struct sim_worker *worker = peer->worker;
    draft->count = 0;
    for (uint32_t i = 0; i < worker->book_count && draft->count < RESULTS_PER_REPORT; i++) {
        struct sim_lease *lease = &worker->book[i];
        if (lease->state == SIM_DONE && lease->token == 0 && !lease->awaits) {
            drv_buffer_init(&draft->bytes[draft->count]);
            result_fill(sim, peer, lease, &draft->bytes[draft->count],
                        &draft->results[draft->count]);
            draft->leases[draft->count++] = lease;
        }
    }
}

static void draft_sent(struct sim *sim, struct sim_peer *peer, const struct draft *draft)
{
    struct sim_worker *worker = peer->worker;
    for (size_t i = 0; i < draft->count; i++) {
        sim_count_if(sim, draft->leases[i]->sent_before, SIM_RESULT_REPEATED_SEEN);
        draft->leases[i]->token = worker->next_token;
        sim_checker_on_told_result(sim, peer, draft->leases[i]);
    }
    for (uint32_t i = 0; i < worker->started_count; i++) {
        sim_checker_on_told_started(sim, peer, &worker->started[i]);
    }
    for (uint32_t i = 0; i < worker->returned_count; i++) {
        sim_checker_on_told_returned(sim, peer, &worker->returned[i]);
    }
    worker->started_count = 0;
    worker->returned_count = 0;
}

static void draft_free(struct draft *draft)
{
    for (size_t i = 0; i < draft->count; i++) {
        drv_buffer_fini(&draft->bytes[i]);
    }
}

/* Its lease ends; it is kept until that is settled, as a result is. */
static bool await_send(struct sim *sim, struct sim_peer *peer, struct sim_lease *lease)
{
    struct sim_worker *worker = peer->worker;
    uint32_t serial = sim_model_find(&sim->model, &lease->ref.id, lease->ref.index);
    const struct sim_task *task = sim_model_task(&sim->model, serial);
    drover_id children[SIM_CHILDREN_MAX];
    for (uint32_t i = 0; i < task->child_count; i++) {
        children[i] = sim_model_task(&sim->model, task->children[i])->id;
    }
    struct drv_message message = {
        .kind = DRV_AWAIT,
        .await = {.ref = lease->ref, .children = children, .child_count = task->child_count}};
    if (!sim_peer_send(sim, peer, &message, worker->next_token + 1)) {
        return false;
    }
    sim_count_if(sim, lease->sent_before, SIM_RESULT_REPEATED_SEEN);
    lease->token = ++worker->next_token;
    sim_trace(sim, "worker.await", peer->number, serial, lease->ref.attempt);
    sim_deps_on_told_await(sim, peer, &lease->ref);
    return true;
}

/* Those whose attempts end to wait. */
static void awaits_flush(struct sim *sim, struct sim_peer *peer)
{
    struct sim_worker *worker = peer->worker;
    for (uint32_t i = 0; i < worker->book_count && peer->state == SIM_READY; i++) {
        struct sim_lease *lease = &worker->book[i];
        if (lease->state == SIM_DONE && lease->token == 0 && lease->awaits &&
            !await_send(sim, peer, lease)) {
            sim_report_flush_soon(sim, peer, RETRY_US);
            return;
        }
    }
}

void sim_report_flush(struct sim *sim, struct sim_peer *peer)
{
    struct sim_worker *worker = peer->worker;
    struct draft draft;
    bool sent = true;
    while (sent && peer->state == SIM_READY) {
        draft_collect(sim, peer, &draft);
        if (draft.count == 0 && sim_report_is_empty(worker)) {
            awaits_flush(sim, peer); /* after what was said before about the same leases */
            return;
        }
        struct drv_progress progress = {.permille = 500, .text = drv_str_of("half way")};
        bool has_progress = worker->started_count > 0 && sim_once_in(sim, 8);
        if (has_progress) {
            progress.ref = worker->started[0];
        }
        struct drv_buffer bytes, lengths;
        drv_buffer_init(&bytes);
        drv_buffer_init(&lengths);
        struct drv_returned returned[DRV_ARRAY_LEN(worker->returned)];
        size_t result_count = draft.count, returned_count = worker->returned_count;
        memcpy(returned, worker->returned, returned_count * sizeof *returned);
        if (sim->profile.ranges) {
            result_count = sim_range_join_results(draft.results, draft.count, &bytes, &lengths);
            returned_count = sim_range_join_returned(returned, returned_count);
            sim_count_if(sim, result_count < draft.count, SIM_RANGE_REPORTED_SEEN);
            sim_count_if(sim, returned_count < worker->returned_count, SIM_RANGE_RETURNED_SEEN);
        }
        struct drv_message message = {
            .kind = DRV_REPORT,
            .report = {.started = worker->started,
                       .started_count = worker->started_count,
                       .results = draft.results,
                       .result_count = result_count,
                       .returned = returned,
                       .returned_count = returned_count,
                       .progress = has_progress ? &progress : NULL,
                       .progress_count = has_progress ? 1 : 0},
        };
        worker->next_token++;
        sent = sim_peer_send(sim, peer, &message, worker->next_token);
        if (sent) {
            sim_trace(sim, "worker.report", peer->number,
                      message.report.started_count * 1000 + message.report.returned_count,
                      draft.count);
            draft_sent(sim, peer, &draft);
        } else {
            sim_report_flush_soon(sim, peer, RETRY_US);
        }
        draft_free(&draft);
        drv_buffer_fini(&bytes);
        drv_buffer_fini(&lengths);
    }
}
