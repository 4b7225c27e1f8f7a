/* accounts.c: see accounts.h. */
#include "accounts.h"

#include "check.h"
#include "identity.h"
#include "text.h"
#include "units.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct parser {
    struct access *access;
    struct drv_problem *problem;
    const char *path;
    size_t line;
    struct drv_str rest; /* of the line */
};

static drover_status wrong(const struct parser *parser, drover_status status, const char *text,
                           struct drv_str word)
{
    return drv_problem_set(parser->problem, status, "%s:%zu: %s%s%.*s", parser->path,
                           parser->line, text, word.len > 0 ? ": " : "",
                           (int)(word.len < 80 ? word.len : 80), word.len > 0 ? word.ptr : "");
}

static const struct drv_str NO_WORD = {NULL, 0};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next word of the line; without bytes at its end. */
static struct drv_str next_word(struct parser *parser)
{
    struct drv_str *rest = &parser->rest;
    while (rest->len > 0 && is_blank(rest->ptr[0])) {
        *rest = str_of(rest->ptr + 1, rest->len - 1);
    }
    struct drv_str word = str_of(rest->ptr, 0);
    while (word.len < rest->len && !is_blank(rest->ptr[word.len])) {
        word.len++;
    }
    *rest = str_of(rest->ptr + word.len, rest->len - word.len);
    return word;
}

/* What stands before the next comma of a list, which gets shorter. */
static struct drv_str next_item(struct drv_str *list)
{
    const char *comma = list->len == 0 ? NULL : memchr(list->ptr, ',', list->len);
    struct drv_str item = str_of(list->ptr,
                                 comma == NULL ? list->len : (size_t)(comma - list->ptr));
    size_t taken = item.len + (comma == NULL ? 0 : 1);
    *list = str_of(list->ptr + taken, list->len - taken);
    return item;
}

/* NAME=VALUE; false: it is none. */
static bool split_pair(struct drv_str word, struct drv_str *out_name, struct drv_str *out_value)
{
    const char *sign = word.len == 0 ? NULL : memchr(word.ptr, '=', word.len);
    if (sign == NULL) {
        return false;
    }
    *out_name = str_of(word.ptr, (size_t)(sign - word.ptr));
    *out_value = str_of(sign + 1, word.len - out_name->len - 1);
    return true;
}

/* ---- key --------------------------------------------------------------------------------- */

static drover_status read_roles(const struct parser *parser, struct drv_str list,
                                unsigned *out_roles)
{
    unsigned roles = 0;
    do {
        struct drv_str word = next_item(&list);
        unsigned role = access_role_parse(word);
        if (role == 0) {
            return wrong(parser, DROVER_INVALID,
                         "want the roles submit, work, observe, admin, with commas", word);
        }
        roles |= role;
    } while (list.len > 0);
    *out_roles = roles;
    return DROVER_OK;
}

static drover_status read_patterns(const struct parser *parser, struct drv_str word,
                                   struct drv_str patterns[ACCESS_PATTERNS_MAX],
                                   size_t *out_count)
{
    struct drv_str name, list;
    size_t count = 0;
    if (word.len == 0) {
        *out_count = 0;
        return DROVER_OK;
    }
    if (!split_pair(word, &name, &list) || !str_equals(name, drv_str_of("queues"))) {
        return wrong(parser, DROVER_INVALID, "want queues=PATTERN,... or nothing", word);
    }
    do {
        struct drv_str pattern = next_item(&list);
        if (count == ACCESS_PATTERNS_MAX) {
            return wrong(parser, DROVER_LIMIT, "too many patterns", pattern);
        }
        if (!access_pattern_is_fine(pattern)) {
            return wrong(parser, DROVER_INVALID, "no pattern of queues", pattern);
        }
        patterns[count++] = pattern;
    } while (list.len > 0);
    *out_count = count;
    return DROVER_OK;
}

static drover_status read_key(struct parser *parser)
{
    struct drv_str patterns[ACCESS_PATTERNS_MAX];
    struct drv_curve_key key;
    size_t count = 0;
    unsigned roles = 0;
    struct drv_str account = next_word(parser);
    struct drv_str digits = next_word(parser);
    struct drv_str list = next_word(parser);
    struct drv_str queues = next_word(parser);
    struct drv_str more = next_word(parser);
    if (!access_name_is_fine(account)) {
        return wrong(parser, DROVER_INVALID, "no name for an account", account);
    }
    if (!drv_curve_key_parse(digits.ptr, digits.len, &key)) {
        return wrong(parser, DROVER_INVALID,
                     "want the public key as 64 hexadecimal digits behind the account",
                     NO_WORD);
    }
    drover_status status = read_roles(parser, list, &roles);
    if (status == DROVER_OK) {
        status = read_patterns(parser, queues, patterns, &count);
    }
    if (status == DROVER_OK && more.len > 0) {
        status = wrong(parser, DROVER_INVALID, "what is this", more);
    }
    if (status != DROVER_OK) {
        return status;
    }
    status = access_add_key(parser->access, account, key.bytes, roles, patterns, count);
    return status == DROVER_OK ? DROVER_OK
           : status == DROVER_CONFLICT
               ? wrong(parser, DROVER_INVALID, "this key stands in the file twice", NO_WORD)
           : status == DROVER_LIMIT
               ? wrong(parser, status, "too many keys", NO_WORD)
               : wrong(parser, status, drover_status_text(status), NO_WORD);
}

/* ---- limit ------------------------------------------------------------------------------- */

static drover_status read_number(const struct parser *parser, enum access_limit limit,
                                 struct drv_str value, uint64_t *out_number)
{
    char text[32];
    if (value.len == 0 || value.len >= sizeof text) {
        return wrong(parser, DROVER_INVALID, "no number", value);
    }
    memcpy(text, value.ptr, value.len);
    text[value.len] = '\0';
    bool is_size = limit == ACCESS_LIMIT_BYTES;
    drover_status status = is_size ? drv_size_parse(text, out_number)
                                   : drv_uint_parse(text, out_number);
    bool is_fine = status == DROVER_OK && (is_size || *out_number <= ACCESS_NUMBER_MAX) &&
                   *out_number > 0;
    return is_fine ? DROVER_OK : wrong(parser, DROVER_INVALID, "no number for this", value);
}

static drover_status read_limit(struct parser *parser)
{
    struct drv_str account = next_word(parser);
    if (!access_name_is_fine(account)) {
        return wrong(parser, DROVER_INVALID, "no name for an account", account);
    }
    struct drv_str word = next_word(parser);
    do {
        struct drv_str name = NO_WORD, value = NO_WORD;
        uint64_t number = 0;
        enum access_limit limit = split_pair(word, &name, &value) ? access_limit_parse(name)
                                                                  : ACCESS_LIMITS;
        if (limit == ACCESS_LIMITS) {
            return wrong(parser, DROVER_INVALID,
                         "want tasks, bytes, rate, results, keys or sessions, and = and a "
                         "number",
                         word);
        }
        drover_status status = read_number(parser, limit, value, &number);
        if (status == DROVER_OK) {
            status = access_set_limit(parser->access, account, limit, number);
            if (status == DROVER_CONFLICT) {
                return wrong(parser, DROVER_INVALID, "this limit stands in the file twice",
                             word);
            }
            if (status != DROVER_OK) {
                return wrong(parser, status, drover_status_text(status), NO_WORD);
            }
        }
        if (status != DROVER_OK) {
            return status;
        }
        word = next_word(parser);
    } while (word.len > 0);
    return DROVER_OK;
}

/* ---- the file ---------------------------------------------------------------------------- */

static drover_status read_line(struct parser *parser)
{
    struct drv_str word = next_word(parser);
    if (word.len == 0 || word.ptr[0] == '#') {
        return DROVER_OK;
    }
    if (str_equals(word, drv_str_of("key"))) {
        return read_key(parser);
    }
    if (str_equals(word, drv_str_of("limit"))) {
        return read_limit(parser);
    }
    return wrong(parser, DROVER_INVALID, "a line begins with key or limit", word);
}

drover_status accounts_parse(const char *path, const char *text, size_t len, uint64_t seed,
                             struct access **out_access, struct drv_problem *problem)
{
    struct parser parser = {.path = path, .problem = problem};
    drover_status status = access_new(seed, &parser.access);
    if (status != DROVER_OK) {
        return drv_problem_set(problem, status, "out of memory");
    }
    for (size_t at = 0; status == DROVER_OK && at < len;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t line_len = end == NULL ? len - at : (size_t)(end - text) - at;
        parser.line++;
        parser.rest = str_of(text + at, line_len);
        status = line_len > ACCOUNTS_LINE_MAX
                     ? wrong(&parser, DROVER_LIMIT, "the line is too long", NO_WORD)
                     : read_line(&parser);
        at += line_len + 1;
    }
    if (status != DROVER_OK) {
        access_destroy(&parser.access);
        return status;
    }
    *out_access = parser.access;
    return DROVER_OK;
}

/* The whole file; *out_text is owned by the caller. */
static drover_status load(int fd, const char *path, char **out_text, size_t *out_len,
                          struct drv_problem *problem)
{
    struct stat stat;
    if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode) || stat.st_size > ACCOUNTS_FILE_MAX) {
        return drv_problem_set(problem, DROVER_INVALID,
                               "--accounts %s: not a file, or too long", path);
    }
    if ((stat.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return drv_problem_set(problem, DROVER_REFUSED,
                               "--accounts %s: others can write to it, chmod 644 it", path);
    }
    char *text = malloc((size_t)stat.st_size + 1);
    if (text == NULL) {
        return drv_problem_set(problem, DROVER_NOMEM, "out of memory");
    }
    size_t len = 0;
    ssize_t got = 1;
    while (got > 0 && len < (size_t)stat.st_size) {
        got = read(fd, text + len, (size_t)stat.st_size - len);
        len += got > 0 ? (size_t)got : 0;
    }
    if (got < 0) {
        free(text);
        return drv_problem_set(problem, DROVER_IO, "--accounts %s: %s", path, strerror(errno));
    }
    *out_text = text;
    *out_len = len;
    return DROVER_OK;
}

drover_status accounts_read(const char *path, uint64_t seed, struct access **out_access,
                            struct drv_problem *problem)
{
    char *text = NULL;
    size_t len = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return drv_problem_set(problem, DROVER_IO, "--accounts %s: %s", path, strerror(errno));
    }
    drover_status status = load(fd, path, &text, &len, problem);
    (void)close(fd);
    if (status == DROVER_OK) {
        status = accounts_parse(path, text, len, seed, out_access, problem);
        free(text);
    }
    return status;
}
