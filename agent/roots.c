/*
 * A way out for a device whose floor was poisoned. Whoever stole the timestamp key can sign a time far ahead; it becomes
 * the floor, up to the end of the trusted root, and by that time every server certificate has ended: the device API is out
 * of reach, and with it every order to update. The cure is a root with another timestamp key. It is in the repository, whose
 * connection is judged by the system clock alone, since all that comes from there is verified by itself. So when no
 * server answers while the floor is ahead of the clock, the metadata is asked for without any update to make.
 */
#include "agent/local.h"
#include "agent/supervisor.h"
#include "base/log.h"
#include "sys/clock.h"

static int64_t floor_of(const struct agent *a)
{
	struct error ignored = ERROR_INIT;
	int64_t floor_s = 0;

	return trusted_floor(&a->trusted, &floor_s, &ignored) == 0 ? floor_s : 0;
}

void roots_look(struct agent *a)
{
	int64_t floor_s = floor_of(a);
	struct error err = ERROR_INIT;

	if (a->worker_pid <= 0 || a->update.assignment != 0 || link_busy(&a->transfer) || local_busy(a) ||
	    a->options->alone)
		return;
	if (budget_left(&a->budget, clock_mono_ms()) == 0)
		return;
	if (floor_s <= clock_now_s() || floor_s <= MESHANICS_BUILD_TIME)
		return;
	if (update_ask_metadata(a, TRANSFER_ROOTS, "", &err) < 0)
		log_failure(LOG_LEVEL_WARN, "agent.roots", &err);
}

void roots_answer(struct agent *a, const struct link_msg *m, const struct error *why)
{
	int64_t former_s = floor_of(a);
	struct error err = ERROR_INIT;

	if (m == NULL) {
		log_warn("agent.roots", "why=\"%s\"", why->text);
	} else if (verify_fetched(a, m->fd, "", &err) < 0) {
		log_failure(LOG_LEVEL_WARN, "agent.roots", &err);
	} else if (floor_of(a) < former_s) {
		log_warn("agent.roots", "floor=dropped why=\"a new root has changed the timestamp key\"");
		talk_now(a);
	}
	/* An offer may have come meanwhile, which found the link busy. */
	update_step(a);
}
