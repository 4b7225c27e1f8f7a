/* target.c: see target.h. */
#include "target.h"

#include "units.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char KEY[] = "key:";

static bool is_key(const char *text)
{
    return strncmp(text, KEY, sizeof(KEY) - 1) == 0;
}

int target_parse(const char *text, drover_task_ref *out_task)
{
    drover_task_ref task = {.index = DROVER_INDEX_NONE};
    char id[DROVER_ID_TEXT_LEN + 1] = "";
    if (is_key(text)) {
        return cli_say(CLI_USAGE, "%s: a key cannot stand here, say the task's id", text);
    }
    size_t len = strcspn(text, ".");
    if (len == DROVER_ID_TEXT_LEN) {
        memcpy(id, text, len);
    }
    if (drover_id_parse(id, &task.id) != DROVER_OK) {
        return cli_say(CLI_USAGE, "'%s' is no task: wanted are 26 characters, ID.N or key:NAME",
                       text);
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

/* What --queue says, if the command has that option. */
static const char *queue_of(const struct cli *cli)
{
    for (size_t i = 0; i < cli->command->option_count; i++) {
        if (strcmp(cli->command->options[i].name, "queue") == 0) {
            return drv_options_string(cli->options, "queue");
        }
    }
    return NULL;
}

/* Cuts QUEUE/ off the front of a key, if it stands there. */
static const char *cut_queue(const char *key, char out_queue[DROVER_NAME_MAX + 1])
{
    const char *slash = strchr(key, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - key);
    if (len == 0 || len > DROVER_NAME_MAX) {
        return key;
    }
    memcpy(out_queue, key, len);
    out_queue[len] = '\0';
    if (!drover_name_is_valid(out_queue)) {
        out_queue[0] = '\0';
        return key;
    }
    return slash + 1;
}

/* The latest task of a key; text is what the user has written. */
static int find_key(struct cli *cli, const char *text, const char *queue, const char *key,
                    drover_task_ref *out_task)
{
    int code = cli_connect(cli);
    if (code != CLI_OK) {
        return code;
    }
    drover_task_ref task = {.index = DROVER_INDEX_NONE};
    drover_status status = drover_key_find(cli->client, queue, key, CLI_ASK_MS, &task.id);
    if (status == DROVER_INVALID) {
        return cli_say(CLI_USAGE, "'%s' is no key: wanted is key:NAME or key:QUEUE/NAME", text);
    }
    if (status == DROVER_UNKNOWN) {
        return cli_say_status(CLI_FAILED, DROVER_UNKNOWN,
                              "%s: no task of queue '%s' has this key", text,
                              queue != NULL ? queue : "default");
    }
    if (status != DROVER_OK) {
        return cli_failed(cli, status, text);
    }
    *out_task = task;
    return CLI_OK;
}

int target_find_in(struct cli *cli, const char *text, const char *queue,
                   drover_task_ref *out_task)
{
    char cut[DROVER_NAME_MAX + 1] = "";
    if (!is_key(text)) {
        return target_parse(text, out_task);
    }
    const char *key = cut_queue(text + sizeof(KEY) - 1, cut);
    return find_key(cli, text, cut[0] != '\0' ? cut : queue, key, out_task);
}

int target_find(struct cli *cli, const char *text, drover_task_ref *out_task)
{
    const char *queue = queue_of(cli);
    return queue != NULL && is_key(text)
               ? find_key(cli, text, queue, text + sizeof(KEY) - 1, out_task)
               : target_find_in(cli, text, NULL, out_task);
}

/* Everything but keys first: a mistake is told without a broker, too. */
static int check_operands(const struct cli *cli, size_t first, size_t count)
{
    drover_task_ref ignored;
    int code = CLI_OK;
    for (size_t i = 0; code == CLI_OK && i < count; i++) {
        const char *text = cli_operand(cli, first + i);
        code = is_key(text) ? CLI_OK : target_parse(text, &ignored);
    }
    return code;
}

int target_operands(struct cli *cli, size_t first, drover_task_ref **out_tasks,
                    size_t *out_count)
{
    size_t count = cli_operand_count(cli) - first;
    int code = check_operands(cli, first, count);
    if (code != CLI_OK) {
        return code;
    }
    drover_task_ref *tasks = calloc(count + 1, sizeof(*tasks));
    if (tasks == NULL) {
        return cli_no_memory();
    }
    for (size_t i = 0; i < count; i++) {
        code = target_find(cli, cli_operand(cli, first + i), &tasks[i]);
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
