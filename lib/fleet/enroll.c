/* Enrolment and renewal. */
#include "fleet/enroll.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/encode.h"
#include "base/timefmt.h"
#include "fleet/enroll_internal.h"
#include "store/devices.h"
#include "store/tokens.h"

char *device_urn(char out[static DEVICE_URN_MAX], const char *site, const char *device)
{
	snprintf(out, DEVICE_URN_MAX, "urn:meshanics:%s:device:%s", site, device);
	return out;
}

void enroll_grant_init(struct enroll_grant *g)
{
	*g = (struct enroll_grant){.der = BUF_INIT(X509_SIZE_MAX)};
}

void enroll_grant_release(struct enroll_grant *g)
{
	buf_release(&g->der);
	enroll_grant_init(g);
}

static void hash_hex(char out[static SHA256_HEX_LEN], struct slice s)
{
	uint8_t hash[SHA256_LEN];

	sha256_of(s, hash);
	hex_encode(out, hash, sizeof(hash));
}

/* ---- the token ---- */

static int check_home(const struct enroll_token *t, const struct enroll_server *server, struct error *err)
{
	if (strcmp(t->site, server->site) != 0)
		return error_set(err, ERR_REFUSED, "the token is for site '%s', this is site '%s'", t->site,
				 server->site);
	if (memcmp(t->server_ca, server->ca[CA_SERVER].fingerprint, sizeof(t->server_ca)) != 0)
		return error_set(err, ERR_REFUSED, "the token was made under another server CA");
	return 0;
}

/*
 * The row of the token whose text was presented. One wording for an unknown id and a wrong secret, and the
 * same work for both.
 */
static int recognise(struct db *db, const struct enroll_server *server, struct slice text, struct token_row *row,
		     struct error *err)
{
	char hash[SHA256_HEX_LEN];
	struct enroll_token t;
	int r = -1, found;

	*row = (struct token_row){.uses_left = 0};
	if (enroll_token_parse(&t, text, err) < 0)
		return -1;
	if (check_home(&t, server, err) < 0 || (found = token_find(db, t.id, row, err)) < 0)
		goto out;
	hash_hex(hash, slice_of(t.secret, sizeof(t.secret)));
	if (!secret_equal(slice_str(hash), slice_str(row->secret_hash)) || found == 0)
		error_set(err, ERR_REFUSED, "the token is not known here");
	else
		r = 0;
out:
	enroll_token_wipe(&t);
	return r;
}

static int check_token(const struct token_row *t, int64_t now_s, struct error *err)
{
	char when[TIME_TEXT_LEN], now[TIME_TEXT_LEN];

	if (t->revoked_s != 0)
		return error_set(err, ERR_REFUSED, "token %s was revoked at %s", t->id, time_text(when, t->revoked_s));
	if (now_s > t->expires_s)
		return error_set(err, ERR_REFUSED, "token %s ended at %s", t->id, time_text(when, t->expires_s));
	if (now_s < t->created_s) {
		error_set(err, ERR_RETRY, "token %s was made at %s and the server's clock says %s", t->id,
			  time_text(when, t->created_s), time_text(now, now_s));
		return error_hint(err, "set the server's clock");
	}
	return 0;
}

static int use_token(struct db *db, const struct token_row *t, struct error *err)
{
	if (t->uses_left > 0)
		return token_use(db, t->id, err);
	error_set(err, ERR_REFUSED, "token %s is used up (%lld of %lld)", t->id, (long long)t->uses_max,
		  (long long)t->uses_max);
	return error_hint(err, "make another with 'meshanics enroll token create'");
}

/* ---- the request ---- */

/* The server assigns names: a request may repeat the name it will get, and nothing else. */
static int check_wishes(const struct csr *csr, const char *urn, struct error *err)
{
	size_t i;

	if (csr->wants_ca)
		return error_set(err, ERR_REFUSED, "the request asks for a CA certificate");
	for (i = 0; i < csr->san_count; i++)
		if (csr->san[i].type != X509_SAN_URI || !slice_equal_str(csr->san[i].value, urn))
			return error_set(err, ERR_REFUSED, "the request asks for a name other than '%s'", urn);
	return 0;
}

void enroll_key_hash(char out[static SHA256_HEX_LEN], const struct pubkey *key)
{
	hash_hex(out, slice_of(key->data, key->len));
}

/* The grant names the device; token_id is "" for a renewal. */
int enroll_issue(struct db *db, const struct enroll_server *server, const struct csr *csr, int64_t now_s,
		 struct enroll_grant *g, struct error *err)
{
	struct certificate_row row = {.device_id = g->device_id, .issued_s = now_s};
	char urn[DEVICE_URN_MAX];
	struct x509 cert;
	struct x509_san san;

	device_urn(urn, server->site, g->device);
	san = (struct x509_san){X509_SAN_URI, slice_str(urn)};
	if (check_wishes(csr, urn, err) < 0 ||
	    ca_issue(&server->ca[CA_DEVICE], &g->der,
		     (struct x509_spec){
			     .org = server->site,
			     .cn = g->device,
			     .key = &csr->key,
			     .eku = X509_EKU_CLIENT,
			     .san = &san,
			     .san_count = 1,
		     },
		     now_s, server->certificate_life_s, err) < 0 ||
	    x509_read(&cert, buf_slice(&g->der), err) < 0)
		return -1;
	x509_fingerprint(g->fingerprint, buf_slice(&g->der));
	hex_encode(row.fingerprint, g->fingerprint, SHA256_LEN);
	hex_encode(row.serial, cert.serial.ptr, cert.serial.len);
	enroll_key_hash(row.key_hash, &csr->key);
	memcpy(row.token_id, g->token_id, sizeof(row.token_id));
	memcpy(row.subject, g->device, sizeof(row.subject));
	row.not_before_s = cert.not_before_s;
	row.not_after_s = g->not_after_s = cert.not_after_s;
	g->renew_at_s = now_s + (cert.not_after_s - now_s) / 3 * 2;
	return certificate_insert(db, "device", &row, buf_slice(&g->der), err);
}

/* ---- the name ---- */

/* What of a host name can be in a device name: lower case, other bytes as hyphens, first label only. */
static size_t name_of_host(char out[static NAME_LEN_MAX + 1], struct slice host)
{
	size_t i, n = 0;

	for (i = 0; i < host.len && n < ENROLL_PREFIX_MAX && host.ptr[i] != '.'; i++) {
		uint8_t c = host.ptr[i];

		if (c >= 'A' && c <= 'Z')
			c |= 0x20;
		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
			out[n++] = (char)c;
		else if (n > 0 && out[n - 1] != '-')
			out[n++] = '-';
	}
	while (n > 0 && out[n - 1] == '-')
		n--;
	out[n] = '\0';
	return n;
}

/* PREFIX-N with N above all that are there, and at least `first`, in at least `digits` digits. */
static int numbered_name(struct db *db, const char *prefix, int64_t first, int digits,
			 char out[static NAME_LEN_MAX + 1], struct error *err)
{
	int64_t highest;

	if (device_highest_number(db, slice_str(prefix), &highest, err) < 0)
		return -1;
	if (highest + 1 > first)
		first = highest + 1;
	snprintf(out, NAME_LEN_MAX + 1, "%s-%0*lld", prefix, digits, (long long)first);
	return 0;
}

int enroll_choose_name(struct db *db, const struct token_row *t, struct slice hostname,
		       char out[static NAME_LEN_MAX + 1], struct error *err)
{
	char base[NAME_LEN_MAX + 1];
	struct device taken;

	if (t->name_prefix[0] != '\0')
		return numbered_name(db, t->name_prefix, 1, 4, out, err);
	if (name_of_host(base, hostname) == 0 || strcmp(base, "localhost") == 0)
		return numbered_name(db, "device", 1, 4, out, err);
	if (device_find(db, slice_str(base), &taken, err) == 0)
		return numbered_name(db, base, 2, 1, out, err);
	if (err->kind != ERR_NOT_FOUND)
		return -1;
	memcpy(out, base, sizeof(base));
	return 0;
}

static int add_tags(struct db *db, int64_t device_id, const char *tags, struct error *err)
{
	struct slice rest = slice_str(tags);

	while (rest.len > 0) {
		size_t end = slice_find(rest, ',', 0);

		if (device_tag_add(db, device_id, slice_sub(rest, 0, end), err) < 0)
			return -1;
		rest = end == SIZE_MAX ? SLICE_EMPTY : slice_sub(rest, end + 1, SIZE_MAX);
	}
	return 0;
}

/* The device that a token for one name, or an operator, is about takes it over: what went before is revoked. */
static int take_over(struct db *db, const struct device *d, int64_t now_s, struct enroll_grant *g, struct error *err)
{
	char reason[64];
	int64_t revoked;

	if (g->token_id[0] == '\0')
		snprintf(reason, sizeof(reason), "enrolled again by media");
	else
		snprintf(reason, sizeof(reason), "enrolled again with token %s", g->token_id);
	g->device_id = d->id;
	if (certificates_revoke(db, d->id, reason, now_s, &revoked, err) < 0 ||
	    orders_drop(db, d->id, now_s, err) < 0)
		return -1;
	g->revoked = (unsigned)revoked;
	return device_set_state(db, d->id, DEVICE_ENROLLED, err);
}

int enroll_settle(struct db *db, const struct token_row *t, struct slice hostname, int64_t now_s,
		  struct enroll_grant *g, struct error *err)
{
	struct device d;

	if (t->device[0] != '\0') {
		memcpy(g->device, t->device, sizeof(g->device));
		if (device_find(db, slice_str(g->device), &d, err) == 0) {
			if (take_over(db, &d, now_s, g, err) < 0)
				return -1;
			return add_tags(db, g->device_id, t->tags, err);
		}
		if (err->kind != ERR_NOT_FOUND)
			return -1;
	} else if (enroll_choose_name(db, t, hostname, g->device, err) < 0) {
		return -1;
	}
	if (device_add(db, slice_str(g->device), now_s, &g->device_id, err) < 0)
		return -1;
	return add_tags(db, g->device_id, t->tags, err);
}

/* ---- enrolment ---- */

int enroll_grant_row(struct db *db, const struct certificate_row *row, struct enroll_grant *g, struct error *err)
{
	if (certificate_der(db, row->fingerprint, &g->der, err) < 0)
		return -1;
	x509_fingerprint(g->fingerprint, buf_slice(&g->der));
	snprintf(g->device, sizeof(g->device), "%s", row->subject);
	g->device_id = row->device_id;
	g->not_after_s = row->not_after_s;
	g->renew_at_s = row->issued_s + (row->not_after_s - row->issued_s) / 3 * 2;
	g->again = true;
	return 0;
}

/* 1: this token and key have a certificate that still holds, and the grant is it; 0: no; -1. */
static int grant_again(struct db *db, const struct token_row *t, const struct csr *csr, int64_t now_s,
		       struct enroll_grant *g, struct error *err)
{
	struct certificate_row row;
	char key_hash[SHA256_HEX_LEN];
	int r;

	enroll_key_hash(key_hash, &csr->key);
	if ((r = certificate_find_enrolled(db, t->id, key_hash, &row, err)) <= 0)
		return r;
	if (cert_row_status(&row, now_s) != CERT_ACTIVE)
		return 0;
	return enroll_grant_row(db, &row, g, err) < 0 ? -1 : 1;
}

/* Name, rows and certificate, or none of them. */
static int grant_new(struct db *db, const struct enroll_server *server, const struct token_row *t,
		     const struct enroll_request *request, const struct csr *csr, int64_t now_s,
		     struct enroll_grant *g, struct error *err)
{
	if (db_savepoint(db, err) < 0)
		return -1;
	if (enroll_settle(db, t, request->hostname, now_s, g, err) < 0 ||
	    enroll_issue(db, server, csr, now_s, g, err) < 0) {
		db_savepoint_undo(db);
		return -1;
	}
	return db_savepoint_keep(db, err);
}

/* A token that is ours was presented: from here on a refusal is worth a row, and a use is a use. */
static int enroll_recognised(struct db *db, const struct enroll_server *server,
			     const struct enroll_request *request, const struct token_row *t, int64_t now_s,
			     struct enroll_grant *g, struct error *err)
{
	struct error unread = ERROR_INIT;
	struct csr csr;
	int r, readable;

	if (check_token(t, now_s, err) < 0)
		return -1;
	readable = csr_read(&csr, request->csr, &unread);
	if (readable == 0 && (r = grant_again(db, t, &csr, now_s, g, err)) != 0)
		return r < 0 ? -1 : 0;
	if (use_token(db, t, err) < 0)
		return -1;
	if (readable < 0) {
		*err = unread;
		return -1;
	}
	return grant_new(db, server, t, request, &csr, now_s, g, err);
}

int enroll_device(struct db *db, const struct enroll_server *server, const struct enroll_request *request,
		  int64_t now_s, struct enroll_grant *grant, bool *refused, struct error *err)
{
	struct token_row *t = xmalloc(sizeof(*t));
	int r = recognise(db, server, request->token, t, err);

	*refused = false;
	if (r == 0) {
		memcpy(grant->token_id, t->id, sizeof(grant->token_id));
		*refused = enroll_recognised(db, server, request, t, now_s, grant, err) < 0;
		if (*refused)
			buf_clear(&grant->der);
	}
	free(t);
	return r;
}

/* ---- renewal ---- */

static int check_count(struct db *db, const struct cert_identity *id, int64_t now_s, struct error *err)
{
	int64_t live;

	if (certificates_live(db, id->device_id, now_s, &live, err) < 0)
		return -1;
	if (live < ENROLL_CERTS_LIVE_MAX)
		return 0;
	error_set(err, ERR_RETRY, "device '%s' has %lld certificates already", id->device, (long long)live);
	return error_hint(err, "the older ones end within a day");
}

/*
 * The device may have lost the answer to an earlier renewal, and come back when its old certificate has long been
 * superseded. That its request is signed by the newer certificate's key shows who it is: it is judged by that one.
 * 1: the newer one holds, and is granted once more; 0: another is to be issued; -1.
 */
static int renewed_already(struct db *db, const struct enroll_server *server, const struct cert_identity *shown,
			   const uint8_t fingerprint[static SHA256_LEN], const struct csr *csr, int64_t now_s,
			   struct enroll_grant *g, struct error *err)
{
	char key_hash[SHA256_HEX_LEN], hex[SHA256_HEX_LEN];
	uint8_t newer_fingerprint[SHA256_LEN];
	struct cert_identity newer;
	struct certificate_row row;
	int r;

	hex_encode(hex, fingerprint, SHA256_LEN);
	enroll_key_hash(key_hash, &csr->key);
	if ((r = certificate_find_key(db, shown->device_id, key_hash, &row, err)) < 0)
		return -1;
	if (r > 0 && strcmp(row.fingerprint, hex) != 0 && cert_row_status(&row, now_s) == CERT_ACTIVE)
		return enroll_grant_row(db, &row, g, err) < 0 ? -1 : 1;
	if (shown->status != CERT_SUPERSEDED)
		return 0;
	if (r == 0 || cert_row_status(&row, now_s) == CERT_SUPERSEDED)
		return cert_refuse_superseded(shown, err);
	if (hex_decode(newer_fingerprint, SHA256_LEN, slice_str(row.fingerprint), err) < 0 ||
	    cert_lookup(db, newer_fingerprint, now_s, &newer, err) < 0)
		return -1;
	return cert_check(&newer, CERT_USE_RENEW, server->renew_grace_s, now_s, err);
}

int enroll_renew(struct db *db, const struct enroll_server *server, const uint8_t fingerprint[static SHA256_LEN],
		 struct slice csr_der, int64_t now_s, struct enroll_grant *grant, struct error *err)
{
	struct cert_identity id;
	char hex[SHA256_HEX_LEN];
	struct csr csr;
	int r;

	if (cert_lookup(db, fingerprint, now_s, &id, err) < 0 ||
	    cert_check(&id, CERT_USE_RENEW, server->renew_grace_s, now_s, err) < 0 || csr_read(&csr, csr_der, err) < 0)
		return -1;
	if ((r = renewed_already(db, server, &id, fingerprint, &csr, now_s, grant, err)) != 0)
		return r < 0 ? -1 : 0;
	if (check_count(db, &id, now_s, err) < 0)
		return -1;
	memcpy(grant->device, id.device, sizeof(grant->device));
	grant->device_id = id.device_id;
	if (enroll_issue(db, server, &csr, now_s, grant, err) < 0)
		return -1;
	hex_encode(hex, grant->fingerprint, SHA256_LEN);
	if (certificates_supersede(db, id.device_id, hex, now_s + CERT_OVERLAP_S, err) < 0)
		return -1;
	return certificates_forget(db, id.device_id, now_s - server->renew_grace_s - CERT_OVERLAP_S, err);
}
