/*
 * reader.c: see reader.h. Format: https://github.com/msgpack/msgpack/blob/master/spec.md
 *
 * token_read decodes one head (and steps over the body of a str or bin); validation, skipping
 * and the typed readers are all made of it, so that there is one place that knows the bytes.
 */
#include "reader.h"

#include "check.h"
#include "utf8.h"

#include <drover/value.h>

#include <string.h>

const struct drv_validate_limits DRV_VALIDATE_HEAD = {.depth = 16, .nodes = 65536};
const struct drv_validate_limits DRV_VALIDATE_VALUE = {.depth = DROVER_VALUE_DEPTH_MAX,
                                                       .nodes = DROVER_VALUE_BYTES_MAX};

struct token {
    enum drv_type type;
    bool negative;       /* an int below zero: number is its two's complement */
    uint8_t width;       /* of a float: 4 or 8 bytes */
    uint64_t number;     /* value, float bits, bytes of a body, items or pairs */
    const uint8_t *body; /* of a str or bin */
};

/* How the types 0xc0 to 0xdf continue: a big-endian number of so many bytes. */
struct form {
    uint8_t type;
    uint8_t width;
    uint8_t sign_bit; /* 0: unsigned */
};

static const struct form forms[32] = {
    {DRV_TYPE_NIL, 0, 0},  {DRV_TYPE_BAD, 0, 0},    {DRV_TYPE_BOOL, 0, 0},
    {DRV_TYPE_BOOL, 0, 0}, {DRV_TYPE_BIN, 1, 0},    {DRV_TYPE_BIN, 2, 0},
    {DRV_TYPE_BIN, 4, 0},  {DRV_TYPE_BAD, 0, 0},    {DRV_TYPE_BAD, 0, 0},
    {DRV_TYPE_BAD, 0, 0},  {DRV_TYPE_DOUBLE, 4, 0}, {DRV_TYPE_DOUBLE, 8, 0},
    {DRV_TYPE_INT, 1, 0},  {DRV_TYPE_INT, 2, 0},    {DRV_TYPE_INT, 4, 0},
    {DRV_TYPE_INT, 8, 0},  {DRV_TYPE_INT, 1, 7},    {DRV_TYPE_INT, 2, 15},
    {DRV_TYPE_INT, 4, 31}, {DRV_TYPE_INT, 8, 63},   {DRV_TYPE_BAD, 0, 0},
    {DRV_TYPE_BAD, 0, 0},  {DRV_TYPE_BAD, 0, 0},    {DRV_TYPE_BAD, 0, 0},
    {DRV_TYPE_BAD, 0, 0},  {DRV_TYPE_STR, 1, 0},    {DRV_TYPE_STR, 2, 0},
    {DRV_TYPE_STR, 4, 0},  {DRV_TYPE_ARRAY, 2, 0},  {DRV_TYPE_ARRAY, 4, 0},
    {DRV_TYPE_MAP, 2, 0},  {DRV_TYPE_MAP, 4, 0},
};

/* Written out, so that compilers make one load of each. */
static inline uint64_t big_endian_2(const uint8_t *at)
{
    return (uint64_t)at[0] << 8 | at[1];
}

static inline uint64_t big_endian_4(const uint8_t *at)
{
    return (uint64_t)at[0] << 24 | (uint64_t)at[1] << 16 | (uint64_t)at[2] << 8 | at[3];
}

static inline uint64_t big_endian_8(const uint8_t *at)
{
    return (uint64_t)at[0] << 56 | (uint64_t)at[1] << 48 | (uint64_t)at[2] << 40 |
           (uint64_t)at[3] << 32 | (uint64_t)at[4] << 24 | (uint64_t)at[5] << 16 |
           (uint64_t)at[6] << 8 | at[7];
}

static inline uint64_t big_endian(const uint8_t *at, unsigned width)
{
    switch (width) {
    case 1:
        return at[0];
    case 2:
        return big_endian_2(at);
    case 4:
        return big_endian_4(at);
    case 8:
        return big_endian_8(at);
    default:
        return 0;
    }
}

/* The one-byte heads: small integers, short strings, arrays and maps. */
static void token_read_fix(uint8_t lead, struct token *token)
{
    if (lead < 0x80) {
        token->type = DRV_TYPE_INT;
        token->number = lead;
    } else if (lead < 0x90) {
        token->type = DRV_TYPE_MAP;
        token->number = lead & 0x0fU;
    } else if (lead < 0xa0) {
        token->type = DRV_TYPE_ARRAY;
        token->number = lead & 0x0fU;
    } else if (lead < 0xc0) {
        token->type = DRV_TYPE_STR;
        token->number = lead & 0x1fU;
    } else {
        token->type = DRV_TYPE_INT;
        token->number = UINT64_C(0xffffffffffffff00) | lead;
        token->negative = true;
    }
}

/* 0xc0 to 0xdf; false when the bytes end too early or the type is not known. */
static bool token_read_form(const uint8_t **at, const uint8_t *end, uint8_t lead,
                            struct token *token)
{
    const struct form *form = &forms[lead & 0x1f];
    if (form->type == DRV_TYPE_BAD || end - *at < form->width) {
        return false;
    }
    token->type = (enum drv_type)form->type;
    token->width = form->width;
    token->number = form->type == DRV_TYPE_BOOL ? lead & 1U : big_endian(*at, form->width);
    if (form->sign_bit != 0) {
        uint64_t sign = UINT64_C(1) << form->sign_bit;
        token->negative = (token->number & sign) != 0;
        token->number = (token->number ^ sign) - sign;
    }
    *at += form->width;
    return true;
}

/* Reads one head and steps behind it, and behind the body of a str or bin. */
static inline bool token_read(const uint8_t **at, const uint8_t *end, struct token *token)
{
    if (*at == end) {
        return false;
    }
    uint8_t lead = *(*at)++;
    token->negative = false;
    if ((lead & 0xe0) != 0xc0) {
        token_read_fix(lead, token);
    } else if (!token_read_form(at, end, lead, token)) {
        return false;
    }
    if (token->type == DRV_TYPE_STR || token->type == DRV_TYPE_BIN) {
        if (token->number > (uint64_t)(end - *at)) {
            return false;
        }
        token->body = *at;
        *at += token->number;
    }
    return true;
}

/* How many values follow the head as its content. */
static uint64_t token_children(const struct token *token)
{
    if (token->type == DRV_TYPE_ARRAY) {
        return token->number;
    }
    return token->type == DRV_TYPE_MAP ? token->number * 2 : 0;
}

/* ---- validation -------------------------------------------------------------------------- */

/*
 * The size of a value that has nothing inside which needs a look, by its first byte: numbers,
 * nil, booleans. 0: anything else.
 */
static const uint8_t plain_sizes[256] = {
#define ONES_4 1, 1, 1, 1
#define ONES_16 ONES_4, ONES_4, ONES_4, ONES_4
#define ZEROS_16 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
    ONES_16,  ONES_16,  ONES_16, ONES_16,                     /* 0x00: small numbers */
    ONES_16,  ONES_16,  ONES_16, ONES_16, ZEROS_16, ZEROS_16, /* 0x80: maps, arrays */
    ZEROS_16, ZEROS_16,                                       /* 0xa0: short strings */
    1,        0,        1,       1,                           /* nil, false, true */
    0,        0,        0,       0,                           /* bins */
    0,        0,        5,       9,                           /* floats */
    2,        3,        5,       9,                           /* unsigned */
    2,        3,        5,       9,                           /* signed */
    0,        0,        0,       0,                           /* extensions */
    0,        0,        0,       0,                           /* strings */
    0,        0,        0,       0,                           /* arrays, maps */
    ONES_16,  ONES_16,                                        /* 0xe0: small negative numbers */
#undef ONES_4
#undef ONES_16
#undef ZEROS_16
};

/* The size of the value that begins with this byte, if that is easily told; 0 otherwise. */
static inline size_t plain_size(const uint8_t *at, size_t room)
{
    size_t size = plain_sizes[*at];
    if (size == 0 && *at == 0xc4 && room > 1) {
        size = 2 + (size_t)at[1]; /* a short bin */
    }
    return size;
}

/* What begins with a head that needs a look: its size but for what it holds, and how many
 * values that is. */
static drover_status validate_token(const uint8_t *at, const uint8_t *end, size_t *out_size,
                                    uint64_t *out_children, bool *out_is_outer)
{
    struct token token;
    const uint8_t *next = at;
    if (!token_read(&next, end, &token)) {
        return DROVER_MALFORMED;
    }
    if (token.type == DRV_TYPE_STR && !drv_utf8_is_valid(token.body, (size_t)token.number)) {
        return DROVER_MALFORMED;
    }
    *out_size = (size_t)(next - at);
    *out_children = token_children(&token);
    *out_is_outer = token.type == DRV_TYPE_ARRAY || token.type == DRV_TYPE_MAP;
    return DROVER_OK;
}

/* One loop, so that all of its state is in registers: every message goes through it. */
drover_status drv_validate(const uint8_t *bytes, size_t len,
                           const struct drv_validate_limits *limits)
{
    DRV_ASSERT(limits->depth <= DRV_VALIDATE_DEPTH_MAX);
    const uint8_t *at = bytes;
    size_t room = len;
    uint32_t nodes = limits->nodes;
    uint32_t depth = 0;
    uint64_t outer[DRV_VALIDATE_DEPTH_MAX + 1]; /* values to come at the levels around */
    uint64_t left = 1;                          /* and at this one */
    for (;; left--) {
        while (left == 0) {
            if (depth == 0) {
                return room == 0 ? DROVER_OK : DROVER_MALFORMED;
            }
            left = outer[--depth];
        }
        size_t size = room == 0 ? SIZE_MAX : plain_size(at, room);
        if (size > room) {
            return DROVER_MALFORMED;
        }
        uint64_t children = 0;
        bool is_outer = false;
        if (size == 0 && (*at & 0xf0) == 0x90) {
            size = 1;
            is_outer = true;
            children = *at & 0x0fU;
        } else if (size == 0) {
            drover_status status = validate_token(at, at + room, &size, &children, &is_outer);
            if (status) {
                return status;
            }
        }
        if (nodes-- == 0) {
            return DROVER_LIMIT;
        }
        at += size;
        room -= size;
        if (!is_outer) {
            continue;
        }
        if (children > room) {
            return DROVER_MALFORMED; /* each takes a byte at least */
        }
        if (depth == limits->depth) {
            return DROVER_LIMIT;
        }
        outer[depth++] = left - 1;
        left = children + 1;
    }
}

/* ---- cursor ------------------------------------------------------------------------------ */

enum drv_type drv_cursor_peek(const struct drv_cursor *cursor)
{
    if (cursor->at == cursor->end) {
        return DRV_TYPE_END;
    }
    uint8_t lead = *cursor->at;
    if ((lead & 0xe0) == 0xc0) {
        return (enum drv_type)forms[lead & 0x1f].type;
    }
    struct token token;
    token_read_fix(lead, &token);
    return token.type;
}

/* Reads a token of the wanted type; anything else fails the cursor. */
static bool cursor_read(struct drv_cursor *cursor, enum drv_type type, struct token *token)
{
    if (!token_read(&cursor->at, cursor->end, token) || token->type != type) {
        drv_cursor_fail(cursor);
        return false;
    }
    return true;
}

uint32_t drv_cursor_array_slow(struct drv_cursor *cursor)
{
    struct token token;
    return cursor_read(cursor, DRV_TYPE_ARRAY, &token) ? (uint32_t)token.number : 0;
}

uint32_t drv_cursor_map(struct drv_cursor *cursor)
{
    struct token token;
    return cursor_read(cursor, DRV_TYPE_MAP, &token) ? (uint32_t)token.number : 0;
}

uint64_t drv_cursor_uint_slow(struct drv_cursor *cursor)
{
    /* 0xcc to 0xcf: one, two, four or eight bytes follow. */
    const uint8_t *at = cursor->at;
    if (at != cursor->end && (*at & 0xfc) == 0xcc) {
        ptrdiff_t width = (ptrdiff_t)1 << (*at & 3);
        if (cursor->end - at > width) {
            cursor->at += 1 + width;
            return big_endian(at + 1, (unsigned)width);
        }
    }
    struct token token;
    if (!cursor_read(cursor, DRV_TYPE_INT, &token)) {
        return 0;
    }
    if (token.negative) {
        drv_cursor_fail(cursor);
        return 0;
    }
    return token.number;
}

int64_t drv_cursor_int_slow(struct drv_cursor *cursor)
{
    struct token token;
    if (!cursor_read(cursor, DRV_TYPE_INT, &token)) {
        return 0;
    }
    if (!token.negative && token.number > INT64_MAX) {
        drv_cursor_fail(cursor);
        return 0;
    }
    return (int64_t)token.number;
}

bool drv_cursor_bool(struct drv_cursor *cursor)
{
    struct token token;
    return cursor_read(cursor, DRV_TYPE_BOOL, &token) && token.number != 0;
}

static double token_double(const struct token *token)
{
    if (token->type == DRV_TYPE_INT) {
        return token->negative ? (double)(int64_t)token->number : (double)token->number;
    }
    if (token->width == 4) {
        float number;
        uint32_t bits = (uint32_t)token->number;
        memcpy(&number, &bits, sizeof number);
        return (double)number;
    }
    double number;
    memcpy(&number, &token->number, sizeof number);
    return number;
}

double drv_cursor_double(struct drv_cursor *cursor)
{
    struct token token;
    if (!token_read(&cursor->at, cursor->end, &token) ||
        (token.type != DRV_TYPE_INT && token.type != DRV_TYPE_DOUBLE)) {
        drv_cursor_fail(cursor);
        return 0;
    }
    return token_double(&token);
}

bool drv_cursor_take_nil(struct drv_cursor *cursor)
{
    bool is_nil = drv_cursor_is_nil(cursor);
    cursor->at += is_nil;
    return is_nil;
}

void drv_cursor_nil(struct drv_cursor *cursor)
{
    if (!drv_cursor_take_nil(cursor)) {
        drv_cursor_fail(cursor);
    }
}

struct drv_view drv_cursor_str_slow(struct drv_cursor *cursor)
{
    struct token token;
    if (!cursor_read(cursor, DRV_TYPE_STR, &token)) {
        return drv_view_of(NULL, 0);
    }
    return drv_view_of(token.body, (size_t)token.number);
}

struct drv_view drv_cursor_bin(struct drv_cursor *cursor)
{
    struct token token;
    if (!cursor_read(cursor, DRV_TYPE_BIN, &token)) {
        return drv_view_of(NULL, 0);
    }
    return drv_view_of(token.body, (size_t)token.number);
}

void drv_cursor_bin_exact(struct drv_cursor *cursor, void *out_bytes, size_t len)
{
    struct drv_view view = drv_cursor_bin(cursor);
    if (cursor->failed) {
        return;
    }
    if (view.len != len) {
        drv_cursor_fail(cursor);
        return;
    }
    if (len > 0) {
        memcpy(out_bytes, view.bytes, len);
    }
}

void drv_cursor_skip_many(struct drv_cursor *cursor, uint64_t count)
{
    while (count > 0) {
        struct token token;
        if (!token_read(&cursor->at, cursor->end, &token)) {
            drv_cursor_fail(cursor);
            return;
        }
        uint64_t children = token_children(&token);
        if (children > (uint64_t)(cursor->end - cursor->at)) {
            drv_cursor_fail(cursor); /* and so the sum below cannot overflow */
            return;
        }
        count = count - 1 + children;
    }
}

void drv_cursor_skip(struct drv_cursor *cursor)
{
    drv_cursor_skip_many(cursor, 1);
}

struct drv_view drv_cursor_value(struct drv_cursor *cursor)
{
    const uint8_t *start = cursor->at;
    drv_cursor_skip(cursor);
    if (cursor->failed) {
        return drv_view_of(NULL, 0);
    }
    return drv_view_of(start, (size_t)(cursor->at - start));
}
