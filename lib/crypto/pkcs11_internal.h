/* Between the files of PKCS#11, and for the test that plays a hostile module. */
#ifndef MESHANICS_CRYPTO_PKCS11_INTERNAL_H
#define MESHANICS_CRYPTO_PKCS11_INTERNAL_H

#include "crypto/hash.h"
#include "crypto/pkcs11.h"
#include "crypto/pkcs11_api.h"

/* A loaded module; never freed. Its fields belong to the holder of the lock in pkcs11_module.c. */
struct pkcs11_module {
	char path[PKCS11_PATH_MAX + 1];
	const struct ck_functions *f;
	unsigned users;			/* initialised while there are any */
	bool refused_any;
	uint8_t refused[SHA256_LEN];	/* hash of the serial number and the PIN that a token refused last */
	struct pkcs11_module *next;
};

struct pkcs11_key {
	struct pkcs11_module *module;
	unsigned long session, object, public_object;	/* public_object: only after pkcs11_key_generate */
	bool always_login;		/* CKA_ALWAYS_AUTHENTICATE: the PIN goes before each signature */
	size_t pin_len;
	uint8_t pin[PKCS11_PIN_MAX];	/* of such a key alone */
	char name[80];			/* for messages: "key 'x' in token 'y'" */
};

/* ---- pkcs11_error.c ---- */
/* "what: the token's words"; kind and hint after the code. Returns -1. */
int pkcs11_failed(struct error *err, unsigned long code, const char *what);

/* ---- pkcs11_module.c ---- */
/* Serve `path` by these functions instead of a file: for tests. */
void pkcs11_module_add(const char *path, const struct ck_functions *f);
/* Load and initialise, or count one user more. pkcs11_module_put takes the user back. */
WARN_UNUSED struct pkcs11_module *pkcs11_module_get(const char *path, struct error *err);
void pkcs11_module_put(struct pkcs11_module *m);
/* The one initialised token that u describes. */
WARN_UNUSED int pkcs11_token_find(struct pkcs11_module *m, const struct pkcs11_uri *u, unsigned long *slot,
				  struct ck_token_info *info, struct error *err);
/* The user's login on a session; unattended: the PIN comes from a file, so nobody watches the tries. */
WARN_UNUSED int pkcs11_login(struct pkcs11_module *m, unsigned long session, const struct ck_token_info *info,
			     struct slice pin, bool unattended, struct error *err);

/* ---- pkcs11_object.c ---- */
/* One attribute into out (of *len bytes; *len becomes its length). ERR_NOT_FOUND: the object does not give it out. */
WARN_UNUSED int pkcs11_attribute(const struct pkcs11_key *k, unsigned long object, unsigned long type, void *out,
				 size_t *len, struct error *err);
/* The number of objects that match, 2 standing for more; the first into *object. -1 with err. */
WARN_UNUSED int pkcs11_find(const struct pkcs11_key *k, struct ck_attribute *list, unsigned long count,
			    unsigned long *object, struct error *err);
/*
 * A public key of CKA_EC_PARAMS and CKA_EC_POINT. The point is in an OCTET STRING by the letter of v2.40, and bare in
 * many tokens and, for Edwards curves, in v3.0. The key has passed pubkey_check.
 */
WARN_UNUSED int pkcs11_point_parse(struct pubkey *out, struct slice params, struct slice point, struct error *err);

#endif
