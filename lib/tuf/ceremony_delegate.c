/* Requests for the next targets: publishers come, change and go under an existing root. */
#include <stdlib.h>

#include "tuf/ceremony_internal.h"

static bool is_removed(const struct ceremony_delegation *d, const char *name)
{
	unsigned i;

	for (i = 0; i < d->removed_count; i++) {
		if (strcmp(d->removed[i], name) == 0)
			return true;
	}
	return false;
}

/* Those in force and the given, without the removed, each once. */
static int merge(const struct ceremony_delegation *d, const struct repo_publisher *old,
		 unsigned old_count, struct repo_publisher *list, unsigned *count,
		 struct error *err)
{
	unsigned i;

	for (i = 0; i < old_count; i++) {
		if (!is_removed(d, old[i].name) &&
		    publisher_find(d->publishers, d->publisher_count, old[i].name) == NULL)
			publisher_copy(&list[(*count)++], &old[i], &old[i]);
	}
	for (i = 0; i < d->publisher_count; i++) {
		const struct repo_publisher *given = &d->publishers[i],
					    *now = publisher_find(old, old_count, given->name);

		if (now == NULL && (given->key_count == 0 || given->slices.count == 0))
			return error_set(err, ERR_USAGE,
					 "the new publisher '%s' needs a key and a slice",
					 given->name);
		if (is_removed(d, given->name))
			return error_set(err, ERR_USAGE, "publisher '%s' is both named and removed",
					 given->name);
		publisher_copy(&list[(*count)++], given->key_count > 0 ? given : now,
			       given->slices.count > 0 ? given : now);
	}
	return publishers_check_disjoint(list, *count, err);
}

int ceremony_next_publishers(const struct ceremony_delegation *d, const struct tuf_targets *old,
			     struct repo_publisher **list, unsigned *count, struct error *err)
{
	struct repo_publisher *now = NULL;
	unsigned now_count = 0, i;
	int r = -1;

	*list = NULL;
	*count = 0;
	if (publishers_of_targets(old, &now, &now_count, err) < 0)
		goto out;
	for (i = 0; i < d->removed_count; i++) {
		if (publisher_find(now, now_count, d->removed[i]) == NULL) {
			error_set(err, ERR_NOT_FOUND, "there is no publisher '%s' to remove",
				  d->removed[i]);
			goto out;
		}
	}
	*list = xcalloc((size_t)now_count + d->publisher_count, sizeof(**list));
	r = merge(d, now, now_count, *list, count, err);
out:
	publishers_free(now, now_count);
	return r;
}

void ceremony_put_next_targets(struct json_writer *w, const struct ceremony_delegation *d,
			       const struct tuf_targets *old, const struct repo_publisher *list,
			       unsigned count)
{
	struct json_value kept = json_get(old->head.body, "x-meshanics");

	json_open_object(w, "targets");
	ceremony_put_head(w, "targets", old->head.version + 1, d->now_s + d->life_s);
	json_put_value(w, "targets", old->targets);
	ceremony_put_delegations(w, list, count);
	if (kept.doc != NULL)
		json_put_value(w, "x-meshanics", kept);
	json_close(w);
}

static int write_delegate(struct buf *out, const struct ceremony_delegation *d,
			  const struct tuf_root *root, const struct tuf_targets *old,
			  struct error *err)
{
	struct repo_publisher *next = NULL;
	struct json_writer w = JSON_WRITER(out);
	unsigned next_count = 0;
	size_t from = out->len;
	int r = -1;

	if (ceremony_next_publishers(d, old, &next, &next_count, err) < 0)
		goto out;
	w.indent = 2;
	json_open_object(&w, NULL);
	ceremony_put_request_head(&w, "delegate", root->site, repo_is_rehearsal(&root->head),
				  d->now_s, d->nonce, d->transcript_head);
	ceremony_put_labels(&w, d->names, d->name_count);
	ceremony_put_next_targets(&w, d, old, next, next_count);
	json_put_raw(&w, "root_in_force", d->root);
	json_put_raw(&w, "targets_in_force", d->targets);
	json_close(&w);
	buf_put_u8(out, '\n');
	r = ceremony_check_written(out, from, err);
out:
	publishers_free(next, next_count);
	return r;
}

int ceremony_check_delegation(const struct ceremony_delegation *d, struct error *err)
{
	if (d->life_s < 1 || d->life_s > REPO_LIFE_MAX_S)
		return error_set(err, ERR_USAGE, "targets live from 1 second to 10 years");
	if (d->publisher_count > ONLINE_PUBLISHERS_MAX)
		return error_set(err, ERR_USAGE, "more than %d publishers", ONLINE_PUBLISHERS_MAX);
	if (d->root.len > TUF_ROOT_MAX || d->targets.len > CEREMONY_REQUEST_MAX / 2)
		return error_set(err, ERR_LIMIT,
				 "root or targets are larger than a ceremony handles");
	return 0;
}

int ceremony_delegate(struct buf *out, const struct ceremony_delegation *d, struct error *err)
{
	struct tuf_targets *targets = NULL;
	struct tuf_root *root = NULL;
	int r = -1;

	if (ceremony_check_delegation(d, err) < 0)
		return -1;
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
