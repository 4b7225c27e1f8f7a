#include "executor_private.h"

#include "check.h"
#include "clock.h"
#include "need.h"
#include "value_share.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    CALL_PAUSE_US = 50 * 1000, /* between calls to the agent for what may be dropped */
    SEND_WAIT_MS = 100,        /* longest wait for space before looking again */
};

/* ---- reading the ring -----------------------------------------------------------------------
 */

static void shared_release(struct executor_shared *shared)
{
    if (shared != NULL && --shared->references == 0) {
        drover_value_destroy(&shared->value);
        free(shared);
    }
}

void executor_entry_fini(struct executor *executor, struct executor_entry *entry)
{
    drv_data_unref(&entry->file);
    if (entry->task.payload.form == RECORD_KEPT) {
        lane_release(&executor->lane, entry->task.payload.file);
    }
    shared_release(entry->shared);
}

/* A content type as text; NULL: msgpack. */
static const char *type_text(struct drv_view content_type,
                             char out_text[DROVER_CONTENT_TYPE_MAX + 1])
{
    if (content_type.len == 0) {
        return NULL;
    }
    memcpy(out_text, content_type.bytes, content_type.len);
    out_text[content_type.len] = '\0';
    return out_text;
}

static drover_status value_of(struct drv_data *data, struct drv_view content_type,
                              drover_value **out_value)
{
    char text[DROVER_CONTENT_TYPE_MAX + 1];
    return data == NULL ? drover_value_new_nil(out_value)
                        : drv_value_from_data(data, type_text(content_type, text), out_value);
}

drover_status executor_payload_of(const struct executor_entry *entry,
                                  drover_value **out_payload)
{
    char text[DROVER_CONTENT_TYPE_MAX + 1];
    struct drv_view bytes = entry->payload;
    uint16_t form = entry->task.payload.form;
    if (form == RECORD_NIL || form == RECORD_FILE) {
        return value_of(entry->file, entry->content_type, out_payload);
    }
    const char *type = type_text(entry->content_type, text);
    if (form == RECORD_KEPT) {
        return drv_value_lend(bytes.bytes, bytes.len, type, out_payload);
    }
    return type == NULL ? drover_value_from_msgpack(bytes.bytes, bytes.len, out_payload)
                        : drover_value_new_raw(bytes.bytes, bytes.len, type, out_payload);
}

/* A payload in the record stays there, and so does one in a file that the agent keeps. */
static bool take_payload(struct executor *executor, struct executor_entry *entry,
                         struct drv_view *rest)
{
    const struct record_value *slot = &entry->task.payload;
    if (slot->form == RECORD_INLINE) {
        return slot->content_type_len <= DROVER_CONTENT_TYPE_MAX &&
               slot->len <= RECORD_INLINE_MAX &&
               lane_take_bytes(rest, slot->content_type_len, &entry->content_type) &&
               lane_take_bytes(rest, (size_t)slot->len, &entry->payload);
    }
    executor->has_spare = executor->has_spare || slot->form != RECORD_NIL;
    if (slot->form == RECORD_KEPT) {
        return lane_borrow_value(&executor->lane, slot, rest, &entry->payload,
                                 &entry->content_type) == DROVER_OK;
    }
    if (lane_take_value(&executor->lane, slot, true, rest, &entry->file,
                        &entry->content_type) != DROVER_OK) {
        return false;
    }
    entry->payload = drv_data_view(entry->file);
    return true;
}

static bool take_limits(struct executor_entry *entry, struct drv_view *rest)
{
    struct drv_view limits;
    if (entry->task.limits_len == 0) {
        return true;
    }
    if (entry->task.limits_len != sizeof(entry->limits) ||
        !lane_take_bytes(rest, sizeof(entry->limits), &limits)) {
        return false;
    }
    memcpy(&entry->limits, limits.bytes, sizeof(entry->limits));
    return true;
}

void executor_parse_task(struct executor *executor, struct drv_view record,
                         struct executor_entry *out_entry)
{
    struct executor_entry *entry = out_entry;
    struct drv_view rest = record;
    *entry = (struct executor_entry){.file = NULL};
    if (!lane_take_head(&rest, &entry->task, sizeof(entry->task)) ||
        !lane_take_bytes(&rest, entry->task.meta_len, &entry->meta) ||
        entry->task.parent_count > POOL_PARENTS_MAX ||
        !lane_take_bytes(&rest, entry->task.parent_count * sizeof(struct record_parent),
                         &entry->parents) ||
        !take_limits(entry, &rest) ||
        !lane_take_bytes(&rest, entry->task.lengths_len, &entry->lengths) ||
        entry->task.needs_len > NEED_BYTES_MAX ||
        !lane_take_bytes(&rest, entry->task.needs_len, &entry->needs) ||
        !take_payload(executor, entry, &rest)) {
        executor_die("cannot take a task");
    }
    if (entry->task.has_shared != 0 && executor->shared != NULL) {
        entry->shared = executor->shared;
        entry->shared->references++;
    }
}

/* Another one runs: this one waits, in a buffer of its own. */
static void put_aside(struct executor *executor, struct drv_view record)
{
    struct executor_ahead *ahead = calloc(1, sizeof(*ahead));
    if (ahead == NULL ||
        drv_buffer_detach(&executor->record, &ahead->record, NULL) != DROVER_OK) {
        executor_die("cannot take a task");
    }
    executor_parse_task(executor, record, &ahead->entry);
    drv_list_push_back(&executor->queue, &ahead->link);
}

static void on_shared(struct executor *executor, struct drv_view rest)
{
    struct record_shared head;
    struct drv_data *data = NULL;
    struct drv_view content_type;
    struct executor_shared *shared = calloc(1, sizeof(*shared));
    if (shared == NULL || !lane_take_head(&rest, &head, sizeof(head)) ||
        lane_take_value(&executor->lane, &head.value, true, &rest, &data, &content_type) !=
            DROVER_OK) {
        executor_die("cannot take a shared value");
    }
    shared->references = 1;
    /* What is no value is no value for the handlers either; they see NULL. */
    (void)!value_of(data, content_type, &shared->value);
    drv_data_unref(&data);
    shared_release(executor->shared);
    executor->shared = shared;
}

static void on_kv_reply(struct executor *executor, struct drv_view rest)
{
    struct record_kv_reply head;
    struct drv_data *data = NULL;
    struct drv_view content_type;
    if (!lane_take_head(&rest, &head, sizeof(head)) ||
        lane_take_value(&executor->lane, &head.value, true, &rest, &data, &content_type) !=
            DROVER_OK) {
        executor_die("cannot take an answer");
    }
    if (executor->is_asking && head.sequence == executor->sequence) {
        executor->is_asking = false;
        executor->has_answer = true;
        executor->answer = (struct executor_answer){.status = (drover_status)head.status,
                                                    .number = head.number};
        if (data != NULL) {
            drover_status status = value_of(data, content_type, &executor->answer.value);
            if (status) {
                executor->answer.status = status;
            }
        }
    }
    drv_data_unref(&data);
}

static uint32_t record_kind(struct drv_view record)
{
    uint32_t kind;
    if (record.len < sizeof(kind)) {
        executor_die("short record");
    }
    memcpy(&kind, record.bytes, sizeof(kind));
    return kind;
}

bool executor_read_record(struct executor *executor, bool *out_is_task)
{
    drover_status status = ring_read(&executor->lane.in, &executor->record);
    *out_is_task = false;
    if (status == DROVER_NOT_READY) {
        return false;
    }
    if (status) {
        executor_die("cannot read the ring");
    }
    struct drv_view record = drv_buffer_view(&executor->record);
    switch (record_kind(record)) {
    case RECORD_TASK:
        *out_is_task = true;
        return false;
    case RECORD_SHARED:
        on_shared(executor, record);
        return true;
    case RECORD_KV_REPLY:
        on_kv_reply(executor, record);
        return true;
    default:
        executor_die("unknown record");
    }
}

/* Takes everything; tasks wait. */
static void read_ring(struct executor *executor)
{
    bool is_task = true;
    while (executor_read_record(executor, &is_task) || is_task) {
        if (is_task) {
            put_aside(executor, drv_buffer_view(&executor->record));
        }
    }
}

/* ---- calling the agent --------------------------------------------------------------------
 */

static void call_agent(struct executor *executor)
{
    if (ring_writer_must_wake(&executor->lane.out)) {
        lane_signal(executor->lane.call_fd);
    }
}

void executor_pay_call(struct executor *executor)
{
    if (executor->owes_call) {
        executor->owes_call = false;
        executor->told_at_us = executor->ended_at_us;
        call_agent(executor);
    }
}

/* ---- waiting ------------------------------------------------------------------------------
 */

bool executor_is_cancelled(const struct executor *executor, uint64_t serial)
{
    return serial != 0 &&
           atomic_load_explicit(&executor->lane.shared->cancel, memory_order_acquire) == serial;
}

uint64_t executor_kill_ms(const struct executor *executor)
{
    return atomic_load(&executor->lane.shared->cancel_kill_ms);
}

static void poll_until(struct pollfd *fds, size_t count, int64_t until_us)
{
    if (until_us == INT64_MAX) {
        (void)poll(fds, (nfds_t)count, -1);
        return;
    }
    int64_t left_us = until_us - (int64_t)drv_clock_now_us();
    if (left_us < 0) {
        left_us = 0;
    }
    struct timespec left = {.tv_sec = (time_t)(left_us / 1000000),
                            .tv_nsec = (long)(left_us % 1000000) * 1000};
    (void)ppoll(fds, (nfds_t)count, &left, NULL);
}

void executor_wait(struct executor *executor, uint64_t serial, struct pollfd *fds, size_t count,
                   int64_t until_us)
{
    fds[0] = (struct pollfd){.fd = executor->lane.wake_fd, .events = POLLIN};
    for (;;) {
        for (size_t i = 0; i < count; i++) {
            fds[i].revents = 0;
        }
        read_ring(executor);
        if (executor->has_answer || executor_is_cancelled(executor, serial)) {
            return;
        }
        executor_pay_call(executor);
        if (!ring_reader_sleep(&executor->lane.in)) {
            continue;
        }
        poll_until(fds, count, until_us);
        ring_reader_wake(&executor->lane.in);
        if (fds[0].revents != 0) {
            lane_clear(executor->lane.wake_fd);
        }
        bool is_ready = false;
        for (size_t i = 1; i < count; i++) {
            is_ready = is_ready || fds[i].revents != 0;
        }
        if (is_ready || (int64_t)drv_clock_now_us() >= until_us) {
            return;
        }
    }
}

/* ---- sending ------------------------------------------------------------------------------
 */

bool executor_tell(struct executor *executor, const struct lane_record *record)
{
    if (ring_writer_used(&executor->lane.out) > LANE_RING_BYTES / 2 ||
        (executor->range != NULL && !executor_single_out(executor, false))) {
        return false;
    }
    size_t used = ring_writer_used(&executor->lane.out);
    if (lane_send(&executor->lane, record) != DROVER_OK) {
        return false;
    }
    int64_t now_us = (int64_t)drv_clock_now_us();
    if (used > LANE_RING_BYTES / 4 || now_us - executor->called_at_us >= CALL_PAUSE_US) {
        executor->called_at_us = now_us;
        call_agent(executor);
    }
    return true;
}

drover_status executor_send(struct executor *executor, const struct lane_record *record)
{
    for (;;) {
        drover_status status = lane_send(&executor->lane, record);
        if (status != DROVER_BUSY) {
            executor->owes_call = true;
            return status;
        }
        executor->owes_call = false;
        call_agent(executor);
        struct pollfd fd = {.fd = executor->lane.wake_fd, .events = POLLIN};
        if (ring_writer_wait(&executor->lane.out, lane_record_len(record))) {
            (void)poll(&fd, 1, SEND_WAIT_MS);
            lane_clear(executor->lane.wake_fd);
        } else { /* the ring has room, so it is the socket that is full */
            struct pollfd values = {.fd = executor->lane.values_fd, .events = POLLOUT};
            (void)poll(&values, 1, SEND_WAIT_MS);
        }
    }
}

static struct record_output output_head(const struct executor_stream *stream,
                                        struct drv_view bytes)
{
    return (struct record_output){.kind = RECORD_OUTPUT,
                                  .stream = (uint32_t)stream->stream,
                                  .serial = stream->serial,
                                  .missed = stream->missed,
                                  .len = (uint32_t)bytes.len};
}

bool executor_print(struct executor *executor, struct executor_stream *stream,
                    struct drv_view bytes)
{
    struct record_output head = output_head(stream, bytes);
    struct lane_record record = {
        .head = &head, .head_len = sizeof(head), .parts = &bytes, .count = 1};
    if (!executor_tell(executor, &record)) {
        return false;
    }
    stream->missed = 0;
    return true;
}

void executor_print_last(struct executor *executor, struct executor_stream *stream,
                         struct drv_view bytes)
{
    struct record_output head = output_head(stream, bytes);
    struct lane_record record = {
        .head = &head, .head_len = sizeof(head), .parts = &bytes, .count = 1};
    if (bytes.len + stream->missed > 0 && executor_send(executor, &record) == DROVER_OK) {
        stream->missed = 0;
        executor_pay_call(executor);
    }
}

struct lane_value executor_lane_value(const drover_value *value)
{
    if (value == NULL || drover_value_get_type(value) == DROVER_VALUE_NIL) {
        return (struct lane_value){.is_nil = true};
    }
    const void *bytes;
    size_t len;
    drover_value_bytes(value, &bytes, &len);
    return (struct lane_value){.bytes = drv_view_of(bytes, len),
                               .content_type = drv_view_text(drover_value_content_type(value))};
}

drover_status executor_ask(struct executor *executor, struct record_kv *request,
                           struct drv_view key, const drover_value *value,
                           struct executor_answer *out_answer)
{
    struct lane_value sent = executor_lane_value(value);
    struct lane_record record = {.head = request,
                                 .head_len = sizeof(*request),
                                 .parts = &key,
                                 .count = 1,
                                 .slot = &request->value,
                                 .value = &sent};
    request->sequence = ++executor->sequence;
    request->key_len = (uint32_t)key.len;
    executor->is_asking = true;
    executor->has_answer = false;
    int64_t until_us = INT64_MAX;
    int64_t now_us = (int64_t)drv_clock_now_us();
    if (request->timeout_ms < (uint64_t)(INT64_MAX - now_us) / 1000U) {
        until_us = now_us + (int64_t)request->timeout_ms * 1000;
    }
    (void)executor_single_out(executor, true);
    drover_status status = executor_send(executor, &record);
    while (!status && !executor->has_answer) {
        struct pollfd fd;
        executor_wait(executor, request->serial, &fd, 1, until_us);
        if (executor->has_answer) {
            break;
        }
        if (executor_is_cancelled(executor, request->serial)) {
            status = DROVER_CANCELLED;
        } else if ((int64_t)drv_clock_now_us() >= until_us) {
            status = DROVER_TIMEOUT;
        }
    }
    executor->is_asking = false;
    executor->has_answer = false;
    if (!status) {
        *out_answer = executor->answer;
    }
    executor->answer = (struct executor_answer){.value = NULL};
    return status;
}
