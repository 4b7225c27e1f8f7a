/*
 * task_facts.h: what was said about a task when it was submitted, in words, for show and top.
 */
#ifndef CLI_TASK_FACTS_H
#define CLI_TASK_FACTS_H

#include <drover/value.h>

/* One of them: "limits", "memory=1G, cpu=30s". */
typedef void (*task_fact_fn)(void *context, const char *name, const char *text);

/*
 * Those that a task has, in a fixed order: group and tags, key, schedule, fairness key, needs,
 * labels, limits, and times as their options are called; what is as usual is left out.
 */
void task_facts_tell(const drover_value *task, task_fact_fn tell, void *context);

/* What it waits for or has waited for, as "after": "ID running, ID.3 succeeded (or ended)". */
void task_facts_tell_parents(const drover_value *task, task_fact_fn tell, void *context);

#endif
