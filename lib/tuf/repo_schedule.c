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

static int64_t bin_due(const struct repo *r, const struct repo_role *publisher, unsigned bin)
{
	const struct repo_bin_note *note = repo_bin_note(r, publisher, bin);

	return note->fault != ROLE_FINE ? INT64_MAX
					: half_life(note->expires_s, r->state.lives.publisher_s);
}

/* Of a publisher and all his bins. */
static int64_t publisher_due(const struct repo *r, const struct repo_role *role)
{
	int64_t due = role_due(&r->state, role), t;
	struct repo_bins_sum sum;

	if (due == INT64_MAX || role->bin_bits == 0)
		return due;
	repo_bins_sum(r, role, &sum);
	if (sum.count == sum.damaged)
		return due;
	t = half_life(sum.expires_s, r->state.lives.publisher_s);
	return t < due ? t : due;
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
		if ((t = publisher_due(r, &s->roles[i])) < due)
			due = t;
	}
	return due;
}

/* A resignation at work. */
struct resigning {
	struct repo *r;
	int64_t now_s;
	unsigned flags;
	struct repo_change change;
	struct repo_resigned *out;
};

/* A bin that is damaged, or that others signed, is left as it is: what it said is not known here.
 */
static int resign_bin(struct resigning *g, struct repo_signer *s, const struct repo_role *publisher,
		      unsigned i, struct error *err)
{
	struct repo_role bin;
	int ret = 0;

	if (bin_due(g->r, publisher, i) > g->now_s && !(g->flags & REPO_FORCE))
		return 0;
	repo_bin_read(g->r, publisher, i, &bin);
	if (bin.fault == ROLE_FINE && (ret = repo_sign_bin(s, &bin, bin.file, err)) == 0)
		g->out->bins++;
	repo_role_release(&bin);
	return ret;
}

static int resign_role(struct resigning *g, const struct repo_role *role, struct error *err)
{
	struct repo_state *state = &g->r->state;
	struct repo_signer s;
	int ret = -1;
	unsigned i;

	if (repo_signer_open(&s, g->r, role->name, state->lives.publisher_s, g->now_s, &g->change,
			     err) < 0)
		return -1;
	if (role_due(state, role) <= g->now_s || (g->flags & REPO_FORCE)) {
		if (repo_sign_role(&s, role, role->file, err) < 0)
			goto out;
		g->out->publishers++;
	}
	for (i = 0; role->bin_bits > 0 && i < 1u << role->bin_bits; i++) {
		if ((g->flags & REPO_SOME) && g->out->bins >= REPO_SOME_BINS)
			break;
		if (resign_bin(g, &s, role, i, err) < 0)
			goto out;
	}
	ret = 0;
out:
	repo_signer_close(&s);
	return ret;
}

/* The publishers whose time has come, with their bins, into the change. */
static int resign_roles(struct resigning *g, struct error *err)
{
	struct repo_state *s = &g->r->state;
	unsigned i;

	for (i = 0; i < s->role_count; i++) {
		const struct repo_role *role = &s->roles[i];

		if (!role->held || role->file == NULL ||
		    (publisher_due(g->r, role) > g->now_s && !(g->flags & REPO_FORCE)))
			continue;
		if (resign_role(g, role, err) < 0)
			return -1;
	}
	return 0;
}

int repo_resign(struct repo *r, int64_t now_s, unsigned flags, int64_t life_s,
		struct repo_resigned *out, struct error *err)
{
	struct seal_options o = {.now_s = now_s, .timestamp_life_s = life_s};
	struct resigning g = {.r = r, .now_s = now_s, .flags = flags, .out = out};
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
	if (resign_roles(&g, err) < 0)
		goto out;
	o.lives = &s->lives;
	o.snapshot = out->snapshot =
		g.change.count > 0 || snapshot_due(s) <= now_s || (flags & REPO_FORCE);
	out->timestamp = out->snapshot || timestamp_due(s) <= now_s || life_s > 0;
	if (out->timestamp &&
	    (repo_seal(r, &g.change, &o, err) < 0 || repo_apply(r, &g.change, -1, err) < 0))
		goto out;
	if (out->snapshot)
		repo_sweep(r, NULL);
	ret = 0;
out:
	repo_change_release(&g.change);
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

/* One line for all bins of a publisher: the first of them. */
static void add_bins(struct repo *r, unsigned *n, const struct repo_role *publisher)
{
	struct repo_expiry *e = &r->expiries[*n];
	struct repo_bins_sum sum;

	repo_bins_sum(r, publisher, &sum);
	if (sum.damaged == sum.count)
		return;
	(*n)++;
	*e = (struct repo_expiry){.bins = sum.count,
				  .version = sum.version,
				  .expires_s = sum.expires_s,
				  .due_s = INT64_MAX,
				  .online = publisher->held};
	if (publisher->held)
		e->due_s = half_life(sum.expires_s, r->state.lives.publisher_s);
	snprintf(e->role, sizeof(e->role), "%s", sum.first);
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
	r->expiries = xreallocarray(r->expiries, 4 + 2 * s->role_count, sizeof(r->expiries[0]));
	add_expiry(r, &n, "root", &s->root->head, INT64_MAX, false);
	add_expiry(r, &n, "targets", &s->targets->head, INT64_MAX, false);
	add_expiry(r, &n, "snapshot", &s->snapshot->head, snapshot_due(s), true);
	add_expiry(r, &n, "timestamp", &s->timestamp->head, timestamp_due(s), true);
	for (i = 0; i < s->role_count; i++) {
		const struct repo_role *role = &s->roles[i];

		if (role->file == NULL)
			continue;
		add_expiry(r, &n, role->name, &role->file->head, role_due(s, role), role->held);
		if (role->bin_bits > 0)
			add_bins(r, &n, role);
	}
	qsort(r->expiries, n, sizeof(r->expiries[0]), by_expiry);
	*list = r->expiries;
	return n;
}
