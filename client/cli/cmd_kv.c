/* cmd_kv.c: kv get, set, del, incr, cas, ls. */
#include "command.h"

#include "check.h"
#include "doc.h"
#include "grid.h"
#include "input.h"
#include "print.h"
#include "units.h"
#include "watch.h"

#include <inttypes.h>
#include <string.h>

enum { KEY_MAX = 256 };

static const struct drv_option set_options[] = {
    {.name = "ttl",
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .help = "how long it lives (for ever if none is said)"},
    INPUT_PAYLOAD_OPTIONS,
};

static const struct drv_option increment_options[] = {
    {.name = "ttl",
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .help = "how long it lives (for ever if none is said)"},
};

static const struct drv_option get_options[] = {
    {.name = "raw", .kind = DRV_OPTION_FLAG, .help = "print text and binary as bytes"},
};

static int check_key(const char *key)
{
    return key[0] != '\0' && strlen(key) <= KEY_MAX
               ? CLI_OK
               : cli_say(CLI_USAGE, "a key has 1 to %d bytes", KEY_MAX);
}

static int failed(const struct cli *cli, drover_status status, const char *key)
{
    return status == DROVER_UNKNOWN
               ? cli_say_status(CLI_FAILED, DROVER_UNKNOWN, "there is no key '%s'", key)
               : cli_failed(cli, status, key);
}

/* Checks the key, then connects. */
static int begin(struct cli *cli)
{
    int code = check_key(cli_operand(cli, 0));
    return code == CLI_OK ? cli_connect(cli) : code;
}

static int print_version(const struct cli *cli, const char *key, uint64_t version)
{
    struct json_out json;
    if (cli->json) {
        json_begin(&json);
        json_key_text(&json, "key", key);
        json_key_uint(&json, "version", version);
        return json_print(&json);
    }
    (void)printf("%" PRIu64 "\n", version);
    return CLI_OK;
}

/* ---- get, del ---------------------------------------------------------------------------- */

static int print_entry(const struct cli *cli, const char *key, const drover_value *value,
                       uint64_t version)
{
    struct json_out json;
    if (!cli->json) {
        return print_value(value, drv_options_flag(cli->options, "raw"));
    }
    json_begin(&json);
    json_key_text(&json, "key", key);
    json_key_uint(&json, "version", version);
    json_key_value(&json, "value", value);
    if (drover_value_get_type(value) == DROVER_VALUE_RAW) {
        json_key_text(&json, "content_type", drover_value_content_type(value));
    }
    return json_print(&json);
}

static int get(struct cli *cli)
{
    const char *key = cli_operand(cli, 0);
    drover_value *value = NULL;
    uint64_t version = 0;
    int code = begin(cli);
    if (code != CLI_OK) {
        return code;
    }
    drover_status status = drover_kv_get(cli->client, key, CLI_ASK_MS, &value, &version);
    code = status == DROVER_OK ? print_entry(cli, key, value, version)
                               : failed(cli, status, key);
    drover_value_destroy(&value);
    return code;
}

const struct cli_command cmd_kv_get = {
    .group = "kv",
    .name = "get",
    .summary = "print a value of the shared data",
    .usage = "KEY [--raw]",
    .options = get_options,
    .option_count = DRV_ARRAY_LEN(get_options),
    .operand_min = 1,
    .operand_max = 1,
    .run = get,
};

static int delete_key(struct cli *cli)
{
    const char *key = cli_operand(cli, 0);
    struct json_out json;
    int code = begin(cli);
    if (code != CLI_OK) {
        return code;
    }
    drover_status status = drover_kv_delete(cli->client, key, CLI_ASK_MS);
    if (status != DROVER_OK) {
        return failed(cli, status, key);
    }
    if (cli->json) {
        json_begin(&json);
        json_key_text(&json, "key", key);
        json_key_bool(&json, "deleted", true);
        return json_print(&json);
    }
    return CLI_OK;
}

const struct cli_command cmd_kv_delete = {
    .group = "kv",
    .name = "del",
    .summary = "delete it",
    .usage = "KEY",
    .operand_min = 1,
    .operand_max = 1,
    .run = delete_key,
};

/* ---- set, cas ---------------------------------------------------------------------------- */

/* The value is the operand with this number, or said by an option. */
static int read_value(const struct cli *cli, size_t operand, drover_value **out_value)
{
    if (cli_operand(cli, operand) == NULL && !drv_options_is_set(cli->options, "file") &&
        !drv_options_is_set(cli->options, "raw")) {
        return cli_say(CLI_USAGE, "no value: say JSON, -, --file or --raw");
    }
    return input_payload(cli, cli_operand(cli, operand), out_value);
}

static int set_value(struct cli *cli, const char *key, const drover_value *value)
{
    uint64_t version = 0;
    int code = begin(cli);
    if (code != CLI_OK) {
        return code;
    }
    drover_status status = drover_kv_set(cli->client, key, value,
                                         (uint64_t)drv_options_int(cli->options, "ttl"),
                                         CLI_ASK_MS, &version);
    return status == DROVER_OK ? print_version(cli, key, version) : failed(cli, status, key);
}

static int set(struct cli *cli)
{
    drover_value *value = NULL;
    int code = read_value(cli, 1, &value);
    if (code == CLI_OK) {
        code = set_value(cli, cli_operand(cli, 0), value);
    }
    drover_value_destroy(&value);
    return code;
}

const struct cli_command cmd_kv_set = {
    .group = "kv",
    .name = "set",
    .summary = "set it, print its new version",
    .usage = "KEY JSON|-|--file FILE|--raw FILE [--ttl TIME]",
    .options = set_options,
    .option_count = DRV_ARRAY_LEN(set_options),
    .operand_min = 1,
    .operand_max = 2,
    .run = set,
};

static int compare(struct cli *cli, uint64_t expected, const drover_value *value)
{
    const char *key = cli_operand(cli, 0);
    uint64_t version = 0;
    int code = begin(cli);
    if (code != CLI_OK) {
        return code;
    }
    drover_status status = drover_kv_compare_and_set(
        cli->client, key, expected, value, (uint64_t)drv_options_int(cli->options, "ttl"),
        CLI_ASK_MS, &version);
    if (status == DROVER_CONFLICT) {
        return cli_say_status(CLI_FAILED, DROVER_CONFLICT,
                              "%s has version %" PRIu64 ", not %" PRIu64, key, version,
                              expected);
    }
    return status == DROVER_OK ? print_version(cli, key, version) : failed(cli, status, key);
}

static int compare_and_set(struct cli *cli)
{
    drover_value *value = NULL;
    uint64_t expected = 0;
    if (drv_uint_parse(cli_operand(cli, 1), &expected) != DROVER_OK) {
        return cli_say(CLI_USAGE, "'%s' is no version", cli_operand(cli, 1));
    }
    int code = read_value(cli, 2, &value);
    if (code == CLI_OK) {
        code = compare(cli, expected, value);
    }
    drover_value_destroy(&value);
    return code;
}

const struct cli_command cmd_kv_compare = {
    .group = "kv",
    .name = "cas",
    .summary = "set it if it still has this version (0: is not there)",
    .usage = "KEY VERSION JSON|-|--file FILE|--raw FILE [--ttl TIME]",
    .options = set_options,
    .option_count = DRV_ARRAY_LEN(set_options),
    .operand_min = 2,
    .operand_max = 3,
    .run = compare_and_set,
};

/* ---- incr -------------------------------------------------------------------------------- */

static int increment(struct cli *cli)
{
    const char *key = cli_operand(cli, 0);
    const char *text = cli_operand(cli, 1);
    struct json_out json;
    int64_t by = 1;
    int64_t number = 0;
    if (text != NULL && drv_int_parse(text, &by) != DROVER_OK) {
        return cli_say(CLI_USAGE, "'%s' is no integer", text);
    }
    int code = begin(cli);
    if (code != CLI_OK) {
        return code;
    }
    drover_status status = drover_kv_increment(cli->client, key, by,
                                               (uint64_t)drv_options_int(cli->options, "ttl"),
                                               CLI_ASK_MS, &number);
    if (status == DROVER_CONFLICT || status == DROVER_INVALID) {
        return cli_say_status(CLI_FAILED, DROVER_CONFLICT,
                              "%s is no integer, or the sum is too large", key);
    }
    if (status != DROVER_OK) {
        return failed(cli, status, key);
    }
    if (cli->json) {
        json_begin(&json);
        json_key_text(&json, "key", key);
        json_key_int(&json, "value", number);
        return json_print(&json);
    }
    (void)printf("%" PRId64 "\n", number);
    return CLI_OK;
}

const struct cli_command cmd_kv_increment = {
    .group = "kv",
    .name = "incr",
    .summary = "add to an integer, print the sum",
    .usage = "KEY [BY] [--ttl TIME]",
    .options = increment_options,
    .option_count = DRV_ARRAY_LEN(increment_options),
    .operand_min = 1,
    .operand_max = 2,
    .run = increment,
};

/* ---- ls ---------------------------------------------------------------------------------- */

struct listing {
    struct grid grid;
    drover_value *list; /* owned; with --json */
};

static int add_entry(struct listing *listing, drover_value **entry)
{
    char text[KEY_MAX * 2];
    if (listing->list != NULL) {
        return drover_value_array_append(listing->list, entry) == DROVER_OK ? CLI_OK
                                                                            : cli_no_memory();
    }
    grid_row(&listing->grid);
    grid_text(&listing->grid, doc_text(*entry, "key", text, sizeof(text)));
    grid_int(&listing->grid, doc_int(*entry, "version"));
    grid_bytes(&listing->grid, doc_int(*entry, "bytes"));
    return CLI_OK;
}

static int add_page(struct listing *listing, const drover_value *page)
{
    drover_value *entries = doc_get(page, "entries");
    drover_value *entry = NULL;
    drover_value_iter iter;
    int code = CLI_OK;
    if (entries == NULL) {
        return CLI_OK;
    }
    drover_value_iter_init(&iter, entries);
    while (code == CLI_OK && drover_value_iter_next(&iter, NULL, &entry) == DROVER_OK) {
        code = add_entry(listing, &entry);
        drover_value_destroy(&entry);
    }
    drover_value_destroy(&entries);
    return code;
}

static int collect(const struct cli *cli, struct listing *listing)
{
    drover_cursor cursor = DROVER_CURSOR_INIT;
    int code = CLI_OK;
    do {
        drover_value *page = NULL;
        drover_status status = drover_kv_list(cli->client, cli_operand(cli, 0), 0, &cursor,
                                              watch_ask_ms(cli), &page);
        if (status != DROVER_OK) {
            return cli_failed(cli, status, "kv ls");
        }
        code = add_page(listing, page);
        drover_value_destroy(&page);
    } while (code == CLI_OK && cursor.len > 0);
    return code;
}

static int print_json(struct listing *listing)
{
    drover_value *document = NULL;
    drover_status status = drover_value_map_new(&document);
    if (status == DROVER_OK) {
        status = drover_value_map_set(document, "entries", &listing->list);
    }
    int code = status == DROVER_OK ? print_document(document) : cli_no_memory();
    drover_value_destroy(&document);
    return code;
}

static int list_once(struct cli *cli)
{
    static const struct grid_column columns[] = {
        {.name = "KEY"}, {.name = "VERSION", .right = true}, {.name = "SIZE", .right = true}};
    struct listing listing = {.list = NULL};
    if (cli->json && drover_value_array_new(&listing.list) != DROVER_OK) {
        return cli_no_memory();
    }
    grid_open(&listing.grid, columns, DRV_ARRAY_LEN(columns));
    int code = collect(cli, &listing);
    if (code == CLI_OK && cli->json) {
        code = print_json(&listing);
    }
    grid_sort(&listing.grid);
    code = cli_worse(code, grid_print(&listing.grid));
    drover_value_destroy(&listing.list);
    return code;
}

static int list(struct cli *cli)
{
    return watch_run(cli, 0, 1, list_once);
}

static const struct drv_option list_options[] = {WATCH_OPTION};

const struct cli_command cmd_kv_list = {
    .group = "kv",
    .name = "ls",
    .summary = "list the keys, all or those with a prefix",
    .usage = "[PREFIX] " WATCH_USAGE,
    .options = list_options,
    .option_count = DRV_ARRAY_LEN(list_options),
    .operand_max = 2,
    .run = list,
};
