/* fault_disk_private.h: the inside of fault_disk.h. */
#ifndef DROVER_FAULT_DISK_PRIVATE_H
#define DROVER_FAULT_DISK_PRIVATE_H

#include "fault_disk.h"

#include <pthread.h>

enum { FAULT_SECTOR = 512, FAULT_NAME_MAX = 64 };

enum fault_sector { SECTOR_CLEAN, SECTOR_DIRTY, SECTOR_LOST };

/* A file, whatever its names. */
struct fault_node {
    uint8_t *now;
    size_t now_len;
    uint8_t *safe;
    size_t safe_len;
    uint8_t *sectors; /* enum fault_sector each, for the longer of the two */
    size_t capacity;  /* bytes that now and safe have room for */
    size_t openers;
    struct fault_node *next; /* of the disk's */
};

struct fault_name {
    char name[FAULT_NAME_MAX];
    struct fault_node *node;
};

struct fault_names {
    struct fault_name *items;
    size_t count;
    size_t capacity;
};

/* A change of names that is not synced. */
struct fault_change {
    enum fault_op op; /* CREATE, RENAME, UNLINK */
    char name[FAULT_NAME_MAX];
    char to[FAULT_NAME_MAX];
    struct fault_node *node;
};

struct fault_disk {
    struct files files;
    pthread_mutex_t lock;
    bool directory; /* it exists */
    bool taken;     /* somebody has locked it */
    struct fault_node *nodes;
    struct fault_names now;
    struct fault_names safe;
    struct fault_change *changes;
    size_t change_count;
    size_t change_capacity;
    uint64_t space;
    uint64_t counts[FAULT_OP_COUNT];
    uint64_t fail_at[FAULT_OP_COUNT]; /* count at which it fails; 0: never */
    int fail_error[FAULT_OP_COUNT];
    int fail_all;
    fault_hook_fn hook;
    void *hook_context;
    bool recording;
    struct fault_record *records;
    size_t record_count;
    size_t record_capacity;
};

struct fault_node *fault_node_new(struct fault_disk *disk);
void fault_node_resize(struct fault_node *node, size_t len);
void fault_node_write(struct fault_node *node, size_t offset, const void *bytes, size_t len);
void fault_node_sync(struct fault_node *node);
void fault_node_lose(struct fault_node *node);

struct fault_name *fault_names_find(const struct fault_names *names, const char *name);
void fault_names_set(struct fault_names *names, const char *name, struct fault_node *node);
void fault_names_drop(struct fault_names *names, const char *name);
void fault_names_copy(struct fault_names *to, const struct fault_names *from);
/* Applies a change if it still can. */
void fault_names_apply(struct fault_names *names, const struct fault_change *change);

/* realloc or abort. */
void *fault_grown(void *array, size_t count, size_t *capacity, size_t item);

#endif
