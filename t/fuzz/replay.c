
/* runs a target over the files that are named; TAP to stdout */

#include <errno.h>

#include "fuzz.h"


/* libFuzzer's own bound */
#define INPUT_MAX  (1024 * 1024)


static uint8_t *load(const char *name, size_t *size);


__attribute__((weak)) int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void) argc;
    (void) argv;

    return 0;
}


int
main(int argc, char **argv)
{
    int       i;
    size_t    size;
    uint8_t  *data;

    (void) printf("1..%d\n", argc - 1);

    (void) LLVMFuzzerInitialize(&argc, &argv);

    for (i = 1; i < argc; i++) {
        data = load(argv[i], &size);

        (void) LLVMFuzzerTestOneInput(data, size);

        free(data);
        (void) printf("ok %d - %s\n", i, argv[i]);
        (void) fflush(stdout);
    }

    return 0;
}


static uint8_t *
load(const char *name, size_t *size)
{
    FILE     *file;
    uint8_t  *data, *exact;

    file = fopen(name, "rb");

    if (file == NULL) {
        (void) fprintf(stderr, "%s: %s\n", name, strerror(errno));
        exit(2);
    }

    data = malloc(INPUT_MAX);
    must(data != NULL, "out of memory");

    *size = fread(data, 1, INPUT_MAX, file);
    must(!ferror(file), "%s: %s", name, strerror(errno));

    (void) fclose(file);

    /* with nothing behind its end */

    exact = fuzz_copy(data, *size);
    free(data);

    return exact;
}
