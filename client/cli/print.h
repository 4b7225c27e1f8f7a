/*
 * print.h: values, outcomes and documents on stdout and stderr.
 */
#ifndef CLI_PRINT_H
#define CLI_PRINT_H

#include "cli.h"

#include "json_out.h"

/*
 * A value as a person or a pipe wants it: JSON and a newline; bytes with a content type of
 * their own, and with `raw` binary and strings too, as they are. CLI_OK, or says why not.
 */
int print_value(const drover_value *value, bool raw);

/* A document as JSON: indented on a terminal, else, and while watching, one line. CLI_OK, or
 * says why not. */
int print_document(const drover_value *document);

/* Bytes to stdout. CLI_OK, or says why not. */
int print_bytes(const void *bytes, size_t len);

/* The error of an outcome that did not succeed, as the key "error" of json. */
void print_error_json(struct json_out *json, const drover_outcome *outcome);

/* id, index?, state, attempt, value? and content_type? if has_value, error?: without the
 * braces. */
void print_outcome_json(struct json_out *json, const drover_outcome *outcome, bool has_value);

/* Says "task ID failed: KIND: text" on stderr; returns CLI_FAILED. */
int print_outcome_error(const drover_outcome *outcome);

/*
 * The end of a task, as submit --wait and result tell it: its value, raw as for print_value;
 * the whole outcome with --json; its error on stderr. The exit code.
 */
int print_outcome(const struct cli *cli, const drover_outcome *outcome, bool raw);

/*
 * "KIND: text" of an outcome that did not succeed, or what refused it, for a message. Not
 * escaped.
 */
void print_error_text(const drover_outcome *outcome, char *out_text, size_t size);

#endif
