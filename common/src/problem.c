#include "problem.h"

#include "escape.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

drover_status drv_problem_set(struct drv_problem *problem, drover_status status,
                              const char *format, ...)
{
    if (problem == NULL) {
        return status;
    }
    char raw[DRV_PROBLEM_TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(raw, sizeof raw, format, arguments);
    va_end(arguments);
    if (len < 0) {
        raw[0] = '\0';
    }
    (void)drv_escape(drv_view_text(raw), problem->text, sizeof problem->text);
    return status;
}

void drv_problem_prefix(struct drv_problem *problem, const char *format, ...)
{
    if (problem == NULL) {
        return;
    }
    char raw[DRV_PROBLEM_TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(raw, sizeof raw, format, arguments);
    va_end(arguments);
    if (len < 0) {
        raw[0] = '\0';
    }
    struct drv_problem whole;
    size_t prefix_len = drv_escape(drv_view_text(raw), whole.text, sizeof whole.text);
    (void)snprintf(whole.text + prefix_len, sizeof whole.text - prefix_len, "%s",
                   problem->text);
    *problem = whole;
}
