/* cmd_account.c: account ls, show. */
#include "command.h"

#include "check.h"
#include "doc.h"
#include "grid.h"
#include "human.h"
#include "pages.h"
#include "print.h"
#include "watch.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- what it has of what it may have ----------------------------------------------------- */

enum { CELL_MAX = 2 * HUMAN_TEXT_MAX + 2 };

static const struct kind {
    const char *key; /* of the use and of the limit */
    const char *column;
    bool is_bytes;
} kinds[] = {{"tasks", "TASKS", false}, {"bytes", "BYTES", true},
             {"rate", "PER S", false},  {"results", "UNREAD", false},
             {"keys", "KEYS", false},   {"sessions", "SESSIONS", false}};

static const char *number(const struct kind *kind, const drover_value *map,
                          char text[HUMAN_TEXT_MAX])
{
    if (kind->is_bytes) {
        return human_bytes(doc_int(map, kind->key), text);
    }
    double value = doc_double(map, kind->key);
    bool is_whole = value >= 10 || value - floor(value) < 0.05;
    (void)snprintf(text, HUMAN_TEXT_MAX, "%.*f", is_whole ? 0 : 1, value);
    return text;
}

/* "3", "3/10" where there is a limit. */
static const char *use(const struct kind *kind, const drover_value *account,
                       char text[CELL_MAX])
{
    char used[HUMAN_TEXT_MAX], most[HUMAN_TEXT_MAX];
    drover_value *limits = doc_get(account, "limits");
    bool is_limited = limits != NULL && doc_has(limits, kind->key);
    (void)snprintf(text, CELL_MAX, "%s%s%s", number(kind, account, used), is_limited ? "/" : "",
                   is_limited ? number(kind, limits, most) : "");
    drover_value_destroy(&limits);
    return text;
}

/* "submit,observe"; "gone" for one that is not in the table any more. */
static const char *roles(const drover_value *account, char text[DOC_TEXT_MAX])
{
    drover_value *list = doc_get(account, "roles");
    drover_value *item = NULL;
    drover_value_iter iter;
    size_t len = 0;
    text[0] = '\0';
    if (list != NULL) {
        drover_value_iter_init(&iter, list);
        while (drover_value_iter_next(&iter, NULL, &item) == DROVER_OK) {
            const char *word = NULL;
            if (drover_value_get_string(item, &word, NULL) == DROVER_OK &&
                len + strlen(word) + 2 < DOC_TEXT_MAX) {
                len += (size_t)snprintf(text + len, DOC_TEXT_MAX - len, "%s%s",
                                        len > 0 ? "," : "", word);
            }
            drover_value_destroy(&item);
        }
    }
    drover_value_destroy(&list);
    if (!doc_bool(account, "listed")) {
        return "gone";
    }
    return len > 0 ? text : "-";
}

/* ---- the table --------------------------------------------------------------------------- */

static void row(struct grid *grid, const drover_value *account)
{
    char text[DOC_TEXT_MAX];
    char cell[CELL_MAX];
    grid_row(grid);
    grid_text(grid, doc_text(account, "name", text, sizeof text));
    grid_text(grid, roles(account, text));
    for (size_t i = 0; i < DRV_ARRAY_LEN(kinds); i++) {
        grid_text(grid, use(&kinds[i], account, cell));
    }
    grid_int(grid, doc_int(account, "submitted"));
    grid_int(grid, doc_int(account, "busy"));
    grid_int(grid, doc_int(account, "denied"));
    grid_text(grid, doc_has(account, "busy_reason")
                        ? doc_text(account, "busy_reason", text, sizeof text)
                        : "");
}

static int print_table(const drover_value *document)
{
    struct grid_column columns[DRV_ARRAY_LEN(kinds) + 6] = {{.name = "ACCOUNT"},
                                                            {.name = "ROLES"}};
    size_t count = 2;
    for (size_t i = 0; i < DRV_ARRAY_LEN(kinds); i++) {
        columns[count++] = (struct grid_column){.name = kinds[i].column, .right = true};
    }
    columns[count++] = (struct grid_column){.name = "SUBMITTED", .right = true};
    columns[count++] = (struct grid_column){.name = "BUSY", .right = true};
    columns[count++] = (struct grid_column){.name = "DENIED", .right = true};
    columns[count++] = (struct grid_column){.name = "LAST BUSY", .cut = true};
    struct grid grid;
    drover_value *accounts = doc_get(document, "accounts");
    drover_value *item = NULL;
    drover_value_iter iter;
    grid_open(&grid, columns, count);
    if (accounts != NULL) {
        drover_value_iter_init(&iter, accounts);
        while (drover_value_iter_next(&iter, NULL, &item) == DROVER_OK) {
            row(&grid, item);
            drover_value_destroy(&item);
        }
    }
    drover_value_destroy(&accounts);
    grid_sort(&grid);
    return grid_print(&grid);
}

static int list_once(struct cli *cli)
{
    drover_value *document = NULL;
    int code = pages_collect(cli, drover_account_list, "accounts", "account ls", &document);
    if (code == CLI_OK) {
        code = cli->json ? print_document(document) : print_table(document);
    }
    drover_value_destroy(&document);
    return code;
}

static int list(struct cli *cli)
{
    return watch_run(cli, 0, 0, list_once);
}

static const struct drv_option watch_options[] = {WATCH_OPTION};

const struct cli_command cmd_account_list = {
    .group = "account",
    .name = "ls",
    .summary = "list the accounts: what each has, does and may have",
    .usage = WATCH_USAGE,
    .options = watch_options,
    .option_count = DRV_ARRAY_LEN(watch_options),
    .operand_max = 1,
    .run = list,
};

/* ---- one of them ------------------------------------------------------------------------- */

static void print_facts(const drover_value *account)
{
    char text[DOC_TEXT_MAX], age[HUMAN_TEXT_MAX];
    (void)printf("%-14s %s\n", "account", doc_text(account, "name", text, sizeof text));
    (void)printf("%-14s %s\n", "roles", roles(account, text));
    (void)printf("%-14s %" PRId64 "\n", "public keys", doc_int(account, "public_keys"));
    (void)printf("%-14s %" PRId64 "\n", "submitted", doc_int(account, "submitted"));
    (void)printf("%-14s %" PRId64 "\n", "denied", doc_int(account, "denied"));
    (void)printf("%-14s %" PRId64, "busy", doc_int(account, "busy"));
    if (doc_has(account, "busy_reason")) {
        (void)printf(" (%s ago: %s)", human_age(doc_int(account, "busy_age_ms"), age),
                     doc_text(account, "busy_reason", text, sizeof text));
    }
    (void)puts("\n");
}

static int print_account(const drover_value *account)
{
    static const struct grid_column columns[] = {
        {.name = "OF WHAT"}, {.name = "HAS", .right = true}, {.name = "LIMIT", .right = true}};
    struct grid grid;
    char text[HUMAN_TEXT_MAX];
    drover_value *limits = doc_get(account, "limits");
    print_facts(account);
    grid_open(&grid, columns, DRV_ARRAY_LEN(columns));
    for (size_t i = 0; i < DRV_ARRAY_LEN(kinds); i++) {
        grid_row(&grid);
        grid_text(&grid, kinds[i].key);
        grid_text(&grid, number(&kinds[i], account, text));
        grid_text(&grid, limits != NULL && doc_has(limits, kinds[i].key)
                             ? number(&kinds[i], limits, text)
                             : "-");
    }
    drover_value_destroy(&limits);
    return grid_print(&grid);
}

static int failed(const struct cli *cli, drover_status status, const char *name)
{
    if (status == DROVER_INVALID) {
        return cli_say(CLI_USAGE, "'%s' is no account (letters, digits and . _ : -)", name);
    }
    return status == DROVER_UNKNOWN ? cli_say(CLI_FAILED, "there is no account '%s'", name)
                                    : cli_failed(cli, status, name);
}

static int show_one(struct cli *cli, const char *name)
{
    drover_value *document = NULL;
    drover_value *account = NULL;
    drover_status status = drover_account_show(cli->client, name, watch_ask_ms(cli), &document);
    if (status != DROVER_OK) {
        return failed(cli, status, name);
    }
    int code = CLI_FAILED;
    drover_value *accounts = doc_get(document, "accounts");
    if (accounts != NULL && drover_value_array_get(accounts, 0, &account) == DROVER_OK) {
        code = cli->json ? print_document(account) : print_account(account);
    }
    drover_value_destroy(&account);
    drover_value_destroy(&accounts);
    drover_value_destroy(&document);
    return code;
}

static int show_all(struct cli *cli)
{
    int worst = CLI_OK;
    for (size_t i = 0; i < cli_operand_count(cli); i++) {
        worst = cli_worse(worst, show_one(cli, cli_operand(cli, i)));
        if (!cli->json && i + 1 < cli_operand_count(cli)) {
            (void)putchar('\n');
        }
    }
    return worst;
}

static int show(struct cli *cli)
{
    int code = cli_connect(cli);
    return code == CLI_OK ? show_all(cli) : code;
}

const struct cli_command cmd_account_show = {
    .group = "account",
    .name = "show",
    .summary = "what accounts have, do and may have",
    .usage = "NAME...",
    .operand_min = 1,
    .operand_max = SIZE_MAX,
    .first = CLI_WORD_ACCOUNT,
    .run = show,
};
