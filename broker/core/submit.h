/*
 * submit.h: what SUBMIT and GRAPH share.
 */
#ifndef CORE_SUBMIT_H
#define CORE_SUBMIT_H

#include "deps.h"
#include "request.h"

/* Tasks that a message has made: bit n: that of its entry n. */
struct submit_made {
    uint64_t bits[DRV_BATCH_MAX / 64];
};

/* The tasks of the groups, one after the other; those that are refused get a note. made (NULL:
 * nobody wants to know) tells which are new. */
void submit_groups(struct core *core, struct reply *reply, const struct drv_submit *submit,
                   struct submit_made *made);

/* The shared spec of a group with a reference; an error that concerns all its entries. */
DROVER_MUST_USE drover_status submit_spec(struct core *core, const struct drv_spec *wanted,
                                          struct spec **out_spec, const char **out_text);
/* Whether a task that is there is what this would make. */
bool submit_is_same(const struct core *core, const struct task *task,
                    const struct drv_entry *entry, const struct drv_spec *wanted,
                    const struct spec *spec);
/* An array of a GRAPH: the first entry is the array with what its elements share, the others
 * are the elements, in order, without ids (on_array.c). NOMEM may leave an array behind. */
DROVER_MUST_USE drover_status submit_array(struct core *core, struct session *session,
                                           const struct drv_submit_group *group,
                                           struct spec *spec, const struct parents *parents);
bool submit_array_is_same(const struct core *core, const struct task *task,
                          const struct drv_submit_group *group, const struct spec *spec);
static inline bool submit_has_array(const struct drv_submit_group *group)
{
    return (group->spec.flags & DRV_SPEC_ARRAY) != 0 && group->entry_count > 0;
}
/* A note; the text of DEPENDENCY is copied. */
void submit_refuse(struct core *core, struct reply *reply, size_t position,
                   drover_status status, const char *text);

#endif
