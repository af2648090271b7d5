/* A device takes the answer from a stick, or an identity that was prepared for it. */
#include <stdio.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/enroll.h"
#include "agent/supervisor.h"
#include "base/encode.h"
#include "bundle/enrolment.h"
#include "crypto/keyfile.h"
#include "sys/file.h"

struct taking {
	const struct agent_answer_options *o;
	const struct attempt *attempt;
	struct identity old;		/* key NULL: not enrolled */
	struct enrolment_request q;
	struct enrolment_answer a;
	struct enrolment_identity whole;
	struct buf text;		/* of the answer; a borrows from it */
	int dirfd, lock_fd;
};

static int check_pin(const struct enrolment_answer *a, const uint8_t sha256[static SHA256_LEN], const char *who,
		     struct error *err)
{
	if (memcmp(a->root_sha256, sha256, SHA256_LEN) == 0)
		return 0;
	error_set(err, ERR_REFUSED, "the answer brings root version %lld, which is not the one that %s",
		  (long long)a->root_version, who);
	return error_hint(err, "have it answered with --root and the root file that this device shall trust");
}

static int ask_pin(const struct taking *t, struct error *err)
{
	char hex[SHA256_HEX_LEN];

	if (t->o->vouched)
		return 0;
	if (t->o->confirm == NULL) {
		error_set(err, ERR_REFUSED, "nothing says which root this device shall trust");
		return error_hint(err, "give --root FILE, or --root-sha256 with the digest told by those who hold the keys");
	}
	hex_encode(hex, t->a.root_sha256, SHA256_LEN);
	return t->o->confirm(t->o->confirm_arg, t->a.site, t->a.root_version, hex, err);
}

/* The root inside is the one that was pinned: at the request, now, or by somebody's word at the terminal. */
static int check_root(const struct taking *t, struct error *err)
{
	const struct agent_answer_options *o = t->o;
	uint8_t sha256[SHA256_LEN];
	int64_t version;

	if (o->root_path != NULL && (attempt_pin_file(o->root_path, &version, sha256, err) < 0 ||
				     check_pin(&t->a, sha256, "--root gives", err) < 0))
		return -1;
	if (o->root_sha256 != NULL) {
		if (hex_decode(sha256, SHA256_LEN, slice_str(o->root_sha256), err) < 0) {
			err->kind = ERR_USAGE;
			return error_wrap(err, "--root-sha256");
		}
		if (check_pin(&t->a, sha256, "--root-sha256 gives", err) < 0)
			return -1;
	}
	if (t->q.root_version != 0 && check_pin(&t->a, t->q.root_sha256, "this device trusts", err) < 0)
		return -1;
	if (o->root_path == NULL && o->root_sha256 == NULL && t->q.root_version == 0)
		return ask_pin(t, err);
	return 0;
}

/* The question first, then the answer that lies under its name. */
static int read_answer(struct taking *t, struct error *err)
{
	struct media *m = NULL;
	struct media_list list = {.count = 0};
	char file[MEDIA_NAME_MAX + 1];
	int r = attempt_read(t->attempt, t->dirfd, &t->q, &t->text, err);

	buf_clear(&t->text);
	if (r == 0) {
		error_set(err, ERR_NOT_FOUND, t->old.key == NULL ? "this device has made no request"
								 : "this device has made no request to renew");
		error_hint(err, "make one with 'meshanics enroll request --media DIR'");
	}
	if (r <= 0)
		return -1;
	r = -1;
	snprintf(file, sizeof(file), "%s.answer", t->q.file);
	/* The list looks at the names: a second one that differs in case might be the one that is opened. */
	if ((m = media_open(t->o->media, false, err)) != NULL && media_list(m, MEDIA_ENROLL, &list, err) == 0 &&
	    (r = media_read(m, MEDIA_ENROLL, file, &t->text, err)) < 0 && err->kind == ERR_NOT_FOUND) {
		error_set(err, ERR_NOT_FOUND, "no answer '%s' is on the stick", file);
		error_hint(err, "have the request answered by 'meshanics enroll sign' at the control plane");
	}
	media_list_release(&list);
	media_close(m);
	return r;
}

static int read_whole(struct taking *t, struct error *err)
{
	if (t->old.key != NULL)
		return enroll_check_free(t->dirfd, err);
	if (enrolment_identity_parse(&t->whole, t->o->identity, err) < 0 ||
	    enrolment_request_parse(&t->q, buf_slice(&t->whole.request), err) < 0)
		return -1;
	if (t->q.renew)
		return error_set(err, ERR_MALFORMED, "identity: its request is to renew");
	buf_put_slice(&t->text, buf_slice(&t->whole.answer));
	return 0;
}

/* next for the key of the request; everything that can be checked has been, and what cannot is refused. */
static int judge(struct taking *t, struct identity *next, struct error *err)
{
	struct x509 cert, ca;

	if (enrolment_answer_parse(&t->a, buf_slice(&t->text), err) < 0 || check_root(t, err) < 0 ||
	    enrolment_answer_check(&t->a, &t->q, err) < 0 || identity_from_answer(next, t->a.line, true, err) < 0)
		return -1;
	if (t->old.key != NULL) {	/* the anchor stays: what is trusted beyond it is in trusted/ */
		buf_clear(&next->root);
		buf_put_slice(&next->root, buf_slice(&t->old.root));
		return identity_check_renewed(next, &t->old, err);
	}
	if (x509_read(&cert, buf_slice(&next->certificate), err) < 0 ||
	    x509_read(&ca, buf_slice(&next->device_ca), err) < 0 ||
	    x509_chain_check(&cert, &ca, X509_EKU_CLIENT, cert.not_before_s, 0, err) < 0)
		return error_wrap(err, "certificate");
	return 0;
}

static struct seckey *open_key(struct taking *t, struct error *err)
{
	struct seckey *key = t->whole.key;

	t->whole.key = NULL;
	if (key == NULL)
		key = keyfile_open(t->dirfd, t->attempt->key_file, SLICE_EMPTY, err);
	return key;
}

static int take(struct taking *t, struct buf *out, struct error *err)
{
	struct identity next;
	struct spare spare;
	int r = -1;

	identity_init(&next);
	if ((t->o->media != NULL ? read_answer(t, err) : read_whole(t, err)) < 0 || (next.key = open_key(t, err)) == NULL ||
	    judge(t, &next, err) < 0 || enroll_room(t->dirfd, t->o->home, &spare, err) < 0)
		goto out;
	do {
		r = identity_store(&next, t->dirfd, t->o->now_s, err);
	} while (r < 0 && spare_again(&spare, err));
	if (r == 0)
		enroll_put_result(out, &next);
out:
	identity_release(&next);
	return r;
}

int agent_take_answer(const struct agent_answer_options *o, struct buf *out, struct error *err)
{
	struct taking t = {
		.o = o,
		.attempt = &attempt_to_enroll,
		.q = ENROLMENT_REQUEST_INIT,
		.a = ENROLMENT_ANSWER_INIT,
		.whole = ENROLMENT_IDENTITY_INIT,
		.text = BUF_INIT(ENROLMENT_ANSWER_MAX),
		.dirfd = -1,
		.lock_fd = -1,
	};
	int r = -1;

	identity_init(&t.old);
	if ((t.dirfd = agent_home_open(o->home, err)) < 0 || enroll_lock(t.dirfd, &t.lock_fd, err) < 0)
		goto out;
	if (file_exists(t.dirfd, "identity.json")) {
		t.attempt = &attempt_to_renew;
		if (identity_load(&t.old, t.dirfd, err) < 0)
			goto out;
	}
	r = take(&t, out, err);
out:
	identity_release(&t.old);
	enrolment_request_release(&t.q);
	enrolment_answer_release(&t.a);
	enrolment_identity_release(&t.whole);
	buf_release(&t.text);
	file_close(&t.lock_fd);
	file_close(&t.dirfd);
	return r;
}
