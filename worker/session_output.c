/*
 * What attempts print: kept, and sent to the broker while somebody follows.
 *
 *   pool ──> spool of the lease ──(followed)──> session.unsent ──LOG──> link
 *               └──(finished)──> tail of the result
 *
 * LOG is charged against the broker's window like everything large. It gets a small part of it,
 * so that a result never waits behind output; what there is no room for goes when the spool has
 * too much, and its offset tells.
 */
#include "check.h"
#include "session_state.h"

#include <string.h>

enum {
    LOG_TEXT_MAX = 16 * 1024,   /* bytes of output in a message, or one value */
    LOG_UNSETTLED = 256 * 1024, /* bytes of output on their way, if the window has twice that */
};

/* Tokens of LOG are told from those of REPORT by this bit. */
#define LOG_TOKEN (UINT64_C(1) << 63)

/* ---- keeping --------------------------------------------------------------------------------
 */

static bool has_unsent(const struct worker_lease *lease)
{
    struct worker_spool_view view;
    return lease->followed != 0 &&
           (lease->tail_is_due ||
            (lease->spool != NULL &&
             worker_spool_next(lease->spool, lease->followed, LOG_TEXT_MAX, &view)));
}

static void note_unsent(struct worker_session *session, struct worker_lease *lease)
{
    if (!has_unsent(lease)) {
        drv_list_remove(&lease->unsent);
    } else if (!drv_list_is_linked(&lease->unsent)) {
        drv_list_push_back(&session->unsent, &lease->unsent);
    }
}

/* A follower may lag, while not too many do. */
static size_t keep_of(const struct worker_session *session, const struct worker_lease *lease)
{
    return lease->followed != 0 && session->book.output_bytes < session->config.output_bytes_max
               ? WORKER_SPOOL_LAG
               : WORKER_SPOOL_KEEP;
}

void worker_session_task_output(struct worker_session *session, uint64_t key,
                                enum drv_output stream, uint64_t missed, struct drv_str bytes)
{
    struct worker_lease *lease = worker_book_find_key(&session->book, key);
    if (lease == NULL || lease->is_void || lease->count > 1 ||
        (lease->state != WORKER_LEASE_GIVEN && lease->state != WORKER_LEASE_RUNNING)) {
        return;
    }
    worker_book_add_output(&session->book, lease, stream, missed, bytes,
                           keep_of(session, lease));
    note_unsent(session, lease);
}

/* ---- sending --------------------------------------------------------------------------------
 */

static uint64_t unsettled_max(const struct worker_session *session)
{
    uint64_t half = session->window / 2;
    return half < LOG_UNSETTLED ? half : LOG_UNSETTLED;
}

static bool may_send(const struct worker_session *session)
{
    const struct worker_logs *logs = &session->logs;
    return session->state == WORKER_SESSION_SERVING && !session->is_blocked &&
           logs->sent - logs->settled < WORKER_LOGS_MAX && logs->bytes < unsettled_max(session);
}

static void send_log(struct worker_session *session, const struct worker_lease *lease,
                     const struct worker_spool_view *view, uint32_t flags)
{
    struct worker_logs *logs = &session->logs;
    struct drv_message *message = worker_effects_send(&session->effects, DRV_LOG,
                                                      LOG_TOKEN | ++logs->sent);
    logs->lens[logs->sent % WORKER_LOGS_MAX] = (uint32_t)view->text.len;
    logs->bytes += view->text.len;
    if (message != NULL) {
        message->log = (struct drv_log_chunk){
            .ref = lease->ref,
            .stream = view->stream,
            .offset = view->offset,
            .flags = flags,
            .text = worker_effects_text(&session->effects, view->text),
        };
    }
}

/* The lowest stream that is followed, at its end: where there is nothing to say. */
static struct worker_spool_view nothing(const struct worker_lease *lease)
{
    enum drv_output stream = DRV_OUTPUT_STDOUT;
    while (stream < DRV_OUTPUT_DATA && (lease->followed >> stream & 1) == 0) {
        stream++;
    }
    return (struct worker_spool_view){
        .stream = stream,
        .offset = lease->spool == NULL ? 0 : lease->spool->streams[stream - 1].end};
}

/* One message of a lease; false when it has no more to say. */
static bool send_next(struct worker_session *session, struct worker_lease *lease)
{
    struct worker_spool_view view;
    struct worker_spool_view next;
    bool has_some = lease->spool != NULL &&
                    worker_spool_next(lease->spool, lease->followed, LOG_TEXT_MAX, &view);
    if (!has_some && !lease->tail_is_due) {
        return false;
    }
    if (has_some) {
        worker_spool_sent(lease->spool, &view);
    } else {
        view = nothing(lease);
    }
    bool is_tail_over = !has_some ||
                        !worker_spool_next(lease->spool, lease->followed, LOG_TEXT_MAX,
                                           &next) ||
                        next.order - (next.pieces - 1) >= lease->tail_end;
    bool ends_tail = lease->tail_is_due && is_tail_over;
    send_log(session, lease, &view, ends_tail ? DRV_LOG_TAIL_END : 0);
    lease->tail_is_due = lease->tail_is_due && !is_tail_over;
    return true;
}

int64_t worker_session_output_deadline(const struct worker_session *session)
{
    return drv_list_is_empty(&session->unsent) || !may_send(session)
               ? INT64_MAX
               : session->output_flush_at_us;
}

void worker_session_send_output(struct worker_session *session, int64_t now_us)
{
    if (worker_session_output_deadline(session) > now_us) {
        return;
    }
    session->output_flush_at_us = now_us + session->config.output_every_us;
    /* In turn, a message of each. */
    while (may_send(session)) {
        struct drv_list *link = drv_list_first(&session->unsent);
        if (link == NULL) {
            return;
        }
        struct worker_lease *lease = DRV_LIST_ITEM(link, struct worker_lease, unsent);
        drv_list_remove(link);
        if (send_next(session, lease)) {
            note_unsent(session, lease);
        }
    }
}

void worker_session_finish_output(struct worker_session *session, struct worker_lease *lease)
{
    if (drv_list_is_linked(&lease->unsent)) {
        drv_list_remove(&lease->unsent);
        while (may_send(session) && send_next(session, lease)) {
        }
    }
    lease->followed = 0;
    lease->tail_is_due = false;
}

bool worker_session_settle_output(struct worker_session *session, uint64_t token)
{
    struct worker_logs *logs = &session->logs;
    if ((token & LOG_TOKEN) == 0) {
        return false;
    }
    uint64_t number = token & ~LOG_TOKEN;
    while (logs->settled < number && logs->settled < logs->sent) {
        logs->bytes -= logs->lens[++logs->settled % WORKER_LOGS_MAX];
    }
    return true;
}

/* ---- following ------------------------------------------------------------------------------
 */

void worker_session_follow(struct worker_session *session, struct worker_lease *lease,
                           uint32_t streams)
{
    lease->followed = streams;
    lease->tail_is_due = streams != 0;
    if (lease->spool != NULL) {
        worker_spool_rewind(lease->spool);
        lease->tail_end = lease->spool->orders;
        worker_book_trim_output(&session->book, lease, keep_of(session, lease));
    }
    note_unsent(session, lease);
}

static void follow_part(struct worker_session *session, struct worker_lease *lease,
                        const struct worker_saying *saying)
{
    if (lease->state < WORKER_LEASE_FINISHED) {
        worker_session_follow(session, lease, saying->streams);
    }
}

void worker_session_on_follow(struct worker_session *session, const struct drv_message *message,
                              int64_t now_us)
{
    static const uint32_t all = 1U << DRV_OUTPUT_STDOUT | 1U << DRV_OUTPUT_STDERR |
                                1U << DRV_OUTPUT_LOG | 1U << DRV_OUTPUT_DATA;
    (void)now_us;
    for (size_t i = 0; i < message->follow.lease_count; i++) {
        const struct drv_follow_entry *entry = &message->follow.leases[i];
        const struct worker_saying saying = {
            .ref = entry->ref,
            .count = 1,
            .on_part = follow_part,
            .unmark = (uint8_t)(all << WORKER_MARK_STREAMS),
            .mark = (uint8_t)((entry->streams & all) << WORKER_MARK_STREAMS),
            .streams = entry->streams & all};
        worker_session_say(session, &saying);
    }
}

void worker_session_unfollow_all(struct worker_session *session)
{
    for (int state = 0; state < WORKER_LEASE_FINISHED; state++) {
        DRV_LIST_EACH(link, &session->book.lists[state])
        {
            struct worker_lease *lease = DRV_LIST_ITEM(link, struct worker_lease, link);
            worker_lease_unmark_streams(lease);
            if (lease->followed != 0) {
                worker_session_follow(session, lease, 0);
            }
        }
    }
    session->logs.settled = session->logs.sent;
    session->logs.bytes = 0;
}
