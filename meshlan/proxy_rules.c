/* Who has the policy rules of calls to ::1. */
#include "meshlan/proxy_rules.h"

#include <netinet/in.h>

static size_t number_of(uint32_t peer)
{
	return peer < PLANE_PEERS_MAX ? peer : PLANE_PEERS_MAX;
}

void proxy_rules_take(struct proxy_rules *r, const void *owner, uint32_t peer, uint8_t protocol, size_t slot)
{
	struct proxy_rule *at = r->all;

	while (at->owner != NULL)
		at++;
	*at = (struct proxy_rule){.owner = owner, .peer = peer, .protocol = protocol, .slot = slot};
	at->number = ++r->next;
	r->of[number_of(peer)]++;
	r->n++;
}

void proxy_rules_give_back(struct proxy_rules *r, const void *owner)
{
	for (size_t i = 0; i < PROXY_RULES_MAX; i++)
		if (r->all[i].owner == owner) {
			r->of[number_of(r->all[i].peer)]--;
			r->all[i].owner = NULL;
			r->n--;
			return;
		}
}

/* Whether a gives way before b. */
static bool sooner(const struct proxy_rules *r, const struct proxy_rule *a, const struct proxy_rule *b)
{
	uint16_t of_a = r->of[number_of(a->peer)], of_b = r->of[number_of(b->peer)];

	if (of_a != of_b)
		return of_a > of_b;
	if (a->protocol != b->protocol)
		return a->protocol == IPPROTO_UDP;
	return a->number > b->number;
}

const struct proxy_rule *proxy_rules_victim(const struct proxy_rules *r, uint32_t peer)
{
	const struct proxy_rule *best = NULL;

	for (size_t i = 0; i < PROXY_RULES_MAX; i++)
		if (r->all[i].owner != NULL && (best == NULL || sooner(r, &r->all[i], best)))
			best = &r->all[i];
	return best != NULL && r->of[number_of(best->peer)] > r->of[number_of(peer)] ? best : NULL;
}
