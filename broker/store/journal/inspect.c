/* inspect.c: verify; see inspect.h. */
#include "inspect.h"

#include "scan.h"

enum { LOOKS_MAX = 8 }; /* at a store that changes meanwhile */

static void report(const struct catalog *catalog, const struct scan_result *scan,
                   struct inspect_report *out_report)
{
    *out_report = (struct inspect_report){
        .store = catalog->slot.store,
        .epoch = scan->epoch,
        .records = scan->records,
        .first_lsn = scan->first_lsn,
        .next_lsn = scan->next_lsn,
        .durable = scan->durable,
        .oldest = catalog->slot.oldest,
        .newest = catalog->slot.oldest + catalog->segment_count - 1,
        .end = scan->end,
        .bytes = scan->bytes,
        .disk_bytes = catalog_disk_bytes(catalog),
        .torn = scan->torn,
    };
}

/* One look; damage has a place then: segment and offset, else 0. */
struct look {
    uint64_t segment;
    uint64_t offset;
};

static drover_status look_once(const struct files *files, const char *directory,
                               struct inspect_report *out_report, struct look *out_look,
                               struct drv_problem *problem)
{
    struct catalog catalog;
    struct scan_result scan;
    *out_look = (struct look){0};
    drover_status status = catalog_open(&catalog, files, directory, true, NULL, problem);
    if (status != DROVER_OK) {
        return status;
    }
    status = scan_log(&catalog, NULL, NULL, &scan, problem);
    if (status == DROVER_OK) {
        report(&catalog, &scan, out_report);
        if (scan.damaged) {
            *out_look = (struct look){.segment = scan.last_segment, .offset = scan.bad};
            status = DROVER_MALFORMED;
        }
    }
    catalog_fini(&catalog);
    return status;
}

/*
 * Beside a broker a look can see one write and miss an earlier one, or a file on its way from
 * one name to the other. Damage stays where it is; what moves from look to look is none.
 */
static drover_status look(const struct files *files, const char *directory,
                          struct inspect_report *out_report, struct drv_problem *problem)
{
    struct look before = {0};
    drover_status status = DROVER_OK;
    for (int i = 0; i < LOOKS_MAX; i++) {
        struct look now;
        status = look_once(files, directory, out_report, &now, problem);
        if (status != DROVER_MALFORMED && status != DROVER_IO) {
            return status;
        }
        if (i > 0 && now.segment == before.segment && now.offset == before.offset) {
            return status;
        }
        before = now;
    }
    return status;
}

/* Hands on the records up to the end that was found. */
struct relay {
    const struct inspect_visitor *visitor;
    uint64_t until;
};

static drover_status on_record(void *context, const struct journal_record *record)
{
    const struct relay *relay = context;
    return record->lsn < relay->until ? relay->visitor->visit(relay->visitor->context, record)
                                      : DROVER_OK;
}

static drover_status visit_all(const struct files *files, const char *directory,
                               const struct inspect_visitor *visitor, uint64_t until,
                               struct drv_problem *problem)
{
    struct catalog catalog;
    struct scan_result scan;
    struct relay relay = {.visitor = visitor, .until = until};
    drover_status status = catalog_open(&catalog, files, directory, true, NULL, problem);
    if (status == DROVER_OK) {
        struct drv_problem ignored;
        status = scan_log(&catalog, on_record, &relay, &scan, &ignored);
        catalog_fini(&catalog);
    }
    return status;
}

drover_status inspect_verify(const struct files *files, const char *directory,
                             const struct inspect_visitor *visitor,
                             struct inspect_report *out_report, struct drv_problem *problem)
{
    *out_report = (struct inspect_report){0};
    drover_status status = look(files, directory, out_report, problem);
    if (visitor == NULL || out_report->next_lsn == 0) {
        return status;
    }
    struct drv_problem other = {""};
    drover_status visited = visit_all(files, directory, visitor, out_report->next_lsn, &other);
    if (status == DROVER_OK && visited != DROVER_OK) {
        if (problem != NULL && other.text[0] != '\0') {
            *problem = other;
        }
        return visited;
    }
    return status;
}
