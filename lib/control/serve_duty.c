/* What serve does by itself: sign what is due, keep its own certificate fresh, flush last-seen. */
#include "control/serve_internal.h"

#include "base/log.h"
#include "fleet/backup.h"
#include "store/audit.h"
#include "store/lastseen.h"
#include "tuf/repo.h"

#define SIGN_LOOK_S 10

/* Of one kind of trouble, a line when it begins and a line when it ends; not one a second. */
struct trouble {
	const char *event;
	bool now;
};

static void trouble_set(struct trouble *t, int result, const struct error *err)
{
	if (result < 0 && !t->now)
		log_failure(LOG_LEVEL_ERROR, t->event, err);
	else if (result == 0 && t->now)
		log_info(t->event, "over=true");
	t->now = result < 0;
}

struct sign_job {
	struct control *control;
	int64_t now_s;
	int64_t due_s;	/* of the next signature */
	struct repo_resigned done;
};

/* On the writer, which owns the repository. */
static int sign_run(struct db *db, void *arg, struct error *err)
{
	struct sign_job *j = arg;
	struct audit_entry e = {.time_s = j->now_s, .actor = "serve", .action = "repository.sign", .object = "snapshot",
				.verdict = "ok"};

	if (restored_check(db, j->control->repo, j->now_s, err) < 0 ||
	    repo_resign(j->control->repo, j->now_s, REPO_SOME, 0, &j->done, err) < 0)
		return -1;
	j->due_s = repo_due(j->control->repo);
	/* A timestamp every few hours is routine; a new snapshot or publisher file is worth a row. */
	return j->done.snapshot || j->done.publishers + j->done.bins > 0 ? audit_append(db, &e, err) : 0;
}

static void duty_sign(struct serve *s, int64_t now_s)
{
	static struct trouble trouble = {.event = "serve.sign"};
	struct sign_job j = {.control = s->control, .now_s = now_s};
	struct error err = ERROR_INIT;
	int r;

	if (now_s < s->sign_due_s)
		return;
	do {
		r = writer_call(s->writer, sign_run, &j, &err);
	} while (r < 0 && serve_disk_again(s, &err));
	trouble_set(&trouble, r, &err);
	if (r == 0 && (j.done.snapshot || j.done.timestamp || j.done.publishers + j.done.bins > 0))
		log_info("serve.signed", "snapshot=%d timestamp=%d publishers=%u bins=%u", j.done.snapshot,
			 j.done.timestamp, j.done.publishers, j.done.bins);
	/* Look often: a new root may have shortened the lives, a failure (a jumped clock) may be over. */
	s->sign_due_s = r == 0 && j.due_s < now_s + SIGN_LOOK_S ? j.due_s : now_s + SIGN_LOOK_S;
}

static void duty_identity(struct serve *s, int64_t now_s)
{
	static struct trouble trouble = {.event = "serve.certificate"};
	struct error err = ERROR_INIT;
	unsigned i;
	int r;

	if (now_s < s->identity_renew_s)
		return;
	r = serve_make_tls(s, now_s, &err);
	trouble_set(&trouble, r, &err);
	if (r < 0) {
		s->identity_renew_s = now_s + 60;
		return;
	}
	for (i = 0; i < s->loop_count; i++)
		serve_loop_retls(&s->loops[i]);
	log_info("serve.certificate", "renewed=true");
}

static void duty_lastseen(struct serve *s)
{
	static struct trouble trouble = {.event = "serve.lastseen"};
	struct error err = ERROR_INIT;

	int r;

	do {
		r = lastseen_flush(s->control->lastseen, s->writer, &err);
	} while (r < 0 && serve_disk_again(s, &err));
	trouble_set(&trouble, r, &err);
}

void serve_duties(struct serve *s, int64_t now_s)
{
	serve_disk_duty(s);
	duty_identity(s, now_s);
	duty_sign(s, now_s);
	duty_lastseen(s);
}
