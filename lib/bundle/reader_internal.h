/* The files of a bundle, between reader.c (members) and reader_volumes.c (which file holds which volume). */
#ifndef MESHANICS_BUNDLE_READER_INTERNAL_H
#define MESHANICS_BUNDLE_READER_INTERNAL_H

#include "bundle/tarfile.h"
#include "bundle/manifest.h"

/* One file, open only while it is read, unless its descriptor was given. */
struct source {
	char *path;		/* owned; NULL: by descriptor */
	char *name;		/* owned, for errors */
	int fd;			/* -1: not open */
	bool own_fd;
	unsigned volume;	/* 0: not known yet */
	uint64_t size;		/* 0: unknown */
	bool has_bundle;	/* a later volume: it names its bundle */
	uint8_t bundle[SHA256_LEN];
};
struct sources {
	struct source *list;	/* owned; ascending by volume when there are several */
	unsigned count;
};
void sources_release(struct sources *s);	/* safe on zeroed and released */

/* Several are looked into at once and put in order; a single one is left alone, as it may be a pipe. */
WARN_UNUSED int sources_of_paths(struct sources *s, const char *const *paths, unsigned count, struct error *err);
WARN_UNUSED int sources_of_fds(struct sources *s, const int *fds, const char *const *names, unsigned count,
			       struct error *err);
/* The first volume was found to be v: look for those that lie beside the ones given. */
void sources_find_siblings(struct sources *s, const struct volume *v);
/* The source that holds a volume, or NULL. */
struct source *sources_find(const struct sources *s, unsigned volume);
WARN_UNUSED int source_open(struct source *s, struct tarfile *a, struct error *err);
void source_close(struct source *s, struct tarfile *a);

/* The content of a volume.json at hand. */
WARN_UNUSED int volume_read(struct tarfile *a, struct volume *out, struct error *err);
/*
 * The first header of an archive: 1 with *is_later and *v for a volume that is not the first, whose volume.json has been
 * read; e is the manifest otherwise.
 */
WARN_UNUSED int bundle_begin(struct tarfile *a, struct tar_entry *e, bool *is_later, struct volume *v,
			      struct error *err);
/* Put the file's name in front, unless the system's own words have it. */
int source_wrap(const struct source *s, struct error *err);

#endif
