/* What `doctor` looks at on any machine: the system, the configuration, the home, key files, a device's identity. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/timex.h>
#include <unistd.h>

#include "base/json.h"
#include "base/timefmt.h"
#include "commands/doctor.h"
#include "crypto/keyfile.h"
#include "crypto/pkcs11.h"
#include "sys/file.h"
#include "sys/sandbox.h"
#include "tuf/repo.h"
#include "tuf/trusted.h"

#define CLOCK_AHEAD_MAX_S (20 * 365 * INT64_C(86400))	/* beyond the build: nobody runs a build that old */
#define DISK_LOW_BYTES (100u << 20)
#define IDENTITY_FILE_MAX (1u << 20)
#define RENEWAL_LATE_S (7 * INT64_C(86400))

/* ---- the system ---- */

static void check_clock(struct doctor *d)
{
	struct timex tx = {.modes = 0};
	struct error err = ERROR_INIT;
	char now[TIME_TEXT_LEN];
	int state;

	time_text(now, d->now_s);
	if (repo_clock_check_build(d->now_s, &err) < 0) {
		doctor_error(d, FINDING_PROBLEM, "clock", &err);
		return;
	}
	if (d->now_s > MESHANICS_BUILD_TIME + CLOCK_AHEAD_MAX_S) {
		doctor_say(d, FINDING_PROBLEM, "clock", "set the clock: nothing signed is valid that far ahead",
			   "it is %s, says the clock", now);
		return;
	}
	state = adjtimex(&tx);
	if (state == TIME_ERROR || (tx.status & STA_UNSYNC) != 0)
		doctor_say(d, FINDING_WARNING, "clock", "run systemd-timesyncd, chrony or the like",
			   "it is %s, and nothing keeps the clock in step", now);
	else
		doctor_say(d, FINDING_OK, "clock", "", "it is %s, synchronised", now);
}

void doctor_system(struct doctor *d)
{
	unsigned abi = sandbox_landlock();

	doctor_say(d, FINDING_OK, "program", "", "meshanics %s", MESHANICS_VERSION);
	if (abi > 0)
		doctor_say(d, FINDING_OK, "kernel", "", "landlock version %u", abi);
	else
		doctor_say(d, FINDING_WARNING, "kernel", "boot with lsm=landlock,... in front",
			   "no landlock: the agent's worker is confined by its user and system calls alone");
	check_clock(d);
}

void doctor_config(struct doctor *d)
{
	const char *path = surface_config_path(d->cmd);
	struct error err = ERROR_INIT;
	struct yaml doc = YAML_INIT;

	if (surface_config_read(d->cmd, &doc, &err) < 0 || surface_config_check(d->cmd, &doc, &err) < 0)
		doctor_error(d, FINDING_PROBLEM, "config", &err);
	else if (doc.count == 0)
		doctor_say(d, FINDING_OK, "config", "", "%s is absent or empty: the defaults hold", path);
	else
		doctor_say(d, FINDING_OK, "config", "", "%s, %u keys", path, doc.count);
	yaml_release(&doc);
}

/* ---- the home ---- */

/* Who else can write into a directory decides what is in it. */
static bool check_directory(struct doctor *d, const char *area, const char *path, mode_t forbidden)
{
	struct stat st;
	char hint[256];

	if (lstat(path, &st) < 0) {
		if (errno != ENOENT)
			doctor_say(d, FINDING_PROBLEM, area, "", "cannot look at '%s': %s", path, strerror(errno));
		return false;
	}
	snprintf(hint, sizeof(hint), "chmod %s '%s'", forbidden == 077 ? "go=" : "go-w", path);
	if (!S_ISDIR(st.st_mode))
		doctor_say(d, FINDING_PROBLEM, area, "move it away", "'%s' is not a directory", path);
	else if ((st.st_mode & forbidden) != 0)
		doctor_say(d, FINDING_PROBLEM, area, hint, "'%s' is open to others (mode %04o)", path,
			   (unsigned)st.st_mode & 07777);
	return S_ISDIR(st.st_mode);
}

static void check_disk(struct doctor *d, int dirfd)
{
	struct error err = ERROR_INIT;
	char text[32];
	uint64_t bytes;

	if (file_free_bytes(dirfd, &bytes, &err) < 0)
		doctor_error(d, FINDING_PROBLEM, "disk", &err);
	else if (bytes < DISK_LOW_BYTES)
		doctor_say(d, FINDING_PROBLEM, "disk", "free some: nothing can be stored, not even an update's state",
			   "only %s left below '%s'", size_text(text, bytes), d->home);
	else
		doctor_say(d, FINDING_OK, "disk", "", "%s left", size_text(text, bytes));
}

void doctor_home(struct doctor *d)
{
	struct error err = ERROR_INIT;
	unsigned before = d->count;
	struct stat st;
	int fd;

	if (d->home == NULL) {
		doctor_say(d, FINDING_PROBLEM, "home", "give --home DIR, or set HOME", "nothing tells where it is");
		return;
	}
	if (!check_directory(d, "home", d->home, 022)) {
		if (d->count == before)
			doctor_say(d, FINDING_WARNING, "home", "the first verb that needs it makes it",
				   "'%s' does not exist: nothing was set up here", d->home);
		return;
	}
	if ((fd = file_open(AT_FDCWD, d->home, O_RDONLY | O_DIRECTORY, 0, &err)) < 0) {
		doctor_error(d, FINDING_PROBLEM, "home", &err);
		return;
	}
	if (fstat(fd, &st) == 0 && st.st_uid != geteuid() && st.st_uid != 0)
		doctor_say(d, FINDING_WARNING, "home", "run as its owner", "'%s' belongs to user %u", d->home,
			   (unsigned)st.st_uid);
	if (d->count == before)
		doctor_say(d, FINDING_OK, "home", "", "%s", d->home);
	check_disk(d, fd);
	file_close(&fd);
}

/* ---- key files ---- */

/* A key in a token is as good as the way to it. One that wants a person's PIN may lie in a safe until it is needed. */
static bool check_token(struct doctor *d, const struct keyfile *k)
{
	struct error err = ERROR_INIT;
	struct pkcs11_uri u;

	if (pkcs11_uri_parse(&u, slice_str(k->uri), &err) == 0 && pkcs11_probe(&u, &err) == 0)
		return true;
	error_wrap(&err, "key '%s'", k->name);
	doctor_error(d, k->sealed ? FINDING_WARNING : FINDING_PROBLEM, "keys", &err);
	return false;
}

void doctor_key_directory(struct doctor *d, const char *name)
{
	char path[4096], file[4096];
	unsigned good = 0, unsealed = 0;
	struct dirent *e;
	DIR *dir;

	if (d->home == NULL)
		return;
	path_join(path, d->home, name);
	if (!check_directory(d, "keys", path, 077) || (dir = opendir(path)) == NULL)
		return;
	while ((e = readdir(dir)) != NULL) {
		struct error err = ERROR_INIT;
		struct keyfile info;

		if (!slice_ends(slice_str(e->d_name), SLICE_LIT(".key")))
			continue;
		path_join(file, path, e->d_name);
		if (keyfile_read(AT_FDCWD, file, &info, &err) < 0) {
			doctor_error(d, FINDING_PROBLEM, "keys", &err);
			continue;
		}
		if (keyfile_is_token(&info) && !check_token(d, &info))
			continue;
		good++;
		unsealed += !info.sealed;
	}
	closedir(dir);
	if (good > 0)
		doctor_say(d, FINDING_OK, "keys", "", "%s: %u good, %u of them without a passphrase", path, good,
			   unsealed);
}

/* ---- a device ---- */

/* A time member of the identity; -1 when it has none. */
static int64_t member_time(struct json_value root, const char *name)
{
	struct error ignored = ERROR_INIT;
	struct slice text;
	int64_t t;

	if (json_need_string(root, name, &text, &ignored) < 0 || time_parse(&t, text, &ignored) < 0)
		return -1;
	return t;
}

static void check_identity(struct doctor *d, struct json_value root)
{
	int64_t not_after_s = member_time(root, "not_after"), renew_at_s = member_time(root, "renew_at");
	char date[TIME_TEXT_LEN];

	if (not_after_s < 0 || renew_at_s < 0) {
		doctor_say(d, FINDING_PROBLEM, "agent", "enroll the device again", "its identity has no dates");
		return;
	}
	time_text(date, not_after_s);
	if (not_after_s <= d->now_s)
		doctor_say(d, FINDING_PROBLEM, "agent", "is the clock right? then let it reach its control plane, or enroll the device again",
			   "the device's certificate expired at %s", date);
	else if (renew_at_s + RENEWAL_LATE_S < d->now_s)
		doctor_say(d, FINDING_WARNING, "agent", "look at the agent's journal: does it reach its control plane?",
			   "the device's certificate expires at %s and has not been renewed", date);
	else
		doctor_say(d, FINDING_OK, "agent", "", "enrolled, certificate good until %s", date);
}

/* The newest signed time that the device has verified is a lower bound of what time it is. */
static void check_floor(struct doctor *d, int dirfd)
{
	struct trusted t = {.dirfd = dirfd, .lockfd = -1};
	char now[TIME_TEXT_LEN], floor[TIME_TEXT_LEN];
	struct error ignored = ERROR_INIT;
	int64_t floor_s = 0;

	if (trusted_floor(&t, &floor_s, &ignored) < 0 || floor_s <= d->now_s)
		return;
	doctor_say(d, FINDING_PROBLEM, "agent",
		   "set the clock; if it is right, the timestamp key has signed a wrong time: man meshanics-agent, CLOCK",
		   "the clock says %s, which is before the newest signed time that the device has verified (%s)",
		   time_text(now, d->now_s), time_text(floor, floor_s));
}

static void check_signed_time(struct doctor *d, const char *dir)
{
	struct error ignored = ERROR_INIT;
	char path[4096];
	int fd;

	path_join(path, dir, "trusted");
	if ((fd = file_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, &ignored)) < 0)
		return;
	check_floor(d, fd);
	file_close(&fd);
}

void doctor_agent(struct doctor *d)
{
	struct buf text = BUF_INIT(IDENTITY_FILE_MAX);
	struct error err = ERROR_INIT;
	struct json doc = JSON_INIT;
	char dir[4096], path[4096];

	if (d->home == NULL)
		return;
	path_join(dir, d->home, "agent");
	path_join(path, dir, "identity.json");
	if (!file_exists(AT_FDCWD, path))
		return;
	check_directory(d, "agent", dir, 022);
	if (file_read_private(AT_FDCWD, path, &text, &err) < 0 ||
	    json_parse(&doc, buf_slice(&text), JSON_STRICT, &err) < 0)
		doctor_error(d, FINDING_PROBLEM, "agent", &err);
	else
		check_identity(d, json_root(&doc));
	check_signed_time(d, dir);
	json_release(&doc);
	buf_release(&text);
}
