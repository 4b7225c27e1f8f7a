/*
 * json_write.c: JSON from msgpack; see json.h. A stack of open containers instead of
 * recursion.
 */
#include "json.h"

#include "b64.h"
#include "escape.h"
#include "reader.h"
#include "utf8.h"

#include <drover/value.h>

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INDENT 2

struct level {
    uint64_t left; /* items or pairs to come */
    bool is_map;
    bool is_first; /* nothing written inside yet */
};

struct writer {
    struct drv_cursor cursor;
    struct drv_buffer *out; /* borrowed */
    drover_status status;   /* sticky */
    bool pretty;
    size_t depth; /* open containers */
    struct level levels[DROVER_VALUE_DEPTH_MAX];
};

static void put(struct writer *writer, const char *text)
{
    if (!writer->status) {
        writer->status = drv_buffer_append_text(writer->out, text);
    }
}

static void put_line_break(struct writer *writer)
{
    if (!writer->pretty) {
        return;
    }
    put(writer, "\n");
    for (size_t i = 0; i < writer->depth * INDENT; i++) {
        put(writer, " ");
    }
}

/* ---- scalars ----------------------------------------------------------------------------- */

static int escape_code(uint32_t code, char *out, size_t size)
{
    static const char named[] = "\bb\ff\nn\rr\tt\"\"\\\\";
    for (size_t i = 0; named[i] != '\0'; i += 2) {
        if (code == (uint32_t)named[i]) {
            return snprintf(out, size, "\\%c", named[i + 1]);
        }
    }
    if (code < 0x10000) {
        return snprintf(out, size, "\\u%04x", (unsigned)code);
    }
    code -= 0x10000;
    return snprintf(out, size, "\\u%04x\\u%04x", (unsigned)(0xd800 + (code >> 10)),
                    (unsigned)(0xdc00 + (code & 0x3ff)));
}

/* How many of the first bytes are of ASCII and stand for themselves: nearly always all. */
static size_t plain_ascii(struct drv_view text)
{
    size_t at = 0;
    while (at < text.len && text.bytes[at] >= 0x20 && text.bytes[at] < 0x7f &&
           text.bytes[at] != '"' && text.bytes[at] != '\\') {
        at++;
    }
    return at;
}

static drover_status write_plain(struct drv_view text, struct drv_buffer *out)
{
    drover_status status = drv_buffer_reserve(out, text.len + 2);
    if (!status) {
        uint8_t *at = out->bytes + out->len;
        at[0] = '"';
        if (text.len > 0) {
            memcpy(at + 1, text.bytes, text.len);
        }
        at[text.len + 1] = '"';
        at[text.len + 2] = '\0';
        out->len += text.len + 2;
    }
    return status;
}

drover_status drv_json_write_string(struct drv_view text, struct drv_buffer *out)
{
    static const char replacement[] = "\xef\xbf\xbd";
    size_t plain = 0; /* start of what can be copied as it is */
    size_t at = plain_ascii(text);
    if (at == text.len) {
        return write_plain(text, out);
    }
    drover_status status = drv_buffer_append_byte(out, '"');
    while (!status && at < text.len) {
        uint32_t code;
        size_t count = drv_utf8_decode(text.bytes + at, text.len - at, &code);
        if (count > 0 && code != '"' && drv_escape_is_plain(code)) {
            at += count;
            continue;
        }
        char escaped[16];
        int len = count == 0 ? snprintf(escaped, sizeof escaped, "%s", replacement)
                             : escape_code(code, escaped, sizeof escaped);
        status = drv_buffer_append(out, text.bytes + plain, at - plain);
        if (!status) {
            status = drv_buffer_append(out, escaped, (size_t)len);
        }
        at += count == 0 ? 1 : count;
        plain = at;
    }
    if (!status && at > plain) {
        status = drv_buffer_append(out, text.bytes + plain, at - plain);
    }
    return status ? status : drv_buffer_append_byte(out, '"');
}

/* The shortest text that reads back as number, in the C locale. */
static void format_double(double number, char *out, size_t size)
{
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    locale_t previous = c_locale == (locale_t)0 ? (locale_t)0 : uselocale(c_locale);
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(out, size, "%.*g", digits, number);
        if (strtod(out, NULL) == number) {
            break;
        }
    }
    if (c_locale != (locale_t)0) {
        (void)uselocale(previous);
        freelocale(c_locale);
    }
}

/* The digits of a number, before end. */
static char *put_digits(uint64_t number, char *end)
{
    do {
        *--end = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return end;
}

/* What has three digits behind the point or fewer, and fifteen in all at most, as nearly all
 * that is measured: its text is its thousandths. False: it is not of that kind. */
static bool write_thousandths(double number, struct drv_buffer *out, drover_status *out_status)
{
    double thousandths = number * 1000;
    bool is_small = number == 0 ? signbit(number) != 0 : number < 0.001;
    if (is_small || !(number < 1e12) || floor(thousandths) != thousandths ||
        thousandths / 1000 != number) {
        return false;
    }
    char text[40];
    char *end = text + sizeof text;
    uint64_t whole = (uint64_t)thousandths;
    unsigned digits = (unsigned)(whole % 1000);
    unsigned width = digits % 10 != 0 ? 3 : digits % 100 != 0 ? 2 : 1;
    for (unsigned i = 0; i < 3; i++) {
        char digit = (char)('0' + digits % 10);
        digits /= 10;
        if (i >= 3 - width) {
            *--end = digit;
        }
    }
    *--end = '.';
    char *begin = put_digits(whole / 1000, end);
    *out_status = drv_buffer_append(out, begin, (size_t)(text + sizeof text - begin));
    return true;
}

drover_status drv_json_write_double(double number, struct drv_buffer *out)
{
    drover_status status;
    if (!isfinite(number)) {
        return drv_buffer_append_text(out, "null");
    }
    if (write_thousandths(number, out, &status)) {
        return status;
    }
    char text[40];
    format_double(number, text, sizeof text);
    /* Without a point or an exponent it would be read back as an integer. */
    const char *end = strpbrk(text, ".e") == NULL ? ".0" : "";
    return drv_buffer_printf(out, "%s%s", text, end);
}

static void write_int(struct writer *writer)
{
    struct drv_cursor ahead = writer->cursor;
    char text[32];
    char *end = text + sizeof text;
    uint64_t number = drv_cursor_uint(&ahead);
    int64_t negative = 0;
    if (drv_cursor_is_ok(&ahead)) {
        writer->cursor = ahead;
    } else {
        negative = drv_cursor_int(&writer->cursor);
        number = 0 - (uint64_t)negative;
    }
    char *begin = put_digits(number, end);
    if (negative < 0) {
        *--begin = '-';
    }
    if (!writer->status) {
        writer->status = drv_buffer_append(writer->out, begin, (size_t)(end - begin));
    }
}

static void write_base64(struct writer *writer, struct drv_view bytes)
{
    put(writer, "\"");
    if (!writer->status) {
        writer->status = drv_b64_encode(bytes, writer->out);
    }
    put(writer, "\"");
}

static void write_string(struct writer *writer)
{
    struct drv_view text = drv_cursor_str(&writer->cursor);
    if (!writer->status) {
        writer->status = drv_json_write_string(text, writer->out);
    }
}

static void write_number(struct writer *writer)
{
    double number = drv_cursor_double(&writer->cursor);
    if (!writer->status) {
        writer->status = drv_json_write_double(number, writer->out);
    }
}

/* ---- containers -------------------------------------------------------------------------- */

static void open_container(struct writer *writer, bool is_map)
{
    uint64_t count = is_map ? drv_cursor_map(&writer->cursor)
                            : drv_cursor_array(&writer->cursor);
    if (writer->depth == DROVER_VALUE_DEPTH_MAX) {
        drv_cursor_fail(&writer->cursor);
        return;
    }
    put(writer, is_map ? "{" : "[");
    writer->levels[writer->depth++] = (struct level){
        .left = count, .is_map = is_map, .is_first = true};
}

static void close_container(struct writer *writer)
{
    const struct level level = writer->levels[--writer->depth];
    if (!level.is_first) {
        put_line_break(writer);
    }
    put(writer, level.is_map ? "}" : "]");
}

static void write_value(struct writer *writer)
{
    switch (drv_cursor_peek(&writer->cursor)) {
    case DRV_TYPE_NIL:
        drv_cursor_nil(&writer->cursor);
        put(writer, "null");
        break;
    case DRV_TYPE_BOOL:
        put(writer, drv_cursor_bool(&writer->cursor) ? "true" : "false");
        break;
    case DRV_TYPE_INT:
        write_int(writer);
        break;
    case DRV_TYPE_DOUBLE:
        write_number(writer);
        break;
    case DRV_TYPE_STR:
        write_string(writer);
        break;
    case DRV_TYPE_BIN:
        write_base64(writer, drv_cursor_bin(&writer->cursor));
        break;
    case DRV_TYPE_ARRAY:
        open_container(writer, false);
        break;
    case DRV_TYPE_MAP:
        open_container(writer, true);
        break;
    case DRV_TYPE_END:
    case DRV_TYPE_BAD:
        drv_cursor_fail(&writer->cursor);
        break;
    }
}

/*
 * Scalar keys become strings of their JSON text, containers base64 of their msgpack: to quote
 * the JSON of keys in keys would double their backslashes at every level.
 */
static void write_key(struct writer *writer)
{
    enum drv_type type = drv_cursor_peek(&writer->cursor);
    if (type == DRV_TYPE_STR || type == DRV_TYPE_BIN) {
        write_value(writer);
    } else if (type == DRV_TYPE_ARRAY || type == DRV_TYPE_MAP) {
        write_base64(writer, drv_cursor_value(&writer->cursor));
    } else {
        put(writer, "\"");
        write_value(writer);
        put(writer, "\"");
    }
    put(writer, writer->pretty ? ": " : ":");
}

drover_status drv_json_write(struct drv_view msgpack, bool pretty, struct drv_buffer *out)
{
    struct writer writer = {.out = out, .pretty = pretty};
    drv_cursor_init(&writer.cursor, msgpack.bytes, msgpack.len);
    write_value(&writer);
    while (writer.depth > 0 && !writer.status && drv_cursor_is_ok(&writer.cursor)) {
        struct level *level = &writer.levels[writer.depth - 1];
        if (level->left == 0) {
            close_container(&writer);
            continue;
        }
        level->left--;
        if (!level->is_first) {
            put(&writer, ",");
        }
        level->is_first = false;
        put_line_break(&writer);
        if (level->is_map) {
            write_key(&writer);
        }
        write_value(&writer);
    }
    if (writer.status) {
        return writer.status;
    }
    bool whole = drv_cursor_is_ok(&writer.cursor) && drv_cursor_is_at_end(&writer.cursor);
    return whole ? DROVER_OK : DROVER_MALFORMED;
}
