/* Key files that hold no secret: the key is in a token, and the file says which and what its public half is. */
#include <stdio.h>

#include "crypto/keyfile_format.h"
#include "crypto/hash.h"
#include "crypto/pkcs11.h"
#include "sys/rng.h"

struct seckey *keyfile_open_token(const struct keyfile *info, struct slice pin, struct error *err)
{
	struct pkcs11_key *token;
	struct pkcs11_uri u;

	if (pkcs11_uri_parse(&u, slice_str(info->uri), err) < 0 || (token = pkcs11_key_open(&u, pin, err)) == NULL)
		return NULL;
	return seckey_from_token(token, &info->pub, err);
}

/*
 * Read the public half, let the key sign once (so that what others will rely on is known to work), and write the files.
 * u becomes what finds this key again.
 */
static int write_files(int dirfd, struct keyfile *info, struct pkcs11_uri *u, struct pkcs11_key *token,
		       struct error *err)
{
	struct buf sig = BUF_INIT(SIGNATURE_LEN_MAX), uri = BUF_INIT(PKCS11_URI_MAX), text = BUF_INIT(KEYFILE_SIZE_MAX);
	uint8_t trial[SHA256_LEN];
	int r = -1;

	rng_bytes(trial, sizeof(trial));
	if (pkcs11_key_public(token, &info->pub, u, err) < 0)
		goto out;
	if (info->pub.scheme != KEY_ED25519 && info->pub.scheme != KEY_ECDSA_P256) {
		error_set(err, ERR_REFUSED, "keys of scheme %s are not used for signing", key_scheme_name(info->pub.scheme));
		goto out;
	}
	pkcs11_uri_put(&uri, u);
	if (uri.failed) {
		error_set(err, ERR_LIMIT, "the URI of the key is longer than %d bytes", PKCS11_URI_MAX);
		goto out;
	}
	snprintf(info->uri, sizeof(info->uri), "%s", buf_cstr(&uri));
	if (pkcs11_key_sign(token, &info->pub, slice_of(trial, sizeof(trial)), &sig, err) == 0 &&
	    keyfile_put_token(&text, info, err) == 0)
		r = keyfile_create(dirfd, info->name, buf_slice(&text), &info->pub, err);
out:
	buf_release(&sig);
	buf_release(&uri);
	buf_release(&text);
	return r;
}

int keyfile_generate_token(int dirfd, const char *name, const struct pkcs11_uri *u, enum key_scheme scheme,
			   struct slice pin, const char *comment, int64_t created_s, struct pubkey *pub,
			   struct error *err)
{
	struct error ignored = ERROR_INIT;
	struct pkcs11_uri full = *u;
	struct pkcs11_key *token;
	struct keyfile info;
	int r;

	if (full.object[0] == '\0')
		snprintf(full.object, sizeof(full.object), "%s", name);
	if (keyfile_describe(&info, name, comment, created_s, err) < 0 ||
	    (token = pkcs11_key_generate(&full, scheme, pin, err)) == NULL)
		return -1;
	r = write_files(dirfd, &info, &full, token, err);
	if (r < 0)
		(void)!pkcs11_key_destroy(token, &ignored);
	else if (pub != NULL)
		*pub = info.pub;
	pkcs11_key_free(token);
	return r;
}

int keyfile_adopt_token(int dirfd, const char *name, const struct pkcs11_uri *u, struct slice pin, const char *comment,
			int64_t created_s, bool *confined, struct error *err)
{
	struct pkcs11_uri full = *u;
	struct pkcs11_key *token;
	struct keyfile info;
	int r;

	if (full.object[0] == '\0' && full.id_len == 0)
		snprintf(full.object, sizeof(full.object), "%s", name);
	if (keyfile_describe(&info, name, comment, created_s, err) < 0 ||
	    (token = pkcs11_key_open(&full, pin, err)) == NULL)
		return -1;
	*confined = pkcs11_key_confined(token);
	r = write_files(dirfd, &info, &full, token, err);
	pkcs11_key_free(token);
	return r;
}
