/*
 * views.h: the views of top: their columns, and their rows out of the broker's documents.
 *
 *     hosts, workers   document 6 (document 1 when all workers fit into it)
 *     executors        document 9
 *     queues           document 5
 *     tasks            document 4
 *
 * Pure: no clock, no terminal, no broker.
 */
#ifndef CLI_TOP_VIEWS_H
#define CLI_TOP_VIEWS_H

#include "top/listing.h"

#include "fleet_hosts.h"

enum view_id { VIEW_HOSTS, VIEW_WORKERS, VIEW_EXECUTORS, VIEW_QUEUES, VIEW_TASKS, VIEW_COUNT };

/* Which tasks are listed. */
enum view_tasks { VIEW_TASKS_ACTIVE, VIEW_TASKS_RUNNING, VIEW_TASKS_FAILED, VIEW_TASKS_ALL };
enum { VIEW_TASKS_SORTS = VIEW_TASKS_ALL + 1 };

struct view {
    const char *name;
    const char *list; /* the key of its rows in the document */
    const struct listing_column *columns;
    size_t column_count;
    size_t sort;  /* the column by which it is sorted unless somebody says otherwise */
    bool reverse; /* and whether the other way round */
};

extern const struct view views[VIEW_COUNT];

/* "active", "running", "failed", "all", and the states of that in a drover_task_filter. */
const char *view_tasks_name(enum view_tasks tasks);
uint32_t view_tasks_states(enum view_tasks tasks);

/* What is being put together: pages first, then the end. */
struct view_builder {
    enum view_id view;
    struct listing table;     /* owned until it is taken */
    struct fleet_hosts hosts; /* owned */
};

void view_begin(struct view_builder *builder, enum view_id view);
void view_add(struct view_builder *builder, const drover_value *page);
void view_end(struct view_builder *builder);
void view_fini(struct view_builder *builder);

#endif
