/* Between the files of local.h. */
#ifndef MESHANICS_AGENT_LOCAL_INTERNAL_H
#define MESHANICS_AGENT_LOCAL_INTERNAL_H

#include "agent/local.h"
#include "agent/unpack.h"
#include "bundle/manifest.h"

#define LOCAL_EVENTS_MAX 4096

enum local_stage { LOCAL_OPENING, LOCAL_CHECKING, LOCAL_APPLYING, LOCAL_DONE };

/* An artifact that is to be applied. */
struct local_item {
	struct update update;		/* until its turn comes; its path stays */
	int64_t release;
	enum update_state state;	/* UPDATE_NONE: its turn has not come */
	char reason[UPDATE_REASON_MAX];
};

/* One that is in the bundle, would fit this device, and is left where it is. */
struct local_skip {
	char path[TARGET_PATH_MAX + 1];
	char why[256];
};

struct local_event {
	unsigned item;
	enum update_state state;
	char *reason;			/* owned */
};

struct local {
	int64_t id;			/* of this application, for those who ask */
	enum local_stage stage;
	bool dry_run;			/* ends after CHECKING */
	bool look;			/* ends after OPENING */
	struct {
		int fd;			/* owned; -1: closed */
		char name[UNPACK_NAME_MAX];
	} volumes[UNPACK_VOLUMES_MAX];
	unsigned volume_count;
	bool handed;			/* the worker has the volumes */
	unsigned tries;			/* workers that ended over it */
	struct buf named;		/* artifacts, a line each; empty: all that fit */

	/* known after OPENING; owned */
	struct manifest manifest;	/* without its text */
	bool verified;
	struct tuf_client *client;	/* holds what is to be kept, until it is */
	struct local_item *items;
	unsigned item_count, at;	/* at: whose turn it is */
	struct local_skip *skips;
	unsigned skip_count;
	uint64_t check_bytes, checked;	/* to be read in CHECKING, and read */

	struct local_event *events;	/* in order; owned */
	unsigned event_count;
	struct error error;		/* why it came to nothing; ERR_NONE otherwise */
};

/* local_verify.c: judge what the worker answered to TRANSFER_OPEN; fills what is known after OPENING. */
WARN_UNUSED int local_verify(struct agent *a, struct local *l, int blobs_fd, struct error *err);

#endif
