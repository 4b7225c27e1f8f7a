/* test_complete.c: what is offered at the cursor. */
#include "test.h"

#include "check.h"
#include "command.h"
#include "complete.h"

static void give_names(void *context, enum cli_word kind, struct complete *complete)
{
    enum cli_word *asked = context;
    *asked = kind;
    complete_name(complete, "alpha");
    complete_name(complete, "beta");
    complete_name(complete, "be\033ta");
}

struct answer {
    char *text; /* owned */
    enum cli_word asked;
};

/* Completes a line of words; to be released with free(answer.text). */
static struct answer ask(const char *const *words, size_t count)
{
    struct answer answer = {NULL, CLI_WORD_ANY};
    size_t len = 0;
    FILE *stream = open_memstream(&answer.text, &len);
    assert_non_null(stream);
    struct complete complete = {.out = stream, .names = give_names, .context = &answer.asked};
    complete_words(&complete, words, count);
    assert_int_equal(fclose(stream), 0);
    return answer;
}

#define ASK(...) \
    ask((const char *const[]){__VA_ARGS__}, DRV_ARRAY_LEN(((const char *const[]){__VA_ARGS__})))

/* Whether a line of the answer begins with this word and ends or goes on behind a tab. */
static bool has(const struct answer *answer, const char *word)
{
    size_t len = strlen(word);
    for (const char *line = answer->text; line != NULL && *line != '\0';) {
        if (strncmp(line, word, len) == 0 && (line[len] == '\n' || line[len] == '\t')) {
            return true;
        }
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    return false;
}

/* Commands and groups are offered first, each once, those that fit. */
static void test_complete_first_word_offers_commands(void **state)
{
    struct answer answer = ASK("");
    assert_true(has(&answer, "submit"));
    assert_true(has(&answer, "queue"));
    assert_null(strstr(strstr(answer.text, "queue\t") + 1, "queue\t"));
    assert_false(has(&answer, "__complete"));
    free(answer.text);
    answer = ASK("--json", "wo");
    assert_string_equal(answer.text, "worker\ta group of commands\n");
    free(answer.text);
}

/* A group offers its commands, by its plural too. */
static void test_complete_group_offers_its_commands(void **state)
{
    struct answer answer = ASK("queues", "p");
    assert_true(has(&answer, "pause"));
    assert_true(has(&answer, "purge"));
    assert_false(has(&answer, "set"));
    free(answer.text);
}

/* Options are those of the command, of a task where it submits, and of every command. */
static void test_complete_dash_offers_options(void **state)
{
    struct answer answer = ASK("map", "square", "-");
    assert_true(has(&answer, "--batch"));
    assert_true(has(&answer, "--priority"));
    assert_true(has(&answer, "--json"));
    assert_true(has(&answer, "--help"));
    assert_false(has(&answer, "--no-wait"));
    free(answer.text);
    answer = ASK("cancel", "--no");
    assert_true(has(&answer, "--no-wait"));
    assert_false(has(&answer, "--json"));
    free(answer.text);
}

/* Names of queues, workers and types come from outside; what is no name is left out. */
static void test_complete_operands_offer_names(void **state)
{
    struct answer answer = ASK("queue", "pause", "");
    assert_int_equal(answer.asked, CLI_WORD_QUEUE);
    assert_string_equal(answer.text, "alpha\nbeta\n");
    free(answer.text);
    answer = ASK("worker", "drain", "one", "al");
    assert_int_equal(answer.asked, CLI_WORD_WORKER);
    assert_string_equal(answer.text, "alpha\n");
    free(answer.text);
    answer = ASK("submit", "");
    assert_int_equal(answer.asked, CLI_WORD_TYPE);
    free(answer.text);
}

/* The argument of an option is completed as what it is, joined or not. */
static void test_complete_option_argument_is_completed(void **state)
{
    struct answer answer = ASK("submit", "--queue", "b");
    assert_int_equal(answer.asked, CLI_WORD_QUEUE);
    assert_string_equal(answer.text, "beta\n");
    free(answer.text);
    answer = ASK("submit", "-q", "");
    assert_int_equal(answer.asked, CLI_WORD_QUEUE);
    free(answer.text);
    answer = ASK("submit", "--queue=b");
    assert_string_equal(answer.text, "--queue=beta\n");
    free(answer.text);
    answer = ASK("submit", "square", "--durability", "s");
    assert_string_equal(answer.text, "synced\n");
    free(answer.text);
    answer = ASK("submit", "square", "--file", "x");
    assert_string_equal(answer.text, ":files\n");
    free(answer.text);
}

/* What follows the command of xargs, or --, is no option of ours. */
static void test_complete_ended_options_are_operands(void **state)
{
    struct answer answer = ASK("xargs", "-n", "2", "sha256sum", "-");
    assert_string_equal(answer.text, ":files\n");
    free(answer.text);
    answer = ASK("run", "--", "-");
    assert_string_equal(answer.text, ":commands\n");
    free(answer.text);
}

/* Nothing is offered behind a command that is not there. */
static void test_complete_unknown_command_offers_nothing(void **state)
{
    struct answer answer = ASK("queue", "frobnicate", "--delay=");
    assert_string_equal(answer.text, "");
    free(answer.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_complete_first_word_offers_commands),
        cmocka_unit_test(test_complete_group_offers_its_commands),
        cmocka_unit_test(test_complete_dash_offers_options),
        cmocka_unit_test(test_complete_operands_offer_names),
        cmocka_unit_test(test_complete_option_argument_is_completed),
        cmocka_unit_test(test_complete_ended_options_are_operands),
        cmocka_unit_test(test_complete_unknown_command_offers_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
