/* What is signed when, and what expires when. */
#include <stdlib.h>

#include "tuf/repo_internal.h"
#include "tuf/verify.h"

/* Half of the life is over at this second. */
static int64_t half_life(int64_t expires_s, int64_t life_s)
{
	return expires_s - life_s / 2;
}

static int64_t timestamp_due(const struct repo_state *s)
{
	const struct tuf_timestamp *t = s->timestamp;
	int64_t life =
		t->signed_at_s < 0 ? s->lives.timestamp_s : t->head.expires_s - t->signed_at_s;

	return half_life(t->head.expires_s, life);
}

static int64_t snapshot_due(const struct repo_state *s)
{
	return half_life(s->snapshot->head.expires_s, s->lives.snapshot_s);
}

static int64_t role_due(const struct repo_state *s, const struct repo_role *role)
{
	if (!role->held || role->file == NULL)
		return INT64_MAX;
	return half_life(role->file->head.expires_s, s->lives.publisher_s);
}

int64_t repo_due(const struct repo *r)
{
	const struct repo_state *s = &r->state;
	int64_t due, t;
	unsigned i;

	if (s->root == NULL)
		return INT64_MAX;
	due = timestamp_due(s);
	if ((t = snapshot_due(s)) < due)
		due = t;
	for (i = 0; i < s->role_count; i++) {
		if ((t = role_due(s, &s->roles[i])) < due)
			due = t;
	}
	return due;
}

/* The publishers whose time has come, into the change. */
static int resign_roles(struct repo *r, int64_t now_s, unsigned flags, struct repo_change *change,
			struct repo_resigned *out, struct error *err)
{
	struct repo_state *s = &r->state;
	unsigned i;

	for (i = 0; i < s->role_count; i++) {
		struct repo_role *role = &s->roles[i];

		if (!role->held || role->file == NULL ||
		    (role_due(s, role) > now_s && !(flags & REPO_FORCE)))
			continue;
		if (repo_sign_role(r, role, role->file, s->lives.publisher_s, now_s, change, err) <
		    0)
			return -1;
		out->publishers++;
	}
	return 0;
}

int repo_resign(struct repo *r, int64_t now_s, unsigned flags, int64_t life_s,
		struct repo_resigned *out, struct error *err)
{
	struct seal_options o = {.now_s = now_s, .timestamp_life_s = life_s};
	struct repo_change change = {.files = NULL};
	struct repo_state *s = &r->state;
	int ret = -1;

	*out = (struct repo_resigned){.publishers = 0};
	if (repo_writable(r, err) < 0 || repo_adopted(r, err) < 0)
		return -1;
	if ((flags & REPO_ACCEPT_CLOCK ? repo_clock_check_build(now_s, err)
				       : repo_check_clock(r, now_s, err)) < 0 ||
	    tuf_verify_expiry(&s->root->head, now_s, "root", "5.3.10", err) < 0)
		return -1;
	publish_stage_sweep(r->dirfd, false, now_s - REPO_STAGING_LIFE_S);
	if (resign_roles(r, now_s, flags, &change, out, err) < 0)
		goto out;
	o.lives = &s->lives;
	o.snapshot = out->snapshot =
		change.count > 0 || snapshot_due(s) <= now_s || (flags & REPO_FORCE);
	out->timestamp = out->snapshot || timestamp_due(s) <= now_s || life_s > 0;
	if (out->timestamp &&
	    (repo_seal(r, &change, &o, err) < 0 || repo_apply(r, &change, -1, err) < 0))
		goto out;
	ret = 0;
out:
	repo_change_release(&change);
	return ret;
}

/* ---- what expires when ---- */

static void add_expiry(struct repo *r, unsigned *n, const char *role, const struct tuf_head *head,
		       int64_t due_s, bool online)
{
	struct repo_expiry *e = &r->expiries[(*n)++];

	*e = (struct repo_expiry){.version = head->version,
				  .expires_s = head->expires_s,
				  .due_s = due_s,
				  .online = online};
	snprintf(e->role, sizeof(e->role), "%s", role);
}

static int by_expiry(const void *a, const void *b)
{
	const struct repo_expiry *x = a, *y = b;

	return (x->expires_s > y->expires_s) - (x->expires_s < y->expires_s);
}

unsigned repo_expiries(struct repo *r, const struct repo_expiry **list)
{
	const struct repo_state *s = &r->state;
	unsigned n = 0, i;

	*list = NULL;
	if (s->root == NULL)
		return 0;
	r->expiries = xreallocarray(r->expiries, 4 + s->role_count, sizeof(r->expiries[0]));
	add_expiry(r, &n, "root", &s->root->head, INT64_MAX, false);
	add_expiry(r, &n, "targets", &s->targets->head, INT64_MAX, false);
	add_expiry(r, &n, "snapshot", &s->snapshot->head, snapshot_due(s), true);
	add_expiry(r, &n, "timestamp", &s->timestamp->head, timestamp_due(s), true);
	for (i = 0; i < s->role_count; i++) {
		const struct repo_role *role = &s->roles[i];

		if (role->file != NULL)
			add_expiry(r, &n, role->name, &role->file->head, role_due(s, role),
				   role->held);
	}
	qsort(r->expiries, n, sizeof(r->expiries[0]), by_expiry);
	*list = r->expiries;
	return n;
}
