/*
 * endpoint.h: which broker a command talks to: the one at --broker, else $DROVER_BROKER, else
 * the usual place; or a private pool, made for this command alone: --local, or an endpoint that
 * begins with local://. Commands that send a command along have it allowed there, and run in
 * the current directory, as it would without the pool.
 */
#ifndef CLI_ENDPOINT_H
#define CLI_ENDPOINT_H

#include "buffer.h"
#include "cli.h"

/* Puts the endpoint into out_text, NUL-terminated. CLI_OK, or says what is wrong. */
int endpoint_pick(const struct cli *cli, struct drv_buffer *out_text);

/* Adds KEY=VALUE to an endpoint that begins with local://. OK or NOMEM. */
drover_status endpoint_add_key(struct drv_buffer *endpoint, const char *key, const char *value);

/* Whether it is a private pool. */
bool endpoint_is_local(const char *endpoint);

/* Whether the command has a private pool, which ends with it, and all tasks there. */
bool endpoint_ends_with_command(const struct cli *cli);

#endif
