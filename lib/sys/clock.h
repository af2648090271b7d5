/* The clocks. Only the edges (cli, agent, serve) read them and hand the seconds down. */
#ifndef MESHANICS_SYS_CLOCK_H
#define MESHANICS_SYS_CLOCK_H

#include "base/compiler.h"

int64_t clock_now_s(void);	/* wall clock, UTC seconds since the epoch, by the C library (so that faketime reaches it) */
int64_t clock_now_ms(void);
int64_t clock_mono_ms(void);	/* CLOCK_BOOTTIME: counts suspend, never steps */
int64_t clock_mono_us(void);	/* the same in microseconds, for round trips */

#endif
