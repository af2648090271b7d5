/* The handshake between two nodes: as it should be, crossing, lost, replayed, and by those who should not. */
#include "tap.h"

#include "mesh_fixture.h"

static const struct endpoint seen = {ENDPOINT_V4, {198, 51, 100, 4}, 4321};

struct dgram {
	uint8_t bytes[PACKET_OUTER_MAX];
	size_t len;
};

struct pair {
	struct mesh_net net;
	struct mesh_node a, b;
};

static void pair_init(struct pair *p)
{
	REQUIRE(net_init(&p->net) == 0);
	REQUIRE(node_init(&p->a, &p->net, "a") == 0 && node_init(&p->b, &p->net, "b") == 0);
}

static void pair_release(struct pair *p)
{
	node_release(&p->a);
	node_release(&p->b);
}

static void call(struct handshake *hs, const struct mesh_node *from, const struct mesh_node *to, uint32_t index,
		 uint32_t counter, struct dgram *d)
{
	d->len = handshake_initiate(hs, &from->self, to->key.id, to->key.static_public, index, counter, true, NULL, d->bytes);
	REQUIRE(d->len > 0 && d->len <= PACKET_OUTER_MAX);
}

static int open_body(const struct handshake_self *self, const struct dgram *d, struct packet_header *h, uint8_t *body,
		     size_t *len)
{
	return packet_header_get(self->subkeys, d->bytes, d->len, h, NULL) == 0 && !packet_is_session(h)
		       ? packet_open(self->subkeys, d->bytes, d->len, h, body, len)
		       : -1;
}

/* The responder reads an initiation; 0, and peer and params are set, or -1. answer may be NULL: read only. */
static int answer(const struct handshake_self *self, const struct dgram *d, uint32_t index, enum session_kind kind,
		  struct handshake_peer *peer, struct session_params *params, struct dgram *out)
{
	uint8_t body[PACKET_OUTER_MAX];
	struct packet_header h;
	struct noise noise;
	uint32_t remote;
	size_t len;

	if (open_body(self, d, &h, body, &len) < 0 || h.type != PACKET_INITIATION ||
	    handshake_read_initiation(&noise, self, slice_of(body, len), peer, &remote) < 0)
		return -1;
	if (out == NULL) {
		noise_wipe(&noise);
		return 0;
	}
	out->len = handshake_respond(&noise, self, peer, remote, index, kind, &seen, true, params, out->bytes);
	return out->len > 0 ? 0 : -1;
}

static int finish(struct handshake *hs, const struct handshake_self *self, const struct dgram *d,
		  struct handshake_peer *peer, struct session_params *params)
{
	uint8_t body[PACKET_OUTER_MAX];
	struct packet_header h;
	size_t len;

	if (open_body(self, d, &h, body, &len) < 0 || h.type != PACKET_RESPONSE)
		return -1;
	return handshake_finish(hs, self, &h, slice_of(body, len), peer, params);
}

/* One packet from one to the other. */
static bool flows(struct session *from, struct session *to, const struct mesh_net *net)
{
	uint8_t d[64], clear[PACKET_HEADER_LEN];
	struct packet_header h;
	size_t len, n;

	memcpy(d + PACKET_HEADER_LEN, "hello", 5);
	len = session_seal(&from->tx, PACKET_DATA, 0, d, 5);
	return packet_header_get(&net->subkeys, d, len, &h, clear) == 0 && h.receiver == to->rx.local_index &&
	       session_open(&to->rx, &h, clear, d, len, &n) == SESSION_OK && n == 5 &&
	       memcmp(d + PACKET_HEADER_LEN, "hello", 5) == 0;
}

static bool sessions_talk(struct session_params *a, struct session_params *b, const struct mesh_net *net)
{
	struct session *sa = session_new(a), *sb = session_new(b);
	bool ok = flows(sa, sb, net) && flows(sb, sa, net);

	session_free(sa);
	session_free(sb);
	return ok;
}

TEST(two_nodes_come_to_a_session)
{
	struct session_params pa, pb;
	struct handshake_peer at_a, at_b;
	struct mesh_record record;
	struct error err = ERROR_INIT;
	struct handshake hs;
	struct dgram i, r;
	struct pair p;

	pair_init(&p);
	call(&hs, &p.a, &p.b, 11, 1, &i);
	REQUIRE(answer(&p.b.self, &i, 22, SESSION_FULL, &at_b, &pb, &r) == 0);
	CHECK(memcmp(at_b.id, p.a.key.id, NODE_ID_LEN) == 0);
	CHECK(at_b.order.boot_epoch == 3 && at_b.order.counter == 1 && at_b.sequence == 7 && at_b.mtu == 1420);
	CHECK(record_parse(&record, slice_of(at_b.record_bytes, at_b.record_len), &p.net.addressing, &err) == 0);
	CHECK_STR(record.name, "a");
	REQUIRE(finish(&hs, &p.a.self, &r, &at_a, &pa) == 0);
	CHECK(memcmp(at_a.id, p.b.key.id, NODE_ID_LEN) == 0);
	CHECK(endpoint_equal(&at_a.observed, &seen) && !at_a.rotation && at_a.boot_epoch == 3);
	CHECK(pa.cipher == pb.cipher && pa.cipher == aead_choose(aead_ciphers(), aead_ciphers()));
	CHECK(pa.initiator && !pb.initiator && pa.kind == SESSION_FULL && pb.kind == SESSION_FULL);
	CHECK(pa.local_index == 11 && pa.remote_index == 22 && pb.local_index == 22 && pb.remote_index == 11);
	CHECK(sessions_talk(&pa, &pb, &p.net));
	/* The state is spent: the same answer does nothing any more. */
	CHECK(finish(&hs, &p.a.self, &r, &at_a, &pa) < 0);
	pair_release(&p);
}

TEST(a_node_without_aes_gets_chacha_and_a_rotation_session_says_so)
{
	struct session_params pa, pb;
	struct handshake_peer at_a, at_b;
	struct handshake hs;
	struct dgram i, r;
	struct pair p;

	pair_init(&p);
	p.a.self.ciphers = CIPHER_CHACHA20_POLY1305;
	call(&hs, &p.a, &p.b, 11, 1, &i);
	REQUIRE(answer(&p.b.self, &i, 22, SESSION_ROTATION, &at_b, &pb, &r) == 0);
	REQUIRE(finish(&hs, &p.a.self, &r, &at_a, &pa) == 0);
	CHECK(pa.cipher == CIPHER_CHACHA20_POLY1305 && pb.cipher == CIPHER_CHACHA20_POLY1305);
	CHECK(at_a.rotation && pa.kind == SESSION_ROTATION && pb.kind == SESSION_ROTATION);
	pair_release(&p);
}

TEST(crossing_initiations_give_sessions_that_both_can_use)
{
	struct session_params pa[2], pb[2];
	struct handshake_peer peer;
	struct handshake ha, hb;
	struct dgram ia, ib, ra, rb;
	struct session *sa[2], *sb[2];
	const uint8_t *low, *high;
	struct pair p;
	int k;

	pair_init(&p);
	call(&ha, &p.a, &p.b, 11, 1, &ia);
	call(&hb, &p.b, &p.a, 21, 1, &ib);
	/* Slow paths: both have waited, both answer, both come to two sessions. */
	REQUIRE(answer(&p.b.self, &ia, 22, SESSION_FULL, &peer, &pb[0], &rb) == 0);
	REQUIRE(answer(&p.a.self, &ib, 12, SESSION_FULL, &peer, &pa[1], &ra) == 0);
	REQUIRE(finish(&ha, &p.a.self, &rb, &peer, &pa[0]) == 0);
	REQUIRE(finish(&hb, &p.b.self, &ra, &peer, &pb[1]) == 0);
	for (k = 0; k < 2; k++) {
		pa[k].now_ms = 1000 + k * 300;
		pb[k].now_ms = 1400 - k * 300;
		sa[k] = session_new(&pa[k]);
		sb[k] = session_new(&pb[k]);
		CHECK(flows(sa[k], sb[k], &p.net) && flows(sb[k], sa[k], &p.net));
	}
	/* On quick paths the one with the lower id holds its answer back, and the other does not. */
	low = memcmp(p.a.key.id, p.b.key.id, NODE_ID_LEN) < 0 ? p.a.key.id : p.b.key.id;
	high = low == p.a.key.id ? p.b.key.id : p.a.key.id;
	CHECK(!handshake_answer_crossing(low, high, 0) && !handshake_answer_crossing(low, high, 249));
	CHECK(handshake_answer_crossing(low, high, 250));
	CHECK(handshake_answer_crossing(high, low, 0));
	for (k = 0; k < 2; k++) {
		session_free(sa[k]);
		session_free(sb[k]);
	}
	pair_release(&p);
}

TEST(lost_messages_are_made_good_by_the_next_ones)
{
	struct session_params pa, pb;
	struct handshake_peer first, second, at_a;
	struct handshake hs, again;
	struct dgram i1, i2, r1, r2;
	struct pair p;

	pair_init(&p);
	/* The answer is lost: the repetition has its own keys, index and counter. */
	call(&hs, &p.a, &p.b, 11, 1, &i1);
	REQUIRE(answer(&p.b.self, &i1, 22, SESSION_FULL, &first, &pb, &r1) == 0);
	call(&again, &p.a, &p.b, 12, 2, &i2);
	REQUIRE(answer(&p.b.self, &i2, 23, SESSION_FULL, &second, &pb, &r2) == 0);
	CHECK(handshake_order_after(&first.order, &second.order) && !handshake_order_after(&second.order, &first.order));
	/* It was late, not lost: each answer fits the initiation that it answers and no other. */
	CHECK(finish(&again, &p.a.self, &r1, &at_a, &pa) < 0);
	CHECK(finish(&again, &p.a.self, &r2, &at_a, &pa) == 0);
	CHECK(sessions_talk(&pa, &pb, &p.net));
	CHECK(finish(&hs, &p.a.self, &r1, &at_a, &pa) == 0);
	pair_release(&p);
}

TEST(a_replayed_initiation_is_known_by_its_order)
{
	struct handshake_order last = {0, 0};
	struct handshake_peer peer;
	struct handshake hs;
	struct dgram old, now;
	struct pair p;

	pair_init(&p);
	call(&hs, &p.a, &p.b, 11, 900, &old);
	REQUIRE(answer(&p.b.self, &old, 22, SESSION_FULL, &peer, NULL, NULL) == 0);
	CHECK(handshake_order_after(&last, &peer.order));
	last = peer.order;
	REQUIRE(answer(&p.b.self, &old, 22, SESSION_FULL, &peer, NULL, NULL) == 0);
	CHECK(!handshake_order_after(&last, &peer.order));
	/* The node restarts: its epoch rises, its counter begins again. */
	p.a.self.boot_epoch = 4;
	call(&hs, &p.a, &p.b, 11, 1, &now);
	REQUIRE(answer(&p.b.self, &now, 22, SESSION_FULL, &peer, NULL, NULL) == 0);
	CHECK(handshake_order_after(&last, &peer.order));
	last = peer.order;
	REQUIRE(answer(&p.b.self, &old, 22, SESSION_FULL, &peer, NULL, NULL) == 0);
	CHECK(!handshake_order_after(&last, &peer.order));
	pair_release(&p);
}

/* An initiation by a, whose self was changed, under keys of another kind: nobody answers. */
static void expect_silence(struct pair *p, const char *who)
{
	struct handshake_peer peer;
	struct handshake hs;
	struct dgram d;

	call(&hs, &p->a, &p->b, 11, 1, &d);
	if (answer(&p->b.self, &d, 22, SESSION_FULL, &peer, NULL, NULL) == 0)
		CHECK_STR(who, "answered");
}

TEST(strangers_get_silence)
{
	struct session_params params;
	struct handshake_peer peer;
	struct subkeys wrong;
	struct mesh_net other;
	struct netkey next;
	struct error err = ERROR_INIT;
	struct handshake hs;
	struct dgram i, r;
	struct pair p;

	pair_init(&p);
	REQUIRE(net_init(&other) == 0 && netkey_next(&next, &p.net.key, 0, &err) == 0);
	p.a.self.subkeys = &other.subkeys;
	expect_silence(&p, "subkeys of another network");
	netkey_subkeys(&wrong, &next);
	p.a.self.subkeys = &wrong;
	expect_silence(&p, "subkeys of the next generation");
	p.a.self.subkeys = &p.net.subkeys;
	p.a.self.generation = 2;
	expect_silence(&p, "another generation in the prologue");
	p.a.self.generation = 1;
	p.a.self.network_id[0] ^= 1;
	expect_silence(&p, "another network in the prologue");
	p.a.self.network_id[0] ^= 1;
	p.a.self.mtu = 1279;
	expect_silence(&p, "too small an MTU");
	p.a.self.mtu = 9001;
	expect_silence(&p, "too large an MTU");
	p.a.self.mtu = 1420;
	p.a.self.ciphers = CIPHER_AES256_GCM;
	expect_silence(&p, "no common cipher");
	p.a.self.ciphers = aead_ciphers();
	/* Meant for another node of the network. */
	call(&hs, &p.a, &p.a, 11, 1, &i);
	CHECK(answer(&p.b.self, &i, 22, SESSION_FULL, &peer, NULL, NULL) < 0);
	/* And for itself: a node does not talk to its own echo. */
	CHECK(answer(&p.a.self, &i, 22, SESSION_FULL, &peer, NULL, NULL) < 0);
	/* The psk alone is wrong: the initiator does not believe the answer, and waits for another one. */
	wrong = p.net.subkeys;
	wrong.psk[0] ^= 1;
	call(&hs, &p.a, &p.b, 11, 1, &i);
	p.b.self.subkeys = &wrong;
	REQUIRE(answer(&p.b.self, &i, 22, SESSION_FULL, &peer, &params, &r) == 0);
	CHECK(finish(&hs, &p.a.self, &r, &peer, &params) < 0);
	p.b.self.subkeys = &p.net.subkeys;
	REQUIRE(answer(&p.b.self, &i, 22, SESSION_FULL, &peer, &params, &r) == 0);
	CHECK(finish(&hs, &p.a.self, &r, &peer, &params) == 0);
	pair_release(&p);
}

TEST(a_node_that_calls_itself_another_is_not_it)
{
	struct session_params params;
	struct handshake_peer peer;
	struct handshake hs;
	struct nodekey mixed;
	struct dgram i, r;
	struct pair p;

	pair_init(&p);
	/* Its own static key with the signing key of a member: an id that is neither's. */
	nodekey_generate(&mixed);
	memcpy(mixed.sign_public, p.b.key.sign_public, 32);
	node_id_of(mixed.id, mixed.sign_public, mixed.static_public);
	p.a.self.key = &mixed;
	call(&hs, &p.a, &p.b, 11, 1, &i);
	REQUIRE(answer(&p.b.self, &i, 22, SESSION_FULL, &peer, NULL, NULL) == 0);
	CHECK(memcmp(peer.id, mixed.id, NODE_ID_LEN) == 0);
	CHECK(memcmp(peer.id, p.a.key.id, NODE_ID_LEN) != 0 && memcmp(peer.id, p.b.key.id, NODE_ID_LEN) != 0);
	/* As responder it is not the node that was called. */
	p.a.self.key = &p.a.key;
	mixed = p.b.key;
	mixed.sign_public[0] ^= 1;
	p.b.self.key = &mixed;
	call(&hs, &p.a, &p.b, 11, 1, &i);
	REQUIRE(answer(&p.b.self, &i, 22, SESSION_FULL, &peer, &params, &r) == 0);
	CHECK(finish(&hs, &p.a.self, &r, &peer, &params) < 0);
	pair_release(&p);
}

/* Bodies changed by somebody who has the network's key and seals them anew: only Noise stands in the way. */
static void inside(const struct pair *p, struct handshake *hs, const struct dgram *d, bool initiation)
{
	uint8_t body[PACKET_OUTER_MAX];
	struct session_params params;
	struct handshake_peer peer;
	struct packet_header h;
	struct noise noise;
	uint32_t remote;
	size_t len, n, i;

	REQUIRE(open_body(&p->a.self, d, &h, body, &len) == 0);
	n = 6 + (size_t)(body[4] << 8 | body[5]);
	/* The sender index (0 to 3) is whose it is; a changed one leads nowhere. */
	for (i = 4; i < n; i++) {
		body[i] ^= 0x20;
		CHECK((initiation ? handshake_read_initiation(&noise, &p->b.self, slice_of(body, len), &peer, &remote)
				  : handshake_finish(hs, &p->a.self, &h, slice_of(body, len), &peer, &params)) < 0);
		body[i] ^= 0x20;
	}
	for (i = 0; i < n; i++)
		CHECK((initiation ? handshake_read_initiation(&noise, &p->b.self, slice_of(body, i), &peer, &remote)
				  : handshake_finish(hs, &p->a.self, &h, slice_of(body, i), &peer, &params)) < 0);
}

TEST(messages_tampered_at_every_byte_or_cut_at_every_length_are_refused)
{
	struct session_params pa, pb;
	struct handshake_peer peer;
	struct handshake hs;
	struct dgram i, r, bad;
	struct pair p;
	size_t k;

	pair_init(&p);
	call(&hs, &p.a, &p.b, 11, 1, &i);
	REQUIRE(answer(&p.b.self, &i, 22, SESSION_FULL, &peer, &pb, &r) == 0);
	for (k = 0; k < i.len; k++) {
		bad = i;
		bad.bytes[k] ^= 0x80;
		CHECK(answer(&p.b.self, &bad, 22, SESSION_FULL, &peer, NULL, NULL) < 0);
		bad = i;
		bad.len = k;
		CHECK(answer(&p.b.self, &bad, 22, SESSION_FULL, &peer, NULL, NULL) < 0);
	}
	for (k = 0; k < r.len; k++) {
		bad = r;
		bad.bytes[k] ^= 0x80;
		CHECK(finish(&hs, &p.a.self, &bad, &peer, &pa) < 0);
		bad = r;
		bad.len = k;
		CHECK(finish(&hs, &p.a.self, &bad, &peer, &pa) < 0);
	}
	inside(&p, &hs, &i, true);
	inside(&p, &hs, &r, false);
	/* After all of that the right one is taken. */
	CHECK(finish(&hs, &p.a.self, &r, &peer, &pa) == 0);
	CHECK(sessions_talk(&pa, &pb, &p.net));
	pair_release(&p);
}

TEST(retries_grow_to_five_seconds_give_or_take_a_fifth)
{
	static const int64_t want[] = {100, 200, 400, 800, 1600, 3200, 5000, 5000};
	unsigned n, k;

	for (n = 0; n < ARRAY_SIZE(want); n++) {
		for (k = 0; k < 5000; k += 7) {
			int64_t ms = handshake_retry_ms(n, k * 2654435761u);

			CHECK(ms >= want[n] * 8 / 10 && ms <= want[n] * 12 / 10);
		}
		CHECK_INT(handshake_retry_ms(n, 0), want[n] * 8 / 10);
		CHECK_INT(handshake_retry_ms(n, 1023), want[n] * 12 / 10);
	}
	CHECK_INT(handshake_retry_ms(UINT32_MAX, 0), 4000);
}
