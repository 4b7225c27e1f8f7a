/*
 * What the session says on its own account: HELLO, ATTACH, REPORT, HEARTBEAT, requests.
 */
#include "check.h"
#include "child.h"
#include "data.h"
#include "record.h"
#include "session_state.h"

#include <stdlib.h>
#include <string.h>

/* Bytes of a head that an entry may take, without its texts. */
enum {
    REF_HEAD = 48,
    RESULT_HEAD = 192,
    PROGRESS_HEAD = 64,
};

static const struct drv_val NO_VALUE = {.is_nil = true};

/* ---- HELLO, ATTACH --------------------------------------------------------------------------
 */

static uint32_t attach_state(enum worker_lease_state state)
{
    switch (state) {
    case WORKER_LEASE_QUEUED:
    case WORKER_LEASE_CONFIRMING:
    case WORKER_LEASE_GIVEN:
        return 1;
    case WORKER_LEASE_RUNNING:
        return 2;
    case WORKER_LEASE_FINISHED:
    case WORKER_LEASE_REPORTED:
        return 3;
    }
    DRV_UNREACHABLE();
}

static size_t count_attached(const struct worker_book *book)
{
    size_t count = 0;
    for (int state = 0; state < WORKER_LEASE_STATES; state++) {
        DRV_LIST_EACH(link, &book->lists[state])
        {
            count += DRV_LIST_ITEM(link, struct worker_lease, link)->is_void ? 0 : 1;
        }
    }
    return count;
}

static void send_attach(struct worker_session *session, const struct drv_attached *leases,
                        size_t count)
{
    struct drv_message *message = worker_effects_send(&session->effects, DRV_ATTACH, 0);
    if (message != NULL) {
        message->attach.leases = leases;
        message->attach.lease_count = count;
    }
}

static void attach_all(struct worker_session *session, size_t count)
{
    struct drv_attached *leases = worker_effects_alloc(&session->effects, count,
                                                       sizeof *leases);
    size_t filled = 0;
    if (leases == NULL) {
        return;
    }
    for (int state = 0; state < WORKER_LEASE_STATES; state++) {
        DRV_LIST_EACH(link, &session->book.lists[state])
        {
            const struct worker_lease *lease = DRV_LIST_ITEM(link, struct worker_lease, link);
            if (!lease->is_void) {
                leases[filled++] = (struct drv_attached){.id = lease->ref.id,
                                                         .index = lease->ref.index,
                                                         .attempt = lease->ref.attempt,
                                                         .state = attach_state(lease->state),
                                                         .more = lease->count - 1};
            }
        }
    }
    for (size_t at = 0; at < filled; at += DRV_BATCH_MAX) {
        size_t left = filled - at;
        send_attach(session, leases + at, left < DRV_BATCH_MAX ? left : DRV_BATCH_MAX);
    }
}

void worker_session_send_hello(struct worker_session *session)
{
    const struct worker_session_config *config = &session->config;
    size_t leases = count_attached(&session->book);
    static const struct drv_str capabilities[] = {{"logs", 4}, {"rows", 4}, {"ranges", 6}};
    struct drv_message *message = worker_effects_send(&session->effects, DRV_HELLO, 0);
    if (message == NULL) {
        return;
    }
    session->credit_told = worker_session_credit(session);
    message->hello = (struct drv_hello){
        .version_min = DRV_PROTOCOL_VERSION,
        .version_max = DRV_PROTOCOL_VERSION,
        .role = DRV_ROLE_WORKER,
        .session = config->session,
        .resume = session->was_welcomed,
        .name = config->name,
        .software = config->software,
        .capabilities = capabilities,
        .capability_count = DRV_ARRAY_LEN(capabilities) -
                            (config->takes_ranges == NULL ? 1 : 0),
        .credit_items = session->credit_told,
        .credit_bytes = config->credit_bytes,
        .has_worker = true,
        .worker = {.slots = config->slots,
                   .pid = config->pid,
                   .host = config->host,
                   .types = config->types,
                   .type_count = config->type_count,
                   .queues = config->queues,
                   .queue_count = config->queue_count,
                   .labels = config->labels,
                   .label_count = config->label_count,
                   .resources = config->resources,
                   .resource_count = config->resource_count,
                   .lease_count = (uint32_t)leases,
                   .model = config->model},
    };
    attach_all(session, leases);
}

/* ---- REPORT ---------------------------------------------------------------------------------
 */

void worker_session_add_returned(struct worker_session *session, const struct drv_ref *ref,
                                 uint32_t count, enum drv_return_reason reason)
{
    struct worker_returned *returned = &session->returned;
    session->returned_total += count;
    /* Without a connection ATTACH says it: what it does not list goes back free of charge. */
    if (session->state != WORKER_SESSION_GREETING && session->state != WORKER_SESSION_SERVING) {
        return;
    }
    if (returned->count == returned->capacity) {
        size_t capacity = returned->capacity == 0 ? 64 : returned->capacity * 2;
        struct drv_returned *items = realloc(returned->items, capacity * sizeof *items);
        if (items == NULL) {
            worker_session_go_broke(session);
            return;
        }
        returned->items = items;
        returned->capacity = capacity;
    }
    returned->items[returned->count++] = (struct drv_returned){
        .ref = *ref, .reason = (uint32_t)reason, .more = count - 1};
}

/* One REPORT under construction. */
struct draft {
    struct drv_meter meter;
    struct drv_ref *started;
    struct drv_result *results;
    struct drv_returned *returned;
    struct drv_progress *progress;
    struct drv_report report;
    uint64_t result_bytes;
    int64_t now_us;
    bool is_full;
};

static bool draft_fits_result(struct draft *draft, size_t head_bytes,
                              const struct drv_result *result)
{
    draft->is_full = draft->is_full || !drv_meter_fits_tail(&draft->meter, head_bytes,
                                                            &result->val, &result->tail);
    return !draft->is_full;
}

static bool draft_fits(struct draft *draft, size_t head_bytes, const struct drv_val *val)
{
    draft->is_full = draft->is_full || !drv_meter_fits(&draft->meter, head_bytes, val);
    return !draft->is_full;
}

static size_t batch(size_t count)
{
    return count < DRV_BATCH_MAX ? count : DRV_BATCH_MAX;
}

static size_t notice_count(const struct worker_book *book)
{
    size_t count = 0;
    DRV_LIST_EACH(link, &book->notices)
    {
        count++;
    }
    return count;
}

static bool draft_open(struct worker_session *session, struct draft *draft, int64_t now_us)
{
    struct worker_effects *effects = &session->effects;
    size_t notices = batch(notice_count(&session->book));
    size_t results = batch(session->book.counts[WORKER_LEASE_FINISHED]);
    size_t returned = batch(session->returned.count);
    *draft = (struct draft){
        .started = worker_effects_take(effects, notices, sizeof *draft->started),
        .results = worker_effects_take(effects, results, sizeof *draft->results),
        .returned = worker_effects_take(effects, returned, sizeof *draft->returned),
        .progress = worker_effects_take(effects, notices, sizeof *draft->progress),
        .now_us = now_us,
    };
    drv_meter_reset(&draft->meter);
    return draft->started != NULL && draft->results != NULL && draft->returned != NULL &&
           draft->progress != NULL;
}

static void notice_done(struct worker_lease *lease)
{
    if (!lease->start_due && !lease->progress_due) {
        drv_list_remove(&lease->notice);
    }
}

static void draft_started(struct worker_session *session, struct draft *draft)
{
    DRV_LIST_EACH_SAFE(link, &session->book.notices)
    {
        struct worker_lease *lease = DRV_LIST_ITEM(link, struct worker_lease, notice);
        if (!lease->start_due) {
            continue;
        }
        if (!draft_fits(draft, REF_HEAD, &NO_VALUE)) {
            return;
        }
        draft->started[draft->report.started_count++] = lease->ref;
        lease->start_due = false;
        notice_done(lease);
    }
    session->start_flush_at_us = INT64_MAX;
}

/* A broker that does not know AWAIT is told a failure. */
static void refuse_await(struct worker_session *session, struct worker_lease *lease)
{
    session->book.held_bytes -= lease->result.val.len;
    lease->held_bytes -= lease->result.val.len;
    drv_data_unref(&lease->result_data);
    lease->result.outcome = DRV_OUTCOME_FAILED;
    lease->result.val = NO_VALUE;
    lease->result.error = (struct drv_error){
        .kind = DROVER_ERROR_REFUSED,
        .text = drv_str_of("it awaits tasks, which this broker does not serve"),
        .exit_code = -1,
        .flags = DRV_ERROR_PERMANENT};
}

/* The first that has ended, if it ended to wait for others. */
static struct worker_lease *first_awaiting(struct worker_session *session)
{
    struct worker_lease *lease = worker_book_first(&session->book, WORKER_LEASE_FINISHED);
    if (lease == NULL || lease->result.outcome != WORKER_OUTCOME_AWAITS) {
        return NULL;
    }
    if (!session->has_await) {
        refuse_await(session, lease);
        return NULL;
    }
    return lease;
}

/* Kept until it is settled, as a result is. */
static void send_await(struct worker_session *session, struct worker_lease *lease)
{
    uint64_t number = ++session->reports;
    struct drv_message *message = worker_effects_send(&session->effects, DRV_AWAIT, number);
    const struct drv_val *val = &lease->result.val; /* ids, and maybe a byte of flags */
    if (message != NULL) {
        message->await = (struct drv_await){
            .ref = lease->ref,
            .children = (const drover_id *)(const void *)val->bytes,
            .child_count = val->len / sizeof(drover_id),
            .flags = val->len % sizeof(drover_id) == 1 ? val->bytes[val->len - 1] : 0};
    }
    lease->report = number;
    worker_book_move(&session->book, lease, WORKER_LEASE_REPORTED);
}

static void draft_results(struct worker_session *session, struct draft *draft, uint64_t number)
{
    for (struct worker_lease *lease = worker_book_first(&session->book, WORKER_LEASE_FINISHED);
         lease != NULL; lease = worker_book_first(&session->book, WORKER_LEASE_FINISHED)) {
        const struct drv_result *result = &lease->result;
        if (result->outcome == WORKER_OUTCOME_AWAITS) {
            draft->is_full = true; /* a message of its own comes first */
            return;
        }
        size_t head_bytes = RESULT_HEAD + result->val.content_type.len +
                            result->error.code.len + result->error.text.len +
                            result->error.stderr_tail.len + result->range.lengths.len;
        if (!draft_fits_result(draft, head_bytes, result)) {
            return;
        }
        draft->result_bytes += lease->held_bytes;
        draft->results[draft->report.result_count] = *result;
        draft->results[draft->report.result_count++].hold_us =
            (uint64_t)(draft->now_us - lease->finished_at_us);
        lease->report = number;
        worker_book_move(&session->book, lease, WORKER_LEASE_REPORTED);
    }
}

static void draft_returned(struct worker_session *session, struct draft *draft)
{
    struct worker_returned *returned = &session->returned;
    size_t taken = 0;
    while (taken < returned->count && draft_fits(draft, REF_HEAD, &NO_VALUE)) {
        draft->returned[draft->report.returned_count++] = returned->items[taken++];
    }
    for (size_t i = taken; i < returned->count; i++) {
        returned->items[i - taken] = returned->items[i];
    }
    returned->count -= taken;
}

static void draft_progress(struct worker_session *session, struct draft *draft)
{
    DRV_LIST_EACH_SAFE(link, &session->book.notices)
    {
        struct worker_lease *lease = DRV_LIST_ITEM(link, struct worker_lease, notice);
        struct drv_str text = {NULL, 0};
        if (lease->progress_text != NULL) {
            text.ptr = (const char *)lease->progress_text->bytes;
            text.len = lease->progress_text->len;
        }
        if (!lease->progress_due) {
            continue;
        }
        if (!draft_fits(draft, PROGRESS_HEAD + text.len, &NO_VALUE)) {
            return;
        }
        /* Copied: a later progress of the same turn may replace it. */
        draft->progress[draft->report.progress_count++] = (struct drv_progress){
            .ref = lease->ref,
            .permille = lease->progress_permille,
            .text = worker_effects_text(&session->effects, text)};
        lease->progress_due = false;
        notice_done(lease);
    }
    session->has_progress = false;
}

static bool draft_is_empty(const struct draft *draft)
{
    return draft->report.started_count + draft->report.result_count +
               draft->report.returned_count + draft->report.progress_count ==
           0;
}

/* Returns whether there may be more; counts the bytes of results. */
static bool send_report(struct worker_session *session, bool with_progress, int64_t now_us,
                        uint64_t *bytes)
{
    struct draft draft;
    if (!draft_open(session, &draft, now_us)) {
        return false;
    }
    uint64_t number = session->reports + 1;
    draft_started(session, &draft);
    draft_returned(session, &draft);
    draft_results(session, &draft, number);
    if (with_progress) {
        draft_progress(session, &draft);
    }
    if (draft_is_empty(&draft)) {
        return false;
    }
    session->reports = number;
    struct drv_message *message = worker_effects_send(&session->effects, DRV_REPORT, number);
    if (message != NULL) {
        message->report = draft.report;
        message->report.started = draft.started;
        message->report.results = draft.results;
        message->report.returned = draft.returned;
        message->report.progress = draft.progress;
    }
    *bytes += draft.result_bytes;
    return draft.is_full;
}

void worker_session_send_reports(struct worker_session *session, int64_t now_us)
{
    if (session->is_blocked) {
        return;
    }
    bool with_progress = session->has_progress && now_us >= session->progress_flush_at_us;
    bool is_wanted = with_progress || now_us >= session->start_flush_at_us ||
                     session->returned.count > 0 ||
                     session->book.counts[WORKER_LEASE_FINISHED] > 0;
    if (!is_wanted) {
        return;
    }
    if (with_progress) {
        session->progress_flush_at_us = now_us + session->config.progress_every_us;
    }
    /* What the link takes at a time is bounded; the rest waits for the next turn. */
    uint64_t bytes = 0;
    bool has_more = true;
    while (has_more && bytes < session->config.report_bytes_max) {
        for (struct worker_lease *lease = first_awaiting(session); lease != NULL;
             lease = first_awaiting(session)) {
            send_await(session, lease);
        }
        has_more = send_report(session, with_progress, now_us, &bytes);
    }
}

/* ---- HEARTBEAT, CREDIT ----------------------------------------------------------------------
 */

void worker_session_send_heartbeat(struct worker_session *session, int64_t now_us)
{
    size_t count = batch(session->book.counts[WORKER_LEASE_RUNNING]);
    struct drv_running *running = worker_effects_alloc(&session->effects, count,
                                                       sizeof *running);
    struct drv_message *message = worker_effects_send(&session->effects, DRV_HEARTBEAT, 0);
    size_t filled = 0;
    session->heartbeat_at_us = now_us + session->heartbeat_us;
    if (running == NULL || message == NULL) {
        return;
    }
    DRV_LIST_EACH(link, &session->book.lists[WORKER_LEASE_RUNNING])
    {
        const struct worker_lease *lease = DRV_LIST_ITEM(link, struct worker_lease, link);
        if (filled < count && !lease->is_void) {
            running[filled++] = (struct drv_running){
                .ref = lease->ref,
                .elapsed_ms = (uint64_t)(now_us - lease->started_at_us) / 1000};
        }
    }
    message->heartbeat = (struct drv_heartbeat){
        .running = running,
        .running_count = filled,
        .has_host = session->has_host,
        .host = session->host,
        .details = worker_session_take_details(session)};
}

void worker_session_send_credit(struct worker_session *session)
{
    uint64_t credit = worker_session_credit(session);
    if (credit == session->credit_told) {
        return;
    }
    struct drv_message *message = worker_effects_send(&session->effects, DRV_CREDIT, 0);
    if (message != NULL) {
        message->credit.items = credit;
        message->credit.bytes = session->config.credit_bytes;
        session->credit_told = credit;
    }
}

/* ---- requests -------------------------------------------------------------------------------
 */

static enum drv_kind kind_of(const struct worker_question *question)
{
    switch (question->kv.op) {
    case WORKER_ASK_FETCH:
        return DRV_FETCH;
    case WORKER_ASK_SUBMIT:
        return DRV_SUBMIT;
    default:
        return DRV_KV;
    }
}

static bool fill_fetch(const struct worker_question *question, struct drv_message *message)
{
    struct record_fetch fetch;
    if (question->kv.key.len != sizeof fetch) {
        return false;
    }
    memcpy(&fetch, question->kv.key.ptr, sizeof fetch);
    message->fetch = (struct drv_fetch){fetch.id, fetch.index};
    return true;
}

static bool fill_submit(struct worker_session *session, const struct worker_question *question,
                        struct drv_message *message)
{
    struct worker_effects *effects = &session->effects;
    struct drv_submit_group *group = worker_effects_alloc(effects, 1, sizeof *group);
    struct drv_entry *entry = worker_effects_alloc(effects, 1, sizeof *entry);
    struct drv_after *after = worker_effects_alloc(effects, DRV_AFTER_MAX, sizeof *after);
    struct drv_view child = drv_view_of(question->kv.key.ptr, question->kv.key.len);
    if (group == NULL || entry == NULL || after == NULL ||
        !child_read(child, &entry->id, &group->spec, after)) {
        return false;
    }
    entry->val = question->kv.val;
    group->entries = entry;
    group->entry_count = 1;
    message->submit = (struct drv_submit){.groups = group, .group_count = 1};
    return true;
}

/* The question outlives the effects: it is only forgotten by an input of a later turn. */
static bool fill_question(struct worker_session *session,
                          const struct worker_question *question, struct drv_message *message)
{
    if (message->kind == DRV_FETCH) {
        return fill_fetch(question, message);
    }
    if (message->kind == DRV_SUBMIT) {
        return fill_submit(session, question, message);
    }
    message->kv = question->kv;
    return true;
}

static void ask(struct worker_session *session, struct worker_question *question,
                int64_t now_us)
{
    struct drv_message *message = worker_effects_send(&session->effects, kind_of(question), 0);
    if (message == NULL) {
        return;
    }
    if (!fill_question(session, question, message)) {
        worker_session_go_broke(session); /* what the pool lets through can be read */
        return;
    }
    message->request.req = question->req;
    message->request.floor = worker_questions_floor(&session->questions);
    if (question->deadline_us != INT64_MAX) {
        /* 0 would mean for ever. */
        int64_t left_ms = (question->deadline_us - now_us) / 1000;
        message->request.budget_ms = left_ms < 1 ? 1 : (uint64_t)left_ms;
    }
    question->is_sent = true;
    question->is_asked = true;
}

static void time_out(struct worker_session *session, struct worker_question *question)
{
    worker_session_answer(
        session, question,
        &(struct worker_answer){.code = DROVER_TIMEOUT, .val = {.is_nil = true}});
    worker_questions_remove(&session->questions, &question);
}

void worker_session_expire_questions(struct worker_session *session, int64_t now_us)
{
    DRV_LIST_EACH_SAFE(link, &session->questions.open)
    {
        struct worker_question *question = DRV_LIST_ITEM(link, struct worker_question, link);
        if (now_us >= question->deadline_us) {
            time_out(session, question);
        }
    }
}

void worker_session_send_questions(struct worker_session *session, int64_t now_us)
{
    DRV_LIST_EACH(link, &session->questions.open)
    {
        struct worker_question *question = DRV_LIST_ITEM(link, struct worker_question, link);
        if (!question->is_asked) {
            ask(session, question, now_us);
        }
    }
}
