/* The artifacts that metadata lists, by content: what may be in a bundle, and what must be. */
#include <stdlib.h>

#include "base/encode.h"
#include "bundle/check.h"

void bundle_wants_release(struct bundle_wants *w)
{
	free(w->list);
	*w = (struct bundle_wants){.list = NULL};
}

static int add_target(struct bundle_wants *w, const struct tuf_target *t, struct error *err)
{
	char shown[96];

	printable(shown, sizeof(shown), t->path);
	if (!t->hashes.has_sha256)
		return error_set(err, ERR_REFUSED, "target '%s' has no SHA-256", shown);
	if (t->length > (uint64_t)BUNDLE_ARTIFACT_MAX)
		return error_set(err, ERR_REFUSED, "target '%s' is larger than %lld bytes", shown,
				 (long long)BUNDLE_ARTIFACT_MAX);
	if (w->count == w->room) {
		w->room = w->room == 0 ? 64 : 2 * w->room;
		w->list = xreallocarray(w->list, w->room, sizeof(*w->list));
	}
	w->list[w->count] = (struct bundle_want){.length = t->length};
	memcpy(w->list[w->count++].sha256, t->hashes.sha256, SHA256_LEN);
	return 0;
}

int bundle_wants_add(struct bundle_wants *w, struct slice targets_file, struct error *err)
{
	struct tuf_targets *file = tuf_targets_parse(targets_file, err);
	struct tuf_target target;
	struct json_iter it;
	int r = file == NULL ? -1 : 0;

	if (file == NULL)
		return -1;
	for (it = json_iter(file->targets); r == 0 && json_next(&it);) {
		r = tuf_target_parse(&target, it.key, it.value, err);
		if (r == 0)
			r = add_target(w, &target, err);
	}
	tuf_targets_free(file);
	return r;
}

int bundle_wants_add_all(struct bundle_wants *w, const struct bundle_check *c, struct error *err)
{
	unsigned i;

	for (i = 0; i < c->file_count; i++) {
		const struct bundle_file *f = &c->files[i];

		if ((f->member.kind == MEMBER_TARGETS || f->member.kind == MEMBER_ROLE) &&
		    bundle_wants_add(w, buf_slice(&f->bytes), err) < 0)
			return error_wrap(err, "%s", f->member.name);
	}
	return 0;
}

static int by_hash(const void *a, const void *b)
{
	return memcmp(((const struct bundle_want *)a)->sha256, ((const struct bundle_want *)b)->sha256, SHA256_LEN);
}

int bundle_wants_ready(struct bundle_wants *w, struct error *err)
{
	char hex[SHA256_HEX_LEN];
	uint32_t i, n = 0;

	if (w->count == 0)
		return 0;
	qsort(w->list, w->count, sizeof(*w->list), by_hash);
	for (i = 1; i < w->count; i++) {
		if (by_hash(&w->list[n], &w->list[i]) != 0) {
			w->list[++n] = w->list[i];
		} else if (w->list[n].length != w->list[i].length) {
			hex_encode(hex, w->list[i].sha256, SHA256_LEN);
			return error_set(err, ERR_REFUSED, "artifact %s is listed with two lengths", hex);
		}
	}
	w->count = n + 1;
	return 0;
}

struct bundle_want *bundle_wants_find(const struct bundle_wants *w, const uint8_t sha256[static SHA256_LEN])
{
	struct bundle_want key;

	if (w->count == 0)
		return NULL;
	memcpy(key.sha256, sha256, SHA256_LEN);
	return bsearch(&key, w->list, w->count, sizeof(*w->list), by_hash);
}

int bundle_wants_take(const struct bundle_wants *w, const struct member *artifact, struct error *err)
{
	struct bundle_want *want = bundle_wants_find(w, artifact->sha256);

	if (want == NULL)
		return error_set(err, ERR_REFUSED, "%s: the metadata lists no such artifact (5.7)", artifact->name);
	if (want->length != artifact->length)
		return error_set(err, ERR_REFUSED, "%s: %llu bytes, where the metadata says %llu (5.7)", artifact->name,
				 (unsigned long long)artifact->length, (unsigned long long)want->length);
	want->have = true;
	return 0;
}

const struct bundle_want *bundle_wants_lacking(const struct bundle_wants *w)
{
	uint32_t i;

	for (i = 0; i < w->count; i++) {
		if (!w->list[i].have)
			return &w->list[i];
	}
	return NULL;
}
