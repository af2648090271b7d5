/*
 * The one door from secrets to decisions: whether a scalar is in range, whether a nonce served. Everything else about
 * P-256 is computed without a branch or an address that depends on a secret, and tests/bench/p256_ct.c proves it: there
 * this function is another one, which tells valgrind that the answer is no secret.
 */
#ifndef MESHANICS_CRYPTO_P256_REVEAL_H
#define MESHANICS_CRYPTO_P256_REVEAL_H

#include <stdbool.h>
#include <stdint.h>

/* yes: 1 or 0. */
bool p256_reveal(uint64_t yes);

#endif
