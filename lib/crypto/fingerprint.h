/* Fingerprints (64 hex digits of a SHA-256) that one person reads to another, who types how they begin. */
#ifndef MESHANICS_CRYPTO_FINGERPRINT_H
#define MESHANICS_CRYPTO_FINGERPRINT_H

#include "crypto/hash.h"

/*
 * Digits that are typed at least. Only these are sure to be compared, and whoever makes the thing may try others until
 * one begins with the same digits: for 8 of them (32 bits) minutes or hours will do, for 16 (64 bits) a few machines do
 * not find one in years.
 */
#define FINGERPRINT_DIGITS_MIN 16
#define FINGERPRINT_GROUPS_LEN (SHA256_HEX_LEN + 15)	/* a space after each fourth digit but the last */

/* The first n digits (at most 64) of hex in groups of four, as they are read aloud. */
void fingerprint_groups(char out[static FINGERPRINT_GROUPS_LEN], const char *hex, size_t n);
/* All digits of hex, with question marks for the first n, which must come by another way. */
void fingerprint_hide(char out[static SHA256_HEX_LEN], const char *hex, size_t n);
/*
 * Is `typed` how `hex` begins, with `need` digits or more? Spaces are dropped, case does not matter.
 * need: FINGERPRINT_DIGITS_MIN or more. what: names it in errors ("the fingerprint").
 * 0 is yes; ERR_USAGE when too short, too long or not hex, ERR_REFUSED when it differs. The hint is the caller's.
 */
WARN_UNUSED int fingerprint_check(const char *hex, const char *typed, size_t need, const char *what, struct error *err);

#endif
