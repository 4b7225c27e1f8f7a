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

static inline uint64_t big_endian(const uint8_t *bytes, unsigned width)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < width; i++) {
        number = number << 8 | bytes[i];
    }
    return number;
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

/* The size of the value at `at` (not the end) if that is easily told; short bins are, too. */
static inline size_t plain_size(const uint8_t *at, const uint8_t *end)
{
    size_t size = plain_sizes[*at];
    if (size == 0 && *at == 0xc4 && end - at > 1) {
        size = 2 + (size_t)at[1];
    }
    return size;
}

/* What is left to be seen: values at each level, and nodes in all. */
struct validation {
    const uint8_t *at;
    const uint8_t *end;
    uint32_t nodes; /* that may still come */
    uint32_t depth;
    uint64_t left[DRV_VALIDATE_DEPTH_MAX + 1];
};

/* Values of one level one after the other, up to one that needs a look. */
static inline drover_status validate_plain(struct validation *validation)
{
    const uint8_t *at = validation->at;
    const uint8_t *end = validation->end;
    uint64_t left = validation->left[validation->depth];
    uint32_t nodes = validation->nodes;
    drover_status status = DROVER_OK;
    while (left > 0) {
        size_t size = at == end ? SIZE_MAX : plain_size(at, end);
        if (size > (size_t)(end - at)) {
            status = DROVER_MALFORMED;
            break;
        }
        if (size == 0) {
            break;
        }
        if (nodes-- == 0) {
            status = DROVER_LIMIT;
            break;
        }
        at += size;
        left--;
    }
    validation->at = at;
    validation->nodes = nodes;
    validation->left[validation->depth] = left;
    return status;
}

/* Goes into an array or map: so many values follow. */
static inline drover_status validate_enter(struct validation *validation, uint64_t children,
                                           uint32_t depth_max)
{
    if (children > (uint64_t)(validation->end - validation->at)) {
        return DROVER_MALFORMED; /* each takes a byte at least */
    }
    if (validation->depth == depth_max) {
        return DROVER_LIMIT;
    }
    validation->left[++validation->depth] = children;
    return DROVER_OK;
}

/* One value that needs a look: a text, or something with values inside. */
static drover_status validate_token(struct validation *validation, uint32_t depth_max)
{
    struct token token;
    const uint8_t *at = validation->at;
    if (!token_read(&at, validation->end, &token)) {
        return DROVER_MALFORMED;
    }
    if (validation->nodes-- == 0) {
        return DROVER_LIMIT;
    }
    validation->at = at;
    validation->left[validation->depth]--;
    if (token.type == DRV_TYPE_STR) {
        bool is_valid = drv_utf8_is_valid(token.body, (size_t)token.number);
        return is_valid ? DROVER_OK : DROVER_MALFORMED;
    }
    if (token.type != DRV_TYPE_ARRAY && token.type != DRV_TYPE_MAP) {
        return DROVER_OK;
    }
    return validate_enter(validation, token_children(&token), depth_max);
}

/* The same; short arrays, which most such values are, quickly. */
static inline drover_status validate_one(struct validation *validation, uint32_t depth_max)
{
    uint8_t lead = *validation->at;
    if ((lead & 0xf0) != 0x90) {
        return validate_token(validation, depth_max);
    }
    if (validation->nodes-- == 0) {
        return DROVER_LIMIT;
    }
    validation->at++;
    validation->left[validation->depth]--;
    return validate_enter(validation, lead & 0x0fU, depth_max);
}

drover_status drv_validate(const uint8_t *bytes, size_t len,
                           const struct drv_validate_limits *limits)
{
    DRV_ASSERT(limits->depth <= DRV_VALIDATE_DEPTH_MAX);
    struct validation validation;
    validation.at = bytes;
    validation.end = len == 0 ? bytes : bytes + len;
    validation.nodes = limits->nodes;
    validation.depth = 0;
    validation.left[0] = 1;
    for (;;) {
        drover_status status = validate_plain(&validation);
        if (status) {
            return status;
        }
        if (validation.left[validation.depth] > 0) {
            status = validate_one(&validation, limits->depth);
            if (status) {
                return status;
            }
        } else if (validation.depth == 0) {
            return validation.at == validation.end ? DROVER_OK : DROVER_MALFORMED;
        } else {
            validation.depth--;
        }
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
            return width == 1   ? at[1]
                   : width == 2 ? big_endian(at + 1, 2)
                   : width == 4 ? big_endian(at + 1, 4)
                                : big_endian(at + 1, 8);
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
