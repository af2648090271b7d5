/*
 * TLS 1.2 as a state machine without I/O: bytes from the wire in, bytes for the wire out, plain bytes
 * on the other side. BearSSL does the protocol; none of its types leave this room.
 *
 *	               tls_input / tls_received               tls_data / tls_consumed
 *	   wire  ------------------------------->  struct tls  ----------------------->  program
 *	         <-------------------------------              <-----------------------
 *	               tls_output / tls_sent                  tls_room / tls_written, tls_flush
 *
 * Offered, in this order: ECDHE-ECDSA with AES-128-GCM, ChaCha20-Poly1305, AES-256-GCM; curves X25519,
 * P-256, P-384. ALPN "http/1.1". No renegotiation, no TLS below 1.2, no tickets. BearSSL is seeded with
 * 32 bytes of getrandom(2) before each handshake, and never reads a clock.
 *
 * Certificates. The peer's chain (at most 4 certificates of at most 4 KiB) is kept until it is complete
 * and then judged once: signatures up to a trusted CA (BearSSL's "minimal" engine), key usage, extended key
 * usage, validity, and the server's name or address, by lib/crypto/x509.h. The time of that judgement is
 *	max(now_s, notBefore of leaf and CA)
 * so that a device whose clock has not been set yet can connect; only notAfter needs a clock.
 * BearSSL sends no alert when a certificate is refused: the peer sees the connection close. So what an
 * operator must be able to explain (revoked, expired) is answered in HTTP after a good handshake: see
 * accept_expired, and check tls_peer's fingerprint on every request.
 *
 * Threads: a tls_config may be shared by all threads (its session cache has a lock of its own); a
 * struct tls belongs to one thread at a time.
 *
 * Limits: chain 4 x 4 KiB, CAs 4, server name 253 bytes, record 16 KiB. Memory: 5 KB for a server connection, and a
 * record buffer of 17 KB, one for both directions: plain data must be consumed before anything can be sent. Between
 * records the buffer may rest in a pool (tls_rest). 38 KB for a client connection.
 */
#ifndef MESHANICS_NET_TLS_H
#define MESHANICS_NET_TLS_H

#include <stdbool.h>

#include "base/error.h"
#include "crypto/key.h"

#define TLS_CHAIN_MAX 4
#define TLS_CERT_LEN_MAX 4096
#define TLS_CA_MAX 4
#define TLS_SESSION_LIFE_S (24 * 3600)

enum tls_client_auth {
	TLS_CLIENT_NONE,	/* no certificate is asked for */
	TLS_CLIENT_OPTIONAL,	/* asked for; none is fine, a bad one is not */
	TLS_CLIENT_REQUIRED,
};

/* A certificate chain and its key. Everything is copied. */
struct tls_identity {
	const struct slice *chain;	/* DER, leaf first; may end with the CA itself (enrolment pins it) */
	size_t chain_count;		/* 0: none */
	const struct seckey *key;	/* P-256 */
};

struct tls_server_params {
	struct tls_identity identity;
	enum tls_client_auth client_auth;
	const struct slice *client_cas;	/* DER; at least one unless TLS_CLIENT_NONE */
	size_t client_ca_count;
	/*
	 * Let a client in whose certificate is otherwise good but past its notAfter, with tls_peer.expired
	 * set: the handler then allows renewal alone. Without it such a handshake fails.
	 */
	bool accept_expired;
	/* Sessions remembered for resumption (each about 160 bytes, touched only when used); 0: none. */
	unsigned sessions_max;
};

struct tls_client_params {
	struct tls_identity identity;	/* sent when the server asks; chain_count 0: none */
	const struct slice *cas;	/* DER; trusted to name servers */
	size_t ca_count;
	/*
	 * Instead of cas: SHA-256 of the DER of the CA certificate, which the server must present in its
	 * chain (first contact at enrolment). tls_peer_ca then gives that certificate.
	 */
	const uint8_t *ca_pin;
};

struct tls_config;	/* counted references; immutable but for its session cache */

WARN_UNUSED struct tls_config *tls_config_server(const struct tls_server_params *p, struct error *err);
WARN_UNUSED struct tls_config *tls_config_client(const struct tls_client_params *p, struct error *err);
struct tls_config *tls_config_ref(struct tls_config *c);	/* returns c */
void tls_config_free(struct tls_config *c);			/* drops one reference; NULL is fine */
/* Forget every session of the client certificate with this SHA-256. Live connections are not touched. */
void tls_config_evict(struct tls_config *c, const uint8_t fingerprint[static 32]);
/* Sessions held now; for metrics. */
unsigned tls_config_sessions(struct tls_config *c);

/* ---- one connection ---- */

struct tls;

/* What a client needs to resume: secret, so wipe it with tls_session_wipe. Zeroed: no session. */
struct tls_session {
	uint8_t opaque[192];
};
void tls_session_wipe(struct tls_session *s);

/*
 * Record buffers that wait for a server connection which has something to read or write. A pool and all connections
 * that use it belong to one thread.
 */
struct tls_buffers;
struct tls_buffers *tls_buffers_new(unsigned keep_max);	/* keeps so many; what comes back beyond is freed */
void tls_buffers_free(struct tls_buffers *b);		/* after its connections; NULL is fine */

/*
 * now_s: UTC seconds for the judgement of certificates. The config is referenced. buffers: borrowed until tls_free;
 * NULL for a buffer of its own. Never NULL.
 */
struct tls *tls_accept(struct tls_config *c, int64_t now_s, struct tls_buffers *buffers);
/*
 * host: the DNS name (sent as SNI) or the literal IPv4/IPv6 address (never sent) that the server's
 * certificate must carry as dNSName or iPAddress. resume: of an earlier connection to the same host
 * under the same config, or NULL. NULL with ERR_USAGE when host is neither a name nor an address.
 */
WARN_UNUSED struct tls *tls_connect(struct tls_config *c, const char *host, int64_t now_s,
				    const struct tls_session *resume, struct error *err);
void tls_free(struct tls *t);	/* wipes; NULL is fine */

/* What can be done now: a set of these. */
enum tls_wants {
	TLS_READ = 1 << 0,	/* tls_input has room for bytes from the wire */
	TLS_WRITE = 1 << 1,	/* tls_output has bytes for the wire */
	TLS_DATA = 1 << 2,	/* tls_data has plain bytes */
	TLS_ROOM = 1 << 3,	/* tls_room takes plain bytes; the handshake is done */
	TLS_CLOSED = 1 << 4,	/* over, by close_notify or by failure: ask tls_failure */
};
unsigned tls_wants(const struct tls *t);
/* True once the peer is authenticated and until the end. */
bool tls_established(const struct tls *t);

/* Each pair: where bytes are or go, then how many were taken or put. Pointers live until the next call. */
uint8_t *tls_input(struct tls *t, size_t *room);	/* NULL when not TLS_READ */
void tls_received(struct tls *t, size_t n);
struct slice tls_output(const struct tls *t);
void tls_sent(struct tls *t, size_t n);
struct slice tls_data(const struct tls *t);
void tls_consumed(struct tls *t, size_t n);
uint8_t *tls_room(struct tls *t, size_t *room);		/* NULL when not TLS_ROOM */
void tls_written(struct tls *t, size_t n);
/* Make a record of what was written so far; without it bytes wait for a full record. */
void tls_flush(struct tls *t);
/* Send close_notify and take no more plain bytes; TLS_CLOSED follows once the peer answers. */
void tls_close(struct tls *t);
/*
 * Nothing is expected for a while: give the buffer back, wiped, if nothing is in it, and whatever else served the
 * handshake alone. The next call that needs a buffer takes one.
 */
void tls_rest(struct tls *t);
/* The wire ended. Before close_notify that is a failure (a cut), unless tls_close was called. */
void tls_eof(struct tls *t);

/*
 * After TLS_CLOSED: 0 for an orderly end, else -1 with what failed in words. ERR_REFUSED: a certificate
 * or name did not hold, or the peer refused ours; ERR_RETRY: cut off, or a certificate past its end (the
 * clock may be wrong); ERR_MALFORMED: the peer does not speak the protocol.
 */
WARN_UNUSED int tls_failure(const struct tls *t, struct error *err);

/* ---- who the peer is; valid while tls_established ---- */

struct tls_peer {
	bool present;			/* the peer has shown a certificate that holds */
	bool expired;			/* past notAfter at now_s (only with accept_expired) */
	bool resumed;			/* known from the session cache */
	uint8_t fingerprint[32];	/* SHA-256 of the leaf's DER */
	int64_t not_after_s;
};
const struct tls_peer *tls_peer(const struct tls *t);
/* DER of the peer's leaf; empty on a resumed connection and after tls_rest. Borrowed. */
struct slice tls_peer_leaf(const struct tls *t);
/* DER of the pinned CA as the server presented it; empty without ca_pin. Borrowed. */
struct slice tls_peer_ca(const struct tls *t);
/* Copy what a later tls_connect needs; wipe it some day. */
void tls_session_get(const struct tls *t, struct tls_session *out);

#endif
