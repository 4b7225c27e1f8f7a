#include "job.h"

#include "check.h"
#include "clock.h"
#include "message.h"
#include "need.h"
#include "pack.h"
#include "utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(DROVER_JOB_EMIT_MAX <= RECORD_OUTPUT_MAX, "a value fits into a record");

/* ---- outcome ------------------------------------------------------------------------------
 */

/* Makes a cut or foreign text valid UTF-8: the last character may be half, others wrong. */
static void mend_text(char *text)
{
    size_t len = strlen(text);
    size_t at = 0;
    while (at < len) {
        uint32_t code;
        size_t step = drv_utf8_decode((const uint8_t *)text + at, len - at, &code);
        if (step > 0) {
            at += step;
        } else if (len - at < DRV_UTF8_LEN_MAX && (unsigned char)text[at] >= 0xc0) {
            text[at] = '\0';
            return;
        } else {
            text[at++] = '?';
        }
    }
}

static void set_code(char *target, const char *code)
{
    (void)snprintf(target, DROVER_JOB_CODE_MAX + 1, "%s", code != NULL ? code : "");
    mend_text(target);
}

static void set_text(char *target, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));
static void set_text(char *target, const char *format, va_list arguments)
{
    if (vsnprintf(target, DROVER_JOB_TEXT_MAX + 1, format, arguments) < 0) {
        target[0] = '\0';
    }
    mend_text(target);
}

void job_outcome_init(struct job_outcome *outcome)
{
    outcome->outcome = RECORD_SUCCEEDED;
    outcome->kind = DROVER_ERROR_NONE;
    outcome->exit_code = -1;
    outcome->signal = 0;
    outcome->is_permanent = false;
    outcome->code[0] = '\0';
    outcome->text[0] = '\0';
    drv_buffer_init(&outcome->stderr_tail);
    outcome->value = NULL;
    outcome->has_usage = false;
    outcome->user_us = outcome->system_us = outcome->peak_rss_bytes = 0;
    outcome->pid = 0;
    outcome->is_grouped = false;
}

void job_outcome_fini(struct job_outcome *outcome)
{
    drv_buffer_fini(&outcome->stderr_tail);
    drover_value_destroy(&outcome->value);
}

void job_outcome_fail(struct job_outcome *outcome, enum drover_error_kind kind,
                      const char *code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    outcome->outcome = RECORD_FAILED;
    outcome->kind = kind;
    set_code(outcome->code, code);
    set_text(outcome->text, format, arguments);
    va_end(arguments);
}

/* ---- what the job is ----------------------------------------------------------------------
 */

void job_init(struct drover_job *job, struct executor *executor, const struct record_task *task,
              const char *type, int64_t now_us)
{
    job->executor = executor;
    job->task = *task;
    job->type = type;
    job->meta = drv_view_of(NULL, 0);
    job->parents = drv_view_of(NULL, 0);
    job->awaited = NULL;
    job->limits = (struct drv_bounds){0};
    job->needs = drv_view_of(NULL, 0);
    job->shared = NULL;
    job->deadline_us = INT64_MAX;
    if (task->timeout_ms != 0 && task->timeout_ms < (uint64_t)(INT64_MAX - now_us) / 1000U) {
        job->deadline_us = now_us + (int64_t)task->timeout_ms * 1000;
    }
    job->log = (struct executor_stream){.serial = task->serial, .stream = POOL_STREAM_LOG};
    job->data = (struct executor_stream){.serial = task->serial, .stream = POOL_STREAM_DATA};
    job->has_failed = false;
    job->is_permanent = false;
    job->code[0] = '\0';
    job->text[0] = '\0';
}

void job_end(struct drover_job *job)
{
    drover_value_destroy(&job->awaited);
    executor_print_last(job->executor, &job->log, drv_view_of(NULL, 0));
    executor_print_last(job->executor, &job->data, drv_view_of(NULL, 0));
}

drover_id drover_job_id(const drover_job *job)
{
    return job->task.id;
}

bool drover_job_need_at(const drover_job *job, size_t position, const char **out_name,
                        uint64_t *out_count)
{
    struct drv_view rest = job->needs;
    const char *name;
    uint64_t count;
    for (size_t i = 0; need_take(&rest, &name, &count); i++) {
        if (i == position) {
            *out_name = name;
            *out_count = count;
            return true;
        }
    }
    return false;
}

uint64_t drover_job_need(const drover_job *job, const char *name)
{
    const char *other;
    uint64_t count;
    for (size_t i = 0; drover_job_need_at(job, i, &other, &count); i++) {
        if (strcmp(other, name) == 0) {
            return count;
        }
    }
    return 0;
}

uint32_t drover_job_index(const drover_job *job)
{
    return job->task.index;
}

uint32_t drover_job_attempt(const drover_job *job)
{
    return job->task.attempt;
}

const char *drover_job_type(const drover_job *job)
{
    return job->type;
}

const drover_value *drover_job_shared(const drover_job *job)
{
    return job->shared;
}

const void *drover_job_meta(const drover_job *job, size_t *out_len)
{
    *out_len = job->meta.len;
    return job->meta.bytes;
}

int64_t drover_job_left_ms(const drover_job *job)
{
    if (job->deadline_us == INT64_MAX) {
        return INT64_MAX;
    }
    int64_t left_us = job->deadline_us - (int64_t)drv_clock_now_us();
    return left_us > 0 ? (left_us + 999) / 1000 : 0;
}

bool drover_job_is_cancelled(const drover_job *job)
{
    return job->executor != NULL && executor_is_cancelled(job->executor, job->task.serial);
}

drover_status drover_job_sleep_ms(drover_job *job, uint64_t ms)
{
    int64_t now_us = (int64_t)drv_clock_now_us();
    int64_t until_us = INT64_MAX;
    if (ms < (uint64_t)(INT64_MAX - now_us) / 1000U) {
        until_us = now_us + (int64_t)ms * 1000;
    }
    struct pollfd fd;
    while (!drover_job_is_cancelled(job) && (int64_t)drv_clock_now_us() < until_us) {
        if (job->executor != NULL) {
            executor_wait(job->executor, job->task.serial, &fd, 1, until_us);
        } else {
            (void)poll(NULL, 0, ms < INT32_MAX ? (int)ms : INT32_MAX);
        }
    }
    return drover_job_is_cancelled(job) ? DROVER_CANCELLED : DROVER_OK;
}

/* ---- how it fails -------------------------------------------------------------------------
 */

static void note_failure(drover_job *job, bool is_permanent, const char *code,
                         const char *format, va_list arguments)
    __attribute__((format(printf, 4, 0)));
static void note_failure(drover_job *job, bool is_permanent, const char *code,
                         const char *format, va_list arguments)
{
    job->has_failed = true;
    job->is_permanent = is_permanent;
    set_code(job->code, code);
    set_text(job->text, format, arguments);
}

drover_status drover_job_fail(drover_job *job, const char *code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    note_failure(job, false, code, format, arguments);
    va_end(arguments);
    return DROVER_FAILED;
}

drover_status drover_job_fail_permanent(drover_job *job, const char *code, const char *format,
                                        ...)
{
    va_list arguments;
    va_start(arguments, format);
    note_failure(job, true, code, format, arguments);
    va_end(arguments);
    return DROVER_FAILED;
}

/* ---- what it tells ------------------------------------------------------------------------
 */

void drover_job_progress(drover_job *job, unsigned permille, const char *text)
{
    char copy[RECORD_TEXT_MAX + 1];
    (void)snprintf(copy, sizeof(copy), "%s", text != NULL ? text : "");
    mend_text(copy);
    if (job->executor == NULL) {
        (void)fprintf(stderr, "progress %u/1000 %s\n", permille, copy);
        return;
    }
    struct drv_view part = drv_view_text(copy);
    struct record_progress head = {.kind = RECORD_PROGRESS,
                                   .permille = permille < 1000 ? permille : 1000,
                                   .serial = job->task.serial,
                                   .text_len = (uint32_t)part.len};
    struct lane_record record = {
        .head = &head, .head_len = sizeof(head), .parts = &part, .count = 1};
    executor_tell(job->executor, &record);
}

/* Takes it or counts it as missed. */
static bool print_or_miss(drover_job *job, struct executor_stream *stream,
                          struct drv_view bytes)
{
    bool is_sent = executor_print(job->executor, stream, bytes);
    stream->missed += is_sent ? 0 : bytes.len;
    return is_sent;
}

void drover_job_log(drover_job *job, const char *format, ...)
{
    char line[RECORD_TEXT_MAX + 2];
    va_list arguments;
    va_start(arguments, format);
    if (vsnprintf(line, RECORD_TEXT_MAX + 1, format, arguments) < 0) {
        line[0] = '\0';
    }
    va_end(arguments);
    mend_text(line);
    size_t len = strlen(line);
    line[len++] = '\n';
    if (job->executor == NULL) {
        (void)fprintf(stderr, "log %.*s", (int)len, line);
        return;
    }
    (void)print_or_miss(job, &job->log, drv_view_of(line, len));
}

/* Raw values become what msgpack has for them: a binary. */
static drover_status encode_emitted(const drover_value *value, struct drv_buffer *out)
{
    const void *bytes;
    size_t len;
    struct drv_pack pack;
    drover_value_bytes(value, &bytes, &len);
    if (drover_value_get_type(value) != DROVER_VALUE_RAW) {
        return drv_buffer_append(out, bytes, len);
    }
    drv_pack_init(&pack, out);
    drv_pack_bin(&pack, bytes, len);
    return drv_pack_status(&pack);
}

static void show_emitted(const drover_value *value)
{
    char *json = NULL;
    if (drover_value_to_json(value, DROVER_JSON_COMPACT, &json) == DROVER_OK) {
        (void)fprintf(stderr, "data %s\n", json);
        free(json);
    }
}

drover_status drover_job_emit(drover_job *job, const drover_value *value)
{
    struct drv_buffer bytes;
    drv_buffer_init(&bytes);
    drover_status status = encode_emitted(value, &bytes);
    if (!status && bytes.len > DROVER_JOB_EMIT_MAX) {
        status = DROVER_TOO_BIG;
    }
    if (!status && job->executor == NULL) {
        show_emitted(value);
    } else if (!status && !print_or_miss(job, &job->data, drv_buffer_view(&bytes))) {
        status = DROVER_BUSY;
    }
    drv_buffer_fini(&bytes);
    return status;
}

/* ---- shared data --------------------------------------------------------------------------
 */

static drover_status ask(drover_job *job, struct record_kv *request, const char *key,
                         const drover_value *value, struct executor_answer *out_answer)
{
    if (key == NULL || key[0] == '\0' || strlen(key) > DRV_KEY_MAX ||
        !drv_utf8_is_valid((const uint8_t *)key, strlen(key))) {
        return DROVER_INVALID;
    }
    if (value != NULL) {
        const void *bytes;
        size_t len;
        drover_value_bytes(value, &bytes, &len);
        if (len > DRV_KV_VALUE_MAX) {
            return DROVER_TOO_BIG;
        }
    }
    if (job->executor == NULL) {
        return DROVER_UNAVAILABLE;
    }
    request->kind = RECORD_KV;
    request->serial = job->task.serial;
    return executor_ask(job->executor, request, drv_view_text(key), value, out_answer);
}

drover_status drover_job_kv_get(drover_job *job, const char *key, uint64_t timeout_ms,
                                drover_value **out_value, int64_t *out_version)
{
    struct record_kv request = {.op = POOL_KV_GET, .timeout_ms = timeout_ms};
    struct executor_answer answer = {.value = NULL};
    drover_status status = ask(job, &request, key, NULL, &answer);
    if (!status) {
        status = answer.status;
    }
    if (!status && answer.value == NULL) {
        status = drover_value_new_nil(&answer.value);
    }
    if (status) {
        drover_value_destroy(&answer.value);
        return status;
    }
    *out_value = answer.value;
    if (out_version != NULL) {
        *out_version = answer.number;
    }
    return DROVER_OK;
}

/* Operations that answer with a number, which is given on `also` too. */
static drover_status ask_number(drover_job *job, struct record_kv *request, const char *key,
                                const drover_value *value, drover_status also,
                                int64_t *out_number)
{
    struct executor_answer answer = {.value = NULL};
    drover_status status = ask(job, request, key, value, &answer);
    if (status) {
        return status;
    }
    drover_value_destroy(&answer.value);
    if (out_number != NULL && (answer.status == DROVER_OK || answer.status == also)) {
        *out_number = answer.number;
    }
    return answer.status;
}

drover_status drover_job_kv_set(drover_job *job, const char *key, const drover_value *value,
                                uint64_t ttl_ms, uint64_t timeout_ms, int64_t *out_version)
{
    struct record_kv request = {.op = POOL_KV_SET, .ttl_ms = ttl_ms, .timeout_ms = timeout_ms};
    return ask_number(job, &request, key, value, DROVER_OK, out_version);
}

drover_status drover_job_kv_incr(drover_job *job, const char *key, int64_t delta,
                                 uint64_t timeout_ms, int64_t *out_number)
{
    struct record_kv request = {.op = POOL_KV_INCR, .number = delta, .timeout_ms = timeout_ms};
    return ask_number(job, &request, key, NULL, DROVER_OK, out_number);
}

drover_status drover_job_kv_cas(drover_job *job, const char *key, const drover_value *value,
                                int64_t expected, uint64_t ttl_ms, uint64_t timeout_ms,
                                int64_t *out_version)
{
    struct record_kv request = {
        .op = POOL_KV_CAS, .number = expected, .ttl_ms = ttl_ms, .timeout_ms = timeout_ms};
    return ask_number(job, &request, key, value, DROVER_CONFLICT, out_version);
}

drover_status drover_job_kv_del(drover_job *job, const char *key, uint64_t timeout_ms)
{
    struct record_kv request = {.op = POOL_KV_DEL, .timeout_ms = timeout_ms};
    return ask_number(job, &request, key, NULL, DROVER_OK, NULL);
}
