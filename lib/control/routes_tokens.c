/* Enrolment tokens as requests: listed, made, revoked. */
#include <stdio.h>
#include <stdlib.h>

#include "base/encode.h"
#include "control/control.h"
#include "control/routes_identity.h"
#include "store/devices.h"
#include "store/tokens.h"
#include "tuf/metadata.h"

static const char *token_state(const struct token_row *t, int64_t now_s)
{
	if (t->revoked_s != 0)
		return "revoked";
	if (t->uses_left == 0)
		return "used";
	return now_s > t->expires_s ? "expired" : "live";
}

/* Members of an object that is open already. */
static void put_token(struct json_writer *w, const struct token_row *t, int64_t now_s)
{
	struct slice rest = slice_str(t->tags);

	json_put_string(w, "id", t->id);
	json_put_string(w, "state", token_state(t, now_s));
	identity_put_text(w, "device", t->device);
	identity_put_text(w, "name_prefix", t->name_prefix);
	json_open_array(w, "tags");
	while (rest.len > 0) {
		size_t end = slice_find(rest, ',', 0);

		json_put_slice(w, NULL, slice_sub(rest, 0, end));
		rest = end == SIZE_MAX ? SLICE_EMPTY : slice_sub(rest, end + 1, SIZE_MAX);
	}
	json_close(w);
	identity_put_text(w, "note", t->note);
	json_put_int(w, "uses", t->uses_max);
	json_put_int(w, "uses_left", t->uses_left);
	json_put_string(w, "created_by", t->created_by);
	identity_put_time(w, "created", t->created_s);
	identity_put_time(w, "expires", t->expires_s);
	identity_put_time(w, "revoked", t->revoked_s);
}

int identity_get_tokens(struct api_call *call, struct error *err)
{
	bool all = identity_asks_all(call);
	struct token_walk w;
	int r;

	json_open_object(&call->out, NULL);
	json_open_array(&call->out, "tokens");
	token_walk_open(&w, call->db);
	while ((r = token_walk_next(&w, err)) > 0) {
		if (!all && strcmp(token_state(&w.row, call->now_s), "live") != 0)
			continue;
		json_open_object(&call->out, NULL);
		put_token(&call->out, &w.row, call->now_s);
		json_close(&call->out);
	}
	token_walk_close(&w);
	json_close(&call->out);
	json_close(&call->out);
	return r;
}

/* What a request for a token says, with room for what the spec borrows. */
struct token_request {
	struct enroll_token_spec spec;
	struct slice tags[DEVICE_TAGS_MAX];
	char urls[TOKEN_URLS_MAX][TOKEN_URL_MAX + 1];
	const char *url_list[TOKEN_URLS_MAX];
	struct buf root;
};

int identity_read_tags(struct json_value body, struct slice tags[static DEVICE_TAGS_MAX], size_t *count, struct error *err)
{
	struct json_value list = {.doc = NULL};
	struct json_iter it;

	*count = 0;
	if (json_opt_array(body, "tags", &list, err) < 0)
		return -1;
	for (it = json_iter(list); json_next(&it);) {
		if (json_type(it.value) != JSON_STRING)
			return error_set(err, ERR_MALFORMED, "tags: %s instead of a string",
					 json_type_name(json_type(it.value)));
		if (*count == DEVICE_TAGS_MAX)
			return error_set(err, ERR_LIMIT, "more than %d tags", DEVICE_TAGS_MAX);
		tags[(*count)++] = json_string(it.value);
	}
	return 0;
}

static int read_tags(struct token_request *q, struct json_value body, struct error *err)
{
	q->spec.tags = q->tags;
	return identity_read_tags(body, q->tags, &q->spec.tag_count, err);
}

static int add_url(struct token_request *q, struct slice url, struct error *err)
{
	size_t n = q->spec.url_count;

	if (n == TOKEN_URLS_MAX)
		return error_set(err, ERR_LIMIT, "more than %d addresses", TOKEN_URLS_MAX);
	if (token_url_check(url, err) < 0)
		return -1;
	snprintf(q->urls[n], sizeof(q->urls[n]), "%.*s", SLICE_ARG(url));
	q->url_list[n] = q->urls[n];
	q->spec.url_count++;
	return 0;
}

static bool is_loopback(const char *name)
{
	return strcmp(name, "localhost") == 0 || strncmp(name, "127.", 4) == 0 || strcmp(name, "::1") == 0;
}

static int add_public_name(struct token_request *q, const char *name, uint16_t port, struct error *err)
{
	char url[TOKEN_URL_MAX + 32];
	bool is_ipv6 = strchr(name, ':') != NULL;

	snprintf(url, sizeof(url), "https://%s%s%s:%u", is_ipv6 ? "[" : "", name, is_ipv6 ? "]" : "", port);
	return add_url(q, slice_str(url), err) < 0 ? error_wrap(err, "serve.public_names") : 0;
}

/*
 * Without any in the request: the public names of this control plane, as many as fit. What only this machine
 * understands comes last resort: alone, or not at all.
 */
static int default_urls(struct token_request *q, const struct control_settings *s, struct error *err)
{
	bool loopback;
	unsigned i;

	for (loopback = false; q->spec.url_count == 0; loopback = true) {
		for (i = 0; i < s->public_name_count && q->spec.url_count < TOKEN_URLS_MAX; i++)
			if (is_loopback(s->public_names[i]) == loopback &&
			    add_public_name(q, s->public_names[i], s->enroll_port, err) < 0)
				return -1;
		if (loopback)
			break;
	}
	if (q->spec.url_count > 0)
		return 0;
	error_set(err, ERR_USAGE, "no address for devices to enrol at");
	return error_hint(err, "give --url https://HOST:9446 (a running serve knows its own)");
}

static int read_urls(struct token_request *q, const struct api_call *call, struct error *err)
{
	struct json_value list = {.doc = NULL};
	struct json_iter it;

	if (json_opt_array(call->body, "urls", &list, err) < 0)
		return -1;
	for (it = json_iter(list); json_next(&it);) {
		if (json_type(it.value) != JSON_STRING)
			return error_set(err, ERR_MALFORMED, "urls: %s instead of a string",
					 json_type_name(json_type(it.value)));
		if (add_url(q, json_string(it.value), err) < 0)
			return -1;
	}
	q->spec.urls = q->url_list;
	return q->spec.url_count > 0 ? 0 : default_urls(q, &call->control->settings, err);
}

/* A token for a root that devices could not fetch here would only be used up. */
static int read_root(struct token_request *q, const struct api_call *call, struct error *err)
{
	struct slice hex;

	if (json_need_int(call->body, "root_version", 1, INT32_MAX, &q->spec.root_version, err) < 0 ||
	    json_need_string(call->body, "root_sha256", &hex, err) < 0)
		return -1;
	if (hex_decode(q->spec.root_sha256, SHA256_LEN, hex, err) < 0)
		return error_wrap(err, "root_sha256");
	return identity_root(call, q->spec.root_version, q->spec.root_sha256, &q->root, err);
}

static int read_token_request(struct token_request *q, const struct api_call *call, struct error *err)
{
	static const char *const names[] = {"root_version", "root_sha256", "device", "name_prefix", "tags",
					    "uses",	    "life_s",	   "note",   "urls",	    NULL};
	struct enroll_token_spec *s = &q->spec;

	if (json_only(call->body, names, err) < 0 || read_root(q, call, err) < 0 ||
	    json_opt_string(call->body, "device", &s->device, err) < 0 ||
	    json_opt_string(call->body, "name_prefix", &s->name_prefix, err) < 0 ||
	    json_opt_string(call->body, "note", &s->note, err) < 0 ||
	    json_opt_int(call->body, "uses", 1, ENROLL_TOKEN_USES_MAX, &s->uses, err) < 0 ||
	    json_opt_int(call->body, "life_s", ENROLL_TOKEN_LIFE_MIN_S, ENROLL_TOKEN_LIFE_MAX_S, &s->life_s,
			 err) < 0 ||
	    read_tags(q, call->body, err) < 0)
		return -1;
	return read_urls(q, call, err);
}

static int put_new_token(struct api_call *call, struct enroll_token *t, struct error *err)
{
	struct json_writer detail = JSON_WRITER(&call->audit_detail);
	struct buf text = BUF_SECRET(TOKEN_TEXT_MAX);
	struct token_row *row = xmalloc(sizeof(*row));
	int r = token_find(call->db, t->id, row, err);

	if (r > 0) {
		snprintf(call->audit_object, sizeof(call->audit_object), "token:%s", t->id);
		json_open_object(&detail, NULL);
		put_token(&detail, row, call->now_s);
		json_put_int(&detail, "root_version", t->root_version);
		json_put_hex(&detail, "root_sha256", t->root_sha256, SHA256_LEN);
		json_close(&detail);
		enroll_token_put(&text, t);
		call->reply.secret = true;
		json_open_object(&call->out, NULL);
		put_token(&call->out, row, call->now_s);
		json_put_slice(&call->out, "token", buf_slice(&text));
		json_close(&call->out);
	}
	free(row);
	buf_release(&text);
	return r > 0 ? 0 : -1;
}

int identity_post_token(struct api_call *call, struct error *err)
{
	struct token_request *q = xcalloc(1, sizeof(*q));
	struct enroll_server server;
	char site[NAME_LEN_MAX + 1];
	struct enroll_token t;
	int r = -1;

	q->root = BUF_INIT(TUF_ROOT_MAX);
	if (identity_server(call, site, &server, err) < 0 || identity_clock(call, err) < 0 || read_token_request(q, call, err) < 0 ||
	    enroll_token_create(call->db, &server, &q->spec, call->actor->name, call->now_s, &t, err) < 0)
		goto out;
	r = put_new_token(call, &t, err);
	enroll_token_wipe(&t);
out:
	buf_release(&q->root);
	free(q);
	return r;
}

int identity_delete_token(struct api_call *call, struct error *err)
{
	snprintf(call->audit_object, sizeof(call->audit_object), "token:%.*s", SLICE_ARG(call->params[0]));
	return enroll_token_revoke(call->db, call->params[0], call->now_s, err);
}
