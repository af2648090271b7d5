/* agent/control.sock: what the running agent says of itself, to root alone; and the question to it. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/local.h"
#include "agent/supervisor.h"
#include "base/encode.h"
#include "base/timefmt.h"
#include "net/client.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "tuf/offline.h"

#define STATUS_MAX (1u << 20)

static void put_time(struct json_writer *w, const char *name, int64_t t_s)
{
	char text[TIME_TEXT_LEN];

	if (t_s == 0)
		json_put_null(w, name);
	else
		json_put_string(w, name, time_text(text, t_s));
}

/* A time on the loop's clock that is still to come. */
static void put_after(struct json_writer *w, const char *name, const struct agent *a, int64_t at_ms)
{
	int64_t left_ms = at_ms - loop_now_ms(a->loop);

	put_time(w, name, left_ms > 0 ? clock_now_s() + left_ms / 1000 : 0);
}

static void put_budget(struct json_writer *w, const struct agent *a)
{
	const struct budget *b = &a->budget;

	if (b->limit == 0) {
		json_put_null(w, "budget");
		return;
	}
	json_open_object(w, "budget");
	json_put_int(w, "bytes", (int64_t)b->limit);
	json_put_int(w, "window_s", b->window_ms / 1000);
	json_put_int(w, "used", (int64_t)(b->used + b->flight));
	put_after(w, "window_ends", a, b->open ? b->ends_ms : 0);
	json_close(w);
}

static int put_installed(void *arg, const struct installed *i, struct error *err)
{
	struct json_writer *w = arg;

	(void)err;
	json_open_object(w, NULL);
	json_put_string(w, "name", i->artifact);
	json_put_string(w, "version", i->version);
	json_put_string(w, "previous", i->previous);
	json_put_int(w, "release", i->release);
	json_put_int(w, "mark", i->mark);
	put_time(w, "since", i->since_s);
	json_close(w);
	return 0;
}

static void put_update(struct json_writer *w, const struct agent *a)
{
	const struct update *u = &a->update;

	if (u->assignment == 0) {
		json_put_null(w, "update");
		return;
	}
	json_open_object(w, "update");
	json_put_int(w, "assignment", update_is_local(u) ? 0 : u->assignment);
	json_put_bool(w, "local", update_is_local(u));
	json_put_string(w, "artifact", u->path);
	json_put_string(w, "state", update_state_name(u->state));
	json_put_string(w, "reason", u->reason);
	put_time(w, "since", u->since_s);
	if (u->signed_known) {
		json_put_int(w, "bytes", (int64_t)u->length);
		json_put_int(w, "downloaded", (int64_t)a->downloaded);
	}
	put_after(w, "next_try", a, a->step_timer.slot != 0 ? a->step_timer.at_ms : 0);
	json_close(w);
}

static int put_status(struct agent *a, struct buf *out, struct error *err)
{
	struct json_writer w = JSON_WRITER(out);
	uint8_t fingerprint[SHA256_LEN];
	struct offline_state trust;
	int64_t floor_s = 0;

	if (trusted_floor(&a->trusted, &floor_s, err) < 0 ||
	    offline_read(&trust, buf_slice(&a->identity.root), &a->trusted, agent_time_s(a), err) < 0)
		return -1;
	identity_fingerprint(&a->identity, fingerprint);
	json_open_object(&w, NULL);
	json_put_string(&w, "device", a->identity.device);
	json_put_string(&w, "site", a->identity.site);
	json_put_string(&w, "version", MESHANICS_VERSION);
	json_put_hex(&w, "certificate", fingerprint, sizeof(fingerprint));
	put_time(&w, "certificate_expires", a->identity.not_after_s);
	put_time(&w, "certificate_renews", a->identity.renew_at_s);
	json_put_bool(&w, "registered", a->registered);
	json_put_int(&w, "interval_s", a->pace.interval_s);
	put_time(&w, "last_answer", a->talked_s);
	json_put_string(&w, "last_error", a->talk_error);
	put_after(&w, "next_try", a, a->pace.hold_ms);
	put_budget(&w, a);
	put_time(&w, "time_used", agent_time_s(a));
	put_time(&w, "time_floor", floor_s);
	offline_put(&w, "trust", &trust);
	json_put_int(&w, "worker_pid", a->worker_pid);
	room_put(a, &w, "disk");
	put_update(&w, a);
	json_open_array(&w, "artifacts");
	if (state_each_installed(a->db, put_installed, &w, err) < 0)
		return -1;
	json_close(&w);
	json_close(&w);
	return 0;
}

static void status_begin(struct exchange *x)
{
	struct agent *a = x->arg;
	struct reply r = REPLY_INIT(200);
	struct error err = ERROR_INIT;

	if (x->peer->uid != 0 && x->peer->uid != geteuid()) {
		reply_error(&r, 403, "denied", "only root may ask the agent");
	} else if (slice_equal_str(x->head.path, "/apply")) {
		local_begin(x);
		return;
	} else if (!slice_equal_str(x->head.method, "GET") || !slice_equal_str(x->head.path, "/status")) {
		reply_error(&r, 404, "not_found", "the agent answers GET /status, and GET and POST /apply");
	} else if (put_status(a, &r.body, &err) < 0) {
		reply_error(&r, 500, "failed", err.text);
	} else {
		r.content_type = "application/json";
	}
	exchange_reply(x, &r);
}

int status_start(struct agent *a, struct error *err)
{
	static const struct handler handler = {.begin = status_begin, .ready = local_ready};
	struct server_limits limits = {.connections = 8};
	char address[sizeof(a->home) + 32];

	snprintf(address, sizeof(address), "unix:%s/control.sock", a->home);
	if ((a->status_fd = listen_open(address, err)) < 0 ||
	    (a->server = server_new(a->loop, &limits, clock_now_s, err)) == NULL)
		return -1;
	return server_add(a->server, a->status_fd, NULL, &handler, a, err) == NULL ? -1 : 0;
}

void status_stop(struct agent *a)
{
	if (a->server != NULL)
		server_free(a->server);
	a->server = NULL;
	file_close(&a->status_fd);
}

int agent_status(const char *home, struct buf *out, struct error *err)
{
	struct client_params params = CLIENT_PARAMS_INIT;
	struct client_request q = CLIENT_REQUEST_INIT;
	struct client_response a = CLIENT_RESPONSE_INIT;
	struct client *c;
	char path[4096];
	int r = -1;

	path_join(path, home, "agent/control.sock");
	params.unix_path = path;
	if ((c = client_new(&params, err)) == NULL)
		return -1;
	q.method = "GET";
	q.target = "/status";
	q.timeout_ms = 10000;
	q.body_max = STATUS_MAX;
	if (client_do(c, &q, &a, err) < 0) {
		error_set(err, ERR_RETRY, "no agent answers in '%s'", home);
		error_hint(err, "start it with 'meshanics agent run', or look into its log");
	} else if (a.status != 200) {
		error_set(err, ERR_FAILED, "the agent answered %d", a.status);
	} else {
		buf_put_slice(out, buf_slice(&a.body));
		r = 0;
	}
	client_response_release(&a);
	client_free(c);
	return r;
}
