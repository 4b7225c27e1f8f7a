/*
 * pool_fixture.h: a pool under test and what it has told.
 *
 * Nothing here sleeps: every wait is for an event, with a deadline.
 */
#ifndef POOL_FIXTURE_H
#define POOL_FIXTURE_H

#include "buffer.h"
#include "clock.h"
#include "pool.h"
#include "problem.h"

#include "test.h"

#include <poll.h>
#include <sys/pidfd.h>
#include <unistd.h>

enum { FIXTURE_TOKENS = 512, FIXTURE_WAIT_MS = 20000, FIXTURE_OUTPUT_MAX = 1 << 20 };

struct seen { /* of one token */
    unsigned started, finished, returned;
    enum pool_return how;
    enum pool_outcome outcome;
    enum drover_error_kind kind;
    char code[65], text[4097];
    char stderr_tail[POOL_STDERR_MAX + 1];
    int exit_code;
    unsigned signal;
    bool permanent;
    drover_value *value; /* owned; NULL: none */
    char content_type[128];
    struct pool_usage usage;
    uint64_t run_us;
    unsigned progress_count, log_count;
    char progress[1025], log[1025];
    struct drv_buffer output[POOL_STREAM_DATA + 1]; /* owned; by stream */
    unsigned output_events[POOL_STREAM_DATA + 1];
    uint64_t output_len[POOL_STREAM_DATA + 1], output_missed[POOL_STREAM_DATA + 1];
    bool is_asking;
    uint64_t request;
    enum pool_kv_op op;
    char key[257];
    int64_t number;
};

struct fixture {
    struct pool *pool;
    struct seen seen[FIXTURE_TOKENS]; /* by token */
    uint64_t order[FIXTURE_TOKENS];   /* tokens as they finished */
    size_t order_count;
};

static inline int64_t fixture_now_us(void)
{
    return (int64_t)drv_clock_now_us();
}

static inline const char *fixture_module(const char *variable, const char *name, char *path,
                                         size_t size)
{
    const char *directory = getenv(variable);
    assert_non_null(directory); /* run by ctest */
    (void)snprintf(path, size, "%s/%s.so", directory, name);
    return path;
}

/* A pool with the modules demo and rough, and what else the config has. */
static inline struct fixture *fixture_new(struct pool_config *config)
{
    char demo[1024];
    char rough[1024];
    const char *modules[] = {
        fixture_module("DROVER_MODULE_DIR", "demo", demo, sizeof(demo)),
        fixture_module("DROVER_TEST_MODULE_DIR", "rough", rough, sizeof(rough))};
    struct drv_problem problem = {.text = ""};
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    config->modules = modules;
    config->module_count = 2;
    drover_status status = pool_new(config, &problem, &fixture->pool);
    config->modules = NULL; /* they end here */
    if (status) {
        fail_msg("%s", problem.text);
    }
    return fixture;
}

static inline void fixture_free(struct fixture *fixture)
{
    pool_close(&fixture->pool);
    for (size_t i = 0; i < FIXTURE_TOKENS; i++) {
        drover_value_destroy(&fixture->seen[i].value);
        for (int stream = 0; stream <= POOL_STREAM_DATA; stream++) {
            drv_buffer_fini(&fixture->seen[i].output[stream]);
        }
    }
    free(fixture);
}

static inline void fixture_copy(char *target, size_t size, struct drv_view text)
{
    assert_true(text.len < size);
    if (text.len > 0) {
        memcpy(target, text.bytes, text.len);
    }
    target[text.len] = '\0';
}

static inline void fixture_on_finished(struct fixture *fixture, const struct pool_event *event)
{
    struct seen *seen = &fixture->seen[event->token];
    const struct pool_value *value = &event->finished.value;
    seen->finished++;
    fixture->order[fixture->order_count++] = event->token;
    seen->outcome = event->finished.outcome;
    seen->kind = event->finished.error_kind;
    seen->exit_code = event->finished.exit_code;
    seen->signal = event->finished.signal;
    seen->permanent = event->finished.permanent;
    seen->usage = event->finished.usage;
    seen->run_us = event->finished.run_us;
    fixture_copy(seen->code, sizeof(seen->code), event->finished.code);
    fixture_copy(seen->text, sizeof(seen->text), event->finished.text);
    fixture_copy(seen->stderr_tail, sizeof(seen->stderr_tail), event->finished.stderr_tail);
    fixture_copy(seen->content_type, sizeof(seen->content_type), value->content_type);
    if (value->data == NULL) {
        assert_int_equal(value->view.len, 0);
    } else if (value->content_type.len == 0) {
        assert_ok(drover_value_from_msgpack(value->view.bytes, value->view.len, &seen->value));
    } else {
        assert_ok(drover_value_new_raw(value->view.bytes, value->view.len, seen->content_type,
                                       &seen->value));
    }
}

static inline void fixture_on_output(struct seen *seen, const struct pool_event *event)
{
    enum pool_stream stream = event->output.stream;
    struct drv_view bytes = event->output.bytes;
    assert_true(stream >= POOL_STREAM_STDOUT && stream <= POOL_STREAM_DATA);
    seen->output_events[stream]++;
    seen->output_len[stream] += bytes.len;
    seen->output_missed[stream] += event->output.missed;
    if (stream == POOL_STREAM_LOG && bytes.len > 0) {
        seen->log_count++;
        fixture_copy(seen->log, sizeof(seen->log), drv_view_of(bytes.bytes, bytes.len - 1));
    }
    if (bytes.len > 0) {
        assert_ok(drv_buffer_append(&seen->output[stream], bytes.bytes, bytes.len));
    }
    if (seen->output[stream].len > FIXTURE_OUTPUT_MAX) { /* of what is huge only the last */
        drv_buffer_clear(&seen->output[stream]);
    }
}

static inline void fixture_on_event(void *context, const struct pool_event *event)
{
    struct fixture *fixture = context;
    assert_true(event->token > 0 && event->token < FIXTURE_TOKENS);
    struct seen *seen = &fixture->seen[event->token];
    assert_int_equal(seen->finished + seen->returned, 0); /* nothing comes after it */
    switch (event->kind) {
    case POOL_STARTED:
        seen->started++;
        break;
    case POOL_FINISHED:
        fixture_on_finished(fixture, event);
        break;
    case POOL_RETURNED:
        seen->returned++;
        seen->how = event->returned.how;
        break;
    case POOL_PROGRESS:
        seen->progress_count++;
        fixture_copy(seen->progress, sizeof(seen->progress), event->progress.text);
        break;
    case POOL_KV:
        seen->is_asking = true;
        seen->request = event->kv.request;
        seen->op = event->kv.op;
        seen->number = event->kv.number;
        fixture_copy(seen->key, sizeof(seen->key), event->kv.key);
        break;
    case POOL_OUTPUT:
        fixture_on_output(seen, event);
        break;
    case POOL_PART:
    case POOL_REST:
        fail(); /* no test with this fixture runs ranges */
        break;
    }
}

/* One turn of the agent's loop: waits until the pool has something to do, and lets it. */
static inline drover_status fixture_turn(struct fixture *fixture, int64_t until_us)
{
    int64_t due_us = pool_deadline_us(fixture->pool);
    due_us = due_us < until_us ? due_us : until_us;
    int64_t left_us = due_us - fixture_now_us();
    struct pollfd fd = {.fd = pool_fd(fixture->pool), .events = POLLIN};
    if (left_us > 0) {
        (void)poll(&fd, 1, (int)((left_us + 999) / 1000));
    }
    return pool_poll(fixture->pool, fixture_now_us(), fixture_on_event, fixture);
}

/* FIXTURE_UNTIL(fixture, condition): turns the loop until it holds; fails after the deadline.
 */
#define FIXTURE_UNTIL(fixture, condition)                                    \
    do {                                                                     \
        int64_t fixture_until_us = fixture_now_us() +                        \
                                   test_deadline_ms(FIXTURE_WAIT_MS) * 1000; \
        while (!(condition)) {                                               \
            assert_ok(fixture_turn((fixture), fixture_until_us));            \
            if (fixture_now_us() >= fixture_until_us) {                      \
                fail_msg("waited in vain for: %s", #condition);              \
            }                                                                \
        }                                                                    \
    } while (0)

static inline struct pool_attempt fixture_attempt(uint64_t token, const char *type)
{
    struct pool_attempt attempt = {.token = token,
                                   .index = DROVER_INDEX_NONE,
                                   .attempt = 1,
                                   .type = drv_view_text(type),
                                   .term_ms = 50,
                                   .kill_ms = 50};
    attempt.id.bytes[0] = 1;
    attempt.id.bytes[14] = (uint8_t)(token >> 8);
    attempt.id.bytes[15] = (uint8_t)token;
    return attempt;
}

/* Submits with a payload in JSON (NULL: nil). */
static inline void fixture_submit_as(struct fixture *fixture, struct pool_attempt *attempt,
                                     const char *json)
{
    char why[256];
    struct drv_data *data = NULL;
    if (json != NULL) {
        drover_value *value = NULL;
        const void *bytes;
        size_t len;
        assert_ok(drover_value_from_json(json, strlen(json), &value, why, sizeof(why)));
        drover_value_bytes(value, &bytes, &len);
        assert_ok(drv_data_copy(bytes, len, &data));
        drover_value_destroy(&value);
        attempt->payload = (struct pool_value){.data = data, .view = drv_data_view(data)};
    }
    assert_ok(pool_submit(fixture->pool, attempt));
    drv_data_unref(&data);
}

static inline void fixture_submit(struct fixture *fixture, uint64_t token, const char *type,
                                  const char *json)
{
    struct pool_attempt attempt = fixture_attempt(token, type);
    fixture_submit_as(fixture, &attempt, json);
}

static inline struct seen *fixture_finish(struct fixture *fixture, uint64_t token)
{
    FIXTURE_UNTIL(fixture, fixture->seen[token].finished);
    return &fixture->seen[token];
}

static inline int64_t fixture_number(const struct seen *seen)
{
    int64_t number;
    assert_non_null(seen->value);
    assert_ok(drover_value_get_int(seen->value, &number));
    return number;
}

static inline void fixture_assert_json(const drover_value *value, const char *expected)
{
    char *json;
    assert_non_null(value);
    assert_ok(drover_value_to_json(value, DROVER_JSON_COMPACT, &json));
    assert_string_equal(json, expected);
    free(json);
}

enum { FIXTURE_PIDS_MAX = 16 };

struct pids { /* processes that are to end */
    int fds[FIXTURE_PIDS_MAX];
    size_t count;
};

/* Takes hold of the processes named in a text, all of which must be there. */
static inline void pids_open(struct pids *pids, const char *text)
{
    char *end;
    for (long pid = strtol(text, &end, 10); end != text; pid = strtol(text, &end, 10)) {
        assert_true(pids->count < FIXTURE_PIDS_MAX);
        int fd = pidfd_open((pid_t)pid, 0);
        assert_true(fd >= 0);
        pids->fds[pids->count++] = fd;
        text = end;
    }
}

/* Whether all have ended by now; `wait_ms`: how long each may still take. */
static inline bool pids_are_gone(const struct pids *pids, int wait_ms)
{
    for (size_t i = 0; i < pids->count; i++) {
        struct pollfd fd = {.fd = pids->fds[i], .events = POLLIN};
        if (poll(&fd, 1, wait_ms) != 1) {
            return false;
        }
    }
    return true;
}

static inline void pids_close(struct pids *pids)
{
    for (size_t i = 0; i < pids->count; i++) {
        (void)close(pids->fds[i]);
    }
    pids->count = 0;
}

#endif
