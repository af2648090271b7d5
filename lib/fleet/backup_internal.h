/* What the files of backups share: names inside, and the walk over a sealed archive. */
#ifndef MESHANICS_FLEET_BACKUP_INTERNAL_H
#define MESHANICS_FLEET_BACKUP_INTERNAL_H

#include "base/tar.h"
#include "fleet/backup.h"

#define BACKUP_FORMAT "meshanics-backup-1"
#define BACKUP_INFO_NAME "backup.json"
#define BACKUP_INFO_MAX 4096
#define BACKUP_DB_NAME "control/meshanics.db"

/* backup.json, both ways. */
void backup_info_put(struct buf *out, const struct backup_info *info);
WARN_UNUSED int backup_info_parse(struct slice text, struct backup_info *info, struct error *err);

/* What a walk over an archive does with its members; all in order. Each may be NULL. */
struct archive_handler {
	int (*begin)(void *arg, const struct tar_entry *e, struct error *err);	/* not for backup.json */
	int (*data)(void *arg, struct slice part, struct error *err);
	int (*end)(void *arg, struct error *err);	/* of a file */
	void *arg;
};
/*
 * Read the sealed archive in fd from its beginning to its end. Checked before the handler sees anything of it:
 * authenticity, names (control/meshanics.db, below control/ca/ and below repo/ only), backup.json first, the
 * database there, nothing behind the end. info is filled.
 */
WARN_UNUSED int archive_read(int fd, struct slice passphrase, const struct archive_handler *handler,
			     const struct backup_progress *progress, struct backup_info *info, struct error *err);

#endif
