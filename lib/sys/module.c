/* Loading by dlopen, after a look at who could have written the file. */
#include "sys/module.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/*
 * One step of a path without symbolic links. Once all of them are root's alone, nobody else can change what the path
 * means between this look and the loading.
 */
static int check_step(const char *path, bool last, struct error *err)
{
	struct stat st;
	mode_t others;

	if (lstat(path, &st) < 0)
		return error_errno(err, errno, "cannot look at '%s'", path);
	if (last && !S_ISREG(st.st_mode))
		return error_set(err, ERR_REFUSED, "'%s' is not a regular file", path);
	if (st.st_uid != 0) {
		error_set(err, ERR_REFUSED, "'%s' belongs to user %u, not to root", path, (unsigned)st.st_uid);
		return error_hint(err, "its code would run as ours: install it as root, below /usr/lib or /opt");
	}
	others = st.st_mode & (S_IWGRP | S_IWOTH);
	if (others == 0 || (!last && (st.st_mode & S_ISVTX) != 0))
		return 0;
	error_set(err, ERR_REFUSED, "'%s' can be written by group or others (mode %04o)", path,
		  (unsigned)st.st_mode & 07777);
	return error_hint(err, "its code would run as ours: chmod go-w '%s'", path);
}

static int check_path(char *path, struct error *err)
{
	char *slash;

	if (check_step("/", false, err) < 0)
		return -1;
	for (slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (check_step(path, false, err) < 0)
			return -1;
		*slash = '/';
	}
	return check_step(path, true, err);
}

int module_load(const char *path, void **module, struct error *err)
{
	char real[PATH_MAX];

	if (path[0] != '/')
		return error_set(err, ERR_REFUSED, "module '%s' is not named by an absolute path", path);
	if (realpath(path, real) == NULL) {
		int e = errno;

		error_errno(err, e, "cannot load module '%s'", path);
		if (e == ENOENT)
			err->kind = ERR_NOT_FOUND;
		return -1;
	}
	if (check_path(real, err) < 0)
		return error_wrap(err, "refusing module '%s'", path);
	if ((*module = dlopen(real, RTLD_NOW | RTLD_LOCAL)) == NULL)
		return error_set(err, ERR_FAILED, "cannot load module '%s': %s", path, dlerror());
	return 0;
}

void *module_symbol(void *module, const char *name)
{
	return dlsym(module, name);
}
