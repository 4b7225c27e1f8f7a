/*
 * child_id.c: ids that follow from their parents'.
 */
#include <drover/worker.h>

#include <string.h>
#include <xxhash.h>

/* Parts of the hash, so that ids of other sorts can be derived beside these. */
enum { CHILD_SEED_LOW = 0x63686c64, CHILD_SEED_HIGH = 0x63686c65, ID_TIME_BYTES = 6 };

static void put(uint8_t *at, uint64_t number)
{
    for (int i = 0; i < 8; i++) {
        at[i] = (uint8_t)(number >> 8 * i);
    }
}

drover_id drover_child_id(const drover_id *parent, uint32_t index, uint64_t n)
{
    uint8_t origin[sizeof parent->bytes + 16], random[16];
    memcpy(origin, parent->bytes, sizeof parent->bytes);
    put(origin + sizeof parent->bytes, index);
    put(origin + sizeof parent->bytes + 8, n);
    put(random, XXH3_64bits_withSeed(origin, sizeof origin, CHILD_SEED_LOW));
    put(random + 8, XXH3_64bits_withSeed(origin, sizeof origin, CHILD_SEED_HIGH));
    drover_id id = *parent;
    memcpy(id.bytes + ID_TIME_BYTES, random, sizeof id.bytes - ID_TIME_BYTES);
    return id;
}
