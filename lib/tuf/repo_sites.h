/*
 * The root chains of other sites, HOME/repo/sites/SITE/N.root.json: what the repository that exports bundles to them
 * knows of them. Each chain began with a root that this repository's own root keys have signed, too, and goes on as
 * every chain of roots does (repo_adopt). The repository's own site is not among them: its roots are in metadata/.
 *
 * Limits: REPO_SITES_MAX sites.
 */
#ifndef MESHANICS_TUF_REPO_SITES_H
#define MESHANICS_TUF_REPO_SITES_H

#include "tuf/repo.h"

#define REPO_SITES_DIR "sites"
#define REPO_SITES_MAX 65536

/* The newest root kept of a site; 0: none is kept. site has passed name_check. */
WARN_UNUSED int repo_site_newest(int repo_dirfd, const char *site, int64_t *newest, struct error *err);
/*
 * Append a root as it was adopted, which has been checked then; out's ceiling is at least TUF_ROOT_MAX.
 * ERR_NOT_FOUND with what to do: it is not kept here.
 */
WARN_UNUSED int repo_site_root_read(int repo_dirfd, const char *site, int64_t version, struct buf *out,
				    struct error *err);
/* Call each for every site of which a root is kept, by name, until it answers -1. */
WARN_UNUSED int repo_sites_each(int repo_dirfd, int (*each)(void *arg, const char *site, struct error *err), void *arg,
				struct error *err);

/* What is to be known of a site before a bundle is made for it. */
struct repo_site_info {
	int64_t root_version, expires_s;
	bool takes_targets;	/* the targets in force here verify under its newest root */
	bool takes_bundles;	/* that root names an export key of this repository */
};
/* Of the newest root that is kept; ERR_NOT_FOUND when none is. r has been adopted. */
WARN_UNUSED int repo_site_look(const struct repo *r, const char *site, struct repo_site_info *out, struct error *err);
/* The root names an export record key that this repository holds. */
bool repo_site_export_key(const struct repo *r, const struct tuf_root *root);

/*
 * Is the chain of a site whole, from the first root that is kept to the newest: of this site, each following the one
 * before, the first signed by a threshold of the root keys of one of `own` as well? *roots: how many were good; *bad:
 * which root was not. Reads only.
 */
WARN_UNUSED int repo_site_verify(int repo_dirfd, const char *site, struct tuf_root *const *own, unsigned own_count,
				 unsigned *roots, int64_t *bad, struct error *err);

#endif
