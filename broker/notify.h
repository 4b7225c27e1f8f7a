/*
 * notify.h: tells the service manager (sd_notify) when there is one; otherwise does nothing.
 */
#ifndef BROKER_NOTIFY_H
#define BROKER_NOTIFY_H

void notify_ready(void);
void notify_stopping(void);

#endif
