/* Key files on disk: made once, opened by those who may, resealed in one step. */
#include "crypto/keyfile.h"

#include <stdio.h>

#include "base/name.h"
#include "crypto/keyfile_format.h"
#include "sys/file.h"

/* Read and take apart; the text does not outlive this function. */
static int load(struct keyfile_parts *p, int dirfd, const char *path, struct error *err)
{
	struct buf text = BUF_SECRET(KEYFILE_SIZE_MAX);
	int r = -1;

	*p = (struct keyfile_parts){.cost = {0}};
	if (file_read_private(dirfd, path, &text, err) < 0)
		goto out;
	if (keyfile_parse(p, buf_slice(&text), err) < 0) {
		error_wrap(err, "cannot read key '%s'", path);
		goto out;
	}
	r = 0;
out:
	buf_release(&text);
	return r;
}

int keyfile_describe(struct keyfile *info, const char *name, const char *comment, int64_t created_s,
		     struct error *err)
{
	*info = (struct keyfile){.created_s = created_s};
	if (comment == NULL)
		comment = "";
	if (name_check(slice_str(name), "key name", err) < 0)
		return -1;
	if (strlen(comment) >= sizeof(info->comment))
		return error_set(err, ERR_USAGE, "the comment has %zu bytes; %zu is the most", strlen(comment),
				 sizeof(info->comment) - 1);
	snprintf(info->name, sizeof(info->name), "%s", name);
	printable(info->comment, sizeof(info->comment), slice_str(comment));
	if (strcmp(info->comment, comment) != 0)
		return error_set(err, ERR_USAGE, "the comment is not one line of printable text");
	return 0;
}

/* The public file goes last: where it is, the key is. */
int keyfile_create(int dirfd, const char *name, struct slice text, const struct pubkey *pub, struct error *err)
{
	char key_name[NAME_LEN_MAX + 5], pub_name[NAME_LEN_MAX + 5];
	struct buf pem = BUF_INIT(PUBKEY_PEM_MAX);
	struct error ignored = ERROR_INIT;
	int r = -1;

	snprintf(key_name, sizeof(key_name), "%s.key", name);
	snprintf(pub_name, sizeof(pub_name), "%s.pub", name);
	pubkey_put_pem(&pem, pub);
	if (file_exists(dirfd, pub_name)) {
		error_set(err, ERR_CONFLICT, "'%s' exists already", pub_name);
		goto out;
	}
	if (file_create(dirfd, key_name, 0600, text, err) < 0)
		goto out;
	if (file_create(dirfd, pub_name, 0644, buf_slice(&pem), err) < 0) {
		(void)!file_unlink(dirfd, key_name, &ignored);
		goto out;
	}
	r = 0;
out:
	buf_release(&pem);
	return r;
}

int keyfile_write(int dirfd, const char *name, const struct seckey *k, struct slice passphrase, const char *comment,
		  int64_t created_s, struct error *err)
{
	struct buf text = BUF_SECRET(KEYFILE_SIZE_MAX);
	struct keyfile info;
	int r = -1;

	if (keyfile_describe(&info, name, comment, created_s, err) == 0 &&
	    keyfile_put(&text, &info, k, passphrase, KEYFILE_COST, err) == 0)
		r = keyfile_create(dirfd, name, buf_slice(&text), seckey_public(k), err);
	buf_release(&text);
	return r;
}

int keyfile_read(int dirfd, const char *path, struct keyfile *out, struct error *err)
{
	struct keyfile_parts p;

	if (load(&p, dirfd, path, err) < 0)
		return -1;
	*out = p.info;
	keyfile_parts_release(&p);
	return 0;
}

struct seckey *keyfile_open(int dirfd, const char *path, struct slice passphrase, struct error *err)
{
	struct keyfile_parts p;
	struct seckey *k;

	if (load(&p, dirfd, path, err) < 0)
		return NULL;
	k = keyfile_is_token(&p.info) ? keyfile_open_token(&p.info, passphrase, err) : keyfile_unseal(&p, passphrase, err);
	if (k == NULL)
		error_wrap(err, "cannot open key '%s'", path);
	keyfile_parts_release(&p);
	return k;
}

int keyfile_reseal(int dirfd, const char *path, const struct seckey *k, struct slice new_passphrase,
		   struct error *err)
{
	struct buf text = BUF_SECRET(KEYFILE_SIZE_MAX);
	struct keyfile info;
	int r = -1;

	if (keyfile_read(dirfd, path, &info, err) < 0)
		goto out;
	if (!pubkey_equal(&info.pub, seckey_public(k))) {
		error_set(err, ERR_REFUSED, "'%s' holds another key by now", path);
		goto out;
	}
	if (keyfile_put(&text, &info, k, new_passphrase, KEYFILE_COST, err) == 0)
		r = file_replace(dirfd, path, 0600, buf_slice(&text), err);
out:
	buf_release(&text);
	return r;
}
