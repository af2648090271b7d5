/* A device asks by a stick: to enrol, or to have its certificate renewed. */
#include <stdio.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/enroll.h"
#include "agent/supervisor.h"
#include "base/encode.h"
#include "bundle/enrolment.h"
#include "sys/file.h"

#define FILE_TRIES 99

/*
 * What an enrolled device trusts now: the newest root that it has verified, which lies where only root can write, else its
 * anchor. The running agent is not asked, and its files are not locked: they change by rename.
 */
static int pin_own(struct enrolment_request *q, const struct identity *id, int dirfd, struct error *err)
{
	struct buf text = BUF_INIT(ROOT_FILE_MAX);
	struct error ignored = ERROR_INIT;
	uint8_t sha256[SHA256_LEN];
	int64_t version;
	int r = attempt_pin(buf_slice(&id->root), &q->root_version, q->root_sha256, id->site, err);

	if (r == 0 && file_read(dirfd, "trusted/root.json", &text, &ignored) == 0 &&
	    attempt_pin(buf_slice(&text), &version, sha256, id->site, &ignored) == 0 && version > q->root_version) {
		q->root_version = version;
		memcpy(q->root_sha256, sha256, SHA256_LEN);
	}
	buf_release(&text);
	return r;
}

/* May NAME.request be written: it is not there, or this key has made it, whatever its sum says. 1, 0, -1. */
static int is_ours(const struct media *m, const char *name, const struct pubkey *key, struct error *err)
{
	struct enrolment_request q = ENROLMENT_REQUEST_INIT;
	struct buf text = BUF_INIT(ENROLMENT_REQUEST_MAX);
	struct error unreadable = ERROR_INIT;
	char file[MEDIA_NAME_MAX + 1];
	int fd, r = -1;

	snprintf(file, sizeof(file), "%s.request", name);
	if ((fd = media_open_file(m, MEDIA_ENROLL, file, err)) < 0) {
		if (err->kind == ERR_NOT_FOUND) {
			*err = ERROR_INIT;
			r = 1;
		}
	} else if (file_read_fd(fd, &text, file, &unreadable) < 0 && unreadable.sys_errno != 0) {
		*err = unreadable;
	} else {
		r = enrolment_request_parse(&q, buf_slice(&text), &unreadable) == 0 && pubkey_equal(&q.key, key);
	}
	file_close(&fd);
	enrolment_request_release(&q);
	buf_release(&text);
	return r;
}

/* Many devices have the same host name: NAME, or NAME-2 and so on. */
static int choose_file(struct enrolment_request *q, const struct media *m, const char *name, const struct pubkey *key,
		       struct error *err)
{
	unsigned n;
	int r;

	for (n = 1; n <= FILE_TRIES; n++) {
		if (n == 1)
			snprintf(q->file, sizeof(q->file), "%s", name);
		else
			snprintf(q->file, sizeof(q->file), "%.*s-%u", NAME_LEN_MAX - 3, name, n);
		if ((r = is_ours(m, q->file, key, err)) != 0)
			return r < 0 ? -1 : 0;
	}
	error_set(err, ERR_CONFLICT, "the stick holds %d requests of other devices called '%s'", FILE_TRIES, name);
	return error_hint(err, "give another name with --name");
}

/* The host name in the form of a name, for the file; what it may hold beyond that goes. */
static void file_of_host(char out[static NAME_LEN_MAX + 1], const char *host)
{
	size_t n = 0;

	for (; *host != '\0' && *host != '.' && n < NAME_LEN_MAX - 3; host++) {
		char c = *host >= 'A' && *host <= 'Z' ? (char)(*host | 0x20) : *host;

		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
			out[n++] = c;
		else if (n > 0 && out[n - 1] != '-')
			out[n++] = '-';
	}
	while (n > 0 && out[n - 1] == '-')
		n--;
	out[n] = '\0';
	if (n == 0)
		snprintf(out, NAME_LEN_MAX + 1, "device");
}

static void put_profile(struct enrolment_request *q)
{
	struct json_writer w = JSON_WRITER(&q->profile);

	buf_clear(&q->profile);
	profile_put(&w, NULL);
}

struct asking {
	const struct agent_request_options *o;
	const struct attempt *attempt;
	struct identity id;		/* of a device that is enrolled */
	struct seckey *key;
	struct media *media;
	struct enrolment_request q;
	struct buf text;
	int dirfd, lock_fd;
};

/* The same question, in the same words: the answer to it may be on its way. */
static bool same_request(const struct asking *s, const struct enrolment_request *kept, const char *name)
{
	const struct enrolment_request *q = &s->q;
	struct error ignored = ERROR_INIT;

	return kept->renew == q->renew && pubkey_equal(&kept->key, seckey_public(s->key)) &&
	       strcmp(kept->hostname, q->hostname) == 0 && kept->root_version == q->root_version &&
	       (q->root_version == 0 || memcmp(kept->root_sha256, q->root_sha256, SHA256_LEN) == 0) &&
	       (!q->renew || memcmp(kept->certificate, q->certificate, SHA256_LEN) == 0) &&
	       slice_starts(slice_str(kept->file), slice_sub(slice_str(name), 0, NAME_LEN_MAX - 3)) &&
	       is_ours(s->media, kept->file, seckey_public(s->key), &ignored) > 0;
}

/* Kept at home before it is on the stick: an answer to what nobody remembers would be of no use. */
static int write_request(struct asking *s, const char *name, struct error *err)
{
	struct enrolment_request kept = ENROLMENT_REQUEST_INIT;
	char file[MEDIA_NAME_MAX + 1];
	int r = attempt_read(s->attempt, s->dirfd, &kept, &s->text, err);

	if (r > 0 && same_request(s, &kept, name)) {
		snprintf(s->q.file, sizeof(s->q.file), "%s", kept.file);
	} else if (r >= 0) {
		buf_clear(&s->text);
		enrolment_nonce(&s->q);
		put_profile(&s->q);
		r = choose_file(&s->q, s->media, name, seckey_public(s->key), err);
		if (r == 0)
			r = enrolment_request_put(&s->text, &s->q, s->key, s->id.key, err);
		if (r == 0)
			r = file_replace(s->dirfd, s->attempt->request_file, 0600, buf_slice(&s->text), err);
	}
	enrolment_request_release(&kept);
	if (r < 0)
		return -1;
	snprintf(file, sizeof(file), "%s.request", s->q.file);
	return media_write(s->media, MEDIA_ENROLL, file, buf_slice(&s->text), err);
}

/* A renewing key that is the present one is left over from a renewal that ended: it is not to be certified again. */
static struct seckey *attempt_key(const struct asking *s, struct error *err)
{
	struct seckey *key = identity_attempt_key(s->dirfd, s->attempt->key, s->o->now_s, err);

	if (key == NULL || s->id.key == NULL || !pubkey_equal(seckey_public(key), seckey_public(s->id.key)))
		return key;
	seckey_free(key);
	if (file_unlink(s->dirfd, s->attempt->key_file, err) < 0)
		return NULL;
	return identity_attempt_key(s->dirfd, s->attempt->key, s->o->now_s, err);
}

/* Who asks: fills everything of q but nonce, profile and file. */
static int begin_request(struct asking *s, char name[static NAME_LEN_MAX + 1], struct error *err)
{
	struct machine machine;
	const char *host = s->o->name;

	machine_read(&machine);
	if (host == NULL)
		host = machine.hostname;
	if (s->o->name != NULL && enrolment_file_check(slice_str(s->o->name), err) < 0)
		return -1;
	s->q.created_s = s->o->now_s;
	snprintf(s->q.hostname, sizeof(s->q.hostname), "%s", host);
	if (!file_exists(s->dirfd, "identity.json")) {
		s->attempt = &attempt_to_enroll;
		file_of_host(name, host);
		if (enroll_lock(s->dirfd, &s->lock_fd, err) < 0)
			return -1;
		return s->o->root_path == NULL
			       ? 0
			       : attempt_pin_file(s->o->root_path, &s->q.root_version, s->q.root_sha256, err);
	}
	s->attempt = &attempt_to_renew;
	s->q.renew = true;
	if (identity_load(&s->id, s->dirfd, err) < 0)
		return -1;
	if (s->o->name != NULL || s->o->root_path != NULL) {
		error_set(err, ERR_CONFLICT, "this device is enrolled as '%s': its request is to renew", s->id.device);
		return error_hint(err, "leave out --name and --root; to enrol it anew, remove HOME/agent/identity.json");
	}
	snprintf(s->q.device, sizeof(s->q.device), "%s", s->id.device);
	snprintf(s->q.site, sizeof(s->q.site), "%s", s->id.site);
	identity_fingerprint(&s->id, s->q.certificate);
	snprintf(name, NAME_LEN_MAX + 1, "%s", s->id.device);
	return pin_own(&s->q, &s->id, s->dirfd, err);
}

static void put_asked(struct buf *out, const struct asking *s)
{
	struct json_writer w = JSON_WRITER(out);
	char key[SHA256_HEX_LEN];

	enrolment_fingerprint(key, seckey_public(s->key));
	json_open_object(&w, NULL);
	json_put_string(&w, "kind", s->q.renew ? "renew" : "enroll");
	json_put_string(&w, "file", s->q.file);
	json_put_string(&w, "key", key);
	json_put_string(&w, "device", s->q.renew ? s->q.device : NULL);
	if (s->q.root_version == 0)
		json_put_null(&w, "root_version");
	else
		json_put_int(&w, "root_version", s->q.root_version);
	json_close(&w);
}

int agent_request(const struct agent_request_options *o, struct buf *out, struct error *err)
{
	struct asking s = {
		.o = o,
		.q = ENROLMENT_REQUEST_INIT,
		.text = BUF_INIT(ENROLMENT_REQUEST_MAX),
		.dirfd = -1,
		.lock_fd = -1,
	};
	char name[NAME_LEN_MAX + 1];
	int r = -1;

	identity_init(&s.id);
	if ((s.dirfd = agent_home_open(o->home, err)) < 0 || begin_request(&s, name, err) < 0 ||
	    (s.media = media_open(o->media, true, err)) == NULL || (s.key = attempt_key(&s, err)) == NULL ||
	    write_request(&s, name, err) < 0)
		goto out;
	put_asked(out, &s);
	r = 0;
out:
	media_close(s.media);
	seckey_free(s.key);
	identity_release(&s.id);
	enrolment_request_release(&s.q);
	buf_release(&s.text);
	file_close(&s.lock_fd);
	file_close(&s.dirfd);
	return r;
}
