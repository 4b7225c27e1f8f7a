/*
 * cmd_keygen.c: keygen: a key pair for a client, a worker or a broker, and the line for the
 * broker's table of accounts. The secret is only ever in the file, which nobody else can read.
 */
#include "command.h"

#include "check.h"
#include "identity.h"
#include "json_out.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

enum { ACCOUNT_MAX = 64, Z85_LEN = 40, SECRET_MODE = 0600, PUBLIC_MODE = 0644 };

static const struct drv_option options[] = {
    {.name = "role",
     .kind = DRV_OPTION_STRING,
     .argument = "ROLE,...",
     .help = "what the key is to be allowed: submit, work, observe, admin; or broker, for the "
             "key of the broker itself",
     .fallback = "submit,observe"},
    {.name = "queues",
     .kind = DRV_OPTION_STRING,
     .argument = "PATTERN,...",
     .help = "the queues that it is kept to, with * for any characters"},
    {.name = "out",
     .kind = DRV_OPTION_STRING,
     .argument = "DIR",
     .help = "where the files are put",
     .fallback = "."},
};

struct pair {
    struct drv_curve_key public_key, secret_key;
    char secret_path[PATH_MAX], public_path[PATH_MAX];
    struct drv_identity broker; /* its key, if that is known */
};

static bool is_list_of(const char *text, const char *const *words)
{
    while (*text != '\0') {
        size_t len = strcspn(text, ",");
        size_t i = 0;
        while (words[i] != NULL &&
               (strlen(words[i]) != len || strncmp(words[i], text, len) != 0)) {
            i++;
        }
        if (words[i] == NULL || text[len + (text[len] == ',')] == ',' ||
            (text[len] == ',' && text[len + 1] == '\0')) {
            return false;
        }
        text += len + (text[len] == ',' ? 1 : 0);
    }
    return true;
}

static int check(const char *account, const char *roles, const char *queues)
{
    static const char *const words[] = {"submit", "work", "observe", "admin", NULL};
    if (!drover_name_is_valid(account) || strlen(account) > ACCOUNT_MAX ||
        strcmp(account, "none") == 0) {
        return cli_say(CLI_USAGE, "keygen: %s cannot be the name of an account", account);
    }
    if (roles[0] == '\0' || (strcmp(roles, "broker") != 0 && !is_list_of(roles, words))) {
        return cli_say(CLI_USAGE,
                       "keygen: --role %s: want submit, work, observe, admin, with commas; or "
                       "broker",
                       roles);
    }
    if (queues != NULL &&
        (queues[0] == '\0' ||
         strspn(queues,
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-*,") !=
             strlen(queues))) {
        return cli_say(CLI_USAGE, "keygen: --queues %s: want names, with * and commas", queues);
    }
    return CLI_OK;
}

static int make(struct pair *pair)
{
    char public_text[Z85_LEN + 1], secret_text[Z85_LEN + 1];
    bool is_made = zmq_curve_keypair(public_text, secret_text) == 0 &&
                   zmq_z85_decode(pair->public_key.bytes, public_text) != NULL &&
                   zmq_z85_decode(pair->secret_key.bytes, secret_text) != NULL;
    explicit_bzero(secret_text, sizeof(secret_text));
    return is_made ? CLI_OK : cli_say(CLI_SOFTWARE, "keygen: %s", zmq_strerror(errno));
}

/* A new file with the text, whole and on the disk, or none. */
static int write_file(const char *path, mode_t mode, const char *text, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0) {
        return cli_say(CLI_IO, "keygen: %s: %s", path, strerror(errno));
    }
    bool is_written = fchmod(fd, mode) == 0 && write(fd, text, len) == (ssize_t)len &&
                      fsync(fd) == 0;
    int error = errno;
    if (close(fd) != 0 || !is_written) {
        (void)unlink(path);
        return cli_say(CLI_IO, "keygen: %s: %s", path, strerror(error));
    }
    return CLI_OK;
}

static int write_secret(const struct pair *pair, const char *account, const char *public_text)
{
    char secret[DRV_KEY_TEXT_LEN + 1], broker[DRV_KEY_TEXT_LEN + 1];
    char text[DRV_IDENTITY_FILE_MAX];
    drv_curve_key_format(&pair->secret_key, secret);
    drv_curve_key_format(&pair->broker.broker_key, broker);
    int len = snprintf(text, sizeof(text),
                       "# key pair of %s: the secret is for nobody else\npublic %s\nsecret "
                       "%s\n%s%s%s",
                       account, public_text, secret, pair->broker.has_broker ? "broker " : "",
                       pair->broker.has_broker ? broker : "",
                       pair->broker.has_broker ? "\n" : "");
    int code = write_file(pair->secret_path, SECRET_MODE, text, (size_t)len);
    explicit_bzero(secret, sizeof(secret));
    explicit_bzero(text, sizeof(text));
    return code;
}

static int write_public(const struct pair *pair, const char *account, const char *public_text)
{
    char text[DRV_IDENTITY_FILE_MAX];
    int len = snprintf(text, sizeof(text), "# public key of %s\npublic %s\n", account,
                       public_text);
    int code = write_file(pair->public_path, PUBLIC_MODE, text, (size_t)len);
    if (code != CLI_OK) {
        (void)unlink(pair->secret_path);
    }
    return code;
}

static int print(const struct cli *cli, const struct pair *pair, const char *account,
                 const char *public_text)
{
    const char *roles = drv_options_string(cli->options, "role");
    const char *queues = drv_options_string(cli->options, "queues");
    char line[1024];
    bool is_broker = strcmp(roles, "broker") == 0;
    (void)snprintf(line, sizeof(line), "key %s %s %s%s%s", account, public_text, roles,
                   queues != NULL ? " queues=" : "", queues != NULL ? queues : "");
    if (cli->json) {
        struct json_out json;
        json_begin(&json);
        json_key_text(&json, "account", account);
        json_key_text(&json, "public", public_text);
        json_key_text(&json, "identity", pair->secret_path);
        json_key_text(&json, "public_file", pair->public_path);
        if (!is_broker) {
            json_key_text(&json, "line", line);
        }
        return json_print(&json);
    }
    bool is_printed = is_broker ? puts(public_text) >= 0 : puts(line) >= 0;
    return is_printed ? CLI_OK : cli_write_failed();
}

static int make_files(const struct cli *cli, struct pair *pair, const char *account)
{
    char public_text[DRV_KEY_TEXT_LEN + 1];
    int code = make(pair);
    drv_curve_key_format(&pair->public_key, public_text);
    if (code == CLI_OK) {
        code = write_secret(pair, account, public_text);
    }
    if (code == CLI_OK) {
        code = write_public(pair, account, public_text);
    }
    return code == CLI_OK ? print(cli, pair, account, public_text) : code;
}

static int run(struct cli *cli)
{
    const char *account = cli_operand(cli, 0);
    const char *broker = drv_options_string(cli->options, "broker-key");
    const char *directory = drv_options_string(cli->options, "out");
    struct pair pair = {.broker = {.has_own = false}};
    struct drv_problem problem = {""};
    int code = check(account, drv_options_string(cli->options, "role"),
                     drv_options_string(cli->options, "queues"));
    if (code != CLI_OK) {
        return code;
    }
    if (broker != NULL) {
        drover_status status = drv_identity_read_broker(&pair.broker, "--broker-key", broker,
                                                        &problem);
        if (status != DROVER_OK) {
            return cli_say_status(cli_exit_code(status), status, "keygen: %s", problem.text);
        }
    }
    int secret_len = snprintf(pair.secret_path, sizeof(pair.secret_path), "%s/%s.key",
                              directory, account);
    (void)snprintf(pair.public_path, sizeof(pair.public_path), "%s/%s.pub", directory, account);
    if (secret_len >= (int)sizeof(pair.secret_path)) {
        return cli_say(CLI_USAGE, "keygen: --out: the path is too long");
    }
    code = make_files(cli, &pair, account);
    explicit_bzero(&pair, sizeof(pair));
    return code;
}

const struct cli_command cmd_keygen = {
    .name = "keygen",
    .summary = "make a key pair",
    .usage = "ACCOUNT [--role ROLE,...] [--queues PATTERN,...] [--out DIR]",
    .about = "Makes ACCOUNT.key, a secret that only you can read, for --identity, and\n"
             "ACCOUNT.pub, and prints the line for the broker's table (--accounts). With\n"
             "--broker-key, or DROVER_BROKER_KEY, the broker's public key is put into\n"
             "ACCOUNT.key, so that this file is all that its owner needs. With --role broker\n"
             "the pair is the broker's own, and its public key is printed. Files that are\n"
             "there already are left alone, exit code 74.",
    .options = options,
    .option_count = DRV_ARRAY_LEN(options),
    .operand_min = 1,
    .operand_max = 1,
    .run = run,
};
