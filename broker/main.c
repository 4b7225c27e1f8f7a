/*
 * drover-broker.
 *
 *   main.c       this: options, log, exit codes
 *   settings.c   command line, environment, file -> struct settings
 *   endpoint.c   where it may listen
 *   server.c     life and loop
 *   intake.c     frames -> link -> core events
 *   outlet.c     core effects -> gate -> link -> frames
 *   gate.c       what waits for the store
 *   data_dir.c   where the data is
 *   hand_page.c  which task a crash had in hand
 *   connection.c who is behind a routing id
 *   self.c       own resource use
 *   descriptors.c  how many connections and files there may be
 *   http/        page, API, metrics: a thread of its own; web/ is the page
 *   notify.c     service manager
 *   core/        every decision, pure
 *   store/       what is kept; store/journal/tool.c is `drover-broker journal`
 */
#include "allocator.h"
#include "descriptors.h"
#include "server.h"
#include "settings.h"
#include "tool.h"

#include <drover/drover.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_USAGE_ERROR = 64, EXIT_DAMAGED = 65, EXIT_UNAVAILABLE = 69, EXIT_IO = 74 };

static int exit_of(drover_status status)
{
    switch ((int)status) {
    case DROVER_OK:
        return EXIT_SUCCESS;
    case DROVER_MALFORMED: /* the data, or written by a newer broker */
    case DROVER_VERSION:
        return EXIT_DAMAGED;
    case DROVER_IO:
    case DROVER_BUSY: /* another broker has the data */
        return EXIT_IO;
    default:
        return EXIT_UNAVAILABLE;
    }
}

static int serve(const struct settings *settings)
{
    struct drv_log log;
    struct drv_problem problem = {""};
    struct server *server = NULL;
    drv_allocator_tune();
    drv_log_init(&log, "drover-broker", settings->log_level);
    descriptors_bound(settings->peers_max, &log);
    drover_status status = server_new(settings, &log, &server, &problem);
    if (status != DROVER_OK) {
        (void)fprintf(stderr, "drover-broker: %s\n", problem.text);
        return exit_of(status);
    }
    status = server_run(server);
    server_destroy(&server);
    return exit_of(status);
}

static int start(struct drv_options *options, int argc, const char *const *argv)
{
    struct drv_problem problem = {""};
    struct settings settings;
    drover_status status = drv_options_load(options, argc, argv, NULL, &problem);
    if (status == DROVER_OK && drv_options_flag(options, "help")) {
        drv_options_help(options, stdout);
        return EXIT_SUCCESS;
    }
    if (status == DROVER_OK && drv_options_flag(options, "version")) {
        (void)printf("drover-broker %s\n", DROVER_VERSION_STRING);
        return EXIT_SUCCESS;
    }
    if (status == DROVER_OK && drv_options_operand_count(options) > 0) {
        status = drv_problem_set(&problem, DROVER_INVALID, "unexpected argument: %s",
                                 drv_options_operand(options, 0));
    }
    if (status == DROVER_OK) {
        status = settings_read(options, &settings, &problem);
    }
    if (status != DROVER_OK) {
        (void)fprintf(stderr, "drover-broker: %s\n", problem.text);
        return EXIT_USAGE_ERROR;
    }
    return drv_options_flag(options, "check-config") ? EXIT_SUCCESS : serve(&settings);
}

int main(int argc, char **argv)
{
    static const struct tool_decoder decoder = {.kind_name = core_save_kind_name};
    if (argc > 1 && strcmp(argv[1], "journal") == 0) {
        return tool_main(argc - 1, (const char *const *)argv + 1, &decoder, stdout, stderr);
    }
    struct drv_options *options = NULL;
    if (drv_options_new(&settings_program, &options) != DROVER_OK) {
        (void)fputs("drover-broker: out of memory\n", stderr);
        return EXIT_UNAVAILABLE;
    }
    int code = start(options, argc, (const char *const *)argv);
    drv_options_destroy(&options);
    return code;
}
