/*
 * check.c: core_check: whether everything that must never break holds.
 *
 * Left out: the sum of the accounted memory, which core_destroy proves to be exact by arriving
 * at zero.
 */
#include "check_core.h"

#include "history_queue.h"

#include <stdlib.h>

/* --- tallies ----------------------------------------------------------------------------- */

static int tally_compare(const void *left, const void *right)
{
    uintptr_t a = (uintptr_t)((const struct tally *)left)->owner;
    uintptr_t b = (uintptr_t)((const struct tally *)right)->owner;
    return (a > b) - (a < b);
}

static void tallies_alloc(struct check *check, struct tallies *tallies, size_t count)
{
    tallies->count = 0;
    tallies->items = calloc(count + 1, sizeof *tallies->items); /* the last: for strangers */
    expect(check, tallies->items != NULL, "no memory for the check");
}

static void tallies_sort(struct tallies *tallies)
{
    qsort(tallies->items, tallies->count, sizeof *tallies->items, tally_compare);
}

static void tallies_of_table(struct check *check, struct tallies *tallies,
                             const struct drv_table *table)
{
    size_t count = drv_table_count(table);
    struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
    const void *entry;
    tallies_alloc(check, tallies, count);
    while (check->broken == NULL && (entry = drv_table_next(table, &cursor)) != NULL) {
        expect(check, tallies->count < count, "a table has more entries than it counts");
        if (check->broken == NULL) {
            tallies->items[tallies->count++].owner = entry;
        }
    }
    expect(check, tallies->count == count, "a table has fewer entries than it counts");
    if (check->broken == NULL) {
        tallies_sort(tallies);
    }
}

static void tallies_of_workers(struct check *check, struct tallies *tallies)
{
    tallies_alloc(check, tallies, check_list_count(&check->core->workers));
    if (check->broken != NULL) {
        return;
    }
    DRV_LIST_EACH(link, &check->core->workers)
    {
        tallies->items[tallies->count++].owner = DRV_LIST_ITEM(link, struct worker, link);
    }
    tallies_sort(tallies);
}

struct tally *tally_of(struct check *check, const struct tallies *tallies, const void *owner)
{
    struct tally key = {.owner = owner};
    struct tally *found = bsearch(&key, tallies->items, tallies->count, sizeof key,
                                  tally_compare);
    expect(check, found != NULL, "something belongs to an owner that is in no registry");
    return found != NULL ? found : &tallies->items[tallies->count];
}

/* --- lists, heaps, timers ---------------------------------------------------------------- */

size_t check_list_count(const struct drv_list *list)
{
    size_t count = 0;
    DRV_LIST_EACH(link, list)
    {
        count++;
    }
    return count;
}

void check_heap(struct check *check, const struct drv_heap *heap, const char *text)
{
    for (size_t i = 0; i < heap->count; i++) {
        const struct drv_heap_node *node = heap->nodes[i];
        const struct drv_heap_node *parent = heap->nodes[i == 0 ? 0 : (i - 1) / 2];
        expect(check, node->position == i && !(i > 0 && heap->before(node, parent)), text);
    }
}

void check_timer(struct check *check, const struct timer *timer, enum timer_kind kind)
{
    const struct timers *timers = &check->core->timers;
    check->timers++;
    expect(check, timer_kind_of(timer) == kind, "a timer is of another kind than its owner");
    if (timer_is_armed(timer)) {
        size_t position = timer->position;
        check->timers_armed++;
        expect(check, position < timers->count && timers->entries[position].timer == timer,
               "a timer is not where it says");
    }
}

static void check_timers(struct check *check)
{
    const struct timers *timers = &check->core->timers;
    struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
    const struct kv_entry *entry;
    check_timer(check, &check->core->reattach_timer, TIMER_REATTACH);
    while ((entry = drv_table_next(&check->core->kv, &cursor)) != NULL) {
        check_timer(check, &entry->timer, TIMER_KV);
    }
    for (size_t i = 1; i < timers->count; i++) {
        expect(check, timers->entries[i].at_us >= timers->entries[(i - 1) / 4].at_us,
               "the heap of timers is out of order");
    }
    expect(check, timers->capacity >= timers->reserved, "timers without a place");
    if (check->is_exact) {
        expect(check, check->timers == timers->reserved, "timers that nobody owns");
        expect(check, check->timers_armed == timers->count, "a timer fires for nobody");
    }
}

/* --- counters ---------------------------------------------------------------------------- */

static void check_counters(struct check *check)
{
    const struct core_counters *counters = &check->core->counters;
    uint64_t present = counters->waiting + counters->delayed + counters->queued +
                       counters->running;
    uint64_t ended = counters->succeeded + counters->failed + counters->cancelled +
                     counters->expired + counters->lost_at_restart;
    expect(check, counters->submitted == present + ended, "the counters do not add up");
    const uint64_t *states = check->states;
    expect(check, counters->waiting == states[DROVER_STATE_WAITING], "waiting is miscounted");
    expect(check, counters->delayed == states[DROVER_STATE_DELAYED], "delayed is miscounted");
    expect(check, counters->queued == states[DROVER_STATE_QUEUED], "queued is miscounted");
    expect(check, counters->running == states[DROVER_STATE_RUNNING], "running is miscounted");
    expect(check,
           counters->succeeded >= states[DROVER_STATE_SUCCEEDED] &&
               counters->failed >= states[DROVER_STATE_FAILED] &&
               counters->cancelled >= states[DROVER_STATE_CANCELLED] &&
               counters->expired >= states[DROVER_STATE_EXPIRED],
           "more tasks have ended than were counted");
}

static void check_kv(struct check *check)
{
    const struct core *core = check->core;
    struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
    const struct kv_entry *entry;
    uint64_t bytes = 0;
    while ((entry = drv_table_next(&core->kv, &cursor)) != NULL) {
        bytes += body_len(entry->val) + entry->key_len;
        expect(check, entry->version >= 1 && entry->version <= core->kv_version,
               "shared data with a version that was never given");
    }
    expect(check, bytes == core->kv_bytes, "the bytes of shared data are miscounted");
    expect(check,
           bytes <= core->config.kv_bytes_max &&
               drv_table_count(&core->kv) <= core->config.kv_count_max,
           "more shared data than allowed");
}

static void check_details(struct check *check)
{
    const struct core *core = check->core;
    uint64_t bytes = 0;
    DRV_LIST_EACH(link, &core->workers)
    {
        bytes += body_len(DRV_LIST_ITEM(link, struct worker, link)->details);
    }
    expect(check, bytes == core->details_bytes, "the bytes of statistics are miscounted");
    expect(check, bytes <= core->config.details_bytes_max, "more statistics than allowed");
}

/* Each knows who has it, and they are as many as were counted. */
static void check_history(struct check *check)
{
    const struct history *history = &check->core->history;
    uint32_t times = 0, workers = 0, histories = 0;
    DRV_LIST_EACH(link, &history->times.all)
    {
        const struct times *item = DRV_LIST_ITEM(link, struct times, link);
        expect(check, *item->owner == item, "measured times that nobody has");
        times++;
    }
    DRV_LIST_EACH(link, &check->core->workers)
    {
        workers += DRV_LIST_ITEM(link, struct worker, link)->history != NULL;
    }
    struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
    const struct queue *queue;
    while ((queue = drv_table_next(&check->core->queues, &cursor)) != NULL) {
        histories -= queue->history != NULL;
    }
    for (uint32_t i = 0; i < history->queue_count; i++) {
        const struct queue_history *item = history->queues[i];
        expect(check, item->queue == NULL || item->queue->history == item,
               "a history of a queue that does not know it");
        histories += item->queue != NULL;
    }
    expect(check, histories == 0, "a queue knows a history that is not its own");
    expect(check, times == history->times.count && times <= TIMES_MAX,
           "measured times are miscounted");
    expect(check, workers == history->worker_count && workers <= HISTORY_WORKERS_MAX,
           "histories of workers are miscounted");
}

/* --- all --------------------------------------------------------------------------------- */

static void check_registries(struct check *check)
{
    const struct core *core = check->core;
    tallies_of_table(check, &check->queues, &core->queues);
    tallies_of_table(check, &check->types, &core->types);
    tallies_of_table(check, &check->lines, &core->lines);
    tallies_of_table(check, &check->tenants, &core->tenants);
    tallies_of_table(check, &check->specs, &core->specs);
    tallies_of_table(check, &check->sessions, &core->sessions_by_id);
    tallies_of_table(check, &check->keys, &core->keys);
    tallies_of_table(check, &check->groups, &core->groups);
    tallies_of_table(check, &check->accounts, &core->accounts);
    check->groups_found = calloc(check->groups.count + 1, sizeof *check->groups_found);
    expect(check, check->groups_found != NULL, "no memory for the check");
    tallies_of_workers(check, &check->workers);
}

const char *core_check(const struct core *core)
{
    static void (*const parts[])(struct check *) = {
        check_registries, check_schedules, check_tasks,    check_kept,    check_names,
        check_lines,      check_scheduled, check_alerts,   check_leases,  check_parked,
        check_workers,    check_classes,   check_queues,   check_tenants, check_peers,
        check_sessions,   check_timers,    check_counters, check_kv,      check_details,
        check_output,     check_history,   check_edges,
    };
    struct check check = {.core = core, .is_exact = drv_list_is_empty(&core->sweeps)};
    for (size_t i = 0; i < DRV_ARRAY_LEN(parts) && check.broken == NULL; i++) {
        parts[i](&check);
    }
    const struct tallies *tallies[] = {
        &check.queues,  &check.types, &check.lines,  &check.specs,   &check.sessions,
        &check.workers, &check.keys,  &check.groups, &check.tenants, &check.accounts};
    for (size_t i = 0; i < DRV_ARRAY_LEN(tallies); i++) {
        free(tallies[i]->items);
    }
    free(check.groups_found);
    return check.broken;
}
