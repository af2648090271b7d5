/* Errors as HTTP answers, and back. */
#include "control/api.h"

#include <errno.h>

enum error_kind api_kind_of(const struct error *err)
{
	if (err->kind != ERR_FAILED)
		return err->kind;
	switch (err->sys_errno) {
	case ENOSPC:
	case EDQUOT:
	case EROFS:
	case EIO:
	case EMFILE:
	case ENFILE:
		return ERR_RETRY;
	default:
		return ERR_FAILED;
	}
}

unsigned api_status_of(enum error_kind kind)
{
	switch (kind) {
	case ERR_NONE:
		return 200;
	case ERR_USAGE:
	case ERR_MALFORMED:
		return 400;
	case ERR_DENIED:
		return 403;
	case ERR_NOT_FOUND:
		return 404;
	case ERR_CONFLICT:
		return 409;
	case ERR_LIMIT:
		return 413;
	case ERR_REFUSED:
		return 422;
	case ERR_RETRY:
		return 503;
	case ERR_FAILED:
		break;
	}
	return 500;
}

void api_put_error(struct buf *out, const struct error *err)
{
	struct json_writer w = JSON_WRITER(out);

	json_open_object(&w, NULL);
	json_open_object(&w, "error");
	json_put_string(&w, "kind", error_kind_name(api_kind_of(err)));
	json_put_string(&w, "text", err->text);
	if (err->hint[0] != '\0')
		json_put_string(&w, "hint", err->hint);
	json_close(&w);
	json_close(&w);
}

/* What a status means when the body does not say: a proxy's page, or another server altogether. */
static enum error_kind kind_of_status(unsigned status)
{
	switch (status) {
	case 400:
		return ERR_MALFORMED;
	case 401:
	case 403:
		return ERR_DENIED;
	case 404:
	case 410:
		return ERR_NOT_FOUND;
	case 409:
		return ERR_CONFLICT;
	case 413:
		return ERR_LIMIT;
	case 408:
	case 425:
	case 429:
		return ERR_RETRY;
	default:
		break;
	}
	return status >= 500 ? ERR_RETRY : ERR_REFUSED;
}

static enum error_kind kind_by_name(struct slice name, enum error_kind fallback)
{
	int k;

	for (k = ERR_FAILED; k <= ERR_RETRY; k++)
		if (slice_equal_str(name, error_kind_name((enum error_kind)k)))
			return (enum error_kind)k;
	return fallback;
}

int api_read_error(unsigned status, struct slice body, struct error *err)
{
	struct error ignored = ERROR_INIT;
	struct json doc = JSON_INIT;
	struct json_value e;
	struct slice kind = SLICE_EMPTY, text = SLICE_EMPTY, hint = SLICE_EMPTY;

	if (body.len > 0 && json_parse(&doc, body, JSON_STRICT, &ignored) == 0 &&
	    json_need_object(json_root(&doc), "error", &e, &ignored) == 0 &&
	    json_need_string(e, "kind", &kind, &ignored) == 0 &&
	    json_need_string(e, "text", &text, &ignored) == 0 &&
	    json_opt_string(e, "hint", &hint, &ignored) == 0) {
		error_set(err, kind_by_name(kind, kind_of_status(status)), "%.*s", SLICE_ARG(text));
		if (hint.len > 0)
			error_hint(err, "%.*s", SLICE_ARG(hint));
	} else {
		error_set(err, kind_of_status(status), "the server answered with HTTP status %u", status);
	}
	json_release(&doc);
	return -1;
}
