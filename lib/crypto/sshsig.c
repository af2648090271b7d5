/* SSHSIG: the envelope of OpenSSH's signatures of files, taken apart strictly and put together. */
#include "crypto/sshsig.h"

#include <assert.h>

#include "crypto/ecdsa.h"
#include "crypto/key_ssh.h"
#include "crypto/pem.h"

#define LABEL "SSH SIGNATURE"
#define MAGIC "SSHSIG"
#define BLOB_MAX 3072	/* of the binary form: what fits the armored one */

/* The fields of a signature, borrowed from its binary form. */
struct sshsig {
	struct slice key, namespace_, hash_name, signature;
};

/* What is signed is not the message but this: its hash, and what it is meant for. */
static void put_signed(struct buf *out, struct slice namespace_, struct slice hash_name, struct slice hash)
{
	buf_put_str(out, MAGIC);
	ssh_put_string(out, namespace_);
	ssh_put_string(out, SLICE_EMPTY);	/* reserved */
	ssh_put_string(out, hash_name);
	ssh_put_string(out, hash);
}

/* The signature of SSH's own kind (RFC 8709 6, RFC 5656 3.1.2) from the one of key.h. */
static int put_signature(struct buf *out, const struct seckey *k, struct slice sig, struct error *err)
{
	enum key_scheme scheme = seckey_public(k)->scheme;
	struct buf body = BUF_INIT(SIGNATURE_LEN_MAX);
	uint8_t raw[2 * P256_LEN];

	if (scheme == KEY_ECDSA_P256) {
		if (ecdsa_raw_from_der(raw, P256_LEN, sig, err) < 0)
			return -1;
		ssh_put_mpint(&body, slice_of(raw, P256_LEN));
		ssh_put_mpint(&body, slice_of(raw + P256_LEN, P256_LEN));
	} else {
		buf_put_slice(&body, sig);
	}
	buf_put_u32be(out, (uint32_t)(4 + strlen(ssh_key_type(scheme)) + 4 + body.len));
	ssh_put_string(out, slice_str(ssh_key_type(scheme)));
	ssh_put_string(out, buf_slice(&body));
	buf_release(&body);
	return 0;
}

int sshsig_sign_sha256(const struct seckey *k, const char *namespace_, const uint8_t hash[static SHA256_LEN],
		       struct buf *armored_out, struct error *err)
{
	struct buf tosign = BUF_INIT(BLOB_MAX), sig = BUF_INIT(SIGNATURE_LEN_MAX), key = BUF_INIT(BLOB_MAX);
	struct buf blob = BUF_INIT(BLOB_MAX);
	int r = -1;

	assert(namespace_[0] != '\0' && strlen(namespace_) <= SSHSIG_NAMESPACE_MAX);
	put_signed(&tosign, slice_str(namespace_), SLICE_LIT("sha256"), slice_of(hash, SHA256_LEN));
	if (seckey_sign(k, buf_slice(&tosign), &sig, err) < 0)
		goto out;
	pubkey_put_ssh_blob(&key, seckey_public(k));
	buf_put_str(&blob, MAGIC);
	buf_put_u32be(&blob, 1);
	ssh_put_string(&blob, buf_slice(&key));
	ssh_put_string(&blob, slice_str(namespace_));
	ssh_put_string(&blob, SLICE_EMPTY);
	ssh_put_string(&blob, SLICE_LIT("sha256"));
	if (put_signature(&blob, k, buf_slice(&sig), err) < 0)
		goto out;
	assert(!tosign.failed && !sig.failed && !key.failed && !blob.failed);
	pem_put(armored_out, LABEL, buf_slice(&blob));
	r = armored_out->failed ? error_set(err, ERR_LIMIT, "the signature does not fit") : 0;
out:
	buf_release(&tosign);
	buf_release(&sig);
	buf_release(&key);
	buf_release(&blob);
	return r;
}

/* The next string off the front of *rest. */
static int take_string(struct slice *rest, struct slice *out, const char *what, struct error *err)
{
	size_t len;

	if (rest->len < 4)
		return error_set(err, ERR_MALFORMED, "SSH signature ends before its %s", what);
	len = (size_t)rest->ptr[0] << 24 | (size_t)rest->ptr[1] << 16 | (size_t)rest->ptr[2] << 8 | rest->ptr[3];
	if (rest->len - 4 < len)
		return error_set(err, ERR_MALFORMED, "SSH signature ends within its %s", what);
	*out = slice_sub(*rest, 4, len);
	*rest = slice_sub(*rest, 4 + len, SIZE_MAX);
	return 0;
}

/* Decode armored into blob, which the fields of s then point into. */
static int take_apart(struct sshsig *s, struct buf *blob, struct slice armored, struct error *err)
{
	struct slice rest, reserved;

	if (armored.len > SSHSIG_SIZE_MAX)
		return error_set(err, ERR_LIMIT, "SSH signature is larger than %d bytes", SSHSIG_SIZE_MAX);
	if (pem_get(armored, LABEL, blob, err) < 0)
		return -1;
	rest = buf_slice(blob);
	if (!slice_starts(rest, SLICE_LIT(MAGIC "\0\0\0\1")))
		return error_set(err, ERR_MALFORMED, "not an SSH signature of version 1");
	rest = slice_sub(rest, sizeof(MAGIC) - 1 + 4, SIZE_MAX);
	if (take_string(&rest, &s->key, "public key", err) < 0 ||
	    take_string(&rest, &s->namespace_, "namespace", err) < 0 ||
	    take_string(&rest, &reserved, "reserved field", err) < 0 ||
	    take_string(&rest, &s->hash_name, "hash name", err) < 0 ||
	    take_string(&rest, &s->signature, "signature", err) < 0)
		return -1;
	if (rest.len > 0 || reserved.len > 0)
		return error_set(err, ERR_MALFORMED, "SSH signature holds more than its fields");
	return 0;
}

/* An mpint (RFC 4251 5) that is not negative and in its shortest form, into a field of len bytes. */
static int take_number(uint8_t *out, size_t len, struct slice *rest, struct error *err)
{
	struct slice v;

	if (take_string(rest, &v, "number", err) < 0)
		return -1;
	if (v.len == 0 || v.ptr[0] >= 0x80 || (v.ptr[0] == 0 && (v.len == 1 || v.ptr[1] < 0x80)))
		return error_set(err, ERR_MALFORMED, "number in the SSH signature is not in its shortest form");
	if (v.ptr[0] == 0)
		v = slice_sub(v, 1, SIZE_MAX);
	if (v.len > len)
		return error_set(err, ERR_MALFORMED, "number in the SSH signature is too long");
	memset(out, 0, len);
	memcpy(out + len - v.len, v.ptr, v.len);
	return 0;
}

/* The signature as key.h takes it. */
static int take_signature(struct buf *sig, const struct pubkey *k, struct slice from, struct error *err)
{
	uint8_t raw[2 * P256_LEN];
	struct slice type, body;

	if (take_string(&from, &type, "signature type", err) < 0 ||
	    take_string(&from, &body, "signature bytes", err) < 0)
		return -1;
	if (from.len > 0)
		return error_set(err, ERR_MALFORMED, "SSH signature holds more than its fields");
	if (!slice_equal_str(type, ssh_key_type(k->scheme)))
		return error_set(err, ERR_REFUSED, "SSH signature is of another type than its key");
	if (k->scheme == KEY_ED25519) {
		buf_put_slice(sig, body);
		return sig->failed ? error_set(err, ERR_MALFORMED, "SSH signature is too long") : 0;
	}
	if (take_number(raw, P256_LEN, &body, err) < 0 || take_number(raw + P256_LEN, P256_LEN, &body, err) < 0)
		return -1;
	if (body.len > 0)
		return error_set(err, ERR_MALFORMED, "SSH signature holds more than its fields");
	ecdsa_put_der(sig, raw, P256_LEN);
	return 0;
}

/* Key, namespace and hash function of the envelope are those that the caller expects. */
static int check_envelope(const struct sshsig *s, const struct pubkey *k, const char *namespace_,
			  const char *hash_name, struct error *err)
{
	struct buf key = BUF_INIT(BLOB_MAX);
	int r = 0;

	pubkey_put_ssh_blob(&key, k);
	if (k->scheme != KEY_ED25519 && k->scheme != KEY_ECDSA_P256)
		r = error_set(err, ERR_REFUSED, "SSH signatures are not checked for keys of scheme %s",
			      key_scheme_name(k->scheme));
	else if (!slice_equal(s->key, buf_slice(&key)))
		r = error_set(err, ERR_REFUSED, "SSH signature is by another key");
	else if (!slice_equal_str(s->namespace_, namespace_))
		r = error_set(err, ERR_REFUSED, "SSH signature has namespace '%.*s', not '%s'",
			      SLICE_ARG(slice_sub(s->namespace_, 0, SSHSIG_NAMESPACE_MAX)), namespace_);
	else if (!slice_equal_str(s->hash_name, hash_name))
		r = error_set(err, ERR_REFUSED, "SSH signature is over '%.*s', not '%s'",
			      SLICE_ARG(slice_sub(s->hash_name, 0, 16)), hash_name);
	buf_release(&key);
	return r;
}

static int verify(const struct pubkey *k, const char *namespace_, const char *hash_name, struct slice hash,
		  struct slice armored, struct error *err)
{
	struct buf blob = BUF_INIT(BLOB_MAX), tosign = BUF_INIT(BLOB_MAX), sig = BUF_INIT(SIGNATURE_LEN_MAX);
	struct sshsig s;
	int r = -1;

	if (take_apart(&s, &blob, armored, err) < 0 || check_envelope(&s, k, namespace_, hash_name, err) < 0 ||
	    take_signature(&sig, k, s.signature, err) < 0)
		goto out;
	put_signed(&tosign, s.namespace_, s.hash_name, hash);
	r = pubkey_verify(k, buf_slice(&tosign), buf_slice(&sig), err);
out:
	buf_release(&blob);
	buf_release(&tosign);
	buf_release(&sig);
	return r;
}

int sshsig_verify_sha256(const struct pubkey *k, const char *namespace_, const uint8_t hash[static SHA256_LEN],
			 struct slice armored, struct error *err)
{
	return verify(k, namespace_, "sha256", slice_of(hash, SHA256_LEN), armored, err);
}

int sshsig_verify_sha512(const struct pubkey *k, const char *namespace_, const uint8_t hash[static SHA512_LEN],
			 struct slice armored, struct error *err)
{
	return verify(k, namespace_, "sha512", slice_of(hash, SHA512_LEN), armored, err);
}

int sshsig_hash_bits(struct slice armored, int *bits, struct error *err)
{
	struct buf blob = BUF_INIT(BLOB_MAX);
	struct sshsig s;
	int r = -1;

	if (take_apart(&s, &blob, armored, err) < 0)
		goto out;
	*bits = slice_equal_str(s.hash_name, "sha256") ? 256 : slice_equal_str(s.hash_name, "sha512") ? 512 : 0;
	r = *bits == 0 ? error_set(err, ERR_MALFORMED, "SSH signature is over an unknown hash '%.*s'",
				   SLICE_ARG(slice_sub(s.hash_name, 0, 16)))
		       : 0;
out:
	buf_release(&blob);
	return r;
}
