/*
 * Backups of a control plane (man/meshanics-backup.5): its database, repository, online keys and CAs in one sealed
 * file, made while it runs, and restored into an empty home.
 *
 *	sealed stream (crypto/sealed.h)
 *	  '-- tar: backup.json, control/meshanics.db, control/ca/..., repo/...
 *
 * The database is copied first and the repository after it, its timestamp before what that names: whatever the
 * database speaks of is in the repository, and whatever the timestamp names is there.
 */
#ifndef MESHANICS_FLEET_BACKUP_H
#define MESHANICS_FLEET_BACKUP_H

#include "base/buf.h"
#include "base/error.h"
#include "base/name.h"
#include "crypto/sealed.h"

struct db;
struct repo;

#define BACKUP_PASSPHRASE_MIN 8		/* bytes */
#define BACKUP_FILES_MAX 1000000

/* What is in a backup; filled by all three. */
struct backup_info {
	char site[NAME_LEN_MAX + 1];	/* "" before `ca init` and `repo init` */
	char version[32];		/* of the program that made it */
	int64_t created_s;
	int64_t audit_seq;		/* last record of the audit trail */
	char audit_fault[256];		/* "" when the trail was intact */
	uint64_t files, bytes;		/* of content */
};

struct backup_progress {
	void (*tell)(void *arg, const char *what, uint64_t done, uint64_t total);	/* may be NULL; total 0: unknown */
	void *arg;
};

/*
 * Write a backup of home to open file fd, from its beginning; synced. A copy of the database lies beside it in
 * HOME/control meanwhile, and is checked. ERR_NOT_FOUND where there is no control plane.
 */
WARN_UNUSED int backup_create(const char *home, int fd, struct slice passphrase, struct sealed_cost cost, int64_t now_s,
			      const struct backup_progress *progress, struct backup_info *info, struct error *err);
/* Read all of it: every byte is authentic, every member may be restored. Nothing is written. */
WARN_UNUSED int backup_verify(int fd, struct slice passphrase, const struct backup_progress *progress,
			      struct backup_info *info, struct error *err);
/*
 * Restore into home, which must hold no control plane and no repository (empty directories are fine): ERR_CONFLICT
 * naming what is there. Everything is read and checked in HOME/control/.restore first; the database moves into place
 * last. Notes the restore in it (META_RESTORED, audit trail). The caller holds HOME/control/lock.
 */
WARN_UNUSED int backup_restore(const char *home, int fd, struct slice passphrase, const char *actor, int64_t now_s,
			       const struct backup_progress *progress, struct backup_info *info, struct error *err);

/*
 * After a restore: may this control plane sign snapshots again? Not for RESTORED_WAIT_S, in which devices come and
 * report, and not while a device has reported a higher version of a publisher's file than is published here:
 * ERR_RETRY with what to do. 0: yes; the first yes after a restore is noted. In a transaction on the writer.
 */
#define RESTORED_WAIT_S 300
WARN_UNUSED int restored_check(struct db *db, const struct repo *repo, int64_t now_s, struct error *err);
/*
 * A restore under a clock that was ahead would be waited for until that time comes: it counts from now on. *moved tells
 * that there was one; to be committed before restored_check is asked.
 */
WARN_UNUSED int restored_rebase(struct db *db, int64_t now_s, bool *moved, struct error *err);

#endif
