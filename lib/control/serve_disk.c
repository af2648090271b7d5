/* Room that serve holds back for what it must go on writing. */
#include "control/serve_internal.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/log.h"
#include "sys/file.h"

#define SPARE_SIZE (UINT64_C(16) << 20)
#define SPARE_STEP (UINT64_C(1) << 20)
#define SPARE_KEEP (UINT64_C(8) << 20)

int serve_disk_look(struct serve *s, struct error *err)
{
	char path[4096];

	s->control_fd = file_open(AT_FDCWD, path_join(path, s->options->home, "control"), O_RDONLY | O_DIRECTORY, 0, err);
	if (s->control_fd < 0)
		return err->kind == ERR_NOT_FOUND ? 0 : -1;	/* who opens the control plane says what is missing */
	s->spare = (struct spare){
		.dirfd = s->control_fd, .name = "reserve", .size = SPARE_SIZE, .step = SPARE_STEP, .keep = SPARE_KEEP,
	};
	spare_look(&s->spare);
	return 0;
}

static void say(const struct serve *s, const char *why)
{
	if (spare_whole(&s->spare))
		log_info("serve.disk", "reserve=%llu whole=true", (unsigned long long)s->spare.held);
	else
		log_warn("serve.disk", "reserve=%llu whole=false why=\"%s\" hint=\"make room in '%s'\"",
			 (unsigned long long)s->spare.held, why, s->options->home);
}

void serve_disk_open(struct serve *s)
{
	spare_refill(&s->spare);
	if (!spare_whole(&s->spare))
		say(s, "the disk is full");
}

bool serve_disk_again(struct serve *s, const struct error *why)
{
	bool whole = spare_whole(&s->spare);

	if (s->control_fd < 0 || !spare_again(&s->spare, why))
		return false;
	if (whole)
		say(s, why->text);
	return true;
}

/* Who is in the middle of a request has no way to ask for a piece: his next attempt finds the one of this second. */
void serve_disk_duty(struct serve *s)
{
	struct error err = ERROR_INIT;
	bool whole = spare_whole(&s->spare);
	uint64_t free_bytes;

	if (file_free_bytes(s->control_fd, &free_bytes, &err) < 0)
		return;
	if (free_bytes < SPARE_STEP)
		(void)spare_give(&s->spare);
	else
		spare_refill(&s->spare);
	if (spare_whole(&s->spare) != whole)
		say(s, "the disk is full");
}
