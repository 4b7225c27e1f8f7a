#include "effects.h"

#include "broker.h"
#include "check.h"

#include <stdlib.h>

/* Arena bytes that survive a turn. */
enum { EFFECTS_ARENA_KEEP = 1024 * 1024, EFFECTS_KEEP = 8192 };

void effects_init(struct effects *effects)
{
    *effects = (struct effects){0};
    drv_arena_init(&effects->arena, EFFECTS_ARENA_KEEP);
}

void effects_fini(struct effects *effects)
{
    drv_arena_fini(&effects->arena);
    free(effects->items);
}

void *effects_alloc(struct core *core, size_t count, size_t size)
{
    return drv_arena_alloc(&core->effects.arena, count, size);
}

void *effects_take(struct core *core, size_t count, size_t size)
{
    return drv_arena_take(&core->effects.arena, count, size);
}

struct drv_str effects_text(struct core *core, struct drv_str text)
{
    if (text.ptr == NULL) {
        return text;
    }
    const char *copy = drv_arena_copy(&core->effects.arena, text.ptr, text.len);
    return str_of(copy, copy == NULL ? 0 : text.len);
}

struct drv_message *effects_message(struct core *core, enum drv_kind kind)
{
    struct drv_message *message = effects_alloc(core, 1, sizeof *message);
    if (message != NULL) {
        message->kind = kind;
        message->epoch = core->config.epoch;
    }
    return message;
}

static struct core_effect *effects_add(struct core *core, enum core_effect_kind kind)
{
    struct effects *effects = &core->effects;
    if (effects->count == effects->capacity) {
        size_t capacity = effects->capacity == 0 ? 256 : effects->capacity * 2;
        struct core_effect *items = realloc(effects->items, capacity * sizeof *items);
        if (items == NULL) {
            return NULL;
        }
        effects->items = items;
        effects->capacity = capacity;
    }
    struct core_effect *effect = &effects->items[effects->count++];
    *effect = (struct core_effect){.kind = kind, .level = DROVER_DURABILITY_MEMORY};
    return effect;
}

void effects_send(struct core *core, struct peer *peer, const struct drv_message *message,
                  uint64_t token)
{
    effects_send_at(core, peer, message, token, DROVER_DURABILITY_MEMORY);
}

void effects_send_at(struct core *core, struct peer *peer, const struct drv_message *message,
                     uint64_t token, enum drover_durability level)
{
    struct core_effect *effect = message == NULL ? NULL : effects_add(core, CORE_SEND);
    if (effect == NULL) {
        peer->is_broken = true;
        peer_touch(core, peer);
        return;
    }
    effect->peer = peer->number;
    effect->message = message;
    effect->token = token;
    effect->level = level;
}

void effects_close(struct core *core, struct peer *peer)
{
    struct core_effect *effect = effects_add(core, CORE_CLOSE);
    if (effect == NULL) {
        peer->is_broken = true;
        return;
    }
    peer->is_broken = false;
    effect->peer = peer->number;
}

void effects_settle(struct core *core, struct peer *peer, uint64_t seq)
{
    struct core_effect *effect = effects_add(core, CORE_SETTLE);
    if (effect != NULL) {
        effect->peer = peer->number;
        effect->seq = seq;
        effect->level = peer->settle_level;
        peer->settled = seq;
        peer->settle_level = DROVER_DURABILITY_MEMORY;
    }
}

void effects_alert(struct core *core, const struct core_alert *alert)
{
    struct core_effect *effect = effects_add(core, CORE_ALERT);
    if (effect != NULL) {
        effect->alert = *alert;
    }
}

void effects_notice(struct core *core, const char *text, const struct worker *worker)
{
    if (worker->who == NULL) {
        return; /* it never got so far as to have a name */
    }
    struct drv_str name = effects_text(core, worker_name(worker));
    struct drv_str host = effects_text(core, worker_host(worker));
    struct core_effect *effect = effects_add(core, CORE_NOTICE);
    if (effect != NULL) {
        effect->notice = (struct core_notice){
            .text = text, .name = name, .host = host, .leases = worker->held};
    }
}

void effects_notice_denied(struct core *core, struct drv_str account, const char *kind)
{
    struct drv_str name = effects_text(core, account);
    struct core_effect *effect = effects_add(core, CORE_NOTICE);
    if (effect != NULL) {
        effect->notice = (struct core_notice){.text = "denied", .name = name, .denied = kind};
    }
}

void effects_record(struct core *core, const struct core_record *record)
{
    if (!core->config.tells_records) {
        return;
    }
    struct core_effect *effect = effects_add(core, CORE_RECORD);
    if (effect != NULL) {
        effect->record = *record;
    }
}

void effects_record_item(struct core *core, enum core_record_kind kind, const struct item *item,
                         const drover_id *session)
{
    save_item(core, item);
    if (!core->config.tells_records) {
        return;
    }
    struct core_record record = {
        .kind = kind,
        .id = item->task->id,
        .index = item->index,
        .attempt = item->unit->attempt,
        .state = item->unit->state,
    };
    if (session != NULL) {
        record.session = *session;
    }
    effects_record(core, &record);
}

void effects_bury(struct core *core, struct corpse *corpse)
{
    corpse->next = core->dead;
    core->dead = corpse;
}

const struct core_effect *core_effects(const struct core *core, size_t *out_count)
{
    *out_count = core->effects.count;
    return core->effects.items;
}

void core_effects_clear(struct core *core)
{
    struct effects *effects = &core->effects;
    effects->count = 0;
    save_clear(core);
    if (effects->capacity > EFFECTS_KEEP) {
        free(effects->items);
        effects->items = NULL;
        effects->capacity = 0;
    }
    drv_arena_reset(&effects->arena);
    peers_bury(core);
    bodies_bury(core);
    while (core->dead != NULL) {
        struct corpse *corpse = core->dead;
        core->dead = corpse->next;
        free(corpse);
    }
}
