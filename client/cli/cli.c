/* cli.c: see cli.h. */
#include "cli.h"

#include "buffer.h"
#include "check.h"
#include "endpoint.h"
#include "escape.h"
#include "json.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096

const struct drv_option cli_global_options[CLI_GLOBAL_OPTION_COUNT] = {
    {.name = "broker",
     .kind = DRV_OPTION_STRING,
     .argument = "ENDPOINT",
     .help = "where the broker is, also from DROVER_BROKER",
     .env = "DROVER_BROKER",
     .fallback = "tcp://127.0.0.1:7710"},
    {.name = "identity",
     .kind = DRV_OPTION_STRING,
     .argument = "FILE",
     .help = "own key pair, as `drover keygen` makes it, also from DROVER_IDENTITY",
     .env = "DROVER_IDENTITY"},
    {.name = "broker-key",
     .kind = DRV_OPTION_STRING,
     .argument = "KEY|FILE",
     .help = "public key of the broker, also from DROVER_BROKER_KEY; may stand in the identity",
     .env = "DROVER_BROKER_KEY"},
    {.name = "local",
     .kind = DRV_OPTION_STRING,
     .argument = "N[?KEY=VALUE...]",
     .help = "run on a private pool of N slots instead, which ends with the command"},
    {.name = "connect-timeout",
     .kind = DRV_OPTION_DURATION,
     .argument = "TIME",
     .help = "how long to try to reach it",
     .fallback = "5s",
     .min = 1,
     .max = 86400000},
    {.name = "json", .kind = DRV_OPTION_FLAG, .help = "print JSON"},
};

size_t cli_operand_count(const struct cli *cli)
{
    return drv_options_operand_count(cli->options) - cli->words - cli->trailing;
}

const char *cli_operand(const struct cli *cli, size_t index)
{
    return index < cli_operand_count(cli)
               ? drv_options_operand(cli->options, index + cli->words)
               : NULL;
}

/* How stderr is written, for the whole program, as stderr is: errors are told also where no
 * struct cli is at hand. */
static bool errors_are_json;

void cli_errors_as_json(bool as_json)
{
    errors_are_json = as_json;
}

/* What an exit code that says no more stands for. */
static drover_status status_of(int code)
{
    switch (code) {
    case CLI_USAGE:
        return DROVER_INVALID;
    case CLI_UNAVAILABLE:
        return DROVER_UNAVAILABLE;
    case CLI_SOFTWARE:
        return DROVER_INTERNAL;
    case CLI_IO:
        return DROVER_IO;
    case CLI_BUSY:
        return DROVER_BUSY;
    case CLI_DENIED:
        return DROVER_DENIED;
    case CLI_TIMEOUT:
        return DROVER_TIMEOUT;
    default:
        return DROVER_FAILED;
    }
}

/* False: out of memory. */
static bool say_json(int code, drover_status status, const char *line)
{
    struct drv_buffer json;
    drv_buffer_init(&json);
    bool is_fine = drv_buffer_printf(&json, "{\"error\":{\"code\":\"%s\",\"exit\":%d,\"text\":",
                                     drover_status_name(status), code) == DROVER_OK &&
                   drv_json_write_string(drv_view_text(line), &json) == DROVER_OK &&
                   drv_buffer_append_text(&json, "}}\n") == DROVER_OK;
    if (is_fine) {
        (void)fwrite(json.bytes, 1, json.len, stderr);
    }
    drv_buffer_fini(&json);
    return is_fine;
}

static void say(int code, drover_status status, const char *format, va_list arguments)
{
    char line[LINE_MAX_BYTES];
    char safe[LINE_MAX_BYTES];
    (void)vsnprintf(line, sizeof(line), format, arguments);
    (void)drv_escape(drv_view_text(line), safe, sizeof(safe));
    if (!errors_are_json || code == CLI_OK || !say_json(code, status, safe)) {
        (void)fprintf(stderr, "drover: %s\n", safe);
    }
}

int cli_say(int code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(code, status_of(code), format, arguments);
    va_end(arguments);
    return code;
}

int cli_say_status(int code, drover_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(code, status, format, arguments);
    va_end(arguments);
    return code;
}

int cli_exit_code(drover_status status)
{
    static const struct {
        drover_status status;
        int code;
    } map[] = {
        {DROVER_OK, CLI_OK},
        {DROVER_INVALID, CLI_USAGE},
        {DROVER_MALFORMED, CLI_USAGE},
        {DROVER_UNSUPPORTED, CLI_USAGE},
        {DROVER_TOO_BIG, CLI_USAGE},
        {DROVER_LIMIT, CLI_USAGE},
        {DROVER_TIMEOUT, CLI_TIMEOUT},
        {DROVER_UNAVAILABLE, CLI_UNAVAILABLE},
        {DROVER_WRONG_ENDPOINT, CLI_UNAVAILABLE},
        {DROVER_VERSION, CLI_UNAVAILABLE},
        {DROVER_DRAINING, CLI_UNAVAILABLE},
        {DROVER_BUSY, CLI_BUSY},
        {DROVER_DENIED, CLI_DENIED},
        {DROVER_IO, CLI_IO},
        {DROVER_NOMEM, CLI_SOFTWARE},
        {DROVER_INTERNAL, CLI_SOFTWARE},
        {DROVER_PROTOCOL, CLI_SOFTWARE},
    };
    for (size_t i = 0; i < DRV_ARRAY_LEN(map); i++) {
        if (map[i].status == status) {
            return map[i].code;
        }
    }
    return CLI_FAILED;
}

bool cli_is_silence(drover_status status)
{
    return status == DROVER_TIMEOUT || status == DROVER_UNAVAILABLE ||
           status == DROVER_CLOSED || status == DROVER_SESSION_EXPIRED ||
           status == DROVER_BUSY || status == DROVER_DRAINING;
}

int cli_failed(const struct cli *cli, drover_status status, const char *what)
{
    char text[1024] = "";
    if (cli->silence != NULL && cli_is_silence(status)) {
        *cli->silence = status;
        return cli_exit_code(status);
    }
    if (cli->client != NULL && status != DROVER_TIMEOUT) {
        drover_client_error_text(cli->client, text, sizeof(text));
    }
    if (text[0] == '\0') {
        (void)snprintf(text, sizeof(text), "%s", drover_status_text(status));
    }
    return cli_say_status(cli_exit_code(status), status, "%s: %s", what, text);
}

int cli_no_memory(void)
{
    return cli_say_status(CLI_SOFTWARE, DROVER_NOMEM, "out of memory");
}

int cli_write_failed(void)
{
    return errno == EPIPE ? CLI_IO : cli_say(CLI_IO, "stdout: %s", strerror(errno));
}

/* Whether stdout is a pipe that nobody reads. */
static bool is_unread(void)
{
    struct pollfd stdout_fd = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&stdout_fd, 1, 0) > 0 && (stdout_fd.revents & POLLERR) != 0;
}

int cli_flush(int code)
{
    if (fflush(stdout) != 0) {
        return cli_worse(code, cli_write_failed());
    }
    if (ferror(stdout) != 0) { /* some time ago: errno is about something else by now */
        return cli_worse(code,
                         is_unread() ? CLI_IO : cli_say(CLI_IO, "stdout: output was lost"));
    }
    return code;
}

static int explain_refusal(const struct cli *cli, const char *endpoint, drover_status status,
                           const char *text)
{
    bool is_about_keys = drv_options_is_set(cli->options, "identity") ||
                         strstr(text, "--identity") != NULL;
    if (status == DROVER_UNAVAILABLE && !endpoint_is_local(endpoint) && !is_about_keys) {
        return cli_say(CLI_UNAVAILABLE,
                       "no broker answered at %s within %s (--broker or DROVER_BROKER says "
                       "where it is)",
                       endpoint, drv_options_string(cli->options, "connect-timeout"));
    }
    return cli_say_status(cli_exit_code(status), status, "%s: %s",
                          endpoint_is_local(endpoint) ? "private pool" : endpoint,
                          text[0] != '\0' ? text : drover_status_text(status));
}

void cli_keys(const struct cli *cli, drover_client_options *options)
{
    options->identity = drv_options_string(cli->options, "identity");
    options->broker_key = drv_options_string(cli->options, "broker-key");
}

int cli_connect(struct cli *cli)
{
    char text[512] = "";
    struct drv_buffer endpoint;
    drover_client_options options = DROVER_CLIENT_OPTIONS_INIT;
    if (cli->client != NULL) {
        return CLI_OK; /* a key among the operands was looked up */
    }
    options.connect_timeout_ms = (uint64_t)drv_options_int(cli->options, "connect-timeout");
    cli_keys(cli, &options);
    options.error_text = text;
    options.error_size = sizeof(text);
    drv_buffer_init(&endpoint);
    int code = endpoint_pick(cli, &endpoint);
    if (code == CLI_OK) {
        const char *place = (const char *)endpoint.bytes;
        drover_status status = drover_client_open(place, &options, &cli->client);
        code = status == DROVER_OK ? CLI_OK : explain_refusal(cli, place, status, text);
    }
    drv_buffer_fini(&endpoint);
    return code;
}

int64_t cli_duration(const struct cli *cli, const char *option)
{
    return drv_options_is_set(cli->options, option) ? drv_options_int(cli->options, option)
                                                    : DROVER_FOREVER;
}

int cli_worse(int a, int b)
{
    return a > b ? a : b;
}
