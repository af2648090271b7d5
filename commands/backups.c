/* What the backup verbs share: progress and the report. */
#include "commands/backups.h"

#include "base/json.h"
#include "base/timefmt.h"

void backup_tell(void *arg, const char *what, uint64_t done, uint64_t total)
{
	cmd_progress(arg, what, done, total);
}

static void report_json(struct cmd *cmd, const char *path, const struct backup_info *info)
{
	struct buf out = BUF_INIT(16384);
	struct json_writer w = JSON_WRITER(&out);
	char when[TIME_TEXT_LEN];

	json_open_object(&w, NULL);
	json_put_string(&w, "file", path);
	json_put_string(&w, "site", info->site);
	json_put_string(&w, "created", time_text(when, info->created_s));
	json_put_string(&w, "version", info->version);
	json_put_int(&w, "files", (int64_t)info->files);
	json_put_int(&w, "bytes", (int64_t)info->bytes);
	json_put_int(&w, "audit_seq", info->audit_seq);
	json_put_string(&w, "audit_fault", info->audit_fault[0] == '\0' ? NULL : info->audit_fault);
	json_close(&w);
	cmd_write_json(cmd, &out);
	buf_release(&out);
}

void backup_report(struct cmd *cmd, const char *word, const char *path, const struct backup_info *info)
{
	char when[TIME_TEXT_LEN], size[32];

	cmd_progress_end(cmd);
	if (cmd_json(cmd)) {
		report_json(cmd, path, info);
		return;
	}
	cmd_printf(cmd, "%s: '%s'\n", word, path);
	cmd_printf(cmd, "site '%s', made at %s by meshanics %s\n", info->site, time_text(when, info->created_s),
		   info->version);
	cmd_printf(cmd, "%llu files, %s, audit trail to record %lld\n", (unsigned long long)info->files,
		   size_text(size, info->bytes), (long long)info->audit_seq);
	if (info->audit_fault[0] != '\0')
		cmd_warn(cmd, "its audit trail is not intact: %s", info->audit_fault);
}
