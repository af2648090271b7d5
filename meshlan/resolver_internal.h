/* What the files of the resolver share: listeners, connections and look-ups. */
#ifndef MESHANICS_MESHLAN_RESOLVER_INTERNAL_H
#define MESHANICS_MESHLAN_RESOLVER_INTERNAL_H

#include "mesh/dns_wire.h"
#include "mesh/guard.h"
#include "meshlan/resolver.h"

#define ASK_MAX (DNS_HEADER_LEN + DNS_NAME_MAX + 4 + 11)	/* a question and an OPT without options */

/* An own address, with its two sockets. */
struct listener {
	struct resolver *r;
	struct listener *next;
	struct sockaddr_storage wanted, bound;	/* they differ when any port was wanted */
	struct watch udp, tcp;
	bool kept;	/* within resolver_listen */
};

struct connection {
	struct resolver *r;
	struct connection *next, **back;
	struct listener *via;
	struct sockaddr_storage from;
	bool stranger;
	bool ended;		/* nothing more comes from there */
	unsigned lookups;	/* under way */
	struct watch watch;
	struct buf in, out;
};

/* Where a reply goes. */
struct asker {
	struct listener *via;
	struct connection *connection;	/* NULL: by UDP */
	struct sockaddr_storage from;
};

struct upstream {
	struct sockaddr_storage address;
	bool silent;
};

struct resolver {
	struct loop *loop;
	struct dns_zone here, elsewhere;	/* for askers on this machine, and on others */
	char suffix[DNS_SUFFIX_MAX + 1];
	struct upstream upstreams[RESOLVER_UPSTREAMS_MAX];
	size_t upstream_count, first;		/* first: the one that a look-up begins with */
	struct listener *listeners;
	struct connection *connections;
	struct lookup *lookups;
	size_t connection_count, stranger_count, lookup_count;
	struct bucket lookup_bucket, stranger_bucket;
	struct resolver_counts counts;
	int64_t stripped_said_ms;
	struct buf reply;			/* the one at hand */
	uint8_t datagram[RESOLVER_QUERY_MAX + 1];	/* alike; one more, to tell what is too long */
};

/* A query that has arrived: answered, refused or dropped at once, or handed to a look-up, which is true. */
bool resolver_query(struct resolver *r, const struct asker *a, struct slice query);
/* Sends r->reply; by TCP, what can be sent goes with connection_proceed. */
void resolver_reply(struct resolver *r, const struct asker *a);
/* An address that we listen on; with_port: and the very port. */
bool resolver_is_here(const struct resolver *r, const struct sockaddr_storage *a, bool with_port);
bool address_equal(const struct sockaddr_storage *a, const struct sockaddr_storage *b, bool with_port);
socklen_t address_len(const struct sockaddr_storage *a);

/* Whoever wants to connect to the listener. */
void connection_accept(struct watch *w, uint32_t revents);
void connection_close(struct connection *c);
/* Append r->reply to what is to be sent. */
void connection_reply(struct connection *c);
/* Go on after something has come, gone or been answered. The connection may be closed then. */
void connection_proceed(struct connection *c);

enum lookup_begun {
	LOOKUP_BEGUN,	/* the reply follows, from the loop */
	LOOKUP_SAME,	/* the same query of the same asker by UDP is under way */
	LOOKUP_LIMIT,	/* there are too many */
};

/* Ask the upstreams; the query has been DNS_FOREIGN. */
enum lookup_begun lookup_start(struct resolver *r, const struct asker *a, struct slice query);
/* End all look-ups for this one, without a reply; both NULL: all there are. */
void lookups_drop(struct resolver *r, const struct listener *via, const struct connection *c);

#endif
