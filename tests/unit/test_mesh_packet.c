/* Datagrams: every type comes back, nothing else does, and a stranger sees no constant. Control messages, too. */
#include "tap.h"

#include <arpa/inet.h>
#include <sodium.h>

#include "mesh/bytes.h"
#include "mesh/cookie.h"
#include "mesh_fixture.h"

struct opened {
	struct packet_header h;
	uint8_t body[PACKET_OUTER_MAX];
	size_t len;
};

static int open_outer(struct opened *o, const struct subkeys *k, const uint8_t *d, size_t len)
{
	if (packet_header_get(k, d, len, &o->h, NULL) < 0 || packet_is_session(&o->h))
		return -1;
	return packet_open(k, d, len, &o->h, o->body, &o->len);
}

static struct slice body(const struct opened *o)
{
	return slice_of(o->body, o->len);
}

static const struct endpoint somewhere = {ENDPOINT_V6, {0x20, 1, 0xd, 0xb8, [15] = 9}, 4242};

TEST(every_type_comes_back)
{
	static const uint8_t cookie[COOKIE_LEN] = "a cookie, sealed", noise[1112] = {5};
	uint8_t d[PACKET_OUTER_MAX], clear[PACKET_HEADER_LEN];
	struct packet_header q = {.receiver = 9, .type = PACKET_DATA, .flags = 1, .counter = 77};
	struct packet_initiation i = {7, slice_of(noise, sizeof(noise))}, i2;
	struct packet_response r = {8, 9, slice_of(noise, 200)}, r2;
	struct packet_cookie c = {.receiver = 7, .quoted = {1}, .cookie = {2}}, c2;
	struct packet_who w = {.wanted = {3}, .nonce = 99, .sign_public = {6}, .static_public = {7}}, w2;
	struct packet_here e = {99, somewhere, slice_of(noise, RECORD_LEN_MAX)}, e2;
	struct packet_beacon b = {{4}, 5, 6, 7783, 7784, true}, b2;
	struct opened o;
	struct mesh_net net;
	struct nodekey asker, other;
	uint8_t room[PACKET_OUTER_MAX];
	uint64_t nonce;
	size_t len, n;

	REQUIRE(net_init(&net) == 0);
	nodekey_generate(&asker);
	nodekey_generate(&other);
	for (n = 0; n < 100; n++) {
		len = packet_put_initiation(&net.subkeys, &i, n % 2 ? cookie : NULL, d);
		CHECK(len <= PACKET_OUTER_MAX && open_outer(&o, &net.subkeys, d, len) == 0);
		CHECK(packet_initiation_get(&i2, body(&o)) == 0 && i2.sender == 7 && slice_equal(i2.noise, i.noise));
		CHECK(packet_mac2_holds(d, len, &o.h, cookie) == (n % 2 == 1));
		len = packet_put_response(&net.subkeys, &r, d);
		CHECK(open_outer(&o, &net.subkeys, d, len) == 0 && packet_response_get(&r2, &o.h, body(&o)) == 0);
		CHECK(r2.receiver == 8 && r2.sender == 9 && slice_equal(r2.noise, r.noise));
		len = packet_put_who(&net.subkeys, &w, n % 2 ? cookie : NULL, d);
		CHECK(len >= PACKET_WHO_LEN_MIN && len <= PACKET_OUTER_MAX);
		CHECK(open_outer(&o, &net.subkeys, d, len) == 0 && packet_who_get(&w2, body(&o)) == 0);
		CHECK(w2.nonce == 99 && w2.wanted[0] == 3 && w2.sign_public[0] == 6 && w2.static_public[0] == 7);
		len = packet_put_here(&net.subkeys, &e, asker.static_public, d);
		CHECK(len <= PACKET_WHO_LEN_MIN);
		CHECK(open_outer(&o, &net.subkeys, d, len) == 0 && packet_here_get(&e2, body(&o), &asker, room) == 0);
		CHECK(e2.nonce == 99 && endpoint_equal(&e2.observed, &somewhere) && slice_equal(e2.record, e.record));
		/* Who asked in another's name cannot read it. */
		CHECK(packet_here_nonce(&nonce, body(&o)) == 0 && nonce == 99);
		CHECK(packet_here_get(&e2, body(&o), &other, room) < 0);
	}
	len = packet_put_cookie(&net.subkeys, &c, d);
	CHECK(open_outer(&o, &net.subkeys, d, len) == 0 && packet_cookie_get(&c2, &o.h, body(&o)) == 0);
	CHECK(c2.receiver == 7 && c2.quoted[0] == 1 && c2.cookie[0] == 2);
	packet_header_put(clear, &q);
	len = packet_put_hint(&net.subkeys, clear, d);
	CHECK(open_outer(&o, &net.subkeys, d, len) == 0 && packet_hint_get(&q, body(&o)) == 0);
	CHECK(q.receiver == 9 && q.counter == 77 && q.flags == 1);
	len = packet_put_beacon(&net.subkeys, &b, d);
	CHECK(open_outer(&o, &net.subkeys, d, len) == 0 && packet_beacon_get(&b2, body(&o)) == 0);
	CHECK(b2.id[0] == 4 && b2.boot_epoch == 5 && b2.sequence == 6 && b2.port_v6 == 7784 && b2.answer);
}

TEST(an_outer_packet_changed_at_any_bit_or_cut_is_refused)
{
	static const uint8_t cookie[COOKIE_LEN] = {1};
	struct packet_initiation i = {7, SLICE_LIT("as good as noise")};
	struct mesh_net net, other;
	uint8_t d[PACKET_OUTER_MAX];
	struct opened o;
	size_t len, n;

	REQUIRE(net_init(&net) == 0 && net_init(&other) == 0);
	len = packet_put_initiation(&net.subkeys, &i, cookie, d);
	CHECK(open_outer(&o, &other.subkeys, d, len) < 0);
	for (n = 0; n < (len - PACKET_MAC2_LEN) * 8; n++) {
		d[n / 8] ^= (uint8_t)(1 << n % 8);
		CHECK(open_outer(&o, &net.subkeys, d, len) < 0);
		d[n / 8] ^= (uint8_t)(1 << n % 8);
	}
	for (; n < len * 8; n++) {
		d[n / 8] ^= (uint8_t)(1 << n % 8);
		CHECK(open_outer(&o, &net.subkeys, d, len) == 0 && !packet_mac2_holds(d, len, &o.h, cookie));
		d[n / 8] ^= (uint8_t)(1 << n % 8);
	}
	for (n = 0; n < len; n++)
		CHECK(open_outer(&o, &net.subkeys, d, n) < 0);
}

TEST(bodies_that_are_short_or_say_what_they_may_not_are_refused)
{
	uint8_t b[PACKET_OUTER_MAX] = {0};
	struct packet_header h = {.receiver = 1}, q;
	struct packet_initiation i;
	struct packet_response r;
	struct packet_cookie c;
	struct packet_beacon beacon;
	struct packet_who w;
	size_t n;

	for (n = 0; n < 16; n++)
		CHECK(packet_hint_get(&q, slice_of(b, n)) < 0);
	CHECK(packet_hint_get(&q, slice_of(b, 16)) < 0);
	b[4] = PACKET_INITIATION;	/* only session packets have a session */
	CHECK(packet_hint_get(&q, slice_of(b, 16)) < 0);
	b[4] = PACKET_CONTROL;
	CHECK(packet_hint_get(&q, slice_of(b, 16)) < 0);
	b[0] = 1;
	CHECK(packet_hint_get(&q, slice_of(b, 16)) == 0);
	b[7] = 1;
	CHECK(packet_hint_get(&q, slice_of(b, 16)) < 0);
	memset(b, 0, sizeof(b));
	for (n = 0; n < 32; n++)
		CHECK(packet_cookie_get(&c, &h, slice_of(b, n)) < 0);
	for (n = 0; n < 33; n++)
		CHECK(packet_beacon_get(&beacon, slice_of(b, n)) < 0);
	CHECK(packet_who_get(&w, slice_of(b, 1078)) < 0 && packet_who_get(&w, slice_of(b, 1079)) == 0);
	CHECK(packet_initiation_get(&i, slice_of(b, 20)) < 0);	/* sender 0 */
	memset(b, 255, 4);	/* means a WHO in cookies */
	CHECK(packet_initiation_get(&i, slice_of(b, 20)) < 0);
	memset(b, 0, 4);
	b[3] = 1;
	b[5] = 15;
	CHECK(packet_initiation_get(&i, slice_of(b, 20)) < 0);	/* one byte too few */
	CHECK(packet_response_get(&r, &h, slice_of(b, 20)) < 0);
	CHECK(packet_initiation_get(&i, slice_of(b, 21)) == 0 && i.noise.len == 15);
}

/* The body of an answer around what is sealed in it; len: what it says of that. */
static int here_of(const struct nodekey *to, const uint8_t *clear, size_t n, size_t len)
{
	uint8_t b[PACKET_OUTER_MAX] = {0}, room[PACKET_OUTER_MAX];
	struct packet_here here;

	put_be16(b + 8, (uint16_t)len);
	REQUIRE(crypto_box_seal(b + 10, clear, n, to->static_public) == 0);
	return packet_here_get(&here, slice_of(b, 10 + n + crypto_box_SEALBYTES), to, room);
}

TEST(an_answer_that_says_what_it_may_not_is_refused)
{
	static const uint8_t small[32] = {1}, none[1];
	uint8_t clear[21] = {0}, d[PACKET_OUTER_MAX];
	const size_t sealed = sizeof(clear) + crypto_box_SEALBYTES;
	struct packet_here here = {.record = slice_of(none, 1)};
	struct nodekey to;
	struct mesh_net net;
	size_t n;

	REQUIRE(net_init(&net) == 0);
	nodekey_generate(&to);
	CHECK(here_of(&to, clear, sizeof(clear), sealed) == 0);
	for (n = 0; n < sealed; n++)
		CHECK(here_of(&to, clear, sizeof(clear), n) < 0);
	CHECK(here_of(&to, clear, sizeof(clear), sealed + 1) < 0);
	CHECK(here_of(&to, clear, sizeof(clear) - 1, sealed - 1) < 0);
	clear[0] = 5;	/* family */
	CHECK(here_of(&to, clear, sizeof(clear), sealed) < 0);
	clear[0] = ENDPOINT_V4;
	CHECK(here_of(&to, clear, sizeof(clear), sealed) == 0);
	clear[5] = 1;	/* more than four bytes of IPv4 */
	CHECK(here_of(&to, clear, sizeof(clear), sealed) < 0);
	clear[5] = 0;
	clear[20] = 1;	/* a record that is not there */
	CHECK(here_of(&to, clear, sizeof(clear), sealed) < 0);
	/* A key of small order: nothing is secret by it. */
	CHECK_INT(packet_put_here(&net.subkeys, &here, small, d), 0);
}

TEST(headers_have_what_their_type_may_have)
{
	static const struct { uint32_t receiver; uint8_t type, flags; uint64_t counter; int want; } cases[] = {
		{0, 1, 0, 0, 0}, {0, 1, 2, 0, -1}, {1, 1, 0, 0, -1}, {0, 1, 0, 1, -1},
		{1, 2, 0, 0, 0}, {0, 2, 0, 0, -1}, {1, 2, 1, 0, -1}, {1, 3, 0, 0, 0}, {0, 3, 0, 0, -1},
		{0, 4, 0, 0, 0}, {0, 4, 1, 0, -1}, {0, 5, 1, 0, 0}, {0, 6, 0, 0, 0}, {0, 6, 1, 0, -1}, {0, 7, 0, 0, 0},
		{0, 0, 0, 0, -1}, {0, 8, 0, 0, -1}, {0, 15, 0, 0, -1}, {1, 18, 0, 0, -1}, {1, 255, 0, 0, -1},
		{1, 16, 0, 0, 0}, {1, 16, 1, 5, 0}, {1, 16, 2, 0, -1}, {0, 16, 0, 0, -1},
		{1, 17, 0, 9, 0}, {1, 17, 1, 0, -1}, {0, 17, 0, 0, -1},
	};
	struct packet_header h;
	struct mesh_net net;
	uint8_t d[80];
	size_t i;

	REQUIRE(net_init(&net) == 0);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		memset(d, (int)i, sizeof(d));
		packet_header_put(d, &(struct packet_header){cases[i].receiver, cases[i].type, cases[i].flags,
							     cases[i].counter});
		packet_mask(net.subkeys.mask, d);
		CHECK_INT(packet_header_get(&net.subkeys, d, sizeof(d), &h, NULL), cases[i].want);
	}
	/* The reserved bytes. */
	packet_header_put(d, &(struct packet_header){.receiver = 1, .type = 16});
	d[6] = 1;
	packet_mask(net.subkeys.mask, d);
	CHECK(packet_header_get(&net.subkeys, d, sizeof(d), &h, NULL) < 0);
	CHECK(packet_header_get(&net.subkeys, d, 31, &h, NULL) < 0);
}

TEST(no_byte_of_a_datagram_is_constant)
{
	struct packet_initiation i = {7, SLICE_LIT("the same each time, which nobody sees")};
	uint8_t d[PACKET_OUTER_MAX], all_and[40], all_or[40];
	struct session_params p = {.cipher = CIPHER_CHACHA20_POLY1305, .remote_index = 5};
	struct session *s;
	struct mesh_net net;
	size_t n, k;

	REQUIRE(net_init(&net) == 0);
	p.subkeys = &net.subkeys;
	memset(all_and, 255, sizeof(all_and));
	memset(all_or, 0, sizeof(all_or));
	for (n = 0; n < 200; n++) {
		packet_put_initiation(&net.subkeys, &i, NULL, d);
		for (k = 0; k < 40; k++) {
			all_and[k] &= d[k];
			all_or[k] |= d[k];
		}
	}
	for (k = 0; k < 40; k++)
		CHECK(all_and[k] == 0 && all_or[k] == 255);
	/* Counters that count and an index that stays: neither shows. */
	memset(all_and, 255, sizeof(all_and));
	memset(all_or, 0, sizeof(all_or));
	s = session_new(&p);
	for (n = 0; n < 200; n++) {
		memset(d, 0, 64);
		session_seal(&s->tx, PACKET_DATA, 0, d, 20);
		for (k = 0; k < 40; k++) {
			all_and[k] &= d[k];
			all_or[k] |= d[k];
		}
	}
	for (k = 0; k < 40; k++)
		CHECK(all_and[k] == 0 && all_or[k] == 255);
	session_free(s);
}

TEST(a_cookie_holds_for_its_endpoint_and_its_time)
{
	struct packet_who w = {.nonce = 1};
	uint8_t d[PACKET_OUTER_MAX], cookie[COOKIE_LEN];
	struct endpoint other = somewhere;
	struct cookie_jar jar, another;
	struct mesh_net net;
	struct opened o;
	size_t len;

	REQUIRE(net_init(&net) == 0);
	other.port++;
	cookie_jar_init(&jar, 0);
	cookie_jar_init(&another, 0);
	cookie_make(&jar, &somewhere, 1000, cookie);
	len = packet_put_who(&net.subkeys, &w, cookie, d);
	CHECK(open_outer(&o, &net.subkeys, d, len) == 0);
	CHECK(cookie_holds(&jar, &somewhere, 1000, d, len, &o.h));
	CHECK(!cookie_holds(&jar, &other, 1000, d, len, &o.h));
	CHECK(!cookie_holds(&another, &somewhere, 1000, d, len, &o.h));
	CHECK(cookie_holds(&jar, &somewhere, 119999, d, len, &o.h));
	CHECK(cookie_holds(&jar, &somewhere, 120000, d, len, &o.h));
	CHECK(cookie_holds(&jar, &somewhere, 239999, d, len, &o.h));
	CHECK(!cookie_holds(&jar, &somewhere, 240000, d, len, &o.h));
	/* After a long pause both secrets are new. */
	cookie_make(&jar, &somewhere, 240000, cookie);
	len = packet_put_who(&net.subkeys, &w, cookie, d);
	CHECK(open_outer(&o, &net.subkeys, d, len) == 0);
	CHECK(!cookie_holds(&jar, &somewhere, 900000, d, len, &o.h));
	len = packet_put_who(&net.subkeys, &w, NULL, d);
	CHECK(open_outer(&o, &net.subkeys, d, len) == 0 && !cookie_holds(&jar, &somewhere, 900000, d, len, &o.h));
}

TEST(endpoints_that_nobody_may_be_sent_to)
{
	static const struct { const char *text; bool usable; } cases[] = {
		{"192.0.2.1", true}, {"10.0.0.1", true}, {"169.254.3.4", true}, {"0.1.2.3", false}, {"127.0.0.1", false},
		{"224.0.0.1", false}, {"239.255.77.83", false}, {"255.255.255.255", false}, {"2001:db8::1", true},
		{"fd00::1", true}, {"::", false}, {"::1", false}, {"::ffff:1.2.3.4", false}, {"::1.2.3.4", false},
		{"fe80::1", false}, {"febf::1", false}, {"fec0::1", true}, {"ff02::1", false},
	};
	struct sockaddr_storage sa;
	struct endpoint e, again;
	char text[ENDPOINT_TEXT_LEN];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		e = (struct endpoint){.port = 1};
		e.family = strchr(cases[i].text, ':') == NULL ? ENDPOINT_V4 : ENDPOINT_V6;
		CHECK(inet_pton(e.family == ENDPOINT_V4 ? AF_INET : AF_INET6, cases[i].text, e.addr) == 1);
		if (endpoint_usable(&e) != cases[i].usable)
			CHECK_STR(cases[i].text, "the other way");
		endpoint_to_sockaddr(&e, &sa);
		CHECK(endpoint_from_sockaddr(&again, (struct sockaddr *)&sa) == 0);
		CHECK(endpoint_equal(&e, &again) == (strncmp(cases[i].text, "::ffff", 6) != 0));
		e.port = 0;
		CHECK(!endpoint_usable(&e));
	}
	CHECK_STR(endpoint_text(text, &somewhere), "[2001:db8::9]:4242");
}

TEST(addresses_that_begin_alike)
{
	struct endpoint a = {ENDPOINT_V4, {10, 9, 200, 7}, 1}, b = {ENDPOINT_V4, {10, 9, 207, 8}, 2}, six = {ENDPOINT_V6, {10, 9, 200, 7}, 1};

	CHECK(endpoint_within(&a, &b, 0) && endpoint_within(&a, &b, 16) && endpoint_within(&a, &b, 21));
	CHECK(!endpoint_within(&a, &b, 22) && !endpoint_within(&a, &b, 24) && !endpoint_within(&a, &b, 32));
	CHECK(endpoint_within(&a, &a, 32) && !endpoint_within(&a, &a, 33));
	CHECK(endpoint_within(&six, &six, 128) && !endpoint_within(&a, &six, 0) && !endpoint_within(&six, &six, 129));
}

/* ---- control messages ---- */

static void comes_back(const struct message *m, struct message *got)
{
	static uint8_t out[MESSAGE_LEN_MAX];
	size_t len = message_put(m, out, sizeof(out)), i;

	CHECK(len > 0 || m->type == MESSAGE_KEEPALIVE);
	CHECK(message_get(got, slice_of(out, len)) == 0 && got->type == m->type);
	if (m->type == MESSAGE_PROBE || m->type == MESSAGE_RELAY)
		return;		/* their ends are free */
	for (i = 1; i < len; i++)
		CHECK(message_get(&(struct message){0}, slice_of(out, i)) < 0 || m->type == MESSAGE_ROTATE || m->type == MESSAGE_ANSWER);
	if (len > 0 && len < sizeof(out) && m->type != MESSAGE_PONG && m->type != MESSAGE_ROTATE) {
		out[len] = 0;
		CHECK(message_get(&(struct message){0}, slice_of(out, len + 1)) < 0);
	}
	CHECK(len == 0 || message_put(m, out, len - 1) == 0);
}

TEST(control_messages_come_back)
{
	static uint8_t bytes[4096];
	struct message m = {.type = MESSAGE_KEEPALIVE}, got;
	size_t i;

	comes_back(&m, &got);
	m = (struct message){.type = MESSAGE_PROBE, .u.probe = {123, 1420}};
	CHECK_INT(message_put(&m, bytes, sizeof(bytes)), 1420 - SESSION_OVERHEAD);
	comes_back(&m, &got);
	CHECK(got.u.probe.token == 123 && got.u.probe.size == 1420);
	m.u.probe.size = 42;
	CHECK(message_put(&m, bytes, sizeof(bytes)) == 0);
	m = (struct message){.type = MESSAGE_PONG, .u.pong = {123, 1420, somewhere}};
	comes_back(&m, &got);
	CHECK(endpoint_equal(&got.u.pong.observed, &somewhere));
	m = (struct message){.type = MESSAGE_DIGEST, .u.digest = {.records = 5, .bucket = {[15] = 9}}};
	comes_back(&m, &got);
	CHECK(got.u.digest.bucket[15] == 9 && got.u.digest.records == 5);
	m = (struct message){.type = MESSAGE_HAVE, .u.have = {.bucket = 3, .part = 1, .parts = 2, .count = HAVE_MAX}};
	for (i = 0; i < HAVE_MAX; i++)
		m.u.have.pair[i] = (struct message_have){{0x3f, (uint8_t)i}, i};
	comes_back(&m, &got);
	CHECK(got.u.have.count == HAVE_MAX && got.u.have.pair[45].sequence == 45);
	CHECK(message_put(&m, bytes, MESSAGE_GOSSIP_MAX) > 0);
	m = (struct message){.type = MESSAGE_WANT, .u.want = {.count = WANT_MAX, .id = {[63] = {1}}}};
	comes_back(&m, &got);
	CHECK(got.u.want.id[63][0] == 1 && message_put(&m, bytes, MESSAGE_GOSSIP_MAX) > 0);
	m = (struct message){.type = MESSAGE_ROTATE, .u.rotate = {2, 0, 1, slice_of(bytes, ROTATE_CHUNK)}};
	comes_back(&m, &got);
	CHECK(got.u.rotate.chunk.len == ROTATE_CHUNK);
	m = (struct message){.type = MESSAGE_INTRODUCE, .u.introduce = {{7}, 2, {somewhere, somewhere}}};
	comes_back(&m, &got);
	CHECK(got.u.introduce.count == 2 && endpoint_equal(&got.u.introduce.at[1], &somewhere));
	m = (struct message){.type = MESSAGE_RELAY, .u.relay = {{7}, 0, slice_of(bytes, 1232)}};
	comes_back(&m, &got);
	CHECK(got.u.relay.datagram.len == 1232 && got.u.relay.node[0] == 7);
	m = (struct message){.type = MESSAGE_RELAY_NO, .u.relay = {{7}, RELAY_NO_ROOM, SLICE_EMPTY}};
	comes_back(&m, &got);
	CHECK(got.u.relay.reason == RELAY_NO_ROOM);
	m = (struct message){.type = MESSAGE_GOODBYE, .u.goodbye = GOODBYE_ROTATED};
	comes_back(&m, &got);
	CHECK(got.u.goodbye == GOODBYE_ROTATED);
	m = (struct message){.type = MESSAGE_ASK, .u.ask = {7, 6, 445, 12 * 8 + 6}};
	comes_back(&m, &got);
	CHECK(got.u.ask.token == 7 && got.u.ask.protocol == 6 && got.u.ask.port == 445 && got.u.ask.place == 102);
	m = (struct message){.type = MESSAGE_ANSWER, .u.answer = {7, ANSWER_DENIED, slice_of(bytes, ANSWER_TEXT_MAX)}};
	comes_back(&m, &got);
	CHECK(got.u.answer.token == 7 && got.u.answer.verdict == ANSWER_DENIED && got.u.answer.text.len == ANSWER_TEXT_MAX);
}

TEST(records_travel_together_as_far_as_they_fit)
{
	uint8_t out[MESSAGE_GOSSIP_MAX], record[RECORD_LEN_MAX] = {1};
	struct slice got;
	struct message m;
	size_t len = 0, at = 0, n = 0;

	while (message_add_record(out, &len, slice_of(record, 200)))
		n++;
	CHECK_INT(n, 5);
	CHECK(message_get(&m, slice_of(out, len)) == 0 && m.type == MESSAGE_RECORDS);
	for (n = 0; message_next_record(m.u.records, &at, &got); n++)
		CHECK(got.len == 200 && got.ptr[0] == 1);
	CHECK_INT(n, 5);
	CHECK(message_get(&m, slice_of(out, len - 1)) < 0);
	CHECK(message_get(&m, slice_of(out, 1)) < 0);
	len = 0;
	CHECK(message_add_record(out, &len, slice_of(record, RECORD_LEN_MAX)));
	CHECK(!message_add_record(out, &len, slice_of(record, RECORD_LEN_MIN)));
}

TEST(control_messages_that_say_what_they_may_not_are_refused)
{
	static const uint8_t cases[][40] = {
		{16}, {255}, {MESSAGE_GOODBYE, 0}, {MESSAGE_GOODBYE, 4}, {MESSAGE_WANT, 0},
	};
	static const size_t lens[] = {1, 1, 2, 2, 2};
	struct message m = {.type = MESSAGE_HAVE, .u.have = {.bucket = 16, .parts = 1}}, got;
	struct endpoint bad = somewhere;
	uint8_t out[2048], other[2048] = {0};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		CHECK(message_get(&got, slice_of(cases[i], lens[i])) < 0);
#define REFUSED() CHECK(message_get(&got, slice_of(out, message_put(&m, out, sizeof(out)))) < 0)
	REFUSED();
	m.u.have.bucket = 1;
	m.u.have.parts = 0;
	REFUSED();
	m.u.have.parts = 513;
	REFUSED();
	m.u.have.parts = m.u.have.part = 2;
	REFUSED();
	m.u.have.part = 0;
	m.u.have.count = 1;	/* an id of another bucket */
	REFUSED();
	m = (struct message){.type = MESSAGE_ASK, .u.ask = {7, 47, 445, 1}};
	REFUSED();
	m = (struct message){.type = MESSAGE_ASK, .u.ask = {7, 6, 0, 1}};
	REFUSED();
	m = (struct message){.type = MESSAGE_ASK, .u.ask = {7, 1, 22, 1}};
	REFUSED();
	m = (struct message){.type = MESSAGE_ASK, .u.ask = {7, 6, 22, 7}};
	REFUSED();
	m = (struct message){.type = MESSAGE_ASK, .u.ask = {7, 6, 22, 13 * 8 + 1}};
	REFUSED();
	m = (struct message){.type = MESSAGE_ANSWER, .u.answer = {7, ANSWER_NOTHING + 1, SLICE_EMPTY}};
	REFUSED();
	m = (struct message){.type = MESSAGE_ANSWER, .u.answer = {7, ANSWER_DENIED, slice_of(other, ANSWER_TEXT_MAX + 1)}};
	REFUSED();
	m = (struct message){.type = MESSAGE_ROTATE, .u.rotate = {2, 0, 2, slice_of(other, 1023)}};
	REFUSED();
	m.u.rotate.parts = 130;
	REFUSED();
	bad.port = 0;
	m = (struct message){.type = MESSAGE_INTRODUCED, .u.introduce = {{7}, 1, {bad}}};
	REFUSED();
	m.u.introduce.count = 0;
	REFUSED();
	m = (struct message){.type = MESSAGE_RELAY, .u.relay = {{7}, 0, slice_of(other, 31)}};
	REFUSED();
	m = (struct message){.type = MESSAGE_RELAY_NO, .u.relay = {{7}, 4, SLICE_EMPTY}};
	REFUSED();
#undef REFUSED
}
