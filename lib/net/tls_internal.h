/* What the files behind tls.h share: the only place, with tls*.c, where BearSSL's types are seen. */
#ifndef MESHANICS_NET_TLS_INTERNAL_H
#define MESHANICS_NET_TLS_INTERNAL_H

#include <stdatomic.h>

#include <bearssl.h>

#include "crypto/x509.h"
#include "net/tls.h"
#include "net/url.h"

/* ---- session cache (tls_sessions.c): bounded, least recently used goes first, safe for threads ---- */

struct tls_session_entry {
	uint8_t id[32];
	uint8_t master_secret[48];
	uint16_t version, suite;
	bool has_peer;			/* a client certificate was shown: */
	uint8_t fingerprint[32];
	int64_t not_after_s;
	int64_t created_s;
};

struct tls_sessions;
struct tls_sessions *tls_sessions_new(unsigned max);	/* max > 0 */
void tls_sessions_free(struct tls_sessions *s);		/* wipes; NULL is fine */
void tls_sessions_put(struct tls_sessions *s, const struct tls_session_entry *e);
bool tls_sessions_get(struct tls_sessions *s, const uint8_t id[static 32], struct tls_session_entry *out);
void tls_sessions_drop(struct tls_sessions *s, const uint8_t id[static 32]);
void tls_sessions_evict(struct tls_sessions *s, const uint8_t fingerprint[static 32]);
unsigned tls_sessions_count(struct tls_sessions *s);

/* ---- leaves that one of our CAs has signed (tls_known.c): bounded, safe for threads ---- */

struct tls_known;
struct tls_known *tls_known_new(unsigned max);	/* NULL: go without */
void tls_known_free(struct tls_known *k);	/* NULL is fine */
/* The CA (its index in the configuration) and the key usages that BearSSL found. */
bool tls_known_get(struct tls_known *k, const uint8_t fingerprint[static 32], uint32_t *ca, unsigned *usages);
void tls_known_put(struct tls_known *k, const uint8_t fingerprint[static 32], uint32_t ca, unsigned usages);
unsigned tls_known_count(struct tls_known *k);

/* ---- configuration (tls_config.c) ---- */

struct tls_ca {			/* a trusted certificate authority, read once */
	struct buf der;
	struct x509 cert;	/* borrows from der */
};

struct tls_config {
	atomic_uint refs;
	bool server;
	/* identity */
	size_t chain_count;
	br_x509_certificate chain[TLS_CHAIN_MAX];	/* owned bytes */
	struct seckey *key;
	br_ec_private_key br_key;			/* borrows from key */
	/* trust in the other side */
	size_t ca_count;
	struct tls_ca *cas;
	br_x509_trust_anchor anchors[TLS_CA_MAX];	/* borrow from cas */
	bool pinned;
	uint8_t ca_pin[32];
	/* servers */
	enum tls_client_auth client_auth;
	bool accept_expired;
	struct tls_sessions *sessions;			/* NULL: none */
	struct tls_known *known;			/* NULL: none */
};

void tls_anchor_of(br_x509_trust_anchor *a, const struct x509 *ca);	/* borrows from ca */

/* ---- judgement of the peer's chain (tls_verify.c) ---- */

struct tls_verify {
	const br_x509_class *vtable;	/* first: BearSSL finds us by it */
	struct buf chain;		/* certificates, back to back */
	size_t ends[TLS_CHAIN_MAX];	/* where each ends in chain */
	size_t count;
	bool too_much;			/* more or larger certificates than we take */
	bool judged;			/* the chain of this handshake holds */
	br_x509_pkey pkey;
	unsigned usages;
	uint8_t point[133];
	struct error *refusal;		/* allocated when something does not hold */
	/* results */
	struct buf leaf, ca;		/* DER; ca only when pinned */
	bool expired;
	int64_t not_after_s;
};

extern const br_x509_class tls_verify_class;

/* ---- elliptic curves (tls_curves.c) ---- */
extern const br_ec_impl tls_curves;	/* X25519, P-256, P-384 */

/* ---- one connection (tls.c) ---- */

struct tls {
	union {
		br_ssl_server_context server;
		br_ssl_client_context client;
	} u;
	br_ssl_engine_context *eng;	/* inside u */
	struct tls_config *config;
	const br_ssl_session_cache_class *cache;	/* BearSSL's way to tls_sessions */
	struct tls_verify verify;
	int64_t now_s;
	char *host;			/* clients: who the server must be */
	struct tls_peer peer;
	unsigned wants;			/* enum tls_wants, as of the last step */
	bool established;		/* has been so at some time */
	bool closing;			/* tls_close was called */
	bool cut;			/* the wire ended early */
	bool offered;			/* clients: a session was offered for resumption */
	bool lends;			/* buffer may go back to buffers between records */
	struct tls_buffers *buffers;	/* borrowed; NULL: a buffer of its own */
	uint8_t *buffer;		/* NULL: at rest */
	size_t buffer_len;
	size_t used_in, used_out;	/* how far plain text went in each direction */
};

/* ---- buffers (tls_buffers.c) ---- */

void tls_buffer_take(struct tls *t);	/* t->buffer, from the pool if there is one; the engine is not told */
void tls_buffer_give(struct tls *t);	/* wiped; the engine is not told */
void tls_buffer_lendable(struct tls *t);	/* sets t->lends; the engine was just reset */
void tls_wake(struct tls *t);		/* ends tls_rest */

static inline struct tls *tls_of_verify(const br_x509_class **ctx)
{
	return container_of(container_of(ctx, struct tls_verify, vtable), struct tls, verify);
}

/* BearSSL's error of a failed engine in words (tls_error.c); sets kind, text and hint. Returns -1. */
int tls_engine_error(int code, bool established, struct error *err);

#endif
