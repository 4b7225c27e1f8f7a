/*
 * zap.h: who may connect at all: the handler of ZeroMQ's authentication (RFC 27), in a thread
 * of its own, since libzmq asks in the middle of a handshake and waits for the answer.
 *
 *     I/O thread of libzmq ──request──> inproc://zeromq.zap.01 ──> thread: is the key in the
 *                          <── 200 and the key, or 400 ───────────  ring? (a copy, replaced
 *                                                                   through an atomic pointer)
 *
 * It knows keys, and nothing of roles: what a key may do is decided per message by the core,
 * for which the answer names the key as User-Id. libzmq accepts everybody when no handler is
 * there, hence ZMQ_ZAP_ENFORCE_DOMAIN on every socket, and the self-test before serving.
 */
#ifndef AUTH_ZAP_H
#define AUTH_ZAP_H

#include "access.h"
#include "problem.h"

#include <stdint.h>

/* The domain of our sockets; ZAP asks for none that is not named. */
#define ZAP_DOMAIN "drover"

struct zap;

/*
 * Binds the handler in this context, which must not have a socket yet that asks for keys, and
 * starts its thread. Nobody is let in before zap_set. OK; IO, NOMEM with a problem.
 */
DROVER_MUST_USE drover_status zap_start(void *context, struct zap **out_zap,
                                        struct drv_problem *problem);
/* Ends the thread and closes its socket; before the context is ended. */
void zap_stop(struct zap **zap);

/* From now on, but for handshakes that are under way, exactly the keys of this table are let
 * in. OK or NOMEM (nothing has changed). */
DROVER_MUST_USE drover_status zap_set(struct zap *zap, const struct access *access);

/* How many handshakes were refused since this was asked last. */
uint64_t zap_take_refused(struct zap *zap);

/* Options of a socket that asks for keys: server side of CURVE, domain, enforcement. OK or
 * INTERNAL with a problem. */
DROVER_MUST_USE drover_status zap_guard(void *socket,
                                        const uint8_t secret_key[ACCESS_KEY_BYTES],
                                        struct drv_problem *problem);

#endif
