/* Handshakes: payloads, and the way from a static key to a session. */
#include "mesh/handshake.h"

#include <assert.h>
#include <sodium.h>

#include "mesh/bytes.h"

#define PROLOGUE_LEN 36
#define PAYLOAD_1_LEN 54	/* without the record */
#define PAYLOAD_2_LEN 69
#define PAYLOAD_MAX (PAYLOAD_2_LEN + RECORD_LEN_MAX)
#define FLAG_ROTATION 1u

_Static_assert(PACKET_OUTER_LEN + PACKET_MAC2_LEN + 6 + NOISE_MESSAGE_1_LEN + PAYLOAD_1_LEN + RECORD_LEN_MAX <=
		       PACKET_OUTER_MAX,
	       "every record fits into an initiation");
_Static_assert(PACKET_OUTER_LEN + 6 + NOISE_MESSAGE_2_LEN + PAYLOAD_MAX <= PACKET_OUTER_MAX,
	       "every record fits into a response");

static void begin(struct noise *n, const struct handshake_self *self, const uint8_t *remote_static)
{
	uint8_t prologue[PROLOGUE_LEN];

	memcpy(prologue, "meshanics-mesh-1", 16);
	memcpy(prologue + 16, self->network_id, NETWORK_ID_LEN);
	put_be32(prologue + 32, self->generation);
	noise_init(n, remote_static != NULL, slice_of(prologue, sizeof(prologue)), self->key->static_secret,
		   self->key->static_public, remote_static, self->subkeys->psk);
}

static size_t put_record(uint8_t *at, const struct handshake_self *self, bool send)
{
	size_t len = send ? self->record.len : 0;

	assert(len <= RECORD_LEN_MAX);
	put_be16(at, (uint16_t)len);
	if (len > 0)
		memcpy(at + 2, self->record.ptr, len);
	return 2 + len;
}

static int get_record(struct reader *r, struct handshake_peer *peer)
{
	size_t len = read_be16(r);
	const uint8_t *p = read_bytes(r, len);

	/* A payload has no padding: that is around the Noise message. */
	if (p == NULL || len > RECORD_LEN_MAX || r->left != 0)
		return -1;
	memcpy(peer->record_bytes, p, len);
	peer->record_len = len;
	return 0;
}

bool handshake_order_after(const struct handshake_order *a, const struct handshake_order *b)
{
	if (a->boot_epoch != b->boot_epoch)
		return b->boot_epoch > a->boot_epoch;
	return b->counter > a->counter;
}

/* ---- initiator, first message ---- */

size_t handshake_initiate(struct handshake *hs, const struct handshake_self *self,
			  const uint8_t remote_id[static NODE_ID_LEN], const uint8_t remote_static[static 32],
			  uint32_t local_index, uint32_t counter, bool send_record, const uint8_t *cookie, uint8_t *out)
{
	uint8_t payload[PAYLOAD_1_LEN + RECORD_LEN_MAX], message[NOISE_MESSAGE_1_LEN + sizeof(payload)];
	struct packet_header h = {.flags = (uint8_t)(cookie == NULL ? 0 : PACKET_HAS_MAC2)};
	struct packet_initiation p = {.sender = local_index};
	size_t len;

	memset(hs, 0, sizeof(*hs));
	begin(&hs->noise, self, remote_static);
	hs->local_index = local_index;
	memcpy(hs->remote_id, remote_id, NODE_ID_LEN);
	hs->ciphers = self->ciphers;
	put_be32(payload, self->boot_epoch);
	put_be32(payload + 4, counter);
	put_be64(payload + 8, self->sequence);
	payload[16] = self->ciphers;
	payload[17] = 0;
	put_be16(payload + 18, self->mtu);
	memcpy(payload + 20, self->key->sign_public, 32);
	len = PAYLOAD_1_LEN - 2 + put_record(payload + PAYLOAD_1_LEN - 2, self, send_record);
	if (noise_write(&hs->noise, slice_of(payload, len), message, sizeof(message), &len) < 0) {
		handshake_wipe(hs);
		return 0;
	}
	p.noise = slice_of(message, len);
	len = packet_put_initiation(self->subkeys, &p, cookie, out);
	memcpy(hs->outer_tag, packet_outer_tag(out, len, &h), PACKET_TAG_LEN);
	return len;
}

void handshake_wipe(struct handshake *hs)
{
	sodium_memzero(hs, sizeof(*hs));
	hs->noise.stage = NOISE_FAILED;
}

/* ---- responder ---- */

static bool mtu_fits(uint16_t mtu)
{
	return mtu >= MESH_MTU_MIN && mtu <= MESH_MTU_MAX;
}

static int get_payload_1(struct handshake_peer *peer, const struct handshake_self *self, struct slice payload)
{
	struct reader r = reader_of(payload);
	uint8_t zero;

	peer->order.boot_epoch = read_be32(&r);
	peer->boot_epoch = peer->order.boot_epoch;
	peer->order.counter = read_be32(&r);
	peer->sequence = read_be64(&r);
	peer->ciphers = read_u8(&r);
	zero = read_u8(&r);
	peer->mtu = read_be16(&r);
	read_into(&r, peer->sign_public, 32);
	if (get_record(&r, peer) < 0 || r.failed || zero != 0 || !mtu_fits(peer->mtu) ||
	    (peer->ciphers & CIPHER_CHACHA20_POLY1305) == 0)
		return -1;
	node_id_of(peer->id, peer->sign_public, peer->static_public);
	return memcmp(peer->id, self->key->id, NODE_ID_LEN) == 0 ? -1 : 0;
}

int handshake_read_initiation(struct noise *noise, const struct handshake_self *self, struct slice body,
			      struct handshake_peer *peer, uint32_t *remote_index)
{
	uint8_t payload[PACKET_OUTER_MAX];
	struct packet_initiation p;
	size_t len;
	int r = -1;

	memset(peer, 0, sizeof(*peer));
	begin(noise, self, NULL);
	if (packet_initiation_get(&p, body) == 0 &&
	    noise_read(noise, p.noise, payload, sizeof(payload), &len) == 0) {
		memcpy(peer->static_public, noise->rs, 32);
		*remote_index = p.sender;
		r = get_payload_1(peer, self, slice_of(payload, len));
	}
	if (r < 0)
		noise_wipe(noise);
	sodium_memzero(payload, sizeof(payload));
	return r;
}

static void common_params(struct session_params *params, const struct handshake_self *self,
			  const struct handshake_peer *peer, uint32_t local_index, uint32_t remote_index)
{
	memcpy(params->peer, peer->id, NODE_ID_LEN);
	params->subkeys = self->subkeys;
	params->generation = self->generation;
	params->local_index = local_index;
	params->remote_index = remote_index;
	params->peer_mtu = peer->mtu;
}

size_t handshake_respond(struct noise *noise, const struct handshake_self *self, const struct handshake_peer *peer,
			 uint32_t remote_index, uint32_t local_index, enum session_kind kind,
			 const struct endpoint *observed, bool send_record, struct session_params *params, uint8_t *out)
{
	uint8_t payload[PAYLOAD_MAX], message[NOISE_MESSAGE_2_LEN + sizeof(payload)];
	struct packet_response p = {.receiver = remote_index, .sender = local_index};
	size_t len;

	memset(params, 0, sizeof(*params));
	params->cipher = aead_choose(self->ciphers, peer->ciphers);
	put_be32(payload, self->boot_epoch);
	put_be64(payload + 4, self->sequence);
	payload[12] = params->cipher;
	payload[13] = kind == SESSION_ROTATION ? FLAG_ROTATION : 0;
	put_be16(payload + 14, self->mtu);
	endpoint_put(payload + 16, observed);
	memcpy(payload + 35, self->key->sign_public, 32);
	len = PAYLOAD_2_LEN - 2 + put_record(payload + PAYLOAD_2_LEN - 2, self, send_record);
	if (noise_write(noise, slice_of(payload, len), message, sizeof(message), &len) < 0)
		return 0;
	noise_split(noise, params->send_key, params->receive_key);
	common_params(params, self, peer, local_index, remote_index);
	params->kind = kind;
	params->initiator = false;
	p.noise = slice_of(message, len);
	return packet_put_response(self->subkeys, &p, out);
}

/* ---- initiator, second message ---- */

static int get_payload_2(struct handshake_peer *peer, const struct handshake *hs, struct slice payload)
{
	struct reader r = reader_of(payload);
	const uint8_t *observed;
	uint8_t flags;

	peer->boot_epoch = read_be32(&r);
	peer->sequence = read_be64(&r);
	peer->ciphers = read_u8(&r);
	flags = read_u8(&r);
	peer->mtu = read_be16(&r);
	observed = read_bytes(&r, ENDPOINT_WIRE_LEN);
	read_into(&r, peer->sign_public, 32);
	if (get_record(&r, peer) < 0 || r.failed || endpoint_get(&peer->observed, observed) < 0 || !mtu_fits(peer->mtu) ||
	    (flags & ~FLAG_ROTATION) != 0)
		return -1;
	peer->rotation = (flags & FLAG_ROTATION) != 0;
	/* One cipher, which we offered. */
	if ((peer->ciphers & hs->ciphers) != peer->ciphers || aead_by_cipher(peer->ciphers) == NULL)
		return -1;
	node_id_of(peer->id, peer->sign_public, peer->static_public);
	return memcmp(peer->id, hs->remote_id, NODE_ID_LEN) == 0 ? 0 : -1;
}

int handshake_finish(struct handshake *hs, const struct handshake_self *self, const struct packet_header *h,
		     struct slice body, struct handshake_peer *peer, struct session_params *params)
{
	uint8_t payload[PACKET_OUTER_MAX];
	struct packet_response p;
	struct noise noise = hs->noise;	/* a copy: what does not hold must not spoil what does */
	size_t len;
	int r = -1;

	memset(peer, 0, sizeof(*peer));
	memset(params, 0, sizeof(*params));
	if (packet_response_get(&p, h, body) == 0 && p.receiver == hs->local_index && noise.stage == NOISE_SENT &&
	    noise_read(&noise, p.noise, payload, sizeof(payload), &len) == 0) {
		memcpy(peer->static_public, noise.rs, 32);
		r = get_payload_2(peer, hs, slice_of(payload, len));
	}
	if (r == 0) {
		noise_split(&noise, params->send_key, params->receive_key);
		common_params(params, self, peer, hs->local_index, p.sender);
		params->kind = peer->rotation ? SESSION_ROTATION : SESSION_FULL;
		params->initiator = true;
		params->cipher = peer->ciphers;
		handshake_wipe(hs);
	}
	noise_wipe(&noise);
	sodium_memzero(payload, sizeof(payload));
	return r;
}

/* ---- timers ---- */

bool handshake_answer_crossing(const uint8_t self[static NODE_ID_LEN], const uint8_t peer[static NODE_ID_LEN],
			       int64_t own_age_ms)
{
	return memcmp(self, peer, NODE_ID_LEN) > 0 || own_age_ms >= CROSSING_HOLD_MS;
}

int64_t handshake_retry_ms(unsigned n, uint32_t random)
{
	int64_t ms = n >= 6 ? HANDSHAKE_RETRY_MAX_MS : HANDSHAKE_RETRY_FIRST_MS << n;

	/* 80 to 120 % of it. */
	return ms * 4 / 5 + ms * 2 / 5 * (int64_t)(random % 1024) / 1023;
}
