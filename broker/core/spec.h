/*
 * spec.h: the options of tasks, shared by all tasks that have the same ones.
 *
 * A spec is interned by its canonical bytes, so that a million tasks of one kind carry one
 * pointer each and two submits are the same exactly when their specs are the same object and
 * their payloads are equal. What only concerns the submitting session (watch, release, strict)
 * is not part of it, nor is the key, which is another for each task (key.h).
 */
#ifndef CORE_SPEC_H
#define CORE_SPEC_H

#include "effects.h"

struct account;
struct group;
struct line;
struct schedule;

/* What an attempt may use; the order of PROTOCOL.md. */
enum spec_limit {
    SPEC_LIMIT_MEMORY,
    SPEC_LIMIT_CPU,
    SPEC_LIMIT_OUTPUT,
    SPEC_LIMIT_PROCESSES,
    SPEC_LIMIT_FILES,
    SPEC_LIMITS
};

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
    uint32_t needs_len, fairness_len, group_len;
    uint32_t schedule_len;        /* 0: not of a schedule */
    uint32_t owner_len;           /* name of the account; 0: nobody's */
    uint32_t reserved;            /* 0 */
    uint64_t limits[SPEC_LIMITS]; /* 0: none */
};

struct spec {
    struct corpse corpse;
    uint32_t references;
    uint64_t hash;
    struct line *line;         /* referenced */
    struct group *group;       /* referenced; NULL: none */
    struct account *account;   /* referenced: whose tasks these are; NULL: nobody's */
    struct schedule *schedule; /* referenced; NULL: none */
    struct spec_numbers numbers;
    uint32_t tail_len;
    uint8_t
        tail[]; /* type, queue, require, needs, fairness, tags, owner, group, schedule, meta */
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
/* Of the tasks of a schedule. */
DROVER_MUST_USE drover_status spec_ensure_scheduled(struct core *core,
                                                    const struct drv_spec *spec,
                                                    struct drv_str schedule,
                                                    struct spec **out_spec);
/* The same with everything resolved; the tail is as the numbers say. */
DROVER_MUST_USE drover_status spec_intern(struct core *core, const struct spec_numbers *numbers,
                                          const void *tail, size_t tail_len,
                                          struct spec **out_spec);
/* The same but for what a queue prescribed at the time. */
bool spec_differs_in_level_only(const struct spec *left, const struct spec *right);
/* Whether these bytes are needs in canonical form, and no more than are allowed. */
bool needs_are_fine(const char *at, size_t len);
/* The next of canonical needs; returns what follows it. */
const char *needs_next(const char *at, struct drv_str *out_name, uint64_t *out_count);
struct spec *spec_ref(struct spec *spec);
void spec_release(struct core *core, struct spec **spec);

struct drv_str spec_meta(const struct spec *spec);
/* Without bytes: it has none. */
struct drv_str spec_fairness(const struct spec *spec);
/* Canonical: name\0decimal\0... by name, none of them 0. */
struct drv_str spec_needs(const struct spec *spec);
/* Tags as written by spec_ensure: name\0value\0... */
struct drv_str spec_tags(const struct spec *spec);
/* Whether it has this tag. */
bool spec_has_tag(const struct spec *spec, struct drv_str name, struct drv_str value);

#endif
