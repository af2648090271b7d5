/* Every kind of metadata, chosen by the first byte ('r', 't', 's' or 'g'): parsed, walked and verified. */
#include <stdlib.h>

#include "tuf/delegation.h"
#include "tuf/verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_root(struct slice text, struct error *err)
{
	struct tuf_root *r = tuf_root_parse(text, err);

	if (r == NULL)
		return;
	if (tuf_root_check_self(r, err) == 0 && r->roles[TUF_ROOT].threshold == 0)
		abort();
	if (tuf_root_check(r, r, err) == 0 || tuf_root_rotates_online(r, r))
		abort();
	tuf_root_free(r);
}

static void try_timestamp(struct slice text, struct error *err)
{
	struct tuf_timestamp *t = tuf_timestamp_parse(text, err);

	if (t != NULL && (t->head.version < 1 || t->snapshot.version < 1 || t->signed_at_s > t->head.expires_s))
		abort();
	tuf_timestamp_free(t);
}

static void try_snapshot(struct slice text, struct error *err)
{
	struct tuf_snapshot *s = tuf_snapshot_parse(text, err);
	struct tuf_metafile meta;

	if (s != NULL && tuf_snapshot_find(s, SLICE_LIT("targets"), &meta, err) < 0)
		abort();
	tuf_snapshot_free(s);
}

/* The folded reading of a file is the whole one: same verdict, same entries, same bytes to sign. */
static void check_folded(struct slice text, const struct tuf_targets *whole)
{
	struct error err = ERROR_INIT;
	struct tuf_targets *t = tuf_targets_parse_folded(text, &err);
	struct buf a = BUF_INIT(text.len), b = BUF_INIT(text.len);
	struct tuf_target x, y;
	struct json_iter it;

	if ((t == NULL) != (whole == NULL))
		abort();
	if (t == NULL)
		return;
	if (json_canonical(&a, t->head.body, &err) < 0 || json_canonical(&b, whole->head.body, &err) < 0 ||
	    !slice_equal(buf_slice(&a), buf_slice(&b)))
		abort();
	for (it = json_iter(whole->targets); json_next(&it);)
		if (tuf_targets_find(t, it.key, &x, &err) < 0 || tuf_targets_find(whole, it.key, &y, &err) < 0 ||
		    x.length != y.length || memcmp(&x.hashes, &y.hashes, sizeof(x.hashes)) != 0 ||
		    !slice_equal(json_raw(x.custom), json_raw(y.custom)))
			abort();
	buf_release(&a);
	buf_release(&b);
	tuf_targets_free(t);
}

/* What was accepted as well-formed can be read entry by entry. */
static void try_targets(struct slice text, struct error *err)
{
	struct tuf_targets *t = tuf_targets_parse(text, err);
	struct tuf_delegation_iter it;
	struct tuf_delegation d;
	struct tuf_target target;
	struct json_iter entry;
	unsigned bins = 0;

	check_folded(text, t);
	if (t == NULL)
		return;
	for (entry = json_iter(t->targets); json_next(&entry);)
		if (tuf_targets_find(t, entry.key, &target, err) < 0)
			abort();
	for (it = tuf_delegation_iter(t, SLICE_LIT("a/b/1")); tuf_delegation_next(&it, &d);) {
		struct tuf_role role;

		if (tuf_delegation_role(t, &d, &role, err) == 0) {
			if (tuf_verify_role(&role, &t->head, NULL, d.name, "5.6.3", err) == 0 && role.keys.count == 0)
				abort();
			tuf_role_release(&role);
		}
	}
	for (it = tuf_delegation_iter(t, SLICE_EMPTY); bins < 1000 && tuf_delegation_next(&it, &d);)
		bins++;
	tuf_targets_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_of(data + 1, size - 1);
	struct error err = ERROR_INIT;

	if (size == 0 || crypto_start(&err) < 0)
		return 0;
	if (data[0] == 'r')
		try_root(text, &err);
	else if (data[0] == 't')
		try_timestamp(text, &err);
	else if (data[0] == 's')
		try_snapshot(text, &err);
	else if (data[0] == 'g')
		try_targets(text, &err);
	return 0;
}
