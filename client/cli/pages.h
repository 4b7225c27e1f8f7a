/*
 * pages.h: lists that come in pages, put together.
 */
#ifndef CLI_PAGES_H
#define CLI_PAGES_H

#include "cli.h"

typedef drover_status (*pages_fn)(drover_client *client, uint32_t limit, drover_cursor *cursor,
                                  int64_t timeout_ms, drover_value **out_document);

/* All rows under key, as one document with that key. CLI_OK, or says why not. */
int pages_collect(const struct cli *cli, pages_fn fetch, const char *key, const char *what,
                  drover_value **out_document);

#endif
