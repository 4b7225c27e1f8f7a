/*
 * task.c: the names of states, error kinds and durability levels.
 */
#include <drover/task.h>

#include "check.h"

#include <string.h>

const char *drover_state_name(drover_state state)
{
    static const char *const names[] = {
#define STATE_NAME(number, NAME, name, terminal) [number] = (name),
        DROVER_STATE_MAP(STATE_NAME)
#undef STATE_NAME
    };
    unsigned number = (unsigned)state;
    return number < DRV_ARRAY_LEN(names) && names[number] != NULL ? names[number] : "state";
}

bool drover_state_is_terminal(drover_state state)
{
    static const bool terminals[] = {
#define STATE_TERMINAL(number, NAME, name, terminal) [number] = (terminal),
        DROVER_STATE_MAP(STATE_TERMINAL)
#undef STATE_TERMINAL
    };
    unsigned number = (unsigned)state;
    return number < DRV_ARRAY_LEN(terminals) && terminals[number];
}

const char *drover_error_kind_name(drover_error_kind kind)
{
    static const char *const names[] = {
#define ERROR_NAME(number, NAME, name) [number] = (name),
        DROVER_ERROR_MAP(ERROR_NAME)
#undef ERROR_NAME
    };
    unsigned number = (unsigned)kind;
    return number < DRV_ARRAY_LEN(names) ? names[number] : "error";
}

static const char *const durability_names[] = {
    [DROVER_DURABILITY_DEFAULT] = "default",
    [DROVER_DURABILITY_MEMORY] = "memory",
    [DROVER_DURABILITY_WRITTEN] = "written",
    [DROVER_DURABILITY_SYNCED] = "synced",
};

const char *drover_durability_name(drover_durability durability)
{
    unsigned number = (unsigned)durability;
    return number < DRV_ARRAY_LEN(durability_names) ? durability_names[number] : "durability";
}

drover_status drover_durability_parse(const char *name, drover_durability *out_durability)
{
    for (unsigned i = 0; i < DRV_ARRAY_LEN(durability_names); i++) {
        if (strcmp(name, durability_names[i]) == 0) {
            *out_durability = (drover_durability)i;
            return DROVER_OK;
        }
    }
    return DROVER_INVALID;
}
