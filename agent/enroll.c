/* First contact with the control plane: a token in, an identity and an anchor out. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/enroll.h"
#include "agent/supervisor.h"
#include "base/encode.h"
#include "base/timefmt.h"
#include "control/api.h"
#include "crypto/keyfile.h"
#include "crypto/x509.h"
#include "fleet/tokens.h"
#include "net/client.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "tuf/metadata.h"

#define ANSWER_MAX (1u << 20)

static void put_request(struct buf *body, const struct agent_enroll_options *o, struct slice csr, const char *host)
{
	struct json_writer w = JSON_WRITER(body);
	struct buf text = BUF_INIT(2 * X509_SIZE_MAX);
	struct machine m;

	machine_read(&m);
	base64_put(&text, csr);
	json_open_object(&w, NULL);
	json_put_string(&w, "token", o->token);
	json_put_slice(&w, "csr", buf_slice(&text));
	json_put_string(&w, "hostname", o->name != NULL ? o->name : m.hostname);
	json_put_string(&w, "host", host);
	json_close(&w);
	buf_release(&text);
}

static int ask(struct client *c, int64_t now_s, struct slice body, struct buf *answer, struct error *err)
{
	struct client_request q = CLIENT_REQUEST_INIT;
	struct client_response a = CLIENT_RESPONSE_INIT;
	int r = -1;

	q.method = "POST";
	q.target = "/enroll";
	q.now_s = now_s;
	q.timeout_ms = 60000;
	q.content_type = "application/json";
	q.body = body;
	q.body_max = ANSWER_MAX;
	q.idempotent = true;	/* the same key and token get the same certificate */
	if (client_do(c, &q, &a, err) < 0)
		goto out;
	if (a.status >= 300)
		api_read_error((unsigned)a.status, buf_slice(&a.body), err);
	else
		buf_put_slice(answer, buf_slice(&a.body)), r = 0;
out:
	client_response_release(&a);
	return r;
}

/* One address of the token, trusting only the CA that the token pins. *ca gets that CA's certificate. */
static int ask_one(const struct agent_enroll_options *o, const struct enroll_token *t, const char *text,
		   struct slice csr, struct buf *answer, struct buf *ca, struct error *err)
{
	struct buf body = BUF_SECRET(ANSWER_MAX);	/* holds the token */
	struct client_params params = CLIENT_PARAMS_INIT;
	struct tls_client_params trust = {.ca_pin = t->server_ca};
	struct client *c = NULL;
	struct url url, proxy;
	int r = -1;

	params.url = &url;
	params.tls = tls_config_client(&trust, err);
	if (params.tls == NULL || url_parse(&url, slice_str(text), URL_HTTPS | URL_BASE, err) < 0)
		goto out;
	if (o->proxy != NULL) {
		if (url_parse(&proxy, slice_str(o->proxy), URL_HTTP | URL_USER | URL_BASE, err) < 0)
			goto out;
		params.proxy = &proxy;
	}
	put_request(&body, o, csr, url.host);
	if ((c = client_new(&params, err)) == NULL || ask(c, o->now_s, buf_slice(&body), answer, err) < 0)
		goto out;
	buf_put_slice(ca, client_peer_ca(c));
	r = 0;
out:
	buf_release(&body);
	client_free(c);
	tls_config_free(params.tls);
	return r < 0 ? error_wrap(err, "'%s'", text) : 0;
}

/* Every address in turn; the first that answers decides, and so does a refusal. */
static int ask_all(const struct agent_enroll_options *o, const struct enroll_token *t, struct slice csr,
		   struct buf *answer, struct buf *ca, struct error *err)
{
	unsigned i;

	for (i = 0; i < t->url_count; i++) {
		*err = ERROR_INIT;
		if (ask_one(o, t, t->urls[i], csr, answer, ca, err) == 0)
			return 0;
		if (err->kind != ERR_RETRY)
			break;
	}
	return -1;
}

/* The anchor is what the token names, wherever it came from. */
static int check_root(const struct identity *id, const struct enroll_token *t, struct error *err)
{
	uint8_t hash[SHA256_LEN];

	sha256_of(buf_slice(&id->root), hash);
	if (memcmp(hash, t->root_sha256, sizeof(hash)) == 0)
		return 0;
	error_set(err, ERR_REFUSED, "the root is not the one that the token names");
	return error_hint(err, "get the root file version %lld from those who made the token", (long long)t->root_version);
}

static int check_answer(const struct identity *id, const struct enroll_token *t, const struct buf *ca, struct error *err)
{
	if (strcmp(id->site, t->site) != 0)
		return error_set(err, ERR_REFUSED, "the server speaks for site '%s', the token for '%s'", id->site, t->site);
	if (!slice_equal(buf_slice(&id->server_ca), buf_slice(ca)))
		return error_set(err, ERR_REFUSED, "the server's answer names another server CA than the token pins");
	return check_root(id, t, err);
}

static int enroll(const struct agent_enroll_options *o, const struct enroll_token *t, struct identity *id, int dirfd,
		  struct spare *spare, struct error *err)
{
	struct buf csr = BUF_INIT(X509_SIZE_MAX), answer = BUF_INIT(ANSWER_MAX), ca = BUF_INIT(X509_SIZE_MAX);
	int r = -1;

	/* The key outlives the attempt: when the answer is lost, it gets the same certificate, though the token is used up. */
	id->key = identity_attempt_key(dirfd, ENROLLING_KEY, o->now_s, err);
	if (id->key == NULL || csr_issue(&csr, "device", id->key, err) < 0)
		goto out;
	if (ask_all(o, t, buf_slice(&csr), &answer, &ca, err) < 0)
		goto out;
	if (o->root_path != NULL && file_read(AT_FDCWD, o->root_path, &id->root, err) < 0)
		goto out;
	if (identity_from_answer(id, buf_slice(&answer), o->root_path == NULL, err) < 0 ||
	    check_answer(id, t, &ca, err) < 0)
		goto out;
	/* The token may be used up by now: somebody who has filled the disk meanwhile must not spoil this. */
	do {
		r = identity_store(id, dirfd, o->now_s, err);
	} while (r < 0 && spare_again(spare, err));
out:
	buf_release(&csr);
	buf_release(&answer);
	buf_release(&ca);
	return r;
}

void enroll_put_result(struct buf *out, const struct identity *id)
{
	struct json_writer w = JSON_WRITER(out);
	char text[TIME_TEXT_LEN];

	json_open_object(&w, NULL);
	json_put_string(&w, "device", id->device);
	json_put_string(&w, "site", id->site);
	json_put_string(&w, "not_after", time_text(text, id->not_after_s));
	json_put_string(&w, "device_url", id->device_url);
	json_put_string(&w, "repository_url", id->repository_url);
	json_close(&w);
}

int enroll_lock(int dirfd, int *lock_fd, struct error *err)
{
	*lock_fd = file_lock(dirfd, "lock", err);
	if (*lock_fd < 0)
		return error_hint(err, "stop the agent first");
	if (agent_wipe_resume(dirfd, err) < 0)	/* or the next start would end it, and this identity with it */
		return -1;
	return newfile_sweep(dirfd, ".", err);
}

int enroll_check_free(int dirfd, struct error *err)
{
	if (!file_exists(dirfd, "identity.json"))
		return 0;
	error_set(err, ERR_CONFLICT, "this device is enrolled already");
	return error_hint(err, "remove HOME/agent/identity.json to enrol it anew");
}

int enroll_room(int dirfd, const char *home, struct spare *spare, struct error *err)
{
	char path[4096];

	*spare = room_spare(dirfd);
	spare_open(spare);
	if (spare_whole(spare))
		return 0;
	return space_need(dirfd, path_join(path, home, "agent"), spare->size - spare->held, spare->keep, err);
}

int agent_enroll(const struct agent_enroll_options *o, struct buf *out, struct error *err)
{
	struct enroll_token token;
	struct identity id;
	struct spare spare;
	int dirfd = -1, lock_fd = -1, r = -1;

	identity_init(&id);
	if (enroll_token_parse(&token, slice_str(o->token), err) < 0)
		return error_wrap(err, "enrolment token");
	if ((dirfd = agent_home_open(o->home, err)) < 0 || enroll_lock(dirfd, &lock_fd, err) < 0 ||
	    enroll_check_free(dirfd, err) < 0 || enroll_room(dirfd, o->home, &spare, err) < 0 ||
	    enroll(o, &token, &id, dirfd, &spare, err) < 0)
		goto out;
	enroll_put_result(out, &id);
	r = 0;
out:
	enroll_token_wipe(&token);
	identity_release(&id);
	file_close(&lock_fd);
	file_close(&dirfd);
	return r;
}
