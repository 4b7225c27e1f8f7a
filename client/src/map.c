/*
 * map.c: life of a map and the results in input order; see map.h.
 */
#include "map.h"

#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- results ----------------------------------------------------------------------------- */

void map_break(struct drover_map *map, drover_status status, struct drv_str text)
{
    map->client->progress++;
    if (map->broken != DROVER_OK || map->is_cancelled) {
        return;
    }
    map->broken = status;
    map->input_ended = true;
    size_t len = text.len < sizeof(map->text) - 1 ? text.len : sizeof(map->text) - 1;
    if (len > 0) {
        memcpy(map->text, text.ptr, len);
    }
    map->text[len] = '\0';
}

static drover_outcome **slot_of(struct drover_map *map, uint64_t index)
{
    return &map->slots[index % map->window];
}

void map_put(struct drover_map *map, uint32_t index, drover_outcome *outcome)
{
    if (index < map->head || index >= map->next || *slot_of(map, index) != NULL) {
        return; /* told again after a reconnect */
    }
    *slot_of(map, index) = drv_outcome_ref(outcome);
    map->slot_bytes += outcome->cost;
    map->ended++;
    if (outcome->status != DROVER_OK && map->failed++ == 0) {
        map->stop_at_us = drv_now_us() + MAP_STOP_US;
    }
    map->client->progress++;
    if (map->batch > 0 && map->ended == map->group_end) {
        map->group_end += map->batch;
    }
}

void map_fill_missing(struct drover_map *map, drover_status status, const char *text)
{
    for (uint64_t i = map->head; i < map->next; i++) {
        if (*slot_of(map, i) != NULL) {
            continue;
        }
        drover_outcome *outcome = NULL;
        if (drv_outcome_new_refused(&map->id, (uint32_t)i, status, text, &outcome) !=
            DROVER_OK) {
            map_break(map, DROVER_NOMEM, (struct drv_str){NULL, 0});
            return;
        }
        map_put(map, (uint32_t)i, outcome);
        drover_outcome_destroy(&outcome);
    }
}

static void on_element(struct drv_watcher *watcher, drover_outcome *outcome)
{
    struct drover_map *map = DRV_CONTAINER_OF(watcher, struct drover_map, watcher);
    map_put(map, outcome->index, outcome);
}

/*
 * The array has ended; whatever of it did not come will not come. When that happens before all
 * was fed, and nobody asked for it, the caller must not take it for the end of the input.
 */
static void on_array_end(struct drv_watcher *watcher, drover_status status,
                         drover_outcome *outcome)
{
    struct drover_map *map = DRV_CONTAINER_OF(watcher, struct drover_map, watcher);
    bool was_fed = map->is_sealed || map->seal_asked;
    const char *text = "the array ended without this element";
    if (outcome != NULL) {
        status = outcome->status;
        text = outcome->error->text[0] != '\0' ? outcome->error->text : text;
    }
    map->array_ended = true;
    map->input_ended = true;
    map->client->progress++;
    bool plain = status == DROVER_OK || status == DROVER_FAILED;
    map_fill_missing(map, plain ? DROVER_UNKNOWN : status, text);
    if (!was_fed || outcome == NULL) {
        map_break(map, plain ? DROVER_UNKNOWN : status, drv_str_of(text));
    }
}

static void on_element_end(struct drv_watcher *watcher, drover_status status,
                           drover_outcome *outcome)
{
    struct map_element *element = DRV_CONTAINER_OF(watcher, struct map_element, watcher);
    struct drover_map *map = element->map;
    drover_outcome *made = NULL;
    if (outcome == NULL) {
        if (drv_outcome_new_refused(&map->id, element->index, status,
                                    drover_status_text(status), &made) != DROVER_OK) {
            map_break(map, DROVER_NOMEM, (struct drv_str){NULL, 0});
            return;
        }
        outcome = made;
    }
    map_put(map, element->index, outcome);
    drover_outcome_destroy(&made);
}

/* ---- life -------------------------------------------------------------------------------- */

static void map_free(struct drover_map *map)
{
    if (map->slots != NULL) {
        for (uint32_t i = 0; i < map->window; i++) {
            drover_outcome_destroy(&map->slots[i]);
        }
    }
    drv_task_spec_unref(&map->spec);
    drv_payload_fini(&map->with);
    drv_payload_fini(&map->carry);
    free(map->slots);
    free(map->elements);
    free(map);
}

static struct drover_map *map_new(drover_client *client, uint32_t window)
{
    struct drover_map *map = calloc(1, sizeof(*map));
    if (map == NULL) {
        return NULL;
    }
    map->client = client;
    map->window = window;
    map->group_end = UINT64_MAX;
    map->busy_retry_at_us = INT64_MAX;
    map->busy_since_us = INT64_MAX;
    map->wait_ms = -1;
    drv_list_init(&map->feeds);
    drv_list_init(&map->seal.link);
    drv_watcher_init(&map->watcher);
    map->slots = calloc(window, sizeof(drover_outcome *));
    if (map->slots == NULL) {
        free(map);
        return NULL;
    }
    return map;
}

static bool never(void *context)
{
    (void)context;
    return false;
}

/* ARRAY_OPEN, again while the broker is busy and there is time. The lock is held. */
static drover_status open_array(struct drover_map *map, const drover_submit_options *options)
{
    int64_t deadline_us = drv_deadline_us(options->ack_timeout_ms);
    int64_t busy_until_us = drv_deadline_us(options->wait_ms);
    struct drv_ask ask;
    drover_status status;
    for (;;) {
        drv_ask_init(&ask, map->client, DRV_ARRAY_OPEN);
        ask.pending.message.array_open = (struct drv_array_open){
            .id = map->id, .spec = map->spec->spec, .with = drv_payload_val(&map->with)};
        status = drv_ask_run(&ask, deadline_us);
        if (status == DROVER_ATTACHED && ask.has_id) {
            map->id = ask.id;
        }
        int64_t again_us = drv_now_us() + (int64_t)(ask.retry_after_ms % 10000 + 20) * 1000;
        drv_ask_fini(&ask);
        if (status != DROVER_BUSY || again_us >= busy_until_us || again_us >= deadline_us) {
            break;
        }
        status = drv_client_wait(map->client, never, NULL, again_us);
        if (status != DROVER_TIMEOUT) {
            break;
        }
    }
    if (status == DROVER_OK) {
        uint32_t level = ask.number > 0 && ask.number <= DROVER_DURABILITY_SYNCED
                             ? (uint32_t)ask.number
                             : 0;
        drv_session_watch_taken(map->client->session, &map->watcher, level);
    } else {
        drv_session_watch_refused(map->client->session, &map->watcher);
        if (status == DROVER_TIMEOUT) {
            drv_ask_cancel_unattended(map->client, &map->id, DROVER_INDEX_NONE, NULL);
        }
    }
    return status;
}

/* How many elements there are, and whether that is final. The lock is held. */
static drover_status recount(struct drover_map *map, int64_t deadline_us)
{
    struct drv_ask ask;
    drover_value *count = NULL;
    drover_value *sealed = NULL;
    drv_ask_init(&ask, map->client, DRV_QUERY);
    ask.pending.message.query = (struct drv_query){
        .topic = DRV_TOPIC_TASK, .has_id = true, .id = map->id, .index = DROVER_INDEX_NONE};
    drover_status status = drv_ask_run(&ask, deadline_us);
    if (status == DROVER_OK &&
        (drover_value_map_get(ask.value, "count", &count) != DROVER_OK ||
         drover_value_get_uint(count, &map->count) != DROVER_OK ||
         drover_value_map_get(ask.value, "sealed", &sealed) != DROVER_OK ||
         drover_value_get_bool(sealed, &map->is_sealed) != DROVER_OK)) {
        status = drv_client_say(map->client, DROVER_UNKNOWN, "this is no array");
    }
    map->count = map->count < DRV_ARRAY_MAX ? map->count : DRV_ARRAY_MAX;
    map->input_ended = map->is_sealed;
    map->recount_at_us = drv_now_us() + MAP_RECOUNT_US;
    drover_value_destroy(&count);
    drover_value_destroy(&sealed);
    drv_ask_fini(&ask);
    return status;
}

/* Elements of an array of others are watched one by one. OK or NOMEM. */
static drover_status watch_elements(struct drover_map *map)
{
    map->elements = calloc(map->window, sizeof(*map->elements));
    if (map->elements == NULL) {
        return DROVER_NOMEM;
    }
    for (uint32_t i = 0; i < map->window; i++) {
        drv_watcher_init(&map->elements[i].watcher);
        map->elements[i].watcher.wants_value = true;
        map->elements[i].watcher.on_end = on_element_end;
        map->elements[i].map = map;
    }
    return DROVER_OK;
}

/* Another array has the key: it is read, and no item is asked for. The lock is held. */
static drover_status become_attached(struct drover_map *map,
                                     const drover_submit_options *submit)
{
    map->source = NULL;
    map->stops = false;
    map->is_attached = true;
    drover_status status = watch_elements(map);
    return status == DROVER_OK ? recount(map, drv_deadline_us(submit->ack_timeout_ms)) : status;
}

/* The lock is held. */
static drover_status start(struct drover_map *map, const char *type,
                           const drover_submit_options *submit, bool keep)
{
    drover_client *client = map->client;
    bool release = !keep && submit->keep_ms < 0 && submit->key == NULL;
    uint32_t flags = DRV_SPEC_WATCH | (release ? DRV_SPEC_RELEASE : 0U);
    drover_status status = drv_task_spec_ensure(NULL, type, submit, flags, &map->spec);
    if (status != DROVER_OK) {
        return drv_client_say(client, status, "the type's name is no name");
    }
    map->wait_ms = submit->wait_ms;
    map->watcher.wants_value = true;
    map->watcher.on_element = on_element;
    map->watcher.on_end = on_array_end;
    status = drv_session_watch_new(client->session, &map->watcher, &map->id, release);
    if (status != DROVER_OK) {
        return status;
    }
    status = open_array(map, submit);
    return status == DROVER_ATTACHED ? become_attached(map, submit) : status;
}

static drover_status resolve(const drover_map_options *options, drover_map_options *out_options)
{
    static const drover_map_options DEFAULTS = DROVER_MAP_OPTIONS_INIT;
    *out_options = DEFAULTS;
    if (options == NULL) {
        return DROVER_OK;
    }
    if (options->size < sizeof(*options) || options->window > MAP_WINDOW_MAX) {
        return DROVER_INVALID;
    }
    *out_options = *options;
    return DROVER_OK;
}

static uint32_t window_of(const drover_map_options *options)
{
    uint32_t window = options->window != 0 ? options->window : MAP_WINDOW;
    if (options->batch > window) {
        window = options->batch < MAP_WINDOW_MAX ? options->batch : MAP_WINDOW_MAX;
    }
    return window;
}

drover_status drover_map_open(drover_client *client, const char *type,
                              drover_map_source_fn source, void *context,
                              const drover_map_options *options, drover_map **out_map)
{
    drover_map_options resolved;
    struct drv_draft draft;
    if (source == NULL || resolve(options, &resolved) != DROVER_OK) {
        return DROVER_INVALID;
    }
    drover_status status = drv_draft_init(client, &draft, resolved.with, resolved.submit);
    if (status != DROVER_OK) {
        return status;
    }
    struct drover_map *map = map_new(client, window_of(&resolved));
    if (map == NULL) {
        drv_draft_fini(&draft);
        return DROVER_NOMEM;
    }
    map->id = draft.id;
    drv_payload_move(&map->with, &draft.payload);
    map->source = source;
    map->context = context;
    map->batch = resolved.batch;
    map->stops = resolved.stop_on_error;
    map->group_end = resolved.batch > 0 ? resolved.batch : UINT64_MAX;
    status = drv_client_enter(client);
    if (status == DROVER_OK) {
        status = start(map, type, &draft.options, resolved.keep);
        if (status != DROVER_OK) {
            map_free(map);
        } else {
            *out_map = map;
        }
        return drv_client_leave(client, status);
    }
    map_free(map);
    return status;
}

void drover_map_close(drover_map **map)
{
    if (map == NULL || *map == NULL) {
        return;
    }
    struct drover_map *m = *map;
    *map = NULL;
    if (drv_client_is_foreign(m->client)) {
        return;
    }
    drover_client *client = m->client;
    drv_client_enter_always(client);
    map_feeds_drop(m);
    drv_session_withdraw(client->session, &m->seal);
    drv_session_unwatch(client->session, &m->watcher);
    for (uint32_t i = 0; m->elements != NULL && i < m->window; i++) {
        drv_session_unwatch(client->session, &m->elements[i].watcher);
    }
    if (m->source != NULL && !m->is_sealed && !m->array_ended && !m->is_cancelled &&
        !client->closing) {
        drv_ask_cancel_unattended(client, &m->id, DROVER_INDEX_NONE, NULL);
        drv_client_nudge(client);
    }
    map_free(m);
    drv_client_end_call(client, DROVER_OK);
}

/* ---- attached maps ----------------------------------------------------------------------- */

/* Watches the elements that came into the window, many at a time. */
static drover_status watch_more(struct drover_map *map)
{
    if (map->head + map->window - map->next < map->window / 4) {
        return DROVER_OK;
    }
    while (map->next < map->count && map->next < map->head + map->window &&
           map->slot_bytes < MAP_RESULT_BYTES_MAX) {
        struct map_element *element = &map->elements[map->next % map->window];
        element->index = (uint32_t)map->next;
        drover_status status = drv_session_watch(map->client->session, &element->watcher,
                                                 &map->id, element->index, false);
        if (status != DROVER_OK) {
            return status;
        }
        map->next++;
    }
    return DROVER_OK;
}

drover_status drover_map_attach(drover_client *client, const drover_id *id, int64_t timeout_ms,
                                drover_map **out_map)
{
    struct drover_map *map = map_new(client, MAP_ATTACHED_WINDOW);
    if (map == NULL) {
        return DROVER_NOMEM;
    }
    map->id = *id;
    if (watch_elements(map) != DROVER_OK) {
        map_free(map);
        return DROVER_NOMEM;
    }
    drover_status status = drv_client_enter(client);
    if (status != DROVER_OK) {
        map_free(map);
        return status;
    }
    status = recount(map, drv_answer_deadline_us(timeout_ms));
    if (status != DROVER_OK) {
        map_free(map);
    } else {
        *out_map = map;
    }
    return drv_client_leave(client, status);
}

/* ---- the next result --------------------------------------------------------------------- */

static bool is_over(const struct drover_map *map)
{
    bool settled = map->source == NULL ? map->next == map->count
                                       : map->is_sealed || map->array_ended;
    return map->input_ended && map->head == map->next && settled;
}

static bool is_to_stop(const struct drover_map *map)
{
    return map->stops && map->failed > 0 && !map->is_cancelled && !map->array_ended;
}

/* What has failed has its turn, or that is not near. */
static bool must_stop(struct drover_map *map)
{
    if (!is_to_stop(map)) {
        return false;
    }
    const drover_outcome *first = *slot_of(map, map->head);
    return (first != NULL && first->status != DROVER_OK) || drv_now_us() >= map->stop_at_us;
}

/* Whether drover_map_next has something to do. */
static bool can_go_on(void *context)
{
    struct drover_map *map = context;
    return must_stop(map) || *slot_of(map, map->head) != NULL || map->broken != DROVER_OK ||
           is_over(map) || map_may_pull(map, drv_now_us()) ||
           (map->input_ended && map->source != NULL && !map->seal_asked && !map->is_cancelled &&
            map->feed_count == 0 && map->busy_retry_at_us == INT64_MAX);
}

static int64_t wake_at(const struct drover_map *map, int64_t deadline_us)
{
    int64_t at_us = map->busy_retry_at_us < deadline_us ? map->busy_retry_at_us : deadline_us;
    if (map->source != NULL && !map->input_ended && map->source_retry_at_us > drv_now_us() &&
        map->source_retry_at_us < at_us) {
        at_us = map->source_retry_at_us;
    }
    if (is_to_stop(map) && map->stop_at_us < at_us) {
        at_us = map->stop_at_us;
    }
    if (map->source == NULL && !map->is_sealed && map->recount_at_us < at_us) {
        at_us = map->recount_at_us;
    }
    return at_us;
}

/* Everything that can be done without waiting for the broker. */
static drover_status work(struct drover_map *map, int64_t deadline_us)
{
    int64_t now_us = drv_now_us();
    if (map->source == NULL) {
        drover_status status = DROVER_OK;
        if (!map->is_sealed && map->next == map->count && now_us >= map->recount_at_us) {
            status = recount(map, deadline_us);
        }
        return status == DROVER_OK ? watch_more(map) : status;
    }
    map_push(map, now_us);
    if (map_may_pull(map, now_us)) {
        map_pull(map);
        map_push(map, now_us);
    }
    return DROVER_OK;
}

static drover_status fail(struct drover_map *map)
{
    if (map->text[0] != '\0') {
        return drv_client_say(map->client, map->broken, "%s: %s",
                              drover_status_text(map->broken), map->text);
    }
    return map->broken;
}

static void deliver(struct drover_map *map, drover_outcome **out_outcome)
{
    drover_outcome **slot = slot_of(map, map->head);
    *out_outcome = *slot;
    map->slot_bytes -= (*slot)->cost;
    *slot = NULL;
    map->head++;
}

/* The lock is held. */
static drover_status next(struct drover_map *map, int64_t deadline_us,
                          drover_outcome **out_outcome)
{
    for (;;) {
        if (must_stop(map)) {
            map_cancel(map, "an element did not succeed");
        }
        if (*slot_of(map, map->head) != NULL) {
            deliver(map, out_outcome);
            return DROVER_OK;
        }
        if (map->broken != DROVER_OK) {
            return fail(map);
        }
        if (is_over(map)) {
            return drv_client_say(map->client, DROVER_UNKNOWN, "that was the last element");
        }
        drover_status status = work(map, deadline_us);
        if (status == DROVER_OK && !can_go_on(map)) {
            status = drv_client_wait(map->client, can_go_on, map, wake_at(map, deadline_us));
        }
        if (status == DROVER_TIMEOUT && drv_now_us() < deadline_us) {
            continue; /* a retry is due */
        }
        if (status != DROVER_OK) {
            return status;
        }
    }
}

drover_status drover_map_next(drover_map *map, int64_t timeout_ms, drover_outcome **out_outcome)
{
    drover_status status = drv_client_enter(map->client);
    if (status != DROVER_OK) {
        return status;
    }
    status = next(map, drv_deadline_us(timeout_ms), out_outcome);
    return drv_client_leave(map->client, status);
}

drover_id drover_map_id(const drover_map *map)
{
    return map->id;
}

bool drover_map_is_attached(const drover_map *map)
{
    return map->is_attached;
}

void drover_map_get_progress(const drover_map *map, drover_map_progress *out_progress)
{
    *out_progress = (drover_map_progress){0, 0, 0, 0, 0};
    if (drv_client_is_foreign(map->client)) {
        return;
    }
    (void)pthread_mutex_lock(&map->client->lock);
    out_progress->submitted = map->source != NULL ? map->taken : map->count;
    out_progress->ended = map->ended;
    out_progress->failed = map->failed;
    out_progress->delivered = map->head;
    if (map->input_ended) {
        out_progress->total = map->source != NULL ? map->next : map->count;
    }
    (void)pthread_mutex_unlock(&map->client->lock);
}

void map_cancel(struct drover_map *map, const char *reason)
{
    if (!map->array_ended) {
        map->input_ended = map->input_ended || map->source != NULL;
        map->is_cancelled = true;
        drv_ask_cancel_unattended(map->client, &map->id, DROVER_INDEX_NONE, reason);
        drv_client_nudge(map->client);
    }
}

drover_status drover_map_cancel(drover_map *map)
{
    drover_status status = drv_client_enter(map->client);
    if (status != DROVER_OK) {
        return status;
    }
    map_cancel(map, NULL);
    return drv_client_leave(map->client, status);
}
