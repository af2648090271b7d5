/* One TLS connection around one BearSSL engine. */
#include "net/tls_internal.h"

#include <assert.h>

#include "sys/rng.h"

/* In order of preference, ours when we are the server. */
static const uint16_t suites[] = {
	BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
};

/* What tls_session holds in its opaque bytes. */
struct session {
	br_ssl_session_parameters params;
	bool valid;
	struct tls_peer peer;
};
_Static_assert(sizeof(struct session) <= sizeof(((struct tls_session *)0)->opaque),
	       "tls_session is too small");

/* ---- the state as tls_wants tells it; called after every step of the engine ---- */

static void refresh(struct tls *t)
{
	unsigned state = br_ssl_engine_current_state(t->eng);

	t->wants = 0;
	/* With an optional client certificate the engine goes on after a bad one; we do not. */
	if (t->cut || t->verify.refusal != NULL || (state & BR_SSL_CLOSED)) {
		t->wants = TLS_CLOSED;
		return;
	}
	if (state & (BR_SSL_SENDAPP | BR_SSL_RECVAPP)) {
		if (!t->established && t->verify.judged) {
			t->peer = (struct tls_peer){.present = true,
						    .expired = t->verify.expired,
						    .not_after_s = t->verify.not_after_s};
			x509_fingerprint(t->peer.fingerprint, buf_slice(&t->verify.leaf));
		}
		t->established = true;
	}
	if (state & BR_SSL_RECVREC)
		t->wants |= TLS_READ;
	if (state & BR_SSL_SENDREC)
		t->wants |= TLS_WRITE;
	if (state & BR_SSL_RECVAPP)
		t->wants |= TLS_DATA;
	if ((state & BR_SSL_SENDAPP) && !t->closing)
		t->wants |= TLS_ROOM;
}

/* ---- BearSSL's session cache in front of tls_sessions ---- */

static struct tls *tls_of_cache(const br_ssl_session_cache_class **ctx)
{
	return container_of(ctx, struct tls, cache);
}

/* Called at the end of a full handshake, and of no other. */
static void cache_save(const br_ssl_session_cache_class **ctx, br_ssl_server_context *server,
		       const br_ssl_session_parameters *p)
{
	struct tls *t = tls_of_cache(ctx);
	struct tls_session_entry e = {
		.version = p->version,
		.suite = p->cipher_suite,
		.created_s = t->now_s,
		.has_peer = t->verify.judged,
		.not_after_s = t->verify.not_after_s,
	};

	(void)server;
	/* What cache_load found was not resumed after all: forget it. */
	t->peer = (struct tls_peer){.present = false};
	if (t->verify.refusal != NULL)
		return;
	memcpy(e.id, p->session_id, sizeof(e.id));
	memcpy(e.master_secret, p->master_secret, sizeof(e.master_secret));
	if (e.has_peer)
		x509_fingerprint(e.fingerprint, buf_slice(&t->verify.leaf));
	tls_sessions_put(t->config->sessions, &e);
	explicit_bzero(&e, sizeof(e));
}

/* A session lives for a day, and not beyond its client's certificate unless those are let in. */
static bool entry_usable(const struct tls *t, const struct tls_session_entry *e)
{
	if (t->now_s - e->created_s > TLS_SESSION_LIFE_S ||
	    e->created_s - t->now_s > TLS_SESSION_LIFE_S)
		return false;
	return !e->has_peer || t->now_s <= e->not_after_s || t->config->accept_expired;
}

static int cache_load(const br_ssl_session_cache_class **ctx, br_ssl_server_context *server,
		      br_ssl_session_parameters *p)
{
	struct tls *t = tls_of_cache(ctx);
	struct tls_session_entry e;

	(void)server;
	if (!tls_sessions_get(t->config->sessions, p->session_id, &e))
		return 0;
	if (!entry_usable(t, &e)) {
		tls_sessions_drop(t->config->sessions, p->session_id);
		explicit_bzero(&e, sizeof(e));
		return 0;
	}
	p->version = e.version;
	p->cipher_suite = e.suite;
	memcpy(p->master_secret, e.master_secret, sizeof(p->master_secret));
	t->peer = (struct tls_peer){.present = e.has_peer,
				    .resumed = true,
				    .not_after_s = e.not_after_s,
				    .expired = e.has_peer && t->now_s > e.not_after_s};
	memcpy(t->peer.fingerprint, e.fingerprint, sizeof(e.fingerprint));
	explicit_bzero(&e, sizeof(e));
	return 1;
}

static const br_ssl_session_cache_class cache_class = {
	.context_size = sizeof(const br_ssl_session_cache_class *),
	.save = cache_save,
	.load = cache_load,
};

/* ---- making ---- */

/* Everything but certificates: versions, ciphers, hashes, ALPN, randomness. */
static void engine_profile(struct tls *t)
{
	static const char *alpn[] = {"http/1.1"};
	uint8_t seed[32];

	br_ssl_engine_set_versions(t->eng, BR_TLS12, BR_TLS12);
	br_ssl_engine_set_suites(t->eng, suites, ARRAY_SIZE(suites));
	br_ssl_engine_set_default_ecdsa(t->eng);
	br_ssl_engine_set_ec(t->eng, &tls_curves);
	br_ssl_engine_set_hash(t->eng, br_sha256_ID, &br_sha256_vtable);
	br_ssl_engine_set_hash(t->eng, br_sha384_ID, &br_sha384_vtable);
	br_ssl_engine_set_hash(t->eng, br_sha512_ID, &br_sha512_vtable);
	br_ssl_engine_set_prf_sha256(t->eng, br_tls12_sha256_prf);
	br_ssl_engine_set_prf_sha384(t->eng, br_tls12_sha384_prf);
	br_ssl_engine_set_default_aes_gcm(t->eng);
	br_ssl_engine_set_default_chapol(t->eng);
	br_ssl_engine_set_protocol_names(t->eng, alpn, ARRAY_SIZE(alpn));
	br_ssl_engine_add_flags(t->eng, BR_OPT_NO_RENEGOTIATION | BR_OPT_FAIL_ON_ALPN_MISMATCH);
	t->verify.vtable = &tls_verify_class;
	br_ssl_engine_set_x509(t->eng, &t->verify.vtable);
	/* BearSSL's own seeder on x86 is RDRAND alone. */
	rng_bytes(seed, sizeof(seed));
	br_ssl_engine_inject_entropy(t->eng, seed, sizeof(seed));
	explicit_bzero(seed, sizeof(seed));
}

static struct tls *tls_alloc(struct tls_config *c, int64_t now_s, size_t buffer_len, struct tls_buffers *buffers)
{
	struct tls *t = xcalloc(1, sizeof(*t));

	t->config = tls_config_ref(c);
	t->now_s = now_s;
	t->buffers = buffers;
	t->buffer_len = buffer_len;
	tls_buffer_take(t);
	return t;
}

struct tls *tls_accept(struct tls_config *c, int64_t now_s, struct tls_buffers *buffers)
{
	struct tls *t = tls_alloc(c, now_s, BR_SSL_BUFSIZE_MONO, buffers);
	br_ssl_server_context *s = &t->u.server;
	int ok;

	assert(c->server);
	br_ssl_server_zero(s);
	t->eng = &s->eng;
	engine_profile(t);
	br_ssl_engine_add_flags(t->eng, BR_OPT_ENFORCE_SERVER_PREFERENCES);
	br_ssl_server_set_single_ec(s, c->chain, c->chain_count, &c->br_key, BR_KEYTYPE_SIGN,
				    BR_KEYTYPE_EC, &tls_curves,
				    br_ecdsa_sign_asn1_get_default());
	if (c->client_auth != TLS_CLIENT_NONE)
		br_ssl_server_set_trust_anchor_names_alt(s, c->anchors, c->ca_count);
	if (c->client_auth == TLS_CLIENT_OPTIONAL)
		br_ssl_engine_add_flags(t->eng, BR_OPT_TOLERATE_NO_CLIENT_AUTH);
	if (c->sessions != NULL) {
		t->cache = &cache_class;
		br_ssl_server_set_cache(s, &t->cache);
	}
	br_ssl_engine_set_buffer(t->eng, t->buffer, t->buffer_len, 0);
	ok = br_ssl_server_reset(s);
	assert(ok); /* it fails without randomness only */
	(void)ok;
	if (buffers != NULL)
		tls_buffer_lendable(t);
	refresh(t);
	return t;
}

/* Let the engine offer the session, unless its server's certificate has ended meanwhile. */
static bool offer(struct tls *t, const struct tls_session *resume)
{
	struct session s;
	bool usable;

	if (resume == NULL)
		return false;
	memcpy(&s, resume->opaque, sizeof(s));
	usable = s.valid && t->now_s <= s.peer.not_after_s;
	if (usable) {
		br_ssl_engine_set_session_parameters(t->eng, &s.params);
		t->peer = s.peer;
		t->peer.resumed = true;
	}
	explicit_bzero(&s, sizeof(s));
	return usable;
}

struct tls *tls_connect(struct tls_config *c, const char *host, int64_t now_s,
			const struct tls_session *resume, struct error *err)
{
	struct tls *t = tls_alloc(c, now_s, BR_SSL_BUFSIZE_BIDI, NULL);
	br_ssl_client_context *s = &t->u.client;
	char name[HOST_LEN_MAX + 1];
	enum host_kind kind;
	int ok;

	assert(!c->server);
	br_ssl_client_zero(s);
	t->eng = &s->eng;
	if (host_parse(name, slice_str(host), &kind, err) < 0) {
		tls_free(t);
		return NULL;
	}
	t->host = xstrdup(name);
	engine_profile(t);
	if (c->chain_count > 0)
		br_ssl_client_set_single_ec(s, c->chain, c->chain_count, &c->br_key,
					    BR_KEYTYPE_SIGN, BR_KEYTYPE_EC, &tls_curves,
					    br_ecdsa_sign_asn1_get_default());
	br_ssl_engine_set_buffer(t->eng, t->buffer, t->buffer_len, 1);
	t->offered = offer(t, resume);
	ok = br_ssl_client_reset(s, kind == HOST_NAME ? t->host : NULL, t->offered);
	assert(ok);
	(void)ok;
	refresh(t);
	return t;
}

void tls_free(struct tls *t)
{
	struct tls_config *c;

	if (t == NULL)
		return;
	c = t->config;
	buf_release(&t->verify.chain);
	buf_release(&t->verify.leaf);
	buf_release(&t->verify.ca);
	free(t->verify.refusal);
	free(t->host);
	tls_buffer_give(t);
	explicit_bzero(t, sizeof(*t));	/* keys */
	free(t);
	tls_config_free(c);
}

/* ---- moving bytes ---- */

unsigned tls_wants(const struct tls *t)
{
	return t->wants;
}

bool tls_established(const struct tls *t)
{
	return t->established && !(t->wants & TLS_CLOSED);
}

uint8_t *tls_input(struct tls *t, size_t *room)
{
	*room = 0;
	if (!(t->wants & TLS_READ))
		return NULL;
	tls_wake(t);
	return br_ssl_engine_recvrec_buf(t->eng, room);
}

/* Plain text reaches as far as p into the buffer that begins at base. */
static void note_used(size_t *used, const uint8_t *base, const uint8_t *p)
{
	if ((size_t)(p - base) > *used)
		*used = (size_t)(p - base);
}

void tls_received(struct tls *t, size_t n)
{
	size_t room;

	if (n == 0)
		return;
	note_used(&t->used_in, t->eng->ibuf, br_ssl_engine_recvrec_buf(t->eng, &room) + n);
	br_ssl_engine_recvrec_ack(t->eng, n);
	refresh(t);
}

struct slice tls_output(const struct tls *t)
{
	size_t n = 0;
	const uint8_t *p = t->wants & TLS_WRITE ? br_ssl_engine_sendrec_buf(t->eng, &n) : NULL;

	return slice_of(p, n);
}

void tls_sent(struct tls *t, size_t n)
{
	if (n == 0)
		return;
	br_ssl_engine_sendrec_ack(t->eng, n);
	refresh(t);
}

struct slice tls_data(const struct tls *t)
{
	size_t n = 0;
	const uint8_t *p = t->wants & TLS_DATA ? br_ssl_engine_recvapp_buf(t->eng, &n) : NULL;

	return slice_of(p, n);
}

void tls_consumed(struct tls *t, size_t n)
{
	if (n == 0)
		return;
	br_ssl_engine_recvapp_ack(t->eng, n);
	refresh(t);
}

uint8_t *tls_room(struct tls *t, size_t *room)
{
	*room = 0;
	if (!(t->wants & TLS_ROOM))
		return NULL;
	tls_wake(t);
	return br_ssl_engine_sendapp_buf(t->eng, room);
}

void tls_written(struct tls *t, size_t n)
{
	size_t room;

	if (n == 0)
		return;
	note_used(&t->used_out, t->eng->obuf, br_ssl_engine_sendapp_buf(t->eng, &room) + n);
	br_ssl_engine_sendapp_ack(t->eng, n);
	refresh(t);
}

void tls_flush(struct tls *t)
{
	if ((t->wants & TLS_CLOSED) || t->buffer == NULL)
		return;
	br_ssl_engine_flush(t->eng, 0);
	refresh(t);
}

void tls_close(struct tls *t)
{
	if (t->closing || (t->wants & TLS_CLOSED))
		return;
	t->closing = true;
	tls_wake(t);
	br_ssl_engine_close(t->eng);
	refresh(t);
}

void tls_eof(struct tls *t)
{
	if (t->wants & TLS_CLOSED)
		return;
	t->cut = true;
	t->wants = TLS_CLOSED;
}

int tls_failure(const struct tls *t, struct error *err)
{
	int code = br_ssl_engine_last_error(t->eng);

	if (t->verify.refusal != NULL) {
		*err = *t->verify.refusal;
		return -1;
	}
	if (code != BR_ERR_OK)
		return tls_engine_error(code, t->established, err);
	if (!t->cut || t->closing)
		return 0;
	if (t->established)
		return error_set(err, ERR_RETRY, "the connection was cut");
	error_set(err, ERR_RETRY, "the peer closed the connection during the TLS handshake");
	if (!t->config->server)
		error_hint(
			err,
			t->config->chain_count > 0
				? "the server may not accept this client certificate, or is no TLS server"
				: "the server may want a client certificate, or is no TLS server");
	return -1;
}

/* ---- the peer ---- */

const struct tls_peer *tls_peer(const struct tls *t)
{
	static const struct tls_peer nobody;

	return tls_established(t) ? &t->peer : &nobody;
}

struct slice tls_peer_leaf(const struct tls *t)
{
	return tls_established(t) && !t->peer.resumed ? buf_slice(&t->verify.leaf) : SLICE_EMPTY;
}

struct slice tls_peer_ca(const struct tls *t)
{
	return tls_established(t) ? buf_slice(&t->verify.ca) : SLICE_EMPTY;
}

void tls_session_get(const struct tls *t, struct tls_session *out)
{
	struct session s;

	memset(&s, 0, sizeof(s));
	memset(out, 0, sizeof(*out));
	if (!tls_established(t) || !t->peer.present)
		return;
	br_ssl_engine_get_session_parameters(t->eng, &s.params);
	s.peer = t->peer;
	s.valid = s.params.session_id_len > 0;
	memcpy(out->opaque, &s, sizeof(s));
	explicit_bzero(&s, sizeof(s));
}

void tls_session_wipe(struct tls_session *s)
{
	explicit_bzero(s, sizeof(*s));
}
