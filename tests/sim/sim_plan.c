/*
 * sim_plan.c: plans, payloads and results as functions of serial numbers.
 */
#include "sim_plan.h"

#include <string.h>

#include "check.h"
#include "data.h"

enum { PAYLOAD_HEAD = 8, RESULT_HEAD = 8 };
enum { AWAITS_BEFORE = 6 }; /* later attempts come to an end */

static const char *const type_names[SIM_TYPE_COUNT] = {"alpha", "beta", "gamma", "nobody"};
static const char *const queue_names[SIM_QUEUE_COUNT] = {"default", "side", "tight", "limited"};

const char *sim_type_name(unsigned type)
{
    DRV_ASSERT(type < SIM_TYPE_COUNT);
    return type_names[type];
}

const char *sim_queue_name(unsigned queue)
{
    DRV_ASSERT(queue < SIM_QUEUE_COUNT);
    return queue_names[queue];
}

uint64_t sim_mix(uint64_t a, uint64_t b)
{
    uint64_t x = a ^ (b + UINT64_C(0x9e3779b97f4a7c15) + (a << 6) + (a >> 2));
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static int64_t plan_run_us(uint64_t seed, unsigned type, uint64_t hash)
{
    switch (type) {
    case SIM_ALPHA:
        /* Short enough to be given ahead of time, to a different depth in each run. */
        return (20 + (int64_t)(hash % 700)) * (1 + (int64_t)(seed % 3));
    case SIM_BETA:
        return 1000 + (int64_t)(hash % 40000);
    default:
        /* One in twenty runs for longer than the lease. */
        return hash % 20 == 0 ? 4000000 + (int64_t)(hash % 2000000)
                              : 20000 + (int64_t)(hash % 400000);
    }
}

struct sim_plan sim_plan_of(uint64_t seed, uint32_t payload, unsigned type, uint32_t attempt)
{
    uint64_t hash = sim_mix(sim_mix(seed, payload), attempt);
    struct sim_plan plan = {.behaviour = SIM_SUCCEEDS,
                            .run_us = plan_run_us(seed, type, hash >> 16),
                            .obeys_cancel = (hash >> 8) % 4 != 0,
                            .awaits = attempt < AWAITS_BEFORE && (hash >> 40) % 4 != 0};
    /* Tasks differ in how bad they are: most are sound, some fail now and then, few always. */
    uint64_t badness = sim_mix(seed, payload) % 16;
    unsigned dice = (unsigned)(hash % 100);
    if (badness == 0 || (badness <= 3 && dice < 50)) {
        plan.behaviour = dice % 10 == 0  ? SIM_FAILS_FOR_GOOD
                         : dice % 3 == 0 ? SIM_CRASHES
                                         : SIM_FAILS;
    }
    return plan;
}

static void noise_write(struct drv_buffer *out, uint64_t start, size_t len)
{
    drover_status status = drv_buffer_reserve(out, len);
    DRV_ASSERT(status == DROVER_OK);
    uint8_t *bytes = out->bytes + out->len;
    uint64_t word = start;
    for (size_t i = 0; i < len; i++) {
        if (i % 8 == 0) {
            word = sim_mix(start, i);
        }
        bytes[i] = (uint8_t)(word >> (8 * (i % 8)));
    }
    out->len += len;
}

static bool noise_is(const uint8_t *bytes, size_t len, uint64_t start)
{
    uint64_t word = start;
    for (size_t i = 0; i < len; i++) {
        if (i % 8 == 0) {
            word = sim_mix(start, i);
        }
        if (bytes[i] != (uint8_t)(word >> (8 * (i % 8)))) {
            return false;
        }
    }
    return true;
}

static void head_write(struct drv_buffer *out, uint32_t a, uint32_t b)
{
    uint32_t words[2] = {a, b};
    drover_status status = drv_buffer_append(out, words, sizeof words);
    DRV_ASSERT(status == DROVER_OK);
}

void sim_payload_write(struct drv_buffer *out, uint32_t payload, size_t len)
{
    if (len < PAYLOAD_HEAD) {
        return;
    }
    head_write(out, payload, (uint32_t)len);
    noise_write(out, payload, len - PAYLOAD_HEAD);
}

uint32_t sim_payload_read(const uint8_t *bytes, size_t len)
{
    uint32_t words[2];
    if (len < sizeof words) {
        return UINT32_MAX;
    }
    memcpy(words, bytes, sizeof words);
    bool whole = words[1] == len &&
                 noise_is(bytes + PAYLOAD_HEAD, len - PAYLOAD_HEAD, words[0]);
    return whole ? words[0] : UINT32_MAX;
}

static size_t result_len(uint32_t name, uint32_t attempt)
{
    uint64_t hash = sim_mix(name, attempt);
    if (hash % 400 == 0) {
        return 66000 + (size_t)(hash >> 32) % 30000; /* travels as chunks */
    }
    return hash % 64 == 0 ? 3000 + (size_t)(hash >> 32) % 3000 : (size_t)(hash >> 32) % 48;
}

void sim_result_write(struct drv_buffer *out, uint32_t name, uint32_t attempt)
{
    head_write(out, name, attempt);
    noise_write(out, sim_mix(name, attempt), result_len(name, attempt));
}

bool sim_result_is(const uint8_t *bytes, size_t len, uint32_t name, uint32_t attempt)
{
    uint32_t words[2];
    if (len != RESULT_HEAD + result_len(name, attempt)) {
        return false;
    }
    memcpy(words, bytes, sizeof words);
    return words[0] == name && words[1] == attempt &&
           noise_is(bytes + RESULT_HEAD, len - RESULT_HEAD, sim_mix(name, attempt));
}
