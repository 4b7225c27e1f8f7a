/* top: documents become tables, keys change the model, the picture is drawn into cells. */
#include "test.h"

#include "top/cells.h"
#include "top/layout.h"
#include "top/model.h"

#include <locale.h>

enum { PICTURE_MAX = 1 << 15 };

/* ---- what the broker says ---------------------------------------------------------------- */

#define ID_A "01M8FT0AKG9NY2Z32D85D6Z25X"
#define ID_B "01M8FT0AKRMYEJMVDP4216AA3K"

static const char workers[] =
    "{\"workers\":["
    "{\"id\":\"01\",\"name\":\"alpha\",\"host\":\"node-1\",\"pid\":10,\"state\":\"connected\","
    "\"slots\":4,\"running\":2,\"tasks_done\":7,\"model\":\"prefork\",\"heartbeat_age_ms\":300,"
    "\"types\":[\"square\",\"sleep\"],\"stats\":{\"cpu_percent\":50,\"memory_percent\":12.5,"
    "\"disk_percent\":96,\"load1\":1.5,\"process_count\":99,\"cpu_count\":4,\"memory_total\":"
    "100,"
    "\"memory_used\":12,\"bytes_sent\":2048,\"bytes_recv\":10}},"
    "{\"id\":\"02\",\"name\":\"beta\",\"host\":\"node-1\",\"pid\":11,\"state\":\"draining\","
    "\"slots\":2,\"running\":0,\"tasks_done\":70,\"model\":\"fork\",\"heartbeat_age_ms\":90,"
    "\"types\":[\"square\"]},"
    "{\"id\":\"03\",\"name\":\"\\u001b[31mgamma\\u4e16\\u754c\",\"host\":\"node-2\",\"pid\":12,"
    "\"state\":\"connected\",\"slots\":1,\"running\":1,\"tasks_done\":0,\"model\":\"fork\","
    "\"heartbeat_age_ms\":1500,\"types\":[]}]}";

static const char tasks[] =
    "{\"tasks\":["
    "{\"id\":\"" ID_A
    "\",\"index\":-1,\"type\":\"square\",\"queue\":\"default\",\"priority\":0,"
    "\"state\":\"queued\",\"attempt\":0,\"age_ms\":900},"
    "{\"id\":\"" ID_B "\",\"index\":-1,\"type\":\"sleep\",\"queue\":\"bulk\",\"priority\":5,"
    "\"state\":\"running\",\"attempt\":1,\"age_ms\":5000,\"worker\":\"alpha\"}]}";

static const char status[] =
    "{\"broker\":{\"endpoint\":\"tcp://"
    "127.0.0.1:7710\",\"version\":\"0.1.0\",\"uptime_ms\":7500000,"
    "\"cpu_percent\":1.25,\"rss_bytes\":1048576,\"loop_ms\":3},\"tasks\":{\"queued\":12,"
    "\"running\":3,\"waiting\":1,\"delayed\":1,\"succeeded\":77,\"failed\":2},"
    "\"rates\":{\"succeeded_per_s\":10,\"submitted_per_s\":12},\"worker_count\":3,\"slots\":7,"
    "\"busy\":3,\"oldest_age_ms\":4000,\"alerts\":["
    "{\"rule\":\"known\",\"subject\":\"a\",\"severity\":\"critical\",\"state\":\"firing\","
    "\"text\":\"x\",\"acknowledged\":true},"
    "{\"rule\":\"quiet\",\"subject\":\"a\",\"severity\":\"critical\",\"state\":\"firing\","
    "\"text\":\"x\",\"silenced\":true},{\"rule\":\"host-disk\",\"subject\":\"node-"
    "1\","
    "\"severity\":\"critical\",\"state\":\"firing\",\"text\":\"disk 96 %\"},"
    "{\"rule\":\"old\",\"state\":\"resolved\"}]}";

static drover_value *parse(const char *json)
{
    drover_value *value = NULL;
    char why[256] = "";
    assert_ok(drover_value_from_json(json, strlen(json), &value, why, sizeof(why)));
    return value;
}

/* The answer to what the model asks. */
static void answer(struct top *top, const char *json)
{
    struct view_builder builder;
    struct listing table;
    drover_value *page = parse(json);
    view_begin(&builder, top->view);
    view_add(&builder, page);
    view_end(&builder);
    table = builder.table;
    listing_init(&builder.table, table.columns, table.column_count);
    view_fini(&builder);
    top_take_table(top, &table);
    drover_value_destroy(&page);
}

/* ---- a picture --------------------------------------------------------------------------- */

struct stage {
    struct top top;
    struct cells cells;
    char picture[PICTURE_MAX];
};

static struct stage *stage_new(int rows, int columns)
{
    struct stage *stage = calloc(1, sizeof(*stage));
    drover_value *document = parse(status);
    assert_non_null(stage);
    assert_non_null(setlocale(LC_CTYPE, "C.UTF-8"));
    top_init(&stage->top);
    cells_init(&stage->cells);
    assert_true(cells_resize(&stage->cells, rows, columns));
    summary_read(&stage->top.summary, document);
    drover_value_destroy(&document);
    return stage;
}

static void stage_free(struct stage *stage)
{
    top_fini(&stage->top);
    cells_fini(&stage->cells);
    free(stage);
}

static const char *draw(struct stage *stage)
{
    size_t len = 0;
    layout_draw(&stage->top, &stage->cells);
    for (int row = 0; row < stage->cells.rows; row++) {
        (void)cells_line(&stage->cells, row, stage->picture + len, PICTURE_MAX - len - 1);
        len += strlen(stage->picture + len);
        stage->picture[len++] = '\n';
        stage->picture[len] = '\0';
    }
    return stage->picture;
}

static struct top_want press(struct stage *stage, uint32_t key)
{
    return top_press(&stage->top, key);
}

static void type(struct stage *stage, const char *text)
{
    for (; *text != '\0'; text++) {
        (void)press(stage, (unsigned char)*text);
    }
}

/* The line of the table that keys are about. */
static const char *selected(const struct stage *stage)
{
    const struct listing_row *row = top_selected(&stage->top);
    return row != NULL ? row->cells[0].text : "";
}

static void assert_has(const char *picture, const char *text)
{
    if (strstr(picture, text) == NULL) {
        print_error("not there: %s\n%s", text, picture);
    }
    assert_non_null(strstr(picture, text));
}

/* ---- tests ------------------------------------------------------------------------------- */

/* The whole picture at the size that every terminal has, hostile text made harmless. */
static void test_top_draws_the_workers(void **state)
{
    struct stage *stage = stage_new(16, 80);
    answer(&stage->top, workers);
    assert_string_equal(
        draw(stage),
        "drover top  tcp://127.0.0.1:7710  up 2h 5m  workers 3  busy 3/7  cpu 1.2 %\n"
        "queued 12  running 3  done 10/s  failed 2  oldest 4.0 s  waiting 2  in 12/s\n"
        "! critical host-disk node-1: disk 96 %\n"
        " 1 hosts [2 workers] 3 executors  4 queues  5 tasks                 3, by WORKER\n"
        "  WORKER             STATE      SLOTS  RUNNING  DONE  CPU %  MEMORY %   HEARD\n"
        "> \\x1b[31mgamma世界  connected      1        1     0      -         -   1.5 s\n"
        "  alpha              connected      4        2     7   50.0      12.5  300 ms\n"
        "  beta               draining       2        0    70      -         -   90 ms\n"
        "\n\n\n\n\n\n\n"
        "q quit  ? help  Enter open  d drain  r resume  / filter  s sort\n");
    stage_free(stage);
}

/* A smaller screen has fewer columns and lines, and always a table and the keys. */
static void test_top_fits_into_little_room(void **state)
{
    static const int sizes[][2] = {{4, 20}, {6, 40}, {9, 30}, {24, 20}, {40, 200}, {5, 1000}};
    struct stage *stage = stage_new(7, 40);
    answer(&stage->top, workers);
    (void)press(stage, TOP_KEY_DOWN);
    assert_string_equal(draw(stage), "[2 workers]                 3, by WORKER\n"
                                     "  WORKER             STATE      RUNNING\n"
                                     "  \\x1b[31mgamma世界  connected        1\n"
                                     "> alpha              connected        2\n"
                                     "  beta               draining         0\n"
                                     "\n"
                                     "q quit  ? help  Enter open  d drain\n");
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_true(cells_resize(&stage->cells, sizes[i][0], sizes[i][1]));
        const char *picture = draw(stage);
        assert_has(picture, "WORKER");
        assert_has(picture, "> alpha");
        assert_has(picture, "q quit");
    }
    assert_true(cells_resize(&stage->cells, 3, 10));
    assert_has(draw(stage), "too small");
    assert_true(cells_resize(&stage->cells, 0, -5));
    (void)draw(stage);
    stage_free(stage);
}

/* Hosts are summed up from their workers; a share is a picture too, and one that is high has a
 * style of its own. */
static void test_top_shows_hosts_with_bars(void **state)
{
    struct stage *stage = stage_new(16, 100);
    assert_int_equal(press(stage, '1').act, TOP_ASK);
    answer(&stage->top, workers);
    const char *picture = draw(stage);
    assert_has(picture, "> node-1  [#####.....]  50.0 %  [#.........]  12.5 %    96.0");
    assert_has(picture, "  node-2                     -                     -       -");
    assert_int_equal(top_selected(&stage->top)->cells[3].style, CELL_BAD);
    assert_int_equal(press(stage, TOP_KEY_ENTER).act, TOP_ASK);
    assert_int_equal(stage->top.view, VIEW_WORKERS);
    answer(&stage->top, workers);
    assert_int_equal(stage->top.table.shown_count, 2);
    assert_has(draw(stage), "with 'node-1'");
    stage_free(stage);
}

/* Who was selected is found again when the answer has another order, and a neighbour when it is
 * gone. */
static void test_top_selection_follows_its_row(void **state)
{
    struct stage *stage = stage_new(16, 80);
    answer(&stage->top, workers);
    (void)press(stage, TOP_KEY_END);
    assert_string_equal(selected(stage), "beta");
    type(stage, "ss"); /* by SLOTS, the most first */
    assert_string_equal(selected(stage), "beta");
    (void)press(stage, TOP_KEY_HOME);
    assert_string_equal(selected(stage), "alpha");
    (void)press(stage, 'R');
    answer(&stage->top, workers);
    assert_string_equal(selected(stage), "alpha");
    answer(&stage->top, "{\"workers\":[{\"id\":\"09\",\"name\":\"last\",\"slots\":1}]}");
    assert_string_equal(selected(stage), "last");
    answer(&stage->top, "{\"workers\":[]}");
    assert_null(top_selected(&stage->top));
    assert_has(draw(stage), "no worker is connected");
    assert_int_equal(press(stage, 'd').act, TOP_NOTHING);
    stage_free(stage);
}

/* A filter finds text in any cell, in upper and lower case, while it is typed. */
static void test_top_filter_is_typed(void **state)
{
    struct stage *stage = stage_new(16, 80);
    answer(&stage->top, workers);
    type(stage, "/DRAINq");
    assert_has(draw(stage), "only rows with: DRAINq_");
    assert_has(draw(stage), "no row has that text");
    (void)press(stage, TOP_KEY_BACKSPACE);
    assert_string_equal(selected(stage), "beta");
    (void)press(stage, TOP_KEY_ENTER);
    assert_has(draw(stage), "1, by WORKER, with 'DRAIN'");
    (void)press(stage, TOP_KEY_ESCAPE);
    assert_int_equal(stage->top.table.shown_count, 3);
    type(stage, "/");
    (void)press(stage, 0x4e16);
    (void)press(stage, 0x1b);
    assert_int_equal(stage->top.table.shown_count, 1);
    (void)press(stage, TOP_KEY_BACKSPACE);
    assert_int_equal(stage->top.table.shown_count, 3);
    for (int i = 0; i < 200; i++) {
        (void)press(stage, 0x4e16);
    }
    assert_true(strlen(stage->top.places[VIEW_WORKERS].filter) < TOP_FILTER_MAX);
    (void)press(stage, TOP_KEY_ESCAPE);
    assert_int_equal(stage->top.mode, TOP_LIST);
    stage_free(stage);
}

/* Drain and resume are about the selected worker, by its id; elsewhere they say what to do. */
static void test_top_drains_the_selected_worker(void **state)
{
    struct stage *stage = stage_new(16, 80);
    answer(&stage->top, workers);
    (void)press(stage, TOP_KEY_DOWN);
    struct top_want want = press(stage, 'd');
    assert_int_equal(want.act, TOP_DRAIN);
    assert_string_equal(want.name, "01");
    assert_string_equal(want.label, "alpha");
    assert_int_equal(press(stage, 'r').act, TOP_RESUME);
    (void)press(stage, '4');
    answer(&stage->top, "{\"queues\":[{\"name\":\"bulk\",\"depth\":3,\"paused\":true}]}");
    assert_int_equal(press(stage, 'd').act, TOP_NOTHING);
    assert_has(draw(stage), "select a worker (2) for that");
    want = press(stage, 'p');
    assert_int_equal(want.act, TOP_QUEUE_PAUSE);
    assert_string_equal(want.name, "bulk");
    assert_int_equal(press(stage, 'r').act, TOP_QUEUE_RESUME);
    assert_int_equal(press(stage, TOP_KEY_ENTER).act, TOP_ASK);
    struct top_question question = top_ask(&stage->top);
    assert_int_equal(question.view, VIEW_TASKS);
    assert_string_equal(question.queue, "bulk");
    stage_free(stage);
}

/* A cancel asks first, and any key but y is no. */
static void test_top_cancel_asks_first(void **state)
{
    struct stage *stage = stage_new(16, 80);
    (void)press(stage, '5');
    answer(&stage->top, tasks);
    assert_string_equal(selected(stage), ID_B); /* the oldest */
    assert_int_equal(press(stage, 'c').act, TOP_NOTHING);
    assert_has(draw(stage), "cancel task " ID_B "? (y/n)");
    assert_int_equal(press(stage, 'q').act, TOP_NOTHING);
    assert_has(draw(stage), "not cancelled");
    (void)press(stage, 'c');
    struct top_want want = press(stage, 'y');
    assert_int_equal(want.act, TOP_CANCEL);
    assert_string_equal(want.label, ID_B);
    assert_int_equal(want.task.index, DROVER_INDEX_NONE);
    assert_int_equal(press(stage, 't').act, TOP_ASK);
    assert_int_equal(top_ask(&stage->top).tasks, VIEW_TASKS_RUNNING);
    stage_free(stage);
}

/* An opened task tells why it is where it is, its attempts, and what it printed last. */
static void test_top_opens_a_task(void **state)
{
    struct stage *stage = stage_new(24, 80);
    struct sheet sheet;
    drover_value *task = parse(
        "{\"id\":\"" ID_B "\",\"index\":-1,\"state\":\"failed\",\"type\":\"sleep\","
        "\"submitted_age_ms\":9000,\"progress\":{\"permille\":500,\"text\":\"half\"},"
        "\"attempts\":[{\"attempt\":1,\"worker\":\"alpha\",\"host\":\"node-1\",\"outcome\":"
        "\"failed\","
        "\"run_us\":1500000,\"signal\":11,\"age_ms\":4000}],"
        "\"error\":{\"kind\":\"crash\",\"text\":\"killed\",\"stderr\":\"one\\n\\u001b[2Jtwo\"}"
        "}");
    drover_value *why = parse("{\"text\":\"it failed: killed\"}");
    (void)press(stage, '5');
    answer(&stage->top, tasks);
    assert_int_equal(press(stage, TOP_KEY_ENTER).act, TOP_ASK);
    struct top_question question = top_ask(&stage->top);
    assert_int_equal(question.about, TOP_ABOUT_TASK);
    assert_true(top_wants(&stage->top, &question));
    assert_has(draw(stage), "asking the broker");
    sheet_init(&sheet);
    sheet_task(&sheet, task, why);
    top_take_sheet(&stage->top, &sheet);
    const char *picture = draw(stage);
    assert_has(picture,
               "task " ID_B "\nstate          failed\nwhy            it failed: killed\n");
    assert_has(picture, "progress       [#####.....]  50.0 %  half\n");
    assert_has(picture,
               "\n      1  failed          1.5 s     4.0 s ago  alpha on node-1  signal 11\n");
    assert_has(picture, "error          crash: killed\n\nprinted last\none\n\\x1b[2Jtwo\n");
    (void)press(stage, TOP_KEY_ESCAPE);
    assert_false(top_wants(&stage->top, &question));
    assert_has(draw(stage), "[5 tasks]");
    drover_value_destroy(&task);
    drover_value_destroy(&why);
    stage_free(stage);
}

/* An opened worker tells what it holds; drain goes from there too. A long sheet scrolls. */
static void test_top_opens_a_worker(void **state)
{
    struct stage *stage = stage_new(12, 50);
    struct sheet sheet;
    drover_value *worker = parse(
        "{\"id\":\"01\",\"name\":\"alpha\",\"state\":\"connected\",\"slots\":4,"
        "\"types\":[\"a-rather-long-type\",\"and-another-one\",\"and-a-third\"],"
        "\"stats\":{\"cpu_percent\":20},\"leases\":[{\"id\":\"" ID_A "\",\"index\":3,"
        "\"type\":\"square\",\"started\":true,\"age_ms\":1000}]}");
    answer(&stage->top, workers);
    (void)press(stage, TOP_KEY_DOWN);
    (void)press(stage, TOP_KEY_ENTER);
    assert_string_equal(top_ask(&stage->top).worker, "01");
    sheet_init(&sheet);
    sheet_worker(&sheet, worker);
    top_take_sheet(&stage->top, &sheet);
    assert_has(draw(stage),
               "types          a-rather-long-type,\nand-another-one, and-a-third\n");
    assert_has(stage->picture, "lines 1 to 7 of 12");
    (void)press(stage, TOP_KEY_END);
    assert_has(draw(stage), ID_A ".3  running       1.0 s\n square\n");
    assert_has(stage->picture, "lines 6 to 12 of 12");
    assert_string_equal(press(stage, 'd').label, "alpha");
    drover_value_destroy(&worker);
    stage_free(stage);
}

/* A broker that is silent is told in words, on any size; what was there stays. */
static void test_top_says_that_it_reconnects(void **state)
{
    struct stage *stage = stage_new(12, 80);
    answer(&stage->top, workers);
    stage->top.is_silent = true;
    assert_has(draw(stage), "reconnecting: the broker does not answer");
    assert_has(stage->picture, "alpha");
    assert_true(cells_resize(&stage->cells, 6, 40));
    assert_has(draw(stage), "reconnecting");
    stage_free(stage);
}

/* Executors stand with what they run; one without a task cannot be opened. */
static void test_top_shows_executors(void **state)
{
    struct stage *stage = stage_new(12, 130);
    (void)press(stage, '3');
    assert_has(draw(stage), "asking the broker");
    answer(&stage->top,
           "{\"workers\":[{\"id\":\"01\",\"name\":\"alpha\",\"host\":\"node-1\",\"details\":{"
           "\"executors\":{\"list\":[{\"pid\":5,\"state\":\"busy\",\"type\":\"sleep\",\"id\":"
           "\"" ID_A
           "\",\"index\":-1,\"task_ms\":2500,\"cpu_percent\":99.5,\"rss_bytes\":1048576,"
           "\"done\":3},{\"pid\":6,\"state\":\"idle\",\"cpu_percent\":0.5}]}}}]}");
    assert_has(draw(stage), ">   5  alpha   busy   sleep  2.5 s   99.5  1.0 MiB");
    assert_int_equal(press(stage, TOP_KEY_ENTER).act, TOP_ASK);
    (void)press(stage, TOP_KEY_ESCAPE);
    (void)press(stage, 'j');
    assert_int_equal(press(stage, TOP_KEY_ENTER).act, TOP_NOTHING);
    assert_has(draw(stage), "it runs nothing");
    stage_free(stage);
}

/* Any keys in any order on any size keep the selection in the table and the picture whole. */
static void test_top_random_keys_break_nothing(void **state)
{
    static const uint32_t keys[] = {'1',
                                    '2',
                                    '3',
                                    '4',
                                    '5',
                                    '/',
                                    's',
                                    'S',
                                    'R',
                                    't',
                                    'd',
                                    'r',
                                    'p',
                                    'c',
                                    'y',
                                    'n',
                                    '?',
                                    'j',
                                    'k',
                                    'g',
                                    'G',
                                    ' ',
                                    0x1b,
                                    0x4e16,
                                    TOP_KEY_UP,
                                    TOP_KEY_DOWN,
                                    TOP_KEY_PAGE_UP,
                                    TOP_KEY_PAGE_DOWN,
                                    TOP_KEY_HOME,
                                    TOP_KEY_END,
                                    TOP_KEY_ENTER,
                                    TOP_KEY_ESCAPE,
                                    TOP_KEY_BACKSPACE,
                                    TOP_KEY_TAB,
                                    TOP_KEY_BACK_TAB,
                                    0x10fffe};
    unsigned seed = (unsigned)test_seed();
    struct stage *stage = stage_new(24, 80);
    for (int i = 0; i < 4000; i++) {
        (void)press(stage, keys[(unsigned)rand_r(&seed) % (sizeof(keys) / sizeof(keys[0]))]);
        if (rand_r(&seed) % 3 == 0) {
            answer(&stage->top, stage->top.view == VIEW_TASKS ? tasks : workers);
        }
        if (rand_r(&seed) % 9 == 0) {
            assert_true(cells_resize(&stage->cells, rand_r(&seed) % 30, rand_r(&seed) % 120));
        }
        (void)draw(stage);
        const struct top_place *place = &stage->top.places[stage->top.view];
        assert_true(place->selected == 0 || place->selected < stage->top.table.shown_count);
        bool is_drawn = stage->cells.rows >= LAYOUT_ROWS_MIN &&
                        stage->cells.columns >= LAYOUT_COLUMNS_MIN &&
                        stage->top.about == TOP_ABOUT_VIEW;
        assert_true(!is_drawn || place->first <= place->selected);
    }
    stage_free(stage);
}

/* Wide characters fill two cells or are left out, marks stand on what they belong to. */
static void test_cells_keep_wide_characters_whole(void **state)
{
    struct cells cells;
    char line[64];
    assert_non_null(setlocale(LC_CTYPE, "C.UTF-8"));
    cells_init(&cells);
    assert_true(cells_resize(&cells, 1, 6));
    assert_int_equal(cells_put(&cells, 0, 0, 6, CELL_PLAIN, "a世界b"), 6);
    assert_string_equal(cells_line(&cells, 0, line, sizeof(line)), "a世界b");
    cells_clear(&cells);
    assert_int_equal(cells_put(&cells, 0, 0, 5, CELL_PLAIN, "a世界b"), 4);
    assert_string_equal(cells_line(&cells, 0, line, sizeof(line)), "a世~");
    assert_int_equal(cells_put(&cells, 0, 2, 1, CELL_PLAIN, "x"), 3);
    assert_string_equal(cells_line(&cells, 0, line, sizeof(line)), "a x~");
    cells_clear(&cells);
    (void)cells_put(&cells, 0, 0, 6, CELL_PLAIN, "e\xcc\x81\xcc\x81\xcc\x81\xcc\x81z");
    assert_string_equal(cells_line(&cells, 0, line, sizeof(line)), "e\xcc\x81\xcc\x81z");
    cells_clear(&cells);
    cells_put_right(&cells, 0, 0, 6, CELL_PLAIN, "世");
    assert_string_equal(cells_line(&cells, 0, line, sizeof(line)), "    世");
    (void)cells_put(&cells, 0, 0, 6, CELL_PLAIN, "\xff\x01z");
    assert_string_equal(cells_line(&cells, 0, line, sizeof(line)), "??z 世");
    cells_fini(&cells);
}

int main(void)
{
    const struct CMUnitTest tests_of_top[] = {
        cmocka_unit_test(test_top_draws_the_workers),
        cmocka_unit_test(test_top_fits_into_little_room),
        cmocka_unit_test(test_top_shows_hosts_with_bars),
        cmocka_unit_test(test_top_selection_follows_its_row),
        cmocka_unit_test(test_top_filter_is_typed),
        cmocka_unit_test(test_top_drains_the_selected_worker),
        cmocka_unit_test(test_top_cancel_asks_first),
        cmocka_unit_test(test_top_opens_a_task),
        cmocka_unit_test(test_top_opens_a_worker),
        cmocka_unit_test(test_top_says_that_it_reconnects),
        cmocka_unit_test(test_top_shows_executors),
        cmocka_unit_test(test_top_random_keys_break_nothing),
        cmocka_unit_test(test_cells_keep_wide_characters_whole),
    };
    return cmocka_run_group_tests(tests_of_top, NULL, NULL);
}
