#include "cancel.h"

#include "broker.h"

#include <stdio.h>
#include <string.h>

const char CANCELLED_BY_REQUEST[] = "cancelled by request";

/* --- why --------------------------------------------------------------------------------- */

/* The last one may have been cut: without it. */
static void cut_character(char *text)
{
    size_t end = strlen(text);
    while (end > 0 && ((unsigned char)text[end - 1] & 0xC0) == 0x80) {
        end--;
    }
    if (end > 0 && (unsigned char)text[end - 1] >= 0xC0) {
        end--;
    }
    text[end] = '\0';
}

const char *cancel_words(struct drv_str reason, char *room)
{
    if (reason.ptr == NULL || reason.len == 0) {
        return CANCELLED_BY_REQUEST;
    }
    int len = reason.len < CANCEL_TEXT_MAX ? (int)reason.len : CANCEL_TEXT_MAX;
    (void)snprintf(room, CANCEL_TEXT_MAX, "%s: %.*s", CANCELLED_BY_REQUEST, len, reason.ptr);
    if (strlen(room) + 1 == CANCEL_TEXT_MAX) {
        cut_character(room);
    }
    return room;
}

char *cancel_text_new(struct core *core, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = core_alloc(core, size);
    if (copy != NULL) {
        memcpy(copy, text, size);
    }
    return copy;
}

void cancel_text_free(struct core *core, char **text)
{
    if (*text != NULL) {
        core_free(core, *text, strlen(*text) + 1);
        *text = NULL;
    }
}

const char *cancel_text_of(const struct unit *unit, const char *otherwise)
{
    bool is_said = unit->more != NULL && unit->more->cancel_text != NULL;
    return is_said ? unit->more->cancel_text : otherwise;
}

/* For when it has been stopped. */
static void remember_text(struct core *core, struct unit *unit, const char *text)
{
    struct more *more = strcmp(text, CANCELLED_BY_REQUEST) == 0 ? NULL : unit_more(core, unit);
    if (more != NULL && more->cancel_text == NULL) {
        more->cancel_text = cancel_text_new(core, text);
    }
}

static void record_cancel(struct core *core, const struct item *item)
{
    effects_record_item(core, CORE_RECORD_CANCEL, item, NULL);
}

enum cancel_verdict cancel_item(struct core *core, const struct item *item, const char *text)
{
    struct unit *unit = item->unit;
    if (unit_is_terminal(unit)) {
        return CANCEL_ENDED_BEFORE;
    }
    if (task_is_array(item->task) && item->index == DROVER_INDEX_NONE) {
        record_cancel(core, item);
        array_cancel(core, item->task->array, text);
        return CANCEL_RUNNING;
    }
    struct lease *lease = unit->lease;
    if (lease == NULL || lease->worker == NULL) {
        item_cancel(core, item, text);
        return CANCEL_ENDED;
    }
    if (!(unit->flags & UNIT_CANCELLING)) {
        bool is_assigned = (lease->flags & LEASE_STARTED) == 0;
        record_cancel(core, item);
        if (core->config.defects.start_after_cancel && is_assigned) {
            return CANCEL_RUNNING; /* defect: the worker is not asked, and may start it */
        }
        remember_text(core, unit, text);
        lease_abort(core, lease);
    }
    if (lease->flags & LEASE_STARTED) {
        return CANCEL_RUNNING;
    }
    return CANCEL_ASSIGNED;
}
