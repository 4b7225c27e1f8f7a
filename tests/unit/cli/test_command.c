/* test_command.c: the table of commands is whole, and words find their commands in it. */
#include "test.h"

#include "command.h"
#include "task_options.h"

/* Every command has what help, dispatch and completion need. */
static void test_command_table_is_complete(void **state)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *command = cli_commands[i];
        assert_non_null(command->name);
        assert_non_null(command->summary);
        assert_non_null(command->usage);
        assert_non_null(command->run);
        assert_true(command->operand_min <= command->operand_max);
        assert_true(strlen(command->summary) <= 60);
        assert_int_not_equal(command->summary[strlen(command->summary) - 1], '.');
    }
}

/* Each command is found by its own words and by no other's. */
static void test_command_words_find_it(void **state)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *command = cli_commands[i];
        const char *first = command->group != NULL ? command->group : command->name;
        assert_ptr_equal(command_find(first, command->name), command);
        assert_int_equal(command_classify(first),
                         command->group != NULL ? COMMAND_GROUP : COMMAND_PLAIN);
    }
}

/* The options of each command can be declared together: none comes twice. */
static void test_command_options_do_not_clash(void **state)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        struct drv_program program = {.name = "drover", .usage = ""};
        struct drv_options *options = NULL;
        program.table_count = command_tables(cli_commands[i], program.tables);
        assert_ok(drv_options_new(&program, &options));
        drv_options_destroy(&options);
    }
}

/* Letters mean one option of a command each. */
static void test_command_letters_do_not_clash(void **state)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        struct drv_option_table tables[COMMAND_TABLES_MAX];
        size_t count = command_tables(cli_commands[i], tables);
        bool seen[256] = {false};
        for (size_t t = 0; t < count; t++) {
            for (size_t o = 0; o < tables[t].count; o++) {
                unsigned char letter = (unsigned char)tables[t].options[o].letter;
                assert_false(letter != 0 && seen[letter]);
                seen[letter] = true;
            }
        }
    }
}

/* Plurals are the singular, for groups alone. */
static void test_command_plural_is_alias(void **state)
{
    assert_ptr_equal(command_find("tasks", "ls"), &cmd_task_list);
    assert_ptr_equal(command_find("queues", "pause"), &cmd_queue_pause);
    assert_ptr_equal(command_find("workers", "drain"), &cmd_worker_drain);
    assert_null(command_find("submits", NULL));
    assert_null(command_find("taskss", "ls"));
}

/* A word without a meaning has none. */
static void test_command_unknown_is_told(void **state)
{
    assert_int_equal(command_classify("frobnicate"), COMMAND_UNKNOWN);
    assert_int_equal(command_classify(""), COMMAND_UNKNOWN);
    assert_int_equal(command_classify("graph"), COMMAND_GROUP);
    assert_int_equal(command_classify("keygen"), COMMAND_PLAIN);
    assert_int_equal(command_classify("top"), COMMAND_PLAIN);
    assert_int_equal(command_classify("alerts"), COMMAND_GROUP);
    assert_null(command_find("queue", "frobnicate"));
    assert_null(command_find("queue", NULL));
}

/* The list for people has every command but hidden ones. */
static void test_command_list_shows_what_is_there(void **state)
{
    char *text = NULL;
    size_t len = 0;
    FILE *stream = open_memstream(&text, &len);
    assert_non_null(stream);
    command_print_list(stream, NULL);
    assert_int_equal(fclose(stream), 0);
    assert_non_null(strstr(text, "  submit "));
    assert_non_null(strstr(text, "  queue pause "));
    assert_null(strstr(text, "__complete"));
    assert_non_null(strstr(text, "  keygen "));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command_table_is_complete),
        cmocka_unit_test(test_command_words_find_it),
        cmocka_unit_test(test_command_options_do_not_clash),
        cmocka_unit_test(test_command_letters_do_not_clash),
        cmocka_unit_test(test_command_plural_is_alias),
        cmocka_unit_test(test_command_unknown_is_told),
        cmocka_unit_test(test_command_list_shows_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
