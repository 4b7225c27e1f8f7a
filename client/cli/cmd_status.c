/* cmd_status.c: status. */
#include "command.h"

#include "check.h"
#include "doc.h"
#include "grid.h"
#include "human.h"
#include "overview.h"
#include "print.h"
#include "watch.h"

#include <inttypes.h>

#define ALERTS_SHOWN 5 /* firing alerts, a line each */

static const struct drv_option options[] = {WATCH_OPTION};

static void print_broker(const drover_value *broker)
{
    char text[DOC_TEXT_MAX];
    char number[HUMAN_TEXT_MAX];
    (void)printf("broker  %s", doc_text(broker, "endpoint", text, sizeof(text)));
    (void)printf("  %s", doc_text(broker, "version", text, sizeof(text)));
    (void)printf("  up %s", human_age(doc_int(broker, "uptime_ms"), number));
    (void)printf("  store %s", doc_text(broker, "store", text, sizeof(text)));
    (void)printf("  memory %s", human_bytes(doc_int(broker, "rss_bytes"), number));
    (void)printf("  cpu %.1f %%", doc_double(broker, "cpu_percent"));
    (void)printf("  clients %" PRId64, doc_int(broker, "clients"));
    if (doc_has(broker, "loop_ms")) {
        (void)printf("  loop %.1f ms  journal %.1f ms", doc_double(broker, "loop_ms"),
                     doc_double(broker, "journal_ms"));
    }
    (void)putchar('\n');
}

/* Those that are always of interest, and the others when they are not 0. */
static void print_tasks(const drover_value *tasks)
{
    static const struct {
        const char *key;
        const char *name;
        bool always;
    } counts[] = {
        {"submitted", "submitted", true},
        {"waiting", "waiting", false},
        {"delayed", "delayed", false},
        {"queued", "queued", true},
        {"running", "running", true},
        {"succeeded", "succeeded", true},
        {"failed", "failed", true},
        {"cancelled", "cancelled", false},
        {"expired", "expired", false},
        {"lost_at_restart", "lost at restart", false},
        {"retried", "retried", false},
        {"stale_results", "stale results", false},
        {"stale_writes", "stale writes", false},
        {"stale_progress", "stale progress", false},
        {"stale_heartbeats", "stale heartbeats", false},
    };
    (void)printf("tasks ");
    for (size_t i = 0; i < DRV_ARRAY_LEN(counts); i++) {
        int64_t count = doc_int(tasks, counts[i].key);
        if (counts[i].always || count != 0) {
            (void)printf("  %" PRId64 " %s", count, counts[i].name);
        }
    }
    (void)putchar('\n');
}

/* What fires and nobody has taken note of: the first few, which is what the broker tells first,
 * and how many more. */
static void print_alerts(const drover_value *alerts)
{
    char severity[DOC_TEXT_MAX], rule[DOC_TEXT_MAX], text[DOC_TEXT_MAX];
    char age[HUMAN_TEXT_MAX];
    drover_value *alert = NULL;
    drover_value_iter iter;
    size_t count = 0;
    drover_value_iter_init(&iter, alerts);
    while (drover_value_iter_next(&iter, NULL, &alert) == DROVER_OK) {
        if (doc_is_news(alert) && count++ < ALERTS_SHOWN) {
            (void)printf("alert   %s  %s: %s  for %s\n",
                         doc_text(alert, "severity", severity, sizeof(severity)),
                         doc_text(alert, "rule", rule, sizeof(rule)),
                         doc_text(alert, "text", text, sizeof(text)),
                         human_age(doc_int(alert, "since_age_ms"), age));
        }
        drover_value_destroy(&alert);
    }
    if (count > ALERTS_SHOWN) {
        (void)printf("alert   and %zu more: drover alert ls\n", count - ALERTS_SHOWN);
    }
}

static int print_part(const drover_value *document, const char *key,
                      int (*print)(const drover_value *part))
{
    drover_value *part = doc_get(document, key);
    int code = CLI_OK;
    if (part != NULL && drover_value_count(part) > 0) {
        (void)putchar('\n');
        code = print(part);
    }
    drover_value_destroy(&part);
    return code;
}

static int print_status(const drover_value *document)
{
    drover_value *broker = doc_get(document, "broker");
    drover_value *tasks = doc_get(document, "tasks");
    drover_value *alerts = doc_get(document, "alerts");
    drover_value *workers = doc_get(document, "workers");
    if (broker != NULL) {
        print_broker(broker);
    }
    if (tasks != NULL) {
        print_tasks(tasks);
    }
    if (alerts != NULL) {
        print_alerts(alerts);
    }
    int code = print_part(document, "queues", overview_queues);
    code = cli_worse(code, print_part(document, "workers", overview_hosts));
    code = cli_worse(code, print_part(document, "workers", overview_workers));
    if (workers == NULL || drover_value_count(workers) == 0) {
        (void)puts("\nno worker is connected");
    }
    drover_value_destroy(&broker);
    drover_value_destroy(&tasks);
    drover_value_destroy(&alerts);
    drover_value_destroy(&workers);
    return code;
}

static int once(struct cli *cli)
{
    drover_value *document = NULL;
    drover_status status = drover_status_get(cli->client, watch_ask_ms(cli), &document);
    if (status != DROVER_OK) {
        return cli_failed(cli, status, "status");
    }
    int code = cli->json ? print_document(document) : print_status(document);
    drover_value_destroy(&document);
    return code;
}

static int run(struct cli *cli)
{
    return watch_run(cli, 0, 0, once);
}

const struct cli_command cmd_status = {
    .name = "status",
    .summary = "the broker, its queues, the hosts and workers",
    .usage = WATCH_USAGE,
    .options = options,
    .option_count = DRV_ARRAY_LEN(options),
    .operand_max = 1,
    .run = run,
};
