/* Places for calls of services on ::1: who gets one when all are taken, and from whom. */
#include "meshlan/proxy_rules.h"

#include <netinet/in.h>

#include "tap.h"

static struct proxy_rules r;
static char owners[100000];	/* names */
static size_t next;

/* As the proxy does it. *lost: the name of who gave one up, -1: nobody. */
static bool take(uint32_t peer, uint8_t protocol, ptrdiff_t *lost)
{
	const struct proxy_rule *victim = NULL;

	*lost = -1;
	if (r.n == PROXY_RULES_MAX) {
		victim = proxy_rules_victim(&r, peer);
		if (victim == NULL)
			return false;
		*lost = (const char *)victim->owner - owners;
		proxy_rules_give_back(&r, victim->owner);
	}
	proxy_rules_take(&r, &owners[next], peer, protocol, next);
	next++;
	return true;
}

static unsigned fill(unsigned members, uint8_t protocol, unsigned each)
{
	unsigned n = 0;
	ptrdiff_t lost;

	for (unsigned i = 0; i < members * each; i++)
		n += take(100 + i % members, protocol, &lost);
	return n;
}

static bool has(size_t name)
{
	for (size_t i = 0; i < PROXY_RULES_MAX; i++)
		if (r.all[i].owner == &owners[name])
			return r.all[i].slot == name;
	return false;
}

TEST(one_member_has_all_while_nobody_else_wants_any)
{
	ptrdiff_t lost;

	CHECK_INT(fill(1, IPPROTO_TCP, 600), PROXY_RULES_MAX);
	CHECK(r.n == PROXY_RULES_MAX && proxy_rules_victim(&r, 100) == NULL);
	/* The other gets half of them, and no more. */
	for (unsigned i = 0; i < PROXY_RULES_MAX / 2; i++)
		CHECK(take(5, IPPROTO_UDP, &lost) && lost >= 0 && lost < PROXY_RULES_MAX);
	CHECK(!take(5, IPPROTO_UDP, &lost));
	CHECK(!take(100, IPPROTO_TCP, &lost));
	/* What is given back is free. */
	proxy_rules_give_back(&r, &owners[0]);
	proxy_rules_give_back(&r, &owners[0]);
	CHECK_INT(r.n, PROXY_RULES_MAX - 1);
	CHECK(take(5, IPPROTO_UDP, &lost) && lost == -1);
}

TEST(however_many_members_there_are_who_has_few_gets_one_and_keeps_it)
{
	static const unsigned members[] = {1, 8, 100, 200};

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		ptrdiff_t lost;
		size_t session;

		r = (struct proxy_rules){.n = 0};
		next = 0;
		session = next;
		CHECK(take(5, IPPROTO_TCP, &lost));
		fill(members[i], i % 2 == 0 ? IPPROTO_UDP : IPPROTO_TCP, 600);
		CHECK(r.n == PROXY_RULES_MAX && has(session));
		CHECK(take(5, IPPROTO_TCP, &lost) && lost > (ptrdiff_t)session);
		CHECK(take(PLANE_SELF, IPPROTO_UDP, &lost) && lost > (ptrdiff_t)session + 1);
		fill(members[i], IPPROTO_UDP, 10);
		CHECK(has(session));
	}
}

TEST(datagrams_give_way_before_connections_and_the_latest_first)
{
	ptrdiff_t lost;

	for (unsigned i = 0; i < PROXY_RULES_MAX; i++)
		CHECK(take(100, i == 10 || i == 20 ? IPPROTO_UDP : IPPROTO_TCP, &lost));
	CHECK(take(5, IPPROTO_TCP, &lost) && lost == 20);
	CHECK(take(6, IPPROTO_TCP, &lost) && lost == 10);
	CHECK(take(7, IPPROTO_TCP, &lost) && lost == PROXY_RULES_MAX - 1);
}

/* More members than places: an old connection stays. */
TEST(of_members_with_one_each_the_latest_gives_way)
{
	ptrdiff_t lost;

	fill(PROXY_RULES_MAX, IPPROTO_TCP, 1);
	CHECK(take(5, IPPROTO_TCP, &lost) && lost == PROXY_RULES_MAX - 1);
	CHECK(take(6, IPPROTO_TCP, &lost) && lost == PROXY_RULES_MAX);
	CHECK(has(0) && !take(6, IPPROTO_TCP, &lost));
}
