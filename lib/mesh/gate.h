/*
 * The filter (filter.h) at its place in the data plane (plane.h): its verdicts about each packet, and the answers
 * to the local kernel where a packet of ours goes nowhere (reject.h). What passed may be redirected (redirect.h).
 */
#ifndef MESHANICS_MESH_GATE_H
#define MESHANICS_MESH_GATE_H

#include "mesh/filter.h"
#include "mesh/plane.h"
#include "mesh/redirect.h"
#include "mesh/reject.h"

struct gate {
	struct plane_scope scope;	/* for plane_new; its `stranger` is the caller's to set */
	struct filter *filter;		/* borrowed */
	struct redirect *redirect;	/* borrowed; set by the caller before plane_start; NULL: nothing is redirected */
	struct plane *plane;		/* set by the caller between plane_new and plane_start */
	int64_t (*now_ms)(void);	/* clock_mono_ms */
	bool (*inject)(struct plane *p, const void *ip, size_t len);	/* plane_inject */
	struct reject_limit limit;	/* tx's */
	_Atomic uint64_t answered;	/* packets of ours that were answered, ever */
};

/* Fills all but plane and redirect. The gate lives as long as the plane, and may not move. */
void gate_init(struct gate *g, struct filter *f, int64_t (*now_ms)(void));

#endif
