/* Writing the request of a rotation that has been planned: the next root (or, made like that of another site, the
 * first), and the next targets where they come along. */
#include "tuf/ceremony_internal.h"

/* Ids and objects of the keys of the next root, each once. */
struct key_table {
	struct json_writer *w;
	const char *seen[2 * CEREMONY_SIGNERS_MAX + 2 * TUF_ROLE_KEYS_MAX];
	unsigned count;
};

static bool table_is_new(struct key_table *t, const char *id)
{
	unsigned i;

	for (i = 0; i < t->count; i++) {
		if (strcmp(t->seen[i], id) == 0)
			return false;
	}
	t->seen[t->count++] = id;
	return true;
}

static void table_put_plan(struct key_table *t, const struct rotation_role *p)
{
	unsigned i;

	for (i = 0; i < p->count; i++) {
		const struct rotation_key *e = &p->list[i];

		if (!table_is_new(t, e->id))
			continue;
		if (e->object.doc != NULL)
			json_put_value(t->w, e->id, e->object);
		else
			tuf_key_put(t->w, e->id, e->key);
	}
}

static void table_put_old(struct key_table *t, const struct tuf_root *old, enum tuf_type type)
{
	struct json_value objects = json_get(old->head.body, "keys");
	const struct tuf_keys *keys = &old->roles[type].keys;
	unsigned i;

	for (i = 0; i < keys->count; i++) {
		struct json_value object = json_get(objects, keys->list[i].id);

		if (object.doc != NULL && table_is_new(t, keys->list[i].id))
			json_put_value(t->w, keys->list[i].id, object);
	}
}

static void put_keys(struct json_writer *w, const struct rotation *t)
{
	const struct online_keys *k = t->r->online;
	struct key_table table = {.w = w};
	char snapshot[KEY_FINGERPRINT_LEN], timestamp[KEY_FINGERPRINT_LEN];

	json_open_object(w, "keys");
	table_put_plan(&table, &t->root);
	table_put_plan(&table, &t->targets);
	if (k == NULL) {
		table_put_old(&table, t->old, TUF_SNAPSHOT);
		table_put_old(&table, t->old, TUF_TIMESTAMP);
	} else {
		key_id(snapshot, &k->snapshot);
		key_id(timestamp, &k->timestamp);
		if (table_is_new(&table, snapshot))
			tuf_key_put(w, snapshot, &k->snapshot);
		if (table_is_new(&table, timestamp))
			tuf_key_put(w, timestamp, &k->timestamp);
	}
	json_close(w);
}

static void put_plan(struct json_writer *w, const char *name, const struct rotation_role *p)
{
	unsigned i;

	json_open_object(w, name);
	json_open_array(w, "keyids");
	for (i = 0; i < p->count; i++)
		json_put_string(w, NULL, p->list[i].id);
	json_close(w);
	json_put_int(w, "threshold", p->threshold);
	json_close(w);
}

static void put_roles(struct json_writer *w, const struct rotation *t)
{
	struct json_value old = t->old == NULL ? (struct json_value){NULL, 0} : json_get(t->old->head.body, "roles");
	const struct online_keys *k = t->r->online;

	json_open_object(w, "roles");
	put_plan(w, "root", &t->root);
	put_plan(w, "targets", &t->targets);
	if (k == NULL) {
		json_put_value(w, "snapshot", json_get(old, "snapshot"));
		json_put_value(w, "timestamp", json_get(old, "timestamp"));
	} else {
		ceremony_put_online_role(w, "snapshot", &k->snapshot);
		ceremony_put_online_role(w, "timestamp", &k->timestamp);
	}
	json_close(w);
}

/* The record keys: those that were brought, else those in force. */
static void put_record_keys(struct json_writer *w, const char *name, const struct pubkey *list,
			    unsigned count, struct json_value old)
{
	unsigned i;

	if (count == 0) {
		json_put_value(w, name, json_get(old, name));
		return;
	}
	json_open_array(w, name);
	for (i = 0; i < count; i++)
		tuf_key_put(w, NULL, &list[i]);
	json_close(w);
}

/* The members of an object that are not ours to write, as they stand. */
static void put_others(struct json_writer *w, struct json_value old, const char *const *ours)
{
	struct json_iter it;
	unsigned i;

	for (it = json_iter(old); json_next(&it);) {
		for (i = 0; ours[i] != NULL && !slice_equal_str(it.key, ours[i]);)
			i++;
		if (ours[i] == NULL)
			json_put_value_key(w, it.key, it.value);
	}
}

static void put_site(struct json_writer *w, const struct rotation *t)
{
	static const char *const ours[] = {"record_keys", "lives", NULL};
	const struct json_value none = {NULL, 0};
	struct json_value old = t->old == NULL ? none : json_get(t->old->head.body, "x-meshanics"),
			  record = json_get(old, "record_keys"),
			  like = t->like == NULL ? none
						 : json_get(json_get(t->like->head.body, "x-meshanics"), "record_keys");
	const struct ceremony_rotation *r = t->r;
	const struct online_keys *k = r->online;

	json_open_object(w, "x-meshanics");
	if (t->old == NULL)
		json_put_string(w, "site", k->site);
	put_others(w, old, ours);
	json_open_object(w, "record_keys");
	put_record_keys(w, "site", k == NULL ? NULL : k->record_site,
			k == NULL ? 0 : k->record_site_count, record);
	if (r->export_count > 0 || t->like != NULL)
		put_record_keys(w, "export", r->export_keys, r->export_count, t->like != NULL ? like : record);
	else
		put_record_keys(w, "export", k == NULL ? NULL : k->record_export,
				k == NULL ? 0 : k->record_export_count, record);
	json_close(w);
	if (k != NULL)
		repo_lives_put(w, "lives", &k->lives);
	else if (json_get(old, "lives").doc != NULL)
		json_put_value(w, "lives", json_get(old, "lives"));
	json_close(w);
}

static void put_root(struct json_writer *w, const struct rotation *t)
{
	static const char *const ours[] = {
		"_type",       "spec_version",	      "version", "expires", "keys", "roles",
		"x-meshanics", "consistent_snapshot", NULL};

	json_open_object(w, "root");
	ceremony_put_head(w, "root", t->old == NULL ? 1 : t->old->head.version + 1,
			  t->r->next.now_s + t->r->root_life_s);
	json_put_bool(w, "consistent_snapshot", true);
	put_keys(w, t);
	put_roles(w, t);
	put_site(w, t);
	if (t->old != NULL)
		put_others(w, t->old->head.body, ours);
	json_close(w);
}

int rotation_write(struct buf *out, const struct rotation *t, struct error *err)
{
	const struct ceremony_delegation *d = &t->r->next;
	struct json_writer w = JSON_WRITER(out);
	size_t from = out->len;

	w.indent = 2;
	json_open_object(&w, NULL);
	ceremony_put_request_head(&w, t->old == NULL ? "create" : "rotate",
				  t->old == NULL ? t->r->online->site : t->old->site,
				  t->old != NULL && repo_is_rehearsal(&t->old->head), d->now_s, d->nonce,
				  d->transcript_head);
	ceremony_put_labels(&w, t->names, t->name_count);
	put_root(&w, t);
	if (t->old_targets != NULL)
		ceremony_put_next_targets(&w, d, t->old_targets, t->publishers, t->publisher_count);
	if (t->old != NULL)
		json_put_raw(&w, "root_in_force", d->root);
	if (t->like != NULL)
		json_put_raw(&w, "like", t->r->like);
	if (t->old_targets != NULL)
		json_put_raw(&w, "targets_in_force", d->targets);
	json_close(&w);
	buf_put_u8(out, '\n');
	return ceremony_check_written(out, from, err);
}
