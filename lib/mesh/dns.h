/*
 * DNS for the names of the mesh: queries in, answers out, as bytes (RFC 1035, 2308, 3596, 6891); and a filter for what
 * another resolver answered. Only names under the suffix and addresses of the mesh are answered; nothing is asked of
 * anybody here, and nothing recurses.
 */
#ifndef MESHANICS_MESH_DNS_H
#define MESHANICS_MESH_DNS_H

#include "base/buf.h"
#include "base/error.h"
#include "mesh/names.h"

#define DNS_HEADER_LEN 12
#define DNS_UDP_MIN 512		/* without EDNS */
#define DNS_UDP_MAX 4096
#define DNS_UDP_OURS 1232	/* what we say we take; the least path of IPv6 carries it */
#define DNS_TCP_MAX 65535
#define DNS_NAME_MAX 255	/* on the wire, with the root */
#define DNS_LABEL_MAX 63
#define DNS_RECORDS_MAX 1024	/* of a reply, in all sections */
#define DNS_SUFFIX_MAX 100	/* of text; leaves room for a name and a label before it */
#define DNS_TTL_S 60
#define DNS_NEGATIVE_TTL_S 10	/* a node that just joined is found soon */

enum dns_verdict {
	DNS_DROP,	/* no query: no answer, or two servers could talk to each other for ever */
	DNS_ANSWERED,	/* out is the reply */
	DNS_FOREIGN,	/* well formed, and not of the mesh: hand it to the upstream, or dns_refuse */
};

enum dns_filtered {
	DNS_PASSED,	/* out is the reply as it came */
	DNS_STRIPPED,	/* out is the reply without what it must not say */
	DNS_BAD,	/* it is no reply to that query: drop it and wait for another */
};

struct dns_zone {
	const struct names *names;
	const char *suffix;	/* "mesh"; has passed dns_suffix_check */
	bool recursion;		/* there is an upstream: sets RA */
};

/*
 * Whether names may live under the suffix: one to four labels as mesh_name_check takes them, DNS_SUFFIX_MAX in all.
 * ERR_USAGE, with a hint, also for arpa, local, localhost and invalid, which have a meaning already.
 */
WARN_UNUSED int dns_suffix_check(struct slice suffix, struct error *err);

/*
 * Answer one query of at most DNS_UDP_MAX bytes over UDP, DNS_TCP_MAX over TCP (tcp). The reply replaces what is in
 * out, whose ceiling is at least DNS_UDP_MAX; over UDP it is no longer than the asker takes (TC is set if cut).
 * Malformed queries are answered FORMERR, others than plain ones NOTIMP, those of a later EDNS BADVERS.
 */
enum dns_verdict dns_answer(const struct dns_zone *z, struct slice query, bool tcp, struct buf *out);
/* The reply REFUSED, or SERVFAIL when the upstream did not answer, to a query that was DNS_FOREIGN. */
void dns_refuse(const struct dns_zone *z, struct slice query, struct buf *out);
void dns_fail(const struct dns_zone *z, struct slice query, struct buf *out);
/* How long a reply to a DNS_FOREIGN query may be: DNS_UDP_MIN to DNS_UDP_MAX, or DNS_TCP_MAX. */
size_t dns_reply_max(struct slice query, bool tcp);
/* Cut a well-formed reply to header and question, with TC, when it is longer than max. */
void dns_truncate(struct buf *reply, size_t max);

uint16_t dns_id(struct slice message);	/* of DNS_HEADER_LEN bytes at least */
void dns_set_id(uint8_t *message, uint16_t id);

/*
 * Judge what the upstream sent to `query`, the bytes that were sent to it. Left out are: addresses inside the mesh,
 * 0.0.0.0/8, loopback and link-local ones, IPv4 within IPv6 (::/64, and such of these by NAT64); service
 * records that hint at one; whatever lives under the suffix, and aliases into it. Else a page of a stranger could
 * reach what listens here (rebinding). Signatures of what was cut go along, and AD. reply: at most DNS_TCP_MAX
 * bytes and DNS_RECORDS_MAX records; out's ceiling is DNS_TCP_MAX. *stripped, which may be NULL, gets their number.
 */
enum dns_filtered dns_filter_upstream(const struct dns_zone *z, struct slice query, struct slice reply, struct buf *out,
				      unsigned *stripped);

/*
 * TCP: the first whole message of what has arrived, borrowed; *used gets the bytes it took with its length. 1: there it
 * is; 0: more is needed; -1: the length is below a header's, and the connection is to be closed.
 */
WARN_UNUSED int dns_tcp_next(struct slice stream, struct slice *message, size_t *used);
/* Append a message with its length; message is at most DNS_TCP_MAX long. */
void dns_tcp_put(struct buf *out, struct slice message);

#endif
