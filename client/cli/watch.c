/* watch.c: see watch.h. */
#include "watch.h"

#include "interrupt.h"
#include "reopen.h"
#include "units.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    INTERVAL_MS = 2000,
    ASK_MS = 3000,        /* a broker that takes longer is told as silent, and asked again */
    ASK_SILENT_MS = 1000, /* patience with one that was silent: Ctrl-C waits for so long too */
};

int64_t watch_ask_ms(const struct cli *cli)
{
    return cli->ask_ms > 0 ? cli->ask_ms : CLI_ASK_MS;
}

/* ---- the interval ------------------------------------------------------------------------ */

static bool is_interval(const char *text, uint64_t *out_ms)
{
    return drv_duration_parse(text, out_ms) == DROVER_OK && *out_ms >= WATCH_MIN_MS &&
           *out_ms <= WATCH_MAX_MS;
}

bool watch_takes_last(const struct cli *cli)
{
    return drv_options_flag(cli->options, "watch") &&
           drv_options_flag_ms(cli->options, "watch") == 0;
}

static int read_interval(struct cli *cli, size_t own_min, size_t own_max, int *out_ms)
{
    size_t count = cli_operand_count(cli);
    const char *last = count > own_min ? cli_operand(cli, count - 1) : NULL;
    bool takes_last = watch_takes_last(cli);
    int64_t said_ms = drv_options_flag_ms(cli->options, "watch");
    uint64_t ms = said_ms > 0 ? (uint64_t)said_ms : INTERVAL_MS;
    if (count > own_max && !takes_last) {
        return cli_say(CLI_USAGE, "%s: '%s' is one too many%s", cli->command->name,
                       last != NULL ? last : "",
                       said_ms > 0 ? "" : "; an interval goes with --watch");
    }
    if (takes_last && last != NULL && is_interval(last, &ms)) {
        cli->trailing++;
    } else if (count > own_max) {
        return cli_say(CLI_USAGE, "%s: '%s' is no interval, such as 500ms or 5s",
                       cli->command->name, last);
    } else {
        /* all operands are the command's */
    }
    *out_ms = (int)ms;
    return CLI_OK;
}

/* ---- one picture ------------------------------------------------------------------------- */

struct picture {
    char *text; /* owned, from open_memstream */
    size_t len;
    drover_status silence; /* the broker did not answer: why */
};

/* What show prints. stdout is a variable in glibc, and libsmartcols asks for it. */
static int take(struct cli *cli, watch_show_fn show, struct picture *picture)
{
    FILE *screen = stdout;
    FILE *paper = open_memstream(&picture->text, &picture->len);
    picture->silence = DROVER_OK;
    if (paper == NULL) {
        return cli_no_memory();
    }
    cli->silence = &picture->silence;
    stdout = paper;
    int code = show(cli);
    stdout = screen;
    bool is_whole = fclose(paper) == 0;
    return is_whole ? code : cli_no_memory();
}

static unsigned terminal_rows(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 1 ? size.ws_row : 24;
}

/* Line over line, and nothing left of what was there before. */
static void draw(const char *text, size_t len)
{
    unsigned left = terminal_rows() - 1;
    (void)fputs("\033[H", stdout);
    for (const char *end = text + len; text < end && left > 0; left--) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        size_t width = (size_t)((newline != NULL ? newline : end) - text);
        (void)fwrite(text, 1, width, stdout);
        (void)fputs("\033[K\n", stdout);
        text += width + 1;
    }
    (void)fputs("\033[J", stdout);
}

static void put(const struct cli *cli, const struct picture *picture, bool draws)
{
    if (draws) {
        draw(picture->text, picture->len);
    } else {
        (void)fwrite(picture->text, 1, picture->len, stdout);
        if (!cli->json && picture->len > 0) {
            (void)putchar('\n');
        }
    }
    (void)fflush(stdout);
}

/* ---- again and again --------------------------------------------------------------------- */

static void tell_silence(bool *is_silent, bool draws, bool is_now)
{
    if (draws && is_now) {
        (void)fputs("\033[H\033[7mthe broker does not answer, trying again\033[0m\033[K\n",
                    stdout);
        (void)fflush(stdout);
    } else if (is_now && !*is_silent) {
        (void)cli_say(CLI_OK, "the broker does not answer, trying again");
    } else if (!is_now && *is_silent && !draws) {
        (void)cli_say(CLI_OK, "the broker answers again");
    } else {
        /* as before */
    }
    *is_silent = is_now;
}

/* True when it has been interrupted or nobody reads any more. */
static bool pause_for(struct interrupt *interrupt, int interval_ms)
{
    struct pollfd items[2] = {{.fd = interrupt->fd, .events = POLLIN},
                              {.fd = STDOUT_FILENO, .events = 0}};
    (void)poll(items, 2, interval_ms);
    return interrupt_has_come(interrupt) || (items[1].revents & (POLLERR | POLLHUP)) != 0 ||
           ferror(stdout) != 0;
}

static int watch(struct cli *cli, int interval_ms, watch_show_fn show)
{
    struct interrupt interrupt;
    bool draws = !cli->json && isatty(STDOUT_FILENO) != 0;
    bool is_silent = false;
    int code = CLI_OK;
    interrupt_open(&interrupt);
    if (draws) {
        (void)fputs("\033[2J", stdout);
    }
    do {
        struct picture picture = {NULL, 0, DROVER_OK};
        cli->ask_ms = is_silent ? ASK_SILENT_MS : ASK_MS;
        if (cli->client == NULL && !reopen_client(cli, ASK_SILENT_MS)) {
            picture.silence = DROVER_UNAVAILABLE;
        } else {
            code = take(cli, show, &picture);
        }
        bool is_lost = picture.silence != DROVER_OK;
        tell_silence(&is_silent, draws, is_lost);
        if (is_lost) {
            code = CLI_OK;
            if (reopen_is_needed(picture.silence)) {
                drover_client_close(&cli->client);
            }
        } else if (code == CLI_OK) {
            put(cli, &picture, draws);
        } else {
            /* said why */
        }
        free(picture.text);
    } while (code == CLI_OK && !pause_for(&interrupt, interval_ms));
    interrupt_close(&interrupt);
    cli->silence = NULL;
    return code;
}

int watch_run(struct cli *cli, size_t own_min, size_t own_max, watch_show_fn show)
{
    int interval_ms = 0;
    int code = read_interval(cli, own_min, own_max, &interval_ms);
    if (code == CLI_OK) {
        code = cli_connect(cli);
    }
    if (code != CLI_OK) {
        return code;
    }
    return drv_options_flag(cli->options, "watch") ? watch(cli, interval_ms, show) : show(cli);
}
