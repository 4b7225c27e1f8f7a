/* zap.c: see zap.h. */
#include "zap.h"

#include "check.h"
#include "identity.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

#ifndef ZMQ_ZAP_ENFORCE_DOMAIN
#define ZMQ_ZAP_ENFORCE_DOMAIN \
    93 /* behind the draft switch of the header, not of the library */
#endif

#define ZAP_ENDPOINT "inproc://zeromq.zap.01"

enum {
    FRAME_VERSION,
    FRAME_REQUEST,
    FRAME_DOMAIN,
    FRAME_ADDRESS,
    FRAME_IDENTITY,
    FRAME_MECHANISM,
    FRAME_CREDENTIAL,
    FRAME_COUNT,
    FRAME_BYTES_MAX = 256, /* longer ones are not of a request that is let in */
};

struct ring { /* the keys that are let in, in order */
    size_t count;
    uint8_t keys[][ACCESS_KEY_BYTES];
};

struct zap {
    pthread_t thread;
    void *socket;                   /* REP; the thread's once it runs */
    int event_fd;                   /* a ring is offered, or the end has come */
    _Atomic(struct ring *) offered; /* owned by whoever takes it out */
    atomic_bool is_stopping;
    _Atomic uint64_t refused;
};

/* ---- one request ------------------------------------------------------------------------- */

struct request {
    uint8_t bytes[FRAME_COUNT][FRAME_BYTES_MAX];
    size_t lens[FRAME_COUNT];
    size_t count;
    bool is_odd; /* something in it was too long, or too much */
};

/* Takes a whole message off the socket, whatever it is. False: there is none. */
static bool receive(void *socket, struct request *request)
{
    bool more = true;
    request->count = 0;
    request->is_odd = false;
    while (more) {
        zmq_msg_t part;
        (void)zmq_msg_init(&part);
        if (zmq_msg_recv(&part, socket, ZMQ_DONTWAIT) < 0) {
            (void)zmq_msg_close(&part);
            return false;
        }
        size_t len = zmq_msg_size(&part);
        if (request->count < FRAME_COUNT && len <= FRAME_BYTES_MAX) {
            memcpy(request->bytes[request->count], zmq_msg_data(&part), len);
            request->lens[request->count++] = len;
        } else {
            request->is_odd = true;
        }
        more = zmq_msg_more(&part) != 0;
        (void)zmq_msg_close(&part);
    }
    return true;
}

static bool frame_is(const struct request *request, size_t at, const char *text)
{
    return request->lens[at] == strlen(text) &&
           memcmp(request->bytes[at], text, request->lens[at]) == 0;
}

static int key_compare(const void *left, const void *right)
{
    return memcmp(left, right, ACCESS_KEY_BYTES);
}

static bool is_let_in(const struct ring *ring, const struct request *request)
{
    return !request->is_odd && request->count == FRAME_COUNT &&
           frame_is(request, FRAME_VERSION, "1.0") &&
           frame_is(request, FRAME_DOMAIN, ZAP_DOMAIN) &&
           frame_is(request, FRAME_MECHANISM, "CURVE") &&
           request->lens[FRAME_CREDENTIAL] == ACCESS_KEY_BYTES && ring != NULL &&
           bsearch(request->bytes[FRAME_CREDENTIAL], ring->keys, ring->count, ACCESS_KEY_BYTES,
                   key_compare) != NULL;
}

/* An answer that cannot be sent is one that nobody waits for any more. */
static void answer(struct zap *zap, const struct ring *ring, const struct request *request)
{
    char user[DRV_KEY_TEXT_LEN + 1] = "";
    struct drv_curve_key key;
    bool is_fine = is_let_in(ring, request);
    if (is_fine) {
        memcpy(key.bytes, request->bytes[FRAME_CREDENTIAL], sizeof(key.bytes));
        drv_curve_key_format(&key, user);
    } else {
        (void)atomic_fetch_add_explicit(&zap->refused, 1, memory_order_relaxed);
    }
    const struct {
        const void *bytes;
        size_t len;
    } parts[] = {
        {"1.0", 3},
        {request->bytes[FRAME_REQUEST],
         request->count > FRAME_REQUEST ? request->lens[FRAME_REQUEST] : 0},
        {is_fine ? "200" : "400", 3},
        {is_fine ? "OK" : "unknown key", is_fine ? 2 : 11},
        {user, strlen(user)},
        {"", 0}, /* no metadata */
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(parts); i++) {
        int flags = ZMQ_DONTWAIT | (i + 1 < DRV_ARRAY_LEN(parts) ? ZMQ_SNDMORE : 0);
        if (zmq_send(zap->socket, parts[i].bytes, parts[i].len, flags) < 0) {
            return;
        }
    }
}

/* ---- the thread -------------------------------------------------------------------------- */

static void *run(void *context)
{
    struct zap *zap = context;
    struct ring *ring = NULL;
    struct request request;
    while (!atomic_load(&zap->is_stopping)) {
        zmq_pollitem_t items[] = {
            {.socket = zap->socket, .events = ZMQ_POLLIN},
            {.fd = zap->event_fd, .events = ZMQ_POLLIN},
        };
        uint64_t count;
        if (zmq_poll(items, 2, -1) < 0 && errno != EINTR) {
            break;
        }
        (void)!read(zap->event_fd, &count, sizeof(count));
        struct ring *next = atomic_exchange(&zap->offered, NULL);
        if (next != NULL) {
            free(ring);
            ring = next;
        }
        while (receive(zap->socket, &request)) {
            answer(zap, ring, &request);
        }
    }
    free(ring);
    (void)zmq_close(zap->socket);
    return NULL;
}

/* Signals are for the main thread. */
static int start_thread(struct zap *zap)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&zap->thread, NULL, run, zap);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

drover_status zap_start(void *context, struct zap **out_zap, struct drv_problem *problem)
{
    int linger = 0;
    struct zap *zap = calloc(1, sizeof(*zap));
    if (zap == NULL) {
        return drv_problem_set(problem, DROVER_NOMEM, "out of memory");
    }
    zap->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    zap->socket = zmq_socket(context, ZMQ_REP);
    drover_status status = DROVER_OK;
    if (zap->event_fd < 0 || zap->socket == NULL ||
        zmq_setsockopt(zap->socket, ZMQ_LINGER, &linger, sizeof(linger)) != 0 ||
        zmq_bind(zap->socket, ZAP_ENDPOINT) != 0) {
        status = drv_problem_set(problem, DROVER_IO, "authentication: %s", zmq_strerror(errno));
    }
    int error = status == DROVER_OK ? start_thread(zap) : 0;
    if (error != 0) {
        status = drv_problem_set(problem, DROVER_IO, "authentication: %s", strerror(error));
    }
    if (status == DROVER_OK) {
        *out_zap = zap;
        return DROVER_OK;
    }
    if (zap->socket != NULL) {
        (void)zmq_close(zap->socket);
    }
    if (zap->event_fd >= 0) {
        (void)close(zap->event_fd);
    }
    free(zap);
    return status;
}

static void wake(struct zap *zap)
{
    const uint64_t one = 1;
    (void)!write(zap->event_fd, &one, sizeof(one));
}

void zap_stop(struct zap **zap)
{
    struct zap *gone = *zap;
    *zap = NULL;
    if (gone == NULL) {
        return;
    }
    atomic_store(&gone->is_stopping, true);
    wake(gone);
    (void)pthread_join(gone->thread, NULL);
    free(atomic_exchange(&gone->offered, NULL));
    (void)close(gone->event_fd);
    free(gone);
}

drover_status zap_set(struct zap *zap, const struct access *access)
{
    size_t count = access_count(access);
    struct ring *ring = malloc(sizeof(*ring) + count * ACCESS_KEY_BYTES);
    if (ring == NULL) {
        return DROVER_NOMEM;
    }
    ring->count = count;
    for (size_t i = 0; i < count; i++) {
        memcpy(ring->keys[i], access_at(access, i)->key, ACCESS_KEY_BYTES);
    }
    qsort(ring->keys, count, ACCESS_KEY_BYTES, key_compare);
    free(atomic_exchange(&zap->offered, ring));
    wake(zap);
    return DROVER_OK;
}

uint64_t zap_take_refused(struct zap *zap)
{
    return atomic_exchange_explicit(&zap->refused, 0, memory_order_relaxed);
}

/* ---- sockets ----------------------------------------------------------------------------- */

drover_status zap_guard(void *socket, const uint8_t secret_key[ACCESS_KEY_BYTES],
                        struct drv_problem *problem)
{
    const int on = 1;
    if (zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, ZAP_DOMAIN, strlen(ZAP_DOMAIN)) != 0 ||
        zmq_setsockopt(socket, ZMQ_ZAP_ENFORCE_DOMAIN, &on, sizeof(on)) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &on, sizeof(on)) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, secret_key, ACCESS_KEY_BYTES) != 0) {
        return drv_problem_set(problem, DROVER_INTERNAL, "authentication: %s",
                               zmq_strerror(errno));
    }
    return DROVER_OK;
}
