/*
 * watch.h: showing something again and again: --watch [INTERVAL], or --watch=INTERVAL.
 *
 * On a terminal each picture is drawn over the one before, cut to its height; elsewhere it is
 * appended, followed by an empty line; with --json it is one line. A broker that does not
 * answer is told once on stderr (on a terminal: in the picture's first line) and asked again,
 * over a new connection when the old one cannot be used any more. Ctrl-C, SIGTERM and a reader
 * that went away end it.
 */
#ifndef CLI_WATCH_H
#define CLI_WATCH_H

#include "cli.h"

#define WATCH_MIN_MS 100
#define WATCH_MAX_MS 86400000

/* The option itself, for the table of a command. */
#define WATCH_OPTION                                                                     \
    {                                                                                    \
        .name = "watch", .letter = 'w', .kind = DRV_OPTION_FLAG, .takes_duration = true, \
        .min = WATCH_MIN_MS, .max = WATCH_MAX_MS,                                        \
        .help = "again and again, every INTERVAL (2s if none is said), until "           \
                "Ctrl-C"                                                                 \
    }

/* For the line of usage. */
#define WATCH_USAGE "[--watch [INTERVAL]]"

/* A question to the broker and its answer on stdout; CLI_OK, or says why not. */
typedef int (*watch_show_fn)(struct cli *cli);

/*
 * Connects and shows it, once, or as --watch says. own_min and own_max: operands that the
 * command itself takes; with a --watch that says no interval itself, one behind them, or the
 * last when it is a duration, is the interval, and does not count among the operands any more.
 * The exit code.
 */
int watch_run(struct cli *cli, size_t own_min, size_t own_max, watch_show_fn show);

/* Whether the last operand may be the interval: --watch is there, and says none itself. */
bool watch_takes_last(const struct cli *cli);

/* Milliseconds that a question may take: less than CLI_ASK_MS while watching. */
int64_t watch_ask_ms(const struct cli *cli);

#endif
