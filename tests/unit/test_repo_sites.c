/* Sites beside the first: the ceremony that makes their roots, and the repository that keeps them. */
#include "tap.h"

#include "repo_fixture.h"
#include "sys/fault.h"
#include "tuf/engine.h"
#include "tuf/repo_sites.h"
#include "tuf/verify.h"

/* ---- ceremonies under the offline keys of headquarters ---- */

/* Two of the root signers answer the request; the root goes to out. */
static int sign_root(const struct fixture *hq, struct slice request, int64_t now_s, struct buf *out, struct error *err)
{
	struct ceremony *c = ceremony_parse(request, err);
	int r = -1;

	if (c == NULL)
		return -1;
	fix_answer(c, hq->root[0], now_s);
	fix_answer(c, hq->root[1], now_s);
	if (ceremony_document_count(c) == 2)
		fix_answer(c, hq->targets[0], now_s);
	r = ceremony_finish(c, 0, now_s, out, err);
	ceremony_free(c);
	return r;
}

static int request_site(const struct fixture *hq, struct fixture *site, struct buf *out, struct error *err)
{
	static const uint8_t nonce[16] = {4, 5};
	const struct ceremony_plan plan = {.online = &site->online,
					   .like = buf_slice(&hq->root_file),
					   .root_life_s = 365 * FIX_DAY,
					   .now_s = FIX_NOW,
					   .nonce = nonce};

	return ceremony_new(out, &plan, err);
}

/* The first root of a site, made like headquarters' own, into site->root_file. */
static int make_site(const struct fixture *hq, struct fixture *site, struct error *err)
{
	struct buf request = BUF_INIT(CEREMONY_REQUEST_MAX);
	int r = request_site(hq, site, &request, err);

	buf_clear(&site->root_file);
	if (r == 0)
		r = sign_root(hq, buf_slice(&request), FIX_NOW, &site->root_file, err);
	buf_release(&request);
	return r;
}

/* The root after `from`; with like, its keys as that one has them. */
static int next_root(const struct fixture *hq, struct slice from, struct slice like, struct buf *out, struct error *err)
{
	static const uint8_t nonce[16] = {6};
	struct buf request = BUF_INIT(CEREMONY_REQUEST_MAX);
	const struct ceremony_rotation rotation = {
		.next = {.root = from, .life_s = FIX_DAY, .now_s = FIX_NOW, .nonce = nonce},
		.root_life_s = 400 * FIX_DAY,
		.like = like};
	int r = ceremony_rotate(&request, &rotation, err);

	if (r == 0)
		r = sign_root(hq, buf_slice(&request), FIX_NOW, out, err);
	buf_release(&request);
	return r;
}

/* Headquarters in force, and a site whose first root is made. */
struct pair {
	struct fixture hq, depot;
	struct repo *r;		/* of headquarters */
};

static void pair_start(struct pair *p)
{
	struct error err = ERROR_INIT;

	p->r = fix_repo(&p->hq);
	fix_start(&p->depot, "depot-7");
	MUST(make_site(&p->hq, &p->depot, &err));
}

static void pair_end(struct pair *p)
{
	repo_free(p->r);
	fix_end(&p->hq);
	fix_end(&p->depot);
}

static int adopt1(struct repo *r, const struct buf *file, struct repo_adoption *out, struct error *err)
{
	const struct slice s = buf_slice(file);

	return repo_adopt(r, &s, 1, FIX_NOW, out, err);
}

static int64_t newest(const struct repo *r, const char *site)
{
	struct error err = ERROR_INIT;
	int64_t n;

	MUST(repo_site_newest(repo_dirfd(r), site, &n, &err));
	return n;
}

/* ---- ceremonies ---- */

TEST(a_site_s_root_has_the_keys_of_the_other_and_its_own_online_keys)
{
	struct error err = ERROR_INIT;
	struct tuf_root *a, *b;
	struct pair p;

	pair_start(&p);
	a = tuf_root_parse(buf_slice(&p.hq.root_file), &err);
	b = tuf_root_parse(buf_slice(&p.depot.root_file), &err);
	REQUIRE(a != NULL && b != NULL);
	CHECK_STR(b->site, "depot-7");
	CHECK_INT(b->head.version, 1);
	CHECK(tuf_role_same(&a->roles[TUF_ROOT], &b->roles[TUF_ROOT]));
	CHECK(tuf_role_same(&a->roles[TUF_TARGETS], &b->roles[TUF_TARGETS]));
	CHECK(tuf_keys_same(&a->export_keys, &b->export_keys) && b->export_keys.count == 1);
	CHECK(pubkey_equal(&b->roles[TUF_SNAPSHOT].keys.list[0].pub, &p.depot.online.snapshot));
	CHECK(pubkey_equal(&b->roles[TUF_TIMESTAMP].keys.list[0].pub, &p.depot.online.timestamp));
	CHECK(pubkey_equal(&b->site_keys.list[0].pub, p.depot.online.record_site));
	CHECK(tuf_root_rotates_timestamp(a, b));
	tuf_root_free(a);
	tuf_root_free(b);
	pair_end(&p);
}

TEST(a_request_like_another_root_says_so_and_takes_no_other_keys)
{
	struct buf request = BUF_INIT(CEREMONY_REQUEST_MAX), text = BUF_INIT(1u << 20), bad = BUF_INIT(CEREMONY_REQUEST_MAX);
	struct error err = ERROR_INIT;
	struct ceremony *c;
	struct pair p;

	pair_start(&p);
	MUST(request_site(&p.hq, &p.depot, &request, &err));
	c = ceremony_parse(buf_slice(&request), &err);
	REQUIRE(c != NULL);
	CHECK_STR(ceremony_like(c), "main");
	CHECK_INT(ceremony_document_count(c), 1);
	CHECK(ceremony_unconfirmed(c, CEREMONY_LIKE) && !ceremony_unconfirmed(c, CEREMONY_ROOT));
	ceremony_statement(&text, c, FIX_NOW);
	CHECK(strstr(buf_cstr(&text), "takes the targets of site 'main' as they are") != NULL);
	CHECK(strstr(buf_cstr(&text), "NOTE: nothing here has checked") != NULL);
	REFUSED(ceremony_confirm(c, CEREMONY_LIKE, buf_slice(&p.depot.root_file), &err), ERR_REFUSED, "another root");
	REFUSED(ceremony_confirm(c, CEREMONY_ROOT, buf_slice(&p.hq.root_file), &err), ERR_USAGE, "no root in force");
	MUST(ceremony_confirm(c, CEREMONY_LIKE, buf_slice(&p.hq.root_file), &err));
	buf_clear(&text);
	ceremony_statement(&text, c, FIX_NOW);
	CHECK(strstr(buf_cstr(&text), "by your own copy") != NULL);
	CHECK(strstr(buf_cstr(&text), "NOTE: nothing here has checked") == NULL);
	ceremony_free(c);
	/* A threshold of its own, under the name of the other. */
	buf_put_slice(&bad, buf_slice(&request));
	REQUIRE(strstr(buf_cstr(&bad), "\"threshold\": 2") != NULL);
	memcpy(strstr((char *)bad.ptr, "\"threshold\": 2"), "\"threshold\": 1", 14);
	err = ERROR_INIT;
	CHECK(ceremony_parse(buf_slice(&bad), &err) == NULL);
	CHECK(strstr(err.text, "are not those of root 1 of site 'main'") != NULL);
	buf_release(&request);
	buf_release(&text);
	buf_release(&bad);
	pair_end(&p);
}

TEST(a_request_like_another_root_is_refused_where_it_makes_no_sense)
{
	static const uint8_t nonce[16] = {4, 5};
	struct buf out = BUF_INIT(CEREMONY_REQUEST_MAX);
	struct error err = ERROR_INIT;
	struct ceremony_plan plan = {.root_life_s = FIX_DAY, .now_s = FIX_NOW, .nonce = nonce};
	struct pubkey own;
	struct pair p;

	pair_start(&p);
	plan.online = &p.hq.online;
	plan.like = buf_slice(&p.hq.root_file);
	REFUSED(ceremony_new(&out, &plan, &err), ERR_REFUSED, "holds an export key");
	plan.online = &p.depot.online;
	plan.like = buf_slice(&p.depot.root_file);
	REFUSED(ceremony_new(&out, &plan, &err), ERR_REFUSED, "of site 'depot-7' itself");
	plan.like = buf_slice(&p.hq.targets_file);
	REFUSED(ceremony_new(&out, &plan, &err), ERR_MALFORMED, "root to make it like");
	plan.like = buf_slice(&p.hq.root_file);
	plan.root_signers = p.hq.root_signers;
	plan.root_count = 1;
	REFUSED(ceremony_new(&out, &plan, &err), ERR_USAGE, "signers and publishers");
	plan.root_count = 0;
	plan.rehearsal = true;
	REFUSED(ceremony_new(&out, &plan, &err), ERR_USAGE, "not rehearsed");
	plan.rehearsal = false;
	plan.root_life_s = 0;
	REFUSED(ceremony_new(&out, &plan, &err), ERR_USAGE, "root lives");
	plan.root_life_s = FIX_DAY;
	plan.now_s = FIX_NOW + 366 * FIX_DAY;
	REFUSED(ceremony_new(&out, &plan, &err), ERR_REFUSED, "expired");
	plan.now_s = FIX_NOW;
	/* The box of headquarters under another name. */
	own = p.depot.online.snapshot;
	p.depot.online.snapshot = p.hq.online.timestamp;
	REFUSED(ceremony_new(&out, &plan, &err), ERR_REFUSED, "online key of site 'main'");
	p.depot.online.snapshot = own;
	own = p.depot.online.record_site[0];
	p.depot.online.record_site[0] = p.hq.online.record_site[0];
	REFUSED(ceremony_new(&out, &plan, &err), ERR_REFUSED, "receipts");
	p.depot.online.record_site[0] = own;
	buf_release(&out);
	pair_end(&p);
}

/* Headquarters changes its targets keys; the site's next root alone follows. */
TEST(the_next_root_of_a_site_follows_new_keys_of_headquarters)
{
	static const uint8_t nonce[16] = {7};
	struct buf request = BUF_INIT(CEREMONY_REQUEST_MAX), hq2 = BUF_INIT(FIX_FILE_MAX), hq_targets2 = BUF_INIT(FIX_FILE_MAX),
		   depot2 = BUF_INIT(FIX_FILE_MAX);
	struct ceremony_signer fresh;
	struct repo_site_info info;
	struct repo_adoption out;
	struct error err = ERROR_INIT;
	struct seckey *fresh_key;
	struct ceremony_removal gone[2];
	struct ceremony_rotation rotation = {
		.next = {.life_s = 180 * FIX_DAY, .now_s = FIX_NOW, .nonce = nonce},
		.root_life_s = 365 * FIX_DAY, .targets_added = &fresh, .targets_added_count = 1,
		.removed = gone, .removed_count = 2};
	struct slice files[2];
	struct ceremony *c;
	struct pair p;
	unsigned i;

	pair_start(&p);
	fresh_key = fix_key(&fresh, "fred");
	for (i = 0; i < 2; i++)
		gone[i] = (struct ceremony_removal){.key = &p.hq.targets_signers[i].key, .said = "t", .roles = CEREMONY_TARGETS};
	MUST(adopt1(p.r, &p.depot.root_file, &out, &err));
	repo_adoption_release(&out);
	MUST(repo_site_look(p.r, "depot-7", &info, &err));
	CHECK(info.takes_targets && info.takes_bundles && info.root_version == 1);
	rotation.next.root = buf_slice(&p.hq.root_file);
	rotation.next.targets = buf_slice(&p.hq.targets_file);
	MUST(ceremony_rotate(&request, &rotation, &err));
	c = ceremony_parse(buf_slice(&request), &err);
	REQUIRE(c != NULL);
	fix_answer(c, p.hq.root[0], FIX_NOW);
	fix_answer(c, p.hq.root[1], FIX_NOW);
	fix_answer(c, fresh_key, FIX_NOW);
	MUST(ceremony_finish(c, 0, FIX_NOW, &hq2, &err));
	MUST(ceremony_finish(c, 1, FIX_NOW, &hq_targets2, &err));
	ceremony_free(c);
	files[0] = buf_slice(&hq2);
	files[1] = buf_slice(&hq_targets2);
	MUST(repo_adopt(p.r, files, 2, FIX_NOW, &out, &err));
	MUST(repo_site_look(p.r, "depot-7", &info, &err));
	CHECK(!info.takes_targets && info.takes_bundles);
	/* Alone, without --like, the targets keys do not change without targets. */
	rotation.next.root = buf_slice(&p.depot.root_file);
	rotation.next.targets = SLICE_EMPTY;
	REFUSED(ceremony_rotate(&request, &rotation, &err), ERR_USAGE, "targets has to be signed anew");
	rotation.like = buf_slice(&hq2);
	REFUSED(ceremony_rotate(&request, &rotation, &err), ERR_USAGE, "are those of site 'main'");
	MUST(next_root(&p.hq, buf_slice(&p.depot.root_file), buf_slice(&hq2), &depot2, &err));
	MUST(adopt1(p.r, &depot2, &out, &err));
	CHECK_INT(out.sites[0].root_version, 2);
	repo_adoption_release(&out);
	MUST(repo_site_look(p.r, "depot-7", &info, &err));
	CHECK(info.takes_targets && info.root_version == 2 && info.expires_s == FIX_NOW + 400 * FIX_DAY);
	seckey_free(fresh_key);
	buf_release(&request);
	buf_release(&hq2);
	buf_release(&hq_targets2);
	buf_release(&depot2);
	pair_end(&p);
}

/* ---- adoption ---- */

TEST(headquarters_keeps_the_chain_of_a_site)
{
	struct buf second = BUF_INIT(FIX_FILE_MAX), third = BUF_INIT(FIX_FILE_MAX), back = BUF_INIT(FIX_FILE_MAX);
	struct repo_check check = {.now_s = FIX_NOW};
	struct repo_adoption out;
	struct error err = ERROR_INIT;
	struct slice files[3];
	struct pair p;

	pair_start(&p);
	MUST(next_root(&p.hq, buf_slice(&p.depot.root_file), SLICE_EMPTY, &second, &err));
	MUST(next_root(&p.hq, buf_slice(&second), SLICE_EMPTY, &third, &err));
	CHECK_INT(newest(p.r, "depot-7"), 0);
	REFUSED(repo_site_root_read(repo_dirfd(p.r), "depot-7", 1, &back, &err), ERR_NOT_FOUND, "is not kept here");
	MUST(adopt1(p.r, &p.depot.root_file, &out, &err));
	CHECK(!out.own && out.site_count == 1 && out.sites[0].roots == 1 && out.sites[0].root_version == 1);
	CHECK_STR(out.sites[0].site, "depot-7");
	CHECK_INT(out.root_version, 1);
	repo_adoption_release(&out);
	REFUSED(adopt1(p.r, &third, &out, &err), ERR_REFUSED, "root 3 of site 'depot-7'");
	files[0] = buf_slice(&third);
	files[1] = buf_slice(&second);
	files[2] = buf_slice(&p.depot.root_file);
	MUST(repo_adopt(p.r, files, 3, FIX_NOW, &out, &err));
	CHECK(out.sites[0].roots == 2 && out.sites[0].root_version == 3);
	repo_adoption_release(&out);
	MUST(repo_adopt(p.r, files, 3, FIX_NOW, &out, &err));
	CHECK(out.sites[0].roots == 0 && out.sites[0].root_version == 3);
	repo_adoption_release(&out);
	CHECK_INT(newest(p.r, "depot-7"), 3);
	MUST(repo_site_root_read(repo_dirfd(p.r), "depot-7", 2, &back, &err));
	CHECK(slice_equal(buf_slice(&back), buf_slice(&second)));
	MUST(repo_verify(p.hq.home, &check, &err));
	CHECK(check.sites == 1 && check.site_roots == 3);
	/* The repository itself is as it was. */
	CHECK_INT(repo_root(p.r)->head.version, 1);
	CHECK_STR(repo_root(p.r)->site, "main");
	repo_free(p.r);
	p.r = fix_open(&p.hq);
	CHECK_INT(newest(p.r, "depot-7"), 3);
	buf_release(&second);
	buf_release(&third);
	buf_release(&back);
	pair_end(&p);
}

TEST(the_first_root_of_a_site_must_come_from_our_own_ceremony)
{
	struct repo_adoption out;
	struct error err = ERROR_INIT;
	struct fixture other;
	struct seckey *mine;
	struct ceremony_signer signer;
	struct pair p;

	pair_start(&p);
	/* Of other people. */
	fix_start(&other, "depot-8");
	other.plan.export_keys = p.hq.online.record_export;
	other.plan.export_count = 1;
	fix_ceremony(&other);
	REFUSED(adopt1(p.r, &other.root_file, &out, &err), ERR_REFUSED, "by this repository's root keys: signed by 0 of the 2");
	CHECK(strstr(err.hint, "ceremony new --like") != NULL);
	CHECK(out.sites == NULL);
	/* Of ours, with one foreign targets key. */
	mine = other.targets[0];
	signer = other.targets_signers[0];
	memcpy(other.root_signers, p.hq.root_signers, sizeof(other.root_signers));
	memcpy(other.targets_signers, p.hq.targets_signers, sizeof(other.targets_signers));
	for (unsigned i = 0; i < 3; i++) {
		seckey_free(other.root[i]);
		other.root[i] = p.hq.root[i];
	}
	seckey_free(other.targets[1]);
	other.targets[1] = p.hq.targets[1];
	other.targets_signers[0] = signer;
	fix_ceremony(&other);
	REFUSED(adopt1(p.r, &other.root_file, &out, &err), ERR_REFUSED, "keys of targets are not those");
	/* With the right ones, and without the key that signs bundles. */
	other.targets_signers[0] = p.hq.targets_signers[0];
	other.plan.export_count = 0;
	other.targets[0] = p.hq.targets[0];
	fix_ceremony(&other);
	REFUSED(adopt1(p.r, &other.root_file, &out, &err), ERR_REFUSED, "export key");
	other.plan.export_count = 1;
	other.online.snapshot = p.hq.online.snapshot;
	fix_ceremony(&other);
	REFUSED(adopt1(p.r, &other.root_file, &out, &err), ERR_REFUSED, "its snapshot key is that of this repository");
	CHECK_INT(newest(p.r, "depot-8"), 0);
	seckey_free(mine);
	for (unsigned i = 0; i < 3; i++)
		other.root[i] = NULL;
	other.targets[0] = other.targets[1] = NULL;
	fix_end(&other);
	pair_end(&p);
}

TEST(a_later_root_of_a_site_must_follow_the_one_kept)
{
	struct buf fork = BUF_INIT(FIX_FILE_MAX), second = BUF_INIT(FIX_FILE_MAX), one = BUF_INIT(FIX_FILE_MAX);
	struct repo_adoption out;
	struct error err = ERROR_INIT;
	struct fixture again;
	struct pair p;

	pair_start(&p);
	fix_start(&again, "depot-7");
	MUST(make_site(&p.hq, &again, &err));
	MUST(adopt1(p.r, &p.depot.root_file, &out, &err));
	repo_adoption_release(&out);
	REFUSED(adopt1(p.r, &again.root_file, &out, &err), ERR_REFUSED, "another root of version 1 is kept");
	MUST(next_root(&p.hq, buf_slice(&again.root_file), SLICE_EMPTY, &fork, &err));
	/* Signed by the same offline keys, it is a successor as well: what a box signs with is the ceremony's say. */
	MUST(next_root(&p.hq, buf_slice(&p.depot.root_file), SLICE_EMPTY, &second, &err));
	buf_put_slice(&one, buf_slice(&second));
	memcpy(strstr((char *)one.ptr, "\"sig\""), "\"sog\"", 5);
	REFUSED(adopt1(p.r, &one, &out, &err), ERR_MALFORMED, "file 1");
	CHECK_INT(newest(p.r, "depot-7"), 1);
	MUST(adopt1(p.r, &second, &out, &err));
	repo_adoption_release(&out);
	REFUSED(adopt1(p.r, &fork, &out, &err), ERR_REFUSED, "another root of version 2 is kept");
	buf_release(&fork);
	buf_release(&second);
	buf_release(&one);
	fix_end(&again);
	pair_end(&p);
}

TEST(own_files_and_those_of_sites_come_together_or_not_at_all)
{
	struct buf second = BUF_INIT(FIX_FILE_MAX);
	struct repo_adoption out;
	struct error err = ERROR_INIT;
	struct slice files[3];
	struct pair p;

	pair_start(&p);
	MUST(next_root(&p.hq, buf_slice(&p.hq.root_file), SLICE_EMPTY, &second, &err));
	/* The site's root is damaged: the own one does not come either. */
	files[0] = buf_slice(&second);
	files[1] = buf_slice(&p.depot.targets_file);
	files[2] = slice_sub(buf_slice(&p.depot.root_file), 0, p.depot.root_file.len - 4);
	REFUSED(repo_adopt(p.r, files, 3, FIX_NOW, &out, &err), ERR_MALFORMED, "file");
	CHECK(repo_root(p.r)->head.version == 1 && newest(p.r, "depot-7") == 0);
	/* The own one is: the site's does not come. */
	files[0] = buf_slice(&p.depot.root_file);
	files[1] = slice_sub(buf_slice(&second), 0, second.len - 4);
	REFUSED(repo_adopt(p.r, files, 2, FIX_NOW, &out, &err), ERR_MALFORMED, "file 2");
	CHECK(repo_root(p.r)->head.version == 1 && newest(p.r, "depot-7") == 0);
	files[1] = buf_slice(&second);
	MUST(repo_adopt(p.r, files, 2, FIX_NOW, &out, &err));
	CHECK(out.own && out.roots == 1 && out.root_version == 2 && out.sites[0].roots == 1);
	repo_adoption_release(&out);
	CHECK(repo_root(p.r)->head.version == 2 && newest(p.r, "depot-7") == 1);
	/* Before there is an own root, nobody's is kept. */
	repo_free(p.r);
	fix_end(&p.hq);
	fix_start(&p.hq, "main");
	p.r = fix_open(&p.hq);
	REFUSED(adopt1(p.r, &p.depot.root_file, &out, &err), ERR_REFUSED, "this root is for site 'depot-7'");
	buf_release(&second);
	pair_end(&p);
}

/* ---- nobody crosses ---- */

#define SITES 3

/* Under one set of offline keys: headquarters and two depots, each with a second root. */
struct realm {
	struct fixture f[SITES];
	struct repo *r[SITES];
	struct buf second[SITES];
};

static void realm_start(struct realm *m)
{
	static const char *const names[SITES] = {"main", "depot-7", "depot-8"};
	struct error err = ERROR_INIT;
	struct repo_adoption out;
	unsigned i;

	for (i = 0; i < SITES; i++) {
		m->second[i] = BUF_INIT(FIX_FILE_MAX);
		fix_start(&m->f[i], names[i]);
		if (i == 0)
			fix_ceremony(&m->f[0]);
		else
			MUST(make_site(&m->f[0], &m->f[i], &err));
		MUST(next_root(&m->f[0], buf_slice(&m->f[i].root_file), SLICE_EMPTY, &m->second[i], &err));
		m->r[i] = fix_open(&m->f[i]);
		MUST(repo_adopt(m->r[i],
				(const struct slice[]){buf_slice(&m->f[i].root_file), buf_slice(&m->f[0].targets_file)}, 2,
				FIX_NOW, &out, &err));
	}
}

static void realm_end(struct realm *m)
{
	unsigned i;

	for (i = 0; i < SITES; i++) {
		repo_free(m->r[i]);
		fix_end(&m->f[i]);
		buf_release(&m->second[i]);
	}
}

TEST(every_root_fed_to_every_other_site_is_refused)
{
	struct error err = ERROR_INIT;
	struct repo_adoption out;
	struct realm m;
	unsigned i, k;

	realm_start(&m);
	/* A depot takes nobody's root but its own, be it the first or the second, alone or among its own. */
	for (i = 1; i < SITES; i++) {
		for (k = 0; k < SITES; k++) {
			const struct slice mixed[] = {buf_slice(&m.second[i]), buf_slice(&m.second[k])};

			if (k == i)
				continue;
			REFUSED(adopt1(m.r[i], &m.f[k].root_file, &out, &err), ERR_REFUSED, "this root is for site");
			REFUSED(adopt1(m.r[i], &m.second[k], &out, &err), ERR_REFUSED, "this root is for site");
			REFUSED(repo_adopt(m.r[i], mixed, 2, FIX_NOW, &out, &err), ERR_REFUSED, "this root is for site");
			CHECK_INT(repo_root(m.r[i])->head.version, 1);
			CHECK_INT(newest(m.r[i], m.f[k].online.site), 0);
		}
	}
	/* Headquarters keeps them, each under its own name, and none takes the place of another's, or of its own. */
	for (k = 1; k < SITES; k++) {
		MUST(adopt1(m.r[0], &m.f[k].root_file, &out, &err));
		repo_adoption_release(&out);
		MUST(adopt1(m.r[0], &m.second[k], &out, &err));
		repo_adoption_release(&out);
		CHECK_INT(repo_root(m.r[0])->head.version, 1);
		CHECK_STR(repo_root(m.r[0])->site, "main");
	}
	realm_end(&m);
}

/* As a device does: an anchor, and the next root that somebody offers. */
static int follow(const struct buf *anchor, const struct buf *next, bool *refused)
{
	const struct tuf_options options = {.mode = TUF_MODE_CLIENT, .clock_s = FIX_NOW};
	struct error err = ERROR_INIT;
	struct tuf_client *c = tuf_client_new(buf_slice(anchor), &options, &err);
	const struct tuf_want *w;
	int64_t version;

	REQUIRE(c != NULL);
	*refused = false;
	while ((w = tuf_client_want(c)) != NULL && strcmp(w->role, "root") == 0 && !*refused) {
		int64_t have = tuf_client_root(c)->head.version;
		struct buf bytes = BUF_INIT(TUF_ROOT_MAX);

		buf_put_slice(&bytes, buf_slice(next));

		err = ERROR_INIT;
		if (have == 1)
			*refused = tuf_client_feed(c, &bytes, &err) < 0;
		else if (tuf_client_absent(c, &err) < 0)
			have = 0;
		buf_release(&bytes);
		if (have == 0)
			break;
	}
	version = tuf_client_root(c)->head.version;
	tuf_client_free(c);
	return (int)version;
}

TEST(a_device_follows_the_roots_of_its_own_site_alone)
{
	struct realm m;
	bool refused;
	unsigned i, k;

	realm_start(&m);
	for (i = 0; i < SITES; i++) {
		for (k = 0; k < SITES; k++) {
			int version = follow(&m.f[i].root_file, &m.second[k], &refused);

			CHECK(refused == (i != k));
			CHECK_INT(version, i == k ? 2 : 1);
		}
	}
	realm_end(&m);
}

/* ---- damage ---- */

TEST(verify_finds_what_is_wrong_with_a_kept_chain)
{
	struct repo_check check = {.now_s = FIX_NOW};
	struct buf second = BUF_INIT(FIX_FILE_MAX);
	struct repo_adoption out;
	struct error err = ERROR_INIT;
	char path[256], other[256];
	struct fixture alien;
	struct pair p;

	pair_start(&p);
	MUST(next_root(&p.hq, buf_slice(&p.depot.root_file), SLICE_EMPTY, &second, &err));
	MUST(adopt1(p.r, &p.depot.root_file, &out, &err));
	repo_adoption_release(&out);
	MUST(adopt1(p.r, &second, &out, &err));
	repo_adoption_release(&out);
	MUST(repo_verify(p.hq.home, &check, &err));
	snprintf(path, sizeof(path), "%s/repo/sites/depot-7/1.root.json", p.hq.home);
	snprintf(other, sizeof(other), "%s/repo/sites/depot-8", p.hq.home);
	/* One in place of the other. */
	MUST(file_replace(AT_FDCWD, path, 0644, buf_slice(&second), &err));
	REFUSED(repo_verify(p.hq.home, &check, &err), ERR_REFUSED, "sites/depot-7/1.root.json: it has version 2");
	/* Of strangers. */
	fix_start(&alien, "depot-7");
	fix_ceremony(&alien);
	MUST(file_replace(AT_FDCWD, path, 0644, buf_slice(&alien.root_file), &err));
	REFUSED(repo_verify(p.hq.home, &check, &err), ERR_REFUSED, "have signed it");
	/* An empty directory is nobody's chain; a root of another site in it is. */
	MUST(file_replace(AT_FDCWD, path, 0644, buf_slice(&p.depot.root_file), &err));
	MUST(repo_verify(p.hq.home, &check, &err));
	MUST(file_mkdirs(AT_FDCWD, other, 0755, &err));
	MUST(repo_verify(p.hq.home, &check, &err));
	CHECK_INT(check.sites, 1);
	snprintf(other, sizeof(other), "%s/repo/sites/depot-8/1.root.json", p.hq.home);
	MUST(file_replace(AT_FDCWD, other, 0644, buf_slice(&p.depot.root_file), &err));
	REFUSED(repo_verify(p.hq.home, &check, &err), ERR_REFUSED, "it is for site 'depot-7'");
	buf_release(&second);
	fix_end(&alien);
	pair_end(&p);
}

#ifdef MESHANICS_TEST

static void copy_home(const char *from, const char *to)
{
	char command[256];

	snprintf(command, sizeof(command), "rm -rf %s && cp -a %s %s", to, from, to);
	REQUIRE(system(command) == 0);
}

/* Stop an adoption of an own root and a site's at every call that changes the disk: both are there, or none. */
static void walk(enum fault_mode mode)
{
	struct buf second = BUF_INIT(FIX_FILE_MAX);
	struct error err = ERROR_INIT;
	unsigned n, saw_old = 0, saw_new = 0;
	struct repo_adoption out;
	struct slice files[2];
	char image[80];
	struct pair p;

	pair_start(&p);
	MUST(next_root(&p.hq, buf_slice(&p.hq.root_file), SLICE_EMPTY, &second, &err));
	files[0] = buf_slice(&p.depot.root_file);
	files[1] = buf_slice(&second);
	repo_free(p.r);
	snprintf(image, sizeof(image), "%s.image", p.hq.home);
	copy_home(p.hq.home, image);
	for (n = 1;; n++) {
		int status;
		bool taken;
		pid_t pid;

		copy_home(image, p.hq.home);
		fflush(stdout);
		if ((pid = fork()) == 0) {
			struct repo *child = fix_open(&p.hq);

			fault_arm(n, mode);
			status = repo_adopt(child, files, 2, FIX_NOW + 1, &out, &err) < 0 ? 1 : 0;
			_exit(fault_count() < n ? 7 : status);
		}
		REQUIRE(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
		p.r = fix_open(&p.hq);
		taken = repo_root(p.r)->head.version == 2;
		CHECK_INT(newest(p.r, "depot-7"), taken ? 1 : 0);
		CHECK(WEXITSTATUS(status) != 0 || taken);
		saw_old += !taken;
		saw_new += taken;
		if (n % 4 == 0) {
			MUST(repo_adopt(p.r, files, 2, FIX_NOW + 2, &out, &err));
			repo_adoption_release(&out);
			CHECK_INT(newest(p.r, "depot-7"), 1);
		}
		repo_free(p.r);
		if (WEXITSTATUS(status) == 7)
			break;
		REQUIRE(n < 500);
	}
	CHECK(saw_old > 5 && saw_new > 1);
	REQUIRE(file_remove_tree(AT_FDCWD, image, &err) == 0);
	p.r = NULL;
	buf_release(&second);
	pair_end(&p);
}

TEST(an_adoption_of_two_sites_survives_an_error_at_every_call)
{
	walk(FAULT_ERROR);
}

TEST(an_adoption_of_two_sites_survives_a_power_cut_that_loses_names_too)
{
	walk(FAULT_CUTDIR);
}

#endif

