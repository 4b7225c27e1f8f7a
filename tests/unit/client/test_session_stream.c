/*
 * Streams of a session: what is asked, what is told as missed, what goes on over another
 * connection.
 */
#include "session_rig.h"

struct story {
    struct rig rig;
    struct drv_subscription subscription;
    uint64_t entries, missed; /* that arrived; that were told as missed */
    unsigned anew, ends;
    drover_status status;
};

static void on_arrival(struct drv_subscription *subscription, const struct drv_arrival *arrival)
{
    struct story *story = DRV_CONTAINER_OF(subscription, struct story, subscription);
    story->anew += arrival->is_anew;
    story->missed += arrival->missed;
    if (arrival->message != NULL && arrival->message->kind == DRV_EVENTS) {
        story->entries += arrival->message->events.entry_count - arrival->skip;
    } else if (arrival->message != NULL) {
        story->entries += arrival->message->logs.piece_count - arrival->skip;
    }
}

static void on_end(struct drv_subscription *subscription, drover_status status,
                   struct drv_str text)
{
    struct story *story = DRV_CONTAINER_OF(subscription, struct story, subscription);
    (void)text;
    story->ends++;
    story->status = status;
}

/* Up, and subscribed with a window of 8 entries. */
static void begin(struct story *story, enum drv_stream stream)
{
    memset(story, 0, sizeof(*story));
    rig_up(&story->rig);
    story->subscription.wanted = (struct drv_subscribe){
        .stream = (uint32_t)stream, .items = 8, .index = DROVER_INDEX_NONE};
    story->subscription.on_arrival = on_arrival;
    story->subscription.on_end = on_end;
    drv_session_subscribe(story->rig.session, &story->subscription);
    rig_step(&story->rig, 1);
    assert_int_equal(rig_count(&story->rig, DRV_SUBSCRIBE), 1);
}

static const struct rig_seen *last_of(const struct rig *rig, enum drv_kind kind)
{
    for (size_t i = rig->seen_count; i > 0; i--) {
        if (rig->seen[i - 1].kind == kind) {
            return &rig->seen[i - 1];
        }
    }
    fail_msg("no %s was sent", drv_kind_name(kind));
    return NULL;
}

static void answer(struct story *story, int64_t number)
{
    uint64_t req = last_of(&story->rig, DRV_SUBSCRIBE)->request.req;
    rig_reply_notes(&story->rig, req, DROVER_OK, number, NULL, 0);
    rig_step(&story->rig, 1);
}

/* Events first, first + 1, ...: empty maps. */
static void tell(struct story *story, uint64_t first, size_t count)
{
    struct drv_event_entry entries[16];
    char maps[16];
    for (size_t i = 0; i < count; i++) {
        entries[i] = (struct drv_event_entry){0, 1};
        maps[i] = (char)0x80;
    }
    const struct drv_message message = {.kind = DRV_EVENTS,
                                        .events = {1, first, entries, count, {maps, count}}};
    rig_send(&story->rig, &message);
    rig_step(&story->rig, 1);
}

static void reconnect(struct story *story, bool resumed)
{
    drv_session_lost(story->rig.session, drv_session_connection(story->rig.session), "gone",
                     story->rig.now_us);
    rig_run(&story->rig, 3 * RIG_SECOND);
    rig_welcome(&story->rig, resumed);
    rig_step(&story->rig, 1);
}

static void finish(struct story *story)
{
    drv_session_unsubscribe(story->rig.session, &story->subscription);
    rig_close(&story->rig);
}

/* What comes is handed on; what the numbers pass over is missed. */
static void test_stream_counts_what_it_missed(void **state)
{
    struct story story;
    (void)state;
    begin(&story, DRV_STREAM_EVENTS);
    answer(&story, 0);
    tell(&story, 1, 2);
    tell(&story, 5, 1);
    assert_int_equal(story.entries, 3);
    assert_int_equal(story.missed, 2);
    tell(&story, 9, 0);
    assert_int_equal(story.missed, 5);
    assert_int_equal(story.anew, 0);
    finish(&story);
}

/* TAKEN is sent for a quarter of the window, not for every entry. */
static void test_stream_tells_what_was_taken_in_parts(void **state)
{
    struct story story;
    (void)state;
    begin(&story, DRV_STREAM_EVENTS);
    answer(&story, 0);
    tell(&story, 1, 4);
    drv_session_take(&story.subscription, 1, 1);
    rig_step(&story.rig, 1);
    assert_int_equal(rig_count(&story.rig, DRV_TAKEN), 0);
    drv_session_take(&story.subscription, 1, 1);
    rig_step(&story.rig, 1);
    assert_int_equal(rig_count(&story.rig, DRV_TAKEN), 1);
    finish(&story);
}

/* After a lost connection it asks again; what comes twice is passed over. */
static void test_stream_goes_on_over_another_connection(void **state)
{
    struct story story;
    (void)state;
    begin(&story, DRV_STREAM_EVENTS);
    answer(&story, 0);
    tell(&story, 1, 3);
    reconnect(&story, true);
    assert_int_equal(rig_count(&story.rig, DRV_SUBSCRIBE), 2);
    tell(&story, 4, 1); /* before the answer: from the past */
    assert_int_equal(story.entries, 3);
    answer(&story, 1);
    tell(&story, 3, 3);
    assert_int_equal(story.entries, 5);
    assert_int_equal(story.missed, 0);
    assert_int_equal(story.anew, 0);
    finish(&story);
}

/* A broker that has forgotten it begins anew, which is told. */
static void test_stream_that_was_forgotten_begins_anew(void **state)
{
    struct story story;
    (void)state;
    begin(&story, DRV_STREAM_EVENTS);
    answer(&story, 0);
    tell(&story, 1, 3);
    reconnect(&story, false);
    answer(&story, 0);
    assert_int_equal(story.anew, 1);
    tell(&story, 1, 2);
    assert_int_equal(story.entries, 5);
    assert_int_equal(story.missed, 0);
    finish(&story);
}

/* Refused by the broker, it ends with the broker's word. */
static void test_stream_that_is_refused_ends(void **state)
{
    struct story story;
    (void)state;
    begin(&story, DRV_STREAM_LOGS);
    uint64_t req = last_of(&story.rig, DRV_SUBSCRIBE)->request.req;
    rig_reply(&story.rig, req, DROVER_UNKNOWN);
    assert_int_equal(story.ends, 1);
    assert_int_equal(story.status, DROVER_UNKNOWN);
    finish(&story);
}

/* The end of an output is taken at once, and not asked for again. */
static void test_stream_of_output_ends_with_its_task(void **state)
{
    struct story story;
    (void)state;
    begin(&story, DRV_STREAM_LOGS);
    answer(&story, 0);
    const struct drv_piece piece = {
        .index = DROVER_INDEX_NONE, .attempt = 1, .stream = DRV_OUTPUT_STDOUT, .len = 2};
    const struct drv_message message = {
        .kind = DRV_LOGS, .logs = {1, 1, &piece, 1, DROVER_STATE_SUCCEEDED, {"ab", 2}}};
    rig_send(&story.rig, &message);
    assert_int_equal(story.entries, 1);
    drv_session_take(&story.subscription, 2, 2);
    rig_step(&story.rig, 1);
    assert_int_equal(rig_count(&story.rig, DRV_TAKEN), 1);
    reconnect(&story, true);
    assert_int_equal(rig_count(&story.rig, DRV_SUBSCRIBE), 1);
    finish(&story);
}

/* Whoever has enough says so. */
static void test_stream_that_is_closed_is_ended_at_the_broker(void **state)
{
    struct story story;
    (void)state;
    begin(&story, DRV_STREAM_EVENTS);
    answer(&story, 0);
    drv_session_unsubscribe(story.rig.session, &story.subscription);
    rig_step(&story.rig, 1);
    assert_int_equal(rig_count(&story.rig, DRV_SUBSCRIBE), 2);
    tell(&story, 1, 1);
    assert_int_equal(story.entries, 0);
    rig_close(&story.rig);
}

/* With the session a stream ends, too. */
static void test_stream_ends_with_its_session(void **state)
{
    struct story story;
    (void)state;
    begin(&story, DRV_STREAM_EVENTS);
    rig_close(&story.rig);
    assert_int_equal(story.ends, 1);
    assert_int_equal(story.status, DROVER_CLOSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stream_counts_what_it_missed),
        cmocka_unit_test(test_stream_tells_what_was_taken_in_parts),
        cmocka_unit_test(test_stream_goes_on_over_another_connection),
        cmocka_unit_test(test_stream_that_was_forgotten_begins_anew),
        cmocka_unit_test(test_stream_that_is_refused_ends),
        cmocka_unit_test(test_stream_of_output_ends_with_its_task),
        cmocka_unit_test(test_stream_that_is_closed_is_ended_at_the_broker),
        cmocka_unit_test(test_stream_ends_with_its_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
