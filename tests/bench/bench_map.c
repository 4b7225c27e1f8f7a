/*
 * bench_map.c: what a map over many small elements costs, from end to end.
 *
 *     bench_map ENDPOINT TYPE COUNT
 *
 * ENDPOINT is mostly local://2?load=demo.so, TYPE mostly square. Feeds the numbers from 0 on,
 * looks at every result, and prints one JSON document. Blocks until all have come.
 */
#include <drover/client.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

struct feed {
    int64_t next, count;
};

static void die(const char *what, drover_status status)
{
    (void)fprintf(stderr, "bench_map: %s: %s\n", what, drover_status_text(status));
    exit(EXIT_FAILURE);
}

static double now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double cpu_s(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

static drover_status next_number(void *context, drover_value **out_item)
{
    struct feed *feed = context;
    return feed->next == feed->count ? DROVER_UNKNOWN
                                     : drover_value_new_int(feed->next++, out_item);
}

/* How many results came, each of which has to be the square of its place. */
static int64_t take_all(drover_map *map, int64_t count)
{
    drover_outcome *outcome = NULL;
    int64_t at = 0;
    drover_status status;
    while ((status = drover_map_next(map, DROVER_FOREVER, &outcome)) == DROVER_OK) {
        int64_t number = -1;
        status = drover_value_get_int(drover_outcome_value(outcome), &number);
        drover_outcome_destroy(&outcome);
        if (status != DROVER_OK || number != at * at) {
            (void)fprintf(stderr, "bench_map: wrong result of element %" PRId64 "\n", at);
            exit(EXIT_FAILURE);
        }
        at++;
    }
    if (at != count) {
        die("map", status);
    }
    return at;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        (void)fprintf(stderr, "usage: bench_map ENDPOINT TYPE COUNT\n");
        return 64;
    }
    struct feed feed = {0, strtoll(argv[3], NULL, 10)};
    drover_client *client = NULL;
    drover_map *map = NULL;
    drover_status status = drover_client_open(argv[1], NULL, &client);
    if (status != DROVER_OK) {
        die(argv[1], status);
    }
    double began_s = now_s(), cpu_began_s = cpu_s();
    status = drover_map_open(client, argv[2], next_number, &feed, NULL, &map);
    if (status != DROVER_OK) {
        die(argv[2], status);
    }
    int64_t count = take_all(map, feed.count);
    double seconds = now_s() - began_s, cpu = cpu_s() - cpu_began_s;
    (void)printf("{\"elements\": %" PRId64 ", \"seconds\": %.4f, \"elements_per_s\": %.0f, "
                 "\"client_cpu_us_per_element\": %.3f}\n",
                 count, seconds, (double)count / seconds, cpu * 1e6 / (double)count);
    drover_map_close(&map);
    drover_client_close(&client);
    return EXIT_SUCCESS;
}
