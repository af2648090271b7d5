/* Big-endian integers in fixed buffers, and the labelled hash of the mesh: H and K of meshanics-mesh-protocol(7). */
#ifndef MESHANICS_MESH_BYTES_H
#define MESHANICS_MESH_BYTES_H

#include "base/slice.h"

#define MESH_HASH_LEN 32

/* Reads fields one after the other, and remembers the first that was not there: nothing and zeros from then on. */
struct reader {
	const uint8_t *at;
	size_t left;
	bool failed;
};

static inline void put_be16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void put_be32(uint8_t *p, uint32_t v)
{
	put_be16(p, (uint16_t)(v >> 16));
	put_be16(p + 2, (uint16_t)v);
}

static inline void put_be64(uint8_t *p, uint64_t v)
{
	put_be32(p, (uint32_t)(v >> 32));
	put_be32(p + 4, (uint32_t)v);
}

static inline uint16_t get_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t get_be32(const uint8_t *p)
{
	return (uint32_t)get_be16(p) << 16 | get_be16(p + 2);
}

static inline uint64_t get_be64(const uint8_t *p)
{
	return (uint64_t)get_be32(p) << 32 | get_be32(p + 4);
}

static inline struct reader reader_of(struct slice s)
{
	return (struct reader){s.ptr, s.len, false};
}

/* The next n bytes, borrowed; NULL when there are fewer. */
static inline const uint8_t *read_bytes(struct reader *r, size_t n)
{
	const uint8_t *p = r->at;

	if (r->failed || n > r->left) {
		r->failed = true;
		return NULL;
	}
	r->at += n;
	r->left -= n;
	return p;
}

/* The next n bytes into out; zeros when there are fewer. */
static inline void read_into(struct reader *r, uint8_t *out, size_t n)
{
	const uint8_t *p = read_bytes(r, n);

	if (p != NULL)
		memcpy(out, p, n);
	else
		memset(out, 0, n);
}

static inline uint8_t read_u8(struct reader *r)
{
	const uint8_t *p = read_bytes(r, 1);

	return p == NULL ? 0 : p[0];
}

static inline uint16_t read_be16(struct reader *r)
{
	const uint8_t *p = read_bytes(r, 2);

	return p == NULL ? 0 : get_be16(p);
}

static inline uint32_t read_be32(struct reader *r)
{
	const uint8_t *p = read_bytes(r, 4);

	return p == NULL ? 0 : get_be32(p);
}

static inline uint64_t read_be64(struct reader *r)
{
	const uint8_t *p = read_bytes(r, 8);

	return p == NULL ? 0 : get_be64(p);
}

/* H(label, parts...): BLAKE2b-256 of "meshanics-mesh-1 ", the label, a zero byte and the parts, n of them. */
void mesh_hash(uint8_t out[static MESH_HASH_LEN], const char *label, const struct slice *parts, size_t n);
/* K(key, label, parts...): the same, keyed with 32 bytes. */
void mesh_keyed_hash(uint8_t out[static MESH_HASH_LEN], const uint8_t key[static 32], const char *label,
		     const struct slice *parts, size_t n);

#endif
