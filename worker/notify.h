/*
 * notify.h: tells the service manager how the worker is, when there is one ($NOTIFY_SOCKET).
 *
 * The protocol of sd_notify(3) is one datagram to a unix socket; no library is needed for it. A
 * worker is ready when its modules are loaded and its executors there, whether there is a
 * broker or not: who starts it, or a machine that boots, need not wait for another machine.
 * What it waits for stands in its status.
 */
#ifndef WORKER_NOTIFY_H
#define WORKER_NOTIFY_H

/* Sends `fact` ("READY=1", or nothing: "") and the status, a line for people, of which control
 * characters become spaces. Never blocks, never fails: nobody may be listening. */
__attribute__((format(printf, 2, 3))) void worker_notify(const char *fact, const char *format,
                                                         ...);

#endif
