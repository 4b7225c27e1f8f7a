/*
 * value.h: payloads and results.
 *
 * A drover_value holds one payload: by default a single msgpack value, or raw bytes with a
 * content type. A value owns its bytes. Nothing is shared between values, so that different
 * values may be used by different threads; one value must not be changed while another
 * thread reads it.
 *
 * Ownership: constructors hand a new value over through out_value; whoever gets it calls
 * drover_value_destroy. `drover_value **` parameters take the value and set the caller's
 * pointer to NULL, on failure too. Getters return copies as new values, or pointers that
 * are borrowed from the value and good until it is changed or destroyed.
 *
 * Nothing here blocks. Every function that allocates may return DROVER_NOMEM, which is not
 * repeated below. out_ parameters are untouched on failure.
 */
#ifndef DROVER_VALUE_H
#define DROVER_VALUE_H

#include <drover/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct drover_value drover_value;

/* Arrays and maps may be nested this deep, in msgpack and in JSON. */
#define DROVER_VALUE_DEPTH_MAX 32
/* Bytes in one encoded value, and in the JSON text that one is read from. */
#define DROVER_VALUE_BYTES_MAX (64U * 1024U * 1024U)
/* Bytes in a content type, printable ASCII. */
#define DROVER_CONTENT_TYPE_MAX 128

typedef enum drover_value_type {
    DROVER_VALUE_RAW = 0, /* bytes with a content type; not msgpack */
    DROVER_VALUE_NIL = 1,
    DROVER_VALUE_BOOL = 2,
    DROVER_VALUE_INT = 3, /* any integer; may be beyond int64 but not beyond uint64 */
    DROVER_VALUE_DOUBLE = 4,
    DROVER_VALUE_STRING = 5,
    DROVER_VALUE_BINARY = 6,
    DROVER_VALUE_ARRAY = 7,
    DROVER_VALUE_MAP = 8,
} drover_value_type;

DROVER_API DROVER_MUST_USE drover_status drover_value_new_nil(drover_value **out_value);
DROVER_API DROVER_MUST_USE drover_status drover_value_new_bool(bool flag,
                                                               drover_value **out_value);
DROVER_API DROVER_MUST_USE drover_status drover_value_new_int(int64_t number,
                                                              drover_value **out_value);
DROVER_API DROVER_MUST_USE drover_status drover_value_new_uint(uint64_t number,
                                                               drover_value **out_value);
DROVER_API DROVER_MUST_USE drover_status drover_value_new_double(double number,
                                                                 drover_value **out_value);

/*
 * A string of len bytes, copied; text may hold NULs but must be UTF-8. drover_value_new_text
 * takes a NUL-terminated string. Returns DROVER_OK, DROVER_INVALID when it is not UTF-8,
 * DROVER_TOO_BIG.
 */
DROVER_API DROVER_MUST_USE drover_status drover_value_new_string(const char *text, size_t len,
                                                                 drover_value **out_value);
DROVER_API DROVER_MUST_USE drover_status drover_value_new_text(const char *text,
                                                               drover_value **out_value);

/* A msgpack bin of len bytes, copied. Returns DROVER_OK or DROVER_TOO_BIG. */
DROVER_API DROVER_MUST_USE drover_status drover_value_new_binary(const void *bytes, size_t len,
                                                                 drover_value **out_value);

/*
 * Bytes that are not msgpack, copied, with their content type ("image/png"; 1 to
 * DROVER_CONTENT_TYPE_MAX printable ASCII characters).
 * Returns DROVER_OK, DROVER_INVALID (content type) or DROVER_TOO_BIG.
 */
DROVER_API DROVER_MUST_USE drover_status drover_value_new_raw(const void *bytes, size_t len,
                                                              const char *content_type,
                                                              drover_value **out_value);

/*
 * A value from exactly one encoded msgpack value, copied after it was checked: known types
 * only (no ext), UTF-8 strings, depth up to DROVER_VALUE_DEPTH_MAX, nothing behind it.
 * Returns DROVER_OK, DROVER_MALFORMED, DROVER_LIMIT (depth, items) or DROVER_TOO_BIG.
 */
DROVER_API DROVER_MUST_USE drover_status drover_value_from_msgpack(const void *bytes,
                                                                   size_t len,
                                                                   drover_value **out_value);

/*
 * A value from one JSON text of len bytes. Integers are kept exactly in the range of int64
 * and uint64 and refused beyond; other numbers become doubles. A key that comes twice in an
 * object is refused. On failure, error (if error_size is not 0) receives one line with the
 * line and column, cut to error_size bytes with the NUL.
 * Returns DROVER_OK, DROVER_MALFORMED, DROVER_LIMIT (depth) or DROVER_TOO_BIG.
 */
DROVER_API DROVER_MUST_USE drover_status drover_value_from_json(const char *text, size_t len,
                                                                drover_value **out_value,
                                                                char *error, size_t error_size);

/* An empty array, to be filled with drover_value_array_append. */
DROVER_API DROVER_MUST_USE drover_status drover_value_array_new(drover_value **out_value);

/*
 * Appends an item to an array; takes *item, on failure too (but never the array itself).
 * Amortised O(size of the item).
 * Returns DROVER_OK, DROVER_INVALID (not an array, or a raw item; nothing is changed),
 * DROVER_LIMIT (depth) or DROVER_TOO_BIG.
 */
DROVER_API DROVER_MUST_USE drover_status drover_value_array_append(drover_value *array,
                                                                   drover_value **item);

/* An empty map, to be filled with drover_value_map_set. */
DROVER_API DROVER_MUST_USE drover_status drover_value_map_new(drover_value **out_value);

/*
 * Sets the item under a string key (NUL-terminated UTF-8), replacing one that is there;
 * takes *item, on failure too. O(size of the map).
 * Returns DROVER_OK, DROVER_INVALID (not a map, bad key, raw item), DROVER_LIMIT (depth) or
 * DROVER_TOO_BIG.
 */
DROVER_API DROVER_MUST_USE drover_status drover_value_map_set(drover_value *map,
                                                              const char *key,
                                                              drover_value **item);

DROVER_API drover_value_type drover_value_get_type(const drover_value *value);

/* The scalar readers return DROVER_OK, or DROVER_INVALID when the value is of another type
 * or does not fit: get_int reads integers in the range of int64, get_uint those from 0 to
 * UINT64_MAX, get_double every number (large integers are rounded). */
DROVER_API DROVER_MUST_USE drover_status drover_value_get_bool(const drover_value *value,
                                                               bool *out_flag);
DROVER_API DROVER_MUST_USE drover_status drover_value_get_int(const drover_value *value,
                                                              int64_t *out_number);
DROVER_API DROVER_MUST_USE drover_status drover_value_get_uint(const drover_value *value,
                                                               uint64_t *out_number);
DROVER_API DROVER_MUST_USE drover_status drover_value_get_double(const drover_value *value,
                                                                 double *out_number);

/*
 * The text of a string: borrowed, valid UTF-8, followed by a NUL that out_len (may be NULL)
 * does not count. Returns DROVER_OK or DROVER_INVALID.
 */
DROVER_API DROVER_MUST_USE drover_status drover_value_get_string(const drover_value *value,
                                                                 const char **out_text,
                                                                 size_t *out_len);

/* The bytes of a binary or raw value, borrowed. Returns DROVER_OK or DROVER_INVALID. */
DROVER_API DROVER_MUST_USE drover_status drover_value_get_binary(const drover_value *value,
                                                                 const void **out_bytes,
                                                                 size_t *out_len);

/* The number of items of an array or pairs of a map; 0 for everything else. */
DROVER_API size_t drover_value_count(const drover_value *value);

/* The same for an array alone: DROVER_INVALID when the value is none. */
DROVER_API DROVER_MUST_USE drover_status drover_value_array_len(const drover_value *array,
                                                                size_t *out_len);

/*
 * A copy of item number index (from 0) of an array. O(index); use drover_value_iter for all.
 * Returns DROVER_OK, DROVER_INVALID (not an array) or DROVER_UNKNOWN (no such item).
 */
DROVER_API DROVER_MUST_USE drover_status drover_value_array_get(const drover_value *array,
                                                                size_t index,
                                                                drover_value **out_item);

/*
 * A copy of the item under a string key. O(size of the map).
 * Returns DROVER_OK, DROVER_INVALID (not a map) or DROVER_UNKNOWN (no such key).
 */
DROVER_API DROVER_MUST_USE drover_status drover_value_map_get(const drover_value *map,
                                                              const char *key,
                                                              drover_value **out_item);

/* Walks an array or a map once; borrows the value, which must not change meanwhile. */
typedef struct drover_value_iter {
    const uint8_t *at;  /* private */
    const uint8_t *end; /* private */
    size_t left;        /* private: items or pairs to come */
    bool is_map;        /* private */
} drover_value_iter;

/* Starts a walk; over anything but an array or a map there is nothing to walk. */
DROVER_API void drover_value_iter_init(drover_value_iter *iter, const drover_value *value);

/*
 * The next item as a new value and, in a map, its key as a new value (out_key may be NULL;
 * it is set to NULL in an array).
 * Returns DROVER_OK, or DROVER_UNKNOWN after the last item.
 */
DROVER_API DROVER_MUST_USE drover_status drover_value_iter_next(drover_value_iter *iter,
                                                                drover_value **out_key,
                                                                drover_value **out_item);

enum drover_json_flags {
    DROVER_JSON_COMPACT = 0, /* one line, no spaces */
    DROVER_JSON_PRETTY = 1,  /* two spaces per level, no newline at the end */
};

/*
 * The value as JSON text, NUL-terminated, to be released with free(). Binary and raw bytes
 * become base64 strings, NaN and infinities null, map keys that are other scalars their JSON
 * text as a string, keys that are containers base64 of their msgpack. Control characters and
 * bidirectional overrides are escaped, so that the text is safe on a terminal. flags: one of
 * drover_json_flags. Returns DROVER_OK or DROVER_INVALID (flags).
 */
DROVER_API DROVER_MUST_USE drover_status drover_value_to_json(const drover_value *value,
                                                              unsigned flags, char **out_text);

/* The encoded bytes (msgpack, or the raw bytes), borrowed. */
DROVER_API void drover_value_bytes(const drover_value *value, const void **out_bytes,
                                   size_t *out_len);

/* The content type of a raw value, borrowed; "" for msgpack. */
DROVER_API const char *drover_value_content_type(const drover_value *value);

DROVER_API DROVER_MUST_USE drover_status drover_value_copy(const drover_value *value,
                                                           drover_value **out_value);

/* Releases *value and sets it to NULL; NULL and a pointer to NULL are fine. */
DROVER_API void drover_value_destroy(drover_value **value);

#ifdef __cplusplus
}
#endif

#endif
