/* What the reading and the changing half of the store share. */
#ifndef MESHANICS_MESH_STORE_INTERNAL_H
#define MESHANICS_MESH_STORE_INTERNAL_H

#include "mesh/store.h"

#define STORE_FILE_MAX 32	/* "former.4294967295" and NUL, with room */
#define STORE_TEXT_MAX 4096	/* of key files */

/* A directory in dirfd: no symbolic link, of ours or root's, closed to others. The descriptor, or -1. */
WARN_UNUSED int store_open_dir(int dirfd, const char *name, struct error *err);
/* The directory of a network; ERR_NOT_FOUND. */
WARN_UNUSED int store_open_network(const struct netstore *s, const char *hex, struct error *err);
/* Append a private file of a network; *there tells whether it exists, which NULL demands. */
WARN_UNUSED int store_read_file(int dir, const char *hex, const char *file, struct buf *out, bool *there,
				struct error *err);
/* Call each for the names of a directory; -1 from it ends the walk. */
WARN_UNUSED int store_walk(int dirfd, int (*each)(void *arg, const char *name, struct error *err), void *arg,
			   struct error *err);
/* "former.7" is generation 7 of "former."; 0 when the name is of another kind. */
uint32_t store_generation(const char *name, const char *prefix);
const char *store_generation_name(char out[static STORE_FILE_MAX], const char *prefix, uint32_t generation);
bool store_id_valid(const char *name);

#endif
