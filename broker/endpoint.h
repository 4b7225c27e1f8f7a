/*
 * endpoint.h: where the broker may listen, and where it does.
 *
 * tcp://HOST:PORT with PORT 1..65535, or 0 or * for any free one, and ipc://PATH. Everything
 * but loopback and ipc is refused unless `insecure`, which stands for keys, too: whoever
 * reaches the port could run handlers.
 */
#ifndef BROKER_ENDPOINT_H
#define BROKER_ENDPOINT_H

#include "problem.h"

#include <drover/status.h>

#include <stdbool.h>

#define ENDPOINT_MAX 256 /* bytes with the NUL; an ipc path is bounded by the system at 107 */

/* Checks the text and brings it into the form that the socket wants (port 0 becomes *). OK or
 * INVALID, REFUSED with a problem. */
DROVER_MUST_USE drover_status endpoint_check(const char *text, bool insecure,
                                             char out_endpoint[ENDPOINT_MAX],
                                             struct drv_problem *problem);

/*
 * Whether somebody listens on this ipc endpoint already. libzmq would take the path away from
 * them without a word; other transports refuse by themselves, for them this is false. Blocks
 * for no longer than a local connect.
 */
bool endpoint_is_taken(const char *endpoint);

/* Whether it names an IPv4 address in numbers: a socket for both families would report it as a
 * mapped IPv6 one. */
bool endpoint_is_ipv4(const char *endpoint);

#endif
