/*
 * argv.h: command lines, made from the templates of a configured command.
 */
#ifndef ARGV_H
#define ARGV_H

#include "buffer.h"
#include "job.h"

/* NULL-terminated. */
struct argv {
    char **items; /* owned, and each of them */
    size_t count;
};

void argv_fini(struct argv *argv);

/* Room for so many. OK, NOMEM. */
DROVER_MUST_USE drover_status argv_reserve(struct argv *argv, size_t count);

/* Fills in the templates of a command for one job. OK, NOMEM, INVALID (a NUL in the payload).
 */
DROVER_MUST_USE drover_status argv_expand(struct argv *argv, const struct pool_command *command,
                                          const struct drover_job *job,
                                          const drover_value *payload);

/* Appends a value: strings and binaries as they are, everything else as JSON. OK, NOMEM... */
DROVER_MUST_USE drover_status argv_plain_text(const drover_value *value,
                                              struct drv_buffer *out);

#endif
