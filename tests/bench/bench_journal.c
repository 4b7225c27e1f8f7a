/*
 * bench_journal.c: what the journal costs on a real disk.
 *
 *     bench_journal [--dir DIR] [--seconds N]
 *
 * Prints, for 1, 64 and 1000 records of 200 bytes per sync: appends per second through the
 * journal and its thread, beside a plain loop of write and fdatasync into a preallocated file
 * with the same bytes; then the speed of a recovery, and the bytes per record. Never fails on
 * time. DIR must be on the disk in question; the kind of its file system is printed, and tmpfs
 * is warned about.
 */
#include "clock.h"
#include "journal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

enum { BODY = 200, RECOVERY_RECORDS = 1000000, RECOVERY_BODY = 231 /* 279 with its header */ };

static const uint8_t body[1000 * (BODY + JOURNAL_RECORD_OVERHEAD)] = {1};

static void die(const char *what, const char *why)
{
    (void)fprintf(stderr, "bench_journal: %s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

static double seconds_since(uint64_t start_us)
{
    return (double)(drv_clock_now_us() - start_us) / 1e6;
}

static int unlink_one(void *context, const char *name)
{
    if (name[0] != '.') {
        (void)files_real.unlink(context, name);
    }
    return 0;
}

static void empty_directory(const char *path)
{
    struct files_dir *dir = NULL;
    if (files_real.open_dir(NULL, path, false, &dir) == 0) {
        (void)files_real.list(dir, unlink_one, dir);
        files_real.close_dir(dir);
    }
}

static struct journal *open_journal(const char *path, struct journal_recovery *out_recovery,
                                    double *out_seconds)
{
    struct journal *journal = NULL;
    struct drv_problem problem = {""};
    const struct journal_config config = {.directory = path};
    const uint64_t start = drv_clock_now_us();
    if (journal_open(&config, &journal, &problem) != DROVER_OK ||
        journal_replay(journal, NULL, NULL, out_recovery, &problem) != DROVER_OK) {
        die("open", problem.text);
    }
    *out_seconds = seconds_since(start);
    if (journal_start(journal, &problem) != DROVER_OK) {
        die("start", problem.text);
    }
    return journal;
}

static void append(struct journal *journal, size_t len)
{
    const struct drv_view part = drv_view_of(body, len);
    const struct journal_entry entry = {.kind = 1, .parts = &part, .part_count = 1};
    (void)journal_append(journal, &entry);
}

static void await_synced(struct journal *journal, uint64_t lsn)
{
    while (journal_synced(journal) < lsn && journal_health(journal, NULL) == DROVER_OK) {
        struct pollfd item = {.fd = journal_fd(journal), .events = POLLIN};
        (void)poll(&item, 1, 1000);
        journal_seen(journal);
    }
}

/* Records per second when so many are appended, then waited for. */
static double journal_rate(const char *path, size_t records, double seconds)
{
    struct journal_recovery recovery;
    double ignored = 0;
    empty_directory(path);
    struct journal *journal = open_journal(path, &recovery, &ignored);
    uint64_t done = 0;
    const uint64_t start = drv_clock_now_us();
    while (seconds_since(start) < seconds) {
        for (size_t i = 0; i < records; i++) {
            append(journal, BODY);
        }
        journal_publish(journal);
        await_synced(journal, journal_last(journal));
        done += records;
    }
    const double rate = (double)done / seconds_since(start);
    journal_destroy(&journal);
    return rate;
}

/* The same with nothing but pwrite and fdatasync, into a file whose blocks exist. */
static double plain_rate(const char *path, size_t records, double seconds)
{
    static const uint8_t zeros[1024 * 1024];
    const size_t len = records * (BODY + JOURNAL_RECORD_OVERHEAD);
    const off_t size = 64 * 1024 * 1024;
    char name[512];
    (void)snprintf(name, sizeof(name), "%s/plain", path);
    const int fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        die(name, "cannot be made");
    }
    for (off_t at = 0; at < size; at += (off_t)sizeof(zeros)) {
        if (pwrite(fd, zeros, sizeof(zeros), at) != (ssize_t)sizeof(zeros)) {
            die(name, "cannot be written");
        }
    }
    (void)fdatasync(fd);
    off_t at = 0;
    uint64_t done = 0;
    const uint64_t start = drv_clock_now_us();
    while (seconds_since(start) < seconds) {
        at = at + (off_t)len > size ? 0 : at;
        if (pwrite(fd, body, len, at) != (ssize_t)len || fdatasync(fd) != 0) {
            die(name, "cannot be written");
        }
        at += (off_t)len;
        done += records;
    }
    const double rate = (double)done / seconds_since(start);
    (void)close(fd);
    (void)unlink(name);
    return rate;
}

/* CPU of the appending side, and what a replay takes. */
static void measure_recovery(const char *path)
{
    struct journal_recovery recovery;
    struct journal_stats stats;
    double took = 0;
    empty_directory(path);
    struct journal *journal = open_journal(path, &recovery, &took);
    const uint64_t start = drv_clock_now_us();
    uint64_t appending_us = 0;
    for (size_t i = 0; i < RECOVERY_RECORDS; i += 256) {
        const uint64_t before = drv_clock_now_us();
        for (size_t j = 0; j < 256 && i + j < RECOVERY_RECORDS; j++) {
            append(journal, RECOVERY_BODY);
        }
        journal_publish(journal);
        appending_us += drv_clock_now_us() - before;
        if (journal_room(journal) == 0) {
            await_synced(journal, journal_last(journal) - 1000);
        }
    }
    await_synced(journal, journal_last(journal));
    const double wrote = seconds_since(start);
    journal_stats_get(journal, &stats);
    if (journal_stop(journal) != DROVER_OK) {
        die("stop", "failed");
    }
    journal_destroy(&journal);
    journal = open_journal(path, &recovery, &took);
    (void)printf("stream    %d records of %d bytes: %.0f per second, %.2f us of the loop each, "
                 "%.1f bytes per record, %" PRIu64 " syncs\n",
                 RECOVERY_RECORDS, RECOVERY_BODY + JOURNAL_RECORD_OVERHEAD,
                 RECOVERY_RECORDS / wrote, (double)appending_us / RECOVERY_RECORDS,
                 (double)stats.bytes / RECOVERY_RECORDS, stats.syncs);
    (void)printf("recovery  %" PRIu64
                 " records, %.0f MB in %.3f s: %.0f MB/s, %.2f M records/s\n",
                 recovery.records, (double)recovery.bytes / 1e6, took,
                 (double)recovery.bytes / 1e6 / took, (double)recovery.records / 1e6 / took);
    journal_destroy(&journal);
}

static void print_place(const char *path)
{
    struct statfs info;
    if (statfs(path, &info) != 0) {
        return;
    }
    const bool memory = info.f_type == 0x01021994;
    (void)printf("place     %s, file system %#lx%s\n", path, (unsigned long)info.f_type,
                 memory ? " (tmpfs: these numbers mean nothing)" : "");
}

int main(int argc, char **argv)
{
    const char *base = ".";
    double seconds = 3;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--dir") == 0) {
            base = argv[i + 1];
        } else if (strcmp(argv[i], "--seconds") == 0) {
            seconds = strtod(argv[i + 1], NULL);
        }
    }
    char path[400];
    (void)snprintf(path, sizeof(path), "%s/bench-journal-XXXXXX", base);
    if (mkdtemp(path) == NULL) {
        die(path, "cannot be made");
    }
    print_place(path);
    static const size_t batches[] = {1, 64, 1000};
    for (size_t i = 0; i < sizeof(batches) / sizeof(batches[0]); i++) {
        const double plain = plain_rate(path, batches[i], seconds);
        const double rate = journal_rate(path, batches[i], seconds);
        (void)printf("append    %4zu per sync: journal %.0f per second, %.0f us a sync; plain "
                     "write and fdatasync %.0f, %.0f us\n",
                     batches[i], rate, 1e6 * (double)batches[i] / rate, plain,
                     1e6 * (double)batches[i] / plain);
        (void)fflush(stdout);
    }
    measure_recovery(path);
    empty_directory(path);
    (void)rmdir(path);
    return EXIT_SUCCESS;
}
