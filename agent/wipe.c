/* Leaving the fleet by order: everything of HOME/agent goes, secrets first. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/supervisor.h"
#include "base/log.h"
#include "sys/file.h"
#include "sys/rng.h"

#define OVERWRITE_MAX 65536
#define WIPING "wiping"	/* is there while a wipe is under way */

/*
 * Overwrite a small secret file before it is removed. On flash and copy-on-write file systems that is best effort,
 * which is all that software can do there.
 */
static void overwrite(int dirfd, const char *name)
{
	struct error ignored = ERROR_INIT;
	uint8_t noise[4096];
	struct stat st;
	uint64_t at;
	int fd = file_open(dirfd, name, O_WRONLY | O_NOFOLLOW, 0, &ignored);

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > OVERWRITE_MAX)
		goto out;
	for (at = 0; at < (uint64_t)st.st_size; at += sizeof(noise)) {
		rng_bytes(noise, sizeof(noise));
		(void)!file_pwrite_all(fd, slice_of(noise, sizeof(noise)), at, name, &ignored);
	}
	(void)!file_sync(fd, name, &ignored);
out:
	file_close(&fd);
}

static bool is_secret(const char *name)
{
	return slice_ends(slice_str(name), SLICE_LIT(".key")) || strcmp(name, "identity.json") == 0;
}

/*
 * One pass over the directory: secrets only, or all the rest. What fails is logged and left, the others must still go;
 * err is the first failure.
 */
static int remove_pass(int home_fd, bool secrets, struct error *err)
{
	int fd = file_open(home_fd, ".", O_RDONLY | O_DIRECTORY, 0, err), r = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (d == NULL) {
		file_close(&fd);
		return -1;
	}
	while ((e = readdir(d)) != NULL) {
		struct error why = ERROR_INIT;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
		    strcmp(e->d_name, WIPING) == 0 || is_secret(e->d_name) != secrets)
			continue;
		if (secrets)
			overwrite(home_fd, e->d_name);
		if (file_remove_tree(home_fd, e->d_name, &why) == 0)
			continue;
		log_failure(LOG_LEVEL_ERROR, "agent.wipe", &why);
		if (r == 0)
			*err = why;
		r = -1;
	}
	closedir(d);
	return r < 0 ? -1 : file_sync_dir(home_fd, ".", err);
}

/*
 * The order is on disk before any secret goes, and stays there until all is gone: an interruption or a failing disk is
 * made good at the next start. A disk so full that the order cannot be written gets room from the rest; if that does
 * not help, the identity still works, and the control plane will repeat the order.
 */
static int wipe_home(int home_fd, struct error *err)
{
	if (file_replace(home_fd, WIPING, 0600, SLICE_EMPTY, err) < 0) {
		struct error ignored = ERROR_INIT;

		log_failure(LOG_LEVEL_ERROR, "agent.wipe", err);
		(void)!remove_pass(home_fd, false, &ignored);
		if (file_replace(home_fd, WIPING, 0600, SLICE_EMPTY, err) < 0)
			return -1;
	}
	if (remove_pass(home_fd, true, err) < 0 || remove_pass(home_fd, false, err) < 0 ||
	    file_unlink(home_fd, WIPING, err) < 0)
		return -1;
	return file_sync_dir(home_fd, ".", err);
}

static int not_all(struct error *err)
{
	error_wrap(err, "this device was told to leave its fleet, and not all of its files could be removed");
	return error_hint(err, "start the agent again when the disk works: it goes on with it");
}

void agent_wipe(struct agent *a)
{
	struct error err = ERROR_INIT;

	log_warn("agent.wipe", "device=%s why=\"ordered by the control plane\"", a->identity.device);
	a->wiped = true;
	loop_stop(a->loop);
	worker_down(a, "the device leaves");	/* or it would go on writing below work/ */
	if (wipe_home(a->home_fd, &err) < 0) {
		not_all(&err);
		a->fatal = err;
	}
}

int agent_wipe_resume(int home_fd, struct error *err)
{
	if (!file_exists(home_fd, WIPING))
		return 0;
	log_warn("agent.wipe", "resumed=true");
	return wipe_home(home_fd, err) < 0 ? not_all(err) : 1;
}
