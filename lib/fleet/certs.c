/* From a certificate's fingerprint to a device, and to a yes or no. */
#include "fleet/certs.h"

#include <stdio.h>

#include "base/encode.h"
#include "base/timefmt.h"
#include "fleet/devices.h"
#include "store/certificates.h"

static const char *const status_names[] = {
	[CERT_UNKNOWN] = "unknown",	    [CERT_ACTIVE] = "active",
	[CERT_EXPIRED] = "expired",	    [CERT_SUPERSEDED] = "superseded",
	[CERT_REVOKED] = "revoked",	    [CERT_DECOMMISSIONED] = "decommissioned",
};

const char *cert_status_name(enum cert_status status)
{
	return (size_t)status < ARRAY_SIZE(status_names) ? status_names[status] : status_names[CERT_UNKNOWN];
}

/* The gravest thing that can be said of it comes first: an expired one that was revoked is revoked. */
enum cert_status cert_row_status(const struct certificate_row *row, int64_t now_s)
{
	if (row->device_id == 0)
		return CERT_UNKNOWN;
	if (strcmp(row->device_state, "decommissioned") == 0)
		return CERT_DECOMMISSIONED;
	if (row->revoked_s != 0 || strcmp(row->device_state, "revoked") == 0)
		return CERT_REVOKED;
	if (row->superseded_s != 0 && now_s >= row->superseded_s)
		return CERT_SUPERSEDED;
	return now_s > row->not_after_s ? CERT_EXPIRED : CERT_ACTIVE;
}

int cert_lookup(struct db *db, const uint8_t fingerprint[static SHA256_LEN], int64_t now_s,
		struct cert_identity *id, struct error *err)
{
	struct certificate_row row;
	char hex[SHA256_HEX_LEN];
	int r;

	*id = (struct cert_identity){.status = CERT_UNKNOWN};
	hex_encode(hex, fingerprint, SHA256_LEN);
	if ((r = certificate_find(db, hex, &row, err)) <= 0)
		return r;
	id->status = cert_row_status(&row, now_s);
	if (id->status == CERT_UNKNOWN)
		return 0;
	id->device_id = row.device_id;
	id->not_after_s = id->until_s = row.not_after_s;
	if (row.superseded_s != 0 && row.superseded_s - 1 < id->until_s)
		id->until_s = row.superseded_s - 1;
	snprintf(id->device, sizeof(id->device), "%s", row.subject);
	snprintf(id->reason, sizeof(id->reason), "%s", row.reason);
	return 0;
}

static int refuse_expired(const struct cert_identity *id, enum cert_use use, int64_t grace_s, int64_t now_s,
			  struct error *err)
{
	char until[TIME_TEXT_LEN], grace[32];

	if (use == CERT_USE_RENEW && now_s - id->not_after_s <= grace_s)
		return 0;
	error_set(err, ERR_DENIED, "the certificate of device '%s' ended at %s", id->device,
		  time_text(until, id->not_after_s));
	if (use != CERT_USE_RENEW)
		return error_hint(err, "the device may still renew it for %s after its end",
				  duration_text(grace, grace_s));
	return error_hint(err, "enrol the device again: meshanics enroll token create --device %s", id->device);
}

int cert_refuse_superseded(const struct cert_identity *id, struct error *err)
{
	error_set(err, ERR_DENIED, "the certificate of device '%s' was replaced by a newer one", id->device);
	return error_hint(err, "if the newer one is lost: meshanics enroll token create --device %s", id->device);
}

int cert_check(const struct cert_identity *id, enum cert_use use, int64_t grace_s, int64_t now_s,
	       struct error *err)
{
	switch (id->status) {
	case CERT_ACTIVE:
		return 0;
	case CERT_EXPIRED:
		return refuse_expired(id, use, grace_s, now_s, err);
	case CERT_SUPERSEDED:
		return use == CERT_USE_RENEW ? 0 : cert_refuse_superseded(id, err);
	case CERT_REVOKED:
		error_set(err, ERR_DENIED, "the certificate of device '%s' is revoked%s%s", id->device,
			  id->reason[0] != '\0' ? ": " : "", id->reason);
		break;
	case CERT_DECOMMISSIONED:
		return error_set(err, ERR_DENIED, "device '%s' is decommissioned", id->device);
	case CERT_UNKNOWN:
		return error_set(err, ERR_DENIED, "this certificate is not known here");
	}
	return error_hint(err, "to take it back: meshanics enroll token create --device %s", id->device);
}

int device_revoke(struct db *db, struct slice device, const char *reason, int64_t now_s, unsigned *count,
		  struct error *err)
{
	struct device d;
	int64_t live;

	if (device_find(db, device, &d, err) < 0 || certificates_revoke(db, d.id, reason, now_s, &live, err) < 0)
		return -1;
	*count = (unsigned)live;
	if (d.state == DEVICE_REVOKED || d.state == DEVICE_DECOMMISSIONED)
		return 0;
	return device_retire(db, &d, DEVICE_REVOKED, "", "the device was revoked", now_s, err);
}
