/* tasks.c: see tasks.h. */
#include "tasks.h"

#include "doc.h"
#include "watch.h"

#include <string.h>

int tasks_label(const struct cli *cli, drover_task_filter *filter, struct tasks_label *label)
{
    const char *text = drv_options_string(cli->options, "tag");
    filter->group = drv_options_string(cli->options, "group");
    if (filter->group != NULL && !drover_name_is_valid(filter->group)) {
        return cli_say(CLI_USAGE, "--group: '%s' is no name (letters, digits and . _ : -)",
                       filter->group);
    }
    if (text == NULL) {
        return CLI_OK;
    }
    const char *equals = strchr(text, '=');
    size_t len = equals == NULL ? 0 : (size_t)(equals - text);
    if (len == 0 || len > DROVER_NAME_MAX) {
        return cli_say(CLI_USAGE, "--tag: '%s' is not NAME=VALUE", text);
    }
    memcpy(label->name, text, len);
    label->name[len] = '\0';
    if (!drover_name_is_valid(label->name)) {
        return cli_say(CLI_USAGE, "--tag: '%s' does not begin with a name", text);
    }
    filter->tag = label->name;
    filter->tag_value = equals + 1;
    return CLI_OK;
}

static int walk_page(const drover_value *document, uint64_t *left, tasks_row_fn row,
                     void *context)
{
    int code = CLI_OK;
    drover_value *rows = doc_get(document, "tasks");
    drover_value *item = NULL;
    drover_value_iter iter;
    if (rows == NULL) {
        return CLI_OK;
    }
    drover_value_iter_init(&iter, rows);
    while (code == CLI_OK && *left > 0 &&
           drover_value_iter_next(&iter, NULL, &item) == DROVER_OK) {
        code = row(context, item);
        drover_value_destroy(&item);
        (*left)--;
    }
    drover_value_destroy(&rows);
    return code;
}

int tasks_walk(const struct cli *cli, const drover_task_filter *filter, uint64_t max,
               tasks_row_fn row, void *context)
{
    drover_cursor cursor = DROVER_CURSOR_INIT;
    int code = CLI_OK;
    do {
        drover_value *document = NULL;
        drover_status status = drover_task_list(cli->client, filter, &cursor, watch_ask_ms(cli),
                                                &document);
        if (status != DROVER_OK) {
            return cli_failed(cli, status, "list of tasks");
        }
        code = walk_page(document, &max, row, context);
        drover_value_destroy(&document);
    } while (code == CLI_OK && max > 0 && cursor.len > 0);
    return code;
}
