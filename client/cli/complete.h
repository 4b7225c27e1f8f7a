/*
 * complete.h: what could stand at the cursor of a command line, from the table of commands.
 *
 * One candidate per line, with a tab and a description where there is one, or one of
 *   :files     names of files      :commands  names of programs
 * which the shell knows better.
 */
#ifndef CLI_COMPLETE_H
#define CLI_COMPLETE_H

#include "cli.h"

/* Receives names of a kind (CLI_WORD_TYPE, _QUEUE, _WORKER) through complete_name. */
struct complete;
typedef void (*complete_names_fn)(void *context, enum cli_word kind, struct complete *complete);

struct complete {
    FILE *out;               /* borrowed */
    complete_names_fn names; /* NULL: none */
    void *context;           /* of names */
    const char *prefix;      /* what the candidates must begin with; private */
    const char *before;      /* what stands before them, "--queue="; private */
};

/* Words after `drover` up to the one at the cursor, which may be empty but is there. */
void complete_words(struct complete *complete, const char *const *words, size_t count);

/* For names: one of them. What is no name is ignored. */
void complete_name(struct complete *complete, const char *name);

#endif
