/*
 * ledger.c: a handler that leaves a trace of every time it runs, for tests that count.
 *
 * The payload is "FILE NAME MS": it appends the line "NAME ATTEMPT" to FILE, stays for MS
 * milliseconds and returns NAME.
 */
#include <drover/worker.h>

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 512 };

static bool append(const char *path, const char *line)
{
    int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) {
        return false;
    }
    bool is_written = write(file, line, strlen(line)) == (ssize_t)strlen(line);
    return close(file) == 0 && is_written;
}

static drover_status enter(drover_job *job, const drover_value *in, drover_value **out_result)
{
    const char *text;
    size_t len;
    char copy[LINE_MAX_BYTES], line[128];
    if (drover_value_get_string(in, &text, &len) || len >= sizeof(copy)) {
        return drover_job_fail(job, "bad-arg", "a string wanted");
    }
    memcpy(copy, text, len);
    copy[len] = '\0';
    char *rest = NULL;
    char *end = NULL;
    const char *path = strtok_r(copy, " ", &rest);
    const char *name = strtok_r(NULL, " ", &rest);
    const char *digits = strtok_r(NULL, " ", &rest);
    unsigned long ms = digits != NULL ? strtoul(digits, &end, 10) : 0;
    if (digits == NULL || *end != '\0') {
        return drover_job_fail(job, "bad-arg", "FILE NAME MS wanted");
    }
    (void)snprintf(line, sizeof(line), "%s %" PRIu32 "\n", name, drover_job_attempt(job));
    if (!append(path, line)) {
        return drover_job_fail(job, "io", "the ledger cannot be written");
    }
    drover_status status = ms == 0 ? DROVER_OK : drover_job_sleep_ms(job, ms);
    return status ? status : drover_value_new_string(name, strlen(name), out_result);
}

DROVER_MODULE("ledger", "1", {"enter", enter, 0});
