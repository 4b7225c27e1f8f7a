/*
 * profile.h: which system calls a process may make, as profiles with names.
 *
 *   none          all of them
 *   network-less  all but those that reach the network: sockets of any family but unix, and
 *                 io_uring, which would be a way around it
 *   strict        what computes, works with files that it may open, and runs other programs:
 *                 no new sockets (but pairs), no namespaces, mounts, tracing, other identities,
 *                 keys, clocks, scheduling classes, and nothing that this list does not know
 *
 * A refused call fails with EPERM, one that strict does not know with ENOSYS; the process goes
 * on. Programs for another processor architecture than the worker's end with SIGSYS. Compiled
 * with libseccomp (optional when this is built) once, at the start; entering takes one system
 * call, and cannot be undone by whatever the process runs.
 */
#ifndef WORKER_PROFILE_H
#define WORKER_PROFILE_H

#include <drover/drover.h>

#include <linux/filter.h>
#include <stdbool.h>

enum profile { PROFILE_NONE, PROFILE_NETWORK_LESS, PROFILE_STRICT };
enum { PROFILES = 3 };

/* The word for it. */
const char *profile_name(enum profile profile);
DROVER_MUST_USE bool profile_find(const char *name, enum profile *out_profile);

/* Whether this build knows how, and this kernel can. */
bool profile_is_possible(void);

/* The program for the kernel, to be given to profile_free. OK; UNSUPPORTED: built without
 * libseccomp; IO, NOMEM. Not for PROFILE_NONE. */
DROVER_MUST_USE drover_status profile_compile(enum profile profile,
                                              struct sock_fprog **out_program);
void profile_free(struct sock_fprog **program);

/* Keeps the calling process, all its threads, and what it will run, to it. It must have no new
 * privileges. A system call and nothing more. False, with errno: it could not. */
bool profile_enter(const struct sock_fprog *program);

#endif
