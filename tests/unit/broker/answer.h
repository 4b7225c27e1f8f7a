/*
 * answer.h: documents of the broker, asked for and taken apart.
 */
#ifndef TESTS_BROKER_ANSWER_H
#define TESTS_BROKER_ANSWER_H

#include "fixture.h"

#include <msgpack.h>

struct answer {
    msgpack_unpacked unpacked;
    struct drv_document document;
};

/* Asks and decodes; the answer must be freed. */
static inline struct answer ask(struct bench *bench, const struct drv_query *query)
{
    struct answer answer;
    struct drv_message message = request(bench, 1, DRV_QUERY);
    message.query = *query;
    speak(bench, 1, &message);
    bench_turn(bench);
    answer.document = expect(bench, 1, DRV_DOCUMENT)->document;
    assert_int_equal(answer.document.req, bench->boxes[1].req);
    msgpack_unpacked_init(&answer.unpacked);
    if (answer.document.code == DROVER_OK) {
        size_t offset = 0;
        assert_int_equal(msgpack_unpack_next(&answer.unpacked, answer.document.body.ptr,
                                             answer.document.body.len, &offset),
                         MSGPACK_UNPACK_SUCCESS);
        assert_int_equal(offset, answer.document.body.len);
        assert_int_equal(answer.unpacked.data.type, MSGPACK_OBJECT_MAP);
    }
    return answer;
}

static inline void answer_free(struct answer *answer)
{
    msgpack_unpacked_destroy(&answer->unpacked);
}

/* The value under a key, which must be there once. */
static inline const msgpack_object *at(const msgpack_object *map, const char *key)
{
    const msgpack_object *found = NULL;
    assert_int_equal(map->type, MSGPACK_OBJECT_MAP);
    for (uint32_t i = 0; i < map->via.map.size; i++) {
        const msgpack_object *name = &map->via.map.ptr[i].key;
        assert_int_equal(name->type, MSGPACK_OBJECT_STR);
        if (name->via.str.size == strlen(key) &&
            memcmp(name->via.str.ptr, key, name->via.str.size) == 0) {
            assert_null(found);
            found = &map->via.map.ptr[i].val;
        }
    }
    if (found == NULL) {
        fail_msg("no key %s", key);
    }
    return found;
}

#endif
