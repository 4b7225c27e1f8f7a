/*
 * on_submit.c: SUBMIT: new tasks, in batches; and what GRAPH shares with it.
 *
 * A refused entry gets a note. Once one is refused as busy, all behind it are too, so that
 * sending them again keeps their order. Tasks may wait for those that come before them in the
 * same message.
 */
#include "admit.h"
#include "broker.h"
#include "hand.h"
#include "handlers.h"
#include "submit.h"

/* A group of a message, while its entries are gone through. */
struct batch {
    struct admission admission;
    const struct drv_spec *wanted;
    struct spec *spec;
    struct parents parents;   /* of all its entries */
    bool has_parents;         /* they were looked up */
    drover_status verdict;    /* of that */
    char text[DEPS_TEXT_MAX]; /* why not */
    struct submit_made *made; /* borrowed; NULL: nobody wants to know */
};

/* Looked up when the first new task of the group comes: what is there already needs none. */
static drover_status batch_parents(struct core *core, struct batch *batch)
{
    const struct drv_spec *wanted = batch->wanted;
    if (batch->has_parents) {
        return batch->verdict;
    }
    batch->has_parents = true;
    batch->verdict = DROVER_OK;
    batch->parents.count = 0;
    for (size_t i = 0; batch->verdict == DROVER_OK && i < wanted->after_count; i++) {
        const struct drv_after *after = &wanted->after[i];
        batch->verdict = deps_look_up(core, &after->id, after->index, (uint8_t)after->when,
                                      batch->spec->numbers.level, &batch->parents, batch->text);
    }
    return batch->verdict;
}

static bool task_set_parents(struct core *core, struct task *task,
                             const struct parents *parents)
{
    struct item item = item_of_task(task);
    return parents->count == 0 || deps_set(core, &item, parents);
}

static drover_status submit_new(struct core *core, struct session *session,
                                const struct drv_entry *entry, const struct batch *batch)
{
    const struct admission *admission = &batch->admission;
    uint32_t flags = admission->flags;
    struct body *payload;
    if (body_new(core, &entry->val, &payload)) {
        return DROVER_NOMEM;
    }
    struct task *task = task_new(core, &entry->id, batch->spec);
    if (task == NULL) {
        body_release(core, &payload);
        return DROVER_NOMEM;
    }
    task->payload = payload;
    task->payload_len = (uint32_t)body_len(payload);
    watch_own(core, task, session, flags);
    bool is_tied = (flags & DRV_SPEC_CANCEL_WITH_SESSION) != 0;
    bool has_key = admission->key.ptr != NULL;
    if ((is_tied && !unit_tie(core, task, session)) ||
        !task_set_parents(core, task, &batch->parents) ||
        (has_key && key_claim(core, task, admission->key, admission->key_window_us))) {
        task_free(core, task);
        return DROVER_NOMEM;
    }
    task_begin(core, task, session);
    return DROVER_OK;
}

static drover_status submit_watch(struct core *core, struct session *session, struct task *task,
                                  uint32_t flags)
{
    if (!(flags & DRV_SPEC_WATCH)) {
        return DROVER_OK;
    }
    struct item item = item_of_task(task);
    uint32_t watch = (flags & DRV_SPEC_WATCH_STATES ? (uint32_t)WATCH_STATES : 0) |
                     (flags & DRV_SPEC_RELEASE ? (uint32_t)WATCH_RELEASE : 0);
    return watch_add(core, session, &item, (uint8_t)watch);
}

static bool reply_names(const struct reply *reply, size_t position)
{
    for (size_t i = 0; i < reply->note_count; i++) {
        if (reply->notes[i].position == position) {
            return true;
        }
    }
    return false;
}

void submit_watch_again(struct core *core, struct reply *reply, const struct drv_submit *submit,
                        bool tells)
{
    tells = tells && reply->code == DROVER_OK;
    size_t position = 0;
    for (size_t i = 0; i < submit->group_count; i++) {
        const struct drv_submit_group *group = &submit->groups[i];
        for (size_t j = 0; j < group->entry_count; j++, position++) {
            struct task *task = task_find(core, &group->entries[j].id);
            if (reply_names(reply, position)) {
                continue;
            }
            if (task == NULL && tells && group->spec.flags & DRV_SPEC_WATCH) {
                reply_note(reply, position, DROVER_UNKNOWN, "it has been forgotten since", 0);
            }
            bool is_taken = task != NULL && task_is_array(task) == submit_has_array(group);
            if (is_taken &&
                submit_watch(core, reply->session, task, group->spec.flags) == DROVER_NOMEM) {
                reply->session->peer->is_broken = true; /* it comes once more */
            }
        }
    }
}

bool submit_is_same(const struct core *core, const struct task *task,
                    const struct drv_entry *entry, const struct drv_spec *wanted,
                    const struct spec *spec)
{
    bool any_level = wanted->durability == DROVER_DURABILITY_DEFAULT;
    if (task_is_array(task) ||
        !(task->spec == spec || (any_level && spec_differs_in_level_only(task->spec, spec)))) {
        return false;
    }
    /* What it has waited for is no longer known once it has ended. */
    return (unit_is_terminal(&task->unit) ||
            deps_are(&task->unit, wanted->after, wanted->after_count)) &&
           task_has_key(task, wanted->key) && task_payload_equals(core, task, &entry->val);
}

/* The same task again: the submitter joins those who wait for it. */
static drover_status submit_again(struct core *core, struct session *session, struct task *task,
                                  const struct drv_entry *entry, const struct batch *batch)
{
    if (!submit_is_same(core, task, entry, batch->wanted, batch->spec)) {
        return DROVER_CONFLICT;
    }
    return submit_watch(core, session, task, batch->admission.flags);
}

static drover_status submit_admitted(struct core *core, struct session *session,
                                     const struct drv_entry *entry, struct batch *batch,
                                     const char **out_text)
{
    drover_status status = admit(core, &batch->admission, session, batch->spec->line,
                                 entry->val.len, out_text);
    if (status == DROVER_OK) {
        status = admit_key(core, &batch->admission, session, batch->spec->line, out_text);
    }
    if (status == DROVER_OK) {
        status = batch_parents(core, batch);
        *out_text = batch->text;
    }
    if (status == DROVER_OK) {
        status = submit_new(core, session, entry, batch);
        *out_text = NULL;
    }
    return status;
}

static drover_status submit_entry(struct core *core, struct session *session,
                                  const struct drv_entry *entry, struct batch *batch,
                                  const char **out_text)
{
    drover_status status;
    struct task *task = task_find(core, &entry->id);
    if (drover_id_is_zero(&entry->id)) {
        *out_text = "the task has no id";
        return DROVER_INVALID;
    }
    if (task == NULL && hand_is_aside(core, &entry->id)) {
        *out_text = "the broker crashed more than once with this task in hand";
        return DROVER_REFUSED;
    }
    if (task != NULL && !batch->admission.is_busy) {
        status = submit_again(core, session, task, entry, batch);
        *out_text = status == DROVER_CONFLICT ? "there is another task with this id" : NULL;
        return status;
    }
    if (!batch->admission.is_busy && admit_taken(core, &batch->admission, batch->spec->line)) {
        return DROVER_ATTACHED;
    }
    return submit_admitted(core, session, entry, batch, out_text);
}

void submit_refuse(struct core *core, struct reply *reply, size_t position,
                   drover_status status, const char *text)
{
    uint32_t after_ms = drover_status_is_retryable(status) ? RETRY_AFTER_MS : 0;
    core->counters.refused++;
    if (status == DROVER_DEPENDENCY) {
        reply_note_copy(reply, position, status, text, after_ms); /* it names the task */
    } else {
        reply_note(reply, position, status, status == DROVER_NOMEM ? NULL : text, after_ms);
    }
}

drover_status submit_spec(struct core *core, const struct drv_spec *wanted,
                          struct spec **out_spec, const char **out_text)
{
    drover_status status = spec_check(core, wanted, out_text);
    if (status) {
        return status;
    }
    status = spec_ensure(core, wanted, out_spec);
    if (status) {
        return status;
    }
    if (wanted->flags & DRV_SPEC_STRICT && !line_is_offered((*out_spec)->line)) {
        spec_release(core, out_spec);
        *out_text = "no connected worker offers this type";
        return DROVER_REFUSED;
    }
    return DROVER_OK;
}

static void admission_of_group(struct admission *admission, const struct drv_spec *spec)
{
    admission->flags = spec->flags;
    admission->key = spec->key;
    admission->key_window_us = us_of_ms(spec->key_window_ms);
    if (spec->key.ptr != NULL) {
        admission->flags &= ~(uint32_t)DRV_SPEC_RELEASE; /* others may come for it */
    }
}

/* Only in a graph, where everything was judged before. */
static void submit_group_array(struct core *core, struct reply *reply, size_t first,
                               const struct drv_submit_group *group, struct batch *batch)
{
    const drover_id *id = &group->entries[0].id;
    struct task *known = task_peek(core, id);
    if (known != NULL) { /* the same */
        drover_status again = submit_watch(core, reply->session, known, batch->admission.flags);
        if (again) {
            submit_refuse(core, reply, first, again, NULL);
        }
        return;
    }
    drover_status status = batch_parents(core, batch);
    if (status == DROVER_OK) {
        status = submit_array(core, reply->session, group, batch->spec, &batch->parents);
    }
    if (task_peek(core, id) != NULL) {
        batch->made->bits[first / 64] |= (uint64_t)1 << first % 64;
    }
    if (status) {
        submit_refuse(core, reply, first, status, batch->text);
    }
}

static void submit_group(struct core *core, struct reply *reply, size_t first,
                         const struct drv_submit_group *group, struct batch *batch)
{
    const char *text = NULL;
    batch->spec = NULL;
    drover_status status = DROVER_INVALID;
    if (submit_has_array(group) && batch->made == NULL) {
        text = "an array comes by ARRAY_OPEN, or in a graph";
    } else if (group->spec.key.ptr != NULL && group->entry_count > 1) {
        text = "a key is for one task alone";
    } else {
        status = submit_spec(core, &group->spec, &batch->spec, &text);
    }
    for (size_t i = 0; status != DROVER_OK && i < group->entry_count; i++) {
        submit_refuse(core, reply, first + i, status, text);
    }
    if (status) {
        return;
    }
    reply_reaches(reply, batch->spec->numbers.level);
    if (reply->level < batch->spec->numbers.level) {
        reply->level = batch->spec->numbers.level;
    }
    admission_of_group(&batch->admission, &group->spec);
    batch->wanted = &group->spec;
    batch->has_parents = false;
    if (submit_has_array(group)) {
        submit_group_array(core, reply, first, group, batch);
    }
    for (size_t i = 0; !submit_has_array(group) && i < group->entry_count; i++) {
        bool was_there = batch->made != NULL && task_peek(core, &group->entries[i].id) != NULL;
        text = NULL;
        status = submit_entry(core, reply->session, &group->entries[i], batch, &text);
        if (status == DROVER_OK && batch->made != NULL && !was_there) {
            batch->made->bits[(first + i) / 64] |= (uint64_t)1 << (first + i) % 64;
        }
        if (status == DROVER_ATTACHED) {
            reply_attached(core, reply, first + i,
                           admit_taken(core, &batch->admission, batch->spec->line));
        } else if (status) {
            submit_refuse(core, reply, first + i, status, text);
        }
    }
    spec_release(core, &batch->spec);
}

void submit_groups(struct core *core, struct reply *reply, const struct drv_submit *submit,
                   struct submit_made *made)
{
    struct batch batch;
    batch.admission = (struct admission){.is_judged = made != NULL};
    batch.made = made;
    size_t position = 0;
    reply_reaches(reply, core->config.durability_max);
    reply->level = DROVER_DURABILITY_MEMORY; /* or what the tasks ask for */
    reply->may_wait = submit->group_count > 0;
    for (size_t i = 0; i < submit->group_count; i++) {
        submit_group(core, reply, position, &submit->groups[i], &batch);
        position += submit->groups[i].entry_count;
        /* Who watches the tasks waits for their ends, not for this. */
        reply->may_wait &= (submit->groups[i].spec.flags & DRV_SPEC_WATCH) != 0;
    }
}

void on_submit(struct core *core, struct peer *peer, const struct drv_message *message,
               struct reply *reply)
{
    (void)peer;
    submit_groups(core, reply, &message->submit, NULL);
    reply_answer(core, reply);
}
