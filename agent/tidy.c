/*
 * What an interruption can leave behind, put right at the start: what the record says is in place, and nothing lies about
 * that no record knows.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/place.h"
#include "agent/supervisor.h"
#include "base/encode.h"
#include "base/log.h"
#include "sys/file.h"

/* Remove what begins and ends so in a directory, but for `keep`. */
static int sweep(int dirfd, const char *path, const char *begin, const char *end, const char *keep, struct error *err)
{
	int fd = file_open(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, err);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (d == NULL) {
		file_close(&fd);
		return -1;
	}
	while (r == 0 && (e = readdir(d)) != NULL)
		if (slice_starts(slice_str(e->d_name), slice_str(begin)) &&
		    slice_ends(slice_str(e->d_name), slice_str(end)) && strcmp(e->d_name, keep) != 0)
			r = file_unlink(fd, e->d_name, err);
	closedir(d);
	return r;
}

/* Downloads and copies of updates that are over; an update under way goes on with its own. */
static void sweep_payloads(struct agent *a)
{
	char hex[SHA256_HEX_LEN], incoming[SHA256_HEX_LEN + 16] = "", part[SHA256_HEX_LEN + 16] = "";
	struct error err = ERROR_INIT;

	if (a->update.assignment != 0 && a->update.signed_known) {
		hex_encode(hex, a->update.sha256, SHA256_LEN);
		snprintf(incoming, sizeof(incoming), ".incoming-%s", hex);
		snprintf(part, sizeof(part), "%s.part", hex);
	}
	if (sweep(a->artifacts_fd, ".", ".incoming-", "", incoming, &err) < 0 ||
	    sweep(a->home_fd, "work", "", ".part", part, &err) < 0)
		log_failure(LOG_LEVEL_WARN, "agent.tidy", &err);
}

/*
 * An order to revert switches before it writes the record: if it is not repeated, the record holds. Versions that are
 * not on record are what a prune did not come to.
 */
static int tidy_artifact(void *arg, const struct installed *i, struct error *err)
{
	struct agent *a = arg;
	char current[NAME_LEN_MAX + 1], dir[sizeof(i->artifact) + sizeof(i->version) + 1];
	struct error why = ERROR_INIT;

	(void)err;
	snprintf(dir, sizeof(dir), "%s/%s", i->artifact, i->version);
	if (strcmp(a->update.artifact, i->artifact) == 0 || !file_exists(a->artifacts_fd, dir))
		return 0;	/* its update sees to it; or somebody took it all away */
	if (place_current(a->artifacts_fd, i->artifact, current, &why) < 0)
		goto failed;
	if (strcmp(current, i->version) != 0) {
		log_warn("agent.tidy", "artifact=%s current=\"%s\" record=\"%s\" why=\"an order was interrupted\"",
			 i->artifact, current, i->version);
		if (place_switch(a->artifacts_fd, i->artifact, i->version, &why) < 0)
			goto failed;
	}
	if (place_prune(a->artifacts_fd, i->artifact, i->version, i->previous, &why) == 0)
		return 0;
failed:
	log_failure(LOG_LEVEL_WARN, "agent.tidy", &why);
	return 0;
}

/* Of what fails nothing is lost but room; the next start tries again. */
void agent_tidy(struct agent *a)
{
	struct error err = ERROR_INIT;

	if (newfile_sweep(a->home_fd, ".", &err) < 0 || newfile_sweep(a->trusted.dirfd, ".", &err) < 0 ||
	    identity_tidy(&a->identity, a->home_fd, &err) < 0)
		log_failure(LOG_LEVEL_WARN, "agent.tidy", &err);
	sweep_payloads(a);
	err = ERROR_INIT;
	if (state_each_installed(a->db, tidy_artifact, a, &err) < 0)
		log_failure(LOG_LEVEL_WARN, "agent.tidy", &err);
}
