/*
 * target.h: which task an operand means: ID, ID.N or key:NAME.
 */
#ifndef CLI_TARGET_H
#define CLI_TARGET_H

#include "cli.h"

#define TARGET_TEXT_MAX 48 /* ID.N with its NUL */

/* CLI_OK, or says what is wrong and returns CLI_USAGE. */
int target_parse(const char *text, drover_task_ref *out_task);

/*
 * The operands of the command from number `first` on. CLI_OK with at least one task in a new
 * array for free(), or says what is wrong and returns the exit code.
 */
int target_operands(const struct cli *cli, size_t first, drover_task_ref **out_tasks,
                    size_t *out_count);

void target_format(const drover_id *id, uint32_t index, char out_text[TARGET_TEXT_MAX]);

#endif
