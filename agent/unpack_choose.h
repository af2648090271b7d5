/* Between the files of unpack.h: the engine's walk over a bundle, and what of it a device is to apply. */
#ifndef MESHANICS_AGENT_UNPACK_CHOOSE_H
#define MESHANICS_AGENT_UNPACK_CHOOSE_H

#include "agent/unpack.h"
#include "bundle/manifest.h"
#include "tuf/engine_drive.h"

struct unpack_walk {
	struct unpack *unpack;
	struct tuf_client *client;	/* owned by unpack_open */
	const struct tuf_blob *stored;
	unsigned stored_count;
	struct buf *fetched;		/* packed, what was taken from the bundle */
};
/* Serve the client's wants until there is none. */
WARN_UNUSED int unpack_walk(struct unpack_walk *w, struct error *err);
/* The whole member `name` into out. ERR_NOT_FOUND. */
WARN_UNUSED int unpack_read(struct unpack *u, const char *name, struct buf *out, struct error *err);
const struct manifest *unpack_manifest(const struct unpack *u);

/* Look each artifact up (lines) whose metadata is then in w->fetched; lines to chosen. ERR_NOT_FOUND names the first that is not there. */
WARN_UNUSED int unpack_look_up(struct unpack_walk *w, struct slice named, struct buf *chosen, struct error *err);
/* Choose among all, see unpack_open. */
WARN_UNUSED int unpack_choose(struct unpack_walk *w, const struct device_profile *profile, struct buf *chosen,
			      struct error *err);

#endif
