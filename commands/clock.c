/* A clock that cannot be right. */
#include "commands/clock.h"

#include "base/timefmt.h"

int clock_can_judge(int64_t now_s, struct error *err)
{
	char now[TIME_TEXT_LEN], build[TIME_TEXT_LEN];

	if (now_s >= MESHANICS_BUILD_TIME)
		return 0;
	error_set(err, ERR_RETRY, "the clock says %s, which is before this program was built (%s)", time_text(now, now_s),
		  time_text(build, MESHANICS_BUILD_TIME));
	return error_hint(err, "set the clock: by this one nothing has ever expired");
}
