/*
 * For verbs that are one request to the API (control/door.h): the options that choose the door, and the request.
 */
#ifndef MESHANICS_COMMANDS_REQUEST_H
#define MESHANICS_COMMANDS_REQUEST_H

#include "base/json.h"
#include "commands/command.h"
#include "control/door.h"

#define DOOR_OPTIONS                                                                                          \
	{ .name = "server", .type = OPT_STRING, .value = "URL", .env = true,                                  \
	  .help = "ask the control plane at URL, not this machine's" },                                       \
	{ .name = "token-file", .type = OPT_STRING, .value = "FILE", .env = true,                             \
	  .help = "operator token for --server" },                                                            \
	{ .name = "proxy", .type = OPT_STRING, .value = "URL", .env = true,                                   \
	  .help = "HTTP proxy to reach --server by" }

/* The door that the options name; for verbs with several requests. Close with door_close. */
WARN_UNUSED struct door *request_door(struct cmd *cmd, struct error *err);

/* An answer: JSON text and its tape. Zero-initialise with ANSWER_INIT; release in every case. */
struct answer {
	struct buf text;
	struct json doc;
};
#define ANSWER_INIT ((struct answer){.text = BUF_INIT(64u << 20)})
void answer_release(struct answer *a);
/* The members of the answer. */
struct json_value answer_root(const struct answer *a);

/* One request through d; the answer replaces what a held. body: JSON text or empty. */
WARN_UNUSED int request_through(struct door *d, const char *method, const char *path, struct slice body,
				struct answer *a, struct error *err);
/* Open, ask, close. With --json the answer has been printed as it is: *done says so (may be NULL: never printed). */
WARN_UNUSED int request(struct cmd *cmd, const char *method, const char *path, struct slice body, struct answer *a,
			bool *done, struct error *err);
/* Append "/api/v1/..." with each %s-like part percent-encoded: request_path(&b, "/api/v1/devices/", name, "/tags", NULL);
 * every second part (name) comes from the operator. Returns the text. */
const char *request_path(struct buf *out, const char *literal, ...) __attribute__((sentinel));

#endif
