/*
 * The judgement of the peer's certificates. BearSSL hands the chain over piece by piece; it is kept whole and
 * judged once, at its end, so that the time of judgement can depend on what the certificates say:
 *
 *	1. read the leaf strictly (crypto/x509.h) and find the time of judgement
 *	2. validity of the leaf, its extended key usage, and on clients the server's name or address
 *	3. the path up to one of the trusted CAs: signatures, names, CA flags, key usage (BearSSL's "minimal"); a server
 *	   remembers which leaves a CA of its own has signed
 *	4. validity of that CA
 *
 * BearSSL's validation context lives on the stack for step 3 alone: nothing of one peer can reach the next.
 */
#include "net/tls_internal.h"

#include "base/timefmt.h"
#include "crypto/hash_class.h"

/* Days from year 0 to 1970 as br_x509_minimal_set_time counts them. */
#define BEARSSL_EPOCH_DAYS 719528

/* Keep what is wrong for tls_failure, and give BearSSL a code to stop with. */
static unsigned refuse(struct tls_verify *v, unsigned code, const struct error *err)
{
	free(v->refusal);
	v->refusal = xmalloc(sizeof(*v->refusal));
	*v->refusal = *err;
	return code;
}

static struct slice chain_cert(const struct tls_verify *v, size_t i)
{
	size_t start = i == 0 ? 0 : v->ends[i - 1];

	return slice_of(v->chain.ptr + start, v->ends[i] - start);
}

static const char *peer_word(const struct tls *t)
{
	return t->config->server ? "client" : "server";
}

/*
 * max(now, notBefore of all that was shown and of the trusted CAs that share the leaf's issuer). Certificates
 * that do not parse count for nothing here; should they matter, step 3 refuses them.
 */
static int64_t judgement_time(const struct tls *t, const struct x509 *leaf)
{
	int64_t time = t->now_s > leaf->not_before_s ? t->now_s : leaf->not_before_s;
	struct error ignored = ERROR_INIT;
	struct x509 c;
	size_t i;

	for (i = 1; i < t->verify.count; i++)
		if (x509_read(&c, chain_cert(&t->verify, i), &ignored) == 0 &&
		    c.not_before_s > time)
			time = c.not_before_s;
	for (i = 0; i < t->config->ca_count; i++) {
		const struct x509 *ca = &t->config->cas[i].cert;

		if (slice_equal(ca->subject, leaf->issuer) && ca->not_before_s > time)
			time = ca->not_before_s;
	}
	return time < 0 ? 0 : time;
}

/* Past its end: the holder or our clock is at fault, and only time or a renewal helps. */
static int past_end(struct error *err, const char *who, int64_t not_after_s, int64_t time)
{
	char end[TIME_TEXT_LEN], now[TIME_TEXT_LEN];

	time_text(end, not_after_s);
	time_text(now, time);
	error_set(err, ERR_RETRY, "certificate of the %s expired at %s; it is %s here", who, end,
		  now);
	return error_hint(err, "compare the clocks of both sides, then renew the certificate");
}

/* Step 2. Sets v->expired. */
static int leaf_check(struct tls *t, const struct x509 *leaf, int64_t time, struct error *err)
{
	unsigned want = t->config->server ? X509_EKU_CLIENT : X509_EKU_SERVER;

	if (leaf->is_ca)
		return error_set(err, ERR_REFUSED, "certificate of the %s is that of a CA",
				 peer_word(t));
	if (!leaf->has_eku || !(leaf->eku & want))
		return error_set(err, ERR_REFUSED,
				 "certificate '%s' is not meant for a %s (extended key usage)",
				 leaf->cn, peer_word(t));
	if (time > leaf->not_after_s) {
		if (!t->config->accept_expired || leaf->not_after_s < leaf->not_before_s)
			return past_end(err, peer_word(t), leaf->not_after_s, time);
		t->verify.expired = true;
	}
	if (!t->config->server && x509_host_check(leaf, t->host, err) < 0)
		return -1;
	return 0;
}

static const char *path_problem(unsigned code)
{
	switch (code) {
	case BR_ERR_X509_NOT_TRUSTED:
	case BR_ERR_X509_EMPTY_CHAIN:
		return "it was not issued by a CA that is trusted here";
	case BR_ERR_X509_BAD_SIGNATURE:
		return "a signature in its chain is wrong";
	case BR_ERR_X509_DN_MISMATCH:
		return "its chain is out of order";
	case BR_ERR_X509_NOT_CA:
		return "its issuer is not a CA";
	case BR_ERR_X509_FORBIDDEN_KEY_USAGE:
		return "its key usage forbids signing";
	case BR_ERR_X509_CRITICAL_EXTENSION:
		return "it has an unknown critical extension";
	case BR_ERR_X509_EXPIRED:
		return "a certificate in its chain is outside its validity";
	case BR_ERR_X509_UNSUPPORTED:
	case BR_ERR_X509_WRONG_KEY_TYPE:
		return "it uses an algorithm that is not supported";
	default:
		return "its chain does not parse";
	}
}

/* Step 3 with one CA. On success v->pkey and v->usages are set. Returns BearSSL's code, 0 for yes. */
static unsigned path_check(struct tls_verify *v, const br_x509_trust_anchor *anchor, int64_t time)
{
	br_x509_minimal_context xc;
	const br_x509_class **ctx = &xc.vtable;
	const br_x509_pkey *pk;
	unsigned code;
	size_t i;

	br_x509_minimal_init(&xc, &sha256_class, anchor, 1);
	/* All of BearSSL's curves: what signs between the leaf and its CA need not be on one of a handshake. */
	br_x509_minimal_set_ecdsa(&xc, br_ec_get_default(), tls_ecdsa_verify);
	br_x509_minimal_set_hash(&xc, br_sha256_ID, &sha256_class);
	br_x509_minimal_set_hash(&xc, br_sha384_ID, &br_sha384_vtable);
	br_x509_minimal_set_hash(&xc, br_sha512_ID, &br_sha512_vtable);
	br_x509_minimal_set_time(&xc, (uint32_t)(time / 86400 + BEARSSL_EPOCH_DAYS),
				 (uint32_t)(time % 86400));
	xc.vtable->start_chain(ctx, NULL);
	for (i = 0; i < v->count; i++) {
		struct slice der = chain_cert(v, i);

		xc.vtable->start_cert(ctx, (uint32_t)der.len);
		xc.vtable->append(ctx, der.ptr, der.len);
		xc.vtable->end_cert(ctx);
	}
	code = xc.vtable->end_chain(ctx);
	if (code != 0)
		return code;
	pk = xc.vtable->get_pkey(ctx, &v->usages);
	if (pk == NULL || pk->key_type != BR_KEYTYPE_EC || pk->key.ec.qlen > sizeof(v->point))
		return BR_ERR_X509_WRONG_KEY_TYPE;
	memcpy(v->point, pk->key.ec.q, pk->key.ec.qlen);
	v->pkey = *pk;
	v->pkey.key.ec.q = v->point;
	return 0;
}

static int ca_check(const struct x509 *ca, int64_t time, struct error *err)
{
	return time <= ca->not_after_s ? 0 : past_end(err, "CA", ca->not_after_s, time);
}

/* The key of a leaf whose path is known to hold, as path_check would have given it. */
static void use_leaf_key(struct tls_verify *v, const struct x509 *leaf, unsigned usages)
{
	memcpy(v->point, leaf->key.data, leaf->key.len);
	v->pkey = (br_x509_pkey){.key_type = BR_KEYTYPE_EC};
	v->pkey.key.ec = (br_ec_public_key){.curve = BR_EC_secp256r1, .q = v->point, .qlen = leaf->key.len};
	v->usages = usages;
}

/*
 * Step 3 by memory: a leaf alone, which the CA itself has signed. What lies between a leaf and its CA is verified each
 * time, for it may end.
 */
static bool known_leaf(struct tls *t, const struct x509 *leaf, const struct x509 **ca)
{
	uint8_t fingerprint[32];
	unsigned usages;
	uint32_t i;

	if (t->config->known == NULL || t->verify.count != 1)
		return false;
	x509_fingerprint(fingerprint, leaf->der);
	if (!tls_known_get(t->config->known, fingerprint, &i, &usages))
		return false;
	use_leaf_key(&t->verify, leaf, usages);
	*ca = &t->config->cas[i].cert;
	return true;
}

static void remember_leaf(const struct tls *t, const struct x509 *leaf, size_t ca)
{
	uint8_t fingerprint[32];

	if (t->config->known == NULL || t->verify.count != 1)
		return;
	x509_fingerprint(fingerprint, leaf->der);
	tls_known_put(t->config->known, fingerprint, (uint32_t)ca, t->verify.usages);
}

/* Steps 3 and 4 with the CAs of the configuration. */
static int trusted_check(struct tls *t, const struct x509 *leaf, int64_t path_time, int64_t time,
			 struct error *err)
{
	const char *problem = path_problem(BR_ERR_X509_NOT_TRUSTED);
	const struct x509 *ca;
	size_t i;

	if (known_leaf(t, leaf, &ca))
		return ca_check(ca, time, err);
	for (i = 0; i < t->config->ca_count; i++) {
		unsigned code = path_check(&t->verify, &t->config->anchors[i], path_time);

		ca = &t->config->cas[i].cert;
		if (code == 0) {
			remember_leaf(t, leaf, i);
			return ca_check(ca, time, err);
		}
		if (code != BR_ERR_X509_NOT_TRUSTED)
			problem = path_problem(code);
		else if (slice_equal(ca->subject, leaf->issuer))
			problem = "its issuer has the name of a trusted CA, but another key";
	}
	return error_set(err, ERR_REFUSED, "certificate '%s' of the %s: %s", leaf->cn, peer_word(t),
			 problem);
}

/* Steps 3 and 4 with the pinned CA, which must be among the certificates shown. */
static int pinned_check(struct tls *t, const struct x509 *leaf, int64_t time, struct error *err)
{
	struct tls_verify *v = &t->verify;
	br_x509_trust_anchor anchor;
	uint8_t hash[32];
	struct x509 ca;
	unsigned code;
	size_t i;

	for (i = 1; i < v->count; i++) {
		x509_fingerprint(hash, chain_cert(v, i));
		if (memcmp(hash, t->config->ca_pin, sizeof(hash)) == 0)
			break;
	}
	if (i >= v->count)
		return error_set(err, ERR_REFUSED,
				 "the server does not show the CA certificate that is pinned");
	if (x509_read(&ca, chain_cert(v, i), err) < 0 || x509_ca_check(&ca, time, err) < 0)
		return error_wrap(err, "pinned CA certificate");
	tls_anchor_of(&anchor, &ca);
	code = path_check(v, &anchor, time);
	if (code != 0)
		return error_set(err, ERR_REFUSED, "certificate '%s' of the server: %s", leaf->cn,
				 path_problem(code));
	v->ca = BUF_INIT(TLS_CERT_LEN_MAX);
	buf_put_slice(&v->ca, ca.der);
	return 0;
}

static int judge(struct tls *t, struct error *err)
{
	struct tls_verify *v = &t->verify;
	struct x509 leaf;
	int64_t time, path_time;

	if (v->too_much)
		return error_set(err, ERR_LIMIT,
				 "the %s shows more than %d certificates or one above %d bytes",
				 peer_word(t), TLS_CHAIN_MAX, TLS_CERT_LEN_MAX);
	if (x509_read(&leaf, chain_cert(v, 0), err) < 0)
		return error_wrap(err, "certificate of the %s", peer_word(t));
	time = judgement_time(t, &leaf);
	if (leaf_check(t, &leaf, time, err) < 0)
		return -1;
	path_time = v->expired ? leaf.not_after_s : time;
	if (t->config->pinned ? pinned_check(t, &leaf, path_time, err) < 0
			      : trusted_check(t, &leaf, path_time, time, err) < 0)
		return -1;
	v->not_after_s = leaf.not_after_s;
	v->leaf = BUF_INIT(TLS_CERT_LEN_MAX);
	buf_put_slice(&v->leaf, leaf.der);
	return 0;
}

/* ---- BearSSL's side of it ---- */

static void start_chain(const br_x509_class **ctx, const char *server_name)
{
	struct tls_verify *v = &tls_of_verify(ctx)->verify;

	(void)server_name; /* BearSSL cannot match addresses; x509_host_check does both */
	buf_release(&v->chain);
	buf_release(&v->leaf);
	buf_release(&v->ca);
	v->chain = BUF_INIT(TLS_CHAIN_MAX * TLS_CERT_LEN_MAX);
	v->count = 0;
	v->too_much = v->judged = v->expired = false;
}

static void start_cert(const br_x509_class **ctx, uint32_t length)
{
	struct tls_verify *v = &tls_of_verify(ctx)->verify;

	if (v->count == TLS_CHAIN_MAX || length > TLS_CERT_LEN_MAX)
		v->too_much = true;
}

static void append(const br_x509_class **ctx, const unsigned char *data, size_t len)
{
	struct tls_verify *v = &tls_of_verify(ctx)->verify;

	if (!v->too_much)
		buf_put(&v->chain, data, len);
}

static void end_cert(const br_x509_class **ctx)
{
	struct tls_verify *v = &tls_of_verify(ctx)->verify;

	if (!v->too_much)
		v->ends[v->count++] = v->chain.len;
}

static unsigned end_chain(const br_x509_class **ctx)
{
	struct tls *t = tls_of_verify(ctx);
	struct tls_verify *v = &t->verify;
	struct error err = ERROR_INIT;
	unsigned code = 0;

	if (v->count == 0 && !v->too_much) {
		if (t->config->client_auth == TLS_CLIENT_OPTIONAL)
			return BR_ERR_X509_EMPTY_CHAIN; /* tolerated by the engine */
		error_set(&err, ERR_REFUSED, "the %s shows no certificate", peer_word(t));
		return refuse(v, BR_ERR_X509_EMPTY_CHAIN, &err);
	}
	if (judge(t, &err) < 0)
		code = refuse(v, BR_ERR_X509_NOT_TRUSTED, &err);
	else
		v->judged = true;
	buf_release(&v->chain);
	return code;
}

static const br_x509_pkey *get_pkey(const br_x509_class *const *ctx, unsigned *usages)
{
	const struct tls_verify *v = container_of(ctx, const struct tls_verify, vtable);

	if (!v->judged)
		return NULL;
	if (usages != NULL)
		*usages = v->usages;
	return &v->pkey;
}

const br_x509_class tls_verify_class = {
	.context_size = sizeof(struct tls_verify),
	.start_chain = start_chain,
	.start_cert = start_cert,
	.append = append,
	.end_cert = end_cert,
	.end_chain = end_chain,
	.get_pkey = get_pkey,
};
