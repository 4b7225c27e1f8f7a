/* store_journal.c: the store whose records lie in a journal; see journal/journal.h. */
#include "store.h"

#include "check.h"
#include "journal/journal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Mentions of the oldest segment that are dealt with in one turn. */
enum { COMPACT_SLICE = 1024 };

struct journal_store {
    struct store store;
    struct journal *journal; /* owned */
    bool is_compacted;       /* all copies of the oldest segment are in this turn's records */
    struct journal_mention mentions[COMPACT_SLICE];
};

static struct journal_store *self_of(const struct store *store)
{
    return DRV_CONTAINER_OF((struct store *)store, struct journal_store, store);
}

static struct journal *journal_of(const struct store *store)
{
    return self_of(store)->journal;
}

static uint64_t kept_salt(const struct store *store)
{
    drover_id id = journal_store_id(journal_of(store));
    uint64_t halves[2];
    memcpy(halves, id.bytes, sizeof halves);
    return (halves[0] ^ halves[1] * 0x9E3779B97F4A7C15u) | 1;
}

static uint64_t kept_epoch(const struct store *store)
{
    return journal_epoch(journal_of(store));
}

/* --- recovery ---------------------------------------------------------------------------- */

struct reading {
    struct core *core;
    struct drv_problem *problem;
};

static drover_status read_record(void *context, const struct journal_record *record)
{
    struct reading *reading = context;
    struct core_saved saved = {
        .lsn = record->lsn,
        .kind = record->kind,
        .index = record->index,
        .id = record->id,
        .body = record->body,
        .len = record->len,
    };
    const char *text = NULL;
    drover_status status = core_restore(reading->core, &saved, &text);
    if (status == DROVER_OK) {
        return DROVER_OK;
    }
    return drv_problem_set(reading->problem, status,
                           "record %" PRIu64 " (segment %" PRIu64 ", offset %" PRIu64 "): %s",
                           record->lsn, record->segment, record->offset, text);
}

static drover_status kept_recover(struct store *store, struct core *core, int64_t now_us,
                                  struct store_recovery *out_recovery,
                                  struct drv_problem *problem)
{
    struct journal *journal = journal_of(store);
    struct reading reading = {core, problem};
    struct journal_recovery recovery = {0};
    const char *text = NULL;
    drover_status status = journal_replay(journal, read_record, &reading, &recovery, problem);
    if (status != DROVER_OK) {
        return status;
    }
    status = core_restore_end(core, now_us, &text);
    if (status != DROVER_OK) {
        return drv_problem_set(problem, status, "the records do not fit together: %s", text);
    }
    status = journal_start(journal, problem);
    if (status != DROVER_OK) {
        return status;
    }
    *out_recovery = (struct store_recovery){
        .records = recovery.records, .bytes = recovery.bytes, .is_torn = recovery.torn};
    return DROVER_OK;
}

/* --- writing ----------------------------------------------------------------------------- */

static void kept_append(struct store *store, const struct core_save *save)
{
    struct drv_data *data = save->tail_data;
    bool is_shared = data != NULL && save->tail == data->bytes && save->tail_len == data->len;
    const struct drv_view parts[] = {drv_view_of(save->head, save->head_len),
                                     drv_view_of(save->tail, save->tail_len)};
    const struct journal_entry entry = {
        .kind = save->kind,
        .index = save->index,
        .id = save->id,
        .parts = parts,
        .part_count = is_shared || save->tail_len == 0 ? 1 : 2,
        .data = is_shared ? data : NULL,
        .copy = save->is_copy,
    };
    (void)journal_append(journal_of(store), &entry);
}

static void kept_publish(struct store *store, uint64_t live_bytes)
{
    struct journal_store *self = self_of(store);
    if (self->is_compacted) {
        self->is_compacted = false;
        journal_compaction_done(self->journal);
    }
    journal_set_live(self->journal, live_bytes);
    journal_publish(self->journal);
}

static uint64_t kept_last(const struct store *store)
{
    return journal_last(journal_of(store));
}

static uint64_t kept_durable(const struct store *store, enum drover_durability level)
{
    switch (level) {
    case DROVER_DURABILITY_DEFAULT:
    case DROVER_DURABILITY_SYNCED:
        return journal_synced(journal_of(store));
    case DROVER_DURABILITY_WRITTEN:
        return journal_written(journal_of(store));
    case DROVER_DURABILITY_MEMORY:
        return journal_last(journal_of(store));
    }
    DRV_UNREACHABLE();
}

static drover_status kept_health(const struct store *store, struct drv_problem *problem)
{
    return journal_health(journal_of(store), problem);
}

static int kept_fd(const struct store *store)
{
    return journal_fd(journal_of(store));
}

static void kept_seen(struct store *store)
{
    journal_seen(journal_of(store));
}

static bool kept_is_full(const struct store *store)
{
    return journal_is_full(journal_of(store));
}

static bool kept_has_room(const struct store *store)
{
    return journal_room(journal_of(store)) > 0;
}

static void kept_tick(struct store *store)
{
    journal_tick(journal_of(store));
}

/* --- compaction -------------------------------------------------------------------------- */

static bool kept_compact(struct store *store, struct core *core)
{
    struct journal_store *self = self_of(store);
    uint64_t lsn;
    bool is_end = false;
    if (!journal_compaction_due(self->journal, &lsn)) {
        return false;
    }
    size_t count = journal_compaction_read(self->journal, self->mentions, COMPACT_SLICE,
                                           &is_end);
    for (size_t i = 0; i < count; i++) {
        const struct journal_mention *mention = &self->mentions[i];
        core_rewrite(core, mention->kind, &mention->id, mention->index, lsn);
    }
    self->is_compacted = is_end;
    return count > 0;
}

static drover_status kept_stop(struct store *store)
{
    return journal_stop(journal_of(store));
}

static void kept_destroy(struct store *store)
{
    struct journal_store *self = self_of(store);
    journal_destroy(&self->journal);
    free(self);
}

bool store_journal_pump(struct store *store)
{
    return journal_pump(journal_of(store));
}

drover_status store_journal_new(const struct store_journal_config *config,
                                struct store **out_store, struct drv_problem *problem)
{
    static const struct store_operations operations = {
        .name = "journal",
        .durability_max = DROVER_DURABILITY_SYNCED,
        .salt = kept_salt,
        .epoch = kept_epoch,
        .recover = kept_recover,
        .append = kept_append,
        .publish = kept_publish,
        .last = kept_last,
        .durable = kept_durable,
        .health = kept_health,
        .fd = kept_fd,
        .seen = kept_seen,
        .is_full = kept_is_full,
        .has_room = kept_has_room,
        .tick = kept_tick,
        .compact = kept_compact,
        .stop = kept_stop,
        .destroy = kept_destroy,
    };
    const struct journal_config journal_config = {
        .directory = config->directory,
        .files = config->files,
        .segment_bytes = config->segment_bytes,
        .reserve_bytes = config->reserve_bytes,
        .pumped = config->pumped,
    };
    struct journal_store *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        return drv_problem_set(problem, DROVER_NOMEM, "out of memory");
    }
    self->store.operations = &operations;
    drover_status status = journal_open(&journal_config, &self->journal, problem);
    if (status != DROVER_OK) {
        free(self);
        return status;
    }
    *out_store = &self->store;
    return DROVER_OK;
}
