#include "session.h"

#include "backoff.h"
#include "check.h"
#include "session_state.h"

#include <stdlib.h>
#include <string.h>

enum { STABLE_US = 1000 * 1000 }; /* a connection that lasted counts as a success */

/* ---- life -----------------------------------------------------------------------------------
 */

void worker_session_config_init(struct worker_session_config *config)
{
    *config = (struct worker_session_config){
        .credit_bytes = 4 * 1024 * 1024,
        .held_count_max = 16384,
        .held_bytes_max = 256 * 1024 * 1024,
        .payload_bytes_max = 64 * 1024 * 1024,
        .report_bytes_max = 8 * 1024 * 1024,
        .shared_bytes_max = 256 * 1024 * 1024,
        .started_after_us = 1000,
        .offline_us = 1000 * 1000,
        .progress_every_us = 50 * 1000,
        .output_every_us = 20 * 1000,
        .output_bytes_max = 32 * 1024 * 1024,
        .greeting_us = 5 * 1000 * 1000,
        .heartbeat_us = 1000 * 1000,
        .lease_us = 10 * 1000 * 1000,
        .grace_us = 30 * 1000 * 1000,
        .settle_us = 10 * 1000 * 1000,
        .backoff_ms = 50,
        .backoff_max_ms = 2000,
    };
}

int worker_session_compare_names(struct drv_str a, struct drv_str b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len == 0 ? 0 : memcmp(a.ptr, b.ptr, len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* Insertion would be quadratic at 16,384 types; qsort has no context, so the indexes are
 * sifted as a heap. */
static void sift(const struct drv_offer *types, uint32_t *order, size_t root, size_t count)
{
    while (2 * root + 1 < count) {
        size_t child = 2 * root + 1;
        if (child + 1 < count &&
            worker_session_compare_names(types[order[child]].name,
                                         types[order[child + 1]].name) < 0) {
            child++;
        }
        if (worker_session_compare_names(types[order[root]].name, types[order[child]].name) >=
            0) {
            return;
        }
        uint32_t swapped = order[root];
        order[root] = order[child];
        order[child] = swapped;
        root = child;
    }
}

static void sort_types(const struct drv_offer *types, uint32_t *order, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        order[i] = (uint32_t)i;
    }
    for (size_t i = count / 2; i-- > 0;) {
        sift(types, order, i, count);
    }
    for (size_t end = count; end-- > 1;) {
        uint32_t swapped = order[0];
        order[0] = order[end];
        order[end] = swapped;
        sift(types, order, 0, end);
    }
}

drover_status worker_session_new(const struct worker_session_config *config,
                                 struct worker_session **out_session)
{
    if (config->endpoint_count == 0 || config->slots == 0 || config->run_max == 0 ||
        config->type_count > DRV_TYPES_MAX) {
        return DROVER_INVALID;
    }
    struct worker_session *session = calloc(1, sizeof *session);
    if (session == NULL) {
        return DROVER_NOMEM;
    }
    session->config = *config;
    session->types_sorted = calloc(config->type_count + 1, sizeof *session->types_sorted);
    session->oddness = calloc(config->type_count + 1, sizeof *session->oddness);
    drv_rng_init(&session->rng, config->seed);
    worker_effects_init(&session->effects);
    worker_book_init(&session->book, drv_rng_next(&session->rng));
    worker_shelf_init(&session->shelf, drv_rng_next(&session->rng), config->shared_bytes_max);
    worker_questions_init(&session->questions);
    drv_list_init(&session->unsent);
    session->heartbeat_us = config->heartbeat_us;
    session->lease_us = config->lease_us;
    session->requests_max = DRV_REQUESTS_MAX;
    session->start_flush_at_us = INT64_MAX;
    session->settle_at_us = INT64_MAX;
    if (session->types_sorted == NULL || session->oddness == NULL) {
        worker_session_destroy(&session);
        return DROVER_NOMEM;
    }
    sort_types(config->types, session->types_sorted, config->type_count);
    *out_session = session;
    return DROVER_OK;
}

void worker_session_destroy(struct worker_session **session)
{
    struct worker_session *gone = *session;
    *session = NULL;
    if (gone == NULL) {
        return;
    }
    worker_effects_fini(&gone->effects);
    worker_questions_fini(&gone->questions);
    worker_book_fini(&gone->book);
    worker_shelf_fini(&gone->shelf);
    drv_buffer_fini(&gone->details);
    free(gone->returned.items);
    free(gone->told);
    free(gone->types_sorted);
    free(gone->oddness);
    free(gone);
}

void worker_session_go_broke(struct worker_session *session)
{
    session->is_broke = true;
}

/* ---- endpoints ------------------------------------------------------------------------------
 */

static size_t endpoint_count(const struct worker_session *session)
{
    return session->config.endpoint_count + session->told_count;
}

static struct drv_str endpoint_at(const struct worker_session *session, size_t number)
{
    size_t configured = session->config.endpoint_count;
    return number < configured ? session->config.endpoints[number]
                               : session->told[number - configured];
}

static bool is_configured(const struct worker_session *session, struct drv_str endpoint)
{
    for (size_t i = 0; i < session->config.endpoint_count; i++) {
        if (worker_session_compare_names(session->config.endpoints[i], endpoint) == 0) {
            return true;
        }
    }
    return false;
}

/* A broker that listens on every address may tell just that, which leads nowhere from here. */
static bool is_wildcard(struct drv_str endpoint)
{
    static const char *const beginnings[] = {"tcp://0.0.0.0:", "tcp://[::]:", "tcp://*:"};
    for (size_t i = 0; i < DRV_ARRAY_LEN(beginnings); i++) {
        size_t len = strlen(beginnings[i]);
        if (endpoint.len >= len && memcmp(endpoint.ptr, beginnings[i], len) == 0) {
            return true;
        }
    }
    return false;
}

void worker_session_set_told(struct worker_session *session, const struct drv_str *endpoints,
                             size_t count)
{
    size_t bytes = count * sizeof *endpoints;
    for (size_t i = 0; i < count; i++) {
        bytes += endpoints[i].len;
    }
    /* One block: the views, then the texts. */
    struct drv_str *told = calloc(1, bytes + 1);
    if (told == NULL) {
        worker_session_go_broke(session);
        return;
    }
    char *text = (char *)(told + count);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (endpoints[i].len == 0 || is_wildcard(endpoints[i]) ||
            is_configured(session, endpoints[i])) {
            continue;
        }
        memcpy(text, endpoints[i].ptr, endpoints[i].len);
        told[kept++] = (struct drv_str){text, endpoints[i].len};
        text += endpoints[i].len;
    }
    free(session->told);
    session->told = told;
    session->told_count = kept;
    if (session->endpoint >= endpoint_count(session)) {
        session->endpoint = 0;
    }
}

/* ---- the connection -------------------------------------------------------------------------
 */

enum connection_event {
    EVENT_OPEN,
    EVENT_WELCOME,
    EVENT_BREAK,
    EVENT_STOP,
};

/* The picture in session.h; a pair that is not in it changes nothing. */
static const enum worker_session_state transitions[][4] = {
    [WORKER_SESSION_IDLE] = {WORKER_SESSION_GREETING, WORKER_SESSION_IDLE, WORKER_SESSION_IDLE,
                             WORKER_SESSION_STOPPED},
    [WORKER_SESSION_WAITING] = {WORKER_SESSION_GREETING, WORKER_SESSION_WAITING,
                                WORKER_SESSION_WAITING, WORKER_SESSION_STOPPED},
    [WORKER_SESSION_GREETING] = {WORKER_SESSION_GREETING, WORKER_SESSION_SERVING,
                                 WORKER_SESSION_WAITING, WORKER_SESSION_STOPPED},
    [WORKER_SESSION_SERVING] = {WORKER_SESSION_SERVING, WORKER_SESSION_SERVING,
                                WORKER_SESSION_WAITING, WORKER_SESSION_STOPPED},
    [WORKER_SESSION_STOPPED] = {WORKER_SESSION_STOPPED, WORKER_SESSION_STOPPED,
                                WORKER_SESSION_STOPPED, WORKER_SESSION_STOPPED},
};

/* Whether the event changes the state. */
static bool transit(struct worker_session *session, enum connection_event event)
{
    enum worker_session_state before = session->state;
    session->state = transitions[before][event];
    return session->state != before;
}

static void open_connection(struct worker_session *session, int64_t now_us)
{
    if (!transit(session, EVENT_OPEN)) {
        return;
    }
    session->greeting_at_us = now_us + session->config.greeting_us;
    session->seq_received = 0;
    session->seq_settled = 0;
    session->is_blocked = false;
    worker_effects_add(&session->effects,
                       &(struct worker_effect){
                           .kind = WORKER_CONNECT,
                           .text = worker_effects_text(&session->effects,
                                                       endpoint_at(session, session->endpoint)),
                       });
    worker_session_send_hello(session);
}

/* What only this connection knew: handles, unsettled reports, unrecorded starts. All of it is
 * said again with ATTACH and after WELCOME. */
static void forget_connection(struct worker_session *session)
{
    worker_book_unreport(&session->book);
    worker_session_unfollow_all(session);
    for (int state = 0; state < WORKER_LEASE_STATES; state++) {
        DRV_LIST_EACH(link, &session->book.lists[state])
        {
            struct worker_lease *lease = DRV_LIST_ITEM(link, struct worker_lease, link);
            lease->ref.handle = 0;
            lease->result.ref.handle = 0;
            lease->is_confirmed = false;
            if (lease->start_due) {
                lease->start_due = false;
                if (!lease->progress_due) {
                    drv_list_remove(&lease->notice);
                }
            }
        }
    }
    struct drv_list *confirming = &session->book.lists[WORKER_LEASE_CONFIRMING];
    for (struct drv_list *last = drv_list_last(confirming); last != NULL;
         last = drv_list_last(confirming)) {
        worker_book_move_back(&session->book, DRV_LIST_ITEM(last, struct worker_lease, link),
                              WORKER_LEASE_QUEUED);
    }
    DRV_LIST_EACH(link, &session->questions.open)
    {
        DRV_LIST_ITEM(link, struct worker_question, link)->is_asked = false;
    }
    session->start_flush_at_us = INT64_MAX;
    session->returned.count = 0;
    session->reports_settled = session->reports;
}

void worker_session_break(struct worker_session *session, struct drv_str reason,
                          uint64_t pause_ms, int64_t now_us)
{
    bool was_serving = session->state == WORKER_SESSION_SERVING;
    if (!transit(session, EVENT_BREAK)) {
        return;
    }
    if (was_serving) {
        session->lost_at_us = now_us;
    }
    if (was_serving && now_us - session->welcomed_at_us >= STABLE_US) {
        session->failures = 0;
    } else {
        session->endpoint = (session->endpoint + 1) % endpoint_count(session);
    }
    const struct drv_backoff backoff = {session->config.backoff_ms,
                                        session->config.backoff_max_ms};
    uint64_t delay_ms = drv_backoff_delay_ms(&backoff, session->failures++, &session->rng);
    delay_ms = delay_ms < pause_ms ? pause_ms : delay_ms;
    session->retry_at_us = now_us + (int64_t)delay_ms * 1000;
    forget_connection(session);
    worker_effects_add(&session->effects, &(struct worker_effect){.kind = WORKER_DISCONNECT});
    worker_effects_add(&session->effects,
                       &(struct worker_effect){
                           .kind = WORKER_LOST,
                           .number = delay_ms,
                           .text = worker_effects_text(&session->effects, reason),
                       });
}

void worker_session_stop(struct worker_session *session, drover_status status,
                         struct drv_str reason)
{
    bool was_connected = session->state == WORKER_SESSION_GREETING ||
                         session->state == WORKER_SESSION_SERVING;
    if (!transit(session, EVENT_STOP)) {
        return;
    }
    if (was_connected) {
        worker_effects_add(&session->effects,
                           &(struct worker_effect){.kind = WORKER_DISCONNECT, .number = 1});
    }
    worker_effects_add(&session->effects,
                       &(struct worker_effect){
                           .kind = WORKER_STOPPED,
                           .status = status,
                           .text = worker_effects_text(&session->effects, reason),
                       });
}

bool worker_session_welcome(struct worker_session *session)
{
    return transit(session, EVENT_WELCOME);
}

uint64_t worker_session_credit(const struct worker_session *session)
{
    return session->drain != WORKER_DRAIN_NONE
               ? 0
               : (uint64_t)session->config.slots + session->config.prefetch;
}

bool worker_session_is_draining(const struct worker_session *session)
{
    return session->drain != WORKER_DRAIN_NONE || session->is_broker_draining;
}

/* ---- inputs ---------------------------------------------------------------------------------
 */

void worker_session_start(struct worker_session *session, int64_t now_us)
{
    DRV_ASSERT(session->state == WORKER_SESSION_IDLE);
    open_connection(session, now_us);
}

void worker_session_heard(struct worker_session *session, int64_t now_us)
{
    if (session->state == WORKER_SESSION_SERVING) {
        session->heard_at_us = now_us;
        session->was_heard = true;
        session->is_expired = false;
    }
}

void worker_session_message(struct worker_session *session, const struct drv_message *message,
                            int64_t now_us)
{
    if (session->state != WORKER_SESSION_GREETING && session->state != WORKER_SESSION_SERVING) {
        return;
    }
    if (message->seq > session->seq_received) {
        session->seq_received = message->seq;
    }
    worker_session_on_message(session, message, now_us);
    worker_session_heard(session, now_us);
}

void worker_session_settled(struct worker_session *session, uint64_t token)
{
    if (worker_session_settle_output(session, token) || token <= session->reports_settled ||
        token > session->reports) {
        return;
    }
    session->reports_settled = token;
    for (struct worker_lease *lease = worker_book_first(&session->book, WORKER_LEASE_REPORTED);
         lease != NULL && lease->report <= token;
         lease = worker_book_first(&session->book, WORKER_LEASE_REPORTED)) {
        worker_book_remove(&session->book, &lease);
    }
}

void worker_session_broken(struct worker_session *session, const char *reason, int64_t now_us)
{
    worker_session_break(session, drv_str_of(reason), 0, now_us);
}

void worker_session_set_blocked(struct worker_session *session, bool is_blocked)
{
    session->is_blocked = is_blocked;
}

/* ---- the end --------------------------------------------------------------------------------
 */

void worker_session_drain(struct worker_session *session, int64_t now_us)
{
    if (session->drain == WORKER_DRAIN_NONE) {
        session->drain = WORKER_DRAIN_GRACEFUL;
        session->drain_at_us = now_us + session->config.grace_us;
        worker_session_return_unstarted(session, DRV_RETURN_DRAINING);
    } else {
        session->drain = WORKER_DRAIN_NOW;
        session->drain_at_us = now_us;
    }
}

static bool is_idle(const struct worker_book *book)
{
    return book->counts[WORKER_LEASE_QUEUED] + book->counts[WORKER_LEASE_CONFIRMING] +
               book->counts[WORKER_LEASE_GIVEN] + book->counts[WORKER_LEASE_RUNNING] ==
           0;
}

static bool is_settled(const struct worker_session *session)
{
    return worker_book_count(&session->book) == 0 && session->returned.count == 0 &&
           session->reports_settled == session->reports;
}

static void say_goodbye(struct worker_session *session)
{
    struct drv_message *goodbye = worker_effects_send(&session->effects, DRV_GOODBYE, 0);
    if (goodbye != NULL) {
        goodbye->goodbye.text = drv_str_of("the worker ends");
    }
    worker_session_stop(session, DROVER_OK, drv_str_of("drained"));
}

/* The steps of a drain; each turn takes those that are due. */
static void advance_drain(struct worker_session *session, int64_t now_us)
{
    if (session->drain == WORKER_DRAIN_NONE || session->state == WORKER_SESSION_STOPPED) {
        return;
    }
    if (now_us >= session->drain_at_us) {
        worker_session_cancel_all(session);
    }
    if (!is_idle(&session->book)) {
        return;
    }
    if (session->settle_at_us == INT64_MAX) {
        session->settle_at_us = now_us + session->config.settle_us;
    }
    if (session->state == WORKER_SESSION_SERVING && is_settled(session)) {
        say_goodbye(session);
    } else if (session->state != WORKER_SESSION_SERVING &&
               worker_book_count(&session->book) == 0) {
        worker_session_stop(session, DROVER_OK, drv_str_of("drained without a broker"));
    } else if (now_us >= session->settle_at_us) {
        worker_session_stop(session, DROVER_UNAVAILABLE,
                            drv_str_of("no broker took the last results"));
    }
}

/* ---- one turn -------------------------------------------------------------------------------
 */

/* When contact is lost unless something is heard. */
static int64_t silent_at(const struct worker_session *session)
{
    return session->heard_at_us +
           (session->silence_us > session->lease_us ? session->silence_us : session->lease_us);
}

static void watch_contact(struct worker_session *session, int64_t now_us)
{
    if (!session->was_heard || now_us < silent_at(session)) {
        return;
    }
    if (session->state == WORKER_SESSION_SERVING) {
        worker_session_break(session, drv_str_of("nothing was heard for the lease time"), 0,
                             now_us);
    }
    if (!session->is_expired) {
        session->is_expired = true;
        worker_session_expire_unstarted(session);
    }
}

/* What was received is in the books; messages with large payloads stay unsettled, and so the
 * broker's window closed, while too much waits here. */
static void settle(struct worker_session *session)
{
    if (session->state != WORKER_SESSION_SERVING ||
        session->seq_settled == session->seq_received ||
        session->book.payload_bytes > session->config.payload_bytes_max) {
        return;
    }
    session->seq_settled = session->seq_received;
    worker_effects_add(
        &session->effects,
        &(struct worker_effect){.kind = WORKER_SETTLE, .number = session->seq_settled});
}

static void serve(struct worker_session *session, int64_t now_us)
{
    worker_session_send_credit(session);
    worker_session_send_questions(session, now_us);
    worker_session_send_reports(session, now_us);
    worker_session_send_output(session, now_us);
    if (now_us >= session->heartbeat_at_us) {
        worker_session_send_heartbeat(session, now_us);
    }
    settle(session);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t question_deadline(const struct worker_session *session)
{
    int64_t deadline = INT64_MAX;
    DRV_LIST_EACH(link, &session->questions.open)
    {
        deadline = earlier(deadline,
                           DRV_LIST_ITEM(link, struct worker_question, link)->deadline_us);
    }
    return deadline;
}

static int64_t serving_deadline(const struct worker_session *session)
{
    int64_t at = earlier(session->heartbeat_at_us, silent_at(session));
    at = earlier(at, worker_session_output_deadline(session));
    if (!session->is_blocked) {
        if (session->book.counts[WORKER_LEASE_FINISHED] > 0 || session->returned.count > 0) {
            return 0; /* more than one turn reports */
        }
        at = earlier(at, session->start_flush_at_us);
        at = session->has_progress ? earlier(at, session->progress_flush_at_us) : at;
    }
    return at;
}

static int64_t next_deadline(const struct worker_session *session, int64_t now_us)
{
    int64_t at = question_deadline(session);
    if (session->state == WORKER_SESSION_WAITING) {
        at = earlier(at, session->retry_at_us);
    } else if (session->state == WORKER_SESSION_GREETING) {
        at = earlier(at, session->greeting_at_us);
    } else if (session->state == WORKER_SESSION_SERVING) {
        at = earlier(at, serving_deadline(session));
    }
    if (session->state != WORKER_SESSION_SERVING && session->was_heard) {
        int64_t offline_at = session->lost_at_us + session->config.offline_us;
        int64_t expire_at = silent_at(session);
        at = earlier(at, offline_at > now_us ? offline_at : INT64_MAX);
        at = earlier(at, session->is_expired ? INT64_MAX : expire_at);
    }
    if (session->drain != WORKER_DRAIN_NONE) {
        at = earlier(at, session->drain_at_us > now_us ? session->drain_at_us : INT64_MAX);
        at = earlier(at, session->settle_at_us);
    }
    return at;
}

int64_t worker_session_tick(struct worker_session *session, int64_t now_us)
{
    if (session->state == WORKER_SESSION_STOPPED || session->state == WORKER_SESSION_IDLE) {
        return INT64_MAX;
    }
    if (session->state == WORKER_SESSION_GREETING && now_us >= session->greeting_at_us) {
        worker_session_break(session, drv_str_of("the broker does not answer"), 0, now_us);
    }
    watch_contact(session, now_us);
    if (session->state == WORKER_SESSION_WAITING && now_us >= session->retry_at_us) {
        open_connection(session, now_us);
    }
    worker_session_expire_questions(session, now_us);
    worker_session_start_leases(session, now_us);
    if (session->state == WORKER_SESSION_SERVING) {
        serve(session, now_us);
    }
    advance_drain(session, now_us);
    return session->state == WORKER_SESSION_STOPPED ? INT64_MAX
                                                    : next_deadline(session, now_us);
}

/* ---- looking in -----------------------------------------------------------------------------
 */

const struct worker_effect *worker_session_effects(const struct worker_session *session,
                                                   size_t *out_count)
{
    *out_count = session->effects.count;
    return session->effects.items;
}

void worker_session_effects_clear(struct worker_session *session)
{
    worker_effects_clear(&session->effects);
}

enum worker_session_state worker_session_get_state(const struct worker_session *session)
{
    return session->state;
}

void worker_session_get_numbers(const struct worker_session *session,
                                struct worker_session_numbers *out_numbers)
{
    const struct worker_book *book = &session->book;
    *out_numbers = (struct worker_session_numbers){
        .queued = book->counts[WORKER_LEASE_QUEUED],
        .given = book->counts[WORKER_LEASE_CONFIRMING] + book->counts[WORKER_LEASE_GIVEN],
        .running = book->counts[WORKER_LEASE_RUNNING],
        .held = book->counts[WORKER_LEASE_FINISHED] + book->counts[WORKER_LEASE_REPORTED],
        .held_bytes = book->held_bytes,
        .payload_bytes = book->payload_bytes,
        .shared_bytes = session->shelf.bytes,
        .output_bytes = book->output_bytes,
        .finished = session->finished_total,
        .returned = session->returned_total,
        .stale = session->stale_total,
    };
}

bool worker_session_is_broke(const struct worker_session *session)
{
    return session->is_broke || session->effects.failed;
}

const char *worker_session_check(const struct worker_session *session)
{
    size_t in_pool = session->book.counts[WORKER_LEASE_GIVEN] +
                     session->book.counts[WORKER_LEASE_RUNNING];
    if (session->state != WORKER_SESSION_SERVING &&
        session->book.counts[WORKER_LEASE_REPORTED] > 0) {
        return "a result counts as reported without a connection";
    }
    if (in_pool > session->config.run_max) {
        return "the pool has more than it takes";
    }
    return worker_book_check(&session->book);
}
