/*
 * drover.h: what the client and the worker side have in common.
 *
 * Users include <drover/client.h> or <drover/worker.h>, which include this.
 */
#ifndef DROVER_DROVER_H
#define DROVER_DROVER_H

#include <drover/status.h>
#include <drover/task.h>
#include <drover/value.h>

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DROVER_VERSION_MAJOR 0
#define DROVER_VERSION_MINOR 1
#define DROVER_VERSION_PATCH 0
#define DROVER_VERSION_STRING "0.1.0"
/* One comparable number: 0xMMmmpp. */
#define DROVER_VERSION_NUMBER \
    ((DROVER_VERSION_MAJOR << 16) | (DROVER_VERSION_MINOR << 8) | DROVER_VERSION_PATCH)

/* Names of task types, queues, workers, keys, groups, tags, labels and counters: 1 to
 * DROVER_NAME_MAX characters out of A-Z a-z 0-9 . _ : - */
#define DROVER_NAME_MAX 128

/* Whether name (may be NULL) follows the rule above. */
DROVER_API bool drover_name_is_valid(const char *name);

/* The version of the library in use, as DROVER_VERSION_STRING at its build. */
DROVER_API const char *drover_version(void);

#ifdef __cplusplus
}
#endif

#endif
