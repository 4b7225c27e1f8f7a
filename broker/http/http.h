/*
 * http.h: the HTTP server of the broker: page, API, metrics, health.
 *
 *      browsers, curl, Prometheus
 *          │ TCP
 *      HTTP thread   http.c      life, one loop over libmicrohttpd, the uplink and deadlines
 *          │         exchange.c  a request from its first line to its answer
 *          │         inquiry.c   what a path asks for, and who may (pure)
 *          │         snapshot.c  the status, asked for at most once a second, shared by all
 *          │         sse.c       server-sent events
 *          │         feed.c      what happens, kept for the streams
 *          │         logs.c      the output of a task
 *          │         action.c    cancel, retry, pause, drain
 *          │         metrics.c   Prometheus' text, from the status (pure)
 *          │         asset.h     the page, made a part of the program by asset.cmake
 *          │ uplink.c, channel.c
 *      loop of the broker
 *
 * The thread is a client of the broker like any other, over a channel instead of a socket; it
 * never touches the core, and the loop never waits for it. Everything is bounded: connections,
 * streams, questions under way, and the time of each request, from its first byte to its last.
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "channel.h"
#include "config.h"

#include "log.h"

struct http;

/* Listens; nobody is answered yet. log is borrowed for life. OK; BUSY: the address is taken;
 * IO, INVALID, NOMEM, with a problem. */
DROVER_MUST_USE drover_status http_new(const struct http_config *config,
                                       const struct drv_log *log, struct http **out_http,
                                       struct drv_problem *problem);

/* Starts the thread, which inherits the signal mask. OK; INTERNAL, NOMEM with a problem. */
DROVER_MUST_USE drover_status http_start(struct http *http, struct drv_problem *problem);

/* Ends the thread; blocks until it has, for a fraction of a second. */
void http_destroy(struct http **http);

/* HOST:PORT as bound. */
const char *http_bound(const struct http *http);

/* For the loop, which owns the other end. */
struct channel *http_channel(struct http *http);

#endif
