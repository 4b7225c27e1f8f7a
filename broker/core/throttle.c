#include "throttle.h"

#include "broker.h"
#include "check.h"

#include <string.h>

/* The bucket holds what comes in so long. */
#define BURST_US ((int64_t)1000 * 1000)

/* --- fairness keys ----------------------------------------------------------------------- */

struct tenant_name {
    const struct queue *queue;
    struct drv_str text;
};

static bool tenant_is(const void *entry, const void *wanted)
{
    const struct tenant *tenant = entry;
    const struct tenant_name *name = wanted;
    return tenant->queue == name->queue &&
           str_equals(str_of(tenant->text, tenant->len), name->text);
}

void tenant_table_init(struct core *core)
{
    drv_table_init(&core->tenants, core->config.seed, tenant_is);
}

struct tenant *tenant_ensure(struct core *core, struct queue *queue, struct drv_str text)
{
    struct tenant_name name = {queue, text};
    uint64_t hash = drv_table_hash(&core->tenants, text.ptr, text.len) ^
                    drv_table_hash(&core->tenants, &queue, sizeof(struct queue *));
    struct tenant *tenant = drv_table_find(&core->tenants, hash, &name);
    if (tenant != NULL) {
        tenant->references++;
        return tenant;
    }
    tenant = core_alloc(core, sizeof *tenant + text.len);
    if (tenant == NULL || drv_table_insert(&core->tenants, hash, tenant)) {
        core_free(core, tenant, sizeof *tenant + text.len);
        return NULL;
    }
    tenant->queue = queue;
    tenant->references = 1;
    tenant->hash = hash;
    tenant->len = (uint16_t)text.len;
    memcpy(tenant->text, text.ptr, text.len);
    drv_list_init(&tenant->turns);
    drv_list_init(&tenant->full);
    drv_list_init(&tenant->in_throttle);
    return tenant;
}

void tenant_release(struct core *core, struct tenant *tenant)
{
    if (--tenant->references > 0) {
        return;
    }
    DRV_ASSERT(tenant->held == 0 && drv_list_is_empty(&tenant->turns) &&
               drv_list_is_empty(&tenant->full));
    drv_table_remove_entry(&core->tenants, tenant->hash, tenant);
    drv_list_remove(&tenant->in_throttle);
    core_free(core, tenant, sizeof *tenant + tenant->len);
}

/* --- the bucket -------------------------------------------------------------------------- */

static int64_t bucket_size(uint64_t rate)
{
    int64_t size = (int64_t)rate * BURST_US;
    return size < THROTTLE_TOKEN ? THROTTLE_TOKEN : size;
}

static int64_t bucket_level(const struct core *core, const struct throttle *throttle)
{
    int64_t size = bucket_size(throttle->rate);
    int64_t gained, level;
    if (__builtin_mul_overflow(core->now_us - throttle->filled_us, (int64_t)throttle->rate,
                               &gained) ||
        __builtin_add_overflow(throttle->level, gained, &level)) {
        return size;
    }
    return level < size ? level : size;
}

static void bucket_settle(const struct core *core, struct throttle *throttle)
{
    throttle->level = bucket_level(core, throttle);
    throttle->filled_us = core->now_us;
}

int64_t throttle_opens_us(const struct core *core, const struct throttle *throttle)
{
    if (throttle->rate == 0) {
        return INT64_MAX;
    }
    int64_t missing = THROTTLE_TOKEN - bucket_level(core, throttle);
    int64_t rate = (int64_t)throttle->rate;
    return missing <= 0 ? core->now_us : core->now_us + (missing + rate - 1) / rate;
}

/* --- open and shut ----------------------------------------------------------------------- */

static bool has_place(const struct throttle *throttle)
{
    return throttle->concurrency == 0 || throttle->queue->held < throttle->concurrency;
}

static bool has_token(const struct core *core, const struct throttle *throttle)
{
    return throttle->rate == 0 || bucket_level(core, throttle) >= THROTTLE_TOKEN;
}

bool throttle_is_open(const struct core *core, const struct throttle *throttle)
{
    return core->config.defects.ignore_limits ||
           (has_place(throttle) && has_token(core, throttle));
}

bool throttle_tenant_is_full(const struct core *core, const struct tenant *tenant)
{
    const struct throttle *throttle = tenant->queue->throttle;
    return throttle != NULL && throttle->per_key > 0 && tenant->held >= throttle->per_key &&
           !core->config.defects.ignore_limits;
}

void throttle_note_full(struct tenant *tenant)
{
    if (!drv_list_is_linked(&tenant->in_throttle)) {
        drv_list_push_back(&tenant->queue->throttle->full, &tenant->in_throttle);
    }
}

static void throttle_open(struct core *core, struct throttle *throttle)
{
    struct drv_list *link;
    timer_disarm(core, &throttle->timer);
    while ((link = drv_list_pop_front(&throttle->shut)) != NULL) {
        share_wake(core, DRV_LIST_ITEM(link, struct share, shut));
    }
}

/* Opens it if somebody waits and it can be; else says when to look again. */
static void throttle_look(struct core *core, struct throttle *throttle)
{
    if (drv_list_is_empty(&throttle->shut)) {
        return;
    }
    if (throttle_is_open(core, throttle)) {
        throttle_open(core, throttle);
    } else if (!has_token(core, throttle) && !timer_is_armed(&throttle->timer)) {
        timer_arm(core, &throttle->timer, throttle_opens_us(core, throttle));
    }
}

void throttle_shut(struct core *core, struct share *share)
{
    struct throttle *throttle = share->queue->throttle;
    share_rest(share);
    drv_list_push_back(&throttle->shut, &share->shut);
    throttle_look(core, throttle);
}

void throttle_take(struct core *core, struct throttle *throttle)
{
    if (throttle->rate > 0) {
        bucket_settle(core, throttle);
        throttle->level -= THROTTLE_TOKEN;
    }
}

void throttle_due(struct core *core, struct throttle *throttle)
{
    throttle_look(core, throttle);
}

/* --- settings ---------------------------------------------------------------------------- */

static struct throttle *throttle_ensure(struct core *core, struct queue *queue)
{
    struct throttle *throttle = queue->throttle;
    if (throttle != NULL) {
        return throttle;
    }
    throttle = core_alloc(core, sizeof *throttle);
    if (throttle == NULL || !timer_init(core, &throttle->timer, TIMER_THROTTLE)) {
        core_free(core, throttle, sizeof *throttle);
        return NULL;
    }
    throttle->queue = queue;
    drv_list_init(&throttle->shut);
    drv_list_init(&throttle->full);
    queue->throttle = throttle;
    return throttle;
}

/* Everybody looks again. */
static void throttle_reset(struct core *core, struct throttle *throttle)
{
    struct drv_list *link;
    throttle_open(core, throttle);
    queue_doubt(throttle->queue);
    while ((link = drv_list_first(&throttle->full)) != NULL) {
        tenant_wake(core, DRV_LIST_ITEM(link, struct tenant, in_throttle));
    }
}

/* What is held is not taken back. */
static void forgive(struct core *core, struct throttle *throttle)
{
    struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
    struct tenant *tenant;
    throttle->excess = throttle->queue->held;
    while ((tenant = drv_table_next(&core->tenants, &cursor)) != NULL) {
        if (tenant->queue == throttle->queue) {
            tenant->excess = tenant->held;
        }
    }
}

drover_status queue_limit(struct core *core, struct queue *queue,
                          const struct throttle_limits *limits)
{
    if (limits->rate == 0 && limits->concurrency == 0 && limits->per_key == 0) {
        throttle_free(core, queue);
        return DROVER_OK;
    }
    struct throttle *throttle = throttle_ensure(core, queue);
    if (throttle == NULL) {
        return DROVER_NOMEM;
    }
    bucket_settle(core, throttle);
    if (throttle->rate == 0) {
        throttle->level = bucket_size(limits->rate);
    }
    throttle->rate = limits->rate;
    throttle->concurrency = limits->concurrency;
    throttle->per_key = limits->per_key;
    bucket_settle(core, throttle); /* no more than its new size */
    forgive(core, throttle);
    throttle_reset(core, throttle);
    return DROVER_OK;
}

void throttle_empty(struct core *core, struct throttle *throttle)
{
    throttle->level = 0;
    throttle->filled_us = core->now_us;
}

void throttle_free(struct core *core, struct queue *queue)
{
    struct throttle *throttle = queue->throttle;
    if (throttle == NULL) {
        return;
    }
    queue->throttle = NULL;
    throttle_reset(core, throttle);
    timer_fini(core, &throttle->timer);
    core_free(core, throttle, sizeof *throttle);
}

/* --- leases ------------------------------------------------------------------------------ */

void line_held(struct line *line)
{
    line->queue->held++;
    if (line->tenant != NULL) {
        line->tenant->held++;
    }
}

void line_excuse(struct line *line)
{
    if (line->queue->throttle != NULL) {
        line->queue->throttle->excess = line->queue->held;
    }
    if (line->tenant != NULL) {
        line->tenant->excess = line->tenant->held;
    }
}

/* Counts only what is still there of it. */
static uint64_t shrink(uint64_t excess, uint64_t held)
{
    return excess < held ? excess : held;
}

void line_refund(struct core *core, const struct line *line)
{
    struct throttle *throttle = line->queue->throttle;
    if (throttle != NULL && throttle->rate > 0) {
        int64_t size = bucket_size(throttle->rate);
        bucket_settle(core, throttle);
        throttle->level += THROTTLE_TOKEN;
        throttle->level = throttle->level < size ? throttle->level : size;
        throttle_look(core, throttle);
    }
}

void line_given_back(struct core *core, struct line *line)
{
    struct queue *queue = line->queue;
    struct throttle *throttle = queue->throttle;
    struct tenant *tenant = line->tenant;
    queue->held--;
    if (tenant != NULL) {
        tenant->excess = shrink(tenant->excess, --tenant->held);
        if (!drv_list_is_empty(&tenant->full) && !throttle_tenant_is_full(core, tenant)) {
            tenant_wake(core, tenant);
        }
    }
    if (throttle != NULL) {
        throttle->excess = shrink(throttle->excess, queue->held);
        throttle_look(core, throttle);
    }
}
