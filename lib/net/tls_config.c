/* TLS configurations: copied, checked once, then shared by reference. */
#include "net/tls_internal.h"

void tls_anchor_of(br_x509_trust_anchor *a, const struct x509 *ca)
{
	/* BearSSL's structures lack const; it only reads. */
	*a = (br_x509_trust_anchor){
		.dn = {(unsigned char *)(uintptr_t)ca->subject.ptr, ca->subject.len},
		.flags = BR_X509_TA_CA,
		.pkey = {.key_type = BR_KEYTYPE_EC},
	};
	a->pkey.key.ec = (br_ec_public_key){
		.curve = BR_EC_secp256r1,
		.q = (unsigned char *)(uintptr_t)ca->key.data,
		.qlen = ca->key.len,
	};
}

static int copy_key(struct tls_config *c, const struct seckey *key, struct error *err)
{
	struct buf raw = BUF_SECRET(64);

	if (key == NULL || seckey_p256_scalar(key) == NULL)
		return error_set(err, ERR_USAGE, "a TLS identity needs a P-256 key that is in no token");
	if (seckey_put_raw(key, &raw, err) == 0)
		c->key = seckey_from_raw(KEY_ECDSA_P256, buf_slice(&raw), err);
	buf_release(&raw);
	if (c->key == NULL)
		return -1;
	c->br_key = (br_ec_private_key){
		.curve = BR_EC_secp256r1,
		.x = (unsigned char *)(uintptr_t)seckey_p256_scalar(c->key),
		.xlen = 32,
	};
	return 0;
}

/* The chain is ours: a mistake in it is found now, not by every peer. */
static int copy_identity(struct tls_config *c, const struct tls_identity *id, struct error *err)
{
	struct x509 leaf;
	size_t i;

	if (id->chain_count == 0)
		return 0;
	if (id->chain_count > TLS_CHAIN_MAX)
		return error_set(err, ERR_LIMIT,
				 "certificate chain has %zu parts, at most %d are sent",
				 id->chain_count, TLS_CHAIN_MAX);
	if (copy_key(c, id->key, err) < 0)
		return -1;
	for (i = 0; i < id->chain_count; i++) {
		if (id->chain[i].len == 0 || id->chain[i].len > TLS_CERT_LEN_MAX)
			return error_set(err, ERR_LIMIT,
					 "certificate %zu of the chain has %zu bytes, not 1 to %d",
					 i + 1, id->chain[i].len, TLS_CERT_LEN_MAX);
		c->chain[i].data = xmalloc(id->chain[i].len);
		c->chain[i].data_len = id->chain[i].len;
		memcpy(c->chain[i].data, id->chain[i].ptr, id->chain[i].len);
		c->chain_count++;
	}
	if (x509_read(&leaf, id->chain[0], err) < 0)
		return error_wrap(err, "own certificate");
	if (!pubkey_equal(&leaf.key, seckey_public(c->key)))
		return error_set(err, ERR_REFUSED, "own certificate does not belong to the key");
	return 0;
}

static int copy_cas(struct tls_config *c, const struct slice *cas, size_t count, struct error *err)
{
	size_t i;

	if (count > TLS_CA_MAX)
		return error_set(err, ERR_LIMIT,
				 "%zu certificate authorities, at most %d are trusted at once",
				 count, TLS_CA_MAX);
	c->cas = xcalloc(count, sizeof(*c->cas));
	for (i = 0; i < count; i++) {
		struct tls_ca *ca = &c->cas[i];

		c->ca_count++;
		ca->der = BUF_INIT(TLS_CERT_LEN_MAX);
		buf_put_slice(&ca->der, cas[i]);
		if (ca->der.failed)
			return error_set(err, ERR_LIMIT, "CA certificate is larger than %d bytes",
					 TLS_CERT_LEN_MAX);
		if (x509_read(&ca->cert, buf_slice(&ca->der), err) < 0)
			return error_wrap(err, "CA certificate");
		if (!ca->cert.is_ca)
			return error_set(err, ERR_REFUSED, "certificate '%s' is not that of a CA",
					 ca->cert.cn);
		tls_anchor_of(&c->anchors[i], &ca->cert);
	}
	return 0;
}

static struct tls_config *config_new(bool server)
{
	struct tls_config *c = xcalloc(1, sizeof(*c));

	atomic_init(&c->refs, 1);
	c->server = server;
	return c;
}

struct tls_config *tls_config_server(const struct tls_server_params *p, struct error *err)
{
	struct tls_config *c = config_new(true);

	c->client_auth = p->client_auth;
	c->accept_expired = p->accept_expired;
	if (p->identity.chain_count == 0)
		error_set(err, ERR_USAGE, "a TLS server needs a certificate");
	else if (p->client_auth != TLS_CLIENT_NONE && p->client_ca_count == 0)
		error_set(err, ERR_USAGE,
			  "client certificates cannot be asked for without a CA to trust");
	else if (copy_identity(c, &p->identity, err) == 0 &&
		 (p->client_auth == TLS_CLIENT_NONE ||
		  copy_cas(c, p->client_cas, p->client_ca_count, err) == 0)) {
		if (p->sessions_max > 0)
			c->sessions = tls_sessions_new(p->sessions_max);
		if (p->sessions_max > 0 && c->ca_count > 0)
			c->known = tls_known_new(p->sessions_max);
		return c;
	}
	tls_config_free(c);
	return NULL;
}

struct tls_config *tls_config_client(const struct tls_client_params *p, struct error *err)
{
	struct tls_config *c = config_new(false);

	if ((p->ca_pin == NULL) == (p->ca_count == 0)) {
		error_set(err, ERR_USAGE,
			  "a TLS client needs either trusted CAs or the pin of one");
	} else if (copy_identity(c, &p->identity, err) == 0 &&
		   copy_cas(c, p->cas, p->ca_count, err) == 0) {
		if (p->ca_pin != NULL) {
			c->pinned = true;
			memcpy(c->ca_pin, p->ca_pin, sizeof(c->ca_pin));
		}
		return c;
	}
	tls_config_free(c);
	return NULL;
}

struct tls_config *tls_config_ref(struct tls_config *c)
{
	atomic_fetch_add(&c->refs, 1);
	return c;
}

void tls_config_free(struct tls_config *c)
{
	size_t i;

	if (c == NULL || atomic_fetch_sub(&c->refs, 1) != 1)
		return;
	for (i = 0; i < c->chain_count; i++)
		free(c->chain[i].data);
	for (i = 0; i < c->ca_count; i++)
		buf_release(&c->cas[i].der);
	free(c->cas);
	seckey_free(c->key);
	tls_sessions_free(c->sessions);
	tls_known_free(c->known);
	free(c);
}

void tls_config_evict(struct tls_config *c, const uint8_t fingerprint[static 32])
{
	if (c->sessions != NULL)
		tls_sessions_evict(c->sessions, fingerprint);
}

unsigned tls_config_sessions(struct tls_config *c)
{
	return c->sessions == NULL ? 0 : tls_sessions_count(c->sessions);
}
