/*
 * handle.c: life of a client, and what every call begins and ends with.
 */
#include "handle.h"

#include "check.h"
#include "clock.h"
#include "generation.h"
#include "local_spec.h"
#include "name.h"
#include "problem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define CONNECT_TIMEOUT_MS 5000
#define UNREAD_BYTES_MAX (64u * 1024 * 1024)
#define GOODBYE_LINGER_MS 200
#define IPC_PATH_MAX 107
#define OPTIONS_SIZE_MAX 4096

int64_t drv_now_us(void)
{
    return (int64_t)drv_clock_now_us();
}

int64_t drv_deadline_us(int64_t timeout_ms)
{
    int64_t now_us = drv_now_us();
    if (timeout_ms == DROVER_FOREVER || timeout_ms > (INT64_MAX - now_us) / 1000) {
        return INT64_MAX;
    }
    return now_us + (timeout_ms < 0 ? 0 : timeout_ms) * 1000;
}

int64_t drv_answer_deadline_us(int64_t timeout_ms)
{
    return drv_deadline_us(timeout_ms == 0 ? CLIENT_ANSWER_MS : timeout_ms);
}

bool drv_client_is_foreign(const drover_client *client)
{
    return drv_generation() != client->generation;
}

/* ---- words ------------------------------------------------------------------------------- */

static struct drv_words *find_words(const drover_client *client)
{
    pthread_t self = pthread_self();
    for (size_t i = 0; i < client->words_count; i++) {
        const struct drv_words *words = &client->words[i];
        if (pthread_equal(words->thread, self)) {
            return (struct drv_words *)(uintptr_t)words;
        }
    }
    return NULL;
}

static struct drv_words *ensure_words(drover_client *client)
{
    struct drv_words *words = find_words(client);
    if (words == NULL) {
        words = &client->words[client->next_words];
        client->next_words = (client->next_words + 1) % CLIENT_WORDS_MAX;
        client->words_count += client->words_count < CLIENT_WORDS_MAX;
        words->thread = pthread_self();
    }
    return words;
}

void drv_client_words(drover_client *client, const char *format, ...)
{
    struct drv_words *words = ensure_words(client);
    char text[sizeof(words->text)];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    struct drv_problem problem;
    (void)drv_problem_set(&problem, DROVER_FAILED, "%s", text); /* escaped for a terminal */
    (void)snprintf(words->text, sizeof(words->text), "%s", problem.text);
    words->is_fresh = true;
}

/* A failure about which nothing was said. */
static void say_default(drover_client *client, drover_status status)
{
    const char *problem = drv_session_problem(client->session);
    if (!drv_session_is_up(client->session) && problem[0] != '\0') {
        drv_client_words(client, "%s; no connection: %s", drover_status_text(status), problem);
    } else {
        drv_client_words(client, "%s", drover_status_text(status));
    }
}

void drover_client_error_text(const drover_client *client, char *out_text, size_t size)
{
    if (size == 0) {
        return;
    }
    out_text[0] = '\0';
    if (client == NULL || drv_client_is_foreign(client)) {
        return;
    }
    drover_client *c = (drover_client *)(uintptr_t)client; /* for the lock alone */
    (void)pthread_mutex_lock(&c->lock);
    const struct drv_words *words = find_words(c);
    (void)snprintf(out_text, size, "%s",
                   words != NULL ? words->text : drv_session_problem(c->session));
    (void)pthread_mutex_unlock(&c->lock);
}

/* ---- calls ------------------------------------------------------------------------------- */

static void unlock(drover_client *client)
{
    if (atomic_fetch_sub(&client->calls, 1) == 1 && client->closing) {
        (void)pthread_cond_broadcast(&client->changed);
    }
    (void)pthread_mutex_unlock(&client->lock);
}

drover_status drv_client_enter(drover_client *client)
{
    if (client == NULL) {
        return DROVER_INVALID;
    }
    if (drv_client_is_foreign(client)) {
        return DROVER_CLOSED;
    }
    (void)atomic_fetch_add(&client->calls, 1);
    (void)pthread_mutex_lock(&client->lock);
    if (client->closing) {
        unlock(client);
        return DROVER_CLOSED;
    }
    struct drv_words *words = find_words(client);
    if (words != NULL) {
        words->is_fresh = false;
    }
    drover_status fatal = drv_session_fatal(client->session);
    if (fatal != DROVER_OK) {
        return drv_client_leave(client, fatal);
    }
    return DROVER_OK;
}

void drv_client_enter_always(drover_client *client)
{
    (void)atomic_fetch_add(&client->calls, 1);
    (void)pthread_mutex_lock(&client->lock);
}

void drv_client_end_call(drover_client *client, drover_status status)
{
    if (status != DROVER_OK) {
        const struct drv_words *words = find_words(client);
        if (words == NULL || !words->is_fresh) {
            say_default(client, status);
        }
    }
    drv_driver_hand_over(client);
    unlock(client);
}

/* ---- opening ----------------------------------------------------------------------------- */

static drover_status refuse(const drover_client_options *options, drover_status status,
                            const char *text)
{
    if (options->error_text != NULL && options->error_size > 0) {
        struct drv_problem problem;
        (void)drv_problem_set(&problem, status, "%s", text);
        (void)snprintf(options->error_text, options->error_size, "%s", problem.text);
    }
    return status;
}

static bool port_is_valid(const char *text)
{
    char *end = NULL;
    if (text[0] < '0' || text[0] > '9') {
        return false;
    }
    unsigned long port = strtoul(text, &end, 10);
    return *end == '\0' && port >= 1 && port <= 65535;
}

static drover_status check_endpoint(const char *endpoint, const drover_client_options *options)
{
    static const char TCP[] = "tcp://";
    static const char IPC[] = "ipc://";
    if (endpoint == NULL) {
        return refuse(options, DROVER_INVALID, "no endpoint");
    }
    if (local_spec_is_meant(endpoint)) {
        return DROVER_OK; /* looked at when it is used */
    }
    if (strncmp(endpoint, IPC, strlen(IPC)) == 0) {
        size_t len = strlen(endpoint) - strlen(IPC);
        return len > 0 && len <= IPC_PATH_MAX
                   ? DROVER_OK
                   : refuse(options, DROVER_INVALID,
                            "the path of ipc://PATH is empty or too long");
    }
    const char *port = strrchr(endpoint, ':');
    if (strncmp(endpoint, TCP, strlen(TCP)) != 0 || port < endpoint + strlen(TCP) + 1 ||
        !port_is_valid(port + 1) || strlen(endpoint) > 300) {
        return refuse(options, DROVER_INVALID,
                      "the endpoint is none of tcp://HOST:PORT, ipc://PATH, local://N");
    }
    return DROVER_OK;
}

static drover_status random_id(drover_id *out_id)
{
    return getrandom(out_id->bytes, sizeof(out_id->bytes), 0) == (ssize_t)sizeof(out_id->bytes)
               ? DROVER_OK
               : DROVER_IO;
}

static drover_status resolve(const drover_client_options *options,
                             drover_client_options *out_options)
{
    static const drover_client_options DEFAULTS = DROVER_CLIENT_OPTIONS_INIT;
    *out_options = DEFAULTS;
    if (options == NULL) {
        return DROVER_OK;
    }
    if (options->size < sizeof(options->size) || options->size > OPTIONS_SIZE_MAX) {
        return DROVER_INVALID;
    }
    memcpy(out_options, options,
           options->size < sizeof(DEFAULTS) ? options->size : sizeof(DEFAULTS));
    if (out_options->name != NULL && !drover_name_is_valid(out_options->name)) {
        return refuse(out_options, DROVER_INVALID, "the client's name is no name");
    }
    return DROVER_OK;
}

static drover_status new_session(drover_client *client, const char *endpoint,
                                 const drover_client_options *options)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "client-%ld", (long)getpid());
    struct drv_session_config config = {
        .endpoint = endpoint,
        .name = options->name != NULL ? options->name : name,
        .unread_bytes_max = options->unread_bytes_max != 0 ? options->unread_bytes_max
                                                           : UNREAD_BYTES_MAX,
        .random_id = random_id,
    };
    if (getrandom(&config.seed, sizeof(config.seed), 0) != (ssize_t)sizeof(config.seed)) {
        return DROVER_IO;
    }
    return drv_session_new(&config, &client->session);
}

static bool was_welcomed(void *context)
{
    const drover_client *client = context;
    return drv_session_was_up(client->session);
}

/* How long opening may take. */
static int64_t connect_ms(const drover_client_options *options)
{
    uint64_t timeout_ms = options->connect_timeout_ms != 0 ? options->connect_timeout_ms
                                                           : CONNECT_TIMEOUT_MS;
    return timeout_ms < INT64_MAX / 2000 ? (int64_t)timeout_ms : INT64_MAX / 2000;
}

static drover_status first_contact(drover_client *client, const char *endpoint,
                                   int64_t deadline_us, const drover_client_options *options)
{
    drover_status status = drv_client_enter(client);
    if (status != DROVER_OK) {
        return status;
    }
    status = drv_client_wait(client, was_welcomed, client, deadline_us);
    char text[DRV_PROBLEM_TEXT_MAX + 512];
    if (status == DROVER_TIMEOUT) {
        status = DROVER_UNAVAILABLE;
        const char *problem = drv_session_problem(client->session);
        (void)snprintf(text, sizeof(text), "no broker answered at %s within %llu ms%s%s",
                       endpoint, (unsigned long long)connect_ms(options),
                       problem[0] != '\0' ? "; " : "", problem);
    } else {
        (void)snprintf(text, sizeof(text), "%s", drv_session_problem(client->session));
    }
    if (status != DROVER_OK) {
        (void)refuse(options, status, text);
    }
    return drv_client_leave(client, status);
}

pid_t drv_client_keeper(const drover_client *client)
{
    return client->local != NULL ? drv_local_keeper(client->local) : 0;
}

static void client_free(drover_client *client)
{
    drv_session_destroy(&client->session);
    drv_driver_fini(client);
    drv_task_spec_unref(&client->last_spec);
    drv_future_spares_drop(client);
    drv_local_close(&client->local);
    free(client);
}

static drover_status new_client(const char *endpoint, const drover_client_options *options,
                                drover_client **out_client)
{
    drover_client *client = calloc(1, sizeof(*client));
    if (client == NULL) {
        return refuse(options, DROVER_NOMEM, "out of memory");
    }
    drv_list_init(&client->spare_futures);
    client->generation = drv_generation();
    struct drv_problem problem = {""};
    drover_status status = drv_driver_init(client);
    if (status == DROVER_OK) {
        status = drv_socket_init(&client->socket);
    }
    if (status == DROVER_OK) {
        status = drv_identity_load(&client->socket.identity, options->identity,
                                   options->broker_key, &problem);
    }
    if (status == DROVER_OK) {
        status = new_session(client, endpoint, options);
    }
    if (status != DROVER_OK) {
        drv_socket_fini(&client->socket);
        client_free(client);
        return refuse(options, status,
                      problem.text[0] != '\0' ? problem.text : drover_status_text(status));
    }
    *out_client = client;
    return DROVER_OK;
}

/* With a pool of its own, which is handed over and gone if this fails. */
static drover_status open_at(const char *endpoint, struct drv_local *local, int64_t deadline_us,
                             const drover_client_options *options, drover_client **out_client)
{
    drover_client *client = NULL;
    drover_status status = new_client(endpoint, options, &client);
    if (status != DROVER_OK) {
        drv_local_close(&local);
        return status;
    }
    client->local = local;
    status = first_contact(client, endpoint, deadline_us, options);
    if (status != DROVER_OK) {
        drover_client_close(&client);
        return status;
    }
    *out_client = client;
    return DROVER_OK;
}

drover_status drover_client_open(const char *endpoint, const drover_client_options *options,
                                 drover_client **out_client)
{
    drover_client_options resolved;
    struct drv_local *local = NULL;
    drover_status status = resolve(options, &resolved);
    if (status == DROVER_OK) {
        status = check_endpoint(endpoint, &resolved);
    }
    if (status != DROVER_OK) {
        return status;
    }
    int64_t deadline_us = drv_deadline_us(connect_ms(&resolved));
    if (local_spec_is_meant(endpoint)) {
        struct drv_problem problem = {""};
        status = drv_local_open(endpoint, deadline_us, &local, &problem);
        if (status != DROVER_OK) {
            return refuse(&resolved, status, problem.text);
        }
        endpoint = drv_local_endpoint(local);
        resolved.identity = resolved.broker_key = NULL;
    }
    return open_at(endpoint, local, deadline_us, &resolved, out_client);
}

void drover_client_close(drover_client **client)
{
    if (client == NULL || *client == NULL || drv_client_is_foreign(*client)) {
        return;
    }
    drover_client *c = *client;
    if (c->thread_started && pthread_equal(pthread_self(), c->thread)) {
        return; /* from a callback: it would wait for itself */
    }
    *client = NULL;
    drv_driver_stop(c);
    bool greeted = drv_session_is_up(c->session);
    (void)pthread_mutex_lock(&c->lock);
    drv_session_end(c->session, DROVER_CLOSED, drv_now_us());
    drv_future_discard_callbacks(c);
    (void)drv_driver_flush(c, drv_now_us());
    (void)pthread_mutex_unlock(&c->lock);
    drv_socket_disconnect(&c->socket, greeted ? GOODBYE_LINGER_MS : 0);
    drv_socket_fini(&c->socket);
    client_free(c);
}

bool drover_client_is_connected(const drover_client *client)
{
    if (client == NULL || drv_client_is_foreign(client)) {
        return false;
    }
    drover_client *c = (drover_client *)(uintptr_t)client; /* for the lock alone */
    (void)pthread_mutex_lock(&c->lock);
    bool up = drv_session_is_up(c->session);
    (void)pthread_mutex_unlock(&c->lock);
    return up;
}

bool drover_client_has_capability(const drover_client *client, const char *name)
{
    if (client == NULL || name == NULL || drv_client_is_foreign(client)) {
        return false;
    }
    drover_client *c = (drover_client *)(uintptr_t)client; /* for the lock alone */
    (void)pthread_mutex_lock(&c->lock);
    bool has = drv_session_has_capability(c->session, name);
    (void)pthread_mutex_unlock(&c->lock);
    return has;
}
