/*
 * human.h: numbers as people read them, and the time of an attempt as a picture.
 *
 *     |.....>==================================<|
 *     . queued 1.2 s  > transfer 3 ms  = run 8.5 s  < return 900 us
 */
#ifndef CLI_HUMAN_H
#define CLI_HUMAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HUMAN_TEXT_MAX 32

/* "740 ms", "3.2 s", "5m 10s", "2h 5m", "3d 4h". Negative: "". Returns out_text. */
char *human_age(int64_t ms, char out_text[HUMAN_TEXT_MAX]);

/* "740 us", and from a millisecond on as human_age. Negative: "". Returns out_text. */
char *human_us(int64_t us, char out_text[HUMAN_TEXT_MAX]);

/* "512 B", "1.5 KiB", "3.0 GiB". Negative: "". Returns out_text. */
char *human_bytes(int64_t bytes, char out_text[HUMAN_TEXT_MAX]);

enum { TIMELINE_QUEUED, TIMELINE_TRANSFER, TIMELINE_RUN, TIMELINE_RETURN, TIMELINE_PARTS };
enum { TIMELINE_TEXT_MAX = 256 };

struct timeline {
    int64_t us[TIMELINE_PARTS]; /* negative: has not come to that */
};

/* The picture: `width` characters between its ends (at least TIMELINE_PARTS). Every part that
 * took time is seen. Returns out_text. */
char *timeline_draw(const struct timeline *timeline, size_t width,
                    char out_text[TIMELINE_TEXT_MAX]);

/* The words, each with the character that stands for it in the picture if there is one. Returns
 * out_text. */
char *timeline_words(const struct timeline *timeline, bool has_picture,
                     char out_text[TIMELINE_TEXT_MAX]);

#endif
