/* local_map.c: a loop over all processors: the lengths of the Collatz sequences of 1 to N.
 *
 *     local_map [N]
 */
#include <drover/client.h>
#include <drover/worker.h>

#include <stdio.h>
#include <stdlib.h>

static drover_status collatz(drover_job *job, const drover_value *in, drover_value **out_result)
{
    int64_t n = 0;
    int64_t steps = 0;
    if (drover_value_get_int(in, &n) || n < 1) {
        return drover_job_fail(job, "bad-arg", "a number from 1 wanted");
    }
    for (; n != 1; steps++) {
        n = n % 2 == 0 ? n / 2 : 3 * n + 1;
    }
    return drover_value_new_int(steps, out_result);
}
DROVER_MODULE("collatz", "1.0", {"collatz", collatz, DROVER_THREAD_SAFE});

struct range {
    int64_t next, last;
};

static drover_status next_number(void *context, drover_value **out_item)
{
    struct range *range = context;
    return range->next > range->last ? DROVER_UNKNOWN
                                     : drover_value_new_int(range->next++, out_item);
}

int main(int argc, char **argv)
{
    drover_worker_main(&argc, argv, &drover_module_entry);
    struct range range = {1, argc > 1 ? strtoll(argv[1], NULL, 10) : 10};
    drover_client *client = NULL;
    drover_map *map = NULL;
    drover_outcome *outcome = NULL;
    if (drover_client_open("local://", NULL, &client) || /* as many as there are processors */
        drover_map_open(client, "collatz", next_number, &range, NULL, &map)) {
        return 1;
    }
    while (drover_map_next(map, DROVER_FOREVER, &outcome) == DROVER_OK) {
        int64_t steps = 0;
        if (drover_value_get_int(drover_outcome_value(outcome), &steps) == DROVER_OK) {
            (void)printf("%lld\n", (long long)steps);
        }
        drover_outcome_destroy(&outcome);
    }
    drover_map_close(&map);
    drover_client_close(&client);
    return 0;
}
