/*
 * fleet_cpu.h: processor time that a private pool has used, by what it was used for.
 */
#ifndef CLI_FLEET_CPU_H
#define CLI_FLEET_CPU_H

#include <stdint.h>
#include <sys/types.h>

struct fleet_cpu { /* user and system time, microseconds; of living processes */
    uint64_t broker_us;
    uint64_t worker_us; /* the agent and all below it */
    uint64_t client_us; /* this process */
};

/*
 * Reads it from /proc for the processes below `keeper`, the process that keeps the pool; 0: no
 * pool, only client_us is set. Resolution is a clock tick (10 ms) per process.
 */
void fleet_cpu_read(pid_t keeper, struct fleet_cpu *out_cpu);

#endif
