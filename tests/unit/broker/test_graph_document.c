/*
 * Graphs as documents: what the library put into the shared data, with what has become of the
 * tasks; and nothing for what only looks like it.
 */
#include "after_story.h"

#include "rng.h"

#include <drover/value.h>

static void put(struct bench *bench, const char *key, const void *bytes, size_t len)
{
    struct drv_message message = request(bench, 1, DRV_KV);
    message.kv = (struct drv_kv){.op = DRV_KV_SET, .key = text(key)};
    message.kv.val = (struct drv_val){.bytes = bytes, .len = len};
    speak(bench, 1, &message);
    bench_turn(bench);
    expect_ok(bench, 1);
}

static void put_json(struct bench *bench, const char *key, const char *json)
{
    drover_value *value = NULL;
    const void *bytes = NULL;
    size_t len = 0;
    char why[256] = "";
    assert_ok(drover_value_from_json(json, strlen(json), &value, why, sizeof why));
    drover_value_bytes(value, &bytes, &len);
    put(bench, key, bytes, len);
    drover_value_destroy(&value);
}

/* The answer as JSON for free(), or NULL with its code. */
static char *ask(struct bench *bench, uint32_t topic, const char *name, uint32_t *out_code)
{
    struct drv_message message = request(bench, 1, DRV_QUERY);
    message.query = (struct drv_query){.topic = topic, .index = DROVER_INDEX_NONE};
    if (name != NULL) {
        message.query.name = text(name);
    }
    speak(bench, 1, &message);
    bench_turn(bench);
    const struct drv_document *document = &expect(bench, 1, DRV_DOCUMENT)->document;
    drover_value *value = NULL;
    char *json = NULL;
    *out_code = document->code;
    if (document->code == DROVER_OK) {
        assert_ok(drover_value_from_msgpack(document->body.ptr, document->body.len, &value));
        assert_ok(drover_value_to_json(value, DROVER_JSON_COMPACT, &json));
    }
    drover_value_destroy(&value);
    return json;
}

static void expect_told(struct bench *bench, uint32_t topic, const char *name, const char *part)
{
    uint32_t code = 0;
    char *json = ask(bench, topic, name, &code);
    assert_int_equal(code, DROVER_OK);
    if (strstr(json, part) == NULL) {
        print_error("not there: %s\n%s\n", part, json);
    }
    assert_non_null(strstr(json, part));
    free(json);
}

static void expect_unknown(struct bench *bench, const char *name)
{
    uint32_t code = 0;
    free(ask(bench, DRV_TOPIC_GRAPH, name, &code));
    assert_int_equal(code, DROVER_UNKNOWN);
}

/* {id, name, nodes}: a, then b and c which wait for it (c for its end in any way). */
static const char *three(char out_json[1024])
{
    char ids[3][DROVER_ID_TEXT_LEN + 1];
    for (uint32_t i = 0; i < 3; i++) {
        drover_id id = id_of(i + 1);
        drover_id_format(&id, ids[i]);
    }
    (void)snprintf(out_json, 1024,
                   "{\"id\":\"%s\",\"name\":\"three\",\"nodes\":["
                   "{\"name\":\"a\",\"type\":\"work\",\"id\":\"%s\",\"after\":[]},"
                   "{\"name\":\"b\",\"type\":\"work\",\"id\":\"%s\",\"after\":[[0,false]]},"
                   "{\"name\":\"c\",\"type\":\"work\",\"id\":\"%s\",\"after\":[[0,true]]}]}",
                   ids[0], ids[0], ids[1], ids[2]);
    return out_json;
}

static void submit_three(struct bench *bench)
{
    struct drv_after after = after_of(1, DROVER_INDEX_NONE, 1);
    struct drv_after always = after_of(1, DROVER_INDEX_NONE, 2);
    submit_after(bench, 1, 1, NULL, 0);
    expect_ok(bench, 1);
    submit_after(bench, 1, 2, &after, 1);
    expect_ok(bench, 1);
    submit_after(bench, 1, 3, &always, 1);
    expect_ok(bench, 1);
}

/* States, errors, run times and the longest way, from the submit to the end. */
static void test_graph_tells_what_has_become_of_its_nodes(void **state)
{
    struct bench *bench = *state;
    char json[1024];
    client(bench, 1);
    put_json(bench, "graph/three", three(json));
    expect_told(bench, DRV_TOPIC_GRAPH, "three", "\"state\":\"unknown\",\"count\":3");
    submit_three(bench);
    expect_told(bench, DRV_TOPIC_GRAPH, "three", "\"states\":{\"waiting\":2,\"queued\":1}");
    expect_told(bench, DRV_TOPIC_GRAPH, "three", "\"why\":\"no worker offers type work\"");
    worker(bench, 2, "work", 1);
    struct drv_ref first = leased(bench, 2);
    report_started(bench, 2, first);
    bench_pass(bench, 3000000);
    expect_told(bench, DRV_TOPIC_GRAPH, "three", "\"state\":\"running\",\"count\":3");
    expect_told(bench, DRV_TOPIC_GRAPH, "three",
                "\"state\":\"running\",\"after\":[],\"run_ms\":3000.0,\"critical\":true");
    report_failed(bench, 2, first, 0);
    bench_turn(bench);
    expect_told(bench, DRV_TOPIC_GRAPH, "three", "\"failed\":2");
    expect_told(bench, DRV_TOPIC_GRAPH, "three", "\"why\":\"it failed\"");
    done(bench, 2, leased(bench, 2));
    expect_told(bench, DRV_TOPIC_GRAPH, "three", "\"state\":\"failed\",\"count\":3");
    expect_told(bench, DRV_TOPIC_GRAPH, "three", "\"after\":[[0,true]]");
    expect_told(bench, DRV_TOPIC_GRAPH, "three", "\"truncated\":false");
}

/* A graph stands under its name and its id, and is listed once. */
static void test_graphs_are_listed_once(void **state)
{
    struct bench *bench = *state;
    char json[1024], id[DROVER_ID_TEXT_LEN + 1], key[64];
    uint32_t code = 0;
    drover_id first = id_of(1);
    client(bench, 1);
    drover_id_format(&first, id);
    (void)snprintf(key, sizeof key, "graph/%s", id);
    put_json(bench, "graph/three", three(json));
    put_json(bench, key, json);
    put_json(bench, "graph/none", "{\"nodes\":1}");
    put_json(bench, "other", json);
    submit_three(bench);
    char *told = ask(bench, DRV_TOPIC_GRAPHS, NULL, &code);
    assert_int_equal(code, DROVER_OK);
    const char *found = strstr(told, "\"name\":\"three\"");
    assert_non_null(found);
    assert_null(strstr(found + 1, "\"name\""));
    free(told);
    expect_told(bench, DRV_TOPIC_GRAPH, id, "\"name\":\"three\"");
}

/* Anybody may write shared data: what breaks a rule is no graph. */
static void test_graph_of_a_stranger_is_refused(void **state)
{
    struct bench *bench = *state;
    static const char *const bad[] = {
        "1",
        "[]",
        "{}",
        "{\"id\":\"01M8FT0AKG9NY2Z32D85D6Z25X\",\"name\":\"g\",\"nodes\":[]}",
        "{\"id\":\"nonsense\",\"name\":\"g\",\"nodes\":[{\"name\":\"a\",\"type\":\"t\","
        "\"id\":\"01M8FT0AKG9NY2Z32D85D6Z25X\",\"after\":[]}]}",
        "{\"id\":\"01M8FT0AKG9NY2Z32D85D6Z25X\",\"name\":\"<b>\",\"nodes\":[{\"name\":\"a\","
        "\"type\":\"t\",\"id\":\"01M8FT0AKG9NY2Z32D85D6Z25X\",\"after\":[]}]}",
        "{\"id\":\"01M8FT0AKG9NY2Z32D85D6Z25X\",\"name\":\"g\",\"nodes\":[{\"name\":\"a\","
        "\"type\":\"t\",\"id\":\"01M8FT0AKG9NY2Z32D85D6Z25X\",\"after\":[[0,true]]}]}",
        "{\"id\":\"01M8FT0AKG9NY2Z32D85D6Z25X\",\"name\":\"g\",\"nodes\":[{\"name\":\"a\","
        "\"type\":\"t\",\"id\":\"01M8FT0AKG9NY2Z32D85D6Z25X\"}]}",
    };
    client(bench, 1);
    expect_unknown(bench, "g");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put_json(bench, "graph/g", bad[i]);
        expect_unknown(bench, "g");
    }
    put(bench, "graph/g", "\xc1", 1);
    expect_unknown(bench, "g");
}

/* Bytes of a good graph, some of them changed: an answer or none, and always a whole one. */
static void test_graph_of_random_bytes_does_no_harm(void **state)
{
    struct bench *bench = *state;
    drover_value *value = NULL;
    const void *bytes = NULL;
    size_t len = 0, answers = 0;
    char json[1024];
    uint8_t copy[1024];
    struct drv_rng rng;
    drv_rng_init(&rng, test_seed());
    client(bench, 1);
    (void)three(json);
    assert_ok(drover_value_from_json(json, strlen(json), &value, NULL, 0));
    drover_value_bytes(value, &bytes, &len);
    assert_true(len <= sizeof copy);
    submit_three(bench);
    for (int i = 0; i < 400; i++) {
        uint32_t code = 0;
        memcpy(copy, bytes, len);
        for (uint64_t n = drv_rng_below(&rng, 3); n > 0; n--) {
            copy[drv_rng_below(&rng, len)] = (uint8_t)drv_rng_below(&rng, 256);
        }
        put(bench, "graph/three", copy, len - drv_rng_below(&rng, 2));
        char *told = ask(bench, DRV_TOPIC_GRAPH, "three", &code);
        assert_true(code == DROVER_OK || code == DROVER_UNKNOWN);
        answers += told != NULL;
        free(told);
        free(ask(bench, DRV_TOPIC_GRAPHS, NULL, &code));
        assert_int_equal(code, DROVER_OK);
    }
    assert_true(answers > 20);
    drover_value_destroy(&value);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_graph_tells_what_has_become_of_its_nodes),
        TEST(test_graphs_are_listed_once),
        TEST(test_graph_of_a_stranger_is_refused),
        TEST(test_graph_of_random_bytes_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
