/* The pieces of the sandbox; sandbox.c puts them on in the right order. */
#ifndef MESHANICS_SYS_SANDBOX_INTERNAL_H
#define MESHANICS_SYS_SANDBOX_INTERNAL_H

#include "sys/sandbox.h"

/* A descriptor of the rules that s asks for, as far as version goes; made while the paths can still be reached. */
WARN_UNUSED int landlock_prepare(const struct sandbox *s, unsigned version, struct error *err);
/* Put them on this thread and its children; no_new_privs is set. Does not close. */
WARN_UNUSED int landlock_apply(int ruleset, struct error *err);

/* Put the filter of a profile on all threads; no_new_privs is set. */
WARN_UNUSED int seccomp_apply(enum sandbox_profile profile, struct error *err);

#endif
