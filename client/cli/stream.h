/*
 * stream.h: an array fed from a source, its outcomes in input order: the loop of map and xargs.
 */
#ifndef CLI_STREAM_H
#define CLI_STREAM_H

#include "cli.h"

struct stream {
    const char *what; /* "map", for messages */
    const char *type;
    drover_map_source_fn source;
    void *context; /* of source and emit */
    const drover_map_options *options;
    const int *source_code; /* the exit code for what source has complained about */
    drover_status (*next)(void *context, drover_map *map, int64_t timeout_ms,
                          drover_outcome **out_outcome); /* NULL: drover_map_next */
    int64_t timeout_ms;                                  /* for all of it; DROVER_FOREVER */
    int (*emit)(void *context, const drover_outcome *outcome); /* prints; an exit code: stop */
    const char *stop_reason; /* of options with stop_on_error: said when emit stops, or at
                                the latest soon after something has failed; NULL: its reader
                                has failed */
};

/*
 * Runs it to the end. Ctrl-C, the timeout, an error of the source and an exit code of emit end
 * it early and cancel the array. CLI_OK when all outcomes were printed, or says why not and
 * returns the exit code.
 */
int stream_run(struct cli *cli, const struct stream *stream);

/*
 * The same for an array that exists, which is left alone when it ends early; takes *map. Only
 * what, next, timeout_ms, emit and their context are used of stream.
 */
int stream_read(struct cli *cli, const struct stream *stream, drover_map **map);

#endif
