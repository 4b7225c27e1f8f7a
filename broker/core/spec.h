/*
 * spec.h: the options of tasks, shared by all tasks that have the same ones.
 *
 * A spec is interned by its canonical bytes, so that a million tasks of one kind carry one
 * pointer each and two submits are the same exactly when their specs are the same object and
 * their payloads are equal. What only concerns the submitting session (watch, release, strict)
 * is not part of it.
 */
#ifndef CORE_SPEC_H
#define CORE_SPEC_H

#include "effects.h"

struct line;

struct spec_numbers { /* no padding: compared as bytes */
    int64_t delay_us;
    int64_t expire_us; /* 0: never */
    uint64_t timeout_ms;
    uint64_t backoff_ms, backoff_max_ms;
    int64_t keep_us; /* -1: auto */
    uint32_t retries;
    int32_t loss_budget;
    uint32_t level; /* enum drover_durability, resolved */
    int32_t priority;
    uint32_t type_len, queue_len, require_len, tags_len, meta_len, tag_count;
};

struct spec {
    struct corpse corpse;
    uint32_t references;
    uint64_t hash;
    struct line *line; /* referenced */
    struct spec_numbers numbers;
    uint32_t tail_len;
    uint8_t tail[]; /* type, queue, require, tags, meta */
};

/*
 * Whether this broker serves all that is asked. OK or INVALID, UNSUPPORTED, REFUSED, TOO_BIG
 * with a static text.
 */
DROVER_MUST_USE drover_status spec_check(const struct core *core, const struct drv_spec *spec,
                                         const char **out_text);

/* The shared form with a reference. OK or NOMEM. */
DROVER_MUST_USE drover_status spec_ensure(struct core *core, const struct drv_spec *spec,
                                          struct spec **out_spec);
/* The same with everything resolved; the tail is as the numbers say. */
DROVER_MUST_USE drover_status spec_intern(struct core *core, const struct spec_numbers *numbers,
                                          const void *tail, size_t tail_len,
                                          struct spec **out_spec);
/* The same but for what a queue prescribed at the time. */
bool spec_differs_in_level_only(const struct spec *left, const struct spec *right);
struct spec *spec_ref(struct spec *spec);
void spec_release(struct core *core, struct spec **spec);

struct drv_str spec_meta(const struct spec *spec);
/* Tags as written by spec_ensure: name\0value\0... */
struct drv_str spec_tags(const struct spec *spec);

#endif
