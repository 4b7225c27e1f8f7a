/*
 * rate.h: starts per time as people write them.
 */
#ifndef CLI_RATE_H
#define CLI_RATE_H

#include <stdbool.h>
#include <stdint.h>

/* More is no limit that a broker takes. */
#define RATE_MAX_PER_S UINT64_C(1000000)

/*
 * "10/s", "30/m", "100/h", "0" to starts per hour, exactly. False for anything else and for
 * more than RATE_MAX_PER_S.
 */
bool rate_parse(const char *text, int64_t *out_per_hour);

#endif
