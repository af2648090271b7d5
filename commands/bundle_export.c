/* `bundle export`: what a site or a lone device needs, as one file for a stick. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/timefmt.h"
#include "commands/bundles.h"
#include "commands/clock.h"
#include "control/bundles.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/outfiles.h"
#include "sys/space.h"

static const struct option bundle_export_options[] = {
	{ .name = "site", .type = OPT_STRING, .value = "SITE",
	  .help = "for the repository of SITE; default: for devices of this site" },
	{ .name = "output", .type = OPT_STRING, .value = "FILE", .letter = 'o',
	  .help = "write FILE, or a file in directory FILE, or - for standard output" },
	{ .name = "since", .type = OPT_STRING, .value = "RECEIPT", .help = "leave out what the site said it has" },
	{ .name = "artifact", .type = OPT_LIST, .value = "NAME",
	  .help = "only NAMESPACE/NAME[/VERSION], with * and ?; repeat" },
	{ .name = "valid-for", .type = OPT_DURATION, .value = "TIME", .min = 1, .max = INT64_C(10) * 365 * 86400,
	  .help = "not to be imported later than that; 30d" },
	{ .name = "split", .type = OPT_SIZE, .value = "SIZE", .min = BUNDLE_SPLIT_MIN, .max = INT64_MAX,
	  .help = "volumes FILE.001, FILE.002... of at most SIZE; 3900M for FAT" },
	{ .name = "force", .type = OPT_FLAG, .help = "replace FILE if it is there" },
	{ .name = NULL },
};

/* One export, from the line to its files. */
struct run {
	struct cmd *cmd;
	struct bundle_job job;
	bool to_stdout;
	struct outfiles out;
	char dir[4096];
	char name[OUTFILES_NAME_MAX + 1];	/* without a volume's number; "" until the sequence is known */
};

/* ---- where to ---- */

static bool is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int find_stdout(struct run *run, struct error *err)
{
	run->to_stdout = true;
	if (cmd_has(run->cmd, "split") || cmd_json(run->cmd))
		return error_set(err, ERR_USAGE, "-o - and --%s exclude each other",
				 cmd_has(run->cmd, "split") ? "split" : "json");
	if (!isatty(STDOUT_FILENO))
		return 0;
	error_set(err, ERR_USAGE, "a bundle is not written to a terminal");
	return error_hint(err, "send it into a file or a program, or give -o FILE");
}

/* "-", a directory, or a file's directory and its name. */
static int find_place(struct run *run, struct error *err)
{
	const char *output = cmd_string(run->cmd, "output", "."), *slash = strrchr(output, '/');
	size_t len = slash == NULL ? 0 : (size_t)(slash - output);

	if (strcmp(output, "-") == 0)
		return find_stdout(run, err);
	if (strlen(output) >= sizeof(run->dir) || (slash != NULL && strlen(slash + 1) > OUTFILES_NAME_MAX - 4) ||
	    (slash == NULL && strlen(output) > OUTFILES_NAME_MAX - 4))
		return error_set(err, ERR_USAGE, "the name of the output is too long");
	if (is_directory(output)) {
		snprintf(run->dir, sizeof(run->dir), "%s", output);
		return 0;
	}
	snprintf(run->dir, sizeof(run->dir), "%.*s", slash == NULL ? 1 : slash == output ? 1 : (int)len,
		 slash == NULL ? "." : output);
	snprintf(run->name, sizeof(run->name), "%.*s", OUTFILES_NAME_MAX, slash == NULL ? output : slash + 1);
	if (run->name[0] == '\0')
		return error_set(err, ERR_NOT_FOUND, "there is no directory '%s'", output);
	return 0;
}

static void volume_name(const struct run *run, unsigned volume, char out[static 256])
{
	if (run->job.split > 0)
		snprintf(out, 256, "%s.%03u", run->name, volume);
	else
		snprintf(out, 256, "%s", run->name);
}

/* None of the names is taken, and no old volume is left to be taken for one of these. */
static int check_names(struct run *run, struct error *err)
{
	unsigned volume, volumes = run->job.size.volumes;
	char name[256];
	bool there;

	for (volume = 1; !cmd_flag(run->cmd, "force") && volume <= volumes; volume++) {
		volume_name(run, volume, name);
		if (outfiles_drop(&run->out, name, &there, err) < 0)
			return -1;
	}
	for (volume = volumes + 1, there = true; run->job.split > 0 && there && volume <= OUTFILES_MAX; volume++) {
		volume_name(run, volume, name);
		if (outfiles_drop(&run->out, name, &there, err) < 0)
			return -1;
	}
	return 0;
}

/* Before anything is recorded: names and room. */
static int make_ready(void *arg, const struct bundle_job *job, struct error *err)
{
	struct run *run = arg;

	if (run->to_stdout)
		return 0;
	if (run->name[0] == '\0')
		snprintf(run->name, sizeof(run->name), "%s-%06" PRId64 ".bundle", job->manifest.site, job->manifest.sequence);
	if (check_names(run, err) < 0) {
		if (err->kind == ERR_CONFLICT)
			error_hint(err, "choose another name, or replace it with --force");
		return -1;
	}
	/* What --force replaces still takes its room until the end. */
	return space_need(run->out.dirfd, run->dir, job->size.bytes, 0, err);
}

/* ---- writing ---- */

static int open_volume(void *arg, unsigned volume, struct error *err)
{
	struct run *run = arg;
	char name[256];
	int fd;

	if (!run->to_stdout) {
		volume_name(run, volume, name);
		return outfiles_add(&run->out, name, err);
	}
	fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
	return fd >= 0 ? fd : error_set(err, ERR_FAILED, "standard output is closed");
}

static int volume_done(void *arg, unsigned volume, int fd, struct error *err)
{
	const struct run *run = arg;
	char name[256];

	if (run->to_stdout)
		return 0;
	volume_name(run, volume, name);
	return file_sync(fd, name, err);
}

static void show_progress(void *arg, uint64_t done, uint64_t total)
{
	struct run *run = arg;

	cmd_progress(run->cmd, "writing", done, total);
}

static int write_files(struct run *run, struct error *err)
{
	const struct bundle_output output = {
		.split = run->job.split, .open = open_volume, .done = volume_done, .progress = show_progress, .arg = run};
	const struct bundle_job *j = &run->job;
	int r = bundle_write(&j->plan, &j->manifest, buf_slice(&j->signature), &output, err);

	if (r == 0 && !run->to_stdout)
		r = outfiles_commit(&run->out, err);
	cmd_progress_end(run->cmd);
	return r;
}

/* ---- telling ---- */

static void report_json(const struct run *run)
{
	const struct bundle_plan *p = &run->job.plan;
	struct buf out = BUF_INIT(16u << 20);
	struct json_writer w = JSON_WRITER(&out);
	char name[256], path[4096 + 256];
	unsigned i;

	json_open_object(&w, NULL);
	bundle_put_manifest(&w, &run->job.manifest);
	json_put_int(&w, "artifacts", p->artifact_count);
	json_put_int(&w, "saved_artifacts", p->saved);
	json_put_int(&w, "saved_bytes", (int64_t)p->saved_bytes);
	json_put_int(&w, "file_bytes", (int64_t)run->job.size.bytes);
	json_open_array(&w, "files");
	for (i = 1; i <= run->job.size.volumes; i++) {
		volume_name(run, i, name);
		snprintf(path, sizeof(path), "%s/%s", run->dir, name);
		json_put_string(&w, NULL, strcmp(run->dir, ".") == 0 ? name : path);
	}
	json_close(&w);
	json_close(&w);
	cmd_write_json(run->cmd, &out);
	buf_release(&out);
}

static void report_people(const struct run *run)
{
	const struct bundle_plan *p = &run->job.plan;
	char size[32], name[256];

	volume_name(run, 1, name);
	cmd_printf(run->cmd, "file         %s%s%s", strcmp(run->dir, ".") == 0 ? "" : run->dir,
		   strcmp(run->dir, ".") == 0 ? "" : "/", name);
	if (run->job.size.volumes > 1)
		cmd_printf(run->cmd, " to .%03u", run->job.size.volumes);
	cmd_printf(run->cmd, "\n");
	bundle_print_manifest(run->cmd, &run->job.manifest);
	cmd_printf(run->cmd, "inside       %" PRIu32 " metadata files, %" PRIu32 " artifacts; %s\n", p->file_count,
		   p->artifact_count, size_text(size, run->job.size.bytes));
	if (p->has_since)
		cmd_printf(run->cmd, "left out     %" PRIu32 " artifacts, %s, that the site has\n", p->saved,
			   size_text(size, p->saved_bytes));
}

static void report(const struct run *run)
{
	const struct bundle_plan *p = &run->job.plan;
	char when[TIME_TEXT_LEN];

	if (p->shortened)
		cmd_note(run->cmd, "good until %s only, when %s expires", time_text(when, p->valid_until_s), p->first);
	if (run->to_stdout)
		cmd_note(run->cmd, "bundle number %" PRId64 " of site '%s', %" PRIu32 " artifacts, %" PRIu64 " bytes",
			 run->job.manifest.sequence, p->site, p->artifact_count, run->job.size.bytes);
	else if (cmd_json(run->cmd))
		report_json(run);
	else
		report_people(run);
}

/* ---- the work ---- */

static void warn(void *arg, const char *role, const struct error *why)
{
	cmd_warn(arg, "nothing of publisher '%s' goes in: %s", role, why->text);
}

static int make(struct run *run, struct error *err)
{
	struct door_options o = {.home = cmd_home(run->cmd), .now_s = run->job.what.now_s};
	int r;

	if ((run->job.door = door_open(&o, err)) == NULL)
		return -1;
	r = bundle_job_make(&run->job, err);
	/* Nobody waits for us while bytes are written. */
	door_close(run->job.door);
	run->job.door = NULL;
	return r;
}

static int prepare(struct run *run, struct error *err)
{
	struct bundle_export *what = &run->job.what;
	struct cmd *cmd = run->cmd;
	unsigned i;

	*what = (struct bundle_export){.home = cmd_home(cmd), .site = cmd_string(cmd, "site", NULL), .now_s = clock_now_s(),
				       .valid_for_s = cmd_int(cmd, "valid-for", 0), .warn = warn, .arg = cmd};
	if (clock_can_judge(what->now_s, err) < 0 ||
	    (what->site != NULL && name_check(slice_str(what->site), "site", err) < 0) || find_place(run, err) < 0)
		return -1;
	run->job.split = (uint64_t)cmd_int(cmd, "split", 0);
	run->job.ready = make_ready;
	run->job.arg = run;
	what->selector_count = cmd_list_count(cmd, "artifact");
	what->selectors = xcalloc(what->selector_count + 1u, sizeof(char *));
	for (i = 0; i < what->selector_count; i++)
		((const char **)(uintptr_t)what->selectors)[i] = cmd_list(cmd, "artifact", i);
	/* As who we are now, in our own directory; the door makes us the owner of the repository. */
	run->job.receipt_name = cmd_string(cmd, "since", NULL);
	if (run->job.receipt_name != NULL &&
	    (run->job.receipt_fd = receipt_in_open(run->job.receipt_name, err)) < 0)
		return -1;
	return run->to_stdout ? 0 : outfiles_open(&run->out, run->dir, cmd_flag(cmd, "force"), err);
}

static int bundle_export_run(struct cmd *cmd, struct error *err)
{
	struct run run = {.cmd = cmd, .job = BUNDLE_JOB_INIT, .out = OUTFILES_INIT};
	int r = -1;

	if (prepare(&run, err) == 0 && make(&run, err) == 0 && write_files(&run, err) == 0) {
		report(&run);
		r = 0;
	}
	outfiles_close(&run.out);
	file_close(&run.job.receipt_fd);
	free((void *)(uintptr_t)run.job.what.selectors);
	bundle_job_release(&run.job);
	return r;
}

const struct command cmd_bundle_export = {
	.name = "bundle export",
	.usage = "",
	.summary = "write what a site or a lone device needs into one file",
	.options = bundle_export_options,
	.needs = NEEDS_HOME,
	.run = bundle_export_run,
};
