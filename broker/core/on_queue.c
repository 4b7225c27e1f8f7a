/*
 * on_queue.c: pause, resume, purge and settings of a queue.
 *
 * A purge cancels what stood in line when it was asked for, in slices; its reply tells how
 * many.
 */
#include "broker.h"
#include "check.h"
#include "handlers.h"
#include "purge.h"

static bool queue_is_special(const struct core *core, const struct queue *queue)
{
    return queue->is_paused || queue->throttle != NULL || queue->weight != 1 ||
           queue->level != 0 || queue->aging_us != 0 ||
           queue->placement != DRV_PLACEMENT_AUTO ||
           queue->max_count != core->config.queue_count_max ||
           queue->max_bytes != core->config.queue_bytes_max;
}

static void apply_limit(int64_t asked, uint64_t *limit)
{
    if (asked >= 0) {
        *limit = asked == 0 ? UINT64_MAX : (uint64_t)asked;
    }
}

static void apply_throttle(int64_t asked, uint64_t *limit)
{
    if (asked >= 0) {
        *limit = (uint64_t)asked;
    }
}

/* The only part that can fail once all is found to make sense. */
static drover_status queue_set_limits(struct core *core, struct queue *queue,
                                      const struct drv_queue_settings *settings)
{
    struct throttle_limits limits = queue_limits(queue);
    if (settings->rate < 0 && settings->concurrency < 0 && settings->per_key < 0) {
        return DROVER_OK;
    }
    apply_throttle(settings->rate, &limits.rate);
    apply_throttle(settings->concurrency, &limits.concurrency);
    apply_throttle(settings->per_key, &limits.per_key);
    return queue_limit(core, queue, &limits);
}

static void queue_set_order(struct core *core, struct queue *queue,
                            const struct drv_queue_settings *settings)
{
    if (settings->aging_ms >= 0) {
        queue_age(core, queue, (uint64_t)settings->aging_ms * 1000);
    }
    if (settings->placement >= 0) {
        queue->placement = (uint32_t)settings->placement;
    }
}

static drover_status queue_set(struct core *core, struct queue *queue,
                               const struct drv_queue_settings *settings, const char **out_text)
{
    if (settings->rate > THROTTLE_RATE_MAX) {
        *out_text = "the rate is too high";
        return DROVER_INVALID;
    }
    if (settings->weight > 1000000) {
        *out_text = "the weight is too large";
        return DROVER_INVALID;
    }
    if (settings->durability > DROVER_DURABILITY_SYNCED) {
        *out_text = "no such durability";
        return DROVER_INVALID;
    }
    if (settings->durability > (int64_t)core->config.durability_max) {
        *out_text = "the store cannot give this durability";
        return DROVER_REFUSED;
    }
    if (settings->aging_ms > DRV_AGING_MAX_MS) {
        *out_text = "aging is too slow";
        return DROVER_INVALID;
    }
    if (settings->placement > DRV_PLACEMENT_PACK) {
        *out_text = "no such placement";
        return DROVER_INVALID;
    }
    if (queue_set_limits(core, queue, settings)) {
        return DROVER_NOMEM;
    }
    queue_set_order(core, queue, settings);
    if (settings->durability >= 0) {
        queue->level = (uint32_t)settings->durability;
    }
    if (settings->weight >= 0) {
        queue->weight = settings->weight == 0 ? 1 : (uint32_t)settings->weight;
    }
    apply_limit(settings->max_count, &queue->max_count);
    apply_limit(settings->max_bytes, &queue->max_bytes);
    return DROVER_OK;
}

static void queue_record(struct core *core, const struct reply *reply)
{
    struct core_record record = {.kind = CORE_RECORD_QUEUE, .session = reply->session->id};
    effects_record(core, &record);
}

static void queue_apply(struct core *core, struct reply *reply, struct queue *queue,
                        const struct drv_queue_request *request)
{
    const char *text = NULL;
    drover_status status = DROVER_OK;
    bool is_pause = request->op == DRV_QUEUE_PAUSE || request->op == DRV_QUEUE_PAUSE_KNOWN;
    switch ((enum drv_queue_op)request->op) {
    case DRV_QUEUE_PAUSE:
    case DRV_QUEUE_RESUME:
    case DRV_QUEUE_PAUSE_KNOWN:
    case DRV_QUEUE_RESUME_KNOWN:
        queue_pause(core, queue, is_pause);
        event_queue(core, is_pause ? DRV_EVENT_QUEUE_PAUSED : DRV_EVENT_QUEUE_RESUMED, queue,
                    0);
        break;
    case DRV_QUEUE_SET:
        status = request->has_settings ? queue_set(core, queue, &request->settings, &text)
                                       : DROVER_INVALID;
        if (status == DROVER_OK) {
            event_queue(core, DRV_EVENT_QUEUE_SET, queue, 0);
        }
        break;
    case DRV_QUEUE_PURGE:
        DRV_UNREACHABLE();
    }
    if (status == DROVER_OK) {
        queue_record(core, reply);
    }
    reply_fail(core, reply, status, text);
}

void on_queue(struct core *core, struct peer *peer, const struct drv_message *message,
              struct reply *reply)
{
    (void)peer;
    const struct drv_queue_request *request = &message->queue;
    bool is_there = queue_find(core, request->queue) != NULL;
    if (request->op < DRV_QUEUE_PAUSE || request->op > DRV_QUEUE_RESUME_KNOWN) {
        reply_fail(core, reply, DROVER_INVALID, "no such operation");
        return;
    }
    if (!is_there && request->op >= DRV_QUEUE_PAUSE_KNOWN) {
        reply_fail(core, reply, DROVER_UNKNOWN, "there is no such queue");
        return;
    }
    /* A broker that is full must be able to purge what fills it. */
    if (!is_there && !core_has_memory(core, sizeof(struct queue))) {
        reply->retry_after_ms = RETRY_AFTER_MS;
        reply_fail(core, reply, DROVER_BUSY, "the broker has no memory left");
        return;
    }
    struct queue *queue = queue_ensure(core, request->queue);
    if (queue == NULL) {
        reply_fail(core, reply, DROVER_NOMEM, NULL);
        return;
    }
    if (request->op == DRV_QUEUE_PURGE) {
        queue_purge(core, queue, reply);
    } else {
        queue_apply(core, reply, queue, request);
        queue_keep(core, queue, queue_is_special(core, queue));
        if (reply->code == DROVER_OK) {
            save_queue(core, queue);
        }
    }
    queue_release(core, queue);
}
