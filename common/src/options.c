/*
 * options.c: the store of option values, their checks and their readers.
 */
#include "options_private.h"

#include "check.h"
#include "units.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const struct drv_option drv_options_common[4] = {
    {.name = "help", .letter = 'h', .help = "print this text and exit"},
    {.name = "version", .letter = 'V', .help = "print the version and exit"},
    {.name = "config",
     .kind = DRV_OPTION_STRING,
     .argument = "FILE",
     .help = "read options from FILE"},
    {.name = "check-config", .help = "check all options and exit"},
};

static const struct drv_option_table common_table = {.options = drv_options_common, .count = 4};

/* ---- life -------------------------------------------------------------------------------- */

static void check_declaration(const struct drv_options *options,
                              const struct drv_option *option)
{
    DRV_ASSERT(option->name != NULL && option->help != NULL);
    DRV_ASSERT((option->kind == DRV_OPTION_FLAG) == (option->argument == NULL));
    DRV_ASSERT((option->kind == DRV_OPTION_CHOICE) == (option->choices != NULL));
    DRV_ASSERT(option->kind != DRV_OPTION_FLAG || !option->repeatable);
    DRV_ASSERT(!option->takes_duration || (option->kind == DRV_OPTION_FLAG && option->min > 1));
    DRV_ASSERT(drv_options_find(options, option->name, strlen(option->name)) == NULL);
}

static void add_slots(struct drv_options *options, const struct drv_option_table *table,
                      const char *env_prefix, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        check_declaration(options, &table->options[i]);
        options->slots[options->slot_count++] = (struct drv_option_slot){
            .option = &table->options[i], .table = table, .env_prefix = env_prefix};
    }
}

drover_status drv_options_new(const struct drv_program *program,
                              struct drv_options **out_options)
{
    DRV_ASSERT(program->table_count <= DRV_OPTION_TABLES_MAX);
    size_t count = DRV_ARRAY_LEN(drv_options_common);
    for (size_t i = 0; i < program->table_count; i++) {
        count += program->tables[i].count;
    }
    struct drv_options *options = calloc(1, sizeof *options);
    if (options == NULL) {
        return DROVER_NOMEM;
    }
    options->program = program;
    options->slots = calloc(count, sizeof *options->slots);
    if (options->slots == NULL) {
        drv_options_destroy(&options);
        return DROVER_NOMEM;
    }
    for (size_t i = 0; i < program->table_count; i++) {
        const struct drv_option_table *table = &program->tables[i];
        add_slots(options, table, table->env_prefix, table->count);
    }
    bool has_file = program->section != NULL;
    add_slots(options, &common_table, NULL, has_file ? 4 : 2);
    if (has_file && program->table_count > 0) {
        drv_options_find(options, "config", strlen("config"))->env_prefix =
            program->tables[0].env_prefix;
    }
    *out_options = options;
    return DROVER_OK;
}

static void clear(struct drv_option_slot *slot)
{
    for (size_t i = 0; i < slot->count; i++) {
        free(slot->values[i]);
    }
    free((void *)slot->values);
    slot->values = NULL;
    slot->count = 0;
    slot->source = DRV_OPTION_UNSET;
}

void drv_options_destroy(struct drv_options **options)
{
    if (options == NULL || *options == NULL) {
        return;
    }
    for (size_t i = 0; i < (*options)->slot_count; i++) {
        clear(&(*options)->slots[i]);
    }
    free((*options)->slots);
    free((void *)(*options)->operands);
    free(*options);
    *options = NULL;
}

struct drv_option_slot *drv_options_find(const struct drv_options *options, const char *name,
                                         size_t name_len)
{
    for (size_t i = 0; i < options->slot_count; i++) {
        const char *candidate = options->slots[i].option->name;
        if (strlen(candidate) == name_len && memcmp(candidate, name, name_len) == 0) {
            return &options->slots[i];
        }
    }
    return NULL;
}

struct drv_option_slot *drv_options_find_letter(const struct drv_options *options, char letter)
{
    for (size_t i = 0; i < options->slot_count; i++) {
        if (letter != '\0' && options->slots[i].option->letter == letter) {
            return &options->slots[i];
        }
    }
    return NULL;
}

void drv_options_env_name(const struct drv_option_slot *slot, char *out, size_t size)
{
    size_t len = 0;
    out[0] = '\0';
    if (slot->env_prefix == NULL) {
        return;
    }
    DRV_ASSERT(strlen(slot->env_prefix) + strlen(slot->option->name) < size);
    for (const char *p = slot->env_prefix; *p != '\0'; p++) {
        out[len++] = *p;
    }
    for (const char *p = slot->option->name; *p != '\0'; p++) {
        out[len++] = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
    }
    out[len] = '\0';
}

/* ---- checks ------------------------------------------------------------------------------ */

static drover_status complain_range(const struct drv_option *option, const char *label,
                                    struct drv_problem *problem)
{
    char min[DRV_UNITS_TEXT_MAX];
    char max[DRV_UNITS_TEXT_MAX];
    if (option->kind == DRV_OPTION_DURATION) {
        drv_duration_format((uint64_t)option->min, min);
        drv_duration_format((uint64_t)option->max, max);
    } else if (option->kind == DRV_OPTION_SIZE) {
        drv_size_format((uint64_t)option->min, min);
        drv_size_format((uint64_t)option->max, max);
    } else {
        (void)snprintf(min, sizeof min, "%" PRId64, option->min);
        (void)snprintf(max, sizeof max, "%" PRId64, option->max);
    }
    return drv_problem_set(problem, DROVER_INVALID, "%s: must be from %s to %s", label, min,
                           max);
}

static drover_status check_number(const struct drv_option *option, const char *text,
                                  const char *label, int64_t *out_number,
                                  struct drv_problem *problem)
{
    const char *wanted = "a whole number";
    uint64_t large = 0;
    int64_t number = 0;
    drover_status status;
    if (option->kind == DRV_OPTION_DURATION) {
        wanted = "a duration such as 250ms, 5s, 2m, 1h";
        status = drv_duration_parse(text, &large);
        number = (int64_t)large;
    } else if (option->kind == DRV_OPTION_SIZE) {
        wanted = "a size such as 512, 64K, 16M, 1G";
        status = drv_size_parse(text, &large);
        number = (int64_t)large;
    } else {
        status = drv_int_parse(text, &number);
    }
    if (status || large > INT64_MAX) {
        return drv_problem_set(problem, DROVER_INVALID, "%s: '%s' is not %s", label, text,
                               wanted);
    }
    bool is_limited = option->min != 0 || option->max != 0;
    if (is_limited && (number < option->min || number > option->max)) {
        return complain_range(option, label, problem);
    }
    *out_number = number;
    return DROVER_OK;
}

static drover_status check_choice(const struct drv_option *option, const char *text,
                                  const char *label, int64_t *out_number,
                                  struct drv_problem *problem)
{
    char words[DRV_PROBLEM_TEXT_MAX] = "";
    size_t len = 0;
    for (size_t i = 0; option->choices[i] != NULL; i++) {
        if (strcmp(option->choices[i], text) == 0) {
            *out_number = (int64_t)i;
            return DROVER_OK;
        }
        int added = snprintf(words + len, sizeof words - len, "%s%s", i == 0 ? "" : ", ",
                             option->choices[i]);
        len = len + (size_t)added < sizeof words ? len + (size_t)added : sizeof words - 1;
    }
    return drv_problem_set(problem, DROVER_INVALID, "%s: '%s' is not one of %s", label, text,
                           words);
}

/* Whether it is set, or for how long. */
static drover_status check_flag(const struct drv_option *option, const char *text,
                                const char *label, int64_t *out_number,
                                struct drv_problem *problem)
{
    bool flag = true;
    if (text == NULL || drv_bool_parse(text, &flag) == DROVER_OK) {
        *out_number = flag;
        return DROVER_OK;
    }
    if (option->takes_duration) {
        const struct drv_option duration = {
            .kind = DRV_OPTION_DURATION, .min = option->min, .max = option->max};
        return check_number(&duration, text, label, out_number, problem);
    }
    return drv_problem_set(problem, DROVER_INVALID, "%s: '%s' is not yes or no", label, text);
}

static drover_status check(const struct drv_option *option, const char *text, const char *label,
                           int64_t *out_number, struct drv_problem *problem)
{
    DRV_ASSERT(text != NULL || option->kind == DRV_OPTION_FLAG);
    if (text != NULL &&
        strnlen(text, DRV_OPTION_VALUE_LEN_MAX + 1) > DRV_OPTION_VALUE_LEN_MAX) {
        return drv_problem_set(problem, DROVER_INVALID, "%s: too long", label);
    }
    switch (option->kind) {
    case DRV_OPTION_FLAG:
        return check_flag(option, text, label, out_number, problem);
    case DRV_OPTION_STRING:
        return DROVER_OK;
    case DRV_OPTION_INT:
    case DRV_OPTION_DURATION:
    case DRV_OPTION_SIZE:
        return check_number(option, text, label, out_number, problem);
    case DRV_OPTION_CHOICE:
        return check_choice(option, text, label, out_number, problem);
    }
    DRV_UNREACHABLE();
}

static drover_status append(struct drv_option_slot *slot, const char *text)
{
    char *copy = strdup(text);
    void *values = realloc((void *)slot->values, (slot->count + 1) * sizeof *slot->values);
    if (values != NULL) {
        slot->values = (char **)values;
    }
    if (copy == NULL || values == NULL) {
        free(copy);
        return DROVER_NOMEM;
    }
    slot->values[slot->count++] = copy;
    return DROVER_OK;
}

drover_status drv_options_set(struct drv_option_slot *slot, const char *text,
                              enum drv_option_source source, const char *label,
                              struct drv_problem *problem)
{
    int64_t number = 0;
    drover_status status = check(slot->option, text, label, &number, problem);
    if (status || slot->source > source) {
        return status;
    }
    if (slot->source == source && source == DRV_OPTION_FILE && !slot->option->repeatable) {
        return drv_problem_set(problem, DROVER_INVALID, "%s: given twice", label);
    }
    if (slot->source < source || !slot->option->repeatable) {
        clear(slot);
    }
    if (slot->count == DRV_OPTION_VALUES_MAX) {
        return drv_problem_set(problem, DROVER_INVALID, "%s: more than %d values", label,
                               DRV_OPTION_VALUES_MAX);
    }
    slot->source = source;
    slot->number = number;
    if (append(slot, text == NULL ? "true" : text)) {
        return drv_problem_set(problem, DROVER_NOMEM, "out of memory");
    }
    return DROVER_OK;
}

/* ---- reading ----------------------------------------------------------------------------- */

static const struct drv_option_slot *get(const struct drv_options *options, const char *name)
{
    const struct drv_option_slot *slot = drv_options_find(options, name, strlen(name));
    DRV_ASSERT(slot != NULL);
    return slot;
}

bool drv_options_is_set(const struct drv_options *options, const char *name)
{
    return get(options, name)->source > DRV_OPTION_DEFAULT;
}

bool drv_options_flag(const struct drv_options *options, const char *name)
{
    const struct drv_option_slot *slot = get(options, name);
    DRV_ASSERT(slot->option->kind == DRV_OPTION_FLAG);
    return slot->count > 0 && slot->number != 0;
}

int64_t drv_options_flag_ms(const struct drv_options *options, const char *name)
{
    const struct drv_option_slot *slot = get(options, name);
    DRV_ASSERT(slot->option->takes_duration);
    return slot->count > 0 && slot->number > 1 ? slot->number : 0;
}

const char *drv_options_string(const struct drv_options *options, const char *name)
{
    const struct drv_option_slot *slot = get(options, name);
    DRV_ASSERT(slot->option->kind != DRV_OPTION_FLAG);
    return slot->count == 0 ? NULL : slot->values[slot->count - 1];
}

int64_t drv_options_int(const struct drv_options *options, const char *name)
{
    const struct drv_option_slot *slot = get(options, name);
    enum drv_option_kind kind = slot->option->kind;
    DRV_ASSERT(kind == DRV_OPTION_INT || kind == DRV_OPTION_DURATION ||
               kind == DRV_OPTION_SIZE);
    return slot->count == 0 ? 0 : slot->number;
}

int drv_options_choice(const struct drv_options *options, const char *name)
{
    const struct drv_option_slot *slot = get(options, name);
    DRV_ASSERT(slot->option->kind == DRV_OPTION_CHOICE);
    return slot->count == 0 ? -1 : (int)slot->number;
}

size_t drv_options_count(const struct drv_options *options, const char *name)
{
    return get(options, name)->count;
}

const char *drv_options_at(const struct drv_options *options, const char *name, size_t index)
{
    const struct drv_option_slot *slot = get(options, name);
    DRV_ASSERT(index < slot->count);
    return slot->values[index];
}

size_t drv_options_operand_count(const struct drv_options *options)
{
    return options->operand_count;
}

const char *drv_options_operand(const struct drv_options *options, size_t index)
{
    DRV_ASSERT(index < options->operand_count);
    return options->operands[index];
}
