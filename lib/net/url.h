/*
 * URLs, strictly: scheme://host[:port][/path][?query], ASCII, at most 2048 bytes. No fragment; no user
 * part except in a proxy's; the host is a DNS name (letters, digits, hyphens; made lower case), an IPv4
 * address in four decimal parts, or an IPv6 address in brackets. Nothing is repaired or guessed.
 */
#ifndef MESHANICS_NET_URL_H
#define MESHANICS_NET_URL_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

#define URL_LEN_MAX 2048
#define HOST_LEN_MAX 253

enum url_allow {
	URL_HTTPS = 1 << 0,
	URL_HTTP = 1 << 1,	/* loopback probes, proxies: no trust is placed in it */
	URL_USER = 1 << 2,	/* user:password@ for a proxy */
	URL_BASE = 1 << 3,	/* no query; a trailing slash of the path is dropped ("" for the root) */
};

enum host_kind { HOST_NAME, HOST_IPV4, HOST_IPV6 };

struct url {
	bool tls;			/* https */
	enum host_kind host_kind;
	char host[HOST_LEN_MAX + 1];	/* without brackets, lower case */
	uint16_t port;			/* always set: 443 or 80 by default */
	char target[URL_LEN_MAX + 1];	/* "/path?query", at least "/" (with URL_BASE: may be "") */
	char user[256], password[256];	/* percent-decoded; empty without URL_USER */
};

/* allow: a set of enum url_allow. -1 with ERR_USAGE that names the part which is wrong. */
WARN_UNUSED int url_parse(struct url *u, struct slice text, unsigned allow, struct error *err);
/* The canonical text, without user and password: "https://[::1]:9443/x". Default ports are left out. */
void url_put(struct buf *out, const struct url *u);
/* "host:port" for a Host header, a CONNECT target or a message; IPv6 in brackets; 443/80 kept when with_port. */
void url_put_authority(struct buf *out, const struct url *u, bool with_port);
/* What the host is, or -1 with ERR_USAGE. out gets it in lower case; at most HOST_LEN_MAX bytes. */
WARN_UNUSED int host_parse(char out[static HOST_LEN_MAX + 1], struct slice text, enum host_kind *kind,
			   struct error *err);

/* %XX decoded into out. Refuses (ERR_MALFORMED) bad escapes and encoded control bytes, NUL included. '+' stays. */
WARN_UNUSED int percent_decode(struct buf *out, struct slice s, struct error *err);
/* Everything but letters, digits and -._~ becomes %XX. */
void percent_encode(struct buf *out, struct slice s);

#endif
