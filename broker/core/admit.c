#include "admit.h"

#include "broker.h"

/* What is asked for at once, and for whom. */
struct request {
    struct session *session; /* NULL: a schedule's, which no client is asked for */
    struct account *account; /* that is limited; NULL: none */
    uint64_t count, bytes;
};

static struct request request_of(const struct core *core, const struct admission *admission,
                                 struct session *session, uint64_t count, uint64_t bytes)
{
    struct account *account = admission->is_again ? admission->account : core->actor;
    return (struct request){
        .session = session,
        .account = session != NULL && account != NULL && account->is_limited ? account : NULL,
        .count = admission->share_count > 0 ? admission->share_count : count,
        .bytes = bytes,
    };
}

static const char *session_against(const struct core *core, const struct session *session,
                                   uint64_t count, uint64_t bytes)
{
    const struct core_config *limits = &core->config;
    if (session->unfinished_tasks >= limits->client_tasks_max ||
        count > limits->client_tasks_max - session->unfinished_tasks) {
        return "too many tasks of this client are unfinished (--max-client-tasks)";
    }
    if (session->unfinished_bytes > 0 &&
        session->unfinished_bytes + bytes > limits->client_bytes_max) {
        return "too many bytes of this client are unfinished (--max-client-size)";
    }
    if (session->unread > limits->client_results_max) {
        return "too many results of this client are unread (--max-client-results)";
    }
    return NULL;
}

/* Reasons that come of an account are counted for it. */
static const char *account_says(const struct core *core, struct account *account,
                                const char *reason)
{
    if (reason != NULL) {
        account_busy(core, account, reason);
    }
    return reason;
}

/* What client and account may have, with what was admitted of the same message. */
static const char *share_against(const struct core *core, const struct admission *admission,
                                 const struct request *request)
{
    uint64_t count = admission->pending_count + request->count;
    uint64_t bytes = admission->pending_bytes + request->bytes;
    const char *reason = request->session == NULL
                             ? NULL
                             : session_against(core, request->session, count, bytes);
    if (reason == NULL && request->account != NULL) {
        reason = account_says(core, request->account,
                              account_against(core, request->account, count, bytes));
    }
    return reason;
}

static const char *rate_against(const struct core *core, const struct request *request)
{
    uint64_t rate = core->config.client_rate;
    if (request->session != NULL && rate != UINT64_MAX &&
        rate_is_over(&request->session->bucket, core->now_us, rate, request->count)) {
        return "this client submits faster than it may (--max-client-rate)";
    }
    return request->account == NULL
               ? NULL
               : account_says(core, request->account,
                              account_over_rate(core, request->account, request->count));
}

static void take_rate(struct core *core, const struct request *request)
{
    uint64_t rate = core->config.client_rate;
    if (request->session != NULL && rate != UINT64_MAX) {
        rate_take(&request->session->bucket, core->now_us, rate, request->count);
    }
    if (request->account != NULL) {
        account_took(core, request->account, request->count);
    }
}

/* What cannot come however long it waits. */
static const char *never_because(const struct core *core, const struct request *request)
{
    if (request->session == NULL || request->count <= 1) {
        return NULL;
    }
    if (request->count > core->config.client_tasks_max) {
        return "more tasks at once than a client may have (--max-client-tasks)";
    }
    return request->account != NULL &&
                   request->count > request->account->limits[ACCESS_LIMIT_TASKS]
               ? "more tasks at once than this account may have (limit tasks)"
               : NULL;
}

static const char *queue_against(const struct core *core, const struct admission *admission,
                                 const struct queue *queue, uint64_t count, uint64_t bytes)
{
    count += admission->pending_count;
    bytes += admission->pending_bytes;
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
    return NULL;
}

static const char *reason_against(const struct core *core, const struct admission *admission,
                                  const struct request *request, const struct line *line,
                                  uint64_t count, uint64_t bytes)
{
    if (admission->is_busy) {
        return "an earlier entry was refused";
    }
    const char *reason = queue_against(core, admission, line->queue, count, bytes);
    reason = reason != NULL ? reason : share_against(core, admission, request);
    if (reason == NULL && !admission->is_copy) {
        reason = rate_against(core, request);
    }
    if (reason == NULL && !core_has_memory(core, bytes + count * sizeof(struct task))) {
        reason = "the broker has no memory left";
    }
    return reason;
}

static drover_status refuse(struct core *core, struct admission *admission,
                            const struct line *line, const char *reason, const char **out_text)
{
    if (!admission->is_busy) {
        event_limit(core, reason, line->queue);
    }
    admission->is_busy = true;
    *out_text = reason;
    return DROVER_BUSY;
}

drover_status admit(struct core *core, struct admission *admission, struct session *session,
                    const struct line *line, uint64_t bytes, const char **out_text)
{
    return admit_many(core, admission, session, line, 1, bytes, out_text);
}

drover_status admit_many(struct core *core, struct admission *admission,
                         struct session *session, const struct line *line, uint64_t count,
                         uint64_t bytes, const char **out_text)
{
    if (core->is_draining) {
        *out_text = "the broker is going down";
        return DROVER_DRAINING;
    }
    if (core->config.defects.grow_unbounded) {
        return DROVER_OK; /* defect: no limit counts */
    }
    struct request request = request_of(core, admission, session, count, bytes);
    if (!admission->is_judged) {
        *out_text = never_because(core, &request);
        if (*out_text != NULL) {
            return DROVER_LIMIT;
        }
        const char *reason = reason_against(core, admission, &request, line, count, bytes);
        if (reason != NULL) {
            return refuse(core, admission, line, reason, out_text);
        }
    }
    if (!admission->is_outline && !admission->is_copy) {
        struct account *account = admission->is_again ? admission->account : core->actor;
        take_rate(core, &request);
        if (account != NULL) {
            account_count(core, account, request.count);
        }
    }
    return DROVER_OK;
}

drover_status admit_key(struct core *core, struct admission *admission,
                        const struct session *session, const struct line *line,
                        const char **out_text)
{
    if (admission->key.ptr == NULL) {
        return DROVER_OK;
    }
    struct account *actor = core->actor;
    const struct key *key = key_find(core, queue_name(line->queue), admission->key);
    const char *reason = NULL;
    if (session->keys >= core->config.client_keys_max &&
        (key == NULL || session_by_handle(core, key->owner) != session)) {
        reason = "this client has as many keys as it may (--max-client-keys)";
    } else if (actor != NULL && actor->keys >= actor->limits[ACCESS_LIMIT_KEYS] &&
               (key == NULL || key->account != actor)) {
        reason = account_says(core, actor,
                              "this account has as many keys as it may (limit keys)");
    } else if (key == NULL && drv_table_count(&core->keys) >= core->config.keys_max) {
        reason = "there are too many keys";
    }
    return reason == NULL ? DROVER_OK : refuse(core, admission, line, reason, out_text);
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
