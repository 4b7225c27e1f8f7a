#include "meter.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void meter_init(struct meter *meter, const struct lane *lane, const int *output_fds,
                int usage_who, size_t handler_count, int64_t now_us)
{
    *meter = (struct meter){.lane = lane,
                            .output_fds = output_fds,
                            .usage_who = usage_who,
                            .pid = (uint32_t)getpid(),
                            .usage_at_us = now_us,
                            .printed_at_us = now_us,
                            .handler_count = handler_count};
    (void)getrusage(usage_who, &meter->usage);
    /* Without it every attempt is looked at. */
    meter->silent = calloc(handler_count, sizeof(*meter->silent));
}

/* ---- used -----------------------------------------------------------------------------------
 */

static uint64_t micros(struct timeval time)
{
    return (uint64_t)time.tv_sec * 1000000U + (uint64_t)time.tv_usec;
}

uint64_t meter_peak_bytes(const struct meter *meter)
{
    return (uint64_t)meter->usage.ru_maxrss * 1024U;
}

void meter_read_usage(struct meter *meter, int64_t now_us, struct record_finished *head)
{
    if (now_us - meter->usage_at_us >= METER_USAGE_US) {
        struct rusage before = meter->usage;
        (void)getrusage(meter->usage_who, &meter->usage);
        meter->usage_at_us = now_us;
        head->user_us = micros(meter->usage.ru_utime) - micros(before.ru_utime);
        head->system_us = micros(meter->usage.ru_stime) - micros(before.ru_stime);
    }
    head->peak_rss_bytes = meter_peak_bytes(meter);
    head->pid = meter->pid;
}

/* ---- printed --------------------------------------------------------------------------------
 */

static bool must_look(const struct meter *meter, uint32_t handler, bool is_last, int64_t now_us)
{
    return is_last || meter->silent == NULL || meter->silent[handler] < METER_SILENT ||
           now_us - meter->printed_at_us >= METER_LOOK_US;
}

bool meter_look(struct meter *meter, uint32_t handler, bool is_last, int64_t now_us)
{
    bool is_silent = true;
    if (meter->output_fds == NULL || !must_look(meter, handler, is_last, now_us)) {
        return false;
    }
    for (size_t i = 0; i < LANE_PIPES; i++) {
        uint64_t printed = lane_printed(meter->lane, i, meter->output_fds[i]);
        is_silent = is_silent && printed == meter->printed[i];
        meter->printed[i] = printed;
    }
    meter->printed_at_us = now_us;
    if (meter->silent != NULL && !is_silent) { /* it may have been any since the last look */
        memset(meter->silent, 0, meter->handler_count * sizeof(*meter->silent));
    } else if (meter->silent != NULL && meter->silent[handler] < METER_SILENT) {
        meter->silent[handler]++;
    }
    return !is_silent;
}

void meter_read_printed(struct meter *meter, uint32_t handler, bool is_last, int64_t now_us,
                        struct record_finished *head)
{
    if (meter->output_fds != NULL) {
        (void)meter_look(meter, handler, is_last, now_us);
        memcpy(head->printed, meter->printed, sizeof(head->printed));
    }
}
