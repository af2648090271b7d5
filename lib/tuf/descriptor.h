/*
 * The descriptor: what a device is told about an artifact (man/meshanics-descriptor.5). It is the value of
 * custom.meshanics of the signed target, so everything that is interpreted is signed. Strict: unknown
 * members, kinds and probe types are refused, never skipped.
 *
 * Limits: DESCRIPTOR_SIZE_MAX bytes of canonical JSON; the counts below; strings 1 to 255 printable bytes
 * unless said otherwise.
 */
#ifndef MESHANICS_TUF_DESCRIPTOR_H
#define MESHANICS_TUF_DESCRIPTOR_H

#include "base/json.h"
#include "base/name.h"

#define DESCRIPTOR_FORMAT 1
#define DESCRIPTOR_SIZE_MAX (256u << 10)
#define DESCRIPTOR_NOTE_MAX 1024
#define DESCRIPTOR_MODE_DEFAULT 0644
#define DESCRIPTOR_RELEASE_MAX INT64_C(9007199254740991)	/* 2^53 - 1: exact in every JSON reader */
#define DESCRIPTOR_LIST_MAX 32		/* entries of one compatibility list */
#define DESCRIPTOR_PROBES_MAX 16
#define DESCRIPTOR_ARGV_MAX 32
#define DESCRIPTOR_STRING_MAX 255
#define PROBE_TIMEOUT_MAX_S 300
#define PROBE_ATTEMPTS_MAX 10
#define PROBE_DELAY_MAX_S 3600

enum payload_kind { PAYLOAD_FILE = 1, PAYLOAD_MODEL, PAYLOAD_CONFIG, PAYLOAD_CONTAINER, PAYLOAD_AGENT };
enum probe_type { PROBE_HTTP = 1, PROBE_TCP, PROBE_FILE, PROBE_EXEC };

/* A list of strings; owned by its descriptor. */
struct text_list {
	char **items;
	unsigned count;
};

struct probe {
	enum probe_type type;
	char *target;		/* http: URL; tcp: HOST:PORT; file: absolute path; exec: NULL */
	struct text_list argv;	/* exec: absolute program and its arguments; else empty */
	int64_t timeout_s;	/* 1..300, of one attempt */
	int64_t attempts;	/* 1..10 */
	int64_t delay_s;	/* 0..3600, before the first attempt and between attempts */
};

/* What a device must be; an empty list or 0 asks nothing. */
struct compatibility {
	struct text_list arch;		/* "amd64", "arm64", "armhf", ...: any of these */
	struct text_list os;		/* ID or ID-VERSION_ID of os-release(5): "debian", "debian-12" */
	struct text_list model;		/* hardware model words of the device's profile */
	struct text_list accelerator;	/* all of these must be there */
	int64_t memory_min;		/* bytes */
	char *agent_min;		/* lowest agent version, "1.2.3"; or NULL */
};

struct placement {
	/* file, model */
	char *filename;		/* name in the version directory; NULL: the artifact's name */
	uint32_t mode;		/* permission bits, at most 0777; default 0644. Also config */
	/* config */
	char *destination;	/* absolute path without "." or ".." parts */
	char *owner, *group;	/* names, or NULL: root */
	char *reload_unit;	/* systemd unit to reload, or NULL */
	struct text_list reload_argv;	/* or a program to run; at most one of both */
	/* container */
	char *image;		/* "sha256:" and 64 hex digits */
	char *restart;		/* "no", "on-failure", "always" */
	char *network;		/* "none", "bridge", "host" */
};

struct descriptor {
	enum payload_kind kind;
	int64_t release;		/* 1..DESCRIPTOR_RELEASE_MAX; a device never goes back below the highest it ran */
	int64_t downgrade_from;		/* 0: none; else must equal the device's mark, and is above release */
	char *note;			/* for people, up to 1024 printable bytes, or NULL */
	struct compatibility compat;
	struct placement placement;
	struct probe *probes;
	unsigned probe_count;
};

/*
 * Read v (the value of custom.meshanics) into d, which is overwritten and then owned by the caller.
 * -1: ERR_MALFORMED or ERR_LIMIT naming the member; ERR_REFUSED for a kind, probe type or format version
 * of a newer program. On failure d is released.
 */
WARN_UNUSED int descriptor_parse(struct descriptor *d, struct json_value v, struct error *err);
/* The same from text, which may be at most DESCRIPTOR_SIZE_MAX bytes. */
WARN_UNUSED int descriptor_parse_text(struct descriptor *d, struct slice text, struct error *err);
/* The descriptor of a TUF target object ({length, hashes, custom}); ERR_NOT_FOUND when it carries none. */
WARN_UNUSED int descriptor_of_target(struct descriptor *d, struct json_value target, struct error *err);
/* Write d as an object, member `name` of w (NULL: at the top or in an array). Parses back to an equal one. */
void descriptor_put(struct json_writer *w, const char *name, const struct descriptor *d);
/* d's own rules (ranges, what a kind may carry), for descriptors made by hand and not parsed. */
WARN_UNUSED int descriptor_check(const struct descriptor *d, struct error *err);
void descriptor_release(struct descriptor *d);	/* safe on a zeroed or released one */

/* A device as compatibility sees it; all borrowed, NULL or 0: unknown, which matches no demand. */
struct device_profile {
	const char *arch, *os_id, *os_version_id, *model;
	const char *const *accelerators;
	unsigned accelerator_count;
	int64_t memory;		/* bytes */
	const char *agent_version;
};
/* 0 when the device may run it, else ERR_REFUSED naming the first demand that is not met. */
WARN_UNUSED int descriptor_check_device(const struct descriptor *d, const struct device_profile *p,
					struct error *err);
/*
 * May a device whose highest release of this name so far is `mark` (0: none) run d? 0, and *mark_after is the
 * mark to persist once it runs; or ERR_REFUSED (a lower release without a fitting downgrade_from).
 */
WARN_UNUSED int descriptor_check_release(const struct descriptor *d, int64_t mark, int64_t *mark_after,
					 struct error *err);

const char *payload_kind_name(enum payload_kind kind);
/* 0 when unknown. */
enum payload_kind payload_kind_by_name(struct slice name);
const char *probe_type_name(enum probe_type type);
enum probe_type probe_type_by_name(struct slice name);	/* 0 when unknown */
/* Add a copy of s; for those who build a descriptor. */
void text_list_add(struct text_list *l, const char *s);

#endif
