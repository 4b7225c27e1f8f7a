/*
 * fuzz_restore.c: records that no broker wrote.
 *
 * The input is a row of records: kind, id, index (255: none), two bytes of length, body. They
 * are taken in, in order, and the core is refused with a reason, or is sound and works.
 */
#include "check.h"
#include "core.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD_BYTES = 5 };
#define NOW_US ((int64_t)1000000000)

static drover_status take_records(struct core *core, const uint8_t *data, size_t size,
                                  const char **out_why)
{
    drover_status status = DROVER_OK;
    for (uint64_t lsn = 1; status == DROVER_OK && size > HEAD_BYTES; lsn++) {
        size_t len = data[3] | (size_t)data[4] << 8;
        len = len < size - HEAD_BYTES ? len : size - HEAD_BYTES;
        struct core_saved saved = {.lsn = lsn,
                                   .kind = data[0],
                                   .id = {{1, data[1]}},
                                   .index = data[2] == 255 ? DROVER_INDEX_NONE : data[2],
                                   .body = data + HEAD_BYTES,
                                   .len = len};
        status = core_restore(core, &saved, out_why);
        data += HEAD_BYTES + len;
        size -= HEAD_BYTES + len;
    }
    return status ? status : core_restore_end(core, NOW_US, out_why);
}

static void work_on(struct core *core)
{
    DRV_ASSERT(core_check(core) == NULL);
    for (int64_t second = 0; second < 40; second += 10) {
        (void)core_tick(core, NOW_US + second * 1000000);
        core_effects_clear(core);
    }
    DRV_ASSERT(core_check(core) == NULL);
    core_save_all(core);
    (void)core_tick(core, NOW_US + 50 * 1000000);
    DRV_ASSERT(!core_has_failed(core));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct core_config config;
    struct core *core = NULL;
    const char *why = NULL;
    core_config_init(&config);
    config.seed = 1;
    config.durability_max = DROVER_DURABILITY_SYNCED;
    if (core_new(&config, NOW_US, &core) != DROVER_OK) {
        return 0;
    }
    core_set_wall(core, NOW_US, 2 * NOW_US);
    if (take_records(core, data, size, &why) == DROVER_OK) {
        work_on(core);
    } else {
        DRV_ASSERT(why != NULL);
    }
    core_destroy(&core);
    return 0;
}
