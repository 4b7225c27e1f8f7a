/* fault_disk.c: the file operations of the disk in memory; see fault_disk.h. */
#include "fault_disk_private.h"

#include "check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct files_dir {
    struct fault_disk *disk;
    bool holds_lock;
};

struct files_file {
    struct fault_disk *disk;
    struct fault_node *node;
    char name[FAULT_NAME_MAX]; /* under which it was opened */
    bool read_only;
};

/* ---- around every operation ----------------------------------------------------------------
 */

static bool changes_something(enum fault_op op)
{
    return op != FAULT_OPEN && op != FAULT_READ;
}

static void keep_record(struct fault_disk *disk, const struct fault_record *record)
{
    if (disk->recording) {
        disk->records = fault_grown(disk->records, disk->record_count, &disk->record_capacity,
                                    sizeof(*disk->records));
        disk->records[disk->record_count++] = *record;
    }
}

/* Takes the lock; gives the error that this operation must have, -1 for a short write, 0. */
static int enter(struct fault_disk *disk, enum fault_op op, const char *name)
{
    if (disk->hook != NULL && changes_something(op)) {
        disk->hook(disk->hook_context, op, name);
    }
    (void)pthread_mutex_lock(&disk->lock);
    disk->counts[op]++;
    if (disk->fail_all != 0 && changes_something(op)) {
        return disk->fail_all;
    }
    if (disk->fail_at[op] == disk->counts[op]) {
        return disk->fail_error[op] == 0 ? -1 : disk->fail_error[op];
    }
    return 0;
}

static int leave(struct fault_disk *disk, const struct fault_record *record)
{
    keep_record(disk, record);
    (void)pthread_mutex_unlock(&disk->lock);
    return record->error;
}

static struct fault_record record_of(enum fault_op op, const char *name, int error)
{
    struct fault_record record = {.op = op, .error = error < 0 ? 0 : error};
    (void)snprintf(record.name, sizeof(record.name), "%s", name);
    return record;
}

static void note_change(struct fault_disk *disk, enum fault_op op, const char *name,
                        const char *to, struct fault_node *node)
{
    disk->changes = fault_grown(disk->changes, disk->change_count, &disk->change_capacity,
                                sizeof(*disk->changes));
    struct fault_change *change = &disk->changes[disk->change_count++];
    memset(change, 0, sizeof(*change));
    change->op = op;
    change->node = node;
    (void)snprintf(change->name, sizeof(change->name), "%s", name);
    (void)snprintf(change->to, sizeof(change->to), "%s", to);
    fault_names_apply(&disk->now, change);
}

static uint64_t used(const struct fault_disk *disk)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < disk->now.count; i++) {
        bytes += disk->now.items[i].node->now_len;
    }
    return bytes;
}

/* ---- directory ------------------------------------------------------------------------------
 */

static int fault_open_dir(void *context, const char *path, bool create,
                          struct files_dir **out_dir)
{
    (void)path;
    struct fault_disk *disk = context;
    if (!disk->directory && !create) {
        return ENOENT;
    }
    if (!disk->directory && disk->fail_all != 0) {
        return disk->fail_all;
    }
    disk->directory = true;
    struct files_dir *dir = calloc(1, sizeof(*dir));
    DRV_ASSERT(dir != NULL);
    dir->disk = disk;
    *out_dir = dir;
    return 0;
}

static void fault_close_dir(struct files_dir *dir)
{
    if (dir->holds_lock) {
        dir->disk->taken = false;
    }
    free(dir);
}

static int fault_lock_dir(struct files_dir *dir)
{
    if (dir->disk->taken) {
        return EWOULDBLOCK;
    }
    dir->disk->taken = true;
    dir->holds_lock = true;
    return 0;
}

static int fault_list(struct files_dir *dir, files_name_fn visit, void *visit_context)
{
    int error = 0;
    for (size_t i = 0; i < dir->disk->now.count && error == 0; i++) {
        error = visit(visit_context, dir->disk->now.items[i].name);
    }
    return error;
}

static int fault_rename(struct files_dir *dir, const char *from, const char *to)
{
    struct fault_disk *disk = dir->disk;
    struct fault_record record = record_of(FAULT_RENAME, from, enter(disk, FAULT_RENAME, from));
    (void)snprintf(record.to, sizeof(record.to), "%s", to);
    const struct fault_name *found = fault_names_find(&disk->now, from);
    if (record.error == 0 && found == NULL) {
        record.error = ENOENT;
    }
    if (record.error == 0) {
        note_change(disk, FAULT_RENAME, from, to, found->node);
    }
    return leave(disk, &record);
}

static int fault_unlink(struct files_dir *dir, const char *name)
{
    struct fault_disk *disk = dir->disk;
    struct fault_record record = record_of(FAULT_UNLINK, name, enter(disk, FAULT_UNLINK, name));
    const struct fault_name *found = fault_names_find(&disk->now, name);
    if (record.error == 0 && found == NULL) {
        record.error = ENOENT;
    }
    if (record.error == 0) {
        note_change(disk, FAULT_UNLINK, name, "", found->node);
    }
    return leave(disk, &record);
}

/* Nodes that no name means any more, for good, and nobody has open. */
static void drop_nodes(struct fault_disk *disk)
{
    for (struct fault_node **link = &disk->nodes; *link != NULL;) {
        struct fault_node *node = *link;
        bool named = node->openers > 0;
        for (size_t i = 0; i < disk->now.count && !named; i++) {
            named = disk->now.items[i].node == node;
        }
        if (named) {
            link = &node->next;
            continue;
        }
        *link = node->next;
        free(node->now);
        free(node->safe);
        free(node->sectors);
        free(node);
    }
}

static int fault_sync_dir(struct files_dir *dir)
{
    struct fault_disk *disk = dir->disk;
    struct fault_record record = record_of(FAULT_SYNC_DIR, "", enter(disk, FAULT_SYNC_DIR, ""));
    if (record.error == 0) {
        fault_names_copy(&disk->safe, &disk->now);
        disk->change_count = 0;
        drop_nodes(disk);
    }
    return leave(disk, &record);
}

/* ---- files ----------------------------------------------------------------------------------
 */

static int fault_open(struct files_dir *dir, const char *name, enum files_mode mode,
                      struct files_file **out_file)
{
    struct fault_disk *disk = dir->disk;
    const enum fault_op op = mode == FILES_CREATE ? FAULT_CREATE : FAULT_OPEN;
    struct fault_record record = record_of(op, name, enter(disk, op, name));
    const struct fault_name *found = fault_names_find(&disk->now, name);
    if (record.error == 0 && mode == FILES_WRITE && disk->fail_all == EROFS) {
        record.error = EROFS;
    }
    if (record.error == 0 && (found != NULL) == (mode == FILES_CREATE)) {
        record.error = found != NULL ? EEXIST : ENOENT;
    }
    if (record.error == 0) {
        if (mode == FILES_CREATE) {
            note_change(disk, FAULT_CREATE, name, "", fault_node_new(disk));
            found = fault_names_find(&disk->now, name);
        }
        struct files_file *file = calloc(1, sizeof(*file));
        DRV_ASSERT(file != NULL && found != NULL);
        file->disk = disk;
        file->node = found->node;
        file->node->openers++;
        file->read_only = mode == FILES_READ;
        (void)snprintf(file->name, sizeof(file->name), "%s", name);
        *out_file = file;
    }
    return leave(disk, &record);
}

static void fault_close(struct files_file *file)
{
    (void)pthread_mutex_lock(&file->disk->lock);
    file->node->openers--;
    (void)pthread_mutex_unlock(&file->disk->lock);
    free(file);
}

/* What the file is called now. */
static const char *name_of(const struct files_file *file)
{
    const struct fault_names *names = &file->disk->now;
    for (size_t i = 0; i < names->count; i++) {
        if (names->items[i].node == file->node) {
            return names->items[i].name;
        }
    }
    return file->name;
}

static int fault_size(struct files_file *file, uint64_t *out_size)
{
    *out_size = file->node->now_len;
    return 0;
}

static int fault_read(struct files_file *file, uint64_t offset, void *bytes, size_t len,
                      size_t *out_len)
{
    struct fault_record record = record_of(FAULT_READ, name_of(file),
                                           enter(file->disk, FAULT_READ, name_of(file)));
    if (record.error == 0) {
        const size_t size = file->node->now_len;
        const size_t left = offset < size ? size - (size_t)offset : 0;
        const size_t got = left < len ? left : len;
        if (got > 0) {
            memcpy(bytes, file->node->now + offset, got);
        }
        record.offset = offset;
        record.len = got;
        *out_len = got;
    }
    return leave(file->disk, &record);
}

static int grow_error(const struct fault_disk *disk, const struct fault_node *node,
                      uint64_t end)
{
    return end > node->now_len && used(disk) + (end - node->now_len) > disk->space ? ENOSPC : 0;
}

static int fault_write(struct files_file *file, uint64_t offset, const void *bytes, size_t len,
                       size_t *out_len)
{
    struct fault_disk *disk = file->disk;
    DRV_ASSERT(!file->read_only && len > 0);
    const int fault = enter(disk, FAULT_WRITE, name_of(file));
    struct fault_record record = record_of(FAULT_WRITE, name_of(file), fault);
    const size_t put = fault < 0 && len > 1 ? len / 2 : len;
    if (record.error == 0) {
        record.error = grow_error(disk, file->node, offset + put);
    }
    if (record.error == 0) {
        fault_node_write(file->node, (size_t)offset, bytes, put);
        record.offset = offset;
        record.len = put;
        *out_len = put;
    }
    return leave(disk, &record);
}

static int resize(struct files_file *file, enum fault_op op, uint64_t len)
{
    struct fault_disk *disk = file->disk;
    DRV_ASSERT(!file->read_only);
    struct fault_record record = record_of(op, name_of(file), enter(disk, op, name_of(file)));
    record.len = len;
    if (record.error == 0) {
        record.error = grow_error(disk, file->node, len);
    }
    if (record.error == 0 && (op == FAULT_TRUNCATE || len > file->node->now_len)) {
        fault_node_resize(file->node, (size_t)len);
    }
    return leave(disk, &record);
}

static int fault_allocate(struct files_file *file, uint64_t len)
{
    return resize(file, FAULT_ALLOCATE, len);
}

static int fault_truncate(struct files_file *file, uint64_t len)
{
    return resize(file, FAULT_TRUNCATE, len);
}

static int fault_sync(struct files_file *file)
{
    struct fault_record record = record_of(FAULT_SYNC, name_of(file),
                                           enter(file->disk, FAULT_SYNC, name_of(file)));
    if (record.error == 0) {
        fault_node_sync(file->node);
    } else {
        fault_node_lose(file->node);
    }
    return leave(file->disk, &record);
}

/* ---- the disk -------------------------------------------------------------------------------
 */

struct fault_disk *fault_disk_new(bool directory)
{
    struct fault_disk *disk = calloc(1, sizeof(*disk));
    DRV_ASSERT(disk != NULL);
    disk->files = (struct files){
        .context = disk,
        .open_dir = fault_open_dir,
        .close_dir = fault_close_dir,
        .lock_dir = fault_lock_dir,
        .list = fault_list,
        .rename = fault_rename,
        .unlink = fault_unlink,
        .sync_dir = fault_sync_dir,
        .open = fault_open,
        .close = fault_close,
        .size = fault_size,
        .read = fault_read,
        .write = fault_write,
        .allocate = fault_allocate,
        .truncate = fault_truncate,
        .sync = fault_sync,
    };
    disk->directory = directory;
    disk->space = UINT64_MAX;
    (void)pthread_mutex_init(&disk->lock, NULL);
    return disk;
}

void fault_disk_destroy(struct fault_disk **disk)
{
    struct fault_disk *d = *disk;
    *disk = NULL;
    if (d == NULL) {
        return;
    }
    d->now.count = 0;
    drop_nodes(d);
    DRV_ASSERT(d->nodes == NULL); /* somebody still has a file open */
    free(d->now.items);
    free(d->safe.items);
    free(d->changes);
    free(d->records);
    (void)pthread_mutex_destroy(&d->lock);
    free(d);
}

const struct files *fault_disk_files(struct fault_disk *disk)
{
    return &disk->files;
}

void fault_disk_fail(struct fault_disk *disk, enum fault_op op, uint64_t nth, int error)
{
    (void)pthread_mutex_lock(&disk->lock);
    disk->fail_at[op] = disk->counts[op] + nth;
    disk->fail_error[op] = error;
    (void)pthread_mutex_unlock(&disk->lock);
}

void fault_disk_fail_all(struct fault_disk *disk, int error)
{
    (void)pthread_mutex_lock(&disk->lock);
    disk->fail_all = error;
    (void)pthread_mutex_unlock(&disk->lock);
}

void fault_disk_set_space(struct fault_disk *disk, uint64_t bytes)
{
    (void)pthread_mutex_lock(&disk->lock);
    disk->space = bytes;
    (void)pthread_mutex_unlock(&disk->lock);
}

void fault_disk_set_hook(struct fault_disk *disk, fault_hook_fn hook, void *context)
{
    disk->hook = hook;
    disk->hook_context = context;
}

uint64_t fault_disk_count(const struct fault_disk *disk, enum fault_op op)
{
    return disk->counts[op];
}

void fault_disk_record(struct fault_disk *disk)
{
    disk->recording = true;
}

const struct fault_record *fault_disk_records(const struct fault_disk *disk, size_t *out_count)
{
    *out_count = disk->record_count;
    return disk->records;
}

uint64_t fault_disk_used(const struct fault_disk *disk)
{
    return used(disk);
}
