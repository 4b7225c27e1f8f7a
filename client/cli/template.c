/* template.c: see template.h. */
#include "template.h"

#include "check.h"
#include "exec.h"

#include <stdlib.h>
#include <string.h>

static const char place[] = "{}";

void template_init(struct template *template, size_t record_max)
{
    memset(template, 0, sizeof(*template));
    template->record_max = record_max;
    drv_buffer_init(&template->records);
}

void template_fini(struct template *template)
{
    free(template->words);
    drv_buffer_fini(&template->records);
    memset(template, 0, sizeof(*template));
}

bool template_word(struct template *template, const char *word)
{
    size_t size = (template->word_count + 1) * sizeof(*template->words);
    const char **words = (const char **)realloc(template->words, size);
    if (words == NULL) {
        return false;
    }
    template->words = words;
    template->has_place = template->has_place ||
                          (template->word_count > 0 && strstr(word, place) != NULL);
    template->words[template->word_count++] = word;
    return true;
}

bool template_is_sound(const struct template *template)
{
    for (size_t i = 1; template->record_max > 1 && i < template->word_count; i++) {
        const char *word = template->words[i];
        if (strstr(word, place) != NULL && strcmp(word, place) != 0) {
            return false;
        }
    }
    return true;
}

bool template_add(struct template *template, const char *record, size_t len)
{
    DRV_ASSERT(!template_is_full(template));
    if (drv_buffer_append(&template->records, record, len) != DROVER_OK ||
        drv_buffer_append_byte(&template->records, 0) != DROVER_OK) {
        return false;
    }
    template->record_count++;
    return true;
}

bool template_is_full(const struct template *template)
{
    return template->record_count == template->record_max;
}

bool template_is_empty(const struct template *template)
{
    return template->record_count == 0;
}

static drover_status append(drover_value *argv, const char *bytes, size_t len)
{
    drover_value *word = NULL;
    drover_status status = exec_word(bytes, len, &word);
    return status == DROVER_OK ? drover_value_array_append(argv, &word) : status;
}

static drover_status append_records(const struct template *template, drover_value *argv)
{
    const char *record = (const char *)template->records.bytes;
    drover_status status = DROVER_OK;
    for (size_t i = 0; status == DROVER_OK && i < template->record_count; i++) {
        size_t len = strlen(record);
        status = append(argv, record, len);
        record += len + 1;
    }
    return status;
}

/* The word with every {} replaced by the only record. */
static drover_status append_filled(const struct template *template, drover_value *argv,
                                   const char *word)
{
    const char *record = (const char *)template->records.bytes;
    struct drv_buffer filled;
    drv_buffer_init(&filled);
    drover_status status = DROVER_OK;
    const char *found;
    while (status == DROVER_OK && (found = strstr(word, place)) != NULL) {
        status = drv_buffer_append(&filled, word, (size_t)(found - word));
        if (status == DROVER_OK) {
            status = drv_buffer_append_text(&filled, record);
        }
        word = found + strlen(place);
    }
    if (status == DROVER_OK) {
        status = drv_buffer_append_text(&filled, word);
    }
    if (status == DROVER_OK) {
        status = append(argv, (const char *)filled.bytes, filled.len);
    }
    drv_buffer_fini(&filled);
    return status;
}

static drover_status append_word(const struct template *template, drover_value *argv, size_t at)
{
    const char *word = template->words[at];
    if (at == 0 || strstr(word, place) == NULL) {
        return append(argv, word, strlen(word));
    }
    return template->record_max > 1 ? append_records(template, argv)
                                    : append_filled(template, argv, word);
}

drover_status template_expand(struct template *template, drover_value **out_argv)
{
    drover_value *argv = NULL;
    drover_status status = drover_value_array_new(&argv);
    for (size_t i = 0; status == DROVER_OK && i < template->word_count; i++) {
        status = append_word(template, argv, i);
    }
    if (status == DROVER_OK && !template->has_place) {
        status = append_records(template, argv);
    }
    drv_buffer_clear(&template->records);
    template->record_count = 0;
    if (status != DROVER_OK) {
        drover_value_destroy(&argv);
        return status;
    }
    *out_argv = argv;
    return DROVER_OK;
}
