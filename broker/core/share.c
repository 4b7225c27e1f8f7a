#include "share.h"

#include "share_order.h"

#include "broker.h"
#include "check.h"

/* Before anything that is in a line. */
#define LONG_AGO_US (INT64_MIN / 2)

bool fit_before(const struct drv_heap_node *a, const struct drv_heap_node *b)
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

bool lane_before(const struct drv_heap_node *a, const struct drv_heap_node *b)
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

bool band_before(const struct drv_heap_node *a, const struct drv_heap_node *b)
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

/*
 * With aging the next head of a priority may have waited longer than this one: what leaves, and
 * a turn that was taken, can make a band better. So whatever may have changed is looked at
 * before anything is chosen.
 */
static void band_doubt(struct band *band)
{
    struct share *share = band->tier->share;
    if (share->queue->aging_us > 0 && !drv_list_is_linked(&band->doubted)) {
        drv_list_push_back(&share->doubted, &band->doubted);
    }
}

void line_doubt(const struct line *line)
{
    DRV_LIST_EACH(link, &line->fits)
    {
        band_doubt(DRV_LIST_ITEM(link, struct fit, in_line)->lane->band);
    }
}

void queue_doubt(const struct queue *queue)
{
    DRV_LIST_EACH(link, &queue->lines)
    {
        line_doubt(DRV_LIST_ITEM(link, struct line, in_queue));
    }
}

static void turn_doubt(const struct turn *turn)
{
    DRV_LIST_EACH(link, &turn->lanes)
    {
        band_doubt(DRV_LIST_ITEM(link, struct lane, in_turn)->band);
    }
}

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
    band_doubt(band);
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

void lane_inactive(struct lane *lane)
{
    if (--lane->turn->active == 0) {
        lane->turn->tier->active--;
    }
}

void lane_leave(struct lane *lane)
{
    drv_heap_remove(&lane->band->lanes, &lane->node);
    lane_inactive(lane);
}

void fit_park(struct fit *fit)
{
    drv_heap_remove(&fit->lane->fits, &fit->node);
    drv_list_push_back(&fit->offer->class->parked, &fit->parked);
    band_doubt(fit->lane->band);
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

static void share_settle(const struct core *core, struct share *share)
{
    struct drv_list *link;
    while ((link = drv_list_pop_front(&share->doubted)) != NULL) {
        struct band *band = DRV_LIST_ITEM(link, struct band, doubted);
        const struct lane *lane;
        if (!drv_heap_node_is_in(&band->node)) {
            continue; /* it is looked at when it enters */
        }
        lane = band_best(core, band);
        if (lane == NULL) {
            drv_heap_remove(&share->bands, &band->node);
        } else {
            band_note(band, lane);
            drv_heap_update(&share->bands, &band->node);
        }
    }
}

struct fit *share_best(struct core *core, struct share *share)
{
    struct drv_heap_node *node;
    share_settle(core, share);
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
    if (turn->tier->share->queue->aging_us == 0) {
        return;
    }
    turn_doubt(turn);
    if (turn->tenant != NULL) { /* it may hold as much as it may now */
        DRV_LIST_EACH(link, &turn->tenant->turns)
        {
            turn_doubt(DRV_LIST_ITEM(link, struct turn, in_tenant));
        }
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
