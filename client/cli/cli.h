/*
 * cli.h: what the commands of `drover` share.
 *
 * A command gets its struct cli with the options read; it checks what it was given before it
 * connects, so that a mistake is told without a broker too. It returns the program's exit code
 * and has said on stderr, in one line, why that is not 0. All text from peers is escaped before
 * it is printed. main.c has the map of the files.
 */
#ifndef CLI_H
#define CLI_H

#include "options.h"
#include "problem.h"

#include <drover/client.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1, /* the task failed, was cancelled, expired, is lost or not known */
    CLI_USAGE = 64,
    CLI_UNAVAILABLE = 69,
    CLI_SOFTWARE = 70,
    CLI_IO = 74,
    CLI_BUSY = 75,
    CLI_DENIED = 77,
    CLI_XARGS_FAILED = 123,
    CLI_TIMEOUT = 124,
    CLI_SIGNAL = 128, /* and the signal's number */
};

/* What a word of the command line stands for, for completion. */
enum cli_word {
    CLI_WORD_ANY,
    CLI_WORD_FILE,
    CLI_WORD_PROGRAM,
    CLI_WORD_TYPE,
    CLI_WORD_QUEUE,
    CLI_WORD_WORKER,
    CLI_WORD_GROUP,
    CLI_WORD_ACCOUNT,
    CLI_WORD_SHELL,
};

struct cli;

struct cli_command {
    const char *group;                /* "queue" of `drover queue pause`; NULL: none */
    const char *name;                 /* one word */
    const char *summary;              /* one line for the help, without a full stop */
    const char *usage;                /* after the name */
    const char *about;                /* whole sentences; NULL: none */
    const struct drv_option *options; /* its own; NULL: none */
    size_t option_count;
    bool submits;        /* has the options of a task too (task_options.h) */
    bool hidden;         /* not in the help */
    size_t operand_min;  /* operands after the name */
    size_t operand_max;  /* SIZE_MAX: any number */
    size_t stop_after;   /* the operand after the name that ends the options; 0: none */
    enum cli_word first; /* what the first operand is */
    enum cli_word rest;  /* and the others */
    int (*run)(struct cli *cli);
};

struct cli {
    const struct cli_command *command; /* borrowed */
    struct drv_options *options;       /* borrowed */
    size_t words;                      /* operands that name the command: 1 or 2 */
    size_t trailing;                   /* operands at the end that are not the command's */
    drover_client *client;             /* owned; NULL until cli_connect */
    int64_t ask_ms;                    /* patience with a question; 0: CLI_ASK_MS */
    const char *endpoint;              /* where to connect; NULL: as the options say */
    const char *program;               /* a command that the tasks name; a private pool allows
                                          it, and runs it here; NULL: none */
    drover_status *silence;            /* while watching: where a broker that does not answer is
                                          noted instead of being told; else NULL */
    bool json;
};

/* Options that every command has. */
enum { CLI_GLOBAL_OPTION_COUNT = 6 };
extern const struct drv_option cli_global_options[CLI_GLOBAL_OPTION_COUNT];

/* For questions to the broker and changes of state: answered at once or not at all. */
#define CLI_ASK_MS 10000

/* Operands after the command's name. cli_operand returns NULL behind the last. */
size_t cli_operand_count(const struct cli *cli);
const char *cli_operand(const struct cli *cli, size_t index);

/*
 * Opens the session, unless it is open, trying for as long as --connect-timeout says.
 * CLI_OK, or says why not and returns the exit code.
 */
int cli_connect(struct cli *cli);

/* The keys that the options name, into those of a client. */
void cli_keys(const struct cli *cli, drover_client_options *options);

/*
 * Says "drover: ..." on stderr, escaped, in one line, and returns code. With --json, and unless
 * code is CLI_OK, the line is {"error":{"code":CODE,"exit":N,"text":TEXT}}, CODE being the name
 * of the status (drover_status_name), or what the exit code stands for.
 */
int cli_say(int code, const char *format, ...) DROVER_PRINTF(2, 3);
int cli_say_status(int code, drover_status status, const char *format, ...) DROVER_PRINTF(3, 4);

/* Whether that is so from now on; for main.c, the only one who knows before options are read.
 */
void cli_errors_as_json(bool as_json);

/* The exit code for a status. */
int cli_exit_code(drover_status status);

/* Says what failed, with the library's words when it has some; returns the exit code. */
int cli_failed(const struct cli *cli, drover_status status, const char *what);

/* The same for what only memory can fail. */
int cli_no_memory(void);

/* Whether a broker that comes back can put this right. */
bool cli_is_silence(drover_status status);

/* Something could not be written to stdout: says why, unless it is only that nobody reads on,
 * as in `| head`. Called at once, while errno still tells. CLI_IO. */
int cli_write_failed(void);

/* What was printed must have arrived: code, or the worse one of that and CLI_IO. */
int cli_flush(int code);

/* The option, a duration, in ms; DROVER_FOREVER when it is not set. */
int64_t cli_duration(const struct cli *cli, const char *option);

/* The worse of two exit codes: what went wrong with the command counts more than with a task.
 */
int cli_worse(int a, int b);

#endif
