#include "share.h"

#include "broker.h"
#include "check.h"

#include <string.h>

/* Before anything that is in a line. */
#define LONG_AGO_US (INT64_MIN / 2)

static bool fit_before(const struct drv_heap_node *a, const struct drv_heap_node *b)
{
    const struct fit *left = DRV_CONTAINER_OF((struct drv_heap_node *)a, struct fit, node);
    const struct fit *right = DRV_CONTAINER_OF((struct drv_heap_node *)b, struct fit, node);
    return left->arrival < right->arrival;
}

static bool is_before(uint64_t turn, uint64_t arrival, uint64_t other_turn,
                      uint64_t other_arrival)
{
    return turn != other_turn ? turn < other_turn : arrival < other_arrival;
}

static bool lane_before(const struct drv_heap_node *a, const struct drv_heap_node *b)
{
    const struct lane *left = DRV_CONTAINER_OF((struct drv_heap_node *)a, struct lane, node);
    const struct lane *right = DRV_CONTAINER_OF((struct drv_heap_node *)b, struct lane, node);
    return is_before(left->number, left->arrival, right->number, right->arrival);
}

/* When its head would have come with priority 0; the earlier, the sooner it is its turn. */
static int64_t band_rank(const struct band *band)
{
    const struct tier *tier = band->tier;
    return band->since_us - tier->priority * (int64_t)tier->share->queue->aging_us;
}

static bool band_before(const struct drv_heap_node *a, const struct drv_heap_node *b)
{
    const struct band *left = DRV_CONTAINER_OF((struct drv_heap_node *)a, struct band, node);
    const struct band *right = DRV_CONTAINER_OF((struct drv_heap_node *)b, struct band, node);
    if (left->tier->share->queue->aging_us > 0 && band_rank(left) != band_rank(right)) {
        return band_rank(left) < band_rank(right);
    }
    if (left->tier->priority != right->tier->priority) {
        return left->tier->priority > right->tier->priority;
    }
    return is_before(left->turn, left->arrival, right->turn, right->arrival);
}

static struct fit *lane_top(const struct lane *lane)
{
    struct drv_heap_node *node = drv_heap_min(&lane->fits);
    return node == NULL ? NULL : DRV_CONTAINER_OF(node, struct fit, node);
}

static struct lane *band_top(const struct band *band)
{
    struct drv_heap_node *node = drv_heap_min(&band->lanes);
    return node == NULL ? NULL : DRV_CONTAINER_OF(node, struct lane, node);
}

/* --- what comes -------------------------------------------------------------------------- */

/* Room was reserved when the node was made. */
static void enter(struct drv_heap *heap, struct drv_heap_node *node)
{
    drover_status status = drv_heap_insert(heap, node);
    DRV_ASSERT(status == DROVER_OK);
}

/* As its best lane is. What is no longer there is found out when it comes to the top. */
static void band_note(struct band *band, const struct lane *top)
{
    band->turn = top->number;
    band->arrival = top->arrival;
    if (band->tier->share->queue->aging_us > 0) {
        const struct fit *fit = lane_top(top);
        const struct place *head = fit == NULL ? NULL : line_head(fit->line);
        band->since_us = head == NULL ? LONG_AGO_US : place_aged_us(head);
    }
}

static void band_enter(struct core *core, struct band *band)
{
    const struct lane *top = band_top(band);
    if (top == NULL || drv_list_is_linked(&band->hungry)) {
        return;
    }
    struct share *share = band->tier->share;
    if (!drv_heap_node_is_in(&band->node)) {
        band_note(band, top);
        enter(&share->bands, &band->node);
    } else if (is_before(top->number, top->arrival, band->turn, band->arrival)) {
        band_note(band, top);
        drv_heap_update(&share->bands, &band->node);
    }
    share_wake(core, share);
}

static void lane_enter(struct core *core, struct lane *lane)
{
    const struct fit *top = lane_top(lane);
    struct turn *turn = lane->turn;
    if (top == NULL || drv_list_is_linked(&lane->full)) {
        return;
    }
    if (!drv_heap_node_is_in(&lane->node)) {
        if (turn->active++ == 0) {
            turn->number = ++turn->tier->serial; /* behind all that wait */
            turn->tier->active++;
        }
        lane->number = turn->number;
        lane->arrival = top->arrival;
        enter(&lane->band->lanes, &lane->node);
    } else if (top->arrival < lane->arrival) {
        lane->arrival = top->arrival;
        drv_heap_update(&lane->band->lanes, &lane->node);
    }
    band_enter(core, lane->band);
}

void fit_enter(struct core *core, struct fit *fit)
{
    const struct place *head = line_head(fit->line);
    if (head == NULL || drv_list_is_linked(&fit->parked)) {
        return;
    }
    if (!drv_heap_node_is_in(&fit->node)) {
        fit->arrival = head->arrival;
        enter(&fit->lane->fits, &fit->node);
    } else if (head->arrival < fit->arrival) {
        fit->arrival = head->arrival;
        drv_heap_update(&fit->lane->fits, &fit->node);
    }
    lane_enter(core, fit->lane);
}

void share_wake(struct core *core, struct share *share)
{
    if (share->queue->is_paused || drv_heap_count(&share->bands) == 0 ||
        drv_list_is_linked(&share->shut)) {
        return;
    }
    if (!drv_list_is_linked(&share->ring)) {
        drv_list_push_back(&share->class->ring, &share->ring);
        share->class->ring_count++;
    }
    class_touch(core, share->class);
}

/* --- what goes --------------------------------------------------------------------------- */

void share_rest(struct share *share)
{
    if (drv_list_is_linked(&share->ring)) {
        drv_list_remove(&share->ring);
        share->class->ring_count--;
        share->deficit = 0;
    }
}

static void lane_inactive(struct lane *lane)
{
    if (--lane->turn->active == 0) {
        lane->turn->tier->active--;
    }
}

/* It has no work, or none that a worker has room for. */
static void lane_leave(struct lane *lane)
{
    drv_heap_remove(&lane->band->lanes, &lane->node);
    lane_inactive(lane);
}

void fit_park(struct fit *fit)
{
    drv_heap_remove(&fit->lane->fits, &fit->node);
    drv_list_push_back(&fit->offer->class->parked, &fit->parked);
}

void band_park(struct band *band)
{
    struct share *share = band->tier->share;
    drv_heap_remove(&share->bands, &band->node);
    drv_list_push_back(&share->class->hungry, &band->hungry);
}

void band_feed(struct core *core, struct band *band)
{
    drv_list_remove(&band->hungry);
    band_enter(core, band);
}

/* Its work keeps its turn. */
static void lane_park(struct lane *lane)
{
    struct tenant *tenant = lane->turn->tenant;
    drv_heap_remove(&lane->band->lanes, &lane->node);
    drv_list_push_back(&tenant->full, &lane->full);
    throttle_note_full(tenant);
}

void tenant_wake(struct core *core, struct tenant *tenant)
{
    struct drv_list *link;
    while ((link = drv_list_pop_front(&tenant->full)) != NULL) {
        struct lane *lane = DRV_LIST_ITEM(link, struct lane, full);
        lane_inactive(lane); /* entering counts it again */
        lane_enter(core, lane);
    }
    drv_list_remove(&tenant->in_throttle);
}

/* --- what is next ------------------------------------------------------------------------ */

static struct fit *lane_best(struct lane *lane)
{
    struct fit *fit;
    while ((fit = lane_top(lane)) != NULL) {
        const struct place *head = line_head(fit->line);
        if (head == NULL) {
            drv_heap_remove(&lane->fits, &fit->node);
        } else if (head->arrival != fit->arrival) {
            fit->arrival = head->arrival;
            drv_heap_update(&lane->fits, &fit->node);
        } else {
            return fit;
        }
    }
    return NULL;
}

static struct lane *band_best(const struct core *core, struct band *band)
{
    struct lane *lane;
    while ((lane = band_top(band)) != NULL) {
        const struct fit *fit = lane_best(lane);
        if (fit == NULL) {
            lane_leave(lane);
        } else if (lane->turn->tenant != NULL &&
                   throttle_tenant_is_full(core, lane->turn->tenant)) {
            lane_park(lane);
        } else if (lane->number != lane->turn->number || lane->arrival != fit->arrival) {
            lane->number = lane->turn->number;
            lane->arrival = fit->arrival;
            drv_heap_update(&band->lanes, &lane->node);
        } else {
            return lane;
        }
    }
    return NULL;
}

struct fit *share_best(struct core *core, struct share *share)
{
    struct drv_heap_node *node;
    while ((node = drv_heap_min(&share->bands)) != NULL) {
        struct band *band = DRV_CONTAINER_OF(node, struct band, node);
        const struct lane *lane = band_best(core, band);
        if (lane == NULL) {
            drv_heap_remove(&share->bands, node);
        } else if (lane->number != band->turn || lane->arrival != band->arrival) {
            band_note(band, lane);
            drv_heap_update(&share->bands, node);
        } else {
            return lane_top(lane);
        }
    }
    share_rest(share);
    return NULL;
}

void share_served(const struct fit *fit)
{
    struct turn *turn = fit->lane->turn;
    if (turn->tier->active > 1) { /* who is alone has no turn to lose */
        turn->number = ++turn->tier->serial;
    }
}

/* --- aging ------------------------------------------------------------------------------- */

static void share_empty(struct share *share)
{
    while (drv_heap_count(&share->bands) > 0) {
        drv_heap_remove(&share->bands, drv_heap_min(&share->bands));
    }
}

static void share_refill(struct core *core, struct share *share)
{
    DRV_LIST_EACH(tier_link, &share->tiers)
    {
        const struct tier *tier = DRV_LIST_ITEM(tier_link, struct tier, in_share);
        DRV_LIST_EACH(link, &tier->bands)
        {
            band_enter(core, DRV_LIST_ITEM(link, struct band, in_tier));
        }
    }
    if (drv_heap_count(&share->bands) == 0) {
        share_rest(share); /* what stood there had no work any more */
    }
}

void queue_age(struct core *core, struct queue *queue, uint64_t aging_us)
{
    if (aging_us == queue->aging_us || core->config.defects.ignore_aging) { /* defect */
        return;
    }
    DRV_LIST_EACH(link, &queue->shares)
    {
        share_empty(DRV_LIST_ITEM(link, struct share, in_queue));
    }
    queue->aging_us = aging_us;
    DRV_LIST_EACH(link, &queue->shares)
    {
        share_refill(core, DRV_LIST_ITEM(link, struct share, in_queue));
    }
}

/* --- building ---------------------------------------------------------------------------- */

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
