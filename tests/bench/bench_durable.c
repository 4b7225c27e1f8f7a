/*
 * bench_durable.c: the clients of durable.py.
 *
 *     bench_durable submit ENDPOINT CLIENTS SECONDS   prints acknowledged submits per second
 *     bench_durable fill ENDPOINT COUNT               submits COUNT tasks that nobody runs
 *
 * submit: each client is a session of its own with one task under way: it submits, waits for
 * the acknowledgement, and submits the next. Nobody offers the type, so nothing else happens.
 */
#include <drover/client.h>

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CLIENTS_MAX = 1024, BATCH = 10000, PAYLOAD = 32, CONNECT_MS = 30000 };

static atomic_bool is_over;

struct submitter {
    const char *endpoint;
    pthread_barrier_t *ready; /* borrowed */
    uint64_t acknowledged;
};

static void die(const char *what, drover_status status)
{
    (void)fprintf(stderr, "bench_durable: %s: %s\n", what, drover_status_text(status));
    exit(EXIT_FAILURE);
}

static drover_client *open_client(const char *endpoint)
{
    drover_client *client = NULL;
    drover_client_options options = DROVER_CLIENT_OPTIONS_INIT;
    options.connect_timeout_ms = CONNECT_MS;
    drover_status status = drover_client_open(endpoint, &options, &client);
    if (status != DROVER_OK) {
        die(endpoint, status);
    }
    return client;
}

static drover_value *payload(void)
{
    static const uint8_t bytes[PAYLOAD - 2] = {7}; /* with its msgpack header: PAYLOAD */
    drover_value *value = NULL;
    drover_status status = drover_value_new_binary(bytes, sizeof(bytes), &value);
    if (status != DROVER_OK) {
        die("payload", status);
    }
    return value;
}

static double now_s(void)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static void *run(void *argument)
{
    struct submitter *self = argument;
    drover_client *client = open_client(self->endpoint);
    drover_value *in = payload();
    (void)pthread_barrier_wait(self->ready);
    while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
        drover_status status = drover_submit(client, "bench.nobody", in, NULL, NULL);
        if (status != DROVER_OK) {
            die("submit", status);
        }
        self->acknowledged++;
    }
    drover_value_destroy(&in);
    drover_client_close(&client);
    return NULL;
}

static void submit(const char *endpoint, unsigned count, double seconds)
{
    static struct submitter submitters[CLIENTS_MAX];
    static pthread_t threads[CLIENTS_MAX];
    pthread_barrier_t ready;
    uint64_t acknowledged = 0;
    if (count == 0 || count > CLIENTS_MAX || pthread_barrier_init(&ready, NULL, count + 1)) {
        die("clients", DROVER_LIMIT);
    }
    for (unsigned i = 0; i < count; i++) {
        submitters[i] = (struct submitter){.endpoint = endpoint, .ready = &ready};
        if (pthread_create(&threads[i], NULL, run, &submitters[i]) != 0) {
            die("threads", DROVER_LIMIT);
        }
    }
    (void)pthread_barrier_wait(&ready);
    double begin = now_s();
    (void)poll(NULL, 0, (int)(seconds * 1000));
    atomic_store(&is_over, true);
    double took = now_s() - begin;
    for (unsigned i = 0; i < count; i++) {
        (void)pthread_join(threads[i], NULL);
        acknowledged += submitters[i].acknowledged;
    }
    (void)pthread_barrier_destroy(&ready);
    (void)printf("%.0f %" PRIu64 "\n", (double)acknowledged / took, acknowledged);
}

static void fill(const char *endpoint, uint64_t count)
{
    static const drover_value *items[BATCH];
    static drover_receipt receipts[BATCH];
    drover_client *client = open_client(endpoint);
    drover_value *in = payload();
    double begin = now_s();
    for (size_t i = 0; i < BATCH; i++) {
        items[i] = in;
    }
    for (uint64_t done = 0; done < count; done += BATCH) {
        size_t some = count - done < BATCH ? (size_t)(count - done) : BATCH;
        drover_status status = drover_submit_all(client, "bench.nobody", items, some, NULL,
                                                 receipts);
        if (status != DROVER_OK) {
            die("submit", status);
        }
    }
    (void)printf("%.0f %" PRIu64 "\n", (double)count / (now_s() - begin), count);
    drover_value_destroy(&in);
    drover_client_close(&client);
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "submit") == 0) {
        submit(argv[2], (unsigned)strtoul(argv[3], NULL, 10), strtod(argv[4], NULL));
        return EXIT_SUCCESS;
    }
    if (argc == 4 && strcmp(argv[1], "fill") == 0) {
        fill(argv[2], strtoull(argv[3], NULL, 10));
        return EXIT_SUCCESS;
    }
    (void)fputs("usage: bench_durable submit ENDPOINT CLIENTS SECONDS | fill ENDPOINT COUNT\n",
                stderr);
    return 64;
}
