/* Key files: round trips, and every way in which one can be wrong. Sealed cheaply, but for one test. */
#include "tap.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/json.h"
#include "crypto/keyfile_format.h"
#include "sys/file.h"

#define CHEAP ((struct keyfile_cost){.ops = 1, .mem = KEYFILE_MEM_MIN})
#define PASS SLICE_LIT("correct horse")

static struct seckey *new_key(enum key_scheme scheme)
{
	struct error err = ERROR_INIT;
	struct seckey *k;

	REQUIRE(crypto_start(&err) == 0);
	k = seckey_generate(scheme, &err);
	REQUIRE(k != NULL);
	return k;
}

static struct buf text_of(const struct seckey *k, struct slice passphrase)
{
	struct keyfile info = {.name = "alice", .comment = "safe \"3\" \xc3\xbc", .created_s = 1700000000};
	struct buf text = BUF_SECRET(KEYFILE_SIZE_MAX);
	struct error err = ERROR_INIT;

	REQUIRE(keyfile_put(&text, &info, k, passphrase, CHEAP, &err) == 0);
	return text;
}

static int try_open(struct slice text, struct slice passphrase, struct error *err)
{
	struct keyfile_parts p;
	struct seckey *k;

	if (keyfile_parse(&p, text, err) < 0)
		return -1;
	k = keyfile_unseal(&p, passphrase, err);
	keyfile_parts_release(&p);
	seckey_free(k);
	return k == NULL ? -1 : 0;
}

/* The text with the first `from` replaced by `to`. */
static struct buf edited(struct slice text, const char *from, const char *to)
{
	struct buf out = BUF_SECRET(2 * KEYFILE_SIZE_MAX);
	const uint8_t *at = memmem(text.ptr, text.len, from, strlen(from));

	REQUIRE(at != NULL);
	buf_put(&out, text.ptr, (size_t)(at - text.ptr));
	buf_put_str(&out, to);
	buf_put_slice(&out, slice_sub(text, (size_t)(at - text.ptr) + strlen(from), SIZE_MAX));
	return out;
}

TEST(keyfile_round_trips)
{
	static const enum key_scheme schemes[] = {KEY_ED25519, KEY_ECDSA_P256};
	struct error err = ERROR_INIT;
	size_t i;
	int sealed;

	for (i = 0; i < 4; i++) {
		struct seckey *k = new_key(schemes[i / 2]), *again;
		struct keyfile_parts p;
		struct buf text;
		char id[KEY_FINGERPRINT_LEN];

		sealed = i % 2;
		text = text_of(k, sealed ? PASS : SLICE_EMPTY);
		REQUIRE(keyfile_parse(&p, buf_slice(&text), &err) == 0);
		CHECK_STR(p.info.name, "alice");
		CHECK_STR(p.info.comment, "safe \"3\" \xc3\xbc");
		CHECK_INT(p.info.created_s, 1700000000);
		CHECK_INT(p.info.sealed, sealed);
		CHECK(pubkey_equal(&p.info.pub, seckey_public(k)));
		key_id(id, seckey_public(k));
		CHECK_STR(p.info.keyid, id);
		again = keyfile_unseal(&p, sealed ? PASS : SLICE_EMPTY, &err);
		REQUIRE(again != NULL);
		CHECK(pubkey_equal(seckey_public(again), seckey_public(k)));
		keyfile_parts_release(&p);
		keyfile_parts_release(&p);
		seckey_free(again);
		seckey_free(k);
		buf_release(&text);
	}
}

TEST(wrong_passphrase_is_refused)
{
	static const struct slice wrong[] = {
		{(const uint8_t *)"Correct horse", 13},
		{(const uint8_t *)"correct horse\n", 14},
		{(const uint8_t *)"correct hors", 12},
	};
	struct seckey *k = new_key(KEY_ED25519);
	struct buf text = text_of(k, PASS);
	struct error err = ERROR_INIT;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		CHECK(try_open(buf_slice(&text), wrong[i], &err) < 0);
		CHECK_STR(err.text, "wrong passphrase or tampered file");
		CHECK_INT(err.kind, ERR_REFUSED);
	}
	CHECK(try_open(buf_slice(&text), SLICE_EMPTY, &err) < 0);
	CHECK_STR(err.text, "the key is sealed and no passphrase was given");
	CHECK(try_open(buf_slice(&text), PASS, &err) == 0);
	seckey_free(k);
	buf_release(&text);
}

/* Everything in the header is authenticated, not only the secret. */
TEST(tampered_headers_are_refused)
{
	static const struct {
		const char *from, *to;
	} edits[] = {
		{"\"alice\"", "\"malice\""},
		{"2023-11-14T22:13:20Z", "2023-11-14T22:13:21Z"},
		{"safe", "sane"},
		{"\"ops\": 1", "\"ops\": 2"},
		{"\"mem\": 8192", "\"mem\": 16384"},
	};
	struct seckey *k = new_key(KEY_ED25519);
	struct buf text = text_of(k, PASS);
	struct error err = ERROR_INIT;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(edits); i++) {
		struct buf bad = edited(buf_slice(&text), edits[i].from, edits[i].to);

		CHECK(try_open(buf_slice(&bad), PASS, &err) < 0);
		CHECK_STR(err.text, "wrong passphrase or tampered file");
		buf_release(&bad);
	}
	seckey_free(k);
	buf_release(&text);
}

/* Any byte of the file inverted: an error of some kind, and never another key. */
TEST(no_flipped_byte_opens)
{
	struct seckey *k = new_key(KEY_ED25519);
	struct buf text = text_of(k, PASS);
	struct error err = ERROR_INIT;
	size_t i;

	for (i = 0; i < text.len; i++) {
		bool is_space = memchr(" \n", text.ptr[i], 2) != NULL;

		text.ptr[i] ^= 0x01;
		if (try_open(buf_slice(&text), PASS, &err) == 0 && !is_space) {
			printf("# byte %zu\n", i);
			CHECK(false);
		}
		text.ptr[i] ^= 0x01;
	}
	seckey_free(k);
	buf_release(&text);
}

TEST(no_cut_file_opens)
{
	struct seckey *k = new_key(KEY_ECDSA_P256);
	struct buf text = text_of(k, SLICE_EMPTY);
	struct error err = ERROR_INIT;
	size_t i;

	for (i = 0; i + 2 < text.len; i++)
		CHECK(try_open(slice_sub(buf_slice(&text), 0, i), SLICE_EMPTY, &err) < 0);
	seckey_free(k);
	buf_release(&text);
}

TEST(costs_are_capped_before_anything_is_allocated)
{
	static const struct {
		const char *from, *to;
	} edits[] = {
		{"\"ops\": 1", "\"ops\": 17"},		{"\"ops\": 1", "\"ops\": 0"},
		{"\"mem\": 8192", "\"mem\": 1073741825"}, {"\"mem\": 8192", "\"mem\": 8191"},
		{"\"mem\": 8192", "\"mem\": -1"},	{"\"mem\": 8192", "\"mem\": 9223372036854775807"},
		{"argon2id", "argon2i"},		{"argon2id", "scrypt"},
	};
	struct seckey *k = new_key(KEY_ED25519);
	struct buf text = text_of(k, PASS);
	struct error err = ERROR_INIT;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(edits); i++) {
		struct buf bad = edited(buf_slice(&text), edits[i].from, edits[i].to);

		CHECK(try_open(buf_slice(&bad), PASS, &err) < 0);
		CHECK(err.kind == ERR_MALFORMED || err.kind == ERR_LIMIT);
		buf_release(&bad);
	}
	seckey_free(k);
	buf_release(&text);
}

TEST(malformed_files_are_refused)
{
	static const struct {
		const char *from, *to;
	} edits[] = {
		{"meshanics key 1", "meshanics key 2"},
		{"\"comment\": \"", "\"extra\": 1, \"comment\": \""},
		{"\"created\"", "\"made\""},
		{"\"alice\"", "\"../alice\""},
		{"\"alice\"", "7"},
		{"safe", "sa\\nfe"},
		{"safe", "\\u202e"},
		{"\"secret\"", "\"sealed\""},
		{"\"secret\": \"", "\"secret\": \"00"},
		{"\"ed25519\"", "\"rsa\""},
		{"T22", "T25"},
		{"{", "[{"},
	};
	struct seckey *k = new_key(KEY_ED25519);
	struct buf text = text_of(k, SLICE_EMPTY);
	struct error err = ERROR_INIT;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(edits); i++) {
		struct buf bad = edited(buf_slice(&text), edits[i].from, edits[i].to);

		if (try_open(buf_slice(&bad), SLICE_EMPTY, &err) == 0)
			printf("# accepted: %s\n", edits[i].to);
		CHECK(try_open(buf_slice(&bad), SLICE_EMPTY, &err) < 0);
		CHECK_INT(err.kind, ERR_MALFORMED);
		buf_release(&bad);
	}
	CHECK(try_open(SLICE_LIT("[]"), SLICE_EMPTY, &err) < 0);
	CHECK_STR(err.text, "not a key file: an array, not an object");
	seckey_free(k);
	buf_release(&text);
}

/* A file without a secret, for the key k and this URI. */
static struct buf token_text(const struct seckey *k, const char *uri)
{
	struct keyfile info = {.name = "alice", .comment = "safe 3", .created_s = 5, .pub = *seckey_public(k)};
	struct buf text = BUF_INIT(KEYFILE_SIZE_MAX);
	struct error err = ERROR_INIT;

	snprintf(info.uri, sizeof(info.uri), "%s", uri);
	REQUIRE(keyfile_put_token(&text, &info, &err) == 0);
	return text;
}

TEST(files_of_token_keys_round_trip)
{
	static const char *const uris[] = {"pkcs11:token=ops;id=%00?module-path=/m",
					   "pkcs11:token=ops;object=a?module-path=/m&pin-source=file:/pin"};
	struct seckey *k = new_key(KEY_ECDSA_P256);
	struct error err = ERROR_INIT;
	struct keyfile_parts p;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(uris); i++) {
		struct buf text = token_text(k, uris[i]);

		REQUIRE(keyfile_parse(&p, buf_slice(&text), &err) == 0);
		CHECK_STR(p.info.uri, uris[i]);
		CHECK_STR(p.info.comment, "safe 3");
		CHECK(keyfile_is_token(&p.info) && pubkey_equal(&p.info.pub, seckey_public(k)));
		CHECK_INT(p.info.sealed, i == 0);	/* somebody has to give the PIN */
		keyfile_parts_release(&p);
		buf_release(&text);
	}
	seckey_free(k);
}

TEST(malformed_files_of_token_keys_are_refused)
{
	static const struct {
		const char *from, *to;
	} edits[] = {
		{"\"token\":", "\"secret\": \"00\", \"token\":"},
		{"\"token\":", "\"nonce\": \"00\", \"token\":"},
		{"\"token\": \"", "\"token\": 1, \"x\": \""},
		{"\"key\":", "\"kdf\": {}, \"key\":"},
		{"pkcs11:", "pkcs12:"},
		{";id=%00", ""},
		{"module-path", "module-name"},
		{"token=ops;", ""},
	};
	struct seckey *k = new_key(KEY_ED25519);
	struct buf text = token_text(k, "pkcs11:token=ops;id=%00?module-path=/m");
	struct error err = ERROR_INIT;
	struct keyfile_parts p;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(edits); i++) {
		struct buf bad = edited(buf_slice(&text), edits[i].from, edits[i].to);

		if (keyfile_parse(&p, buf_slice(&bad), &err) == 0) {
			printf("# accepted: %s\n", edits[i].to);
			keyfile_parts_release(&p);
			CHECK(false);
		}
		CHECK_INT(err.kind, ERR_MALFORMED);
		buf_release(&bad);
	}
	buf_release(&text);
	seckey_free(k);
}

TEST(secret_of_another_key_is_refused)
{
	struct seckey *a = new_key(KEY_ED25519), *b = new_key(KEY_ED25519);
	struct buf at = text_of(a, SLICE_EMPTY), bt = text_of(b, SLICE_EMPTY), mixed = BUF_SECRET(KEYFILE_SIZE_MAX);
	struct error err = ERROR_INIT;
	size_t cut = (size_t)((uint8_t *)memmem(at.ptr, at.len, "\"secret\"", 8) - at.ptr);

	buf_put(&mixed, at.ptr, cut);
	buf_put(&mixed, bt.ptr + cut, bt.len - cut);
	CHECK(try_open(buf_slice(&mixed), SLICE_EMPTY, &err) < 0);
	CHECK_STR(err.text, "the secret is not that of the public key in the file");
	CHECK_INT(err.kind, ERR_REFUSED);
	seckey_free(a);
	seckey_free(b);
	buf_release(&at);
	buf_release(&bt);
	buf_release(&mixed);
}

/* The id that python's securesystemslib, and the specification, give to this key. */
TEST(key_ids_are_those_of_tuf)
{
	struct pubkey k = {.scheme = KEY_ED25519, .len = 32};
	struct error err = ERROR_INIT;
	struct buf text = BUF_INIT(4096);
	struct json_writer w = JSON_WRITER(&text);
	struct json doc = JSON_INIT;
	char id[KEY_FINGERPRINT_LEN];
	struct pubkey again;

	/* The public key of RFC 8032's TEST 2. */
	memcpy(k.data, "\x3d\x40\x17\xc3\xe8\x43\x89\x5a\x92\xb7\x0a\xa7\x4d\x1b\x7e\xbc"
		       "\x9c\x98\x2c\xcf\x2e\xc4\x96\x8c\xc0\xcd\x55\xf1\x2a\xf4\x66\x0c", 32);
	key_id(id, &k);
	/* printf '{"keytype":"ed25519","keyval":{"public":"3d40...660c"},"scheme":"ed25519"}' | sha256sum */
	CHECK_STR(id, "eaf1e23f6c823132f437a2eaa299a7950f7386631deff273db195bbd26209e2b");
	pubkey_put_tuf(&w, NULL, &k);
	REQUIRE(json_parse(&doc, buf_slice(&text), JSON_STRICT, &err) == 0);
	CHECK(pubkey_from_tuf(&again, json_root(&doc), &err) == 0);
	CHECK(pubkey_equal(&k, &again));
	json_release(&doc);
	buf_release(&text);
}

/* A directory of its own; removed by the caller. */
static int new_dir(char path[static 64])
{
	int fd;

	snprintf(path, 64, "/tmp/meshanics-test-XXXXXX");
	REQUIRE(mkdtemp(path) != NULL);
	fd = open(path, O_RDONLY | O_DIRECTORY);
	REQUIRE(fd >= 0);
	return fd;
}

TEST(keyfiles_on_disk)
{
	struct error err = ERROR_INIT;
	struct seckey *k = new_key(KEY_ED25519), *again;
	struct keyfile info;
	struct stat st;
	char dir[64];
	int fd = new_dir(dir);

	REQUIRE(keyfile_write(fd, "alice", k, SLICE_EMPTY, NULL, 5, &err) == 0);
	CHECK(fstatat(fd, "alice.key", &st, 0) == 0 && (st.st_mode & 07777) == 0600);
	CHECK(fstatat(fd, "alice.pub", &st, 0) == 0 && (st.st_mode & 07777) == 0644);
	CHECK(keyfile_write(fd, "alice", k, SLICE_EMPTY, NULL, 5, &err) < 0);
	CHECK_INT(err.kind, ERR_CONFLICT);
	CHECK(keyfile_write(fd, "../alice", k, SLICE_EMPTY, NULL, 5, &err) < 0);
	CHECK(keyfile_write(fd, "bob", k, SLICE_EMPTY, "two\nlines", 5, &err) < 0);
	CHECK_INT(err.kind, ERR_USAGE);
	CHECK(!file_exists(fd, "bob.key") && !file_exists(fd, "bob.pub"));
	CHECK(keyfile_read(fd, "alice.key", &info, &err) == 0);
	CHECK(!info.sealed);
	again = keyfile_open(fd, "alice.key", SLICE_EMPTY, &err);
	CHECK(again != NULL);
	seckey_free(again);
	/* A lone public file: the name is taken, and no key file is left behind. */
	CHECK(unlinkat(fd, "alice.key", 0) == 0);
	CHECK(keyfile_write(fd, "alice", k, SLICE_EMPTY, NULL, 5, &err) < 0);
	CHECK(!file_exists(fd, "alice.key"));
	CHECK(keyfile_read(fd, "alice.key", &info, &err) < 0);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
	CHECK(file_remove_tree(AT_FDCWD, dir, &err) == 0);
	close(fd);
	seckey_free(k);
}

TEST(group_readable_keyfiles_are_refused)
{
	struct error err = ERROR_INIT;
	struct seckey *k = new_key(KEY_ED25519);
	struct keyfile info;
	char dir[64];
	int fd = new_dir(dir);

	REQUIRE(keyfile_write(fd, "alice", k, SLICE_EMPTY, NULL, 5, &err) == 0);
	CHECK(fchmodat(fd, "alice.key", 0640, 0) == 0);
	CHECK(keyfile_read(fd, "alice.key", &info, &err) < 0);
	CHECK_INT(err.kind, ERR_REFUSED);
	CHECK(strstr(err.hint, "chmod 600") != NULL);
	CHECK(keyfile_open(fd, "alice.key", SLICE_EMPTY, &err) == NULL);
	CHECK(file_remove_tree(AT_FDCWD, dir, &err) == 0);
	close(fd);
	seckey_free(k);
}

TEST(passphrases_change)
{
	struct error err = ERROR_INIT;
	struct seckey *k = new_key(KEY_ED25519), *other = new_key(KEY_ED25519), *again;
	struct keyfile info;
	char dir[64];
	int fd = new_dir(dir);

	REQUIRE(keyfile_write(fd, "alice", k, SLICE_EMPTY, "c", 5, &err) == 0);
	CHECK(keyfile_reseal(fd, "alice.key", k, PASS, &err) == 0);
	CHECK(keyfile_read(fd, "alice.key", &info, &err) == 0);
	CHECK(info.sealed);
	CHECK_STR(info.comment, "c");
	CHECK_INT(info.created_s, 5);
	CHECK(keyfile_reseal(fd, "alice.key", other, PASS, &err) < 0);
	CHECK_INT(err.kind, ERR_REFUSED);
	again = keyfile_open(fd, "alice.key", PASS, &err);
	REQUIRE(again != NULL);
	CHECK(pubkey_equal(seckey_public(again), seckey_public(k)));
	CHECK(keyfile_reseal(fd, "alice.key", again, SLICE_EMPTY, &err) == 0);
	CHECK(keyfile_read(fd, "alice.key", &info, &err) == 0);
	CHECK(!info.sealed);
	CHECK(file_remove_tree(AT_FDCWD, dir, &err) == 0);
	close(fd);
	seckey_free(again);
	seckey_free(other);
	seckey_free(k);
}
