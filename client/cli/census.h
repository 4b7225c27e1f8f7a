/*
 * census.h: the processes of the fleet, put together from what its workers tell.
 *
 *     worker ─ details.processes ─┐                    ┌ host a ─ rows, the busiest first
 *     worker ─ details.executors ─┼─ by host and pid ──┤
 *     worker ─ ...               ─┘                    └ host b ─ ...
 *
 * Workers of one host tell the same processes, more or fewer of them: the longest list counts,
 * of equally long ones the freshest; one that is a minute older than another does not. Process
 * ids belong together when host and name space are the same (two containers may share a host's
 * name). An executor is found among the processes by its pid, or is a row of its own.
 */
#ifndef CLI_CENSUS_H
#define CLI_CENSUS_H

#include "cli.h"

#include "doc.h"

enum census_order { CENSUS_BY_CPU, CENSUS_BY_MEMORY, CENSUS_BY_PID, CENSUS_BY_NAME };

struct census_row {
    size_t host; /* number in hosts */
    int64_t pid;
    double cpu_percent; /* negative: not known */
    double memory_percent;
    int64_t rss_bytes;
    char name[DOC_TEXT_MAX];   /* escaped */
    drover_value *process;     /* owned; the worker's words; NULL: only an executor */
    drover_value *executor;    /* owned; NULL: it is none */
    char worker[DOC_TEXT_MAX]; /* whose executor; escaped */
};

struct census_host {
    char name[DOC_TEXT_MAX]; /* escaped */
    char space[DOC_TEXT_MAX];
    int64_t age_ms; /* of the list */
    int64_t count;  /* processes there are */
    size_t told;    /* that are in the list */
    bool is_truncated;
    int64_t memory_total;
    drover_value *processes; /* owned until census_close; the list that counts */
};

struct census_executor {
    size_t host;
    char worker[DOC_TEXT_MAX];
    drover_value *value; /* owned */
};

struct census {
    struct census_host *hosts; /* owned, as all of these */
    size_t host_count, host_capacity;
    struct census_executor *executors;
    size_t executor_count, executor_capacity;
    struct census_row *rows;
    size_t row_count, row_capacity;
};

void census_init(struct census *census);
void census_fini(struct census *census);

/* Takes what one worker tells: a row of topic 9, or the document of topic 8. False: no memory.
 */
bool census_add(struct census *census, const drover_value *worker);

/* After the last: makes the rows, by host and then in this order. False: no memory. */
bool census_close(struct census *census, enum census_order order);

/* Leaves all executors and the first `max` others of each host. */
void census_shorten(struct census *census, size_t max);

#endif
