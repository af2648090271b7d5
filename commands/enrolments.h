/*
 * What the verbs share that answer for a control plane on sticks: the request to the API, and writing with the rights with
 * which the verb was called, although root becomes the owner of the home on the way (sys/latework.h).
 */
#ifndef MESHANICS_COMMANDS_ENROLMENTS_H
#define MESHANICS_COMMANDS_ENROLMENTS_H

#include "bundle/media.h"
#include "commands/identity.h"
#include "sys/latework.h"

/*
 * Body of enroll/sign and enroll/preview: the request, what --root, --host and --tag say, and the rest, where it is not
 * NULL.
 */
WARN_UNUSED int enrolments_body(struct cmd *cmd, struct buf *body, struct slice request, const char *device,
				const char *name_prefix, bool prepared, struct error *err);

/* Where answers go: a stick, or files beside one request. Call enrolments_open before any door is opened. */
struct enrolments {
	struct media *media;	/* or NULL, and */
	const char *dir;	/* this directory */
	mode_t mode;		/* of files there */
	struct latework late;
};
#define ENROLMENTS_INIT ((struct enrolments){.late = LATEWORK_INIT})
/* With media or dir set. e stays where it is. */
WARN_UNUSED int enrolments_open(struct enrolments *e, struct error *err);
/* "NAME.answer" and the like. */
WARN_UNUSED int enrolments_write(struct enrolments *e, const char *name, struct slice content, struct error *err);
void enrolments_close(struct enrolments *e);	/* the media as well */

#define ENROLMENT_HOST_OPTION                                                                         \
	{ .name = "host", .type = OPT_STRING, .value = "HOST",                                        \
	  .help = "where devices find this control plane, should they ever (default: serve's public name)" }

#endif
