/*
 * notify.h: tells the service manager how the worker is, when there is one ($NOTIFY_SOCKET).
 *
 * The protocol of sd_notify(3) is one datagram to a unix socket; no library is needed for it.
 */
#ifndef WORKER_NOTIFY_H
#define WORKER_NOTIFY_H

/* Sends `text` ("READY=1"). Never blocks, never fails: nobody may be listening. */
void worker_notify(const char *text);

#endif
