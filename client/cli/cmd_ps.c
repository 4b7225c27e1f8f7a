/* cmd_ps.c: ps. */
#include "command.h"

#include "census.h"
#include "check.h"
#include "doc.h"
#include "grid.h"
#include "print.h"
#include "target.h"
#include "watch.h"

#include <string.h>

enum { SHORT_MAX = 10 }; /* processes of a host that are shown besides executors */

static const char *const orders[] = {"cpu", "memory", "pid", "name", NULL};

static const struct drv_option options[] = {
    {.name = "all",
     .letter = 'a',
     .kind = DRV_OPTION_FLAG,
     .help = "every process that the workers tell, not only the first ten of each host"},
    {.name = "sort",
     .letter = 's',
     .kind = DRV_OPTION_CHOICE,
     .argument = "KEY",
     .help = "what comes first within a host",
     .fallback = "cpu",
     .choices = orders},
    WATCH_OPTION,
};

/* ---- asking ------------------------------------------------------------------------------ */

static bool add_page(const drover_value *page, struct census *census)
{
    drover_value *workers = doc_get(page, "workers");
    drover_value *item = NULL;
    drover_value_iter iter;
    bool ok = true;
    if (workers == NULL) {
        return true;
    }
    drover_value_iter_init(&iter, workers);
    while (ok && drover_value_iter_next(&iter, NULL, &item) == DROVER_OK) {
        ok = census_add(census, item);
        drover_value_destroy(&item);
    }
    drover_value_destroy(&workers);
    return ok;
}

static int ask_all(const struct cli *cli, struct census *census)
{
    drover_cursor cursor = DROVER_CURSOR_INIT;
    bool ok = true;
    do {
        drover_value *page = NULL;
        drover_status status = drover_worker_statistics(cli->client, 0, &cursor,
                                                        watch_ask_ms(cli), &page);
        if (status != DROVER_OK) {
            return cli_failed(cli, status, "ps");
        }
        ok = add_page(page, census);
        drover_value_destroy(&page);
    } while (ok && cursor.len > 0);
    return ok ? CLI_OK : cli_no_memory();
}

static int ask_one(const struct cli *cli, const char *name, struct census *census)
{
    drover_value *worker = NULL;
    drover_status status = drover_worker_show(cli->client, name, watch_ask_ms(cli), &worker);
    if (status != DROVER_OK) {
        return status == DROVER_UNKNOWN
                   ? cli_say_status(CLI_FAILED, DROVER_UNKNOWN, "there is no worker '%s'", name)
                   : cli_failed(cli, status, name);
    }
    bool ok = census_add(census, worker);
    drover_value_destroy(&worker);
    return ok ? CLI_OK : cli_no_memory();
}

/* ---- a table ----------------------------------------------------------------------------- */

/* "ID.N type" of what an executor runs; "" for none. */
static char *task_text(const drover_value *executor, char *out_text, size_t size)
{
    char task[DOC_TEXT_MAX];
    char type[DOC_TEXT_MAX];
    drover_task_ref ref;
    out_text[0] = '\0';
    if (executor != NULL && doc_task(executor, &ref)) {
        target_format(&ref.id, ref.index, task);
        (void)snprintf(out_text, size, "%s %s", task,
                       doc_text(executor, "type", type, sizeof(type)));
    }
    return out_text;
}

static void put_row(struct grid *grid, const struct census *census,
                    const struct census_row *row)
{
    char text[2 * DOC_TEXT_MAX];
    const drover_value *use = row->process != NULL ? row->process : row->executor;
    grid_row(grid);
    grid_text(grid, census->hosts[row->host].name);
    grid_int(grid, row->pid);
    grid_text(grid, row->process != NULL ? doc_text(use, "user", text, sizeof(text)) : "-");
    grid_text(grid, row->process != NULL ? doc_text(use, "state", text, sizeof(text)) : "-");
    grid_known(grid, use, "cpu_percent");
    grid_double(grid, row->memory_percent);
    grid_bytes(grid, row->rss_bytes);
    grid_text(grid, row->name);
    grid_text(grid, row->worker);
    if (row->executor != NULL) {
        grid_text(grid, doc_text(row->executor, "state", text, sizeof(text)));
        grid_text(grid, task_text(row->executor, text, sizeof(text)));
    }
}

static int print_table(const struct census *census)
{
    static const struct grid_column columns[] = {{.name = "HOST", .cut = true},
                                                 {.name = "PID", .right = true},
                                                 {.name = "USER"},
                                                 {.name = "S"},
                                                 {.name = "CPU %", .right = true},
                                                 {.name = "MEMORY %", .right = true},
                                                 {.name = "RSS", .right = true},
                                                 {.name = "NAME", .cut = true},
                                                 {.name = "WORKER"},
                                                 {.name = "EXECUTOR"},
                                                 {.name = "TASK", .cut = true}};
    struct grid grid;
    grid_open(&grid, columns, DRV_ARRAY_LEN(columns));
    for (size_t i = 0; i < census->row_count; i++) {
        put_row(&grid, census, &census->rows[i]);
    }
    int code = grid_print(&grid);
    if (census->row_count == 0) {
        (void)puts("no worker tells of processes");
    }
    return code;
}

/* A list that is not whole says so. */
static void print_notes(const struct census *census)
{
    for (size_t i = 0; i < census->host_count; i++) {
        const struct census_host *host = &census->hosts[i];
        if (host->told > 0 && host->count > (int64_t)host->told) {
            (void)printf("%s: %zu of %lld processes are told (drover-worker --stats "
                         "processes:N, processes:all)\n",
                         host->name, host->told, (long long)host->count);
        }
    }
}

/* ---- JSON -------------------------------------------------------------------------------- */

static drover_status set_text(drover_value *map, const char *key, const char *text)
{
    drover_value *value = NULL;
    drover_status status = drover_value_new_text(text, &value);
    return status == DROVER_OK ? drover_value_map_set(map, key, &value) : status;
}

static drover_status set_int(drover_value *map, const char *key, int64_t number)
{
    drover_value *value = NULL;
    drover_status status = drover_value_new_int(number, &value);
    return status == DROVER_OK ? drover_value_map_set(map, key, &value) : status;
}

/* An executor that is not in the list of processes has the keys of one all the same. */
static drover_status from_executor(const struct census_row *row, drover_value **out_map)
{
    static const char *const keys[] = {"name", "cpu_percent", "rss_bytes"};
    drover_status status = drover_value_map_new(out_map);
    for (size_t i = 0; status == DROVER_OK && i < DRV_ARRAY_LEN(keys); i++) {
        drover_value *item = doc_get(row->executor, keys[i]);
        if (item != NULL) {
            status = drover_value_map_set(*out_map, keys[i], &item);
        }
    }
    drover_value *memory = NULL;
    if (status == DROVER_OK) {
        status = drover_value_new_double(row->memory_percent, &memory);
    }
    return status == DROVER_OK ? drover_value_map_set(*out_map, "memory_percent", &memory)
                               : status;
}

/* What the worker told of the process, with the host, and of the executor under a key. */
static drover_status row_json(const struct census *census, const struct census_row *row,
                              drover_value *list)
{
    drover_value *map = NULL;
    drover_value *executor = NULL;
    drover_status status = row->process != NULL ? drover_value_copy(row->process, &map)
                                                : from_executor(row, &map);
    if (status == DROVER_OK) {
        status = set_text(map, "host", census->hosts[row->host].name);
    }
    if (status == DROVER_OK) {
        status = set_int(map, "pid", row->pid);
    }
    if (status == DROVER_OK && row->executor != NULL) {
        status = set_text(map, "worker", row->worker);
        if (status == DROVER_OK) {
            status = drover_value_copy(row->executor, &executor);
        }
        if (status == DROVER_OK) {
            status = drover_value_map_set(map, "executor", &executor);
        }
    }
    if (status == DROVER_OK) {
        status = drover_value_array_append(list, &map);
    }
    drover_value_destroy(&map);
    return status;
}

static drover_status host_json(const struct census_host *host, drover_value *list)
{
    drover_value *map = NULL;
    drover_value *flag = NULL;
    drover_status status = drover_value_map_new(&map);
    if (status == DROVER_OK) {
        status = set_text(map, "host", host->name);
    }
    if (status == DROVER_OK) {
        status = set_int(map, "count", host->count);
    }
    if (status == DROVER_OK) {
        status = set_int(map, "told", (int64_t)host->told);
    }
    if (status == DROVER_OK) {
        status = set_int(map, "age_ms", host->age_ms);
    }
    if (status == DROVER_OK) {
        status = drover_value_new_bool(host->is_truncated, &flag);
    }
    if (status == DROVER_OK) {
        status = drover_value_map_set(map, "truncated", &flag);
    }
    if (status == DROVER_OK) {
        status = drover_value_array_append(list, &map);
    }
    drover_value_destroy(&map);
    return status;
}

static int print_census_json(const struct census *census)
{
    drover_value *document = NULL;
    drover_value *processes = NULL;
    drover_value *hosts = NULL;
    drover_status status = drover_value_map_new(&document);
    if (status == DROVER_OK) {
        status = drover_value_array_new(&processes);
    }
    if (status == DROVER_OK) {
        status = drover_value_array_new(&hosts);
    }
    for (size_t i = 0; status == DROVER_OK && i < census->row_count; i++) {
        status = row_json(census, &census->rows[i], processes);
    }
    for (size_t i = 0; status == DROVER_OK && i < census->host_count; i++) {
        status = host_json(&census->hosts[i], hosts);
    }
    if (status == DROVER_OK) {
        status = drover_value_map_set(document, "processes", &processes);
    }
    if (status == DROVER_OK) {
        status = drover_value_map_set(document, "hosts", &hosts);
    }
    int code = status == DROVER_OK ? print_document(document) : cli_no_memory();
    drover_value_destroy(&processes);
    drover_value_destroy(&hosts);
    drover_value_destroy(&document);
    return code;
}

/* ---- the command ------------------------------------------------------------------------- */

static int show(struct cli *cli)
{
    const char *worker = cli_operand(cli, 0);
    struct census census;
    census_init(&census);
    int code = worker != NULL ? ask_one(cli, worker, &census) : ask_all(cli, &census);
    enum census_order order = (enum census_order)drv_options_choice(cli->options, "sort");
    if (code == CLI_OK && !census_close(&census, order)) {
        code = cli_no_memory();
    }
    if (code == CLI_OK && !drv_options_flag(cli->options, "all")) {
        census_shorten(&census, SHORT_MAX);
    }
    if (code == CLI_OK && cli->json) {
        code = print_census_json(&census);
    } else if (code == CLI_OK) {
        code = print_table(&census);
        print_notes(&census);
    } else {
        /* said why */
    }
    census_fini(&census);
    return code;
}

static int run(struct cli *cli)
{
    return watch_run(cli, 0, 1, show);
}

const struct cli_command cmd_ps = {
    .name = "ps",
    .summary = "the processes of the fleet, executors with what they run",
    .usage = "[WORKER] [--all] [--sort KEY] " WATCH_USAGE,
    .about = "Of every host the busiest processes and all executors of its workers. How many\n"
             "processes a worker tells of is up to its --stats.",
    .options = options,
    .option_count = DRV_ARRAY_LEN(options),
    .operand_max = 2,
    .first = CLI_WORD_WORKER,
    .run = run,
};
