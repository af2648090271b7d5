/* The supervisor's own verification: the worker is only a carrier of bytes. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/blobs.h"
#include "agent/supervisor.h"
#include "base/log.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "tuf/delegation.h"

#define STORED_FILE_MAX (64u << 20)
#define METADATA_TEXT_MAX 32768
#define METADATA_ROLES_MAX 64

int64_t agent_time_s(const struct agent *a)
{
	struct error ignored = ERROR_INIT;
	int64_t t = clock_now_s(), floor_s = 0;

	if (trusted_floor(&a->trusted, &floor_s, &ignored) == 0 && floor_s > t)
		t = floor_s;
	return t > MESHANICS_BUILD_TIME ? t : MESHANICS_BUILD_TIME;
}

/* Append one stored file, by its name on disk. */
static int pack_one(struct agent *a, const char *name, struct buf *out, struct error *err)
{
	struct buf bytes = BUF_INIT(STORED_FILE_MAX);
	int r = file_read(a->trusted.dirfd, name, &bytes, err);

	if (r == 0)
		blobs_put(out, slice_str(name), buf_slice(&bytes));
	buf_release(&bytes);
	return r;
}

int verify_pack_stored(struct agent *a, struct buf *out, struct error *err)
{
	int fd = file_open(a->trusted.dirfd, ".", O_RDONLY | O_DIRECTORY, 0, err);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (d == NULL) {
		file_close(&fd);
		return -1;
	}
	while (r == 0 && (e = readdir(d)) != NULL)
		if (slice_ends(slice_str(e->d_name), SLICE_LIT(".json")))
			r = pack_one(a, e->d_name, out, err);
	closedir(d);
	if (r == 0 && out->failed)
		return error_set(err, ERR_LIMIT, "the trusted metadata is larger than %zu bytes", out->max);
	return r;
}

int verify_take_result(struct update *u, const struct tuf_client *c, struct error *err)
{
	struct buf url = BUF_INIT(sizeof(u->url) - 1);
	struct json doc = JSON_INIT;
	struct json_value custom;
	struct tuf_result result;
	int r = -1;

	if (tuf_client_result(c, &result, err) < 0)
		return -1;
	tuf_result_put_path(&url, &result);
	if (url.failed || !result.hashes.has_sha256) {
		error_set(err, ERR_REFUSED, "'%s' has no SHA-256, or too long a name", u->path);
		goto out;
	}
	if (result.custom.len == 0 || json_parse(&doc, result.custom, JSON_FRACTIONS, err) < 0 ||
	    json_need_object(json_root(&doc), "meshanics", &custom, err) < 0) {
		error_set(err, ERR_REFUSED, "'%s' carries no descriptor", u->path);
		goto out;
	}
	u->length = result.length;
	memcpy(u->sha256, result.hashes.sha256, SHA256_LEN);
	snprintf(u->url, sizeof(u->url), "%s", buf_cstr(&url));
	buf_clear(&u->descriptor);
	buf_put_slice(&u->descriptor, json_raw(custom));
	u->signed_known = true;
	r = 0;
out:
	json_release(&doc);
	buf_release(&url);
	return r;
}

/* What of a role's name is told: of the hash bins of a publisher, which are many, only that they are his. */
static struct slice told_name(struct slice role)
{
	struct slice prefix = tuf_bin_prefix(role);

	return prefix.len > 0 ? prefix : role;
}

struct told {
	struct slice name;
	int64_t version;	/* of several bins, the highest */
};

/* Where the name is told, or -1. The last is tried first: the bins of one publisher are neighbours. */
static int told_find(const struct told *list, unsigned count, struct slice name)
{
	int i;

	for (i = (int)count - 1; i >= 0; i--)
		if (slice_equal(list[i].name, name))
			return i;
	return -1;
}

static unsigned told_roles(const struct tuf_snapshot *s, struct told *list, unsigned max)
{
	struct json_iter it = json_iter(s->meta);
	unsigned count = 0;

	while (json_next(&it)) {
		struct slice name = told_name(slice_sub(it.key, 0, it.key.len - 5));
		int64_t version = json_int(json_get(it.value, "version"));
		int at = told_find(list, count, name);

		if (at >= 0 && version > list[at].version)
			list[at].version = version;
		else if (at < 0 && count < max)
			list[count++] = (struct told){name, version};
	}
	return count;
}

/* The versions that hold now, by role, as heartbeats tell them: what a restored control plane must not go below. */
static int keep_versions(struct agent *a, struct tuf_client *c, struct error *err)
{
	const struct tuf_snapshot *s = tuf_client_snapshot(c);
	struct buf text = BUF_INIT(METADATA_TEXT_MAX);
	struct json_writer w = JSON_WRITER(&text);
	struct told list[METADATA_ROLES_MAX];
	unsigned n, i;
	int r;

	n = told_roles(s, list, METADATA_ROLES_MAX - 3);
	json_open_object(&w, NULL);
	json_put_int(&w, "root", tuf_client_root(c)->head.version);
	json_put_int(&w, "timestamp", tuf_client_timestamp(c)->head.version);
	json_put_int(&w, "snapshot", s->head.version);
	for (i = 0; i < n; i++) {
		char key[TUF_ROLE_NAME_MAX + 1];

		snprintf(key, sizeof(key), "%.*s", SLICE_ARG(list[i].name));
		json_put_int(&w, key, list[i].version);
	}
	json_close(&w);
	do {
		r = text.failed ? 0 : state_set_metadata(a->db, buf_slice(&text), err);
	} while (r < 0 && room_again(a, err));
	buf_release(&text);
	return r;
}

static int keep_trusted(struct agent *a, struct tuf_client *c, struct error *err)
{
	while (trusted_commit_client(&a->trusted, c, err) < 0) {
		if (!room_again(a, err))
			return -1;
	}
	return 0;
}

int verify_keep(struct agent *a, struct tuf_client *c, struct error *err)
{
	struct error ignored = ERROR_INIT;

	if (keep_versions(a, c, err) < 0 || keep_trusted(a, c, err) < 0)
		return -1;
	if (trusted_refreshed(&a->trusted, clock_now_s(), &ignored) < 0)
		log_warn("agent.refreshed", "why=\"%s\"", ignored.text);
	return 0;
}

/* The engine over the worker's files. */
static int run_engine(struct agent *a, struct slice packed, const char *target, struct error *err)
{
	struct tuf_options options = {.mode = TUF_MODE_CLIENT, .clock_s = clock_now_s(), .build_s = MESHANICS_BUILD_TIME};
	struct tuf_blob *list = xcalloc(BLOBS_MAX, sizeof(*list));
	struct error store_err = ERROR_INIT;
	struct tuf_client *c = NULL;
	unsigned count;
	int r = -1;

	if (blobs_read(list, &count, packed, err) < 0 || trusted_floor(&a->trusted, &options.floor_s, err) < 0)
		goto out;
	r = tuf_verify_offline(buf_slice(&a->identity.root), &options, &a->trusted, list, count,
			       slice_str(target), &c, err);
	if (r == 0 && target[0] != '\0')
		r = verify_take_result(&a->update, c, err);
	if (r == 0)
		r = keep_versions(a, c, err);
	/* Also after a refusal: a root or timestamp that did hold must not be forgotten. */
	if (c != NULL && keep_trusted(a, c, r == 0 ? err : &store_err) < 0)
		r = -1;
	if (r == 0 && trusted_refreshed(&a->trusted, options.clock_s, &store_err) < 0)
		log_warn("agent.refreshed", "why=\"%s\"", store_err.text);
out:
	tuf_client_free(c);
	free(list);
	return r;
}

int verify_fetched(struct agent *a, int blobs_fd, const char *target, struct error *err)
{
	struct buf packed = BUF_INIT(LINK_BLOB_MAX);
	int r = -1;

	if (blobs_fd < 0)
		error_set(err, ERR_MALFORMED, "the worker handed over no metadata");
	else if (link_blob_read(blobs_fd, &packed, err) == 0)
		r = run_engine(a, buf_slice(&packed), target, err);
	buf_release(&packed);
	return r;
}

struct device_profile machine_profile(const struct machine *m)
{
	return (struct device_profile){
		.arch = m->arch, .os_id = m->os, .os_version_id = m->os_version, .model = m->model,
		.memory = m->memory, .agent_version = MESHANICS_VERSION,
	};
}

int verify_descriptor(struct agent *a, const struct update *u, struct descriptor *d, struct error *err)
{
	struct machine m;
	struct device_profile profile;
	struct installed i;
	int64_t mark;

	descriptor_release(d);
	if (descriptor_parse_text(d, buf_slice(&u->descriptor), err) < 0)
		return error_wrap(err, "'%s'", u->path);
	if (d->kind != PAYLOAD_FILE && d->kind != PAYLOAD_MODEL)
		return error_set(err, ERR_REFUSED, "'%s' is of kind '%s', which this agent cannot apply", u->path,
				 payload_kind_name(d->kind));
	machine_read(&m);
	profile = machine_profile(&m);
	if (descriptor_check_device(d, &profile, err) < 0 || state_installed(a->db, u->artifact, &i, err) < 0)
		return -1;
	/* The version that is in place already may always stay. */
	if (strcmp(i.version, u->version) == 0 && i.release == d->release)
		return 0;
	return descriptor_check_release(d, i.mark, &mark, err);
}
