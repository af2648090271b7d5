/* SHA-256 in every hand that runs here, against each other, the standard's examples and openssl. */
#include "tap.h"

#include <fcntl.h>

#include "base/buf.h"
#include "base/encode.h"
#include "crypto/hash.h"
#include "crypto/sha256_code.h"

static const char *const implementations[] = {"portable", "sha-ni", "armv8"};

static void sha256_hex(struct slice s, char hex[static SHA256_HEX_LEN])
{
	uint8_t out[SHA256_LEN];

	sha256_of(s, out);
	hex_encode(hex, out, sizeof(out));
}

/* Bytes that look random and are the same in every run. */
static void fill(uint8_t *p, size_t n)
{
	uint32_t x = 2463534242u;
	size_t i;

	for (i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		p[i] = (uint8_t)x;
	}
}

static void check_examples(void)
{
	static const struct {
		const char *text, *hex;
	} examples[] = {
		{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
		{"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmno"
		 "ijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
		 "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
	};
	char hex[SHA256_HEX_LEN];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(examples); i++) {
		sha256_hex(slice_str(examples[i].text), hex);
		CHECK_STR(hex, examples[i].hex);
	}
}

TEST(sha256_examples_of_the_standard)
{
	struct error err = ERROR_INIT;
	size_t i, ran = 0;

	for (i = 0; i < ARRAY_SIZE(implementations); i++) {
		if (sha256_force(implementations[i], &err) < 0)
			continue;
		CHECK_STR(sha256_implementation(), implementations[i]);
		check_examples();
		ran++;
	}
	printf("# %zu implementations run here\n", ran);
	CHECK(ran >= 1);
}

TEST(sha256_million_times_a)
{
	char hex[SHA256_HEX_LEN];
	uint8_t *a = xmalloc(1000000);

	memset(a, 'a', 1000000);
	sha256_hex(slice_of(a, 1000000), hex);
	CHECK_STR(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
	free(a);
}

TEST(sha256_implementations_agree_on_every_length)
{
	uint8_t data[600], want[SHA256_LEN], got[SHA256_LEN];
	struct error err = ERROR_INIT;
	size_t n, i;

	fill(data, sizeof(data));
	for (n = 0; n + 3 <= sizeof(data); n++) {
		REQUIRE(sha256_force("portable", &err) == 0);
		sha256_of(slice_of(data + n % 3, n), want);	/* also from odd addresses */
		for (i = 1; i < ARRAY_SIZE(implementations); i++) {
			if (sha256_force(implementations[i], &err) < 0)
				continue;
			sha256_of(slice_of(data + n % 3, n), got);
			CHECK(memcmp(want, got, SHA256_LEN) == 0);
		}
	}
}

TEST(sha256_does_not_care_how_it_is_fed)
{
	uint8_t data[1000], want[SHA256_LEN], got[SHA256_LEN];
	struct sha256 h;
	size_t step, at, n;

	fill(data, sizeof(data));
	sha256_of(slice_of(data, sizeof(data)), want);
	for (step = 1; step <= 200; step++) {
		sha256_init(&h);
		for (at = 0; at < sizeof(data); at += n) {
			n = sizeof(data) - at < step ? sizeof(data) - at : step;
			sha256_update(&h, data + at, n);
		}
		sha256_update(&h, NULL, 0);
		sha256_final(&h, got);
		CHECK(memcmp(want, got, SHA256_LEN) == 0);
	}
}

TEST(sha256_unknown_implementation_is_refused)
{
	struct error err = ERROR_INIT;

	CHECK(sha256_force("abacus", &err) < 0);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
}

TEST(sha512_example_of_the_standard)
{
	uint8_t out[SHA512_LEN];
	char hex[2 * SHA512_LEN + 1];
	struct sha512 h;

	sha512_init(&h);
	sha512_update(&h, "a", 1);
	sha512_update(&h, "bc", 2);
	sha512_final(&h, out);
	hex_encode(hex, out, sizeof(out));
	CHECK_STR(hex, "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
		       "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

static void count_progress(void *arg, uint64_t done)
{
	*(uint64_t *)arg = done;
}

/* The file has an odd length over several parts, and openssl (where it is) is asked for its opinion. */
TEST(sha256_of_a_file_is_what_openssl_says)
{
	size_t n = 3 * 1024 * 1024 + 12345;
	char path[] = "/tmp/meshanics-test-XXXXXX", command[128], theirs[SHA256_HEX_LEN], ours[SHA256_HEX_LEN];
	uint64_t len = 0, seen = 0;
	struct error err = ERROR_INIT;
	uint8_t *data = xmalloc(n), out[SHA256_LEN];
	int fd = mkstemp(path);
	FILE *p;

	REQUIRE(fd >= 0);
	fill(data, n);
	REQUIRE(write(fd, data, n) == (ssize_t)n);
	CHECK(sha256_file(fd, out, &len, count_progress, &seen, &err) == 0);
	CHECK_INT(len, n);
	CHECK_INT(seen, n);
	hex_encode(ours, out, sizeof(out));
	snprintf(command, sizeof(command), "openssl dgst -sha256 -r %s 2>/dev/null", path);
	p = popen(command, "r");
	REQUIRE(p != NULL);
	theirs[0] = '\0';
	if (fgets(theirs, sizeof(theirs), p) != NULL)
		CHECK_STR(ours, theirs);
	pclose(p);
	close(fd);
	unlink(path);
	free(data);
	if (theirs[0] == '\0')
		SKIP("openssl is not installed");
}

TEST(sha256_of_a_directory_fails)
{
	struct error err = ERROR_INIT;
	uint8_t out[SHA256_LEN];
	int fd = open("/", O_RDONLY);
	uint64_t len;

	CHECK(sha256_file(fd, out, &len, NULL, NULL, &err) < 0);
	CHECK_INT(err.kind, ERR_FAILED);
	close(fd);
}
