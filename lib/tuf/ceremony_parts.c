/* Pieces of metadata and of requests that both kinds of requests are made of. */
#include <stdlib.h>

#include "base/timefmt.h"
#include "tuf/ceremony_internal.h"
#include "tuf/delegation.h"
#include "tuf/repo_internal.h"

void key_set_add(struct key_set *s, const struct pubkey *k)
{
	unsigned i;

	for (i = 0; i < s->count; i++) {
		if (pubkey_equal(s->list[i], k))
			return;
	}
	if (s->count < ARRAY_SIZE(s->list))
		s->list[s->count++] = k;
}

void key_set_put(struct json_writer *w, const struct key_set *s)
{
	char id[KEY_FINGERPRINT_LEN];
	unsigned i;

	for (i = 0; i < s->count; i++) {
		key_id(id, s->list[i]);
		tuf_key_put(w, id, s->list[i]);
	}
}

void ceremony_put_head(struct json_writer *w, const char *type, int64_t version, int64_t expires_s)
{
	char text[TIME_TEXT_LEN];

	json_put_string(w, "_type", type);
	json_put_string(w, "spec_version", CEREMONY_SPEC_VERSION);
	json_put_int(w, "version", version);
	json_put_string(w, "expires", time_text(text, expires_s));
}

void ceremony_put_keyid(struct json_writer *w, const struct pubkey *k)
{
	char id[KEY_FINGERPRINT_LEN];

	key_id(id, k);
	json_put_string(w, NULL, id);
}

void ceremony_put_online_role(struct json_writer *w, const char *name, const struct pubkey *k)
{
	json_open_object(w, name);
	json_open_array(w, "keyids");
	ceremony_put_keyid(w, k);
	json_close(w);
	json_put_int(w, "threshold", 1);
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
		ceremony_put_keyid(w, &p->keys[i]);
	json_close(w);
	json_put_int(w, "threshold", 1);
	json_put_bool(w, "terminating", true);
	json_open_array(w, "paths");
	for (i = 0; i < p->slices.count; i++)
		json_put_string(w, NULL, p->slices.items[i]);
	json_close(w);
	json_close(w);
}

void ceremony_put_delegations(struct json_writer *w, const struct repo_publisher *list,
			      unsigned count)
{
	struct key_set keys = {.count = 0};
	unsigned i, k;

	for (i = 0; i < count; i++) {
		for (k = 0; k < list[i].key_count; k++)
			key_set_add(&keys, &list[i].keys[k]);
	}
	json_open_object(w, "delegations");
	json_open_object(w, "keys");
	key_set_put(w, &keys);
	json_close(w);
	json_open_array(w, "roles");
	for (i = 0; i < count; i++)
		put_delegation(w, &list[i]);
	json_close(w);
	json_close(w);
}

void ceremony_put_request_head(struct json_writer *w, const char *purpose, const char *site,
			       bool rehearsal, int64_t now_s, const uint8_t *nonce,
			       const char *transcript_head)
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

void ceremony_put_labels(struct json_writer *w, const struct ceremony_name *names, unsigned count)
{
	unsigned i, k;

	json_open_object(w, "labels");
	for (i = 0; i < count; i++) {
		if (names[i].label[0] == '\0')
			continue;
		for (k = 0; k < i && (names[k].label[0] == '\0' ||
				      strcmp(names[k].keyid, names[i].keyid) != 0);)
			k++;
		if (k == i)
			json_put_string(w, names[i].keyid, names[i].label);
	}
	json_close(w);
}

int ceremony_check_written(const struct buf *out, size_t from, struct error *err)
{
	struct ceremony *c;

	if (out->failed)
		return error_set(err, ERR_LIMIT, "the request would be larger than %zu bytes",
				 out->max);
	if ((c = ceremony_parse(slice_sub(buf_slice(out), from, SIZE_MAX), err)) == NULL)
		return -1;
	ceremony_free(c);
	return 0;
}

void publishers_free(struct repo_publisher *list, unsigned count)
{
	unsigned i;

	for (i = 0; i < count; i++)
		repo_publisher_release(&list[i]);
	free(list);
}

/* ---- the publishers of a targets file ---- */

static int publisher_keys(struct repo_publisher *p, const struct tuf_targets *t,
			  const struct tuf_delegation *d, struct error *err)
{
	struct tuf_role role;
	unsigned i;
	int r = -1;

	if (tuf_delegation_role(t, d, &role, err) < 0)
		return -1;
	if (role.threshold != 1 || role.keys.count == 0 ||
	    role.keys.count > ONLINE_RECORD_KEYS_MAX) {
		error_set(err, ERR_REFUSED, "%u of %u keys instead of any 1 of up to %d",
			  role.threshold, role.keys.count, ONLINE_RECORD_KEYS_MAX);
		goto out;
	}
	p->keys = xcalloc(role.keys.count, sizeof(p->keys[0]));
	for (i = 0; i < role.keys.count; i++) {
		if (role.keys.list[i].pub.scheme == KEY_NONE) {
			error_set(err, ERR_REFUSED, "key %.16s... cannot be used here",
				  role.keys.list[i].id);
			goto out;
		}
		p->keys[p->key_count++] = role.keys.list[i].pub;
	}
	r = 0;
out:
	tuf_role_release(&role);
	return r;
}

static int publisher_of_delegation(struct repo_publisher *p, const struct tuf_targets *t,
				   const struct tuf_delegation *d, struct error *err)
{
	struct json_iter it;

	snprintf(p->name, sizeof(p->name), "%.*s", NAME_LEN_MAX, d->name);
	if (publisher_keys(p, t, d, err) < 0)
		return error_wrap(err, "publisher '%s'", p->name);
	for (it = json_iter(json_get(d->entry, "paths")); json_next(&it);) {
		if (publisher_add_slice(p, json_string(it.value), err) < 0)
			return error_wrap(err, "publisher '%s'", p->name);
	}
	return 0;
}

int publishers_of_targets(const struct tuf_targets *targets, struct repo_publisher **list,
			  unsigned *count, struct error *err)
{
	struct tuf_delegation_iter it;
	struct tuf_delegation d;

	*list = xcalloc(ONLINE_PUBLISHERS_MAX, sizeof(**list));
	*count = 0;
	if (repo_delegations_check(targets, err) < 0)
		return -1;
	for (it = tuf_delegation_iter(targets, SLICE_EMPTY); tuf_delegation_next(&it, &d);) {
		if (*count == ONLINE_PUBLISHERS_MAX)
			return error_set(err, ERR_LIMIT, "more than %d publishers",
					 ONLINE_PUBLISHERS_MAX);
		if (publisher_of_delegation(&(*list)[(*count)++], targets, &d, err) < 0)
			return -1;
	}
	return publishers_check_disjoint(*list, *count, err);
}
