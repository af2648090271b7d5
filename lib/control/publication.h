/*
 * Publishing from where the publisher's key is, through any door: stage the blob, make the role's next file on what
 * is published, sign it here, commit it there. When somebody else has published meanwhile (409), the file is made
 * anew on his.
 *
 *	GET  /repository/publishers  whose slice is it
 *	PUT  /blobs...               the bytes
 *	GET  /repository/roles/P     what is published, and whether it is in hash bins  <--+
 *	GET  /repository/roles/BIN   in the bin of the path, then			   |
 *	PUT  /blobs/SHA256           the next file of P or the bin			   | 409
 *	PUT  /repository/roles/...   {"expected_version", ...} ----------------------------+
 */
#ifndef MESHANICS_CONTROL_PUBLICATION_H
#define MESHANICS_CONTROL_PUBLICATION_H

#include "control/door.h"
#include "tuf/publish.h"

#define PUBLICATION_TRIES 5	/* how often others may come first */

/* The key of a publisher, asked for once it is known who that is. To be freed with seckey_free; NULL with err. */
typedef struct seckey *publication_key(void *arg, const char *publisher, struct error *err);

struct publication {
	struct door *door;
	const char *path;		/* NAMESPACE/NAME/VERSION */
	const char *publisher;		/* NULL: the one whose slice covers path */
	publication_key *key;
	void *key_arg;
	/*
	 * The door is another process, perhaps on another machine, and the key is not its own: what it says is published
	 * must be signed by the key or by one of `also`, or our signature would be put under targets of its making; and be
	 * no older than what the key is known to have signed (control/lastsigned.h, in `home`). Of its own words, the life
	 * of a file counts up to the default, and the floor of releases up to a day ahead of the clock.
	 */
	bool wary;
	const char *home;		/* borrowed; of whoever signs */
	int64_t at_least;		/* refuse a published file below this version; 0: any, or none */
	const struct pubkey *also;	/* other keys of the publisher; borrowed */
	unsigned also_count;
	int64_t now_s;
	void (*progress)(void *arg, const char *what, uint64_t done, uint64_t total);	/* or NULL */
	void *progress_arg;

	/* to publish */
	int fd;				/* the file, from offset 0; borrowed */
	bool believe_door;		/* take the SHA-256 from a door on this machine, which copies anyway */
	struct descriptor *descriptor;	/* release 0: the next one; filled in */

	/* what came of it */
	char role[NAME_LEN_MAX + 1];	/* the publisher */
	uint8_t sha256[SHA256_LEN];
	uint64_t bytes;
	char file[TUF_ROLE_NAME_MAX + 1];	/* the role whose file lists the path: the publisher, or a hash bin of his */
	int64_t version;		/* of that file */
	bool unchanged;			/* was published just so already */
	int64_t copy_ms, hash_ms, sync_ms;	/* where the door has told */
	char copied_by[24];		/* how the door copied: "reflink", ...; or empty */
	struct buf signature;		/* SSHSIG by the publisher over the bytes; release it */
};

/* ERR_CONFLICT: the path is published with other content. */
WARN_UNUSED int publication_publish(struct publication *p, struct error *err);
/* Take the artifact out of its role; with remove_blob its bytes, too. sha256 and bytes say what it was. */
WARN_UNUSED int publication_withdraw(struct publication *p, bool remove_blob, struct error *err);

#endif
