/*
 * The format of key files (man/meshanics-key.5) without the files: parse, open, write. For keyfile.c, and for
 * the tests, which seal cheaply.
 */
#ifndef MESHANICS_CRYPTO_KEYFILE_FORMAT_H
#define MESHANICS_CRYPTO_KEYFILE_FORMAT_H

#include "crypto/keyfile.h"

#define KEYFILE_SALT_LEN 16
#define KEYFILE_NONCE_LEN 24
#define KEYFILE_SECRET_LEN 32
#define KEYFILE_SEALED_LEN (KEYFILE_SECRET_LEN + 16)
#define KEYFILE_HEADER_MAX KEYFILE_SIZE_MAX	/* of the canonical header */

/* The cost of making a key of a passphrase. */
struct keyfile_cost {
	int64_t ops;	/* passes */
	int64_t mem;	/* bytes */
};
#define KEYFILE_OPS_MIN 1
#define KEYFILE_OPS_MAX 16
#define KEYFILE_MEM_MIN 8192
#define KEYFILE_MEM_MAX (INT64_C(1) << 30)
/* What we seal with: half a second of a desktop computer. */
#define KEYFILE_COST ((struct keyfile_cost){.ops = 3, .mem = INT64_C(256) << 20})

/* A key file taken apart. Holds a secret when it is unsealed: keyfile_parts_release wipes. */
struct keyfile_parts {
	struct keyfile info;
	struct keyfile_cost cost;
	uint8_t salt[KEYFILE_SALT_LEN], nonce[KEYFILE_NONCE_LEN];
	uint8_t body[KEYFILE_SEALED_LEN];	/* sealed, or the bare secret in the first KEYFILE_SECRET_LEN bytes */
	struct buf header;			/* canonical: the associated data */
};

/* -1: ERR_MALFORMED, ERR_LIMIT (cost), or what pubkey_check says. Nothing is allocated at the file's word. */
WARN_UNUSED int keyfile_parse(struct keyfile_parts *p, struct slice text, struct error *err);
void keyfile_parts_release(struct keyfile_parts *p);	/* safe on a zeroed one */
/* The key of a parsed file that is not in a token (asserted). ERR_REFUSED: passphrase, tampering, or a secret of another key. */
WARN_UNUSED struct seckey *keyfile_unseal(const struct keyfile_parts *p, struct slice passphrase, struct error *err);
/*
 * Append a key file to out (BUF_SECRET); the header takes name, comment and created_s from info. passphrase empty:
 * unsealed.
 */
WARN_UNUSED int keyfile_put(struct buf *out, const struct keyfile *info, const struct seckey *k,
			    struct slice passphrase, struct keyfile_cost cost, struct error *err);
/* The same for a key in a token: info with its public part and its URI. */
WARN_UNUSED int keyfile_put_token(struct buf *out, const struct keyfile *info, struct error *err);

/* ---- keyfile.c, for keyfile_token.c ---- */
/* What a new file says of itself; comment may be NULL. */
WARN_UNUSED int keyfile_describe(struct keyfile *info, const char *name, const char *comment, int64_t created_s,
				 struct error *err);
/* The two files of a new key; ERR_CONFLICT when either exists. */
WARN_UNUSED int keyfile_create(int dirfd, const char *name, struct slice text, const struct pubkey *pub,
			       struct error *err);
/* ---- keyfile_token.c ---- */
WARN_UNUSED struct seckey *keyfile_open_token(const struct keyfile *info, struct slice pin, struct error *err);

#endif
