#include "words.h"

#include <stdbool.h>
#include <string.h>

/* Appends to a list that lives in the arena: a new, longer copy, since an arena cannot grow one
 * in place. Lists are short. */
static drover_status append(struct drv_arena *arena, const char *const **list, size_t *count,
                            const char *word, struct drv_problem *problem)
{
    if (*count == WORDS_MAX) {
        return drv_problem_set(problem, DROVER_INVALID, "more than %d words", WORDS_MAX);
    }
    const char **longer = drv_arena_alloc(arena, *count + 1, sizeof *longer);
    if (longer == NULL || word == NULL) {
        return drv_problem_set(problem, DROVER_NOMEM, "out of memory");
    }
    for (size_t i = 0; i < *count; i++) {
        longer[i] = (*list)[i];
    }
    longer[(*count)++] = word;
    *list = longer;
    return DROVER_OK;
}

/* Reads one word into `out`, which is as long as the text; moves *at behind it. False: a quote
 * or a backslash is left open. */
static bool take_word(const char **at, char *out)
{
    char quote = '\0';
    size_t len = 0;
    const char *text = *at;
    for (; *text != '\0' && (quote != '\0' || *text != ' '); text++) {
        if (*text == quote) {
            quote = '\0';
        } else if (quote == '\0' && (*text == '"' || *text == '\'')) {
            quote = *text;
        } else if (*text == '\\' && quote != '\'') {
            if (*++text == '\0') {
                return false;
            }
            out[len++] = *text;
        } else {
            out[len++] = *text;
        }
    }
    out[len] = '\0';
    *at = text;
    return quote == '\0';
}

drover_status words_append(struct drv_arena *arena, const char *const **list, size_t *count,
                           const char *text, struct drv_problem *problem)
{
    drover_status status = DROVER_OK;
    while (status == DROVER_OK) {
        text += strspn(text, " ");
        if (*text == '\0') {
            break;
        }
        char *word = drv_arena_alloc(arena, strlen(text) + 1, 1);
        if (word == NULL) {
            return drv_problem_set(problem, DROVER_NOMEM, "out of memory");
        }
        if (!take_word(&text, word)) {
            return drv_problem_set(problem, DROVER_INVALID,
                                   "a quote or a backslash is left open");
        }
        status = append(arena, list, count, word, problem);
    }
    return status;
}

drover_status words_append_one(struct drv_arena *arena, const char *const **list, size_t *count,
                               const char *word, struct drv_problem *problem)
{
    return append(arena, list, count, drv_arena_copy(arena, word, strlen(word) + 1), problem);
}
