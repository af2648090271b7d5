/*
 * The device process. Two halves from the start, of one program:
 *
 *	supervisor (root)                                     worker (no rights, sandbox)
 *	  state, anchor, marks, floor, artifacts/               TLS, HTTP, work/
 *	  decides, verifies again, applies, probes   <-link->   fetches and says what it got (agent/link.h)
 *
 * The supervisor opens no network socket but those of probes; the worker opens no file but in work/. Nothing
 * listens but agent/control.sock, for root.
 */
#ifndef MESHANICS_AGENT_AGENT_H
#define MESHANICS_AGENT_AGENT_H

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

#define AGENT_EXIT_WIPED 86	/* decommissioned by order: the unit treats it as final */

/* The byte budget of downloads: its least, and its window's least, most and default. */
#define BUDGET_MIN (INT64_C(1) << 20)
#define BUDGET_WINDOW_MIN_S 1
#define BUDGET_WINDOW_MAX_S (INT64_C(366) * 86400)
#define BUDGET_WINDOW_S 86400

struct agent_options {
	const char *home;		/* of meshanics; the agent lives in HOME/agent */
	const char *proxy;		/* HTTP CONNECT proxy URL for the worker, or NULL */
	const char *worker_user;	/* whom the worker becomes when we are root; NULL: "meshanics-agent", else nobody */
	uint64_t download_budget;	/* bytes that downloads may take in a window; 0: as many as they are */
	int64_t download_window_s;	/* with a budget: above 0 */
	uint64_t download_rate;		/* bytes per second that a payload may take; 0: as fast as it goes */
	bool alone;			/* say nothing to any server, and begin nothing that one has asked for */
	const char *notify_socket;	/* NOTIFY_SOCKET, or NULL */
	int64_t watchdog_ms;		/* 0: never */
};

/*
 * Run until SIGTERM or SIGINT. *wiped is set when an order made the device leave: HOME/agent is gone then.
 * ERR_NOT_FOUND when not enrolled, ERR_RETRY when another agent runs.
 */
WARN_UNUSED int agent_run(const struct agent_options *options, bool *wiped, struct error *err);

struct agent_enroll_options {
	const char *home;
	const char *token;		/* "mtk1..." */
	const char *root_path;		/* the root file, when it is at hand; NULL: from the server, pinned by the token */
	const char *name;		/* a host name to suggest, or NULL: this machine's */
	const char *proxy;
	int64_t now_s;
};
/*
 * First contact: make a key, ask for a certificate, check the anchor against the token, store all of it. Answers on
 * out: {"device","site","not_after"}. ERR_CONFLICT when enrolled already (as another name).
 */
WARN_UNUSED int agent_enroll(const struct agent_enroll_options *options, struct buf *out, struct error *err);

/* ---- without a network (man/meshanics-media.5) ---- */

struct agent_request_options {
	const char *home;
	const char *media;		/* the root of a stick */
	const char *name;		/* to suggest, and for the file; NULL: this machine's host name */
	const char *root_path;		/* the root that the answer must bring; NULL: said when it is taken */
	int64_t now_s;
};
/*
 * Write a request to the stick: to enrol, or by a device that is enrolled to renew, which disturbs no running agent. The
 * same request again while it is the same key, name and root. Answers on out: {"kind","file","key","device","root_version"}.
 * ERR_CONFLICT, ERR_USAGE (no name for a file), and what media.h says.
 */
WARN_UNUSED int agent_request(const struct agent_request_options *options, struct buf *out, struct error *err);

struct agent_answer_options {
	const char *home;
	const char *media;		/* the stick with the answer; or NULL and */
	struct slice identity;		/* a whole identity, opened */
	bool vouched;			/* its passphrase says that its root is the right one */
	const char *root_path;		/* the root to trust, or NULL */
	const char *root_sha256;	/* its SHA-256 in hex, or NULL */
	/* Asked when nothing says which root to trust: 0 is the only yes. NULL: nobody to ask. */
	int (*confirm)(void *arg, const char *site, int64_t root_version, const char *sha256_hex, struct error *err);
	void *confirm_arg;
	int64_t now_s;
};
/*
 * Take the answer that lies on the stick, or the identity. Out as agent_enroll says. ERR_NOT_FOUND (no request was made, no
 * answer is there), ERR_REFUSED (another request's, another root, not signed by the site; no root is pinned), ERR_RETRY (an
 * agent runs).
 */
WARN_UNUSED int agent_take_answer(const struct agent_answer_options *options, struct buf *out, struct error *err);

/* What the running agent says of itself, as JSON; ERR_RETRY when none runs. */
WARN_UNUSED int agent_status(const char *home, struct buf *out, struct error *err);

/*
 * A bundle in the hands of the agent (man/meshanics-agent.1, APPLYING BUNDLES): the one that runs, or one that is started
 * for this alone, says nothing to any server, and ends with agent_hand_close.
 */
struct agent_hand;
struct agent_hand_options {
	const char *home;
	const char *worker_user;	/* as in agent_options */
	const char *const *paths;	/* of the bundle, or of volumes; those that follow beside a volume are found */
	unsigned path_count;
	const int *fds;			/* the same, open for reading; paths are only what they are called then. NULL: none */
	const char *const *artifacts;	/* NAMESPACE/NAME/VERSION; none: all that fit this device */
	unsigned artifact_count;
	bool dry_run;			/* verify it, payloads too, and say what would be applied */
	bool look;			/* verify manifest and metadata alone */
};
/* Open the files and hand them over. NULL: a file cannot be opened, no agent can be had, or it has no time (ERR_RETRY). */
WARN_UNUSED struct agent_hand *agent_hand_open(const struct agent_hand_options *options, struct error *err);
/* Append what has become of it so far, as JSON. ERR_RETRY when the agent has gone, or has another bundle by now. */
WARN_UNUSED int agent_hand_poll(struct agent_hand *h, struct buf *out, struct error *err);
bool agent_hand_is_alone(const struct agent_hand *h);	/* the agent is one for this alone: do not close it too early */
void agent_hand_close(struct agent_hand *h);	/* NULL is fine */

#define AGENT_ALLOW_PATH "/etc/meshanics/allow.yaml"
/*
 * Does device policy (man/meshanics-allow.5) let the bundles on the medium mounted at dir be applied? label: the medium's;
 * NULL: the one that udev has found. 0; ERR_REFUSED; ERR_USAGE: the policy is wrong.
 */
WARN_UNUSED int agent_allows_media(const char *policy, const char *dir, const char *label, struct error *err);

#endif
