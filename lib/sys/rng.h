/* Random bytes from the kernel. */
#ifndef MESHANICS_SYS_RNG_H
#define MESHANICS_SYS_RNG_H

#include "base/compiler.h"

void rng_bytes(void *out, size_t n);	/* getrandom(2); ends the process if the kernel has none */
uint32_t rng_below(uint32_t n);		/* uniform in 0..n-1; n > 0 */

#endif
