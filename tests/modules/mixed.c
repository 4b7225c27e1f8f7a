/*
 * mixed.c: a handler whose payload says what becomes of it, for arrays of short elements among
 * which a few are different.
 */
#include <drover/worker.h>

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static drover_status big(drover_value **out_result)
{
    enum { LEN = 20000 };
    static char text[LEN];
    memset(text, 'b', sizeof(text));
    return drover_value_new_string(text, sizeof(text), out_result);
}

/* Another task, which is submitted before. */
static drover_status await(drover_job *job)
{
    drover_id id = drover_job_child_id(job, 0);
    return drover_job_await(job, &id, 1);
}

static drover_status slow(drover_job *job, drover_value **out_result)
{
    (void)poll(NULL, 0, 30);
    return drover_value_new_int(drover_job_index(job), out_result);
}

/* Overwrites every page that it shares with the agent, and goes on. */
static void scribble(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    while (maps != NULL && fgets(line, sizeof(line), maps) != NULL) {
        char *end;
        uintptr_t from = strtoul(line, &end, 16); /* FROM-TO ... NAME */
        if (strstr(line, "drover-lane") != NULL && *end == '-') {
            memset((void *)from, 0xee, strtoul(end + 1, NULL, 16) - from);
        }
    }
    if (maps != NULL) {
        (void)fclose(maps);
    }
}

/* Until it is told to stop. */
static drover_status wait_for_cancel(drover_job *job)
{
    while (drover_job_sleep_ms(job, 1000) == DROVER_OK) {
    }
    return DROVER_CANCELLED;
}

static drover_status obey(drover_job *job, const char *word, drover_value **out_result)
{
    if (strcmp(word, "fail") == 0) {
        return drover_job_fail(job, "mixed", "element %" PRIu32 " fails",
                               drover_job_index(job));
    }
    if (strcmp(word, "crash") == 0) {
        (void)fprintf(stderr, "element %" PRIu32 " crashes\n", drover_job_index(job));
        (void)raise(SIGSEGV);
    } else if (strcmp(word, "exit") == 0) {
        _exit(7);
    } else if (strcmp(word, "print") == 0) {
        (void)printf("element %" PRIu32 " prints\n", drover_job_index(job));
    } else if (strcmp(word, "log") == 0) {
        drover_job_log(job, "element %" PRIu32 " logs", drover_job_index(job));
    } else if (strcmp(word, "progress") == 0) {
        drover_job_progress(job, 500, "half");
    } else if (strcmp(word, "scribble") == 0) {
        scribble();
    } else if (strcmp(word, "incr") == 0) {
        int64_t number = 0;
        drover_status status = drover_job_kv_incr(job, "mixed", 1, 10000, &number);
        return status ? status : drover_value_new_int(number, out_result);
    } else if (strcmp(word, "big") == 0) {
        return big(out_result);
    } else if (strcmp(word, "raw") == 0) {
        return drover_value_new_raw("raw", 3, "text/plain", out_result);
    } else if (strcmp(word, "await") == 0) {
        return await(job);
    } else if (strcmp(word, "slow") == 0) {
        return slow(job, out_result);
    } else if (strcmp(word, "wait") == 0) {
        return wait_for_cancel(job);
    }
    return drover_value_new_int(drover_job_index(job), out_result);
}

/* A number: its square; nil: nil; a word: what it says, and then mostly the index. */
static drover_status mixed(drover_job *job, const drover_value *in, drover_value **out_result)
{
    int64_t number;
    const char *word;
    size_t len;
    if (drover_value_get_int(in, &number) == DROVER_OK) {
        return drover_value_new_int(number * number, out_result);
    }
    if (drover_value_get_string(in, &word, &len) == DROVER_OK) {
        return obey(job, word, out_result);
    }
    return DROVER_OK;
}

DROVER_MODULE("mixed", "1.0", {"mixed", mixed, 0});
