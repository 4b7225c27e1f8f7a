/* task_meter.c: see task_meter.h. */
#include "task_meter.h"

#include "clock.h"
#include "doc.h"
#include "human.h"

#include <inttypes.h>
#include <string.h>

enum {
    SLICE_MS = 500,
    FIRST_MS = 1000, /* what ends sooner needs no picture */
    PERMILLE_MAX = 1000,
};

void task_meter_open(struct task_meter *meter)
{
    meter_open(&meter->meter);
    meter->asked_ms = drv_clock_now_ms() + FIRST_MS - SLICE_MS;
}

int64_t task_meter_slice(const struct task_meter *meter, int64_t left_ms)
{
    return meter->meter.is_on && (left_ms < 0 || left_ms > SLICE_MS) ? SLICE_MS : left_ms;
}

static void format_progress(const drover_value *progress, char *out_text, size_t size)
{
    char words[DOC_TEXT_MAX];
    char bar[METER_BAR_MAX];
    int64_t permille = doc_int(progress, "permille");
    permille = permille < 0 ? 0 : permille > PERMILLE_MAX ? PERMILLE_MAX : permille;
    (void)doc_text(progress, "text", words, sizeof words);
    meter_bar((uint64_t)permille, PERMILLE_MAX, bar);
    (void)snprintf(out_text, size, "%s%" PRId64 ".%" PRId64 " %%%s%s", bar, permille / 10,
                   permille % 10, words[0] != '\0' ? "  " : "", words);
}

void task_meter_format(const drover_value *document, size_t width, char *out_text, size_t size)
{
    char line[2 * DOC_TEXT_MAX];
    drover_value *progress = doc_get(document, "progress");
    if (progress != NULL) {
        format_progress(progress, line, sizeof line);
    } else {
        (void)doc_text(document, "why", line, sizeof line);
    }
    drover_value_destroy(&progress);
    (void)snprintf(out_text, size, "%.*s", (int)width, line);
}

void task_meter_update(struct task_meter *meter, const struct cli *cli,
                       const drover_task_ref *task)
{
    char line[DOC_TEXT_MAX];
    drover_value *document = NULL;
    uint64_t now_ms = drv_clock_now_ms();
    if (!meter->meter.is_on || now_ms < meter->asked_ms + SLICE_MS) {
        return;
    }
    meter->asked_ms = now_ms;
    if (drover_task_show(cli->client, &task->id, task->index, SLICE_MS, &document) ==
        DROVER_OK) {
        task_meter_format(document, meter_width(), line, sizeof line);
        meter_draw(&meter->meter, line);
    }
    drover_value_destroy(&document);
}

void task_meter_hide(struct task_meter *meter)
{
    meter_hide(&meter->meter);
}
