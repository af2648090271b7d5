/* Shared by the verbs that answer enrolments on sticks. */
#include "commands/enrolments.h"

#include "bundle/enrolment.h"
#include "sys/file.h"

int enrolments_body(struct cmd *cmd, struct buf *body, struct slice request, const char *device,
		    const char *name_prefix, bool prepared, struct error *err)
{
	struct json_writer w = JSON_WRITER(body);

	json_open_object(&w, NULL);
	json_put_slice(&w, "request", request);
	if (identity_put_root(cmd, &w, err) < 0)
		return -1;
	if (device != NULL)
		json_put_string(&w, "device", device);
	if (name_prefix != NULL)
		json_put_string(&w, "name_prefix", name_prefix);
	if (cmd_has(cmd, "host"))
		json_put_string(&w, "host", cmd_string(cmd, "host", NULL));
	identity_put_list(cmd, &w, "tag", "tags");
	if (prepared)
		json_put_bool(&w, "prepared", true);
	json_close(&w);
	return body->failed ? error_set(err, ERR_USAGE, "the options are too long") : 0;
}

/* The message is the name, a NUL, and the content. */
static int write_message(void *arg, struct slice message, struct error *err)
{
	struct enrolments *e = arg;
	size_t end = slice_find(message, '\0', 0);
	const char *name = (const char *)message.ptr;
	struct slice content = slice_sub(message, end + 1, SIZE_MAX);
	struct newfile f = NEWFILE_INIT;
	int fd, r = -1;

	/* It may come from a process with fewer rights than ours. */
	if (end == SIZE_MAX)
		return error_set(err, ERR_MALFORMED, "the message has no name");
	if (media_name_check(slice_sub(message, 0, end), err) < 0)
		return -1;
	if (e->media != NULL)
		return media_write(e->media, MEDIA_ENROLL, name, content, err);
	if ((fd = file_open(AT_FDCWD, e->dir, O_RDONLY | O_DIRECTORY, 0, err)) < 0)
		return -1;
	if (newfile_open_lenient(&f, fd, name, e->mode, err) == 0 && newfile_write(&f, content, err) == 0 &&
	    newfile_commit(&f, err) == 0)
		r = 0;
	newfile_abort(&f);
	file_close(&fd);
	return r;
}

int enrolments_open(struct enrolments *e, struct error *err)
{
	return latework_open(&e->late, write_message, e, err);
}

int enrolments_write(struct enrolments *e, const char *name, struct slice content, struct error *err)
{
	struct buf message = BUF_SECRET(LATEWORK_MESSAGE_MAX);
	int r;

	buf_put_str(&message, name);
	buf_put_u8(&message, '\0');
	buf_put_slice(&message, content);
	r = message.failed ? error_set(err, ERR_LIMIT, "'%s' is too large", name)
			   : latework_call(&e->late, buf_slice(&message), err);
	buf_release(&message);
	return r;
}

void enrolments_close(struct enrolments *e)
{
	latework_close(&e->late);
	media_close(e->media);
	e->media = NULL;
}
