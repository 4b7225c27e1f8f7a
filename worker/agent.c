#include "agent.h"

#include "allocator.h"
#include "bridge.h"
#include "check.h"
#include "clock.h"
#include "conceal.h"
#include "connection.h"
#include "group.h"
#include "notify.h"
#include "pulse.h"
#include "session.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    AGENT_BURST = 64,                 /* messages of the broker in one turn */
    AGENT_LOST_LOG_US = 30000 * 1000, /* a broker that stays away is logged so often */
    AGENT_WAIT_MAX_MS = 60 * 1000,
    AGENT_SPARE_US = 1000 * 1000, /* so long after a large value there may come another one */
};

struct worker_agent {
    const struct worker_settings *settings; /* borrowed */
    const struct drv_log *log;              /* borrowed */
    struct worker_bridge bridge;            /* to the pool */
    struct worker_session *session;         /* owned */
    struct group_tree groups;               /* control groups of what runs tasks */
    struct drv_problem no_groups;           /* why there are none */
    struct sandbox sandbox;                 /* what is told of all that */
    struct worker_pulse pulse;              /* statistics */
    struct drv_offer *types;                /* owned */
    bool *takes_ranges;                     /* owned; by type */
    bool has_ranges;                        /* one of them does */
    void *context;                          /* owned, ZeroMQ */
    struct drv_identity identity;           /* read by this process: executors have no copy */
    struct conceal conceal;                 /* what keeps handlers from it */
    struct worker_connection *connection;   /* owned; NULL: none */
    struct drv_arena arena;                 /* the message being read */
    char host_name[DRV_NAME_MAX + 1];
    char name[DRV_NAME_MAX + 1]; /* in force; empty before the first WELCOME */
    drover_id id;                /* of the session */
    int signal_fd;
    int64_t lost_logged_at_us;
    uint64_t large_count; /* of the connection, when last looked at */
    int64_t trim_at_us;   /* when to look whether it is over; INT64_MAX: nothing is spare */
    const char *broken;   /* why the connection cannot be used; NULL: it can */
    bool was_ready, was_connected, is_stopped;
    drover_status status; /* what run returns */
    struct drv_problem problem;
};

static int64_t clock_now_us(void)
{
    return (int64_t)drv_clock_now_us();
}

/* ---- life -----------------------------------------------------------------------------------
 */

static drover_status open_signals(struct worker_agent *agent, struct drv_problem *problem)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
        return drv_problem_set(problem, DROVER_INTERNAL, "signals: %s", strerror(errno));
    }
    agent->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (agent->signal_fd < 0) {
        return drv_problem_set(problem, DROVER_INTERNAL, "signalfd: %s", strerror(errno));
    }
    return DROVER_OK;
}

/* Before the zygote: what it forks begins where this process is then. */
static drover_status open_groups(struct worker_agent *agent, struct drv_problem *problem)
{
    enum worker_cgroup wanted = agent->settings->cgroup;
    drover_status status = DROVER_UNSUPPORTED;
    agent->sandbox = (struct sandbox){.settings = agent->settings,
                                      .groups = &agent->groups,
                                      .why = agent->no_groups.text,
                                      .conceal = &agent->conceal};
    if (wanted == WORKER_CGROUP_OFF) {
        (void)drv_problem_set(&agent->no_groups, status, "--cgroup off");
    } else {
        status = group_tree_open(&agent->groups, "", getpid(), &agent->no_groups);
    }
    return status != DROVER_OK && wanted == WORKER_CGROUP_REQUIRE
               ? drv_problem_set(problem, status, "--cgroup require: %s", agent->no_groups.text)
               : DROVER_OK;
}

static void log_groups(const struct worker_agent *agent)
{
    if (agent->groups.dir[0] != '\0') {
        drv_log_info(agent->log, "limits by control groups",
                     drv_log_str("group", agent->groups.dir));
    } else {
        drv_log_info(agent->log, "limits by rlimit and sampling",
                     drv_log_str("why", agent->no_groups.text));
    }
}

static drover_status open_pool(struct worker_agent *agent, struct drv_problem *problem)
{
    const struct worker_settings *settings = agent->settings;
    const struct pool_config config = {
        .own = settings->own,
        .modules = settings->modules,
        .module_count = settings->module_count,
        .commands = settings->handlers.commands,
        .command_count = settings->handlers.count,
        .allow_exec = settings->allow_exec,
        .allow_exec_count = settings->allow_exec_count,
        .exec_dir = settings->exec_dir,
        .concealed = conceal_key(&agent->conceal),
        .slots = settings->slots,
        .drops_output = settings->drops_output,
        .model = settings->model,
        .rules = settings->rules.items,
        .rule_count = settings->rules.count,
        .threads = settings->threads,
        .executors_min = settings->executors_min,
        .idle_ms = settings->idle_ms,
        .tasks_max = settings->tasks_max,
        .memory_max = settings->memory_max,
        .group_dir = agent->groups.dir,
        .log = agent->log,
    };
    return pool_new(&config, problem, &agent->bridge.pool);
}

static drover_status list_types(struct worker_agent *agent, struct drv_problem *problem)
{
    size_t count = pool_type_count(agent->bridge.pool);
    agent->types = calloc(count + 1, sizeof *agent->types);
    agent->takes_ranges = calloc(count + 1, sizeof *agent->takes_ranges);
    if (agent->types == NULL || agent->takes_ranges == NULL) {
        return drv_problem_set(problem, DROVER_NOMEM, "out of memory");
    }
    for (size_t i = 0; i < count; i++) {
        struct pool_type type = pool_type_at(agent->bridge.pool, i);
        agent->types[i].name = drv_str_of(type.name);
        agent->types[i].model = (uint32_t)type.model;
        agent->types[i].concurrency = type.concurrency;
        agent->takes_ranges[i] = type.takes_ranges;
        agent->has_ranges = agent->has_ranges || type.takes_ranges;
    }
    return DROVER_OK;
}

static drover_status open_session(struct worker_agent *agent, struct drv_problem *problem)
{
    const struct worker_settings *settings = agent->settings;
    struct worker_session_config config;
    worker_session_config_init(&config);
    if (getrandom(&config.seed, sizeof config.seed, 0) != (ssize_t)sizeof config.seed ||
        getrandom(&agent->id, sizeof agent->id, 0) != (ssize_t)sizeof agent->id) {
        return drv_problem_set(problem, DROVER_IO, "no random bytes: %s", strerror(errno));
    }
    config.session = agent->id;
    config.name = drv_str_of(settings->name);
    config.host = drv_str_of(agent->host_name);
    config.software = drv_str_of("drover " DROVER_VERSION_STRING);
    config.slots = settings->slots;
    config.pid = (uint32_t)getpid();
    config.model = (uint32_t)settings->model; /* the same numbers */
    config.prefetch = settings->prefetch;
    config.run_max = settings->slots + settings->prefetch; /* the pool places them */
    config.types = agent->types;
    config.takes_ranges = agent->has_ranges ? agent->takes_ranges : NULL;
    config.type_count = pool_type_count(agent->bridge.pool);
    config.queues = settings->queues;
    config.queue_count = settings->queue_count;
    config.labels = settings->labels;
    config.label_count = settings->label_count;
    config.resources = settings->resources;
    config.resource_count = settings->resource_count;
    config.endpoints = settings->brokers;
    config.endpoint_count = settings->broker_count;
    config.grace_us = settings->grace_us;
    config.started_after_us = 0; /* the pool has waited already */
    drover_status status = worker_session_new(&config, &agent->session);
    return status == DROVER_OK
               ? DROVER_OK
               : drv_problem_set(problem, status, "session: %s", drover_status_text(status));
}

/* Then nobody looks into this process any more but root: no debugger, no core file. What it
 * forked before can do without. */
static drover_status load_identity(struct worker_agent *agent, struct drv_problem *problem)
{
    if (agent->settings->identity != NULL && prctl(PR_SET_DUMPABLE, 0) != 0) {
        return drv_problem_set(problem, DROVER_INTERNAL, "PR_SET_DUMPABLE: %s",
                               strerror(errno));
    }
    drover_status status = drv_identity_load(&agent->identity, agent->settings->identity,
                                             agent->settings->broker_key, problem);
    drv_identity_close(agent->settings->identity);
    return status;
}

static drover_status open_all(struct worker_agent *agent, struct drv_problem *problem)
{
    const struct worker_settings *settings = agent->settings;
    drover_status status = open_groups(agent, problem);
    if (status == DROVER_OK) {
        status = conceal_prepare(&agent->conceal, settings->identity, settings->hide_key,
                                 problem);
    }
    if (status == DROVER_OK) {
        status = worker_pulse_open(&agent->pulse, settings, &agent->sandbox, problem);
    }
    /* The pool's processes must inherit neither blocked signals nor threads nor ZeroMQ. */
    if (status == DROVER_OK) {
        status = open_pool(agent, problem);
    }
    if (status == DROVER_OK) {
        status = open_signals(agent, problem);
    }
    if (status == DROVER_OK) {
        status = list_types(agent, problem);
    }
    if (status == DROVER_OK) {
        status = open_session(agent, problem);
    }
    agent->bridge.session = agent->session;
    if (status == DROVER_OK) {
        status = worker_pulse_begin(&agent->pulse, agent->bridge.pool, agent->session,
                                    clock_now_us(), problem);
    }
    if (status == DROVER_OK) {
        status = load_identity(agent, problem);
    }
    if (status == DROVER_OK) {
        agent->context = zmq_ctx_new();
        if (agent->context == NULL) {
            status = drv_problem_set(problem, DROVER_INTERNAL, "context: %s",
                                     zmq_strerror(errno));
        }
    }
    return status;
}

drover_status worker_agent_new(const struct worker_settings *settings,
                               const struct drv_log *log, struct worker_agent **out_agent,
                               struct drv_problem *problem)
{
    struct worker_agent *agent = calloc(1, sizeof *agent);
    if (agent == NULL) {
        return drv_problem_set(problem, DROVER_NOMEM, "out of memory");
    }
    agent->settings = settings;
    agent->log = log;
    agent->bridge.log = log;
    agent->signal_fd = -1;
    agent->trim_at_us = INT64_MAX;
    drv_arena_init(&agent->arena, 1 << 20);
    if (gethostname(agent->host_name, sizeof agent->host_name - 1) != 0) {
        agent->host_name[0] = '\0';
    }
    drover_status status = open_all(agent, problem);
    if (status != DROVER_OK) {
        worker_agent_destroy(&agent);
        return status;
    }
    log_groups(agent);
    sandbox_log(&agent->sandbox, log);
    *out_agent = agent;
    return DROVER_OK;
}

void worker_agent_destroy(struct worker_agent **agent)
{
    struct worker_agent *gone = *agent;
    *agent = NULL;
    if (gone == NULL) {
        return;
    }
    worker_bridge_fini(&gone->bridge);
    worker_connection_destroy(&gone->connection, false);
    if (gone->context != NULL) {
        (void)zmq_ctx_term(gone->context);
    }
    drv_identity_wipe(&gone->identity);
    worker_session_destroy(&gone->session);
    worker_pulse_fini(&gone->pulse);
    group_tree_close(&gone->groups);
    drv_arena_fini(&gone->arena);
    if (gone->signal_fd >= 0) {
        (void)close(gone->signal_fd);
    }
    free(gone->types);
    free(gone->takes_ranges);
    free(gone);
}

static void stop(struct worker_agent *agent, drover_status status, struct drv_str why)
{
    if (!agent->is_stopped) {
        agent->is_stopped = true;
        agent->status = status;
        (void)drv_problem_set(&agent->problem, status, "%.*s", (int)why.len,
                              why.len > 0 ? why.ptr : "");
    }
}

/* ---- from the broker ------------------------------------------------------------------------
 */

static void print_ready(struct worker_agent *agent)
{
    char id[DROVER_ID_TEXT_LEN + 1];
    drover_id_format(&agent->id, id);
    (void)printf("ready worker=%s name=%s types=", id, agent->name);
    for (size_t i = 0; i < pool_type_count(agent->bridge.pool); i++) {
        (void)printf("%s%s", i == 0 ? "" : ",", pool_type_at(agent->bridge.pool, i).name);
    }
    (void)printf("\n");
    (void)fflush(stdout);
}

/* The broker has answered the first heartbeat: it knows this worker and its statistics. */
static void on_heartbeat(struct worker_agent *agent)
{
    if (!agent->was_ready && agent->name[0] != '\0') {
        agent->was_ready = true;
        print_ready(agent);
    }
}

static void take_settled(struct worker_agent *agent)
{
    uint64_t token;
    while (drv_link_settled(agent->connection->link, &token)) {
        worker_session_settled(agent->session, token);
    }
}

static void take_message(struct worker_agent *agent, const struct drv_message *message,
                         int64_t now_us)
{
    struct drv_link *link = agent->connection->link;
    if (message->kind == DRV_WELCOME) {
        /* What follows in this very turn carries the epoch already. */
        drv_link_set_epoch(link, message->epoch);
        drv_link_set_window_out(link, message->welcome.credit_bytes);
    }
    worker_session_message(agent->session, message, now_us);
    if (message->kind == DRV_HEARTBEAT) {
        on_heartbeat(agent);
    }
}

/* True when there may be more. */
static bool take_from_broker(struct worker_agent *agent, int64_t now_us)
{
    for (int i = 0; i < AGENT_BURST && agent->broken == NULL; i++) {
        struct drv_message message;
        const char *reason = NULL;
        memset(&message, 0, sizeof message);
        drv_arena_reset(&agent->arena);
        drover_status status = worker_connection_receive(agent->connection, now_us,
                                                         &agent->arena, &message, &reason);
        if (status == DROVER_NOT_READY) {
            return false;
        }
        take_settled(agent);
        if (status == DROVER_OK && message.kind != 0) {
            take_message(agent, &message, now_us);
        } else if (status == DROVER_OK || status == DROVER_UNSUPPORTED) {
            if (drv_link_is_fresh(agent->connection->link)) {
                worker_session_heard(agent->session, now_us);
            }
        } else if (status != DROVER_EPOCH) {
            agent->broken = reason != NULL ? reason : drover_status_text(status);
        }
    }
    return agent->broken == NULL;
}

/* What the broker has sent before it went is read before its going counts. */
static bool read_broker(struct worker_agent *agent, int64_t now_us)
{
    if (agent->connection == NULL) {
        return false;
    }
    bool is_gone = worker_connection_is_gone(agent->connection);
    bool more = take_from_broker(agent, now_us);
    if (is_gone && !more && agent->broken == NULL) {
        const struct worker_connection *connection = agent->connection;
        agent->broken = connection->why != NULL ? connection->why
                        : agent->was_connected  ? "the connection is gone"
                                                : "nobody answers there";
        if (connection->is_denied && !agent->was_ready) {
            stop(agent, DROVER_DENIED, drv_str_of(agent->broken));
        }
    }
    if (agent->broken != NULL) {
        worker_session_broken(agent->session, agent->broken, now_us);
        agent->broken = NULL;
        return false;
    }
    return more;
}

/* ---- the connection -------------------------------------------------------------------------
 */

static void connect_to(struct worker_agent *agent, struct drv_str endpoint)
{
    char text[DRV_TEXT_MAX + 1];
    worker_connection_destroy(&agent->connection, false);
    agent->was_connected = false;
    size_t len = endpoint.len < DRV_TEXT_MAX ? endpoint.len : DRV_TEXT_MAX;
    memcpy(text, endpoint.ptr, len);
    text[len] = '\0';
    drv_log_debug(agent->log, "connecting", drv_log_str("broker", text));
    drover_status status = worker_connection_new(agent->context, text, &agent->identity,
                                                 4 * 1024 * 1024, &agent->connection);
    if (status == DROVER_NOMEM) {
        stop(agent, status, drv_str_of("out of memory"));
    } else if (status != DROVER_OK) {
        agent->broken = "the endpoint cannot be connected to";
    }
}

static void send_message(struct worker_agent *agent, const struct worker_effect *effect)
{
    if (agent->connection == NULL || agent->broken != NULL) {
        return;
    }
    drover_status status = drv_link_send(agent->connection->link, effect->message,
                                         effect->token);
    if (status != DROVER_OK) {
        drv_log_warn(agent->log, "message not sent",
                     drv_log_str("kind", drv_kind_name(effect->message->kind)),
                     drv_log_status("status", status));
        agent->broken = drover_status_text(status);
        if (effect->message->kind == DRV_HELLO && status == DROVER_TOO_BIG) {
            stop(agent, DROVER_TOO_BIG, drv_str_of("the task types do not fit into one HELLO"));
        }
    }
}

/* ---- what a person sees ---------------------------------------------------------------------
 */

static void on_welcomed(struct worker_agent *agent, const struct worker_effect *effect)
{
    agent->was_connected = true;
    agent->lost_logged_at_us = 0;
    drv_log_info(agent->log, "connected",
                 drv_log_view("name", drv_view_of(effect->text.ptr, effect->text.len)),
                 drv_log_id("broker", &effect->id),
                 drv_log_bool("resumed", effect->number == 1));
    size_t len = effect->text.len <= DRV_NAME_MAX ? effect->text.len : DRV_NAME_MAX;
    memcpy(agent->name, effect->text.ptr, len);
    agent->name[len] = '\0';
    worker_notify("", "serving as %s", agent->name);
}

/* Logged when it happens and then now and then, not at every try. */
static void on_lost(struct worker_agent *agent, const struct worker_effect *effect,
                    int64_t now_us)
{
    if (!agent->was_connected && agent->lost_logged_at_us != 0 &&
        now_us - agent->lost_logged_at_us < AGENT_LOST_LOG_US) {
        return;
    }
    agent->lost_logged_at_us = now_us;
    drv_log_warn(agent->log, agent->was_connected ? "broker lost" : "no broker",
                 drv_log_view("why", drv_view_of(effect->text.ptr, effect->text.len)),
                 drv_log_uint("retry_ms", effect->number));
    agent->was_connected = false;
    worker_notify("", "no broker: %.*s", (int)effect->text.len, effect->text.ptr);
}

/* ---- effects --------------------------------------------------------------------------------
 */

static void apply(struct worker_agent *agent, const struct worker_effect *effect,
                  int64_t now_us)
{
    switch (effect->kind) {
    case WORKER_CONNECT:
        connect_to(agent, effect->text);
        return;
    case WORKER_DISCONNECT:
        worker_connection_destroy(&agent->connection, effect->number == 1);
        agent->broken = NULL;
        return;
    case WORKER_SEND:
        send_message(agent, effect);
        return;
    case WORKER_SETTLE:
        if (agent->connection != NULL) {
            drv_link_settle(agent->connection->link, effect->number, now_us);
        }
        return;
    case WORKER_RUN:
    case WORKER_REVOKE:
    case WORKER_CANCEL:
    case WORKER_ANSWER:
        worker_bridge_apply(&agent->bridge, effect, now_us);
        return;
    case WORKER_WELCOMED:
        on_welcomed(agent, effect);
        return;
    case WORKER_LOST:
        on_lost(agent, effect, now_us);
        return;
    case WORKER_COMPLAINT:
        drv_log_warn(agent->log, "the broker complains", drv_log_status("code", effect->status),
                     drv_log_str("about", drv_kind_name((unsigned)effect->number)),
                     drv_log_view("text", drv_view_of(effect->text.ptr, effect->text.len)));
        return;
    case WORKER_STOPPED:
        stop(agent, effect->status, effect->text);
        return;
    }
}

/* Ticks and applies until the session has nothing more to say; returns its deadline. What the
 * pool or the link answers to one round is told in the next. */
static int64_t advance(struct worker_agent *agent, int64_t now_us)
{
    int64_t next_us = INT64_MAX;
    bool again = true;
    while (again && !agent->is_stopped) {
        size_t count = 0;
        worker_session_set_blocked(agent->session,
                                   agent->connection != NULL &&
                                       worker_connection_is_blocked(agent->connection));
        next_us = worker_session_tick(agent->session, now_us);
        const struct worker_effect *effects = worker_session_effects(agent->session, &count);
        for (size_t i = 0; i < count; i++) {
            apply(agent, &effects[i], now_us);
        }
        worker_session_effects_clear(agent->session);
        again = worker_bridge_tell(&agent->bridge, now_us) || agent->broken != NULL;
        if (agent->broken != NULL) {
            worker_session_broken(agent->session, agent->broken, now_us);
            agent->broken = NULL;
        }
    }
    if (worker_session_is_broke(agent->session) || agent->bridge.is_broke) {
        stop(agent, DROVER_NOMEM, drv_str_of("out of memory"));
    }
    return next_us;
}

/* ---- the loop -------------------------------------------------------------------------------
 */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static const struct pool *living_pool(const struct worker_agent *agent)
{
    return agent->bridge.is_gone ? NULL : agent->bridge.pool;
}

/* What large values have left goes back to the system when no more have come for a while; the
 * instant of the next look. */
static int64_t trim_memory(struct worker_agent *agent, int64_t now_us)
{
    uint64_t count = agent->connection == NULL ? 0 : agent->connection->large_count;
    if (agent->trim_at_us == INT64_MAX && count != agent->large_count) {
        agent->trim_at_us = now_us + AGENT_SPARE_US;
    } else if (now_us >= agent->trim_at_us && count != agent->large_count) {
        agent->large_count = count;
        agent->trim_at_us = now_us + AGENT_SPARE_US;
    } else if (now_us >= agent->trim_at_us) {
        drv_allocator_trim();
        agent->trim_at_us = INT64_MAX;
    } else {
        /* not yet */
    }
    return agent->trim_at_us;
}

/* One turn; the instant of the next. */
static int64_t turn(struct worker_agent *agent)
{
    int64_t now_us = clock_now_us();
    bool more = read_broker(agent, now_us);
    worker_bridge_poll(&agent->bridge, now_us);
    worker_pulse_tell(&agent->pulse, agent->session, now_us);
    int64_t next_us = advance(agent, now_us);
    if (!agent->bridge.is_gone) {
        pool_commit(agent->bridge.pool, now_us);
    }
    next_us = earlier(
        next_us, worker_pulse_ask(&agent->pulse, living_pool(agent), agent->session, now_us));
    if (agent->connection != NULL) {
        drv_link_tick(agent->connection->link, now_us);
        worker_connection_send(agent->connection);
        next_us = earlier(next_us, drv_link_deadline_us(agent->connection->link));
    }
    if (!agent->bridge.is_gone) {
        next_us = earlier(next_us, pool_deadline_us(agent->bridge.pool));
    }
    next_us = earlier(next_us, trim_memory(agent, now_us));
    return more ? now_us : next_us;
}

static void read_signals(struct worker_agent *agent)
{
    struct signalfd_siginfo info;
    while (read(agent->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGHUP) {
            drv_log_info(agent->log, "nothing to reload", drv_log_str("signal", "HUP"));
            continue;
        }
        drv_log_info(agent->log, "draining",
                     drv_log_int("grace_ms", agent->settings->grace_us / 1000));
        worker_notify("STOPPING=1", "draining: what runs has %" PRId64 " s to end",
                      agent->settings->grace_us / 1000000);
        worker_session_drain(agent->session, clock_now_us());
    }
}

static int wait_ms(const struct worker_agent *agent, int64_t next_us)
{
    int64_t now_us = clock_now_us();
    if (next_us <= now_us ||
        (agent->connection != NULL && worker_connection_has_work(agent->connection))) {
        return 0;
    }
    if (next_us - now_us >= AGENT_WAIT_MAX_MS * INT64_C(1000)) {
        return AGENT_WAIT_MAX_MS;
    }
    return (int)((next_us - now_us + 999) / 1000);
}

static bool wait_for_input(struct worker_agent *agent, int64_t next_us)
{
    struct pollfd fds[2 + WORKER_CONNECTION_FDS] = {
        {.fd = agent->signal_fd, .events = POLLIN},
        {.fd = agent->bridge.is_gone ? -1 : pool_fd(agent->bridge.pool), .events = POLLIN},
        {.fd = -1},
        {.fd = -1},
    };
    if (agent->connection != NULL) {
        worker_connection_watch(agent->connection, fds + 2);
    }
    if (poll(fds, DRV_ARRAY_LEN(fds), wait_ms(agent, next_us)) < 0 && errno != EINTR) {
        drv_log_error(agent->log, "poll failed", drv_log_str("why", strerror(errno)));
        return false;
    }
    if (agent->connection != NULL) {
        worker_connection_saw(agent->connection, fds + 2);
    }
    if (fds[0].revents != 0) {
        read_signals(agent);
    }
    return true;
}

drover_status worker_agent_run(struct worker_agent *agent, struct drv_problem *problem)
{
    worker_session_start(agent->session, clock_now_us());
    worker_notify("READY=1", "no broker yet");
    while (!agent->is_stopped) {
        int64_t next_us = turn(agent);
        if (!agent->is_stopped && !wait_for_input(agent, next_us)) {
            stop(agent, DROVER_IO, drv_str_of("polling failed"));
        }
    }
    if (agent->bridge.is_gone && agent->status == DROVER_OK) {
        agent->status = DROVER_IO;
        (void)drv_problem_set(&agent->problem, DROVER_IO, "the executors are gone");
    }
    drv_log_info(agent->log, "stopped", drv_log_status("status", agent->status));
    *problem = agent->problem;
    return agent->status;
}
