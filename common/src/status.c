#include <drover/drover.h>
#include <drover/status.h>

struct status_entry {
    const char *name;
    const char *text;
    bool retryable;
};

static const struct status_entry entries[] = {
#define STATUS_ENTRY(number, NAME, name, text, retryable) [number] = {name, text, retryable},
    DROVER_STATUS_MAP(STATUS_ENTRY)
#undef STATUS_ENTRY
};

static const struct status_entry foreign = {"status", "unknown status", false};

static const struct status_entry *status_entry(drover_status status)
{
    unsigned number = (unsigned)status;
    return number < sizeof entries / sizeof entries[0] ? &entries[number] : &foreign;
}

const char *drover_status_name(drover_status status)
{
    return status_entry(status)->name;
}

const char *drover_status_text(drover_status status)
{
    return status_entry(status)->text;
}

bool drover_status_is_retryable(drover_status status)
{
    return status_entry(status)->retryable;
}

const char *drover_version(void)
{
    return DROVER_VERSION_STRING;
}
