/* Reading the trusted state without a server. */
#include "tuf/offline.h"

#include "base/timefmt.h"
#include "tuf/verify.h"

/* The files, each with what was read from it; released in one place. */
struct reading {
	const struct trusted *store;
	int64_t now_s;
	struct buf text[TUF_TYPES];
	struct tuf_root *root;
	struct tuf_timestamp *timestamp;
	struct tuf_snapshot *snapshot;
	struct tuf_targets *targets;
};

const char *offline_state_name(enum offline_role_state s)
{
	static const char *const names[] = {"missing", "damaged", "expired", "good"};

	return names[s];
}

/* The text of a file; false when there is none. */
static bool load(struct reading *r, enum tuf_type type, uint64_t max)
{
	struct error ignored = ERROR_INIT;

	r->text[type] = BUF_INIT(max);
	return trusted_read(r->store, tuf_type_name(type), &r->text[type], &ignored) == 0;
}

static void judge(struct offline_role *out, const struct reading *r, const struct tuf_head *head)
{
	out->version = head->version;
	out->expires_s = head->expires_s;
	out->state = head->expires_s > r->now_s ? OFFLINE_GOOD : OFFLINE_EXPIRED;
}

/* The stored root; where none is stored, the anchor, as an update would begin. */
static int read_root(struct reading *r, struct slice anchor, struct offline_role *out, struct error *err)
{
	struct error ignored = ERROR_INIT;
	struct tuf_root *pinned = tuf_root_parse(anchor, err);
	bool stored;

	if (pinned == NULL || tuf_root_check_self(pinned, err) < 0) {
		tuf_root_free(pinned);
		return error_wrap(err, "trusted root");
	}
	stored = load(r, TUF_ROOT, TUF_ROOT_MAX);
	r->root = stored ? tuf_root_parse(buf_slice(&r->text[TUF_ROOT]), &ignored) : NULL;
	if (r->root != NULL && (tuf_root_check_self(r->root, &ignored) < 0 || strcmp(r->root->site, pinned->site) != 0)) {
		tuf_root_free(r->root);
		r->root = NULL;
	}
	out->state = OFFLINE_DAMAGED;
	if (!stored || (r->root != NULL && r->root->head.version < pinned->head.version)) {
		tuf_root_free(r->root);
		r->root = pinned;
		pinned = NULL;
	}
	if (r->root != NULL)
		judge(out, r, &r->root->head);
	tuf_root_free(pinned);
	return 0;
}

static void read_timestamp(struct reading *r, struct offline_role *out)
{
	struct error ignored = ERROR_INIT;

	if (!load(r, TUF_TIMESTAMP, TUF_TIMESTAMP_MAX))
		return;
	out->state = OFFLINE_DAMAGED;
	r->timestamp = tuf_timestamp_parse(buf_slice(&r->text[TUF_TIMESTAMP]), &ignored);
	if (r->timestamp != NULL && tuf_timestamp_check(r->root, NULL, r->timestamp, -1, &ignored) == 0)
		judge(out, r, &r->timestamp->head);
}

static void read_snapshot(struct reading *r, struct offline_role *out)
{
	struct error ignored = ERROR_INIT;

	if (!load(r, TUF_SNAPSHOT, TUF_SIGNED_MAX))
		return;
	out->state = OFFLINE_DAMAGED;
	r->snapshot = tuf_snapshot_parse(buf_slice(&r->text[TUF_SNAPSHOT]), &ignored);
	if (r->snapshot != NULL &&
	    tuf_snapshot_check(r->root, r->timestamp, NULL, r->snapshot, -1, &ignored) == 0)
		judge(out, r, &r->snapshot->head);
}

static void read_targets(struct reading *r, struct offline_role *out)
{
	struct error ignored = ERROR_INIT;
	struct tuf_metafile meta;

	if (!load(r, TUF_TARGETS, TUF_SIGNED_MAX))
		return;
	out->state = OFFLINE_DAMAGED;
	r->targets = tuf_targets_parse_folded(buf_slice(&r->text[TUF_TARGETS]), &ignored);
	if (r->targets != NULL && tuf_snapshot_find(r->snapshot, SLICE_LIT("targets"), &meta, &ignored) == 0 &&
	    tuf_targets_check(&r->root->roles[TUF_TARGETS], "targets", &meta, r->targets, -1, &ignored) == 0)
		judge(out, r, &r->targets->head);
}

static bool holds(const struct offline_role *r)
{
	return r->state == OFFLINE_GOOD || r->state == OFFLINE_EXPIRED;
}

int offline_read(struct offline_state *out, struct slice anchor, const struct trusted *store, int64_t now_s,
		 struct error *err)
{
	struct reading r = {.store = store, .now_s = now_s};
	struct offline_role *roles = out->roles;
	unsigned i;
	int ret;

	*out = (struct offline_state){.refreshed_s = trusted_refreshed_s(store)};
	ret = read_root(&r, anchor, &roles[TUF_ROOT], err);
	if (ret == 0 && holds(&roles[TUF_ROOT]))
		read_timestamp(&r, &roles[TUF_TIMESTAMP]);
	if (holds(&roles[TUF_TIMESTAMP])) {
		out->signed_at_s = r.timestamp->signed_at_s > 0 ? r.timestamp->signed_at_s : 0;
		read_snapshot(&r, &roles[TUF_SNAPSHOT]);
	}
	if (holds(&roles[TUF_SNAPSHOT]))
		read_targets(&r, &roles[TUF_TARGETS]);
	out->usable = true;
	for (i = 0; i < TUF_TYPES; i++)
		out->usable = out->usable && roles[i].state == OFFLINE_GOOD;
	tuf_root_free(r.root);
	tuf_timestamp_free(r.timestamp);
	tuf_snapshot_free(r.snapshot);
	tuf_targets_free(r.targets);
	for (i = 0; i < TUF_TYPES; i++)
		buf_release(&r.text[i]);
	return ret;
}

void offline_put(struct json_writer *w, const char *name, const struct offline_state *o)
{
	char text[TIME_TEXT_LEN];
	unsigned i;

	json_open_object(w, name);
	for (i = 0; i < TUF_TYPES; i++) {
		const struct offline_role *r = &o->roles[i];

		json_open_object(w, tuf_type_name((enum tuf_type)i));
		json_put_string(w, "state", offline_state_name(r->state));
		if (r->version > 0) {
			json_put_int(w, "version", r->version);
			json_put_string(w, "expires", time_text(text, r->expires_s));
		}
		json_close(w);
	}
	if (o->refreshed_s > 0)
		json_put_string(w, "refreshed", time_text(text, o->refreshed_s));
	if (o->signed_at_s > 0)
		json_put_string(w, "signed_at", time_text(text, o->signed_at_s));
	json_close(w);
}
