/* pages.c: see pages.h. */
#include "pages.h"

#include "doc.h"
#include "watch.h"

static drover_status append(const drover_value *page, const char *key, drover_value *rows)
{
    drover_value *list = doc_get(page, key);
    drover_value *row = NULL;
    drover_value_iter iter;
    drover_status status = DROVER_OK;
    if (list != NULL) {
        drover_value_iter_init(&iter, list);
        while (status == DROVER_OK && drover_value_iter_next(&iter, NULL, &row) == DROVER_OK) {
            status = drover_value_array_append(rows, &row);
            drover_value_destroy(&row);
        }
    }
    drover_value_destroy(&list);
    return status;
}

static int collect(const struct cli *cli, pages_fn fetch, const char *key, const char *what,
                   drover_value *rows)
{
    drover_cursor cursor = DROVER_CURSOR_INIT;
    do {
        drover_value *page = NULL;
        drover_status status = fetch(cli->client, 0, &cursor, watch_ask_ms(cli), &page);
        if (status != DROVER_OK) {
            return cli_failed(cli, status, what);
        }
        status = append(page, key, rows);
        drover_value_destroy(&page);
        if (status != DROVER_OK) {
            return cli_no_memory();
        }
    } while (cursor.len > 0);
    return CLI_OK;
}

int pages_collect(const struct cli *cli, pages_fn fetch, const char *key, const char *what,
                  drover_value **out_document)
{
    drover_value *rows = NULL;
    drover_value *document = NULL;
    if (drover_value_array_new(&rows) != DROVER_OK ||
        drover_value_map_new(&document) != DROVER_OK) {
        drover_value_destroy(&rows);
        return cli_no_memory();
    }
    int code = collect(cli, fetch, key, what, rows);
    if (code == CLI_OK && drover_value_map_set(document, key, &rows) != DROVER_OK) {
        code = cli_no_memory();
    }
    if (code == CLI_OK) {
        *out_document = document;
        document = NULL;
    }
    drover_value_destroy(&rows);
    drover_value_destroy(&document);
    return code;
}
