/* Datagrams as they come, bodies of every type as if their seal held, control messages: what is read is written alike. */
#include <sodium.h>
#include <stdlib.h>

#include "crypto/key.h"
#include "mesh/bytes.h"
#include "mesh/cookie.h"
#include "mesh/message.h"
#include "mesh/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct subkeys keys = {.outer = {1}, .mask = {2}};

static void need(bool ok)
{
	if (!ok)
		abort();
}

/* As what a node has sealed for us: nobody finds that by chance. */
static void sealed(struct slice clear, const struct nodekey *node)
{
	static uint8_t body[2 * PACKET_OUTER_MAX], room[PACKET_OUTER_MAX];
	struct packet_here e;
	size_t len = clear.len + crypto_box_SEALBYTES;

	if (len > PACKET_OUTER_MAX || crypto_box_seal(body + 10, clear.ptr, clear.len, node->static_public) != 0)
		return;
	put_be16(body + 8, (uint16_t)len);
	if (packet_here_get(&e, slice_of(body, 10 + len), node, room) == 0)
		need(e.record.len <= RECORD_LEN_MAX && e.record.len + 21 <= clear.len);
}

/* Each reader gets the body, whatever it is. */
static void bodies(struct slice body)
{
	struct packet_header h = {.receiver = 1};
	struct packet_initiation i;
	struct packet_response r;
	struct packet_beacon b;
	struct packet_cookie c;
	struct packet_here e;
	struct packet_who w;
	static struct nodekey node;
	static uint8_t room[PACKET_OUTER_MAX];

	if (body.len > PACKET_OUTER_MAX)
		return;
	crypto_scalarmult_base(node.static_public, node.static_secret);
	if (packet_initiation_get(&i, body) == 0)
		need(i.sender != 0 && i.noise.len + 6 <= body.len);
	if (packet_response_get(&r, &h, body) == 0)
		need(r.sender != 0 && r.noise.len + 6 <= body.len);
	if (packet_cookie_get(&c, &h, body) == 0)
		need(body.len >= 32);
	if (packet_here_get(&e, body, &node, room) == 0)
		need(e.record.len <= RECORD_LEN_MAX && e.record.len + 79 <= body.len);
	sealed(body, &node);
	if (packet_beacon_get(&b, body) == 0)
		need(body.len >= 33);
	if (packet_who_get(&w, body) == 0)
		need(body.len >= 1079);
	if (packet_hint_get(&h, body) == 0)
		need(packet_is_session(&h) && h.receiver != 0);
}

/* As from the wire: nearly always refused; with the header in clear, put on by us, more often not. */
static void datagram(struct slice s, bool masked)
{
	static uint8_t d[2048], body[PACKET_OUTER_MAX];
	struct endpoint from = {ENDPOINT_V4, {192, 0, 2, 1}, 1};
	struct packet_header h;
	struct cookie_jar jar;
	uint8_t clear[PACKET_HEADER_LEN];
	size_t n;

	if (s.len > sizeof(d) || s.len == 0)
		return;
	memcpy(d, s.ptr, s.len);
	if (!masked && s.len >= PACKET_LEN_MIN)
		packet_mask(keys.mask, d);
	if (packet_header_get(&keys, d, s.len, &h, clear) < 0)
		return;
	if (packet_is_session(&h)) {
		static struct session *session;
		struct session_params p = {.subkeys = &keys, .cipher = CIPHER_CHACHA20_POLY1305, .local_index = 1};

		if (session == NULL)
			session = session_new(&p);
		need(session_open(&session->rx, &h, clear, d, s.len, &n) != SESSION_OK);
		return;
	}
	need(packet_open(&keys, d, s.len, &h, body, &n) < 0);
	cookie_jar_init(&jar, 0);
	need(!cookie_holds(&jar, &from, 0, d, s.len, &h));
}

static void messages(struct slice s)
{
	static uint8_t once[MESSAGE_LEN_MAX + 1];
	struct message m, again;
	struct slice record;
	size_t len, at = 0;

	if (message_get(&m, s) < 0)
		return;
	if (m.type == MESSAGE_RECORDS) {
		while (message_next_record(m.u.records, &at, &record))
			need(record.len >= RECORD_LEN_MIN && record.len <= RECORD_LEN_MAX);
		need(at == m.u.records.len);
	}
	len = message_put(&m, once, sizeof(once));
	if (m.type == MESSAGE_PROBE)
		return;		/* its size is what it says, not what it was */
	need(message_get(&again, slice_of(once, len)) == 0 && again.type == m.type);
	if (m.type == MESSAGE_PONG)
		need(len <= s.len && memcmp(once, s.ptr, len) == 0);
	else if (m.type != MESSAGE_KEEPALIVE)
		need(slice_equal(slice_of(once, len), s));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = ERROR_INIT;

	if (size == 0 || crypto_start(&err) < 0)
		return 0;
	switch (data[0] % 4) {
	case 0:
		datagram(slice_of(data + 1, size - 1), true);
		break;
	case 1:
		datagram(slice_of(data + 1, size - 1), false);
		break;
	case 2:
		bodies(slice_of(data + 1, size - 1));
		break;
	default:
		messages(slice_of(data + 1, size - 1));
	}
	return 0;
}
