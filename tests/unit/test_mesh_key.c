/* Keys of the mesh, what follows from them, and who believes which rotation. */
#include "tap.h"

#include "base/encode.h"
#include "mesh/bytes.h"
#include "mesh/stay.h"
#include "mesh_fixture.h"

/* Made by tests/data/mesh/reference.py, which follows the page and shares no code. */
#define EXAMPLE "mrk1AAECAwQFBgcICQoLDA0ODwAAAAEAAAAAawpkgAAAAAAAAAAAxhIgABNeXl5eXl5eXl5eXl5eXl5eXl5eXl5eXl5eXl5eXl5eXgoKCgoKCgoK" \
		"CgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKBGhvbWUQ7YOW"

static void check_hex(const uint8_t *got, size_t n, const char *want)
{
	char hex[129];

	hex_encode(hex, got, n);
	CHECK_STR(hex, want);
}

TEST(a_network_key_is_what_another_implementation_makes)
{
	struct buf text = BUF_SECRET(NETKEY_TEXT_MAX);
	struct error err = ERROR_INIT;
	uint8_t commitment[32];
	struct subkeys s;
	struct netkey k;

	REQUIRE(netkey_parse(&k, SLICE_LIT(EXAMPLE), &err) == 0);
	CHECK_STR(k.name, "home");
	CHECK_INT(k.generation, 1);
	CHECK_INT(k.created_s, FIXTURE_CREATED);
	CHECK_INT(k.expires_s, 0);
	CHECK_INT(k.range.prefix, 19);
	netkey_put(&text, &k);
	CHECK_STR(buf_cstr(&text), EXAMPLE);
	netkey_subkeys(&s, &k);
	check_hex(s.psk, 32, "98b3f95878c25f9cc31bb76632089c92f3e85b6e52373206119ea12d96bfd3f2");
	check_hex(s.outer, 32, "c69c4e559fdf4c7ceabbadf92353b6d5ccd40857a0eb8e2f88ea745a8a5d018c");
	check_hex(s.mask, 16, "687fef8946ddb4fdda105b32302a7501");
	check_hex(s.rv, 32, "add0e3bf06d3a990dab91334dc57bd4cbd83e0d127c4a5f25e25fd48274a6184");
	netkey_commitment(commitment, &k);
	check_hex(commitment, 32, "f7f164d467cb5bcd158405f67ac39424301530f3f09a8d3259e6fd7e16c45dc5");
	buf_release(&text);
}

TEST(a_network_key_comes_back_and_no_other_text_does)
{
	struct buf text = BUF_SECRET(NETKEY_TEXT_MAX + 8);
	struct error err = ERROR_INIT;
	struct netkey again;
	struct mesh_net net;
	size_t i;

	REQUIRE(net_init(&net) == 0);
	netkey_put(&text, &net.key);
	REQUIRE(!text.failed && netkey_parse(&again, buf_slice(&text), &err) == 0);
	CHECK(same_netkey(&again, &net.key));
	for (i = 0; i < text.len; i++) {
		uint8_t was = text.ptr[i];

		text.ptr[i] = was == 'A' ? 'B' : 'A';
		CHECK(netkey_parse(&again, buf_slice(&text), &err) < 0 && err.kind == ERR_MALFORMED);
		text.ptr[i] = was;
		CHECK(netkey_parse(&again, slice_of(text.ptr, i), &err) < 0);
	}
	buf_put_str(&text, "A");
	CHECK(netkey_parse(&again, buf_slice(&text), &err) < 0);
	CHECK(netkey_parse(&again, SLICE_LIT(" \n" EXAMPLE "\r\n"), &err) == 0);
	CHECK(netkey_parse(&again, SLICE_LIT("mro1" EXAMPLE), &err) < 0);
	CHECK_STR(err.text, "this is not a network key");
	CHECK_STR(err.hint, "it begins with 'mrk1'");
	buf_release(&text);
}

/* The bytes of the network's key with one change, read again. */
static void expect_bad(const struct mesh_net *net, size_t at, const char *hex, const char *why)
{
	struct buf b = BUF_SECRET(NETKEY_BYTES_MAX);
	struct error err = ERROR_INIT;
	struct netkey k;

	netkey_encode(&b, &net->key);
	REQUIRE(hex_decode(b.ptr + at, strlen(hex) / 2, slice_str(hex), &err) == 0);
	CHECK(netkey_decode(&k, buf_slice(&b), &err) < 0);
	CHECK_INT(err.kind, ERR_MALFORMED);
	if (strstr(err.text, why) == NULL)
		CHECK_STR(err.text, why);
	buf_release(&b);
}

TEST(a_network_key_with_impossible_content_is_refused)
{
	struct mesh_net net;

	REQUIRE(net_init(&net) == 0);
	expect_bad(&net, 16, "00000000", "generation 0");
	expect_bad(&net, 20, "ffffffffffffffff", "impossible dates");
	expect_bad(&net, 28, "0000000000000001", "impossible dates");
	expect_bad(&net, 36, "0808080018", "not in a private range");
	expect_bad(&net, 36, "7f0000000f", "not in a private range");
	expect_bad(&net, 36, "c61220010f", "has bits behind its prefix");
	expect_bad(&net, 36, "0a0000000c", "has a prefix that is not 13 to 26");
	expect_bad(&net, 36, "c612000020", "has a prefix that is not 13 to 26");
	/* 198.18.0.0/15 ends at 198.19: a /14 would reach beyond it. */
	expect_bad(&net, 36, "c61000000e", "not in a private range");
	expect_bad(&net, 105, "00", "does not fit its form");
	expect_bad(&net, 105, "05", "does not fit its form");
	expect_bad(&net, 106, "1b", "cannot be printed");
	expect_bad(&net, 106, "c0af", "cannot be printed");
}

TEST(keys_that_differ_in_anything_but_the_name_have_other_subkeys)
{
	struct mesh_net net;
	struct subkeys s;
	struct netkey k;
	int i;

	REQUIRE(net_init(&net) == 0);
	for (i = 0; i < 7; i++) {
		k = net.key;
		k.id[0] ^= i == 0;
		k.generation += i == 1;
		k.created_s += i == 2;
		k.expires_s = i == 3 ? FIXTURE_CREATED + 9 : 0;
		k.range.v4 += i == 4 ? 0x2000 : 0;
		k.owner[31] ^= i == 5;
		k.secret[31] ^= i == 6;
		netkey_subkeys(&s, &k);
		CHECK(memcmp(s.psk, net.subkeys.psk, 32) != 0);
		CHECK(memcmp(s.outer, net.subkeys.outer, 32) != 0);
		CHECK(memcmp(s.mask, net.subkeys.mask, 16) != 0);
		CHECK(memcmp(s.rv, net.subkeys.rv, 32) != 0);
	}
	k = net.key;
	memcpy(k.name, "away", 5);
	netkey_subkeys(&s, &k);
	CHECK(memcmp(&s, &net.subkeys, sizeof(s)) == 0);
	CHECK(netkey_same_network(&k, &net.key));
}

TEST(keys_of_owner_and_node_come_back)
{
	struct buf text = BUF_SECRET(KEY_TEXT_MAX);
	struct error err = ERROR_INIT;
	struct ownerkey owner;
	struct nodekey node, again;
	struct mesh_net net;

	REQUIRE(net_init(&net) == 0);
	ownerkey_put(&text, &net.owner);
	CHECK(!text.failed && ownerkey_parse(&owner, buf_slice(&text), &err) == 0);
	CHECK(memcmp(&owner, &net.owner, sizeof(owner)) == 0);
	text.ptr[20] ^= 1;
	CHECK(ownerkey_parse(&owner, buf_slice(&text), &err) < 0);
	buf_clear(&text);
	nodekey_generate(&node);
	nodekey_put(&text, &node);
	CHECK(!text.failed && nodekey_parse(&again, buf_slice(&text), &err) == 0);
	CHECK(memcmp(&again, &node, sizeof(node)) == 0);
	CHECK(ownerkey_parse(&owner, buf_slice(&text), &err) < 0);
	CHECK(nodekey_parse(&again, slice_sub(buf_slice(&text), 0, text.len - 1), &err) < 0);
	buf_release(&text);
}

TEST(a_network_is_not_made_with_bad_words)
{
	struct range range = range_default(3), bad = {.v4 = 0x08080800, .prefix = 24};
	struct error err = ERROR_INIT;
	struct ownerkey owner;
	struct netkey k;

	CHECK(netkey_generate(&k, &owner, SLICE_EMPTY, &range, 100, 0, &err) < 0 && err.kind == ERR_USAGE);
	CHECK(netkey_generate(&k, &owner, SLICE_LIT("a\tb"), &range, 100, 0, &err) < 0 && err.kind == ERR_USAGE);
	CHECK(netkey_generate(&k, &owner, SLICE_LIT("a"), &range, 100, 100, &err) < 0 && err.kind == ERR_USAGE);
	CHECK(netkey_generate(&k, &owner, SLICE_LIT("a"), &bad, 100, 0, &err) < 0 && err.kind == ERR_REFUSED);
	CHECK(netkey_generate(&k, &owner, SLICE_LIT("Caf\xc3\xa9 au lait"), &range, 100, 101, &err) == 0);
}

/* ---- stay lists and rotations ---- */

struct rotation {
	struct mesh_net net;
	struct netkey next;
	struct nodekey stays, goes;
	struct buf list, bytes;
};

static void rotation_init(struct rotation *r)
{
	uint8_t ids[3][NODE_ID_LEN];
	struct error err = ERROR_INIT;
	struct nodekey other;

	REQUIRE(net_init(&r->net) == 0);
	REQUIRE(netkey_next(&r->next, &r->net.key, 0, &err) == 0);
	nodekey_generate(&r->stays);
	nodekey_generate(&r->goes);
	nodekey_generate(&other);
	memcpy(ids[0], r->stays.id, NODE_ID_LEN);
	memcpy(ids[1], other.id, NODE_ID_LEN);
	memcpy(ids[2], r->stays.id, NODE_ID_LEN);	/* doubles are allowed */
	r->list = BUF_INIT(STAY_LEN_MAX);
	r->bytes = BUF_SECRET(ROTATION_LEN_MAX);
	REQUIRE(staylist_put(&r->list, &r->next, &r->net.owner, ids, 3, FIXTURE_CREATED + 5, &err) == 0);
	rotation_put(&r->bytes, &r->next, buf_slice(&r->list));
}

static void rotation_release(struct rotation *r)
{
	buf_release(&r->list);
	buf_release(&r->bytes);
}

TEST(a_member_on_the_list_takes_the_rotation)
{
	struct error err = ERROR_INIT;
	struct staylist list;
	struct netkey next;
	struct rotation r;

	rotation_init(&r);
	REQUIRE(rotation_parse(&next, &list, buf_slice(&r.bytes), &r.net.key, r.stays.id, &err) == 0);
	CHECK(same_netkey(&next, &r.next));
	CHECK_INT(list.count, 2);
	CHECK(staylist_has(&list, r.stays.id) && !staylist_has(&list, r.goes.id));
	CHECK(rotation_parse(&next, &list, buf_slice(&r.bytes), &r.net.key, r.goes.id, &err) < 0);
	CHECK_INT(err.kind, ERR_REFUSED);
	CHECK_STR(err.text, "this node is not on the owner's list for generation 2");
	/* A second time it is not newer. */
	CHECK(rotation_parse(&next, &list, buf_slice(&r.bytes), &r.next, r.stays.id, &err) < 0);
	CHECK_STR(err.text, "the rotation is to generation 2, and 'home' is at 2");
	rotation_release(&r);
}

TEST(a_rotation_changed_anywhere_or_cut_is_refused)
{
	struct error err = ERROR_INIT;
	struct staylist list;
	struct netkey next;
	struct rotation r;
	size_t i;

	rotation_init(&r);
	for (i = 0; i < r.bytes.len; i++) {
		/* The name is cosmetic, and everything else is bound. */
		if (i >= 2 + 106 && i < 2 + 106 + 4)
			continue;
		r.bytes.ptr[i] ^= 0x40;
		if (rotation_parse(&next, &list, buf_slice(&r.bytes), &r.net.key, r.stays.id, &err) == 0)
			printf("# byte %zu\n", i);
		CHECK(rotation_parse(&next, &list, buf_slice(&r.bytes), &r.net.key, r.stays.id, &err) < 0);
		r.bytes.ptr[i] ^= 0x40;
		CHECK(rotation_parse(&next, &list, slice_of(r.bytes.ptr, i), &r.net.key, r.stays.id, &err) < 0);
	}
	rotation_release(&r);
}

TEST(a_rotation_by_another_owner_or_with_another_key_is_refused)
{
	struct buf bytes = BUF_SECRET(ROTATION_LEN_MAX), list_bytes = BUF_INIT(STAY_LEN_MAX);
	struct error err = ERROR_INIT;
	struct mesh_net other;
	struct staylist list;
	struct netkey next;
	struct rotation r;

	rotation_init(&r);
	REQUIRE(net_init(&other) == 0);
	CHECK(staylist_put(&list_bytes, &r.next, &other.owner, &r.stays.id, 1, 0, &err) < 0);
	CHECK_STR(err.text, "this is not the owner's key of network 'home'");
	/* A member swaps the secret for its own. */
	next = r.next;
	next.secret[0] ^= 1;
	rotation_put(&bytes, &next, buf_slice(&r.list));
	CHECK(rotation_parse(&next, &list, buf_slice(&bytes), &r.net.key, r.stays.id, &err) < 0);
	CHECK_STR(err.text, "the rotation has a key that the owner's list does not name");
	/* Or signs with a key that it makes the owner's. */
	buf_clear(&bytes);
	next = r.next;
	memcpy(next.owner, other.owner.public, 32);
	memcpy(other.owner.network_id, next.id, NETWORK_ID_LEN);
	REQUIRE(staylist_put(&list_bytes, &next, &other.owner, &r.stays.id, 1, 0, &err) == 0);
	rotation_put(&bytes, &next, buf_slice(&list_bytes));
	CHECK(rotation_parse(&next, &list, buf_slice(&bytes), &r.net.key, r.stays.id, &err) < 0);
	CHECK_STR(err.text, "the stay list is not signed by the owner of network 'home'");
	buf_release(&bytes);
	buf_release(&list_bytes);
	rotation_release(&r);
}

TEST(a_stay_list_has_room_for_a_full_network_and_no_more)
{
	uint8_t (*ids)[NODE_ID_LEN] = calloc(STAY_IDS_MAX + 1, sizeof(*ids));
	struct buf list = BUF_INIT(STAY_LEN_MAX);
	struct error err = ERROR_INIT;
	struct staylist s;
	struct netkey next;
	struct mesh_net net;
	unsigned i;

	REQUIRE(ids != NULL && net_init(&net) == 0 && netkey_next(&next, &net.key, 0, &err) == 0);
	for (i = 0; i <= STAY_IDS_MAX; i++)
		put_be32(ids[i], i * 2654435761u);
	CHECK(staylist_put(&list, &next, &net.owner, ids, STAY_IDS_MAX, 7, &err) == 0 && !list.failed);
	CHECK(staylist_parse(&s, buf_slice(&list), &net.key, &err) == 0);
	CHECK_INT(s.count, STAY_IDS_MAX);
	for (i = 0; i < STAY_IDS_MAX; i++)
		CHECK(staylist_has(&s, ids[i]));
	CHECK(!staylist_has(&s, ids[STAY_IDS_MAX]));
	CHECK(staylist_put(&list, &next, &net.owner, ids, STAY_IDS_MAX + 1, 7, &err) < 0 && err.kind == ERR_LIMIT);
	/* Nobody stays: a list of none is a list. */
	buf_clear(&list);
	CHECK(staylist_put(&list, &next, &net.owner, NULL, 0, 7, &err) == 0);
	CHECK(staylist_parse(&s, buf_slice(&list), &net.key, &err) == 0 && !staylist_has(&s, ids[0]));
	buf_release(&list);
	free(ids);
}

TEST(what_is_wrong_with_a_key_is_told)
{
	struct error err = ERROR_INIT;
	struct netkey k;
	size_t n;

	for (n = 5; n + 1 < sizeof(EXAMPLE); n++) {
		CHECK(netkey_parse(&k, slice_of(EXAMPLE, n), &err) < 0);
		CHECK_INT(err.kind, ERR_MALFORMED);
		CHECK_STR(err.text, "the network key is cut short");
	}
	CHECK(netkey_parse(&k, SLICE_LIT("mrk2AAECAwQF"), &err) < 0);
	CHECK(strstr(err.text, "of version 2") != NULL);
	CHECK(netkey_parse(&k, SLICE_LIT("mro1AAECAwQF"), &err) < 0);
	CHECK_STR(err.text, "this is not a network key");
	CHECK(netkey_parse(&k, SLICE_LIT(EXAMPLE "A"), &err) < 0);
	CHECK(strstr(err.text, "a character too many") != NULL);
}
