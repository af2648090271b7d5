/* What the files behind routes_identity's table share. */
#ifndef MESHANICS_CONTROL_ROUTES_IDENTITY_H
#define MESHANICS_CONTROL_ROUTES_IDENTITY_H

#include "control/api.h"
#include "control/control.h"
#include "fleet/enroll.h"
#include "store/devices.h"

/*
 * The site of this control plane into out: the repository's, before there is one what `ca init` was told.
 * ERR_NOT_FOUND with a hint when neither says.
 */
WARN_UNUSED int identity_site(const struct api_call *call, char out[static NAME_LEN_MAX + 1], struct error *err);
/* What enrolment rests on, borrowed from call and site. ERR_NOT_FOUND before `ca init`. */
WARN_UNUSED int identity_server(const struct api_call *call, char site[static NAME_LEN_MAX + 1],
				struct enroll_server *out, struct error *err);
/* The root file of this version from the repository, which must have this SHA-256. ERR_REFUSED, ERR_NOT_FOUND. */
WARN_UNUSED int identity_root(const struct api_call *call, int64_t version, const uint8_t sha256[static SHA256_LEN],
			      struct buf *out, struct error *err);
/*
 * What is issued carries dates for as long as it lives: only under a clock under which metadata would be signed as well
 * (repo_check_clock). ERR_RETRY with a hint.
 */
WARN_UNUSED int identity_clock(const struct api_call *call, struct error *err);

/* Time as text, or null for 0; a text, or null when it is empty. */
void identity_put_time(struct json_writer *w, const char *name, int64_t t_s);
void identity_put_text(struct json_writer *w, const char *name, const char *text);

void identity_put_base64(struct json_writer *w, const char *name, struct slice bytes);
/* The name under which a device reached us, when it is one of ours; else the first one. NULL when we have none. */
const char *identity_host(const struct control_settings *s, struct slice host);
/* Members of an answer to enrolment or renewal, but for the root; host NULL: without addresses. */
void identity_put_grant(struct json_writer *w, const struct control_settings *s, const struct enroll_server *server,
			const struct enroll_grant *g, const char *host);

/* body.tags, for the device that is to come; none without it. The tags borrow from body. */
WARN_UNUSED int identity_read_tags(struct json_value body, struct slice tags[static DEVICE_TAGS_MAX], size_t *count,
				   struct error *err);

/* ?all=1: a list shall also have what is over. */
bool identity_asks_all(const struct api_call *call);

/* routes_tokens.c */
int identity_get_tokens(struct api_call *call, struct error *err);
int identity_post_token(struct api_call *call, struct error *err);
int identity_delete_token(struct api_call *call, struct error *err);
/* routes_enroll.c: POST /enroll and POST /device/renew (man/meshanics-api.5). */
int identity_enroll(struct api_call *call, struct error *err);
int identity_renew(struct api_call *call, struct error *err);
/* routes_enroll_media.c: requests that came on a stick. */
int identity_sign_enrolment(struct api_call *call, struct error *err);
int identity_preview_enrolment(struct api_call *call, struct error *err);

#endif
