/*
 * The newest file that a publisher's key is known to have signed, kept in the home of whoever signs, since the server that
 * says what is published may show an older one: it is signed as well, and to build upon it brings back what was withdrawn.
 *
 *	HOME/published/KEYID/PUBLISHER/FILE.json	{"bins", "sha256", "version"}; FILE: PUBLISHER or a hash bin of his
 *	HOME/published/KEYID.lock
 *
 * Several processes may sign with one home. What lastsigned_read returns was published when it returned, so it is to be
 * read before the server is asked; a record only rises.
 */
#ifndef MESHANICS_CONTROL_LASTSIGNED_H
#define MESHANICS_CONTROL_LASTSIGNED_H

#include "base/error.h"
#include "crypto/hash.h"
#include "crypto/key.h"

struct lastsigned {
	/* whose record it is; borrowed. publisher and file have passed base/name.h */
	const char *home;
	const char *keyid;
	const char *publisher;
	const char *file;

	int64_t version;		/* 0: none is known */
	uint8_t sha256[SHA256_LEN];	/* of the whole file */
	bool bins;			/* it delegates to hash bins: then so does a newer one, or it is a bin's own */
};

/* What is known: fills version and sha256. ERR_MALFORMED when the record is damaged. */
WARN_UNUSED int lastsigned_read(struct lastsigned *l, struct error *err);
/*
 * `seen`, which is signed by the key, may come after `known`, which was read before: not older, and not another one of the
 * same version. ERR_REFUSED. version 0 of `seen`: there is none.
 */
WARN_UNUSED int lastsigned_check(const struct lastsigned *known, const struct lastsigned *seen, struct error *err);
/* Durable. A record that is newer stays; ERR_REFUSED when it is another file of the same version; never ERR_CONFLICT. */
WARN_UNUSED int lastsigned_raise(const struct lastsigned *l, struct error *err);
/*
 * Nothing in a file says whose it is, so a server that renames the publisher would get past the record: true when the
 * key is known for other publishers and not for this one.
 */
bool lastsigned_strange(const char *home, const char *keyid, const char *publisher);

#endif
