/* Our SHA-256, which knows the processor's instructions for it, in the form in which BearSSL takes a hash function. */
#ifndef MESHANICS_CRYPTO_HASH_CLASS_H
#define MESHANICS_CRYPTO_HASH_CLASS_H

#include <bearssl.h>

/* To be used wherever br_sha256_vtable is; a context of either is a br_sha256_context. */
extern const br_hash_class sha256_class;

#endif
