/*
 * link_order.c: which message may overtake which.
 *
 * Every message that speaks of tasks has keys, one per task or lease. A message that need not
 * wait for the window waits all the same when a message in the ordered lane shares a key with
 * it: a RECALL never overtakes the LEASE that brings its lease, nor a CANCEL its SUBMIT. Two
 * tasks may share a key; then a message waits without need, and that is all.
 */
#include "check.h"
#include "link_private.h"

#include <stdlib.h>

/* The end of an id is random. */
static uint64_t key_of(const drover_id *id)
{
    uint64_t key;
    memcpy(&key, id->bytes + sizeof id->bytes - sizeof key, sizeof key);
    return key;
}

/* Elements of one array are apart; any odd constant will do. */
static uint64_t lease_key(const struct drv_ref *ref)
{
    return key_of(&ref->id) + ref->index * UINT64_C(0x9e3779b97f4a7c15);
}

/* Where the keys go; `keys` is NULL while they are being counted. */
struct sink {
    uint64_t *keys;
    size_t count;
};

static void add(struct sink *sink, uint64_t key)
{
    if (sink->keys != NULL) {
        sink->keys[sink->count] = key;
    }
    sink->count++;
}

static void add_lease(struct sink *sink, const struct drv_lease *lease)
{
    for (size_t i = 0; i < lease->group_count; i++) {
        for (size_t k = 0; k < lease->groups[i].entry_count; k++) {
            add(sink, lease_key(&lease->groups[i].entries[k].ref));
        }
    }
}

static void add_submit(struct sink *sink, const struct drv_submit *submit)
{
    for (size_t i = 0; i < submit->group_count; i++) {
        for (size_t k = 0; k < submit->groups[i].entry_count; k++) {
            add(sink, key_of(&submit->groups[i].entries[k].id));
        }
    }
}

static void add_abort(struct sink *sink, const struct drv_abort *abort_message)
{
    for (size_t i = 0; i < abort_message->lease_count; i++) {
        add(sink, lease_key(&abort_message->leases[i].ref));
    }
}

static void add_refs(struct sink *sink, const struct drv_leases *leases)
{
    for (size_t i = 0; i < leases->lease_count; i++) {
        add(sink, lease_key(&leases->leases[i]));
    }
}

static void add_targets(struct sink *sink, const struct drv_targets *targets)
{
    for (size_t i = 0; i < targets->target_count; i++) {
        add(sink, key_of(&targets->targets[i].id));
    }
}

static void add_follow(struct sink *sink, const struct drv_follow *follow)
{
    for (size_t i = 0; i < follow->lease_count; i++) {
        add(sink, lease_key(&follow->leases[i].ref));
    }
}

static void add_all(struct sink *sink, const struct drv_message *message)
{
    unsigned kind = message->kind;
    if (kind == DRV_LEASE) {
        add_lease(sink, &message->lease);
    } else if (kind == DRV_RECALL || kind == DRV_GO) {
        add_refs(sink, &message->leases);
    } else if (kind == DRV_FOLLOW) {
        add_follow(sink, &message->follow);
    } else if (kind == DRV_ABORT) {
        add_abort(sink, &message->abort);
    } else if (kind == DRV_SUBMIT) {
        add_submit(sink, &message->submit);
    } else if (kind == DRV_ARRAY_OPEN) {
        add(sink, key_of(&message->array_open.id));
    } else if (kind == DRV_ARRAY_ITEMS) {
        add(sink, key_of(&message->array_items.id));
    } else if (kind == DRV_ARRAY_SEAL) {
        add(sink, key_of(&message->array_seal.id));
    } else if (kind == DRV_CANCEL || kind == DRV_RETRY || kind == DRV_FORGET ||
               kind == DRV_WATCH || kind == DRV_UNWATCH) {
        add_targets(sink, &message->targets);
    } else if (kind == DRV_QUERY && message->query.has_id) {
        add(sink, key_of(&message->query.id));
    } else if (kind == DRV_SUBSCRIBE && message->subscribe.has_id) {
        add(sink, key_of(&message->subscribe.id));
    }
}

static int compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

drover_status link_keys_new(const struct drv_message *message, uint64_t **out_keys,
                            size_t *out_count)
{
    struct sink sink = {.keys = NULL};
    add_all(&sink, message);
    *out_keys = NULL;
    *out_count = 0;
    if (sink.count == 0) {
        return DROVER_OK;
    }
    uint64_t *keys = malloc(sink.count * sizeof *keys);
    if (keys == NULL) {
        return DROVER_NOMEM;
    }
    sink = (struct sink){.keys = keys};
    add_all(&sink, message);
    *out_keys = keys;
    *out_count = sink.count;
    return DROVER_OK;
}

bool link_must_wait(const struct drv_list *ordered, struct link_outgoing *message)
{
    if (message->key_count == 0 || drv_list_is_empty(ordered)) {
        return false;
    }
    qsort(message->keys, message->key_count, sizeof *message->keys, compare);
    DRV_LIST_EACH(at, ordered)
    {
        const struct link_outgoing *before = DRV_LIST_ITEM(at, struct link_outgoing, link);
        for (size_t i = 0; i < before->key_count; i++) {
            if (bsearch(&before->keys[i], message->keys, message->key_count,
                        sizeof *message->keys, compare) != NULL) {
                return true;
            }
        }
    }
    return false;
}
