/*
 * exec.h: commands on the fleet, as run and xargs send them and get them back.
 *
 * The task type is "exec:" and the command with '/' written as ':'. The payload is the map
 * {"argv": [...], "stdin": bin?}, the result {"exit", "signal", "stdout", "stderr"}, which a
 * task that failed because its command did carries too.
 */
#ifndef CLI_EXEC_H
#define CLI_EXEC_H

#include "cli.h"

#define EXEC_TYPE_MAX 129 /* with its NUL */

/* CLI_OK, or says that no type can name this command and returns CLI_USAGE. */
int exec_type(const char *command, char out_type[EXEC_TYPE_MAX]);

/* A word of an argv: a string, or binary when it is not UTF-8. OK, NOMEM or TOO_BIG. */
DROVER_MUST_USE drover_status exec_word(const char *bytes, size_t len,
                                        drover_value **out_value);

/* The payload; takes *argv, and *input (NULL: none). */
DROVER_MUST_USE drover_status exec_payload(drover_value **argv, drover_value **input,
                                           drover_value **out_payload);

struct exec_result {
    bool is_known; /* the command ran to its own end, whatever its exit code */
    int exit_code;
    int signal;        /* 0: none */
    drover_value *out; /* owned; NULL: none */
    drover_value *err; /* owned; NULL: none */
};

void exec_result_init(struct exec_result *result, const drover_outcome *outcome);
void exec_result_fini(struct exec_result *result);

/* What was written, to stdout and stderr as it is, but for as many bytes of each as have been
 * printed already. CLI_OK, or says why not. */
int exec_result_print(const struct exec_result *result, uint64_t out_printed,
                      uint64_t err_printed);

/* exit, signal, stdout, stderr as keys of json. */
struct json_out;
void exec_result_json(const struct exec_result *result, struct json_out *json);

/* The exit code as a shell tells it: 128 + signal for a signal. */
int exec_result_code(const struct exec_result *result);

#endif
