/*
 * The two token strings of meshanics: enrolment tokens (man/meshanics-token.5) and operator tokens. Both are a
 * prefix and base64url of a small binary record that ends in a checksum, so a mistyped one is told from a
 * wrong one without asking a server. The server keeps only the SHA-256 of the secret.
 *
 * Limits: TOKEN_TEXT_MAX characters; 1 to TOKEN_URLS_MAX addresses of TOKEN_URL_MAX bytes each.
 */
#ifndef MESHANICS_FLEET_TOKENS_H
#define MESHANICS_FLEET_TOKENS_H

#include "base/buf.h"
#include "base/error.h"
#include "base/name.h"
#include "crypto/hash.h"

#define TOKEN_TEXT_MAX 2048
#define TOKEN_URLS_MAX 4
#define TOKEN_URL_MAX 255
#define TOKEN_ID_LEN 8
#define TOKEN_ID_TEXT 17	/* hex, with NUL: how people and the store name a token */
#define TOKEN_SECRET_LEN 32

/* What a device needs for an authenticated first contact. Holds a secret: wipe with enroll_token_wipe. */
struct enroll_token {
	char id[TOKEN_ID_TEXT];
	uint8_t secret[TOKEN_SECRET_LEN];
	char site[NAME_LEN_MAX + 1];
	uint8_t server_ca[SHA256_LEN];		/* SHA-256 of the server CA's certificate (DER) */
	int64_t root_version;			/* 1..2^31-1 */
	uint8_t root_sha256[SHA256_LEN];	/* of the root file, byte for byte */
	unsigned url_count;
	char urls[TOKEN_URLS_MAX][TOKEN_URL_MAX + 1];	/* of the enrolment listener: https://host[:port] */
};

/* Append "mtk1..." ; the fields must be in range (asserted: they are ours). */
void enroll_token_put(struct buf *secret_out, const struct enroll_token *t);
/* Read a token string; surrounding white space is allowed. ERR_MALFORMED with what is wrong; never echoes it. */
WARN_UNUSED int enroll_token_parse(struct enroll_token *t, struct slice text, struct error *err);
void enroll_token_wipe(struct enroll_token *t);
/* 0 when text is an address a token may carry: https://, a host, an optional port, nothing behind. ERR_MALFORMED. */
WARN_UNUSED int token_url_check(struct slice url, struct error *err);

/* An operator's credential; pins the server it may be shown to. */
struct operator_token {
	char id[TOKEN_ID_TEXT];
	uint8_t secret[TOKEN_SECRET_LEN];
	uint8_t server_ca[SHA256_LEN];
};

void operator_token_put(struct buf *secret_out, const struct operator_token *t);	/* "mop1..." */
WARN_UNUSED int operator_token_parse(struct operator_token *t, struct slice text, struct error *err);
void operator_token_wipe(struct operator_token *t);

#endif
