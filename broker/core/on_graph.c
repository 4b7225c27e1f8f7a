/*
 * on_graph.c: GRAPH: tasks that wait for each other, all of them or none.
 *
 * Everything is judged before anything is made, so nobody sees a part of a graph that is
 * refused. What cannot be foreseen is want of memory: then what was made is cancelled and
 * forgotten, last one first.
 */
#include "admit.h"
#include "broker.h"
#include "hand.h"
#include "handlers.h"
#include "submit.h"

#include <stdio.h>
#include <stdlib.h>

static const char REFUSED[] = "the graph it belongs to was refused";

/* A task or an array of the message. */
struct node {
    const drover_id *id;
    uint32_t position;
    uint32_t level;
};

struct outline {
    struct reply *reply;
    const struct drv_submit *submit;
    struct node *nodes; /* sorted by id, then position */
    size_t count;       /* of nodes */
    size_t entry_count; /* with the elements of arrays */
    uint64_t bytes;     /* payloads of all */
};

static int node_compare(const void *left, const void *right)
{
    const struct node *a = left, *b = right;
    int order = memcmp(a->id, b->id, sizeof *a->id);
    return order != 0 ? order : (a->position > b->position) - (a->position < b->position);
}

static int node_find_compare(const void *key, const void *entry)
{
    return memcmp(key, ((const struct node *)entry)->id, sizeof(drover_id));
}

/* The first of that id. */
static const struct node *outline_find(const struct outline *outline, const drover_id *id)
{
    const struct node *node = bsearch(id, outline->nodes, outline->count,
                                      sizeof *outline->nodes, node_find_compare);
    while (node != NULL && node > outline->nodes && drover_id_equal(node[-1].id, id)) {
        node--;
    }
    return node;
}

static bool outline_draw(struct core *core, struct outline *outline)
{
    const struct drv_submit *submit = outline->submit;
    outline->nodes = effects_take(core, DRV_BATCH_MAX, sizeof *outline->nodes);
    for (size_t i = 0; outline->nodes != NULL && i < submit->group_count; i++) {
        const struct drv_submit_group *group = &submit->groups[i];
        for (size_t j = 0; j < group->entry_count; j++, outline->entry_count++) {
            outline->bytes += group->entries[j].val.len;
            if (j == 0 || !submit_has_array(group)) {
                outline->nodes[outline->count++] = (struct node){
                    &group->entries[j].id, (uint32_t)outline->entry_count, 0};
            }
        }
    }
    if (outline->nodes != NULL) {
        qsort(outline->nodes, outline->count, sizeof *outline->nodes, node_compare);
    }
    return outline->nodes != NULL;
}

/* One that is there, or comes before it in the message. */
static drover_status judge_parent(struct core *core, const struct outline *outline,
                                  size_t position, const struct drv_after *after,
                                  uint32_t level, char out_text[DEPS_TEXT_MAX])
{
    const struct node *node = outline_find(outline, &after->id);
    char name[DROVER_ID_TEXT_LEN + 1];
    if (node == NULL || task_peek(core, &after->id) != NULL) {
        struct parents parents;
        parents.count = 0;
        return deps_look_up(core, &after->id, after->index, (uint8_t)after->when, level,
                            &parents, out_text);
    }
    drover_id_format(&after->id, name);
    if (node->position >= position || after->index != DROVER_INDEX_NONE) {
        (void)snprintf(out_text, DEPS_TEXT_MAX,
                       "task %s does not come before what waits for it", name);
        return DROVER_DEPENDENCY;
    }
    if (node->level < level) {
        (void)snprintf(out_text, DEPS_TEXT_MAX,
                       "task %s is less durable than what is to wait for it", name);
        return DROVER_DEPENDENCY;
    }
    return DROVER_OK;
}

static drover_status judge_new(struct core *core, struct outline *outline, size_t position,
                               const struct drv_spec *wanted, const struct spec *spec,
                               char text_room[DEPS_TEXT_MAX], const char **out_text)
{
    struct admission admission = {.is_outline = true};
    drover_status status = admit_many(core, &admission, outline->reply->session, spec->line,
                                      outline->entry_count, outline->bytes, out_text);
    for (size_t i = 0; status == DROVER_OK && i < wanted->after_count; i++) {
        status = judge_parent(core, outline, position, &wanted->after[i], spec->numbers.level,
                              text_room);
        *out_text = text_room;
    }
    return status;
}

/* The elements of an array have no ids. */
static bool is_well_formed(const struct drv_submit_group *group)
{
    for (size_t i = 1; submit_has_array(group) && i < group->entry_count; i++) {
        if (!drover_id_is_zero(&group->entries[i].id)) {
            return false;
        }
    }
    return true;
}

static drover_status judge_entry(struct core *core, struct outline *outline, size_t position,
                                 const struct drv_submit_group *group,
                                 const struct drv_entry *entry, const struct spec *spec,
                                 char text_room[DEPS_TEXT_MAX], const char **out_text)
{
    const struct drv_spec *wanted = &group->spec;
    struct task *task = task_find(core, &entry->id);
    struct node *node = (struct node *)(uintptr_t)outline_find(outline, &entry->id);
    if (drover_id_is_zero(&entry->id)) {
        *out_text = "the task has no id";
        return DROVER_INVALID;
    }
    if (node->position != position) {
        *out_text = "the graph names a task twice";
        return DROVER_CONFLICT;
    }
    node->level = spec->numbers.level;
    if (hand_is_aside(core, &entry->id) && task == NULL) {
        *out_text = "the broker crashed more than once with this task in hand";
        return DROVER_REFUSED;
    }
    if (task != NULL) {
        bool is_same = submit_has_array(group)
                           ? submit_array_is_same(core, task, group, spec)
                           : submit_is_same(core, task, entry, wanted, spec);
        *out_text = "there is another task with this id";
        return is_same ? DROVER_OK : DROVER_CONFLICT;
    }
    return judge_new(core, outline, position, wanted, spec, text_room, out_text);
}

static void judge_group(struct core *core, struct outline *outline, size_t first,
                        const struct drv_submit_group *group)
{
    char text_room[DEPS_TEXT_MAX];
    const char *text = NULL;
    struct spec *spec = NULL;
    drover_status verdict = submit_spec(core, &group->spec, &spec, &text);
    if (verdict == DROVER_OK && group->spec.key.ptr != NULL) {
        verdict = DROVER_UNSUPPORTED; /* it could turn out to be another task */
        text = "a task of a graph has no key";
    }
    if (verdict == DROVER_OK && !is_well_formed(group)) {
        verdict = DROVER_INVALID;
        text = "an element has no id of its own";
    }
    size_t count = submit_has_array(group) ? 1 : group->entry_count;
    for (size_t i = 0; i < count; i++) {
        drover_status status = verdict;
        if (status == DROVER_OK) {
            status = judge_entry(core, outline, first + i, group, &group->entries[i], spec,
                                 text_room, &text);
        }
        if (status) {
            submit_refuse(core, outline->reply, first + i, status, text);
        }
    }
    spec_release(core, &spec);
}

/* Its elements end in slices, and nobody will ask for it. */
static void take_back_array(struct core *core, struct task *task)
{
    struct item item = item_of_task(task);
    item_set_state(core, &item, DROVER_STATE_QUEUED); /* it waits no more */
    array_cancel(core, task->array, REFUSED);
    deps_settle(core, &item);
    task_discard_later(core, task);
}

/* Out of memory half way: as if it had never been there. */
static void take_back(struct core *core, const struct outline *outline,
                      const struct submit_made *made)
{
    const struct drv_submit *submit = outline->submit;
    size_t position = outline->entry_count;
    for (size_t i = submit->group_count; i > 0; i--) {
        const struct drv_submit_group *group = &submit->groups[i - 1];
        for (size_t j = group->entry_count; j > 0; j--) {
            position--;
            struct task *task = task_find(core, &group->entries[j - 1].id);
            if (task == NULL || !(made->bits[position / 64] >> position % 64 & 1)) {
                continue;
            }
            struct item item = item_of_task(task);
            task->flags &= (uint8_t)~TASK_WATCHED;
            if (task_is_array(task)) {
                take_back_array(core, task);
                continue;
            }
            item_cancel(core, &item, REFUSED);
            deps_settle(core, &item);
            task_forget(core, task);
        }
    }
}

void on_graph(struct core *core, struct peer *peer, const struct drv_message *message,
              struct reply *reply)
{
    (void)peer;
    struct outline outline = {.reply = reply, .submit = &message->submit};
    struct submit_made made = {{0}};
    if (!outline_draw(core, &outline)) {
        reply_fail(core, reply, DROVER_NOMEM, "out of memory");
        return;
    }
    size_t position = 0;
    for (size_t i = 0; i < outline.submit->group_count; i++) {
        judge_group(core, &outline, position, &outline.submit->groups[i]);
        position += outline.submit->groups[i].entry_count;
    }
    if (reply->note_count == 0) {
        submit_groups(core, reply, outline.submit, &made);
        if (reply->note_count > 0) {
            take_back(core, &outline, &made);
            reply->code = DROVER_NOMEM;
        }
    }
    reply_answer(core, reply);
}
