/*
 * stock.c: what workers have of resources, and how their hosts are.
 */
#include "broker.h"
#include "check.h"

/* --- resources --------------------------------------------------------------------------- */

bool worker_stock(struct core *core, struct worker *worker,
                  const struct drv_worker_hello *hello)
{
    const struct class *class = worker->class;
    struct stock *stocks = core_alloc(core, class->resource_count * sizeof *stocks);
    if (stocks == NULL) {
        return false;
    }
    for (size_t i = 0; i < class->resource_count; i++) {
        for (size_t j = 0; j < hello->resource_count; j++) {
            if (str_equals(class->resources[i], hello->resources[j].name)) {
                stocks[i].total = hello->resources[j].count;
            }
        }
    }
    worker->stocks = stocks;
    DRV_LIST_EACH(link, &worker->leases)
    {
        worker_use(worker, DRV_LIST_ITEM(link, struct lease, in_worker)->task->spec->line);
    }
    worker_excuse(worker);
    worker->has_grown = true;
    return true;
}

void worker_unstock(struct core *core, struct worker *worker)
{
    core_free(core, worker->stocks, worker->class->resource_count * sizeof *worker->stocks);
    worker->stocks = NULL;
}

bool worker_has(const struct core *core, const struct worker *worker, const struct need *needs,
                size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct stock *stock = &worker->stocks[needs[i].resource];
        uint64_t left = stock->total > stock->used ? stock->total - stock->used : 0;
        if (needs[i].count > left && !core->config.defects.ignore_needs) {
            return false;
        }
    }
    return true;
}

/* In the resources of its class; 0 when it has none, or lacks one (a lease from before it came
 * back as another). */
static size_t needs_of(const struct worker *worker, const struct line *line,
                       struct need needs[DRV_LABELS_MAX])
{
    size_t count = 0;
    bool has_all = worker->class != NULL && class_needs(worker->class, line, needs, &count);
    return has_all ? count : 0;
}

void worker_use(struct worker *worker, const struct line *line)
{
    struct need needs[DRV_LABELS_MAX];
    size_t count = line->needs_len == 0 ? 0 : needs_of(worker, line, needs);
    for (size_t i = 0; i < count; i++) {
        struct stock *stock = &worker->stocks[needs[i].resource];
        stock->used += needs[i].count; /* wraps and comes back, if records say odd things */
    }
}

void worker_unuse(struct worker *worker, const struct line *line)
{
    struct need needs[DRV_LABELS_MAX];
    size_t count = needs_of(worker, line, needs);
    for (size_t i = 0; i < count; i++) {
        struct stock *stock = &worker->stocks[needs[i].resource];
        stock->used -= needs[i].count;
        stock->excess = stock->excess < stock->used ? stock->excess : stock->used;
    }
    worker->has_grown = true;
}

void worker_excuse(struct worker *worker)
{
    for (size_t i = 0; worker->class != NULL && i < worker->class->resource_count; i++) {
        worker->stocks[i].excess = worker->stocks[i].used;
    }
}

void worker_feed(struct core *core, struct worker *worker)
{
    worker->has_grown = false;
    if (worker_free_slots(core, worker) <= 0) {
        return;
    }
    DRV_LIST_EACH_SAFE(link, &worker->class->hungry)
    {
        struct band *band = DRV_LIST_ITEM(link, struct band, hungry);
        if (worker_has(core, worker, band->needs, band->need_count)) {
            band_feed(core, band);
        }
    }
}

/* --- hosts ------------------------------------------------------------------------------- */

/* Below the mark by so many percent a host counts as well again. */
enum { MARK_HYSTERESIS = 5 };

static double busiest(const struct drv_host *host)
{
    double cpu = host->cpu_percent, memory = host->memory_percent;
    double most = cpu > memory ? cpu : memory;
    return most >= 0.0 && most <= 100.0 ? most : 0.0; /* what makes no sense says nothing */
}

static bool is_over_mark(const struct core *core, const struct worker *worker)
{
    double mark = core->config.memory_mark_percent;
    double least = worker->is_heavy ? mark - MARK_HYSTERESIS : mark;
    return mark > 0.0 && worker->host.memory_percent >= least &&
           !core->config.defects.ignore_memory;
}

void worker_weigh(struct core *core, struct worker *worker)
{
    uint8_t headroom = (uint8_t)(10 - (unsigned)(busiest(&worker->host) / 10.0));
    bool is_heavy = is_over_mark(core, worker);
    headroom = headroom == 0 ? 1 : headroom;
    if (headroom != worker->headroom || is_heavy != worker->is_heavy) {
        worker->headroom = headroom;
        worker->is_heavy = is_heavy;
        worker_update(core, worker);
    }
}
