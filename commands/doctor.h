/* The checks behind `doctor`: each looks at one area and says what it found, and none changes anything. */
#ifndef MESHANICS_COMMANDS_DOCTOR_H
#define MESHANICS_COMMANDS_DOCTOR_H

#include "commands/surface.h"

enum finding_level { FINDING_OK, FINDING_WARNING, FINDING_PROBLEM };

struct finding {
	enum finding_level level;
	const char *area;	/* "home", "repo", ...: a literal */
	char text[512], hint[256];
};

struct doctor {
	struct cmd *cmd;
	const char *home;
	int64_t now_s;
	int64_t within_s;	/* what a person must renew and expires before now + within is a problem */
	struct finding *findings;	/* owned */
	unsigned count;
};

/* hint may be "". */
void doctor_say(struct doctor *d, enum finding_level level, const char *area, const char *hint, const char *fmt, ...)
	PRINTF_LIKE(5, 6);
/* An error as a finding. */
void doctor_error(struct doctor *d, enum finding_level level, const char *area, const struct error *err);
/* "what ... expires": ok, or a problem when it has or will within d->within_s. */
void doctor_expiry(struct doctor *d, const char *area, const char *what, int64_t expires_s, const char *hint);

/* doctor_local.c: what is true of any machine. */
void doctor_system(struct doctor *d);
void doctor_config(struct doctor *d);
void doctor_home(struct doctor *d);
void doctor_key_directory(struct doctor *d, const char *name);	/* below the home, as its owner */
void doctor_agent(struct doctor *d);

/* doctor_control.c: the control plane's files. Root becomes their owner for good: these come last. */
void doctor_control(struct doctor *d);

#endif
