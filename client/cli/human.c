/* human.c: see human.h. */
#include "human.h"

#include "check.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR };

static char *two_units(int64_t ms, int64_t large, const char *large_name, int64_t small,
                       const char *small_name, char *out_text)
{
    (void)snprintf(out_text, HUMAN_TEXT_MAX, "%" PRId64 "%s %" PRId64 "%s", ms / large,
                   large_name, ms % large / small, small_name);
    return out_text;
}

char *human_age(int64_t ms, char out_text[HUMAN_TEXT_MAX])
{
    out_text[0] = '\0';
    if (ms < 0) {
        return out_text;
    }
    if (ms >= DAY) {
        return two_units(ms, DAY, "d", HOUR, "h", out_text);
    }
    if (ms >= HOUR) {
        return two_units(ms, HOUR, "h", MINUTE, "m", out_text);
    }
    if (ms >= MINUTE) {
        return two_units(ms, MINUTE, "m", SECOND, "s", out_text);
    }
    if (ms >= SECOND) {
        (void)snprintf(out_text, HUMAN_TEXT_MAX, "%" PRId64 ".%" PRId64 " s", ms / SECOND,
                       ms % SECOND / 100);
    } else {
        (void)snprintf(out_text, HUMAN_TEXT_MAX, "%" PRId64 " ms", ms);
    }
    return out_text;
}

char *human_us(int64_t us, char out_text[HUMAN_TEXT_MAX])
{
    if (us < 0 || us >= 1000) {
        return human_age(us < 0 ? us : us / 1000, out_text);
    }
    (void)snprintf(out_text, HUMAN_TEXT_MAX, "%" PRId64 " us", us);
    return out_text;
}

char *human_bytes(int64_t bytes, char out_text[HUMAN_TEXT_MAX])
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    out_text[0] = '\0';
    if (bytes < 0) {
        return out_text;
    }
    if (bytes < 1024) {
        (void)snprintf(out_text, HUMAN_TEXT_MAX, "%" PRId64 " B", bytes);
        return out_text;
    }
    double number = (double)bytes / 1024;
    size_t unit = 0;
    while (number >= 1023.95 && unit + 1 < DRV_ARRAY_LEN(units)) {
        number /= 1024;
        unit++;
    }
    (void)snprintf(out_text, HUMAN_TEXT_MAX, "%.1f %s", number, units[unit]);
    return out_text;
}

/* ---- the time of an attempt -----------------------------------------------------------------
 */

static const struct {
    const char *name;
    char sign;
} parts[TIMELINE_PARTS] = {
    [TIMELINE_QUEUED] = {"queued", '.'},
    [TIMELINE_TRANSFER] = {"transfer", '>'},
    [TIMELINE_RUN] = {"run", '='},
    [TIMELINE_RETURN] = {"return", '<'},
};

/* Shares the width out in proportion; what would vanish gets one, which the longest pays for.
 */
static void share_out(const struct timeline *timeline, size_t width,
                      size_t cells[TIMELINE_PARTS])
{
    double total = 0;
    size_t longest = 0;
    size_t others = 0;
    for (size_t i = 0; i < TIMELINE_PARTS; i++) {
        total += timeline->us[i] > 0 ? (double)timeline->us[i] : 0;
        longest = timeline->us[i] > timeline->us[longest] ? i : longest;
    }
    for (size_t i = 0; i < TIMELINE_PARTS; i++) {
        cells[i] = 0;
        if (timeline->us[i] > 0 && i != longest) {
            cells[i] = (size_t)((double)timeline->us[i] / total * (double)width);
            cells[i] += cells[i] == 0 ? 1 : 0;
            others += cells[i];
        }
    }
    cells[longest] = timeline->us[longest] > 0 ? width - others : 0;
}

char *timeline_draw(const struct timeline *timeline, size_t width,
                    char out_text[TIMELINE_TEXT_MAX])
{
    size_t cells[TIMELINE_PARTS];
    size_t len = 0;
    DRV_ASSERT(width >= TIMELINE_PARTS && width + 3 <= TIMELINE_TEXT_MAX);
    share_out(timeline, width, cells);
    out_text[len++] = '|';
    for (size_t i = 0; i < TIMELINE_PARTS; i++) {
        memset(out_text + len, parts[i].sign, cells[i]);
        len += cells[i];
    }
    out_text[len++] = '|';
    out_text[len] = '\0';
    return out_text;
}

char *timeline_words(const struct timeline *timeline, bool has_picture,
                     char out_text[TIMELINE_TEXT_MAX])
{
    size_t len = 0;
    out_text[0] = '\0';
    for (size_t i = 0; i < TIMELINE_PARTS; i++) {
        char sign[3] = {parts[i].sign, ' ', '\0'};
        char time[HUMAN_TEXT_MAX];
        const char *between = has_picture ? "  " : ", ";
        if (timeline->us[i] >= 0) {
            len += (size_t)snprintf(out_text + len, TIMELINE_TEXT_MAX - len, "%s%s%s %s",
                                    len > 0 ? between : "", has_picture ? sign : "",
                                    parts[i].name, human_us(timeline->us[i], time));
        }
    }
    return out_text;
}
