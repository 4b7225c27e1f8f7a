/*
 * save.h: what the store has to keep of the state: what changed, written once per turn.
 *
 *   task, element ── save_item ──> dirty ┐
 *   session, reply ── save_session ─────>┤ save_flush ──> records of the turn ──> core_saves
 *   run, shared data, queue, forget ─────┴── written at once ──┘
 *
 * A record holds what an object is at the end of the turn, never what was done to it: reading
 * it again changes nothing, and a task that came, was leased and ended in one turn costs one
 * record. Two sorts: TASK, RUN, SESSION, KV, QUEUE, BROKER are whole states; UNIT, RUN_DUE,
 * RETRIED, REPLIES change one (the UNIT of an element is whole in itself). The records of a
 * turn count together or not at all, so a reply and what it speaks of are one.
 *
 * What waits in no line and runs nowhere else needs no record of its own: an element that was
 * never handed out is told by its run.
 *
 * Objects know roughly when they were last written whole (a mark: the log sequence number of
 * that time in steps of SAVE_MARK_STEP), so that compaction copies what it must and hardly
 * more. With a store that keeps nothing nothing is gathered.
 */
#ifndef CORE_SAVE_H
#define CORE_SAVE_H

#include "core.h"
#include "list.h"
#include "record.h"

struct array;
struct claim;
struct group;
struct item;
struct key;
struct kv_entry;
struct queue;
struct reply;
struct run;
struct session;
struct spec;
struct task;

enum {
    SAVE_MARK_BITS = 16,
    SAVE_OTHERS = 13, /* counters that do not follow from the tasks */
};
#define SAVE_MARK_STEP ((uint64_t)1 << SAVE_MARK_BITS)

struct dirty {         /* a task or an element that has changed */
    struct task *task; /* NULL: gone again */
    uint32_t index;
    bool is_copy;
};

struct save {
    bool is_on;      /* the store keeps something */
    bool is_first;   /* nothing was written in this life yet */
    bool has_failed; /* a record is missing for lack of memory: the broker must end */
    bool is_broker_dirty;
    bool is_copying;         /* what is marked and written now says nothing new */
    struct drv_buffer bytes; /* heads of the turn's records */
    struct core_save *items; /* owned: the turn's records */
    size_t count, capacity;
    struct dirty *dirty; /* owned */
    size_t dirty_count, dirty_capacity;
    struct drv_list sessions; /* struct session.unsaved */
    struct drv_list groups;   /* struct group.unsaved */
    uint64_t lsn;             /* of the last record that was handed out or restored */
    uint16_t broker_mark;
    uint64_t others[SAVE_OTHERS]; /* counters as they were last recorded */
};

void save_init(struct core *core);
void save_fini(struct core *core);

/* --- what changed --- */
/* A task, array or element. */
void save_item(struct core *core, const struct item *item);
/* The task goes away: nothing of it is written any more. */
void save_drop(struct core *core, struct task *task);
/* It is forgotten. */
void save_forget(struct core *core, const struct task *task);
/* The item has a new last retry. */
void save_retried(struct core *core, const struct item *item);
/* The elements of a message; and: their delay is over. */
void save_run(struct core *core, struct run *run);
void save_run_due(struct core *core, const struct run *run);
/* What of it has no record has ended. */
void save_run_end(struct core *core, const struct run *run);
/* A session: as a whole; its floor and its new replies. */
void save_session(struct core *core, struct session *session);
void save_session_change(struct core *core, struct session *session);
void save_reply(struct core *core, struct reply *reply);
void save_session_end(struct core *core, const struct session *session);
void save_kv(struct core *core, struct kv_entry *entry);
void save_kv_delete(struct core *core, const struct kv_entry *entry);
void save_queue(struct core *core, struct queue *queue);
/* A key that is remembered without its task; and is not any more. */
void save_key(struct core *core, struct key *key);
void save_key_end(struct core *core, const struct key *key);
/* What a group counts of tasks that are forgotten; and it goes. */
void save_group(struct core *core, struct group *group);
void save_group_end(struct core *core, const struct group *group);

/* Everything that has changed becomes records; the turn's records are complete. */
void save_flush(struct core *core);
/* The records were handed over. */
void save_clear(struct core *core);

/* --- for the modules that write records --- */
/* Whether the store keeps this task. */
bool save_wants(const struct core *core, const struct task *task);
/* Begin and end one record; `tail` (NULL: none) is borrowed until save_clear. */
struct record_writer save_begin(struct core *core, enum core_save_kind kind,
                                const drover_id *id, uint32_t index);
void save_end(struct core *core, const struct record_writer *writer,
              const struct drv_val *tail);
/* The mark of what is written now; and whether a copy is needed when everything up to the
 * record `lsn` goes away. */
uint16_t save_mark(const struct core *core);
bool save_is_old(uint16_t mark, uint64_t lsn);
/* Instants of the monotonic clock as the wall clock shows them. */
int64_t save_wall(const struct core *core, int64_t at_us);

/* save_task.c */
/* Options, and the key of the task that has them (NULL: none). */
void save_put_spec(struct record_writer *writer, const struct spec *spec,
                   const struct claim *claim);
void save_put_task(struct core *core, struct task *task);
void save_put_unit(struct core *core, const struct item *item);
/* save_name.c */
void save_put_group(struct core *core, struct group *group);
/* save_session.c */
void save_put_session(struct core *core, struct session *session);

/* The level of what depends on this task: MEMORY when nothing is kept of it. */
/* And of what depends on a session, shared data, a queue. */
enum drover_durability save_level_max(const struct core *core);
enum drover_durability save_level_of(const struct core *core, const struct task *task);

#endif
