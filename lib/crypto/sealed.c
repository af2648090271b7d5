/* Sealed streams: Argon2id and libsodium's secretstream behind a small header. */
#include "crypto/sealed.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "sys/rng.h"

/* Offsets in the header: magic, memory in KiB, passes, salt, then secretstream's own. */
enum { MEMORY = 8, PASSES = 12, SALT = 16, STREAM = 32 };

static const uint8_t magic[8] = {'M', 'S', 'E', 'A', 'L', 'E', 'D', '1'};

_Static_assert(crypto_pwhash_SALTBYTES == STREAM - SALT, "salt of Argon2");
_Static_assert(crypto_secretstream_xchacha20poly1305_HEADERBYTES == SEALED_HEADER_LEN - STREAM, "secretstream header");
_Static_assert(crypto_secretstream_xchacha20poly1305_ABYTES == SEALED_CHUNK_MAX - SEALED_CHUNK, "secretstream tag");

struct sealer {
	crypto_secretstream_xchacha20poly1305_state state;
	uint8_t header[STREAM];		/* bound to the first chunk */
	bool first;
	struct buf pending;		/* content of the chunk in the making; secret */
	uint8_t *chunk;			/* SEALED_CHUNK_MAX */
};

struct unsealer {
	crypto_secretstream_xchacha20poly1305_state state;
	uint8_t header[STREAM];
	bool first, ended;
	struct buf pending;		/* sealed bytes of the chunk at hand */
	uint8_t *chunk;			/* SEALED_CHUNK, secret */
};

static void put_u32be(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static uint32_t get_u32be(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int derive(uint8_t key[static 32], struct slice passphrase, const uint8_t *header, struct error *err)
{
	unsigned long long passes = get_u32be(header + PASSES);
	size_t memory = (size_t)get_u32be(header + MEMORY) * 1024;

	if (crypto_pwhash(key, 32, (const char *)passphrase.ptr, passphrase.len, header + SALT, passes, memory,
			  crypto_pwhash_ALG_ARGON2ID13) != 0)
		return error_set(err, ERR_FAILED, "not enough memory to make a key of the passphrase (%zu MiB)",
				 memory >> 20);
	return 0;
}

/* ---- sealing ---- */

struct sealer *sealer_new(struct slice passphrase, struct sealed_cost cost, struct buf *out, struct error *err)
{
	struct sealer *s = xcalloc(1, sizeof(*s));
	uint8_t key[32], stream[SEALED_HEADER_LEN - STREAM];

	memcpy(s->header, magic, sizeof(magic));
	put_u32be(s->header + MEMORY, cost.memory_kib);
	put_u32be(s->header + PASSES, cost.passes);
	rng_bytes(s->header + SALT, STREAM - SALT);
	if (derive(key, passphrase, s->header, err) < 0) {
		free(s);
		return NULL;
	}
	crypto_secretstream_xchacha20poly1305_init_push(&s->state, stream, key);
	sodium_memzero(key, sizeof(key));
	s->first = true;
	s->pending = BUF_SECRET(SEALED_CHUNK);
	s->chunk = xmalloc(SEALED_CHUNK_MAX);
	buf_put(out, s->header, STREAM);
	buf_put(out, stream, sizeof(stream));
	return s;
}

static void seal_chunk(struct sealer *s, bool last, struct buf *out)
{
	unsigned char tag = last ? crypto_secretstream_xchacha20poly1305_TAG_FINAL : 0;
	unsigned long long len;

	crypto_secretstream_xchacha20poly1305_push(&s->state, s->chunk, &len, s->pending.ptr, s->pending.len,
						   s->first ? s->header : NULL, s->first ? STREAM : 0, tag);
	s->first = false;
	buf_put(out, s->chunk, (size_t)len);
	buf_clear(&s->pending);
}

/* A full chunk waits for the byte after it: only then it is known not to be the last. */
void sealer_put(struct sealer *s, struct slice content, struct buf *out)
{
	while (content.len > 0) {
		struct slice part;

		if (s->pending.len == SEALED_CHUNK)
			seal_chunk(s, false, out);
		part = slice_sub(content, 0, SEALED_CHUNK - s->pending.len);
		buf_put_slice(&s->pending, part);
		content = slice_sub(content, part.len, content.len);
	}
}

void sealer_end(struct sealer *s, struct buf *out)
{
	seal_chunk(s, true, out);
}

void sealer_free(struct sealer *s)
{
	if (s == NULL)
		return;
	buf_release(&s->pending);
	free(s->chunk);
	sodium_memzero(s, sizeof(*s));
	free(s);
}

/* ---- unsealing ---- */

struct unsealer *unsealer_new(struct slice header, struct slice passphrase, struct error *err)
{
	struct unsealer *u;
	uint8_t key[32];

	if (header.len != SEALED_HEADER_LEN || memcmp(header.ptr, magic, sizeof(magic)) != 0) {
		error_set(err, ERR_MALFORMED, "this is no file sealed by meshanics");
		return NULL;
	}
	if (get_u32be(header.ptr + PASSES) < 1 || get_u32be(header.ptr + PASSES) > SEALED_PASSES_MAX ||
	    get_u32be(header.ptr + MEMORY) < 8 || get_u32be(header.ptr + MEMORY) > SEALED_MEMORY_KIB_MAX) {
		error_set(err, ERR_LIMIT, "the passphrase's cost (%u passes, %u KiB) is out of range",
			  get_u32be(header.ptr + PASSES), get_u32be(header.ptr + MEMORY));
		return NULL;
	}
	if (derive(key, passphrase, header.ptr, err) < 0)
		return NULL;
	u = xcalloc(1, sizeof(*u));
	memcpy(u->header, header.ptr, STREAM);
	crypto_secretstream_xchacha20poly1305_init_pull(&u->state, header.ptr + STREAM, key);
	sodium_memzero(key, sizeof(key));
	u->first = true;
	u->pending = BUF_INIT(SEALED_CHUNK_MAX);
	u->chunk = xmalloc(SEALED_CHUNK);
	return u;
}

static int open_chunk(struct unsealer *u, bool last, struct buf *out, struct error *err)
{
	unsigned long long len = 0;
	unsigned char tag = 0;

	if (u->pending.len < SEALED_CHUNK_MAX - SEALED_CHUNK)
		return error_set(err, ERR_REFUSED, "the sealed file is cut short");
	if (crypto_secretstream_xchacha20poly1305_pull(&u->state, u->chunk, &len, &tag, u->pending.ptr, u->pending.len,
						       u->first ? u->header : NULL, u->first ? STREAM : 0) != 0) {
		if (u->first)
			return error_set(err, ERR_REFUSED, "the passphrase is wrong, or the sealed file was changed");
		return error_set(err, ERR_REFUSED, last ? "the sealed file is cut short or was changed"
							: "the sealed file was changed");
	}
	u->first = false;
	u->ended = tag == crypto_secretstream_xchacha20poly1305_TAG_FINAL;
	if (u->ended != last)
		return error_set(err, ERR_REFUSED, last ? "the sealed file is cut short"
							: "something follows the end of the sealed file");
	buf_put(out, u->chunk, (size_t)len);
	buf_clear(&u->pending);
	return 0;
}

int unsealer_put(struct unsealer *u, struct slice sealed, struct buf *out, struct error *err)
{
	while (sealed.len > 0) {
		struct slice part;

		if (u->pending.len == SEALED_CHUNK_MAX && open_chunk(u, false, out, err) < 0)
			return -1;
		part = slice_sub(sealed, 0, SEALED_CHUNK_MAX - u->pending.len);
		buf_put_slice(&u->pending, part);
		sealed = slice_sub(sealed, part.len, sealed.len);
	}
	return 0;
}

int unsealer_end(struct unsealer *u, struct buf *out, struct error *err)
{
	return open_chunk(u, true, out, err);
}

void unsealer_free(struct unsealer *u)
{
	if (u == NULL)
		return;
	buf_release(&u->pending);
	sodium_memzero(u->chunk, SEALED_CHUNK);
	free(u->chunk);
	sodium_memzero(u, sizeof(*u));
	free(u);
}
