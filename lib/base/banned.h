/*
 * Functions that invite mistakes with lengths, locales or shells become compile errors.
 * The Makefile includes this file before every source file of the program (not of its tests).
 */
#ifndef MESHANICS_BASE_BANNED_H
#define MESHANICS_BASE_BANNED_H

/* System headers that declare the banned names must be read before the names are poisoned. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <wchar.h>

/* Fortified headers make macros of these for clang, and a macro cannot be poisoned. */
#undef sprintf
#undef vsprintf

#pragma GCC poison strcpy strcat strncpy strncat stpcpy sprintf vsprintf gets strtok strtok_r
#pragma GCC poison atoi atol atoll atof system popen tmpnam tempnam mktemp
#pragma GCC poison ctime asctime localtime gmtime rand srand

#endif
