/* doc_element.c: topic elements: those of an array, by state. */
#include "document.h"

#include "broker.h"

enum {
    ELEMENT_SCAN = 32 * 1024, /* indexes looked at for one page: most are a look at a record */
    ELEMENT_TEXT_MAX = 512,   /* of its error; topic 2 has all of it */
};

/* Whether any element of the array is in one of these states. */
static bool has_any(const struct array *array, uint32_t states)
{
    for (unsigned state = 0; state <= DROVER_STATE_LOST; state++) {
        if ((states & 1U << state) != 0 && array->states[state] > 0) {
            return true;
        }
    }
    return states == 0;
}

/* Not within a character. */
static struct drv_str cut(struct drv_str text)
{
    if (text.len > ELEMENT_TEXT_MAX) {
        text.len = ELEMENT_TEXT_MAX;
        while (text.len > 0 && ((uint8_t)text.ptr[text.len] & 0xc0) == 0x80) {
            text.len--;
        }
    }
    return text;
}

static void put_failure(struct document *document, const struct failure *failure)
{
    struct drv_error error = failure_view(failure);
    document_map(document, "error");
    document_text(document, "kind", drover_error_kind_name((enum drover_error_kind)error.kind));
    document_str(document, "text", cut(error.text));
    document_end(document);
}

static void put_element(struct document *document, const struct item *item)
{
    const struct unit *unit = item->unit;
    const struct lease *lease = unit_lease(unit);
    document_map(document, NULL);
    document_uint(document, "index", item->index);
    document_text(document, "state", drover_state_name((enum drover_state)unit->state));
    document_uint(document, "attempt", unit->attempt);
    if (unit_is_terminal(unit) && (unit->flags & UNIT_REPORTED) != 0) {
        document_double(document, "run_ms", (double)unit->run_us / 1000.0);
    }
    if (lease != NULL && lease->worker != NULL) {
        document_str(document, "worker", worker_name(lease->worker));
    }
    if (unit->more != NULL && unit->more->ended_us != 0) {
        document_age(document, "ended_age_ms", unit->more->ended_us);
    }
    if (unit->more != NULL && unit->more->error != NULL) {
        put_failure(document, unit->more->error);
    }
    document_end(document);
}

bool document_elements(struct document *document, struct array *array, uint32_t states,
                       uint32_t *index, uint32_t rows)
{
    if (!has_any(array, states)) {
        return false;
    }
    for (int scanned = 0; scanned < ELEMENT_SCAN; scanned++, (*index)++) {
        if (*index >= array->index_end) {
            return false;
        }
        if (rows == 0 || document_is_full(document)) {
            return true;
        }
        if (!array_has(array, *index)) {
            continue;
        }
        struct item item = array_item(array, *index);
        if (states == 0 || (states & 1U << item.unit->state) != 0) {
            put_element(document, &item);
            rows--;
        }
    }
    return true;
}
