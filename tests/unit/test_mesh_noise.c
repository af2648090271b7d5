/* Noise against the public vector, and against everything that is changed in a message. */
#include "tap.h"

#include "base/encode.h"
#include "crypto/key.h"
#include "crypto/x25519.h"
#include "mesh/aead.h"
#include "mesh/noise.h"
#include "mesh/record.h"

#define VECTOR "tests/data/noise/ikpsk2-25519-chachapoly-blake2b.txt"

/* The n-th value of that name in the file, from hex; its length. */
static size_t field(const char *name, int nth, uint8_t *out, size_t room)
{
	char line[2048];
	FILE *f = fopen(VECTOR, "r");
	size_t len = 0;

	REQUIRE(f != NULL);
	while (fgets(line, sizeof(line), f) != NULL) {
		size_t n = strlen(name);

		if (strncmp(line, name, n) != 0 || line[n] != ' ' || nth-- > 0)
			continue;
		len = (strcspn(line, "\n") - n - 1) / 2;
		REQUIRE(len <= room);
		REQUIRE(hex_decode(out, len, slice_of(line + n + 1, 2 * len), &(struct error){.kind = ERR_NONE}) == 0);
		break;
	}
	fclose(f);
	return len;
}

static void begin(struct noise *n, bool initiator)
{
	uint8_t prologue[64], psk[32], s[32], pub[32], rs[32], e[32];
	size_t len = field("prologue", 0, prologue, sizeof(prologue));

	REQUIRE(field("psk", 0, psk, 32) == 32);
	REQUIRE(field(initiator ? "init_static" : "resp_static", 0, s, 32) == 32);
	REQUIRE(field(initiator ? "init_ephemeral" : "resp_ephemeral", 0, e, 32) == 32);
	REQUIRE(field("init_remote_static", 0, rs, 32) == 32);
	x25519_public(pub, s);
	noise_init(n, initiator, slice_of(prologue, len), s, pub, initiator ? rs : NULL, psk);
	noise_set_ephemeral(n, e);
}

/* One message of the vector from a to b. */
static void say(struct noise *a, struct noise *b, int nth)
{
	uint8_t payload[64], want[256], got[256], back[256];
	size_t payload_len = field("payload", nth, payload, sizeof(payload)), len, back_len;
	size_t want_len = field("ciphertext", nth, want, sizeof(want));

	CHECK(noise_write(a, slice_of(payload, payload_len), got, sizeof(got), &len) == 0);
	CHECK(slice_equal(slice_of(got, len), slice_of(want, want_len)));
	CHECK(noise_read(b, slice_of(want, want_len), back, sizeof(back), &back_len) == 0);
	CHECK(slice_equal(slice_of(back, back_len), slice_of(payload, payload_len)));
}

/* A transport message under a key of Split: ChaCha20-Poly1305 with the counter little-endian, as Noise has it. */
static void transport(const uint8_t key[static 32], uint8_t counter, int nth)
{
	uint8_t buf[128], want[128], nonce[AEAD_NONCE_LEN] = {[4] = counter};
	size_t len = field("payload", nth, buf, sizeof(buf)), want_len = field("ciphertext", nth, want, sizeof(want));
	struct aead a;

	aead_init(&a, CIPHER_CHACHA20_POLY1305, key);
	aead_seal(&a, nonce, buf, len);
	CHECK(slice_equal(slice_of(buf, len + AEAD_TAG_LEN), slice_of(want, want_len)));
}

TEST(noise_is_what_the_public_vector_says)
{
	uint8_t hash[64], i_send[32], i_receive[32], r_send[32], r_receive[32];
	struct error err = ERROR_INIT;
	struct noise i, r;

	REQUIRE(crypto_start(&err) == 0);
	begin(&i, true);
	begin(&r, false);
	say(&i, &r, 0);
	say(&r, &i, 1);
	CHECK(field("handshake_hash", 0, hash, 64) == 64);
	CHECK(memcmp(i.h, hash, 64) == 0 && memcmp(r.h, hash, 64) == 0);
	noise_split(&i, i_send, i_receive);
	noise_split(&r, r_send, r_receive);
	CHECK(memcmp(i_send, r_receive, 32) == 0 && memcmp(i_receive, r_send, 32) == 0);
	transport(i_send, 0, 2);
	transport(r_send, 0, 3);
	transport(i_send, 1, 4);
	transport(r_send, 1, 5);
}

TEST(noise_refuses_a_message_changed_at_any_bit_or_cut)
{
	uint8_t m[256], bad[256], out[256];
	struct error err = ERROR_INIT;
	size_t len, n, i;
	struct noise r;

	REQUIRE(crypto_start(&err) == 0);
	len = field("ciphertext", 0, m, sizeof(m));
	for (i = 0; i < len * 8; i++) {
		memcpy(bad, m, len);
		bad[i / 8] ^= (uint8_t)(1 << i % 8);
		begin(&r, false);
		/* Even the top bit of an X25519 point, which the curve ignores, is in the hash. */
		CHECK(noise_read(&r, slice_of(bad, len), out, sizeof(out), &n) < 0);
		CHECK(r.stage == NOISE_FAILED);
	}
	for (i = 0; i < len; i++) {
		begin(&r, false);
		CHECK(noise_read(&r, slice_of(m, i), out, sizeof(out), &n) < 0);
	}
}

TEST(noise_refuses_what_is_not_its_turn_and_stays_failed)
{
	uint8_t m[256], out[256];
	struct error err = ERROR_INIT;
	size_t len, n;
	struct noise i, r;

	REQUIRE(crypto_start(&err) == 0);
	begin(&r, false);
	CHECK(noise_write(&r, SLICE_EMPTY, out, sizeof(out), &n) < 0);
	len = field("ciphertext", 0, m, sizeof(m));
	CHECK(noise_read(&r, slice_of(m, len), out, sizeof(out), &n) < 0);
	begin(&i, true);
	CHECK(noise_read(&i, slice_of(m, len), out, sizeof(out), &n) < 0);
	begin(&i, true);
	CHECK(noise_write(&i, SLICE_EMPTY, out, NOISE_MESSAGE_1_LEN - 1, &n) < 0);
	begin(&i, true);
	CHECK(noise_write(&i, SLICE_EMPTY, out, sizeof(out), &n) == 0);
	CHECK_INT(n, NOISE_MESSAGE_1_LEN);
	CHECK(noise_write(&i, SLICE_EMPTY, out, sizeof(out), &n) < 0);
}

TEST(noise_refuses_another_psk_prologue_and_points_of_small_order)
{
	static const uint8_t zero[32];
	uint8_t m[256], out[256];
	struct error err = ERROR_INIT;
	struct noise i, r;
	size_t n, len;

	REQUIRE(crypto_start(&err) == 0);
	/* The psk speaks in message 2. */
	begin(&i, true);
	begin(&r, false);
	r.psk[0] ^= 1;
	CHECK(noise_write(&i, SLICE_EMPTY, m, sizeof(m), &len) == 0);
	CHECK(noise_read(&r, slice_of(m, len), out, sizeof(out), &n) == 0);
	CHECK(noise_write(&r, SLICE_EMPTY, m, sizeof(m), &len) == 0);
	CHECK(noise_read(&i, slice_of(m, len), out, sizeof(out), &n) < 0);
	/* A prologue in message 1. */
	begin(&i, true);
	noise_init(&r, false, SLICE_LIT("another"), i.s_secret, i.rs, NULL, i.psk);
	CHECK(noise_write(&i, SLICE_EMPTY, m, sizeof(m), &len) == 0);
	CHECK(noise_read(&r, slice_of(m, len), out, sizeof(out), &n) < 0);
	/* A responder whose key is of small order is not called. */
	begin(&r, false);
	noise_init(&i, true, SLICE_EMPTY, r.s_secret, r.s_public, zero, r.psk);
	CHECK(noise_write(&i, SLICE_EMPTY, m, sizeof(m), &len) < 0);
	/* Nor is such an ephemeral key answered. */
	begin(&r, false);
	memset(m, 0, NOISE_MESSAGE_1_LEN);
	CHECK(noise_read(&r, slice_of(m, NOISE_MESSAGE_1_LEN), out, sizeof(out), &n) < 0);
}
