/* The TLS side of serve: one short-lived server certificate, and what each listener asks of its clients. */
#include "control/serve_internal.h"

/* A fleet comes back at once after an outage: resumed, that takes seconds. Untouched pages cost nothing. */
#define SESSIONS_DEVICE (1u << 17)
#define SESSIONS_MAX 20000

/* Devices are asked for their certificate, operators and newcomers are not: their token speaks. */
static int make_one(struct serve *s, enum serve_door door, const struct server_identity *id, struct error *err)
{
	const struct ca *ca = s->control->ca;
	struct slice chain[2] = {buf_slice(&id->der), buf_slice(&ca[CA_SERVER].der)};
	struct slice device_ca = buf_slice(&ca[CA_DEVICE].der);
	struct tls_server_params params = {
		.identity = {.chain = chain, .chain_count = 2, .key = id->key},
		.client_auth = TLS_CLIENT_NONE,
		.sessions_max = SESSIONS_MAX,
	};
	struct tls_config *config;

	if (door == DOOR_REPOSITORY || door == DOOR_DEVICE) {
		params.client_auth = TLS_CLIENT_REQUIRED;
		params.sessions_max = SESSIONS_DEVICE;
		params.client_cas = &device_ca;
		params.client_ca_count = 1;
		params.accept_expired = true;	/* expired is said in HTTP; see net/tls.h */
	}
	if ((config = tls_config_server(&params, err)) == NULL)
		return -1;
	pthread_mutex_lock(&s->tls_mutex);
	tls_config_free(s->tls[door]);
	s->tls[door] = config;
	pthread_mutex_unlock(&s->tls_mutex);
	return 0;
}

int serve_make_tls(struct serve *s, int64_t now_s, struct error *err)
{
	const struct control_settings *settings = &s->control->settings;
	const char *names[PUBLIC_NAMES_MAX];
	struct server_identity id = {0};
	unsigned i;
	int door, r = -1;

	for (i = 0; i < settings->public_name_count; i++)
		names[i] = settings->public_names[i];
	if (server_identity_make(&id, &s->control->ca[CA_SERVER], names, settings->public_name_count, now_s, err) < 0)
		goto out;
	for (door = DOOR_API; door <= DOOR_ENROLL; door++)
		if (make_one(s, (enum serve_door)door, &id, err) < 0)
			goto out;
	s->identity_made_s = now_s;
	s->identity_renew_s = id.renew_at_s;
	r = 0;
out:
	server_identity_release(&id);
	return r;
}
