/* Enrolment tokens as the server keeps them: everything but the secret, of which only a hash. */
#ifndef MESHANICS_STORE_TOKENS_H
#define MESHANICS_STORE_TOKENS_H

#include "base/name.h"
#include "crypto/hash.h"
#include "db/db.h"

#define TOKEN_NOTE_MAX 200	/* bytes */
#define TOKEN_TAGS_MAX 2048	/* bytes of all tags and commas */

struct token_row {
	char id[17];				/* 16 hex digits */
	char secret_hash[SHA256_HEX_LEN];
	char device[NAME_LEN_MAX + 1];		/* the one name it may take, or "" */
	char name_prefix[NAME_LEN_MAX + 1];	/* or "" */
	char tags[TOKEN_TAGS_MAX + 1];		/* joined by commas */
	char note[TOKEN_NOTE_MAX + 1];
	int64_t uses_max, uses_left;
	char created_by[96];
	int64_t created_s, expires_s;
	int64_t revoked_s;			/* 0: not */
};

WARN_UNUSED int token_insert(struct db *db, const struct token_row *t, struct error *err);
/* 1 with the row, 0 when there is none, -1. */
WARN_UNUSED int token_find(struct db *db, const char *id, struct token_row *out, struct error *err);
/* Count one use; ERR_REFUSED when none is left. */
WARN_UNUSED int token_use(struct db *db, const char *id, struct error *err);
/* Sets revoked_s unless it is set. */
WARN_UNUSED int token_set_revoked(struct db *db, const char *id, int64_t now_s, struct error *err);

/* All tokens, newest first. */
struct token_walk {
	struct query q;
	struct token_row row;
};
void token_walk_open(struct token_walk *w, struct db *db);
WARN_UNUSED int token_walk_next(struct token_walk *w, struct error *err);	/* 1, 0 at the end, -1 */
void token_walk_close(struct token_walk *w);

#endif
