/* Certificates made on the spot for the TLS tests: two device CAs, a server CA, and leaves of every kind. */
#ifndef MESHANICS_TESTS_TLS_FIXTURE_H
#define MESHANICS_TESTS_TLS_FIXTURE_H

#include "crypto/x509.h"
#include "net/tls.h"

#define T0 INT64_C(1800000000)	/* the present of all tests */
#define DAY INT64_C(86400)

struct cert {
	struct seckey *key;
	struct buf der;
	struct x509 x;
};

static void cert_free(struct cert *c)
{
	seckey_free(c->key);
	buf_release(&c->der);
}

/* issuer NULL: a CA, signed by itself. san: up to one name; NULL for none. */
static struct cert cert_make(const char *cn, const struct cert *issuer, unsigned eku, const char *san, int64_t from_s,
			     int64_t to_s)
{
	struct cert c = {.der = BUF_INIT(8192)};
	struct error err = ERROR_INIT;
	uint8_t ip[16];
	struct x509_san s;
	struct x509_spec spec = {.cn = cn, .not_before_s = from_s, .not_after_s = to_s, .is_ca = issuer == NULL, .eku = eku};

	c.key = seckey_generate(KEY_ECDSA_P256, &err);
	REQUIRE(c.key != NULL);
	spec.key = seckey_public(c.key);
	if (san != NULL) {
		REQUIRE(x509_san_of_host(&s, ip, san, &err) == 0);
		spec.san = &s;
		spec.san_count = 1;
	}
	REQUIRE(x509_issue(&c.der, &spec, issuer == NULL ? NULL : &issuer->x, issuer == NULL ? c.key : issuer->key, &err) == 0);
	REQUIRE(x509_read(&c.x, buf_slice(&c.der), &err) == 0);
	return c;
}

/* What most tests need. */
struct fixture {
	struct cert server_ca, device_ca, other_ca;
	struct cert server, device;
};

static struct fixture fixture_make(void)
{
	struct error err = ERROR_INIT;
	struct fixture f;

	REQUIRE(crypto_start(&err) == 0);
	f.server_ca = cert_make("server CA", NULL, 0, NULL, T0 - DAY, T0 + 3650 * DAY);
	f.device_ca = cert_make("device CA", NULL, 0, NULL, T0 - DAY, T0 + 3650 * DAY);
	f.other_ca = cert_make("device CA", NULL, 0, NULL, T0 - DAY, T0 + 3650 * DAY);
	f.server = cert_make("control", &f.server_ca, X509_EKU_SERVER, "control.example", T0 - DAY, T0 + 90 * DAY);
	f.device = cert_make("cell-1", &f.device_ca, X509_EKU_CLIENT, NULL, T0 - DAY, T0 + 90 * DAY);
	return f;
}

static void fixture_free(struct fixture *f)
{
	cert_free(&f->server_ca);
	cert_free(&f->device_ca);
	cert_free(&f->other_ca);
	cert_free(&f->server);
	cert_free(&f->device);
}

static struct tls_config *server_config(const struct cert *leaf, const struct cert *ca, enum tls_client_auth auth,
					const struct cert *client_ca, bool accept_expired, unsigned sessions)
{
	struct slice chain[2] = {buf_slice(&leaf->der), buf_slice(&ca->der)};
	struct slice client_cas[1] = {client_ca == NULL ? SLICE_EMPTY : buf_slice(&client_ca->der)};
	struct tls_server_params p = {
		.identity = {chain, 2, leaf->key}, .client_auth = auth, .client_cas = client_cas,
		.client_ca_count = client_ca == NULL ? 0 : 1, .accept_expired = accept_expired, .sessions_max = sessions,
	};
	struct error err = ERROR_INIT;
	struct tls_config *c = tls_config_server(&p, &err);

	if (c == NULL)
		printf("# %s\n", err.text);
	REQUIRE(c != NULL);
	return c;
}

static struct tls_config *client_config(const struct cert *leaf, const struct cert *ca)
{
	struct slice chain[1] = {leaf == NULL ? SLICE_EMPTY : buf_slice(&leaf->der)};
	struct slice cas[1] = {buf_slice(&ca->der)};
	struct tls_client_params p = {.cas = cas, .ca_count = 1};
	struct error err = ERROR_INIT;
	struct tls_config *c;

	if (leaf != NULL)
		p.identity = (struct tls_identity){chain, 1, leaf->key};
	c = tls_config_client(&p, &err);
	if (c == NULL)
		printf("# %s\n", err.text);
	REQUIRE(c != NULL);
	return c;
}

#endif
