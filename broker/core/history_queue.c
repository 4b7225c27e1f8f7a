/* history_queue.c: see history_queue.h. */
#include "history_queue.h"

#include "broker.h"

#include <math.h>
#include <stdlib.h>

static void forget(struct core *core, uint32_t at)
{
    struct history *all = &core->history;
    free(all->queues[at]);
    all->queues[at] = all->queues[--all->queue_count];
}

/* ---- whose it is ------------------------------------------------------------------------- */

const struct queue_history *queue_history_find(const struct core *core, struct drv_str name)
{
    for (uint32_t i = 0; i < core->history.queue_count; i++) {
        const struct queue_history *history = core->history.queues[i];
        if (str_equals(name, str_of(history->name, history->name_len))) {
            return history;
        }
    }
    return NULL;
}

void queue_history_join(struct core *core, struct queue *queue)
{
    struct queue_history *history = (struct queue_history *)queue_history_find(
        core, queue_name(queue));
    if (history != NULL) {
        DRV_ASSERT(history->queue == NULL);
        history->queue = queue;
        history->counted = (struct history_tally){0};
        queue->history = history;
    }
}

/* Makes room: the one whose queue has been gone for the longest is forgotten, if there is one.
 */
static void make_room(struct core *core)
{
    struct history *all = &core->history;
    uint32_t longest = all->queue_count;
    for (uint32_t i = 0; i < all->queue_count; i++) {
        bool is_longer = longest == all->queue_count ||
                         all->queues[i]->gone_us < all->queues[longest]->gone_us;
        if (all->queues[i]->queue == NULL && is_longer) {
            longest = i;
        }
    }
    if (longest < all->queue_count) {
        forget(core, longest);
    }
}

static void begin(struct core *core, struct queue *queue)
{
    struct history *all = &core->history;
    if (all->queue_count == HISTORY_QUEUES_MAX) {
        make_room(core);
    }
    struct queue_history *history = all->queue_count < HISTORY_QUEUES_MAX
                                        ? calloc(1, sizeof *history)
                                        : NULL;
    if (history == NULL) {
        return;
    }
    history->queue = queue;
    history->name_len = queue->name_len;
    memcpy(history->name, queue->name, queue->name_len);
    for (int span = 0; span < HISTORY_SPANS; span++) {
        history->since[span] = all->rings[span].number + 1;
    }
    queue->history = history;
    all->queues[all->queue_count++] = history;
}

/* ---- looks ------------------------------------------------------------------------------- */

static struct history_tally tally_of(const struct times *times)
{
    return times == NULL ? (struct history_tally){0}
                         : (struct history_tally){.waited = times->total[TIMES_WAIT],
                                                  .ran = times->total[TIMES_RUN],
                                                  .wait_us = times->sum_us[TIMES_WAIT],
                                                  .run_us = times->sum_us[TIMES_RUN]};
}

/* What has ended since the last look. */
static void count(struct queue_history *history, const struct times *times)
{
    struct history_tally now = tally_of(times), *before = &history->counted;
    history->ended += now.ran - before->ran;
    for (int span = 0; span < HISTORY_SPANS; span++) {
        struct history_tally *sum = &history->sum[span];
        sum->waited += now.waited - before->waited;
        sum->ran += now.ran - before->ran;
        sum->wait_us += now.wait_us - before->wait_us;
        sum->run_us += now.run_us - before->run_us;
    }
    *before = now;
}

void queue_history_leave(struct core *core, struct queue *queue)
{
    struct queue_history *history = queue->history;
    if (history != NULL) {
        count(history, queue->times);
        history->queue = NULL;
        history->gone_us = core->now_us;
        history->oldest_us = 0;
        history->is_oldest_known = true;
        queue->history = NULL;
    }
}

static int64_t earliest_of(const struct queue *queue, uint32_t *budget)
{
    int64_t oldest = 0;
    DRV_LIST_EACH(link, &queue->lines)
    {
        const struct place *head = line_head(DRV_LIST_ITEM(link, struct line, in_queue));
        int64_t since_us = head == NULL ? 0 : place_since_us(head);
        if (head != NULL && (oldest == 0 || since_us < oldest)) {
            oldest = since_us;
        }
        if (--*budget == 0) {
            break;
        }
    }
    return oldest;
}

/* Bounded: queues, and lines of those in which something waits. */
static int64_t look_at_queues(struct core *core)
{
    struct drv_table_cursor cursor = DRV_TABLE_CURSOR_INIT;
    struct queue *queue;
    uint32_t budget = HISTORY_LINES_MAX, begun = 0;
    int64_t oldest = 0;
    while (budget > 0 && (queue = drv_table_next(&core->queues, &cursor)) != NULL) {
        budget--;
        if (queue->history == NULL && begun < HISTORY_NEW_MAX) {
            begin(core, queue);
            begun++;
        }
        int64_t since_us = budget > 0 && queue->queued > 0 ? earliest_of(queue, &budget) : 0;
        if (since_us != 0 && (oldest == 0 || since_us < oldest)) {
            oldest = since_us;
        }
        if (queue->history != NULL) {
            queue->history->oldest_us = since_us;
            queue->history->is_oldest_known = budget > 0 || queue->queued == 0;
        }
    }
    return oldest;
}

int64_t queue_history_look(struct core *core)
{
    int64_t oldest = look_at_queues(core);
    for (uint32_t i = core->history.queue_count; i-- > 0;) {
        struct queue_history *history = core->history.queues[i];
        if (history->queue == NULL && core->now_us - history->gone_us > HISTORY_GONE_US) {
            forget(core, i);
            continue;
        }
        if (history->queue != NULL) {
            count(history, history->queue->times);
        }
        uint32_t at = history->rate_count++ % HISTORY_RATE_SAMPLES;
        history->rates[at].at_us = core->now_us;
        history->rates[at].ended = history->ended;
    }
    return oldest;
}

double queue_history_rate(const struct queue_history *history)
{
    if (history == NULL || history->rate_count < 2) {
        return 0;
    }
    uint32_t last = history->rate_count - 1;
    uint32_t first = last >= HISTORY_RATE_SAMPLES - 1 ? last - (HISTORY_RATE_SAMPLES - 1) : 0;
    first %= HISTORY_RATE_SAMPLES;
    last %= HISTORY_RATE_SAMPLES;
    int64_t us = history->rates[last].at_us - history->rates[first].at_us;
    uint64_t ended = history->rates[last].ended - history->rates[first].ended;
    return us > 0 ? (double)ended * 1e6 / (double)us : 0;
}

/* ---- rows -------------------------------------------------------------------------------- */

static float mean_ms(uint64_t sum_us, uint64_t count)
{
    return count == 0 ? NAN : (float)((double)sum_us / (double)count / 1000);
}

static float slowest_ms(const struct times *times)
{
    static const unsigned permille = 990;
    uint64_t us = 0;
    if (times_count(times, TIMES_WAIT) == 0) {
        return NAN;
    }
    times_permilles(times, TIMES_WAIT, &permille, &us, 1);
    return (float)us / 1000;
}

static struct history_load row_of(const struct core *core, const struct queue_history *history,
                                  enum history_span span)
{
    const struct queue *queue = history->queue;
    const struct history_tally *sum = &history->sum[span];
    float oldest_ms = !history->is_oldest_known ? NAN
                      : history->oldest_us == 0
                          ? 0
                          : (float)(core->now_us - history->oldest_us) / 1000;
    return (struct history_load){
        .queued = queue == NULL ? 0 : (float)queue->queued,
        .running = queue == NULL ? 0 : (float)queue->running,
        .delayed = history_half(queue == NULL ? 0 : (float)(queue->delayed + queue->waiting)),
        .ended = history_half((float)sum->ran),
        .oldest_ms = history_half(oldest_ms),
        .wait_ms = history_half(mean_ms(sum->wait_us, sum->waited)),
        .run_ms = history_half(mean_ms(sum->run_us, sum->ran)),
        .wait_p99_ms = history_half(queue == NULL ? NAN : slowest_ms(queue->times)),
    };
}

void queue_history_put(struct core *core, enum history_span span, uint64_t number, bool known)
{
    uint16_t none = history_half(NAN);
    const struct history_load nothing = {NAN, NAN, none, none, none, none, none, none};
    for (uint32_t i = 0; i < core->history.queue_count; i++) {
        struct queue_history *history = core->history.queues[i];
        struct history_load *rows = span == HISTORY_HOUR ? history->hour : history->day;
        rows[number % history_rows(span)] = known ? row_of(core, history, span) : nothing;
        history->sum[span] = (struct history_tally){0};
    }
}

void queue_history_fini(struct core *core)
{
    while (core->history.queue_count > 0) {
        uint32_t last = core->history.queue_count - 1;
        DRV_ASSERT(core->history.queues[last]->queue == NULL);
        forget(core, last);
    }
}
