/* journal.c: the loop's side of the journal, and the thread; see journal.h, journal_private.h.
 */
#include "journal_private.h"

#include "check.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* ---- health, waking -------------------------------------------------------------------------
 */

bool journal_has_failed(const struct journal *journal)
{
    return atomic_load_explicit(&journal->health, memory_order_acquire) != DROVER_OK;
}

/* The first failure is the one that counts; loop and thread may come at the same time. */
static bool may_fail(struct journal *journal)
{
    return atomic_exchange(&journal->failing, 1) == 0;
}

void journal_fail(struct journal *journal, const char *what, const char *name, int error)
{
    if (may_fail(journal)) {
        drover_status status = catalog_io(&journal->catalog, &journal->problem, what, name,
                                          error);
        atomic_store_explicit(&journal->health, (int)status, memory_order_release);
        journal_tell_loop(journal);
    }
}

void journal_fail_text(struct journal *journal, drover_status status, const char *text)
{
    if (may_fail(journal)) {
        (void)drv_problem_set(&journal->problem, status, "%s", text);
        atomic_store_explicit(&journal->health, (int)status, memory_order_release);
        journal_tell_loop(journal);
    }
}

drover_status journal_health(const struct journal *journal, struct drv_problem *problem)
{
    drover_status status = (drover_status)atomic_load_explicit(&journal->health,
                                                               memory_order_acquire);
    if (status != DROVER_OK && problem != NULL) {
        *problem = journal->problem;
    }
    return status;
}

static void ring(int fd)
{
    const uint64_t one = 1;
    ssize_t put;
    do {
        put = fd < 0 ? 0 : write(fd, &one, sizeof(one));
    } while (put < 0 && errno == EINTR); /* EAGAIN: it is readable already */
}

void journal_tell_loop(struct journal *journal)
{
    ring(journal->event_fd);
}

void journal_wake(struct journal *journal)
{
    atomic_fetch_add(&journal->work, 1);
    if (atomic_exchange(&journal->asleep, 0) != 0) {
        ring(journal->wake_fd);
    }
}

int journal_fd(const struct journal *journal)
{
    return journal->event_fd;
}

void journal_seen(struct journal *journal)
{
    uint64_t count;
    ssize_t got;
    do {
        got = journal->event_fd < 0 ? 0 : read(journal->event_fd, &count, sizeof(count));
    } while (got < 0 && errno == EINTR);
}

/* ---- appending ------------------------------------------------------------------------------
 */

static size_t parts_len(const struct journal_entry *entry)
{
    size_t len = 0;
    DRV_ASSERT(entry->part_count <= JOURNAL_PARTS_MAX);
    for (size_t i = 0; i < entry->part_count; i++) {
        len += entry->parts[i].len;
    }
    return len;
}

static void copy_parts(const struct journal_entry *entry, struct drv_view data, uint8_t *out)
{
    for (size_t i = 0; i < entry->part_count; i++) {
        if (entry->parts[i].len > 0) {
            memcpy(out, entry->parts[i].bytes, entry->parts[i].len);
            out += entry->parts[i].len;
        }
    }
    if (data.len > 0) {
        memcpy(out, data.bytes, data.len);
    }
}

uint64_t journal_append(struct journal *journal, const struct journal_entry *entry)
{
    const struct drv_view data = drv_data_view(entry->data);
    const bool refer = data.len >= JOURNAL_REFERENCE_MIN;
    const size_t parts = parts_len(entry);
    const size_t copied = refer ? parts : parts + data.len;
    DRV_ASSERT(entry->kind != 0 && parts <= JOURNAL_BODY_MAX &&
               parts + data.len <= JOURNAL_BODY_MAX);
    struct chain_item item = {.lsn = ++journal->appended,
                              .id = entry->id,
                              .index = entry->index,
                              .kind = entry->kind,
                              .len = (uint32_t)copied,
                              .data = refer ? drv_data_ref(entry->data) : NULL};
    uint64_t *account = entry->copy ? &journal->compaction.copied : &journal->compaction.fresh;
    *account += journal_record_bytes(parts + data.len);
    uint8_t *bytes = NULL;
    if (journal_has_failed(journal)) {
        drv_data_unref(&item.data);
    } else if (chain_push(&journal->queue, &item, &bytes) != DROVER_OK) {
        drv_data_unref(&item.data);
        journal_fail_text(journal, DROVER_NOMEM, "out of memory for the journal's queue");
    } else {
        copy_parts(entry, refer ? drv_view_of(NULL, 0) : data, bytes);
    }
    return journal->appended;
}

uint64_t journal_last(const struct journal *journal)
{
    return journal->appended;
}

void journal_publish(struct journal *journal)
{
    if (chain_publish(&journal->queue)) {
        journal_wake(journal);
    }
}

size_t journal_room(const struct journal *journal)
{
    const uint64_t len = chain_len(&journal->queue);
    return len < journal->queue_bytes ? journal->queue_bytes - (size_t)len : 0;
}

uint64_t journal_written(const struct journal *journal)
{
    return atomic_load_explicit(&journal->written, memory_order_acquire);
}

uint64_t journal_synced(const struct journal *journal)
{
    return atomic_load_explicit(&journal->synced, memory_order_acquire);
}

drover_id journal_store_id(const struct journal *journal)
{
    return journal->catalog.slot.store;
}

uint64_t journal_epoch(const struct journal *journal)
{
    return journal->writer.epoch;
}

bool journal_is_full(const struct journal *journal)
{
    return atomic_load_explicit(&journal->full, memory_order_acquire) != 0;
}

void journal_tick(struct journal *journal)
{
    (void)chain_trim(&journal->queue);
    atomic_store_explicit(&journal->retry, 1, memory_order_release);
    journal_wake(journal);
}

void journal_stats_get(const struct journal *journal, struct journal_stats *out_stats)
{
    const struct journal_counters *counters = &journal->counters;
    *out_stats = (struct journal_stats){
        .segments = atomic_load_explicit(&counters->segments, memory_order_relaxed),
        .disk_bytes = atomic_load_explicit(&counters->disk_bytes, memory_order_relaxed),
        .live_bytes = atomic_load_explicit(&journal->compaction.live_bytes,
                                           memory_order_relaxed),
        .batches = atomic_load_explicit(&counters->batches, memory_order_relaxed),
        .syncs = atomic_load_explicit(&counters->syncs, memory_order_relaxed),
        .records = journal->appended - (journal->scan.next_lsn - 1),
        .bytes = atomic_load_explicit(&counters->bytes, memory_order_relaxed),
        .reclaimed = atomic_load_explicit(&counters->reclaimed, memory_order_relaxed),
        .sync_last_us = atomic_load_explicit(&counters->sync_last_us, memory_order_relaxed),
        .sync_max_us = atomic_load_explicit(&counters->sync_max_us, memory_order_relaxed),
    };
}

/* ---- the thread -----------------------------------------------------------------------------
 */

/* Sleeps unless there was news since `seen`. */
static void sleep_unless_woken(struct journal *journal, uint64_t seen)
{
    atomic_store(&journal->asleep, 1);
    if (atomic_load(&journal->work) != seen) {
        atomic_store(&journal->asleep, 0);
        return;
    }
    uint64_t count;
    ssize_t got;
    do {
        got = read(journal->wake_fd, &count, sizeof(count));
    } while (got < 0 && errno == EINTR);
}

static void *run(void *argument)
{
    struct journal *journal = argument;
    for (;;) {
        const uint64_t seen = atomic_load(&journal->work);
        const int quit = atomic_load_explicit(&journal->quit, memory_order_acquire);
        if (quit == QUIT_NOW) {
            return NULL;
        }
        if (writer_step(journal)) {
            continue;
        }
        if (quit == QUIT_FINISH) {
            writer_finish(journal);
            return NULL;
        }
        sleep_unless_woken(journal, seen);
    }
}

int journal_run_thread(struct journal *journal)
{
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    journal->wake_fd = eventfd(0, EFD_CLOEXEC);
    if (journal->wake_fd < 0) {
        return errno;
    }
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the loop's */
    int error = pthread_create(&journal->thread, NULL, run, journal);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    journal->threaded = error == 0;
    return error;
}

static void end_thread(struct journal *journal, enum journal_quit quit)
{
    if (journal->threaded) {
        atomic_store_explicit(&journal->quit, quit, memory_order_release);
        journal_wake(journal);
        (void)pthread_join(journal->thread, NULL);
        journal->threaded = false;
    }
}

bool journal_pump(struct journal *journal)
{
    DRV_ASSERT(journal->pumped);
    return writer_step(journal);
}

drover_status journal_stop(struct journal *journal)
{
    (void)chain_publish(&journal->queue);
    if (journal->pumped) {
        writer_finish(journal);
    } else {
        end_thread(journal, QUIT_FINISH);
    }
    if (!journal_has_failed(journal) && journal_synced(journal) != journal->appended) {
        journal_fail_text(journal, DROVER_IO, "the disk is full, the last records are lost");
    }
    return journal_health(journal, NULL);
}

void journal_destroy(struct journal **journal)
{
    struct journal *j = *journal;
    *journal = NULL;
    if (j == NULL) {
        return;
    }
    end_thread(j, QUIT_NOW);
    compaction_fini(j);
    if (j->writer.head != NULL) {
        j->files->close(j->writer.head);
    }
    free(j->writer.batch);
    chain_fini(&j->queue);
    catalog_fini(&j->catalog);
    if (j->event_fd >= 0) {
        (void)close(j->event_fd);
    }
    if (j->wake_fd >= 0) {
        (void)close(j->wake_fd);
    }
    free(j);
}
