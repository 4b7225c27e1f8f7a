/*
 * map.c: many tasks as one array, results in input order, without holding all of them.
 *
 *     map COUNT [BATCH]
 *
 * Squares 0 to COUNT-1 on the fleet; with BATCH at most so many at a time, group after group.
 * Failed elements are shown in their place.
 */
#include <drover/client.h>

#include <stdio.h>
#include <stdlib.h>

struct numbers {
    int64_t next;
    int64_t count;
};

/* The source: one item per call, DROVER_UNKNOWN when there are no more. */
static drover_status next_number(void *context, drover_value **out_item)
{
    struct numbers *numbers = context;
    if (numbers->next >= numbers->count) {
        return DROVER_UNKNOWN;
    }
    return drover_value_new_int(numbers->next++, out_item);
}

static void print_outcome(const drover_outcome *outcome)
{
    int64_t square = 0;
    if (drover_outcome_status(outcome) != DROVER_OK) {
        (void)printf("%u: failed, kind %s\n", (unsigned)drover_outcome_index(outcome),
                     drover_error_kind_name(drover_outcome_error_kind(outcome)));
    } else if (drover_value_get_int(drover_outcome_value(outcome), &square) == DROVER_OK) {
        (void)printf("%lld\n", (long long)square);
    } else {
        (void)printf("%u: no number\n", (unsigned)drover_outcome_index(outcome));
    }
}

static drover_status map_numbers(drover_client *client, struct numbers *numbers, uint32_t batch)
{
    drover_map_options options = DROVER_MAP_OPTIONS_INIT;
    drover_map *map = NULL;
    options.batch = batch;
    drover_status status = drover_map_open(client, "square", next_number, numbers, &options,
                                           &map);
    while (status == DROVER_OK) {
        drover_outcome *outcome = NULL;
        status = drover_map_next(map, DROVER_FOREVER, &outcome);
        if (status == DROVER_OK) {
            print_outcome(outcome);
            drover_outcome_destroy(&outcome);
        }
    }
    drover_map_close(&map);
    return status == DROVER_UNKNOWN ? DROVER_OK : status; /* UNKNOWN: that was the last one */
}

int main(int argc, char **argv)
{
    const char *endpoint = getenv("DROVER_BROKER");
    struct numbers numbers = {0, argc > 1 ? strtoll(argv[1], NULL, 10) : 10};
    uint32_t batch = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
    drover_client *client = NULL;
    drover_status status = drover_client_open(
        endpoint != NULL ? endpoint : "tcp://127.0.0.1:7710", NULL, &client);
    if (status == DROVER_OK) {
        status = map_numbers(client, &numbers, batch);
    }
    if (status != DROVER_OK) {
        (void)fprintf(stderr, "map: %s\n", drover_status_text(status));
    }
    drover_client_close(&client);
    return status == DROVER_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
