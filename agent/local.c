/* The course of a bundle that is applied on the device. */
#include "agent/local.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/blobs.h"
#include "agent/local_internal.h"
#include "base/encode.h"
#include "base/log.h"
#include "sys/clock.h"
#include "sys/file.h"

#define TRIES_MAX 3	/* workers that may end over one bundle */

bool local_busy(const struct agent *a)
{
	return a->local != NULL && a->local->stage != LOCAL_DONE;
}

/* Whose turn it is, when that is the update under way; or NULL. */
static struct local_item *item_of_update(const struct agent *a)
{
	struct local *l = a->local;

	if (!local_busy(a) || l->stage != LOCAL_APPLYING || l->at >= l->item_count ||
	    strcmp(l->items[l->at].update.path, a->update.path) != 0)
		return NULL;
	return &l->items[l->at];
}

bool local_supplies(const struct agent *a)
{
	return update_is_local(&a->update) || (a->update.assignment != 0 && item_of_update(a) != NULL);
}

static void close_volumes(struct local *l)
{
	unsigned i;

	for (i = 0; i < l->volume_count; i++)
		file_close(&l->volumes[i].fd);
}

void local_free(struct agent *a)
{
	struct local *l = a->local;
	unsigned i;

	if (l == NULL)
		return;
	a->local = NULL;
	close_volumes(l);
	buf_release(&l->named);
	manifest_release(&l->manifest);
	tuf_client_free(l->client);
	for (i = 0; i < l->item_count; i++)
		update_release(&l->items[i].update);
	free(l->items);
	free(l->skips);
	for (i = 0; i < l->event_count; i++)
		free(l->events[i].reason);
	free(l->events);
	free(l);
}

/* ---- asking the worker ---- */

void local_new_worker(struct agent *a)
{
	if (a->local != NULL)
		a->local->handed = false;
}

/* The worker gets the files before the first question about them. */
static int hand_over(struct agent *a, struct local *l, struct error *err)
{
	struct buf q = BUF_INIT(LINK_BODY_MAX);
	unsigned i;
	int r = 0;

	for (i = 0; r == 0 && !l->handed && i < l->volume_count; i++) {
		struct json_writer w = JSON_WRITER(&q);

		buf_clear(&q);
		json_open_object(&w, NULL);
		json_put_string(&w, "name", l->volumes[i].name);
		json_put_bool(&w, "first", i == 0);
		json_close(&w);
		r = link_send(a->transfer.watch.fd, LINK_VOLUME, buf_slice(&q), l->volumes[i].fd, err);
	}
	buf_release(&q);
	l->handed = r == 0;
	return r;
}

/* Nobody keeps the medium busy any longer. A worker that cannot hear this is about to end. */
static void take_back(struct agent *a, struct local *l)
{
	struct error ignored = ERROR_INIT;

	if (l->handed && a->transfer.watch.fd >= 0)
		(void)!link_send(a->transfer.watch.fd, LINK_VOLUME, SLICE_LIT("{\"name\":\"\",\"first\":true}"), -1, &ignored);
	l->handed = false;
	close_volumes(l);
}

/* The last step: the files go, what became of it stays to be asked for. */
static void end(struct agent *a, const struct error *why)
{
	struct local *l = a->local;

	if (why != NULL) {
		l->error = *why;
		if (why->kind == ERR_REFUSED)
			error_hint(&l->error, "nothing was changed; ask for a new bundle");
		log_failure(LOG_LEVEL_WARN, "agent.bundle", why);
	} else {
		log_info("agent.bundle", "done=true site=%s sequence=%lld artifacts=%u", l->manifest.site,
			 (long long)l->manifest.sequence, l->item_count);
	}
	l->stage = LOCAL_DONE;
	take_back(a, l);
	tuf_client_free(l->client);
	l->client = NULL;
	/* A download that has waited for us goes on. */
	loop_timer_set(a->loop, &a->step_timer, loop_now_ms(a->loop));
}

void local_give_up(struct agent *a, const struct error *why)
{
	a->refreshed = false;
	end(a, why);
}

static int ask_open(struct agent *a, struct local *l, struct error *err)
{
	struct buf stored = BUF_INIT(LINK_BLOB_MAX);
	int64_t floor_s = 0;
	char text[96];
	int fd = -1, r = -1;

	if (verify_pack_stored(a, &stored, err) < 0 || trusted_floor(&a->trusted, &floor_s, err) < 0)
		goto out;
	if (l->named.len > 0)
		blobs_put(&stored, SLICE_LIT(UNPACK_TARGETS), buf_slice(&l->named));
	if (stored.failed) {
		error_set(err, ERR_LIMIT, "the trusted metadata is larger than %zu bytes", stored.max);
		goto out;
	}
	if ((fd = link_blob(buf_slice(&stored), err)) < 0)
		goto out;
	snprintf(text, sizeof(text), "{\"now_s\":%lld,\"floor_s\":%lld}", (long long)clock_now_s(), (long long)floor_s);
	r = link_ask(&a->transfer, TRANSFER_OPEN, LINK_OPEN, slice_str(text), fd, err);
out:
	file_close(&fd);
	buf_release(&stored);
	return r;
}

static int compare_hashes(const void *a, const void *b)
{
	return memcmp(a, b, SHA256_LEN);
}

/* Every payload once, in the order of the bundle. */
static int ask_check(struct agent *a, struct local *l, struct error *err)
{
	uint8_t (*hashes)[SHA256_LEN] = xcalloc(UNPACK_PLAN_MAX, sizeof(*hashes));
	unsigned i, n = 0;
	int fd, r = -1;

	for (i = 0; i < l->item_count; i++)
		memcpy(hashes[i], l->items[i].update.sha256, SHA256_LEN);
	qsort(hashes, l->item_count, sizeof(*hashes), compare_hashes);
	for (i = 0; i < l->item_count; i++)
		if (n == 0 || memcmp(hashes[n - 1], hashes[i], SHA256_LEN) != 0)
			memmove(hashes[n++], hashes[i], SHA256_LEN);
	if ((fd = link_blob(slice_of(hashes, n * sizeof(*hashes)), err)) >= 0)
		r = link_ask(&a->transfer, TRANSFER_CHECK, LINK_CHECK, SLICE_LIT("{}"), fd, err);
	file_close(&fd);
	free(hashes);
	return r;
}

int local_ask_payload(struct agent *a, struct error *err)
{
	struct buf q = BUF_INIT(LINK_BODY_MAX);
	struct json_writer w = JSON_WRITER(&q);
	int r;

	json_open_object(&w, NULL);
	json_put_int(&w, "length", (int64_t)a->update.length);
	json_put_hex(&w, "sha256", a->update.sha256, SHA256_LEN);
	json_close(&w);
	r = local_busy(a) ? hand_over(a, a->local, err) : 0;
	if (r == 0)
		r = link_ask(&a->transfer, TRANSFER_UNPACK, LINK_UNPACK, buf_slice(&q), -1, err);
	buf_release(&q);
	return r;
}

void local_progress(struct agent *a, uint64_t bytes)
{
	if (a->local != NULL)
		a->local->checked = bytes;
}

/* ---- the artifacts ---- */

/* The next artifact takes the one place that updates have. */
static void start_item(struct agent *a, struct local *l)
{
	struct local_item *item = &l->items[l->at];
	struct error err = ERROR_INIT;
	struct update *u = &a->update;
	char hex[SHA256_HEX_LEN];
	int64_t number;

	if (state_local_number(a->db, &number, &err) < 0) {
		end(a, &err);
		return;
	}
	update_release(u);
	*u = item->update;	/* what it owns, too */
	item->update.descriptor = BUF_INIT(UPDATE_DESCRIPTOR_MAX);
	u->assignment = number;
	u->state = UPDATE_NONE;
	a->refreshed = false;
	hex_encode(hex, l->manifest.id, SHA256_LEN);
	if (!update_enter(a, UPDATE_DOWNLOADING, NULL, "from bundle %lld of '%s', %s", (long long)l->manifest.sequence,
			  l->manifest.origin, hex))
		return;	/* held, for want of room: the step timer goes on */
	/* Once more: the artifact before it may have changed what may follow. */
	if (verify_descriptor(a, u, &a->descriptor, &err) < 0)
		update_fail(a, &err);
	else
		update_step(a);
}

/* What the control plane has asked for, and is in the bundle, comes first, under the number that it has. */
static int adopt(struct agent *a, struct local *l, struct error *err)
{
	struct local_item first;
	unsigned i;

	for (i = 0; i < l->item_count && strcmp(l->items[i].update.path, a->update.path) != 0; i++)
		;
	if (i == l->item_count) {
		error_set(err, ERR_RETRY, "an update is under way: '%s' is %s, and this bundle does not hold it",
			  a->update.path, update_state_name(a->update.state));
		return error_hint(err, "see 'meshanics agent status'");
	}
	first = l->items[i];
	memmove(&l->items[1], &l->items[0], i * sizeof(first));
	l->items[0] = first;
	a->update.length = first.update.length;
	memcpy(a->update.sha256, first.update.sha256, SHA256_LEN);
	memcpy(a->update.url, first.update.url, sizeof(a->update.url));
	buf_clear(&a->update.descriptor);
	buf_put_slice(&a->update.descriptor, buf_slice(&first.update.descriptor));
	a->update.signed_known = true;
	a->refreshed = false;	/* it is written down before the payload is asked for */
	return 0;
}

static void start_applying(struct agent *a, struct local *l)
{
	struct error err = ERROR_INIT;

	if (l->dry_run) {
		end(a, NULL);
	} else if (a->update.assignment != 0 && adopt(a, l, &err) < 0) {
		end(a, &err);
	} else if (verify_keep(a, l->client, &err) < 0) {
		end(a, &err);
	} else {
		tuf_client_free(l->client);
		l->client = NULL;
		l->stage = LOCAL_APPLYING;
		update_step(a);
	}
}

void local_step(struct agent *a)
{
	struct local *l = a->local;
	struct error err = ERROR_INIT;

	if (!local_busy(a))
		return;
	if (l->stage == LOCAL_APPLYING) {
		if (a->update.assignment != 0)
			return;
		if (l->at < l->item_count)
			start_item(a, l);
		else
			end(a, NULL);
		return;
	}
	if (link_busy(&a->transfer))
		return;
	if (hand_over(a, l, &err) < 0 ||
	    (l->stage == LOCAL_OPENING ? ask_open(a, l, &err) : ask_check(a, l, &err)) < 0)
		end(a, &err);
}

void local_answer(struct agent *a, unsigned asked, const struct link_msg *m, const struct error *why)
{
	struct local *l = a->local;
	struct error err = ERROR_INIT;

	if (l == NULL || l->stage != (asked == TRANSFER_OPEN ? LOCAL_OPENING : LOCAL_CHECKING))
		return;
	if (m == NULL && a->worker_pid <= 0 && ++l->tries < TRIES_MAX)
		return;	/* the next worker is asked again */
	if (m == NULL) {
		end(a, why);
	} else if (asked == TRANSFER_CHECK) {
		start_applying(a, l);
	} else if (local_verify(a, l, m->fd, &err) < 0) {
		end(a, &err);
	} else if (l->look) {
		end(a, NULL);
	} else {
		l->stage = LOCAL_CHECKING;
		local_step(a);
	}
}

void local_said(struct agent *a, const char *reason)
{
	struct local_item *item = item_of_update(a);
	struct local *l = a->local;

	if (item == NULL)
		return;
	item->state = a->update.state;
	snprintf(item->reason, sizeof(item->reason), "%s", reason);
	if (l->event_count < LOCAL_EVENTS_MAX) {
		l->events = xreallocarray(l->events, l->event_count + 1, sizeof(*l->events));
		l->events[l->event_count++] = (struct local_event){l->at, item->state, xstrdup(reason)};
	}
	if (update_state_final(item->state))
		l->at++;
}
