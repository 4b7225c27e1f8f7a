/*
 * action.h: what changes something: cancel, retry, pause, resume, drain, acknowledge,
 * silence. Asked for by POST with
 * the token; exchange.c has checked that.
 */
#ifndef HTTP_ACTION_H
#define HTTP_ACTION_H

#include "http_private.h"

/* Asks the broker, and answers when it has. */
void action_serve(struct http *http, struct exchange *exchange);

#endif
