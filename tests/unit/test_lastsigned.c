/* What a publisher's key is known to have signed, and a door that lies. */
#include "tap.h"

#include "base/json.h"
#include "control/door.h"
#include "control/lastsigned.h"
#include "control/publication.h"
#include "crypto/keyfile.h"
#include "sys/file.h"
#include "tuf/metadata_sign.h"

#define KEYID "0011223344556677001122334455667700112233445566770011223344556677"
#define NOW INT64_C(1790000000)

static char home[64];

static void make_home(void)
{
	snprintf(home, sizeof(home), "/tmp/meshanics-test.XXXXXX");
	REQUIRE(mkdtemp(home) != NULL);
}

static void remove_home(void)
{
	struct error err = ERROR_INIT;

	CHECK_INT(file_remove_tree(AT_FDCWD, home, &err), 0);
}

static struct lastsigned file_of(const char *publisher, const char *file, int64_t version, uint8_t hash)
{
	struct lastsigned l = {.home = home, .keyid = KEYID, .publisher = publisher, .file = file, .version = version};

	memset(l.sha256, hash, sizeof(l.sha256));
	return l;
}

static int64_t known_version(const char *publisher, const char *file)
{
	struct lastsigned l = file_of(publisher, file, 99, 0);
	struct error err = ERROR_INIT;

	REQUIRE(lastsigned_read(&l, &err) == 0);
	return l.version;
}

TEST(lastsigned_only_rises_each_file_for_itself)
{
	struct lastsigned five = file_of("ci", "ci", 5, 1), four = file_of("ci", "ci", 4, 2);
	struct lastsigned other = file_of("ci", "ci", 5, 3), bin = file_of("ci", "ci-bin-0", 2, 4);
	struct lastsigned lock = file_of("lock", "lock", 7, 5);
	struct error err = ERROR_INIT;

	make_home();
	CHECK_INT(known_version("ci", "ci"), 0);
	CHECK(!lastsigned_strange(home, KEYID, "ci"));
	REQUIRE(lastsigned_raise(&five, &err) == 0 && lastsigned_raise(&bin, &err) == 0 && lastsigned_raise(&lock, &err) == 0);
	CHECK_INT(lastsigned_raise(&four, &err), 0);
	CHECK_INT(lastsigned_raise(&five, &err), 0);
	CHECK_INT(lastsigned_raise(&other, &err), -1);
	CHECK_INT(err.kind, ERR_REFUSED);
	CHECK_INT(known_version("ci", "ci"), 5);
	CHECK_INT(known_version("ci", "ci-bin-0"), 2);
	CHECK_INT(known_version("lock", "lock"), 7);
	CHECK_INT(known_version("ci", "ci-bin-1"), 0);
	CHECK(!lastsigned_strange(home, KEYID, "ci"));
	CHECK(lastsigned_strange(home, KEYID, "cj"));
	remove_home();
}

TEST(lastsigned_refuses_older_absent_and_another)
{
	struct lastsigned five = file_of("ci", "ci", 5, 1), other = file_of("ci", "ci", 5, 2);
	struct lastsigned four = file_of("ci", "ci", 4, 1), six = file_of("ci", "ci", 6, 2), none = file_of("ci", "ci", 0, 0);
	struct error err = ERROR_INIT;

	snprintf(home, sizeof(home), "/nowhere");
	CHECK_INT(lastsigned_check(&five, &five, &err), 0);
	CHECK_INT(lastsigned_check(&five, &six, &err), 0);
	CHECK_INT(lastsigned_check(&none, &five, &err), 0);
	CHECK_INT(lastsigned_check(&none, &none, &err), 0);
	CHECK_INT(lastsigned_check(&five, &four, &err), -1);
	CHECK_INT(err.kind, ERR_REFUSED);
	CHECK(strstr(err.hint, "/nowhere/published/" KEYID "/ci/ci.json") != NULL);
	CHECK_INT(lastsigned_check(&five, &other, &err), -1);
	CHECK_INT(lastsigned_check(&five, &none, &err), -1);
	five.bins = true;
	CHECK_INT(lastsigned_check(&five, &six, &err), -1);
	CHECK(strstr(err.text, "has no hash bins as version 5 had") != NULL);
	six.bins = true;
	CHECK_INT(lastsigned_check(&five, &six, &err), 0);
}

TEST(lastsigned_many_at_once)
{
	int64_t version;
	int status;

	make_home();
	for (version = 1; version <= 8; version++) {
		if (fork() == 0) {
			struct lastsigned l = file_of("ci", "ci", version, (uint8_t)version);
			struct error err = ERROR_INIT;

			_exit(lastsigned_raise(&l, &err) == 0 ? 0 : 1);
		}
	}
	while (wait(&status) > 0)
		CHECK_INT(status, 0);
	CHECK_INT(known_version("ci", "ci"), 8);
	remove_home();
}

/* ---- a door of our own, in place of control/door.c ---- */

static char said[1024];
static const char *artifact = "";
static struct buf publisher_file = BUF_INIT(1u << 20), bin_file = BUF_INIT(1u << 20);
static unsigned asked;

int door_call(struct door *d, const char *method, const char *path, struct slice body, struct buf *reply,
	      struct error *err)
{
	(void)d;
	(void)body;
	asked++;
	if (strstr(path, "/roles/") != NULL || strstr(path, "/artifacts/") != NULL) {
		const struct slice s = strstr(path, "/artifacts/") != NULL ? slice_str(artifact) :
				       strstr(path, "/roles/ci-bin-") != NULL ? buf_slice(&bin_file) : buf_slice(&publisher_file);

		if (s.len == 0 || strcmp(method, "GET") != 0)
			return error_set(err, ERR_FAILED, "%s %s", method, path);
		buf_put_slice(reply, s);
		return 0;
	}
	if (strcmp(method, "GET") != 0 || strcmp(path, "/api/v1/repository/publishers") != 0)
		return error_set(err, ERR_FAILED, "%s %s", method, path);
	buf_put_str(reply, said);
	return 0;
}

int door_put_file(struct door *d, const char *path, int fd, uint64_t len, void (*progress)(void *arg, uint64_t done, uint64_t total),
		  void *arg, struct buf *reply, struct error *err)
{
	(void)d;
	(void)fd;
	(void)len;
	(void)progress;
	(void)arg;
	(void)reply;
	return error_set(err, ERR_FAILED, "PUT %s", path);
}

const char *door_kind(const struct door *d)
{
	(void)d;
	return "server";
}

static char keyid[KEY_FINGERPRINT_LEN];

static struct seckey *some_key(void *arg, const char *publisher, struct error *err)
{
	uint8_t raw[32] = {1};

	(void)arg;
	(void)publisher;
	return seckey_from_raw(KEY_ED25519, (struct slice){raw, sizeof(raw)}, err);
}

static int withdraw(int64_t floor, struct error *err)
{
	struct publication p = {.path = "lab/x/1", .key = some_key, .wary = true, .home = home, .now_s = NOW, .fd = -1};
	struct seckey *key = some_key(NULL, "", err);

	REQUIRE(key != NULL);
	key_id(keyid, seckey_public(key));
	seckey_free(key);
	snprintf(said, sizeof(said),
		 "{\"publishers\":[{\"name\":\"ci\",\"slices\":[\"lab/*/*\"],\"keyids\":[\"%s\"],\"version\":0}],"
		 "\"lives\":{\"publisher\":86400},\"release_floor\":%lld}",
		 keyid, (long long)floor);
	asked = 0;
	return publication_withdraw(&p, false, err);
}

TEST(publication_refuses_a_floor_of_releases_ahead_of_the_clock)
{
	struct error err = ERROR_INIT;

	REQUIRE(crypto_start(&err) == 0);
	snprintf(home, sizeof(home), "/nowhere");
	CHECK_INT(withdraw(NOW + REPO_VERSION_AHEAD_S + 1, &err), -1);
	CHECK_INT(err.kind, ERR_REFUSED);
	CHECK(strstr(err.text, "more than a day ahead of the clock") != NULL);
	CHECK_INT(asked, 1);
	CHECK_INT(withdraw(TUF_VERSION_MAX, &err), -1);
	CHECK_INT(err.kind, ERR_REFUSED);
	/* What a repository may have come to is no lie: the next request is made. */
	CHECK_INT(withdraw(NOW + REPO_VERSION_AHEAD_S, &err), -1);
	CHECK_STR(err.text, "GET /api/v1/artifacts/lab/x/1");
}

/* The publisher's file with two bins, and a file of a bin with so many paths of the bin in which lab/x/1 is, or of both. */
static void make_bins(bool both)
{
	struct descriptor d = {.kind = PAYLOAD_FILE, .release = 1, .placement = {.mode = 0644}};
	struct publish_change changes[8] = {{0}};
	char paths[ARRAY_SIZE(changes)][32];
	struct buf body = BUF_INIT(1u << 16);
	struct json_writer j = JSON_WRITER(&body);
	struct error err = ERROR_INIT;
	struct seckey *key = some_key(NULL, "", &err);
	struct tuf_signer signer;
	struct publish_terms terms = {.now_s = NOW, .life_s = 86400, .signers = &signer, .signer_count = 1};
	unsigned i, n = 0, here = 2;

	REQUIRE(key != NULL);
	tuf_signer_init(&signer, key);
	json_open_object(&j, NULL);
	json_put_string(&j, "_type", "targets");
	json_put_string(&j, "spec_version", "1.0.34");
	json_put_string(&j, "expires", "2036-01-01T00:00:00Z");
	json_put_int(&j, "version", 1);
	json_open_object(&j, "targets");
	json_close(&j);
	json_open_object(&j, "delegations");
	json_open_object(&j, "keys");
	pubkey_put_tuf(&j, signer.keyid, seckey_public(key));
	json_close(&j);
	json_open_object(&j, "succinct_roles");
	json_put_int(&j, "bit_length", 1);
	json_open_array(&j, "keyids");
	json_put_string(&j, NULL, signer.keyid);
	json_close(&j);
	json_put_string(&j, "name_prefix", "ci-bin");
	json_put_int(&j, "threshold", 1);
	json_close(&j);
	json_close(&j);
	json_close(&j);
	buf_clear(&publisher_file);
	REQUIRE(tuf_sign_canonical(&publisher_file, buf_slice(&body), &signer, 1, &err) == 0);
	for (i = 1; i <= ARRAY_SIZE(changes); i++) {
		uint8_t hash[SHA256_LEN];

		snprintf(paths[n], sizeof(paths[n]), "lab/x/%u", i);
		sha256_of(slice_str(paths[n]), hash);
		here = here == 2 ? hash[0] >> 7 : here;
		if (!both && hash[0] >> 7 != (int)here)
			continue;
		changes[n] = (struct publish_change){.path = paths[n], .length = 1, .descriptor = &d};
		n++;
	}
	REQUIRE(n > 1 && (both || n < ARRAY_SIZE(changes)));
	buf_clear(&bin_file);
	REQUIRE(publish_build(&bin_file, SLICE_EMPTY, changes, n, &terms, NULL, &err) == 0);
	buf_release(&body);
	seckey_free(key);
}

TEST(publication_refuses_the_file_of_another_bin)
{
	struct error err = ERROR_INIT;

	REQUIRE(crypto_start(&err) == 0);
	make_home();
	artifact = "{\"sha256\":\"" KEYID "\",\"bytes\":1}";
	make_bins(true);
	CHECK_INT(withdraw(0, &err), -1);
	CHECK_INT(err.kind, ERR_REFUSED);
	CHECK(strstr(err.text, "does not belong there") != NULL);
	/* All of one bin: signed, and on its way. */
	make_bins(false);
	CHECK_INT(withdraw(0, &err), -1);
	CHECK(strncmp(err.text, "PUT /api/v1/blobs/", 18) == 0);
	remove_home();
}
