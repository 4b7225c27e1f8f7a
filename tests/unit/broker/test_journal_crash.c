/*
 * test_journal_crash.c: power fails before every single operation on the disk, and each time
 * every disk that may be left (all of them while the choices are few, else seeded samples) is
 * recovered.
 *
 * After each: what is found is a prefix of what was appended, with everything that was reported
 * synced, and nothing else; and the journal goes on from there.
 */
#include "journal_owner.h"

#include <malloc.h>

enum {
    CHOICES_ALL = 12, /* up to so many all combinations are tried where a test asks for it, */
    CHOICES_FEW = 5,  /* and up to so many everywhere */
    SAMPLES = 20,     /* beyond */
    GO_ON_ONE_IN = 4, /* recoveries after which the journal is used */
};

struct blackout {
    struct owner *owner;
    struct drv_rng rng;
    size_t all; /* try all combinations up to so many choices */
    size_t samples;
    size_t again; /* 1 in so many recoveries is itself cut off */
    size_t skip;  /* only every so manieth operation; 0: all */
    uint64_t operations;
    uint64_t images;
    uint64_t largest; /* number of choices */
};

/* A copy of the owner's memory over another disk. */
static void copy_owner(const struct owner *owner, struct fault_disk *disk, struct owner *copy)
{
    *copy = *owner;
    copy->rig.disk = disk;
    copy->rig.journal = NULL;
    copy->rig.epochs = NULL;
    const size_t said = (size_t)owner->rig.appended + 200;
    copy->said = malloc(said * sizeof *copy->said);
    assert_non_null(copy->said);
    memcpy(copy->said, owner->said, said * sizeof *copy->said);
}

/* The power fails again during the recovery, before operation number `at`. */
struct second {
    uint64_t at;
    uint64_t seed;
    uint64_t count;
    struct fault_disk *disk;
    struct fault_disk *image;
};

static void on_second(void *context, enum fault_op op, const char *name)
{
    (void)op;
    (void)name;
    struct second *second = context;
    if (++second->count == second->at) {
        second->image = fault_disk_crash_seed(second->disk, second->seed);
    }
}

static void cut_off_recovery(struct blackout *blackout, struct owner *copy)
{
    struct second second = {.at = 1 + drv_rng_below(&blackout->rng, 12),
                            .seed = drv_rng_next(&blackout->rng),
                            .disk = copy->rig.disk};
    fault_disk_set_hook(copy->rig.disk, on_second, &second);
    const uint64_t synced = copy->rig.synced;
    const uint64_t appended = copy->rig.appended;
    assert_ok(owner_start(copy));
    if (second.image != NULL) {
        copy->rig.synced = synced;
        copy->rig.appended = appended;
        rig_crash(&copy->rig, second.image);
    } else {
        rig_kill(&copy->rig);
    }
    fault_disk_set_hook(copy->rig.disk, NULL, NULL);
}

static void try_image(struct blackout *blackout, struct fault_disk *image)
{
    static struct owner copy;
    copy_owner(blackout->owner, image, &copy);
    blackout->images++;
    if (blackout->again != 0 && drv_rng_below(&blackout->rng, blackout->again) == 0) {
        cut_off_recovery(blackout, &copy);
    }
    assert_ok(owner_start(&copy));
    if (drv_rng_below(&blackout->rng, GO_ON_ONE_IN) != 0) {
        owner_fini(&copy);
        return;
    }
    for (uint32_t i = 0; i < copy.object_count; i++) { /* the owner is what it was then */
        copy.objects[i] = (struct owner_object){.version = copy.replayed[i]};
        copy.live = 0;
    }
    for (uint32_t i = 0; i < 5; i++) {
        owner_make(&copy, i, 100);
    }
    journal_publish(copy.rig.journal);
    rig_settle(&copy.rig);
    rig_kill(&copy.rig);
    assert_ok(owner_start(&copy));
    owner_fini(&copy);
}

static void on_operation(void *context, enum fault_op op, const char *name)
{
    (void)op;
    (void)name;
    struct blackout *blackout = context;
    struct rig *rig = &blackout->owner->rig;
    if (rig->journal == NULL) {
        return; /* not started yet: there is no promise */
    }
    if (blackout->operations++ % (blackout->skip + 1) != 0) {
        return;
    }
    const uint64_t synced = journal_synced(rig->journal);
    rig->synced = synced > rig->synced ? synced : rig->synced;
    const size_t choices = fault_disk_choices(rig->disk);
    blackout->largest = choices > blackout->largest ? choices : blackout->largest;
    if (choices <= blackout->all) {
        for (uint64_t bits = 0; bits < UINT64_C(1) << choices; bits++) {
            try_image(blackout, fault_disk_crash_bits(rig->disk, bits));
        }
        return;
    }
    try_image(blackout, fault_disk_crash_bits(rig->disk, 0));
    try_image(blackout, fault_disk_crash_bits(rig->disk, UINT64_MAX));
    for (size_t i = 0; i < blackout->samples; i++) {
        try_image(blackout, fault_disk_crash_seed(rig->disk, drv_rng_next(&blackout->rng)));
    }
}

static void blackout_init(struct blackout *blackout, struct owner *owner, uint64_t seed)
{
    /* Each image is a whole start, which costs a hundred times as much where memory is watched.
     */
    bool is_watched = test_deadline_ms(1) > 1;
    owner_init(owner, seed);
    *blackout = (struct blackout){.owner = owner,
                                  .all = is_watched ? 1 : CHOICES_FEW,
                                  .samples = is_watched ? 1 : SAMPLES,
                                  .skip = is_watched ? 31 : 0,
                                  .again = 8};
    drv_rng_init(&blackout->rng, seed);
}

static void blackout_begin(struct blackout *blackout)
{
    fault_disk_set_hook(blackout->owner->rig.disk, on_operation, blackout);
}

static void blackout_fini(struct blackout *blackout)
{
    print_message("%" PRIu64 " operations, %" PRIu64 " images, up to %" PRIu64 " choices\n",
                  blackout->operations, blackout->images, blackout->largest);
    fault_disk_set_hook(blackout->owner->rig.disk, NULL, NULL);
    owner_fini(blackout->owner);
}

/* Every combination of the sectors of a batch in flight: 12 sectors, 4096 disks. Where memory
 * is watched, samples of them. */
static void test_crash_every_combination_of_a_batch(void **state)
{
    static struct owner owner;
    struct blackout blackout;
    blackout_init(&blackout, &owner, test_seed());
    bool is_watched = test_deadline_ms(1) > 1;
    blackout.all = is_watched ? CHOICES_FEW : CHOICES_ALL;
    blackout.samples = SAMPLES;
    blackout.skip = 0;
    assert_ok(owner_start(&owner));
    for (uint32_t i = 0; i < 2; i++) {
        owner_make(&owner, i, 500);
    }
    journal_publish(owner.rig.journal);
    rig_settle(&owner.rig);
    blackout_begin(&blackout);
    for (uint32_t i = 0; i < 4; i++) {
        owner_make(&owner, i, 1400);
    }
    journal_publish(owner.rig.journal);
    rig_settle(&owner.rig);
    assert_int_equal(blackout.largest, CHOICES_ALL);
    assert_true(blackout.images > (is_watched ? SAMPLES : 4096));
    blackout_fini(&blackout);
}

/* Segments come and go, with compaction, while the power fails at each operation. */
static void test_crash_segments_and_compaction(void **state)
{
    static struct owner owner;
    struct blackout blackout;
    struct journal_stats stats;
    blackout_init(&blackout, &owner, test_seed());
    owner.size_max = 900;
    assert_ok(owner_start(&owner));
    for (int i = 0; i < 10; i++) { /* some past before it gets dark */
        owner_turn(&owner, 20);
        rig_settle(&owner.rig);
    }
    blackout_begin(&blackout);
    for (int i = 0; i < 80; i++) {
        owner_turn(&owner, 1 + (size_t)drv_rng_below(&owner.rng, 12));
        (void)journal_pump(owner.rig.journal);
        if (i % 3 == 0) {
            rig_settle(&owner.rig);
        }
    }
    journal_stats_get(owner.rig.journal, &stats);
    assert_true(stats.reclaimed > 0);
    assert_true(owner.copies > 0);
    blackout_fini(&blackout);
}

/* Records that are larger than a segment are there whole, or not at all. */
static void test_crash_records_in_pieces(void **state)
{
    static struct owner owner;
    struct blackout blackout;
    blackout_init(&blackout, &owner, test_seed());
    blackout.samples = 12;
    owner.size_max = 60 * 1024;
    owner.object_count = 6;
    assert_ok(owner_start(&owner));
    blackout_begin(&blackout);
    for (int i = 0; i < 16; i++) {
        owner_turn(&owner, 2);
        rig_settle(&owner.rig);
    }
    blackout_fini(&blackout);
}

/* A new store can be cut off at any operation, and is made again or goes on. */
static void test_crash_while_a_store_is_made(void **state)
{
    for (uint64_t at = 1; at < 40; at++) {
        for (uint64_t bits = 0; bits < 64; bits++) {
            struct rig rig;
            struct second second = {.at = at};
            rig_init(&rig, 1);
            second.disk = rig.disk;
            second.seed = bits;
            fault_disk_set_hook(rig.disk, on_second, &second);
            assert_ok(rig_start(&rig));
            if (second.image == NULL) {
                assert_true(at > 10);
                rig_fini(&rig);
                return;
            }
            rig.synced = 0;
            rig_crash(&rig, second.image);
            assert_ok(rig_start(&rig));
            rig_append_synced(&rig, 5);
            rig_kill(&rig);
            assert_ok(rig_start(&rig));
            assert_int_equal(rig.last_seen, 5);
            rig_fini(&rig);
        }
    }
    fail();
}

/* Crash after crash on one store, each with whatever was left of the one before. */
static void test_crash_again_and_again(void **state)
{
    static struct owner owner;
    owner_init(&owner, test_seed());
    owner.size_max = 2000;
    assert_ok(owner_start(&owner));
    for (int i = 0; i < 200; i++) {
        const size_t turns = (size_t)drv_rng_below(&owner.rng, 12);
        for (size_t turn = 0; turn < turns; turn++) {
            owner_turn(&owner, (size_t)drv_rng_below(&owner.rng, 10));
            for (uint64_t steps = drv_rng_below(&owner.rng, 5); steps > 0; steps--) {
                (void)journal_pump(owner.rig.journal);
            }
        }
        owner.rig.synced = journal_synced(owner.rig.journal);
        rig_crash(&owner.rig, fault_disk_crash_seed(owner.rig.disk, drv_rng_next(&owner.rng)));
        assert_ok(owner_start(&owner));
        owner.live = 0;
        for (uint32_t object = 0; object < OWNER_OBJECTS; object++) {
            /* sizes and places are those of whole states written anew */
            owner.objects[object].version = owner.replayed[object];
            if (owner.objects[object].version != 0) {
                owner.live += owner_weight(&owner.objects[object]);
                owner_write(&owner, OWNER_WHOLE, object, true);
            }
        }
    }
    owner_fini(&owner);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_crash_every_combination_of_a_batch),
    cmocka_unit_test(test_crash_segments_and_compaction),
    cmocka_unit_test(test_crash_records_in_pieces),
    cmocka_unit_test(test_crash_while_a_store_is_made),
    cmocka_unit_test(test_crash_again_and_again),
};

int main(void)
{
    /* thousands of journals, each with buffers that would be mapped and unmapped */
    (void)mallopt(M_MMAP_THRESHOLD, 64 * 1024 * 1024);
    (void)mallopt(M_TRIM_THRESHOLD, 256 * 1024 * 1024);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
