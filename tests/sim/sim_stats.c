/*
 * sim_stats.c: adding up and printing what was met.
 */
#include "sim_stats.h"

#include <inttypes.h>

static const char *const texts[SIM_STAT_COUNT] = {
#define SIM_STAT_TEXT(NAME, text) [SIM_##NAME##_SEEN] = (text),
    SIM_STAT_MAP(SIM_STAT_TEXT)
#undef SIM_STAT_TEXT
};

void sim_stats_add(struct sim_stats *to, const struct sim_stats *from)
{
    for (unsigned i = 0; i < SIM_STAT_COUNT; i++) {
        to->counts[i] += from->counts[i];
    }
    to->runs += from->runs;
    to->tasks += from->tasks;
    to->events += from->events;
    to->messages += from->messages;
    to->core_steps += from->core_steps;
    to->virtual_us += from->virtual_us;
}

void sim_stats_print(const struct sim_stats *stats, FILE *out)
{
    fprintf(out,
            "%" PRIu64 " runs, %" PRIu64 " tasks, %" PRIu64 " events, %" PRIu64
            " messages, %" PRIu64 " steps of the core, %" PRId64 " virtual seconds\n",
            stats->runs, stats->tasks, stats->events, stats->messages, stats->core_steps,
            stats->virtual_us / 1000000);
    for (unsigned i = 0; i < SIM_STAT_COUNT; i++) {
        fprintf(out, "%10" PRIu64 "  %s\n", stats->counts[i], texts[i]);
    }
}

unsigned sim_stats_missing(const struct sim_stats *stats, FILE *out)
{
    unsigned missing = 0;
    for (unsigned i = 0; i < SIM_STAT_COUNT; i++) {
        if (stats->counts[i] == 0) {
            fprintf(out, "never met: %s\n", texts[i]);
            missing++;
        }
    }
    return missing;
}
