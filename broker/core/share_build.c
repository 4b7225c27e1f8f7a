/*
 * share_build.c: the tree of share.h, made for a line that fits a class, and given back from
 * below when nothing is left in it.
 */
#include "share.h"

#include "share_order.h"

#include "broker.h"
#include "check.h"

#include <string.h>

/* Looks through the shares of the class and those of the queue in step: it costs no more than
 * the shorter list, whoever makes thousands of queues. */
static struct share *share_find(const struct class *class, const struct queue *queue)
{
    const struct drv_list *by_class = class->shares.next;
    const struct drv_list *by_queue = queue->shares.next;
    while (by_class != &class->shares && by_queue != &queue->shares) {
        struct share *of_class = DRV_LIST_ITEM(by_class, struct share, in_class);
        struct share *of_queue = DRV_LIST_ITEM(by_queue, struct share, in_queue);
        if (of_class->queue == queue) {
            return of_class;
        }
        if (of_queue->class == class) {
            return of_queue;
        }
        by_class = by_class->next;
        by_queue = by_queue->next;
    }
    return NULL;
}

static struct share *share_ensure(struct core *core, struct class *class, struct queue *queue)
{
    struct share *share = share_find(class, queue);
    if (share != NULL) {
        return share;
    }
    share = core_alloc(core, sizeof *share);
    if (share == NULL) {
        return NULL;
    }
    share->class = class;
    share->queue = queue;
    drv_list_init(&share->ring);
    drv_list_init(&share->shut);
    drv_list_init(&share->fits);
    drv_list_init(&share->tiers);
    drv_list_init(&share->doubted);
    drv_heap_init(&share->bands, band_before);
    drv_list_push_back(&class->shares, &share->in_class);
    drv_list_push_back(&queue->shares, &share->in_queue);
    return share;
}

static void share_drop_if_empty(struct core *core, struct share *share)
{
    if (!drv_list_is_empty(&share->tiers)) {
        return;
    }
    share_rest(share);
    drv_list_remove(&share->shut);
    drv_list_remove(&share->in_class);
    drv_list_remove(&share->in_queue);
    drv_heap_fini(&share->bands);
    core_free(core, share, sizeof *share);
}

static struct tier *tier_ensure(struct core *core, struct share *share, int32_t priority)
{
    DRV_LIST_EACH(link, &share->tiers)
    {
        struct tier *tier = DRV_LIST_ITEM(link, struct tier, in_share);
        if (tier->priority == priority) {
            return tier;
        }
    }
    struct tier *tier = core_alloc(core, sizeof *tier);
    if (tier != NULL) {
        tier->share = share;
        tier->priority = priority;
        drv_list_init(&tier->bands);
        drv_list_push_back(&share->tiers, &tier->in_share);
    }
    return tier;
}

static void tier_drop_if_empty(struct core *core, struct tier *tier)
{
    if (tier->references == 0) {
        DRV_ASSERT(tier->active == 0);
        drv_list_remove(&tier->in_share);
        core_free(core, tier, sizeof *tier);
    }
}

static struct band *band_ensure(struct core *core, struct tier *tier, const struct need *needs,
                                size_t count)
{
    struct share *share = tier->share;
    DRV_LIST_EACH(link, &tier->bands)
    {
        struct band *band = DRV_LIST_ITEM(link, struct band, in_tier);
        if (band->need_count == count &&
            (count == 0 || memcmp(band->needs, needs, count * sizeof *needs) == 0)) {
            return band;
        }
    }
    if (drv_heap_reserve(&share->bands, share->band_count + 1)) {
        return NULL;
    }
    struct band *band = core_alloc(core, sizeof *band + count * sizeof *needs);
    if (band == NULL) {
        return NULL;
    }
    band->tier = tier;
    band->need_count = count;
    if (count > 0) {
        memcpy(band->needs, needs, count * sizeof *needs);
    }
    drv_list_init(&band->hungry);
    drv_list_init(&band->doubted);
    drv_heap_node_init(&band->node);
    drv_heap_init(&band->lanes, lane_before);
    drv_list_push_back(&tier->bands, &band->in_tier);
    tier->references++;
    share->band_count++;
    return band;
}

static void band_drop_if_empty(struct core *core, struct band *band)
{
    struct share *share = band->tier->share;
    if (band->lane_count > 0) {
        return;
    }
    drv_heap_remove(&share->bands, &band->node);
    drv_heap_fini(&band->lanes);
    drv_list_remove(&band->hungry);
    drv_list_remove(&band->doubted);
    drv_list_remove(&band->in_tier);
    band->tier->references--;
    share->band_count--;
    core_free(core, band, sizeof *band + band->need_count * sizeof *band->needs);
}

static struct turn *turn_find(const struct tier *tier, const struct tenant *tenant)
{
    if (tenant == NULL) {
        return tier->keyless;
    }
    DRV_LIST_EACH(link, &tenant->turns)
    {
        struct turn *turn = DRV_LIST_ITEM(link, struct turn, in_tenant);
        if (turn->tier == tier) {
            return turn;
        }
    }
    return NULL;
}

static struct turn *turn_ensure(struct core *core, struct tier *tier, struct tenant *tenant)
{
    struct turn *turn = turn_find(tier, tenant);
    if (turn != NULL) {
        return turn;
    }
    turn = core_alloc(core, sizeof *turn);
    if (turn == NULL) {
        return NULL;
    }
    turn->tier = tier;
    turn->tenant = tenant;
    drv_list_init(&turn->in_tenant);
    drv_list_init(&turn->lanes);
    if (tenant != NULL) {
        drv_list_push_back(&tenant->turns, &turn->in_tenant);
    } else {
        tier->keyless = turn;
    }
    tier->references++;
    return turn;
}

static void turn_drop_if_empty(struct core *core, struct turn *turn)
{
    if (!drv_list_is_empty(&turn->lanes)) {
        return;
    }
    drv_list_remove(&turn->in_tenant);
    if (turn->tenant == NULL) {
        turn->tier->keyless = NULL;
    }
    turn->tier->references--;
    core_free(core, turn, sizeof *turn);
}

static struct lane *lane_ensure(struct core *core, struct band *band, struct turn *turn)
{
    DRV_LIST_EACH(link, &turn->lanes)
    {
        struct lane *lane = DRV_LIST_ITEM(link, struct lane, in_turn);
        if (lane->band == band) {
            return lane;
        }
    }
    if (drv_heap_reserve(&band->lanes, band->lane_count + 1)) {
        return NULL;
    }
    struct lane *lane = core_alloc(core, sizeof *lane);
    if (lane == NULL) {
        return NULL;
    }
    lane->band = band;
    lane->turn = turn;
    drv_list_init(&lane->full);
    drv_heap_node_init(&lane->node);
    drv_heap_init(&lane->fits, fit_before);
    drv_list_push_back(&turn->lanes, &lane->in_turn);
    band->lane_count++;
    return lane;
}

static void lane_drop_if_empty(struct core *core, struct lane *lane)
{
    if (lane->fit_count > 0) {
        return;
    }
    bool is_full = drv_list_is_linked(&lane->full);
    if (drv_heap_node_is_in(&lane->node)) {
        lane_leave(lane);
    } else if (is_full) {
        struct tenant *tenant = lane->turn->tenant;
        drv_list_remove(&lane->full);
        lane_inactive(lane);
        if (drv_list_is_empty(&tenant->full)) {
            drv_list_remove(&tenant->in_throttle);
        }
    }
    drv_heap_fini(&lane->fits);
    drv_list_remove(&lane->in_turn);
    lane->band->lane_count--;
    core_free(core, lane, sizeof *lane);
}

/* Gives back what holds nothing any more, from below; NULL: not there. */
static void prune(struct core *core, struct share *share, struct tier *tier, struct band *band,
                  struct turn *turn)
{
    if (band != NULL) {
        band_drop_if_empty(core, band);
    }
    if (turn != NULL) {
        turn_drop_if_empty(core, turn);
    }
    if (tier != NULL) {
        tier_drop_if_empty(core, tier);
    }
    share_drop_if_empty(core, share);
}

/* The lane for such a line, made if need be; NULL when out of memory. */
static struct lane *lane_for(struct core *core, struct class *class, const struct line *line)
{
    struct need needs[DRV_LABELS_MAX];
    size_t count;
    bool has_all = class_needs(class, line, needs, &count);
    DRV_ASSERT(has_all);
    struct share *share = share_ensure(core, class, line->queue);
    if (share == NULL) {
        return NULL;
    }
    struct tier *tier = tier_ensure(core, share, line->priority);
    struct band *band = tier == NULL ? NULL : band_ensure(core, tier, needs, count);
    struct turn *turn = band == NULL ? NULL : turn_ensure(core, tier, line->tenant);
    struct lane *lane = turn == NULL ? NULL : lane_ensure(core, band, turn);
    if (lane == NULL) {
        prune(core, share, tier, band, turn);
    }
    return lane;
}

static void lane_prune(struct core *core, struct lane *lane)
{
    struct band *band = lane->band;
    struct turn *turn = lane->turn;
    struct tier *tier = band->tier;
    lane_drop_if_empty(core, lane);
    prune(core, tier->share, tier, band, turn);
}

bool fit_new(struct core *core, struct offer *offer, struct line *line)
{
    struct lane *lane = lane_for(core, offer->class, line);
    if (lane == NULL) {
        return false;
    }
    struct fit *fit = core_alloc(core, sizeof *fit);
    if (fit == NULL || drv_heap_reserve(&lane->fits, lane->fit_count + 1)) {
        core_free(core, fit, sizeof *fit);
        if (lane->fit_count == 0) {
            lane_prune(core, lane);
        }
        return false;
    }
    struct share *share = lane->band->tier->share;
    lane->fit_count++;
    share->fit_count++;
    fit->lane = lane;
    fit->offer = offer;
    fit->line = line;
    drv_heap_node_init(&fit->node);
    drv_list_init(&fit->parked);
    drv_list_push_back(&line->fits, &fit->in_line);
    drv_list_push_back(&share->fits, &fit->in_share);
    fit_enter(core, fit);
    return true;
}

void fit_free(struct core *core, struct fit *fit)
{
    struct lane *lane = fit->lane;
    struct share *share = lane->band->tier->share;
    drv_heap_remove(&lane->fits, &fit->node);
    drv_list_remove(&fit->parked);
    drv_list_remove(&fit->in_line);
    drv_list_remove(&fit->in_share);
    core_free(core, fit, sizeof *fit);
    share->fit_count--;
    if (--lane->fit_count > 0) {
        return;
    }
    bool is_last = share->fit_count == 0;
    lane_prune(core, lane);
    if (!is_last && drv_heap_count(&share->bands) == 0) {
        share_rest(share);
    }
}
