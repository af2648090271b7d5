/* DNS messages as bytes: names, questions and records, each read within bounds. */
#ifndef MESHANICS_MESH_DNS_WIRE_H
#define MESHANICS_MESH_DNS_WIRE_H

#include "mesh/dns.h"

#define DNS_LABELS_MAX 127
#define DNS_ADDITIONAL_MAX 16	/* of a query */

enum {
	DNS_A = 1, DNS_NS = 2, DNS_CNAME = 5, DNS_SOA = 6, DNS_PTR = 12, DNS_MX = 15, DNS_RP = 17, DNS_AFSDB = 18,
	DNS_RT = 21, DNS_SIG = 24, DNS_PX = 26, DNS_AAAA = 28, DNS_NXT = 30, DNS_SRV = 33, DNS_NAPTR = 35, DNS_KX = 36,
	DNS_A6 = 38, DNS_DNAME = 39, DNS_OPT = 41, DNS_RRSIG = 46, DNS_SVCB = 64, DNS_HTTPS = 65,
	DNS_IXFR = 251, DNS_AXFR = 252, DNS_ANY = 255,
};
enum { DNS_CLASS_IN = 1, DNS_CLASS_ANY = 255 };
enum { DNS_NOERROR = 0, DNS_FORMERR = 1, DNS_SERVFAIL = 2, DNS_NXDOMAIN = 3, DNS_NOTIMP = 4, DNS_REFUSED = 5,
       DNS_BADVERS = 16 };
enum { DNS_QR = 0x8000, DNS_AA = 0x0400, DNS_TC = 0x0200, DNS_RD = 0x0100, DNS_RA = 0x0080, DNS_AD = 0x0020,
       DNS_CD = 0x0010, DNS_OPCODE = 0x7800, DNS_RCODE = 0x000f };

/* A name, uncompressed, as the message has it, case and all. */
struct dns_name {
	uint8_t wire[DNS_NAME_MAX];	/* labels, and the root */
	size_t len;
	uint8_t label[DNS_LABELS_MAX];	/* where each begins in wire */
	unsigned labels;		/* without the root */
};

struct dns_record {
	struct dns_name name;
	uint16_t type, class;
	uint32_t ttl;
	size_t data, data_len;	/* where the data is in the message */
};

struct dns_query {
	uint16_t id, flags;
	struct dns_name name;
	uint16_t type, class;
	size_t question_len;	/* behind the header */
	bool edns, do_bit;
	uint8_t edns_version;
	uint16_t payload;	/* what the asker takes over UDP, from DNS_UDP_MIN on */
};

/*
 * The name at *at of the message, which goes behind it. Each pointer goes before where the name began or the last one
 * went, so that it ends. -1 for one that is too long, loops, or leaves the message; with plain, for pointers as well.
 */
WARN_UNUSED int dns_name_read(struct dns_name *n, struct slice message, size_t *at, bool plain);
/* The labels of n from `from` on are those of text, whose labels are lower-case and divided by dots; any case. */
bool dns_name_under(const struct dns_name *n, unsigned from, const char *text);
bool dns_name_equal(const struct dns_name *a, const struct dns_name *b);	/* any case */
struct slice dns_label(const struct dns_name *n, unsigned i);
/* Whether the last labels are the suffix; *before gets the number of those before it. */
bool dns_name_in_suffix(const struct dns_name *n, const char *suffix, unsigned *before);
/* Append a name given as text with dots, uncompressed, root and all. */
void dns_put_text(struct buf *out, const char *text);

WARN_UNUSED int dns_record_read(struct dns_record *r, struct slice message, size_t *at);
/*
 * Returns an rcode: 0, DNS_FORMERR, DNS_NOTIMP. Of a message with a header; question_len is 0 if there is none to
 * echo.
 */
int dns_query_read(struct dns_query *q, struct slice message);

#endif
