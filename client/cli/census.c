/* census.c: see census.h. */
#include "census.h"

#include <stdlib.h>
#include <string.h>

void census_init(struct census *census)
{
    memset(census, 0, sizeof(*census));
}

static void row_free(struct census_row *row)
{
    drover_value_destroy(&row->process);
    drover_value_destroy(&row->executor);
}

void census_fini(struct census *census)
{
    for (size_t i = 0; i < census->host_count; i++) {
        drover_value_destroy(&census->hosts[i].processes);
    }
    for (size_t i = 0; i < census->executor_count; i++) {
        drover_value_destroy(&census->executors[i].value);
    }
    for (size_t i = 0; i < census->row_count; i++) {
        row_free(&census->rows[i]);
    }
    free(census->hosts);
    free(census->executors);
    free(census->rows);
    census_init(census);
}

/* Room for one more, zeroed; NULL: no memory. */
static void *grow(void *array, size_t *count, size_t *capacity, size_t size)
{
    void *list = *(void **)array;
    if (*count == *capacity) {
        size_t more = *capacity == 0 ? 16 : *capacity * 2;
        list = realloc(list, more * size);
        if (list == NULL) {
            return NULL;
        }
        *(void **)array = list;
        *capacity = more;
    }
    return memset((char *)list + (*count)++ * size, 0, size);
}

/* ---- what workers tell ------------------------------------------------------------------- */

static struct census_host *host_ensure(struct census *census, const char *name,
                                       const char *space, size_t *out_number)
{
    for (size_t i = 0; i < census->host_count; i++) {
        struct census_host *host = &census->hosts[i];
        if (strcmp(host->name, name) == 0 && strcmp(host->space, space) == 0) {
            *out_number = i;
            return host;
        }
    }
    struct census_host *host = grow(&census->hosts, &census->host_count, &census->host_capacity,
                                    sizeof(*host));
    if (host != NULL) {
        (void)snprintf(host->name, sizeof(host->name), "%s", name);
        (void)snprintf(host->space, sizeof(host->space), "%s", space);
        *out_number = census->host_count - 1;
    }
    return host;
}

enum { OLD_MS = 60000 };

/* Whether this list of processes counts more than the one that the host has. */
static bool is_better(const struct census_host *host, int64_t age_ms, size_t told)
{
    if (host->processes == NULL || host->age_ms > age_ms + OLD_MS) {
        return true;
    }
    if (age_ms > host->age_ms + OLD_MS) {
        return false;
    }
    return told != host->told ? told > host->told : age_ms < host->age_ms;
}

static size_t list_len(const drover_value *group)
{
    drover_value *list = group != NULL ? doc_get(group, "list") : NULL;
    size_t len = list != NULL ? drover_value_count(list) : 0;
    drover_value_destroy(&list);
    return len;
}

static void take_processes(struct census_host *host, const drover_value *details,
                           int64_t age_ms)
{
    drover_value *processes = doc_get(details, "processes");
    size_t told = list_len(processes);
    drover_value *memory = doc_get(details, "host");
    if (memory != NULL && doc_int(memory, "memory_total") > 0) {
        host->memory_total = doc_int(memory, "memory_total");
    }
    drover_value_destroy(&memory);
    if (processes == NULL || !is_better(host, age_ms, told)) {
        drover_value_destroy(&processes);
        return;
    }
    drover_value_destroy(&host->processes);
    host->processes = processes;
    host->age_ms = age_ms;
    host->told = told;
    host->count = doc_int(processes, "count");
    host->is_truncated = doc_bool(processes, "truncated");
}

static bool take_executors(struct census *census, size_t host, const char *worker,
                           const drover_value *details)
{
    drover_value *group = doc_get(details, "executors");
    drover_value *list = group != NULL ? doc_get(group, "list") : NULL;
    drover_value *item = NULL;
    drover_value_iter iter;
    bool ok = true;
    if (list != NULL) {
        drover_value_iter_init(&iter, list);
    }
    while (list != NULL && ok && drover_value_iter_next(&iter, NULL, &item) == DROVER_OK) {
        struct census_executor *executor = grow(&census->executors, &census->executor_count,
                                                &census->executor_capacity, sizeof(*executor));
        ok = executor != NULL;
        if (ok) {
            executor->host = host;
            executor->value = item;
            (void)snprintf(executor->worker, sizeof(executor->worker), "%s", worker);
        } else {
            drover_value_destroy(&item);
        }
    }
    drover_value_destroy(&list);
    drover_value_destroy(&group);
    return ok;
}

bool census_add(struct census *census, const drover_value *worker)
{
    char host_name[DOC_TEXT_MAX];
    char worker_name[DOC_TEXT_MAX];
    char space[DOC_TEXT_MAX] = "";
    size_t number = 0;
    drover_value *details = doc_get(worker, "details");
    if (details == NULL) {
        return true; /* it tells nothing */
    }
    (void)doc_text(worker, "host", host_name, sizeof(host_name));
    (void)doc_text(worker, "name", worker_name, sizeof(worker_name));
    (void)doc_text(details, "pid_space", space, sizeof(space));
    struct census_host *host = host_ensure(census, host_name, space, &number);
    bool ok = host != NULL;
    if (ok) {
        take_processes(host, details, doc_int(worker, "details_age_ms"));
        ok = take_executors(census, number, worker_name, details);
    }
    drover_value_destroy(&details);
    return ok;
}

/* ---- rows -------------------------------------------------------------------------------- */

static struct census_row *row_add(struct census *census, size_t host, const drover_value *value)
{
    struct census_row *row = grow(&census->rows, &census->row_count, &census->row_capacity,
                                  sizeof(*row));
    if (row != NULL) {
        row->host = host;
        row->pid = doc_int(value, "pid");
        row->cpu_percent = doc_has(value, "cpu_percent") ? doc_double(value, "cpu_percent")
                                                         : -1;
        row->rss_bytes = doc_int(value, "rss_bytes");
        (void)doc_text(value, "name", row->name, sizeof(row->name));
    }
    return row;
}

static bool rows_of_host(struct census *census, size_t number)
{
    struct census_host *host = &census->hosts[number];
    drover_value *list = host->processes != NULL ? doc_get(host->processes, "list") : NULL;
    drover_value *item = NULL;
    drover_value_iter iter;
    bool ok = true;
    if (list != NULL) {
        drover_value_iter_init(&iter, list);
    }
    while (list != NULL && ok && drover_value_iter_next(&iter, NULL, &item) == DROVER_OK) {
        struct census_row *row = row_add(census, number, item);
        ok = row != NULL;
        if (ok) {
            row->memory_percent = doc_double(item, "memory_percent");
            row->process = item;
        } else {
            drover_value_destroy(&item);
        }
    }
    drover_value_destroy(&list);
    drover_value_destroy(&host->processes);
    return ok;
}

static int by_place(const void *a, const void *b)
{
    const struct census_row *left = a;
    const struct census_row *right = b;
    if (left->host != right->host) {
        return left->host < right->host ? -1 : 1;
    }
    return (left->pid > right->pid) - (left->pid < right->pid);
}

/* An executor that is no row yet becomes one. `known` rows are sorted by place. */
static bool place_executor(struct census *census, size_t known,
                           struct census_executor *executor)
{
    const struct census_row key = {.host = executor->host,
                                   .pid = doc_int(executor->value, "pid")};
    struct census_row *row = known > 0
                                 ? bsearch(&key, census->rows, known, sizeof(key), by_place)
                                 : NULL;
    if (row == NULL) {
        int64_t memory_total = census->hosts[executor->host].memory_total;
        row = row_add(census, executor->host, executor->value);
        if (row != NULL && memory_total > 0) {
            row->memory_percent = 100.0 * (double)row->rss_bytes / (double)memory_total;
        }
    }
    if (row == NULL || row->executor != NULL) {
        return row != NULL;
    }
    row->executor = executor->value;
    executor->value = NULL;
    memcpy(row->worker, executor->worker, sizeof(row->worker));
    return true;
}

/* ---- order ------------------------------------------------------------------------------- */

struct order {
    const struct census *census;
    enum census_order by;
};

static int compare_keys(const struct census_row *a, const struct census_row *b,
                        enum census_order by)
{
    switch (by) {
    case CENSUS_BY_CPU:
        return (a->cpu_percent < b->cpu_percent) - (a->cpu_percent > b->cpu_percent);
    case CENSUS_BY_MEMORY:
        return (a->rss_bytes < b->rss_bytes) - (a->rss_bytes > b->rss_bytes);
    case CENSUS_BY_NAME:
        return strcmp(a->name, b->name);
    case CENSUS_BY_PID:
        break;
    }
    return 0;
}

static int by_order(const void *a, const void *b, void *context)
{
    const struct census_row *left = a;
    const struct census_row *right = b;
    const struct order *order = context;
    const struct census_host *hosts = order->census->hosts;
    int result = strcmp(hosts[left->host].name, hosts[right->host].name);
    if (result == 0 && left->host != right->host) {
        result = left->host < right->host ? -1 : 1;
    }
    if (result == 0) {
        result = compare_keys(left, right, order->by);
    }
    if (result == 0 && order->by == CENSUS_BY_CPU) {
        result = compare_keys(left, right, CENSUS_BY_MEMORY);
    }
    return result != 0 ? result : by_place(left, right);
}

bool census_close(struct census *census, enum census_order order)
{
    bool ok = true;
    struct order context = {census, order};
    for (size_t i = 0; ok && i < census->host_count; i++) {
        ok = rows_of_host(census, i);
    }
    size_t known = census->row_count;
    if (known > 0) {
        qsort(census->rows, known, sizeof(*census->rows), by_place);
    }
    for (size_t i = 0; ok && i < census->executor_count; i++) {
        ok = place_executor(census, known, &census->executors[i]);
    }
    if (census->row_count > 0) {
        qsort_r(census->rows, census->row_count, sizeof(*census->rows), by_order, &context);
    }
    return ok;
}

void census_shorten(struct census *census, size_t max)
{
    size_t kept = 0;
    size_t others = 0;
    for (size_t i = 0; i < census->row_count; i++) {
        struct census_row *row = &census->rows[i];
        if (kept == 0 || census->rows[kept - 1].host != row->host) {
            others = 0;
        }
        others += row->executor == NULL ? 1 : 0;
        if (row->executor == NULL && others > max) {
            row_free(row);
        } else {
            census->rows[kept++] = *row;
        }
    }
    census->row_count = kept;
}
