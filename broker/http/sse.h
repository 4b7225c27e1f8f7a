/*
 * sse.h: server-sent events: the status once a second, and what happens.
 *
 *     event: status    data: the document of /api/v1/status
 *     id: N
 *     event: event     data: one event, common/PROTOCOL.md section 8, and time_ms
 *
 * Numbers go up over restarts of the broker, not always by one. "?since=N" begins behind event
 * N, with 0 at the oldest that is kept: the last 256 that did not happen to a task, and of all
 * the last 512 (those of tasks come in only while somebody listens).
 *
 * Nothing is queued for a reader: a stream has a place in what all share. One that is slow gets
 * the newest status, and the events that are still kept, with a gap told before them.
 */
#ifndef HTTP_SSE_H
#define HTTP_SSE_H

#include "http_private.h"

/* Answers with a stream, for which there must be room. What the handler of libmicrohttpd
 * returns. */
enum MHD_Result stream_open(struct http *http, struct exchange *exchange);

/* Whether one more may be opened. */
bool streams_have_room(const struct http *http);
/* There is something new. */
void streams_wake(struct http *http);
/* Ends those that nobody reads. */
void streams_turn(struct http *http);
/* Ends all of them. */
void streams_end(struct http *http);

/* ---- feed.c: events of the broker, kept for the streams ---- */

void feed_init(struct http *http);
void feed_fini(struct http *http);
/* Subscribes, to events of tasks while there are streams. */
void feed_turn(struct http *http);
void feed_on_events(struct http *http, const struct drv_events *events);
/* The session is new. */
void feed_anew(struct http *http);
int64_t feed_deadline_us(const struct http *http);
/* Some of what came after event *number, which is moved on; NULL: nothing. */
struct drv_data *feed_next(const struct feed *feed, uint64_t *number);
/* Where a stream that is new begins; and one that says what it has had. */
uint64_t feed_begin(const struct feed *feed);
uint64_t feed_resume(const struct feed *feed, uint64_t since);

#endif
