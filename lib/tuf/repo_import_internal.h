/* An import at work, shared by the repo_import*.c files only. */
#ifndef MESHANICS_TUF_REPO_IMPORT_INTERNAL_H
#define MESHANICS_TUF_REPO_IMPORT_INTERNAL_H

#include "tuf/publish_internal.h"
#include "tuf/repo_import.h"

/* A file that was brought, found by role and version. */
struct import_file {
	char role[NAME_LEN_MAX + 1];
	int64_t version;
	struct slice bytes;
	bool used;
};

/* An artifact that needs its place. */
struct import_blob {
	char *path;	/* owned */
	uint64_t length;
	uint8_t sha256[SHA256_LEN];
	char *source;	/* another path whose bytes, which are in their place, are the same; owned. NULL: it is staged */
};

struct importing {
	struct repo *r;
	struct repo_import *m;
	struct import_file *files;	/* owned; by role, then version */
	unsigned file_count;
	struct tuf_client *client;
	const struct tuf_change *changes;	/* of the client, by role */
	unsigned change_count;
	struct tuf_targets *targets;	/* the top-level file that will be in force; owned */
	struct repo_keyring former;	/* while keys that were staged for this root sign */

	struct import_blob *blobs;	/* not in their places, or staged anew; owned */
	size_t blob_count, blob_room;
	struct import_blob *lacking;	/* those of which there are no bytes; owned; by SHA-256 when all are known */
	size_t lacking_count, lacking_room;
	bool again;			/* on the second way over all files, which looks for bytes of those */
};

/* Everything that can be told without a change. With m->r and m->m set; to be released in every case. */
WARN_UNUSED int import_examine(struct importing *x, struct error *err);
void import_release(struct importing *x);
/* What the engine has taken anew for the role; NULL: nothing, the stored file stays. */
const struct tuf_change *import_change(const struct importing *x, const char *role);
/* The file of the role that our own snapshot names, appended to out. -1: there is none, or it is damaged. */
WARN_UNUSED int import_stored(const struct repo *r, const char *role, struct tuf_metafile *meta, struct buf *out,
			      struct error *err);
struct import_file *import_file(const struct importing *x, const char *role, int64_t version);

/* HOME/repo/selected holds just these, without the file when there are none. Sorts the list. */
WARN_UNUSED int repo_selected_write(int repo_dirfd, uint8_t (*list)[SHA256_LEN], size_t count, struct error *err);

#endif
