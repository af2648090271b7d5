/*
 * For walks of the agent: a whole site in one process. A repository with three versions of plant/plc, a device that is
 * enrolled, and instead of agent/worker.c a worker that is the control plane, too: it answers what the script says,
 * and writes down what it was told before it answers. So the true supervisor runs, from its first line to its last,
 * in some 30 ms.
 *
 * The server's memory is the file `told`, a line for each thing that came:
 *	S SEQ ASSIGNMENT STATE		a transition
 *	U, F				metadata, a payload was asked for
 *	R				a certificate was renewed
 *	K				for another key than an earlier answer, which was not stored
 */
#ifndef MESHANICS_TESTS_WALK_SITE_H
#define MESHANICS_TESTS_WALK_SITE_H

#include "tap.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "agent/agent.h"
#include "agent/blobs.h"
#include "agent/home.h"
#include "agent/link.h"
#include "agent/place.h"
#include "agent/state.h"
#include "agent/worker.h"
#include "base/encode.h"
#include "base/json.h"
#include "base/log.h"
#include "base/timefmt.h"
#include "crypto/keyfile.h"
#include "crypto/x509.h"
#include "repo_fixture.h"
#include "sys/clock.h"
#include "sys/fault.h"

#define CERT_END INT64_C(5000000000)
#define CAPACITY 4096

struct site {
	struct fixture f;
	char dev[96];		/* MESHANICS_HOME of the device */
	char told[128], life[128], log[128];
	struct seckey *ca_key;
	struct buf ca;
	struct identity first;	/* the identity of the template */
};

/* What the control plane wants of the device. */
struct script {
	int64_t assignment;	/* 0: nothing */
	const char *path, *action;
	const char *order;	/* "wipe", "renew", or NULL */
};

static struct site site;
static struct script script;
static pid_t agent_pid;		/* of this run: a worker that outlives it by a moment must not speak to whoever inherits it */
/* For a walk with a bundle (script.action "apply"): give it to the agent; answer what is asked about it. */
static void (*give_bundle)(void);
static void (*answer_about_bundle)(const struct worker_options *o, const struct link_msg *m);

/* ---- the worker, which is the control plane ---- */

static void tell(const char *fmt, ...) PRINTF_LIKE(1, 2);

static void tell(const char *fmt, ...)
{
	int fd = open(site.told, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	char line[128];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	REQUIRE(fd >= 0 && write(fd, line, (size_t)n) == n);
	close(fd);
}

struct told {
	int64_t seq[CAPACITY], assignment[CAPACITY];
	char state[CAPACITY][16];
	unsigned count;		/* of distinct transitions */
	unsigned updates, fetches, renewals, other_keys;
	unsigned fetches_after_end;	/* of the script's assignment */
	int64_t broken;		/* seq that came twice with another content, or out of order; else 0 */
};

static bool is_final(const char *state)
{
	return strcmp(state, "healthy") == 0 || strcmp(state, "rolled_back") == 0 || strcmp(state, "failed") == 0;
}

static void take_line(struct told *t, const char *line, bool *ended)
{
	int64_t last = t->count > 0 ? t->seq[t->count - 1] : 0, seq, assignment;
	char state[16];
	long long a, b;
	unsigned i;

	t->updates += line[0] == 'U';
	t->fetches += line[0] == 'F';
	t->renewals += line[0] == 'R';
	t->other_keys += line[0] == 'K';
	t->fetches_after_end += line[0] == 'F' && *ended;
	if (sscanf(line, "S %lld %lld %15s", &a, &b, state) != 3)
		return;
	seq = a;
	assignment = b;
	*ended |= assignment == script.assignment && is_final(state) && strcmp(script.action, "install") == 0;
	for (i = 0; i < t->count && t->seq[i] != seq; i++)
		;
	if (i < t->count) {	/* again: the answer was lost */
		if (t->assignment[i] != assignment || strcmp(t->state[i], state) != 0)
			t->broken = seq;
		return;
	}
	if (seq != last + 1)
		t->broken = seq;
	REQUIRE(t->count < CAPACITY);
	t->seq[t->count] = seq;
	t->assignment[t->count] = assignment;
	memcpy(t->state[t->count++], state, sizeof(state));
}

static void read_told(struct told *t)
{
	FILE *f = fopen(site.told, "re");
	bool ended = false;
	char line[128];

	memset(t, 0, sizeof(*t));
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		take_line(t, line, &ended);
	if (f != NULL)
		fclose(f);
}

static unsigned told_times(const struct told *t, int64_t assignment, const char *state)
{
	unsigned i, n = 0;

	for (i = 0; i < t->count; i++)
		n += t->assignment[i] == assignment && strcmp(t->state[i], state) == 0;
	return n;
}

/* Has all that the script wants been reported? */
static bool script_done(const struct identity *id)
{
	static struct told t;

	read_told(&t);
	if (strcmp(script.action, "apply") == 0)
		return told_times(&t, 0, "healthy") > 0;
	if (script.order != NULL)
		return strcmp(script.order, "renew") == 0 && t.renewals > 0 &&
		       !slice_equal(buf_slice(&id->certificate), buf_slice(&site.first.certificate));
	return told_times(&t, script.assignment, "healthy") + told_times(&t, script.assignment, "failed") > 0
		       ? strcmp(script.action, "install") == 0 || told_times(&t, script.assignment, "rolled_back") > 0
		       : told_times(&t, script.assignment, "rolled_back") > 0;
}

static void put_order(struct json_writer *w, const struct identity *id)
{
	uint8_t fingerprint[SHA256_LEN];

	identity_fingerprint(id, fingerprint);
	json_open_object(w, NULL);
	json_put_string(w, "order", script.order);
	json_put_string(w, "device", id->device);
	json_put_hex(w, "certificate", fingerprint, sizeof(fingerprint));
	json_close(w);
}

static void answer_heartbeat(struct buf *out, const struct identity *id)
{
	struct json_writer w = JSON_WRITER(out);
	bool finished = script_done(id);

	json_open_object(&w, NULL);
	json_put_int(&w, "interval_s", 1);
	json_open_array(&w, "orders");
	if (script.order != NULL && !finished)
		put_order(&w, id);
	json_close(&w);
	json_open_array(&w, "desired");
	if (script.assignment != 0 && !finished) {
		json_open_object(&w, NULL);
		json_put_int(&w, "assignment", script.assignment);
		json_put_string(&w, "path", script.path);
		json_put_string(&w, "action", script.action);
		json_close(&w);
	}
	json_close(&w);
	json_close(&w);
	if (finished)
		kill(agent_pid, SIGTERM);
	else if (give_bundle != NULL)
		give_bundle();
}

static void take_status(struct slice text)
{
	struct error err = ERROR_INIT;
	struct json doc = JSON_INIT;
	int64_t seq, assignment;
	struct slice state;

	MUST(json_parse(&doc, text, JSON_STRICT, &err));
	MUST(json_need_int(json_root(&doc), "seq", 1, INT64_MAX, &seq, &err));
	MUST(json_need_int(json_root(&doc), "assignment", 0, INT64_MAX, &assignment, &err));
	MUST(json_need_string(json_root(&doc), "state", &state, &err));
	tell("S %lld %lld %.*s\n", (long long)seq, (long long)assignment, SLICE_ARG(state));
	json_release(&doc);
}

static void make_certificate(struct buf *out, const struct pubkey *key)
{
	struct x509_spec spec = {.cn = "press-1", .key = key, .not_before_s = 1800000000, .not_after_s = CERT_END,
				 .eku = X509_EKU_CLIENT};
	struct error err = ERROR_INIT;
	struct x509 ca;

	MUST(x509_read(&ca, buf_slice(&site.ca), &err));
	MUST(x509_issue(out, &spec, &ca, site.ca_key, &err));
}

static void put_base64_member(struct json_writer *w, const char *name, const struct buf *bytes)
{
	struct buf text = BUF_INIT(65536);

	base64_put(&text, buf_slice(bytes));
	json_put_slice(w, name, buf_slice(&text));
	buf_release(&text);
}

/* Until an answer was stored the device must ask for the same key, or a lost answer could lock it out. */
static void check_same_key(const struct pubkey *key)
{
	struct buf known = BUF_INIT(256);
	struct error err = ERROR_INIT;
	char path[160];

	snprintf(path, sizeof(path), "%s/renewed", site.dev);
	if (file_read(AT_FDCWD, path, &known, &err) == 0 && !slice_equal(buf_slice(&known), slice_of(key->data, key->len)))
		tell("K\n");
	MUST(file_replace(AT_FDCWD, path, 0600, slice_of(key->data, key->len), &err));
	buf_release(&known);
}

static void answer_renewal(struct buf *out, struct slice text)
{
	struct buf der = BUF_INIT(X509_SIZE_MAX), certificate = BUF_INIT(X509_SIZE_MAX);
	struct json_writer w = JSON_WRITER(out);
	struct error err = ERROR_INIT;
	struct json doc = JSON_INIT;
	char when[TIME_TEXT_LEN];
	struct slice base64;
	struct csr csr;

	MUST(json_parse(&doc, text, JSON_STRICT, &err));
	MUST(json_need_string(json_root(&doc), "csr", &base64, &err));
	MUST(base64_decode(&der, base64, &err));
	MUST(csr_read(&csr, buf_slice(&der), &err));
	check_same_key(&csr.key);
	make_certificate(&certificate, &csr.key);
	json_open_object(&w, NULL);
	json_put_string(&w, "device", "press-1");
	json_put_string(&w, "site", "main");
	json_put_string(&w, "device_url", site.first.device_url);
	json_put_string(&w, "repository_url", site.first.repository_url);
	put_base64_member(&w, "certificate", &certificate);
	put_base64_member(&w, "device_ca", &site.first.device_ca);
	put_base64_member(&w, "server_ca", &site.first.server_ca);
	json_put_string(&w, "not_after", time_text(when, CERT_END));
	json_put_string(&w, "renew_at", time_text(when, CERT_END - 1000));
	json_close(&w);
	tell("R\n");
	json_release(&doc);
	buf_release(&der);
	buf_release(&certificate);
}

static void send_bytes(int sock, struct slice bytes)
{
	struct error err = ERROR_INIT;
	int fd = link_blob(bytes, &err);

	if (fd < 0 || link_send(sock, LINK_DONE, SLICE_LIT("{}"), fd, &err) < 0)
		_exit(0);	/* the supervisor is gone */
	close(fd);
}

static void answer_post(const struct worker_options *o, const struct link_msg *m)
{
	struct buf body = BUF_INIT(1u << 20), answer = BUF_INIT(1u << 20);
	const char *what = buf_cstr((struct buf *)(uintptr_t)&m->body);
	struct error err = ERROR_INIT;

	MUST(link_blob_read(m->fd, &body, &err));
	if (strstr(what, "/device/heartbeat") != NULL) {
		answer_heartbeat(&answer, o->identity);
	} else if (strstr(what, "/device/renew") != NULL) {
		answer_renewal(&answer, buf_slice(&body));
	} else {
		if (strstr(what, "/device/status") != NULL)
			take_status(buf_slice(&body));
		buf_put_str(&answer, "{}");
	}
	send_bytes(o->control_fd, buf_slice(&answer));
	buf_release(&body);
	buf_release(&answer);
}

/* All metadata there is: the engine takes what it asks for. */
static void answer_update(int sock)
{
	struct buf packed = BUF_INIT(LINK_BLOB_MAX);
	struct error err = ERROR_INIT;
	struct dirent *e;
	char path[128];
	DIR *d;

	tell("U\n");
	snprintf(path, sizeof(path), "%s/repo/metadata", site.f.home);
	REQUIRE((d = opendir(path)) != NULL);
	while ((e = readdir(d)) != NULL) {
		struct buf bytes = BUF_INIT(1u << 20);

		if (e->d_name[0] != '.') {
			MUST(file_read(dirfd(d), e->d_name, &bytes, &err));
			blobs_put(&packed, slice_str(e->d_name), buf_slice(&bytes));
		}
		buf_release(&bytes);
	}
	closedir(d);
	send_bytes(sock, buf_slice(&packed));
	buf_release(&packed);
}

/* As the true worker does, by way of a file in work/. */
static void answer_fetch(const struct worker_options *o, const struct link_msg *m)
{
	struct buf bytes = BUF_INIT(1u << 20);
	struct error err = ERROR_INIT;
	struct json doc = JSON_INIT;
	struct slice path, hash;
	char from[512], to[512];
	int fd;

	tell("F\n");
	MUST(json_parse(&doc, buf_slice(&m->body), JSON_STRICT, &err));
	MUST(json_need_string(json_root(&doc), "path", &path, &err));
	MUST(json_need_string(json_root(&doc), "sha256", &hash, &err));
	snprintf(from, sizeof(from), "%s/repo/targets/%.*s", site.f.home, SLICE_ARG(path));
	snprintf(to, sizeof(to), "%s/work/%.*s.part", o->home, SLICE_ARG(hash));
	MUST(file_read(AT_FDCWD, from, &bytes, &err));
	fd = open(to, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	REQUIRE(fd >= 0 && write(fd, bytes.ptr, bytes.len) == (ssize_t)bytes.len);
	if (link_send(o->transfer_fd, LINK_DONE, SLICE_LIT("{}"), fd, &err) < 0)
		_exit(0);
	close(fd);
	json_release(&doc);
	buf_release(&bytes);
}

/* Takes the place of agent/worker.c, which is therefore not linked. */
NORETURN void worker_main(const struct worker_options *o)
{
	struct pollfd w[2] = {{.fd = o->control_fd, .events = POLLIN}, {.fd = o->transfer_fd, .events = POLLIN}};
	struct link_msg m = LINK_MSG_INIT;
	struct error err = ERROR_INIT;
	unsigned i;

	kill(agent_pid, SIGHUP);	/* no need to spread starts here */
	while (poll(w, 2, -1) > 0) {
		for (i = 0; i < 2; i++) {
			if (w[i].revents == 0)
				continue;
			if (link_recv(w[i].fd, &m, &err) <= 0)
				_exit(0);
			if (m.type == LINK_POST)
				answer_post(o, &m);
			else if (m.type == LINK_UPDATE)
				answer_update(w[i].fd);
			else if (m.type != LINK_FETCH && answer_about_bundle != NULL)
				answer_about_bundle(o, &m);
			else
				answer_fetch(o, &m);
		}
	}
	_exit(0);
}

/* ---- making it ---- */

/* plant/plc/VERSION, a file that says `content`; healthy when site.life is not empty. */
static void publish_version(struct repo *r, const char *path, const char *content, int64_t release, int64_t now_s)
{
	struct probe probe = {.type = PROBE_FILE, .target = site.life, .timeout_s = 20, .attempts = 1};
	struct descriptor d = {.kind = PAYLOAD_FILE, .release = release, .placement.mode = 0640, .probes = &probe,
			       .probe_count = 1};
	struct publish_change change = {.path = path, .descriptor = &d};
	struct buf file = BUF_INIT(PUBLISH_FILE_MAX);
	struct publish_result result;
	struct error err = ERROR_INIT;
	struct publish_blob blob;

	MUST(fix_stage(r, content, &blob, &err));
	change.length = blob.len;
	memcpy(change.sha256, blob.sha256, SHA256_LEN);
	MUST(fix_build(&site.f, r, &change, now_s, &file, NULL, &err));
	MUST(publish_commit(r, SLICE_LIT("releases"), repo_role_find(r, SLICE_LIT("releases"))->version,
			    buf_slice(&file), now_s, &result, &err));
	buf_release(&file);
}

static void make_ca(void)
{
	struct x509_spec spec = {.cn = "device CA", .is_ca = true, .not_before_s = 1800000000, .not_after_s = CERT_END};
	struct error err = ERROR_INIT;

	site.ca = BUF_INIT(X509_SIZE_MAX);
	site.ca_key = seckey_generate(KEY_ECDSA_P256, &err);
	REQUIRE(site.ca_key != NULL);
	spec.key = seckey_public(site.ca_key);
	MUST(x509_issue(&site.ca, &spec, NULL, site.ca_key, &err));
}

static void make_device(void)
{
	struct identity *id = &site.first;
	struct error err = ERROR_INIT;
	int fd;

	identity_init(id);
	id->key = seckey_generate(KEY_ECDSA_P256, &err);
	REQUIRE(id->key != NULL);
	snprintf(id->device, sizeof(id->device), "press-1");
	snprintf(id->site, sizeof(id->site), "main");
	snprintf(id->device_url, sizeof(id->device_url), "https://fleet.example:1");
	snprintf(id->repository_url, sizeof(id->repository_url), "https://fleet.example:2");
	make_certificate(&id->certificate, seckey_public(id->key));
	buf_put_slice(&id->device_ca, buf_slice(&site.ca));
	buf_put_slice(&id->server_ca, buf_slice(&site.ca));
	buf_put_slice(&id->root, buf_slice(&site.f.root_file));
	id->not_after_s = CERT_END;
	id->renew_at_s = CERT_END - 1000;
	fd = agent_home_open(site.dev, &err);
	REQUIRE(fd >= 0);
	MUST(identity_store(id, fd, FIX_NOW, &err));
	close(fd);
}

static void site_start(void)
{
	struct error err = ERROR_INIT;
	struct repo *r = fix_repo(&site.f);

	snprintf(site.dev, sizeof(site.dev), "%s/dev", site.f.home);
	snprintf(site.told, sizeof(site.told), "%s/told", site.dev);
	snprintf(site.life, sizeof(site.life), "%s/life", site.dev);
	snprintf(site.log, sizeof(site.log), "%s.log", site.dev);
	MUST(file_mkdirs(AT_FDCWD, site.dev, 0755, &err));
	publish_version(r, "plant/plc/1.0", "one\n", 1, FIX_NOW + 1);
	publish_version(r, "plant/plc/2.0", "two\n", 2, FIX_NOW + 2);
	publish_version(r, "plant/plc/3.0", "three\n", 3, FIX_NOW + 3);
	repo_free(r);
	make_ca();
	make_device();
	MUST(file_replace(AT_FDCWD, site.life, 0644, SLICE_LIT("up\n"), &err));
}

static void site_end(void)
{
	seckey_free(site.ca_key);
	buf_release(&site.ca);
	identity_release(&site.first);
	fix_end(&site.f);
}

/* The device and the server's memory of it, kept and brought back. */
static void site_keep(void)
{
	char command[320];

	snprintf(command, sizeof(command), "rm -rf %s.image && cp -a %s %s.image", site.dev, site.dev, site.dev);
	REQUIRE(system(command) == 0);
}

static void site_bring_back(void)
{
	char command[320];

	snprintf(command, sizeof(command), "rm -rf %s && cp -a %s.image %s", site.dev, site.dev, site.dev);
	REQUIRE(system(command) == 0);
}

/* ---- running it ---- */

#define RUN_FAILED 3	/* not 1, which is a sanitizer's */

struct run_end {
	unsigned calls;		/* counted, when it ended by itself */
	int status;		/* 0: an orderly end; 86: wiped; RUN_FAILED; FAULT_CUT_STATUS; all else is a crash */
	bool late;		/* it had to be asked to end */
};

/*
 * The agent, with the n-th call going wrong (FAULT_NONE: count only), until the script is done or patience is over:
 * then it is asked to end, which it must do.
 */
static struct run_end run_agent(unsigned n, enum fault_mode mode, int patience_ms)
{
	struct agent_options o = {.home = site.dev};
	struct run_end *end = mmap(NULL, sizeof(*end), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct run_end result;
	int waited_ms = 0, status = 0;
	pid_t pid;

	REQUIRE(end != MAP_FAILED && prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	fflush(stdout);
	pid = fork();
	REQUIRE(pid >= 0);
	if (pid == 0) {
		struct error err = ERROR_INIT;
		bool wiped = false;
		int r, log = open(site.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

		log_start(log, false, LOG_LEVEL_INFO);
		dprintf(log, "--- call %u, mode %d\n", n, (int)mode);
		agent_pid = getpid();
		fault_arm(n, mode);
		r = agent_run(&o, &wiped, &err);
		end->calls = fault_count();
		if (r < 0)
			dprintf(log, "%s\n", err.text);
		_exit(r < 0 ? RUN_FAILED : wiped ? AGENT_EXIT_WIPED : 0);
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		usleep(2000);
		waited_ms += 2;
		if (waited_ms == patience_ms) {
			end->late = true;
			kill(pid, SIGTERM);
		}
		if (waited_ms == patience_ms + 20000) {
			printf("# call %u, mode %d: the agent does not end when asked\n", n, (int)mode);
			kill(pid, SIGKILL);
		}
	}
	/* A power cut leaves no process behind: wait for the worker and a probe to see that they are alone. */
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	end->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	result = *end;
	munmap(end, sizeof(*end));
	return result;
}

#endif
