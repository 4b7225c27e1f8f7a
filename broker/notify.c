/* notify.c: see notify.h. */
#include "notify.h"

#ifdef DROVER_HAVE_SYSTEMD
#include <stddef.h>
#include <systemd/sd-daemon.h>

void notify_ready(const char *clients, const char *workers, const char *http)
{
    (void)sd_notifyf(0, "READY=1\nSTATUS=serving: clients at %s, workers at %s, page %s%s",
                     clients, workers, http != NULL ? "at " : "off", http != NULL ? http : "");
}

void notify_stopping(void)
{
    (void)sd_notify(0, "STOPPING=1\nSTATUS=draining");
}

#else

void notify_ready(const char *clients, const char *workers, const char *http)
{
    (void)clients;
    (void)workers;
    (void)http;
}

void notify_stopping(void)
{
}

#endif
