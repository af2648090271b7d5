/* SSHSIG: ssh-keygen's signatures (tests/data/crypto), ours, and what must be refused. */
#include "tap.h"

#include <fcntl.h>

#include "base/encode.h"
#include "crypto/pem.h"
#include "crypto/sshsig.h"
#include "sys/file.h"

#define NAMESPACE "meshanics-artifact"

static struct buf file_of(const char *name)
{
	struct buf b = BUF_INIT(65536);
	struct error err = ERROR_INIT;
	char path[128];

	snprintf(path, sizeof(path), "tests/data/crypto/%s", name);
	REQUIRE(file_read(AT_FDCWD, path, &b, &err) == 0);
	return b;
}

static void load_key(struct pubkey *k, const char *name)
{
	struct buf pem = file_of(name);
	struct error err = ERROR_INIT;

	REQUIRE(crypto_start(&err) == 0);
	REQUIRE(pubkey_from_pem(k, buf_slice(&pem), &err) == 0);
	buf_release(&pem);
}

static struct seckey *fixed_key(enum key_scheme scheme)
{
	static const uint8_t raw[32] = {7, 7, 7};
	struct error err = ERROR_INIT;
	struct seckey *k;

	REQUIRE(crypto_start(&err) == 0);
	k = seckey_from_raw(scheme, slice_of(raw, sizeof(raw)), &err);
	REQUIRE(k != NULL);
	return k;
}

TEST(signatures_of_ssh_keygen_hold)
{
	static const char *const kinds[] = {"ed25519", "p256"};
	struct buf msg = file_of("message");
	uint8_t hash[SHA256_LEN], wide[SHA512_LEN];
	struct error err = ERROR_INIT;
	struct sha512 h;
	struct pubkey k;
	char name[64];
	size_t i;
	int bits;

	sha256_of(buf_slice(&msg), hash);
	sha512_init(&h);
	sha512_update(&h, msg.ptr, msg.len);
	sha512_final(&h, wide);
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct buf narrow_sig, wide_sig;

		snprintf(name, sizeof(name), "ssh-%s.pem", kinds[i]);
		load_key(&k, name);
		snprintf(name, sizeof(name), "sshsig-%s-sha256.sig", kinds[i]);
		narrow_sig = file_of(name);
		snprintf(name, sizeof(name), "sshsig-%s-sha512.sig", kinds[i]);
		wide_sig = file_of(name);
		CHECK(sshsig_hash_bits(buf_slice(&narrow_sig), &bits, &err) == 0 && bits == 256);
		CHECK(sshsig_hash_bits(buf_slice(&wide_sig), &bits, &err) == 0 && bits == 512);
		CHECK(sshsig_verify_sha256(&k, NAMESPACE, hash, buf_slice(&narrow_sig), &err) == 0);
		CHECK(sshsig_verify_sha512(&k, NAMESPACE, wide, buf_slice(&wide_sig), &err) == 0);
		CHECK(sshsig_verify_sha256(&k, NAMESPACE, hash, buf_slice(&wide_sig), &err) < 0);
		CHECK_STR(err.text, "SSH signature is over 'sha512', not 'sha256'");
		wide[0] ^= 1;
		CHECK(sshsig_verify_sha512(&k, NAMESPACE, wide, buf_slice(&wide_sig), &err) < 0);
		wide[0] ^= 1;
		buf_release(&narrow_sig);
		buf_release(&wide_sig);
	}
	buf_release(&msg);
}

TEST(ours_hold_for_their_message_key_and_namespace_only)
{
	static const enum key_scheme schemes[] = {KEY_ED25519, KEY_ECDSA_P256};
	uint8_t hash[SHA256_LEN] = {1, 2, 3};
	struct error err = ERROR_INIT;
	struct pubkey other;
	size_t i;

	load_key(&other, "ssh-ed25519.pem");
	for (i = 0; i < ARRAY_SIZE(schemes); i++) {
		struct seckey *k = fixed_key(schemes[i]);
		const struct pubkey *pub = seckey_public(k);
		struct buf sig = BUF_INIT(SSHSIG_SIZE_MAX);

		REQUIRE(sshsig_sign_sha256(k, NAMESPACE, hash, &sig, &err) == 0);
		CHECK(sshsig_verify_sha256(pub, NAMESPACE, hash, buf_slice(&sig), &err) == 0);
		CHECK(sshsig_verify_sha256(pub, "meshanics-bundle", hash, buf_slice(&sig), &err) < 0);
		CHECK_STR(err.text, "SSH signature has namespace 'meshanics-artifact', not 'meshanics-bundle'");
		CHECK_INT(err.kind, ERR_REFUSED);
		CHECK(sshsig_verify_sha256(&other, NAMESPACE, hash, buf_slice(&sig), &err) < 0);
		CHECK_STR(err.text, "SSH signature is by another key");
		hash[31] ^= 1;
		CHECK(sshsig_verify_sha256(pub, NAMESPACE, hash, buf_slice(&sig), &err) < 0);
		CHECK_INT(err.kind, ERR_REFUSED);
		hash[31] ^= 1;
		seckey_free(k);
		buf_release(&sig);
	}
}

/* Any bit of the binary form inverted, any end cut off, any byte added: never a yes. */
TEST(no_changed_signature_holds)
{
	uint8_t hash[SHA256_LEN] = {9};
	struct seckey *k = fixed_key(KEY_ED25519);
	struct buf text = BUF_INIT(SSHSIG_SIZE_MAX), blob = BUF_INIT(4096), bad = BUF_INIT(8192);
	struct error err = ERROR_INIT;
	size_t i;

	REQUIRE(sshsig_sign_sha256(k, NAMESPACE, hash, &text, &err) == 0);
	REQUIRE(pem_get(buf_slice(&text), "SSH SIGNATURE", &blob, &err) == 0);
	for (i = 0; i < blob.len * 8; i++) {
		blob.ptr[i / 8] ^= (uint8_t)(1 << i % 8);
		buf_clear(&bad);
		pem_put(&bad, "SSH SIGNATURE", buf_slice(&blob));
		CHECK(sshsig_verify_sha256(seckey_public(k), NAMESPACE, hash, buf_slice(&bad), &err) < 0);
		blob.ptr[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (i = 0; i < blob.len; i++) {
		buf_clear(&bad);
		pem_put(&bad, "SSH SIGNATURE", slice_sub(buf_slice(&blob), 0, i));
		CHECK(sshsig_verify_sha256(seckey_public(k), NAMESPACE, hash, buf_slice(&bad), &err) < 0);
		CHECK_INT(err.kind, ERR_MALFORMED);
	}
	buf_put_u8(&blob, 0);
	buf_clear(&bad);
	pem_put(&bad, "SSH SIGNATURE", buf_slice(&blob));
	CHECK(sshsig_verify_sha256(seckey_public(k), NAMESPACE, hash, buf_slice(&bad), &err) < 0);
	CHECK_STR(err.text, "SSH signature holds more than its fields");
	buf_release(&text);
	buf_release(&blob);
	buf_release(&bad);
	seckey_free(k);
}

TEST(oversized_signatures_are_refused)
{
	uint8_t hash[SHA256_LEN] = {9};
	struct seckey *k = fixed_key(KEY_ED25519);
	struct buf text = BUF_INIT(1 << 20);
	struct error err = ERROR_INIT;

	REQUIRE(sshsig_sign_sha256(k, NAMESPACE, hash, &text, &err) == 0);
	while (text.len <= SSHSIG_SIZE_MAX)
		buf_put_u8(&text, '\n');
	CHECK(sshsig_verify_sha256(seckey_public(k), NAMESPACE, hash, buf_slice(&text), &err) < 0);
	CHECK_INT(err.kind, ERR_LIMIT);
	buf_release(&text);
	seckey_free(k);
}

TEST(other_schemes_are_refused)
{
	struct buf sig = file_of("sshsig-ed25519-sha256.sig");
	uint8_t hash[SHA256_LEN] = {0};
	struct error err = ERROR_INIT;
	struct pubkey k;

	load_key(&k, "rsa2048.pem");
	CHECK(sshsig_verify_sha256(&k, NAMESPACE, hash, buf_slice(&sig), &err) < 0);
	CHECK_STR(err.text, "SSH signatures are not checked for keys of scheme rsassa-pss-sha256");
	buf_release(&sig);
}

/* Put text into dir/name. */
static void put_file(const char *dir, const char *name, struct slice text)
{
	struct error err = ERROR_INIT;
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	REQUIRE(file_create(AT_FDCWD, path, 0600, text, &err) == 0);
}

/* ssh-keygen on signature and message in dir: its exit status. */
static int ask_ssh_keygen(const char *dir, const char *namespace_)
{
	char command[512];
	int status;

	snprintf(command, sizeof(command),
		 "ssh-keygen -Y verify -f %s/signers -I me -n %s -s %s/sig <%s/message >%s/out 2>&1", dir, namespace_,
		 dir, dir, dir);
	status = system(command);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(ssh_keygen_takes_ours)
{
	static const enum key_scheme schemes[] = {KEY_ED25519, KEY_ECDSA_P256};
	struct error err = ERROR_INIT;
	uint8_t hash[SHA256_LEN];
	size_t i;

	if (system("command -v ssh-keygen >/dev/null 2>&1") != 0)
		SKIP("ssh-keygen is not installed");
	sha256_of(SLICE_LIT("the artifact\n"), hash);
	for (i = 0; i < ARRAY_SIZE(schemes); i++) {
		struct seckey *k = fixed_key(schemes[i]);
		struct buf sig = BUF_INIT(SSHSIG_SIZE_MAX), signers = BUF_INIT(4096);
		char dir[] = "/tmp/meshanics-test-XXXXXX";

		REQUIRE(mkdtemp(dir) != NULL);
		REQUIRE(sshsig_sign_sha256(k, NAMESPACE, hash, &sig, &err) == 0);
		buf_put_str(&signers, "me ");
		pubkey_put_ssh(&signers, seckey_public(k), NULL);
		buf_put_str(&signers, "\n");
		put_file(dir, "signers", buf_slice(&signers));
		put_file(dir, "sig", buf_slice(&sig));
		put_file(dir, "message", SLICE_LIT("the artifact\n"));
		CHECK_INT(ask_ssh_keygen(dir, NAMESPACE), 0);
		CHECK(ask_ssh_keygen(dir, "file") != 0);
		CHECK(file_remove_tree(AT_FDCWD, dir, &err) == 0);
		seckey_free(k);
		buf_release(&sig);
		buf_release(&signers);
	}
}
