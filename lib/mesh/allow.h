/*
 * What a node lets in from a network, as the operator writes it: protocol and ports. These rules stay on their node; no
 * key or record carries them. The file: a line "allow tcp:22" for each.
 */
#ifndef MESHANICS_MESH_ALLOW_H
#define MESHANICS_MESH_ALLOW_H

#include "base/buf.h"
#include "base/error.h"

#define ALLOW_MAX 256		/* rules of one network */
#define ALLOW_TEXT_LEN 16	/* "udp:60000-65535" with NUL */
#define ALLOW_FILE_MAX (ALLOW_MAX * (ALLOW_TEXT_LEN + 6))

struct allow {
	uint8_t proto;		/* IPPROTO_TCP or IPPROTO_UDP */
	uint16_t first, last;	/* ports, 1 to 65535 */
};

struct allow_list {
	struct allow rules[ALLOW_MAX];	/* sorted, no two alike */
	size_t count;
};

/* "tcp:22" or "udp:5000-5010", exactly. ERR_USAGE with a hint. */
WARN_UNUSED int allow_parse(struct allow *a, struct slice text, struct error *err);
const char *allow_text(char out[static ALLOW_TEXT_LEN], const struct allow *a);

/* A rule that is there already is a success. ERR_LIMIT when the list is full. */
WARN_UNUSED int allow_list_add(struct allow_list *l, const struct allow *a, struct error *err);
/* The file; parse takes exactly what put makes. ERR_MALFORMED with the number of the line, ERR_LIMIT. */
void allow_list_put(struct buf *out, const struct allow_list *l);
WARN_UNUSED int allow_list_parse(struct allow_list *l, struct slice text, struct error *err);

#endif
