/*
 * tool.h: the command `drover-broker journal verify|dump|repair|backup`, over inspect.h.
 */
#ifndef STORE_JOURNAL_TOOL_H
#define STORE_JOURNAL_TOOL_H

#include "journal.h"

#include <stdio.h>

/* Says in words what is in records; the journal itself does not know. */
struct tool_decoder {
    /* "submit"; NULL for a kind that is not known. Static. */
    const char *(*kind_name)(uint16_t kind);
    /* Writes what the body says behind the record's other fields: in text " key=value ...", in
     * JSON
     * ",\"key\":value ...". May be NULL. */
    void (*describe)(const struct journal_record *record, bool json, FILE *out);
};

/*
 * Runs the command: argv[0] is its name, argv[1] the verb. decoder may be NULL. Prints results
 * to out, one line of complaint to err. Returns the exit code: 0; 64 usage; 65 damaged or
 * another format; 74 input or output; 75 in use.
 */
int tool_main(int argc, const char *const *argv, const struct tool_decoder *decoder, FILE *out,
              FILE *err);

#endif
