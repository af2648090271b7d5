/*
 * The part of PKCS#11 (OASIS, v2.40 with the Edwards curves of v3.0) that we call, declared after the specification.
 * Types stand as the C mapping lays them out on Unix: CK_ULONG is unsigned long, structures are not packed.
 */
#ifndef MESHANICS_CRYPTO_PKCS11_API_H
#define MESHANICS_CRYPTO_PKCS11_API_H

#include <stdint.h>

/* CKR_: what a call returns. The words are in pkcs11_error.c. */
enum {
	CKR_OK = 0x000,
	CKR_GENERAL_ERROR = 0x005,
	CKR_FUNCTION_FAILED = 0x006,
	CKR_ATTRIBUTE_SENSITIVE = 0x011,
	CKR_ATTRIBUTE_TYPE_INVALID = 0x012,
	CKR_ATTRIBUTE_VALUE_INVALID = 0x013,
	CKR_DATA_LEN_RANGE = 0x021,
	CKR_DEVICE_ERROR = 0x030,
	CKR_DEVICE_MEMORY = 0x031,
	CKR_DEVICE_REMOVED = 0x032,
	CKR_FUNCTION_NOT_SUPPORTED = 0x054,
	CKR_KEY_FUNCTION_NOT_PERMITTED = 0x068,
	CKR_MECHANISM_INVALID = 0x070,
	CKR_OBJECT_HANDLE_INVALID = 0x082,
	CKR_PIN_INCORRECT = 0x0a0,
	CKR_PIN_INVALID = 0x0a1,
	CKR_PIN_LEN_RANGE = 0x0a2,
	CKR_PIN_EXPIRED = 0x0a3,
	CKR_PIN_LOCKED = 0x0a4,
	CKR_SESSION_COUNT = 0x0b1,
	CKR_SESSION_HANDLE_INVALID = 0x0b3,
	CKR_TEMPLATE_INCONSISTENT = 0x0d1,
	CKR_TOKEN_NOT_PRESENT = 0x0e0,
	CKR_TOKEN_NOT_RECOGNIZED = 0x0e1,
	CKR_TOKEN_WRITE_PROTECTED = 0x0e2,
	CKR_USER_ALREADY_LOGGED_IN = 0x100,
	CKR_USER_NOT_LOGGED_IN = 0x101,
	CKR_USER_PIN_NOT_INITIALIZED = 0x102,
	CKR_DOMAIN_PARAMS_INVALID = 0x130,
	CKR_CURVE_NOT_SUPPORTED = 0x140,
	CKR_BUFFER_TOO_SMALL = 0x150,
	CKR_CRYPTOKI_NOT_INITIALIZED = 0x190,
	CKR_CRYPTOKI_ALREADY_INITIALIZED = 0x191,
};

enum { CKF_OS_LOCKING_OK = 0x2 };				/* C_Initialize */
enum { CKF_RW_SESSION = 0x2, CKF_SERIAL_SESSION = 0x4 };	/* C_OpenSession */
enum {								/* of a token */
	CKF_LOGIN_REQUIRED = 0x4,
	CKF_USER_PIN_INITIALIZED = 0x8,
	CKF_TOKEN_INITIALIZED = 0x400,
	CKF_USER_PIN_FINAL_TRY = 0x20000,
	CKF_USER_PIN_LOCKED = 0x40000,
};
enum { CKU_USER = 1, CKU_CONTEXT_SPECIFIC = 2 };
enum { CKO_PUBLIC_KEY = 2, CKO_PRIVATE_KEY = 3 };
enum { CKK_EC = 0x3, CKK_EC_EDWARDS = 0x40 };
enum {
	CKM_EC_KEY_PAIR_GEN = 0x1040,
	CKM_ECDSA = 0x1041,
	CKM_EC_EDWARDS_KEY_PAIR_GEN = 0x1055,
	CKM_EDDSA = 0x1057,
};
enum {
	CKA_CLASS = 0x000,
	CKA_TOKEN = 0x001,
	CKA_PRIVATE = 0x002,
	CKA_LABEL = 0x003,
	CKA_KEY_TYPE = 0x100,
	CKA_ID = 0x102,
	CKA_SENSITIVE = 0x103,
	CKA_SIGN = 0x108,
	CKA_VERIFY = 0x10a,
	CKA_PUBLIC_KEY_INFO = 0x129,
	CKA_EXTRACTABLE = 0x162,
	CKA_NEVER_EXTRACTABLE = 0x164,
	CKA_EC_PARAMS = 0x180,
	CKA_EC_POINT = 0x181,
	CKA_ALWAYS_AUTHENTICATE = 0x202,
};
#define CK_UNAVAILABLE (~0ul)	/* the length of an attribute that is not given out */

struct ck_version {
	uint8_t major, minor;
};

/* Text is padded with blanks, and has no NUL. */
struct ck_token_info {
	uint8_t label[32], manufacturer[32], model[16], serial[16];
	unsigned long flags;
	unsigned long max_sessions, sessions, max_rw_sessions, rw_sessions;
	unsigned long max_pin_len, min_pin_len;
	unsigned long total_public_memory, free_public_memory, total_private_memory, free_private_memory;
	struct ck_version hardware, firmware;
	uint8_t utc_time[16];
};

struct ck_attribute {
	unsigned long type;
	void *value;
	unsigned long len;
};

struct ck_mechanism {
	unsigned long mechanism;
	void *parameter;
	unsigned long len;
};

struct ck_initialize_args {
	void (*create_mutex)(void), (*destroy_mutex)(void), (*lock_mutex)(void), (*unlock_mutex)(void);
	unsigned long flags;
	void *reserved;
};

typedef void ck_unused(void);

/* CK_FUNCTION_LIST, in its order; what we do not call has no type. */
struct ck_functions {
	struct ck_version version;
	unsigned long (*C_Initialize)(struct ck_initialize_args *args);
	unsigned long (*C_Finalize)(void *reserved);
	ck_unused *C_GetInfo, *C_GetFunctionList;
	unsigned long (*C_GetSlotList)(unsigned char token_present, unsigned long *slots, unsigned long *count);
	ck_unused *C_GetSlotInfo;
	unsigned long (*C_GetTokenInfo)(unsigned long slot, struct ck_token_info *info);
	ck_unused *C_GetMechanismList, *C_GetMechanismInfo, *C_InitToken, *C_InitPIN, *C_SetPIN;
	unsigned long (*C_OpenSession)(unsigned long slot, unsigned long flags, void *application, ck_unused *notify,
				       unsigned long *session);
	unsigned long (*C_CloseSession)(unsigned long session);
	ck_unused *C_CloseAllSessions, *C_GetSessionInfo, *C_GetOperationState, *C_SetOperationState;
	unsigned long (*C_Login)(unsigned long session, unsigned long user, uint8_t *pin, unsigned long pin_len);
	ck_unused *C_Logout, *C_CreateObject, *C_CopyObject;
	unsigned long (*C_DestroyObject)(unsigned long session, unsigned long object);
	ck_unused *C_GetObjectSize;
	unsigned long (*C_GetAttributeValue)(unsigned long session, unsigned long object, struct ck_attribute *list,
					     unsigned long count);
	ck_unused *C_SetAttributeValue;
	unsigned long (*C_FindObjectsInit)(unsigned long session, struct ck_attribute *list, unsigned long count);
	unsigned long (*C_FindObjects)(unsigned long session, unsigned long *objects, unsigned long max,
				       unsigned long *count);
	unsigned long (*C_FindObjectsFinal)(unsigned long session);
	ck_unused *C_EncryptInit, *C_Encrypt, *C_EncryptUpdate, *C_EncryptFinal;
	ck_unused *C_DecryptInit, *C_Decrypt, *C_DecryptUpdate, *C_DecryptFinal;
	ck_unused *C_DigestInit, *C_Digest, *C_DigestUpdate, *C_DigestKey, *C_DigestFinal;
	unsigned long (*C_SignInit)(unsigned long session, struct ck_mechanism *mechanism, unsigned long key);
	unsigned long (*C_Sign)(unsigned long session, uint8_t *data, unsigned long data_len, uint8_t *sig,
				unsigned long *sig_len);
	ck_unused *C_SignUpdate, *C_SignFinal, *C_SignRecoverInit, *C_SignRecover;
	ck_unused *C_VerifyInit, *C_Verify, *C_VerifyUpdate, *C_VerifyFinal, *C_VerifyRecoverInit, *C_VerifyRecover;
	ck_unused *C_DigestEncryptUpdate, *C_DecryptDigestUpdate, *C_SignEncryptUpdate, *C_DecryptVerifyUpdate;
	ck_unused *C_GenerateKey;
	unsigned long (*C_GenerateKeyPair)(unsigned long session, struct ck_mechanism *mechanism,
					   struct ck_attribute *public_list, unsigned long public_count,
					   struct ck_attribute *private_list, unsigned long private_count,
					   unsigned long *public_key, unsigned long *private_key);
	ck_unused *C_WrapKey, *C_UnwrapKey, *C_DeriveKey, *C_SeedRandom, *C_GenerateRandom;
	ck_unused *C_GetFunctionStatus, *C_CancelFunction, *C_WaitForSlotEvent;
};

typedef unsigned long ck_get_function_list(const struct ck_functions **list);

#endif
