/*
 * chronicle.c: a handler that writes down when it begins and how it ends, for tests/chaos.
 *
 * The payload is "FILE MS FAILURES": attempts up to FAILURES fail after MS milliseconds, later
 * ones succeed and return "UNIT/ATTEMPT". Each line that is appended to FILE is one event of
 * the history that tests/chaos/history.py checks:
 *
 *     at=NANOSECONDS event=run|finish|fail|leave unit=ID attempt=N worker=NAME pid=PID
 *
 * NAME is what CHAOS_WORKER says in the worker's environment. `leave`: it was told to stop.
 */
#include <drover/worker.h>

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PAYLOAD_MAX = 512, LINE_MAX_BYTES = 256, UNIT_MAX = 64 };

struct plan { /* what the payload asks for */
    char file[PAYLOAD_MAX];
    uint64_t ms;
    uint32_t failures;
};

static bool read_plan(const drover_value *in, struct plan *out_plan)
{
    const char *text;
    size_t len;
    char copy[PAYLOAD_MAX];
    if (drover_value_get_string(in, &text, &len) || len >= sizeof(copy)) {
        return false;
    }
    memcpy(copy, text, len);
    copy[len] = '\0';
    char *rest = NULL;
    const char *file = strtok_r(copy, " ", &rest);
    const char *ms = strtok_r(NULL, " ", &rest);
    const char *failures = strtok_r(NULL, " ", &rest);
    if (failures == NULL || strlen(file) >= sizeof(out_plan->file)) {
        return false;
    }
    memcpy(out_plan->file, file, strlen(file) + 1);
    out_plan->ms = strtoull(ms, NULL, 10);
    out_plan->failures = (uint32_t)strtoul(failures, NULL, 10);
    return true;
}

static void name_unit(const drover_job *job, char out_unit[UNIT_MAX])
{
    drover_id id = drover_job_id(job);
    drover_id_format(&id, out_unit);
}

/* One line in one write: lines of many processes do not mix. */
static bool note(const drover_job *job, const char *file, const char *event)
{
    char unit[UNIT_MAX], line[LINE_MAX_BYTES];
    const char *worker = getenv("CHAOS_WORKER");
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    name_unit(job, unit);
    int len = snprintf(line, sizeof(line),
                       "at=%" PRId64 " event=%s unit=%s attempt=%" PRIu32
                       " worker=%s pid=%ld\n",
                       (int64_t)at.tv_sec * 1000000000 + at.tv_nsec, event, unit,
                       drover_job_attempt(job), worker != NULL ? worker : "?", (long)getpid());
    int fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return false;
    }
    bool is_written = len > 0 && (size_t)len < sizeof(line) &&
                      write(fd, line, (size_t)len) == len;
    return close(fd) == 0 && is_written;
}

static drover_status chronicle(drover_job *job, const drover_value *in,
                               drover_value **out_result)
{
    struct plan plan;
    char unit[UNIT_MAX], text[UNIT_MAX + 16];
    if (!read_plan(in, &plan)) {
        return drover_job_fail_permanent(job, "bad-arg", "FILE MS FAILURES wanted");
    }
    if (!note(job, plan.file, "run")) {
        return drover_job_fail_permanent(job, "io", "the history cannot be written");
    }
    drover_status status = plan.ms == 0 ? DROVER_OK : drover_job_sleep_ms(job, plan.ms);
    bool is_failure = status == DROVER_OK && drover_job_attempt(job) <= plan.failures;
    if (!note(job, plan.file, status != DROVER_OK ? "leave" : is_failure ? "fail" : "finish")) {
        return drover_job_fail_permanent(job, "io", "the history cannot be written");
    }
    if (status != DROVER_OK) {
        return status;
    }
    if (is_failure) {
        return drover_job_fail(job, "planned", "this attempt was to fail");
    }
    name_unit(job, unit);
    int len = snprintf(text, sizeof(text), "%s/%" PRIu32, unit, drover_job_attempt(job));
    return drover_value_new_string(text, (size_t)len, out_result);
}

DROVER_MODULE("chronicle", "1", {"chronicle", chronicle, 0});
