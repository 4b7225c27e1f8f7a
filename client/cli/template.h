/*
 * template.h: the command of xargs, with {} for what comes from the input.
 *
 * With one record per command, {} is replaced wherever it stands in a word; with several, a
 * word that is {} becomes as many words. A command without {} gets the records appended. The
 * program's own name, the first word, is left as it is.
 */
#ifndef CLI_TEMPLATE_H
#define CLI_TEMPLATE_H

#include "cli.h"

#include "buffer.h"

struct template
{
    const char **words; /* owned array of borrowed texts */
    size_t word_count;
    size_t record_max;         /* records per command */
    struct drv_buffer records; /* each followed by a NUL */
    size_t record_count;
    bool has_place; /* some word holds {} */
};

void template_init(struct template *template, size_t record_max);
void template_fini(struct template *template);

/* Adds a word of the command; borrowed for life. False: no memory. */
bool template_word(struct template *template, const char *word);

/* Whether {} stands only where it can be replaced. */
bool template_is_sound(const struct template *template);

/* Adds a record, copied; not when it is full. False: no memory. */
bool template_add(struct template *template, const char *record, size_t len);
bool template_is_full(const struct template *template);
bool template_is_empty(const struct template *template);

/* The argv as an array value; forgets the records. OK, NOMEM, TOO_BIG. */
DROVER_MUST_USE drover_status template_expand(struct template *template,
                                              drover_value **out_argv);

#endif
