/* complete.c: see complete.h. */
#include "complete.h"

#include "check.h"
#include "command.h"

#include <string.h>

/* ---- candidates -------------------------------------------------------------------------- */

static void offer(struct complete *complete, const char *dashes, const char *word,
                  const char *about)
{
    char text[256];
    (void)snprintf(text, sizeof(text), "%s%s", dashes, word);
    if (strncmp(text, complete->prefix, strlen(complete->prefix)) == 0) {
        (void)fprintf(complete->out, "%s%s%s%s\n", complete->before, text,
                      about != NULL ? "\t" : "", about != NULL ? about : "");
    }
}

void complete_name(struct complete *complete, const char *name)
{
    if (drover_name_is_valid(name)) {
        offer(complete, "", name, NULL);
    }
}

/* The first words of commands; groups once. */
static void offer_commands(struct complete *complete)
{
    const char *group = NULL;
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *command = cli_commands[i];
        if (command->hidden) {
            continue;
        }
        if (command->group == NULL) {
            offer(complete, "", command->name, command->summary);
        } else if (group == NULL || strcmp(group, command->group) != 0) {
            offer(complete, "", command->group, "a group of commands");
        } else {
            /* the group was offered with its first command */
        }
        group = command->group;
    }
}

static void offer_group(struct complete *complete, const char *group)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        if (cli_commands[i]->group != NULL && command_begins(cli_commands[i], group)) {
            offer(complete, "", cli_commands[i]->name, cli_commands[i]->summary);
        }
    }
}

static void offer_kind(struct complete *complete, enum cli_word kind)
{
    switch (kind) {
    case CLI_WORD_FILE:
        (void)fputs(":files\n", complete->out);
        break;
    case CLI_WORD_PROGRAM:
        (void)fputs(":commands\n", complete->out);
        break;
    case CLI_WORD_TYPE:
    case CLI_WORD_QUEUE:
    case CLI_WORD_WORKER:
    case CLI_WORD_GROUP:
    case CLI_WORD_ACCOUNT:
        if (complete->names != NULL) {
            complete->names(complete->context, kind, complete);
        }
        break;
    case CLI_WORD_SHELL:
        offer(complete, "", "bash", NULL);
        offer(complete, "", "zsh", NULL);
        offer(complete, "", "fish", NULL);
        break;
    case CLI_WORD_ANY:
        break;
    }
}

/* What the argument of an option is, judged by its name in the help. */
static enum cli_word argument_kind(const struct drv_option *option)
{
    static const struct {
        const char *argument;
        enum cli_word kind;
    } kinds[] = {{"FILE", CLI_WORD_FILE},     {"DIR", CLI_WORD_FILE},
                 {"QUEUE", CLI_WORD_QUEUE},   {"TYPE", CLI_WORD_TYPE},
                 {"WORKER", CLI_WORD_WORKER}, {"GROUP", CLI_WORD_GROUP}};
    for (size_t i = 0; i < DRV_ARRAY_LEN(kinds); i++) {
        if (strcmp(kinds[i].argument, option->argument) == 0) {
            return kinds[i].kind;
        }
    }
    return CLI_WORD_ANY;
}

static void offer_argument(struct complete *complete, const struct drv_option *option)
{
    for (size_t i = 0; option->choices != NULL && option->choices[i] != NULL; i++) {
        offer(complete, "", option->choices[i], NULL);
    }
    offer_kind(complete, argument_kind(option));
}

/* ---- the words before -------------------------------------------------------------------- */

struct line {
    struct drv_option_table tables[COMMAND_TABLES_MAX];
    size_t table_count;
    const struct cli_command *command; /* NULL: not known yet */
    const char *group;                 /* its first word, when that is a group */
    size_t operands;                   /* after the command */
    bool ended;                        /* no options any more */
    const struct drv_option *pending;  /* the next word is its argument */
    bool asks_help;                    /* only the words of a command follow */
};

static const struct drv_option *find_long(const struct line *line, const char *name, size_t len)
{
    for (size_t t = 0; t < line->table_count; t++) {
        for (size_t i = 0; i < line->tables[t].count; i++) {
            const struct drv_option *option = &line->tables[t].options[i];
            if (strncmp(option->name, name, len) == 0 && option->name[len] == '\0') {
                return option;
            }
        }
    }
    return NULL;
}

static const struct drv_option *find_letter(const struct line *line, char letter)
{
    for (size_t t = 0; t < line->table_count; t++) {
        for (size_t i = 0; i < line->tables[t].count; i++) {
            if (line->tables[t].options[i].letter == letter) {
                return &line->tables[t].options[i];
            }
        }
    }
    return NULL;
}

static void pass_option(struct line *line, const char *word)
{
    const struct drv_option *option = NULL;
    if (strcmp(word, "--") == 0) {
        line->ended = true;
    } else if (word[1] == '-') {
        option = find_long(line, word + 2, strlen(word + 2));
    } else {
        option = word[2] == '\0' ? find_letter(line, word[1]) : NULL;
    }
    line->pending = option != NULL && option->kind != DRV_OPTION_FLAG ? option : NULL;
}

static void pass_operand(struct line *line, const char *word)
{
    if (line->command != NULL) {
        line->operands++;
        line->ended = line->ended || line->operands == line->command->stop_after;
        return;
    }
    if (line->group == NULL && command_classify(word) == COMMAND_GROUP) {
        line->group = word;
        return;
    }
    line->command = line->group != NULL ? command_find(line->group, word)
                                        : command_find(word, NULL);
    if (line->command != NULL) {
        line->table_count = command_tables(line->command, line->tables);
    }
}

/* `help WORD...` is about the words that follow. */
static bool is_help(const struct line *line, const char *word)
{
    return line->command == NULL && line->group == NULL && !line->asks_help &&
           strcmp(word, "help") == 0;
}

static void pass(struct line *line, const char *word)
{
    if (line->pending != NULL) {
        line->pending = NULL;
    } else if (!line->ended && word[0] == '-' && word[1] != '\0') {
        pass_option(line, word);
    } else if (is_help(line, word)) {
        line->asks_help = true;
    } else {
        pass_operand(line, word);
    }
}

/* ---- the word at the cursor -------------------------------------------------------------- */

static void offer_options(struct complete *complete, const struct line *line)
{
    for (size_t t = 0; t < line->table_count; t++) {
        for (size_t i = 0; i < line->tables[t].count; i++) {
            const struct drv_option *option = &line->tables[t].options[i];
            if (!option->hidden) {
                offer(complete, "--", option->name, option->help);
            }
        }
    }
    offer(complete, "--", "help", "print help and exit");
}

/* "--queue=de": the part behind the '=' is completed, what is before stays before it. */
static void offer_joined(struct complete *complete, const struct line *line, const char *word,
                         const char *equals)
{
    char before[256];
    const struct drv_option *option = find_long(line, word + 2, (size_t)(equals - word) - 2);
    if (option == NULL || option->kind == DRV_OPTION_FLAG) {
        return;
    }
    (void)snprintf(before, sizeof(before), "%.*s=", (int)(equals - word), word);
    complete->before = before;
    complete->prefix = equals + 1;
    offer_argument(complete, option);
    complete->before = "";
}

static void offer_word(struct complete *complete, const struct line *line, const char *word)
{
    const char *equals = strchr(word, '=');
    complete->prefix = word;
    complete->before = "";
    if (line->pending != NULL) {
        offer_argument(complete, line->pending);
    } else if (!line->ended && strncmp(word, "--", 2) == 0 && equals != NULL) {
        offer_joined(complete, line, word, equals);
    } else if (!line->ended && word[0] == '-') {
        offer_options(complete, line);
    } else if (line->command != NULL && line->asks_help) {
        /* it is all there */
    } else if (line->command != NULL) {
        offer_kind(complete, line->operands == 0 ? line->command->first : line->command->rest);
    } else if (line->group != NULL) {
        offer_group(complete, line->group);
    } else {
        offer_commands(complete);
        if (!line->asks_help) {
            offer(complete, "", "help", "what a command does and takes");
        }
    }
}

void complete_words(struct complete *complete, const char *const *words, size_t count)
{
    struct line line = {.table_count = 1};
    if (count == 0) {
        return;
    }
    line.tables[0] = (struct drv_option_table){.options = cli_global_options,
                                               .count = CLI_GLOBAL_OPTION_COUNT};
    for (size_t i = 0; i + 1 < count; i++) {
        pass(&line, words[i]);
    }
    offer_word(complete, &line, words[count - 1]);
}
