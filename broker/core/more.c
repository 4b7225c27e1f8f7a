/*
 * more.c: what most units never need while they wait: errors, the history of attempts,
 * progress, and who ran them.
 */
#include "broker.h"
#include "cancel.h"
#include "check.h"

#include <stdlib.h>
#include <string.h>

struct more *unit_more(struct core *core, struct unit *unit)
{
    DRV_ASSERT(!unit_is_shared(unit));
    if (unit->more != NULL) {
        return unit->more;
    }
    struct more *more = drv_slab_take(&core->more_slab);
    if (more == NULL) {
        return NULL;
    }
    memset(more, 0, offsetof(struct more, first));
    drv_list_init(&more->watches);
    drv_list_init(&more->kept);
    core->memory_bytes += sizeof *more;
    unit->more = more;
    return more;
}

static void progress_free(struct core *core, struct progress **progress)
{
    if (*progress != NULL) {
        core_free(core, *progress, sizeof **progress + (*progress)->len);
        *progress = NULL;
    }
}

static void tie_free(struct core *core, struct tie **tie)
{
    if (*tie != NULL) {
        drv_list_remove(&(*tie)->link);
        core_free(core, *tie, sizeof **tie);
        *tie = NULL;
    }
}

void unit_drop_more(struct core *core, struct unit *unit)
{
    struct more *more = unit->more;
    if (more == NULL) {
        return;
    }
    output_close(core, more->output, (enum drover_state)unit->state);
    tail_drop(core, more);
    deps_drop(core, more);
    unit->more = NULL;
    DRV_ASSERT(drv_list_is_empty(&more->watches) && !drv_list_is_linked(&more->kept));
    history_clear(core, more);
    failure_free(core, &more->error);
    progress_free(core, &more->progress);
    cancel_text_free(core, &more->cancel_text);
    tie_free(core, &more->tie);
    DRV_ASSERT(more->claim == NULL);
    drv_slab_free(&core->more_slab, more);
    core->memory_bytes -= sizeof *more;
}

void item_set_retried(const struct item *item, struct more *more, bool is_retried)
{
    if (item->index != DROVER_INDEX_NONE && is_retried != more->has_retried_as) {
        struct array *array = item->task->array;
        array->retried = is_retried ? array->retried + 1 : array->retried - 1;
    }
    more->has_retried_as = is_retried;
}

bool unit_tie(struct core *core, struct task *task, struct session *session)
{
    struct more *more = unit_more(core, &task->unit);
    struct ties *ties = session_ties(core, session);
    struct tie *tie = more == NULL || ties == NULL ? NULL : core_alloc(core, sizeof *tie);
    if (tie == NULL) {
        return false;
    }
    tie->task = task;
    more->tie = tie;
    drv_list_push_back(&ties->list, &tie->link);
    return true;
}

void unit_untie(struct core *core, struct unit *unit)
{
    if (unit->more != NULL) {
        tie_free(core, &unit->more->tie);
    }
}

/* --- errors ------------------------------------------------------------------------------ */

static size_t failure_size(const struct failure *failure)
{
    return sizeof *failure + failure->code_len + failure->text_len + failure->stderr_len;
}

static size_t bounded(size_t len, size_t max)
{
    return len < max ? len : max;
}

struct failure *failure_new(struct core *core, const struct drv_error *error)
{
    size_t code_len = bounded(error->code.len, DRV_TEXT_MAX);
    size_t text_len = bounded(error->text.len, DRV_ERROR_TEXT_MAX);
    size_t stderr_len = bounded(error->stderr_tail.len, DRV_STDERR_MAX);
    size_t tail = code_len + text_len + stderr_len;
    struct failure *failure = core_alloc(core, sizeof *failure + tail);
    if (failure == NULL) {
        return NULL;
    }
    failure->kind = error->kind;
    failure->flags = error->flags;
    failure->exit_code = error->exit_code;
    failure->signal = error->signal;
    failure->code_len = (uint16_t)code_len;
    failure->text_len = (uint16_t)text_len;
    failure->stderr_len = (uint16_t)stderr_len;
    char *at = failure->bytes;
    const struct drv_str parts[] = {error->code, error->text, error->stderr_tail};
    const size_t lens[] = {code_len, text_len, stderr_len};
    for (size_t i = 0; i < DRV_ARRAY_LEN(parts); i++) {
        if (lens[i] > 0) {
            memcpy(at, parts[i].ptr, lens[i]);
            at += lens[i];
        }
    }
    return failure;
}

struct failure *failure_of(struct core *core, enum drover_error_kind kind, uint32_t flags,
                           const char *text)
{
    struct drv_error error = {
        .kind = kind,
        .text = drv_str_of(text),
        .exit_code = -1,
        .flags = flags,
    };
    return failure_new(core, &error);
}

void failure_free(struct core *core, struct failure **failure)
{
    struct failure *freed = *failure;
    *failure = NULL;
    if (freed != NULL) {
        core->memory_bytes -= failure_size(freed);
        effects_bury(core, &freed->corpse); /* a RESULTS may show it */
    }
}

struct drv_error failure_view(const struct failure *failure)
{
    if (failure == NULL) {
        return (struct drv_error){.kind = 0, .exit_code = -1};
    }
    const char *code = failure->bytes;
    const char *text = code + failure->code_len;
    return (struct drv_error){
        .kind = failure->kind,
        .code = str_of(code, failure->code_len),
        .text = str_of(text, failure->text_len),
        .exit_code = failure->exit_code,
        .signal = failure->signal,
        .flags = failure->flags,
        .stderr_tail = str_of(text + failure->text_len, failure->stderr_len),
    };
}

/* --- history ----------------------------------------------------------------------------- */

void history_clear(struct core *core, struct more *more)
{
    for (uint8_t i = 0; i < more->history_count; i++) {
        who_release(core, &more->history[i].who);
    }
    if (more->history != &more->first) {
        core_free(core, more->history, more->history_count * sizeof *more->history);
    }
    more->history = NULL;
    more->history_count = 0;
}

/* Room for one more; false when out of memory. */
static bool history_grow(struct core *core, struct more *more)
{
    if (more->history_count == 0) {
        more->history = &more->first;
        return true;
    }
    bool is_first = more->history == &more->first;
    size_t size = (more->history_count + 1u) * sizeof *more->history;
    struct attempt *history = realloc(is_first ? NULL : more->history, size);
    if (history == NULL) {
        return false;
    }
    if (is_first) {
        history[0] = more->first;
    }
    core->memory_bytes += (is_first ? 2 : 1) * sizeof *history;
    more->history = history;
    return true;
}

void history_add(struct core *core, struct unit *unit, const struct attempt *attempt)
{
    struct more *more = unit_more(core, unit);
    if (more == NULL) {
        return;
    }
    if (more->history_count == HISTORY_MAX) {
        who_release(core, &more->history[0].who);
        memmove(&more->history[0], &more->history[1],
                (HISTORY_MAX - 1) * sizeof *more->history);
        more->history_count--;
    } else if (!history_grow(core, more)) {
        return;
    }
    more->history[more->history_count] = *attempt;
    if (attempt->who != NULL) {
        attempt->who->references++;
    }
    more->history_count++;
}

struct who *who_new(struct core *core, const drover_id *session, struct drv_str name,
                    struct drv_str host)
{
    size_t host_len = bounded(host.len, UINT8_MAX);
    struct who *who = core_alloc(core, sizeof *who + name.len + host_len);
    if (who == NULL) {
        return NULL;
    }
    who->references = 1;
    who->session = *session;
    who->name_len = (uint8_t)name.len;
    who->host_len = (uint8_t)host_len;
    if (name.len > 0) {
        memcpy(who->text, name.ptr, name.len);
    }
    if (host_len > 0) {
        memcpy(who->text + name.len, host.ptr, host_len);
    }
    return who;
}

void who_release(struct core *core, struct who **who)
{
    struct who *released = *who;
    *who = NULL;
    if (released == NULL || --released->references > 0) {
        return;
    }
    core->memory_bytes -= sizeof *released + released->name_len + released->host_len;
    effects_bury(core, &released->corpse);
}

void progress_set(struct core *core, struct unit *unit, uint32_t permille, struct drv_str text)
{
    struct more *more = unit_more(core, unit);
    if (more == NULL) {
        return;
    }
    size_t len = bounded(text.len, DRV_TEXT_MAX);
    struct progress *progress = core_alloc(core, sizeof *progress + len);
    if (progress == NULL) {
        return;
    }
    progress_free(core, &more->progress);
    progress->permille = permille > 1000 ? 1000 : permille;
    progress->len = (uint16_t)len;
    if (len > 0) {
        memcpy(progress->text, text.ptr, len);
    }
    more->progress = progress;
}
