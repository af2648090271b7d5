/* What the supervisor says to the device API, one request at a time, by way of the worker. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/supervisor.h"
#include "base/encode.h"
#include "base/log.h"
#include "base/timefmt.h"
#include "crypto/x509.h"
#include "sys/clock.h"
#include "sys/file.h"

#define TALK_CAP_MS 300000
#define RENEW_PAUSE_MS 3600000	/* after a renewal */
#define RENEW_AGAIN_MS 60000	/* after one that failed: heartbeats go on meanwhile */
#define ANSWER_MAX (1u << 20)
#define METADATA_TEXT_MAX 32768
#define INTERVAL_MIN_S 1
#define INTERVAL_MAX_S 86400

/* ---- asking ---- */

/* POST body to path over the control link. */
static int post(struct agent *a, enum talk what, const char *path, struct slice body, struct error *err)
{
	char text[160];
	int fd = link_blob(body, err), r;

	if (fd < 0)
		return -1;
	snprintf(text, sizeof(text), "{\"path\":\"%s\",\"now_s\":%lld}", path, (long long)agent_time_s(a));
	r = link_ask(&a->control, what, LINK_POST, slice_str(text), fd, err);
	close(fd);
	return r;
}

static int say_register(struct agent *a, struct buf *body, struct error *err)
{
	struct json_writer w = JSON_WRITER(body);

	json_open_object(&w, NULL);
	json_put_string(&w, "instance", a->instance);
	profile_put(&w, "profile");
	json_close(&w);
	return post(a, TALK_REGISTER, "/device/register", buf_slice(body), err);
}

/* 0: there was nothing to report; 1: asked; -1. */
static int say_report(struct agent *a, struct buf *body, struct error *err)
{
	struct json_writer w = JSON_WRITER(body);
	char text[TIME_TEXT_LEN];
	struct report r;
	int n = state_next_report(a->db, &r, err);

	if (n <= 0)
		return n;
	a->report_sent = r.seq;
	json_open_object(&w, NULL);
	json_put_string(&w, "instance", a->instance);
	json_put_int(&w, "assignment", r.assignment);
	json_put_int(&w, "seq", r.seq);
	json_put_string(&w, "path", r.path);
	json_put_string(&w, "state", update_state_name(r.state));
	json_put_string(&w, "reason", r.reason);
	json_put_string(&w, "at", time_text(text, r.at_s));
	json_close(&w);
	return post(a, TALK_STATUS, "/device/status", buf_slice(body), err) < 0 ? -1 : 1;
}

struct artifact_list {
	struct json_writer *w;
	const struct update *update;
};

static int put_artifact(void *arg, const struct installed *i, struct error *err)
{
	const struct artifact_list *list = arg;
	struct json_writer *w = list->w;
	bool tried = list->update->state == UPDATE_PROBING && strcmp(list->update->artifact, i->artifact) == 0;
	char path[sizeof(i->artifact) + sizeof(i->version) + 1];

	(void)err;
	if (i->version[0] == '\0')
		return 0;
	snprintf(path, sizeof(path), "%s/%s", i->artifact, i->version);
	json_open_object(w, NULL);
	json_put_string(w, "path", path);
	json_put_int(w, "release", i->release);
	json_put_string(w, "state", update_state_name(tried ? UPDATE_PROBING : UPDATE_HEALTHY));
	json_close(w);
	return 0;
}

static int say_heartbeat(struct agent *a, struct buf *body, struct error *err)
{
	struct json_writer w = JSON_WRITER(body);
	struct artifact_list list = {.w = &w, .update = &a->update};
	struct buf metadata = BUF_INIT(METADATA_TEXT_MAX);
	int r = -1;

	if (state_get_metadata(a->db, &metadata, err) < 0)
		goto out;
	json_open_object(&w, NULL);
	json_put_string(&w, "agent_version", MESHANICS_VERSION);
	json_put_raw(&w, "metadata", buf_slice(&metadata));
	json_open_array(&w, "artifacts");
	if (state_each_installed(a->db, put_artifact, &list, err) < 0)
		goto out;
	json_close(&w);
	json_close(&w);
	r = post(a, TALK_HEARTBEAT, "/device/heartbeat", buf_slice(body), err);
out:
	buf_release(&metadata);
	return r;
}

/* A fresh key for every certificate; it stays in memory until the certificate is here. */
static int say_renew(struct agent *a, struct buf *body, struct error *err)
{
	struct json_writer w = JSON_WRITER(body);
	struct buf csr = BUF_INIT(X509_SIZE_MAX), text = BUF_INIT(2 * X509_SIZE_MAX);
	int r = -1;

	seckey_free(a->renew_key);
	a->renew_key = seckey_generate(KEY_ECDSA_P256, err);
	if (a->renew_key == NULL || csr_issue(&csr, a->identity.device, a->renew_key, err) < 0)
		goto out;
	base64_put(&text, buf_slice(&csr));
	json_open_object(&w, NULL);
	json_put_slice(&w, "csr", buf_slice(&text));
	json_close(&w);
	r = post(a, TALK_RENEW, "/device/renew", buf_slice(body), err);
out:
	buf_release(&csr);
	buf_release(&text);
	return r;
}

/* Not again and again: a device whose clock is years ahead finds every new certificate old. */
static bool renewal_due(const struct agent *a)
{
	if (loop_now_ms(a->loop) < a->renew_wait_ms)
		return false;
	return a->renew_asked || agent_time_s(a) >= a->identity.renew_at_s;
}

/* The most urgent thing: 1 when something was asked, 0 when nothing is due. */
static int say_next(struct agent *a, struct buf *body, struct error *err)
{
	int r;

	if (renewal_due(a))	/* first: with an expired certificate nothing else is answered */
		return say_renew(a, body, err) < 0 ? -1 : 1;
	if (!a->registered)
		return say_register(a, body, err) < 0 ? -1 : 1;
	r = say_report(a, body, err);
	if (r != 0)
		return r;
	if (loop_now_ms(a->loop) < a->heartbeat_at_ms)
		return 0;
	buf_clear(body);
	return say_heartbeat(a, body, err) < 0 ? -1 : 1;
}

static void talk_later(struct agent *a)
{
	loop_timer_set(a->loop, &a->talk_timer, loop_now_ms(a->loop) + backoff_ms(a->talk_failures++, TALK_CAP_MS));
}

void talk_pump(struct agent *a)
{
	struct buf body = BUF_INIT(ANSWER_MAX);
	struct error err = ERROR_INIT;
	int r;

	if (link_busy(&a->control) || (a->talk_failures > 0 && a->talk_timer.slot != 0))
		return;
	r = say_next(a, &body, &err);
	if (r < 0) {
		log_failure(LOG_LEVEL_ERROR, "agent.talk", &err);
		talk_later(a);
	} else if (r == 0) {
		loop_timer_set(a->loop, &a->talk_timer, a->heartbeat_at_ms);
	}
	buf_release(&body);
}

void talk_soon(struct agent *a)
{
	a->heartbeat_at_ms = 0;
	talk_pump(a);
}

void talk_fire(struct timer *t)
{
	talk_pump(container_of(t, struct agent, talk_timer));
}

/* ---- answers ---- */

static int take_interval(struct agent *a, struct json_value answer, struct error *err)
{
	int64_t interval_s;

	if (json_need_int(answer, "interval_s", INTERVAL_MIN_S, INTERVAL_MAX_S, &interval_s, err) < 0)
		return -1;
	a->interval_s = interval_s;
	a->heartbeat_at_ms = loop_now_ms(a->loop) + interval_s * 1000;
	return 0;
}

/* Only an order that names this device and this very certificate counts. */
static bool order_is_ours(struct agent *a, struct json_value order, struct error *err)
{
	uint8_t hash[SHA256_LEN];
	char hex[SHA256_HEX_LEN];
	struct slice device, certificate;

	if (json_need_string(order, "device", &device, err) < 0 ||
	    json_need_string(order, "certificate", &certificate, err) < 0)
		return false;
	identity_fingerprint(&a->identity, hash);
	hex_encode(hex, hash, sizeof(hash));
	return slice_equal_str(device, a->identity.device) && slice_equal_str(certificate, hex);
}

static void take_order(struct agent *a, struct json_value order)
{
	struct error err = ERROR_INIT;
	struct slice what;

	if (json_need_string(order, "order", &what, &err) < 0 || !order_is_ours(a, order, &err)) {
		log_warn("agent.order", "ignored=true why=\"it does not name this device and certificate\"");
		return;
	}
	log_warn("agent.order", "order=\"%.*s\"", SLICE_ARG(what));
	if (slice_equal_str(what, "wipe"))
		agent_wipe(a);
	else if (slice_equal_str(what, "renew"))
		a->renew_asked = true;
}

static void take_desired(struct agent *a, struct json_value d)
{
	struct error err = ERROR_INIT;
	struct slice action, path;
	int64_t assignment;

	if (json_need_int(d, "assignment", 1, INT64_MAX, &assignment, &err) < 0 ||
	    json_need_string(d, "path", &path, &err) < 0 || json_need_string(d, "action", &action, &err) < 0 ||
	    target_path_check(path, &err) < 0) {
		log_failure(LOG_LEVEL_WARN, "agent.desired", &err);
		return;
	}
	if (slice_equal_str(action, "install"))
		update_offer(a, assignment, path);
	else if (slice_equal_str(action, "revert"))
		update_revert(a, assignment, path);
}

static int take_heartbeat(struct agent *a, struct json_value answer, struct error *err)
{
	struct json_value list;
	struct json_iter it;

	if (take_interval(a, answer, err) < 0 || json_need_array(answer, "orders", &list, err) < 0)
		return -1;
	for (it = json_iter(list); !a->wiped && json_next(&it);)
		take_order(a, it.value);
	if (a->wiped)
		return 0;
	if (json_need_array(answer, "desired", &list, err) < 0)
		return -1;
	for (it = json_iter(list); json_next(&it);)
		take_desired(a, it.value);
	return 0;
}

/* The new identity is on disk before the worker is replaced by one that uses it. */
static int take_renewal(struct agent *a, struct slice text, struct error *err)
{
	struct identity *old = &a->identity, next;
	int r = -1;

	identity_init(&next);
	next.key = a->renew_key;
	a->renew_key = NULL;
	buf_put_slice(&next.root, buf_slice(&old->root));
	if (identity_from_answer(&next, text, false, err) < 0)
		goto out;
	if (identity_check_renewed(&next, old, err) < 0)
		goto out;
	if (identity_store(&next, a->home_fd, clock_now_s(), err) < 0)
		goto out;
	identity_release(old);
	*old = next;
	identity_init(&next);
	a->renew_asked = false;
	a->renew_wait_ms = loop_now_ms(a->loop) + RENEW_PAUSE_MS;
	log_info("agent.renewed", "device=%s not_after_s=%lld", old->device, (long long)old->not_after_s);
	r = 0;
out:
	identity_release(&next);
	return r;
}

static int take_answer(struct agent *a, enum talk what, struct slice text, struct error *err)
{
	struct json doc = JSON_INIT;
	int r = -1;

	if (json_parse(&doc, text, JSON_FRACTIONS, err) < 0)
		goto out;
	switch (what) {
	case TALK_REGISTER:
		a->registered = true;
		a->heartbeat_at_ms = 0;
		r = 0;
		break;
	case TALK_STATUS:
		r = state_report_done(a->db, a->report_sent, err);
		break;
	case TALK_HEARTBEAT:
		r = take_heartbeat(a, json_root(&doc), err);
		break;
	case TALK_RENEW:
		r = take_renewal(a, text, err);
		break;
	case TALK_NONE:
		break;
	}
out:
	json_release(&doc);
	return r;
}

static const char *const talk_words[] = {"none", "register", "status", "renew", "heartbeat"};

/*
 * What is answered 4xx will be answered so again: reports that are refused are dropped, the rest waits. Nothing is
 * ever wiped for a refusal.
 */
static void talk_failed(struct agent *a, enum talk what, const struct error *why, unsigned status)
{
	struct error err = ERROR_INIT;

	snprintf(a->talk_error, sizeof(a->talk_error), "%s", why->text);
	if (a->talk_failures == 0 || status != 0)
		log_warn("agent.talk", "what=%s status=%u why=\"%s\"%s%s%s", talk_words[what], status, why->text,
			 why->hint[0] != '\0' ? " hint=\"" : "", why->hint, why->hint[0] != '\0' ? "\"" : "");
	if (what == TALK_STATUS && (status == 400 || status == 404 || status == 409 || status == 413 || status == 422) &&
	    state_report_done(a->db, a->report_sent, &err) < 0)
		log_failure(LOG_LEVEL_ERROR, "agent.state", &err);
	if (what == TALK_RENEW)
		a->renew_wait_ms = loop_now_ms(a->loop) + RENEW_AGAIN_MS;
	talk_later(a);
}

void talk_answer(struct agent *a, unsigned asked, const struct link_msg *m, const struct error *why, unsigned status)
{
	struct buf text = BUF_INIT(ANSWER_MAX);
	struct error err = ERROR_INIT;
	bool renewed;
	int r = -1;

	if (m == NULL) {
		talk_failed(a, (enum talk)asked, why, status);
		return;
	}
	renewed = asked == TALK_RENEW;
	if (m->fd < 0)
		error_set(&err, ERR_MALFORMED, "the worker handed over no answer");
	else if (link_blob_read(m->fd, &text, &err) == 0)
		r = take_answer(a, (enum talk)asked, buf_slice(&text), &err);
	buf_release(&text);
	if (a->wiped)
		return;
	if (r < 0) {
		talk_failed(a, (enum talk)asked, &err, 0);
		return;
	}
	a->talk_failures = 0;
	a->talk_error[0] = '\0';
	a->talked_s = clock_now_s();
	if (renewed)
		worker_replace(a);
	talk_pump(a);
}
