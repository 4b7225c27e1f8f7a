/* meter.c: see meter.h. */
#include "meter.h"

#include "clock.h"
#include "human.h"

#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { BAR_WIDTH = 30, WIDTH_DEFAULT = 80, REDRAW_MS = 100 };

void meter_open(struct meter *meter)
{
    memset(meter, 0, sizeof(*meter));
    meter->is_on = isatty(STDERR_FILENO) != 0;
    meter->shares_line = isatty(STDOUT_FILENO) != 0;
    meter->begin_ms = drv_clock_now_ms();
}

void meter_bar(uint64_t done, uint64_t total, char out_text[METER_BAR_MAX])
{
    size_t filled = total > 0 ? (size_t)(done * BAR_WIDTH / total) : 0;
    out_text[0] = '[';
    for (size_t i = 0; i < BAR_WIDTH; i++) {
        out_text[i + 1] = i < filled ? '#' : ' ';
    }
    memcpy(out_text + BAR_WIDTH + 1, "] ", 3);
}

void meter_format(const drover_map_progress *progress, uint64_t elapsed_ms, size_t width,
                  char *out_text, size_t size)
{
    char bar[METER_BAR_MAX] = "";
    char total[32] = "...";
    char failed[48] = "";
    char age[HUMAN_TEXT_MAX];
    char line[256];
    if (progress->total > 0) {
        meter_bar(progress->ended, progress->total, bar);
        (void)snprintf(total, sizeof(total), "%" PRIu64, progress->total);
    }
    if (progress->failed > 0) {
        (void)snprintf(failed, sizeof(failed), ", %" PRIu64 " failed", progress->failed);
    }
    uint64_t rate = elapsed_ms > 0 ? progress->ended * 1000 / elapsed_ms : 0;
    int len = snprintf(line, sizeof(line), "%s%" PRIu64 " of %s%s, %" PRIu64 "/s, %s", bar,
                       progress->ended, total, failed, rate,
                       human_age((int64_t)elapsed_ms, age));
    size_t shown = (size_t)len < width ? (size_t)len : width;
    (void)snprintf(out_text, size, "%.*s", (int)shown, line);
}

size_t meter_width(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1U
                                                                           : WIDTH_DEFAULT - 1;
}

void meter_draw(struct meter *meter, const char *line)
{
    (void)fflush(stdout);
    (void)fprintf(stderr, "\r\033[K%s", line);
    (void)fflush(stderr);
    meter->is_drawn = true;
}

void meter_update(struct meter *meter, const drover_map_progress *progress)
{
    char line[256];
    if (!meter->is_on) {
        return;
    }
    uint64_t now_ms = drv_clock_now_ms();
    if (meter->drawn_ms != 0 && now_ms - meter->drawn_ms < REDRAW_MS) {
        return;
    }
    meter->drawn_ms = now_ms;
    meter_format(progress, now_ms - meter->begin_ms, meter_width(), line, sizeof(line));
    meter_draw(meter, line);
}

void meter_hide(struct meter *meter)
{
    if (meter->is_drawn) {
        (void)fputs("\r\033[K", stderr);
        (void)fflush(stderr);
        meter->is_drawn = false;
    }
}
