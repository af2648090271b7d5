/* Running one request: permission, handler, audit row, and a reply whatever happens. */
#include "control/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/audit.h"

#define AUDIT_NOTE_MAX 8192	/* what a handler says: 64 sites in one adoption fit; with a refusal, twice that */

void api_call_init(struct api_call *call)
{
	*call = (struct api_call){
		.status = 200,
		.reply = BUF_INIT(API_REPLY_MAX),
		.audit_detail = BUF_INIT(AUDIT_NOTE_MAX),
		.blob_fd = -1,
		.source_fd = -1,
	};
	call->out = JSON_WRITER(&call->reply);
}

void api_call_release(struct api_call *call)
{
	if (call->prepared != NULL && call->prepared_free != NULL)
		call->prepared_free(call->prepared);
	call->prepared = NULL;
	if (call->blob_fd >= 0)
		close(call->blob_fd);
	if (call->source_fd >= 0)
		close(call->source_fd);
	call->blob_fd = call->source_fd = -1;
	buf_release(&call->reply);
	buf_release(&call->audit_detail);
}

/* The object of an audit row: what the handler set, else the first parameter of the path. */
static const char *audit_object(const struct api_call *call, char out[static 256])
{
	if (call->audit_object[0] != '\0')
		return call->audit_object;
	printable(out, 256, call->params[0]);
	return out;
}

static int audit_success(struct api_call *call, struct error *err)
{
	char object[256];
	struct audit_entry e = {
		.time_s = call->now_s,
		.actor = call->actor->name,
		.action = call->route->action,
		.object = audit_object(call, object),
		.verdict = "ok",
		.detail = buf_slice(&call->audit_detail),
	};

	if (call->audit_detail.failed)
		e.detail = SLICE_EMPTY;
	return audit_append(call->db, &e, err);
}

/* What the handler had to say of the matter before it failed, and why it did. */
static void put_refusal(struct buf *out, const struct buf *said, const struct error *why)
{
	struct json_writer w = JSON_WRITER(out);
	struct json doc = JSON_INIT;
	struct error ignored = ERROR_INIT;
	struct json_iter it;

	json_open_object(&w, NULL);
	if (!said->failed && said->len > 0 && json_parse(&doc, buf_slice(said), JSON_STRICT, &ignored) == 0)
		for (it = json_iter(json_root(&doc)); json_next(&it);)
			json_put_value_key(&w, it.key, it.value);
	json_put_string(&w, "kind", error_kind_name(why->kind));
	json_put_string(&w, "text", why->text);
	json_close(&w);
	json_release(&doc);
}

int api_audit_refusal(struct db *db, const struct api_call *call, const struct error *why, struct error *err)
{
	struct buf detail = BUF_INIT(2 * AUDIT_NOTE_MAX);
	char object[256];
	struct audit_entry e = {
		.time_s = call->now_s,
		.actor = call->actor->name,
		.action = call->route->action,
		.object = audit_object(call, object),
		.verdict = error_exit_status(why->kind) == 3 ? "refused" : "failed",
	};
	int r;

	put_refusal(&detail, &call->audit_detail, why);
	e.detail = buf_slice(&detail);
	r = audit_append(db, &e, err);
	buf_release(&detail);
	return r;
}

/* Operators and local users by their role; a device or a newcomer by the class of the route alone. */
int api_check_permission(const struct api_call *call, struct error *err)
{
	if (call->route->permission == NULL)
		return 0;
	if (call->actor->kind != ACTOR_OPERATOR && call->actor->kind != ACTOR_LOCAL)
		return error_set(err, ERR_DENIED, "%s needs the permission '%s'", call->route->action,
				 call->route->permission);
	return permission_check(call->actor->role, call->route->permission, err);
}

static int run_checked(struct api_call *call, struct error *err)
{
	if (api_check_permission(call, err) < 0 || call->route->handle(call, err) < 0)
		return -1;
	if (call->reply.failed)
		return error_set(err, ERR_LIMIT, "the answer is larger than %u bytes", API_REPLY_MAX);
	if (call->route->mutates && !call->route->own_audit && audit_success(call, err) < 0)
		return error_wrap(err, "cannot write the audit trail");
	return 0;
}

int api_run(struct api_call *call, struct error *err)
{
	if (run_checked(call, err) == 0) {
		if (call->reply.len == 0 && call->content_type == NULL)
			buf_put_str(&call->reply, "{}");
		return 0;
	}
	api_fail(call, err);
	return -1;
}

void api_fail(struct api_call *call, const struct error *err)
{
	buf_clear(&call->reply);
	call->out = JSON_WRITER(&call->reply);
	call->content_type = NULL;
	call->status = api_status_of(api_kind_of(err));
	api_put_error(&call->reply, err);
}
