/* `key list`: the keys of this home, by name. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/timefmt.h"
#include "commands/keys.h"
#include "sys/file.h"

#define KEYS_MAX 10000	/* files listed */

/* Names without ".key", sorted. */
struct names {
	char **list;
	size_t count;
};

static void names_release(struct names *n)
{
	size_t i;

	for (i = 0; i < n->count; i++)
		free(n->list[i]);
	free(n->list);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int names_read(struct names *n, const char *dir, struct error *err)
{
	struct dirent *e;
	DIR *d = opendir(dir);

	*n = (struct names){NULL, 0};
	if (d == NULL)
		return errno == ENOENT ? 0 : error_errno(err, errno, "cannot list '%s'", dir);
	while ((e = readdir(d)) != NULL && n->count < KEYS_MAX) {
		struct slice file = slice_str(e->d_name);

		if (file.len <= 4 || !slice_ends(file, SLICE_LIT(".key")))
			continue;
		n->list = xreallocarray(n->list, n->count + 1, sizeof(*n->list));
		n->list[n->count++] = xstrndup_slice(slice_sub(file, 0, file.len - 4));
	}
	closedir(d);
	if (n->count >= KEYS_MAX)
		return error_set(err, ERR_LIMIT, "'%s' holds %d keys or more", dir, KEYS_MAX);
	if (n->count > 0)
		qsort(n->list, n->count, sizeof(*n->list), by_name);
	return 0;
}

struct listing {
	struct table *table;
	struct json_writer keys, unreadable;
	size_t bad;
};

static void add(struct cmd *cmd, struct listing *l, const char *dir, const char *name)
{
	char file[300], path[KEYS_PATH_MAX], created[TIME_TEXT_LEN], short_id[17];
	struct error err = ERROR_INIT;
	struct keyfile k;

	snprintf(file, sizeof(file), "%s.key", name);
	path_join(path, dir, file);
	if (keyfile_read(AT_FDCWD, path, &k, &err) < 0) {
		l->bad++;
		json_open_object(&l->unreadable, NULL);
		json_put_string(&l->unreadable, "file", path);
		json_put_string(&l->unreadable, "error", err.text);
		json_close(&l->unreadable);
		if (!cmd_json(cmd))
			cmd_warn(cmd, "%s", err.text);
		return;
	}
	keys_put_json(&l->keys, NULL, &k, path);
	snprintf(short_id, sizeof(short_id), "%.16s", k.keyid);
	table_row(l->table, (const char *const[]){
				    name,
				    short_id,
				    key_scheme_name(k.pub.scheme),
				    keyfile_is_token(&k) ? "in a token" : k.sealed ? "sealed" : "unsealed",
				    time_text(created, k.created_s),
				    k.comment,
			    });
}

static void print_json(struct cmd *cmd, const struct buf *keys, const struct buf *unreadable)
{
	struct buf b = BUF_INIT(256u << 20);
	struct json_writer w = JSON_WRITER(&b);

	json_open_object(&w, NULL);
	json_put_raw(&w, "keys", buf_slice(keys));
	json_put_raw(&w, "unreadable", buf_slice(unreadable));
	json_close(&w);
	cmd_write_json(cmd, &b);
	buf_release(&b);
}

static size_t list(struct cmd *cmd, const char *dir, const struct names *n)
{
	static const char *const columns[] = {"NAME", "KEY ID", "SCHEME", "SECRET", "CREATED", "COMMENT"};
	struct buf keys = BUF_INIT(128u << 20), unreadable = BUF_INIT(64u << 20);
	struct listing l = {.keys = JSON_WRITER(&keys), .unreadable = JSON_WRITER(&unreadable)};
	size_t i;

	l.table = table_new(columns, ARRAY_SIZE(columns));
	json_open_array(&l.keys, NULL);
	json_open_array(&l.unreadable, NULL);
	for (i = 0; i < n->count; i++)
		add(cmd, &l, dir, n->list[i]);
	json_close(&l.keys);
	json_close(&l.unreadable);
	if (cmd_json(cmd))
		print_json(cmd, &keys, &unreadable);
	else if (n->count > l.bad)
		table_print(cmd, l.table);
	else if (n->count == 0)
		cmd_note(cmd, "no keys in '%s'", dir);
	table_free(l.table);
	buf_release(&keys);
	buf_release(&unreadable);
	return l.bad;
}

static int key_list_run(struct cmd *cmd, struct error *err)
{
	char dir[KEYS_PATH_MAX];
	struct names names;
	size_t bad;
	int r = -1;

	path_join(dir, cmd_home(cmd), "keys");
	if (names_read(&names, dir, err) < 0)
		goto out;
	bad = list(cmd, dir, &names);
	r = bad == 0 ? 0 : error_set(err, ERR_REFUSED, "%zu of %zu key files cannot be used", bad, names.count);
out:
	names_release(&names);
	return r;
}

const struct command cmd_key_list = {
	.name = "key list",
	.usage = "",
	.summary = "list the keys of this home",
	.needs = NEEDS_HOME,
	.run = key_list_run,
};
