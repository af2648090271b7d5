/* For verbs that judge what has expired by the clock of this machine. */
#ifndef MESHANICS_COMMANDS_CLOCK_H
#define MESHANICS_COMMANDS_CLOCK_H

#include "base/error.h"

/* ERR_RETRY when now_s is before the program was built: by such a clock nothing has ever expired. */
WARN_UNUSED int clock_can_judge(int64_t now_s, struct error *err);

#endif
