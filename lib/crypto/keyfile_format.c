/* Key files as text: taken apart with every bound checked before anything is believed, and put together. */
#include "crypto/keyfile_format.h"

#include <assert.h>

#include <sodium.h>

#include "base/json.h"
#include "base/name.h"
#include "base/timefmt.h"
#include "sys/rng.h"

#define FORMAT "meshanics key 1"
#define KDF "argon2id"

_Static_assert(KEYFILE_SALT_LEN == crypto_pwhash_SALTBYTES, "salt of Argon2");
_Static_assert(KEYFILE_NONCE_LEN == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "nonce of XChaCha20");
_Static_assert(KEYFILE_SEALED_LEN == KEYFILE_SECRET_LEN + crypto_aead_xchacha20poly1305_ietf_ABYTES, "tag");
_Static_assert(KEYFILE_MEM_MIN >= crypto_pwhash_MEMLIMIT_MIN, "floor of Argon2");

void keyfile_parts_release(struct keyfile_parts *p)
{
	buf_release(&p->header);
	explicit_bzero(p, sizeof(*p));
}

/* A string member that is exactly this. */
static int need_word(struct json_value obj, const char *name, const char *want, struct error *err)
{
	struct slice s;

	if (json_need_string(obj, name, &s, err) < 0)
		return -1;
	if (!slice_equal_str(s, want))
		return error_set(err, ERR_MALFORMED, "'%s' is '%.*s', not '%s'", name, SLICE_ARG(slice_sub(s, 0, 64)),
				 want);
	return 0;
}

/* A string member of 2n hex digits, decoded in constant time. */
static int need_hex(struct json_value obj, const char *name, uint8_t *out, size_t n, struct error *err)
{
	struct slice s;
	size_t got;

	if (json_need_string(obj, name, &s, err) < 0)
		return -1;
	if (s.len != 2 * n || sodium_hex2bin(out, n, (const char *)s.ptr, s.len, NULL, &got, NULL) != 0 || got != n)
		return error_set(err, ERR_MALFORMED, "'%s' is not %zu hex digits", name, 2 * n);
	return 0;
}

/* Printable, in one line, and short enough for its field. */
static int copy_comment(char *out, size_t size, struct slice s, struct error *err)
{
	char shown[512];

	if (s.len >= size)
		return error_set(err, ERR_LIMIT, "the comment has %zu bytes; %zu is the most", s.len, size - 1);
	if (!slice_equal_str(s, printable(shown, sizeof(shown), s)))
		return error_set(err, ERR_MALFORMED, "the comment is not one line of printable text");
	if (s.len > 0)
		memcpy(out, s.ptr, s.len);
	out[s.len] = '\0';
	return 0;
}

static int read_cost(struct keyfile_parts *p, struct json_value kdf, struct error *err)
{
	static const char *const members[] = {"name", "ops", "mem", "salt", NULL};

	if (json_only(kdf, members, err) < 0 || need_word(kdf, "name", KDF, err) < 0)
		return -1;
	if (json_need_int(kdf, "ops", KEYFILE_OPS_MIN, KEYFILE_OPS_MAX, &p->cost.ops, err) < 0 ||
	    json_need_int(kdf, "mem", KEYFILE_MEM_MIN, KEYFILE_MEM_MAX, &p->cost.mem, err) < 0)
		return error_hint(err, "a key file asks for at most %d passes over 1 GiB; this one is not ours",
				  KEYFILE_OPS_MAX);
	return need_hex(kdf, "salt", p->salt, sizeof(p->salt), err);
}

static int read_header(struct keyfile_parts *p, struct json_value header, struct error *err)
{
	static const char *const members[] = {"format", "name", "created", "comment", "key", "kdf", NULL};
	struct keyfile *info = &p->info;
	struct slice name, created, comment;
	struct json_value key, kdf = {0};

	if (json_only(header, members, err) < 0 || need_word(header, "format", FORMAT, err) < 0 ||
	    json_need_string(header, "name", &name, err) < 0 || name_check(name, "name of the key", err) < 0 ||
	    json_need_string(header, "created", &created, err) < 0 ||
	    time_parse(&info->created_s, created, err) < 0 ||
	    json_need_string(header, "comment", &comment, err) < 0 ||
	    copy_comment(info->comment, sizeof(info->comment), comment, err) < 0 ||
	    json_need_object(header, "key", &key, err) < 0 || pubkey_from_tuf(&info->pub, key, err) < 0 ||
	    json_opt_object(header, "kdf", &kdf, err) < 0)
		return -1;
	if (info->pub.scheme != KEY_ED25519 && info->pub.scheme != KEY_ECDSA_P256)
		return error_set(err, ERR_MALFORMED, "key files do not hold keys of scheme %s",
				 key_scheme_name(info->pub.scheme));
	memcpy(info->name, name.ptr, name.len);
	info->name[name.len] = '\0';
	info->sealed = json_type(kdf) == JSON_OBJECT;
	key_id(info->keyid, &info->pub);
	return info->sealed ? read_cost(p, kdf, err) : 0;
}

/* In place of a secret: the token that holds it. Somebody has to give the PIN unless the URI says where it lies. */
static int read_token(struct keyfile *info, struct json_value root, struct error *err)
{
	static const char *const members[] = {"header", "token", NULL};
	struct pkcs11_uri u;
	struct slice text;

	if (json_only(root, members, err) < 0 || json_need_string(root, "token", &text, err) < 0 ||
	    pkcs11_uri_parse(&u, text, err) < 0)
		return -1;
	if (u.object[0] == '\0' && u.id_len == 0)
		return error_set(err, ERR_MALFORMED, "the URI names no key by object or id");
	memcpy(info->uri, text.ptr, text.len);
	info->uri[text.len] = '\0';
	info->sealed = u.pin_file[0] == '\0';
	return 0;
}

/* The secret as it lies in the file. */
static int read_body(struct keyfile_parts *p, struct json_value root, struct error *err)
{
	static const char *const sealed_members[] = {"header", "nonce", "sealed", NULL};
	static const char *const open_members[] = {"header", "secret", NULL};

	if (!p->info.sealed && json_get(root, "token").doc != NULL)
		return read_token(&p->info, root, err);
	if (json_only(root, p->info.sealed ? sealed_members : open_members, err) < 0)
		return -1;
	if (!p->info.sealed)
		return need_hex(root, "secret", p->body, KEYFILE_SECRET_LEN, err);
	if (need_hex(root, "nonce", p->nonce, sizeof(p->nonce), err) < 0)
		return -1;
	return need_hex(root, "sealed", p->body, KEYFILE_SEALED_LEN, err);
}

int keyfile_parse(struct keyfile_parts *p, struct slice text, struct error *err)
{
	struct json doc = JSON_INIT;
	struct json_value root, header;
	int r = -1;

	*p = (struct keyfile_parts){.header = BUF_INIT(KEYFILE_HEADER_MAX)};
	if (json_parse(&doc, text, JSON_STRICT, err) < 0)
		goto out;
	root = json_root(&doc);
	if (json_type(root) != JSON_OBJECT) {
		error_set(err, ERR_MALFORMED, "not a key file: %s, not an object", json_type_name(json_type(root)));
		goto out;
	}
	if (json_need_object(root, "header", &header, err) < 0 || read_header(p, header, err) < 0 ||
	    read_body(p, root, err) < 0 || json_canonical(&p->header, header, err) < 0)
		goto out;
	r = 0;
out:
	doc.unescaped.secret = true;	/* a secret may have been written with escapes */
	json_release(&doc);
	if (r < 0)
		keyfile_parts_release(p);
	return r;
}

/* The sealing key of a passphrase. */
static int derive(uint8_t key[static 32], struct slice passphrase, const uint8_t salt[static KEYFILE_SALT_LEN],
		  struct keyfile_cost cost, struct error *err)
{
	if (crypto_pwhash(key, 32, (const char *)passphrase.ptr, passphrase.len, salt, (unsigned long long)cost.ops,
			  (size_t)cost.mem, crypto_pwhash_ALG_ARGON2ID13) != 0)
		return error_set(err, ERR_FAILED, "no %lld MiB of memory to work on the passphrase",
				 (long long)(cost.mem >> 20));
	return 0;
}

/* The bare secret of a parsed file. */
static int open_body(uint8_t secret[static KEYFILE_SECRET_LEN], const struct keyfile_parts *p,
		     struct slice passphrase, struct error *err)
{
	uint8_t key[32];
	int r;

	if (!p->info.sealed) {
		memcpy(secret, p->body, KEYFILE_SECRET_LEN);
		return 0;
	}
	if (passphrase.len == 0)
		return error_set(err, ERR_REFUSED, "the key is sealed and no passphrase was given");
	if (derive(key, passphrase, p->salt, p->cost, err) < 0)
		return -1;
	r = crypto_aead_xchacha20poly1305_ietf_decrypt(secret, NULL, NULL, p->body, sizeof(p->body), p->header.ptr,
						       p->header.len, p->nonce, key);
	explicit_bzero(key, sizeof(key));
	if (r != 0)
		return error_set(err, ERR_REFUSED, "wrong passphrase or tampered file");
	return 0;
}

struct seckey *keyfile_unseal(const struct keyfile_parts *p, struct slice passphrase, struct error *err)
{
	uint8_t secret[KEYFILE_SECRET_LEN];
	struct seckey *k = NULL;

	assert(!keyfile_is_token(&p->info));
	if (open_body(secret, p, passphrase, err) == 0)
		k = seckey_from_raw(p->info.pub.scheme, slice_of(secret, sizeof(secret)), err);
	explicit_bzero(secret, sizeof(secret));
	if (k != NULL && !pubkey_equal(seckey_public(k), &p->info.pub)) {
		error_set(err, ERR_REFUSED, "the secret is not that of the public key in the file");
		seckey_free(k);
		k = NULL;
	}
	return k;
}

static void put_header(struct json_writer *w, const struct keyfile_parts *p)
{
	char created[TIME_TEXT_LEN];

	json_open_object(w, "header");
	json_put_string(w, "format", FORMAT);
	json_put_string(w, "name", p->info.name);
	json_put_string(w, "created", time_text(created, p->info.created_s));
	json_put_string(w, "comment", p->info.comment);
	pubkey_put_tuf(w, "key", &p->info.pub);
	if (p->info.sealed && !keyfile_is_token(&p->info)) {
		json_open_object(w, "kdf");
		json_put_string(w, "name", KDF);
		json_put_int(w, "ops", p->cost.ops);
		json_put_int(w, "mem", p->cost.mem);
		json_put_hex(w, "salt", p->salt, sizeof(p->salt));
		json_close(w);
	}
	json_close(w);
}

/* The header in canonical form, as a reader of the file will compute it. */
static int fill_header(struct keyfile_parts *p, struct error *err)
{
	struct buf text = BUF_INIT(KEYFILE_SIZE_MAX);
	struct json_writer w = JSON_WRITER(&text);
	struct json doc = JSON_INIT;
	int r = -1;

	json_open_object(&w, NULL);
	put_header(&w, p);
	json_close(&w);
	if (json_parse(&doc, buf_slice(&text), JSON_STRICT, err) == 0)
		r = json_canonical(&p->header, json_get(json_root(&doc), "header"), err);
	json_release(&doc);
	buf_release(&text);
	return r;
}

/* Seal the secret that lies in the body, in place, under the header as it will stand in the file. */
static int seal_body(struct keyfile_parts *p, struct slice passphrase, struct error *err)
{
	uint8_t key[32];

	rng_bytes(p->salt, sizeof(p->salt));
	rng_bytes(p->nonce, sizeof(p->nonce));
	if (fill_header(p, err) < 0 || derive(key, passphrase, p->salt, p->cost, err) < 0)
		return -1;
	crypto_aead_xchacha20poly1305_ietf_encrypt(p->body, NULL, p->body, KEYFILE_SECRET_LEN, p->header.ptr,
						   p->header.len, NULL, p->nonce, key);
	explicit_bzero(key, sizeof(key));
	return 0;
}

static int check_size(const struct buf *out, struct error *err)
{
	return out->failed ? error_set(err, ERR_LIMIT, "key file is larger than %zu bytes", out->max) : 0;
}

int keyfile_put(struct buf *out, const struct keyfile *info, const struct seckey *k, struct slice passphrase,
		struct keyfile_cost cost, struct error *err)
{
	struct keyfile_parts p = {.info = *info, .cost = cost, .header = BUF_INIT(KEYFILE_HEADER_MAX)};
	struct buf secret = BUF_SECRET(KEYFILE_SECRET_LEN);
	struct json_writer w = JSON_WRITER(out);
	int r = -1;

	p.info.pub = *seckey_public(k);
	p.info.sealed = passphrase.len > 0;
	p.info.uri[0] = '\0';
	if (seckey_put_raw(k, &secret, err) < 0)
		goto out;
	memcpy(p.body, secret.ptr, KEYFILE_SECRET_LEN);
	if (p.info.sealed && seal_body(&p, passphrase, err) < 0)
		goto out;
	w.indent = 2;
	json_open_object(&w, NULL);
	put_header(&w, &p);
	if (p.info.sealed) {
		json_put_hex(&w, "nonce", p.nonce, sizeof(p.nonce));
		json_put_hex(&w, "sealed", p.body, KEYFILE_SEALED_LEN);
	} else {
		json_put_hex(&w, "secret", p.body, KEYFILE_SECRET_LEN);
	}
	json_close(&w);
	buf_put_u8(out, '\n');
	r = check_size(out, err);
out:
	buf_release(&secret);
	keyfile_parts_release(&p);
	return r;
}

int keyfile_put_token(struct buf *out, const struct keyfile *info, struct error *err)
{
	const struct keyfile_parts p = {.info = *info};
	struct json_writer w = JSON_WRITER(out);

	w.indent = 2;
	json_open_object(&w, NULL);
	put_header(&w, &p);
	json_put_string(&w, "token", info->uri);
	json_close(&w);
	buf_put_u8(out, '\n');
	return check_size(out, err);
}
