/* identity.h */
#include "test.h"

#include "identity.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_A "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define KEY_B "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

struct place {
    char folder[64], path[80];
};

static void place_open(struct place *place)
{
    (void)strcpy(place->folder, "/tmp/drover-identity-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    (void)snprintf(place->path, sizeof place->path, "%s/key", place->folder);
}

static void place_close(const struct place *place)
{
    (void)unlink(place->path);
    assert_int_equal(rmdir(place->folder), 0);
}

static void write_key(const struct place *place, const char *text, mode_t mode)
{
    (void)unlink(place->path);
    int fd = open(place->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(close(fd), 0);
}

/* A key is its digits in either case, and nothing else is one. */
static void test_key_is_64_digits(void **state)
{
    struct drv_curve_key key, again;
    char text[DRV_KEY_TEXT_LEN + 1];
    assert_true(drv_curve_key_parse(KEY_B, DRV_KEY_TEXT_LEN, &key));
    assert_int_equal(key.bytes[0], 0xff);
    assert_int_equal(key.bytes[31], 0xff);
    drv_curve_key_format(&key, text);
    assert_string_equal(text, KEY_B);
    text[0] = text[1] = 'F';
    assert_true(drv_curve_key_parse(text, DRV_KEY_TEXT_LEN, &again));
    assert_true(drv_curve_key_equal(&key, &again));
    assert_false(drv_curve_key_parse(KEY_B, DRV_KEY_TEXT_LEN - 1, &key));
    text[5] = 'g';
    assert_false(drv_curve_key_parse(text, DRV_KEY_TEXT_LEN, &key));
}

/* Own pair and broker's key from one file, or the broker's from a second one, or as digits. */
static void test_identity_is_read_from_files_and_text(void **state)
{
    struct place place;
    struct drv_identity identity;
    struct drv_problem problem = {""};
    place_open(&place);
    write_key(&place, "# of alice\n\npublic " KEY_A "\nsecret " KEY_B "\nbroker " KEY_B "\n",
              0600);
    assert_ok(drv_identity_load(&identity, place.path, NULL, &problem));
    assert_true(identity.has_own && identity.has_broker);
    assert_int_equal(identity.broker_key.bytes[0], 0xff);
    assert_ok(drv_identity_load(&identity, place.path, KEY_A, &problem));
    assert_int_equal(identity.broker_key.bytes[0], 0);
    assert_ok(drv_identity_load(&identity, place.path, place.path, &problem));
    assert_int_equal(identity.broker_key.bytes[0], 0);
    drv_identity_wipe(&identity);
    assert_false(identity.has_own);
    assert_ok(drv_identity_load(&identity, NULL, NULL, &problem));
    assert_false(identity.has_own || identity.has_broker);
    place_close(&place);
}

static void expect_wrong(const struct place *place, const char *text, mode_t mode,
                         drover_status status, const char *words)
{
    struct drv_identity identity;
    struct drv_problem problem = {""};
    write_key(place, text, mode);
    assert_int_equal(drv_identity_load(&identity, place->path, NULL, &problem), status);
    assert_false(identity.has_own);
    if (strstr(problem.text, words) == NULL) {
        fail_msg("says %s, not %s", problem.text, words);
    }
}

/* From an open descriptor: from its beginning, as often as is asked; then it is closed. */
static void test_identity_is_read_from_a_descriptor(void **state)
{
    struct place place;
    struct drv_identity identity;
    struct drv_problem problem = {""};
    char text[16];
    int number;
    place_open(&place);
    write_key(&place, "public " KEY_A "\nsecret " KEY_B "\nbroker " KEY_B "\n", 0600);
    int fd = open(place.path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 3);
    (void)snprintf(text, sizeof text, "fd:%d", fd);
    for (int i = 0; i < 2; i++) {
        assert_ok(drv_identity_load(&identity, text, NULL, &problem));
        assert_int_equal(identity.secret_key.bytes[0], 0xff);
    }
    assert_int_equal(fchmod(fd, 0644), 0);
    assert_int_equal(drv_identity_load(&identity, text, NULL, &problem), DROVER_REFUSED);
    drv_identity_close(text);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    assert_int_equal(drv_identity_load(&identity, text, NULL, &problem), DROVER_IO);
    drv_identity_close(place.path);
    drv_identity_close(NULL);
    assert_true(drv_identity_descriptor("fd:0", &number) && number == 0);
    for (const char *const *wrong = (const char *const[]){"fd:", "fd:1", "fd:2", "fd:x",
                                                          "fd:-1", "fd:99999999999", NULL};
         *wrong != NULL; wrong++) {
        assert_false(drv_identity_descriptor(*wrong, &number));
    }
    place_close(&place);
}

/* What is wrong with a file is told with its line, never with what stands there. */
static void test_identity_mistakes_are_told(void **state)
{
    static const char pair[] = "public " KEY_A "\nsecret " KEY_B "\n";
    struct place place;
    struct drv_identity identity;
    struct drv_problem problem = {""};
    place_open(&place);
    expect_wrong(&place, pair, 0640, DROVER_REFUSED, "chmod 600");
    expect_wrong(&place, pair, 0600, DROVER_INVALID, "needs the broker's public key");
    expect_wrong(&place, "public " KEY_A "\n", 0644, DROVER_INVALID, "and a line secret");
    expect_wrong(&place, "\nsecret " KEY_B "0\n", 0600, DROVER_INVALID, "key:2: want");
    expect_wrong(&place, "public " KEY_A "\npublic " KEY_B "\n", 0600, DROVER_INVALID, ":2:");
    expect_wrong(&place, "public " KEY_A " x\n", 0600, DROVER_INVALID, ":1:");
    expect_wrong(&place, "key " KEY_A "\n", 0600, DROVER_INVALID, ":1:");
    assert_int_equal(drv_identity_load(&identity, NULL, KEY_A, &problem), DROVER_INVALID);
    assert_non_null(strstr(problem.text, "needs an own key"));
    assert_int_equal(drv_identity_load(&identity, "/nowhere/at/all", KEY_A, &problem),
                     DROVER_IO);
    assert_int_equal(drv_identity_load(&identity, place.folder, KEY_A, &problem), DROVER_IO);
    char *large = calloc(1, 2 * DRV_IDENTITY_FILE_MAX);
    assert_non_null(large);
    memset(large, '#', 2 * DRV_IDENTITY_FILE_MAX - 1);
    expect_wrong(&place, large, 0600, DROVER_INVALID, "too long");
    free(large);
    place_close(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_is_64_digits),
        cmocka_unit_test(test_identity_is_read_from_files_and_text),
        cmocka_unit_test(test_identity_is_read_from_a_descriptor),
        cmocka_unit_test(test_identity_mistakes_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
