/*
 * Ranges of IPv4 that this machine uses already: its interfaces, its routes, its networks of the mesh. A new network takes
 * one of the others, and a network whose range is among them is not joined.
 */
#ifndef MESHANICS_MESH_TAKEN_H
#define MESHANICS_MESH_TAKEN_H

#include "mesh/address.h"

#define TAKEN_WHAT_LEN 96
#define TAKEN_MAX 65536		/* of a router's table, the first ones */
/* A route with a shorter prefix is one to the Internet, however it is written (0.0.0.0/1), and takes nothing. */
#define TAKEN_PREFIX_MIN 8

struct taken {
	struct range range;	/* of any prefix */
	char what[TAKEN_WHAT_LEN];	/* "interface eth0", "a route by tun1", "network 'home'" */
};

struct taken_list {
	struct taken *items;
	size_t count, room;
};
#define TAKEN_INIT ((struct taken_list){.count = 0})

void taken_release(struct taken_list *l);	/* safe on an empty or released one */
void taken_add(struct taken_list *l, const struct range *range, const char *what);
/* Add what interfaces and routes of this machine use. */
WARN_UNUSED int taken_read(struct taken_list *l, struct error *err);
/* The first that overlaps, or NULL. Borrowed. */
const struct taken *taken_find(const struct taken_list *l, const struct range *range);
/* One of the free ranges that range_default has, at random. ERR_REFUSED with a hint when there is none. */
WARN_UNUSED int taken_choose(const struct taken_list *l, struct range *out, struct error *err);

#endif
