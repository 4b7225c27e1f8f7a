/*
 * map_calls.c: whole maps in one call.
 */
#include "map.h"

#include <stdlib.h>

struct list_source {
    const drover_value *const *items;
    size_t count;
    size_t at;
};

static drover_status next_of_list(void *context, drover_value **out_item)
{
    struct list_source *source = context;
    if (source->at == source->count) {
        return DROVER_UNKNOWN;
    }
    const drover_value *item = source->items[source->at++];
    return item != NULL ? drover_value_copy(item, out_item) : DROVER_OK;
}

static drover_status next_of_value(void *context, drover_value **out_item)
{
    drover_value_iter *iter = context;
    return drover_value_iter_next(iter, NULL, out_item);
}

static int64_t ms_left(int64_t deadline_us)
{
    if (deadline_us == INT64_MAX) {
        return DROVER_FOREVER;
    }
    int64_t left_us = deadline_us - drv_now_us();
    return left_us > 0 ? (left_us + 999) / 1000 : 0;
}

/* An array that nobody wants any more: what runs of it is stopped, too. */
static void give_up(drover_map **map)
{
    drover_client *client = (*map)->client;
    if (!(*map)->is_attached) {
        drv_client_enter_always(client);
        map_cancel(*map, NULL);
        drv_client_end_call(client, DROVER_OK);
    }
    drover_map_close(map);
}

/* Of what was not submitted because something before had failed. UNKNOWN: that was the last. */
static drover_status fill_rest(const drover_map *map, size_t count, drover_outcome **outcomes,
                               size_t *out_read)
{
    while (*out_read < count) {
        drover_status status = drv_outcome_new_refused(
            &map->id, (uint32_t)*out_read, DROVER_CANCELLED,
            "it was not submitted: another element did not succeed", &outcomes[*out_read]);
        if (status != DROVER_OK) {
            return status;
        }
        (*out_read)++;
    }
    return DROVER_UNKNOWN;
}

/* Reads up to count outcomes, and the end when `whole`. */
static drover_status read_all(drover_map *map, size_t count, int64_t deadline_us,
                              drover_outcome **outcomes, size_t *out_read)
{
    drover_status status = DROVER_OK;
    while (status == DROVER_OK) {
        drover_outcome *outcome = NULL;
        status = drover_map_next(map, ms_left(deadline_us), &outcome);
        if (status != DROVER_OK) {
            break;
        }
        if (*out_read == count) { /* of an array that had the key: the source had no more */
            drover_outcome_destroy(&outcome);
            return map->is_attached ? DROVER_CONFLICT : DROVER_INTERNAL;
        }
        outcomes[(*out_read)++] = outcome;
    }
    if (status == DROVER_UNKNOWN && map->is_attached && *out_read < count) {
        return DROVER_CONFLICT;
    }
    if (status == DROVER_UNKNOWN && map->stops && map->failed > 0) {
        status = fill_rest(map, count, outcomes, out_read);
    }
    return status == DROVER_UNKNOWN && *out_read == count ? DROVER_OK : status;
}

drover_status drover_map_all(drover_client *client, const char *type,
                             const drover_value *const *items, size_t count,
                             const drover_map_options *options, int64_t timeout_ms,
                             drover_outcome **out_outcomes)
{
    struct list_source source = {items, count, 0};
    drover_map *map = NULL;
    size_t got = 0;
    int64_t deadline_us = drv_deadline_us(timeout_ms);
    drover_status status = drover_map_open(client, type, next_of_list, &source, options, &map);
    if (status != DROVER_OK) {
        return status;
    }
    drover_outcome **outcomes = calloc(count + 1, sizeof(drover_outcome *));
    status = outcomes != NULL ? read_all(map, count, deadline_us, outcomes, &got)
                              : DROVER_NOMEM;
    if (status == DROVER_OK) {
        drover_map_close(&map);
    } else {
        give_up(&map);
    }
    for (size_t i = 0; i < got; i++) {
        if (status == DROVER_OK) {
            out_outcomes[i] = outcomes[i];
        } else {
            drover_outcome_destroy(&outcomes[i]);
        }
    }
    free(outcomes);
    return status;
}

drover_status drover_batch(drover_client *client, const char *type,
                           const drover_value *const *items, size_t count, uint32_t batch,
                           int64_t timeout_ms, drover_outcome **out_outcomes)
{
    drover_map_options options = DROVER_MAP_OPTIONS_INIT;
    options.batch = batch;
    if (batch == 0) {
        return DROVER_INVALID;
    }
    return drover_map_all(client, type, items, count, &options, timeout_ms, out_outcomes);
}

/* The results of a map as an array; the first other end is told. */
static drover_status collect(drover_client *client, drover_map *map, int64_t deadline_us,
                             drover_value *results)
{
    for (;;) {
        drover_outcome *outcome = NULL;
        drover_value *copy = NULL;
        drover_status status = drover_map_next(map, ms_left(deadline_us), &outcome);
        if (status != DROVER_OK) {
            return status == DROVER_UNKNOWN ? DROVER_OK : status;
        }
        if (outcome->status != DROVER_OK) {
            drv_client_enter_always(client);
            status = drv_client_leave(client, drv_outcome_explain(client, outcome));
        } else {
            status = drover_value_copy(outcome->value, &copy);
        }
        if (status == DROVER_OK) {
            status = drover_value_array_append(results, &copy);
        }
        drover_outcome_destroy(&outcome);
        if (status != DROVER_OK) {
            return status;
        }
    }
}

drover_status drover_map_values(drover_client *client, const char *type,
                                const drover_value *items, int64_t timeout_ms,
                                drover_value **out_results)
{
    drover_value_iter iter;
    drover_map *map = NULL;
    drover_value *results = NULL;
    int64_t deadline_us = drv_deadline_us(timeout_ms);
    if (items == NULL || drover_value_get_type(items) != DROVER_VALUE_ARRAY) {
        return DROVER_INVALID;
    }
    drover_value_iter_init(&iter, items);
    drover_status status = drover_map_open(client, type, next_of_value, &iter, NULL, &map);
    if (status != DROVER_OK) {
        return status;
    }
    status = drover_value_array_new(&results);
    if (status == DROVER_OK) {
        status = collect(client, map, deadline_us, results);
    }
    if (status == DROVER_OK) {
        drover_map_close(&map);
        *out_results = results;
        return DROVER_OK;
    }
    give_up(&map);
    drover_value_destroy(&results);
    return status;
}
