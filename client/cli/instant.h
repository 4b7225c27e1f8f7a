/*
 * instant.h: instants of the wall clock as people write them (RFC 3339).
 */
#ifndef CLI_INSTANT_H
#define CLI_INSTANT_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Reads 2026-11-27T22:00:00Z: a blank may stand for T, fractions of a second are cut to
 * milliseconds, an offset such as +01:00 stands for Z; seconds may be left out. False when the
 * text is none, or names a day or time that there is not. A leap second is the second after it.
 */
bool instant_parse(const char *text, int64_t *out_ms);

#endif
