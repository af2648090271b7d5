/* Records: what one says comes back, and whatever breaks its form or its signature does not. */
#include "tap.h"

#include <sodium.h>

#include "mesh/bytes.h"
#include "mesh_fixture.h"

TEST(a_record_comes_back)
{
	struct error err = ERROR_INIT;
	struct mesh_record r;
	struct mesh_node n;
	struct mesh_net net;
	uint8_t id[NODE_ID_LEN];
	uint64_t sequence;
	uint32_t epoch;

	REQUIRE(net_init(&net) == 0 && node_init(&n, &net, "nas") == 0);
	REQUIRE(record_parse(&r, buf_slice(&n.bytes), &net.addressing, &err) == 0);
	CHECK(memcmp(r.id, n.key.id, NODE_ID_LEN) == 0);
	CHECK_STR(r.name, "nas");
	CHECK_INT(r.sequence, 7);
	CHECK_INT(r.boot_epoch, 3);
	CHECK_INT(r.claims_count, 1);
	CHECK_INT(r.claims[0].claimed_at_s, FIXTURE_CREATED + 60);
	CHECK(endpoint_equal(&r.endpoints[0].at, &n.record.endpoints[0].at));
	CHECK_STR(r.forwards[0].name, "printer");
	CHECK_INT(record_length(&r), n.bytes.len);
	CHECK_INT(r.forwards[0].slot, 2);
	CHECK(record_peek(buf_slice(&n.bytes), id, &sequence, &epoch) == 0);
	CHECK(memcmp(id, n.key.id, NODE_ID_LEN) == 0 && sequence == 7 && epoch == 3);
	node_release(&n);
}

TEST(a_record_changed_at_any_byte_or_cut_is_refused)
{
	struct error err = ERROR_INIT;
	struct mesh_net net, other;
	struct mesh_record r;
	struct mesh_node n;
	size_t i;

	REQUIRE(net_init(&net) == 0 && net_init(&other) == 0 && node_init(&n, &net, "nas") == 0);
	for (i = 0; i < n.bytes.len; i++) {
		n.bytes.ptr[i] ^= 0x01;
		CHECK(record_parse(&r, buf_slice(&n.bytes), &net.addressing, &err) < 0);
		n.bytes.ptr[i] ^= 0x01;
		CHECK(record_parse(&r, slice_of(n.bytes.ptr, i), &net.addressing, &err) < 0);
	}
	buf_put_u8(&n.bytes, 0);
	CHECK(record_parse(&r, buf_slice(&n.bytes), &net.addressing, &err) < 0);
	n.bytes.len--;
	/* A record is of one network: a node may use the same keys nowhere else. */
	CHECK(record_parse(&r, buf_slice(&n.bytes), &other.addressing, &err) < 0);
	CHECK_INT(err.kind, ERR_REFUSED);
	node_release(&n);
}

/* The node's record after a change, which must be refused by its writer, as by every reader. */
static void expect_refused(struct mesh_node *n, const struct mesh_net *net, const char *why)
{
	struct buf out = BUF_INIT(RECORD_LEN_MAX);
	struct error err = ERROR_INIT;

	CHECK(record_put(&out, &n->record, &n->key, &net->addressing, &err) < 0);
	if (strstr(err.text, why) == NULL)
		CHECK_STR(err.text, why);
	CHECK_INT(out.len, 0);
	buf_release(&out);
}

TEST(a_record_with_bad_content_is_refused)
{
	struct mesh_record good;
	struct mesh_node n;
	struct mesh_net net;

	REQUIRE(net_init(&net) == 0 && node_init(&n, &net, "nas") == 0);
	good = n.record;
#define BAD(change, why)                        \
	do {                                    \
		n.record = good;                \
		change;                         \
		expect_refused(&n, &net, why);  \
	} while (0)
	BAD(n.record.sequence = 0, "no sequence");
	BAD(n.record.ciphers = CIPHER_AES256_GCM, "no cipher");
	BAD(n.record.made_at_s = MESH_TIME_MAX + 1, "impossible date");
	BAD(n.record.name[0] = '\0', "has 0 bytes");
	BAD(n.record.name[0] = 'N', "is no name of the mesh");
	BAD(n.record.name[0] = '-', "is no name of the mesh");
	BAD(n.record.name[2] = '-', "is no name of the mesh");
	BAD(n.record.name[1] = '.', "is no name of the mesh");
	BAD(n.record.claims[0].ordinal = 13, "not in order");
	BAD((n.record.claims_count = 2, n.record.claims[1] = good.claims[0]), "not in order");
	BAD(n.record.claims[0].claimed_at_s = MESH_TIME_MAX + 1, "impossible date");
	BAD(n.record.claims_count = CLAIMS_MAX + 1, "room for");
	BAD(n.record.claims_count = 0, "whose place or name");
	BAD(n.record.endpoints[0].at.port = 0, "nobody may send");
	BAD(n.record.endpoints[0].at.addr[0] = 127, "nobody may send");
	BAD(n.record.endpoints[0].at.addr[0] = 0, "nobody may send");
	BAD(n.record.endpoints[0].at.addr[0] = 239, "nobody may send");
	BAD(memset(n.record.endpoints[0].at.addr, 255, 4), "nobody may send");
	BAD(put_be32(n.record.endpoints[0].at.addr, net.key.range.v4 + 9), "nobody may send");
	BAD(n.record.endpoints[0].at.family = ENDPOINT_NONE, "unknown family");
	BAD((n.record.endpoints[0].at.family = ENDPOINT_V6, n.record.endpoints[0].at.addr[0] = 0xff), "nobody may send");
	BAD((n.record.endpoints[0].at.family = ENDPOINT_V6,
	     block_v6(&net.addressing, 5, 1, n.record.endpoints[0].at.addr)), "nobody may send");
	BAD(n.record.forwards[0].slot = 1, "whose place or name");
	BAD(n.record.forwards[0].slot = 7, "whose place or name");
	BAD(n.record.forwards[0].ordinal = 1, "whose place or name");
	BAD(memcpy(n.record.forwards[0].name, "nas", 4), "whose place or name");
	BAD(n.record.forwards[0].name[0] = '\0', "has 0 bytes");
	BAD((n.record.forwards_count = 2, n.record.forwards[1] = good.forwards[0], n.record.forwards[1].slot = 3),
	    "whose place or name");
	BAD((n.record.forwards_count = 2, n.record.forwards[1] = good.forwards[0], n.record.forwards[1].name[0] = 'q'),
	    "whose place or name");
#undef BAD
	n.record = good;
	n.record.claims[0].claimed_at_s = CLAIM_TIME_UNKNOWN;
	n.bytes.len = 0;
	CHECK(record_put(&n.bytes, &n.record, &n.key, &net.addressing, &(struct error){.kind = ERR_NONE}) == 0);
	node_release(&n);
}

TEST(a_record_has_a_ceiling_and_room_for_later_versions)
{
	uint8_t secret[crypto_sign_SECRETKEYBYTES], public[32], whole[2048];
	struct buf more = BUF_INIT(RECORD_LEN_MAX);
	struct error err = ERROR_INIT;
	struct mesh_record r;
	struct mesh_node n;
	struct mesh_net net;
	size_t i;

	REQUIRE(net_init(&net) == 0 && node_init(&n, &net, "nas") == 0);
	/* Unknown bytes before the signature are skipped, by a reader that was there first. */
	buf_put(&more, n.bytes.ptr, n.bytes.len - 64);
	buf_put_str(&more, "of a later version");
	memcpy(whole, "meshanics-mesh-1 record", 24);
	memcpy(whole + 24, net.key.id, 16);
	memcpy(whole + 40, more.ptr, more.len);
	crypto_sign_seed_keypair(public, secret, n.key.sign_seed);
	REQUIRE(buf_reserve(&more, 64));
	crypto_sign_detached(more.ptr + more.len, NULL, whole, 40 + more.len, secret);
	more.len += 64;
	CHECK(record_parse(&r, buf_slice(&more), &net.addressing, &err) == 0);
	CHECK_STR(r.name, "nas");
	/* Forwards with long names are too many at some point, and the hint says what to do. */
	for (i = 0; i < 20; i++) {
		n.record.forwards[i] = n.record.forwards[0];
		n.record.forwards[i].ordinal = (uint8_t)(i / 5);
		n.record.forwards[i].slot = (uint8_t)(2 + i % 5);
		snprintf(n.record.forwards[i].name, 64, "a-printer-with-a-name-that-is-rather-long-and-longer-still-%02zu", i % 100);
	}
	for (i = 0; i < 4; i++)
		n.record.claims[i] = (struct claim){.ordinal = (uint16_t)i, .claimed_at_s = FIXTURE_CREATED};
	n.record.claims_count = 4;
	n.record.forwards_count = 20;
	CHECK(record_put(&n.bytes, &n.record, &n.key, &net.addressing, &err) < 0);
	CHECK_INT(err.kind, ERR_LIMIT);
	CHECK_STR(err.hint, "have fewer forwards, or shorter names for them");
	buf_release(&more);
	node_release(&n);
}

TEST(a_digest_is_what_another_implementation_makes)
{
	uint8_t sign[32], stat[32], id[NODE_ID_LEN];
	struct error err = ERROR_INIT;

	REQUIRE(crypto_start(&err) == 0);
	memset(sign, 1, 32);
	memset(stat, 2, 32);
	node_id_of(id, sign, stat);
	CHECK(record_digest(id, 7) == UINT64_C(0xc7b41dd2d97e0e78));
}
