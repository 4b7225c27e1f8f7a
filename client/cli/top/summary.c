/* summary.c: see summary.h. */
#include "top/summary.h"

#include "doc.h"
#include "human.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

static void part(struct summary *summary, int line, enum cell_style style, const char *format,
                 ...) DROVER_PRINTF(4, 5);

static void part(struct summary *summary, int line, enum cell_style style, const char *format,
                 ...)
{
    va_list arguments;
    if (summary->counts[line] == SUMMARY_PARTS_MAX) {
        return;
    }
    struct summary_part *part = &summary->parts[line][summary->counts[line]++];
    va_start(arguments, format);
    (void)vsnprintf(part->text, sizeof(part->text), format, arguments);
    va_end(arguments);
    part->style = style;
}

static void read_broker(struct summary *summary, const drover_value *status,
                        const drover_value *broker)
{
    char endpoint[SUMMARY_PART_MAX];
    char text[HUMAN_TEXT_MAX];
    part(summary, 0, CELL_PLAIN, "%s",
         doc_text(broker, "endpoint", endpoint, sizeof(endpoint)));
    if (doc_bool(broker, "draining")) {
        part(summary, 0, CELL_WARN, "draining");
    }
    part(summary, 0, CELL_PLAIN, "up %s", human_age(doc_int(broker, "uptime_ms"), text));
    part(summary, 0, CELL_PLAIN, "workers %" PRId64, doc_int(status, "worker_count"));
    part(summary, 0, CELL_PLAIN, "busy %" PRId64 "/%" PRId64, doc_int(status, "busy"),
         doc_int(status, "slots"));
    part(summary, 0, CELL_PLAIN, "cpu %.1f %%", doc_double(broker, "cpu_percent"));
    part(summary, 0, CELL_PLAIN, "memory %s", human_bytes(doc_int(broker, "rss_bytes"), text));
    part(summary, 0, CELL_PLAIN, "loop %s", human_age(doc_int(broker, "loop_ms"), text));
    part(summary, 0, CELL_DIM, "%s", doc_text(broker, "version", endpoint, sizeof(endpoint)));
}

static void read_tasks(struct summary *summary, const drover_value *status,
                       const drover_value *tasks, const drover_value *rates)
{
    char text[HUMAN_TEXT_MAX];
    int64_t failed = doc_int(tasks, "failed");
    int64_t queued = doc_int(tasks, "queued");
    part(summary, 1, CELL_PLAIN, "queued %" PRId64, queued);
    part(summary, 1, CELL_PLAIN, "running %" PRId64, doc_int(tasks, "running"));
    part(summary, 1, CELL_PLAIN, "done %.0f/s", doc_double(rates, "succeeded_per_s"));
    part(summary, 1, failed > 0 ? CELL_WARN : CELL_PLAIN, "failed %" PRId64, failed);
    if (queued > 0) {
        part(summary, 1, CELL_PLAIN, "oldest %s",
             human_age(doc_int(status, "oldest_age_ms"), text));
    }
    part(summary, 1, CELL_PLAIN, "waiting %" PRId64,
         doc_int(tasks, "waiting") + doc_int(tasks, "delayed"));
    part(summary, 1, CELL_PLAIN, "in %.0f/s", doc_double(rates, "submitted_per_s"));
    part(summary, 1, CELL_PLAIN, "succeeded %" PRId64, doc_int(tasks, "succeeded"));
    if (doc_int(tasks, "cancelled") + doc_int(tasks, "expired") > 0) {
        part(summary, 1, CELL_PLAIN, "cancelled %" PRId64 "  expired %" PRId64,
             doc_int(tasks, "cancelled"), doc_int(tasks, "expired"));
    }
}

static void read_alert(struct summary *summary, const drover_value *alert)
{
    char text[SUMMARY_ALERT_MAX];
    char subject[SUMMARY_ALERT_MAX];
    char rule[SUMMARY_PART_MAX];
    char severity[SUMMARY_PART_MAX];
    if (!doc_is_news(alert)) {
        return;
    }
    if (summary->alerts++ > 0) {
        return; /* the broker tells the worst first */
    }
    (void)doc_text(alert, "severity", severity, sizeof(severity));
    (void)snprintf(summary->alert, sizeof(summary->alert), "%s %s %s: %s", severity,
                   doc_text(alert, "rule", rule, sizeof(rule)),
                   doc_text(alert, "subject", subject, sizeof(subject)),
                   doc_text(alert, "text", text, sizeof(text)));
    summary->alert_style = strcmp(severity, "critical") == 0 ? CELL_BAD : CELL_WARN;
}

static void read_alerts(struct summary *summary, const drover_value *alerts)
{
    drover_value *item = NULL;
    drover_value_iter iter;
    drover_value_iter_init(&iter, alerts);
    while (drover_value_iter_next(&iter, NULL, &item) == DROVER_OK) {
        read_alert(summary, item);
        drover_value_destroy(&item);
    }
}

void summary_read(struct summary *summary, const drover_value *status)
{
    drover_value *broker = doc_get(status, "broker");
    drover_value *tasks = doc_get(status, "tasks");
    drover_value *rates = doc_get(status, "rates");
    drover_value *alerts = doc_get(status, "alerts");
    memset(summary, 0, sizeof(*summary));
    if (broker != NULL) {
        read_broker(summary, status, broker);
    }
    if (tasks != NULL && rates != NULL) {
        read_tasks(summary, status, tasks, rates);
    }
    if (alerts != NULL) {
        read_alerts(summary, alerts);
    }
    drover_value_destroy(&broker);
    drover_value_destroy(&tasks);
    drover_value_destroy(&rates);
    drover_value_destroy(&alerts);
}
