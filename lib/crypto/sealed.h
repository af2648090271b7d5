/*
 * A stream of bytes sealed with a passphrase (man/meshanics-backup.5): Argon2id makes a key of it, XChaCha20-Poly1305
 * (libsodium's secretstream) seals chunks of SEALED_CHUNK bytes. Whoever changes, drops, adds, reorders or cuts
 * anything is found at the chunk where it happened. Both directions stream in constant memory and do no I/O.
 */
#ifndef MESHANICS_CRYPTO_SEALED_H
#define MESHANICS_CRYPTO_SEALED_H

#include "base/buf.h"
#include "base/error.h"

#define SEALED_HEADER_LEN 56
#define SEALED_CHUNK 65536	/* bytes of content in every chunk but the last */
#define SEALED_CHUNK_MAX (SEALED_CHUNK + 17)	/* as it is stored */

struct sealed_cost {
	uint32_t passes;
	uint32_t memory_kib;
};
#define SEALED_COST ((struct sealed_cost){.passes = 3, .memory_kib = 262144})	/* half a second of a desktop computer */
#define SEALED_PASSES_MAX 16
#define SEALED_MEMORY_KIB_MAX 1048576

struct sealer;
/* Appends the header to out. NULL with ERR_FAILED when there is not enough memory. Secrets are wiped by sealer_free. */
WARN_UNUSED struct sealer *sealer_new(struct slice passphrase, struct sealed_cost cost, struct buf *out,
				      struct error *err);
/* Append what is complete of the sealed stream to out. */
void sealer_put(struct sealer *s, struct slice content, struct buf *out);
/* The last chunk. Nothing may follow. */
void sealer_end(struct sealer *s, struct buf *out);
void sealer_free(struct sealer *s);	/* NULL is fine */

struct unsealer;
/* header: SEALED_HEADER_LEN bytes. ERR_MALFORMED for another format, ERR_LIMIT for a cost above the maximum. */
WARN_UNUSED struct unsealer *unsealer_new(struct slice header, struct slice passphrase, struct error *err);
/*
 * Feed sealed bytes; what they hold is appended to out, chunk by chunk, never before it has been verified.
 * -1 with ERR_REFUSED: the passphrase is wrong (first chunk), or the stream was changed.
 */
WARN_UNUSED int unsealer_put(struct unsealer *u, struct slice sealed, struct buf *out, struct error *err);
/* The stream has ended. -1 with ERR_REFUSED when it was cut short. */
WARN_UNUSED int unsealer_end(struct unsealer *u, struct buf *out, struct error *err);
void unsealer_free(struct unsealer *u);	/* NULL is fine */

#endif
