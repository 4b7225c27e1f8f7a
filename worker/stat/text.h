/*
 * text.h: small files of /proc and /sys as text.
 */
#ifndef WORKER_STAT_TEXT_H
#define WORKER_STAT_TEXT_H

#include <drover/status.h>

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

/* Reads a decimal number behind spaces and moves *at behind it; false, with *at where it was,
 * when there is none or it is beyond 64 bits. */
bool stat_text_number(const char **at, uint64_t *out_number);

#endif
