/* What `doctor` looks at on a control plane: its database, its certificate authorities, its repository. */
#include <fcntl.h>
#include <stdio.h>

#include "base/timefmt.h"
#include "commands/doctor.h"
#include "fleet/ca.h"
#include "store/schema.h"
#include "sys/file.h"
#include "sys/user.h"
#include "tuf/repo_sites.h"

static void check_database(struct doctor *d, const char *control)
{
	struct error err = ERROR_INIT;
	char path[4096];
	struct db *db;

	path_join(path, control, CONTROL_DB_NAME);
	db = db_open(path, DB_READ, &control_schema, &err);
	if (db == NULL && err.kind == ERR_NOT_FOUND)
		return;
	if (db == NULL || db_check(db, &err) < 0)
		doctor_error(d, err.kind == ERR_RETRY ? FINDING_WARNING : FINDING_PROBLEM, "control", &err);
	else
		doctor_say(d, FINDING_OK, "control", "", "the database is sound");
	db_close(db);
}

static void check_cas(struct doctor *d, int dirfd)
{
	int kind;

	for (kind = 0; kind < CA_COUNT; kind++) {
		struct error err = ERROR_INIT;
		struct ca ca = {0};
		char what[64];

		snprintf(what, sizeof(what), "the %s CA", ca_kind_name((enum ca_kind)kind));
		if (ca_open(&ca, dirfd, (enum ca_kind)kind, true, &err) < 0)
			doctor_error(d, FINDING_PROBLEM, "control", &err);
		else
			doctor_expiry(d, "control", what, ca.cert.not_after_s,
				      "enroll the fleet under new CAs before it ends");
		ca_release(&ca);
	}
}

static void check_control(struct doctor *d, const char *control)
{
	struct error err = ERROR_INIT;
	char path[4096];
	int fd;

	check_database(d, control);
	path_join(path, control, "ca");
	fd = file_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, &err);
	if (fd >= 0)
		check_cas(d, fd);
	else if (err.kind != ERR_NOT_FOUND)
		doctor_error(d, FINDING_PROBLEM, "control", &err);
	file_close(&fd);
}

/* A role that this box signs: serve does so at half of its life, so three quarters are an omission. */
static void check_online_role(struct doctor *d, const struct repo_expiry *e)
{
	char what[TUF_ROLE_NAME_MAX + 64], date[TIME_TEXT_LEN];

	if (e->expires_s > d->now_s && e->due_s + (e->expires_s - e->due_s) / 2 < d->now_s) {
		doctor_say(d, FINDING_PROBLEM, "repo", "does meshanics serve run? else: meshanics repo refresh",
			   "%s should have been signed again by %s", e->role, time_text(date, e->due_s));
		return;
	}
	snprintf(what, sizeof(what), "%s version %lld", e->role, (long long)e->version);
	if (e->expires_s > d->now_s)
		doctor_say(d, FINDING_OK, "repo", "", "%s expires at %s", what, time_text(date, e->expires_s));
	else
		doctor_expiry(d, "repo", what, e->expires_s, "does meshanics serve run? else: meshanics repo refresh");
}

static const char *who_makes_it(const struct repo *r, const char *role)
{
	if (!repo_takes_bundles(r))
		return "hold a ceremony on the offline side: man meshanics-ceremony";
	return strcmp(role, "root") == 0
		       ? "hold a ceremony for this site, adopt its root where the bundles are made: a bundle must bring it"
		       : "a bundle must bring it: meshanics bundle import";
}

struct site_visit {
	struct doctor *d;
	const struct repo *r;
};

/* Another site, for which bundles are made here. */
static int check_site(void *arg, const char *site, struct error *err)
{
	static const char *const remedy =
		"hold a ceremony for it: meshanics ceremony rotate --like ROOT; then meshanics repo adopt";
	const struct site_visit *v = arg;
	struct repo_site_info info;
	char what[NAME_LEN_MAX + 64];

	if (repo_site_look(v->r, site, &info, err) < 0) {
		doctor_error(v->d, FINDING_PROBLEM, "repo", err);
		*err = ERROR_INIT;
		return 0;
	}
	if (!info.takes_bundles || !info.takes_targets)
		doctor_say(v->d, FINDING_PROBLEM, "repo", remedy, "site '%s' takes no bundle: %s", site,
			   info.takes_bundles ? "the targets in force here do not verify under its root"
					      : "its root names no export key of this repository");
	snprintf(what, sizeof(what), "root version %lld of site '%s'", (long long)info.root_version, site);
	doctor_expiry(v->d, "repo", what, info.expires_s, remedy);
	return 0;
}

static void check_sites(struct doctor *d, const struct repo *r)
{
	struct site_visit v = {d, r};
	struct error err = ERROR_INIT;

	if (repo_exports(r) && repo_root(r) != NULL && repo_sites_each(repo_dirfd(r), check_site, &v, &err) < 0)
		doctor_error(d, FINDING_PROBLEM, "repo", &err);
}

static void check_roles(struct doctor *d, struct repo *r)
{
	const struct repo_expiry *list;
	unsigned count = repo_expiries(r, &list), i;
	struct repo_bins_sum sum;
	char what[TUF_ROLE_NAME_MAX + 64];

	for (i = 0; i < count; i++) {
		if (list[i].online) {
			check_online_role(d, &list[i]);
			continue;
		}
		snprintf(what, sizeof(what), "%s version %lld", list[i].role, (long long)list[i].version);
		doctor_expiry(d, "repo", what, list[i].expires_s, who_makes_it(r, list[i].role));
	}
	for (i = 0; i < repo_role_count(r); i++) {
		const struct repo_role *role = repo_role_at(r, i);

		if (role->fault != ROLE_FINE)
			doctor_error(d, FINDING_PROBLEM, "repo", &role->why);
		if (role->fault != ROLE_FINE || role->bin_bits == 0)
			continue;
		repo_bins_sum(r, role, &sum);
		if (sum.damaged > 0)
			doctor_say(d, FINDING_PROBLEM, "repo", "meshanics repo verify names them; restore them from a backup",
				   "%u of the %u hash bins of '%s' are damaged", sum.damaged, sum.count, role->name);
	}
}

static void check_repo(struct doctor *d)
{
	struct error err = ERROR_INIT;
	struct repo *r = repo_open_readonly(d->home, &err);

	doctor_key_directory(d, "repo/keys");
	if (r == NULL)
		doctor_error(d, err.kind == ERR_NOT_FOUND ? FINDING_WARNING : FINDING_PROBLEM, "repo", &err);
	else if (repo_adopted(r, &err) < 0)
		doctor_error(d, FINDING_WARNING, "repo", &err);
	else if (repo_check_clock(r, d->now_s, &err) < 0)
		doctor_error(d, FINDING_PROBLEM, "repo", &err);
	if (r != NULL) {
		check_roles(d, r);
		check_sites(d, r);
	}
	repo_free(r);
}

void doctor_control(struct doctor *d)
{
	struct error err = ERROR_INIT;
	char control[4096], repo[4096];
	bool has_control, has_repo;

	if (d->home == NULL)
		return;
	has_control = file_exists(AT_FDCWD, path_join(control, d->home, "control"));
	has_repo = file_exists(AT_FDCWD, path_join(repo, d->home, "repo"));
	if (!has_control && !has_repo)
		return;
	/* As root we would leave files behind that serve, which is not root, could not open. */
	if (user_become_owner(AT_FDCWD, has_control ? control : repo, &err) < 0) {
		doctor_error(d, FINDING_WARNING, has_control ? "control" : "repo", &err);
		return;
	}
	if (has_control)
		check_control(d, control);
	if (has_repo)
		check_repo(d);
}
