/*
 * selftest.h: proof, before the broker serves, that a stranger is turned away.
 *
 * A key that was made for this moment tries each endpoint. Only a handshake that ended with the
 * refusal of our own handler counts: a connection that succeeds, breaks or hangs does not.
 */
#ifndef AUTH_SELFTEST_H
#define AUTH_SELFTEST_H

#include "access.h"
#include "problem.h"

enum { SELFTEST_WAIT_MS = 5000 };

/*
 * Connects to the endpoint, as bound, in a context of its own. public_key: that of the broker.
 * Blocks for SELFTEST_WAIT_MS at most. OK: refused as it must be; DENIED: the broker would let
 * anybody in, or nobody answers for it; INTERNAL: it could not be tried; with a problem.
 */
DROVER_MUST_USE drover_status selftest_refuses(const char *endpoint,
                                               const uint8_t public_key[ACCESS_KEY_BYTES],
                                               struct drv_problem *problem);

#endif
