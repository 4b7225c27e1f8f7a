#include "admit.h"

#include "broker.h"

/* In whose name it comes, if that is limited; NULL: nobody's, or a schedule's. */
static struct account *limited(const struct core *core, const struct session *session)
{
    return session != NULL && core->actor != NULL && core->actor->is_limited ? core->actor
                                                                             : NULL;
}

static const char *account_reason(const struct core *core, const struct session *session,
                                  const struct admission *admission, uint64_t count,
                                  uint64_t bytes)
{
    struct account *account = limited(core, session);
    if (account == NULL) {
        return NULL;
    }
    const char *reason = account_against(core, account, admission->pending_count + count,
                                         admission->pending_bytes + bytes);
    return reason != NULL ? reason : account_over_rate(core, account, count);
}

static const char *reason_against(const struct core *core, const struct session *session,
                                  const struct line *line, uint64_t count, uint64_t bytes)
{
    const struct queue *queue = line->queue;
    if (core->is_full) {
        return "the disk of the broker is full";
    }
    if (queue_count(queue) >= queue->max_count ||
        count > queue->max_count - queue_count(queue)) {
        return "the queue is full";
    }
    if (bytes > 0 && queue->bytes + bytes > queue->max_bytes) {
        return "the queue holds too many bytes";
    }
    if (session != NULL && session->unfinished_bytes > 0 &&
        session->unfinished_bytes + bytes > core->config.client_bytes_max) {
        return "too many bytes of this client are unfinished";
    }
    if (session != NULL && session->unread > core->config.client_results_max) {
        return "too many results of this client are unread";
    }
    if (!core_has_memory(core, bytes + count * sizeof(struct task))) {
        return "the broker has no memory left";
    }
    return NULL;
}

drover_status admit(struct core *core, struct admission *admission,
                    const struct session *session, const struct line *line, uint64_t bytes,
                    const char **out_text)
{
    return admit_many(core, admission, session, line, 1, bytes, out_text);
}

drover_status admit_many(struct core *core, struct admission *admission,
                         const struct session *session, const struct line *line, uint64_t count,
                         uint64_t bytes, const char **out_text)
{
    if (core->is_draining) {
        *out_text = "the broker is going down";
        return DROVER_DRAINING;
    }
    if (core->config.defects.grow_unbounded) {
        return DROVER_OK; /* defect: no limit counts */
    }
    const char *reason = admission->is_busy ? "an earlier entry was refused"
                                            : reason_against(core, session, line, count, bytes);
    reason = reason != NULL ? reason : account_reason(core, session, admission, count, bytes);
    if (reason == NULL) {
        if (limited(core, session) != NULL) {
            account_took(core, core->actor, count);
        }
        return DROVER_OK;
    }
    if (!admission->is_busy) {
        event_limit(core, reason, line->queue);
    }
    admission->is_busy = true;
    *out_text = reason;
    return DROVER_BUSY;
}

drover_status admit_key(struct core *core, struct admission *admission, const struct line *line,
                        const char **out_text)
{
    static const char REASON[] = "there are too many keys";
    static const char OF_ACCOUNT[] = "this account has as many keys as it may";
    const struct account *actor = core->actor;
    if (admission->key.ptr != NULL && actor != NULL &&
        actor->keys >= actor->limits[ACCESS_LIMIT_KEYS]) {
        event_limit(core, OF_ACCOUNT, line->queue);
        admission->is_busy = true;
        *out_text = OF_ACCOUNT;
        return DROVER_BUSY;
    }
    if (admission->key.ptr == NULL || drv_table_count(&core->keys) < core->config.keys_max ||
        key_find(core, queue_name(line->queue), admission->key) != NULL) {
        return DROVER_OK;
    }
    event_limit(core, REASON, line->queue);
    admission->is_busy = true;
    *out_text = REASON;
    return DROVER_BUSY;
}

const struct key *admit_taken(const struct core *core, const struct admission *admission,
                              const struct line *line)
{
    const struct key *key = admission->key.ptr == NULL
                                ? NULL
                                : key_find(core, queue_name(line->queue), admission->key);
    return key != NULL && key_is_taken(core, key) ? key : NULL;
}

bool line_is_offered(const struct line *line)
{
    return !drv_list_is_empty(&line->fits);
}
