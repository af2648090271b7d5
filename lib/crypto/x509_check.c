/* What a certificate is good for: chain, purpose, time and the names of servers. */
#include <arpa/inet.h>

#include "base/timefmt.h"
#include "crypto/x509.h"

#define DNS_NAME_MAX 253
#define DNS_LABEL_MAX 63

static int check_begin(const struct x509 *c, const char *what, int64_t now_s, struct error *err)
{
	char from[TIME_TEXT_LEN], now[TIME_TEXT_LEN];

	if (now_s >= c->not_before_s)
		return 0;
	error_set(err, ERR_REFUSED, "%s certificate begins at %s and the clock says %s", what,
		  time_text(from, c->not_before_s), time_text(now, now_s));
	return error_hint(err, "set the clock of this machine");
}

static int check_end(const struct x509 *c, const char *what, int64_t now_s, int64_t grace_s, struct error *err)
{
	char until[TIME_TEXT_LEN], now[TIME_TEXT_LEN];

	if (now_s <= c->not_after_s || now_s - c->not_after_s <= grace_s)
		return 0;
	error_set(err, ERR_REFUSED, "%s certificate ended at %s and the clock says %s", what,
		  time_text(until, c->not_after_s), time_text(now, now_s));
	return error_hint(err, "renew it, or set the clock if it is wrong");
}

int x509_ca_check(const struct x509 *ca, int64_t now_s, struct error *err)
{
	if (!ca->is_ca)
		return error_set(err, ERR_REFUSED, "certificate '%s' is no CA", ca->cn);
	if (!ca->has_key_usage || !(ca->key_usage & X509_KU_CERT_SIGN))
		return error_set(err, ERR_REFUSED, "CA '%s' may not sign certificates (key usage)", ca->cn);
	if (!slice_equal(ca->issuer, ca->subject))
		return error_set(err, ERR_REFUSED, "CA '%s' is not its own issuer", ca->cn);
	if (pubkey_verify(&ca->key, ca->tbs, ca->signature, err) < 0)
		return error_wrap(err, "CA '%s'", ca->cn);
	if (check_begin(ca, "CA", now_s, err) < 0)
		return -1;
	return check_end(ca, "CA", now_s, 0, err);
}

static int check_purpose(const struct x509 *leaf, unsigned eku, struct error *err)
{
	if (leaf->is_ca)
		return error_set(err, ERR_REFUSED, "certificate '%s' is a CA, not an end entity", leaf->cn);
	if (!leaf->has_key_usage || !(leaf->key_usage & X509_KU_DIGITAL_SIGNATURE))
		return error_set(err, ERR_REFUSED, "certificate '%s' may not sign (key usage)", leaf->cn);
	if (!leaf->has_eku || (leaf->eku & eku) != eku)
		return error_set(err, ERR_REFUSED, "certificate '%s' is not meant for a %s (extended key usage)",
				 leaf->cn, eku == X509_EKU_SERVER ? "server" : "client");
	return 0;
}

int x509_chain_check(const struct x509 *leaf, const struct x509 *ca, unsigned eku, int64_t now_s,
		     int64_t expired_grace_s, struct error *err)
{
	if (x509_ca_check(ca, now_s, err) < 0)
		return -1;
	if (!slice_equal(leaf->issuer, ca->subject) ||
	    (leaf->aki.len > 0 && ca->ski.len > 0 && !slice_equal(leaf->aki, ca->ski)))
		return error_set(err, ERR_REFUSED, "certificate '%s' was issued by another CA than '%s'", leaf->cn,
				 ca->cn);
	if (pubkey_verify(&ca->key, leaf->tbs, leaf->signature, err) < 0)
		return error_wrap(err, "certificate '%s' was not signed by CA '%s'", leaf->cn, ca->cn);
	if (check_purpose(leaf, eku, err) < 0 || check_begin(leaf, "the", now_s, err) < 0)
		return -1;
	return check_end(leaf, "the", now_s, expired_grace_s, err);
}

/* The bytes of an IPv4 or IPv6 literal: how many, 0 when text is neither. */
static size_t ip_bytes(uint8_t out[static 16], const char *text)
{
	if (inet_pton(AF_INET, text, out) == 1)
		return 4;
	return inet_pton(AF_INET6, text, out) == 1 ? 16 : 0;
}

static bool is_label_byte(uint8_t c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-' || c == '_';
}

/*
 * Letters, digits, hyphen and underscore in labels of 1 to 63 (RFC 1123 2.1, and what is met in practice).
 * A last label of digits would be read as an address by some and as a name by others.
 */
static bool is_dns_name(struct slice s)
{
	size_t i, start = 0;
	bool digits = true;

	if (s.len == 0 || s.len > DNS_NAME_MAX)
		return false;
	for (i = 0; i <= s.len; i++) {
		if (i < s.len && s.ptr[i] != '.') {
			if (!is_label_byte(s.ptr[i]))
				return false;
			digits = digits && s.ptr[i] >= '0' && s.ptr[i] <= '9';
			continue;
		}
		if (i == start || i - start > DNS_LABEL_MAX || s.ptr[start] == '-' || s.ptr[i - 1] == '-')
			return false;
		if (i == s.len && digits)
			return false;
		start = i + 1;
		digits = true;
	}
	return true;
}

int x509_san_of_host(struct x509_san *san, uint8_t ip_storage[static 16], const char *text, struct error *err)
{
	size_t n = ip_bytes(ip_storage, text);

	if (n > 0) {
		*san = (struct x509_san){X509_SAN_IP, slice_of(ip_storage, n)};
		return 0;
	}
	if (!is_dns_name(slice_str(text)))
		return error_set(err, ERR_MALFORMED, "'%.*s' is neither a DNS name nor an address", DNS_NAME_MAX,
				 text);
	*san = (struct x509_san){X509_SAN_DNS, slice_str(text)};
	return 0;
}

static bool equal_ignoring_case(struct slice a, struct slice b)
{
	return a.len == b.len && strncasecmp((const char *)a.ptr, (const char *)b.ptr, a.len) == 0;
}

/* "a.example, 10.0.0.1": the host names of a certificate, as many as fit. */
static const char *list_hosts(char *out, size_t size, const struct x509 *c)
{
	char ip[INET6_ADDRSTRLEN];
	size_t i, at = 0;

	out[0] = '\0';
	for (i = 0; i < c->san_count && at + 1 < size; i++) {
		const struct x509_san *san = &c->san[i];
		int n;

		if (san->type == X509_SAN_URI)
			continue;
		if (san->type == X509_SAN_IP)
			inet_ntop(san->value.len == 4 ? AF_INET : AF_INET6, san->value.ptr, ip, sizeof(ip));
		n = san->type == X509_SAN_IP
			    ? snprintf(out + at, size - at, "%s%s", at > 0 ? ", " : "", ip)
			    : snprintf(out + at, size - at, "%s%.*s", at > 0 ? ", " : "", SLICE_ARG(san->value));
		at += n < 0 ? 0 : (size_t)n;
	}
	return out[0] == '\0' ? "no host" : out;
}

int x509_host_check(const struct x509 *c, const char *host, struct error *err)
{
	struct x509_san want;
	uint8_t ip[16];
	char names[300];
	size_t i;

	if (x509_san_of_host(&want, ip, host, err) < 0)
		return -1;
	for (i = 0; i < c->san_count; i++) {
		if (c->san[i].type != want.type)
			continue;
		if (want.type == X509_SAN_IP ? slice_equal(c->san[i].value, want.value)
					     : equal_ignoring_case(c->san[i].value, want.value))
			return 0;
	}
	error_set(err, ERR_REFUSED, "the server's certificate is not for '%s' but for %s", host,
		  list_hosts(names, sizeof(names), c));
	return error_hint(err, "add the name to serve.public_names on the server, or use one that is there");
}
