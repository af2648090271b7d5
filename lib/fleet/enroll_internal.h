/* What enrolment with a token and enrolment by media share. */
#ifndef MESHANICS_FLEET_ENROLL_INTERNAL_H
#define MESHANICS_FLEET_ENROLL_INTERNAL_H

#include "fleet/enroll.h"
#include "store/certificates.h"

struct token_row;

/*
 * The device for a request: by name, prefix and tags of t, else after hostname; a name that is there is taken over and its
 * certificates end. Fills the grant's names.
 */
WARN_UNUSED int enroll_settle(struct db *db, const struct token_row *t, struct slice hostname, int64_t now_s,
			      struct enroll_grant *g, struct error *err);
/* The name that a request without one of its own would get. */
WARN_UNUSED int enroll_choose_name(struct db *db, const struct token_row *t, struct slice hostname,
				   char out[static NAME_LEN_MAX + 1], struct error *err);
/* Sign and record for the device of the grant. */
WARN_UNUSED int enroll_issue(struct db *db, const struct enroll_server *server, const struct csr *csr, int64_t now_s,
			     struct enroll_grant *g, struct error *err);
/* The certificate of this row once more. */
WARN_UNUSED int enroll_grant_row(struct db *db, const struct certificate_row *row, struct enroll_grant *g,
				 struct error *err);
/* How the store names the key of a request. */
void enroll_key_hash(char out[static SHA256_HEX_LEN], const struct pubkey *key);
/* Tags as one text, joined by commas, each of them a name. ERR_USAGE, ERR_MALFORMED. */
WARN_UNUSED int enroll_join_tags(char *out, size_t size, const struct slice *tags, size_t count, struct error *err);
/* Device and prefix: at most one of them, each a name that can be given. */
WARN_UNUSED int enroll_check_names(struct slice device, struct slice name_prefix, const char *what, struct error *err);

#endif
