/*
 * tsan.h: tells the thread sanitizer of an order that it cannot see.
 *
 * libzmq as distributed is not instrumented, so memory that its I/O thread hands back, through
 * the free function of zmq_msg_init_data, seems to arrive without synchronisation. The giver
 * says DRV_TSAN_RELEASE(object) before the handover, the taker DRV_TSAN_ACQUIRE(object) before
 * it touches the object. Both are nothing in other builds: this annotates an order, it makes
 * none.
 */
#ifndef DRV_TSAN_H
#define DRV_TSAN_H

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#define DRV_TSAN_RELEASE(object) __tsan_release(object)
#define DRV_TSAN_ACQUIRE(object) __tsan_acquire(object)
#else
#define DRV_TSAN_RELEASE(object) ((void)(object))
#define DRV_TSAN_ACQUIRE(object) ((void)(object))
#endif

#endif
