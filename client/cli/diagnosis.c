/* diagnosis.c: see diagnosis.h. */
#include "diagnosis.h"

#include "escape.h"
#include "print.h"

#include <stdarg.h>
#include <string.h>

struct finding *diagnosis_add(struct diagnosis *diagnosis, const char *name,
                              enum finding_state state, const char *format, ...)
{
    char text[FINDING_TEXT_MAX];
    va_list arguments;
    size_t at = diagnosis->count < DIAGNOSIS_MAX ? diagnosis->count++ : DIAGNOSIS_MAX - 1;
    struct finding *finding = &diagnosis->findings[at];
    *finding = (struct finding){.state = state};
    (void)snprintf(finding->name, sizeof(finding->name), "%s", name);
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    (void)drv_escape(drv_view_text(text), finding->text, sizeof(finding->text));
    return finding;
}

void diagnosis_advise(struct finding *finding, const char *format, ...)
{
    char text[FINDING_TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    (void)drv_escape(drv_view_text(text), finding->advice, sizeof(finding->advice));
}

enum finding_state diagnosis_worst(const struct diagnosis *diagnosis)
{
    enum finding_state worst = FINDING_OK;
    for (size_t i = 0; i < diagnosis->count; i++) {
        if (diagnosis->findings[i].state > worst) {
            worst = diagnosis->findings[i].state;
        }
    }
    return worst;
}

const char *finding_state_name(enum finding_state state)
{
    static const char *const names[] = {"ok", "warn", "fail"};
    return names[state];
}

int diagnosis_print(const struct diagnosis *diagnosis)
{
    for (size_t i = 0; i < diagnosis->count; i++) {
        const struct finding *finding = &diagnosis->findings[i];
        (void)printf("%-5s %-12s %s\n", finding_state_name(finding->state), finding->name,
                     finding->text);
        if (finding->advice[0] != '\0') {
            (void)printf("%-5s %-12s -> %s\n", "", "", finding->advice);
        }
    }
    return CLI_OK;
}

/* ---- as a document ----------------------------------------------------------------------- */

static drover_status set_text(drover_value *map, const char *key, const char *text)
{
    drover_value *value = NULL;
    drover_status status = drover_value_new_string(text, strlen(text), &value);
    return status == DROVER_OK ? drover_value_map_set(map, key, &value) : status;
}

static drover_status append_finding(drover_value *list, const struct finding *finding)
{
    drover_value *map = NULL;
    drover_status status = drover_value_map_new(&map);
    if (status == DROVER_OK) {
        status = set_text(map, "name", finding->name);
    }
    if (status == DROVER_OK) {
        status = set_text(map, "state", finding_state_name(finding->state));
    }
    if (status == DROVER_OK) {
        status = set_text(map, "text", finding->text);
    }
    if (status == DROVER_OK && finding->advice[0] != '\0') {
        status = set_text(map, "advice", finding->advice);
    }
    if (status == DROVER_OK) {
        status = drover_value_array_append(list, &map);
    }
    drover_value_destroy(&map);
    return status;
}

static drover_status make_document(const struct diagnosis *diagnosis, drover_value *document)
{
    drover_value *list = NULL;
    drover_status status = set_text(document, "state",
                                    finding_state_name(diagnosis_worst(diagnosis)));
    if (status == DROVER_OK) {
        status = drover_value_array_new(&list);
    }
    for (size_t i = 0; status == DROVER_OK && i < diagnosis->count; i++) {
        status = append_finding(list, &diagnosis->findings[i]);
    }
    if (status == DROVER_OK) {
        status = drover_value_map_set(document, "checks", &list);
    }
    drover_value_destroy(&list);
    return status;
}

int diagnosis_print_json(const struct diagnosis *diagnosis)
{
    drover_value *document = NULL;
    drover_status status = drover_value_map_new(&document);
    if (status == DROVER_OK) {
        status = make_document(diagnosis, document);
    }
    int code = status == DROVER_OK ? print_document(document) : cli_no_memory();
    drover_value_destroy(&document);
    return code;
}
