/*
 * Whatever a signer relies on is checked here, before anything is shown to him: that the metadata
 * in a request belong together, follow what is in force, and ask for nothing that no client would
 * take.
 */
#include <inttypes.h>

#include "tuf/ceremony_internal.h"
#include "tuf/verify.h"

static int check_role_keys(const struct tuf_root *root, enum tuf_type type, struct error *err)
{
	const struct tuf_role *role = &root->roles[type];
	unsigned i, j;

	if (role->keys.count > CEREMONY_SIGNERS_MAX)
		return error_set(err, ERR_LIMIT, "%s has more than %d keys", tuf_type_name(type),
				 CEREMONY_SIGNERS_MAX);
	if (role->threshold > role->keys.count)
		return error_set(err, ERR_REFUSED, "%s wants %u signatures of %u keys",
				 tuf_type_name(type), role->threshold, role->keys.count);
	for (i = 0; i < role->keys.count; i++) {
		if (role->keys.list[i].pub.scheme == KEY_NONE)
			return error_set(err, ERR_REFUSED, "%s key %.16s... cannot be used here",
					 tuf_type_name(type), role->keys.list[i].id);
		for (j = 0; j < i; j++) {
			if (pubkey_equal(&role->keys.list[i].pub, &role->keys.list[j].pub))
				return error_set(err, ERR_REFUSED, "%s lists one key twice",
						 tuf_type_name(type));
		}
	}
	return 0;
}

/* A key that lies unsealed on the box must not be one that could replace root or targets. */
static int check_apart(const struct tuf_keys *offline, const char *role,
		       const struct tuf_keys *online, const char *of, struct error *err)
{
	unsigned i, j;

	for (i = 0; i < offline->count; i++) {
		for (j = 0; j < online->count; j++) {
			if (pubkey_equal(&offline->list[i].pub, &online->list[j].pub))
				return error_set(err, ERR_REFUSED,
						 "%s key %.16s... is also the online key %s", role,
						 offline->list[i].id, of);
		}
	}
	return 0;
}

static int check_offline(const struct tuf_root *root, enum tuf_type type, struct error *err)
{
	const struct tuf_keys *keys = &root->roles[type].keys;
	const char *role = tuf_type_name(type);

	if (check_apart(keys, role, &root->roles[TUF_SNAPSHOT].keys, "of snapshot", err) < 0 ||
	    check_apart(keys, role, &root->roles[TUF_TIMESTAMP].keys, "of timestamp", err) < 0 ||
	    check_apart(keys, role, &root->site_keys, "that signs receipts", err) < 0)
		return -1;
	return check_apart(keys, role, &root->export_keys, "that signs bundles", err);
}

/* What the targets in force were signed by may be no longer enough: then they come along, signed
 * anew. */
static int check_targets_follow(const struct ceremony *c, struct error *err)
{
	const struct tuf_role *a, *b;

	if (c->root_in_force == NULL || c->targets != NULL || c->like != NULL)
		return 0;
	a = &c->root_in_force->roles[TUF_TARGETS];
	b = &c->root->roles[TUF_TARGETS];
	if (tuf_role_same(a, b))
		return 0;
	return error_set(
		err, ERR_REFUSED,
		"root changes the keys of targets, and no targets signed by them come along");
}

static int check_root(const struct ceremony *c, struct error *err)
{
	const struct tuf_root *old = c->root_in_force;
	int64_t wanted = old == NULL ? 1 : old->head.version + 1;
	struct repo_lives lives;
	enum tuf_type type;

	if (c->root == NULL)
		return 0;
	if (strcmp(c->root->site, c->site) != 0)
		return error_set(err, ERR_REFUSED, "root is for site '%s', the request says '%s'",
				 c->root->site, c->site);
	if (c->root->head.version != wanted)
		return error_set(err, ERR_REFUSED,
				 "root has version %" PRId64 " instead of %" PRId64,
				 c->root->head.version, wanted);
	if (repo_is_rehearsal(&c->root->head) != c->rehearsal)
		return error_set(err, ERR_REFUSED,
				 "root and request disagree on whether this is a rehearsal");
	if (!c->root->consistent_snapshot)
		return error_set(err, ERR_REFUSED, "root does not ask for consistent snapshots");
	for (type = TUF_ROOT; type < TUF_TYPES; type++) {
		if (check_role_keys(c->root, type, err) < 0)
			return -1;
	}
	if (check_offline(c->root, TUF_ROOT, err) < 0 ||
	    check_offline(c->root, TUF_TARGETS, err) < 0 || check_targets_follow(c, err) < 0)
		return -1;
	return repo_lives_of_root(c->root, &lives, err);
}

/* Artifacts are for publishers: targets may carry on those that it names itself, and no others. */
static int check_own_artifacts(const struct tuf_targets *next, const struct tuf_targets *old,
			       struct error *err)
{
	struct buf a = BUF_INIT(CEREMONY_REQUEST_MAX), b = BUF_INIT(CEREMONY_REQUEST_MAX);
	int r = 0;

	if (json_count(next->targets) == 0)
		return 0;
	if (json_canonical(&a, next->targets, err) < 0 ||
	    (old != NULL && json_canonical(&b, old->targets, err) < 0))
		r = -1;
	else if (!slice_equal(buf_slice(&a), buf_slice(&b)))
		r = error_set(err, ERR_REFUSED,
			      "targets names artifacts itself; that is for publishers");
	buf_release(&a);
	buf_release(&b);
	return r;
}

static int check_targets(const struct ceremony *c, struct error *err)
{
	const struct tuf_targets *old = c->targets_in_force;
	struct repo_publisher *list = NULL;
	unsigned count = 0;
	int r;

	if (c->targets == NULL)
		return 0;
	if (old == NULL ? c->targets->head.version != 1
			: c->targets->head.version <= old->head.version)
		return error_set(err, ERR_REFUSED,
				 "targets has version %" PRId64 ", which does not follow %" PRId64,
				 c->targets->head.version, old == NULL ? 0 : old->head.version);
	if (repo_is_rehearsal(&c->targets->head) != c->rehearsal)
		return error_set(err, ERR_REFUSED,
				 "targets and request disagree on whether this is a rehearsal");
	if (check_own_artifacts(c->targets, old, err) < 0 ||
	    check_role_keys(ceremony_signing_root(c), TUF_TARGETS, err) < 0)
		return -1;
	r = publishers_of_targets(c->targets, &list, &count, err);
	publishers_free(list, count);
	return r;
}

/* What is called "in force" must be that for a client which trusts the root in force. */
static int check_in_force(const struct ceremony *c, struct error *err)
{
	struct tuf_metafile meta = {.length = -1};

	if (c->root_in_force == NULL)
		return 0;
	if (strcmp(c->root_in_force->site, c->site) != 0)
		return error_set(err, ERR_REFUSED,
				 "root in force is of site '%s', the request says '%s'",
				 c->root_in_force->site, c->site);
	if (c->targets_in_force == NULL)
		return 0;
	meta.version = c->targets_in_force->head.version;
	return tuf_targets_check(&c->root_in_force->roles[TUF_TARGETS], "targets in force", &meta,
				 c->targets_in_force, -1, err);
}

static bool shares_key(const struct tuf_keys *a, const struct tuf_keys *b)
{
	unsigned i, k;

	for (i = 0; i < a->count; i++) {
		for (k = 0; k < b->count; k++) {
			if (a->list[i].pub.scheme != KEY_NONE &&
			    pubkey_equal(&a->list[i].pub, &b->list[k].pub))
				return true;
		}
	}
	return false;
}

/* What is stolen at one site must not speak at the other. */
static int check_like_apart(const struct tuf_root *root, const struct tuf_root *like, struct error *err)
{
	static const enum tuf_type online[] = {TUF_SNAPSHOT, TUF_TIMESTAMP};
	unsigned i, k;

	for (i = 0; i < ARRAY_SIZE(online); i++) {
		for (k = 0; k < ARRAY_SIZE(online); k++) {
			if (shares_key(&root->roles[online[i]].keys, &like->roles[online[k]].keys))
				return error_set(err, ERR_REFUSED, "its %s key is an online key of site '%s'",
						 tuf_type_name(online[i]), like->site);
		}
	}
	if (shares_key(&root->site_keys, &like->site_keys))
		return error_set(err, ERR_REFUSED, "its receipts would be signed by a key of site '%s'", like->site);
	return 0;
}

/* The site takes the targets of another: then it believes just those whom the other believes. */
static int check_like(const struct ceremony *c, struct error *err)
{
	const struct tuf_root *like = c->like;

	if (like == NULL)
		return 0;
	if (like->site[0] == '\0' || strcmp(like->site, c->site) == 0)
		return error_set(err, ERR_REFUSED, "the root that it is made like is of %s",
				 like->site[0] == '\0' ? "no site" : "the same site");
	if (repo_is_rehearsal(&like->head) != c->rehearsal)
		return error_set(err, ERR_REFUSED, "request and the root that it is made like disagree on whether this "
						   "is a rehearsal");
	if (!tuf_role_same(&c->root->roles[TUF_ROOT], &like->roles[TUF_ROOT]) ||
	    !tuf_role_same(&c->root->roles[TUF_TARGETS], &like->roles[TUF_TARGETS]))
		return error_set(err, ERR_REFUSED,
				 "its root and targets keys are not those of root %" PRId64 " of site '%s', which it says "
				 "it is made like",
				 like->head.version, like->site);
	return check_like_apart(c->root, like, err);
}

/* Each purpose has its documents, no others. */
static int check_purpose(const struct ceremony *c, struct slice purpose, struct error *err)
{
	bool root = c->root != NULL, targets = c->targets != NULL,
	     old_root = c->root_in_force != NULL, old_targets = c->targets_in_force != NULL,
	     like = c->like != NULL;
	char shown[64];

	if (slice_equal_str(purpose, "create") && root && targets != like && !old_root && !old_targets)
		return 0;
	if (slice_equal_str(purpose, "rotate") && root && old_root &&
	    (!targets || old_targets) && !(like && targets))
		return 0;
	if (slice_equal_str(purpose, "delegate") && !root && targets && old_root && old_targets &&
	    !like)
		return 0;
	return error_set(err, ERR_MALFORMED, "'purpose' '%s' does not fit what the request holds",
			 printable(shown, sizeof(shown), purpose));
}

int ceremony_check_content(const struct ceremony *c, struct slice purpose, struct error *err)
{
	if (check_purpose(c, purpose, err) < 0 || check_in_force(c, err) < 0 ||
	    check_root(c, err) < 0 || check_like(c, err) < 0)
		return -1;
	return check_targets(c, err);
}
