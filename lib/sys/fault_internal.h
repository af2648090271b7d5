/* Between fault.c, which counts calls, and fault_cut.c, which knows what a power cut would take. Test builds only. */
#ifndef MESHANICS_SYS_FAULT_INTERNAL_H
#define MESHANICS_SYS_FAULT_INTERNAL_H

#include "sys/fault.h"

/* Start with nothing that could be lost, for this mode. */
void cut_reset(enum fault_mode mode);
/* As after a fork whose child closes descriptors: forget without closing. */
void cut_forget(void);

/* Before a change: what is safe of a file's bytes and mode (offset -1: where fd stands), or of a directory's name. */
void cut_note_write(int fd, off_t offset, size_t n);
void cut_note_truncate(int fd, off_t len);
void cut_note_mode(int fd);
void cut_note_name(int dirfd, const char *path);
/* After a sync: of a file, of a directory, of everything. */
void cut_note_synced(int fd);
void cut_note_all_synced(void);

/* Take away what was never synced, and end the process. */
NORETURN void cut_now(void);

#endif
