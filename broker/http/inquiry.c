/* inquiry.c: see inquiry.h. */
#include "inquiry.h"

#include "check.h"
#include "name.h"
#include "units.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum operand { OPERAND_NONE, OPERAND_TASK, OPERAND_NAME };

enum { /* parameters */
       TAKES_LIMIT = 1,
       TAKES_CURSOR = 2,
       TAKES_FILTER = 4, /* queue, type; with TAKES_STATE */
       TAKES_PREFIX = 8,
       TAKES_SPAN = 16, /* span, worker, queue */
       TAKES_SUBJECT = 32,
       TAKES_CREATE = 64,
       TAKES_TIME = 128, /* for */
       TAKES_STATE = 512,
       TAKES_SINCE = 1024,
       TAKES_PAGE = TAKES_LIMIT | TAKES_CURSOR,
};

struct route {
    const char *path; /* below /api/v1/ */
    enum inquiry_route route;
    uint32_t topic;
    enum operand operand;
    unsigned takes;
};

static const struct route routes[] = {
    {"about", ROUTE_ABOUT, 0, OPERAND_NONE, 0},
    {"status", ROUTE_STATUS, DRV_TOPIC_STATUS, OPERAND_NONE, 0},
    {"task/", ROUTE_QUERY, DRV_TOPIC_TASK, OPERAND_TASK, 0},
    {"why/", ROUTE_QUERY, DRV_TOPIC_WHY, OPERAND_TASK, 0},
    {"logs/", ROUTE_LOGS, 0, OPERAND_TASK, 0},
    {"tasks", ROUTE_QUERY, DRV_TOPIC_TASKS, OPERAND_NONE,
     TAKES_PAGE | TAKES_FILTER | TAKES_STATE},
    {"queues", ROUTE_QUERY, DRV_TOPIC_QUEUES, OPERAND_NONE, TAKES_PAGE},
    {"queue/", ROUTE_QUERY, DRV_TOPIC_QUEUES, OPERAND_NAME, 0},
    {"workers", ROUTE_QUERY, DRV_TOPIC_WORKERS, OPERAND_NONE, TAKES_PAGE},
    {"worker/", ROUTE_QUERY, DRV_TOPIC_WORKER, OPERAND_NAME, 0},
    {"statistics", ROUTE_QUERY, DRV_TOPIC_STATISTICS, OPERAND_NONE, TAKES_PAGE},
    {"kv", ROUTE_QUERY, DRV_TOPIC_KV, OPERAND_NONE, TAKES_PAGE | TAKES_PREFIX},
    {"events", ROUTE_EVENTS, 0, OPERAND_NONE, TAKES_SINCE},
    {"schedules", ROUTE_QUERY, DRV_TOPIC_SCHEDULES, OPERAND_NONE, TAKES_PAGE},
    {"alerts", ROUTE_QUERY, DRV_TOPIC_ALERTS, OPERAND_NONE, 0},
    {"alert-rules", ROUTE_QUERY, DRV_TOPIC_ALERT_RULES, OPERAND_NONE, 0},
    {"accounts", ROUTE_QUERY, DRV_TOPIC_ACCOUNTS, OPERAND_NONE, TAKES_PAGE},
    {"arrays", ROUTE_QUERY, DRV_TOPIC_ARRAYS, OPERAND_NONE, TAKES_PAGE},
    {"elements/", ROUTE_QUERY, DRV_TOPIC_ELEMENTS, OPERAND_TASK, TAKES_PAGE | TAKES_STATE},
    {"graphs", ROUTE_QUERY, DRV_TOPIC_GRAPHS, OPERAND_NONE, TAKES_PAGE},
    {"graphs/", ROUTE_QUERY, DRV_TOPIC_GRAPH, OPERAND_NAME, 0},
    {"values/", ROUTE_QUERY, DRV_TOPIC_VALUES, OPERAND_TASK, 0},
    {"history", ROUTE_QUERY, DRV_TOPIC_HISTORY, OPERAND_NONE, TAKES_SPAN | TAKES_CURSOR},
};

static const struct {
    const char *prefix; /* before the operand */
    const char *verb;   /* behind it */
    enum inquiry_action action;
    enum operand operand;
    unsigned takes;
} actions[] = {
    {"task/", "/cancel", ACTION_CANCEL, OPERAND_TASK, 0},
    {"task/", "/retry", ACTION_RETRY, OPERAND_TASK, 0},
    {"queue/", "/pause", ACTION_PAUSE, OPERAND_NAME, TAKES_CREATE},
    {"queue/", "/resume", ACTION_RESUME, OPERAND_NAME, TAKES_CREATE},
    {"worker/", "/drain", ACTION_DRAIN, OPERAND_NAME, 0},
    {"worker/", "/resume", ACTION_UNDRAIN, OPERAND_NAME, 0},
    {"alert/", "/acknowledge", ACTION_ACKNOWLEDGE, OPERAND_NAME, TAKES_SUBJECT},
    {"alert/", "/silence", ACTION_SILENCE, OPERAND_NAME, TAKES_SUBJECT | TAKES_TIME},
    {"alert/", "/unsilence", ACTION_UNSILENCE, OPERAND_NAME, TAKES_SUBJECT},
};

/* ---- the path ---------------------------------------------------------------------------- */

/* Decimal digits up to max. */
static bool read_number(const char *text, uint64_t max, uint64_t *out_number)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 16 || text[digits] != '\0') {
        return false;
    }
    *out_number = strtoull(text, NULL, 10);
    return *out_number <= max;
}

/* "ID" or "ID.N" */
static bool read_task(const char *text, size_t len, struct inquiry *request)
{
    char copy[DROVER_ID_TEXT_LEN + 16];
    uint64_t index = 0;
    if (len < DROVER_ID_TEXT_LEN || len >= sizeof(copy)) {
        return false;
    }
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (copy[DROVER_ID_TEXT_LEN] == '.' &&
        !read_number(copy + DROVER_ID_TEXT_LEN + 1, DRV_ARRAY_MAX - 1, &index)) {
        return false;
    }
    request->index = copy[DROVER_ID_TEXT_LEN] == '.' ? (uint32_t)index : DROVER_INDEX_NONE;
    if (copy[DROVER_ID_TEXT_LEN] == '.') {
        copy[DROVER_ID_TEXT_LEN] = '\0';
    }
    request->has_id = true;
    return drover_id_parse(copy, &request->id) == DROVER_OK;
}

static bool read_name(const char *text, size_t len, struct inquiry *request)
{
    if (len > DRV_NAME_MAX || !drv_name_is_valid(drv_view_of(text, len))) {
        return false;
    }
    memcpy(request->name, text, len);
    request->name[len] = '\0';
    return true;
}

static drover_status read_operand(enum operand operand, const char *text, size_t len,
                                  struct inquiry *request)
{
    bool is_fine = operand == OPERAND_TASK ? read_task(text, len, request)
                                           : read_name(text, len, request);
    return is_fine ? DROVER_OK : DROVER_INVALID;
}

static drover_status read_action(const char *path, struct inquiry *request)
{
    size_t len = strlen(path);
    for (size_t i = 0; i < DRV_ARRAY_LEN(actions); i++) {
        size_t before = strlen(actions[i].prefix);
        size_t behind = strlen(actions[i].verb);
        if (len > before + behind && strncmp(path, actions[i].prefix, before) == 0 &&
            strcmp(path + len - behind, actions[i].verb) == 0) {
            request->route = ROUTE_ACTION;
            request->action = actions[i].action;
            request->takes = actions[i].takes;
            request->time_ms = actions[i].action == ACTION_SILENCE ? INQUIRY_SILENCE_MS : 0;
            return read_operand(actions[i].operand, path + before, len - before - behind,
                                request);
        }
    }
    return DROVER_UNKNOWN;
}

static drover_status read_api(const char *path, struct inquiry *request)
{
    drover_status status = read_action(path, request);
    for (size_t i = 0; status == DROVER_UNKNOWN && i < DRV_ARRAY_LEN(routes); i++) {
        const struct route *route = &routes[i];
        size_t len = strlen(route->path);
        bool has_operand = route->operand != OPERAND_NONE;
        if (has_operand ? strncmp(path, route->path, len) != 0
                        : strcmp(path, route->path) != 0) {
            continue;
        }
        request->route = route->route;
        request->topic = route->topic;
        request->takes = route->takes;
        status = has_operand
                     ? read_operand(route->operand, path + len, strlen(path + len), request)
                     : DROVER_OK;
    }
    return status;
}

drover_status inquiry_path(const char *path, struct inquiry *out_request)
{
    static const char api[] = "/api/v1/";
    memset(out_request, 0, sizeof(*out_request));
    out_request->index = DROVER_INDEX_NONE;
    if (strncmp(path, api, sizeof(api) - 1) == 0) {
        return read_api(path + sizeof(api) - 1, out_request);
    }
    static const struct {
        const char *path;
        enum inquiry_route route;
    } plain[] = {
        {"/metrics", ROUTE_METRICS}, {"/healthz", ROUTE_HEALTHZ}, {"/readyz", ROUTE_READYZ}};
    for (size_t i = 0; i < DRV_ARRAY_LEN(plain); i++) {
        if (strcmp(path, plain[i].path) == 0) {
            out_request->route = plain[i].route;
            return DROVER_OK;
        }
    }
    out_request->route = ROUTE_FILE;
    return DROVER_OK;
}

/* ---- parameters -------------------------------------------------------------------------- */

static bool read_states(const char *text, uint32_t *out_states)
{
    *out_states = 0;
    while (*text != '\0') {
        size_t len = strcspn(text, ",");
        unsigned state = DROVER_STATE_WAITING;
        for (; state <= DROVER_STATE_LOST; state++) {
            const char *name = drover_state_name((enum drover_state)state);
            if (strlen(name) == len && memcmp(name, text, len) == 0) {
                break;
            }
        }
        if (state > DROVER_STATE_LOST) {
            return false;
        }
        *out_states |= 1U << state;
        text += len + (text[len] == ',');
    }
    return true;
}

static int hex_digit(char digit)
{
    const char *digits = "0123456789abcdef";
    const char *found = digit == '\0' ? NULL : strchr(digits, tolower((unsigned char)digit));
    return found == NULL ? -1 : (int)(found - digits);
}

static bool read_cursor(const char *text, struct inquiry *request)
{
    size_t len = strlen(text);
    if (len % 2 != 0 || len / 2 > INQUIRY_CURSOR_MAX) {
        return false;
    }
    for (size_t i = 0; i < len / 2; i++) {
        int high = hex_digit(text[2 * i]);
        int low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        request->cursor[i] = (uint8_t)(high << 4 | low);
    }
    request->cursor_len = len / 2;
    return true;
}

static bool read_text(const char *text, struct inquiry *request)
{
    size_t len = strlen(text);
    if (len > INQUIRY_TEXT_MAX) {
        return false;
    }
    memcpy(request->text, text, len + 1);
    request->has_text = true;
    return true;
}

drover_status inquiry_parameter(struct inquiry *request, const char *key, const char *value)
{
    bool is_fine = false;
    uint64_t number = 0;
    value = value == NULL ? "" : value;
    if ((request->takes & TAKES_LIMIT) != 0 && strcmp(key, "limit") == 0) {
        is_fine = read_number(value, DRV_QUERY_ROWS_MAX, &number) && number > 0;
        request->limit = (uint32_t)number;
    } else if ((request->takes & TAKES_CURSOR) != 0 && strcmp(key, "cursor") == 0) {
        is_fine = read_cursor(value, request);
    } else if ((request->takes & TAKES_FILTER) != 0 && strcmp(key, "queue") == 0) {
        is_fine = value[0] == '\0' || read_name(value, strlen(value), request);
    } else if ((request->takes & TAKES_FILTER) != 0 && strcmp(key, "type") == 0) {
        is_fine = value[0] == '\0' ||
                  (drv_name_is_valid(drv_view_text(value)) && read_text(value, request));
    } else if ((request->takes & TAKES_STATE) != 0 && strcmp(key, "state") == 0) {
        is_fine = read_states(value, &request->states);
    } else if ((request->takes & TAKES_SPAN) != 0 && strcmp(key, "span") == 0) {
        is_fine = (strcmp(value, "hour") == 0 || strcmp(value, "day") == 0) &&
                  read_text(value, request);
    } else if ((request->takes & TAKES_SPAN) != 0 && strcmp(key, "worker") == 0) {
        is_fine = request->name[0] == '\0' && read_name(value, strlen(value), request);
    } else if ((request->takes & TAKES_SPAN) != 0 && strcmp(key, "queue") == 0) {
        is_fine = request->name[0] == '\0' && read_name(value, strlen(value), request);
        request->topic = DRV_TOPIC_QUEUE_HISTORY;
    } else if ((request->takes & TAKES_SUBJECT) != 0 && strcmp(key, "subject") == 0) {
        is_fine = drv_name_is_valid(drv_view_text(value)) && read_text(value, request);
    } else if ((request->takes & TAKES_CREATE) != 0 && strcmp(key, "create") == 0) {
        is_fine = strcmp(value, "1") == 0;
        request->may_create = is_fine;
    } else if ((request->takes & TAKES_TIME) != 0 && strcmp(key, "for") == 0) {
        is_fine = drv_duration_parse(value, &request->time_ms) == DROVER_OK &&
                  request->time_ms > 0 && request->time_ms <= INQUIRY_SILENCE_MAX_MS;
    } else if ((request->takes & TAKES_SINCE) != 0 && strcmp(key, "since") == 0) {
        is_fine = read_number(value, INQUIRY_SINCE_MAX, &request->since);
        request->has_since = true;
    } else if ((request->takes & TAKES_PREFIX) != 0 && strcmp(key, "prefix") == 0) {
        is_fine = read_text(value, request);
    }
    return is_fine ? DROVER_OK : DROVER_INVALID;
}

void inquiry_query(const struct inquiry *request, struct drv_query *out_query)
{
    *out_query = (struct drv_query){
        .topic = request->topic,
        .has_id = request->has_id,
        .id = request->id,
        .index = request->index,
        .states = request->states,
        .limit = request->limit,
    };
    if (request->name[0] != '\0') {
        out_query->name = drv_str_of(request->name);
    }
    if (request->has_text) {
        out_query->text = drv_str_of(request->text);
    }
    if (request->cursor_len > 0) {
        out_query->cursor = (struct drv_str){(const char *)request->cursor,
                                             request->cursor_len};
    }
}

/* ---- who asks ---------------------------------------------------------------------------- */

/* The host without its port. False: it is none. */
static bool split_host(const char *host, const char **out_name, size_t *out_len)
{
    size_t len = strcspn(host, ":");
    const char *rest = host + len;
    if (host[0] == '[') {
        const char *end = strchr(host, ']');
        if (end == NULL) {
            return false;
        }
        host++;
        len = (size_t)(end - host);
        rest = end + 1;
    }
    *out_name = host;
    *out_len = len;
    if (*rest == '\0') {
        return len > 0;
    }
    size_t digits = strspn(rest + 1, "0123456789");
    return len > 0 && *rest == ':' && digits > 0 && digits <= 5 && rest[1 + digits] == '\0';
}

static bool is_address(const char *name, size_t len, bool has_brackets)
{
    if (has_brackets) {
        return strspn(name, "0123456789abcdefABCDEF:.") >= len;
    }
    return strspn(name, "0123456789.") >= len && name[len - 1] != '.';
}

static bool is_name(const char *wanted, const char *name, size_t len)
{
    return strlen(wanted) == len && strncasecmp(wanted, name, len) == 0;
}

bool inquiry_host_is_ours(const struct http_config *config, const char *host)
{
    const char *name = NULL;
    size_t len = 0;
    if (host == NULL || !split_host(host, &name, &len)) {
        return false;
    }
    if (is_address(name, len, host[0] == '[') || is_name("localhost", name, len) ||
        is_name(config->host, name, len)) {
        return true;
    }
    for (size_t i = 0; i < config->host_count; i++) {
        if (is_name(config->hosts[i], name, len)) {
            return true;
        }
    }
    return false;
}

bool inquiry_origin_is_ours(const char *origin, const char *host)
{
    if (origin == NULL) {
        return true;
    }
    if (host == NULL || strncmp(origin, "http", 4) != 0) {
        return false;
    }
    const char *rest = origin + 4 + (origin[4] == 's');
    return strncmp(rest, "://", 3) == 0 && strcasecmp(rest + 3, host) == 0;
}

/* In a time that does not tell how much of it is right. */
static bool is_token(const char *given, const char *token, size_t token_len)
{
    size_t len = strlen(given);
    if (token_len == 0) {
        return false;
    }
    volatile unsigned char difference = len != token_len;
    for (size_t i = 0; i < len; i++) {
        difference |= (unsigned char)(given[i] ^ token[i % token_len]);
    }
    return difference == 0;
}

enum inquiry_right inquiry_right(const struct http_config *config, const char *authorization)
{
    static const char scheme[] = "Bearer ";
    if (authorization == NULL) {
        return RIGHT_NONE;
    }
    if (strncasecmp(authorization, scheme, sizeof(scheme) - 1) != 0) {
        return RIGHT_WRONG;
    }
    const char *given = authorization + sizeof(scheme) - 1;
    if (is_token(given, config->token, config->token_len)) {
        return RIGHT_GIVEN;
    }
    return is_token(given, config->metrics_token, config->metrics_token_len) ? RIGHT_METRICS
                                                                             : RIGHT_WRONG;
}
