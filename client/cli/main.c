/*
 * main.c: the `drover` command: finds the command among the words, reads its options, opens
 * the session, runs it.
 *
 *   command.c       the table of commands, from which help and completion are made
 *   cmd_*.c         the commands, one or a group of them each
 *   cli.c           what they share: connection, messages, exit codes
 *   endpoint.c      which broker, or a private pool
 *   task_options.c  the options of a task
 *   target.c        ID, ID.N, key:NAME
 *   instant.c       instants of the wall clock
 *   input.c         payloads and records from operands, files, stdin
 *   stream.c        the loop of map and xargs: an array in, its outcomes out
 *   exec.c          commands on the fleet, for run and xargs
 *   print.c json_out.c grid.c human.c doc.c   values, JSON, tables, numbers, documents
 *   diagnosis.c doctor_*.c                    what doctor finds, and where it looks
 *   overview.c worker_view.c census.c         hosts, one worker, the processes of the fleet
 *   fleet_hosts.c                             the same by host, for status and top
 *   meter.c task_meter.c interrupt.c watch.c reopen.c      progress, Ctrl-C, again and again
 *   top/            the whole terminal: model and layout, pure; screen.c, asker.c
 *   README.md       keys of the JSON and exit codes, command by command
 */
#include "cli.h"

#include "allocator.h"
#include "command.h"

#include <drover/drover.h>

#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define NAME_MAX_BYTES 48

/* The commands; with a group only those of the group. */
static int print_help(const char *group)
{
    (void)printf("Usage: drover [--broker ENDPOINT | --local N] [--json] %s%sCOMMAND "
                 "[ARG...]\n\n",
                 group != NULL ? group : "", group != NULL ? " " : "");
    if (group == NULL) {
        (void)puts("Sends tasks to a fleet of workers through its broker, brings the results "
                   "back,\nand shows and runs the fleet.\n");
    }
    (void)puts("Commands:");
    command_print_list(stdout, group);
    (void)puts("\n`drover COMMAND --help` says more about each. The broker is the one at "
               "--broker or\n$DROVER_BROKER, else tcp://127.0.0.1:7710.");
    return CLI_OK;
}

static int print_version(void)
{
    (void)printf("drover %s\n", DROVER_VERSION_STRING);
    return CLI_OK;
}

/* ---- which command ----------------------------------------------------------------------- */

static int unknown_command(const char *first, const char *second)
{
    switch (command_classify(first)) {
    case COMMAND_GROUP:
        if (second == NULL) {
            return cli_say(CLI_USAGE, "%s: which command? See drover --help", first);
        }
        return cli_say(CLI_USAGE, "unknown command '%s %s', see drover --help", first, second);
    case COMMAND_UNKNOWN:
    case COMMAND_PLAIN:
        break;
    }
    return cli_say(CLI_USAGE, "unknown command '%s', see drover --help", first);
}

/* The second word of a group, which options may precede; NULL: there is none. */
static const char *second_word(int argc, const char *const *argv)
{
    const struct drv_option_table table = {.options = cli_global_options,
                                           .count = CLI_GLOBAL_OPTION_COUNT};
    int at = drv_options_find_operand(&table, 1, argc, argv, 1);
    return at < argc ? argv[at] : NULL;
}

static bool asks_for_help(int argc, const char *const *argv)
{
    return strcmp(argv[argc - 1], "--help") == 0 || strcmp(argv[argc - 1], "-h") == 0;
}

static int pick_command(int argc, const char *const *argv, const char *first,
                        const struct cli_command **out_command)
{
    const char *second = second_word(argc, argv);
    if (command_classify(first) == COMMAND_GROUP && second == NULL &&
        asks_for_help(argc, argv)) {
        return print_help(first);
    }
    *out_command = command_find(first, second);
    return *out_command != NULL ? CLI_OK : unknown_command(first, second);
}

static const struct drv_program front = {
    .name = "drover",
    .usage = "",
    .tables = {{.options = cli_global_options, .count = CLI_GLOBAL_OPTION_COUNT}},
    .table_count = 1,
    .stop_after = 1};

/* Reads what stands before the command and finds it; *out_command NULL: nothing is to be run.
 */
static int find_command(int argc, const char *const *argv,
                        const struct cli_command **out_command)
{
    struct drv_problem problem = {""};
    struct drv_options *options = NULL;
    if (drv_options_new(&front, &options) != DROVER_OK) {
        return cli_no_memory();
    }
    int code = CLI_OK;
    drover_status status = drv_options_load(options, argc, argv, NULL, &problem);
    if (status != DROVER_OK) {
        code = cli_say_status(cli_exit_code(status), status, "%s, see drover --help",
                              problem.text);
    } else if (drv_options_flag(options, "help")) {
        code = print_help(NULL);
    } else if (drv_options_flag(options, "version")) {
        code = print_version();
    } else if (drv_options_operand_count(options) == 0) {
        code = cli_say(CLI_USAGE, "no command, see drover --help");
    } else {
        code = pick_command(argc, argv, drv_options_operand(options, 0), out_command);
    }
    drv_options_destroy(&options);
    return code;
}

/* ---- running it -------------------------------------------------------------------------- */

static const char prefix[] = "drover "; /* of the names below */

static int check_operands(const struct cli *cli, const char *name)
{
    size_t count = cli_operand_count(cli);
    const struct cli_command *command = cli->command;
    if (count < command->operand_min) {
        return cli_say(CLI_USAGE, "%s: something is missing, usage: %s %s",
                       name + sizeof(prefix) - 1, name, command->usage);
    }
    if (count > command->operand_max) {
        return cli_say(CLI_USAGE, "%s: '%s' is too much, usage: %s %s",
                       name + sizeof(prefix) - 1, cli_operand(cli, command->operand_max), name,
                       command->usage);
    }
    return CLI_OK;
}

static int run_loaded(struct cli *cli, const char *name)
{
    if (drv_options_flag(cli->options, "help")) {
        drv_options_help(cli->options, stdout);
        return CLI_OK;
    }
    if (drv_options_flag(cli->options, "version")) {
        return print_version();
    }
    cli->json = drv_options_flag(cli->options, "json");
    cli_errors_as_json(cli->json);
    int code = check_operands(cli, name);
    return code == CLI_OK ? cli->command->run(cli) : code;
}

static int run_command(const struct cli_command *command, int argc, const char *const *argv)
{
    char name[NAME_MAX_BYTES];
    (void)snprintf(name, sizeof(name), "%s%s%s%s", prefix,
                   command->group != NULL ? command->group : "",
                   command->group != NULL ? " " : "", command->name);
    struct drv_program program = {
        .name = name, .usage = command->usage, .about = command->about};
    struct drv_problem problem = {""};
    struct cli cli = {.command = command, .words = command->group != NULL ? 2 : 1};
    program.table_count = command_tables(command, program.tables);
    program.stop_after = command->stop_after > 0 ? cli.words + command->stop_after : 0;
    if (drv_options_new(&program, &cli.options) != DROVER_OK) {
        return cli_no_memory();
    }
    drover_status status = drv_options_load(cli.options, argc, argv, NULL, &problem);
    int code = status == DROVER_OK ? run_loaded(&cli, name)
                                   : cli_say_status(cli_exit_code(status), status,
                                                    "%s (see %s --help)", problem.text, name);
    drover_client_close(&cli.client);
    drv_options_destroy(&cli.options);
    return cli_flush(code);
}

/* `help WORD...` is `WORD... --help`. */
static int run_help(int argc, const char *const *argv)
{
    const char *words[4] = {argv[0]};
    int count = 1;
    for (int i = 2; i < argc && count < 3; i++) {
        words[count++] = argv[i];
    }
    words[count++] = "--help";
    const struct cli_command *command = NULL;
    int code = find_command(count, words, &command);
    return command != NULL ? run_command(command, count, words) : cli_flush(code);
}

/* A standard stream that is closed must not become a socket of the library. */
static void open_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0) {
            (void)open("/dev/null", fd == STDIN_FILENO ? O_RDONLY : O_WRONLY);
        }
    }
}

/* A mistake in the options is to be told as they ask for. */
static bool wants_json(int argc, const char *const *argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            return true;
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    const char *const *words = (const char *const *)argv;
    const struct cli_command *command = NULL;
    open_streams();
    cli_errors_as_json(wants_json(argc, words));
    drv_allocator_tune();
    (void)signal(SIGPIPE, SIG_IGN); /* a reader that leaves ends the work, see stream.c */
    (void)setlocale(LC_CTYPE, "");
    if (argc > 1 && strcmp(words[1], "help") == 0) {
        return run_help(argc, words);
    }
    int code = find_command(argc, words, &command);
    return command != NULL ? run_command(command, argc, words) : cli_flush(code);
}
