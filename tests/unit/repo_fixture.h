/*
 * For tests of ceremonies and repositories: signers, a home in a temporary directory, and the way from nothing
 * to a repository in force. Time is FIX_NOW everywhere, which lies after any build of this program.
 */
#ifndef MESHANICS_TESTS_REPO_FIXTURE_H
#define MESHANICS_TESTS_REPO_FIXTURE_H

#include <fcntl.h>
#include <unistd.h>

#include "sys/file.h"
#include "tuf/ceremony.h"
#include "tuf/publish.h"

#define FIX_NOW INT64_C(4000000000)	/* 2096 */
#define FIX_DAY INT64_C(86400)
#define FIX_FILE_MAX (1u << 20)

#define MUST(call)                                                                             \
	do {                                                                                   \
		if ((call) < 0) {                                                              \
			printf("# %s:%d: %s: %s\n", __FILE__, __LINE__, #call, err.text);      \
			fflush(stdout);                                                        \
			exit(1);                                                               \
		}                                                                              \
	} while (0)

/* The call fails with this kind, and says this. */
#define REFUSED(call, kind_, says)                                                             \
	do {                                                                                   \
		err = ERROR_INIT;                                                              \
		CHECK_INT((call), -1);                                                         \
		CHECK_INT(err.kind, kind_);                                                    \
		if (strstr(err.text, says) == NULL) {                                          \
			printf("# %s:%d: \"%s\" is not in \"%s\"\n", __FILE__, __LINE__, says, \
			       err.text);                                                      \
			tap_failures++;                                                        \
		}                                                                              \
	} while (0)

struct fixture {
	char home[64];
	struct seckey *root[3], *targets[2];
	struct ceremony_signer root_signers[3], targets_signers[2];
	struct online_keys online;
	struct ceremony_plan plan;
	struct buf root_file, targets_file;
};

static inline struct seckey *fix_key(struct ceremony_signer *s, const char *label)
{
	struct error err = ERROR_INIT;
	struct seckey *k = seckey_generate(KEY_ED25519, &err);

	REQUIRE(k != NULL);
	snprintf(s->label, sizeof(s->label), "%s", label);
	s->key = *seckey_public(k);
	return k;
}

/* A home with a fresh repository and a plan for its ceremony: 2 of 3 root, 1 of 2 targets. */
static inline void fix_start_bins(struct fixture *f, const char *site, unsigned bins)
{
	static const char *const names[] = {"alice", "bob", "carol", "dora", "emil"};
	static const uint8_t nonce[16] = {1, 2, 3};
	struct error err = ERROR_INIT;
	struct buf text = BUF_INIT(ONLINE_KEYS_SIZE_MAX);
	struct repo_publisher publisher;
	struct repo_init_options options = {
		.site = site, .lives = REPO_LIVES_DEFAULT, .publishers = &publisher, .publisher_count = 1, .bins = bins,
		.now_s = FIX_NOW};
	unsigned i;

	memset(f, 0, sizeof(*f));
	MUST(crypto_start(&err));
	/* Where there is memory to write to: these tests sync a lot, and check no disk. */
	snprintf(f->home, sizeof(f->home), "%s/meshanics-test.XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	REQUIRE(mkdtemp(f->home) != NULL);
	MUST(publisher_parse_word(&publisher, "releases:plant/*/*", &err));
	MUST(repo_init(f->home, &options, &text, &err));
	MUST(online_keys_parse(&f->online, buf_slice(&text), &err));
	for (i = 0; i < 3; i++)
		f->root[i] = fix_key(&f->root_signers[i], names[i]);
	for (i = 0; i < 2; i++)
		f->targets[i] = fix_key(&f->targets_signers[i], names[3 + i]);
	f->plan = (struct ceremony_plan){.online = &f->online,
					 .root_signers = f->root_signers,
					 .targets_signers = f->targets_signers,
					 .root_count = 3,
					 .targets_count = 2,
					 .root_threshold = 2,
					 .targets_threshold = 1,
					 .root_life_s = 365 * FIX_DAY,
					 .targets_life_s = 180 * FIX_DAY,
					 .now_s = FIX_NOW,
					 .nonce = nonce};
	f->root_file = f->targets_file = BUF_INIT(FIX_FILE_MAX);
	repo_publisher_release(&publisher);
	buf_release(&text);
}

static inline void fix_start(struct fixture *f, const char *site)
{
	fix_start_bins(f, site, 0);
}

static inline struct ceremony *fix_request(struct fixture *f)
{
	struct buf text = BUF_INIT(CEREMONY_REQUEST_MAX);
	struct error err = ERROR_INIT;
	struct ceremony *c;

	MUST(ceremony_new(&text, &f->plan, &err));
	c = ceremony_parse(buf_slice(&text), &err);
	REQUIRE(c != NULL);
	buf_release(&text);
	return c;
}

static inline void fix_answer(struct ceremony *c, const struct seckey *k, int64_t now_s)
{
	struct buf text = BUF_INIT(CEREMONY_ANSWER_MAX);
	struct error err = ERROR_INIT;

	MUST(ceremony_sign(&text, c, k, now_s, NULL, &err));
	MUST(ceremony_add_answer(c, buf_slice(&text), NULL, &err));
	buf_release(&text);
}

/* The whole ceremony: root.json and targets.json in root_file and targets_file. */
static inline void fix_ceremony(struct fixture *f)
{
	struct ceremony *c = fix_request(f);
	struct error err = ERROR_INIT;

	fix_answer(c, f->root[0], FIX_NOW);
	fix_answer(c, f->root[2], FIX_NOW);
	fix_answer(c, f->targets[1], FIX_NOW);
	buf_clear(&f->root_file);
	buf_clear(&f->targets_file);
	MUST(ceremony_finish(c, 0, FIX_NOW, &f->root_file, &err));
	MUST(ceremony_finish(c, 1, FIX_NOW, &f->targets_file, &err));
	ceremony_free(c);
}

/* The next targets under the same root, with what d says added; targets_file is replaced. */
static inline void fix_delegate(struct fixture *f, struct ceremony_delegation *d)
{
	static const uint8_t nonce[16] = {9};
	struct buf text = BUF_INIT(CEREMONY_REQUEST_MAX);
	struct error err = ERROR_INIT;
	struct ceremony *c;

	d->root = buf_slice(&f->root_file);
	d->targets = buf_slice(&f->targets_file);
	d->nonce = nonce;
	d->life_s = 180 * FIX_DAY;
	d->now_s = d->now_s == 0 ? FIX_NOW : d->now_s;
	MUST(ceremony_delegate(&text, d, &err));
	c = ceremony_parse(buf_slice(&text), &err);
	REQUIRE(c != NULL);
	fix_answer(c, f->targets[0], d->now_s);
	buf_clear(&f->targets_file);
	MUST(ceremony_finish(c, 0, d->now_s, &f->targets_file, &err));
	ceremony_free(c);
	buf_release(&text);
}

static inline struct repo *fix_open(struct fixture *f)
{
	struct error err = ERROR_INIT;
	struct repo *r = repo_open(f->home, &err);

	if (r == NULL)
		printf("# repo_open: %s\n", err.text);
	REQUIRE(r != NULL);
	return r;
}

/* Root and targets of the fixture into force. */
static inline int fix_adopt(struct fixture *f, struct repo *r, int64_t now_s, struct error *err)
{
	const struct slice files[] = {buf_slice(&f->targets_file), buf_slice(&f->root_file)};
	struct repo_adoption out;

	return repo_adopt(r, files, 2, now_s, &out, err);
}

/* Everything up to a repository in force, with hash bins (0: without). */
static inline struct repo *fix_repo_bins(struct fixture *f, unsigned bins)
{
	struct error err = ERROR_INIT;
	struct repo *r;

	fix_start_bins(f, "main", bins);
	fix_ceremony(f);
	r = fix_open(f);
	MUST(fix_adopt(f, r, FIX_NOW, &err));
	return r;
}

static inline struct repo *fix_repo(struct fixture *f)
{
	return fix_repo_bins(f, 0);
}

static inline void fix_end(struct fixture *f)
{
	struct error err = ERROR_INIT;
	unsigned i;

	for (i = 0; i < 3; i++)
		seckey_free(f->root[i]);
	for (i = 0; i < 2; i++)
		seckey_free(f->targets[i]);
	online_keys_release(&f->online);
	buf_release(&f->root_file);
	buf_release(&f->targets_file);
	CHECK_INT(file_remove_tree(AT_FDCWD, f->home, &err), 0);
}

/* Stage `content` and describe it as the next version of a path. */
static inline int fix_stage(const struct repo *r, const char *content, struct publish_blob *blob, struct error *err)
{
	FILE *tmp = tmpfile();
	int ret;

	REQUIRE(tmp != NULL);
	fputs(content, tmp);
	fflush(tmp);
	ret = publish_stage_file(repo_dirfd(r), fileno(tmp), blob, NULL, NULL, NULL, err);
	fclose(tmp);
	return ret;
}

/* The next file of `releases` with one target added (or withdrawn), signed by the box's own key. */
static inline int fix_build(struct fixture *f, const struct repo *r, const struct publish_change *change, int64_t now_s,
			    struct buf *out, bool *unchanged, struct error *err)
{
	const struct repo_role *role = repo_role_find(r, SLICE_LIT("releases"));
	struct publish_terms terms = {.now_s = now_s, .life_s = 90 * FIX_DAY, .last_version = role->version};
	struct tuf_signer signer;
	struct seckey *k;
	char path[128];
	int ret;

	snprintf(path, sizeof(path), "%s/repo/keys/releases.key", f->home);
	k = keyfile_open(AT_FDCWD, path, SLICE_EMPTY, err);
	REQUIRE(k != NULL);
	tuf_signer_init(&signer, k);
	terms.signers = &signer;
	terms.signer_count = 1;
	ret = publish_build(out, buf_slice(&role->text), change, 1, &terms, unchanged, err);
	seckey_free(k);
	return ret;
}

/* All three steps for one small artifact. */
static inline int fix_publish(struct fixture *f, struct repo *r, const char *path, const char *content, int64_t release,
			      int64_t now_s, struct error *err)
{
	struct descriptor d = {.kind = PAYLOAD_FILE, .release = release, .placement.mode = DESCRIPTOR_MODE_DEFAULT};
	struct publish_change change = {.path = path, .descriptor = &d};
	struct buf file = BUF_INIT(PUBLISH_FILE_MAX);
	struct publish_result result;
	struct publish_blob blob;
	int ret = -1;

	if (fix_stage(r, content, &blob, err) < 0)
		return -1;
	change.length = blob.len;
	memcpy(change.sha256, blob.sha256, SHA256_LEN);
	if (fix_build(f, r, &change, now_s, &file, NULL, err) == 0)
		ret = publish_commit(r, SLICE_LIT("releases"), repo_role_find(r, SLICE_LIT("releases"))->version,
				     buf_slice(&file), now_s, &result, err);
	buf_release(&file);
	return ret;
}

#endif
