/*
 * options_load.c: where option values come from: command line, environment, file, defaults.
 */
#include "options_private.h"

#include "check.h"

#include <stdlib.h>
#include <string.h>

#define LABEL_MAX 160

/* ---- command line ------------------------------------------------------------------------ */

struct words {
    int argc;
    const char *const *argv;
    int next;
    bool ended; /* no options any more */
};

static bool is_option_word(const char *word)
{
    return word[0] == '-' && word[1] != '\0';
}

/* "-5" is an operand, unless some option has that letter. */
static bool is_negative_number(const char *word, bool letter_is_known)
{
    return word[0] == '-' && word[1] >= '0' && word[1] <= '9' && !letter_is_known;
}

/* The argument of an option: what is joined to it, or the next word. */
static drover_status take_argument(struct words *words, const char *joined, const char *label,
                                   const char **out_text, struct drv_problem *problem)
{
    if (joined == NULL) {
        if (words->next == words->argc) {
            return drv_problem_set(problem, DROVER_INVALID, "%s needs an argument", label);
        }
        joined = words->argv[words->next++];
    }
    *out_text = joined;
    return DROVER_OK;
}

static drover_status load_long(struct drv_options *options, struct words *words,
                               const char *word, struct drv_problem *problem)
{
    char label[LABEL_MAX];
    const char *name = word + 2;
    const char *equals = strchr(name, '=');
    size_t name_len = equals == NULL ? strlen(name) : (size_t)(equals - name);
    struct drv_option_slot *slot = drv_options_find(options, name, name_len);
    (void)snprintf(label, sizeof label, "--%.*s", (int)(name_len < 100 ? name_len : 100), name);
    if (slot == NULL) {
        return drv_problem_set(problem, DROVER_INVALID, "unknown option %s", label);
    }
    const char *text = equals == NULL ? NULL : equals + 1;
    if (slot->option->kind != DRV_OPTION_FLAG) {
        drover_status status = take_argument(words, text, label, &text, problem);
        if (status) {
            return status;
        }
    }
    return drv_options_set(slot, text, DRV_OPTION_COMMAND_LINE, label, problem);
}

/* "-ab", "-nvalue", "-n value". */
static drover_status load_letters(struct drv_options *options, struct words *words,
                                  const char *word, struct drv_problem *problem)
{
    for (const char *letter = word + 1; *letter != '\0'; letter++) {
        char label[LABEL_MAX];
        (void)snprintf(label, sizeof label, "-%c", *letter);
        struct drv_option_slot *slot = drv_options_find_letter(options, *letter);
        if (slot == NULL) {
            return drv_problem_set(problem, DROVER_INVALID, "unknown option %s", label);
        }
        const char *text = NULL;
        bool takes_rest = slot->option->kind != DRV_OPTION_FLAG;
        if (takes_rest) {
            const char *joined = letter[1] == '\0' ? NULL : letter + 1;
            drover_status status = take_argument(words, joined, label, &text, problem);
            if (status) {
                return status;
            }
        }
        drover_status status = drv_options_set(slot, text, DRV_OPTION_COMMAND_LINE, label,
                                               problem);
        if (status || takes_rest) {
            return status;
        }
    }
    return DROVER_OK;
}

static void add_operand(struct drv_options *options, struct words *words, const char *word)
{
    options->operands[options->operand_count++] = word;
    if (options->operand_count == options->program->stop_after) {
        words->ended = true;
    }
}

static drover_status load_command_line(struct drv_options *options, int argc,
                                       const char *const *argv, struct drv_problem *problem)
{
    struct words words = {.argc = argc, .argv = argv, .next = 1};
    options->operands = (const char **)calloc((size_t)argc + 1, sizeof *options->operands);
    if (options->operands == NULL) {
        return drv_problem_set(problem, DROVER_NOMEM, "out of memory");
    }
    drover_status status = DROVER_OK;
    while (!status && words.next < argc) {
        const char *word = argv[words.next++];
        bool is_letter = word[0] != '\0' && drv_options_find_letter(options, word[1]) != NULL;
        if (words.ended || !is_option_word(word) || is_negative_number(word, is_letter)) {
            add_operand(options, &words, word);
        } else if (strcmp(word, "--") == 0) {
            words.ended = true;
        } else if (word[1] == '-') {
            status = load_long(options, &words, word, problem);
        } else {
            status = load_letters(options, &words, word, problem);
        }
    }
    return status;
}

/* ---- looking for a command -----------------------------------------------------------------
 */

/* The option that a long name (letter NUL) or a letter stands for, or NULL. */
static const struct drv_option *look_up(const struct drv_option_table *tables, size_t count,
                                        const char *name, size_t name_len, char letter)
{
    for (size_t t = 0; t <= count; t++) {
        const struct drv_option *options = t < count ? tables[t].options : drv_options_common;
        size_t options_count = t < count ? tables[t].count : DRV_ARRAY_LEN(drv_options_common);
        for (size_t i = 0; i < options_count; i++) {
            const char *candidate = options[i].name;
            bool is_it = letter != '\0' ? options[i].letter == letter
                                        : strlen(candidate) == name_len &&
                                              memcmp(candidate, name, name_len) == 0;
            if (is_it) {
                return &options[i];
            }
        }
    }
    return NULL;
}

/* Whether the word is an option whose argument is the next word. */
static bool takes_next_word(const struct drv_option_table *tables, size_t count,
                            const char *word)
{
    if (word[1] == '-') {
        const struct drv_option *option = look_up(tables, count, word + 2, strlen(word + 2),
                                                  '\0');
        return option != NULL && option->kind != DRV_OPTION_FLAG;
    }
    for (const char *letter = word + 1; *letter != '\0'; letter++) {
        const struct drv_option *option = look_up(tables, count, NULL, 0, *letter);
        if (option != NULL && option->kind != DRV_OPTION_FLAG) {
            return letter[1] == '\0';
        }
    }
    return false;
}

int drv_options_find_operand(const struct drv_option_table *tables, size_t table_count,
                             int argc, const char *const *argv, size_t nth)
{
    bool ended = false;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (!ended && strcmp(word, "--") == 0) {
            ended = true;
        } else if (!ended && is_option_word(word)) {
            i += takes_next_word(tables, table_count, word);
        } else if (nth-- == 0) {
            return i;
        }
    }
    return argc;
}

/* ---- environment ---------------------------------------------------------------------------
 */

/* Sets every piece between commas. */
static drover_status load_list(struct drv_option_slot *slot, const char *text,
                               const char *label, struct drv_problem *problem)
{
    drover_status status = DROVER_OK;
    char *copy = strdup(text);
    if (copy == NULL) {
        return drv_problem_set(problem, DROVER_NOMEM, "out of memory");
    }
    char *rest = copy;
    while (!status && rest != NULL) {
        const char *piece = strsep(&rest, ",");
        if (*piece != '\0') {
            status = drv_options_set(slot, piece, DRV_OPTION_ENVIRONMENT, label, problem);
        }
    }
    free(copy);
    return status;
}

static drover_status load_variable(struct drv_option_slot *slot, drv_options_env_fn env,
                                   struct drv_problem *problem)
{
    char name[LABEL_MAX];
    const char *label = name;
    drv_options_env_name(slot, name, sizeof name);
    const char *text = name[0] == '\0' ? NULL : env(name);
    if ((text == NULL || *text == '\0') && slot->option->env != NULL) {
        label = slot->option->env;
        text = env(label);
    }
    if (text == NULL || *text == '\0') {
        return DROVER_OK;
    }
    if (slot->option->repeatable) {
        return load_list(slot, text, label, problem);
    }
    return drv_options_set(slot, text, DRV_OPTION_ENVIRONMENT, label, problem);
}

static const char *real_env(const char *name)
{
    return getenv(name);
}

static drover_status load_environment(struct drv_options *options, drv_options_env_fn env,
                                      struct drv_problem *problem)
{
    drover_status status = DROVER_OK;
    for (size_t i = 0; !status && i < options->slot_count; i++) {
        status = load_variable(&options->slots[i], env, problem);
    }
    return status;
}

/* ---- file ----------------------------------------------------------------------------------
 */

static const struct drv_option_section *find_section(const struct drv_program *program,
                                                     const char *name)
{
    for (size_t i = 0; i < program->section_count; i++) {
        const char *prefix = program->sections[i].prefix;
        size_t len = strlen(prefix);
        bool is_open = prefix[len - 1] == '.';
        if (strncmp(name, prefix, len) == 0 &&
            (is_open ? name[len] != '\0' : name[len] == '\0')) {
            return &program->sections[i];
        }
    }
    return NULL;
}

static drover_status load_entry(void *context, const struct drv_config_entry *entry,
                                struct drv_problem *problem)
{
    struct drv_options *options = (struct drv_options *)context;
    const struct drv_program *program = options->program;
    if (*entry->section != '\0' && strcmp(entry->section, program->section) != 0) {
        const struct drv_option_section *section = find_section(program, entry->section);
        if (section == NULL) {
            return drv_problem_set(problem, DROVER_INVALID, "unknown section [%s]",
                                   entry->section);
        }
        return section->callback(section->context, entry, problem);
    }
    struct drv_option_slot *slot = drv_options_find(options, entry->key, strlen(entry->key));
    if (slot == NULL || !slot->table->in_file) {
        return drv_problem_set(problem, DROVER_INVALID, "unknown key '%s'", entry->key);
    }
    return drv_options_set(slot, entry->value, DRV_OPTION_FILE, entry->key, problem);
}

/* ---- all of it -----------------------------------------------------------------------------
 */

static void load_defaults(struct drv_options *options)
{
    for (size_t i = 0; i < options->slot_count; i++) {
        struct drv_option_slot *slot = &options->slots[i];
        if (slot->source == DRV_OPTION_UNSET && slot->option->fallback != NULL) {
            drover_status status = drv_options_set(slot, slot->option->fallback,
                                                   DRV_OPTION_DEFAULT, "default", NULL);
            DRV_ASSERT(status == DROVER_OK || status == DROVER_NOMEM);
        }
    }
}

drover_status drv_options_load(struct drv_options *options, int argc, const char *const *argv,
                               drv_options_env_fn env, struct drv_problem *problem)
{
    DRV_ASSERT(options->operands == NULL);
    drover_status status = load_command_line(options, argc, argv, problem);
    if (status) {
        return status;
    }
    if (!drv_options_flag(options, "help") && !drv_options_flag(options, "version")) {
        status = load_environment(options, env == NULL ? real_env : env, problem);
        if (status) {
            return status;
        }
        const char *path = options->program->section == NULL
                               ? NULL
                               : drv_options_string(options, "config");
        if (path != NULL) {
            status = drv_config_load(path, load_entry, options, problem);
            if (status) {
                return status;
            }
        }
    }
    load_defaults(options);
    return DROVER_OK;
}
