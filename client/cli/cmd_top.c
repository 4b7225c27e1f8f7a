/* cmd_top.c: top. */
#include "command.h"

#include "top/asker.h"
#include "top/layout.h"
#include "top/screen.h"

#include "check.h"
#include "clock.h"
#include "escape.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { WANTS_MAX = 16 };

/* One command's state. */
struct show {
    struct cli *cli;
    struct asker *asker;   /* owned */
    struct screen *screen; /* owned */
    struct cells cells;
    struct top top;
    struct top_want wants[WANTS_MAX]; /* to be done, in this order */
    size_t want_count;
    uint64_t interval_ms;
    uint64_t ask_at_ms;
    int signals; /* fd */
    bool is_over;
};

/* ---- signals ----------------------------------------------------------------------------- */

/* Ctrl-C and a new size come by a descriptor, whatever thread the kernel would have chosen. */
static int open_signals(sigset_t *out_mask)
{
    sigset_t wanted;
    (void)sigemptyset(&wanted);
    (void)sigaddset(&wanted, SIGINT);
    (void)sigaddset(&wanted, SIGTERM);
    (void)sigaddset(&wanted, SIGHUP);
    (void)sigaddset(&wanted, SIGWINCH);
    (void)pthread_sigmask(SIG_BLOCK, &wanted, out_mask);
    return signalfd(-1, &wanted, SFD_NONBLOCK | SFD_CLOEXEC);
}

static void take_signals(struct show *show)
{
    struct signalfd_siginfo info;
    while (read(show->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        show->is_over = show->is_over || info.ssi_signo != SIGWINCH;
    }
}

/* ---- drawing ----------------------------------------------------------------------------- */

static bool draw(struct show *show)
{
    int rows = 0;
    int columns = 0;
    screen_measure(show->screen, &rows, &columns);
    if (!cells_resize(&show->cells, rows, columns)) {
        return false;
    }
    layout_draw(&show->top, &show->cells);
    screen_show(show->screen, &show->cells);
    return true;
}

/* ---- the broker -------------------------------------------------------------------------- */

/* What was asked for first, then what the picture needs. */
static void give(struct show *show, uint64_t now_ms)
{
    struct asker_task task = {.question = top_ask(&show->top), .want = {.act = TOP_ASK}};
    if (asker_is_busy(show->asker)) {
        return;
    }
    if (show->want_count > 0) {
        task.want = show->wants[0];
        show->want_count--;
        memmove(show->wants, show->wants + 1, show->want_count * sizeof(show->wants[0]));
    } else if (now_ms < show->ask_at_ms || task.question.about == TOP_ABOUT_NOTHING) {
        return;
    } else {
        show->ask_at_ms = now_ms + show->interval_ms;
    }
    asker_give(show->asker, &task);
}

static const char *deed(enum top_act act)
{
    static const char *const names[] = {[TOP_NOTHING] = "",
                                        [TOP_QUIT] = "",
                                        [TOP_ASK] = "",
                                        [TOP_DRAIN] = "draining",
                                        [TOP_RESUME] = "resumed",
                                        [TOP_QUEUE_PAUSE] = "paused",
                                        [TOP_QUEUE_RESUME] = "resumed",
                                        [TOP_CANCEL] = "cancelling"};
    return names[act];
}

static void tell_deed(struct show *show, const struct asker_answer *answer)
{
    char problem[TOP_MESSAGE_MAX / 2];
    const struct top_want *want = &answer->task.want;
    if (answer->status == DROVER_OK) {
        top_say(&show->top, CELL_TITLE, "%s %s", deed(want->act), want->label);
    } else {
        (void)drv_escape(drv_view_text(answer->problem), problem, sizeof(problem));
        top_say(&show->top, CELL_BAD, "%s %s: %s", deed(want->act), want->label, problem);
    }
}

static void take_answer(struct show *show)
{
    struct asker_answer answer;
    char problem[TOP_MESSAGE_MAX / 2];
    if (!asker_take(show->asker, &answer)) {
        return;
    }
    struct top *top = &show->top;
    const struct top_question *question = &answer.task.question;
    bool is_deed = answer.task.want.act != TOP_ASK;
    top->is_silent = answer.is_silent;
    if (is_deed) {
        tell_deed(show, &answer);
        show->ask_at_ms = 0;
    } else if (answer.status == DROVER_OK && top_wants(top, question)) {
        top->summary = answer.summary;
        if (question->about == TOP_ABOUT_VIEW) {
            top_take_table(top, &answer.table);
        } else {
            top_take_sheet(top, &answer.sheet);
        }
    } else if (answer.status == DROVER_OK) {
        show->ask_at_ms = 0;
    } else if (!answer.is_silent) {
        (void)drv_escape(drv_view_text(answer.problem), problem, sizeof(problem));
        top_say(top, CELL_BAD, "%s", problem);
    } else {
        /* shown as such, and asked again */
    }
    asker_answer_fini(&answer);
}

/* ---- keys -------------------------------------------------------------------------------- */

static void take_want(struct show *show, const struct top_want *want)
{
    if (want->act == TOP_QUIT) {
        show->is_over = true;
    } else if (want->act == TOP_ASK) {
        show->ask_at_ms = 0;
    } else if (want->act != TOP_NOTHING && show->want_count == WANTS_MAX) {
        top_say(&show->top, CELL_BAD, "too much at once: the broker has not answered yet");
    } else if (want->act != TOP_NOTHING) {
        show->wants[show->want_count++] = *want;
    } else {
        /* only drawn anew */
    }
}

static void take_keys(struct show *show)
{
    uint32_t key = 0;
    while (!show->is_over && (key = screen_key(show->screen)) != 0) {
        struct top_want want = top_press(&show->top, key);
        take_want(show, &want);
    }
}

/* ---- the loop ---------------------------------------------------------------------------- */

/* Until something has happened or it is time to ask. */
static void wait_for(struct show *show, uint64_t now_ms)
{
    struct pollfd items[3] = {{.fd = STDIN_FILENO, .events = POLLIN},
                              {.fd = show->signals, .events = POLLIN},
                              {.fd = asker_fd(show->asker), .events = POLLIN}};
    bool is_asking = asker_is_busy(show->asker) ||
                     top_ask(&show->top).about == TOP_ABOUT_NOTHING;
    uint64_t left_ms = show->ask_at_ms > now_ms ? show->ask_at_ms - now_ms : 0;
    (void)poll(items, DRV_ARRAY_LEN(items), is_asking ? -1 : (int)left_ms);
    /* The terminal is gone. */
    show->is_over = show->is_over || (items[0].revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

static int loop(struct show *show)
{
    while (!show->is_over) {
        uint64_t now_ms = drv_clock_now_ms();
        give(show, now_ms);
        if (!draw(show)) {
            return CLI_SOFTWARE;
        }
        wait_for(show, now_ms);
        take_signals(show);
        take_keys(show);
        take_answer(show);
    }
    return CLI_OK;
}

static int run_show(struct show *show)
{
    char problem[128] = "";
    int code = CLI_OK;
    show->asker = asker_open(show->cli);
    if (show->asker == NULL) {
        return cli_no_memory();
    }
    show->screen = screen_open(problem, sizeof(problem));
    if (show->screen == NULL) {
        code = problem[0] != '\0' ? cli_say(CLI_USAGE, "top: %s", problem) : cli_no_memory();
    } else {
        code = loop(show);
        screen_close(&show->screen);
    }
    asker_close(&show->asker);
    return code == CLI_SOFTWARE ? cli_no_memory() : code;
}

static int run(struct cli *cli)
{
    struct show show = {.cli = cli};
    char problem[128] = "";
    sigset_t mask;
    if (cli->json) {
        return cli_say(CLI_USAGE, "top draws on a terminal; `drover --json status --watch` "
                                  "prints the same");
    }
    if (!screen_is_possible(problem, sizeof(problem))) {
        return cli_say(CLI_USAGE, "top: %s", problem);
    }
    show.interval_ms = (uint64_t)drv_options_int(cli->options, "interval");
    show.signals = open_signals(&mask);
    int code = show.signals < 0 ? cli_say(CLI_SOFTWARE, "top: %s", strerror(errno))
                                : cli_connect(cli);
    if (code == CLI_OK) {
        cells_init(&show.cells);
        top_init(&show.top);
        code = run_show(&show);
        top_fini(&show.top);
        cells_fini(&show.cells);
    }
    if (show.signals >= 0) {
        (void)close(show.signals);
    }
    (void)pthread_sigmask(SIG_SETMASK, &mask, NULL);
    return code;
}

static const struct drv_option options[] = {
    {.name = "interval",
     .letter = 'i',
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .help = "how often the broker is asked",
     .fallback = "2s",
     .min = 100,
     .max = 3600000},
};

const struct cli_command cmd_top = {
    .name = "top",
    .summary = "watch and run the fleet on the whole terminal",
    .usage = "[--interval TIME]",
    .about =
        "Hosts, workers, executors, queues and tasks, each as a table that can be sorted,\n"
        "filtered and opened. Workers are drained and resumed, tasks cancelled from there.\n"
        "The keys stand in the last line; ? tells all of them. It goes on when the broker\n"
        "is started again. NO_COLOR does without colours.",
    .options = options,
    .option_count = DRV_ARRAY_LEN(options),
    .run = run,
};
