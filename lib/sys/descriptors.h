/* How many descriptors this process may have. */
#ifndef MESHANICS_SYS_DESCRIPTORS_H
#define MESHANICS_SYS_DESCRIPTORS_H

#include "base/compiler.h"

/*
 * Raise the soft limit of open descriptors to the hard one, and return what it is then. Nothing here uses select(2),
 * for whose sake the soft one is low.
 */
uint64_t descriptors_raise(void);

#endif
