/*
 * Submissions of a session: what is ready goes into as few SUBMIT messages as possible.
 *
 *   submit ──> waiting ──flush──> SUBMIT ──REPLY──> taken, refused
 *                 ^                  │
 *                 └───── busy ───────┘ back to its place, with a pause and a deadline
 *
 * Submissions that follow each other and share a spec become one group. After `busy` one
 * message at a time is tried, so that a full broker is not flooded with what it will refuse.
 */
#include "session_state.h"

#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTRY_HEAD_BYTES 24 /* bound of [id, val] without the val */
#define GROUP_HEAD_BYTES 16
#define AHEAD 4 /* submissions that are fetched before they are looked at */

struct batch { /* one SUBMIT message */
    struct drv_pending pending;
    struct drv_session *session;
    size_t count;
    struct drv_submission **items;
    struct drv_entry *entries;
    struct drv_submit_group *groups;
};

struct extent { /* how much of the waiting list goes into one message */
    size_t count;
    size_t groups;
};

static struct drv_submission *submission_of(struct drv_list *link)
{
    return DRV_LIST_ITEM(link, struct drv_submission, link);
}

static int64_t busy_until(const struct drv_submission *submission, int64_t now_us)
{
    int64_t wait_ms = submission->spec->wait_ms;
    if (wait_ms < 0 || wait_ms > INT64_MAX / 2000) {
        return INT64_MAX;
    }
    return now_us + wait_ms * 1000;
}

void drv_session_submit(struct drv_session *session, struct drv_submission *submission,
                        int64_t now_us)
{
    submission->state = DRV_SUBMISSION_WAITING;
    submission->order = session->next_order++;
    submission->busy_until_us = INT64_MIN;
    if (session->is_busy) {
        submission->busy_until_us = busy_until(submission, now_us);
        if (submission->busy_until_us < session->give_up_us) {
            session->give_up_us = submission->busy_until_us;
        }
    }
    session->submission_count++;
    session->submission_bytes += drv_payload_len(&submission->payload);
    drv_list_push_back(&session->waiting, &submission->link);
}

static void leave(struct drv_session *session, struct drv_submission *submission)
{
    submission->state = DRV_SUBMISSION_IDLE;
    session->submission_count--;
    session->submission_bytes -= drv_payload_len(&submission->payload);
}

bool drv_session_take_back(struct drv_session *session, struct drv_submission *submission)
{
    if (submission->state != DRV_SUBMISSION_WAITING) {
        return false;
    }
    drv_list_remove(&submission->link);
    leave(session, submission);
    if (submission->watcher != NULL) {
        drv_session_watch_refused(session, submission->watcher);
    }
    return true;
}

size_t drv_session_submissions(const struct drv_session *session)
{
    return session->submission_count;
}

uint64_t drv_session_submission_bytes(const struct drv_session *session)
{
    return session->submission_bytes;
}

bool drv_session_is_busy(const struct drv_session *session)
{
    return session->is_busy;
}

static void refuse(struct drv_session *session, struct drv_submission *submission,
                   drover_status status, struct drv_str text)
{
    leave(session, submission);
    if (submission->watcher != NULL) {
        drv_session_watch_refused(session, submission->watcher);
    }
    submission->on_taken(submission, status, DROVER_DURABILITY_DEFAULT, text);
}

static void take(struct drv_session *session, struct drv_submission *submission, int64_t level)
{
    leave(session, submission);
    uint32_t reached = level >= 0 && level <= DROVER_DURABILITY_SYNCED ? (uint32_t)level : 0;
    if (submission->watcher != NULL) {
        drv_session_watch_taken(session, submission->watcher, reached);
    }
    submission->on_taken(submission, DROVER_OK, (drover_durability)reached,
                         (struct drv_str){NULL, 0});
}

/* Another task has the key: that one it is, from here on. */
static void attach(struct drv_session *session, struct drv_submission *submission,
                   const drover_id *id, int64_t level)
{
    struct drv_watcher *watcher = submission->watcher;
    drover_status status = DROVER_OK;
    leave(session, submission);
    submission->id = *id;
    submission->is_attached = true;
    if (watcher != NULL && watcher->watch != NULL) {
        drv_session_watch_refused(session, watcher);
        status = drv_session_watch(session, watcher, id, DROVER_INDEX_NONE, false);
    }
    uint32_t reached = level >= 0 && level <= DROVER_DURABILITY_SYNCED ? (uint32_t)level : 0;
    submission->on_taken(submission, status, (drover_durability)reached,
                         (struct drv_str){NULL, 0});
}

/* ---- answers ----------------------------------------------------------------------------- */

/* Puts the busy ones of a batch, which are in order, back where they were. */
static void merge_back(struct drv_session *session, struct drv_list *busy)
{
    struct drv_list *at = session->waiting.next;
    struct drv_list *link;
    while ((link = drv_list_pop_front(busy)) != NULL) {
        struct drv_submission *submission = submission_of(link);
        while (at != &session->waiting && submission_of(at)->order < submission->order) {
            at = at->next;
        }
        submission->state = DRV_SUBMISSION_WAITING;
        drv_list_insert_after(at->prev, link);
    }
}

/* The broker is busy, and says why. */
static void hold(struct drv_session *session, uint64_t retry_after_ms, struct drv_str why)
{
    struct drv_str fit = drv_str_fit(why, sizeof(session->busy_why) - 1);
    session->is_busy = true;
    if (fit.len > 0) {
        memcpy(session->busy_why, fit.ptr, fit.len);
    }
    session->busy_why[fit.len] = '\0';
    uint64_t ms = retry_after_ms > 0 ? retry_after_ms : SESSION_BUSY_MS;
    ms = ms < SESSION_BUSY_MAX_MS ? ms : SESSION_BUSY_MAX_MS;
    session->busy_hold_us = session->heard_at_us + (int64_t)ms * 1000;
}

/* Refused with a status that may pass: true when it goes back to wait. */
static bool goes_back(struct drv_session *session, struct drv_submission *submission,
                      drover_status status)
{
    if (status != DROVER_BUSY) {
        return false;
    }
    if (submission->busy_until_us == INT64_MIN) {
        submission->busy_until_us = busy_until(submission, session->heard_at_us);
    }
    if (submission->busy_until_us <= session->heard_at_us) {
        return false;
    }
    if (submission->busy_until_us < session->give_up_us) {
        session->give_up_us = submission->busy_until_us;
    }
    return true;
}

/* The notes: refused ones are told, busy ones gathered in order; both leave the batch. */
static void sort_out(struct batch *batch, const struct drv_note *notes, size_t count,
                     int64_t level, struct drv_list *busy)
{
    struct drv_session *session = batch->session;
    for (size_t i = 0; i < count; i++) {
        const struct drv_note *note = &notes[i];
        if (note->position >= batch->count || note->code == DROVER_OK ||
            batch->items[note->position] == NULL) {
            continue;
        }
        struct drv_submission *submission = batch->items[note->position];
        drover_status status = (drover_status)note->code;
        batch->items[note->position] = NULL;
        if (status == DROVER_ATTACHED && note->has_id) {
            attach(session, submission, &note->id, level);
            continue;
        }
        if (status == DROVER_BUSY) {
            hold(session, note->retry_after_ms, note->text);
        }
        if (goes_back(session, submission, status)) {
            struct drv_list *at = busy->prev; /* notes come in order, but nothing says so */
            while (at != busy && submission_of(at)->order > submission->order) {
                at = at->prev;
            }
            drv_list_insert_after(at, &submission->link);
        } else {
            refuse(session, submission, status, note->text);
        }
    }
}

/* What take will look at; answers come long after the submissions have left the cache. */
static void prefetch(const struct batch *batch, size_t position)
{
    if (position < batch->count && batch->items[position] != NULL) {
        const char *submission = (const char *)batch->items[position];
        __builtin_prefetch(submission);
        __builtin_prefetch(submission + 64);
    }
}

static void all_taken(struct batch *batch, const struct drv_reply *reply)
{
    struct drv_list busy;
    drv_list_init(&busy);
    batch->session->is_busy = false;
    sort_out(batch, reply->notes, reply->note_count, reply->number, &busy);
    for (size_t i = 0; i < batch->count; i++) {
        prefetch(batch, i + AHEAD);
        if (batch->items[i] != NULL) {
            take(batch->session, batch->items[i], reply->number);
        }
    }
    merge_back(batch->session, &busy);
}

static void all_refused(struct batch *batch, const struct drv_answer *answer)
{
    struct drv_session *session = batch->session;
    struct drv_list busy;
    drv_list_init(&busy);
    if (answer->status == DROVER_BUSY) {
        hold(session, answer->retry_after_ms, answer->text);
    }
    for (size_t i = 0; i < batch->count; i++) {
        if (goes_back(session, batch->items[i], answer->status)) {
            drv_list_push_back(&busy, &batch->items[i]->link);
        } else {
            refuse(session, batch->items[i], answer->status, answer->text);
        }
    }
    merge_back(session, &busy);
}

static void on_submit_answer(struct drv_pending *pending, const struct drv_answer *answer)
{
    struct batch *batch = DRV_CONTAINER_OF(pending, struct batch, pending);
    batch->session->submits_sent--;
    if (answer->status == DROVER_OK && answer->reply != NULL) {
        all_taken(batch, answer->reply);
    } else {
        all_refused(batch, answer);
    }
    free(batch);
}

/* ---- messages ---------------------------------------------------------------------------- */

static size_t entry_head(const struct drv_submission *submission, bool new_group)
{
    return ENTRY_HEAD_BYTES + (new_group ? GROUP_HEAD_BYTES + submission->spec->head_bytes : 0);
}

/* Whether it cannot stand beside the one before it: another spec, or a key, which is for one
 * task alone. */
static bool begins_group(const struct drv_submission *submission,
                         const struct drv_task_spec *last)
{
    return last == NULL || submission->spec != last || last->spec.key.ptr != NULL;
}

/* As many from the front as fit into one message. The answer names the lowest level of all, so
 * those that ask for different ones do not travel together. */
static struct extent measure(const struct drv_session *session)
{
    struct extent extent = {0, 0};
    struct drv_meter meter;
    drv_meter_reset(&meter);
    const struct drv_task_spec *last = NULL;
    DRV_LIST_EACH(link, &session->waiting)
    {
        const struct drv_submission *submission = submission_of(link);
        struct drv_val val = drv_payload_val(&submission->payload);
        bool new_group = begins_group(submission, last);
        bool fits = drv_meter_fits(&meter, entry_head(submission, new_group), &val);
        if (!fits ||
            (last != NULL && last->spec.durability != submission->spec->spec.durability)) {
            break;
        }
        extent.count++;
        extent.groups += new_group ? 1 : 0;
        last = submission->spec;
    }
    return extent;
}

static struct batch *batch_new(struct drv_session *session, struct extent extent)
{
    struct batch *batch = malloc(
        sizeof(*batch) + extent.groups * sizeof(*batch->groups) +
        extent.count * (sizeof(*batch->entries) + sizeof(struct drv_submission *)));
    if (batch == NULL) {
        return NULL;
    }
    drv_pending_init(&batch->pending, DRV_SUBMIT, on_submit_answer);
    batch->session = session;
    batch->count = extent.count;
    batch->groups = (struct drv_submit_group *)(void *)(batch + 1);
    batch->entries = (struct drv_entry *)(void *)(batch->groups + extent.groups);
    batch->items = (struct drv_submission **)(void *)(batch->entries + extent.count);
    batch->pending.message.submit.groups = batch->groups;
    batch->pending.message.submit.group_count = extent.groups;
    return batch;
}

/* Moves the front of the waiting list into the batch. */
static void batch_fill(struct drv_session *session, struct batch *batch)
{
    const struct drv_task_spec *last = NULL;
    struct drv_submit_group *group = batch->groups - 1;
    for (size_t i = 0; i < batch->count; i++) {
        struct drv_submission *submission = submission_of(
            drv_list_pop_front(&session->waiting));
        submission->state = DRV_SUBMISSION_SENT;
        batch->items[i] = submission;
        batch->entries[i].id = submission->id;
        batch->entries[i].val = drv_payload_val(&submission->payload);
        if (begins_group(submission, last)) {
            group++;
            group->spec = submission->spec->spec;
            group->entries = &batch->entries[i];
            group->entry_count = 0;
            last = submission->spec;
        }
        group->entry_count++;
    }
}

static void give_up_busy(struct drv_session *session, int64_t now_us)
{
    if (now_us < session->give_up_us) {
        return;
    }
    session->give_up_us = INT64_MAX;
    DRV_LIST_EACH_SAFE(link, &session->waiting)
    {
        struct drv_submission *submission = submission_of(link);
        if (submission->busy_until_us == INT64_MIN) {
            continue;
        }
        if (submission->busy_until_us <= now_us) {
            char text[64 + SESSION_BUSY_WHY_MAX];
            (void)snprintf(text, sizeof(text),
                           "the broker was busy for all the time allowed%s%s",
                           session->busy_why[0] != '\0' ? ": " : "", session->busy_why);
            drv_list_remove(link);
            refuse(session, submission, DROVER_BUSY, drv_str_of(text));
        } else if (submission->busy_until_us < session->give_up_us) {
            session->give_up_us = submission->busy_until_us;
        } else {
            /* later than another one */
        }
    }
}

void session_flush_submissions(struct drv_session *session, int64_t now_us)
{
    give_up_busy(session, now_us);
    while (!drv_list_is_empty(&session->waiting) && session->state == SESSION_UP) {
        size_t max = session->is_busy ? 1 : SESSION_SUBMITS_MAX;
        if (now_us < session->busy_hold_us || session->submits_sent >= max) {
            return;
        }
        struct batch *batch = batch_new(session, measure(session));
        if (batch == NULL) {
            return; /* tried again with the next tick */
        }
        batch_fill(session, batch);
        session->submits_sent++;
        session_ask_before(session, &batch->pending, batch->items[0]->order);
    }
}

int64_t session_submissions_deadline(const struct drv_session *session)
{
    if (drv_list_is_empty(&session->waiting)) {
        return INT64_MAX;
    }
    bool may_send = session->state == SESSION_UP &&
                    session->submits_sent < (session->is_busy ? 1 : SESSION_SUBMITS_MAX);
    if (may_send && session->busy_hold_us < session->give_up_us) {
        return session->busy_hold_us;
    }
    return session->give_up_us;
}

void session_submissions_end(struct drv_session *session, drover_status status)
{
    struct drv_list *link;
    while ((link = drv_list_pop_front(&session->waiting)) != NULL) {
        refuse(session, submission_of(link), status, (struct drv_str){NULL, 0});
    }
}
