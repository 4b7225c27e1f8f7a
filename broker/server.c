/* server.c: the life of the broker and its loop; see server.h. */
#include "server.h"

#include "allocator.h"
#include "check.h"
#include "clock.h"
#include "notify.h"
#include "security.h"
#include "zone_file.h"

#include <drover/drover.h>

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <zmq.h>

static int64_t now_us(void)
{
    return (int64_t)drv_clock_now_us();
}

static int64_t wall_us(void)
{
    return (int64_t)drv_clock_wall_ms() * 1000;
}

static drover_status set_option(void *socket, int option, int value,
                                struct drv_problem *problem)
{
    if (zmq_setsockopt(socket, option, &value, sizeof(value)) != 0) {
        return drv_problem_set(problem, DROVER_INTERNAL, "socket option %d: %s", option,
                               zmq_strerror(errno));
    }
    return DROVER_OK;
}

static drover_status set_options(void *socket, struct drv_problem *problem)
{
    static const struct {
        int option;
        int value;
    } options[] = {
        {ZMQ_ROUTER_MANDATORY, 1},
        {ZMQ_SNDHWM, SERVER_HWM},
        {ZMQ_RCVHWM, SERVER_HWM},
        {ZMQ_LINGER, 500},
        {ZMQ_BACKLOG, 1024},
        {ZMQ_HANDSHAKE_IVL, 10000},
        {ZMQ_TCP_KEEPALIVE, 1},
        {ZMQ_TCP_KEEPALIVE_IDLE, DRV_KEEPALIVE_IDLE_S},
        {ZMQ_TCP_KEEPALIVE_INTVL, DRV_KEEPALIVE_INTERVAL_S},
        {ZMQ_TCP_KEEPALIVE_CNT, DRV_KEEPALIVE_COUNT},
        {ZMQ_TCP_MAXRT, DRV_UNSENT_MAX_MS},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(options); i++) {
        drover_status status = set_option(socket, options[i].option, options[i].value, problem);
        if (status != DROVER_OK) {
            return status;
        }
    }
    int64_t max = SERVER_MESSAGE_MAX;
    if (zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max, sizeof(max)) != 0) {
        return drv_problem_set(problem, DROVER_INTERNAL, "socket limit: %s",
                               zmq_strerror(errno));
    }
    return DROVER_OK;
}

static drover_status bind_port(struct server *server, enum core_port port, const char *endpoint,
                               struct drv_problem *problem)
{
    void *socket = zmq_socket(server->context, ZMQ_ROUTER);
    if (socket == NULL) {
        return drv_problem_set(problem, DROVER_INTERNAL, "socket: %s", zmq_strerror(errno));
    }
    server->sockets[port] = socket;
    server->may_read[port] = true; /* a queue that was never read wakes nobody */
    drover_status status = set_options(socket, problem);
    if (status == DROVER_OK) {
        status = security_guard(server, socket, problem);
    }
    if (status == DROVER_OK && !endpoint_is_ipv4(endpoint)) {
        status = set_option(socket, ZMQ_IPV6, 1, problem);
    }
    if (status != DROVER_OK) {
        return status;
    }
    if (endpoint_is_taken(endpoint)) {
        return drv_problem_set(problem, DROVER_IO, "cannot listen on %s: another process does",
                               endpoint);
    }
    if (zmq_bind(socket, endpoint) != 0) {
        return drv_problem_set(problem, DROVER_IO, "cannot listen on %s: %s", endpoint,
                               zmq_strerror(errno));
    }
    size_t len = ENDPOINT_MAX;
    size_t fd_len = sizeof(server->socket_fds[port]);
    if (zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, server->endpoints[port], &len) != 0 ||
        zmq_getsockopt(socket, ZMQ_FD, &server->socket_fds[port], &fd_len) != 0) {
        return drv_problem_set(problem, DROVER_INTERNAL, "endpoint: %s", zmq_strerror(errno));
    }
    server->endpoint_list[port] = server->endpoints[port];
    return DROVER_OK;
}

static drover_status open_signals(struct server *server, struct drv_problem *problem)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
        return drv_problem_set(problem, DROVER_INTERNAL, "signals: %s", strerror(errno));
    }
    server->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (server->signal_fd < 0) {
        return drv_problem_set(problem, DROVER_INTERNAL, "signalfd: %s", strerror(errno));
    }
    return DROVER_OK;
}

/* Where the last life ended, if a task brought it down. The broker can do without. */
static void open_hand(struct server *server, const char *directory)
{
    struct core_hand crashed = {.is_held = 0};
    struct drv_problem problem = {""};
    char text[DROVER_ID_TEXT_LEN + 1];
    if (hand_open(directory, &server->hand, &crashed, &problem) != DROVER_OK) {
        drv_log_warn(server->log, "a task that crashes the broker will not be known",
                     drv_log_str("why", problem.text));
    } else if (crashed.is_held != 0) {
        drover_id_format(&crashed.id, text);
        drv_log_warn(server->log, "the broker ended with this task in hand",
                     drv_log_str("task", text), drv_log_int("index", (int32_t)crashed.index));
    }
}

static void set_aside(struct server *server)
{
    for (size_t i = 0; server->hand != NULL && i < HAND_SUSPECTS_MAX; i++) {
        const struct hand_suspect *suspect = &server->hand->suspects[i];
        char text[DROVER_ID_TEXT_LEN + 1];
        if (suspect->crashes >= HAND_CRASHES_MAX) {
            drover_id_format(&suspect->id, text);
            drv_log_error(server->log, "task set aside: the broker crashed with it in hand",
                          drv_log_str("task", text),
                          drv_log_int("index", (int32_t)suspect->index),
                          drv_log_uint("times", suspect->crashes));
            core_set_aside(server->core, &suspect->id, suspect->index, now_us());
        }
    }
}

static drover_status open_store(struct server *server, struct drv_problem *problem)
{
    const struct settings *settings = &server->settings;
    if (settings->is_memory) {
        return store_memory_new(&server->store);
    }
    char path[DATA_DIR_MAX];
    drover_status status = data_dir_choose(settings->data, path, problem);
    if (status != DROVER_OK) {
        return status;
    }
    const struct store_journal_config config = {.directory = path};
    status = store_journal_new(&config, &server->store, problem);
    if (status == DROVER_OK) {
        open_hand(server, path);
        self_open(&server->meter, path);
    }
    return status;
}

static drover_status make_core(struct server *server, uint64_t seed,
                               struct drv_problem *problem)
{
    struct core_config *config = &server->settings.core;
    config->seed = seed;
    config->salt = store_salt(server->store) != 0 ? store_salt(server->store) : seed;
    config->hand = server->hand == NULL ? NULL : &server->hand->task;
    config->software = "drover " DROVER_VERSION_STRING;
    config->store_name = store_name(server->store);
    config->durability_max = store_durability_max(server->store);
    config->client_endpoints = &server->endpoint_list[CORE_PORT_CLIENT];
    config->client_endpoint_count = 1;
    config->worker_endpoints = &server->endpoint_list[CORE_PORT_WORKER];
    config->worker_endpoint_count = 1;
    drover_status status = drover_id_new(&config->broker_id);
    if (status == DROVER_OK) {
        status = core_new(config, now_us(), &server->core);
    }
    return status == DROVER_OK
               ? DROVER_OK
               : drv_problem_set(problem, status, "start: %s", drover_status_text(status));
}

drover_status server_read_zone(struct server *server, const char *name)
{
    struct drv_buffer bytes;
    drv_buffer_init(&bytes);
    drover_status status = drv_zone_file_read(name, &bytes);
    if (status == DROVER_OK) {
        status = core_set_zone(server->core, name, bytes.bytes, bytes.len);
    }
    drv_buffer_fini(&bytes);
    return status;
}

/* Those that kept schedules count by. */
static void read_zones(struct server *server)
{
    const char *name;
    for (size_t i = 0; (name = core_zone(server->core, i)) != NULL; i++) {
        drover_status status = server_read_zone(server, name);
        if (status != DROVER_OK) {
            drv_log_error(server->log, "schedules stand still: their time zone is not there",
                          drv_log_str("zone", name), drv_log_status("why", status));
        }
    }
}

/* What was kept, and the epoch: with a store that counts none the wall clock serves as one. */
static drover_status recover(struct server *server, struct drv_problem *problem)
{
    int64_t begin_us = now_us();
    core_set_wall(server->core, begin_us, wall_us());
    drover_status status = store_recover(server->store, server->core, begin_us,
                                         &server->recovery, problem);
    if (status != DROVER_OK) {
        return status;
    }
    uint64_t epoch = store_epoch(server->store);
    server->settings.core.epoch = epoch != 0 ? epoch : drv_clock_wall_ms();
    core_set_epoch(server->core, server->settings.core.epoch);
    set_aside(server);
    read_zones(server);
    security_tell(server, now_us());
    server->recovery_us = now_us() - begin_us;
    return DROVER_OK;
}

static drover_status open_sockets(struct server *server, struct drv_problem *problem)
{
    server->context = zmq_ctx_new();
    if (server->context == NULL) {
        return drv_problem_set(problem, DROVER_INTERNAL, "context: %s", zmq_strerror(errno));
    }
    (void)zmq_ctx_set(server->context, ZMQ_MAX_SOCKETS, 16);
    drover_status status = security_begin(server, problem);
    if (status == DROVER_OK) {
        status = bind_port(server, CORE_PORT_CLIENT, server->settings.client_bind, problem);
    }
    if (status == DROVER_OK) {
        status = bind_port(server, CORE_PORT_WORKER, server->settings.worker_bind, problem);
    }
    if (status == DROVER_OK) {
        status = security_prove(server, problem);
    }
    drv_identity_wipe(&server->identity); /* the sockets have their copies */
    return status;
}

/* Without being asked for by name it is a courtesy: another broker may have the usual port. */
static drover_status open_http(struct server *server, struct drv_problem *problem)
{
    const struct http_config *config = &server->settings.http;
    if (config->lacks_token) {
        drv_log_info(server->log, "no page, no metrics",
                     drv_log_str("why", "with --accounts they want --http-token-file"));
    }
    if (config->is_off) {
        return DROVER_OK;
    }
    drover_status status = http_new(config, server->log, &server->http, problem);
    if (status == DROVER_OK) {
        server->channel = http_channel(server->http);
        status = http_start(server->http, problem);
    } else if (status == DROVER_BUSY && !config->is_asked) {
        drv_log_warn(server->log, "no page, no metrics: see --http",
                     drv_log_str("why", problem->text));
        return DROVER_OK;
    }
    return status == DROVER_BUSY ? DROVER_IO : status;
}

drover_status server_new(const struct settings *settings, const struct drv_log *log,
                         struct server **out_server, struct drv_problem *problem)
{
    uint64_t seeds[2];
    if (getrandom(seeds, sizeof(seeds), 0) != (ssize_t)sizeof(seeds)) {
        return drv_problem_set(problem, DROVER_IO, "no random bytes: %s", strerror(errno));
    }
    srandom((unsigned)seeds[0]); /* libzmq draws routing ids from the C library */
    srand((unsigned)(seeds[0] >> 32U));
    struct server *server = calloc(1, sizeof(*server));
    if (server == NULL) {
        return drv_problem_set(problem, DROVER_NOMEM, "out of memory");
    }
    server->log = log;
    server->settings = *settings;
    server->signal_fd = -1;
    self_open(&server->meter, NULL);
    drv_arena_init(&server->arena, 1 << 20);
    drover_status status = connections_init(&server->peers, seeds[1], settings->peers_max);
    if (status == DROVER_OK) {
        status = open_signals(server, problem);
    }
    if (status == DROVER_OK) {
        status = open_sockets(server, problem);
    }
    if (status == DROVER_OK) {
        status = open_store(server, problem);
    }
    if (status == DROVER_OK) {
        status = make_core(server, seeds[1], problem);
    }
    if (status == DROVER_OK) {
        status = alert_setup(server, problem);
    }
    if (status == DROVER_OK) {
        status = recover(server, problem);
    }
    if (status == DROVER_OK) {
        status = open_http(server, problem);
    }
    if (status != DROVER_OK) {
        server_destroy(&server);
        return status;
    }
    *out_server = server;
    return DROVER_OK;
}

void server_destroy(struct server **server)
{
    struct server *s = *server;
    *server = NULL;
    if (s == NULL) {
        return;
    }
    http_destroy(&s->http);
    alert_actions_destroy(&s->commands);
    alert_actions_destroy(&s->webhooks);
    gate_fini(&s->gate);
    connections_fini(&s->peers);
    for (size_t i = 0; i < DRV_ARRAY_LEN(s->sockets); i++) {
        if (s->sockets[i] != NULL) {
            (void)zmq_close(s->sockets[i]);
        }
    }
    security_end(s);
    if (s->context != NULL) {
        (void)zmq_ctx_term(s->context);
    }
    core_destroy(&s->core);
    hand_close(&s->hand, s->stop);
    store_destroy(&s->store);
    drv_arena_fini(&s->arena);
    self_close(&s->meter);
    if (s->signal_fd >= 0) {
        (void)close(s->signal_fd);
    }
    free(s);
}

static void tell_gone(struct server *server, int64_t now)
{
    struct drv_list *link;
    while ((link = drv_list_pop_front(&server->peers.gone)) != NULL) {
        struct connection *peer = DRV_LIST_ITEM(link, struct connection, gone);
        struct core_event event = {
            .kind = CORE_EVENT_GONE, .peer = peer->number, .port = peer->port};
        core_step(server->core, &event, now);
        connections_remove(&server->peers, &peer);
    }
}

void server_on_signals(struct server *server, int64_t now)
{
    struct signalfd_siginfo info;
    while (read(server->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGHUP) {
            read_zones(server); /* tzdata may have been updated */
            drv_log_info(server->log, "time zones read again", drv_log_str("signal", "HUP"));
            security_reload(server, now);
        } else if (server->drain_until_us != 0) {
            drv_log_warn(server->log, "second signal, ending at once", drv_log_end());
            server->stop = true;
        } else {
            drv_log_info(server->log, "draining",
                         drv_log_int("grace_ms", server->settings.grace_us / 1000));
            notify_stopping();
            server->drain_until_us = now + server->settings.grace_us;
            core_drain(server->core, now);
        }
    }
}

static void check_drained(struct server *server, int64_t now)
{
    if (server->drain_until_us == 0 || server->stop) {
        return;
    }
    if (core_is_drained(server->core)) {
        server->stop = true;
    } else if (now >= server->drain_until_us) {
        drv_log_warn(server->log, "grace is over, tasks still run", drv_log_end());
        server->stop = true;
    }
}

/* What the load has left goes back to the system once most of it is over. */
static void trim_memory(struct server *server)
{
    uint64_t bytes = core_memory_bytes(server->core);
    server->peak_bytes = bytes > server->peak_bytes ? bytes : server->peak_bytes;
    if (server->peak_bytes < SERVER_TRIM_BYTES || bytes > server->peak_bytes / 4) {
        return;
    }
    server->peak_bytes = bytes;
    core_trim(server->core);
    drv_allocator_trim();
}

/*
 * Memory that nobody accounts for: connections, messages and documents on their way. Many of
 * them at a time leave free memory behind, which the allocator keeps. It goes back when nothing
 * much is accounted for, so that looking for it takes no time from a load, and seldom, since
 * what is in use cannot go back.
 */
static void trim_others(struct server *server, uint64_t resident, int64_t now)
{
    uint64_t known = core_memory_bytes(server->core);
    uint64_t others = resident > known ? resident - known : 0;
    if (server->other_bytes == 0 || others < server->other_bytes) {
        server->other_bytes = others;
    }
    if (now >= server->trim_at_us && known < SERVER_TRIM_BYTES &&
        others > server->other_bytes + SERVER_TRIM_BYTES) {
        server->trim_at_us = now + SERVER_TRIM_US;
        drv_allocator_trim();
    }
}

static void tell_self(struct server *server, int64_t now)
{
    if (now < server->self_at_us) {
        return;
    }
    server->self_at_us = now + SERVER_SELF_US;
    struct core_event event = {.kind = CORE_EVENT_SELF, .self = self_read(&server->meter, now)};
    alert_count(server, &event.self);
    core_step(server->core, &event, now);
    trim_others(server, event.self.rss_bytes, now);
}

/* What the store says. False: it has failed. */
static bool tend_store(struct server *server, int64_t now)
{
    struct drv_problem problem = {""};
    store_seen(server->store);
    if (core_has_failed(server->core) || store_health(server->store, &problem) != DROVER_OK) {
        drv_log_error(
            server->log, "the data cannot be kept: ending",
            drv_log_str("why", problem.text[0] != '\0' ? problem.text : "out of memory"));
        return false;
    }
    if (now >= server->store_at_us) {
        server->store_at_us = now + SERVER_STORE_US;
        store_tick(server->store);
        security_count(server);
        trim_memory(server);
    }
    bool is_full = store_is_full(server->store);
    if (is_full != server->was_full) {
        drv_log_warn(server->log,
                     is_full ? "the disk is full: new work is refused"
                             : "there is space on the disk again",
                     drv_log_end());
    }
    server->was_full = is_full;
    core_set_full(server->core, is_full);
    return true;
}

/* Whether this turn begins much later than the last one meant it to. */
static void check_standstill(struct server *server, int64_t now)
{
    int64_t late_us = server->turn_due_us == 0 ? 0 : now - server->turn_due_us;
    if (late_us > server->settings.core.heartbeat_us) {
        drv_log_warn(server->log, "the broker stood still, nobody is lost for that",
                     drv_log_int("ms", late_us / 1000));
        core_stood_still(server->core, now);
    }
}

/* For those who watch the loop from outside. */
static void tell_pulse(struct server *server, int64_t now)
{
    if (server->channel != NULL) {
        struct channel_pulse *pulse = &server->channel->pulse;
        atomic_store_explicit(&pulse->turned_at_us, now, memory_order_relaxed);
        atomic_store_explicit(&pulse->is_draining, server->drain_until_us != 0,
                              memory_order_relaxed);
        atomic_store_explicit(&pulse->is_full, server->was_full, memory_order_relaxed);
    }
}

static bool read_port(struct server *server, enum core_port port, int64_t now)
{
    server->unread[port] = intake_drain(server, port, now);
    return server->unread[port];
}

/* One turn; gives the instant of the next, now when there is more to read. */
static int64_t turn(struct server *server)
{
    int64_t now = now_us();
    core_set_wall(server->core, now, wall_us());
    check_standstill(server, now);
    tell_pulse(server, now);
    tell_gone(server, now);
    tell_self(server, now);
    bool more = store_compact(server->store, server->core);
    if (store_has_room(server->store)) {
        more = read_port(server, CORE_PORT_WORKER, now) || more;
        more = read_port(server, CORE_PORT_CLIENT, now) || more;
        more = (server->channel != NULL && intake_drain_inside(server, now)) || more;
    }
    int64_t next = core_tick(server->core, now);
    outlet_apply(server, now);
    if (wait_gathers(server, more, now)) {
        next = server->gather_until_us < next ? server->gather_until_us : next;
    } else {
        more = outlet_flush(server, now) || more;
    }
    check_drained(server, now);
    if (store_durability_max(server->store) != DROVER_DURABILITY_MEMORY) {
        self_stored(&server->meter, store_last(server->store),
                    store_durable(server->store, DROVER_DURABILITY_SYNCED), now);
    }
    int64_t deadline = outlet_deadline_us(server);
    next = deadline < next ? deadline : next;
    next = server->self_at_us < next ? server->self_at_us : next;
    next = server->store_at_us < next ? server->store_at_us : next;
    if (server->drain_until_us != 0 && server->drain_until_us < next) {
        next = server->drain_until_us;
    }
    if (!drv_list_is_empty(&server->peers.waiting) && now + SERVER_RETRY_US < next) {
        next = now + SERVER_RETRY_US;
    }
    return more ? now : next;
}

static void say_ready(const struct server *server)
{
    bool has_http = server->http != NULL;
    (void)printf("ready endpoint=%s worker_endpoint=%s%s%s records=%" PRIu64
                 " recovery_ms=%" PRId64 "\n",
                 server->endpoints[CORE_PORT_CLIENT], server->endpoints[CORE_PORT_WORKER],
                 has_http ? " http=" : "", has_http ? http_bound(server->http) : "",
                 server->recovery.records, server->recovery_us / 1000);
    (void)fflush(stdout);
    notify_ready(server->endpoints[CORE_PORT_CLIENT], server->endpoints[CORE_PORT_WORKER],
                 has_http ? http_bound(server->http) : NULL);
    drv_log_info(server->log, "ready",
                 drv_log_str("endpoint", server->endpoints[CORE_PORT_CLIENT]),
                 drv_log_str("worker_endpoint", server->endpoints[CORE_PORT_WORKER]),
                 drv_log_str("http", has_http ? http_bound(server->http) : "off"),
                 drv_log_str("store", store_name(server->store)),
                 drv_log_uint("records", server->recovery.records),
                 drv_log_uint("bytes", server->recovery.bytes),
                 drv_log_int("recovery_ms", server->recovery_us / 1000),
                 drv_log_bool("torn", server->recovery.is_torn));
}

static void say_end(const struct server *server)
{
    struct core_counters counters;
    core_counters_get(server->core, &counters);
    uint64_t unfinished = counters.waiting + counters.delayed + counters.queued +
                          counters.running;
    if (unfinished > 0 && store_durability_max(server->store) == DROVER_DURABILITY_MEMORY) {
        drv_log_warn(server->log, "unfinished tasks end with the memory store",
                     drv_log_uint("tasks", unfinished));
    }
    drv_log_info(server->log, "stopped", drv_log_uint("submitted", counters.submitted),
                 drv_log_uint("succeeded", counters.succeeded),
                 drv_log_uint("failed", counters.failed));
}

static void tell_failed(struct server *server)
{
    if (server->channel != NULL) {
        atomic_store(&server->channel->pulse.has_failed, true);
    }
}

/* All that was promised is kept, then the peers are told. */
static drover_status end(struct server *server)
{
    drover_status status = store_stop(server->store);
    if (status != DROVER_OK) {
        drv_log_error(server->log, "what was not acknowledged may not be kept",
                      drv_log_status("status", status));
    }
    gate_open(&server->gate, &server->peers, server->store, now_us());
    outlet_goodbye(server);
    (void)outlet_flush(server, now_us());
    return status;
}

drover_status server_run(struct server *server)
{
    drover_status status = DROVER_OK;
    if (server->channel != NULL) { /* who is told that it serves may ask how it is */
        tell_pulse(server, now_us());
        atomic_store(&server->channel->pulse.is_serving, true);
        channel_wake(&server->channel->down); /* it listens from now on */
    }
    say_ready(server);
    while (!server->stop && status == DROVER_OK) {
        int64_t begin_us = now_us();
        int64_t next = turn(server);
        int64_t end_us = now_us();
        self_turned(&server->meter, end_us - begin_us);
        if (!tend_store(server, end_us)) {
            status = DROVER_IO;
            tell_failed(server);
        } else if (!server->stop) {
            status = wait_for_input(server, next);
        }
    }
    drover_status ended = end(server);
    say_end(server);
    return status != DROVER_OK ? status : ended;
}
