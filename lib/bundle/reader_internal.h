/*
 * The inside of a reader, between reader_open.c (as far as the manifest), reader.c (members) and reader_volumes.c (which
 * file holds which volume).
 */
#ifndef MESHANICS_BUNDLE_READER_INTERNAL_H
#define MESHANICS_BUNDLE_READER_INTERNAL_H

#include "bundle/tarfile.h"
#include "bundle/reader.h"

/*
 * One file. Of several each is opened as soon as it is known, as far as descriptors go, and closed when it has been read:
 * who reads may give up rights in between.
 */
struct source {
	char *path;		/* owned; NULL: by descriptor */
	char *name;		/* owned, for errors */
	int fd;			/* -1: not open */
	bool own_fd;
	bool found;		/* beside those that were given */
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
/* The bundle has so many volumes: what was found beyond them is none of it. */
void sources_drop_found(struct sources *s, unsigned volumes);
/* The source that holds a volume, or NULL. */
struct source *sources_find(const struct sources *s, unsigned volume);
WARN_UNUSED int source_open(struct source *s, struct tarfile *a, struct error *err);
void source_close(struct source *s, struct tarfile *a);

/* The content of a volume.json at hand. */
WARN_UNUSED int volume_read(struct tarfile *a, struct volume *out, struct error *err);
/*
 * The first header of an archive. *is_later: it is that of a volume which is not the first, and *v has been read; else e
 * is that of the manifest.
 */
WARN_UNUSED int source_begin(struct tarfile *a, struct tar_entry *e, bool *is_later, struct volume *v,
			     struct error *err);
/* Put the file's name in front, unless the system's own words have it. */
int source_wrap(const struct source *s, struct error *err);

/* ---- the reader ---- */

/*
 *	        manifest read, or resumed           header of a member
 *	START ---------------------------> BETWEEN <------------------> MEMBER
 *	                                      |     its end and hash      |
 *	                  after the last one, |                           | the next piece is in a
 *	        or its volume is not at hand  v                           v volume not at hand
 *	                                     OVER <-----------------------+
 *
 * START: the first header has been read. OVER: the last archive has been read to its end; `missing` tells whether more
 * is needed. Any error is for good: FAILED.
 */
enum reader_state { START, BETWEEN, MEMBER, OVER, FAILED };

struct bundle_reader {
	enum reader_state state;
	struct error failure;		/* in FAILED */
	struct sources sources;
	unsigned current;		/* index of the source that is read */
	struct tarfile archive;
	uint64_t read_before;		/* bytes of sources that were read to their end */

	size_t manifest_max;		/* bytes of it that are read at most */
	unsigned first;			/* volume that the first source at hand holds */
	struct volume volume;		/* the one that is read; volumes 1: not split */
	unsigned missing;		/* volume that is needed next, or 0 */

	struct tar_entry header;
	bool has_header;		/* header was read ahead */
	int header_kind;		/* 1: a member, 0: the end of the archive */

	struct manifest_iter it;
	uint32_t members;
	struct member member;
	unsigned from;			/* volume in which the member began, of those at hand */
	uint64_t begun;			/* bytes of the member in earlier volumes than the first at hand */
	uint64_t done;			/* bytes of the member so far, `begun` included */
	bool cut;
	bool skipped;			/* not all of the member was read */
	struct sha256 hash;
};

/* The source that is read. */
struct source *reader_source(struct bundle_reader *r);
/* Put the file's name in front of err, keep it, and fail from now on; in FAILED, give back what was kept. -1. */
int reader_fail(struct bundle_reader *r, struct error *err);
/* v, of the archive at hand, is volume `number` of this bundle and begins at this place. */
WARN_UNUSED int reader_check_volume(const struct bundle_reader *r, const struct volume *v, unsigned number, uint32_t member,
				    uint64_t offset, struct error *err);

#endif
