/*
 * on_hello.c: HELLO, ATTACH, GOODBYE: the beginning and the end of a connection.
 */
#include "broker.h"
#include "guard.h"
#include "handlers.h"

/* Slots that a worker may claim. */
enum { SLOTS_MAX = 65536 };

static const struct drv_str CAPABILITIES[] = {
    {"labels", 6},   {"logs", 4},   {"events", 6}, {"shared_data", 11}, {"schedules", 9},
    {"after", 5},    {"await", 5},  {"keys", 4},   {"groups", 6},       {"needs", 5},
    {"fairness", 8}, {"limits", 6}, {"alerts", 6}, {"ranges", 6},       {"rows", 4},
};

static void refuse_endpoint(struct core *core, struct peer *peer, uint32_t role)
{
    const struct core_config *config = &core->config;
    bool is_worker = role == DRV_ROLE_WORKER;
    size_t count = is_worker ? config->worker_endpoint_count : config->client_endpoint_count;
    const char *const *endpoints = is_worker ? config->worker_endpoints
                                             : config->client_endpoints;
    struct drv_message *message = effects_message(core, DRV_ERROR);
    if (message != NULL) {
        message->failure = (struct drv_failure){
            .code = DROVER_WRONG_ENDPOINT,
            .text = drv_str_of(is_worker ? "workers are served at another endpoint"
                                         : "clients are served at another endpoint"),
            .endpoint = count > 0 ? drv_str_of(endpoints[0]) : (struct drv_str){NULL, 0},
        };
    }
    effects_send(core, peer, message, 0);
    peer_kill(core, peer);
    effects_close(core, peer);
}

/* Everything that does not depend on the session. */
static bool hello_is_fine(struct core *core, struct peer *peer, const struct drv_hello *hello)
{
    if (peer->state != PEER_NEW) {
        peer_refuse(core, peer, DROVER_PROTOCOL, "HELLO comes once");
    } else if (hello->version_min > DRV_PROTOCOL_VERSION ||
               hello->version_max < DRV_PROTOCOL_VERSION) {
        peer_refuse(core, peer, DROVER_VERSION, "this broker serves protocol versions 1 to 1");
    } else if (hello->role != DRV_ROLE_CLIENT && hello->role != DRV_ROLE_WORKER) {
        peer_refuse(core, peer, DROVER_INVALID, "no such role");
    } else if ((hello->role == DRV_ROLE_WORKER) != (peer->port == CORE_PORT_WORKER)) {
        refuse_endpoint(core, peer, hello->role);
    } else if (drover_id_is_zero(&hello->session)) {
        peer_refuse(core, peer, DROVER_INVALID, "the session has no id");
    } else if (hello->role == DRV_ROLE_WORKER && !hello->has_worker) {
        peer_refuse(core, peer, DROVER_INVALID, "a worker describes itself");
    } else if (hello->has_worker && hello->worker.slots > SLOTS_MAX) {
        peer_refuse(core, peer, DROVER_LIMIT, "more slots than a worker may have");
    } else if (hello->has_worker && hello->worker.lease_count > ATTACH_MAX) {
        peer_refuse(core, peer, DROVER_LIMIT, "more leases than a worker may hold");
    } else {
        return true;
    }
    return false;
}

/* The session of the HELLO, known or new; NULL when the peer was refused. */
static struct session *hello_session(struct core *core, struct peer *peer,
                                     const struct drv_hello *hello, bool *out_resumed)
{
    struct session *session = session_find(core, &hello->session);
    *out_resumed = session != NULL;
    if (session != NULL && session->role != (enum drv_role)hello->role) {
        peer_refuse(core, peer, DROVER_DENIED, "the session has another role");
        return NULL;
    }
    const char *text = NULL;
    drover_status status = guard_hello(core, peer, hello, session, &text);
    if (status != DROVER_OK) {
        peer_refuse(core, peer, status, text);
        return NULL;
    }
    if (session != NULL) {
        return session;
    }
    if (hello->role == DRV_ROLE_CLIENT && hello->resume) {
        peer_refuse(core, peer, DROVER_SESSION_EXPIRED, "the session is not known any more");
        return NULL;
    }
    if (!sessions_make_room(core) || !core_has_memory(core, sizeof *session)) {
        peer_refuse(core, peer, DROVER_BUSY, "too many sessions");
        return NULL;
    }
    session = session_new(core, &hello->session, (enum drv_role)hello->role);
    if (session == NULL) {
        peer_refuse(core, peer, DROVER_NOMEM, "out of memory");
    }
    return session;
}

static const struct drv_str *endpoint_list(struct core *core, const char *const *texts,
                                           size_t count)
{
    struct drv_str *list = effects_alloc(core, count, sizeof *list);
    for (size_t i = 0; list != NULL && i < count; i++) {
        list[i] = drv_str_of(texts[i]);
    }
    return list;
}

static void welcome_fill(struct core *core, struct session *session,
                         struct drv_welcome *welcome)
{
    const struct core_config *config = &core->config;
    *welcome = (struct drv_welcome){
        .version = DRV_PROTOCOL_VERSION,
        .broker = config->broker_id,
        .software = drv_str_of(config->software),
        .resumed = session->is_resumed,
        .capabilities = CAPABILITIES,
        .capability_count = sizeof CAPABILITIES / sizeof *CAPABILITIES,
        .credit_bytes = config->credit_bytes,
        .limits = {DRV_HEAD_MAX, DRV_BLOB_MAX, DRV_BATCH_MAX, DRV_INLINE_MAX, DRV_PAYLOAD_MAX,
                   DRV_REQUESTS_MAX, DRV_ARRAY_MAX, DRV_META_MAX},
        .heartbeat_ms = ms_of_us(core_heartbeat_us(core)),
        .lease_ms = ms_of_us(config->lease_us),
        .reattach_ms = ms_of_us(config->reattach_us),
        .ack_ms = 1,
        .session_ms = ms_of_us(config->session_us),
        .client_endpoints = endpoint_list(core, config->client_endpoints,
                                          config->client_endpoint_count),
        .client_endpoint_count = config->client_endpoint_count,
        .worker_endpoints = endpoint_list(core, config->worker_endpoints,
                                          config->worker_endpoint_count),
        .worker_endpoint_count = config->worker_endpoint_count,
        .durability_max = config->durability_max,
        .name = effects_text(core, drv_str_of(session->name)),
    };
}

static void welcome(struct core *core, struct peer *peer)
{
    struct session *session = peer->session;
    peer->state = PEER_OPEN;
    struct drv_message *message = effects_message(core, DRV_WELCOME);
    if (message != NULL) {
        welcome_fill(core, session, &message->welcome);
        if (message->welcome.client_endpoints == NULL ||
            message->welcome.worker_endpoints == NULL) {
            message = NULL;
        }
    }
    effects_send_at(core, peer, message, 0,
                    session->is_saved ? DROVER_DURABILITY_MEMORY : save_level_max(core));
    if (session->worker != NULL) {
        worker_attached(core, session->worker);
        effects_notice(core, session->is_resumed ? "worker back" : "worker connected",
                       session->worker);
        event_worker(core,
                     session->is_resumed ? DRV_EVENT_WORKER_BACK : DRV_EVENT_WORKER_CONNECTED,
                     session->worker);
    }
    peer_touch(core, peer);
}

void on_hello(struct core *core, struct peer *peer, const struct drv_message *message)
{
    const struct drv_hello *hello = &message->hello;
    bool resumed;
    if (!hello_is_fine(core, peer, hello)) {
        return;
    }
    struct session *session = hello_session(core, peer, hello, &resumed);
    if (session == NULL) {
        return;
    }
    if (session->peer != NULL) {
        peer_refuse(core, session->peer, DROVER_CLOSED,
                    "the session goes on over another connection");
    }
    session_bind(core, session, peer);
    session->heard_us = core->now_us;
    session->is_resumed = resumed && hello->resume;
    session->credit_items = hello->credit_items;
    session->credit_bytes = hello->credit_bytes;
    session->takes_ranges = session_hello_has(hello, "ranges");
    peer->state = PEER_ATTACHING;
    drover_status status = DROVER_OK;
    if (hello->role == DRV_ROLE_WORKER) {
        status = core_has_memory(core, hello->worker.type_count * sizeof(struct offer))
                     ? worker_hello(core, session, hello)
                     : DROVER_BUSY;
    } else if (!session_set_name(core, session, hello->name)) {
        status = DROVER_NOMEM;
    }
    if (status == DROVER_OK && !guard_bind(core, peer, session)) {
        status = DROVER_NOMEM;
    }
    if (status) {
        peer_refuse(core, peer, status, "no memory for another peer");
        return;
    }
    if (session->worker == NULL || session->worker->attach_left == 0) {
        welcome(core, peer);
    }
}

void on_attach(struct core *core, struct peer *peer, const struct drv_message *message)
{
    if (peer->state != PEER_ATTACHING || peer->session->worker == NULL) {
        peer_refuse(core, peer, DROVER_PROTOCOL, "ATTACH comes after the HELLO of a worker");
        return;
    }
    struct worker *worker = peer->session->worker;
    if (!worker_attach(core, worker, &message->attach)) {
        peer_refuse(core, peer, DROVER_LIMIT, "more leases than a worker may hold");
        return;
    }
    if (worker->attach_left == 0) {
        welcome(core, peer);
    }
}

void on_goodbye(struct core *core, struct peer *peer, const struct drv_message *message)
{
    (void)message;
    struct session *session = peer->session;
    if (peer->settled < peer->seq) {
        effects_settle(core, peer, peer->seq);
    }
    if (session != NULL && session->worker != NULL) {
        session->worker->is_leaving = true;
    }
    peer_kill(core, peer);
    effects_close(core, peer);
    if (session != NULL) {
        session_goodbye(core, session);
    }
}

void on_error(struct core *core, struct peer *peer, const struct drv_message *message)
{
    (void)message;
    peer_kill(core, peer);
    effects_close(core, peer);
}

void on_credit(struct core *core, struct peer *peer, const struct drv_message *message)
{
    struct session *session = peer->session;
    session->credit_items = message->credit.items;
    session->credit_bytes = message->credit.bytes;
    if (session->worker != NULL) {
        session->worker->is_choked = false;
        worker_update(core, session->worker);
    }
}
