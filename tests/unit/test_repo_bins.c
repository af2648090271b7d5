/* Hash bins: what adoption makes, publishing into one, what is refused, new keys, the schedule, and power cuts. */
#include "tests/unit/tap.h"

#include <dirent.h>

#include "tests/unit/repo_fixture.h"

#include "base/timefmt.h"
#include "sys/fault.h"
#include "tuf/delegation.h"
#include "tuf/verify.h"

/* ---- files by hand ---- */

static const struct descriptor plain = {.kind = PAYLOAD_FILE, .release = 5, .placement.mode = DESCRIPTOR_MODE_DEFAULT};

static struct seckey *new_key(struct ceremony_signer *s, const char *label)
{
	struct error err = ERROR_INIT;

	MUST(crypto_start(&err));
	return fix_key(s, label);
}

static struct seckey *box_key(const struct fixture *f, const char *name)
{
	struct error err = ERROR_INIT;
	char path[128];
	struct seckey *k;

	snprintf(path, sizeof(path), "%s/repo/keys/%s.key", f->home, name);
	k = keyfile_open(AT_FDCWD, path, SLICE_EMPTY, &err);
	REQUIRE(k != NULL);
	return k;
}

static int stage(const struct repo *r, const char *path, const char *content, struct publish_change *c,
		 struct error *err)
{
	struct publish_blob blob;

	*c = (struct publish_change){.path = path, .descriptor = &plain};
	if (fix_stage(r, content, &blob, err) < 0)
		return -1;
	c->length = blob.len;
	memcpy(c->sha256, blob.sha256, SHA256_LEN);
	return 0;
}

static struct publish_change staged(const struct repo *r, const char *path, const char *content)
{
	struct error err = ERROR_INIT;
	struct publish_change c;

	MUST(stage(r, path, content, &c, &err));
	return c;
}

/* The next file of a role by name (NULL: the bin of the path), with one change, signed by key (NULL: the box's own). */
static struct buf next_file(const struct fixture *f, const struct repo *r, const char *name,
			    const struct publish_change *change, const struct seckey *key, int64_t now_s)
{
	const struct repo_role *publisher = repo_role_find(r, SLICE_LIT("releases"));
	const struct repo_role *role = name != NULL ? repo_file_find(r, slice_str(name))
						    : repo_file_of_path(r, publisher, slice_str(change->path));
	struct publish_terms terms = {.now_s = now_s, .life_s = 90 * FIX_DAY, .signer_count = 1};
	struct buf out = BUF_INIT(PUBLISH_FILE_MAX);
	struct seckey *own = key == NULL ? box_key(f, "releases") : NULL;
	struct error err = ERROR_INIT;
	struct tuf_signer signer;

	REQUIRE(role != NULL);
	terms.last_version = role->version;
	tuf_signer_init(&signer, key == NULL ? own : key);
	terms.signers = &signer;
	MUST(publish_build(&out, buf_slice(&role->text), change, 1, &terms, NULL, &err));
	seckey_free(own);
	return out;
}

static const char *bin_name(const struct repo *r, const char *path)
{
	return repo_file_of_path(r, repo_role_find(r, SLICE_LIT("releases")), slice_str(path))->name;
}

/* Publish one small artifact into its bin. */
static int publish_with(const struct fixture *f, struct repo *r, const char *path, const char *content,
			const struct seckey *key, int64_t now_s, struct error *err)
{
	struct publish_result result;
	char name[NAME_LEN_MAX + 1];
	struct publish_change c;
	struct buf file;
	int ret;

	if (stage(r, path, content, &c, err) < 0)
		return -1;
	file = next_file(f, r, NULL, &c, key, now_s);
	snprintf(name, sizeof(name), "%s", bin_name(r, path));
	ret = publish_commit(r, slice_str(name), repo_file_find(r, slice_str(name))->version, buf_slice(&file), now_s,
			     &result, err);
	buf_release(&file);
	return ret;
}

static int publish(const struct fixture *f, struct repo *r, const char *path, const char *content, int64_t now_s,
		   struct error *err)
{
	return publish_with(f, r, path, content, NULL, now_s, err);
}

/* Files in pending/. */
static unsigned pending(const struct repo *r)
{
	struct error err = ERROR_INIT;
	struct dirent *e;
	unsigned n = 0;
	DIR *d;
	int fd = file_open(repo_dirfd(r), "pending", O_RDONLY | O_DIRECTORY, 0, &err);

	REQUIRE(fd >= 0 && (d = fdopendir(fd)) != NULL);
	while ((e = readdir(d)) != NULL)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static bool is_published(const struct repo *r, const char *path)
{
	struct error err = ERROR_INIT;
	struct artifact a;

	return artifact_find(r, slice_str(path), &a, &err) == 0;
}

static int count_one(void *arg, const struct artifact *a, struct error *err)
{
	(void)a;
	(void)err;
	++*(unsigned *)arg;
	return 0;
}

static unsigned count_all(const struct repo *r)
{
	struct error err = ERROR_INIT;
	unsigned n = 0;

	MUST(artifact_each(r, count_one, &n, &err));
	return n;
}

static int verify(const struct fixture *f, int64_t now_s, struct repo_check *check, struct error *err)
{
	*check = (struct repo_check){.now_s = now_s};
	return repo_verify(f->home, check, err);
}

/* ---- what there is ---- */

TEST(adoption_makes_every_bin)
{
	struct error err = ERROR_INIT;
	struct repo_bins_sum sum;
	struct repo_check check;
	struct fixture f;
	struct repo *r = fix_repo_bins(&f, 64);
	const struct repo_role *publisher = repo_role_at(r, 0), *bin;
	struct json_value succinct = json_get(publisher->file->delegations, "succinct_roles");

	CHECK_INT(publisher->bin_bits, 6);
	CHECK_INT(json_int(json_get(succinct, "bit_length")), 6);
	CHECK(slice_equal_str(json_string(json_get(succinct, "name_prefix")), "releases-bin"));
	CHECK_INT(json_count(repo_snapshot(r)->meta), 66);
	REQUIRE((bin = repo_file_find(r, SLICE_LIT("releases-bin-3f"))) != NULL && bin->file != NULL);
	CHECK_INT(json_count(bin->file->targets), 0);
	CHECK(repo_file_find(r, SLICE_LIT("releases-bin-40")) == NULL);
	CHECK(repo_file_find(r, SLICE_LIT("releases-bin-3F")) == NULL);
	CHECK(repo_file_find(r, SLICE_LIT("releases-bin-03f")) == NULL);
	CHECK(repo_file_find(r, SLICE_LIT("releases-bin-")) == NULL);
	CHECK(repo_file_find(r, SLICE_LIT("other-bin-00")) == NULL);
	CHECK(repo_role_find(r, SLICE_LIT("releases-bin-3f")) == NULL);
	repo_bins_sum(r, publisher, &sum);
	CHECK_INT(sum.count, 64);
	CHECK_INT(sum.damaged, 0);
	CHECK_INT(sum.expires_s, FIX_NOW + 90 * FIX_DAY);
	MUST(verify(&f, FIX_NOW, &check, &err));
	CHECK_INT(check.roles, 1);
	CHECK_INT(check.bins, 64);
	repo_free(r);
	fix_end(&f);
}

/* Signed text that is canonical is what every reader can take as it is. */
static void check_canonical(const struct tuf_head *head)
{
	struct buf canonical = BUF_INIT(1u << 20);
	struct error err = ERROR_INIT;

	MUST(json_canonical(&canonical, head->body, &err));
	CHECK(slice_equal(buf_slice(&canonical), json_raw(head->body)));
	buf_release(&canonical);
}

TEST(publishing_touches_one_bin)
{
	struct error err = ERROR_INIT;
	struct repo_check check;
	struct artifact a;
	struct fixture f;
	struct repo *r = fix_repo_bins(&f, 16);
	struct tuf_metafile meta;
	char name[NAME_LEN_MAX + 6];
	struct json_iter it;
	unsigned changed = 0;

	MUST(publish(&f, r, "plant/plc/1.0", "one\n", FIX_NOW + 1, &err));
	snprintf(name, sizeof(name), "%s.json", bin_name(r, "plant/plc/1.0"));
	for (it = json_iter(repo_snapshot(r)->meta); json_next(&it);) {
		MUST(tuf_metafile_parse(&meta, it.value, &err));
		CHECK(meta.length > 0 && meta.hashes.has_sha256);
		if (meta.version == FIX_NOW + 1) {
			CHECK(slice_equal_str(it.key, name));
			changed++;
		}
	}
	CHECK_INT(changed, 1);
	CHECK_INT(repo_role_at(r, 0)->version, FIX_NOW);
	MUST(artifact_find(r, SLICE_LIT("plant/plc/1.0"), &a, &err));
	CHECK_STR(a.role->name, "releases");
	CHECK_INT(a.target.length, 4);
	check_canonical(&repo_snapshot(r)->head);
	check_canonical(&repo_timestamp(r)->head);
	check_canonical(&repo_role_at(r, 0)->file->head);
	check_canonical(&repo_file_find(r, slice_sub(slice_str(name), 0, strlen(name) - 5))->file->head);
	MUST(publish(&f, r, "plant/plc/1.1", "two\n", FIX_NOW + 2, &err));
	CHECK_INT(count_all(r), 2);
	MUST(verify(&f, FIX_NOW + 3, &check, &err));
	CHECK_INT(check.targets, 2);
	repo_free(r);
	r = fix_open(&f);
	CHECK(is_published(r, "plant/plc/1.0") && is_published(r, "plant/plc/1.1") && !is_published(r, "plant/plc/1.2"));
	repo_free(r);
	fix_end(&f);
}

TEST(releases_rise_across_bins)
{
	struct error err = ERROR_INIT;
	struct fixture f;
	struct repo *r = fix_repo_bins(&f, 16);
	const struct repo_role *role;
	int64_t release, last = 0;
	char path[64];
	int i;

	for (i = 0; i < 5; i++) {
		snprintf(path, sizeof(path), "plant/plc/%d", i);
		role = repo_file_of_path(r, repo_role_at(r, 0), slice_str(path));
		MUST(publish_next_release(buf_slice(&role->text), path, publish_release_floor(r), &release, &err));
		CHECK(release > last);
		last = release;
		MUST(publish(&f, r, path, "x", FIX_NOW + 1, &err));
	}
	/* What is published keeps its own. */
	role = repo_file_of_path(r, repo_role_at(r, 0), SLICE_LIT("plant/plc/0"));
	MUST(publish_next_release(buf_slice(&role->text), "plant/plc/0", publish_release_floor(r), &release, &err));
	CHECK_INT(release, 5);
	repo_free(r);
	fix_end(&f);
}

TEST(withdrawn_from_its_bin)
{
	struct publish_change gone = {.path = "plant/plc/1.0", .withdraw = true};
	struct error err = ERROR_INIT;
	struct publish_result out;
	struct fixture f;
	struct repo *r = fix_repo_bins(&f, 16);
	struct buf file;

	MUST(publish(&f, r, "plant/plc/1.0", "one\n", FIX_NOW + 1, &err));
	file = next_file(&f, r, NULL, &gone, NULL, FIX_NOW + 2);
	MUST(publish_commit(r, slice_str(bin_name(r, gone.path)), FIX_NOW + 1, buf_slice(&file), FIX_NOW + 2, &out, &err));
	CHECK_INT(out.removed, 1);
	CHECK(!is_published(r, gone.path));
	CHECK_INT(count_all(r), 0);
	buf_release(&file);
	repo_free(r);
	fix_end(&f);
}

TEST(many_changes_of_one_file)
{
	struct publish_terms terms = {.now_s = FIX_NOW, .life_s = FIX_DAY};
	struct publish_change c[4] = {
		{.path = "plant/b/1", .descriptor = &plain}, {.path = "plant/a/1", .descriptor = &plain},
		{.path = "plant/c/1", .descriptor = &plain}};
	struct buf first = BUF_INIT(1u << 16), next = BUF_INIT(1u << 16);
	struct error err = ERROR_INIT;
	struct tuf_targets *t;

	MUST(publish_build(&first, SLICE_EMPTY, c, 3, &terms, NULL, &err));
	c[3] = c[0];
	REFUSED(publish_build(&next, SLICE_EMPTY, c, 4, &terms, NULL, &err), ERR_USAGE, "published twice");
	/* Withdrawn and there again, withdrawn for good, and withdrawn twice. */
	c[1] = c[3] = (struct publish_change){.path = "plant/a/1", .withdraw = true};
	c[2] = c[0];
	c[0] = (struct publish_change){.path = "plant/b/1", .withdraw = true};
	terms.last_version = FIX_NOW;
	MUST(publish_build(&next, buf_slice(&first), c, 3, &terms, NULL, &err));
	REQUIRE((t = tuf_targets_parse(buf_slice(&next), &err)) != NULL);
	CHECK_INT(json_count(t->targets), 2);
	CHECK(json_get(t->targets, "plant/b/1").doc != NULL && json_get(t->targets, "plant/c/1").doc != NULL);
	CHECK_INT(json_int(json_get(json_get(json_get(t->head.body, "x-meshanics"), "releases"), "plant/a")), 5);
	tuf_targets_free(t);
	buf_clear(&next);
	REFUSED(publish_build(&next, buf_slice(&first), c, 4, &terms, NULL, &err), ERR_NOT_FOUND, "not published");
	buf_release(&first);
	buf_release(&next);
}

/* ---- refusals ---- */

static const struct {
	int64_t bins;
	const char *publisher, *says;
} bad_counts[] = {
	{1, "a", "power of two"},
	{3, "a", "power of two"},
	{1000, "a", "power of two"},
	{32768, "a", "power of two"},
	{-2, "a", "power of two"},
	{INT64_MIN, "a", "power of two"},
	{1024, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "at most 55 bytes"},
};

TEST(numbers_of_bins_that_are_refused)
{
	struct error err = ERROR_INIT;
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(bad_counts); i++)
		REFUSED(repo_bins_check_count(bad_counts[i].bins, bad_counts[i].publisher, &err), ERR_USAGE,
			bad_counts[i].says);
	MUST(repo_bins_check_count(2, "a", &err));
	MUST(repo_bins_check_count(16384, bad_counts[6].publisher + 2, &err));
	REFUSED(publisher_name_check(SLICE_LIT("x-bin-0a"), &err), ERR_MALFORMED, "hash bin");
	MUST(publisher_name_check(SLICE_LIT("x-bin-0g"), &err));
	MUST(publisher_name_check(SLICE_LIT("x-bin-"), &err));
	MUST(publisher_name_check(SLICE_LIT("bin-0"), &err));
}

TEST(online_keys_say_how_many_bins)
{
	static const char *const bad[] = {"\"bins\": 3", "\"bins\": 0", "\"bins\": \"16\"", "\"bins\": 65536"};
	struct error err = ERROR_INIT;
	struct online_keys k;
	struct fixture f;
	struct buf text = BUF_INIT(ONLINE_KEYS_SIZE_MAX), changed = BUF_INIT(ONLINE_KEYS_SIZE_MAX);
	const char *at;
	unsigned i;

	fix_start_bins(&f, "main", 16);
	CHECK_INT(f.online.bins, 16);
	online_keys_put(&text, &f.online);
	MUST(online_keys_parse(&k, buf_slice(&text), &err));
	CHECK_INT(k.bins, 16);
	online_keys_release(&k);
	REQUIRE((at = strstr(buf_cstr(&text), "\"bins\": 16")) != NULL);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		buf_clear(&changed);
		buf_printf(&changed, "%.*s%s%s", (int)(at - buf_cstr(&text)), buf_cstr(&text), bad[i],
			   at + strlen("\"bins\": 16"));
		CHECK_INT(online_keys_parse(&k, buf_slice(&changed), &err), -1);
	}
	buf_release(&text);
	buf_release(&changed);
	fix_end(&f);
}

TEST(files_of_bins_that_are_refused)
{
	struct error err = ERROR_INIT;
	struct ceremony_signer ignored;
	struct seckey *stranger = new_key(&ignored, "stranger");
	struct publish_change c, outside;
	struct publish_result out;
	struct fixture f;
	struct repo *r = fix_repo_bins(&f, 16);
	char here[NAME_LEN_MAX + 1], there[NAME_LEN_MAX + 1];
	struct buf file;

	c = staged(r, "plant/plc/1.0", "one\n");
	outside = staged(r, "depot/plc/1.0", "one\n");
	snprintf(here, sizeof(here), "%s", bin_name(r, c.path));
	snprintf(there, sizeof(there), "releases-bin-%c", here[13] == '0' ? '1' : '0');
	file = next_file(&f, r, here, &c, stranger, FIX_NOW + 1);
	REFUSED(publish_commit(r, slice_str(here), FIX_NOW, buf_slice(&file), FIX_NOW + 1, &out, &err), ERR_REFUSED,
		"signed by 0 of the 1");
	buf_release(&file);
	file = next_file(&f, r, there, &c, NULL, FIX_NOW + 1);
	REFUSED(publish_commit(r, slice_str(there), FIX_NOW, buf_slice(&file), FIX_NOW + 1, &out, &err), ERR_REFUSED,
		"does not belong to hash bin");
	/* The publisher's own place is no place for targets. */
	REFUSED(publish_commit(r, SLICE_LIT("releases"), FIX_NOW, buf_slice(&file), FIX_NOW + 1, &out, &err), ERR_REFUSED,
		"publishes in 16 hash bins");
	buf_release(&file);
	file = next_file(&f, r, bin_name(r, outside.path), &outside, NULL, FIX_NOW + 1);
	REFUSED(publish_commit(r, slice_str(bin_name(r, outside.path)), FIX_NOW, buf_slice(&file), FIX_NOW + 1, &out, &err),
		ERR_REFUSED, "outside the slice");
	buf_release(&file);
	file = next_file(&f, r, here, &c, NULL, FIX_NOW + 1);
	REFUSED(publish_commit(r, slice_str(here), FIX_NOW - 1, buf_slice(&file), FIX_NOW + 1, &out, &err), ERR_CONFLICT,
		"is published, not");
	REFUSED(publish_commit(r, SLICE_LIT("releases-bin-10"), 0, buf_slice(&file), FIX_NOW + 1, &out, &err),
		ERR_NOT_FOUND, "no publisher");
	CHECK_INT(count_all(r), 0);
	MUST(publish_commit(r, slice_str(here), FIX_NOW, buf_slice(&file), FIX_NOW + 1, &out, &err));
	CHECK_INT(count_all(r), 1);
	buf_release(&file);
	seckey_free(stranger);
	repo_free(r);
	fix_end(&f);
}

/* A file of `releases` or a bin with these delegations (NULL: none) and targets, signed as it should be. */
static struct buf by_hand(const struct fixture *f, const char *delegations, const char *targets)
{
	struct buf body = BUF_INIT(1u << 16), out = BUF_INIT(1u << 16);
	struct seckey *k = box_key(f, "releases");
	struct error err = ERROR_INIT;
	char expires[TIME_TEXT_LEN];
	struct tuf_signer signer;

	tuf_signer_init(&signer, k);
	buf_printf(&body, "{\"_type\":\"targets\",\"spec_version\":\"1.0.34\",\"version\":%lld,\"expires\":\"%s\",",
		   (long long)FIX_NOW + 1, time_text(expires, FIX_NOW + 90 * FIX_DAY));
	if (delegations != NULL)
		buf_printf(&body, "\"delegations\":%s,", delegations);
	buf_printf(&body, "\"targets\":%s}", targets);
	MUST(tuf_sign_envelope(&out, buf_slice(&body), &signer, 1, &err));
	seckey_free(k);
	buf_release(&body);
	return out;
}

/* {"keys": {KEY}, "succinct_roles": {...}} of one key. */
static const char *succinct(struct buf *out, const struct pubkey *key, int bits, const char *prefix, int threshold)
{
	struct json_writer w = JSON_WRITER(out);
	char id[KEY_FINGERPRINT_LEN];

	buf_clear(out);
	key_id(id, key);
	json_open_object(&w, NULL);
	json_open_object(&w, "keys");
	tuf_key_put(&w, id, key);
	json_close(&w);
	json_open_object(&w, "succinct_roles");
	json_put_int(&w, "bit_length", bits);
	json_open_array(&w, "keyids");
	json_put_string(&w, NULL, id);
	json_close(&w);
	json_put_string(&w, "name_prefix", prefix);
	json_put_int(&w, "threshold", threshold);
	json_close(&w);
	json_close(&w);
	return buf_cstr(out);
}

static void refuse_publisher(const struct fixture *f, struct repo *r, const char *delegations, const char *targets,
			     const char *says)
{
	struct buf file = by_hand(f, delegations, targets);
	struct error err = ERROR_INIT;
	struct publish_result out;

	REFUSED(publish_commit(r, SLICE_LIT("releases"), FIX_NOW, buf_slice(&file), FIX_NOW + 1, &out, &err), ERR_REFUSED,
		says);
	buf_release(&file);
}

TEST(a_publisher_does_not_widen_himself)
{
	struct error err = ERROR_INIT;
	struct ceremony_signer other;
	struct seckey *stranger = new_key(&other, "stranger");
	struct publish_result out;
	struct fixture f;
	struct repo *r = fix_repo_bins(&f, 16);
	struct buf d = BUF_INIT(4096), roles = BUF_INIT(4096), file;
	struct pubkey own = repo_role_at(r, 0)->role.keys.list[0].pub;

	refuse_publisher(&f, r, succinct(&d, &other.key, 4, "releases-bin", 1), "{}", "which is not his");
	refuse_publisher(&f, r, succinct(&d, &own, 5, "releases-bin", 1), "{}", "these stay");
	refuse_publisher(&f, r, succinct(&d, &own, 15, "releases-bin", 1), "{}", "other than 2 to 16384");
	refuse_publisher(&f, r, succinct(&d, &own, 32, "releases-bin", 1), "{}", "other than 2 to 16384");
	refuse_publisher(&f, r, succinct(&d, &own, 4, "tools-bin", 1), "{}", "other than 2 to 16384");
	refuse_publisher(&f, r, succinct(&d, &own, 4, "releases-bin", 1),
			 "{\"plant/plc/1\":{\"length\":1,\"hashes\":{\"sha256\":"
			 "\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"}}}",
			 "beside his hash bins");
	refuse_publisher(&f, r, NULL, "{}", "these stay");
	buf_printf(&roles, "{\"keys\":{},\"roles\":[{\"name\":\"evil\",\"keyids\":[],\"threshold\":1,\"terminating\":true,"
			   "\"paths\":[\"plant/*/*\"]}]}");
	refuse_publisher(&f, r, buf_cstr(&roles), "{}", "may not delegate but to hash bins of his own");
	/* A bin goes no further down. */
	file = by_hand(&f, succinct(&d, &own, 4, "releases-bin", 1), "{}");
	REFUSED(publish_commit(r, SLICE_LIT("releases-bin-0"), FIX_NOW, buf_slice(&file), FIX_NOW + 1, &out, &err),
		ERR_REFUSED, "may not delegate");
	/* The very same as is published is fine: a longer life, say. */
	MUST(publish_commit(r, SLICE_LIT("releases"), FIX_NOW, buf_slice(&file), FIX_NOW + 1, &out, &err));
	buf_release(&file);
	buf_release(&d);
	buf_release(&roles);
	seckey_free(stranger);
	repo_free(r);
	fix_end(&f);
}

TEST(a_flat_publisher_stays_flat)
{
	struct fixture f;
	struct repo *r = fix_repo(&f);
	struct buf d = BUF_INIT(4096);
	struct pubkey own = repo_role_at(r, 0)->role.keys.list[0].pub;

	CHECK_INT(repo_role_at(r, 0)->bin_bits, 0);
	refuse_publisher(&f, r, succinct(&d, &own, 4, "releases-bin", 1), "{}", "may not delegate");
	buf_release(&d);
	repo_free(r);
	fix_end(&f);
}

TEST(damaged_bins_are_found)
{
	struct error err = ERROR_INIT;
	struct repo_bins_sum sum;
	struct repo_resigned out;
	struct repo_check check;
	char path[160], name[NAME_LEN_MAX + 1];
	struct fixture f;
	struct repo *r = fix_repo_bins(&f, 16);

	MUST(publish(&f, r, "plant/plc/1", "x", FIX_NOW + 1, &err));
	snprintf(name, sizeof(name), "%s", bin_name(r, "plant/plc/1"));
	repo_free(r);
	snprintf(path, sizeof(path), "%s/repo/metadata/4000000001.%s.json", f.home, name);
	MUST(file_replace(AT_FDCWD, path, 0644, SLICE_LIT("{}"), &err));
	r = fix_open(&f);
	CHECK_INT(repo_role_at(r, 0)->fault, ROLE_FINE);
	CHECK_INT(repo_file_find(r, slice_str(name))->fault, ROLE_DAMAGED);
	CHECK(!is_published(r, "plant/plc/1"));
	repo_bins_sum(r, repo_role_at(r, 0), &sum);
	CHECK_INT(sum.damaged, 1);
	MUST(repo_resign(r, FIX_NOW + 2, REPO_FORCE, 0, &out, &err));
	CHECK_INT(out.bins, 15);
	CHECK_INT(verify(&f, FIX_NOW + 3, &check, &err), -1);
	CHECK_INT(check.findings, 1);
	REFUSED(publish(&f, r, "plant/plc/1", "x", FIX_NOW + 3, &err), ERR_REFUSED, "damaged");
	repo_free(r);
	fix_end(&f);
}

/* ---- many at once ---- */

TEST(many_bins_in_one_change)
{
	struct error err = ERROR_INIT;
	struct publish_result out;
	struct repo_check check;
	struct publish_batch *b;
	struct publish_change c;
	struct fixture f;
	struct repo *r = fix_repo_bins(&f, 64);
	int64_t snapshot = repo_snapshot(r)->head.version;
	char path[64], name[NAME_LEN_MAX + 1];
	bool taken[64] = {false};
	unsigned n = 0, i;
	struct buf file;

	REQUIRE((b = publish_batch_new(r, FIX_NOW + 1, &err)) != NULL);
	for (i = 0; n < 40; i++) {
		unsigned bin;

		snprintf(path, sizeof(path), "plant/many/%u", i);
		bin = repo_bin_of(repo_role_at(r, 0), slice_str(path));
		if (taken[bin])
			continue;
		taken[bin] = true;
		n++;
		c = staged(r, path, path);
		file = next_file(&f, r, NULL, &c, NULL, FIX_NOW + 1);
		snprintf(name, sizeof(name), "%s", bin_name(r, path));
		MUST(publish_batch_add(b, slice_str(name), FIX_NOW, buf_slice(&file), &err));
		buf_release(&file);
	}
	CHECK_INT(count_all(r), 0);
	CHECK_INT(repo_snapshot(r)->head.version, snapshot);
	MUST(publish_batch_commit(b, &out, &err));
	publish_batch_free(b);
	CHECK_INT(out.added, 40);
	CHECK_INT(count_all(r), 40);
	CHECK_INT(repo_snapshot(r)->head.version, snapshot + 1);
	MUST(verify(&f, FIX_NOW + 2, &check, &err));
	CHECK_INT(check.targets, 40);
	repo_free(r);
	fix_end(&f);
}

TEST(a_batch_that_fails_changes_nothing)
{
	struct error err = ERROR_INIT;
	struct publish_result out;
	struct publish_batch *b;
	struct publish_change c;
	struct fixture f;
	struct repo *r = fix_repo_bins(&f, 16);
	struct buf file;
	char name[NAME_LEN_MAX + 1];

	c = staged(r, "plant/plc/1", "x");
	file = next_file(&f, r, NULL, &c, NULL, FIX_NOW + 1);
	snprintf(name, sizeof(name), "%s", bin_name(r, c.path));
	REQUIRE((b = publish_batch_new(r, FIX_NOW + 1, &err)) != NULL);
	MUST(publish_batch_add(b, slice_str(name), FIX_NOW, buf_slice(&file), &err));
	CHECK_INT(pending(r), 1);
	REFUSED(publish_batch_add(b, SLICE_LIT("nobody"), 0, buf_slice(&file), &err), ERR_NOT_FOUND, "no publisher");
	publish_batch_free(b);
	CHECK_INT(pending(r), 0);
	CHECK_INT(count_all(r), 0);
	/* One role twice: which file would hold? */
	REQUIRE((b = publish_batch_new(r, FIX_NOW + 1, &err)) != NULL);
	MUST(publish_batch_add(b, slice_str(name), FIX_NOW, buf_slice(&file), &err));
	CHECK_INT(publish_batch_add(b, slice_str(name), FIX_NOW, buf_slice(&file), &err), -1);
	publish_batch_free(b);
	CHECK_INT(count_all(r), 0);
	/* Nothing is a fine change. */
	REQUIRE((b = publish_batch_new(r, FIX_NOW + 1, &err)) != NULL);
	MUST(publish_batch_commit(b, &out, &err));
	publish_batch_free(b);
	CHECK_INT(repo_snapshot(r)->head.version, FIX_NOW);
	buf_release(&file);
	repo_free(r);
	fix_end(&f);
}

/* ---- keys that change ---- */

static void delegate(struct fixture *f, struct repo *r, const struct pubkey *keys, unsigned count, int64_t now_s)
{
	struct ceremony_delegation d = {.now_s = now_s};
	struct error err = ERROR_INIT;
	struct repo_publisher p;

	MUST(publisher_parse_word(&p, "releases:plant/*/*", &err));
	p.keys = xcalloc(count, sizeof(*p.keys));
	memcpy(p.keys, keys, count * sizeof(*p.keys));
	p.key_count = count;
	d.publishers = &p;
	d.publisher_count = 1;
	fix_delegate(f, &d);
	MUST(fix_adopt(f, r, now_s, &err));
	repo_publisher_release(&p);
}

TEST(a_key_comes_and_goes)
{
	struct error err = ERROR_INIT;
	struct ceremony_signer ci;
	struct seckey *ci_key = new_key(&ci, "ci");
	struct repo_check check;
	struct fixture f;
	struct repo *r = fix_repo_bins(&f, 16);
	struct pubkey keys[2];
	char path[64];
	int n = 0;

	do {	/* in another bin than the box's own */
		snprintf(path, sizeof(path), "plant/ci/%d", n++);
	} while (repo_bin_of(repo_role_at(r, 0), slice_str(path)) == repo_bin_of(repo_role_at(r, 0), SLICE_LIT("plant/own/1")));
	keys[0] = repo_role_at(r, 0)->role.keys.list[0].pub;
	keys[1] = ci.key;
	MUST(publish(&f, r, "plant/own/1", "own", FIX_NOW + 1, &err));
	REFUSED(publish_with(&f, r, path, "ci", ci_key, FIX_NOW + 1, &err), ERR_REFUSED, "signed by 0 of");
	delegate(&f, r, keys, 2, FIX_NOW + 2);
	/* The bins are delegated to both, and nothing is lost. */
	CHECK_INT(repo_role_at(r, 0)->version, FIX_NOW + 2);
	CHECK(is_published(r, "plant/own/1"));
	MUST(publish_with(&f, r, path, "ci", ci_key, FIX_NOW + 3, &err));
	MUST(verify(&f, FIX_NOW + 4, &check, &err));
	CHECK_INT(check.targets, 2);
	/* What the second key alone has signed goes with it. */
	delegate(&f, r, keys, 1, FIX_NOW + 5);
	CHECK(is_published(r, "plant/own/1") && !is_published(r, path));
	MUST(verify(&f, FIX_NOW + 6, &check, &err));
	CHECK_INT(check.targets, 1);
	REFUSED(publish_with(&f, r, "plant/ci/2", "ci", ci_key, FIX_NOW + 6, &err), ERR_REFUSED, "signed by 0 of");
	seckey_free(ci_key);
	repo_free(r);
	fix_end(&f);
}

TEST(other_keys_start_with_empty_bins)
{
	struct error err = ERROR_INIT;
	struct ceremony_signer next;
	struct seckey *next_key = new_key(&next, "next");
	struct repo_check check;
	char path[128];
	struct fixture f;
	struct repo *r = fix_repo_bins(&f, 16);
	int keys_fd;

	MUST(publish(&f, r, "plant/plc/1", "x", FIX_NOW + 1, &err));
	/* The stolen key is replaced on this box, too. */
	snprintf(path, sizeof(path), "%s/repo/keys", f.home);
	REQUIRE((keys_fd = file_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, &err)) >= 0);
	MUST(file_unlink(keys_fd, "releases.key", &err));
	MUST(file_unlink(keys_fd, "releases.pub", &err));
	MUST(keyfile_write(keys_fd, "releases", next_key, SLICE_EMPTY, "", FIX_NOW, &err));
	close(keys_fd);
	delegate(&f, r, &next.key, 1, FIX_NOW + 2);
	CHECK_INT(repo_role_at(r, 0)->bin_bits, 4);
	CHECK_INT(repo_role_at(r, 0)->fault, ROLE_FINE);
	CHECK_INT(count_all(r), 0);
	CHECK_INT(repo_file_find(r, SLICE_LIT("releases-bin-0"))->version, FIX_NOW + 2);
	MUST(verify(&f, FIX_NOW + 3, &check, &err));
	CHECK_INT(check.targets, 0);
	MUST(publish(&f, r, "plant/plc/1", "another", FIX_NOW + 3, &err));
	seckey_free(next_key);
	repo_free(r);
	fix_end(&f);
}

TEST(keys_elsewhere_publish_anew_and_flat)
{
	struct error err = ERROR_INIT;
	struct ceremony_signer next;
	struct seckey *next_key = new_key(&next, "next");
	struct publish_result out;
	struct publish_change c;
	struct fixture f;
	struct repo *r = fix_repo_bins(&f, 16);
	struct buf file;

	MUST(publish(&f, r, "plant/plc/1", "x", FIX_NOW + 1, &err));
	delegate(&f, r, &next.key, 1, FIX_NOW + 2);
	CHECK_INT(repo_role_at(r, 0)->fault, ROLE_OTHER_KEYS);
	CHECK(repo_role_at(r, 0)->file == NULL && repo_role_at(r, 0)->bin_bits == 0);
	CHECK_INT(count_all(r), 0);
	CHECK(repo_file_find(r, SLICE_LIT("releases-bin-0")) == NULL);
	c = staged(r, "plant/plc/2", "y");
	file = next_file(&f, r, "releases", &c, next_key, FIX_NOW + 3);
	MUST(publish_commit(r, SLICE_LIT("releases"), FIX_NOW, buf_slice(&file), FIX_NOW + 3, &out, &err));
	CHECK_INT(count_all(r), 1);
	buf_release(&file);
	seckey_free(next_key);
	repo_free(r);
	fix_end(&f);
}

/* ---- the schedule ---- */

TEST(bins_are_signed_anew_at_half_life)
{
	struct error err = ERROR_INIT;
	const struct repo_expiry *list;
	struct repo_resigned out;
	struct repo_check check;
	struct fixture f;
	struct repo *r = fix_repo_bins(&f, 16);
	int64_t half = FIX_NOW + 45 * FIX_DAY, day;
	unsigned n, i, lines = 0;

	MUST(publish(&f, r, "plant/plc/1", "x", FIX_NOW + FIX_DAY / 2, &err));
	for (day = FIX_NOW + 20 * FIX_DAY; day < half; day += 20 * FIX_DAY) {
		MUST(repo_resign(r, day, 0, 0, &out, &err));
		CHECK_INT(out.bins + out.publishers, 0);
	}
	MUST(repo_resign(r, half - 1, 0, 0, &out, &err));
	CHECK_INT(out.bins + out.publishers, 0);
	CHECK_INT(repo_due(r), half - 1 + FIX_DAY / 2 < half ? half - 1 + FIX_DAY / 2 : half);
	MUST(repo_resign(r, half, 0, 0, &out, &err));
	CHECK_INT(out.publishers, 1);
	CHECK_INT(out.bins, 15);	/* the one that was published later is not due yet */
	MUST(repo_resign(r, half + FIX_DAY, 0, 0, &out, &err));
	CHECK_INT(out.bins, 1);
	CHECK(is_published(r, "plant/plc/1"));
	n = repo_expiries(r, &list);
	for (i = 0; i < n; i++)
		lines += list[i].bins == 16 && strncmp(list[i].role, "releases-bin-", 13) == 0 && list[i].online &&
			 list[i].expires_s == half + 90 * FIX_DAY && list[i].due_s == half + 45 * FIX_DAY;
	CHECK_INT(n, 6);
	CHECK_INT(lines, 1);
	MUST(verify(&f, half + FIX_DAY, &check, &err));
	CHECK_INT(check.targets, 1);
	repo_free(r);
	fix_end(&f);
}

TEST(some_bins_at_a_time)
{
	struct error err = ERROR_INIT;
	struct repo_resigned out;
	struct fixture f;
	struct repo *r = fix_repo_bins(&f, 2048);
	int64_t later = FIX_NOW + 46 * FIX_DAY, at;

	/* The clock may not jump further than 30 days at once. */
	for (at = FIX_NOW; at < later; at += 10 * FIX_DAY)
		MUST(repo_resign(r, at, 0, 0, &out, &err));
	MUST(repo_resign(r, later, REPO_SOME, 0, &out, &err));
	CHECK_INT(out.bins, REPO_SOME_BINS);
	CHECK(repo_due(r) <= later);
	MUST(repo_resign(r, later, REPO_SOME, 0, &out, &err));
	CHECK_INT(out.bins, 2048 - REPO_SOME_BINS);
	CHECK(repo_due(r) > later);
	repo_free(r);
	fix_end(&f);
}

#ifdef MESHANICS_TEST

static void copy_home(const char *from, const char *to)
{
	char command[256];

	snprintf(command, sizeof(command), "rm -rf %s && cp -a %s %s", to, from, to);
	REQUIRE(system(command) == 0);
}

/* ---- power cuts ---- */

/* One artifact, or all bins anew, which are so many that the file system is synced instead of each. */
static int change_one(const struct fixture *f, struct repo *r, struct error *err)
{
	return publish(f, r, "plant/plc/1.1", "two\n", FIX_NOW + 2, err);
}

static int change_all(const struct fixture *f, struct repo *r, struct error *err)
{
	struct repo_resigned out;

	(void)f;
	return repo_resign(r, FIX_NOW + 2, REPO_FORCE, 0, &out, err);
}

/* Whole, and of one time: all that the change made is there, or nothing. */
static bool look(const struct fixture *f, int64_t before)
{
	struct error err = ERROR_INIT;
	struct repo *r = repo_open(f->home, &err);
	struct repo_check check;
	bool changed, more;

	if (r == NULL)
		printf("# after the fault: %s\n", err.text);
	REQUIRE(r != NULL);
	changed = repo_snapshot(r)->head.version > before;
	more = is_published(r, "plant/plc/1.1");
	CHECK(is_published(r, "plant/plc/1.0") && (!more || changed));
	CHECK(!file_exists(repo_dirfd(r), "commit"));
	CHECK(!file_exists(repo_dirfd(r), "pending") || pending(r) == 0);
	repo_free(r);
	if (verify(f, FIX_NOW + 3, &check, &err) < 0) {
		printf("# %s\n", err.text);
		tap_failures++;
	}
	CHECK_INT(check.bins, 64);
	CHECK_INT(check.targets, more ? 2 : 1);
	return changed;
}

static void walk(enum fault_mode mode, int (*change)(const struct fixture *f, struct repo *r, struct error *err),
		 unsigned step)
{
	char image[80];
	struct fixture f;
	struct repo *r = fix_repo_bins(&f, 64);
	struct error err = ERROR_INIT;
	unsigned n, saw_old = 0, saw_new = 0;
	int64_t before;

	MUST(publish(&f, r, "plant/plc/1.0", "one\n", FIX_NOW + 1, &err));
	before = repo_snapshot(r)->head.version;
	repo_free(r);
	snprintf(image, sizeof(image), "%s.image", f.home);
	copy_home(f.home, image);
	for (n = 1;; n += step) {
		int status;
		pid_t pid;
		bool changed;

		copy_home(image, f.home);
		fflush(stdout);
		if ((pid = fork()) == 0) {
			struct error e = ERROR_INIT;
			struct repo *child = fix_open(&f);

			fault_arm(n, mode);
			status = change(&f, child, &e) < 0 ? 1 : 0;
			_exit(fault_count() < n ? 7 : status);
		}
		REQUIRE(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
		changed = look(&f, before);
		CHECK(WEXITSTATUS(status) != 0 || changed);
		saw_old += !changed;
		saw_new += changed;
		if (WEXITSTATUS(status) == 7)
			break;
		REQUIRE(n < 2000);
	}
	CHECK(saw_old > 5 && saw_new > 1);
	REQUIRE(file_remove_tree(AT_FDCWD, image, &err) == 0);
	fix_end(&f);
}

TEST(publishing_into_a_bin_survives_an_error_at_every_call)
{
	walk(FAULT_ERROR, change_one, 1);
}

TEST(publishing_into_a_bin_survives_a_torn_write_at_every_call)
{
	walk(FAULT_TORN, change_one, 1);
}

TEST(publishing_into_a_bin_survives_a_power_cut_at_every_call)
{
	walk(FAULT_CUT, change_one, 1);
}

TEST(publishing_into_a_bin_survives_a_power_cut_that_loses_names_too)
{
	walk(FAULT_CUTDIR, change_one, 1);
}

TEST(many_bins_survive_a_power_cut_that_loses_names_too)
{
	walk(FAULT_CUTDIR, change_all, 17);
}

TEST(many_bins_survive_an_error)
{
	walk(FAULT_ERROR, change_all, 13);
}

TEST(many_bins_survive_a_full_disk)
{
	walk(FAULT_FULL, change_all, 13);
}

TEST(many_bins_survive_a_power_cut)
{
	walk(FAULT_CUT, change_all, 11);
}

#endif
