/* own_handlers.c: the program's own functions, run in other processes of the same program. */
#include <drover/client.h>
#include <drover/worker.h>

#include <stdio.h>

static drover_status cube(drover_job *job, const drover_value *in, drover_value **out_result)
{
    int64_t n = 0;
    if (drover_value_get_int(in, &n)) {
        return drover_job_fail(job, "bad-arg", "integer wanted");
    }
    return drover_value_new_int(n * n * n, out_result);
}
DROVER_MODULE("own", "1.0", {"cube", cube, DROVER_THREAD_SAFE});

int main(int argc, char **argv)
{
    drover_worker_main(&argc, argv, &drover_module_entry); /* first of all */
    int64_t number = 0;
    drover_client *client = NULL;
    drover_value *in = NULL;
    drover_value *out = NULL;
    if (drover_client_open("local://4", NULL, &client) || drover_value_new_int(3, &in) ||
        drover_call(client, "cube", in, 5000, &out) || drover_value_get_int(out, &number)) {
        return 1;
    }
    (void)printf("%lld\n", (long long)number);
    drover_value_destroy(&in);
    drover_value_destroy(&out);
    drover_client_close(&client);
    return 0;
}
