
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base.h"
#include "exports_writer.h"


#define MAP_SIZE     ((size_t) 1 << 20)
#define CHANGE_MAX   16


static void fill(exports_env_t *env);
static void commit(exports_env_t *env, unsigned round);
static void put(exports_writer_t *writer, int project, unsigned i);
static void put_token(exports_writer_t *writer);
static void write_changes(size_t length);
static void clean(void);


static char      base_dir[64], base_file[96];
static int       fd = -1;
static size_t    base_size, file_size;
static uint8_t  *original, *changed, *written;


void
base_make(char dir[64], size_t *size)
{
    const char              *tmp;
    struct stat              st;
    exports_env_t           *env;
    exports_error_t          error;
    exports_env_options_t    options;
    static const uint8_t     lineage[] = "0123456789abcdef";

    tmp = getenv("TMPDIR");

    (void) snprintf(base_dir, sizeof(base_dir), "%.32s/exports-fuzz-XXXXXX",
                    tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp");
    must(mkdtemp(base_dir) != NULL, "%s: %s", base_dir, strerror(errno));
    must(atexit(clean) == 0, "atexit");

    memset(&options, 0, sizeof(options));
    options.path = base_dir;
    options.map_size = MAP_SIZE;
    options.flags = EXPORTS_ENV_WRITE|EXPORTS_ENV_CREATE;
    options.lineage = lineage;
    options.group = (gid_t) -1;

    must(exports_env_open(&env, &options, &error) == EXPORTS_OK, "%s",
         error.text);
    fill(env);
    exports_env_close(env);

    (void) snprintf(base_file, sizeof(base_file), "%s/" EXPORTS_DATA_FILE,
                    base_dir);
    fd = open(base_file, O_RDWR|O_CLOEXEC);
    must(fd != -1 && fstat(fd, &st) == 0, "%s: %s", base_file,
         strerror(errno));

    base_size = (size_t) st.st_size;
    must(base_size % BASE_PAGE == 0, "%zu bytes", base_size);
    original = malloc(base_size);
    changed = malloc(base_size);
    written = malloc(base_size);
    must(original != NULL && changed != NULL && written != NULL,
         "out of memory");
    must(pread(fd, original, base_size, 0) == (ssize_t) base_size, "%s",
         strerror(errno));

    memcpy(written, original, base_size);
    file_size = base_size;

    (void) snprintf(dir, 64, "%s", base_dir);
    *size = base_size;
}


/* several commits: a free list comes of it */

static void
fill(exports_env_t *env)
{
    unsigned  round;

    for (round = 0; round < 4; round++) {
        commit(env, round);
    }
}


static void
commit(exports_env_t *env, unsigned round)
{
    unsigned           i;
    exports_error_t    error;
    exports_writer_t  *writer;

    must(exports_writer_begin(&writer, env, &error) == EXPORTS_OK, "%s",
         error.text);

    for (i = round; i < BASE_MANIFESTS; i += 3) {
        put(writer, 1, i);
        put(writer, 0, i);
    }

    put_token(writer);

    must(exports_writer_set_revision(writer, EXPORTS_PROJECT, "demo", 4,
                                     round + 1, &error) == EXPORTS_OK
         && exports_writer_set_revision(writer, EXPORTS_USER, "42", 2,
                                        round + 1, &error) == EXPORTS_OK,
         "%s", error.text);
    must(exports_writer_commit(writer, &error) == EXPORTS_OK, "%s",
         error.text);
}


static void
put(exports_writer_t *writer, int project, unsigned i)
{
    char                       text[1024];
    exports_error_t            error;
    static exports_manifest_t  manifest;
    static const char         *statuses[] = { "ready", "failed", "pending" };

    if (project) {
        (void) snprintf(text, sizeof(text),
                        "{\"id\":\"exp_%u\",\"kind\":\"table_export\","
                        "\"scope\":\"table\",\"project\":\"demo\","
                        "\"table\":\"orders\",\"format\":\"csv\","
                        "\"download_name\":\"orders.csv\","
                        "\"storage_backend\":\"local\","
                        "\"content_type\":\"text/csv\",\"status\":\"%s\","
                        "\"created_at\":\"2026-06-02T01:23:%02uZ\"}",
                        i, i % 3 ? "ready" : "not_found", i);

    } else {
        (void) snprintf(text, sizeof(text),
                        "{\"uuid\":\"u-%u\",\"user\":42,\"type\":\"type%u\","
                        "\"status\":\"%s\",\"filename\":\"a.csv\","
                        "\"requested_at\":\"2026-06-02T01:23:%02uZ\"}",
                        i, i % 2, statuses[i % 3], i);
    }

    must(exports_manifest_parse(&manifest, text, strlen(text), &error)
         == EXPORTS_OK
         && exports_writer_put(writer, &manifest, NULL, &error)
            == EXPORTS_OK, "%s", error.text);
}


static void
put_token(exports_writer_t *writer)
{
    exports_error_t               error;
    static exports_token_line_t   line;
    static const char             text[] =
        "{\"sha256\":\"00000000000000000000000000000000"
        "00000000000000000000000000000000\",\"project\":\"demo\","
        "\"created_at\":\"2026-06-02T01:23:45Z\"}";

    must(exports_token_parse(&line, text, sizeof(text) - 1, &error)
         == EXPORTS_OK
         && exports_writer_put_token(writer, &line, &error) == EXPORTS_OK,
         "%s", error.text);
}


size_t
base_change(const uint8_t *data, size_t size)
{
    size_t         at, len, n, length;
    fuzz_input_t   in = { data, data + size };

    memcpy(changed, original, base_size);

    length = base_size;
    n = fuzz_byte(&in) * (size_t) BASE_PAGE;
    length -= n < length ? n : length;

    while (in.pos < in.end) {
        at = fuzz_byte(&in) % (base_size / BASE_PAGE) * BASE_PAGE;
        at += fuzz_number(&in, 2) % BASE_PAGE;
        len = fuzz_byte(&in) % CHANGE_MAX + 1;

        if (len > (size_t) (in.end - in.pos)) {
            len = (size_t) (in.end - in.pos);
        }

        if (len > base_size - at) {
            len = base_size - at;
        }

        memcpy(changed + at, in.pos, len);
        in.pos += len;
    }

    write_changes(length);

    return length;
}


/* pages that differ from what the file has */

static void
write_changes(size_t length)
{
    size_t  at;

    for (at = 0; at < length; at += BASE_PAGE) {

        if (at < file_size
            && memcmp(written + at, changed + at, BASE_PAGE) == 0)
        {
            continue;
        }

        must(pwrite(fd, changed + at, BASE_PAGE, (off_t) at) == BASE_PAGE,
             "%s: %s", base_file, strerror(errno));
        memcpy(written + at, changed + at, BASE_PAGE);
    }

    if (length != file_size) {
        must(ftruncate(fd, (off_t) length) == 0, "%s: %s", base_file,
             strerror(errno));
        file_size = length;
    }
}


int
base_fd(void)
{
    return fd;
}


static void
clean(void)
{
    char  lock[96];

    (void) snprintf(lock, sizeof(lock), "%s/" EXPORTS_LOCK_FILE, base_dir);
    (void) unlink(lock);
    (void) unlink(base_file);
    (void) rmdir(base_dir);
}
