/* why.c: see why.h. */
#include "why.h"

#include "broker.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define STR_ARGS(text) (int)(text).len, (text).ptr

static void say(struct why *why, const char *reason, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void say(struct why *why, const char *reason, const char *format, ...)
{
    va_list arguments;
    why->reason = reason;
    va_start(arguments, format);
    (void)vsnprintf(why->text, sizeof(why->text), format, arguments);
    va_end(arguments);
}

static double seconds(int64_t us)
{
    return us < 0 ? 0.0 : (double)us / 1e6;
}

static void why_ended(const struct core *core, const struct item *item, struct why *why)
{
    const char *state = drover_state_name((enum drover_state)item->unit->state);
    if (item->unit->more != NULL && item->unit->more->ended_us != 0) {
        say(why, "ended", "%s %.1f s ago", state,
            seconds(core->now_us - item->unit->more->ended_us));
    } else {
        say(why, "ended", "%s", state);
    }
}

static void why_away(const struct core *core, const struct item *item,
                     const struct worker *worker, const char *reason, struct why *why)
{
    struct drv_str name = worker_name(worker);
    say(why, reason,
        "leased to worker %.*s, attempt %" PRIu32
        ", which is away: last heard of %.1f s ago, lost in %.1f s unless it comes back",
        STR_ARGS(name), item->unit->attempt, seconds(core->now_us - worker->heard_us),
        seconds(timer_at_us(core, &worker->timer) - core->now_us));
}

static void why_held(const struct core *core, const struct item *item,
                     const struct lease *lease, struct why *why)
{
    const struct worker *worker = lease->worker;
    struct drv_str name = worker_name(worker);
    double heard = seconds(core->now_us - worker->heard_us);
    const char *reason = "assigned";
    const char *what = "not started yet";
    if ((item->unit->flags & UNIT_CANCELLING) != 0) {
        reason = "cancelling";
        what = "being cancelled";
    } else if ((lease->flags & LEASE_STARTED) != 0) {
        reason = "running";
        what = "running";
    } else if ((lease->flags & LEASE_RECALLED) != 0) {
        reason = "recalling";
        what = "asked back for a free slot elsewhere";
    } else if (worker->session->peer != NULL && worker->session->peer->is_blocked) {
        reason = "blocked";
        what = "the worker does not read";
    }
    if (worker->session->peer == NULL && timer_is_armed(&worker->timer)) {
        why_away(core, item, worker, reason, why);
        return;
    }
    say(why, reason,
        "leased to worker %.*s, attempt %" PRIu32 ", %s for %.1f s, heartbeat %.1f s ago",
        STR_ARGS(name), item->unit->attempt, what,
        seconds(core->now_us - (lease->started_us != 0 ? lease->started_us : lease->since_us)),
        heard);
}

/* The end of the delay of all its elements that were never dispatched. */
static int64_t run_wakes_us(const struct run *run)
{
    return run->arrived_us + run->task->spec->numbers.delay_us;
}

static int64_t timer_us(const struct core *core, const struct timer *timer)
{
    return timer_is_armed(timer) ? timer_at_us(core, timer) : 0;
}

static int64_t due_us(const struct core *core, const struct item *item)
{
    const struct lease *lease = unit_lease(item->unit);
    if (item->index == DROVER_INDEX_NONE) {
        return timer_us(core, &item->task->timer);
    }
    if (lease != NULL) {
        return timer_us(core, &lease->timer);
    }
    const struct run *run = array_run(item->task->array, item->index);
    return run == NULL ? 0 : run_wakes_us(run);
}

static void why_delayed(const struct core *core, const struct item *item, struct why *why)
{
    const struct unit *unit = item->unit;
    int64_t due = due_us(core, item);
    double left = seconds(due - core->now_us);
    if (unit->failures > 0) {
        say(why, "retry", "retry %u of %" PRIu32 " in %.1f s", (unsigned)unit->failures,
            item->task->spec->numbers.retries, left);
    } else if (due == 0) {
        say(why, "delayed", "not before its delay is over");
    } else {
        say(why, "delayed", "starts in %.1f s at the earliest", left);
    }
}

static bool is_fitted(const struct line *line)
{
    return !drv_list_is_empty(&line->fits);
}

/* Where it stands; of an array as a whole: where the first of its elements do that never were
 * dispatched. NULL: nowhere, or too far to look. */
static const struct place *item_place(const struct item *item)
{
    if (!task_is_array(item->task)) {
        return place_is_in(&item->task->place) ? &item->task->place : NULL;
    }
    const struct array *array = item->task->array;
    for (uint32_t i = 0; i < array->run_count && i < WHY_LINES_MAX; i++) {
        if (place_is_in(&array->runs[i]->place)) {
            return &array->runs[i]->place;
        }
    }
    return NULL;
}

/* Tasks and elements at a place. */
static unsigned place_count(const struct place *place)
{
    struct place *at = (struct place *)place;
    return place->kind == PLACE_RUN ? DRV_CONTAINER_OF(at, struct run, place)->waiting : 1;
}

static bool is_before(const struct place *place, uint64_t arrival)
{
    return place != NULL && place->arrival < arrival;
}

/* What stands in a line and arrived before; beyond `most` it does not matter how many. */
static unsigned count_before(const struct line *line, uint64_t arrival, unsigned most)
{
    const struct drv_heap *returned = &line->returned;
    unsigned count = 0;
    if (!is_before(line_head(line), arrival)) {
        return 0;
    }
    for (size_t i = 0; i < returned->count && i < most; i++) {
        count += is_before(DRV_CONTAINER_OF(returned->nodes[i], struct place, node), arrival);
    }
    for (const struct drv_list *link = line->fifo.next; link != &line->fifo && count < most;
         link = link->next) {
        const struct place *place = DRV_LIST_ITEM(link, struct place, link);
        if (!is_before(place, arrival)) {
            break;
        }
        unsigned more = place_count(place);
        count += more < most - count ? more : most - count;
    }
    return count < most ? count : most;
}

static const struct fit *fit_in(const struct line *line, const struct class *class)
{
    DRV_LIST_EACH(link, &line->fits)
    {
        const struct fit *fit = DRV_LIST_ITEM(link, struct fit, in_line);
        if (fit_share(fit)->class == class) {
            return fit;
        }
    }
    return NULL;
}

static bool is_fit(const struct line *line, const struct class *class)
{
    return fit_in(line, class) != NULL;
}

/* What was put aside for want of something that this one does not want is passed over. */
static bool is_passed_over(const struct fit *other, const struct line *line)
{
    const struct lane *lane = other->lane;
    return (drv_list_is_linked(&other->parked) && other->line->type != line->type) ||
           (drv_list_is_linked(&lane->band->hungry) &&
            !str_equals(line_needs(other->line), line_needs(line))) ||
           (drv_list_is_linked(&lane->full) && other->line->tenant != line->tenant);
}

/* Whether some workers that may take this one would take the other one first. */
static bool stands_before(const struct line *other, const struct line *line)
{
    DRV_LIST_EACH(link, &other->fits)
    {
        const struct fit *fit = DRV_LIST_ITEM(link, struct fit, in_line);
        if (is_fit(line, fit_share(fit)->class) && !is_passed_over(fit, line)) {
            return true;
        }
    }
    return false;
}

/*
 * Of its own line, and in its queue for the same workers: of higher priority all, of the same
 * one what came earlier with the same fairness key; keys take turns, so of others it is not
 * said. With aging who is before whom is not a matter of priorities alone.
 */
static unsigned count_ahead(const struct item *item)
{
    const struct line *line = item->task->spec->line;
    const struct place *place = item_place(item);
    uint64_t arrival = place == NULL ? 0 : place->arrival;
    unsigned ahead = count_before(line, arrival, WHY_AHEAD_MAX);
    unsigned lines = 0;
    if (line->queue->aging_us > 0) {
        return ahead;
    }
    DRV_LIST_EACH(link, &line->queue->lines)
    {
        const struct line *other = DRV_LIST_ITEM(link, struct line, in_queue);
        if (++lines > WHY_LINES_MAX || ahead >= WHY_AHEAD_MAX) {
            break;
        }
        bool is_higher = other->priority > line->priority;
        bool is_peer = other != line && other->priority == line->priority &&
                       other->tenant == line->tenant;
        uint64_t until = is_higher ? UINT64_MAX : arrival;
        if ((is_higher || is_peer) && is_before(line_head(other), until) &&
            stands_before(other, line)) {
            ahead += count_before(other, until, WHY_AHEAD_MAX - ahead);
        }
    }
    return ahead;
}

/* What could take it, were it free. O(workers): for who asks why. */
struct takers {
    uint64_t able;  /* workers that fit and have enough of everything needed */
    uint64_t awake; /* of those: not draining */
    uint64_t light; /* of those: with memory to spare */
    uint64_t roomy; /* of those: that may run another one of its type */
    uint64_t spare; /* of those: with a slot free */
    uint64_t open;  /* of those: that are there and read */
    uint64_t fed;   /* of those: that have left what it needs */
    uint64_t ready; /* of those: that take more bytes */
};

/* It fits the class, whose workers have not all as much. */
static bool worker_suffices(const struct worker *worker, const struct need *needs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (worker->stocks[needs[i].resource].total < needs[i].count) {
            return false;
        }
    }
    return true;
}

/* What it has left, given that it takes something new. */
static void count_taker(const struct core *core, const struct line *line,
                        const struct worker *worker, const struct need *needs,
                        size_t need_count, struct takers *takers)
{
    const struct offer *offer = class_offer(worker->class, line->type);
    const struct room *room = worker_room(worker, offer);
    bool is_roomy = room == NULL || room->used < offer->concurrency;
    bool is_spare = is_roomy && worker_free_slots(core, worker) > 0;
    bool is_open = is_spare && peer_is_open(worker->session->peer);
    bool is_fed = is_open && worker_has(core, worker, needs, need_count);
    takers->light++;
    takers->roomy += is_roomy;
    takers->spare += is_spare;
    takers->open += is_open;
    takers->fed += is_fed;
    takers->ready += is_fed && !worker->is_choked;
}

static struct takers count_takers(const struct core *core, const struct line *line)
{
    struct takers takers = {0};
    struct need needs[DRV_LABELS_MAX];
    size_t count = 0;
    DRV_LIST_EACH(link, &core->workers)
    {
        const struct worker *worker = DRV_LIST_ITEM(link, struct worker, link);
        if (worker->class == NULL || !is_fit(line, worker->class) ||
            !class_needs(worker->class, line, needs, &count) ||
            !worker_suffices(worker, needs, count)) {
            continue;
        }
        takers.able++;
        takers.awake += !worker->is_draining;
        if (!worker->is_draining && !worker->is_heavy) {
            count_taker(core, line, worker, needs, count, &takers);
        }
    }
    return takers;
}

/* " and has a=b, c=d": the labels, or what is needed. */
static size_t put_wanted(char *text, size_t size, const char *before, struct drv_str pairs)
{
    size_t len = 0;
    for (size_t at = 0; at < pairs.len && len < size;) {
        const char *name = pairs.ptr + at;
        const char *value = name + strlen(name) + 1;
        len += (size_t)snprintf(text + len, size - len, "%s%s=%s", at == 0 ? before : ", ",
                                name, value);
        at += strlen(name) + strlen(value) + 2;
    }
    return len < size ? len : size - 1;
}

/* What a worker would have to serve and to have. */
static void why_no_worker(const struct line *line, struct why *why)
{
    struct drv_str type = type_name(line->type);
    struct drv_str queue = queue_name(line->queue);
    char wanted[WHY_TEXT_MAX] = "";
    size_t len = put_wanted(wanted, sizeof(wanted), " and has ", line_require(line));
    (void)put_wanted(wanted + len, sizeof(wanted) - len, len == 0 ? " and has " : ", ",
                     line_needs(line));
    say(why, "no_worker", "workers offer type %.*s, but none of them serves queue %.*s%s",
        STR_ARGS(type), STR_ARGS(queue), wanted);
}

/* A worker that serves it has too little of something, or nothing. */
static void why_no_resource(const struct line *line, struct why *why)
{
    struct drv_str type = type_name(line->type);
    char wanted[WHY_TEXT_MAX] = "";
    (void)put_wanted(wanted, sizeof(wanted), "", line_needs(line));
    say(why, "no_resource", "no worker for type %.*s has %s", STR_ARGS(type), wanted);
}

/* Whether some class would take it but for its resources. */
static bool is_short_of_resources(const struct core *core, const struct line *line)
{
    if (line->needs_len == 0) {
        return false;
    }
    DRV_LIST_EACH(link, &core->classes)
    {
        const struct class *class = DRV_LIST_ITEM(link, struct class, link);
        if (class_offer(class, line->type) != NULL &&
            class_has_queue(class, queue_name(line->queue)) && class_has_labels(class, line)) {
            return true;
        }
    }
    return false;
}

/* Whether nothing could take it, whatever is before it. */
static bool why_no_taker(const struct core *core, const struct line *line,
                         const struct takers *takers, const char *place, struct why *why)
{
    struct drv_str type = type_name(line->type);
    struct drv_str queue = queue_name(line->queue);
    char wanted[WHY_TEXT_MAX] = "";
    (void)put_wanted(wanted, sizeof(wanted), " with ", line_needs(line));
    if (takers->able == 0 && line->needs_len > 0) {
        why_no_resource(line, why);
    } else if (takers->awake == 0) {
        say(why, "draining",
            "%s queue %.*s: the %" PRIu64
            " worker(s) for type %.*s%s take nothing new (draining)",
            place, STR_ARGS(queue), takers->able, STR_ARGS(type), wanted);
    } else if (takers->light == 0) {
        say(why, "memory",
            "%s queue %.*s: the hosts of the %" PRIu64
            " worker(s) for type %.*s%s have over %" PRIu32 " %% of their memory in use",
            place, STR_ARGS(queue), takers->awake, STR_ARGS(type), wanted,
            core->config.memory_mark_percent);
    } else {
        return false;
    }
    return true;
}

/* Some have a slot free: what else they want for. */
static void why_no_use(const struct line *line, const struct takers *takers, const char *place,
                       struct why *why)
{
    struct drv_str type = type_name(line->type);
    struct drv_str queue = queue_name(line->queue);
    char with[WHY_TEXT_MAX] = "";
    char lack[WHY_TEXT_MAX] = "";
    uint64_t count = takers->open;
    const char *but = ", and it goes to one of them"; /* at the end of this turn */
    if (takers->open == 0) {
        count = takers->spare;
        but = ", but are away or do not read";
    } else if (takers->fed == 0) {
        (void)put_wanted(lack, sizeof lack, ", but not ", line_needs(line));
        but = lack;
    } else {
        count = takers->ready > 0 ? takers->ready : takers->fed;
        but = takers->ready > 0 ? but : ", but take no more bytes just now";
    }
    if (but != lack) {
        (void)put_wanted(with, sizeof with, " with ", line_needs(line));
    }
    say(why, "no_slot",
        "%s queue %.*s: %" PRIu64 " of the %" PRIu64
        " worker(s) for type %.*s%s have a slot free%s",
        place, STR_ARGS(queue), count, takers->light, STR_ARGS(type), with, but);
}

static void why_no_slot(const struct line *line, const struct takers *takers, const char *place,
                        struct why *why)
{
    struct drv_str type = type_name(line->type);
    struct drv_str queue = queue_name(line->queue);
    char wanted[WHY_TEXT_MAX] = "";
    (void)put_wanted(wanted, sizeof(wanted), " with ", line_needs(line));
    if (takers->roomy == 0) {
        say(why, "type_full",
            "%s queue %.*s: the %" PRIu64
            " worker(s) for type %.*s%s run as many of this type as each may at once",
            place, STR_ARGS(queue), takers->light, STR_ARGS(type), wanted);
    } else if (takers->spare == 0) {
        say(why, "no_slot", "%s queue %.*s: the %" PRIu64 " worker(s) for type %.*s%s are busy",
            place, STR_ARGS(queue), takers->light, STR_ARGS(type), wanted);
    } else {
        why_no_use(line, takers, place, why);
    }
}

/* ", 5 ahead of it" or nothing. */
static const char *ahead_text(unsigned ahead, char text[64])
{
    text[0] = '\0';
    if (ahead > 0) {
        (void)snprintf(text, 64, ", %s%u ahead of it",
                       ahead >= WHY_AHEAD_MAX ? "more than " : "", ahead);
    }
    return text;
}

/* Whether a limit of the queue holds it. */
static bool why_limited(const struct core *core, const struct line *line, unsigned ahead,
                        struct why *why)
{
    const struct throttle *throttle = line->queue->throttle;
    struct drv_str queue = queue_name(line->queue);
    char text[64];
    if (throttle == NULL) {
        return false;
    }
    if (throttle->concurrency > 0 && line->queue->held >= throttle->concurrency) {
        say(why, "concurrency", "concurrency %" PRIu64 " of %" PRIu64 " in queue %.*s%s",
            line->queue->held, throttle->concurrency, STR_ARGS(queue), ahead_text(ahead, text));
        return true;
    }
    if (line->tenant != NULL && throttle_tenant_is_full(core, line->tenant)) {
        say(why, "per_key",
            "concurrency of fairness key %.*s: %" PRIu64 " of %" PRIu64 " in queue %.*s%s",
            (int)line->tenant->len, line->tenant->text, line->tenant->held, throttle->per_key,
            STR_ARGS(queue), ahead_text(ahead, text));
        return true;
    }
    int64_t opens_us = throttle_opens_us(core, throttle);
    if (opens_us != INT64_MAX && opens_us > core->now_us) {
        say(why, "rate", "the rate limit of queue %.*s opens in %.1f s%s", STR_ARGS(queue),
            seconds(opens_us - core->now_us), ahead_text(ahead, text));
        return true;
    }
    return false;
}

static void why_unserved(const struct core *core, const struct item *item, unsigned ahead,
                         struct why *why)
{
    const struct line *line = item->task->spec->line;
    struct takers takers = count_takers(core, line);
    struct drv_str queue = queue_name(line->queue);
    const char *place = item->index == DROVER_INDEX_NONE && ahead == 0 ? "next in" : "in";
    if (why_no_taker(core, line, &takers, place, why)) {
        return;
    }
    if (ahead > 0) {
        say(why, "ahead", "%s%u ahead of it in queue %.*s",
            ahead >= WHY_AHEAD_MAX ? "more than " : "", ahead, STR_ARGS(queue));
    } else {
        why_no_slot(line, &takers, place, why);
    }
}

static void why_queued(const struct core *core, const struct item *item, struct why *why)
{
    const struct line *line = item->task->spec->line;
    struct drv_str type = type_name(line->type);
    struct drv_str queue = queue_name(line->queue);
    unsigned ahead = item->index == DROVER_INDEX_NONE ? count_ahead(item) : 0;
    if (core->is_draining) {
        say(why, "broker_draining",
            "the broker is going down: what waits starts after its "
            "restart");
    } else if (drv_list_is_empty(&line->type->offers)) {
        say(why, "no_type", "no worker offers type %.*s", STR_ARGS(type));
    } else if (!is_fitted(line) && is_short_of_resources(core, line)) {
        why_no_resource(line, why);
    } else if (!is_fitted(line)) {
        why_no_worker(line, why);
    } else if (line->queue->is_paused) {
        say(why, "paused", "queue %.*s is paused", STR_ARGS(queue));
    } else if (!why_limited(core, line, ahead, why)) {
        why_unserved(core, item, ahead, why);
    }
}

/* What its waiting is worth in a queue with aging. */
static void add_aging(const struct core *core, const struct item *item, struct why *why)
{
    const struct line *line = item->task->spec->line;
    uint64_t aging_us = line->queue->aging_us;
    if (aging_us == 0 || item->index != DROVER_INDEX_NONE || !place_is_in(&item->task->place)) {
        return;
    }
    int64_t waited_us = core->now_us - place_aged_us(&item->task->place);
    int64_t steps = waited_us > 0 ? waited_us / (int64_t)aging_us : 0;
    size_t len = strlen(why->text);
    if (steps > 0) {
        (void)snprintf(why->text + len, sizeof why->text - len,
                       "; its priority has risen from %" PRIi32 " to %" PRIi64 " by waiting",
                       line->priority, line->priority + steps);
    }
}

static void why_waiting(const struct item *item, struct why *why)
{
    const struct edge *edges = NULL;
    size_t count = deps_edges(item->unit, &edges);
    const struct edge *first = NULL;
    uint32_t left = 0;
    for (size_t i = 0; i < count; i++) {
        first = first == NULL && !edges[i].is_over ? &edges[i] : first;
        left += !edges[i].is_over;
    }
    if (first == NULL) {
        say(why, "waiting", "everything that it waited for has ended");
        return;
    }
    char name[DROVER_ID_TEXT_LEN + 1], index[16] = "", more[64] = "";
    struct item parent = edge_parent(first);
    bool is_array = task_is_array(parent.task) && parent.index == DROVER_INDEX_NONE;
    enum drover_state state = is_array ? array_state(parent.task->array)
                                       : (enum drover_state)parent.unit->state;
    drover_id_format(&parent.task->id, name);
    if (parent.index != DROVER_INDEX_NONE) {
        (void)snprintf(index, sizeof index, ".%" PRIu32, parent.index);
    }
    if (left > 1) {
        (void)snprintf(more, sizeof more, ", and for %" PRIu32 " more of %zu", left - 1, count);
    }
    say(why, "waiting", "waits for task %s%s%s, which is %s%s", name, index,
        first->when == DEPS_SUCCEEDED ? " to succeed" : " to end", drover_state_name(state),
        more);
}

/* When the first of the elements that are delayed is due. 0: it takes too long to find out. */
static int64_t first_due_us(const struct core *core, const struct array *array)
{
    int64_t first_us = INT64_MAX;
    uint32_t asleep = 0;
    for (uint32_t i = 0; i < array->run_count && i < WHY_LINES_MAX; i++) {
        const struct run *run = array->runs[i];
        if (run->waiting > 0 && run_state(run) == DROVER_STATE_DELAYED) {
            asleep += run->waiting;
            first_us = run_wakes_us(run) < first_us ? run_wakes_us(run) : first_us;
        }
    }
    if (asleep == array->states[DROVER_STATE_DELAYED]) {
        return first_us;
    }
    if (array->index_end > WHY_ELEMENTS_MAX) {
        return 0;
    }
    for (uint32_t i = 0; i < array->index_end; i++) { /* those that failed have a record */
        const struct element *element = array_element(array, i);
        const struct lease *lease = element == NULL ? NULL : unit_lease(&element->unit);
        if (lease != NULL && element->unit.state == DROVER_STATE_DELAYED &&
            timer_is_armed(&lease->timer) && timer_at_us(core, &lease->timer) < first_us) {
            first_us = timer_at_us(core, &lease->timer);
        }
    }
    return first_us == INT64_MAX ? 0 : first_us;
}

static void why_elements_delayed(const struct core *core, const struct array *array,
                                 struct why *why)
{
    uint32_t count = array->states[DROVER_STATE_DELAYED];
    int64_t due_us = first_due_us(core, array);
    char when[64] = "";
    if (due_us != 0) {
        (void)snprintf(when, sizeof when, ", the first for %.1f s",
                       seconds(due_us - core->now_us));
    }
    say(why, "delayed", "%" PRIu32 " elements wait for their delay or back-off%s", count, when);
}

/* What holds all that is queued of it, while others run: they say nothing of that. */
static void add_hold(const struct core *core, const struct item *item, struct why *why)
{
    static const char *const holds[] = {"paused", "concurrency", "per_key",        "rate",
                                        "memory", "draining",    "broker_draining"};
    struct why hold;
    why_queued(core, item, &hold);
    for (size_t i = 0; i < DRV_ARRAY_LEN(holds); i++) {
        if (strcmp(hold.reason, holds[i]) == 0) {
            size_t len = strlen(why->text);
            (void)snprintf(why->text + len, sizeof why->text - len, "; %s", hold.text);
            return;
        }
    }
}

static void why_array(const struct core *core, const struct item *item, struct why *why)
{
    const struct array *array = item->task->array;
    uint32_t queued = array->states[DROVER_STATE_QUEUED];
    uint32_t running = array->states[DROVER_STATE_RUNNING];
    if (array->is_cancelled) {
        say(why, "cancelling", "being cancelled, %" PRIu32 " of %" PRIu32 " ended",
            array->ended, array->count);
    } else if (array_state(array) == DROVER_STATE_WAITING) {
        why_waiting(item, why);
    } else if (running > 0) {
        say(why, "running",
            "%" PRIu32 " running, %" PRIu32 " queued, %" PRIu32 " of %" PRIu32 " ended",
            running, queued, array->ended, array->count);
        if (queued > 0) {
            add_hold(core, item, why);
        }
    } else if (queued > 0) {
        why_queued(core, item, why);
    } else if (array->states[DROVER_STATE_DELAYED] > 0) {
        why_elements_delayed(core, array, why);
    } else if (!array->is_sealed) {
        say(why, "open", "open: %" PRIu32 " of %" PRIu32 " elements so far have ended",
            array->ended, array->count);
    } else {
        why_ended(core, item, why);
    }
}

void why_item(const struct core *core, const struct item *item, struct why *out_why)
{
    const struct lease *lease = unit_lease(item->unit);
    if (unit_is_terminal(item->unit)) {
        why_ended(core, item, out_why);
    } else if (task_is_array(item->task) && item->index == DROVER_INDEX_NONE) {
        why_array(core, item, out_why);
    } else if (lease != NULL && lease->worker != NULL) {
        why_held(core, item, lease, out_why);
    } else if (item->unit->state == DROVER_STATE_WAITING) {
        struct item whole = item_of_task(item->task);
        bool is_held = task_is_array(item->task) && array_holds_back(item->task->array);
        why_waiting(is_held ? &whole : item, out_why);
    } else if (item->unit->state == DROVER_STATE_DELAYED) {
        why_delayed(core, item, out_why);
    } else if (item->unit->state == DROVER_STATE_QUEUED) {
        why_queued(core, item, out_why);
        add_aging(core, item, out_why);
    } else {
        say(out_why, "open", "%s", drover_state_name((enum drover_state)item->unit->state));
    }
}
