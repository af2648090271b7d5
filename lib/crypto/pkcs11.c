/* Keys in tokens: opened, made, used. */
#include "crypto/pkcs11.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>

#include <sodium.h>

#include "crypto/ecdsa.h"
#include "crypto/pkcs11_internal.h"
#include "sys/file.h"
#include "sys/rng.h"

#define NEW_ID_LEN 16
#define RAW_LEN 64	/* of a signature as tokens give it: R||S of Ed25519, r||s of P-256 */

int pkcs11_probe(const struct pkcs11_uri *u, struct error *err)
{
	struct pkcs11_module *m = pkcs11_module_get(u->module_path, err);
	struct ck_token_info info;
	unsigned long slot;
	int r;

	if (m == NULL)
		return -1;
	r = pkcs11_token_find(m, u, &slot, &info, err);
	pkcs11_module_put(m);
	return r;
}

/* ---- sessions ---- */

static int read_pin(const struct pkcs11_uri *u, struct buf *pin, struct error *err)
{
	if (u->pin_file[0] == '\0')
		return 0;
	if (file_read_private(AT_FDCWD, u->pin_file, pin, err) < 0)
		return error_wrap(err, "PIN of the token");
	if (pin->len > 0 && pin->ptr[pin->len - 1] == '\n')
		pin->len--;
	return 0;
}

/* Keep what is needed of the PIN: nothing, but for keys that want it before each signature. */
static void keep_pin(struct pkcs11_key *k, struct slice pin)
{
	struct error ignored = ERROR_INIT;
	uint8_t always = 0;
	size_t len = sizeof(always);

	if (pkcs11_attribute(k, k->object, CKA_ALWAYS_AUTHENTICATE, &always, &len, &ignored) < 0 || len != 1 ||
	    always == 0 || pin.len == 0)
		return;
	k->always_login = true;
	k->pin_len = pin.len;
	memcpy(k->pin, pin.ptr, pin.len);
}

static int session_open(struct pkcs11_key *k, const struct pkcs11_uri *u, unsigned long flags, struct slice pin,
			bool unattended, struct error *err)
{
	struct ck_token_info info;
	unsigned long slot, r;

	if ((k->module = pkcs11_module_get(u->module_path, err)) == NULL ||
	    pkcs11_token_find(k->module, u, &slot, &info, err) < 0)
		return -1;
	r = k->module->f->C_OpenSession(slot, CKF_SERIAL_SESSION | flags, NULL, NULL, &k->session);
	if (r != CKR_OK) {
		k->session = 0;
		return pkcs11_failed(err, r, "cannot open a session");
	}
	if ((info.flags & CKF_LOGIN_REQUIRED) == 0)
		return 0;
	return pkcs11_login(k->module, k->session, &info, pin, unattended, err);
}

/* What is to be done in a session, when one is open. */
struct task {
	int (*run)(struct pkcs11_key *k, const struct task *task, struct error *err);
	struct pkcs11_uri *u;
	enum key_scheme scheme;
	unsigned long flags;
};

static struct pkcs11_key *session_with(const struct task *task, struct slice pin, struct error *err)
{
	struct buf from_file = BUF_SECRET(PKCS11_PIN_MAX + 1);
	bool unattended = pin.len == 0;
	struct pkcs11_key *k = sodium_malloc(sizeof(*k));
	int r = -1;

	if (k == NULL) {
		error_set(err, ERR_FAILED, "no guarded memory for a key");
		return NULL;
	}
	*k = (struct pkcs11_key){.session = 0};
	snprintf(k->name, sizeof(k->name), task->u->object[0] != '\0' ? "key '%.40s'" : "key of that id", task->u->object);
	if (unattended && read_pin(task->u, &from_file, err) < 0)
		goto out;
	if (unattended)
		pin = buf_slice(&from_file);
	if (pin.len > PKCS11_PIN_MAX) {
		error_set(err, ERR_REFUSED, "a PIN has at most %d bytes", PKCS11_PIN_MAX);
		goto out;
	}
	if (session_open(k, task->u, task->flags, pin, unattended, err) < 0 || task->run(k, task, err) < 0) {
		error_wrap(err, "token '%s'", task->u->token[0] != '\0' ? task->u->token : task->u->serial);
		goto out;
	}
	keep_pin(k, pin);
	r = 0;
out:
	if (r < 0) {
		pkcs11_key_free(k);
		k = NULL;
	}
	buf_release(&from_file);
	return k;
}

void pkcs11_key_free(struct pkcs11_key *k)
{
	if (k == NULL)
		return;
	if (k->session != 0)
		(void)k->module->f->C_CloseSession(k->session);
	if (k->module != NULL)
		pkcs11_module_put(k->module);
	sodium_free(k);
}

/* ---- finding ---- */

/* How many private keys there are of u's label and id: 0, 1, or 2 for more; -1 with err. */
static int find_private(struct pkcs11_key *k, struct pkcs11_uri *u, struct error *err)
{
	unsigned long class = CKO_PRIVATE_KEY, count = 1;
	struct ck_attribute list[3] = {{CKA_CLASS, &class, sizeof(class)}};

	if (u->object[0] != '\0')
		list[count++] = (struct ck_attribute){CKA_LABEL, u->object, strlen(u->object)};
	if (u->id_len > 0)
		list[count++] = (struct ck_attribute){CKA_ID, u->id, u->id_len};
	assert(count > 1);
	return pkcs11_find(k, list, count, &k->object, err);
}

static int open_task(struct pkcs11_key *k, const struct task *task, struct error *err)
{
	int n = find_private(k, task->u, err);

	if (n == 1)
		return 0;
	if (n == 0) {
		error_set(err, ERR_NOT_FOUND, "no private %s", k->name);
		return error_hint(err, "'pkcs11-tool --module %s --login -O' lists what is there", task->u->module_path);
	}
	if (n < 0)
		return -1;
	error_set(err, ERR_CONFLICT, "more than one %s", k->name);
	return error_hint(err, "name one by its id too: pkcs11:...;object=...;id=%%...");
}

struct pkcs11_key *pkcs11_key_open(const struct pkcs11_uri *u, struct slice pin, struct error *err)
{
	struct pkcs11_uri copy = *u;
	struct task task = {.run = open_task, .u = &copy};

	return session_with(&task, pin, err);
}

/* ---- making ---- */

static unsigned long make_pair(struct pkcs11_key *k, struct pkcs11_uri *u, unsigned long mechanism, struct slice curve)
{
	uint8_t yes = 1, no = 0;
	uint8_t params[64];
	struct ck_mechanism how = {mechanism, NULL, 0};
	struct ck_attribute public_list[] = {
		{CKA_EC_PARAMS, params, curve.len},
		{CKA_TOKEN, &yes, 1},
		{CKA_VERIFY, &yes, 1},
		{CKA_LABEL, u->object, strlen(u->object)},
		{CKA_ID, u->id, u->id_len},
	};
	struct ck_attribute private_list[] = {
		{CKA_TOKEN, &yes, 1},
		{CKA_PRIVATE, &yes, 1},
		{CKA_SENSITIVE, &yes, 1},
		{CKA_EXTRACTABLE, &no, 1},
		{CKA_SIGN, &yes, 1},
		{CKA_LABEL, u->object, strlen(u->object)},
		{CKA_ID, u->id, u->id_len},
	};

	assert(curve.len <= sizeof(params));
	memcpy(params, curve.ptr, curve.len);
	return k->module->f->C_GenerateKeyPair(k->session, &how, public_list, ARRAY_SIZE(public_list), private_list,
					       ARRAY_SIZE(private_list), &k->public_object, &k->object);
}

/* The curve by number, and for Edwards curves by the word of v3.0 where a token knows no number. */
static int make(struct pkcs11_key *k, const struct task *task, struct error *err)
{
	unsigned long r;

	if (task->scheme == KEY_ECDSA_P256) {
		r = make_pair(k, task->u, CKM_EC_KEY_PAIR_GEN, SLICE_LIT("\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"));
	} else {
		r = make_pair(k, task->u, CKM_EC_EDWARDS_KEY_PAIR_GEN, SLICE_LIT("\x06\x03\x2b\x65\x70"));
		if (r != CKR_OK && r != CKR_MECHANISM_INVALID &&
		    make_pair(k, task->u, CKM_EC_EDWARDS_KEY_PAIR_GEN, SLICE_LIT("\x13\x0c" "edwards25519")) == CKR_OK)
			r = CKR_OK;
	}
	return r == CKR_OK ? 0 : pkcs11_failed(err, r, "cannot make a key");
}

/* A token that gives away what it was told to keep is none. */
static int check_made(struct pkcs11_key *k, struct error *err)
{
	uint8_t sensitive = 0, extractable = 1;
	size_t n = 1, m = 1;

	if (pkcs11_attribute(k, k->object, CKA_SENSITIVE, &sensitive, &n, err) < 0 ||
	    pkcs11_attribute(k, k->object, CKA_EXTRACTABLE, &extractable, &m, err) < 0)
		return -1;
	if (n != 1 || m != 1 || sensitive != 1 || extractable != 0)
		return error_set(err, ERR_REFUSED, "the new key could leave the token, against what it was told");
	return 0;
}

static int generate_task(struct pkcs11_key *k, const struct task *task, struct error *err)
{
	struct error ignored = ERROR_INIT;
	int n = 0;

	if (task->u->id_len == 0) {
		rng_bytes(task->u->id, NEW_ID_LEN);
		task->u->id_len = NEW_ID_LEN;
	} else {
		struct pkcs11_uri by_id = *task->u;

		by_id.object[0] = '\0';
		n = find_private(k, &by_id, err);
	}
	if (n < 0)
		return -1;
	if (n > 0)
		return error_set(err, ERR_CONFLICT, "there is a key of that id already");
	if (make(k, task, err) < 0)
		return -1;
	if (check_made(k, err) == 0)
		return 0;
	(void)!pkcs11_key_destroy(k, &ignored);
	return -1;
}

struct pkcs11_key *pkcs11_key_generate(struct pkcs11_uri *u, enum key_scheme scheme, struct slice pin,
				       struct error *err)
{
	struct task task = {.run = generate_task, .u = u, .scheme = scheme, .flags = CKF_RW_SESSION};

	assert(scheme == KEY_ED25519 || scheme == KEY_ECDSA_P256);
	return session_with(&task, pin, err);
}

int pkcs11_key_destroy(struct pkcs11_key *k, struct error *err)
{
	const struct ck_functions *f = k->module->f;
	unsigned long r = f->C_DestroyObject(k->session, k->object);
	unsigned long s = f->C_DestroyObject(k->session, k->public_object);

	if (r == CKR_OK && s == CKR_OK)
		return 0;
	return pkcs11_failed(err, r != CKR_OK ? r : s, "cannot remove the key from the token");
}

/* ---- signing ---- */

static int sign_login(struct pkcs11_key *k, struct error *err)
{
	unsigned long r;

	if (!k->always_login)
		return 0;
	r = k->module->f->C_Login(k->session, CKU_CONTEXT_SPECIFIC, k->pin, k->pin_len);
	return r == CKR_OK ? 0 : pkcs11_failed(err, r, "cannot log in for this signature");
}

static int sign_raw(struct pkcs11_key *k, enum key_scheme scheme, struct slice data, uint8_t raw[static RAW_LEN],
		    struct error *err)
{
	struct ck_mechanism how = {scheme == KEY_ED25519 ? CKM_EDDSA : CKM_ECDSA, NULL, 0};
	const struct ck_functions *f = k->module->f;
	uint8_t sig[SIGNATURE_LEN_MAX], none = 0;
	unsigned long len = sizeof(sig), r;

	if ((r = f->C_SignInit(k->session, &how, k->object)) != CKR_OK)
		return pkcs11_failed(err, r, "the token does not sign");
	if (sign_login(k, err) < 0)
		return -1;
	/* The type of PKCS#11 has no const. */
	r = f->C_Sign(k->session, data.len == 0 ? &none : (uint8_t *)(uintptr_t)data.ptr, data.len, sig, &len);
	if (r != CKR_OK)
		return pkcs11_failed(err, r, "the token does not sign");
	if (len != RAW_LEN)
		return error_set(err, ERR_MALFORMED, "the token's signature has %lu bytes, not %d", len, RAW_LEN);
	memcpy(raw, sig, RAW_LEN);
	return 0;
}

/*
 * Another key under the same name, a broken module, a glitch: what does not verify under the key that was asked for goes
 * no further.
 */
int pkcs11_key_sign(struct pkcs11_key *k, const struct pubkey *pub, struct slice data, struct buf *sig_out,
		    struct error *err)
{
	struct buf sig = BUF_INIT(SIGNATURE_LEN_MAX);
	uint8_t raw[RAW_LEN];
	int r = -1;

	assert(pub->scheme == KEY_ED25519 || (pub->scheme == KEY_ECDSA_P256 && data.len == SHA256_LEN));
	if (sign_raw(k, pub->scheme, data, raw, err) < 0) {
		error_wrap(err, "%s", k->name);
		goto out;
	}
	if (pub->scheme == KEY_ED25519) {
		buf_put(&sig, raw, sizeof(raw));
		r = pubkey_verify(pub, data, buf_slice(&sig), err);
	} else {
		ecdsa_put_der(&sig, raw, P256_LEN);
		r = pubkey_verify_sha256(pub, data.ptr, buf_slice(&sig), err);
	}
	if (r < 0) {
		error_wrap(err, "%s: the token's signature is not used", k->name);
		error_hint(err, "the key in the token is another one than its public half says");
		goto out;
	}
	buf_put_slice(sig_out, buf_slice(&sig));
out:
	buf_release(&sig);
	return r;
}
