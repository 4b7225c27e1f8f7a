/* exec.c: see exec.h. */
#include "exec.h"

#include "doc.h"
#include "json_out.h"
#include "print.h"

#include <errno.h>
#include <string.h>

int exec_type(const char *command, char out_type[EXEC_TYPE_MAX])
{
    int len = snprintf(out_type, EXEC_TYPE_MAX, "exec:%s", command);
    for (char *at = out_type; *at != '\0'; at++) {
        if (*at == '/') {
            *at = ':';
        }
    }
    if (command[0] == '\0' || len >= EXEC_TYPE_MAX || !drover_name_is_valid(out_type)) {
        return cli_say(CLI_USAGE,
                       "'%s' cannot be a command on the fleet: letters, digits and . _ : - /, "
                       "up to 123",
                       command);
    }
    return CLI_OK;
}

drover_status exec_word(const char *bytes, size_t len, drover_value **out_value)
{
    drover_status status = drover_value_new_string(bytes, len, out_value);
    return status == DROVER_INVALID ? drover_value_new_binary(bytes, len, out_value) : status;
}

drover_status exec_payload(drover_value **argv, drover_value **input,
                           drover_value **out_payload)
{
    drover_value *payload = NULL;
    drover_status status = drover_value_map_new(&payload);
    if (status == DROVER_OK) {
        status = drover_value_map_set(payload, "argv", argv);
    }
    if (status == DROVER_OK && *input != NULL) {
        status = drover_value_map_set(payload, "stdin", input);
    }
    if (status == DROVER_OK) {
        *out_payload = payload;
    } else {
        drover_value_destroy(&payload);
    }
    drover_value_destroy(argv);
    drover_value_destroy(input);
    return status;
}

void exec_result_init(struct exec_result *result, const drover_outcome *outcome)
{
    memset(result, 0, sizeof(*result));
    drover_error_kind kind = drover_outcome_error_kind(outcome);
    const drover_value *value = drover_outcome_value(outcome);
    if (value != NULL && drover_value_get_type(value) == DROVER_VALUE_MAP) {
        result->is_known = kind == DROVER_ERROR_NONE || kind == DROVER_ERROR_HANDLER ||
                           kind == DROVER_ERROR_CRASH;
        result->exit_code = (int)doc_int(value, "exit");
        result->signal = (int)doc_int(value, "signal");
        result->out = doc_get(value, "stdout");
        result->err = doc_get(value, "stderr");
    }
}

void exec_result_fini(struct exec_result *result)
{
    drover_value_destroy(&result->out);
    drover_value_destroy(&result->err);
}

/* The bytes of a string or binary; nothing for NULL. */
static const void *bytes_of(const drover_value *value, size_t *out_len)
{
    const void *bytes = "";
    const char *text = "";
    *out_len = 0;
    if (value == NULL || drover_value_get_binary(value, &bytes, out_len) == DROVER_OK) {
        return bytes;
    }
    return drover_value_get_string(value, &text, out_len) == DROVER_OK ? text : "";
}

/* What is left when so much has been printed. */
static const void *rest_of(const drover_value *value, uint64_t printed, size_t *out_len)
{
    const char *bytes = bytes_of(value, out_len);
    size_t skip = printed < *out_len ? (size_t)printed : *out_len;
    *out_len -= skip;
    return bytes + skip;
}

int exec_result_print(const struct exec_result *result, uint64_t out_printed,
                      uint64_t err_printed)
{
    size_t out_len = 0;
    size_t err_len = 0;
    const void *out = rest_of(result->out, out_printed, &out_len);
    const void *err = rest_of(result->err, err_printed, &err_len);
    int code = print_bytes(out, out_len);
    if (err_len > 0) {
        (void)fflush(stdout);
        (void)fwrite(err, 1, err_len, stderr);
    }
    return code;
}

void exec_result_json(const struct exec_result *result, struct json_out *json)
{
    size_t len = 0;
    const void *bytes = bytes_of(result->out, &len);
    json_key_int(json, "exit", result->exit_code);
    json_key_int(json, "signal", result->signal);
    json_key_bytes(json, "stdout", bytes, len);
    bytes = bytes_of(result->err, &len);
    json_key_bytes(json, "stderr", bytes, len);
}

int exec_result_code(const struct exec_result *result)
{
    return result->signal > 0 ? CLI_SIGNAL + result->signal : result->exit_code;
}
