/*
 * ECDSA over P-256 (p256.h) and P-384 (BearSSL), behind key.h. Points are uncompressed (04||X||Y), signatures travel as
 * DER SEQUENCE{r,s} and are computed on as r||s of the curve's length.
 */
#ifndef MESHANICS_CRYPTO_ECDSA_H
#define MESHANICS_CRYPTO_ECDSA_H

#include "crypto/key.h"
#include "crypto/p256.h"

#define P384_LEN 48
#define P384_POINT_LEN 97
#define ECDSA_RAW_MAX (2 * P384_LEN)

/* Bytes of a coordinate or scalar: 32 or 48; 0 when the scheme is no ECDSA. */
size_t ecdsa_len(enum key_scheme scheme);
/* ERR_REFUSED unless the point is on the curve. */
WARN_UNUSED int ecdsa_check(const struct pubkey *k, struct error *err);
/* hash: of 32 bytes for P-256, 48 for P-384. */
WARN_UNUSED int ecdsa_verify(const struct pubkey *k, struct slice hash, struct slice sig_der, struct error *err);

/* The P-256 key of a secret scalar; ERR_REFUSED unless 0 < scalar < n. */
WARN_UNUSED int ecdsa_public(struct pubkey *k, const uint8_t scalar[static P256_LEN], struct error *err);
/* By a P-256 key, deterministic (RFC 6979). */
WARN_UNUSED int ecdsa_sign(const uint8_t scalar[static P256_LEN], const uint8_t hash[static 32], struct buf *sig_der,
			   struct error *err);

/* r||s from DER; ERR_MALFORMED unless both are minimal integers of at most len bytes. */
WARN_UNUSED int ecdsa_raw_from_der(uint8_t *raw, size_t len, struct slice der, struct error *err);
/* DER from r||s of 2 * len bytes, len < 60. */
void ecdsa_put_der(struct buf *out, const uint8_t *raw, size_t len);

#endif
