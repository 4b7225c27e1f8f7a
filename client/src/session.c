#include "session_state.h"

#include "check.h"

#include <stdlib.h>
#include <string.h>

#define US_PER_MS 1000
#define INTERVAL_MAX_MS 3600000u

static const struct drv_backoff BACKOFF = {SESSION_BACKOFF_MIN_MS, SESSION_BACKOFF_MAX_MS};

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

uint64_t session_ms_left(int64_t deadline_us, int64_t now_us)
{
    if (deadline_us == INT64_MAX) {
        return 0;
    }
    return deadline_us <= now_us ? 1 : (uint64_t)(deadline_us - now_us) / US_PER_MS + 1;
}

static bool watch_equal(const void *entry, const void *key)
{
    const struct drv_watch *watch = entry;
    const struct drv_watch_key *wanted = key;
    return watch->key.index == wanted->index &&
           memcmp(&watch->key.id, &wanted->id, sizeof(wanted->id)) == 0;
}

drover_status drv_session_new(const struct drv_session_config *config,
                              struct drv_session **out_session)
{
    struct drv_session *session = calloc(1, sizeof(*session));
    if (session == NULL) {
        return DROVER_NOMEM;
    }
    session->config = *config;
    DRV_ASSERT(strlen(config->endpoint) < sizeof(session->endpoint));
    DRV_ASSERT(strlen(config->name) < sizeof(session->name));
    memcpy(session->endpoint, config->endpoint, strlen(config->endpoint) + 1);
    memcpy(session->name, config->name, strlen(config->name) + 1);
    drover_status status = config->random_id(&session->id);
    if (status == DROVER_OK) {
        status = drv_outcome_pool_new(&session->outcomes);
    }
    if (status != DROVER_OK) {
        free(session);
        return status;
    }
    drv_rng_init(&session->rng, config->seed);
    drv_arena_init(&session->arena, SESSION_ARENA_KEEP);
    drv_table_init(&session->watches, config->seed, watch_equal);
    drv_table_set_floor(&session->watches, SESSION_WATCH_BITS);
    drv_list_init(&session->unsent);
    drv_list_init(&session->sent);
    drv_list_init(&session->waiting);
    drv_list_init(&session->dirty);
    drv_list_init(&session->unwatched);
    drv_list_init(&session->spare_watches);
    drv_list_init(&session->subscriptions);
    session->give_up_us = INT64_MAX;
    session->next_req = 1;
    session->heartbeat_us = SESSION_HEARTBEAT_US;
    session->lease_us = SESSION_LEASE_US;
    session->limits.requests_max = DRV_REQUESTS_MAX;
    *out_session = session;
    return DROVER_OK;
}

static void forget_capabilities(struct drv_session *session)
{
    for (size_t i = 0; i < session->capability_count; i++) {
        free(session->capabilities[i]);
    }
    session->capability_count = 0;
}

void drv_session_destroy(struct drv_session **session)
{
    if (session == NULL || *session == NULL) {
        return;
    }
    struct drv_session *s = *session;
    *session = NULL;
    DRV_ASSERT(drv_list_is_empty(&s->unsent) && drv_list_is_empty(&s->sent));
    DRV_ASSERT(drv_list_is_empty(&s->waiting) && drv_table_count(&s->watches) == 0);
    forget_capabilities(s);
    drv_link_destroy(&s->link);
    drv_table_fini(&s->watches);
    session_spare_watches_drop(s);
    drv_outcome_pool_release(&s->outcomes);
    drv_arena_fini(&s->arena);
    free(s);
}

/* ---- what the shell asks ----------------------------------------------------------------- */

uint64_t drv_session_connection(const struct drv_session *session)
{
    return session->link != NULL ? session->connection : 0;
}

const char *drv_session_endpoint(const struct drv_session *session)
{
    return session->use_moved ? session->moved_to : session->endpoint;
}

bool drv_session_is_up(const struct drv_session *session)
{
    return session->state == SESSION_UP;
}

bool drv_session_was_up(const struct drv_session *session)
{
    return session->was_up;
}

drover_status drv_session_fatal(const struct drv_session *session)
{
    return session->fatal;
}

const char *drv_session_problem(const struct drv_session *session)
{
    return session->problem.text;
}

bool drv_session_has_capability(const struct drv_session *session, const char *name)
{
    for (size_t i = 0; i < session->capability_count; i++) {
        if (strcmp(session->capabilities[i], name) == 0) {
            return true;
        }
    }
    return false;
}

bool drv_session_is_awaiting(const struct drv_session *session)
{
    return !drv_list_is_empty(&session->unsent) || !drv_list_is_empty(&session->sent) ||
           !drv_list_is_empty(&session->waiting) || drv_table_count(&session->watches) > 0 ||
           !drv_list_is_empty(&session->subscriptions);
}

bool drv_session_is_expecting(const struct drv_session *session)
{
    return session->state != SESSION_UP || !drv_list_is_empty(&session->sent);
}

bool drv_session_owes(const struct drv_session *session)
{
    return session->link != NULL && (drv_link_queued(session->link) > 0 ||
                                     drv_link_deadline_us(session->link) != INT64_MAX);
}

void drv_session_count_unread(struct drv_session *session, int64_t bytes)
{
    DRV_ASSERT(bytes >= 0 || session->unread_bytes >= (uint64_t)-bytes);
    session->unread_bytes += (uint64_t)bytes;
}

bool drv_session_is_over_unread(const struct drv_session *session)
{
    return session->unread_bytes > session->config.unread_bytes_max;
}

void drv_session_count_readers(struct drv_session *session, int change)
{
    session->readers += change;
}

/* ---- making and losing connections ------------------------------------------------------- */

static bool send_message(struct drv_session *session, const struct drv_message *message)
{
    return drv_link_send(session->link, message, 0) == DROVER_OK;
}

static bool send_hello(struct drv_session *session)
{
    static const struct drv_str CAPABILITIES[] = {{"ranges", 6}, {"rows", 4}};
    struct drv_message message = {.kind = DRV_HELLO};
    message.hello = (struct drv_hello){
        .version_min = DRV_PROTOCOL_VERSION,
        .version_max = DRV_PROTOCOL_VERSION,
        .role = DRV_ROLE_CLIENT,
        .session = session->id,
        .resume = session->is_known,
        .name = drv_str_of(session->name),
        .software = drv_str_of("libdrover " DROVER_VERSION_STRING),
        .capabilities = CAPABILITIES,
        .capability_count = DRV_ARRAY_LEN(CAPABILITIES),
        .credit_items = SESSION_CREDIT_ITEMS,
        .credit_bytes = SESSION_CREDIT_BYTES,
    };
    return send_message(session, &message);
}

static void schedule_retry(struct drv_session *session, int64_t now_us)
{
    uint64_t delay_ms = drv_backoff_delay_ms(&BACKOFF, session->attempts, &session->rng);
    session->retry_at_us = now_us + (int64_t)delay_ms * US_PER_MS;
    session->attempts++;
}

static void disconnect(struct drv_session *session)
{
    drv_link_destroy(&session->link);
    session_requests_rewind(session);
    session_streams_rewind(session);
    session->state = SESSION_DOWN;
}

static void connect_now(struct drv_session *session, int64_t now_us)
{
    struct drv_link_config config = {
        .window_out = DRV_BLOB_MAX,
        .window_in = SESSION_CREDIT_BYTES,
        .is_trusted = true,
        .ack_delay_us = SESSION_ACK_DELAY_US,
        .queue_max = SESSION_QUEUE_MAX,
        .queue_bytes_max = SESSION_QUEUE_BYTES_MAX,
    };
    session->received_seq = 0;
    session->epoch = 0;
    if (drv_link_new(&config, &session->link) != DROVER_OK) {
        schedule_retry(session, now_us);
        return;
    }
    session->connection++;
    session->state = SESSION_CONNECTING;
    uint32_t doubled = session->attempts < 3 ? session->attempts : 3;
    session->hello_until_us = now_us + (SESSION_HELLO_US << doubled);
    if (!send_hello(session)) {
        disconnect(session);
        schedule_retry(session, now_us);
    }
}

void session_break(struct drv_session *session, const char *why, int64_t now_us)
{
    if (session->link == NULL || session->state == SESSION_ENDED) {
        return;
    }
    (void)drv_problem_set(&session->problem, DROVER_UNAVAILABLE, "%s: %s",
                          drv_session_endpoint(session), why);
    if (session->state == SESSION_UP && now_us - session->up_at_us >= SESSION_STABLE_US) {
        session->attempts = 0;
    }
    if (session->state == SESSION_CONNECTING && session->moved_to[0] != '\0') {
        session->use_moved = !session->use_moved;
    }
    disconnect(session);
    schedule_retry(session, now_us);
}

void drv_session_lost(struct drv_session *session, uint64_t connection, const char *why,
                      int64_t now_us)
{
    if (connection == drv_session_connection(session)) {
        session_break(session, why, now_us);
    }
}

/* Everything outstanding ends with this status. */
static void end_all(struct drv_session *session, drover_status status)
{
    session_submissions_end(session, status);
    session_requests_end(session, status);
    session_watches_end(session, status);
    session_streams_end(session, status);
}

static void fail_for_good(struct drv_session *session, drover_status status)
{
    session->fatal = status;
    disconnect(session);
    session->state = SESSION_FATAL;
    end_all(session, status);
}

void drv_session_fail(struct drv_session *session, drover_status status, const char *why)
{
    if (session->state != SESSION_FATAL && session->state != SESSION_ENDED) {
        (void)drv_problem_set(&session->problem, status, "%s", why);
        fail_for_good(session, status);
    }
}

/* The broker knows nothing of what this session sent. */
static void expire(struct drv_session *session)
{
    session->is_known = false;
    session_requests_expire(session);
    session_watches_rewind(session);
}

static void start_over(struct drv_session *session, int64_t now_us)
{
    session_break(session, "the broker has lost the session", now_us);
    if (session->config.random_id(&session->id) != DROVER_OK) {
        session->id.bytes[15] ^= 1; /* still as good as unique */
    }
    expire(session);
    session->next_req = 1;
    session->retry_at_us = now_us;
}

void drv_session_end(struct drv_session *session, drover_status status, int64_t now_us)
{
    if (session->state == SESSION_UP) {
        struct drv_message message = {.kind = DRV_GOODBYE};
        drv_link_settle(session->link, session->received_seq, now_us);
        (void)send_message(session, &message);
    } else {
        disconnect(session);
    }
    session->state = SESSION_ENDED;
    end_all(session, status);
}

/* ---- messages ---------------------------------------------------------------------------- */

static int64_t interval_us(uint64_t ms, int64_t otherwise_us)
{
    if (ms == 0) {
        return otherwise_us;
    }
    return (int64_t)(ms < INTERVAL_MAX_MS ? ms : INTERVAL_MAX_MS) * US_PER_MS;
}

static void keep_capabilities(struct drv_session *session, const struct drv_welcome *welcome)
{
    forget_capabilities(session);
    for (size_t i = 0; i < welcome->capability_count && i < DRV_CAPABILITIES_MAX; i++) {
        const struct drv_str *name = &welcome->capabilities[i];
        char *copy = malloc(name->len + 1);
        if (copy == NULL) {
            return;
        }
        if (name->len > 0) {
            memcpy(copy, name->ptr, name->len);
        }
        copy[name->len] = '\0';
        session->capabilities[session->capability_count++] = copy;
    }
}

static void on_welcome(struct drv_session *session, const struct drv_message *message,
                       int64_t now_us)
{
    const struct drv_welcome *welcome = &message->welcome;
    if (session->state != SESSION_CONNECTING) {
        session_break(session, "a second WELCOME", now_us);
        return;
    }
    if (session->is_known && !welcome->resumed) {
        expire(session);
    } else if (session->is_known && message->epoch != session->welcomed_epoch) {
        session_watches_rewind(session); /* a restart keeps requests and tasks, not watches */
    } else {
        /* the broker that knows all of it */
    }
    if (session->is_known && message->epoch != session->welcomed_epoch) {
        session_streams_anew(session); /* their numbers were those of the last life */
    }
    session->welcomed_epoch = message->epoch;
    session->state = SESSION_UP;
    session->is_known = true;
    session->was_up = true;
    session->up_at_us = now_us;
    session->epoch = message->epoch;
    session->heartbeat_us = interval_us(welcome->heartbeat_ms, SESSION_HEARTBEAT_US);
    session->lease_us = interval_us(welcome->lease_ms, SESSION_LEASE_US);
    session->heartbeat_at_us = now_us + session->heartbeat_us;
    session->limits = welcome->limits;
    drv_link_set_epoch(session->link, message->epoch);
    drv_link_set_window_out(session->link, welcome->credit_bytes);
    keep_capabilities(session, welcome);
}

static void on_goodbye(struct drv_session *session, const struct drv_message *message,
                       int64_t now_us)
{
    char why[DRV_TEXT_MAX + 32];
    (void)snprintf(why, sizeof(why), "the broker said goodbye: %.*s",
                   (int)message->goodbye.text.len, message->goodbye.text.ptr);
    session_break(session, why, now_us);
}

static void on_credit(struct drv_session *session, const struct drv_message *message,
                      int64_t now_us)
{
    (void)now_us;
    drv_link_set_window_out(session->link, message->credit.bytes);
}

/* Where to go; the configured endpoint stays the one to fall back to. */
static void on_moved(struct drv_session *session, const struct drv_message *message,
                     int64_t now_us)
{
    const struct drv_moved *moved = &message->moved;
    if (moved->client_endpoint_count > 0 &&
        moved->client_endpoints[0].len < sizeof(session->moved_to)) {
        const struct drv_str *endpoint = &moved->client_endpoints[0];
        memcpy(session->moved_to, endpoint->ptr, endpoint->len);
        session->moved_to[endpoint->len] = '\0';
    }
    session_break(session, "the broker has moved", now_us);
    session->use_moved = session->moved_to[0] != '\0';
}

static void on_error_connecting(struct drv_session *session, const struct drv_failure *failure,
                                const char *text, int64_t now_us)
{
    drover_status code = (drover_status)failure->code;
    if (code == DROVER_SESSION_EXPIRED && session->is_known) {
        start_over(session, now_us);
        return;
    }
    bool for_good = code == DROVER_VERSION || code == DROVER_WRONG_ENDPOINT ||
                    code == DROVER_DENIED;
    session_break(session, text, now_us);
    if (code == DROVER_WRONG_ENDPOINT && failure->endpoint.len > 0) {
        (void)drv_problem_set(
            &session->problem, code, "%s is the endpoint for workers; clients connect to %.*s",
            drv_session_endpoint(session), (int)failure->endpoint.len, failure->endpoint.ptr);
    }
    if (for_good && (!session->was_up || code == DROVER_DENIED)) {
        fail_for_good(session, code);
    }
}

static void on_error(struct drv_session *session, const struct drv_message *message,
                     int64_t now_us)
{
    const struct drv_failure *failure = &message->failure;
    drover_status code = (drover_status)failure->code;
    char text[DRV_TEXT_MAX + 64];
    (void)snprintf(text, sizeof(text), "%s (%.*s)", drover_status_text(code),
                   (int)failure->text.len, failure->text.len > 0 ? failure->text.ptr : "");
    if (session->state != SESSION_UP) {
        on_error_connecting(session, failure, text, now_us);
    } else if (code == DROVER_SESSION_EXPIRED) {
        start_over(session, now_us);
        return;
    } else {
        bool refused = session_refuse_kind(session, failure->about_kind, code, failure->text);
        if (!refused || (code != DROVER_UNSUPPORTED && !drover_status_is_retryable(code))) {
            session_break(session, text, now_us);
        }
        if (code == DROVER_DENIED) { /* the key was revoked: trying again is of no use */
            fail_for_good(session, code);
        }
    }
    if (session->state == SESSION_DOWN && failure->retry_after_ms > 0) {
        session->retry_at_us = later(session->retry_at_us,
                                     now_us + interval_us(failure->retry_after_ms, 0));
    }
}

static void on_reply(struct drv_session *session, const struct drv_message *message,
                     int64_t now_us)
{
    (void)now_us;
    session_on_reply(session, &message->reply);
}

static void on_document(struct drv_session *session, const struct drv_message *message,
                        int64_t now_us)
{
    (void)now_us;
    session_on_document(session, &message->document);
}

static void on_results(struct drv_session *session, const struct drv_message *message,
                       int64_t now_us)
{
    (void)now_us;
    session_on_results(session, &message->results);
}

static void on_stream(struct drv_session *session, const struct drv_message *message,
                      int64_t now_us)
{
    (void)now_us;
    session_on_stream(session, message);
}

typedef void (*message_fn)(struct drv_session *session, const struct drv_message *message,
                           int64_t now_us);

/* What a client understands; HEARTBEAT and ACK have done their work in the link. */
static const struct {
    message_fn handle; /* NULL: nothing to do */
    bool is_known;
    bool before_welcome;
} KINDS[] = {
    [DRV_WELCOME] = {on_welcome, true, true},    [DRV_GOODBYE] = {on_goodbye, true, true},
    [DRV_ERROR] = {on_error, true, true},        [DRV_MOVED] = {on_moved, true, true},
    [DRV_CREDIT] = {on_credit, true, false},     [DRV_ACK] = {NULL, true, false},
    [DRV_HEARTBEAT] = {NULL, true, false},       [DRV_REPLY] = {on_reply, true, false},
    [DRV_DOCUMENT] = {on_document, true, false}, [DRV_RESULTS] = {on_results, true, false},
    [DRV_LOGS] = {on_stream, true, false},       [DRV_EVENTS] = {on_stream, true, false},
};

static void answer_unsupported(struct drv_session *session, const struct drv_message *message)
{
    struct drv_message error = {.kind = DRV_ERROR};
    error.failure = (struct drv_failure){
        .code = DROVER_UNSUPPORTED,
        .text = drv_str_of("a client does not take this kind of message"),
        .about_kind = (uint32_t)message->kind,
        .about_seq = message->seq,
    };
    (void)send_message(session, &error);
}

static void dispatch(struct drv_session *session, const struct drv_message *message,
                     int64_t now_us)
{
    size_t kind = (size_t)message->kind;
    bool known = kind < DRV_ARRAY_LEN(KINDS) && KINDS[kind].is_known;
    if (session->state == SESSION_CONNECTING && !(known && KINDS[kind].before_welcome)) {
        session_break(session, "a message before WELCOME", now_us);
        return;
    }
    session->received_seq = message->seq;
    if (!known) {
        answer_unsupported(session, message);
    } else if (KINDS[kind].handle != NULL) {
        KINDS[kind].handle(session, message, now_us);
    }
}

void drv_session_receive(struct drv_session *session, const uint8_t *head, size_t head_len,
                         const uint8_t *blob, size_t blob_len, int64_t now_us)
{
    if (session->link == NULL || session->state == SESSION_ENDED) {
        return;
    }
    struct drv_message message;
    memset(&message, 0, sizeof(message));
    const char *reason = NULL;
    drv_arena_reset(&session->arena);
    drover_status status = drv_link_receive_bytes(session->link, head, head_len, blob, blob_len,
                                                  now_us, &session->arena, &message, &reason);
    if (status == DROVER_EPOCH) {
        return;
    }
    if (drv_link_is_fresh(session->link)) {
        session->heard_at_us = now_us;
    }
    if (status == DROVER_UNSUPPORTED) {
        session->received_seq = message.seq;
        answer_unsupported(session, &message);
    } else if (status != DROVER_OK) {
        session_break(session, reason != NULL ? reason : drover_status_text(status), now_us);
    } else if (message.kind != 0) {
        dispatch(session, &message, now_us);
    }
}

bool drv_session_next(struct drv_session *session, struct drv_frames *out_frames)
{
    return session->link != NULL && drv_link_next(session->link, out_frames);
}

void drv_session_unsend(struct drv_session *session, struct drv_frames *frames)
{
    drv_link_unsend(session->link, frames);
}

/* ---- time -------------------------------------------------------------------------------- */

/* Sends a heartbeat when it is due, and gives the connection up after a lease of silence. */
static void look_after(struct drv_session *session, bool awaiting, int64_t now_us)
{
    if (awaiting && !session->was_awaiting) {
        session->awaiting_since_us = now_us;
        session->heartbeat_at_us = now_us + session->heartbeat_us;
    }
    session->was_awaiting = awaiting;
    if (!awaiting) {
        return;
    }
    if (now_us - later(session->heard_at_us, session->awaiting_since_us) >= session->lease_us) {
        session_break(session, "the broker is silent", now_us);
        return;
    }
    if (now_us >= session->heartbeat_at_us) {
        struct drv_message message = {.kind = DRV_HEARTBEAT};
        (void)send_message(session, &message);
        session->heartbeat_at_us = now_us + session->heartbeat_us;
    }
}

static int64_t up_deadline(const struct drv_session *session)
{
    int64_t deadline_us = earlier(drv_link_deadline_us(session->link),
                                  session_submissions_deadline(session));
    if (session->was_awaiting) {
        int64_t since_us = later(session->heard_at_us, session->awaiting_since_us);
        deadline_us = earlier(deadline_us, session->heartbeat_at_us);
        deadline_us = earlier(deadline_us, since_us + session->lease_us);
    }
    return deadline_us;
}

static bool may_settle(const struct drv_session *session)
{
    return session->readers > 0 || !drv_session_is_over_unread(session);
}

static void tick_up(struct drv_session *session, int64_t now_us)
{
    look_after(session, drv_session_is_awaiting(session), now_us);
    if (session->state != SESSION_UP) {
        return;
    }
    if (may_settle(session)) {
        drv_link_settle(session->link, session->received_seq, now_us);
    }
    session_flush_watches(session);
    session_flush_streams(session);
    session_flush_submissions(session, now_us);
    session_flush_requests(session, now_us);
    drv_link_tick(session->link, now_us);
}

int64_t drv_session_tick(struct drv_session *session, int64_t now_us)
{
    if (session->state == SESSION_DOWN && now_us >= session->retry_at_us) {
        connect_now(session, now_us);
    } else if (session->state == SESSION_CONNECTING && now_us >= session->hello_until_us) {
        session_break(session, "no answer", now_us);
    } else if (session->state == SESSION_UP) {
        tick_up(session, now_us);
    } else {
        /* CONNECTING waits; a session that has ended has no timers */
    }
    switch (session->state) {
    case SESSION_DOWN:
        return earlier(session->retry_at_us, session_submissions_deadline(session));
    case SESSION_CONNECTING:
        return session->hello_until_us;
    case SESSION_UP:
        return up_deadline(session);
    case SESSION_FATAL:
    case SESSION_ENDED:
        break;
    }
    return INT64_MAX;
}
