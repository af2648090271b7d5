/* BearSSL's error numbers and TLS alerts in words that an operator can act on. */
#include "net/tls_internal.h"

static const char *alert_word(int alert)
{
	static const struct {
		int alert;
		const char *word;
	} words[] = {
		{10, "unexpected message"},
		{20, "bad record"},
		{22, "record too large"},
		{40, "no common cipher or version"},
		{42, "bad certificate"},
		{43, "unsupported certificate"},
		{44, "certificate revoked"},
		{45, "certificate expired"},
		{46, "certificate not acceptable"},
		{47, "illegal parameter"},
		{48, "unknown CA"},
		{49, "access denied"},
		{50, "decoding error"},
		{51, "signature does not verify"},
		{70, "no common version (TLS 1.2 is spoken here)"},
		{71, "insufficient security"},
		{80, "internal error"},
		{86, "inappropriate fallback"},
		{90, "cancelled"},
		{100, "no renegotiation"},
		{109, "missing extension"},
		{112, "unknown server name"},
		{116, "client certificate required"},
		{120, "no common application protocol"},
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(words); i++)
		if (words[i].alert == alert)
			return words[i].word;
	return "reason not known";
}

/* The peer told us to go away: over certificates and access it refuses, else we do not understand it. */
static int alert_received(int alert, struct error *err)
{
	bool refused = (alert >= 42 && alert <= 49) || alert == 51 || alert == 116;

	error_set(err, refused ? ERR_REFUSED : ERR_FAILED, "the peer refused with TLS alert %d: %s",
		  alert, alert_word(alert));
	if (alert == 40 || alert == 70 || alert == 71)
		error_hint(err,
			   "meshanics speaks TLS 1.2 with ECDHE-ECDSA; the peer must allow it");
	return -1;
}

int tls_engine_error(int code, bool established, struct error *err)
{
	if (code >= BR_ERR_SEND_FATAL_ALERT && code < BR_ERR_SEND_FATAL_ALERT + 256)
		return error_set(err, ERR_MALFORMED, "the peer was refused with TLS alert %d: %s",
				 code - BR_ERR_SEND_FATAL_ALERT,
				 alert_word(code - BR_ERR_SEND_FATAL_ALERT));
	if (code >= BR_ERR_RECV_FATAL_ALERT && code < BR_ERR_RECV_FATAL_ALERT + 256)
		return alert_received(code - BR_ERR_RECV_FATAL_ALERT, err);
	switch (code) {
	case BR_ERR_UNSUPPORTED_VERSION:
	case BR_ERR_BAD_VERSION:
		return error_set(err, ERR_MALFORMED,
				 established ? "a record has the wrong TLS version"
					     : "the peer does not speak TLS 1.2");
	case BR_ERR_TOO_LARGE:
	case BR_ERR_BAD_LENGTH:
	case BR_ERR_LIMIT_EXCEEDED:
		return error_set(err, ERR_LIMIT,
				 "the peer sent a TLS record or message that is too large");
	case BR_ERR_BAD_MAC:
		return error_set(err, ERR_REFUSED, "a TLS record was altered on its way");
	case BR_ERR_BAD_SIGNATURE:
	case BR_ERR_BAD_FINISHED:
		return error_set(
			err, ERR_REFUSED,
			"the peer does not hold the key of its certificate, or the handshake was altered");
	case BR_ERR_NO_CLIENT_AUTH:
		return error_set(err, ERR_REFUSED, "the client shows no certificate");
	case BR_ERR_WRONG_KEY_USAGE:
	case BR_ERR_INVALID_ALGORITHM:
		return error_set(err, ERR_REFUSED,
				 "the peer's key cannot be used with the agreed cipher");
	case BR_ERR_BAD_SECRENEG:
		return error_set(err, ERR_REFUSED, "the peer wants to renegotiate");
	case BR_ERR_RESUME_MISMATCH:
		return error_set(err, ERR_RETRY,
				 "the peer resumed a session with other parameters");
	case BR_ERR_NO_RANDOM:
		return error_set(err, ERR_FAILED, "no randomness for TLS");
	case BR_ERR_UNKNOWN_TYPE:
	case BR_ERR_UNEXPECTED:
	case BR_ERR_BAD_HANDSHAKE:
		return error_set(err, ERR_MALFORMED,
				 established ? "the peer broke the TLS protocol (%d)"
					     : "the peer does not speak TLS (%d)",
				 code);
	default:
		return error_set(err, ERR_MALFORMED, "the peer broke the TLS protocol (%d)", code);
	}
}
