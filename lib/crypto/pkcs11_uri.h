/*
 * PKCS#11 URIs (RFC 7512): which key in which token, by which module, and where its PIN lies. Read strictly, and only
 * the attributes that we act upon: token, manufacturer, serial, model, object, id, type=private; module-path,
 * pin-source. All others are refused by name, since a key that was meant otherwise is the wrong key.
 *
 * Limits: the text PKCS11_URI_MAX bytes, the fields as below; each attribute once. Text is UTF-8 without control bytes.
 */
#ifndef MESHANICS_CRYPTO_PKCS11_URI_H
#define MESHANICS_CRYPTO_PKCS11_URI_H

#include "base/buf.h"
#include "base/error.h"

#define PKCS11_URI_MAX 1800	/* so that a key file has room for it */
#define PKCS11_LABEL_MAX 127	/* of an object */
#define PKCS11_ID_MAX 64
#define PKCS11_PATH_MAX 511

/* Empty text and a length of 0: not given, which matches any. */
struct pkcs11_uri {
	char token[33], manufacturer[33], serial[17], model[17];
	char object[PKCS11_LABEL_MAX + 1];
	uint8_t id[PKCS11_ID_MAX];
	size_t id_len;
	char module_path[PKCS11_PATH_MAX + 1];	/* absolute */
	char pin_file[PKCS11_PATH_MAX + 1];	/* of pin-source=file:, absolute */
};

/* ERR_MALFORMED, ERR_LIMIT. Names a module, and a token by label or serial number; key and PIN may be open. */
WARN_UNUSED int pkcs11_uri_parse(struct pkcs11_uri *u, struct slice text, struct error *err);
/* The one text that we write for it; it parses to the same. */
void pkcs11_uri_put(struct buf *out, const struct pkcs11_uri *u);

#endif
