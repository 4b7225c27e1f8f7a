/*
 * call.h: --call: one handler, once, without a broker; for debuggers, and to try a
 * configuration.
 *
 * A function of a module runs in this very process, so that gdb, valgrind and perf see it.
 * Commands run as a worker runs them, below an executor, with what they print to stderr shown.
 * The result goes to stdout as JSON; progress, log lines and emitted values go to stderr, and
 * so does the reason of a failure, in one line. Shared data is not there.
 */
#ifndef WORKER_CALL_H
#define WORKER_CALL_H

#include "pool.h"

/*
 * json: the payload; "-": stdin, to its end; NULL: nil. Blocks. Returns the exit code: 0, it
 * succeeded; 1, it failed; 64, a payload that is no JSON, an unknown type, modules that cannot
 * be loaded; 74, stdin or stdout cannot be used, or the machine refuses.
 */
int worker_call(const struct pool_config *config, const char *type, const char *json);

#endif
