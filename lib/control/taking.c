/* An import as requests: whatever comes of a bundle that was recognised as one is in the trail. */
#include "control/taking.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/encode.h"
#include "control/api.h"
#include "sys/file.h"
#include "sys/user.h"

#define REQUEST_MS (15 * 60 * 1000)	/* what is put in force is synced, and disks may be slow */

void taking_release(struct taking *t)
{
	bundle_import_release(&t->read);
	buf_release(&t->answer);
	buf_release(&t->receipt_answer);
}

static struct door *open_door(const struct taking *t, struct error *err)
{
	const struct door_options o = {.home = t->read.home, .now_s = t->read.now_s, .timeout_ms = REQUEST_MS};

	return door_open(&o, err);
}

/* A dry run opens no door, which may make or mend files; it only becomes who may read them. */
static int become_owner(const struct taking *t, struct error *err)
{
	struct door *d;
	char path[4096];

	if (!t->read.dry_run) {
		if ((d = open_door(t, err)) == NULL)
			return -1;
		/* Nobody waits for us while the bundle is read. */
		door_close(d);
		return 0;
	}
	path_join(path, t->read.home, "control");
	return file_exists(AT_FDCWD, path) ? user_become_owner(AT_FDCWD, path, err) : 0;
}

static int post(struct door *d, const uint8_t id[static SHA256_LEN], const char *verb, const struct buf *body,
		struct buf *answer, struct error *err)
{
	char path[128], hex[SHA256_HEX_LEN];

	hex_encode(hex, id, SHA256_LEN);
	snprintf(path, sizeof(path), "/api/v1/bundles/%s/%s", hex, verb);
	if (body->failed)
		return error_set(err, ERR_LIMIT, "the request to %s is larger than %zu bytes", path, body->max);
	return door_call(d, "POST", path, buf_slice(body), answer, err);
}

/* Trust said no; what may go better next time (a clock, a volume, the disk) is no matter for the trail. */
static bool is_refusal(const struct error *err)
{
	return err->kind == ERR_REFUSED || err->kind == ERR_MALFORMED;
}

static void put_refusal(struct buf *body, const struct manifest *m, const struct error *why)
{
	struct json_writer w = JSON_WRITER(body);

	json_open_object(&w, NULL);
	json_put_string(&w, "kind", error_kind_name(why->kind));
	json_put_string(&w, "text", why->text);
	json_put_string(&w, "site", m->site);
	json_put_string(&w, "origin", m->origin);
	json_put_int(&w, "sequence", m->sequence);
	json_open_object(&w, "audit");
	json_put_int(&w, "seq", m->audit.seq);
	json_put_hex(&w, "hash", m->audit.hash, SHA256_LEN);
	json_close(&w);
	json_close(&w);
}

/* The refusal stands whether or not the trail could be told; that it could not is said beside it. */
static void tell_refusal(struct taking *t, const struct manifest *m, struct error *why)
{
	struct buf body = BUF_INIT(16384), answer = BUF_INIT(4096);
	struct error err = ERROR_INIT;
	struct door *d = open_door(t, &err);

	put_refusal(&body, m, why);
	if (d == NULL || post(d, m->id, "refused", &body, &answer, &err) < 0)
		error_hint(why, "the audit trail could not be told of it: %s", err.text);
	door_close(d);
	buf_release(&body);
	buf_release(&answer);
}

static int put_in_force(struct taking *t, struct error *err)
{
	struct buf body = BUF_INIT(256);
	struct json_writer w = JSON_WRITER(&body);
	struct door *d = open_door(t, err);
	int r = -1;

	json_open_object(&w, NULL);
	json_put_bool(&w, "accept_clock", (t->read.flags & REPO_ACCEPT_CLOCK) != 0);
	json_close(&w);
	if (d != NULL && post(d, bundle_import_manifest(&t->read)->id, "import", &body, &t->answer, err) == 0)
		r = t->receipt ? taking_receipt(d, &t->receipt_answer, err) : 0;
	door_close(d);
	buf_release(&body);
	return r;
}

int taking_receipt(struct door *door, struct buf *answer, struct error *err)
{
	return door_call(door, "POST", "/api/v1/receipts", SLICE_LIT("{}"), answer, err) < 0
		       ? error_wrap(err, "cannot make a receipt")
		       : 0;
}

int taking_run(struct taking *t, struct bundle_reader *r, struct error *err)
{
	const struct manifest *m;

	if (become_owner(t, err) < 0)
		return -1;
	if (bundle_import_read(&t->read, r, err) == 0)
		return t->read.dry_run ? 0 : put_in_force(t, err);
	m = bundle_import_manifest(&t->read);
	if (m != NULL && !t->read.dry_run && is_refusal(err))
		tell_refusal(t, m, err);
	return -1;
}
