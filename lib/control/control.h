/*
 * What a control plane is made of, whoever runs it: `serve`, or a verb in-process when serve does not run.
 * Owns the database, the repository and the CAs of one home, under control/lock.
 */
#ifndef MESHANICS_CONTROL_CONTROL_H
#define MESHANICS_CONTROL_CONTROL_H

#include "base/buf.h"
#include "base/error.h"

struct ca;		/* fleet/ca.h */
struct db;
struct lastseen;	/* store/lastseen.h */
struct repo;		/* tuf/repo.h */
struct versions;	/* store/versions.h */

#define PUBLIC_NAMES_MAX 16

struct control_settings {
	unsigned public_name_count;
	char public_names[PUBLIC_NAMES_MAX][256];	/* DNS names and addresses in the server certificate */
	uint16_t api_port, repository_port, device_port, enroll_port;	/* 9443, 9444, 9445, 9446 */
	int64_t heartbeat_interval_s;	/* assigned to devices; 60 */
	int64_t certificate_life_s;	/* of devices; 90 days */
	int64_t renew_grace_s;		/* expired certificates renew this long; 30 days */
};

struct control {
	char home[4096];
	int lock_fd;		/* control/lock, held */
	struct control_settings settings;
	struct db *db;		/* the writing connection; owned by the writer thread while serve runs */
	struct repo *repo;	/* NULL until `repo init` */
	struct ca *ca;		/* CA_COUNT of them, by enum ca_kind; NULL until `ca init` */
	struct lastseen *lastseen;	/* serve only; NULL in-process */
	struct versions *versions;	/* serve only: of what the writer changes */
	/* serve only: its own gauges, in Prometheus' text format. */
	void (*put_metrics)(void *arg, struct buf *out);
	void *metrics_arg;
};

void control_settings_default(struct control_settings *s);
/*
 * Takes control/lock (ERR_RETRY when held), opens or makes control/meshanics.db, opens the repository and the
 * CAs where they exist. Root first becomes the owner of control/ for good (sys/user.h). Free with control_free.
 */
WARN_UNUSED struct control *control_open(const char *home, const struct control_settings *settings, struct error *err);
void control_free(struct control *c);	/* NULL is fine */
/* (Re)load what a handler has just made on disk: the CAs after `ca init`, the repository after `repo init`. */
WARN_UNUSED int control_load_ca(struct control *c, struct error *err);
void control_free_ca(struct control *c);
WARN_UNUSED int control_load_repo(struct control *c, struct error *err);

#endif
