/*
 * relay.c: what plain ZeroMQ does with the same traffic, to measure drover against.
 *
 *      client ──DEALER──> ROUTER ┐
 *                                ├ relay        three processes, loopback TCP, one task per
 * message worker ──DEALER──> ROUTER ┘
 *
 * The straightforward program that anyone would write with libzmq: no ids but the client's own
 * number in the message, no leases, no acknowledgements, no limits but the window of the
 * client. The worker sends every message back. Each side takes what is there in bursts, like
 * the broker.
 *
 *      relay [--tasks N] [--window N] [--payload BYTES]
 *
 * prints one JSON document with the keys of `drover bench --json` that make sense here.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

enum {
    BURST = 64,
    HEAD = 16, /* bytes before the payload: the number and the instant of sending */
    PAYLOAD_MAX = 64 * 1024 * 1024,
    ENDPOINT_MAX = 128,
    SILENCE_MS = 30 * 1000, /* then something is broken */
};

struct load {
    uint64_t tasks;
    uint64_t window;
    size_t payload;
};

struct endpoints { /* of the relay */
    char client[ENDPOINT_MAX];
    char worker[ENDPOINT_MAX];
};

static void die(const char *what)
{
    (void)fprintf(stderr, "relay: %s: %s\n", what, zmq_strerror(errno));
    exit(1);
}

static void must(bool fine, const char *what)
{
    if (!fine) {
        die(what);
    }
}

static uint64_t now_ns(void)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000000000U + (uint64_t)at.tv_nsec;
}

static uint64_t cpu_us(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000U +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void *open_socket(void *context, int type)
{
    void *socket = zmq_socket(context, type);
    must(socket != NULL, "socket");
    int hwm = 0; /* the client's window is the bound */
    must(zmq_setsockopt(socket, ZMQ_SNDHWM, &hwm, sizeof hwm) == 0, "option");
    must(zmq_setsockopt(socket, ZMQ_RCVHWM, &hwm, sizeof hwm) == 0, "option");
    return socket;
}

static void close_socket(void *context, void *socket)
{
    (void)zmq_close(socket);
    (void)zmq_ctx_term(context);
}

/* ---- the relay --------------------------------------------------------------------------- */

static void *bind_router(void *context, char *out_endpoint)
{
    void *socket = open_socket(context, ZMQ_ROUTER);
    size_t len = ENDPOINT_MAX;
    must(zmq_bind(socket, "tcp://127.0.0.1:*") == 0, "bind");
    must(zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, out_endpoint, &len) == 0, "endpoint");
    return socket;
}

struct address { /* of a peer of a ROUTER socket */
    uint8_t bytes[256];
    size_t len;
};

/* Passes one message on to the other side; false when there is none. */
static bool pass_on(void *from, struct address *sender, void *to,
                    const struct address *receiver)
{
    zmq_msg_t body;
    int len = zmq_recv(from, sender->bytes, sizeof sender->bytes, ZMQ_DONTWAIT);
    if (len < 0) {
        must(errno == EAGAIN || errno == EINTR, "receive");
        return false;
    }
    sender->len = (size_t)len;
    must(zmq_msg_init(&body) == 0 && zmq_msg_recv(&body, from, 0) >= 0, "receive");
    if (receiver->len > 0) {
        must(zmq_send(to, receiver->bytes, receiver->len, ZMQ_SNDMORE) >= 0, "send");
        must(zmq_msg_send(&body, to, 0) >= 0, "send");
    }
    (void)zmq_msg_close(&body);
    return true;
}

static void burst(void *from, struct address *sender, void *to, const struct address *receiver)
{
    for (int i = 0; i < BURST && pass_on(from, sender, to, receiver); i++) {
    }
}

/* Serves until the pipe is closed; says what it took. */
static void relay_run(int report_fd, int stop_fd)
{
    struct endpoints endpoints;
    struct address client = {.len = 0};
    struct address worker = {.len = 0};
    void *context = zmq_ctx_new();
    must(context != NULL, "context");
    void *clients = bind_router(context, endpoints.client);
    void *workers = bind_router(context, endpoints.worker);
    must(write(report_fd, &endpoints, sizeof endpoints) == sizeof endpoints, "report");
    for (;;) {
        zmq_pollitem_t items[] = {{.socket = workers, .events = ZMQ_POLLIN},
                                  {.socket = clients, .events = ZMQ_POLLIN},
                                  {.fd = stop_fd, .events = ZMQ_POLLIN}};
        must(zmq_poll(items, 3, -1) >= 0 || errno == EINTR, "poll");
        burst(workers, &worker, clients, &client);
        if (worker.len > 0) { /* before it has said hello nothing can be passed on */
            burst(clients, &client, workers, &worker);
        }
        if (items[2].revents != 0) {
            break;
        }
    }
    uint64_t used_us = cpu_us();
    must(write(report_fd, &used_us, sizeof used_us) == sizeof used_us, "report");
    (void)zmq_close(clients);
    close_socket(context, workers);
}

/* ---- the worker -------------------------------------------------------------------------- */

static void worker_run(const char *endpoint, int report_fd, int stop_fd)
{
    void *context = zmq_ctx_new();
    must(context != NULL, "context");
    void *socket = open_socket(context, ZMQ_DEALER);
    must(zmq_connect(socket, endpoint) == 0 && zmq_send(socket, "", 0, 0) == 0, "connect");
    for (;;) {
        zmq_pollitem_t items[] = {{.socket = socket, .events = ZMQ_POLLIN},
                                  {.fd = stop_fd, .events = ZMQ_POLLIN}};
        must(zmq_poll(items, 2, -1) >= 0 || errno == EINTR, "poll");
        for (int i = 0; i < BURST; i++) {
            zmq_msg_t task;
            must(zmq_msg_init(&task) == 0, "memory");
            if (zmq_msg_recv(&task, socket, ZMQ_DONTWAIT) < 0) {
                (void)zmq_msg_close(&task);
                break;
            }
            must(zmq_msg_send(&task, socket, 0) >= 0, "send");
        }
        if (items[1].revents != 0) {
            break;
        }
    }
    uint64_t used_us = cpu_us();
    must(write(report_fd, &used_us, sizeof used_us) == sizeof used_us, "report");
    close_socket(context, socket);
}

/* ---- the client -------------------------------------------------------------------------- */

struct client {
    void *socket;
    const struct load *load;
    uint8_t *payload;
    uint64_t sent, done;
    uint32_t *times_us; /* round trips, in the order of completion */
};

static void send_task(struct client *client)
{
    zmq_msg_t task;
    must(zmq_msg_init_size(&task, HEAD + client->load->payload) == 0, "memory");
    uint64_t head[2] = {client->sent, now_ns()};
    uint8_t *bytes = zmq_msg_data(&task);
    memcpy(bytes, head, HEAD);
    memcpy(bytes + HEAD, client->payload, client->load->payload);
    must(zmq_msg_send(&task, client->socket, 0) >= 0, "send");
    client->sent++;
}

static bool receive_task(struct client *client, int flags)
{
    zmq_msg_t task;
    uint64_t head[2];
    must(zmq_msg_init(&task) == 0, "memory");
    if (zmq_msg_recv(&task, client->socket, flags) < 0) {
        must(errno == EAGAIN && flags != 0, "nothing comes back");
        (void)zmq_msg_close(&task);
        return false;
    }
    must(zmq_msg_size(&task) == HEAD + client->load->payload, "another message came back");
    memcpy(head, zmq_msg_data(&task), HEAD);
    (void)zmq_msg_close(&task);
    client->times_us[client->done++] = (uint32_t)((now_ns() - head[1]) / 1000);
    return true;
}

static double client_run(struct client *client)
{
    uint64_t begin = now_ns();
    while (client->done < client->load->tasks) {
        while (client->sent < client->load->tasks &&
               client->sent - client->done < client->load->window) {
            send_task(client);
        }
        (void)receive_task(client, 0);
        while (client->done < client->sent && receive_task(client, ZMQ_DONTWAIT)) {
        }
    }
    return (double)(now_ns() - begin) / 1e9;
}

/* ---- together ---------------------------------------------------------------------------- */

struct child {
    pid_t pid;
    int report_fd; /* read end */
};

/* Forks before any context exists; the child ends with its parent. */
static struct child start(int stop_fds[2], const struct endpoints *endpoints)
{
    int report[2];
    must(pipe(report) == 0, "pipe");
    pid_t pid = fork();
    must(pid >= 0, "fork");
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)close(stop_fds[1]);
        if (endpoints == NULL) {
            relay_run(report[1], stop_fds[0]);
        } else {
            worker_run(endpoints->worker, report[1], stop_fds[0]);
        }
        exit(0);
    }
    (void)close(report[1]);
    return (struct child){.pid = pid, .report_fd = report[0]};
}

static uint64_t finish(struct child *child)
{
    uint64_t used_us = 0;
    must(read(child->report_fd, &used_us, sizeof used_us) == sizeof used_us, "a child ended");
    must(waitpid(child->pid, NULL, 0) == child->pid, "wait");
    return used_us;
}

static int by_size(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static void print(struct client *client, double seconds, const uint64_t used_us[3])
{
    const struct load *load = client->load;
    double tasks = (double)load->tasks;
    qsort(client->times_us, load->tasks, sizeof *client->times_us, by_size);
    (void)printf("{\"system\":\"plain ZeroMQ relay\",\"tasks\":%" PRIu64 ",\"seconds\":%.6f,"
                 "\"tasks_per_s\":%.0f,\"window\":%" PRIu64 ",\"payload_bytes\":%zu,"
                 "\"p50_us\":%" PRIu32 ",\"p99_us\":%" PRIu32 ",\"max_us\":%" PRIu32 ","
                 "\"broker_cpu_us_per_task\":%.3f,\"worker_cpu_us_per_task\":%.3f,"
                 "\"client_cpu_us_per_task\":%.3f}\n",
                 load->tasks, seconds, tasks / seconds, load->window, load->payload,
                 client->times_us[load->tasks / 2],
                 client->times_us[load->tasks - 1 - load->tasks / 100],
                 client->times_us[load->tasks - 1], (double)used_us[0] / tasks,
                 (double)used_us[1] / tasks, (double)used_us[2] / tasks);
}

static uint64_t number(const char *text, uint64_t max)
{
    char *end = NULL;
    errno = 0;
    uint64_t value = text == NULL ? 0 : strtoull(text, &end, 10);
    if (end == NULL || *end != '\0' || errno != 0 || value == 0 || value > max) {
        (void)fprintf(stderr, "relay: a number from 1 to %" PRIu64 " is wanted\n", max);
        exit(64);
    }
    return value;
}

static struct load read_options(int argc, char **argv)
{
    struct load load = {.tasks = 100000, .window = 1000, .payload = 32};
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--tasks") == 0) {
            load.tasks = number(value, 100 * 1000 * 1000);
        } else if (strcmp(argv[i], "--window") == 0) {
            load.window = number(value, 1000 * 1000);
        } else if (strcmp(argv[i], "--payload") == 0) {
            load.payload = number(value, PAYLOAD_MAX);
        } else {
            (void)fprintf(stderr, "usage: relay [--tasks N] [--window N] [--payload BYTES]\n");
            exit(64);
        }
    }
    return load;
}

int main(int argc, char **argv)
{
    struct load load = read_options(argc, argv);
    struct endpoints endpoints;
    int stop_fds[2];
    must(pipe(stop_fds) == 0, "pipe");
    struct child relay = start(stop_fds, NULL);
    must(read(relay.report_fd, &endpoints, sizeof endpoints) == sizeof endpoints, "no relay");
    struct child worker = start(stop_fds, &endpoints);
    void *context = zmq_ctx_new();
    must(context != NULL, "context");
    struct client client = {.socket = open_socket(context, ZMQ_DEALER), .load = &load};
    int silence_ms = SILENCE_MS;
    must(zmq_setsockopt(client.socket, ZMQ_RCVTIMEO, &silence_ms, sizeof silence_ms) == 0,
         "option");
    must(zmq_connect(client.socket, endpoints.client) == 0, "connect");
    client.payload = calloc(1, load.payload);
    client.times_us = calloc(load.tasks, sizeof *client.times_us);
    must(client.payload != NULL && client.times_us != NULL, "memory");
    uint64_t before_us = cpu_us();
    double seconds = client_run(&client);
    uint64_t used_us[3] = {0, 0, cpu_us() - before_us};
    (void)close(stop_fds[1]);
    used_us[1] = finish(&worker);
    used_us[0] = finish(&relay);
    print(&client, seconds, used_us);
    free(client.times_us);
    free(client.payload);
    close_socket(context, client.socket);
    return 0;
}
