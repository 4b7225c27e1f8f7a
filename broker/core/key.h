/*
 * key.h: keys of tasks: one task of a queue at a time has one.
 *
 *   key (queue, text) <── claim ── task that was given it last ──> its id, window
 *          ^      ^────── claim ── tasks that were given it before, which have ended
 *          └─ remembered: the last one is forgotten, its window is not over
 *
 * A key is taken while the last task with it has not ended, and until the end of its window.
 * Each claim has a number that grows, so that of the tasks with one key the last is known
 * whatever the order in which records bring them back.
 *
 * Left out: keys of tasks that the store does not keep end with the broker.
 */
#ifndef CORE_KEY_H
#define CORE_KEY_H

#include "core.h"
#include "session.h"
#include "text.h"
#include "timer.h"

struct account;
struct task;

struct key {
    uint32_t references;     /* claims; and one while it is remembered */
    uint16_t mark;           /* when it was last recorded as remembered (save.h) */
    bool is_remembered;      /* its last task is forgotten: the window keeps it */
    bool is_saved;           /* and there is a record of that */
    struct task *task;       /* given it last; NULL: forgotten */
    struct account *account; /* referenced: of that task; NULL: nobody's, or an earlier life */
    struct handle owner;     /* session of that task, for which it counts */
    drover_id id;            /* of that task, also when it is forgotten */
    uint64_t serial;         /* of that claim */
    int64_t until_us;        /* end of its window */
    struct timer timer;      /* armed while it is remembered */
    uint16_t queue_len;
    uint16_t text_len;
    char name[]; /* queue, NUL, text */
};

/* That a task has a key; owned by its struct more. */
struct claim {
    struct key *key; /* referenced */
    uint64_t serial;
    int64_t window_us;
};

static inline struct drv_str key_queue(const struct key *key)
{
    return str_of(key->name, key->queue_len);
}

static inline struct drv_str key_word(const struct key *key)
{
    return str_of(key->name + key->queue_len + 1, key->text_len);
}

/* NULL: nobody has it. */
struct key *key_find(const struct core *core, struct drv_str queue, struct drv_str text);
bool key_is_taken(const struct core *core, const struct key *key);

/* The task gets the key, which is not taken, for its queue. OK or NOMEM. */
DROVER_MUST_USE drover_status key_claim(struct core *core, struct task *task,
                                        struct drv_str text, int64_t window_us);
/* The claim of a task; NULL: it has no key. */
const struct claim *task_claim(const struct task *task);
/* Whether this is its key; nil: it has none. */
bool task_has_key(const struct task *task, struct drv_str text);

/* The task is about to be forgotten: its key stays for the rest of its window. */
void key_remember(struct core *core, struct task *task);
/* The session of a restored task is known. */
void key_owned(struct core *core, struct task *task);
/* The task goes away. */
void key_leave(struct core *core, struct task *task);
/* The window of one that is remembered is over. */
void key_due(struct core *core, struct key *key);
void keys_fini(struct core *core);

/* What records name it by, and back. */
drover_id key_saved_id(const struct core *core, const struct key *key);
struct key *key_find_saved(const struct core *core, const drover_id *id);
/* A task that was given it in an earlier life. False when out of memory. */
bool key_restore_claim(struct core *core, struct task *task, struct drv_str text,
                       const struct claim *claim);
/* One that was remembered; until_us: the end of the window. False when out of memory. */
bool key_restore(struct core *core, struct drv_str queue, struct drv_str text,
                 const drover_id *id, uint64_t serial, int64_t until_us, uint16_t mark);
/* It was given up, if this was its last claim. */
void key_restore_end(struct core *core, struct drv_str queue, struct drv_str text,
                     uint64_t serial);

#endif
