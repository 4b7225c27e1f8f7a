/* host_stats.c: the numbers of a host out of a document, typed. */
#include "check.h"

#include <drover/operate.h>

static double get_double(const drover_value *map, const char *key)
{
    drover_value *item = NULL;
    double number = 0;
    if (drover_value_map_get(map, key, &item) == DROVER_OK &&
        drover_value_get_double(item, &number) != DROVER_OK) {
        number = 0;
    }
    drover_value_destroy(&item);
    return number;
}

static uint64_t get_uint(const drover_value *map, const char *key)
{
    drover_value *item = NULL;
    uint64_t number = 0;
    if (drover_value_map_get(map, key, &item) == DROVER_OK &&
        drover_value_get_uint(item, &number) != DROVER_OK) {
        number = 0;
    }
    drover_value_destroy(&item);
    return number;
}

static void read_all(const drover_value *map, drover_host_stats *stats)
{
    const struct {
        const char *key;
        double *number;
    } reals[] = {{"cpu_percent", &stats->cpu_percent},
                 {"memory_percent", &stats->memory_percent},
                 {"disk_percent", &stats->disk_percent},
                 {"load1", &stats->load1}};
    const struct {
        const char *key;
        uint64_t *number;
    } counts[] = {
        {"process_count", &stats->process_count}, {"cpu_count", &stats->cpu_count},
        {"memory_total", &stats->memory_total},   {"memory_used", &stats->memory_used},
        {"bytes_sent", &stats->bytes_sent},       {"bytes_recv", &stats->bytes_recv},
        {"packets_sent", &stats->packets_sent},   {"packets_recv", &stats->packets_recv},
        {"uptime_ms", &stats->uptime_ms}};
    for (size_t i = 0; i < DRV_ARRAY_LEN(reals); i++) {
        *reals[i].number = get_double(map, reals[i].key);
    }
    for (size_t i = 0; i < DRV_ARRAY_LEN(counts); i++) {
        *counts[i].number = get_uint(map, counts[i].key);
    }
}

drover_status drover_host_stats_read(const drover_value *worker, drover_host_stats *out_stats)
{
    drover_value *map = NULL;
    if (worker == NULL || out_stats == NULL || out_stats->size < sizeof(*out_stats) ||
        drover_value_get_type(worker) != DROVER_VALUE_MAP) {
        return DROVER_INVALID;
    }
    if (drover_value_map_get(worker, "stats", &map) != DROVER_OK) {
        return DROVER_UNKNOWN;
    }
    drover_status status = drover_value_get_type(map) == DROVER_VALUE_MAP ? DROVER_OK
                                                                          : DROVER_UNKNOWN;
    if (status == DROVER_OK) {
        read_all(map, out_stats);
    }
    drover_value_destroy(&map);
    return status;
}
