/*
 * elements.h: the lines that map and result print for the elements of an array.
 */
#ifndef CLI_ELEMENTS_H
#define CLI_ELEMENTS_H

#include "cli.h"

struct elements {
    bool json;       /* whole outcomes instead of values */
    uint64_t failed; /* elements that did not succeed */
};

/*
 * One line: the value as JSON, {"error":{...}} for one that did not succeed, with json the
 * whole outcome. CLI_OK, or says why not.
 */
int elements_print(struct elements *elements, const drover_outcome *outcome);

#endif
