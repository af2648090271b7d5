/* Making bundles: what is planned, how it is cut into volumes, and that what is made wrongly is refused. */
#include "tap.h"

#include <sys/mman.h>

#include "base/encode.h"
#include "bundle/export.h"
#include "bundle/verify.h"
#include "site_fixture.h"

/* A bundle in memory, in as many files as it has volumes. */
#define VOLUMES_MAX 64
struct made {
	int fds[VOLUMES_MAX];
	const char *names[VOLUMES_MAX];
	char text[VOLUMES_MAX][16];
	unsigned count;
};

static int open_volume(void *arg, unsigned volume, struct error *err)
{
	struct made *m = arg;

	(void)err;
	REQUIRE(volume == m->count + 1 && volume <= VOLUMES_MAX);
	snprintf(m->text[m->count], sizeof(m->text[0]), "volume %u", volume);
	m->names[m->count] = m->text[m->count];
	m->fds[m->count] = memfd_create("volume", 0);
	REQUIRE(m->fds[m->count] >= 0);
	return dup(m->fds[m->count++]);
}

static int volume_done(void *arg, unsigned volume, int fd, struct error *err)
{
	struct made *m = arg;

	(void)err;
	REQUIRE(fd >= 0 && volume == m->count);
	return 0;
}

static void made_release(struct made *m)
{
	while (m->count > 0)
		close(m->fds[--m->count]);
}

static const struct bundle_witness audit = {.seq = 7, .hash = {1, 2, 3}};

/* From a plan to files; split 0: one. */
static int make(const struct bundle_plan *p, uint64_t split, struct made *out, struct error *err)
{
	const struct bundle_output o = {.split = split, .open = open_volume, .done = volume_done, .arg = out};
	struct buf signature = BUF_INIT(SSHSIG_SIZE_MAX);
	struct manifest m = MANIFEST_INIT;
	struct bundle_size size = {.volumes = 0};
	uint64_t bytes = 0;
	unsigned i;
	int r = -1;

	out->count = 0;
	if (bundle_plan_manifest(p, 3, &audit, &m, err) == 0 && bundle_plan_sign(p, &m, &signature, err) == 0 &&
	    bundle_measure(&m, signature.len, split, &size, err) == 0)
		r = bundle_write(p, &m, buf_slice(&signature), &o, err);
	for (i = 0; i < out->count; i++) {
		off_t len = lseek(out->fds[i], 0, SEEK_END);

		CHECK(split == 0 || (uint64_t)len <= split);
		bytes += (uint64_t)len;
		lseek(out->fds[i], 0, SEEK_SET);
	}
	if (r == 0) {
		CHECK_INT(out->count, size.volumes);
		CHECK_INT((int64_t)bytes, (int64_t)size.bytes);
	}
	manifest_release(&m);
	buf_release(&signature);
	return r;
}

static int verify_at(const struct made *m, struct slice anchor, int64_t now_s, struct bundle_verify *v, struct error *err)
{
	struct bundle_reader *r = bundle_reader_open_fds(m->fds, m->names, m->count, err);
	struct bundle_check c = BUNDLE_CHECK_INIT;
	int ret = -1;

	*v = (struct bundle_verify){.check = {.anchor = anchor, .any_kind = true, .now_s = now_s}};
	if (r != NULL)
		ret = bundle_verify(&c, r, v, err);
	bundle_reader_free(r);
	bundle_check_release(&c);
	return ret;
}

static int verify(const struct made *m, struct slice anchor, struct error *err)
{
	struct bundle_verify v;

	return verify_at(m, anchor, FIX_NOW, &v, err);
}

static int plan_of(struct sites *s, struct bundle_plan *p, struct bundle_export *e, struct error *err)
{
	*p = BUNDLE_PLAN_INIT;
	e->home = s->hq.home;
	e->now_s = e->now_s == 0 ? FIX_NOW : e->now_s;
	return bundle_plan_make(p, e, err);
}

/* Several artifacts, one of them twice under two names, one empty. */
static void publish(struct sites *s)
{
	static const char *const names[] = {"plant/plc/1", "plant/plc/2", "plant/web/1", "plant/web/2", "plant/nil/1"};
	static const char *const contents[] = {"one", "two", "two", "a web", ""};
	struct error err = ERROR_INIT;
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		MUST(fix_publish(&s->hq, s->r, names[i], contents[i], 1 + (int64_t)i, FIX_NOW + i, &err));
}

static void begin(struct sites *s)
{
	sites_start(s, 0);
	publish(s);
}

TEST(a_plan_has_every_content_once_in_the_order_of_the_format)
{
	struct bundle_export e = {.site = SITE_NAME};
	struct error err = ERROR_INIT;
	struct bundle_plan p;
	struct sites s;
	uint32_t i;

	begin(&s);
	MUST(plan_of(&s, &p, &e, &err));
	CHECK_INT(p.kind, BUNDLE_SITE);
	CHECK_STR(p.origin, "main");
	CHECK_INT(p.file_count, 3);
	CHECK_STR(p.files[0].name, "metadata/1.root.json");
	CHECK_STR(p.files[1].name, "metadata/1.targets.json");
	CHECK_STR(p.files[2].role, "releases");
	CHECK_INT(p.artifact_count, 4);
	for (i = 1; i < p.artifact_count; i++)
		CHECK(memcmp(p.artifacts[i - 1].sha256, p.artifacts[i].sha256, SHA256_LEN) < 0);
	CHECK(p.complete);
	CHECK_INT(p.members, 7);
	CHECK_STR(p.first, "releases");
	CHECK_INT(p.valid_until_s, FIX_NOW + BUNDLE_VALID_DEFAULT_S);
	bundle_plan_release(&p);
	bundle_plan_release(&p);
	sites_end(&s);
}

TEST(what_is_made_verifies_from_the_site_s_first_root_on)
{
	struct buf first = BUF_INIT(FIX_FILE_MAX);
	struct bundle_export e = {.site = SITE_NAME};
	struct error err = ERROR_INIT;
	struct bundle_verify v;
	struct bundle_plan p;
	struct made m;
	struct sites s;

	begin(&s);
	buf_put_slice(&first, buf_slice(&s.depot.root_file));
	sites_rotate(&s, 400 * FIX_DAY);
	sites_rotate(&s, 500 * FIX_DAY);
	MUST(plan_of(&s, &p, &e, &err));
	CHECK_INT(p.file_count, 5);
	CHECK_INT(p.versions.root, 3);
	MUST(make(&p, 0, &m, &err));
	MUST(verify_at(&m, buf_slice(&first), FIX_NOW, &v, &err));
	CHECK_INT(v.artifacts, 4);
	CHECK_INT(v.lacking, 0);
	MUST(verify_at(&m, buf_slice(&s.depot.root_file), FIX_NOW, &v, &err));
	REFUSED(verify(&m, buf_slice(&s.hq.root_file), &err), ERR_REFUSED, "for site 'depot-7', and the root here is that of 'main'");
	REFUSED(verify_at(&m, buf_slice(&first), FIX_NOW + BUNDLE_VALID_DEFAULT_S, &v, &err), ERR_REFUSED, "was valid until");
	MUST(verify_at(&m, buf_slice(&first), FIX_NOW + BUNDLE_VALID_DEFAULT_S - 1, &v, &err));
	MUST(verify_at(&m, buf_slice(&first), FIX_NOW - BUNDLE_CLOCK_AHEAD_S, &v, &err));
	REFUSED(verify_at(&m, buf_slice(&first), FIX_NOW - BUNDLE_CLOCK_AHEAD_S - 1, &v, &err), ERR_RETRY, "the clock here says");
	made_release(&m);
	bundle_plan_release(&p);
	buf_release(&first);
	sites_end(&s);
}

TEST(hash_bins_go_along)
{
	struct bundle_export e = {.site = SITE_NAME};
	struct error err = ERROR_INIT;
	struct bundle_verify v;
	struct bundle_plan p;
	struct made m;
	struct sites s;

	sites_start(&s, 16);
	MUST(plan_of(&s, &p, &e, &err));
	CHECK_INT(p.file_count, 3 + 16);
	MUST(make(&p, 0, &m, &err));
	MUST(verify_at(&m, buf_slice(&s.depot.root_file), FIX_NOW, &v, &err));
	made_release(&m);
	bundle_plan_release(&p);
	e.site = NULL;
	MUST(plan_of(&s, &p, &e, &err));
	CHECK_INT(p.kind, BUNDLE_DEVICE);
	CHECK_INT(p.file_count, 3 + 2 + 16);
	CHECK(p.shortened);
	CHECK_STR(p.first, "timestamp");
	MUST(make(&p, 0, &m, &err));
	MUST(verify_at(&m, buf_slice(&s.hq.root_file), FIX_NOW, &v, &err));
	made_release(&m);
	bundle_plan_release(&p);
	sites_end(&s);
}

/* ---- receipts ---- */

static void receipt_of(struct receipt *r, struct held *h, const struct bundle_plan *full, uint32_t held)
{
	static struct receipt_version versions[3];
	uint32_t i;

	snprintf(r->site, sizeof(r->site), SITE_NAME);
	memset(r->id, 9, SHA256_LEN);
	snprintf(versions[0].role, sizeof(versions[0].role), "root");
	versions[0].version = 1;
	snprintf(versions[1].role, sizeof(versions[1].role), "targets");
	versions[1].version = 1;
	snprintf(versions[2].role, sizeof(versions[2].role), "releases");
	versions[2].version = full->files[2].version;
	r->versions = versions;
	r->version_count = 3;
	h->list = xcalloc(held, SHA256_LEN);
	h->count = held;
	for (i = 0; i < held; i++)
		memcpy(h->list[i], full->artifacts[i].sha256, SHA256_LEN);
}

TEST(a_receipt_leaves_out_what_the_site_has)
{
	struct bundle_export e = {.site = SITE_NAME};
	struct receipt receipt = {.site = ""};
	struct error err = ERROR_INIT;
	struct held held = {NULL, 0};
	struct bundle_plan full, p;
	struct bundle_verify v;
	struct made m;
	struct sites s;

	begin(&s);
	MUST(plan_of(&s, &full, &e, &err));
	receipt_of(&receipt, &held, &full, 3);
	e.since = &receipt;
	e.held = &held;
	MUST(plan_of(&s, &p, &e, &err));
	/* The root is there; the publisher's file, too, but it lists what goes in. */
	CHECK_INT(p.file_count, 2);
	CHECK_INT(p.artifact_count, 1);
	CHECK_INT(p.saved, 3);
	CHECK_INT((int64_t)(p.saved_bytes + p.artifacts[0].length), 3 + 3 + 5);
	CHECK(p.complete && p.has_since);
	CHECK_INT(p.versions.root, 1);
	bundle_plan_release(&p);
	held_release(&held);
	receipt_of(&receipt, &held, &full, 4);
	MUST(plan_of(&s, &p, &e, &err));
	CHECK_INT(p.file_count, 1);
	CHECK_INT(p.artifact_count, 0);
	MUST(make(&p, 0, &m, &err));
	MUST(verify_at(&m, buf_slice(&s.depot.root_file), FIX_NOW, &v, &err));
	made_release(&m);
	bundle_plan_release(&p);
	/* Another version of the publisher there: the file goes in. */
	receipt.versions[2].version--;
	held.count--;
	MUST(plan_of(&s, &p, &e, &err));
	CHECK_INT(p.file_count, 2);
	MUST(make(&p, 0, &m, &err));
	MUST(verify_at(&m, buf_slice(&s.depot.root_file), FIX_NOW, &v, &err));
	CHECK_INT(v.lacking, 3);
	made_release(&m);
	bundle_plan_release(&p);
	/* With a newer root here, it follows; without, what it is based on must be there. */
	sites_rotate(&s, 400 * FIX_DAY);
	MUST(plan_of(&s, &p, &e, &err));
	CHECK_STR(p.files[0].name, "metadata/2.root.json");
	CHECK_INT(p.file_count, 3);
	bundle_plan_release(&p);
	receipt.versions[0].version = 3;
	REFUSED(plan_of(&s, &p, &e, &err), ERR_REFUSED, "has root version 3, and version 2 is the newest kept here");
	bundle_plan_release(&p);
	snprintf(receipt.site, sizeof(receipt.site), "depot-8");
	REFUSED(plan_of(&s, &p, &e, &err), ERR_USAGE, "the receipt is of site 'depot-8'");
	CHECK_STR(err.hint, "give a receipt that 'depot-7' has written, or export without --since");
	bundle_plan_release(&p);
	e.site = "main";
	REFUSED(plan_of(&s, &p, &e, &err), ERR_USAGE, "a bundle for devices takes none");
	bundle_plan_release(&p);
	held_release(&held);
	bundle_plan_release(&full);
	sites_end(&s);
}

/* Everything there: targets alone. One bin newer: it, and the publisher's file, which leads to it. */
TEST(a_receipt_leaves_out_hash_bins_that_the_site_has)
{
	struct receipt_version versions[2 + 1 + 16];
	struct receipt receipt = {.site = SITE_NAME, .versions = versions, .version_count = ARRAY_SIZE(versions)};
	struct bundle_export e = {.site = SITE_NAME};
	struct error err = ERROR_INIT;
	const struct held held = {NULL, 0};
	struct bundle_plan full, p;
	struct bundle_verify v;
	struct made m;
	struct sites s;
	uint32_t i;

	sites_start(&s, 16);
	MUST(plan_of(&s, &full, &e, &err));
	REQUIRE(full.file_count == ARRAY_SIZE(versions));
	for (i = 0; i < full.file_count; i++) {
		snprintf(versions[i].role, sizeof(versions[i].role), "%s", full.files[i].role);
		versions[i].version = full.files[i].version;
	}
	e.since = &receipt;
	e.held = &held;
	MUST(plan_of(&s, &p, &e, &err));
	CHECK_INT(p.file_count, 1);
	CHECK_INT(p.files[0].kind, MEMBER_TARGETS);
	bundle_plan_release(&p);
	versions[7].version--;
	MUST(plan_of(&s, &p, &e, &err));
	CHECK_INT(p.file_count, 3);
	CHECK_STR(p.files[1].role, "releases");
	CHECK_STR(p.files[2].role, versions[7].role);
	MUST(make(&p, 0, &m, &err));
	MUST(verify_at(&m, buf_slice(&s.depot.root_file), FIX_NOW, &v, &err));
	made_release(&m);
	bundle_plan_release(&p);
	bundle_plan_release(&full);
	sites_end(&s);
}

TEST(a_bundle_made_under_a_newer_root_is_refused_without_that_root)
{
	struct buf first = BUF_INIT(FIX_FILE_MAX);
	struct bundle_export e = {.site = SITE_NAME};
	struct receipt receipt = {.site = ""};
	struct error err = ERROR_INIT;
	struct held held = {NULL, 0};
	struct bundle_plan full, p;
	struct made m;
	struct sites s;

	begin(&s);
	MUST(plan_of(&s, &full, &e, &err));
	buf_put_slice(&first, buf_slice(&s.depot.root_file));
	sites_rotate(&s, 400 * FIX_DAY);
	receipt_of(&receipt, &held, &full, 1);
	receipt.versions[0].version = 2;
	e.since = &receipt;
	e.held = &held;
	MUST(plan_of(&s, &p, &e, &err));
	MUST(make(&p, 0, &m, &err));
	REFUSED(verify(&m, buf_slice(&first), &err), ERR_REFUSED, "made under root version 2; the newest here and in it is version 1");
	MUST(verify(&m, buf_slice(&s.depot.root_file), &err));
	made_release(&m);
	bundle_plan_release(&p);
	/* A gap in the chain. */
	sites_rotate(&s, 500 * FIX_DAY);
	MUST(plan_of(&s, &p, &e, &err));
	CHECK_STR(p.files[0].name, "metadata/3.root.json");
	MUST(make(&p, 0, &m, &err));
	REFUSED(verify(&m, buf_slice(&first), &err), ERR_REFUSED, "metadata/3.root.json: the newest root before it is version 1");
	made_release(&m);
	bundle_plan_release(&p);
	bundle_plan_release(&full);
	held_release(&held);
	buf_release(&first);
	sites_end(&s);
}

/* ---- what is not exported ---- */

TEST(nothing_is_planned_that_would_not_be_taken)
{
	static const char *const none[] = {"plant/none"};
	struct bundle_export e = {.site = "depot-8"};
	struct error err = ERROR_INIT;
	struct bundle_plan p;
	struct sites s;

	begin(&s);
	REFUSED(plan_of(&s, &p, &e, &err), ERR_REFUSED, "no root of site 'depot-8' is kept here");
	bundle_plan_release(&p);
	e = (struct bundle_export){.site = SITE_NAME, .valid_for_s = 100 * FIX_DAY};
	REFUSED(plan_of(&s, &p, &e, &err), ERR_REFUSED, "releases of 'depot-7' expires at");
	CHECK(strstr(err.hint, "--valid-for 90d or less") != NULL);
	bundle_plan_release(&p);
	e = (struct bundle_export){.site = SITE_NAME, .now_s = FIX_NOW + 91 * FIX_DAY};
	REFUSED(plan_of(&s, &p, &e, &err), ERR_REFUSED, "releases of 'depot-7' expired at");
	bundle_plan_release(&p);
	e = (struct bundle_export){.site = SITE_NAME, .selectors = none, .selector_count = 1};
	REFUSED(plan_of(&s, &p, &e, &err), ERR_NOT_FOUND, "no artifact is called 'plant/none'");
	bundle_plan_release(&p);
	/* A site's root that ends before. */
	sites_rotate(&s, 10 * FIX_DAY);
	e = (struct bundle_export){.site = SITE_NAME};
	REFUSED(plan_of(&s, &p, &e, &err), ERR_REFUSED, "root of 'depot-7' expires at");
	CHECK(strstr(err.hint, "--valid-for 10d") != NULL);
	bundle_plan_release(&p);
	e.valid_for_s = 10 * FIX_DAY;
	MUST(plan_of(&s, &p, &e, &err));
	bundle_plan_release(&p);
	sites_end(&s);
}

TEST(a_box_whose_key_the_root_does_not_name_makes_no_bundle)
{
	struct bundle_export e = {.site = SITE_NAME};
	struct error err = ERROR_INIT;
	struct bundle_plan p;
	struct seckey *k;
	struct sites s;
	int keys;

	begin(&s);
	keys = file_open(repo_dirfd(s.r), "keys", O_RDONLY | O_DIRECTORY, 0, &err);
	REQUIRE(keys >= 0 && (k = seckey_generate(KEY_ED25519, &err)) != NULL);
	MUST(file_unlink(keys, "record-export.key", &err));
	REFUSED(plan_of(&s, &p, &e, &err), ERR_NOT_FOUND, "there is no keys/record-export.key");
	bundle_plan_release(&p);
	MUST(file_unlink(keys, "record-export.pub", &err));
	MUST(keyfile_write(keys, "record-export", k, SLICE_EMPTY, "", FIX_NOW, &err));
	REFUSED(plan_of(&s, &p, &e, &err), ERR_REFUSED, "does not name the record key");
	bundle_plan_release(&p);
	seckey_free(k);
	close(keys);
	sites_end(&s);
}

/* ---- volumes ---- */

/* One large artifact of noise, so that it is cut many times. */
static void publish_large(struct sites *s, size_t len)
{
	char *text = xmalloc(len + 1);
	struct error err = ERROR_INIT;
	uint32_t x = 12345;
	size_t i;

	for (i = 0; i < len; i++) {
		x = x * 1103515245 + 12345;
		text[i] = (char)('!' + (x >> 16) % 90);
	}
	text[len] = '\0';
	MUST(fix_publish(&s->hq, s->r, "plant/big/1", text, 1, FIX_NOW, &err));
	free(text);
}

TEST(volumes_of_every_size_hold_the_whole)
{
	struct bundle_export e = {.site = SITE_NAME};
	struct error err = ERROR_INIT;
	struct bundle_plan p;
	struct made m;
	struct sites s;
	uint64_t split;

	sites_start(&s, 0);
	publish_large(&s, 5u << 20);
	publish(&s);
	MUST(plan_of(&s, &p, &e, &err));
	for (split = BUNDLE_SPLIT_MIN; split < (6u << 20); split += 99991) {
		MUST(make(&p, split, &m, &err));
		MUST(verify(&m, buf_slice(&s.depot.root_file), &err));
		if (m.count > 1) {
			m.count--;
			REFUSED(verify(&m, buf_slice(&s.depot.root_file), &err), ERR_RETRY, "volume");
			m.count++;
		}
		made_release(&m);
	}
	/* Around the end of a member, to the block. */
	for (split = (5u << 20) + 8192; split < (5u << 20) + 24576; split += 512) {
		MUST(make(&p, split, &m, &err));
		MUST(verify(&m, buf_slice(&s.depot.root_file), &err));
		made_release(&m);
	}
	bundle_plan_release(&p);
	sites_end(&s);
}

TEST(volumes_too_small_for_the_list_or_too_many_are_told)
{
	struct bundle_size size;
	struct manifest m = MANIFEST_INIT;
	struct member member = {.length = 1u << 30, .sha256 = {0xab}};
	struct member targets = {.length = 10};
	char hex[SHA256_HEX_LEN];
	struct error err = ERROR_INIT;

	snprintf(m.site, sizeof(m.site), SITE_NAME);
	snprintf(m.origin, sizeof(m.origin), "main");
	m.sequence = m.versions.root = m.versions.targets = m.members = 1;
	m.created_s = FIX_NOW;
	m.valid_until_s = FIX_NOW + 1;
	m.bytes = member.length;
	m.members = 2;
	m.bytes += 10;
	MUST(manifest_begin(&m, &err));
	snprintf(targets.name, sizeof(targets.name), "metadata/1.targets.json");
	manifest_add(&m, &targets);
	hex_encode(hex, member.sha256, SHA256_LEN);
	snprintf(member.name, sizeof(member.name), "targets/%s", hex);
	manifest_add(&m, &member);
	MUST(manifest_end(&m, &err));
	REFUSED(bundle_measure(&m, 300, BUNDLE_SPLIT_MIN, &size, &err), ERR_USAGE, "more than 999 volumes");
	MUST(bundle_measure(&m, 300, 2 * BUNDLE_SPLIT_MIN, &size, &err));
	CHECK_INT(size.volumes, 513);
	REFUSED(bundle_measure(&m, 300, 4096, &size, &err), ERR_USAGE, "needs a first volume of");
	MUST(bundle_measure(&m, 300, 0, &size, &err));
	CHECK_INT(size.volumes, 1);
	manifest_release(&m);
}

/* ---- what is damaged, or not what it says ---- */

static void flip(const struct sites *s, const char *path)
{
	uint8_t byte;
	int fd = openat(repo_dirfd(s->r), path, O_RDWR);

	REQUIRE(fd >= 0 && pread(fd, &byte, 1, 0) == 1);
	byte ^= 1;
	REQUIRE(pwrite(fd, &byte, 1, 0) == 1);
	close(fd);
}

TEST(bytes_that_changed_do_not_leave)
{
	struct buf path = BUF_INIT(512);
	struct bundle_export e = {.site = SITE_NAME};
	struct error err = ERROR_INIT;
	struct bundle_plan p;
	struct made m;
	struct sites s;
	uint32_t last;

	begin(&s);
	MUST(plan_of(&s, &p, &e, &err));
	for (last = p.artifact_count - 1; p.artifacts[last].length == 0;)
		last--;
	artifact_put_file(&path, slice_str(bundle_plan_name(&p, &p.artifacts[last])), p.artifacts[last].sha256);
	flip(&s, buf_cstr(&path));
	REFUSED(make(&p, 0, &m, &err), ERR_REFUSED, "is damaged: its SHA-256 is not what was signed");
	CHECK(strstr(err.text, bundle_plan_name(&p, &p.artifacts[last])) != NULL);
	made_release(&m);
	MUST(file_unlink(repo_dirfd(s.r), buf_cstr(&path), &err));
	REFUSED(make(&p, 0, &m, &err), ERR_RETRY, "has been withdrawn meanwhile");
	made_release(&m);
	flip(&s, p.files[2].name);
	REFUSED(make(&p, 0, &m, &err), ERR_RETRY, "the repository has changed");
	made_release(&m);
	bundle_plan_release(&p);
	buf_release(&path);
	sites_end(&s);
}

/* A plan that a thief of the record key might make: signed, and not what the metadata says. */
static void check_forged(struct sites *s, const struct bundle_plan *p, const char *says)
{
	struct error err = ERROR_INIT;
	struct made m;

	MUST(make(p, 0, &m, &err));
	REFUSED(verify(&m, buf_slice(&s->depot.root_file), &err), ERR_REFUSED, says);
	made_release(&m);
}

static void recount(struct bundle_plan *p)
{
	uint32_t i;

	p->members = p->file_count + p->artifact_count;
	p->bytes = 0;
	for (i = 0; i < p->file_count; i++)
		p->bytes += p->files[i].length;
	for (i = 0; i < p->artifact_count; i++)
		p->bytes += p->artifacts[i].length;
}

TEST(a_signature_over_the_list_lets_nobody_add_or_leave_out)
{
	struct bundle_export e = {.site = SITE_NAME};
	struct buf path = BUF_INIT(512), text = BUF_INIT(FIX_FILE_MAX);
	struct error err = ERROR_INIT;
	struct plan_artifact last;
	struct bundle_plan p;
	struct sites s;

	begin(&s);
	MUST(plan_of(&s, &p, &e, &err));
	/* Left out, though it says that it is complete. */
	last = p.artifacts[--p.artifact_count];
	recount(&p);
	check_forged(&s, &p, "is listed and not inside");
	/* Bytes that nobody lists. */
	memset(p.artifacts[p.artifact_count].sha256, 0xff, SHA256_LEN);
	sha256_of(SLICE_LIT("ghost"), p.artifacts[p.artifact_count].sha256);
	p.artifacts[p.artifact_count++].length = 5;
	if (memcmp(p.artifacts[p.artifact_count - 2].sha256, p.artifacts[p.artifact_count - 1].sha256, SHA256_LEN) > 0) {
		struct plan_artifact swap = p.artifacts[p.artifact_count - 1];

		memmove(p.artifacts + 1, p.artifacts, (p.artifact_count - 1) * sizeof(*p.artifacts));
		p.artifacts[0] = swap;
		p.artifact_count = 1;	/* it alone is in the right order for sure */
	} else {
		p.artifacts[0] = p.artifacts[p.artifact_count - 1];
		p.artifact_count = 1;
	}
	recount(&p);
	artifact_put_file(&path, slice_str(bundle_plan_name(&p, &p.artifacts[0])), p.artifacts[0].sha256);
	MUST(file_create(repo_dirfd(s.r), buf_cstr(&path), 0644, SLICE_LIT("ghost"), &err));
	check_forged(&s, &p, "the metadata lists no such artifact (5.7)");
	/* A publisher to whom nobody delegates. */
	p.artifact_count = 0;
	MUST(file_read(repo_dirfd(s.r), p.files[2].name, &text, &err));
	p.files = xreallocarray(p.files, 16, sizeof(*p.files));
	p.files[3] = p.files[2];
	snprintf(p.files[3].name, sizeof(p.files[3].name), "metadata/%lld.sleeper.json", (long long)p.files[2].version);
	snprintf(p.files[3].role, sizeof(p.files[3].role), "sleeper");
	p.file_count = 4;
	recount(&p);
	MUST(file_create(repo_dirfd(s.r), p.files[3].name, 0644, buf_slice(&text), &err));
	check_forged(&s, &p, "nobody delegates to 'sleeper'");
	/* The publisher's file under the name of another version. */
	p.file_count = 3;
	p.files[2].version++;
	snprintf(p.files[2].name, sizeof(p.files[2].name), "metadata/%lld.releases.json", (long long)p.files[2].version);
	recount(&p);
	MUST(file_create(repo_dirfd(s.r), p.files[2].name, 0644, buf_slice(&text), &err));
	check_forged(&s, &p, ".releases.json: it holds version");
	/* The manifest of another root version than the members. */
	p.file_count = 2;
	p.versions.targets = 2;
	recount(&p);
	{
		struct made m;

		if (make(&p, 0, &m, &err) == 0)
			REFUSED(verify(&m, buf_slice(&s.depot.root_file), &err), ERR_MALFORMED, "another version");
		made_release(&m);
	}
	(void)last;
	bundle_plan_release(&p);
	buf_release(&path);
	buf_release(&text);
	sites_end(&s);
}

