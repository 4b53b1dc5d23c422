
/*
 * base.h: a small store whose file an input changes: a byte that says by how
 * many pages it is cut off, then changes: page, offset (2 bytes), length, and
 * the bytes that are put there.
 */

#ifndef FUZZ_BASE_H
#define FUZZ_BASE_H

#include "exports_codec.h"
#include "fuzz.h"


#define BASE_PAGE  4096

/* manifests of the project "demo" and of the user 42 */
#define BASE_MANIFESTS  24


/* makes it; dir: a new directory, which is removed at the end; *size: of the
   file that it writes for each input */
void base_make(char dir[64], size_t *size);

/* writes the file as the input has it; the number of bytes that differ may be
   zero.  Returns its length. */
size_t base_change(const uint8_t *data, size_t size);

/* open for reading and writing */
int base_fd(void);


#endif /* FUZZ_BASE_H */
