/*
 * log.h: log lines of key=value pairs on stderr.
 *
 *     ts=2031-05-06T07:08:09.012Z level=info program=drover-broker msg="worker lost" id=w1
 *
 * One write() per line, so that lines of several processes do not mix. Values are escaped
 * (escape.h) and quoted when they hold a space, a quote or '='. A line longer than
 * DRV_LOG_LINE_MAX is cut and ends in " cut=1". A line that cannot be written is dropped:
 * logging never fails and never blocks work by more than the write itself.
 *
 *     drv_log_info(log, "worker lost", drv_log_str("id", id), drv_log_int("slots", 4));
 *
 * Any thread may log through the same struct; it is not changed by logging.
 */
#ifndef DRV_LOG_H
#define DRV_LOG_H

#include "view.h"

#include <drover/status.h>
#include <drover/task.h>

#include <stdbool.h>
#include <stdint.h>

#define DRV_LOG_LINE_MAX 4096

enum drv_log_level {
    DRV_LOG_DEBUG,
    DRV_LOG_INFO,
    DRV_LOG_WARN,
    DRV_LOG_ERROR,
    DRV_LOG_OFF, /* as a threshold only */
};

struct drv_log {
    int fd;                    /* borrowed */
    enum drv_log_level level;  /* lines below it are dropped */
    const char *program;       /* borrowed, lives as long as the log */
    uint64_t (*wall_ms)(void); /* drv_clock_wall_ms, or a fixed clock in tests */
};

enum drv_log_kind {
    DRV_LOG_FIELD_END,
    DRV_LOG_FIELD_TEXT,
    DRV_LOG_FIELD_INT,
    DRV_LOG_FIELD_UINT,
    DRV_LOG_FIELD_BOOL,
    DRV_LOG_FIELD_ID,
};

/* One pair; made by the functions below. Everything is borrowed for the call. */
struct drv_log_field {
    enum drv_log_kind kind;
    const char *key; /* printable ASCII without space, quote and '=' */
    union {
        struct drv_view text;
        int64_t number;
        uint64_t unsigned_number;
        bool flag;
        drover_id id;
    } value;
};

/* A log on stderr with the real clock. */
void drv_log_init(struct drv_log *log, const char *program, enum drv_log_level level);

/* "debug", "info", "warn", "error", "off". OK or INVALID. */
DROVER_MUST_USE drover_status drv_log_level_parse(const char *name,
                                                  enum drv_log_level *out_level);
const char *drv_log_level_name(enum drv_log_level level);

/* Writes one line; fields end with drv_log_end(). Use the macros. log may be NULL: silent. */
void drv_log_write(const struct drv_log *log, enum drv_log_level level, const char *message,
                   const struct drv_log_field *fields);

#define drv_log_debug(log, ...) DRV_LOG_CALL(log, DRV_LOG_DEBUG, __VA_ARGS__, drv_log_end())
#define drv_log_info(log, ...) DRV_LOG_CALL(log, DRV_LOG_INFO, __VA_ARGS__, drv_log_end())
#define drv_log_warn(log, ...) DRV_LOG_CALL(log, DRV_LOG_WARN, __VA_ARGS__, drv_log_end())
#define drv_log_error(log, ...) DRV_LOG_CALL(log, DRV_LOG_ERROR, __VA_ARGS__, drv_log_end())
#define DRV_LOG_CALL(log, level, message, ...) \
    drv_log_write((log), (level), (message), (const struct drv_log_field[]){__VA_ARGS__})

static inline struct drv_log_field drv_log_end(void)
{
    return (struct drv_log_field){.kind = DRV_LOG_FIELD_END};
}

static inline struct drv_log_field drv_log_view(const char *key, struct drv_view text)
{
    return (struct drv_log_field){.kind = DRV_LOG_FIELD_TEXT, .key = key, .value.text = text};
}

/* text may be NULL: shown as "-". */
static inline struct drv_log_field drv_log_str(const char *key, const char *text)
{
    return drv_log_view(key, drv_view_text(text != NULL ? text : "-"));
}

static inline struct drv_log_field drv_log_int(const char *key, int64_t number)
{
    return (struct drv_log_field){
        .kind = DRV_LOG_FIELD_INT, .key = key, .value.number = number};
}

static inline struct drv_log_field drv_log_uint(const char *key, uint64_t number)
{
    return (struct drv_log_field){
        .kind = DRV_LOG_FIELD_UINT, .key = key, .value.unsigned_number = number};
}

static inline struct drv_log_field drv_log_bool(const char *key, bool flag)
{
    return (struct drv_log_field){.kind = DRV_LOG_FIELD_BOOL, .key = key, .value.flag = flag};
}

static inline struct drv_log_field drv_log_id(const char *key, const drover_id *id)
{
    return (struct drv_log_field){.kind = DRV_LOG_FIELD_ID, .key = key, .value.id = *id};
}

static inline struct drv_log_field drv_log_status(const char *key, drover_status status)
{
    return drv_log_str(key, drover_status_name(status));
}

#endif
