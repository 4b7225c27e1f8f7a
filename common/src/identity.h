/*
 * identity.h: the keys by which programs know each other (CURVE), as text and in files.
 *
 * A key is 32 bytes, written as 64 hexadecimal digits: nothing in it needs quoting. A key file
 * has one word and one key a line; # begins a comment line:
 *
 *     public 5fd1...   of who the file belongs to
 *     secret 90ab...   the same; such a file must be readable by its owner alone
 *     broker 77e0...   the public key of the broker that it belongs with; may be left out
 *
 * Instead of a path there may be "fd:N": a descriptor, opened by who has started the program
 * (and may read what the program's own user must not), is read from its beginning.
 *
 * What is read is never logged; a secret leaves a struct only by drv_identity_wipe.
 */
#ifndef DRV_IDENTITY_H
#define DRV_IDENTITY_H

#include "problem.h"

#include <drover/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DRV_KEY_BYTES = 32,
    DRV_KEY_TEXT_LEN = 64,       /* hexadecimal digits, without the NUL */
    DRV_IDENTITY_FILE_MAX = 4096 /* bytes of a key file */
};

struct drv_curve_key {
    uint8_t bytes[DRV_KEY_BYTES];
};

struct drv_identity {
    bool has_own, has_broker;
    struct drv_curve_key public_key, secret_key; /* own */
    struct drv_curve_key broker_key;
};

/* Exactly the digits; false for anything else. */
bool drv_curve_key_parse(const char *text, size_t len, struct drv_curve_key *out_key);
/* Lower case, NUL-terminated. */
void drv_curve_key_format(const struct drv_curve_key *key, char out_text[DRV_KEY_TEXT_LEN + 1]);
bool drv_curve_key_equal(const struct drv_curve_key *left, const struct drv_curve_key *right);

/*
 * Reads an own key pair, and the broker's key if the file names it. Blocks on the file. OK;
 * INVALID (not a key file, the line is named), IO, REFUSED (others can reach the file), with a
 * problem that begins with `option`, such as "--identity".
 */
DROVER_MUST_USE drover_status drv_identity_read(struct drv_identity *identity,
                                                const char *option, const char *path,
                                                struct drv_problem *problem);

/* Takes the broker's public key from its digits, or from the file of this name. As above. */
DROVER_MUST_USE drover_status drv_identity_read_broker(struct drv_identity *identity,
                                                       const char *option, const char *text,
                                                       struct drv_problem *problem);

/*
 * What a program that connects says about itself: both texts may be NULL. With an own key there
 * must be the broker's and the other way round. OK, or as above.
 */
DROVER_MUST_USE drover_status drv_identity_load(struct drv_identity *identity, const char *own,
                                                const char *broker,
                                                struct drv_problem *problem);

/* Whether the text is fd:N, N being 0 or from 3 on. */
bool drv_identity_descriptor(const char *text, int *out_fd);

/* Of fd:N the descriptor is closed; for 0 there is /dev/null. Nothing for a path or NULL. */
void drv_identity_close(const char *text);

/* Forgets the secret in a way that the compiler does not leave out. */
void drv_identity_wipe(struct drv_identity *identity);

#endif
