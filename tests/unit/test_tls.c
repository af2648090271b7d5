/* TLS between two engines in memory: who is let in, who is not, and in which words. */
#include "tap.h"

#include "net/tls_internal.h"
#include "tls_fixture.h"

static struct fixture f;
static struct tls *server, *client;
static struct error server_err, client_err;
static struct tls_buffers *buffers;	/* of the server; NULL: its own */

/* Carry bytes both ways until nothing moves. flip > 0: invert a bit of that byte towards the server. */
static void pump_flipping(size_t flip)
{
	bool moved = true;
	size_t carried = 0;

	while (moved) {
		struct tls *ends[2] = {client, server};
		int i;

		moved = false;
		for (i = 0; i < 2; i++) {
			struct slice out = tls_output(ends[i]);
			size_t room, n;
			uint8_t *in = tls_input(ends[1 - i], &room);

			n = out.len < room ? out.len : room;
			if (in == NULL || n == 0)
				continue;
			memcpy(in, out.ptr, n);
			if (i == 0 && flip > carried && flip <= carried + n)
				in[flip - carried - 1] ^= 1;
			if (i == 0)
				carried += n;
			tls_sent(ends[i], n);
			tls_received(ends[1 - i], n);
			moved = true;
		}
	}
}

static void connect_at(struct tls_config *sc, struct tls_config *cc, const char *host, int64_t server_now, int64_t client_now,
		       const struct tls_session *resume)
{
	struct error err = ERROR_INIT;

	tls_free(server);
	tls_free(client);
	server = tls_accept(sc, server_now, buffers);
	client = tls_connect(cc, host, client_now, resume, &err);
	REQUIRE(client != NULL);
	pump_flipping(0);
	/* Who failed closes its end of the wire. */
	if (tls_wants(server) & TLS_CLOSED)
		tls_eof(client);
	if (tls_wants(client) & TLS_CLOSED)
		tls_eof(server);
	server_err = client_err = ERROR_INIT;
}

static void connect_now(struct tls_config *sc, struct tls_config *cc, const char *host)
{
	connect_at(sc, cc, host, T0, T0, NULL);
}

static bool both_up(void)
{
	return tls_established(server) && tls_established(client);
}

/* One end failed, of this kind, in words that contain these. */
static bool failed(const struct tls *t, enum error_kind kind, const char *words)
{
	struct error err = ERROR_INIT;

	if (!(tls_wants(t) & TLS_CLOSED) || tls_failure(t, &err) == 0) {
		printf("# did not fail\n");
		return false;
	}
	if (err.kind == kind && strstr(err.text, words) != NULL)
		return true;
	printf("# %s: %s\n", error_kind_name(err.kind), err.text);
	return false;
}

static void write_text(struct tls *t, const char *text)
{
	size_t room, n = strlen(text);
	uint8_t *p = tls_room(t, &room);

	REQUIRE(p != NULL && room >= n);
	memcpy(p, text, n);
	tls_written(t, n);
	tls_flush(t);
}

static bool reads(struct tls *t, const char *text)
{
	struct slice data = tls_data(t);
	bool ok = slice_equal_str(data, text);

	tls_consumed(t, data.len);
	return ok;
}

static void done(struct tls_config *a, struct tls_config *b)
{
	tls_free(server);
	tls_free(client);
	server = client = NULL;
	tls_config_free(a);
	tls_config_free(b);
	fixture_free(&f);
}

TEST(data_flows_both_ways_and_ends_in_order)
{
	struct tls_config *sc, *cc;
	struct error err = ERROR_INIT;

	f = fixture_make();
	sc = server_config(&f.server, &f.server_ca, TLS_CLIENT_NONE, NULL, false, 0);
	cc = client_config(NULL, &f.server_ca);
	connect_now(sc, cc, "control.example");
	REQUIRE(both_up());
	CHECK(!tls_peer(server)->present);
	CHECK(tls_peer(client)->present && tls_peer(client)->not_after_s == T0 + 90 * DAY);
	CHECK(slice_equal(tls_peer_leaf(client), buf_slice(&f.server.der)));
	write_text(client, "ping");
	pump_flipping(0);
	CHECK(reads(server, "ping"));
	write_text(server, "pong");
	pump_flipping(0);
	CHECK(reads(client, "pong"));
	tls_close(client);
	pump_flipping(0);
	CHECK((tls_wants(server) & TLS_CLOSED) && tls_failure(server, &err) == 0);
	CHECK((tls_wants(client) & TLS_CLOSED) && tls_failure(client, &err) == 0);
	done(sc, cc);
}

/* A server that knows no other curve: the client, which would rather have X25519, follows. */
TEST(keys_are_exchanged_on_p256_as_well)
{
	static br_ec_impl p256_alone;
	struct tls_config *sc, *cc;
	struct error err = ERROR_INIT;

	p256_alone = tls_curves;
	p256_alone.supported_curves = 1u << BR_EC_secp256r1;
	f = fixture_make();
	sc = server_config(&f.server, &f.server_ca, TLS_CLIENT_REQUIRED, &f.device_ca, false, 0);
	cc = client_config(&f.device, &f.server_ca);
	server = tls_accept(sc, T0, NULL);
	br_ssl_engine_set_ec(server->eng, &p256_alone);
	client = tls_connect(cc, "control.example", T0, NULL, &err);
	REQUIRE(client != NULL);
	pump_flipping(0);
	REQUIRE(both_up());
	CHECK_INT(br_ssl_engine_get_ecdhe_curve(client->eng), BR_EC_secp256r1);
	write_text(client, "ping");
	pump_flipping(0);
	CHECK(reads(server, "ping"));
	done(sc, cc);
}

TEST(a_cut_is_not_an_end)
{
	struct tls_config *sc, *cc;

	f = fixture_make();
	sc = server_config(&f.server, &f.server_ca, TLS_CLIENT_NONE, NULL, false, 0);
	cc = client_config(NULL, &f.server_ca);
	connect_now(sc, cc, "control.example");
	REQUIRE(both_up());
	tls_eof(client);
	CHECK(failed(client, ERR_RETRY, "cut"));
	done(sc, cc);
}

TEST(an_altered_record_is_refused)
{
	struct tls_config *sc, *cc;

	f = fixture_make();
	sc = server_config(&f.server, &f.server_ca, TLS_CLIENT_NONE, NULL, false, 0);
	cc = client_config(NULL, &f.server_ca);
	connect_now(sc, cc, "control.example");
	REQUIRE(both_up());
	write_text(client, "ping");
	pump_flipping(20);
	CHECK(tls_data(server).len == 0);
	CHECK(failed(server, ERR_REFUSED, "altered"));
	done(sc, cc);
}

TEST(the_server_must_be_who_was_asked_for)
{
	struct cert by_ip, by_ip6, no_name;
	struct tls_config *sc, *cc, *ip, *ip6, *none;
	struct error err = ERROR_INIT;

	f = fixture_make();
	by_ip = cert_make("control", &f.server_ca, X509_EKU_SERVER, "192.0.2.7", T0 - DAY, T0 + DAY);
	by_ip6 = cert_make("control", &f.server_ca, X509_EKU_SERVER, "2001:db8::7", T0 - DAY, T0 + DAY);
	no_name = cert_make("control.example", &f.server_ca, X509_EKU_SERVER, NULL, T0 - DAY, T0 + DAY);
	sc = server_config(&f.server, &f.server_ca, TLS_CLIENT_NONE, NULL, false, 0);
	ip = server_config(&by_ip, &f.server_ca, TLS_CLIENT_NONE, NULL, false, 0);
	ip6 = server_config(&by_ip6, &f.server_ca, TLS_CLIENT_NONE, NULL, false, 0);
	none = server_config(&no_name, &f.server_ca, TLS_CLIENT_NONE, NULL, false, 0);
	cc = client_config(NULL, &f.server_ca);
	connect_now(sc, cc, "CONTROL.example");
	CHECK(both_up());
	connect_now(ip, cc, "192.0.2.7");
	CHECK(both_up());
	connect_now(ip6, cc, "2001:DB8:0::7");
	CHECK(both_up());
	connect_now(sc, cc, "other.example");
	CHECK(failed(client, ERR_REFUSED, "control.example"));
	connect_now(sc, cc, "sub.control.example");
	CHECK(failed(client, ERR_REFUSED, "control.example"));
	connect_now(sc, cc, "192.0.2.7");
	CHECK(failed(client, ERR_REFUSED, ""));
	connect_now(ip, cc, "192.0.2.8");
	CHECK(failed(client, ERR_REFUSED, "192.0.2.7"));
	connect_now(ip, cc, "control.example");
	CHECK(failed(client, ERR_REFUSED, ""));
	connect_now(none, cc, "control.example");	/* a common name is no name */
	CHECK(failed(client, ERR_REFUSED, ""));
	CHECK(tls_connect(cc, "not a host", T0, NULL, &err) == NULL && err.kind == ERR_USAGE);
	cert_free(&by_ip);
	cert_free(&by_ip6);
	cert_free(&no_name);
	tls_config_free(ip);
	tls_config_free(ip6);
	tls_config_free(none);
	done(sc, cc);
}

TEST(the_servers_ca_must_be_trusted)
{
	struct cert rogue_ca, rogue;
	struct tls_config *sc, *cc, *twin;

	f = fixture_make();
	/* The same name, another key. */
	rogue_ca = cert_make("server CA", NULL, 0, NULL, T0 - DAY, T0 + DAY);
	rogue = cert_make("control", &rogue_ca, X509_EKU_SERVER, "control.example", T0 - DAY, T0 + DAY);
	sc = server_config(&f.server, &f.server_ca, TLS_CLIENT_NONE, NULL, false, 0);
	twin = server_config(&rogue, &rogue_ca, TLS_CLIENT_NONE, NULL, false, 0);
	cc = client_config(NULL, &f.device_ca);
	connect_now(sc, cc, "control.example");
	CHECK(failed(client, ERR_REFUSED, "not issued by a CA that is trusted"));
	tls_config_free(cc);
	cc = client_config(NULL, &f.server_ca);
	connect_now(twin, cc, "control.example");
	CHECK(failed(client, ERR_REFUSED, "another key"));
	CHECK(failed(server, ERR_RETRY, "handshake"));
	cert_free(&rogue_ca);
	cert_free(&rogue);
	tls_config_free(twin);
	done(sc, cc);
}

TEST(a_clock_that_is_not_set_does_not_matter_but_the_end_does)
{
	struct tls_config *sc, *cc;

	f = fixture_make();
	sc = server_config(&f.server, &f.server_ca, TLS_CLIENT_REQUIRED, &f.device_ca, false, 0);
	cc = client_config(&f.device, &f.server_ca);
	connect_at(sc, cc, "control.example", 0, 0, NULL);
	CHECK(both_up());
	connect_at(sc, cc, "control.example", T0, T0 + 90 * DAY, NULL);
	CHECK(both_up());
	connect_at(sc, cc, "control.example", T0, T0 + 90 * DAY + 1, NULL);
	CHECK(failed(client, ERR_RETRY, "certificate of the server expired at 2027-04-15"));
	connect_at(sc, cc, "control.example", T0, T0 + 3651 * DAY, NULL);
	CHECK(failed(client, ERR_RETRY, "expired"));
	connect_at(sc, cc, "control.example", T0 + 91 * DAY, T0, NULL);
	CHECK(failed(server, ERR_RETRY, "certificate of the client expired"));
	CHECK(failed(client, ERR_RETRY, "closed"));
	done(sc, cc);
}

TEST(an_expired_ca_vouches_for_nothing)
{
	struct cert ca, leaf;
	struct tls_config *sc, *cc;

	f = fixture_make();
	ca = cert_make("old CA", NULL, 0, NULL, T0 - 10 * DAY, T0 - DAY);
	leaf = cert_make("control", &ca, X509_EKU_SERVER, "control.example", T0 - 10 * DAY, T0 + DAY);
	sc = server_config(&leaf, &ca, TLS_CLIENT_NONE, NULL, false, 0);
	cc = client_config(NULL, &ca);
	connect_now(sc, cc, "control.example");
	CHECK(failed(client, ERR_RETRY, "certificate of the CA expired"));
	connect_at(sc, cc, "control.example", T0, T0 - 2 * DAY, NULL);
	CHECK(both_up());
	cert_free(&ca);
	cert_free(&leaf);
	done(sc, cc);
}

TEST(client_certificates)
{
	struct tls_config *required, *optional, *good, *bare, *foreign;
	struct cert stranger;
	uint8_t want[32];

	f = fixture_make();
	stranger = cert_make("cell-1", &f.other_ca, X509_EKU_CLIENT, NULL, T0 - DAY, T0 + DAY);
	required = server_config(&f.server, &f.server_ca, TLS_CLIENT_REQUIRED, &f.device_ca, false, 0);
	optional = server_config(&f.server, &f.server_ca, TLS_CLIENT_OPTIONAL, &f.device_ca, false, 0);
	good = client_config(&f.device, &f.server_ca);
	bare = client_config(NULL, &f.server_ca);
	foreign = client_config(&stranger, &f.server_ca);
	connect_now(required, good, "control.example");
	REQUIRE(both_up());
	x509_fingerprint(want, buf_slice(&f.device.der));
	CHECK(tls_peer(server)->present && !tls_peer(server)->expired && !tls_peer(server)->resumed);
	CHECK(memcmp(tls_peer(server)->fingerprint, want, 32) == 0);
	CHECK(slice_equal(tls_peer_leaf(server), buf_slice(&f.device.der)));
	connect_now(required, bare, "control.example");
	CHECK(failed(server, ERR_REFUSED, "the client shows no certificate"));
	CHECK(failed(client, ERR_RETRY, "closed"));
	/* The other CA has the same name: the signature alone tells them apart. */
	connect_now(required, foreign, "control.example");
	CHECK(failed(server, ERR_REFUSED, "another key"));
	connect_now(optional, good, "control.example");
	CHECK(both_up() && tls_peer(server)->present);
	connect_now(optional, bare, "control.example");
	CHECK(both_up() && !tls_peer(server)->present);
	connect_now(optional, foreign, "control.example");
	CHECK(failed(server, ERR_REFUSED, "another key"));
	CHECK(!tls_established(server) && !tls_peer(server)->present);
	cert_free(&stranger);
	tls_config_free(optional);
	tls_config_free(bare);
	tls_config_free(foreign);
	done(required, good);
}

TEST(extended_key_usage_is_checked_on_both_sides)
{
	struct cert as_server, as_client, neither, ca_as_leaf;
	struct tls_config *sc, *bad_sc, *none_sc, *cc, *bad_cc, *none_cc;

	f = fixture_make();
	as_server = cert_make("cell-1", &f.device_ca, X509_EKU_SERVER, "cell.example", T0 - DAY, T0 + DAY);
	as_client = cert_make("control", &f.server_ca, X509_EKU_CLIENT, "control.example", T0 - DAY, T0 + DAY);
	neither = cert_make("control", &f.server_ca, 0, "control.example", T0 - DAY, T0 + DAY);
	ca_as_leaf = cert_make("cell-2", &f.device_ca, 0, NULL, T0 - DAY, T0 + DAY);
	sc = server_config(&f.server, &f.server_ca, TLS_CLIENT_REQUIRED, &f.device_ca, false, 0);
	bad_sc = server_config(&as_client, &f.server_ca, TLS_CLIENT_NONE, NULL, false, 0);
	none_sc = server_config(&neither, &f.server_ca, TLS_CLIENT_NONE, NULL, false, 0);
	cc = client_config(&f.device, &f.server_ca);
	bad_cc = client_config(&as_server, &f.server_ca);
	none_cc = client_config(&ca_as_leaf, &f.server_ca);
	connect_now(sc, bad_cc, "control.example");
	CHECK(failed(server, ERR_REFUSED, "not meant for a client"));
	connect_now(sc, none_cc, "control.example");
	CHECK(failed(server, ERR_REFUSED, "not meant for a client"));
	connect_now(bad_sc, cc, "control.example");
	CHECK(failed(client, ERR_REFUSED, "not meant for a server"));
	connect_now(none_sc, cc, "control.example");
	CHECK(failed(client, ERR_REFUSED, "not meant for a server"));
	cert_free(&as_server);
	cert_free(&as_client);
	cert_free(&neither);
	cert_free(&ca_as_leaf);
	tls_config_free(bad_sc);
	tls_config_free(none_sc);
	tls_config_free(bad_cc);
	tls_config_free(none_cc);
	done(sc, cc);
}

TEST(an_expired_client_gets_through_only_where_it_may_renew)
{
	struct tls_config *sc, *renew, *cc, *foreign;
	struct cert stranger;

	f = fixture_make();
	stranger = cert_make("cell-1", &f.other_ca, X509_EKU_CLIENT, NULL, T0 - DAY, T0 + DAY);
	sc = server_config(&f.server, &f.server_ca, TLS_CLIENT_REQUIRED, &f.device_ca, false, 10);
	renew = server_config(&f.server, &f.server_ca, TLS_CLIENT_REQUIRED, &f.device_ca, true, 10);
	cc = client_config(&f.device, &f.server_ca);
	foreign = client_config(&stranger, &f.server_ca);
	connect_at(sc, cc, "control.example", T0 + 100 * DAY, T0, NULL);
	CHECK(failed(server, ERR_RETRY, "expired"));
	connect_at(renew, cc, "control.example", T0 + 100 * DAY, T0, NULL);
	REQUIRE(both_up());
	CHECK(tls_peer(server)->present && tls_peer(server)->expired);
	connect_at(renew, cc, "control.example", T0, T0, NULL);
	CHECK(both_up() && !tls_peer(server)->expired);
	/* Expired is all that is forgiven. */
	connect_at(renew, foreign, "control.example", T0 + 100 * DAY, T0, NULL);
	CHECK(failed(server, ERR_REFUSED, "another key"));
	cert_free(&stranger);
	tls_config_free(renew);
	tls_config_free(foreign);
	done(sc, cc);
}

/* ---- resumption ---- */

static bool resumed(void)
{
	return both_up() && tls_peer(server)->resumed && tls_peer(client)->resumed;
}

TEST(a_resumed_session_carries_the_clients_identity)
{
	struct tls_config *sc, *cc, *other;
	struct tls_session s, s2;
	uint8_t want[32];

	f = fixture_make();
	sc = server_config(&f.server, &f.server_ca, TLS_CLIENT_REQUIRED, &f.device_ca, false, 10);
	other = server_config(&f.server, &f.server_ca, TLS_CLIENT_REQUIRED, &f.device_ca, false, 10);
	cc = client_config(&f.device, &f.server_ca);
	x509_fingerprint(want, buf_slice(&f.device.der));
	connect_now(sc, cc, "control.example");
	REQUIRE(both_up());
	CHECK_INT(tls_config_sessions(sc), 1);
	tls_session_get(client, &s);
	connect_at(sc, cc, "control.example", T0, T0, &s);
	REQUIRE(resumed());
	CHECK(tls_peer(server)->present && memcmp(tls_peer(server)->fingerprint, want, 32) == 0);
	CHECK(tls_peer_leaf(server).len == 0);
	x509_fingerprint(want, buf_slice(&f.server.der));
	CHECK(memcmp(tls_peer(client)->fingerprint, want, 32) == 0);
	write_text(client, "ping");
	pump_flipping(0);
	CHECK(reads(server, "ping"));
	/* Once more from what the resumed connection gives. */
	tls_session_get(client, &s2);
	connect_at(sc, cc, "control.example", T0, T0, &s2);
	CHECK(resumed());
	/* Another listener knows nothing of it. */
	connect_at(other, cc, "control.example", T0, T0, &s);
	CHECK(both_up() && !tls_peer(server)->resumed && !tls_peer(client)->resumed && tls_peer(server)->present);
	/* Evicted: a full handshake. Twice is fine. */
	x509_fingerprint(want, buf_slice(&f.device.der));
	tls_config_evict(sc, want);
	tls_config_evict(sc, want);
	CHECK_INT(tls_config_sessions(sc), 0);
	connect_at(sc, cc, "control.example", T0, T0, &s);
	CHECK(both_up() && !tls_peer(server)->resumed);
	tls_config_free(other);
	done(sc, cc);
}

TEST(sessions_end_with_the_day_and_with_the_certificate)
{
	struct tls_config *sc, *renew, *cc;
	struct tls_session s;

	f = fixture_make();
	sc = server_config(&f.server, &f.server_ca, TLS_CLIENT_REQUIRED, &f.device_ca, false, 10);
	renew = server_config(&f.server, &f.server_ca, TLS_CLIENT_REQUIRED, &f.device_ca, true, 10);
	cc = client_config(&f.device, &f.server_ca);
	connect_now(sc, cc, "control.example");
	tls_session_get(client, &s);
	connect_at(sc, cc, "control.example", T0 + TLS_SESSION_LIFE_S, T0, &s);
	CHECK(resumed());
	connect_at(sc, cc, "control.example", T0 + TLS_SESSION_LIFE_S + 1, T0, &s);
	CHECK(both_up() && !tls_peer(server)->resumed);
	connect_at(sc, cc, "control.example", T0 + 90 * DAY, T0, NULL);
	REQUIRE(both_up());
	tls_session_get(client, &s);
	connect_at(sc, cc, "control.example", T0 + 90 * DAY + 1, T0, &s);
	CHECK(failed(server, ERR_RETRY, "expired"));
	/* Where expired clients are let in, the resumed one is marked as well. */
	connect_at(renew, cc, "control.example", T0 + 90 * DAY, T0, NULL);
	REQUIRE(both_up() && !tls_peer(server)->expired);
	tls_session_get(client, &s);
	connect_at(renew, cc, "control.example", T0 + 90 * DAY + 1, T0, &s);
	CHECK(resumed() && tls_peer(server)->expired);
	/* The client does not offer a session of a server whose certificate has ended by its clock. */
	connect_at(renew, cc, "control.example", T0 + 90 * DAY, T0 + 91 * DAY, &s);
	CHECK(failed(client, ERR_RETRY, "expired"));
	tls_config_free(renew);
	done(sc, cc);
}

TEST(the_session_cache_is_bounded)
{
	struct tls_config *sc, *cc;
	struct tls_session s[4];
	int i;

	f = fixture_make();
	sc = server_config(&f.server, &f.server_ca, TLS_CLIENT_OPTIONAL, &f.device_ca, false, 3);
	cc = client_config(NULL, &f.server_ca);
	for (i = 0; i < 4; i++) {
		connect_now(sc, cc, "control.example");
		tls_session_get(client, &s[i]);
		if (i == 2) {	/* use the first, so that the second is the oldest */
			connect_at(sc, cc, "control.example", T0, T0, &s[0]);
			CHECK(resumed());
		}
	}
	CHECK_INT(tls_config_sessions(sc), 3);
	connect_at(sc, cc, "control.example", T0, T0, &s[1]);
	CHECK(both_up() && !tls_peer(client)->resumed);
	connect_at(sc, cc, "control.example", T0, T0, &s[3]);
	CHECK(both_up() && tls_peer(client)->resumed && !tls_peer(server)->present);
	done(sc, cc);
}

/* ---- first contact by pin ---- */

static struct tls_config *pin_config(const struct cert *ca)
{
	struct tls_client_params p = {0};
	struct error err = ERROR_INIT;
	struct tls_config *c;
	uint8_t pin[32];

	x509_fingerprint(pin, buf_slice(&ca->der));
	p.ca_pin = pin;
	c = tls_config_client(&p, &err);
	REQUIRE(c != NULL);
	return c;
}

/* As connect_at, but nothing is resumed: the client starts afresh. Returns whether both ends are up. */
static bool full_handshake(struct tls_config *sc, struct tls_config *cc, int64_t now)
{
	connect_at(sc, cc, "control.example", now, T0, NULL);
	return both_up() && !tls_peer(server)->resumed;
}

TEST(a_leaf_that_is_known_is_judged_in_all_but_its_signature)
{
	struct cert stranger, brief;
	struct tls_config *sc, *cc, *other, *soon;
	uint8_t fingerprint[32];

	f = fixture_make();
	stranger = cert_make("cell-1", &f.other_ca, X509_EKU_CLIENT, NULL, T0 - DAY, T0 + 90 * DAY);
	brief = cert_make("cell-2", &f.device_ca, X509_EKU_CLIENT, NULL, T0 - DAY, T0 + DAY);
	sc = server_config(&f.server, &f.server_ca, TLS_CLIENT_REQUIRED, &f.device_ca, false, 16);
	cc = client_config(&f.device, &f.server_ca);
	other = client_config(&stranger, &f.server_ca);
	soon = client_config(&brief, &f.server_ca);
	CHECK(full_handshake(sc, cc, T0));
	CHECK_INT(tls_known_count(sc->known), 1);
	CHECK(full_handshake(sc, cc, T0));
	x509_fingerprint(fingerprint, buf_slice(&f.device.der));
	CHECK(tls_peer(server)->present && memcmp(tls_peer(server)->fingerprint, fingerprint, 32) == 0);
	CHECK_INT(tls_known_count(sc->known), 1);
	/* Another CA of that name has signed for the same name: nothing known of it, and nothing learned. */
	CHECK(!full_handshake(sc, other, T0));
	CHECK(failed(server, ERR_REFUSED, "another key"));
	CHECK_INT(tls_known_count(sc->known), 1);
	/* Known while it was valid, and over now. */
	CHECK(full_handshake(sc, soon, T0));
	CHECK(full_handshake(sc, soon, T0 + DAY));
	CHECK(!full_handshake(sc, soon, T0 + DAY + 1));
	CHECK(failed(server, ERR_RETRY, "expired"));
	/* The CA is over, too. */
	CHECK(!full_handshake(sc, cc, T0 + 4000 * DAY));
	CHECK(failed(server, ERR_RETRY, "expired"));
	tls_config_free(other);
	tls_config_free(soon);
	cert_free(&stranger);
	cert_free(&brief);
	done(sc, cc);
}

/* Whoever has only seen a certificate that is known has not its key: CertificateVerify is checked as ever. */
TEST(a_known_leaf_without_its_key_is_refused)
{
	struct tls_config *sc, *cc;
	struct cert thief;
	struct tls_config *tc;

	f = fixture_make();
	sc = server_config(&f.server, &f.server_ca, TLS_CLIENT_REQUIRED, &f.device_ca, false, 16);
	cc = client_config(&f.device, &f.server_ca);
	thief = cert_make("cell-1", &f.device_ca, X509_EKU_CLIENT, NULL, T0 - DAY, T0 + 90 * DAY);
	tc = client_config(&thief, &f.server_ca);
	CHECK(full_handshake(sc, cc, T0));
	/* The thief's key under the known certificate. */
	free(tc->chain[0].data);
	tc->chain[0].data = xmalloc(f.device.der.len);
	memcpy(tc->chain[0].data, f.device.der.ptr, f.device.der.len);
	tc->chain[0].data_len = f.device.der.len;
	CHECK(!full_handshake(sc, tc, T0));
	CHECK(!tls_established(server));
	CHECK(full_handshake(sc, cc, T0));
	tls_config_free(tc);
	cert_free(&thief);
	done(sc, cc);
}

TEST(a_pinned_ca_is_enough)
{
	struct tls_config *sc, *right, *wrong, *leaf_pin, *lonely;
	struct slice chain[1];
	struct tls_server_params p = {0};
	struct error err = ERROR_INIT;

	f = fixture_make();
	sc = server_config(&f.server, &f.server_ca, TLS_CLIENT_NONE, NULL, false, 0);
	chain[0] = buf_slice(&f.server.der);
	p.identity = (struct tls_identity){chain, 1, f.server.key};
	lonely = tls_config_server(&p, &err);	/* does not show its CA */
	right = pin_config(&f.server_ca);
	wrong = pin_config(&f.device_ca);
	leaf_pin = pin_config(&f.server);
	connect_now(sc, right, "control.example");
	REQUIRE(both_up());
	CHECK(slice_equal(tls_peer_ca(client), buf_slice(&f.server_ca.der)));
	connect_now(sc, wrong, "control.example");
	CHECK(failed(client, ERR_REFUSED, "pinned"));
	connect_now(sc, leaf_pin, "control.example");
	CHECK(failed(client, ERR_REFUSED, "pinned"));
	connect_now(lonely, right, "control.example");
	CHECK(failed(client, ERR_REFUSED, "pinned"));
	connect_now(sc, right, "other.example");
	CHECK(failed(client, ERR_REFUSED, ""));
	/* The pinned CA is shown, but the leaf is another's. */
	tls_config_free(lonely);
	lonely = server_config(&f.device, &f.server_ca, TLS_CLIENT_NONE, NULL, false, 0);
	connect_now(lonely, right, "control.example");
	CHECK(failed(client, ERR_REFUSED, ""));
	tls_config_free(lonely);
	tls_config_free(wrong);
	tls_config_free(leaf_pin);
	done(sc, right);
}

/* ---- what is no TLS, and what is no configuration ---- */

/* ---- buffers on loan: what tls_buffers.c believes of BearSSL ---- */

static void carry_text(struct tls *from, struct tls *to, const char *text)
{
	write_text(from, text);
	pump_flipping(0);
	CHECK(reads(to, text));
}

/* A buffer out of the pool, looked at and put back. */
static bool pool_knows(const char *text)
{
	static struct tls t;
	bool found;

	t.buffers = buffers;
	t.buffer_len = BR_SSL_BUFSIZE_MONO;
	t.eng = &t.u.server.eng;
	tls_buffer_take(&t);
	found = memmem(t.buffer, t.buffer_len, text, strlen(text)) != NULL;
	tls_buffer_give(&t);
	return found;
}

TEST(a_connection_at_rest_holds_no_buffer)
{
	struct tls_config *sc, *cc;
	struct tls *other_server, *other_client;
	struct error err = ERROR_INIT;
	int i;

	f = fixture_make();
	buffers = tls_buffers_new(1);
	sc = server_config(&f.server, &f.server_ca, TLS_CLIENT_REQUIRED, &f.device_ca, false, 10);
	cc = client_config(&f.device, &f.server_ca);
	connect_now(sc, cc, "control.example");
	REQUIRE(both_up() && server->lends);
	other_server = server;
	other_client = client;
	server = client = NULL;
	connect_now(sc, cc, "control.example");
	REQUIRE(both_up());
	tls_rest(server);
	tls_rest(other_server);
	CHECK(server->buffer == NULL && other_server->buffer == NULL);
	CHECK(tls_established(server) && tls_peer(server)->present && tls_peer_leaf(server).len == 0);
	CHECK_INT(tls_wants(server), TLS_READ | TLS_ROOM);
	tls_flush(server);
	CHECK(server->buffer == NULL);
	/* Two connections, one buffer, either direction first. */
	for (i = 0; i < 20; i++) {
		struct tls *t;

		if (i % 3 == 0)
			carry_text(server, client, "an answer nobody asked for");
		carry_text(client, server, "the secret of one");
		carry_text(server, client, "the answer");
		tls_rest(server);
		CHECK(server->buffer == NULL);
		CHECK(!pool_knows("secret") && !pool_knows("answer"));
		t = server, server = other_server, other_server = t;
		t = client, client = other_client, other_client = t;
	}
	/* An end that begins at rest is orderly, on whichever side. */
	tls_close(server);
	pump_flipping(0);
	CHECK((tls_wants(client) & TLS_CLOSED) && tls_failure(client, &err) == 0);
	tls_free(server);
	tls_free(client);
	server = other_server;
	client = other_client;
	tls_close(client);
	pump_flipping(0);
	CHECK((tls_wants(server) & TLS_CLOSED) && tls_failure(server, &err) == 0);
	done(sc, cc);
	tls_buffers_free(buffers);
	buffers = NULL;
}

TEST(a_buffer_in_use_stays)
{
	struct tls_config *sc, *cc;
	struct slice out;
	size_t room;
	uint8_t *p;

	f = fixture_make();
	buffers = tls_buffers_new(1);
	sc = server_config(&f.server, &f.server_ca, TLS_CLIENT_REQUIRED, &f.device_ca, false, 10);
	cc = client_config(&f.device, &f.server_ca);
	server = tls_accept(sc, T0, buffers);
	tls_rest(server);	/* not during the handshake */
	CHECK(server->buffer != NULL);
	connect_now(sc, cc, "control.example");
	REQUIRE(both_up());
	/* Part of a record, and part of its header alone. */
	write_text(client, "ping");
	out = tls_output(client);
	p = tls_input(server, &room);
	REQUIRE(p != NULL && room >= 3);
	memcpy(p, out.ptr, 3);
	tls_received(server, 3);
	tls_sent(client, 3);
	tls_rest(server);
	CHECK(server->buffer != NULL);
	pump_flipping(0);
	tls_rest(server);	/* plain bytes wait */
	CHECK(server->buffer != NULL && reads(server, "ping"));
	/* Bytes that were written and not yet flushed; a record that was not yet sent. */
	p = tls_room(server, &room);
	REQUIRE(p != NULL);
	memcpy(p, "pong", 4);
	tls_written(server, 4);
	tls_rest(server);
	CHECK(server->buffer != NULL);
	tls_flush(server);
	tls_rest(server);
	CHECK(server->buffer != NULL);
	pump_flipping(0);
	CHECK(reads(client, "pong"));
	/* A BearSSL that begins otherwise: nothing is lent. */
	server->lends = false;
	tls_rest(server);
	CHECK(server->buffer != NULL);
	carry_text(client, server, "ping");
	/* Freed in the middle of something: the pool gets it back wiped. */
	p = tls_room(server, &room);
	memcpy(p, "half an answer", 14);
	tls_written(server, 14);
	tls_free(server);
	server = NULL;
	CHECK(!pool_knows("ping") && !pool_knows("half"));
	done(sc, cc);
	tls_buffers_free(buffers);
	buffers = NULL;
}

TEST(an_engine_that_begins_otherwise_keeps_its_buffer)
{
	struct tls_config *sc;

	f = fixture_make();
	buffers = tls_buffers_new(1);
	sc = server_config(&f.server, &f.server_ca, TLS_CLIENT_NONE, NULL, false, 0);
	server = tls_accept(sc, T0, buffers);
	CHECK(server->lends);
	server->eng->ixc++;
	tls_buffer_lendable(server);
	CHECK(!server->lends);
	server->eng->ixc--;
	server->eng->oxc++;
	tls_buffer_lendable(server);
	CHECK(!server->lends);
	server->eng->oxc--;
	tls_buffer_lendable(server);
	CHECK(server->lends);
	tls_free(server);
	server = tls_accept(sc, T0, NULL);	/* without a pool nothing is lent */
	CHECK(!server->lends);
	done(sc, NULL);
	tls_buffers_free(buffers);
	buffers = NULL;
}

TEST(strangers_are_told_apart)
{
	static const char *const noise[] = {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\xff\xff", "\x80\x2e\x01\x03\x01",
					    "\x15\x03\x03\x00\x02\x02\x28"};
	struct tls_config *sc, *cc;
	size_t i, room;

	f = fixture_make();
	sc = server_config(&f.server, &f.server_ca, TLS_CLIENT_NONE, NULL, false, 0);
	cc = client_config(NULL, &f.server_ca);
	for (i = 0; i < ARRAY_SIZE(noise); i++) {
		struct slice in = slice_of(noise[i], i == 3 ? 7 : strlen(noise[i]));
		struct error err = ERROR_INIT;

		tls_free(server);
		server = tls_accept(sc, T0, NULL);
		while (in.len > 0) {
			uint8_t *p = tls_input(server, &room);

			if (p == NULL)
				break;
			room = room < in.len ? room : in.len;
			memcpy(p, in.ptr, room);
			tls_received(server, room);
			in = slice_of(in.ptr + room, in.len - room);
		}
		tls_eof(server);
		CHECK(tls_failure(server, &err) < 0 && err.text[0] != '\0');
		CHECK(!tls_established(server));
	}
	done(sc, cc);
}

TEST(bad_configurations_are_refused)
{
	struct slice none[1], chain[2], cas[5];
	struct tls_server_params s = {0};
	struct tls_client_params c = {0};
	struct error err = ERROR_INIT;
	uint8_t pin[32] = {0};

	f = fixture_make();
	chain[0] = buf_slice(&f.server.der);
	chain[1] = cas[0] = buf_slice(&f.server_ca.der);
	none[0] = SLICE_LIT("nonsense");
	CHECK(tls_config_server(&s, &err) == NULL && err.kind == ERR_USAGE);
	s.identity = (struct tls_identity){chain, 1, f.device.key};
	CHECK(tls_config_server(&s, &err) == NULL && strstr(err.text, "does not belong to the key") != NULL);
	s.identity = (struct tls_identity){none, 1, f.server.key};
	CHECK(tls_config_server(&s, &err) == NULL && err.kind == ERR_MALFORMED);
	s.identity = (struct tls_identity){chain, 5, f.server.key};
	CHECK(tls_config_server(&s, &err) == NULL && err.kind == ERR_LIMIT);
	s.identity = (struct tls_identity){chain, 2, f.server.key};
	s.client_auth = TLS_CLIENT_OPTIONAL;
	CHECK(tls_config_server(&s, &err) == NULL && err.kind == ERR_USAGE);
	s.client_cas = chain;	/* a leaf is no CA */
	s.client_ca_count = 1;
	CHECK(tls_config_server(&s, &err) == NULL && err.kind == ERR_REFUSED);
	CHECK(tls_config_client(&c, &err) == NULL && err.kind == ERR_USAGE);
	c.cas = cas;
	c.ca_count = 1;
	c.ca_pin = pin;
	CHECK(tls_config_client(&c, &err) == NULL && err.kind == ERR_USAGE);
	c.ca_pin = NULL;
	c.ca_count = 5;
	CHECK(tls_config_client(&c, &err) == NULL && err.kind == ERR_LIMIT);
	fixture_free(&f);
}
