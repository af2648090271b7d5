/* online-keys.json, the lives it asks for, and publishers with their slices. */
#include "tuf/repo_keys.h"

#include <stdlib.h>

#include "crypto/keyfile.h"

#define ONLINE_KEYS_FORMAT "meshanics online keys 1"

void repo_publisher_release(struct repo_publisher *p)
{
	unsigned i;

	for (i = 0; i < p->slices.count; i++)
		free(p->slices.items[i]);
	free(p->slices.items);
	free(p->keys);
	*p = (struct repo_publisher){.keys = NULL};
}

const struct repo_publisher *publisher_find(const struct repo_publisher *list, unsigned count,
					    const char *name)
{
	unsigned i;

	for (i = 0; i < count; i++) {
		if (strcmp(list[i].name, name) == 0)
			return &list[i];
	}
	return NULL;
}

void publisher_copy(struct repo_publisher *to, const struct repo_publisher *keys,
		    const struct repo_publisher *slices)
{
	unsigned i;

	*to = (struct repo_publisher){.key_count = keys->key_count};
	snprintf(to->name, sizeof(to->name), "%s", slices->name);
	to->keys = xcalloc(keys->key_count, sizeof(to->keys[0]));
	if (keys->key_count > 0)
		memcpy(to->keys, keys->keys, keys->key_count * sizeof(to->keys[0]));
	for (i = 0; i < slices->slices.count; i++)
		text_list_add(&to->slices, slices->slices.items[i]);
}

void online_keys_release(struct online_keys *k)
{
	unsigned i;

	for (i = 0; i < k->publisher_count; i++)
		repo_publisher_release(&k->publishers[i]);
	free(k->publishers);
	free(k->record_site);
	free(k->record_export);
	*k = (struct online_keys){.publishers = NULL};
}

/* ---- reading ---- */

static int parse_key(struct pubkey *out, struct json_value v, struct error *err)
{
	struct tuf_key key;

	if (tuf_key_parse(&key, v, err) < 0)
		return -1;
	if (key.pub.scheme == KEY_NONE)
		return error_set(err, ERR_REFUSED, "a key that this program cannot use");
	*out = key.pub;
	return 0;
}

static int need_key(struct json_value obj, const char *name, struct pubkey *out, struct error *err)
{
	struct json_value v;

	if (json_need_object(obj, name, &v, err) < 0)
		return -1;
	return parse_key(out, v, err) < 0 ? error_wrap(err, "'%s'", name) : 0;
}

/* A list of `min` to `max` distinct keys into fresh memory. */
static int need_keys(struct json_value obj, const char *name, size_t min, size_t max,
		     struct pubkey **list, unsigned *count, struct error *err)
{
	struct json_value v;
	struct json_iter it;
	unsigned i;

	if (json_need_array(obj, name, &v, err) < 0)
		return -1;
	if (json_count(v) < min || json_count(v) > max)
		return error_set(err, ERR_MALFORMED, "'%s' has %zu keys, not %zu to %zu", name,
				 json_count(v), min, max);
	*list = xcalloc(json_count(v), sizeof(**list));
	for (it = json_iter(v); json_next(&it); (*count)++) {
		if (parse_key(&(*list)[*count], it.value, err) < 0)
			return error_wrap(err, "'%s'", name);
		for (i = 0; i < *count; i++) {
			if (pubkey_equal(&(*list)[i], &(*list)[*count]))
				return error_set(err, ERR_MALFORMED, "'%s' holds one key twice",
						 name);
		}
	}
	return 0;
}

int repo_lives_parse(struct repo_lives *lives, struct json_value v, struct error *err)
{
	static const char *const names[] = {"timestamp", "snapshot", "publisher", NULL};

	if (json_only(v, names, err) < 0 ||
	    json_need_int(v, "timestamp", REPO_LIFE_MIN_S, REPO_LIFE_MAX_S, &lives->timestamp_s,
			  err) < 0 ||
	    json_need_int(v, "snapshot", REPO_LIFE_MIN_S, REPO_LIFE_MAX_S, &lives->snapshot_s,
			  err) < 0 ||
	    json_need_int(v, "publisher", REPO_LIFE_MIN_S, REPO_LIFE_MAX_S, &lives->publisher_s,
			  err) < 0)
		return error_wrap(err, "lives");
	return 0;
}

int repo_lives_of_root(const struct tuf_root *root, struct repo_lives *lives, struct error *err)
{
	struct json_value v = json_get(json_get(root->head.body, "x-meshanics"), "lives");

	*lives = REPO_LIVES_DEFAULT;
	return v.doc == NULL ? 0 : repo_lives_parse(lives, v, err);
}

bool repo_is_rehearsal(const struct tuf_head *head)
{
	struct json_value v = json_get(json_get(head->body, "x-meshanics"), "rehearsal");

	/* Anything but an explicit false is a rehearsal: a doubt never becomes trust. */
	return v.doc != NULL && !(json_type(v) == JSON_BOOL && !json_bool(v));
}

static int parse_publisher(struct repo_publisher *p, struct json_value v, struct error *err)
{
	static const char *const names[] = {"name", "keys", "slices", NULL};
	struct slice name = SLICE_EMPTY;
	struct json_value slices;
	struct json_iter it;

	if (json_only(v, names, err) < 0 || json_need_string(v, "name", &name, err) < 0 ||
	    publisher_name_check(name, err) < 0)
		return -1;
	memcpy(p->name, name.ptr, name.len);
	if (need_keys(v, "keys", 1, ONLINE_RECORD_KEYS_MAX, &p->keys, &p->key_count, err) < 0 ||
	    json_need_array(v, "slices", &slices, err) < 0)
		return error_wrap(err, "publisher '%s'", p->name);
	if (json_count(slices) == 0 || json_count(slices) > ONLINE_SLICES_MAX)
		return error_set(err, ERR_MALFORMED, "publisher '%s' has %zu slices, not 1 to %d",
				 p->name, json_count(slices), ONLINE_SLICES_MAX);
	for (it = json_iter(slices); json_next(&it);) {
		if (publisher_add_slice(p, json_string(it.value), err) < 0)
			return error_wrap(err, "publisher '%s'", p->name);
	}
	return 0;
}

static int parse_publishers(struct online_keys *k, struct json_value list, struct error *err)
{
	struct json_iter it;

	if (json_count(list) > ONLINE_PUBLISHERS_MAX)
		return error_set(err, ERR_LIMIT, "%zu publishers, more than %d", json_count(list),
				 ONLINE_PUBLISHERS_MAX);
	k->publishers = xcalloc(json_count(list), sizeof(k->publishers[0]));
	for (it = json_iter(list); json_next(&it);) {
		if (parse_publisher(&k->publishers[k->publisher_count++], it.value, err) < 0)
			return -1;
	}
	return publishers_check_disjoint(k->publishers, k->publisher_count, err);
}

static int parse(struct online_keys *k, struct json_value v, struct error *err)
{
	static const char *const names[] = {"format",	  "site",      "rehearsal",
					    "snapshot",	  "timestamp", "record_keys",
					    "publishers", "lives",     "bins",      NULL};
	static const char *const kinds[] = {"site", "export", NULL};
	struct slice format = SLICE_EMPTY, site = SLICE_EMPTY;
	struct json_value record, publishers, lives;
	int64_t bins = 0;

	if (json_need_string(v, "format", &format, err) < 0)
		return -1;
	if (!slice_equal_str(format, ONLINE_KEYS_FORMAT))
		return error_set(err, ERR_MALFORMED, "'format' is not '%s'", ONLINE_KEYS_FORMAT);
	if (json_only(v, names, err) < 0 || json_need_string(v, "site", &site, err) < 0 ||
	    name_check(site, "site", err) < 0 ||
	    json_opt_bool(v, "rehearsal", &k->rehearsal, err) < 0 ||
	    need_key(v, "snapshot", &k->snapshot, err) < 0 ||
	    need_key(v, "timestamp", &k->timestamp, err) < 0 ||
	    json_need_object(v, "record_keys", &record, err) < 0 ||
	    json_only(record, kinds, err) < 0 ||
	    need_keys(record, "site", 0, ONLINE_RECORD_KEYS_MAX, &k->record_site,
		      &k->record_site_count, err) < 0 ||
	    need_keys(record, "export", 0, ONLINE_RECORD_KEYS_MAX, &k->record_export,
		      &k->record_export_count, err) < 0 ||
	    json_need_array(v, "publishers", &publishers, err) < 0 ||
	    json_need_object(v, "lives", &lives, err) < 0 ||
	    json_opt_int(v, "bins", REPO_BINS_MIN, REPO_BINS_MAX, &bins, err) < 0 ||
	    (bins != 0 && repo_bins_check_count(bins, NULL, err) < 0))
		return -1;
	k->bins = (unsigned)bins;
	memcpy(k->site, site.ptr, site.len);
	if (repo_lives_parse(&k->lives, lives, err) < 0)
		return -1;
	return parse_publishers(k, publishers, err);
}

int online_keys_parse(struct online_keys *k, struct slice text, struct error *err)
{
	struct json doc = JSON_INIT;
	int r = -1;

	*k = (struct online_keys){.publishers = NULL};
	if (text.len > ONLINE_KEYS_SIZE_MAX)
		return error_set(err, ERR_LIMIT, "online keys: more than %u bytes",
				 ONLINE_KEYS_SIZE_MAX);
	if (json_parse(&doc, text, JSON_STRICT, err) == 0)
		r = parse(k, json_root(&doc), err);
	if (r < 0) {
		online_keys_release(k);
		error_wrap(err, "online keys");
	}
	json_release(&doc);
	return r;
}

/* ---- writing ---- */

static void put_keys(struct json_writer *w, const char *name, const struct pubkey *list,
		     unsigned count)
{
	unsigned i;

	json_open_array(w, name);
	for (i = 0; i < count; i++)
		tuf_key_put(w, NULL, &list[i]);
	json_close(w);
}

void repo_lives_put(struct json_writer *w, const char *name, const struct repo_lives *lives)
{
	json_open_object(w, name);
	json_put_int(w, "timestamp", lives->timestamp_s);
	json_put_int(w, "snapshot", lives->snapshot_s);
	json_put_int(w, "publisher", lives->publisher_s);
	json_close(w);
}

static void put_publisher(struct json_writer *w, const struct repo_publisher *p)
{
	unsigned i;

	json_open_object(w, NULL);
	json_put_string(w, "name", p->name);
	put_keys(w, "keys", p->keys, p->key_count);
	json_open_array(w, "slices");
	for (i = 0; i < p->slices.count; i++)
		json_put_string(w, NULL, p->slices.items[i]);
	json_close(w);
	json_close(w);
}

void online_keys_put(struct buf *out, const struct online_keys *k)
{
	struct json_writer w = JSON_WRITER(out);
	unsigned i;

	w.indent = 2;
	json_open_object(&w, NULL);
	json_put_string(&w, "format", ONLINE_KEYS_FORMAT);
	json_put_string(&w, "site", k->site);
	if (k->rehearsal)
		json_put_bool(&w, "rehearsal", true);
	tuf_key_put(&w, "snapshot", &k->snapshot);
	tuf_key_put(&w, "timestamp", &k->timestamp);
	json_open_object(&w, "record_keys");
	put_keys(&w, "site", k->record_site, k->record_site_count);
	put_keys(&w, "export", k->record_export, k->record_export_count);
	json_close(&w);
	json_open_array(&w, "publishers");
	for (i = 0; i < k->publisher_count; i++)
		put_publisher(&w, &k->publishers[i]);
	json_close(&w);
	repo_lives_put(&w, "lives", &k->lives);
	if (k->bins != 0)
		json_put_int(&w, "bins", k->bins);
	json_close(&w);
	buf_put_u8(out, '\n');
}
