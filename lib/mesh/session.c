/* Sessions: sealing and opening, the replay window, and the decisions of time and count. */
#include "mesh/session.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>

#include "base/buf.h"
#include "mesh/bytes.h"

/* Of the clear header, the bytes that are the nonce: type, flags, zeros, counter. */
#define NONCE_AT 4

_Static_assert(NONCE_AT + AEAD_NONCE_LEN == PACKET_HEADER_LEN, "the nonce ends with the header");
_Static_assert(AEAD_TAG_LEN == PACKET_TAG_LEN, "one length of tags");

/* ---- replay ---- */

#define WORDS (REPLAY_WINDOW / 64)

void replay_init(struct replay *r)
{
	memset(r, 0, sizeof(*r));
}

static uint64_t *word_of(struct replay *r, uint64_t counter)
{
	return &r->bits[counter / 64 % WORDS];
}

static uint64_t bit_of(uint64_t counter)
{
	return UINT64_C(1) << counter % 64;
}

bool replay_would_accept(const struct replay *r, uint64_t counter)
{
	if (counter >= SESSION_END_PACKETS)
		return false;
	if (counter >= r->next)
		return true;
	if (r->next - counter > REPLAY_WINDOW)
		return false;
	return (r->bits[counter / 64 % WORDS] & bit_of(counter)) == 0;
}

int replay_accept(struct replay *r, uint64_t counter)
{
	if (!replay_would_accept(r, counter))
		return -1;
	if (counter >= r->next) {
		/* The places of those between, which now stand for them instead of older ones. */
		if (counter - r->next >= REPLAY_WINDOW)
			memset(r->bits, 0, sizeof(r->bits));
		else
			for (; r->next < counter; r->next++)
				*word_of(r, r->next) &= ~bit_of(r->next);
		r->next = counter + 1;
	}
	*word_of(r, counter) |= bit_of(counter);
	return 0;
}

/* ---- sessions ---- */

struct session *session_new(struct session_params *p)
{
	struct session *s = xmalloc_aligned(_Alignof(struct session), sizeof(*s));

	memset(s, 0, sizeof(*s));
	aead_init(&s->tx.aead, p->cipher, p->send_key);
	aead_init(&s->rx.aead, p->cipher, p->receive_key);
	memcpy(s->tx.mask, p->subkeys->mask, sizeof(s->tx.mask));
	s->tx.remote_index = p->remote_index;
	atomic_init(&s->tx.counter, 0);
	replay_init(&s->rx.replay);
	s->rx.local_index = p->local_index;
	memcpy(s->peer, p->peer, sizeof(s->peer));
	s->generation = p->generation;
	s->kind = p->kind;
	s->initiator = p->initiator;
	s->cipher = p->cipher;
	s->peer_mtu = p->peer_mtu;
	s->created_ms = p->now_ms;
	sodium_memzero(p->send_key, sizeof(p->send_key));
	sodium_memzero(p->receive_key, sizeof(p->receive_key));
	return s;
}

void session_free(struct session *s)
{
	if (s == NULL)
		return;
	sodium_memzero(s, sizeof(*s));
	free(s);
}

int session_take(struct session_tx *tx, unsigned n, uint64_t *first)
{
	uint64_t at = atomic_fetch_add_explicit(&tx->counter, n, memory_order_relaxed);

	*first = at;
	return at < SESSION_END_PACKETS && n <= SESSION_END_PACKETS - at ? 0 : -1;
}

size_t session_seal_with(const struct session_tx *tx, uint64_t counter, uint8_t type, uint8_t flags, uint8_t *datagram,
			 size_t len)
{
	struct packet_header h = {.receiver = tx->remote_index, .type = type, .flags = flags, .counter = counter};

	packet_header_put(datagram, &h);
	aead_seal(&tx->aead, datagram + NONCE_AT, datagram + PACKET_HEADER_LEN, len);
	packet_mask(tx->mask, datagram);
	return len + SESSION_OVERHEAD;
}

size_t session_seal(struct session_tx *tx, uint8_t type, uint8_t flags, uint8_t *datagram, size_t len)
{
	uint64_t counter;

	if (session_take(tx, 1, &counter) < 0)
		return 0;
	return session_seal_with(tx, counter, type, flags, datagram, len);
}

enum session_verdict session_open(struct session_rx *rx, const struct packet_header *h,
				  const uint8_t clear[static PACKET_HEADER_LEN], uint8_t *datagram, size_t len,
				  size_t *content_len)
{
	assert(len >= SESSION_OVERHEAD);
	if (!replay_would_accept(&rx->replay, h->counter))
		return SESSION_REPLAYED;
	if (aead_open(&rx->aead, clear + NONCE_AT, datagram + PACKET_HEADER_LEN, len - SESSION_OVERHEAD) < 0)
		return SESSION_FORGED;
	if (replay_accept(&rx->replay, h->counter) < 0)
		return SESSION_REPLAYED;
	*content_len = len - SESSION_OVERHEAD;
	return SESSION_OK;
}

/* ---- decisions ---- */

static uint64_t packets_sent(const struct session *s)
{
	return atomic_load_explicit(&s->tx.counter, memory_order_relaxed);
}

bool session_alive(const struct session *s, int64_t now_ms)
{
	return now_ms - s->created_ms < SESSION_END_MS && packets_sent(s) < SESSION_END_PACKETS;
}

bool session_wants_rekey(const struct session *s, int64_t now_ms)
{
	int64_t age_ms = now_ms - s->created_ms;

	return age_ms >= (s->initiator ? SESSION_REKEY_MS : SESSION_REKEY_RESPONDER_MS) ||
	       packets_sent(s) >= SESSION_REKEY_PACKETS;
}
