/*
 * diagnosis.h: what `drover doctor` has found: one line for each thing that it has looked at,
 * and what to do about it.
 */
#ifndef CLI_DIAGNOSIS_H
#define CLI_DIAGNOSIS_H

#include "cli.h"

enum finding_state {
    FINDING_OK,
    FINDING_WARN, /* works, but not well, or not for long */
    FINDING_FAIL, /* does not work */
};

enum {
    DIAGNOSIS_MAX = 64, /* findings */
    FINDING_NAME_MAX = 32,
    FINDING_TEXT_MAX = 512,
};

struct finding {
    char name[FINDING_NAME_MAX]; /* what was looked at */
    enum finding_state state;
    char text[FINDING_TEXT_MAX];   /* what was seen; escaped */
    char advice[FINDING_TEXT_MAX]; /* what to do; "": nothing; escaped */
};

struct diagnosis {
    struct finding findings[DIAGNOSIS_MAX];
    size_t count; /* more than DIAGNOSIS_MAX are not kept */
};

/* Adds a finding; text printf-like. Returns it, for diagnosis_advise. */
struct finding *diagnosis_add(struct diagnosis *diagnosis, const char *name,
                              enum finding_state state, const char *format, ...)
    DROVER_PRINTF(4, 5);

/* What to do about it, printf-like. */
void diagnosis_advise(struct finding *finding, const char *format, ...) DROVER_PRINTF(2, 3);

/* The worst of all. */
enum finding_state diagnosis_worst(const struct diagnosis *diagnosis);

const char *finding_state_name(enum finding_state state);

/* Prints all of it. CLI_OK, or says why it could not be printed. */
int diagnosis_print(const struct diagnosis *diagnosis);
int diagnosis_print_json(const struct diagnosis *diagnosis);

#endif
