/*
 * inquiry.h: what an HTTP request asks for, and whether it may. Pure: text in, a struct out.
 *
 * Everything here comes from strangers. What is not understood is refused: unknown paths,
 * parameters that the path does not take, values out of bounds.
 */
#ifndef HTTP_INQUIRY_H
#define HTTP_INQUIRY_H

#include "config.h"
#include "message.h"

#include <drover/task.h>

#include <stdbool.h>
#include <stdint.h>

enum inquiry_route {
    ROUTE_NONE, /* no such path */
    ROUTE_FILE, /* of the page */
    ROUTE_ABOUT,
    ROUTE_STATUS,
    ROUTE_QUERY, /* a document of the broker, by topic */
    ROUTE_LOGS,
    ROUTE_EVENTS,
    ROUTE_METRICS,
    ROUTE_HEALTHZ,
    ROUTE_READYZ,
    ROUTE_ACTION,
};

enum inquiry_action {
    ACTION_NONE,
    ACTION_CANCEL,
    ACTION_RETRY,
    ACTION_PAUSE,
    ACTION_RESUME,
    ACTION_DRAIN,
    ACTION_UNDRAIN,
    ACTION_ACKNOWLEDGE,
    ACTION_SILENCE,
    ACTION_UNSILENCE,
};

enum {
    INQUIRY_TEXT_MAX = 256,
    INQUIRY_CURSOR_MAX = 64, /* bytes */
};
#define INQUIRY_SILENCE_MS ((uint64_t)3600 * 1000) /* of a silence that says no time */
#define INQUIRY_SILENCE_MAX_MS ((uint64_t)366 * 24 * 3600 * 1000)

/* Numbers that every reader of JSON can tell apart. */
#define INQUIRY_SINCE_MAX ((UINT64_C(1) << 53) - 1)

struct inquiry {
    enum inquiry_route route;
    uint32_t topic; /* QUERY */
    enum inquiry_action action;
    unsigned takes; /* private: parameters that the path knows */
    bool has_id;
    drover_id id;
    uint32_t index;
    char name[DRV_NAME_MAX + 1]; /* of a worker, a queue, a rule; "": none */
    char text[INQUIRY_TEXT_MAX + 1];
    bool has_text;
    bool may_create; /* PAUSE, RESUME: a queue that is not there */
    uint32_t states;
    uint64_t time_ms; /* SILENCE; 0: it ends */
    bool has_since;
    uint64_t since; /* number of an event */
    uint32_t limit; /* rows; 0: as many as fit */
    uint8_t cursor[INQUIRY_CURSOR_MAX];
    size_t cursor_len;
};

/* Reads the path. OK; UNKNOWN: there is none such; INVALID: an id or name that is none. */
DROVER_MUST_USE drover_status inquiry_path(const char *path, struct inquiry *out_request);

/* One parameter; value NULL: none. OK; INVALID: not of this path, or not a value of it. */
DROVER_MUST_USE drover_status inquiry_parameter(struct inquiry *request, const char *key,
                                                const char *value);

/* The question that it stands for (QUERY); borrows from the request. */
void inquiry_query(const struct inquiry *request, struct drv_query *out_query);

/* Whether a Host header names this server: an address, localhost, or a name that was allowed.
 * A name that anybody could have pointed here is refused (DNS rebinding). NULL: no header. */
bool inquiry_host_is_ours(const struct http_config *config, const char *host);
/* Whether an Origin header is that of a page that we have sent. NULL: not from a page. */
bool inquiry_origin_is_ours(const char *origin, const char *host);

enum inquiry_right { RIGHT_NONE, RIGHT_WRONG, RIGHT_METRICS, RIGHT_GIVEN };
/* What an Authorization header gives. Takes the same time for every wrong token of a length.
 * NULL: no header. */
enum inquiry_right inquiry_right(const struct http_config *config, const char *authorization);

#endif
