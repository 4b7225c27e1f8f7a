/* descriptors.c: see descriptors.h. */
#include "descriptors.h"

#include "files.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

enum { SPARE = 1024 }; /* beside connections that are counted: handshakes, files, http */

void descriptors_bound(size_t connections_max, const struct drv_log *log)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return; /* cannot be */
    }
    rlim_t wanted = (rlim_t)connections_max + connections_max / 8 + SPARE;
    rlim_t room = limit.rlim_max > FILES_RESERVE ? limit.rlim_max - FILES_RESERVE
                                                 : limit.rlim_max;
    limit.rlim_cur = wanted < room ? wanted : room;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        drv_log_warn(log, "the number of descriptors is not bounded",
                     drv_log_str("why", strerror(errno)));
    } else if (limit.rlim_cur < connections_max / 2) {
        drv_log_warn(log, "few descriptors for so many connections: raise `ulimit -n`",
                     drv_log_uint("descriptors", limit.rlim_cur),
                     drv_log_uint("max_connections", connections_max));
    }
}
