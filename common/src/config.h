/*
 * config.h: INI files.
 *
 * A thin, strict layer over libinih, which cuts long sections and values in silence, takes an
 * indented line for one more value of the key above, and ends values at " ;": such lines are
 * refused (or, if only indented, read like any other) before it sees them, with file and line.
 * Comments are lines that begin with ';' or '#'. A key may come several times; the callback
 * sees every entry.
 */
#ifndef DRV_CONFIG_H
#define DRV_CONFIG_H

#include "problem.h"
#include "view.h"

#include <drover/status.h>

/* Bytes in a file, a line (without the spaces around it), a section name, a key. */
#define DRV_CONFIG_FILE_MAX (1024U * 1024U)
#define DRV_CONFIG_LINE_MAX 180
#define DRV_CONFIG_SECTION_MAX 48
#define DRV_CONFIG_KEY_MAX 48

/* One key = value line. Everything is borrowed for the call. */
struct drv_config_entry {
    const char *section; /* "" before the first section */
    const char *key;
    const char *value; /* without surrounding spaces; may be "" */
    const char *file;  /* as given, for messages */
    unsigned line;     /* from 1 */
};

/*
 * Called for every entry in order. Anything but OK stops; the text put into problem is
 * prefixed with "file:line: " by the caller.
 */
typedef drover_status (*drv_config_fn)(void *context, const struct drv_config_entry *entry,
                                       struct drv_problem *problem);

/*
 * Reads a configuration from memory; file is its name in messages.
 * OK, INVALID (with "file:line: why" in problem), NOMEM, or what the callback returned.
 */
DROVER_MUST_USE drover_status drv_config_parse(struct drv_view text, const char *file,
                                               drv_config_fn callback, void *context,
                                               struct drv_problem *problem);

/* Reads the file at path; also IO when it cannot be read and TOO_BIG. Blocks on the disk. */
DROVER_MUST_USE drover_status drv_config_load(const char *path, drv_config_fn callback,
                                              void *context, struct drv_problem *problem);

#endif
