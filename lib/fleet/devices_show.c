/* Tags of devices, and devices as JSON, for the API. */
#include "fleet/devices.h"

#include <stdio.h>

#include "base/timefmt.h"
#include "fleet/rollout.h"

/* ---- tags ---- */

static int change_each(struct db *db, int64_t id, struct json_value list, bool add, struct error *err)
{
	struct json_iter it = json_iter(list);

	while (json_next(&it)) {
		struct slice tag;

		if (json_type(it.value) != JSON_STRING)
			return error_set(err, ERR_MALFORMED, "a tag is a string, not %s",
					 json_type_name(json_type(it.value)));
		tag = json_string(it.value);
		if (name_check(tag, "tag", err) < 0)
			return -1;
		if ((add ? device_tag_add(db, id, tag, err) : device_tag_remove(db, id, tag, err)) < 0)
			return -1;
	}
	return 0;
}

int device_change_tags(struct db *db, const struct device *d, struct json_value add, struct json_value remove,
		       int64_t now_s, struct error *err)
{
	unsigned count;

	if (change_each(db, d->id, remove, false, err) < 0 || change_each(db, d->id, add, true, err) < 0 ||
	    device_tag_count(db, d->id, &count, err) < 0)
		return -1;
	if (count > DEVICE_TAGS_MAX)
		return error_set(err, ERR_LIMIT, "device '%s' would have %u tags, more than %d", d->name, count,
				 DEVICE_TAGS_MAX);
	if (d->state != DEVICE_ENROLLED && d->state != DEVICE_ACTIVE)
		return 0;
	return rollouts_adopt(db, d->id, now_s, err);
}

/* ---- reading ---- */

const char *device_presence(int64_t seen_s, int64_t interval_s, int64_t now_s)
{
	if (seen_s == 0)
		return "never";
	/* Heard under a clock that was ahead: nobody knows when. */
	if (seen_s > now_s + DEVICE_SEEN_AHEAD_S)
		return "offline";
	return now_s - seen_s > DEVICE_OFFLINE_INTERVALS * interval_s ? "offline" : "online";
}

static void put_time(struct json_writer *w, const char *name, int64_t t_s)
{
	char text[TIME_TEXT_LEN];

	if (t_s == 0)
		json_put_null(w, name);
	else
		json_put_string(w, name, time_text(text, t_s));
}

static void put_tags(struct json_writer *w, struct slice tags)
{
	size_t at = 0;

	json_open_array(w, "tags");
	while (at < tags.len) {
		size_t comma = slice_find(tags, ',', at), end = comma == SIZE_MAX ? tags.len : comma;

		json_put_slice(w, NULL, slice_sub(tags, at, end - at));
		at = end + 1;
	}
	json_close(w);
}

/* The members that a list and a single device have in common. */
static void put_head(struct json_writer *w, const struct device *d, struct slice tags, struct slice profile,
		     struct slice report, struct lastseen *seen, int64_t interval_s, int64_t now_s)
{
	int64_t heard_s = seen == NULL ? 0 : lastseen_get(seen, d->id);
	int64_t seen_s = heard_s > d->last_seen_s ? heard_s : d->last_seen_s;

	json_put_string(w, "device", d->name);
	json_put_string(w, "state", device_state_name(d->state));
	json_put_string(w, "presence", device_presence(seen_s, interval_s, now_s));
	put_time(w, "created", d->created_s);
	put_time(w, "registered", d->registered_s);
	put_time(w, "last_seen", seen_s);
	put_tags(w, tags);
	json_put_raw(w, "profile", profile);
	json_put_raw(w, "report", report);
}

int devices_put(struct db *db, const char *tag, const char *state, struct slice after, unsigned limit,
		struct lastseen *seen, int64_t interval_s, int64_t now_s, struct json_writer *w, struct error *err)
{
	char last[NAME_LEN_MAX + 1] = "";
	struct device_walk walk;
	unsigned n = 0;
	int r;

	json_open_object(w, NULL);
	json_open_array(w, "devices");
	device_walk_open(&walk, db, tag, state, after, limit);
	while ((r = device_walk_next(&walk, err)) > 0) {
		json_open_object(w, NULL);
		put_head(w, &walk.device, walk.tags, walk.profile, walk.report, seen, interval_s, now_s);
		json_close(w);
		snprintf(last, sizeof(last), "%s", walk.device.name);
		n++;
	}
	device_walk_close(&walk);
	json_close(w);
	json_put_string(w, "next", limit > 0 && n == limit ? last : NULL);
	json_close(w);
	return r;
}

static int put_assignments(struct db *db, int64_t device_id, struct json_writer *w, struct error *err)
{
	struct assignment_walk walk;
	int r;

	json_open_array(w, "assignments");
	assignment_walk_device(&walk, db, device_id);
	while ((r = assignment_walk_next(&walk, err)) > 0) {
		const struct assignment *a = &walk.assignment;

		json_open_object(w, NULL);
		json_put_int(w, "assignment", a->id);
		json_put_int(w, "rollout", a->rollout_id);
		json_put_string(w, "artifact", a->artifact);
		json_put_string(w, "action", a->revert ? "revert" : "install");
		json_put_string(w, "state", assignment_state_name(a->state));
		json_put_bool(w, "current", a->current);
		json_put_string(w, "reason", a->reason);
		put_time(w, "updated", a->updated_s);
		json_close(w);
	}
	assignment_walk_close(&walk);
	json_close(w);
	return r;
}

int device_put(struct db *db, const struct device *d, struct lastseen *seen, int64_t interval_s, int64_t now_s,
	       struct json_writer *w, struct error *err)
{
	struct buf profile = BUF_INIT(DEVICE_PROFILE_MAX), report = BUF_INIT(DEVICE_REPORT_MAX);
	struct buf tags = BUF_INIT(DEVICE_TAGS_MAX * (NAME_LEN_MAX + 1));
	int r = -1;

	if (device_profile(db, d->id, &profile, err) == 0 && device_report(db, d->id, &report, err) == 0 &&
	    device_tags(db, d->id, &tags, err) == 0) {
		json_open_object(w, NULL);
		put_head(w, d, buf_slice(&tags), buf_slice(&profile), buf_slice(&report), seen, interval_s, now_s);
		r = put_assignments(db, d->id, w, err);
		json_close(w);
	}
	buf_release(&tags);
	buf_release(&report);
	buf_release(&profile);
	return r;
}
