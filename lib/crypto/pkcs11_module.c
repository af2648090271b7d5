/* Modules, the tokens behind them, and the login: what is shared by all the keys of a process. */
#include <assert.h>
#include <pthread.h>
#include <stdio.h>

#include <sodium.h>

#include "crypto/pkcs11_internal.h"
#include "sys/module.h"

#define SLOTS_MAX 64

/* Over the list, the users of each module, and the login: PKCS#11 has one login for all sessions with a token. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct pkcs11_module *modules;

static struct pkcs11_module *add(const char *path, const struct ck_functions *f)
{
	struct pkcs11_module *m = xcalloc(1, sizeof(*m));

	snprintf(m->path, sizeof(m->path), "%s", path);
	m->f = f;
	m->next = modules;
	modules = m;
	return m;
}

void pkcs11_module_add(const char *path, const struct ck_functions *f)
{
	pthread_mutex_lock(&lock);
	add(path, f);
	pthread_mutex_unlock(&lock);
}

static bool is_whole(const struct ck_functions *f)
{
	return f->C_Initialize != NULL && f->C_Finalize != NULL && f->C_GetSlotList != NULL &&
	       f->C_GetTokenInfo != NULL && f->C_OpenSession != NULL && f->C_CloseSession != NULL &&
	       f->C_Login != NULL && f->C_DestroyObject != NULL && f->C_GetAttributeValue != NULL &&
	       f->C_FindObjectsInit != NULL && f->C_FindObjects != NULL && f->C_FindObjectsFinal != NULL &&
	       f->C_SignInit != NULL && f->C_Sign != NULL && f->C_GenerateKeyPair != NULL;
}

static struct pkcs11_module *load(const char *path, struct error *err)
{
	const struct ck_functions *f = NULL;
	ck_get_function_list *get;
	void *module;

	if (module_load(path, &module, err) < 0)
		return NULL;
	get = (ck_get_function_list *)module_symbol(module, "C_GetFunctionList");
	if (get == NULL) {
		error_set(err, ERR_FAILED, "'%s' is no PKCS#11 module: it has no C_GetFunctionList", path);
		return NULL;
	}
	if (get(&f) != CKR_OK || f == NULL || (f->version.major != 2 && f->version.major != 3) || !is_whole(f)) {
		error_set(err, ERR_FAILED, "'%s' offers no functions of PKCS#11 version 2 or 3", path);
		return NULL;
	}
	return add(path, f);
}

static int start(struct pkcs11_module *m, struct error *err)
{
	struct ck_initialize_args args = {.flags = CKF_OS_LOCKING_OK};
	unsigned long r;

	if (m->users == 0 && (r = m->f->C_Initialize(&args)) != CKR_OK && r != CKR_CRYPTOKI_ALREADY_INITIALIZED) {
		pkcs11_failed(err, r, "cannot start it");
		return error_wrap(err, "module '%s'", m->path);
	}
	m->users++;
	return 0;
}

struct pkcs11_module *pkcs11_module_get(const char *path, struct error *err)
{
	struct pkcs11_module *m;

	pthread_mutex_lock(&lock);
	for (m = modules; m != NULL && strcmp(m->path, path) != 0; m = m->next)
		;
	if (m == NULL)
		m = load(path, err);
	if (m != NULL && start(m, err) < 0)
		m = NULL;
	pthread_mutex_unlock(&lock);
	return m;
}

void pkcs11_module_put(struct pkcs11_module *m)
{
	pthread_mutex_lock(&lock);
	if (--m->users == 0)
		(void)m->f->C_Finalize(NULL);
	pthread_mutex_unlock(&lock);
}

/* ---- tokens ---- */

/* Whether blank-padded text is this; an empty wish matches any. */
static bool matches(const uint8_t *padded, size_t n, const char *wish)
{
	while (n > 0 && (padded[n - 1] == ' ' || padded[n - 1] == '\0'))
		n--;
	return wish[0] == '\0' || slice_equal_str(slice_of(padded, n), wish);
}

static bool is_wanted(const struct ck_token_info *t, const struct pkcs11_uri *u)
{
	return (t->flags & CKF_TOKEN_INITIALIZED) != 0 && matches(t->label, sizeof(t->label), u->token) &&
	       matches(t->manufacturer, sizeof(t->manufacturer), u->manufacturer) &&
	       matches(t->model, sizeof(t->model), u->model) && matches(t->serial, sizeof(t->serial), u->serial);
}

static const char *token_name(const struct pkcs11_uri *u)
{
	return u->token[0] != '\0' ? u->token : u->serial;
}

int pkcs11_token_find(struct pkcs11_module *m, const struct pkcs11_uri *u, unsigned long *slot,
		      struct ck_token_info *info, struct error *err)
{
	unsigned long slots[SLOTS_MAX], count = SLOTS_MAX, i, r;
	struct ck_token_info t;
	unsigned found = 0;

	r = m->f->C_GetSlotList(1, slots, &count);
	if (r == CKR_BUFFER_TOO_SMALL || (r == CKR_OK && count > SLOTS_MAX))
		return error_set(err, ERR_LIMIT, "module '%s' has more than %d tokens", m->path, SLOTS_MAX);
	if (r != CKR_OK)
		return pkcs11_failed(err, r, "cannot list the tokens");
	for (i = 0; i < count; i++) {
		if (m->f->C_GetTokenInfo(slots[i], &t) != CKR_OK || !is_wanted(&t, u))
			continue;
		*slot = slots[i];
		*info = t;
		found++;
	}
	if (found == 1)
		return 0;
	if (found > 1) {
		error_set(err, ERR_CONFLICT, "%u tokens are '%s'", found, token_name(u));
		return error_hint(err, "name one by its serial number too: pkcs11:token=...;serial=...");
	}
	error_set(err, ERR_RETRY, "token '%s' is not there", token_name(u));
	return error_hint(err, "connect it; as this user, 'pkcs11-tool --module %s -L' should list it", m->path);
}

/* ---- login ---- */

static void note_of(uint8_t out[static SHA256_LEN], const struct ck_token_info *t, struct slice pin)
{
	struct sha256 h;

	sha256_init(&h);
	sha256_update(&h, t->serial, sizeof(t->serial));
	sha256_update(&h, pin.ptr, pin.len);
	sha256_final(&h, out);
}

/* A PIN that nobody watches must not use up the tries that people need. */
static int check_tries(const struct pkcs11_module *m, const struct ck_token_info *t,
		       const uint8_t note[static SHA256_LEN], struct error *err)
{
	if (m->refused_any && sodium_memcmp(m->refused, note, SHA256_LEN) == 0) {
		error_set(err, ERR_REFUSED, "the token has refused this PIN before: it is not tried again");
		return error_hint(err, "mend the file of pin-source; another PIN in it is tried");
	}
	if ((t->flags & CKF_USER_PIN_FINAL_TRY) == 0)
		return 0;
	error_set(err, ERR_REFUSED, "one try is left before the token locks: it is not spent on a PIN from a file");
	return error_hint(err, "log in once by hand, with the token's own tool");
}

static int login(struct pkcs11_module *m, unsigned long session, const struct ck_token_info *t, struct slice pin,
		 bool unattended, struct error *err)
{
	uint8_t note[SHA256_LEN], copy[PKCS11_PIN_MAX];
	unsigned long r;

	note_of(note, t, pin);
	if (unattended && check_tries(m, t, note, err) < 0)
		return -1;
	assert(pin.len <= sizeof(copy));
	memcpy(copy, pin.ptr, pin.len);	/* the type of PKCS#11 has no const */
	r = m->f->C_Login(session, CKU_USER, copy, pin.len);
	explicit_bzero(copy, sizeof(copy));
	if (r == CKR_OK || r == CKR_USER_ALREADY_LOGGED_IN)
		return 0;
	if (unattended && (r == CKR_PIN_INCORRECT || r == CKR_PIN_INVALID || r == CKR_PIN_LEN_RANGE)) {
		memcpy(m->refused, note, sizeof(note));
		m->refused_any = true;
	}
	return pkcs11_failed(err, r, "cannot log in");
}

int pkcs11_login(struct pkcs11_module *m, unsigned long session, const struct ck_token_info *info, struct slice pin,
		 bool unattended, struct error *err)
{
	int r;

	if ((info->flags & CKF_USER_PIN_LOCKED) != 0)
		return pkcs11_failed(err, CKR_PIN_LOCKED, "cannot log in");
	if (pin.len == 0) {
		error_set(err, ERR_REFUSED, "the token wants a PIN and none was given");
		return error_hint(err, "a program finds it by pin-source in the URI of the key file");
	}
	pthread_mutex_lock(&lock);
	r = login(m, session, info, pin, unattended, err);
	pthread_mutex_unlock(&lock);
	return r;
}
