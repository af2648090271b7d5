/* Ciphers against published numbers, the replay window against a set, and sessions from end to end. */
#include "tap.h"

#include "base/encode.h"
#include "mesh_fixture.h"
#include "sys/rng.h"

static void check_aead(uint8_t cipher, const char *key_hex, const char *nonce_hex, struct slice plain, const char *want_hex)
{
	uint8_t key[32], nonce[12], buf[256], want[256];
	struct error err = ERROR_INIT;
	struct aead a;
	size_t i;

	REQUIRE(hex_decode(key, 32, slice_str(key_hex), &err) == 0);
	REQUIRE(hex_decode(nonce, 12, slice_str(nonce_hex), &err) == 0);
	REQUIRE(hex_decode(want, strlen(want_hex) / 2, slice_str(want_hex), &err) == 0);
	CHECK_INT(plain.len + 16, strlen(want_hex) / 2);
	aead_init(&a, cipher, key);
	if (plain.len > 0)
		memcpy(buf, plain.ptr, plain.len);
	aead_seal(&a, nonce, buf, plain.len);
	CHECK(memcmp(buf, want, plain.len + 16) == 0);
	for (i = 0; i < (plain.len + 16) * 8; i++) {
		memcpy(buf, want, plain.len + 16);
		buf[i / 8] ^= (uint8_t)(1 << i % 8);
		CHECK(aead_open(&a, nonce, buf, plain.len) < 0);
	}
	memcpy(buf, want, plain.len + 16);
	CHECK(aead_open(&a, nonce, buf, plain.len) == 0);
	CHECK(plain.len == 0 || memcmp(buf, plain.ptr, plain.len) == 0);
	aead_wipe(&a);
}

/* RFC 8439 2.8.2; its tag is over associated data, so that without is from tests/data/mesh/reference.py. */
TEST(chacha20_poly1305_is_that_of_rfc_8439)
{
	struct error err = ERROR_INIT;

	REQUIRE(crypto_start(&err) == 0);
	check_aead(CIPHER_CHACHA20_POLY1305, "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
		   "070000004041424344454647",
		   SLICE_LIT("Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
			     "sunscreen would be it."),
		   "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a9e"
		   "060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576"
		   "d26586cec64b6116"
		   "6a23a4681fd59456aea1d29f82477216");
}

/* Test cases 13 to 15 of McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B. */
TEST(aes_256_gcm_is_that_of_its_authors)
{
	static const uint8_t zero[16];
	uint8_t plain[64];
	struct error err = ERROR_INIT;

	REQUIRE(crypto_start(&err) == 0);
	if (aead_by_cipher(CIPHER_AES256_GCM) == NULL)
		SKIP("no AES instructions here");
	check_aead(CIPHER_AES256_GCM, "0000000000000000000000000000000000000000000000000000000000000000",
		   "000000000000000000000000", SLICE_EMPTY, "530f8afbc74536b9a963b4f1c4cb738b");
	check_aead(CIPHER_AES256_GCM, "0000000000000000000000000000000000000000000000000000000000000000",
		   "000000000000000000000000", slice_of(zero, 16),
		   "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");
	REQUIRE(hex_decode(plain, 64, SLICE_LIT("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
						"1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255"), &err) == 0);
	check_aead(CIPHER_AES256_GCM, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
		   "cafebabefacedbaddecaf888", slice_of(plain, 64),
		   "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
		   "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
		   "b094dac5d93471bdec1a502270e3cc6c");
}

TEST(the_cipher_is_the_best_that_both_have)
{
	struct error err = ERROR_INIT;

	REQUIRE(crypto_start(&err) == 0);
	CHECK(aead_ciphers() & CIPHER_CHACHA20_POLY1305);
	CHECK_INT(aead_choose(3, 3), CIPHER_AES256_GCM);
	CHECK_INT(aead_choose(3, 1), CIPHER_CHACHA20_POLY1305);
	CHECK_INT(aead_choose(1, 3), CIPHER_CHACHA20_POLY1305);
	CHECK_INT(aead_choose(3, 0xfd), CIPHER_CHACHA20_POLY1305);
	CHECK(aead_by_cipher(0) == NULL && aead_by_cipher(3) == NULL && aead_by_cipher(4) == NULL);
}

/* ---- replay ---- */

/* Everything that was accepted, as a list: right by being simple. */
struct naive {
	uint8_t seen[1 << 20];
	uint64_t highest;
	bool any;
};

static bool naive_accept(struct naive *n, uint64_t counter)
{
	if (n->any && n->highest >= REPLAY_WINDOW && counter <= n->highest - REPLAY_WINDOW)
		return false;
	if (n->seen[counter])
		return false;
	n->seen[counter] = 1;
	if (!n->any || counter > n->highest)
		n->highest = counter;
	n->any = true;
	return true;
}

static uint64_t near(uint64_t *seed, uint64_t at, uint64_t spread)
{
	uint64_t c = at + mesh_random(seed) % spread;

	return c < spread / 2 ? 0 : c - spread / 2;
}

TEST(the_replay_window_is_a_set_of_the_last_8192)
{
	static const uint64_t spreads[] = {2, 3, 64, 130, 8190, 8192, 8194, 20000, 65536};
	struct naive *n = calloc(1, sizeof(*n));
	uint64_t seed = 1, at = 0;
	struct replay r;
	unsigned round, i;

	REQUIRE(n != NULL);
	for (round = 0; round < 40; round++) {
		replay_init(&r);
		memset(n, 0, sizeof(*n));
		at = mesh_random(&seed) % 3 == 0 ? 0 : mesh_random(&seed) % 100000;
		for (i = 0; i < 5000; i++) {
			uint64_t spread = spreads[mesh_random(&seed) % ARRAY_SIZE(spreads)];
			uint64_t c = near(&seed, at, spread);
			bool would = replay_would_accept(&r, c), want;

			want = naive_accept(n, c);
			CHECK(would == want);
			CHECK((replay_accept(&r, c) == 0) == want);
			at = n->highest < 900000 ? n->highest + 1 : 1000;
		}
	}
	free(n);
}

TEST(the_replay_window_at_its_edges)
{
	struct replay r;

	replay_init(&r);
	CHECK(replay_accept(&r, 0) == 0 && replay_accept(&r, 0) < 0);
	CHECK(replay_accept(&r, 8191) == 0);
	CHECK(replay_accept(&r, 1) == 0 && replay_accept(&r, 0) < 0);
	CHECK(replay_accept(&r, 8192) == 0);
	CHECK(replay_accept(&r, 2) == 0);
	CHECK(!replay_would_accept(&r, 0));
	CHECK(replay_accept(&r, 1000000) == 0);
	CHECK(replay_accept(&r, 1000000 - 8191) == 0);
	CHECK(replay_accept(&r, 1000000 - 8192) < 0);
	CHECK(replay_accept(&r, SESSION_END_PACKETS) < 0);
	CHECK(replay_accept(&r, UINT64_MAX) < 0);
	CHECK(replay_accept(&r, SESSION_END_PACKETS - 1) == 0);
	CHECK(replay_accept(&r, SESSION_END_PACKETS - 1) < 0);
}

/* ---- sessions ---- */

static void pair(struct session **a, struct session **b, const struct mesh_net *net, uint8_t cipher)
{
	struct session_params pa = {.subkeys = &net->subkeys, .generation = 1, .local_index = 0x11111111,
				    .remote_index = 0x22222222, .initiator = true, .cipher = cipher, .now_ms = 1000};
	struct session_params pb = pa;

	rng_bytes(pa.send_key, 32);
	rng_bytes(pa.receive_key, 32);
	memcpy(pb.send_key, pa.receive_key, 32);
	memcpy(pb.receive_key, pa.send_key, 32);
	pb.local_index = pa.remote_index;
	pb.remote_index = pa.local_index;
	pb.initiator = false;
	memset(pa.peer, 0xbb, sizeof(pa.peer));
	memset(pb.peer, 0xaa, sizeof(pb.peer));
	*a = session_new(&pa);
	*b = session_new(&pb);
	CHECK(pa.send_key[0] == 0 && memcmp(pa.send_key, pa.receive_key, 32) == 0);
}

static enum session_verdict deliver(struct session *to, const struct mesh_net *net, const uint8_t *datagram, size_t len,
				    uint8_t *content, size_t *content_len)
{
	uint8_t copy[2048], clear[PACKET_HEADER_LEN];
	struct packet_header h;
	enum session_verdict v;

	memcpy(copy, datagram, len);
	if (packet_header_get(&net->subkeys, copy, len, &h, clear) < 0 || !packet_is_session(&h) ||
	    h.receiver != to->rx.local_index)
		return SESSION_FORGED;
	v = session_open(&to->rx, &h, clear, copy, len, content_len);
	if (v == SESSION_OK)
		memcpy(content, copy + PACKET_HEADER_LEN, *content_len);
	return v;
}

static void talk(uint8_t cipher)
{
	uint8_t datagram[2048], content[2048];
	struct session *a, *b;
	struct mesh_net net;
	size_t len, n, i;

	REQUIRE(net_init(&net) == 0);
	pair(&a, &b, &net, cipher);
	for (i = 0; i < 300; i++) {
		memset(datagram + PACKET_HEADER_LEN, (int)i, i);
		len = session_seal(&a->tx, PACKET_DATA, i % 2 ? PACKET_NO_CHECKSUM : 0, datagram, i);
		CHECK_INT(len, i + SESSION_OVERHEAD);
		CHECK(deliver(b, &net, datagram, len, content, &n) == SESSION_OK);
		CHECK(n == i && (i == 0 || (content[0] == (uint8_t)i && content[i - 1] == (uint8_t)i)));
		CHECK(deliver(b, &net, datagram, len, content, &n) == SESSION_REPLAYED);
		/* To the sender it means nothing. */
		CHECK(deliver(a, &net, datagram, len, content, &n) != SESSION_OK);
	}
	/* Changed anywhere, header included; cut or longer. */
	memset(datagram + PACKET_HEADER_LEN, 1, 40);
	len = session_seal(&b->tx, PACKET_CONTROL, 0, datagram, 40);
	for (i = 0; i < len * 8; i++) {
		datagram[i / 8] ^= (uint8_t)(1 << i % 8);
		CHECK(deliver(a, &net, datagram, len, content, &n) != SESSION_OK);
		datagram[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (i = 0; i < len; i++)
		CHECK(deliver(a, &net, datagram, i, content, &n) != SESSION_OK);
	datagram[len] = 0;
	CHECK(deliver(a, &net, datagram, len + 1, content, &n) != SESSION_OK);
	CHECK(deliver(a, &net, datagram, len, content, &n) == SESSION_OK);
	session_free(a);
	session_free(b);
}

TEST(packets_of_a_session_arrive_once_and_unchanged_with_chacha)
{
	talk(CIPHER_CHACHA20_POLY1305);
}

TEST(packets_of_a_session_arrive_once_and_unchanged_with_aes)
{
	struct error err = ERROR_INIT;

	REQUIRE(crypto_start(&err) == 0);
	if (aead_by_cipher(CIPHER_AES256_GCM) == NULL)
		SKIP("no AES instructions here");
	talk(CIPHER_AES256_GCM);
}

TEST(type_and_flags_are_part_of_the_nonce)
{
	uint8_t datagram[64] = {0}, clear[PACKET_HEADER_LEN];
	struct packet_header h;
	struct session *a, *b;
	struct mesh_net net;
	size_t len, n;

	REQUIRE(net_init(&net) == 0);
	pair(&a, &b, &net, CIPHER_CHACHA20_POLY1305);
	len = session_seal(&a->tx, PACKET_DATA, 0, datagram, 20);
	REQUIRE(packet_header_get(&net.subkeys, datagram, len, &h, clear) == 0);
	/* Somebody with the network's key gives it another flag. */
	clear[5] = PACKET_NO_CHECKSUM;
	h.flags = PACKET_NO_CHECKSUM;
	CHECK(session_open(&b->rx, &h, clear, datagram, len, &n) == SESSION_FORGED);
	session_free(a);
	session_free(b);
}

TEST(a_session_ends_by_count_and_by_time)
{
	uint8_t datagram[64] = {0};
	struct session *a, *b;
	struct mesh_net net;
	uint64_t first;

	REQUIRE(net_init(&net) == 0);
	pair(&a, &b, &net, CIPHER_CHACHA20_POLY1305);
	CHECK(session_alive(a, 1000) && !session_wants_rekey(a, 1000 + 119999));
	CHECK(session_wants_rekey(a, 1000 + 120000) && !session_wants_rekey(b, 1000 + 149999));
	CHECK(session_wants_rekey(b, 1000 + 150000));
	CHECK(session_alive(a, 1000 + 179999) && !session_alive(a, 1000 + 180000));
	atomic_store(&a->tx.counter, SESSION_REKEY_PACKETS - 1);
	CHECK(!session_wants_rekey(a, 1000));
	CHECK(session_seal(&a->tx, PACKET_DATA, 0, datagram, 1) != 0);
	CHECK(session_wants_rekey(a, 1000));
	atomic_store(&a->tx.counter, SESSION_END_PACKETS - 3);
	CHECK(session_take(&a->tx, 2, &first) == 0 && first == SESSION_END_PACKETS - 3);
	CHECK(session_take(&a->tx, 2, &first) < 0);
	CHECK(session_seal(&a->tx, PACKET_DATA, 0, datagram, 1) == 0);
	CHECK(!session_alive(a, 1000));
	session_free(a);
	session_free(b);
}
