#include "call.h"

#include "buffer.h"
#include "check.h"
#include "clock.h"
#include "problem.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_HANDLER_FAILED = 1, EXIT_BAD_USE = 64, EXIT_MACHINE = 74 };
enum { CALL_TOKEN = 1, CALL_TERM_MS = 2000, CALL_KILL_MS = 5000 };

/* ---- what goes in ---------------------------------------------------------------------------
 */

static drover_status read_stdin(struct drv_buffer *text, struct drv_problem *problem)
{
    uint8_t bytes[65536];
    for (;;) {
        ssize_t got = read(STDIN_FILENO, bytes, sizeof bytes);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return drv_problem_set(problem, DROVER_IO, "stdin: %s", strerror(errno));
        }
        if (got == 0) {
            return DROVER_OK;
        }
        if (text->len + (size_t)got > POOL_VALUE_MAX) {
            return drv_problem_set(problem, DROVER_TOO_BIG, "stdin: more than %d bytes",
                                   POOL_VALUE_MAX);
        }
        if (drv_buffer_append(text, bytes, (size_t)got) != DROVER_OK) {
            return drv_problem_set(problem, DROVER_NOMEM, "out of memory");
        }
    }
}

static drover_status parse(const char *json, size_t len, drover_value **out_value,
                           struct drv_problem *problem)
{
    char why[DRV_PROBLEM_TEXT_MAX] = "";
    drover_status status = drover_value_from_json(json, len, out_value, why, sizeof why);
    return status == DROVER_OK
               ? DROVER_OK
               : drv_problem_set(problem, status, "the payload is no JSON: %s", why);
}

static drover_status read_payload(const char *json, drover_value **out_value,
                                  struct drv_problem *problem)
{
    if (json == NULL) {
        return drover_value_new_nil(out_value);
    }
    if (strcmp(json, "-") != 0) {
        return parse(json, strlen(json), out_value, problem);
    }
    struct drv_buffer text;
    drv_buffer_init(&text);
    drover_status status = read_stdin(&text, problem);
    if (status == DROVER_OK) {
        status = parse(text.len > 0 ? (const char *)text.bytes : "", text.len, out_value,
                       problem);
    }
    drv_buffer_fini(&text);
    return status;
}

/* ---- what comes out -------------------------------------------------------------------------
 */

static drover_status print_value(const drover_value *value, struct drv_problem *problem)
{
    char *text = NULL;
    if (value != NULL && drover_value_to_json(value, DROVER_JSON_COMPACT, &text) != DROVER_OK) {
        return drv_problem_set(problem, DROVER_NOMEM, "out of memory");
    }
    bool is_printed = puts(text != NULL ? text : "null") >= 0 && fflush(stdout) == 0;
    free(text);
    return is_printed ? DROVER_OK
                      : drv_problem_set(problem, DROVER_IO, "stdout: %s", strerror(errno));
}

static void show_emitted(struct drv_view bytes)
{
    drover_value *value = NULL;
    char *json = NULL;
    if (drover_value_from_msgpack(bytes.bytes, bytes.len, &value) == DROVER_OK &&
        drover_value_to_json(value, DROVER_JSON_COMPACT, &json) == DROVER_OK) {
        (void)fprintf(stderr, "data %s\n", json);
    }
    free(json);
    drover_value_destroy(&value);
}

static void show_output(enum pool_stream stream, struct drv_view bytes)
{
    if (bytes.len == 0) {
        return;
    }
    switch (stream) {
    case POOL_STREAM_STDOUT:
        return; /* of a command it is the result */
    case POOL_STREAM_STDERR:
        (void)fwrite(bytes.bytes, 1, bytes.len, stderr);
        return;
    case POOL_STREAM_LOG:
        (void)fprintf(stderr, "log %.*s", (int)bytes.len, (const char *)bytes.bytes);
        return;
    case POOL_STREAM_DATA:
        show_emitted(bytes);
        return;
    }
}

/* ---- a command, in a pool of one ------------------------------------------------------------
 */

struct errand {
    struct pool *pool;
    bool is_over;
    drover_status status;
    drover_value *result; /* owned; NULL: none */
    struct drv_problem problem;
};

static void on_finished(struct errand *errand, const struct pool_event *event)
{
    const struct pool_value *value = &event->finished.value;
    char type[DROVER_CONTENT_TYPE_MAX + 1] = "";
    errand->is_over = true;
    if (value->data != NULL && value->content_type.len > 0) {
        memcpy(type, value->content_type.bytes, value->content_type.len);
        (void)!drover_value_new_raw(value->view.bytes, value->view.len, type, &errand->result);
    } else if (value->data != NULL) {
        (void)!drover_value_from_msgpack(value->view.bytes, value->view.len, &errand->result);
    }
    if (event->finished.outcome == POOL_AWAITS) {
        errand->status = drv_problem_set(&errand->problem, DROVER_UNSUPPORTED,
                                         "it awaits tasks, and there is no broker");
    } else if (event->finished.outcome != POOL_SUCCEEDED) {
        const char *kind = drover_error_kind_name(event->finished.error_kind);
        struct drv_view code = event->finished.code;
        code = code.len > 0 ? code : drv_view_text(kind);
        errand->status = drv_problem_set(
            &errand->problem, DROVER_FAILED, "%.*s: %.*s", (int)code.len,
            (const char *)code.bytes, (int)event->finished.text.len,
            event->finished.text.len > 0 ? (const char *)event->finished.text.bytes : "");
    }
}

static void on_event(void *context, const struct pool_event *event)
{
    struct errand *errand = context;
    switch (event->kind) {
    case POOL_STARTED:
    case POOL_PART: /* it runs no ranges */
    case POOL_REST:
        return;
    case POOL_FINISHED:
        on_finished(errand, event);
        return;
    case POOL_RETURNED:
        errand->is_over = true;
        errand->status = drv_problem_set(&errand->problem, DROVER_INTERNAL,
                                         "what ran it is gone");
        return;
    case POOL_PROGRESS:
        (void)fprintf(stderr, "progress %u/1000 %.*s\n", event->progress.permille,
                      (int)event->progress.text.len,
                      event->progress.text.len > 0 ? (const char *)event->progress.text.bytes
                                                   : "");
        return;
    case POOL_KV:
        pool_kv_reply(errand->pool, event->kv.request, DROVER_UNAVAILABLE, NULL, 0);
        return;
    case POOL_OUTPUT:
        show_output(event->output.stream, event->output.bytes);
        return;
    }
}

static void turn(struct errand *errand)
{
    int64_t now_us = (int64_t)drv_clock_now_us();
    int64_t due_us = pool_deadline_us(errand->pool);
    struct pollfd fd = {.fd = pool_fd(errand->pool), .events = POLLIN};
    if (due_us > now_us) {
        int64_t wait_ms = due_us == INT64_MAX ? -1 : (due_us - now_us + 999) / 1000;
        (void)poll(&fd, 1, wait_ms > INT32_MAX ? INT32_MAX : (int)wait_ms);
    }
    if (pool_poll(errand->pool, (int64_t)drv_clock_now_us(), on_event, errand) != DROVER_OK &&
        !errand->is_over) {
        errand->is_over = true;
        errand->status = drv_problem_set(&errand->problem, DROVER_INTERNAL,
                                         "the executors are gone");
    }
}

static drover_status submit(struct errand *errand, const char *type,
                            const drover_value *payload)
{
    struct drv_data *data = NULL;
    const void *bytes;
    size_t len;
    struct pool_attempt attempt = {.token = CALL_TOKEN,
                                   .index = DROVER_INDEX_NONE,
                                   .attempt = 1,
                                   .type = drv_view_text(type),
                                   .term_ms = CALL_TERM_MS,
                                   .kill_ms = CALL_KILL_MS};
    drover_status status = drover_id_new(&attempt.id);
    if (status == DROVER_OK && drover_value_get_type(payload) != DROVER_VALUE_NIL) {
        drover_value_bytes(payload, &bytes, &len);
        status = drv_data_copy(bytes, len, &data);
        attempt.payload = (struct pool_value){.data = data, .view = drv_data_view(data)};
    }
    if (status == DROVER_OK) {
        status = pool_submit(errand->pool, &attempt);
    }
    drv_data_unref(&data);
    return status == DROVER_OK ? DROVER_OK
                               : drv_problem_set(&errand->problem, status, "%s: %s", type,
                                                 drover_status_text(status));
}

static drover_status call_command(const struct pool_config *config, const char *type,
                                  const drover_value *payload, struct drv_problem *problem,
                                  drover_value **out_result)
{
    struct errand errand = {.status = DROVER_OK};
    drover_status status = pool_new(config, problem, &errand.pool);
    if (status != DROVER_OK) {
        return status;
    }
    status = submit(&errand, type, payload);
    while (status == DROVER_OK && !errand.is_over) {
        turn(&errand);
    }
    status = status == DROVER_OK ? errand.status : status;
    pool_close(&errand.pool);
    *problem = errand.problem;
    *out_result = errand.result;
    return status;
}

/* ---- the whole ------------------------------------------------------------------------------
 */

static int code_of(drover_status status)
{
    switch ((int)status) {
    case DROVER_OK:
        return EXIT_SUCCESS;
    case DROVER_FAILED:
        return EXIT_HANDLER_FAILED;
    case DROVER_INVALID:
    case DROVER_MALFORMED:
    case DROVER_LIMIT:
    case DROVER_TOO_BIG:
    case DROVER_IO:
    case DROVER_VERSION:
    case DROVER_CONFLICT:
    case DROVER_UNKNOWN:
        return EXIT_BAD_USE;
    default:
        return EXIT_MACHINE;
    }
}

int worker_call(const struct pool_config *config, const char *type, const char *json)
{
    struct drv_problem problem = {""};
    struct drv_problem print_problem = {""};
    drover_value *payload = NULL;
    drover_value *result = NULL;
    drover_status status = read_payload(json, &payload, &problem);
    int code = status == DROVER_IO ? EXIT_MACHINE : code_of(status);
    if (status == DROVER_OK) {
        status = pool_call(config, type, payload, &problem, &result);
        if (status == DROVER_UNSUPPORTED) { /* a command */
            status = call_command(config, type, payload, &problem, &result);
        }
        code = code_of(status);
        /* A command that fails may have a result besides. */
        if ((status == DROVER_OK || result != NULL) &&
            print_value(result, &print_problem) != DROVER_OK) {
            (void)fprintf(stderr, "drover-worker: %s\n", print_problem.text);
            code = EXIT_MACHINE;
        }
    }
    if (status != DROVER_OK) {
        (void)fprintf(stderr, "drover-worker: %s\n", problem.text);
    }
    drover_value_destroy(&payload);
    drover_value_destroy(&result);
    return code;
}
