/*
 * The control plane's database, HOME/control/meshanics.db. Tables are described in schema.c; each family of
 * tables has one file of whole operations (devices, certificates, tokens, operators, rollouts, assignments,
 * audit, meta). Those functions work on a db that is inside a transaction (or a read connection), and hold
 * no rules: rules are in lib/fleet.
 */
#ifndef MESHANICS_STORE_SCHEMA_H
#define MESHANICS_STORE_SCHEMA_H

#include "db/db.h"

#define CONTROL_DB_NAME "meshanics.db"	/* in HOME/control */

extern const struct db_schema control_schema;

/* Facts about this database itself, as text by key. Keys are our own literals. */
#define META_SITE "site"		/* the site's name */
#define META_RESTORED "restored_s"	/* when a backup was restored into this home; absent otherwise */
#define META_VALUE_MAX 4096

/* 1 and the value appended to out, 0 when there is none, -1. */
WARN_UNUSED int meta_get(struct db *db, const char *key, struct buf *out, struct error *err);
WARN_UNUSED int meta_set(struct db *db, const char *key, struct slice value, struct error *err);
WARN_UNUSED int meta_delete(struct db *db, const char *key, struct error *err);

#endif
