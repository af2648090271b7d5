/*
 * Makes systemd-resolved ask us for the names of the mesh, and nothing else: runs resolvectl with the arguments of
 * lib/mesh/hosts.h, one command at a time, while the loop goes on. Where there is no resolvectl, or it fails, that is
 * logged once, and tried again later (RESOLVED_RETRY_MS and more). systemd-resolved forgets by itself what it was told
 * when the interface goes, so that a kill leaves nothing behind.
 */
#ifndef MESHANICS_MESHLAN_RESOLVED_H
#define MESHANICS_MESHLAN_RESOLVED_H

#include "base/error.h"
#include "net/loop.h"

#define RESOLVED_LINKS_MAX 64
#define RESOLVED_COMMAND_MS 10000	/* then it is killed, and has failed */
#define RESOLVED_RETRY_MS 5000		/* after a failure; twice as long after each further one */
#define RESOLVED_RETRY_MAX_MS 300000
#define RESOLVED_FREE_MS 2000		/* for all that resolved_free takes back */

struct resolved;

/* What holds for an interface. */
enum resolved_state {
	RESOLVED_NONE,		/* nothing is wanted */
	RESOLVED_SETTING,	/* on the way, also back to nothing */
	RESOLVED_SET,		/* the names are asked of us */
	RESOLVED_FAILED,	/* not, and tried again later */
};

/* resolvectl: an absolute path, copied; NULL: where distributions have it. Borrows the loop. */
WARN_UNUSED struct resolved *resolved_new(struct loop *loop, const char *resolvectl);
/* changed is told when what resolved_look says has become another; it may be called within resolved_set. */
void resolved_on_change(struct resolved *r, void (*changed)(void *arg), void *arg);
/* Kills what runs, and takes back what was told; waits for that RESOLVED_FREE_MS at most. NULL is fine. */
void resolved_free(struct resolved *r);

/*
 * Over that interface the suffix is asked of `server`, an address of this node as text; copied. Instead of what was set
 * for it before; the same again is nothing. ERR_USAGE as resolvectl_up; ERR_LIMIT: there are RESOLVED_LINKS_MAX.
 */
WARN_UNUSED int resolved_set(struct resolved *r, const char *interface, const char *server, const char *suffix,
			     struct error *err);
/* Take back what was set for the interface; nothing when nothing was. */
void resolved_clear(struct resolved *r, const char *interface);
/* *why, which may be NULL, gets why it has failed, or "". Valid until the loop turns. */
enum resolved_state resolved_look(const struct resolved *r, const char *interface, const char **why);
/* Whether no command runs or waits for its turn; those that failed and are tried again later do not count. */
bool resolved_idle(const struct resolved *r);

#endif
