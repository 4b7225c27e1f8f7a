/*
 * options_private.h: what the parts of options.h share: options.c (store and values),
 * options_load.c (command line, environment, file), options_help.c.
 */
#ifndef DRV_OPTIONS_PRIVATE_H
#define DRV_OPTIONS_PRIVATE_H

#include "options.h"

/* Where the values of an option came from; a greater one wins. */
enum drv_option_source {
    DRV_OPTION_UNSET,
    DRV_OPTION_DEFAULT,
    DRV_OPTION_FILE,
    DRV_OPTION_ENVIRONMENT,
    DRV_OPTION_COMMAND_LINE,
};

struct drv_option_slot {
    const struct drv_option *option;      /* borrowed */
    const struct drv_option_table *table; /* borrowed */
    const char *env_prefix;               /* borrowed; NULL: none */
    enum drv_option_source source;
    char **values;  /* owned, each too */
    size_t count;   /* 1 at most unless repeatable */
    int64_t number; /* the last value of INT, DURATION, SIZE, CHOICE, FLAG */
};

struct drv_options {
    const struct drv_program *program; /* borrowed */
    struct drv_option_slot *slots;     /* owned; the program's own, then those of every one */
    size_t slot_count;
    const char **operands; /* owned array of borrowed texts */
    size_t operand_count;
};

/* --help, --version, --config and --check-config, in this order. */
extern const struct drv_option drv_options_common[4];

/* The slot or NULL. */
struct drv_option_slot *drv_options_find(const struct drv_options *options, const char *name,
                                         size_t name_len);
struct drv_option_slot *drv_options_find_letter(const struct drv_options *options, char letter);

/*
 * Checks text (NULL: a flag that was merely named) and stores it, unless the option has values
 * from a greater source. label names the option in messages. OK, INVALID or NOMEM.
 */
DROVER_MUST_USE drover_status drv_options_set(struct drv_option_slot *slot, const char *text,
                                              enum drv_option_source source, const char *label,
                                              struct drv_problem *problem);

/* The name of the option's variable into out; "" if there is none. */
void drv_options_env_name(const struct drv_option_slot *slot, char *out, size_t size);

#endif
