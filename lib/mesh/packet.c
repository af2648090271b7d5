/* Datagrams: header and mask, outer seal, and what each type says. */
#include "mesh/packet.h"

#include <assert.h>
#include <sodium.h>

#include "mesh/bytes.h"
#include "sys/rng.h"

#define SALT_AT PACKET_HEADER_LEN
#define BODY_AT (PACKET_HEADER_LEN + PACKET_SALT_LEN)

_Static_assert(PACKET_SALT_LEN == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "the salt is the nonce");
#define HERE_FIXED (ENDPOINT_WIRE_LEN + 2)	/* of what is sealed: all but the record */

_Static_assert(PACKET_OUTER_LEN + 10 + crypto_box_SEALBYTES + HERE_FIXED + RECORD_LEN_MAX == PACKET_WHO_LEN_MIN,
	       "no answer is longer than its question");

/* ---- header ---- */

static void mask_bytes(const uint8_t key[static 16], uint8_t out[static 16], const uint8_t *datagram)
{
	crypto_shorthash_siphashx24(out, datagram + PACKET_HEADER_LEN, 16, key);
}

static void xor16(uint8_t *out, const uint8_t *a, const uint8_t *b)
{
	int i;

	for (i = 0; i < 16; i++)
		out[i] = a[i] ^ b[i];
}

void packet_mask(const uint8_t mask[static 16], uint8_t *datagram)
{
	uint8_t bytes[16];

	mask_bytes(mask, bytes, datagram);
	xor16(datagram, datagram, bytes);
}

void packet_header_put(uint8_t out[static PACKET_HEADER_LEN], const struct packet_header *h)
{
	put_be32(out, h->receiver);
	out[4] = h->type;
	out[5] = h->flags;
	put_be16(out + 6, 0);
	put_be64(out + 8, h->counter);
}

/* What the header of a type may have: the table of the page. */
static bool header_fits(const struct packet_header *h)
{
	switch (h->type) {
	case PACKET_INITIATION:
	case PACKET_WHO:
		return h->receiver == 0 && (h->flags & ~PACKET_HAS_MAC2) == 0 && h->counter == 0;
	case PACKET_RESPONSE:
	case PACKET_COOKIE:
		return h->receiver != 0 && h->flags == 0 && h->counter == 0;
	case PACKET_HINT:
	case PACKET_HERE:
	case PACKET_BEACON:
		return h->receiver == 0 && h->flags == 0 && h->counter == 0;
	case PACKET_DATA:
		return h->receiver != 0 && (h->flags & ~PACKET_NO_CHECKSUM) == 0;
	case PACKET_CONTROL:
		return h->receiver != 0 && h->flags == 0;
	default:
		return false;
	}
}

static bool has_mac2(const struct packet_header *h)
{
	return !packet_is_session(h) && (h->flags & PACKET_HAS_MAC2) != 0;
}

static size_t mac2_len(const struct packet_header *h)
{
	return has_mac2(h) ? PACKET_MAC2_LEN : 0;
}

static void header_read(struct packet_header *h, const uint8_t *clear)
{
	h->receiver = get_be32(clear);
	h->type = clear[4];
	h->flags = clear[5];
	h->counter = get_be64(clear + 8);
}

int packet_header_get(const struct subkeys *k, const uint8_t *datagram, size_t len, struct packet_header *h,
		      uint8_t *clear)
{
	uint8_t own[PACKET_HEADER_LEN];

	if (len < PACKET_LEN_MIN)
		return -1;
	mask_bytes(k->mask, own, datagram);
	xor16(own, own, datagram);
	header_read(h, own);
	if (get_be16(own + 6) != 0 || !header_fits(h))
		return -1;
	if (!packet_is_session(h) && (len < PACKET_OUTER_LEN + mac2_len(h) || len > PACKET_OUTER_MAX))
		return -1;
	if (clear != NULL)
		memcpy(clear, own, sizeof(own));
	return 0;
}

/* ---- outer seal ---- */

int packet_open(const struct subkeys *k, const uint8_t *datagram, size_t len, const struct packet_header *h,
		uint8_t *body, size_t *body_len)
{
	uint8_t clear[PACKET_HEADER_LEN];
	size_t end = len - mac2_len(h), n;

	assert(!packet_is_session(h));
	if (len < PACKET_OUTER_LEN + mac2_len(h) || len > PACKET_OUTER_MAX)
		return -1;
	n = end - PACKET_OUTER_LEN;
	packet_header_put(clear, h);
	if (crypto_aead_xchacha20poly1305_ietf_decrypt_detached(body, NULL, datagram + BODY_AT, n,
								datagram + end - PACKET_TAG_LEN, clear, sizeof(clear),
								datagram + SALT_AT, k->outer) != 0)
		return -1;
	*body_len = n;
	return 0;
}

const uint8_t *packet_outer_tag(const uint8_t *datagram, size_t len, const struct packet_header *h)
{
	return datagram + len - mac2_len(h) - PACKET_TAG_LEN;
}

static void mac2_of(uint8_t out[static MESH_HASH_LEN], const uint8_t *datagram, size_t len, const uint8_t *cookie)
{
	struct slice all = slice_of(datagram, len);
	uint8_t key[32] = {0};

	memcpy(key, cookie, COOKIE_LEN);
	mesh_keyed_hash(out, key, "mac2", &all, 1);
	sodium_memzero(key, sizeof(key));
}

bool packet_mac2_holds(const uint8_t *datagram, size_t len, const struct packet_header *h,
		       const uint8_t cookie[static COOKIE_LEN])
{
	uint8_t mac[MESH_HASH_LEN];

	if (!has_mac2(h) || len < PACKET_OUTER_LEN + PACKET_MAC2_LEN)
		return false;
	mac2_of(mac, datagram, len - PACKET_MAC2_LEN, cookie);
	return sodium_memcmp(mac, datagram + len - PACKET_MAC2_LEN, PACKET_MAC2_LEN) == 0;
}

/* Up to `max` zeros more, at random, as far as the datagram has room. */
static size_t padded(uint8_t *out, size_t body_len, size_t max, size_t end)
{
	size_t room = end - PACKET_OUTER_LEN - body_len, n = rng_below((uint32_t)(max + 1));

	if (n > room)
		n = room;
	memset(out + BODY_AT + body_len, 0, n);
	return body_len + n;
}

/* Seal the body that stands at out + BODY_AT. Returns the length of the datagram. */
static size_t seal(const struct subkeys *k, struct packet_header h, size_t body_len, const uint8_t *cookie, uint8_t *out)
{
	uint8_t *body = out + BODY_AT, mac[MESH_HASH_LEN];
	size_t len = PACKET_OUTER_LEN + body_len;

	if (cookie != NULL)
		h.flags |= PACKET_HAS_MAC2;
	packet_header_put(out, &h);
	rng_bytes(out + SALT_AT, PACKET_SALT_LEN);
	crypto_aead_xchacha20poly1305_ietf_encrypt_detached(body, body + body_len, NULL, body, body_len, out,
							    PACKET_HEADER_LEN, NULL, out + SALT_AT, k->outer);
	packet_mask(k->mask, out);
	if (cookie == NULL)
		return len;
	mac2_of(mac, out, len, cookie);
	memcpy(out + len, mac, PACKET_MAC2_LEN);
	return len + PACKET_MAC2_LEN;
}

static size_t seal_padded(const struct subkeys *k, struct packet_header h, size_t body_len, const uint8_t *cookie,
			  uint8_t *out)
{
	size_t end = PACKET_OUTER_MAX - (cookie == NULL ? 0 : PACKET_MAC2_LEN);

	return seal(k, h, padded(out, body_len, PACKET_PADDING_MAX, end), cookie, out);
}

/* ---- initiation and response: the same body ---- */

static size_t put_noise(uint8_t *body, uint32_t sender, struct slice noise)
{
	assert(noise.len <= PACKET_OUTER_MAX - PACKET_OUTER_LEN - PACKET_MAC2_LEN - 6);
	put_be32(body, sender);
	put_be16(body + 4, (uint16_t)noise.len);
	memcpy(body + 6, noise.ptr, noise.len);
	return 6 + noise.len;
}

static int get_noise(uint32_t *sender, struct slice *noise, struct slice body)
{
	struct reader r = reader_of(body);
	size_t len;

	*sender = read_be32(&r);
	len = read_be16(&r);
	noise->ptr = read_bytes(&r, len);
	noise->len = len;
	return r.failed || *sender == 0 || *sender == PACKET_COOKIE_FOR_WHO ? -1 : 0;
}

size_t packet_put_initiation(const struct subkeys *k, const struct packet_initiation *p, const uint8_t *cookie,
			     uint8_t *out)
{
	return seal_padded(k, (struct packet_header){.type = PACKET_INITIATION},
			   put_noise(out + BODY_AT, p->sender, p->noise), cookie, out);
}

int packet_initiation_get(struct packet_initiation *p, struct slice body)
{
	return get_noise(&p->sender, &p->noise, body);
}

size_t packet_put_response(const struct subkeys *k, const struct packet_response *p, uint8_t *out)
{
	return seal_padded(k, (struct packet_header){.type = PACKET_RESPONSE, .receiver = p->receiver},
			   put_noise(out + BODY_AT, p->sender, p->noise), NULL, out);
}

int packet_response_get(struct packet_response *p, const struct packet_header *h, struct slice body)
{
	p->receiver = h->receiver;
	return get_noise(&p->sender, &p->noise, body);
}

/* ---- the others ---- */

size_t packet_put_cookie(const struct subkeys *k, const struct packet_cookie *p, uint8_t *out)
{
	memcpy(out + BODY_AT, p->quoted, PACKET_TAG_LEN);
	memcpy(out + BODY_AT + PACKET_TAG_LEN, p->cookie, COOKIE_LEN);
	return seal_padded(k, (struct packet_header){.type = PACKET_COOKIE, .receiver = p->receiver},
			   PACKET_TAG_LEN + COOKIE_LEN, NULL, out);
}

int packet_cookie_get(struct packet_cookie *p, const struct packet_header *h, struct slice body)
{
	struct reader r = reader_of(body);

	p->receiver = h->receiver;
	read_into(&r, p->quoted, PACKET_TAG_LEN);
	read_into(&r, p->cookie, COOKIE_LEN);
	return r.failed ? -1 : 0;
}

size_t packet_put_hint(const struct subkeys *k, const uint8_t clear[static PACKET_HEADER_LEN], uint8_t *out)
{
	memcpy(out + BODY_AT, clear, PACKET_HEADER_LEN);
	return seal_padded(k, (struct packet_header){.type = PACKET_HINT}, PACKET_HEADER_LEN, NULL, out);
}

int packet_hint_get(struct packet_header *quoted, struct slice body)
{
	struct reader r = reader_of(body);
	const uint8_t *clear = read_bytes(&r, PACKET_HEADER_LEN);

	if (clear == NULL)
		return -1;
	header_read(quoted, clear);
	return packet_is_session(quoted) && header_fits(quoted) && get_be16(clear + 6) == 0 ? 0 : -1;
}

#define WHO_BODY_MIN (PACKET_WHO_LEN_MIN - PACKET_OUTER_LEN)

size_t packet_put_who(const struct subkeys *k, const struct packet_who *p, const uint8_t *cookie, uint8_t *out)
{
	size_t end = PACKET_OUTER_MAX - (cookie == NULL ? 0 : PACKET_MAC2_LEN);
	uint8_t *body = out + BODY_AT;

	memset(body, 0, WHO_BODY_MIN);
	memcpy(body, p->wanted, NODE_ID_LEN);
	put_be64(body + NODE_ID_LEN, p->nonce);
	memcpy(body + 24, p->sign_public, sizeof(p->sign_public));
	memcpy(body + 56, p->static_public, sizeof(p->static_public));
	return seal(k, (struct packet_header){.type = PACKET_WHO},
		    padded(out, WHO_BODY_MIN, end - PACKET_WHO_LEN_MIN, end), cookie, out);
}

int packet_who_get(struct packet_who *p, struct slice body)
{
	struct reader r = reader_of(body);

	read_into(&r, p->wanted, NODE_ID_LEN);
	p->nonce = read_be64(&r);
	read_into(&r, p->sign_public, sizeof(p->sign_public));
	read_into(&r, p->static_public, sizeof(p->static_public));
	return body.len < WHO_BODY_MIN ? -1 : 0;
}

size_t packet_put_here(const struct subkeys *k, const struct packet_here *p, const uint8_t to[static 32], uint8_t *out)
{
	uint8_t clear[HERE_FIXED + RECORD_LEN_MAX], *body = out + BODY_AT;
	size_t len = HERE_FIXED + p->record.len;

	assert(p->record.len <= RECORD_LEN_MAX);
	endpoint_put(clear, &p->observed);
	put_be16(clear + ENDPOINT_WIRE_LEN, (uint16_t)p->record.len);
	memcpy(clear + HERE_FIXED, p->record.ptr, p->record.len);
	put_be64(body, p->nonce);
	put_be16(body + 8, (uint16_t)(crypto_box_SEALBYTES + len));
	if (crypto_box_seal(body + 10, clear, len, to) != 0)
		return 0;
	return seal(k, (struct packet_header){.type = PACKET_HERE},
		    padded(out, 10 + crypto_box_SEALBYTES + len, PACKET_PADDING_MAX, PACKET_WHO_LEN_MIN), NULL, out);
}

int packet_here_nonce(uint64_t *nonce, struct slice body)
{
	struct reader r = reader_of(body);

	*nonce = read_be64(&r);
	return r.failed ? -1 : 0;
}

int packet_here_get(struct packet_here *p, struct slice body, const struct nodekey *self, uint8_t *room)
{
	struct reader r = reader_of(body);
	const uint8_t *observed, *sealed;
	size_t len;

	p->nonce = read_be64(&r);
	len = read_be16(&r);
	sealed = read_bytes(&r, len);
	if (r.failed || len < crypto_box_SEALBYTES ||
	    crypto_box_seal_open(room, sealed, len, self->static_public, self->static_secret) != 0)
		return -1;
	r = reader_of(slice_of(room, len - crypto_box_SEALBYTES));
	observed = read_bytes(&r, ENDPOINT_WIRE_LEN);
	p->record.len = read_be16(&r);
	p->record.ptr = read_bytes(&r, p->record.len);
	if (r.failed || p->record.len > RECORD_LEN_MAX || endpoint_get(&p->observed, observed) < 0)
		return -1;
	return 0;
}

size_t packet_put_beacon(const struct subkeys *k, const struct packet_beacon *p, uint8_t *out)
{
	uint8_t *body = out + BODY_AT;

	memcpy(body, p->id, NODE_ID_LEN);
	put_be32(body + 16, p->boot_epoch);
	put_be64(body + 20, p->sequence);
	put_be16(body + 28, p->port_v4);
	put_be16(body + 30, p->port_v6);
	body[32] = p->answer ? 1 : 0;
	return seal_padded(k, (struct packet_header){.type = PACKET_BEACON}, 33, NULL, out);
}

int packet_beacon_get(struct packet_beacon *p, struct slice body)
{
	struct reader r = reader_of(body);

	read_into(&r, p->id, NODE_ID_LEN);
	p->boot_epoch = read_be32(&r);
	p->sequence = read_be64(&r);
	p->port_v4 = read_be16(&r);
	p->port_v6 = read_be16(&r);
	p->answer = (read_u8(&r) & 1) != 0;
	return r.failed ? -1 : 0;
}
