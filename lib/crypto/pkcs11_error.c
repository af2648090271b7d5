/* What a token says, in words, with its exit status and what to do. */
#include "crypto/pkcs11_internal.h"

static const struct reason {
	unsigned long code;
	enum error_kind kind;
	const char *text;
	const char *hint;
} reasons[] = {
	{CKR_PIN_INCORRECT, ERR_REFUSED, "wrong PIN", NULL},
	{CKR_PIN_INVALID, ERR_REFUSED, "wrong PIN: not of the characters that this token takes", NULL},
	{CKR_PIN_LEN_RANGE, ERR_REFUSED, "wrong PIN: not of a length that this token takes", NULL},
	{CKR_PIN_EXPIRED, ERR_REFUSED, "the PIN has expired", "set a new one with the token's own tool"},
	{CKR_PIN_LOCKED, ERR_REFUSED, "the PIN is locked", "its security officer unlocks it with the token's own tool"},
	{CKR_USER_PIN_NOT_INITIALIZED, ERR_REFUSED, "the token has no PIN yet", "set one with the token's own tool"},
	{CKR_TOKEN_NOT_PRESENT, ERR_RETRY, "the token is not there", "connect it and try again"},
	{CKR_TOKEN_NOT_RECOGNIZED, ERR_RETRY, "the token does not answer", "connect it anew and try again"},
	{CKR_DEVICE_REMOVED, ERR_RETRY, "the token was removed", "connect it and try again"},
	{CKR_DEVICE_ERROR, ERR_RETRY, "the token reports an error of its own", NULL},
	{CKR_SESSION_COUNT, ERR_RETRY, "the token has no session to spare", NULL},
	{CKR_SESSION_HANDLE_INVALID, ERR_RETRY, "the token has ended the session", NULL},
	{CKR_OBJECT_HANDLE_INVALID, ERR_RETRY, "the key is no longer in the token",
	 "it was removed, or the user that this verb became may not reach the files of the token"},
	{CKR_DEVICE_MEMORY, ERR_FAILED, "the token is full", NULL},
	{CKR_TOKEN_WRITE_PROTECTED, ERR_FAILED, "the token is write-protected", NULL},
	{CKR_GENERAL_ERROR, ERR_FAILED, "the module cannot go on",
	 "see its own log; may this user reach its configuration and its tokens?"},
	{CKR_FUNCTION_FAILED, ERR_FAILED, "the token could not do it", NULL},
	{CKR_FUNCTION_NOT_SUPPORTED, ERR_FAILED, "the module cannot do that", NULL},
	{CKR_KEY_FUNCTION_NOT_PERMITTED, ERR_FAILED, "this key is not for signing", NULL},
	{CKR_MECHANISM_INVALID, ERR_FAILED, "the token does not know the scheme of this key",
	 "many tokens know ecdsa-sha2-nistp256 only"},
	{CKR_CURVE_NOT_SUPPORTED, ERR_FAILED, "the token does not know the curve of this key",
	 "many tokens know ecdsa-sha2-nistp256 only"},
	{CKR_DATA_LEN_RANGE, ERR_FAILED, "the token does not take a message of that length",
	 "a key of scheme ecdsa-sha2-nistp256 signs a hash, whatever the length"},
	{CKR_USER_NOT_LOGGED_IN, ERR_REFUSED, "the token wants a login", NULL},
};

int pkcs11_failed(struct error *err, unsigned long code, const char *what)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(reasons); i++) {
		if (reasons[i].code != code)
			continue;
		error_set(err, reasons[i].kind, "%s: %s", what, reasons[i].text);
		return reasons[i].hint == NULL ? -1 : error_hint(err, "%s", reasons[i].hint);
	}
	return error_set(err, ERR_FAILED, "%s: the module says CKR 0x%lx", what, code);
}
