/* The publisher's side of the repository's routes. */
#include "control/publication.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/encode.h"
#include "control/lastsigned.h"
#include "crypto/sshsig.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "tuf/delegation.h"
#include "tuf/repo_keys.h"
#include "tuf/verify.h"

#define TARGET_MAX 512

/* What is known of the role before its file is made. */
struct work {
	struct publication *p;
	struct buf text; /* of the repository's state */
	struct json doc;
	struct json_value publisher; /* in it */
	struct seckey *key;
	char keyid[KEY_FINGERPRINT_LEN];
	struct slice above; /* the publisher's file while his bin is looked at, else empty */
	int64_t version; /* published, of the file that lists the path */
	int64_t release_floor; /* of releases in hash bins */
	int64_t life_s;
};

/* ---- one request ---- */

static int ask(struct publication *p, const char *method, const char *target, struct slice body,
	       struct buf *text, struct json *doc, struct error *err)
{
	json_release(doc);
	buf_clear(text);
	if (door_call(p->door, method, target, body, text, err) < 0)
		return -1;
	return json_parse(doc, buf_slice(text), JSON_STRICT, err) < 0
		       ? error_wrap(err, "answer to %s", target)
		       : 0;
}

/* ---- whose slice ---- */

static bool covers(struct json_value publisher, const char *path)
{
	struct json_iter it;

	for (it = json_iter(json_get(publisher, "slices")); json_next(&it);) {
		if (tuf_pattern_match(json_string(it.value), slice_str(path)))
			return true;
	}
	return false;
}

/* The first whose slice covers the path: clients ask nobody after him. */
static int choose(struct work *w, struct json_value publishers, struct json_value *out,
		  struct error *err)
{
	struct publication *p = w->p;
	struct json_iter it;

	for (it = json_iter(publishers); json_next(&it);) {
		struct slice name = json_string(json_get(it.value, "name"));

		if (!covers(it.value, p->path))
			continue;
		if (p->publisher != NULL && !slice_equal_str(name, p->publisher))
			return error_set(err, ERR_REFUSED,
					 "'%s' is in the slice of publisher '%.*s', not of '%s'",
					 p->path, SLICE_ARG(name), p->publisher);
		*out = it.value;
		return 0;
	}
	error_set(err, ERR_REFUSED, "'%s' is in no publisher's slice", p->path);
	if (json_count(publishers) == 0)
		return error_hint(err, "no publisher is in force: 'meshanics repo status' says what is to be done next");
	return error_hint(
		err,
		"'meshanics artifact list --publishers' shows the slices; a ceremony changes them");
}

static int find_role(struct work *w, struct error *err)
{
	struct json_value publishers, lives;
	struct slice name;

	w->text = BUF_INIT(16u << 20);
	if (ask(w->p, "GET", "/api/v1/repository/publishers", SLICE_EMPTY, &w->text, &w->doc, err) < 0 ||
	    json_need_array(json_root(&w->doc), "publishers", &publishers, err) < 0 ||
	    choose(w, publishers, &w->publisher, err) < 0 ||
	    json_need_string(w->publisher, "name", &name, err) < 0 ||
	    publisher_name_check(name, err) < 0 ||
	    json_need_int(w->publisher, "version", 0, TUF_VERSION_MAX, &w->version, err) < 0 ||
	    json_need_object(json_root(&w->doc), "lives", &lives, err) < 0 ||
	    json_need_int(lives, "publisher", 1, REPO_LIFE_MAX_S, &w->life_s, err) < 0 ||
	    json_need_int(json_root(&w->doc), "release_floor", 0, TUF_VERSION_MAX, &w->release_floor, err) < 0)
		return -1;
	snprintf(w->p->role, sizeof(w->p->role), "%.*s", SLICE_ARG(name));
	return 0;
}

/* Better said here than by the other side, which only sees a signature too few. */
static int check_key(struct work *w, struct error *err)
{
	struct json_iter it;

	key_id(w->keyid, seckey_public(w->key));
	for (it = json_iter(json_get(w->publisher, "keyids")); json_next(&it);) {
		if (slice_equal_str(json_string(it.value), w->keyid))
			return 0;
	}
	error_set(err, ERR_REFUSED, "key %.16s... is not one of publisher '%s'", w->keyid, w->p->role);
	return error_hint(
		err,
		"targets names its keys; a ceremony changes them: meshanics ceremony delegate");
}

/* ---- bytes ---- */

static void hashing(void *arg, uint64_t done)
{
	struct publication *p = arg;

	if (p->progress != NULL)
		p->progress(p->progress_arg, "hashing", done, p->bytes);
}

static void sending(void *arg, uint64_t done, uint64_t total)
{
	struct publication *p = arg;

	if (p->progress != NULL)
		p->progress(p->progress_arg, "sending", done, total);
}

/* The door copies, hashes the copy and tells. */
static int stage_by_door(struct publication *p, struct error *err)
{
	struct buf text = BUF_INIT(4096);
	struct json doc = JSON_INIT;
	struct slice hex = SLICE_EMPTY;
	int64_t bytes = 0;
	int r = -1;

	if (door_put_file(p->door, "/api/v1/blobs", p->fd, p->bytes, sending, p, &text, err) == 0 &&
	    json_parse(&doc, buf_slice(&text), JSON_STRICT, err) == 0 &&
	    json_need_string(json_root(&doc), "sha256", &hex, err) == 0 &&
	    hex_decode(p->sha256, SHA256_LEN, hex, err) == 0 &&
	    json_need_int(json_root(&doc), "bytes", 0, PUBLISH_BLOB_MAX, &bytes, err) == 0 &&
	    json_opt_int(json_root(&doc), "copy_ms", 0, INT64_MAX, &p->copy_ms, err) == 0 &&
	    json_opt_int(json_root(&doc), "hash_ms", 0, INT64_MAX, &p->hash_ms, err) == 0 &&
	    json_opt_int(json_root(&doc), "sync_ms", 0, INT64_MAX, &p->sync_ms, err) == 0) {
		snprintf(p->copied_by, sizeof(p->copied_by), "%.*s",
			 SLICE_ARG(json_string(json_get(json_root(&doc), "how"))));
		p->bytes = (uint64_t)bytes;
		r = 0;
	}
	json_release(&doc);
	buf_release(&text);
	return r;
}

static int put_named(struct publication *p, int fd, uint64_t len,
		     const uint8_t hash[static SHA256_LEN], struct error *err)
{
	struct buf text = BUF_INIT(4096);
	char target[TARGET_MAX], hex[SHA256_HEX_LEN];
	int r;

	hex_encode(hex, hash, SHA256_LEN);
	snprintf(target, sizeof(target), "/api/v1/blobs/%s", hex);
	r = door_put_file(p->door, target, fd, len, sending, p, &text, err);
	buf_release(&text);
	return r;
}

static int stage(struct publication *p, struct error *err)
{
	int64_t start = clock_mono_ms();

	if (p->believe_door && strcmp(door_kind(p->door), "server") != 0)
		return stage_by_door(p, err);
	if (sha256_file(p->fd, p->sha256, &p->bytes, hashing, p, err) < 0)
		return -1;
	p->hash_ms = clock_mono_ms() - start;
	return put_named(p, p->fd, p->bytes, p->sha256, err);
}

/* ---- the role's file ---- */

/* The file of a role as published; empty when there is none. */
static int fetch_role(struct work *w, const char *role, struct buf *current, struct error *err)
{
	char target[TARGET_MAX];

	buf_clear(current);
	snprintf(target, sizeof(target), "/api/v1/repository/roles/%s", role);
	if (door_call(w->p->door, "GET", target, SLICE_EMPTY, current, err) == 0)
		return 0;
	if (err->kind != ERR_NOT_FOUND)
		return -1;
	buf_clear(current); /* nothing published: the first file */
	return 0;
}

/* The publisher's own bin for the path, as his file delegates it; "" when he has none. */
static int bin_of(const struct work *w, const struct tuf_targets *file, char out[static TUF_ROLE_NAME_MAX + 1],
		  struct error *err)
{
	struct tuf_delegation_iter it = tuf_delegation_iter(file, slice_str(w->p->path));
	struct slice prefix, owner = slice_str(w->p->role);
	struct tuf_delegation d;

	out[0] = '\0';
	if (!tuf_delegation_next(&it, &d))
		return 0;
	prefix = tuf_bin_prefix(slice_str(d.name));
	if (prefix.len != owner.len + strlen("-bin") || !slice_starts(prefix, owner))
		return error_set(err, ERR_REFUSED, "publisher '%s' delegates to '%.80s', which is no hash bin of his",
				 w->p->role, d.name);
	snprintf(out, TUF_ROLE_NAME_MAX + 1, "%s", d.name);
	return 0;
}

/* Only what the publisher has signed himself is built upon. */
static int check_signed(const struct work *w, const struct tuf_targets *t, struct error *err)
{
	struct publication *p = w->p;
	struct tuf_role role = {.threshold = 1};
	unsigned i;
	int r;

	role.keys.list = xcalloc((size_t)p->also_count + 1, sizeof(role.keys.list[0]));
	for (i = 0; i <= p->also_count; i++) {
		struct tuf_key *k = &role.keys.list[role.keys.count];

		k->pub = i == 0 ? *seckey_public(w->key) : p->also[i - 1];
		key_id(k->id, &k->pub);
		role.keys.count += tuf_keys_find(&(struct tuf_keys){role.keys.list, role.keys.count}, slice_str(k->id)) == NULL;
	}
	r = tuf_verify_role(&role, &t->head, NULL, p->file, "5.6.3", err);
	tuf_role_release(&role);
	if (r == 0)
		return 0;
	error_set(err, ERR_REFUSED, "what is said to be published by '%s' is not signed by this key", p->file);
	return error_hint(err, "if another key of this publisher has signed it, name that: --also-by NAME.pub");
}

static struct lastsigned record_of(const struct work *w)
{
	return (struct lastsigned){.home = w->p->home, .keyid = w->keyid, .publisher = w->p->role, .file = w->p->file};
}

/* Nothing in a bin's file says which bin it is, but what it lists does: an old one of another bin is no good. */
static int check_bin(const struct work *w, const struct tuf_targets *t, struct error *err)
{
	struct tuf_targets *publisher = tuf_targets_parse(w->above, err);
	struct tuf_delegation_iter bins;
	struct tuf_delegation d;
	struct json_iter it;
	char shown[96];
	int r = publisher == NULL ? -1 : 0;

	for (it = json_iter(t->targets); r == 0 && json_next(&it);) {
		bins = tuf_delegation_iter(publisher, it.key);
		if (!tuf_delegation_next(&bins, &d) || strcmp(d.name, w->p->file) != 0)
			r = error_set(err, ERR_REFUSED, "'%s' in what is said to be published by '%s' does not belong there",
				      printable(shown, sizeof(shown), it.key), w->p->file);
	}
	tuf_targets_free(publisher);
	return r;
}

/* Signed, and not older than what was signed: then it is remembered as well, since it may be newer. */
static int check_newest(const struct work *w, const struct tuf_targets *t, struct slice text,
			const struct lastsigned *known, struct error *err)
{
	struct lastsigned seen = record_of(w);

	seen.version = t->head.version;
	sha256_of(text, seen.sha256);
	seen.bins = t->delegations.doc != NULL;
	if (check_signed(w, t, err) < 0 || (w->above.len > 0 && check_bin(w, t, err) < 0) ||
	    lastsigned_check(known, &seen, err) < 0)
		return -1;
	return seen.version > known->version ? lastsigned_raise(&seen, err) : 0;
}

/* What is published may have moved since we looked. */
static int look_at(struct work *w, struct slice current, const struct lastsigned *known,
		   char bin[static TUF_ROLE_NAME_MAX + 1], struct error *err)
{
	struct lastsigned none = record_of(w);
	struct tuf_targets *t;
	int r;

	bin[0] = '\0';
	if (current.len == 0)
		return w->p->wary ? lastsigned_check(known, &none, err) : 0;
	if ((t = tuf_targets_parse(current, err)) == NULL)
		return error_wrap(err, "the published file of '%s'", w->p->file);
	w->version = t->head.version;
	r = w->p->wary ? check_newest(w, t, current, known, err) : 0;
	if (r == 0)
		r = bin_of(w, t, bin, err);
	tuf_targets_free(t);
	return r;
}

/* The record is read before the door is asked: what others who sign here commit meanwhile is no replay. */
static int fetch_file(struct work *w, const char *file, struct buf *current, char bin[static TUF_ROLE_NAME_MAX + 1],
		      struct error *err)
{
	struct lastsigned known;

	snprintf(w->p->file, sizeof(w->p->file), "%s", file);
	known = record_of(w);
	if (w->p->wary && lastsigned_read(&known, err) < 0)
		return -1;
	return fetch_role(w, file, current, err) < 0 ? -1 : look_at(w, buf_slice(current), &known, bin, err);
}

/* For who has no home that remembers. */
static int check_at_least(const struct work *w, struct slice current, struct error *err)
{
	int64_t version = current.len == 0 ? 0 : w->version;

	if (version >= w->p->at_least)
		return 0;
	error_set(err, ERR_REFUSED, "version %" PRId64 " of '%s' is said to be published, not at least %" PRId64, version,
		  w->p->file, w->p->at_least);
	return error_hint(err, "an old copy brings back what was withdrawn; find out why the server shows one");
}

static int fetch_bin(struct work *w, const char *bin, struct buf *current, struct error *err)
{
	struct buf publisher = *current;
	char deeper[TUF_ROLE_NAME_MAX + 1];
	int r = -1;

	*current = BUF_INIT(PUBLISH_FILE_MAX);
	w->above = buf_slice(&publisher);
	w->version = 0;
	if (fetch_file(w, bin, current, deeper, err) == 0)
		r = deeper[0] == '\0' ? 0 : error_set(err, ERR_REFUSED, "hash bin '%s' delegates further", bin);
	w->above = SLICE_EMPTY;
	buf_release(&publisher);
	return r;
}

/* The file that is to list the path: the publisher's, or the one of its hash bin. */
static int fetch_current(struct work *w, struct buf *current, struct error *err)
{
	char bin[TUF_ROLE_NAME_MAX + 1];

	if (fetch_file(w, w->p->role, current, bin, err) < 0)
		return -1;
	if (bin[0] == '\0')
		w->release_floor = 0;
	else if (fetch_bin(w, bin, current, err) < 0)
		return -1;
	return check_at_least(w, buf_slice(current), err);
}

static int put_file_as_blob(struct publication *p, struct slice file,
			    uint8_t hash[static SHA256_LEN], struct error *err)
{
	int fd = memfd_create("role", MFD_CLOEXEC);
	int r = -1;

	sha256_of(file, hash);
	if (fd < 0)
		return error_errno(err, errno, "cannot make a memory file");
	if (file_write_all(fd, file, "the role's file", err) == 0)
		r = put_named(p, fd, file.len, hash, err);
	close(fd);
	return r;
}

/* Only now, or a commit that failed would leave a record of what nobody has. The version is ours, not the answer's. */
static int remember(const struct work *w, struct slice file, int64_t answered, struct error *err)
{
	struct lastsigned l = record_of(w);
	struct tuf_targets *t = tuf_targets_parse(file, err);

	if (t == NULL)
		return -1;
	l.version = t->head.version;
	tuf_targets_free(t);
	if (l.version != answered)
		return error_set(err, ERR_REFUSED, "version %" PRId64 " of '%s' was sent, and the answer says %" PRId64,
				 l.version, w->p->file, answered);
	sha256_of(file, l.sha256);
	return lastsigned_raise(&l, err) == 0 ? 0 : error_wrap(err, "'%s' is published", w->p->file);
}

static int commit(struct work *w, struct slice file, struct error *err)
{
	struct buf body = BUF_INIT(1024), text = BUF_INIT(1u << 16);
	struct json_writer j = JSON_WRITER(&body);
	struct json doc = JSON_INIT;
	uint8_t hash[SHA256_LEN];
	char target[TARGET_MAX];
	int r = -1;

	if (put_file_as_blob(w->p, file, hash, err) < 0)
		goto out;
	json_open_object(&j, NULL);
	json_put_int(&j, "expected_version", w->version);
	json_put_hex(&j, "file_sha256", hash, sizeof(hash));
	json_close(&j);
	snprintf(target, sizeof(target), "/api/v1/repository/roles/%s", w->p->file);
	if (ask(w->p, "PUT", target, buf_slice(&body), &text, &doc, err) == 0)
		r = json_need_int(json_root(&doc), "version", 1, TUF_VERSION_MAX, &w->p->version,
				  err);
	if (r == 0 && w->p->wary)
		r = remember(w, file, w->p->version, err);
out:
	json_release(&doc);
	buf_release(&body);
	buf_release(&text);
	return r;
}

/* 0 when it is published (or was), -1 with ERR_CONFLICT and *again when another publisher came
 * first. */
static int try_once(struct work *w, struct publish_change *change, bool *again, struct error *err)
{
	struct buf current = BUF_INIT(PUBLISH_FILE_MAX), next = BUF_INIT(PUBLISH_FILE_MAX);
	struct publish_terms terms = {.now_s = w->p->now_s, .life_s = w->life_s};
	struct descriptor *d = w->p->descriptor;
	struct tuf_signer signer;
	bool number = !change->withdraw && d->release == 0;
	int r = -1;

	*again = false;
	tuf_signer_init(&signer, w->key);
	terms.signers = &signer;
	terms.signer_count = 1;
	if (fetch_current(w, &current, err) < 0 ||
	    (number && publish_next_release(buf_slice(&current), change->path, w->release_floor,
					    &d->release, err) < 0))
		goto out;
	terms.last_version = w->version;
	if (publish_build(&next, buf_slice(&current), change, 1, &terms,
			  change->withdraw ? NULL : &w->p->unchanged, err) < 0)
		goto out;
	w->p->version = w->version;
	if (!w->p->unchanged && commit(w, buf_slice(&next), err) < 0) {
		*again = err->kind == ERR_CONFLICT;
		if (number)
			d->release = 0;
		goto out;
	}
	r = 0;
out:
	buf_release(&current);
	buf_release(&next);
	return r;
}

static int apply(struct work *w, struct publish_change *change, struct error *err)
{
	bool again = true;
	unsigned n;
	int r = -1;

	for (n = 0; r < 0 && again && n < PUBLICATION_TRIES; n++)
		r = try_once(w, change, &again, err);
	return r;
}

/* The same bytes were published before: what we staged replaces the stored ones, in case these are
 * damaged. */
static int restore(struct publication *p, struct error *err)
{
	struct buf text = BUF_INIT(4096);
	char target[TARGET_MAX];
	int r;

	snprintf(target, sizeof(target), "/api/v1/artifacts/%s/blob", p->path);
	r = door_call(p->door, "POST", target, SLICE_EMPTY, &text, err);
	buf_release(&text);
	return r;
}

/* Releases never go down: one above an absurd floor would be the last of its name. */
static int check_floor(const struct work *w, struct error *err)
{
	if (w->release_floor <= w->p->now_s + REPO_VERSION_AHEAD_S)
		return 0;
	error_set(err, ERR_REFUSED, "releases are said to have come to %" PRId64 ", more than a day ahead of the clock",
		  w->release_floor);
	return error_hint(err, "compare this machine's clock with the server's");
}

/* What a door that is not believed may not decide: for whom we sign, for how long, and above which release. */
static int be_wary(struct work *w, struct error *err)
{
	struct publication *p = w->p;

	if (w->life_s > REPO_LIVES_DEFAULT.publisher_s)
		w->life_s = REPO_LIVES_DEFAULT.publisher_s;
	if (check_floor(w, err) < 0)
		return -1;
	if (p->publisher != NULL || !lastsigned_strange(p->home, w->keyid, p->role))
		return 0;
	error_set(err, ERR_REFUSED, "'%s' is said to be in the slice of publisher '%s', for whom this key has not signed before",
		  p->path, p->role);
	return error_hint(err, "it has signed for another one, whose old files would do as his; if it is right: --publisher %s",
			  p->role);
}

static int begin(struct work *w, struct error *err)
{
	if (target_path_check(slice_str(w->p->path), err) < 0) {
		err->kind = ERR_USAGE;
		return -1;
	}
	if (find_role(w, err) < 0)
		return -1;
	w->key = w->p->key(w->p->key_arg, w->p->role, err);
	if (w->key == NULL || check_key(w, err) < 0)
		return -1;
	return w->p->wary ? be_wary(w, err) : 0;
}

static void end(struct work *w)
{
	seckey_free(w->key);
	json_release(&w->doc);
	buf_release(&w->text);
}

int publication_publish(struct publication *p, struct error *err)
{
	struct publish_change change = {.path = p->path, .descriptor = p->descriptor};
	struct work w = {.p = p};
	struct stat st;
	int r = -1;

	if (fstat(p->fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		error_set(err, ERR_USAGE, "not a regular file");
		return error_hint(
			err,
			"write the stream to a file first; its length is part of what is signed");
	}
	p->bytes = (uint64_t)st.st_size;
	p->signature = BUF_INIT(SSHSIG_SIZE_MAX);
	if (begin(&w, err) < 0 || stage(p, err) < 0)
		goto out;
	change.length = p->bytes;
	memcpy(change.sha256, p->sha256, SHA256_LEN);
	if (sshsig_sign_sha256(w.key, PUBLISH_NAMESPACE, p->sha256, &p->signature, err) < 0 ||
	    apply(&w, &change, err) < 0 || (p->unchanged && restore(p, err) < 0))
		goto out;
	r = 0;
out:
	end(&w);
	return r;
}

/* What is to go: its SHA-256 is needed to find its bytes afterwards. */
static int look(struct publication *p, struct error *err)
{
	struct buf text = BUF_INIT(1u << 20);
	struct json doc = JSON_INIT;
	struct slice hex = SLICE_EMPTY;
	char target[TARGET_MAX];
	int64_t bytes;
	int r = -1;

	snprintf(target, sizeof(target), "/api/v1/artifacts/%s", p->path);
	if (ask(p, "GET", target, SLICE_EMPTY, &text, &doc, err) == 0 &&
	    json_need_string(json_root(&doc), "sha256", &hex, err) == 0 &&
	    hex_decode(p->sha256, SHA256_LEN, hex, err) == 0 &&
	    json_need_int(json_root(&doc), "bytes", 0, INT64_MAX, &bytes, err) == 0) {
		p->bytes = (uint64_t)bytes;
		r = 0;
	}
	json_release(&doc);
	buf_release(&text);
	return r;
}

static int remove_blob(struct publication *p, struct error *err)
{
	struct buf body = BUF_INIT(1024), text = BUF_INIT(4096);
	struct json_writer j = JSON_WRITER(&body);
	char target[TARGET_MAX];
	int r;

	json_open_object(&j, NULL);
	json_put_hex(&j, "sha256", p->sha256, SHA256_LEN);
	json_close(&j);
	snprintf(target, sizeof(target), "/api/v1/artifacts/%s/blob", p->path);
	r = door_call(p->door, "DELETE", target, buf_slice(&body), &text, err);
	buf_release(&body);
	buf_release(&text);
	return r;
}

int publication_withdraw(struct publication *p, bool remove, struct error *err)
{
	struct publish_change change = {.path = p->path, .withdraw = true};
	struct work w = {.p = p};
	int r = -1;

	p->signature = BUF_INIT(0);
	if (begin(&w, err) == 0 && look(p, err) == 0 && apply(&w, &change, err) == 0)
		r = remove ? remove_blob(p, err) : 0;
	end(&w);
	return r;
}
