/* http.c: life of the HTTP thread; see http.h. */
#include "http_private.h"

#include "logs.h"
#include "sse.h"

#include "check.h"
#include "clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    WAIT_MAX_MS = 1000,
    END_TURNS = 50, /* turns in which the last answers may leave */
    END_WAIT_MS = 5,
};

/* ---- connections ------------------------------------------------------------------------- */

static void on_connection(void *context, struct MHD_Connection *connection,
                          void **socket_context, enum MHD_ConnectionNotificationCode code)
{
    struct http *http = context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(
            connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        struct guest *guest = calloc(1, sizeof(*guest));
        if (guest != NULL && info != NULL) {
            guest->connection = connection;
            guest->fd = info->connect_fd;
            guest->since_us = http->now_us;
            drv_list_push_back(&http->guests, &guest->link);
            http->guest_count++;
            *socket_context = guest;
        } else {
            free(guest); /* without one nothing is answered */
        }
        return;
    }
    struct guest *guest = *socket_context;
    *socket_context = NULL;
    if (guest != NULL) {
        drv_list_remove(&guest->link);
        http->guest_count--;
        free(guest);
    }
}

/* A crowd that was there a moment ago is likely to be there again in a moment. */
static int64_t patience_us(struct http *http)
{
    if (http->guest_count > HTTP_PRESSED_AT) {
        http->pressed_until_us = http->now_us + HTTP_DEADLINE_US;
    }
    return http->now_us < http->pressed_until_us ? HTTP_PRESSED_US : HTTP_DEADLINE_US;
}

/* Whoever takes too long is cut off: libmicrohttpd knows of inactivity only, and a byte now and
 * then is activity. */
static void end_late(struct http *http)
{
    struct drv_list *link;
    while ((link = drv_list_first(&http->guests)) != NULL) {
        struct guest *guest = DRV_LIST_ITEM(link, struct guest, link);
        if (http->now_us - guest->since_us < patience_us(http)) {
            return;
        }
        drv_list_remove(link);
        guest->is_shut = true;
        (void)shutdown(guest->fd, SHUT_RDWR);
        exchange_abandon(guest->exchange, DROVER_TIMEOUT);
    }
}

/* ---- the loop ---------------------------------------------------------------------------- */

static void on_stream(void *context, const struct drv_message *message)
{
    struct http *http = context;
    if (message->kind == DRV_EVENTS) {
        feed_on_events(http, &message->events);
    } else {
        logs_on_logs(http, &message->logs);
    }
}

static void on_anew(void *context)
{
    feed_anew(context);
}

static int64_t deadline_us(const struct http *http)
{
    int64_t deadlines[] = {uplink_deadline_us(&http->uplink, http->now_us),
                           snapshot_deadline_us(http), feed_deadline_us(http),
                           http->now_us + WAIT_MAX_MS * 1000};
    int64_t first = deadlines[0];
    for (size_t i = 1; i < DRV_ARRAY_LEN(deadlines); i++) {
        first = deadlines[i] < first ? deadlines[i] : first;
    }
    return first;
}

static int wait_ms(const struct http *http)
{
    int64_t wait = (deadline_us(http) - http->now_us + 999) / 1000;
    MHD_UNSIGNED_LONG_LONG own = 0;
    if (MHD_get_timeout(http->daemon, &own) == MHD_YES && (int64_t)own < wait) {
        wait = (int64_t)own;
    }
    return wait < 0 ? 0 : (int)wait;
}

static void turn(struct http *http, int wait)
{
    struct epoll_event events[2];
    (void)epoll_wait(http->epoll_fd, events, DRV_ARRAY_LEN(events), wait);
    http->now_us = (int64_t)drv_clock_now_us();
    uplink_turn(&http->uplink, http->now_us);
    snapshot_turn(http);
    feed_turn(http);
    streams_turn(http);
    end_late(http);
    (void)MHD_run(http->daemon);
    uplink_turn(&http->uplink, http->now_us);
}

/* Everybody gets an answer, however short. */
static void end_guests(struct http *http)
{
    http->is_ending = true;
    DRV_LIST_EACH(link, &http->guests)
    {
        exchange_abandon(DRV_LIST_ITEM(link, struct guest, link)->exchange, DROVER_DRAINING);
    }
    streams_end(http);
    for (int i = 0; i < END_TURNS && (http->stream_count > 0 || i < 2); i++) {
        turn(http, END_WAIT_MS);
    }
}

static void *run(void *context)
{
    struct http *http = context;
    http->now_us = (int64_t)drv_clock_now_us();
    while (!atomic_load(&http->stop)) {
        turn(http, wait_ms(http));
    }
    end_guests(http);
    MHD_stop_daemon(http->daemon);
    http->daemon = NULL;
    return NULL;
}

/* ---- life -------------------------------------------------------------------------------- */

drover_status http_new(const struct http_config *config, const struct drv_log *log,
                       struct http **out_http, struct drv_problem *problem)
{
    struct http *http = calloc(1, sizeof(*http));
    if (http == NULL) {
        return drv_problem_set(problem, DROVER_NOMEM, "out of memory");
    }
    http->config = *config;
    http->log = log;
    http->listen_fd = -1;
    http->epoll_fd = -1;
    drv_list_init(&http->guests);
    drv_list_init(&http->streams);
    drv_list_init(&http->logs);
    drover_status status = channel_init(&http->channel);
    if (status != DROVER_OK) {
        free(http);
        return drv_problem_set(problem, status, "http: %s", strerror(errno));
    }
    uplink_init(&http->uplink, &http->channel, on_stream, on_anew, http);
    snapshot_init(http);
    feed_init(http);
    status = http_listen(config, &http->listen_fd, http->bound, problem);
    if (status != DROVER_OK) {
        http_destroy(&http);
        return status;
    }
    *out_http = http;
    return DROVER_OK;
}

static drover_status watch(struct http *http, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    return epoll_ctl(http->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? DROVER_OK
                                                                     : DROVER_INTERNAL;
}

/* %00 would end the text: the path would be another one than was asked for. */
static size_t unescape(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    size_t len = MHD_http_unescape(text);
    for (char *nul = memchr(text, '\0', len); nul != NULL;
         nul = memchr(nul, '\0', len - (size_t)(nul - text))) {
        *nul = '\x01'; /* in no name */
    }
    return len;
}

static struct MHD_Daemon *start_daemon(struct http *http)
{
    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, exchange_handle, http,
        MHD_OPTION_LISTEN_SOCKET, http->listen_fd, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)HTTP_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)HTTP_CONNECTION_BYTES, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_IDLE_S,
        MHD_OPTION_NOTIFY_COMPLETED, exchange_completed, http, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, http, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_SIGPIPE_HANDLED_BY_APP,
        1, MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL, MHD_OPTION_END);
}

drover_status http_start(struct http *http, struct drv_problem *problem)
{
    http->now_us = (int64_t)drv_clock_now_us();
    http->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    http->daemon = http->epoll_fd < 0 ? NULL : start_daemon(http);
    if (http->daemon == NULL) {
        return drv_problem_set(problem, DROVER_INTERNAL, "the HTTP server does not start");
    }
    http->listen_fd = -1; /* the daemon's now */
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon,
                                                           MHD_DAEMON_INFO_EPOLL_FD);
    drover_status status = info == NULL ? DROVER_INTERNAL : watch(http, info->epoll_fd);
    if (status == DROVER_OK) {
        status = watch(http, http->channel.down.event_fd);
    }
    if (status == DROVER_OK && pthread_create(&http->thread, NULL, run, http) != 0) {
        status = DROVER_NOMEM;
    }
    if (status != DROVER_OK) {
        return drv_problem_set(problem, status, "the HTTP server does not start");
    }
    http->has_thread = true;
    return DROVER_OK;
}

void http_destroy(struct http **http)
{
    struct http *h = *http;
    *http = NULL;
    if (h == NULL) {
        return;
    }
    if (h->has_thread) {
        atomic_store(&h->stop, true);
        channel_wake(&h->channel.down);
        (void)pthread_join(h->thread, NULL);
    }
    if (h->daemon != NULL) {
        MHD_stop_daemon(h->daemon);
    }
    uplink_fini(&h->uplink);
    snapshot_fini(h);
    feed_fini(h);
    channel_fini(&h->channel);
    if (h->listen_fd >= 0) {
        (void)close(h->listen_fd);
    }
    if (h->epoll_fd >= 0) {
        (void)close(h->epoll_fd);
    }
    free(h);
}

const char *http_bound(const struct http *http)
{
    return http->bound;
}

struct channel *http_channel(struct http *http)
{
    return &http->channel;
}
