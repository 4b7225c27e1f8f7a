/* session_stats.c: what a heartbeat carries besides life: the host's numbers and the details.
 */
#include "session_state.h"

bool worker_session_wants_stats(const struct worker_session *session, int64_t now_us)
{
    return session->state == WORKER_SESSION_SERVING && now_us >= session->heartbeat_at_us;
}

int64_t worker_session_heartbeat_at_us(const struct worker_session *session)
{
    return session->state == WORKER_SESSION_SERVING ? session->heartbeat_at_us : INT64_MAX;
}

void worker_session_set_host(struct worker_session *session, const struct drv_host *host)
{
    session->has_host = true;
    session->host = *host;
}

void worker_session_set_details(struct worker_session *session, struct drv_view details)
{
    drv_buffer_clear(&session->details);
    if (drv_buffer_append(&session->details, details.bytes, details.len) != DROVER_OK) {
        session->details.len = 0; /* the broker keeps the last ones */
    }
    session->details_due = session->details.len > 0;
}

struct drv_str worker_session_take_details(struct worker_session *session)
{
    bool is_due = session->details_due;
    session->details_due = false;
    return is_due ? (struct drv_str){(const char *)session->details.bytes, session->details.len}
                  : (struct drv_str){NULL, 0};
}

bool worker_session_find_task(const struct worker_session *session, uint64_t key,
                              int64_t now_us, struct drv_ref *out_ref, int64_t *out_run_us)
{
    const struct worker_lease *lease = worker_book_find_key(&session->book, key);
    if (lease == NULL) {
        return false;
    }
    *out_ref = lease->ref;
    *out_run_us = lease->state == WORKER_LEASE_RUNNING ? now_us - lease->started_at_us : 0;
    return true;
}
