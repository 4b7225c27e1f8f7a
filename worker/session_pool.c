/*
 * The session's side towards the pool: what starts, what is asked back, what came of it.
 */
#include "check.h"
#include "data.h"
#include "session_state.h"

/* ---- contact --------------------------------------------------------------------------------
 */

/* Whether the broker has been heard of recently enough to start something. */
static bool has_contact(const struct worker_session *session, int64_t now_us)
{
    if (!session->was_heard || now_us - session->heard_at_us >= session->lease_us) {
        return false;
    }
    return session->state == WORKER_SESSION_SERVING ||
           now_us - session->lost_at_us < session->config.offline_us;
}

void worker_session_expire_unstarted(struct worker_session *session)
{
    worker_session_return_unstarted(session, DRV_RETURN_NO_CONTACT);
}

/* ---- back to the broker ---------------------------------------------------------------------
 */

void worker_session_return(struct worker_session *session, struct worker_lease *lease,
                           enum drv_return_reason reason)
{
    if (!lease->is_void) {
        worker_session_add_returned(session, &lease->ref, lease->count, reason);
    }
    worker_questions_forget(&session->questions, lease->key);
    worker_book_remove(&session->book, &lease);
}

void worker_session_revoke(struct worker_session *session, struct worker_lease *lease,
                           uint32_t index, enum worker_revoke why)
{
    bool is_asked = lease->revoke != WORKER_REVOKE_NONE;
    /* Holding it back is the weakest reason, an abort the strongest: should it turn out to have
     * started, it is cancelled. */
    if (!is_asked || lease->revoke == WORKER_REVOKE_HOLD || why == WORKER_REVOKE_ABORTED) {
        lease->revoke = why;
    }
    if (!is_asked || index < lease->revoke_from) {
        lease->revoke_from = index;
        worker_effects_add(
            &session->effects,
            &(struct worker_effect){.kind = WORKER_REVOKE, .key = lease->key, .number = index});
    }
}

void worker_session_return_unstarted(struct worker_session *session,
                                     enum drv_return_reason reason)
{
    static const enum worker_lease_state here[] = {WORKER_LEASE_QUEUED,
                                                   WORKER_LEASE_CONFIRMING};
    for (size_t i = 0; i < DRV_ARRAY_LEN(here); i++) {
        for (struct worker_lease *lease = worker_book_first(&session->book, here[i]);
             lease != NULL; lease = worker_book_first(&session->book, here[i])) {
            worker_session_return(session, lease, reason);
        }
    }
    DRV_LIST_EACH(link, &session->book.lists[WORKER_LEASE_GIVEN])
    {
        struct worker_lease *lease = DRV_LIST_ITEM(link, struct worker_lease, link);
        worker_session_revoke(session, lease, lease->ref.index, (enum worker_revoke)reason);
    }
}

void worker_session_cancel(struct worker_session *session, struct worker_lease *lease)
{
    if (lease->is_cancelled) {
        return;
    }
    lease->is_cancelled = true;
    worker_effects_add(&session->effects, &(struct worker_effect){.kind = WORKER_CANCEL,
                                                                  .key = lease->key,
                                                                  .term_ms = lease->term_ms,
                                                                  .kill_ms = lease->kill_ms});
}

void worker_session_cancel_all(struct worker_session *session)
{
    DRV_LIST_EACH(link, &session->book.lists[WORKER_LEASE_RUNNING])
    {
        struct worker_lease *lease = DRV_LIST_ITEM(link, struct worker_lease, link);
        /* Ours to end, not the user's wish: it goes back, unless the user wished it before. */
        lease->goes_back |= !lease->is_cancelled;
        worker_session_cancel(session, lease);
    }
}

/* ---- starting -------------------------------------------------------------------------------
 */

static size_t in_pool(const struct worker_book *book)
{
    return book->counts[WORKER_LEASE_GIVEN] + book->counts[WORKER_LEASE_RUNNING];
}

static bool may_start(const struct worker_session *session, int64_t now_us)
{
    const struct worker_book *book = &session->book;
    size_t held = book->counts[WORKER_LEASE_FINISHED] + book->counts[WORKER_LEASE_REPORTED];
    return !worker_session_is_draining(session) && has_contact(session, now_us) &&
           in_pool(book) < session->config.run_max &&
           held + in_pool(book) < session->config.held_count_max &&
           book->held_bytes < session->config.held_bytes_max;
}

static void give(struct worker_session *session, struct worker_lease *lease)
{
    struct worker_task *task = worker_effects_take(&session->effects, 1, sizeof *task);
    if (task == NULL) {
        return;
    }
    *task = (struct worker_task){
        .key = lease->key,
        .ref = lease->ref,
        .type = session->config.types[lease->type].name,
        .timeout_ms = lease->timeout_ms,
        .term_ms = lease->term_ms,
        .kill_ms = lease->kill_ms,
        .limits = lease->limits,
        .val = lease->val,
        .meta = lease->meta,
        .needs = drv_data_view(lease->needs),
        .is_suspect = (lease->flags & DRV_LEASE_CONFIRM) != 0,
        .shared = {.is_nil = true},
    };
    if (lease->count > 1) {
        task->range = (struct drv_range){lease->count, lease->lengths};
        task->lengths = lease->words;
    }
    if (lease->shared != NULL) {
        task->shared = lease->shared->val;
    }
    if (lease->parents != NULL) {
        task->parents = (const struct drv_parent *)(const void *)lease->parents->bytes;
        task->parent_count = lease->parents->len / sizeof *task->parents;
    }
    worker_book_move(&session->book, lease, WORKER_LEASE_GIVEN);
    worker_effects_add(
        &session->effects,
        &(struct worker_effect){.kind = WORKER_RUN, .key = lease->key, .task = task});
}

/* A suspect: its STARTED is recorded before it runs. It is announced only when it would start
 * at once, so that what it is charged with is what it did. */
static bool confirm(struct worker_session *session, struct worker_lease *lease, int64_t now_us)
{
    const struct worker_book *book = &session->book;
    if (session->state != WORKER_SESSION_SERVING ||
        in_pool(book) + book->counts[WORKER_LEASE_CONFIRMING] >= session->config.slots) {
        return false;
    }
    worker_book_move(&session->book, lease, WORKER_LEASE_CONFIRMING);
    worker_session_mark_started(session, lease, now_us);
    return true;
}

/* Without contact nothing may start in the pool either. */
static void hold_back(struct worker_session *session)
{
    DRV_LIST_EACH(link, &session->book.lists[WORKER_LEASE_GIVEN])
    {
        struct worker_lease *lease = DRV_LIST_ITEM(link, struct worker_lease, link);
        worker_session_revoke(session, lease, lease->ref.index, WORKER_REVOKE_HOLD);
    }
}

void worker_session_start_leases(struct worker_session *session, int64_t now_us)
{
    if (!has_contact(session, now_us)) {
        hold_back(session);
        return;
    }
    DRV_LIST_EACH_SAFE(link, &session->book.lists[WORKER_LEASE_QUEUED])
    {
        struct worker_lease *lease = DRV_LIST_ITEM(link, struct worker_lease, link);
        if (!may_start(session, now_us)) {
            return;
        }
        if ((lease->flags & DRV_LEASE_CONFIRM) == 0 || lease->is_confirmed) {
            give(session, lease);
        } else if (!confirm(session, lease, now_us)) {
            continue;
        }
    }
}

void worker_session_mark_started(struct worker_session *session, struct worker_lease *lease,
                                 int64_t report_at_us)
{
    lease->start_due = true;
    if (!drv_list_is_linked(&lease->notice)) {
        drv_list_push_back(&session->book.notices, &lease->notice);
    }
    if (report_at_us < session->start_flush_at_us) {
        session->start_flush_at_us = report_at_us;
    }
}

/* ---- what the pool says ---------------------------------------------------------------------
 */

struct worker_lease *worker_session_find_in_pool(const struct worker_session *session,
                                                 uint64_t key)
{
    struct worker_lease *lease = worker_book_find_key(&session->book, key);
    if (lease == NULL ||
        (lease->state != WORKER_LEASE_GIVEN && lease->state != WORKER_LEASE_RUNNING)) {
        return NULL;
    }
    return lease;
}

void worker_session_task_started(struct worker_session *session, uint64_t key, int64_t now_us)
{
    struct worker_lease *lease = worker_session_find_in_pool(session, key);
    if (lease == NULL || lease->state == WORKER_LEASE_RUNNING || lease->count > 1) {
        return;
    }
    enum worker_revoke revoke = lease->revoke;
    lease->revoke = WORKER_REVOKE_NONE;
    lease->started_at_us = now_us;
    worker_book_move(&session->book, lease, WORKER_LEASE_RUNNING);
    worker_book_drop_payload(&session->book, lease);
    if (revoke == WORKER_REVOKE_ABORTED) {
        worker_session_cancel(session, lease);
    }
    if (lease->marks != NULL) {
        worker_session_apply_marks(session, lease);
    }
    /* Somebody waits for the answer to a recall. */
    bool at_once = revoke != WORKER_REVOKE_NONE && revoke != WORKER_REVOKE_HOLD;
    if (!lease->is_void && (at_once || !lease->is_confirmed)) {
        worker_session_mark_started(
            session, lease, at_once ? now_us : now_us + session->config.started_after_us);
    }
}

/* How long it waited here: what is left of the time since it came. */
static uint64_t waited_us(const struct worker_lease *lease, uint64_t run_us, int64_t now_us)
{
    uint64_t here_us = (uint64_t)(now_us - lease->received_at_us);
    return here_us > run_us ? here_us - run_us : 0;
}

void worker_session_keep(struct worker_session *session, struct worker_lease *lease,
                         const struct drv_result *result, int64_t now_us)
{
    lease->revoke = WORKER_REVOKE_NONE;
    session->finished_total += lease->count;
    worker_questions_forget(&session->questions, lease->key);
    worker_session_finish_output(session, lease);
    if (lease->is_void) {
        worker_book_remove(&session->book, &lease);
    } else if (lease->goes_back && result->outcome != DRV_OUTCOME_SUCCEEDED &&
               result->outcome != WORKER_OUTCOME_AWAITS) {
        worker_session_return(session, lease, DRV_RETURN_INTERRUPTED);
    } else if (worker_book_keep_result(&session->book, lease, result) != DROVER_OK) {
        worker_session_go_broke(session);
    } else {
        lease->finished_at_us = now_us;
        lease->result.wait_us = waited_us(lease, result->run_us, now_us);
    }
}

void worker_session_task_finished(struct worker_session *session, uint64_t key,
                                  const struct drv_result *result, int64_t now_us)
{
    struct worker_lease *lease = worker_session_find_in_pool(session, key);
    /* A range as a whole ends like this only when the pool has refused it. */
    while (lease != NULL && lease->count > 1) {
        struct worker_lease *front = NULL;
        if (worker_book_split_front(&session->book, lease, 1, &front) != DROVER_OK) {
            worker_session_go_broke(session);
            return;
        }
        worker_session_keep(session, front, result, now_us);
    }
    if (lease != NULL) {
        worker_session_keep(session, lease, result, now_us);
    }
}

void worker_session_task_returned(struct worker_session *session, uint64_t key, int64_t now_us)
{
    worker_session_task_rest(session, key, 0, now_us);
}

void worker_session_give_up(struct worker_session *session, struct worker_lease *lease,
                            enum worker_revoke revoke)
{
    lease->revoke = WORKER_REVOKE_NONE;
    if (lease->is_void) {
        worker_book_remove(&session->book, &lease);
    } else if (revoke == WORKER_REVOKE_NONE || revoke == WORKER_REVOKE_HOLD) {
        worker_book_move_back(&session->book, lease, WORKER_LEASE_QUEUED);
    } else {
        worker_session_return(session, lease, (enum drv_return_reason)revoke);
    }
}

void worker_session_task_interrupted(struct worker_session *session, uint64_t key, bool is_lost,
                                     int64_t now_us)
{
    struct worker_lease *lease = worker_session_find_in_pool(session, key);
    (void)now_us;
    if (lease == NULL) {
        return;
    }
    session->finished_total++;
    worker_session_finish_output(session, lease);
    if (lease->is_void) {
        worker_questions_forget(&session->questions, key);
        worker_book_remove(&session->book, &lease);
    } else {
        worker_session_return(session, lease,
                              is_lost ? DRV_RETURN_LOST : DRV_RETURN_INTERRUPTED);
    }
}

void worker_session_task_progress(struct worker_session *session, uint64_t key,
                                  uint32_t permille, struct drv_str text, int64_t now_us)
{
    worker_session_task_started(session, key, now_us); /* if the pool has not told yet */
    struct worker_lease *lease = worker_session_find_in_pool(session, key);
    if (lease == NULL || lease->is_void) {
        return;
    }
    if (worker_lease_set_progress(&session->book, lease, permille, text) != DROVER_OK) {
        worker_session_go_broke(session);
    }
    session->has_progress = true;
}

/* ---- questions of handlers ------------------------------------------------------------------
 */

void worker_session_answer(struct worker_session *session,
                           const struct worker_question *question,
                           const struct worker_answer *answer)
{
    struct worker_answer *copy = worker_effects_alloc(&session->effects, 1, sizeof *copy);
    if (copy == NULL) {
        return;
    }
    *copy = *answer;
    copy->call = question->call;
    copy->text = worker_effects_text(&session->effects, answer->text);
    copy->val.content_type = worker_effects_text(&session->effects, answer->val.content_type);
    if (!answer->val.is_nil && answer->val.data == NULL) {
        struct drv_str bytes = {(const char *)answer->val.bytes, answer->val.len};
        copy->val.bytes = (const uint8_t *)worker_effects_text(&session->effects, bytes).ptr;
    }
    worker_effects_add(
        &session->effects,
        &(struct worker_effect){.kind = WORKER_ANSWER, .key = question->key, .answer = copy});
}

static void refuse(struct worker_session *session, uint64_t key, uint64_t call,
                   drover_status status)
{
    const struct worker_question question = {.key = key, .call = call};
    worker_session_answer(
        session, &question,
        &(struct worker_answer){.code = (uint32_t)status, .val = {.is_nil = true}});
}

void worker_session_task_kv(struct worker_session *session, uint64_t key, uint64_t call,
                            const struct drv_kv *kv, uint64_t budget_ms, int64_t now_us)
{
    struct worker_lease *lease = worker_session_find_in_pool(session, key);
    struct worker_question *question = NULL;
    if (lease == NULL) { /* what is void is for the broker to refuse, which counts it */
        refuse(session, key, call, DROVER_STALE);
        return;
    }
    if (session->questions.count >= session->requests_max) {
        refuse(session, key, call, DROVER_BUSY);
        return;
    }
    int64_t deadline_us = INT64_MAX;
    if (budget_ms > 0 && budget_ms < (uint64_t)(INT64_MAX - now_us) / 1000) {
        deadline_us = now_us + (int64_t)budget_ms * 1000;
    }
    struct drv_kv fenced = *kv;
    fenced.has_fence = kv->op > DRV_KV_GET && kv->op <= DRV_KV_CAS;
    fenced.fence = lease->ref;
    if (worker_questions_add(&session->questions, key, call, &fenced, deadline_us, &question) !=
        DROVER_OK) {
        worker_session_go_broke(session);
    }
}
