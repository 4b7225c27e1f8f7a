/* task_facts.c: see task_facts.h. */
#include "task_facts.h"

#include "check.h"
#include "doc.h"
#include "escape.h"
#include "human.h"
#include "target.h"
#include "units.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { FACT_MAX = 1024, PARENTS_MAX = 8 /* named; the others are counted */ };

enum fact_kind {
    FACT_TEXT,
    FACT_PAIRS,    /* a map of texts */
    FACT_AMOUNTS,  /* a map of numbers */
    FACT_DURATION, /* as an option says it */
    FACT_BOUND,    /* the same; 0 is none */
    FACT_AGE,
};

struct fact {
    const char *key, *name;
    enum fact_kind kind;
};

static const struct fact facts[] = {
    {"group", "group", FACT_TEXT},
    {"tags", "tags", FACT_PAIRS},
    {"key", "key", FACT_TEXT},
    {"schedule", "schedule", FACT_TEXT},
    {"fairness", "fairness", FACT_TEXT},
    {"needs", "needs", FACT_AMOUNTS},
    {"require", "require", FACT_PAIRS},
    {"limits", "limits", FACT_AMOUNTS},
    {"timeout_ms", "timeout", FACT_BOUND},
    {"backoff_ms", "backoff", FACT_DURATION},
    {"backoff_max_ms", "backoff-max", FACT_DURATION},
    {"keep_ms", "keep", FACT_DURATION},
    {"expire_ms", "expire", FACT_DURATION},
    {"expires_in_ms", "expires in", FACT_AGE},
};

struct words { /* a text that grows, cut at its end */
    char text[FACT_MAX];
    size_t len;
};

__attribute__((format(printf, 2, 3))) static void add(struct words *words, const char *format,
                                                      ...)
{
    va_list arguments;
    size_t room = sizeof(words->text) - words->len;
    va_start(arguments, format);
    int len = vsnprintf(words->text + words->len, room, format, arguments);
    va_end(arguments);
    words->len += len < 0 ? 0 : (size_t)len < room ? (size_t)len : room - 1;
}

/* An amount as the option says it: --limit memory=1G, --need gpu=1. */
static void add_amount(struct words *words, const char *key, uint64_t amount)
{
    static const struct {
        const char *key, *name;
        void (*format)(uint64_t amount, char out_text[DRV_UNITS_TEXT_MAX]);
    } amounts[] = {{"memory_bytes", "memory", drv_size_format},
                   {"output_bytes", "output", drv_size_format},
                   {"cpu_ms", "cpu", drv_duration_format},
                   {"memory", "memory", drv_size_format}};
    const char *between = words->len > 0 ? ", " : "";
    char number[DRV_UNITS_TEXT_MAX];
    char name[DOC_TEXT_MAX];
    for (size_t i = 0; i < DRV_ARRAY_LEN(amounts); i++) {
        if (strcmp(amounts[i].key, key) == 0) {
            amounts[i].format(amount, number);
            add(words, "%s%s=%s", between, amounts[i].name, number);
            return;
        }
    }
    (void)drv_escape(drv_view_of(key, strlen(key)), name, sizeof(name));
    add(words, "%s%s=%" PRIu64, between, name, amount);
}

static void add_amounts(struct words *words, const drover_value *task, const char *key)
{
    drover_value *map = doc_get(task, key);
    drover_value *name = NULL;
    drover_value *item = NULL;
    drover_value_iter iter;
    if (map == NULL) {
        return;
    }
    drover_value_iter_init(&iter, map);
    while (drover_value_iter_next(&iter, &name, &item) == DROVER_OK) {
        const char *text = "";
        uint64_t amount = 0;
        (void)!drover_value_get_string(name, &text, NULL);
        (void)!drover_value_get_uint(item, &amount);
        add_amount(words, text, amount);
        drover_value_destroy(&name);
        drover_value_destroy(&item);
    }
    drover_value_destroy(&map);
}

static void add_fact(struct words *words, const drover_value *task, const struct fact *fact)
{
    char text[FACT_MAX];
    int64_t ms = 0;
    switch (fact->kind) {
    case FACT_TEXT:
        add(words, "%s", doc_text(task, fact->key, text, sizeof(text)));
        return;
    case FACT_PAIRS:
        add(words, "%s", doc_join(task, fact->key, text, sizeof(text)));
        return;
    case FACT_AMOUNTS:
        add_amounts(words, task, fact->key);
        return;
    case FACT_DURATION:
    case FACT_BOUND:
        ms = doc_int(task, fact->key);
        if (doc_has(task, fact->key) && (ms > 0 || fact->kind == FACT_DURATION)) {
            drv_duration_format((uint64_t)ms, text);
            add(words, "%s", text);
        }
        return;
    case FACT_AGE:
        if (doc_has(task, fact->key)) {
            add(words, "%s", human_age(doc_int(task, fact->key), text));
        }
        return;
    }
}

void task_facts_tell(const drover_value *task, task_fact_fn tell, void *context)
{
    for (size_t i = 0; i < DRV_ARRAY_LEN(facts); i++) {
        struct words words = {.len = 0};
        add_fact(&words, task, &facts[i]);
        if (words.len > 0) {
            tell(context, facts[i].name, words.text);
        }
    }
}

static void add_parent(struct words *words, const drover_value *parent)
{
    char name[TARGET_TEXT_MAX] = "?";
    char state[DOC_TEXT_MAX];
    char when[DOC_TEXT_MAX];
    drover_task_ref task;
    if (doc_task(parent, &task)) {
        target_format(&task.id, task.index, name);
    }
    (void)doc_text(parent, "state", state, sizeof(state));
    bool may_fail = strcmp(doc_text(parent, "when", when, sizeof(when)), "ended") == 0;
    add(words, "%s%s%s%s%s", words->len > 0 ? ", " : "", name, state[0] != '\0' ? " " : "",
        state, may_fail ? " (or ended)" : "");
}

void task_facts_tell_parents(const drover_value *task, task_fact_fn tell, void *context)
{
    struct words words = {.len = 0};
    drover_value *parents = doc_get(task, "parents");
    drover_value *item = NULL;
    drover_value_iter iter;
    size_t count = parents == NULL ? 0 : drover_value_count(parents);
    if (count > 0) {
        drover_value_iter_init(&iter, parents);
        for (size_t i = 0;
             i < PARENTS_MAX && drover_value_iter_next(&iter, NULL, &item) == DROVER_OK; i++) {
            add_parent(&words, item);
            drover_value_destroy(&item);
        }
        if (count > PARENTS_MAX) {
            add(&words, ", and %zu more", count - PARENTS_MAX);
        }
        tell(context, "after", words.text);
    }
    drover_value_destroy(&parents);
}
