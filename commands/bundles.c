/* Opening a bundle, the root it is checked against, and its first line in words. */
#include "commands/bundles.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/encode.h"
#include "base/timefmt.h"
#include "sys/file.h"
#include "tuf/repo.h"
#include "tuf/repo_sites.h"

struct bundle_reader *bundle_of_operands(struct cmd *cmd, struct error *err)
{
	unsigned i, n = cmd_operand_count(cmd);
	const char **paths = xcalloc(n, sizeof(*paths));
	struct bundle_reader *r;

	for (i = 0; i < n; i++)
		paths[i] = cmd_operand(cmd, i);
	r = bundle_reader_open(paths, n, err);
	free(paths);
	return r;
}

/* ---- the root ---- */

static int root_of_repo(const struct repo *repo, const char *site, struct buf *out, struct error *err)
{
	int64_t newest;

	if (strcmp(site, repo_site(repo)) == 0) {
		if (repo_root(repo) != NULL)
			buf_put_slice(out, repo_root(repo)->head.text);
		return 0;
	}
	if (repo_site_newest(repo_dirfd(repo), site, &newest, err) < 0)
		return -1;
	return newest == 0 ? 0 : repo_site_root_read(repo_dirfd(repo), site, newest, out, err);
}

int bundle_find_root(void *arg, const struct manifest *m, struct buf *out, struct error *err)
{
	struct cmd *cmd = arg;
	const char *path = cmd_string(cmd, "root", NULL);
	char repository[4096];
	struct repo *repo;
	int r;

	if (path != NULL)
		return file_read(AT_FDCWD, path, out, err);
	if (cmd_home(cmd) == NULL || !file_exists(AT_FDCWD, path_join(repository, cmd_home(cmd), "repo/online-keys.json")))
		return 0;
	if ((repo = repo_open_readonly(cmd_home(cmd), err)) == NULL)
		return -1;
	r = root_of_repo(repo, m->site, out, err);
	repo_free(repo);
	return r;
}

/* ---- telling ---- */

const char *bundle_for(char out[static 96], const struct manifest *m)
{
	snprintf(out, 96, m->kind == BUNDLE_SITE ? "the repository of site '%s'" : "devices of site '%s'", m->site);
	return out;
}

static void put_time(struct json_writer *w, const char *name, int64_t t_s)
{
	char text[TIME_TEXT_LEN];

	json_put_string(w, name, time_text(text, t_s));
}

void bundle_put_manifest(struct json_writer *w, const struct manifest *m)
{
	json_put_hex(w, "bundle", m->id, SHA256_LEN);
	json_put_string(w, "kind", m->kind == BUNDLE_SITE ? "site" : "device");
	json_put_string(w, "site", m->site);
	json_put_string(w, "origin", m->origin);
	json_put_int(w, "sequence", m->sequence);
	put_time(w, "created", m->created_s);
	put_time(w, "valid_until", m->valid_until_s);
	json_put_bool(w, "complete", m->complete);
	if (m->has_since)
		json_put_hex(w, "since", m->since, SHA256_LEN);
	else
		json_put_null(w, "since");
	json_open_object(w, "audit");
	json_put_int(w, "seq", m->audit.seq);
	json_put_hex(w, "hash", m->audit.hash, SHA256_LEN);
	json_close(w);
	json_open_object(w, "versions");
	json_put_int(w, "root", m->versions.root);
	json_put_int(w, "targets", m->versions.targets);
	if (m->kind == BUNDLE_DEVICE) {
		json_put_int(w, "snapshot", m->versions.snapshot);
		json_put_int(w, "timestamp", m->versions.timestamp);
	}
	json_close(w);
	json_put_int(w, "members", m->members);
	json_put_int(w, "bytes", (int64_t)m->bytes);
}

void bundle_print_manifest(struct cmd *cmd, const struct manifest *m)
{
	char hex[SHA256_HEX_LEN], who[96], when[TIME_TEXT_LEN];

	hex_encode(hex, m->id, SHA256_LEN);
	cmd_printf(cmd, "bundle       %s\n", hex);
	cmd_printf(cmd, "for          %s\n", bundle_for(who, m));
	cmd_printf(cmd, "from         site '%s', number %" PRId64 "\n", m->origin, m->sequence);
	cmd_printf(cmd, "created      %s\n", time_text(when, m->created_s));
	cmd_printf(cmd, "valid until  %s\n", time_text(when, m->valid_until_s));
	cmd_printf(cmd, "complete     %s\n", m->complete ? m->has_since ? "yes, with what is on the receipt" : "yes"
							  : "no, some artifacts were selected");
	if (m->has_since) {
		hex_encode(hex, m->since, SHA256_LEN);
		cmd_printf(cmd, "since        receipt %s\n", hex);
	}
}
