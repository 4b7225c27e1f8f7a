/* target.c: see target.h. */
#include "target.h"

#include "units.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int target_parse(const char *text, drover_task_ref *out_task)
{
    drover_task_ref task = {.index = DROVER_INDEX_NONE};
    char id[DROVER_ID_TEXT_LEN + 1] = "";
    if (strncmp(text, "key:", 4) == 0) {
        return cli_say(CLI_USAGE, "%s: keys are not in this version, say the task's id", text);
    }
    size_t len = strcspn(text, ".");
    if (len == DROVER_ID_TEXT_LEN) {
        memcpy(id, text, len);
    }
    if (drover_id_parse(id, &task.id) != DROVER_OK) {
        return cli_say(CLI_USAGE, "'%s' is no task: wanted are 26 characters, or ID.N", text);
    }
    if (text[len] == '.') {
        uint64_t index = 0;
        if (drv_uint_parse(text + len + 1, &index) != DROVER_OK || index >= UINT32_MAX) {
            return cli_say(CLI_USAGE, "'%s' is no element: wanted is a number after ID.", text);
        }
        task.index = (uint32_t)index;
    }
    *out_task = task;
    return CLI_OK;
}

int target_operands(const struct cli *cli, size_t first, drover_task_ref **out_tasks,
                    size_t *out_count)
{
    size_t count = cli_operand_count(cli) - first;
    drover_task_ref *tasks = calloc(count + 1, sizeof(*tasks));
    if (tasks == NULL) {
        return cli_no_memory();
    }
    for (size_t i = 0; i < count; i++) {
        int code = target_parse(cli_operand(cli, first + i), &tasks[i]);
        if (code != CLI_OK) {
            free(tasks);
            return code;
        }
    }
    *out_tasks = tasks;
    *out_count = count;
    return CLI_OK;
}

void target_format(const drover_id *id, uint32_t index, char out_text[TARGET_TEXT_MAX])
{
    char text[DROVER_ID_TEXT_LEN + 1];
    drover_id_format(id, text);
    if (index == DROVER_INDEX_NONE) {
        (void)snprintf(out_text, TARGET_TEXT_MAX, "%s", text);
    } else {
        (void)snprintf(out_text, TARGET_TEXT_MAX, "%s.%" PRIu32, text, index);
    }
}
