/*
 * guard_story.h: a core that asks for keys, and who comes to it.
 *
 * alice is peer 1, bob peer 3, the watcher peer 5, root peer 6 (clients); the fleet's worker is
 * peer 2, that of another account peer 4.
 */
#ifndef TESTS_BROKER_GUARD_STORY_H
#define TESTS_BROKER_GUARD_STORY_H

#include "after_story.h"

#include "access.h"
#include "accounts.h"

#define NONE DROVER_INDEX_NONE

enum { ALICE = 1, FLEET, BOB, OTHER, WATCHER, ROOT, STRANGER, KEYS };

static const char TABLE[] =
    "key alice 0100000000000000000000000000000000000000000000000000000000"
    "000000 submit\n"
    "key fleet 0200000000000000000000000000000000000000000000000000000000"
    "000000 work\n"
    "key bob 0300000000000000000000000000000000000000000000000000000000"
    "000000 submit\n"
    "key other 0400000000000000000000000000000000000000000000000000000000"
    "000000 work\n"
    "key watcher "
    "0500000000000000000000000000000000000000000000000000000000000000"
    " observe\n"
    "key root 0600000000000000000000000000000000000000000000000000000000"
    "000000 admin\n";
#define ALICE_KEY "key alice 0100000000000000000000000000000000000000000000000000000000000000 "
#define FLEET_KEY "key fleet 0200000000000000000000000000000000000000000000000000000000000000 "
#define BOB_KEY "key bob 0300000000000000000000000000000000000000000000000000000000000000 "

static const uint8_t keys[KEYS][ACCESS_KEY_BYTES] = {{0}, {1}, {2}, {3}, {4}, {5}, {6}, {7}};

static inline void set_table(struct bench *bench, const char *table, const char *more)
{
    char text[4096];
    struct access *access = NULL;
    struct drv_problem problem = {""};
    int len = snprintf(text, sizeof text, "%s%s", table, more);
    if (accounts_parse("table", text, (size_t)len, 1, &access, &problem) != DROVER_OK) {
        fail_msg("%s", problem.text);
    }
    struct core_event event = {.kind = CORE_EVENT_ACCESS, .access = &access};
    bench_event(bench, &event);
    assert_null(access);
    bench_turn(bench);
}

static inline void come(struct bench *bench, uint32_t peer)
{
    bench->boxes[peer].key = keys[peer];
    if (peer == FLEET || peer == OTHER) {
        worker(bench, peer, peer == FLEET ? "work" : "other", 1);
    } else {
        client(bench, peer);
    }
}

static inline void begin(struct bench *bench)
{
    set_table(bench, TABLE, "");
    come(bench, ALICE);
    come(bench, BOB);
}

static inline void put(struct bench *bench, uint32_t peer, uint32_t number)
{
    struct drv_spec spec = spec_of("work");
    submit(bench, peer, &spec, number);
    bench_turn(bench);
    expect_ok(bench, peer);
}

static inline void expect_closed(struct bench *bench, uint32_t peer, drover_status code)
{
    const struct drv_message *message = expect(bench, peer, DRV_ERROR);
    assert_int_equal(message->failure.code, code);
    assert_true(bench->boxes[peer].is_closed);
}

static inline void expect_only_note(struct bench *bench, uint32_t peer, drover_status code)
{
    const struct drv_reply *answer = reply(bench, peer);
    assert_int_equal(answer->code, DROVER_OK);
    assert_int_equal(answer->note_count, 1);
    assert_int_equal(answer->notes[0].code, code);
}

static inline drover_status ask(struct bench *bench, uint32_t peer,
                                const struct drv_query *query, struct drv_str *out_body)
{
    struct drv_message message = request(bench, peer, DRV_QUERY);
    message.query = *query;
    speak(bench, peer, &message);
    bench_turn(bench);
    const struct drv_document *document = &expect(bench, peer, DRV_DOCUMENT)->document;
    if (out_body != NULL) {
        *out_body = document->body;
    }
    return (drover_status)document->code;
}

#endif
