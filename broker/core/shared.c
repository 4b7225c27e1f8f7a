/*
 * shared.c: the value that all elements of an array share, at the workers that need it.
 *
 * It is sent before the first lease that needs it and dropped when the array has ended. A
 * worker keeps a bounded number of values that no lease uses.
 */
#include "broker.h"
#include "check.h"

static struct shared *shared_find(const struct worker *worker, const struct array *array)
{
    DRV_LIST_EACH(link, &worker->shared)
    {
        struct shared *shared = DRV_LIST_ITEM(link, struct shared, in_worker);
        if (shared->array == array) {
            return shared;
        }
    }
    return NULL;
}

static void shared_free(struct core *core, struct shared *shared)
{
    shared->worker->shared_count--;
    drv_list_remove(&shared->in_worker);
    drv_list_remove(&shared->in_array);
    core_free(core, shared, sizeof *shared);
}

static void shared_tell_drop(struct core *core, const struct shared *shared)
{
    struct peer *peer = shared->worker->session->peer;
    if (!shared->is_sent || !peer_is_open(peer)) {
        return; /* a worker forgets its values when it connects anew */
    }
    struct drv_message *message = effects_message(core, DRV_SHARED);
    if (message != NULL) {
        message->shared.id = shared->array->task->id;
        message->shared.val.is_nil = true;
    }
    effects_send_at(core, peer, message, 0, save_level_of(core, shared->array->task));
}

/* Makes room when the worker keeps many values that nothing uses. */
static void shared_evict(struct core *core, struct worker *worker)
{
    if (worker->shared_count < SHARED_PER_WORKER_MAX) {
        return;
    }
    DRV_LIST_EACH(link, &worker->shared)
    {
        struct shared *shared = DRV_LIST_ITEM(link, struct shared, in_worker);
        if (shared->uses == 0) {
            shared_tell_drop(core, shared);
            shared_free(core, shared);
            return;
        }
    }
}

bool shared_use(struct core *core, struct worker *worker, struct array *array)
{
    if (array->with == NULL) {
        return true;
    }
    struct shared *shared = shared_find(worker, array);
    if (shared == NULL) {
        shared_evict(core, worker);
        shared = core_alloc(core, sizeof *shared);
        if (shared == NULL) {
            return false;
        }
        shared->worker = worker;
        shared->array = array;
        worker->shared_count++;
        drv_list_push_back(&worker->shared, &shared->in_worker);
        drv_list_push_back(&array->shares, &shared->in_array);
    }
    shared->uses++;
    return true;
}

void shared_unuse(struct core *core, struct worker *worker, struct array *array)
{
    (void)core;
    struct shared *shared = array->with == NULL ? NULL : shared_find(worker, array);
    if (shared != NULL && shared->uses > 0) {
        shared->uses--;
    }
}

void shared_drop_array(struct core *core, struct array *array)
{
    struct drv_list *link;
    while ((link = drv_list_first(&array->shares)) != NULL) {
        struct shared *shared = DRV_LIST_ITEM(link, struct shared, in_array);
        shared_tell_drop(core, shared);
        shared_free(core, shared);
    }
}

void shared_forget_worker(struct core *core, struct worker *worker)
{
    (void)core;
    DRV_LIST_EACH(link, &worker->shared)
    {
        DRV_LIST_ITEM(link, struct shared, in_worker)->is_sent = false;
    }
}

void shared_drop_worker(struct core *core, struct worker *worker)
{
    struct drv_list *link;
    while ((link = drv_list_first(&worker->shared)) != NULL) {
        shared_free(core, DRV_LIST_ITEM(link, struct shared, in_worker));
    }
}

void shared_send(struct core *core, struct worker *worker, struct array *array)
{
    struct shared *shared = array->with == NULL ? NULL : shared_find(worker, array);
    if (shared == NULL || shared->is_sent) {
        return;
    }
    struct peer *peer = worker->session->peer;
    enum drover_durability level = save_level_of(core, array->task);
    struct drv_message *message = effects_message(core, DRV_SHARED);
    uint64_t token = 0;
    if (message != NULL) {
        message->shared.id = array->task->id;
        message->shared.val = body_val(array->with);
        if (message->shared.val.len > DRV_INLINE_MAX) {
            /* Travels as chunks, which are charged. */
            struct flight *flight = peer_fly(core, peer, message->shared.val.len, level);
            message = flight == NULL ? NULL : message;
            token = flight == NULL ? 0 : flight->token;
        }
    }
    effects_send_at(core, peer, message, token, level);
    shared->is_sent = message != NULL;
}
