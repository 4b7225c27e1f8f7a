/*
 * chaos_client.c: a user of libdrover that writes down what it asked for and what it was told.
 *
 *     chaos_client load ENDPOINT LOG RUNS THREADS SEED
 *     chaos_client verify ENDPOINT LOG SECONDS < units
 *
 * load: each thread submits one task after the other, waits for its end, and now and then
 * cancels it; their handler (tests/modules/chronicle.c) writes to RUNS. On SIGTERM no more are
 * submitted; it exits when what is under way has ended. A submit whose fate is not known is
 * repeated under the same id.
 * verify: how each of these units ended, as seen by someone who did not submit it, and which
 * units the broker has. Exit code 1 when one has not ended in time.
 *
 * The events are described in history.py. A line is one write, done before (sent) or after what
 * it tells, so that the file is true whenever this process is killed.
 */
#include "rng.h"

#include <drover/client.h>

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    LINE_BYTES_MAX = 512,
    THREADS_MAX = 64,
    STEP_MS = 500,     /* so long until a waiting thread looks around */
    KEEP_MS = 3600000, /* longer than any run: nothing is forgotten */
    ANSWER_MS = 20000,
    RETRIES = 100,    /* executors die often */
    ALWAYS = 1000000, /* failures of a task that never succeeds */
};

static atomic_bool is_over; /* the test ends it by a signal */

struct load {
    drover_client *client; /* borrowed; used by all threads */
    const char *runs;
    int log;
    uint64_t seed;
    unsigned number; /* of the thread */
};

struct plan {
    uint64_t ms;
    uint32_t failures;
    uint32_t retries;
    drover_durability level;
    bool is_cancelled;
};

static void on_signal(int number)
{
    (void)number;
    atomic_store(&is_over, true);
}

static void fail(const char *what, drover_status status)
{
    (void)fprintf(stderr, "chaos_client: %s: %s\n", what, drover_status_text(status));
    exit(EXIT_FAILURE);
}

/* ---- the history ------------------------------------------------------------------------- */

static void note(int log, const drover_id *id, const char *event, const char *rest)
{
    char line[LINE_BYTES_MAX], unit[DROVER_ID_TEXT_LEN + 1];
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    drover_id_format(id, unit);
    int len = snprintf(line, sizeof(line), "at=%" PRId64 " event=%s unit=%s%s%s\n",
                       (int64_t)at.tv_sec * 1000000000 + at.tv_nsec, event, unit,
                       rest[0] != '\0' ? " " : "", rest);
    if (len < 0 || (size_t)len >= sizeof(line) || write(log, line, (size_t)len) != len) {
        fail("the history cannot be written", DROVER_IO);
    }
}

static void note_end(int log, const drover_outcome *outcome)
{
    char rest[LINE_BYTES_MAX / 2];
    const char *text = "-";
    size_t len = 1;
    const drover_value *value = drover_outcome_value(outcome);
    if (value != NULL && drover_value_get_string(value, &text, &len) != DROVER_OK) {
        text = "?";
        len = 1;
    }
    drover_id id = drover_outcome_id(outcome);
    (void)snprintf(rest, sizeof(rest), "state=%s attempt=%" PRIu32 " kind=%s value=%.*s",
                   drover_state_name(drover_outcome_state(outcome)),
                   drover_outcome_attempt(outcome),
                   drover_error_kind_name(drover_outcome_error_kind(outcome)), (int)len, text);
    note(log, &id, "end", rest);
}

static void note_status(int log, const drover_id *id, const char *event, drover_status status)
{
    char rest[64];
    (void)snprintf(rest, sizeof(rest), "status=%s", drover_status_name(status));
    note(log, id, event, rest);
}

/* ---- load ----------------------------------------------------------------------------------
 */

static struct plan make_plan(struct drv_rng *rng)
{
    struct plan plan = {.ms = drv_rng_below(rng, 60), .retries = RETRIES};
    uint64_t kind = drv_rng_below(rng, 100);
    if (kind < 10) {
        plan.ms = drv_rng_between(rng, 500, 2500);
    } else if (kind < 20) {
        plan.failures = (uint32_t)drv_rng_between(rng, 1, 2);
    } else if (kind < 24) {
        plan.failures = ALWAYS;
        plan.retries = 0;
    } else if (kind < 30) {
        plan.ms = drv_rng_between(rng, 500, 5000);
        plan.is_cancelled = true;
    } else if (kind < 35) {
        plan.level = DROVER_DURABILITY_MEMORY;
    } else if (kind < 45) {
        plan.level = DROVER_DURABILITY_WRITTEN;
    }
    return plan;
}

static void note_sent(const struct load *load, const struct plan *plan, const drover_id *id)
{
    char rest[64];
    drover_durability level = plan->level == DROVER_DURABILITY_DEFAULT
                                  ? DROVER_DURABILITY_SYNCED
                                  : plan->level;
    (void)snprintf(rest, sizeof(rest), "level=%s fails=%" PRId64, drover_durability_name(level),
                   plan->failures == ALWAYS ? -1 : (int64_t)plan->failures);
    note(load->log, id, "sent", rest);
}

/* True: the broker has it. */
static bool submit(const struct load *load, const struct plan *plan, const drover_id *id)
{
    char text[LINE_BYTES_MAX];
    drover_value *in = NULL;
    (void)snprintf(text, sizeof(text), "%s %" PRIu64 " %" PRIu32, load->runs, plan->ms,
                   plan->failures);
    if (drover_value_new_text(text, &in) != DROVER_OK) {
        fail("payload", DROVER_NOMEM);
    }
    drover_submit_options options = DROVER_SUBMIT_OPTIONS_INIT;
    options.id = id;
    options.durability = plan->level;
    options.retries = plan->retries;
    options.loss_budget = RETRIES;
    options.backoff_ms = 20;
    options.backoff_max_ms = 200;
    options.keep_ms = KEEP_MS;
    options.ack_timeout_ms = ANSWER_MS;
    drover_receipt receipt;
    drover_status status;
    note_sent(load, plan, id);
    do {
        const drover_value *items[] = {in};
        status = drover_submit_all(load->client, "chronicle", items, 1, &options, &receipt);
    } while (status == DROVER_TIMEOUT || status == DROVER_OUTCOME_UNKNOWN);
    drover_value_destroy(&in);
    if (status != DROVER_OK) {
        note_status(load->log, id, "refused", status);
        return false;
    }
    char rest[32];
    (void)snprintf(rest, sizeof(rest), "level=%s", drover_durability_name(receipt.level));
    note(load->log, id, "acked", rest);
    return true;
}

static void await_end(const struct load *load, const drover_id *id, int64_t cancel_after_ms)
{
    drover_outcome *outcome = NULL;
    int64_t step_ms = cancel_after_ms > 0 ? cancel_after_ms : STEP_MS;
    drover_status status;
    while ((status = drover_result(load->client, id, DROVER_INDEX_NONE, step_ms, &outcome)) ==
           DROVER_TIMEOUT) {
        if (cancel_after_ms > 0) {
            note(load->log, id, "cancel", "");
            status = drover_cancel_request(load->client, id, DROVER_INDEX_NONE, "chaos",
                                           ANSWER_MS);
            note_status(load->log, id, "cancelling", status);
            cancel_after_ms = 0;
            step_ms = STEP_MS;
        }
    }
    if (status == DROVER_OK) {
        note_end(load->log, outcome);
        drover_outcome_destroy(&outcome);
    } else {
        note_status(load->log, id, status == DROVER_UNKNOWN ? "unknown" : "given_up", status);
    }
}

static void *run_thread(void *argument)
{
    const struct load *load = argument;
    struct drv_rng rng;
    drv_rng_init(&rng, load->seed * THREADS_MAX + load->number);
    while (!atomic_load(&is_over)) {
        struct plan plan = make_plan(&rng);
        int64_t cancel_after_ms = plan.is_cancelled ? (int64_t)drv_rng_between(&rng, 1, 600)
                                                    : 0;
        drover_id id;
        if (drover_id_new(&id) != DROVER_OK) {
            fail("id", DROVER_IO);
        }
        if (submit(load, &plan, &id)) {
            await_end(load, &id, cancel_after_ms);
        }
    }
    return NULL;
}

static void run_load(drover_client *client, int log, char **arguments)
{
    static struct load loads[THREADS_MAX];
    static pthread_t threads[THREADS_MAX];
    size_t count = strtoul(arguments[1], NULL, 10);
    count = count > THREADS_MAX ? THREADS_MAX : count;
    for (size_t i = 0; i < count; i++) {
        loads[i] = (struct load){.client = client,
                                 .runs = arguments[0],
                                 .log = log,
                                 .seed = strtoull(arguments[2], NULL, 10),
                                 .number = (unsigned)i};
        if (pthread_create(&threads[i], NULL, run_thread, &loads[i]) != 0) {
            fail("thread", DROVER_LIMIT);
        }
    }
    for (size_t i = 0; i < count; i++) {
        (void)pthread_join(threads[i], NULL);
    }
}

/* ---- verify --------------------------------------------------------------------------------
 */

/* A text of element `at` of a list; "" when it is not there. */
static void text_at(const drover_value *list, size_t at, const char *key,
                    char out_text[LINE_BYTES_MAX])
{
    drover_value *row = NULL, *item = NULL;
    const char *text;
    size_t len;
    out_text[0] = '\0';
    if (drover_value_array_get(list, at, &row) == DROVER_OK &&
        drover_value_map_get(row, key, &item) == DROVER_OK &&
        drover_value_get_string(item, &text, &len) == DROVER_OK && len < LINE_BYTES_MAX) {
        memcpy(out_text, text, len);
        out_text[len] = '\0';
    }
    drover_value_destroy(&item);
    drover_value_destroy(&row);
}

static uint64_t count_successes(const drover_value *document)
{
    drover_value *attempts = NULL;
    uint64_t successes = 0;
    if (drover_value_map_get(document, "attempts", &attempts) == DROVER_OK) {
        for (size_t i = 0; i < drover_value_count(attempts); i++) {
            char outcome[LINE_BYTES_MAX];
            text_at(attempts, i, "outcome", outcome);
            successes += strcmp(outcome, "succeeded") == 0;
        }
    }
    drover_value_destroy(&attempts);
    return successes;
}

static void note_attempts(drover_client *client, int log, const drover_id *id)
{
    drover_value *document = NULL;
    char rest[32];
    if (drover_task_show(client, id, DROVER_INDEX_NONE, ANSWER_MS, &document) == DROVER_OK) {
        (void)snprintf(rest, sizeof(rest), "succeeded=%" PRIu64, count_successes(document));
        note(log, id, "attempts", rest);
        drover_value_destroy(&document);
    }
}

/* True: it has ended, or the broker does not know it. */
static bool verify_unit(drover_client *client, int log, const drover_id *id, int64_t timeout_ms)
{
    drover_outcome *outcome = NULL;
    drover_status status = drover_result(client, id, DROVER_INDEX_NONE, timeout_ms, &outcome);
    if (status == DROVER_OK) {
        note_end(log, outcome);
        drover_outcome_destroy(&outcome);
        note_attempts(client, log, id);
        return true;
    }
    note_status(log, id, status == DROVER_UNKNOWN ? "unknown" : "given_up", status);
    return status == DROVER_UNKNOWN;
}

static void note_page(int log, const drover_value *tasks)
{
    for (size_t i = 0; i < drover_value_count(tasks); i++) {
        char text[LINE_BYTES_MAX];
        drover_id id;
        text_at(tasks, i, "id", text);
        if (drover_id_parse(text, &id) != DROVER_OK) {
            fail("a row of the list of tasks", DROVER_MALFORMED);
        }
        note(log, &id, "listed", "");
    }
}

static void note_listed(drover_client *client, int log)
{
    drover_cursor cursor = DROVER_CURSOR_INIT;
    do {
        drover_value *document = NULL, *tasks = NULL;
        drover_status status = drover_task_list(client, NULL, &cursor, ANSWER_MS, &document);
        if (status == DROVER_OK) {
            status = drover_value_map_get(document, "tasks", &tasks);
        }
        if (status != DROVER_OK) {
            fail("the list of tasks", status);
        }
        note_page(log, tasks);
        drover_value_destroy(&tasks);
        drover_value_destroy(&document);
    } while (cursor.len > 0);
}

static int64_t now_ms(void)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    return (int64_t)at.tv_sec * 1000 + at.tv_nsec / 1000000;
}

static bool run_verify(drover_client *client, int log, char **arguments)
{
    char line[64];
    bool is_whole = true;
    int64_t until_ms = now_ms() + strtoll(arguments[0], NULL, 10) * 1000;
    while (fgets(line, sizeof(line), stdin) != NULL) {
        drover_id id;
        line[strcspn(line, "\n")] = '\0';
        if (drover_id_parse(line, &id) != DROVER_OK) {
            fail(line, DROVER_INVALID);
        }
        int64_t left_ms = until_ms - now_ms();
        is_whole = verify_unit(client, log, &id, left_ms > STEP_MS ? left_ms : STEP_MS) &&
                   is_whole;
    }
    note_listed(client, log);
    return is_whole;
}

/* ---- the program ---------------------------------------------------------------------------
 */

/* The broker may be down, or out of reach, just now. */
static drover_client *open_client(const char *endpoint)
{
    drover_client *client = NULL;
    while (!atomic_load(&is_over)) {
        drover_status status = drover_client_open(endpoint, NULL, &client);
        if (status == DROVER_OK) {
            return client;
        }
        if (status != DROVER_UNAVAILABLE) {
            fail(endpoint, status);
        }
    }
    exit(EXIT_SUCCESS);
}

int main(int argc, char **argv)
{
    bool is_load = argc == 7 && strcmp(argv[1], "load") == 0;
    bool is_verify = argc == 5 && strcmp(argv[1], "verify") == 0;
    if (!is_load && !is_verify) {
        (void)fputs("usage: chaos_client load ENDPOINT LOG RUNS THREADS SEED\n"
                    "       chaos_client verify ENDPOINT LOG SECONDS < units\n",
                    stderr);
        return 64;
    }
    struct sigaction action = {.sa_handler = on_signal};
    int log = open(argv[3], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (log < 0 || sigaction(SIGTERM, &action, NULL) != 0) {
        fail(argv[3], DROVER_IO);
    }
    drover_client *client = open_client(argv[2]);
    bool is_whole = true;
    if (is_load) {
        run_load(client, log, argv + 4);
    } else {
        is_whole = run_verify(client, log, argv + 4);
    }
    drover_client_close(&client);
    (void)close(log);
    return is_whole ? EXIT_SUCCESS : EXIT_FAILURE;
}
