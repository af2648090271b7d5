/*
 * Keys in tokens against a module that is played here: an honest one in the forms in which tokens differ, and one that
 * lies about every length, count and signature. (SoftHSM itself is in tests/e2e/t0103-key-pkcs11.sh.)
 */
#include "tap.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "crypto/ecdsa.h"
#include "crypto/keyfile_format.h"
#include "crypto/pkcs11_internal.h"

#define MODULE "/fake/module.so"
#define SESSION 7
#define PRIVATE 11	/* handles: PRIVATE + 2 * i, PUBLIC + 2 * i */
#define PUBLIC 12
#define KEYS_MAX 4

enum lie {
	HONEST = 0,
	LIE_SLOT_COUNT,		/* more slots than there is room for, and says it went well */
	LIE_SLOTS_TOO_MANY,
	LIE_FOUND_COUNT,
	LIE_ATTRIBUTE_LEN,	/* longer than the room, and says it went well */
	LIE_ATTRIBUTE_TOO_LONG,
	LIE_POINT,		/* of no curve */
	LIE_POINT_LEN,
	LIE_SIG_LEN,
	LIE_SIG_SHORT,
	LIE_SIG_BIT,
	LIE_SIG_KEY,		/* by another key */
	LIE_SIG_ZERO,
	LIE_EXTRACTABLE,	/* makes keys that can leave */
};

static struct fake {
	enum lie lie;
	bool started;
	unsigned starts, sessions, logins, context_logins, destroyed;
	unsigned tokens;
	unsigned long flags, login_says, generate_says, open_says;
	char pin[64];			/* the right one */
	bool logged_in, always_login, bare_points, no_public, info_on_private, old_curve_name, no_oid;
	unsigned key_count;
	struct {
		struct seckey *key;
		char label[64];
		uint8_t id[PKCS11_ID_MAX];
		size_t id_len;
		bool extractable, gone;
	} keys[KEYS_MAX];
	struct ck_attribute wanted[4];
	uint8_t wanted_bytes[4][256];
	unsigned wanted_count;
	unsigned long signing, mechanism;
} fake;

static unsigned long fake_initialize(struct ck_initialize_args *args)
{
	CHECK(args != NULL && args->flags == CKF_OS_LOCKING_OK && args->reserved == NULL);
	CHECK(!fake.started);
	fake.started = true;
	fake.starts++;
	return CKR_OK;
}

static unsigned long fake_finalize(void *reserved)
{
	CHECK(reserved == NULL && fake.started);
	CHECK_INT(fake.sessions, 0);
	fake.started = false;
	return CKR_OK;
}

static unsigned long fake_slots(unsigned char present, unsigned long *slots, unsigned long *count)
{
	unsigned long i;

	CHECK(fake.started && present == 1 && *count == 64);
	if (fake.lie == LIE_SLOTS_TOO_MANY)
		return CKR_BUFFER_TOO_SMALL;
	for (i = 0; i < fake.tokens; i++)
		slots[i] = 100 + i;
	*count = fake.lie == LIE_SLOT_COUNT ? ~0ul : fake.tokens;
	return CKR_OK;
}

static void pad(uint8_t *out, size_t n, const char *text)
{
	memset(out, ' ', n);
	memcpy(out, text, strlen(text));
}

static unsigned long fake_token(unsigned long slot, struct ck_token_info *t)
{
	memset(t, 0xff, sizeof(*t));
	/* Full to the brim, without a NUL anywhere. */
	pad(t->label, sizeof(t->label), "a label of thirty-two bytes, all");
	pad(t->manufacturer, sizeof(t->manufacturer), "Nobody");
	pad(t->model, sizeof(t->model), "Fake");
	pad(t->serial, sizeof(t->serial), slot == 100 ? "1" : "2");
	t->flags = fake.flags;
	return CKR_OK;
}

static unsigned long fake_open(unsigned long slot, unsigned long flags, void *application, ck_unused *notify,
			       unsigned long *session)
{
	CHECK(slot >= 100 && (flags & CKF_SERIAL_SESSION) != 0 && application == NULL && notify == NULL);
	if (fake.open_says != CKR_OK)
		return fake.open_says;
	fake.sessions++;
	*session = SESSION;
	return CKR_OK;
}

static unsigned long fake_close(unsigned long session)
{
	CHECK(session == SESSION && fake.sessions > 0);
	if (--fake.sessions == 0)
		fake.logged_in = false;
	return CKR_OK;
}

static unsigned long fake_login(unsigned long session, unsigned long user, uint8_t *pin, unsigned long len)
{
	CHECK(session == SESSION);
	if (user == CKU_CONTEXT_SPECIFIC)
		fake.context_logins++;
	else
		fake.logins++;
	if (fake.login_says != CKR_OK)
		return fake.login_says;
	if (!slice_equal_str(slice_of(pin, len), fake.pin))
		return CKR_PIN_INCORRECT;
	if (user == CKU_USER && fake.logged_in)
		return CKR_USER_ALREADY_LOGGED_IN;
	fake.logged_in = true;
	return CKR_OK;
}

static unsigned long fake_destroy(unsigned long session, unsigned long object)
{
	CHECK(session == SESSION && object >= PRIVATE);
	fake.keys[(object - PRIVATE) / 2].gone = true;
	fake.destroyed++;
	return CKR_OK;
}

static unsigned long give(struct ck_attribute *a, const void *p, size_t n)
{
	if (fake.lie == LIE_ATTRIBUTE_LEN) {
		a->len = 100000;
		return CKR_OK;
	}
	if (n > a->len || fake.lie == LIE_ATTRIBUTE_TOO_LONG) {
		a->len = CK_UNAVAILABLE;
		return CKR_BUFFER_TOO_SMALL;
	}
	memcpy(a->value, p, n);
	a->len = n;
	return CKR_OK;
}

static unsigned long give_point(struct ck_attribute *a, const struct pubkey *k)
{
	uint8_t point[2 + 65] = {0x04, (uint8_t)k->len};
	size_t skip = fake.bare_points ? 2 : 0;

	memcpy(point + 2, k->data, k->len);
	if (fake.lie == LIE_POINT)
		point[2 + k->len - 1] ^= 1;
	return give(a, point + skip, 2 + k->len - skip - (fake.lie == LIE_POINT_LEN));
}

static unsigned long give_params(struct ck_attribute *a, const struct pubkey *k)
{
	if (k->scheme == KEY_ECDSA_P256)
		return give(a, "\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07", 10);
	if (fake.old_curve_name)
		return give(a, "\x13\x0c" "edwards25519", 14);
	return give(a, "\x06\x03\x2b\x65\x70", 5);
}

static unsigned long fake_attribute(unsigned long session, unsigned long object, struct ck_attribute *a,
				    unsigned long count)
{
	unsigned i = (unsigned)(object - PRIVATE) / 2;
	bool private = (object - PRIVATE) % 2 == 0, may_tell = !private || fake.info_on_private;
	const struct pubkey *pub = seckey_public(fake.keys[i].key);
	struct buf spki = BUF_INIT(256);
	uint8_t yes = 1, no = 0;
	unsigned long r;

	CHECK(session == SESSION && count == 1 && i < fake.key_count && fake.logged_in);
	switch (a->type) {
	case CKA_LABEL:
		return give(a, fake.keys[i].label, strlen(fake.keys[i].label));
	case CKA_ID:
		return give(a, fake.keys[i].id, fake.keys[i].id_len);
	case CKA_ALWAYS_AUTHENTICATE:
		return give(a, fake.always_login ? &yes : &no, 1);
	case CKA_SENSITIVE:
		return give(a, fake.keys[i].extractable ? &no : &yes, 1);
	case CKA_EXTRACTABLE:
		return give(a, fake.keys[i].extractable ? &yes : &no, 1);
	case CKA_NEVER_EXTRACTABLE:
		return give(a, fake.keys[i].extractable ? &no : &yes, 1);
	case CKA_EC_PARAMS:
		return may_tell ? give_params(a, pub) : CKR_ATTRIBUTE_TYPE_INVALID;
	case CKA_EC_POINT:
		return private ? CKR_ATTRIBUTE_TYPE_INVALID : give_point(a, pub);
	case CKA_PUBLIC_KEY_INFO:
		if (!fake.info_on_private)
			return CKR_ATTRIBUTE_TYPE_INVALID;
		pubkey_put_spki(&spki, pub);
		r = give(a, spki.ptr, spki.len);
		buf_release(&spki);
		return r;
	}
	return CKR_ATTRIBUTE_TYPE_INVALID;
}

static unsigned long fake_find_init(unsigned long session, struct ck_attribute *list, unsigned long count)
{
	unsigned i;

	CHECK(session == SESSION && count <= 4);
	fake.wanted_count = (unsigned)count;
	for (i = 0; i < count; i++) {
		CHECK(list[i].len <= 256);
		memcpy(fake.wanted_bytes[i], list[i].value, list[i].len);
		fake.wanted[i] = (struct ck_attribute){list[i].type, fake.wanted_bytes[i], list[i].len};
	}
	return CKR_OK;
}

static bool is_wanted(unsigned i, bool private)
{
	unsigned long class = private ? CKO_PRIVATE_KEY : CKO_PUBLIC_KEY;
	unsigned j;

	if (fake.keys[i].gone || (!private && fake.no_public))
		return false;
	for (j = 0; j < fake.wanted_count; j++) {
		const struct ck_attribute *w = &fake.wanted[j];
		struct slice is = w->type == CKA_CLASS	 ? slice_of(&class, sizeof(class))
				  : w->type == CKA_LABEL ? slice_str(fake.keys[i].label)
							 : slice_of(fake.keys[i].id, fake.keys[i].id_len);

		if (!slice_equal(slice_of(w->value, w->len), is))
			return false;
	}
	return true;
}

static unsigned long fake_find(unsigned long session, unsigned long *objects, unsigned long max, unsigned long *count)
{
	unsigned i;

	CHECK(session == SESSION);
	for (*count = 0, i = 0; i < 2 * fake.key_count && *count < max; i++)
		if (is_wanted(i / 2, i % 2 == 0))
			objects[(*count)++] = PRIVATE + i;
	if (fake.lie == LIE_FOUND_COUNT)
		*count = 1000;
	return CKR_OK;
}

static unsigned long fake_find_final(unsigned long session)
{
	CHECK(session == SESSION);
	return CKR_OK;
}

static unsigned long fake_sign_init(unsigned long session, struct ck_mechanism *m, unsigned long key)
{
	CHECK(session == SESSION && fake.logged_in && m->parameter == NULL && m->len == 0);
	fake.signing = key;
	fake.mechanism = m->mechanism;
	return CKR_OK;
}

static unsigned long fake_sign(unsigned long session, uint8_t *data, unsigned long len, uint8_t *out,
			       unsigned long *out_len)
{
	unsigned i = (unsigned)(fake.signing - PRIVATE) / 2;
	const struct seckey *k = fake.keys[fake.lie == LIE_SIG_KEY ? !i : i].key;
	struct buf sig = BUF_INIT(SIGNATURE_LEN_MAX);
	struct error err = ERROR_INIT;

	CHECK(session == SESSION && *out_len == SIGNATURE_LEN_MAX);
	CHECK(!fake.always_login || fake.context_logins > 0);
	if (seckey_public(k)->scheme == KEY_ED25519) {
		CHECK_INT(fake.mechanism, CKM_EDDSA);
		CHECK(seckey_sign(k, slice_of(data, len), &sig, &err) == 0);
		memcpy(out, sig.ptr, 64);
	} else {
		CHECK_INT(fake.mechanism, CKM_ECDSA);
		CHECK_INT(len, 32);
		CHECK(seckey_sign_sha256(k, data, &sig, &err) == 0);
		CHECK(ecdsa_raw_from_der(out, 32, buf_slice(&sig), &err) == 0);
	}
	buf_release(&sig);
	if (fake.lie == LIE_SIG_BIT)
		out[40] ^= 1;
	if (fake.lie == LIE_SIG_ZERO)
		memset(out, 0, 64);
	*out_len = fake.lie == LIE_SIG_LEN ? ~0ul : fake.lie == LIE_SIG_SHORT ? 63 : 64;
	return CKR_OK;
}

static void add_key(enum key_scheme scheme, const char *label, const char *id)
{
	struct error err = ERROR_INIT;
	unsigned i = fake.key_count++;

	REQUIRE(i < KEYS_MAX);
	fake.keys[i].key = seckey_generate(scheme, &err);
	REQUIRE(fake.keys[i].key != NULL);
	snprintf(fake.keys[i].label, sizeof(fake.keys[i].label), "%s", label);
	fake.keys[i].gone = fake.keys[i].extractable = false;
	fake.keys[i].id_len = strlen(id);
	memcpy(fake.keys[i].id, id, strlen(id));
}

static const struct ck_attribute *in_list(const struct ck_attribute *list, unsigned long count, unsigned long type)
{
	for (; count > 0; count--, list++)
		if (list->type == type)
			return list;
	return NULL;
}

static unsigned long fake_generate(unsigned long session, struct ck_mechanism *m, struct ck_attribute *public_list,
				   unsigned long public_count, struct ck_attribute *private_list,
				   unsigned long private_count, unsigned long *public_key, unsigned long *private_key)
{
	const struct ck_attribute *label = in_list(public_list, public_count, CKA_LABEL),
				  *id = in_list(private_list, private_count, CKA_ID),
				  *params = in_list(public_list, public_count, CKA_EC_PARAMS),
				  *extractable = in_list(private_list, private_count, CKA_EXTRACTABLE),
				  *sensitive = in_list(private_list, private_count, CKA_SENSITIVE);
	unsigned i = fake.key_count;
	char text[64];

	CHECK(session == SESSION && fake.logged_in);
	REQUIRE(label != NULL && id != NULL && params != NULL && extractable != NULL && sensitive != NULL);
	CHECK(*(uint8_t *)extractable->value == 0 && *(uint8_t *)sensitive->value == 1);
	if (fake.generate_says != CKR_OK)
		return fake.generate_says;
	if (fake.no_oid && params->len == 5)
		return CKR_CURVE_NOT_SUPPORTED;
	snprintf(text, sizeof(text), "%.*s", (int)label->len, (char *)label->value);
	add_key(m->mechanism == CKM_EC_KEY_PAIR_GEN ? KEY_ECDSA_P256 : KEY_ED25519, text, "");
	memcpy(fake.keys[i].id, id->value, id->len);
	fake.keys[i].id_len = id->len;
	fake.keys[i].extractable = fake.lie == LIE_EXTRACTABLE;
	*private_key = PRIVATE + 2 * i;
	*public_key = PUBLIC + 2 * i;
	return CKR_OK;
}

static const struct ck_functions functions = {
	.version = {2, 40},
	.C_Initialize = fake_initialize,
	.C_Finalize = fake_finalize,
	.C_GetSlotList = fake_slots,
	.C_GetTokenInfo = fake_token,
	.C_OpenSession = fake_open,
	.C_CloseSession = fake_close,
	.C_Login = fake_login,
	.C_DestroyObject = fake_destroy,
	.C_GetAttributeValue = fake_attribute,
	.C_FindObjectsInit = fake_find_init,
	.C_FindObjects = fake_find,
	.C_FindObjectsFinal = fake_find_final,
	.C_SignInit = fake_sign_init,
	.C_Sign = fake_sign,
	.C_GenerateKeyPair = fake_generate,
};

/* An honest token with one key of each scheme; `what` is added to the URI of the token. */
static struct pkcs11_uri begin(const char *what)
{
	struct error err = ERROR_INIT;
	struct pkcs11_uri u;
	char text[512];

	if (fake.tokens == 0) {
		REQUIRE(crypto_start(&err) == 0);
		pkcs11_module_add(MODULE, &functions);
		fake.tokens = 1;
		fake.flags = CKF_LOGIN_REQUIRED | CKF_TOKEN_INITIALIZED | CKF_USER_PIN_INITIALIZED;
		snprintf(fake.pin, sizeof(fake.pin), "secret");
		add_key(KEY_ED25519, "ed", "one");
		add_key(KEY_ECDSA_P256, "ec", "two");
	}
	snprintf(text, sizeof(text), "pkcs11:token=a%%20label%%20of%%20thirty-two%%20bytes,%%20all%s?module-path=" MODULE, what);
	REQUIRE(pkcs11_uri_parse(&u, slice_str(text), &err) == 0);
	return u;
}

static void end(void)
{
	unsigned i;

	CHECK_INT(fake.sessions, 0);
	CHECK(!fake.started);
	for (i = 0; i < fake.key_count; i++)
		seckey_free(fake.keys[i].key);
}

#define PIN SLICE_LIT("secret")

/* Open a key, read its public half, sign with it: -1 with the first error. */
static int use(const char *what, struct slice pin, struct error *err)
{
	struct buf sig = BUF_INIT(SIGNATURE_LEN_MAX);
	struct pkcs11_uri u = begin(what);
	struct pkcs11_key *token = pkcs11_key_open(&u, pin, err);
	struct seckey *k = NULL;
	struct pubkey pub;
	int r = -1;

	if (token == NULL)
		return -1;
	if (pkcs11_key_public(token, &pub, &u, err) < 0) {
		pkcs11_key_free(token);
		return -1;
	}
	k = seckey_from_token(token, &pub, err);
	REQUIRE(k != NULL);
	if (seckey_sign(k, SLICE_LIT("message"), &sig, err) == 0) {
		r = pubkey_verify(&pub, SLICE_LIT("message"), buf_slice(&sig), err);
		CHECK_INT(r, 0);
	} else {
		CHECK_INT(sig.len, 0);
	}
	seckey_free(k);
	buf_release(&sig);
	return r;
}

TEST(keys_of_tokens_sign)
{
	struct error err = ERROR_INIT;

	CHECK_INT(use(";object=ed", PIN, &err), 0);
	CHECK_INT(use(";id=two", PIN, &err), 0);
	CHECK_INT(use(";object=ec;id=two;serial=1;model=Fake;manufacturer=Nobody", PIN, &err), 0);
	CHECK_INT(fake.logins, 3);
	CHECK_INT(fake.starts, 3);
	end();
}

TEST(public_keys_come_in_many_forms)
{
	struct error err = ERROR_INIT;

	begin("");
	fake.bare_points = true;
	CHECK_INT(use(";object=ed", PIN, &err), 0);
	CHECK_INT(use(";object=ec", PIN, &err), 0);
	fake.old_curve_name = true;
	CHECK_INT(use(";object=ed", PIN, &err), 0);
	fake.no_public = true;
	CHECK_INT(use(";object=ed", PIN, &err), -1);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
	CHECK(strstr(err.text, "holds no public key") != NULL);
	fake.info_on_private = true;
	CHECK_INT(use(";object=ed", PIN, &err), 0);
	CHECK_INT(use(";object=ec", PIN, &err), 0);
	end();
}

TEST(a_secret_key_of_a_token_stays_there)
{
	struct buf raw = BUF_SECRET(64), text = BUF_SECRET(KEYFILE_SIZE_MAX);
	struct pkcs11_uri u = begin(";object=ec");
	struct keyfile info = {.name = "ec"};
	struct error err = ERROR_INIT;
	struct seckey *k;

	k = seckey_from_token(pkcs11_key_open(&u, PIN, &err), seckey_public(fake.keys[1].key), &err);
	REQUIRE(k != NULL);
	CHECK(seckey_p256_scalar(k) == NULL);
	CHECK(seckey_put_raw(k, &raw, &err) < 0);
	CHECK_INT(err.kind, ERR_REFUSED);
	CHECK_INT(raw.len, 0);
	CHECK(keyfile_put(&text, &info, k, SLICE_EMPTY, (struct keyfile_cost){1, 8192}, &err) < 0);
	CHECK_INT(text.len, 0);
	seckey_free(k);
	end();
}

TEST(two_keys_at_once_share_the_module_and_the_login)
{
	struct pkcs11_uri a = begin(";object=ed"), b = begin(";object=ec");
	struct error err = ERROR_INIT;
	struct pkcs11_key *k = pkcs11_key_open(&a, PIN, &err), *l = pkcs11_key_open(&b, PIN, &err);

	REQUIRE(k != NULL && l != NULL);
	CHECK_INT(fake.starts, 1);
	pkcs11_key_free(k);
	CHECK(fake.started);
	pkcs11_key_free(l);
	end();
}

TEST(lies_are_refused)
{
	static const struct {
		enum lie lie;
		enum error_kind kind;
		const char *words;
	} lies[] = {
		{LIE_SLOT_COUNT, ERR_LIMIT, "more than 64 tokens"},
		{LIE_SLOTS_TOO_MANY, ERR_LIMIT, "more than 64 tokens"},
		{LIE_FOUND_COUNT, ERR_MALFORMED, "found 1000 objects"},
		{LIE_ATTRIBUTE_LEN, ERR_FAILED, "neither an id nor a label"},
		{LIE_ATTRIBUTE_TOO_LONG, ERR_FAILED, "neither an id nor a label"},
		{LIE_POINT_LEN, ERR_MALFORMED, "point of the key"},
		{LIE_SIG_LEN, ERR_MALFORMED, "bytes, not 64"},
		{LIE_SIG_SHORT, ERR_MALFORMED, "63 bytes, not 64"},
		{LIE_SIG_BIT, ERR_REFUSED, "signature is not used"},
		{LIE_SIG_KEY, ERR_REFUSED, "signature is not used"},
		{LIE_SIG_ZERO, ERR_REFUSED, "signature is not used"},
	};
	struct error err = ERROR_INIT;
	size_t i;

	begin("");
	add_key(KEY_ED25519, "other", "three");
	/* Keys 0 and 1 are of two schemes; a lie about the key wants two of one. */
	seckey_free(fake.keys[1].key);
	fake.key_count = 1;
	add_key(KEY_ED25519, "ec", "two");
	fake.key_count = 3;
	for (i = 0; i < ARRAY_SIZE(lies); i++) {
		fake.lie = lies[i].lie;
		err = ERROR_INIT;
		CHECK_INT(use(";object=ed", PIN, &err), -1);
		CHECK_INT(err.kind, lies[i].kind);
		if (strstr(err.text, lies[i].words) == NULL)
			CHECK_STR(err.text, lies[i].words);
	}
	fake.lie = HONEST;
	CHECK_INT(use(";object=ed", PIN, &err), 0);
	end();
}

TEST(points_off_the_curve_are_refused)
{
	struct error err = ERROR_INIT;

	begin("");
	fake.lie = LIE_POINT;
	CHECK_INT(use(";object=ec", PIN, &err), -1);
	CHECK_INT(err.kind, ERR_REFUSED);
	fake.lie = HONEST;
	end();
}

TEST(one_try_for_a_wrong_pin)
{
	struct error err = ERROR_INIT;

	begin("");
	CHECK_INT(use(";object=ed", SLICE_LIT("guess"), &err), -1);
	CHECK_INT(err.kind, ERR_REFUSED);
	CHECK(strstr(err.text, "wrong PIN") != NULL && strstr(err.text, "guess") == NULL);
	CHECK_INT(fake.logins, 1);
	CHECK_INT(use(";object=ed", SLICE_EMPTY, &err), -1);
	CHECK(strstr(err.text, "none was given") != NULL);
	CHECK_INT(fake.logins, 1);
	fake.flags |= CKF_USER_PIN_LOCKED;
	CHECK_INT(use(";object=ed", PIN, &err), -1);
	CHECK(strstr(err.text, "the PIN is locked") != NULL);
	CHECK_INT(fake.logins, 1);
	end();
}

TEST(pins_longer_than_any_are_refused_before_they_are_copied)
{
	struct error err = ERROR_INIT;
	uint8_t pin[PKCS11_PIN_MAX + 1];

	begin("");
	memset(pin, 'a', sizeof(pin));
	CHECK_INT(use(";object=ed", slice_of(pin, sizeof(pin)), &err), -1);
	CHECK_INT(err.kind, ERR_REFUSED);
	fake.flags &= ~(unsigned long)CKF_LOGIN_REQUIRED;
	CHECK_INT(use(";object=ed", slice_of(pin, sizeof(pin)), &err), -1);
	CHECK_INT(fake.logins, 0);
	end();
}

/* Open a key with the PIN of pin-source. */
static int unattended(const char *path, const char *pin, struct error *err)
{
	struct pkcs11_uri u = begin(";object=ed");
	FILE *f = fopen(path, "w");
	struct pkcs11_key *k;

	REQUIRE(f != NULL && fchmod(fileno(f), 0600) == 0);
	fputs(pin, f);
	fclose(f);
	snprintf(u.pin_file, sizeof(u.pin_file), "%s", path);
	k = pkcs11_key_open(&u, SLICE_EMPTY, err);
	pkcs11_key_free(k);
	return k == NULL ? -1 : 0;
}

TEST(a_schedule_cannot_lock_a_token)
{
	char path[] = "/tmp/meshanics-test-XXXXXX";
	struct error err = ERROR_INIT;
	int fd = mkstemp(path);

	REQUIRE(fd >= 0);
	close(fd);
	CHECK_INT(unattended(path, "guess\n", &err), -1);
	CHECK(strstr(err.text, "wrong PIN") != NULL);
	CHECK_INT(unattended(path, "guess\n", &err), -1);
	CHECK(strstr(err.text, "has refused this PIN before") != NULL);
	CHECK_INT(fake.logins, 1);
	CHECK_INT(unattended(path, "secret\n", &err), 0);
	CHECK_INT(unattended(path, "secret", &err), 0);
	CHECK_INT(fake.logins, 3);
	fake.flags |= CKF_USER_PIN_FINAL_TRY;
	CHECK_INT(unattended(path, "secret", &err), -1);
	CHECK_INT(err.kind, ERR_REFUSED);
	CHECK(strstr(err.text, "one try is left") != NULL);
	CHECK_INT(fake.logins, 3);
	CHECK_INT(use(";object=ed", PIN, &err), 0);	/* a person may */
	unlink(path);
	end();
}

TEST(some_keys_want_the_pin_for_each_signature)
{
	struct error err = ERROR_INIT;

	begin("");
	fake.always_login = true;
	CHECK_INT(use(";object=ed", PIN, &err), 0);
	CHECK_INT(use(";object=ec", PIN, &err), 0);
	CHECK_INT(fake.context_logins, 2);
	end();
}

TEST(tokens_and_keys_are_told_apart)
{
	struct error err = ERROR_INIT;

	begin("");
	CHECK_INT(use(";object=nobody", PIN, &err), -1);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
	CHECK_INT(use(";object=ed;id=two", PIN, &err), -1);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
	add_key(KEY_ED25519, "ed", "three");
	CHECK_INT(use(";object=ed", PIN, &err), -1);
	CHECK_INT(err.kind, ERR_CONFLICT);
	CHECK_INT(use(";object=ed;id=three", PIN, &err), 0);
	fake.tokens = 2;
	CHECK_INT(use(";object=ed;id=three", PIN, &err), -1);
	CHECK_INT(err.kind, ERR_CONFLICT);
	CHECK_INT(use(";object=ed;id=three;serial=2", PIN, &err), 0);
	fake.flags &= ~(unsigned long)CKF_TOKEN_INITIALIZED;
	CHECK_INT(use(";object=ed;id=three;serial=2", PIN, &err), -1);
	CHECK_INT(err.kind, ERR_RETRY);
	fake.flags |= CKF_TOKEN_INITIALIZED;
	fake.open_says = CKR_DEVICE_REMOVED;
	CHECK_INT(use(";object=ed;id=three;serial=2", PIN, &err), -1);
	CHECK_INT(err.kind, ERR_RETRY);
	end();
}

static int new_dir(char path[static 64])
{
	int fd;

	snprintf(path, 64, "/tmp/meshanics-test-XXXXXX");
	REQUIRE(mkdtemp(path) != NULL);
	fd = open(path, O_RDONLY | O_DIRECTORY);
	REQUIRE(fd >= 0);
	return fd;
}

TEST(keys_are_made_and_found_again_by_their_files)
{
	enum key_scheme schemes[] = {KEY_ED25519, KEY_ECDSA_P256};
	struct buf sig = BUF_INIT(SIGNATURE_LEN_MAX);
	struct pkcs11_uri u = begin("");
	struct error err = ERROR_INIT;
	struct keyfile info;
	struct pubkey pub;
	char path[64];
	size_t i;
	int fd = new_dir(path);

	fake.no_oid = true;
	for (i = 0; i < ARRAY_SIZE(schemes); i++) {
		const char *name = i == 0 ? "first" : "second", *file = i == 0 ? "first.key" : "second.key";
		struct seckey *k;

		REQUIRE(keyfile_generate_token(fd, name, &u, schemes[i], PIN, "made", 5, &pub, &err) == 0);
		CHECK_INT(pub.scheme, schemes[i]);
		REQUIRE(keyfile_read(fd, file, &info, &err) == 0);
		CHECK(pubkey_equal(&info.pub, &pub) && keyfile_is_token(&info) && info.sealed);
		k = keyfile_open(fd, file, PIN, &err);
		REQUIRE(k != NULL);
		CHECK(seckey_sign(k, SLICE_EMPTY, &sig, &err) == 0);
		CHECK(keyfile_reseal(fd, file, k, SLICE_LIT("x"), &err) < 0);
		CHECK_INT(err.kind, ERR_REFUSED);
		seckey_free(k);
		CHECK(keyfile_open(fd, file, SLICE_LIT("guess"), &err) == NULL);
		unlinkat(fd, file, 0);
		/* The public file is in the way: the key is removed from the token again. */
		CHECK(keyfile_generate_token(fd, name, &u, schemes[i], PIN, "made", 5, &pub, &err) < 0);
		CHECK_INT(err.kind, ERR_CONFLICT);
		CHECK_INT(fake.destroyed, 2 * (i + 1));
		unlinkat(fd, i == 0 ? "first.pub" : "second.pub", 0);
		CHECK_INT(faccessat(fd, file, F_OK, 0), -1);
		seckey_free(fake.keys[--fake.key_count].key);
		seckey_free(fake.keys[--fake.key_count].key);
	}
	buf_release(&sig);
	rmdir(path);
	close(fd);
	end();
}

TEST(a_token_that_makes_what_can_leave_is_refused)
{
	struct pkcs11_uri u = begin("");
	struct error err = ERROR_INIT;
	char path[64];
	int fd = new_dir(path);

	fake.lie = LIE_EXTRACTABLE;
	CHECK(keyfile_generate_token(fd, "x", &u, KEY_ED25519, PIN, "", 5, NULL, &err) < 0);
	CHECK_INT(err.kind, ERR_REFUSED);
	CHECK_INT(fake.destroyed, 2);
	fake.lie = LIE_SIG_BIT;
	CHECK(keyfile_generate_token(fd, "x", &u, KEY_ED25519, PIN, "", 5, NULL, &err) < 0);
	CHECK_INT(fake.destroyed, 4);
	fake.generate_says = CKR_MECHANISM_INVALID;
	CHECK(keyfile_generate_token(fd, "x", &u, KEY_ED25519, PIN, "", 5, NULL, &err) < 0);
	CHECK(strstr(err.text, "does not know the scheme") != NULL && err.hint[0] != '\0');
	CHECK_INT(faccessat(fd, "x.key", F_OK, 0), -1);
	rmdir(path);
	close(fd);
	end();
}

TEST(adoption_says_whether_a_key_was_always_inside)
{
	struct pkcs11_uri u = begin("");
	struct error err = ERROR_INIT;
	bool confined = false;
	char path[64];
	int fd = new_dir(path);

	CHECK(keyfile_adopt_token(fd, "ed", &u, PIN, "", 5, &confined, &err) == 0);
	CHECK(confined);
	fake.keys[1].extractable = true;
	CHECK(keyfile_adopt_token(fd, "ec", &u, PIN, "", 5, &confined, &err) == 0);
	CHECK(!confined);
	CHECK(keyfile_adopt_token(fd, "nobody", &u, PIN, "", 5, &confined, &err) < 0);
	unlinkat(fd, "ed.key", 0);
	unlinkat(fd, "ed.pub", 0);
	unlinkat(fd, "ec.key", 0);
	unlinkat(fd, "ec.pub", 0);
	rmdir(path);
	close(fd);
	end();
}
