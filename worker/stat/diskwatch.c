#include "stat/diskwatch.h"

#include "stat/bell.h"
#include "stat/mailbox.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { STACK_BYTES = 256 * 1024 };

/* What both threads know; the last of them to leave frees it. */
struct shared {
    _Atomic(unsigned) owners;
    _Atomic(bool) is_ending;
    int asked_fd, answered_fd;
    struct stat_mailbox answers; /* struct stat_disk *, owned */
    stat_disk_ask_fn ask;
    char *root; /* owned */
};

struct stat_diskwatch {
    struct shared *shared;
    struct stat_disk *latest; /* owned; NULL: none yet */
    bool is_open;             /* a question has no answer yet */
};

static void leave(struct shared *shared)
{
    if (atomic_fetch_sub(&shared->owners, 1) != 1) {
        return;
    }
    free(stat_mailbox_take(&shared->answers));
    stat_bell_close(&shared->asked_fd);
    stat_bell_close(&shared->answered_fd);
    free(shared->root);
    free(shared);
}

/* ---- the thread -----------------------------------------------------------------------------
 */

static void answer(struct shared *shared, struct drv_buffer *text)
{
    struct stat_disk *disk = calloc(1, sizeof *disk);
    if (disk != NULL) {
        stat_disk_read(shared->root, shared->ask, text, disk);
        free(stat_mailbox_put(&shared->answers, disk));
    }
    stat_bell_ring(shared->answered_fd);
}

static void *work(void *context)
{
    struct shared *shared = context;
    struct drv_buffer text;
    drv_buffer_init(&text);
    while (!atomic_load(&shared->is_ending)) {
        if (stat_bell_wait(shared->asked_fd, -1) && !atomic_load(&shared->is_ending)) {
            answer(shared, &text);
        }
    }
    drv_buffer_fini(&text);
    leave(shared);
    return NULL;
}

/* Nobody waits for its end. */
static drover_status start(struct shared *shared)
{
    pthread_t thread;
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0) {
        return DROVER_NOMEM;
    }
    (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    atomic_fetch_add(&shared->owners, 1);
    int error = pthread_create(&thread, &attributes, work, shared);
    (void)pthread_attr_destroy(&attributes);
    if (error != 0) {
        atomic_fetch_sub(&shared->owners, 1);
        return DROVER_IO;
    }
    return DROVER_OK;
}

/* ---- the asking side ------------------------------------------------------------------------
 */

static drover_status shared_new(const char *root, stat_disk_ask_fn ask,
                                struct shared **out_shared)
{
    struct shared *shared = calloc(1, sizeof *shared);
    if (shared == NULL) {
        return DROVER_NOMEM;
    }
    shared->owners = 1;
    shared->asked_fd = shared->answered_fd = -1;
    shared->ask = ask;
    shared->root = strdup(root);
    drover_status status = shared->root == NULL ? DROVER_NOMEM
                                                : stat_bell_open(&shared->asked_fd);
    if (status == DROVER_OK) {
        status = stat_bell_open(&shared->answered_fd);
    }
    if (status == DROVER_OK) {
        status = start(shared);
    }
    if (status != DROVER_OK) {
        leave(shared);
        return status;
    }
    *out_shared = shared;
    return DROVER_OK;
}

drover_status stat_diskwatch_new(const char *root, stat_disk_ask_fn ask,
                                 struct stat_diskwatch **out_watch)
{
    struct stat_diskwatch *watch = calloc(1, sizeof *watch);
    if (watch == NULL) {
        return DROVER_NOMEM;
    }
    drover_status status = shared_new(root, ask, &watch->shared);
    if (status != DROVER_OK) {
        free(watch);
        return status;
    }
    *out_watch = watch;
    return DROVER_OK;
}

void stat_diskwatch_destroy(struct stat_diskwatch **watch)
{
    if (*watch != NULL) {
        struct shared *shared = (*watch)->shared;
        atomic_store(&shared->is_ending, true);
        stat_bell_ring(shared->asked_fd);
        leave(shared);
        free((*watch)->latest);
        free(*watch);
        *watch = NULL;
    }
}

static bool take_answer(struct stat_diskwatch *watch, int patience_ms)
{
    if (!watch->is_open || !stat_bell_wait(watch->shared->answered_fd, patience_ms)) {
        return false;
    }
    struct stat_disk *disk = stat_mailbox_take(&watch->shared->answers);
    watch->is_open = false;
    if (disk == NULL) {
        return false; /* no memory there */
    }
    free(watch->latest);
    watch->latest = disk;
    return true;
}

const struct stat_disk *stat_diskwatch_ask(struct stat_diskwatch *watch, bool *out_is_stale)
{
    bool is_fresh = false;
    (void)take_answer(watch, 0); /* one that came late */
    if (!watch->is_open) {
        watch->is_open = true;
        stat_bell_ring(watch->shared->asked_fd);
        is_fresh = take_answer(watch, STAT_DISK_PATIENCE_MS);
    }
    *out_is_stale = !is_fresh;
    return watch->latest;
}
