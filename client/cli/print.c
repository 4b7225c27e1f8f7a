/* print.c: see print.h. */
#include "print.h"

#include "target.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int print_bytes(const void *bytes, size_t len)
{
    return len > 0 && fwrite(bytes, 1, len, stdout) != len ? cli_write_failed() : CLI_OK;
}

static int print_json(const drover_value *value, unsigned flags)
{
    char *text = NULL;
    if (drover_value_to_json(value, flags, &text) != DROVER_OK) {
        return cli_no_memory();
    }
    int code = puts(text) < 0 ? cli_write_failed() : CLI_OK;
    free(text);
    return code;
}

/* Whether the value is bytes to be printed as they are. */
static bool is_bytes(const drover_value *value, bool raw, const void **out_bytes,
                     size_t *out_len)
{
    const char *text = NULL;
    drover_value_type type = drover_value_get_type(value);
    if (type == DROVER_VALUE_RAW || (raw && type == DROVER_VALUE_BINARY)) {
        return drover_value_get_binary(value, out_bytes, out_len) == DROVER_OK;
    }
    if (raw && drover_value_get_string(value, &text, out_len) == DROVER_OK) {
        *out_bytes = text;
        return true;
    }
    return false;
}

int print_value(const drover_value *value, bool raw)
{
    const void *bytes = NULL;
    size_t len = 0;
    return is_bytes(value, raw, &bytes, &len) ? print_bytes(bytes, len)
                                              : print_json(value, DROVER_JSON_COMPACT);
}

int print_document(const drover_value *document)
{
    /* Not of the descriptor: while watching, stdout is a picture (watch.c). */
    bool is_terminal = isatty(fileno(stdout)) != 0;
    return print_json(document, is_terminal ? DROVER_JSON_PRETTY : DROVER_JSON_COMPACT);
}

void print_error_json(struct json_out *json, const drover_outcome *outcome)
{
    const void *tail = NULL;
    size_t len = 0;
    json_key_object(json, "error");
    json_key_text(json, "kind", drover_error_kind_name(drover_outcome_error_kind(outcome)));
    json_key_text(json, "code", drover_outcome_error_code(outcome));
    json_key_text(json, "text", drover_outcome_error_text(outcome));
    if (drover_outcome_exit_code(outcome) >= 0) {
        json_key_int(json, "exit_code", drover_outcome_exit_code(outcome));
    }
    if (drover_outcome_signal(outcome) > 0) {
        json_key_int(json, "signal", drover_outcome_signal(outcome));
    }
    if (drover_outcome_is_permanent(outcome)) {
        json_key_bool(json, "permanent", true);
    }
    if (drover_outcome_is_unconfirmed(outcome)) {
        json_key_bool(json, "unconfirmed", true);
    }
    drover_outcome_stderr(outcome, &tail, &len);
    if (len > 0) {
        json_key_bytes(json, "stderr", tail, len);
    }
    json_end_object(json);
}

void print_outcome_json(struct json_out *json, const drover_outcome *outcome, bool has_value)
{
    char id[DROVER_ID_TEXT_LEN + 1];
    drover_id task = drover_outcome_id(outcome);
    drover_id_format(&task, id);
    json_key_text(json, "id", id);
    if (drover_outcome_index(outcome) != DROVER_INDEX_NONE) {
        json_key_int(json, "index", drover_outcome_index(outcome));
    }
    json_key_text(json, "state", drover_state_name(drover_outcome_state(outcome)));
    json_key_int(json, "attempt", drover_outcome_attempt(outcome));
    const drover_value *value = drover_outcome_value(outcome);
    if (value != NULL && has_value) {
        json_key_value(json, "value", value);
        if (drover_value_get_type(value) == DROVER_VALUE_RAW) {
            json_key_text(json, "content_type", drover_value_content_type(value));
        }
    }
    if (drover_outcome_status(outcome) != DROVER_OK) {
        print_error_json(json, outcome);
    }
}

void print_error_text(const drover_outcome *outcome, char *out_text, size_t size)
{
    const char *code = drover_outcome_error_code(outcome);
    const char *text = drover_outcome_error_text(outcome);
    if (text[0] == '\0') {
        text = drover_status_text(drover_outcome_status(outcome));
    }
    (void)snprintf(out_text, size, "%s: %s%s%s%s",
                   drover_error_kind_name(drover_outcome_error_kind(outcome)), text,
                   code[0] != '\0' ? " (" : "", code, code[0] != '\0' ? ")" : "");
}

/* "cancelled: why" in a sentence that has just said cancelled is "why". */
static const char *without(const char *text, const char *state)
{
    size_t len = strlen(state);
    return strncmp(text, state, len) == 0 && strncmp(text + len, ": ", 2) == 0 ? text + len + 2
                                                                               : text;
}

int print_outcome_error(const drover_outcome *outcome)
{
    char task[TARGET_TEXT_MAX];
    char text[2048];
    drover_id id = drover_outcome_id(outcome);
    target_format(&id, drover_outcome_index(outcome), task);
    print_error_text(outcome, text, sizeof(text));
    const char *state = drover_outcome_state(outcome) == DROVER_STATE_LOST
                            ? "lost"
                            : drover_state_name(drover_outcome_state(outcome));
    return cli_say_status(CLI_FAILED, drover_outcome_status(outcome), "task %s %s: %s", task,
                          state, without(text, state));
}

int print_outcome(const struct cli *cli, const drover_outcome *outcome, bool raw)
{
    struct json_out json;
    bool succeeded = drover_outcome_status(outcome) == DROVER_OK;
    int code = succeeded ? CLI_OK : print_outcome_error(outcome);
    if (cli->json) {
        json_begin(&json);
        print_outcome_json(&json, outcome, true);
        return cli_worse(code, json_print(&json));
    }
    return succeeded ? print_value(drover_outcome_value(outcome), raw) : code;
}
