/* test_journal_thread.c: the journal with its thread, on memory and on real files. */
#include "journal_owner.h"

#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

/* Waits until the thread told something; fails at the deadline. */
static void await_news(struct journal *journal)
{
    struct pollfd item = {.fd = journal_fd(journal), .events = POLLIN};
    assert_int_equal(poll(&item, 1, (int)test_deadline_ms(10000)), 1);
    journal_seen(journal);
}

static void await_synced(struct journal *journal, uint64_t lsn)
{
    while (journal_synced(journal) < lsn) {
        await_news(journal);
        assert_ok(journal_health(journal, NULL));
    }
}

/* Everything that is appended, in turns of any size, is synced in the end, and told. */
static void test_thread_syncs_what_is_appended(void **state)
{
    struct rig rig;
    struct drv_rng rng;
    rig_init(&rig, test_seed());
    drv_rng_init(&rng, rig.seed);
    rig.threaded = true;
    rig.large_one_in = 50;
    rig.body_max = 3000;
    assert_ok(rig_start(&rig));
    for (int i = 0; i < 300; i++) {
        rig_append_many(&rig, (size_t)drv_rng_below(&rng, 40));
        if (drv_rng_below(&rng, 4) == 0) {
            await_synced(rig.journal, rig.appended);
        }
    }
    await_synced(rig.journal, rig.appended);
    const uint64_t appended = rig.appended;
    rig.synced = appended;
    assert_ok(journal_stop(rig.journal));
    rig_kill(&rig);
    rig.threaded = false;
    assert_ok(rig_start(&rig));
    assert_int_equal(rig.last_seen, appended);
    rig_fini(&rig);
}

/* Compaction with the thread reading and the loop copying at the same time. */
static void test_thread_compacts(void **state)
{
    static struct owner owner;
    struct journal_stats stats;
    owner_init(&owner, test_seed());
    owner.size_max = 1000;
    owner.rig.threaded = true;
    assert_ok(owner_start(&owner));
    do {
        owner_turn(&owner, 20);
        if (journal_room(owner.rig.journal) < JOURNAL_QUEUE_BYTES - 10000) {
            await_news(owner.rig.journal);
        }
        journal_stats_get(owner.rig.journal, &stats);
        assert_ok(journal_health(owner.rig.journal, NULL));
    } while (stats.reclaimed < 20);
    assert_ok(journal_stop(owner.rig.journal));
    owner.rig.synced = owner.rig.appended;
    rig_kill(&owner.rig);
    owner.rig.threaded = false;
    assert_ok(owner_start(&owner));
    owner_fini(&owner);
}

/* A gate in front of the disk's syncs. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool closed;
    bool waiting;
};

static void on_sync(void *context, enum fault_op op, const char *name)
{
    (void)name;
    struct gate *gate = context;
    if (op != FAULT_SYNC) {
        return;
    }
    (void)pthread_mutex_lock(&gate->lock);
    while (gate->closed) {
        gate->waiting = true;
        (void)pthread_cond_broadcast(&gate->changed);
        (void)pthread_cond_wait(&gate->changed, &gate->lock);
    }
    (void)pthread_mutex_unlock(&gate->lock);
}

/* A sync that takes long holds up nobody: the loop appends, what was written before is told,
 * and everything that gathered becomes one batch. */
static void test_thread_slow_sync_does_not_stop_the_loop(void **state)
{
    struct gate gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct rig rig;
    struct journal_stats stats;
    rig_init(&rig, test_seed());
    rig.threaded = true;
    rig.body_max = 10;
    assert_ok(rig_start(&rig));
    fault_disk_set_hook(rig.disk, on_sync, &gate);
    gate.closed = true;
    rig_append_many(&rig, 1);
    (void)pthread_mutex_lock(&gate.lock);
    while (!gate.waiting) {
        (void)pthread_cond_wait(&gate.changed, &gate.lock);
    }
    (void)pthread_mutex_unlock(&gate.lock);
    for (int i = 0; i < 100; i++) {
        rig_append_many(&rig, 1);
    }
    assert_int_equal(journal_written(rig.journal), 1);
    assert_int_equal(journal_synced(rig.journal), 0);
    (void)pthread_mutex_lock(&gate.lock);
    gate.closed = false;
    (void)pthread_cond_broadcast(&gate.changed);
    (void)pthread_mutex_unlock(&gate.lock);
    await_synced(rig.journal, rig.appended);
    journal_stats_get(rig.journal, &stats);
    assert_int_equal(stats.batches, 2);
    rig_fini(&rig);
}

/* An error reaches a loop that sleeps in poll. */
static void test_thread_error_wakes_the_loop(void **state)
{
    struct rig rig;
    rig_init(&rig, 1);
    rig.threaded = true;
    assert_ok(rig_start(&rig));
    fault_disk_fail(rig.disk, FAULT_SYNC, 1, EIO);
    rig_append_many(&rig, 3);
    while (journal_health(rig.journal, NULL) == DROVER_OK) {
        await_news(rig.journal);
    }
    assert_int_equal(journal_synced(rig.journal), 0);
    assert_int_equal(journal_stop(rig.journal), DROVER_IO);
    rig_fini(&rig);
}

/* Without a stop the thread ends where it is; what it had synced is there. */
static void test_thread_destroyed_at_work(void **state)
{
    struct rig rig;
    rig_init(&rig, test_seed());
    rig.body_max = 3000;
    for (int i = 0; i < 20; i++) {
        rig.threaded = true;
        assert_ok(rig_start(&rig));
        rig_append_many(&rig, 200);
        await_synced(rig.journal, rig.synced + 1);
        const uint64_t appended = rig.appended;
        rig.synced = journal_synced(rig.journal);
        rig_kill(&rig);
        rig.threaded = false;
        rig.appended = appended;
        assert_ok(rig_start(&rig));
        rig_kill(&rig);
    }
    rig_fini(&rig);
}

/* ---- real files -----------------------------------------------------------------------------
 */

/* Removes the directory and the files in it. */
static int unlink_one(void *context, const char *name)
{
    if (name[0] != '.') {
        (void)files_real.unlink(context, name);
    }
    return 0;
}

static void remove_directory(const char *path)
{
    struct files_dir *dir = NULL;
    assert_int_equal(files_real.open_dir(NULL, path, false, &dir), 0);
    assert_int_equal(files_real.list(dir, unlink_one, dir), 0);
    files_real.close_dir(dir);
    assert_int_equal(rmdir(path), 0);
}

static drover_status count_record(void *context, const struct journal_record *record)
{
    uint64_t *count = context;
    assert_int_equal(record->lsn, *count + 1);
    *count = record->lsn;
    return DROVER_OK;
}

static struct journal *open_real(const char *path, uint64_t *out_count)
{
    struct journal *journal = NULL;
    struct drv_problem problem = {""};
    struct journal_recovery recovery;
    const struct journal_config config = {.directory = path,
                                          .segment_bytes = (uint64_t)256 * 1024,
                                          .reserve_bytes = (uint64_t)256 * 1024};
    *out_count = 0;
    const drover_status status = journal_open(&config, &journal, &problem);
    if (status != DROVER_OK) {
        fail_msg("%s", problem.text);
    }
    assert_ok(journal_replay(journal, count_record, out_count, &recovery, &problem));
    assert_ok(journal_start(journal, &problem));
    return journal;
}

/* The operating system's files: directory and files are private, a second opener is refused,
 * what was synced is found again. */
static void test_thread_on_real_files(void **state)
{
    char base[] = "/tmp/drover-journal-XXXXXX";
    char path[64];
    char name[96];
    uint64_t count = 0;
    struct stat info;
    assert_non_null(mkdtemp(base));
    (void)snprintf(path, sizeof path, "%s/data", base);
    struct journal *journal = open_real(path, &count);
    assert_int_equal(count, 0);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0700);
    (void)snprintf(name, sizeof name, "%s/journal-000000000001.seg", path);
    assert_int_equal(stat(name, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    assert_int_equal(info.st_size, 256 * 1024);

    struct journal *second = NULL;
    struct drv_problem problem = {""};
    const struct journal_config config = {.directory = path};
    assert_int_equal(journal_open(&config, &second, &problem), DROVER_BUSY);

    static const uint8_t body[1000];
    const struct drv_view part = drv_view_of(body, sizeof body);
    const struct journal_entry entry = {.kind = 3, .parts = &part, .part_count = 1};
    for (int i = 0; i < 1000; i++) {
        (void)journal_append(journal, &entry);
        if (i % 50 == 0) {
            journal_publish(journal);
        }
    }
    assert_ok(journal_stop(journal));
    journal_destroy(&journal);
    journal = open_real(path, &count);
    assert_int_equal(count, 1000);
    assert_int_equal(journal_epoch(journal), 2);
    journal_destroy(&journal);
    remove_directory(path);
    assert_int_equal(rmdir(base), 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_thread_syncs_what_is_appended),
    cmocka_unit_test(test_thread_compacts),
    cmocka_unit_test(test_thread_slow_sync_does_not_stop_the_loop),
    cmocka_unit_test(test_thread_error_wakes_the_loop),
    cmocka_unit_test(test_thread_destroyed_at_work),
    cmocka_unit_test(test_thread_on_real_files),
};

TEST_MAIN(tests)
