/*
 * journal_owner.h: an owner of objects that keeps them in a journal as the broker would: whole
 * states, changes, forgetting, and compaction once per turn.
 *
 * It remembers what every LSN said, so that after any replay the objects can be compared with
 * what they were when that LSN was the last.
 */
#ifndef JOURNAL_OWNER_H
#define JOURNAL_OWNER_H

#include "journal_rig.h"

enum { OWNER_WHOLE = 1, OWNER_CHANGE, OWNER_FORGET };
enum { OWNER_OBJECTS = 400, OWNER_MENTIONS = 37 };

struct owner_said { /* by one record */
    uint32_t object;
    uint32_t version; /* after it; 0: forgotten */
};

struct owner_object {
    uint32_t version; /* 0: there is none */
    uint32_t size;    /* of its whole state */
    uint64_t whole;   /* LSN of its last whole state */
};

struct owner {
    struct rig rig; /* disk and journal; its model of records is not used */
    struct drv_rng rng;
    size_t size_max;
    size_t object_count; /* at most OWNER_OBJECTS */
    uint64_t live;       /* bytes */
    bool silent;         /* tells the journal that nothing is alive */
    uint64_t copies;     /* whole states written for compaction */
    struct owner_object objects[OWNER_OBJECTS];
    struct owner_said *said;          /* owned; by LSN */
    uint32_t replayed[OWNER_OBJECTS]; /* versions, by the last replay */
    uint32_t version_next;
    uint8_t filler[64 * 1024]; /* of whole states */
};

static inline void owner_init(struct owner *owner, uint64_t seed)
{
    memset(owner, 0, sizeof *owner);
    rig_init(&owner->rig, seed);
    drv_rng_init(&owner->rng, seed);
    owner->size_max = 200;
    owner->object_count = 40;
    owner->version_next = 1;
    for (size_t i = 0; i < sizeof owner->filler; i++) {
        owner->filler[i] = (uint8_t)drv_rng_next(&owner->rng);
    }
    owner->said = calloc(RIG_RECORDS_MAX, sizeof(struct owner_said));
    assert_non_null(owner->said);
}

static inline void owner_fini(struct owner *owner)
{
    rig_fini(&owner->rig);
    free(owner->said);
}

static inline void owner_write(struct owner *owner, uint16_t kind, uint32_t number, bool copy)
{
    struct owner_object *object = &owner->objects[number];
    const struct drv_view parts[] = {
        drv_view_of(&object->version, sizeof object->version),
        drv_view_of(owner->filler, kind == OWNER_WHOLE ? object->size : 0)};
    struct journal_entry entry = {
        .kind = kind, .index = number, .parts = parts, .part_count = 2, .copy = copy};
    const uint64_t lsn = journal_append(owner->rig.journal, &entry);
    assert_true(lsn < RIG_RECORDS_MAX);
    owner->said[lsn] = (struct owner_said){
        .object = number, .version = kind == OWNER_FORGET ? 0 : object->version};
    owner->rig.appended = lsn;
    if (kind == OWNER_WHOLE) {
        object->whole = lsn;
    }
}

static inline uint64_t owner_weight(const struct owner_object *object)
{
    return journal_record_bytes(sizeof object->version + object->size);
}

static inline void owner_make(struct owner *owner, uint32_t number, size_t size)
{
    struct owner_object *object = &owner->objects[number];
    owner->live -= object->version != 0 ? owner_weight(object) : 0;
    object->version = owner->version_next++;
    object->size = (uint32_t)size;
    owner->live += owner_weight(object);
    owner_write(owner, OWNER_WHOLE, number, false);
}

static inline void owner_change(struct owner *owner, uint32_t number)
{
    owner->objects[number].version = owner->version_next++;
    owner_write(owner, OWNER_CHANGE, number, false);
}

static inline void owner_forget(struct owner *owner, uint32_t number)
{
    struct owner_object *object = &owner->objects[number];
    owner->live -= owner_weight(object);
    owner_write(owner, OWNER_FORGET, number, false);
    object->version = 0;
}

/* Something happens to an object. */
static inline void owner_act(struct owner *owner)
{
    const uint32_t number = (uint32_t)drv_rng_below(&owner->rng, owner->object_count);
    const uint64_t dice = drv_rng_below(&owner->rng, 10);
    if (owner->objects[number].version == 0 || dice == 0) {
        owner_make(owner, number, (size_t)drv_rng_below(&owner->rng, owner->size_max + 1));
    } else if (dice < 7) {
        owner_change(owner, number);
    } else {
        owner_forget(owner, number);
    }
}

/* The loop's part of compaction, as far as it goes now; false when none is due. */
static inline bool owner_compact(struct owner *owner)
{
    struct journal *journal = owner->rig.journal;
    struct journal_mention mentions[OWNER_MENTIONS];
    uint64_t through = 0;
    bool end = false;
    journal_set_live(journal, owner->silent ? 0 : owner->live);
    if (!journal_compaction_due(journal, &through)) {
        return false;
    }
    const size_t count = journal_compaction_read(journal, mentions, OWNER_MENTIONS, &end);
    for (size_t i = 0; i < count; i++) {
        const struct owner_object *object = &owner->objects[mentions[i].index];
        assert_true(mentions[i].lsn <= through);
        assert_int_equal(owner->said[mentions[i].lsn].object, mentions[i].index);
        if (object->version != 0 && object->whole <= through) {
            owner_write(owner, OWNER_WHOLE, mentions[i].index, true);
            owner->copies++;
        }
    }
    if (end) {
        journal_compaction_done(journal);
    }
    return true;
}

/* One turn of the loop: some actions, compaction, publish. */
static inline void owner_turn(struct owner *owner, size_t actions)
{
    for (size_t i = 0; i < actions; i++) {
        owner_act(owner);
    }
    (void)owner_compact(owner);
    journal_publish(owner->rig.journal);
}

static inline drover_status owner_on_record(void *context, const struct journal_record *record)
{
    struct owner *owner = context;
    uint32_t version = 0;
    assert_true(record->lsn <= owner->rig.appended);
    assert_true(owner->rig.first_seen == 0 || record->lsn == owner->rig.last_seen + 1);
    owner->rig.first_seen = owner->rig.first_seen == 0 ? record->lsn : owner->rig.first_seen;
    owner->rig.last_seen = record->lsn;
    assert_true(record->len >= sizeof version && record->index < OWNER_OBJECTS);
    memcpy(&version, record->body, sizeof version);
    uint32_t *object = &owner->replayed[record->index];
    if (record->kind == OWNER_WHOLE) {
        *object = version;
    } else if (record->kind == OWNER_FORGET) {
        *object = 0;
    } else if (*object != 0) {
        *object = version;
    }
    return DROVER_OK;
}

/* The objects as they were when lsn was the last. */
static inline void owner_expect(const struct owner *owner, uint64_t lsn, uint32_t *versions)
{
    memset(versions, 0, OWNER_OBJECTS * sizeof *versions);
    for (uint64_t i = 1; i <= lsn; i++) {
        versions[owner->said[i].object] = owner->said[i].version;
    }
}

/* Opens and replays; the objects must be those of an instant not before the last reported sync.
 */
static inline drover_status owner_start(struct owner *owner)
{
    struct rig *rig = &owner->rig;
    const struct journal_config config = rig_config(rig);
    uint32_t expected[OWNER_OBJECTS];
    rig->first_seen = 0;
    rig->last_seen = 0;
    memset(owner->replayed, 0, sizeof owner->replayed);
    drover_status status = journal_open(&config, &rig->journal, &rig->problem);
    if (status == DROVER_OK) {
        status = journal_replay(rig->journal, owner_on_record, owner, &rig->recovery,
                                &rig->problem);
    }
    if (status == DROVER_OK) {
        assert_true(rig->recovery.last_lsn >= rig->synced);
        owner_expect(owner, rig->recovery.last_lsn, expected);
        assert_memory_equal(expected, owner->replayed, sizeof expected);
        status = journal_start(rig->journal, &rig->problem);
    }
    if (status != DROVER_OK) {
        journal_destroy(&rig->journal);
        return status;
    }
    rig->appended = rig->recovery.last_lsn;
    rig->synced = rig->recovery.last_lsn;
    return DROVER_OK;
}

#endif
