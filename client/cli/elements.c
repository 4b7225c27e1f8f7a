/* elements.c: see elements.h. */
#include "elements.h"

#include "print.h"

#include <stdlib.h>

/* Unlike print_value always one line of JSON, bytes in base64. */
static int print_line(const drover_value *value)
{
    char *text = NULL;
    if (drover_value_to_json(value, DROVER_JSON_COMPACT, &text) != DROVER_OK) {
        return cli_no_memory();
    }
    int code = puts(text) < 0 ? cli_write_failed() : CLI_OK;
    free(text);
    return code;
}

int elements_print(struct elements *elements, const drover_outcome *outcome)
{
    struct json_out json;
    bool succeeded = drover_outcome_status(outcome) == DROVER_OK;
    elements->failed += !succeeded;
    if (succeeded && !elements->json) {
        return print_line(drover_outcome_value(outcome));
    }
    json_begin(&json);
    if (elements->json) {
        print_outcome_json(&json, outcome, true);
    } else {
        print_error_json(&json, outcome);
    }
    return json_print(&json);
}
