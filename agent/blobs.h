/*
 * Several named files in one piece of memory, as supervisor and worker hand metadata to each other:
 * for each file a u16be length of the name, a u32be length of the content, the name, the content.
 * Limits: BLOBS_MAX files, names of 1..255 bytes.
 */
#ifndef MESHANICS_AGENT_BLOBS_H
#define MESHANICS_AGENT_BLOBS_H

#include "tuf/engine_drive.h"

#define BLOBS_MAX 4096

void blobs_put(struct buf *out, struct slice name, struct slice bytes);
/* Over packed; list (BLOBS_MAX places) borrows from it. ERR_MALFORMED, ERR_LIMIT. */
WARN_UNUSED int blobs_read(struct tuf_blob *list, unsigned *count, struct slice packed, struct error *err);
/* The content of a name; ptr NULL when there is none. */
struct slice blobs_find(const struct tuf_blob *list, unsigned count, struct slice name);
/* Answer the open want of c, which is for a stored file, from packed files by their names on disk. */
WARN_UNUSED int blobs_feed_stored(struct tuf_client *c, const struct tuf_blob *list, unsigned count, struct error *err);

#endif
