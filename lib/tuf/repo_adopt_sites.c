/*
 * Roots of other sites come to where bundles are made for them. A site is as trusted here as the ceremony that made its
 * first root: this repository's own root keys have signed that one, and from there on the chain speaks for itself.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "tuf/repo_internal.h"
#include "tuf/repo_sites.h"
#include "tuf/verify.h"

/* One site's part of an adoption. */
struct site_chain {
	const struct site_roots *s;
	const char *site;
	struct buf text;		/* of kept */
	struct tuf_root *kept;		/* the newest that was there before; NULL: none */
	const struct tuf_root *last;	/* the newest now */
};

static int open_chain(struct site_chain *c, struct error *err)
{
	int64_t newest;

	c->text = BUF_INIT(TUF_ROOT_MAX);
	if (repo_site_newest(c->s->r->dirfd, c->site, &newest, err) < 0)
		return -1;
	if (newest == 0)
		return 0;
	if (repo_site_root_read(c->s->r->dirfd, c->site, newest, &c->text, err) < 0 ||
	    (c->kept = tuf_root_parse(buf_slice(&c->text), err)) == NULL)
		return error_wrap(err, "the root kept here");
	c->last = c->kept;
	return 0;
}

static void close_chain(struct site_chain *c)
{
	tuf_root_free(c->kept);
	buf_release(&c->text);
}

/* The same file again does no harm. */
static int check_known(const struct site_chain *c, const struct tuf_root *root, struct error *err)
{
	struct buf text = BUF_INIT(TUF_ROOT_MAX);
	int r = -1;

	if (root->head.version == c->last->head.version)
		buf_put_slice(&text, c->last->head.text);
	else if (repo_site_root_read(c->s->r->dirfd, c->site, root->head.version, &text, err) < 0)
		goto out;
	r = slice_equal(buf_slice(&text), root->head.text)
		    ? 0
		    : error_set(err, ERR_REFUSED, "another root of version %" PRId64 " is kept already",
				root->head.version);
out:
	buf_release(&text);
	return r;
}

static bool has_key_of(const struct tuf_keys *keys, const struct tuf_keys *others)
{
	unsigned i, k;

	for (i = 0; i < keys->count; i++) {
		for (k = 0; k < others->count; k++) {
			if (keys->list[i].pub.scheme != KEY_NONE &&
			    pubkey_equal(&keys->list[i].pub, &others->list[k].pub))
				return true;
		}
	}
	return false;
}

/* What is stolen here must not speak there, and the reverse. */
static int check_own_keys(const struct site_chain *c, const struct tuf_root *root, struct error *err)
{
	const struct tuf_role *main = c->s->main->roles;
	enum tuf_type type;

	for (type = TUF_TIMESTAMP; type <= TUF_SNAPSHOT; type++) {
		if (!has_key_of(&root->roles[type].keys, &main[TUF_TIMESTAMP].keys) &&
		    !has_key_of(&root->roles[type].keys, &main[TUF_SNAPSHOT].keys))
			continue;
		error_set(err, ERR_REFUSED, "its %s key is that of this repository", tuf_type_name(type));
		return error_hint(err, "hold its ceremony with the online-keys.json of the site's own box");
	}
	if (!root->consistent_snapshot)
		return error_set(err, ERR_REFUSED, "it does not ask for consistent snapshots");
	return 0;
}

static int names_export_key(const struct site_chain *c, const struct tuf_root *root, struct error *err)
{
	if (repo_site_export_key(c->s->r, root))
		return 0;
	error_set(err, ERR_REFUSED, "it does not name this repository's export key, so the site would take no bundle");
	return error_hint(err, "hold its ceremony with --like this repository's newest root, or --export-key");
}

/* The first of a site: nobody but the holders of our own root keys says that there is such a site. */
static int check_first(const struct site_chain *c, const struct tuf_root *root, struct error *err)
{
	static const char *const advice =
		"make it with: meshanics ceremony new --like ROOT, the newest root of this repository";
	const struct tuf_root *main = c->s->main;

	if (tuf_root_check_self(root, err) < 0 ||
	    tuf_verify_expiry(&main->head, c->s->now_s, "this repository's root", "5.3.10", err) < 0)
		return -1;
	if (tuf_verify_role(&main->roles[TUF_ROOT], &root->head, NULL, "its first root by this repository's root keys",
			    "5.3.4", err) < 0)
		return error_hint(err, "%s", advice);
	if (!tuf_role_same(&main->roles[TUF_TARGETS], &root->roles[TUF_TARGETS])) {
		error_set(err, ERR_REFUSED,
			  "its keys of targets are not those of this repository's root %" PRId64
			  ", whose targets it would not take",
			  main->head.version);
		return error_hint(err, "%s", advice);
	}
	return names_export_key(c, root, err);
}

static int check_one(struct site_chain *c, const struct tuf_root *root, struct repo_adopted_site *out,
		     struct repo_change *change, struct error *err)
{
	struct buf text = BUF_INIT(TUF_ROOT_MAX);

	if (repo_is_rehearsal(&root->head)) {
		error_set(err, ERR_REFUSED, "it comes from a rehearsal, whose keys lie about unsealed");
		return error_hint(err, "hold the real ceremony: meshanics ceremony new --like ROOT");
	}
	if (c->last != NULL && root->head.version <= c->last->head.version)
		return check_known(c, root, err);
	if ((c->last == NULL ? check_first(c, root, err) : tuf_root_check(c->last, root, err)) < 0 ||
	    check_own_keys(c, root, err) < 0)
		return -1;
	buf_put_slice(&text, root->head.text);
	repo_change_add_site(change, c->site, root->head.version, &text);
	c->last = root;
	out->roots++;
	return 0;
}

/* The roots from `at` on that are of one site; how many. */
static int adopt_site(const struct site_roots *s, unsigned at, unsigned *n, struct repo_change *change,
		      struct repo_adopted_site *out, struct error *err)
{
	struct site_chain c = {.s = s, .site = s->roots[at]->site};
	int r = open_chain(&c, err);

	for (*n = 0; r == 0 && at + *n < s->count && strcmp(s->roots[at + *n]->site, c.site) == 0; (*n)++) {
		r = check_one(&c, s->roots[at + *n], out, change, err);
		if (r < 0)
			error_wrap(err, "root %" PRId64 " of site '%s'", s->roots[at + *n]->head.version, c.site);
	}
	if (r == 0) {
		snprintf(out->site, sizeof(out->site), "%s", c.site);
		out->root_version = c.last->head.version;
	}
	close_chain(&c);
	return r;
}

int repo_adopt_sites(const struct site_roots *s, struct repo_change *change, struct repo_adoption *out,
		     struct error *err)
{
	unsigned at = 0, n;

	out->sites = xcalloc(s->count, sizeof(*out->sites));
	while (at < s->count) {
		if (adopt_site(s, at, &n, change, &out->sites[out->site_count++], err) < 0)
			return -1;
		at += n;
	}
	return 0;
}
