/*
 * A TUF repository behind a URL: where the engine's wants and the targets that it has found come from. Blocks, with
 * the deadlines of net/client.h. The server is not believed in anything: what it sends is capped while it arrives, and
 * the engine, or the hashes that the engine has found, judge it.
 *
 * At a want only 403 and 404 mean "there is none" (ERR_NOT_FOUND). Any other status, and every failure of the
 * network, is ERR_RETRY or ERR_FAILED and ends the update.
 */
#ifndef MESHANICS_NET_MIRROR_H
#define MESHANICS_NET_MIRROR_H

#include "net/client.h"
#include "tuf/engine_drive.h"

struct mirror {
	struct client *metadata, *targets;	/* owned; the same one where the origin is the same */
	char metadata_path[URL_LEN_MAX + 1], targets_path[URL_LEN_MAX + 1];	/* without the last slash */
	int64_t now_s;
};

/*
 * metadata_url, targets_url (NULL: only metadata): base URLs, with or without a slash at the end. tls NULL: plain
 * http alone is possible, and allowed. now_s: UTC seconds, for certificates. ERR_USAGE when a URL is none.
 */
WARN_UNUSED int mirror_open(struct mirror *r, const char *metadata_url, const char *targets_url,
			    struct tls_config *tls, int64_t now_s, struct error *err);
void mirror_close(struct mirror *r);	/* safe on a zeroed or closed mirror */

/* A source for tuf_drive: .arg = the mirror. */
int mirror_get(void *arg, const struct tuf_want *w, struct buf *out, struct error *err);

/*
 * Make dirfd/name hold the target that was found: fetched in a stream, exactly as long as it is signed to be, every
 * listed hash right, then renamed into place; anything else leaves what was there (ERR_REFUSED). A file that is
 * right already is not touched and nothing is fetched: *fetched says which.
 */
WARN_UNUSED int mirror_target(struct mirror *r, const struct tuf_result *target, int dirfd, const char *name,
			      bool *fetched, struct error *err);

#endif
