/*
 * Reading what is published: from the newest root to every publisher's file, with the checks of the
 * client workflow, from the disk with a change laid over it.
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "sys/file.h"
#include "tuf/delegation.h"
#include "tuf/repo_internal.h"
#include "tuf/verify.h"

int repo_newest(int metadata_fd, const char *role, int64_t *newest, int64_t *oldest,
		struct error *err)
{
	char found[NAME_LEN_MAX + 1], suffix[META_NAME_MAX];
	struct dirent *e;
	int64_t version;
	DIR *d;
	int fd;

	snprintf(suffix, sizeof(suffix), ".%s.json", role);
	*newest = 0;
	if (oldest != NULL)
		*oldest = 0;
	if ((fd = file_open(metadata_fd, ".", O_RDONLY | O_DIRECTORY, 0, err)) < 0)
		return -1;
	if ((d = fdopendir(fd)) == NULL) {
		file_close(&fd);
		return error_set(err, ERR_FAILED, "cannot list metadata/");
	}
	while ((e = readdir(d)) != NULL) {
		if (!slice_ends(slice_str(e->d_name), slice_str(suffix)) ||
		    !metadata_name_parse(e->d_name, found, &version) || strcmp(found, role) != 0)
			continue;
		if (version > *newest)
			*newest = version;
		if (oldest != NULL && (*oldest == 0 || version < *oldest))
			*oldest = version;
	}
	closedir(d);
	return 0;
}

/* ---- reading ---- */

/*
 * A change replaces a few files. The others are carried over from the state in force as they are,
 * verified and parsed: of two publishers with a hundred thousand artifacts each, one publishes
 * without a look at the other's file. Carried parts are borrowed until repo_state_replace makes
 * them the new state's own.
 */

/* What a load works on. */
struct view {
	struct repo_state *s;
	const struct repo *r;
	const struct repo_change *change;
	int64_t now_s;
};

static int view_read(const struct view *v, const char *role, int64_t version, uint64_t max,
		     struct buf *out, struct error *err)
{
	char name[META_NAME_MAX];
	const struct repo_newfile *f;

	metadata_name(name, role, version);
	*out = BUF_INIT(max);
	if ((f = repo_change_find(v->change, name)) == NULL)
		return file_read(v->r->metadata_fd, name, out, err) < 0
			       ? error_wrap(err, "metadata/%s", name)
			       : 0;
	buf_put_slice(out, buf_slice(&f->text));
	return out->failed
		       ? error_set(err, ERR_LIMIT, "%s is larger than %zu bytes", name, out->max)
		       : 0;
}

/*
 * The newest root, in the change or on the disk; 0 when there is none. Nobody adds one behind the
 * back of a repository that is changed, so metadata/, which may be long, is listed at opening only.
 */
static int newest_root(const struct view *v, int64_t *version, struct error *err)
{
	unsigned i;

	if (v->change != NULL && v->r->state.root != NULL)
		*version = v->r->state.root->head.version;
	else if (repo_newest(v->r->metadata_fd, "root", version, NULL, err) < 0)
		return -1;
	for (i = 0; v->change != NULL && i < v->change->count; i++) {
		const struct repo_newfile *f = &v->change->files[i];

		if (strcmp(f->role, "root") == 0 && f->site[0] == '\0' && f->version > *version)
			*version = f->version;
	}
	return 0;
}

/* The state that parts may be carried over from, or NULL. */
static const struct repo_state *view_before(const struct view *v)
{
	return v->change != NULL && v->r->state.root != NULL ? &v->r->state : NULL;
}

static int read_root(struct view *v, int64_t version, struct error *err)
{
	struct repo_state *s = v->s;

	if (view_read(v, "root", version, TUF_ROOT_MAX, &s->root_text, err) < 0 ||
	    (s->root = tuf_root_parse(buf_slice(&s->root_text), err)) == NULL ||
	    tuf_root_check_self(s->root, err) < 0)
		return error_wrap(err, "root %" PRId64, version);
	if (strcmp(s->root->site, v->r->online.site) != 0)
		return error_set(err, ERR_REFUSED,
				 "root %" PRId64 " is of site '%s', this repository of '%s'",
				 version, s->root->site, v->r->online.site);
	return 0;
}

static int load_root(struct view *v, int64_t version, struct error *err)
{
	const struct repo_state *before = view_before(v);
	struct repo_state *s = v->s;

	if (before != NULL && before->root->head.version == version) {
		s->root = before->root;
		s->root_text = before->root_text;
		s->root_carried = true;
	} else if (read_root(v, version, err) < 0) {
		return -1;
	}
	if (v->now_s >= 0 && tuf_verify_expiry(&s->root->head, v->now_s, "root", "5.3.10", err) < 0)
		return -1;
	return repo_lives_of_root(s->root, &s->lives, err);
}

static int load_timestamp(struct view *v, struct error *err)
{
	struct repo_state *s = v->s;

	if (view_read(v, "timestamp", 0, TUF_TIMESTAMP_MAX, &s->timestamp_text, err) < 0 ||
	    (s->timestamp = tuf_timestamp_parse(buf_slice(&s->timestamp_text), err)) == NULL)
		return error_wrap(err, "timestamp");
	return tuf_timestamp_check(s->root, NULL, s->timestamp, v->now_s, err);
}

/* Versions that ran ahead of the clock have ended with the keys that signed them (seal_options.anew). */
static bool begins_anew(const struct view *v, const struct tuf_snapshot *before)
{
	return v->s->snapshot->head.version < before->head.version && v->r->state.root != NULL &&
	       tuf_root_rotates_online(v->r->state.root, v->s->root);
}

static int load_snapshot(struct view *v, const struct tuf_snapshot *before, struct error *err)
{
	struct repo_state *s = v->s;

	if (view_read(v, "snapshot", s->timestamp->snapshot.version, TUF_SIGNED_MAX,
		      &s->snapshot_text, err) < 0 ||
	    (s->snapshot = tuf_snapshot_parse(buf_slice(&s->snapshot_text), err)) == NULL)
		return error_wrap(err, "snapshot");
	repo_index_make(&s->index, s->snapshot->meta);
	if (before != NULL && begins_anew(v, before))
		before = NULL;
	return tuf_snapshot_check(s->root, s->timestamp, before, s->snapshot, v->now_s, err);
}

static int load_targets(struct view *v, struct error *err)
{
	const struct repo_state *before = view_before(v);
	struct repo_state *s = v->s;
	struct tuf_metafile meta;

	if (tuf_snapshot_find(s->snapshot, SLICE_LIT("targets"), &meta, err) < 0)
		return -1;
	if (s->root_carried && before->targets->head.version == meta.version) {
		s->targets = before->targets;
		s->targets_text = before->targets_text;
		s->targets_carried = true;
		return v->now_s < 0 ? 0
				    : tuf_verify_expiry(&s->targets->head, v->now_s, "targets",
							"5.6.5", err);
	}
	if (view_read(v, "targets", meta.version, TUF_SIGNED_MAX, &s->targets_text, err) < 0 ||
	    (s->targets = tuf_targets_parse(buf_slice(&s->targets_text), err)) == NULL)
		return error_wrap(err, "targets");
	if (repo_delegations_check(s->targets, err) < 0)
		return -1;
	return tuf_targets_check(&s->root->roles[TUF_TARGETS], "targets", &meta, s->targets,
				 v->now_s, err);
}

int repo_delegations_check(const struct tuf_targets *targets, struct error *err)
{
	struct tuf_delegation_iter it;
	struct tuf_delegation d;

	if (json_get(targets->delegations, "succinct_roles").doc != NULL)
		return error_set(
			err, ERR_REFUSED,
			"targets delegates to hash bins, which this repository does not keep");
	for (it = tuf_delegation_iter(targets, SLICE_EMPTY); tuf_delegation_next(&it, &d);) {
		if (publisher_name_check(slice_str(d.name), err) < 0)
			return error_wrap(err, "targets delegates to '%s'", d.name);
		if (!d.terminating || json_get(d.entry, "paths").doc == NULL)
			return error_set(
				err, ERR_REFUSED,
				"targets delegates to '%s' other than by terminating path patterns",
				d.name);
	}
	return 0;
}

/*
 * A publisher's file is checked against the snapshot before its keys are: damage and new keys are
 * told apart. Hash bins that it gives to more than the publisher's own keys are a matter of keys,
 * too.
 */
static int load_role_file(struct view *v, struct repo_role *role, const struct tuf_metafile *meta,
			  struct error *err)
{
	struct slice text;

	role->fault = ROLE_DAMAGED;
	if (view_read(v, role->name, meta->version, TUF_SIGNED_MAX, &role->text, err) < 0)
		return -1;
	text = buf_slice(&role->text);
	if (tuf_hashes_check(&meta->hashes, text, role->name, err) < 0)
		return -1;
	if ((role->file = tuf_targets_parse(text, err)) == NULL)
		return error_wrap(err, "%s", role->name);
	role->fault = ROLE_OTHER_KEYS;
	if (tuf_targets_check(&role->role, role->name, meta, role->file, -1, err) < 0 ||
	    repo_bins_check(role, role->file, &role->bin_bits, err) < 0)
		return -1;
	if (role->bin_bits > 0)
		role->bins = repo_bins_new(role->bin_bits);
	role->fault = ROLE_FINE;
	return 0;
}

bool repo_role_is_held(const struct repo *r, const struct repo_role *role)
{
	struct error ignored = ERROR_INIT;
	char file[NAME_LEN_MAX + 8];
	struct keyfile key;

	if (role->role.threshold != 1 || r->keys_fd < 0)
		return false;
	snprintf(file, sizeof(file), "%s.key", role->name);
	if (!file_exists(r->keys_fd, file) || keyfile_read(r->keys_fd, file, &key, &ignored) < 0)
		return false;
	return tuf_keys_find(&role->role.keys, slice_str(key.keyid)) != NULL;
}

/* The same file by the same keys as before: true, and it is borrowed. */
static bool carry_role(const struct view *v, struct repo_role *role)
{
	const struct repo_state *before = view_before(v);
	const struct repo_role *old =
		before == NULL ? NULL : repo_state_role(before, slice_str(role->name));

	if (old == NULL || old->file == NULL || old->version != role->version ||
	    old->role.threshold != role->role.threshold ||
	    !tuf_keys_same(&old->role.keys, &role->role.keys))
		return false;
	role->file = old->file;
	role->text = old->text;
	role->bin_bits = old->bin_bits;
	role->bins = old->bins;
	role->carried = true;
	return true;
}

/* What is wrong with one publisher (or expired) is his matter alone: it is noted, and the others go
 * on. */
static int load_role(struct view *v, struct repo_role *role, const struct tuf_delegation *d,
		     struct error *err)
{
	struct tuf_metafile meta;

	snprintf(role->name, sizeof(role->name), "%.*s", NAME_LEN_MAX, d->name);
	if (tuf_delegation_role(v->s->targets, d, &role->role, err) < 0)
		return -1;
	role->held = repo_role_is_held(v->r, role);
	if (!repo_index_find(&v->s->index, role->name, &meta))
		return 0; /* never published */
	role->version = meta.version;
	if (carry_role(v, role))
		return 0;
	if (load_role_file(v, role, &meta, &role->why) < 0) {
		tuf_targets_free(role->file);
		role->file = NULL;
		buf_release(&role->text);
	}
	return 0;
}

static int load_roles(struct view *v, struct error *err)
{
	struct repo_state *s = v->s;
	struct tuf_delegation_iter it;
	struct tuf_delegation d;

	for (it = tuf_delegation_iter(s->targets, SLICE_EMPTY); tuf_delegation_next(&it, &d);) {
		s->roles = xreallocarray(s->roles, s->role_count + 1, sizeof(s->roles[0]));
		s->roles[s->role_count] = (struct repo_role){.file = NULL};
		if (load_role(v, &s->roles[s->role_count++], &d, err) < 0)
			return -1;
	}
	return 0;
}

int repo_state_load(struct repo_state *s, const struct repo *r, const struct repo_change *change,
		    const struct tuf_snapshot *before, int64_t now_s, struct error *err)
{
	struct view v = {s, r, change, now_s};
	int64_t version;

	*s = (struct repo_state){.lives = r->online.lives};
	if (newest_root(&v, &version, err) < 0)
		return -1;
	if (version == 0)
		return 0;
	if (load_root(&v, version, err) < 0 || load_timestamp(&v, err) < 0 ||
	    load_snapshot(&v, before, err) < 0 || load_targets(&v, err) < 0 ||
	    load_roles(&v, err) < 0) {
		repo_state_release(s);
		return -1;
	}
	return 0;
}

void repo_role_release(struct repo_role *role)
{
	tuf_role_release(&role->role);
	if (!role->carried) {
		tuf_targets_free(role->file);
		buf_release(&role->text);
		repo_bins_free(role->bins);
	}
	*role = (struct repo_role){.file = NULL};
}

/* What the next state has borrowed becomes its own: the old one lends it to nobody any more. */
static void take_over(struct repo_role *role, struct repo_role *old)
{
	struct repo_bins *bins = role->bins;

	if (role->carried) {
		role->carried = false;
		old->carried = true;
	} else if (role->bin_bits > 0 && old->bin_bits == role->bin_bits) {
		/* What is known of bins is known by version, and stays right. */
		role->bins = old->bins;
		old->bins = bins;
	}
}

void repo_state_replace(struct repo *r, struct repo_state *next)
{
	unsigned i;

	for (i = 0; i < next->role_count; i++) {
		struct repo_role *old = repo_state_role(&r->state, slice_str(next->roles[i].name));

		if (old != NULL)
			take_over(&next->roles[i], old);
	}
	r->state.root_carried = next->root_carried;
	r->state.targets_carried = next->targets_carried;
	next->root_carried = next->targets_carried = false;
	repo_role_release(r->bin);
	repo_state_release(&r->state);
	r->state = *next;
	*next = (struct repo_state){.roles = NULL};
}

void repo_state_release(struct repo_state *s)
{
	unsigned i;

	for (i = 0; i < s->role_count; i++)
		repo_role_release(&s->roles[i]);
	free(s->roles);
	repo_index_release(&s->index);
	if (!s->root_carried) {
		tuf_root_free(s->root);
		buf_release(&s->root_text);
	}
	if (!s->targets_carried) {
		tuf_targets_free(s->targets);
		buf_release(&s->targets_text);
	}
	tuf_snapshot_free(s->snapshot);
	tuf_timestamp_free(s->timestamp);
	buf_release(&s->snapshot_text);
	buf_release(&s->timestamp_text);
	*s = (struct repo_state){.roles = NULL};
}

struct repo_role *repo_state_role(const struct repo_state *s, struct slice name)
{
	unsigned i;

	for (i = 0; i < s->role_count; i++) {
		if (slice_equal_str(name, s->roles[i].name))
			return &s->roles[i];
	}
	return NULL;
}
