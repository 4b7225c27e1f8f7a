/*
 * options_help.c: the text of --help, made from the tables.
 */
#include "options_private.h"

#include "check.h"

#include <string.h>

#define HELP_COLUMN 30
#define HELP_WIDTH 80

/* Prints words wrapped to HELP_WIDTH; the cursor is at start, where other lines begin too. */
static void print_wrapped(FILE *stream, size_t start, const char *text)
{
    size_t column = start;
    bool is_first = true;
    while (*text != '\0') {
        size_t len = strcspn(text, " ");
        if (!is_first && column + 1 + len > HELP_WIDTH) {
            (void)fprintf(stream, "\n%*s", (int)start, "");
            column = start;
            is_first = true;
        }
        (void)fprintf(stream, "%s%.*s", is_first ? "" : " ", (int)len, text);
        column += len + !is_first;
        is_first = false;
        text += len + (text[len] == ' ');
    }
    (void)fputc('\n', stream);
}

/* The help sentence with choices and default behind it. */
static void describe(const struct drv_option *option, char *out, size_t size)
{
    size_t len = (size_t)snprintf(out, size, "%s", option->help);
    for (size_t i = 0; option->choices != NULL && option->choices[i] != NULL && len < size;
         i++) {
        len += (size_t)snprintf(out + len, size - len, "%s%s", i == 0 ? ": " : ", ",
                                option->choices[i]);
    }
    if (option->repeatable && len < size) {
        len += (size_t)snprintf(out + len, size - len, "; may be repeated");
    }
    if (option->fallback != NULL && len < size) {
        (void)snprintf(out + len, size - len, " (default: %s)", option->fallback);
    }
}

static void print_option(const struct drv_options *options, const struct drv_option_slot *slot,
                         FILE *stream)
{
    char name[64];
    char help[512];
    const struct drv_option *option = slot->option;
    const char *argument = option->argument == NULL ? "" : option->argument;
    const char *space = option->argument == NULL ? "" : " ";
    if (drv_options_find_letter(options, option->letter) == slot) {
        (void)snprintf(name, sizeof name, "  -%c, --%s%s%s", option->letter, option->name,
                       space, argument);
    } else {
        (void)snprintf(name, sizeof name, "      --%s%s%s", option->name, space, argument);
    }
    describe(option, help, sizeof help);
    if (strlen(name) + 2 > HELP_COLUMN) {
        (void)fprintf(stream, "%s\n%*s", name, HELP_COLUMN, "");
    } else {
        (void)fprintf(stream, "%-*s", HELP_COLUMN, name);
    }
    print_wrapped(stream, HELP_COLUMN, help);
}

static void print_sources(const struct drv_options *options, FILE *stream)
{
    const struct drv_program *program = options->program;
    if (program->section == NULL || program->table_count == 0 ||
        program->tables[0].env_prefix == NULL) {
        return;
    }
    char text[512];
    (void)snprintf(
        text, sizeof text,
        "An option can also be set by a variable (%sNAME, in capitals, '_' for '-', "
        "repeatable ones with commas) or in the file (name = value). The command line "
        "wins over the environment, the environment over the file.",
        program->tables[0].env_prefix);
    (void)fputc('\n', stream);
    print_wrapped(stream, 0, text);
}

void drv_options_help(const struct drv_options *options, FILE *stream)
{
    const struct drv_program *program = options->program;
    const struct drv_option_table *previous = NULL;
    (void)fprintf(stream, "Usage: %s %s\n", program->name, program->usage);
    if (program->about != NULL) {
        (void)fprintf(stream, "\n%s\n", program->about);
    }
    for (size_t i = 0; i < options->slot_count; i++) {
        const struct drv_option_slot *slot = &options->slots[i];
        if (slot->option->hidden) {
            continue;
        }
        bool is_common = slot->table->options == drv_options_common;
        if (slot->table != previous && !(is_common && previous != NULL)) {
            const char *title = slot->table->title;
            (void)fprintf(stream, "\n%s:\n", title == NULL ? "Options" : title);
        }
        previous = slot->table;
        print_option(options, slot, stream);
    }
    if (program->epilog != NULL) {
        (void)fprintf(stream, "\n%s\n", program->epilog);
    }
    print_sources(options, stream);
}
