/*
 * doc.h: reading the broker's documents, which are maps that may lack keys.
 *
 * What is missing or of another type is 0, "" or NULL; nothing here fails but for memory, which
 * looks the same.
 */
#ifndef CLI_DOC_H
#define CLI_DOC_H

#include "cli.h"

#include "data.h"

/* The item under key as a new value, or NULL. */
drover_value *doc_get(const drover_value *map, const char *key);

bool doc_has(const drover_value *map, const char *key);
/* Fractions are cut off. */
int64_t doc_int(const drover_value *map, const char *key);
double doc_double(const drover_value *map, const char *key);
bool doc_bool(const drover_value *map, const char *key);

#define DOC_TEXT_MAX 256

/* The bytes of a string or binary, which the value keeps; none of NULL and of others. */
struct drv_view doc_bytes(const drover_value *value);

/* The text under key, or a scalar as text, escaped and cut to size; returns out_text. */
char *doc_text(const drover_value *map, const char *key, char *out_text, size_t size);

/* The same for a list of texts ("a, b") or a map of them ("a=1, b=2"). */
char *doc_join(const drover_value *map, const char *key, char *out_text, size_t size);

/* Whether an alert fires and nobody has taken note of it: neither acknowledged nor silenced. */
bool doc_is_news(const drover_value *alert);

/* Which task a row is about. False when it has no id. */
bool doc_task(const drover_value *map, drover_task_ref *out_task);

#endif
