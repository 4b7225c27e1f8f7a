/* local_spec.c: see local_spec.h. */
#include "local_spec.h"

#include "check.h"
#include "units.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_LEVEL "warn" /* a library that is asked for nothing says nothing on stderr */

static const char *const keys[] = {
    "allow-exec",  "config",    "data",       "exec-dir",  "idle-timeout",  "label",
    "load",        "log-level", "max-memory", "max-tasks", "min-executors", "model",
    "name",        "prefetch",  "queue",      "resource",  "stats",         "stats-interval",
    "task-output", "threads",   "transport",  "type",
};

bool local_spec_is_meant(const char *endpoint)
{
    return endpoint != NULL && strncmp(endpoint, LOCAL_SCHEME, strlen(LOCAL_SCHEME)) == 0;
}

void local_spec_fini(struct local_spec *spec)
{
    for (size_t i = 0; i < spec->count; i++) {
        free(spec->arguments[i]);
    }
    free(spec->arguments);
    free(spec->data);
    *spec = (struct local_spec){0};
}

static drover_status no_memory(struct drv_problem *problem)
{
    return drv_problem_set(problem, DROVER_NOMEM, "out of memory");
}

/* "--KEY=" and value_len bytes of value. */
static drover_status add(struct local_spec *spec, const char *key, const char *value,
                         struct drv_problem *problem)
{
    size_t size = strlen(key) + strlen(value) + sizeof("--=");
    if (spec->count == LOCAL_KEYS_MAX) {
        return drv_problem_set(problem, DROVER_INVALID, "more than %d keys", LOCAL_KEYS_MAX);
    }
    if (spec->arguments == NULL) {
        spec->arguments = calloc(LOCAL_KEYS_MAX, sizeof(*spec->arguments));
    }
    char *argument = spec->arguments != NULL ? malloc(size) : NULL;
    if (argument == NULL) {
        return no_memory(problem);
    }
    (void)snprintf(argument, size, "--%s=%s", key, value);
    spec->arguments[spec->count++] = argument;
    return DROVER_OK;
}

/* ---- N ----------------------------------------------------------------------------------- */

static drover_status read_slots(struct local_spec *spec, char *text,
                                struct drv_problem *problem)
{
    uint64_t slots = 0;
    if (text[0] != '\0' &&
        (drv_uint_parse(text, &slots) != DROVER_OK || slots > LOCAL_SLOTS_MAX)) {
        return drv_problem_set(problem, DROVER_INVALID,
                               "'%s' is no number of slots: 1 to %d, or nothing for as many as "
                               "there are usable processors",
                               text, LOCAL_SLOTS_MAX);
    }
    return slots == 0 ? DROVER_OK : add(spec, "slots", text, problem);
}

/* ---- keys -------------------------------------------------------------------------------- */

static int hex(char digit)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    const char *at = digit != '\0' ? strchr(digits, digit) : NULL;
    int value = at != NULL ? (int)(at - digits) : -1;
    return value < 16 ? value : value - 6;
}

/* Replaces %XX in place. False when it is not followed by two digits, or means NUL. */
static bool decode(char *text)
{
    char *out = text;
    for (const char *in = text; *in != '\0'; in++) {
        if (*in != '%') {
            *out++ = *in;
            continue;
        }
        int high = hex(in[1]);
        int low = high >= 0 ? hex(in[2]) : -1;
        if (low < 0 || high + low == 0) {
            return false;
        }
        *out++ = (char)(unsigned char)(high * 16 + low);
        in += 2;
    }
    *out = '\0';
    return true;
}

static drover_status unknown_key(const char *key, struct drv_problem *problem)
{
    char known[DRV_PROBLEM_TEXT_MAX] = "";
    for (size_t i = 0; i < DRV_ARRAY_LEN(keys); i++) {
        size_t len = strlen(known);
        (void)snprintf(known + len, sizeof(known) - len, "%s%s", i == 0 ? "" : ", ", keys[i]);
    }
    return drv_problem_set(problem, DROVER_INVALID, "unknown key '%s'; there are %s", key,
                           known);
}

static bool is_known(const char *key)
{
    for (size_t i = 0; i < DRV_ARRAY_LEN(keys); i++) {
        if (strcmp(keys[i], key) == 0) {
            return true;
        }
    }
    return false;
}

static drover_status read_transport(struct local_spec *spec, const char *value,
                                    struct drv_problem *problem)
{
    spec->is_tcp = strcmp(value, "tcp") == 0;
    if (!spec->is_tcp && strcmp(value, "ipc") != 0) {
        return drv_problem_set(problem, DROVER_INVALID, "'%s' is no transport: ipc or tcp",
                               value);
    }
    return DROVER_OK;
}

static drover_status read_pair(struct local_spec *spec, char *pair, struct drv_problem *problem)
{
    char *value = strchr(pair, '=');
    if (value != NULL) {
        *value++ = '\0';
    }
    if (!is_known(pair)) {
        return unknown_key(pair, problem);
    }
    if (value == NULL || value[0] == '\0' || !decode(value)) {
        return drv_problem_set(problem, DROVER_INVALID,
                               "key '%s' wants =VALUE, in which %%XX stands for a byte", pair);
    }
    if (strcmp(pair, "transport") == 0) {
        return read_transport(spec, value, problem);
    }
    if (strcmp(pair, "data") == 0) {
        free(spec->data);
        spec->data = strdup(value);
        return spec->data != NULL ? DROVER_OK : no_memory(problem);
    }
    spec->has_load = spec->has_load || strcmp(pair, "load") == 0;
    spec->has_commands = spec->has_commands || strcmp(pair, "allow-exec") == 0 ||
                         strcmp(pair, "config") == 0;
    if (strcmp(pair, "log-level") == 0) {
        (void)snprintf(spec->log_level, sizeof(spec->log_level), "%s", value);
    }
    return add(spec, pair, value, problem);
}

static drover_status read_query(struct local_spec *spec, char *query,
                                struct drv_problem *problem)
{
    drover_status status = DROVER_OK;
    while (status == DROVER_OK && query != NULL && query[0] != '\0') {
        char *next = strchr(query, '&');
        if (next != NULL) {
            *next++ = '\0';
        }
        status = read_pair(spec, query, problem);
        query = next;
    }
    return status;
}

drover_status local_spec_parse(const char *endpoint, struct local_spec *spec,
                               struct drv_problem *problem)
{
    *spec = (struct local_spec){.log_level = LOG_LEVEL};
    if (strlen(endpoint) > LOCAL_SPEC_MAX) {
        return drv_problem_set(problem, DROVER_INVALID, "the endpoint is longer than %d bytes",
                               LOCAL_SPEC_MAX);
    }
    char *text = strdup(endpoint + strlen(LOCAL_SCHEME));
    if (text == NULL) {
        return no_memory(problem);
    }
    char *query = strchr(text, '?');
    if (query != NULL) {
        *query++ = '\0';
    }
    drover_status status = read_slots(spec, text, problem);
    if (status == DROVER_OK) {
        status = read_query(spec, query, problem);
    }
    free(text);
    if (status != DROVER_OK) {
        local_spec_fini(spec);
        drv_problem_prefix(problem, "%.*s: ", (int)strlen(LOCAL_SCHEME), LOCAL_SCHEME);
    }
    return status;
}
