/*
 * config.h: where the HTTP server listens, and whom it answers.
 */
#ifndef HTTP_CONFIG_H
#define HTTP_CONFIG_H

#include "problem.h"

#include <drover/status.h>

#include <stdbool.h>
#include <stddef.h>

enum {
    HTTP_HOST_MAX = 128, /* bytes of a host name or address, with the NUL */
    HTTP_HOSTS_MAX = 16, /* names that requests may use besides addresses and localhost */
    HTTP_ADDRESS_MAX = HTTP_HOST_MAX + 8, /* HOST:PORT */
    HTTP_TOKEN_MIN = 16,                  /* bytes of a token: less can be guessed */
    HTTP_TOKEN_MAX = 512,
};

struct http_config {
    bool is_off;
    bool is_asked;            /* by name, not by default: then it must be there */
    bool is_open;             /* reading needs a token: there are keys, or others than this
                                 machine reach it and nobody said --insecure */
    bool lacks_token;         /* it is off because of that, and was not asked for */
    char host[HTTP_HOST_MAX]; /* without brackets */
    char port[6];             /* decimal; "0": a free one */
    char hosts[HTTP_HOSTS_MAX][HTTP_HOST_MAX]; /* allowed in Host */
    size_t host_count;
    char token[HTTP_TOKEN_MAX + 1]; /* "": none, and no actions */
    size_t token_len;
    char metrics_token[HTTP_TOKEN_MAX + 1]; /* reads /metrics and nothing else; "": none */
    size_t metrics_token_len;
};

/* Reads "HOST:PORT", "[V6]:PORT" or "off". OK or INVALID with a problem. */
DROVER_MUST_USE drover_status http_config_address(struct http_config *config, const char *text,
                                                  struct drv_problem *problem);

/* Whether only this machine reaches what it listens on. */
bool http_config_is_loopback(const struct http_config *config);

/* One more name that requests may use. OK or INVALID. */
DROVER_MUST_USE drover_status http_config_allow(struct http_config *config, const char *host,
                                                struct drv_problem *problem);

/* The token is the first line of the file. OK, or INVALID, IO, REFUSED (others can read the
 * file) with a problem. Blocks on the file. */
DROVER_MUST_USE drover_status http_config_token(struct http_config *config, const char *path,
                                                struct drv_problem *problem);

/* The same for the token that reads metrics alone. */
DROVER_MUST_USE drover_status http_config_metrics_token(struct http_config *config,
                                                        const char *path,
                                                        struct drv_problem *problem);

/* A listening socket; out_bound says where, as HOST:PORT. OK; BUSY: the address is taken; IO,
 * INVALID. */
DROVER_MUST_USE drover_status http_listen(const struct http_config *config, int *out_fd,
                                          char out_bound[HTTP_ADDRESS_MAX],
                                          struct drv_problem *problem);

#endif
