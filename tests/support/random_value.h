/*
 * random_value.h: random fields, for random_message.c alone.
 *
 * Like random_message.h: from the generator and arena of the source, within the limits of the
 * protocol. Numbers of few bits come as often as large ones.
 */
#ifndef RANDOM_VALUE_H
#define RANDOM_VALUE_H

#include "random_message.h"

typedef const struct random_source source;

bool random_chance(source *s, unsigned percent);
uint64_t random_number(source *s, unsigned bits);
uint32_t random_number32(source *s);
uint32_t random_between(source *s, uint32_t min, uint32_t max);
int64_t random_signed_number(source *s, unsigned bits);
void *random_items(source *s, size_t count, size_t size);
size_t random_count(source *s, size_t max);
drover_id random_id(source *s);
uint32_t random_index(source *s);
struct drv_str random_name(source *s);
struct drv_str random_text(source *s, size_t max);
struct drv_str random_bytes(source *s, size_t max);
struct drv_str random_optional(source *s, struct drv_str value);
struct drv_val random_val(source *s);
/* Whether this entry is to be like most others; and a value for it. */
bool random_is_plain(source *s);
struct drv_val random_plain_val(source *s);
const struct drv_parent *random_parents(source *s, size_t *out_count);
/* A range of elements behind `index`, or none; then *val holds what is in them. */
struct drv_range random_range(source *s, uint32_t index, struct drv_val *val);
/* How many elements behind `index` are meant, too. */
uint32_t random_more(source *s, uint32_t index);
struct drv_ref random_ref(source *s);
const struct drv_ref *random_refs(source *s, size_t *out_count);
const struct drv_str *random_texts(source *s, size_t max, size_t *out_count);
const struct drv_pair *random_pairs(source *s, size_t *out_count);
const struct drv_count *random_counts(source *s, size_t *out_count);
const struct drv_note *random_notes(source *s, bool is_ack, size_t *out_count);
struct drv_error random_error(source *s);
const struct drv_after *random_after(source *s, size_t *out_count);
struct drv_spec random_spec(source *s);
struct drv_targets random_targets(source *s);

#endif
