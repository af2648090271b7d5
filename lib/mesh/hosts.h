/*
 * Names for those who do not ask our resolver: lines for a hosts file, and the commands that give the suffix to
 * systemd-resolved, as data. Nothing is written or run here.
 */
#ifndef MESHANICS_MESH_HOSTS_H
#define MESHANICS_MESH_HOSTS_H

#include "base/buf.h"
#include "base/error.h"
#include "mesh/names.h"

#define RESOLVECTL_ARGS_MAX 5	/* with the NULL at the end */
#define RESOLVECTL_UP 7		/* commands of resolvectl_up */

/*
 * Append lines as hosts(5) has them, IPv4 and IPv6 of every name, ordered by network and name; a network with a label
 * has its names with that as well. A name that several networks have is given to the first, as names_find does. Who
 * lost its name, or has no address, is in a comment. The suffix has passed dns_suffix_check.
 */
void hosts_put(struct buf *out, const struct names *names, const char *suffix);

/* One command, without a shell; argv points into the struct, which must not be moved. */
struct resolvectl {
	const char *argv[RESOLVECTL_ARGS_MAX];
	char interface[16], value[64 + 64];
};

/*
 * The commands that make systemd-resolved ask `server` (an address of this node as text) for the suffix, and nothing
 * else, over that interface; in order, all needed. Validation and TLS are off for this link alone: nobody could sign
 * names that exist here only, and the packets do not leave the machine. So are the two ways to ask everybody on the link
 * for a name (LLMNR, mDNS): in a mesh it is the table that says who has it. Addresses are asked backwards of the server
 * as far as the prefix of the interface's own addresses reaches. ERR_USAGE for an interface, server or suffix
 * that could be taken for something else.
 */
WARN_UNUSED int resolvectl_up(struct resolvectl out[static RESOLVECTL_UP], const char *interface, const char *server,
			      const char *suffix, struct error *err);
/* The one command that takes all of it back. */
WARN_UNUSED int resolvectl_down(struct resolvectl *out, const char *interface, struct error *err);

#endif
