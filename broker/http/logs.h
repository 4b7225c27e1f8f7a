/*
 * logs.h: the output of a task, what there is now, as JSON.
 */
#ifndef HTTP_LOGS_H
#define HTTP_LOGS_H

#include "http_private.h"

struct logs;

/* Answers when everything has come. */
void logs_serve(struct http *http, struct exchange *exchange);
void logs_on_logs(struct http *http, const struct drv_logs *message);
/* The exchange is over. Fine with NULL. */
void logs_close(struct http *http, struct logs **logs);

#endif
