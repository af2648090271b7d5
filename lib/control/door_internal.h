/* Between the files of the doors. */
#ifndef MESHANICS_CONTROL_DOOR_INTERNAL_H
#define MESHANICS_CONTROL_DOOR_INTERNAL_H

#include "base/buf.h"
#include "base/error.h"

struct control;

/* One request in this process, as local:UID. source_fd: a file for a blob route, borrowed; -1 for none. */
WARN_UNUSED int door_local_call(struct control *c, const char *method, const char *path, struct slice body,
				int source_fd, int64_t now_s, struct buf *reply, struct error *err);

#endif
