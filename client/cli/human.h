/*
 * human.h: numbers as people read them.
 */
#ifndef CLI_HUMAN_H
#define CLI_HUMAN_H

#include <stdint.h>

#define HUMAN_TEXT_MAX 32

/* "740 ms", "3.2 s", "5m 10s", "2h 5m", "3d 4h". Negative: "". Returns out_text. */
char *human_age(int64_t ms, char out_text[HUMAN_TEXT_MAX]);

/* "512 B", "1.5 KiB", "3.0 GiB". Negative: "". Returns out_text. */
char *human_bytes(int64_t bytes, char out_text[HUMAN_TEXT_MAX]);

#endif
