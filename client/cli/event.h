/*
 * event.h: events as lines: with the time on this machine and the keys that each has, or as
 * JSON.
 */
#ifndef CLI_EVENT_H
#define CLI_EVENT_H

#include "cli.h"
#include "deadline.h"

/* One event, or one gap, as a line. CLI_OK, or says why not. */
int event_print(const struct cli *cli, const drover_stream_item *item);

/*
 * Prints what comes until the stream or the deadline ends, or `count` events were printed (0:
 * no bound). The exit code; reaching the deadline is CLI_TIMEOUT only when a count was asked
 * for.
 */
int event_print_all(const struct cli *cli, drover_stream *stream, uint64_t count,
                    struct deadline deadline, const char *what);

#endif
