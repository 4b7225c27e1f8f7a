/* identity.c: see identity.h. */
#include "identity.h"

#include "units.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- keys as text ------------------------------------------------------------------------ */

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool drv_curve_key_parse(const char *text, size_t len, struct drv_curve_key *out_key)
{
    struct drv_curve_key key = {{0}};
    bool is_key = len == DRV_KEY_TEXT_LEN;
    for (size_t i = 0; is_key && i < DRV_KEY_BYTES; i++) {
        int high = digit_of(text[2 * i]);
        int low = digit_of(text[2 * i + 1]);
        is_key = high >= 0 && low >= 0;
        key.bytes[i] = is_key ? (uint8_t)(high * 16 + low) : 0;
    }
    if (is_key) {
        *out_key = key;
    }
    explicit_bzero(&key, sizeof key); /* it may be a secret one */
    return is_key;
}

void drv_curve_key_format(const struct drv_curve_key *key, char out_text[DRV_KEY_TEXT_LEN + 1])
{
    static const char DIGITS[] = "0123456789abcdef";
    for (size_t i = 0; i < DRV_KEY_BYTES; i++) {
        out_text[2 * i] = DIGITS[key->bytes[i] >> 4U];
        out_text[2 * i + 1] = DIGITS[key->bytes[i] & 15U];
    }
    out_text[DRV_KEY_TEXT_LEN] = '\0';
}

bool drv_curve_key_equal(const struct drv_curve_key *left, const struct drv_curve_key *right)
{
    return memcmp(left->bytes, right->bytes, DRV_KEY_BYTES) == 0;
}

/* ---- key files --------------------------------------------------------------------------- */

struct key_file {
    struct drv_curve_key public_key, secret_key, broker_key;
    bool has_public, has_secret, has_broker;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next word of the line; what follows it is left in *line, *len. */
static const char *next_word(const char **line, size_t *len, size_t *out_len)
{
    while (*len > 0 && is_blank(**line)) {
        (*line)++;
        (*len)--;
    }
    const char *word = *line;
    while (*len > 0 && !is_blank(**line)) {
        (*line)++;
        (*len)--;
    }
    *out_len = (size_t)(*line - word);
    return word;
}

static bool read_line(const char *line, size_t len, struct key_file *file)
{
    const struct {
        const char *name;
        struct drv_curve_key *key;
        bool *has;
    } words[] = {
        {"public", &file->public_key, &file->has_public},
        {"secret", &file->secret_key, &file->has_secret},
        {"broker", &file->broker_key, &file->has_broker},
    };
    size_t name_len, key_len, rest_len;
    const char *name = next_word(&line, &len, &name_len);
    if (name_len == 0 || name[0] == '#') {
        return true;
    }
    const char *key = next_word(&line, &len, &key_len);
    (void)next_word(&line, &len, &rest_len);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strlen(words[i].name) == name_len && memcmp(words[i].name, name, name_len) == 0) {
            bool is_fine = !*words[i].has && rest_len == 0 &&
                           drv_curve_key_parse(key, key_len, words[i].key);
            *words[i].has = true;
            return is_fine;
        }
    }
    return false;
}

static drover_status read_text(const char *text, size_t len, struct key_file *file,
                               const char *option, const char *path,
                               struct drv_problem *problem)
{
    size_t number = 1;
    for (size_t at = 0; at < len; number++) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t line_len = end == NULL ? len - at : (size_t)(end - text) - at;
        if (!read_line(text + at, line_len, file)) {
            return drv_problem_set(problem, DROVER_INVALID,
                                   "%s %s:%zu: want public, secret or broker, each once, and a "
                                   "key of %d hexadecimal digits",
                                   option, path, number, (int)DRV_KEY_TEXT_LEN);
        }
        at += line_len + 1;
    }
    return DROVER_OK;
}

/* Files that have a secret must be their owner's alone. */
static drover_status check_mode(int fd, const struct key_file *file, const char *option,
                                const char *path, struct drv_problem *problem)
{
    struct stat stat;
    if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode)) {
        return drv_problem_set(problem, DROVER_INVALID, "%s %s: not a file", option, path);
    }
    if (file->has_secret && (stat.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return drv_problem_set(problem, DROVER_REFUSED,
                               "%s %s: others can reach the secret in it, chmod 600 it", option,
                               path);
    }
    return DROVER_OK;
}

static drover_status read_open_file(int fd, struct key_file *file, const char *option,
                                    const char *path, struct drv_problem *problem)
{
    char text[DRV_IDENTITY_FILE_MAX + 1];
    size_t len = 0;
    ssize_t got = 1;
    while (got > 0 && len < sizeof(text)) {
        got = pread(fd, text + len, sizeof(text) - len, (off_t)len);
        len += got > 0 ? (size_t)got : 0;
    }
    drover_status status = got < 0 ? drv_problem_set(problem, DROVER_IO, "%s %s: %s", option,
                                                     path, strerror(errno))
                           : len > DRV_IDENTITY_FILE_MAX
                               ? drv_problem_set(problem, DROVER_INVALID,
                                                 "%s %s: too long for a key file", option, path)
                               : read_text(text, len, file, option, path, problem);
    explicit_bzero(text, sizeof(text));
    return status == DROVER_OK ? check_mode(fd, file, option, path, problem) : status;
}

static drover_status read_file(struct key_file *file, const char *option, const char *path,
                               struct drv_problem *problem)
{
    int given = -1;
    memset(file, 0, sizeof(*file));
    int fd = drv_identity_descriptor(path, &given)
                 ? fcntl(given, F_DUPFD_CLOEXEC, 3)
                 : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return drv_problem_set(problem, DROVER_IO, "%s %s: %s", option, path, strerror(errno));
    }
    drover_status status = read_open_file(fd, file, option, path, problem);
    (void)close(fd);
    return status;
}

/* ---- identities -------------------------------------------------------------------------- */

drover_status drv_identity_read(struct drv_identity *identity, const char *option,
                                const char *path, struct drv_problem *problem)
{
    struct key_file file;
    drover_status status = read_file(&file, option, path, problem);
    if (status == DROVER_OK && !(file.has_public && file.has_secret)) {
        status = drv_problem_set(problem, DROVER_INVALID,
                                 "%s %s: want a line public and a line secret; `drover keygen` "
                                 "makes such files",
                                 option, path);
    }
    if (status == DROVER_OK) {
        identity->has_own = true;
        identity->public_key = file.public_key;
        identity->secret_key = file.secret_key;
        if (file.has_broker) {
            identity->has_broker = true;
            identity->broker_key = file.broker_key;
        }
    }
    explicit_bzero(&file, sizeof(file));
    return status;
}

drover_status drv_identity_read_broker(struct drv_identity *identity, const char *option,
                                       const char *text, struct drv_problem *problem)
{
    struct key_file file;
    if (drv_curve_key_parse(text, strlen(text), &identity->broker_key)) {
        identity->has_broker = true;
        return DROVER_OK;
    }
    drover_status status = read_file(&file, option, text, problem);
    if (status == DROVER_OK && !file.has_public) {
        status = drv_problem_set(problem, DROVER_INVALID, "%s %s: there is no line public",
                                 option, text);
    }
    if (status == DROVER_OK) {
        identity->has_broker = true;
        identity->broker_key = file.public_key;
    }
    explicit_bzero(&file, sizeof(file));
    return status;
}

drover_status drv_identity_load(struct drv_identity *identity, const char *own,
                                const char *broker, struct drv_problem *problem)
{
    drover_status status = DROVER_OK;
    memset(identity, 0, sizeof(*identity));
    if (own != NULL) {
        status = drv_identity_read(identity, "--identity", own, problem);
    }
    if (status == DROVER_OK && broker != NULL) {
        status = drv_identity_read_broker(identity, "--broker-key", broker, problem);
    }
    if (status == DROVER_OK && identity->has_own != identity->has_broker) {
        status = drv_problem_set(
            problem, DROVER_INVALID, "%s",
            identity->has_own
                ? "--identity needs the broker's public key as well: --broker-key, or a line "
                  "broker in the file"
                : "--broker-key needs an own key as well: --identity");
    }
    if (status != DROVER_OK) {
        drv_identity_wipe(identity);
    }
    return status;
}

bool drv_identity_descriptor(const char *text, int *out_fd)
{
    uint64_t number = 0;
    if (text == NULL || strncmp(text, "fd:", 3) != 0 ||
        drv_uint_parse(text + 3, &number) != DROVER_OK || number > INT32_MAX ||
        number == STDOUT_FILENO || number == STDERR_FILENO) {
        return false;
    }
    *out_fd = (int)number;
    return true;
}

void drv_identity_close(const char *text)
{
    int fd;
    if (!drv_identity_descriptor(text, &fd)) {
        return;
    }
    int null = fd == STDIN_FILENO ? open("/dev/null", O_RDONLY | O_CLOEXEC) : -1;
    if (null > 0) {
        (void)dup2(null, fd);
        (void)close(null);
    } else if (null != fd) {
        (void)close(fd);
    }
}

void drv_identity_wipe(struct drv_identity *identity)
{
    explicit_bzero(identity, sizeof(*identity));
}
