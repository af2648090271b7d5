/*
 * Requests for the next root: keys come and go, thresholds change, an online box is replaced, or
 * only the date moves. What nobody asked to change is copied from the root in force. A root that is
 * made like that of another site has that one's root and targets keys, be it the first or the next.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "tuf/ceremony_internal.h"
#include "tuf/verify.h"

/* ---- who goes ---- */

static bool removal_means(const struct ceremony_removal *removal, const struct tuf_key *k)
{
	if (removal->key != NULL)
		return k->pub.scheme != KEY_NONE && pubkey_equal(removal->key, &k->pub);
	return strncmp(removal->keyid, k->id, strlen(removal->keyid)) == 0;
}

/* How often it means a key of the role; *first is the first one in all the roles that were asked.
 */
static int count_meant(const struct ceremony_removal *removal, const struct tuf_role *role,
		       const struct tuf_key **first, unsigned *count, struct error *err)
{
	unsigned i;

	for (i = 0; i < role->keys.count; i++) {
		const struct tuf_key *k = &role->keys.list[i];

		if (!removal_means(removal, k))
			continue;
		if (*first != NULL && removal->key == NULL && strcmp((*first)->id, k->id) != 0) {
			error_set(err, ERR_REFUSED,
				  "'%s' is the beginning of two keys, %.16s... and %.16s...",
				  removal->said, (*first)->id, k->id);
			return error_hint(err, "give more digits of the key id");
		}
		*first = k;
		(*count)++;
	}
	return 0;
}

static int check_removal(const struct rotation *t, const struct ceremony_removal *removal,
			 struct error *err)
{
	static const char *const where[] = {"", "the root keys", "the targets keys",
					    "the root or targets keys"};
	const struct tuf_key *first = NULL;
	unsigned count = 0;

	if (removal->key == NULL && strlen(removal->keyid) < CEREMONY_KEYID_MIN)
		return error_set(err, ERR_USAGE, "'%s': at least %d digits of a key id are needed",
				 removal->said, CEREMONY_KEYID_MIN);
	if (((removal->roles & CEREMONY_ROOT) &&
	     count_meant(removal, &t->old->roles[TUF_ROOT], &first, &count, err) < 0) ||
	    ((removal->roles & CEREMONY_TARGETS) &&
	     count_meant(removal, &t->old->roles[TUF_TARGETS], &first, &count, err) < 0))
		return -1;
	if (count > 0)
		return 0;
	error_set(err, ERR_NOT_FOUND, "'%s' is not among %s of root %" PRId64, removal->said,
		  where[removal->roles & 3], t->old->head.version);
	return error_hint(err, "is this the newest root, and the right file of the key?");
}

static bool is_removed(const struct rotation *t, unsigned role, const struct tuf_key *k)
{
	unsigned i;

	for (i = 0; i < t->r->removed_count; i++) {
		if ((t->r->removed[i].roles & role) && removal_means(&t->r->removed[i], k))
			return true;
	}
	return false;
}

/* ---- who stays, and who comes ---- */

static const struct rotation_key *entry_of(const struct rotation_role *p, const struct pubkey *key)
{
	unsigned i;

	for (i = 0; key->scheme != KEY_NONE && i < p->count; i++) {
		if (pubkey_equal(p->list[i].key, key))
			return &p->list[i];
	}
	return NULL;
}

static int add_entry(struct rotation_role *p, const char *id, const struct pubkey *key,
		     struct json_value object, const char *role, struct error *err)
{
	struct rotation_key *e = &p->list[p->count];

	if (p->count == CEREMONY_SIGNERS_MAX)
		return error_set(err, ERR_USAGE, "more than %d %s keys", CEREMONY_SIGNERS_MAX,
				 role);
	snprintf(e->id, sizeof(e->id), "%s", id);
	e->key = key;
	e->object = object;
	p->count++;
	return 0;
}

/* Those of `from`, as they stand there. */
static int keep_keys(struct rotation *t, const struct tuf_root *from, enum tuf_type type, unsigned role,
		     struct rotation_role *p, struct error *err)
{
	struct json_value objects = json_get(from->head.body, "keys");
	const struct tuf_keys *keys = &from->roles[type].keys;
	unsigned i;

	for (i = 0; i < keys->count; i++) {
		const struct tuf_key *k = &keys->list[i];

		if (!is_removed(t, role, k) && entry_of(p, &k->pub) == NULL &&
		    add_entry(p, k->id, &k->pub, json_get(objects, k->id), tuf_type_name(type),
			      err) < 0)
			return -1;
	}
	return 0;
}

static int add_keys(struct rotation *t, enum tuf_type type, const struct ceremony_signer *added,
		    unsigned count, struct rotation_role *p, struct error *err)
{
	const struct tuf_keys *old = &t->old->roles[type].keys;
	const char *role = tuf_type_name(type);
	char id[KEY_FINGERPRINT_LEN];
	unsigned i, k;

	for (i = 0; i < count; i++) {
		const struct rotation_key *there = entry_of(p, &added[i].key);

		key_id(id, &added[i].key);
		if (pubkey_check(&added[i].key, err) < 0)
			return error_wrap(err, "%s key '%s'", role, added[i].label);
		if (there != NULL)
			return error_set(err, ERR_REFUSED, "'%s' (%.16s...) %s", added[i].label, id,
					 there->object.doc != NULL ? "is a key of this role already"
								   : "is added twice");
		for (k = 0; k < old->count; k++) {
			if (pubkey_equal(&old->list[k].pub, &added[i].key))
				return error_set(err, ERR_REFUSED,
						 "'%s' (%.16s...) is both added to %s and removed",
						 added[i].label, id, role);
		}
		if (add_entry(p, id, &added[i].key, (struct json_value){NULL, 0}, role, err) < 0)
			return -1;
	}
	return 0;
}

static int plan_role(struct rotation *t, enum tuf_type type, const struct ceremony_signer *added,
		     unsigned count, unsigned threshold, struct rotation_role *p, struct error *err)
{
	unsigned role = type == TUF_ROOT ? CEREMONY_ROOT : CEREMONY_TARGETS;

	if (keep_keys(t, t->old, type, role, p, err) < 0 || add_keys(t, type, added, count, p, err) < 0)
		return -1;
	p->threshold = threshold == 0 ? t->old->roles[type].threshold : threshold;
	if (p->threshold <= p->count)
		return 0;
	error_set(err, ERR_USAGE, "%s would want %u signatures of %u key%s", tuf_type_name(type),
		  p->threshold, p->count, p->count == 1 ? "" : "s");
	return error_hint(err, "add a key (--add-%s-key), or lower the threshold (--%s-threshold)",
			  tuf_type_name(type), tuf_type_name(type));
}

static bool role_changes(const struct tuf_role *old, const struct rotation_role *p)
{
	unsigned i;

	if (old->threshold != p->threshold || old->keys.count != p->count)
		return true;
	for (i = 0; i < p->count; i++) {
		if (p->list[i].object.doc == NULL)
			return true;
	}
	return false;
}

/* ---- the online box ---- */

static bool is_role_key(const struct tuf_root *root, enum tuf_type type, const struct pubkey *key)
{
	const struct tuf_keys *keys = &root->roles[type].keys;
	unsigned i;

	for (i = 0; i < keys->count; i++) {
		if (pubkey_equal(&keys->list[i].pub, key))
			return true;
	}
	return false;
}

static int check_online(const struct rotation *t, struct error *err)
{
	const struct online_keys *k = t->r->online;

	if (k == NULL)
		return 0;
	if (strcmp(k->site, t->old->site) != 0)
		return error_set(err, ERR_REFUSED,
				 "the online keys are of site '%s', the root is of site '%s'",
				 k->site, t->old->site);
	if (k->rehearsal && !repo_is_rehearsal(&t->old->head))
		return error_set(err, ERR_REFUSED,
				 "these online keys are throwaway keys of a rehearsal");
	if (!k->rehearsal && repo_is_rehearsal(&t->old->head))
		return error_set(err, ERR_REFUSED, "a rehearsal does not take real online keys");
	/* Who wants to be rid of stolen keys and brings the old file would believe that he is. */
	if (is_role_key(t->old, TUF_SNAPSHOT, &k->snapshot) ||
	    is_role_key(t->old, TUF_TIMESTAMP, &k->timestamp)) {
		error_set(err, ERR_REFUSED,
			  "these are the online keys in force: nothing would be replaced");
		return error_hint(err, "the box makes new ones with: meshanics repo keys rotate");
	}
	return 0;
}

/* ---- publishers ---- */

/* Where the box has a key for a publisher that is named without one, that is the key meant. */
static void complete_publishers(const struct rotation *t, struct repo_publisher *list)
{
	const struct ceremony_delegation *d = &t->r->next;
	const struct online_keys *k = t->r->online;
	unsigned i;

	for (i = 0; i < d->publisher_count; i++) {
		const struct repo_publisher *given = &d->publishers[i],
					    *box = k == NULL ? NULL
							     : publisher_find(k->publishers,
									      k->publisher_count,
									      given->name);

		publisher_copy(&list[i], given->key_count == 0 && box != NULL ? box : given,
			       given->slices.count == 0 && box != NULL ? box : given);
	}
}

static int plan_publishers(struct rotation *t, struct error *err)
{
	struct ceremony_delegation d = t->r->next;
	struct repo_publisher *list;
	int r;

	if (t->old_targets == NULL)
		return d.publisher_count + d.removed_count == 0
			       ? 0
			       : error_set(
					 err, ERR_USAGE,
					 "publishers change with targets only: give the targets in "
					 "force as well");
	list = xcalloc(d.publisher_count, sizeof(*list));
	complete_publishers(t, list);
	d.publishers = list;
	r = ceremony_next_publishers(&d, t->old_targets, &t->publishers, &t->publisher_count, err);
	publishers_free(list, d.publisher_count);
	return r;
}

/* ---- planning ---- */

static void add_name(struct rotation *t, const struct ceremony_signer *s)
{
	struct ceremony_name *n = &t->names[t->name_count++];

	key_id(n->keyid, &s->key);
	snprintf(n->label, sizeof(n->label), "%s", s->label);
}

/* The names of keys that come, then those that were known before. */
static void collect_names(struct rotation *t)
{
	const struct ceremony_rotation *r = t->r;
	unsigned i;

	t->names =
		xcalloc((size_t)r->root_added_count + r->targets_added_count + r->next.name_count,
			sizeof(*t->names));
	for (i = 0; i < r->root_added_count; i++)
		add_name(t, &r->root_added[i]);
	for (i = 0; i < r->targets_added_count; i++)
		add_name(t, &r->targets_added[i]);
	for (i = 0; i < r->next.name_count; i++)
		t->names[t->name_count++] = r->next.names[i];
}

/* ---- made like the root of another site ---- */

static int read_like(struct rotation *t, const char *site, struct error *err)
{
	if (t->r->like.len == 0)
		return 0;
	if ((t->like = tuf_root_parse(t->r->like, err)) == NULL || tuf_root_check_self(t->like, err) < 0)
		return error_wrap(err, "the root to make it like");
	if (t->like->site[0] == '\0')
		return error_set(err, ERR_REFUSED, "the root to make it like names no site");
	if (strcmp(t->like->site, site) == 0) {
		error_set(err, ERR_REFUSED, "the root to make it like is of site '%s' itself", site);
		return error_hint(err, "give the newest root of the site that makes the bundles; the next root of "
				       "this site: meshanics ceremony rotate");
	}
	if (repo_is_rehearsal(&t->like->head))
		return error_set(err, ERR_REFUSED, "the root to make it like comes from a rehearsal");
	return tuf_verify_expiry(&t->like->head, t->r->next.now_s, "the root to make it like: root", "5.3.10", err);
}

static int plan_like(struct rotation *t, struct error *err)
{
	const struct ceremony_rotation *r = t->r;

	if (r->root_added_count + r->targets_added_count + r->removed_count + r->root_threshold + r->targets_threshold +
		    r->next.publisher_count + r->next.removed_count > 0 || r->next.targets.len > 0) {
		error_set(err, ERR_USAGE, "root and targets keys, thresholds and publishers are those of site '%s'",
			  t->like->site);
		return error_hint(err, "change them at site '%s', then make this root like its newest", t->like->site);
	}
	t->root.threshold = t->like->roles[TUF_ROOT].threshold;
	t->targets.threshold = t->like->roles[TUF_TARGETS].threshold;
	return keep_keys(t, t->like, TUF_ROOT, 0, &t->root, err) < 0 ||
			       keep_keys(t, t->like, TUF_TARGETS, 0, &t->targets, err) < 0
		       ? -1
		       : 0;
}

static int read_in_force(struct rotation *t, struct error *err)
{
	const struct ceremony_delegation *d = &t->r->next;

	if ((t->old = tuf_root_parse(d->root, err)) == NULL || tuf_root_check_self(t->old, err) < 0)
		return error_wrap(err, "root in force");
	if (t->old->site[0] == '\0')
		return error_set(err, ERR_REFUSED, "root in force names no site");
	if (d->targets.len > 0 && (t->old_targets = tuf_targets_parse(d->targets, err)) == NULL)
		return error_wrap(err, "targets in force");
	return read_like(t, t->old->site, err);
}

static int plan(struct rotation *t, struct error *err)
{
	const struct ceremony_rotation *r = t->r;
	unsigned i;

	if (t->like != NULL) {
		collect_names(t);
		return plan_like(t, err) < 0 ? -1 : check_online(t, err);
	}
	for (i = 0; i < r->removed_count; i++) {
		if (check_removal(t, &r->removed[i], err) < 0)
			return -1;
	}
	if (plan_role(t, TUF_ROOT, r->root_added, r->root_added_count, r->root_threshold, &t->root,
		      err) < 0 ||
	    plan_role(t, TUF_TARGETS, r->targets_added, r->targets_added_count,
		      r->targets_threshold, &t->targets, err) < 0 ||
	    check_online(t, err) < 0 || plan_publishers(t, err) < 0)
		return -1;
	if (t->old_targets == NULL && role_changes(&t->old->roles[TUF_TARGETS], &t->targets)) {
		error_set(err, ERR_USAGE,
			  "the keys of targets change, so targets has to be signed anew");
		return error_hint(err, "give the targets in force as well: --targets FILE");
	}
	collect_names(t);
	return 0;
}

static struct rotation *rotation_new(const struct ceremony_rotation *r)
{
	struct rotation *t = xcalloc(1, sizeof(*t));

	t->r = r;
	return t;
}

static void rotation_free(struct rotation *t)
{
	publishers_free(t->publishers, t->publisher_count);
	free(t->names);
	tuf_root_free(t->old);
	tuf_root_free(t->like);
	tuf_targets_free(t->old_targets);
	free(t);
}

/* The box of a new site: not the one whose targets it takes, nor another that makes bundles. */
static int check_first_online(const struct online_keys *k, struct error *err)
{
	if (k->record_export_count == 0)
		return 0;
	return error_set(err, ERR_REFUSED, "site '%s' holds an export key: it makes bundles, and has targets of its own",
			 k->site);
}

int ceremony_first_like(struct buf *out, const struct ceremony_rotation *r, struct error *err)
{
	struct rotation *t = rotation_new(r);
	int ret = -1;

	if (r->root_life_s < 1 || r->root_life_s > REPO_LIFE_MAX_S)
		error_set(err, ERR_USAGE, "root lives from 1 second to 10 years");
	else if (check_first_online(r->online, err) == 0 && read_like(t, r->online->site, err) == 0 &&
		 plan_like(t, err) == 0) {
		collect_names(t);
		ret = rotation_write(out, t, err);
	}
	rotation_free(t);
	return ret;
}

int ceremony_rotate(struct buf *out, const struct ceremony_rotation *r, struct error *err)
{
	struct rotation *t = rotation_new(r);
	int ret = -1;

	if (r->root_life_s < 1 || r->root_life_s > REPO_LIFE_MAX_S)
		error_set(err, ERR_USAGE, "root lives from 1 second to 10 years");
	else if (ceremony_check_delegation(&r->next, err) == 0 && read_in_force(t, err) == 0 &&
		 plan(t, err) == 0)
		ret = rotation_write(out, t, err);
	rotation_free(t);
	return ret;
}
