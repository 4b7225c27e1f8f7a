/*
 * wait.c: when the loop sleeps, for how long, and what it listens to meanwhile.
 */
#include "server.h"

#include "clock.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <zmq.h>

/*
 * In a large fleet that holds nothing, heartbeats come together (on_heartbeat.c), one by one
 * within milliseconds, and nobody waits for their answers. After the first of them workers are
 * not listened to for a moment, and all are answered together: a few turns and wake-ups for all
 * of them. Whatever else comes, from clients, the store, the page, ends that.
 */
bool wait_gathers(struct server *server, bool more, int64_t now)
{
    bool is_large = core_idle_heartbeat_us(server->core) > server->settings.core.heartbeat_us;
    bool is_over = server->gather_until_us != 0; /* this turn has what came meanwhile */
    bool begins = server->heartbeats > 0 && server->others == 0 && !more && !is_over &&
                  is_large && core_is_idle(server->core) && server->drain_until_us == 0;
    server->gather_until_us = begins ? now + SERVER_GATHER_US : 0;
    server->heartbeats = 0;
    server->others = 0;
    return begins;
}

/*
 * Whether the socket may have something to be read. Its descriptor says that its thread has
 * sent something since it was asked last; who sends may have taken that in, so it is asked
 * then, which costs three system calls.
 */
static bool has_input(struct server *server, enum core_port port)
{
    if (!server->may_read[port] && server->must_ask[port]) {
        int events = 0;
        size_t len = sizeof(events);
        server->may_read[port] = zmq_getsockopt(server->sockets[port], ZMQ_EVENTS, &events,
                                                &len) != 0 ||
                                 (events & ZMQ_POLLIN) != 0;
        server->must_ask[port] = false;
    }
    return server->may_read[port];
}

/*
 * Waits with poll itself: zmq_poll asks every socket twice, whatever happened to it. While the
 * store has no room, nothing is read: peers wait.
 */
drover_status wait_for_input(struct server *server, int64_t next)
{
    int64_t now = (int64_t)drv_clock_now_us();
    int64_t wait_ms = next <= now ? 0 : (next - now + 999) / 1000;
    wait_ms = wait_ms > SERVER_WAIT_MAX_MS ? SERVER_WAIT_MAX_MS : wait_ms;
    server->turn_due_us = now + wait_ms * 1000;
    bool may_read = store_has_room(server->store);
    bool may_listen = may_read && server->gather_until_us == 0;
    if (may_read && has_input(server, CORE_PORT_CLIENT)) {
        wait_ms = 0;
    }
    if (may_listen && has_input(server, CORE_PORT_WORKER)) {
        wait_ms = 0;
    }
    /* Negative ones are passed over. */
    struct pollfd items[] = {
        {.fd = server->signal_fd, .events = POLLIN},
        [CORE_PORT_CLIENT] = {.fd = may_read ? server->socket_fds[CORE_PORT_CLIENT] : -1,
                              .events = POLLIN},
        [CORE_PORT_WORKER] = {.fd = may_listen ? server->socket_fds[CORE_PORT_WORKER] : -1,
                              .events = POLLIN},
        {.fd = store_fd(server->store), .events = POLLIN},
        {.fd = may_read && server->channel != NULL ? server->channel->up.event_fd : -1,
         .events = POLLIN},
    };
    if (poll(items, DRV_ARRAY_LEN(items), (int)wait_ms) < 0) {
        if (errno != EINTR) {
            drv_log_error(server->log, "poll failed", drv_log_str("why", strerror(errno)));
            return DROVER_IO;
        }
        return DROVER_OK; /* the next poll says it again */
    }
    for (enum core_port port = CORE_PORT_CLIENT; port <= CORE_PORT_WORKER; port++) {
        server->may_read[port] = server->may_read[port] || items[port].revents != 0;
    }
    server->may_read[CORE_PORT_WORKER] |= !may_listen;
    if ((items[0].revents & POLLIN) != 0) {
        server_on_signals(server, (int64_t)drv_clock_now_us());
    }
    return DROVER_OK;
}
