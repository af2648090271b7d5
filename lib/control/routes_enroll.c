/* Enrolment and renewal as requests: JSON to the rules of fleet/enroll.h and back. */
#include "control/routes_identity.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/encode.h"
#include "base/timefmt.h"
#include "control/control.h"
#include "store/audit.h"
#include "store/schema.h"
#include "sys/file.h"
#include "tuf/metadata.h"
#include "tuf/repo.h"

#define HOSTNAME_MAX 255

/* ---- what the control plane is ---- */

int identity_site(const struct api_call *call, char out[static NAME_LEN_MAX + 1], struct error *err)
{
	struct buf site = BUF_INIT(NAME_LEN_MAX);
	int r = 0;

	if (call->control->repo != NULL) {
		snprintf(out, NAME_LEN_MAX + 1, "%s", repo_site(call->control->repo));
		return 0;
	}
	r = meta_get(call->db, META_SITE, &site, err);
	if (r > 0)
		snprintf(out, NAME_LEN_MAX + 1, "%s", buf_cstr(&site));
	buf_release(&site);
	if (r != 0)
		return r < 0 ? -1 : 0;
	error_set(err, ERR_NOT_FOUND, "this control plane has no site yet");
	return error_hint(err, "run 'meshanics repo init' and 'meshanics ca init' first");
}

int identity_server(const struct api_call *call, char site[static NAME_LEN_MAX + 1], struct enroll_server *out,
		    struct error *err)
{
	if (call->control->ca == NULL) {
		error_set(err, ERR_NOT_FOUND, "this control plane has no CAs yet");
		return error_hint(err, "'meshanics ca init' makes them");
	}
	if (identity_site(call, site, err) < 0)
		return -1;
	*out = (struct enroll_server){
		.site = site,
		.ca = call->control->ca,
		.certificate_life_s = call->control->settings.certificate_life_s,
		.renew_grace_s = call->control->settings.renew_grace_s,
	};
	return 0;
}

int identity_root(const struct api_call *call, int64_t version, const uint8_t sha256[static SHA256_LEN],
		  struct buf *out, struct error *err)
{
	uint8_t found[SHA256_LEN];
	char path[64];

	if (call->control->repo == NULL) {
		error_set(err, ERR_NOT_FOUND, "this control plane has no repository yet");
		return error_hint(err, "'meshanics repo init' and 'repo adopt' come before enrolment");
	}
	snprintf(path, sizeof(path), "metadata/%lld.root.json", (long long)version);
	if (file_read(repo_dirfd(call->control->repo), path, out, err) < 0) {
		if (err->kind == ERR_NOT_FOUND)
			error_set(err, ERR_NOT_FOUND, "this control plane does not serve root version %lld",
				  (long long)version);
		return -1;
	}
	sha256_of(buf_slice(out), found);
	if (memcmp(found, sha256, sizeof(found)) != 0) {
		error_set(err, ERR_REFUSED, "root version %lld of this control plane is another file",
			  (long long)version);
		return error_hint(err, "give the root file that the ceremony of this site has made");
	}
	return 0;
}

int identity_clock(const struct api_call *call, struct error *err)
{
	const struct repo *repo = call->control->repo;
	int r = repo == NULL ? repo_clock_check_build(call->now_s, err) : repo_check_clock(repo, call->now_s, err);

	return r < 0 ? error_wrap(err, "nothing is issued under this clock") : 0;
}

/* ---- answers ---- */

void identity_put_time(struct json_writer *w, const char *name, int64_t t_s)
{
	char text[TIME_TEXT_LEN];

	if (t_s == 0)
		json_put_null(w, name);
	else
		json_put_string(w, name, time_text(text, t_s));
}

void identity_put_text(struct json_writer *w, const char *name, const char *text)
{
	json_put_string(w, name, text[0] == '\0' ? NULL : text);
}

bool identity_asks_all(const struct api_call *call)
{
	struct error absent = ERROR_INIT;
	struct buf value = BUF_INIT(16);
	bool all = api_query(call, "all", &value, &absent) == 0 && slice_equal_str(buf_slice(&value), "1");

	buf_release(&value);
	return all;
}

void identity_put_base64(struct json_writer *w, const char *name, struct slice bytes)
{
	struct buf text = BUF_INIT(bytes.len / 3 * 4 + 8);

	base64_put(&text, bytes);
	json_put_slice(w, name, buf_slice(&text));
	buf_release(&text);
}

const char *identity_host(const struct control_settings *s, struct slice host)
{
	unsigned i;

	for (i = 0; i < s->public_name_count; i++)
		if (slice_equal_str(host, s->public_names[i]))
			return s->public_names[i];
	return s->public_name_count > 0 ? s->public_names[0] : NULL;
}

static void put_url(struct json_writer *w, const char *name, const char *host, uint16_t port)
{
	char url[TOKEN_URL_MAX + 16];
	bool is_ipv6 = host != NULL && strchr(host, ':') != NULL;

	if (host == NULL)
		return;
	snprintf(url, sizeof(url), "https://%s%s%s:%u", is_ipv6 ? "[" : "", host, is_ipv6 ? "]" : "", port);
	json_put_string(w, name, url);
}

void identity_put_grant(struct json_writer *w, const struct control_settings *s, const struct enroll_server *server,
			const struct enroll_grant *g, const char *host)
{

	json_put_string(w, "device", g->device);
	json_put_string(w, "site", server->site);
	identity_put_base64(w, "certificate", buf_slice(&g->der));
	identity_put_base64(w, "device_ca", buf_slice(&server->ca[CA_DEVICE].der));
	identity_put_base64(w, "server_ca", buf_slice(&server->ca[CA_SERVER].der));
	identity_put_time(w, "not_after", g->not_after_s);
	identity_put_time(w, "renew_at", g->renew_at_s);
	put_url(w, "device_url", host, s->device_port);
	put_url(w, "repository_url", host, s->repository_port);
}

static void put_grant(struct api_call *call, const struct enroll_server *server, const struct enroll_grant *g,
		      struct slice host)
{
	const struct control_settings *s = &call->control->settings;

	identity_put_grant(&call->out, s, server, g, identity_host(s, host));
}

/* ---- requests ---- */

/* Member `csr`, base64, as DER. */
static int read_csr(struct json_value body, struct buf *der, struct error *err)
{
	struct slice text;

	if (json_need_string(body, "csr", &text, err) < 0)
		return -1;
	return base64_decode(der, text, err) < 0 ? error_wrap(err, "csr") : 0;
}

static int opt_text(struct json_value body, const char *name, struct slice *out, struct error *err)
{
	if (json_opt_string(body, name, out, err) < 0)
		return -1;
	if (out->len > HOSTNAME_MAX)
		return error_set(err, ERR_LIMIT, "%s has more than %d bytes", name, HOSTNAME_MAX);
	return 0;
}

/* The audit row of an enrolment, whichever way it went. why is NULL when it went well. */
static int audit_enrolment(struct api_call *call, const struct enroll_grant *g, const struct error *why,
			   struct error *err)
{
	struct json_writer w = JSON_WRITER(&call->audit_detail);
	struct audit_entry e = {
		.time_s = call->now_s,
		.actor = call->actor->name,
		.action = call->route->action,
		.object = call->audit_object,
		.verdict = why == NULL ? "ok" : error_exit_status(why->kind) == 3 ? "refused" : "failed",
	};

	json_open_object(&w, NULL);
	json_put_string(&w, "token", g->token_id);
	if (why != NULL) {
		json_put_string(&w, "kind", error_kind_name(why->kind));
		json_put_string(&w, "text", why->text);
		snprintf(call->audit_object, sizeof(call->audit_object), "token:%s", g->token_id);
	} else {
		json_put_hex(&w, "certificate", g->fingerprint, SHA256_LEN);
		json_put_bool(&w, "again", g->again);
		json_put_int(&w, "revoked", g->revoked);
		snprintf(call->audit_object, sizeof(call->audit_object), "device:%s", g->device);
	}
	json_close(&w);
	e.detail = buf_slice(&call->audit_detail);
	return audit_append(call->db, &e, err);
}

/* The root that the token names, before anything is used up: without it the device could not go on. */
static int read_token_root(struct api_call *call, struct slice text, struct buf *root, struct error *err)
{
	struct enroll_token t;
	int r;

	if (enroll_token_parse(&t, text, err) < 0)
		return -1;
	r = identity_root(call, t.root_version, t.root_sha256, root, err);
	enroll_token_wipe(&t);
	return r;
}

static int enroll(struct api_call *call, const struct enroll_request *q, const struct enroll_server *server,
		  struct slice root, struct slice host, struct error *err)
{
	struct error why = ERROR_INIT;
	struct enroll_grant g;
	bool refused;
	int r = -1;

	enroll_grant_init(&g);
	if (enroll_device(call->db, server, q, call->now_s, &g, &refused, &why) < 0) {
		*err = why;
		goto out;
	}
	if (refused) {
		api_fail(call, &why);	/* an answer, not a failure: what was used up stays so */
	} else {
		json_open_object(&call->out, NULL);
		put_grant(call, server, &g, host);
		identity_put_base64(&call->out, "root", root);
		json_close(&call->out);
	}
	r = audit_enrolment(call, &g, refused ? &why : NULL, err);
out:
	enroll_grant_release(&g);
	return r;
}

int identity_enroll(struct api_call *call, struct error *err)
{
	struct buf csr = BUF_INIT(X509_SIZE_MAX), root = BUF_INIT(TUF_ROOT_MAX);
	struct enroll_request q = {.hostname = SLICE_EMPTY};
	struct slice host = SLICE_EMPTY;
	struct enroll_server server;
	char site[NAME_LEN_MAX + 1];
	int r = -1;

	if (identity_server(call, site, &server, err) < 0 || identity_clock(call, err) < 0 ||
	    json_need_string(call->body, "token", &q.token, err) < 0 || read_csr(call->body, &csr, err) < 0 ||
	    opt_text(call->body, "hostname", &q.hostname, err) < 0 ||
	    opt_text(call->body, "host", &host, err) < 0 || read_token_root(call, q.token, &root, err) < 0)
		goto out;
	q.csr = buf_slice(&csr);
	r = enroll(call, &q, &server, buf_slice(&root), host, err);
out:
	buf_release(&csr);
	buf_release(&root);
	return r;
}

int identity_renew(struct api_call *call, struct error *err)
{
	struct json_writer detail = JSON_WRITER(&call->audit_detail);
	struct buf csr = BUF_INIT(X509_SIZE_MAX);
	struct slice host = SLICE_EMPTY;
	struct enroll_server server;
	char site[NAME_LEN_MAX + 1];
	struct enroll_grant g;
	int r = -1;

	enroll_grant_init(&g);
	snprintf(call->audit_object, sizeof(call->audit_object), "device:%s", call->actor->device);
	if (identity_server(call, site, &server, err) < 0 || identity_clock(call, err) < 0 ||
	    read_csr(call->body, &csr, err) < 0 ||
	    opt_text(call->body, "host", &host, err) < 0 ||
	    enroll_renew(call->db, &server, call->actor->cert_sha256, buf_slice(&csr), call->now_s, &g, err) < 0)
		goto out;
	json_open_object(&detail, NULL);
	json_put_hex(&detail, "certificate", g.fingerprint, SHA256_LEN);
	json_put_hex(&detail, "former", call->actor->cert_sha256, SHA256_LEN);
	json_close(&detail);
	json_open_object(&call->out, NULL);
	put_grant(call, &server, &g, host);
	json_close(&call->out);
	r = 0;
out:
	enroll_grant_release(&g);
	buf_release(&csr);
	return r;
}
