/* Changing to another user, and the proof that there is no way back. */
#include "sys/user.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* From /etc/passwd alone: service users live there, and name service modules have no place in a static binary. */
int user_find(const char *name, uid_t *uid, gid_t *gid, struct error *err)
{
	FILE *f = fopen("/etc/passwd", "re");
	const struct passwd *pw;

	if (f == NULL)
		return error_errno(err, errno, "cannot open '/etc/passwd'");
	while ((pw = fgetpwent(f)) != NULL && strcmp(pw->pw_name, name) != 0)
		;
	if (pw != NULL) {
		*uid = pw->pw_uid;
		*gid = pw->pw_gid;
	}
	fclose(f);
	if (pw != NULL)
		return 0;
	error_set(err, ERR_NOT_FOUND, "there is no user '%s' in /etc/passwd", name);
	return error_hint(err, "make it: useradd --system --home-dir /nonexistent --shell /usr/sbin/nologin %s", name);
}

static int ids_are(uid_t uid, gid_t gid)
{
	uid_t ru, eu, su;
	gid_t rg, eg, sg;

	if (getresuid(&ru, &eu, &su) < 0 || getresgid(&rg, &eg, &sg) < 0)
		return 0;
	return ru == uid && eu == uid && su == uid && rg == gid && eg == gid && sg == gid;
}

int user_become(uid_t uid, gid_t gid, struct error *err)
{
	if (ids_are(uid, gid) && uid != 0)
		return 0;
	if (geteuid() != 0) {
		error_set(err, ERR_DENIED, "only root can become user %u", (unsigned)uid);
		return error_hint(err, "run as root, or as user %u", (unsigned)uid);
	}
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return error_errno(err, errno, "cannot become user %u", (unsigned)uid);
	/* Once bitten: a kernel or a container that says yes and does nothing. */
	if (!ids_are(uid, gid) || (uid != 0 && setuid(0) == 0))
		return error_set(err, ERR_REFUSED, "became user %u, but root's rights are still there", (unsigned)uid);
	return 0;
}

int user_become_owner(int dirfd, const char *path, struct error *err)
{
	struct stat st;

	if (fstatat(dirfd, path, &st, 0) < 0) {
		error_errno(err, errno, "cannot look at '%s'", path);
		if (errno == ENOENT)
			err->kind = ERR_NOT_FOUND;
		return -1;
	}
	if (st.st_uid == geteuid())
		return 0;
	if (geteuid() != 0) {
		error_set(err, ERR_DENIED, "'%s' belongs to user %u, and this is user %u", path, (unsigned)st.st_uid,
			  (unsigned)geteuid());
		return error_hint(err, "run as root, or as user %u", (unsigned)st.st_uid);
	}
	return user_become(st.st_uid, st.st_gid, err);
}
