/* One file, written by whoever we were at the beginning. */
#include "sys/latefile.h"

#include "sys/file.h"

static int write_it(void *arg, struct slice content, struct error *err)
{
	const struct latefile *f = arg;

	return file_replace(AT_FDCWD, f->path, f->mode, content, err);
}

int latefile_open(struct latefile *f, const char *path, mode_t mode, struct error *err)
{
	*f = (struct latefile){.path = path, .mode = mode, .work = LATEWORK_INIT};
	return path == NULL ? 0 : latework_open(&f->work, write_it, f, err);
}

int latefile_commit(struct latefile *f, struct slice content, struct error *err)
{
	int r;

	if (f->path == NULL)
		return 0;
	r = latework_call(&f->work, content, err);
	if (r < 0 && (err->kind == ERR_LIMIT || err->sys_errno == 0))
		error_wrap(err, "cannot write '%s'", f->path);
	latefile_abort(f);
	return r;
}

void latefile_abort(struct latefile *f)
{
	latework_close(&f->work);
	f->path = NULL;
}
