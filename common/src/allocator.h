/*
 * allocator.h: how malloc deals with large blocks, for programs, never for the library: what
 * belongs to the process is its owner's business.
 *
 * Left alone, glibc takes large blocks from the system and gives them back one by one, so that
 * every payload is paid for with a page fault every 4 KiB, which costs more than copying it.
 * Here they come from memory that was used before. That memory goes back when
 * drv_allocator_trim is called; who has had large values calls it once they are over.
 */
#ifndef DRV_ALLOCATOR_H
#define DRV_ALLOCATOR_H

/* Once, before threads are started; children that are forked inherit it. */
void drv_allocator_tune(void);

/* Gives free memory back to the system: takes time in proportion to what is in use. */
void drv_allocator_trim(void);

#endif
