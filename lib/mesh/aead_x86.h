/* AES-256-GCM on the wide instructions of x86 processors, a backend of aead.h: for its table, and for tests. */
#ifndef MESHANICS_MESH_AEAD_X86_H
#define MESHANICS_MESH_AEAD_X86_H

#include "mesh/aead.h"

extern const struct aead_backend aead_x86;

#endif
