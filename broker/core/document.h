/*
 * document.h: the documents that questions are answered with, as msgpack maps.
 *
 * Keys and shapes are those of common/PROTOCOL.md, section 8. A document is written into
 * core->scratch; lists stop at DOCUMENT_BYTES and say where they would go on.
 */
#ifndef CORE_DOCUMENT_H
#define CORE_DOCUMENT_H

#include "core.h"
#include "history.h"
#include "pack.h"
#include "table.h"
#include "task.h"

enum {
    DOCUMENT_BYTES = 160 * 1024, /* no further row is begun beyond this; a row is far below the
                                    rest of DRV_BLOB_MAX */
    DOCUMENT_SCAN = 4096,        /* entries looked at for one page */
    DOCUMENT_NAMES_MAX = 64, /* names listed in one row: types, queues, labels of a worker */
    DOCUMENT_DEPTH = 8,
};

struct schedule;
struct array;
struct group;
struct key;
struct worker;
struct times;
struct recent_walk;

struct document {
    struct core *core;
    struct drv_pack pack;
    size_t position[DOCUMENT_DEPTH]; /* of the header of each open map or array */
    uint32_t count[DOCUMENT_DEPTH];
    unsigned depth;
};

/* Begins one in core->scratch; only one at a time. */
void document_begin(struct document *document, struct core *core);
/* The bytes; NOMEM when some could not be written. */
DROVER_MUST_USE drover_status document_finish(struct document *document,
                                              struct drv_str *out_bytes);
bool document_is_full(const struct document *document);

/* Containers: as an item of the array that is open, or under a key of the map that is open (key
 * NULL: an item). */
void document_map(struct document *document, const char *key);
void document_array(struct document *document, const char *key);
void document_end(struct document *document);

void document_uint(struct document *document, const char *key, uint64_t number);
void document_int(struct document *document, const char *key, int64_t number);
void document_double(struct document *document, const char *key, double number);
void document_nil(struct document *document, const char *key);
void document_bool(struct document *document, const char *key, bool flag);
void document_text(struct document *document, const char *key, const char *text);
void document_str(struct document *document, const char *key, struct drv_str text);
/* Bytes that are msgpack already, checked when they came. */
void document_raw(struct document *document, const char *key, struct drv_str bytes);
void document_bin(struct document *document, const char *key, struct drv_str bytes);
/* A pair whose key is a text from elsewhere. */
void document_entry(struct document *document, struct drv_str key, struct drv_str text);
void document_id(struct document *document, const char *key, const drover_id *id);
/* Milliseconds since then. */
void document_age(struct document *document, const char *key, int64_t at_us);

/* --- the documents (doc_*.c) --- */
void document_status(struct document *document);
void document_task(struct document *document, const struct item *item);
void document_worker(struct document *document, const struct worker *worker, bool with_leases);
/* count, sealed, ended, states, into the map that is open. */
void document_array_counts(struct document *document, const struct array *array);
/* How many a retry would take, when some were retried by themselves. */
void document_retry_left(struct document *document, const struct array *array);
/* wait and run, into the map that is open; NULL: nothing. */
void document_times(struct document *document, const struct times *times);
/* Payload and result. */
void document_values(struct document *document, const struct item *item);
/* Rows behind number `after`, at most so many (0: all). The number of the last. */
struct history_owner { /* both NULL: the broker */
    const struct worker *worker;
    const struct queue_history *queue;
};
uint64_t document_history(struct document *document, enum history_span span,
                          const struct history_owner *owner, uint64_t after, uint32_t rows);
void document_statistics(struct document *document, const struct worker *worker);

/* Rows of a list; the cursor is moved on. True when there are more. */
bool document_queues(struct document *document, struct drv_table_cursor *cursor, uint32_t rows);
void document_queue(struct document *document, const struct queue *queue);
bool document_workers(struct document *document, struct drv_table_cursor *cursor,
                      uint32_t rows);
/* Their statistics, with all details: fewer rows to a page. */
bool document_all_statistics(struct document *document, struct drv_table_cursor *cursor,
                             uint32_t rows);
bool document_types(struct document *document, uint32_t rows);
/* Of a group (NULL: there is none): in the order of its table. Of all: the newest first
 * (recent.h). */
bool document_group_tasks(struct document *document, const struct drv_query *query,
                          struct drv_table_cursor *cursor, uint32_t rows);
bool document_tasks(struct document *document, const struct drv_query *query,
                    struct recent_walk *walk, uint32_t rows);
/* Alerts, what fires first, as items of the array that is open; true when there are more. */
bool document_alerts(struct document *document, uint32_t rows);
/* How many alerts each rule has, and what became of the actions, into the map that is open. */
void document_alert_counts(struct document *document);
/* Rules and silences, into the map that is open. */
void document_alert_rules(struct document *document);
/* name nil: all. */
bool document_schedules(struct document *document, struct drv_str name,
                        struct drv_table_cursor *cursor, uint32_t rows);
/* An instant of a schedule, as text in its zone. */
void document_schedule_time(struct document *document, const char *key,
                            const struct schedule *schedule, int64_t wall_ms);
/* Elements of an array from *index on, which is moved on; states 0: all. True when there are
 * more. */
bool document_elements(struct document *document, struct array *array, uint32_t states,
                       uint32_t *index, uint32_t rows);
bool document_arrays(struct document *document, struct drv_table_cursor *cursor, uint32_t rows);
bool document_groups(struct document *document, struct drv_table_cursor *cursor, uint32_t rows);
void document_group(struct document *document, const struct group *group);
bool document_graphs(struct document *document, struct drv_table_cursor *cursor, uint32_t rows);
/* One, by its name or the text of its id. OK, UNKNOWN, NOMEM. */
DROVER_MUST_USE drover_status document_graph(struct document *document, struct drv_str name);
void document_key(struct document *document, const struct key *key);
/* What an account may have, has, and does. Of all: those that the asker may see. */
void document_account(struct document *document, struct account *account);
bool document_accounts(struct document *document, struct drv_table_cursor *cursor,
                       uint32_t rows);
bool document_kv(struct document *document, struct drv_str prefix,
                 struct drv_table_cursor *cursor, uint32_t rows);

#endif
