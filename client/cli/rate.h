/*
 * rate.h: starts per time as people write them.
 */
#ifndef CLI_RATE_H
#define CLI_RATE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * "10/s", "30/m", "100/h", "0" to starts per 1000 s, rounded to the nearest and at least 1
 * unless it is 0. False for anything else and for more than 10^9 starts per second.
 */
bool rate_parse(const char *text, int64_t *out_per_1000_s);

#endif
