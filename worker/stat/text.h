/*
 * text.h: small files of /proc and /sys as text.
 */
#ifndef WORKER_STAT_TEXT_H
#define WORKER_STAT_TEXT_H

#include "buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Reads at most size - 1 bytes of root + path into out_text and ends them with a NUL; the rest
 * of a longer file is left. root may be "" (the real tree).
 * Returns OK, UNKNOWN when there is no such file, IO, TOO_BIG when the name is too long.
 */
DROVER_MUST_USE drover_status stat_text_read(const char *root, const char *path, char *out_text,
                                             size_t size);

/* Longest file that is read whole; the rest of a longer one is left. */
#define STAT_TEXT_MAX (1024 * 1024)

/* The same for a file of any length up to STAT_TEXT_MAX: out_text holds it with a NUL behind
 * it, also when it is empty. Returns also NOMEM. */
DROVER_MUST_USE drover_status stat_text_load(const char *root, const char *path,
                                             struct drv_buffer *out_text);

/* Start of the line behind the one at `at`; NULL when there is none. */
const char *stat_text_next_line(const char *at);

/* Reads a decimal number behind spaces and moves *at behind it; false, with *at where it was,
 * when there is none or it is beyond 64 bits. */
bool stat_text_number(const char **at, uint64_t *out_number);

/* The same for one with a fraction, "0.25"; independent of the locale. */
bool stat_text_real(const char **at, double *out_number);

/* The number behind `key` at the begin of a line ("MemTotal:"); false when there is none. */
bool stat_text_find(const char *text, const char *key, uint64_t *out_number);

/* Copies bytes as UTF-8: what is not valid becomes U+FFFD, a NUL ends it; cut to size between
 * characters. Returns out_text. */
char *stat_text_utf8(const char *bytes, size_t len, char *out_text, size_t size);

#endif
