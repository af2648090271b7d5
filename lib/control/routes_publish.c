/* Routes by which publishers publish: staged bytes, their roles' files, artifacts. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/encode.h"
#include "control/control.h"
#include "control/routes_repository.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "tuf/publish.h"
#include "tuf/repo.h"

int repository_need(const struct api_call *call, struct repo **r, struct error *err)
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

int repository_blob_open(struct api_call *call, struct error *err)
{
	uint8_t hash[SHA256_LEN];
	int dirfd, r = -1;

	if (blob_hash(call, hash, err) < 0 || (dirfd = open_repo_dir(call, err)) < 0)
		return -1;
	call->blob_fd = publish_stage_open(dirfd, hash, &call->blob_len, err);
	if (call->blob_fd >= 0)
		r = publish_stage_room(dirfd, hash, call->blob_fd, call->blob_len, call->blob_more, err);
	file_close(&dirfd);
	return r;
}

/* Hash what is staged, or copy and hash a local file: the long part. */
int repository_blob_prepare(struct api_call *call, struct error *err)
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

int repository_unnamed_open(struct api_call *call, struct error *err)
{
	(void)call;
	error_set(err, ERR_USAGE, "bytes that come over the network are named by their SHA-256");
	return error_hint(err, "PUT them to /api/v1/blobs/SHA256");
}

int repository_unnamed_prepare(struct api_call *call, struct error *err)
{
	struct publish_blob *copied = xcalloc(1, sizeof(*copied));
	int dirfd, r = -1;

	call->prepared = copied;
	call->prepared_free = free;
	if (call->source_fd < 0)
		return repository_unnamed_open(call, err);
	if ((dirfd = open_repo_dir(call, err)) < 0)
		return -1;
	r = publish_stage_file(dirfd, call->source_fd, copied, NULL, NULL, clock_mono_ms, err);
	file_close(&dirfd);
	return r;
}

int repository_put_unnamed(struct api_call *call, struct error *err)
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

/* ---- named blobs, answered ---- */

static int put_blob_answer(struct api_call *call, uint64_t bytes, bool complete)
{
	json_open_object(&call->out, NULL);
	json_put_int(&call->out, "bytes", (int64_t)bytes);
	json_put_bool(&call->out, "complete", complete);
	json_close(&call->out);
	return 0;
}

int repository_put_blob(struct api_call *call, struct error *err)
{
	(void)err;
	return put_blob_answer(call, call->blob_len, true);
}

int repository_get_blob(struct api_call *call, struct error *err)
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

	if (repository_need(call, &r, err) < 0)
		return -1;
	*role = repo_file_find(r, call->params[0]);
	if (*role == NULL)
		return error_set(err, ERR_NOT_FOUND, "targets delegates to no '%.*s'", SLICE_ARG(call->params[0]));
	return 0;
}

int repository_get_role(struct api_call *call, struct error *err)
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

int repository_put_role(struct api_call *call, struct error *err)
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

struct listing {
	struct json_writer *w;
	const struct repo *r;
};

static int put_artifact(void *arg, const struct artifact *a, struct error *err)
{
	const struct listing *l = arg;
	struct json_writer *w = l->w;
	struct json_value descriptor = json_get(a->target.custom, "meshanics");

	(void)err;
	json_open_object(w, NULL);
	json_put_slice(w, "artifact", a->target.path);
	json_put_string(w, "role", a->role->name);
	json_put_int(w, "bytes", (int64_t)a->target.length);
	json_put_hex(w, "sha256", a->target.hashes.sha256, SHA256_LEN);
	json_put_bool(w, "held", artifact_held(l->r, a));
	if (json_type(descriptor) == JSON_OBJECT)
		json_put_value(w, "descriptor", descriptor);
	json_close(w);
	return 0;
}

int repository_list_artifacts(struct api_call *call, struct error *err)
{
	struct repo *r;

	if (repository_need(call, &r, err) < 0)
		return -1;
	json_open_object(&call->out, NULL);
	json_open_array(&call->out, "artifacts");
	if (artifact_each(r, put_artifact, &(struct listing){&call->out, r}, err) < 0)
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

int repository_show_artifact(struct api_call *call, struct error *err)
{
	char path[TARGET_PATH_MAX + 1];
	struct artifact a;
	struct repo *r;

	if (repository_need(call, &r, err) < 0 || path_of(call, path, err) < 0 ||
	    artifact_find(r, slice_str(path), &a, err) < 0)
		return -1;
	return put_artifact(&(struct listing){&call->out, r}, &a, err);
}

/* After a publisher's file without the artifact was committed: its bytes may go, too. */
int repository_remove_blob(struct api_call *call, struct error *err)
{
	char path[TARGET_PATH_MAX + 1];
	uint8_t hash[SHA256_LEN];
	struct slice hex;
	struct repo *r;

	if (repository_need(call, &r, err) < 0 || path_of(call, path, err) < 0 ||
	    json_need_string(call->body, "sha256", &hex, err) < 0 || hex_decode(hash, SHA256_LEN, hex, err) < 0)
		return -1;
	snprintf(call->audit_object, sizeof(call->audit_object), "%s", path);
	return publish_remove_blob(r, path, hash, err);
}

/* The staged bytes of a published artifact in place of damaged ones. */
int repository_restore_blob(struct api_call *call, struct error *err)
{
	char path[TARGET_PATH_MAX + 1];
	struct repo *r;

	if (repository_need(call, &r, err) < 0 || path_of(call, path, err) < 0)
		return -1;
	snprintf(call->audit_object, sizeof(call->audit_object), "%s", path);
	return publish_restore_blob(r, path, err);
}
