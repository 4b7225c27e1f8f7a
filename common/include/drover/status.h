/*
 * status.h: the one notation for success and failure.
 *
 * Every drover function that can fail returns a drover_status; DROVER_OK is zero, so
 * `if (status)` reads "if it failed". Values come back through out_ parameters, which are
 * left untouched on failure. The numbers below are also the error numbers of the wire
 * protocol: they are never reused and never change their meaning.
 */
#ifndef DROVER_STATUS_H
#define DROVER_STATUS_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) || defined(__clang__)
#define DROVER_API __attribute__((visibility("default")))
#define DROVER_MUST_USE __attribute__((warn_unused_result))
#define DROVER_PRINTF(format_index, first_index) \
    __attribute__((format(printf, format_index, first_index)))
#else
#define DROVER_API
#define DROVER_MUST_USE
#define DROVER_PRINTF(format_index, first_index)
#endif

/*
 * X(number, NAME, "name", "text for people", retryable)
 * retryable: the same request, sent again unchanged after a while, may well succeed.
 */
#define DROVER_STATUS_MAP(X)                                                               \
    X(0, OK, "ok", "success", false)                                                       \
    X(1, NOMEM, "nomem", "out of memory", false)                                           \
    X(2, INVALID, "invalid", "invalid argument", false)                                    \
    X(3, TIMEOUT, "timeout", "the deadline passed", false)                                 \
    X(4, UNAVAILABLE, "unavailable", "no broker could be reached", false)                  \
    X(5, CLOSED, "closed", "the handle is closed", false)                                  \
    X(6, BUSY, "busy", "a limit is reached, try again later", true)                        \
    X(7, CONFLICT, "conflict", "exists already with other content", false)                 \
    X(8, UNKNOWN, "unknown", "no such task, key, queue or worker", false)                  \
    X(9, STALE, "stale", "the attempt is no longer current", false)                        \
    X(10, DENIED, "denied", "permission denied", false)                                    \
    X(11, UNSUPPORTED, "unsupported", "not supported here", false)                         \
    X(12, TOO_BIG, "too_big", "larger than the limit", false)                              \
    X(13, VERSION, "version", "no common protocol version", false)                         \
    X(14, WRONG_ENDPOINT, "wrong_endpoint", "this endpoint serves another role", false)    \
    X(15, SESSION_EXPIRED, "session_expired", "the session has expired", false)            \
    X(16, OUTCOME_UNKNOWN, "outcome_unknown", "sent, but the outcome is not known", false) \
    X(17, REFUSED, "refused", "the request was refused", false)                            \
    X(18, FAILED, "failed", "the task failed, see its error", false)                       \
    X(19, CANCELLED, "cancelled", "the task was cancelled", false)                         \
    X(20, EXPIRED, "expired", "the task expired before it started", false)                 \
    X(21, LOST, "lost", "the task was lost when the broker stopped", false)                \
    X(22, IO, "io", "input or output failed", false)                                       \
    X(23, MALFORMED, "malformed", "the data is malformed", false)                          \
    X(24, NOT_READY, "not_ready", "not ready yet", false)                                  \
    X(25, DRAINING, "draining", "shutting down, takes no new work", true)                  \
    X(26, INTERNAL, "internal", "internal error", false)                                   \
    X(27, EPOCH, "epoch", "the message belongs to another broker epoch", false)            \
    X(28, PROTOCOL, "protocol", "the peer broke the protocol", false)                      \
    X(29, LIMIT, "limit", "a fixed limit is exceeded", false)                              \
    X(30, MOVED, "moved", "another broker serves this now", false)                         \
    X(31, DEPENDENCY, "dependency", "what it depends on cannot be had", false)             \
    X(32, ATTACHED, "attached", "another task has this key already", false)

/* DROVER_OK, DROVER_NOMEM, ... DROVER_ATTACHED. */
typedef enum drover_status {
#define DROVER_STATUS_ENUM(number, NAME, name, text, retryable) DROVER_##NAME = (number),
    DROVER_STATUS_MAP(DROVER_STATUS_ENUM)
#undef DROVER_STATUS_ENUM
} drover_status;

/*
 * The short name of a status ("too_big"): stable, lower case, fit for scripts and logs.
 * Never blocks; any thread. Returns a static string, "status" for a number not in the map.
 */
DROVER_API const char *drover_status_name(drover_status status);

/*
 * The status in words ("larger than the limit"). Wording may change between versions.
 * Never blocks; any thread. Returns a static string, "unknown status" for a foreign number.
 */
DROVER_API const char *drover_status_text(drover_status status);

/* Whether the same request may succeed later; false for a number not in the map. */
DROVER_API bool drover_status_is_retryable(drover_status status);

#ifdef __cplusplus
}
#endif

#endif
