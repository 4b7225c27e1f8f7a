/* fault_crash.c: what a test does to a disk from outside, and crashes; see fault_disk.h. */
#include "check.h"
#include "fault_disk_private.h"
#include "rng.h"

#include <stdlib.h>
#include <string.h>

const uint8_t *fault_disk_bytes(const struct fault_disk *disk, const char *name,
                                size_t *out_len)
{
    const struct fault_name *found = fault_names_find(&disk->now, name);
    if (found == NULL) {
        return NULL;
    }
    *out_len = found->node->now_len;
    return found->node->now;
}

void fault_disk_flip(struct fault_disk *disk, const char *name, uint64_t offset, uint8_t bits)
{
    const struct fault_name *found = fault_names_find(&disk->now, name);
    DRV_ASSERT(found != NULL && offset < found->node->now_len);
    found->node->now[offset] ^= bits;
    found->node->safe[offset] = found->node->now[offset];
}

void fault_disk_put(struct fault_disk *disk, const char *name, const void *bytes, size_t len)
{
    struct fault_node *node = fault_node_new(disk);
    if (len > 0) {
        fault_node_write(node, 0, bytes, len);
    }
    fault_node_sync(node);
    fault_names_set(&disk->now, name, node);
    fault_names_set(&disk->safe, name, node);
}

void fault_disk_remove(struct fault_disk *disk, const char *name)
{
    fault_names_drop(&disk->now, name);
    fault_names_drop(&disk->safe, name);
}

/* ---- crashes --------------------------------------------------------------------------------
 */

/* Walks the choices in a fixed order; keep NULL: counts only. */
struct walk {
    fault_keep_fn keep;
    void *context;
    size_t count;
};

static bool choose(struct walk *walk)
{
    const size_t n = walk->count++;
    return walk->keep != NULL && walk->keep(walk->context, n);
}

static bool is_open_choice(const struct fault_node *node, size_t sector)
{
    return node->sectors[sector] != SECTOR_CLEAN &&
           memcmp(node->now + sector * FAULT_SECTOR, node->safe + sector * FAULT_SECTOR,
                  FAULT_SECTOR) != 0;
}

/* The bytes of a node after the crash, into a node of the image. */
static void crash_node(const struct fault_node *node, struct walk *walk,
                       struct fault_node *image)
{
    const size_t len = node->now_len != node->safe_len && choose(walk) ? node->now_len
                                                                       : node->safe_len;
    if (image != NULL && node->capacity > 0) {
        fault_node_resize(image, node->capacity);
        memcpy(image->now, node->safe, node->capacity);
    }
    for (size_t i = 0; i < node->capacity / FAULT_SECTOR; i++) {
        if (is_open_choice(node, i) && choose(walk) && image != NULL) {
            memcpy(image->now + i * FAULT_SECTOR, node->now + i * FAULT_SECTOR, FAULT_SECTOR);
        }
    }
    if (image != NULL) {
        fault_node_resize(image, len);
        if (image->capacity > 0) {
            memset(image->sectors, SECTOR_DIRTY, image->capacity / FAULT_SECTOR);
        }
        fault_node_sync(image);
    }
}

static void crash_names(const struct fault_disk *disk, struct walk *walk,
                        struct fault_names *names)
{
    fault_names_copy(names, &disk->safe);
    for (size_t i = 0; i < disk->change_count; i++) {
        if (choose(walk)) {
            fault_names_apply(names, &disk->changes[i]);
        }
    }
}

static void walk_disk(const struct fault_disk *disk, struct walk *walk,
                      struct fault_disk *image)
{
    struct fault_names names = {0};
    crash_names(disk, walk, &names);
    for (const struct fault_node *node = disk->nodes; node != NULL; node = node->next) {
        struct fault_node *copy = image == NULL ? NULL : fault_node_new(image);
        crash_node(node, walk, copy);
        for (size_t i = 0; i < names.count && image != NULL; i++) {
            if (names.items[i].node == node) {
                fault_names_set(&image->now, names.items[i].name, copy);
                fault_names_set(&image->safe, names.items[i].name, copy);
            }
        }
    }
    free(names.items);
}

size_t fault_disk_choices(struct fault_disk *disk)
{
    struct walk walk = {0};
    (void)pthread_mutex_lock(&disk->lock);
    walk_disk(disk, &walk, NULL);
    (void)pthread_mutex_unlock(&disk->lock);
    return walk.count;
}

struct fault_disk *fault_disk_crash(struct fault_disk *disk, fault_keep_fn keep, void *context)
{
    struct walk walk = {.keep = keep, .context = context};
    struct fault_disk *image = fault_disk_new(disk->directory);
    (void)pthread_mutex_lock(&disk->lock);
    walk_disk(disk, &walk, image);
    (void)pthread_mutex_unlock(&disk->lock);
    return image;
}

static bool keep_bit(void *context, size_t n)
{
    return (*(const uint64_t *)context >> (n < 63 ? n : 63U) & 1U) != 0;
}

struct fault_disk *fault_disk_crash_bits(struct fault_disk *disk, uint64_t bits)
{
    return fault_disk_crash(disk, keep_bit, &bits);
}

struct seeded {
    struct drv_rng rng;
    uint64_t percent;
};

static bool keep_seeded(void *context, size_t n)
{
    (void)n;
    struct seeded *seeded = context;
    return drv_rng_below(&seeded->rng, 100) < seeded->percent;
}

struct fault_disk *fault_disk_crash_seed(struct fault_disk *disk, uint64_t seed)
{
    struct seeded seeded;
    drv_rng_init(&seeded.rng, seed);
    seeded.percent = drv_rng_below(&seeded.rng, 101);
    return fault_disk_crash(disk, keep_seeded, &seeded);
}
