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
    char key[];
};

void kv_table_init(struct core *core);
struct kv_entry *kv_find(const struct core *core, struct drv_str key);
/* Set; *val is taken. ttl_us 0: for ever, -1: as before. OK, BUSY, NOMEM. */
DROVER_MUST_USE drover_status kv_set(struct core *core, struct drv_str key, struct body **val,
                                     int64_t ttl_us, uint64_t *out_version);
void kv_delete(struct core *core, struct kv_entry *entry);
void kv_fini(struct core *core);

#endif
