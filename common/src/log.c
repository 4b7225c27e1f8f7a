#include "log.h"

#include "check.h"
#include "clock.h"
#include "escape.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char cut_mark[] = " cut=1\n";

static const char *const level_names[] = {
    [DRV_LOG_DEBUG] = "debug", [DRV_LOG_INFO] = "info", [DRV_LOG_WARN] = "warn",
    [DRV_LOG_ERROR] = "error", [DRV_LOG_OFF] = "off",
};

/* A line in the making; there is always room for the mark and the newline. */
struct line {
    size_t len;
    bool is_cut;
    char text[DRV_LOG_LINE_MAX];
};

void drv_log_init(struct drv_log *log, const char *program, enum drv_log_level level)
{
    *log = (struct drv_log){
        .fd = STDERR_FILENO, .level = level, .program = program, .wall_ms = drv_clock_wall_ms};
}

drover_status drv_log_level_parse(const char *name, enum drv_log_level *out_level)
{
    for (size_t i = 0; i < DRV_ARRAY_LEN(level_names); i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *out_level = (enum drv_log_level)i;
            return DROVER_OK;
        }
    }
    return DROVER_INVALID;
}

const char *drv_log_level_name(enum drv_log_level level)
{
    return level_names[level];
}

/* How much of a pair fits is all or nothing, so that no line ends in half a value. */
static void put(struct line *line, const char *text, size_t len)
{
    if (line->is_cut || line->len + len + sizeof cut_mark > sizeof line->text) {
        line->is_cut = true;
        return;
    }
    memcpy(line->text + line->len, text, len);
    line->len += len;
}

static void put_pair(struct line *line, const char *key, const char *value)
{
    char pair[DRV_LOG_LINE_MAX];
    const char *space = line->len > 0 ? " " : "";
    int len = snprintf(pair, sizeof pair, "%s%s=%s", space, key, value);
    put(line, pair, (size_t)len); /* a pair that was cut does not fit into the line either */
}

static bool needs_quotes(const char *text)
{
    return text[0] == '\0' || strpbrk(text, " \"=") != NULL;
}

static void put_text(struct line *line, const char *key, struct drv_view text)
{
    char escaped[DRV_LOG_LINE_MAX / 2];
    char quoted[DRV_LOG_LINE_MAX + 3];
    (void)drv_escape(text, escaped, sizeof escaped);
    if (!needs_quotes(escaped)) {
        put_pair(line, key, escaped);
        return;
    }
    size_t len = 0;
    quoted[len++] = '"';
    for (const char *at = escaped; *at != '\0'; at++) {
        if (*at == '"') {
            quoted[len++] = '\\';
        }
        quoted[len++] = *at;
    }
    quoted[len++] = '"';
    quoted[len] = '\0';
    put_pair(line, key, quoted);
}

static void put_time(struct line *line, uint64_t wall_ms)
{
    char date[32];
    char stamp[48];
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    if (gmtime_r(&seconds, &parts) == NULL ||
        strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts) == 0) {
        return;
    }
    (void)snprintf(stamp, sizeof stamp, "%s.%03uZ", date, (unsigned)(wall_ms % 1000));
    put_pair(line, "ts", stamp);
}

static void put_field(struct line *line, const struct drv_log_field *field)
{
    char text[DROVER_ID_TEXT_LEN + 1];
    switch (field->kind) {
    case DRV_LOG_FIELD_TEXT:
        put_text(line, field->key, field->value.text);
        return;
    case DRV_LOG_FIELD_INT:
        (void)snprintf(text, sizeof text, "%" PRId64, field->value.number);
        break;
    case DRV_LOG_FIELD_UINT:
        (void)snprintf(text, sizeof text, "%" PRIu64, field->value.unsigned_number);
        break;
    case DRV_LOG_FIELD_BOOL:
        (void)snprintf(text, sizeof text, "%s", field->value.flag ? "true" : "false");
        break;
    case DRV_LOG_FIELD_ID:
        drover_id_format(&field->value.id, text);
        break;
    case DRV_LOG_FIELD_END:
        return;
    }
    put_pair(line, field->key, text);
}

void drv_log_write(const struct drv_log *log, enum drv_log_level level, const char *message,
                   const struct drv_log_field *fields)
{
    if (log == NULL || level < log->level) {
        return;
    }
    struct line line = {.len = 0};
    put_time(&line, log->wall_ms());
    put_pair(&line, "level", drv_log_level_name(level));
    put_text(&line, "program", drv_view_text(log->program));
    put_text(&line, "msg", drv_view_text(message));
    for (; fields->kind != DRV_LOG_FIELD_END; fields++) {
        put_field(&line, fields);
    }
    const char *end = line.is_cut ? cut_mark : "\n";
    size_t end_len = strlen(end);
    memcpy(line.text + line.len, end, end_len);
    ssize_t written = write(log->fd, line.text, line.len + end_len);
    (void)written; /* there is nowhere to report it */
}
