/* guard.c: see guard.h. */
#include "guard.h"

#include "broker.h"
#include "check.h"
#include "handlers.h"

/* How often an operator is told of refusals in the name of the same account. */
#define DENIED_TOLD_US ((int64_t)1000 * 1000)

enum { PARENT_LOOK_MAX = 4096 }; /* leases and edges looked at for one FETCH */

const char GUARD_FOREIGN[] = "the task belongs to another account";

static const char STRANGER[] = "this key is not, or no longer, in the broker's table";
static const char NO_ROLE[] = "no role of this key allows that";
static const char NO_QUEUE[] = "this key may not use that queue";

/* ---- connections ------------------------------------------------------------------------- */

static const struct access_grant *grant_of(const struct core *core, const struct peer *peer)
{
    if (peer->is_inside) {
        return access_inside();
    }
    return peer->has_key ? access_find(core->access, peer->key) : NULL;
}

void guard_identify(struct core *core, struct peer *peer, const struct core_event *event)
{
    if (core->access == NULL || peer->grant != NULL || peer->state != PEER_NEW) {
        return;
    }
    peer->is_inside = event->is_inside;
    peer->has_key = event->key != NULL;
    if (peer->has_key) {
        memcpy(peer->key, event->key, sizeof peer->key);
    }
    peer->grant = grant_of(core, peer);
    if (peer->grant == NULL && core->config.defects.admit_strangers) {
        peer->grant = access_inside(); /* defect: whoever comes may do everything */
    }
}

static bool patterns_equal(const struct access_grant *a, const struct access_grant *b)
{
    bool is_equal = a->pattern_count == b->pattern_count;
    for (size_t i = 0; is_equal && i < a->pattern_count; i++) {
        is_equal = str_equals(a->patterns[i], b->patterns[i]);
    }
    return is_equal;
}

static struct drv_str grant_account(const struct access_grant *grant)
{
    return grant->account == NULL ? drv_str_of(ACCESS_NOBODY)
                                  : str_of(grant->account->name, grant->account->name_len);
}

static bool grants_equal(const struct access_grant *a, const struct access_grant *b)
{
    return a->roles == b->roles && str_equals(grant_account(a), grant_account(b)) &&
           patterns_equal(a, b);
}

static void regrant(struct core *core, struct peer *peer)
{
    const struct access_grant *before = peer->grant;
    if (peer->state == PEER_DEAD) {
        peer->grant = NULL;
        return;
    }
    peer->grant = grant_of(core, peer);
    if (peer->grant == NULL) {
        guard_denied(core, peer, DRV_HELLO);
        peer_refuse(core, peer, DROVER_DENIED, STRANGER);
    } else if (before != NULL && !grants_equal(before, peer->grant)) {
        peer_refuse(core, peer, DROVER_CLOSED, "the rights of this key have changed");
    }
}

void guard_replace(struct core *core, struct access **access)
{
    struct access *before = core->access;
    core->access = *access;
    *access = NULL;
    accounts_limit(core);
    for (size_t i = 0; i < core->peers.count; i++) {
        if (core->peers.slots[i] != NULL) {
            regrant(core, core->peers.slots[i]);
        }
    }
    access_destroy(&before);
}

/* ---- HELLO ------------------------------------------------------------------------------- */

static const char *role_against(const struct access_grant *grant, uint32_t role)
{
    if (role == DRV_ROLE_WORKER) {
        return grant->roles & ACCESS_WORK ? NULL : "this key has not the role work";
    }
    return grant->roles & (ACCESS_SUBMIT | ACCESS_OBSERVE | ACCESS_ADMIN)
               ? NULL
               : "this key has none of the roles submit, observe, admin";
}

/* A key that is kept to some queues serves only those, named one by one. */
static const char *queues_against(const struct access_grant *grant,
                                  const struct drv_hello *hello)
{
    if (!hello->has_worker || grant->pattern_count == 0) {
        return NULL;
    }
    if (hello->worker.queue_count == 0) {
        return "this key may not serve all queues: name some (--queue)";
    }
    for (size_t i = 0; i < hello->worker.queue_count; i++) {
        if (!access_grants_queue(grant, hello->worker.queues[i])) {
            return "this key may not serve one of these queues";
        }
    }
    return NULL;
}

static drover_status session_against(struct core *core, const struct access_grant *grant,
                                     const struct session *session, const char **out_text)
{
    struct drv_str name = grant_account(grant);
    if (session != NULL) {
        bool is_own = session->account == NULL
                          ? grant->account == NULL || session->is_unclaimed
                          : str_equals(account_name(session->account), name);
        *out_text = "the session belongs to another account";
        return is_own ? DROVER_OK : DROVER_DENIED;
    }
    struct account *account = account_find(core, name);
    *out_text = "this account has as many sessions as it may (limit sessions)";
    if (account == NULL || account->session_count < account->limits[ACCESS_LIMIT_SESSIONS]) {
        return DROVER_OK;
    }
    account_busy(core, account, *out_text);
    return DROVER_BUSY;
}

drover_status guard_hello(struct core *core, const struct peer *peer,
                          const struct drv_hello *hello, const struct session *session,
                          const char **out_text)
{
    const struct access_grant *grant = peer->grant;
    if (core->access == NULL) {
        return DROVER_OK;
    }
    *out_text = grant == NULL ? STRANGER : role_against(grant, hello->role);
    if (*out_text == NULL) {
        *out_text = queues_against(grant, hello);
    }
    drover_status status = *out_text != NULL ? DROVER_DENIED
                                             : session_against(core, grant, session, out_text);
    if (status == DROVER_DENIED) {
        guard_denied(core, peer, DRV_HELLO);
    }
    return status;
}

bool guard_bind(struct core *core, const struct peer *peer, struct session *session)
{
    if (core->access == NULL || peer->grant->account == NULL || session->account != NULL) {
        return true;
    }
    struct account *account = account_ensure(core, grant_account(peer->grant));
    if (account == NULL) {
        return false;
    }
    session_own(session, account);
    save_session(core, session);
    return true;
}

/* ---- messages ---------------------------------------------------------------------------- */

void guard_denied(struct core *core, const struct peer *peer, enum drv_kind kind)
{
    struct account *account = peer->session == NULL ? NULL : peer->session->account;
    int64_t *told_us = account == NULL ? &core->stranger_told_us : &account->denied_told_us;
    core->counters.denied++;
    if (account != NULL) {
        account->denied++;
    }
    if (*told_us != 0 && core->now_us < *told_us + DENIED_TOLD_US) {
        return;
    }
    *told_us = core->now_us;
    struct drv_str name = peer->grant == NULL ? account_name(account)
                                              : grant_account(peer->grant);
    effects_notice_denied(core, name, drv_kind_name(kind));
    event_denied(core, name, drv_kind_name(kind));
}

/* Which row of the table of rights a message of a kind with several means. */
static uint32_t part_of(const struct drv_message *message)
{
    return message->kind == DRV_QUERY       ? message->query.topic
           : message->kind == DRV_KV        ? message->kv.op
           : message->kind == DRV_SUBSCRIBE ? message->subscribe.stream
                                            : 0;
}

/* What a message says beyond what its handler looks at with guard_may. */
static const char *named_against(const struct core *core, const struct drv_message *message)
{
    const drover_id *id = message->kind == DRV_ARRAY_ITEMS  ? &message->array_items.id
                          : message->kind == DRV_ARRAY_SEAL ? &message->array_seal.id
                                                            : NULL;
    const struct task *task = id == NULL ? NULL : task_peek(core, id);
    if (task != NULL && !guard_may(core, task)) {
        return GUARD_FOREIGN;
    }
    if (message->kind == DRV_QUEUE && !guard_may_queue(core, message->queue.queue)) {
        return NO_QUEUE;
    }
    return NULL;
}

static void answer_query(struct core *core, struct peer *peer,
                         const struct drv_message *message, const char *text)
{
    struct drv_message *reply = effects_message(core, DRV_DOCUMENT);
    if (reply != NULL) {
        reply->document.req = message->request.req;
        reply->document.code = DROVER_DENIED;
        reply->document.text = drv_str_of(text);
    }
    effects_send(core, peer, reply, 0);
}

static void answer_denied(struct core *core, struct peer *peer,
                          const struct drv_message *message, const char *text)
{
    struct reply *reply = NULL;
    switch (handler_sort(message->kind)) {
    case HANDLER_REQUEST:
        reply = request_begin(core, peer, message);
        break;
    case HANDLER_QUESTION:
        reply = request_ask(core, peer, message->request.req);
        break;
    case HANDLER_QUERY:
        answer_query(core, peer, message, text);
        return;
    case HANDLER_PLAIN:
        peer_refuse(core, peer, DROVER_DENIED, text);
        return;
    }
    if (reply != NULL) {
        reply_fail(core, reply, DROVER_DENIED, text);
    }
}

bool guard_admits(struct core *core, struct peer *peer, const struct drv_message *message)
{
    if (core->access == NULL || peer->session == NULL) {
        return true; /* HELLO asks guard_hello, nothing else comes before WELCOME but ATTACH */
    }
    const struct access_grant *grant = peer->grant;
    DRV_ASSERT(grant != NULL);
    enum access_scope scope = access_scope(grant->roles, message->kind, part_of(message));
    const char *text = scope == ACCESS_NOTHING ? NO_ROLE : NULL;
    core->scope = scope;
    core->grant = grant;
    core->actor = peer->session->account;
    core->sender = peer;
    core->sent = message->kind;
    if (text == NULL) {
        text = named_against(core, message);
    }
    if (text == NULL) {
        return true;
    }
    guard_denied(core, peer, message->kind);
    answer_denied(core, peer, message, text);
    guard_leave(core);
    return false;
}

void guard_leave(struct core *core)
{
    if (core->has_denied) {
        core->has_denied = false;
        guard_denied(core, core->sender, core->sent);
    }
    core->sender = NULL;
    core->scope = ACCESS_ALL;
    core->grant = NULL;
    core->actor = NULL;
}

/* ---- what handlers ask ------------------------------------------------------------------- */

bool guard_may_spec(const struct core *core, const struct spec *spec)
{
    return core->scope == ACCESS_ALL || spec->account == core->actor;
}

bool guard_may(const struct core *core, const struct task *task)
{
    return guard_may_spec(core, task->spec);
}

bool guard_admits_spec(struct core *core, const struct spec *spec)
{
    bool is_fine = guard_may_spec(core, spec);
    core->has_denied |= !is_fine;
    return is_fine;
}

bool guard_admits_task(struct core *core, const struct task *task)
{
    return guard_admits_spec(core, task->spec);
}

const struct account *guard_only(const struct core *core)
{
    return core->scope == ACCESS_ALL ? NULL : core->actor;
}

bool guard_may_queue(const struct core *core, struct drv_str queue)
{
    return core->grant == NULL || access_grants_queue(core->grant, queue);
}

drover_status guard_spec(const struct core *core, const struct drv_spec *spec,
                         const char **out_text)
{
    struct drv_str queue = spec->queue.ptr == NULL ? drv_str_of("default") : spec->queue;
    if (!guard_may_queue(core, queue)) {
        *out_text = NO_QUEUE;
        return DROVER_DENIED;
    }
    for (size_t i = 0; i < spec->after_count; i++) {
        const struct task *parent = task_peek(core, &spec->after[i].id);
        if (parent != NULL && !guard_may(core, parent)) {
            *out_text = GUARD_FOREIGN;
            return DROVER_DENIED;
        }
    }
    return DROVER_OK;
}

/* Whether one of the edges names the item, an element of it, or the array that it is of. */
static bool edges_name(const struct unit *unit, const struct item *item, size_t *budget)
{
    const struct edge *edges = NULL;
    size_t count = deps_edges(unit, &edges);
    for (size_t i = 0; i<count && * budget> 0; i++) {
        (*budget)--;
        if (edges[i].parent == item->task &&
            (edges[i].index == item->index || edges[i].index == DROVER_INDEX_NONE)) {
            return true;
        }
    }
    return false;
}

bool guard_is_parent(const struct worker *worker, const struct item *item)
{
    size_t budget = PARENT_LOOK_MAX;
    DRV_LIST_EACH(link, &worker->leases)
    {
        const struct lease *lease = DRV_LIST_ITEM(link, struct lease, in_worker);
        if (budget == 0) {
            return false;
        }
        budget--;
        if (edges_name(lease->unit, item, &budget) ||
            (lease->index != DROVER_INDEX_NONE &&
             edges_name(&lease->task->unit, item, &budget))) {
            return true;
        }
    }
    return false;
}
