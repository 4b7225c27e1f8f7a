/*
 * save_parts.h: what the bodies of records are made of; save_*.c write them, restore_*.c read
 * them. ../store/README.md is their description.
 */
#ifndef CORE_SAVE_PARTS_H
#define CORE_SAVE_PARTS_H

enum {                     /* of a UNIT, and of the unit in a TASK */
       PART_FLAGS = 1,     /* of a task; only index NONE */
       PART_ARRAY = 2,     /* of an array as a whole */
       PART_LEASE = 4,     /* a worker holds it */
       PART_ARRIVAL = 8,   /* its place in line, now or when it comes back */
       PART_TIMER = 16,    /* delayed until then */
       PART_MORE = 32,     /* how it ended, its attempts, where it comes from */
       PART_RESULT = 64,   /* the value, last of all */
       PART_POSITION = 128 /* of an element: it waits outside its run */
};

enum { /* of PART_ARRAY */
       ARRAY_PART_SEALED = 1,
       ARRAY_PART_CANCELLED = 2,
       ARRAY_PART_KEEPS = 4, /* the payloads of what has succeeded */
};

enum { /* of PART_MORE */
       MORE_ERROR = 1,
       MORE_HISTORY = 2,
       MORE_RETRY_OF = 4,
       MORE_RETRIED = 8,
       MORE_ROUNDS = 16,
};

enum { /* of one attempt */
       ATTEMPT_STARTED = 1,
       ATTEMPT_USAGE = 2,
       ATTEMPT_WHO = 4,
       ATTEMPT_KEPT_SHIFT = 3, /* two bits: enum drv_kept */
       ATTEMPT_KEPT_MASK = 3,
};

enum { /* of a run */
       RUN_DELAYED = 1,
       RUN_ENDED = 2, /* what has no record has ended, and how */
};

/* Numbers of a spec that are written only when they are not zero, in this order. */
enum {
    SPEC_DELAY = 1,
    SPEC_EXPIRE = 2,
    SPEC_TIMEOUT = 4,
    SPEC_BACKOFF = 8,
    SPEC_BACKOFF_MAX = 16,
    SPEC_KEEP = 32, /* one more than it says */
    SPEC_RETRIES = 64,
    SPEC_LOSSES = 128,
    SPEC_PRIORITY = 256,
    SPEC_REQUIRE = 512,
    SPEC_TAGS = 1024,
    SPEC_META = 2048,
    SPEC_NEEDS = 4096,
    SPEC_FAIRNESS = 8192,
    SPEC_MEMORY = 16384,
    SPEC_CPU = 32768,
    SPEC_OUTPUT = 65536,
    SPEC_PROCESSES = 131072,
    SPEC_FILES = 262144,
    SPEC_SCHEDULE = 524288,
    SPEC_GROUP = 1 << 20,
    SPEC_KEY = 1 << 21, /* not of the options: of the task */
    SPEC_KEY_WINDOW = 1 << 22,
    SPEC_KEY_SERIAL = 1 << 23,
    SPEC_OWNER = 1 << 24,
};

enum { SESSION_DRAINING = 1, SESSION_OWNED = 2 };

enum { /* of an alert */
       ALERT_PART_ACKNOWLEDGED = 1,
       ALERT_PART_TOLD = 2,
};

enum { /* of a schedule */
       SCHEDULE_PART_PAUSED = 1,
       SCHEDULE_PART_LAST = 2,
};

enum { AFTER_CASCADE = 1 };

#endif
