/*
 * security.h: the keys of this broker: its own, and the table of those that it knows.
 *
 *     security_begin ──> ZAP thread with the table's keys ──> sockets ──> security_prove
 *     security_tell  ──> the core gets the table
 *     SIGHUP ──> security_reload: both get another one, or nothing changes
 */
#ifndef BROKER_SECURITY_H
#define BROKER_SECURITY_H

#include "server.h"

/* Before any socket: reads both files and starts the handler. Without keys nothing happens. OK;
 * INVALID, IO, REFUSED, NOMEM with a problem. */
DROVER_MUST_USE drover_status security_begin(struct server *server,
                                             struct drv_problem *problem);
/* A socket, before it is bound. OK or INTERNAL with a problem. */
DROVER_MUST_USE drover_status security_guard(const struct server *server, void *socket,
                                             struct drv_problem *problem);
/* Bound: a stranger is turned away at both ports. OK; DENIED, INTERNAL with a problem. */
DROVER_MUST_USE drover_status security_prove(const struct server *server,
                                             struct drv_problem *problem);
/* The core is there: it gets the table. */
void security_tell(struct server *server, int64_t now_us);

/* The table of today. What cannot be read changes nothing, and is logged. */
void security_reload(struct server *server, int64_t now_us);

/* Strangers that were turned away since the last time: counted and logged. */
void security_count(struct server *server);

/* The sockets are closed; before the context ends. */
void security_end(struct server *server);

#endif
