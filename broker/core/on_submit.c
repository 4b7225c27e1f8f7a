/*
 * on_submit.c: new tasks, in batches.
 *
 * A refused entry gets a note. Once one is refused as busy, all behind it are too, so that
 * sending them again keeps their order.
 */
#include "admit.h"
#include "broker.h"
#include "hand.h"
#include "handlers.h"

static drover_status submit_new(struct core *core, struct session *session,
                                const struct drv_entry *entry, struct spec *spec,
                                uint32_t flags)
{
    struct body *payload;
    if (body_new(core, &entry->val, &payload)) {
        return DROVER_NOMEM;
    }
    struct task *task = task_new(core, &entry->id, spec);
    if (task == NULL) {
        body_release(core, &payload);
        return DROVER_NOMEM;
    }
    task->payload = payload;
    task->payload_len = (uint32_t)body_len(payload);
    watch_own(core, task, session, flags);
    if (flags & DRV_SPEC_CANCEL_WITH_SESSION && !unit_tie(core, task, session)) {
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

void submit_watch_again(struct core *core, struct reply *reply, const struct drv_submit *submit)
{
    size_t position = 0;
    for (size_t i = 0; i < submit->group_count; i++) {
        const struct drv_submit_group *group = &submit->groups[i];
        for (size_t j = 0; j < group->entry_count; j++, position++) {
            struct task *task = task_find(core, &group->entries[j].id);
            bool is_taken = task != NULL && !task_is_array(task) &&
                            !reply_names(reply, position);
            if (is_taken &&
                submit_watch(core, reply->session, task, group->spec.flags) == DROVER_NOMEM) {
                reply->session->peer->is_broken = true; /* it comes once more */
            }
        }
    }
}

/* The same task again: the submitter joins those who wait for it. */
static drover_status submit_again(struct core *core, struct session *session, struct task *task,
                                  const struct drv_entry *entry, const struct spec *spec,
                                  const struct admission *admission)
{
    bool is_same = task->spec == spec ||
                   (admission->any_level && spec_differs_in_level_only(task->spec, spec));
    if (task_is_array(task) || !is_same || !task_payload_equals(core, task, &entry->val)) {
        return DROVER_CONFLICT;
    }
    return submit_watch(core, session, task, admission->flags);
}

static void submit_entry(struct core *core, struct reply *reply, size_t position,
                         const struct drv_entry *entry, struct spec *spec,
                         struct admission *admission)
{
    struct session *session = reply->session;
    uint32_t flags = admission->flags;
    drover_status status;
    const char *text = NULL;
    struct task *task = task_find(core, &entry->id);
    if (drover_id_is_zero(&entry->id)) {
        status = DROVER_INVALID;
        text = "the task has no id";
    } else if (task == NULL && hand_is_aside(core, &entry->id)) {
        status = DROVER_REFUSED;
        text = "the broker crashed more than once with this task in hand";
    } else if (task != NULL && !admission->is_busy) {
        status = submit_again(core, session, task, entry, spec, admission);
        text = status == DROVER_CONFLICT ? "there is another task with this id" : NULL;
    } else {
        status = admit(core, admission, session, spec->line, entry->val.len, &text);
        if (status == DROVER_OK) {
            status = submit_new(core, session, entry, spec, flags);
        }
    }
    if (status) {
        core->counters.refused++;
        reply_note(reply, position, status, text,
                   drover_status_is_retryable(status) ? RETRY_AFTER_MS : 0);
    }
}

/* The shared spec of a group; an error that concerns all its entries. */
static drover_status submit_spec(struct core *core, const struct drv_spec *wanted,
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

static void submit_group(struct core *core, struct reply *reply, size_t first,
                         const struct drv_submit_group *group, struct admission *admission)
{
    struct spec *spec = NULL;
    const char *text = NULL;
    drover_status status = submit_spec(core, &group->spec, &spec, &text);
    for (size_t i = 0; status != DROVER_OK && i < group->entry_count; i++) {
        core->counters.refused++;
        reply_note(reply, first + i, status, text, 0);
    }
    if (status) {
        return;
    }
    reply_reaches(reply, spec->numbers.level);
    if (reply->level < spec->numbers.level) {
        reply->level = spec->numbers.level;
    }
    admission->flags = group->spec.flags;
    admission->any_level = group->spec.durability == DROVER_DURABILITY_DEFAULT;
    for (size_t i = 0; i < group->entry_count; i++) {
        submit_entry(core, reply, first + i, &group->entries[i], spec, admission);
    }
    spec_release(core, &spec);
}

void on_submit(struct core *core, struct peer *peer, const struct drv_message *message,
               struct reply *reply)
{
    (void)peer;
    const struct drv_submit *submit = &message->submit;
    struct admission admission = {0};
    size_t position = 0;
    reply_reaches(reply, core->config.durability_max);
    reply->level = DROVER_DURABILITY_MEMORY; /* or what the tasks ask for */
    reply->may_wait = submit->group_count > 0;
    for (size_t i = 0; i < submit->group_count; i++) {
        submit_group(core, reply, position, &submit->groups[i], &admission);
        position += submit->groups[i].entry_count;
        /* Who watches the tasks waits for their ends, not for this. */
        reply->may_wait &= (submit->groups[i].spec.flags & DRV_SPEC_WATCH) != 0;
    }
    reply_answer(core, reply);
}
