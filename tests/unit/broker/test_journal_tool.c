/* test_journal_tool.c: the command over a journal in a real directory: what it prints, how it
 * ends. */
#include "journal.h"
#include "test.h"
#include "tool.h"

#include <fcntl.h>
#include <unistd.h>

struct stage {
    char base[40];
    char data[64];
    char copy[64];
    char *out; /* of the last command */
    char *err;
};

static int unlink_one(void *context, const char *name)
{
    if (name[0] != '.') {
        (void)files_real.unlink(context, name);
    }
    return 0;
}

static void remove_directory(const char *path)
{
    struct files_dir *dir = NULL;
    if (files_real.open_dir(NULL, path, false, &dir) == 0) {
        assert_int_equal(files_real.list(dir, unlink_one, dir), 0);
        files_real.close_dir(dir);
        assert_int_equal(rmdir(path), 0);
    }
}

static struct journal *open_journal(const struct stage *stage)
{
    struct journal *journal = NULL;
    struct drv_problem problem = {""};
    struct journal_recovery recovery;
    const struct journal_config config = {.directory = stage->data,
                                          .segment_bytes = (uint64_t)64 * 1024,
                                          .reserve_bytes = (uint64_t)64 * 1024,
                                          .pumped = true};
    assert_ok(journal_open(&config, &journal, &problem));
    assert_ok(journal_replay(journal, NULL, NULL, &recovery, &problem));
    assert_ok(journal_start(journal, &problem));
    return journal;
}

/* A store with three records: kinds 1, 2 and 9. */
static void stage_init(struct stage *stage)
{
    static const uint16_t kinds[] = {1, 2, 9};
    *stage = (struct stage){.base = "/tmp/drover-journal-XXXXXX"};
    assert_non_null(mkdtemp(stage->base));
    (void)snprintf(stage->data, sizeof stage->data, "%s/data", stage->base);
    (void)snprintf(stage->copy, sizeof stage->copy, "%s/copy", stage->base);
    struct journal *journal = open_journal(stage);
    for (size_t i = 0; i < 3; i++) {
        const struct drv_view part = drv_view_text("hello");
        struct journal_entry entry = {
            .kind = kinds[i], .index = (uint32_t)i, .parts = &part, .part_count = i};
        if (i == 2) {
            entry.part_count = 1;
        }
        memset(entry.id.bytes, (int)(0xa0 + i), sizeof entry.id.bytes);
        (void)journal_append(journal, &entry);
    }
    assert_ok(journal_stop(journal));
    journal_destroy(&journal);
}

static void stage_fini(struct stage *stage)
{
    remove_directory(stage->data);
    remove_directory(stage->copy);
    assert_int_equal(rmdir(stage->base), 0);
    free(stage->out);
    free(stage->err);
}

static const char *kind_name(uint16_t kind)
{
    return kind == 1 ? "submit" : NULL;
}

static void describe(const struct journal_record *record, bool json, FILE *out)
{
    (void)fprintf(out, json ? ",\"first\":%d" : " first=%d",
                  record->len > 0 ? record->body[0] : -1);
}

static int run(struct stage *stage, const char *a, const char *b, const char *c, const char *d)
{
    static const struct tool_decoder decoder = {.kind_name = kind_name, .describe = describe};
    const char *const argv[] = {"journal", a, b, c, d};
    int argc = 1;
    while (argc < 5 && argv[argc] != NULL) {
        argc++;
    }
    free(stage->out);
    free(stage->err);
    size_t out_len = 0;
    size_t err_len = 0;
    FILE *out = open_memstream(&stage->out, &out_len);
    FILE *err = open_memstream(&stage->err, &err_len);
    assert_non_null(out);
    assert_non_null(err);
    const int code = tool_main(argc, argv, &decoder, out, err);
    (void)fclose(out);
    (void)fclose(err);
    return code;
}

static void flip(const struct stage *stage, const char *name, off_t offset)
{
    char path[128];
    char byte = 0;
    (void)snprintf(path, sizeof path, "%s/%s", stage->data, name);
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, offset), 1);
    byte = (char)(byte ^ 1);
    assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
    (void)close(fd);
}

/* verify: in words and as JSON. */
static void test_tool_verify(void **state)
{
    struct stage stage;
    stage_init(&stage);
    assert_int_equal(run(&stage, "verify", stage.data, NULL, NULL), 0);
    assert_string_equal(stage.out, "segments 1 to 1, 8192 bytes, 131072 on the disk\n"
                                   "records 3, LSN 1 to 3, known to be synced to 3\n"
                                   "epoch 1, ends at offset 8192 of segment 1\n");
    assert_int_equal(run(&stage, "verify", stage.data, "--json", NULL), 0);
    assert_string_equal(stage.out,
                        "{\"oldest\":1,\"newest\":1,\"bytes\":8192,\"disk_bytes\":131072,"
                        "\"records\":3,\"first_lsn\":1,\"last_lsn\":3,\"durable_lsn\":3,"
                        "\"epoch\":1,\"end\":8192,\"end_segment\":1,\"torn\":false,"
                        "\"ok\":true}\n");
    stage_fini(&stage);
}

/* dump: one line per record, with what the decoder adds. */
static void test_tool_dump(void **state)
{
    struct stage stage;
    stage_init(&stage);
    assert_int_equal(run(&stage, "dump", stage.data, NULL, NULL), 0);
    assert_string_equal(
        stage.out,
        "lsn=1 segment=1 offset=4160 kind=1 name=submit id=a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0 "
        "index=0 len=0 first=-1\n"
        "lsn=2 segment=1 offset=4208 kind=2 id=a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1 "
        "index=1 len=5 first=104\n"
        "lsn=3 segment=1 offset=4264 kind=9 id=a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2 "
        "index=2 len=5 first=104\n");
    assert_int_equal(run(&stage, "dump", "--json", stage.data, NULL), 0);
    assert_non_null(strstr(stage.out, "{\"lsn\":1,\"segment\":1,\"offset\":4160,\"kind\":1,"
                                      "\"name\":\"submit\",\"id\":\"a0a0"));
    assert_non_null(strstr(stage.out, "\"index\":2,\"len\":5,\"first\":104}\n"));
    stage_fini(&stage);
}

/* Damage: 65 with file and offset; what stands before it is dumped; repair; well again. */
static void test_tool_damage_and_repair(void **state)
{
    struct stage stage;
    stage_init(&stage);
    flip(&stage, "journal-000000000001.seg", 4264 + 50);
    assert_int_equal(run(&stage, "verify", stage.data, NULL, NULL), 65);
    assert_non_null(strstr(stage.err, "journal-000000000001.seg: damaged at offset 4264"));
    assert_int_equal(run(&stage, "repair", stage.data, NULL, NULL), 0);
    assert_non_null(strstr(stage.out, "repaired: the last record is 0; 1 files are kept"));
    assert_int_equal(run(&stage, "verify", stage.data, NULL, NULL), 0);
    assert_int_equal(run(&stage, "repair", "--json", stage.data, NULL), 0);
    assert_string_equal(stage.out, "{\"changed\":false,\"last_lsn\":0,\"set_aside\":0}\n");
    stage_fini(&stage);
}

/* backup: a copy, also while the journal is open; not over a store. repair: not then. */
static void test_tool_backup_of_an_open_journal(void **state)
{
    struct stage stage;
    stage_init(&stage);
    struct journal *journal = open_journal(&stage);
    assert_int_equal(run(&stage, "backup", stage.data, stage.copy, NULL), 0);
    assert_non_null(strstr(stage.out, "records 3, LSN 1 to 3"));
    assert_int_equal(run(&stage, "repair", stage.data, NULL, NULL), 75);
    assert_non_null(strstr(stage.err, "in use by another broker"));
    journal_destroy(&journal);
    assert_int_equal(run(&stage, "verify", stage.copy, NULL, NULL), 0);
    assert_int_equal(run(&stage, "backup", stage.data, stage.copy, NULL), 64);
    assert_non_null(strstr(stage.err, "already"));
    stage_fini(&stage);
}

/* Usage: one line, 64; help; a directory that is not there: 74. */
static void test_tool_usage(void **state)
{
    struct stage stage;
    stage_init(&stage);
    assert_int_equal(run(&stage, NULL, NULL, NULL, NULL), 64);
    assert_int_equal(run(&stage, "mend", stage.data, NULL, NULL), 64);
    assert_non_null(strstr(stage.err, "not mend"));
    assert_int_equal(run(&stage, "backup", stage.data, NULL, NULL), 64);
    assert_int_equal(run(&stage, "verify", "a", "b", NULL), 64);
    assert_int_equal(run(&stage, "verify", "--jsun", "b", NULL), 64);
    assert_int_equal(run(&stage, "--help", NULL, NULL, NULL), 0);
    assert_non_null(strstr(stage.out, "backup DIR DEST"));
    assert_int_equal(run(&stage, "verify", "/nonexistent", NULL, NULL), 74);
    assert_int_equal(run(&stage, "verify", stage.base, NULL, NULL), 65);
    assert_non_null(strstr(stage.err, "holds no drover store"));
    stage_fini(&stage);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_tool_verify),
    cmocka_unit_test(test_tool_dump),
    cmocka_unit_test(test_tool_damage_and_repair),
    cmocka_unit_test(test_tool_backup_of_an_open_journal),
    cmocka_unit_test(test_tool_usage),
};

TEST_MAIN(tests)
