/* doc_history.c: topics history, history of a queue, arrays and values. */
#include "document.h"

#include "broker.h"
#include "guard.h"
#include "history.h"
#include "history_queue.h"
#include "reader.h"

#include <math.h>

/* Bytes of a payload or a result that a document holds. */
enum { VALUE_MAX = 64 * 1024 };

/* Whole numbers as such, others with three digits behind the point. */
static void put_number(struct document *document, double number)
{
    if (isnan(number)) {
        document_nil(document, NULL);
    } else if (number >= 0 && number < 9e15 && floor(number) == number) {
        document_uint(document, NULL, (uint64_t)number);
    } else {
        document_double(document, NULL, round(number * 1000) / 1000);
    }
}

static const struct {
    const char *name;
    enum history_series series;
} broker_series[] = {
    {"submitted", HISTORY_SUBMITTED}, {"succeeded", HISTORY_SUCCEEDED},
    {"failed", HISTORY_FAILED},       {"waiting", HISTORY_WAITING},
    {"queued", HISTORY_QUEUED},       {"running", HISTORY_RUNNING},
    {"workers", HISTORY_WORKERS},     {"slots", HISTORY_SLOTS},
    {"busy", HISTORY_BUSY},           {"oldest_age_ms", HISTORY_OLDEST_MS},
    {"cpu_percent", HISTORY_CPU},     {"rss_bytes", HISTORY_RSS},
    {"loop_ms", HISTORY_LOOP_MS},     {"journal_ms", HISTORY_JOURNAL_MS},
};

struct extent { /* rows that are told: numbers from first to last */
    enum history_span span;
    uint64_t first, last;
};

static void put_broker(struct document *document, const struct extent *extent)
{
    const struct history_ring *ring = &document->core->history.rings[extent->span];
    for (size_t i = 0; i < sizeof broker_series / sizeof broker_series[0]; i++) {
        document_array(document, broker_series[i].name);
        for (uint64_t row = extent->first; row <= extent->last; row++) {
            put_number(
                document,
                (double)ring->rows[row % history_rows(extent->span)][broker_series[i].series]);
        }
        document_end(document);
    }
}

static double host_number(const struct history_host *host, unsigned series)
{
    switch (series) {
    case 0:
        return (double)history_percent(host->cpu);
    case 1:
        return (double)history_percent(host->memory);
    case 2:
        return (double)history_percent(host->disk);
    case 3:
        return host->busy == UINT8_MAX ? (double)NAN : host->busy / 2.5;
    case 4:
        return (double)history_float(host->sent);
    default:
        return (double)history_float(host->received);
    }
}

static void put_worker(struct document *document, const struct worker_history *history,
                       const struct extent *extent)
{
    static const char *const names[] = {"cpu_percent",  "memory_percent",   "disk_percent",
                                        "busy_percent", "bytes_sent_per_s", "bytes_recv_per_s"};
    const struct history_host *rows = extent->span == HISTORY_HOUR ? history->hour
                                                                   : history->day;
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        document_array(document, names[i]);
        for (uint64_t row = extent->first; row <= extent->last; row++) {
            put_number(document, host_number(&rows[row % history_rows(extent->span)], i));
        }
        document_end(document);
    }
}

static double load_number(const struct history_load *load, unsigned series)
{
    switch (series) {
    case 0:
        return (double)load->queued;
    case 1:
        return (double)load->running;
    case 2:
        return (double)history_float(load->delayed);
    case 3:
        return (double)history_float(load->ended);
    case 4:
        return (double)history_float(load->oldest_ms);
    case 5:
        return (double)history_float(load->wait_ms);
    case 6:
        return (double)history_float(load->wait_p99_ms);
    default:
        return (double)history_float(load->run_ms);
    }
}

static void put_queue(struct document *document, const struct queue_history *history,
                      const struct extent *extent)
{
    static const char *const names[] = {"queued",        "running", "delayed",     "ended",
                                        "oldest_age_ms", "wait_ms", "wait_p99_ms", "run_ms"};
    const struct history_load *rows = extent->span == HISTORY_HOUR ? history->hour
                                                                   : history->day;
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        document_array(document, names[i]);
        for (uint64_t row = extent->first; row <= extent->last; row++) {
            put_number(document, load_number(&rows[row % history_rows(extent->span)], i));
        }
        document_end(document);
    }
}

/* The number of its first row; 0: it has none of its own. */
static uint64_t begin_of(const struct history_owner *owner, enum history_span span)
{
    if (owner->queue != NULL) {
        return owner->queue->since[span];
    }
    return owner->worker != NULL && owner->worker->history != NULL
               ? owner->worker->history->since[span]
               : 0;
}

static struct extent extent_of(const struct history_ring *ring,
                               const struct history_owner *owner, enum history_span span,
                               uint64_t after, uint32_t rows)
{
    struct extent extent = {.span = span, .first = 1, .last = ring->number};
    uint32_t kept = history_rows(span);
    uint64_t begin = begin_of(owner, span);
    rows = rows == 0 || rows > kept ? kept : rows;
    if (extent.last > rows) {
        extent.first = extent.last - rows + 1;
    }
    if (begin > extent.first) {
        extent.first = begin;
    }
    if (after <= extent.last && after + 1 > extent.first) {
        extent.first = after + 1;
    }
    return extent;
}

uint64_t document_history(struct document *document, enum history_span span,
                          const struct history_owner *owner, uint64_t after, uint32_t rows)
{
    const struct history_ring *ring = &document->core->history.rings[span];
    struct extent extent = extent_of(ring, owner, span, after, rows);
    document_map(document, NULL);
    document_text(document, "span", span == HISTORY_HOUR ? "hour" : "day");
    document_uint(document, "step_ms", (uint64_t)history_step_us(span) / 1000);
    document_uint(document, "number", extent.last);
    document_uint(document, "count",
                  extent.last < extent.first ? 0 : extent.last - extent.first + 1);
    document_age(document, "age_ms",
                 ring->due_us == 0 ? document->core->now_us
                                   : ring->due_us - history_step_us(span));
    document_map(document, "series");
    if (owner->queue != NULL) {
        put_queue(document, owner->queue, &extent);
    } else if (owner->worker == NULL) {
        put_broker(document, &extent);
    } else if (owner->worker->history != NULL) {
        put_worker(document, owner->worker->history, &extent);
    }
    document_end(document);
    document_end(document);
    return extent.last;
}

/* ---- times ------------------------------------------------------------------------------- */

static void put_times(struct document *document, const char *key, const struct times *times,
                      enum times_kind kind)
{
    static const unsigned permilles[] = {500, 900, 990};
    static const char *const keys[] = {"p50_ms", "p90_ms", "p99_ms"};
    uint64_t us[3];
    if (times_count(times, kind) == 0) {
        return;
    }
    times_permilles(times, kind, permilles, us, 3);
    document_map(document, key);
    document_uint(document, "count", times_count(times, kind));
    for (size_t i = 0; i < 3; i++) {
        document_double(document, keys[i], (double)us[i] / 1000);
    }
    document_end(document);
}

void document_times(struct document *document, const struct times *times)
{
    put_times(document, "wait", times, TIMES_WAIT);
    put_times(document, "run", times, TIMES_RUN);
    if (times != NULL) {
        document_uint(document, "wait_total", times->total[TIMES_WAIT]);
        document_double(document, "wait_sum_ms", (double)times->sum_us[TIMES_WAIT] / 1000);
        document_uint(document, "run_total", times->total[TIMES_RUN]);
        document_double(document, "run_sum_ms", (double)times->sum_us[TIMES_RUN] / 1000);
    }
}

/* ---- arrays ------------------------------------------------------------------------------ */

static void put_array(struct document *document, struct task *task)
{
    document_map(document, NULL);
    document_id(document, "id", &task->id);
    document_str(document, "type", type_name(task->spec->line->type));
    document_str(document, "queue", queue_name(task->spec->line->queue));
    document_text(document, "state", drover_state_name(array_state(task->array)));
    document_int(document, "priority", task->spec->numbers.priority);
    document_age(document, "age_ms", task->submitted_us);
    document_array_counts(document, task->array);
    document_end(document);
}

bool document_arrays(struct document *document, struct drv_table_cursor *cursor, uint32_t rows)
{
    for (int scanned = 0; scanned < DOCUMENT_SCAN; scanned++) {
        if (rows == 0 || document_is_full(document)) {
            return true;
        }
        struct task *task = drv_table_next(&document->core->tasks, cursor);
        if (task == NULL) {
            return false;
        }
        if (task_is_array(task) && guard_may(document->core, task)) {
            put_array(document, task);
            rows--;
        }
    }
    return true;
}

/* ---- values ------------------------------------------------------------------------------ */

/* By convention the bytes are one msgpack value; when they are not, or say that they are
 * something else, they are shown as bytes. */
static void put_value(struct document *document, const char *key, const struct drv_val *val)
{
    bool is_msgpack = val->content_type.ptr == NULL && val->len <= VALUE_MAX &&
                      drv_validate(val->bytes, val->len, &DRV_VALIDATE_HEAD) == DROVER_OK;
    struct drv_str bytes = str_of((const char *)val->bytes,
                                  val->len > VALUE_MAX ? VALUE_MAX : val->len);
    if (val->is_nil) {
        return;
    }
    document_map(document, key);
    document_uint(document, "bytes", val->len);
    if (val->content_type.ptr != NULL) {
        document_str(document, "content_type", val->content_type);
    }
    if (is_msgpack) {
        document_raw(document, "value", bytes);
    } else {
        document_bin(document, "data", bytes);
        document_bool(document, "truncated", val->len > VALUE_MAX);
    }
    document_end(document);
}

void document_values(struct document *document, const struct item *item)
{
    bool is_whole_array = task_is_array(item->task) && item->index == DROVER_INDEX_NONE;
    document_map(document, NULL);
    document_id(document, "id", &item->task->id);
    document_int(document, "index",
                 item->index == DROVER_INDEX_NONE ? -1 : (int64_t)item->index);
    if (!is_whole_array && (task_is_array(item->task) || item->task->payload != NULL)) {
        struct drv_val payload = item_payload(item);
        put_value(document, "payload", &payload);
    }
    if (!is_whole_array && unit_is_terminal(item->unit) && item->unit->result != NULL) {
        struct drv_val result = body_val(item->unit->result);
        put_value(document, "result", &result);
    }
    document_end(document);
}
