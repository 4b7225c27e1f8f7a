/*
 * task.h: how tasks are named, and the words for what can become of them.
 *
 * The numbers in this file are also the numbers on the wire; they are never reused.
 */
#ifndef DROVER_TASK_H
#define DROVER_TASK_H

#include <drover/status.h>

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The id of a task: a ULID, 48 bits of wall-clock milliseconds and 80 random bits, big
 * endian, so that bytes, text and creation order sort alike. Compare with drover_id_equal.
 */
typedef struct drover_id {
    uint8_t bytes[16];
} drover_id;

/* Characters in the text form (Crockford base 32), without the closing NUL. */
#define DROVER_ID_TEXT_LEN 26

/* The index of a task that is not an element of an array. */
#define DROVER_INDEX_NONE UINT32_MAX

/*
 * Makes a new id. Ids made by one process grow strictly, also when the wall clock steps
 * back and in children after fork(). Any thread; blocks only for the kernel's entropy pool at
 * boot. Not to be called between fork() and exec() in the child of a threaded program.
 *
 * Returns DROVER_OK, or DROVER_IO when the kernel gives no random bytes.
 */
DROVER_API DROVER_MUST_USE drover_status drover_id_new(drover_id *out_id);

/*
 * Reads the text form: exactly 26 Crockford base-32 characters, upper or lower case, with
 * I and L read as 1 and O as 0. Returns DROVER_OK or DROVER_INVALID.
 */
DROVER_API DROVER_MUST_USE drover_status drover_id_parse(const char *text, drover_id *out_id);

/* Writes the text form, 26 upper-case characters and a NUL. */
DROVER_API void drover_id_format(const drover_id *id, char out_text[DROVER_ID_TEXT_LEN + 1]);

DROVER_API bool drover_id_equal(const drover_id *a, const drover_id *b);

/* True for the id whose bytes are all zero, which is never given to a task. */
DROVER_API bool drover_id_is_zero(const drover_id *id);

/* X(number, NAME, "name", terminal) */
#define DROVER_STATE_MAP(X)            \
    X(1, WAITING, "waiting", false)    \
    X(2, DELAYED, "delayed", false)    \
    X(3, QUEUED, "queued", false)      \
    X(4, RUNNING, "running", false)    \
    X(5, SUCCEEDED, "succeeded", true) \
    X(6, FAILED, "failed", true)       \
    X(7, CANCELLED, "cancelled", true) \
    X(8, EXPIRED, "expired", true)     \
    X(9, LOST, "lost_at_restart", true)

/* DROVER_STATE_WAITING ... DROVER_STATE_LOST. A terminal state never changes. */
typedef enum drover_state {
#define DROVER_STATE_ENUM(number, NAME, name, terminal) DROVER_STATE_##NAME = (number),
    DROVER_STATE_MAP(DROVER_STATE_ENUM)
#undef DROVER_STATE_ENUM
} drover_state;

/* "waiting" ... "lost_at_restart"; "state" for a number not in the map. Static string. */
DROVER_API const char *drover_state_name(drover_state state);

DROVER_API bool drover_state_is_terminal(drover_state state);

/* X(number, NAME, "name") */
#define DROVER_ERROR_MAP(X)        \
    X(0, NONE, "none")             \
    X(1, HANDLER, "handler")       \
    X(2, CRASH, "crash")           \
    X(3, TIMEOUT, "timeout")       \
    X(4, LIMIT, "limit")           \
    X(5, LOST, "lost")             \
    X(6, DEPENDENCY, "dependency") \
    X(7, REFUSED, "refused")       \
    X(8, CANCELLED, "cancelled")   \
    X(9, EXPIRED, "expired")

/* Why a task did not succeed: DROVER_ERROR_NONE ... DROVER_ERROR_EXPIRED. */
typedef enum drover_error_kind {
#define DROVER_ERROR_ENUM(number, NAME, name) DROVER_ERROR_##NAME = (number),
    DROVER_ERROR_MAP(DROVER_ERROR_ENUM)
#undef DROVER_ERROR_ENUM
} drover_error_kind;

/* "none" ... "expired"; "error" for a number not in the map. Static string. */
DROVER_API const char *drover_error_kind_name(drover_error_kind kind);

/*
 * What an acknowledged submit survives: MEMORY nothing, WRITTEN the death of any process,
 * SYNCED power loss too. DEFAULT asks for what the queue or the broker prescribes.
 */
typedef enum drover_durability {
    DROVER_DURABILITY_DEFAULT = 0,
    DROVER_DURABILITY_MEMORY = 1,
    DROVER_DURABILITY_WRITTEN = 2,
    DROVER_DURABILITY_SYNCED = 3,
} drover_durability;

/* "default", "memory", "written", "synced"; "durability" for a foreign number. */
DROVER_API const char *drover_durability_name(drover_durability durability);

/* Reads one of the four names. Returns DROVER_OK or DROVER_INVALID. */
DROVER_API DROVER_MUST_USE drover_status
drover_durability_parse(const char *name, drover_durability *out_durability);

#ifdef __cplusplus
}
#endif

#endif
