/*
 * sim_store.c: the journal of the simulated broker.
 */
#include "sim_store.h"

#include <limits.h>

#include "check.h"
#include "fault_disk.h"
#include "journal/journal.h"
#include "sim_world.h"

enum { SEGMENT_BYTES = 64 * 1024, DEATH_STEPS_MAX = 4 };

void sim_store_init(struct sim *sim)
{
    if (sim->profile.durable) {
        sim->broker.kept.disk = fault_disk_new(true);
    }
}

void sim_store_fini(struct sim *sim)
{
    store_destroy(&sim->broker.kept.store);
    fault_disk_destroy(&sim->broker.kept.disk);
}

void sim_store_open(struct sim *sim, struct core_config *config)
{
    struct sim_store *kept = &sim->broker.kept;
    if (kept->disk == NULL) {
        config->durability_max = DROVER_DURABILITY_MEMORY;
        return;
    }
    struct drv_problem problem = {""};
    const struct store_journal_config journal = {.directory = "data",
                                                 .files = fault_disk_files(kept->disk),
                                                 .segment_bytes = SEGMENT_BYTES,
                                                 .reserve_bytes = SEGMENT_BYTES,
                                                 .pumped = true};
    if (store_journal_new(&journal, &kept->store, &problem) != DROVER_OK) {
        sim_fail(sim, "the data cannot be opened: %s", problem.text);
        config->durability_max = DROVER_DURABILITY_MEMORY;
        return;
    }
    config->durability_max = store_durability_max(kept->store);
    config->store_name = store_name(kept->store);
    config->salt = sim->config.seed + 1; /* the store's own is random: no run would repeat */
}

void sim_store_recover(struct sim *sim)
{
    struct sim_store *kept = &sim->broker.kept;
    struct store_recovery recovery;
    struct drv_problem problem = {""};
    core_set_wall(sim->broker.core, sim->now_us, sim_clock_wall_us(sim));
    if (kept->store == NULL) {
        return;
    }
    if (store_recover(kept->store, sim->broker.core, sim->now_us, &recovery, &problem) !=
        DROVER_OK) {
        sim_fail(sim, "the data cannot be read: %s", problem.text);
        return;
    }
    core_set_epoch(sim->broker.core, store_epoch(kept->store));
    sim->broker.wire = store_epoch(kept->store);
    sim_trace(sim, "broker.recovered", recovery.records, recovery.is_torn, kept->promised);
    if (store_last(kept->store) < kept->promised) {
        sim_fail(sim, "records up to %llu were safe, up to %llu were found",
                 (unsigned long long)kept->promised,
                 (unsigned long long)store_last(kept->store));
    }
    const char *broken = sim->config.check_every == UINT_MAX ? NULL
                                                             : core_check(sim->broker.core);
    if (broken != NULL) {
        sim_fail(sim, "core_check after the recovery: %s", broken);
    }
    sim_count_if(sim, recovery.records > 0, SIM_RECOVERED_SEEN);
}

static void note_safe(struct sim *sim)
{
    struct sim_store *kept = &sim->broker.kept;
    uint64_t safe = store_durable(kept->store, DROVER_DURABILITY_SYNCED);
    kept->promised = safe > kept->promised ? safe : kept->promised;
}

/* Most deaths fall into turns that answer somebody. */
static bool is_worth_it(struct sim *sim)
{
    size_t count;
    const struct core_effect *effects = core_effects(sim->broker.core, &count);
    for (size_t i = 0; i < count; i++) {
        if (effects[i].kind == CORE_SEND && effects[i].message->kind == DRV_REPLY) {
            return true;
        }
    }
    return sim_once_in(sim, 20);
}

bool sim_store_keep(struct sim *sim)
{
    struct sim_store *kept = &sim->broker.kept;
    if (kept->store == NULL) {
        return true;
    }
    uint64_t before = store_last(kept->store);
    store_append(kept->store, sim->broker.core);
    store_publish(kept->store, core_memory_bytes(sim->broker.core));
    if (core_has_failed(sim->broker.core)) {
        sim_fail(sim, "a record is missing");
    }
    if (kept->dies && store_last(kept->store) > before && is_worth_it(sim)) {
        int64_t steps = sim_between(sim, 0, DEATH_STEPS_MAX);
        while (steps-- > 0 && store_journal_pump(kept->store)) {
        }
        note_safe(sim);
        return false;
    }
    while (store_journal_pump(kept->store)) {
    }
    note_safe(sim);
    if (kept->promised != store_last(kept->store) ||
        store_health(kept->store, NULL) != DROVER_OK) {
        sim_fail(sim, "the journal does not get its records to the disk");
    }
    return true;
}

static drover_status visit_nothing(void *context, const struct journal_record *record)
{
    (void)context;
    (void)record;
    return DROVER_OK;
}

/* The last record that the next start will find. */
static uint64_t last_on_disk(struct sim *sim)
{
    struct journal *journal = NULL;
    struct journal_recovery recovery = {0};
    struct drv_problem problem = {""};
    const struct journal_config config = {.directory = "data",
                                          .files = fault_disk_files(sim->broker.kept.disk),
                                          .segment_bytes = SEGMENT_BYTES,
                                          .reserve_bytes = SEGMENT_BYTES,
                                          .pumped = true};
    if (journal_open(&config, &journal, &problem) != DROVER_OK ||
        journal_replay(journal, visit_nothing, NULL, &recovery, &problem) != DROVER_OK) {
        sim_fail(sim, "the data is damaged after a crash: %s", problem.text);
    }
    journal_destroy(&journal);
    return recovery.last_lsn;
}

bool sim_store_crash(struct sim *sim)
{
    struct sim_store *kept = &sim->broker.kept;
    kept->dies = false;
    if (kept->store == NULL) {
        return false;
    }
    uint64_t last = store_last(kept->store);
    struct fault_disk *left = fault_disk_crash_seed(kept->disk, drv_rng_next(&sim->rng));
    store_destroy(&kept->store);
    fault_disk_destroy(&kept->disk);
    kept->disk = left;
    return last_on_disk(sim) >= last;
}

void sim_store_end(struct sim *sim)
{
    struct sim_store *kept = &sim->broker.kept;
    if (kept->store != NULL && store_stop(kept->store) != DROVER_OK) {
        sim_fail(sim, "the journal does not come to its end");
    }
    store_destroy(&kept->store);
}
