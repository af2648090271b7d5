/* Routes of identity: CAs, enrolment tokens, operators, device certificates; and the table of them all. */
#include <fcntl.h>
#include <stdio.h>

#include "control/control.h"
#include "control/routes_identity.h"
#include "crypto/pem.h"
#include "store/certificates.h"
#include "store/devices.h"
#include "store/operators.h"
#include "store/schema.h"
#include "sys/file.h"
#include "tuf/repo.h"

static int need_ca(const struct api_call *call, struct error *err)
{
	if (call->control->ca != NULL)
		return 0;
	error_set(err, ERR_NOT_FOUND, "this control plane has no CAs yet");
	return error_hint(err, "'meshanics ca init' makes them");
}

/* ---- CAs ---- */

static void put_cas(struct api_call *call, const char *site)
{
	struct json_writer *w = &call->out;
	struct buf pem = BUF_INIT(X509_PEM_MAX);
	unsigned k;

	json_open_object(w, NULL);
	json_put_string(w, "site", site);
	json_open_array(w, "cas");
	for (k = 0; k < CA_COUNT; k++) {
		const struct ca *ca = &call->control->ca[k];

		json_open_object(w, NULL);
		json_put_string(w, "kind", ca_kind_name(ca->kind));
		json_put_string(w, "subject", ca->cert.cn);
		json_put_hex(w, "sha256", ca->fingerprint, SHA256_LEN);
		identity_put_time(w, "not_before", ca->cert.not_before_s);
		identity_put_time(w, "not_after", ca->cert.not_after_s);
		buf_clear(&pem);
		pem_put(&pem, X509_PEM_LABEL, buf_slice(&ca->der));
		json_put_slice(w, "certificate", buf_slice(&pem));
		json_close(w);
	}
	json_close(w);
	json_close(w);
	buf_release(&pem);
}

static int get_ca(struct api_call *call, struct error *err)
{
	char site[NAME_LEN_MAX + 1];

	if (need_ca(call, err) < 0 || identity_site(call, site, err) < 0)
		return -1;
	put_cas(call, site);
	return 0;
}

/* The site that is asked for must be the repository's where there is one; by default it is. */
static int init_site(const struct api_call *call, char site[static NAME_LEN_MAX + 1], struct error *err)
{
	struct slice asked = SLICE_LIT("main");
	const char *ours = call->control->repo != NULL ? repo_site(call->control->repo) : NULL;

	if (ours != NULL)
		asked = slice_str(ours);
	if (json_opt_string(call->body, "site", &asked, err) < 0 || name_check(asked, "site", err) < 0)
		return -1;
	if (ours != NULL && !slice_equal_str(asked, ours))
		return error_set(err, ERR_REFUSED, "the repository here is of site '%s', not '%.*s'", ours,
				 SLICE_ARG(asked));
	snprintf(site, NAME_LEN_MAX + 1, "%.*s", SLICE_ARG(asked));
	return 0;
}

static int make_cas(const struct api_call *call, const char *site, int64_t life_s, struct error *err)
{
	struct buf known = BUF_INIT(META_VALUE_MAX);
	char path[4096];
	struct error ignored = ERROR_INIT;
	int dirfd, r;

	path_join(path, call->control->home, "control/ca");
	if (file_mkdirs(AT_FDCWD, path, 0700, err) < 0)
		return -1;
	dirfd = file_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, err);
	if (dirfd < 0)
		return -1;
	r = ca_init(dirfd, site, call->now_s, life_s, err);
	file_close(&dirfd);
	/* Whole on disk, but the power went before the database took it down: what is left is to say so. */
	if (r < 0 && err->kind == ERR_CONFLICT && meta_get(call->db, META_SITE, &known, &ignored) == 0)
		r = 0;
	buf_release(&known);
	return r;
}

/* The CAs carry the site as their subject's organization: its length and its bytes stand in the name. */
static int check_site(const struct api_call *call, const char *site, struct error *err)
{
	char org[NAME_LEN_MAX + 2];
	size_t len = (size_t)snprintf(org, sizeof(org), "%c%s", (int)strlen(site), site);
	unsigned k;

	for (k = 0; k < CA_COUNT; k++) {
		struct slice subject = call->control->ca[k].cert.subject;

		if (memmem(subject.ptr, subject.len, org, len) == NULL)
			return error_set(err, ERR_CONFLICT, "the CAs exist already, and are not of site '%s'", site);
	}
	return 0;
}

static int post_ca(struct api_call *call, struct error *err)
{
	static const char *const names[] = {"site", "life_s", NULL};
	struct json_writer detail = JSON_WRITER(&call->audit_detail);
	char site[NAME_LEN_MAX + 1];
	int64_t life_s = CA_LIFE_DEFAULT_S;

	if (json_only(call->body, names, err) < 0 ||
	    json_opt_int(call->body, "life_s", CA_LIFE_MIN_S, CA_LIFE_MAX_S, &life_s, err) < 0 ||
	    init_site(call, site, err) < 0 || identity_clock(call, err) < 0 || make_cas(call, site, life_s, err) < 0 ||
	    control_load_ca(call->control, err) < 0 || need_ca(call, err) < 0 ||
	    check_site(call, site, err) < 0 || meta_set(call->db, META_SITE, slice_str(site), err) < 0)
		return -1;
	snprintf(call->audit_object, sizeof(call->audit_object), "site:%s", site);
	json_open_object(&detail, NULL);
	json_put_hex(&detail, "device", call->control->ca[CA_DEVICE].fingerprint, SHA256_LEN);
	json_put_hex(&detail, "server", call->control->ca[CA_SERVER].fingerprint, SHA256_LEN);
	json_put_hex(&detail, "operator", call->control->ca[CA_OPERATOR].fingerprint, SHA256_LEN);
	json_close(&detail);
	put_cas(call, site);
	return 0;
}

/* ---- operators ---- */

static const char *operator_state(const struct operator_row *o, int64_t now_s)
{
	if (o->revoked_s != 0)
		return "revoked";
	return o->expires_s != 0 && now_s > o->expires_s ? "expired" : "live";
}

static void put_operator(struct json_writer *w, const struct operator_row *o, int64_t now_s)
{
	json_put_string(w, "name", o->name);
	json_put_string(w, "role", o->role);
	json_put_string(w, "state", operator_state(o, now_s));
	json_put_string(w, "created_by", o->created_by);
	identity_put_time(w, "created", o->created_s);
	identity_put_time(w, "expires", o->expires_s);
	identity_put_time(w, "revoked", o->revoked_s);
}

static int get_operators(struct api_call *call, struct error *err)
{
	bool all = identity_asks_all(call);
	struct operator_walk w;
	int r;

	json_open_object(&call->out, NULL);
	json_open_array(&call->out, "operators");
	operator_walk_open(&w, call->db);
	while ((r = operator_walk_next(&w, err)) > 0) {
		if (!all && strcmp(operator_state(&w.row, call->now_s), "live") != 0)
			continue;
		json_open_object(&call->out, NULL);
		put_operator(&call->out, &w.row, call->now_s);
		json_close(&call->out);
	}
	operator_walk_close(&w);
	json_close(&call->out);
	json_close(&call->out);
	return r;
}

static int read_operator(const struct api_call *call, struct slice *name, enum role *role, int64_t *life_s,
			 struct error *err)
{
	static const char *const names[] = {"name", "role", "life_s", NULL};
	struct slice word;

	if (json_only(call->body, names, err) < 0 || json_need_string(call->body, "name", name, err) < 0 ||
	    json_need_string(call->body, "role", &word, err) < 0 ||
	    json_opt_int(call->body, "life_s", 60, INT32_MAX, life_s, err) < 0)
		return -1;
	*role = role_by_name(word);
	if (*role == ROLE_NONE)
		return error_set(err, ERR_USAGE, "'%.*s' is no role: viewer, operator, approver, admin",
				 word.len > 64 ? 64 : (int)word.len, (const char *)word.ptr);
	return 0;
}

static void put_new_operator(struct api_call *call, const struct operator_row *row, const struct operator_token *t)
{
	struct json_writer detail = JSON_WRITER(&call->audit_detail);
	struct buf text = BUF_SECRET(TOKEN_TEXT_MAX);

	snprintf(call->audit_object, sizeof(call->audit_object), "operator:%s", row->name);
	json_open_object(&detail, NULL);
	put_operator(&detail, row, call->now_s);
	json_close(&detail);
	operator_token_put(&text, t);
	call->reply.secret = true;
	json_open_object(&call->out, NULL);
	put_operator(&call->out, row, call->now_s);
	json_put_slice(&call->out, "token", buf_slice(&text));
	json_close(&call->out);
	buf_release(&text);
}

static int post_operator(struct api_call *call, struct error *err)
{
	struct operator_token t;
	struct operator_row row;
	enum role role = ROLE_NONE;
	int64_t life_s = 0;
	struct slice name;
	int r;

	if (need_ca(call, err) < 0 || read_operator(call, &name, &role, &life_s, err) < 0 ||
	    (life_s != 0 && identity_clock(call, err) < 0) ||
	    operator_add(call->db, name, role, life_s == 0 ? 0 : call->now_s + life_s,
			 call->control->ca[CA_SERVER].fingerprint, call->actor->name, call->now_s, &t, err) < 0)
		return -1;
	r = operator_find(call->db, name, &row, err);
	if (r > 0)
		put_new_operator(call, &row, &t);
	operator_token_wipe(&t);
	return r > 0 ? 0 : -1;
}

static int delete_operator(struct api_call *call, struct error *err)
{
	snprintf(call->audit_object, sizeof(call->audit_object), "operator:%.*s", SLICE_ARG(call->params[0]));
	return operator_revoke(call->db, call->params[0], call->now_s, err);
}

/* ---- device certificates ---- */

static void put_certificate(struct json_writer *w, const struct certificate_row *c, int64_t now_s)
{
	json_open_object(w, NULL);
	json_put_string(w, "sha256", c->fingerprint);
	json_put_string(w, "state", cert_status_name(cert_row_status(c, now_s)));
	json_put_string(w, "serial", c->serial);
	identity_put_text(w, "token", c->token_id);
	identity_put_time(w, "issued", c->issued_s);
	identity_put_time(w, "not_after", c->not_after_s);
	identity_put_time(w, "superseded", c->superseded_s);
	identity_put_time(w, "revoked", c->revoked_s);
	identity_put_text(w, "reason", c->reason);
	json_close(w);
}

static int get_certificates(struct api_call *call, struct error *err)
{
	struct certificate_walk w;
	struct device d;
	int r;

	if (device_find(call->db, call->params[0], &d, err) < 0)
		return -1;
	json_open_object(&call->out, NULL);
	json_put_string(&call->out, "device", d.name);
	json_open_array(&call->out, "certificates");
	certificate_walk_open(&w, call->db, d.id);
	while ((r = certificate_walk_next(&w, err)) > 0)
		put_certificate(&call->out, &w.row, call->now_s);
	certificate_walk_close(&w);
	json_close(&call->out);
	json_close(&call->out);
	return r;
}

static int post_revoke(struct api_call *call, struct error *err)
{
	static const char *const names[] = {"reason", NULL};
	struct json_writer detail = JSON_WRITER(&call->audit_detail);
	struct slice reason = SLICE_LIT("by the operator");
	char text[CERT_REASON_MAX + 1];
	unsigned count;

	snprintf(call->audit_object, sizeof(call->audit_object), "device:%.*s", SLICE_ARG(call->params[0]));
	if (json_type(call->body) != JSON_NONE &&
	    (json_only(call->body, names, err) < 0 || json_opt_string(call->body, "reason", &reason, err) < 0))
		return -1;
	if (reason.len > CERT_REASON_MAX)
		return error_set(err, ERR_LIMIT, "reason has more than %d bytes", CERT_REASON_MAX);
	printable(text, sizeof(text), reason);
	if (device_revoke(call->db, call->params[0], text, call->now_s, &count, err) < 0)
		return -1;
	json_open_object(&detail, NULL);
	json_put_string(&detail, "reason", text);
	json_put_int(&detail, "certificates", count);
	json_close(&detail);
	json_open_object(&call->out, NULL);
	json_put_slice(&call->out, "device", call->params[0]);
	json_put_int(&call->out, "revoked", count);
	json_close(&call->out);
	return 0;
}

const struct api_route routes_identity[] = {
	{ .class = API_OPERATOR, .method = "GET", .pattern = "/api/v1/ca", .action = "ca.show",
	  .permission = "ca.read", .exclusive = true, .summary = "the three CAs: certificates, hashes, validity",
	  .handle = get_ca },
	{ .class = API_OPERATOR, .method = "POST", .pattern = "/api/v1/ca", .action = "ca.init",
	  .permission = "ca.write", .mutates = true, .summary = "make the device, server and operator CAs",
	  .handle = post_ca },
	{ .class = API_OPERATOR, .method = "GET", .pattern = "/api/v1/tokens", .action = "token.list",
	  .permission = "token.read", .summary = "enrolment tokens, without their secrets", .handle = identity_get_tokens },
	{ .class = API_OPERATOR, .method = "POST", .pattern = "/api/v1/tokens", .action = "token.create",
	  .permission = "token.write", .mutates = true, .summary = "make an enrolment token; its text is shown once",
	  .handle = identity_post_token },
	{ .class = API_OPERATOR, .method = "DELETE", .pattern = "/api/v1/tokens/{token}", .action = "token.revoke",
	  .permission = "token.write", .mutates = true, .summary = "revoke an enrolment token",
	  .handle = identity_delete_token },
	{ .class = API_OPERATOR, .method = "GET", .pattern = "/api/v1/operators", .action = "operator.list",
	  .permission = "operator.read", .summary = "operators and their roles", .handle = get_operators },
	{ .class = API_OPERATOR, .method = "POST", .pattern = "/api/v1/operators", .action = "operator.add",
	  .permission = "operator.write", .mutates = true,
	  .summary = "add an operator; the token's text is shown once", .handle = post_operator },
	{ .class = API_OPERATOR, .method = "DELETE", .pattern = "/api/v1/operators/{operator}",
	  .action = "operator.revoke", .permission = "operator.write", .mutates = true,
	  .summary = "revoke an operator's token", .handle = delete_operator },
	{ .class = API_OPERATOR, .method = "GET", .pattern = "/api/v1/devices/{device}/certificates",
	  .action = "device.certificates", .permission = "device.read",
	  .summary = "certificates that a device was given", .handle = get_certificates },
	{ .class = API_OPERATOR, .method = "POST", .pattern = "/api/v1/devices/{device}/revoke",
	  .action = "device.revoke", .permission = "device.revoke", .mutates = true,
	  .summary = "revoke all certificates of a device, effective at its next request", .handle = post_revoke },
	{ .class = API_OPERATOR, .method = "POST", .pattern = "/api/v1/enroll/sign", .action = "enroll.sign",
	  .permission = "token.write", .mutates = true,
	  .summary = "answer a request of a device that came by media: a certificate, and everything with it",
	  .handle = identity_sign_enrolment },
	{ .class = API_OPERATOR, .method = "POST", .pattern = "/api/v1/enroll/preview", .action = "enroll.preview",
	  .permission = "token.read", .exclusive = true, .summary = "what enroll/sign would do with a request, and does not",
	  .handle = identity_preview_enrolment },
	{ .class = API_ENROLL, .method = "POST", .pattern = "/enroll", .action = "device.enroll", .mutates = true,
	  .own_audit = true, .summary = "a token and a certificate request against a device certificate",
	  .handle = identity_enroll },
	{ .class = API_DEVICE, .method = "POST", .pattern = "/device/renew", .action = "device.renew",
	  .mutates = true, .summary = "a new certificate for a device that has one", .handle = identity_renew },
	{ .method = NULL },
};
