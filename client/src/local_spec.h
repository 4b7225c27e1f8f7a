/*
 * local_spec.h: what "local://[N][?KEY=VALUE[&KEY=VALUE]...]" asks for, as the arguments of
 * drover-worker. Pure.
 *
 * Values may hold any byte as %XX. Every key is an option of drover-worker under its own name;
 * which ones may be said is a table here, what they may say is the worker's to judge. But two
 * are the pool's own: "transport" is "ipc", or "tcp" to measure what crosses hosts; "data" is
 * the directory of the broker's journal.
 */
#ifndef DRV_CLIENT_LOCAL_SPEC_H
#define DRV_CLIENT_LOCAL_SPEC_H

#include "problem.h"

#include <drover/status.h>

#include <stdbool.h>
#include <stddef.h>

#define LOCAL_SCHEME "local://"
#define LOCAL_SPEC_MAX 16384 /* bytes of the endpoint */
#define LOCAL_KEYS_MAX 256   /* KEY=VALUE pairs */
#define LOCAL_SLOTS_MAX 1024 /* N */

struct local_spec {
    char **arguments; /* owned: "--slots=4", "--load=FILE"... */
    size_t count;
    bool has_load;      /* handlers from modules */
    bool has_commands;  /* handlers from allow-exec or a configuration file */
    bool is_tcp;        /* loopback TCP instead of unix sockets */
    char *data;         /* owned; NULL: all is kept in memory */
    char log_level[16]; /* for all programs of the pool */
};

/* Whether the endpoint is one of these. */
bool local_spec_is_meant(const char *endpoint);

/* OK, INVALID with a problem, NOMEM. *spec is empty unless OK. */
DROVER_MUST_USE drover_status local_spec_parse(const char *endpoint, struct local_spec *spec,
                                               struct drv_problem *problem);
void local_spec_fini(struct local_spec *spec);

#endif
