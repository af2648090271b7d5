/* volume.json, written and read. */
#include "base/json.h"
#include "bundle/fields.h"

void volume_put(struct buf *out, const struct volume *v)
{
	struct json_writer w = JSON_WRITER(out);

	json_open_object(&w, NULL);
	json_put_hex(&w, "bundle", v->bundle, SHA256_LEN);
	json_put_bool(&w, "last", v->last);
	json_put_int(&w, "member", v->member);
	json_put_int(&w, "offset", (int64_t)v->offset);
	json_put_int(&w, "volume", v->volume);
	json_put_int(&w, "volumes", v->volumes);
	json_close(&w);
	buf_put_str(out, "\n");
}

static int parse_volume(struct volume *v, struct json_value obj, struct error *err)
{
	static const char *const names[] = {"bundle", "last", "member", "offset", "volume", "volumes", NULL};
	int64_t member, offset, volume, volumes;

	if (json_only(obj, names, err) < 0 || field_hash(obj, "bundle", v->bundle, err) < 0 ||
	    json_need_bool(obj, "last", &v->last, err) < 0 ||
	    json_need_int(obj, "member", 0, BUNDLE_MEMBERS_MAX - 1, &member, err) < 0 ||
	    json_need_int(obj, "offset", 0, BUNDLE_ARTIFACT_MAX - 1, &offset, err) < 0 ||
	    json_need_int(obj, "volumes", 1, BUNDLE_VOLUMES_MAX, &volumes, err) < 0 ||
	    json_need_int(obj, "volume", 1, volumes, &volume, err) < 0)
		return -1;
	v->member = (uint32_t)member;
	v->offset = (uint64_t)offset;
	v->volume = (unsigned)volume;
	v->volumes = (unsigned)volumes;
	if (v->last != (volume == volumes))
		return error_set(err, ERR_MALFORMED, "member 'last' is wrong for volume %u of %u", v->volume, v->volumes);
	if (volume == 1 && (member != 0 || offset != 0))
		return error_set(err, ERR_MALFORMED, "volume 1 does not begin with the first member");
	return 0;
}

int volume_parse(struct volume *v, struct slice text, struct error *err)
{
	struct buf again = BUF_INIT(VOLUME_MAX);
	struct json doc = JSON_INIT;
	int r = -1;

	*v = (struct volume){.volume = 0};
	if (text.len > VOLUME_MAX) {
		error_set(err, ERR_LIMIT, "larger than %d bytes", VOLUME_MAX);
		goto out;
	}
	if (json_parse(&doc, text, JSON_STRICT, err) < 0 || parse_volume(v, json_root(&doc), err) < 0)
		goto out;
	volume_put(&again, v);
	if (!slice_equal(buf_slice(&again), text)) {
		error_set(err, ERR_MALFORMED, "its members are not in order, or it is not one line");
		goto out;
	}
	r = 0;
out:
	buf_release(&again);
	json_release(&doc);
	return r < 0 ? error_wrap(err, BUNDLE_VOLUME) : 0;
}
