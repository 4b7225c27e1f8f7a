/*
 * driver.c: who drives the socket, and how.
 *
 * One turn of whoever drives, never blocking:
 *
 *     up to TURN_MAX times: receive what is there; tick; make or drop the connection; send
 *
 * and between turns poll(2) on the socket, its monitor and the eventfd, without the lock. While
 * it polls, whoever has new work makes a turn as its guest and leaves it asleep, unless it has
 * to wake up earlier now or the connection is another one.
 *
 * A submit that nobody waits for yet leaves at once when no answer is outstanding. Else it
 * gathers with those that follow, until an answer comes, a caller waits, there is a message's
 * worth of them, or GATHER_US have passed.
 */
#include "future.h"

#include "check.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define TURN_MAX 8
#define BURST_MAX 64
/* So many messages left that the session may have held some back for want of room. */
#define FLUSH_FULL 64
#define POLL_MAX_MS 60000
/* How long no caller must have driven before the library's thread takes over. */
#define QUIET_US 2000
/* How much gathers, and how long. */
#define GATHER_ITEMS 256
#define GATHER_BYTES ((size_t)64 * 1024)
#define GATHER_US 1000

struct waiter {
    struct drv_list link;
    pthread_cond_t cond;
    drv_done_fn done;
    void *context;
};

static void cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;
    DRV_ASSERT(pthread_condattr_init(&attributes) == 0);
    DRV_ASSERT(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    DRV_ASSERT(pthread_cond_init(cond, &attributes) == 0);
    (void)pthread_condattr_destroy(&attributes);
}

static void cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t deadline_us)
{
    if (deadline_us == INT64_MAX) {
        (void)pthread_cond_wait(cond, lock);
        return;
    }
    struct timespec at = {.tv_sec = (time_t)(deadline_us / 1000000),
                          .tv_nsec = (long)(deadline_us % 1000000) * 1000};
    (void)pthread_cond_timedwait(cond, lock, &at);
}

/* ---- one turn ---------------------------------------------------------------------------- */

/* Takes what has come; true when there may be more. */
static bool receive_some(drover_client *client, int64_t now_us)
{
    for (int i = 0; i < BURST_MAX; i++) {
        struct drv_packet packet;
        if (client->socket.socket == NULL) {
            return false;
        }
        int error = drv_socket_receive(&client->socket, &packet);
        if (error == EAGAIN) {
            return false;
        }
        if (error != 0) {
            drv_session_lost(
                client->session, client->socket.number,
                error == EPROTO ? "a message that is not two frames" : strerror(error), now_us);
            return false;
        }
        uint64_t number = client->socket.number;
        drv_session_receive(client->session, zmq_msg_data(&packet.head),
                            zmq_msg_size(&packet.head), zmq_msg_data(&packet.blob),
                            zmq_msg_size(&packet.blob), now_us);
        drv_packet_fini(&packet);
        if (drv_session_connection(client->session) != number) {
            return false; /* what else is there belongs to the past */
        }
    }
    return true;
}

/* Drops the connection when its socket has noticed the end of it. */
static void notice_loss(drover_client *client, int64_t now_us)
{
    bool is_denied = false;
    const char *why = client->socket.socket != NULL
                          ? drv_socket_lost(&client->socket, &is_denied)
                          : NULL;
    if (why != NULL && is_denied && !drv_session_was_up(client->session)) {
        drv_session_fail(client->session, DROVER_DENIED, why);
    } else if (why != NULL) {
        drv_session_lost(client->session, client->socket.number, why, now_us);
    }
}

/* A private pool does not come back: without it there is nothing to connect to. */
static void notice_end_of_pool(drover_client *client)
{
    struct drv_problem problem = {""};
    if (client->local != NULL && drv_session_fatal(client->session) == DROVER_OK &&
        drv_local_has_ended(client->local, &problem)) {
        drv_session_fail(client->session, DROVER_UNAVAILABLE, problem.text);
    }
}

/* Makes the socket what the session wants it to be. False when that failed. */
static bool reconcile(drover_client *client, int64_t now_us)
{
    uint64_t wanted = drv_session_connection(client->session);
    if (client->socket.number == wanted) {
        return true;
    }
    DRV_ASSERT(!client->polling);
    drv_socket_disconnect(&client->socket, 0);
    notice_end_of_pool(client);
    wanted = drv_session_connection(client->session);
    if (wanted == 0) {
        return true;
    }
    drover_status status = drv_socket_connect(&client->socket,
                                              drv_session_endpoint(client->session), wanted);
    client->may_read = true; /* a queue that was never read wakes nobody */
    client->may_have_lost = true;
    if (status != DROVER_OK) {
        drv_session_lost(client->session, wanted, drover_status_text(status), now_us);
        drv_socket_disconnect(&client->socket, 0);
    }
    return status == DROVER_OK;
}

size_t drv_driver_flush(drover_client *client, int64_t now_us)
{
    struct drv_frames frames;
    size_t tried = 0;
    client->is_full = false;
    while (client->socket.socket != NULL && drv_session_next(client->session, &frames)) {
        int error = drv_socket_send(&client->socket, &frames);
        tried++;
        if (error == 0) {
            continue;
        }
        client->is_full = error == EAGAIN;
        if (frames.head != NULL) {
            drv_session_unsend(client->session, &frames);
        }
        if (error != EAGAIN && error != EINTR) {
            drv_session_lost(client->session, client->socket.number, strerror(error), now_us);
        }
        break;
    }
    return tried;
}

/* What poll(2) has seen, so that the socket is not asked in vain: each question costs a system
 * call. */
static void look(drover_client *client, int64_t now_us)
{
    if (client->may_read) {
        client->may_read = receive_some(client, now_us);
    }
    if (client->may_have_lost && !client->may_read) {
        client->may_have_lost = false;
        notice_loss(client, now_us);
    }
}

static bool is_current(const drover_client *client)
{
    return client->socket.number == drv_session_connection(client->session);
}

/* Returns when the session wants the next turn. */
static int64_t turn(drover_client *client)
{
    client->gathered = 0;
    client->gathered_bytes = 0;
    client->gathered_at_us = INT64_MAX;
    for (int i = 0; i < TURN_MAX; i++) {
        int64_t now_us = drv_now_us();
        look(client, now_us);
        int64_t deadline_us = drv_session_tick(client->session, now_us);
        if (client->polling && !is_current(client)) {
            return 0; /* for the one who polls the old one */
        }
        bool made = reconcile(client, now_us);
        size_t tried = drv_driver_flush(client, now_us);
        bool has_room = false;
        if (tried > 0) { /* each try may have swallowed the signal that something has come */
            client->may_read = client->may_read || drv_socket_is_readable(&client->socket);
            has_room = client->is_full && drv_socket_is_writable(&client->socket);
        }
        if (!client->may_read && !has_room && made && is_current(client) &&
            tried < FLUSH_FULL) {
            return deadline_us;
        }
    }
    return 0;
}

/* ---- waiting for the next ---------------------------------------------------------------- */

static int poll_timeout_ms(int64_t deadline_us, int64_t now_us)
{
    if (deadline_us <= now_us) {
        return 0;
    }
    int64_t ms = deadline_us == INT64_MAX ? POLL_MAX_MS : (deadline_us - now_us + 999) / 1000;
    return ms < POLL_MAX_MS ? (int)ms : POLL_MAX_MS;
}

static void poll_unlocked(drover_client *client, int64_t deadline_us)
{
    int64_t now_us = drv_now_us();
    if (client->is_gathering && now_us + GATHER_US < deadline_us) {
        deadline_us = now_us + GATHER_US;
    }
    client->is_gathering = false;
    struct pollfd fds[] = {
        {.fd = client->wake_fd, .events = POLLIN},
        {.fd = client->socket.fd, .events = POLLIN},
        {.fd = client->socket.monitor_fd, .events = POLLIN},
    };
    int timeout_ms = poll_timeout_ms(deadline_us, now_us);
    client->polling = true;
    client->poll_until_us = deadline_us;
    (void)pthread_mutex_unlock(&client->lock);
    int ready = poll(fds, DRV_ARRAY_LEN(fds), timeout_ms);
    (void)pthread_mutex_lock(&client->lock);
    client->polling = false;
    client->may_read = client->may_read || (ready > 0 && fds[1].revents != 0);
    client->may_have_lost = client->may_have_lost || (ready > 0 && fds[2].revents != 0);
    if (ready > 0 && fds[0].revents != 0) {
        uint64_t count;
        (void)!read(client->wake_fd, &count, sizeof(count));
        client->wake_sent = false;
    }
}

static void wake_driver(drover_client *client)
{
    uint64_t one = 1;
    if (!client->wake_sent) {
        client->wake_sent = true;
        (void)!write(client->wake_fd, &one, sizeof(one));
    }
}

static void tell_followers(drover_client *client)
{
    DRV_LIST_EACH(link, &client->waiters)
    {
        struct waiter *waiter = DRV_LIST_ITEM(link, struct waiter, link);
        if (client->closing || drv_session_fatal(client->session) != DROVER_OK ||
            waiter->done(waiter->context)) {
            (void)pthread_cond_signal(&waiter->cond);
        }
    }
}

/* A turn by whoever calls; tells those for whom something happened. */
static int64_t turn_and_tell(drover_client *client)
{
    uint64_t before = client->progress;
    int64_t deadline_us = turn(client);
    if (client->progress != before || drv_session_fatal(client->session) != DROVER_OK) {
        tell_followers(client);
    }
    return deadline_us;
}

/* A turn by who does not drive; whoever polls may have to do so otherwise now. */
static void turn_as_guest(drover_client *client)
{
    int64_t deadline_us = turn_and_tell(client);
    if (client->polling && deadline_us < client->poll_until_us) {
        wake_driver(client);
    }
}

static bool needs_driving(const drover_client *client)
{
    return drv_session_is_awaiting(client->session) || drv_session_owes(client->session);
}

void drv_driver_hand_over(drover_client *client)
{
    if (client->driving) {
        return;
    }
    struct drv_list *first = drv_list_first(&client->waiters);
    if (first != NULL) {
        (void)pthread_cond_signal(&DRV_LIST_ITEM(first, struct waiter, link)->cond);
    } else if (!client->closing && needs_driving(client)) {
        if (drv_client_ensure_thread(client) == DROVER_OK && client->thread_idle) {
            (void)pthread_cond_signal(&client->thread_cond);
        }
    } else {
        /* nothing to do until the next call */
    }
}

/* One turn as the driver, then the poll, unless the waiter is done already. */
static void drive(drover_client *client, const struct waiter *self, int64_t deadline_us)
{
    client->driving = true;
    int64_t next_us = turn_and_tell(client);
    if (!client->closing && drv_session_fatal(client->session) == DROVER_OK &&
        !self->done(self->context)) {
        poll_unlocked(client, next_us < deadline_us ? next_us : deadline_us);
    }
    client->driving = false;
    client->driven_at_us = drv_now_us();
}

static drover_status wait_as(drover_client *client, struct waiter *self, int64_t deadline_us)
{
    if (client->driving && client->thread_drives) {
        wake_driver(client);
    } else if (client->driving) {
        turn_as_guest(client);
    } else {
        /* drives itself */
    }
    while (!self->done(self->context)) {
        drover_status fatal = drv_session_fatal(client->session);
        if (client->closing || fatal != DROVER_OK) {
            return client->closing ? DROVER_CLOSED : fatal;
        }
        if (drv_now_us() >= deadline_us) {
            return DROVER_TIMEOUT;
        }
        if (client->driving) {
            cond_wait_until(&self->cond, &client->lock, deadline_us);
        } else {
            drive(client, self, deadline_us);
        }
    }
    return DROVER_OK;
}

drover_status drv_client_wait(drover_client *client, drv_done_fn done, void *context,
                              int64_t deadline_us)
{
    struct waiter self = {.done = done, .context = context};
    cond_init(&self.cond);
    drv_list_push_back(&client->waiters, &self.link);
    drv_session_count_readers(client->session, 1);
    drover_status status = wait_as(client, &self, deadline_us);
    drv_session_count_readers(client->session, -1);
    drv_list_remove(&self.link);
    (void)pthread_cond_destroy(&self.cond);
    return status;
}

void drv_client_nudge(drover_client *client)
{
    turn_as_guest(client);
}

/* Remembers that something waits, and sees that it does not wait for long. */
static void gather(drover_client *client)
{
    client->is_gathering = true;
    if (client->gathered_at_us == INT64_MAX) {
        client->gathered_at_us = drv_now_us();
    }
    if (client->polling && client->poll_until_us > client->gathered_at_us + GATHER_US) {
        wake_driver(client);
    }
}

void drv_client_offer(drover_client *client, size_t bytes, bool more_follows)
{
    client->gathered++;
    client->gathered_bytes += bytes;
    if (client->gathered >= GATHER_ITEMS || client->gathered_bytes >= GATHER_BYTES ||
        (!more_follows && !drv_session_is_expecting(client->session))) {
        turn_as_guest(client);
    } else {
        gather(client);
    }
}

/* ---- the library's thread ---------------------------------------------------------------- */

static void drive_for_nobody(drover_client *client)
{
    client->driving = true;
    client->thread_drives = true;
    int64_t next_us = turn_and_tell(client);
    if (!client->closing && drv_list_is_empty(&client->callbacks) &&
        drv_list_is_empty(&client->waiters)) {
        poll_unlocked(client, next_us);
    }
    client->driving = false;
    client->thread_drives = false;
    if (!drv_list_is_empty(&client->waiters)) {
        drv_driver_hand_over(client);
    }
}

static void rest(drover_client *client, int64_t until_us)
{
    client->thread_idle = until_us == INT64_MAX;
    cond_wait_until(&client->thread_cond, &client->lock, until_us);
    client->thread_idle = false;
}

/* While callers come and go: sends what has gathered for too long. */
static void keep_in_reserve(drover_client *client, int64_t now_us, int64_t quiet_at_us)
{
    if (client->gathered_at_us <= now_us - GATHER_US) {
        (void)turn_and_tell(client);
        return;
    }
    rest(client, quiet_at_us < now_us + GATHER_US ? quiet_at_us : now_us + GATHER_US);
}

/* One step of the thread: a callback, a turn, or a rest. */
static void thread_step(drover_client *client)
{
    struct drv_list *link = drv_list_pop_front(&client->callbacks);
    if (link != NULL) {
        drv_future_run_callback(client, DRV_LIST_ITEM(link, struct drover_future, callback));
        return;
    }
    if (!needs_driving(client)) {
        rest(client, INT64_MAX);
        return;
    }
    int64_t quiet_at_us = client->driven_at_us + QUIET_US;
    int64_t now_us = drv_now_us();
    if (client->driving || !drv_list_is_empty(&client->waiters)) {
        /* Callers that come and go would wake it each time they leave. */
        rest(client, now_us < quiet_at_us ? now_us + GATHER_US : INT64_MAX);
    } else if (now_us < quiet_at_us) {
        keep_in_reserve(client, now_us, quiet_at_us);
    } else {
        drive_for_nobody(client);
    }
}

static void *thread_main(void *argument)
{
    drover_client *client = argument;
    (void)pthread_mutex_lock(&client->lock);
    while (!client->closing) {
        thread_step(client);
    }
    (void)pthread_mutex_unlock(&client->lock);
    return NULL;
}

drover_status drv_client_ensure_thread(drover_client *client)
{
    if (client->thread_started) {
        return DROVER_OK;
    }
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&client->thread, NULL, thread_main, client);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    client->thread_started = error == 0;
    return error == 0 ? DROVER_OK : DROVER_LIMIT;
}

void drv_client_wake_thread(drover_client *client)
{
    (void)pthread_cond_signal(&client->thread_cond);
    if (client->driving) {
        wake_driver(client); /* it may be the thread itself that polls */
    }
}

/* ---- life -------------------------------------------------------------------------------- */

drover_status drv_driver_init(drover_client *client)
{
    drv_list_init(&client->waiters);
    drv_list_init(&client->callbacks);
    client->gathered_at_us = INT64_MAX;
    cond_init(&client->thread_cond);
    cond_init(&client->changed);
    (void)pthread_mutex_init(&client->lock, NULL);
    client->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return client->wake_fd >= 0 ? DROVER_OK : DROVER_LIMIT;
}

void drv_driver_stop(drover_client *client)
{
    (void)pthread_mutex_lock(&client->lock);
    client->closing = true;
    tell_followers(client);
    wake_driver(client);
    (void)pthread_cond_signal(&client->thread_cond);
    (void)pthread_cond_broadcast(&client->changed);
    while (atomic_load(&client->calls) > 0) {
        (void)pthread_cond_wait(&client->changed, &client->lock);
    }
    (void)pthread_mutex_unlock(&client->lock);
    if (client->thread_started) {
        (void)pthread_join(client->thread, NULL);
    }
}

void drv_driver_fini(drover_client *client)
{
    if (client->wake_fd >= 0) {
        (void)close(client->wake_fd);
    }
    (void)pthread_cond_destroy(&client->changed);
    (void)pthread_cond_destroy(&client->thread_cond);
    (void)pthread_mutex_destroy(&client->lock);
}
