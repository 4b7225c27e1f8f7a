/*
 * family.c: handlers with parents and children, for the tests of dependencies.
 */
#include <drover/worker.h>

#define ASK_MS 20000

/* The sum of the integers that the parents left. */
static drover_status sum_parents(drover_job *job, int64_t *out_sum)
{
    *out_sum = 0;
    for (size_t i = 0; i < drover_job_parent_count(job); i++) {
        drover_value *value = NULL;
        int64_t n = 0;
        drover_status status = drover_job_parent_result(job, i, ASK_MS, &value);
        if (!status) {
            status = drover_value_get_int(value, &n);
        }
        drover_value_destroy(&value);
        if (status) {
            return drover_job_fail(job, "parent", "parent %zu: %s", i,
                                   drover_status_name(status));
        }
        *out_sum += n;
    }
    return DROVER_OK;
}

static drover_status total(drover_job *job, const drover_value *in, drover_value **out_result)
{
    int64_t sum = 0;
    (void)in;
    drover_status status = sum_parents(job, &sum);
    return status ? status : drover_value_new_int(sum, out_result);
}

static drover_status submit_int(drover_job *job, uint64_t n, const char *type, int64_t number,
                                drover_id *out_id)
{
    drover_value *payload = NULL;
    drover_status status = drover_value_new_int(number, &payload);
    if (!status) {
        status = drover_job_submit(job, n, type, payload, NULL, ASK_MS, out_id);
    }
    drover_value_destroy(&payload);
    return status;
}

/* fib(n) = fib(n-1) + fib(n-2), each a task, on however many slots there are. */
static drover_status fib(drover_job *job, const drover_value *in, drover_value **out_result)
{
    int64_t n, sum = 0;
    if (drover_value_get_int(in, &n)) {
        return drover_job_fail(job, "bad-arg", "integer wanted");
    }
    if (n < 2) {
        return drover_value_new_int(n, out_result);
    }
    if (drover_job_is_resumed(job)) {
        drover_status status = sum_parents(job, &sum);
        return status ? status : drover_value_new_int(sum, out_result);
    }
    drover_id ids[2];
    for (uint64_t i = 0; i < 2; i++) {
        drover_status status = submit_int(job, i, "fib", n - 1 - (int64_t)i, &ids[i]);
        if (status) {
            return drover_job_fail(job, "submit", "child %d: %s", (int)i,
                                   drover_status_name(status));
        }
    }
    return drover_job_await(job, ids, 2);
}

/* What a parent's end looks like: [state, value or error]. */
static drover_status look(drover_job *job, const drover_value *in, drover_value **out_result)
{
    drover_parent parent;
    drover_value *value = NULL;
    (void)in;
    if (!drover_job_parent(job, 0, &parent)) {
        return drover_job_fail(job, "orphan", "no parent");
    }
    drover_status status = drover_job_parent_result(job, 0, ASK_MS, &value);
    *out_result = value; /* a value in either case */
    return value != NULL ? DROVER_OK
                         : drover_job_fail(job, "parent", "%s", drover_status_name(status));
}

/* Awaits a task that is not there. */
static drover_status lonely(drover_job *job, const drover_value *in, drover_value **out_result)
{
    drover_id id = drover_job_child_id(job, 7);
    (void)in;
    (void)out_result;
    return drover_job_await(job, &id, 1);
}

/* Awaits a task that sleeps, of which it then says how it ended. */
static drover_status tend(drover_job *job, const drover_value *in, bool is_owner,
                          drover_value **out_result)
{
    drover_id id;
    int64_t ms;
    drover_parent parent;
    if (drover_value_get_int(in, &ms)) {
        return drover_job_fail(job, "bad-arg", "integer wanted");
    }
    if (drover_job_parent(job, 0, &parent)) {
        return drover_value_new_text(drover_state_name(parent.state), out_result);
    }
    drover_status status = submit_int(job, 0, "sleep", ms, &id);
    if (status) {
        return status;
    }
    return is_owner ? drover_job_await_owned(job, &id, 1) : drover_job_await(job, &id, 1);
}

static drover_status nanny(drover_job *job, const drover_value *in, drover_value **out_result)
{
    return tend(job, in, false, out_result);
}

/* The same, and it takes the other with it when it is cancelled. */
static drover_status owner(drover_job *job, const drover_value *in, drover_value **out_result)
{
    return tend(job, in, true, out_result);
}

/* The sum of what the elements of its first parent, an array, left. */
static drover_status sum_array(drover_job *job, const drover_value *in,
                               drover_value **out_result)
{
    drover_parent parent;
    drover_value *summary = NULL;
    drover_value *count = NULL;
    int64_t elements = 0, sum = 0;
    (void)in;
    drover_status status = drover_job_parent(job, 0, &parent) ? DROVER_OK : DROVER_UNKNOWN;
    if (!status) {
        status = drover_job_parent_result(job, 0, ASK_MS, &summary);
    }
    if (!status) {
        status = drover_value_map_get(summary, "succeeded", &count);
    }
    if (!status) {
        status = drover_value_get_int(count, &elements);
    }
    for (uint32_t i = 0; !status && i < elements; i++) {
        drover_value *value = NULL;
        int64_t n = 0;
        status = drover_job_fetch(job, &parent.id, i, ASK_MS, &value);
        if (!status) {
            status = drover_value_get_int(value, &n);
        }
        drover_value_destroy(&value);
        sum += n;
    }
    drover_value_destroy(&count);
    drover_value_destroy(&summary);
    return status ? drover_job_fail(job, "parent", "%s", drover_status_name(status))
                  : drover_value_new_int(sum, out_result);
}

/* Its number and what the first parent left, added. */
static drover_status add_parent(drover_job *job, const drover_value *in,
                                drover_value **out_result)
{
    int64_t n, sum = 0;
    if (drover_value_get_int(in, &n)) {
        return drover_job_fail(job, "bad-arg", "integer wanted");
    }
    drover_status status = sum_parents(job, &sum);
    return status ? status : drover_value_new_int(n + sum, out_result);
}

DROVER_MODULE("family", "1.0", {"total", total, DROVER_THREAD_SAFE},
              {"fib", fib, DROVER_THREAD_SAFE}, {"look", look, DROVER_THREAD_SAFE},
              {"lonely", lonely, DROVER_THREAD_SAFE}, {"nanny", nanny, DROVER_THREAD_SAFE},
              {"owner", owner, DROVER_THREAD_SAFE},
              {"sum_array", sum_array, DROVER_THREAD_SAFE},
              {"add_parent", add_parent, DROVER_THREAD_SAFE});
