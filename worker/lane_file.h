/*
 * lane_file.h: values that are too large for a ring: memory files, for lane.c alone.
 *
 *            write                    name in a record
 *   sender ────────> file 0 .. n-1 ──────────────────────> receiver
 *        ^                                                    │ reads in place (executor),
 *        └──────────── word in lane_shared: FREE <────────────┘ or copies (agent)
 *
 * A sender keeps a few files. Each is made once, large enough for any value (what was never
 * written takes no memory), sealed against shrinking, passed by the socket with the first
 * record that names it, and written again and again: its pages are there, and nobody opens,
 * maps or closes anything. A word for each says whose it is:
 *
 *   FREE ──sender──> USED ──receiver──> FREE          FREE ──agent──> TRIMMED ──agent──> FREE
 *
 * While all are used, a value goes in a sealed file of its own. The agent gives back the memory
 * of all files, also those of an executor, which may be busy for long: a file keeps as much as
 * was used of it in the time before.
 *
 * The agent trusts no word and no file of an executor. It maps files of the kernel's shared
 * memory alone, and only those that cannot become shorter, so that touching one neither ends in
 * a signal nor waits for anybody. An executor can take pages out of any file that it has: then
 * the agent gets new ones, no more than the file is long, which lane_trim gives back; where
 * that may fail (lane.may_map) the agent reads and writes by system calls instead. A wrong word
 * costs the executor its own values.
 *
 * Copies of a payload: one into the file, out of the pieces that it came in; the executor reads
 * it there. Of a result: one into the file, and one out of it in the agent: what was reported
 * must not change any more. Sealing the file against writing instead, which saves that copy,
 * costs a new file with new pages every time, and those cost more than copying (3 to 8 times at
 * 1 MiB and 16 MiB on the reference machine). broker/DESIGN.md counts those on the whole way.
 */
#ifndef LANE_FILE_H
#define LANE_FILE_H

#include "lane.h"

enum lane_file_state { LANE_FILE_FREE, LANE_FILE_USED, LANE_FILE_TRIMMED };

void lane_files_init(struct lane *lane, bool is_agent);
void lane_files_fini(struct lane *lane);

/*
 * Puts a value into a file, which is passed if it was not yet. What follows must not fail: the
 * record that names it. OK; UNKNOWN: none is free; BUSY (socket full), NOMEM, IO: nothing has
 * happened.
 */
DROVER_MUST_USE drover_status lane_file_write(struct lane *lane, const struct lane_value *value,
                                              uint32_t *out_number);

/* A file for this value alone. OK, BUSY, NOMEM, IO. */
DROVER_MUST_USE drover_status lane_file_send(struct lane *lane, const struct lane_value *value);
/* OK; MALFORMED: none came, or not a sealed one of this size; NOMEM, IO. */
DROVER_MUST_USE drover_status lane_file_receive(struct lane *lane, uint64_t len, bool wait,
                                                struct drv_data **out_data);

/* The bytes of a kept file that a record named, until lane_release. OK, MALFORMED, IO. */
DROVER_MUST_USE drover_status lane_file_view(struct lane *lane, uint32_t number, uint64_t len,
                                             bool wait, struct drv_view *out_bytes);
/* A copy of them, and the file is released. OK, MALFORMED, NOMEM, IO. */
DROVER_MUST_USE drover_status lane_file_copy(struct lane *lane, uint32_t number, uint64_t len,
                                             bool wait, struct drv_data **out_data);

#endif
