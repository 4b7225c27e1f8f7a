/*
 * disk.h: file systems and how full they are.
 *
 * Mounts are those of /proc/self/mountinfo that a person would call a disk: on a device, or a
 * pool (zfs, btrfs...), or `/` whatever it is; each file system once, where it is mounted
 * first. Network and FUSE file systems other than `/` are listed without numbers: asking a
 * server that is gone can take for ever. Asking anything else may block too (a dying disk),
 * which is why diskwatch.h does it in a thread of its own.
 */
#ifndef WORKER_STAT_DISK_H
#define WORKER_STAT_DISK_H

#include "stat/details.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/statvfs.h>

enum {
    STAT_MOUNTS_MAX = 64,
    STAT_MOUNT_PATH_MAX = 256, /* longer ones are cut when told, but asked in full */
    STAT_MOUNT_TYPE_MAX = 32,
};

struct stat_mount {
    char path[STAT_MOUNT_PATH_MAX]; /* UTF-8, as told */
    char type[STAT_MOUNT_TYPE_MAX];
    uint32_t major, minor;
    bool is_remote;                  /* was not asked */
    bool is_unknown;                 /* was asked, and said nothing */
    uint64_t total, used, available; /* bytes; available: to who is not root */
    double percent;                  /* of used in used + available, as df shows it */
};

struct stat_disk {
    struct stat_mount mounts[STAT_MOUNTS_MAX];
    size_t count;
    size_t more; /* mounts beyond STAT_MOUNTS_MAX */
};

/* Asks one file system; statvfs, but for tests. */
typedef int (*stat_disk_ask_fn)(const char *path, struct statvfs *out_numbers);

/* Reads root + "/proc/self/mountinfo" into text (kept by the caller for reuse) and asks what is
 * there. Blocks for as long as a file system does. */
void stat_disk_read(const char *root, stat_disk_ask_fn ask, struct drv_buffer *text,
                    struct stat_disk *out_disk);

/* Used share of `/`; 0 when it is not known. */
double stat_disk_root_percent(const struct stat_disk *disk);

/* The map `disk` of a heartbeat's details. disk NULL: nothing is known yet. is_stale: the
 * numbers are old, or not there yet, since something does not answer. */
void stat_disk_write(const struct stat_disk *disk, bool is_stale, struct stat_details *details);

#endif
