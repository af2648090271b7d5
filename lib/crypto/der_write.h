/*
 * DER (X.690) written back to front: by the time a header is put in front of a value, the value and so its
 * length are known, and nothing is ever moved. Put the last element first:
 *
 *	size_t end = der_mark(&w);
 *	der_put_time(&w, not_after_s);
 *	der_put_time(&w, not_before_s);
 *	der_wrap(&w, DER_SEQUENCE, end);	-- Validity ::= SEQUENCE { notBefore, notAfter }
 *
 * The writer holds DER_WRITE_MAX bytes and remembers its first failure: one check at the end.
 */
#ifndef MESHANICS_CRYPTO_DER_WRITE_H
#define MESHANICS_CRYPTO_DER_WRITE_H

#include "base/buf.h"

#define DER_WRITE_MAX 8192

/* About 8 KiB: on the stack of its user, who starts it with der_writer_init. */
struct der_writer {
	uint8_t bytes[DER_WRITE_MAX];
	size_t at;	/* index of the first byte written; what is written lies in bytes[at..DER_WRITE_MAX) */
	bool failed;
};

void der_writer_init(struct der_writer *w);
/* All that was written; empty after a failure. Borrowed from the writer. */
struct slice der_written(const struct der_writer *w);

/* The place behind the value about to be written, for der_wrap. */
size_t der_mark(const struct der_writer *w);
/* Put tag and length in front of everything written since the mark was taken. */
void der_wrap(struct der_writer *w, uint8_t tag, size_t mark);

/* Bytes as they are: a value that is DER already, or content that a der_wrap will cover. */
void der_put_raw(struct der_writer *w, struct slice bytes);
/* One whole primitive value. */
void der_put(struct der_writer *w, uint8_t tag, struct slice content);
/* INTEGER of a non-negative big-endian number: leading zeros are dropped, a sign octet put where needed. */
void der_put_uint(struct der_writer *w, struct slice big_endian);
void der_put_u32(struct der_writer *w, uint32_t v);	/* INTEGER */
void der_put_true(struct der_writer *w);		/* BOOLEAN TRUE: DEFAULT FALSE is never written in DER */
/* BIT STRING whose last `unused` (0..7) bits do not count; they must be zero. */
void der_put_bits(struct der_writer *w, struct slice bytes, unsigned unused);
/* Time (RFC 5280 4.1.2.5): UTCTime through 2049, GeneralizedTime after. t_s is clamped to 1970..9999. */
void der_put_time(struct der_writer *w, int64_t t_s);

#endif
