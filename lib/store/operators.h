/* Operators as the server keeps them; of the token only its public half and a hash of the other. */
#ifndef MESHANICS_STORE_OPERATORS_H
#define MESHANICS_STORE_OPERATORS_H

#include "base/name.h"
#include "crypto/hash.h"
#include "db/db.h"

struct operator_row {
	char name[NAME_LEN_MAX + 1];
	char role[16];
	char token_id[17];
	char secret_hash[SHA256_HEX_LEN];
	char created_by[96];
	int64_t created_s;
	int64_t expires_s, revoked_s;	/* 0: never, not */
};

/* Writes the row whole, in place of one with the same name. */
WARN_UNUSED int operator_put(struct db *db, const struct operator_row *o, struct error *err);
/* 1 with the row, 0 when there is none, -1. */
WARN_UNUSED int operator_find(struct db *db, struct slice name, struct operator_row *out, struct error *err);
WARN_UNUSED int operator_find_token(struct db *db, const char *token_id, struct operator_row *out,
				    struct error *err);
/* Sets revoked_s unless it is set. */
WARN_UNUSED int operator_set_revoked(struct db *db, struct slice name, int64_t now_s, struct error *err);

/* All operators by name. */
struct operator_walk {
	struct query q;
	struct operator_row row;
};
void operator_walk_open(struct operator_walk *w, struct db *db);
WARN_UNUSED int operator_walk_next(struct operator_walk *w, struct error *err);	/* 1, 0 at the end, -1 */
void operator_walk_close(struct operator_walk *w);

#endif
