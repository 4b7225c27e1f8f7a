/*
 * map.h: one array of tasks, fed from a source, its results in the order of the input.
 *
 * Part of client.h, which includes it; threads, time, ownership and status are as told there.
 */
#ifndef DROVER_MAP_H
#define DROVER_MAP_H

#include <drover/client.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One array being fed and read. Nothing of it happens but inside the calls below. */
typedef struct drover_map drover_map;

/*
 * Gives the next item, in order, as a new value that the library takes (NULL: nil). Runs in the
 * thread that calls drover_map_next. Returns DROVER_OK; DROVER_UNKNOWN when there are no more;
 * DROVER_NOT_READY when none can be had without waiting: drover_map_next then hands out
 * results, and asks again within 20 ms; anything else ends the input, cancels the array and
 * comes out of drover_map_next.
 */
typedef drover_status (*drover_map_source_fn)(void *context, drover_value **out_item);

/* Start with DROVER_MAP_OPTIONS_INIT. */
typedef struct drover_map_options {
    size_t size;                         /* sizeof(drover_map_options) */
    const drover_submit_options *submit; /* NULL: defaults; for every element */
    const drover_value *with;            /* NULL: none; sent once, shared by all elements */
    uint32_t batch;  /* 0: none; at most so many elements outstanding, group after group: the
                        next group starts when the last of this one has ended */
    uint32_t window; /* 0: 16,384; elements sent and not handed out yet: the bound of memory */
    bool keep;       /* false: the broker forgets each result that came, and the array once all
                        was read; one that has failed stays as long as failed tasks do, for
                        drover_retry, without the results that came */
    bool stop_on_error; /* true: when an element did not succeed, wherever it stands, the input
                           ends and the array is cancelled, as by drover_map_cancel: at its
                           turn, or 200 ms later if that has not come; not one attached to */
} drover_map_options;

#define DROVER_MAP_OPTIONS_INIT                                     \
    {                                                               \
        sizeof(drover_map_options), NULL, NULL, 0, 0, false, false, \
    }

/*
 * Opens an array of tasks of one type whose items come from source. With a key that another
 * array has, that one is read instead, as by drover_map_attach: source is never asked
 * (drover_map_is_attached tells; DROVER_UNKNOWN when it is no array). Blocks for at most the
 * submit options' ack_timeout_ms. Returns as drover_submit.
 */
DROVER_API DROVER_MUST_USE drover_status
drover_map_open(drover_client *client, const char *type, drover_map_source_fn source,
                void *context, const drover_map_options *options, drover_map **out_map);

/*
 * Reads the elements of an array that exists, in order, whoever submitted it. Blocks for the
 * broker's answer for at most timeout_ms. Returns DROVER_OK; DROVER_UNKNOWN (no such array).
 */
DROVER_API DROVER_MUST_USE drover_status drover_map_attach(drover_client *client,
                                                           const drover_id *id,
                                                           int64_t timeout_ms,
                                                           drover_map **out_map);

/*
 * The outcome of the next element, in input order; feeds items meanwhile. Failed elements are
 * outcomes like others. Memory stays within `window` items and results.
 * Returns DROVER_OK; DROVER_TIMEOUT (call again); DROVER_UNKNOWN after the last one; what
 * source returned; or why the array broke: as drover_submit.
 */
DROVER_API DROVER_MUST_USE drover_status drover_map_next(drover_map *map, int64_t timeout_ms,
                                                         drover_outcome **out_outcome);

/* The array's id, to be looked up or cancelled from elsewhere. */
DROVER_API drover_id drover_map_id(const drover_map *map);

/* Whether drover_map_open found another array with the key. */
DROVER_API bool drover_map_is_attached(const drover_map *map);

typedef struct drover_map_progress {
    uint64_t submitted; /* items taken by the broker */
    uint64_t ended;     /* elements whose outcome came */
    uint64_t failed;    /* of these, those that did not succeed */
    uint64_t delivered; /* handed out by drover_map_next */
    uint64_t total;     /* elements in all; 0 while the source has more */
} drover_map_progress;

/* How far it is, as of the last drover_map_next. Never blocks; any thread. */
DROVER_API void drover_map_get_progress(const drover_map *map,
                                        drover_map_progress *out_progress);

/*
 * Stops the input and asks for the array to be cancelled; does not wait. drover_map_next goes
 * on handing out what was submitted, most of it cancelled.
 */
DROVER_API DROVER_MUST_USE drover_status drover_map_cancel(drover_map *map);

/*
 * Releases *map. An array whose input had not ended is cancelled; one that was complete, or was
 * attached to, goes on.
 */
DROVER_API void drover_map_close(drover_map **map);

/*
 * A whole map in one call: count items (NULL: nil), count outcomes in input order, each to be
 * destroyed by the caller. options may be NULL. On failure the array is cancelled and there are
 * no outcomes. With a key that another array has: its outcomes, or DROVER_CONFLICT when it has
 * another number of elements; it is not cancelled. With stop_on_error the items after those
 * that were submitted come out as CANCELLED, too. Returns DROVER_OK when all ended, in whatever
 * states; else as drover_map_next.
 */
DROVER_API DROVER_MUST_USE drover_status drover_map_all(
    drover_client *client, const char *type, const drover_value *const *items, size_t count,
    const drover_map_options *options, int64_t timeout_ms, drover_outcome **out_outcomes);

/*
 * drover_map_all with at most `batch` elements outstanding, group after group.
 */
DROVER_API DROVER_MUST_USE drover_status drover_batch(drover_client *client, const char *type,
                                                      const drover_value *const *items,
                                                      size_t count, uint32_t batch,
                                                      int64_t timeout_ms,
                                                      drover_outcome **out_outcomes);

/*
 * The items of an array value through the handler, the results as an array value. Returns
 * DROVER_OK when all succeeded; DROVER_FAILED, DROVER_CANCELLED, DROVER_EXPIRED, DROVER_LOST as
 * the first other element ended; else as drover_map_next.
 */
DROVER_API DROVER_MUST_USE drover_status drover_map_values(drover_client *client,
                                                           const char *type,
                                                           const drover_value *items,
                                                           int64_t timeout_ms,
                                                           drover_value **out_results);

#ifdef __cplusplus
}
#endif

#endif
