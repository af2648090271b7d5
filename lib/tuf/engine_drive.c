/* Blocking drivers of the engine. */
#include "tuf/engine_drive.h"

#include "sys/memory.h"

/* Answer one want from the store; whatever is wrong with it, the engine can do without. */
static int drive_stored(struct tuf_client *c, const struct trusted *store, struct buf *bytes,
			struct error *err)
{
	struct error ignored = ERROR_INIT;
	const struct tuf_want *w = tuf_client_want(c);

	if (store == NULL || trusted_read(store, w->role, bytes, &ignored) < 0)
		return tuf_client_absent(c, err);
	return tuf_client_feed(c, bytes, err);
}

static int drive_fetched(struct tuf_client *c, const struct tuf_source *source, struct buf *bytes,
			 struct error *err)
{
	if (source->get(source->arg, tuf_client_want(c), bytes, err) == 0)
		return tuf_client_feed(c, bytes, err);
	if (err->kind == ERR_NOT_FOUND)
		return tuf_client_absent(c, err);
	return tuf_client_fail(c, err, err);
}

int tuf_drive(struct tuf_client *c, struct trusted *store, const struct tuf_source *source,
	      struct error *err)
{
	const struct tuf_want *w;

	while ((w = tuf_client_want(c)) != NULL) {
		struct buf bytes = BUF_INIT(w->max_len);
		int r;

		/* What is signed to be large comes into memory of that size at once, not by way of smaller copies. */
		if (w->length > 0 && buf_reserve(&bytes, (size_t)w->length))
			memory_expect(&bytes);
		r = w->stored ? drive_stored(c, store, &bytes, err)
				  : drive_fetched(c, source, &bytes, err);

		buf_release(&bytes);
		if (r < 0)
			return -1;
	}
	return 0;
}

int tuf_blobs_get(void *arg, const struct tuf_want *w, struct buf *out, struct error *err)
{
	const struct tuf_blobs *blobs = arg;
	unsigned i;

	for (i = 0; i < blobs->count; i++) {
		if (!slice_equal_str(blobs->list[i].path, w->path))
			continue;
		buf_put_slice(out, blobs->list[i].bytes);
		if (out->failed)
			return error_set(err, ERR_LIMIT, "more than the %llu bytes allowed",
					 (unsigned long long)w->max_len);
		return 0;
	}
	return error_set(err, ERR_NOT_FOUND, "'%s' is not among the files", w->path);
}

int tuf_verify_offline(struct slice anchor, const struct tuf_options *options,
		       struct trusted *store, const struct tuf_blob *blobs, unsigned count,
		       struct slice path, struct tuf_client **out, struct error *err)
{
	struct tuf_blobs all = {blobs, count};
	const struct tuf_source source = {tuf_blobs_get, &all};
	struct tuf_result result;

	if ((*out = tuf_client_new(anchor, options, err)) == NULL ||
	    tuf_drive(*out, store, &source, err) < 0)
		return -1;
	if (path.len == 0)
		return 0;
	if (tuf_client_lookup(*out, path, err) < 0 || tuf_drive(*out, store, &source, err) < 0)
		return -1;
	return tuf_client_result(*out, &result, err);
}
