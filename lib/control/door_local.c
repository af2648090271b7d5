/* The in-process door: one request, one transaction, on files that this process has locked. */
#include "control/door_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "control/api.h"
#include "control/control.h"
#include "db/db.h"
#include "store/writer.h"

struct local_call {
	struct api_call call;
	struct error err;	/* of the handler, while the transaction goes on for the audit row */
	bool failed;
};

/* The handler in its savepoint; a refusal is undone and audited in the same transaction. */
static int local_job(struct db *db, void *arg, struct error *err)
{
	struct local_call *l = arg;

	l->call.db = db;
	if (db_savepoint(db, err) < 0)
		return -1;
	if (api_run(&l->call, &l->err) == 0)
		return db_savepoint_keep(db, err);
	l->failed = true;
	db_savepoint_undo(db);
	if (l->call.route->mutates && !l->call.route->own_audit)
		return api_audit_refusal(db, &l->call, &l->err, err);
	return 0;
}

static int local_run(struct control *c, struct local_call *l, struct buf *reply, struct error *err)
{
	if (l->call.route->prepare != NULL && l->call.route->prepare(&l->call, err) < 0)
		return -1;
	if (db_transact(c->db, local_job, l, err) < 0)
		return -1;
	if (l->failed) {
		*err = l->err;
		return -1;
	}
	if (l->call.status >= 300)
		return api_read_error(l->call.status, buf_slice(&l->call.reply), err);
	buf_put_slice(reply, buf_slice(&l->call.reply));
	if (reply->failed)
		return error_set(err, ERR_LIMIT, "the answer is larger than %zu bytes", reply->max);
	return 0;
}

int door_local_call(struct control *c, const char *method, const char *path, struct slice body, int source_fd,
		    int64_t now_s, struct buf *reply, struct error *err)
{
	struct api_actor actor = {.kind = ACTOR_LOCAL, .role = ROLE_ADMIN};
	struct buf decoded = BUF_INIT(2 * API_PATH_MAX);
	struct slice whole = slice_str(path);
	size_t question = slice_find(whole, '?', 0);
	struct json doc = JSON_INIT;
	struct local_call l = {.err = ERROR_INIT};
	int r = -1;

	snprintf(actor.name, sizeof(actor.name), "local:%u", (unsigned)getuid());
	api_call_init(&l.call);
	l.call.actor = &actor;
	l.call.control = c;
	l.call.now_s = now_s;
	if (question != SIZE_MAX)
		l.call.query = slice_sub(whole, question + 1, SIZE_MAX);
	if (source_fd >= 0 && (l.call.source_fd = fcntl(source_fd, F_DUPFD_CLOEXEC, 0)) < 0) {
		error_set(err, ERR_FAILED, "too many open files");
		goto out;
	}
	if (body.len > 0) {
		if (json_parse(&doc, body, JSON_FRACTIONS, err) < 0)
			goto out;
		l.call.body = json_root(&doc);
	}
	l.call.route = api_route_find(API_OPERATOR, slice_str(method), slice_sub(whole, 0, question), &decoded,
				      l.call.params, err);
	if (l.call.route != NULL)
		r = local_run(c, &l, reply, err);
out:
	api_call_release(&l.call);
	json_release(&doc);
	buf_release(&decoded);
	return r;
}
