/* Requests for the first root and targets: everything is written before anybody signs. */
#include <stdlib.h>

#include "tuf/ceremony_internal.h"

/* ---- what a plan may say ---- */

static int check_signers(const struct ceremony_signer *list, unsigned count, unsigned threshold,
			 const char *role, struct error *err)
{
	unsigned i, j;

	if (count == 0 || count > CEREMONY_SIGNERS_MAX)
		return error_set(err, ERR_USAGE, "%u %s keys instead of 1 to %d", count, role,
				 CEREMONY_SIGNERS_MAX);
	if (threshold < 1 || threshold > count)
		return error_set(err, ERR_USAGE, "a %s threshold of %u with %u keys", role,
				 threshold, count);
	for (i = 0; i < count; i++) {
		if (pubkey_check(&list[i].key, err) < 0)
			return error_wrap(err, "%s key '%s'", role, list[i].label);
		for (j = 0; j < i; j++) {
			if (pubkey_equal(&list[i].key, &list[j].key))
				return error_set(err, ERR_REFUSED,
						 "%s keys '%s' and '%s' are the same key", role,
						 list[j].label, list[i].label);
		}
	}
	return 0;
}

/* An online key that could also replace root or targets would make the ceremony pointless. */
static int check_apart(const struct ceremony_signer *list, unsigned count,
		       const struct online_keys *k, struct error *err)
{
	unsigned i;

	for (i = 0; i < count; i++) {
		if (pubkey_equal(&list[i].key, &k->snapshot) ||
		    pubkey_equal(&list[i].key, &k->timestamp))
			return error_set(err, ERR_REFUSED, "key '%s' is an online key of the box",
					 list[i].label);
	}
	return 0;
}

static int check_plan(const struct ceremony_plan *p, struct error *err)
{
	if (check_signers(p->root_signers, p->root_count, p->root_threshold, "root", err) < 0 ||
	    check_signers(p->targets_signers, p->targets_count, p->targets_threshold, "targets",
			  err) < 0 ||
	    check_apart(p->root_signers, p->root_count, p->online, err) < 0 ||
	    check_apart(p->targets_signers, p->targets_count, p->online, err) < 0)
		return -1;
	if (p->root_life_s < 1 || p->targets_life_s < 1 || p->root_life_s > REPO_LIFE_MAX_S ||
	    p->targets_life_s > REPO_LIFE_MAX_S)
		return error_set(err, ERR_USAGE, "root and targets live from 1 second to 10 years");
	if (p->online->rehearsal && !p->rehearsal)
		return error_set(err, ERR_REFUSED,
				 "these online keys are throwaway keys of a rehearsal");
	if (p->rehearsal && !p->online->rehearsal)
		return error_set(err, ERR_REFUSED, "a rehearsal does not take real online keys");
	return 0;
}

/* ---- pieces of metadata ---- */

static void put_role(struct json_writer *w, const char *name, const struct ceremony_signer *signers,
		     unsigned count, unsigned threshold)
{
	unsigned i;

	json_open_object(w, name);
	json_open_array(w, "keyids");
	for (i = 0; i < count; i++)
		ceremony_put_keyid(w, &signers[i].key);
	json_close(w);
	json_put_int(w, "threshold", threshold);
	json_close(w);
}

static void put_record_keys(struct json_writer *w, const char *name, const struct pubkey *a,
			    unsigned a_count, const struct pubkey *b, unsigned b_count)
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
	put_record_keys(w, "export", k->record_export, k->record_export_count, p->export_keys,
			p->export_count);
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
	ceremony_put_head(w, "root", 1, p->now_s + p->root_life_s);
	json_put_bool(w, "consistent_snapshot", true);
	json_open_object(w, "keys");
	key_set_put(w, &keys);
	json_close(w);
	json_open_object(w, "roles");
	put_role(w, "root", p->root_signers, p->root_count, p->root_threshold);
	put_role(w, "targets", p->targets_signers, p->targets_count, p->targets_threshold);
	ceremony_put_online_role(w, "snapshot", &p->online->snapshot);
	ceremony_put_online_role(w, "timestamp", &p->online->timestamp);
	json_close(w);
	put_site(w, p);
	json_close(w);
}

/* ---- publishers of the first targets ---- */

/* One wanted publisher, completed with what the online box says of it. */
static int complete_publisher(struct repo_publisher *to, const struct repo_publisher *wanted,
			      const struct online_keys *online, struct error *err)
{
	const struct repo_publisher *box =
		publisher_find(online->publishers, online->publisher_count, wanted->name);

	if (wanted->key_count == 0 && box == NULL) {
		error_set(err, ERR_USAGE,
			  "publisher '%s' has no key: online-keys.json does not know it",
			  wanted->name);
		return error_hint(err, "name it to repo init, or delegate to it later: meshanics "
				       "ceremony delegate");
	}
	if (wanted->slices.count == 0 && box == NULL)
		return error_set(err, ERR_USAGE, "publisher '%s' has no slice", wanted->name);
	publisher_copy(to, wanted->key_count > 0 ? wanted : box,
		       wanted->slices.count > 0 ? wanted : box);
	return 0;
}

static int choose_publishers(const struct ceremony_plan *p, struct repo_publisher **list,
			     unsigned *count, struct error *err)
{
	const struct repo_publisher *from =
		p->publisher_count > 0 ? p->publishers : p->online->publishers;
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

static void put_labels(struct json_writer *w, const struct ceremony_plan *p)
{
	struct key_set seen = {.count = 0};
	char id[KEY_FINGERPRINT_LEN];
	unsigned i;

	json_open_object(w, "labels");
	for (i = 0; i < p->root_count + p->targets_count; i++) {
		const struct ceremony_signer *s = i < p->root_count
							  ? &p->root_signers[i]
							  : &p->targets_signers[i - p->root_count];
		unsigned before = seen.count;

		key_set_add(&seen, &s->key);
		if (seen.count == before || s->label[0] == '\0')
			continue;
		key_id(id, &s->key);
		json_put_string(w, id, s->label);
	}
	json_close(w);
}

static int new_like(struct buf *out, const struct ceremony_plan *p, struct error *err)
{
	const struct ceremony_rotation r = {.online = p->online,
					    .export_keys = p->export_keys,
					    .export_count = p->export_count,
					    .root_life_s = p->root_life_s,
					    .like = p->like,
					    .next = {.names = p->names,
						     .name_count = p->name_count,
						     .now_s = p->now_s,
						     .nonce = p->nonce,
						     .transcript_head = p->transcript_head}};

	if (p->root_count + p->targets_count + p->publisher_count > 0)
		return error_set(err, ERR_USAGE, "signers and publishers are those of the site that it is made like");
	if (p->rehearsal || p->online->rehearsal)
		return error_set(err, ERR_USAGE, "a root like that of another site is not rehearsed");
	return ceremony_first_like(out, &r, err);
}

int ceremony_new(struct buf *out, const struct ceremony_plan *plan, struct error *err)
{
	struct json_writer w = JSON_WRITER(out);
	struct repo_publisher *publishers = NULL;
	unsigned publisher_count = 0;
	size_t from = out->len;
	int r = -1;

	if (plan->like.len > 0)
		return new_like(out, plan, err);
	if (check_plan(plan, err) < 0 ||
	    choose_publishers(plan, &publishers, &publisher_count, err) < 0)
		goto out;
	w.indent = 2;
	json_open_object(&w, NULL);
	ceremony_put_request_head(&w, "create", plan->online->site, plan->rehearsal, plan->now_s,
				  plan->nonce, plan->transcript_head);
	put_labels(&w, plan);
	put_root(&w, plan);
	json_open_object(&w, "targets");
	ceremony_put_head(&w, "targets", 1, plan->now_s + plan->targets_life_s);
	json_open_object(&w, "targets");
	json_close(&w);
	ceremony_put_delegations(&w, publishers, publisher_count);
	if (plan->rehearsal) {
		json_open_object(&w, "x-meshanics");
		json_put_bool(&w, "rehearsal", true);
		json_close(&w);
	}
	json_close(&w);
	json_close(&w);
	buf_put_u8(out, '\n');
	r = ceremony_check_written(out, from, err);
out:
	publishers_free(publishers, publisher_count);
	return r;
}
