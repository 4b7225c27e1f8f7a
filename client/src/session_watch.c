/*
 * Watches of a session: which tasks are awaited, by whom, and what the broker knows of it.
 *
 *   watch_new (with a submit) ──taken──┐
 *                                      v            RESULTS
 *   watch ──> dirty ──flush: WATCH──> asked ───────────────────> watchers told, gone
 *               ^                      │   └── note: unknown ──> watchers told, gone
 *               └── fresh session ─────┘   └── no watcher left ─> gone, UNWATCH
 */
#include "session_state.h"

#include "check.h"
#include "lengths.h"

#include <stdlib.h>
#include <string.h>

#define AHEAD 8 /* results whose watches are fetched before they are looked at */

struct watch_ask { /* one WATCH or UNWATCH message */
    struct drv_pending pending;
    struct drv_session *session;
    struct drv_target targets[];
};

void drv_watcher_init(struct drv_watcher *watcher)
{
    memset(watcher, 0, sizeof(*watcher));
    drv_list_init(&watcher->link);
}

__extension__ typedef unsigned __int128 product;

/* Both halves of the product of two numbers, folded: wyhash,
 * https://github.com/wangyi-fudan/wyhash */
static uint64_t fold(uint64_t a, uint64_t b)
{
    product whole = (product)a * b;
    return (uint64_t)whole ^ (uint64_t)(whole >> 64);
}

/* Keyed by the session's random seed, since others may have chosen the ids. */
static uint64_t hash_of(const struct drv_session *session, const drover_id *id, uint32_t index)
{
    uint64_t half[2];
    memcpy(half, id->bytes, sizeof(half));
    uint64_t seed = session->config.seed;
    uint64_t mixed = fold(half[0] ^ seed, half[1] ^ UINT64_C(0xa0761d6478bd642f));
    return fold(mixed ^ seed ^ index, UINT64_C(0xe7037ed1a0b428db));
}

static struct drv_watch *find(const struct drv_session *session, const drover_id *id,
                              uint32_t index)
{
    struct drv_watch_key key = {.id = *id, .index = index};
    return drv_table_find(&session->watches, hash_of(session, id, index), &key);
}

/* ---- memory ------------------------------------------------------------------------------ */

/* A fresh one; there was one of before mostly. NULL: out of memory. */
static struct drv_watch *watch_new(struct drv_session *session)
{
    struct drv_list *link = drv_list_pop_front(&session->spare_watches);
    if (link == NULL) {
        return calloc(1, sizeof(struct drv_watch));
    }
    session->spare_watch_count--;
    struct drv_watch *watch = DRV_LIST_ITEM(link, struct drv_watch, dirty);
    memset(watch, 0, sizeof(*watch));
    return watch;
}

static void watch_free(struct drv_session *session, struct drv_watch *watch)
{
    if (session->spare_watch_count == SESSION_SPARE_WATCHES) {
        free(watch);
        return;
    }
    session->spare_watch_count++;
    drv_list_push_front(&session->spare_watches, &watch->dirty);
}

void session_spare_watches_drop(struct drv_session *session)
{
    DRV_LIST_EACH_SAFE(link, &session->spare_watches)
    {
        free(DRV_LIST_ITEM(link, struct drv_watch, dirty));
    }
    drv_list_init(&session->spare_watches);
    session->spare_watch_count = 0;
}

/* ---- who watches what -------------------------------------------------------------------- */

static void mark_dirty(struct drv_session *session, struct drv_watch *watch)
{
    watch->is_asked = false;
    if (!drv_list_is_linked(&watch->dirty)) {
        drv_list_push_back(&session->dirty, &watch->dirty);
    }
}

static drover_status ensure(struct drv_session *session, const drover_id *id, uint32_t index,
                            struct drv_watch **out_watch)
{
    struct drv_watch *watch = find(session, id, index);
    if (watch != NULL) {
        *out_watch = watch;
        return DROVER_OK;
    }
    watch = watch_new(session);
    if (watch == NULL) {
        return DROVER_NOMEM;
    }
    watch->key.id = *id;
    watch->key.index = index;
    watch->release = true;
    watch->hash = hash_of(session, id, index);
    drv_list_init(&watch->dirty);
    drv_list_init(&watch->watchers);
    drover_status status = drv_table_insert(&session->watches, watch->hash, watch);
    if (status != DROVER_OK) {
        watch_free(session, watch);
        return status;
    }
    session->element_watches += index != DROVER_INDEX_NONE;
    *out_watch = watch;
    return DROVER_OK;
}

static void join(struct drv_watch *watch, struct drv_watcher *watcher, bool release)
{
    watcher->watch = watch;
    watch->release = watch->release && release;
    drv_list_push_back(&watch->watchers, &watcher->link);
}

drover_status drv_session_watch(struct drv_session *session, struct drv_watcher *watcher,
                                const drover_id *id, uint32_t index, bool release)
{
    struct drv_watch *watch;
    drover_status status = ensure(session, id, index, &watch);
    if (status != DROVER_OK) {
        return status;
    }
    bool more = watcher->wants_value && !watch->wants_value;
    watch->was_states = watch->was_states || (watch->is_asked && more);
    watch->wants_value = watch->wants_value || watcher->wants_value;
    join(watch, watcher, release);
    if (!watch->is_new && (!watch->is_asked || more)) {
        mark_dirty(session, watch);
    }
    return DROVER_OK;
}

drover_status drv_session_watch_new(struct drv_session *session, struct drv_watcher *watcher,
                                    const drover_id *id, bool release)
{
    struct drv_watch *watch;
    drover_status status = ensure(session, id, DROVER_INDEX_NONE, &watch);
    if (status != DROVER_OK) {
        return status;
    }
    if (drv_list_is_empty(&watch->watchers)) {
        watch->is_new = true;
        watch->is_asked = true;
        watch->wants_value = watcher->wants_value;
    }
    join(watch, watcher, release);
    return DROVER_OK;
}

void drv_session_watch_taken(struct drv_session *session, struct drv_watcher *watcher,
                             uint32_t level)
{
    struct drv_watch *watch = watcher->watch;
    if (watch != NULL) {
        watch->is_new = false;
        watch->epoch = session->epoch;
        watch->level = level;
    }
}

static void drop(struct drv_session *session, struct drv_watch *watch)
{
    drv_list_remove(&watch->dirty);
    session->watches_ended++;
    session->element_watches -= watch->key.index != DROVER_INDEX_NONE;
    drv_table_remove_entry(&session->watches, watch->hash, watch);
}

void drv_session_watch_refused(struct drv_session *session, struct drv_watcher *watcher)
{
    struct drv_watch *watch = watcher->watch;
    if (watch == NULL) {
        return;
    }
    drv_list_remove(&watcher->link);
    watcher->watch = NULL;
    if (drv_list_is_empty(&watch->watchers)) {
        drop(session, watch);
        watch_free(session, watch);
    } else {
        watch->is_new = false;
        mark_dirty(session, watch);
    }
}

void drv_session_unwatch(struct drv_session *session, struct drv_watcher *watcher)
{
    struct drv_watch *watch = watcher->watch;
    if (watch == NULL) {
        return;
    }
    drv_list_remove(&watcher->link);
    watcher->watch = NULL;
    if (!drv_list_is_empty(&watch->watchers)) {
        return;
    }
    drop(session, watch);
    if (watch->is_asked && !watch->is_new && session->state == SESSION_UP) {
        drv_list_push_back(&session->unwatched, &watch->dirty);
    } else {
        watch_free(session, watch);
    }
}

/* Tells all watchers and forgets the watch. */
static void end(struct drv_session *session, struct drv_watch *watch, drover_status status,
                drover_outcome *outcome)
{
    struct drv_list watchers;
    drop(session, watch);
    drv_list_init(&watchers);
    drv_list_splice_back(&watchers, &watch->watchers);
    DRV_LIST_EACH(link, &watchers)
    {
        DRV_LIST_ITEM(link, struct drv_watcher, link)->watch = NULL;
    }
    watch_free(session, watch);
    struct drv_list *link;
    while ((link = drv_list_pop_front(&watchers)) != NULL) {
        struct drv_watcher *watcher = DRV_LIST_ITEM(link, struct drv_watcher, link);
        watcher->on_end(watcher, status, outcome);
    }
}

/* ---- asking ------------------------------------------------------------------------------ */

/* A watch that was refused by the answer to its WATCH. */
static void refused(struct drv_session *session, const struct drv_target *target,
                    drover_status status)
{
    struct drv_watch *watch = find(session, &target->id, target->index);
    if (watch == NULL || !watch->is_asked || watch->is_new) {
        return; /* ended or changed meanwhile */
    }
    if (drover_status_is_retryable(status)) {
        mark_dirty(session, watch);
    } else {
        end(session, watch, status, NULL);
    }
}

/*
 * The broker has these: should a restart take them, they are lost and not unknown. At which
 * level they are kept it does not say, so the weakest is claimed.
 */
static void accepted(struct watch_ask *ask, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct drv_watch *watch = find(ask->session, &ask->targets[i].id,
                                       ask->targets[i].index);
        if (watch != NULL && watch->is_asked && watch->epoch == 0) {
            watch->epoch = ask->session->epoch;
            watch->level = DROVER_DURABILITY_MEMORY;
        }
    }
}

static void on_watch_answer(struct drv_pending *pending, const struct drv_answer *answer)
{
    struct watch_ask *ask = DRV_CONTAINER_OF(pending, struct watch_ask, pending);
    size_t count = pending->message.targets.target_count;
    bool wanted = pending->message.kind == DRV_WATCH;
    if (wanted && answer->status != DROVER_OK) {
        for (size_t i = 0; i < count; i++) {
            refused(ask->session, &ask->targets[i], answer->status);
        }
    } else if (wanted && answer->reply != NULL) {
        for (size_t i = 0; i < answer->reply->note_count; i++) {
            const struct drv_note *note = &answer->reply->notes[i];
            if (note->position < count && note->code != DROVER_OK) {
                refused(ask->session, &ask->targets[note->position], (drover_status)note->code);
            }
        }
        accepted(ask, count);
    } else {
        /* nobody waits for the answer to UNWATCH */
    }
    free(ask);
}

static uint32_t flags_of(const struct drv_watch *watch)
{
    return (watch->wants_value ? 0U : DRV_WATCH_STATES) |
           (watch->release ? DRV_WATCH_RELEASE : 0U);
}

static struct drv_watch *watch_of(struct drv_list *link)
{
    return DRV_LIST_ITEM(link, struct drv_watch, dirty);
}

/* Writes a watch into a message that is being made; one to be unwatched is no more. */
static void put_target(struct watch_ask *ask, struct drv_watch *watch)
{
    struct drv_targets *targets = &ask->pending.message.targets;
    ask->targets[targets->target_count++] = (struct drv_target){.id = watch->key.id,
                                                                .index = watch->key.index,
                                                                .epoch = watch->epoch,
                                                                .level = watch->level};
    drv_list_remove(&watch->dirty);
    watch->is_asked = true;
    if (ask->pending.message.kind == DRV_UNWATCH) {
        watch_free(ask->session, watch);
    }
}

/* How many at the front of the list have the same flags. */
static size_t run_of(const struct drv_list *head, bool any_flags)
{
    size_t count = 0;
    uint32_t flags = flags_of(watch_of(head->next));
    DRV_LIST_EACH(link, head)
    {
        if (count == DRV_BATCH_MAX || (!any_flags && flags_of(watch_of(link)) != flags)) {
            break;
        }
        count++;
    }
    return count;
}

/* Moves a run of the list into one message; false when out of memory. */
static bool ask_run(struct drv_session *session, enum drv_kind kind, struct drv_list *head)
{
    size_t count = run_of(head, kind == DRV_UNWATCH);
    struct watch_ask *ask = malloc(sizeof(*ask) + count * sizeof(ask->targets[0]));
    if (ask == NULL) {
        return false;
    }
    drv_pending_init(&ask->pending, kind, on_watch_answer);
    ask->session = session;
    ask->pending.message.targets.flags = kind == DRV_WATCH ? flags_of(watch_of(head->next)) : 0;
    ask->pending.message.targets.targets = ask->targets;
    DRV_LIST_EACH_SAFE(link, head)
    {
        if (count-- == 0) {
            break;
        }
        put_target(ask, watch_of(link));
    }
    drv_session_ask(session, &ask->pending);
    return true;
}

void session_flush_watches(struct drv_session *session)
{
    while (!drv_list_is_empty(&session->unwatched)) {
        if (!ask_run(session, DRV_UNWATCH, &session->unwatched)) {
            return;
        }
    }
    while (!drv_list_is_empty(&session->dirty)) {
        if (!ask_run(session, DRV_WATCH, &session->dirty)) {
            return;
        }
    }
}

void drv_session_watch_first(struct drv_session *session)
{
    if (session->state == SESSION_UP) {
        session_flush_watches(session);
    }
}

void session_unwatched_drop(struct drv_session *session)
{
    DRV_LIST_EACH_SAFE(link, &session->unwatched)
    {
        watch_free(session, watch_of(link));
    }
    drv_list_init(&session->unwatched);
}

void session_watches_rewind(struct drv_session *session)
{
    session_unwatched_drop(session);
    struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
    struct drv_watch *watch;
    while ((watch = drv_table_next(&session->watches, &cursor)) != NULL) {
        if (!watch->is_new) {
            watch->was_states = false;
            mark_dirty(session, watch);
        }
    }
}

void session_watches_end(struct drv_session *session, drover_status status)
{
    session_unwatched_drop(session);
    struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
    struct drv_watch *watch;
    while ((watch = drv_table_next(&session->watches, &cursor)) != NULL) {
        end(session, watch, status, NULL);
    }
}

/* ---- results ----------------------------------------------------------------------------- */

/* Whether the nil that came may stand for a value that was not asked for at first. */
static bool must_ask_again(struct drv_watch *watch, const struct drv_outcome *entry)
{
    return watch->was_states && watch->wants_value && entry->val.is_nil &&
           entry->state == DROVER_STATE_SUCCEEDED;
}

static void give_element(struct drv_watch *array, drover_outcome *outcome)
{
    DRV_LIST_EACH_SAFE(link, &array->watchers)
    {
        struct drv_watcher *watcher = DRV_LIST_ITEM(link, struct drv_watcher, link);
        if (watcher->on_element != NULL) {
            watcher->on_element(watcher, outcome);
        }
    }
}

/* Who watches this very task or element; elements of a map are watched by their array. */
static struct drv_watch *watch_for(const struct drv_session *session,
                                   const struct drv_outcome *entry)
{
    bool is_element = entry->index != DROVER_INDEX_NONE;
    return is_element && session->element_watches == 0
               ? NULL
               : find(session, &entry->id, entry->index);
}

/* Who watches the array of this element: mostly the one of the element before. */
static struct drv_watch *array_for(struct drv_session *session, const struct drv_outcome *entry)
{
    const struct drv_watch *last = session->array;
    if (entry->index == DROVER_INDEX_NONE) {
        return NULL;
    }
    if (last == NULL || session->array_at != session->watches_ended ||
        !drover_id_equal(&last->key.id, &entry->id)) {
        session->array = find(session, &entry->id, DROVER_INDEX_NONE);
        session->array_at = session->watches_ended;
    }
    return session->array;
}

static void take(struct drv_session *session, struct drv_watch *watch,
                 const struct drv_outcome *entry)
{
    struct drv_watch *array = array_for(session, entry);
    if (watch != NULL && must_ask_again(watch, entry)) {
        watch->was_states = false;
        mark_dirty(session, watch);
        watch = NULL;
    }
    if (watch == NULL && array == NULL) {
        return;
    }
    drover_outcome *outcome = NULL;
    drover_status status = drv_outcome_new(session->outcomes, entry, &outcome);
    if (array != NULL && status == DROVER_OK) {
        give_element(array, outcome);
    } else if (array != NULL) {
        end(session, array, status, NULL);
    } else {
        /* a plain task */
    }
    if (watch != NULL) {
        end(session, watch, status, outcome);
    }
    drover_outcome_destroy(&outcome);
}

/*
 * Results are looked up some at a time, so that the processor waits for all these watches, and
 * for who watches, at once. What was found counts as long as no watch has ended meanwhile but
 * by the results before it.
 */
struct lookup {
    struct drv_watch *watches[AHEAD];
    uint64_t ended; /* watches that had ended then */
};

static void look_up(const struct drv_session *session, const struct drv_outcome *entries,
                    size_t count, struct lookup *out_lookup)
{
    for (size_t i = 0; i < count; i++) {
        struct drv_watch *watch = watch_for(session, &entries[i]);
        out_lookup->watches[i] = watch;
        if (watch != NULL) {
            const char *watcher = (const char *)watch->watchers.next;
            __builtin_prefetch(watcher);
            __builtin_prefetch(watcher - 64);
        }
    }
    out_lookup->ended = session->watches_ended;
}

/* Whether the watch at this position is the same as one before it, which has ended. */
static bool is_twice(const struct lookup *lookup, size_t position)
{
    for (size_t i = 0; i < position; i++) {
        if (lookup->watches[i] == lookup->watches[position]) {
            return true;
        }
    }
    return false;
}

static void take_some(struct drv_session *session, const struct drv_outcome *entries,
                      size_t count)
{
    struct lookup lookup;
    look_up(session, entries, count, &lookup);
    for (size_t i = 0; i < count; i++) {
        struct drv_watch *watch = lookup.watches[i];
        if (session->watches_ended != lookup.ended || (watch != NULL && is_twice(&lookup, i))) {
            watch = watch_for(session, &entries[i]);
        }
        uint64_t before = session->watches_ended;
        if (drover_state_is_terminal((drover_state)entries[i].state)) {
            take(session, watch, &entries[i]);
        }
        if (session->watches_ended == before + 1) {
            lookup.ended++; /* its own */
        }
    }
}

/* Elements that came in one entry. */
static void take_range(struct drv_session *session, const struct drv_outcome *entry)
{
    struct drv_outcome element = *entry;
    size_t len = entry->val.is_nil ? 0 : entry->val.len;
    struct drv_lengths walk = drv_lengths_of(entry->range.lengths, entry->val.bytes, len);
    element.range = (struct drv_range){0};
    while (drv_lengths_next(&walk, &element.val)) {
        take_some(session, &element, 1);
        element.index++;
    }
}

/* Entries from this one on that speak of one task or element each. */
static size_t count_single(const struct drv_outcome *entries, size_t max)
{
    size_t count = 0;
    while (count < max && entries[count].range.count == 0) {
        count++;
    }
    return count;
}

void session_on_results(struct drv_session *session, const struct drv_results *results)
{
    for (size_t i = 0; i < results->entry_count;) {
        size_t left = results->entry_count - i;
        size_t count = count_single(&results->entries[i], left < AHEAD ? left : AHEAD);
        if (count > 0) {
            take_some(session, &results->entries[i], count);
            i += count;
        } else {
            take_range(session, &results->entries[i++]);
        }
    }
}
