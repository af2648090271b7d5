/* Opening and closing of a control plane's home. */
#include "control/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "db/db.h"
#include "fleet/ca.h"
#include "store/schema.h"
#include "sys/file.h"
#include "sys/user.h"
#include "tuf/repo.h"

void control_settings_default(struct control_settings *s)
{
	*s = (struct control_settings){
		.api_port = 9443,
		.repository_port = 9444,
		.device_port = 9445,
		.enroll_port = 9446,
		.heartbeat_interval_s = 60,
		.certificate_life_s = INT64_C(90) * 86400,
		.renew_grace_s = INT64_C(30) * 86400,
	};
}

int control_load_ca(struct control *c, struct error *err)
{
	struct ca *ca = NULL;
	char path[4096];
	int dirfd, k, r = -1;

	path_join(path, c->home, "control/ca");
	if (!file_exists(AT_FDCWD, path))
		return 0;
	dirfd = file_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, err);
	if (dirfd < 0)
		return -1;
	ca = xcalloc(CA_COUNT, sizeof(*ca));
	for (k = 0; k < CA_COUNT; k++)
		if (ca_open(&ca[k], dirfd, (enum ca_kind)k, true, err) < 0)
			goto out;
	control_free_ca(c);
	c->ca = ca;
	ca = NULL;
	r = 0;
out:
	for (k = 0; ca != NULL && k < CA_COUNT; k++)
		ca_release(&ca[k]);
	free(ca);
	file_close(&dirfd);
	/* An init that was cut short is finished by repeating it; until then there is no CA. */
	if (r < 0 && err->kind == ERR_NOT_FOUND) {
		*err = ERROR_INIT;
		r = 0;
	}
	return r;
}

void control_free_ca(struct control *c)
{
	int k;

	for (k = 0; c->ca != NULL && k < CA_COUNT; k++)
		ca_release(&c->ca[k]);
	free(c->ca);
	c->ca = NULL;
}

int control_load_repo(struct control *c, struct error *err)
{
	char path[4096];

	path_join(path, c->home, "repo/online-keys.json");
	if (!file_exists(AT_FDCWD, path))
		return 0;
	repo_free(c->repo);
	c->repo = repo_open(c->home, err);
	return c->repo == NULL ? -1 : 0;
}

/* HOME/control is made by whoever comes first; from then on its owner owns the control plane. */
static int enter_home(struct control *c, struct error *err)
{
	char path[4096];

	path_join(path, c->home, "control");
	if (file_mkdirs(AT_FDCWD, path, 0700, err) < 0 || user_become_owner(AT_FDCWD, path, err) < 0)
		return -1;
	path_join(path, c->home, "control/lock");
	c->lock_fd = file_lock(AT_FDCWD, path, err);
	if (c->lock_fd < 0 && err->kind == ERR_RETRY) {
		error_wrap(err, "'%s' is in use", c->home);
		return error_hint(err, "wait for the other meshanics process, or use the running serve");
	}
	return c->lock_fd < 0 ? -1 : 0;
}

struct control *control_open(const char *home, const struct control_settings *settings, struct error *err)
{
	struct control *c = xcalloc(1, sizeof(*c));
	char path[4096];

	c->lock_fd = -1;
	c->settings = *settings;
	snprintf(c->home, sizeof(c->home), "%s", home);
	path_join(path, home, "control/" CONTROL_DB_NAME);
	if (enter_home(c, err) < 0 || (c->db = db_open(path, DB_CREATE, &control_schema, err)) == NULL ||
	    control_load_ca(c, err) < 0 || control_load_repo(c, err) < 0) {
		control_free(c);
		return NULL;
	}
	return c;
}

void control_free(struct control *c)
{
	if (c == NULL)
		return;
	repo_free(c->repo);
	control_free_ca(c);
	db_close(c->db);
	file_close(&c->lock_fd);
	free(c);
}
