/* The control socket. */
#include "meshlan/internal.h"

int door_start(struct meshlan *m, struct error *err)
{
	(void)m;
	(void)err;
	return 0;
}

void door_stop(struct meshlan *m)
{
	(void)m;
}
