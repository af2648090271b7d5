/* The files of a ceremony, between the operator's words and lib/tuf/ceremony. */
#include "commands/ceremony.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/encode.h"
#include "base/timefmt.h"
#include "crypto/fingerprint.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "tuf/repo.h"

#define PEM_SIZE_MAX 4096

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

/* ---- steps ---- */

struct step *step_begin(struct cmd *cmd, struct error *err)
{
	struct buf transcript = BUF_INIT(TRANSCRIPT_SIZE_MAX);
	struct step *s = xcalloc(1, sizeof(*s));
	int r = -1;

	s->cmd = cmd;
	s->now_s = clock_now_s();
	if (repo_clock_check_build(s->now_s, err) == 0)
		r = transcript_read(cmd_home(cmd), &transcript, s->head, err);
	buf_release(&transcript);
	if (r == 0)
		return s;
	free(s);
	return NULL;
}

int step_note(struct step *s, const char *path, struct slice content, struct error *err)
{
	if (s->count == STEP_FILES_MAX)
		return error_set(err, ERR_LIMIT, "more than %d files", STEP_FILES_MAX);
	snprintf(s->names[s->count], sizeof(s->names[0]), "%s", base_name(path));
	sha256_of(content, s->hashes[s->count++]);
	return 0;
}

int step_read(struct step *s, const char *path, struct buf *out, struct error *err)
{
	if (file_read(AT_FDCWD, path, out, err) < 0)
		return -1;
	return step_note(s, path, buf_slice(out), err);
}

int step_end(struct step *s, const char *name, const char *fingerprint, const char *detail, struct error *err)
{
	const char *names[STEP_FILES_MAX];
	char begun[TRANSCRIPT_HEAD_LEN];
	struct transcript_step line = {.step = name,
				       .fingerprint = fingerprint,
				       .detail = detail,
				       .files = names,
				       .hashes = (const uint8_t (*)[SHA256_LEN])s->hashes,
				       .file_count = s->count,
				       .now_s = s->now_s,
				       .head = begun};
	unsigned i;

	memcpy(begun, s->head, sizeof(begun));
	for (i = 0; i < s->count; i++)
		names[i] = s->names[i];
	return transcript_append(cmd_home(s->cmd), &line, s->head, err);
}

/* ---- files ---- */

int ceremony_check_absent(const char *path, struct error *err)
{
	if (!file_exists(AT_FDCWD, path))
		return 0;
	error_set(err, ERR_CONFLICT, "'%s' exists already", path);
	return error_hint(err, "nothing is overwritten: move it away, or choose another name with --output");
}

int ceremony_write(const char *path, struct slice content, struct error *err)
{
	if (file_create(AT_FDCWD, path, 0644, content, err) == 0)
		return 0;
	if (err->kind == ERR_CONFLICT)
		error_hint(err, "nothing is overwritten: move it away, or choose another name with --output");
	return -1;
}

struct ceremony *ceremony_read(struct step *s, const char *path, struct error *err)
{
	struct buf text = BUF_INIT(CEREMONY_REQUEST_MAX);
	struct ceremony *c = NULL;

	if (step_read(s, path, &text, err) == 0 && (c = ceremony_parse(buf_slice(&text), err)) == NULL)
		error_wrap(err, "'%s'", path);
	buf_release(&text);
	return c;
}

/* The file's name without ".pub" or ".pem", where that is a name; else no label. */
static void set_label(struct ceremony_signer *s, const char *path)
{
	struct error ignored = ERROR_INIT;
	struct slice name = slice_str(base_name(path));

	if (slice_ends(name, SLICE_LIT(".pub")) || slice_ends(name, SLICE_LIT(".pem")))
		name.len -= 4;
	s->label[0] = '\0';
	if (name_check(name, "label", &ignored) == 0)
		snprintf(s->label, sizeof(s->label), "%.*s", SLICE_ARG(name));
}

int signer_read(const char *path, struct ceremony_signer *out, struct error *err)
{
	struct buf pem = BUF_INIT(PEM_SIZE_MAX);
	int r = -1;

	if (file_read(AT_FDCWD, path, &pem, err) == 0) {
		r = pubkey_from_pem(&out->key, buf_slice(&pem), err);
		if (r < 0) {
			error_wrap(err, "'%s'", path);
			error_hint(err, "give the NAME.pub that 'meshanics key generate' wrote, never the NAME.key");
		}
	}
	set_label(out, path);
	buf_release(&pem);
	return r;
}

int signers_read(struct cmd *cmd, const char *option, unsigned max, struct ceremony_signer **list, unsigned *count,
		 struct error *err)
{
	unsigned n = cmd_list_count(cmd, option), i;

	*list = NULL;
	*count = 0;
	if (n > max)
		return error_set(err, ERR_USAGE, "--%s is given %u times, at most %u are allowed", option, n, max);
	*list = xcalloc(n, sizeof(**list));
	for (i = 0; i < n; i++) {
		if (signer_read(cmd_list(cmd, option, i), &(*list)[i], err) < 0)
			return -1;
	}
	*count = n;
	return 0;
}

int publishers_read(struct cmd *cmd, struct repo_publisher **list, unsigned *count, struct error *err)
{
	unsigned n = cmd_list_count(cmd, "publisher"), i;

	*list = xcalloc(n, sizeof(**list));
	*count = 0;
	for (i = 0; i < n; i++) {
		if (publisher_parse_word(&(*list)[i], cmd_list(cmd, "publisher", i), err) < 0)
			return -1;
		(*count)++;
	}
	return 0;
}

int publisher_keys_read(struct cmd *cmd, struct repo_publisher *list, unsigned count, struct error *err)
{
	struct ceremony_signer *signers = NULL;
	unsigned n = 0, i;
	int r = -1;

	if (!cmd_has(cmd, "key"))
		return 0;
	if (count != 1)
		return error_set(err, ERR_USAGE, "--key goes with exactly one --publisher, not %u", count);
	if (signers_read(cmd, "key", ONLINE_RECORD_KEYS_MAX, &signers, &n, err) == 0) {
		list->keys = xcalloc(n, sizeof(*list->keys));
		for (i = 0; i < n; i++)
			list->keys[i] = signers[i].key;
		list->key_count = n;
		r = 0;
	}
	free(signers);
	return r;
}

int names_read(struct cmd *cmd, struct ceremony_name **list, unsigned *count, struct error *err)
{
	const char *path = cmd_string(cmd, "names", NULL);
	struct buf text = BUF_INIT(CEREMONY_REQUEST_MAX);
	struct ceremony *c = NULL;
	int r = -1;

	*list = NULL;
	*count = 0;
	if (path == NULL)
		return 0;
	if (file_read(AT_FDCWD, path, &text, err) < 0)
		goto out;
	if ((c = ceremony_parse(buf_slice(&text), err)) == NULL) {
		error_wrap(err, "--names '%s'", path);
		goto out;
	}
	*count = ceremony_names(c, list);
	r = 0;
out:
	ceremony_free(c);
	buf_release(&text);
	return r;
}

void publishers_drop(struct repo_publisher *list, unsigned count)
{
	unsigned i;

	for (i = 0; i < count; i++)
		repo_publisher_release(&list[i]);
	free(list);
}

int online_keys_read(struct step *s, const char *path, struct online_keys *out, struct error *err)
{
	struct buf text = BUF_INIT(ONLINE_KEYS_SIZE_MAX);
	int r = -1;

	if (step_read(s, path, &text, err) == 0)
		r = online_keys_parse(out, buf_slice(&text), err) < 0 ? error_wrap(err, "'%s'", path) : 0;
	buf_release(&text);
	return r;
}

/* ---- operands that may be directories ---- */

static int add_file(struct file_list *l, const char *dir, const char *name, bool found, struct error *err)
{
	struct file_operand *f;
	int n;

	if (l->count == CEREMONY_ANSWERS_MAX)
		return error_set(err, ERR_LIMIT, "more than %d files", CEREMONY_ANSWERS_MAX);
	l->list = xreallocarray(l->list, (size_t)l->count + 1, sizeof(*l->list));
	f = &l->list[l->count];
	n = dir == NULL ? snprintf(f->path, sizeof(f->path), "%s", name)
			: snprintf(f->path, sizeof(f->path), "%s/%s", dir, name);
	if (n < 0 || (size_t)n >= sizeof(f->path))
		return error_set(err, ERR_USAGE, "the name of a file is too long");
	f->found = found;
	l->count++;
	return 0;
}

/* A file of a directory counts when it says that it is an answer; what else lies there is nobody's business. */
static bool is_answer(const char *dir, const char *name)
{
	struct buf text = BUF_INIT(CEREMONY_ANSWER_MAX);
	struct error ignored = ERROR_INIT;
	char path[4096];
	bool yes = false;

	if (strlen(dir) + strlen(name) + 2 < sizeof(path))
		yes = file_read(AT_FDCWD, path_join(path, dir, name), &text, &ignored) == 0 &&
		      ceremony_kind(buf_slice(&text)) == CEREMONY_ANSWER;
	buf_release(&text);
	return yes;
}

static int not_hidden(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

static int add_directory(struct file_list *l, const char *dir, struct error *err)
{
	struct dirent **names = NULL;
	int n = scandir(dir, &names, not_hidden, alphasort), i, r = 0;

	if (n < 0)
		return error_errno(err, errno, "cannot list '%s'", dir);
	for (i = 0; i < n; i++) {
		if (r == 0 && is_answer(dir, names[i]->d_name))
			r = add_file(l, dir, names[i]->d_name, true, err);
		free(names[i]);
	}
	free(names);
	return r;
}

int files_gather(struct cmd *cmd, unsigned from, struct file_list *out, struct error *err)
{
	struct stat st;
	unsigned i;
	int r = 0;

	*out = (struct file_list){.count = 0};
	for (i = from; r == 0 && i < cmd_operand_count(cmd); i++) {
		const char *name = cmd_operand(cmd, i);

		r = stat(name, &st) == 0 && S_ISDIR(st.st_mode) ? add_directory(out, name, err)
								 : add_file(out, NULL, name, false, err);
	}
	return r;
}

void files_release(struct file_list *l)
{
	free(l->list);
	*l = (struct file_list){.count = 0};
}

/* ---- reports ---- */

const char *who_text(struct buf *out, const struct ceremony *c, const char *keyid)
{
	struct slice label = ceremony_label(c, keyid);

	buf_clear(out);
	if (label.len > 0)
		buf_printf(out, "%.*s (%.16s...)", SLICE_ARG(label), keyid);
	else
		buf_printf(out, "key %.16s...", keyid);
	return buf_cstr(out);
}

static void request_report(struct cmd *cmd, const struct ceremony *c, const char *path, int64_t now_s)
{
	struct buf text = BUF_INIT(1u << 20), out = BUF_INIT(2u << 20);
	struct json_writer w = JSON_WRITER(&out);
	char digits[FINGERPRINT_GROUPS_LEN];

	ceremony_statement(&text, c, now_s);
	if (cmd_json(cmd)) {
		json_open_object(&w, NULL);
		json_put_string(&w, "request", path);
		json_put_string(&w, "fingerprint", ceremony_fingerprint(c));
		json_put_string(&w, "site", ceremony_site(c));
		json_put_bool(&w, "rehearsal", ceremony_rehearsal(c));
		json_put_slice(&w, "statement", buf_slice(&text));
		json_close(&w);
		cmd_write_json(cmd, &out);
	} else {
		cmd_printf(cmd, "%s\n", buf_cstr(&text));
		cmd_printf(cmd, "request      %s\n", path);
		cmd_printf(cmd, "fingerprint  %s\n", ceremony_fingerprint(c));
		fingerprint_groups(digits, ceremony_fingerprint(c), FINGERPRINT_DIGITS_MIN);
		cmd_note(cmd, "tell every signer the first %d digits of the fingerprint, by another way than the file: %s",
			 FINGERPRINT_DIGITS_MIN, digits);
	}
	buf_release(&text);
	buf_release(&out);
}

int request_write(struct step *s, const struct ceremony *c, struct slice text, const char *path, const char *name,
		  const char *detail, struct error *err)
{
	if (step_note(s, path, text, err) < 0 || step_end(s, name, ceremony_fingerprint(c), detail, err) < 0 ||
	    ceremony_write(path, text, err) < 0)
		return -1;
	request_report(s->cmd, c, path, s->now_s);
	return 0;
}

static void put_demand(struct json_writer *w, const struct ceremony *c, unsigned document, unsigned demand)
{
	const struct ceremony_document *d = ceremony_document_at(c, document);
	const struct tuf_role *role = d->demands[demand].role;
	struct ceremony_tally t;
	unsigned i;

	ceremony_tally(c, document, demand, &t);
	json_open_object(w, NULL);
	json_put_string(w, "document", d->role);
	json_put_string(w, "by", d->demands[demand].why);
	json_put_int(w, "version", d->version);
	json_put_int(w, "signed", t.signed_count);
	json_put_int(w, "threshold", t.threshold);
	json_open_array(w, "keys");
	for (i = 0; i < role->keys.count; i++) {
		struct slice label = ceremony_label(c, role->keys.list[i].id);

		json_open_object(w, NULL);
		json_put_string(w, "keyid", role->keys.list[i].id);
		if (label.len > 0)
			json_put_slice(w, "label", label);
		json_put_bool(w, "signed", t.has_signed[i]);
		json_close(w);
	}
	json_close(w);
	json_close(w);
}

void tally_put(struct json_writer *w, const struct ceremony *c)
{
	unsigned i, k;

	json_open_array(w, "signatures");
	for (i = 0; i < ceremony_document_count(c); i++) {
		for (k = 0; k < ceremony_document_at(c, i)->demand_count; k++)
			put_demand(w, c, i, k);
	}
	json_close(w);
}

static void print_demand(struct cmd *cmd, const struct ceremony *c, unsigned document, unsigned demand)
{
	const struct ceremony_document *d = ceremony_document_at(c, document);
	const struct tuf_role *role = d->demands[demand].role;
	struct ceremony_tally t;
	unsigned i;

	ceremony_tally(c, document, demand, &t);
	cmd_printf(cmd, "%s version %lld, by the keys of %s: %u of the %u signatures needed\n", d->role,
		   (long long)d->version, d->demands[demand].why, t.signed_count, t.threshold);
	for (i = 0; i < role->keys.count; i++) {
		struct slice label = ceremony_label(c, role->keys.list[i].id);

		cmd_printf(cmd, "  %-8s %.16s...  %.*s\n", t.has_signed[i] ? "signed" : "missing",
			   role->keys.list[i].id, (int)label.len, label.len == 0 ? "" : (const char *)label.ptr);
	}
}

void tally_print(struct cmd *cmd, const struct ceremony *c)
{
	unsigned i, k;

	for (i = 0; i < ceremony_document_count(c); i++) {
		for (k = 0; k < ceremony_document_at(c, i)->demand_count; k++)
			print_demand(cmd, c, i, k);
	}
}
