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

#define RENEW_PAUSE_MS 3600000	/* after a renewal */
#define RENEW_SLOW 6		/* a renewal waits as if it had failed so often before: there are weeks */
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
	json_put_int(&w, "assignment", r.assignment > 0 ? r.assignment : 0);
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

/*
 * A fresh key for every certificate. It is on disk before it is used: an answer that was lost, be it for weeks, is given
 * again for the same key.
 */
static int say_renew(struct agent *a, struct buf *body, struct error *err)
{
	struct json_writer w = JSON_WRITER(body);
	struct buf csr = BUF_INIT(X509_SIZE_MAX), text = BUF_INIT(2 * X509_SIZE_MAX);
	int r = -1;

	seckey_free(a->renew_key);
	a->renew_key = identity_attempt_key(a->home_fd, RENEWING_KEY, clock_now_s(), err);
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

/*
 * By the clock only between two thirds and the end of the certificate's life. Past its end the server says so itself (403),
 * and if it does not, our clock is years ahead: then a new certificate would be as old, and a fleet that follows one wrong
 * clock would ask for new ones all at once.
 */
static bool renewal_due(const struct agent *a)
{
	int64_t now_s = agent_time_s(a);

	if (!a->renew_asked && !a->doubted && (now_s < a->identity.renew_at_s || now_s > a->identity.not_after_s))
		return false;
	return room_for_state(a);	/* a certificate that cannot be kept is not asked for */
}

static bool may_say(const struct agent *a, enum talk what)
{
	return loop_now_ms(a->loop) >= a->talk[what].wait_ms;
}

/* The most urgent thing: 1 when something was asked, 0 when nothing is due. */
static int say_next(struct agent *a, struct buf *body, struct error *err)
{
	bool beat = loop_now_ms(a->loop) >= a->pace.beat_ms;
	int r;

	if (beat && a->beat_next)
		return say_heartbeat(a, body, err) < 0 ? -1 : 1;
	if (renewal_due(a) && may_say(a, TALK_RENEW))	/* first: an expired certificate gets no other answer */
		return say_renew(a, body, err) < 0 ? -1 : 1;
	if (!a->registered && may_say(a, TALK_REGISTER))
		return say_register(a, body, err) < 0 ? -1 : 1;
	r = may_say(a, TALK_STATUS) ? say_report(a, body, err) : 0;
	if (r != 0)
		return r;
	if (!beat)
		return 0;
	buf_clear(body);
	return say_heartbeat(a, body, err) < 0 ? -1 : 1;
}

/* When there is something to say again: the heartbeat, or what waits by itself. */
static int64_t next_word_ms(const struct agent *a)
{
	int64_t at_ms = pace_due_ms(&a->pace), now_ms = loop_now_ms(a->loop), hold_ms = a->pace.hold_ms;
	int what;

	for (what = TALK_NONE; what < TALK_KINDS; what++) {
		int64_t wait_ms = a->talk[what].wait_ms;

		if (wait_ms > now_ms && wait_ms < at_ms)
			at_ms = wait_ms > hold_ms ? wait_ms : hold_ms;
	}
	return at_ms;
}

void talk_start(struct agent *a)
{
	struct error err = ERROR_INIT;
	int64_t interval_s = 0;

	if (state_get_number(a->db, "interval", &interval_s, &err) < 0)
		log_failure(LOG_LEVEL_WARN, "agent.state", &err);
	if (interval_s < 0 || interval_s > INTERVAL_MAX_S)
		interval_s = 0;
	pace_start(&a->pace, loop_now_ms(a->loop), interval_s);
}

void talk_pump(struct agent *a)
{
	struct buf body = BUF_INIT(ANSWER_MAX);
	struct error err = ERROR_INIT;
	int r = 0;

	if (link_busy(&a->control) || a->options->alone)
		return;
	if (!pace_holds(&a->pace, loop_now_ms(a->loop)))
		r = say_next(a, &body, &err);
	if (r < 0) {
		log_failure(LOG_LEVEL_ERROR, "agent.talk", &err);
		pace_failed(&a->pace, loop_now_ms(a->loop), -1);
	}
	if (r <= 0)
		loop_timer_set(a->loop, &a->talk_timer, next_word_ms(a));
	buf_release(&body);
}

void talk_soon(struct agent *a)
{
	pace_soon(&a->pace);
	talk_pump(a);
}

void talk_now(struct agent *a)
{
	pace_now(&a->pace);
	talk_pump(a);
}

void talk_fire(struct timer *t)
{
	talk_pump(container_of(t, struct agent, talk_timer));
}

/* ---- answers ---- */

/*
 * For the next start. The server's own jitter changes it every time by a tenth: only what differs by more is written.
 */
static void keep_interval(struct agent *a, int64_t interval_s)
{
	struct error err = ERROR_INIT;
	int64_t kept_s = 0;

	if (state_get_number(a->db, "interval", &kept_s, &err) == 0 && kept_s >= interval_s - interval_s / 5 &&
	    kept_s <= interval_s + interval_s / 5)
		return;
	if (state_set_number(a->db, "interval", interval_s, &err) < 0)
		log_failure(LOG_LEVEL_WARN, "agent.state", &err);
}

static int take_interval(struct agent *a, struct json_value answer, struct error *err)
{
	int64_t interval_s;

	if (json_need_int(answer, "interval_s", INTERVAL_MIN_S, INTERVAL_MAX_S, &interval_s, err) < 0)
		return -1;
	pace_beat(&a->pace, loop_now_ms(a->loop), interval_s);
	keep_interval(a, interval_s);
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

/*
 * How long the certificate that we have now is good enough. When our clock finds it old already, it runs ahead of the
 * server's, and the next would be old as well: then its life is counted off by the clock that never steps.
 */
static int64_t renew_pause_ms(const struct agent *a)
{
	const struct identity *id = &a->identity;
	struct error ignored = ERROR_INIT;
	struct x509 cert;
	int64_t life_ms;

	if (agent_time_s(a) < id->renew_at_s || x509_read(&cert, buf_slice(&id->certificate), &ignored) < 0)
		return RENEW_PAUSE_MS;
	life_ms = (id->renew_at_s - cert.not_before_s) * 1000;
	return life_ms > RENEW_PAUSE_MS ? life_ms : RENEW_PAUSE_MS;
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
	while (identity_store(&next, a->home_fd, clock_now_s(), err) < 0) {
		if (!room_again(a, err))
			goto out;
	}
	identity_release(old);
	*old = next;
	identity_init(&next);
	a->renew_asked = false;
	a->talk[TALK_RENEW].wait_ms = loop_now_ms(a->loop) + renew_pause_ms(a);
	log_info("agent.renewed", "device=%s not_after_s=%lld", old->device, (long long)old->not_after_s);
	r = 0;
out:
	identity_release(&next);
	return r;
}

static int forget_report(struct agent *a, struct error *err)
{
	while (state_report_done(a->db, a->report_sent, err) < 0) {
		if (!room_again(a, err))
			return -1;
	}
	return 0;
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
		pace_soon(&a->pace);
		r = 0;
		break;
	case TALK_STATUS:
		r = forget_report(a, err);
		break;
	case TALK_HEARTBEAT:
		r = take_heartbeat(a, json_root(&doc), err);
		break;
	case TALK_RENEW:
		r = take_renewal(a, text, err);
		break;
	case TALK_NONE:
	case TALK_KINDS:
		break;
	}
out:
	json_release(&doc);
	return r;
}

static const char *const talk_words[] = {"none", "register", "status", "renew", "heartbeat"};

/* Will the server never take this report? What it may take of another agent, or at another time, is kept. */
static bool report_is_refused(enum talk what, unsigned status)
{
	return what == TALK_STATUS && status_is_final(status) && status >= 400 && !status_is_global(status);
}

/* Told when it is news. */
static void note_failure(struct agent *a, enum talk what, const struct error *why, unsigned status)
{
	if (strcmp(a->talk_error, why->text) != 0)
		log_warn("agent.talk", "what=%s status=%u why=\"%s\"%s%s%s", talk_words[what], status, why->text,
			 why->hint[0] != '\0' ? " hint=\"" : "", why->hint, why->hint[0] != '\0' ? "\"" : "");
	snprintf(a->talk_error, sizeof(a->talk_error), "%s", why->text);
	a->talk_error_of = what;
}

/*
 * No answer, or none of use. Where the server as a whole is away, all waits. What it refuses, for whatever reason, waits
 * by itself as well, or it would stand in the way of the heartbeat that may bring the order which mends it. A report
 * that is refused for good is dropped. Nothing is ever wiped for a refusal.
 */
static void talk_failed(struct agent *a, enum talk what, const struct error *why, const struct link_reply *reply)
{
	int64_t now_ms = loop_now_ms(a->loop);
	bool refused = reply->status == 401 || reply->status == 403;
	struct error err = ERROR_INIT;

	note_failure(a, what, why, reply->status);
	if (report_is_refused(what, reply->status)) {
		if (forget_report(a, &err) < 0)
			log_failure(LOG_LEVEL_ERROR, "agent.state", &err);
	} else if (what == TALK_RENEW && reply->status == 403) {
		a->talk[what].wait_ms = now_ms + RENEW_PAUSE_MS;
	} else if (what != TALK_HEARTBEAT && reply->status != 0) {
		unsigned n = a->talk[what].failures++ + (what == TALK_RENEW ? RENEW_SLOW : 0);

		a->talk[what].wait_ms = now_ms + backoff_asked_ms(n, BACKOFF_CAP_MS, reply->retry_after_s);
	}
	if (what != TALK_RENEW && reply->status == 403)
		a->doubted = true;
	if (reply->status == 0)
		roots_look(a);
	/* Their turn, unless it is we who are refused: renewal may have to come before them, and after its own refusal they. */
	a->beat_next = what == TALK_RENEW || (what != TALK_HEARTBEAT && reply->status != 0 && !refused);
	if (what == TALK_HEARTBEAT || (status_is_global(reply->status) && !(what == TALK_RENEW && refused)))
		pace_failed(&a->pace, now_ms, reply->retry_after_s);
	talk_pump(a);
}

/* A good answer. What it was about works again; all else that was said to fail has to show it by itself. */
static void talk_heard(struct agent *a, enum talk what)
{
	if (a->pace.failures > 0)
		log_info("agent.talk", "what=%s back=true failures=%u", talk_words[what], a->pace.failures);
	pace_heard(&a->pace);
	if (what == TALK_HEARTBEAT)
		a->beat_next = false;
	a->talk[what].failures = 0;
	a->doubted = false;
	a->talked_s = agent_time_s(a);
	if (a->talk_error_of == what || may_say(a, a->talk_error_of) ||
	    (a->talk_error_of == TALK_RENEW && !renewal_due(a)))
		a->talk_error[0] = '\0';
}

void talk_answer(struct agent *a, unsigned asked, const struct link_msg *m, const struct error *why,
		 const struct link_reply *reply)
{
	static const struct link_reply useless = {.status = 200, .retry_after_s = -1};
	struct buf text = BUF_INIT(ANSWER_MAX);
	struct error err = ERROR_INIT;
	enum talk what = (enum talk)asked;
	int r = -1;

	if (m == NULL) {
		talk_failed(a, what, why, reply);
		return;
	}
	if (m->fd < 0)
		error_set(&err, ERR_MALFORMED, "the worker handed over no answer");
	else if (link_blob_read(m->fd, &text, &err) == 0)
		r = take_answer(a, what, buf_slice(&text), &err);
	buf_release(&text);
	if (a->wiped)
		return;
	if (r < 0) {
		error_wrap(&err, "the server's answer to %s", talk_words[what]);
		talk_failed(a, what, &err, &useless);
		return;
	}
	talk_heard(a, what);
	if (what == TALK_RENEW)
		worker_replace(a);
	talk_pump(a);
}
