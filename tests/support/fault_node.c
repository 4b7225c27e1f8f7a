/* fault_node.c: files and names of the disk in memory; see fault_disk_private.h. */
#include "check.h"
#include "fault_disk_private.h"

#include <stdlib.h>
#include <string.h>

void *fault_grown(void *array, size_t count, size_t *capacity, size_t item)
{
    if (count < *capacity) {
        return array;
    }
    *capacity = *capacity == 0 ? 8 : *capacity * 2;
    array = realloc(array, *capacity * item);
    DRV_ASSERT(array != NULL);
    return array;
}

struct fault_node *fault_node_new(struct fault_disk *disk)
{
    struct fault_node *node = calloc(1, sizeof(*node));
    DRV_ASSERT(node != NULL);
    node->next = disk->nodes;
    disk->nodes = node;
    return node;
}

static void ensure_capacity(struct fault_node *node, size_t len)
{
    if (len <= node->capacity) {
        return;
    }
    size_t capacity = (len + 4095U) & ~(size_t)4095U;
    uint8_t *now = calloc(1, capacity);
    uint8_t *safe = calloc(1, capacity);
    uint8_t *sectors = calloc(1, capacity / FAULT_SECTOR);
    DRV_ASSERT(now != NULL && safe != NULL && sectors != NULL);
    if (node->capacity > 0) {
        memcpy(now, node->now, node->capacity);
        memcpy(safe, node->safe, node->capacity);
        memcpy(sectors, node->sectors, node->capacity / FAULT_SECTOR);
    }
    free(node->now);
    free(node->safe);
    free(node->sectors);
    node->now = now;
    node->safe = safe;
    node->sectors = sectors;
    node->capacity = capacity;
}

static void touch(struct fault_node *node, size_t offset, size_t len)
{
    if (len > 0) {
        const size_t first = offset / FAULT_SECTOR;
        const size_t last = (offset + len - 1) / FAULT_SECTOR;
        memset(node->sectors + first, SECTOR_DIRTY, last - first + 1);
    }
}

void fault_node_resize(struct fault_node *node, size_t len)
{
    ensure_capacity(node, len);
    if (len < node->now_len) {
        memset(node->now + len, 0, node->now_len - len);
        touch(node, len, node->now_len - len);
    }
    node->now_len = len;
}

void fault_node_write(struct fault_node *node, size_t offset, const void *bytes, size_t len)
{
    if (offset + len > node->now_len) {
        fault_node_resize(node, offset + len);
    }
    memcpy(node->now + offset, bytes, len);
    touch(node, offset, len);
}

void fault_node_sync(struct fault_node *node)
{
    for (size_t i = 0; i < node->capacity / FAULT_SECTOR; i++) {
        if (node->sectors[i] == SECTOR_DIRTY) {
            memcpy(node->safe + i * FAULT_SECTOR, node->now + i * FAULT_SECTOR, FAULT_SECTOR);
            node->sectors[i] = SECTOR_CLEAN;
        }
    }
    node->safe_len = node->now_len;
}

void fault_node_lose(struct fault_node *node)
{
    for (size_t i = 0; i < node->capacity / FAULT_SECTOR; i++) {
        if (node->sectors[i] == SECTOR_DIRTY) {
            node->sectors[i] = SECTOR_LOST;
        }
    }
}

struct fault_name *fault_names_find(const struct fault_names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->items[i].name, name) == 0) {
            return &names->items[i];
        }
    }
    return NULL;
}

void fault_names_set(struct fault_names *names, const char *name, struct fault_node *node)
{
    struct fault_name *item = fault_names_find(names, name);
    if (item == NULL) {
        DRV_ASSERT(strlen(name) < FAULT_NAME_MAX);
        names->items = fault_grown(names->items, names->count, &names->capacity,
                                   sizeof(*names->items));
        item = &names->items[names->count++];
        memset(item, 0, sizeof(*item));
        memcpy(item->name, name, strlen(name));
    }
    item->node = node;
}

void fault_names_drop(struct fault_names *names, const char *name)
{
    struct fault_name *item = fault_names_find(names, name);
    if (item != NULL) {
        *item = names->items[--names->count];
    }
}

void fault_names_copy(struct fault_names *to, const struct fault_names *from)
{
    to->count = 0;
    for (size_t i = 0; i < from->count; i++) {
        fault_names_set(to, from->items[i].name, from->items[i].node);
    }
}

void fault_names_apply(struct fault_names *names, const struct fault_change *change)
{
    if (change->op == FAULT_CREATE) {
        fault_names_set(names, change->name, change->node);
        return;
    }
    /* The others mean a file, not whatever has the name since. */
    const struct fault_name *found = fault_names_find(names, change->name);
    if (found == NULL || found->node != change->node) {
        return;
    }
    fault_names_drop(names, change->name);
    if (change->op == FAULT_RENAME) {
        fault_names_set(names, change->to, change->node);
    }
}
