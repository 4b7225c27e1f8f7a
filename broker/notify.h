/*
 * notify.h: tells the service manager (sd_notify) when there is one; otherwise does nothing.
 */
#ifndef BROKER_NOTIFY_H
#define BROKER_NOTIFY_H

/* It serves, at these endpoints; http: NULL without a page. */
void notify_ready(const char *clients, const char *workers, const char *http);
void notify_stopping(void); /* it drains */

#endif
