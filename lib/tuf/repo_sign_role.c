/* What the box signs for publishers whose key it holds: their files, their hash bins, and both
 * anew. */
#include <stdlib.h>

#include "base/timefmt.h"
#include "sys/file.h"
#include "tuf/repo_internal.h"
#include "tuf/verify.h"

int repo_signer_open(struct repo_signer *s, struct repo *r, const char *publisher, int64_t life_s,
		     int64_t now_s, struct repo_change *change, struct error *err)
{
	*s = (struct repo_signer){.r = r, .change = change, .now_s = now_s, .life_s = life_s};
	s->key = repo_online_key(r, publisher, err);
	return s->key == NULL ? -1 : 0;
}

void repo_signer_close(struct repo_signer *s)
{
	seckey_free(s->key);
	s->key = NULL;
}

/* A key that can sign, under the first of its ids: targets may list one public key twice. */
static bool is_first(const struct tuf_keys *keys, unsigned i)
{
	unsigned k;

	for (k = 0; k < i; k++) {
		if (pubkey_equal(&keys->list[k].pub, &keys->list[i].pub))
			return false;
	}
	return keys->list[i].pub.scheme != KEY_NONE;
}

/* The bins by the publisher's own keys, as many of them (TAP 15). */
static void put_delegations(struct json_writer *w, const struct repo_role *publisher)
{
	const struct tuf_keys *keys = &publisher->role.keys;
	char id[KEY_FINGERPRINT_LEN], prefix[NAME_LEN_MAX + 8];
	unsigned i;

	json_open_object(w, "delegations");
	json_open_object(w, "keys");
	for (i = 0; i < keys->count; i++) {
		if (!is_first(keys, i))
			continue;
		key_id(id, &keys->list[i].pub);
		tuf_key_put(w, id, &keys->list[i].pub);
	}
	json_close(w);
	json_open_object(w, "succinct_roles");
	json_put_int(w, "bit_length", publisher->bin_bits);
	json_open_array(w, "keyids");
	for (i = 0; i < keys->count; i++) {
		if (!is_first(keys, i))
			continue;
		key_id(id, &keys->list[i].pub);
		json_put_string(w, NULL, id);
	}
	json_close(w);
	snprintf(prefix, sizeof(prefix), "%s-bin", publisher->name);
	json_put_string(w, "name_prefix", prefix);
	json_put_int(w, "threshold", publisher->role.threshold);
	json_close(w);
	json_close(w);
}

static void put_body(struct json_writer *w, const struct repo_role *role,
		     const struct tuf_targets *from, int64_t version, int64_t expires_s)
{
	char text[TIME_TEXT_LEN];
	struct json_value kept;

	json_open_object(w, NULL);
	json_put_string(w, "_type", "targets");
	if (role->bin_bits > 0)
		put_delegations(w, role);
	json_put_string(w, "expires", time_text(text, expires_s));
	json_put_string(w, "spec_version", SPEC_VERSION);
	if (from == NULL) {
		json_open_object(w, "targets");
		json_close(w);
	} else {
		json_put_value(w, "targets", from->targets);
	}
	json_put_int(w, "version", version);
	if (from != NULL && (kept = json_get(from->head.body, "x-meshanics")).doc != NULL)
		json_put_value(w, "x-meshanics", kept);
	json_close(w);
}

static int sign_file(struct repo_signer *s, const struct repo_role *role,
		     const struct tuf_targets *from, struct buf *file, int64_t *version,
		     struct error *err)
{
	struct buf body = BUF_INIT(TUF_UNSIGNED_MAX);
	struct json_writer w = JSON_WRITER(&body);
	struct tuf_signer signer;
	int ret = -1;

	if (repo_next_version(role->version, s->now_s, version, err) < 0) {
		error_wrap(err, "cannot sign %s", role->name);
		goto out;
	}
	put_body(&w, role, from, *version, s->now_s + s->life_s);
	tuf_signer_init(&signer, s->key);
	if (body.failed)
		error_set(err, ERR_LIMIT, "%s would be larger than %zu bytes", role->name,
			  body.max);
	else
		ret = tuf_sign_canonical(file, buf_slice(&body), &signer, 1, err);
out:
	buf_release(&body);
	return ret;
}

int repo_sign_role(struct repo_signer *s, const struct repo_role *role,
		   const struct tuf_targets *from, struct error *err)
{
	struct buf file = BUF_INIT(TUF_SIGNED_MAX);
	int64_t version;
	int ret;

	ret = sign_file(s, role, from, &file, &version, err);
	if (ret == 0)
		repo_change_add(s->change, role->name, version, &file);
	buf_release(&file);
	return ret;
}

int repo_sign_bin(struct repo_signer *s, const struct repo_role *bin,
		  const struct tuf_targets *from, struct error *err)
{
	struct buf file = BUF_INIT(TUF_SIGNED_MAX);
	int64_t version;
	int ret;

	ret = sign_file(s, bin, from, &file, &version, err);
	if (ret == 0)
		ret = repo_change_write(s->change, s->r, bin->name, version, buf_slice(&file), err);
	buf_release(&file);
	return ret;
}

/* ---- beginnings ---- */

/* Bins under these names may have been published before; versions go on from there. */
static int start_bins(struct repo_signer *s, const struct repo_role *publisher, struct error *err)
{
	struct repo_role bin = {.file = NULL};
	struct tuf_metafile meta;
	unsigned i;

	for (i = 0; i < 1u << publisher->bin_bits; i++) {
		repo_bin_name(publisher->name, publisher->bin_bits, i, bin.name);
		bin.version =
			repo_index_find(&s->r->state.index, bin.name, &meta) ? meta.version : 0;
		if (repo_sign_bin(s, &bin, NULL, err) < 0)
			return -1;
	}
	return 0;
}

int repo_start_role(struct repo *r, const struct repo_role *role, int64_t life_s, int64_t now_s,
		    struct repo_change *change, struct error *err)
{
	struct repo_signer s;
	int ret = -1;

	if (role->bin_bits > 0 &&
	    repo_bins_check_count(INT64_C(1) << role->bin_bits, role->name, err) < 0)
		return -1;
	if (repo_signer_open(&s, r, role->name, life_s, now_s, change, err) < 0)
		return -1;
	if (repo_sign_role(&s, role, NULL, err) == 0)
		ret = role->bin_bits > 0 ? start_bins(&s, role, err) : 0;
	repo_signer_close(&s);
	return ret;
}

/* Keep a bin that the new keys have signed; what others have signed is believed no more. */
static int follow_bin(struct repo_signer *s, const struct repo_role *role,
		      const struct repo_role *old, unsigned i, struct error *err)
{
	struct error ignored = ERROR_INIT;
	struct repo_role bin;
	int ret = 0;

	repo_bin_read(s->r, old, i, &bin);
	if (bin.fault == ROLE_OTHER_KEYS ||
	    (bin.fault == ROLE_FINE &&
	     tuf_verify_role(&role->role, &bin.file->head, NULL, bin.name, "5.6.3", &ignored) < 0))
		ret = repo_sign_bin(s, &bin, NULL, err);
	repo_role_release(&bin);
	return ret;
}

int repo_follow_keys(struct repo *r, const struct repo_role *role, const struct repo_role *old,
		     int64_t life_s, int64_t now_s, struct repo_change *change, struct error *err)
{
	struct repo_signer s;
	unsigned i;
	int ret = -1;

	if (role->bin_bits == 0 || !role->held || repo_bins_same_keys(role, old->file))
		return 0;
	if (repo_signer_open(&s, r, role->name, life_s, now_s, change, err) < 0)
		return -1;
	if (repo_sign_role(&s, role, old->file, err) < 0)
		goto out;
	for (i = 0; i < 1u << role->bin_bits; i++) {
		if (follow_bin(&s, role, old, i, err) < 0)
			goto out;
	}
	ret = 0;
out:
	repo_signer_close(&s);
	return ret;
}
