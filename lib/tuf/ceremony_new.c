/* Making requests: the metadata to be signed is written here, completely, before anybody signs. */
#include <stdlib.h>

#include "base/encode.h"
#include "base/timefmt.h"
#include "tuf/ceremony_internal.h"

/* ---- what a plan may say ---- */

static int check_signers(const struct ceremony_signer *list, unsigned count, unsigned threshold, const char *role,
			 struct error *err)
{
	unsigned i, j;

	if (count == 0 || count > CEREMONY_SIGNERS_MAX)
		return error_set(err, ERR_USAGE, "%u %s keys instead of 1 to %d", count, role, CEREMONY_SIGNERS_MAX);
	if (threshold < 1 || threshold > count)
		return error_set(err, ERR_USAGE, "a %s threshold of %u with %u keys", role, threshold, count);
	for (i = 0; i < count; i++) {
		if (pubkey_check(&list[i].key, err) < 0)
			return error_wrap(err, "%s key '%s'", role, list[i].label);
		for (j = 0; j < i; j++) {
			if (pubkey_equal(&list[i].key, &list[j].key))
				return error_set(err, ERR_REFUSED, "%s keys '%s' and '%s' are the same key", role,
						 list[j].label, list[i].label);
		}
	}
	return 0;
}

/* An online key that could also replace root or targets would make the ceremony pointless. */
static int check_apart(const struct ceremony_signer *list, unsigned count, const struct online_keys *k,
		       struct error *err)
{
	unsigned i;

	for (i = 0; i < count; i++) {
		if (pubkey_equal(&list[i].key, &k->snapshot) || pubkey_equal(&list[i].key, &k->timestamp))
			return error_set(err, ERR_REFUSED, "key '%s' is an online key of the box", list[i].label);
	}
	return 0;
}

static int check_plan(const struct ceremony_plan *p, struct error *err)
{
	if (check_signers(p->root_signers, p->root_count, p->root_threshold, "root", err) < 0 ||
	    check_signers(p->targets_signers, p->targets_count, p->targets_threshold, "targets", err) < 0 ||
	    check_apart(p->root_signers, p->root_count, p->online, err) < 0 ||
	    check_apart(p->targets_signers, p->targets_count, p->online, err) < 0)
		return -1;
	if (p->root_life_s < 1 || p->targets_life_s < 1 || p->root_life_s > REPO_LIFE_MAX_S ||
	    p->targets_life_s > REPO_LIFE_MAX_S)
		return error_set(err, ERR_USAGE, "root and targets live from 1 second to 10 years");
	if (p->online->rehearsal && !p->rehearsal)
		return error_set(err, ERR_REFUSED, "these online keys are throwaway keys of a rehearsal");
	if (p->rehearsal && !p->online->rehearsal)
		return error_set(err, ERR_REFUSED, "a rehearsal does not take real online keys");
	return 0;
}

/* ---- pieces of metadata ---- */

/* Keys of one file, each once, in order of arrival. */
struct key_set {
	const struct pubkey *list[4 * CEREMONY_SIGNERS_MAX + ONLINE_PUBLISHERS_MAX * ONLINE_RECORD_KEYS_MAX];
	unsigned count;
};

static void key_set_add(struct key_set *s, const struct pubkey *k)
{
	unsigned i;

	for (i = 0; i < s->count; i++) {
		if (pubkey_equal(s->list[i], k))
			return;
	}
	if (s->count < ARRAY_SIZE(s->list))
		s->list[s->count++] = k;
}

static void put_key_set(struct json_writer *w, const struct key_set *s)
{
	char id[KEY_FINGERPRINT_LEN];
	unsigned i;

	for (i = 0; i < s->count; i++) {
		key_id(id, s->list[i]);
		tuf_key_put(w, id, s->list[i]);
	}
}

static void put_head(struct json_writer *w, const char *type, int64_t version, int64_t expires_s)
{
	char text[TIME_TEXT_LEN];

	json_put_string(w, "_type", type);
	json_put_string(w, "spec_version", CEREMONY_SPEC_VERSION);
	json_put_int(w, "version", version);
	json_put_string(w, "expires", time_text(text, expires_s));
}

static void put_keyid(struct json_writer *w, const struct pubkey *k)
{
	char id[KEY_FINGERPRINT_LEN];

	key_id(id, k);
	json_put_string(w, NULL, id);
}

static void put_role(struct json_writer *w, const char *name, const struct ceremony_signer *signers, unsigned count,
		     unsigned threshold)
{
	unsigned i;

	json_open_object(w, name);
	json_open_array(w, "keyids");
	for (i = 0; i < count; i++)
		put_keyid(w, &signers[i].key);
	json_close(w);
	json_put_int(w, "threshold", threshold);
	json_close(w);
}

static void put_online_role(struct json_writer *w, const char *name, const struct pubkey *k)
{
	json_open_object(w, name);
	json_open_array(w, "keyids");
	put_keyid(w, k);
	json_close(w);
	json_put_int(w, "threshold", 1);
	json_close(w);
}

static void put_record_keys(struct json_writer *w, const char *name, const struct pubkey *a, unsigned a_count,
			    const struct pubkey *b, unsigned b_count)
{
	struct key_set set = {.count = 0};
	unsigned i;

	for (i = 0; i < a_count; i++)
		key_set_add(&set, &a[i]);
	for (i = 0; i < b_count; i++)
		key_set_add(&set, &b[i]);
	json_open_array(w, name);
	for (i = 0; i < set.count; i++)
		tuf_key_put(w, NULL, set.list[i]);
	json_close(w);
}

static void put_site(struct json_writer *w, const struct ceremony_plan *p)
{
	const struct online_keys *k = p->online;

	json_open_object(w, "x-meshanics");
	json_put_string(w, "site", k->site);
	if (p->rehearsal)
		json_put_bool(w, "rehearsal", true);
	json_open_object(w, "record_keys");
	put_record_keys(w, "site", k->record_site, k->record_site_count, NULL, 0);
	put_record_keys(w, "export", k->record_export, k->record_export_count, p->export_keys, p->export_count);
	json_close(w);
	repo_lives_put(w, "lives", &k->lives);
	json_close(w);
}

static void put_root(struct json_writer *w, const struct ceremony_plan *p)
{
	struct key_set keys = {.count = 0};
	unsigned i;

	for (i = 0; i < p->root_count; i++)
		key_set_add(&keys, &p->root_signers[i].key);
	for (i = 0; i < p->targets_count; i++)
		key_set_add(&keys, &p->targets_signers[i].key);
	key_set_add(&keys, &p->online->snapshot);
	key_set_add(&keys, &p->online->timestamp);
	json_open_object(w, "root");
	put_head(w, "root", 1, p->now_s + p->root_life_s);
	json_put_bool(w, "consistent_snapshot", true);
	json_open_object(w, "keys");
	put_key_set(w, &keys);
	json_close(w);
	json_open_object(w, "roles");
	put_role(w, "root", p->root_signers, p->root_count, p->root_threshold);
	put_role(w, "targets", p->targets_signers, p->targets_count, p->targets_threshold);
	put_online_role(w, "snapshot", &p->online->snapshot);
	put_online_role(w, "timestamp", &p->online->timestamp);
	json_close(w);
	put_site(w, p);
	json_close(w);
}

/* One delegated role: any one of its keys may sign, and the search for its slices ends there. */
static void put_delegation(struct json_writer *w, const struct repo_publisher *p)
{
	unsigned i;

	json_open_object(w, NULL);
	json_put_string(w, "name", p->name);
	json_open_array(w, "keyids");
	for (i = 0; i < p->key_count; i++)
		put_keyid(w, &p->keys[i]);
	json_close(w);
	json_put_int(w, "threshold", 1);
	json_put_bool(w, "terminating", true);
	json_open_array(w, "paths");
	for (i = 0; i < p->slices.count; i++)
		json_put_string(w, NULL, p->slices.items[i]);
	json_close(w);
	json_close(w);
}

static void put_delegations(struct json_writer *w, const struct repo_publisher *list, unsigned count)
{
	struct key_set keys = {.count = 0};
	unsigned i, k;

	for (i = 0; i < count; i++) {
		for (k = 0; k < list[i].key_count; k++)
			key_set_add(&keys, &list[i].keys[k]);
	}
	json_open_object(w, "delegations");
	json_open_object(w, "keys");
	put_key_set(w, &keys);
	json_close(w);
	json_open_array(w, "roles");
	for (i = 0; i < count; i++)
		put_delegation(w, &list[i]);
	json_close(w);
	json_close(w);
}

/* ---- publishers of the first targets ---- */

static const struct repo_publisher *find_publisher(const struct repo_publisher *list, unsigned count,
						   const char *name)
{
	unsigned i;

	for (i = 0; i < count; i++) {
		if (strcmp(list[i].name, name) == 0)
			return &list[i];
	}
	return NULL;
}

static void copy_publisher(struct repo_publisher *to, const struct repo_publisher *keys,
			   const struct repo_publisher *slices)
{
	unsigned i;

	*to = (struct repo_publisher){.key_count = keys->key_count};
	snprintf(to->name, sizeof(to->name), "%s", slices->name);
	to->keys = xcalloc(keys->key_count, sizeof(to->keys[0]));
	memcpy(to->keys, keys->keys, keys->key_count * sizeof(to->keys[0]));
	for (i = 0; i < slices->slices.count; i++)
		text_list_add(&to->slices, slices->slices.items[i]);
}

/* One wanted publisher, completed with what the online box says of it. */
static int complete_publisher(struct repo_publisher *to, const struct repo_publisher *wanted,
			      const struct online_keys *online, struct error *err)
{
	const struct repo_publisher *box = find_publisher(online->publishers, online->publisher_count, wanted->name);

	if (wanted->key_count == 0 && box == NULL) {
		error_set(err, ERR_USAGE, "publisher '%s' has no key: online-keys.json does not know it",
			  wanted->name);
		return error_hint(err, "name it to repo init, or delegate to it later: meshanics ceremony delegate");
	}
	if (wanted->slices.count == 0 && box == NULL)
		return error_set(err, ERR_USAGE, "publisher '%s' has no slice", wanted->name);
	copy_publisher(to, wanted->key_count > 0 ? wanted : box, wanted->slices.count > 0 ? wanted : box);
	return 0;
}

static int choose_publishers(const struct ceremony_plan *p, struct repo_publisher **list, unsigned *count,
			     struct error *err)
{
	const struct repo_publisher *from = p->publisher_count > 0 ? p->publishers : p->online->publishers;
	unsigned n = p->publisher_count > 0 ? p->publisher_count : p->online->publisher_count, i;

	if (n > ONLINE_PUBLISHERS_MAX)
		return error_set(err, ERR_USAGE, "more than %d publishers", ONLINE_PUBLISHERS_MAX);
	*list = xcalloc(n, sizeof(**list));
	for (i = 0; i < n; i++) {
		if (complete_publisher(&(*list)[*count], &from[i], p->online, err) < 0)
			return -1;
		(*count)++;
	}
	return publishers_check_disjoint(*list, *count, err);
}

/* ---- the request around it ---- */

static void put_request_head(struct json_writer *w, const char *purpose, const char *site, bool rehearsal,
			     int64_t now_s, const uint8_t *nonce, const char *transcript_head)
{
	char text[TIME_TEXT_LEN];

	json_put_string(w, "format", CEREMONY_REQUEST_FORMAT);
	json_put_string(w, "purpose", purpose);
	json_put_string(w, "site", site);
	if (rehearsal)
		json_put_bool(w, "rehearsal", true);
	json_put_string(w, "created", time_text(text, now_s));
	json_put_hex(w, "nonce", nonce, CEREMONY_NONCE_LEN);
	if (transcript_head != NULL)
		json_put_string(w, "transcript", transcript_head);
}

static void put_labels(struct json_writer *w, const struct ceremony_plan *p)
{
	struct key_set seen = {.count = 0};
	char id[KEY_FINGERPRINT_LEN];
	unsigned i;

	json_open_object(w, "labels");
	for (i = 0; i < p->root_count + p->targets_count; i++) {
		const struct ceremony_signer *s =
			i < p->root_count ? &p->root_signers[i] : &p->targets_signers[i - p->root_count];
		unsigned before = seen.count;

		key_set_add(&seen, &s->key);
		if (seen.count == before || s->label[0] == '\0')
			continue;
		key_id(id, &s->key);
		json_put_string(w, id, s->label);
	}
	json_close(w);
}

/* What was written must be readable as a request: our own mistakes are found here, not at a signer's table. */
static int check_written(const struct buf *out, size_t from, struct error *err)
{
	struct ceremony *c;

	if (out->failed)
		return error_set(err, ERR_LIMIT, "the request would be larger than %zu bytes", out->max);
	if ((c = ceremony_parse(slice_sub(buf_slice(out), from, SIZE_MAX), err)) == NULL)
		return -1;
	ceremony_free(c);
	return 0;
}

int ceremony_new(struct buf *out, const struct ceremony_plan *plan, struct error *err)
{
	struct json_writer w = JSON_WRITER(out);
	struct repo_publisher *publishers = NULL;
	unsigned publisher_count = 0;
	size_t from = out->len;
	int r = -1;

	if (check_plan(plan, err) < 0 || choose_publishers(plan, &publishers, &publisher_count, err) < 0)
		goto out;
	w.indent = 2;
	json_open_object(&w, NULL);
	put_request_head(&w, "create", plan->online->site, plan->rehearsal, plan->now_s, plan->nonce,
			 plan->transcript_head);
	put_labels(&w, plan);
	put_root(&w, plan);
	json_open_object(&w, "targets");
	put_head(&w, "targets", 1, plan->now_s + plan->targets_life_s);
	json_open_object(&w, "targets");
	json_close(&w);
	put_delegations(&w, publishers, publisher_count);
	if (plan->rehearsal) {
		json_open_object(&w, "x-meshanics");
		json_put_bool(&w, "rehearsal", true);
		json_close(&w);
	}
	json_close(&w);
	json_close(&w);
	buf_put_u8(out, '\n');
	r = check_written(out, from, err);
out:
	publishers_free(publishers, publisher_count);
	return r;
}

/* ---- the next targets ---- */

static bool is_removed(const struct ceremony_delegation *d, const char *name)
{
	unsigned i;

	for (i = 0; i < d->removed_count; i++) {
		if (strcmp(d->removed[i], name) == 0)
			return true;
	}
	return false;
}

/* The publishers of the next targets: those in force without the removed, each replaced or followed by the given. */
static int next_publishers(const struct ceremony_delegation *d, const struct repo_publisher *old, unsigned old_count,
			   struct repo_publisher **list, unsigned *count, struct error *err)
{
	unsigned i;

	*list = xcalloc((size_t)old_count + d->publisher_count, sizeof(**list));
	for (i = 0; i < d->removed_count; i++) {
		if (find_publisher(old, old_count, d->removed[i]) == NULL)
			return error_set(err, ERR_NOT_FOUND, "there is no publisher '%s' to remove", d->removed[i]);
	}
	for (i = 0; i < old_count; i++) {
		if (!is_removed(d, old[i].name) &&
		    find_publisher(d->publishers, d->publisher_count, old[i].name) == NULL)
			copy_publisher(&(*list)[(*count)++], &old[i], &old[i]);
	}
	for (i = 0; i < d->publisher_count; i++) {
		const struct repo_publisher *now = find_publisher(old, old_count, d->publishers[i].name);
		const struct repo_publisher *keys = d->publishers[i].key_count > 0 ? &d->publishers[i] : now;
		const struct repo_publisher *slices = d->publishers[i].slices.count > 0 ? &d->publishers[i] : now;

		if (keys == NULL || slices == NULL)
			return error_set(err, ERR_USAGE, "the new publisher '%s' needs a key and a slice",
					 d->publishers[i].name);
		copy_publisher(&(*list)[(*count)++], keys, slices);
	}
	return publishers_check_disjoint(*list, *count, err);
}

static void put_next_targets(struct json_writer *w, const struct ceremony_delegation *d, const struct tuf_targets *old,
			     const struct repo_publisher *list, unsigned count)
{
	struct json_value kept = json_get(old->head.body, "x-meshanics");

	json_open_object(w, "targets");
	put_head(w, "targets", old->head.version + 1, d->now_s + d->life_s);
	json_put_value(w, "targets", old->targets);
	put_delegations(w, list, count);
	if (kept.doc != NULL)
		json_put_value(w, "x-meshanics", kept);
	json_close(w);
}

static int write_delegate(struct buf *out, const struct ceremony_delegation *d, const struct tuf_root *root,
			  const struct tuf_targets *old, struct error *err)
{
	struct repo_publisher *now = NULL, *next = NULL;
	unsigned now_count = 0, next_count = 0;
	struct json_writer w = JSON_WRITER(out);
	size_t from = out->len;
	int r = -1;

	if (publishers_of_targets(old, &now, &now_count, err) < 0 ||
	    next_publishers(d, now, now_count, &next, &next_count, err) < 0)
		goto out;
	w.indent = 2;
	json_open_object(&w, NULL);
	put_request_head(&w, "delegate", root->site, repo_is_rehearsal(&root->head), d->now_s, d->nonce,
			 d->transcript_head);
	json_open_object(&w, "labels");
	json_close(&w);
	put_next_targets(&w, d, old, next, next_count);
	json_put_raw(&w, "root_in_force", d->root);
	json_put_raw(&w, "targets_in_force", d->targets);
	json_close(&w);
	buf_put_u8(out, '\n');
	r = check_written(out, from, err);
out:
	publishers_free(now, now_count);
	publishers_free(next, next_count);
	return r;
}

int ceremony_delegate(struct buf *out, const struct ceremony_delegation *d, struct error *err)
{
	struct tuf_targets *targets = NULL;
	struct tuf_root *root = NULL;
	int r = -1;

	if (d->life_s < 1 || d->life_s > REPO_LIFE_MAX_S)
		return error_set(err, ERR_USAGE, "targets live from 1 second to 10 years");
	if (d->publisher_count > ONLINE_PUBLISHERS_MAX)
		return error_set(err, ERR_USAGE, "more than %d publishers", ONLINE_PUBLISHERS_MAX);
	if (d->root.len > TUF_ROOT_MAX || d->targets.len > CEREMONY_REQUEST_MAX / 2)
		return error_set(err, ERR_LIMIT, "root or targets are larger than a ceremony handles");
	if ((root = tuf_root_parse(d->root, err)) == NULL) {
		error_wrap(err, "root");
		goto out;
	}
	if ((targets = tuf_targets_parse(d->targets, err)) == NULL) {
		error_wrap(err, "targets");
		goto out;
	}
	r = write_delegate(out, d, root, targets, err);
out:
	tuf_root_free(root);
	tuf_targets_free(targets);
	return r;
}
