/*
 * kv.h: shared data: small values under keys, with versions and a time to live.
 *
 * Versions come from one counter, so that a key that was deleted and made again never shows
 * an old version.
 */
#ifndef CORE_KV_H
#define CORE_KV_H

#include "core.h"
#include "timer.h"

struct body;

struct kv_entry {
    struct body *val; /* referenced */
    uint64_t version;
    struct timer timer; /* time to live */
    uint16_t key_len;
    uint16_t mark; /* when it was last recorded (save.h) */
    char key[];
};

void kv_table_init(struct core *core);
struct kv_entry *kv_find(const struct core *core, struct drv_str key);
/* Set; *val is taken. ttl_us 0: for ever, -1: as before. OK, BUSY, NOMEM. */
DROVER_MUST_USE drover_status kv_set(struct core *core, struct drv_str key, struct body **val,
                                     int64_t ttl_us, uint64_t *out_version);
/* What records name it by, and back. */
drover_id kv_saved_id(const struct core *core, const struct kv_entry *entry);
struct kv_entry *kv_find_saved(const struct core *core, const drover_id *id);
/* As it was in an earlier life; *val is taken. due_us 0: for ever. NULL when out of memory. */
struct kv_entry *kv_restore(struct core *core, struct drv_str key, struct body **val,
                            uint64_t version, int64_t due_us);
void kv_delete(struct core *core, struct kv_entry *entry);
/* Its time to live is over. */
void kv_expire(struct core *core, struct kv_entry *entry);
void kv_fini(struct core *core);

#endif
