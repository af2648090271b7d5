/*
 * Reading DER (X.690), strictly: one-byte tags, definite lengths in their shortest form, integers without
 * padding. There is one encoding for each value, so what was read and what was signed cannot differ.
 * Nothing is copied: every slice points into the caller's bytes.
 *
 * Limits: elements of at most 2^31 - 1 bytes, object identifiers of at most 32, no tag above 30. The caller
 * descends by itself (der_enter), so depth is bounded by its code, never by the input.
 *
 * All functions that return int: 0, or -1 with ERR_MALFORMED saying what was wanted (`what`, the word for
 * the element: "serial number") and what was found. After -1 the cursor stands where it stood.
 */
#ifndef MESHANICS_CRYPTO_DER_H
#define MESHANICS_CRYPTO_DER_H

#include "base/error.h"

enum der_tag {
	DER_BOOLEAN = 0x01,
	DER_INTEGER = 0x02,
	DER_BIT_STRING = 0x03,
	DER_OCTET_STRING = 0x04,
	DER_NULL = 0x05,
	DER_OID = 0x06,
	DER_UTF8_STRING = 0x0c,
	DER_PRINTABLE_STRING = 0x13,
	DER_T61_STRING = 0x14,
	DER_IA5_STRING = 0x16,
	DER_UTC_TIME = 0x17,
	DER_GENERALIZED_TIME = 0x18,
	DER_SEQUENCE = 0x30,
	DER_SET = 0x31,
};
/* [n] of a context: primitive (IMPLICIT of such a type), and constructed (EXPLICIT, or IMPLICIT of a SEQUENCE). */
#define DER_CONTEXT(n) (0x80 | (n))
#define DER_CONTEXT_CONS(n) (0xa0 | (n))

#define DER_OID_LEN_MAX 32

/* A cursor: what is still to be read. Copy it to look ahead. */
struct der {
	struct slice rest;
};

static inline struct der der_of(struct slice bytes)
{
	return (struct der){bytes};
}

static inline bool der_done(const struct der *d)
{
	return d->rest.len == 0;
}

/* The tag of the next element, or -1 at the end. Says nothing about the rest of the element. */
static inline int der_peek(const struct der *d)
{
	return d->rest.len == 0 ? -1 : d->rest.ptr[0];
}

/* Refuse bytes after the last element. */
WARN_UNUSED int der_end(const struct der *d, const char *what, struct error *err);

/* The next element whatever it is. tag, content and whole (with tag and length) may each be NULL. */
WARN_UNUSED int der_any(struct der *d, uint8_t *tag, struct slice *content, struct slice *whole,
			const char *what, struct error *err);
/* The content of the next element, which must have this tag. */
WARN_UNUSED int der_get(struct der *d, uint8_t tag, struct slice *content, const char *what, struct error *err);
/* As der_get, but with tag and length: for bytes that are signed, hashed or kept as they are. */
WARN_UNUSED int der_get_whole(struct der *d, uint8_t tag, struct slice *whole, const char *what,
			      struct error *err);
/* A cursor over the content of the next element, which must have this (constructed) tag. */
WARN_UNUSED int der_enter(struct der *d, uint8_t tag, struct der *inner, const char *what, struct error *err);

/* INTEGER as its two's complement content, in its shortest form: 1 byte or more. */
WARN_UNUSED int der_integer(struct der *d, struct slice *content, const char *what, struct error *err);
/* INTEGER that is not negative, as its magnitude without leading zeros; empty for 0. */
WARN_UNUSED int der_uint(struct der *d, struct slice *magnitude, const char *what, struct error *err);
/* INTEGER within min..max. */
WARN_UNUSED int der_int(struct der *d, int64_t min, int64_t max, int64_t *value, const char *what,
			struct error *err);
WARN_UNUSED int der_bool(struct der *d, bool *value, const char *what, struct error *err);
WARN_UNUSED int der_null(struct der *d, const char *what, struct error *err);
/* OBJECT IDENTIFIER as its content bytes, at most DER_OID_LEN_MAX; compare with slice_equal and SLICE_LIT. */
WARN_UNUSED int der_oid(struct der *d, struct slice *content, const char *what, struct error *err);
/* BIT STRING of whole bytes (keys, signatures). */
WARN_UNUSED int der_bits(struct der *d, struct slice *bytes, const char *what, struct error *err);
/*
 * BIT STRING of named bits (KeyUsage): bit n of *flags is the named bit n. At most 32; no trailing zero bits,
 * as DER wants for named bits.
 */
WARN_UNUSED int der_flags(struct der *d, uint32_t *flags, const char *what, struct error *err);
/*
 * UTCTime or GeneralizedTime as RFC 5280 4.1.2.5 allows them: seconds, "Z", UTCTime for 1950 to 2049 only,
 * GeneralizedTime from 2050 on (99991231235959Z included). Seconds since the epoch; before 1970 it is negative.
 */
WARN_UNUSED int der_time(struct der *d, int64_t *t_s, const char *what, struct error *err);
/*
 * UTF8String, PrintableString or IA5String as bytes, checked for their alphabet. NUL is refused.
 * For names that are shown or compared.
 */
WARN_UNUSED int der_text(struct der *d, struct slice *text, const char *what, struct error *err);

#endif
