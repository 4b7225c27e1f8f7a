/*
 * outcome.h: how a task ended.
 *
 * Included by <drover/client.h>. Nothing here blocks.
 */
#ifndef DROVER_OUTCOME_H
#define DROVER_OUTCOME_H

#include <drover/status.h>
#include <drover/task.h>
#include <drover/value.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A terminal state with the result or the error. Immutable: any number of threads may read. */
typedef struct drover_outcome drover_outcome;

DROVER_API drover_id drover_outcome_id(const drover_outcome *outcome);

/* The element's number, or DROVER_INDEX_NONE. */
DROVER_API uint32_t drover_outcome_index(const drover_outcome *outcome);

/* One of the terminal states. */
DROVER_API drover_state drover_outcome_state(const drover_outcome *outcome);

/* The attempt that counted; 0 when there was none. */
DROVER_API uint32_t drover_outcome_attempt(const drover_outcome *outcome);

/*
 * The state as a status: DROVER_OK when it succeeded, else DROVER_FAILED, DROVER_CANCELLED,
 * DROVER_EXPIRED or DROVER_LOST; or the reason for which there is no task: a submit of
 * completions that was refused (DROVER_BUSY, DROVER_REFUSED...), a task or element that the
 * broker does not know (DROVER_UNKNOWN).
 */
DROVER_API drover_status drover_outcome_status(const drover_outcome *outcome);

/*
 * The result, borrowed from the outcome: never NULL when the task succeeded (a nil value when
 * the handler returned nothing, or when only states were asked for), else NULL unless the
 * attempt left a value beside its error, as a command does that ran and did not exit with 0.
 * Bytes that claim to be msgpack and are not come as a raw value of type
 * application/octet-stream.
 */
DROVER_API const drover_value *drover_outcome_value(const drover_outcome *outcome);

/* DROVER_ERROR_NONE when it succeeded. */
DROVER_API drover_error_kind drover_outcome_error_kind(const drover_outcome *outcome);

/* The handler's own short code, or "". Borrowed. Peers wrote it: escape it for a terminal. */
DROVER_API const char *drover_outcome_error_code(const drover_outcome *outcome);

/* The error in words, or "". Borrowed. Peers wrote it: escape it for a terminal. */
DROVER_API const char *drover_outcome_error_text(const drover_outcome *outcome);

/* The exit code of a process that ended, -1 when none did. */
DROVER_API int drover_outcome_exit_code(const drover_outcome *outcome);

/* The signal that ended a process, 0 when none did. */
DROVER_API int drover_outcome_signal(const drover_outcome *outcome);

/* Whether the handler ruled out a retry. */
DROVER_API bool drover_outcome_is_permanent(const drover_outcome *outcome);

/* Whether it was cancelled on a worker that was lost, so that nobody saw it end. */
DROVER_API bool drover_outcome_is_unconfirmed(const drover_outcome *outcome);

/* The last bytes the attempt wrote to stderr (up to 8 KiB), borrowed. */
DROVER_API void drover_outcome_stderr(const drover_outcome *outcome, const void **out_bytes,
                                      size_t *out_len);

DROVER_API void drover_outcome_destroy(drover_outcome **outcome);

#ifdef __cplusplus
}
#endif

#endif
