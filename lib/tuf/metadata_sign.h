/*
 * Making signed files: a `signed` value as JSON text goes in, a TUF file comes out whose `signed` is that text byte
 * for byte. Signatures are over its canonical form, so indentation is free.
 */
#ifndef MESHANICS_TUF_METADATA_SIGN_H
#define MESHANICS_TUF_METADATA_SIGN_H

#include "crypto/keyfile.h"
#include "tuf/metadata.h"

struct tuf_signer {
	const struct seckey *key;	/* borrowed */
	char keyid[TUF_KEYID_LEN];	/* as the role lists it */
};
/* A signer under the id that tuf_key_put gives its key. */
void tuf_signer_init(struct tuf_signer *s, const struct seckey *key);

/*
 * Append the file {"signatures": [...], "signed": signed_json}. count may be 0: an unsigned file that others sign
 * later. ERR_MALFORMED: signed_json is not one JSON object; ERR_LIMIT: out's ceiling.
 */
WARN_UNUSED int tuf_sign_envelope(struct buf *out, struct slice signed_json, const struct tuf_signer *signers,
				  unsigned count, struct error *err);
/*
 * The same, but `signed` is written in its canonical form, so that whoever verifies may take the bytes as they are.
 * (A text with control characters has none that is JSON again, and stays as it is.)
 */
WARN_UNUSED int tuf_sign_canonical(struct buf *out, struct slice signed_json, const struct tuf_signer *signers,
				   unsigned count, struct error *err);
/*
 * Append file with our signatures added; one under the same key id is replaced, all others stay.
 */
WARN_UNUSED int tuf_sign_add(struct buf *out, struct slice file, const struct tuf_signer *signers, unsigned count,
			     struct error *err);
/*
 * Append base with the signatures of other joined in: for an id in both, base's, unless it is the empty string.
 * ERR_REFUSED when the two `signed` values differ (compared canonically).
 */
WARN_UNUSED int tuf_sign_merge(struct buf *out, struct slice base, struct slice other, struct error *err);
/*
 * A ready signature (made elsewhere) under this key id; joined as in tuf_sign_add. Nothing is verified here.
 */
WARN_UNUSED int tuf_sign_attach(struct buf *out, struct slice file, const char *keyid, struct slice sig,
				struct error *err);
/* The bytes that signers sign: the canonical form of a file's `signed`. Appended to out. */
WARN_UNUSED int tuf_sign_payload(struct buf *out, struct slice file, struct error *err);

#endif
