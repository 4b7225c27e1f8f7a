/* cmd_worker.c: worker ls, show, drain, resume. */
#include "command.h"

#include "check.h"
#include "doc.h"
#include "escape.h"
#include "grid.h"
#include "human.h"
#include "overview.h"
#include "print.h"
#include "target.h"
#include "watch.h"
#include "worker_view.h"

#include <string.h>

static int failed(const struct cli *cli, drover_status status, const char *worker)
{
    return status == DROVER_UNKNOWN
               ? cli_say_status(CLI_FAILED, DROVER_UNKNOWN, "there is no worker '%s'", worker)
               : cli_failed(cli, status, worker);
}

/* ---- ls ---------------------------------------------------------------------------------- */

/* Appends the workers of one page to list. */
static int append_page(const drover_value *page, drover_value *list)
{
    drover_value *workers = doc_get(page, "workers");
    drover_value *item = NULL;
    drover_value_iter iter;
    drover_status status = DROVER_OK;
    if (workers != NULL) {
        drover_value_iter_init(&iter, workers);
        while (status == DROVER_OK && drover_value_iter_next(&iter, NULL, &item) == DROVER_OK) {
            status = drover_value_array_append(list, &item);
        }
    }
    drover_value_destroy(&workers);
    return status == DROVER_OK ? CLI_OK : cli_no_memory();
}

static int collect(const struct cli *cli, drover_value *list)
{
    drover_cursor cursor = DROVER_CURSOR_INIT;
    int code = CLI_OK;
    do {
        drover_value *page = NULL;
        drover_status status = drover_worker_list(cli->client, 0, &cursor, watch_ask_ms(cli),
                                                  &page);
        if (status != DROVER_OK) {
            return cli_failed(cli, status, "worker ls");
        }
        code = append_page(page, list);
        drover_value_destroy(&page);
    } while (code == CLI_OK && cursor.len > 0);
    return code;
}

static int print_list_json(drover_value **list)
{
    drover_value *document = NULL;
    drover_status status = drover_value_map_new(&document);
    if (status == DROVER_OK) {
        status = drover_value_map_set(document, "workers", list);
    }
    int code = status == DROVER_OK ? print_document(document) : cli_no_memory();
    drover_value_destroy(&document);
    return code;
}

static int list_once(struct cli *cli)
{
    drover_value *workers = NULL;
    if (drover_value_array_new(&workers) != DROVER_OK) {
        return cli_no_memory();
    }
    int code = collect(cli, workers);
    if (code == CLI_OK) {
        code = cli->json ? print_list_json(&workers) : overview_workers(workers);
    }
    drover_value_destroy(&workers);
    return code;
}

static int list(struct cli *cli)
{
    return watch_run(cli, 0, 0, list_once);
}

static const struct drv_option watch_options[] = {WATCH_OPTION};

const struct cli_command cmd_worker_list = {
    .group = "worker",
    .name = "ls",
    .summary = "list the workers",
    .usage = WATCH_USAGE,
    .options = watch_options,
    .option_count = DRV_ARRAY_LEN(watch_options),
    .operand_max = 1,
    .run = list,
};

/* ---- show -------------------------------------------------------------------------------- */

static void lease_row(struct grid *grid, const drover_value *lease)
{
    char text[DOC_TEXT_MAX];
    drover_task_ref task;
    if (!doc_task(lease, &task)) {
        return;
    }
    target_format(&task.id, task.index, text);
    grid_row(grid);
    grid_text(grid, text);
    grid_text(grid, doc_text(lease, "type", text, sizeof(text)));
    grid_int(grid, doc_int(lease, "attempt"));
    grid_text(grid, doc_bool(lease, "started") ? "running" : "assigned");
    grid_age(grid, doc_int(lease, "age_ms"));
}

static int print_leases(const drover_value *worker)
{
    static const struct grid_column columns[] = {{.name = "TASK"},
                                                 {.name = "TYPE"},
                                                 {.name = "ATTEMPT", .right = true},
                                                 {.name = "STATE"},
                                                 {.name = "AGE", .right = true}};
    struct grid grid;
    drover_value *leases = doc_get(worker, "leases");
    drover_value *item = NULL;
    drover_value_iter iter;
    grid_open(&grid, columns, DRV_ARRAY_LEN(columns));
    if (leases != NULL) {
        drover_value_iter_init(&iter, leases);
        while (drover_value_iter_next(&iter, NULL, &item) == DROVER_OK) {
            lease_row(&grid, item);
            drover_value_destroy(&item);
        }
    }
    drover_value_destroy(&leases);
    return grid_print(&grid);
}

static void offer_row(struct grid *grid, const drover_value *offer)
{
    char text[DOC_TEXT_MAX];
    int64_t concurrency = doc_int(offer, "concurrency");
    grid_row(grid);
    grid_text(grid, doc_text(offer, "type", text, sizeof(text)));
    grid_text(grid, doc_text(offer, "model", text, sizeof(text)));
    if (concurrency > 0) {
        grid_int(grid, concurrency);
    } else {
        grid_text(grid, "");
    }
}

/* How its types run. */
static int print_offers(const drover_value *worker)
{
    static const struct grid_column columns[] = {
        {.name = "TYPE"}, {.name = "MODEL"}, {.name = "AT ONCE", .right = true}};
    struct grid grid;
    drover_value *offers = doc_get(worker, "offers");
    drover_value *item = NULL;
    drover_value_iter iter;
    grid_open(&grid, columns, DRV_ARRAY_LEN(columns));
    if (offers != NULL) {
        drover_value_iter_init(&iter, offers);
        while (drover_value_iter_next(&iter, NULL, &item) == DROVER_OK) {
            offer_row(&grid, item);
            drover_value_destroy(&item);
        }
    }
    drover_value_destroy(&offers);
    return grid_print(&grid);
}

/* "gpu 1 of 1"; of memory, which is counted in bytes, "memory 0 B of 23.5 GiB". */
static void print_resource(const char *name, const drover_value *counts)
{
    char used[HUMAN_TEXT_MAX];
    char total[HUMAN_TEXT_MAX];
    char text[DOC_TEXT_MAX];
    if (strcmp(name, "memory") == 0) {
        (void)human_bytes(doc_int(counts, "used"), used);
        (void)human_bytes(doc_int(counts, "total"), total);
    } else {
        (void)doc_text(counts, "used", used, sizeof(used));
        (void)doc_text(counts, "total", total, sizeof(total));
    }
    (void)drv_escape(drv_view_of(name, strlen(name)), text, sizeof(text));
    (void)printf("%s %s of %s", text, used, total);
}

static void print_resources(const drover_value *worker)
{
    drover_value *resources = doc_get(worker, "resources");
    drover_value *key = NULL;
    drover_value *counts = NULL;
    drover_value_iter iter;
    const char *between = "";
    (void)printf("%-14s ", "resources");
    if (resources != NULL) {
        drover_value_iter_init(&iter, resources);
        while (drover_value_iter_next(&iter, &key, &counts) == DROVER_OK) {
            const char *name = "";
            (void)!drover_value_get_string(key, &name, NULL);
            (void)fputs(between, stdout);
            print_resource(name, counts);
            between = ", ";
            drover_value_destroy(&key);
            drover_value_destroy(&counts);
        }
    }
    drover_value_destroy(&resources);
    (void)putchar('\n');
}

static void print_fields(const drover_value *worker)
{
    static const char *const plain[] = {"id",       "name",       "host",  "account",
                                        "pid",      "state",      "slots", "running",
                                        "assigned", "tasks_done", "model"};
    static const char *const lists[] = {"types", "queues", "labels"};
    char text[4096];
    char age[HUMAN_TEXT_MAX];
    for (size_t i = 0; i < DRV_ARRAY_LEN(plain); i++) {
        (void)printf("%-14s %s\n", plain[i], doc_text(worker, plain[i], text, sizeof(text)));
    }
    for (size_t i = 0; i < DRV_ARRAY_LEN(lists); i++) {
        (void)printf("%-14s %s\n", lists[i], doc_join(worker, lists[i], text, sizeof(text)));
    }
    print_resources(worker);
    (void)printf("%-14s %s ago\n", "heard",
                 human_age(doc_int(worker, "heartbeat_age_ms"), age));
}

static int show_once(struct cli *cli)
{
    const char *name = cli_operand(cli, 0);
    drover_value *worker = NULL;
    int code = CLI_OK;
    drover_status status = drover_worker_show(cli->client, name, watch_ask_ms(cli), &worker);
    if (status != DROVER_OK) {
        return failed(cli, status, name);
    }
    if (cli->json) {
        code = print_document(worker);
    } else {
        print_fields(worker);
        (void)putchar('\n');
        code = print_offers(worker);
        (void)putchar('\n');
        code = cli_worse(code, print_leases(worker));
        code = cli_worse(code, worker_view_print(worker));
    }
    drover_value_destroy(&worker);
    return code;
}

static int show(struct cli *cli)
{
    return watch_run(cli, 1, 1, show_once);
}

const struct cli_command cmd_worker_show = {
    .group = "worker",
    .name = "show",
    .summary = "one worker, what it runs, and how its host is",
    .usage = "WORKER " WATCH_USAGE,
    .options = watch_options,
    .option_count = DRV_ARRAY_LEN(watch_options),
    .operand_min = 1,
    .operand_max = 2,
    .first = CLI_WORD_WORKER,
    .run = show,
};

/* ---- drain, resume ----------------------------------------------------------------------- */

typedef drover_status (*change_fn)(drover_client *client, const char *worker,
                                   int64_t timeout_ms);

/* A drain of a worker that is away may be meant for another one of that name. */
static void warn_if_away(const struct cli *cli, const char *name)
{
    char state[DOC_TEXT_MAX];
    drover_value *worker = NULL;
    if (drover_worker_show(cli->client, name, CLI_ASK_MS, &worker) == DROVER_OK &&
        strcmp(doc_text(worker, "state", state, sizeof(state)), "reattaching") == 0) {
        (void)cli_say(CLI_OK, "worker %s is away: this counts when it comes back", name);
    }
    drover_value_destroy(&worker);
}

static int change(struct cli *cli, change_fn function, const char *state)
{
    struct json_out json;
    int worst = cli_connect(cli);
    for (size_t i = 0; cli->client != NULL && i < cli_operand_count(cli); i++) {
        const char *worker = cli_operand(cli, i);
        drover_status status = function(cli->client, worker, CLI_ASK_MS);
        if (status != DROVER_OK) {
            worst = cli_worse(worst, failed(cli, status, worker));
        } else if (cli->json) {
            json_begin(&json);
            json_key_text(&json, "worker", worker);
            json_key_text(&json, "state", state);
            worst = cli_worse(worst, json_print(&json));
        } else {
            (void)printf("%s %s\n", worker, state);
            warn_if_away(cli, worker);
        }
    }
    return worst;
}

static int drain(struct cli *cli)
{
    return change(cli, drover_worker_drain, "draining");
}

static int resume(struct cli *cli)
{
    return change(cli, drover_worker_resume, "connected");
}

const struct cli_command cmd_worker_drain = {
    .group = "worker",
    .name = "drain",
    .summary = "give workers no new tasks, let them finish what runs",
    .usage = "WORKER...",
    .operand_min = 1,
    .operand_max = SIZE_MAX,
    .first = CLI_WORD_WORKER,
    .rest = CLI_WORD_WORKER,
    .run = drain,
};

const struct cli_command cmd_worker_resume = {
    .group = "worker",
    .name = "resume",
    .summary = "end of a drain",
    .usage = "WORKER...",
    .operand_min = 1,
    .operand_max = SIZE_MAX,
    .first = CLI_WORD_WORKER,
    .rest = CLI_WORD_WORKER,
    .run = resume,
};
