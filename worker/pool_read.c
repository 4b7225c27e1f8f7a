#include "child.h"
#include "pool_private.h"

#include "escape.h"
#include "message.h"
#include "utf8.h"

#include <drover/worker.h>

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

/* Valid UTF-8 within `max` bytes; uses `scratch` when the text has to be changed. */
static struct drv_view clean_text(struct drv_view text, size_t max, struct drv_buffer *scratch)
{
    if (text.len > max) {
        text.len = max;
        while (text.len > 0 && (text.bytes[text.len] & 0xc0) == 0x80) {
            text.len--;
        }
    }
    if (drv_utf8_is_valid(text.bytes, text.len)) {
        return text;
    }
    drv_buffer_clear(scratch);
    if (drv_buffer_reserve(scratch, max + 1) != DROVER_OK) {
        return drv_view_of(NULL, 0);
    }
    return drv_view_of(scratch->bytes, drv_escape(text, (char *)scratch->bytes, max + 1));
}

/* ---- how a run ended ----------------------------------------------------------------------
 */

void pool_learn_run_time(struct pool_type_entry *type, uint64_t run_us, uint32_t count)
{
    double sample = (run_us > 0 ? (double)run_us : 1) / count;
    type->mean_us = type->mean_us <= 0 ? sample : (7 * type->mean_us + sample) / 8;
}

/* A run that was told to stop: failed by its timeout, or cancelled. */
static void tell_stopped(const struct run *run, struct pool_event *event, char *text,
                         size_t text_size)
{
    if (run->stop == STOP_TIMEOUT) {
        (void)snprintf(text, text_size, "ran for longer than its limit of %llu ms",
                       (unsigned long long)run->timeout_ms);
        event->finished.outcome = POOL_FAILED;
        event->finished.error_kind = DROVER_ERROR_TIMEOUT;
    } else if (run->stop == STOP_LIMIT) {
        pool_limit_describe(run, text, text_size);
        event->finished.outcome = POOL_FAILED;
        event->finished.error_kind = DROVER_ERROR_LIMIT;
    } else {
        (void)snprintf(text, text_size, "cancelled while it ran");
        event->finished.outcome = POOL_CANCELLED;
        event->finished.error_kind = DROVER_ERROR_CANCELLED;
    }
    event->finished.code = run->stop == STOP_LIMIT ? drv_view_text(run->exceeded)
                                                   : drv_view_of(NULL, 0);
    event->finished.text = drv_view_text(text);
    event->finished.permanent = false;
}

static void describe_end(const struct zygote_reply *gone, char *text, size_t size)
{
    int status = gone->wait_status;
    if (WIFSIGNALED(status)) {
        const char *name = sigabbrev_np(WTERMSIG(status));
        (void)snprintf(text, size, "the executor was ended by signal %d (SIG%s)",
                       WTERMSIG(status), name != NULL ? name : "?");
    } else {
        (void)snprintf(text, size, "the handler ended its process with exit code %d",
                       WEXITSTATUS(status));
    }
}

static uint64_t since(uint64_t total, uint64_t before)
{
    return total > before ? total - before : 0;
}

void pool_report_crash(struct pool *pool, struct run *run, const struct zygote_reply *gone,
                       const struct pool_sink *sink, int64_t now_us)
{
    char text[256];
    const struct proc *proc = &pool->procs[gone->slot];
    struct pool_event event = {.kind = POOL_FINISHED, .token = run->token};
    event.finished.exit_code = -1;
    if (WIFSIGNALED(gone->wait_status)) {
        event.finished.signal = (uint32_t)WTERMSIG(gone->wait_status);
    } else {
        event.finished.exit_code = WEXITSTATUS(gone->wait_status);
    }
    if (run->stop != STOP_NONE) {
        tell_stopped(run, &event, text, sizeof(text));
    } else {
        const char *code = "";
        bool is_limit = pool_limit_explains(run, event.finished.signal, gone->peak_rss_bytes,
                                            gone->oom_kills, &code, text, sizeof(text));
        if (!is_limit) {
            describe_end(gone, text, sizeof(text));
            pool_limit_hint(run, event.finished.signal, text, sizeof(text));
        }
        event.finished.outcome = POOL_FAILED;
        event.finished.error_kind = is_limit ? DROVER_ERROR_LIMIT : DROVER_ERROR_CRASH;
        event.finished.code = drv_view_text(code);
        event.finished.text = drv_view_text(text);
    }
    event.finished.stderr_tail = drv_buffer_view(&proc->output.tail);
    event.finished.run_us = now_us > run->started_us ? (uint64_t)(now_us - run->started_us) : 0;
    event.finished.has_usage = true;
    event.finished.usage.user_us = since(gone->user_us, proc->user_us);
    event.finished.usage.system_us = since(gone->system_us, proc->system_us);
    event.finished.usage.peak_rss_bytes = gone->peak_rss_bytes;
    event.finished.usage.pid = (uint32_t)gone->pid;
    event.finished.usage.kept = pool_limit_keeper(run, gone->is_grouped != 0);
    pool_learn_run_time(&pool->types[run->handler], event.finished.run_us, 1);
    pool_run_free(pool, run);
    sink->on_event(sink->context, &event);
}

void pool_report_returned(struct pool *pool, struct run *run, enum pool_return how,
                          const struct pool_sink *sink)
{
    char text[256];
    struct pool_event event = {.kind = POOL_RETURNED, .token = run->token};
    event.returned.how = how;
    if (run->stop != STOP_NONE) { /* that was wanted, and nothing of it is left */
        event = (struct pool_event){.kind = POOL_FINISHED, .token = run->token};
        event.finished.exit_code = -1;
        tell_stopped(run, &event, text, sizeof(text));
    }
    pool_run_free(pool, run);
    sink->on_event(sink->context, &event);
}

/* ---- records ------------------------------------------------------------------------------
 */

struct run *pool_run_of(const struct seat *seat, uint32_t claim, uint64_t serial)
{
    if (claim >= POOL_DEPTH_MAX || seat->claims[claim] == NULL ||
        seat->claims[claim]->serial != serial || !lane_is_taken(&seat->lane, claim, serial)) {
        return NULL;
    }
    return seat->claims[claim];
}

struct run *pool_running(const struct seat *seat)
{
    DRV_LIST_EACH(link, &seat->placed)
    {
        struct run *run = DRV_LIST_ITEM(link, struct run, link);
        if (lane_is_taken(&seat->lane, run->claim, run->serial)) {
            return run;
        }
    }
    return NULL;
}

/* The run in progress, for records without a claim. An element of a range is told before it
 * speaks. */
static struct run *run_in_progress(const struct seat *seat, uint64_t serial)
{
    DRV_LIST_EACH(link, &seat->placed)
    {
        struct run *run = DRV_LIST_ITEM(link, struct run, link);
        if (run->serial == serial) {
            bool is_one = lane_is_taken(&seat->lane, run->claim, serial) && !run_is_many(run);
            return is_one ? run : NULL;
        }
    }
    return NULL;
}

/* Views into the record, and the value. */
struct finished {
    struct record_finished head;
    struct drv_view code, text, tail, content_type;
    struct drv_data *data; /* owned */
};

static bool are_ids(const struct drv_data *data)
{
    return data != NULL && data->len >= sizeof(drover_id) &&
           data->len % sizeof(drover_id) <= 1 && /* the odd one is a byte of flags */
           data->len / sizeof(drover_id) <= DRV_BATCH_MAX;
}

static bool parse_finished(struct seat *seat, struct drv_view rest, struct finished *out)
{
    *out = (struct finished){.data = NULL};
    return lane_take_head(&rest, &out->head, sizeof(out->head)) &&
           lane_take_bytes(&rest, out->head.code_len, &out->code) &&
           lane_take_bytes(&rest, out->head.text_len, &out->text) &&
           lane_take_bytes(&rest, out->head.stderr_len, &out->tail) &&
           out->code.len <= DROVER_JOB_CODE_MAX && out->text.len <= DRV_ERROR_TEXT_MAX &&
           out->tail.len <= POOL_STDERR_MAX && out->head.outcome >= RECORD_SUCCEEDED &&
           out->head.outcome <= RECORD_AWAITS && out->head.error_kind <= DROVER_ERROR_EXPIRED &&
           lane_take_value(&seat->lane, &out->head.value, false, &rest, &out->data,
                           &out->content_type) == DROVER_OK &&
           (out->head.outcome != RECORD_AWAITS || are_ids(out->data));
}

static void tell_failed(const struct finished *finished, struct pool_event *event,
                        struct drv_buffer scratch[2])
{
    event->finished.outcome = POOL_FAILED;
    event->finished.error_kind = finished->head.error_kind != DROVER_ERROR_NONE
                                     ? (enum drover_error_kind)finished->head.error_kind
                                     : DROVER_ERROR_HANDLER;
    event->finished.code = clean_text(finished->code, DROVER_JOB_CODE_MAX, &scratch[0]);
    event->finished.text = clean_text(finished->text, DRV_ERROR_TEXT_MAX, &scratch[1]);
    event->finished.permanent = finished->head.permanent != 0;
}

static void fill_finished(struct seat *seat, const struct run *run,
                          const struct finished *finished, struct pool_event *event, char *text,
                          size_t text_size, struct drv_buffer scratch[2])
{
    const struct record_finished *head = &finished->head;
    event->finished.exit_code = head->exit_code;
    event->finished.signal = head->signal;
    event->finished.run_us = head->run_us;
    event->finished.has_usage = true;
    event->finished.usage = (struct pool_usage){
        .user_us = head->user_us,
        .system_us = head->system_us,
        .peak_rss_bytes = head->peak_rss_bytes,
        .pid = head->pid,
        .kept = pool_limit_keeper(run, head->is_grouped != 0)};
    if (finished->data != NULL && head->outcome != RECORD_STOPPED) {
        event->finished.value = (struct pool_value){.data = finished->data,
                                                    .view = drv_data_view(finished->data),
                                                    .content_type = finished->content_type};
    }
    if (head->outcome == RECORD_SUCCEEDED || head->outcome == RECORD_AWAITS) {
        event->finished.outcome = head->outcome == RECORD_AWAITS ? POOL_AWAITS : POOL_SUCCEEDED;
        event->finished.exit_code = -1;
        return;
    }
    if (head->outcome == RECORD_STOPPED && run->stop != STOP_NONE) {
        tell_stopped(run, event, text, text_size);
    } else {
        tell_failed(finished, event, scratch);
        const char *code = "";
        if (head->error_kind != DROVER_ERROR_LIMIT && /* else it is explained */
            pool_limit_explains(run, head->signal, head->peak_rss_bytes, 0, &code, text,
                                text_size)) {
            event->finished.error_kind = DROVER_ERROR_LIMIT;
            event->finished.code = drv_view_text(code);
            event->finished.text = drv_view_text(text);
        } else if (pool_limit_refused(run, finished->code, text, text_size)) {
            event->finished.error_kind = DROVER_ERROR_LIMIT;
            event->finished.code = drv_view_text("memory");
            event->finished.text = drv_view_text(text);
        } else {
            /* as the handler says */
        }
    }
    event->finished.stderr_tail = finished->tail.len > 0
                                      ? finished->tail
                                      : drv_buffer_view(&seat->proc->output.tail);
}

static void note_finished(struct seat *seat, const struct record_finished *head)
{
    struct proc *proc = seat->proc;
    proc->user_us += head->user_us;
    proc->system_us += head->system_us;
    proc->done_here++;
    proc->failures = 0;
    proc->is_clean = head->is_clean != 0;
    seat->done++;
    seat->is_asking = false;
}

void pool_retire(struct pool *pool, struct proc *proc, const char *why, int64_t now_us)
{
    if (!proc->is_spent) {
        drv_log_info(pool->log, why, drv_log_int("pid", proc->pid));
        proc->is_spent = true;
    }
    pool_take_back_all(pool, proc, now_us);
    pool_proc_settle(pool, proc, now_us);
}

static bool runs_anything(const struct proc *proc)
{
    for (size_t i = 0; i < proc->crew->threads; i++) {
        if (pool_running(&proc->seats[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static bool on_finished(struct pool *pool, struct seat *seat, struct drv_view rest,
                        const struct pool_sink *sink, int64_t now_us)
{
    struct finished finished;
    char text[256];
    struct drv_buffer scratch[2];
    if (!parse_finished(seat, rest, &finished)) {
        drv_data_unref(&finished.data);
        return false;
    }
    struct run *run = pool_run_of(seat, finished.head.claim, finished.head.serial);
    if (run == NULL) {
        drv_data_unref(&finished.data);
        return false;
    }
    drv_buffer_init(&scratch[0]);
    drv_buffer_init(&scratch[1]);
    if (run->is_range) {
        pool_range_end(run, sink);
    }
    pool_output_settle(pool, seat, run, finished.head.printed, sink, now_us);
    struct pool_event event = {.kind = POOL_FINISHED, .token = run->token};
    fill_finished(seat, run, &finished, &event, text, sizeof(text), scratch);
    pool_learn_run_time(&pool->types[run->handler], finished.head.run_us, 1);
    note_finished(seat, &finished.head);
    pool_unseat(pool, run, now_us);
    if (finished.head.is_spent != 0) {
        pool_retire(pool, seat->proc, "executor is too big and ends", now_us);
    }
    pool_run_free(pool, run);
    sink->on_event(sink->context, &event);
    if (!runs_anything(seat->proc)) { /* else it may be another's */
        drv_buffer_clear(&seat->proc->output.tail);
    }
    drv_data_unref(&finished.data);
    drv_buffer_fini(&scratch[0]);
    drv_buffer_fini(&scratch[1]);
    return true;
}

static bool on_progress(struct seat *seat, struct drv_view rest, const struct pool_sink *sink)
{
    struct record_progress head;
    struct drv_view text;
    if (!lane_take_head(&rest, &head, sizeof(head)) ||
        !lane_take_bytes(&rest, head.text_len, &text) || text.len > RECORD_TEXT_MAX) {
        return false;
    }
    const struct run *run = run_in_progress(seat, head.serial);
    if (run == NULL) {
        return true; /* said after its end, by a thread that was left */
    }
    struct drv_buffer scratch;
    drv_buffer_init(&scratch);
    struct pool_event event = {.kind = POOL_PROGRESS, .token = run->token};
    event.progress.permille = head.permille < 1000 ? head.permille : 1000;
    event.progress.text = clean_text(text, RECORD_TEXT_MAX, &scratch);
    sink->on_event(sink->context, &event);
    drv_buffer_fini(&scratch);
    return true;
}

static void tell_output(const struct run *run, const struct record_output *head,
                        struct drv_view bytes, const struct pool_sink *sink)
{
    struct pool_event event = {.kind = POOL_OUTPUT, .token = run->token};
    event.output.stream = (enum pool_stream)head->stream;
    event.output.bytes = bytes;
    event.output.missed = head->missed;
    sink->on_event(sink->context, &event);
}

static bool on_output(struct pool *pool, struct seat *seat, struct drv_view rest,
                      const struct pool_sink *sink, int64_t now_us)
{
    struct record_output head;
    struct drv_view bytes;
    if (!lane_take_head(&rest, &head, sizeof(head)) || head.stream < POOL_STREAM_STDOUT ||
        head.stream > POOL_STREAM_DATA || !lane_take_bytes(&rest, head.len, &bytes) ||
        bytes.len > RECORD_OUTPUT_MAX) {
        return false;
    }
    const struct run *run = run_in_progress(seat, head.serial);
    if (run == NULL) {
        return true; /* said after its end, by a thread that was left */
    }
    if (head.stream == POOL_STREAM_LOG && bytes.len > 0) {
        struct drv_view line = drv_view_of(bytes.bytes, bytes.len - 1); /* but its newline */
        pool_log_line(pool, seat->proc, run, POOL_STREAM_LOG, line, now_us);
    }
    tell_output(run, &head, bytes, sink);
    return true;
}

/* ---- shared data --------------------------------------------------------------------------
 */

static uint64_t request_name(const struct seat *seat, uint64_t sequence)
{
    return (uint64_t)seat->number << 48 | (uint64_t)seat->proc->generation << 32 |
           (sequence & UINT32_MAX);
}

/* Whether an executor may ask like this. */
static bool is_question(const struct record_kv *head, struct drv_view key)
{
    struct drv_spec spec;
    struct drv_after after[DRV_AFTER_MAX];
    drover_id id;
    switch (head->op) {
    case POOL_ASK_FETCH:
        return key.len == sizeof(struct record_fetch);
    case POOL_ASK_SUBMIT:
        return child_read(key, &id, &spec, after);
    default:
        return head->op >= POOL_KV_GET && head->op <= POOL_KV_CAS && key.len > 0 &&
               key.len <= DRV_KEY_MAX && head->value.len <= DRV_KV_VALUE_MAX &&
               drv_utf8_is_valid(key.bytes, key.len);
    }
}

static bool on_kv(struct seat *seat, struct drv_view rest, const struct pool_sink *sink)
{
    struct record_kv head;
    struct drv_view key;
    struct drv_view content_type;
    struct drv_data *data = NULL;
    if (!lane_take_head(&rest, &head, sizeof(head)) ||
        !lane_take_bytes(&rest, head.key_len, &key) || !is_question(&head, key) ||
        lane_take_value(&seat->lane, &head.value, false, &rest, &data, &content_type) !=
            DROVER_OK) {
        drv_data_unref(&data);
        return false;
    }
    const struct run *run = run_in_progress(seat, head.serial);
    if (run != NULL) {
        seat->is_asking = true;
        seat->question = head.sequence;
        struct pool_event event = {.kind = POOL_KV, .token = run->token};
        event.kv.request = request_name(seat, head.sequence);
        event.kv.op = (enum pool_kv_op)head.op;
        event.kv.key = key;
        event.kv.value = (struct pool_value){
            .data = data, .view = drv_data_view(data), .content_type = content_type};
        event.kv.number = head.number;
        event.kv.ttl_ms = head.ttl_ms;
        event.kv.timeout_ms = head.timeout_ms;
        sink->on_event(sink->context, &event);
    }
    drv_data_unref(&data);
    return true;
}

void pool_send_answer(struct pool *pool, struct seat *seat, int64_t now_us)
{
    struct record_kv_reply head = {.kind = RECORD_KV_REPLY,
                                   .status = seat->answer.status,
                                   .sequence = seat->question,
                                   .number = seat->answer.number};
    struct lane_value value = {.bytes = seat->answer.value.view,
                               .content_type = seat->answer.value.content_type,
                               .is_nil = seat->answer.value.data == NULL};
    struct lane_record record = {
        .head = &head, .head_len = sizeof(head), .slot = &head.value, .value = &value};
    drover_status status = seat->is_asking ? lane_send(&seat->lane, &record) : DROVER_OK;
    pool->has_spare = pool->has_spare || seat->lane.has_spare;
    if (status == DROVER_BUSY) {
        pool->retry_at_us = now_us + POOL_RETRY_US;
        return;
    }
    if (status) { /* it waits no longer than its own timeout */
        drv_log_warn(pool->log, "cannot answer a handler", drv_log_status("status", status));
    } else if (seat->is_asking && ring_writer_must_wake(&seat->lane.out)) {
        lane_signal(seat->lane.wake_fd);
    }
    seat->is_asking = false;
    seat->answer.is_set = false;
    drv_data_unref(&seat->answer.value.data);
}

void pool_kv_reply(struct pool *pool, uint64_t request, drover_status status,
                   const struct pool_value *value, int64_t number)
{
    size_t number_of_seat = (size_t)(request >> 48);
    if (number_of_seat >= pool->seat_count) {
        return;
    }
    struct seat *seat = &pool->seats[number_of_seat];
    if (!seat->is_asking || seat->answer.is_set ||
        request_name(seat, seat->question) != request) {
        return;
    }
    seat->answer.is_set = true;
    seat->answer.status = (uint32_t)status;
    seat->answer.number = number;
    seat->answer.value = (struct pool_value){.data = NULL};
    if (value != NULL && value->data != NULL &&
        value->content_type.len <= DROVER_CONTENT_TYPE_MAX) {
        seat->answer.value = *value;
        (void)drv_data_ref(value->data);
        if (value->content_type.len > 0) {
            memcpy(seat->answer.content_type, value->content_type.bytes,
                   value->content_type.len);
        }
        seat->answer.value.content_type = drv_view_of(seat->answer.content_type,
                                                      value->content_type.len);
    }
    pool_send_answer(pool, seat, 0);
}

/* ---- reading ------------------------------------------------------------------------------
 */

static bool on_record(struct pool *pool, struct seat *seat, struct drv_view record,
                      const struct pool_sink *sink, int64_t now_us)
{
    uint32_t kind;
    if (record.len < sizeof(kind)) {
        return false;
    }
    memcpy(&kind, record.bytes, sizeof(kind));
    switch (kind) {
    case RECORD_FINISHED:
        return on_finished(pool, seat, record, sink, now_us);
    case RECORD_PROGRESS:
        return on_progress(seat, record, sink);
    case RECORD_OUTPUT:
        return on_output(pool, seat, record, sink, now_us);
    case RECORD_KV:
        return on_kv(seat, record, sink);
    case RECORD_RANGE:
        return pool_range_on_record(pool, seat, record, sink, now_us);
    default:
        return false;
    }
}

void pool_arm(struct pool *pool, struct seat *seat)
{
    if (!ring_reader_sleep(&seat->lane.in)) {
        pool->has_work = true;
    }
}

void pool_read_seat(struct pool *pool, struct seat *seat, const struct pool_sink *sink,
                    int64_t now_us)
{
    if (seat->lane.shared == NULL || seat->lane.is_broken) {
        return;
    }
    drover_status status = DROVER_OK;
    size_t count = 0;
    ring_reader_wake(&seat->lane.in);
    while (count < POOL_RECORDS_MAX) {
        status = ring_read(&seat->lane.in, &pool->record);
        if (status) {
            break;
        }
        count++;
        if (!on_record(pool, seat, drv_buffer_view(&pool->record), sink, now_us)) {
            status = DROVER_MALFORMED;
            break;
        }
    }
    pool->has_spare = pool->has_spare || seat->lane.has_spare;
    if (count > 0 && ring_reader_must_wake(&seat->lane.in)) {
        lane_signal(seat->lane.wake_fd);
    }
    if (status == DROVER_MALFORMED) {
        drv_log_warn(pool->log, "executor broke the rules",
                     drv_log_int("pid", seat->proc->pid));
        seat->lane.is_broken = true;
        pool_kill(pool, seat->proc);
    }
}
