/*
 * options.h: the options of a program, from the command line, the environment and a file.
 *
 * A program declares tables of options; everything else (parsing, checking, precedence, help)
 * is here. For each option the first of these that names it wins: command line, environment,
 * file, default. Options may follow operands; "--" ends them; "--name=value", "--name value",
 * "-n value", "-nvalue" and "-ab" (flags) are understood; long names may not be abbreviated.
 *
 *     static const struct drv_option options[] = {
 *         {.name = "slots", .letter = 'n', .kind = DRV_OPTION_INT, .argument = "N",
 *          .help = "tasks at a time", .min = 1, .max = 4096, .fallback = "1"}, ...
 *     };
 *     static const struct drv_option_table tables[] = {
 *         {.options = options, .count = DRV_ARRAY_LEN(options),
 *          .env_prefix = "DROVER_WORKER_", .in_file = true}};
 *     static const struct drv_program program = {.name = "drover-worker", ...};
 *
 *     status = drv_options_new(&program, &o);
 *     status = drv_options_load(o, argc, argv, NULL, &problem);   (INVALID: print problem.text,
 * exit 64) if (drv_options_flag(o, "help")) { drv_options_help(o, stdout); ... } slots =
 * drv_options_int(o, "slots");
 *
 * "help", "version" and, for programs with a file, "config" and "check-config" are added to
 * every program. Declaring a table wrongly or asking for an option that is not declared, or by
 * another kind, is a bug and aborts.
 */
#ifndef DRV_OPTIONS_H
#define DRV_OPTIONS_H

#include "config.h"
#include "problem.h"

#include <drover/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Values an option that is repeatable may get, operands of a program, bytes in a value. */
#define DRV_OPTION_VALUES_MAX 1024
#define DRV_OPTION_VALUE_LEN_MAX (128U * 1024U)

enum drv_option_kind {
    DRV_OPTION_FLAG,     /* no argument; in file and environment a boolean (units.h) */
    DRV_OPTION_STRING,   /* any text */
    DRV_OPTION_INT,      /* decimal integer between min and max */
    DRV_OPTION_DURATION, /* "5s" (units.h); min and max in milliseconds */
    DRV_OPTION_SIZE,     /* "16M" (units.h); min and max in bytes */
    DRV_OPTION_CHOICE,   /* one of the words in choices */
};

struct drv_option {
    const char *name; /* long name without dashes, [a-z0-9-] */
    char letter;      /* short name; 0: none */
    enum drv_option_kind kind;
    const char *argument;       /* its argument in the help text ("FILE"); NULL for flags */
    const char *help;           /* one sentence without a full stop */
    const char *env;            /* name of an environment variable beside the usual; or NULL */
    const char *fallback;       /* default, as text; NULL: none */
    const char *const *choices; /* NULL-terminated, for DRV_OPTION_CHOICE */
    int64_t min;                /* min and max both 0: no limit but the type's, and not */
    int64_t max;                /*   negative for durations and sizes */
    bool takes_duration;        /* a flag that may be given one: --watch=5s */
    bool repeatable;            /* keeps all values; else the last one on the command line */
    bool hidden;                /* not in the help text */
};

struct drv_option_table {
    const char *title;                /* heading in the help text; NULL: "Options" */
    const struct drv_option *options; /* borrowed for ever, as all of this */
    size_t count;
    const char *env_prefix; /* "DROVER_WORKER_": --max-tasks is DROVER_WORKER_MAX_TASKS;
                               NULL: the environment sets none but by .env */
    bool in_file;           /* whether the file may set these */
};

/* Sections of the file beside the program's own: "handler." takes [handler.NAME]. */
struct drv_option_section {
    const char *prefix;     /* with its dot, or a whole section name */
    drv_config_fn callback; /* gets every entry of the section, with its whole name */
    void *context;
};

#define DRV_OPTION_TABLES_MAX 4

struct drv_program {
    const char *name;    /* "drover-worker" */
    const char *usage;   /* after the name in the help text: "[options] TYPE [JSON]" */
    const char *about;   /* what it does, whole sentences; may hold newlines; or NULL */
    const char *epilog;  /* after the options in the help text, or NULL */
    const char *section; /* own section of the file ("worker"), as good as none; NULL: there
                            is no file and no --config */
    struct drv_option_table tables[DRV_OPTION_TABLES_MAX];
    size_t table_count;
    const struct drv_option_section *sections; /* NULL: none */
    size_t section_count;
    size_t stop_after; /* the operand with this number (from 1) ends the options: the command
                          of xargs, say; 0: options may follow operands */
};

struct drv_options;

/* Looks a variable up; NULL when it is not set. */
typedef const char *(*drv_options_env_fn)(const char *name);

/* Borrows program for life. OK or NOMEM. */
DROVER_MUST_USE drover_status drv_options_new(const struct drv_program *program,
                                              struct drv_options **out_options);
void drv_options_destroy(struct drv_options **options);

/*
 * Reads the command line, then the environment (env: getenv when NULL), then the file that
 * --config names. argv[0] is skipped. With --help or --version on the command line the rest
 * is not looked at. Blocks on the file.
 * OK; INVALID with one line in problem; IO or TOO_BIG for the file; NOMEM; or what a section's
 * callback returned.
 */
DROVER_MUST_USE drover_status drv_options_load(struct drv_options *options, int argc,
                                               const char *const *argv, drv_options_env_fn env,
                                               struct drv_problem *problem);

/*
 * The position in argv of operand number nth (from 0), or argc, judged by the tables alone
 * and without complaint: a program with commands finds out which it is before it knows the
 * command's own table.
 */
int drv_options_find_operand(const struct drv_option_table *tables, size_t table_count,
                             int argc, const char *const *argv, size_t nth);

/* Values. Whether it was set anywhere but by default: */
bool drv_options_is_set(const struct drv_options *options, const char *name);
bool drv_options_flag(const struct drv_options *options, const char *name);
/* The duration that a flag was given (takes_duration), in milliseconds; 0: none. */
int64_t drv_options_flag_ms(const struct drv_options *options, const char *name);
/* The text of any kind but flags, the last one if repeatable, NULL if unset. Borrowed. */
const char *drv_options_string(const struct drv_options *options, const char *name);
/* For INT, DURATION (ms) and SIZE (bytes); 0 if unset and without default. */
int64_t drv_options_int(const struct drv_options *options, const char *name);
/* For CHOICE: the index into choices; -1 if unset and without default. */
int drv_options_choice(const struct drv_options *options, const char *name);
/* All values of a repeatable option. Borrowed. */
size_t drv_options_count(const struct drv_options *options, const char *name);
const char *drv_options_at(const struct drv_options *options, const char *name, size_t index);

/* What is no option, in order. Borrowed from argv. */
size_t drv_options_operand_count(const struct drv_options *options);
const char *drv_options_operand(const struct drv_options *options, size_t index);

/* Writes the help text. */
void drv_options_help(const struct drv_options *options, FILE *stream);

#endif
