/*
 * The whole client over a real socket, against a broker made here, which does what a good
 * broker never does: it is silent, sends garbage, loses messages, tells things twice, moves
 * away.
 */
#include "test.h"

#include "arena.h"
#include "data.h"
#include "link.h"
#include "pack.h"

#include <drover/client.h>

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>
#include <zmq.h>

#define SOON 20000

enum trick { /* what is done to the first question or submit of a connection, once */
             TRICK_NONE,
             TRICK_SILENCE,      /* nothing is said any more on this connection */
             TRICK_GARBAGE,      /* bytes that are no message */
             TRICK_THREE_FRAMES, /* a message with a frame too many */
             TRICK_GAP,          /* a message is lost */
             TRICK_MOVED,        /* go to the other one */
             TRICK_NO_WELCOME,   /* HELLO stays unanswered, once */
             TRICK_EXPIRED,      /* from now on the session is unknown */
             TRICK_RESTART,      /* begins anew when it has answered a cancel */
};

static const uint8_t NOISE[] = {0xdc, 0xff, 0xff, 0x01, 0xc1}; /* no message */

struct fake {
    void *context;
    void *router;
    char endpoint[128];
    const char *other; /* endpoint to move to */
    pthread_t thread;
    atomic_bool stop;
    atomic_int trick; /* enum trick; TRICK_NONE once it was played */
    atomic_int hellos;
    atomic_int submits;
    atomic_bool is_cancelled; /* and forgotten by who waited for it */
    atomic_bool withholds;    /* submits are taken and never answered */
    sem_t taken;              /* posted for every task that came then */

    /* the thread's own */
    struct drv_link *link;
    uint8_t peer[32];
    size_t peer_len;
    struct drv_arena arena;
    uint64_t epoch;
    bool is_mute;
    bool expires;
    bool is_watched;
};

static void send_raw(struct fake *fake, const void *head, size_t len, int frames)
{
    (void)zmq_send(fake->router, fake->peer, fake->peer_len, ZMQ_SNDMORE);
    (void)zmq_send(fake->router, head, len, ZMQ_SNDMORE);
    for (int i = 2; i < frames; i++) {
        (void)zmq_send(fake->router, "x", 1, ZMQ_SNDMORE);
    }
    (void)zmq_send(fake->router, "", 0, 0);
}

static void flush(struct fake *fake, bool lose)
{
    struct drv_frames frames;
    while (drv_link_next(fake->link, &frames)) {
        if (!lose) {
            (void)zmq_send(fake->router, fake->peer, fake->peer_len, ZMQ_SNDMORE);
            (void)zmq_send(fake->router, frames.head->bytes, frames.head->len, ZMQ_SNDMORE);
            (void)zmq_send(fake->router,
                           frames.blob_len > 0
                               ? (const void *)(frames.blob->bytes + frames.blob_offset)
                               : "",
                           frames.blob_len, 0);
        }
        drv_data_unref(&frames.head);
        drv_data_unref(&frames.blob);
    }
}

static void say(struct fake *fake, const struct drv_message *message)
{
    if (drv_link_send(fake->link, message, 0) != DROVER_OK) {
        abort();
    }
}

static void welcome(struct fake *fake, const struct drv_hello *hello)
{
    struct drv_message message = {.kind = DRV_WELCOME};
    if (fake->expires && hello->resume) {
        message.kind = DRV_ERROR;
        message.failure.code = DROVER_SESSION_EXPIRED;
        message.failure.text = drv_str_of("never heard of it");
        say(fake, &message);
        return;
    }
    message.welcome = (struct drv_welcome){
        .version = 1,
        .software = drv_str_of("fake"),
        .resumed = hello->resume,
        .credit_bytes = 1 << 20,
        .limits = {DRV_HEAD_MAX, DRV_BLOB_MAX, DRV_BATCH_MAX, DRV_INLINE_MAX, DRV_PAYLOAD_MAX,
                   DRV_REQUESTS_MAX, DRV_ARRAY_MAX, DRV_META_MAX},
        .heartbeat_ms = 50,
        .lease_ms = 300,
        .ack_ms = 1,
        .durability_max = 1,
        .name = hello->name,
    };
    message.welcome.broker.bytes[0] = 1;
    say(fake, &message);
}

/* Every task succeeds with its payload as the result, told twice. */
static void take_submit(struct fake *fake, const struct drv_message *submit)
{
    struct drv_reply reply = {.req = submit->request.req, .number = 1, .val = {.is_nil = true}};
    struct drv_message message = {.kind = DRV_REPLY};
    message.reply = (struct drv_replies){&reply, 1};
    say(fake, &message);
    for (size_t i = 0; i < submit->submit.groups[0].entry_count; i++) {
        const struct drv_entry *task = &submit->submit.groups[0].entries[i];
        struct drv_outcome entry = {.id = task->id,
                                    .index = DROVER_INDEX_NONE,
                                    .state = DROVER_STATE_SUCCEEDED,
                                    .attempt = 1,
                                    .val = task->val};
        entry.error.exit_code = -1;
        message = (struct drv_message){.kind = DRV_RESULTS};
        message.results = (struct drv_results){&entry, 1};
        say(fake, &message);
        say(fake, &message);
    }
    (void)atomic_fetch_add(&fake->submits, 1);
}

/* One note, for the only target: UNKNOWN, or none with OK. */
static void say_reply(struct fake *fake, uint64_t req, drover_status status)
{
    struct drv_note note = {.code = (uint32_t)status};
    struct drv_reply reply = {.req = req,
                              .val = {.is_nil = true},
                              .notes = &note,
                              .note_count = status == DROVER_OK ? 0 : 1};
    struct drv_message message = {.kind = DRV_REPLY};
    message.reply = (struct drv_replies){&reply, 1};
    say(fake, &message);
}

/* The task is forgotten as soon as it is cancelled, unless somebody watches it by then. */
static void take_cancel(struct fake *fake, const struct drv_message *message)
{
    atomic_store(&fake->is_cancelled, true);
    say_reply(fake, message->request.req, DROVER_OK);
    if (atomic_load(&fake->trick) == TRICK_RESTART) {
        atomic_store(&fake->trick, TRICK_NONE);
        fake->epoch++;
        flush(fake, false);
        send_raw(fake, NOISE, sizeof(NOISE), 2);
    } else if (fake->is_watched) {
        struct drv_outcome entry = {.id = message->targets.targets[0].id,
                                    .index = DROVER_INDEX_NONE,
                                    .state = DROVER_STATE_CANCELLED,
                                    .val = {.is_nil = true}};
        entry.error.exit_code = -1;
        struct drv_message results = {.kind = DRV_RESULTS};
        results.results = (struct drv_results){&entry, 1};
        say(fake, &results);
    } else {
        /* nobody is told */
    }
}

static void take_watch(struct fake *fake, const struct drv_message *message)
{
    bool is_known = !atomic_load(&fake->is_cancelled);
    fake->is_watched = is_known;
    say_reply(fake, message->request.req, is_known ? DROVER_OK : DROVER_UNKNOWN);
}

static void keep_submit(struct fake *fake, const struct drv_submit *submit)
{
    for (size_t i = 0; i < submit->group_count; i++) {
        for (size_t k = 0; k < submit->groups[i].entry_count; k++) {
            (void)sem_post(&fake->taken);
        }
    }
}

static void answer(struct fake *fake, const struct drv_message *message)
{
    struct drv_message reply = {.kind = DRV_HEARTBEAT};
    if (message->kind == DRV_SUBMIT && atomic_load(&fake->withholds)) {
        keep_submit(fake, &message->submit);
    } else if (message->kind == DRV_CANCEL) {
        take_cancel(fake, message);
    } else if (message->kind == DRV_WATCH) {
        take_watch(fake, message);
    } else if (message->kind == DRV_SUBMIT) {
        take_submit(fake, message);
    } else if (message->kind == DRV_QUERY) {
        reply.kind = DRV_DOCUMENT;
        reply.document.req = message->request.req;
        reply.document.body = drv_str_of("\x80");
        say(fake, &reply);
    } else if (message->kind == DRV_HEARTBEAT) {
        say(fake, &reply);
    } else {
        /* GOODBYE, ACK */
    }
}

/* Plays the trick, if there is one to be played; true when the message is not to be answered.
 */
static bool play(struct fake *fake)
{
    struct drv_message message = {.kind = DRV_MOVED};
    struct drv_str there;
    switch ((enum trick)atomic_exchange(&fake->trick, TRICK_NONE)) {
    case TRICK_SILENCE:
        fake->is_mute = true;
        return true;
    case TRICK_GARBAGE:
        send_raw(fake, NOISE, sizeof(NOISE), 2);
        return true;
    case TRICK_THREE_FRAMES:
        send_raw(fake, NOISE, sizeof(NOISE), 3);
        return true;
    case TRICK_GAP:
        message.kind = DRV_HEARTBEAT;
        say(fake, &message);
        flush(fake, true);
        return false;
    case TRICK_MOVED:
        there = drv_str_of(fake->other); /* set before the trick was */
        message.moved.client_endpoints = &there;
        message.moved.client_endpoint_count = 1;
        say(fake, &message);
        return true;
    case TRICK_EXPIRED:
        fake->expires = true;
        fake->is_mute = true;
        return true;
    case TRICK_NO_WELCOME:
    case TRICK_RESTART:
    case TRICK_NONE:
        break;
    }
    return false;
}

static void greet(struct fake *fake, const void *peer, size_t len)
{
    struct drv_link_config config = {
        .epoch = fake->epoch, .window_out = 1 << 20, .window_in = 1 << 20, .ack_delay_us = 0};
    drv_link_destroy(&fake->link);
    if (drv_link_new(&config, &fake->link) != DROVER_OK) {
        abort();
    }
    memcpy(fake->peer, peer, len);
    fake->peer_len = len;
    fake->is_mute = false;
    (void)atomic_fetch_add(&fake->hellos, 1);
}

static void take(struct fake *fake, zmq_msg_t *parts)
{
    const void *peer = zmq_msg_data(&parts[0]);
    size_t len = zmq_msg_size(&parts[0]);
    bool is_new = len != fake->peer_len || memcmp(peer, fake->peer, len) != 0;
    if (is_new) {
        greet(fake, peer, len);
    }
    struct drv_data *blob = NULL;
    struct drv_message message;
    memset(&message, 0, sizeof(message));
    size_t blob_len = zmq_msg_size(&parts[2]);
    if (blob_len > 0 && drv_data_copy(zmq_msg_data(&parts[2]), blob_len, &blob) != DROVER_OK) {
        abort();
    }
    drv_arena_reset(&fake->arena);
    drover_status status = drv_link_receive(fake->link, zmq_msg_data(&parts[1]),
                                            zmq_msg_size(&parts[1]), blob, blob_len, 0,
                                            &fake->arena, &message, NULL);
    if (status == DROVER_OK && message.kind == DRV_HELLO) {
        int no_welcome = TRICK_NO_WELCOME;
        if (!atomic_compare_exchange_strong(&fake->trick, &no_welcome, TRICK_NONE)) {
            welcome(fake, &message.hello);
        }
    } else if (status == DROVER_OK && message.kind != 0 && !fake->is_mute) {
        bool is_question = message.kind == DRV_QUERY || message.kind == DRV_SUBMIT;
        drv_link_settle(fake->link, message.seq, 0);
        if (!is_question || !play(fake)) {
            answer(fake, &message);
        }
    } else {
        /* bare acknowledgements */
    }
    drv_data_unref(&blob);
    drv_link_tick(fake->link, 1);
    flush(fake, false);
}

static void *run(void *context)
{
    struct fake *fake = context;
    while (!atomic_load(&fake->stop)) {
        zmq_msg_t parts[3];
        zmq_pollitem_t item = {.socket = fake->router, .events = ZMQ_POLLIN};
        if (zmq_poll(&item, 1, 10) <= 0) {
            continue;
        }
        for (size_t i = 0; i < 3; i++) {
            (void)zmq_msg_init(&parts[i]);
            (void)zmq_msg_recv(&parts[i], fake->router, 0);
        }
        take(fake, parts);
        for (size_t i = 0; i < 3; i++) {
            (void)zmq_msg_close(&parts[i]);
        }
    }
    return NULL;
}

static void fake_start(struct fake *fake)
{
    size_t len = sizeof(fake->endpoint);
    int linger = 0;
    memset(fake, 0, sizeof(*fake));
    fake->epoch = 7;
    assert_int_equal(sem_init(&fake->taken, 0, 0), 0);
    drv_arena_init(&fake->arena, 4096);
    fake->context = zmq_ctx_new();
    fake->router = zmq_socket(fake->context, ZMQ_ROUTER);
    assert_int_equal(zmq_setsockopt(fake->router, ZMQ_LINGER, &linger, sizeof(linger)), 0);
    assert_int_equal(zmq_bind(fake->router, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(zmq_getsockopt(fake->router, ZMQ_LAST_ENDPOINT, fake->endpoint, &len), 0);
    assert_int_equal(pthread_create(&fake->thread, NULL, run, fake), 0);
}

static void fake_stop(struct fake *fake)
{
    atomic_store(&fake->stop, true);
    (void)pthread_join(fake->thread, NULL);
    drv_link_destroy(&fake->link);
    (void)sem_destroy(&fake->taken);
    drv_arena_fini(&fake->arena);
    (void)zmq_close(fake->router);
    (void)zmq_ctx_term(fake->context);
}

static drover_client *open_client(struct fake *fake)
{
    drover_client *client = NULL;
    drover_client_options options = DROVER_CLIENT_OPTIONS_INIT;
    options.connect_timeout_ms = SOON;
    assert_ok(drover_client_open(fake->endpoint, &options, &client));
    return client;
}

static void expect_question_works(drover_client *client)
{
    drover_value *document = NULL;
    assert_ok(drover_status_get(client, SOON, &document));
    drover_value_destroy(&document);
}

static void expect_call_works(drover_client *client)
{
    drover_value *in = NULL;
    drover_value *out = NULL;
    int64_t number = 0;
    assert_ok(drover_value_new_int(42, &in));
    assert_ok(drover_call(client, "echo", in, SOON, &out));
    assert_ok(drover_value_get_int(out, &number));
    assert_int_equal(number, 42);
    drover_value_destroy(&in);
    drover_value_destroy(&out);
}

/* Told twice counts once. */
static void test_client_takes_results_once(void **state)
{
    struct fake fake;
    fake_start(&fake);
    drover_client *client = open_client(&fake);
    for (int i = 0; i < 50; i++) {
        expect_call_works(client);
    }
    assert_int_equal(atomic_load(&fake.hellos), 1);
    drover_client_close(&client);
    fake_stop(&fake);
}

/* Whatever happens to a connection, the call on it succeeds on the next one. */
static void test_client_survives_bad_connections(void **state)
{
    static const enum trick TRICKS[] = {TRICK_SILENCE, TRICK_GARBAGE, TRICK_THREE_FRAMES,
                                        TRICK_GAP};
    for (size_t i = 0; i < sizeof(TRICKS) / sizeof(TRICKS[0]); i++) {
        struct fake fake;
        fake_start(&fake);
        drover_client *client = open_client(&fake);
        atomic_store(&fake.trick, TRICKS[i]);
        expect_question_works(client);
        assert_int_equal(atomic_load(&fake.hellos), 2);
        atomic_store(&fake.trick, TRICKS[i]);
        expect_call_works(client);
        assert_int_equal(atomic_load(&fake.hellos), 3);
        drover_client_close(&client);
        fake_stop(&fake);
    }
}

/* A HELLO that nobody answers is said again on another connection. */
static void test_client_repeats_its_greeting(void **state)
{
    struct fake fake;
    fake_start(&fake);
    atomic_store(&fake.trick, TRICK_NO_WELCOME);
    drover_client *client = open_client(&fake);
    assert_int_equal(atomic_load(&fake.hellos), 2);
    expect_call_works(client);
    drover_client_close(&client);
    fake_stop(&fake);
}

/* MOVED: the call is answered by the other broker. */
static void test_client_follows_a_move(void **state)
{
    struct fake here;
    struct fake there;
    fake_start(&here);
    fake_start(&there);
    here.other = there.endpoint;
    drover_client *client = open_client(&here);
    atomic_store(&here.trick, TRICK_MOVED);
    expect_question_works(client);
    expect_call_works(client);
    assert_int_equal(atomic_load(&here.submits), 0);
    assert_int_equal(atomic_load(&there.submits), 1);
    drover_client_close(&client);
    fake_stop(&here);
    fake_stop(&there);
}

/* The session is lost while a submit is unanswered: its outcome is unknown, and it is not sent
 * again; the next call works. */
static void test_client_lost_session_is_outcome_unknown(void **state)
{
    struct fake fake;
    char text[200];
    fake_start(&fake);
    drover_client *client = open_client(&fake);
    atomic_store(&fake.trick, TRICK_EXPIRED);
    assert_int_equal(drover_submit(client, "echo", NULL, NULL, NULL), DROVER_OUTCOME_UNKNOWN);
    drover_client_error_text(client, text, sizeof(text));
    assert_int_not_equal(text[0], '\0');
    assert_int_equal(atomic_load(&fake.submits), 0);
    expect_call_works(client);
    drover_client_close(&client);
    fake_stop(&fake);
}

/* A task that is forgotten in the moment it is cancelled was cancelled, not unknown. */
static void test_client_cancel_sees_the_end_before_it_is_forgotten(void **state)
{
    struct fake fake;
    drover_id id = {{1}};
    drover_state ended = DROVER_STATE_QUEUED;
    fake_start(&fake);
    drover_client *client = open_client(&fake);
    assert_ok(drover_cancel(client, &id, DROVER_INDEX_NONE, NULL, SOON, &ended));
    assert_int_equal(ended, DROVER_STATE_CANCELLED);
    assert_int_equal(drover_wait(client, &id, DROVER_INDEX_NONE, SOON, NULL), DROVER_UNKNOWN);
    drover_client_close(&client);
    fake_stop(&fake);
}

/* So it is when the broker begins anew between its answer and the end, and the task is
 * forgotten before the client is back. */
static void test_client_cancel_that_was_answered_survives_a_restart(void **state)
{
    struct fake fake;
    drover_id id = {{1}};
    drover_state ended = DROVER_STATE_QUEUED;
    fake_start(&fake);
    drover_client *client = open_client(&fake);
    atomic_store(&fake.trick, TRICK_RESTART);
    assert_ok(drover_cancel(client, &id, DROVER_INDEX_NONE, NULL, SOON, &ended));
    assert_int_equal(ended, DROVER_STATE_CANCELLED);
    assert_int_equal(atomic_load(&fake.hellos), 2);
    drover_client_close(&client);
    fake_stop(&fake);
}

/* A deadline holds while the broker says nothing, and the handle stays good. */
static void test_client_deadline_holds_in_silence(void **state)
{
    struct fake fake;
    drover_value *document = NULL;
    fake_start(&fake);
    drover_client *client = open_client(&fake);
    atomic_store(&fake.trick, TRICK_SILENCE);
    assert_int_equal(drover_status_get(client, 30, &document), DROVER_TIMEOUT);
    assert_null(document);
    expect_call_works(client);
    drover_client_close(&client);
    fake_stop(&fake);
}

/* Texts of failures are kept per thread. */
static void test_client_words_are_of_the_last_failure(void **state)
{
    struct fake fake;
    char text[200] = "x";
    fake_start(&fake);
    drover_client *client = open_client(&fake);
    drover_client_error_text(client, text, sizeof(text));
    assert_string_equal(text, "");
    assert_int_equal(drover_submit(client, "no name", NULL, NULL, NULL), DROVER_INVALID);
    drover_client_error_text(client, text, sizeof(text));
    assert_non_null(strstr(text, "type"));
    drover_client_error_text(client, text, 5);
    assert_int_equal(strlen(text), 4);
    expect_call_works(client);
    drover_client_close(&client);
    drover_client_close(&client);
    drover_client_close(NULL);
    fake_stop(&fake);
}

/* Waits until the broker has so many more tasks. */
static void expect_taken(struct fake *fake, int count)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += SOON / 1000;
    for (int i = 0; i < count; i++) {
        assert_int_equal(sem_timedwait(&fake->taken, &until), 0);
    }
}

/* What gathers behind an unanswered submit leaves though nobody waits, answers or submits. */
static void test_client_submits_leave_while_nobody_waits(void **state)
{
    struct fake fake;
    drover_future *futures[5];
    fake_start(&fake);
    drover_client *client = open_client(&fake);
    atomic_store(&fake.withholds, true);
    assert_ok(drover_submit_future(client, "echo", NULL, NULL, &futures[0]));
    expect_taken(&fake, 1); /* at once, as there was nothing to wait for */
    for (size_t i = 1; i < 5; i++) {
        assert_ok(drover_submit_future(client, "echo", NULL, NULL, &futures[i]));
    }
    expect_taken(&fake, 4);
    for (size_t i = 0; i < 5; i++) {
        assert_false(drover_future_is_done(futures[i]));
        drover_future_destroy(&futures[i]);
    }
    drover_client_close(&client);
    fake_stop(&fake);
}

struct waiter {
    drover_client *client;
    drover_status status;
};

static void *call(void *context)
{
    struct waiter *waiter = context;
    waiter->status = drover_call(waiter->client, "echo", NULL, DROVER_FOREVER, NULL);
    return NULL;
}

/* So it does while another thread sleeps in a call of its own. */
static void test_client_submits_leave_while_another_thread_waits(void **state)
{
    struct fake fake;
    struct waiter waiter = {.status = DROVER_OK};
    drover_future *futures[5];
    pthread_t thread;
    fake_start(&fake);
    drover_client *client = open_client(&fake);
    waiter.client = client;
    atomic_store(&fake.withholds, true);
    assert_int_equal(pthread_create(&thread, NULL, call, &waiter), 0);
    expect_taken(&fake, 1);
    for (size_t i = 0; i < 5; i++) {
        assert_ok(drover_submit_future(client, "echo", NULL, NULL, &futures[i]));
    }
    expect_taken(&fake, 5);
    for (size_t i = 0; i < 5; i++) {
        drover_future_destroy(&futures[i]);
    }
    drover_client_close(&client); /* ends the call */
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(waiter.status, DROVER_CLOSED);
    fake_stop(&fake);
}

/* Enough for a message leaves without a wait, at once and together. */
static void test_client_full_messages_leave_at_once(void **state)
{
    enum { COUNT = 1000 };
    struct fake fake;
    drover_completions *completions = NULL;
    fake_start(&fake);
    drover_client *client = open_client(&fake);
    atomic_store(&fake.withholds, true);
    assert_ok(drover_completions_new(client, DROVER_COMPLETIONS_VALUES, &completions));
    for (size_t i = 0; i < COUNT; i++) {
        assert_ok(drover_completions_submit(completions, "echo", NULL, NULL, NULL));
    }
    expect_taken(&fake, COUNT);
    drover_completions_destroy(&completions);
    drover_client_close(&client);
    fake_stop(&fake);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_client_takes_results_once),
    cmocka_unit_test(test_client_survives_bad_connections),
    cmocka_unit_test(test_client_repeats_its_greeting),
    cmocka_unit_test(test_client_follows_a_move),
    cmocka_unit_test(test_client_lost_session_is_outcome_unknown),
    cmocka_unit_test(test_client_cancel_sees_the_end_before_it_is_forgotten),
    cmocka_unit_test(test_client_cancel_that_was_answered_survives_a_restart),
    cmocka_unit_test(test_client_deadline_holds_in_silence),
    cmocka_unit_test(test_client_words_are_of_the_last_failure),
    cmocka_unit_test(test_client_submits_leave_while_nobody_waits),
    cmocka_unit_test(test_client_submits_leave_while_another_thread_waits),
    cmocka_unit_test(test_client_full_messages_leave_at_once),
};

TEST_MAIN(tests)
