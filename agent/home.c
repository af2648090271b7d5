/* The device's identity on disk. */
#include "agent/home.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/json.h"
#include "base/timefmt.h"
#include "crypto/keyfile.h"
#include "crypto/x509.h"
#include "sys/file.h"

#define IDENTITY_FILE "identity.json"
#define KEY_PREFIX "device-"
#define ROOT_MAX (512u << 10)

void identity_init(struct identity *id)
{
	*id = (struct identity){
		.certificate = BUF_INIT(X509_SIZE_MAX),
		.device_ca = BUF_INIT(X509_SIZE_MAX),
		.server_ca = BUF_INIT(X509_SIZE_MAX),
		.root = BUF_INIT(ROOT_MAX),
	};
}

void identity_release(struct identity *id)
{
	buf_release(&id->certificate);
	buf_release(&id->device_ca);
	buf_release(&id->server_ca);
	buf_release(&id->root);
	seckey_free(id->key);
	id->key = NULL;
}

int agent_home_open(const char *home, struct error *err)
{
	char path[4096];

	path_join(path, home, "agent");
	if (file_mkdirs(AT_FDCWD, path, 0755, err) < 0)
		return -1;
	return file_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, err);
}

void identity_fingerprint(const struct identity *id, uint8_t out[static SHA256_LEN])
{
	x509_fingerprint(out, buf_slice(&id->certificate));
}

/* ---- JSON ---- */

static int get_base64(struct json_value obj, const char *name, struct buf *out, struct error *err)
{
	struct slice text;

	buf_clear(out);
	if (json_need_string(obj, name, &text, err) < 0)
		return -1;
	return base64_decode(out, text, err) < 0 ? error_wrap(err, "'%s'", name) : 0;
}

static int get_text(struct json_value obj, const char *name, char *out, size_t size, struct error *err)
{
	struct slice text;

	if (json_need_string(obj, name, &text, err) < 0)
		return -1;
	if (text.len == 0 || text.len >= size || slice_find(text, '\0', 0) != SIZE_MAX)
		return error_set(err, ERR_MALFORMED, "'%s' is empty or too long", name);
	memcpy(out, text.ptr, text.len);
	out[text.len] = '\0';
	return 0;
}

static int get_name(struct json_value obj, const char *name, char out[static NAME_LEN_MAX + 1], struct error *err)
{
	if (get_text(obj, name, out, NAME_LEN_MAX + 1, err) < 0)
		return -1;
	return name_check(slice_str(out), name, err);
}

static int get_time(struct json_value obj, const char *name, int64_t *out, struct error *err)
{
	struct slice text;

	if (json_need_string(obj, name, &text, err) < 0)
		return -1;
	return time_parse(out, text, err) < 0 ? error_wrap(err, "'%s'", name) : 0;
}

/* The certificate must be ours in the one way that counts: it carries our public key. */
static int check_certificate(const struct identity *id, struct error *err)
{
	struct x509 cert;

	if (x509_read(&cert, buf_slice(&id->certificate), err) < 0)
		return error_wrap(err, "certificate");
	if (!pubkey_equal(&cert.key, seckey_public(id->key)))
		return error_set(err, ERR_REFUSED, "the certificate is for another key");
	return 0;
}

static int read_members(struct identity *id, struct json_value obj, bool need_root, struct error *err)
{
	if (get_name(obj, "device", id->device, err) < 0 || get_name(obj, "site", id->site, err) < 0 ||
	    get_text(obj, "device_url", id->device_url, sizeof(id->device_url), err) < 0 ||
	    get_text(obj, "repository_url", id->repository_url, sizeof(id->repository_url), err) < 0 ||
	    get_base64(obj, "certificate", &id->certificate, err) < 0 ||
	    get_base64(obj, "device_ca", &id->device_ca, err) < 0 ||
	    get_base64(obj, "server_ca", &id->server_ca, err) < 0 ||
	    get_time(obj, "not_after", &id->not_after_s, err) < 0 ||
	    get_time(obj, "renew_at", &id->renew_at_s, err) < 0)
		return -1;
	return need_root ? get_base64(obj, "root", &id->root, err) : 0;
}

int identity_from_answer(struct identity *id, struct slice json_text, bool need_root, struct error *err)
{
	struct json doc = JSON_INIT;
	int r = -1;

	if (json_parse(&doc, json_text, JSON_STRICT, err) == 0 &&
	    read_members(id, json_root(&doc), need_root, err) == 0 && check_certificate(id, err) == 0)
		r = 0;
	json_release(&doc);
	return r;
}

int identity_check_renewed(const struct identity *next, const struct identity *old, struct error *err)
{
	struct x509 cert, ca;

	if (strcmp(next->device, old->device) != 0 || strcmp(next->site, old->site) != 0)
		return error_set(err, ERR_REFUSED, "the renewed certificate is for '%s' of site '%s'", next->device,
				 next->site);
	if (!slice_equal(buf_slice(&next->server_ca), buf_slice(&old->server_ca)) ||
	    !slice_equal(buf_slice(&next->device_ca), buf_slice(&old->device_ca))) {
		error_set(err, ERR_REFUSED, "the renewal comes with another CA");
		return error_hint(err, "a device learns a new CA at enrolment only");
	}
	if (x509_read(&cert, buf_slice(&next->certificate), err) < 0 ||
	    x509_read(&ca, buf_slice(&old->device_ca), err) < 0 ||
	    x509_chain_check(&cert, &ca, X509_EKU_CLIENT, cert.not_before_s, 0, err) < 0)
		return error_wrap(err, "renewed certificate");
	return 0;
}

static void put_base64(struct json_writer *w, const char *name, const struct buf *bytes)
{
	struct buf text = BUF_INIT(IDENTITY_SIZE_MAX);

	base64_put(&text, buf_slice(bytes));
	json_put_slice(w, name, buf_slice(&text));
	buf_release(&text);
}

static void put_identity(struct buf *out, const struct identity *id, const char *key_file)
{
	struct json_writer w = JSON_WRITER(out);
	char text[TIME_TEXT_LEN];

	w.indent = 2;
	json_open_object(&w, NULL);
	json_put_string(&w, "device", id->device);
	json_put_string(&w, "site", id->site);
	json_put_string(&w, "key", key_file);
	json_put_string(&w, "device_url", id->device_url);
	json_put_string(&w, "repository_url", id->repository_url);
	json_put_string(&w, "not_after", time_text(text, id->not_after_s));
	json_put_string(&w, "renew_at", time_text(text, id->renew_at_s));
	put_base64(&w, "certificate", &id->certificate);
	put_base64(&w, "device_ca", &id->device_ca);
	put_base64(&w, "server_ca", &id->server_ca);
	put_base64(&w, "root", &id->root);
	json_close(&w);
	buf_put_u8(out, '\n');
}

/* ---- files ---- */

/* "device-0123456789abcdef": named after the public key, so that a new key never overwrites an old one. */
static void key_name(char out[static 32], const struct seckey *key)
{
	const struct pubkey *pub = seckey_public(key);
	uint8_t hash[SHA256_LEN];
	char hex[17];

	sha256_of(slice_of(pub->data, pub->len), hash);
	hex_encode(hex, hash, 8);
	snprintf(out, 32, KEY_PREFIX "%s", hex);
}

/*
 * Key files that identity.json does not name belong to former certificates, or to attempts that were cut short; those
 * whose names begin with `keep` or `keep_too` stay.
 */
static int remove_other_keys(int dirfd, const char *keep, const char *keep_too, struct error *err)
{
	int fd = file_open(dirfd, ".", O_RDONLY | O_DIRECTORY, 0, err);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (d == NULL) {
		file_close(&fd);
		return -1;
	}
	while (r == 0 && (e = readdir(d)) != NULL)
		if (slice_starts(slice_str(e->d_name), SLICE_LIT(KEY_PREFIX)) &&
		    !slice_starts(slice_str(e->d_name), slice_str(keep)) &&
		    !slice_starts(slice_str(e->d_name), slice_str(keep_too)))
			r = file_unlink(dirfd, e->d_name, err);
	closedir(d);
	return r;
}

int identity_store(const struct identity *id, int dirfd, int64_t now_s, struct error *err)
{
	struct buf text = BUF_INIT(IDENTITY_SIZE_MAX);
	struct error ignored = ERROR_INIT;
	char name[32], file[48];
	int r = -1;

	key_name(name, id->key);
	snprintf(file, sizeof(file), "%s.key", name);
	if (!file_exists(dirfd, file) && keyfile_write(dirfd, name, id->key, SLICE_EMPTY, "device", now_s, err) < 0)
		goto out;
	put_identity(&text, id, file);
	if (file_replace(dirfd, IDENTITY_FILE, 0600, buf_slice(&text), err) < 0)
		goto out;
	(void)!remove_other_keys(dirfd, name, name, &ignored);	/* the identity is in force all the same */
	r = 0;
out:
	buf_release(&text);
	return r;
}

bool identity_renewing(const struct identity *id, int dirfd)
{
	struct error ignored = ERROR_INIT;
	struct keyfile k;

	return file_exists(dirfd, RENEWING_KEY ".key") && keyfile_read(dirfd, RENEWING_KEY ".key", &k, &ignored) == 0 &&
	       !pubkey_equal(&k.pub, seckey_public(id->key));
}

int identity_tidy(const struct identity *id, int dirfd, struct error *err)
{
	char name[32];

	key_name(name, id->key);
	return remove_other_keys(dirfd, name, identity_renewing(id, dirfd) ? RENEWING_KEY : name, err);
}

struct seckey *identity_attempt_key(int dirfd, const char *name, int64_t now_s, struct error *err)
{
	struct error why = ERROR_INIT;
	char file[64], pub[64];
	struct seckey *key;

	snprintf(file, sizeof(file), "%s.key", name);
	snprintf(pub, sizeof(pub), "%s.pub", name);
	if (file_exists(dirfd, file) && (key = keyfile_open(dirfd, file, SLICE_EMPTY, &why)) != NULL)
		return key;
	if (why.sys_errno != 0) {	/* not the file's fault: it may be readable the next time */
		*err = why;
		return NULL;
	}
	/* What is damaged, or a public half alone, as an interrupted removal leaves it, must not be in the way. */
	if (file_unlink(dirfd, file, err) < 0 || file_unlink(dirfd, pub, err) < 0)
		return NULL;
	key = seckey_generate(KEY_ECDSA_P256, err);
	if (key != NULL && keyfile_write(dirfd, name, key, SLICE_EMPTY, "device", now_s, err) < 0) {
		seckey_free(key);
		return NULL;
	}
	return key;
}

static int load_parsed(struct identity *id, int dirfd, struct json_value obj, struct error *err)
{
	char file[64];

	if (get_text(obj, "key", file, sizeof(file), err) < 0 || filename_check(slice_str(file), err) < 0)
		return -1;
	id->key = keyfile_open(dirfd, file, SLICE_EMPTY, err);
	if (id->key == NULL)
		return -1;
	if (read_members(id, obj, true, err) < 0)
		return -1;
	return check_certificate(id, err);
}

int identity_load(struct identity *id, int dirfd, struct error *err)
{
	struct buf text = BUF_INIT(IDENTITY_SIZE_MAX);
	struct json doc = JSON_INIT;
	int r = -1;

	if (file_read_private(dirfd, IDENTITY_FILE, &text, err) < 0) {
		if (err->kind == ERR_NOT_FOUND) {
			error_set(err, ERR_NOT_FOUND, "this device is not enrolled");
			error_hint(err, "meshanics agent enroll, with --token-file (meshanics enroll token create) or --media (enroll request)");
		}
		goto out;
	}
	if (json_parse(&doc, buf_slice(&text), JSON_STRICT, err) < 0 ||
	    load_parsed(id, dirfd, json_root(&doc), err) < 0) {
		error_wrap(err, "agent/" IDENTITY_FILE);
		error_hint(err, "enrol again with a token made for this device's name");
		goto out;
	}
	r = 0;
out:
	json_release(&doc);
	buf_release(&text);
	return r;
}
