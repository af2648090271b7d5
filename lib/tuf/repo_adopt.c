/* Taking root and targets from the ceremony into force. */
#include <inttypes.h>
#include <stdlib.h>

#include "sys/file.h"
#include "tuf/delegation.h"
#include "tuf/repo_internal.h"
#include "tuf/verify.h"

#define ADOPT_FILES_MAX 512

/* The files as given, sorted out. */
struct adoption {
	struct repo *r;
	int64_t now_s;
	struct tuf_root *roots[ADOPT_FILES_MAX]; /* by version, ascending */
	struct tuf_root *others[ADOPT_FILES_MAX]; /* of other sites, by site and version */
	unsigned root_count, other_count;
	struct tuf_targets *targets; /* the newest one given, or NULL */
	const struct tuf_root *root; /* the one in force afterwards */
	struct repo_keyring former;  /* while keys that were staged for this root sign */
	struct repo_change change;
};

static int by_site_and_version(const void *a, const void *b)
{
	const struct tuf_root *const *x = a, *const *y = b;

	int order = strcmp((*x)->site, (*y)->site);

	return order != 0 ? order
			  : ((*x)->head.version > (*y)->head.version) -
				    ((*x)->head.version < (*y)->head.version);
}

/* What a file says it is; the typed parsers check the rest. */
static int type_of(struct slice file, enum tuf_type *type, struct error *err)
{
	struct json doc = JSON_INIT;
	struct slice name = SLICE_EMPTY;
	char shown[64];
	int ret = -1;

	if (file.len > TUF_UNSIGNED_MAX) {
		error_set(err, ERR_LIMIT, "larger than %llu bytes",
			  (unsigned long long)TUF_UNSIGNED_MAX);
		goto out;
	}
	if (json_parse(&doc, file, JSON_STRICT, err) < 0)
		goto out;
	name = json_string(json_get(json_get(json_root(&doc), "signed"), "_type"));
	*type = slice_equal_str(name, "root") ? TUF_ROOT : TUF_TARGETS;
	if (*type == TUF_ROOT || slice_equal_str(name, "targets"))
		ret = 0;
	else if (name.len == 0)
		error_set(err, ERR_MALFORMED, "neither root nor targets metadata");
	else
		error_set(err, ERR_MALFORMED, "neither root nor targets, but '%s'",
			  printable(shown, sizeof(shown), name));
	if (ret < 0)
		error_hint(
			err,
			"root.json and targets.json are what 'meshanics ceremony finish' writes");
out:
	json_release(&doc);
	return ret;
}

static int take_root(struct adoption *a, struct slice file, struct error *err)
{
	struct tuf_root *root;

	if (file.len > TUF_ROOT_MAX)
		return error_set(err, ERR_LIMIT, "a root larger than %llu bytes",
				 (unsigned long long)TUF_ROOT_MAX);
	if ((root = tuf_root_parse(file, err)) == NULL)
		return -1;
	if (repo_exports(a->r) && root->site[0] != '\0' && strcmp(root->site, a->r->online.site) != 0)
		a->others[a->other_count++] = root;
	else
		a->roots[a->root_count++] = root;
	return 0;
}

/* Of several targets files the newest counts; the others were steps on the way. */
static int take_targets(struct adoption *a, struct slice file, struct error *err)
{
	struct tuf_targets *t = tuf_targets_parse(file, err);

	if (t == NULL)
		return -1;
	if (a->targets == NULL || t->head.version > a->targets->head.version) {
		tuf_targets_free(a->targets);
		a->targets = t;
	} else {
		tuf_targets_free(t);
	}
	return 0;
}

static int sort_out(struct adoption *a, const struct slice *files, unsigned count,
		    struct error *err)
{
	enum tuf_type type;
	unsigned i;

	if (count > ADOPT_FILES_MAX)
		return error_set(err, ERR_LIMIT, "%u files, more than %d", count, ADOPT_FILES_MAX);
	for (i = 0; i < count; i++) {
		if (type_of(files[i], &type, err) < 0 ||
		    (type == TUF_ROOT ? take_root(a, files[i], err)
				      : take_targets(a, files[i], err)) < 0)
			return error_wrap(err, "file %u", i + 1);
	}
	if (a->root_count > 0)
		qsort(a->roots, a->root_count, sizeof(a->roots[0]), by_site_and_version);
	if (a->other_count > 0)
		qsort(a->others, a->other_count, sizeof(a->others[0]), by_site_and_version);
	return 0;
}

int repo_refuse_rehearsal(const struct tuf_head *head, const char *what, struct error *err)
{
	if (!repo_is_rehearsal(head))
		return 0;
	error_set(err, ERR_REFUSED, "this %s comes from a rehearsal, whose keys lie about unsealed",
		  what);
	return error_hint(err,
			  "hold the real ceremony: meshanics ceremony new, without --rehearsal");
}

/* A root of a version that is in force or was: fine if it is the same file, so adopting twice does
 * no harm. */
static int check_known_root(const struct adoption *a, const struct tuf_root *root,
			    struct error *err)
{
	struct buf text = BUF_INIT(TUF_ROOT_MAX);
	const struct repo_newfile *f;
	char name[META_NAME_MAX];
	int ret = -1;

	metadata_name(name, "root", root->head.version);
	if ((f = repo_change_find(&a->change, name)) != NULL)
		buf_put_slice(&text, buf_slice(&f->text));
	else if (file_read(a->r->metadata_fd, name, &text, err) < 0)
		goto out;
	ret = slice_equal(buf_slice(&text), root->head.text)
		      ? 0
		      : error_set(err, ERR_REFUSED,
				  "another root of version %" PRId64 " is in force already",
				  root->head.version);
out:
	buf_release(&text);
	return ret;
}

static int check_next_root(struct adoption *a, const struct tuf_root *root, struct error *err)
{
	return a->root != NULL ? tuf_root_check(a->root, root, err) : tuf_root_check_self(root, err);
}

/* A root of this site, and no rehearsal's. */
static int check_ours(const struct adoption *a, const struct tuf_root *root, struct error *err)
{
	if (repo_refuse_rehearsal(&root->head, "root", err) < 0)
		return -1;
	if (strcmp(root->site, a->r->online.site) == 0)
		return 0;
	error_set(err, ERR_REFUSED, "this root is for site '%s', this repository is site '%s'",
		  root->site, a->r->online.site);
	return error_hint(err, "the ceremony has to be held with this box's own online-keys.json");
}

/* 5.3, from the root in force (or none) along the chain that was brought. */
static int follow_chain(struct adoption *a, struct repo_adoption *out, struct error *err)
{
	unsigned i;

	a->root = a->r->state.root;
	for (i = 0; i < a->root_count; i++) {
		const struct tuf_root *root = a->roots[i];
		struct buf text = BUF_INIT(TUF_ROOT_MAX);

		if (check_ours(a, root, err) < 0)
			return -1;
		if (a->root != NULL && root->head.version <= a->root->head.version) {
			if (check_known_root(a, root, err) < 0)
				return -1;
			continue;
		}
		if (check_next_root(a, root, err) < 0)
			return -1;
		buf_put_slice(&text, root->head.text);
		repo_change_add(&a->change, "root", root->head.version, &text);
		out->roots++;
		a->root = root;
	}
	if (a->root != NULL)
		return 0;
	/* Others are kept by who has a root of his own. */
	return a->other_count > 0
		       ? check_ours(a, a->others[0], err)
		       : error_set(err, ERR_USAGE, "no root among the files, and none in force");
}

/* The role is for our key to sign, alone. */
static int check_online_role(const struct tuf_root *root, enum tuf_type type,
			     const struct pubkey *key, struct error *err)
{
	const struct tuf_role *role = &root->roles[type];
	char id[KEY_FINGERPRINT_LEN];

	key_id(id, key);
	if (tuf_keys_find(&role->keys, slice_str(id)) == NULL) {
		error_set(err, ERR_REFUSED,
			  "root %" PRId64 " does not name this box's own %s key (%.16s...)",
			  root->head.version, tuf_type_name(type), id);
		return error_hint(
			err, "the ceremony has to be held with this box's own online-keys.json");
	}
	if (role->threshold != 1)
		return error_set(err, ERR_REFUSED,
				 "root %" PRId64 " asks %u keys to sign %s, this box holds one",
				 root->head.version, role->threshold, tuf_type_name(type));
	return 0;
}

int repo_root_check_ours(const struct repo *r, const struct tuf_root *root, int64_t now_s, struct error *err)
{
	struct repo_lives lives;

	if (!root->consistent_snapshot)
		return error_set(err, ERR_REFUSED,
				 "root %" PRId64 " does not ask for consistent snapshots",
				 root->head.version);
	if (check_online_role(root, TUF_SNAPSHOT, &r->online.snapshot, err) < 0 ||
	    check_online_role(root, TUF_TIMESTAMP, &r->online.timestamp, err) < 0 ||
	    repo_lives_of_root(root, &lives, err) < 0)
		return -1;
	return tuf_verify_expiry(&root->head, now_s, "root", "5.3.10", err);
}

/* The targets file that will be in force: brought, or the one that is. */
static int check_targets(struct adoption *a, struct repo_adoption *out, struct error *err)
{
	const struct tuf_targets *old = a->r->state.targets,
				 *t = a->targets != NULL ? a->targets : old;
	struct tuf_metafile meta = {.length = -1};
	struct buf text = BUF_INIT(TUF_UNSIGNED_MAX);

	if (t == NULL)
		return error_set(err, ERR_USAGE, "no targets among the files, and none in force");
	meta.version = t->head.version;
	if (repo_refuse_rehearsal(&t->head, "targets", err) < 0 || repo_delegations_check(t, err) < 0)
		return -1;
	if (tuf_targets_check(&a->root->roles[TUF_TARGETS], "targets", &meta, t, a->now_s, err) <
	    0) {
		if (t == old)
			error_hint(err,
				   "bring the targets file that was made with this root as well");
		return -1;
	}
	if (old != NULL && t->head.version < old->head.version)
		return error_set(err, ERR_REFUSED,
				 "targets version %" PRId64 " is older than version %" PRId64
				 " in force",
				 t->head.version, old->head.version);
	if (old != NULL && t->head.version == old->head.version) {
		if (!slice_equal(t->head.text, old->head.text))
			return error_set(err, ERR_REFUSED,
					 "another targets file of version %" PRId64
					 " is in force already",
					 t->head.version);
		return 0;
	}
	buf_put_slice(&text, t->head.text);
	repo_change_add(&a->change, "targets", t->head.version, &text);
	out->targets++;
	return 0;
}

/* Work on publishers for which the change in the making has no file. */
struct beginning {
	struct repo *r;
	const struct repo_lives *lives;
	int64_t now_s;
	struct repo_change *change;
};

/*
 * A publisher that is held here has a file from the first day on, so that clients which search its
 * slice find an answer. One whose former file its new keys did not sign starts empty: new keys mean
 * that the old are not believed.
 */
static int start_role(const struct beginning *b, struct repo_role *role, struct error *err)
{
	const struct repo_role *old = repo_role_find(b->r, slice_str(role->name));
	struct tuf_metafile meta = {.version = 0};

	if (repo_index_find(&b->r->state.index, role->name, &meta))
		role->version = meta.version;
	if (old != NULL && old->fault == ROLE_DAMAGED)
		return 0;
	if (old != NULL && old->file != NULL) {
		meta.length = -1;
		role->bin_bits = old->bin_bits;
		if (tuf_targets_check(&role->role, role->name, &meta, old->file, -1, err) == 0)
			return repo_follow_keys(b->r, role, old, b->lives->publisher_s, b->now_s,
						b->change, err);
	}
	if (!role->held)
		return 0;
	role->bin_bits = 0;
	while (1u << role->bin_bits < b->r->online.bins)
		role->bin_bits++;
	return repo_start_role(b->r, role, b->lives->publisher_s, b->now_s, b->change, err);
}

static bool has_file_of(const struct repo_change *c, const char *role)
{
	unsigned i;

	for (i = 0; i < c->count; i++) {
		if (strcmp(c->files[i].role, role) == 0)
			return true;
	}
	return false;
}

int repo_start_roles(struct repo *r, const struct tuf_targets *targets, const struct repo_lives *lives, int64_t now_s,
		     struct repo_change *change, struct error *err)
{
	const struct beginning b = {r, lives, now_s, change};
	struct tuf_delegation_iter it;
	struct tuf_delegation d;

	for (it = tuf_delegation_iter(targets, SLICE_EMPTY); tuf_delegation_next(&it, &d);) {
		struct repo_role role = {.file = NULL};
		int ret = -1;

		snprintf(role.name, sizeof(role.name), "%.*s", NAME_LEN_MAX, d.name);
		if (has_file_of(change, role.name))
			continue;
		if (tuf_delegation_role(targets, &d, &role.role, err) == 0) {
			role.held = repo_role_is_held(r, &role);
			ret = start_role(&b, &role, err);
		}
		tuf_role_release(&role.role);
		if (ret < 0)
			return -1;
	}
	return 0;
}

/* Everything is checked: sign for it and publish. */
static int put_in_force(struct adoption *a, struct error *err)
{
	const struct tuf_root *former = a->r->state.root;
	struct seal_options o = {.now_s = a->now_s, .snapshot = true};
	struct repo_lives lives;

	if (repo_lives_of_root(a->root, &lives, err) < 0 ||
	    repo_start_roles(a->r, a->targets != NULL ? a->targets : a->r->state.targets, &lives, a->now_s, &a->change,
			     err) < 0)
		return -1;
	o.lives = &lives;
	o.anew = former != NULL && tuf_root_rotates_online(former, a->root);
	if (repo_seal(a->r, &a->change, &o, err) < 0)
		return -1;
	return repo_apply(a->r, &a->change, a->now_s, err);
}

int repo_check_clock_with(const struct repo *r, int64_t now_s, unsigned flags, const char *hint, struct error *err)
{
	if (repo_clock_check_build(now_s, err) < 0)
		return -1;
	if ((flags & REPO_ACCEPT_CLOCK) || repo_check_clock(r, now_s, err) == 0)
		return 0;
	err->hint[0] = '\0';
	return error_hint(err, "%s", hint);
}

int repo_adopt(struct repo *r, const struct slice *files, unsigned count, int64_t now_s,
	       struct repo_adoption *out, struct error *err)
{
	return repo_adopt_with(r, files, count, now_s, 0, out, err);
}

/* The own root and targets, brought or in force. */
static int check_own(struct adoption *a, struct repo_adoption *out, struct error *err)
{
	/* Where only other sites' roots came, there is nothing to sign, and nothing new to check. */
	out->own = a->root_count > 0 || a->targets != NULL || a->other_count == 0;
	if (!out->own)
		return 0;
	if (repo_staged_enter(a->r, a->root, &a->former, err) < 0 || repo_root_check_ours(a->r, a->root, a->now_s, err) < 0)
		return -1;
	return check_targets(a, out, err);
}

static int check_others(struct adoption *a, struct repo_adoption *out, struct error *err)
{
	const struct site_roots s = {.r = a->r,
				     .main = a->root,
				     .roots = a->others,
				     .count = a->other_count,
				     .now_s = a->now_s};

	return a->other_count == 0 ? 0 : repo_adopt_sites(&s, &a->change, out, err);
}

static int adopt_all(struct adoption *a, struct repo_adoption *out, struct error *err)
{
	if (out->roots + out->targets > 0)
		return put_in_force(a, err);
	return a->change.count > 0 ? repo_commit(a->r, &a->change, err) : 0;
}

void repo_adoption_release(struct repo_adoption *a)
{
	free(a->sites);
	*a = (struct repo_adoption){.sites = NULL};
}

static void adoption_free(struct adoption *a)
{
	unsigned i;

	repo_change_release(&a->change);
	for (i = 0; i < a->root_count; i++)
		tuf_root_free(a->roots[i]);
	for (i = 0; i < a->other_count; i++)
		tuf_root_free(a->others[i]);
	tuf_targets_free(a->targets);
	free(a);
}

int repo_adopt_with(struct repo *r, const struct slice *files, unsigned count, int64_t now_s,
		    unsigned flags, struct repo_adoption *out, struct error *err)
{
	struct adoption *a = xcalloc(1, sizeof(*a));
	int ret = -1;

	a->r = r;
	a->now_s = now_s;
	*out = (struct repo_adoption){.roots = 0};
	if (repo_writable(r, err) < 0 ||
	    repo_check_clock_with(r, now_s, flags, "if the clock is right: meshanics repo adopt --accept-clock; else set it",
				  err) < 0 ||
	    sort_out(a, files, count, err) < 0 || follow_chain(a, out, err) < 0 ||
	    check_own(a, out, err) < 0 || check_others(a, out, err) < 0 ||
	    adopt_all(a, out, err) < 0)
		goto out;
	repo_staged_leave(r, &a->former);
	if (repo_keys_settle(r, err) < 0)
		goto out;
	out->root_version = r->state.root->head.version;
	out->targets_version = r->state.targets->head.version;
	ret = 0;
out:
	repo_staged_leave(r, &a->former);
	adoption_free(a);
	if (ret < 0)
		repo_adoption_release(out);
	return ret;
}
