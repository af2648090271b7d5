/* Control messages: their bytes. */
#include "mesh/message.h"

#include <netinet/in.h>

#include "mesh/bytes.h"

#define STAY_PARTS_MAX 129
#define HAVE_PARTS_MAX 512

_Static_assert((ROTATION_LEN_MAX + ROTATE_CHUNK - 1) / ROTATE_CHUNK == STAY_PARTS_MAX, "parts of a rotation");
_Static_assert(3 + RECORD_LEN_MAX <= MESSAGE_GOSSIP_MAX, "every record fits into a message");
_Static_assert(9 + ROTATE_CHUNK <= MESSAGE_GOSSIP_MAX, "every part fits into a message");

/* ---- writing: a cursor that stops at the end of its room ---- */

struct writer {
	uint8_t *out;
	size_t len, room;
	bool failed;
};

static void put(struct writer *w, const void *p, size_t n)
{
	if (w->failed || n > w->room - w->len) {
		w->failed = true;
		return;
	}
	if (n > 0)
		memcpy(w->out + w->len, p, n);
	w->len += n;
}

static void put_u8(struct writer *w, uint8_t v)
{
	put(w, &v, 1);
}

static void put_u16(struct writer *w, uint16_t v)
{
	uint8_t b[2];

	put_be16(b, v);
	put(w, b, sizeof(b));
}

static void put_u32(struct writer *w, uint32_t v)
{
	uint8_t b[4];

	put_be32(b, v);
	put(w, b, sizeof(b));
}

static void put_u64(struct writer *w, uint64_t v)
{
	uint8_t b[8];

	put_be64(b, v);
	put(w, b, sizeof(b));
}

static void put_at(struct writer *w, const struct endpoint *e)
{
	uint8_t b[ENDPOINT_WIRE_LEN];

	endpoint_put(b, e);
	put(w, b, sizeof(b));
}

static void put_probe(struct writer *w, const struct message *m)
{
	size_t len = m->u.probe.size - (size_t)(PACKET_HEADER_LEN + PACKET_TAG_LEN);

	put_u64(w, m->u.probe.token);
	put_u16(w, m->u.probe.size);
	if (w->failed || m->u.probe.size < PACKET_HEADER_LEN + PACKET_TAG_LEN + 11 || len > w->room) {
		w->failed = true;
		return;
	}
	memset(w->out + w->len, 0, len - w->len);
	w->len = len;
}

static void put_digest(struct writer *w, const struct message *m)
{
	size_t i;

	put_u32(w, m->u.digest.records);
	for (i = 0; i < DIGEST_BUCKETS; i++)
		put_u64(w, m->u.digest.bucket[i]);
}

static void put_have(struct writer *w, const struct message *m)
{
	size_t i;

	put_u8(w, m->u.have.bucket);
	put_u16(w, m->u.have.part);
	put_u16(w, m->u.have.parts);
	put_u8(w, (uint8_t)m->u.have.count);
	for (i = 0; i < m->u.have.count && i < HAVE_MAX; i++) {
		put(w, m->u.have.pair[i].id, NODE_ID_LEN);
		put_u64(w, m->u.have.pair[i].sequence);
	}
}

static void put_introduce(struct writer *w, const struct message *m)
{
	size_t i;

	put(w, m->u.introduce.node, NODE_ID_LEN);
	put_u8(w, (uint8_t)m->u.introduce.count);
	for (i = 0; i < m->u.introduce.count && i < CANDIDATES_MAX; i++)
		put_at(w, &m->u.introduce.at[i]);
}

static void put_fields(struct writer *w, const struct message *m)
{
	switch (m->type) {
	case MESSAGE_KEEPALIVE:
		break;
	case MESSAGE_PROBE:
		put_probe(w, m);
		break;
	case MESSAGE_PONG:
		put_u64(w, m->u.pong.token);
		put_u16(w, m->u.pong.size);
		put_at(w, &m->u.pong.observed);
		break;
	case MESSAGE_DIGEST:
		put_digest(w, m);
		break;
	case MESSAGE_HAVE:
		put_have(w, m);
		break;
	case MESSAGE_WANT:
		put_u8(w, (uint8_t)m->u.want.count);
		put(w, m->u.want.id, (m->u.want.count > WANT_MAX ? WANT_MAX : m->u.want.count) * NODE_ID_LEN);
		break;
	case MESSAGE_RECORDS:
		put(w, m->u.records.ptr, m->u.records.len);
		break;
	case MESSAGE_ROTATE:
		put_u32(w, m->u.rotate.generation);
		put_u16(w, m->u.rotate.part);
		put_u16(w, m->u.rotate.parts);
		put(w, m->u.rotate.chunk.ptr, m->u.rotate.chunk.len);
		break;
	case MESSAGE_INTRODUCE:
	case MESSAGE_INTRODUCED:
		put_introduce(w, m);
		break;
	case MESSAGE_RELAY:
	case MESSAGE_RELAYED:
		put(w, m->u.relay.node, NODE_ID_LEN);
		put(w, m->u.relay.datagram.ptr, m->u.relay.datagram.len);
		break;
	case MESSAGE_RELAY_NO:
		put(w, m->u.relay.node, NODE_ID_LEN);
		put_u8(w, m->u.relay.reason);
		break;
	case MESSAGE_GOODBYE:
		put_u8(w, m->u.goodbye);
		break;
	case MESSAGE_ASK:
		put_u64(w, m->u.ask.token);
		put_u8(w, m->u.ask.protocol);
		put_u16(w, m->u.ask.port);
		put_u8(w, m->u.ask.place);
		break;
	case MESSAGE_ANSWER:
		put_u64(w, m->u.answer.token);
		put_u8(w, m->u.answer.verdict);
		put(w, m->u.answer.text.ptr, m->u.answer.text.len);
		break;
	}
}

size_t message_put(const struct message *m, uint8_t *out, size_t room)
{
	struct writer w = {.out = out, .room = room};

	if (m->type == MESSAGE_KEEPALIVE)
		return 0;
	put_u8(&w, (uint8_t)m->type);
	put_fields(&w, m);
	return w.failed ? 0 : w.len;
}

bool message_add_record(uint8_t out[static MESSAGE_GOSSIP_MAX], size_t *len, struct slice record)
{
	size_t at = *len == 0 ? 1 : *len;

	if (record.len > RECORD_LEN_MAX || 2 + record.len > MESSAGE_GOSSIP_MAX - at)
		return false;
	out[0] = MESSAGE_RECORDS;
	put_be16(out + at, (uint16_t)record.len);
	memcpy(out + at + 2, record.ptr, record.len);
	*len = at + 2 + record.len;
	return true;
}

/* ---- reading ---- */

static int get_at(struct reader *r, struct endpoint *e)
{
	const uint8_t *p = read_bytes(r, ENDPOINT_WIRE_LEN);

	return p == NULL ? -1 : endpoint_get(e, p);
}

static int get_probe(struct reader *r, struct message *m)
{
	m->u.probe.token = read_be64(r);
	m->u.probe.size = read_be16(r);
	read_bytes(r, r->left);	/* padding */
	return 0;
}

static int get_pong(struct reader *r, struct message *m)
{
	m->u.pong.token = read_be64(r);
	m->u.pong.size = read_be16(r);
	if (get_at(r, &m->u.pong.observed) < 0)
		return -1;
	read_bytes(r, r->left);
	return 0;
}

static int get_digest(struct reader *r, struct message *m)
{
	size_t i;

	m->u.digest.records = read_be32(r);
	for (i = 0; i < DIGEST_BUCKETS; i++)
		m->u.digest.bucket[i] = read_be64(r);
	return 0;
}

static int get_have(struct reader *r, struct message *m)
{
	size_t i;

	m->u.have.bucket = read_u8(r);
	m->u.have.part = read_be16(r);
	m->u.have.parts = read_be16(r);
	m->u.have.count = read_u8(r);
	if (m->u.have.bucket >= DIGEST_BUCKETS || m->u.have.parts == 0 || m->u.have.parts > HAVE_PARTS_MAX ||
	    m->u.have.part >= m->u.have.parts || m->u.have.count > HAVE_MAX)
		return -1;
	for (i = 0; i < m->u.have.count; i++) {
		read_into(r, m->u.have.pair[i].id, NODE_ID_LEN);
		m->u.have.pair[i].sequence = read_be64(r);
		if (m->u.have.pair[i].id[0] >> 4 != m->u.have.bucket)
			return -1;
	}
	return 0;
}

static int get_want(struct reader *r, struct message *m)
{
	m->u.want.count = read_u8(r);
	if (m->u.want.count == 0 || m->u.want.count > WANT_MAX)
		return -1;
	read_into(r, m->u.want.id[0], m->u.want.count * NODE_ID_LEN);
	return 0;
}

static int get_records(struct reader *r, struct message *m)
{
	m->u.records = slice_of(r->at, r->left);
	if (r->left == 0)
		return -1;
	while (r->left > 0 && !r->failed) {
		size_t len = read_be16(r);

		if (len < RECORD_LEN_MIN || len > RECORD_LEN_MAX)
			return -1;
		read_bytes(r, len);
	}
	return 0;
}

static int get_rotate(struct reader *r, struct message *m)
{
	size_t n;

	m->u.rotate.generation = read_be32(r);
	m->u.rotate.part = read_be16(r);
	m->u.rotate.parts = read_be16(r);
	n = r->left;
	m->u.rotate.chunk = slice_of(read_bytes(r, n), n);
	if (m->u.rotate.parts == 0 || m->u.rotate.parts > STAY_PARTS_MAX || m->u.rotate.part >= m->u.rotate.parts)
		return -1;
	/* Every part but the last is full, so that its place is known. */
	return n == 0 || n > ROTATE_CHUNK || (m->u.rotate.part + 1 < m->u.rotate.parts && n != ROTATE_CHUNK) ? -1 : 0;
}

static int get_introduce(struct reader *r, struct message *m)
{
	size_t i;

	read_into(r, m->u.introduce.node, NODE_ID_LEN);
	m->u.introduce.count = read_u8(r);
	if (m->u.introduce.count == 0 || m->u.introduce.count > CANDIDATES_MAX)
		return -1;
	for (i = 0; i < m->u.introduce.count; i++) {
		if (get_at(r, &m->u.introduce.at[i]) < 0 || !endpoint_usable(&m->u.introduce.at[i]))
			return -1;
	}
	return 0;
}

static int get_relay(struct reader *r, struct message *m)
{
	size_t n;

	read_into(r, m->u.relay.node, NODE_ID_LEN);
	n = r->left;
	m->u.relay.datagram = slice_of(read_bytes(r, n), n);
	return n < PACKET_LEN_MIN ? -1 : 0;
}

static int get_relay_no(struct reader *r, struct message *m)
{
	read_into(r, m->u.relay.node, NODE_ID_LEN);
	m->u.relay.reason = read_u8(r);
	return m->u.relay.reason < RELAY_NO_ROUTE || m->u.relay.reason > RELAY_NO_ROOM ? -1 : 0;
}

static int get_goodbye(struct reader *r, struct message *m)
{
	m->u.goodbye = read_u8(r);
	return m->u.goodbye < GOODBYE_STOPPING || m->u.goodbye > GOODBYE_ROTATED ? -1 : 0;
}

static int get_ask(struct reader *r, struct message *m)
{
	m->u.ask.token = read_be64(r);
	m->u.ask.protocol = read_u8(r);
	m->u.ask.port = read_be16(r);
	m->u.ask.place = read_u8(r);
	if (m->u.ask.protocol != IPPROTO_TCP && m->u.ask.protocol != IPPROTO_UDP && m->u.ask.protocol != IPPROTO_ICMP)
		return -1;
	if ((m->u.ask.port == 0) != (m->u.ask.protocol == IPPROTO_ICMP))
		return -1;
	return m->u.ask.place >> 3 >= CLAIMS_MAX || (m->u.ask.place & 7) < SLOT_NODE || (m->u.ask.place & 7) > SLOT_FORWARD_MAX
		? -1 : 0;
}

static int get_answer(struct reader *r, struct message *m)
{
	size_t n;

	m->u.answer.token = read_be64(r);
	m->u.answer.verdict = read_u8(r);
	n = r->left;
	m->u.answer.text = slice_of(read_bytes(r, n), n);
	return m->u.answer.verdict < ANSWER_ALLOWED || m->u.answer.verdict > ANSWER_NOTHING || n > ANSWER_TEXT_MAX ? -1 : 0;
}

int message_get(struct message *m, struct slice content)
{
	static int (*const get[])(struct reader *r, struct message *m) = {
		[MESSAGE_PROBE] = get_probe, [MESSAGE_PONG] = get_pong, [MESSAGE_DIGEST] = get_digest,
		[MESSAGE_HAVE] = get_have, [MESSAGE_WANT] = get_want, [MESSAGE_RECORDS] = get_records,
		[MESSAGE_ROTATE] = get_rotate, [MESSAGE_INTRODUCE] = get_introduce,
		[MESSAGE_INTRODUCED] = get_introduce, [MESSAGE_RELAY] = get_relay, [MESSAGE_RELAYED] = get_relay,
		[MESSAGE_RELAY_NO] = get_relay_no, [MESSAGE_GOODBYE] = get_goodbye,
		[MESSAGE_ASK] = get_ask, [MESSAGE_ANSWER] = get_answer,
	};
	struct reader r = reader_of(content);
	uint8_t type;

	m->type = MESSAGE_KEEPALIVE;
	if (content.len == 0)
		return 0;
	type = read_u8(&r);
	if (content.len > MESSAGE_LEN_MAX || type >= ARRAY_SIZE(get) || get[type] == NULL)
		return -1;
	m->type = (enum message_type)type;
	return get[type](&r, m) < 0 || r.failed || r.left != 0 ? -1 : 0;
}

bool message_next_record(struct slice records, size_t *at, struct slice *record)
{
	size_t len;

	if (*at + 2 > records.len)
		return false;
	len = get_be16(records.ptr + *at);
	if (len > records.len - *at - 2)
		return false;
	*record = slice_sub(records, *at + 2, len);
	*at += 2 + len;
	return true;
}
