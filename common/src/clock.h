/*
 * clock.h: the one place that asks the operating system for the time.
 *
 * Decisions take the time as an argument; only shells call these.
 */
#ifndef DRV_CLOCK_H
#define DRV_CLOCK_H

#include <stdint.h>

/* Monotonic microseconds from an arbitrary start; does not jump with the wall clock. */
uint64_t drv_clock_now_us(void);

/* The same in milliseconds. */
uint64_t drv_clock_now_ms(void);

/* Wall-clock milliseconds since 1970-01-01 UTC. */
uint64_t drv_clock_wall_ms(void);

/* The same as of the kernel's last tick, up to 10 ms ago, for a fraction of the cost. */
uint64_t drv_clock_wall_tick_ms(void);

#endif
