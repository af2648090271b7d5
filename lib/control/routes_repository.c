/* Routes of the repository: blobs, publishers' files, artifacts, signing and adoption. */
#include <stdio.h>
#include <stdlib.h>

#include "base/encode.h"
#include "base/timefmt.h"
#include "control/api.h"
#include "control/control.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "tuf/publish.h"
#include "tuf/repo.h"

#define ADOPT_FILES_MAX 64

static int need_repo(const struct api_call *call, struct repo **r, struct error *err)
{
	*r = call->control->repo;
	if (*r != NULL)
		return 0;
	error_set(err, ERR_NOT_FOUND, "there is no repository in '%s'", call->control->home);
	return error_hint(err, "run 'meshanics repo init' first");
}

/* ---- blobs: staged bytes by their SHA-256 ---- */

/* HOME/repo, opened anew: prepare and blob_open run beside the writer, which owns control->repo. */
static int open_repo_dir(const struct api_call *call, struct error *err)
{
	char path[4096];

	path_join(path, call->control->home, "repo");
	return file_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, err);
}

static int blob_hash(const struct api_call *call, uint8_t hash[static SHA256_LEN], struct error *err)
{
	return hex_decode(hash, SHA256_LEN, call->params[0], err) < 0 ? error_wrap(err, "blob name") : 0;
}

static int blob_open(struct api_call *call, struct error *err)
{
	uint8_t hash[SHA256_LEN];
	int dirfd, r = -1;

	if (blob_hash(call, hash, err) < 0 || (dirfd = open_repo_dir(call, err)) < 0)
		return -1;
	call->blob_fd = publish_stage_open(dirfd, hash, &call->blob_len, err);
	if (call->blob_fd >= 0)
		r = 0;
	file_close(&dirfd);
	return r;
}

/* Hash what is staged, or copy and hash a local file: the long part. */
static int blob_prepare(struct api_call *call, struct error *err)
{
	struct publish_blob copied;
	uint8_t hash[SHA256_LEN];
	uint64_t len;
	int dirfd, r = -1;

	if (blob_hash(call, hash, err) < 0 || (dirfd = open_repo_dir(call, err)) < 0)
		return -1;
	if (call->source_fd < 0) {
		r = publish_stage_finish(dirfd, hash, &len, err);
	} else if (publish_stage_file(dirfd, call->source_fd, &copied, NULL, NULL, NULL, err) == 0) {
		r = memcmp(copied.sha256, hash, sizeof(hash)) == 0 ? 0 : -1;
		if (r < 0)
			error_set(err, ERR_REFUSED, "the file's bytes are not those of the blob that was named");
	}
	file_close(&dirfd);
	return r;
}

/* ---- a local file whose SHA-256 nobody has computed yet: copied and hashed once, and the answer names it ---- */

static int unnamed_open(struct api_call *call, struct error *err)
{
	(void)call;
	error_set(err, ERR_USAGE, "bytes that come over the network are named by their SHA-256");
	return error_hint(err, "PUT them to /api/v1/blobs/SHA256");
}

static int unnamed_prepare(struct api_call *call, struct error *err)
{
	struct publish_blob *copied = xcalloc(1, sizeof(*copied));
	int dirfd, r = -1;

	call->prepared = copied;
	call->prepared_free = free;
	if (call->source_fd < 0)
		return unnamed_open(call, err);
	if ((dirfd = open_repo_dir(call, err)) < 0)
		return -1;
	r = publish_stage_file(dirfd, call->source_fd, copied, NULL, NULL, clock_mono_ms, err);
	file_close(&dirfd);
	return r;
}

static int put_unnamed(struct api_call *call, struct error *err)
{
	const struct publish_blob *copied = call->prepared;

	(void)err;
	json_open_object(&call->out, NULL);
	json_put_hex(&call->out, "sha256", copied->sha256, SHA256_LEN);
	json_put_int(&call->out, "bytes", (int64_t)copied->len);
	json_put_bool(&call->out, "complete", true);
	json_put_string(&call->out, "how", copied->how);
	json_put_int(&call->out, "copy_ms", copied->copy_ms);
	json_put_int(&call->out, "hash_ms", copied->hash_ms);
	json_put_int(&call->out, "sync_ms", copied->sync_ms);
	json_close(&call->out);
	hex_encode(call->audit_object, copied->sha256, SHA256_LEN);
	return 0;
}

/* ---- */

static int put_blob_answer(struct api_call *call, uint64_t bytes, bool complete)
{
	json_open_object(&call->out, NULL);
	json_put_int(&call->out, "bytes", (int64_t)bytes);
	json_put_bool(&call->out, "complete", complete);
	json_close(&call->out);
	return 0;
}

static int put_blob(struct api_call *call, struct error *err)
{
	(void)err;
	return put_blob_answer(call, call->blob_len, true);
}

static int get_blob(struct api_call *call, struct error *err)
{
	uint8_t hash[SHA256_LEN];
	uint64_t have = 0;
	int dirfd, fd;

	if (blob_hash(call, hash, err) < 0 || (dirfd = open_repo_dir(call, err)) < 0)
		return -1;
	if (publish_staged(dirfd, hash)) {
		file_close(&dirfd);
		return put_blob_answer(call, 0, true);
	}
	fd = publish_stage_open(dirfd, hash, &have, err);
	file_close(&dirfd);
	if (fd < 0)
		return -1;
	file_close(&fd);
	return put_blob_answer(call, have, false);
}

/* ---- publishers ---- */

static int find_role(struct api_call *call, const struct repo_role **role, struct error *err)
{
	struct repo *r;

	if (need_repo(call, &r, err) < 0)
		return -1;
	*role = repo_role_find(r, call->params[0]);
	if (*role == NULL)
		return error_set(err, ERR_NOT_FOUND, "targets delegates to no '%.*s'", SLICE_ARG(call->params[0]));
	return 0;
}

static int get_role_file(struct api_call *call, struct error *err)
{
	const struct repo_role *role;

	if (find_role(call, &role, err) < 0)
		return -1;
	if (role->file == NULL)
		return error_set(err, ERR_NOT_FOUND, "'%s' has published nothing yet", role->name);
	buf_put_slice(&call->reply, role->file->head.text);
	call->content_type = "application/json";
	return 0;
}

/* The new file itself comes as a staged blob: it may be larger than a request body. */
static int read_staged(struct api_call *call, struct slice hex, struct buf *file, struct error *err)
{
	uint8_t hash[SHA256_LEN];
	char name[SHA256_HEX_LEN + 16], text[SHA256_HEX_LEN];

	if (hex_decode(hash, SHA256_LEN, hex, err) < 0)
		return error_wrap(err, "'file_sha256'");
	hex_encode(text, hash, SHA256_LEN);
	snprintf(name, sizeof(name), "staging/%s", text);
	if (file_read(repo_dirfd(call->control->repo), name, file, err) < 0) {
		if (err->kind == ERR_NOT_FOUND)
			error_set(err, ERR_NOT_FOUND, "no blob '%s' is staged", text);
		return -1;
	}
	return 0;
}

/* It is in metadata/ now. What cannot be removed is swept with its age. */
static void drop_staged(const struct api_call *call, struct slice hex)
{
	struct error ignored = ERROR_INIT;
	char name[SHA256_HEX_LEN + 16];

	snprintf(name, sizeof(name), "staging/%.*s", SLICE_ARG(hex));
	if (file_unlink(repo_dirfd(call->control->repo), name, &ignored) < 0)
		return;
}

static int put_role(struct api_call *call, struct error *err)
{
	static const char *const names[] = {"expected_version", "file_sha256", NULL};
	struct buf file = BUF_INIT(PUBLISH_FILE_MAX);
	const struct repo_role *role;
	struct publish_result result;
	struct slice hex;
	int64_t expected;
	int r = -1;

	if (find_role(call, &role, err) < 0 || json_only(call->body, names, err) < 0 ||
	    json_need_int(call->body, "expected_version", 0, INT64_MAX, &expected, err) < 0 ||
	    json_need_string(call->body, "file_sha256", &hex, err) < 0 || read_staged(call, hex, &file, err) < 0)
		goto out;
	if (publish_commit(call->control->repo, call->params[0], expected, buf_slice(&file), call->now_s, &result, err) < 0)
		goto out;
	json_open_object(&call->out, NULL);
	json_put_int(&call->out, "version", result.version);
	json_put_int(&call->out, "added", result.added);
	json_put_int(&call->out, "removed", result.removed);
	json_close(&call->out);
	buf_printf(&call->audit_detail, "{\"version\":%lld,\"added\":%u,\"removed\":%u}", (long long)result.version,
		   result.added, result.removed);
	drop_staged(call, hex);
	r = 0;
out:
	buf_release(&file);
	return r;
}

/* ---- artifacts ---- */

static int put_artifact(void *arg, const struct artifact *a, struct error *err)
{
	struct json_writer *w = arg;
	struct json_value descriptor = json_get(a->target.custom, "meshanics");

	(void)err;
	json_open_object(w, NULL);
	json_put_slice(w, "artifact", a->target.path);
	json_put_string(w, "role", a->role->name);
	json_put_int(w, "bytes", (int64_t)a->target.length);
	json_put_hex(w, "sha256", a->target.hashes.sha256, SHA256_LEN);
	if (json_type(descriptor) == JSON_OBJECT)
		json_put_value(w, "descriptor", descriptor);
	json_close(w);
	return 0;
}

static int list_artifacts(struct api_call *call, struct error *err)
{
	struct repo *r;

	if (need_repo(call, &r, err) < 0)
		return -1;
	json_open_object(&call->out, NULL);
	json_open_array(&call->out, "artifacts");
	if (artifact_each(r, put_artifact, &call->out, err) < 0)
		return -1;
	json_close(&call->out);
	json_close(&call->out);
	return 0;
}

/* The path of the three parameters, checked as a target path. */
static int path_of(const struct api_call *call, char out[static TARGET_PATH_MAX + 1], struct error *err)
{
	int n = snprintf(out, TARGET_PATH_MAX + 1, "%.*s/%.*s/%.*s", SLICE_ARG(call->params[0]),
			 SLICE_ARG(call->params[1]), SLICE_ARG(call->params[2]));

	if (n > TARGET_PATH_MAX)
		return error_set(err, ERR_MALFORMED, "the artifact's name is longer than %d bytes", TARGET_PATH_MAX);
	return target_path_check(slice_str(out), err);
}

static int show_artifact(struct api_call *call, struct error *err)
{
	char path[TARGET_PATH_MAX + 1];
	struct artifact a;
	struct repo *r;

	if (need_repo(call, &r, err) < 0 || path_of(call, path, err) < 0 ||
	    artifact_find(r, slice_str(path), &a, err) < 0)
		return -1;
	return put_artifact(&call->out, &a, err);
}

/* After a publisher's file without the artifact was committed: its bytes may go, too. */
static int remove_blob(struct api_call *call, struct error *err)
{
	char path[TARGET_PATH_MAX + 1];
	uint8_t hash[SHA256_LEN];
	struct slice hex;
	struct repo *r;

	if (need_repo(call, &r, err) < 0 || path_of(call, path, err) < 0 ||
	    json_need_string(call->body, "sha256", &hex, err) < 0 || hex_decode(hash, SHA256_LEN, hex, err) < 0)
		return -1;
	snprintf(call->audit_object, sizeof(call->audit_object), "%s", path);
	return publish_remove_blob(r, path, hash, err);
}

/* The staged bytes of a published artifact in place of damaged ones. */
static int restore_blob(struct api_call *call, struct error *err)
{
	char path[TARGET_PATH_MAX + 1];
	struct repo *r;

	if (need_repo(call, &r, err) < 0 || path_of(call, path, err) < 0)
		return -1;
	snprintf(call->audit_object, sizeof(call->audit_object), "%s", path);
	return publish_restore_blob(r, path, err);
}

/* ---- signing, adoption, status ---- */

static void put_time(struct json_writer *w, const char *name, int64_t t_s)
{
	char text[TIME_TEXT_LEN];

	if (t_s == INT64_MAX)
		json_put_null(w, name);
	else
		json_put_string(w, name, time_text(text, t_s));
}

/* A publisher as targets delegates to it: what a signer has to know before he signs. */
static void put_publisher(struct json_writer *w, const struct repo *r, unsigned i)
{
	static const char *const faults[] = {
		[ROLE_FINE] = "none", [ROLE_OTHER_KEYS] = "other_keys", [ROLE_DAMAGED] = "damaged"};
	const struct repo_role *role = repo_role_at(r, i);
	struct json_iter it;
	unsigned k;

	json_open_object(w, NULL);
	json_put_string(w, "name", role->name);
	json_put_int(w, "version", role->version);
	json_put_bool(w, "online", role->held);
	json_put_string(w, "fault", faults[role->fault]);
	json_put_int(w, "artifacts", role->file == NULL ? 0 : (int64_t)json_count(role->file->targets));
	json_open_array(w, "keyids");
	for (k = 0; k < role->role.keys.count; k++)
		json_put_string(w, NULL, role->role.keys.list[k].id);
	json_close(w);
	json_open_array(w, "slices");
	for (it = json_iter(repo_role_slices(r, i)); json_next(&it);)
		json_put_value(w, NULL, it.value);
	json_close(w);
	json_close(w);
}

static int get_repository(struct api_call *call, struct error *err)
{
	struct json_writer *w = &call->out;
	const struct repo_expiry *list;
	struct repo_lives lives;
	struct repo *r;
	unsigned i, n;

	if (need_repo(call, &r, err) < 0)
		return -1;
	n = repo_expiries(r, &list);
	json_open_object(w, NULL);
	json_put_string(w, "site", repo_site(r));
	json_put_bool(w, "adopted", repo_root(r) != NULL);
	put_time(w, "now", call->now_s);
	json_open_array(w, "roles");
	for (i = 0; i < n; i++) {
		json_open_object(w, NULL);
		json_put_string(w, "role", list[i].role);
		json_put_int(w, "version", list[i].version);
		put_time(w, "expires", list[i].expires_s);
		json_put_int(w, "expires_s", list[i].expires_s);
		put_time(w, "due", list[i].due_s);
		json_put_bool(w, "online", list[i].online);
		json_close(w);
	}
	json_close(w);
	json_open_array(w, "publishers");
	for (i = 0; i < repo_role_count(r); i++)
		put_publisher(w, r, i);
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

static int init(struct api_call *call, struct error *err)
{
	static const char *const names[] = {"site", "publishers", "lives", NULL};
	struct repo_publisher publishers[ONLINE_PUBLISHERS_MAX];
	struct repo_init_options o = {
		.lives = REPO_LIVES_DEFAULT, .publishers = publishers, .now_s = call->now_s};
	struct buf keys = BUF_INIT(ONLINE_KEYS_SIZE_MAX);
	struct json_value list = {NULL, 0}, lives = {NULL, 0};
	struct slice site = SLICE_EMPTY;
	char site_text[NAME_LEN_MAX + 1];
	unsigned i;
	int r = -1;

	if (json_only(call->body, names, err) < 0 || json_need_string(call->body, "site", &site, err) < 0 ||
	    name_check(site, "site", err) < 0 || json_opt_array(call->body, "publishers", &list, err) < 0 ||
	    json_opt_object(call->body, "lives", &lives, err) < 0 ||
	    (lives.doc != NULL && repo_lives_parse(&o.lives, lives, err) < 0) ||
	    read_publishers(list, publishers, &o.publisher_count, err) < 0)
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

static int refresh(struct api_call *call, struct error *err)
{
	static const char *const names[] = {"force", "accept_clock", "timestamp_life_s", NULL};
	struct repo_resigned done;
	bool force = false, accept = false;
	int64_t life_s = 0;
	struct repo *r;

	if (need_repo(call, &r, err) < 0 || json_only(call->body, names, err) < 0 ||
	    json_opt_bool(call->body, "force", &force, err) < 0 ||
	    json_opt_bool(call->body, "accept_clock", &accept, err) < 0 ||
	    json_opt_int(call->body, "timestamp_life_s", 0, REPO_LIFE_MAX_S, &life_s, err) < 0 ||
	    repo_resign(r, call->now_s, (force ? REPO_FORCE : 0u) | (accept ? REPO_ACCEPT_CLOCK : 0u), life_s, &done, err) < 0)
		return -1;
	json_open_object(&call->out, NULL);
	json_put_int(&call->out, "publishers", done.publishers);
	json_put_bool(&call->out, "snapshot", done.snapshot);
	json_put_bool(&call->out, "timestamp", done.timestamp);
	json_close(&call->out);
	return 0;
}

static int adopt(struct api_call *call, struct error *err)
{
	static const char *const names[] = {"files", NULL};
	struct slice files[ADOPT_FILES_MAX];
	struct json_value list;
	struct json_iter it;
	struct repo_adoption done;
	struct repo *r;
	unsigned n = 0;

	if (need_repo(call, &r, err) < 0 || json_only(call->body, names, err) < 0 ||
	    json_need_array(call->body, "files", &list, err) < 0)
		return -1;
	if (json_count(list) == 0 || json_count(list) > ADOPT_FILES_MAX)
		return error_set(err, ERR_USAGE, "give 1 to %d files", ADOPT_FILES_MAX);
	for (it = json_iter(list); json_next(&it);) {
		if (json_type(it.value) != JSON_STRING)
			return error_set(err, ERR_MALFORMED, "'files' must hold the files' texts");
		files[n++] = json_string(it.value);
	}
	if (repo_adopt(r, files, n, call->now_s, &done, err) < 0)
		return -1;
	json_open_object(&call->out, NULL);
	json_put_int(&call->out, "root_version", done.root_version);
	json_put_int(&call->out, "targets_version", done.targets_version);
	json_put_int(&call->out, "roots", done.roots);
	json_put_int(&call->out, "targets", done.targets);
	json_close(&call->out);
	buf_printf(&call->audit_detail, "{\"root_version\":%lld,\"targets_version\":%lld}", (long long)done.root_version,
		   (long long)done.targets_version);
	return 0;
}

const struct api_route routes_repository[] = {
	{ .class = API_OPERATOR, .method = "GET", .pattern = "/api/v1/repository", .action = "repository.show",
	  .permission = "repository.read", .exclusive = true, .summary = "roles, versions and when they expire",
	  .handle = get_repository },
	{ .class = API_OPERATOR, .method = "POST", .pattern = "/api/v1/repository", .action = "repository.init",
	  .permission = "repository.write", .mutates = true, .summary = "make a repository with fresh online keys",
	  .handle = init },
	{ .class = API_OPERATOR, .method = "POST", .pattern = "/api/v1/repository/refresh", .action = "repository.refresh",
	  .permission = "repository.write", .mutates = true, .summary = "sign what is due, or all that is signed online",
	  .handle = refresh },
	{ .class = API_OPERATOR, .method = "POST", .pattern = "/api/v1/repository/adopt", .action = "repository.adopt",
	  .permission = "repository.write", .mutates = true, .summary = "install root and targets from a ceremony",
	  .handle = adopt },
	{ .class = API_OPERATOR, .method = "GET", .pattern = "/api/v1/repository/roles/{role}",
	  .action = "repository.role", .permission = "repository.read", .exclusive = true,
	  .summary = "a publisher's file as published", .handle = get_role_file },
	{ .class = API_OPERATOR, .method = "PUT", .pattern = "/api/v1/repository/roles/{role}",
	  .action = "artifact.publish", .permission = "artifact.publish", .mutates = true,
	  .summary = "publish a publisher's next file, staged as a blob", .handle = put_role },
	{ .class = API_OPERATOR, .method = "GET", .pattern = "/api/v1/blobs/{sha256}", .action = "blob.show",
	  .permission = "artifact.publish", .summary = "how many bytes of a blob are staged", .handle = get_blob },
	{ .class = API_OPERATOR, .method = "PUT", .pattern = "/api/v1/blobs/{sha256}", .action = "blob.stage",
	  .permission = "artifact.publish", .mutates = true, .summary = "stage a blob; ?offset=N resumes",
	  .handle = put_blob, .prepare = blob_prepare, .blob_open = blob_open },
	{ .class = API_OPERATOR, .method = "PUT", .pattern = "/api/v1/blobs", .action = "blob.stage",
	  .permission = "artifact.publish", .mutates = true, .summary = "stage a local file passed as a descriptor",
	  .handle = put_unnamed, .prepare = unnamed_prepare, .blob_open = unnamed_open },
	{ .class = API_OPERATOR, .method = "GET", .pattern = "/api/v1/artifacts", .action = "artifact.list",
	  .permission = "artifact.read", .exclusive = true, .summary = "every published artifact",
	  .handle = list_artifacts },
	{ .class = API_OPERATOR, .method = "GET", .pattern = "/api/v1/artifacts/{namespace}/{name}/{version}",
	  .action = "artifact.show", .permission = "artifact.read", .exclusive = true,
	  .summary = "one artifact with its descriptor", .handle = show_artifact },
	{ .class = API_OPERATOR, .method = "DELETE", .pattern = "/api/v1/artifacts/{namespace}/{name}/{version}/blob",
	  .action = "artifact.remove_blob", .permission = "artifact.publish", .mutates = true,
	  .summary = "remove the bytes of a withdrawn artifact", .handle = remove_blob },
	{ .class = API_OPERATOR, .method = "POST", .pattern = "/api/v1/artifacts/{namespace}/{name}/{version}/blob",
	  .action = "artifact.restore_blob", .permission = "artifact.publish", .mutates = true,
	  .summary = "put staged bytes in place of damaged ones", .handle = restore_blob },
	{ .method = NULL },
};
