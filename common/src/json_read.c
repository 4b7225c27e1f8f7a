/*
 * json_read.c: msgpack from JSON (RFC 8259); see json.h.
 *
 * The text is checked for UTF-8 once, then read in one pass with a stack of open containers.
 * How many items a container has is known when it closes; its header of five bytes is then
 * replaced by the shortest one, so that equal JSON gives equal msgpack.
 */
#include "json.h"

#include "check.h"
#include "pack.h"
#include "reader.h"
#include "utf8.h"

#include <drover/value.h>

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_LEN 5
#define NUMBER_LEN_MAX 1000 /* characters of one number */

struct level {
    size_t position; /* of the header in the output */
    size_t count;    /* items or pairs so far */
    bool is_map;
};

struct parser {
    const uint8_t *start;
    const uint8_t *at;
    const uint8_t *end;
    struct drv_pack pack;
    struct drv_problem *problem; /* borrowed; may be NULL */
    size_t depth;
    struct level levels[DROVER_VALUE_DEPTH_MAX];
};

/* ---- errors ------------------------------------------------------------------------------ */

/* Sets the problem with the place of `at`, counted in characters from 1. */
static drover_status complain_at(const struct parser *parser, const uint8_t *at,
                                 drover_status status, const char *why)
{
    size_t line = 1;
    size_t column = 1;
    for (const uint8_t *p = parser->start; p < at; p++) {
        if (*p == '\n') {
            line++;
            column = 1;
        } else if ((*p & 0xc0) != 0x80) {
            column++;
        }
    }
    return drv_problem_set(parser->problem, status, "line %zu, column %zu: %s", line, column,
                           why);
}

static drover_status complain(const struct parser *parser, const char *why)
{
    return complain_at(parser, parser->at, DROVER_MALFORMED, why);
}

static drover_status complain_expected(const struct parser *parser, const char *expected)
{
    char why[80];
    const char *found = parser->at == parser->end ? ", found the end" : "";
    (void)snprintf(why, sizeof why, "expected %s%s", expected, found);
    return complain(parser, why);
}

/* ---- characters -------------------------------------------------------------------------- */

static uint8_t next_byte(const struct parser *parser)
{
    return parser->at == parser->end ? '\0' : *parser->at;
}

static void skip_space(struct parser *parser)
{
    while (parser->at < parser->end && memchr(" \t\r\n", *parser->at, 4) != NULL) {
        parser->at++;
    }
}

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static bool take(struct parser *parser, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(parser->end - parser->at) < len || memcmp(parser->at, word, len) != 0) {
        return false;
    }
    parser->at += len;
    return true;
}

/* ---- strings ----------------------------------------------------------------------------- */

static bool read_hex4(struct parser *parser, uint32_t *out_unit)
{
    uint32_t unit = 0;
    for (int i = 0; i < 4; i++) {
        uint8_t c = next_byte(parser);
        uint32_t digit = 16;
        if (is_digit(c)) {
            digit = (uint32_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            digit = (uint32_t)(c - 'a' + 10);
        } else if (c >= 'A' && c <= 'F') {
            digit = (uint32_t)(c - 'A' + 10);
        }
        if (digit == 16) {
            return false;
        }
        unit = unit << 4 | digit;
        parser->at++;
    }
    *out_unit = unit;
    return true;
}

/* Behind "\u": four hex digits, or two surrogates that make one code point. */
static drover_status read_unicode(struct parser *parser, uint32_t *out_code)
{
    uint32_t unit;
    uint32_t low;
    if (!read_hex4(parser, &unit)) {
        return complain(parser, "expected four hex digits");
    }
    if (unit >= 0xd800 && unit <= 0xdfff) {
        if (unit >= 0xdc00 || !take(parser, "\\u") || !read_hex4(parser, &low) ||
            low < 0xdc00 || low > 0xdfff) {
            return complain(parser, "a surrogate stands alone");
        }
        unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
    }
    *out_code = unit;
    return DROVER_OK;
}

static drover_status read_escape(struct parser *parser)
{
    static const char named[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    uint8_t c = next_byte(parser);
    uint32_t code = 0;
    for (size_t i = 0; named[i] != '\0'; i += 2) {
        if (c == (uint8_t)named[i]) {
            code = (uint8_t)named[i + 1];
        }
    }
    if (code != 0) {
        parser->at++;
    } else if (c == 'u') {
        parser->at++;
        drover_status status = read_unicode(parser, &code);
        if (status) {
            return status;
        }
    } else {
        return complain(parser, "unknown escape");
    }
    uint8_t bytes[DRV_UTF8_LEN_MAX];
    size_t len = drv_utf8_encode(code, bytes);
    drv_pack_raw(&parser->pack, bytes, len);
    return DROVER_OK;
}

/* Replaces the header of HEADER_LEN bytes at position by the bytes written behind the body. */
static void settle_header(struct parser *parser, size_t position, size_t body_end)
{
    if (parser->pack.failed) {
        return;
    }
    uint8_t header[HEADER_LEN];
    struct drv_buffer *out = parser->pack.buffer;
    size_t len = out->len - body_end;
    DRV_ASSERT(len <= HEADER_LEN);
    memcpy(header, out->bytes + body_end, len);
    out->len = body_end;
    parser->pack.failed = drv_buffer_splice(out, position, HEADER_LEN, header, len) !=
                          DROVER_OK;
}

static drover_status read_string(struct parser *parser)
{
    const uint8_t *open = parser->at++;
    size_t position = drv_pack_array_open(&parser->pack);
    while (next_byte(parser) != '"') {
        const uint8_t *plain = parser->at;
        while (parser->at < parser->end && *parser->at >= 0x20 && *parser->at != '"' &&
               *parser->at != '\\') {
            parser->at++;
        }
        drv_pack_raw(&parser->pack, plain, (size_t)(parser->at - plain));
        if (parser->at == parser->end) {
            return complain_at(parser, open, DROVER_MALFORMED, "the string does not end");
        }
        if (*parser->at < 0x20) {
            return complain(parser, "control character in a string");
        }
        if (*parser->at == '\\') {
            parser->at++;
            drover_status status = read_escape(parser);
            if (status) {
                return status;
            }
        }
    }
    parser->at++;
    if (!parser->pack.failed) {
        size_t body_end = parser->pack.buffer->len;
        drv_pack_str_header(&parser->pack, body_end - position - HEADER_LEN);
        settle_header(parser, position, body_end);
    }
    return DROVER_OK;
}

/* ---- numbers ----------------------------------------------------------------------------- */

/* Steps over a number by the grammar; false when it is none. */
static bool scan_number(struct parser *parser, bool *out_is_integer)
{
    (void)take(parser, "-");
    bool leading_zero = next_byte(parser) == '0';
    const uint8_t *digits = parser->at;
    while (is_digit(next_byte(parser))) {
        parser->at++;
    }
    if (parser->at == digits || (leading_zero && parser->at > digits + 1)) {
        return false;
    }
    *out_is_integer = true;
    if (take(parser, ".")) {
        *out_is_integer = false;
        if (!is_digit(next_byte(parser))) {
            return false;
        }
        while (is_digit(next_byte(parser))) {
            parser->at++;
        }
    }
    if (take(parser, "e") || take(parser, "E")) {
        *out_is_integer = false;
        if (!take(parser, "+")) {
            (void)take(parser, "-");
        }
        if (!is_digit(next_byte(parser))) {
            return false;
        }
        while (is_digit(next_byte(parser))) {
            parser->at++;
        }
    }
    return true;
}

/* Packs text (digits, perhaps with a sign) exactly; false when it has more than 64 bits. */
static bool pack_integer(struct parser *parser, const uint8_t *text, const uint8_t *end)
{
    bool negative = *text == '-';
    uint64_t magnitude = 0;
    for (const uint8_t *p = text + negative; p < end; p++) {
        unsigned digit = *p - (unsigned)'0';
        if (magnitude > (UINT64_MAX - digit) / 10) {
            return false;
        }
        magnitude = magnitude * 10 + digit;
    }
    if (!negative) {
        drv_pack_uint(&parser->pack, magnitude);
        return true;
    }
    if (magnitude > (uint64_t)INT64_MAX + 1) {
        return false;
    }
    drv_pack_int(&parser->pack, (int64_t)(0 - magnitude));
    return true;
}

/* Packs text as a double, in the C locale; false when it is too large for one. */
static bool pack_double(struct parser *parser, const uint8_t *text, size_t len)
{
    char copy[NUMBER_LEN_MAX + 1];
    memcpy(copy, text, len);
    copy[len] = '\0';
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (c_locale == (locale_t)0) {
        parser->pack.failed = true;
        return true;
    }
    double number = strtod_l(copy, NULL, c_locale);
    freelocale(c_locale);
    if (!isfinite(number)) {
        return false;
    }
    drv_pack_double(&parser->pack, number);
    return true;
}

static drover_status read_number(struct parser *parser)
{
    const uint8_t *start = parser->at;
    bool is_integer;
    if (!scan_number(parser, &is_integer)) {
        return complain(parser, "malformed number");
    }
    size_t len = (size_t)(parser->at - start);
    if (len > NUMBER_LEN_MAX) {
        return complain_at(parser, start, DROVER_MALFORMED, "number too long");
    }
    if (is_integer && !pack_integer(parser, start, parser->at)) {
        return complain_at(parser, start, DROVER_MALFORMED, "integer beyond 64 bits");
    }
    if (!is_integer && !pack_double(parser, start, len)) {
        return complain_at(parser, start, DROVER_MALFORMED, "number too large");
    }
    return DROVER_OK;
}

/* ---- containers -------------------------------------------------------------------------- */

static drover_status open_container(struct parser *parser)
{
    if (parser->depth == DROVER_VALUE_DEPTH_MAX) {
        return complain_at(parser, parser->at, DROVER_LIMIT, "nested too deep");
    }
    parser->levels[parser->depth++] = (struct level){
        .position = drv_pack_array_open(&parser->pack), .is_map = *parser->at == '{'};
    parser->at++;
    return DROVER_OK;
}

static int compare_views(const void *a, const void *b)
{
    const struct drv_view *x = (const struct drv_view *)a;
    const struct drv_view *y = (const struct drv_view *)b;
    size_t len = x->len < y->len ? x->len : y->len;
    int order = len == 0 ? 0 : memcmp(x->bytes, y->bytes, len);
    return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

/* Whether the count pairs from position to the end of the output have equal keys. */
static drover_status find_duplicate(struct parser *parser, size_t position, size_t count,
                                    bool *out_found)
{
    *out_found = false;
    if (count < 2) {
        return DROVER_OK;
    }
    struct drv_view *keys = calloc(count, sizeof *keys);
    if (keys == NULL) {
        return DROVER_NOMEM;
    }
    struct drv_cursor cursor;
    const struct drv_buffer *out = parser->pack.buffer;
    drv_cursor_init(&cursor, out->bytes + position, out->len - position);
    for (size_t i = 0; i < count; i++) {
        keys[i] = drv_cursor_str(&cursor);
        drv_cursor_skip(&cursor);
    }
    DRV_ASSERT(drv_cursor_is_ok(&cursor) && drv_cursor_is_at_end(&cursor));
    qsort(keys, count, sizeof *keys, compare_views);
    for (size_t i = 1; i < count && !*out_found; i++) {
        *out_found = drv_view_equal(keys[i - 1], keys[i]);
    }
    free(keys);
    return DROVER_OK;
}

/* At the closing bracket. */
static drover_status close_container(struct parser *parser)
{
    const struct level level = parser->levels[--parser->depth];
    if (parser->pack.failed) {
        return DROVER_NOMEM;
    }
    if (level.is_map) {
        bool found;
        drover_status status = find_duplicate(parser, level.position + HEADER_LEN, level.count,
                                              &found);
        if (status) {
            return status;
        }
        if (found) {
            return complain(parser, "a key comes twice in this object");
        }
    }
    size_t body_end = parser->pack.buffer->len;
    if (level.is_map) {
        drv_pack_map(&parser->pack, level.count);
    } else {
        drv_pack_array(&parser->pack, level.count);
    }
    settle_header(parser, level.position, body_end);
    parser->at++;
    return DROVER_OK;
}

/* Reads a scalar whole, or the opening bracket of a container. */
static drover_status read_value(struct parser *parser)
{
    skip_space(parser);
    uint8_t c = next_byte(parser);
    if (c == '{' || c == '[') {
        return open_container(parser);
    }
    if (c == '"') {
        return read_string(parser);
    }
    if (c == '-' || is_digit(c)) {
        return read_number(parser);
    }
    if (take(parser, "null")) {
        drv_pack_nil(&parser->pack);
    } else if (take(parser, "true")) {
        drv_pack_bool(&parser->pack, true);
    } else if (take(parser, "false")) {
        drv_pack_bool(&parser->pack, false);
    } else {
        return complain_expected(parser, "a value");
    }
    return DROVER_OK;
}

/* A key and its colon. */
static drover_status read_key(struct parser *parser)
{
    skip_space(parser);
    if (next_byte(parser) != '"') {
        return complain_expected(parser, "a key in quotes");
    }
    drover_status status = read_string(parser);
    if (status) {
        return status;
    }
    skip_space(parser);
    return take(parser, ":") ? DROVER_OK : complain_expected(parser, "':'");
}

/* Goes on inside the innermost container: the next item or pair, or its end. */
static drover_status read_inside(struct parser *parser)
{
    struct level *level = &parser->levels[parser->depth - 1];
    uint8_t closing = level->is_map ? '}' : ']';
    skip_space(parser);
    if (next_byte(parser) == closing) {
        return close_container(parser);
    }
    if (level->count > 0 && !take(parser, ",")) {
        return complain_expected(parser, level->is_map ? "',' or '}'" : "',' or ']'");
    }
    level->count++;
    drover_status status = level->is_map ? read_key(parser) : DROVER_OK;
    return status ? status : read_value(parser);
}

static const uint8_t *first_invalid(struct drv_view text)
{
    size_t at = 0;
    uint32_t code;
    for (size_t count; at < text.len; at += count) {
        count = drv_utf8_decode(text.bytes + at, text.len - at, &code);
        if (count == 0) {
            break;
        }
    }
    return text.bytes + at;
}

drover_status drv_json_read(struct drv_view text, struct drv_buffer *out,
                            struct drv_problem *problem)
{
    struct parser parser = {.start = text.bytes,
                            .at = text.bytes,
                            .end = text.len == 0 ? text.bytes : text.bytes + text.len,
                            .problem = problem};
    drv_pack_init(&parser.pack, out);
    if (!drv_utf8_is_valid(text.bytes, text.len)) {
        return complain_at(&parser, first_invalid(text), DROVER_MALFORMED,
                           "bytes that are not UTF-8");
    }
    drover_status status = read_value(&parser);
    while (!status && parser.depth > 0) {
        status = read_inside(&parser);
    }
    if (status) {
        return status;
    }
    skip_space(&parser);
    if (parser.at != parser.end) {
        return complain_expected(&parser, "the end");
    }
    return drv_pack_status(&parser.pack);
}
