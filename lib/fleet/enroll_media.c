/* Enrolment and renewal of devices that no network reaches: by a request on a stick, for which an operator stands. */
#include <stdio.h>
#include <stdlib.h>

#include "base/encode.h"
#include "base/timefmt.h"
#include "bundle/enrolment.h"
#include "fleet/enroll_internal.h"
#include "store/devices.h"
#include "store/tokens.h"

/* The terms in the form in which a token says them. */
static int read_terms(struct token_row *t, const struct enroll_terms *terms, struct error *err)
{
	*t = (struct token_row){.uses_left = 0};
	if (enroll_check_names(terms->device, terms->name_prefix, "a request", err) < 0 ||
	    enroll_join_tags(t->tags, sizeof(t->tags), terms->tags, terms->tag_count, err) < 0)
		return -1;
	snprintf(t->device, sizeof(t->device), "%.*s", SLICE_ARG(terms->device));
	snprintf(t->name_prefix, sizeof(t->name_prefix), "%.*s", SLICE_ARG(terms->name_prefix));
	return 0;
}

/* ---- a new device ---- */

/* A request that lay in a drawer must not bring back what has ended since. */
static int refuse_over(const struct certificate_row *row, int64_t now_s, struct error *err)
{
	error_set(err, ERR_REFUSED, "the key of this request had a certificate as '%s', which is %s", row->subject,
		  cert_status_name(cert_row_status(row, now_s)));
	return error_hint(err, "on the device: remove HOME/agent/device-enrolling.key, and make a new request");
}

/* 1: the key of the request has a certificate that holds, in row; 0: it has none; -1. */
static int find_former(struct db *db, const struct enrolment_request *q, const struct token_row *t, int64_t now_s,
		       struct certificate_row *row, struct error *err)
{
	char key_hash[SHA256_HEX_LEN];
	int r;

	enroll_key_hash(key_hash, &q->key);
	if ((r = certificate_find_any(db, key_hash, row, err)) <= 0)
		return r;
	if (cert_row_status(row, now_s) != CERT_ACTIVE)
		return refuse_over(row, now_s, err);
	if (t->device[0] != '\0' && strcmp(t->device, row->subject) != 0)
		return error_set(err, ERR_CONFLICT, "the key of this request has a certificate as '%s', not '%s'",
				 row->subject, t->device);
	return 1;
}

static int enroll_new(struct db *db, const struct enroll_server *server, const struct enrolment_request *q,
		      const struct token_row *t, int64_t now_s, struct enroll_grant *g, struct error *err)
{
	struct certificate_row row;
	struct csr csr;
	int r = find_former(db, q, t, now_s, &row, err);

	if (r != 0)
		return r < 0 ? -1 : enroll_grant_row(db, &row, g, err);
	if (csr_read(&csr, buf_slice(&q->csr), err) < 0)
		return -1;
	if (enroll_settle(db, t, slice_str(q->hostname), now_s, g, err) < 0)
		return -1;
	return enroll_issue(db, server, &csr, now_s, g, err);
}

/* ---- renewal ---- */

/* The certificate that the request names is ours, and its key has signed the request. */
static int check_present(struct db *db, const struct enroll_server *server, const struct enrolment_request *q,
			 struct error *err)
{
	struct buf der = BUF_INIT(X509_SIZE_MAX);
	char hex[SHA256_HEX_LEN];
	struct x509 cert;
	int r = -1;

	if (strcmp(q->site, server->site) != 0)
		return error_set(err, ERR_REFUSED, "the request is for site '%s', this is site '%s'", q->site, server->site);
	hex_encode(hex, q->certificate, SHA256_LEN);
	if (certificate_der(db, hex, &der, err) < 0) {
		if (err->kind == ERR_NOT_FOUND) {
			error_set(err, ERR_DENIED, "the certificate that device '%s' renews is not known here", q->device);
			error_hint(err, "enrol it again: remove HOME/agent/identity.json there, and make a new request");
		}
	} else if (x509_read(&cert, buf_slice(&der), err) == 0) {
		r = enrolment_request_check(q, &cert.key, err);
	}
	buf_release(&der);
	return r;
}

static int check_no_terms(const struct enroll_terms *terms, struct error *err)
{
	if (terms->device.len == 0 && terms->name_prefix.len == 0 && terms->tag_count == 0)
		return 0;
	return error_set(err, ERR_USAGE, "a renewal keeps the device's name and tags");
}

int enroll_sign(struct db *db, const struct enroll_server *server, const struct enrolment_request *q,
		const struct enroll_terms *terms, int64_t now_s, struct enroll_grant *g, struct error *err)
{
	struct token_row *t;
	int r = -1;

	if (q->renew) {
		if (check_no_terms(terms, err) < 0 || check_present(db, server, q, err) < 0)
			return -1;
		return enroll_renew(db, server, q->certificate, buf_slice(&q->csr), now_s, g, err);
	}
	t = xmalloc(sizeof(*t));
	if (read_terms(t, terms, err) == 0)
		r = enroll_new(db, server, q, t, now_s, g, err);
	free(t);
	return r;
}

/* ---- what it would be ---- */

static int plan_renewal(struct db *db, const struct enroll_server *server, const struct enrolment_request *q,
			int64_t now_s, struct enroll_plan *p, struct error *err)
{
	char key_hash[SHA256_HEX_LEN];
	struct certificate_row row;
	struct cert_identity id;
	int r;

	if (check_present(db, server, q, err) < 0 || cert_lookup(db, q->certificate, now_s, &id, err) < 0 ||
	    cert_check(&id, CERT_USE_RENEW, server->renew_grace_s, now_s, err) < 0)
		return -1;
	enroll_key_hash(key_hash, &q->key);
	if ((r = certificate_find_key(db, id.device_id, key_hash, &row, err)) < 0)
		return -1;
	snprintf(p->device, sizeof(p->device), "%s", id.device);
	p->known = true;
	p->again = r > 0;
	return 0;
}

static int plan_new(struct db *db, const struct enrolment_request *q, const struct token_row *t, int64_t now_s,
		    struct enroll_plan *p, struct error *err)
{
	struct certificate_row row;
	struct device d;
	int r = find_former(db, q, t, now_s, &row, err);

	if (r < 0)
		return -1;
	p->again = r > 0;
	if (r > 0) {
		p->known = true;
		snprintf(p->device, sizeof(p->device), "%s", row.subject);
		return 0;
	}
	if (t->device[0] == '\0')
		return enroll_choose_name(db, t, slice_str(q->hostname), p->device, err);
	snprintf(p->device, sizeof(p->device), "%s", t->device);
	if (device_find(db, slice_str(t->device), &d, err) == 0) {
		p->known = true;
		return certificates_live(db, d.id, now_s, &p->revokes, err);
	}
	if (err->kind != ERR_NOT_FOUND)
		return -1;
	*err = ERROR_INIT;
	return 0;
}

int enroll_plan(struct db *db, const struct enroll_server *server, const struct enrolment_request *q,
		const struct enroll_terms *terms, int64_t now_s, struct enroll_plan *p, struct error *err)
{
	struct token_row *t;
	int r = -1;

	*p = (struct enroll_plan){.known = false};
	if (q->renew)
		return check_no_terms(terms, err) < 0 ? -1 : plan_renewal(db, server, q, now_s, p, err);
	t = xmalloc(sizeof(*t));
	if (read_terms(t, terms, err) == 0)
		r = plan_new(db, q, t, now_s, p, err);
	free(t);
	return r;
}
