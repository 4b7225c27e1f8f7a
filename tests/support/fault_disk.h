/*
 * fault_disk.h: a disk in memory, with one directory, that fails, tears and forgets on request.
 *
 * It stands behind struct files (broker/store/journal/files.h). What was synced is safe; what
 * was not is a choice at a crash: every 512-byte sector, every size and every create, rename
 * and unlink since the last sync of its file or of the directory is kept or lost, each by
 * itself. fault_disk_crash makes the disk that is found after the crash. Reopening the same
 * disk instead is what follows the death of the process alone: everything written is there.
 *
 * A failed sync is as on Linux: what it should have saved counts as clean afterwards, so that a
 * later sync does not save it either; only writing it again does.
 *
 * Deterministic: no clock, no randomness of its own. Any thread may call; one at a time is
 * inside. Lack of memory and misuse abort.
 */
#ifndef DROVER_FAULT_DISK_H
#define DROVER_FAULT_DISK_H

#include "files.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fault_op {
    FAULT_CREATE,
    FAULT_OPEN,
    FAULT_READ,
    FAULT_WRITE,
    FAULT_ALLOCATE,
    FAULT_TRUNCATE,
    FAULT_SYNC,
    FAULT_RENAME,
    FAULT_UNLINK,
    FAULT_SYNC_DIR,
    FAULT_OP_COUNT,
};

/* One operation that took place, or was made to fail. */
struct fault_record {
    enum fault_op op;
    char name[64]; /* of the file; what is renamed; "" for the directory */
    char to[64];   /* RENAME */
    uint64_t offset;
    uint64_t len; /* WRITE: bytes that were written; ALLOCATE, TRUNCATE: the size */
    int error;
};

struct fault_disk;

/* A disk whose directory is missing or, with directory, empty. */
struct fault_disk *fault_disk_new(bool directory);
void fault_disk_destroy(struct fault_disk **disk);

/* The file operations; valid as long as the disk. The path of open_dir is not looked at. */
const struct files *fault_disk_files(struct fault_disk *disk);

/* ---- faults --------------------------------------------------------------------------------
 */

/* Makes the nth operation of that kind from now (1: the next) fail, once; error 0: a short
 * write. A second call before it came replaces the first. Rename, unlink and create that fail
 * do nothing. */
void fault_disk_fail(struct fault_disk *disk, enum fault_op op, uint64_t nth, int error);
/* Fails every operation that changes anything, with that error; 0: no more. */
void fault_disk_fail_all(struct fault_disk *disk, int error);
/* Bytes that files may have together; what needs more gets ENOSPC. At first without limit. */
void fault_disk_set_space(struct fault_disk *disk, uint64_t bytes);
/* Called before every operation that changes something, outside of the disk's lock. */
typedef void (*fault_hook_fn)(void *context, enum fault_op op, const char *name);
void fault_disk_set_hook(struct fault_disk *disk, fault_hook_fn hook, void *context);

/* ---- what happened -------------------------------------------------------------------------
 */

uint64_t fault_disk_count(const struct fault_disk *disk, enum fault_op op);
/* Keeps the operations from now on; those so far in order. */
void fault_disk_record(struct fault_disk *disk);
const struct fault_record *fault_disk_records(const struct fault_disk *disk, size_t *out_count);
/* Bytes of all files. */
uint64_t fault_disk_used(const struct fault_disk *disk);

/* ---- files as the test sees and changes them, behind the back of whoever has them open
 * -------- */

/* The bytes of a file, owned by the disk, valid until the next change; NULL: there is none. */
const uint8_t *fault_disk_bytes(const struct fault_disk *disk, const char *name,
                                size_t *out_len);
/* Flips bits of a byte; makes or replaces a file; removes one; all safe at once. */
void fault_disk_flip(struct fault_disk *disk, const char *name, uint64_t offset, uint8_t bits);
void fault_disk_put(struct fault_disk *disk, const char *name, const void *bytes, size_t len);
void fault_disk_remove(struct fault_disk *disk, const char *name);

/* ---- crashes -------------------------------------------------------------------------------
 */

/* How many choices a crash now would have. */
size_t fault_disk_choices(struct fault_disk *disk);
/* Whether what choice number n (below fault_disk_choices) stands for is kept. */
typedef bool (*fault_keep_fn)(void *context, size_t n);
/* The disk after a crash: without faults, limits, hook, openers. */
struct fault_disk *fault_disk_crash(struct fault_disk *disk, fault_keep_fn keep, void *context);
/* The same with bit n of bits as choice n; all from n = 64 on are as bit 63. */
struct fault_disk *fault_disk_crash_bits(struct fault_disk *disk, uint64_t bits);
/* The same with seeded choices; each is kept with a chance that is itself drawn. */
struct fault_disk *fault_disk_crash_seed(struct fault_disk *disk, uint64_t seed);

#endif
