/*
 * demo.c: the handlers of the demonstration and of the tests; an example of a module.
 *
 *     drover-worker --load demo.so
 */
#include <drover/worker.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define KV_TIMEOUT_MS 5000
#define PRIMES_MAX 100000000
#define PRIMES_LOOK 65536 /* numbers between two looks at the cancel flag */

static drover_status get_number(drover_job *job, const drover_value *in, int64_t max,
                                int64_t *out_number)
{
    if (drover_value_get_int(in, out_number) || *out_number < 0 || *out_number > max) {
        return drover_job_fail_permanent(job, "bad-arg", "an integer from 0 to %lld is wanted",
                                         (long long)max);
    }
    return DROVER_OK;
}

/* null */
static drover_status noop(drover_job *job, const drover_value *in, drover_value **out_result)
{
    (void)job;
    (void)in;
    return drover_value_new_nil(out_result);
}

/* its payload */
static drover_status echo(drover_job *job, const drover_value *in, drover_value **out_result)
{
    (void)job;
    return drover_value_copy(in, out_result);
}

static drover_status square(drover_job *job, const drover_value *in, drover_value **out_result)
{
    int64_t n;
    if (drover_value_get_int(in, &n) || n > INT32_MAX || n < -INT32_MAX) {
        return drover_job_fail(job, "bad-arg", "integer wanted");
    }
    return drover_value_new_int(n * n, out_result);
}

/* waits that many milliseconds */
static drover_status sleep_ms(drover_job *job, const drover_value *in,
                              drover_value **out_result)
{
    int64_t ms;
    drover_status status = get_number(job, in, INT32_MAX, &ms);
    if (!status) {
        status = drover_job_sleep_ms(job, (uint64_t)ms);
    }
    return status ? status : drover_value_new_int(ms, out_result);
}

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* uses a processor for that many milliseconds */
static drover_status spin(drover_job *job, const drover_value *in, drover_value **out_result)
{
    int64_t ms;
    drover_status status = get_number(job, in, INT32_MAX, &ms);
    if (status) {
        return status;
    }
    for (int64_t until_ms = now_ms() + ms; now_ms() < until_ms;) {
        if (drover_job_is_cancelled(job)) {
            return DROVER_CANCELLED;
        }
    }
    return drover_value_new_int(ms, out_result);
}

/* fails with its payload, a string, as the text */
static drover_status fail(drover_job *job, const drover_value *in, drover_value **out_result)
{
    const char *text;
    size_t len;
    (void)out_result;
    if (drover_value_get_string(in, &text, &len)) {
        text = "failed as asked";
    }
    return drover_job_fail(job, "demo", "%s", text);
}

static drover_status crash(drover_job *job, const drover_value *in, drover_value **out_result)
{
    (void)in;
    (void)out_result;
    (void)fprintf(stderr, "demo: about to crash, attempt %u\n", drover_job_attempt(job));
    (void)raise(SIGSEGV);
    return drover_job_fail(job, "demo", "still alive");
}

/* prints its payload, a string, to stderr */
static drover_status print(drover_job *job, const drover_value *in, drover_value **out_result)
{
    const char *text;
    size_t len;
    if (drover_value_get_string(in, &text, &len)) {
        return drover_job_fail_permanent(job, "bad-arg", "string wanted");
    }
    (void)fprintf(stderr, "%s\n", text);
    return drover_value_new_int((int64_t)len, out_result);
}

/* streams the numbers from 1 to its payload as partial data, a hundredth of a second apart; how
 * many */
static drover_status count(drover_job *job, const drover_value *in, drover_value **out_result)
{
    int64_t limit;
    drover_status status = get_number(job, in, INT32_MAX, &limit);
    for (int64_t n = 1; n <= limit && !status; n++) {
        drover_value *value = NULL;
        status = drover_value_new_int(n, &value);
        if (!status) {
            (void)drover_job_emit(job, value); /* whoever follows sees what is missing */
            drover_job_progress(job, (unsigned)(n * 1000 / limit), NULL);
            status = drover_job_sleep_ms(job, 10);
        }
        drover_value_destroy(&value);
    }
    return status ? status : drover_value_new_int(limit, out_result);
}

/* takes and touches that many bytes of memory */
static drover_status alloc(drover_job *job, const drover_value *in, drover_value **out_result)
{
    int64_t bytes;
    drover_status status = get_number(job, in, INT64_C(1) << 40, &bytes);
    if (status) {
        return status;
    }
    char *memory = malloc((size_t)bytes + 1);
    if (memory == NULL) {
        return drover_job_fail(job, "nomem", "no %lld bytes", (long long)bytes);
    }
    memset(memory, 1, (size_t)bytes + 1);
    /* A look at what was written, so that no compiler saves itself the work. */
    int64_t seen = ((volatile char *)memory)[bytes] == 1 ? bytes : 0;
    free(memory);
    return drover_value_new_int(seen, out_result);
}

/* the number of primes below its payload */
static drover_status primes(drover_job *job, const drover_value *in, drover_value **out_result)
{
    int64_t limit;
    int64_t count = 0;
    drover_status status = get_number(job, in, PRIMES_MAX, &limit);
    if (status) {
        return status;
    }
    char *composite = calloc((size_t)limit + 1, 1);
    if (composite == NULL) {
        return DROVER_NOMEM;
    }
    for (int64_t n = 2; n < limit && !status; n++) {
        if (n % PRIMES_LOOK == 0) {
            drover_job_progress(job, (unsigned)(n * 1000 / limit), NULL);
            status = drover_job_is_cancelled(job) ? DROVER_CANCELLED : DROVER_OK;
        }
        if (composite[n]) {
            continue;
        }
        count++;
        for (int64_t multiple = n * n; multiple < limit; multiple += n) {
            composite[multiple] = 1;
        }
    }
    free(composite);
    return status ? status : drover_value_new_int(count, out_result);
}

static drover_status get_text(drover_job *job, const drover_value *in, const char **out_text)
{
    size_t len;
    if (drover_value_get_string(in, out_text, &len)) {
        return drover_job_fail_permanent(job, "bad-arg", "key wanted");
    }
    return DROVER_OK;
}

/* the shared value under a key */
static drover_status kv_get(drover_job *job, const drover_value *in, drover_value **out_result)
{
    const char *key;
    drover_status status = get_text(job, in, &key);
    if (status) {
        return status;
    }
    return drover_job_kv_get(job, key, KV_TIMEOUT_MS, out_result, NULL);
}

/* {"key": k, "value": v}: sets the shared value; the new version */
static drover_status kv_put(drover_job *job, const drover_value *in, drover_value **out_result)
{
    drover_value *key = NULL;
    drover_value *value = NULL;
    const char *text = NULL;
    int64_t version = 0;
    drover_status status;
    if (drover_value_map_get(in, "key", &key) || drover_value_map_get(in, "value", &value)) {
        status = drover_job_fail_permanent(job, "bad-arg", "{\"key\":, \"value\":} wanted");
    } else {
        status = get_text(job, key, &text);
    }
    if (!status) {
        status = drover_job_kv_set(job, text, value, 0, KV_TIMEOUT_MS, &version);
    }
    drover_value_destroy(&key);
    drover_value_destroy(&value);
    return status ? status : drover_value_new_int(version, out_result);
}

/* {"key": k, "by": n}: adds to the shared number; the sum */
static drover_status kv_add(drover_job *job, const drover_value *in, drover_value **out_result)
{
    drover_value *key = NULL;
    drover_value *by = NULL;
    const char *text = NULL;
    int64_t delta = 0;
    int64_t sum = 0;
    drover_status status;
    if (drover_value_map_get(in, "key", &key) || drover_value_map_get(in, "by", &by) ||
        drover_value_get_int(by, &delta)) {
        status = drover_job_fail_permanent(job, "bad-arg", "{\"key\":, \"by\":} wanted");
    } else {
        status = get_text(job, key, &text);
    }
    if (!status) {
        status = drover_job_kv_incr(job, text, delta, KV_TIMEOUT_MS, &sum);
    }
    drover_value_destroy(&key);
    drover_value_destroy(&by);
    return status ? status : drover_value_new_int(sum, out_result);
}

DROVER_MODULE("demo", DROVER_VERSION_STRING, {"noop", noop, DROVER_THREAD_SAFE},
              {"echo", echo, DROVER_THREAD_SAFE}, {"square", square, DROVER_THREAD_SAFE},
              {"sleep", sleep_ms, DROVER_THREAD_SAFE}, {"spin", spin, DROVER_THREAD_SAFE},
              {"fail", fail, DROVER_THREAD_SAFE}, {"crash", crash, DROVER_THREAD_SAFE},
              {"print", print, DROVER_THREAD_SAFE}, {"alloc", alloc, DROVER_THREAD_SAFE},
              {"count", count, DROVER_THREAD_SAFE}, {"primes", primes, DROVER_THREAD_SAFE},
              {"kv_get", kv_get, DROVER_THREAD_SAFE}, {"kv_put", kv_put, DROVER_THREAD_SAFE},
              {"kv_add", kv_add, DROVER_THREAD_SAFE});
