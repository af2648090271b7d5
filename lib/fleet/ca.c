/* The CAs on disk, and what they issue. */
#include "fleet/ca.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/name.h"
#include "base/timefmt.h"
#include "crypto/keyfile.h"
#include "crypto/pem.h"
#include "sys/file.h"

static const char *const kind_names[CA_COUNT] = {
	[CA_DEVICE] = "device",
	[CA_SERVER] = "server",
	[CA_OPERATOR] = "operator",
};

const char *ca_kind_name(enum ca_kind kind)
{
	return kind_names[kind];
}

#define CA_FILE_MAX 32
#define CLOCK_SANE_S INT64_C(1577836800)	/* 2020: a clock before it has not been set */

static const char *key_path(char out[static CA_FILE_MAX], enum ca_kind kind)
{
	snprintf(out, CA_FILE_MAX, "%s.key", kind_names[kind]);
	return out;
}

static const char *pem_path(char out[static CA_FILE_MAX], enum ca_kind kind)
{
	snprintf(out, CA_FILE_MAX, "%s.pem", kind_names[kind]);
	return out;
}

/* The key of a CA in the making: the one that an init which was cut short has left, or a new one on disk. */
static struct seckey *init_key(int dirfd, enum ca_kind kind, int64_t now_s, struct error *err)
{
	char path[CA_FILE_MAX], comment[64];
	struct seckey *key;

	if (file_exists(dirfd, key_path(path, kind)))
		return keyfile_open(dirfd, path, SLICE_EMPTY, err);
	if ((key = seckey_generate(KEY_ECDSA_P256, err)) == NULL)
		return NULL;
	snprintf(comment, sizeof(comment), "meshanics %s CA", kind_names[kind]);
	if (keyfile_write(dirfd, kind_names[kind], key, SLICE_EMPTY, comment, now_s, err) < 0) {
		seckey_free(key);
		return NULL;
	}
	return key;
}

/* The certificate is written last: where it is, the CA is whole. */
static int init_one(int dirfd, enum ca_kind kind, const char *site, int64_t now_s, int64_t life_s,
		    struct error *err)
{
	struct buf der = BUF_INIT(X509_SIZE_MAX), pem = BUF_INIT(X509_PEM_MAX);
	struct seckey *key = init_key(dirfd, kind, now_s, err);
	char path[CA_FILE_MAX], cn[X509_CN_MAX];
	int r = -1;

	if (key == NULL)
		goto out;
	snprintf(cn, sizeof(cn), "meshanics %s CA", kind_names[kind]);
	if (x509_issue(&der,
		       &(struct x509_spec){
			       .org = site,
			       .cn = cn,
			       .key = seckey_public(key),
			       .not_before_s = now_s - X509_BACKDATE_S,
			       .not_after_s = now_s + life_s,
			       .is_ca = true,
		       },
		       NULL, key, err) < 0)
		goto out;
	pem_put(&pem, X509_PEM_LABEL, buf_slice(&der));
	r = file_create(dirfd, pem_path(path, kind), 0644, buf_slice(&pem), err);
out:
	seckey_free(key);
	buf_release(&der);
	buf_release(&pem);
	return r;
}

int ca_init(int dirfd, const char *site, int64_t now_s, int64_t life_s, struct error *err)
{
	char path[CA_FILE_MAX], now[TIME_TEXT_LEN];
	unsigned kind, whole = 0;

	if (name_check(slice_str(site), "site", err) < 0)
		return -1;
	if (life_s < CA_LIFE_MIN_S || life_s > CA_LIFE_MAX_S)
		return error_set(err, ERR_USAGE, "the life of a CA is 30 days to 20 years");
	if (now_s < CLOCK_SANE_S) {
		error_set(err, ERR_RETRY, "the clock says %s", time_text(now, now_s));
		return error_hint(err, "set the clock first: every certificate depends on it");
	}
	for (kind = 0; kind < CA_COUNT; kind++)
		whole += file_exists(dirfd, pem_path(path, (enum ca_kind)kind));
	if (whole == CA_COUNT) {
		error_set(err, ERR_CONFLICT, "the CAs exist already");
		return error_hint(err, "'meshanics ca show' describes them");
	}
	for (kind = 0; kind < CA_COUNT; kind++) {
		if (file_exists(dirfd, pem_path(path, (enum ca_kind)kind)))
			continue;
		if (init_one(dirfd, (enum ca_kind)kind, site, now_s, life_s, err) < 0)
			return error_wrap(err, "cannot make the %s CA", kind_names[kind]);
	}
	return 0;
}

static int read_certificate(struct ca *ca, int dirfd, struct error *err)
{
	struct buf pem = BUF_INIT(X509_PEM_MAX);
	char path[CA_FILE_MAX];
	int r = -1;

	if (file_read(dirfd, pem_path(path, ca->kind), &pem, err) < 0) {
		if (err->kind == ERR_NOT_FOUND)
			error_hint(err, "'meshanics ca init' makes the CAs");
		goto out;
	}
	if (pem_get(buf_slice(&pem), X509_PEM_LABEL, &ca->der, err) < 0 ||
	    x509_read(&ca->cert, buf_slice(&ca->der), err) < 0) {
		error_wrap(err, "'%s'", path);
		goto out;
	}
	x509_fingerprint(ca->fingerprint, buf_slice(&ca->der));
	r = 0;
out:
	buf_release(&pem);
	return r;
}

static int read_key(struct ca *ca, int dirfd, struct error *err)
{
	char path[CA_FILE_MAX];

	ca->key = keyfile_open(dirfd, key_path(path, ca->kind), SLICE_EMPTY, err);
	if (ca->key == NULL)
		return -1;
	if (!pubkey_equal(seckey_public(ca->key), &ca->cert.key))
		return error_set(err, ERR_REFUSED, "key '%s' does not belong to the certificate beside it", path);
	return 0;
}

int ca_open(struct ca *ca, int dirfd, enum ca_kind kind, bool with_key, struct error *err)
{
	*ca = (struct ca){.kind = kind, .der = BUF_INIT(X509_SIZE_MAX)};
	if (read_certificate(ca, dirfd, err) == 0 && (!with_key || read_key(ca, dirfd, err) == 0))
		return 0;
	ca_release(ca);
	return error_wrap(err, "cannot open the %s CA in control/ca", kind_names[kind]);
}

void ca_release(struct ca *ca)
{
	seckey_free(ca->key);
	buf_release(&ca->der);
	*ca = (struct ca){.kind = ca->kind};
}

int ca_open_all(struct ca ca[static CA_COUNT], int dirfd, struct error *err)
{
	unsigned kind;

	memset(ca, 0, CA_COUNT * sizeof(*ca));
	for (kind = 0; kind < CA_COUNT; kind++) {
		if (ca_open(&ca[kind], dirfd, (enum ca_kind)kind, true, err) < 0) {
			ca_release_all(ca);
			return -1;
		}
	}
	return 0;
}

void ca_release_all(struct ca ca[static CA_COUNT])
{
	unsigned kind;

	for (kind = 0; kind < CA_COUNT; kind++)
		ca_release(&ca[kind]);
}

static int64_t max_s(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t min_s(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

int ca_issue(const struct ca *ca, struct buf *der_out, struct x509_spec spec, int64_t now_s, int64_t life_s,
	     struct error *err)
{
	if (x509_ca_check(&ca->cert, now_s, err) < 0) {
		if (now_s < ca->cert.not_before_s)
			err->kind = ERR_RETRY;	/* it is our own: the clock is wrong */
		return error_wrap(err, "the %s CA cannot issue", kind_names[ca->kind]);
	}
	spec.not_before_s = max_s(now_s - X509_BACKDATE_S, ca->cert.not_before_s);
	spec.not_after_s = min_s(now_s + life_s, ca->cert.not_after_s);
	return x509_issue(der_out, &spec, &ca->cert, ca->key, err);
}

static int issue_server(struct server_identity *id, const struct ca *ca, const char *const *names, size_t count,
			int64_t now_s, struct error *err)
{
	uint8_t ip[X509_SANS_MAX][16];
	struct x509_san san[X509_SANS_MAX];
	size_t i;

	for (i = 0; i < count; i++) {
		if (x509_san_of_host(&san[i], ip[i], names[i], err) < 0) {
			err->kind = ERR_USAGE;
			return error_wrap(err, "serve.public_names");
		}
	}
	if ((id->key = seckey_generate(KEY_ECDSA_P256, err)) == NULL)
		return -1;
	return ca_issue(ca, &id->der,
			(struct x509_spec){
				.cn = "meshanics server",
				.key = seckey_public(id->key),
				.eku = X509_EKU_SERVER,
				.san = san,
				.san_count = count,
			},
			now_s, SERVER_CERT_LIFE_S, err);
}

int server_identity_make(struct server_identity *id, const struct ca *server_ca, const char *const *names,
			 size_t count, int64_t now_s, struct error *err)
{
	*id = (struct server_identity){.der = BUF_INIT(X509_SIZE_MAX)};
	if (count < 1 || count > X509_SANS_MAX)
		return error_set(err, ERR_USAGE, "serve.public_names has %zu entries, not 1 to %d", count,
				 X509_SANS_MAX);
	if (issue_server(id, server_ca, names, count, now_s, err) < 0) {
		server_identity_release(id);
		return -1;
	}
	id->not_after_s = min_s(now_s + SERVER_CERT_LIFE_S, server_ca->cert.not_after_s);
	id->renew_at_s = now_s + (id->not_after_s - now_s) / 2;
	return 0;
}

void server_identity_release(struct server_identity *id)
{
	seckey_free(id->key);
	buf_release(&id->der);
	*id = (struct server_identity){.der = BUF_INIT(X509_SIZE_MAX)};
}
