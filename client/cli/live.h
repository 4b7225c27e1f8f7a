/*
 * live.h: the output of a command on the fleet, printed while it runs.
 *
 *     output of the attempt ──[printed here, in order]──[gap: waits for the result]──[rest]──>
 *
 * What streams may drop something, and the result has everything. So each stream is printed as
 * it comes until something is missing; from there on, or from where the stream has ended, the
 * rest comes out of the result. Nothing is printed twice, nothing out of order. A new attempt
 * begins anew.
 */
#ifndef CLI_LIVE_H
#define CLI_LIVE_H

#include "cli.h"

#include <drover/client.h>

#include <stdbool.h>
#include <stdint.h>

enum { LIVE_OUT, LIVE_ERR, LIVE_STREAMS };

struct live {
    drover_stream *stream; /* owned; NULL: nothing comes any more */
    uint32_t attempt;
    uint64_t printed[LIVE_STREAMS]; /* bytes of the attempt */
    bool has_gap[LIVE_STREAMS];
};

/* Begins to follow a task. A broker that streams nothing makes an end of it at once. */
void live_open(struct live *live, drover_client *client, const drover_id *id);
void live_close(struct live *live);

/* Waits for the next piece and prints it; ended: there are none. CLI_OK, also when none came in
 * time; else why it could not be printed. */
int live_next(struct live *live, int64_t timeout_ms);

/* How much of the attempt's stdout or stderr has been printed. */
uint64_t live_printed(const struct live *live, int which, uint32_t attempt);

#endif
