/*
 * ulid.c: making, reading and writing task ids. Format: https://github.com/ulid/spec
 *
 * Ids of one process must grow, so the last one is kept: the only mutable state outside a
 * handle in this library, behind a mutex. A child after fork() starts from fresh randomness,
 * or parent and child would count on from the same id.
 */
#include <drover/task.h>

#include "clock.h"
#include "generation.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#define TIME_BYTES 6
#define RANDOM_BYTES 10
#define TIME_MAX ((UINT64_C(1) << 48) - 1)

static struct {
    pthread_mutex_t mutex;
    uint64_t generation; /* of who made `last`; 0: nobody yet */
    drover_id last;
} generator = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static drover_status random_fill(uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t got = getrandom(bytes, len, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return DROVER_IO;
        }
        bytes += got;
        len -= (size_t)got;
    }
    return DROVER_OK;
}

static uint64_t id_time(const drover_id *id)
{
    uint64_t ms = 0;
    for (size_t i = 0; i < TIME_BYTES; i++) {
        ms = ms << 8 | id->bytes[i];
    }
    return ms;
}

static void id_set_time(drover_id *id, uint64_t ms)
{
    for (size_t i = TIME_BYTES; i-- > 0;) {
        id->bytes[i] = (uint8_t)ms;
        ms >>= 8;
    }
}

/* The next id in byte order; a full random part carries into the time, which is harmless. */
static void id_increment(drover_id *id)
{
    for (size_t i = sizeof id->bytes; i-- > 0;) {
        if (++id->bytes[i] != 0) {
            return;
        }
    }
}

drover_status drover_id_new(drover_id *out_id)
{
    drover_status status = DROVER_OK;
    uint64_t generation = drv_generation();
    uint64_t now_ms = drv_clock_wall_tick_ms() & TIME_MAX;
    pthread_mutex_lock(&generator.mutex);
    if (generator.generation == generation && id_time(&generator.last) >= now_ms) {
        id_increment(&generator.last);
    } else {
        drover_id id;
        id_set_time(&id, now_ms);
        status = random_fill(id.bytes + TIME_BYTES, RANDOM_BYTES);
        if (status) {
            goto out;
        }
        generator.last = id;
        generator.generation = generation;
    }
    *out_id = generator.last;
out:
    pthread_mutex_unlock(&generator.mutex);
    return status;
}

/* The value of a Crockford base-32 character, or -1. */
static int digit_value(char c)
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    if (c >= 'a' && c <= 'z') {
        c = (char)(c - 'a' + 'A');
    }
    if (c == 'O') {
        c = '0';
    } else if (c == 'I' || c == 'L') {
        c = '1';
    }
    const char *found = c == '\0' ? NULL : strchr(digits, c);
    return found == NULL ? -1 : (int)(found - digits);
}

drover_status drover_id_parse(const char *text, drover_id *out_id)
{
    drover_id id;
    unsigned bits = 0; /* not yet stored */
    unsigned held = 0; /* how many; the first digit brings 3, the others 5, 128 in all */
    size_t stored = 0;
    for (size_t i = 0; i < DROVER_ID_TEXT_LEN; i++) {
        int value = digit_value(text[i]);
        if (value < 0 || (i == 0 && value > 7)) {
            return DROVER_INVALID;
        }
        bits = bits << 5 | (unsigned)value;
        held += i == 0 ? 3 : 5;
        if (held >= 8) {
            held -= 8;
            id.bytes[stored++] = (uint8_t)(bits >> held);
        }
    }
    if (text[DROVER_ID_TEXT_LEN] != '\0') {
        return DROVER_INVALID;
    }
    *out_id = id;
    return DROVER_OK;
}

void drover_id_format(const drover_id *id, char out_text[DROVER_ID_TEXT_LEN + 1])
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    unsigned bits = 0;
    unsigned held = 2; /* 128 bits are 26 digits but for two leading zero bits */
    size_t used = 0;
    for (size_t i = 0; i < DROVER_ID_TEXT_LEN; i++) {
        if (held < 5) {
            bits = bits << 8 | id->bytes[used++];
            held += 8;
        }
        held -= 5;
        out_text[i] = digits[bits >> held & 31U];
    }
    out_text[DROVER_ID_TEXT_LEN] = '\0';
}

bool drover_id_equal(const drover_id *a, const drover_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

bool drover_id_is_zero(const drover_id *id)
{
    static const drover_id zero;
    return drover_id_equal(id, &zero);
}
