/*
 * reopen.h: a session anew, for commands that go on when the broker is back.
 */
#ifndef CLI_REOPEN_H
#define CLI_REOPEN_H

#include "cli.h"

/* Whether the session cannot recover by itself from what this status says. */
bool reopen_is_needed(drover_status status);

/* Opens cli->client, which is NULL, without a word when there is no broker yet. Tries for so
 * long. */
bool reopen_client(struct cli *cli, uint64_t connect_ms);

#endif
