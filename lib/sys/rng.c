/* Random bytes from the kernel's pool: no state of our own that a fork could double. */
#include "sys/rng.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

void rng_bytes(void *out, size_t n)
{
	static const char msg[] = "meshanics: the kernel gives no random bytes\n";
	uint8_t *p = out;
	ssize_t r;

	while (n > 0) {
		r = getrandom(p, n, 0);
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0) {
			r = write(STDERR_FILENO, msg, sizeof(msg) - 1);
			(void)r;
			abort(); /* a key made without randomness is worse than none */
		}
		p += r;
		n -= (size_t)r;
	}
}

uint32_t rng_below(uint32_t n)
{
	uint32_t v, floor = -n % n; /* 2^32 mod n: values below it would favour small results */

	do {
		rng_bytes(&v, sizeof(v));
	} while (v < floor);
	return v % n;
}
