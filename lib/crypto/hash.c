/*
 * SHA-256 around the fastest compression function that runs here, SHA-512 by libsodium, SHA-384 by BearSSL, and
 * hashing of files.
 */
#include "crypto/hash.h"

#include <fcntl.h>
#include <stdatomic.h>

#include <bearssl.h>
#include <sodium.h>

#include "base/buf.h"
#include "crypto/sha256_code.h"
#include "sys/file.h"

/*
 * Read in parts that stay in the second level cache between the kernel's copy and our reading: measured a
 * little faster than 1 MiB, and at the speed of the hash itself, so that a second thread would gain nothing.
 */
#define FILE_PART (256u << 10)

/* Fastest first; the last one always works. */
static const struct sha256_code *const codes[] = {&sha256_x86, &sha256_arm, &sha256_portable};
static _Atomic(const struct sha256_code *) chosen;

static const struct sha256_code *choose(void)
{
	size_t i = 0;

	while (codes[i]->works == NULL || !codes[i]->works())
		i++;
	return codes[i];
}

/* Two threads that ask at once come to the same answer, so the order of memory does not matter. */
static const struct sha256_code *code(void)
{
	const struct sha256_code *c = atomic_load_explicit(&chosen, memory_order_relaxed);

	if (c == NULL) {
		c = choose();
		atomic_store_explicit(&chosen, c, memory_order_relaxed);
	}
	return c;
}

int sha256_force(const char *name, struct error *err)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(codes); i++) {
		if (strcmp(codes[i]->name, name) != 0)
			continue;
		if (codes[i]->works == NULL || !codes[i]->works())
			break;
		atomic_store_explicit(&chosen, codes[i], memory_order_relaxed);
		return 0;
	}
	return error_set(err, ERR_NOT_FOUND, "SHA-256 by '%s' does not run on this machine", name);
}

const char *sha256_implementation(void)
{
	return code()->name;
}

void sha256_init(struct sha256 *h)
{
	*h = (struct sha256){
		.state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
			  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19},
	};
}

void sha256_update(struct sha256 *h, const void *p, size_t n)
{
	const uint8_t *at = p;
	size_t held = h->total % 64, take;

	if (n == 0)
		return;
	h->total += n;
	if (held > 0) {
		take = n < 64 - held ? n : 64 - held;
		memcpy(h->block + held, at, take);
		at += take;
		n -= take;
		if (held + take < 64)
			return;
		code()->blocks(h->state, h->block, 1);
	}
	if (n >= 64)
		code()->blocks(h->state, at, n / 64);
	if (n % 64 > 0)
		memcpy(h->block, at + n / 64 * 64, n % 64);
}

/* Padding (FIPS 180-4 5.1.1): a one bit, zeros, and the length in bits in the last eight bytes. */
void sha256_final(struct sha256 *h, uint8_t out[static SHA256_LEN])
{
	uint8_t tail[72] = {0x80};
	size_t zeros = (119 - h->total % 64) % 64;
	uint64_t bits = h->total * 8;
	unsigned i;

	for (i = 0; i < 8; i++)
		tail[1 + zeros + i] = (uint8_t)(bits >> (56 - 8 * i));
	sha256_update(h, tail, 1 + zeros + 8);
	for (i = 0; i < SHA256_LEN; i++)
		out[i] = (uint8_t)(h->state[i / 4] >> (24 - 8 * (i % 4)));
	explicit_bzero(h, sizeof(*h));
}

void sha256_of(struct slice s, uint8_t out[static SHA256_LEN])
{
	struct sha256 h;

	sha256_init(&h);
	sha256_update(&h, s.ptr, s.len);
	sha256_final(&h, out);
}

int sha256_file(int fd, uint8_t out[static SHA256_LEN], uint64_t *len,
		void (*progress)(void *arg, uint64_t done), void *arg, struct error *err)
{
	uint8_t *part = xmalloc_io(FILE_PART);
	uint64_t done = 0;
	struct sha256 h;
	ssize_t n;

	/* Only advice: a descriptor that cannot take it is read all the same. */
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	sha256_init(&h);
	while ((n = file_pread(fd, part, FILE_PART, done, "file to be hashed", err)) > 0) {
		sha256_update(&h, part, (size_t)n);
		done += (uint64_t)n;
		if (progress != NULL)
			progress(arg, done);
	}
	free(part);
	if (n < 0)
		return -1;
	sha256_final(&h, out);
	*len = done;
	return 0;
}

static crypto_hash_sha512_state *sha512_state(struct sha512 *h)
{
	_Static_assert(sizeof(crypto_hash_sha512_state) <= sizeof(h->opaque), "struct sha512 is too small");
	return (crypto_hash_sha512_state *)(void *)h->opaque;
}

void sha512_init(struct sha512 *h)
{
	crypto_hash_sha512_init(sha512_state(h));
}

void sha512_update(struct sha512 *h, const void *p, size_t n)
{
	crypto_hash_sha512_update(sha512_state(h), p, n);
}

void sha512_final(struct sha512 *h, uint8_t out[static SHA512_LEN])
{
	crypto_hash_sha512_final(sha512_state(h), out);
	explicit_bzero(h, sizeof(*h));
}

void sha384_of(struct slice s, uint8_t out[static SHA384_LEN])
{
	br_sha384_context h;

	br_sha384_init(&h);
	br_sha384_update(&h, s.ptr, s.len);
	br_sha384_out(&h, out);
}
