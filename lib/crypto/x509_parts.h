/* Inside of x509*.c: the parts that certificates and requests have in common, and their identifiers. */
#ifndef MESHANICS_CRYPTO_X509_PARTS_H
#define MESHANICS_CRYPTO_X509_PARTS_H

#include "crypto/der.h"
#include "crypto/x509.h"

/* Contents of OBJECT IDENTIFIERs. */
#define OID_ECDSA_SHA256 SLICE_LIT("\x2a\x86\x48\xce\x3d\x04\x03\x02")		/* 1.2.840.10045.4.3.2 */
#define OID_EXTENSION_REQUEST SLICE_LIT("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e")	/* 1.2.840.113549.1.9.14 */
#define OID_COMMON_NAME SLICE_LIT("\x55\x04\x03")
#define OID_ORGANIZATION SLICE_LIT("\x55\x04\x0a")
#define OID_SUBJECT_KEY_ID SLICE_LIT("\x55\x1d\x0e")
#define OID_KEY_USAGE SLICE_LIT("\x55\x1d\x0f")
#define OID_SUBJECT_ALT_NAME SLICE_LIT("\x55\x1d\x11")
#define OID_BASIC_CONSTRAINTS SLICE_LIT("\x55\x1d\x13")
#define OID_AUTHORITY_KEY_ID SLICE_LIT("\x55\x1d\x23")
#define OID_EXT_KEY_USAGE SLICE_LIT("\x55\x1d\x25")
#define OID_SERVER_AUTH SLICE_LIT("\x2b\x06\x01\x05\x05\x07\x03\x01")
#define OID_CLIENT_AUTH SLICE_LIT("\x2b\x06\x01\x05\x05\x07\x03\x02")

/* GeneralName (RFC 5280 4.2.1.6), IMPLICIT. */
#define TAG_SAN_DNS DER_CONTEXT(2)
#define TAG_SAN_URI DER_CONTEXT(6)
#define TAG_SAN_IP DER_CONTEXT(7)

/*
 * Each reads the next element of d. Errors as x509_read; after -1 the cursor is of no use.
 * Name: checked in shape, whole kept for comparing, common name made printable into cn.
 */
WARN_UNUSED int x509_read_name(struct der *d, struct slice *whole, char cn[static X509_CN_MAX + 1],
			       const char *what, struct error *err);
/* SubjectPublicKeyInfo of a P-256 key whose point is on the curve. */
WARN_UNUSED int x509_read_key(struct der *d, struct pubkey *key, struct error *err);
/* AlgorithmIdentifier: ecdsa-with-SHA256 and nothing else. */
WARN_UNUSED int x509_read_algorithm(struct der *d, struct error *err);
/* SEQUENCE OF Extension into the extension members of c, which the caller has zeroed. */
WARN_UNUSED int x509_read_extensions(struct der *d, struct x509 *c, struct error *err);

#endif
