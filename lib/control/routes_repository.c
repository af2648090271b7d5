/* Routes of the repository itself: init, adoption, signing and what expires when; the table of all of them. */
#include <stdio.h>
#include <stdlib.h>

#include "base/timefmt.h"
#include "control/control.h"
#include "control/routes_repository.h"
#include "crypto/pkcs11_uri.h"
#include "tuf/publish.h"
#include "tuf/repo_sites.h"

#define ADOPT_FILES_MAX 64

static void put_time(struct json_writer *w, const char *name, int64_t t_s)
{
	char text[TIME_TEXT_LEN];

	if (t_s == INT64_MAX)
		json_put_null(w, name);
	else
		json_put_string(w, name, time_text(text, t_s));
}

static const char *fault_name(enum role_fault fault)
{
	static const char *const faults[] = {
		[ROLE_FINE] = "none", [ROLE_OTHER_KEYS] = "other_keys", [ROLE_DAMAGED] = "damaged"};

	return faults[fault];
}

/* A publisher as targets delegates to it: what a signer has to know before he signs. */
static void put_publisher(struct json_writer *w, const struct repo *r, unsigned i)
{
	const struct repo_role *role = repo_role_at(r, i);
	struct json_iter it;
	unsigned k;

	json_put_string(w, "name", role->name);
	json_put_int(w, "version", role->version);
	json_put_bool(w, "online", role->held);
	json_put_string(w, "fault", fault_name(role->fault));
	json_open_array(w, "keyids");
	for (k = 0; k < role->role.keys.count; k++)
		json_put_string(w, NULL, role->role.keys.list[k].id);
	json_close(w);
	json_open_array(w, "slices");
	for (it = json_iter(repo_role_slices(r, i)); json_next(&it);)
		json_put_value(w, NULL, it.value);
	json_close(w);
}

/* What is in his file or his bins; for these, all of them are looked at. */
static void put_content(struct json_writer *w, const struct repo *r, const struct repo_role *role)
{
	struct repo_bins_sum sum;

	if (role->bin_bits == 0) {
		json_put_int(w, "artifacts", role->file == NULL ? 0 : (int64_t)json_count(role->file->targets));
		return;
	}
	repo_bins_sum(r, role, &sum);
	json_put_int(w, "artifacts", (int64_t)sum.artifacts);
	json_open_object(w, "bins");
	json_put_int(w, "count", sum.count);
	json_put_int(w, "damaged", sum.damaged);
	json_close(w);
}

/*
 * What a signer asks for before he signs: without a look at content, since of a million artifacts in hash bins
 * one is published as fast as of ten.
 */
static int get_publishers(struct api_call *call, struct error *err)
{
	struct json_writer *w = &call->out;
	struct repo_lives lives;
	struct repo *r;
	unsigned i;

	if (repository_need(call, &r, err) < 0)
		return -1;
	json_open_object(w, NULL);
	json_open_array(w, "publishers");
	for (i = 0; i < repo_role_count(r); i++) {
		json_open_object(w, NULL);
		put_publisher(w, r, i);
		json_close(w);
	}
	json_close(w);
	lives = repo_lives(r);
	repo_lives_put(w, "lives", &lives);
	json_put_int(w, "release_floor", publish_release_floor(r));
	json_close(w);
	return 0;
}

struct sites_writer {
	struct json_writer *w;
	const struct repo *r;
};

/* A chain that is damaged is told of, and hides nothing else. */
static int put_site(void *arg, const char *site, struct error *err)
{
	const struct sites_writer *s = arg;
	struct repo_site_info info;
	struct error fault = ERROR_INIT;
	int r = repo_site_look(s->r, site, &info, &fault);

	(void)err;
	json_open_object(s->w, NULL);
	json_put_string(s->w, "site", site);
	if (r < 0) {
		json_put_string(s->w, "fault", fault.text);
	} else {
		json_put_int(s->w, "root_version", info.root_version);
		put_time(s->w, "expires", info.expires_s);
		json_put_int(s->w, "expires_s", info.expires_s);
		json_put_bool(s->w, "takes_targets", info.takes_targets);
		json_put_bool(s->w, "takes_bundles", info.takes_bundles);
	}
	json_close(s->w);
	return 0;
}

/* Whom bundles are made for, and whether they come from elsewhere: then nobody here holds a ceremony for targets. */
static int put_sites(struct json_writer *w, const struct repo *r, struct error *err)
{
	struct sites_writer s = {w, r};
	int ret = 0;

	json_put_bool(w, "takes_bundles", repo_takes_bundles(r));
	if (!repo_exports(r))
		return 0;
	json_open_array(w, "sites");
	if (repo_root(r) != NULL)
		ret = repo_sites_each(repo_dirfd(r), put_site, &s, err);
	json_close(w);
	return ret;
}

static int get_repository(struct api_call *call, struct error *err)
{
	struct json_writer *w = &call->out;
	const struct repo_expiry *list;
	struct repo_lives lives;
	struct repo *r;
	unsigned i, n;

	if (repository_need(call, &r, err) < 0)
		return -1;
	n = repo_expiries(r, &list);
	json_open_object(w, NULL);
	json_put_string(w, "site", repo_site(r));
	json_put_bool(w, "adopted", repo_root(r) != NULL);
	json_put_bool(w, "staged_keys", repo_keys_staged(r));
	put_time(w, "now", call->now_s);
	if (put_sites(w, r, err) < 0)
		return -1;
	json_open_array(w, "roles");
	for (i = 0; i < n; i++) {
		json_open_object(w, NULL);
		json_put_string(w, "role", list[i].role);
		json_put_int(w, "version", list[i].version);
		put_time(w, "expires", list[i].expires_s);
		json_put_int(w, "expires_s", list[i].expires_s);
		put_time(w, "due", list[i].due_s);
		json_put_bool(w, "online", list[i].online);
		if (list[i].bins > 0)
			json_put_int(w, "bins", list[i].bins);
		json_close(w);
	}
	json_close(w);
	json_open_array(w, "publishers");
	for (i = 0; i < repo_role_count(r); i++) {
		json_open_object(w, NULL);
		put_publisher(w, r, i);
		put_content(w, r, repo_role_at(r, i));
		json_close(w);
	}
	json_close(w);
	lives = repo_lives(r);
	repo_lives_put(w, "lives", &lives);
	json_close(w);
	return 0;
}

static int read_publishers(struct json_value list, struct repo_publisher *out, unsigned *count, struct error *err)
{
	struct json_iter it;
	char *word;
	int r;

	if (json_count(list) > ONLINE_PUBLISHERS_MAX)
		return error_set(err, ERR_LIMIT, "more than %d publishers", ONLINE_PUBLISHERS_MAX);
	for (it = json_iter(list); json_next(&it);) {
		if (json_type(it.value) != JSON_STRING)
			return error_set(err, ERR_MALFORMED, "'publishers' must hold 'NAME:SLICE,...'");
		word = xstrndup_slice(json_string(it.value));
		r = publisher_parse_word(&out[*count], word, err);
		free(word);
		if (r < 0)
			return -1;
		(*count)++;
	}
	return 0;
}

static int read_scheme(struct api_call *call, enum key_scheme *scheme, struct error *err)
{
	struct slice s = SLICE_EMPTY;

	if (json_opt_string(call->body, "scheme", &s, err) < 0)
		return -1;
	if (s.ptr == NULL)
		return 0;
	*scheme = key_scheme_by_name(s);
	if (*scheme == KEY_ED25519 || *scheme == KEY_ECDSA_P256)
		return 0;
	error_set(err, ERR_USAGE, "cannot make keys of scheme '%.*s'", SLICE_ARG(slice_sub(s, 0, 64)));
	return error_hint(err, "give ed25519 or ecdsa-sha2-nistp256");
}

/* A module is code that runs in this process: only who is on this machine may name one. */
static int read_token(struct api_call *call, struct pkcs11_uri *u, const struct pkcs11_uri **token, struct error *err)
{
	struct slice s = SLICE_EMPTY;

	if (json_opt_string(call->body, "pkcs11", &s, err) < 0)
		return -1;
	if (s.ptr == NULL)
		return 0;
	if (call->actor->kind != ACTOR_LOCAL) {
		error_set(err, ERR_DENIED, "keys in a token are made on the machine that has the token");
		return error_hint(err, "run this command with --pkcs11 there");
	}
	*token = u;
	return pkcs11_uri_parse(u, s, err);
}

static int init(struct api_call *call, struct error *err)
{
	static const char *const names[] = {"site", "publishers", "lives", "bins", "scheme", "pkcs11", NULL};
	struct repo_publisher publishers[ONLINE_PUBLISHERS_MAX];
	struct repo_init_options o = {
		.lives = REPO_LIVES_DEFAULT, .publishers = publishers, .now_s = call->now_s};
	struct buf keys = BUF_INIT(ONLINE_KEYS_SIZE_MAX);
	struct json_value list = {NULL, 0}, lives = {NULL, 0};
	struct slice site = SLICE_EMPTY;
	char site_text[NAME_LEN_MAX + 1];
	struct pkcs11_uri token;
	unsigned i;
	int r = -1;

	if (json_only(call->body, names, err) < 0 || json_need_string(call->body, "site", &site, err) < 0 ||
	    name_check(site, "site", err) < 0 || json_opt_array(call->body, "publishers", &list, err) < 0 ||
	    json_opt_object(call->body, "lives", &lives, err) < 0 ||
	    (lives.doc != NULL && repo_lives_parse(&o.lives, lives, err) < 0) ||
	    json_opt_int(call->body, "bins", 0, INT64_MAX, &o.bins, err) < 0 ||
	    read_publishers(list, publishers, &o.publisher_count, err) < 0 || read_scheme(call, &o.scheme, err) < 0 ||
	    read_token(call, &token, &o.token, err) < 0)
		goto out;
	snprintf(site_text, sizeof(site_text), "%.*s", SLICE_ARG(site));
	o.site = site_text;
	snprintf(call->audit_object, sizeof(call->audit_object), "%s", site_text);
	if (repo_init(call->control->home, &o, &keys, err) < 0 || control_load_repo(call->control, err) < 0)
		goto out;
	json_put_raw(&call->out, NULL, buf_slice(&keys));
	r = 0;
out:
	for (i = 0; i < o.publisher_count; i++)
		repo_publisher_release(&publishers[i]);
	buf_release(&keys);
	return r;
}

static int rotate_keys(struct api_call *call, struct error *err)
{
	static const char *const names[] = {"publishers", "replace", "scheme", "pkcs11", NULL};
	struct repo_publisher publishers[ONLINE_PUBLISHERS_MAX];
	struct repo_rotate_options o = {.publishers = publishers, .now_s = call->now_s};
	struct buf keys = BUF_INIT(ONLINE_KEYS_SIZE_MAX);
	struct json_value list = {NULL, 0};
	struct pkcs11_uri token;
	struct repo *r;
	unsigned i;
	int ret = -1;

	if (repository_need(call, &r, err) < 0 || json_only(call->body, names, err) < 0 ||
	    json_opt_array(call->body, "publishers", &list, err) < 0 ||
	    json_opt_bool(call->body, "replace", &o.replace, err) < 0 ||
	    read_publishers(list, publishers, &o.publisher_count, err) < 0 || read_scheme(call, &o.scheme, err) < 0 ||
	    read_token(call, &token, &o.token, err) < 0 || repo_keys_rotate(r, &o, &keys, err) < 0)
		goto out;
	json_put_raw(&call->out, NULL, buf_slice(&keys));
	ret = 0;
out:
	for (i = 0; i < o.publisher_count; i++)
		repo_publisher_release(&publishers[i]);
	buf_release(&keys);
	return ret;
}

static int refresh(struct api_call *call, struct error *err)
{
	static const char *const names[] = {"force", "accept_clock", "timestamp_life_s", NULL};
	struct repo_resigned done;
	bool force = false, accept = false;
	int64_t life_s = 0;
	struct repo *r;

	if (repository_need(call, &r, err) < 0 || json_only(call->body, names, err) < 0 ||
	    json_opt_bool(call->body, "force", &force, err) < 0 ||
	    json_opt_bool(call->body, "accept_clock", &accept, err) < 0 ||
	    json_opt_int(call->body, "timestamp_life_s", 0, REPO_LIFE_MAX_S, &life_s, err) < 0 ||
	    repo_resign(r, call->now_s, (force ? REPO_FORCE : 0u) | (accept ? REPO_ACCEPT_CLOCK : 0u), life_s, &done, err) < 0)
		return -1;
	json_open_object(&call->out, NULL);
	json_put_int(&call->out, "publishers", done.publishers);
	json_put_int(&call->out, "bins", done.bins);
	json_put_bool(&call->out, "snapshot", done.snapshot);
	json_put_bool(&call->out, "timestamp", done.timestamp);
	json_close(&call->out);
	return 0;
}

/* The record names the sites whose roots came: in its object, where it is about one other site alone. */
static void note_adoption(struct api_call *call, const struct repo_adoption *done, bool own)
{
	struct json_writer w = JSON_WRITER(&call->audit_detail);
	unsigned i;

	if (!own && done->site_count == 1)
		snprintf(call->audit_object, sizeof(call->audit_object), "site:%s", done->sites[0].site);
	json_open_object(&w, NULL);
	json_put_int(&w, "root_version", done->root_version);
	json_put_int(&w, "targets_version", done->targets_version);
	if (done->site_count > 0)
		json_open_object(&w, "sites");
	for (i = 0; i < done->site_count; i++)
		json_put_int(&w, done->sites[i].site, done->sites[i].root_version);
	if (done->site_count > 0)
		json_close(&w);
	json_close(&w);
}

static void put_adoption(struct json_writer *w, const struct repo_adoption *done)
{
	unsigned i;

	json_open_object(w, NULL);
	json_put_int(w, "root_version", done->root_version);
	json_put_int(w, "targets_version", done->targets_version);
	json_put_int(w, "roots", done->roots);
	json_put_int(w, "targets", done->targets);
	json_open_array(w, "sites");
	for (i = 0; i < done->site_count; i++) {
		json_open_object(w, NULL);
		json_put_string(w, "site", done->sites[i].site);
		json_put_int(w, "root_version", done->sites[i].root_version);
		json_put_int(w, "roots", done->sites[i].roots);
		json_close(w);
	}
	json_close(w);
	json_close(w);
}

static int adopt(struct api_call *call, struct error *err)
{
	static const char *const names[] = {"files", "accept_clock", NULL};
	bool accept = false;
	struct slice files[ADOPT_FILES_MAX];
	struct json_value list;
	struct json_iter it;
	struct repo_adoption done;
	struct repo *r;
	unsigned n = 0;

	if (repository_need(call, &r, err) < 0 || json_only(call->body, names, err) < 0 ||
	    json_opt_bool(call->body, "accept_clock", &accept, err) < 0 ||
	    json_need_array(call->body, "files", &list, err) < 0)
		return -1;
	if (json_count(list) == 0 || json_count(list) > ADOPT_FILES_MAX)
		return error_set(err, ERR_USAGE, "give 1 to %d files", ADOPT_FILES_MAX);
	for (it = json_iter(list); json_next(&it);) {
		if (json_type(it.value) != JSON_STRING)
			return error_set(err, ERR_MALFORMED, "'files' must hold the files' texts");
		files[n++] = json_string(it.value);
	}
	if (repo_adopt_with(r, files, n, call->now_s, accept ? REPO_ACCEPT_CLOCK : 0u, &done, err) < 0)
		return -1;
	put_adoption(&call->out, &done);
	note_adoption(call, &done, done.own);
	repo_adoption_release(&done);
	return 0;
}

const struct api_route routes_repository[] = {
	{ .class = API_OPERATOR, .method = "GET", .pattern = "/api/v1/repository", .action = "repository.show",
	  .permission = "repository.read", .exclusive = true, .summary = "roles, versions and when they expire",
	  .handle = get_repository },
	{ .class = API_OPERATOR, .method = "POST", .pattern = "/api/v1/repository", .action = "repository.init",
	  .permission = "repository.write", .mutates = true, .summary = "make a repository with fresh online keys",
	  .handle = init },
	{ .class = API_OPERATOR, .method = "POST", .pattern = "/api/v1/repository/keys", .action = "repository.keys",
	  .permission = "repository.write", .mutates = true,
	  .summary = "make new online keys, which wait for the root that names them", .handle = rotate_keys },
	{ .class = API_OPERATOR, .method = "POST", .pattern = "/api/v1/repository/refresh", .action = "repository.refresh",
	  .permission = "repository.write", .mutates = true, .summary = "sign what is due, or all that is signed online",
	  .handle = refresh },
	{ .class = API_OPERATOR, .method = "POST", .pattern = "/api/v1/repository/adopt", .action = "repository.adopt",
	  .permission = "repository.write", .mutates = true, .summary = "install root and targets from a ceremony",
	  .handle = adopt },
	{ .class = API_OPERATOR, .method = "GET", .pattern = "/api/v1/repository/publishers",
	  .action = "repository.publishers", .permission = "repository.read", .exclusive = true,
	  .summary = "publishers with their keys and slices, for those who sign", .handle = get_publishers },
	{ .class = API_OPERATOR, .method = "GET", .pattern = "/api/v1/repository/roles/{role}",
	  .action = "repository.role", .permission = "repository.read", .exclusive = true,
	  .summary = "the file of a publisher or a hash bin as published", .handle = repository_get_role },
	{ .class = API_OPERATOR, .method = "PUT", .pattern = "/api/v1/repository/roles/{role}",
	  .action = "artifact.publish", .permission = "artifact.publish", .mutates = true,
	  .summary = "publish the next file of a publisher or a bin, staged as a blob", .handle = repository_put_role },
	{ .class = API_OPERATOR, .method = "GET", .pattern = "/api/v1/blobs/{sha256}", .action = "blob.show",
	  .permission = "artifact.publish", .summary = "how many bytes of a blob are staged", .handle = repository_get_blob },
	{ .class = API_OPERATOR, .method = "PUT", .pattern = "/api/v1/blobs/{sha256}", .action = "blob.stage",
	  .permission = "artifact.publish", .mutates = true, .summary = "stage a blob; ?offset=N resumes",
	  .handle = repository_put_blob, .prepare = repository_blob_prepare, .blob_open = repository_blob_open },
	{ .class = API_OPERATOR, .method = "PUT", .pattern = "/api/v1/blobs", .action = "blob.stage",
	  .permission = "artifact.publish", .mutates = true, .summary = "stage a local file passed as a descriptor",
	  .handle = repository_put_unnamed, .prepare = repository_unnamed_prepare, .blob_open = repository_unnamed_open },
	{ .class = API_OPERATOR, .method = "GET", .pattern = "/api/v1/artifacts", .action = "artifact.list",
	  .permission = "artifact.read", .exclusive = true, .summary = "every published artifact",
	  .handle = repository_list_artifacts },
	{ .class = API_OPERATOR, .method = "GET", .pattern = "/api/v1/artifacts/{namespace}/{name}/{version}",
	  .action = "artifact.show", .permission = "artifact.read", .exclusive = true,
	  .summary = "one artifact with its descriptor", .handle = repository_show_artifact },
	{ .class = API_OPERATOR, .method = "DELETE", .pattern = "/api/v1/artifacts/{namespace}/{name}/{version}/blob",
	  .action = "artifact.remove_blob", .permission = "artifact.publish", .mutates = true,
	  .summary = "remove the bytes of a withdrawn artifact", .handle = repository_remove_blob },
	{ .class = API_OPERATOR, .method = "POST", .pattern = "/api/v1/artifacts/{namespace}/{name}/{version}/blob",
	  .action = "artifact.restore_blob", .permission = "artifact.publish", .mutates = true,
	  .summary = "put staged bytes in place of damaged ones", .handle = repository_restore_blob },
	{ .method = NULL },
};
