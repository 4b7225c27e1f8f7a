/*
 * settings.h: what the command line, the environment and the file say about this broker.
 */
#ifndef BROKER_SETTINGS_H
#define BROKER_SETTINGS_H

#include "core.h"
#include "data_dir.h"
#include "endpoint.h"
#include "http.h"
#include "log.h"
#include "options.h"
#include "problem.h"

#include <stdbool.h>
#include <stdint.h>

struct settings {
    char client_bind[ENDPOINT_MAX];
    char worker_bind[ENDPOINT_MAX];
    int64_t grace_us;                /* a graceful end takes this long at most */
    size_t peers_max;                /* connections */
    bool is_memory;                  /* keep nothing */
    const char *identity, *accounts; /* key file, table of keys; both or neither (NULL) */
    char data[DATA_DIR_MAX];         /* where else; "": at the usual place (data_dir.h) */
    struct http_config http;
    const struct drv_options *options; /* borrowed: what stays text, such as alert-rule */
    enum drv_log_level log_level;
    struct core_config core; /* limits and times; identity is filled in by the server */
};

/* The program's options, for drv_options_new. */
extern const struct drv_program settings_program;

/* Reads loaded options. OK or INVALID, REFUSED with a problem. */
DROVER_MUST_USE drover_status settings_read(const struct drv_options *options,
                                            struct settings *out_settings,
                                            struct drv_problem *problem);

#endif
