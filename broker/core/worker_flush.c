/*
 * worker_flush.c: everything to be told to a worker at the end of a turn.
 */
#include "broker.h"
#include "check.h"
#include "range.h"

#include <string.h>

/* Estimated bytes in the head. */
enum {
    LEASE_HEAD_BYTES = 64,
    GROUP_HEAD_BYTES = 320,
    NEED_HEAD_BYTES =
        4, /* for each byte of what is kept of them, a digit and a zero at least */
    REF_HEAD_BYTES = 48,
    LOAD_LEASES_MAX = 8192, /* looked at for one message */
    PARENT_HEAD_BYTES = 32,
};

/* --- leases ------------------------------------------------------------------------------ */

/* One LEASE message being filled; groups and entries grow with what fits. */
struct load {
    struct drv_lease_group *groups;
    struct drv_lease_entry *entries;
    size_t group_count, entry_count, capacity;
    struct drv_meter meter;
    uint64_t bytes;
    enum drover_durability level; /* of all entries */
    const struct spec *spec;      /* of the group being filled */
    uint32_t flags;
    bool is_broken; /* out of memory */
    struct range_fill range;
    size_t waiting; /* leases for this worker, in this message or the next ones */
};

/* Of all that is said of a lease, so that nothing passes it: also what it waited for is safe.
 */
/* What it has waited for: an element also for what its array has. */
static size_t lease_edge_count(const struct lease *lease)
{
    const struct edge *edges = NULL;
    size_t count = deps_edges(lease->unit, &edges);
    return count +
           (lease->index == DROVER_INDEX_NONE ? 0 : deps_edges(&lease->task->unit, &edges));
}

static enum drover_durability lease_level(const struct core *core, const struct lease *lease)
{
    struct item item = lease_item(lease);
    return lease_edge_count(lease) == 0 ? save_level_of(core, lease->task)
                                        : deps_level(core, &item);
}

static uint32_t lease_wire_flags(const struct lease *lease)
{
    uint32_t flags = lease->flags & LEASE_CONFIRM ? DRV_LEASE_CONFIRM : 0;
    if (task_is_array(lease->task) && lease->task->array->with != NULL) {
        flags |= DRV_LEASE_SHARED;
    }
    return flags;
}

static struct drv_bounds spec_limits(const struct spec *spec)
{
    const uint64_t *limits = spec->numbers.limits;
    return (struct drv_bounds){.memory_bytes = limits[SPEC_LIMIT_MEMORY],
                               .cpu_ms = limits[SPEC_LIMIT_CPU],
                               .output_bytes = limits[SPEC_LIMIT_OUTPUT],
                               .processes = limits[SPEC_LIMIT_PROCESSES],
                               .files = limits[SPEC_LIMIT_FILES]};
}

/* What the group has of its worker's resources. Without memory it is not told, as to a worker
 * that does not know the field. */
static void load_needs(struct core *core, struct drv_lease_group *group,
                       const struct line *line)
{
    struct drv_count *needs = effects_take(core, DRV_LABELS_MAX, sizeof *needs);
    const char *at = line_needs(line).ptr;
    const char *end = at + line->needs_len;
    while (needs != NULL && at < end && group->need_count < DRV_LABELS_MAX) {
        struct drv_count *need = &needs[group->need_count++];
        at = needs_next(at, &need->name, &need->count);
    }
    group->needs = needs;
}

static void load_begin_group(struct core *core, struct load *load, const struct spec *spec,
                             uint32_t flags)
{
    struct drv_lease_group *group = &load->groups[load->group_count++];
    *group = (struct drv_lease_group){
        .type = type_name(spec->line->type),
        .queue = queue_name(spec->line->queue),
        .timeout_ms = spec->numbers.timeout_ms,
        .term_ms = ms_of_us(core->config.cancel_term_us),
        .kill_ms = ms_of_us(core->config.cancel_kill_us),
        .flags = flags,
        .limits = spec_limits(spec),
        .entries = &load->entries[load->entry_count],
    };
    if (spec->line->needs_len > 0) {
        load_needs(core, group, spec->line);
    }
    load->spec = spec;
    load->flags = flags;
}

static bool group_takes(const struct load *load, const struct spec *spec, uint32_t flags)
{
    const struct spec *open = load->spec;
    return open != NULL && open->line == spec->line && flags == load->flags &&
           open->numbers.timeout_ms == spec->numbers.timeout_ms &&
           memcmp(open->numbers.limits, spec->numbers.limits, sizeof open->numbers.limits) == 0;
}

static size_t put_parents(const struct unit *unit, struct drv_parent *parents)
{
    const struct edge *edges = NULL;
    size_t count = deps_edges(unit, &edges);
    for (size_t i = 0; i < count; i++) {
        struct item parent = edge_parent(&edges[i]);
        parents[i] = (struct drv_parent){.id = parent.task->id,
                                         .index = parent.index,
                                         .when = edges[i].when,
                                         .state = parent.unit->state};
    }
    return count;
}

/* What it has waited for, that of its array first: what is awaited comes last. False: out of
 * memory. */
static bool entry_parents(struct core *core, struct drv_lease_entry *entry,
                          const struct lease *lease, size_t count)
{
    struct drv_parent *parents = effects_take(core, count, sizeof *parents);
    if (parents == NULL) {
        return false;
    }
    size_t of_array = lease->index == DROVER_INDEX_NONE
                          ? 0
                          : put_parents(&lease->task->unit, parents);
    entry->parents = parents;
    entry->parent_count = of_array + put_parents(lease->unit, parents + of_array);
    return true;
}

/* As one more of the elements in the last entry. */
static bool load_extend(struct load *load, const struct lease *lease)
{
    if (load->entry_count == 0) {
        return false;
    }
    struct drv_lease_entry *entry = &load->entries[load->entry_count - 1];
    size_t before = entry->val.len;
    if (!range_extend(&load->range, &load->meter, entry, lease)) {
        return false;
    }
    load->bytes += entry->val.len - before;
    return true;
}

/* False: the message is full, or there is no memory (load->is_broken). */
static bool load_add(struct core *core, struct load *load, const struct worker *worker,
                     struct lease *lease)
{
    if (load_extend(load, lease)) {
        return true;
    }
    const struct spec *spec = lease->task->spec;
    struct item item = lease_item(lease);
    struct drv_lease_entry entry = {
        .ref = lease_ref(lease), .val = item_payload(&item), .meta = spec_meta(spec)};
    uint32_t flags = lease_wire_flags(lease);
    size_t edge_count = lease_edge_count(lease);
    enum drover_durability level = lease_level(core, lease);
    bool is_new_group = !group_takes(load, spec, flags);
    size_t head_bytes = LEASE_HEAD_BYTES + entry.meta.len + edge_count * PARENT_HEAD_BYTES +
                        (is_new_group
                             ? GROUP_HEAD_BYTES + NEED_HEAD_BYTES * spec->line->needs_len
                             : 0);
    if (load->entry_count == load->capacity ||
        (load->entry_count > 0 && level != load->level) ||
        !drv_meter_fits(&load->meter, head_bytes, &entry.val)) {
        return false;
    }
    if (edge_count > 0 && !entry_parents(core, &entry, lease, edge_count)) {
        load->is_broken = true;
        return false;
    }
    if (is_new_group) {
        load_begin_group(core, load, spec, flags);
    }
    load->entries[load->entry_count++] = entry;
    load->groups[load->group_count - 1].entry_count++;
    load->bytes += entry.val.len;
    load->level = level;
    range_begin(core, &load->range, worker, lease, load->waiting);
    return true;
}

/* Values shared by arrays go before the leases that need them. */
static void send_shared(struct core *core, struct worker *worker)
{
    const struct array *last = NULL;
    DRV_LIST_EACH(link, &worker->fresh)
    {
        struct lease *lease = DRV_LIST_ITEM(link, struct lease, link);
        if (task_is_array(lease->task) && lease->task->array != last) {
            last = lease->task->array;
            shared_send(core, worker, lease->task->array);
        }
    }
}

static size_t list_count(const struct drv_list *list, size_t max)
{
    size_t count = 0;
    DRV_LIST_EACH(link, list)
    {
        if (count++ == max) {
            break;
        }
    }
    return count < max ? count : max;
}

/* Where the lengths of elements go that travel together; none: they travel one by one. */
static void load_take_lengths(struct core *core, struct load *load, const struct worker *worker)
{
    struct lease *first = DRV_LIST_ITEM(drv_list_first(&worker->fresh), struct lease, link);
    if (worker->session->takes_ranges && load->waiting > 1 && task_is_array(first->task)) {
        load->range.lengths_max = load->waiting * DRV_LENGTH_BYTES_MAX;
        load->range.lengths = effects_take(core, load->range.lengths_max, 1);
    }
}

static void send_load(struct core *core, struct worker *worker)
{
    struct peer *peer = worker->session->peer;
    struct load load = {.waiting = list_count(&worker->fresh, LOAD_LEASES_MAX)};
    load.capacity = load.waiting < DRV_BATCH_MAX ? load.waiting : DRV_BATCH_MAX;
    drv_meter_reset(&load.meter);
    load_take_lengths(core, &load, worker);
    load.groups = effects_take(core, load.capacity, sizeof *load.groups);
    load.entries = effects_take(core, load.capacity, sizeof *load.entries);
    struct drv_message *message = effects_message(core, DRV_LEASE);
    if (load.groups == NULL || load.entries == NULL || message == NULL) {
        message = NULL;
        load.capacity = 0;
    }
    struct drv_list *link;
    while ((link = drv_list_first(&worker->fresh)) != NULL) {
        struct lease *lease = DRV_LIST_ITEM(link, struct lease, link);
        if (message != NULL && !load_add(core, &load, worker, lease) && !load.is_broken) {
            break;
        }
        message = load.is_broken ? NULL : message;
        drv_list_remove(link);
        lease->flags |= LEASE_GONE_OUT;
        if (lease->notices & NOTICE_FOLLOW) {
            drv_list_push_back(&worker->notices, &lease->link); /* said once it is there */
        }
    }
    struct flight *flight = message == NULL ? NULL
                                            : peer_fly(core, peer, load.bytes, load.level);
    if (flight == NULL) {
        effects_send(core, peer, NULL, 0); /* out of memory: the worker connects anew */
        return;
    }
    message->lease.groups = load.groups;
    message->lease.group_count = load.group_count;
    effects_send_at(core, peer, message, flight->token, load.level);
}

/* --- notices ----------------------------------------------------------------------------- */

/* *level rises to what the leases need. */
static void *refs_of(struct core *core, struct worker *worker, uint8_t notice, size_t count,
                     enum drover_durability *level)
{
    struct drv_ref *refs = effects_alloc(core, count, sizeof *refs);
    size_t at = 0;
    DRV_LIST_EACH(link, &worker->notices)
    {
        struct lease *lease = DRV_LIST_ITEM(link, struct lease, link);
        if (refs != NULL && at < count && lease->notices & notice) {
            lease->notices &= (uint8_t)~notice;
            refs[at++] = lease_ref(lease);
            enum drover_durability needed = lease_level(core, lease);
            *level = needed > *level ? needed : *level;
        }
    }
    return refs;
}

static size_t notice_count(const struct worker *worker, uint8_t notice)
{
    size_t count = 0;
    DRV_LIST_EACH(link, &worker->notices)
    {
        count += (DRV_LIST_ITEM(link, struct lease, link)->notices & notice) != 0;
    }
    return count;
}

/* RECALL or GO, as many messages as it takes. */
static void send_refs(struct core *core, struct worker *worker, uint8_t notice,
                      enum drv_kind kind)
{
    size_t left = notice_count(worker, notice);
    while (left > 0) {
        size_t count = left < DRV_BATCH_MAX ? left : DRV_BATCH_MAX;
        struct drv_message *message = effects_message(core, kind);
        enum drover_durability level = DROVER_DURABILITY_MEMORY;
        struct drv_ref *refs = refs_of(core, worker, notice, count, &level);
        if (message != NULL && refs != NULL) {
            message->leases.leases = refs;
            message->leases.lease_count = count;
        }
        effects_send_at(core, worker->session->peer, refs == NULL ? NULL : message, 0, level);
        left -= count;
    }
}

/* How many of them fit into one message. */
static size_t abort_part(const struct drv_abort_entry *entries, size_t count)
{
    size_t part = 0, further = 0;
    while (part < count && part < DRV_BATCH_MAX &&
           further + entries[part].more <= DRV_FURTHER_MAX) {
        further += entries[part++].more;
    }
    return part;
}

static void send_abort_entries(struct core *core, struct worker *worker,
                               const struct drv_abort_entry *entries, size_t count,
                               enum drover_durability level)
{
    for (size_t at = 0; at < count;) {
        size_t part = abort_part(entries + at, count - at);
        struct drv_message *message = effects_message(core, DRV_ABORT);
        if (message != NULL) {
            message->abort.leases = entries + at;
            message->abort.lease_count = part;
        }
        effects_send_at(core, worker->session->peer, message, 0, level);
        at += part;
    }
}

bool abort_extend(struct drv_abort_entry *entry, const struct drv_ref *ref)
{
    const struct drv_ref *first = &entry->ref;
    if (ref->index == DROVER_INDEX_NONE || entry->more + 1 >= DRV_RANGE_MAX ||
        first->index + entry->more + 1 != ref->index || first->attempt != ref->attempt ||
        !drover_id_equal(&first->id, &ref->id)) {
        return false;
    }
    entry->more++;
    return true;
}

static void send_aborts(struct core *core, struct worker *worker)
{
    size_t count = notice_count(worker, NOTICE_ABORT);
    if (count == 0) {
        return;
    }
    enum drover_durability level = DROVER_DURABILITY_MEMORY;
    struct drv_ref *refs = refs_of(core, worker, NOTICE_ABORT, count, &level);
    struct drv_abort_entry *entries = effects_alloc(core, count, sizeof *entries);
    if (refs == NULL || entries == NULL) {
        effects_send(core, worker->session->peer, NULL, 0);
        return;
    }
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        if (worker->session->takes_ranges && used > 0 &&
            abort_extend(&entries[used - 1], &refs[i])) {
            continue;
        }
        entries[used++] = (struct drv_abort_entry){.ref = refs[i], .code = DROVER_CANCELLED};
    }
    send_abort_entries(core, worker, entries, used, level);
}

static void send_stale(struct core *core, struct worker *worker)
{
    size_t count = worker->stale_count;
    if (count == 0) {
        return;
    }
    struct drv_abort_entry *entries = drv_arena_copy(&core->effects.arena, worker->stale,
                                                     count * sizeof *worker->stale);
    if (entries == NULL) {
        effects_send(core, worker->session->peer, NULL, 0);
        return;
    }
    worker->stale_count = 0;
    send_abort_entries(core, worker, entries, count, DROVER_DURABILITY_MEMORY);
}

static void send_drain(struct core *core, struct worker *worker)
{
    if (!worker->drain_due) {
        return;
    }
    worker->drain_due = false;
    struct drv_message *message = effects_message(core, DRV_DRAIN);
    if (message != NULL) {
        message->drain.on = worker->is_draining;
        message->drain.text = drv_str_of("asked to");
    }
    effects_send(core, worker->session->peer, message, 0);
}

/* FOLLOW: after the leases that it speaks of, whatever their levels. */
static void send_follows(struct core *core, struct worker *worker)
{
    size_t left = notice_count(worker, NOTICE_FOLLOW);
    while (left > 0) {
        size_t count = left < DRV_BATCH_MAX ? left : DRV_BATCH_MAX;
        struct drv_follow_entry *entries = effects_alloc(core, count, sizeof *entries);
        struct drv_message *message = effects_message(core, DRV_FOLLOW);
        size_t at = 0;
        DRV_LIST_EACH(link, &worker->notices)
        {
            struct lease *lease = DRV_LIST_ITEM(link, struct lease, link);
            if (entries != NULL && at < count && lease->notices & NOTICE_FOLLOW) {
                lease->notices &= (uint8_t)~NOTICE_FOLLOW;
                entries[at++] = (struct drv_follow_entry){
                    .ref = lease_ref(lease), .streams = output_wanted(core, lease)};
            }
        }
        if (message != NULL) {
            message->follow = (struct drv_follow){entries, at};
        }
        effects_send_at(core, worker->session->peer, entries == NULL ? NULL : message, 0,
                        save_level_max(core));
        left -= count;
    }
}

void worker_flush(struct core *core, struct worker *worker)
{
    send_stale(core, worker);
    send_drain(core, worker);
    if (!drv_list_is_empty(&worker->notices)) {
        send_refs(core, worker, NOTICE_GO, DRV_GO);
        send_aborts(core, worker);
        send_refs(core, worker, NOTICE_RECALL, DRV_RECALL);
    }
    send_shared(core, worker);
    while (!drv_list_is_empty(&worker->fresh)) {
        send_load(core, worker);
    }
    worker->fresh_bytes = 0;
    if (!drv_list_is_empty(&worker->notices)) {
        send_follows(core, worker);
        while (drv_list_pop_front(&worker->notices) != NULL) {
        }
    }
}
