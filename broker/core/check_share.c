/*
 * check_share.c: whose turn it is, what was put aside, and the limits on leases.
 */
#include "check_core.h"

/* --- fits -------------------------------------------------------------------------------- */

static bool is_later(uint64_t turn, uint64_t arrival, uint64_t other_turn,
                     uint64_t other_arrival)
{
    return turn > other_turn || (turn == other_turn && arrival > other_arrival);
}

static void check_fit(struct check *check, const struct line *line, const struct fit *fit)
{
    bool is_in = drv_heap_node_is_in(&fit->node);
    bool is_parked = drv_list_is_linked(&fit->parked);
    const struct place *head = line_head(line);
    const struct share *share = fit_share(fit);
    expect(check, fit->line == line && share->queue == line->queue, "a fit is of another line");
    expect(check,
           fit->lane->turn->tenant == line->tenant &&
               fit->lane->band->tier->priority == line->priority,
           "a fit is in the lane of another key or priority");
    expect(check, fit->offer->type == line->type && fit->offer->class == share->class,
           "a fit is of another type or class");
    expect(check, class_fits(check->core, share->class, line),
           "a line does not fit a class it is in");
    expect(check, !(is_in && is_parked), "a fit is in two places");
    expect(check, head == NULL || is_in || is_parked,
           "a class does not see that there is work");
    expect(check, head == NULL || !is_in || fit->arrival <= head->arrival,
           "a class thinks worse of a line than it is");
}

void check_fits(struct check *check, const struct line *line)
{
    size_t fits = 0, classes = 0;
    DRV_LIST_EACH(link, &line->fits)
    {
        check_fit(check, line, DRV_LIST_ITEM(link, struct fit, in_line));
        fits++;
    }
    DRV_LIST_EACH(link, &check->core->classes)
    {
        classes += class_fits(check->core, DRV_LIST_ITEM(link, struct class, link), line);
    }
    expect(check, fits == classes, "a class does not know a line that fits it");
}

/* --- shares ------------------------------------------------------------------------------ */

static void check_lane(struct check *check, const struct lane *lane)
{
    bool is_in = drv_heap_node_is_in(&lane->node);
    bool is_full = drv_list_is_linked(&lane->full);
    check_heap(check, &lane->fits, "the fits of a lane are out of order");
    expect(check, !(is_in && is_full), "a lane is in two places");
    expect(check, lane->fit_count > 0 && lane->fit_count >= drv_heap_count(&lane->fits),
           "the fits of a lane are miscounted");
    if (drv_heap_count(&lane->fits) == 0) {
        return;
    }
    const struct fit *top = DRV_CONTAINER_OF(drv_heap_min(&lane->fits), struct fit, node);
    expect(check, is_in || is_full, "a fairness key has work that nobody sees");
    expect(check,
           !is_in || !is_later(lane->number, lane->arrival, lane->turn->number, top->arrival),
           "a lane is thought to be worse than it is");
}

static void check_turn(struct check *check, const struct turn *turn, size_t *lanes)
{
    uint32_t active = 0;
    DRV_LIST_EACH(link, &turn->lanes)
    {
        const struct lane *lane = DRV_LIST_ITEM(link, struct lane, in_turn);
        check_lane(check, lane);
        active += drv_heap_node_is_in(&lane->node) || drv_list_is_linked(&lane->full);
        (*lanes)++;
    }
    expect(check, turn->active == active, "the lanes of a turn are miscounted");
    expect(check, turn->number <= turn->tier->serial, "a turn that was never given");
}

static bool has_ready_worker(const struct core *core, const struct class *class,
                             const struct band *band)
{
    for (size_t i = 0; i < class->workers.count; i++) {
        const struct worker *worker = DRV_CONTAINER_OF(class->workers.nodes[i], struct worker,
                                                       node);
        if (worker_free_slots(core, worker) > 0 &&
            worker_has(core, worker, band->needs, band->need_count)) {
            return true;
        }
    }
    return false;
}

/* The head of a lane, however little is known there of what has left. */
static const struct place *lane_head(const struct lane *lane)
{
    const struct place *best = NULL;
    for (size_t i = 0; i < drv_heap_count(&lane->fits); i++) {
        const struct fit *fit = DRV_CONTAINER_OF(lane->fits.nodes[i], struct fit, node);
        const struct place *head = line_head(fit->line);
        if (head != NULL && (best == NULL || head->arrival < best->arrival)) {
            best = head;
        }
    }
    return best;
}

/* The head of the key whose turn it is among those that may start something. */
static const struct place *band_head(const struct core *core, const struct band *band)
{
    const struct place *best = NULL;
    uint64_t turn = 0;
    for (size_t i = 0; i < drv_heap_count(&band->lanes); i++) {
        const struct lane *lane = DRV_CONTAINER_OF(band->lanes.nodes[i], struct lane, node);
        const struct tenant *tenant = lane->turn->tenant;
        const struct place *head = lane_head(lane);
        if (head == NULL || (tenant != NULL && throttle_tenant_is_full(core, tenant))) {
            continue;
        }
        if (best == NULL || is_later(turn, best->arrival, lane->turn->number, head->arrival)) {
            best = head;
            turn = lane->turn->number;
        }
    }
    return best;
}

/* Unless it is in doubt, it is known since when its head waits. */
static void check_aging(struct check *check, const struct band *band)
{
    const struct place *head = band_head(check->core, band);
    expect(check,
           drv_list_is_linked(&band->doubted) || head == NULL ||
               band->since_us == place_aged_us(head),
           "a band has another age than its head");
}

static void check_band(struct check *check, const struct band *band)
{
    const struct class *class = band->tier->share->class;
    bool is_in = drv_heap_node_is_in(&band->node);
    bool is_hungry = drv_list_is_linked(&band->hungry);
    check_heap(check, &band->lanes, "the lanes of a band are out of order");
    expect(check, !(is_in && is_hungry), "a band is in two places");
    expect(check, band->lane_count > 0, "a band of nothing");
    expect(check, !is_hungry || !has_ready_worker(check->core, class, band),
           "work waits for what a worker has");
    if (drv_heap_count(&band->lanes) == 0) {
        return;
    }
    const struct lane *top = DRV_CONTAINER_OF(drv_heap_min(&band->lanes), struct lane, node);
    expect(check, is_in || is_hungry, "there is work with needs that nobody sees");
    expect(check, !is_in || !is_later(band->turn, band->arrival, top->number, top->arrival),
           "a band is thought to be worse than it is");
    if (is_in && band->tier->share->queue->aging_us > 0) {
        check_aging(check, band);
    }
}

/* Lanes are found by the turns: those of keys by the tenant, the others here. */
static void check_tier(struct check *check, const struct tier *tier)
{
    uint32_t bands = 0;
    size_t lanes = 0;
    DRV_LIST_EACH(link, &tier->bands)
    {
        const struct band *band = DRV_LIST_ITEM(link, struct band, in_tier);
        check_band(check, band);
        bands++;
    }
    if (tier->keyless != NULL) {
        check_turn(check, tier->keyless, &lanes);
        expect(check, lanes > 0, "a turn of nothing");
    }
    expect(check, tier->references >= bands + (tier->keyless != NULL) && bands > 0,
           "the bands and turns of a priority are miscounted");
}

void check_share(struct check *check, const struct class *class, const struct share *share)
{
    bool is_shut = drv_list_is_linked(&share->shut);
    const struct throttle *throttle = share->queue->throttle;
    size_t bands = 0;
    DRV_LIST_EACH(link, &share->tiers)
    {
        const struct tier *tier = DRV_LIST_ITEM(link, struct tier, in_share);
        check_tier(check, tier);
        bands += check_list_count(&tier->bands);
    }
    expect(check, share->class == class, "a share is of another class");
    expect(check, check_list_count(&share->fits) == share->fit_count && share->fit_count > 0,
           "the fits of a share are miscounted");
    expect(check, bands == share->band_count, "the bands of a share are miscounted");
    check_heap(check, &share->bands, "the bands of a share are out of order");
    bool has_work = drv_heap_count(&share->bands) > 0 && !share->queue->is_paused && !is_shut;
    expect(check, drv_list_is_linked(&share->ring) == has_work,
           "a queue with work has no turn, or one without has");
    expect(check,
           !is_shut || (throttle != NULL && (timer_is_armed(&throttle->timer) ||
                                             !throttle_is_open(check->core, throttle))),
           "a queue is shut and nothing will open it");
}

/* --- limits ------------------------------------------------------------------------------ */

static void check_tenant(struct check *check, const struct tenant *tenant)
{
    const struct tally *tally = tally_of(check, &check->tenants, tenant);
    const struct throttle *throttle = tenant->queue->throttle;
    bool is_bounded = throttle != NULL && throttle->per_key > 0;
    expect(check, tenant->references == tally->references, "a key has a wrong number of lines");
    expect(check, tenant->held == tally->held, "the leases of a key are miscounted");
    expect(check,
           !is_bounded || tenant->held <= throttle->per_key || tenant->held <= tenant->excess,
           "a key holds more than it may");
    expect(check,
           drv_list_is_empty(&tenant->full) || throttle_tenant_is_full(check->core, tenant),
           "a key may start something and is put aside");
    expect(check, drv_list_is_empty(&tenant->full) == !drv_list_is_linked(&tenant->in_throttle),
           "a key that holds all it may is not known");
    DRV_LIST_EACH(link, &tenant->turns)
    {
        size_t lanes = 0;
        check_turn(check, DRV_LIST_ITEM(link, struct turn, in_tenant), &lanes);
        expect(check, lanes > 0, "a turn of nothing");
    }
}

void check_tenants(struct check *check)
{
    for (size_t i = 0; i < check->tenants.count; i++) {
        check_tenant(check, check->tenants.items[i].owner);
    }
}

void check_throttle(struct check *check, const struct queue *queue)
{
    const struct throttle *throttle = queue->throttle;
    if (throttle == NULL) {
        return;
    }
    check_timer(check, &throttle->timer, TIMER_THROTTLE);
    expect(check, throttle->queue == queue && queue->has_settings,
           "limits of another queue, or of one that is forgotten");
    expect(check,
           throttle->concurrency == 0 || queue->held <= throttle->concurrency ||
               queue->held <= throttle->excess,
           "a queue holds more than it may");
    expect(check, throttle->level >= 0 || check->core->config.defects.ignore_limits,
           "a queue starts more often than it may");
}

void check_stocks(struct check *check, const struct worker *worker)
{
    for (size_t i = 0; i < worker->class->resource_count; i++) {
        const struct stock *stock = &worker->stocks[i];
        uint64_t used = 0;
        DRV_LIST_EACH(link, &worker->leases)
        {
            const struct lease *lease = DRV_LIST_ITEM(link, struct lease, in_worker);
            struct need needs[DRV_LABELS_MAX];
            size_t count = 0;
            bool has_all = class_needs(worker->class, lease->task->spec->line, needs, &count);
            for (size_t j = 0; has_all && j < count; j++) {
                used += needs[j].resource == i ? needs[j].count : 0;
            }
        }
        expect(check, stock->used == used, "what a worker uses of a resource is miscounted");
        expect(check, used <= stock->total || used <= stock->excess,
               "a worker holds more than it has the resources for");
    }
}
