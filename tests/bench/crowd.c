/*
 * crowd.c: very many peers of one broker, that cost their own machine little: what a broker has
 * to bear from a fleet.
 *
 *      crowd --endpoint ENDPOINT [--role worker|client] [--count N] [--type NAME]
 *
 * Every peer has a connection and a session of its own, as a worker or client has: HELLO,
 * heartbeats when the broker wants them (a worker's with statistics of its host),
 * acknowledgements, a new connection with back-off when one is lost, the session resumed. A
 * worker offers one type with one slot and gives back at once what it is given. Sockets cost
 * descriptors, so the peers live in processes of PEERS_MAX each.
 *
 * Prints a JSON document per line when the last peer was welcomed ("all") and when the first is
 * lost ("away"), with milliseconds since the start. Ends when its standard input does.
 */
#include "backoff.h"
#include "check.h"
#include "clock.h"
#include "connection.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PEERS_MAX = 1000, /* of one process */
    COUNT_MAX = 20000,
    HEARTBEAT_US = 1000 * 1000,    /* until the broker says when the next is wanted */
    SILENCE_US = 10 * 1000 * 1000, /* then a connection counts as lost */
    EVENTS = 256,
    LOOK_MS = 5, /* how often the crowd is counted */
    LEASES = 64, /* what a worker is ready to hold */
    WINDOW = 1 << 20,
};

struct plan {
    const char *endpoint;
    const char *type;
    uint32_t count;
    bool is_worker;
};

struct peer {
    struct worker_connection *connection; /* NULL: waiting for the next try */
    drover_id session;
    uint64_t epoch; /* 0: not welcome yet */
    int64_t due_us; /* heartbeat, or next try */
    int64_t heard_us;
    int64_t beat_us;    /* between heartbeats, as WELCOME says */
    int64_t silence_us; /* that it bears */
    uint32_t tries;
    bool is_known; /* to the broker: resume */
};

struct crowd { /* of one process */
    const struct plan *plan;
    struct peer *peers;
    uint32_t count;
    void *context;
    int epoll;
    struct drv_arena arena;
    struct drv_rng rng;
    _Atomic uint32_t *welcome; /* shared: peers that the broker knows */
};

static void must(bool fine, const char *what)
{
    if (!fine) {
        (void)fprintf(stderr, "crowd: %s: %s\n", what, zmq_strerror(errno));
        exit(1);
    }
}

/* ---- what a peer says
 * -------------------------------------------------------------------------
 */

static void say(struct peer *peer, const struct drv_message *message)
{
    must(drv_link_send(peer->connection->link, message, 0) == DROVER_OK, "cannot send");
}

static void say_hello(const struct crowd *crowd, struct peer *peer)
{
    const struct drv_offer offer = {.name = drv_str_of(crowd->plan->type)};
    struct drv_message hello = {
        .kind = DRV_HELLO,
        .hello = {.version_min = 1,
                  .version_max = 1,
                  .role = crowd->plan->is_worker ? DRV_ROLE_WORKER : DRV_ROLE_CLIENT,
                  .session = peer->session,
                  .resume = peer->is_known,
                  .name = drv_str_of("crowd"),
                  .software = drv_str_of("crowd"),
                  .credit_items = LEASES,
                  .credit_bytes = WINDOW,
                  .has_worker = crowd->plan->is_worker,
                  .worker = {.slots = 1,
                             .pid = (uint32_t)getpid(),
                             .host = drv_str_of("crowd"),
                             .types = &offer,
                             .type_count = 1,
                             .model = DRV_MODEL_PREFORK}}};
    say(peer, &hello);
}

static void say_heartbeat(const struct crowd *crowd, struct peer *peer)
{
    struct drv_message heartbeat = {.kind = DRV_HEARTBEAT,
                                    .heartbeat = {.has_host = crowd->plan->is_worker}};
    heartbeat.heartbeat.host = (struct drv_host){.cpu_percent = 12.5,
                                                 .memory_percent = 40,
                                                 .disk_percent = 50,
                                                 .process_count = 200,
                                                 .cpu_count = 4,
                                                 .memory_total = UINT64_C(16) << 30,
                                                 .memory_used = UINT64_C(6) << 30};
    say(peer, &heartbeat);
}

static void answer_leases(struct peer *peer, const struct drv_lease *lease)
{
    struct drv_result results[DRV_BATCH_MAX];
    size_t count = 0;
    for (size_t i = 0; i < lease->group_count; i++) {
        for (size_t j = 0; j < lease->groups[i].entry_count; j++) {
            results[count++] = (struct drv_result){.ref = lease->groups[i].entries[j].ref,
                                                   .outcome = DRV_OUTCOME_SUCCEEDED,
                                                   .val = lease->groups[i].entries[j].val};
        }
    }
    const struct drv_message report = {.kind = DRV_REPORT,
                                       .report = {.results = results, .result_count = count}};
    say(peer, &report);
}

/* ---- its connection
 * ---------------------------------------------------------------------------
 */

static void connect_peer(const struct crowd *crowd, struct peer *peer, int64_t now_us)
{
    const struct drv_identity none = {.has_own = false};
    must(worker_connection_new(crowd->context, crowd->plan->endpoint, &none, WINDOW,
                               &peer->connection) == DROVER_OK,
         "cannot connect");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
    must(epoll_ctl(crowd->epoll, EPOLL_CTL_ADD, peer->connection->fd, &event) == 0 &&
             epoll_ctl(crowd->epoll, EPOLL_CTL_ADD, peer->connection->monitor_fd, &event) == 0,
         "cannot watch a socket");
    peer->heard_us = now_us;
    peer->due_us = now_us + HEARTBEAT_US;
    peer->beat_us = HEARTBEAT_US;
    peer->silence_us = SILENCE_US;
    peer->epoch = 0;
    say_hello(crowd, peer);
}

/* The next try comes after a back-off with jitter, as PROTOCOL.md asks for. */
static void disconnect_peer(struct crowd *crowd, struct peer *peer, int64_t now_us)
{
    static const struct drv_backoff backoff = {.base_ms = 50, .max_ms = 2000};
    worker_connection_destroy(&peer->connection, false); /* and out of the epoll */
    if (peer->epoch != 0) {
        (void)atomic_fetch_sub(crowd->welcome, 1);
        peer->tries = 0;
    }
    peer->epoch = 0;
    peer->due_us = now_us +
                   (int64_t)drv_backoff_delay_ms(&backoff, peer->tries++, &crowd->rng) * 1000;
}

static void on_welcome(struct crowd *crowd, struct peer *peer,
                       const struct drv_message *message)
{
    peer->epoch = message->epoch;
    peer->is_known = true;
    drv_link_set_epoch(peer->connection->link, message->epoch);
    drv_link_set_window_out(peer->connection->link, message->welcome.credit_bytes);
    peer->beat_us = (int64_t)message->welcome.heartbeat_ms * 1000;
    (void)atomic_fetch_add(crowd->welcome, 1);
    say_heartbeat(crowd, peer);
}

/* False: the connection is over. */
static bool take_message(struct crowd *crowd, struct peer *peer,
                         const struct drv_message *message, int64_t now_us)
{
    if (message->kind == DRV_WELCOME) {
        on_welcome(crowd, peer, message);
    } else if (message->kind == DRV_LEASE) {
        answer_leases(peer, &message->lease);
    } else if (message->kind == DRV_HEARTBEAT && message->heartbeat.next_us > 0) {
        int64_t next_us = (int64_t)message->heartbeat.next_us;
        peer->due_us = now_us + next_us;
        peer->silence_us = 2 * next_us > SILENCE_US ? 2 * next_us : SILENCE_US;
    } else if (message->kind == DRV_ERROR) {
        peer->is_known = peer->is_known && message->failure.code != DROVER_SESSION_EXPIRED;
        return false;
    }
    return true;
}

static bool read_peer(struct crowd *crowd, struct peer *peer, int64_t now_us)
{
    struct drv_message message;
    const char *reason;
    for (;;) {
        drv_arena_reset(&crowd->arena);
        drover_status status = worker_connection_receive(peer->connection, now_us,
                                                         &crowd->arena, &message, &reason);
        if (status == DROVER_NOT_READY) {
            return true;
        }
        if (status != DROVER_OK || !take_message(crowd, peer, &message, now_us)) {
            return false;
        }
        peer->heard_us = now_us;
        if (message.kind != 0) {
            drv_link_settle(peer->connection->link, message.seq, now_us);
        }
    }
}

static void serve_peer(struct crowd *crowd, struct peer *peer, int64_t now_us)
{
    peer->connection->may_read = peer->connection->may_be_gone = true;
    if (!read_peer(crowd, peer, now_us) || worker_connection_is_gone(peer->connection) ||
        now_us - peer->heard_us > peer->silence_us) {
        disconnect_peer(crowd, peer, now_us);
        return;
    }
    drv_link_tick(peer->connection->link, now_us);
    worker_connection_send(peer->connection);
}

static void on_due(struct crowd *crowd, struct peer *peer, int64_t now_us)
{
    if (peer->connection == NULL) {
        connect_peer(crowd, peer, now_us);
    } else {
        peer->due_us = now_us + peer->beat_us;
        if (peer->epoch != 0) {
            say_heartbeat(crowd, peer);
        }
    }
    serve_peer(crowd, peer, now_us);
}

/* ---- a process of them
 * ------------------------------------------------------------------------
 */

static struct crowd *gather(const struct plan *plan, uint32_t count, _Atomic uint32_t *welcome)
{
    struct crowd *crowd = calloc(1, sizeof(*crowd));
    must(crowd != NULL, "out of memory");
    *crowd = (struct crowd){.plan = plan,
                            .count = count,
                            .peers = calloc(count, sizeof(*crowd->peers)),
                            .context = zmq_ctx_new(),
                            .epoll = epoll_create1(EPOLL_CLOEXEC),
                            .welcome = welcome};
    must(crowd->peers != NULL && crowd->context != NULL && crowd->epoll >= 0, "out of memory");
    must(zmq_ctx_set(crowd->context, ZMQ_MAX_SOCKETS, (int)count * 4 + 64) == 0, "libzmq");
    drv_arena_init(&crowd->arena, 1 << 16);
    uint64_t seed;
    must(getrandom(&seed, sizeof(seed), 0) == (ssize_t)sizeof(seed), "getrandom");
    drv_rng_init(&crowd->rng, seed);
    int64_t now_us = (int64_t)drv_clock_now_us();
    for (uint32_t i = 0; i < count; i++) { /* not all in one instant of a second */
        struct peer *peer = &crowd->peers[i];
        must(getrandom(&peer->session, sizeof(peer->session), 0) > 0, "getrandom");
        peer->due_us = now_us + (int64_t)drv_rng_below(&crowd->rng, HEARTBEAT_US);
    }
    return crowd;
}

static void serve(struct crowd *crowd)
{
    struct epoll_event events[EVENTS];
    for (;;) {
        int count = epoll_wait(crowd->epoll, events, EVENTS, LOOK_MS);
        int64_t now_us = (int64_t)drv_clock_now_us();
        for (int i = 0; i < count; i++) {
            struct peer *peer = events[i].data.ptr;
            if (peer->connection != NULL) {
                serve_peer(crowd, peer, now_us);
            }
        }
        for (uint32_t i = 0; i < crowd->count; i++) {
            struct peer *peer = &crowd->peers[i];
            if (peer->due_us <= now_us) {
                on_due(crowd, peer, now_us);
            } else if (peer->connection != NULL &&
                       drv_link_deadline_us(peer->connection->link) <= now_us) {
                serve_peer(crowd, peer, now_us);
            }
        }
    }
}

/* ---- all of them
 * ------------------------------------------------------------------------------
 */

static void start(const struct plan *plan, _Atomic uint32_t *welcome, pid_t parent)
{
    for (uint32_t first = 0; first < plan->count; first += PEERS_MAX) {
        uint32_t left = plan->count - first;
        pid_t child = fork();
        must(child >= 0, "fork");
        if (child == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (getppid() != parent) {
                _exit(1);
            }
            serve(gather(plan, left < PEERS_MAX ? left : PEERS_MAX, welcome));
        }
    }
}

static void tell(const char *event, uint32_t count, uint64_t since_ms)
{
    (void)printf("{\"event\":\"%s\",\"count\":%" PRIu32 ",\"ms\":%" PRIu64 "}\n", event, count,
                 drv_clock_now_ms() - since_ms);
    (void)fflush(stdout);
}

static void watch(const struct plan *plan, const _Atomic uint32_t *welcome)
{
    uint64_t since_ms = drv_clock_now_ms();
    bool was_all = false;
    for (;;) {
        struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
        char byte;
        if (poll(&input, 1, LOOK_MS) > 0 && read(STDIN_FILENO, &byte, 1) <= 0) {
            return;
        }
        must(waitpid(-1, NULL, WNOHANG) <= 0, "one of the processes has ended");
        uint32_t count = atomic_load(welcome);
        if ((count == plan->count) != was_all) {
            was_all = !was_all;
            tell(was_all ? "all" : "away", count, since_ms);
        }
    }
}

static struct plan read_plan(int argc, char **argv)
{
    struct plan plan = {.type = "crowd", .count = 100, .is_worker = true};
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--endpoint") == 0) {
            plan.endpoint = argv[i + 1];
        } else if (strcmp(argv[i], "--type") == 0) {
            plan.type = argv[i + 1];
        } else if (strcmp(argv[i], "--count") == 0) {
            plan.count = (uint32_t)strtoul(argv[i + 1], NULL, 10);
        } else if (strcmp(argv[i], "--role") == 0) {
            plan.is_worker = strcmp(argv[i + 1], "client") != 0;
        } else {
            must(false, "unknown option");
        }
    }
    must(plan.endpoint != NULL && plan.count > 0 && plan.count <= COUNT_MAX && argc % 2 == 1,
         "usage: crowd --endpoint ENDPOINT [--role worker|client] [--count N] [--type NAME]");
    return plan;
}

int main(int argc, char **argv)
{
    struct plan plan = read_plan(argc, argv);
    _Atomic uint32_t *welcome = mmap(NULL, sizeof(*welcome), PROT_READ | PROT_WRITE,
                                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(welcome != MAP_FAILED, "out of memory");
    start(&plan, welcome, getpid());
    watch(&plan, welcome); /* its processes end with this one */
    return 0;
}
