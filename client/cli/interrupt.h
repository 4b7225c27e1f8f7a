/*
 * interrupt.h: Ctrl-C and SIGTERM as something that a loop asks for.
 *
 * While one is open, the first such signal is only noticed, so that the command can cancel what
 * it started; a second one ends the process at once. A process has one open at a time.
 */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

#include "cli.h"

#include <signal.h>

struct interrupt {
    int fd;        /* of signals; -1: not available, signals end the process */
    int signal;    /* the first one; 0: none yet */
    sigset_t mask; /* the mask before */
};

void interrupt_open(struct interrupt *interrupt);

/* Whether one has come. Never waits. */
bool interrupt_has_come(struct interrupt *interrupt);

/* The same, waiting for up to ms milliseconds. */
bool interrupt_wait(struct interrupt *interrupt, int ms);

/* 128 + its number. */
int interrupt_exit_code(const struct interrupt *interrupt);

void interrupt_close(struct interrupt *interrupt);

#endif
