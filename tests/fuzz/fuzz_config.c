/*
 * fuzz_config.c: configuration files, JSON texts, durations and sizes: what people write.
 *
 * The input is read as a configuration file; every value in it is tried as JSON and as each
 * kind of number. A JSON text that is accepted must give valid msgpack.
 */
#include "check.h"
#include "config.h"
#include "escape.h"
#include "json.h"
#include "reader.h"
#include "units.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_json(struct drv_view text)
{
    struct drv_buffer packed;
    struct drv_problem problem = {.text = ""};
    drv_buffer_init(&packed);
    drover_status status = drv_json_read(text, &packed, &problem);
    if (status) {
        DRV_ASSERT(problem.text[0] != '\0' && strchr(problem.text, '\n') == NULL);
    } else {
        status = drv_validate(packed.bytes, packed.len, &DRV_VALIDATE_VALUE);
        DRV_ASSERT(status == DROVER_OK);
    }
    drv_buffer_fini(&packed);
}

static void try_units(const char *text)
{
    char formatted[DRV_UNITS_TEXT_MAX];
    uint64_t number;
    uint64_t again;
    int64_t signed_number;
    if (drv_duration_parse(text, &number) == DROVER_OK) {
        drv_duration_format(number, formatted);
        DRV_ASSERT(drv_duration_parse(formatted, &again) == DROVER_OK && again == number);
    }
    if (drv_size_parse(text, &number) == DROVER_OK) {
        drv_size_format(number, formatted);
        DRV_ASSERT(drv_size_parse(formatted, &again) == DROVER_OK && again == number);
    }
    if (drv_int_parse(text, &signed_number) == DROVER_OK && signed_number >= 0) {
        DRV_ASSERT(drv_uint_parse(text, &number) == DROVER_OK ||
                   (text[0] == '-' && signed_number == 0));
    }
}

static drover_status on_entry(void *context, const struct drv_config_entry *entry,
                              struct drv_problem *problem)
{
    unsigned *last_line = (unsigned *)context;
    DRV_ASSERT(entry->line > *last_line);
    DRV_ASSERT(strlen(entry->section) <= DRV_CONFIG_SECTION_MAX);
    DRV_ASSERT(strlen(entry->key) <= DRV_CONFIG_KEY_MAX);
    DRV_ASSERT(strlen(entry->value) <= DRV_CONFIG_LINE_MAX);
    *last_line = entry->line;
    try_units(entry->value);
    try_json(drv_view_text(entry->value));
    if (strcmp(entry->key, "refuse") == 0) {
        return drv_problem_set(problem, DROVER_INVALID, "%s", entry->value);
    }
    return DROVER_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned last_line = 0;
    char escaped[64];
    struct drv_problem problem = {.text = ""};
    struct drv_view text = drv_view_of(data, size);
    drover_status status = drv_config_parse(text, "x.ini", on_entry, &last_line, &problem);
    DRV_ASSERT((status == DROVER_OK) == (problem.text[0] == '\0'));
    try_json(text);
    DRV_ASSERT(drv_escape(text, escaped, sizeof escaped) < sizeof escaped);
    return 0;
}
