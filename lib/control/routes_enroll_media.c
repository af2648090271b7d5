/* Enrolment by media: the request that lay on a stick comes in by an operator, the signed answer goes out the same way. */
#include <stdio.h>
#include <stdlib.h>

#include "base/encode.h"
#include "bundle/enrolment.h"
#include "control/control.h"
#include "control/routes_identity.h"
#include "crypto/keyfile.h"
#include "store/devices.h"
#include "tuf/metadata.h"
#include "tuf/repo.h"

#define HOST_MAX 255

/* What an operator asks, with room for what it borrows. */
struct sign_call {
	struct enrolment_request q;
	struct enroll_terms terms;
	struct slice tags[DEVICE_TAGS_MAX];
	char host[HOST_MAX + 1];
	bool prepared;			/* the control plane's own request, for an identity that it hands out whole */
	int64_t root_version;
	uint8_t root_sha256[SHA256_LEN];
	struct buf root;
	char site[NAME_LEN_MAX + 1];
	struct enroll_server server;
};

static struct sign_call *sign_call_new(void)
{
	struct sign_call *s = xcalloc(1, sizeof(*s));

	s->q = ENROLMENT_REQUEST_INIT;
	s->root = BUF_INIT(TUF_ROOT_MAX);
	return s;
}

static void sign_call_free(struct sign_call *s)
{
	enrolment_request_release(&s->q);
	buf_release(&s->root);
	free(s);
}

static int read_tags(struct sign_call *s, struct json_value body, struct error *err)
{
	s->terms.tags = s->tags;
	return identity_read_tags(body, s->tags, &s->terms.tag_count, err);
}

/* Where the device will find us, should it ever have a network: as asked, else our first public name. */
static int read_host(struct sign_call *s, const struct api_call *call, struct error *err)
{
	const char *own = identity_host(&call->control->settings, SLICE_EMPTY);
	struct slice host = SLICE_EMPTY;
	char url[HOST_MAX + 32];

	if (json_opt_string(call->body, "host", &host, err) < 0)
		return -1;
	if (host.len == 0 && own != NULL)
		host = slice_str(own);
	if (host.len == 0) {
		error_set(err, ERR_USAGE, "no name under which the device would reach this control plane");
		return error_hint(err, "give --host NAME (a running serve knows its own)");
	}
	if (host.len > HOST_MAX || slice_find(host, '\0', 0) != SIZE_MAX)
		return error_set(err, ERR_USAGE, "host has more than %d bytes", HOST_MAX);
	snprintf(s->host, sizeof(s->host), "%.*s", SLICE_ARG(host));
	snprintf(url, sizeof(url), strchr(s->host, ':') != NULL ? "https://[%s]" : "https://%s", s->host);
	if (token_url_check(slice_str(url), err) < 0) {
		err->kind = ERR_USAGE;
		return error_wrap(err, "host");
	}
	return 0;
}

/* The device that names a root gets that one or nothing: it would refuse another. */
static int check_pin(const struct sign_call *s, struct error *err)
{
	const struct enrolment_request *q = &s->q;

	if (q->root_version == 0 ||
	    (q->root_version == s->root_version && memcmp(q->root_sha256, s->root_sha256, SHA256_LEN) == 0))
		return 0;
	error_set(err, ERR_REFUSED, "the device trusts root version %lld%s, not the file given here (version %lld)",
		  (long long)q->root_version, q->root_version == s->root_version ? " of another SHA-256" : "",
		  (long long)s->root_version);
	return error_hint(err, "give the root file of that version");
}

static int read_request(struct sign_call *s, const struct api_call *call, struct error *err)
{
	static const char *const names[] = {"request", "root_version", "root_sha256", "device", "name_prefix",
					    "tags",    "host",	       "prepared",    NULL};
	struct slice text, hex;

	if (json_only(call->body, names, err) < 0 || json_need_string(call->body, "request", &text, err) < 0 ||
	    json_need_int(call->body, "root_version", 1, INT32_MAX, &s->root_version, err) < 0 ||
	    json_need_string(call->body, "root_sha256", &hex, err) < 0 ||
	    json_opt_string(call->body, "device", &s->terms.device, err) < 0 ||
	    json_opt_string(call->body, "name_prefix", &s->terms.name_prefix, err) < 0 ||
	    json_opt_bool(call->body, "prepared", &s->prepared, err) < 0 || read_tags(s, call->body, err) < 0)
		return -1;
	if (hex_decode(s->root_sha256, SHA256_LEN, hex, err) < 0)
		return error_wrap(err, "root_sha256");
	if (enrolment_request_parse(&s->q, text, err) < 0)
		return -1;
	return check_pin(s, err);
}

static int begin(struct api_call *call, struct sign_call *s, struct error *err)
{
	if (identity_server(call, s->site, &s->server, err) < 0 || identity_clock(call, err) < 0 ||
	    read_request(s, call, err) < 0 || read_host(s, call, err) < 0)
		return -1;
	return identity_root(call, s->root_version, s->root_sha256, &s->root, err);
}

/* The record key that signs, which devices will look for in the root they are given. */
static struct seckey *open_record_key(const struct api_call *call, const struct sign_call *s, struct error *err)
{
	struct seckey *key = keyfile_open(repo_dirfd(call->control->repo), "keys/record-site.key", SLICE_EMPTY, err);
	struct tuf_root *root = key == NULL ? NULL : tuf_root_parse(buf_slice(&s->root), err);
	bool named = false;
	unsigned i;

	for (i = 0; root != NULL && i < root->site_keys.count; i++)
		named |= pubkey_equal(&root->site_keys.list[i].pub, seckey_public(key));
	if (root != NULL && !named) {
		error_set(err, ERR_REFUSED, "root version %lld does not name the record key that this site signs with",
			  (long long)s->root_version);
		error_hint(err, "%s", s->q.root_version == 0
					      ? "give the newest root file"
					      : "bring the device a newer root by 'agent apply' first, or enrol it anew");
	}
	tuf_root_free(root);
	if (!named) {
		seckey_free(key);
		return NULL;
	}
	return key;
}

static int put_answer(const struct api_call *call, const struct sign_call *s, const struct enroll_grant *g,
		      const struct seckey *record_key, struct buf *out, struct error *err)
{
	struct buf line = BUF_INIT(ENROLMENT_ANSWER_MAX);
	struct json_writer w = JSON_WRITER(&line);
	int r;

	enrolment_answer_begin(&w, &s->q, call->now_s);
	identity_put_grant(&w, &call->control->settings, &s->server, g, s->host);
	json_put_int(&w, "root_version", s->root_version);
	json_put_hex(&w, "root_sha256", s->root_sha256, SHA256_LEN);
	identity_put_base64(&w, "root", buf_slice(&s->root));
	r = enrolment_answer_end(out, &w, record_key, err);
	buf_release(&line);
	return r;
}

static void put_audit(struct api_call *call, const struct sign_call *s, const struct enroll_grant *g)
{
	struct json_writer w = JSON_WRITER(&call->audit_detail);

	snprintf(call->audit_object, sizeof(call->audit_object), "device:%s", g->device);
	json_open_object(&w, NULL);
	json_put_string(&w, "form", s->q.renew ? "renewal" : s->prepared ? "identity" : "request");
	json_put_hex(&w, "request", s->q.id, SHA256_LEN);
	json_put_hex(&w, "certificate", g->fingerprint, SHA256_LEN);
	if (s->q.renew)
		json_put_hex(&w, "former", s->q.certificate, SHA256_LEN);
	json_put_bool(&w, "again", g->again);
	json_put_int(&w, "revoked", g->revoked);
	json_close(&w);
}

static void put_result(struct api_call *call, const struct sign_call *s, const struct enroll_grant *g, struct slice answer)
{
	char key[SHA256_HEX_LEN];
	struct json_writer *w = &call->out;

	enrolment_fingerprint(key, &s->q.key);
	json_open_object(w, NULL);
	json_put_string(w, "device", g->device);
	json_put_string(w, "kind", s->q.renew ? "renew" : "enroll");
	json_put_string(w, "key", key);
	json_put_hex(w, "certificate", g->fingerprint, SHA256_LEN);
	identity_put_time(w, "not_after", g->not_after_s);
	json_put_bool(w, "again", g->again);
	json_put_int(w, "revoked", g->revoked);
	json_put_slice(w, "answer", answer);
	json_close(w);
}

int identity_sign_enrolment(struct api_call *call, struct error *err)
{
	struct buf answer = BUF_INIT(ENROLMENT_ANSWER_MAX + 1);
	struct sign_call *s = sign_call_new();
	struct seckey *record_key = NULL;
	struct enroll_grant g;
	int r = -1;

	enroll_grant_init(&g);
	if (begin(call, s, err) < 0 || (record_key = open_record_key(call, s, err)) == NULL)
		goto out;
	if (s->q.renew)	/* also a refusal says whose */
		snprintf(call->audit_object, sizeof(call->audit_object), "device:%s", s->q.device);
	if (enroll_sign(call->db, &s->server, &s->q, &s->terms, call->now_s, &g, err) < 0 ||
	    put_answer(call, s, &g, record_key, &answer, err) < 0)
		goto out;
	put_audit(call, s, &g);
	put_result(call, s, &g, buf_slice(&answer));
	r = 0;
out:
	seckey_free(record_key);
	enroll_grant_release(&g);
	buf_release(&answer);
	sign_call_free(s);
	return r;
}

int identity_preview_enrolment(struct api_call *call, struct error *err)
{
	struct sign_call *s = sign_call_new();
	struct json_writer *w = &call->out;
	struct seckey *record_key = NULL;
	char key[SHA256_HEX_LEN];
	struct enroll_plan p;
	int r = -1;

	if (begin(call, s, err) < 0 || (record_key = open_record_key(call, s, err)) == NULL ||
	    enroll_plan(call->db, &s->server, &s->q, &s->terms, call->now_s, &p, err) < 0)
		goto out;
	enrolment_fingerprint(key, &s->q.key);
	json_open_object(w, NULL);
	json_put_string(w, "device", p.device);
	json_put_string(w, "kind", s->q.renew ? "renew" : "enroll");
	json_put_string(w, "key", key);
	json_put_bool(w, "known", p.known);
	json_put_bool(w, "again", p.again);
	json_put_int(w, "revokes", p.revokes);
	json_close(w);
	r = 0;
out:
	seckey_free(record_key);
	sign_call_free(s);
	return r;
}
