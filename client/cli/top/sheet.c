/* sheet.c: see sheet.h. */
#include "top/sheet.h"

#include "top/listing.h"

#include "check.h"
#include "doc.h"
#include "escape.h"
#include "human.h"
#include "target.h"
#include "task_facts.h"
#include "worker_view.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void sheet_init(struct sheet *sheet)
{
    memset(sheet, 0, sizeof(*sheet));
    drv_arena_init(&sheet->texts, 0);
}

void sheet_fini(struct sheet *sheet)
{
    drv_arena_fini(&sheet->texts);
    free(sheet->lines);
    sheet->lines = NULL;
    sheet->count = sheet->capacity = 0;
}

static void line(struct sheet *sheet, enum cell_style style, const char *format, ...)
    DROVER_PRINTF(3, 4);

static void line(struct sheet *sheet, enum cell_style style, const char *format, ...)
{
    char text[SHEET_LINE_MAX];
    va_list arguments;
    if (sheet->count == SHEET_LINES_MAX) {
        sheet->lines[sheet->count - 1].text = "... and more";
        return;
    }
    if (sheet->count == sheet->capacity) {
        size_t capacity = sheet->capacity == 0 ? 64 : sheet->capacity * 2;
        struct sheet_line *lines = realloc(sheet->lines, capacity * sizeof(*lines));
        if (lines == NULL) {
            sheet->failed = true;
            return;
        }
        sheet->lines = lines;
        sheet->capacity = capacity;
    }
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    const char *copy = drv_arena_copy(&sheet->texts, text, strlen(text) + 1);
    sheet->failed = sheet->failed || copy == NULL;
    sheet->lines[sheet->count++] = (struct sheet_line){.text = copy != NULL ? copy : "",
                                                       .style = style};
}

/* "name  text", unless there is none. */
static void pair(struct sheet *sheet, const char *name, const char *text)
{
    if (text[0] != '\0') {
        line(sheet, CELL_PLAIN, "%-14s %s", name, text);
    }
}

static void tell_pair(void *context, const char *name, const char *text)
{
    pair(context, name, text);
}

static void text_pair(struct sheet *sheet, const drover_value *map, const char *key)
{
    char text[SHEET_LINE_MAX / 2];
    pair(sheet, key, doc_text(map, key, text, sizeof(text)));
}

static void join_pair(struct sheet *sheet, const drover_value *map, const char *key)
{
    char text[SHEET_LINE_MAX / 2];
    pair(sheet, key, doc_join(map, key, text, sizeof(text)));
}

static void age_pair(struct sheet *sheet, const char *name, const drover_value *map,
                     const char *key, const char *after)
{
    char age[HUMAN_TEXT_MAX];
    if (doc_has(map, key)) {
        line(sheet, CELL_PLAIN, "%-14s %s%s", name, human_age(doc_int(map, key), age), after);
    }
}

typedef void (*row_fn)(struct sheet *sheet, const drover_value *row);

/* A list under a heading, unless it is empty. */
static void list(struct sheet *sheet, const drover_value *map, const char *key,
                 const char *heading, row_fn row)
{
    drover_value *rows = doc_get(map, key);
    drover_value *item = NULL;
    drover_value_iter iter;
    if (rows != NULL && drover_value_count(rows) > 0) {
        line(sheet, CELL_PLAIN, "%s", "");
        line(sheet, CELL_HEAD, "%s", heading);
        drover_value_iter_init(&iter, rows);
        while (drover_value_iter_next(&iter, NULL, &item) == DROVER_OK) {
            row(sheet, item);
            drover_value_destroy(&item);
        }
    }
    drover_value_destroy(&rows);
}

/* ---- a task ------------------------------------------------------------------------------ */

static void attempt_row(struct sheet *sheet, const drover_value *attempt)
{
    char worker[DOC_TEXT_MAX];
    char host[DOC_TEXT_MAX];
    char outcome[DOC_TEXT_MAX];
    char ran[HUMAN_TEXT_MAX];
    char ago[HUMAN_TEXT_MAX];
    char end[DOC_TEXT_MAX] = "";
    if (doc_int(attempt, "signal") > 0) {
        (void)snprintf(end, sizeof(end), "signal %" PRId64, doc_int(attempt, "signal"));
    } else if (doc_has(attempt, "exit_code")) {
        (void)snprintf(end, sizeof(end), "exit %" PRId64, doc_int(attempt, "exit_code"));
    } else {
        /* it has ended otherwise */
    }
    line(sheet, listing_state_style(doc_text(attempt, "outcome", outcome, sizeof(outcome))),
         "%7" PRId64 "  %-11s %9s %9s ago  %s on %s  %s", doc_int(attempt, "attempt"), outcome,
         human_us(doc_int(attempt, "run_us"), ran), human_age(doc_int(attempt, "age_ms"), ago),
         doc_text(attempt, "worker", worker, sizeof(worker)),
         doc_text(attempt, "host", host, sizeof(host)), end);
}

static void parent_row(struct sheet *sheet, const drover_value *parent)
{
    char name[TARGET_TEXT_MAX];
    char state[DOC_TEXT_MAX];
    char when[DOC_TEXT_MAX];
    drover_task_ref task;
    if (doc_task(parent, &task)) {
        target_format(&task.id, task.index, name);
        line(sheet, listing_state_style(doc_text(parent, "state", state, sizeof(state))),
             "%s  %s (until it has %s)", name, state,
             doc_text(parent, "when", when, sizeof(when)));
    }
}

/* What it printed last, line by line. */
static void stderr_lines(struct sheet *sheet, const drover_value *error)
{
    char text[SHEET_LINE_MAX];
    drover_value *value = doc_get(error, "stderr");
    struct drv_view bytes = doc_bytes(value);
    if (bytes.len > 0) {
        line(sheet, CELL_PLAIN, "%s", "");
        line(sheet, CELL_HEAD, "printed last");
    }
    while (bytes.len > 0) {
        const uint8_t *newline = memchr(bytes.bytes, '\n', bytes.len);
        size_t len = newline != NULL ? (size_t)(newline - bytes.bytes) : bytes.len;
        size_t taken = newline != NULL ? len + 1 : len;
        (void)drv_escape(drv_view_of(bytes.bytes, len), text, sizeof(text));
        line(sheet, CELL_PLAIN, "%s", text);
        bytes = drv_view_of(bytes.bytes + taken, bytes.len - taken);
    }
    drover_value_destroy(&value);
}

static void error_lines(struct sheet *sheet, const drover_value *task)
{
    char kind[DOC_TEXT_MAX];
    char text[SHEET_LINE_MAX / 2];
    drover_value *error = doc_get(task, "error");
    if (error != NULL) {
        line(sheet, CELL_BAD, "%-14s %s: %s", "error",
             doc_text(error, "kind", kind, sizeof(kind)),
             doc_text(error, "text", text, sizeof(text)));
        stderr_lines(sheet, error);
    }
    drover_value_destroy(&error);
}

static void progress_line(struct sheet *sheet, const drover_value *task)
{
    char bar[WORKER_BAR_MAX];
    char text[DOC_TEXT_MAX];
    drover_value *progress = doc_get(task, "progress");
    if (progress != NULL) {
        line(sheet, CELL_PLAIN, "%-14s %s  %s", "progress",
             worker_view_bar((double)doc_int(progress, "permille") / 10, bar),
             doc_text(progress, "text", text, sizeof(text)));
    }
    drover_value_destroy(&progress);
}

static void task_title(struct sheet *sheet, const drover_value *task)
{
    char name[TARGET_TEXT_MAX] = "?";
    drover_task_ref ref;
    if (doc_task(task, &ref)) {
        target_format(&ref.id, ref.index, name);
    }
    (void)snprintf(sheet->title, sizeof(sheet->title), "task %s", name);
}

void sheet_task(struct sheet *sheet, const drover_value *task, const drover_value *why)
{
    static const char *const first[] = {"type", "queue", "priority"};
    static const char *const last[] = {
        "worker",        "host",         "attempt",  "retries_left", "losses_left", "level",
        "payload_bytes", "result_bytes", "retry_of", "retried_as",   "count"};
    char text[SHEET_LINE_MAX / 2];
    task_title(sheet, task);
    (void)doc_text(task, "state", text, sizeof(text));
    line(sheet, listing_state_style(text), "%-14s %s", "state", text);
    if (why != NULL) {
        line(sheet, CELL_TITLE, "%-14s %s", "why", doc_text(why, "text", text, sizeof(text)));
        join_pair(sheet, why, "offered");
    }
    for (size_t i = 0; i < DRV_ARRAY_LEN(first); i++) {
        text_pair(sheet, task, first[i]);
    }
    task_facts_tell(task, tell_pair, sheet);
    join_pair(sheet, task, "states");
    progress_line(sheet, task);
    age_pair(sheet, "submitted", task, "submitted_age_ms", " ago");
    age_pair(sheet, "started", task, "started_age_ms", " ago");
    age_pair(sheet, "ended", task, "ended_age_ms", " ago");
    age_pair(sheet, "ran", task, "run_ms", "");
    for (size_t i = 0; i < DRV_ARRAY_LEN(last); i++) {
        text_pair(sheet, task, last[i]);
    }
    list(sheet, task, "parents", "waits for, or has waited for", parent_row);
    list(sheet, task, "attempts", "attempt  outcome           ran       ended  by",
         attempt_row);
    error_lines(sheet, task);
}

/* ---- a worker ---------------------------------------------------------------------------- */

static void lease_row(struct sheet *sheet, const drover_value *lease)
{
    char name[TARGET_TEXT_MAX];
    char type[DOC_TEXT_MAX];
    char age[HUMAN_TEXT_MAX];
    drover_task_ref task;
    if (doc_task(lease, &task)) {
        target_format(&task.id, task.index, name);
        line(sheet, CELL_PLAIN, "%s  %-8s  %9s  %s", name,
             doc_bool(lease, "started") ? "running" : "assigned",
             human_age(doc_int(lease, "age_ms"), age),
             doc_text(lease, "type", type, sizeof(type)));
    }
}

static void offer_row(struct sheet *sheet, const drover_value *offer)
{
    char type[DOC_TEXT_MAX];
    char model[DOC_TEXT_MAX];
    line(sheet, CELL_PLAIN, "%s  %s", doc_text(offer, "type", type, sizeof(type)),
         doc_text(offer, "model", model, sizeof(model)));
}

static void share_line(struct sheet *sheet, const drover_value *stats, const char *name,
                       const char *key)
{
    char bar[WORKER_BAR_MAX];
    line(sheet, CELL_PLAIN, "%-14s %s", name, worker_view_bar(doc_double(stats, key), bar));
}

void sheet_worker(struct sheet *sheet, const drover_value *worker)
{
    static const char *const plain[] = {"id",    "host",    "pid",      "model",
                                        "slots", "running", "assigned", "tasks_done"};
    static const char *const joined[] = {"types", "queues", "labels"};
    char text[DOC_TEXT_MAX];
    (void)snprintf(sheet->title, sizeof(sheet->title), "worker %s",
                   doc_text(worker, "name", text, sizeof(text)));
    (void)doc_text(worker, "state", text, sizeof(text));
    line(sheet, listing_state_style(text), "%-14s %s", "state", text);
    for (size_t i = 0; i < DRV_ARRAY_LEN(plain); i++) {
        text_pair(sheet, worker, plain[i]);
    }
    for (size_t i = 0; i < DRV_ARRAY_LEN(joined); i++) {
        join_pair(sheet, worker, joined[i]);
    }
    age_pair(sheet, "heard", worker, "heartbeat_age_ms", " ago");
    drover_value *stats = doc_get(worker, "stats");
    if (stats != NULL) {
        share_line(sheet, stats, "cpu", "cpu_percent");
        share_line(sheet, stats, "memory", "memory_percent");
        share_line(sheet, stats, "disk /", "disk_percent");
    }
    drover_value_destroy(&stats);
    list(sheet, worker, "leases", "holds", lease_row);
    list(sheet, worker, "offers", "types and models", offer_row);
}

/* ---- help -------------------------------------------------------------------------------- */

void sheet_help(struct sheet *sheet)
{
    static const char *const lines[] = {
        "1 2 3 4 5      hosts, workers, executors, queues, tasks",
        "Tab            the next view; Shift-Tab the one before",
        "Up Down j k    another row; Page Up, Page Down, Home, End (g, G)",
        "Enter          a task or worker: open it. A host: its workers. An executor: its",
        "               task. A queue: its tasks",
        "Esc            back; takes a filter away",
        "/              only rows with this text in them",
        "s S            sort by the next column, the one before",
        "R              the other way round",
        "t              tasks: active, running, failed, all of them",
        "d              drain the worker: no new tasks, what runs goes on",
        "r              resume the worker, or the queue",
        "p              pause the queue",
        "c              cancel the task; asks first",
        "Space          ask the broker now",
        "q              quit",
    };
    (void)snprintf(sheet->title, sizeof(sheet->title), "keys");
    for (size_t i = 0; i < DRV_ARRAY_LEN(lines); i++) {
        line(sheet, CELL_PLAIN, "%s", lines[i]);
    }
}

void sheet_problem(struct sheet *sheet, const char *text)
{
    line(sheet, CELL_BAD, "%s", text);
}
