/* What an attempt to enrol or renew by a stick keeps at home, and which root it rests on. */
#include <string.h>

#include "agent/enroll.h"
#include "sys/file.h"
#include "tuf/metadata.h"

const struct attempt attempt_to_enroll = {ENROLLING_KEY, ENROLLING_KEY ".key", ENROLLING_REQUEST};
const struct attempt attempt_to_renew = {RENEWING_KEY, RENEWING_KEY ".key", RENEWING_REQUEST};

int attempt_pin(struct slice root_text, int64_t *version, uint8_t sha256[static SHA256_LEN], const char *site,
		  struct error *err)
{
	struct tuf_root *root = tuf_root_parse(root_text, err);
	int r = 0;

	if (root == NULL)
		return -1;
	*version = root->head.version;
	sha256_of(root_text, sha256);
	if (site != NULL && strcmp(root->site, site) != 0)
		r = error_set(err, ERR_REFUSED, "the root is of site '%s', not '%s'", root->site, site);
	tuf_root_free(root);
	return r;
}

int attempt_pin_file(const char *path, int64_t *version, uint8_t sha256[static SHA256_LEN], struct error *err)
{
	struct buf text = BUF_INIT(ROOT_FILE_MAX);
	int r = file_read(AT_FDCWD, path, &text, err);

	if (r == 0 && (r = attempt_pin(buf_slice(&text), version, sha256, NULL, err)) < 0)
		error_wrap(err, "'%s' is no root metadata", path);
	buf_release(&text);
	return r;
}

int attempt_read(const struct attempt *a, int dirfd, struct enrolment_request *q, struct buf *text, struct error *err)
{
	struct error unreadable = ERROR_INIT;

	buf_clear(text);
	if (file_read_private(dirfd, a->request_file, text, err) < 0) {
		if (err->kind != ERR_NOT_FOUND)
			return -1;
		*err = ERROR_INIT;
		return 0;
	}
	return enrolment_request_parse(q, buf_slice(text), &unreadable) == 0;
}
